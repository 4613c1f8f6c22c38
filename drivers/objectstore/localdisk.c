// SPDX-License-Identifier: Apache-2.0
/*
 * Object store driver over a directory: packs/XX/ID.pack, where XX is the low
 * byte of the id in hexadecimal and ID the whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <nexus/format.h>
#include <nexus/objectstore.h>

#include "drivers/hostfile.h"
#include "lib/port.h"

#define PACK_PATH_MAX	48

struct disk_store {
	struct nexus_objectstore base;
	int dirfd;
};

static struct disk_store *to_store(struct nexus_objectstore *os)
{
	return NEXUS_CONTAINER(os, struct disk_store, base);
}

static void pack_path(char path[PACK_PATH_MAX], u64 pack)
{
	snprintf(path, PACK_PATH_MAX, "%02x/%016llx.pack",
		 (unsigned int)(pack & 0xff), pack);
}

static int disk_open(const char *dir, struct nexus_objectstore **os)
{
	struct disk_store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->base.drv = &nexus_os_localdisk;
	s->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0) {
		int ret = -errno;

		free(s);
		return ret;
	}
	*os = &s->base;
	return 0;
}

static void disk_close(struct nexus_objectstore *os)
{
	struct disk_store *s = to_store(os);

	close(s->dirfd);
	free(s);
}

/* Makes the folder a pack lies in, durably. */
static int make_folder(struct disk_store *s, const char *path)
{
	char sub[3] = { path[0], path[1], '\0' };

	if (!mkdirat(s->dirfd, sub, 0700)) {
		if (fsync(s->dirfd))
			return -errno;
		return 0;
	}
	return errno == EEXIST ? 0 : -errno;
}

static int create_with(struct nexus_objectstore *os, u64 pack, u32 blocks,
		       int (*create)(int dirfd, const char *path, uint64_t bytes))
{
	struct disk_store *s = to_store(os);
	char path[PACK_PATH_MAX];
	int ret;

	pack_path(path, pack);
	ret = make_folder(s, path);
	return ret ? ret : create(s->dirfd, path, (u64)blocks * NEXUS_BLOCK_SIZE);
}

static int disk_create(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	return create_with(os, pack, blocks, hostfile_create);
}

static int disk_create_allocated(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	return create_with(os, pack, blocks, hostfile_create_allocated);
}

static int disk_create_sparse(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	return create_with(os, pack, blocks, hostfile_create_sparse);
}

/*
 * Space set aside is files of a pack's size, kept/0 and on without a gap, whose
 * blocks are allocated, and not written unless a pack was about to be made of it.
 */
#define KEPT_DIR	"kept"

static void kept_path(char path[PACK_PATH_MAX], u64 i)
{
	snprintf(path, PACK_PATH_MAX, KEPT_DIR "/%016llx", (unsigned long long)i);
}

static int disk_kept(struct nexus_objectstore *os, u32 blocks, u64 *have)
{
	struct disk_store *s = to_store(os);
	off_t bytes = (off_t)blocks * NEXUS_BLOCK_SIZE;
	char path[PACK_PATH_MAX];
	struct stat st;

	for (*have = 0;; ++*have) {
		kept_path(path, *have);
		if (fstatat(s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW))
			return errno == ENOENT ? 0 : -errno;
		/* Cut short by a crash, it keeps nothing. */
		if (st.st_size != bytes || (off_t)st.st_blocks * 512 < bytes)
			return 0;
	}
}

static int disk_keep(struct nexus_objectstore *os, u32 blocks, u64 n, u64 *have)
{
	struct disk_store *s = to_store(os);
	u64 bytes = (u64)blocks * NEXUS_BLOCK_SIZE, before;
	char path[PACK_PATH_MAX];
	int ret, ret2;

	ret = disk_kept(os, blocks, have);
	if (ret || *have == n)
		return ret;
	if (mkdirat(s->dirfd, KEPT_DIR, 0700) && errno != EEXIST)
		return -errno;
	before = *have;
	while (!ret && *have > n) {
		kept_path(path, *have - 1);
		if (unlinkat(s->dirfd, path, 0))
			ret = -errno;
		else
			--*have;
	}
	while (!ret && *have < n) {
		kept_path(path, *have);
		ret = hostfile_allocate(s->dirfd, path, bytes);
		if (!ret)
			++*have;
	}
	/* What is not durable is not kept. */
	ret2 = hostfile_sync_dir(s->dirfd, KEPT_DIR);
	if (!ret2)
		ret2 = hostfile_sync_dir(s->dirfd, ".");
	if (ret2 && *have > before)
		*have = before;
	return ret ? ret : ret2;
}

static int disk_create_kept(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	struct disk_store *s = to_store(os);
	char from[PACK_PATH_MAX], path[PACK_PATH_MAX];
	u64 have;
	int ret;

	ret = disk_kept(os, blocks, &have);
	if (!ret && !have)
		ret = -ENOENT;
	pack_path(path, pack);
	if (!ret)
		ret = make_folder(s, path);
	if (ret)
		return ret;
	kept_path(from, have - 1);
	return hostfile_create_from(s->dirfd, from, path, (u64)blocks * NEXUS_BLOCK_SIZE);
}

