/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnexus: talk to nexusd, the helper of nexusfs, over its control socket.
 *
 * Functions return 0 or a negative errno; nexus_error() then has one line for
 * the user. A client is for one thread at a time. Structures given to
 * callbacks may grow at their end in later versions; their strings are never
 * NULL and live until the callback returns.
 *
 *	struct nexus_client *client = nexus_new();
 *
 *	if (!client || nexus_connect(client, NULL) ||
 *	    nexus_zone_create(client, "root", NULL, NULL, 0, NULL, NULL))
 *		fprintf(stderr, "%s\n", nexus_error(client));
 *	nexus_free(client);
 */
#ifndef NEXUS_NEXUS_H
#define NEXUS_NEXUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NEXUS_SOCKET	"/run/nexusfs/nexusd.sock"

struct nexus_client;

/**
 * nexus_new() - a client, not connected
 *
 * Return: the client, or NULL without memory.
 */
struct nexus_client *nexus_new(void);

/**
 * nexus_free() - close the connection and free the client
 * @client: the client, or NULL
 */
void nexus_free(struct nexus_client *client);

/**
 * nexus_connect() - connect to the helper; an older connection is closed
 * @client: the client
 * @path: of the socket; NULL for $NEXUS_SOCKET, else NEXUS_SOCKET
 */
int nexus_connect(struct nexus_client *client, const char *path);

/**
 * nexus_connect_grpc() - connect to the helper's service rpc_grpc instead
 * @client: the client
 * @endpoint: "unix:PATH", or "HOST:PORT" of TCP with TLS
 * @ca: file with the certificates of who may say who the helper is; NULL with "unix:"
 * @cert: file with one's own certificate, likewise
 * @key: file with its key, likewise
 *
 * Everything else is as after nexus_connect().  An object of the package nexusfs-grpc is
 * loaded for it; without, -ELIBACC.
 */
int nexus_connect_grpc(struct nexus_client *client, const char *endpoint, const char *ca,
		       const char *cert, const char *key);

/**
 * nexus_set_timeout() - how long a call may take
 * @client: the client
 * @ms: milliseconds, 0 for no limit; 30,000 in a new client
 *
 * A call that takes longer fails with -ETIMEDOUT and closes the connection;
 * the helper may still carry it out.
 */
void nexus_set_timeout(struct nexus_client *client, unsigned int ms);

/**
 * nexus_error() - what the last failing function has to tell the user
 * @client: the client; NULL means there was no memory for one
 *
 * Return: one line without newline; valid until the next call.
 */
const char *nexus_error(const struct nexus_client *client);

/**
 * nexus_call() - call any method with messages already encoded
 * @client: the client
 * @service: full name, e.g. "nexus.control.v1.Zones"
 * @method: e.g. "List"
 * @request: encoded message; may be NULL when @len is 0
 * @len: its length, at most 4 MiB with its envelope
 * @reply: set to the encoded answer, free() it; may be NULL
 * @reply_len: set to its length; may be NULL
 */
int nexus_call(struct nexus_client *client, const char *service,
	       const char *method, const void *request, size_t len,
	       void **reply, size_t *reply_len);

/**
 * nexus_feed_begin() - call a method that answers with a stream of messages
 * @client: the client
 * @service: full name, e.g. "nexus.echo.v1.Echo"
 * @method: e.g. "Repeat"
 * @request: encoded message; may be NULL when @len is 0
 * @len: its length
 *
 * The stream has the connection until its end: other calls fail with -EBUSY.
 * nexus_connect() and nexus_free() end it early.
 */
int nexus_feed_begin(struct nexus_client *client, const char *service,
		     const char *method, const void *request, size_t len);

/**
 * nexus_feed_next() - wait for the next message of the stream
 * @client: the client
 * @message: set to the encoded message, free() it
 * @len: set to its length
 *
 * Waits as long as nexus_set_timeout() says, for each message; beyond that the
 * connection is closed.
 *
 * Return: 1 with a message, 0 at the good end of the stream, or a negative errno,
 * that of a refused call, too.
 */
