// SPDX-License-Identifier: Apache-2.0
/* The operations of the agent registry. */
#include "agents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int agents_open(struct agents *a, struct nexus_records *records, const struct agents_opts *opts,
		void (*say)(void *arg, const char *line), void *arg)
{
	uint32_t n_buckets = 16;
	int ret;

	while (n_buckets < opts->agents_max)
		n_buckets *= 2;
	*a = (struct agents){ .opts = *opts };
	table_init(&a->table, records, say, arg);
	pthread_mutex_init(&a->lock, NULL);
	a->last_now = opts->now_ms();
	a->last_mono = opts->mono_ms();
	a->since = a->last_flush = a->last_sweep = a->last_mono;
	ret = beats_init(&a->beats, n_buckets);
	if (!ret)
		ret = agent_migrate(a);
	if (ret)
		agents_close(a);
	return ret;
}

void agents_close(struct agents *a)
{
	beats_end(&a->beats);
	pthread_mutex_destroy(&a->lock);
	table_end(&a->table);
}

/* The owner, and the agent itself. */
static bool may(const char *as, const char *owner, const char *id)
{
	return !as || !strcmp(as, owner) || (!strncmp(as, "agent:", 6) && !strcmp(as + 6, id));
}

/* What every call is about: the row, when @as may, and of its generation. */
static int find(struct nexus_records *r, struct nexus_record_tx *tx, const char *as,
		const char *id, uint64_t generation, struct agent_row *row)
{
	int ret = agent_find(r, tx, id, row);

	if (ret == -ENOENT && generation)
		return -EKEYEXPIRED;
	if (ret)
		return ret;
	if (!may(as, row->owner, id))
		return -EACCES;
	return generation && generation != row->generation ? -EKEYEXPIRED : 0;
}

/* ---- register, get ------------------------------------------------------------------ */

struct work {
	struct agents *a;
	void *args;
	struct agent_row row;
	int64_t now;
};

static int add_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;
	struct nexus_agent_add_args *args = w->args;
	int ret = agent_insert(w->a, r, tx, args);

	return ret ? ret : agent_load(w->a, r, tx, args, args->id, &args->agent);
}

static int check_add(const struct nexus_agent_add_args *args)
{
	int ret = text_name(args->id, NEXUS_AGENT_ID_MAX);

	if (!ret)
		ret = text_subject(args->owner, NEXUS_AGENT_SUBJECT_MAX);
	if (!ret)
		ret = text_ok(args->zone, NEXUS_AGENT_ZONE_MAX);
	if (!ret)
		ret = text_ok(args->name, NEXUS_AGENT_NAME_MAX);
	/* Text of several lines is welcome here. */
	if (!ret && args->metadata &&
	    strnlen(args->metadata, NEXUS_AGENT_METADATA_MAX + 1) > NEXUS_AGENT_METADATA_MAX)
		ret = -ENAMETOOLONG;
	return ret;
}

static int write_work(struct agents *a, nexus_record_work work, struct work *w)
{
	return table_run(&a->table, NEXUS_RECORD_WRITE, work, w);
}

int agents_add(struct agents *a, struct nexus_agent_add_args *args)
{
	struct work w = { .a = a, .args = args };
	int ret = check_add(args);

	if (ret)
		return ret;
	if (args->as && strcmp(args->as, args->owner) != 0)
		return -EACCES;
	pthread_mutex_lock(&a->table.writing);
	ret = write_work(a, add_work, &w);
	pthread_mutex_unlock(&a->table.writing);
	return ret;
}

static int get_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;
	struct nexus_agent_get_args *args = w->args;
	int ret = find(r, tx, args->as, args->id, 0, &w->row);

	return ret ? ret : agent_load(w->a, r, tx, args, args->id, &args->agent);
}

/* What memory knows of an agent better than the store. */
static void add_seen(struct agents *a, struct nexus_agent *agent)
{
	const struct beat *beat = beats_find(&a->beats, agent->id);

	if (beat && beat->generation == agent->generation && beat->seen > agent->seen_ms)
		agent->seen_ms = beat->seen;
}

int agents_get(struct agents *a, struct nexus_agent_get_args *args)
{
	struct work w = { .a = a, .args = args };
	int ret = text_name(args->id, NEXUS_AGENT_ID_MAX);

	if (!ret)
		ret = table_run(&a->table, NEXUS_RECORD_READ, get_work, &w);
	if (ret)
		return ret;
	pthread_mutex_lock(&a->lock);
	add_seen(a, &args->agent);
	pthread_mutex_unlock(&a->lock);
	return 0;
}

