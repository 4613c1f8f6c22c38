// SPDX-License-Identifier: Apache-2.0
/* copy_file_range(2), sendfile(2), splice(2): ranges, overlaps, kinds of file. */
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "px.h"

#define SIZE 20000

static char pattern[SIZE], other[SIZE], model[1 << 16], seen[1 << 16];

static void files(void)
{
	int fd = (int)px_must(open("from", O_RDWR | O_CREAT | O_TRUNC, 0644));

	px_must(write(fd, pattern, SIZE));
	close(fd);
	fd = (int)px_must(open("to", O_RDWR | O_CREAT | O_TRUNC, 0644));
	px_must(write(fd, other, SIZE / 2));
	close(fd);
}

static void ranges(void)
{
	static const long long at[] = { 0, 1, 4096, 10000, 19999, 20000, 30000 };
	static const long long lengths[] = { 0, 1, 4096, 10001, 50000 };
	unsigned int i, o, l;

	for (i = 0; i < PX_COUNT(at); i++)
	for (o = 0; o < PX_COUNT(at); o++)
	for (l = 0; l < PX_COUNT(lengths); l++) {
		long long room = at[i] < SIZE ? SIZE - at[i] : 0, want = lengths[l] < room ? lengths[l] : room;
		long long size = SIZE / 2, done = 0, n;
		loff_t in = at[i], out = at[o];
		int from, to;

		files();
		from = (int)px_must(open("from", O_RDONLY));
		to = (int)px_must(open("to", O_RDWR));
		memset(model, 0, sizeof(model));
		memcpy(model, other, SIZE / 2);
		memcpy(model + at[o], pattern + at[i], (size_t)want);
		if (want && at[o] + want > size)
			size = at[o] + want;
		/* It may stop early; then it goes on. */
		while ((n = copy_file_range(from, &in, to, &out, (size_t)(lengths[l] - done), 0)) > 0)
			done += n;
		if (n < 0)
			done = -errno;
		n = px_must(pread(to, seen, sizeof(seen), 0));
		px_str(px_text("%lld of %lld same at %lld %lld", want, size, at[i] + want, at[o] + want),
		       px_text("%lld of %lld %s at %lld %lld", done, n,
			       memcmp(seen, model, (size_t)n) ? "other" : "same", (long long)in, (long long)out),
		       "range/%lld-%lld+%lld", at[i], at[o], lengths[l]);
		close(from);
		close(to);
	}
}

static void same_file(void)
{
	static const struct {
		long long in, out, length;
	} rows[] = {
		{ 0, 0, 100 }, { 0, 99, 100 }, { 0, 100, 100 }, { 100, 0, 100 }, { 99, 0, 100 }, { 0, 4096, 4096 },
		{ 4096, 0, 8192 }, { 8192, 0, 4096 }, { 0, 20000, 20000 }, { 0, 19999, 20000 }, { 10000, 20000, 30000 },
		{ 100, 100, 0 },
	};
	unsigned int i;

	for (i = 0; i < PX_COUNT(rows); i++) {
		long long room = SIZE - rows[i].in, length = rows[i].length < room ? rows[i].length : room;
		bool overlap = rows[i].in < rows[i].out + length && rows[i].out < rows[i].in + length;
		loff_t in = rows[i].in, out = rows[i].out;
		int fd;

		files();
		fd = (int)px_must(open("from", O_RDWR));
		px_err(overlap ? EINVAL : 0, copy_file_range(fd, &in, fd, &out, (size_t)rows[i].length, 0),
		       "same-file/%lld-%lld+%lld", rows[i].in, rows[i].out, rows[i].length);
		close(fd);
	}
}

