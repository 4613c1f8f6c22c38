// SPDX-License-Identifier: Apache-2.0
/*
 * What is refused, and what is not, where there is no space, no quota or no more links.
 * The filesystem of "space" is to be a small one: it is filled.
 */
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/quota.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "px.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

enum { BLOCK = 4096, SMALL = 512 << 20, MOST_LINKS = 65000 };

static char block[16 * BLOCK] __attribute__((aligned(BLOCK)));
/* A store, made durable. */
static const char *store(int fd, off_t at)
{
	char *map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
	const char *seen;

	px_must(map == MAP_FAILED ? -1 : 0);
	seen = px_poke(map, true);
	if (msync(map, BLOCK, MS_SYNC))
		seen = "msync fails";
	munmap(map, BLOCK);
	return seen;
}

/* The file "full" takes all there is; what it has then is on the disk. */
static void fill(int want)
{
	int fd = (int)px_must(open("full", O_WRONLY | O_CREAT | O_APPEND, 0644));
	bool first = true, more = true;
	ssize_t n;

	/* What was reserved for writing all that may come back when it is written. */
	while (more) {
		while ((n = write(fd, block, sizeof(block))) == (ssize_t)sizeof(block))
			;
		if (first)
			px_num(0, n > 0 ? n % BLOCK : 0, "fill/whole-blocks");
		first = false;
		for (more = false; (n = write(fd, block, BLOCK)) > 0; more = true)
			;
		px_must(fsync(fd));
		more |= write(fd, block, BLOCK) > 0 || write(fd, block, 1) > 0;
	}
	px_err(want, write(fd, block, BLOCK), "fill");
	px_err(want, write(fd, block, 1), "fill/a-byte");
	px_err(0, fsync(fd), "fill/fsync");
	px_err(0, close(fd), "fill/close");
}

/* All of it takes blocks that "f" does not have: it has the first two, and ends behind eight. */
static void takes(int want)
{
	int fd = (int)px_must(open("f", O_RDWR)), direct, from, pipes[2];
	struct iovec vec[2] = { { block, BLOCK }, { block, BLOCK } };
	loff_t in = 0, out = 5 * BLOCK;
	long n;

	px_err(want, pwrite(fd, block, BLOCK, 3 * BLOCK), "hole/pwrite");
	px_err(want, pwrite(fd, block, 1, 3 * BLOCK + 7), "hole/pwrite-a-byte");
	px_err(want, pwritev(fd, vec, 2, 4 * BLOCK), "hole/pwritev");
	px_err(want, pwrite(fd, block, BLOCK, 8 * BLOCK), "end/pwrite");
	px_err(want, pwrite(fd, block, BLOCK, 100000LL * BLOCK), "beyond/pwrite");
	px_err(0, pwrite(fd, block, 0, 3 * BLOCK), "hole/pwrite-nothing");
	/* The block that is there is written, the others are not. */
	n = pwrite(fd, block, 3 * BLOCK, BLOCK);
	px_num(BLOCK, n, "partly/pwrite");
	n = pwrite(fd, block, 2 * BLOCK, BLOCK + BLOCK / 2);
	px_num(BLOCK / 2, n, "partly/pwrite-half");
	px_err(want, fallocate(fd, 0, 3 * BLOCK, BLOCK), "fallocate");
	px_err(want, fallocate(fd, FALLOC_FL_KEEP_SIZE, 20 * BLOCK, 16 * BLOCK), "fallocate/keep-size");
	errno = posix_fallocate(fd, 2 * BLOCK, 4 * BLOCK);
	px_err(want, errno ? -1 : 0, "posix_fallocate");
	px_str("SIGBUS", store(fd, 3 * BLOCK), "hole/mmap");
	from = (int)px_must(open("g", O_RDONLY));
	px_err(want, copy_file_range(from, &in, fd, &out, 100, 0), "copy_file_range");
	px_must(lseek(fd, 6 * BLOCK, SEEK_SET));
	px_err(want, sendfile(fd, from, NULL, BLOCK), "sendfile");
	px_must(pipe(pipes));
	px_must(write(pipes[1], block, 100));
	out = 3 * BLOCK;
	px_err(want, splice(pipes[0], NULL, fd, &out, 100, 0), "splice");
	close(pipes[0]);
	close(pipes[1]);
	direct = (int)px_must(open("f", O_RDWR | O_DIRECT));
	px_err(want, pwrite(direct, block, BLOCK, 3 * BLOCK), "direct/hole");
	px_err(want, pwrite(direct, block, BLOCK, 8 * BLOCK), "direct/end");
	close(direct);
	direct = (int)px_must(open("f", O_RDWR | O_SYNC));
	px_err(want, pwrite(direct, block, BLOCK, 3 * BLOCK), "sync/hole");
	close(direct);
	px_num(8 * BLOCK, px_size_of("f"), "size");
	n = pread(fd, block + BLOCK, BLOCK, 3 * BLOCK);
	px_num(BLOCK, n, "hole/pread");
	px_str("zeros", memchr(block + BLOCK, 'x', BLOCK) ? "data" : "zeros", "hole/is-a-hole");
	memset(block, 'x', sizeof(block));
	close(from);
	close(fd);
}

