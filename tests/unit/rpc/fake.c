// SPDX-License-Identifier: Apache-2.0
/* A core that lives in memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

void fake_core_init(struct fake_core *fake)
{
	memset(fake, 0, sizeof(*fake));
	pthread_mutex_init(&fake->lock, NULL);
	atomic_store(&fake->packs, 3);
}

size_t fake_clear(struct fake_core *fake)
{
	size_t n;

	pthread_mutex_lock(&fake->lock);
	n = fake->n;
	fake->n = 0;
	pthread_mutex_unlock(&fake->lock);
	return n;
}

static struct control_zone_info *find(struct fake_core *fake, const char *name)
{
	size_t i;

	for (i = 0; i < fake->n; i++)
		if (!strcmp(fake->zones[i].name, name))
			return &fake->zones[i];
	return NULL;
}

static void fill(struct fake_core *fake, struct control_zone_info *zone,
		 const char *name, const char *store)
{
	size_t i;

	memset(zone, 0, sizeof(*zone));
	snprintf(zone->name, sizeof(zone->name), "%s", name);
	snprintf(zone->store, sizeof(zone->store), "%s",
		 *store ? store : "localdisk");
	snprintf(zone->data_dir, sizeof(zone->data_dir),
		 "/var/lib/nexusfs/zones/%s", name);
	for (i = 0; i < sizeof(zone->uuid); i++)
		zone->uuid[i] = 0x10 * fake->n + i;
	zone->state = CONTROL_ZONE_IDLE;
	zone->format_version = 1;
	zone->incompat = 3;
	zone->lsn_tail = 1ull << 40;
	zone->inodes = 1;
}

static int create(void *ctx, const char *name, const char *store,
		  const struct control_option *opts, size_t nopts,
		  struct control_err *err)
{
	struct fake_core *fake = ctx;
	size_t i, at = 0;
	int ret = 0;

	pthread_mutex_lock(&fake->lock);
	atomic_fetch_add(&fake->calls, 1);
	if (!*name || strlen(name) >= CONTROL_NAME_MAX)
		ret = control_err(err, -EINVAL,
				  "a zone's name has 1 to 63 characters");
	else if (find(fake, name))
		ret = control_err(err, -EEXIST, "zone %s exists", name);
	else if (fake->n == FAKE_ZONES_MAX)
		ret = -ENOSPC;
	if (!ret)
		fill(fake, &fake->zones[fake->n++], name, store);
	fake->last_options[0] = '\0';
	for (i = 0; i < nopts; i++)
		at += snprintf(fake->last_options + at,
			       sizeof(fake->last_options) - at, "%s=%s,",
			       opts[i].key, opts[i].value);
	pthread_mutex_unlock(&fake->lock);
	return ret;
}

static int list(void *ctx, control_zone_fn fn, void *arg,
		struct control_err *err)
{
	struct fake_core *fake = ctx;
	size_t i;
	int ret = 0;

	(void)err;
	pthread_mutex_lock(&fake->lock);
	atomic_fetch_add(&fake->calls, 1);
	for (i = 0; i < fake->n && !ret; i++)
		ret = fn(arg, &fake->zones[i]);
	pthread_mutex_unlock(&fake->lock);
	return ret;
}

static int info(void *ctx, const char *name, struct control_zone_info *out,
		struct control_err *err)
{
	struct fake_core *fake = ctx;
	struct control_zone_info *zone;
	int ret = 0;

	pthread_mutex_lock(&fake->lock);
	atomic_fetch_add(&fake->calls, 1);
	zone = find(fake, name);
	if (zone)
		*out = *zone;
	else
		ret = control_err(err, -ENOENT, "there is no zone %s", name);
	pthread_mutex_unlock(&fake->lock);
	return ret;
}

static int upgrade(void *ctx, const char *name, struct control_err *err)
{
	struct fake_core *fake = ctx;
	struct control_zone_info *zone;
	int ret = 0;
	int waited;

	atomic_fetch_add(&fake->slow, 1);
	/* Whoever waits for it can end it. */
	for (waited = 0; waited < atomic_load(&fake->slow_ms); waited += 5)
		usleep(5000);
	pthread_mutex_lock(&fake->lock);
	atomic_fetch_add(&fake->calls, 1);
	zone = find(fake, name);
	if (zone)
		zone->format_version++;
	else
		ret = control_err(err, -ENOENT, "there is no zone %s", name);
	pthread_mutex_unlock(&fake->lock);
	return ret;
}

