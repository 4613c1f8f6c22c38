/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the service*.c.
 *
 * A service (struct service) is a name that references point to; an instance
 * (struct nexus_service) is an object that is mapped.  A swap gives a service
 * another instance; the old one retires, and goes when its last call has
 * returned.  So does one that is quarantined, and its service has none then.
 *
 * Locks: @change > @lock.  @change is held over a whole load, unload or swap and
 * nobody else waits for it; @lock is never held over code of a service.
 */
#ifndef NEXUSD_SERVICE_IMPL_H
#define NEXUSD_SERVICE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "cachestore.h"
#include "recordstore.h"
#include "service.h"
#include "service_graph.h"
#include "service_object.h"

#define WHO_MAX		(NEXUS_SERVICE_NAME_MAX + 16)

/* How far an instance has come; set by the thread that ran the step. */
enum stage {
	STAGE_READ,
	STAGE_MAPPED,
	STAGE_INITED,
	STAGE_STARTED,
};

struct nexus_service {
	struct nexus_service *next;	/* lock: of registry.retired */
	struct registry *r;
	struct service *service;	/* lock: whose it is; NULL: of none yet, or any more */
	struct object object;
	void *self;
	char name[NEXUS_SERVICE_NAME_MAX];
	char version[NEXUS_SERVICE_VERSION_MAX];
	enum service_state state;	/* lock */
	enum stage stage;		/* lock */
	bool starting;			/* lock: it may get references */
	bool held;			/* lock: retired, and somebody else unwinds it */
	struct service *was;		/* change and lock: retired, of this service; may be compared */
	bool forked;			/* lock: since it was looked at last */
	unsigned int running;		/* lock: calls */
	uint64_t calls, overruns;	/* lock */
	uint64_t loaded;
	uint32_t uid;
	struct errline map_err;		/* of the thread that maps it */
	char said[160];			/* its last error; see said_set() */
	struct nexus_records *records;	/* lock: its handle of the record store, or NULL */
	struct nexus_cache *cache;	/* lock: likewise, of the cache store */
	struct nexus_rpc_stream *streams;	/* lock: bound to it */
	bool events_running;		/* lock: a call runs those of its streams */
};

struct service {
	struct service *next;		/* lock and change: in the order of their load */
	struct registry *r;
	char name[NEXUS_SERVICE_NAME_MAX];
	struct nexus_service *cur;	/* lock: NULL when quarantined */
	bool stopping;			/* lock */
	struct nexus_ref *refs;		/* lock */
	char version[NEXUS_SERVICE_VERSION_MAX];	/* lock: without cur, what was there */
	char reason[160];		/* lock: likewise, why it is not */
};

struct nexus_ref {
	struct nexus_ref *next;		/* lock: of service.refs */
	struct service *service;
	struct nexus_service *owner;	/* or NULL: no service */
	char holder[WHO_MAX];
	char protocol[NEXUS_SERVICE_NAME_MAX];
};

struct call;
struct worker;

struct registry {
	struct registry_opts opts;
	pid_t pid;

	pthread_mutex_t change;
	pthread_mutex_t lock;
	pthread_cond_t idle_cond;	/* a call of some instance ended */
	struct service *services;
	struct nexus_service *retired;
	bool ending;			/* change and lock: nothing is loaded any more */
	bool over;			/* lock: threads end */

	struct worker *idle;		/* lock */
	unsigned int threads;		/* lock: workers */
	unsigned int stuck;		/* lock: of them in a call that was given up */
	struct call *late;		/* lock: given up by callers, still within their time */
	pthread_t watch;
	bool watching;			/* change and lock */
	pthread_cond_t watch_cond;
	unsigned int streams;		/* lock: from outside, of all instances */
	bool streams_late;		/* lock: an event of one found no thread */
};

/* service_call.c */

/* CLOCK_MONOTONIC, in ns. */
uint64_t service_now(void);
void calls_init(struct registry *r);
/* Ends idle workers; lock held, left and taken again. */
void calls_end(struct registry *r);

/*
 * Runs @fn on a worker, until @timeout_ms (0: as long as a call may take); lock
 * held, left meanwhile.  For steps of an instance's life; the others are
 * service_call_op().
 */
int instance_run(struct nexus_service *inst, const char *step,
		 int (*fn)(struct nexus_service *inst), uint32_t timeout_ms);
/* Lock held, left meanwhile: an operation, as service_call_op() calls it. */
int instance_call(struct nexus_service *inst, const char *name, const char *owner, nexus_op op,
		  void *args, uint32_t timeout_ms);
/* As instance_run(), but nobody waits; lock held all the time. */
int instance_post(struct nexus_service *inst, const char *step,
		  int (*fn)(struct nexus_service *inst));
/* Lock held, left meanwhile: until a call ends somewhere, or service_now() is @ns. */
int registry_wait(struct registry *r, uint64_t ns);
/* Until no call runs in it; lock held, left meanwhile.  -ETIMEDOUT. */
int instance_drain(struct nexus_service *inst, uint32_t timeout_ms);

/* service_life.c */

/* Lock held.  No call begins in it any more; @fmt says why, for people. */
void instance_quarantine(struct nexus_service *inst, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* From a name to an instance that is mapped and checked.  change held, lock not. */
int instance_new(struct registry *r, const char *name, const struct service_caller *who,
		 struct nexus_service **inst, struct errline *err);
/* init and start.  On an error it is still to be unwound.  change held, lock not. */
int instance_start(struct nexus_service *inst, struct errline *err);
/*
 * Takes it out of its service, if it is the current one; it is shown as what is
 * on its way out until it is unwound.  @hold: by the caller.  Lock held.
 */
void instance_retire(struct nexus_service *inst, bool hold);
/*
 * Back from wherever it is, to nothing, and free; nobody calls it any more.  One
 * whose step does not return stays behind, retired; false then.  Lock not held.
 */
bool instance_unwind(struct nexus_service *inst, uint32_t timeout_ms);
/* As instance_unwind(), for what is retired, held by nobody and runs no call. */
void reap_retired(struct registry *r);

/* service_ref.c */

/* Lock held: a reference to what provides it, for a service or somebody else. */
int ref_new(struct registry *r, struct nexus_service *owner, const char *holder,
	    const char *protocol, uint32_t min_version, struct nexus_ref **ref);
/* Those a service has not given back; how many.  Lock held. */
unsigned int refs_drop(struct registry *r, const struct nexus_service *owner);
/* Its last error; services may log whatever lock is held, so this has one of its own. */
void said_set(struct nexus_service *inst, const char *line);
void said_get(const struct nexus_service *inst, char *line, size_t room);

extern const struct nexus_service_host service_host;

#endif /* NEXUSD_SERVICE_IMPL_H */
