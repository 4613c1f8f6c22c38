// SPDX-License-Identifier: Apache-2.0
/*
 * Every order of up to three threads of up to four operations each on credits, beside
 * the simplest thing that could be right: a queue and two numbers, which are brought up
 * to date when the lock is held.  What every call returns, whom it wakes and in which
 * order, what is left at the end, and who sleeps on when nobody can go on, must be
 * what that says.  Who takes may not have seen yet what another just gives, so to be
 * refused is right then; but not to wait when all who gave are done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/credit.h"
#include "programs.h"

#define UNITS	16

/*
 * Acts: t: waits for n; k: so, but may be killed; n: takes n or does not; g: gives n, with a
 * lock of those who give; x: returns what the thread has; b: breaks; m: mends; s: shrinks
 * by n; r: asks whether there are n
 */
static struct world {
	struct nexus_credit c;
	struct nexus_credit_waiter w[THREADS];
	nexus_mutex giving;
	u64 bytes[UNITS];		/* what credit stands for, written before it is given */
	/* What should be: */
	u64 given, taken;	/* the first with all that are about to be */
	u64 gave[THREADS];
	u64 need[THREADS], has[THREADS], from[THREADS];
	int broken;
	int outcome[THREADS];
	struct act now[THREADS];	/* in progress, and not done yet as far as this goes */
	u8 queue[THREADS], queued;
} w;

static u64 at_first;
static bool drain;
static bool looks;		/* somebody asks without the lock */
static bool in_order;		/* nobody returns what was taken */

/* The units from @from on are those that were given so many before. */
static void touch(u64 from, u64 n, bool write)
{
	u64 i;

	for (i = from; in_order && i < from + n && i < UNITS; i++)
		if (i >= at_first)
			sched_touch(&w.bytes[i], sizeof(w.bytes[i]), write);
}

static bool is_queued(int t)
{
	int i;

	for (i = 0; i < w.queued; i++)
		if (w.queue[i] == t)
			return true;
	return false;
}

static void unqueue(int t)
{
	int i, n = 0;

	for (i = 0; i < w.queued; i++)
		if (w.queue[i] != t)
			w.queue[n++] = w.queue[i];
	w.queued = (u8)n;
}

static u64 avail(void)
{
	return w.given - w.taken;
}

/* What thread @t is about took effect, at the latest now. */
static void happened(int t)
{
	struct act a = w.now[t];

	w.now[t].what = 0;
	switch (a.what) {
	case 'x':
		w.taken -= w.has[t];
		w.has[t] = 0;
		break;
	case 'b':
		w.broken = -EPIPE;
		break;
	case 'l':
		if (is_queued(t)) {
			unqueue(t);
			w.outcome[t] = -EINTR;
		}
		break;
	}
}

static void granted(int t, int who)
{
	happened(t);
	sched_check(w.queued && w.queue[0] == who, "grants thread %d, who is not first", who);
	unqueue(who);
	if (w.broken) {
		w.outcome[who] = w.broken;
		return;
	}
	sched_check(w.need[who] <= avail(), "grants thread %d, who does not fit", who);
	w.from[who] = w.taken;
	w.taken += w.need[who];
	w.has[who] += w.need[who];
	w.outcome[who] = 0;
}

/*
 * An operation is over: nobody is left in the queue who could go on, unless by what
 * another is about.
 */
static void complete(int t)
{
	int i;

	happened(t);
	for (i = 0; i < THREADS; i++)
		if (w.now[i].what)
			return;
	sched_check(!w.queued || (!w.broken && w.need[w.queue[0]] > avail()),
		    "leaves thread %d waiting", w.queue[0]);
}

/* The lock held: thread @t tried to take @n. */
static void tried(int t, u64 n, int ret)
{
	if (ret == 0) {
		sched_check(!w.queued, "overtakes thread %d", w.queue[0]);
		sched_check(!w.broken || drain, "takes what is broken");
		sched_check(avail() >= n, "takes %d of %d", (int)n, (int)avail());
		touch(w.taken, n, false);
		w.taken += n;
		w.has[t] += n;
	} else if (w.broken) {
		sched_check(ret == w.broken, "broken is %d, not %d", ret, w.broken);
		/* Who takes now has seen all that was given before. */
		sched_check(!drain || w.queued || w.gave[t] < w.taken + n, "does not drain");
	} else {
		sched_check(ret == -EAGAIN, "take: %d", ret);
		sched_check(w.queued || w.gave[t] < w.taken + n, "is refused what is there");
	}
}

