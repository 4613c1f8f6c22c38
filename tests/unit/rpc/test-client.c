// SPDX-License-Identifier: Apache-2.0
/* libnexus against the server, and against servers that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <nexus/boot.h>
#include <nexus/gc.h>

#include "harness.h"

struct both {
	struct harness *h;
	struct nexus_client *client;
};

static int start(void **state)
{
	struct both *both = calloc(1, sizeof(*both));

	both->h = harness_start(NULL);
	both->client = nexus_new();
	assert_int_equal(nexus_connect(both->client, both->h->path), 0);
	*state = both;
	return 0;
}

static int stop(void **state)
{
	struct both *both = *state;

	nexus_free(both->client);
	harness_stop(both->h);
	free(both);
	return 0;
}

static int count_zones(void *arg, const struct nexus_zone *zone)
{
	assert_true(*zone->name);
	(*(int *)arg)++;
	return 0;
}

static int copy_format(void *arg, const struct nexus_zone *zone)
{
	*(uint32_t *)arg = zone->format_version;
	return 0;
}

static int refuse(void *arg, const struct nexus_zone *zone)
{
	(void)arg;
	(void)zone;
	return -ECANCELED;
}

static void zones(void **state)
{
	static const struct nexus_option options[] = {
		{ "region", "eu" }, { "endpoint", "e" },
	};
	struct both *b = *state;
	uint32_t format = 0;
	int n = 0;

	assert_int_equal(nexus_zone_list(b->client, count_zones, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(nexus_zone_create(b->client, "a", NULL, NULL, 0,
					   count_zones, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(nexus_zone_create(b->client, "b", "s3://x/y", options,
					   2, NULL, NULL), 0);
	assert_string_equal(b->h->fake.zones[1].store, "s3://x/y");
	assert_string_equal(b->h->fake.last_options, "region=eu,endpoint=e,");
	assert_int_equal(nexus_zone_list(b->client, count_zones, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(nexus_zone_list(b->client, refuse, NULL), -ECANCELED);
	assert_int_equal(nexus_zone_upgrade(b->client, "a", copy_format,
					    &format), 0);
	assert_int_equal(format, 2);
	assert_int_equal(nexus_zone_info(b->client, "b", copy_format, &format),
			 0);
	assert_int_equal(format, 1);
}

static int next_pack(void *arg, const struct nexus_pack *pack)
{
	uint64_t *n = arg;

	assert_int_equal(pack->pack, ++*n);
	assert_int_equal(pack->state, *n % 3);
	assert_int_equal(pack->hash_len, *n % 3 == 2 ? 32 : 0);
	assert_int_equal(pack->live, 50);
	return *n == 20001 ? -ECANCELED : 0;
}

static int check_problem(void *arg, const struct nexus_pack_problem *problem)
{
	assert_int_equal(problem->pack, 2);
	assert_int_equal(problem->block, 7);
	assert_int_equal(problem->inode, 20);
	assert_int_equal(problem->data_id, 21);
	assert_true(problem->offset == 1ull << 40);
	assert_string_equal(problem->what, "is damaged");
	return ++*(int *)arg == 5 ? -ECANCELED : 0;
}

static void scrub(void **state)
{
	struct both *b = *state;
	struct nexus_scrub s;

	assert_int_equal(nexus_scrub_status(b->client, "packs", &s), 0);
	assert_false(s.running);
	assert_int_equal(nexus_scrub_stop(b->client, "packs", &s), -EALREADY);
	assert_string_equal(nexus_error(b->client), "zone packs is not being scrubbed");
	assert_int_equal(nexus_scrub_start(b->client, "packs", &s), 0);
	assert_true(s.running);
	assert_true(s.run.begun == 1700000000 && !s.run.ended && s.run.blocks == 77 &&
		    s.run.unchecked == 3 && !s.run.problems);
	assert_true(s.last.ended == 1600000100 && s.last.blocks == 1ull << 40 &&
		    s.last.problems == 2);
	assert_true(s.due == 1800000000);
	assert_int_equal(nexus_scrub_start(b->client, "packs", &s), -EALREADY);
	assert_int_equal(nexus_scrub_stop(b->client, "packs", &s), 0);
	assert_false(s.running);
	assert_int_equal(nexus_scrub_status(b->client, "idle", &s), -ENXIO);
	assert_int_equal(nexus_scrub_status(b->client, "\xff", &s), -EILSEQ);
}

static int check_service(void *arg, const struct nexus_service_status *s)
{
	int *n = arg;

	if (!strcmp(s->name, "chat")) {
		assert_int_equal(s->state, NEXUS_SERVICE_ACTIVE);
		assert_int_equal(s->n_needs, 1);
		assert_string_equal(s->needs[0].name, "nexus.echo");
		assert_int_equal(s->needs[0].version, 3);
		assert_int_equal(s->n_provides, 0);
		*n += 1;
		return 0;
	}
	assert_string_equal(s->name, "echo");
	assert_string_equal(s->version, "1.0");
	assert_int_equal(s->state, NEXUS_SERVICE_QUARANTINED);
	assert_string_equal(s->reason, "echo, called by service chat, did not return");
	assert_true(s->mapped);
	assert_int_equal(s->n_provides, 1);
	assert_string_equal(s->provides[0].name, "nexus.echo");
	assert_int_equal(s->n_holders, 2);
	assert_string_equal(s->holders[1], "somebody \"else\"");
	assert_true(s->calls == 1ull << 40 && s->calls_running == 1 && s->overruns == 2);
	assert_true(s->loaded == 1700000000 && s->uid == 4294967294u);
	*n += 10;
	return 0;
}

static void services(void **state)
{
	const char *names[65] = { "chat", "echo" };
	struct both *b = *state;
	int n = 0, i;

	assert_int_equal(nexus_service_list(b->client, check_service, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(nexus_service_load(b->client, names, 1), -ENOENT);
	assert_int_equal(nexus_service_load(b->client, names, 2), 0);
	assert_int_equal(nexus_service_load(b->client, names, 2), -EEXIST);
	assert_string_equal(nexus_error(b->client), "service chat is loaded already");
	assert_int_equal(nexus_service_list(b->client, check_service, &n), 0);
	assert_int_equal(n, 11);
	assert_int_equal(nexus_service_info(b->client, "echo", check_service, &n), 0);
	assert_int_equal(n, 21);
	assert_int_equal(nexus_service_info(b->client, "none", check_service, &n), -ENOENT);
	assert_int_equal(nexus_service_swap(b->client, "echo"), 0);
	assert_int_equal(nexus_service_unload(b->client, "echo"), -EBUSY);
	assert_int_equal(nexus_service_unload(b->client, "chat"), 0);
	assert_int_equal(nexus_service_unload(b->client, "chat"), -ENOENT);
	assert_int_equal(nexus_service_swap(b->client, "echo"), -ENOENT);
	assert_int_equal(nexus_service_unload(b->client, "\xff"), -EILSEQ);
	names[1] = "\xff";
	assert_int_equal(nexus_service_load(b->client, names, 2), -EILSEQ);
	assert_int_equal(nexus_service_load(b->client, names, 0), -EINVAL);
	for (i = 0; i < 65; i++)
		names[i] = "echo";
	assert_int_equal(nexus_service_load(b->client, names, 65), -EINVAL);
}

static void packs(void **state)
{
	const uint64_t two[] = { 1, 1ull << 63 };
	struct nexus_compacted done = { 0 };
	struct nexus_verified seen = { 0 };
	struct both *b = *state;
	uint64_t n = 0;
	int problems = 0;

	assert_int_equal(nexus_pack_list(b->client, "packs", next_pack, &n), 0);
	assert_int_equal(n, 3);
	/* More than fit into one answer. */
	n = 0;
	atomic_store(&b->h->fake.packs, 20000);
	assert_int_equal(nexus_pack_list(b->client, "packs", next_pack, &n), 0);
	assert_int_equal(n, 20000);
	n = 0;
	atomic_store(&b->h->fake.packs, 20005);
	assert_int_equal(nexus_pack_list(b->client, "packs", next_pack, &n),
			 -ECANCELED);
	assert_int_equal(nexus_pack_list(b->client, "idle", next_pack, &n), -ENXIO);
	assert_string_equal(nexus_error(b->client), "zone idle is not mounted");

	assert_int_equal(nexus_pack_verify(b->client, "packs", NULL, 0, check_problem,
					   &problems, &seen), 0);
	assert_int_equal(problems, 1);
	assert_int_equal(seen.blocks, 3000);
	assert_int_equal(seen.packs, 9);
	assert_int_equal(seen.away, 15);
	assert_int_equal(nexus_pack_verify(b->client, "packs", two, 2, check_problem,
					   &problems, &seen), 0);
	assert_int_equal(seen.packs, 9 + 6);
	problems = 4;
	assert_int_equal(nexus_pack_verify(b->client, "packs", NULL, 0, check_problem,
					   &problems, &seen), -ECANCELED);
	assert_int_equal(nexus_pack_verify(b->client, "idle", NULL, 0, check_problem,
					   &problems, &seen), -ENXIO);
	assert_int_equal(nexus_pack_verify(b->client, "\xff", NULL, 0, check_problem,
					   &problems, &seen), -EILSEQ);

	assert_int_equal(nexus_pack_compact(b->client, "packs", NULL, 0, false, &done), 0);
	assert_int_equal(done.packs, 3);
	assert_int_equal(done.blocks, 300);
	assert_int_equal(done.skipped, 1);
	assert_int_equal(nexus_pack_compact(b->client, "packs", NULL, 0, true, &done), 0);
	assert_int_equal(done.packs, 8);
	assert_int_equal(nexus_pack_compact(b->client, "packs", two, 2, false, &done), 0);
	assert_int_equal(done.packs, 10);
	assert_int_equal(nexus_pack_compact(b->client, "idle", NULL, 0, false, &done), -ENXIO);
	n = 1;
	assert_int_equal(nexus_pack_evict(b->client, "packs", 4, &n), 0);
	assert_int_equal(n, 41);
	assert_int_equal(nexus_pack_evict(b->client, "packs", 7, &n), -EUCLEAN);
	assert_string_equal(nexus_error(b->client), "pack 7 is not held");
	assert_int_equal(nexus_pack_evict(b->client, "idle", 4, &n), -ENXIO);
	assert_int_equal(n, 41);
	assert_int_equal(nexus_health(b->client, NULL), 0);
}

