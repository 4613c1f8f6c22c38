// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a directory of many entries costs beside one of few:
 *
 *	entries DIRECTORY [FEW [MANY]]
 *
 * Makes both below DIRECTORY, and does the same number of lookups, creates and unlinks in
 * each, in turns, and lists both: as it was left, and with nothing cached.  Prints
 * operations a second (entries a second for the listings) and the ratio of many to few.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE = 500, TURNS = 5 };

enum what { LOOKUP, LOOKUP_AGAIN, LOOKUP_NONE, CREATE, UNLINK, LIST, LIST_AGAIN, WHATS };
enum state { LEFT, DROPPED, STATES };

static const char *const what_name[WHATS] = {
	"lookup", "lookup again", "lookup of no name", "create", "unlink", "list",
	"list again",
};

static const char *const state_name[STATES] = { "as left", "nothing cached" };

static struct side {
	const char *name;
	uint64_t entries;
	double seconds[STATES][WHATS];
	uint64_t done[STATES][WHATS];
} side[2] = { { .name = "few", .entries = 1000 }, { .name = "many", .entries = 1000000 } };

static uint64_t seed = 88172645463325252ull;

static uint64_t below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void drop(void)
{
	int fd;

	sync();
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "3", 1) != 1)
		die("drop_caches");
	close(fd);
}

static enum state state;

static void count(struct side *s, enum what w, double begun, uint64_t n)
{
	s->seconds[state][w] += now() - begun;
	s->done[state][w] += n;
}

static void make(int dir, const char *prefix, uint64_t i)
{
	char name[40];
	int fd;

	snprintf(name, sizeof(name), "%s%" PRIu64, prefix, i);
	fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		die(name);
	close(fd);
}

static void look(int dir, const char *prefix, uint64_t i, bool there)
{
	struct stat st;
	char name[40];

	snprintf(name, sizeof(name), "%s%" PRIu64, prefix, i);
	if (!fstatat(dir, name, &st, 0) != there)
		die(name);
}

static uint64_t list(int dir)
{
	static char buf[65536];
	uint64_t n = 0;
	long len, at;

	lseek(dir, 0, SEEK_SET);
	while ((len = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		for (at = 0; at < len; n++)
			at += *(unsigned short *)(buf + at + 16);
	if (len < 0)
		die("getdents64");
	return n;
}

static void turn(struct side *s, int turn_nr)
{
	uint64_t names[SAMPLE];
	char name[40];
	double begun;
	int dir, i;

	for (i = 0; i < SAMPLE; i++)
		names[i] = below(s->entries);
	if (state == DROPPED)
		drop();
	dir = open(s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		die(s->name);
	begun = now();
	for (i = 0; i < SAMPLE; i++)
		look(dir, "f", names[i], true);
	count(s, LOOKUP, begun, SAMPLE);
	begun = now();
	for (i = 0; i < SAMPLE; i++)
		look(dir, "f", names[i], true);
	count(s, LOOKUP_AGAIN, begun, SAMPLE);
	begun = now();
	for (i = 0; i < SAMPLE; i++)
		look(dir, "none", (turn_nr * STATES + state) * SAMPLE + i, false);
	count(s, LOOKUP_NONE, begun, SAMPLE);
	begun = now();
	for (i = 0; i < SAMPLE; i++)
		make(dir, "new", i);
	count(s, CREATE, begun, SAMPLE);
	begun = now();
	for (i = 0; i < SAMPLE; i++) {
		snprintf(name, sizeof(name), "new%d", i);
		if (unlinkat(dir, name, 0))
			die(name);
	}
	count(s, UNLINK, begun, SAMPLE);
	/* The whole of a large one takes a while: twice is enough. */
	if (s->entries <= 100000 || turn_nr < 2) {
		if (state == DROPPED)
			drop();
		begun = now();
		count(s, LIST, begun, list(dir));
		begun = now();
		count(s, LIST_AGAIN, begun, list(dir));
	}
	close(dir);
}

int main(int argc, char **argv)
{
	uint64_t i;
	double rate[2], begun;
	int t, k, w, dir;

	if (argc < 2 || chdir(argv[1]))
		die(argc < 2 ? "entries DIRECTORY [FEW [MANY]]" : argv[1]);
	for (k = 0; k < 2; k++) {
		if (argc > 2 + k)
			side[k].entries = strtoull(argv[2 + k], NULL, 0);
		if (!side[k].entries)
			side[k].entries = 1;
		if (mkdir(side[k].name, 0755))
			die(side[k].name);
		dir = open(side[k].name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		begun = now();
		for (i = 0; i < side[k].entries; i++)
			make(dir, "f", i);
		printf("# %" PRIu64 " made at %.0f a second\n", side[k].entries,
		       side[k].entries / (now() - begun));
		fflush(stdout);
		close(dir);
	}
	for (state = 0; state < STATES; state++)
		for (t = 0; t < TURNS; t++)
			for (k = 0; k < 2; k++)
				turn(&side[k], t);
	printf("%-36s %12" PRIu64 " %12" PRIu64 "   ratio\n", "", side[0].entries,
	       side[1].entries);
	for (t = 0; t < STATES; t++) {
		for (w = 0; w < WHATS; w++) {
			for (k = 0; k < 2; k++)
				rate[k] = side[k].done[t][w] / side[k].seconds[t][w];
			printf("%-18s %-17s %12.0f %12.0f   %.2f\n", what_name[w], state_name[t],
			       rate[0], rate[1], rate[1] / rate[0]);
		}
	}
	return 0;
}
