// SPDX-License-Identifier: Apache-2.0
/*
 * Equal states look equal: what no thread that still runs can tell apart is made the
 * same.  Stores that nobody can see any more go, clocks that no access needs are
 * renumbered, and views are raised to what all have seen.
 */
#include "model.h"

bool model_unsettled;

static struct view least;	/* what all who run have seen */
/* Settled ones are as few as there are accesses, and each step adds one or two. */
#define CLOCKS	64
static u8 rank[SCHED_THREADS][CLOCKS];
static u8 dropped[MODEL_LOCATIONS];

static int running(int t)
{
	return model.thread[t].op.kind != OP_NONE && !model.thread[t].done;
}

static void find_least(void)
{
	int t, i;

	memset(&least, 0xff, sizeof(least));
	for (t = 0; t < SCHED_THREADS; t++) {
		const struct view *v = &model.thread[t].now;

		if (!running(t))
			continue;
		for (i = 0; i < model_locations; i++)
			least.at[i] = NEXUS_MIN(least.at[i], v->at[i]);
		/* What a thread knows of itself says nothing. */
		for (i = 0; i < SCHED_THREADS; i++)
			if (i != t)
				least.clock[i] = NEXUS_MIN(least.clock[i], v->clock[i]);
	}
}

/* To the clock of an access of thread @t: 0 when all others come after it. */
static void settle_access(int t, u8 *clock)
{
	if (*clock && *clock <= least.clock[t])
		*clock = 0;
	if (*clock >= CLOCKS)
		abort();
	if (*clock)
		rank[t][*clock] = 1;
}

static void renumber_access(int t, u8 *clock)
{
	*clock = rank[t][*clock];
}

static void each_access(void (*f)(int t, u8 *clock))
{
	int i, t;

	for (i = 0; i < model_words; i++) {
		struct word *w = &model.word[i];
		u64 a, b;

		memcpy(&a, w, sizeof(a));
		memcpy(&b, (u8 *)w + sizeof(*w) - sizeof(b), sizeof(b));
		if (!(a | b))
			continue;
		if (w->writer) {
			f(w->writer - 1, &w->written);
			if (!w->written)
				w->writer = 0;
		}
		for (t = 0; t < SCHED_THREADS; t++) {
			f(t, &w->read[t]);
			f(t, &w->marked_read[t]);
			f(t, &w->marked_write[t]);
		}
	}
}

static void settle_view(struct view *v)
{
	int i;

	for (i = 0; i < model_locations; i++)
		v->at[i] = (u8)(NEXUS_MAX(v->at[i], least.at[i]) - dropped[i]);
	for (i = 0; i < SCHED_THREADS; i++) {
		if (v->clock[i] >= CLOCKS)
			abort();
		v->clock[i] = rank[i][v->clock[i]];
	}
}

static bool same_view(const struct view *v, const struct view *w)
{
	return !memcmp(v, w, sizeof(*v));
}

void model_settle(void)
{
	u8 own[SCHED_THREADS];
	struct view lowest;
	int t, i, j, any = 0;

	for (t = 0; t < SCHED_THREADS; t++)
		any |= running(t);
	if (!any) {
		/* What remains is the world. */
		memset(model.lock, 0, sizeof(model.lock));
		memset(&model.barrier, 0, sizeof(model.barrier));
		memset(model.loc, 0, sizeof(model.loc));
		memset(model.word, 0, sizeof(model.word));
		return;
	}
	if (model_unsettled)
		return;
	find_least();
	memset(rank, 0, sizeof(rank));
	each_access(settle_access);
	for (t = 0; t < SCHED_THREADS; t++) {
		u8 now = model.thread[t].now.clock[t], n = 0;
		bool used = rank[t][now];

		/* How many clocks of accesses are not above. */
		for (i = 1; i < CLOCKS; i++)
			rank[t][i] = n = (u8)(n + rank[t][i]);
		own[t] = (u8)(used ? rank[t][now] : rank[t][now] + 1);
	}
	each_access(renumber_access);

	for (i = 0; i < model_locations; i++) {
		struct location *l = &model.loc[i];
		u8 gone = l->n ? least.at[i] : 0;

		dropped[i] = gone;
		if (!gone)
			continue;
		memmove(l->store, l->store + gone, (size_t)(l->n - gone) * sizeof(l->store[0]));
		l->n = (u8)(l->n - gone);
		memset(l->store + l->n, 0, gone * sizeof(l->store[0]));
	}
	for (t = 0; t < SCHED_THREADS; t++) {
		struct thread *me = &model.thread[t];

		if (!running(t))
			continue;
		settle_view(&me->now);
		settle_view(&me->early);
		settle_view(&me->before);
		settle_view(&me->parked);
		me->now.clock[t] = me->early.clock[t] = own[t];
		/* Only what it knows beyond what it is joined to counts. */
		for (i = 0; i < model_locations; i++)
			me->early.at[i] = NEXUS_MAX(me->early.at[i], me->now.at[i]);
		for (i = 0; i < SCHED_THREADS; i++)
			me->early.clock[i] = NEXUS_MAX(me->early.clock[i], me->now.clock[i]);
	}
	for (i = 0; i < MODEL_LOCKS; i++)
		settle_view(&model.lock[i].with);
	settle_view(&model.barrier);
	memset(model.barrier.clock, 0, sizeof(model.barrier.clock));
	for (i = 0; i < model_locations; i++)
		for (j = 0; j < model.loc[i].n; j++)
			settle_view(&model.loc[i].store[j].with);

	/* One store is left, and who acquires it learns nothing: it is the world's. */
	memset(&lowest, 0, sizeof(lowest));
	for (i = 0; i < model_locations; i++) {
		struct location *l = &model.loc[i];

		if (l->n == 1 && same_view(&l->store[0].with, &lowest))
			memset(l, 0, sizeof(*l));
	}
}

u64 sched_hash(u64 h, const void *p, size_t n)
{
	const u8 *b = p;
	u64 v;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&v, b, 8);
		h = (h ^ v) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	if (n) {
		v = 0;
		memcpy(&v, b, n);
		h = (h ^ v) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h;
}

u64 model_hash(u64 h)
{
	int i;

	h = sched_hash(h, model.thread, sizeof(model.thread));
	h = sched_hash(h, model.lock, sizeof(model.lock));
	h = sched_hash(h, &model.barrier, sizeof(model.barrier));
	for (i = 0; i < model_locations; i++) {
		const struct location *l = &model.loc[i];

		h = sched_hash(h, l, offsetof(struct location, store));
		h = sched_hash(h, l->store, l->n * sizeof(l->store[0]));
	}
	return sched_hash(h, model.word, (size_t)model_words * sizeof(model.word[0]));
}