static int disk_recycle(struct nexus_objectstore *os, u64 from, u64 to)
{
	struct disk_store *s = to_store(os);
	char src[PACK_PATH_MAX], dst[PACK_PATH_MAX], sub[3];
	struct stat st;
	int fd, ret;

	pack_path(src, from);
	pack_path(dst, to);
	fd = hostfile_open(s->dirfd, src, O_RDONLY);
	if (fd < 0)
		return fd;
	ret = fstat(fd, &st) ? -errno : hostfile_written(fd, (u64)st.st_size);
	close(fd);
	if (ret <= 0)
		return ret ? ret : -EINVAL;
	snprintf(sub, sizeof(sub), "%.2s", dst);
	ret = make_folder(s, dst);
	if (ret)
		return ret;
	if (renameat(s->dirfd, src, s->dirfd, dst))
		return -errno;
	return hostfile_sync_dir(s->dirfd, sub);
}

static int disk_open_pack(struct nexus_objectstore *os, u64 pack,
			  bool writable, u32 *blocks)
{
	struct disk_store *s = to_store(os);
	char path[PACK_PATH_MAX];
	struct stat st;
	int fd, ret;

	pack_path(path, pack);
	fd = hostfile_open(s->dirfd, path, writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st)) {
		ret = -errno;
		goto close_fd;
	}
	if (!S_ISREG(st.st_mode) || st.st_size % NEXUS_BLOCK_SIZE ||
	    st.st_size / NEXUS_BLOCK_SIZE > NEXUS_PACK_BLOCKS_MAX) {
		ret = -EUCLEAN;
		goto close_fd;
	}
	*blocks = (u32)(st.st_size / NEXUS_BLOCK_SIZE);
	return fd;

close_fd:
	close(fd);
	return ret;
}

static int disk_taken(struct nexus_objectstore *os, u64 pack, u64 *bytes)
{
	struct disk_store *s = to_store(os);
	char path[PACK_PATH_MAX];
	struct stat st;

	pack_path(path, pack);
	if (fstatat(s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	*bytes = (u64)st.st_blocks * 512;
	return 0;
}

static int disk_remove(struct nexus_objectstore *os, u64 pack)
{
	struct disk_store *s = to_store(os);
	char path[PACK_PATH_MAX];

	pack_path(path, pack);
	if (unlinkat(s->dirfd, path, 0) && errno != ENOENT)
		return -errno;
	return 0;
}

typedef int (*name_fn)(struct disk_store *s, const char *sub, const char *name,
		       void *arg);

static int walk_folder(struct disk_store *s, const char *sub, name_fn fn, void *arg)
{
	int fd = openat(s->dirfd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	int ret = 0;
	DIR *dir;

	if (fd < 0)
		return errno == ENOTDIR ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (!ret && (de = readdir(dir)))
		ret = fn(s, sub, de->d_name, arg);
	closedir(dir);
	return ret;
}

static int walk(struct disk_store *s, name_fn fn, void *arg)
{
	int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	int ret = 0;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (!ret && (de = readdir(dir)))
		if (strlen(de->d_name) == 2 && strcmp(de->d_name, ".."))
			ret = walk_folder(s, de->d_name, fn, arg);
	closedir(dir);
	return ret;
}

struct list_arg {
	nexus_os_list_fn fn;
	void *arg;
};

static int list_name(struct disk_store *s, const char *sub, const char *name, void *arg)
{
	const struct list_arg *la = arg;
	u64 pack = strtoull(name, NULL, 16);
	char want[PACK_PATH_MAX];

	(void)s;
	pack_path(want, pack);
	if (strcmp(want + 3, name) || strncmp(want, sub, 2))
		return 0;
	return la->fn(la->arg, pack);
}

static int disk_list(struct nexus_objectstore *os, nexus_os_list_fn fn, void *arg)
{
	struct list_arg la = { fn, arg };

	return walk(to_store(os), list_name, &la);
}

static int clean_name(struct disk_store *s, const char *sub, const char *name, void *arg)
{
	char path[PATH_MAX];

	(void)arg;
	if (!hostfile_is_partial(name))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", sub, name);
	return unlinkat(s->dirfd, path, 0) && errno != ENOENT ? -errno : 0;
}

static int disk_clean(struct nexus_objectstore *os)
{
	return walk(to_store(os), clean_name, NULL);
}

static int disk_space(struct nexus_objectstore *os, u64 *total, u64 *avail)
{
	struct disk_store *s = to_store(os);
	struct statvfs st;

	if (fstatvfs(s->dirfd, &st))
		return -errno;
	*total = (u64)st.f_blocks * st.f_frsize;
	*avail = (u64)st.f_bavail * st.f_frsize;
	return 0;
}

const struct nexus_os_driver nexus_os_localdisk = {
	.name		= "localdisk",
	.persistent	= true,
	.open		= disk_open,
	.close		= disk_close,
	.create		= disk_create,
	.create_allocated = disk_create_allocated,
	.create_sparse	= disk_create_sparse,
	.kept		= disk_kept,
	.keep		= disk_keep,
	.create_kept	= disk_create_kept,
	.recycle	= disk_recycle,
	.open_pack	= disk_open_pack,
	.taken		= disk_taken,
	.remove		= disk_remove,
	.list		= disk_list,
	.clean		= disk_clean,
	.space		= disk_space,
};
