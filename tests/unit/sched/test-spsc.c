// SPDX-License-Identifier: Apache-2.0
/*
 * A producer and a consumer of a mapped ring in every order: what arrives is what was
 * sent, whole and in order, bytes are not overwritten while they are read, and nobody
 * sleeps on when there is something to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/spsc.h"
#include "sched.h"

#define MOST	64u

static struct world {
	struct nexus_spsc_side producer, consumer;
	/* Once: no message of the tests crosses the end. */
	u8 data[MOST];
	struct nexus_spsc side[2];
	u64 done[2];
} w;

static u64 size, capacity;
static int messages;
static int at_once;		/* as many as are sent, or consumed, before somebody is woken */
static bool parks;
static bool tries;		/* the producer drops what does not fit */

static u32 length(u64 i)
{
	return (u32)(1 + i % 3);
}

static void sleep_on(const struct nexus_spsc *r)
{
	if (parks) {
		/* Nobody looks for it, so it says anew which position it knows. */
		if (nexus_spsc_at(r->seen, r->seen_payload) == nexus_spsc_seen(r))
			sched_park();
		return;
	}
	/* As a futex does it: the word is looked at by who sleeps already. */
	sched_prepare();
	if (nexus_load(nexus_spsc_word(r)) == nexus_spsc_seen(r))
		sched_sleep(false);
	sched_running();
}

static void wake_other(struct nexus_spsc *r, int t)
{
	nexus_wakes q = { .n = 1, .task = { sched_task(!t) } };

	if (nexus_spsc_must_wake(r))
		nexus_wakes_done(&q);
}

static int send(struct nexus_spsc *r, u64 i, bool last)
{
	void *where;
	int ret = nexus_spsc_reserve(r, length(i), &where);

	sched_check(!ret || ret == -EAGAIN, "reserve: %d", ret);
	if (ret)
		return ret;
	sched_touch(where, 8, true);
	memcpy(where, &i, 8);
	nexus_spsc_commit(r, length(i));
	if (last || (i + 1) % (u64)at_once == 0)
		wake_other(r, 0);
	return 0;
}

static int receive(struct nexus_spsc *r, u64 i, bool last)
{
	const void *where;
	u32 len;
	u64 got;
	int ret = nexus_spsc_peek(r, &where, &len);

	sched_check(!ret || ret == -EAGAIN, "peek: %d", ret);
	if (ret)
		return ret;
	sched_touch(where, 8, false);
	memcpy(&got, where, 8);
	sched_check(got == i && len == length(i), "message %d is %d with length %d", (int)i,
		    (int)got, (int)len);
	nexus_spsc_consume(r);
	if (last || (i + 1) % (u64)at_once == 0)
		wake_other(r, 1);
	return 0;
}

static void thread(int t)
{
	struct nexus_spsc *r = &w.side[t];
	int (*f)(struct nexus_spsc *r, u64 i, bool last) = t ? receive : send;
	u64 i;

	if (parks)
		sched_park_begin();
	for (i = 0; i < (u64)messages; i++) {
		bool last = i + 1 == (u64)messages;

		if (f(r, i, last) == 0)
			continue;
		/* What was not told of yet, before it sleeps. */
		if (at_once > 1)
			wake_other(r, t);
		while (nexus_spsc_doze(r), f(r, i, last))
			sleep_on(r);
		nexus_spsc_awake(r);
	}
	w.done[t] = 1;
}

/* Sends what it can and is gone; the other takes what it can, and is not hurt. */
static void hasty(int t)
{
	struct nexus_spsc *r = &w.side[t];
	u64 i;

	for (i = 0; i < (u64)messages; i++)
		if ((t ? receive : send)(r, i, true))
			break;
}

static void init(void)
{
	nexus_spsc_attach(&w.side[0], true, &w.producer, &w.consumer, w.data, size, capacity);
	nexus_spsc_attach(&w.side[1], false, &w.consumer, &w.producer, w.data, size, capacity);
	/* The positions order what is in the data. */
	sched_ordered(w.data, sizeof(w.data));
}

static void done(void)
{
	const struct nexus_spsc *p = &w.side[0], *c = &w.side[1];

	sched_check(nexus_spsc_at(p->pos, p->payload) == w.producer.at &&
		    nexus_spsc_at(c->pos, c->payload) == w.consumer.at,
		    "the pages are not what the sides think");
	sched_check((p->pos - c->pos) * 8 <= size && p->payload - c->payload <= capacity,
		    "more is on its way than may be");
	if (!tries)
		sched_check(p->pos == c->pos && p->payload == c->payload,
			    "something is left");
}

static void run(u64 bytes, u64 cap, int n, int batch, u64 *programs)
{
	static struct sched_result r;
	const struct sched_test test = {
		.threads = 2, .world = &w, .size = sizeof(w),
		.shared = offsetof(struct world, side), .init = init,
		.thread = tries ? hasty : thread, .done = done,
	};

	size = bytes;
	capacity = cap;
	messages = n;
	at_once = batch;
	if (!sched_run(&test, &r)) {
		printf("# %llu bytes, capacity %llu, %d messages, %d at once%s%s\n", bytes, cap,
		       n, batch, parks ? ", parked" : "", tries ? ", hasty" : "");
		sched_failed(&r);
	}
	programs[0]++;
	programs[1] += r.states;
	programs[2] += r.steps;
	programs[3] += r.ends;
}

static void all(void)
{
	static const struct { u64 size, capacity; } ring[] = {
		{ 16, 8 }, { 32, 24 }, { 64, 3 }, { 64, 56 },
	};
	u64 sum[4];
	size_t i;
	int n, batch;

	for (n = 1; n <= 4; n++) {
		memset(sum, 0, sizeof(sum));
		for (i = 0; i < sizeof(ring) / sizeof(ring[0]); i++)
			for (batch = 1; batch <= (tries ? 1 : 2); batch++)
				run(ring[i].size, ring[i].capacity, n, batch, sum);
		printf("# 2 threads x %d operations%s%s: %llu programs, %llu states, %llu steps, %llu ends\n",
		       n, parks ? ", parked" : "", tries ? ", hasty" : "", sum[0], sum[1],
		       sum[2], sum[3]);
	}
}

static void test_futex(void **state)
{
	(void)state;
	parks = tries = false;
	all();
}

static void test_parked(void **state)
{
	(void)state;
	parks = true;
	tries = false;
	all();
}

static void test_hasty(void **state)
{
	(void)state;
	parks = false;
	tries = true;
	all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hasty),
		cmocka_unit_test(test_parked),
		cmocka_unit_test(test_futex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