static void uploads(void **state)
{
	struct both *b = *state;
	struct nexus_uploads u;

	assert_int_equal(nexus_uploads(b->client, "packs", &u), 0);
	assert_int_equal(u.packs, 3);
	assert_int_equal(u.bytes, 3ull << 40);
	assert_int_equal(u.oldest, 17);
	assert_int_equal(u.deletes, 4);
	assert_int_equal(u.busy, 2);
	assert_string_equal(u.error, "pack 7 cannot be given to s3");
	assert_int_equal(u.error_at, 1700000000);
	assert_string_equal(u.circuit, "half-open");
	assert_string_equal(u.store_error, "the bucket does not exist");
	assert_int_equal(u.requests, 100);
	assert_int_equal(u.retries, 9);
	assert_int_equal(u.sent, 1ull << 41);
	assert_int_equal(u.received, 5);
	assert_int_equal(u.memory, 6);
	assert_int_equal(u.memory_peak, 7);
	assert_int_equal(u.here, 3ull << 40);
	assert_int_equal(u.cache_limit, 3ull << 41);
	assert_true(u.cache_full);
	assert_string_equal(u.cache_error, "nothing can be evicted");
	assert_int_equal(nexus_uploads_flush(b->client, "packs", &u), 0);
	assert_int_equal(u.packs, 2);
	assert_int_equal(u.put_packs, 1);
	assert_int_equal(u.put_bytes, 1u << 26);
	assert_int_equal(nexus_uploads(b->client, "packs", &u), 0);
	assert_int_equal(u.packs, 2);
	assert_int_equal(nexus_uploads(b->client, "idle", &u), -ENXIO);
	assert_int_equal(nexus_uploads_flush(b->client, "idle", &u), -ENXIO);
	assert_int_equal(nexus_uploads(b->client, "\xff", &u), -EILSEQ);
}

