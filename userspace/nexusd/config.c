// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/format.h>

#include "content.h"
#include "evictor.h"
#include "lib/key.h"
#include "lib/port.h"

enum kind {
	KIND_STRING,
	KIND_SIZE,
	KIND_UINT,
	KIND_INT,
	KIND_BOOL,
	KIND_LEVEL,
	KIND_METASTORE,
	KIND_OBJECTSTORE,
	KIND_RECORDSTORE,
	KIND_PROFILE,
	KIND_BRICKS,
	KIND_CACHESTORE,
};

struct setting {
	const char *key;
	enum kind kind;
	size_t offset;
	u64 min;		/* numbers; strings: shortest */
	u64 max;		/* numbers; strings: size of the buffer */
};

#define F(field)	offsetof(struct config, field)
#define S(field)	sizeof(((struct config *)NULL)->field)

static const struct setting settings[] = {
	{ "profile",		KIND_PROFILE,	F(profile), 0, 0 },
	{ "bricks",		KIND_BRICKS,	F(bricks), 0, 0 },
	{ "session",		KIND_STRING,	F(session), 1, S(session) },
	{ "data_dir",		KIND_STRING,	F(data_dir), 1, S(data_dir) },
	{ "socket",		KIND_STRING,	F(socket), 1, S(socket) },
	{ "group",		KIND_STRING,	F(group), 1, S(group) },
	{ "device",		KIND_STRING,	F(device), 1, S(device) },
	{ "metastore",		KIND_METASTORE,	F(metastore), 0, 0 },
	{ "objectstore",	KIND_OBJECTSTORE, F(objectstore), 0, 0 },
	{ "log_level",		KIND_LEVEL,	F(log_level), 0, 0 },
	{ "queues",		KIND_UINT,	F(queues), 0, NEXUS_QUEUES_MAX },
	{ "poll_us",		KIND_INT,	F(poll_us), 0, 1000000 },
	{ "map_size",		KIND_SIZE,	F(map_size), 1u << 20, 1ull << 46 },
	{ "memtable_limit",	KIND_SIZE,	F(memtable_limit), 1u << 20, 1ull << 40 },
	{ "fold_size",		KIND_SIZE,	F(fold_size), 64u << 10, 1ull << 40 },
	{ "fold_age",		KIND_UINT,	F(fold_age), 1, 3600 },
	{ "segment_size",	KIND_SIZE,	F(segment_size), 2u << 20, 1u << 30 },
	{ "pack_size",		KIND_SIZE,	F(pack_size), 1u << 20, 2ull << 30 },
	{ "segments",		KIND_UINT,	F(segments), 2, 64 },
	{ "scrub_interval",	KIND_UINT,	F(scrub_interval), 0, 315360000 },
	{ "scrub_rate",		KIND_SIZE,	F(scrub_rate), 64u << 10, 1ull << 40 },
	{ "compact_rate",	KIND_SIZE,	F(compact_rate), 0, 1ull << 40 },
	{ "content",		KIND_STRING,	F(content), 1, S(content) },
	{ "upload_delay",	KIND_UINT,	F(upload_delay), 1, 3600 },
	{ "upload_parallel",	KIND_UINT,	F(upload_parallel), 1, 16 },
	{ "cache_limit",	KIND_SIZE,	F(cache_limit), 0, 1ull << 50 },
	{ "cache_free",		KIND_STRING,	F(cache_free), 1, S(cache_free) },
	{ "fetch_limit",	KIND_SIZE,	F(fetch_limit), 1u << 20, 1ull << 40 },
	{ "fetch_ahead",	KIND_SIZE,	F(fetch_ahead), 0, 1ull << 30 },
	{ "buckets",		KIND_STRING,	F(buckets), 1, S(buckets) },
	{ "bucket_ttl",		KIND_UINT,	F(bucket_ttl), 1, 86400 },
	{ "bucket_cache",	KIND_SIZE,	F(bucket_cache), 0, 1ull << 50 },
	{ "checkpoint_interval", KIND_UINT,	F(checkpoint_interval), 0, 2592000 },
	{ "log_upload_delay",	KIND_UINT,	F(log_upload_delay), 0, 3600 },
	{ "origin_timeout",	KIND_UINT,	F(origin_timeout), 1, 86400 },
	{ "gc_grace",		KIND_UINT,	F(gc_grace), 0, 315360000 },
	{ "content_unfenced",	KIND_BOOL,	F(content_unfenced), 0, 0 },
	{ "recordstore",	KIND_RECORDSTORE, F(recordstore), 0, 0 },
	{ "recordstore_at",	KIND_STRING,	F(recordstore_at), 1, S(recordstore_at) },
	{ "cachestore",	KIND_CACHESTORE, F(cachestore), 0, 0 },
	{ "cachestore_at",	KIND_STRING,	F(cachestore_at), 1, S(cachestore_at) },
	{ "cachestore_size",	KIND_SIZE,	F(cachestore_size), 2u << 20, 1ull << 40 },
	{ "cachestore_entries",	KIND_UINT,	F(cachestore_entries), 1, 1000000000 },
	{ "drivers_dir",	KIND_STRING,	F(drivers_dir), 1, S(drivers_dir) },
	{ "services_dir",	KIND_STRING,	F(services_dir), 1, S(services_dir) },
	{ "service_timeout",	KIND_UINT,	F(service_timeout), 1, 3600 },
	{ "service_quarantine",	KIND_BOOL,	F(service_quarantine), 0, 0 },
	{ "eventlog_max_bytes",	KIND_SIZE,	F(eventlog_max_bytes), 0, 1ull << 50 },
	{ "eventlog_max_age",	KIND_UINT,	F(eventlog_max_age), 0, 3153600000u },
	{ "event_bus_group",	KIND_UINT,	F(event_bus_group), 0, UINT32_MAX },
	{ "mount_timeout",	KIND_UINT,	F(mount_timeout), 1, 3600 },
	{ "namespace_cache",	KIND_SIZE,	F(namespace_cache), 0, 1ull << 40 },
	{ "permissions_cache",	KIND_SIZE,	F(permissions_cache), 0, 1ull << 40 },
	{ "permissions_closure", KIND_BOOL,	F(permissions_closure), 0, 0 },
	{ "permissions_share",	KIND_BOOL,	F(permissions_share), 0, 0 },
	{ "grpc_socket",	KIND_STRING,	F(grpc_socket), 1, S(grpc_socket) },
	{ "grpc_listen",	KIND_STRING,	F(grpc_listen), 0, S(grpc_listen) },
	{ "grpc_cert",		KIND_STRING,	F(grpc_cert), 0, S(grpc_cert) },
	{ "grpc_key",		KIND_STRING,	F(grpc_key), 0, S(grpc_key) },
	{ "grpc_ca",		KIND_STRING,	F(grpc_ca), 0, S(grpc_ca) },
	{ "grpc_names",		KIND_STRING,	F(grpc_names), 0, S(grpc_names) },
	{ "grpc_connections",	KIND_UINT,	F(grpc_connections), 1, 65536 },
	{ "grpc_timeout",	KIND_UINT,	F(grpc_timeout), 1, 3600 },
	{ "allow_any_host",	KIND_BOOL,	F(allow_any_host), 0, 0 },
	{ "lock_memory",	KIND_BOOL,	F(lock_memory), 0, 0 },
};