/* Every tenth id has a quota; what was set last is kept. */
static void make_quota(struct control_quota *q, uint32_t kind, uint32_t id)
{
	*q = (struct control_quota){
		.kind = kind, .id = id, .inodes = id + 1, .blocks = id + 2,
		.inodes_hard = 3, .inodes_soft = 4, .blocks_hard = UINT64_MAX,
		.blocks_soft = 6, .inodes_time = 7, .blocks_time = 8,
		.inodes_grace = 9, .blocks_grace = 10,
	};
}

static int quota_list(void *ctx, const char *zone, uint32_t kind, uint32_t from,
		      control_quota_fn fn, void *arg, struct control_err *err)
{
	struct control_quota q;
	uint32_t id;
	int ret = 0;

	(void)ctx;
	if (strcmp(zone, "packs"))
		return control_err(err, -ENOENT, "there is no zone %s", zone);
	for (id = (from + 9) / 10 * 10; id < 200000 && !ret; id += 10) {
		make_quota(&q, kind, id);
		ret = fn(arg, &q);
	}
	return ret;
}

static int quota_get(void *ctx, const char *zone, struct control_quota *q,
		     struct control_err *err)
{
	struct fake_core *fake = ctx;

	(void)err;
	(void)zone;
	if (fake->quota.kind == q->kind && fake->quota.id == q->id)
		*q = fake->quota;
	else
		make_quota(q, q->kind, q->id);
	return 0;
}

static int quota_set(void *ctx, const char *zone, const struct control_quota *q,
		     struct control_err *err)
{
	struct fake_core *fake = ctx;

	if (!strcmp(zone, "idle"))
		return control_err(err, -EROFS, "it is read-only");
	fake->quota = *q;
	return 0;
}

static int quota_grace(void *ctx, const char *zone, uint32_t kind, uint64_t inodes,
		       uint64_t blocks, struct control_err *err)
{
	struct fake_core *fake = ctx;

	(void)zone;
	(void)err;
	fake->quota = (struct control_quota){
		.kind = kind, .inodes_grace = inodes, .blocks_grace = blocks,
	};
	return 0;
}

/* Three packs of a zone "packs"; others are not mounted. */
static int packs_of(const char *zone, struct control_err *err)
{
	return strcmp(zone, "packs") ?
	       control_err(err, -ENXIO, "zone %s is not mounted", zone) : 0;
}

static int pack_list(void *ctx, const char *zone, uint64_t after,
		     control_pack_fn fn, void *arg, struct control_err *err)
{
	struct fake_core *fake = ctx;
	struct control_pack pack;
	uint64_t i, n;
	int ret = packs_of(zone, err);

	atomic_fetch_add(&fake->calls, 1);
	n = (uint64_t)atomic_load(&fake->packs);
	for (i = after + 1; i <= n && !ret; i++) {
		pack = (struct control_pack){
			.pack = i, .state = (enum control_pack_state)(i % 3),
			.blocks = 256, .table_blocks = 3, .used = 103, .live = 50,
			.hash_alg = i % 3 == 2,
		};
		memset(pack.hash, 0xab, sizeof(pack.hash));
		ret = fn(arg, &pack);
	}
	return ret;
}

/* Three steps; the second finds something. */
static int pack_verify(void *ctx, const char *zone,
		       struct control_verify *verify, control_problem_fn fn,
		       void *arg, struct control_err *err)
{
	const struct control_pack_problem problem = {
		.pack = 2, .block = 7, .inode = 20, .data_id = 21,
		.offset = 1ull << 40, .what = "is damaged",
	};
	struct fake_core *fake = ctx;
	int ret = packs_of(zone, err);

	if (ret)
		return ret;
	atomic_fetch_add(&fake->calls, 1);
	if (verify->cursor_len > 2 ||
	    (verify->cursor_len && verify->cursor[0] != 'c'))
		return control_err(err, -EINVAL, "the cursor is none of ours");
	verify->seen_packs = verify->npacks ? verify->npacks : 3;
	verify->seen_blocks = 1000;
	verify->away = 5;
	verify->cursor[verify->cursor_len++] = 'c';
	if (verify->cursor_len == 2)
		ret = fn(arg, &problem);
	if (verify->cursor_len == 3)
		verify->cursor_len = 0;
	return ret;
}