static int gc_object(void *arg, const struct nexus_gc_object *o)
{
	char *text = arg;

	snprintf(text + strlen(text), 256 - strlen(text), "%d %s %llu;", o->what, o->name,
		 (unsigned long long)o->bytes);
	return 0;
}

static int gc_enough(void *arg, const struct nexus_gc_object *o)
{
	(void)o;
	return ++*(int *)arg;
}

static void gc(void **state)
{
	struct both *b = *state;
	char text[256] = "";
	struct nexus_gc gc;
	uint64_t job = 0;
	int n = 6;

	assert_int_equal(nexus_gc_start(b->client, "packs", false, &job), 0);
	assert_int_equal(job, 100);
	assert_int_equal(nexus_gc_status(b->client, "packs", job, &gc, gc_object, text), 0);
	assert_false(gc.over);
	assert_false(gc.run);
	assert_string_equal(text, "");
	assert_int_equal(gc.listed.objects, 10);
	assert_int_equal(gc.listed.bytes, 1ull << 41);
	assert_int_equal(nexus_gc_status(b->client, "packs", job, &gc, gc_object, text), 0);
	assert_true(gc.over);
	assert_int_equal(gc.error, 0);
	assert_string_equal(text, "0 packs/0000000000000007 1099511627776;1 packs/0000000000000009 0;2 a\\x0ab 3;");
	assert_int_equal(gc.begun, 1700000000);
	assert_int_equal(gc.ended, 1700000001);
	assert_int_equal(gc.leaked.objects, 2);
	assert_int_equal(gc.leaked.bytes, 1ull << 40);
	assert_int_equal(gc.missing.objects, 1);
	assert_int_equal(gc.foreign.objects, 3);
	assert_int_equal(gc.foreign.bytes, 6);
	assert_int_equal(gc.young.objects, 4);
	assert_int_equal(gc.young.bytes, 5);
	assert_int_equal(gc.deleted.objects, 0);
	assert_int_equal(nexus_gc_status(b->client, "packs", job, &gc, gc_enough, &n), 7);
	assert_int_equal(nexus_gc_start(b->client, "packs", true, &job), 0);
	assert_int_equal(nexus_gc_status(b->client, "packs", job, &gc, NULL, NULL), 0);
	assert_int_equal(nexus_gc_status(b->client, "packs", job, &gc, NULL, NULL), 0);
	assert_true(gc.run);
	assert_int_equal(gc.error, -ESTALE);
	assert_string_equal(gc.why, "another owner");
	assert_int_equal(gc.deleted.objects, 1);
	assert_int_equal(gc.deleted.bytes, 1ull << 39);
	assert_int_equal(gc.failed, 1);
	assert_string_equal(gc.failed_why, "403");
	assert_int_equal(nexus_gc_status(b->client, "packs", 99, &gc, NULL, NULL), -ESRCH);
	assert_int_equal(nexus_gc_start(b->client, "idle", false, &job), -ENXIO);
	assert_int_equal(nexus_gc_start(b->client, "\xff", false, &job), -EILSEQ);
}

