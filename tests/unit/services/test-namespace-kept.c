// SPDX-License-Identifier: Apache-2.0
/*
 * What becomes of what is kept of subjects: revocations, times, limits; permissions that
 * do not answer; and many who ask at once.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "namespace-world.h"

/* ---- what is kept --------------------------------------------------------------------- */

static void test_kept(void **state)
{
	struct nexus_namespace_state before, after;
	uint64_t generation;

	(void)state;
	put("file:main:/a#viewer@user:u");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	generation = last.read.generation;
	assert_true(generation != 0);
	before = numbers();
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	misses("user:u", "/b", NEXUS_NAMESPACE_NO_GRANT);
	after = numbers();
	assert_int_equal(after.hits, before.hits + 2);
	assert_int_equal(after.built, before.built);
	/* A write of others: read again, and the same. */
	put("file:main:/b#viewer@user:v");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.generation, generation);
	assert_int_equal(numbers().same, before.same + 1);
	/* Revoked is revoked at once, and so is what is granted. */
	del("file:main:/a#viewer@user:u");
	misses("user:u", "/a", NEXUS_NAMESPACE_NO_GRANT);
	assert_true(last.read.generation > generation);
	generation = last.read.generation;
	put("file:main:/a#viewer@user:u");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	assert_true(last.read.generation > generation);
	/* By a group, and by a policy. */
	put("file:main:/g#viewer@group:x#member");
	put("group:x#member@user:u");
	sees("user:u", "/g", NEXUS_NAMESPACE_GRANT);
	del("group:x#member@user:u");
	misses("user:u", "/g", NEXUS_NAMESPACE_NO_GRANT);
	set_policy("types:\n  user:\n  file:\n    relations: { viewer: { this: [user] }, owner: { this: [user] } }\n"
		   "    permissions: { read: [owner] }\n");
	misses("user:u", "/a", NEXUS_NAMESPACE_NO_GRANT);
}

/* No write tells of it. */
static void test_time(void **state)
{
	uint64_t generation;

	(void)state;
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "file:main:/t#viewer@user:u", now + 1000, NULL), 0);
	put("file:main:/k#viewer@user:u");
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "file:main:/k#banned@user:u", now + 2000, NULL), 0);
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.valid_until_ms, now + 1000);
	/* As found, as kept by the permissions, and as kept here. */
	put("file:main:/n#note@user:z");
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	put("file:main:/n#note@user:y");
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.valid_until_ms, now + 1000);
	generation = last.read.generation;
	now += 999;
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	misses("user:u", "/k", NEXUS_NAMESPACE_NO_GRANT);
	assert_int_equal(last.read.generation, generation);
	now += 1;
	misses("user:u", "/t", NEXUS_NAMESPACE_NO_GRANT);
	assert_true(last.read.generation > generation);
	now += 1000;
	sees("user:u", "/k", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.valid_until_ms, INT64_MAX);
}

