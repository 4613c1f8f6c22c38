/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.agent_registry, version 1: which agents there are, whose they are,
 * and whether they live.
 *
 * An agent has an id, an owner and a state.  Its generation goes up by one exactly when
 * it enters CONNECTED; whoever acts with an older one is a session that was replaced
 * (-EKEYEXPIRED).  No generation of an id comes twice, not even when the agent is
 * unregistered and registered again.  Documentation/services/agent_registry.md.
 */
#ifndef NEXUS_SERVICES_AGENT_REGISTRY_H
#define NEXUS_SERVICES_AGENT_REGISTRY_H

#include <nexus/service.h>

#define NEXUS_AGENT_REGISTRY		"nexus.agent_registry"
#define NEXUS_AGENT_REGISTRY_VERSION	1

#define NEXUS_AGENT_ID_MAX		128u	/* bytes; A-Z a-z 0-9, and . _ @ - behind the first */
#define NEXUS_AGENT_SUBJECT_MAX		255u	/* of an owner: TYPE:ID */
#define NEXUS_AGENT_ZONE_MAX		255u
#define NEXUS_AGENT_NAME_MAX		255u
#define NEXUS_AGENT_METADATA_MAX	4096u
#define NEXUS_AGENT_LIST_MAX		1000u
#define NEXUS_AGENTS_MAX		50000u	/* in the store */
#define NEXUS_AGENTS_OF_OWNER_MAX	1000u
#define NEXUS_AGENT_SILENCE_MS		300000u	/* without a heartbeat, then SUSPENDED */
#define NEXUS_AGENT_FLUSH_MS		60000u	/* what a crash may lose of heartbeats */

/**
 * enum nexus_agent_state - where an agent is in its life
 *
 * UNKNOWN to CONNECTED; CONNECTED to IDLE or SUSPENDED; IDLE to CONNECTED or SUSPENDED;
 * SUSPENDED to CONNECTED.  There is no other way, and none from a state to itself.
 */
enum nexus_agent_state {
	NEXUS_AGENT_UNKNOWN	= 1,	/* registered, and never seen */
	NEXUS_AGENT_CONNECTED	= 2,
	NEXUS_AGENT_IDLE	= 3,
	NEXUS_AGENT_SUSPENDED	= 4,	/* by somebody, or for its silence */
};

/**
 * struct nexus_agent - an agent
 * @id: of it
 * @owner: a subject, TYPE:ID
 * @zone: may be empty
 * @name: for people; may be empty
 * @metadata: text of no meaning here; NULL in a list
 * @state: enum nexus_agent_state
 * @generation: 0 until it has been CONNECTED, unless an agent was unregistered before
 * @registered_ms: Unix time
 * @changed_ms: of the last transition; 0: none
 * @seen_ms: when it was last known to live; 0: never
 *
 * What the pointers lead to belongs to the arguments (args_more()).
 */
struct nexus_agent {
	const char *id;
	const char *owner;
	const char *zone;
	const char *name;
	const char *metadata;
	uint32_t state;
	uint64_t generation;
	int64_t registered_ms;
	int64_t changed_ms;
	int64_t seen_ms;
};

/*
 * In all arguments @as is the subject that acts: the owner, or "agent:ID" for the agent
 * itself; any other gets -EACCES.  NULL: a service, or an administrator, who may.
 */

/**
 * struct nexus_agent_add_args - of add: a new agent, UNKNOWN
 * @as: must be @owner
 * @id: -EEXIST when there is one
 * @owner: -EDQUOT when it has NEXUS_AGENTS_OF_OWNER_MAX
 * @zone: NULL: empty; and so for the next two
 * @name: likewise
 * @metadata: likewise
 * @agent: what it is now
 *
 * -EINVAL: not such an id, or subject, or control characters in a text; -ENAMETOOLONG: beyond
 * a limit; -ENOSPC: NEXUS_AGENTS_MAX are there.
 */
struct nexus_agent_add_args {
	const char *as;
	const char *id;
	const char *owner;
	const char *zone;
	const char *name;
	const char *metadata;
	struct nexus_agent agent;
};

/** struct nexus_agent_get_args - of get; -ENOENT */
struct nexus_agent_get_args {
	const char *as;
	const char *id;
	struct nexus_agent agent;
};

/**
 * struct nexus_agent_transition_args - of transition
 * @as: who
 * @id: of the agent
 * @target: enum nexus_agent_state; -EINVAL: none
 * @generation: it must be this one, else -EKEYEXPIRED, also when there is no such agent
 *	any more.  0: whichever, and -ENOENT
 * @agent: what it is now
 *
 * -EBUSY: there is no way from its state to @target.
 */
struct nexus_agent_transition_args {
	const char *as;
	const char *id;
	uint32_t target;
	uint64_t generation;
	struct nexus_agent agent;
};

/**
 * struct nexus_agent_heartbeat_args - of heartbeat: it lives
 * @as: who
 * @id: of the agent
 * @generation: of its session; another, or no such agent: -EKEYEXPIRED
 * @state: what it is
 *
 * Kept in memory, and written NEXUS_AGENT_FLUSH_MS later at the latest.  -EBUSY: it is
 * UNKNOWN or SUSPENDED, and has to be CONNECTED first.
 */
struct nexus_agent_heartbeat_args {
	const char *as;
	const char *id;
	uint64_t generation;
	uint32_t state;
};

/**
 * struct nexus_agent_list_args - of list: agents in the order of their ids' bytes
 * @as: must be @owner
 * @owner: only its agents; NULL or empty: all
 * @zone: only of this zone; NULL or empty: all
 * @state: only in this state; 0: all
 * @after: ids behind this one; NULL: from the first
 * @max: at most so many, up to NEXUS_AGENT_LIST_MAX; 0: that many
 * @agents: @count of them
 * @count: set
 * @more: whether there are others behind
 */
struct nexus_agent_list_args {
	const char *as;
	const char *owner;
	const char *zone;
	uint32_t state;
	const char *after;
	uint32_t max;
	struct nexus_agent *agents;
	uint32_t count;
	bool more;
};

/**
 * struct nexus_agent_remove_args - of remove: it is no more
 * @as: who
 * @id: of the agent
 * @generation: as in transition
 */
struct nexus_agent_remove_args {
	const char *as;
	const char *id;
	uint64_t generation;
};

/**
 * struct nexus_agent_registry_state - of state
 * @agents: in the store
 * @known: whose heartbeats are in memory
 * @pending: of them not yet written
 * @heartbeats: since the service was loaded; the others likewise
 * @written: heartbeats that were, several of an agent are one
 * @silenced: agents SUSPENDED for their silence
 */
struct nexus_agent_registry_state {
	uint64_t agents;
	uint64_t known, pending;
	uint64_t heartbeats, written, silenced;
};

/** struct nexus_agent_registry_ops - the operations */
struct nexus_agent_registry_ops {
	nexus_op add;		/* struct nexus_agent_add_args */
	nexus_op get;		/* struct nexus_agent_get_args */
	nexus_op transition;	/* struct nexus_agent_transition_args */
	nexus_op heartbeat;	/* struct nexus_agent_heartbeat_args */
	nexus_op list;		/* struct nexus_agent_list_args */
	nexus_op remove;	/* struct nexus_agent_remove_args */
	nexus_op state;		/* struct nexus_agent_registry_state */
};

#endif /* NEXUS_SERVICES_AGENT_REGISTRY_H */