static int next_quota(void *arg, const struct nexus_quota *q)
{
	uint32_t *n = arg;

	assert_int_equal(q->kind, NEXUS_QUOTA_OF_GROUP);
	assert_int_equal(q->id, *n * 10);
	assert_int_equal(q->inodes, q->id + 1);
	assert_int_equal(q->blocks, q->id + 2);
	++*n;
	return *n == 20001 ? -ECANCELED : 0;
}

static int keep_quota(void *arg, const struct nexus_quota *q)
{
	*(struct nexus_quota *)arg = *q;
	return 0;
}

static void quotas(void **state)
{
	const enum nexus_quota_kind none = (enum nexus_quota_kind)4;
	struct both *b = *state;
	struct nexus_quota q, want;
	uint32_t n = 0;

	/* More than fit into one answer. */
	assert_int_equal(nexus_quota_list(b->client, "packs", NEXUS_QUOTA_OF_GROUP,
					  next_quota, &n), 0);
	assert_int_equal(n, 20000);
	assert_int_equal(nexus_quota_list(b->client, "nope", NEXUS_QUOTA_OF_GROUP,
					  next_quota, &n), -ENOENT);
	assert_int_equal(nexus_quota_list(b->client, "packs", none, next_quota, &n),
			 -EINVAL);
	assert_string_equal(nexus_error(b->client), "there is no kind 4 of quotas");
	assert_int_equal(nexus_quota_get(b->client, "packs", NEXUS_QUOTA_OF_USER,
					 4294967294u, keep_quota, &q), 0);
	want = (struct nexus_quota){
		.kind = NEXUS_QUOTA_OF_USER, .id = 4294967294u, .inodes = 4294967295u,
		.inodes_hard = 3, .inodes_soft = 4, .blocks_hard = UINT64_MAX,
		.blocks_soft = 6, .inodes_time = 7, .blocks_time = 8,
		.inodes_grace = 9, .blocks_grace = 10,
	};
	assert_memory_equal(&q, &want, sizeof(q));
	want.id = 5;
	want.blocks_soft = 1ull << 50;
	assert_int_equal(nexus_quota_set(b->client, "packs", &want), 0);
	assert_int_equal(nexus_quota_get(b->client, "packs", NEXUS_QUOTA_OF_USER, 5,
					 keep_quota, &q), 0);
	assert_int_equal(q.blocks_soft, 1ull << 50);
	assert_int_equal(q.inodes_hard, 3);
	/* Only limits are set. */
	assert_int_equal(q.inodes_time, 0);
	assert_int_equal(nexus_quota_set(b->client, "idle", &want), -EROFS);
	want.kind = none;
	assert_int_equal(nexus_quota_set(b->client, "packs", &want), -EINVAL);
	assert_int_equal(nexus_quota_grace(b->client, "packs", NEXUS_QUOTA_OF_PROJECT,
					   60, 90), 0);
	assert_int_equal(nexus_quota_get(b->client, "packs", NEXUS_QUOTA_OF_PROJECT, 0,
					 keep_quota, &q), 0);
	assert_int_equal(q.inodes_grace, 60);
	assert_int_equal(q.blocks_grace, 90);
	assert_int_equal(nexus_quota_grace(b->client, "packs", none, 1, 1), -EINVAL);
	assert_int_equal(nexus_quota_get(b->client, "\xff", NEXUS_QUOTA_OF_ZONE, 0,
					 keep_quota, &q), -EILSEQ);
}

