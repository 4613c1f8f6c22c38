/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a helper can be made of: 22 bricks, the profiles that are sets of them, and
 * the services that do a brick's work.  A table and no more; which bricks are
 * on is found out in profile.h.
 */
#ifndef NEXUSD_BRICKS_H
#define NEXUSD_BRICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

/* Each has all of those before it. */
enum profile {
	PROFILE_NONE,		/* no services at start */
	PROFILE_EMBEDDED,
	PROFILE_LITE,
	PROFILE_FULL,
	PROFILE_CLOUD,
	PROFILES
};

/* Each stands behind those it needs. */
enum brick {
	BRICK_STORAGE,
	BRICK_EVENTLOG,
	BRICK_PERMISSIONS,
	BRICK_NAMESPACE,
	BRICK_AGENT_REGISTRY,
	BRICK_CACHE,
	BRICK_IPC,
	BRICK_SCHEDULER,
	BRICK_SEARCH,
	BRICK_PAY,
	BRICK_LLM,
	BRICK_SKILLS,
	BRICK_SANDBOX,
	BRICK_WORKFLOWS,
	BRICK_A2A,
	BRICK_DISCOVERY,
	BRICK_MCP,
	BRICK_MEMORY,
	BRICK_OBSERVABILITY,
	BRICK_UPLOADS,
	BRICK_RESILIENCY,
	BRICK_FEDERATION,
	BRICKS
};

/* What comes of a service that does not start; values are on the wire, plus one. */
enum tier {
	TIER_FATAL,		/* the helper does not start */
	TIER_DEGRADED,		/* a warning, and the status says so */
	TIER_SILENT,		/* a line in the log */
	TIERS
};

/**
 * struct brick_desc - a brick
 * @name: for settings and people
 * @what: one line for people
 * @since: the smallest profile that has it
 * @needs: bit of each brick it does not work without; storage is understood
 * @builtin: helper or module do (a part of) it, without a service
 */
struct brick_desc {
	const char *name;
	const char *what;
	enum profile since;
	uint32_t needs;
	bool builtin;
};

/**
 * struct brick_service - a service that does a brick's work
 * @name: of its object in services_dir, which need not be there
 * @brick: whose work
 * @tier: what comes of its not starting; of no lower tier than those that need it, which
 *	fail with it
 * @records: it keeps tables in the record store
 * @since: the smallest profile that starts it, of a brick that all have; else PROFILE_NONE
 */
struct brick_service {
	const char *name;
	enum brick brick;
	enum tier tier;
	bool records;
	enum profile since;
};

#define BRICK_BIT(brick)	(1u << (brick))

extern const struct brick_desc bricks[BRICKS];
extern const struct brick_service brick_services[];
extern const size_t brick_services_count;
/* What there can be of them in one helper. */
#define BRICK_SERVICES_MAX	32

const char *profile_name(enum profile profile);
const char *tier_name(enum tier tier);
/* -EINVAL, with a line that has all names; @where goes in front of it. */
int profile_find(const char *name, const char *where, enum profile *profile,
		 struct errline *err);
int brick_find(const char *name, const char *where, enum brick *brick, struct errline *err);
/* Whether some service, here or not, does its work. */
bool brick_has_service(enum brick brick);
bool profile_has(enum profile profile, enum brick brick);
/* The record store's connections, at most. */
uint32_t profile_connections(enum profile profile);

#endif /* NEXUSD_BRICKS_H */