int nexus_feed_next(struct nexus_client *client, void **message, size_t *len);

/** enum nexus_zone_state - what a zone is doing */
enum nexus_zone_state {
	NEXUS_ZONE_UNKNOWN	= 0,
	NEXUS_ZONE_IDLE		= 1,
	NEXUS_ZONE_MOUNTED	= 2,
	NEXUS_ZONE_LOST		= 3,
	NEXUS_ZONE_READ_ONLY	= 4,
};

/** struct nexus_zone - a zone */
struct nexus_zone {
	const char *name;
	const char *uuid;
	enum nexus_zone_state state;
	const char *reason;		/* why lost or read-only, else "" */
	const char *store;
	const char *data_dir;
	uint32_t format_version;
	uint64_t compat;		/* feature bits */
	uint64_t ro_compat;
	uint64_t incompat;
	uint64_t lsn_tail;		/* positions in the log */
	uint64_t lsn_durable;
	uint64_t lsn_applied;
	uint64_t lsn_checkpoint;
	uint64_t inodes;
	uint64_t bytes;
	uint64_t segments;
	uint64_t packs;
};

/** struct nexus_option - one setting of a zone that is to be created */
struct nexus_option {
	const char *key;
	const char *value;
};

/**
 * typedef nexus_zone_fn - is given a zone
 *
 * Return: 0 to go on; anything else ends the walk and is returned.
 */
typedef int (*nexus_zone_fn)(void *arg, const struct nexus_zone *zone);

/**
 * nexus_zone_create() - make a zone; for root and group nexusfs
 * @client: the client
 * @name: of the zone
 * @store: address of its object store; NULL or "" for localdisk
 * @options: further settings of the store
 * @n: how many
 * @fn: is given the new zone; may be NULL
 * @arg: first argument of @fn
 */
int nexus_zone_create(struct nexus_client *client, const char *name,
		      const char *store, const struct nexus_option *options,
		      size_t n, nexus_zone_fn fn, void *arg);

/**
 * nexus_zone_list() - all zones, sorted by name
 * @client: the client
 * @fn: is given each
 * @arg: first argument of @fn
 */
int nexus_zone_list(struct nexus_client *client, nexus_zone_fn fn, void *arg);

/**
 * nexus_zone_info() - one zone
 * @client: the client
 * @name: of the zone
 * @fn: is given it
 * @arg: first argument of @fn
 */
int nexus_zone_info(struct nexus_client *client, const char *name,
		    nexus_zone_fn fn, void *arg);

/**
 * nexus_zone_upgrade() - bring a zone's format up to date; for root and group
 * nexusfs. May take long: see nexus_set_timeout().
 * @client: the client
 * @name: of the zone
 * @fn: is given the zone afterwards; may be NULL
 * @arg: first argument of @fn
 */
int nexus_zone_upgrade(struct nexus_client *client, const char *name,
		       nexus_zone_fn fn, void *arg);

/** enum nexus_pack_state - what a pack is */
enum nexus_pack_state {
	NEXUS_PACK_IS_SPARE	= 0,	/* the index does not name it */
	NEXUS_PACK_IS_OPEN	= 1,
	NEXUS_PACK_IS_SEALED	= 2,
};

/** struct nexus_pack - a file that content of a zone lies in */
struct nexus_pack {
	uint64_t pack;
	enum nexus_pack_state state;
	uint32_t blocks;		/* of 4 KiB, of the file; 0: there is none */
	uint32_t table_blocks;		/* head and table */
	uint32_t used;			/* highest block ever mapped + 1 */
	uint32_t live;			/* blocks mapped now */
	uint32_t hash_alg;		/* 0 none, 1 SHA-256 */
	const uint8_t *hash;
	size_t hash_len;
};

/** typedef nexus_pack_fn - is given a pack; as nexus_zone_fn */
typedef int (*nexus_pack_fn)(void *arg, const struct nexus_pack *pack);

