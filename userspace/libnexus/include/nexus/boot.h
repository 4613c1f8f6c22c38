/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnexus: how the helper started, and what it is made of. With a client of
 * <nexus/nexus.h>; Documentation/profiles.md has the words.
 *
 * Strings live until the visitor returns.
 */
#ifndef NEXUS_BOOT_H
#define NEXUS_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nexus/nexus.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum nexus_boot_stage - what a step of the helper's start is about */
enum nexus_boot_stage {
	NEXUS_BOOT_DRIVER	= 1,
	NEXUS_BOOT_STORE	= 2,
	NEXUS_BOOT_SERVICE	= 3,
	NEXUS_BOOT_BRICK	= 4,	/* one that no service does */
};

/** enum nexus_boot_tier - what comes of a service that does not start */
enum nexus_boot_tier {
	NEXUS_TIER_NONE		= 0,	/* it is no service */
	NEXUS_TIER_FATAL	= 1,	/* the helper does not start */
	NEXUS_TIER_DEGRADED	= 2,	/* the status says so */
	NEXUS_TIER_SILENT	= 3,	/* a line in the log */
};

/** enum nexus_boot_outcome - what came of a step */
enum nexus_boot_outcome {
	NEXUS_BOOT_RUNNING	= 1,
	NEXUS_BOOT_READY	= 2,
	NEXUS_BOOT_FAILED	= 3,
	NEXUS_BOOT_MISSING	= 4,	/* there is nothing that could be started */
	NEXUS_BOOT_DEFERRED	= 5,	/* when it is asked for */
};

/** struct nexus_boot_step - a step of the start */
struct nexus_boot_step {
	enum nexus_boot_stage stage;
	enum nexus_boot_tier tier;
	enum nexus_boot_outcome outcome;
	const char *name;
	const char *reason;		/* mostly why it failed; "" */
	uint64_t at_us;			/* when it began, in microseconds after the first */
	uint64_t took_us;
};

/** struct nexus_boot - the start of the helper */
struct nexus_boot {
	const char *profile;
	bool running;			/* services are still being started */
	uint64_t took_us;
	const struct nexus_boot_step *steps;
	size_t n_steps;
};

/** typedef nexus_boot_fn - is given the start; as nexus_zone_fn */
typedef int (*nexus_boot_fn)(void *arg, const struct nexus_boot *boot);

/**
 * nexus_boot() - how the helper started
 * @client: the client
 * @fn: is given it
 * @arg: first argument of @fn
 */
int nexus_boot(struct nexus_client *client, nexus_boot_fn fn, void *arg);

/** enum nexus_brick_why - why a brick is on or off */
enum nexus_brick_why {
	NEXUS_BRICK_PROFILE	= 1,	/* the profile has it, or has not */
	NEXUS_BRICK_SETTING	= 2,
	NEXUS_BRICK_PULLED_IN	= 3,	/* on, for another needs it */
	NEXUS_BRICK_NEEDS	= 4,	/* off, for it needs another that is */
};

/** struct nexus_brick - a brick of a profile */
struct nexus_brick {
	const char *name;
	const char *what;		/* one line for people */
	bool on;
	enum nexus_brick_why why;
	const char *by;			/* the other brick, or where the setting is; "" */
	bool missing;			/* it is on, and nothing here does it */
	const char *services;		/* those that are there, with commas */
	const char *absent;		/* those that are not */
};

/** struct nexus_profile - a profile, with the helper's settings */
struct nexus_profile {
	const char *name;
	const struct nexus_brick *bricks;
	size_t n_bricks;
};

/** typedef nexus_profile_fn - is given a profile; as nexus_zone_fn */
typedef int (*nexus_profile_fn)(void *arg, const struct nexus_profile *profile);

/**
 * nexus_profile() - which bricks a profile has
 * @client: the client
 * @name: of the profile; NULL: the helper's
 * @fn: is given it
 * @arg: first argument of @fn
 */
int nexus_profile(struct nexus_client *client, const char *name, nexus_profile_fn fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_BOOT_H */
