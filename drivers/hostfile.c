// SPDX-License-Identifier: Apache-2.0
#include "hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nexus/format.h>

#define ZERO_CHUNK	(1u << 20)
#define PARTIAL		".new"
#define MAP_EXTENTS	64u

int hostfile_open(int dirfd, const char *path, int flags)
{
	int fd;

	/* A store is what is in its directory; a link could lead into another's. */
	flags |= O_NOFOLLOW | O_CLOEXEC;
	fd = openat(dirfd, path, flags | O_DIRECT, 0600);
	if (fd < 0 && errno == EINVAL)
		fd = openat(dirfd, path, flags, 0600);
	return fd < 0 ? -errno : fd;
}

int hostfile_zero(int fd, uint64_t bytes)
{
	uint64_t off = 0;
	void *buf;
	int ret = 0;

	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, ZERO_CHUNK))
		return -ENOMEM;
	memset(buf, 0, ZERO_CHUNK);
	while (off < bytes) {
		size_t n = bytes - off < ZERO_CHUNK ? bytes - off : ZERO_CHUNK;
		ssize_t w = pwrite(fd, buf, n, (off_t)off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			ret = w ? -errno : -ENOSPC;
			break;
		}
		off += (uint64_t)w;
	}
	free(buf);
	if (!ret && fsync(fd))
		ret = -errno;
	return ret;
}

int hostfile_sync_dir(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

static int sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (!slash)
		return hostfile_sync_dir(dirfd, ".");
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return hostfile_sync_dir(dirfd, dir);
}

static int size_sparse(int fd, uint64_t bytes)
{
	return ftruncate(fd, (off_t)bytes) || fsync(fd) ? -errno : 0;
}

static int size_allocated(int fd, uint64_t bytes)
{
	int ret = -posix_fallocate(fd, 0, (off_t)bytes);

	return !ret && fsync(fd) ? -errno : ret;
}

static int size_zeroed(int fd, uint64_t bytes)
{
	/* One extent where the host can give one; the zeros make it written. */
	if (posix_fallocate(fd, 0, (off_t)bytes) == ENOSPC)
		return -ENOSPC;
	return hostfile_zero(fd, bytes);
}

/* @path out of the file @tmp, which is made if @flags say so. */
static int finish(int dirfd, const char *tmp, int flags, const char *path, uint64_t bytes,
		  int (*size)(int fd, uint64_t bytes))
{
	int fd, ret;

	if (!faccessat(dirfd, path, F_OK, 0))
		return -EEXIST;
	fd = hostfile_open(dirfd, tmp, flags);
	if (fd < 0)
		return fd;
	ret = size(fd, bytes);
	close(fd);
	if (!ret && renameat(dirfd, tmp, dirfd, path))
		ret = -errno;
	return ret ? ret : sync_parent(dirfd, path);
}

static int create(int dirfd, const char *path, uint64_t bytes,
		  int (*size)(int fd, uint64_t bytes))
{
	char tmp[PATH_MAX];
	int ret;

	if (snprintf(tmp, sizeof(tmp), "%s" PARTIAL, path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	ret = finish(dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC, path, bytes, size);
	if (ret)
		unlinkat(dirfd, tmp, 0);
	return ret;
}

int hostfile_create(int dirfd, const char *path, uint64_t bytes)
{
	return create(dirfd, path, bytes, size_zeroed);
}

int hostfile_create_sparse(int dirfd, const char *path, uint64_t bytes)
{
	return create(dirfd, path, bytes, size_sparse);
}

int hostfile_create_allocated(int dirfd, const char *path, uint64_t bytes)
{
	return create(dirfd, path, bytes, size_allocated);
}

int hostfile_create_from(int dirfd, const char *from, const char *path, uint64_t bytes)
{
	return finish(dirfd, from, O_RDWR, path, bytes, size_zeroed);
}

int hostfile_allocate(int dirfd, const char *path, uint64_t bytes)
{
	int fd, ret;

	fd = hostfile_open(dirfd, path, O_RDWR | O_CREAT | O_TRUNC);
	if (fd < 0)
		return fd;
	ret = size_allocated(fd, bytes);
	close(fd);
	if (ret)
		unlinkat(dirfd, path, 0);
	return ret;
}

int hostfile_written(int fd, uint64_t bytes)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + MAP_EXTENTS * sizeof(struct fiemap_extent)];
	} u;
	uint64_t at = 0;
	unsigned int i;

	while (at < bytes) {
		memset(&u.map, 0, sizeof(u.map));
		u.map.fm_start = at;
		u.map.fm_length = bytes - at;
		u.map.fm_flags = FIEMAP_FLAG_SYNC;
		u.map.fm_extent_count = MAP_EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
			return -errno;
		if (!u.map.fm_mapped_extents)
			return 0;
		for (i = 0; i < u.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *e = &u.map.fm_extents[i];

			if (e->fe_logical > at ||
			    e->fe_flags & (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_UNKNOWN |
					   FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_SHARED))
				return 0;
			at = e->fe_logical + e->fe_length;
		}
	}
	return 1;
}

bool hostfile_is_partial(const char *name)
{
	size_t len = strlen(name);

	return len > strlen(PARTIAL) && !strcmp(name + len - strlen(PARTIAL), PARTIAL);
}
