/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the helper: defaults, then the file, then the environment, then
 * the command line.  Nothing changes after the start.
 */
#ifndef NEXUSD_CONFIG_H
#define NEXUSD_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/nexusfs.h>
#include <nexus/metastore.h>
#include <nexus/objectstore.h>

#include "log.h"
#include "profile.h"

#define CONFIG_PATH	"/etc/nexusfs/nexusd.yaml"

struct config {
	enum profile profile;
	struct brick_wishes bricks;
	struct brick_set set;		/* what comes of both: config_check() */
	char session[NEXUS_SESSION_NAME_MAX + 1];
	char data_dir[PATH_MAX];
	char socket[108];
	char group[64];
	char device[PATH_MAX];
	const struct nexus_ms_driver *metastore;
	const struct nexus_os_driver *objectstore;
	enum log_level log_level;
	__u32 queues;		/* 0: one a CPU */
	__s32 poll_us;		/* -1: by the number of CPUs */
	__u64 map_size;
	__u64 memtable_limit;
	__u64 fold_size;
	__u32 fold_age;		/* seconds */
	__u64 segment_size;		/* of new zones */
	__u64 pack_size;		/* of new zones */
	__u32 segments;		/* handed over at mount */
	__u32 scrub_interval;	/* seconds between the begins of two runs, 0: never */
	__u64 scrub_rate;	/* bytes a second */
	char content[PATH_MAX];		/* "none", or DRIVER:WHERE */
	__u32 upload_delay;		/* seconds a sealed pack may be here alone */
	__u32 upload_parallel;		/* packs of a zone put at once */
	__u64 cache_limit;		/* bytes of a zone's content kept here; 0: any */
	char cache_free[32];		/* of the host, bytes or percent: evictor_floor() */
	__u64 fetch_limit;		/* bytes of a zone in flight */
	__u64 fetch_ahead;		/* bytes, of who reads on */
	char buckets[1024];		/* "s3[;KEY=VALUE]...", of what is mounted by s3://; or test:DIR */
	__u32 bucket_ttl;		/* seconds what was listed of one is believed */
	__u64 bucket_cache;		/* bytes of one's objects kept here; 0: any */
	__u32 checkpoint_interval;	/* seconds between two; 0: none, and no log */
	__u32 log_upload_delay;		/* seconds between two stretches of the log */
	__u32 origin_timeout;		/* seconds without anything going to the store until fsync fails */
	__u32 gc_grace;			/* seconds an object stays that nothing names */
	bool content_unfenced;		/* also without conditional writes */
	__u64 compact_rate;		/* bytes a second; 0: nothing unless asked for */
	const char *cachestore;		/* driver */
	char cachestore_at[1024];
	uint64_t cachestore_size;
	uint32_t cachestore_entries;
	const char *recordstore;	/* driver, or "none" */
	char recordstore_at[PATH_MAX];	/* may hold a password: never shown */
	char drivers_dir[PATH_MAX];	/* objects of drivers, a folder for each kind */
	char services_dir[PATH_MAX];	/* objects of services */
	char grpc_socket[108];		/* service rpc_grpc; "none": no socket */
	char grpc_listen[128];		/* HOST:PORT of TCP, or "" */
	char grpc_cert[PATH_MAX];
	char grpc_key[PATH_MAX];
	char grpc_ca[PATH_MAX];		/* of whoever may connect over TCP */
	char grpc_names[PATH_MAX];	/* of certificates, who they are; or "" */
	uint32_t grpc_connections;
	uint32_t grpc_timeout;		/* seconds */
	__u32 service_timeout;		/* seconds a call into one may take */
	bool service_quarantine;	/* of those that take longer */
	__u64 eventlog_max_bytes;	/* of service eventlog; 0: any */
	__u32 eventlog_max_age;		/* likewise, seconds */
	__u32 event_bus_group;		/* of service event_bus: who shares events; 0: nobody */
	__u32 mount_timeout;		/* seconds; of service mount */
	__u64 namespace_cache;		/* bytes; of service namespace */
	__u64 permissions_cache;	/* bytes; of service permissions */
	bool permissions_closure;	/* likewise */
	bool permissions_share;		/* likewise: with other helpers of the record store */
	bool allow_any_host;
	bool lock_memory;
	__u64 given[2];		/* a bit for each setting that somebody set */
};

void config_defaults(struct config *cfg);
/*
 * Reads a file.  Errors name file and line.  A missing file is -ENOENT without
 * a line.
 */
int config_file(struct config *cfg, const char *path, struct errline *err);
/* The same of a text; @path is what errors call it. */
int config_text(struct config *cfg, const char *text, size_t len, const char *path,
		struct errline *err);
/* NEXUS_KEY variables. */
int config_env(struct config *cfg, struct errline *err);
/* One setting by name; @where goes in front of an error's text. */
int config_set(struct config *cfg, const char *key, const char *value,
	       const char *where, struct errline *err);
/* A size, number or truth value by its key; -ENOENT: there is no such key. */
int config_number(const struct config *cfg, const char *key, __u64 *value);
/* What only can be checked when everything is known; sets what depends on it. */
int config_check(struct config *cfg, struct errline *err);
/*
 * A setting that services in front of the helper may know, by name (struct nexus_front):
 * text, or NULL and *@number.
 */
const char *config_front(const struct config *cfg, const char *name, uint32_t *number);

/* The driver that a word stands for, or NULL. */
const char *config_cachestore(const char *name);
const char *config_recordstore(const char *name);
const struct nexus_ms_driver *config_metastore(const char *name);
const struct nexus_os_driver *config_objectstore(const char *name);
/* "64M", "1G", "4096". */
int config_parse_size(const char *text, __u64 *value);

#endif /* NEXUSD_CONFIG_H */