/**
 * nexus_pack_list() - the packs of a mounted zone, by id
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted
 * @fn: is given each
 * @arg: first argument of @fn
 */
int nexus_pack_list(struct nexus_client *client, const char *zone,
		    nexus_pack_fn fn, void *arg);

/** struct nexus_pack_problem - something nexus_pack_verify() found wrong */
struct nexus_pack_problem {
	uint64_t pack;
	uint32_t block;			/* 0: the pack as a whole */
	uint64_t inode;			/* 0: not known */
	uint64_t data_id;		/* 0: no file is concerned */
	uint64_t offset;		/* in the file, bytes */
	const char *what;
};

/** typedef nexus_problem_fn - is given a problem; as nexus_zone_fn */
typedef int (*nexus_problem_fn)(void *arg,
				const struct nexus_pack_problem *problem);

/** struct nexus_verified - what a verify looked at */
struct nexus_verified {
	uint64_t packs;
	uint64_t extents;
	uint64_t blocks;
	uint64_t unchecked;		/* blocks without a checksum, by now or for good */
	uint64_t away;			/* blocks that are held elsewhere */
};

/**
 * nexus_pack_verify() - check blocks of a mounted zone against their checksums;
 * for root and group nexusfs
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted
 * @packs: only these
 * @n: how many; 0 for all packs
 * @fn: is given everything that is wrong
 * @arg: first argument of @fn
 * @seen: is added to; the caller has zeroed it
 *
 * Asks for a few MiB at a time and pauses as long as each took, so it leaves the
 * disk to others half of the time, and ends when the caller does.
 */
int nexus_pack_verify(struct nexus_client *client, const char *zone,
		      const uint64_t *packs, size_t n, nexus_problem_fn fn,
		      void *arg, struct nexus_verified *seen);

/** struct nexus_compacted - what a compaction did */
struct nexus_compacted {
	uint64_t packs;			/* out of which blocks were moved */
	uint64_t blocks;
	uint64_t skipped;		/* pieces changed meanwhile, or damaged */
};

/**
 * nexus_pack_compact() - move what is alive out of packs of a mounted zone, so
 * that they can go; for root and group nexusfs
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted
 * @packs: only these, however little of them is dead
 * @n: how many; 0 for those of which less than half is alive
 * @all: all of which anything is dead
 * @done: is added to; the caller has zeroed it
 *
 * Asks for a pack at a time, and the helper takes the pace that it was told to take.
 * The space is back some seconds later.
 */
int nexus_pack_compact(struct nexus_client *client, const char *zone,
		       const uint64_t *packs, size_t n, bool all,
		       struct nexus_compacted *done);

/**
 * nexus_pack_evict() - give the space of a sealed pack's content back to the host, once
 * what holds content elsewhere is seen to have all of it; for root and group nexusfs
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted
 * @pack: which
 * @blocks: is added to: those given back
 */
int nexus_pack_evict(struct nexus_client *client, const char *zone, uint64_t pack,
		     uint64_t *blocks);

/** struct nexus_uploads - content that goes elsewhere */
struct nexus_uploads {
	uint64_t packs;			/* sealed and not held elsewhere */
	uint64_t bytes;			/* of their files */
	uint64_t oldest;		/* seconds since the first of them was found sealed */
	uint64_t deletes;		/* copies of packs that are gone */
	uint64_t busy;			/* being put or deleted now */
	uint64_t put_packs, put_bytes;	/* since the zone was opened */
	uint64_t error_at;		/* seconds since 1970 */
	char error[256];		/* "": it worked since */
	char circuit[16];		/* of the driver: "closed": the store is asked; "": it has none */
	char store_error[256];		/* what it says of the error */
	uint64_t requests, retries;
	uint64_t sent, received;	/* bytes */
	uint64_t memory, memory_peak;	/* bytes in flight */
	uint64_t here, cache_limit;	/* bytes of content here, and that may be; 0: any */
	bool cache_full;		/* no pack is made now */
	char cache_error[128];		/* why nothing is evicted; "" */
};

