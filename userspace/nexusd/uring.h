/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers around liburing and the commands of the device. */
#ifndef NEXUSD_URING_H
#define NEXUSD_URING_H

#include <liburing.h>
#include <string.h>

#include <linux/nexusfs.h>

/*
 * One issuer; completions only when asked for.  0 or a negative errno.
 *
 * The ring is closed by another thread, after the issuer has ended: the end of
 * the thread takes back what is parked.  A ring closed before that is taken down
 * by a worker of the kernel, whose lockdep (6.12) wants the issuer to do it.
 */
static inline int uring_init(struct io_uring *ring, unsigned int entries)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	return io_uring_queue_init_params(entries, ring, &p);
}

/* @index: of the device among the registered files. */
static inline void uring_prep_cmd(struct io_uring_sqe *sqe, int index, __u32 op,
				  __u32 which, __u32 seen, __u64 user)
{
	struct nexus_uring_cmd cmd = { .index = which, .seen = seen };

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, index, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->cmd_op = op;
	/* The 16 bytes of command data are the end of the entry. */
	memcpy((char *)sqe + 48, &cmd, sizeof(cmd));
	io_uring_sqe_set_data64(sqe, user);
}

#endif /* NEXUSD_URING_H */
