// SPDX-License-Identifier: Apache-2.0
/*
 * bench latency MIB DIR: single reads of 4 KiB that nobody has cached and single writes of
 * 4 KiB with their fsync, in turn, at random places of a file of MIB MiB there (made when it
 * is not), from the line "ready" until standard input ends.  Then two lines, in nanoseconds:
 *
 *	read|write COUNT P50 P99 MAX
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { KEPT = 100000 };

static double *taken[2];
static size_t count[2];

static int stop(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	return 1;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int latency_main(int argc, char **argv)
{
	static const char * const names[] = { "read", "write" };
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t size = strtoul(argv[0], NULL, 10) * MIB, at, i;
	char *block = aligned_alloc(4 * KIB, MIB);
	char path[4096];
	double from;
	int in, out, k;

	(void)argc;
	taken[0] = calloc(KEPT, sizeof(double));
	taken[1] = calloc(KEPT, sizeof(double));
	if (!block || !taken[0] || !taken[1] || !size)
		return stop("start");
	memset(block, 'b', MIB);
	snprintf(path, sizeof(path), "%s/latency", argv[1]);
	out = open(path, O_RDWR | O_CREAT, 0644);
	if (out < 0)
		return stop(path);
	if (lseek(out, 0, SEEK_END) != (off_t)size)
		for (at = 0; at < size; at += MIB)
			if (pwrite(out, block, MIB, (off_t)at) != (ssize_t)MIB)
				return stop("write");
	in = open(path, O_RDONLY | O_DIRECT);
	if (in < 0 || fsync(out))
		return stop(path);
	puts("ready");
	fflush(stdout);
	/* Each at least once, also when there is nothing to wait for. */
	for (i = 0; i < 2 || (i < 2ul * KEPT && !poll(&input, 1, 0)); i++) {
		at = (i * 10007 + 12345) % (size / (4 * KIB)) * 4 * KIB;
		k = i % 2;
		from = now();
		if (k ? pwrite(out, block, 4 * KIB, (off_t)at) != 4096 || fsync(out) :
			pread(in, block, 4 * KIB, (off_t)at) != 4096)
			return stop(names[k]);
		taken[k][count[k]++] = now() - from;
	}
	for (k = 0; k < 2; k++) {
		if (!count[k])
			return stop("no operation in time");
		qsort(taken[k], count[k], sizeof(double), by_size);
		printf("%s %zu %.0f %.0f %.0f\n", names[k], count[k], taken[k][count[k] / 2],
		       taken[k][count[k] * 99 / 100], taken[k][count[k] - 1]);
	}
	return 0;
}