#define NSETTINGS	(sizeof(settings) / sizeof(settings[0]))

_Static_assert(NSETTINGS <= 64 * sizeof(((struct config *)NULL)->given) / sizeof(__u64),
	       "a bit each in config.given");

void config_defaults(struct config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	strcpy(cfg->session, "default");
	strcpy(cfg->data_dir, "/var/lib/nexusfs");
	strcpy(cfg->socket, "/run/nexusfs/nexusd.sock");
	strcpy(cfg->group, "nexusfs");
	strcpy(cfg->device, "/dev/" NEXUS_DEVICE_NAME);
	cfg->metastore = nexus_ms_drivers[0];
	cfg->objectstore = nexus_os_drivers[0];
	cfg->log_level = LOG_L_INFO;
	cfg->poll_us = -1;
	cfg->map_size = 1ull << 30;
	cfg->memtable_limit = 256u << 20;
	cfg->fold_size = 32u << 20;
	cfg->fold_age = 5;
	cfg->segment_size = NEXUS_SEGMENT_SIZE;
	cfg->pack_size = NEXUS_PACK_SIZE;
	cfg->segments = 3;
	cfg->scrub_interval = 30 * 86400;
	cfg->scrub_rate = 16u << 20;
	cfg->compact_rate = 32u << 20;
	strcpy(cfg->content, "none");
	strcpy(cfg->cache_free, "0");
	cfg->recordstore = config_recordstore("sqlite");
	cfg->cachestore = config_cachestore("null");
	cfg->cachestore_size = 64u << 20;
	cfg->cachestore_entries = 100000;
	strcpy(cfg->drivers_dir, NEXUS_DRIVERS_DIR);
	strcpy(cfg->services_dir, NEXUS_SERVICES_DIR);
	cfg->service_timeout = 10;
	cfg->service_quarantine = true;
	cfg->event_bus_group = 1;
	cfg->mount_timeout = 8;
	cfg->namespace_cache = 16u << 20;
	cfg->permissions_cache = 32u << 20;
	cfg->permissions_closure = true;
	strcpy(cfg->grpc_socket, "/run/nexusfs/grpc.sock");
	cfg->grpc_connections = 4096;
	cfg->grpc_timeout = 30;
	cfg->upload_delay = 5;
	cfg->upload_parallel = 2;
	cfg->fetch_limit = 64u << 20;
	cfg->fetch_ahead = 32u << 20;
	strcpy(cfg->buckets, "s3");
	cfg->bucket_ttl = 60;
	cfg->bucket_cache = 1u << 30;
	cfg->checkpoint_interval = 300;
	cfg->log_upload_delay = 5;
	cfg->origin_timeout = 60;
	cfg->gc_grace = 86400;
}

