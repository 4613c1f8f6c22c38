// SPDX-License-Identifier: Apache-2.0
/* What time does: heartbeats are written, the silent are suspended. */
#include "agents.h"

#include <errno.h>
#include <string.h>

/* ---- heartbeats to the store -------------------------------------------------------- */

struct pending {
	char id[NEXUS_AGENT_ID_MAX + 1];
	uint64_t generation;
	int64_t seen;
	bool gone;	/* the store has not that generation any more */
};

struct batch {
	struct pending p[AGENTS_FLUSH_BATCH];
	uint32_t n;
};

static bool take(struct beat *beat, void *arg)
{
	struct batch *b = arg;

	strcpy(b->p[b->n].id, beat->id);
	b->p[b->n].generation = beat->generation;
	b->p[b->n].seen = beat->seen;
	return ++b->n < AGENTS_FLUSH_BATCH;
}

static int flush_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct batch *b = arg;
	uint64_t changed;
	uint32_t i;
	int ret;

	for (i = 0; i < b->n; i++) {
		ret = nexus_record_exec(r, tx, "UPDATE agent_registry_agent SET seen = $1 "
					"WHERE id = $2 AND generation = $3",
					TABLE_P(TABLE_I(b->p[i].seen), TABLE_T(b->p[i].id),
						TABLE_I(b->p[i].generation)), &changed);
		if (ret)
			return ret;
		b->p[i].gone = !changed;
	}
	return 0;
}

/* Generations are the same: only who has @writing changes them. */
static void settle(struct agents *a, const struct batch *b)
{
	struct beat *beat;
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		beat = beats_find(&a->beats, b->p[i].id);
		if (!beat)
			continue;
		if (b->p[i].gone)
			beats_drop(&a->beats, b->p[i].id);
		else
			beats_written(&a->beats, beat, b->p[i].seen);
		a->written += !b->p[i].gone;
	}
}

/* 1 while there may be more. */
static int flush_some(struct agents *a, struct batch *b)
{
	int ret;

	b->n = 0;
	pthread_mutex_lock(&a->table.writing);
	pthread_mutex_lock(&a->lock);
	beats_pending(&a->beats, take, b);
	pthread_mutex_unlock(&a->lock);
	ret = b->n ? table_run(&a->table, NEXUS_RECORD_WRITE, flush_work, b) : 0;
	if (!ret && b->n) {
		pthread_mutex_lock(&a->lock);
		settle(a, b);
		pthread_mutex_unlock(&a->lock);
	}
	pthread_mutex_unlock(&a->table.writing);
	return ret ? ret : b->n == AGENTS_FLUSH_BATCH;
}

int agents_flush(struct agents *a)
{
	uint32_t most = a->opts.agents_max / AGENTS_FLUSH_BATCH + 1;
	struct batch b;
	int ret;

	/* Those that beat meanwhile are for the next time. */
	do
		ret = flush_some(a, &b);
	while (ret == 1 && --most);
	return ret < 0 ? ret : 0;
}

/* ---- the silent --------------------------------------------------------------------- */

struct silent {
	struct agents *a;
	int64_t now, before;
	char id[AGENTS_SILENT_BATCH][NEXUS_AGENT_ID_MAX + 1];
	uint32_t n;
	uint32_t passed;	/* found in the store, and alive in memory */
};

/*
 * From here on its heartbeats are refused.  One that came after its last was written
 * keeps it alive: what the store says is older.
 */
static bool silence(struct silent *s, const char *id)
{
	struct beat *beat;
	bool alive;

	pthread_mutex_lock(&s->a->lock);
	beat = beats_find(&s->a->beats, id);
	alive = beat && beat->seen >= s->before && beat->seen <= s->now + AGENTS_CLOCK_SLACK_MS;
	if (beat && !alive)
		beat->state = NEXUS_AGENT_SUSPENDED;
	pthread_mutex_unlock(&s->a->lock);
	return !alive;
}

