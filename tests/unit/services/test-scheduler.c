// SPDX-License-Identifier: Apache-2.0
/*
 * The scheduler over SQLite and PostgreSQL, with a clock of the test's: who may what,
 * input, keys, leases and deadlines, restarts, two helpers, many workers at once.
 */
#include "store-world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tasks.h"

#define TABLES	"scheduler_task, scheduler_state"
#define U1	"user:1000"
#define U2	"user:1001"
#define W1	"agent:worker-1"
#define W2	"agent:worker-2"

static struct tasks s;
static atomic_long now;

static int64_t now_ms(void)
{
	return atomic_load(&now);
}

static const struct tasks_opts opts = {
	.tasks_max = 300, .owner_max = 250, .running_max = 10, .claims_max = 3, .kept_ms = 1000000,
	.kept_max = 40, .now_ms = now_ms, .more = more,
};

static int setup(void **state)
{
	now = 1700000000000;
	if (store_begin(*state))
		assert_int_equal(tasks_open(&s, records, &opts, say_line, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	if (!records)
		return 0;
	tasks_close(&s);
	store_end(*state, TABLES);
	return 0;
}

static void on(void (*test)(void **), void **state)
{
	if (!records)
		skip();
	test(state);
}

/* A helper that ends without a word, and the next. */
static void crash(void)
{
	tasks_close(&s);
	store_reopen();
	assert_int_equal(tasks_open(&s, records, &opts, say_line, NULL), 0);
}

/* ---- calls -------------------------------------------------------------------------- */

static struct nexus_task_submit_args work(const char *owner)
{
	return (struct nexus_task_submit_args){
		.task = { .owner = owner, .type = "index", .priority = NEXUS_TASK_NORMAL },
	};
}

static uint64_t submit(const char *owner)
{
	struct nexus_task_submit_args a = work(owner);

	assert_int_equal(tasks_submit(&s, &a), 0);
	assert_false(a.existed);
	return a.id;
}

static int claim_in(struct tasks *in, const char *as, const char *worker, struct nexus_task *task)
{
	struct nexus_task_claim_args a = { .as = as, .worker = worker };
	int ret = tasks_claim(in, &a);

	*task = a.task;
	return ret;
}

static int claim(const char *as, const char *worker, struct nexus_task *task)
{
	return claim_in(&s, as, worker, task);
}

static int finish(const char *as, uint64_t id, uint64_t number, const char *error)
{
	struct nexus_task_finish_args a = {
		.as = as, .id = id, .claim = number, .failed = error, .error = error,
	};

	return tasks_finish(&s, &a);
}

static int renew(const char *as, uint64_t id, uint64_t number, uint32_t lease_ms)
{
	struct nexus_task_finish_args a = {
		.as = as, .id = id, .claim = number, .lease_ms = lease_ms,
	};
	int ret = tasks_renew(&s, &a);

	if (!ret)
		assert_true(a.until_ms > now && a.until_ms <= now + (lease_ms ? lease_ms : 30000));
	return ret;
}

static int cancel(const char *as, uint64_t id, const char *owner, uint32_t count)
{
	struct nexus_task_cancel_args a = { .as = as, .id = id, .owner = owner };
	int ret = tasks_cancel(&s, &a);

	if (!ret)
		assert_int_equal(a.count, count);
	return ret;
}

static struct nexus_task get(uint64_t id)
{
	struct nexus_task_get_args a = { .id = id };

	assert_int_equal(tasks_get(&s, &a), 0);
	return a.task;
}

static struct nexus_scheduler_state counts(void)
{
	struct nexus_scheduler_state st;

	assert_int_equal(tasks_state(&s, &st), 0);
	return st;
}

/* ---- a life ----------------------------------------------------------------------------- */

static void test_life(void **state)
{
	struct nexus_task_submit_args a = work(U1);
	struct nexus_task t;
	uint64_t id;

	(void)state;
	assert_int_equal(claim(NULL, W1, &t), -ENOENT);
	a.task.payload = "a\0b";
	a.task.payload_len = 3;
	a.task.priority = NEXUS_TASK_LOW;
	assert_int_equal(tasks_submit(&s, &a), 0);
	id = a.id;
	assert_int_equal(get(id).state, NEXUS_TASK_QUEUED);
	assert_int_equal(get(id).submitted_ms, now);
	assert_int_equal(counts().queued[NEXUS_TASK_LOW], 1);
	now += 120000;
	assert_int_equal(counts().queued[NEXUS_TASK_NORMAL], 1);
	assert_int_equal(counts().oldest_ms, 120000);
	assert_int_equal(claim(NULL, W1, &t), 0);
	assert_int_equal(t.id, id);
	assert_int_equal(t.state, NEXUS_TASK_RUNNING);
	assert_int_equal(t.claim, 1);
	assert_string_equal(t.worker, W1);
	assert_int_equal(t.payload_len, 3);
	assert_memory_equal(t.payload, "a\0b", 3);
	assert_int_equal(t.lease_ms, now + 30000);
	assert_int_equal(counts().running, 1);
	assert_int_equal(claim(NULL, W2, &t), -ENOENT);
	assert_int_equal(renew(W1, id, 1, 60000), 0);
	assert_int_equal(get(id).lease_ms, now + 60000);
	assert_int_equal(renew(W2, id, 1, 0), -EACCES);
	assert_int_equal(renew(W1, id, 2, 0), -EKEYEXPIRED);
	assert_int_equal(renew(W1, id, 0, 0), -EKEYEXPIRED);
	assert_int_equal(finish(W2, id, 1, NULL), -EACCES);
	assert_int_equal(finish(W1, id + 1, 1, NULL), -EKEYEXPIRED);
	now += 5;
	assert_int_equal(finish(W1, id, 1, NULL), 0);
	assert_int_equal(get(id).state, NEXUS_TASK_COMPLETED);
	assert_int_equal(get(id).finished_ms, now);
	/* Its answer was lost, and it says so again; but nothing else. */
	assert_int_equal(finish(W1, id, 1, NULL), 0);
	assert_int_equal(finish(W1, id, 1, "no"), -EKEYEXPIRED);
	assert_int_equal(renew(W1, id, 1, 0), -EKEYEXPIRED);
	assert_int_equal(cancel(NULL, id, NULL, 1), -EBUSY);
	assert_int_equal(counts().running, 0);
	id = submit(U1);
	assert_int_equal(claim(NULL, W1, &t), 0);
	assert_int_equal(finish(NULL, id, 1, "it broke"), 0);
	assert_int_equal(get(id).state, NEXUS_TASK_FAILED);
	assert_string_equal(get(id).error, "it broke");
}

static void test_who(void **state)
{
	struct nexus_task_submit_args a = work(U1);
	struct nexus_task_get_args get_args = { .as = U2 };
	struct nexus_task_list_args list = { .as = U2 };
	struct nexus_task t;
	uint64_t id, theirs;

	(void)state;
	a.as = U2;
	assert_int_equal(tasks_submit(&s, &a), -EACCES);
	a.as = U1;
	a.task.priority = NEXUS_TASK_CRITICAL;
	assert_int_equal(tasks_submit(&s, &a), -EACCES);
	a.task.priority = NEXUS_TASK_HIGH;
	a.task.boost = 1;
	assert_int_equal(tasks_submit(&s, &a), -EACCES);
	a.task.boost = 0;
	assert_int_equal(tasks_submit(&s, &a), 0);
	id = a.id;
	a = work(U1);
	a.task.executor = W1;
	assert_int_equal(tasks_submit(&s, &a), 0);
	theirs = a.id;
	assert_int_equal(claim(U2, U2, &t), -ENOENT);
	assert_int_equal(claim(U2, U1, &t), -EACCES);
	assert_int_equal(claim(W2, W2, &t), -ENOENT);
	assert_int_equal(claim(W1, W1, &t), 0);
	assert_int_equal(t.id, theirs);
	assert_int_equal(claim(W1, W1, &t), -ENOENT);
	assert_int_equal(claim(U1, U1, &t), 0);
	assert_int_equal(t.id, id);
	get_args.id = id;
	assert_int_equal(tasks_get(&s, &get_args), -EACCES);
	get_args.as = W1;
	assert_int_equal(tasks_get(&s, &get_args), -EACCES);
	get_args.id = theirs;
	assert_int_equal(tasks_get(&s, &get_args), 0);
	assert_int_equal(tasks_list(&s, &list), -EACCES);
	list.owner = U2;
	assert_int_equal(tasks_list(&s, &list), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(cancel(U2, id, NULL, 1), -EACCES);
	assert_int_equal(cancel(U2, 0, U1, 1), -EACCES);
	assert_int_equal(cancel(U1, id, NULL, 1), 0);
	assert_int_equal(get(id).state, NEXUS_TASK_CANCELLED);
	assert_int_equal(finish(U1, id, 1, NULL), -EKEYEXPIRED);
	/* Only of a type. */
	submit(U1);
	assert_int_equal(tasks_claim(&s, &(struct nexus_task_claim_args){
		.worker = W1, .type = "mail" }), -ENOENT);
	assert_int_equal(tasks_claim(&s, &(struct nexus_task_claim_args){
		.worker = W1, .type = "index" }), 0);
}

static void test_input(void **state)
{
	static char text[1100], payload[65537];
	struct nexus_task_submit_args a;
	struct nexus_task t;

	(void)state;
#define TRY(change, error) do { \
		a = work(U1); \
		change; \
		assert_int_equal(tasks_submit(&s, &a), error); \
		if ((error) == -EINVAL) \
			assert_non_null(a.fault); \
	} while (0)
	memset(text, 'x', sizeof(text) - 1);
	TRY(a.task.owner = "nobody", -EINVAL);
	TRY(a.task.owner = NULL, -EINVAL);
	TRY(a.task.type = "", -EINVAL);
	TRY(a.task.type = NULL, -EINVAL);
	TRY(a.task.type = "a b", -EINVAL);
	TRY(a.task.type = text + sizeof(text) - 1 - 65, -ENAMETOOLONG);
	TRY(a.task.executor = "x", -EINVAL);
	TRY(a.task.key = "a\nb", -EINVAL);
	TRY(a.task.key = text + sizeof(text) - 1 - 129, -ENAMETOOLONG);
	TRY(a.task.priority = 5, -EINVAL);
	TRY(a.task.boost = 3, -EINVAL);
	TRY(a.task.service_ms = 86400001, -EINVAL);
	TRY((a.task.payload = payload, a.task.payload_len = 65537), -EMSGSIZE);
	TRY(a.task.deadline_ms = now, -EINVAL);
	assert_string_equal(a.fault, "the deadline is in the past");
	TRY(a.task.deadline_ms = -1, -EINVAL);
	assert_int_equal(counts().submitted, 0);
	TRY((a.task.payload = payload, a.task.payload_len = 65536), 0);
	TRY(a.task.deadline_ms = now + 1, 0);
	assert_int_equal(claim(NULL, "worker", &t), -EINVAL);
	assert_int_equal(tasks_claim(&s, &(struct nexus_task_claim_args){
		.worker = W1, .lease_ms = 3600001 }), -EINVAL);
	assert_int_equal(claim(NULL, W1, &t), 0);
	assert_int_equal(renew(NULL, t.id, 1, 3600001), -EINVAL);
	assert_int_equal(finish(NULL, t.id, 1, text), -ENAMETOOLONG);
	assert_int_equal(finish(NULL, t.id, 1, text + sizeof(text) - 1 - 1024), 0);
	assert_int_equal(cancel(NULL, 0, "nobody", 0), -EINVAL);
	assert_int_equal(cancel(NULL, 999, NULL, 0), -ENOENT);
	assert_int_equal(tasks_list(&s, &(struct nexus_task_list_args){ .state = 6 }), -EINVAL);
	assert_int_equal(tasks_list(&s, &(struct nexus_task_list_args){ .max = 1001 }), -EINVAL);
	assert_int_equal(tasks_get(&s, &(struct nexus_task_get_args){ .id = UINT64_MAX }), -ENOENT);
}

static void test_key(void **state)
{
	struct nexus_task_submit_args a = work(U1), b;
	struct nexus_task t;
	uint64_t id;

	(void)state;
	a.task.key = "order-1";
	a.task.payload = "x";
	a.task.payload_len = 1;
	a.task.deadline_ms = now + 1000;
	b = a;
	assert_int_equal(tasks_submit(&s, &a), 0);
	id = a.id;
	a = b;
	assert_int_equal(tasks_submit(&s, &a), 0);
	assert_true(a.existed);
	assert_int_equal(a.id, id);
#define OTHER(change) do { \
		a = b; \
		change; \
		assert_int_equal(tasks_submit(&s, &a), -EEXIST); \
	} while (0)
	OTHER(a.task.payload = "y");
	OTHER(a.task.payload_len = 0);
	OTHER(a.task.type = "mail");
	OTHER(a.task.priority = NEXUS_TASK_LOW);
	OTHER(a.task.deadline_ms++);
	OTHER(a.task.executor = W1);
	OTHER(a.task.service_ms = 1);
	OTHER(a.task.boost = 1);
	/* Another's key is another key. */
	a = b;
	a.task.owner = U2;
	assert_int_equal(tasks_submit(&s, &a), 0);
	assert_false(a.existed);
	assert_int_equal(claim(NULL, W1, &t), 0);
	assert_int_equal(finish(NULL, t.id, 1, NULL), 0);
	/* It is known after its end, and after its deadline, and to the next helper. */
	now += 2000;
	crash();
	a = b;
	assert_int_equal(tasks_submit(&s, &a), 0);
	assert_true(a.existed);
	assert_int_equal(a.id, id);
	assert_int_equal(counts().queued[NEXUS_TASK_NORMAL], 1);
}

static void test_quota(void **state)
{
	struct nexus_task_submit_args a = work(U1);
	struct nexus_task t, none;
	uint32_t i;

	(void)state;
	for (i = 0; i < 250; i++)
		submit(U1);
	assert_int_equal(tasks_submit(&s, &a), -EDQUOT);
	for (i = 0; i < 50; i++)
		submit(U2);
	a = work(U2);
	assert_int_equal(tasks_submit(&s, &a), -ENOSPC);
	crash();
	a = work(U2);
	assert_int_equal(tasks_submit(&s, &a), -ENOSPC);
	/* Ten of an owner run at once. */
	for (i = 0; i < 20; i++)
		assert_int_equal(claim(NULL, W1, &t), 0);
	assert_int_equal(claim(NULL, W1, &none), -ENOENT);
	assert_int_equal(finish(NULL, t.id, 1, NULL), 0);
	assert_int_equal(claim(NULL, W1, &none), 0);
	assert_int_equal(cancel(NULL, 0, U2, t.owner[8] == '1' ? 49 : 50), 0);
	assert_int_equal(counts().running, 10);
	a = work(U2);
	assert_int_equal(tasks_submit(&s, &a), 0);
}

static void test_list(void **state)
{
	struct nexus_task_list_args list = { .max = 7 };
	struct nexus_task t;
	uint32_t i, n = 0;

	(void)state;
	for (i = 0; i < 30; i++)
		submit(i % 3 ? U1 : U2);
	for (i = 0; i < 5; i++)
		assert_int_equal(claim(NULL, W1, &t), 0);
	do {
		assert_int_equal(tasks_list(&s, &list), 0);
		for (i = 0; i < list.count; i++, n++)
			assert_true(list.tasks[i].id > list.after + i);
		list.after = list.tasks[list.count - 1].id;
	} while (list.more);
	assert_int_equal(n, 30);
	list = (struct nexus_task_list_args){ .owner = U2 };
	assert_int_equal(tasks_list(&s, &list), 0);
	assert_int_equal(list.count, 10);
	assert_null(list.tasks[0].payload);
	list = (struct nexus_task_list_args){ .state = NEXUS_TASK_RUNNING };
	assert_int_equal(tasks_list(&s, &list), 0);
	assert_int_equal(list.count, 5);
}

/* ---- time ------------------------------------------------------------------------------- */

/* What the dead had comes back, so often, and their word counts no more. */
static void test_lease(void **state)
{
	uint64_t id, i;
	struct nexus_task t;

	(void)state;
	id = submit(U1);
	for (i = 1; i <= 3; i++) {
		assert_int_equal(claim(NULL, W1, &t), 0);
		assert_int_equal(t.claim, i);
		now += 29999;
		assert_int_equal(claim(NULL, W2, &t), -ENOENT);
		now++;
		/* Whether somebody noticed it or not. */
		assert_int_equal(finish(W1, id, i, NULL), -EKEYEXPIRED);
		assert_int_equal(renew(W1, id, i, 0), -EKEYEXPIRED);
		if (i == 2)
			crash();
		if (i == 3)
			break;
		if (i == 1)
			tasks_tick(&s);
		/* It has kept its place. */
		assert_int_equal(get(id).submitted_ms, 1700000000000);
	}
	tasks_tick(&s);
	assert_int_equal(get(id).state, NEXUS_TASK_FAILED);
	assert_string_equal(get(id).error, "its workers were lost");
	assert_int_equal(counts().running, 0);
	assert_int_equal(counts().lost, 2);
	id = submit(U1);
	assert_int_equal(claim(NULL, W1, &t), 0);
	now += 20000;
	assert_int_equal(renew(W1, id, 1, 0), 0);
	now += 20000;
	tasks_tick(&s);
	assert_int_equal(finish(W1, id, 1, NULL), 0);
}

static void test_deadline(void **state)
{
	struct nexus_task_submit_args a = work(U1);
	struct nexus_task t;
	uint64_t late, running;

	(void)state;
	a.task.deadline_ms = now + 10000;
	assert_int_equal(tasks_submit(&s, &a), 0);
	running = a.id;
	assert_int_equal(claim(NULL, W1, &t), 0);
	/* No lease goes beyond it. */
	assert_int_equal(t.lease_ms, now + 10000);
	assert_int_equal(renew(W1, running, 1, 3600000), 0);
	assert_int_equal(get(running).lease_ms, now + 10000);
	a = work(U1);
	a.task.deadline_ms = now + 10000;
	assert_int_equal(tasks_submit(&s, &a), 0);
	late = a.id;
	now += 10000;
	assert_int_equal(finish(W1, running, 1, NULL), -EKEYEXPIRED);
	assert_int_equal(claim(NULL, W1, &t), -ENOENT);
	assert_int_equal(get(late).state, NEXUS_TASK_FAILED);
	assert_int_equal(get(running).state, NEXUS_TASK_FAILED);
	assert_string_equal(get(running).error, "deadline");
	assert_int_equal(get(late).claim, 0);
	assert_int_equal(counts().late, 2);
}

/* More than a transaction takes; and what has ended goes, in the end. */
static void test_many_due(void **state)
{
	struct nexus_task_list_args list = { 0 };
	struct nexus_task_submit_args a;
	uint32_t i;

	(void)state;
	for (i = 0; i < 230; i++) {
		a = work(U1);
		a.task.deadline_ms = now + 1000;
		assert_int_equal(tasks_submit(&s, &a), 0);
	}
	submit(U1);
	now += 1000;
	tasks_tick(&s);
	assert_int_equal(counts().late, 230);
	assert_int_equal(tasks_list(&s, &list), 0);
	/* So many are kept, and for so long. */
	assert_int_equal(list.count, 41);
	assert_int_equal(list.tasks[0].id, a.id - 39);
	now += 1000001;
	for (i = 0; i < TASKS_PURGE_TICKS; i++)
		tasks_tick(&s);
	list.max = 0;
	assert_int_equal(tasks_list(&s, &list), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.tasks[0].state, NEXUS_TASK_QUEUED);
}

/* ---- others ----------------------------------------------------------------------------- */

/* Two helpers, or two builds during a swap: each sees at once what the other did. */
static void test_another(void **state)
{
	struct tasks other;
	struct nexus_task t;
	uint64_t first, second;

	(void)state;
	first = submit(U1);
	assert_int_equal(tasks_open(&other, records, &opts, say_line, NULL), 0);
	second = submit(U1);
	assert_int_equal(claim_in(&other, NULL, W2, &t), 0);
	assert_int_equal(t.id, first);
	assert_int_equal(claim(NULL, W1, &t), 0);
	assert_int_equal(t.id, second);
	assert_int_equal(claim_in(&other, NULL, W2, &t), -ENOENT);
	assert_int_equal(finish(W2, first, 1, NULL), 0);
	assert_int_equal(tasks_finish(&other, &(struct nexus_task_finish_args){
		.as = W1, .id = second, .claim = 1 }), 0);
	assert_int_equal(counts().running, 0);
	tasks_close(&other);
}

#define WORKERS	4u
#define JOBS	120u

static struct tasks second;
static atomic_uint done_by[JOBS + 1], wrong, done_all;

static void *worker(void *arg)
{
	struct tasks *in = (uintptr_t)arg % 2 ? &s : &second;
	char name[24];
	int ret, idle = 0;

	snprintf(name, sizeof(name), "agent:w%u", (unsigned int)(uintptr_t)arg);
	while (atomic_load(&done_all) < JOBS && idle < 20000) {
		struct nexus_task_finish_args f = { .as = name };
		struct nexus_task t;

		ret = claim_in(in, NULL, name, &t);
		if (ret == -ENOENT || ret == -EAGAIN) {
			idle++;
			sched_yield();
			continue;
		}
		if (ret || t.id > JOBS) {
			atomic_fetch_add(&wrong, 1);
			break;
		}
		f.id = t.id;
		f.claim = t.claim;
		atomic_fetch_add(&done_by[t.id], 1);
		do
			ret = tasks_finish(in, &f);
		while (ret == -EAGAIN);
		if (ret)
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add(&done_all, 1);
	}
	return NULL;
}

/* Many workers of two helpers: each task is done, by one, once. */
static void test_workers(void **state)
{
	pthread_t threads[WORKERS];
	uint32_t i;

	(void)state;
	wrong = done_all = 0;
	for (i = 0; i < JOBS; i++) {
		done_by[i + 1] = 0;
		assert_int_equal(submit(i % 3 ? U1 : U2), i + 1);
	}
	assert_int_equal(tasks_open(&second, records, &opts, say_line, NULL), 0);
	for (i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)(i + 1)), 0);
	for (i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	tasks_close(&second);
	assert_int_equal(wrong, 0);
	for (i = 1; i <= JOBS; i++) {
		assert_int_equal(done_by[i], 1);
		assert_int_equal(get(i).state, NEXUS_TASK_COMPLETED);
		assert_int_equal(get(i).claim, 1);
	}
}

#define EACH(T) \
	T(test_life) T(test_who) T(test_input) T(test_key) T(test_quota) T(test_list) \
	T(test_lease) T(test_deadline) T(test_many_due) T(test_another) T(test_workers)
#define RUN_ON(name)	static void on_##name(void **state) { on(name, state); }
#define LISTED(name) \
	{ #name " (SQLite)", on_##name, setup, teardown, NULL }, \
	{ #name " (PostgreSQL)", on_##name, setup, teardown, postgres },

EACH(RUN_ON)

int main(void)
{
	const struct CMUnitTest tests[] = { EACH(LISTED) };

	return cmocka_run_group_tests(tests, store_group_setup, store_group_teardown);
}