/* ---- transition, unregister --------------------------------------------------------- */

static bool way(uint32_t from, uint32_t to)
{
	switch (to) {
	case NEXUS_AGENT_CONNECTED:
		return from != NEXUS_AGENT_CONNECTED;
	case NEXUS_AGENT_IDLE:
		return from == NEXUS_AGENT_CONNECTED;
	case NEXUS_AGENT_SUSPENDED:
		return from == NEXUS_AGENT_CONNECTED || from == NEXUS_AGENT_IDLE;
	default:
		return false;
	}
}

static int transition_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;
	struct nexus_agent_transition_args *args = w->args;
	int ret = find(r, tx, args->as, args->id, args->generation, &w->row);

	if (ret)
		return ret;
	if (!way(w->row.state, args->target))
		return -EBUSY;
	w->row.state = args->target;
	if (args->target == NEXUS_AGENT_CONNECTED)
		w->row.generation++;
	/* Suspended, it keeps when it lived. */
	if (args->target != NEXUS_AGENT_SUSPENDED)
		w->row.seen = w->now;
	ret = agent_update(r, tx, args->id, w->row.state, w->row.generation, w->now, w->row.seen);
	return ret ? ret : agent_load(w->a, r, tx, args, args->id, &args->agent);
}

/* Memory has room for it when none is pending that need not be. */
static struct beat *new_beat(struct agents *a, const char *id, const char *owner)
{
	if (a->beats.count >= a->opts.agents_max)
		beats_trim(&a->beats);
	return a->beats.count >= a->opts.agents_max ? NULL : beats_add(&a->beats, id, owner);
}

/* Both locks held: what the store has now.  Without memory the next heartbeat looks there. */
static struct beat *remember(struct agents *a, const char *id, const struct agent_row *row)
{
	struct beat *beat = beats_find(&a->beats, id);

	/* Registered anew, it may be somebody else's. */
	if (beat && strcmp(beat->owner, row->owner) != 0) {
		beats_drop(&a->beats, id);
		beat = NULL;
	}
	if (!beat)
		beat = new_beat(a, id, row->owner);
	if (!beat)
		return NULL;
	if (beat->generation != row->generation || row->seen > beat->seen)
		beats_seen(&a->beats, beat, row->seen);
	beat->generation = row->generation;
	beat->state = row->state;
	beats_written(&a->beats, beat, row->seen);
	return beat;
}

static void forget(struct agents *a, const char *id)
{
	pthread_mutex_lock(&a->lock);
	beats_drop(&a->beats, id);
	pthread_mutex_unlock(&a->lock);
}

int agents_transition(struct agents *a, struct nexus_agent_transition_args *args)
{
	struct work w = { .a = a, .args = args, .now = a->opts.now_ms() };
	int ret = text_name(args->id, NEXUS_AGENT_ID_MAX);

	if (ret)
		return ret;
	if (args->target < NEXUS_AGENT_UNKNOWN || args->target > NEXUS_AGENT_SUSPENDED)
		return -EINVAL;
	pthread_mutex_lock(&a->table.writing);
	ret = write_work(a, transition_work, &w);
	if (!ret) {
		pthread_mutex_lock(&a->lock);
		remember(a, args->id, &w.row);
		pthread_mutex_unlock(&a->lock);
	} else if (ret == -ENOTCONN) {
		/* It may have been done. */
		forget(a, args->id);
	}
	pthread_mutex_unlock(&a->table.writing);
	return ret;
}

static int remove_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;
	struct nexus_agent_remove_args *args = w->args;
	int ret = find(r, tx, args->as, args->id, args->generation, &w->row);

	return ret ? ret : agent_delete(r, tx, args->id, &w->row);
}

int agents_remove(struct agents *a, struct nexus_agent_remove_args *args)
{
	struct work w = { .a = a, .args = args };
	int ret = text_name(args->id, NEXUS_AGENT_ID_MAX);

	if (ret)
		return ret;
	pthread_mutex_lock(&a->table.writing);
	ret = write_work(a, remove_work, &w);
	if (!ret || ret == -ENOTCONN)
		forget(a, args->id);
	pthread_mutex_unlock(&a->table.writing);
	return ret;
}

/* ---- heartbeat ---------------------------------------------------------------------- */