const struct nexus_ms_driver *config_metastore(const char *name)
{
	const struct nexus_ms_driver *const *d;

	for (d = nexus_ms_drivers; *d; d++)
		if (!strcmp((*d)->name, name))
			return *d;
	return NULL;
}

const struct nexus_os_driver *config_objectstore(const char *name)
{
	const struct nexus_os_driver *const *d;

	for (d = nexus_os_drivers; *d; d++)
		if (!strcmp((*d)->name, name))
			return *d;
	return NULL;
}

const char *config_cachestore(const char *name)
{
	static const char *const drivers[] = { "null", "mem", "redis" };
	size_t i;

	for (i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(name, drivers[i]))
			return drivers[i];
	return NULL;
}

const char *config_recordstore(const char *name)
{
	static const struct {
		const char *word, *driver;
	} drivers[] = {
		{ "sqlite", "sqlite" },
		{ "postgres", "postgres" },
		{ "postgresql", "postgres" },
		{ "none", "none" },
	};
	size_t i;

	for (i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(drivers[i].word, name))
			return drivers[i].driver;
	return NULL;
}

static int parse_number(const char *text, u64 *value, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return errno ? -ERANGE : 0;
}

int config_parse_size(const char *text, u64 *value)
{
	static const char units[] = "KMGT";
	const char *rest, *unit;
	unsigned int shift = 0;
	int ret;

	ret = parse_number(text, value, &rest);
	if (ret)
		return ret;
	if (*rest) {
		unit = strchr(units, toupper((unsigned char)*rest));
		if (!unit)
			return -EINVAL;
		shift = 10 * ((unsigned int)(unit - units) + 1);
		rest++;
		if (rest[0] == 'i' && rest[1] == 'B')
			rest += 2;
		if (*rest)
			return -EINVAL;
	}
	if (*value > UINT64_MAX >> shift)
		return -ERANGE;
	*value <<= shift;
	return 0;
}

static int parse_bool(const char *text, bool *value)
{
	if (!strcmp(text, "true") || !strcmp(text, "yes") || !strcmp(text, "1"))
		*value = true;
	else if (!strcmp(text, "false") || !strcmp(text, "no") || !strcmp(text, "0"))
		*value = false;
	else
		return -EINVAL;
	return 0;
}

