// SPDX-License-Identifier: Apache-2.0
/*
 * data ROUNDS MIB ONLY DIR...: how fast content moves.
 *
 * Every round does every operation (or those whose name begins with ONLY; "" is
 * all) in every DIR, one DIR right after the other, so that whatever else the
 * machine does meets them all alike.  A line each:
 *
 *	ROUND NAME DIR BYTES NANOSECONDS
 *
 * Each operation has a file of its own of MIB MiB (those of four processes have
 * four of a quarter), which is made before the clock starts if it is to be read or
 * overwritten, and removed after it stopped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PROCS_MAX	4

enum {
	READ	= 1,
	WRITE	= 2,
	RANDOM	= 4,	/* order; every unit once */
	COLD	= 8,	/* nothing is cached before */
	NEW	= 16,	/* the file is made by the operation */
	DIRECT	= 32,
	MAPPED	= 64,
	EACH	= 128,	/* fsync after each unit, not once at the end */
};

struct op {
	const char *name;
	size_t unit;
	int flags;
	int procs;
	int part;	/* so many times fewer bytes: for what is slow */
};

static const struct op ops[] = {
	{ "write-1m",		MIB,	 WRITE | NEW,			1, 1 },
	{ "write-4k",		4 * KIB, WRITE | NEW,			1, 1 },
	{ "rewrite-1m",		MIB,	 WRITE | COLD,			1, 1 },
	{ "rewrite-rand-4k",	4 * KIB, WRITE | RANDOM,		1, 4 },
	{ "read-1m",		MIB,	 READ | COLD,			1, 1 },
	{ "read-4k",		4 * KIB, READ | COLD,			1, 1 },
	{ "read-rand-4k",	4 * KIB, READ | COLD | RANDOM,		1, 8 },
	{ "reread-1m",		MIB,	 READ,				1, 1 },
	{ "reread-4k",		4 * KIB, READ,				1, 1 },
	{ "direct-write-1m",	MIB,	 WRITE | NEW | DIRECT,		1, 1 },
	{ "direct-write-4k",	4 * KIB, WRITE | RANDOM | DIRECT,	1, 16 },
	{ "direct-read-1m",	MIB,	 READ | COLD | DIRECT,		1, 1 },
	{ "direct-read-4k",	4 * KIB, READ | COLD | RANDOM | DIRECT,	1, 16 },
	{ "map-read",		4 * KIB, READ | COLD | MAPPED,		1, 1 },
	{ "map-write",		4 * KIB, WRITE | MAPPED,		1, 2 },
	{ "fsync-4k",		4 * KIB, WRITE | RANDOM | EACH,		1, 64 },
	{ "fsync-append-4k",	4 * KIB, WRITE | NEW | EACH,		1, 64 },
	{ "fsync-1m",		MIB,	 WRITE | NEW | EACH,		1, 2 },
	{ "four-write-1m",	MIB,	 WRITE | NEW,			4, 1 },
	{ "four-read-1m",	MIB,	 READ | COLD,			4, 1 },
	{ "four-direct-read-4k", 4 * KIB, READ | COLD | RANDOM | DIRECT, 4, 8 },
	{ "four-fsync-4k",	4 * KIB, WRITE | RANDOM | EACH,		4, 16 },
};

static char *block;	/* of 1 MiB, aligned */