/* Three packs, one a step, or those that are named. */
static int pack_compact(void *ctx, const char *zone, struct control_compact *compact,
			struct control_err *err)
{
	struct fake_core *fake = ctx;
	uint64_t n = compact->npacks ? compact->npacks : compact->all ? 5 : 3;
	int ret = packs_of(zone, err);

	if (ret)
		return ret;
	atomic_fetch_add(&fake->calls, 1);
	compact->done_packs = 1;
	compact->blocks = 100;
	compact->skipped = compact->after == 1;
	compact->after = compact->after + 1 < n ? compact->after + 1 : 0;
	return 0;
}

static int pack_evict(void *ctx, const char *zone, uint64_t pack, uint64_t *blocks,
		      struct control_err *err)
{
	struct fake_core *fake = ctx;
	int ret = packs_of(zone, err);

	if (ret)
		return ret;
	atomic_fetch_add(&fake->calls, 1);
	*blocks = 10 * pack;
	return pack == 7 ? control_err(err, -EUCLEAN, "pack 7 is not held") : 0;
}

/* Each flush leaves one pack less, and one less is to be deleted. */
static int uploads(void *ctx, const char *zone, bool flush, struct control_uploads *out,
		   struct control_err *err)
{
	struct fake_core *fake = ctx;
	int ret = packs_of(zone, err);
	uint64_t n;

	if (ret)
		return ret;
	atomic_fetch_add(&fake->calls, 1);
	n = flush ? atomic_fetch_add(&fake->flushes, 1) + 1 : atomic_load(&fake->flushes);
	*out = (struct control_uploads){
		.packs = n < 3 ? 3 - n : 0, .bytes = (3ull - n) << 40, .oldest = 17,
		.deletes = n < 4 ? 4 - n : 0, .busy = 2, .put_packs = n, .put_bytes = n << 26,
		.error = "pack 7 cannot be given to s3", .error_at = 1700000000,
		.circuit = "half-open", .store_error = "the bucket does not exist",
		.requests = 100, .retries = 9, .sent = 1ull << 41, .received = 5,
		.memory = 6, .memory_peak = 7,
		.here = 3ull << 40, .cache_limit = 3ull << 41, .cache_full = true,
		.cache_error = "nothing can be evicted",
	};
	return 0;
}

/* Jobs are numbers from 100 on; one is over when it is asked for the second time. */
static int gc(void *ctx, const char *zone, struct control_gc *gc, control_gc_fn fn, void *arg,
	      struct control_err *err)
{
	static const struct control_gc_object objects[] = {
		{ CONTROL_GC_LEAKED, "packs/0000000000000007", 1ull << 40 },
		{ CONTROL_GC_MISSING, "packs/0000000000000009", 0 },
		{ CONTROL_GC_FOREIGN, "a\\x0ab", 3 },
	};
	struct fake_core *fake = ctx;
	int ret = packs_of(zone, err);
	size_t i;

	if (ret)
		return ret;
	if (gc->start) {
		atomic_store(&fake->gc_run, gc->run);
		atomic_store(&fake->gc_asked, 0);
		gc->job = 100;
		return 0;
	}
	if (gc->job != 100)
		return control_err(err, -ESRCH, "there is no such job");
	*gc = (struct control_gc){
		.run = atomic_load(&fake->gc_run), .begun = 1700000000, .listed = { 10, 1ull << 41 },
		.young = { 4, 5 }, .job = 100,
	};
	if (!atomic_fetch_add(&fake->gc_asked, 1))
		return 0;
	gc->over = true;
	gc->ended = 1700000001;
	gc->sum[CONTROL_GC_LEAKED] = (struct control_gc_sum){ 2, 1ull << 40 };
	gc->sum[CONTROL_GC_MISSING] = (struct control_gc_sum){ 1, 0 };
	gc->sum[CONTROL_GC_FOREIGN] = (struct control_gc_sum){ 3, 6 };
	gc->deleted = (struct control_gc_sum){ gc->run ? 1 : 0, gc->run ? 1ull << 39 : 0 };
	gc->failed = gc->run ? 1 : 0;
	if (gc->run) {
		gc->error = -ESTALE;
		snprintf(gc->why, sizeof(gc->why), "another owner");
		snprintf(gc->failed_why, sizeof(gc->failed_why), "403");
	}
	for (i = 0; !ret && i < sizeof(objects) / sizeof(objects[0]); i++)
		ret = fn(arg, &objects[i]);
	return ret;
}

