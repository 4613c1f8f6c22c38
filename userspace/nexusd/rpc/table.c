// SPDX-License-Identifier: Apache-2.0
/*
 * The table of methods as a front end sees it: the helper's own, and those of services,
 * which may be replaced at any moment.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "frame.h"
#include "peer.h"
#include "table.h"

#define FIND_TRIES	3	/* of a method whose service is being replaced */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void say(const struct rpc_table *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct rpc_table *table, const char *fmt, ...)
{
	char line[RPC_ERROR_MAX];
	va_list ap;

	if (!table->log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	table->log(table->log_ctx, RPC_LOG_WARNING, line);
}

bool rpc_name_copy(char *to, const void *from, size_t len)
{
	if (len >= RPC_NAME_MAX || !frame_utf8(from, len))
		return false;
	if (len)
		memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

void rpc_table_find(const struct rpc_table *table, const char *service, const char *method,
		    struct rpc_entry *entry)
{
	const struct rpc_method *m = rpc_find(table->services, service, method, NULL);

	memset(entry, 0, sizeof(*entry));
	if (m) {
		entry->changes = m->flags & RPC_METHOD_CHANGES;
		entry->is_long = m->flags & RPC_METHOD_LONG;
	} else if (table->loaded && !table->loaded->find(table->loaded_ctx, service, method,
							 &entry->found)) {
		entry->is_loaded = true;
		entry->is_long = true;
	}
}

/* Into a service, which may be replaced at any moment. */
static bool call_loaded(const struct rpc_table *table, struct rpc_call_args *call,
			struct rpc_reply *reply)
{
	const struct rpc_loaded *loaded = table->loaded;
	struct rpc_entry *entry = &call->entry;
	uint64_t now = now_ms();
	bool stream = call->feed;
	uint32_t left = 0;
	int ret = 1, tries;

	if (call->deadline)
		left = call->deadline - now < UINT32_MAX ? call->deadline - now : UINT32_MAX;
	if (call->deadline && !left)
		left = 1;
	for (tries = 0; ret == 1 && tries < FIND_TRIES; tries++) {
		if (tries && (loaded->find(table->loaded_ctx, call->service, call->method,
					   &entry->found) || entry->found.stream != stream))
			break;
		if (entry->found.asks && !call->peer.may_change)
			call->peer.may_change = peer_may_change(call->fd, &call->peer, table->group);
		ret = loaded->call(table->loaded_ctx, call->service, call->method, &entry->found,
				   &call->peer, call->payload, call->len, left, call->feed, reply);
	}
	if (ret == 1)
		rpc_reply_code(reply, RPC_UNIMPLEMENTED, "%s/%s is not there any more",
			       call->service, call->method);
	else if (ret && reply->code == RPC_OK)
		rpc_reply_error(reply, ret, NULL);
	return !ret && stream;
}

bool rpc_table_call(const struct rpc_table *table, struct rpc_call_args *call,
		    struct rpc_reply *reply)
{
	bool opened = false, refused;

	if (call->deadline && now_ms() > call->deadline) {
		rpc_reply_code(reply, RPC_DEADLINE_EXCEEDED,
			       "the call waited longer than its time limit");
		return false;
	}
	if (call->entry.is_loaded) {
		opened = call_loaded(table, call, reply);
		refused = reply->code == RPC_PERMISSION_DENIED;
	} else {
		if (call->entry.changes)
			call->peer.may_change = peer_may_change(call->fd, &call->peer, table->group);
		rpc_dispatch(table->services, &call->peer, call->service, call->method,
			     call->payload, call->len, reply);
		refused = call->entry.changes && !call->peer.may_change;
	}
	if (refused && call->peer.subject)
		say(table, "%s/%s was refused to %s", call->service, call->method, call->peer.subject);
	else if (refused)
		say(table, "%s/%s was refused to uid %u, pid %d", call->service, call->method,
		    (unsigned int)call->peer.uid, (int)call->peer.pid);
	return opened;
}
