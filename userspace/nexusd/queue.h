/* SPDX-License-Identifier: Apache-2.0 */
/* A request queue: one thread, one CPU, one io_uring. */
#ifndef NEXUSD_QUEUE_H
#define NEXUSD_QUEUE_H

#include "helper.h"

struct queue;

/* Maps the areas of queue @index; the thread starts with queue_start(). */
int queue_new(struct helper *h, u32 index, struct queue **out);
int queue_start(struct queue *q);
/* Ends the thread; requests that workers have are still theirs. */
void queue_stop(struct queue *q);
/* After the workers are gone. */
void queue_free(struct queue *q);

/*
 * Answers one request into @reply, which has NEXUS_REPLY_SIZE bytes.  -EAGAIN:
 * not without blocking, and @may_block is false; nothing was written.  For tests.
 */
int request_answer(struct helper *h, const struct nexus_request *req,
		   struct nexus_reply *reply, bool may_block);

/*
 * Of a request that cannot be answered at once: it may take long, and the helper may end
 * before.
 */
bool request_waits_for_store(struct helper *h, const struct nexus_request *req);

#endif /* NEXUSD_QUEUE_H */
