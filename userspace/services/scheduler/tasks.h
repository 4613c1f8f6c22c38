/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler, between its files.
 *
 * The record store has all tasks.  Memory has those that are queued or running, as a
 * queue, which is of one revision of the store: each change there makes it one higher.
 * A transaction that finds another revision than memory has reads the queue anew.  So
 * whatever another build or another helper did is seen by the next call here, and no two can claim
 * the same task.
 *
 * table.writing is held by whoever changes the store, or looks at the queue.
 */
#ifndef TASKS_H
#define TASKS_H

#include <nexus/services/scheduler.h>

#include "queue.h"
#include "table.h"

#define TASKS_BATCH	100u	/* in a transaction of the clock's */

/**
 * struct tasks_opts - numbers and a clock; tests have others
 * @tasks_max: NEXUS_TASKS_MAX
 * @owner_max: NEXUS_TASKS_OF_OWNER_MAX
 * @running_max: NEXUS_TASKS_RUNNING_MAX
 * @claims_max: NEXUS_TASK_CLAIMS_MAX
 * @kept_ms: NEXUS_TASK_KEPT_MS
 * @kept_max: of tasks that have ended
 * @now_ms: Unix time
 * @more: memory that lives as long as the arguments
 */
struct tasks_opts {
	uint32_t tasks_max;
	uint32_t owner_max;
	uint32_t running_max;
	uint32_t claims_max;
	uint32_t kept_ms;
	uint32_t kept_max;
	int64_t (*now_ms)(void);
	void *(*more)(void *args, size_t size);
};

struct tasks {
	struct tasks_opts opts;
	struct table table;
	struct queue queue;		/* table.writing, as all below */
	int64_t revision;		/* that @queue is of; -1: none */
	uint64_t submitted, claimed, lost, late;
	uint32_t ticks;
};

/* tasks.c */

int tasks_open(struct tasks *s, struct nexus_records *records, const struct tasks_opts *opts,
	       void (*say)(void *arg, const char *line), void *arg);
void tasks_close(struct tasks *s);

/* The operations, see <nexus/services/scheduler.h>. */
int tasks_submit(struct tasks *s, struct nexus_task_submit_args *args);
int tasks_claim(struct tasks *s, struct nexus_task_claim_args *args);
int tasks_renew(struct tasks *s, struct nexus_task_finish_args *args);
int tasks_finish(struct tasks *s, struct nexus_task_finish_args *args);
int tasks_cancel(struct tasks *s, struct nexus_task_cancel_args *args);
int tasks_get(struct tasks *s, struct nexus_task_get_args *args);
int tasks_list(struct tasks *s, struct nexus_task_list_args *args);
int tasks_state(struct tasks *s, struct nexus_scheduler_state *st);

/* clock.c */

#define TASKS_PURGE_TICKS	12u

/* Ends leases and tasks whose time is over; each TASKS_PURGE_TICKS what ended long ago goes. */
void tasks_tick(struct tasks *s);
/* table.writing held: the first of the two. */
int tasks_expire(struct tasks *s);

/* run.c */

/**
 * struct change - a transaction over the queue
 * @work: looks at the queue and writes to the store; may run several times
 * @done: the same to the queue, when it is in the store; NULL: nothing.  An error is one of
 *	memory: the queue is read anew
 * @args: for both
 * @task: likewise
 * @due: likewise
 * @now: Unix time
 * @revision: of the store, with it
 * @reads: it changes nothing
 */
struct change {
	struct tasks *s;
	int (*work)(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx);
	int (*done)(struct change *c);
	void *args;
	struct queue_task *task;
	struct queue_task *due[TASKS_BATCH];
	uint32_t n_due;
	int64_t now;
	int64_t until;
	int64_t revision;
	bool reads;
};

/* table.writing held. */
int tasks_change(struct change *c);

/* records.c: in a transaction each */

int task_migrate(struct tasks *s);
int task_revision(struct nexus_records *r, struct nexus_record_tx *tx, int64_t *revision);
int task_set_revision(struct nexus_records *r, struct nexus_record_tx *tx, int64_t revision);
int task_load_queue(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx);
/* -ENOENT */
int task_load(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx, void *args,
	      uint64_t id, struct nexus_task *task);
int task_by_key(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx, void *args,
		const char *owner, const char *key, struct nexus_task *task);
int task_insert(struct nexus_records *r, struct nexus_record_tx *tx, const struct nexus_task *t,
		int64_t now, uint64_t *id);
int task_claimed(struct nexus_records *r, struct nexus_record_tx *tx, const struct queue_task *t,
		 const char *worker, int64_t now, int64_t lease);
int task_leased(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t id, int64_t lease);
int task_queued(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t id);
int task_ended(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t id, uint32_t state,
	       const char *error, int64_t now);
int task_cancel_owner(struct nexus_records *r, struct nexus_record_tx *tx, const char *owner,
		      int64_t now);
int task_list(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx,
	      struct nexus_task_list_args *args);
int task_purge(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx, int64_t now);

#endif /* TASKS_H */
