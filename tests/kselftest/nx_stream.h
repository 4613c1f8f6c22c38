/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of streams share. */
#ifndef NX_STREAM_H
#define NX_STREAM_H

#include "nx.h"

#include <linux/nexusfs_stream.h>
#include <poll.h>

/* Makes a stream in the current directory; -1 with errno. */
static inline int stream_create(const struct nexus_stream_create *sc, const char *name)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err, code;
	struct nexus_stream_create arg = *sc;

	strncpy((char *)arg.name, name, sizeof(arg.name) - 1);
	err = ioctl(dir, NEXUS_IOC_STREAM_CREATE, &arg);
	code = errno;
	close(dir);
	errno = code;
	return err;
}

static inline int stream_make(const char *name, uint64_t max_bytes, unsigned int flags)
{
	struct nexus_stream_create sc = {
		.max_bytes = max_bytes,
		.mode = 0644,
		.flags = flags,
	};

	return stream_create(&sc, name);
}

static inline struct nexus_stream_stat stream_stat(int fd)
{
	struct nexus_stream_stat st = { .tail = 0 };

	if (ioctl(fd, NEXUS_IOC_STREAM_STAT, &st))
		perror("# NEXUS_IOC_STREAM_STAT");
	return st;
}

static inline int stream_trim(int fd, uint64_t pos)
{
	return ioctl(fd, NEXUS_IOC_STREAM_TRIM, &pos);
}

static inline int stream_mode(int fd, uint32_t mode)
{
	return ioctl(fd, NEXUS_IOC_STREAM_MODE, &mode);
}

static inline int stream_wait(int fd)
{
	return stream_mode(fd, NEXUS_STREAM_WAIT);
}

/* What poll(2) says now. */
static inline int stream_poll(int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = (short)events };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* Record @n of a test: its length and bytes follow from the number. */
static inline size_t stream_record(uint64_t n, size_t most, unsigned char *buf)
{
	size_t len = 1 + (n * 2654435761u >> 7) % most, i;

	for (i = 0; i < len; i++)
		buf[i] = (unsigned char)(n + i * 7);
	return len;
}

/* Of either kind, open. */
FIXTURE(stream)
{
	char path[PATH_MAX / 2];
	int fd;			/* O_RDWR */
};

FIXTURE_VARIANT(stream)
{
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(stream, memory) { .flags = 0 };
FIXTURE_VARIANT_ADD(stream, persist) { .flags = NEXUS_STREAM_PERSIST };

FIXTURE_SETUP(stream)
{
	umask(022);
	snprintf(self->path, sizeof(self->path), "%s/stream.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chmod(self->path, 0755));
	OK(chdir(self->path));
	OK(stream_make("s", 1 << 20, variant->flags));
	GET(self->fd, open("s", O_RDWR | O_CLOEXEC));
}

FIXTURE_TEARDOWN(stream)
{
	close(self->fd);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path)) {
		TH_LOG("%s: %s", self->path, strerror(errno));
	}
}

#endif