static void errors_keep_their_errno(void **state)
{
	struct both *b = *state;

	assert_int_equal(nexus_zone_info(b->client, "nope", refuse, NULL),
			 -ENOENT);
	assert_string_equal(nexus_error(b->client), "there is no zone nope");
	nexus_zone_create(b->client, "a", NULL, NULL, 0, NULL, NULL);
	assert_int_equal(nexus_zone_create(b->client, "a", NULL, NULL, 0, NULL,
					   NULL), -EEXIST);
	assert_int_equal(nexus_zone_create(b->client, "", NULL, NULL, 0, NULL,
					   NULL), -EINVAL);
	assert_int_equal(nexus_zone_create(b->client, "\xff", NULL, NULL, 0,
					   NULL, NULL), -EILSEQ);
	assert_int_equal(nexus_call(b->client, "no", "such", NULL, 0, NULL,
				    NULL), -EOPNOTSUPP);
	assert_int_equal(nexus_health(b->client, NULL), 0);
}

static int sum_stats(void *arg, const struct nexus_stat *stat)
{
	size_t *n = arg;

	if (!*n) {
		assert_string_equal(stat->name, "nexus_requests_total");
		assert_int_equal(stat->n_labels, 2);
		assert_string_equal(stat->labels[0].key, "queue");
		assert_string_equal(stat->labels[1].value,
				    "a \"quoted\"\\\n");
		assert_int_equal(stat->type, NEXUS_STAT_COUNTER);
		assert_int_equal(stat->value, 7);
	} else if (*n == 1) {
		assert_true(stat->value == UINT64_MAX);
	}
	++*n;
	return 0;
}

