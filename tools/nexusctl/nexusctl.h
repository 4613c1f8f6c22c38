/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of nexusctl: what its commands share. */
#ifndef NEXUSCTL_H
#define NEXUSCTL_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include <nexus/nexus.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_WRONG = 3 };

#define OPTIONS_MAX	32
#define FILTERS_MAX	16	/* NEXUS_EVENT_PATTERNS_MAX */

/** struct ctl - one run of nexusctl */
struct ctl {
	struct nexus_client *client;
	const char *socket;		/* NULL: the default */
	const char *endpoint;		/* of gRPC instead, or NULL */
	const char *late_endpoint;	/* the same, or a store's: behind the command */
	const char *ca, *cert, *key;	/* files, of gRPC over TCP */
	bool json;
	bool prometheus;
	bool all;
	const char *store;
	const char *data_dir;		/* of zones looked at without the helper */
	const char *config;
	const char *wait;		/* seconds, for a zone just unmounted */
	bool take_over;			/* zone restore */
	bool unfenced;
	bool dry_run;			/* gc */
	bool really;
	bool cached;			/* du */
	bool lazy;			/* mount detach */
	bool quota_given;		/* whose */
	enum nexus_quota_kind quota_kind;
	const char *quota_id;		/* name or number; NULL: the zone's */
	char *quota_blocks;		/* limits as given, or NULL */
	char *quota_inodes;
	const char *quota_grace;
	bool shared;			/* lock */
	bool exclusive;
	const char *timeout;		/* seconds as given, or NULL */
	const char *lease_name;		/* lease, as given, or NULL */
	const char *lease_id;
	const char *lease_ttl;
	const char *lease_holders;
	const char *lease_limit;	/* how many to list */
	const char *capacity;		/* of a ring, as given, or NULL */
	const char *mode;
	bool recursive;
	const char *max_bytes;		/* of a stream, as given, or NULL */
	const char *max_age;
	const char *from;
	bool persist;
	bool follow;
	const char *filters[FILTERS_MAX];	/* of events */
	size_t n_filters;
	const char *count;		/* of events, as given, or NULL */
	const char *data;		/* of an event; "-": standard input */
	bool durable;
	bool raw;
	const char *condition;		/* rebac, as given, or NULL */
	const char *at_least;
	const char *after;
	const char *owner;		/* of agents, tasks and views, as given, or NULL */
	const char *in_state;		/* of those in a list */
	const char *generation;
	const char *priority;		/* of a task, as given, or NULL; and so the next four */
	const char *executor;
	const char *once;
	const char *deadline;
	const char *service;
	struct nexus_option facts[OPTIONS_MAX];
	size_t n_facts;
	struct nexus_option options[OPTIONS_MAX];
	size_t n_options;
	char **args;			/* after the words of the command */
	int n_args;
};

/* main.c */

/** ctl_open() - connect to the helper, as the options say; nexus_connect() */
int ctl_open(struct ctl *ctl);

/**
 * ctl_connect() - connect to the helper, or say on stderr why not
 * @ctl: the run
 *
 * Return: EXIT_OK or EXIT_FAILED.
 */
int ctl_connect(struct ctl *ctl);

/**
 * ctl_failed() - print the client's error on stderr
 * @ctl: the run
 *
 * Return: EXIT_FAILED.
 */
int ctl_failed(const struct ctl *ctl);

/* json.c */

/** struct json - a JSON text on its way to a stream, indented */
struct json {
	FILE *out;
	int depth;
	bool first;
};

/** json_open() - begin an object '{' or array '[', with a key inside objects */
void json_open(struct json *json, const char *key, char bracket);

/** json_close() - end it; a newline follows the outermost */
void json_close(struct json *json, char bracket);

/** json_string() - a string; NULL is null */
void json_string(struct json *json, const char *key, const char *value);

/** json_number() - a number */
void json_number(struct json *json, const char *key, uint64_t value);

/** json_bool() - true or false */
void json_bool(struct json *json, const char *key, bool value);

