/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of services: loads, unloads and swaps shared objects, and calls
 * into them on threads of its own, each call with a deadline and an owner.
 *
 * Nothing of the filesystem waits for it.  Without a service it has no thread.
 */
#ifndef NEXUSD_SERVICE_H
#define NEXUSD_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nexus/service.h>

#include "log.h"

#define SERVICES_MAX		64u	/* loaded at a time */
#define SERVICE_CALLS_MAX	64u	/* at a time, into one of them */

struct registry;
struct cachestore;
struct recordstore;

/**
 * struct registry_opts - settings
 * @dir: where the objects are
 * @owner: whose they and @dir must be (0; tests have others)
 * @timeout_ms: how long a call into a service may take
 * @quarantine: whether one that takes longer is quarantined, not only reported
 * @trial: NULL, or argv of a program that ends in service_trial_main(): tried
 *	before anything is loaded here
 * @state: NULL, or where services keep their files, in a folder of its own
 *	each; made when the first asks
 * @setting: NULL, or gives a number of the configuration by its key; -ENOENT
 * @setting_arg: for it
 * @records: NULL, or the record store they may use; the caller's, to be freed
 *	after the registry
 * @cache: likewise the cache store
 * @front: NULL, or what front ends get; likewise, but see registry_set_front()
 */
struct registry_opts {
	const char *dir;
	uint32_t owner;
	uint32_t timeout_ms;
	bool quarantine;
	char *const *trial;
	const char *state;
	int (*setting)(const void *arg, const char *key, uint64_t *value);
	const void *setting_arg;
	struct recordstore *records;
	struct cachestore *cache;
	const struct nexus_front *front;
};

/** struct service_caller - who wants a change, for the log */
struct service_caller {
	uint32_t uid;
	int32_t pid;
};

struct registry *registry_new(const struct registry_opts *opts);

/* What front ends get, which itself calls into the registry; before anything is loaded. */
void registry_set_front(struct registry *r, const struct nexus_front *front);

/*
 * Stops and unloads all, in the reverse of their start order, within timeout_ms
 * or 20 s all together, and refuses to load others from then on.
 */
void registry_end(struct registry *r);

/*
 * After registry_end().  What a call that never returned still uses is left
 * behind; false then.
 */
bool registry_free(struct registry *r);

/*
 * Changes.  One at a time; the others wait.  Each is logged with its caller, also
 * when it is refused.  Errors: -EINVAL no such name can be; -ENOENT no object, no
 * service, or nobody provides what is needed; -EACCES object or folder not safe;
 * -ENOEXEC no object for this machine or no service; -EPROTO other ABI or
 * bad descriptor; -EEXIST loaded or provided already; -ELOOP a cycle; -EBUSY in
 * use; -EPERM it forked; -ETIMEDOUT it did not return; -ECONNABORTED it
 * crashed in the trial; -ESHUTDOWN the helper ends; or what the service returned.
 */
/* All of @names or none, in the order of their needs. */
int service_load(struct registry *r, const char *const *names, size_t n,
		 const struct service_caller *who, struct errline *err);
int service_unload(struct registry *r, const char *name,
		   const struct service_caller *who, struct errline *err);
int service_swap(struct registry *r, const char *name,
		 const struct service_caller *who, struct errline *err);

/* ---- use ----------------------------------------------------------------- */

/*
 * A reference for somebody who is no service; @holder is shown to whoever
 * wants to unload.  -ENOENT, -ENOMEM.
 */
int service_get(struct registry *r, const char *holder, const char *protocol,
		uint32_t min_version, struct nexus_ref **ref);
void service_put(struct nexus_ref *ref);

/* As in struct nexus_service_host. */
void *service_args_new(size_t size);
void *service_args_more(void *args, size_t size);
void service_args_free(void *args);
int service_call_op(struct nexus_ref *ref, const char *op_name, size_t op_offset,
		    void *args, uint32_t timeout_ms);

#define service_call(ref, table, op, args, timeout_ms) \
	service_call_op(ref, #op, offsetof(table, op), args, timeout_ms)

/* ---- look ---------------------------------------------------------------- */

enum service_state {
	SERVICE_ACTIVE		= 1,
	SERVICE_STOPPING	= 2,	/* waits for calls in flight, or is being stopped */
	SERVICE_QUARANTINED	= 3,
};

/* Valid during the visit only; called with the registry locked. */
struct service_info {
	const char *name;
	const char *version;
	enum service_state state;
	const char *reason;		/* of a quarantine, else "" */
	bool mapped;
	const struct nexus_protocol *provides;	/* NULL: none */
	const struct nexus_need *needs;
	const char *const *holders;	/* of references: service NAME, or what else */
	size_t nholders;
	uint64_t calls_running;
	uint64_t calls;
	uint64_t overruns;
	uint64_t loaded;		/* seconds since 1970 */
	uint32_t uid;			/* who loaded it */
};

typedef int (*service_info_fn)(void *arg, const struct service_info *info);

/* In start order, then what is on its way out; what @fn returns ends the walk. */
int service_list(struct registry *r, service_info_fn fn, void *arg);

struct registry_counts {
	uint64_t loaded;
	uint64_t quarantined;
	uint64_t threads;
};

void registry_counts(struct registry *r, struct registry_counts *counts);

/* ---- the process --------------------------------------------------------- */

/*
 * What the program of registry_opts.trial does with the words that are added to
 * its own.  Does not return, but with 2 for words that are none.
 */
int service_trial_main(int argc, char **argv);

/*
 * What the calling thread does for a service, for the last words of a
 * process that gets a fatal signal; false: nothing.  Safe in a signal handler.
 */
bool service_current(const char **name, const char **op, const char **owner);

#endif /* NEXUSD_SERVICE_H */