static int check_status(void *arg, const struct nexus_status *status)
{
	(void)arg;
	assert_int_equal(status->state, NEXUS_RUNNING);
	assert_int_equal(status->link, NEXUS_LINK_LIVE);
	assert_string_equal(status->session, "default");
	assert_int_equal(status->pid, getpid());
	assert_string_equal(status->profile, "lite");
	assert_string_equal(status->degraded, "eventlog: it was \"unloaded\"");
	assert_int_equal(status->bricks_missing, 3);
	return 0;
}

static int check_boot(void *arg, const struct nexus_boot *boot)
{
	(void)arg;
	assert_string_equal(boot->profile, "lite");
	assert_true(boot->running);
	assert_int_equal(boot->took_us, 1234567);
	assert_int_equal(boot->n_steps, 4);
	assert_int_equal(boot->steps[0].stage, NEXUS_BOOT_DRIVER);
	assert_int_equal(boot->steps[0].tier, NEXUS_TIER_NONE);
	assert_int_equal(boot->steps[1].outcome, NEXUS_BOOT_DEFERRED);
	assert_int_equal(boot->steps[1].at_us, 7);
	assert_int_equal(boot->steps[2].tier, NEXUS_TIER_DEGRADED);
	assert_string_equal(boot->steps[2].reason, "größe \"x\"");
	assert_true(boot->steps[2].took_us == UINT64_MAX);
	assert_string_equal(boot->steps[3].name, "llm");
	return -ENOTUNIQ;
}

static int check_profile(void *arg, const struct nexus_profile *profile)
{
	assert_string_equal(profile->name, arg);
	assert_int_equal(profile->n_bricks, 5);
	assert_string_equal(profile->bricks[1].name, "eventlog");
	assert_int_equal(profile->bricks[1].why, NEXUS_BRICK_PULLED_IN);
	assert_string_equal(profile->bricks[1].by, "ipc");
	assert_string_equal(profile->bricks[2].services, "event_bus");
	assert_string_equal(profile->bricks[2].absent, "rpc_grpc,more");
	assert_true(profile->bricks[3].missing);
	assert_false(profile->bricks[4].on);
	assert_string_equal(profile->bricks[4].what, "skills");
	return 0;
}

static void start_and_profile(void **state)
{
	struct both *b = *state;

	/* What the visitor returns is what comes back. */
	assert_int_equal(nexus_boot(b->client, check_boot, NULL), -ENOTUNIQ);
	assert_int_equal(nexus_profile(b->client, NULL, check_profile, (void *)"lite"), 0);
	assert_int_equal(nexus_profile(b->client, "full", check_profile, (void *)"full"), 0);
	assert_int_equal(nexus_profile(b->client, "big", check_profile, NULL), -EINVAL);
	assert_string_equal(nexus_error(b->client), "there is no profile \"big\"");
	assert_int_equal(nexus_profile(b->client, "\xff", check_profile, NULL), -EILSEQ);
}

static int check_version(void *arg, const struct nexus_version *version)
{
	(void)arg;
	assert_string_equal(version->version, "1.2.3-test");
	assert_string_equal(version->module_version, "");
	assert_int_equal(version->abi, 4);
	assert_int_equal(version->format, 5);
	return 0;
}

