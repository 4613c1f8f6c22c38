// SPDX-License-Identifier: Apache-2.0
/* read(2), write(2) and their kin; lseek(2); truncate(2): by offset, length and size. */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "px.h"

#define BIG (1 << 17)

static char pattern[BIG], buffer[BIG + 4096];

static void fill(void)
{
	int i;

	for (i = 0; i < BIG; i++)
		pattern[i] = (char)('A' + (i / 7 + i / 4096) % 53);
}

static void file_of(long long size)
{
	int fd = (int)px_must(open("x", O_RDWR | O_CREAT | O_TRUNC, 0644));

	if (size)
		px_must(write(fd, pattern, (size_t)size));
	close(fd);
}

enum { READ, PREAD, READV, PREADV, PREADV2, CALLS };

static const char *const read_name[CALLS] = { "read", "pread", "readv", "preadv", "preadv2" };
static const char *const write_name[CALLS] = { "write", "pwrite", "writev", "pwritev", "pwritev2" };

/* Vectors in three pieces, one of them empty. */
static int pieces(struct iovec iov[3], char *data, size_t length)
{
	iov[0] = (struct iovec){ data, length / 3 };
	iov[1] = (struct iovec){ data, 0 };
	iov[2] = (struct iovec){ data + length / 3, length - length / 3 };
	return 3;
}

static ssize_t do_read(int call, int fd, size_t length, off_t at)
{
	struct iovec iov[3];
	int n = pieces(iov, buffer, length);

	if (call == READ || call == READV)
		px_must(lseek(fd, at, SEEK_SET));
	switch (call) {
	case READ:
		return read(fd, buffer, length);
	case PREAD:
		return pread(fd, buffer, length, at);
	case READV:
		return readv(fd, iov, n);
	case PREADV:
		return preadv(fd, iov, n, at);
	default:
		return preadv2(fd, iov, n, at, 0);
	}
}

static ssize_t do_write(int call, int fd, size_t length, off_t at)
{
	struct iovec iov[3];
	int n = pieces(iov, pattern, length);

	if (call == READ || call == READV)
		px_must(lseek(fd, at, SEEK_SET));
	switch (call) {
	case READ:
		return write(fd, pattern, length);
	case PREAD:
		return pwrite(fd, pattern, length, at);
	case READV:
		return writev(fd, iov, n);
	case PREADV:
		return pwritev(fd, iov, n, at);
	default:
		return pwritev2(fd, iov, n, at, 0);
	}
}

static const long long sizes[] = { 0, 1, 511, 4095, 4096, 4097, 70000 };
static const long long offsets[] = { 0, 1, 4095, 4096, 70000, 100000 };
static const long long lengths[] = { 0, 1, 4096, 5000, 80000 };

PX_OPERATION(read)
{
	unsigned int s, o, l;
	int call, fd;

	fill();
	for (s = 0; s < PX_COUNT(sizes); s++) {
		file_of(sizes[s]);
		fd = (int)px_must(open("x", O_RDONLY));
		for (call = 0; call < CALLS; call++)
		for (o = 0; o < PX_COUNT(offsets); o++)
		for (l = 0; l < PX_COUNT(lengths); l++) {
			long long room = sizes[s] > offsets[o] ? sizes[s] - offsets[o] : 0;
			long long want = room < lengths[l] ? room : lengths[l], got;
			bool moves = call == READ || call == READV, good;

			memset(buffer, '?', (size_t)lengths[l] + 1);
			px_must(lseek(fd, 3, SEEK_SET));
			got = do_read(call, fd, (size_t)lengths[l], offsets[o]);
			good = got >= 0 && !memcmp(buffer, pattern + offsets[o], (size_t)got) && buffer[got] == '?';
			px_str(px_text("%lld same at %lld", want, moves ? offsets[o] + want : 3),
			       px_text("%lld %s at %lld", got, good ? "same" : "other",
				       (long long)lseek(fd, 0, SEEK_CUR)),
			       "%s/size-%lld/%lld+%lld", read_name[call], sizes[s], offsets[o], lengths[l]);
		}
		close(fd);
	}
}

