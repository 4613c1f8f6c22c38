/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bricks are on, and why: a profile, what the settings say against it, and what
 * bricks need of each other.  No I/O: the same input gives the same answer.
 */
#ifndef NEXUSD_PROFILE_H
#define NEXUSD_PROFILE_H

#include "bricks.h"

/** enum brick_wish - what the settings want of a brick */
enum brick_wish {
	WISH_PROFILE,		/* nothing: as the profile has it */
	WISH_ON,
	WISH_OFF,
};

/** struct brick_wishes - the setting "bricks" */
struct brick_wishes {
	struct {
		enum brick_wish wish;
		char where[96];		/* who said so: "FILE:LINE", "--set" */
	} of[BRICKS];
};

/*
 * One wish, "true" or "false", or what YAML has for nothing ("", "~", "null").
 * -EINVAL with a line: no such brick, no such value, storage that is switched off.
 */
int brick_wish_set(struct brick_wishes *w, const char *brick, const char *value,
		   const char *where, struct errline *err);
/* The same as one text, "search=true,ipc=false"; nothing is changed on an error. */
int brick_wishes_parse(struct brick_wishes *w, const char *text, const char *where,
		       struct errline *err);

/** enum brick_why - why a brick is on or off; values are on the wire */
enum brick_why {
	WHY_PROFILE	= 1,	/* the profile has it, or has not */
	WHY_SETTING	= 2,
	WHY_PULLED_IN	= 3,	/* on, for @by needs it */
	WHY_NEEDS	= 4,	/* off, though the profile has it: it needs @by, which is off */
};

struct brick_state {
	bool on;
	enum brick_why why;
	enum brick by;
};

struct brick_set {
	struct brick_state of[BRICKS];
};

/*
 * A wish beats the profile.  A brick that is on pulls in those it needs.  When
 * one of those was switched off, a brick of the profile is off with it, and one
 * that was switched on is -EINVAL, with a line.
 */
int profile_resolve(enum profile profile, const struct brick_wishes *w, struct brick_set *set,
		    struct errline *err);

/** struct brick_start - a service to start */
struct brick_start {
	const char *name;
	enum brick brick;
	enum tier tier;
	bool records;
};

/*
 * The services of all bricks that are on, as far as @profile starts them, in the order of their start: by tier, and
 * those behind that need others.
 */
size_t profile_starts(enum profile profile, const struct brick_set *set,
		      struct brick_start starts[BRICK_SERVICES_MAX]);

#endif /* NEXUSD_PROFILE_H */
