// SPDX-License-Identifier: Apache-2.0
/* inotify(7): which events each operation raises at the file, at its directory, at another. */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "px.h"

static int held;

static long done(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static long op_open_read(void) { return done(open("d/f", O_RDONLY)); }
static long op_open_write(void) { return done(open("d/f", O_WRONLY)); }
static long op_open_path(void) { return done(open("d/f", O_PATH)); }
static long op_open_trunc(void) { return done(open("d/f", O_WRONLY | O_TRUNC)); }
static long op_create(void) { return done(open("d/new", O_WRONLY | O_CREAT, 0644)); }
static long op_create_fails(void) { return open("d/f", O_WRONLY | O_CREAT | O_EXCL, 0644) < 0 ? 0 : -1; }
static long op_tmpfile(void) { return done(open("d", O_RDWR | O_TMPFILE, 0644)); }
static long op_read(void)
{
	char byte;

	return read(held, &byte, 1);
}

static long op_write(void) { return write(held, "x", 1); }
static long op_write_nothing(void) { return write(held, "", 0); }
static long op_truncate(void) { return truncate("d/f", 1); }
static long op_ftruncate(void) { return ftruncate(held, 1); }
static long op_fallocate(void) { return fallocate(held, 0, 0, 4096); }
static long op_punch(void) { return fallocate(held, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }
static long op_mkdir(void) { return mkdir("d/new", 0755); }
static long op_rmdir(void) { return rmdir("d/sub"); }
static long op_mkfifo(void) { return mkfifo("d/new", 0644); }
static long op_symlink(void) { return symlink("f", "d/new"); }
static long op_link(void) { return link("d/f", "d/new"); }
static long op_link_other(void) { return link("d/f", "e/new"); }
static long op_unlink(void) { return unlink("d/f"); }
static long op_unlink_closed(void)
{
	close(held);
	return unlink("d/f");
}

static long op_unlink_other_name(void) { return unlink("e/f2"); }
static long op_rename(void) { return rename("d/f", "d/new"); }
static long op_rename_other(void) { return rename("d/f", "e/new"); }
static long op_rename_over(void) { return rename("d/f", "e/g"); }
static long op_replaced(void) { return rename("e/g", "d/f"); }
static long op_exchange(void) { return syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "e/g", RENAME_EXCHANGE); }
static long op_rename_same(void) { return rename("d/f", "e/f2"); }
static long op_rename_dir(void) { return rename("d", "new"); }
static long op_rename_sub(void) { return rename("d/sub", "e/sub"); }
static long op_chmod(void) { return chmod("d/f", 0600); }
static long op_chown(void) { return chown("d/f", 1, 1); }
static long op_utimes(void) { return utimensat(AT_FDCWD, "d/f", NULL, 0); }
static long op_chmod_dir(void) { return chmod("d", 0700); }
static long op_setxattr(void) { return setxattr("d/f", "user.a", "v", 1, 0) && errno == EOPNOTSUPP ? chmod("d/f", 0) : 0; }
static long op_stat(void)
{
	struct stat st;

	return stat("d/f", &st);
}

static long op_list(void)
{
	int fd = open("d", O_RDONLY | O_DIRECTORY);
	char buffer[1024];

	px_must(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)));
	return close(fd);
}

static long op_mmap_write(void)
{
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, held, 0);

	map[0] = 'x';
	return munmap(map, 4096);
}

static long op_copy(void)
{
	loff_t in = 0, out = 0;
	int from = (int)px_must(open("e/g", O_RDONLY));

	px_must(copy_file_range(from, &in, held, &out, 2, 0));
	return close(from);
}