/* Nothing of it takes a block. */
static void takes_none(void)
{
	int fd = (int)px_must(open("f", O_RDWR)), direct;
	struct stat st;

	px_num(BLOCK, pwrite(fd, block, BLOCK, 0), "there/pwrite");
	px_num(1, pwrite(fd, block, 1, 77), "there/pwrite-a-byte");
	px_err(0, fsync(fd), "there/fsync");
	px_str("fine", store(fd, 0), "there/mmap");
	direct = (int)px_must(open("f", O_RDWR | O_DIRECT));
	px_num(BLOCK, pwrite(direct, block, BLOCK, 0), "there/direct");
	px_num(BLOCK, pread(direct, block, BLOCK, BLOCK), "there/direct-read");
	close(direct);
	px_err(0, fallocate(fd, 0, 0, BLOCK), "there/fallocate");
	px_err(0, ftruncate(fd, 200 * BLOCK), "truncate/up");
	px_err(0, ftruncate(fd, 8 * BLOCK), "truncate/back");
	px_err(0, fdatasync(fd), "fdatasync");
	px_err(0, syncfs(fd), "syncfs");
	px_err(0, fchmod(fd, 0600), "fchmod");
	px_err(0, fchown(fd, -1, -1), "fchown/nobody");
	px_err(0, futimens(fd, NULL), "futimens");
	px_err(0, fstat(fd, &st), "fstat");
	px_err(0, rename("f", "f2"), "rename");
	px_err(0, rename("f2", "f"), "rename/back");
	px_err(0, link("f", "f3"), "link");
	px_err(0, unlink("f3"), "link/unlink");
	px_err(0, rename("h", "g"), "rename/over");
	px_err(0, rmdir("d"), "rmdir");
	px_err(0, close(fd), "close");
}

/* What was given back can be taken. */
static void gives(void)
{
	int fd = (int)px_must(open("full", O_RDWR)), i;
	off_t size = px_size_of("full");
	struct statvfs st;
	char name[8];

	px_err(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20), "punch");
	px_err(0, ftruncate(fd, size - (1 << 20)), "truncate");
	close(fd);
	sync();
	fd = (int)px_must(open("f", O_RDWR));
	px_num(BLOCK, pwrite(fd, block, BLOCK, 3 * BLOCK), "again/pwrite");
	px_str("fine", store(fd, 4 * BLOCK), "again/mmap");
	px_err(0, fallocate(fd, 0, 5 * BLOCK, BLOCK), "again/fallocate");
	px_err(0, fsync(fd), "again/fsync");
	close(fd);
	px_err(0, unlink("full"), "unlink");
	sync();
	px_must(statvfs(".", &st));
	px_num(1, st.f_bavail > 0, "unlink/available");
	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fd = open(name, O_WRONLY | O_CREAT, 0644);
		px_num(sizeof(block), write(fd, block, sizeof(block)), "again/new-%d", i);
		close(fd);
	}
}