static void kinds(void)
{
	static const struct {
		const char *name;
		int flags, from, to;	/* errno as source and as target */
	} rows[] = {
		{ "rdonly", O_RDONLY, 0, EBADF }, { "wronly", O_WRONLY, EBADF, 0 }, { "rdwr", O_RDWR, 0, 0 },
		{ "append", O_RDWR | O_APPEND, 0, EBADF }, { "path", O_PATH, EBADF, EBADF },
	};
	loff_t in = 0, out = 0;
	unsigned int i;
	int fd, from, to, ends[2];

	files();
	from = (int)px_must(open("from", O_RDONLY));
	to = (int)px_must(open("to", O_RDWR));
	for (i = 0; i < PX_COUNT(rows); i++) {
		fd = (int)px_must(open("from", rows[i].flags));
		in = out = 0;
		px_err(rows[i].from, copy_file_range(fd, &in, to, &out, 10, 0), "access/from-%s", rows[i].name);
		close(fd);
		fd = (int)px_must(open("to", rows[i].flags));
		in = out = 0;
		px_err(rows[i].to, copy_file_range(from, &in, fd, &out, 10, 0), "access/to-%s", rows[i].name);
		close(fd);
	}
	px_must(pipe(ends));
	px_err(EINVAL, copy_file_range(ends[0], NULL, to, NULL, 10, 0), "from-pipe");
	px_err(EINVAL, copy_file_range(from, NULL, ends[1], NULL, 10, 0), "to-pipe");
	fd = (int)px_must(open(".", O_RDONLY));
	px_err(EISDIR, copy_file_range(fd, NULL, to, NULL, 10, 0), "from-directory");
	close(fd);
	px_err(EBADF, copy_file_range(-1, NULL, to, NULL, 10, 0), "from-bad");
	px_err(EBADF, copy_file_range(from, NULL, -1, NULL, 10, 0), "to-bad");
	px_err(EINVAL, copy_file_range(from, NULL, to, NULL, 10, 1), "flags-1");
	px_err(EINVAL, copy_file_range(from, NULL, to, NULL, 10, 1u << 31), "flags-31");
	in = -1;
	px_err(EOVERFLOW, copy_file_range(from, &in, to, NULL, 10, 0), "from-negative");
	in = 0;
	out = -1;
	px_err(EOVERFLOW, copy_file_range(from, &in, to, &out, 10, 0), "to-negative");
	px_err(EFAULT, syscall(SYS_copy_file_range, from, (void *)1, to, NULL, 10, 0), "efault-from");
	px_err(EFAULT, syscall(SYS_copy_file_range, from, NULL, to, (void *)1, 10, 0), "efault-to");
	in = LLONG_MAX - 5;
	px_num(0, copy_file_range(from, &in, to, NULL, 10, 0), "from-the-end-of-all");
	in = 0;
	out = LLONG_MAX - 5;
	px_note(px_errname(copy_file_range(from, &in, to, &out, 10, 0) < 0 ? errno : 0), "beyond");
	px_must(ftruncate(to, 100));

	/* Without offsets those of the files are used, and move. */
	px_must(lseek(from, 5, SEEK_SET));
	px_must(lseek(to, 7, SEEK_SET));
	px_num(10, copy_file_range(from, NULL, to, NULL, 10, 0), "own-offsets");
	px_num(15, lseek(from, 0, SEEK_CUR), "own-offsets-from");
	px_num(17, lseek(to, 0, SEEK_CUR), "own-offsets-to");
	in = 0;
	px_num(10, copy_file_range(from, &in, to, NULL, 10, 0), "given-offset");
	px_num(15, lseek(from, 0, SEEK_CUR), "given-offset-stays");
	close(from);
	close(to);
	from = (int)px_must(open("/proc/version", O_RDONLY));
	to = (int)px_must(open("to", O_RDWR));
	px_err2(EXDEV, EINVAL, copy_file_range(from, NULL, to, NULL, 10, 0), "from-proc");
	close(from);
	close(to);
	close(ends[0]);
	close(ends[1]);
}

PX_OPERATION(copy_file_range)
{
	int i;

	for (i = 0; i < SIZE; i++) {
		pattern[i] = (char)('a' + (i / 13) % 26);
		other[i] = (char)('A' + (i / 17) % 26);
	}
	ranges();
	same_file();
	kinds();
}