static void the_rest(void **state)
{
	struct both *b = *state;
	enum nexus_state health = 0;
	size_t n = 0;

	assert_int_equal(nexus_stats(b->client, sum_stats, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(nexus_status(b->client, check_status, NULL), 0);
	assert_int_equal(nexus_version(b->client, check_version, NULL), 0);
	assert_int_equal(nexus_health(b->client, &health), 0);
	assert_int_equal(health, NEXUS_RUNNING);
}

static void time_limit(void **state)
{
	struct both *b = *state;

	atomic_store(&b->h->fake.slow_ms, 60000);
	nexus_set_timeout(b->client, 50);
	assert_int_equal(nexus_zone_upgrade(b->client, "a", NULL, NULL),
			 -ETIMEDOUT);
	assert_int_equal(nexus_health(b->client, NULL), -ENOTCONN);
	nexus_set_timeout(b->client, 0);
	atomic_store(&b->h->fake.slow_ms, 0);
	assert_int_equal(nexus_connect(b->client, b->h->path), 0);
	assert_int_equal(nexus_zone_upgrade(b->client, "a", NULL, NULL),
			 -ENOENT);
}

static void too_large(void **state)
{
	struct both *b = *state;
	size_t len = RPC_MESSAGE_MAX;
	char *big = calloc(1, len);

	assert_int_equal(nexus_call(b->client, "s", "m", big, len, NULL, NULL),
			 -EMSGSIZE);
	free(big);
	assert_int_equal(nexus_health(b->client, NULL), 0);
}

static void server_stops(void **state)
{
	struct both *b = *state;

	rpc_server_stop(b->h->server);
	pthread_join(b->h->thread, NULL);
	b->h->running = false;
	assert_int_equal(nexus_health(b->client, NULL), -ECONNRESET);
	assert_non_null(strstr(nexus_error(b->client), "closed the connection"));
}

static void nobody_there(void **state)
{
	struct nexus_client *client = nexus_new();
	char longer[200];

	(void)state;
	assert_non_null(client);
	assert_int_equal(nexus_health(client, NULL), -ENOTCONN);
	assert_int_equal(nexus_connect(client, "/tmp/no-such-nexus.sock"),
			 -ENOENT);
	assert_non_null(strstr(nexus_error(client), "systemctl start nexusd"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(nexus_connect(client, longer), -ENAMETOOLONG);
	nexus_free(client);
	nexus_free(NULL);
	assert_string_equal(nexus_error(NULL), "out of memory");
}

/* A listener that answers any client with the same bytes. */
struct impostor {
	int fd;
	const char *bytes;
	size_t len;
};

static void *impose(void *arg)
{
	struct impostor *imp = arg;
	char buf[4096];
	int fd = accept(imp->fd, NULL, NULL);

	if (recv(fd, buf, sizeof(buf), 0) > 0)
		raw_send(fd, imp->bytes, imp->len);
	close(fd);
	return NULL;
}

static void impostors(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int error;
	} cases[] = {
		{ "HTTP/1.1 400\r\n", 14, -EPROTO },
		{ "\0\0\0\x02\0\0\0\x01\x02\0\xff\xff", 12, -EPROTO },
		{ "\0\0\0\0\0\0\0\x03\x02\0", 10, -EPROTO },	/* stream 3 */
		{ "\xff\0\0\0\0\0\0\x01\x02\0", 10, -EPROTO },
		{ "\0\0\0\x10\0\0\0\x01\x02\0half", 14, -ECONNRESET },
		{ "\0\0\0\x05\0\0\0\x01\x02\0\x12\x03\xff\xff\xff", 15, -EPROTO },
		/* a status without a detail, code 5 and code 1000 */
		{ "\0\0\0\x04\0\0\0\x01\x02\0\x0a\x02\x08\x05", 14, -ENOENT },
		{ "\0\0\0\x05\0\0\0\x01\x02\0\x0a\x03\x08\xe8\x07", 15, -EIO },
	};
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct nexus_client *client = nexus_new();
	struct impostor imp;
	pthread_t thread;
	size_t i;

	(void)state;
	snprintf(addr.sun_path, sizeof(addr.sun_path),
		 "/tmp/nexus-impostor-%d", (int)getpid());
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		imp.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		imp.bytes = cases[i].bytes;
		imp.len = cases[i].len;
		unlink(addr.sun_path);
		assert_int_equal(bind(imp.fd, (struct sockaddr *)&addr,
				      sizeof(addr)), 0);
		assert_int_equal(listen(imp.fd, 1), 0);
		pthread_create(&thread, NULL, impose, &imp);
		assert_int_equal(nexus_connect(client, addr.sun_path), 0);
		assert_int_equal(nexus_health(client, NULL), cases[i].error);
		pthread_join(thread, NULL);
		close(imp.fd);
	}
	unlink(addr.sun_path);
	nexus_free(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zones),
		TEST(packs),
		TEST(quotas),
		TEST(scrub),
		TEST(uploads),
		TEST(gc),
		TEST(services),
		TEST(errors_keep_their_errno),
		TEST(the_rest),
		TEST(start_and_profile),
		TEST(time_limit),
		TEST(too_large),
		TEST(server_stops),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(impostors),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