static int bad_value(const struct setting *s, const char *value, const char *where,
		     struct errline *err)
{
	switch (s->kind) {
	case KIND_METASTORE:
		return err_set(err, -EINVAL,
			       "%s: there is no metastore driver \"%s\"; there are: lmdb, mem",
			       where, value);
	case KIND_OBJECTSTORE:
		return err_set(err, -EINVAL,
			       "%s: there is no objectstore driver \"%s\"; there are: localdisk, mem",
			       where, value);
	case KIND_RECORDSTORE:
		return err_set(err, -EINVAL,
			       "%s: there is no recordstore driver \"%s\"; there are: sqlite, postgres, none",
			       where, value);
	case KIND_CACHESTORE:
		return err_set(err, -EINVAL,
			       "%s: there is no cachestore driver \"%s\"; there are: null, mem, redis",
			       where, value);
	case KIND_LEVEL:
		return err_set(err, -EINVAL,
			       "%s: log_level is \"%s\"; it can be error, warning, info or debug",
			       where, value);
	case KIND_BOOL:
		return err_set(err, -EINVAL, "%s: %s is \"%s\"; it can be true or false",
			       where, s->key, value);
	case KIND_STRING:
		return err_set(err, -EINVAL, "%s: %s must have %llu to %llu characters",
			       where, s->key, (unsigned long long)s->min,
			       (unsigned long long)s->max - 1);
	default:
		return err_set(err, -EINVAL,
			       "%s: %s is \"%s\"; it must be a number from %llu to %llu%s",
			       where, s->key, value, (unsigned long long)s->min,
			       (unsigned long long)s->max,
			       s->kind == KIND_SIZE ? " (K, M, G are understood)" : "");
	}
}

static int set_number(struct config *cfg, const struct setting *s, const char *value)
{
	void *field = (char *)cfg + s->offset;
	const char *rest = "";
	u64 v;
	int ret;

	if (s->kind == KIND_SIZE)
		ret = config_parse_size(value, &v);
	else
		ret = parse_number(value, &v, &rest);
	if (ret || *rest || v < s->min || v > s->max)
		return -EINVAL;
	if (s->kind == KIND_SIZE)
		*(u64 *)field = v;
	else if (s->kind == KIND_UINT)
		*(u32 *)field = (u32)v;
	else
		*(int32_t *)field = (int32_t)v;
	return 0;
}

static int set_value(struct config *cfg, const struct setting *s, const char *value)
{
	void *field = (char *)cfg + s->offset;
	int level;

	switch (s->kind) {
	case KIND_STRING:
		if (strlen(value) < s->min || strlen(value) >= s->max)
			return -EINVAL;
		memcpy(field, value, strlen(value) + 1);
		return 0;
	case KIND_BOOL:
		return parse_bool(value, field);
	case KIND_LEVEL:
		level = log_level_parse(value);
		if (level < 0)
			return -EINVAL;
		cfg->log_level = (enum log_level)level;
		return 0;
	case KIND_METASTORE:
		if (!config_metastore(value))
			return -EINVAL;
		cfg->metastore = config_metastore(value);
		return 0;
	case KIND_OBJECTSTORE:
		if (!config_objectstore(value))
			return -EINVAL;
		cfg->objectstore = config_objectstore(value);
		return 0;
	case KIND_CACHESTORE:
		if (!config_cachestore(value))
			return -EINVAL;
		cfg->cachestore = config_cachestore(value);
		return 0;
	case KIND_RECORDSTORE:
		if (!config_recordstore(value))
			return -EINVAL;
		cfg->recordstore = config_recordstore(value);
		return 0;
	default:
		return set_number(cfg, s, value);
	}
}

