/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent registry, between its files.
 *
 * The record store has all agents.  Memory has the sessions that send heartbeats, as
 * beats: what a heartbeat needs to be judged, and when the last one came.
 *
 * Locks: table.writing > lock.  A beat is made, and its generation and state changed, with
 * both, so that it never says what a transaction before the last said.
 */
#ifndef AGENTS_H
#define AGENTS_H

#include <nexus/services/agent_registry.h>

#include "table.h"

#define AGENTS_FLUSH_BATCH	500u	/* agents in a transaction */
#define AGENTS_SILENT_BATCH	200u
#define AGENTS_CLOCK_SLACK_MS	10000	/* Unix time may jump by that and nobody minds */

struct beat {
	struct beat *next;
	uint64_t generation;
	int64_t seen;		/* Unix time, ms */
	int64_t written;	/* likewise: what the store has */
	uint32_t state;
	const char *owner;
	char id[];
};

/** struct beats - by id */
struct beats {
	struct beat **buckets;
	uint32_t n_buckets;	/* a power of two */
	uint32_t count;
	uint32_t pending;	/* seen is not written */
};

int beats_init(struct beats *b, uint32_t n_buckets);
void beats_end(struct beats *b);
struct beat *beats_find(const struct beats *b, const char *id);
/* A new one, which is not there yet; NULL without memory. */
struct beat *beats_add(struct beats *b, const char *id, const char *owner);
void beats_drop(struct beats *b, const char *id);
/* Drops all that are written. */
void beats_trim(struct beats *b);
void beats_seen(struct beats *b, struct beat *beat, int64_t seen);
/* The store has this. */
void beats_written(struct beats *b, struct beat *beat, int64_t seen);
/* Calls @each for all that are pending, until it returns false. */
void beats_pending(struct beats *b, bool (*each)(struct beat *beat, void *arg), void *arg);

/**
 * struct agents_opts - numbers and clocks; tests have others
 * @agents_max: NEXUS_AGENTS_MAX, also of beats
 * @owner_max: NEXUS_AGENTS_OF_OWNER_MAX
 * @flush_ms: NEXUS_AGENT_FLUSH_MS
 * @silence_ms: NEXUS_AGENT_SILENCE_MS, more than twice @flush_ms: another helper on
 *	the same store knows of heartbeats here only what was written
 * @sweep_ms: how often the silent are looked for
 * @now_ms: Unix time
 * @mono_ms: of a clock that nobody sets
 * @more: memory that lives as long as the arguments
 * @full: wakes who calls agents_tick(): much is pending; may be NULL
 * @arg: for @full
 */
struct agents_opts {
	uint32_t agents_max;
	uint32_t owner_max;
	uint32_t flush_ms;
	uint32_t silence_ms;
	uint32_t sweep_ms;
	int64_t (*now_ms)(void);
	int64_t (*mono_ms)(void);
	void *(*more)(void *args, size_t size);
	void (*full)(void *arg);
	void *arg;
};

struct agents {
	struct agents_opts opts;
	struct table table;
	pthread_mutex_t lock;
	struct beats beats;			/* lock */
	uint64_t heartbeats, written, silenced;	/* lock */
	int64_t since;		/* of agents_tick() alone: silence counts from here, mono */
	int64_t last_now, last_mono, last_flush, last_sweep;
};

/* agents.c */

/* For service_start; -ENOMEM and what the store says. */
int agents_open(struct agents *a, struct nexus_records *records, const struct agents_opts *opts,
		void (*say)(void *arg, const char *line), void *arg);
void agents_close(struct agents *a);

/* The operations, see <nexus/services/agent_registry.h>. */
int agents_add(struct agents *a, struct nexus_agent_add_args *args);
int agents_get(struct agents *a, struct nexus_agent_get_args *args);
int agents_transition(struct agents *a, struct nexus_agent_transition_args *args);
int agents_heartbeat(struct agents *a, struct nexus_agent_heartbeat_args *args);
int agents_list(struct agents *a, struct nexus_agent_list_args *args);
int agents_remove(struct agents *a, struct nexus_agent_remove_args *args);
int agents_state(struct agents *a, struct nexus_agent_registry_state *st);

/* tick.c */

/* Flushes and looks for the silent when it is time; one thread at a time. */
void agents_tick(struct agents *a);
/* Writes all that is pending; an error leaves the rest pending. */
int agents_flush(struct agents *a);

/* records.c: in a transaction each */

struct agent_row {
	uint64_t generation;
	uint32_t state;
	int64_t seen;
	char owner[NEXUS_AGENT_SUBJECT_MAX + 1];
};

int agent_migrate(struct agents *a);
int agent_find(struct nexus_records *r, struct nexus_record_tx *tx, const char *id,
	       struct agent_row *row);
int agent_load(struct agents *a, struct nexus_records *r, struct nexus_record_tx *tx, void *args,
	       const char *id, struct nexus_agent *agent);
/* -EEXIST, -EDQUOT, -ENOSPC */
int agent_insert(struct agents *a, struct nexus_records *r, struct nexus_record_tx *tx,
		 const struct nexus_agent_add_args *args);
int agent_update(struct nexus_records *r, struct nexus_record_tx *tx, const char *id,
		 uint32_t state, uint64_t generation, int64_t now, int64_t seen);
int agent_delete(struct nexus_records *r, struct nexus_record_tx *tx, const char *id,
		 const struct agent_row *row);
int agent_list(struct agents *a, struct nexus_records *r, struct nexus_record_tx *tx,
	       struct nexus_agent_list_args *args);
int agent_count(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t *agents);

#endif /* AGENTS_H */
