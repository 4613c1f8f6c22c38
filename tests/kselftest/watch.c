// SPDX-License-Identifier: GPL-2.0-only
/*
 * inotify and fanotify: what a watch of a file, a directory, a mount and the whole
 * filesystem sees, by descriptor and by file id; the filesystem's own ids.
 */
#include "nx.h"

#include <linux/fs.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>

#ifndef FS_IOC_GETFSUUID
struct fsuuid2 {
	__u8 len;
	__u8 uuid[16];
};
#define FS_IOC_GETFSUUID _IOR(0x15, 0, struct fsuuid2)
#endif
#ifndef FAN_RENAME
#define FAN_RENAME 0x10000000
#endif

/* ---- inotify ----------------------------------------------------------------- */

/* Reads until an event has all of @mask (and the name, if any); 0 or -1. */
static int saw(int fd, uint32_t mask, const char *name)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buf;
	ssize_t n;
	char *p;

	while ((n = read(fd, &buf, sizeof(buf))) > 0) {
		for (p = buf.bytes; p < buf.bytes + n;) {
			struct inotify_event *e = (void *)p;

			p += sizeof(*e) + e->len;
			if ((e->mask & mask) == mask &&
			    (!name || (e->len && !strcmp(e->name, name))))
				return 0;
		}
	}
	return -1;
}

TEST_F(dir, inotify)
{
	int in, fd, w;
	char c;

	GET(in, inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	GET(w, inotify_add_watch(in, ".", IN_ALL_EVENTS));
	OK(nx_put("file", "text"));
	OK(saw(in, IN_CREATE, "file"));
	OK(nx_put("file", "text"));
	OK(saw(in, IN_CLOSE_WRITE, "file"));
	OK(chmod("file", 0600));
	OK(saw(in, IN_ATTRIB, "file"));
	GET(fd, open("file", O_RDONLY));
	ASSERT_EQ(1, read(fd, &c, 1));
	close(fd);
	OK(saw(in, IN_ACCESS, "file"));
	OK(truncate("file", 1));
	OK(saw(in, IN_MODIFY, "file"));
	OK(rename("file", "moved"));
	OK(saw(in, IN_MOVED_TO, "moved"));
	OK(mkdir("dir", 0755));
	OK(saw(in, IN_CREATE | IN_ISDIR, "dir"));
	OK(rmdir("dir"));
	OK(saw(in, IN_DELETE | IN_ISDIR, "dir"));
	GET(w, inotify_add_watch(in, "moved", IN_ALL_EVENTS));
	/* A watch keeps the inode: what is dropped is not seen as gone. */
	nx_drop_caches();
	OK(link("moved", "hard"));
	OK(saw(in, IN_ATTRIB, NULL));
	OK(unlink("moved"));
	OK(saw(in, IN_DELETE, "moved"));
	OK(unlink("hard"));
	OK(saw(in, IN_DELETE_SELF, NULL));
	close(in);
}

/* ---- fanotify ----------------------------------------------------------------- */

struct id {
	struct fanotify_event_info_fid info;
	struct file_handle handle;
	unsigned char bytes[MAX_HANDLE_SZ + 256];
};

/*
 * Waits for an event with @mask whose first record is of @type; gives a copy of it and,
 * behind the handle, the name.
 */
static int saw_id(int fan, uint64_t mask, int type, struct id *id)
{
	char buf[8192] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(fan, buf, sizeof(buf))) > 0) {
		struct fanotify_event_metadata *e = (void *)buf;

		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			struct fanotify_event_info_header *head = (void *)(e + 1);

			if (e->fd >= 0)
				close(e->fd);
			if ((e->mask & mask) != mask || e->event_len == e->metadata_len ||
			    head->info_type != type)
				continue;
			memset(id, 0, sizeof(*id));
			memcpy(id, head, head->len);
			return 0;
		}
	}
	return -1;
}

static int open_id(struct id *id, int flags)
{
	int mount = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, code;
	struct {
		struct file_handle h;
		unsigned char bytes[MAX_HANDLE_SZ];
	} copy = {};

	copy.h.handle_bytes = id->handle.handle_bytes;
	copy.h.handle_type = id->handle.handle_type;
	memcpy(copy.bytes, id->bytes, id->handle.handle_bytes);
	fd = open_by_handle_at(mount, &copy.h, flags);
	code = errno;
	close(mount);
	errno = code;
	return fd;
}

static const char *name_of(const struct id *id)
{
	return (const char *)id->bytes + id->handle.handle_bytes;
}

