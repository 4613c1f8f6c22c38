// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's means of passing messages, and nexusfs' rings.  What limits the bytes on
 * their way is set to the channel's capacity, in each one's own terms:
 *
 *	pipes and FIFOs		F_SETPIPE_SZ
 *	sockets			SO_SNDBUF, which the kernel doubles and counts overhead against
 *	message queues		so many messages of the size
 *	rings			their capacity
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/nexusfs_ring.h>

#include "ipc.h"

enum { RX, TX };
enum { NEXUSFS, TMPFS };
enum { BATCH = 64 };

void ipc_shut(struct channel *c)
{
	if (c->fd[RX] >= 0)
		close(c->fd[RX]);
	if (c->fd[TX] >= 0)
		close(c->fd[TX]);
}

static ssize_t put(struct channel *c, const char *buf, size_t len)
{
	return write(c->fd[TX], buf, len);
}

static ssize_t take(struct channel *c, char *buf, size_t len)
{
	return read(c->fd[RX], buf, len);
}

static int sized(struct channel *c)
{
	return fcntl(c->fd[TX], F_SETPIPE_SZ, (int)c->capacity) < 0 ? -1 : 0;
}

static int make_pipe(struct channel *c)
{
	return pipe(c->fd) ? -1 : sized(c);
}

/* Both ends of what is called @path; the name goes. */
static int open_ends(struct channel *c, const char *path)
{
	c->fd[RX] = open(path, O_RDONLY | O_NONBLOCK);
	c->fd[TX] = c->fd[RX] < 0 ? -1 : open(path, O_WRONLY);
	if (c->fd[TX] < 0 || unlink(path))
		return -1;
	return fcntl(c->fd[RX], F_SETFL, 0);
}

static void path_in(char *path, size_t size, const char *dir)
{
	snprintf(path, size, "%s/channel", dir);
	unlink(path);
}

static int make_fifo_in(struct channel *c, const char *dir)
{
	char path[4096];

	path_in(path, sizeof(path), dir);
	return mkfifo(path, 0600) || open_ends(c, path) ? -1 : sized(c);
}

static int make_fifo(struct channel *c)
{
	return make_fifo_in(c, c->dir[TMPFS]);
}

static int make_fifo_nexusfs(struct channel *c)
{
	return make_fifo_in(c, c->dir[NEXUSFS]);
}

static int make_sockets(struct channel *c, int type)
{
	int bytes = (int)c->capacity;

	if (socketpair(AF_UNIX, type, 0, c->fd))
		return -1;
	return setsockopt(c->fd[TX], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

static int make_dgram(struct channel *c)
{
	return make_sockets(c, SOCK_DGRAM);
}

static int make_seqpacket(struct channel *c)
{
	return make_sockets(c, SOCK_SEQPACKET);
}

static int make_mqueue(struct channel *c)
{
	struct mq_attr attr = {
		.mq_maxmsg = (long)(c->capacity / c->size), .mq_msgsize = (long)c->size
	};
	static const char name[] = "/nexusfs-bench";

	mq_unlink(name);
	c->fd[RX] = mq_open(name, O_RDONLY | O_CREAT | O_EXCL, 0600, &attr);
	c->fd[TX] = c->fd[RX] < 0 ? -1 : mq_open(name, O_WRONLY);
	return c->fd[TX] < 0 ? -1 : mq_unlink(name);
}

static ssize_t put_mqueue(struct channel *c, const char *buf, size_t len)
{
	return mq_send(c->fd[TX], buf, len, 0) ? -1 : (ssize_t)len;
}

static ssize_t take_mqueue(struct channel *c, char *buf, size_t len)
{
	return mq_receive(c->fd[RX], buf, len, NULL);
}

int ipc_make_ring(struct channel *c)
{
	struct nexus_ring_create ring = {
		.capacity = c->capacity, .mode = 0600, .name = "channel"
	};
	char path[4096];
	int dir, result;

	path_in(path, sizeof(path), c->dir[NEXUSFS]);
	dir = open(c->dir[NEXUSFS], O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return -1;
	result = ioctl(dir, NEXUS_IOC_RING_CREATE, &ring);
	close(dir);
	return result ? -1 : open_ends(c, path);
}

static ssize_t put_batch(struct channel *c, const char *buf, size_t len)
{
	struct nexus_ring_batch batch = { .buf = (uintptr_t)buf, .count = (__u32)(len / c->size) };
	__u32 lens[BATCH], i;

	for (i = 0; i < batch.count; i++)
		lens[i] = (__u32)c->size;
	batch.lens = (uintptr_t)lens;
	return ioctl(c->fd[TX], NEXUS_IOC_RING_SEND, &batch) ? -1 : (ssize_t)(batch.done * c->size);
}

static ssize_t take_batch(struct channel *c, char *buf, size_t len)
{
	struct nexus_ring_batch batch = {
		.buf = (uintptr_t)buf, .count = (__u32)(len / c->size), .bytes = len
	};
	__u32 lens[BATCH], i;

	batch.lens = (uintptr_t)lens;
	if (ioctl(c->fd[RX], NEXUS_IOC_RING_RECV, &batch))
		return -1;
	for (i = 0; i < batch.done; i++) {
		if (lens[i] != c->size) {
			errno = EBADMSG;
			return -1;
		}
	}
	return (ssize_t)batch.bytes;
}

static const struct means kernel_means[] = {
	{ "fifo", true, true, 1, make_fifo, NULL, put, take, ipc_shut },
	{ "fifo-nexusfs", true, true, 1, make_fifo_nexusfs, NULL, put, take, ipc_shut },
	{ "pipe", true, true, 1, make_pipe, NULL, put, take, ipc_shut },
	{ "dgram", true, false, 1, make_dgram, NULL, put, take, ipc_shut },
	{ "seqpacket", true, false, 1, make_seqpacket, NULL, put, take, ipc_shut },
	{ "mqueue", true, false, 1, make_mqueue, NULL, put_mqueue, take_mqueue, ipc_shut },
	{ "ring", true, false, 1, ipc_make_ring, NULL, put, take, ipc_shut },
	{ "ring-batch", true, false, BATCH, ipc_make_ring, NULL, put_batch, take_batch, ipc_shut },
};

const struct means * const ipc_means[] = {
	&kernel_means[0], &kernel_means[1], &kernel_means[2], &kernel_means[3], &kernel_means[4],
	&kernel_means[5], &ipc_eventfd, &ipc_shared, &kernel_means[6], &kernel_means[7],
	&ipc_mapped, NULL,
};
