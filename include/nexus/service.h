/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: shared objects that nexusd loads and unloads while it runs.
 *
 * An object NAME.so exports one symbol, nexus_service, a descriptor.  It says
 * which protocols the service implements and which it needs; a protocol is a
 * table of operations with a name and a version (nexus/services/).  Callers
 * hold a counted reference to a protocol, never a pointer into the object:
 * that is how it can be replaced or taken away beneath them.
 *
 * Life: service_init, service_start, (operations), service_stop,
 * service_cleanup, each once, in this order, by one thread at a time.
 * Documentation/services/README.md tells how to write one.
 */
#ifndef NEXUS_SERVICE_H
#define NEXUS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEXUS_SERVICE_ABI		4u	/* changes with this file */
#define NEXUS_SERVICE_SYMBOL		"nexus_service"
#define NEXUS_SERVICE_NAME_MAX		64	/* with its NUL */
#define NEXUS_SERVICE_VERSION_MAX	32
#define NEXUS_SERVICE_PROTOCOLS_MAX	16	/* provided, and needed */

struct nexus_service;	/* this service, to the registry */
struct nexus_ref;	/* a reference to a protocol */
struct nexus_rpc_service;	/* <nexus/rpc.h> */
struct nexus_rpc_stream;
struct nexus_rpc_call;
struct nexus_records;	/* <nexus/recordstore.h> */
struct nexus_cache;	/* <nexus/cachestore.h> */
struct nexus_front;	/* <nexus/front.h> */
struct ProtobufCMessage;

/**
 * typedef nexus_op - an operation of a protocol
 * @self: what service_init returned
 * @args: what the caller made with args_new(); which struct, the protocol says
 *
 * Called by several threads at once.  It may block, but not beyond the
 * deadline of calls into services (service_timeout): then the caller has got
 * -ETIMEDOUT, and the service is quarantined.  The thread has 1 MiB of stack.
 *
 * @args may be used until the return, whatever has become of the caller.
 *
 * Return: 0 or a negative errno.
 */
typedef int (*nexus_op)(void *self, void *args);

/**
 * struct nexus_protocol - a protocol that a service implements
 * @name: such as "nexus.echo"; ends the array when NULL
 * @version: the highest; a version has everything that lower ones have
 * @ops: a struct of nothing but nexus_op
 * @size: of @ops
 */
struct nexus_protocol {
	const char *name;
	uint32_t version;
	const void *ops;
	size_t size;
};

#define NEXUS_PROTOCOL(name, version, table)	{ name, version, &(table), sizeof(table) }
#define NEXUS_PROTOCOLS_END			{ NULL, 0, NULL, 0 }

/** struct nexus_need - a protocol that a service needs; ends with a NULL name */
struct nexus_need {
	const char *name;
	uint32_t min_version;
};

#define NEXUS_NEEDS_END				{ NULL, 0 }

/** enum nexus_service_level - as in syslog(3) */
enum nexus_service_level {
	NEXUS_SERVICE_ERROR	= 3,
	NEXUS_SERVICE_WARNING	= 4,
	NEXUS_SERVICE_INFO	= 6,
	NEXUS_SERVICE_DEBUG	= 7,
};

/**
 * struct nexus_service_host - what the helper offers
 * @abi: NEXUS_SERVICE_ABI of the helper
 * @trial: this is not the helper, but a process that only looks whether
 *	service_init and service_cleanup work (see there)
 * @log: one line, without its newline
 * @get: a reference to a protocol that the descriptor names as needed; not
 *	before service_start (-EAGAIN).  -ENOENT when nobody provides it any
 *	more, -EPERM when it is not named, -ENOMEM.
 * @put: give it back, at the latest in service_cleanup.  NULL is allowed.
 * @args_new: zeroed memory for the arguments of a call, or NULL
 * @args_more: zeroed memory that lives as long as @args, for what has no place
 *	in them; by the caller before the call, by the operation during it.  NULL
 *	without memory.
 * @args_free: for the caller, always; NULL is allowed
 * @call: call an operation, see nexus_service_call(); -ETIMEDOUT after @timeout_ms (0:
 *	as long as a call may take), and @args are then not to be looked at any
 *	more; -EAGAIN when it was not even begun for lack of threads;
 *	-ESHUTDOWN when the service that provides it was quarantined;
 *	-EOPNOTSUPP when it has no such operation; or what it returns.  A call
 *	out of a call ends no later than that one.
 * @stream_send: queue a message, copied, for the reader of a stream (<nexus/rpc.h>);
 *	never waits.  -EAGAIN when the stream is full: NEXUS_RPC_READY follows when
 *	there is room; -EPIPE when it is over; -EMSGSIZE; -ENOMEM.
 * @stream_end: no more messages; the reader gets those queued, then the
 *	negative errno @error with @text (or NULL), or 0 for a good end.
 *	NEXUS_RPC_CLOSED follows.  Only the first counts.
 * @rpc_answer: encode a message as the answer of a call, see nexus_rpc_answer()
 * @state_dir: a descriptor of the directory where the service keeps its files, its
 *	caller's to close; made when it is not there.  Two builds have the same
 *	one during a swap.  Not before service_start (-EAGAIN); -EOPNOTSUPP when the
 *	helper keeps none, or what the system says.
 * @setting: a number or truth value of the helper's configuration, whose key is the
 *	name of this service, '_' and @name.  -ENOENT: there is no such key, and
 *	*@value is as it was.
 * @records: the record store (<nexus/recordstore.h>), opened when the first
 *	service asks; the same handle each time, valid until the return of
 *	service_cleanup, with no transaction open then.  It migrates the schema
 *	of this service's name only (-EPERM).  Not before service_start (-EAGAIN);
 *	-EOPNOTSUPP when the helper has none; or why it cannot be opened, which the log
 *	says in words: the next call tries again.
 * @cache: the cache store (<nexus/cachestore.h>), opened when the first service asks;
 *	the same handle each time, with keys and channels of this service's own, valid
 *	until the return of service_cleanup, with no subscription left then.  There is
 *	always one, though it may keep nothing.  Not before service_start (-EAGAIN); -ENOMEM.
 * @front: for services that take calls from outside their own way (<nexus/front.h>);
 *	valid until the return of service_stop.  Not before service_start (-EAGAIN);
 *	-EOPNOTSUPP when the helper has no table of methods.
 */