static int take_silent(const struct nexus_record_value *row, void *arg)
{
	struct silent *s = arg;

	if (row[0].size > NEXUS_AGENT_ID_MAX)
		return -EUCLEAN;
	memcpy(s->id[s->n], row[0].data, row[0].size);
	s->id[s->n][row[0].size] = '\0';
	if (silence(s, s->id[s->n]))
		s->n++;
	else
		s->passed++;
	return 0;
}

/* Not done, or nobody knows: the store is asked when they beat. */
static void take_back(struct silent *s)
{
	pthread_mutex_lock(&s->a->lock);
	while (s->n)
		beats_drop(&s->a->beats, s->id[--s->n]);
	pthread_mutex_unlock(&s->a->lock);
}

static int silent_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct silent *s = arg;
	uint32_t i;
	int ret;

	take_back(s);
	s->passed = 0;
	ret = table_rows(r, tx, "SELECT id FROM agent_registry_agent WHERE state IN ($1, $2) AND "
			 "(seen < $3 OR seen > $4) ORDER BY seen LIMIT $5",
			 TABLE_P(TABLE_I(NEXUS_AGENT_CONNECTED), TABLE_I(NEXUS_AGENT_IDLE),
				 TABLE_I(s->before), TABLE_I(s->now + AGENTS_CLOCK_SLACK_MS),
				 TABLE_I(AGENTS_SILENT_BATCH)), take_silent, s);
	for (i = 0; !ret && i < s->n; i++)
		ret = nexus_record_exec(r, tx, "UPDATE agent_registry_agent SET state = $2, "
					"changed = $3 WHERE id = $1",
					TABLE_P(TABLE_T(s->id[i]), TABLE_I(NEXUS_AGENT_SUSPENDED),
						TABLE_I(s->now)), NULL);
	return ret;
}

/* 1 while there may be more. */
static int suspend_some(struct agents *a, struct silent *s)
{
	int ret;

	s->n = 0;
	pthread_mutex_lock(&a->table.writing);
	ret = table_run(&a->table, NEXUS_RECORD_WRITE, silent_work, s);
	if (ret)
		take_back(s);
	pthread_mutex_unlock(&a->table.writing);
	pthread_mutex_lock(&a->lock);
	a->silenced += s->n;
	pthread_mutex_unlock(&a->lock);
	return ret ? ret : s->n && s->n + s->passed == AGENTS_SILENT_BATCH;
}

static void suspend_silent(struct agents *a, int64_t now)
{
	struct silent s;

	s.a = a;
	s.now = now;
	s.before = now - a->opts.silence_ms;
	while (suspend_some(a, &s) == 1)
		;
}

/*
 * Nobody is silent while nobody listens: before this service began, or before the clock was set,
 * what agents did is not known.
 */
static void watch_clock(struct agents *a, int64_t now, int64_t mono)
{
	int64_t jump = (now - a->last_now) - (mono - a->last_mono);

	if (jump > AGENTS_CLOCK_SLACK_MS || jump < -AGENTS_CLOCK_SLACK_MS)
		a->since = mono;
	a->last_now = now;
	a->last_mono = mono;
}

void agents_tick(struct agents *a)
{
	int64_t now = a->opts.now_ms(), mono = a->opts.mono_ms();
	bool flush, sweep;

	watch_clock(a, now, mono);
	sweep = mono - a->last_sweep >= a->opts.sweep_ms && mono - a->since >= a->opts.silence_ms;
	pthread_mutex_lock(&a->lock);
	flush = sweep || mono - a->last_flush >= a->opts.flush_ms ||
		a->beats.pending >= a->opts.agents_max / 5 * 4;
	pthread_mutex_unlock(&a->lock);
	if (flush) {
		a->last_flush = mono;
		/* Without it the store may take the living for silent: memory is asked, too. */
		agents_flush(a);
	}
	if (sweep) {
		a->last_sweep = mono;
		suspend_silent(a, now);
	}
}