static void wait_for(int t, u64 n, bool killable)
{
	struct nexus_credit_waiter *me = &w.w[t];
	NEXUS_WAKES(q);
	int ret;

	sched_fresh(me, sizeof(*me));
	sched_wait_begin();
	nexus_mutex_lock(&w.c.lock);
	ret = nexus_credit_take(&w.c, n);
	tried(t, n, ret);
	if (ret == -EAGAIN) {
		ret = nexus_credit_enqueue(&w.c, me, n, sched_task(t));
		if (ret == 0)
			tried(t, n, ret);
		sched_check(ret == 0 || ret == 1, "enqueue: %d", ret);
	}
	if (ret == 1) {
		w.need[t] = n;
		w.queue[w.queued++] = (u8)t;
	}
	nexus_mutex_unlock(&w.c.lock);
	if (ret != 1) {
		sched_wait_end(false);
		return;
	}
	for (;;) {
		sched_prepare();
		if (!nexus_credit_waits(me))
			break;
		if (sched_sleep(killable))
			break;
	}
	sched_running();
	w.now[t] = (struct act){ 'l', 0 };
	ret = nexus_credit_leave(&w.c, me, &q);
	/* Else it need not have had the lock, and others are amid what they do. */
	if (ret == -EINTR)
		complete(t);
	else
		happened(t);
	sched_check(ret == w.outcome[t], "leave: %d, not %d", ret, w.outcome[t]);
	if (!ret)
		touch(w.from[t], n, false);
	sched_wait_end(ret != -EINTR);
	sched_gone(me, sizeof(*me));
	nexus_wakes_done(&q);
}

static void give(int t, u64 n)
{
	NEXUS_WAKES(q);

	nexus_mutex_lock(&w.giving);
	touch(w.given, n, true);
	w.given += n;
	w.gave[t] += n;
	w.now[t] = (struct act){ 'g', (u8)n };
	nexus_credit_give(&w.c, n);
	nexus_mutex_unlock(&w.giving);
	nexus_credit_given(&w.c, &q);
	complete(t);
	nexus_wakes_done(&q);
}

static void act(int t, struct act a)
{
	NEXUS_WAKES(q);
	int ret, should;

	switch (a.what) {
	case 't':
	case 'k':
		wait_for(t, a.n, a.what == 'k');
		break;
	case 'n':
		nexus_mutex_lock(&w.c.lock);
		ret = nexus_credit_take(&w.c, a.n);
		tried(t, a.n, ret);
		nexus_mutex_unlock(&w.c.lock);
		break;
	case 's':
		nexus_mutex_lock(&w.c.lock);
		ret = nexus_credit_shrink(&w.c, a.n);
		should = !w.queued && avail() >= a.n ? 0 : -EBUSY;
		sched_check(ret == should || (ret && w.gave[t] < w.taken + a.n),
			    "shrink: %d, not %d", ret, should);
		if (!ret)
			w.taken += a.n;
		nexus_mutex_unlock(&w.c.lock);
		break;
	case 'g':
		give(t, a.n);
		break;
	case 'x':
		nexus_mutex_lock(&w.c.lock);
		w.now[t] = a;
		nexus_credit_return(&w.c, w.has[t], &q);
		complete(t);
		nexus_mutex_unlock(&w.c.lock);
		nexus_wakes_done(&q);
		break;
	case 'b':
		w.now[t] = a;
		nexus_credit_break(&w.c, -EPIPE, &q);
		complete(t);
		nexus_wakes_done(&q);
		break;
	case 'm':
		nexus_credit_mend(&w.c);
		w.broken = 0;
		break;
	case 'r':
		(void)nexus_credit_ready(&w.c, a.n);
		break;
	}
}

static void thread(int t)
{
	int i;

	for (i = 0; i < OPS; i++)
		act(t, program[t]->act[i]);
}

static void init(void)
{
	int t;

	nexus_mutex_init(&w.c.lock);
	nexus_mutex_init(&w.giving);
	nexus_credit_init(&w.c, at_first, drain);
	w.given = at_first;
	for (t = 0; t < THREADS; t++)
		w.gave[t] = at_first;
	if (!looks) {
		sched_ordered(&w.c.taken, sizeof(w.c.taken));
		sched_ordered(&w.c.broken, sizeof(w.c.broken));
	}
}

