// SPDX-License-Identifier: Apache-2.0
/*
 * Which operation touches which time of which object: access, modification,
 * change.  f is the file, d its directory, e another directory.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>

#include "px.h"

/* Opened before the times are set, for reading and writing. */
static int held;

static long op_read(void)
{
	char byte;

	return read(held, &byte, 1);
}

static long op_read_nothing(void) { return read(held, NULL, 0); }
static long op_read_end(void)
{
	char byte;

	return pread(held, &byte, 1, 100);
}

static long op_readv(void)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv(held, &iov, 1, 0);
}

static long op_write(void) { return write(held, "x", 1); }
static long op_write_nothing(void) { return write(held, "", 0); }
static long op_pwrite_far(void) { return pwrite(held, "x", 1, 100000); }
static long op_write_bad(void) { return write(held, (char *)1, 1) < 0 && errno == EFAULT ? 0 : -1; }
static long op_ftruncate(void) { return ftruncate(held, 3); }
static long op_ftruncate_same(void) { return ftruncate(held, 7); }
static long op_ftruncate_more(void) { return ftruncate(held, 100); }
static long op_truncate(void) { return truncate("d/f", 3); }
static long op_truncate_same(void) { return truncate("d/f", 7); }
static long op_truncate_more(void) { return truncate("d/f", 100); }
static long op_fallocate(void) { return fallocate(held, 0, 0, 100); }
static long op_fallocate_keep(void) { return fallocate(held, FALLOC_FL_KEEP_SIZE, 0, 100000); }
static long op_punch(void) { return fallocate(held, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }
static long op_zero(void) { return fallocate(held, FALLOC_FL_ZERO_RANGE, 0, 4096); }

static long op_mmap_read(void)
{
	volatile char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, held, 0);
	char byte = *at;

	(void)byte;
	return munmap((void *)at, 4096);
}

static long op_mmap_write(void)
{
	volatile char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, held, 0);

	*at = 'X';
	msync((void *)at, 4096, MS_SYNC);
	return munmap((void *)at, 4096);
}

static long op_mmap_private(void)
{
	volatile char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, held, 0);

	*at = 'X';
	return munmap((void *)at, 4096);
}

static long op_copy_to(void)
{
	loff_t in = 0, out = 0;
	int from = open("e/g", O_RDONLY);
	long ret = copy_file_range(from, &in, held, &out, 3, 0);

	close(from);
	return ret;
}

static long op_copy_from(void)
{
	loff_t in = 0, out = 0;
	int to = open("e/g", O_WRONLY);
	long ret = copy_file_range(held, &in, to, &out, 3, 0);

	close(to);
	return ret;
}

static long op_sendfile_from(void)
{
	off_t in = 0;
	int to = open("e/g", O_WRONLY);
	long ret = sendfile(to, held, &in, 3);

	close(to);
	return ret;
}

static long op_chmod(void) { return chmod("d/f", 0600); }
static long op_chmod_same(void) { return chmod("d/f", 0644); }
static long op_chmod_dir(void) { return chmod("d", 0755); }
static long op_chown(void) { return chown("d/f", 1, 1); }
static long op_chown_same(void) { return chown("d/f", 0, 0); }
static long op_chown_nothing(void) { return chown("d/f", -1, -1); }
static long op_utimens_now(void) { return utimensat(AT_FDCWD, "d/f", NULL, 0); }
static long utimens(long atime, long mtime)
{
	const struct timespec ts[2] = { { 5, atime }, { 5, mtime } };

	return utimensat(AT_FDCWD, "d/f", ts, 0);
}

static long op_utimens_atime(void) { return utimens(5, UTIME_OMIT); }
static long op_utimens_mtime(void) { return utimens(UTIME_OMIT, 5); }
static long op_utimens_atime_now(void) { return utimens(UTIME_NOW, UTIME_OMIT); }
static long op_utimens_mtime_now(void) { return utimens(UTIME_OMIT, UTIME_NOW); }
static long op_utimens_nothing(void) { return utimens(UTIME_OMIT, UTIME_OMIT); }

