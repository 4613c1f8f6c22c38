/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.scheduler, version 1: tasks, each for one worker at a time.
 *
 * Whoever has work submits a task; a worker claims one with a lease, and renews and
 * finishes it by the number of that claim.  A claim whose lease is over is void: the task is
 * there for the next, and who had it gets -EKEYEXPIRED.
 * Documentation/services/scheduler.md says which task comes first.
 */
#ifndef NEXUS_SERVICES_SCHEDULER_H
#define NEXUS_SERVICES_SCHEDULER_H

#include <nexus/service.h>

#define NEXUS_SCHEDULER			"nexus.scheduler"
#define NEXUS_SCHEDULER_VERSION		1

#define NEXUS_TASK_SUBJECT_MAX		255u
#define NEXUS_TASK_TYPE_MAX		64u
#define NEXUS_TASK_KEY_MAX		128u
#define NEXUS_TASK_PAYLOAD_MAX		(64u << 10)
#define NEXUS_TASK_ERROR_MAX		1024u
#define NEXUS_TASK_LIST_MAX		1000u
#define NEXUS_TASKS_MAX			10000u	/* queued or running */
#define NEXUS_TASKS_OF_OWNER_MAX	1000u
#define NEXUS_TASKS_RUNNING_MAX		10u	/* of an owner */
#define NEXUS_TASK_CLAIMS_MAX		5u	/* that were lost, then it has failed */
#define NEXUS_TASK_LEASE_MS		30000u	/* when none is asked for */
#define NEXUS_TASK_LEASE_MAX_MS		3600000u
#define NEXUS_TASK_SERVICE_MS		30000u
#define NEXUS_TASK_SERVICE_MAX_MS	86400000u
#define NEXUS_TASK_TIER_MS		120000u	/* of waiting are one tier */
#define NEXUS_TASK_OVERDUE_MS		900000u	/* then the oldest goes first */
#define NEXUS_TASK_KEPT_MS		86400000u	/* after its end */

enum nexus_task_priority {
	NEXUS_TASK_CRITICAL	= 0,	/* for administrators */
	NEXUS_TASK_HIGH		= 1,
	NEXUS_TASK_NORMAL	= 2,
	NEXUS_TASK_LOW		= 3,
	NEXUS_TASK_BEST_EFFORT	= 4,
};

enum nexus_task_state {
	NEXUS_TASK_QUEUED	= 1,
	NEXUS_TASK_RUNNING	= 2,
	NEXUS_TASK_COMPLETED	= 3,
	NEXUS_TASK_FAILED	= 4,
	NEXUS_TASK_CANCELLED	= 5,
};

/**
 * struct nexus_task - a task
 * @id: from 1 on, never given twice
 * @owner: a subject, TYPE:ID
 * @type: what kind of work; A-Z a-z 0-9, and . _ @ - behind the first
 * @executor: the only worker that may have it; empty: any
 * @key: of idempotency; empty: none
 * @payload: @payload_len bytes of no meaning here; NULL in a list
 * @payload_len: likewise 0
 * @priority: enum nexus_task_priority
 * @boost: 0 to 2 tiers on top; more than 0 is for administrators
 * @service_ms: how long it is likely to take
 * @deadline_ms: Unix time, as all of these; 0: none
 * @state: enum nexus_task_state
 * @claim: number of the last claim; 0: never claimed
 * @worker: who has or had it; may be empty
 * @lease_ms: until when a running one is its worker's
 * @submitted_ms: when
 * @started_ms: the last claim
 * @finished_ms: 0: not yet
 * @error: of one that has failed
 */
struct nexus_task {
	uint64_t id;
	const char *owner;
	const char *type;
	const char *executor;
	const char *key;
	const void *payload;
	uint32_t payload_len;
	uint32_t priority;
	uint32_t boost;
	uint32_t service_ms;
	int64_t deadline_ms;
	uint32_t state;
	uint64_t claim;
	const char *worker;
	int64_t lease_ms;
	int64_t submitted_ms;
	int64_t started_ms;
	int64_t finished_ms;
	const char *error;
};

/*
 * In all arguments @as is the subject that acts, and NULL a service or an administrator,
 * who may everything.
 */