static void files(void)
{
	int fd = (int)px_must(open("f", O_RDWR | O_CREAT, 0644));

	memset(block, 'x', sizeof(block));
	px_must(write(fd, block, 2 * BLOCK));
	px_must(ftruncate(fd, 8 * BLOCK));
	px_must(fsync(fd));
	close(fd);
	px_file("g", 0644, "of another");
	px_file("h", 0644, "of a third");
	px_must(mkdir("d", 0755));
	fd = (int)px_must(open("g", O_WRONLY));
	px_must(ftruncate(fd, 2 * BLOCK));
	close(fd);
	sync();
}

PX_OPERATION_ASKED(space)
{
	struct statvfs st;

	px_must(statvfs(".", &st));
	if ((uint64_t)st.f_bavail * st.f_frsize > SMALL)
		px_skip_rest("it is too large to be filled");
	files();
	fill(ENOSPC);
	takes(ENOSPC);
	takes_none();
	gives();
}

static long quota(int cmd, int type, uint32_t id, struct if_dqblk *d)
{
	int fd = (int)px_must(open(".", O_RDONLY | O_DIRECTORY));
	long ret = syscall(SYS_quotactl_fd, fd, QCMD(cmd, type), id, d);
	int code = errno;

	close(fd);
	errno = code;
	return ret;
}

/* More than there is now: blocks of BLOCK, and inodes. */
static void limit(int type, uint32_t id, uint64_t blocks, uint64_t inodes)
{
	struct if_dqblk now = { 0 }, d = { .dqb_valid = QIF_LIMITS };

	sync();
	px_must(quota(Q_GETQUOTA, type, id, &now));
	if (blocks)
		d.dqb_bhardlimit = now.dqb_curspace / 1024 + blocks * BLOCK / 1024;
	if (inodes)
		d.dqb_ihardlimit = now.dqb_curinodes + inodes - 1;
	px_must(quota(Q_SETQUOTA, type, id, &d));
}

/* One that is made, and goes away if it was. */
static void made(int want, const char *kind, const char *how)
{
	long ret = -1;

	if (!strcmp(kind, "open"))
		ret = open("new", O_RDWR | O_CREAT, 0644);
	else if (!strcmp(kind, "tmpfile"))
		ret = open(".", O_RDWR | O_TMPFILE, 0644);
	else if (!strcmp(kind, "mkdir"))
		ret = mkdir("new", 0755);
	else if (!strcmp(kind, "symlink"))
		ret = symlink("to", "new");
	else if (!strcmp(kind, "mknod"))
		ret = mknod("new", S_IFREG | 0644, 0);
	else if (!strcmp(kind, "mkfifo"))
		ret = mkfifo("new", 0644);
	px_err(want, ret, "inode/%s/%s", how, kind);
	if (want)
		px_str("none", px_what("new"), "inode/%s/%s/is", how, kind);
	if (ret > 0)
		close((int)ret);
	unlink("new");
	rmdir("new");
}

static const char *const kinds[] = { "open", "tmpfile", "mkdir", "symlink", "mknod", "mkfifo" };

