// SPDX-License-Identifier: Apache-2.0
#include "chan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CTL_SIZE	4096u

static int real_ioctl(struct chan *c, unsigned long cmd, void *arg)
{
	int ret;

	do {
		ret = ioctl(c->fd, cmd, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static int attach_error(int ret, const char *session, struct errline *err)
{
	switch (ret) {
	case -EBUSY:
		return err_set(err, ret, "session %s has another nexusd", session);
	case -EPROTO:
		return err_set(err, ret,
			       "the module speaks another version of the channel than this nexusd (%d); the kernel log names both; install module and helper of one version",
			       NEXUS_ABI_VERSION);
	case -EPERM:
		return err_set(err, ret, "attaching to the module needs CAP_SYS_ADMIN");
	default:
		return err_set(err, ret, "attaching to session %s: %s", session,
			       strerror(-ret));
	}
}

int chan_attach(struct chan *c, const char *device, const char *session,
		u32 queues, struct errline *err)
{
	struct nexus_attach at = { .abi = NEXUS_ABI_VERSION, .queues = queues };
	int ret;

	c->ioctl = real_ioctl;
	c->fd = open(device, O_RDWR | O_CLOEXEC);
	if (c->fd < 0) {
		ret = errno == ENXIO || errno == ENODEV ? -ENOENT : -errno;
		return err_set(err, ret, "%s: %s", device, strerror(-ret));
	}
	snprintf(at.session, sizeof(at.session), "%s", session);
	ret = chan_ioctl(c, NEXUS_IOC_ATTACH, &at);
	if (ret) {
		close(c->fd);
		c->fd = -1;
		return attach_error(ret, session, err);
	}
	c->queues = at.queues;
	c->epoch = at.epoch;
	return 0;
}

void chan_close(struct chan *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int chan_map_ring(struct chan *c, u32 zone, struct chan_ring *ring)
{
	off_t off = (off_t)NEXUS_MMAP_LOG(zone);
	struct nexus_log_ctl *ctl;
	u64 size;
	void *p;

	p = mmap(NULL, CTL_SIZE, PROT_READ, MAP_SHARED, c->fd, off);
	if (p == MAP_FAILED)
		return -errno;
	ctl = p;
	size = ctl->ring_size;
	munmap(p, CTL_SIZE);
	if (!size || size & (size - 1) || size < CTL_SIZE || size > 1ull << 40)
		return -EPROTO;
	ring->mapped = (size_t)(CTL_SIZE + size);
	p = mmap(NULL, ring->mapped, PROT_READ, MAP_SHARED, c->fd, off);
	if (p == MAP_FAILED)
		return -errno;
	ring->ctl = p;
	ring->data = (u8 *)p + CTL_SIZE;
	ring->size = size;
	return 0;
}

void chan_unmap_ring(struct chan_ring *ring)
{
	if (ring->ctl)
		munmap(ring->ctl, ring->mapped);
	memset(ring, 0, sizeof(*ring));
}
