/* SPDX-License-Identifier: Apache-2.0 */
/* The table of methods as a front end sees it, and a call on it. */
#ifndef NEXUSD_RPC_TABLE_H
#define NEXUSD_RPC_TABLE_H

#include "rpc.h"

#define RPC_NAME_MAX		128		/* service, method */

/**
 * struct rpc_table - the one table of methods
 * @services: the helper's own
 * @loaded: what services add; NULL for nothing
 * @loaded_ctx: its first argument
 * @group: whose members may change things
 * @log: takes a line; NULL for none.  Any thread calls it.
 * @log_ctx: its first argument
 */
struct rpc_table {
	const struct rpc_service *services;
	const struct rpc_loaded *loaded;
	void *loaded_ctx;
	const char *group;
	void (*log)(void *ctx, enum rpc_log_level level, const char *line);
	void *log_ctx;
};

/** struct rpc_entry - what is known of a method before it is called */
struct rpc_entry {
	bool changes;			/* the helper's own, with RPC_METHOD_CHANGES */
	bool is_long;			/* never takes the last worker */
	bool is_loaded;			/* of a service that comes and goes */
	struct rpc_found found;		/* of those */
};

/**
 * struct rpc_call_args - a call
 * @entry: from rpc_table_find(); one that nothing was found for is refused
 * @peer: who calls; may_change is found out when the method asks
 * @fd: Unix socket of the caller, or -1
 * @deadline: monotonic ms; 0: none
 * @feed: of a method with a stream, else NULL
 */
struct rpc_call_args {
	struct rpc_entry entry;
	struct rpc_peer peer;
	int fd;
	char service[RPC_NAME_MAX];
	char method[RPC_NAME_MAX];
	const uint8_t *payload;
	size_t len;
	uint64_t deadline;
	struct nexus_rpc_stream *feed;
};

/** rpc_name_copy() - a name of a service or method; false when it cannot be one */
bool rpc_name_copy(char *to, const void *from, size_t len);

/** rpc_table_find() - look a method up; never waits */
void rpc_table_find(const struct rpc_table *table, const char *service, const char *method,
		    struct rpc_entry *entry);

/**
 * rpc_table_call() - make a call; may block
 * @reply: zeroed; the outcome, but for a stream that has begun
 *
 * Return: whether @call->feed has begun.
 */
bool rpc_table_call(const struct rpc_table *table, struct rpc_call_args *call,
		    struct rpc_reply *reply);

/**
 * rpc_status_pack() - the google.rpc.Status of an outcome that is no success
 * @len: set to its length
 *
 * Return: to be freed; NULL without memory.
 */
uint8_t *rpc_status_pack(const struct rpc_reply *reply, size_t *len);

#endif /* NEXUSD_RPC_TABLE_H */