/**
 * nexus_uploads() - how far the content of a zone is with what holds copies of it
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted, -EOPNOTSUPP when its content is held
 *	nowhere else, or it is mounted read-only
 * @uploads: filled in
 */
int nexus_uploads(struct nexus_client *client, const char *zone,
		  struct nexus_uploads *uploads);
/**
 * nexus_uploads_flush() - look for sealed packs now, and wait a second at most until all is
 * held and what is gone is deleted; for root and group nexusfs
 *
 * To be called again while @uploads has packs or deletes.
 */
int nexus_uploads_flush(struct nexus_client *client, const char *zone,
			struct nexus_uploads *uploads);

/** struct nexus_scrub_run - a run; times are seconds since 1970, 0: never */
struct nexus_scrub_run {
	uint64_t begun;
	uint64_t ended;
	uint64_t blocks;		/* of 4 KiB, read and compared */
	uint64_t unchecked;		/* without a checksum, by now or for good */
	uint64_t problems;		/* damaged, or not to be read */
};

/** struct nexus_scrub - where the regular check of a zone stands */
struct nexus_scrub {
	bool running;
	struct nexus_scrub_run run;	/* on its way, else the last that was */
	struct nexus_scrub_run last;	/* the last that came to its end */
	uint64_t due;			/* 0: none begins by itself */
};

/**
 * nexus_scrub_status() - how far the regular check of a mounted zone is
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted, -EROFS when read-only
 * @status: is filled
 */
int nexus_scrub_status(struct nexus_client *client, const char *zone,
		       struct nexus_scrub *status);

/**
 * nexus_scrub_start() - begin a run now; for root and group nexusfs
 *
 * As nexus_scrub_status(), and -EALREADY while one is on its way.
 */
int nexus_scrub_start(struct nexus_client *client, const char *zone,
		      struct nexus_scrub *status);

/**
 * nexus_scrub_stop() - end the run; for root and group nexusfs
 *
 * As nexus_scrub_status(), and -EALREADY without one.
 */
int nexus_scrub_stop(struct nexus_client *client, const char *zone,
		     struct nexus_scrub *status);

/** enum nexus_service_state - what a service is doing */
enum nexus_service_state {
	NEXUS_SERVICE_ACTIVE		= 1,
	NEXUS_SERVICE_STOPPING		= 2,	/* waits for calls in flight, or is being stopped */
	NEXUS_SERVICE_QUARANTINED	= 3,	/* a call did not return in its time */
};

/** struct nexus_service_protocol - a protocol, and its version or the lowest that will do */
struct nexus_service_protocol {
	const char *name;
	uint32_t version;
};

/** struct nexus_service_status - a service that is loaded, or what is left of one */
struct nexus_service_status {
	const char *name;
	const char *version;
	enum nexus_service_state state;
	const char *reason;		/* of a quarantine, else "" */
	bool mapped;			/* its object is in the helper's memory */
	const struct nexus_service_protocol *provides;
	size_t n_provides;
	const struct nexus_service_protocol *needs;
	size_t n_needs;
	const char *const *holders;	/* of references to its protocols, one for each */
	size_t n_holders;
	uint64_t calls_running;
	uint64_t calls;
	uint64_t overruns;		/* that did not return in their time */
	uint64_t loaded;		/* seconds since 1970 */
	uint32_t uid;			/* who loaded it */
};

/** typedef nexus_service_fn - is given a service; as nexus_zone_fn */
typedef int (*nexus_service_fn)(void *arg, const struct nexus_service_status *service);

/**
 * nexus_service_load() - load services into the helper; for root and group nexusfs
 * @client: the client
 * @names: of the services; all of them are loaded or none, in the order of their needs
 * @n: how many
 *
 * Services that have just been loaded take up to three times service_timeout of the
 * helper's settings each: see nexus_set_timeout(). Errors: Documentation/services.
 */
int nexus_service_load(struct nexus_client *client, const char *const *names, size_t n);

/**
 * nexus_service_unload() - unload one; for root and group nexusfs
 *
 * -ENOENT when it is not loaded, -EBUSY when others use it; the line names them.
 */
