/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which task comes next: no store, no clock and no lock in here.
 *
 * In this order, of those that may be claimed:
 *
 *   1. what has waited for NEXUS_TASK_OVERDUE_MS, the oldest first: whatever comes in
 *	later cannot be in its way any more, which is what bounds every wait
 *   2. the lowest tier: its priority, less its boost, less one for each NEXUS_TASK_TIER_MS
 *   3. the owner that has used the least
 *   4. the highest (wait + service time) / service time
 *   5. the lower id
 *
 * A task may be claimed unless its owner has as many running as it may.
 */
#ifndef SCHEDULER_QUEUE_H
#define SCHEDULER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_OWNERS_MAX	16384u	/* that are remembered */

/** struct queue_owner - whose tasks there are, or were */
struct queue_owner {
	char *name;
	uint64_t used;		/* ms of service; of one that comes, at least the least of all */
	uint32_t queued, running;
};

/** struct queue_task - a task that is queued or running; times are Unix time in ms */
struct queue_task {
	uint64_t id;
	struct queue_owner *owner;
	char *executor, *type;
	uint32_t priority, boost, service_ms;
	int64_t submitted, deadline;
	bool running;
	uint64_t claim;
	int64_t started, lease;
};

struct queue {
	struct queue_task **tasks;	/* by id */
	uint32_t n, room;
	struct queue_owner **owners;	/* by name */
	uint32_t n_owners, owners_room;
	uint32_t running;
	uint32_t running_max;		/* of an owner */
	bool loading;			/* tasks that were there before: owners keep what they used */
};

/** struct queue_who - who asks for a task */
struct queue_who {
	const char *worker;
	const char *type;	/* "": any */
	bool any;		/* also what it neither owns nor is the executor of */
};

void queue_init(struct queue *q, uint32_t running_max);
void queue_end(struct queue *q);
/** queue_clear() - no tasks, but what owners have used */
void queue_clear(struct queue *q);

/**
 * queue_add() - a task comes
 * @q: the queue
 * @t: copied; its owner is not looked at
 * @owner: name; and so for the next two
 * @executor: "": any
 * @type: likewise copied
 *
 * Return: 0 or -ENOMEM.
 */
int queue_add(struct queue *q, const struct queue_task *t, const char *owner,
	      const char *executor, const char *type);
struct queue_task *queue_find(const struct queue *q, uint64_t id);
struct queue_owner *queue_owner(const struct queue *q, const char *name);

/** queue_tier() - what its priority has become */
uint32_t queue_tier(const struct queue_task *t, int64_t now);
/** queue_next() - the task to be claimed, or NULL */
struct queue_task *queue_next(const struct queue *q, const struct queue_who *who, int64_t now);
/** queue_due() - up to @max with a deadline that has come, or a lease that is over; how many */
uint32_t queue_due(const struct queue *q, int64_t now, struct queue_task **due, uint32_t max);
/** queue_late() - whether its deadline has come */
bool queue_late(const struct queue_task *t, int64_t now);

void queue_claim(struct queue *q, struct queue_task *t, uint64_t claim, int64_t now,
		 int64_t lease);
/** queue_back() - its claim is over, and it waits as if it had never been claimed */
void queue_back(struct queue *q, struct queue_task *t, int64_t now);
void queue_remove(struct queue *q, struct queue_task *t, int64_t now);

#endif /* SCHEDULER_QUEUE_H */