static long done(int fd) { return fd < 0 ? -1 : close(fd); }
static long op_open(void) { return done(open("d/f", O_RDWR)); }
static long op_open_creat(void) { return done(open("d/f", O_RDWR | O_CREAT, 0600)); }
static long op_open_trunc(void) { return done(open("d/f", O_RDWR | O_TRUNC)); }
static long op_create(void) { return done(open("d/new", O_RDWR | O_CREAT, 0600)); }
static long op_create_excl(void) { return done(open("d/f", O_RDWR | O_CREAT | O_EXCL, 0600)) < 0 ? 0 : -1; }
static long op_tmpfile(void) { return done(open("d", O_RDWR | O_TMPFILE, 0600)); }
static long op_mkdir(void) { return mkdir("d/new", 0755); }
static long op_rmdir(void) { return rmdir("d/sub"); }
static long op_mkfifo(void) { return mkfifo("d/new", 0644); }
static long op_symlink(void) { return symlink("f", "d/new"); }
static long op_link(void) { return link("d/f", "d/new"); }
static long op_link_other(void) { return link("d/f", "e/new"); }
static long op_link_fails(void) { return link("d/f", "e/g") ? 0 : -1; }
static long op_unlink(void) { return unlink("d/f"); }
static long op_unlink_link(void) { return unlink("d/f2"); }
static long op_rename(void) { return rename("d/f", "d/new"); }
static long op_rename_other(void) { return rename("d/f", "e/new"); }
static long op_rename_over(void) { return rename("d/f", "e/g"); }
static long op_rename_replaces(void) { return rename("e/g", "d/f"); }
static long op_rename_same(void) { return rename("d/f", "d/f2"); }
static long op_rename_self(void) { return rename("d/f", "d/f"); }
static long op_rename_dir(void) { return rename("d", "new"); }
static long op_rename_dir_into(void) { return rename("d", "e/new"); }
static long op_rename_subdir(void) { return rename("d/sub", "e/new"); }
static long rename2(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static long op_exchange(void) { return rename2("d/f", "e/g", RENAME_EXCHANGE); }
static long op_noreplace_fails(void) { return rename2("d/f", "e/g", RENAME_NOREPLACE) ? 0 : -1; }

static long op_stat(void)
{
	struct stat st;

	return stat("d/f", &st);
}

static long op_access(void) { return access("d/f", R_OK); }
static long op_lseek(void) { return lseek(held, 1, SEEK_SET); }
static long op_fsync(void) { return fsync(held); }
static long op_chdir(void) { return chdir("d") ? -1 : chdir(".."); }

static long list(void)
{
	DIR *dir = opendir("d");

	while (readdir(dir))
		;
	return closedir(dir);
}

static long op_list(void) { return list(); }
static long op_opendir(void) { return closedir(opendir("d")); }
static long op_lookup(void) { return access("d/none", F_OK) ? 0 : -1; }

static long op_readlink(void)
{
	char target[16];

	return readlink("d/l", target, sizeof(target));
}

static long op_follow(void) { return access("d/l", F_OK); }
static long op_lchown_link(void) { return lchown("d/l", 1, 1); }
static long op_chmod_through(void) { return chmod("d/l", 0600); }
static long op_setxattr(void) { return setxattr("d/f", "user.x", "1", 1, 0); }
static long op_setxattr_again(void) { return setxattr("d/f", "user.kept", "1", 1, 0); }
static long op_getxattr(void)
{
	char value[16];

	return getxattr("d/f", "user.kept", value, sizeof(value));
}

static long op_removexattr(void) { return removexattr("d/f", "user.kept"); }
static long op_removexattr_none(void) { return removexattr("d/f", "user.none") ? 0 : -1; }

enum { NEEDS_XATTR = 1 };

static const struct {
	const char *name;
	long (*act)(void);
	/* of d/f, d, e, d/l; a name that is gone is ENOENT */
	const char *f, *d, *e, *l;
	int needs;
} rows[] = {
	{ "read", op_read, "a", "-", "-", "-", 0 },
	{ "read-nothing", op_read_nothing, "-", "-", "-", "-", 0 },
	{ "read-behind-the-end", op_read_end, "a", "-", "-", "-", 0 },
	{ "preadv", op_readv, "a", "-", "-", "-", 0 },
	{ "write", op_write, "mc", "-", "-", "-", 0 },
	{ "write-nothing", op_write_nothing, "-", "-", "-", "-", 0 },
	{ "pwrite-far", op_pwrite_far, "mc", "-", "-", "-", 0 },
	{ "ftruncate", op_ftruncate, "mc", "-", "-", "-", 0 },
	{ "ftruncate-same", op_ftruncate_same, "mc", "-", "-", "-", 0 },
	{ "ftruncate-more", op_ftruncate_more, "mc", "-", "-", "-", 0 },
	{ "truncate", op_truncate, "mc", "-", "-", "-", 0 },
	{ "truncate-same", op_truncate_same, "mc", "-", "-", "-", 0 },
	{ "truncate-more", op_truncate_more, "mc", "-", "-", "-", 0 },
	{ "fallocate", op_fallocate, "mc", "-", "-", "-", 0 },
	{ "fallocate-keep-size", op_fallocate_keep, "mc", "-", "-", "-", 0 },
	{ "punch-hole", op_punch, "mc", "-", "-", "-", 0 },
	{ "zero-range", op_zero, "mc", "-", "-", "-", 0 },
	{ "mmap-read", op_mmap_read, "a", "-", "-", "-", 0 },
	{ "mmap-write", op_mmap_write, "amc", "-", "-", "-", 0 },
	{ "mmap-private-write", op_mmap_private, "a", "-", "-", "-", 0 },
	{ "copy_file_range-to", op_copy_to, "mc", "-", "-", "-", 0 },
	{ "copy_file_range-from", op_copy_from, "a", "-", "-", "-", 0 },
	{ "sendfile-from", op_sendfile_from, "a", "-", "-", "-", 0 },
	{ "chmod", op_chmod, "c", "-", "-", "-", 0 },
	{ "chmod-same", op_chmod_same, "c", "-", "-", "-", 0 },
	{ "chmod-directory", op_chmod_dir, "-", "c", "-", "-", 0 },
	{ "chown", op_chown, "c", "-", "-", "-", 0 },
	{ "chown-same", op_chown_same, "c", "-", "-", "-", 0 },
	{ "chown-nothing", op_chown_nothing, "c", "-", "-", "-", 0 },
	{ "utimensat-now", op_utimens_now, "amc", "-", "-", "-", 0 },
	{ "utimensat-atime", op_utimens_atime, "ac", "-", "-", "-", 0 },
	{ "utimensat-mtime", op_utimens_mtime, "mc", "-", "-", "-", 0 },
	{ "utimensat-atime-now", op_utimens_atime_now, "ac", "-", "-", "-", 0 },
	{ "utimensat-mtime-now", op_utimens_mtime_now, "mc", "-", "-", "-", 0 },
	{ "utimensat-nothing", op_utimens_nothing, "-", "-", "-", "-", 0 },
	{ "open", op_open, "-", "-", "-", "-", 0 },
	{ "open-creat-existing", op_open_creat, "-", "-", "-", "-", 0 },
	{ "open-trunc", op_open_trunc, "mc", "-", "-", "-", 0 },
	{ "create", op_create, "-", "mc", "-", "-", 0 },
	{ "create-excl-fails", op_create_excl, "-", "-", "-", "-", 0 },
	{ "tmpfile", op_tmpfile, "-", "-", "-", "-", 0 },
	{ "mkdir", op_mkdir, "-", "mc", "-", "-", 0 },
	{ "rmdir", op_rmdir, "-", "mc", "-", "-", 0 },
	{ "mkfifo", op_mkfifo, "-", "mc", "-", "-", 0 },
	{ "symlink", op_symlink, "-", "mc", "-", "-", 0 },
	{ "link", op_link, "c", "mc", "-", "-", 0 },
	{ "link-in-other-directory", op_link_other, "c", "-", "mc", "-", 0 },
	{ "link-fails", op_link_fails, "-", "-", "-", "-", 0 },
	{ "unlink", op_unlink, "ENOENT", "mc", "-", "-", 0 },
	{ "unlink-other-name", op_unlink_link, "c", "mc", "-", "-", 0 },
	{ "rename", op_rename, "ENOENT", "mc", "-", "-", 0 },
	{ "rename-to-other-directory", op_rename_other, "ENOENT", "mc", "mc", "-", 0 },
	{ "rename-over", op_rename_over, "ENOENT", "mc", "mc", "-", 0 },
	{ "rename-replaces", op_rename_replaces, NULL, "mc", "mc", "-", 0 },
	{ "rename-same-inode", op_rename_same, "-", "-", "-", "-", 0 },
	{ "rename-onto-itself", op_rename_self, "-", "-", "-", "-", 0 },
	{ "rename-directory", op_rename_dir, "ENOENT", "ENOENT", "-", "ENOENT", 0 },
	{ "rename-directory-into", op_rename_dir_into, "ENOENT", "ENOENT", "mc", "ENOENT", 0 },
	{ "rename-subdirectory", op_rename_subdir, "-", "mc", "mc", "-", 0 },
	{ "exchange", op_exchange, NULL, "mc", "mc", "-", 0 },
	{ "noreplace-fails", op_noreplace_fails, "-", "-", "-", "-", 0 },
	{ "stat", op_stat, "-", "-", "-", "-", 0 },
	{ "access", op_access, "-", "-", "-", "-", 0 },
	{ "lseek", op_lseek, "-", "-", "-", "-", 0 },
	{ "fsync", op_fsync, "-", "-", "-", "-", 0 },
	{ "chdir", op_chdir, "-", "-", "-", "-", 0 },
	{ "readdir", op_list, "-", "a", "-", "-", 0 },
	{ "opendir", op_opendir, "-", "-", "-", "-", 0 },
	{ "lookup", op_lookup, "-", "-", "-", "-", 0 },
	{ "readlink", op_readlink, "-", "-", "-", "a", 0 },
	{ "follow-link", op_follow, "-", "-", "-", "a", 0 },
	{ "lchown-link", op_lchown_link, "-", "-", "-", "c", 0 },
	{ "chmod-through-link", op_chmod_through, "c", "-", "-", "a", 0 },
	{ "setxattr", op_setxattr, "c", "-", "-", "-", NEEDS_XATTR },
	{ "setxattr-again", op_setxattr_again, "c", "-", "-", "-", NEEDS_XATTR },
	{ "getxattr", op_getxattr, "-", "-", "-", "-", NEEDS_XATTR },
	{ "removexattr", op_removexattr, "c", "-", "-", "-", NEEDS_XATTR },
	{ "removexattr-fails", op_removexattr_none, "-", "-", "-", "-", NEEDS_XATTR },
	/* Last: what a failed copy does to the times is open, but it must not stop the rest. */
	{ "write-fault", op_write_bad, NULL, "-", "-", "-", 0 },
};

PX_OPERATION(times)
{
	struct px_age ages[4] = {
		{ .path = "d/f" }, { .path = "d" }, { .path = "e" }, { .path = "d/l" },
	};
	bool xattrs;
	unsigned int i;

	px_file("x", 0644, "");
	xattrs = !setxattr("x", "user.x", "1", 1, 0);
	px_remove("x");
	for (i = 0; i < PX_COUNT(rows); i++) {
		const char *want[4] = { rows[i].f, rows[i].d, rows[i].e, rows[i].l };
		int k;

		if (rows[i].needs && !xattrs) {
			px_skip("no xattrs", "%s", rows[i].name);
			continue;
		}
		px_must(mkdir("d", 0777));
		px_must(mkdir("d/sub", 0777));
		px_must(mkdir("e", 0777));
		px_file("d/f", 0644, "content");
		px_must(link("d/f", "d/f2"));
		px_file("e/g", 0644, "other");
		px_must(symlink("f", "d/l"));
		if (xattrs)
			px_must(setxattr("d/f", "user.kept", "0", 1, 0));
		held = (int)px_must(open("d/f", O_RDWR));
		px_age(ages, 4);
		px_must(rows[i].act());
		for (k = 0; k < 4; k++)
			if (want[k])
				px_str(want[k], px_touched(&ages[k]), "%s/%s", rows[i].name, ages[k].path);
		close(held);
		px_remove("d");
		px_remove("e");
		px_remove("new");
	}
}

/* Objects that move or go while somebody looks through a descriptor. */
static const char *touched_fd(int fd, const struct stat *before)
{
	struct stat st;

	px_must(fstat(fd, &st));
	return px_text("%s%s%s",
		       st.st_atim.tv_sec != before->st_atim.tv_sec ? "a" : "",
		       st.st_mtim.tv_sec != before->st_mtim.tv_sec ? "m" : "",
		       st.st_ctim.tv_sec != before->st_ctim.tv_sec ||
		       st.st_ctim.tv_nsec != before->st_ctim.tv_nsec ? "c" : "");
}

static long mv(void) { return rename("x", "y"); }
static long mv_into(void) { return rename("x", "dir/y"); }
static long rm(void) { return remove("x"); }
static long replaced(void) { return rename("z", "x"); }
static long exchanged(void) { return rename2("z", "x", RENAME_EXCHANGE); }

PX_OPERATION(times_moved)
{
	static const struct {
		const char *name;
		long (*act)(void);
		const char *want;
	} moves[] = {
		{ "rename", mv, "c" }, { "rename-into", mv_into, "c" }, { "remove", rm, "c" },
		{ "replaced", replaced, "c" }, { "exchanged", exchanged, "c" },
	};
	static const enum px_type types[] = { PX_REG, PX_DIR, PX_FIFO, PX_SOCK, PX_LNK };
	unsigned int m, t;

	for (m = 0; m < PX_COUNT(moves); m++) {
		for (t = 0; t < PX_COUNT(types); t++) {
			struct px_age age = { .path = "x" };
			int fd;

			px_must(mkdir("dir", 0755));
			px_make(types[t], "x", 0644);
			px_make(types[t], "z", 0644);
			fd = (int)px_must(open("x", O_PATH | O_NOFOLLOW));
			px_age(&age, 1);
			px_must(moves[m].act());
			px_str(moves[m].want, touched_fd(fd, &age.st), "%s/%s", moves[m].name,
			       px_type_name[types[t]]);
			close(fd);
			px_remove("x");
			px_remove("y");
			px_remove("z");
			px_remove("dir");
		}
	}
}

/* atime as relatime has it: read when it is not newer than the last change. */
PX_OPERATION(times_new)
{
	static const enum px_type types[] = { PX_REG, PX_DIR, PX_FIFO, PX_SOCK, PX_LNK };
	struct timespec before, after;
	struct statx st;
	unsigned int t;

	for (t = 0; t < PX_COUNT(types); t++) {
		bool btime, same, within;

		clock_gettime(CLOCK_REALTIME_COARSE, &before);
		px_make(types[t], "x", 0644);
		clock_gettime(CLOCK_REALTIME, &after);
		px_must(statx(AT_FDCWD, "x", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st));
		within = (st.stx_ctime.tv_sec > before.tv_sec ||
			  (st.stx_ctime.tv_sec == before.tv_sec && st.stx_ctime.tv_nsec >= before.tv_nsec)) &&
			 (st.stx_ctime.tv_sec < after.tv_sec ||
			  (st.stx_ctime.tv_sec == after.tv_sec && st.stx_ctime.tv_nsec <= after.tv_nsec));
		px_num(1, within, "%s/now", px_type_name[types[t]]);
		btime = st.stx_mask & STATX_BTIME;
		px_num(1, btime, "%s/has-btime", px_type_name[types[t]]);
		px_remove("x");
		if (types[t] == PX_REG || types[t] == PX_DIR)
			continue;
		px_make(types[t], "x", 0644);
		px_must(statx(AT_FDCWD, "x", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st));
		same = st.stx_atime.tv_nsec == st.stx_mtime.tv_nsec &&
		       st.stx_mtime.tv_nsec == st.stx_ctime.tv_nsec;
		px_num(1, same, "%s/all-the-same", px_type_name[types[t]]);
		same = st.stx_btime.tv_sec == st.stx_mtime.tv_sec && st.stx_btime.tv_nsec == st.stx_mtime.tv_nsec;
		px_num(1, same, "%s/btime-too", px_type_name[types[t]]);
		px_remove("x");
	}
}

/* relatime: a read shows when the time of access is not behind the others, or a day old. */
PX_OPERATION(relatime)
{
	static const struct {
		const char *name;
		long atime, mtime;	/* seconds from now; the change time is now */
		bool touched;
	} ages[] = {
		{ "before-mtime", -100, -50, true }, { "same-as-mtime", -50, -50, true },
		{ "behind-mtime-before-ctime", -10, -50, true }, { "in-the-future", 1000, -50, false },
		{ "in-the-future-before-mtime", 1000, 2000, true }, { "a-day-old", -86400 * 2, -86400 * 3, true },
		{ "future-same-as-mtime", 1000, 1000, true },
	};
	static const char *const kinds[] = { "reg", "dir", "lnk" };
	struct timespec now, ts[2];
	struct stat st;
	char byte[600];
	unsigned int a;
	int kind, fd;

	for (kind = 0; kind < 3; kind++) {
		px_make(kind == 0 ? PX_REG : kind == 1 ? PX_DIR : PX_LNK, "x", 0644);
		for (a = 0; a < PX_COUNT(ages); a++) {
			clock_gettime(CLOCK_REALTIME, &now);
			ts[0] = (struct timespec){ now.tv_sec + ages[a].atime, 1 };
			ts[1] = (struct timespec){ now.tv_sec + ages[a].mtime, 1 };
			px_must(utimensat(AT_FDCWD, "x", ts, AT_SYMLINK_NOFOLLOW));
			if (kind == 2) {
				px_must(readlink("x", byte, sizeof(byte)));
			} else {
				fd = (int)px_must(open("x", O_RDONLY));
				px_must(kind ? syscall(SYS_getdents64, fd, byte, sizeof(byte)) : read(fd, byte, 1));
				close(fd);
			}
			px_must(lstat("x", &st));
			px_num(ages[a].touched, st.st_atim.tv_sec != ts[0].tv_sec || st.st_atim.tv_nsec != 1, "%s/%s",
			       kinds[kind], ages[a].name);
		}
		px_remove("x");
	}
}
