// SPDX-License-Identifier: Apache-2.0
/*
 * Which task comes next: against a model that filters by one rule after the other, with
 * a clock of the test's; how long anything can wait; what each owner gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nexus/services/scheduler.h>

#include "queue.h"

#define TASKS	48u
#define OWNERS	5u
#define STEPS	60000u

static const char *const names[] = { "user:1", "user:2", "agent:a", "user:4", "agent:b", "" };
static const char *const types[] = { "", "index", "mail" };

struct model_task {
	uint64_t id;		/* 0: none here */
	uint32_t owner, executor, type, priority, boost, service;
	int64_t submitted, deadline, started, lease;
	bool running;
};

static struct model_task model[TASKS];
static uint64_t used[OWNERS];
static struct queue q;
static int64_t now;
static uint64_t next_id, seed;
static uint64_t by_rule[6];	/* how often a rule decided */

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

/* ---- the model ------------------------------------------------------------------------ */

static uint32_t running_of(uint32_t owner)
{
	uint32_t i, n = 0;

	for (i = 0; i < TASKS; i++)
		n += model[i].id && model[i].running && model[i].owner == owner;
	return n;
}

static bool active(uint32_t owner)
{
	uint32_t i;

	for (i = 0; i < TASKS; i++)
		if (model[i].id && model[i].owner == owner)
			return true;
	return false;
}

static int64_t wait_of(const struct model_task *t)
{
	return now - t->submitted;
}

static int64_t tier_of(const struct model_task *t)
{
	int64_t tier = (int64_t)t->priority - t->boost - wait_of(t) / 120000;

	return tier < 0 ? 0 : tier;
}

/* Of those left, the ones with the least @value stay. */
static uint32_t least(struct model_task **set, uint32_t n, int64_t (*value)(const struct model_task *))
{
	int64_t min = INT64_MAX;
	uint32_t i, left = 0;

	for (i = 0; i < n; i++)
		if (value(set[i]) < min)
			min = value(set[i]);
	for (i = 0; i < n; i++)
		if (value(set[i]) == min)
			set[left++] = set[i];
	return left;
}

static int64_t is_young(const struct model_task *t)
{
	return wait_of(t) < 900000;
}

static int64_t came(const struct model_task *t)
{
	return t->submitted;
}

static int64_t owner_used(const struct model_task *t)
{
	return (int64_t)used[t->owner];
}

static int64_t number(const struct model_task *t)
{
	return (int64_t)t->id;
}

/* The ratio has to be compared exactly: one after the other as fractions. */
static uint32_t highest_ratio(struct model_task **set, uint32_t n)
{
	struct model_task *best = set[0];
	uint32_t i, left = 0;

	for (i = 1; i < n; i++)
		if ((__int128)(wait_of(set[i]) + set[i]->service) * best->service >
		    (__int128)(wait_of(best) + best->service) * set[i]->service)
			best = set[i];
	for (i = 0; i < n; i++)
		if ((__int128)(wait_of(set[i]) + set[i]->service) * best->service ==
		    (__int128)(wait_of(best) + best->service) * set[i]->service)
			set[left++] = set[i];
	return left;
}

static uint64_t model_next(const struct queue_who *who)
{
	struct model_task *set[TASKS];
	uint32_t i, n = 0, rule = 0;

	for (i = 0; i < TASKS; i++) {
		struct model_task *t = &model[i];
		bool mine = t->id && (!strcmp(names[t->owner], who->worker) ||
				      !strcmp(names[t->executor], who->worker));

		if (!t->id || t->running || running_of(t->owner) >= q.running_max)
			continue;
		if (t->deadline && now >= t->deadline)
			continue;
		if (names[t->executor][0] && strcmp(names[t->executor], who->worker) != 0)
			continue;
		if (who->type[0] && strcmp(types[t->type], who->type) != 0)
			continue;
		if (who->any || mine)
			set[n++] = t;
	}
	if (!n)
		return 0;
	n = least(set, n, is_young);
	if (!is_young(set[0])) {
		n = least(set, n, came);
	} else {
		for (rule = 1; n > 1 && rule < 4; rule++)
			n = rule == 1 ? least(set, n, tier_of) :
			    rule == 2 ? least(set, n, owner_used) : highest_ratio(set, n);
	}
	by_rule[rule]++;
	if (n > 1)
		by_rule[5]++;
	n = least(set, n, number);
	assert_int_equal(n, 1);
	return set[0]->id;
}

static uint64_t charge(const struct model_task *t)
{
	return t->service < 1000 ? 1000 : t->service;
}

/* ---- both ----------------------------------------------------------------------------- */

