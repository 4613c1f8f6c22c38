// SPDX-License-Identifier: Apache-2.0
/* fallocate(2): every mode and combination, ranges by size; 64-bit limits of all that take offsets. */
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "px.h"

#define SIZE 20000

static char pattern[SIZE], model[1 << 17], seen[1 << 17];

static const struct {
	const char *name;
	int mode;
} modes[] = {
	{ "plain", 0 },
	{ "keep", FALLOC_FL_KEEP_SIZE },
	{ "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
	{ "zero", FALLOC_FL_ZERO_RANGE },
	{ "zero-keep", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
};

static const long long offsets[] = { 0, 1, 4095, 4096, 10000, 19999, 20000, 40960 };
static const long long lengths[] = { 1, 4096, 5000, 20000, 65536 };

static int file(void)
{
	int fd = (int)px_must(open("x", O_RDWR | O_CREAT | O_TRUNC, 0644));

	px_must(write(fd, pattern, SIZE));
	return fd;
}

static void ranges(void)
{
	unsigned int m, o, l;

	for (m = 0; m < PX_COUNT(modes); m++)
	for (o = 0; o < PX_COUNT(offsets); o++)
	for (l = 0; l < PX_COUNT(lengths); l++) {
		long long end = offsets[o] + lengths[l], size = SIZE, n;
		int fd = file();

		memset(model, 0, sizeof(model));
		memcpy(model, pattern, SIZE);
		if (modes[m].mode & ~FALLOC_FL_KEEP_SIZE)
			memset(model + offsets[o], 0, (size_t)lengths[l]);
		if (!(modes[m].mode & FALLOC_FL_KEEP_SIZE) && end > size)
			size = end;
		n = fallocate(fd, modes[m].mode, offsets[o], lengths[l]) ? errno : 0;
		if (n) {
			px_err(0, -1, "%s/%lld+%lld", modes[m].name, offsets[o], lengths[l]);
			close(fd);
			continue;
		}
		n = px_must(pread(fd, seen, sizeof(seen), 0));
		px_str(px_text("%lld same", size),
		       px_text("%lld %s", n, memcmp(seen, model, (size_t)n) ? "other" : "same"), "%s/%lld+%lld",
		       modes[m].name, offsets[o], lengths[l]);
		/* And on disk. */
		px_must(fsync(fd));
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		n = px_must(pread(fd, seen, sizeof(seen), 0));
		px_str(px_text("%lld same", size),
		       px_text("%lld %s", n, memcmp(seen, model, (size_t)n) ? "other" : "same"),
		       "%s/%lld+%lld/synced", modes[m].name, offsets[o], lengths[l]);
		close(fd);
	}
}

PX_OPERATION(fallocate)
{
	static const struct {
		const char *name;
		int mode;
	} wrong[] = {
		{ "punch-without-keep", FALLOC_FL_PUNCH_HOLE },
		{ "punch-and-zero", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
		{ "bit-7", 0x80 }, { "bit-8", 0x100 }, { "bit-20", 1 << 20 }, { "bit-30", 1 << 30 },
		{ "no-hide-stale", FALLOC_FL_NO_HIDE_STALE },
	};
	struct stat st, before;
	unsigned int i;
	int fd, type;

	for (i = 0; i < SIZE; i++)
		pattern[i] = (char)('a' + (i / 11) % 26);
	ranges();
	fd = file();
	for (i = 0; i < PX_COUNT(wrong); i++)
		px_err(EOPNOTSUPP, fallocate(fd, wrong[i].mode, 0, 4096), "mode/%s", wrong[i].name);
	for (i = 0; i < PX_COUNT(modes); i++) {
		px_err(EINVAL, fallocate(fd, modes[i].mode, 0, 0), "%s/length-0", modes[i].name);
		px_err(EINVAL, fallocate(fd, modes[i].mode, 0, -1), "%s/length-negative", modes[i].name);
		px_err(EINVAL, fallocate(fd, modes[i].mode, -1, 1), "%s/offset-negative", modes[i].name);
		px_err(EFBIG, fallocate(fd, modes[i].mode, LLONG_MAX, 1), "%s/end-overflows", modes[i].name);
		px_err(EFBIG, fallocate(fd, modes[i].mode, LLONG_MAX - 4096, 8192), "%s/end-wraps", modes[i].name);
		px_err(EFBIG, fallocate(fd, modes[i].mode, 4096, LLONG_MAX), "%s/length-max", modes[i].name);
	}
	px_num(SIZE, px_size_of("x"), "size-after-errors");
	close(fd);
	px_err(EBADF, fallocate(-1, 0, 0, 1), "bad");
	fd = (int)px_must(open("x", O_RDONLY));
	px_err(EBADF, fallocate(fd, 0, 0, 1), "rdonly");
	close(fd);
	fd = (int)px_must(open("x", O_RDWR | O_APPEND));
	px_err(0, fallocate(fd, 0, 0, 1), "append");
	px_err(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), "append-punch");
	close(fd);
	for (type = PX_DIR; type <= PX_FIFO; type++) {
		if (type == PX_FULL)
			continue;
		px_make(type, "y", 0644);
		fd = (int)px_must(open("y", type == PX_DIR ? O_RDONLY : O_RDWR));
		px_err(type == PX_DIR ? EBADF : ESPIPE, fallocate(fd, 0, 0, 1), "type/%s", px_type_name[type]);
		close(fd);
		px_remove("y");
	}
	/* Blocks come and go. */
	fd = (int)px_must(open("y", O_RDWR | O_CREAT, 0644));
	px_must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
	px_must(fstat(fd, &st));
	px_num(0, st.st_size, "blocks/keep-size");
	px_num(1, st.st_blocks >= 2048, "blocks/reserved");
	px_must(ftruncate(fd, 0));
	px_must(fstat(fd, &st));
	px_num(0, st.st_blocks, "blocks/truncate-gives-back");
	px_must(fallocate(fd, 0, 0, 1 << 20));
	px_must(fstat(fd, &before));
	px_num(1 << 20, before.st_size, "blocks/size");
	px_must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 19));
	px_must(fstat(fd, &st));
	px_num(1, st.st_blocks <= before.st_blocks - 1024, "blocks/punch-gives-back");
	px_num(1 << 20, st.st_size, "blocks/punch-size");
	close(fd);
	px_remove("y");
}

