// SPDX-License-Identifier: Apache-2.0
/*
 * Measures the event bus, and Redis' publish/subscribe with the same payload; see
 * tools/bench/events, which runs it.
 *
 *	bench-events SERVICES FILES REDIS-SOCKET SECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "events.h"

uint64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void bench_die(const char *what, int error)
{
	fprintf(stderr, "bench-events: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t bench_part(uint64_t *times, uint32_t n, uint32_t part)
{
	if (!n)
		return 0;
	qsort(times, n, sizeof(*times), compare);
	return times[(uint64_t)(n - 1) * part / 100];
}

int main(int argc, char **argv)
{
	unsigned int seconds;
	struct latency l;
	double ours, theirs;

	if (argc != 5 || !(seconds = (unsigned int)strtoul(argv[4], NULL, 10))) {
		fprintf(stderr, "usage: bench-events SERVICES FILES REDIS-SOCKET SECONDS\n");
		return 2;
	}
	bus_begin(argv[1], argv[2]);
	bus_some(seconds, 100000, &l);
	printf("some %.0f %llu %llu %llu %llu %.2f %llu\n", l.rate, (unsigned long long)l.p50,
	       (unsigned long long)l.p99, (unsigned long long)l.max, (unsigned long long)l.lost,
	       l.cpu, (unsigned long long)l.late99);
	ours = bus_all(seconds);
	bus_end();
	theirs = redis_all(argv[3], seconds);
	printf("all %.0f %.0f\n", ours, theirs);
	return 0;
}
