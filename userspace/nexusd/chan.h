/* SPDX-License-Identifier: Apache-2.0 */
/* The device: ioctls and mappings, behind a seam that tests replace. */
#ifndef NEXUSD_CHAN_H
#define NEXUSD_CHAN_H

#include <linux/nexusfs.h>

#include "lib/port.h"
#include "log.h"

struct chan {
	int fd;			/* /dev/nexusfs, attached; -1: none */
	u32 queues;
	u32 epoch;
	int (*ioctl)(struct chan *c, unsigned long cmd, void *arg);
	void *ctx;		/* of tests */
};

/* 0 or a negative errno. */
static inline int chan_ioctl(struct chan *c, unsigned long cmd, void *arg)
{
	return c->ioctl(c, cmd, arg);
}

/*
 * Opens @device and attaches to @session.  -ENOENT: no device (module not
 * loaded); -EBUSY: the session has a helper; -EPROTO: another ABI.
 */
int chan_attach(struct chan *c, const char *device, const char *session,
		u32 queues, struct errline *err);
/* The session becomes LOST. */
void chan_close(struct chan *c);

struct chan_ring {
	struct nexus_log_ctl *ctl;
	u8 *data;
	u64 size;
	size_t mapped;
};

int chan_map_ring(struct chan *c, u32 zone, struct chan_ring *ring);
void chan_unmap_ring(struct chan_ring *ring);

#endif /* NEXUSD_CHAN_H */
