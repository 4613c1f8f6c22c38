// SPDX-License-Identifier: Apache-2.0
/*
 * What a mount takes away: read-only, without programs, devices and set-user-id; and
 * what is between two mounts.  In a mount namespace of its own.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "px.h"

static long done(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* Paths are below a bind mount of the directory they are made in; "f", "d", "l" are there. */
static long op_read(void) { return done(open("m/f", O_RDONLY)); }
static long op_write(void) { return done(open("m/f", O_WRONLY)); }
static long op_rdwr(void) { return done(open("m/f", O_RDWR)); }
static long op_trunc(void) { return done(open("m/f", O_RDONLY | O_TRUNC)); }
static long op_creat(void) { return done(open("m/new", O_RDONLY | O_CREAT, 0644)); }
static long op_creat_there(void) { return done(open("m/f", O_RDONLY | O_CREAT, 0644)); }
static long op_excl_there(void) { return done(open("m/f", O_RDONLY | O_CREAT | O_EXCL, 0644)); }
static long op_tmpfile(void) { return done(open("m", O_RDWR | O_TMPFILE, 0644)); }
static long op_path(void) { return done(open("m/f", O_PATH)); }
static long op_fifo(void) { return done(open("m/p", O_RDWR | O_NONBLOCK)); }
static long op_truncate(void) { return truncate("m/f", 1); }
static long op_mkdir(void) { return mkdir("m/new", 0755); }
static long op_mkdir_there(void) { return mkdir("m/d", 0755); }
static long op_rmdir(void) { return rmdir("m/d"); }
static long op_rmdir_none(void) { return rmdir("m/none"); }
static long op_unlink(void) { return unlink("m/f"); }
static long op_unlink_none(void) { return unlink("m/none"); }
static long op_mknod(void) { return mknod("m/new", S_IFREG | 0644, 0); }
static long op_mkfifo(void) { return mknod("m/new", S_IFIFO | 0644, 0); }
static long op_symlink(void) { return symlink("x", "m/new"); }
static long op_symlink_there(void) { return symlink("x", "m/f"); }
static long op_link(void) { return link("m/f", "m/new"); }
static long op_rename(void) { return rename("m/f", "m/new"); }
static long op_rename_none(void) { return rename("m/none", "m/new"); }
static long op_chmod(void) { return chmod("m/f", 0600); }
static long op_chown(void) { return chown("m/f", 1, 1); }
static long op_lchown(void) { return lchown("m/l", 1, 1); }
static long op_utimens(void) { return utimensat(AT_FDCWD, "m/f", NULL, 0); }
static long op_access_w(void) { return access("m/f", W_OK); }
static long op_access_dir_w(void) { return access("m/d", W_OK); }
static long op_access_fifo_w(void) { return access("m/p", W_OK); }
static long op_access_r(void) { return access("m/f", R_OK); }
static long op_stat(void)
{
	struct stat st;

	return stat("m/f", &st);
}

static long op_readlink(void)
{
	char text[10];

	return readlink("m/l", text, sizeof(text));
}

static long op_setxattr(void) { return setxattr("m/f", "user.a", "v", 1, 0); }
static long op_removexattr(void) { return removexattr("m/f", "user.a"); }

static const struct {
	const char *name;
	long (*act)(void);
	int want;
} read_only[] = {
	{ "open-rdonly", op_read, 0 }, { "open-wronly", op_write, EROFS }, { "open-rdwr", op_rdwr, EROFS },
	{ "open-trunc", op_trunc, EROFS }, { "open-creat", op_creat, EROFS }, { "open-creat-there", op_creat_there, 0 },
	{ "open-excl-there", op_excl_there, EEXIST }, { "open-tmpfile", op_tmpfile, EROFS },
	{ "open-path", op_path, 0 }, { "open-fifo", op_fifo, 0 }, { "truncate", op_truncate, EROFS },
	{ "mkdir", op_mkdir, EROFS }, { "mkdir-there", op_mkdir_there, EEXIST }, { "rmdir", op_rmdir, EROFS },
	{ "rmdir-none", op_rmdir_none, EROFS }, { "unlink", op_unlink, EROFS }, { "unlink-none", op_unlink_none, EROFS },
	{ "mknod", op_mknod, EROFS }, { "mkfifo", op_mkfifo, EROFS }, { "symlink", op_symlink, EROFS },
	{ "symlink-there", op_symlink_there, EEXIST }, { "link", op_link, EROFS }, { "rename", op_rename, EROFS },
	{ "rename-none", op_rename_none, EROFS }, { "chmod", op_chmod, EROFS }, { "chown", op_chown, EROFS },
	{ "lchown", op_lchown, EROFS }, { "utimensat", op_utimens, EROFS }, { "access-w", op_access_w, EROFS },
	{ "access-directory-w", op_access_dir_w, EROFS }, { "access-fifo-w", op_access_fifo_w, 0 },
	{ "access-r", op_access_r, 0 }, { "stat", op_stat, 0 }, { "readlink", op_readlink, 0 },
	{ "setxattr", op_setxattr, EROFS }, { "removexattr", op_removexattr, EROFS },
};

