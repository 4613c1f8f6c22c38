// SPDX-License-Identifier: Apache-2.0
#include "bricks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define B(brick)	BRICK_BIT(BRICK_##brick)

const struct brick_desc bricks[BRICKS] = {
	[BRICK_STORAGE] = { "storage", "the filesystem itself", PROFILE_NONE, 0, true },
	[BRICK_EVENTLOG] = { "eventlog", "a durable log of events", PROFILE_EMBEDDED, 0, false },
	[BRICK_PERMISSIONS] = { "permissions", "who may do what, by relationships", PROFILE_LITE,
				0, false },
	[BRICK_NAMESPACE] = { "namespace", "what a subject may see at all", PROFILE_LITE,
			      B(PERMISSIONS), false },
	[BRICK_AGENT_REGISTRY] = { "agent_registry", "agents and their lives", PROFILE_LITE, 0,
				   false },
	[BRICK_CACHE] = { "cache", "what is quick to forget and to ask", PROFILE_LITE, 0, false },
	/* Rings and streams are the module's. */
	[BRICK_IPC] = { "ipc", "messages and events between programs", PROFILE_LITE, B(EVENTLOG),
			true },
	[BRICK_SCHEDULER] = { "scheduler", "work for agents, in a fair order", PROFILE_LITE,
			      B(AGENT_REGISTRY), false },
	[BRICK_SEARCH] = { "search", "finding files by what is in them", PROFILE_FULL, 0, false },
	[BRICK_PAY] = { "pay", "credits between agents", PROFILE_FULL, 0, false },
	[BRICK_LLM] = { "llm", "reading with a language model", PROFILE_FULL, 0, false },
	[BRICK_SKILLS] = { "skills", "packages of skills, shared", PROFILE_FULL, B(PERMISSIONS),
			   false },
	[BRICK_SANDBOX] = { "sandbox", "running code apart", PROFILE_FULL, 0, false },
	[BRICK_WORKFLOWS] = { "workflows", "actions that events set off", PROFILE_FULL, B(IPC),
			      false },
	[BRICK_A2A] = { "a2a", "agents that call each other", PROFILE_FULL, B(AGENT_REGISTRY),
			false },
	[BRICK_DISCOVERY] = { "discovery", "finding what there is to call", PROFILE_FULL, 0,
			      false },
	[BRICK_MCP] = { "mcp", "tools for models", PROFILE_FULL, 0, false },
	[BRICK_MEMORY] = { "memory", "what agents remember", PROFILE_FULL, 0, false },
	[BRICK_OBSERVABILITY] = { "observability", "traces of what was done", PROFILE_FULL, 0,
				  false },
	[BRICK_UPLOADS] = { "uploads", "uploads in pieces", PROFILE_FULL, 0, false },
	[BRICK_RESILIENCY] = { "resiliency", "breakers for what fails again and again",
			       PROFILE_FULL, 0, false },
	[BRICK_FEDERATION] = { "federation", "zones that span machines", PROFILE_CLOUD, 0,
			       false },
};

/* A new service is a line here. */
const struct brick_service brick_services[] = {
	{ "permissions",	BRICK_PERMISSIONS,	TIER_FATAL,	true,	PROFILE_NONE },
	{ "eventlog",		BRICK_EVENTLOG,		TIER_DEGRADED,	false,	PROFILE_NONE },
	{ "namespace",		BRICK_NAMESPACE,	TIER_DEGRADED,	false,	PROFILE_NONE },
	{ "agent_registry",	BRICK_AGENT_REGISTRY,	TIER_DEGRADED,	true,	PROFILE_NONE },
	{ "mount",		BRICK_STORAGE,		TIER_SILENT,	false,	PROFILE_LITE },
	{ "cache",		BRICK_CACHE,		TIER_SILENT,	false,	PROFILE_NONE },
	{ "event_bus",		BRICK_IPC,		TIER_SILENT,	false,	PROFILE_NONE },
	{ "rpc_grpc",		BRICK_IPC,		TIER_SILENT,	false,	PROFILE_NONE },
	{ "scheduler",		BRICK_SCHEDULER,	TIER_SILENT,	true,	PROFILE_NONE },
};

const size_t brick_services_count = sizeof(brick_services) / sizeof(brick_services[0]);

_Static_assert(sizeof(brick_services) / sizeof(brick_services[0]) <= BRICK_SERVICES_MAX,
	       "room for the services of all bricks");

static const char *const profile_names[PROFILES] = {
	[PROFILE_NONE]		= "none",
	[PROFILE_EMBEDDED]	= "embedded",
	[PROFILE_LITE]		= "lite",
	[PROFILE_FULL]		= "full",
	[PROFILE_CLOUD]		= "cloud",
};

const char *profile_name(enum profile profile)
{
	return profile_names[profile];
}

const char *tier_name(enum tier tier)
{
	static const char *const names[TIERS] = {
		[TIER_FATAL]	= "fatal",
		[TIER_DEGRADED]	= "degraded",
		[TIER_SILENT]	= "silent",
	};

	return names[tier];
}

/* The names there are, for whoever gave another. */
static int unknown(const char *where, const char *what, const char *name,
		   const char *(*nth)(unsigned int n), unsigned int count, struct errline *err)
{
	char list[320] = "";
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < count && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
					nth(i));
	return err_set(err, -EINVAL, "%s: there is no %s \"%.40s\"; there are: %s", where, what,
		       name, list);
}

static const char *nth_profile(unsigned int n)
{
	return profile_names[n];
}

static const char *nth_brick(unsigned int n)
{
	return bricks[n].name;
}

int profile_find(const char *name, const char *where, enum profile *profile,
		 struct errline *err)
{
	unsigned int i;

	for (i = 0; i < PROFILES; i++)
		if (!strcmp(profile_names[i], name)) {
			*profile = (enum profile)i;
			return 0;
		}
	return unknown(where, "profile", name, nth_profile, PROFILES, err);
}

int brick_find(const char *name, const char *where, enum brick *brick, struct errline *err)
{
	unsigned int i;

	for (i = 0; i < BRICKS; i++)
		if (!strcmp(bricks[i].name, name)) {
			*brick = (enum brick)i;
			return 0;
		}
	return unknown(where, "brick", name, nth_brick, BRICKS, err);
}

bool brick_has_service(enum brick brick)
{
	size_t i;

	for (i = 0; i < brick_services_count; i++)
		if (brick_services[i].brick == brick)
			return true;
	return false;
}

bool profile_has(enum profile profile, enum brick brick)
{
	return bricks[brick].since <= profile;
}

uint32_t profile_connections(enum profile profile)
{
	static const uint32_t connections[PROFILES] = {
		[PROFILE_NONE]		= 8,
		[PROFILE_EMBEDDED]	= 3,
		[PROFILE_LITE]		= 8,
		[PROFILE_FULL]		= 20,
		[PROFILE_CLOUD]		= 30,
	};

	return connections[profile];
}
