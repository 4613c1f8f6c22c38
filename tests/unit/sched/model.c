// SPDX-License-Identifier: Apache-2.0
/* Memory as the scheduler's threads see it; sched.h says which rules it has. */
#include "model.h"

struct model model;

static u8 *world;
static size_t world_size;
static int n_threads;
/* Their numbers are given out once per run, so that they do not depend on the order. */
static u16 location_of[MODEL_WORDS];	/* + 1 */
int model_locations, model_words;
static const void *locks[MODEL_LOCKS];

void model_reset(void *start, size_t size, int threads)
{
	int t;

	memset(&model, 0, sizeof(model));
	memset(location_of, 0, sizeof(location_of));
	memset(locks, 0, sizeof(locks));
	model_locations = 0;
	world = start;
	world_size = size;
	model_words = (int)((size + 3) / 4);
	n_threads = threads;
	if (size > 4ul * MODEL_WORDS || (uintptr_t)start % 8)
		abort();
	for (t = 0; t < threads; t++)
		model.thread[t].now.clock[t] = 1;
}

static void join(struct view *v, const struct view *w)
{
	int i;

	for (i = 0; i < MODEL_LOCATIONS; i++)
		v->at[i] = NEXUS_MAX(v->at[i], w->at[i]);
	for (i = 0; i < SCHED_THREADS; i++)
		v->clock[i] = NEXUS_MAX(v->clock[i], w->clock[i]);
}

/* Does @f to all views but those of stores that are not there. */
static void each_view(void (*f)(struct view *v, int arg), int arg)
{
	int i, j;

	for (i = 0; i < n_threads; i++) {
		f(&model.thread[i].now, arg);
		f(&model.thread[i].early, arg);
		f(&model.thread[i].before, arg);
		f(&model.thread[i].parked, arg);
	}
	for (i = 0; i < MODEL_LOCKS; i++)
		f(&model.lock[i].with, arg);
	f(&model.barrier, arg);
	for (i = 0; i < model_locations; i++)
		for (j = 0; j < model.loc[i].n; j++)
			f(&model.loc[i].store[j].with, arg);
}

static bool in_world(const void *p)
{
	return (u8 *)p >= world && (u8 *)p < world + world_size;
}

static unsigned int word_of(const void *p)
{
	return (unsigned int)((u8 *)p - world) / 4;
}

static u64 raw_load(const void *p, u8 size)
{
	u64 v = 0;

	__builtin_memcpy(&v, p, size);
	return v;
}

static int lock_of(const void *l)
{
	int i;

	for (i = 0; i < MODEL_LOCKS && locks[i] && locks[i] != l; i++)
		;
	if (i == MODEL_LOCKS)
		sched_fail("more than %d locks", MODEL_LOCKS);
	locks[i] = l;
	return i;
}

/* What races are: */

static void not_gone(const void *p, unsigned int w)
{
	if (model.word[w].gone)
		sched_fail("touches memory that is gone: byte %ld of the world",
			   (long)((u8 *)p - world));
}

static void race(const void *p, int with, const char *what)
{
	sched_fail("races with thread %d: %s at byte %ld of the world", with, what,
		   (long)((u8 *)p - world));
}

static void against(const void *p, const u8 *clocks, const char *what)
{
	const struct view *now = &model.thread[sched_current].now;
	int t;

	for (t = 0; t < n_threads; t++)
		if (t != sched_current && clocks[t] > now->clock[t])
			race(p, t, what);
}

static void against_plain_write(const void *p, const struct word *w)
{
	int t = w->writer - 1;

	if (t >= 0 && t != sched_current &&
	    w->written > model.thread[sched_current].now.clock[t])
		race(p, t, "written plainly");
}

static u8 my_clock(void)
{
	return model.thread[sched_current].now.clock[sched_current];
}

static void forget_location(struct view *v, int l)
{
	v->at[l] = 0;
}