static void test_limit(void **state)
{
	struct nexus_namespace_state s;
	char text[64], who[16];
	uint32_t i;

	(void)state;
	names_end(&names);
	names_begin(20000);
	for (i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "file:main:/d%u#viewer@user:u%u", i, i);
		put(text);
		snprintf(who, sizeof(who), "user:u%u", i);
		snprintf(text, sizeof(text), "/d%u", i);
		sees(who, text, NEXUS_NAMESPACE_GRANT);
		assert_true(numbers().bytes <= 20000);
	}
	s = numbers();
	assert_true(s.evicted > 0 && s.subjects + s.evicted == 200 && s.entries == s.subjects);
	/* The last ones are there, the first is not. */
	sees("user:u199", "/d199", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(numbers().built, 200);
	sees("user:u0", "/d0", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(numbers().built, 201);
	names_end(&names);
	names_begin(0);
	sees("user:u0", "/d0", NEXUS_NAMESPACE_GRANT);
	sees("user:u0", "/d0", NEXUS_NAMESPACE_GRANT);
	s = numbers();
	assert_int_equal(s.built, 2);
	assert_int_equal(s.bytes + s.subjects + s.entries + s.evicted, 0);
}

/* Which states are wanted is the permissions' affair. */
static void test_states(void **state)
{
	struct nexus_namespace_visible_args a = {
		.who = { .subject = "user:u" }, .zone = "main", .path = "/a",
	};

	(void)state;
	put("file:main:/a#viewer@user:u");
	a.read.freshness = NEXUS_PERMISSION_AT_LEAST;
	strcpy(a.read.token, last_write.token);
	assert_int_equal(names_visible(&names, &a), 0);
	assert_true(a.answer.visible);
	assert_string_equal(a.read.at, last_write.token);
	strcat(a.read.token, "0");
	assert_int_equal(names_visible(&names, &a), -ESTALE);
	assert_false(a.answer.visible);
	strcpy(a.read.token, "x");
	assert_int_equal(names_visible(&names, &a), -EINVAL);
	a.read.freshness = 9;
	assert_int_equal(names_visible(&names, &a), -EINVAL);
}

/* ---- what goes wrong -------------------------------------------------------------------- */

/* What a limit left out is not visible, and looked for again. */
static void test_partial(void **state)
{
	struct nexus_namespace_state s;
	char text[64];
	uint32_t i;

	(void)state;
	put("file:main:/a/b#viewer@user:u");
	fault.unknown = NEXUS_PERMISSION_NODES;
	sees("user:u", "/a/b", NEXUS_NAMESPACE_GRANT);
	sees("user:u", "/a", NEXUS_NAMESPACE_WAY);
	misses("user:u", "/c", NEXUS_NAMESPACE_UNKNOWN);
	assert_int_equal(last.read.unknown, NEXUS_PERMISSION_NODES);
	assert_int_equal(last.read.generation, 0);
	s = numbers();
	assert_int_equal(s.partial, 3);
	assert_int_equal(s.hits, 0);
	/* What depends on facts is not there, and not for lack of time. */
	fault.unknown = NEXUS_PERMISSION_CONDITION;
	misses("user:u", "/c", NEXUS_NAMESPACE_NO_GRANT);
	assert_true(last.read.generation != 0);
	misses("user:u", "/c", NEXUS_NAMESPACE_NO_GRANT);
	assert_int_equal(numbers().hits, 1);
	fault.unknown = 0;
	/* In the middle of it. */
	for (i = 0; i < 150; i++) {
		snprintf(text, sizeof(text), "file:main:/d%u#viewer@user:w", i);
		put(text);
	}
	fault = (struct fault){ .objects = -ETIMEDOUT, .from = 1 };
	sees("user:w", "/d0", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.unknown, NEXUS_PERMISSION_DEADLINE);
	fault = (struct fault){ .objects = -ETIMEDOUT, .from = 1 };
	misses("user:w", "/d149", NEXUS_NAMESPACE_UNKNOWN);
	fault = (struct fault){ .objects = -EIO, .from = 1 };
	last.path = "/d0";
	assert_int_equal(names_visible(&names, &last), -EIO);
	assert_false(last.answer.visible);
	memset(&fault, 0, sizeof(fault));
	sees("user:w", "/d149", NEXUS_NAMESPACE_GRANT);
}

/* Busy permissions are a no, others an error; and what is kept is not used then. */
static void test_faults(void **state)
{
	static const int busy[] = { -EAGAIN, -ETIMEDOUT }, errors[] = { -EIO, -ESHUTDOWN, -ENOMEM };
	struct nexus_namespace_visible_args a = {
		.who = { .subject = "user:u" }, .zone = "main", .path = "/a",
	};
	size_t i;

	(void)state;
	put("file:main:/a#viewer@user:u");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	for (i = 0; i < 2; i++) {
		fault.revision = busy[i];
		misses("user:u", "/a", NEXUS_NAMESPACE_UNKNOWN);
		assert_int_equal(last.read.unknown, NEXUS_PERMISSION_DEADLINE);
		assert_int_equal(entries("user:u", NULL, NULL, 0).count, 0);
		/* They see without the permissions. */
		sees("user:0", "/a", NEXUS_NAMESPACE_ADMIN);
		sees("user:u", "/__sys__", NEXUS_NAMESPACE_SYS);
		fault.revision = 0;
		fault.objects = busy[i];
		misses("user:w", "/a", NEXUS_NAMESPACE_UNKNOWN);
		fault.objects = 0;
	}
	assert_int_equal(numbers().busy, 8);
	for (i = 0; i < 3; i++) {
		fault.revision = errors[i];
		assert_int_equal(names_visible(&names, &a), errors[i]);
		assert_false(a.answer.visible);
		fault.revision = 0;
		fault.objects = errors[i];
		a.who.subject = "user:w";
		assert_int_equal(names_visible(&names, &a), errors[i]);
		assert_false(a.answer.visible);
		fault.objects = 0;
		a.who.subject = "user:u";
	}
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
}

static void test_too_many(void **state)
{
	struct view_maker m = { .n = 0 };
	char id[32];
	uint32_t i;

	(void)state;
	for (i = 0; i < NEXUS_NAMESPACE_ENTRIES_MAX; i++) {
		snprintf(id, sizeof(id), "main:/d%u", i);
		assert_int_equal(view_add(&m, id), 0);
	}
	assert_int_equal(view_add(&m, "main:/e"), -ENOSPC);
	view_maker_end(&m);
	fault.objects = -ENOSPC;
	misses("user:u", "/a", NEXUS_NAMESPACE_UNKNOWN);
	assert_int_equal(last.read.unknown, NEXUS_PERMISSION_NODES);
}

/* ---- many at once ------------------------------------------------------------------------ */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static uint32_t inside;
static bool open_gate;

static int slow_revision(void *arg, struct nexus_permission_read *read, uint32_t timeout_ms)
{
	(void)arg;
	(void)timeout_ms;
	strcpy(read->at, "one");
	return 0;
}

static int slow_objects(void *arg, const char *subject, const char *after, uint32_t timeout_ms,
			names_each each, void *each_arg, struct names_piece *p)
{
	(void)arg;
	(void)subject;
	(void)after;
	(void)timeout_ms;
	pthread_mutex_lock(&gate);
	inside++;
	pthread_cond_broadcast(&moved);
	while (!open_gate)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
	*p = (struct names_piece){ .at = "one", .valid_until = INT64_MAX };
	return each(each_arg, "main:/a");
}

static const struct names_source slow = { .revision = slow_revision, .objects = slow_objects };

static void *slow_asker(void *arg)
{
	struct nexus_namespace_visible_args a = {
		.who = { .subject = arg }, .zone = "main", .path = "/a",
	};

	return names_visible(&names, &a) || !a.answer.visible || a.answer.why != NEXUS_NAMESPACE_GRANT ?
		arg : NULL;
}

/* No more subjects at a time than builders: the others are denied, not made to wait for ever. */
static void test_busy(void **state)
{
	static char who[NAMES_BUILDERS][16];
	pthread_t threads[NAMES_BUILDERS];
	void *failed;
	uint32_t i;

	(void)state;
	names.source = &slow;
	inside = 0;
	open_gate = false;
	for (i = 0; i < NAMES_BUILDERS; i++) {
		snprintf(who[i], sizeof(who[i]), "user:u%u", i);
		assert_int_equal(pthread_create(&threads[i], NULL, slow_asker, who[i]), 0);
	}
	pthread_mutex_lock(&gate);
	while (inside < NAMES_BUILDERS)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
	/* Nobody else reads it: the time is up, however short it is. */
	names.wait_ms = 1;
	misses("user:another", "/a", NEXUS_NAMESPACE_UNKNOWN);
	misses("user:u0", "/a", NEXUS_NAMESPACE_UNKNOWN);
	sees("user:0", "/a", NEXUS_NAMESPACE_ADMIN);
	assert_int_equal(numbers().busy, 2);
	names.wait_ms = 600000;
	pthread_mutex_lock(&gate);
	open_gate = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	for (i = 0; i < NAMES_BUILDERS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	sees("user:another", "/a", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(inside, NAMES_BUILDERS + 1);
}

#define CROWD	16u

/* Whoever wants what is being read waits for it, and reads nothing itself. */
static void test_crowd(void **state)
{
	static char who[] = "user:u";
	pthread_t threads[CROWD];
	void *failed;
	uint32_t i;

	(void)state;
	names.source = &slow;
	names.wait_ms = 600000;
	inside = 0;
	open_gate = false;
	for (i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, slow_asker, who), 0);
	pthread_mutex_lock(&gate);
	while (!inside)
		pthread_cond_wait(&moved, &gate);
	open_gate = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	for (i = 0; i < CROWD; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(inside, 1);
	assert_int_equal(numbers().built, 1);
	assert_int_equal(numbers().hits, CROWD - 1);
}

/* Revoked again and again while others ask: nobody is told yes that asked afterwards. */
static atomic_uint phase, asked, late;
static atomic_bool over;

static void *asker(void *arg)
{
	char who[16];
	uint32_t i, before;
	struct nexus_namespace_visible_args a;

	(void)arg;
	for (i = 0; !atomic_load(&over); i++) {
		snprintf(who, sizeof(who), "user:u%u", i % 3);
		a = (struct nexus_namespace_visible_args){
			.who = { .subject = who }, .zone = "main", .path = "/a/b",
		};
		before = atomic_load(&phase);
		if (names_visible(&names, &a) || a.answer.why == NEXUS_NAMESPACE_UNKNOWN ||
		    (before == atomic_load(&phase) && before % 2 == 0 && a.answer.visible))
			atomic_fetch_add(&late, 1);
		atomic_fetch_add(&asked, 1);
	}
	return NULL;
}

static void test_revocations(void **state)
{
	pthread_t threads[4];
	uint32_t i, j, seen;
	char text[64];

	(void)state;
	names.wait_ms = 600000;
	put("group:g#member@user:u0");
	put("group:g#member@user:u1");
	put("group:g#member@user:u2");
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, asker, NULL), 0);
	for (i = 0; i < 150; i++) {
		atomic_fetch_add(&phase, 1);
		put("file:main:/a#viewer@group:g#member");
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + 4)
			sched_yield();
		for (j = 0; j < i % 3; j++) {
			snprintf(text, sizeof(text), "group:h#member@user:w%u", i * 3 + j);
			put(text);
		}
		del("file:main:/a#viewer@group:g#member");
		atomic_fetch_add(&phase, 1);
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + 4)
			sched_yield();
	}
	atomic_store(&over, true);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&late), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NAMES(test_kept), IN_NAMES(test_time), IN_NAMES(test_limit),
		IN_NAMES(test_states), IN_NAMES(test_partial), IN_NAMES(test_faults),
		IN_NAMES(test_too_many), IN_NAMES(test_busy), IN_NAMES(test_crowd),
		IN_NAMES(test_revocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