/**
 * struct nexus_task_submit_args - of submit
 * @as: must be the owner, else -EACCES; and also for what is for administrators
 * @task: owner, type, executor, key, payload, priority, boost, service_ms (0:
 *	NEXUS_TASK_SERVICE_MS), deadline_ms; the rest is not looked at
 * @id: of the task; when there is one of this owner with this key and all the same, it is that
 * @existed: whether it was
 * @fault: what is wrong with it, in words, for -EINVAL
 *
 * -EINVAL: also a deadline that is in the past; -ENAMETOOLONG, -EMSGSIZE: beyond a limit; -EEXIST:
 * the key is another task's; -EDQUOT: the owner has NEXUS_TASKS_OF_OWNER_MAX; -ENOSPC:
 * NEXUS_TASKS_MAX are there.
 */
struct nexus_task_submit_args {
	const char *as;
	struct nexus_task task;
	uint64_t id;
	bool existed;
	const char *fault;
};

/**
 * struct nexus_task_claim_args - of claim: the next task
 * @as: may have tasks it owns, and those whose executor it is
 * @worker: a subject; must be @as
 * @type: only of this type; NULL or empty: any
 * @lease_ms: how long, up to NEXUS_TASK_LEASE_MAX_MS; 0: NEXUS_TASK_LEASE_MS.  It ends
 *	no later than the task's deadline
 * @task: what it is, RUNNING
 *
 * -ENOENT: there is none now.
 */
struct nexus_task_claim_args {
	const char *as;
	const char *worker;
	const char *type;
	uint32_t lease_ms;
	struct nexus_task task;
};

/**
 * struct nexus_task_finish_args - of renew and finish
 * @as: must be the worker
 * @id: of the task
 * @claim: number of the claim; another one's, or one that is over: -EKEYEXPIRED
 * @lease_ms: of renew: as in claim, from now on
 * @until_ms: set by renew: when it ends
 * @failed: of finish: FAILED, else COMPLETED
 * @error: why; NULL: empty
 */
struct nexus_task_finish_args {
	const char *as;
	uint64_t id;
	uint64_t claim;
	uint32_t lease_ms;
	int64_t until_ms;
	bool failed;
	const char *error;
};

/**
 * struct nexus_task_cancel_args - of cancel: what is queued or running is CANCELLED
 * @as: must be the owner
 * @id: of a task; -ENOENT; -EBUSY: it has ended.  0: all of an owner
 * @owner: whose, when @id is 0
 * @count: how many were
 */
struct nexus_task_cancel_args {
	const char *as;
	uint64_t id;
	const char *owner;
	uint32_t count;
};

/** struct nexus_task_get_args - of get; for owner, worker and executor; -ENOENT */
struct nexus_task_get_args {
	const char *as;
	uint64_t id;
	struct nexus_task task;
};

/**
 * struct nexus_task_list_args - of list: tasks in the order of their ids
 * @as: must be @owner
 * @owner: whose; NULL or empty: all
 * @state: only in this state; 0: all
 * @after: ids above this one
 * @max: at most so many, up to NEXUS_TASK_LIST_MAX; 0: that many
 * @tasks: @count of them
 * @count: set
 * @more: whether there are others behind
 */
struct nexus_task_list_args {
	const char *as;
	const char *owner;
	uint32_t state;
	uint64_t after;
	uint32_t max;
	struct nexus_task *tasks;
	uint32_t count;
	bool more;
};

/**
 * struct nexus_scheduler_state - of state
 * @queued: by what their priority has become by waiting
 * @running: claimed
 * @oldest_ms: how long the oldest one has been waiting
 * @submitted: since the service was loaded; the others likewise
 * @claimed: claims
 * @lost: claims whose lease ended
 * @late: tasks that failed at their deadline
 */
struct nexus_scheduler_state {
	uint32_t queued[5];
	uint32_t running;
	int64_t oldest_ms;
	uint64_t submitted, claimed, lost, late;
};

/** struct nexus_scheduler_ops - the operations */
struct nexus_scheduler_ops {
	nexus_op submit;	/* struct nexus_task_submit_args */
	nexus_op claim;		/* struct nexus_task_claim_args */
	nexus_op renew;		/* struct nexus_task_finish_args */
	nexus_op finish;	/* struct nexus_task_finish_args */
	nexus_op cancel;	/* struct nexus_task_cancel_args */
	nexus_op get;		/* struct nexus_task_get_args */
	nexus_op list;		/* struct nexus_task_list_args */
	nexus_op state;		/* struct nexus_scheduler_state */
};

#endif /* NEXUS_SERVICES_SCHEDULER_H */