static void add(struct model_task *m)
{
	struct queue_task t;
	uint64_t floor = UINT64_MAX;
	uint32_t i;

	*m = (struct model_task){
		.owner = rnd(OWNERS), .executor = rnd(4) ? 5 : rnd(OWNERS), .type = 1 + rnd(2),
		.priority = rnd(5), .boost = rnd(8) ? 0 : rnd(3),
		.service = rnd(3) ? 1000 * (1 + rnd(2)) : 1 + rnd(100000),
		.submitted = now, .deadline = rnd(4) ? 0 : now + 1 + rnd(2000000),
	};
	if (!active(m->owner)) {
		for (i = 0; i < OWNERS; i++)
			if (active(i) && used[i] < floor)
				floor = used[i];
		if (floor != UINT64_MAX && used[m->owner] < floor)
			used[m->owner] = floor;
	}
	m->id = ++next_id;
	t = (struct queue_task){
		.id = m->id, .priority = m->priority, .boost = m->boost, .service_ms = m->service,
		.submitted = m->submitted, .deadline = m->deadline,
	};
	assert_int_equal(queue_add(&q, &t, names[m->owner], names[m->executor], types[m->type]), 0);
}

static struct model_task *model_find(uint64_t id)
{
	uint32_t i;

	for (i = 0; i < TASKS; i++)
		if (model[i].id == id)
			return &model[i];
	fail_msg("no task %llu", (unsigned long long)id);
	return NULL;
}

static void claim(void)
{
	const struct queue_who who = { names[rnd(OWNERS)], types[rnd(4) ? 0 : 1 + rnd(2)], rnd(3) };
	uint64_t expected = model_next(&who);
	struct queue_task *t = queue_next(&q, &who, now);
	struct model_task *m;

	assert_int_equal(t ? t->id : 0, expected);
	if (!t)
		return;
	m = model_find(expected);
	m->running = true;
	m->started = now;
	m->lease = now + 1 + rnd(200000);
	used[m->owner] += charge(m);
	queue_claim(&q, t, t->claim + 1, now, m->lease);
}

static void stopped(struct model_task *m)
{
	if (m->running && (uint64_t)(now - m->started) > charge(m))
		used[m->owner] += (uint64_t)(now - m->started) - charge(m);
}

/* One that ends, or whose claim does. */
static void leave(struct model_task *m)
{
	struct queue_task *t = queue_find(&q, m->id);

	assert_non_null(t);
	stopped(m);
	if (m->running && rnd(3) == 0) {
		queue_back(&q, t, now);
		m->running = false;
		return;
	}
	queue_remove(&q, t, now);
	m->id = 0;
}

static void check_due(void)
{
	struct queue_task *due[TASKS];
	uint32_t i, n = queue_due(&q, now, due, TASKS), expected = 0;

	for (i = 0; i < TASKS; i++)
		expected += model[i].id && ((model[i].deadline && model[i].deadline <= now) ||
					    (model[i].running && model[i].lease <= now));
	assert_int_equal(n, expected);
	for (i = 0; i < n; i++)
		leave(model_find(due[i]->id));
}

static void test_random(void **state)
{
	uint32_t step, i;

	(void)state;
	seed = 42;
	now = 1000000;
	queue_init(&q, 4);
	for (step = 0; step < STEPS; step++) {
		now += rnd(3) ? 0 : rnd(12000);
		i = rnd(TASKS);
		switch (rnd(6)) {
		case 0:
		case 1:
		case 2:
			if (!model[i].id)
				add(&model[i]);
			break;
		case 3:
		case 4:
			claim();
			break;
		default:
			if (model[i].id && model[i].running)
				leave(&model[i]);
			else if (!rnd(8))
				check_due();
		}
		assert_null(queue_find(&q, next_id + 1));
		for (i = 0; i < OWNERS; i++) {
			const struct queue_owner *o = queue_owner(&q, names[i]);

			if (o)
				assert_int_equal(o->used, used[i]);
			if (o)
				assert_int_equal(o->running, running_of(i));
		}
	}
	print_message("# decided: overdue %llu, tier %llu, share %llu, ratio %llu; by id %llu\n",
		      (unsigned long long)by_rule[0], (unsigned long long)by_rule[2],
		      (unsigned long long)by_rule[3], (unsigned long long)by_rule[4],
		      (unsigned long long)by_rule[5]);
	for (i = 0; i < 6; i++)
		assert_true(i == 1 || by_rule[i] > 20);
	queue_end(&q);
}

/* ---- how long anything can wait ------------------------------------------------------- */

static void put(uint64_t id, const char *owner, uint32_t priority, uint32_t service)
{
	const struct queue_task t = {
		.id = id, .priority = priority, .service_ms = service, .submitted = now,
	};

	assert_int_equal(queue_add(&q, &t, owner, "", "index"), 0);
}

static const struct queue_who anybody = { "user:0", "", true };

static uint64_t one_done(int64_t takes)
{
	struct queue_task *t = queue_next(&q, &anybody, now);
	uint64_t id;

	if (!t)
		return 0;
	id = t->id;
	queue_claim(&q, t, 1, now, now + 1000000);
	now += takes;
	queue_remove(&q, queue_find(&q, id), now);
	return id;
}

/*
 * More comes in than can be done, all of it shorter and more urgent, of others and of its
 * owner.  The last in line waits until it is overdue, and then for those before it only.
 */
