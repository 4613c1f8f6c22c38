// SPDX-License-Identifier: Apache-2.0
/* openat2(2): how a path is resolved; sizes and values of its argument.  O_TMPFILE. */
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "px.h"

static int openat2(int dir, const char *path, struct open_how how)
{
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static const struct {
	const char *name;
	unsigned long long flag;
} resolves[] = {
	{ "none", 0 }, { "beneath", RESOLVE_BENEATH }, { "in-root", RESOLVE_IN_ROOT },
	{ "no-symlinks", RESOLVE_NO_SYMLINKS }, { "no-magiclinks", RESOLVE_NO_MAGICLINKS },
	{ "no-xdev", RESOLVE_NO_XDEV }, { "beneath-no-symlinks", RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS },
};

/* From root/; the columns are those of the table above. */
static const struct {
	const char *path;
	int want[7];
} paths[] = {
	{ "f", { 0, 0, 0, 0, 0, 0, 0 } },
	{ "d/f", { 0, 0, 0, 0, 0, 0, 0 } },
	{ "./d/../f", { 0, 0, 0, 0, 0, 0, 0 } },
	{ "none", { ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "..", { 0, EXDEV, 0, 0, 0, 0, EXDEV } },
	{ "../out", { 0, EXDEV, ENOENT, 0, 0, 0, EXDEV } },
	{ "d/../../out", { 0, EXDEV, ENOENT, 0, 0, 0, EXDEV } },
	{ "d/../../root/f", { 0, EXDEV, ENOENT, 0, 0, 0, EXDEV } },
	{ "to-f", { 0, 0, 0, ELOOP, 0, 0, ELOOP } },
	{ "to-d/f", { 0, 0, 0, ELOOP, 0, 0, ELOOP } },
	{ "to-out", { 0, EXDEV, ENOENT, ELOOP, 0, 0, ELOOP } },
	{ "to-abs-f", { ENOENT, EXDEV, 0, ELOOP, ENOENT, EXDEV, ELOOP } },
	{ "d/up-f", { 0, 0, 0, ELOOP, 0, 0, ELOOP } },
	{ "/f", { ENOENT, EXDEV, 0, ENOENT, ENOENT, ENOENT, EXDEV } },
	{ "/proc/version", { 0, EXDEV, ENOENT, 0, 0, EXDEV, EXDEV } },
	{ "to-proc/version", { 0, EXDEV, ENOENT, ELOOP, 0, EXDEV, ELOOP } },
	{ "loop", { ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP } },
	{ "f/x", { ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR } },
};

PX_OPERATION(openat2)
{
	static const unsigned long long bad_flags[] = { 1ULL << 32, 1ULL << 63, 0x40000000, O_TMPFILE & ~O_DIRECTORY };
	struct { struct open_how how; uint64_t more[2]; } future;
	unsigned int p, r, i;
	int dir, fd, magic;

	px_must(mkdir("root", 0755));
	px_must(mkdir("root/d", 0755));
	px_file("root/f", 0644, "f");
	px_file("root/d/f", 0644, "df");
	px_file("out", 0644, "out");
	px_must(symlink("f", "root/to-f"));
	px_must(symlink("d", "root/to-d"));
	px_must(symlink("../out", "root/to-out"));
	px_must(symlink("/f", "root/to-abs-f"));
	px_must(symlink("../f", "root/d/up-f"));
	px_must(symlink("/proc", "root/to-proc"));
	px_must(symlink("loop", "root/loop"));
	dir = (int)px_must(open("root", O_PATH));
	for (p = 0; p < PX_COUNT(paths); p++) {
		for (r = 0; r < PX_COUNT(resolves); r++) {
			fd = openat2(dir, paths[p].path,
				     (struct open_how){ .flags = O_RDONLY, .resolve = resolves[r].flag });
			/* What is at the machine's /f is none of ours. */
			px_err(paths[p].want[r], fd, "resolve/%s/%s", resolves[r].name, paths[p].path);
			if (fd >= 0)
				close(fd);
		}
	}
	fd = (int)px_must(open("root/f", O_RDONLY));
	for (r = 0; r < PX_COUNT(resolves); r++) {
		bool fine = !resolves[r].flag;
		bool xdev = resolves[r].flag & (RESOLVE_BENEATH | RESOLVE_NO_XDEV);

		/* A magic link, from a directory that is on another filesystem. */
		if (resolves[r].flag & RESOLVE_IN_ROOT)
			continue;
		magic = openat2(AT_FDCWD, px_text("/proc/self/fd/%d", fd),
				(struct open_how){ .flags = O_RDONLY, .resolve = resolves[r].flag });
		px_err(fine ? 0 : xdev ? EXDEV : ELOOP, magic, "magic/%s", resolves[r].name);
		if (magic >= 0)
			close(magic);
	}
	close(fd);
	fd = openat2(dir, "f", (struct open_how){ .flags = O_RDONLY, .resolve = RESOLVE_CACHED });
	px_err(0, fd, "cached/known");
	close(fd);
	px_err(EAGAIN, openat2(dir, "new", (struct open_how){ .flags = O_RDWR | O_CREAT, .mode = 0644,
							       .resolve = RESOLVE_CACHED }), "cached/creat");
	px_err(EAGAIN, openat2(dir, "f", (struct open_how){ .flags = O_RDWR | O_TRUNC, .resolve = RESOLVE_CACHED }),
	       "cached/trunc");
	/* Making files. */
	fd = openat2(dir, "new", (struct open_how){ .flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0640,
						    .resolve = RESOLVE_BENEATH });
	px_err(0, fd, "creat/beneath");
	px_mode(0640, px_mode_of("root/new"), "creat/mode");
	close(fd);
	px_err(EXDEV, openat2(dir, "../new", (struct open_how){ .flags = O_RDWR | O_CREAT, .mode = 0640,
								.resolve = RESOLVE_BENEATH }), "creat/not-beneath");
	px_str("none", px_what("new"), "creat/not-beneath/left");
	fd = openat2(dir, "../made", (struct open_how){ .flags = O_RDWR | O_CREAT, .mode = 0640,
							.resolve = RESOLVE_IN_ROOT });
	px_err(0, fd, "creat/in-root");
	px_str("reg", px_what("root/made"), "creat/in-root/there");
	close(fd);
	/* Bad values. */
	for (i = 0; i < PX_COUNT(bad_flags); i++)
		px_err(EINVAL, openat2(dir, "f", (struct open_how){ .flags = bad_flags[i] }), "flags/%llx", bad_flags[i]);
	px_err(EINVAL, openat2(dir, "f", (struct open_how){ .flags = O_RDONLY, .mode = 0644 }), "mode-without-creat");
	px_err(EINVAL, openat2(dir, "n", (struct open_how){ .flags = O_RDWR | O_CREAT, .mode = 010644 }), "mode-bits");
	px_err(EINVAL, openat2(dir, "f", (struct open_how){ .resolve = 1ULL << 40 }), "resolve-unknown");
	px_err(EINVAL, openat2(dir, "f", (struct open_how){ .resolve = RESOLVE_BENEATH | RESOLVE_IN_ROOT }),
	       "resolve-both");
	px_err(EINVAL, openat2(dir, "f", (struct open_how){ .flags = O_PATH | O_RDWR }), "path-rdwr");
	px_err(EINVAL, openat2(dir, "n", (struct open_how){ .flags = O_PATH | O_CREAT, .mode = 0644 }), "path-creat");
	memset(&future, 0, sizeof(future));
	px_err(EINVAL, syscall(SYS_openat2, dir, "f", &future, 0), "size-0");
	px_err(EINVAL, syscall(SYS_openat2, dir, "f", &future, sizeof(struct open_how) - 1), "size-short");
	px_err(E2BIG, syscall(SYS_openat2, dir, "f", &future, 1 << 20), "size-huge");
	fd = (int)syscall(SYS_openat2, dir, "f", &future, sizeof(future));
	px_err(0, fd, "size-future-zero");
	close(fd);
	future.more[1] = 1;
	px_err(E2BIG, syscall(SYS_openat2, dir, "f", &future, sizeof(future)), "size-future-set");
	px_err(EFAULT, syscall(SYS_openat2, dir, "f", (void *)1, sizeof(struct open_how)), "efault");
	close(dir);
}

PX_OPERATION(tmpfile)
{
	static const int accesses[] = { O_RDONLY, O_WRONLY, O_RDWR };
	static const char *const access_name[] = { "rdonly", "wronly", "rdwr" };
	static const struct {
		const char *name;
		int flags, want;
	} more[] = {
		{ "plain", 0, 0 }, { "excl", O_EXCL, 0 }, { "creat", O_CREAT, EINVAL }, { "append", O_APPEND, 0 },
		{ "trunc", O_TRUNC, 0 }, { "nofollow", O_NOFOLLOW, 0 },
	};
	struct px_age age = { .path = "d" };
	struct stat st, dir;
	unsigned int a, m;
	char text[16] = "";
	int fd;

	px_must(mkdir("d", 0755));
	for (a = 0; a < 3; a++) {
		for (m = 0; m < PX_COUNT(more); m++) {
			fd = open("d", O_TMPFILE | accesses[a] | more[m].flags, 0600);
			px_err(more[m].want ? more[m].want : a ? 0 : EINVAL, fd, "%s-%s", access_name[a], more[m].name);
			if (fd >= 0)
				close(fd);
		}
	}
	px_str("dir", px_what("d"), "not-listed");
	px_age(&age, 1);
	fd = (int)px_must(open("d", O_TMPFILE | O_RDWR, 0640));
	px_str("-", px_touched(&age), "directory-is-not-touched");
	px_must(fstat(fd, &st));
	px_must(stat("d", &dir));
	px_num(0, st.st_nlink, "nlink");
	px_num(0, st.st_size, "size");
	px_mode(S_IFREG | 0640, st.st_mode, "mode");
	px_num(1, st.st_dev == dir.st_dev, "device");
	px_num(7, write(fd, "content", 7), "write");
	px_num(7, pread(fd, text, 16, 0), "read");
	px_str("content", text, "read-content");
	px_err(0, fsync(fd), "fsync");
	px_err(0, linkat(AT_FDCWD, px_text("/proc/self/fd/%d", fd), AT_FDCWD, "d/x", AT_SYMLINK_FOLLOW), "link");
	px_str("content", px_content("d/x"), "link/content");
	px_must(fstat(fd, &st));
	px_num(1, st.st_nlink, "link/nlink");
	px_err(0, linkat(fd, "", AT_FDCWD, "d/y", AT_EMPTY_PATH), "link-again");
	px_must(fstat(fd, &st));
	px_num(2, st.st_nlink, "link-again/nlink");
	px_must(unlink("d/x"));
	px_must(unlink("d/y"));
	px_err(ENOENT, linkat(fd, "", AT_FDCWD, "d/z", AT_EMPTY_PATH), "link-after-unlink");
	close(fd);
	fd = (int)px_must(open("d", O_TMPFILE | O_RDWR | O_EXCL, 0640));
	px_err(ENOENT, linkat(fd, "", AT_FDCWD, "d/z", AT_EMPTY_PATH), "excl-link");
	px_err(ENOENT, linkat(AT_FDCWD, px_text("/proc/self/fd/%d", fd), AT_FDCWD, "d/z", AT_SYMLINK_FOLLOW),
	       "excl-link-by-proc");
	close(fd);
	/* Onto what is there. */
	px_file("d/x", 0644, "old");
	fd = (int)px_must(open("d", O_TMPFILE | O_RDWR, 0640));
	px_err(EEXIST, linkat(fd, "", AT_FDCWD, "d/x", AT_EMPTY_PATH), "link-onto");
	close(fd);
	px_err(ENOENT, open("none", O_TMPFILE | O_RDWR, 0600), "no-directory");
	px_err(ENOTDIR, open("d/x", O_TMPFILE | O_RDWR, 0600), "on-a-file");
	px_err(0, chmod("d", 0755), "chmod");
	px_become(&px_u1);
	px_err(EACCES, open("d", O_TMPFILE | O_RDWR, 0600), "no-right");
	px_root();
	px_must(chmod("d", 0777));
	px_become(&px_u1);
	fd = open("d", O_TMPFILE | O_RDWR, 0000);
	px_err(0, fd, "mode-0000");
	px_root();
	px_must(fstat(fd, &st));
	px_num(PX_U1, st.st_uid, "owner");
	px_num(PX_G1, st.st_gid, "group");
	close(fd);
}
