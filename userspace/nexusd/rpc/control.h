/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boundary between the control socket and the core of the helper.
 *
 * The core fills a struct control_ops and hands it to control_services(); what
 * comes back is the table (service, method) -> handler for rpc_server_new().
 * Nothing here knows about sockets, and nothing in the core knows about
 * protobuf.
 *
 * Rules for every function of the table:
 *  - it returns 0 or a negative errno. On an error it also writes one line
 *    for the user into @err (control_err()): what was wrong, with which value,
 *    what to do. Without a line the user sees the text of the errno.
 *  - it may be called from several worker threads at once, and may block;
 *    the socket goes on being served meanwhile.
 *  - strings passed in are never NULL, valid UTF-8, and live until the return.
 *  - an operation the table leaves NULL is answered with UNIMPLEMENTED.
 *  - who may call what has been checked before (zone_create, zone_upgrade,
 *    pack_verify, pack_compact, pack_evict, quota_set, quota_grace, service_load,
 *    service_unload, service_swap and scrub, but to look, need uid 0 or group nexusfs).
 */
#ifndef NEXUSD_RPC_CONTROL_H
#define NEXUSD_RPC_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_service;

#define CONTROL_NAME_MAX	64
#define CONTROL_STORE_MAX	1024
#define CONTROL_REASON_MAX	256
#define CONTROL_PATH_MAX	4096
#define CONTROL_VERSION_MAX	64
#define CONTROL_ERR_MAX		512

/** struct control_err - one line for the user, without a newline */
struct control_err {
	char msg[CONTROL_ERR_MAX];
};

/**
 * control_err() - write the user's line and pass the errno on
 * @err: where the line goes; NULL is allowed
 * @error: negative errno
 * @fmt: printf format of the line
 *
 * Use: ``return control_err(err, -EEXIST, "zone %s exists", name);``
 *
 * Return: @error.
 */
