/* SPDX-License-Identifier: Apache-2.0 */
/* What the measurement of events is made of. */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include <stdatomic.h>
#include <stdint.h>

#define SUBSCRIBERS	100u
#define BATCH		64u		/* events in one publish, or in one pipeline */
#define WINDOW		2048u		/* events that the slowest may be behind */
#define PAYLOAD		128u		/* bytes */

uint64_t bench_now(void);
void bench_die(const char *what, int error);

/* Deliveries in a second, to SUBSCRIBERS that all want all. */
double bus_all(unsigned int seconds);
double redis_all(const char *socket, unsigned int seconds);

/* Delivery times, in ns: each subscriber wants one in SUBSCRIBERS of @rate events a second. */
struct latency {
	uint64_t events;
	uint64_t p50, p99, max;
	uint64_t lost;
	double rate;		/* as it was */
	double cpu;		/* processors it took */
	uint64_t late99;	/* how late a thread is that only wakes every ms */
};

void bus_some(unsigned int seconds, uint32_t rate, struct latency *out);

/* Sorts @n times and gives the one that @part of 100 are not above; 0 for none. */
uint64_t bench_part(uint64_t *times, uint32_t n, uint32_t part);

void bus_begin(const char *services, const char *files);
void bus_end(void);

#endif /* BENCH_EVENTS_H */