static void consistent(void)
{
	const struct nexus_credit_waiter *at = w.c.first, *prev = NULL;
	int i;

	sched_check(w.c.given == w.given && w.c.taken == w.taken && w.c.broken == w.broken,
		    "is not what it should be");
	for (i = 0; i < w.queued; i++) {
		sched_check(at == &w.w[w.queue[i]] && at->prev == prev, "the queue is wrong");
		prev = at;
		at = at->next;
	}
	sched_check(!at && w.c.last == prev, "the queue is wrong at its end");
	for (i = 0; i < 3; i++)
		sched_check(nexus_credit_ready(&w.c, (u64)i) ==
			    (!(w.broken && !drain) && !w.queued && avail() >= (u64)i),
			    "is not ready for %d, or is", i);
}

/* Nobody can go on: who sleeps does not fit. */
static void stuck(unsigned int asleep)
{
	int t;

	consistent();
	for (t = 0; t < THREADS; t++)
		sched_check(!(asleep >> t & 1) || is_queued(t), "thread %d sleeps on", t);
	sched_check(w.need[w.queue[0]] > avail(), "thread %d could go on", w.queue[0]);
}

static void done(void)
{
	consistent();
	sched_check(!w.queued, "somebody is in the queue still");
}

static void run(void)
{
	const struct sched_test test = {
		.threads = threads, .world = &w, .size = sizeof(w),
		.shared = offsetof(struct world, given), .init = init, .thread = thread,
		.granted = granted, .stuck = stuck, .done = done,
	};
	char note[64];
	int t, i;

	looks = false;
	in_order = true;
	for (t = 0; t < threads; t++) {
		for (i = 0; i < OPS; i++) {
			looks |= program[t]->act[i].what == 'r';
			in_order &= !strchr("xs", program[t]->act[i].what) ||
				    !program[t]->act[i].what;
		}
	}
	snprintf(note, sizeof(note), "at first %llu%s", at_first, drain ? ", drain" : "");
	run_programs(&test, note);
}

/* All sequences of @ops acts out of a string like "t1g1". */
static int sequences(const char *acts, int ops, struct program *out)
{
	int n = (int)strlen(acts) / 2, total = 1, i, j, k;

	for (i = 0; i < ops; i++)
		total *= n;
	for (i = 0; i < total; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		for (j = 0, k = i; j < ops; j++, k /= n)
			out[i].act[j] = (struct act){ acts[2 * (k % n)],
						      (u8)(acts[2 * (k % n) + 1] - '0') };
	}
	return total;
}

static struct program table[256];

/* All choices of sequences of @ops of @acts, with 0 .. @most there at first. */
static void all(const char *acts, int ops, int n, u64 most)
{
	int count = sequences(acts, ops, table);

	for (at_first = 0; at_first <= most; at_first++) {
		drain = false;
		each_choice(table, count, n, run);
		drain = true;
		if (strchr(acts, 'b'))
			each_choice(table, count, n, run);
	}
	report(n, ops);
}

static void test_one_each(void **state)
{
	(void)state;
	all("t1t2k1k2n1n2g1g2b0m0s1r1", 1, 3, 3);
}

static void test_two_threads(void **state)
{
	(void)state;
	all("t1k2n2g1x0b0m0s1r1", 2, 2, 1);
	all("t1k2g1", 3, 2, 1);
	all("k2g1", 4, 2, 0);
}

static void test_two_each(void **state)
{
	(void)state;
	all("k1b0", 2, 3, 0);
	if (!getenv("NEXUS_LONG"))
		return;
	all("k2g1", 2, 3, 0);
	all("t1k2g1x0", 2, 3, 0);
	all("t1t2g2", 2, 3, 1);
	all("k1g2b0", 2, 3, 0);
	all("t2r2g1", 2, 3, 0);
}

/*
 * Of more operations: two that receive and one that sends, which they need to lose a
 * credit between them; as a long part all there are, of four.
 */
static void test_more_each(void **state)
{
	static const char *const acts[] = {
		"k2x0k1x0", "g1g1g1g1", "t1x0t1x0", "b0m0g2n1",
	};
	static const char *const few[] = { "k2x0k1", "g1g1g1" };
	const int n = (int)(sizeof(acts) / sizeof(acts[0]));
	int i;

	(void)state;
	at_first = 1;
	drain = false;
	if (getenv("NEXUS_LONG")) {
		for (i = 0; i < n; i++)
			table[i] = program_of(acts[i]);
		each_choice(table, n, 3, run);
		drain = true;
		each_choice(table, n, 3, run);
	} else {
		table[0] = program_of(few[0]);
		table[1] = program_of(few[1]);
		threads = 3;
		program[0] = &table[0];
		program[1] = &table[0];
		program[2] = &table[1];
		run();
	}
	report(3, getenv("NEXUS_LONG") ? 4 : 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_each),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_two_each),
		cmocka_unit_test(test_more_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
