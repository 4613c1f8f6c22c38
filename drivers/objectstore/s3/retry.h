/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again and how many requests to have at once: logic without a clock,
 * without random numbers of its own, without locks.
 *
 * Times are milliseconds of any clock that never runs backwards.
 */
#ifndef NEXUS_S3_RETRY_H
#define NEXUS_S3_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/** typedef s3_random_fn - a random number below @bound, which is at least 1 */
typedef uint64_t (*s3_random_fn)(void *ctx, uint64_t bound);

/**
 * struct s3_retry - how a failed request is tried again
 *
 * @base_ms: the longest pause after the first failure; doubles with each
 * @cap_ms: the longest pause there is
 * @attempts: requests before it is given up, the first included
 */
struct s3_retry {
	int64_t base_ms;
	int64_t cap_ms;
	unsigned int attempts;
	s3_random_fn random;
	void *random_ctx;
};

/* Retry-After beyond this is taken as this. */
#define S3_RETRY_AFTER_MAX	300000

/**
 * s3_retry_next() - when to try again
 * @failed: attempts so far, at least 1
 * @after_ms: what the server asked for in Retry-After; 0: nothing
 * @now: the time
 * @deadline: of the whole request; INT64_MAX: none
 *
 * Full jitter: any time from @now to the longest pause of this attempt, but not
 * before @after_ms are over.
 *
 * Return: the time; -1: not again, because the attempts are used up or because
 * the time is at or beyond the deadline.
 */
int64_t s3_retry_next(const struct s3_retry *retry, unsigned int failed, int64_t after_ms,
		      int64_t now, int64_t deadline);

/** s3_retry_after() - the Retry-After header, seconds or a date; @unix_now in seconds. 0: nothing usable */
int64_t s3_retry_after(const char *value, int64_t unix_now);

/** enum s3_verdict - what a finished attempt tells about the endpoint */
enum s3_verdict {
	S3_VERDICT_GOOD,	/* it answered, be it 404 */
	S3_VERDICT_SLOW,	/* it asked for less */
	S3_VERDICT_BAD,		/* no answer, a broken one, or 5xx */
	S3_VERDICT_NONE,	/* tells nothing: cancelled */
};

enum s3_circuit { S3_CLOSED, S3_OPEN, S3_HALF_OPEN };

/**
 * struct s3_gate_settings - of the gate before an endpoint
 *
 * @most: requests at once, at least 1
 * @calm_ms: after it was lowered, the number is not lowered again for so long:
 *	requests under way then are answered as slowly
 * @failures: bad ones in a row, without a good one, that open the circuit
 * @open_ms: how long it stays open the first time; doubles up to @open_max_ms
 *	with each probe that fails
 */
struct s3_gate_settings {
	unsigned int most;
	int64_t calm_ms;
	unsigned int failures;
	int64_t open_ms;
	int64_t open_max_ms;
	s3_random_fn random;
	void *random_ctx;
};

/** struct s3_gate - how many requests an endpoint gets; private but for reading */
struct s3_gate {
	struct s3_gate_settings set;
	enum s3_circuit circuit;
	unsigned int active;
	uint64_t limit;		/* requests at once, times 1000 */
	int64_t calm_until;
	unsigned int failed;	/* bad ones in a row */
	unsigned int epoch;	/* of the circuit: one more with each change */
	int64_t pause;		/* of the circuit, this time */
	int64_t probe_at;	/* open: when a single one may try */
	uint64_t lowered;	/* how often the limit was lowered */
	uint64_t opened;	/* how often the circuit opened */
};

/** struct s3_ticket - of an attempt, from its start to its end */
struct s3_ticket {
	unsigned int epoch;
};

void s3_gate_init(struct s3_gate *gate, const struct s3_gate_settings *set);

/** s3_gate_limit() - how many at once now */
unsigned int s3_gate_limit(const struct s3_gate *gate);

/** s3_gate_start() - begin an attempt; false: not now */
bool s3_gate_start(struct s3_gate *gate, int64_t now, struct s3_ticket *ticket);

/**
 * s3_gate_end() - an attempt has ended
 *
 * One that began before the circuit last changed counts for nothing but its place:
 * late answers of before neither close it nor open it again.
 */
void s3_gate_end(struct s3_gate *gate, int64_t now, const struct s3_ticket *ticket,
		 enum s3_verdict verdict);

/** s3_gate_wake() - when to ask again because of the time alone; INT64_MAX: only an end helps */
int64_t s3_gate_wake(const struct s3_gate *gate, int64_t now);

/**
 * struct s3_rate - bytes per second, with a burst of an eighth of a second
 *
 * @bytes: a second; 0: no limit
 */
struct s3_rate {
	uint64_t bytes;
	int64_t at;
	int64_t tokens;	/* bytes times 1000 */
};

void s3_rate_init(struct s3_rate *rate, uint64_t bytes, int64_t now);
/** s3_rate_take() - how many of @want bytes may go now; may be 0 */
uint64_t s3_rate_take(struct s3_rate *rate, int64_t now, uint64_t want);
/** s3_rate_owe() - @len bytes came in already; false: none may, for now, and none were counted */
bool s3_rate_owe(struct s3_rate *rate, int64_t now, uint64_t len);

#endif /* NEXUS_S3_RETRY_H */