PX_OPERATION(write)
{
	unsigned int s, o, l;
	int call, fd;
	static char model[BIG * 2], seen[BIG * 2];

	fill();
	for (s = 0; s < PX_COUNT(sizes); s++)
	for (call = 0; call < CALLS; call++)
	for (o = 0; o < PX_COUNT(offsets); o++)
	for (l = 0; l < PX_COUNT(lengths); l++) {
		long long end = offsets[o] + lengths[l], size = sizes[s], got, n;

		/* What lies between the old end and the new data is zeros. */
		memset(model, 0, (size_t)(end > size ? end : size));
		memcpy(model, pattern, (size_t)sizes[s]);
		memcpy(model + offsets[o], pattern, (size_t)lengths[l]);
		if (lengths[l] && end > size)
			size = end;
		file_of(sizes[s]);
		fd = (int)px_must(open("x", O_RDWR));
		got = do_write(call, fd, (size_t)lengths[l], offsets[o]);
		n = pread(fd, seen, sizeof(seen), 0);
		px_str(px_text("%lld of %lld same", lengths[l], size),
		       px_text("%lld of %lld %s", got, n, n >= 0 && !memcmp(seen, model, (size_t)n) ? "same" : "other"),
		       "%s/size-%lld/%lld+%lld", write_name[call], sizes[s], offsets[o], lengths[l]);
		close(fd);
	}
}

PX_OPERATION(truncate)
{
	static const long long from[] = { 0, 1, 100, 1900, 1901, 4095, 4096, 4097, 8192, 70000, 131072 };
	static const char *const call_name[] = { "truncate", "ftruncate", "open-trunc" };
	static char seen[BIG * 2], model[BIG * 2];
	unsigned int f, t;
	int call, fd, type;

	fill();
	for (call = 0; call < 2; call++)
	for (f = 0; f < PX_COUNT(from); f++)
	for (t = 0; t < PX_COUNT(from); t++) {
		long long keep = from[f] < from[t] ? from[f] : from[t], n;

		file_of(from[f]);
		fd = (int)px_must(open("x", O_RDWR));
		px_must(call ? ftruncate(fd, from[t]) : truncate("x", from[t]));
		memset(model, 0, (size_t)from[t]);
		memcpy(model, pattern, (size_t)keep);
		n = px_must(pread(fd, seen, sizeof(seen), 0));
		px_str(px_text("%lld %lld same", from[t], from[t]),
		       px_text("%lld %lld %s", px_size_of("x"), n, memcmp(seen, model, (size_t)n) ? "other" : "same"),
		       "%s/%lld-%lld", call_name[call], from[f], from[t]);
		/* What was cut off does not come back. */
		px_must(ftruncate(fd, 140000));
		memset(model + from[t], 0, 140000 - (size_t)from[t]);
		n = px_must(pread(fd, seen, sizeof(seen), 0));
		px_str("140000 same", px_text("%lld %s", n, memcmp(seen, model, (size_t)n) ? "other" : "same"),
		       "%s/%lld-%lld/grown", call_name[call], from[f], from[t]);
		close(fd);
	}
	for (type = PX_REG; type < PX_TYPES; type++) {
		int want = type == PX_REG || type == PX_LNK ? 0 : type == PX_DIR || type == PX_FULL || type == PX_LNKDIR ?
			   EISDIR : type == PX_DANGLING ? ENOENT : type == PX_LOOP ? ELOOP : EINVAL;

		px_make(type, "y", 0644);
		px_err(want, truncate("y", 1), "type/%s", px_type_name[type]);
		px_remove("y");
	}
	px_file("x", 0644, "content");
	px_err(EINVAL, truncate("x", -1), "negative");
	px_err(EINVAL, truncate("x", LLONG_MIN), "most-negative");
	fd = (int)px_must(open("x", O_RDWR));
	px_err(EINVAL, ftruncate(fd, -1), "ftruncate-negative");
	close(fd);
	px_err(EBADF, ftruncate(-1, 0), "ftruncate-bad");
	fd = (int)px_must(open(".", O_RDONLY));
	px_err(EINVAL, ftruncate(fd, 0), "ftruncate-directory");
	close(fd);
	fd = (int)px_must(open("x", O_RDONLY));
	px_err(EINVAL, ftruncate(fd, 0), "ftruncate-rdonly");
	close(fd);
	px_must(chmod("x", 0444));
	px_become(&px_u1);
	px_err(EACCES, truncate("x", 0), "no-right");
	px_root();
	px_str("content", px_content("x"), "no-right/content");
}

