// SPDX-License-Identifier: Apache-2.0
/*
 * What every other file sees in caches, seen again without them: all is made, then
 * the caches are dropped, then all is looked at, and changed, cold.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "px.h"

enum { MADE, CHMODDED, CHOWNED, TIMED, RENAMED, MOVED, LINKED, EXCHANGED, REPLACING, STORIES };

static const char *const story_name[STORIES] = {
	"made", "chmodded", "chowned", "timed", "renamed", "moved", "linked", "exchanged", "replacing",
};

static struct statx before[PX_TYPES][STORIES];
static char target[PX_TYPES][STORIES][64];
static bool told[PX_TYPES][STORIES];

static const char *path_of(int type, int story)
{
	return px_text("d/%s-%s", px_type_name[type], story_name[story]);
}

static bool is_dir(int type)
{
	return type == PX_DIR || type == PX_FULL;
}

static void tell(int type, int story)
{
	const struct timespec ts[2] = { { -1234567, 111111111 }, { 3000000000LL, 999999999 } };
	const char *path = path_of(type, story), *other = px_text("%s.o", path);

	if (story == LINKED && is_dir(type))
		return;
	px_make(type, path, 0640);
	switch (story) {
	case CHMODDED:
		/* A link has no mode of its own. */
		if (type < PX_LNK)
			px_must(chmod(path, 07123));
		break;
	case CHOWNED:
		px_must(lchown(path, 0xfffffffe, 70000));
		break;
	case TIMED:
		px_must(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW));
		break;
	case RENAMED:
		px_must(rename(path, other));
		px_must(rename(other, path));
		break;
	case MOVED:
		px_must(rename(path, "e/x"));
		px_must(rename("e/x", path));
		break;
	case LINKED:
		px_must(link(path, px_text("e/%s", px_type_name[type])));
		break;
	case EXCHANGED:
		px_make(type, other, 0600);
		px_must(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE));
		break;
	case REPLACING:
		px_make(is_dir(type) ? PX_DIR : PX_REG, other, 0600);
		px_must(rename(path, other));
		px_must(rename(other, path));
		break;
	default:
		break;
	}
	told[type][story] = true;
}

static const char *when(const struct statx_timestamp *at)
{
	return px_text("%lld.%09u", (long long)at->tv_sec, at->tv_nsec);
}

static void compare(int type, int story)
{
	const struct statx *b = &before[type][story];
	const char *path = path_of(type, story), *row = px_text("%s/%s", px_type_name[type], story_name[story]);
	char link[64] = "";
	struct statx st;

	px_must(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_ALL, &st));
	const struct {
		const char *name;
		bool same;
	} fields[] = {
		{ "mode", st.stx_mode == b->stx_mode }, { "nlink", st.stx_nlink == b->stx_nlink },
		{ "owner", st.stx_uid == b->stx_uid && st.stx_gid == b->stx_gid },
		{ "ino", st.stx_ino == b->stx_ino }, { "size", st.stx_size == b->stx_size },
		{ "rdev", st.stx_rdev_major == b->stx_rdev_major && st.stx_rdev_minor == b->stx_rdev_minor },
		{ "atime", !strcmp(when(&st.stx_atime), when(&b->stx_atime)) },
		{ "mtime", !strcmp(when(&st.stx_mtime), when(&b->stx_mtime)) },
		{ "ctime", !strcmp(when(&st.stx_ctime), when(&b->stx_ctime)) },
		{ "btime", !strcmp(when(&st.stx_btime), when(&b->stx_btime)) },
	};
	unsigned int i;

	for (i = 0; i < PX_COUNT(fields); i++)
		px_num(1, fields[i].same, "%s/%s", row, fields[i].name);
	px_str(px_type_name[type], px_what(path), "%s/is", row);
	if (type == PX_REG)
		px_str("content", px_content(path), "%s/content", row);
	if (type >= PX_LNK) {
		px_must(readlink(path, link, sizeof(link) - 1));
		px_str(target[type][story], link, "%s/target", row);
	}
}

static void drop_caches(void)
{
	int fd = (int)px_must(open("/proc/sys/vm/drop_caches", O_WRONLY));

	sync();
	px_must(write(fd, "3", 1));
	close(fd);
}

/* Changes whose object nobody has in memory. */
static void change(void)
{
	struct stat st;
	int type;

	for (type = PX_REG; type < PX_TYPES; type++) {
		const char *name = px_type_name[type];

		if (!is_dir(type)) {
			px_err(0, unlink(px_text("e/%s", name)), "change/%s/unlink-link", name);
			px_must(lstat(path_of(type, LINKED), &st));
			px_num(1, st.st_nlink, "change/%s/nlink", name);
			px_err(0, link(path_of(type, MADE), px_text("e/%s", name)), "change/%s/link", name);
			px_must(lstat(path_of(type, MADE), &st));
			px_num(2, st.st_nlink, "change/%s/nlink-two", name);
		}
		px_err(EEXIST, mkdir(path_of(type, CHMODDED), 0755), "change/%s/exists", name);
		px_err(0, rename(path_of(type, RENAMED), "e/moved"), "change/%s/rename", name);
		px_err(0, lchown("e/moved", 7, 8), "change/%s/chown", name);
		px_must(lstat("e/moved", &st));
		px_num(7, st.st_uid, "change/%s/uid", name);
		px_err(type == PX_FULL ? ENOTEMPTY : 0, is_dir(type) ? rmdir("e/moved") : unlink("e/moved"),
		       "change/%s/remove", name);
		px_remove("e/moved");
	}
}

PX_OPERATION(cold)
{
	int type, story, n = 0, m = 0;
	const struct dirent *entry;
	struct stat st;
	DIR *dir;

	px_must(mkdir("d", 0777));
	px_must(mkdir("e", 0777));
	for (type = PX_REG; type < PX_TYPES; type++)
		for (story = 0; story < STORIES; story++)
			tell(type, story);
	for (type = PX_REG; type < PX_TYPES; type++) {
		for (story = 0; story < STORIES; story++) {
			if (!told[type][story])
				continue;
			/* Reading a link moves its time of access. */
			if (type >= PX_LNK)
				px_must(readlink(path_of(type, story), target[type][story], 63));
			px_must(statx(AT_FDCWD, path_of(type, story), AT_SYMLINK_NOFOLLOW, STATX_ALL,
				      &before[type][story]));
		}
	}
	px_must(stat("d", &st));
	dir = opendir("d");
	while ((entry = readdir(dir)))
		n++;
	closedir(dir);
	drop_caches();
	dir = opendir("d");
	while ((entry = readdir(dir)))
		m++;
	closedir(dir);
	px_num(1, n == m, "listing");
	for (type = PX_REG; type < PX_TYPES; type++)
		for (story = 0; story < STORIES; story++)
			if (told[type][story])
				compare(type, story);
	drop_caches();
	change();
}
