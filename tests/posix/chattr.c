// SPDX-License-Identifier: Apache-2.0
/* Files that may not be changed, or only grow (FS_IOC_SETFLAGS); handles of files. */
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "px.h"

static int get(const char *path)
{
	int fd = (int)px_must(open(path, O_RDONLY | O_NONBLOCK)), flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		flags = -1;
	close(fd);
	return flags;
}

static int set(const char *path, int flags)
{
	int fd = (int)px_must(open(path, O_RDONLY | O_NONBLOCK)), ret, code;

	ret = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	code = errno;
	close(fd);
	errno = code;
	return ret;
}

#define KEPT (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL)

static int with(const char *path, int flag)
{
	int now = get(path);

	return set(path, (now & (KEPT | ~FS_FL_USER_VISIBLE)) | (now & ~KEPT) | flag);
}

static int without(const char *path, int flag)
{
	return set(path, get(path) & ~flag);
}

static long done(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int held;	/* open for writing since before; for "append" with O_APPEND */

static long op_read(void) { return done(open("d/x", O_RDONLY)); }
static long op_open_write(void) { return done(open("d/x", O_WRONLY)); }
static long op_open_append(void) { return done(open("d/x", O_WRONLY | O_APPEND)); }
static long op_open_append_trunc(void) { return done(open("d/x", O_WRONLY | O_APPEND | O_TRUNC)); }
static long op_write_held(void) { return write(held, "x", 1); }
static long op_ftruncate_held(void) { return ftruncate(held, 1); }
static long op_truncate(void) { return truncate("d/x", 1); }
static long op_truncate_more(void) { return truncate("d/x", 100); }
static long op_punch(void) { return fallocate(held, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }
static long op_chmod(void) { return chmod("d/x", 0600); }
static long op_chown(void) { return chown("d/x", 1, 1); }
static long op_touch(void) { return utimensat(AT_FDCWD, "d/x", NULL, 0); }
static long op_utimes(void)
{
	const struct timespec ts[2] = { { 1, 1 }, { 1, 1 } };

	return utimensat(AT_FDCWD, "d/x", ts, 0);
}

static long op_link(void) { return link("d/x", "d/new"); }
static long op_unlink(void) { return remove("d/x"); }
static long op_rename(void) { return rename("d/x", "d/new"); }
static long op_rename_onto(void) { return rename("d/other", "d/x"); }
static long op_access_w(void) { return access("d/x", W_OK); }
static long op_fcntl(void) { return fcntl(held, F_SETFL, 0); }
static long op_create(void) { return done(open("d/x/new", O_WRONLY | O_CREAT, 0644)); }
static long op_mkdir(void) { return mkdir("d/x/new", 0755); }
static long op_symlink(void) { return symlink("f", "d/x/new"); }
static long op_unlink_in(void) { return unlink("d/x/f"); }
static long op_rename_in(void) { return rename("d/x/f", "d/x/new"); }
static long op_rename_into(void) { return rename("d/other", "d/x/new"); }
static long op_rename_out(void) { return rename("d/x/f", "d/new"); }
static long op_write_in(void) { return done(open("d/x/f", O_WRONLY)); }
static long op_list(void) { return done(open("d/x", O_RDONLY | O_DIRECTORY)); }
static long op_tmpfile(void) { return done(open("d/x", O_RDWR | O_TMPFILE, 0600)); }

static const struct {
	const char *name;
	long (*act)(void);
	bool dir;
	int immutable, append;
} ops[] = {
	{ "open-rdonly", op_read, false, 0, 0 },
	{ "open-wronly", op_open_write, false, EPERM, EPERM },
	{ "open-append", op_open_append, false, EPERM, 0 },
	{ "open-append-trunc", op_open_append_trunc, false, EPERM, EPERM },
	{ "write-opened-before", op_write_held, false, EPERM, 0 },
	{ "ftruncate-opened-before", op_ftruncate_held, false, EPERM, EPERM },
	{ "truncate", op_truncate, false, EPERM, EPERM },
	{ "truncate-more", op_truncate_more, false, EPERM, EPERM },
	{ "punch-hole", op_punch, false, EPERM, EPERM },
	{ "chmod", op_chmod, false, EPERM, EPERM },
	{ "chown", op_chown, false, EPERM, EPERM },
	{ "touch", op_touch, false, EPERM, 0 },
	{ "utimensat", op_utimes, false, EPERM, EPERM },
	{ "link", op_link, false, EPERM, EPERM },
	{ "unlink", op_unlink, false, EPERM, EPERM },
	{ "rename", op_rename, false, EPERM, EPERM },
	{ "rename-onto", op_rename_onto, false, EPERM, EPERM },
	{ "access-w", op_access_w, false, EPERM, 0 },
	{ "clear-o_append", op_fcntl, false, 0, EPERM },
	{ "list", op_list, true, 0, 0 },
	{ "create", op_create, true, EPERM, 0 },
	{ "mkdir", op_mkdir, true, EPERM, 0 },
	{ "symlink", op_symlink, true, EPERM, 0 },
	{ "unlink-in", op_unlink_in, true, EPERM, EPERM },
	{ "rename-in", op_rename_in, true, EPERM, EPERM },
	{ "rename-into", op_rename_into, true, EPERM, 0 },
	{ "rename-out", op_rename_out, true, EPERM, EPERM },
	{ "write-to-what-is-in", op_write_in, true, 0, 0 },
	{ "rmdir", op_unlink, true, EPERM, EPERM },
	{ "rename-itself", op_rename, true, EPERM, EPERM },
	{ "chmod-itself", op_chmod, true, EPERM, EPERM },
	{ "tmpfile", op_tmpfile, true, EPERM, 0 },
};

static void effects(void)
{
	static const int flags[] = { FS_IMMUTABLE_FL, FS_APPEND_FL };
	unsigned int o, f;

	for (f = 0; f < 2; f++) {
		for (o = 0; o < PX_COUNT(ops); o++) {
			px_must(mkdir("d", 0777));
			px_make(ops[o].dir ? PX_FULL : PX_REG, "d/x", 0666);
			px_file("d/other", 0666, "other");
			held = open("d/x", f ? O_WRONLY | O_APPEND : O_WRONLY);
			px_must(with("d/x", flags[f]));
			px_err(f ? ops[o].append : ops[o].immutable, ops[o].act(), "%s/%s/%s",
			       f ? "append" : "immutable", ops[o].dir ? "dir" : "reg", ops[o].name);
			if (held >= 0)
				close(held);
			if (!access("d/x", F_OK))
				px_must(without("d/x", flags[f]));
			px_remove("d");
		}
	}
}

PX_OPERATION(chattr)
{
	static const struct {
		const char *name;
		int flag;
		bool privileged, dir_only;
	} flags[] = {
		{ "immutable", FS_IMMUTABLE_FL, true, false }, { "append", FS_APPEND_FL, true, false },
		{ "nodump", FS_NODUMP_FL, false, false }, { "noatime", FS_NOATIME_FL, false, false },
		{ "sync", FS_SYNC_FL, false, false }, { "dirsync", FS_DIRSYNC_FL, false, true },
	};
	static const struct px_who whos[] = {
		{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, { "other", PX_U2, PX_G2, 0, { 0 }, 0 },
		{ "owner-with-cap", PX_U1, PX_G1, 0, { 0 }, PX_CAP(CAP_LINUX_IMMUTABLE) },
		{ "other-with-cap", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_LINUX_IMMUTABLE) },
		{ "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) },
	};
	struct px_age age = { .path = "y" };
	unsigned int f, w;
	struct statx st;
	int dir;

	px_file("x", 0644, "");
	if (with("x", FS_IMMUTABLE_FL))
		px_skip_rest("no immutable files");
	px_must(without("x", FS_IMMUTABLE_FL));
	px_remove("x");
	for (dir = 0; dir < 2; dir++) {
		for (f = 0; f < PX_COUNT(flags); f++) {
			const char *row = px_text("%s/%s", flags[f].name, dir ? "dir" : "reg");

			if (flags[f].dir_only && !dir)
				continue;
			px_make(dir ? PX_DIR : PX_REG, "x", 0755);
			px_must(chown("x", PX_U1, PX_G1));
			px_err(0, with("x", flags[f].flag), "%s/set", row);
			px_num(flags[f].flag, get("x") & flags[f].flag, "%s/get", row);
			px_must(statx(AT_FDCWD, "x", 0, STATX_ALL, &st));
			if (f < 3)
				px_num(f == 0 ? STATX_ATTR_IMMUTABLE : f == 1 ? STATX_ATTR_APPEND : STATX_ATTR_NODUMP,
				       (long long)(st.stx_attributes &
						   (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP)),
				       "%s/statx", row);
			px_err(0, without("x", flags[f].flag), "%s/clear", row);
			px_num(0, get("x") & flags[f].flag, "%s/cleared", row);
			for (w = 0; w < PX_COUNT(whos); w++) {
				bool owner = whos[w].uid == PX_U1 || (whos[w].caps & PX_CAP(CAP_FOWNER));
				bool cap = whos[w].caps & PX_CAP(CAP_LINUX_IMMUTABLE);

				px_become(&whos[w]);
				px_err2(owner && (cap || !flags[f].privileged) ? 0 : EPERM,
					owner && (cap || !flags[f].privileged) ? 0 : EACCES, with("x", flags[f].flag),
					"%s/set-by/%s", row, whos[w].name);
				px_root();
				px_must(without("x", flags[f].flag));
			}
			px_remove("x");
		}
	}
	effects();
	/* Noatime does what it says; nodump nothing. */
	px_file("y", 0644, "content");
	px_must(with("y", FS_NOATIME_FL));
	px_age(&age, 1);
	px_content("y");
	px_str("-", px_touched(&age), "noatime/read");
	px_must(without("y", FS_NOATIME_FL));
	px_age(&age, 1);
	px_must(with("y", FS_NODUMP_FL));
	px_str("c", px_touched(&age), "times");
	/* A mapping that was there before. */
	px_must(mkdir("dir", 0755));
	px_must(with("dir", FS_NOATIME_FL | FS_NODUMP_FL));
	px_file("dir/x", 0644, "");
	px_num(FS_NOATIME_FL | FS_NODUMP_FL, get("dir/x") & (FS_NOATIME_FL | FS_NODUMP_FL), "inherited/file");
	px_must(mkdir("dir/d", 0755));
	px_num(FS_NOATIME_FL | FS_NODUMP_FL, get("dir/d") & (FS_NOATIME_FL | FS_NODUMP_FL), "inherited/directory");
}

/* ---- handles ------------------------------------------------------------------------ */

PX_OPERATION(handle)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} a, b;
	int mount_id, type, fd, mount_fd = (int)px_must(open(".", O_RDONLY | O_DIRECTORY));
	struct stat st, again;

	px_file("x", 0644, "content");
	a.h.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0) && errno == EOPNOTSUPP)
		px_skip_rest("no file handles");
	px_remove("x");
	for (type = PX_REG; type < PX_TYPES; type++) {
		const char *name = px_type_name[type];
		bool link = type >= PX_LNK;

		px_make(type, "x", 0644);
		px_must(lstat("x", &st));
		a.h.handle_bytes = MAX_HANDLE_SZ;
		px_err(0, name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0), "%s/get", name);
		fd = open_by_handle_at(mount_fd, &a.h, O_PATH | O_NOFOLLOW);
		px_err(0, fd, "%s/open", name);
		if (fd >= 0) {
			px_must(fstat(fd, &again));
			px_num(1, again.st_ino == st.st_ino && again.st_mode == st.st_mode, "%s/same", name);
			close(fd);
		}
		/* The same after a rename, and for another name. */
		px_must(rename("x", "y"));
		b.h.handle_bytes = MAX_HANDLE_SZ;
		px_must(name_to_handle_at(AT_FDCWD, "y", &b.h, &mount_id, 0));
		px_num(0, a.h.handle_bytes != b.h.handle_bytes || a.h.handle_type != b.h.handle_type ||
			  memcmp(a.h.f_handle, b.h.f_handle, a.h.handle_bytes), "%s/after-rename", name);
		if (link && type != PX_LOOP && type != PX_DANGLING) {
			px_must(rename("y", "x"));
			b.h.handle_bytes = MAX_HANDLE_SZ;
			px_must(name_to_handle_at(AT_FDCWD, "x", &b.h, &mount_id, AT_SYMLINK_FOLLOW));
			px_num(1, !!memcmp(a.h.f_handle, b.h.f_handle, a.h.handle_bytes), "%s/follow", name);
		}
		px_remove("x");
		px_remove("y");
		px_err(ESTALE, open_by_handle_at(mount_fd, &a.h, O_PATH), "%s/removed", name);
	}
	px_file("x", 0644, "content");
	a.h.handle_bytes = 0;
	px_err(EOVERFLOW, name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0), "no-room");
	px_num(1, a.h.handle_bytes > 0, "no-room/says-how-much");
	px_err(0, name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0), "just-enough");
	a.h.handle_bytes = MAX_HANDLE_SZ + 1;
	px_err(EINVAL, name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0), "too-much-room");
	a.h.handle_bytes = MAX_HANDLE_SZ;
	px_err(EINVAL, name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0x10000), "flags");
	px_must(name_to_handle_at(AT_FDCWD, "x", &a.h, &mount_id, 0));
	px_become(&px_u1);
	px_err(EPERM, open_by_handle_at(mount_fd, &a.h, O_RDONLY), "no-capability");
	px_root();
	px_err(EBADF, open_by_handle_at(-1, &a.h, O_RDONLY), "bad");
	/* Still there while it is open without a name. */
	fd = (int)px_must(open("x", O_RDONLY));
	px_must(unlink("x"));
	type = open_by_handle_at(mount_fd, &a.h, O_RDONLY);
	px_note(px_errname(type < 0 ? errno : 0), "unlinked-but-open");
	if (type >= 0)
		close(type);
	close(fd);
	/* Made up. */
	b = a;
	memset(b.h.f_handle, 0xff, b.h.handle_bytes);
	px_err(ESTALE, open_by_handle_at(mount_fd, &b.h, O_RDONLY), "invented");
	b = a;
	b.h.handle_type = 0x77;
	px_err(ESTALE, open_by_handle_at(mount_fd, &b.h, O_RDONLY), "type");
	b = a;
	b.h.handle_bytes = 1;
	px_err(ESTALE, open_by_handle_at(mount_fd, &b.h, O_RDONLY), "short");
	b.h.handle_bytes = 0;
	px_err(EINVAL, open_by_handle_at(mount_fd, &b.h, O_RDONLY), "empty");
	px_err(EFAULT, open_by_handle_at(mount_fd, (void *)1, O_RDONLY), "efault");
	close(mount_fd);
}