void sched_touch(const void *p, size_t size, bool write)
{
	unsigned int i, last;

	if (sched_current < 0 || !in_world(p) || !size)
		return;
	last = word_of((const u8 *)p + size - 1);
	for (i = word_of(p); i <= last; i++) {
		struct word *w = &model.word[i];

		not_gone(p, i);
		against_plain_write(p, w);
		against(p, w->marked_write, "a marked store");
		if (!write) {
			w->read[sched_current] = my_clock();
			continue;
		}
		against(p, w->read, "read plainly");
		against(p, w->marked_read, "a marked load");
		memset(w->read, 0, sizeof(w->read));
		memset(w->marked_read, 0, sizeof(w->marked_read));
		memset(w->marked_write, 0, sizeof(w->marked_write));
		w->writer = (u8)(sched_current + 1);
		w->written = my_clock();
		if (location_of[i]) {
			int l = location_of[i] - 1;

			/* All stores are seen by all who may look: it is plain again. */
			memset(&model.loc[l], 0, sizeof(model.loc[l]));
			each_view(forget_location, l);
		}
	}
}

static void marked(const void *p, u8 size, bool write)
{
	unsigned int i;

	for (i = word_of(p); i <= word_of((const u8 *)p + size - 1); i++) {
		struct word *w = &model.word[i];

		not_gone(p, i);
		against_plain_write(p, w);
		if (write) {
			against(p, w->read, "read plainly");
			w->marked_write[sched_current] = my_clock();
		} else {
			w->marked_read[sched_current] = my_clock();
		}
	}
}

void *sched_copy(void *to, const void *from, size_t n)
{
	sched_touch(from, n, false);
	sched_touch(to, n, true);
	return memcpy(to, from, n);
}

void sched_gone(const void *p, size_t size)
{
	unsigned int i;

	sched_touch(p, size, true);
	for (i = word_of(p); i <= word_of((const u8 *)p + size - 1); i++)
		model.word[i].gone = 1;
}

void sched_fresh(const void *p, size_t size)
{
	unsigned int i;

	for (i = word_of(p); i <= word_of((const u8 *)p + size - 1); i++)
		model.word[i].gone = 0;
	sched_touch(p, size, true);
}

void sched_ordered(const void *p, size_t size)
{
	unsigned int i;

	for (i = word_of(p); i <= word_of((const u8 *)p + size - 1); i++)
		model.word[i].ordered = 1;
}

/* Steps, as the code under test has them: */

static struct location *location(const void *p, int *index)
{
	u16 *l = &location_of[word_of(p)];

	if (!*l) {
		if (model_locations == MODEL_LOCATIONS)
			sched_fail("more than %d locations", MODEL_LOCATIONS);
		*l = (u16)++model_locations;
	}
	*index = *l - 1;
	return &model.loc[*index];
}

/* No step: no thread runs, or nobody can tell. */
static bool direct(const void *p, u8 size, bool write)
{
	if (sched_current < 0)
		return true;
	if (!in_world(p))
		sched_fail("a marked access outside of the world");
	if (!model.word[word_of(p)].ordered)
		return false;
	sched_touch(p, size, write);
	return true;
}

u64 sched_load(const void *p, u8 size, enum sched_order order,
	       const struct sched_place *at)
{
	struct op op = { .at = at, .p = p, .kind = OP_LOAD, .size = size,
			 .order = (u8)order };
	int index;

	if (direct(p, size, false))
		return raw_load(p, size);
	location(p, &index);
	op.index = (u8)index;
	sched_point(&op);
	return model.thread[sched_current].got;
}

void sched_store(void *p, u8 size, u64 val, enum sched_order order,
		 const struct sched_place *at)
{
	struct op op = { .at = at, .p = p, .val = val, .kind = OP_STORE, .size = size,
			 .order = (u8)order };
	int index;

	if (direct(p, size, true)) {
		__builtin_memcpy(p, &val, size);
		return;
	}
	location(p, &index);
	op.index = (u8)index;
	sched_point(&op);
}

void sched_mb(const struct sched_place *at)
{
	struct op op = { .at = at, .kind = OP_MB };

	if (sched_current >= 0)
		sched_point(&op);
}

