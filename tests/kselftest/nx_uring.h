/* SPDX-License-Identifier: GPL-2.0-only */
/* Completions of io_uring, for tests of what waits there. */
#ifndef NX_URING_H
#define NX_URING_H

#include <stdbool.h>

#include <liburing.h>

/* The next completion: its data, and its result in @res; -1: none came within a minute. */
static inline int completed(struct io_uring *u, int *res)
{
	struct __kernel_timespec ts = { .tv_sec = 60 };
	struct io_uring_cqe *cqe;
	int data;

	if (io_uring_wait_cqe_timeout(u, &cqe, &ts))
		return -1;
	data = (int)cqe->user_data;
	*res = cqe->res;
	io_uring_cqe_seen(u, cqe);
	return data;
}

static inline bool nothing_completed(struct io_uring *u)
{
	struct io_uring_cqe *cqe;

	io_uring_get_events(u);
	return io_uring_peek_cqe(u, &cqe) == -EAGAIN;
}

#endif /* NX_URING_H */