PX_OPERATION(lseek)
{
	static const long long at[] = { -70001, -70000, -4096, -1, 0, 1, 4095, 4096, 69999, 70000, 70001, 1LL << 40 };
	static const long long begins[] = { 0, 5, 70000, 1LL << 33 };
	static const char *const whence_name[] = { "set", "cur", "end", "data", "hole" };
	unsigned int a, b;
	int whence, fd, type;

	fill();
	file_of(70000);
	fd = (int)px_must(open("x", O_RDONLY));
	for (whence = 0; whence < 5; whence++) {
		for (b = 0; b < PX_COUNT(begins); b++) {
			for (a = 0; a < PX_COUNT(at); a++) {
				long long base = whence == SEEK_CUR ? begins[b] : whence == SEEK_END ? 70000 : 0;
				long long to = base + at[a], got;
				int want = to < 0 ? EINVAL : 0;

				/* All of it is data, and there is a hole behind the end. */
				if (whence == SEEK_DATA || whence == SEEK_HOLE) {
					want = to < 0 || to >= 70000 ? ENXIO : 0;
					if (whence == SEEK_HOLE)
						to = 70000;
				}
				px_must(lseek(fd, begins[b], SEEK_SET));
				got = lseek(fd, at[a], whence);
				px_str(px_text("%s %lld", px_errname(want), want ? begins[b] : to),
				       px_text("%s %lld", px_errname(got < 0 ? errno : 0),
					       (long long)lseek(fd, 0, SEEK_CUR)),
				       "%s/%lld%+lld", whence_name[whence], begins[b], at[a]);
			}
		}
	}
	px_err(EINVAL, lseek(fd, 0, 5), "whence-5");
	px_err(EINVAL, lseek(fd, 0, -1), "whence-negative");
	px_must(lseek(fd, 100, SEEK_SET));
	px_err2(EINVAL, EOVERFLOW, lseek(fd, LLONG_MAX, SEEK_CUR), "overflow-cur");
	px_err2(EINVAL, EOVERFLOW, lseek(fd, LLONG_MAX, SEEK_END), "overflow-end");
	px_num(100, lseek(fd, 0, SEEK_CUR), "after-overflow");
	close(fd);
	px_err(EBADF, lseek(-1, 0, SEEK_SET), "bad");
	fd = (int)px_must(open("x", O_PATH));
	px_err(EBADF, lseek(fd, 0, SEEK_SET), "o_path");
	close(fd);
	for (type = PX_REG; type <= PX_FIFO; type++) {
		px_make(type, "y", 0644);
		fd = (int)px_must(open("y", O_RDONLY | O_NONBLOCK));
		px_err(type == PX_FIFO ? ESPIPE : 0, lseek(fd, 0, SEEK_SET), "type/%s", px_type_name[type]);
		close(fd);
		px_remove("y");
	}
	/* An empty file, and one that is one hole. */
	file_of(0);
	fd = (int)px_must(open("x", O_RDWR));
	px_err(ENXIO, lseek(fd, 0, SEEK_DATA), "empty/data");
	px_err(ENXIO, lseek(fd, 0, SEEK_HOLE), "empty/hole");
	px_must(ftruncate(fd, 1 << 20));
	px_err(ENXIO, lseek(fd, 0, SEEK_DATA), "hole/data");
	px_num(0, lseek(fd, 0, SEEK_HOLE), "hole/hole");
	px_num(12345, lseek(fd, 12345, SEEK_HOLE), "hole/hole-in-it");
	px_err(ENXIO, lseek(fd, 1 << 20, SEEK_HOLE), "hole/hole-at-end");
	/* Data in the middle: 64 KiB holes around it are seen by every filesystem. */
	px_must(pwrite(fd, pattern, 65536, 131072));
	px_num(131072, lseek(fd, 0, SEEK_DATA), "middle/data");
	px_num(131072, lseek(fd, 131072, SEEK_DATA), "middle/data-at-data");
	px_num(150000, lseek(fd, 150000, SEEK_DATA), "middle/data-in-data");
	px_num(196608, lseek(fd, 131072, SEEK_HOLE), "middle/hole-at-data");
	px_num(196608, lseek(fd, 150000, SEEK_HOLE), "middle/hole-in-data");
	px_num(196608, lseek(fd, 196608, SEEK_HOLE), "middle/hole-at-hole");
	px_err(ENXIO, lseek(fd, 196608, SEEK_DATA), "middle/data-behind");
	px_must(fsync(fd));
	px_num(131072, lseek(fd, 0, SEEK_DATA), "written/data");
	px_num(196608, lseek(fd, 131072, SEEK_HOLE), "written/hole");
	close(fd);
}

