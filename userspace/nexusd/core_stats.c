// SPDX-License-Identifier: Apache-2.0
/* The control operations: counters, status, versions. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "core_impl.h"
#include "evictor.h"
#include "upload.h"
#include "genl.h"
#include "helper.h"
#include "cachestore.h"
#include "recordstore.h"
#include "service.h"
#include "stats.h"
#include "zone.h"

#define MODULE_DIR	"/sys/module/nexusfs"

uint64_t core_count_segments(const char *dir)
{
	char path[PATH_MAX + 8];
	struct dirent *de;
	uint64_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/" STORE_LOG, dir);
	d = opendir(path);
	if (!d)
		return 0;
	while ((de = readdir(d)))
		if (strlen(de->d_name) == 10 && !strcmp(de->d_name + 6, ".seg"))
			n++;
	closedir(d);
	return n;
}

/* ---- counters ------------------------------------------------------------------ */

static int helper_stats(control_stat_fn fn, void *arg)
{
	int i, ret = 0;

	for (i = 0; i < STATS_MAX && !ret; i++) {
		struct control_stat st = {
			.name = stats_name((enum stats_counter)i),
			.help = stats_help((enum stats_counter)i),
			.type = CONTROL_STAT_COUNTER,
			.value = atomic_load(&stats_values[i]),
		};

		ret = fn(arg, &st);
	}
	return ret;
}

static int services_stats(struct helper *h, control_stat_fn fn, void *arg)
{
	struct registry_counts counts;
	struct control_stat gauges[] = {
		{ .name = "nexus_helper_services", .help = "services loaded" },
		{ .name = "nexus_helper_services_quarantined",
		  .help = "objects of services that are mapped because a call has not returned" },
		{ .name = "nexus_helper_service_threads", .help = "threads that run calls into services" },
	};
	size_t i;
	int ret = 0;

	if (!h->services)
		return 0;
	registry_counts(h->services, &counts);
	gauges[0].value = counts.loaded;
	gauges[1].value = counts.quarantined;
	gauges[2].value = counts.threads;
	for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]) && !ret; i++) {
		gauges[i].type = CONTROL_STAT_GAUGE;
		ret = fn(arg, &gauges[i]);
	}
	return ret;
}

enum zone_stat {
	ZS_TAIL, ZS_DURABLE, ZS_APPLIED, ZS_CHECKPOINT, ZS_MEMTABLE, ZS_RECORDS,
	ZS_OVERRUNS, ZS_FETCHING, ZS_FETCHING_MAX,
	ZS_UPLOAD_BYTES, ZS_UPLOAD_AGE, ZS_UPLOAD_FAILING, ZS_CONTENT_HERE, ZS_CACHE_FULL, ZS_MAX
};

static const struct {
	const char *name;
	const char *help;
	enum control_stat_type type;
} zone_stats[ZS_MAX] = {
	[ZS_TAIL]	= { "nexus_zone_lsn_tail", "end of the log", CONTROL_STAT_GAUGE },
	[ZS_DURABLE]	= { "nexus_zone_lsn_durable", "log on disk and flushed", CONTROL_STAT_GAUGE },
	[ZS_APPLIED]	= { "nexus_zone_lsn_applied", "log the helper shows", CONTROL_STAT_GAUGE },
	[ZS_CHECKPOINT]	= { "nexus_zone_lsn_checkpoint", "log the index holds", CONTROL_STAT_GAUGE },
	[ZS_MEMTABLE]	= { "nexus_zone_memtable_bytes", "changes in memory", CONTROL_STAT_GAUGE },
	[ZS_RECORDS]	= { "nexus_zone_records_applied_total", "records applied", CONTROL_STAT_COUNTER },
	[ZS_OVERRUNS]	= { "nexus_zone_ring_overruns_total", "times records had left the ring", CONTROL_STAT_COUNTER },
	[ZS_FETCHING]	= { "nexus_zone_fetching_bytes", "bytes being fetched", CONTROL_STAT_GAUGE },
	[ZS_FETCHING_MAX] = { "nexus_zone_fetching_max_bytes", "the most at a time so far", CONTROL_STAT_GAUGE },
	[ZS_UPLOAD_BYTES] = { "nexus_zone_upload_backlog_bytes", "of sealed packs that are held nowhere else, up to their last blocks", CONTROL_STAT_GAUGE },
	[ZS_UPLOAD_AGE]	= { "nexus_zone_upload_oldest_seconds", "since the first of them was found sealed", CONTROL_STAT_GAUGE },
	[ZS_UPLOAD_FAILING] = { "nexus_zone_upload_failing", "1 while putting them fails", CONTROL_STAT_GAUGE },
	[ZS_CONTENT_HERE] = { "nexus_zone_content_here_bytes", "content of packs here, with cache_limit or cache_free", CONTROL_STAT_GAUGE },
	[ZS_CACHE_FULL]	= { "nexus_zone_cache_full", "1 while no pack is made for their sake", CONTROL_STAT_GAUGE },
};