static const struct {
	const char *name;
	long (*act)(void);
	/* at d/f, d, e */
	const char *f, *d, *e;
} rows[] = {
	{ "open-read", op_open_read, "open close-nowrite", "open:f close-nowrite:f", "-" },
	{ "open-write", op_open_write, "open close-write", "open:f close-write:f", "-" },
	{ "open-path", op_open_path, "-", "-", "-" },
	{ "open-trunc", op_open_trunc, "open modify close-write", "open:f modify:f close-write:f", "-" },
	{ "create", op_create, "-", "create:new open:new close-write:new", "-" },
	{ "create-fails", op_create_fails, "-", "-", "-" },
	{ "tmpfile", op_tmpfile, "-", NULL, "-" },
	{ "read", op_read, "access", "access:f", "-" },
	{ "write", op_write, "modify", "modify:f", "-" },
	{ "write-nothing", op_write_nothing, "-", "-", "-" },
	{ "truncate", op_truncate, "modify", "modify:f", "-" },
	{ "ftruncate", op_ftruncate, "modify", "modify:f", "-" },
	{ "fallocate", op_fallocate, "modify", "modify:f", "-" },
	{ "punch-hole", op_punch, "modify", "modify:f", "-" },
	{ "mkdir", op_mkdir, "-", "create:new/", "-" },
	{ "rmdir", op_rmdir, "-", "delete:sub/", "-" },
	{ "mkfifo", op_mkfifo, "-", "create:new", "-" },
	{ "symlink", op_symlink, "-", "create:new", "-" },
	{ "link", op_link, "attrib", "create:new", "-" },
	{ "link-in-other", op_link_other, "attrib", "-", "create:new" },
	{ "unlink-open", op_unlink, "attrib", "delete:f", "-" },
	{ "unlink-closed", op_unlink_closed, "close-write attrib", "close-write:f delete:f", "-" },
	{ "unlink-other-name", op_unlink_other_name, "attrib", "-", "delete:f2" },
	{ "rename", op_rename, "move-self", "moved-from:f moved-to:new", "-" },
	{ "rename-to-other", op_rename_other, "move-self", "moved-from:f", "moved-to:new" },
	{ "rename-over", op_rename_over, "move-self", "moved-from:f", "moved-to:g" },
	{ "replaced", op_replaced, "attrib", "moved-to:f", "moved-from:g" },
	{ "exchange", op_exchange, "move-self", "moved-from:f moved-to:f", "moved-to:g moved-from:g" },
	{ "rename-same-inode", op_rename_same, "-", "-", "-" },
	{ "rename-directory", op_rename_dir, "-", "move-self", "-" },
	{ "rename-subdirectory", op_rename_sub, "-", "moved-from:sub/", "moved-to:sub/" },
	{ "chmod", op_chmod, "attrib", "attrib:f", "-" },
	{ "chown", op_chown, "attrib", "attrib:f", "-" },
	{ "utimensat", op_utimes, "attrib", "attrib:f", "-" },
	{ "chmod-directory", op_chmod_dir, "-", "attrib/", "-" },
	{ "setxattr", op_setxattr, "attrib", "attrib:f", "-" },
	{ "stat", op_stat, "-", "-", "-" },
	{ "readdir", op_list, "-", "open/ access/ close-nowrite/", "-" },
	{ "mmap-write", op_mmap_write, "-", "-", "-" },
	{ "copy_file_range", op_copy, "modify", "modify:f", "open:g access:g close-nowrite:g" },
};

static const struct {
	unsigned int bit;
	const char *name;
} names[] = {
	{ IN_ACCESS, "access" }, { IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" }, { IN_CLOSE_WRITE, "close-write" },
	{ IN_CLOSE_NOWRITE, "close-nowrite" }, { IN_OPEN, "open" }, { IN_MOVED_FROM, "moved-from" },
	{ IN_MOVED_TO, "moved-to" }, { IN_CREATE, "create" }, { IN_DELETE, "delete" }, { IN_DELETE_SELF, "delete-self" },
	{ IN_MOVE_SELF, "move-self" },
};

/* "open:f close-write:f", or "-". */
static const char *events(int watch)
{
	static char texts[3][400];
	static unsigned int turn;
	char buffer[8192] __attribute__((aligned(8))), *text = texts[turn++ % 3];
	ssize_t n = read(watch, buffer, sizeof(buffer)), at;
	size_t length = 0;
	unsigned int i;

	strcpy(text, "-");
	for (at = 0; at < n && length < 300;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		for (i = 0; i < PX_COUNT(names); i++)
			if (event->mask & names[i].bit)
				length += (size_t)sprintf(text + length, "%s%s%s%.20s%s", length ? " " : "", names[i].name,
							  event->len ? ":" : "", event->len ? event->name : "",
							  event->mask & IN_ISDIR ? "/" : "");
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return text;
}

PX_OPERATION(inotify)
{
	static const char *const at[3] = { "d/f", "d", "e" };
	int watch[3], k;
	unsigned int i;

	for (i = 0; i < PX_COUNT(rows); i++) {
		const char *want[3] = { rows[i].f, rows[i].d, rows[i].e };

		px_must(mkdir("d", 0755));
		px_must(mkdir("d/sub", 0755));
		px_must(mkdir("e", 0755));
		px_file("d/f", 0644, "content");
		px_file("e/g", 0644, "other");
		px_must(link("d/f", "e/f2"));
		held = (int)px_must(open("d/f", O_RDWR));
		for (k = 0; k < 3; k++) {
			watch[k] = (int)px_must(inotify_init1(IN_NONBLOCK));
			px_must(inotify_add_watch(watch[k], at[k], IN_ALL_EVENTS));
		}
		px_must(rows[i].act());
		for (k = 0; k < 3; k++) {
			const char *seen = events(watch[k]);

			if (want[k])
				px_str(want[k], seen, "%s/%s", rows[i].name, at[k]);
			close(watch[k]);
		}
		close(held);
		px_remove("d");
		px_remove("e");
		px_remove("new");
	}
}