/** struct number - one of what a service counts: its name as data, and in words */
struct number {
	const char *name;
	uint64_t value;
	const char *words;
};

/** print_numbers() - a line each, or as JSON */
void print_numbers(const struct ctl *ctl, const struct number *numbers, size_t n);

/* time.c */

/** local_time() - seconds since 1970 as local time, 0 as "never" */
void local_time(char text[32], uint64_t s);

/* du.c */

/** on_nexusfs() - whether what is at @path is on a nexusfs */
bool on_nexusfs(const char *path);

/* warm.c */

/** content_error() - what a negative errno of a file of a nexusfs says to people */
const char *content_error(int err);

/* open.c */

/**
 * open_plain() - open a file or a directory, and nothing else
 * @path: what is to be opened
 * @flags: of open(2); O_NONBLOCK and O_NOCTTY are added
 *
 * To open a FIFO would let those through who wait for the other side of it.
 *
 * Return: a descriptor or a negative errno; -ENOTTY of a FIFO, socket or device.
 */
int open_plain(const char *path, int flags);

/* pipe.c */

/** base64() - @len bytes as text, in room for @len / 3 * 4 + 5 */
void base64(const unsigned char *data, size_t len, char *text);

/* number.c: what is said on the command line; false: it is no such number. */
/** parse_number() - digits alone, from @min to @max */
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *n);
/**
 * parse_units() - digits, and what they are counted in: one of the letters @units or none
 * @factors: of each unit
 * @max: of *@n, which is the product
 */
bool parse_units(const char *text, const char *units, const uint64_t *factors,
		 uint64_t max, uint64_t *n);
/** parse_mode() - an octal number up to 7777 */
bool parse_mode(const char *text, mode_t *mode);
/**
 * parse_timeout() - seconds, with up to three digits behind a dot that count
 * @text: NULL: without end, NEXUS_LOCK_FOREVER and NEXUS_LEASE_FOREVER
 */
bool parse_timeout(const char *text, int64_t *ms);

/* module.c */

/** struct module_info - what this machine says about nexusfs.ko */
struct module_info {
	bool loaded;
	char version[64];
	char state[16];			/* Live, Loading, Unloading */
	unsigned long users;		/* reference count */
};

/** module_read() - from /proc/modules and /sys/module/nexusfs */
void module_read(struct module_info *info);