/* Lock held.  1: the store has to be asked. */
static int beat_now(struct agents *a, struct beat *beat, struct nexus_agent_heartbeat_args *args)
{
	if (!may(args->as, beat->owner, args->id))
		return -EACCES;
	/* Of the future: another helper may have let it in. */
	if (args->generation > beat->generation)
		return 1;
	if (args->generation < beat->generation)
		return -EKEYEXPIRED;
	if (beat->state != NEXUS_AGENT_CONNECTED && beat->state != NEXUS_AGENT_IDLE)
		return -EBUSY;
	beats_seen(&a->beats, beat, a->opts.now_ms());
	a->heartbeats++;
	args->state = beat->state;
	return 0;
}

static int look_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;
	const struct nexus_agent_heartbeat_args *args = w->args;

	return find(r, tx, args->as, args->id, args->generation, &w->row);
}

/* Memory does not know it.  With @writing, so that nothing changes until it does. */
static int beat_from_store(struct agents *a, struct nexus_agent_heartbeat_args *args)
{
	struct work w = { .a = a, .args = args };
	struct beat *beat;
	int ret;

	pthread_mutex_lock(&a->table.writing);
	ret = table_run(&a->table, NEXUS_RECORD_READ, look_work, &w);
	if (!ret) {
		pthread_mutex_lock(&a->lock);
		beat = remember(a, args->id, &w.row);
		ret = beat ? beat_now(a, beat, args) : -ENOSPC;
		pthread_mutex_unlock(&a->lock);
	}
	pthread_mutex_unlock(&a->table.writing);
	return ret;
}

int agents_heartbeat(struct agents *a, struct nexus_agent_heartbeat_args *args)
{
	int ret = text_name(args->id, NEXUS_AGENT_ID_MAX);
	struct beat *beat;
	bool full;

	if (ret)
		return ret;
	if (!args->generation)
		return -EKEYEXPIRED;
	pthread_mutex_lock(&a->lock);
	beat = beats_find(&a->beats, args->id);
	ret = beat ? beat_now(a, beat, args) : 1;
	full = a->beats.pending == a->opts.agents_max / 5 * 4;
	pthread_mutex_unlock(&a->lock);
	if (ret == 1)
		ret = beat_from_store(a, args);
	if (full && a->opts.full)
		a->opts.full(a->opts.arg);
	return ret;
}

/* ---- list, state -------------------------------------------------------------------- */

static int list_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;

	return agent_list(w->a, r, tx, w->args);
}

static int check_list(const struct nexus_agent_list_args *args)
{
	int ret = text_ok(args->owner, NEXUS_AGENT_SUBJECT_MAX);

	if (!ret)
		ret = text_ok(args->zone, NEXUS_AGENT_ZONE_MAX);
	if (!ret)
		ret = text_ok(args->after, NEXUS_AGENT_ID_MAX);
	if (!ret && (args->state > NEXUS_AGENT_SUSPENDED || args->max > NEXUS_AGENT_LIST_MAX))
		ret = -EINVAL;
	if (!ret && args->as && strcmp(args->as, text_or_empty(args->owner)) != 0)
		ret = -EACCES;
	return ret;
}

int agents_list(struct agents *a, struct nexus_agent_list_args *args)
{
	struct work w = { .a = a, .args = args };
	int ret = check_list(args);
	uint32_t i;

	if (ret)
		return ret;
	if (!args->max)
		args->max = NEXUS_AGENT_LIST_MAX;
	args->agents = a->opts.more(args, args->max * sizeof(*args->agents));
	if (!args->agents)
		return -ENOMEM;
	ret = table_run(&a->table, NEXUS_RECORD_READ, list_work, &w);
	pthread_mutex_lock(&a->lock);
	for (i = 0; !ret && i < args->count; i++)
		add_seen(a, &args->agents[i]);
	pthread_mutex_unlock(&a->lock);
	return ret;
}

static int count_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct nexus_agent_registry_state *st = arg;

	return agent_count(r, tx, &st->agents);
}

int agents_state(struct agents *a, struct nexus_agent_registry_state *st)
{
	int ret = table_run(&a->table, NEXUS_RECORD_READ, count_work, st);

	pthread_mutex_lock(&a->lock);
	st->known = a->beats.count;
	st->pending = a->beats.pending;
	st->heartbeats = a->heartbeats;
	st->written = a->written;
	st->silenced = a->silenced;
	pthread_mutex_unlock(&a->lock);
	return ret;
}