static u64 upload_stat(struct zone *z, int which)
{
	struct upload_status st;

	if (zone_upload_status(z, &st))
		return 0;
	return which == ZS_UPLOAD_BYTES ? st.bytes : which == ZS_UPLOAD_AGE ? st.oldest :
	       st.failing;
}

static u64 evictor_stat(struct zone *z, int which)
{
	struct evictor_status st;

	zone_evictor_status(z, &st);
	return which == ZS_CONTENT_HERE ? st.here : st.full;
}

static u64 zone_stat(struct zone *z, int which)
{
	u64 now, max;

	switch (which) {
	case ZS_TAIL:
		return z->ring.ctl ? __atomic_load_n(&z->ring.ctl->tail, __ATOMIC_ACQUIRE) : 0;
	case ZS_DURABLE:
		return zone_durable(z);
	case ZS_APPLIED:
		return memtable_applied(&z->mt);
	case ZS_CHECKPOINT:
		return atomic_load(&z->checkpoint);
	case ZS_MEMTABLE:
		return memtable_bytes(&z->mt);
	case ZS_RECORDS:
		return __atomic_load_n(&z->applier.records, __ATOMIC_RELAXED);
	case ZS_FETCHING:
	case ZS_FETCHING_MAX:
		zone_fetch_bytes(z, &now, &max);
		return which == ZS_FETCHING ? now : max;
	case ZS_UPLOAD_BYTES:
	case ZS_UPLOAD_AGE:
	case ZS_UPLOAD_FAILING:
		return upload_stat(z, which);
	case ZS_CONTENT_HERE:
	case ZS_CACHE_FULL:
		return evictor_stat(z, which);
	default:
		return __atomic_load_n(&z->applier.overruns, __ATOMIC_RELAXED);
	}
}

/* Values of one name stand together, so names are the outer loop. */
static int zones_stats(struct helper *h, control_stat_fn fn, void *arg)
{
	char **names = NULL;
	size_t n = 0, i;
	int s, ret;

	ret = store_list_zones(&h->cfg, &names, &n);
	if (ret)
		return 0;
	for (s = 0; s < ZS_MAX && !ret; s++) {
		for (i = 0; i < n && !ret; i++) {
			struct zone *z = helper_zone_by_name(h, names[i]);
			struct control_label label = { "zone", names[i] };
			struct control_stat st = {
				.name = zone_stats[s].name,
				.help = zone_stats[s].help,
				.type = zone_stats[s].type,
				.labels = &label,
				.nlabels = 1,
			};

			if (!z)
				continue;
			st.value = zone_stat(z, s);
			zone_put(z);
			ret = fn(arg, &st);
		}
	}
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return ret;
}

struct module_arg {
	control_stat_fn fn;
	void *arg;
};

static int module_counter(void *arg, const char *name, uint64_t value)
{
	struct module_arg *ma = arg;
	char full[128];
	struct control_stat st = {
		.name = full,
		.help = "counter of the module",
		.type = CONTROL_STAT_COUNTER,
		.value = value,
	};

	snprintf(full, sizeof(full), "nexus_module_%.100s_total", name);
	return ma->fn(ma->arg, &st);
}

