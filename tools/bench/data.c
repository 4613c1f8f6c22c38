// SPDX-License-Identifier: Apache-2.0
/*
 * bench data MIB ONLY PLACE...: how fast content moves.
 *
 * Every combination of: read or write; sequential or random; 4 KiB or 1 MiB at a time;
 * through the page cache, O_DIRECT or a mapping; for writes fsync at the end or after
 * each; one process with a file of MIB MiB or eight with an eighth each.  Reads begin
 * with nothing cached; "-warm" ones with everything.
 *
 * Sequential writes make a new file.  The others have one file, made just before by large
 * writes and read before it is written at random places.  What is slow moves a part of
 * it only, always the same on every place.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum how { CACHED, DIRECT, MAPPED };

struct op {
	bool write, random, each, warm;
	enum how how;
	size_t unit;
};

static const char * const how_names[] = { "", "-direct", "-mmap" };
static char *block;	/* of 1 MiB, aligned */

static const char *name_of(const struct job *job, int proc)
{
	static char name[4096];

	snprintf(name, sizeof(name), "%s/data-%d", job->place->dir, proc);
	return name;
}

/* A new file is one that the operation makes. */
static bool is_new(const struct op *op)
{
	return op->write && !op->random;
}

/* The bytes of @size that are moved. */
static size_t part_of(const struct op *op, size_t size)
{
	size_t part = 1;

	if (op->each)
		part = op->unit == MIB ? 2 : 64;
	else if (op->unit == 4 * KIB && op->how == DIRECT)
		part = 16;
	else if (op->unit == 4 * KIB && op->random)
		part = 4;
	return size / part < op->unit ? op->unit : size / part / op->unit * op->unit;
}

/* The @i-th of @n places in an order without pattern that comes by each once. */
static size_t place_of(const struct op *op, size_t i, size_t n)
{
	return op->random ? (i * 10007 + 12345) % n : i;
}

static void make(const struct job *job, int proc)
{
	int fd = open(name_of(job, proc), O_WRONLY | O_CREAT | O_EXCL, 0644);
	size_t at;

	if (fd < 0)
		die("create");
	for (at = 0; at < job->n; at += MIB)
		if (write(fd, block, MIB) != (ssize_t)MIB)
			die("write");
	if (fsync(fd) || close(fd))
		die("fsync");
}

static void warm_up(const struct job *job, int proc)
{
	int fd = open(name_of(job, proc), O_RDONLY);

	if (fd < 0)
		die("open");
	while (read(fd, block, MIB) > 0)
		;
	close(fd);
}

static void take(const struct job *job, int proc)
{
	if (unlink(name_of(job, proc)))
		die("unlink");
}

static void one(const struct op *op, int fd, char *map, size_t at)
{
	size_t i;

	if (map) {
		/* A store or load for each page is what a mapping costs. */
		for (i = 0; i < op->unit; i += 4 * KIB)
			if (op->write)
				memcpy(map + at + i, block, 4 * KIB);
			else
				memcpy(block + i, map + at + i, 4 * KIB);
		if (op->each && msync(map + at, op->unit, MS_SYNC))
			die("msync");
		return;
	}
	if (op->write ? pwrite(fd, block, op->unit, (off_t)at) != (ssize_t)op->unit :
			pread(fd, block, op->unit, (off_t)at) != (ssize_t)op->unit)
		die(op->write ? "write" : "read");
	if (op->each && fsync(fd))
		die("fsync");
}

static void work(const struct job *job, int proc)
{
	const struct op *op = job->op;
	size_t bytes = part_of(op, job->n), n = job->n / op->unit, i;
	int flags = (op->how == DIRECT ? O_DIRECT : 0) | (is_new(op) ? O_CREAT | O_EXCL : 0);
	char *map = NULL;
	int fd = open(name_of(job, proc), flags | O_RDWR, 0644);

	if (fd < 0)
		die("open");
	if (op->how == MAPPED) {
		if (is_new(op) && ftruncate(fd, (off_t)bytes))
			die("ftruncate");
		map = mmap(NULL, is_new(op) ? bytes : job->n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			die("mmap");
	}
	for (i = 0; i < bytes / op->unit; i++)
		one(op, fd, map, place_of(op, i, n) * op->unit);
	if (close(fd))
		die("close");
}

static void settle(const struct job *job, int proc)
{
	int fd = open(name_of(job, proc), O_RDWR);

	if (fd < 0 || fsync(fd) || close(fd))
		die("fsync");
}

static void measure(const struct op *op, const struct place *places, int count, int procs,
		    size_t size, const char *only)
{
	struct job job = { .procs = procs, .n = size, .work = work, .op = op,
			   .settle = op->write ? settle : NULL, .changes = op->write };
	char line[64];
	int i;

	snprintf(line, sizeof(line), "%s-%s-%s%s%s%s%s", op->random ? "rand" : "seq",
		 op->write ? "write" : "read", op->unit == MIB ? "1m" : "4k", how_names[op->how],
		 op->each ? "-each" : "", op->warm ? "-warm" : "", procs > 1 ? "-8p" : "");
	/* What goes past the cache is never warm. */
	if (!chosen(line, only) || (op->warm && op->how == DIRECT))
		return;
	for (i = 0; i < count; i++) {
		job.place = &places[i];
		if (op->warm)
			in_process(warm_up, &job);
		else
			forget("1");
		run_job(line, &job, (double)part_of(op, size) * procs / MIB);
		if (is_new(op))
			in_process(take, &job);
	}
}

/* Both sizes and every way to get at the file. */
static void all_ways(struct op op, const struct place *places, int count, int procs, size_t size,
		     const char *only)
{
	static const size_t units[] = { 4 * KIB, MIB };
	size_t i;

	for (op.how = CACHED; op.how <= MAPPED; op.how++)
		for (i = 0; i < 2; i++) {
			op.unit = units[i];
			measure(&op, places, count, procs, size, only);
		}
}

int data_main(int argc, char **argv)
{
	size_t total = strtoul(argv[0], NULL, 10) * MIB;
	struct place *places = places_of(argc - 2, argv + 2);
	int count = argc - 2, procs, i, random, each;

	/* A multiple of 8 MiB has no divisor in common with the step of place_of(). */
	if (!total || total % (8 * MIB) || total > 1024 * MIB) {
		fprintf(stderr, "bench: MIB: a multiple of 8, at most 1024\n");
		return 2;
	}
	block = aligned_alloc(4 * KIB, MIB);
	if (!block)
		return 1;
	memset(block, 'b', MIB);
	for (procs = 1; procs <= 8; procs += 7) {
		struct job file = { .procs = procs, .n = total / (size_t)procs };

		for (each = 0; each < 2; each++)
			all_ways((struct op){ .write = true, .each = each }, places, count, procs, file.n,
				 argv[1]);
		for (i = 0; i < count; i++) {
			file.place = &places[i];
			if (in_process(make, &file)) {
				fprintf(stderr, "bench: making files failed\n");
				return 1;
			}
		}
		for (random = 0; random < 2; random++) {
			all_ways((struct op){ .random = random }, places, count, procs, file.n, argv[1]);
			if (procs == 1)
				all_ways((struct op){ .random = random, .warm = true }, places, count,
					 procs, file.n, argv[1]);
		}
		for (each = 0; each < 2; each++)
			all_ways((struct op){ .write = true, .random = true, .each = each }, places, count,
				 procs, file.n, argv[1]);
		for (i = 0; i < count; i++) {
			file.place = &places[i];
			in_process(take, &file);
		}
	}
	free(block);
	free(places);
	return 0;
}