static void remount(unsigned long flags)
{
	px_must(mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | flags, NULL));
}

static int run_program(const char *path)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)px_must(fork());
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		execl(path, path, "-l", NULL);
		_exit(errno);
	}
	px_must(waitpid(pid, &status, 0));
	return WEXITSTATUS(status);
}

static void copy_program(const char *path)
{
	char buffer[65536];
	int in = (int)px_must(open("/proc/self/exe", O_RDONLY));
	int out = (int)px_must(open(path, O_WRONLY | O_CREAT, 0755));
	ssize_t n;

	while ((n = px_must(read(in, buffer, sizeof(buffer)))))
		px_must(write(out, buffer, (size_t)n));
	close(in);
	close(out);
}

static void in_namespace(void *arg)
{
	struct px_age age = { .path = "m/f" };
	unsigned int i;
	int fd;
	char byte;

	(void)arg;
	px_must(unshare(CLONE_NEWNS));
	px_must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	px_must(mkdir("m", 0777));
	px_must(mkdir("m/d", 0777));
	px_file("m/f", 0666, "content");
	px_must(symlink("f", "m/l"));
	px_must(mkfifo("m/p", 0666));
	px_must(mknod("m/null", S_IFCHR | 0666, makedev(1, 3)));
	copy_program("m/program");
	fd = (int)px_must(open("m/f", O_RDWR));
	px_must(mount("m", "m", NULL, MS_BIND, NULL));
	remount(MS_RDONLY);
	for (i = 0; i < PX_COUNT(read_only); i++)
		px_err(read_only[i].want, read_only[i].act(), "ro/%s", read_only[i].name);
	/* It is the mount that is read-only, not what was opened before. */
	px_err(0, write(fd, "x", 1), "ro/opened-before-write");
	px_err(0, ftruncate(fd, 3), "ro/opened-before-ftruncate");
	close(fd);
	px_num(0, run_program("m/program"), "ro/exec");

	remount(MS_NOATIME);
	px_age(&age, 1);
	fd = (int)px_must(open("m/f", O_RDONLY));
	px_must(read(fd, &byte, 1));
	px_str("-", px_touched(&age), "noatime/read");
	close(fd);
	remount(MS_NODIRATIME | MS_RELATIME);
	px_age(&age, 1);
	fd = (int)px_must(open("m/f", O_RDONLY));
	px_must(read(fd, &byte, 1));
	px_str("a", px_touched(&age), "nodiratime/read");
	close(fd);
	age.path = "m/d";
	px_age(&age, 1);
	fd = (int)px_must(open("m/d", O_RDONLY));
	px_must(syscall(SYS_getdents64, fd, (char[512]){ 0 }, 512));
	close(fd);
	px_str("-", px_touched(&age), "nodiratime/readdir");

	remount(MS_NOEXEC);
	px_num(EACCES, run_program("m/program"), "noexec/exec");
	px_err(EACCES, access("m/program", X_OK), "noexec/access");
	px_err(0, access("m/d", X_OK), "noexec/access-directory");
	remount(MS_NODEV);
	px_err(EACCES, done(open("m/null", O_RDWR)), "nodev/open");
	px_err(0, done(open("m/null", O_PATH)), "nodev/open-path");
	px_err(0, mknod("m/null2", S_IFCHR | 0666, makedev(1, 3)), "nodev/mknod");
	remount(MS_NOSYMFOLLOW);
	px_err(ELOOP, done(open("m/l", O_RDONLY)), "nosymfollow/open");
	px_err(0, op_readlink(), "nosymfollow/readlink");
	remount(0);

	/* Two mounts of one filesystem are two. */
	px_file("f", 0644, "");
	px_err(EXDEV, rename("f", "m/new"), "between/rename-in");
	px_err(EXDEV, rename("m/f", "new"), "between/rename-out");
	px_err(EXDEV, link("f", "m/new"), "between/link-in");
	px_err(EXDEV, link("m/f", "new"), "between/link-out");
	px_err(EBUSY, rmdir("m"), "point/rmdir");
	px_err(EBUSY, rename("m", "n"), "point/rename");
	px_must(mkdir("e", 0755));
	px_err(EBUSY, rename("e", "m"), "point/rename-onto");
	px_err(EBUSY, (long)syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "m", 2), "point/exchange");
	px_must(mount("f", "f", NULL, MS_BIND, NULL));
	px_err(EBUSY, unlink("f"), "point/unlink");
	px_must(umount2("f", MNT_DETACH));
	px_err(0, unlink("f"), "point/unlink-after");
	fd = (int)px_must(open("m/f", O_RDONLY));
	px_err(EBUSY, umount("m"), "umount-busy");
	close(fd);
	px_err(0, umount("m"), "umount");
	px_must(umask(0) & 0);
}

PX_OPERATION(mounts)
{
	px_child(in_namespace, NULL);
}