static void die(const char *what)
{
	fprintf(stderr, "data: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static const char *name_of(const char *dir, int proc)
{
	static char name[4096];

	snprintf(name, sizeof(name), "%s/data-%d", dir, proc);
	return name;
}

static void make(const char *dir, int proc, size_t bytes)
{
	int fd = open(name_of(dir, proc), O_WRONLY | O_CREAT | O_EXCL, 0644);
	size_t at;

	if (fd < 0)
		die("create");
	for (at = 0; at < bytes; at += MIB)
		if (write(fd, block, MIB) != (ssize_t)MIB)
			die("write");
	if (fsync(fd) || close(fd))
		die("fsync");
}

static void forget(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0 || write(fd, "1", 1) != 1 || close(fd))
		die("drop_caches");
}

/* The @i-th of @n places (no multiple of 10007) in an order without pattern. */
static size_t place(const struct op *op, size_t i, size_t n)
{
	return op->flags & RANDOM ? (i * 10007 + 12345) % n : i;
}

static void touch(const struct op *op, char *map, size_t bytes)
{
	volatile char *p = map;
	size_t i;

	for (i = 0; i < bytes; i += op->unit)
		if (op->flags & WRITE)
			p[i] = (char)i;
		else
			(void)p[i];
	if (op->flags & WRITE && msync(map, bytes, MS_SYNC))
		die("msync");
}

static void move(const struct op *op, int fd, size_t at)
{
	ssize_t got;

	if (op->flags & WRITE)
		got = pwrite(fd, block, op->unit, (off_t)at);
	else
		got = pread(fd, block, op->unit, (off_t)at);
	if (got != (ssize_t)op->unit)
		die(op->name);
	if (op->flags & EACH && fsync(fd))
		die("fsync");
}

/* What one process does; @bytes of a file that has @size. */
static void work(const struct op *op, const char *dir, int proc, size_t bytes, size_t size)
{
	int flags = O_RDWR | (op->flags & DIRECT ? O_DIRECT : 0);
	size_t i, n = size / op->unit;
	char *map;
	int fd;

	if (op->flags & NEW)
		flags |= O_CREAT | O_EXCL;
	fd = open(name_of(dir, proc), flags, 0644);
	if (fd < 0)
		die("open");
	if (op->flags & MAPPED) {
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			die("mmap");
		touch(op, map, bytes);
		munmap(map, bytes);
	} else {
		for (i = 0; i < bytes / op->unit; i++)
			move(op, fd, place(op, i, n) * op->unit);
		if (op->flags & WRITE && fsync(fd))
			die("fsync");
	}
	if (close(fd))
		die("close");
}

static void measure(const struct op *op, int round, const char *dir, size_t total)
{
	size_t size = total / (size_t)op->procs, bytes = size / (size_t)op->part;
	int proc, status;
	double from;

	for (proc = 0; proc < op->procs && !(op->flags & NEW); proc++)
		make(dir, proc, size);
	if (op->flags & COLD)
		forget();
	else
		sync();
	from = now();
	if (op->procs == 1) {
		work(op, dir, 0, bytes, size);
	} else {
		for (proc = 0; proc < op->procs; proc++)
			if (!fork()) {
				work(op, dir, proc, bytes, size);
				_exit(0);
			}
		while (wait(&status) > 0)
			if (status)
				die("a child");
	}
	printf("%d %s %s %zu %.0f\n", round, op->name, dir, bytes * (size_t)op->procs,
	       now() - from);
	fflush(stdout);
	for (proc = 0; proc < op->procs; proc++)
		if (unlink(name_of(dir, proc)))
			die("unlink");
	sync();
}

int main(int argc, char **argv)
{
	size_t total = argc > 4 ? strtoul(argv[2], NULL, 10) * MIB : 0, i;
	int rounds = argc > 4 ? atoi(argv[1]) : 0, round, dir;

	if (rounds < 1 || total < 64 * MIB || total % (64 * MIB)) {
		fprintf(stderr, "usage: data ROUNDS MIB ONLY DIR... (MIB: 64, 128, ...)\n");
		return 2;
	}
	block = aligned_alloc(4 * KIB, MIB);
	if (!block)
		die("start");
	memset(block, 'b', MIB);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
			if (strncmp(ops[i].name, argv[3], strlen(argv[3])))
				continue;
			for (dir = 4; dir < argc; dir++)
				measure(&ops[i], round, argv[dir], total);
		}
	return 0;
}
