// SPDX-License-Identifier: Apache-2.0
/* Streams: their ioctls as C functions. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <nexus/stream.h>

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

/* The directory that @from bytes of @path name, opened. */
static int open_dir_of(int dirfd, const char *path, size_t from)
{
	char dir[4096];
	int fd;

	if (from >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, from);
	strcpy(dir + from, from ? "" : ".");
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

NEXUS_EXPORT int nexus_stream_create(int dirfd, const char *path, uint64_t max_bytes,
				     uint32_t max_age, unsigned int flags, mode_t mode)
{
	struct nexus_stream_create sc = {
		.max_bytes = max_bytes,
		.max_age = max_age,
		.mode = mode,
		.flags = flags,
	};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int fd, err;

	if (!*path)
		return -ENOENT;
	if (strlen(name) >= sizeof(sc.name))
		return -ENAMETOOLONG;
	strcpy((char *)sc.name, name);
	fd = open_dir_of(dirfd, path, (size_t)(name - path));
	if (fd < 0)
		return fd;
	err = call(fd, NEXUS_IOC_STREAM_CREATE, &sc);
	close(fd);
	return err;
}

NEXUS_EXPORT int nexus_stream_stat(int fd, struct nexus_stream_stat *stat)
{
	return call(fd, NEXUS_IOC_STREAM_STAT, stat);
}

NEXUS_EXPORT int nexus_stream_append_batch(int fd, const void *buf, const uint32_t *lens,
					   unsigned int count, uint64_t *pos)
{
	struct nexus_stream_append sa = {
		.buf = (uintptr_t)buf,
		.lens = (uintptr_t)lens,
		.count = count > NEXUS_STREAM_BATCH_MAX ? NEXUS_STREAM_BATCH_MAX : count,
	};
	int err = call(fd, NEXUS_IOC_STREAM_APPEND, &sa);

	if (err)
		return err;
	if (pos)
		*pos = sa.pos;
	return (int)sa.done;
}

NEXUS_EXPORT int nexus_stream_append(int fd, const void *buf, size_t len, uint64_t *pos)
{
	uint32_t len32 = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
	int ret = nexus_stream_append_batch(fd, buf, &len32, 1, pos);

	return ret < 0 ? ret : 0;
}

NEXUS_EXPORT int nexus_stream_read_batch(int fd, uint64_t *pos, void *buf, size_t room,
					 struct nexus_stream_record *records, unsigned int count)
{
	struct nexus_stream_read sr = {
		.pos = *pos,
		.buf = (uintptr_t)buf,
		.bytes = room,
		.records = (uintptr_t)records,
		.count = count > NEXUS_STREAM_BATCH_MAX ? NEXUS_STREAM_BATCH_MAX : count,
	};
	int err = call(fd, NEXUS_IOC_STREAM_READ, &sr);

	if (err)
		return err;
	*pos = sr.pos;
	return (int)sr.done;
}

NEXUS_EXPORT int nexus_stream_set_wait(int fd, bool wait)
{
	__u32 mode = wait ? NEXUS_STREAM_WAIT : 0;

	return call(fd, NEXUS_IOC_STREAM_MODE, &mode);
}

NEXUS_EXPORT int nexus_stream_trim(int fd, uint64_t pos)
{
	__u64 arg = pos;

	return call(fd, NEXUS_IOC_STREAM_TRIM, &arg);
}
