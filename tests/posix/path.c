// SPDX-License-Identifier: Apache-2.0
/*
 * Every call that takes a path: what is at the end of it, and everything that can be
 * wrong with it, limits included.
 */
#include <dirent.h>
#include <linux/openat2.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/inotify.h>
#include <sys/xattr.h>

#include "px.h"

static int done(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int do_open(const char *path) { return done(open(path, O_RDONLY | O_NONBLOCK)); }
static int do_open_write(const char *path) { return done(open(path, O_WRONLY)); }
static int do_open_creat(const char *path) { return done(open(path, O_RDONLY | O_CREAT, 0644)); }
static int do_open_excl(const char *path) { return done(open(path, O_RDONLY | O_CREAT | O_EXCL, 0644)); }
static int do_open_path(const char *path) { return done(open(path, O_PATH)); }
static int do_open_dir(const char *path) { return done(open(path, O_RDONLY | O_DIRECTORY)); }
static int do_open_nofollow(const char *path) { return done(open(path, O_RDONLY | O_NOFOLLOW)); }
static int do_tmpfile(const char *path) { return done(open(path, O_TMPFILE | O_RDWR, 0600)); }

static int do_openat2(const char *path)
{
	struct open_how how = { .flags = O_RDONLY };

	return done((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

static int do_stat(const char *path)
{
	struct stat st;

	return stat(path, &st);
}

static int do_lstat(const char *path)
{
	struct stat st;

	return lstat(path, &st);
}

static int do_statx(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &st);
}

static int do_statfs(const char *path)
{
	struct statfs st;

	return (int)syscall(SYS_statfs, path, &st);
}

static int do_access(const char *path) { return access(path, R_OK); }
static int do_faccessat2(const char *path)
{
	return (int)syscall(SYS_faccessat2, AT_FDCWD, path, R_OK, AT_SYMLINK_NOFOLLOW);
}

static int do_chmod(const char *path) { return chmod(path, 0755); }
static int do_chown(const char *path) { return chown(path, 0, 0); }
static int do_lchown(const char *path) { return lchown(path, 0, 0); }
static int do_utimens(const char *path) { return (int)syscall(SYS_utimensat, AT_FDCWD, path, NULL, 0); }
static int do_lutimens(const char *path)
{
	return (int)syscall(SYS_utimensat, AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static int do_truncate(const char *path) { return truncate(path, 3); }
static int do_mkdir(const char *path) { return mkdir(path, 0755); }
static int do_rmdir(const char *path) { return rmdir(path); }
static int do_unlink(const char *path) { return unlink(path); }
static int do_mknod(const char *path) { return (int)syscall(SYS_mknod, path, S_IFREG | 0644, 0); }
static int do_mkfifo(const char *path) { return (int)syscall(SYS_mknod, path, S_IFIFO | 0644, 0); }
static int do_symlink(const char *path) { return symlink("target", path); }
static int do_link_from(const char *path) { return link(path, "linked"); }
static int do_link_follow(const char *path)
{
	return linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW);
}

static int do_link_to(const char *path) { return link("other", path); }
static int do_rename_from(const char *path) { return rename(path, "renamed"); }
static int do_rename_to(const char *path) { return rename("other", path); }
static int do_rename_dir_to(const char *path) { return rename("otherdir", path); }

static int do_readlink(const char *path)
{
	char buffer[64];

	return readlink(path, buffer, sizeof(buffer)) < 0 ? -1 : 0;
}

static int do_chdir(const char *path)
{
	int fd = (int)px_must(open(".", O_PATH)), ret = chdir(path), code = errno;

	px_must(fchdir(fd));
	close(fd);
	errno = code;
	return ret;
}

static int do_watch(const char *path)
{
	int fd = (int)px_must(inotify_init()), ret = inotify_add_watch(fd, path, IN_OPEN), code = errno;

	close(fd);
	errno = code;
	return ret < 0 ? -1 : 0;
}

/* Where a path leads; other names are for one that is not there. */
enum { FILE_, MISSING, DIR_, LINK_, LINKDIR, DANGLING_, FILE_SLASH, MISSING_SLASH, DIR_SLASH, LINKDIR_SLASH,
	DANGLING_SLASH, DIR_DOT, LOOP_, KINDS };

static const struct {
	const char *name, *path;
} kinds[KINDS] = {
	{ "file", "f" }, { "missing", "none" }, { "dir", "d" }, { "link", "l" }, { "linkdir", "ld" },
	{ "dangling", "dl" }, { "file-slash", "f/" }, { "missing-slash", "none/" }, { "dir-slash", "d/" },
	{ "linkdir-slash", "ld/" }, { "dangling-slash", "dl/" }, { "dir-dot", "d/." }, { "loop", "loop" },
};

#define S 0
static const struct {
	const char *name;
	int (*call)(const char *path);
	int want[KINDS];
} calls[] = {
#define FOLLOWS ENOENT, S, S, S, ENOENT, ENOTDIR, ENOENT, S, S, ENOENT, S, ELOOP
#define ITSELF ENOENT, S, S, S, S, ENOTDIR, ENOENT, S, S, ENOENT, S, S
#define MAKES S, EEXIST, EEXIST, EEXIST, EEXIST
	{ "open", do_open, { S, FOLLOWS } },
	{ "openat2", do_openat2, { S, FOLLOWS } },
	{ "open-path", do_open_path, { S, FOLLOWS } },
	{ "stat", do_stat, { S, FOLLOWS } },
	{ "statx", do_statx, { S, FOLLOWS } },
	{ "statfs", do_statfs, { S, FOLLOWS } },
	{ "access", do_access, { S, FOLLOWS } },
	{ "chmod", do_chmod, { S, FOLLOWS } },
	{ "chown", do_chown, { S, FOLLOWS } },
	{ "utimensat", do_utimens, { S, FOLLOWS } },
	{ "inotify", do_watch, { S, FOLLOWS } },
	{ "lstat", do_lstat, { S, ITSELF } },
	{ "faccessat2-nofollow", do_faccessat2, { S, ITSELF } },
	{ "lchown", do_lchown, { S, ITSELF } },
	{ "utimensat-nofollow", do_lutimens, { S, ITSELF } },
	{ "open-dir", do_open_dir,
	  { ENOTDIR, ENOENT, S, ENOTDIR, S, ENOENT, ENOTDIR, ENOENT, S, S, ENOENT, S, ELOOP } },
	{ "chdir", do_chdir,
	  { ENOTDIR, ENOENT, S, ENOTDIR, S, ENOENT, ENOTDIR, ENOENT, S, S, ENOENT, S, ELOOP } },
	{ "tmpfile", do_tmpfile,
	  { ENOTDIR, ENOENT, S, ENOTDIR, S, ENOENT, ENOTDIR, ENOENT, S, S, ENOENT, S, ELOOP } },
	{ "open-write", do_open_write,
	  { S, ENOENT, EISDIR, S, EISDIR, ENOENT, ENOTDIR, ENOENT, EISDIR, EISDIR, ENOENT, EISDIR, ELOOP } },
	{ "truncate", do_truncate,
	  { S, ENOENT, EISDIR, S, EISDIR, ENOENT, ENOTDIR, ENOENT, EISDIR, EISDIR, ENOENT, EISDIR, ELOOP } },
	{ "open-nofollow", do_open_nofollow,
	  { S, ENOENT, S, ELOOP, ELOOP, ELOOP, ENOTDIR, ENOENT, S, S, ENOENT, S, ELOOP } },
	{ "open-creat", do_open_creat,
	  { S, S, EISDIR, S, EISDIR, S, EISDIR, EISDIR, EISDIR, EISDIR, EISDIR, EISDIR, ELOOP } },
	{ "open-excl", do_open_excl,
	  { EEXIST, S, EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, EISDIR, EISDIR, EISDIR, EISDIR, EEXIST, EEXIST } },
	{ "mkdir", do_mkdir,
	  { EEXIST, MAKES, EEXIST, S, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "mknod", do_mknod,
	  { EEXIST, MAKES, EEXIST, ENOENT, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "mkfifo", do_mkfifo,
	  { EEXIST, MAKES, EEXIST, ENOENT, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "symlink", do_symlink,
	  { EEXIST, MAKES, EEXIST, ENOENT, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "link-to", do_link_to,
	  { EEXIST, MAKES, EEXIST, ENOENT, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "link-from", do_link_from,
	  { S, ENOENT, EPERM, S, S, S, ENOTDIR, ENOENT, EPERM, EPERM, ENOENT, EPERM, S } },
	{ "link-from-follow", do_link_follow,
	  { S, ENOENT, EPERM, S, EPERM, ENOENT, ENOTDIR, ENOENT, EPERM, EPERM, ENOENT, EPERM, ELOOP } },
	{ "rmdir", do_rmdir,
	  { ENOTDIR, ENOENT, S, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT, S, ENOTDIR, ENOTDIR, EINVAL, ENOTDIR } },
	{ "unlink", do_unlink,
	  { S, ENOENT, EISDIR, S, S, S, ENOTDIR, ENOENT, EISDIR, ENOTDIR, ENOTDIR, EISDIR, S } },
	{ "rename-from", do_rename_from,
	  { S, ENOENT, S, S, S, S, ENOTDIR, ENOENT, S, ENOTDIR, ENOTDIR, EBUSY, S } },
	{ "rename-to", do_rename_to,
	  { S, S, EISDIR, S, S, S, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, EBUSY, S } },
	{ "rename-dir-to", do_rename_dir_to,
	  { ENOTDIR, S, S, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, S, S, ENOTDIR, ENOTDIR, EBUSY, ENOTDIR } },
	{ "readlink", do_readlink,
	  { EINVAL, ENOENT, EINVAL, S, S, S, ENOTDIR, ENOENT, EINVAL, EINVAL, ENOENT, EINVAL, S } },
};

static void objects(void)
{
	px_file("f", 0644, "content");
	px_file("other", 0644, "other");
	px_must(mkdir("d", 0755));
	px_must(mkdir("otherdir", 0755));
	px_must(symlink("f", "l"));
	px_must(symlink("d", "ld"));
	px_must(symlink("none", "dl"));
	px_must(symlink("loop", "loop"));
}

static void no_objects(void)
{
	static const char *const names[] = {
		"f", "other", "d", "otherdir", "l", "ld", "dl", "loop", "none", "linked", "renamed", "target",
	};
	unsigned int i;

	for (i = 0; i < PX_COUNT(names); i++)
		px_remove(names[i]);
}

PX_OPERATION(path)
{
	unsigned int c, k;

	for (c = 0; c < PX_COUNT(calls); c++) {
		for (k = 0; k < KINDS; k++) {
			objects();
			px_err(calls[c].want[k], calls[c].call(kinds[k].path), "%s/%s", calls[c].name,
			       kinds[k].name);
			no_objects();
		}
	}
}

/* ---- what is wrong with every path ------------------------------------------------- */

static char name255[256], name256[257], below256[300], long4095[4096], long4096[4097];

/* "./././f", of @length bytes. */
static void long_path(char *path, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		path[i] = i & 1 ? '/' : '.';
	/* An even number of characters in front of the name: then one of two slashes. */
	if ((length - 1) & 1)
		path[length - 2] = '/';
	path[length - 1] = 'f';
	path[length] = 0;
}

static const struct px_who nobody = { "nobody", PX_U3, PX_G3, 0, { 0 }, 0 };

PX_OPERATION(path_error)
{
	static const struct {
		const char *name, *path;
		int want;
	} wrong[] = {
		{ "empty", "", ENOENT },
		{ "efault", (const char *)1, EFAULT },
		{ "missing-parent", "none/x", ENOENT },
		{ "missing-grandparent", "none/x/y", ENOENT },
		{ "file-parent", "f/x", ENOTDIR },
		{ "file-grandparent", "f/x/y", ENOTDIR },
		{ "file-dotdot", "f/../f", ENOTDIR },
		{ "missing-dotdot", "none/../f", ENOENT },
		{ "fifo-parent", "fifo/x", ENOTDIR },
		{ "link-to-file-parent", "l/x", ENOTDIR },
		{ "dangling-parent", "dl/x", ENOENT },
		{ "loop-parent", "loop/x", ELOOP },
		{ "loop-of-two", "loop1/x", ELOOP },
		{ "depth-41", "deep41/f", ELOOP },
		{ "name-256", name256, ENAMETOOLONG },
		{ "parent-256", below256, ENAMETOOLONG },
		{ "path-4096", long4096, ENAMETOOLONG },
	};
	static const struct {
		const char *name, *path;
		int want;
	} hidden[] = {
		{ "no-search", "closed/f", EACCES }, { "no-search-missing", "closed/none", EACCES },
		{ "no-search-grandparent", "closed/sub/f", EACCES }, { "no-search-by-link", "cl/f", EACCES },
		{ "no-search-dotdot", "closed/../f", EACCES },
	};
	unsigned int c, i;

	memset(name255, 'n', 255);
	memset(name256, 'n', 256);
	memset(below256, 'n', 256);
	strcpy(below256 + 256, "/x");
	long_path(long4095, 4095);
	long_path(long4096, 4096);
	objects();
	px_must(mkfifo("fifo", 0644));
	px_must(symlink("loop2", "loop1"));
	px_must(symlink("loop1", "loop2"));
	px_must(symlink(".", "deep1"));
	for (i = 2; i <= 41; i++)
		px_must(symlink(px_text("deep%u", i - 1), px_text("deep%u", i)));
	for (c = 0; c < PX_COUNT(calls); c++)
		for (i = 0; i < PX_COUNT(wrong); i++)
			px_err(wrong[i].want, calls[c].call(wrong[i].path), "%s/%s", calls[c].name, wrong[i].name);
	px_must(mkdir("closed", 0777));
	px_must(mkdir("closed/sub", 0777));
	px_file("closed/f", 0666, "");
	px_file("closed/sub/f", 0666, "");
	px_must(symlink("closed", "cl"));
	px_must(chmod("closed", 0666));
	for (c = 0; c < PX_COUNT(calls); c++) {
		px_must(chmod("other", 0666));
		px_must(lchown("other", PX_U3, PX_G3));
		px_must(lchown("otherdir", PX_U3, PX_G3));
		px_become(&nobody);
		for (i = 0; i < PX_COUNT(hidden); i++)
			px_err(hidden[i].want, calls[c].call(hidden[i].path), "%s/%s", calls[c].name,
			       hidden[i].name);
		px_root();
	}
}

/* What is just within the limits is a path like any other. */
PX_OPERATION(path_limit)
{
	unsigned int c, i;

	memset(name255, 'n', 255);
	long_path(long4095, 4095);
	for (c = 0; c < PX_COUNT(calls); c++) {
		objects();
		px_err(calls[c].want[FILE_], calls[c].call(long4095), "%s/path-4095", calls[c].name);
		no_objects();
		objects();
		px_must(symlink(".", "deep1"));
		for (i = 2; i <= 40; i++)
			px_must(symlink(px_text("deep%u", i - 1), px_text("deep%u", i)));
		px_err(calls[c].want[FILE_], calls[c].call("deep40/f"), "%s/depth-40", calls[c].name);
		for (i = 1; i <= 40; i++)
			px_remove(px_text("deep%u", i));
		no_objects();
		objects();
		px_err(calls[c].want[MISSING], calls[c].call(name255), "%s/name-255-missing", calls[c].name);
		px_remove(name255);
		no_objects();
		objects();
		px_must(rename("f", name255));
		px_err(calls[c].want[FILE_], calls[c].call(name255), "%s/name-255", calls[c].name);
		px_remove(name255);
		no_objects();
	}
}