static void test_starvation(void **state)
{
	uint32_t before = 20, i, n;
	uint64_t id = 0, done;
	int64_t came_in, bound;
	bool over = false;

	(void)state;
	now = 1000000;
	queue_init(&q, 10);
	for (i = 0; i < before; i++)
		put(++id, i % 2 ? "user:1" : "user:2", NEXUS_TASK_BEST_EFFORT, 3600000);
	put(++id, "user:1", NEXUS_TASK_BEST_EFFORT, 86400000);
	came_in = now;
	bound = NEXUS_TASK_OVERDUE_MS + (int64_t)(before + 1) * 1000;
	for (n = 0; !over; n++) {
		put(++id, names[n % 2], NEXUS_TASK_CRITICAL, 1000);
		put(++id, names[n % 2 + 2], NEXUS_TASK_CRITICAL, 1000);
		done = one_done(1000);
		over = done == before + 1;
		if (now - came_in > bound + 1000)
			fail_msg("waits for %lld ms, and others go first", (long long)(now - came_in));
	}
	/* The rules before were of effect, too. */
	assert_true(n > before + 100);
	queue_end(&q);
}

/* ---- what each owner gets ------------------------------------------------------------- */

static uint32_t owner_of[4000];

/* Three have all they want; the fourth one task at a time. */
static void test_share(void **state)
{
	uint32_t got[4] = { 0 }, i;
	uint64_t id = 0, done;

	(void)state;
	now = 1000000;
	queue_init(&q, 10);
	for (i = 0; i < 1200; i++) {
		owner_of[++id] = i % 6 < 4 ? 0 : i % 6 - 3;
		put(id, names[owner_of[id]], NEXUS_TASK_NORMAL, 1000);
	}
	for (i = 0; i < 400; i++) {
		if (!queue_owner(&q, names[3]) || !queue_owner(&q, names[3])->queued) {
			owner_of[++id] = 3;
			put(id, names[3], NEXUS_TASK_NORMAL, 1000);
		}
		done = one_done(10);
		assert_true(done);
		got[owner_of[done]]++;
	}
	for (i = 0; i < 4; i++)
		if (got[i] < 98 || got[i] > 102)
			fail_msg("owner %u got %u of 400", i, got[i]);
	queue_end(&q);
}

/* Who says less than it takes pays for it; who was away has not saved up. */
static void test_used(void **state)
{
	(void)state;
	now = 1000000;
	queue_init(&q, 10);
	put(1, names[0], NEXUS_TASK_NORMAL, 1000);
	put(2, names[0], NEXUS_TASK_NORMAL, 1000);
	assert_int_equal(one_done(60000), 1);
	assert_int_equal(queue_owner(&q, names[0])->used, 60000);
	put(3, names[1], NEXUS_TASK_NORMAL, 1);
	assert_int_equal(queue_owner(&q, names[1])->used, 60000);
	assert_int_equal(one_done(0), 2);
	assert_int_equal(one_done(0), 3);
	/* A second is the least. */
	assert_int_equal(queue_owner(&q, names[1])->used, 61000);
	assert_int_equal(one_done(0), 0);
	queue_end(&q);
}

/* Waiting brings the last tier to the first, and what an owner has used moves no task. */
static void test_tiers(void **state)
{
	const int64_t minute = 60000;

	(void)state;
	now = 1000000;
	queue_init(&q, 10);
	put(1, names[0], NEXUS_TASK_HIGH, 86400000);
	put(2, names[0], NEXUS_TASK_HIGH, 1000);
	put(3, names[1], NEXUS_TASK_NORMAL, 1000);
	put(4, names[1], NEXUS_TASK_BEST_EFFORT, 1000);
	assert_int_equal(queue_tier(queue_find(&q, 4), now + 2 * minute - 1), 4);
	assert_int_equal(queue_tier(queue_find(&q, 4), now + 2 * minute), 3);
	assert_int_equal(queue_tier(queue_find(&q, 4), now + 8 * minute - 1), 1);
	assert_int_equal(queue_tier(queue_find(&q, 4), now + 8 * minute), 0);
	queue_remove(&q, queue_find(&q, 4), now);
	/* A day is used, and it still goes first by its tier. */
	queue_claim(&q, queue_find(&q, 1), 1, now, now + minute);
	assert_int_equal(queue_owner(&q, names[0])->used, 86400000);
	assert_int_equal(one_done(0), 2);
	assert_int_equal(one_done(0), 3);
	queue_end(&q);
}

/* More owners than are remembered. */
static void test_many_owners(void **state)
{
	char name[32];
	uint64_t id;

	(void)state;
	now = 1000000;
	queue_init(&q, 10);
	put(1, "user:keeps", NEXUS_TASK_BEST_EFFORT, 1000);
	for (id = 2; id < QUEUE_OWNERS_MAX * 2; id++) {
		snprintf(name, sizeof(name), "user:%llu", (unsigned long long)id);
		put(id, name, NEXUS_TASK_CRITICAL, 1000);
		assert_int_equal(one_done(1), id);
		assert_true(q.n_owners <= QUEUE_OWNERS_MAX);
	}
	assert_non_null(queue_owner(&q, "user:keeps"));
	assert_int_equal(one_done(1), 1);
	queue_end(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_starvation),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_used),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_many_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
