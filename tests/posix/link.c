// SPDX-License-Identifier: Apache-2.0
/* link(2), linkat(2), unlink(2), rmdir(2): types, counts, rights, and what stays open. */
#include <dirent.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "px.h"

static nlink_t nlink_of(const char *path)
{
	struct stat st;

	px_must(lstat(path, &st));
	return st.st_nlink;
}

static bool same(const char *a, const char *b)
{
	struct stat sa, sb;

	px_must(lstat(a, &sa));
	px_must(lstat(b, &sb));
	return sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

static void types(void)
{
	int from, to, follow, fd;

	for (from = 0; from < PX_TYPES; from++) {
		for (to = 0; to < PX_TYPES; to++) {
			int want = from == PX_NONE ? ENOENT : to != PX_NONE ? EEXIST :
				   from == PX_DIR || from == PX_FULL ? EPERM : 0;

			px_make(from, "x", 0644);
			px_make(to, "y", 0644);
			px_err(want, link("x", "y"), "type/%s-%s", px_type_name[from], px_type_name[to]);
			if (!want) {
				px_num(1, same("x", "y"), "type/%s/same", px_type_name[from]);
				px_num(2, nlink_of("x"), "type/%s/nlink", px_type_name[from]);
				px_must(unlink("x"));
				px_num(1, nlink_of("y"), "type/%s/nlink-after", px_type_name[from]);
			}
			px_remove("x");
			px_remove("y");
		}
		for (follow = 0; follow < 2; follow++) {
			bool lost = from == PX_NONE || (follow && from == PX_DANGLING);
			bool dir = from == PX_DIR || from == PX_FULL || (follow && from == PX_LNKDIR);
			int want = lost ? ENOENT : follow && from == PX_LOOP ? ELOOP : dir ? EPERM : 0;

			px_make(from, "x", 0644);
			px_err(want, linkat(AT_FDCWD, "x", AT_FDCWD, "y", follow ? AT_SYMLINK_FOLLOW : 0),
			       "linkat%s/%s", follow ? "-follow" : "", px_type_name[from]);
			if (!want)
				px_num(1, same("y", follow && from == PX_LNK ? "x.t" : "x"),
				       "linkat%s/%s/what", follow ? "-follow" : "", px_type_name[from]);
			px_remove("x");
			px_remove("y");
		}
	}
	px_file("x", 0644, "");
	fd = (int)px_must(open("x", O_RDONLY));
	px_err(0, linkat(fd, "", AT_FDCWD, "y", AT_EMPTY_PATH), "empty-path");
	px_num(2, nlink_of("y"), "empty-path/nlink");
	px_remove("y");
	px_err(ENOENT, linkat(fd, "", AT_FDCWD, "y", 0), "empty-path-without-flag");
	px_err(0, linkat(AT_FDCWD, px_text("/proc/self/fd/%d", fd), AT_FDCWD, "y", AT_SYMLINK_FOLLOW), "by-proc");
	px_remove("y");
	px_must(unlink("x"));
	px_err(ENOENT, linkat(fd, "", AT_FDCWD, "y", AT_EMPTY_PATH), "of-unlinked");
	px_err(ENOENT, linkat(AT_FDCWD, px_text("/proc/self/fd/%d", fd), AT_FDCWD, "y", AT_SYMLINK_FOLLOW),
	       "of-unlinked-by-proc");
	close(fd);
	px_file("x", 0644, "");
	px_err(EINVAL, linkat(AT_FDCWD, "x", AT_FDCWD, "y", 0x10), "flags");
	px_err(EBADF, linkat(-1, "x", AT_FDCWD, "y", 0), "dirfd-bad-from");
	px_err(EBADF, linkat(AT_FDCWD, "x", -1, "y", 0), "dirfd-bad-to");
	px_err(EXDEV, link("/proc/version", "y"), "other-filesystem");
	px_err(EEXIST, link("x", "."), "to-dot");
	px_err(EEXIST, link("x", ".."), "to-dotdot");
	px_err(EEXIST, link("x", "x"), "to-itself");
	px_remove("x");
}

/* fs.protected_hardlinks: only what one could write to anyway. */
static void protection(void)
{
	static const struct {
		const char *name;
		enum px_type type;
		mode_t mode;
		bool safe;
	} rows[] = {
		{ "rw", PX_REG, 0666, true }, { "r-only", PX_REG, 0664, false }, { "w-only", PX_REG, 0662, false },
		{ "suid", PX_REG, 04666, false }, { "sgid-exec", PX_REG, 02676, false },
		{ "sgid-no-exec", PX_REG, 02666, true }, { "fifo", PX_FIFO, 0666, false },
		{ "sock", PX_SOCK, 0666, false }, { "lnk", PX_LNK, 0777, false },
	};
	static const struct px_who whos[] = {
		{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, { "other", PX_U2, PX_G2, 0, { 0 }, 0 },
		{ "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) },
	};
	bool on = px_sysctl("fs/protected_hardlinks") > 0;
	unsigned int r, w;

	for (r = 0; r < PX_COUNT(rows); r++) {
		for (w = 0; w < PX_COUNT(whos); w++) {
			px_make(rows[r].type, "x", 0666);
			px_own("x", PX_U1, PX_G1, rows[r].mode);
			px_become(&whos[w]);
			px_err(on && w == 1 && !rows[r].safe ? EPERM : 0, link("x", "y"), "protected/%s/%s",
			       rows[r].name, whos[w].name);
			px_root();
			px_remove("x");
			px_remove("y");
		}
	}
}

static void many(void)
{
	int i;

	px_file("x", 0644, "");
	px_must(mkdir("d", 0755));
	for (i = 0; i < 100; i++)
		px_must(link("x", px_text("d/%d", i)));
	px_num(101, nlink_of("x"), "many/nlink");
	for (i = 0; i < 100; i += 2)
		px_must(unlink(px_text("d/%d", i)));
	px_num(51, nlink_of("d/99"), "many/nlink-half");
	px_remove("d");
	px_num(1, nlink_of("x"), "many/nlink-last");
	px_must(mkdir("d", 0755));
	for (i = 0; i < 100; i++)
		px_must(mkdir(px_text("d/%d", i), 0755));
	px_num(102, nlink_of("d"), "many/directories");
	for (i = 0; i < 50; i++)
		px_must(rmdir(px_text("d/%d", i)));
	px_num(52, nlink_of("d"), "many/directories-half");
	px_remove("d");
	px_remove("x");
}

PX_OPERATION(link)
{
	types();
	protection();
	many();
}

PX_OPERATION(unlink)
{
	static const char *const dots[] = { ".", "..", "d/.", "d/..", "./", "d/./" };
	unsigned int i;
	int type, fd;

	for (type = 0; type < PX_TYPES; type++) {
		bool dir = type == PX_DIR || type == PX_FULL;

		px_make(type, "x", 0000);
		px_err(type == PX_NONE ? ENOENT : dir ? EISDIR : 0, unlink("x"), "type/%s", px_type_name[type]);
		px_str(dir ? px_type_name[type] : "none", px_what("x"), "type/%s/left", px_type_name[type]);
		if (type == PX_LNK)
			px_str("reg", px_what("x.t"), "type/lnk/target-stays");
		px_remove("x");
		px_make(type, "x", 0755);
		px_err(type == PX_NONE ? ENOENT : !dir ? ENOTDIR : type == PX_FULL ? ENOTEMPTY : 0, rmdir("x"),
		       "rmdir/%s", px_type_name[type]);
		px_str(type == PX_DIR ? "none" : px_type_name[type], px_what("x"), "rmdir/%s/left",
		       px_type_name[type]);
		px_remove("x");
		px_make(type, "x", 0755);
		px_err(type == PX_NONE ? ENOENT : !dir ? ENOTDIR : type == PX_FULL ? ENOTEMPTY : 0,
		       unlinkat(AT_FDCWD, "x", AT_REMOVEDIR), "unlinkat-removedir/%s", px_type_name[type]);
		px_remove("x");
	}
	px_must(mkdir("d", 0755));
	for (i = 0; i < PX_COUNT(dots); i++) {
		bool dot = !strcmp(dots[i], ".") || !strcmp(dots[i], "./") || !strncmp(dots[i], "d/.", 3);

		px_err(EISDIR, unlink(dots[i]), "dots/%s", dots[i]);
		px_err(strstr(dots[i], "..") ? ENOTEMPTY : dot ? EINVAL : 0, rmdir(dots[i]), "rmdir-dots/%s",
		       dots[i]);
	}
	px_err(EINVAL, unlinkat(AT_FDCWD, "d", 0x10), "unlinkat-flags");
	px_err(EBADF, unlinkat(-1, "d", 0), "unlinkat-dirfd-bad");
	px_err(EBADF, unlinkat(-1, "d", AT_REMOVEDIR), "unlinkat-removedir-dirfd-bad");
	px_file("f", 0644, "");
	fd = (int)px_must(open("f", O_RDONLY));
	px_err(ENOTDIR, unlinkat(fd, "x", 0), "unlinkat-dirfd-file");
	close(fd);
	px_err(EISDIR, unlink("/"), "root");
	px_err(EBUSY, rmdir("/"), "rmdir-root");
	px_err(EBUSY, rmdir("/proc"), "rmdir-mount-point");
}

/* Without a name: everything goes on. */
PX_OPERATION(unlinked)
{
	char text[32] = "";
	struct stat st;
	char *map;
	int fd, dup_fd, dir;

	px_file("x", 0644, "content");
	fd = (int)px_must(open("x", O_RDWR));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	px_must(unlink("x"));
	px_must(fstat(fd, &st));
	px_num(0, st.st_nlink, "nlink");
	px_num(7, st.st_size, "size");
	px_num(7, pread(fd, text, sizeof(text), 0), "read");
	px_str("content", text, "read-content");
	px_num(4, pwrite(fd, "more", 4, 7), "write");
	px_num(11, pread(fd, text, sizeof(text), 0), "read-again");
	px_str("contentmore", text, "read-again-content");
	map[0] = 'C';
	px_must(pread(fd, text, 1, 0));
	px_str("Contentmore", text, "mmap");
	px_err(0, ftruncate(fd, 3), "ftruncate");
	px_must(fstat(fd, &st));
	px_num(3, st.st_size, "ftruncate-size");
	px_err(0, fallocate(fd, 0, 0, 100000), "fallocate");
	px_err(0, fchmod(fd, 0600), "fchmod");
	px_err(0, fchown(fd, 1, 1), "fchown");
	px_err(0, futimens(fd, NULL), "futimens");
	px_err(0, fsync(fd), "fsync");
	px_err(0, fdatasync(fd), "fdatasync");
	px_err(0, lseek(fd, 0, SEEK_END), "lseek");
	dup_fd = dup(fd);
	close(fd);
	px_num(1, pread(dup_fd, text, 1, 0), "after-close-of-another");
	munmap(map, 4096);
	/* A new file of the name is another file. */
	px_file("x", 0644, "new");
	px_str("new", px_content("x"), "name-again");
	px_must(pread(dup_fd, text, 1, 0));
	px_num('C', text[0], "old-content-stays");
	close(dup_fd);
	px_remove("x");

	px_must(mkdir("d", 0755));
	dir = (int)px_must(open("d", O_RDONLY | O_DIRECTORY));
	px_must(rmdir("d"));
	px_must(fstat(dir, &st));
	px_num(0, st.st_nlink, "dir/nlink");
	px_err(ENOENT, openat(dir, "x", O_RDWR | O_CREAT, 0644), "dir/create");
	px_err(ENOENT, mkdirat(dir, "x", 0755), "dir/mkdir");
	px_err(ENOENT, mknodat(dir, "x", S_IFIFO | 0644, 0), "dir/mknod");
	px_err(ENOENT, symlinkat("x", dir, "x"), "dir/symlink");
	px_file("f", 0644, "");
	px_err(ENOENT, linkat(AT_FDCWD, "f", dir, "x", 0), "dir/link");
	px_err(ENOENT, renameat(AT_FDCWD, "f", dir, "x"), "dir/rename");
	px_err2(ENOENT, EPERM, openat(dir, ".", O_TMPFILE | O_RDWR, 0600), "dir/tmpfile");
	px_err(ENOENT, openat(dir, "x", O_RDONLY), "dir/open");
	px_err(0, fstatat(dir, ".", &st, 0), "dir/stat-dot");
	px_err(0, fchdir(dir), "dir/fchdir");
	px_err(ENOENT, (long)getcwd(text, sizeof(text)) ? 0 : -1, "dir/getcwd");
	px_err(0, chdir(".."), "dir/chdir-dotdot");
	px_err(ENOENT, syscall(SYS_getdents64, dir, text, sizeof(text)), "dir/getdents");
	px_err(0, fchmod(dir, 0700), "dir/fchmod");
	px_err(0, fsync(dir), "dir/fsync");
	close(dir);

	/* Replaced by a rename. */
	px_file("x", 0644, "old");
	px_file("y", 0644, "new");
	fd = (int)px_must(open("x", O_RDWR));
	px_must(rename("y", "x"));
	px_must(fstat(fd, &st));
	px_num(0, st.st_nlink, "replaced/nlink");
	memset(text, 0, sizeof(text));
	px_must(read(fd, text, 8));
	px_str("old", text, "replaced/content");
	close(fd);
	px_must(mkdir("d", 0755));
	px_must(mkdir("e", 0755));
	dir = (int)px_must(open("e", O_RDONLY | O_DIRECTORY));
	px_must(rename("d", "e"));
	px_must(fstat(dir, &st));
	px_num(0, st.st_nlink, "replaced/dir-nlink");
	px_err(ENOENT, mkdirat(dir, "x", 0755), "replaced/dir-mkdir");
	close(dir);
}