static void inodes(int type, uint32_t id, const char *how)
{
	static const struct px_who beyond = {
		"beyond", PX_U1, PX_G1, 0, { 0 }, PX_CAP(CAP_SYS_RESOURCE)
	};
	unsigned int i;

	limit(type, id, 0, 1);
	px_become(&px_u1);
	for (i = 0; i < PX_COUNT(kinds); i++)
		made(EDQUOT, kinds[i], how);
	px_err(0, link("f", "f4"), "inode/%s/link", how);
	px_err(0, rename("f4", "f5"), "inode/%s/rename", how);
	px_err(0, unlink("f5"), "inode/%s/unlink", how);
	/* Who may go beyond them does. */
	px_become(&beyond);
	for (i = 0; i < PX_COUNT(kinds); i++)
		made(0, kinds[i], px_text("%s/resource", how));
	px_root();
	limit(type, id, 0, 2);
	px_become(&px_u1);
	for (i = 0; i < PX_COUNT(kinds); i++)
		made(0, kinds[i], px_text("%s/one-more", how));
	px_root();
}

/* Its new owner may not have it: to root it is all the same. */
static void owners(void)
{
	static const struct px_who chowner = {
		"chowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_CHOWN)
	};
	int fd = (int)px_must(open("given", O_RDWR | O_CREAT, 0644));

	px_must(write(fd, block, 8 * BLOCK));
	px_must(fsync(fd));
	close(fd);
	px_own("given", PX_U2, PX_G2, 0644);
	limit(USRQUOTA, PX_U1, 4, 0);
	px_become(&chowner);
	px_err(EDQUOT, chown("given", PX_U1, -1), "chown/blocks");
	px_root();
	limit(USRQUOTA, PX_U1, 0, 1);
	px_become(&chowner);
	px_err(EDQUOT, chown("given", PX_U1, -1), "chown/inodes");
	px_root();
	limit(USRQUOTA, PX_U1, 8, 2);
	px_become(&chowner);
	px_err(0, chown("given", PX_U1, -1), "chown/room");
	px_root();
	limit(GRPQUOTA, PX_G1, 4, 0);
	px_become(&chowner);
	px_err(EDQUOT, chown("given", -1, PX_G1), "chgrp/blocks");
	px_root();
	limit(GRPQUOTA, PX_G1, 0, 0);
	px_become(&chowner);
	px_err(0, chown("given", -1, PX_G1), "chgrp/room");
	px_root();
	px_must(unlink("given"));
}

PX_OPERATION_ASKED(quota)
{
	struct if_dqblk d;

	if (quota(Q_GETQUOTA, USRQUOTA, 0, &d))
		px_skip_rest("no quotas");
	px_become(&px_u1);
	files();
	px_root();
	limit(USRQUOTA, PX_U1, 1000, 0);
	px_become(&px_u1);
	fill(EDQUOT);
	takes(EDQUOT);
	takes_none();
	px_root();
	px_err(0, open("beside", O_WRONLY | O_CREAT, 0644), "another/open");
	px_become(&px_u1);
	gives();
	px_root();
	inodes(USRQUOTA, PX_U1, "user");
	limit(USRQUOTA, PX_U1, 0, 0);
	inodes(GRPQUOTA, PX_G1, "group");
	limit(GRPQUOTA, PX_G1, 0, 0);
	owners();
	limit(USRQUOTA, PX_U1, 0, 0);
}

/* As many names as ext4 lets a file have, and one more. */
PX_OPERATION(link_many)
{
	struct stat st;
	char name[16];
	long ret = 0;
	int i;

	px_file("f", 0644, "x");
	for (i = 1; i < MOST_LINKS && !ret; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		ret = link("f", name);
	}
	px_err(0, ret, "most");
	px_must(stat("f", &st));
	px_num(MOST_LINKS, st.st_nlink, "nlink");
	ret = link("f", "more");
	px_note(ret ? px_errname(errno) : "fine", "more/link");
	ret = rename("l1", "l2");
	px_err(0, ret, "most/rename");
	unlink("more");
	for (i = 1; i < MOST_LINKS && !ret; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		ret = unlink(name);
	}
	px_err(0, ret, "unlink");
	px_must(stat("f", &st));
	px_num(1, st.st_nlink, "unlink/nlink");
}