int nexus_service_unload(struct nexus_client *client, const char *name);

/**
 * nexus_service_swap() - replace one by the build its file has now; as nexus_service_load()
 */
int nexus_service_swap(struct nexus_client *client, const char *name);

/**
 * nexus_service_list() - all services, those behind that need others
 * @client: the client
 * @fn: is given each
 * @arg: first argument of @fn
 */
int nexus_service_list(struct nexus_client *client, nexus_service_fn fn, void *arg);

/**
 * nexus_service_info() - one service, and what is on its way out of it
 *
 * As nexus_service_list(); -ENOENT when there is nothing of that name.
 */
int nexus_service_info(struct nexus_client *client, const char *name,
		       nexus_service_fn fn, void *arg);

/** enum nexus_quota_kind - whose a quota is */
enum nexus_quota_kind {
	NEXUS_QUOTA_OF_ZONE	= 0,
	NEXUS_QUOTA_OF_USER	= 1,
	NEXUS_QUOTA_OF_GROUP	= 2,
	NEXUS_QUOTA_OF_PROJECT	= 3,
};

/** struct nexus_quota - usage and limits; blocks are of 4 KiB */
struct nexus_quota {
	enum nexus_quota_kind kind;
	uint32_t id;			/* 0 for the zone */
	uint64_t inodes, blocks;	/* in use */
	uint64_t inodes_hard, inodes_soft;	/* 0: no limit */
	uint64_t blocks_hard, blocks_soft;
	uint64_t inodes_time, blocks_time; /* above the soft limit since, 0: it is not */
	uint64_t inodes_grace, blocks_grace; /* seconds it may be; of the kind */
};

/** typedef nexus_quota_fn - is given a quota; as nexus_zone_fn */
typedef int (*nexus_quota_fn)(void *arg, const struct nexus_quota *quota);

/**
 * nexus_quota_list() - everybody of a kind who uses or may use something, by id
 * @client: the client
 * @zone: its name
 * @kind: whose
 * @fn: is given each
 * @arg: first argument of @fn
 */
int nexus_quota_list(struct nexus_client *client, const char *zone,
		     enum nexus_quota_kind kind, nexus_quota_fn fn, void *arg);

/**
 * nexus_quota_get() - one of them
 * @client: the client
 * @zone: its name
 * @kind: whose
 * @id: of the user, group or project
 * @fn: is given it
 * @arg: first argument of @fn
 */
int nexus_quota_get(struct nexus_client *client, const char *zone,
		    enum nexus_quota_kind kind, uint32_t id, nexus_quota_fn fn,
		    void *arg);

/**
 * nexus_quota_set() - set all limits of one; for root and group nexusfs
 * @client: the client
 * @zone: its name
 * @quota: kind, id and limits; the rest is not looked at
 */
int nexus_quota_set(struct nexus_client *client, const char *zone,
		    const struct nexus_quota *quota);

/**
 * nexus_quota_grace() - set how long usage may stay above soft limits; for root
 * and group nexusfs
 * @client: the client
 * @zone: its name
 * @kind: whose
 * @inodes: seconds; 0 for seven days
 * @blocks: the same for blocks
 */
int nexus_quota_grace(struct nexus_client *client, const char *zone,
		      enum nexus_quota_kind kind, uint64_t inodes,
		      uint64_t blocks);

/** enum nexus_stat_type - as in Prometheus */
enum nexus_stat_type {
	NEXUS_STAT_COUNTER	= 1,
	NEXUS_STAT_GAUGE	= 2,
};

/** struct nexus_stat - one value; those of one name come one after the other */
struct nexus_stat {
	const char *name;
	const char *help;
	enum nexus_stat_type type;
	const struct nexus_option *labels;
	size_t n_labels;
	uint64_t value;
};

/** typedef nexus_stat_fn - is given a value; as nexus_zone_fn */
typedef int (*nexus_stat_fn)(void *arg, const struct nexus_stat *stat);