void sched_lock(const void *l, const struct sched_place *at)
{
	struct op op = { .at = at, .p = l, .kind = OP_LOCK };

	if (sched_current < 0)
		return;
	op.index = (u8)lock_of(l);
	sched_point(&op);
}

void sched_unlock(const void *l)
{
	struct thread *me = &model.thread[sched_current];
	int i;

	if (sched_current < 0)
		return;
	i = lock_of(l);
	if (model.lock[i].held != sched_current + 1)
		sched_fail("unlocks what it has not locked");
	if (in_world(l))
		not_gone(l, word_of(l));
	model.lock[i].held = 0;
	model.lock[i].with = me->now;
	me->now.clock[sched_current]++;
}

int sched_choose(int n)
{
	static const struct sched_place at = { "-", "choose", 0 };
	struct op op = { .at = &at, .val = (u64)n, .kind = OP_CHOOSE };

	sched_point(&op);
	return (int)model.thread[sched_current].got;
}

void sched_prepare(void)
{
	static const struct sched_place at = { "-", "prepare to sleep", 0 };
	struct op op = { .at = &at, .kind = OP_PREPARE };

	sched_point(&op);
}

bool sched_sleep(bool killable)
{
	static const struct sched_place at = { "-", "sleep", 0 };
	struct op op = { .at = &at, .val = killable ? SLEEP_KILLABLE : 0,
			 .kind = OP_SLEEP };

	sched_point(&op);
	return model.thread[sched_current].got;
}

void sched_park_begin(void)
{
	model.thread[sched_current].asleep = 1;
	model.thread[sched_current].parks = 1;
}

void sched_park(void)
{
	static const struct sched_place at = { "-", "park", 0 };
	struct op op = { .at = &at, .val = SLEEP_PARKED, .kind = OP_SLEEP };

	sched_point(&op);
}

void sched_running(void)
{
	model.thread[sched_current].asleep = 0;
}

void sched_wait_begin(void)
{
	model.thread[sched_current].waits = 1;
	model.thread[sched_current].woken_for = 0;
}

void sched_wait_end(bool was_woken_for)
{
	struct thread *me = &model.thread[sched_current];

	if (me->woken_for != was_woken_for)
		sched_fail(was_woken_for ? "nobody meant to wake it" :
			   "is to be woken, but not for anything");
	me->waits = 0;
	me->woken_for = 0;
}

static void can_be_woken(const nexus_task *task)
{
	const struct thread *t = &model.thread[task->id];

	if (!t->waits)
		sched_fail("wakes thread %d, which does not wait any more", task->id);
	if (t->woken_for)
		sched_fail("wakes thread %d twice", task->id);
}

void sched_granted(int t, int task);

void sched_wakes_add(nexus_wakes *q, nexus_task *task, int *state, int to,
		     const struct sched_place *at)
{
	if (sched_current >= 0)
		can_be_woken(task);
	sched_store(state, sizeof(*state), (u64)(s64)to, SCHED_ORDERED, at);
	if (sched_current >= 0) {
		can_be_woken(task);
		model.thread[task->id].woken_for = 1;
		sched_granted(sched_current, task->id);
	}
	if (q->n == NEXUS_WAKES_MAX)
		sched_fail("more to wake than there are threads");
	q->task[q->n++] = task;
}

void sched_wakes_done(nexus_wakes *q, const struct sched_place *at)
{
	struct op op = { .at = at, .kind = OP_WAKE };
	unsigned int i;

	for (i = 0; i < q->n; i++) {
		op.val = q->task[i]->id;
		sched_point(&op);
	}
	q->n = 0;
}

/* Steps, as they are taken: */

int model_ways(int t)
{
	const struct thread *me = &model.thread[t];
	const struct op *op = &me->op;

	if (me->done)
		return 0;
	switch (op->kind) {
	case OP_LOCK:
		return !model.lock[op->index].held;
	case OP_LOAD:
	case OP_STORE:
		if (!model.loc[op->index].n)
			return 1;
		return model.loc[op->index].n - me->now.at[op->index];
	case OP_SLEEP:
		return !me->asleep;
	case OP_CHOOSE:
		return (int)op->val;
	default:
		return 1;
	}
}