/* What else a value that was just set has to be; NULL when it is. */
static const char *broken_rule(const struct config *cfg, const struct setting *s)
{
	u64 unused;

	switch (s->offset) {
	case F(session):
		return nexus_label_ok(cfg->session, strlen(cfg->session)) ? NULL :
			"must have 1 to 63 of a-z 0-9 -, not beginning with -";
	case F(data_dir):
		return cfg->data_dir[0] == '/' ? NULL : "must begin with /";
	case F(drivers_dir):
		return cfg->drivers_dir[0] == '/' ? NULL : "must begin with /";
	case F(services_dir):
		return cfg->services_dir[0] == '/' ? NULL : "must begin with /";
	case F(content):
		return content_spec_ok(cfg->content) ? NULL :
			"must be none, s3://BUCKET/PREFIX, or test:/DIRECTORY for tests";
	case F(buckets):
		return !strcmp(cfg->buckets, "s3") || !strncmp(cfg->buckets, "s3;", 3) ||
		       !strncmp(cfg->buckets, "test:/", 6) ? NULL :
			"must be s3 or s3;KEY=VALUE..., or test:/DIRECTORY for tests";
	case F(bucket_cache):
		return cfg->bucket_cache && cfg->bucket_cache < 512u << 20 ?
			"must be 0 or at least 512M" : NULL;
	case F(cache_free):
		return evictor_floor(cfg->cache_free, 0, &unused) ?
			"must be a size, or 0% to 90%" : NULL;
	case F(segment_size):
		return cfg->segment_size % NEXUS_BLOCK_SIZE ? "must be a multiple of 4096" : NULL;
	case F(pack_size):
		return cfg->pack_size % NEXUS_BLOCK_SIZE ? "must be a multiple of 4096" : NULL;
	default:
		return NULL;
	}
}

int config_set(struct config *cfg, const char *key, const char *value,
	       const char *where, struct errline *err)
{
	const char *rule;
	size_t i;

	for (i = 0; i < NSETTINGS; i++) {
		if (strcmp(settings[i].key, key))
			continue;
		cfg->given[i / 64] |= 1ull << i % 64;
		/* These have words of their own. */
		if (settings[i].kind == KIND_PROFILE)
			return profile_find(value, where, &cfg->profile, err);
		if (settings[i].kind == KIND_BRICKS)
			return brick_wishes_parse(&cfg->bricks, value, where, err);
		if (set_value(cfg, &settings[i], value))
			return bad_value(&settings[i], value, where, err);
		rule = broken_rule(cfg, &settings[i]);
		return rule ? err_set(err, -EINVAL, "%s: %s is \"%s\"; it %s", where, key, value,
				      rule) : 0;
	}
	return err_set(err, -EINVAL, "%s: there is no setting \"%s\"", where, key);
}

static const struct setting *find_setting(const char *key)
{
	const struct setting *s;

	for (s = settings; s < settings + NSETTINGS; s++)
		if (!strcmp(s->key, key))
			return s;
	return NULL;
}

int config_number(const struct config *cfg, const char *key, __u64 *value)
{
	const struct setting *s = find_setting(key);
	const void *field = s ? (const char *)cfg + s->offset : NULL;

	switch (s ? s->kind : KIND_STRING) {
	case KIND_SIZE:
		*value = *(const u64 *)field;
		return 0;
	case KIND_UINT:
		*value = *(const u32 *)field;
		return 0;
	case KIND_BOOL:
		*value = *(const bool *)field;
		return 0;
	default:
		return -ENOENT;
	}
}

static bool for_fronts(const char *key)
{
	return !strncmp(key, "grpc_", 5) || !strcmp(key, "group") || !strcmp(key, "service_timeout");
}

const char *config_front(const struct config *cfg, const char *name, uint32_t *number)
{
	const struct setting *s = for_fronts(name) ? find_setting(name) : NULL;
	__u64 value;

	*number = 0;
	if (!s)
		return NULL;
	if (s->kind == KIND_STRING)
		return (const char *)cfg + s->offset;
	if (!config_number(cfg, name, &value))
		*number = (uint32_t)value;
	return NULL;
}

int config_env(struct config *cfg, struct errline *err)
{
	char name[64];
	size_t i, j;

	for (i = 0; i < NSETTINGS; i++) {
		const char *value;

		snprintf(name, sizeof(name), "NEXUS_%s", settings[i].key);
		for (j = 6; name[j]; j++)
			name[j] = (char)toupper((unsigned char)name[j]);
		value = getenv(name);
		if (value && config_set(cfg, settings[i].key, value, name, err))
			return -EINVAL;
	}
	return 0;
}

