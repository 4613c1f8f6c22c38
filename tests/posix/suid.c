// SPDX-License-Identifier: Apache-2.0
/* Set-user-id and set-group-id: gone after every change of content by those who may not set them. */
#include <linux/capability.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "px.h"

/* The file is U1's and G1's; all may write. */
static const struct px_who whos[] = {
	{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 },
	{ "member", PX_U2, PX_G2, 1, { PX_G1 }, 0 },
	{ "other", PX_U2, PX_G2, 0, { 0 }, 0 },
	{ "other-fsetid", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FSETID) },
	{ "root", 0, 0, 0, { 0 }, 0 },
	{ "root-without-fsetid", 0, 0, 0, { 0 }, PX_CAP(CAP_FSETID) },
};

static long by_write(int fd) { return write(fd, "x", 1); }
static long by_write_nothing(int fd) { return write(fd, "", 0); }
static long by_pwrite(int fd) { return pwrite(fd, "x", 1, 2); }
static long by_append(int fd)
{
	px_must(lseek(fd, 0, SEEK_END));
	return write(fd, "x", 1);
}

static long by_writev(int fd)
{
	struct iovec iov[2] = { { (char *)"a", 1 }, { (char *)"b", 1 } };

	return writev(fd, iov, 2);
}

static long by_ftruncate(int fd) { return ftruncate(fd, 1); }
static long by_ftruncate_same(int fd) { return ftruncate(fd, 7); }
static long by_ftruncate_more(int fd) { return ftruncate(fd, 8); }
static long by_truncate(int fd)
{
	(void)fd;
	return truncate("x", 2);
}

static long by_open_trunc(int fd)
{
	(void)fd;
	fd = open("x", O_WRONLY | O_TRUNC);
	if (fd >= 0)
		close(fd);
	return fd;
}

static long by_fallocate(int fd) { return fallocate(fd, 0, 0, 4096); }
static long by_keep_size(int fd) { return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536); }
static long by_punch(int fd) { return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }
static long by_zero(int fd) { return fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096); }

static long by_copy(int fd)
{
	loff_t in = 0, out = 0;
	int from = (int)px_must(open("source", O_RDONLY));
	long ret = copy_file_range(from, &in, fd, &out, 4, 0);
	int code = errno;

	close(from);
	errno = code;
	return ret;
}

static long by_sendfile(int fd)
{
	off_t in = 0;
	int from = (int)px_must(open("source", O_RDONLY));
	long ret = sendfile(fd, from, &in, 4);
	int code = errno;

	close(from);
	errno = code;
	return ret;
}

static long by_splice(int fd)
{
	int ends[2];
	long ret;

	px_must(pipe(ends));
	px_must(write(ends[1], "xx", 2));
	ret = splice(ends[0], NULL, fd, NULL, 2, 0);
	close(ends[0]);
	close(ends[1]);
	return ret;
}

static const struct {
	const char *name;
	long (*change)(int fd);
	bool nothing;		/* changes nothing, clears nothing */
} changes[] = {
	{ "write", by_write, false }, { "write-nothing", by_write_nothing, true },
	{ "pwrite", by_pwrite, false }, { "append", by_append, false }, { "writev", by_writev, false },
	{ "ftruncate", by_ftruncate, false }, { "ftruncate-same", by_ftruncate_same, false },
	{ "ftruncate-more", by_ftruncate_more, false }, { "truncate", by_truncate, false },
	{ "open-trunc", by_open_trunc, false }, { "fallocate", by_fallocate, false },
	{ "fallocate-keep-size", by_keep_size, false }, { "punch-hole", by_punch, false },
	{ "zero-range", by_zero, false }, { "copy_file_range", by_copy, false },
	{ "sendfile", by_sendfile, false }, { "splice", by_splice, false },
};

static mode_t left(const struct px_who *who, mode_t mode)
{
	bool member = who->gid == PX_G1 || (who->ngroups && who->groups[0] == PX_G1);

	if ((who->uid ? who->caps : ~who->caps) & PX_CAP(CAP_FSETID))
		return mode;
	mode &= ~04000u;
	if ((mode & 010) || !member)
		mode &= ~02000u;
	return mode;
}

PX_OPERATION(suid)
{
	static const mode_t modes[] = { 0666, 04777, 02777, 06777, 02767, 06766, 07777, 04666 };
	unsigned int w, c, m;
	int fd, code;

	px_file("source", 0644, "source");
	for (c = 0; c < PX_COUNT(changes); c++)
	for (w = 0; w < PX_COUNT(whos); w++)
	for (m = 0; m < PX_COUNT(modes); m++) {
		px_file("x", 0666, "content");
		px_own("x", PX_U1, PX_G1, modes[m]);
		px_become(&whos[w]);
		fd = (int)px_must(open("x", O_RDWR));
		code = changes[c].change(fd) < 0 ? errno : 0;
		close(fd);
		px_root();
		px_str(px_text("OK %04o", changes[c].nothing ? modes[m] : left(&whos[w], modes[m])),
		       px_text("%s %04o", px_errname(code), px_mode_of("x")), "%s/%s/%04o", changes[c].name,
		       whos[w].name, modes[m]);
		px_remove("x");
	}
	/* Reading, and what is only about the inode, clears nothing. */
	px_file("x", 0666, "content");
	px_own("x", PX_U1, PX_G1, 06777);
	px_become(&px_u2);
	fd = (int)px_must(open("x", O_RDWR));
	px_must(read(fd, &code, 1));
	px_must(fsync(fd));
	px_mode(06777, px_mode_of("x"), "read-and-fsync");
	px_must(utimensat(AT_FDCWD, "x", NULL, 0));
	px_mode(06777, px_mode_of("x"), "utimensat");
	close(fd);
	px_root();
	px_must(rename("x", "y"));
	px_mode(06777, px_mode_of("y"), "rename");
	px_must(link("y", "x"));
	px_mode(06777, px_mode_of("y"), "link");
}
