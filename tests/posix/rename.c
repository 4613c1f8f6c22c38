// SPDX-License-Identifier: Apache-2.0
/* rename(2), renameat2(2): every pair of types, flags, same and other directory. */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/syscall.h>

#include "px.h"

static int rename2(const char *from, const char *to, unsigned int flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static bool is_dir(enum px_type type)
{
	return type == PX_DIR || type == PX_FULL;
}

static int expected(enum px_type from, enum px_type to, unsigned int flags)
{
	if (from == PX_NONE)
		return ENOENT;
	if (flags & RENAME_NOREPLACE)
		return to == PX_NONE ? 0 : EEXIST;
	if (flags & RENAME_EXCHANGE)
		return to == PX_NONE ? ENOENT : 0;
	if (to == PX_NONE)
		return 0;
	if (is_dir(from) && !is_dir(to))
		return ENOTDIR;
	if (!is_dir(from) && is_dir(to))
		return EISDIR;
	return to == PX_FULL ? ENOTEMPTY : 0;
}

/* A link by where it points, so that moving it changes nothing. */
static const char *shape(const char *path)
{
	char target[256];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return px_what(path);
	target[n] = 0;
	return px_text("to-%s", target);
}

static const char *shape_of(enum px_type type, const char *name)
{
	switch (type) {
	case PX_LNK:
	case PX_LNKDIR:
	case PX_DANGLING:
		return px_text("to-%s.t", name);
	case PX_LOOP:
		return px_text("to-%s", name);
	default:
		return px_type_name[type];
	}
}

static void pair(enum px_type from, enum px_type to, unsigned int flags, bool other)
{
	static const char *const flag_name[] = { "plain", "noreplace", "exchange", "?", "whiteout" };
	const char *target = other ? "b/d" : "a/d", *want_s, *want_d, *name;
	unsigned int basic = flags & ~(unsigned int)RENAME_WHITEOUT;
	int want = expected(from, to, basic), ret, code;

	px_make(from, "a/s", 0644);
	px_make(to, target, 0644);
	want_s = shape_of(from, "s");
	want_d = shape_of(to, "d");
	if (!want) {
		const char *moved = want_s;

		want_s = basic & RENAME_EXCHANGE ? want_d : flags & RENAME_WHITEOUT ? "chr" : "none";
		want_d = moved;
	}
	name = px_text("%s%s%s/%s-%s", flag_name[flags & RENAME_WHITEOUT ? 4 : flags],
		       flags == (RENAME_WHITEOUT | RENAME_NOREPLACE) ? "+noreplace" : "",
		       other ? "-other" : "", px_type_name[from], px_type_name[to]);
	ret = rename2("a/s", target, flags);
	code = ret ? errno : 0;
	px_str(px_text("%s s=%s d=%s", px_errname(want), want_s, want_d),
	       px_text("%s s=%s d=%s", px_errname(code), shape("a/s"), shape(target)), "%s", name);
	px_remove("a/s");
	px_remove(target);
	px_remove("a/d");
	px_remove("b/s");
}

static void pairs(unsigned int flags)
{
	int from, to, other;

	px_must(mkdir("a", 0777));
	px_must(mkdir("b", 0777));
	for (from = 0; from < PX_TYPES; from++)
		for (to = 0; to < PX_TYPES; to++)
			for (other = 0; other < 2; other++)
				pair(from, to, flags, other);
	px_remove("a");
	px_remove("b");
}

PX_OPERATION(rename)
{
	pairs(0);
	pairs(RENAME_NOREPLACE);
	pairs(RENAME_EXCHANGE);
}

PX_OPERATION(rename_whiteout)
{
	struct stat st;

	px_file("x", 0644, "");
	if (rename2("x", "y", RENAME_WHITEOUT) && errno == EINVAL)
		px_skip_rest("no RENAME_WHITEOUT");
	px_must(lstat("x", &st));
	px_str("chr 0:0", px_text("%s %u:%u", px_what("x"), major(st.st_rdev), minor(st.st_rdev)), "device");
	px_mode(0, st.st_mode & 07777, "mode");
	px_num(1, st.st_nlink, "nlink");
	px_err(0, unlink("x"), "unlink");
	px_file("z", 0644, "");
	px_err(EINVAL, rename2("z", "y", RENAME_WHITEOUT | RENAME_EXCHANGE), "with-exchange");
	pairs(RENAME_WHITEOUT);
	pairs(RENAME_WHITEOUT | RENAME_NOREPLACE);
}

/* Two names of one file. */
static void same_file(void)
{
	struct stat st;

	px_file("x", 0644, "x");
	px_must(link("x", "y"));
	px_err(0, rename("x", "y"), "same-inode");
	px_str("reg", px_what("x"), "same-inode-source-stays");
	px_str("reg", px_what("y"), "same-inode-target-stays");
	px_err(EEXIST, rename2("x", "y", RENAME_NOREPLACE), "same-inode-noreplace");
	px_err(0, rename2("x", "y", RENAME_EXCHANGE), "same-inode-exchange");
	px_err(0, rename("x", "x"), "onto-itself");
	px_err(EEXIST, rename2("x", "x", RENAME_NOREPLACE), "onto-itself-noreplace");
	px_err(0, rename2("x", "x", RENAME_EXCHANGE), "onto-itself-exchange");
	px_must(stat("x", &st));
	px_num(2, st.st_nlink, "same-inode-nlink");
	px_file("z", 0644, "z");
	px_must(rename("z", "y"));
	px_must(stat("x", &st));
	px_num(1, st.st_nlink, "replaced-link-nlink");
	px_str("x", px_content("x"), "replaced-link-content");
	px_remove("x");
	px_remove("y");
}

static void nlink_is(nlink_t a, nlink_t b, const char *row)
{
	struct stat st;
	nlink_t seen;

	px_must(stat("a", &st));
	seen = st.st_nlink;
	px_must(stat("b", &st));
	px_str(px_text("%u %u", (unsigned int)a, (unsigned int)b),
	       px_text("%u %u", (unsigned int)seen, (unsigned int)st.st_nlink), "%s", row);
}

static ino_t ino_of(const char *path)
{
	struct stat st;

	px_must(stat(path, &st));
	return st.st_ino;
}

static void trees(void)
{
	int fd;

	px_must(mkdir("a", 0755));
	px_must(mkdir("b", 0755));
	px_must(mkdir("a/d", 0755));
	px_must(mkdir("a/d/e", 0755));
	nlink_is(3, 2, "nlink-before");
	px_must(rename("a/d", "b/d"));
	nlink_is(2, 3, "nlink-moved");
	px_num(1, ino_of("b/d/..") == ino_of("b"), "dotdot-moved");
	px_must(mkdir("a/d", 0755));
	px_must(rename("a/d", "a/d2"));
	nlink_is(3, 3, "nlink-same-directory");
	px_must(rename2("a/d2", "b/d", RENAME_EXCHANGE));
	nlink_is(3, 3, "nlink-exchanged");
	px_num(1, ino_of("a/d2/..") == ino_of("a"), "dotdot-exchanged");
	px_num(1, ino_of("b/d/..") == ino_of("b"), "dotdot-exchanged-other");
	px_str("full", px_what("a/d2"), "exchanged-content");
	px_file("a/f", 0644, "f");
	px_must(rename2("a/f", "b/d", RENAME_EXCHANGE));
	nlink_is(4, 2, "nlink-exchanged-with-file");
	px_num(1, ino_of("a/f/..") == ino_of("a"), "dotdot-exchanged-with-file");
	px_must(rmdir("a/f"));
	px_must(mkdir("b/empty", 0755));
	px_must(rename("a/d2", "b/empty"));
	nlink_is(2, 3, "nlink-replaced");
	px_str("full", px_what("b/empty"), "replaced-content");

	px_err(EINVAL, rename("b", "b/x"), "into-itself");
	px_err(EINVAL, rename("b", "b/empty/x"), "into-below-itself");
	px_err(EINVAL, rename("b", "b/empty/e"), "into-below-itself-existing");
	px_err(ENOTEMPTY, rename("b/empty/e", "b"), "onto-its-ancestor");
	px_err(ENOTEMPTY, rename("b/empty", "b"), "onto-its-parent");
	px_err(EINVAL, rename2("b/empty", "b", RENAME_EXCHANGE), "exchange-with-ancestor");
	px_err(EINVAL, rename2("b", "b/empty", RENAME_EXCHANGE), "exchange-with-descendant");
	px_err(EEXIST, rename2("b/empty", "b", RENAME_NOREPLACE), "noreplace-onto-parent");

	/* What is open, and what is the current directory, moves along. */
	fd = (int)px_must(open("b/empty", O_RDONLY | O_DIRECTORY));
	px_must(rename("b/empty", "a/moved"));
	px_err(0, faccessat(fd, "e", F_OK, 0), "open-directory-moved");
	px_err(0, mkdirat(fd, "new", 0755), "open-directory-moved-mkdir");
	px_str("dir", px_what("a/moved/new"), "open-directory-moved-new");
	close(fd);
	px_remove("a");
	px_remove("b");
}

static void names(void)
{
	static const char *const dots[] = { ".", "..", "d/.", "d/..", "d/./", "d/../" };
	unsigned int i;

	px_must(mkdir("d", 0755));
	px_must(mkdir("e", 0755));
	px_file("f", 0644, "");
	for (i = 0; i < PX_COUNT(dots); i++) {
		px_err(EBUSY, rename(dots[i], "x"), "dot-from/%s", dots[i]);
		px_err(EBUSY, rename("e", dots[i]), "dot-to/%s", dots[i]);
		px_err2(EBUSY, EEXIST, rename2("e", dots[i], RENAME_NOREPLACE), "dot-to-noreplace/%s",
			dots[i]);
		px_err(EBUSY, rename2("e", dots[i], RENAME_EXCHANGE), "dot-exchange/%s", dots[i]);
	}
	px_err(0, rename("d/", "d2"), "slash-directory-from");
	px_err(0, rename("d2", "d/"), "slash-directory-to");
	px_err(0, rename("d/", "d2/"), "slash-directory-both");
	px_err(0, rename("d2/", "e/"), "slash-directory-replaced");
	px_err(ENOTDIR, rename("f/", "g"), "slash-file-from");
	px_err(ENOTDIR, rename("f", "g/"), "slash-file-to");
	px_err(ENOTDIR, rename("f", "e/"), "slash-file-to-directory");
	/* Only what is called a directory must be one. */
	px_err(0, rename2("f", "e/", RENAME_EXCHANGE), "slash-directory-exchange");
	px_err(ENOTDIR, rename2("f", "e/", RENAME_EXCHANGE), "slash-file-exchange");
	px_must(rename2("f", "e", RENAME_EXCHANGE));
	px_must(symlink("e", "l"));
	px_err(ENOTDIR, rename("l/", "g"), "slash-link-from");
	px_err(0, rename("e", "e"), "directory-onto-itself");
	px_err(EINVAL, rename2("e", "x", RENAME_NOREPLACE | RENAME_EXCHANGE), "flags-both");
	for (i = 3; i < 32; i++)
		px_err(EINVAL, rename2("e", "x", 1u << i), "flags-bit-%u", i);
	px_err(ENOENT, rename("none/x", "y"), "no-parent-from");
	px_err(ENOENT, rename("e", "none/y"), "no-parent-to");
	px_err(ENOTDIR, rename("e", "f/y"), "file-parent-to");
	px_err(EBADF, renameat(-1, "e", AT_FDCWD, "x"), "dirfd-bad-from");
	px_err(EBADF, renameat(AT_FDCWD, "e", -1, "x"), "dirfd-bad-to");
	px_err(EXDEV, rename("e", "/proc/x"), "other-filesystem");
	px_err(EXDEV, rename("/proc/version", "x"), "from-other-filesystem");
	px_must(rmdir("e"));
	px_must(mkdir("e", 0755));
	px_must(chdir("e"));
	px_must(rmdir("../e"));
	px_file("../g", 0644, "");
	px_err(ENOENT, rename("../g", "g"), "into-removed-directory");
	px_must(chdir(".."));
}

PX_OPERATION(rename_more)
{
	same_file();
	trees();
	names();
}