struct nexus_service_host {
	uint32_t abi;
	bool trial;
	void (*log)(struct nexus_service *me, enum nexus_service_level level,
		    const char *line);
	int (*get)(struct nexus_service *me, const char *protocol,
		   struct nexus_ref **ref);
	void (*put)(struct nexus_ref *ref);
	void *(*args_new)(size_t size);
	void *(*args_more)(void *args, size_t size);
	void (*args_free)(void *args);
	int (*call)(struct nexus_ref *ref, const char *op_name, size_t op_offset,
		    void *args, uint32_t timeout_ms);
	int (*stream_send)(struct nexus_rpc_stream *stream, const void *data, size_t len);
	void (*stream_end)(struct nexus_rpc_stream *stream, int error, const char *text);
	int (*rpc_answer)(struct nexus_rpc_call *call, const struct ProtobufCMessage *msg);
	int (*state_dir)(struct nexus_service *me);
	int (*setting)(struct nexus_service *me, const char *name, uint64_t *value);
	int (*records)(struct nexus_service *me, struct nexus_records **records);
	int (*cache)(struct nexus_service *me, struct nexus_cache **cache);
	int (*front)(struct nexus_service *me, const struct nexus_front **front);
};

/**
 * nexus_service_call() - call an operation of a protocol
 * @host: struct nexus_service_host
 * @ref: the reference
 * @table: struct of the protocol's operations
 * @op: which of them
 * @args: from args_new()
 * @timeout_ms: 0: as long as a call may take
 */
#define nexus_service_call(host, ref, table, op, args, timeout_ms) \
	((host)->call(ref, #op, offsetof(table, op), args, timeout_ms))

/**
 * struct nexus_service_desc - what an object exports as nexus_service
 * @abi: NEXUS_SERVICE_ABI; nothing else is looked at when it is another
 * @name: that of the file without ".so": a-z first, then a-z 0-9 _ -
 * @version: of this build, for people
 * @provides: protocols, at most NEXUS_SERVICE_PROTOCOLS_MAX; NULL for none
 * @needs: likewise; loaded only while all of them are provided
 * @service_init: makes what the service needs in this process, sets *@self.
 *	It is tried in a process of its own first (host->trial), followed by
 *	service_cleanup: one that crashes, forks or does not return is refused
 *	before it can harm the helper.  What changes something outside of the
 *	process, and everything that needs other services, is for service_start.
 *	On an error nothing may be left behind: service_cleanup is not called.
 * @service_start: begins to work; operations may be called from its return on.
 *	A swap starts the new build before it stops the old one.  On an error
 *	service_cleanup follows, without service_stop.
 * @service_stop: ends that; no operation runs any more.  An error is logged.
 *	Threads of the service must have ended when it returns.
 * @service_cleanup: frees all of service_init.  The object is unmapped
 *	afterwards: no thread, atexit handler or key with a destructor may be left.
 * @rpc: how it is called from outside (<nexus/rpc.h>), at most
 *	NEXUS_RPC_SERVICES_MAX; NULL: not at all
 *
 * All four are required, and each must return within service_timeout.  None may
 * fork(): the child would be a copy of the helper, and is ended at once;
 * posix_spawn(3) is fine.
 */
struct nexus_service_desc {
	uint32_t abi;
	const char *name;
	const char *version;
	const struct nexus_protocol *provides;
	const struct nexus_need *needs;
	int (*service_init)(const struct nexus_service_host *host,
			    struct nexus_service *me, void **self);
	int (*service_start)(void *self);
	int (*service_stop)(void *self);
	void (*service_cleanup)(void *self);
	const struct nexus_rpc_service *rpc;
};

/* NEXUS_SERVICE - in front of the one descriptor of an object */
#define NEXUS_SERVICE \
	extern const struct nexus_service_desc nexus_service; \
	__attribute__((visibility("default"))) const struct nexus_service_desc nexus_service

#endif /* NEXUS_SERVICE_H */