int core_stats(void *ctx, control_stat_fn fn, void *arg, struct control_err *err)
{
	struct module_arg ma = { fn, arg };
	int ret;

	ret = helper_stats(fn, arg);
	if (!ret)
		ret = services_stats(ctx, fn, arg);
	if (!ret)
		ret = zones_stats(ctx, fn, arg);
	if (ret)
		return ret;
	/* Without the module there are the helper's. */
	ret = genl_stats(module_counter, &ma);
	if (ret == -ENOENT)
		return 0;
	return ret ? control_err(err, ret, "the module's counters cannot be read: %s",
				 strerror(-ret)) : 0;
}

/* ---- status --------------------------------------------------------------------- */

static void module_version(char *buf, size_t len)
{
	FILE *f = fopen(MODULE_DIR "/version", "re");

	buf[0] = '\0';
	if (!f) {
		if (!access(MODULE_DIR, F_OK))
			snprintf(buf, len, "unknown");
		return;
	}
	if (!fgets(buf, (int)len, f))
		buf[0] = '\0';
	fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
}

int core_status(void *ctx, struct control_status *st, struct control_err *err)
{
	struct recordstore_info records;
	struct boot_state boot;
	struct cachestore_info cache;
	struct helper *h = ctx;
	char **names = NULL;
	size_t n = 0, i;

	(void)err;
	boot_state(h->boot, &boot);
	st->state = atomic_load(&h->stopping) ? CONTROL_STOPPING :
		boot.running ? CONTROL_STARTING : CONTROL_RUNNING;
	st->link = atomic_load(&h->attached) ? CONTROL_LINK_LIVE : CONTROL_LINK_NONE;
	snprintf(st->session, sizeof(st->session), "%s", h->cfg.session);
	if (st->link != CONTROL_LINK_LIVE) {
		pthread_mutex_lock(&h->lock);
		snprintf(st->reason, sizeof(st->reason), "%s", h->reason);
		pthread_mutex_unlock(&h->lock);
	}
	snprintf(st->metastore, sizeof(st->metastore), "%s", h->cfg.metastore->name);
	snprintf(st->objectstore, sizeof(st->objectstore), "%s", h->cfg.objectstore->name);
	snprintf(st->data_dir, sizeof(st->data_dir), "%s", h->cfg.data_dir);
	module_version(st->module_version, sizeof(st->module_version));
	st->pid = (u32)getpid();
	st->queues = st->link == CONTROL_LINK_LIVE ? h->chan.queues : 0;
	st->started = (u64)h->started;
	if (!store_list_zones(&h->cfg, &names, &n)) {
		for (i = 0; i < n; i++)
			free(names[i]);
		free(names);
	}
	st->zones = (u32)n;
	st->zones_mounted = helper_zone_count(h);
	snprintf(st->recordstore, sizeof(st->recordstore), "%s", h->cfg.recordstore);
	if (h->records) {
		recordstore_info(h->records, &records);
		st->records = (enum control_records)records.state;
		snprintf(st->records_error, sizeof(st->records_error), "%s", records.error);
		st->records_error_at = (u64)records.error_at;
	}
	snprintf(st->profile, sizeof(st->profile), "%s", profile_name(h->cfg.profile));
	boot_lacks(h->boot, h->services, st->degraded, sizeof(st->degraded));
	st->bricks_missing = core_bricks_missing(&h->cfg);
	cachestore_info(h->cache, &cache);
	snprintf(st->cachestore, sizeof(st->cachestore), "%s", cache.driver);
	st->cache = (enum control_cache)cache.state;
	snprintf(st->cache_error, sizeof(st->cache_error), "%s", cache.error);
	st->cache_error_at = (u64)cache.error_at;
	return 0;
}

int core_version(void *ctx, struct control_version *v, struct control_err *err)
{
	(void)ctx;
	(void)err;
	snprintf(v->version, sizeof(v->version), "%s", NEXUS_VERSION);
	module_version(v->module_version, sizeof(v->module_version));
	v->abi = NEXUS_ABI_VERSION;
	v->format = NEXUS_FORMAT_VERSION;
	return 0;
}
