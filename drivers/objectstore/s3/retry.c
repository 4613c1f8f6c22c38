// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "retry.h"

#define ONE	1000u	/* a request, in the limit's unit */

/* min(first << shift, most), however large the shift. */
static int64_t doubled(int64_t first, unsigned int shift, int64_t most)
{
	while (shift-- && first < most)
		first *= 2;
	return first < most ? first : most;
}

int64_t s3_retry_next(const struct s3_retry *retry, unsigned int failed, int64_t after_ms,
		      int64_t now, int64_t deadline)
{
	int64_t pause;

	if (failed >= retry->attempts)
		return -1;
	pause = doubled(retry->base_ms, failed ? failed - 1 : 0, retry->cap_ms);
	pause = (int64_t)retry->random(retry->random_ctx, (uint64_t)pause + 1);
	/* Spread what all were told to do at the same moment. */
	if (after_ms)
		pause += after_ms;
	return pause < deadline - now ? now + pause : -1;
}

int64_t s3_retry_after(const char *value, int64_t unix_now)
{
	struct tm tm = { 0 };
	int64_t seconds;
	char *end;

	while (*value == ' ')
		value++;
	if (*value >= '0' && *value <= '9') {
		seconds = strtol(value, &end, 10);
		if (*end && *end != ' ')
			return 0;
	} else {
		/* Names of days and months are English in the C locale, which is ours. */
		end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (!end || *end)
			return 0;
		seconds = timegm(&tm) - unix_now;
	}
	if (seconds <= 0)
		return 0;
	return seconds < S3_RETRY_AFTER_MAX / 1000 ? seconds * 1000 : S3_RETRY_AFTER_MAX;
}

void s3_gate_init(struct s3_gate *gate, const struct s3_gate_settings *set)
{
	memset(gate, 0, sizeof(*gate));
	gate->set = *set;
	gate->limit = (uint64_t)set->most * ONE;
	gate->calm_until = INT64_MIN;
}

unsigned int s3_gate_limit(const struct s3_gate *gate)
{
	return (unsigned int)(gate->limit / ONE);
}

bool s3_gate_start(struct s3_gate *gate, int64_t now, struct s3_ticket *ticket)
{
	switch (gate->circuit) {
	case S3_CLOSED:
		if (gate->active >= s3_gate_limit(gate))
			return false;
		break;
	case S3_OPEN:
		if (now < gate->probe_at)
			return false;
		gate->circuit = S3_HALF_OPEN;
		gate->epoch++;
		break;
	case S3_HALF_OPEN:
		return false;
	}
	gate->active++;
	ticket->epoch = gate->epoch;
	return true;
}

static void open_circuit(struct s3_gate *gate, int64_t now)
{
	int64_t jitter = (int64_t)gate->set.random(gate->set.random_ctx, (uint64_t)gate->pause / 4 + 1);

	gate->circuit = S3_OPEN;
	gate->epoch++;
	gate->opened++;
	/* Many machines found it closed at one moment; they should not ask at one. */
	gate->probe_at = now + gate->pause - jitter;
}

static void lower(struct s3_gate *gate, int64_t now)
{
	if (now < gate->calm_until)
		return;
	gate->limit = gate->limit / 2 > ONE ? gate->limit / 2 : ONE;
	gate->calm_until = now + gate->set.calm_ms;
	gate->lowered++;
}

static void raise_limit(struct s3_gate *gate)
{
	uint64_t most = (uint64_t)gate->set.most * ONE;

	/* One more for each round of as many as there may be. */
	gate->limit += (uint64_t)ONE * ONE / gate->limit;
	if (gate->limit > most)
		gate->limit = most;
}

static void end_probe(struct s3_gate *gate, int64_t now, enum s3_verdict verdict)
{
	switch (verdict) {
	case S3_VERDICT_BAD:
		gate->pause = doubled(gate->pause, 1, gate->set.open_max_ms);
		open_circuit(gate, now);
		break;
	case S3_VERDICT_NONE:
		/* The next one probes, without another pause. */
		gate->circuit = S3_OPEN;
		gate->epoch++;
		break;
	case S3_VERDICT_SLOW:
	case S3_VERDICT_GOOD:
		gate->circuit = S3_CLOSED;
		gate->epoch++;
		gate->failed = 0;
		/* Not all at once at what has just come back. */
		gate->limit = ONE;
		break;
	}
}

void s3_gate_end(struct s3_gate *gate, int64_t now, const struct s3_ticket *ticket,
		 enum s3_verdict verdict)
{
	gate->active--;
	if (ticket->epoch != gate->epoch)
		return;
	if (gate->circuit == S3_HALF_OPEN) {
		end_probe(gate, now, verdict);
		return;
	}
	switch (verdict) {
	case S3_VERDICT_GOOD:
		gate->failed = 0;
		raise_limit(gate);
		break;
	case S3_VERDICT_SLOW:
		gate->failed = 0;
		lower(gate, now);
		break;
	case S3_VERDICT_BAD:
		if (++gate->failed >= gate->set.failures) {
			gate->pause = gate->set.open_ms;
			open_circuit(gate, now);
		}
		break;
	case S3_VERDICT_NONE:
		break;
	}
}

int64_t s3_gate_wake(const struct s3_gate *gate, int64_t now)
{
	if (gate->circuit != S3_OPEN)
		return INT64_MAX;
	return gate->probe_at > now ? gate->probe_at : now;
}

void s3_rate_init(struct s3_rate *rate, uint64_t bytes, int64_t now)
{
	rate->bytes = bytes;
	rate->at = now;
	rate->tokens = 0;
}

static void refill(struct s3_rate *rate, int64_t now)
{
	/* At least what curl hands over at once. */
	int64_t burst = (int64_t)(rate->bytes / 8 > 65536 ? rate->bytes / 8 : 65536) * 1000;
	int64_t passed = now - rate->at;

	if (passed <= 0)
		return;
	rate->at = now;
	/* A minute fills any bucket, and no product overflows. */
	rate->tokens += (passed < 60000 ? passed : 60000) * (int64_t)rate->bytes;
	if (rate->tokens > burst)
		rate->tokens = burst;
}

uint64_t s3_rate_take(struct s3_rate *rate, int64_t now, uint64_t want)
{
	uint64_t have;

	if (!rate->bytes)
		return want;
	refill(rate, now);
	have = rate->tokens > 0 ? (uint64_t)rate->tokens / 1000 : 0;
	if (have > want)
		have = want;
	rate->tokens -= (int64_t)have * 1000;
	return have;
}

bool s3_rate_owe(struct s3_rate *rate, int64_t now, uint64_t len)
{
	if (!rate->bytes)
		return true;
	refill(rate, now);
	if (rate->tokens <= 0)
		return false;
	rate->tokens -= (int64_t)len * 1000;
	return true;
}