/**
 * nexus_stats() - all counters of helper and module
 * @client: the client
 * @fn: is given each
 * @arg: first argument of @fn
 */
int nexus_stats(struct nexus_client *client, nexus_stat_fn fn, void *arg);

/** enum nexus_state - what the helper is doing */
enum nexus_state {
	NEXUS_STARTING		= 1,
	NEXUS_RUNNING		= 2,
	NEXUS_STOPPING		= 3,
};

/** enum nexus_link - the helper's session with the module */
enum nexus_link {
	NEXUS_LINK_NONE		= 0,
	NEXUS_LINK_NEW		= 1,
	NEXUS_LINK_LIVE		= 2,
	NEXUS_LINK_LOST		= 3,
	NEXUS_LINK_DEAD		= 4,
};

/** enum nexus_records_state - how the helper's record store is */
enum nexus_records_state {
	NEXUS_RECORDS_NONE	= 0,	/* there is none */
	NEXUS_RECORDS_UNUSED	= 1,	/* no service has asked for it yet */
	NEXUS_RECORDS_OPEN	= 2,
	NEXUS_RECORDS_FAILED	= 3,	/* it could not be opened, or does not answer now */
};

/** enum nexus_cachestore_state - how the helper's cache store is */
enum nexus_cachestore_state {
	NEXUS_CACHESTORE_NONE	= 0,	/* an older helper, which has none */
	NEXUS_CACHESTORE_UNUSED	= 1,	/* no service has asked for it yet */
	NEXUS_CACHESTORE_OPEN	= 2,
	NEXUS_CACHESTORE_DEGRADED	= 3,	/* its server is lost, and the helper keeps values itself */
};

/** struct nexus_status - the helper and its session with the module */
struct nexus_status {
	enum nexus_state state;
	enum nexus_link link;
	const char *session;
	const char *reason;		/* why not live, else "" */
	const char *metastore;
	const char *objectstore;
	const char *data_dir;
	const char *module_version;	/* "" when not loaded */
	uint32_t pid;
	uint32_t queues;
	uint64_t started;		/* seconds since 1970 */
	uint32_t zones;
	uint32_t zones_mounted;
	const char *recordstore;	/* its driver, or "none"; "" from an older helper */
	enum nexus_records_state records;
	const char *records_error;	/* the last one, also when it is over; "" */
	uint64_t records_error_at;	/* seconds since 1970 */
	const char *profile;		/* "none" without one; "" from an older helper */
	const char *degraded;		/* which services are not there, and why; "" */
	uint32_t bricks_missing;	/* that are on and that nothing here does */
	const char *cachestore;		/* its driver; "" from an older helper */
	enum nexus_cachestore_state cache;
	const char *cache_error;	/* why it is, or was last, degraded; "" */
	uint64_t cache_error_at;	/* seconds since 1970 */
};

/** typedef nexus_status_fn - is given the status; as nexus_zone_fn */
typedef int (*nexus_status_fn)(void *arg, const struct nexus_status *status);

/**
 * nexus_status() - the helper and its session
 * @client: the client
 * @fn: is given it
 * @arg: first argument of @fn
 */
int nexus_status(struct nexus_client *client, nexus_status_fn fn, void *arg);

/** struct nexus_version - what is running */
struct nexus_version {
	const char *version;		/* of the helper */
	const char *module_version;	/* "" when not loaded */
	uint32_t abi;			/* of the channel between the two */
	uint32_t format;		/* newest on-disk format written */
};

/** typedef nexus_version_fn - is given the versions; as nexus_zone_fn */
typedef int (*nexus_version_fn)(void *arg, const struct nexus_version *version);

/**
 * nexus_version() - what is running
 * @client: the client
 * @fn: is given it
 * @arg: first argument of @fn
 */
int nexus_version(struct nexus_client *client, nexus_version_fn fn, void *arg);

/**
 * nexus_health() - does the helper answer
 * @client: the client
 * @state: set; may be NULL
 */
int nexus_health(struct nexus_client *client, enum nexus_state *state);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_NEXUS_H */