/* the commands; each returns an exit code */
int cmd_status(struct ctl *ctl);
int cmd_version(struct ctl *ctl);
int cmd_stats(struct ctl *ctl);
int cmd_boot(struct ctl *ctl);
int cmd_agent_add(struct ctl *ctl);
int cmd_agent_beat(struct ctl *ctl);
int cmd_agent_get(struct ctl *ctl);
int cmd_agent_list(struct ctl *ctl);
int cmd_agent_remove(struct ctl *ctl);
int cmd_agent_set(struct ctl *ctl);
int cmd_agent_state(struct ctl *ctl);
int cmd_dump(struct ctl *ctl);
int cmd_load(struct ctl *ctl);
int cmd_events_publish(struct ctl *ctl);
int cmd_events_replay(struct ctl *ctl);
int cmd_events_state(struct ctl *ctl);
int cmd_cache_get(struct ctl *ctl);
int cmd_cache_set(struct ctl *ctl);
int cmd_cache_delete(struct ctl *ctl);
int cmd_cache_clear(struct ctl *ctl);
int cmd_cache_state(struct ctl *ctl);
int cmd_events_tail(struct ctl *ctl);
int cmd_events_truncate(struct ctl *ctl);
int cmd_lease_acquire(struct ctl *ctl);
int cmd_lease_break(struct ctl *ctl);
int cmd_lease_check(struct ctl *ctl);
int cmd_lease_extend(struct ctl *ctl);
int cmd_lease_info(struct ctl *ctl);
int cmd_lease_list(struct ctl *ctl);
int cmd_lease_release(struct ctl *ctl);
int cmd_lease_run(struct ctl *ctl);
int cmd_lock(struct ctl *ctl);
int cmd_mount_attach(struct ctl *ctl);
int cmd_mount_detach(struct ctl *ctl);
int cmd_mount_list(struct ctl *ctl);
int cmd_mount_save(struct ctl *ctl);
int cmd_namespace_check(struct ctl *ctl);
int cmd_namespace_explain(struct ctl *ctl);
int cmd_namespace_filter(struct ctl *ctl);
int cmd_namespace_list(struct ctl *ctl);
int cmd_namespace_state(struct ctl *ctl);
int cmd_pack_compact(struct ctl *ctl);
int cmd_pack_evict(struct ctl *ctl);
int cmd_pack_list(struct ctl *ctl);
int cmd_pack_verify(struct ctl *ctl);
int cmd_pipe_create(struct ctl *ctl);
int cmd_pipe_list(struct ctl *ctl);
int cmd_pipe_stat(struct ctl *ctl);
int cmd_pipe_peek(struct ctl *ctl);
int cmd_pipe_close(struct ctl *ctl);
int cmd_pipe_send(struct ctl *ctl);
int cmd_pipe_recv(struct ctl *ctl);
int cmd_profile_show(struct ctl *ctl);
int cmd_quota_list(struct ctl *ctl);
int cmd_quota_get(struct ctl *ctl);
int cmd_quota_set(struct ctl *ctl);
int cmd_quota_clear(struct ctl *ctl);
int cmd_refresh(struct ctl *ctl);
int cmd_scrub_start(struct ctl *ctl);
int cmd_scrub_status(struct ctl *ctl);
int cmd_scrub_stop(struct ctl *ctl);
int cmd_upload_status(struct ctl *ctl);
int cmd_du(struct ctl *ctl);
int cmd_warm(struct ctl *ctl);
int cmd_gc(struct ctl *ctl);
/* An object of what is known of a zone's content; how much is here, in words. */
void uploads_json(struct json *json, const char *key, const char *zone,
		  const struct nexus_uploads *u);
void uploads_cache_text(const struct nexus_uploads *u);
int cmd_flush(struct ctl *ctl);
int cmd_rebac_check(struct ctl *ctl);
int cmd_rebac_delete(struct ctl *ctl);
int cmd_rebac_expand(struct ctl *ctl);
int cmd_rebac_explain(struct ctl *ctl);
int cmd_rebac_list(struct ctl *ctl);
int cmd_rebac_policy(struct ctl *ctl);
int cmd_rebac_state(struct ctl *ctl);
int cmd_rebac_write(struct ctl *ctl);
int cmd_sched_cancel(struct ctl *ctl);
int cmd_sched_claim(struct ctl *ctl);
int cmd_sched_done(struct ctl *ctl);
int cmd_sched_fail(struct ctl *ctl);
int cmd_sched_get(struct ctl *ctl);
int cmd_sched_list(struct ctl *ctl);
int cmd_sched_renew(struct ctl *ctl);
int cmd_sched_state(struct ctl *ctl);
int cmd_sched_submit(struct ctl *ctl);
int cmd_service_graph(struct ctl *ctl);
int cmd_service_info(struct ctl *ctl);
int cmd_service_list(struct ctl *ctl);
int cmd_service_load(struct ctl *ctl);
int cmd_service_swap(struct ctl *ctl);
int cmd_service_unload(struct ctl *ctl);
int cmd_stream_append(struct ctl *ctl);
int cmd_stream_create(struct ctl *ctl);
int cmd_stream_stat(struct ctl *ctl);
int cmd_stream_tail(struct ctl *ctl);
int cmd_stream_trim(struct ctl *ctl);
int cmd_zone_create(struct ctl *ctl);
int cmd_zone_list(struct ctl *ctl);
int cmd_zone_info(struct ctl *ctl);
int cmd_zone_upgrade(struct ctl *ctl);
int cmd_zone_restore(struct ctl *ctl);

#endif /* NEXUSCTL_H */
