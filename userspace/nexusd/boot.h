/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of the helper, step by step: drivers, stores, then services by tier;
 * how long each took and what came of it, for the log and for who asks later.
 */
#ifndef NEXUSD_BOOT_H
#define NEXUSD_BOOT_H

#include "profile.h"

struct boot;
struct registry;

/* Values are on the wire. */
enum boot_stage {
	BOOT_DRIVER	= 1,
	BOOT_STORE	= 2,
	BOOT_SERVICE	= 3,
	BOOT_BRICK	= 4,	/* one that nothing here does */
};

/* Likewise. */
enum boot_outcome {
	BOOT_RUNNING	= 1,
	BOOT_OK		= 2,
	BOOT_FAILED	= 3,
	BOOT_MISSING	= 4,	/* there is nothing that could be started */
	BOOT_DEFERRED	= 5,	/* when it is asked for first */
};

#define BOOT_NAME_MAX	64
#define BOOT_REASON_MAX	256

/**
 * struct boot_step - a step of it
 * @tier: of services; TIERS for others
 * @at_us: when it began, after the first
 * @took_us: how long it took
 * @reason: what there is to say, mostly why it failed; ""
 */
struct boot_step {
	enum boot_stage stage;
	enum boot_outcome outcome;
	char name[BOOT_NAME_MAX];
	enum tier tier;
	uint64_t at_us, took_us;
	char reason[BOOT_REASON_MAX];
};

struct boot_state {
	bool running;		/* services are still being started */
	bool failed;		/* one of the fatal tier, or a store */
	uint64_t took_us;	/* so far */
};

/* NULL without memory. */
struct boot *boot_new(void);
/* NULL is allowed.  After boot_stop(). */
void boot_free(struct boot *b);

/* A step of the caller's: its number for boot_end(). */
unsigned int boot_begin(struct boot *b, enum boot_stage stage, const char *name);
/* @reason: NULL or words */
void boot_end(struct boot *b, unsigned int step, enum boot_outcome outcome, const char *reason);

/*
 * Steps so far, and what is wanted and not there, are lines of the log now, later ones
 * when they end.
 */
void boot_say(struct boot *b);

/**
 * struct boot_plan - the services of a start
 * @starts: in their order; copied
 * @n: how many
 * @set: NULL, or the bricks that are on: those nothing does are missing
 * @services_dir: where their objects are; one that is not there is no failure
 *	of its tier unless that is the fatal one
 * @note: a file of the helper's that names the service being started, so that one
 *	which ended the helper is left out of the next start; NULL: none
 */
struct boot_plan {
	const struct brick_start *starts;
	size_t n;
	const struct brick_set *set;
	const char *services_dir;
	const char *note;
};

/* Whether there is an object of this service. */
bool boot_is_here(const char *services_dir, const char *name);
/* What is to come.  Reads and removes the note of the last start. */
int boot_set_plan(struct boot *b, const struct boot_plan *plan);
/* Whether a service of the fatal tier keeps tables. */
bool boot_wants_records(const struct boot *b);

/*
 * Starts the fatal tier.  On the first that fails, those that were started are stopped
 * in reverse and nothing can be loaded into @r any more: registry_end().
 */
int boot_fatal(struct boot *b, struct registry *r, struct errline *err);
/*
 * Starts the others on a thread of its own, if there are any: the filesystem does not wait for
 * them.  @r must live until boot_stop().
 */
int boot_others(struct boot *b, struct registry *r);
/* No other service is begun; waits for the one that is. */
void boot_stop(struct boot *b);

/* ---- look ---------------------------------------------------------------- */

typedef int (*boot_step_fn)(void *arg, const struct boot_step *step);

void boot_state(struct boot *b, struct boot_state *state);
/* In their order; what @fn returns ends the walk.  @fn must not call back. */
int boot_steps(struct boot *b, boot_step_fn fn, void *arg);
/*
 * Services of fatal and degraded tier that should be there and are not, "NAME: WHY; ..."; ""
 * when all are, or still being started.
 */
void boot_lacks(struct boot *b, struct registry *r, char *text, size_t room);

#endif /* NEXUSD_BOOT_H */