/* Each call is there in what it tells: runs begun, and stopped. */
static int scrub(void *ctx, const char *zone, enum control_scrub_do what,
		 struct control_scrub *out, struct control_err *err)
{
	struct fake_core *fake = ctx;
	int ret = packs_of(zone, err);
	bool running;

	if (ret)
		return ret;
	atomic_fetch_add(&fake->calls, 1);
	running = atomic_load(&fake->scrubbing);
	if (what == CONTROL_SCRUB_START && running)
		return control_err(err, -EALREADY, "zone %s is being scrubbed already", zone);
	if (what == CONTROL_SCRUB_STOP && !running)
		return control_err(err, -EALREADY, "zone %s is not being scrubbed", zone);
	if (what != CONTROL_SCRUB_LOOK)
		atomic_store(&fake->scrubbing, !running);
	out->running = atomic_load(&fake->scrubbing);
	out->run = (struct control_scrub_run){ 1700000000, 0, 77, 3, 0 };
	out->last = (struct control_scrub_run){ 1600000000, 1600000100, 1ull << 40, 9, 2 };
	out->due = 1800000000;
	return 0;
}

/* There are two services, and they come and go together. */
static int service_load(void *ctx, const char *const *names, size_t n,
			const struct control_caller *caller, struct control_err *err)
{
	struct fake_core *fake = ctx;

	atomic_fetch_add(&fake->calls, 1);
	if (n != 2 || strcmp(names[0], "chat") || strcmp(names[1], "echo"))
		return control_err(err, -ENOENT, "there is no service %s", names[0]);
	if (caller->uid != geteuid() || caller->pid <= 0)
		return control_err(err, -EBADE, "uid %u, pid %d is not who called",
				   caller->uid, caller->pid);
	if (atomic_exchange(&fake->services, 1))
		return control_err(err, -EEXIST, "service chat is loaded already");
	return 0;
}

static int service_unload(void *ctx, const char *name, const struct control_caller *caller,
			  struct control_err *err)
{
	struct fake_core *fake = ctx;

	(void)caller;
	atomic_fetch_add(&fake->calls, 1);
	if (!atomic_load(&fake->services))
		return control_err(err, -ENOENT, "service %s is not loaded", name);
	if (strcmp(name, "chat"))
		return control_err(err, -EBUSY, "service %s is in use: service chat needs nexus.echo",
				   name);
	atomic_store(&fake->services, 0);
	return 0;
}

static int service_swap(void *ctx, const char *name, const struct control_caller *caller,
			struct control_err *err)
{
	struct fake_core *fake = ctx;

	(void)caller;
	atomic_fetch_add(&fake->calls, 1);
	if (!atomic_load(&fake->services))
		return control_err(err, -ENOENT, "service %s is not loaded", name);
	return 0;
}

static int service_list(void *ctx, const char *name, control_service_fn fn, void *arg,
			struct control_err *err)
{
	static const struct control_protocol protocol = { "nexus.echo", 3 };
	static const char *const holders[] = { "service chat", "somebody \"else\"" };
	static const struct control_service all[] = {
		{ .name = "echo", .version = "1.0", .state = CONTROL_SERVICE_QUARANTINED,
		  .reason = "echo, called by service chat, did not return", .mapped = true,
		  .provides = &protocol, .nprovides = 1, .holders = holders, .nholders = 2,
		  .calls_running = 1, .calls = 1ull << 40, .overruns = 2, .loaded = 1700000000,
		  .uid = 4294967294u },
		{ .name = "chat", .version = "2", .state = CONTROL_SERVICE_ACTIVE, .reason = "",
		  .mapped = true, .needs = &protocol, .nneeds = 1, .loaded = 1700000001 },
	};
	struct fake_core *fake = ctx;
	size_t i, n = atomic_load(&fake->services) ? 2 : 0, seen = 0;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		if (!name || !strcmp(name, all[i].name)) {
			ret = fn(arg, &all[i]);
			seen++;
		}
	return name && !seen ? control_err(err, -ENOENT, "service %s is not loaded", name) : ret;
}

static int stats(void *ctx, control_stat_fn fn, void *arg,
		 struct control_err *err)
{
	static const struct control_label queue[] = {
		{ "queue", "0" }, { "kind", "a \"quoted\"\\\n" },
	};
	struct control_stat all[] = {
		{ "nexus_requests_total", "Requests of the module.",
		  CONTROL_STAT_COUNTER, queue, 2, 7 },
		{ "nexus_requests_total", "Requests of the module.",
		  CONTROL_STAT_COUNTER, queue, 1, 18446744073709551615ull },
		{ "nexus_zones", "Zones known.", CONTROL_STAT_GAUGE, NULL, 0, 0 },
	};
	struct fake_core *fake = ctx;
	size_t i;
	int ret = 0;

