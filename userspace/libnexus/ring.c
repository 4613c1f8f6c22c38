// SPDX-License-Identifier: Apache-2.0
/* Rings: their ioctls as C functions. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <nexus/ring.h>

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

/* The directory of @path, opened; its last part, without slashes behind it, in @name. */
static int open_dir(int dirfd, const char *path, uint8_t name[256])
{
	size_t len = strlen(path), from;
	char dir[4096];
	int fd;

	if (!len)
		return -ENOENT;
	if (path[len - 1] == '/')
		return -EINVAL;
	for (from = len; from && path[from - 1] != '/'; from--)
		;
	if (len - from > 255 || from >= sizeof(dir))
		return -ENAMETOOLONG;
	memset(name, 0, 256);
	memcpy(name, path + from, len - from);
	memcpy(dir, path, from);
	strcpy(dir + from, from ? "" : ".");
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

NEXUS_EXPORT int nexus_ring_create(int dirfd, const char *path, uint64_t capacity, mode_t mode)
{
	struct nexus_ring_create rc = { .capacity = capacity, .mode = mode };
	int fd = open_dir(dirfd, path, rc.name), err;

	if (fd < 0)
		return fd;
	err = call(fd, NEXUS_IOC_RING_CREATE, &rc);
	close(fd);
	return err;
}

static int call_at(int dirfd, const char *path, unsigned long cmd, struct nexus_ring_at *at)
{
	int fd = open_dir(dirfd, path, at->name), err;

	if (fd < 0)
		return fd;
	err = call(fd, cmd, at);
	close(fd);
	return err;
}

NEXUS_EXPORT int nexus_ring_stat(int fd, struct nexus_ring_stat *stat)
{
	return call(fd, NEXUS_IOC_RING_STAT, stat);
}

NEXUS_EXPORT int nexus_ring_stat_at(int dirfd, const char *path, struct nexus_ring_stat *stat)
{
	struct nexus_ring_at at = { .stat = { .capacity = 0 } };
	int err = call_at(dirfd, path, NEXUS_IOC_RING_STAT_AT, &at);

	if (!err)
		*stat = at.stat;
	return err;
}

static struct nexus_ring_peek peek_into(void *buf, size_t len)
{
	return (struct nexus_ring_peek){
		.buf = (uintptr_t)buf,
		.len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len,
	};
}

NEXUS_EXPORT ssize_t nexus_ring_peek(int fd, void *buf, size_t len)
{
	struct nexus_ring_peek peek = peek_into(buf, len);
	int err = call(fd, NEXUS_IOC_RING_PEEK, &peek);

	return err ? err : (ssize_t)peek.next;
}

NEXUS_EXPORT ssize_t nexus_ring_peek_at(int dirfd, const char *path, void *buf, size_t len)
{
	struct nexus_ring_at at = { .peek = peek_into(buf, len) };
	int err = call_at(dirfd, path, NEXUS_IOC_RING_PEEK_AT, &at);

	return err ? err : (ssize_t)at.peek.next;
}

NEXUS_EXPORT int nexus_ring_close(int fd)
{
	return call(fd, NEXUS_IOC_RING_CLOSE, NULL);
}

NEXUS_EXPORT int nexus_ring_close_at(int dirfd, const char *path)
{
	struct nexus_ring_at at = { .stat = { .capacity = 0 } };

	return call_at(dirfd, path, NEXUS_IOC_RING_CLOSE_AT, &at);
}

NEXUS_EXPORT int nexus_ring_resize(int fd, uint64_t capacity)
{
	__u64 arg = capacity;

	return call(fd, NEXUS_IOC_RING_RESIZE, &arg);
}

NEXUS_EXPORT int nexus_ring_set_truncate(int fd, bool truncate)
{
	__u32 mode = truncate ? NEXUS_RING_TRUNCATE : 0;

	return call(fd, NEXUS_IOC_RING_MODE, &mode);
}

static int batch(int fd, unsigned long cmd, struct nexus_ring_batch *b)
{
	int err;

	if (b->count > NEXUS_RING_BATCH_MAX)
		b->count = NEXUS_RING_BATCH_MAX;
	err = call(fd, cmd, b);
	return err ? err : (int)b->done;
}

NEXUS_EXPORT int nexus_ring_send_batch(int fd, const void *buf, const uint32_t *lens,
				       unsigned int count, unsigned int flags)
{
	struct nexus_ring_batch b = {
		.buf = (uintptr_t)buf,
		.lens = (uintptr_t)lens,
		.count = count,
		.flags = flags,
	};

	return batch(fd, NEXUS_IOC_RING_SEND, &b);
}

NEXUS_EXPORT int nexus_ring_recv_batch(int fd, void *buf, size_t room, uint32_t *lens,
				       unsigned int count, unsigned int flags)
{
	struct nexus_ring_batch b = {
		.buf = (uintptr_t)buf,
		.lens = (uintptr_t)lens,
		.count = count,
		.flags = flags,
		.bytes = room,
	};

	return batch(fd, NEXUS_IOC_RING_RECV, &b);
}