/* What is wrong is not shown: it may be meant for another driver, and hold a password. */
static int check_recordstore(struct config *cfg, struct errline *err)
{
	const char *at = cfg->recordstore_at, *part;

	if (!strcmp(cfg->recordstore, "postgres"))
		return at[0] ? 0 :
			err_set(err, -EINVAL, "recordstore postgres needs a connection string in recordstore_at");
	if (strcmp(cfg->recordstore, "sqlite"))
		return 0;
	if (!at[0])
		strcpy(cfg->recordstore_at, "recordstore.db");
	for (part = at; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
		if (!part[0] || part[0] == '/' ||
		    (!strncmp(part, "..", 2) && (!part[2] || part[2] == '/')))
			return err_set(err, -EINVAL,
				       "recordstore_at must be a path below data_dir for recordstore sqlite");
	return 0;
}

static bool given(const struct config *cfg, size_t offset)
{
	size_t i = 0;

	while (settings[i].offset != offset)
		i++;
	return cfg->given[i / 64] & 1ull << i % 64;
}

/* Little memory is what that profile is for; what was set is not touched. */
static void embedded_defaults(struct config *cfg)
{
	if (!given(cfg, F(queues)))
		cfg->queues = 1;
	if (!given(cfg, F(memtable_limit)))
		cfg->memtable_limit = 4u << 20;
	if (!given(cfg, F(fold_size)))
		cfg->fold_size = 1u << 20;
}

/* Over TCP nobody is let in whose certificate cannot be checked. */
static int check_grpc(const struct config *cfg, struct errline *err)
{
	const char *port = strrchr(cfg->grpc_listen, ':');

	if (!cfg->grpc_listen[0])
		return 0;
	if (!port || port == cfg->grpc_listen || !port[1])
		return err_set(err, -EINVAL, "grpc_listen is \"%s\"; it must be HOST:PORT",
			       cfg->grpc_listen);
	if (!cfg->grpc_cert[0] || !cfg->grpc_key[0] || !cfg->grpc_ca[0])
		return err_set(err, -EINVAL, "grpc_listen needs grpc_cert, grpc_key and grpc_ca");
	return 0;
}

/* A mount is given up by its service before the call that asked for it counts as an overrun. */
static int check_timeouts(struct config *cfg, struct errline *err)
{
	if (!given(cfg, F(mount_timeout))) {
		cfg->mount_timeout = NEXUS_MAX(cfg->service_timeout * 4 / 5, 1u);
		return 0;
	}
	return cfg->mount_timeout < cfg->service_timeout ? 0 :
		err_set(err, -EINVAL, "mount_timeout (%u) must be less than service_timeout (%u)",
			cfg->mount_timeout, cfg->service_timeout);
}

int config_check(struct config *cfg, struct errline *err)
{
	int ret = profile_resolve(cfg->profile, &cfg->bricks, &cfg->set, err);

	if (!ret)
		ret = check_grpc(cfg, err);
	if (!ret)
		ret = check_timeouts(cfg, err);
	if (ret)
		return ret;
	if (cfg->profile == PROFILE_EMBEDDED)
		embedded_defaults(cfg);
	/* In a file of its own nobody else has its answers. */
	if (!given(cfg, F(permissions_share)))
		cfg->permissions_share = !strcmp(cfg->recordstore, "postgres");
	if (cfg->fold_size > cfg->memtable_limit / 2)
		return err_set(err, -EINVAL,
			       "fold_size (%llu) may be half of memtable_limit (%llu) at most",
			       (unsigned long long)cfg->fold_size,
			       (unsigned long long)cfg->memtable_limit);
	if (!strcmp(cfg->cachestore, "redis") && !cfg->cachestore_at[0])
		return err_set(err, -EINVAL,
			       "cachestore redis needs to know where the server is: cachestore_at, such as socket=/run/redis/redis-server.sock");
	return check_recordstore(cfg, err);
}