static void file_size_limit(void *arg)
{
	struct rlimit limit = { 1000, RLIM_INFINITY };
	int fd;

	(void)arg;
	file_of(10);
	px_must(setrlimit(RLIMIT_FSIZE, &limit));
	fd = (int)px_must(open("x", O_RDWR));
	px_num(10, pwrite(fd, pattern, 100, 990), "fsize/short");
	px_err(EFBIG, pwrite(fd, pattern, 1, 1000), "fsize/write");
	px_err(EFBIG, pwrite(fd, pattern, 1, 2000), "fsize/write-behind");
	px_err(0, pwrite(fd, pattern, 0, 2000), "fsize/write-nothing");
	px_err(0, ftruncate(fd, 1000), "fsize/ftruncate-at");
	px_err(EFBIG, ftruncate(fd, 1001), "fsize/ftruncate");
	px_err(EFBIG, truncate("x", 1001), "fsize/truncate");
	px_err(EFBIG, fallocate(fd, 0, 0, 1001), "fsize/fallocate");
	px_err(0, fallocate(fd, 0, 0, 1000), "fsize/fallocate-at");
	px_num(1000, px_size_of("x"), "fsize/size");
	close(fd);
}

PX_OPERATION(rdwr_error)
{
	static const int bad_flags[] = { 0x10000000, 0x40000000 };
	struct iovec iov[2] = { { buffer, 10 }, { (void *)1, 10 } };
	struct iovec huge[2] = { { buffer, 10 }, { buffer, (size_t)-1 } };
	static struct iovec lots[1025];
	unsigned int i;
	int fd;

	fill();
	file_of(100);
	px_err(EBADF, read(-1, buffer, 1), "read-bad");
	px_err(EBADF, write(-1, buffer, 1), "write-bad");
	px_err(EBADF, pread(-1, buffer, 1, 0), "pread-bad");
	px_err(EBADF, pwrite(-1, buffer, 1, 0), "pwrite-bad");
	fd = (int)px_must(open("x", O_RDWR));
	px_err(EFAULT, read(fd, (void *)1, 10), "read-efault");
	px_err(EFAULT, write(fd, (void *)1, 10), "write-efault");
	px_num(0, read(fd, (void *)1, 0), "read-nothing-efault");
	px_num(0, write(fd, (void *)1, 0), "write-nothing-efault");
	px_err(EINVAL, pread(fd, buffer, 1, -1), "pread-negative");
	px_err(EINVAL, pwrite(fd, buffer, 1, -1), "pwrite-negative");
	px_err(EINVAL, preadv(fd, iov, 1, -1), "preadv-negative");
	px_err(EINVAL, pwritev(fd, iov, 1, -1), "pwritev-negative");
	px_must(lseek(fd, 0, SEEK_SET));
	px_num(10, readv(fd, iov, 2), "readv-second-efault");
	px_err(EINVAL, readv(fd, huge, 2), "readv-length-negative");
	px_err(EINVAL, writev(fd, huge, 2), "writev-length-negative");
	px_err(EINVAL, readv(fd, iov, -1), "readv-negative-count");
	px_err(EINVAL, readv(fd, lots, 1025), "readv-1025");
	px_num(0, readv(fd, lots, 1024), "readv-1024");
	px_num(0, readv(fd, iov, 0), "readv-0");
	px_num(0, writev(fd, iov, 0), "writev-0");
	px_err(EFAULT, readv(fd, (void *)1, 1), "readv-efault");
	for (i = 0; i < PX_COUNT(bad_flags); i++) {
		px_err(EOPNOTSUPP, preadv2(fd, iov, 1, 0, bad_flags[i]), "preadv2-flags-%x", bad_flags[i]);
		px_err(EOPNOTSUPP, pwritev2(fd, iov, 1, 0, bad_flags[i]), "pwritev2-flags-%x", bad_flags[i]);
	}
	px_must(lseek(fd, 5, SEEK_SET));
	px_num(10, preadv2(fd, iov, 1, -1, 0), "preadv2-at-offset");
	px_num(15, lseek(fd, 0, SEEK_CUR), "preadv2-at-offset-moves");
	px_num(10, pwritev2(fd, iov, 1, 0, RWF_APPEND), "rwf-append");
	px_num(110, px_size_of("x"), "rwf-append-size");
	px_num(10, pwritev2(fd, iov, 1, 0, RWF_DSYNC), "rwf-dsync");
	px_num(10, pwritev2(fd, iov, 1, 0, RWF_SYNC), "rwf-sync");
	px_num(10, preadv2(fd, iov, 1, 0, RWF_HIPRI), "rwf-hipri-read");
	close(fd);
	fd = (int)px_must(open(".", O_RDONLY));
	px_err(EISDIR, read(fd, buffer, 1), "read-directory");
	px_err(EISDIR, pread(fd, buffer, 1, 0), "pread-directory");
	px_err(EBADF, write(fd, buffer, 1), "write-directory");
	close(fd);
	px_child(file_size_limit, NULL);
	/* O_DIRECT. */
	file_of(70000);
	fd = open("x", O_RDWR | O_DIRECT);
	px_err(0, fd, "direct/open");
	if (fd >= 0) {
		char *aligned = NULL;

		px_must(-posix_memalign((void **)&aligned, 4096, 8192));
		px_num(8192, pread(fd, aligned, 8192, 4096), "direct/read");
		px_num(0, memcmp(aligned, pattern + 4096, 8192), "direct/read-content");
		px_num(70000 - 65536, pread(fd, aligned, 8192, 65536), "direct/read-end");
		px_num(0, pread(fd, aligned, 4096, 73728), "direct/read-behind");
		px_num(4096, pwrite(fd, aligned, 4096, 8192), "direct/write");
		px_num(4096, pwrite(fd, aligned, 4096, 135168), "direct/write-extends");
		px_num(139264, px_size_of("x"), "direct/size");
		px_note(px_errname(pread(fd, aligned + 1, 512, 0) < 0 ? errno : 0), "direct/memory-misaligned");
		px_note(px_errname(pread(fd, aligned, 100, 0) < 0 ? errno : 0), "direct/length-misaligned");
		px_note(px_errname(pread(fd, aligned, 512, 100) < 0 ? errno : 0), "direct/offset-misaligned");
		px_note(px_errname(pwrite(fd, aligned + 1, 512, 0) < 0 ? errno : 0), "direct/write-memory-misaligned");
		px_note(px_errname(pwrite(fd, aligned, 100, 0) < 0 ? errno : 0), "direct/write-length-misaligned");
		px_note(px_errname(pwrite(fd, aligned, 512, 100) < 0 ? errno : 0), "direct/write-offset-misaligned");
		free(aligned);
		close(fd);
	}
}