/* ---- offsets at the limits -------------------------------------------------------- */

PX_OPERATION(large)
{
	static const long long sizes[] = {
		2147483647LL, 2147483648LL, 4294967295LL, 4294967296LL, 1LL << 40, (1LL << 43) - 4097, (1LL << 44) - 8192,
	};
	static const long long beyond[] = { 1LL << 45, 1LL << 50, 1LL << 60, LLONG_MAX - 4096, LLONG_MAX };
	unsigned int i;
	struct stat st;
	char byte;
	int fd;

	for (i = 0; i < PX_COUNT(sizes); i++) {
		fd = (int)px_must(open("x", O_RDWR | O_CREAT | O_TRUNC, 0644));
		px_err(0, ftruncate(fd, sizes[i]), "ftruncate/%lld", sizes[i]);
		px_must(fstat(fd, &st));
		px_num(sizes[i], st.st_size, "size/%lld", sizes[i]);
		px_note(px_text("%lld", (long long)st.st_blocks), "blocks/%lld", sizes[i]);
		px_num(2, pwrite(fd, "ab", 2, sizes[i] - 1), "write/%lld", sizes[i]);
		px_must(fstat(fd, &st));
		px_num(sizes[i] + 1, st.st_size, "write/%lld/size", sizes[i]);
		px_must(fsync(fd));
		px_num(1, pread(fd, &byte, 1, sizes[i]), "read/%lld", sizes[i]);
		px_num('b', byte, "read/%lld/content", sizes[i]);
		px_num(sizes[i] + 1, lseek(fd, 0, SEEK_END), "lseek/%lld", sizes[i]);
		px_num(1, lseek(fd, 0, SEEK_DATA) >= sizes[i] - 65536, "data/%lld", sizes[i]);
		px_num(0, pread(fd, &byte, 1, sizes[i] + 1), "read-behind/%lld", sizes[i]);
		px_must(ftruncate(fd, 5));
		px_must(ftruncate(fd, sizes[i] + 1));
		px_must(pread(fd, &byte, 1, sizes[i]));
		px_num(0, byte, "cut-and-grown/%lld", sizes[i]);
		close(fd);
	}
	fd = (int)px_must(open("x", O_RDWR | O_CREAT | O_TRUNC, 0644));
	/* How large a file may be is the filesystem's affair; not that it says EFBIG. */
	for (i = 0; i < PX_COUNT(beyond); i++) {
		px_note(px_errname(ftruncate(fd, beyond[i]) ? errno : 0), "beyond/ftruncate/%lld", beyond[i]);
		px_note(px_errname(pwrite(fd, "x", 1, beyond[i] - 1) < 0 ? errno : 0), "beyond/write/%lld", beyond[i]);
		px_note(px_errname(lseek(fd, beyond[i], SEEK_SET) < 0 ? errno : 0), "beyond/lseek/%lld", beyond[i]);
		px_must(ftruncate(fd, 0));
	}
	px_err(EINVAL, pwrite(fd, "x", 2, LLONG_MIN), "write-most-negative");
	px_err(EINVAL, pwrite(fd, "xy", 2, LLONG_MAX), "write-over-the-end");
	px_num(0, pread(fd, &byte, 1, LLONG_MAX - 1), "read-at-the-end");
	px_err(EINVAL, pread(fd, &byte, 2, LLONG_MAX), "read-over-the-end");
	close(fd);
}
