/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that is waited for until it ends, or until the zone does: then it goes
 * on with buffers of its own, and nobody looks at how it ends.
 */
#ifndef NEXUS_CONTENT_S3_CALL_H
#define NEXUS_CONTENT_S3_CALL_H

#include <pthread.h>
#include <stdatomic.h>

#include "drivers/objectstore/s3/s3.h"

struct s3_call {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned int refs;		/* lock: who waits, and the request */
	bool over;			/* lock */
	struct s3_result result;	/* once it is over */
	void *buf;			/* malloc'ed, or NULL */
	int fd;				/* or -1 */
	struct s3_list list;
};

/* With @len bytes of room.  NULL: no memory. */
struct s3_call *s3_call_new(size_t len);
/* For s3_*_start(), with the call as its context. */
void s3_call_done(void *ctx, const struct s3_result *result);
/*
 * @started: what s3_*_start() has returned.  The error of the request; -ESHUTDOWN when
 * *stop was set meanwhile; c->result has its words.  Then s3_call_put() is due.
 */
int s3_call_wait(struct s3_call *c, int started, const atomic_bool *stop);
void s3_call_put(struct s3_call *c);

#endif /* NEXUS_CONTENT_S3_CALL_H */
