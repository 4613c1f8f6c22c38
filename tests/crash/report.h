/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a workload reports while it runs: a line on standard output, or a mark in
 * the log of a dm-log-writes device, where it stands behind every flush it rests on.
 */
#ifndef NEXUS_CRASH_REPORT_H
#define NEXUS_CRASH_REPORT_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program: what it recorded so far counts for nothing. */
#define die(...)							\
	do {								\
		printf("not ok - " __VA_ARGS__);			\
		printf(": %s\n", strerror(errno));			\
		fflush(stdout);						\
		exit(1);						\
	} while (0)

/* The name of a device-mapper device; NULL for standard output, as at first. */
void report_to(const char *device);

/* One line of words, without its end.  It is there when this returns. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Has @n processes run @record(0), @record(1), ... until all are killed.  Does not return. */
void record_by(uint32_t n, void (*record)(uint32_t worker)) __attribute__((noreturn));

#endif