	(void)err;
	pthread_mutex_lock(&fake->lock);
	all[2].value = fake->n;
	pthread_mutex_unlock(&fake->lock);
	for (i = 0; i < sizeof(all) / sizeof(all[0]) && !ret; i++)
		ret = fn(arg, &all[i]);
	return ret;
}

static int status(void *ctx, struct control_status *out,
		  struct control_err *err)
{
	(void)ctx;
	(void)err;
	out->state = CONTROL_RUNNING;
	out->link = CONTROL_LINK_LIVE;
	strcpy(out->session, "default");
	strcpy(out->metastore, "mem");
	strcpy(out->objectstore, "mem");
	strcpy(out->data_dir, "/var/lib/nexusfs");
	out->pid = getpid();
	out->queues = 2;
	out->started = 1700000000;
	strcpy(out->profile, "lite");
	strcpy(out->degraded, "eventlog: it was \"unloaded\"");
	out->bricks_missing = 3;
	return 0;
}

static int boot(void *ctx, struct control_boot *out, control_boot_step_fn fn, void *arg,
		struct control_err *err)
{
	static const struct control_boot_step steps[] = {
		{ .stage = 1, .outcome = 2, .name = "metastore mem", .reason = "built in" },
		{ .stage = 2, .outcome = 5, .name = "recordstore none", .reason = "", .at_us = 7 },
		{ .stage = 3, .tier = 2, .outcome = 3, .name = "eventlog",
		  .reason = "größe \"x\"", .at_us = 10, .took_us = UINT64_MAX },
		{ .stage = 4, .outcome = 4, .name = "llm", .reason = "none does it" },
	};
	size_t i;
	int ret = 0;

	(void)ctx;
	(void)err;
	strcpy(out->profile, "lite");
	out->running = true;
	out->took_us = 1234567;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]) && !ret; i++)
		ret = fn(arg, &steps[i]);
	return ret;
}

static int profile(void *ctx, const char *name, char name_out[CONTROL_NAME_MAX],
		   control_brick_fn fn, void *arg, struct control_err *err)
{
	static const struct control_brick all[] = {
		{ .name = "storage", .what = "files", .on = true, .why = 1, .by = "",
		  .services = "", .absent = "" },
		{ .name = "eventlog", .what = "a log", .on = true, .why = 3, .by = "ipc",
		  .services = "eventlog", .absent = "" },
		{ .name = "ipc", .what = "messages", .on = true, .why = 2, .by = "/etc/x.yaml:3",
		  .services = "event_bus", .absent = "rpc_grpc,more" },
		{ .name = "llm", .what = "a model", .on = true, .why = 2, .by = "--set", .missing = true,
		  .services = "", .absent = "" },
		{ .name = "skills", .what = "skills", .why = 4, .by = "permissions",
		  .services = "", .absent = "" },
	};
	size_t i;
	int ret = 0;

	(void)ctx;
	if (name[0] && strcmp(name, "full"))
		return control_err(err, -EINVAL, "there is no profile \"%s\"", name);
	strcpy(name_out, name[0] ? name : "lite");
	for (i = 0; i < sizeof(all) / sizeof(all[0]) && !ret; i++)
		ret = fn(arg, &all[i]);
	return ret;
}

static int version(void *ctx, struct control_version *out,
		   struct control_err *err)
{
	(void)ctx;
	(void)err;
	strcpy(out->version, "1.2.3-test");
	out->abi = 4;
	out->format = 5;
	return 0;
}

const struct control_ops fake_ops = {
	.zone_create = create,
	.zone_list = list,
	.zone_info = info,
	.zone_upgrade = upgrade,
	.quota_list = quota_list,
	.quota_get = quota_get,
	.quota_set = quota_set,
	.quota_grace = quota_grace,
	.pack_list = pack_list,
	.pack_verify = pack_verify,
	.pack_compact = pack_compact,
	.pack_evict = pack_evict,
	.uploads = uploads,
	.gc = gc,
	.scrub = scrub,
	.service_load = service_load,
	.service_unload = service_unload,
	.service_swap = service_swap,
	.service_list = service_list,
	.stats = stats,
	.status = status,
	.boot = boot,
	.profile = profile,
	.version = version,
};