int control_err(struct control_err *err, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** struct control_option - one key=value of a zone that is to be created */
struct control_option {
	const char *key;
	const char *value;
};

/** enum control_zone_state - what a zone is doing; values are on the wire */
enum control_zone_state {
	CONTROL_ZONE_UNKNOWN	= 0,
	CONTROL_ZONE_IDLE	= 1,	/* known, not mounted */
	CONTROL_ZONE_MOUNTED	= 2,	/* mounted, changes allowed */
	CONTROL_ZONE_LOST	= 3,	/* mounted, its helper session is lost */
	CONTROL_ZONE_READ_ONLY	= 4,	/* mounted or not; see reason */
};

/**
 * struct control_zone_info - everything the socket tells about a zone
 *
 * zone_list() may leave what is costly to find at zero; name, uuid, state and
 * store are always there.
 */
struct control_zone_info {
	char name[CONTROL_NAME_MAX];		/* 1..63 characters */
	uint8_t uuid[16];
	enum control_zone_state state;
	char reason[CONTROL_REASON_MAX];	/* why read-only or lost, else "" */
	char store[CONTROL_STORE_MAX];		/* "localdisk", "s3://..." */
	char data_dir[CONTROL_PATH_MAX];

	uint32_t format_version;
	uint64_t compat;			/* feature bits of the Z record */
	uint64_t ro_compat;
	uint64_t incompat;

	uint64_t lsn_tail;
	uint64_t lsn_durable;
	uint64_t lsn_applied;
	uint64_t lsn_checkpoint;

	uint64_t inodes;
	uint64_t bytes;				/* sum of live data bytes */
	uint64_t segments;
	uint64_t packs;
};

/** enum control_pack_state - values are on the wire */
enum control_pack_state {
	CONTROL_PACK_SPARE	= 0,	/* the index does not name it */
	CONTROL_PACK_OPEN	= 1,
	CONTROL_PACK_SEALED	= 2,
};

/** struct control_pack - a pack; sizes in blocks of 4 KiB */
struct control_pack {
	uint64_t pack;
	enum control_pack_state state;
	uint32_t blocks;		/* of the file, 0 when there is none */
	uint32_t table_blocks;		/* head and table */
	uint32_t used;			/* highest ever mapped + 1 */
	uint32_t live;			/* mapped now */
	uint8_t hash_alg;		/* 0 none, 1 SHA-256 */
	uint8_t hash[32];
};

/** struct control_pack_problem - something a verify found wrong */
struct control_pack_problem {
	uint64_t pack;
	uint32_t block;			/* 0: the pack as a whole */
	uint64_t inode;			/* 0: not known */
	uint64_t data_id;		/* 0: no file is concerned */
	uint64_t offset;		/* bytes */
	const char *what;
};

#define CONTROL_CURSOR_MAX	64

/** struct control_verify - a verify in steps: what to look at, and what was */
struct control_verify {
	const uint64_t *packs;		/* only these */
	size_t npacks;			/* 0: all */
	uint8_t cursor[CONTROL_CURSOR_MAX];	/* in and out */
	size_t cursor_len;		/* 0: at the start; after a call: done */
	uint64_t seen_packs, seen_extents, seen_blocks, unchecked;	/* out */
	uint64_t away;			/* out: blocks that are held elsewhere */
};

/** struct control_compact - a compaction in steps: of what, and what was done */
struct control_compact {
	const uint64_t *packs;		/* only these */
	size_t npacks;			/* 0: all under half alive */
	bool all;			/* all of which anything is dead */
	uint64_t after;			/* in and out; 0: at the start; after a call: done */
	uint64_t done_packs, blocks, skipped;	/* out, of this call */
};

/** struct control_uploads - content that goes elsewhere */
struct control_uploads {
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

/** enum control_gc_what - what is wrong with an object of a content store */
enum control_gc_what {
	CONTROL_GC_LEAKED,	/* nobody needs it */
	CONTROL_GC_MISSING,	/* a pack that is needed, and not there */
	CONTROL_GC_FOREIGN,	/* no name of ours */
	CONTROL_GC_WHATS,
};

/** struct control_refresh - a directory of a mounted bucket, @inode; filled but for that */
struct control_refresh {
	uint64_t inode, entries, added, changed, removed;
	uint64_t hidden, hidden_all;	/* keys that cannot be shown: in it, in all */
};

/** struct control_gc_sum - so many objects, and their bytes */
struct control_gc_sum {
	uint64_t objects, bytes;
};

/** struct control_gc - looking through a content store; times are seconds since 1970 */
struct control_gc {
	bool start;			/* in: begin, and fill in @job; else tell of it */
	bool run;			/* in, of a start: delete what nobody needs */
	uint64_t job;
	bool over;
	int error;			/* why it ended before its end: negative errno */
	char why[512];			/* the same in words */
	uint64_t begun, ended;
	struct control_gc_sum listed, young, deleted, sum[CONTROL_GC_WHATS];
	uint64_t failed;		/* could not be deleted */
	char failed_why[256];		/* the first of them */
};

/** struct control_gc_object - one of those; @name: printable ASCII */
struct control_gc_object {
	enum control_gc_what what;
	const char *name;
	uint64_t bytes;
};

/** typedef control_gc_fn - is given an object; other than 0 ends the walk */
typedef int (*control_gc_fn)(void *arg, const struct control_gc_object *object);

/** struct control_scrub_run - a run; times are seconds since 1970, 0: never */
struct control_scrub_run {
	uint64_t begun, ended;
	uint64_t blocks, unchecked, problems;
};

/** struct control_scrub - where the regular check of a zone stands */
struct control_scrub {
	bool running;
	struct control_scrub_run run;	/* on its way, else the last that was */
	struct control_scrub_run last;	/* that came to its end */
	uint64_t due;			/* 0: none begins by itself */
};

/** enum control_scrub_do - what is wanted of it */
enum control_scrub_do {
	CONTROL_SCRUB_LOOK,
	CONTROL_SCRUB_START,
	CONTROL_SCRUB_STOP,
};

/** struct control_quota - usage and limits of an id; blocks are of 4 KiB */
struct control_quota {
	uint32_t kind;			/* 0 zone, 1 user, 2 group, 3 project */
	uint32_t id;			/* 0 for the zone */
	uint64_t inodes, blocks;	/* in use */
	uint64_t inodes_hard, inodes_soft;	/* 0: no limit */
	uint64_t blocks_hard, blocks_soft;
	uint64_t inodes_time, blocks_time;	/* above soft since, 0: not above */
	uint64_t inodes_grace, blocks_grace;	/* seconds, of the kind */
};

/** struct control_caller - who makes a call, for the log */
struct control_caller {
	uint32_t uid;
	int32_t pid;
};

/** struct control_protocol - a protocol, and its version or the lowest that will do */
struct control_protocol {
	const char *name;
	uint32_t version;
};

/** enum control_service_state - values are on the wire */
enum control_service_state {
	CONTROL_SERVICE_ACTIVE		= 1,
	CONTROL_SERVICE_STOPPING	= 2,
	CONTROL_SERVICE_QUARANTINED	= 3,
};

/** struct control_service - a service that is loaded, or what is left of one */
struct control_service {
	const char *name;
	const char *version;
	enum control_service_state state;
	const char *reason;		/* of a quarantine, else "" */
	bool mapped;
	const struct control_protocol *provides;
	size_t nprovides;
	const struct control_protocol *needs;
	size_t nneeds;
	const char *const *holders;	/* of references, one for each */
	size_t nholders;
	uint64_t calls_running, calls, overruns;
	uint64_t loaded;		/* seconds since 1970 */
	uint32_t uid;			/* who loaded it */
};

/** enum control_stat_type - as in Prometheus; values are on the wire */
enum control_stat_type {
	CONTROL_STAT_COUNTER	= 1,
	CONTROL_STAT_GAUGE	= 2,
};

/** struct control_label - one label of a counter, e.g. zone="root" */
struct control_label {
	const char *name;
	const char *value;
};

/**
 * struct control_stat - one value of the registry of counters
 *
 * Names follow Prometheus: [a-z_][a-z0-9_]*, nexus_ in front, counters end in
 * _total. Values with the same name and different labels come one after the
 * other and share help and type.
 */
struct control_stat {
	const char *name;
	const char *help;
	enum control_stat_type type;
	const struct control_label *labels;
	size_t nlabels;
	uint64_t value;
};

/** enum control_state - the helper itself; values are on the wire */
enum control_state {
	CONTROL_STARTING	= 1,
	CONTROL_RUNNING		= 2,
	CONTROL_STOPPING	= 3,
};

/** enum control_link - state of the session with the module (DESIGN 5) */
enum control_link {
	CONTROL_LINK_NONE	= 0,	/* module not loaded or not attached */
	CONTROL_LINK_NEW	= 1,
	CONTROL_LINK_LIVE	= 2,
	CONTROL_LINK_LOST	= 3,
	CONTROL_LINK_DEAD	= 4,
};

/** enum control_records - how the record store is */
enum control_records {
	CONTROL_RECORDS_NONE	= 0,
	CONTROL_RECORDS_UNUSED	= 1,	/* nobody has asked for it yet */
	CONTROL_RECORDS_OPEN	= 2,
	CONTROL_RECORDS_FAILED	= 3,
};

/** enum control_cache - how the cache store is */
enum control_cache {
	CONTROL_CACHE_NONE	= 0,
	CONTROL_CACHE_UNUSED	= 1,	/* nobody has asked for it yet */
	CONTROL_CACHE_OPEN	= 2,
	CONTROL_CACHE_DEGRADED	= 3,
};

/** struct control_status - the helper and its session with the module */
struct control_status {
	enum control_state state;
	enum control_link link;
	char session[CONTROL_NAME_MAX];		/* "default" */
	char reason[CONTROL_REASON_MAX];	/* why not LIVE, else "" */
	char metastore[CONTROL_NAME_MAX];	/* driver name */
	char objectstore[CONTROL_NAME_MAX];
	char data_dir[CONTROL_PATH_MAX];
	char module_version[CONTROL_VERSION_MAX];	/* "" when not loaded */
	uint32_t pid;
	uint32_t queues;
	uint64_t started;			/* seconds since 1970 */
	uint32_t zones;
	uint32_t zones_mounted;
	char recordstore[CONTROL_NAME_MAX];	/* driver name, or "none" */
	enum control_records records;
	char records_error[CONTROL_REASON_MAX];	/* the last one, also when it is over; "" */
	uint64_t records_error_at;		/* seconds since 1970 */
	char cachestore[CONTROL_NAME_MAX];	/* driver name */
	enum control_cache cache;
	char cache_error[CONTROL_REASON_MAX];	/* why it is, or was last, degraded; "" */
	uint64_t cache_error_at;		/* seconds since 1970 */
	char profile[CONTROL_NAME_MAX];		/* "none" without one */
	char degraded[CONTROL_ERR_MAX];		/* which services are not there, and why; "" */
	uint32_t bricks_missing;		/* that are on and that nothing here does */
};

/** struct control_boot - the start of the helper */
struct control_boot {
	char profile[CONTROL_NAME_MAX];
	bool running;				/* services are still being started */
	uint64_t took_us;
};

/** struct control_boot_step - a step of it; enums have the values of the wire */
struct control_boot_step {
	uint32_t stage;				/* enum boot_stage */
	uint32_t tier;				/* enum tier + 1; 0: of no service */
	uint32_t outcome;			/* enum boot_outcome */
	const char *name;
	const char *reason;			/* or "" */
	uint64_t at_us, took_us;		/* after the first began */
};

/** struct control_brick - a brick of a profile */
struct control_brick {
	const char *name;
	const char *what;			/* one line for people */
	bool on;
	uint32_t why;				/* enum brick_why, as on the wire */
	const char *by;				/* another brick, or a place, or "" */
	bool missing;				/* nothing here does it */
	const char *services;			/* those that are there, with commas */
	const char *absent;			/* and those that are not */
};

/** struct control_version - what was built */
struct control_version {
	char version[CONTROL_VERSION_MAX];	/* of the helper */
	char module_version[CONTROL_VERSION_MAX];	/* "" when not loaded */
	uint32_t abi;				/* of the channel to the module */
	uint32_t format;			/* newest on-disk format it writes */
};

/** A visitor returns 0 to go on, or a negative errno that ends the walk. */
typedef int (*control_zone_fn)(void *arg, const struct control_zone_info *info);
typedef int (*control_stat_fn)(void *arg, const struct control_stat *stat);
typedef int (*control_pack_fn)(void *arg, const struct control_pack *pack);
typedef int (*control_service_fn)(void *arg, const struct control_service *service);
typedef int (*control_quota_fn)(void *arg, const struct control_quota *quota);
typedef int (*control_boot_step_fn)(void *arg, const struct control_boot_step *step);
typedef int (*control_brick_fn)(void *arg, const struct control_brick *brick);
typedef int (*control_problem_fn)(void *arg,
				  const struct control_pack_problem *problem);

/**
 * struct control_ops - what the core does for the control socket
 * @zone_create: make a zone. @store is "" for the default (localdisk), else a
 *	store address; @opts are its further settings. Checks the name, the
 *	store and the options itself.
 * @zone_list: call @fn for every zone, sorted by name; whatever @fn returns
 *	other than 0 ends the walk and is returned.
 * @zone_info: fill @info for one zone; the caller has zeroed it.
 * @zone_upgrade: bring a zone's on-disk format up to date; may take long.
 * @pack_list: call @fn for every pack above @after, by id, as zone_list does;
 *	-ENXIO when the zone is not mounted.
 * @pack_verify: one bounded step; call @fn for everything wrong; -ENXIO likewise.
 * @pack_compact: one pack at most; -ENXIO likewise; -EOPNOTSUPP when the zone is
 *	too old for it.
 * @pack_evict: give the space of one pack's content back to the host, for it is held
 *	elsewhere; *@blocks of it; -ENXIO likewise; -EOPNOTSUPP when nothing holds any.
 * @uploads: how far the content of a zone is with what holds copies of it; @flush: look
 *	for more first, and wait a second at most; -ENXIO likewise; -EOPNOTSUPP when nothing
 *	holds any.
 * @gc: begin to look through the content store of a zone, or wait a second at most for the
 *	end and call @fn for what was found; -ENXIO likewise; -EOPNOTSUPP when there is no
 *	store; -EALREADY, -EAGAIN, -EROFS: it cannot begin; -ESRCH: there is no such job.
 * @scrub: look at the regular check of a zone, begin or end a run, and fill
 *	the struct; -ENXIO likewise, -EALREADY when there is one or none.
 * @refresh: list a directory of a mounted bucket; -ENXIO: none is mounted as @zone.
 * @quota_list: call @fn for every id of @kind from @from on, as zone_list does.
 * @quota_get: fill @quota, whose kind and id say which.
 * @quota_set: set the limits of @quota.
 * @quota_grace: set the grace times of @kind, in seconds; 0: the default.
 * @service_load: load services, all of @names or none; @caller is for the log.
 * @service_unload: unload one that nobody uses.
 * @service_swap: replace one by the build its file has now.
 * @service_list: call @fn for every service, as zone_list does; @name: only for
 *	what has that name, NULL for all. @fn must not call back.
 * @stats: call @fn for every counter of helper and module, as zone_list does.
 * @status: the helper and its session; the caller has zeroed @status.
 * @boot: fill @boot, and call @fn for every step, as zone_list does; @fn must not call back.
 * @profile: call @fn for every brick of the profile of this name, or the helper's for "",
 *	with its settings; @name_out: which that is.
 * @version: versions; the caller has zeroed @version.
 */
struct control_ops {
	int (*zone_create)(void *ctx, const char *name, const char *store,
			   const struct control_option *opts, size_t nopts,
			   struct control_err *err);
	int (*zone_list)(void *ctx, control_zone_fn fn, void *arg,
			 struct control_err *err);
	int (*zone_info)(void *ctx, const char *name,
			 struct control_zone_info *info,
			 struct control_err *err);
	int (*zone_upgrade)(void *ctx, const char *name,
			    struct control_err *err);
	int (*pack_list)(void *ctx, const char *zone, uint64_t after,
			 control_pack_fn fn, void *arg,
			 struct control_err *err);
	int (*pack_verify)(void *ctx, const char *zone,
			   struct control_verify *verify,
			   control_problem_fn fn, void *arg,
			   struct control_err *err);
	int (*pack_compact)(void *ctx, const char *zone,
			    struct control_compact *compact,
			    struct control_err *err);
	int (*pack_evict)(void *ctx, const char *zone, uint64_t pack,
			  uint64_t *blocks, struct control_err *err);
	int (*uploads)(void *ctx, const char *zone, bool flush,
		       struct control_uploads *uploads, struct control_err *err);
	int (*gc)(void *ctx, const char *zone, struct control_gc *gc,
		  control_gc_fn fn, void *arg, struct control_err *err);
	int (*scrub)(void *ctx, const char *zone, enum control_scrub_do what,
		     struct control_scrub *scrub, struct control_err *err);
	int (*refresh)(void *ctx, const char *zone, struct control_refresh *refresh,
		       struct control_err *err);
	int (*quota_list)(void *ctx, const char *zone, uint32_t kind,
			  uint32_t from, control_quota_fn fn, void *arg,
			  struct control_err *err);
	int (*quota_get)(void *ctx, const char *zone,
			 struct control_quota *quota, struct control_err *err);
	int (*quota_set)(void *ctx, const char *zone,
			 const struct control_quota *quota,
			 struct control_err *err);
	int (*quota_grace)(void *ctx, const char *zone, uint32_t kind,
			   uint64_t inodes, uint64_t blocks,
			   struct control_err *err);
	int (*service_load)(void *ctx, const char *const *names, size_t n,
			    const struct control_caller *caller,
			    struct control_err *err);
	int (*service_unload)(void *ctx, const char *name,
			      const struct control_caller *caller,
			      struct control_err *err);
	int (*service_swap)(void *ctx, const char *name,
			    const struct control_caller *caller,
			    struct control_err *err);
	int (*service_list)(void *ctx, const char *name, control_service_fn fn,
			    void *arg, struct control_err *err);
	int (*stats)(void *ctx, control_stat_fn fn, void *arg,
		     struct control_err *err);
	int (*status)(void *ctx, struct control_status *status,
		      struct control_err *err);
	int (*boot)(void *ctx, struct control_boot *boot, control_boot_step_fn fn,
		    void *arg, struct control_err *err);
	int (*profile)(void *ctx, const char *name, char name_out[CONTROL_NAME_MAX],
		       control_brick_fn fn, void *arg, struct control_err *err);
	int (*version)(void *ctx, struct control_version *version,
		       struct control_err *err);
};

/**
 * control_services() - the dispatch table of the control socket
 * @ops: the core's functions; must outlive the table
 * @ctx: first argument of each of them
 *
 * Return: an array for rpc_server_new(), ended by an entry without a name;
 * NULL without memory. Free with control_services_free().
 */
const struct rpc_service *control_services(const struct control_ops *ops,
					   void *ctx);

/**
 * control_services_free() - free what control_services() returned
 * @services: the table, or NULL; no server may use it any more
 */
void control_services_free(const struct rpc_service *services);

#endif /* NEXUSD_RPC_CONTROL_H */