/* The whole filesystem, by file id: found again after everything was forgotten. */
TEST_F(dir, filesystem_by_id)
{
	struct stat st, got;
	struct statfs sf;
	struct id id;
	int fan, fd;

	if (!self->root)
		SKIP(return, "needs root");
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY);
	if (fan < 0)
		SKIP(return, "no fanotify");
	OK(mkdir("dir", 0755));
	OK(nx_put("dir/file", "text"));
	OK(stat("dir/file", &st));
	OK(statfs(".", &sf));
	OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
			 FAN_MODIFY | FAN_ATTRIB | FAN_DELETE_SELF | FAN_ONDIR, AT_FDCWD, "."));
	nx_drop_caches();
	GET(fd, open("dir/file", O_WRONLY));
	ASSERT_EQ(1, write(fd, "T", 1));
	close(fd);
	OK(saw_id(fan, FAN_MODIFY, FAN_EVENT_INFO_TYPE_FID, &id));
	ASSERT_EQ(0, memcmp(&id.info.fsid, &sf.f_fsid, sizeof(sf.f_fsid)));
	GET(fd, open_id(&id, O_RDONLY));
	OK(fstat(fd, &got));
	ASSERT_EQ(st.st_ino, got.st_ino);
	close(fd);
	OK(unlink("dir/file"));
	nx_drop_caches();
	OK(saw_id(fan, FAN_DELETE_SELF, FAN_EVENT_INFO_TYPE_FID, &id));
	FAILS(ESTALE, open_id(&id, O_RDONLY));
	close(fan);
}

/* Names with the id of their directory. */
TEST_F(dir, names_by_id)
{
	struct stat st, got;
	struct id id;
	int fan, fd;

	if (!self->root)
		SKIP(return, "needs root");
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK, O_RDONLY);
	if (fan < 0)
		SKIP(return, "no fanotify");
	OK(mkdir("dir", 0755));
	OK(stat("dir", &st));
	OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
			 FAN_CREATE | FAN_DELETE | FAN_MOVED_TO | FAN_ONDIR, AT_FDCWD, "."));
	OK(nx_put("dir/file", "text"));
	OK(saw_id(fan, FAN_CREATE, FAN_EVENT_INFO_TYPE_DFID_NAME, &id));
	ASSERT_STREQ("file", name_of(&id));
	GET(fd, open_id(&id, O_RDONLY | O_DIRECTORY));
	OK(fstat(fd, &got));
	ASSERT_EQ(st.st_ino, got.st_ino);
	OK(faccessat(fd, "file", F_OK, 0));
	close(fd);
	OK(rename("dir/file", "dir/moved"));
	OK(saw_id(fan, FAN_MOVED_TO, FAN_EVENT_INFO_TYPE_DFID_NAME, &id));
	ASSERT_STREQ("moved", name_of(&id));
	OK(mkdir("dir/sub", 0755));
	OK(saw_id(fan, FAN_CREATE | FAN_ONDIR, FAN_EVENT_INFO_TYPE_DFID_NAME, &id));
	ASSERT_STREQ("sub", name_of(&id));
	OK(unlink("dir/moved"));
	OK(saw_id(fan, FAN_DELETE, FAN_EVENT_INFO_TYPE_DFID_NAME, &id));
	ASSERT_STREQ("moved", name_of(&id));
	close(fan);
}

TEST_F(dir, rename_by_id)
{
	struct id id;
	int fan;

	if (!self->root)
		SKIP(return, "needs root");
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK, O_RDONLY);
	if (fan < 0 || fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_RENAME,
				     AT_FDCWD, "."))
		SKIP(return, "no FAN_RENAME");
	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	OK(nx_put("a/old", "text"));
	OK(rename("a/old", "b/new"));
	OK(saw_id(fan, FAN_RENAME, FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, &id));
	ASSERT_STREQ("old", name_of(&id));
	close(fan);
}

/* By descriptor, of a mount. */
TEST_F(dir, mount_by_descriptor)
{
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_metadata *e = (void *)buf;
	struct stat st, got;
	bool found = false;
	int fan, fd;
	ssize_t n;

	if (!self->root)
		SKIP(return, "needs root");
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	if (fan < 0)
		SKIP(return, "no fanotify");
	OK(nx_put("file", "text"));
	OK(stat("file", &st));
	OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, "."));
	GET(fd, open("file", O_WRONLY));
	close(fd);
	while ((n = read(fan, buf, sizeof(buf))) > 0) {
		for (e = (void *)buf; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			OK(fstat(e->fd, &got));
			found = found || (got.st_ino == st.st_ino && got.st_dev == st.st_dev);
			close(e->fd);
		}
	}
	ASSERT_TRUE(found);
	close(fan);
}

/* ---- ids ------------------------------------------------------------------------- */

TEST_F(dir, uuid)
{
	static const struct fsuuid2 none;
	struct fsuuid2 uuid = {};
	struct statfs sf;
	char line[64] = "", *p = line;
	int fd, i;

	GET(fd, open(".", O_RDONLY));
	OK(ioctl(fd, FS_IOC_GETFSUUID, &uuid));
	close(fd);
	ASSERT_EQ(16, uuid.len);
	ASSERT_NE(0, memcmp(uuid.uuid, none.uuid, 16));
	OK(statfs(".", &sf));
	ASSERT_TRUE(sf.f_fsid.__val[0] || sf.f_fsid.__val[1]);
	if (!self->nexus || access("/mnt/nexus/__sys__/zones/root", R_OK))
		return;
	for (i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     uuid.uuid[i]);
	ASSERT_NE(NULL, strstr(nx_get("/mnt/nexus/__sys__/zones/root"), line)) {
		TH_LOG("no %s in %s", line, nx_get("/mnt/nexus/__sys__/zones/root"));
	}
}

TEST_HARNESS_MAIN