bool model_may_be_killed(int t)
{
	const struct thread *me = &model.thread[t];

	return !me->done && me->op.kind == OP_SLEEP && me->asleep &&
		(me->op.val & SLEEP_KILLABLE);
}

static void barrier(struct thread *me)
{
	int t = (int)(me - model.thread), i;

	join(&me->now, &me->early);
	for (i = 0; i < MODEL_LOCATIONS; i++) {
		me->now.at[i] = NEXUS_MAX(me->now.at[i], model.barrier.at[i]);
		model.barrier.at[i] = me->now.at[i];
	}
	me->before = me->now;
	me->now.clock[t]++;
}

static void load(struct thread *me, int way)
{
	const struct op *op = &me->op;
	struct location *l = &model.loc[op->index];
	const struct store *s;

	marked(op->p, op->size, false);
	if (!l->n) {
		me->got = raw_load(op->p, op->size);
		return;
	}
	if (l->size != op->size)
		sched_fail("loads and stores differ in size");
	s = &l->store[l->n - 1 - way];
	me->got = s->val;
	me->now.at[op->index] = (u8)(l->n - 1 - way);
	if (op->order == SCHED_ORDERED)
		join(&me->now, &s->with);
	join(&me->early, &s->with);
}

static int moved_from;

static void move_view(struct view *v, int l)
{
	if (v->at[l] >= moved_from)
		v->at[l]++;
}

static void store(struct thread *me, int way)
{
	const struct op *op = &me->op;
	struct location *l = &model.loc[op->index];
	struct store *s;
	int t = (int)(me - model.thread), place;

	marked(op->p, op->size, true);
	if (!l->n) {
		l->n = 1;
		l->size = op->size;
		l->word = (u16)word_of(op->p);
		l->store[0].val = raw_load(op->p, op->size);
	}
	if (l->size != op->size)
		sched_fail("stores differ in size");
	if (l->n == MODEL_STORES)
		sched_fail("more than %d stores can be seen", MODEL_STORES);
	place = l->n - way;
	if (!way) {
		__builtin_memcpy((void *)(uintptr_t)op->p, &op->val, op->size);
	} else {
		moved_from = place;
		each_view(move_view, op->index);
	}
	s = &l->store[place];
	memmove(s + 1, s, (size_t)(l->n - place) * sizeof(*s));
	l->n++;
	memset(s, 0, sizeof(*s));
	/* As a load will see it. */
	__builtin_memcpy(&s->val, &op->val, op->size);
	me->now.at[op->index] = (u8)place;
	s->with = op->order == SCHED_ORDERED ? me->now : me->before;
	s->with.at[op->index] = (u8)place;
	if (op->order == SCHED_ORDERED)
		me->now.clock[t]++;
}

void model_step(int t, int way)
{
	struct thread *me = &model.thread[t];
	const struct op *op = &me->op;

	me->got = 0;
	switch (op->kind) {
	case OP_LOCK:
		if (in_world(op->p))
			not_gone(op->p, word_of(op->p));
		join(&me->now, &model.lock[op->index].with);
		model.lock[op->index].held = (u8)(t + 1);
		break;
	case OP_LOAD:
		load(me, way);
		break;
	case OP_STORE:
		store(me, way);
		break;
	case OP_MB:
		barrier(me);
		break;
	case OP_WAKE:
		barrier(me);
		model.thread[op->val].asleep = 0;
		if (model.thread[op->val].parks) {
			join(&model.thread[op->val].parked, &me->now);
			me->now.clock[t]++;
		}
		break;
	case OP_PREPARE:
		me->asleep = 1;
		barrier(me);
		break;
	case OP_SLEEP:
		me->got = me->asleep;
		me->asleep = op->val == SLEEP_PARKED;
		if (op->val == SLEEP_PARKED)
			join(&me->now, &me->parked);
		break;
	case OP_CHOOSE:
		me->got = (u64)way;
		break;
	}
}

void model_done(int t)
{
	struct thread *me = &model.thread[t];

	memset(me, 0, sizeof(*me));
	me->done = 1;
}