PX_OPERATION(sendfile)
{
	static const long long at[] = { 0, 1, 4096, 10000, 19999, 20000, 30000 };
	static const long long lengths[] = { 0, 1, 4096, 10001, 50000 };
	unsigned int i, l;
	int from, to, ends[2], sockets[2];
	off_t offset;
	loff_t in;

	for (i = 0; i < SIZE; i++) {
		pattern[i] = (char)('a' + (i / 13) % 26);
		other[i] = (char)('A' + (i / 17) % 26);
	}
	files();
	from = (int)px_must(open("from", O_RDONLY));
	for (i = 0; i < PX_COUNT(at); i++) {
		for (l = 0; l < PX_COUNT(lengths); l++) {
			long long room = at[i] < SIZE ? SIZE - at[i] : 0, want = lengths[l] < room ? lengths[l] : room, n;

			to = (int)px_must(open("to", O_RDWR | O_TRUNC));
			offset = at[i];
			n = sendfile(to, from, &offset, (size_t)lengths[l]);
			px_num(want, n, "file/%lld+%lld", at[i], lengths[l]);
			n = px_must(pread(to, seen, sizeof(seen), 0));
			px_str(px_text("%lld same %lld", want, at[i] + want),
			       px_text("%lld %s %lld", n, memcmp(seen, pattern + at[i], (size_t)n) ? "other" : "same",
				       (long long)offset), "file/%lld+%lld/content", at[i], lengths[l]);
			close(to);
		}
	}
	px_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	offset = 100;
	px_num(50, sendfile(sockets[0], from, &offset, 50), "socket");
	px_num(50, read(sockets[1], seen, 100), "socket/read");
	px_num(0, memcmp(seen, pattern + 100, 50), "socket/content");
	px_must(pipe(ends));
	px_num(50, sendfile(ends[1], from, &offset, 50), "pipe");
	px_num(50, read(ends[0], seen, 100), "pipe/read");
	px_num(0, memcmp(seen, pattern + 150, 50), "pipe/content");
	px_must(lseek(from, 10, SEEK_SET));
	px_num(5, sendfile(ends[1], from, NULL, 5), "own-offset");
	px_num(15, lseek(from, 0, SEEK_CUR), "own-offset-moves");
	px_must(read(ends[0], seen, 100));
	in = 200;
	px_num(30, splice(from, &in, ends[1], NULL, 30, 0), "splice-from");
	px_num(230, in, "splice-from/offset");
	to = (int)px_must(open("to", O_RDWR | O_TRUNC));
	in = 5000;
	px_num(30, splice(ends[0], NULL, to, &in, 30, 0), "splice-to");
	px_num(5030, in, "splice-to/offset");
	px_num(5030, px_size_of("to"), "splice-to/size");
	px_must(pread(to, seen, 30, 5000));
	px_num(0, memcmp(seen, pattern + 200, 30), "splice-to/content");
	px_err(EINVAL, splice(from, NULL, to, NULL, 10, 0), "splice-without-pipe");
	px_err(EBADF, sendfile(from, to, NULL, 10), "to-rdonly");
	close(to);
	to = (int)px_must(open("to", O_WRONLY));
	px_err(EBADF, sendfile(sockets[0], to, NULL, 10), "from-wronly");
	offset = -1;
	px_err(EINVAL, sendfile(to, from, &offset, 10), "negative");
	px_err(EFAULT, syscall(SYS_sendfile, to, from, (void *)1, 10), "efault");
	px_err(EBADF, sendfile(-1, from, NULL, 10), "to-bad");
	px_err(EBADF, sendfile(to, -1, NULL, 10), "from-bad");
	close(to);
	to = (int)px_must(open("to", O_WRONLY | O_APPEND));
	px_err(EINVAL, sendfile(to, from, NULL, 10), "to-append");
	close(to);
	to = (int)px_must(open(".", O_RDONLY));
	px_err2(EINVAL, EISDIR, sendfile(ends[1], to, NULL, 10), "from-directory");
	close(to);
	close(from);
}
