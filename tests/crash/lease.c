// SPDX-License-Identifier: Apache-2.0
/*
 * Leases taken, extended and given up, by several at once, until killed; and whether what a
 * power cut left is what they may rely on.
 *
 *	lease record DIR SEED [DEVICE]
 *	lease verify DIR SEED REPORTS
 *
 * Each worker has a file of its own and does one thing after the other there, so what is
 * held is what it was after the last thing that was acknowledged, or after the one behind
 * it.  One more file all of them want: nobody has it of whom it is known that it gave
 * it up, and nobody from before another who is known to have got it.  No token comes again.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/nexusfs_lease.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

enum { WORKERS = 3, ROUND = 5, LONG = 80000, SHORT = 40000 };
enum { TAKE_A, TAKE_B, EXTEND_A, DROP_A, DROP_B };

/* Holder @who ('A', 'B') of a round of a worker. */
static struct nexus_lease_arg arg_of(uint32_t worker, uint32_t round, char who)
{
	struct nexus_lease_arg a = { .id = { 'x', (unsigned char)worker, (unsigned char)who } };

	memcpy(a.id + 4, &round, sizeof(round));
	return a;
}

static uint64_t take(int fd, struct nexus_lease_arg a, uint32_t max)
{
	snprintf((char *)a.name, sizeof(a.name), "%u %c", a.id[1], a.id[2]);
	a.ttl = LONG;
	a.max_holders = max;
	a.flags = NEXUS_LEASE_F_FOREVER;
	if (ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &a))
		die("acquire");
	return a.token;
}

static void drop(int fd, struct nexus_lease_arg a, unsigned long cmd)
{
	if (ioctl(fd, cmd, &a))
		die("release");
}

static int open_own(uint32_t worker)
{
	char name[16];

	snprintf(name, sizeof(name), "own.%u", worker);
	return open(name, O_RDWR | O_CREAT, 0600);
}

/* Step @n of a worker; the token, if it gets one. */
static uint64_t step(int fd, uint32_t worker, uint32_t n)
{
	uint32_t round = n / ROUND;
	struct nexus_lease_arg a = arg_of(worker, round, 'A'), b = arg_of(worker, round, 'B');

	switch (n % ROUND) {
	case TAKE_A:
		return take(fd, a, 2);
	case TAKE_B:
		return take(fd, b, 2);
	case EXTEND_A:
		a.ttl = SHORT;
		if (ioctl(fd, NEXUS_IOC_LEASE_EXTEND, &a))
			die("extend");
		return a.token;
	case DROP_A:
		drop(fd, a, NEXUS_IOC_LEASE_RELEASE);
		return 0;
	}
	/* Given up or taken away: both end it. */
	if (round % 2)
		memset(b.id, 0, sizeof(b.id));
	drop(fd, b, round % 2 ? NEXUS_IOC_LEASE_BREAK : NEXUS_IOC_LEASE_RELEASE);
	return 0;
}

static void record(uint32_t worker)
{
	int own = open_own(worker), all = open("all", O_RDWR);
	unsigned long long token;
	uint32_t n;

	if (own < 0 || all < 0)
		die("own");
	for (n = 0;; n++) {
		token = step(own, worker, n);
		report("lease %u %u %llu", worker, n, token);
		if (n % ROUND != DROP_B)
			continue;
		token = take(all, arg_of(worker, n, 'C'), 1);
		report("handed %u %u %llu", worker, n, token);
		drop(all, arg_of(worker, n, 'C'), NEXUS_IOC_LEASE_RELEASE);
		report("handed %u %u 0", worker, n);
	}
}

static void record_all(const char *device)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	uint32_t i;

	report_to(device);
	for (i = 0; i < WORKERS; i++)
		if (open_own(i) < 0)
			die("own.%u", i);
	if (dir < 0 || open("all", O_RDWR | O_CREAT, 0600) < 0 || fsync(dir))
		die("all");
	report("lease ready");
	record_by(WORKERS, record);
}

/* ---- afterwards ------------------------------------------------------------------- */

static struct nexus_lease_who who[4];

static unsigned int holders(int fd)
{
	struct nexus_lease_info info = { .holders = (uintptr_t)who, .room = 4 };

	memset(who, 0, sizeof(who));
	if (fd < 0 || ioctl(fd, NEXUS_IOC_LEASE_GET, &info))
		die("who holds it");
	return info.count;
}

/* Whether holder @i is that one, for as long as it was granted. */
static bool is(unsigned int i, struct nexus_lease_arg want, bool extended)
{
	return !memcmp(who[i].id, want.id, sizeof(want.id)) &&
	       extended == (who[i].expires - who[i].acquired < LONG * 1000000000ull);
}

/* Whether what is held is what was held behind step @n; -1: nothing was done. */
static bool held_behind(unsigned int count, uint32_t worker, int64_t n)
{
	struct nexus_lease_arg a = arg_of(worker, n / ROUND, 'A'), b = arg_of(worker, n / ROUND, 'B');

	if (n < 0)
		return !count;
	switch (n % ROUND) {
	case TAKE_A:
		return count == 1 && is(0, a, false);
	case TAKE_B:
	case EXTEND_A:
		return count == 2 && is(0, a, n % ROUND == EXTEND_A) && is(1, b, false);
	case DROP_A:
		return count == 1 && is(0, b, false);
	}
	return !count;
}

/* What was told: the last step of each, its tokens, and who had the file of all. */
struct told {
	int64_t last[WORKERS];
	uint64_t token[WORKERS][2], highest;	/* of A and B */
	int64_t given[WORKERS];			/* the last round given up */
	uint64_t all;
};

static void hear(FILE *reports, struct told *t)
{
	unsigned long long token;
	uint32_t worker, n;
	char line[256];

	memset(t, 0, sizeof(*t));
	memset(t->last, -1, sizeof(t->last));
	memset(t->given, -1, sizeof(t->given));
	while (fgets(line, sizeof(line), reports)) {
		if (sscanf(line, "lease %u %u %llu", &worker, &n, &token) == 3 && worker < WORKERS) {
			t->last[worker] = n;
			if (n % ROUND == TAKE_A || n % ROUND == TAKE_B)
				t->token[worker][n % ROUND == TAKE_B] = token;
		} else if (sscanf(line, "handed %u %u %llu", &worker, &n, &token) == 3 &&
			   worker < WORKERS) {
			if (!token)
				t->given[worker] = n;
			else if (token > t->all)
				t->all = token;
		} else {
			continue;
		}
		if (token > t->highest)
			t->highest = token;
	}
}

static int verify_own(const struct told *t, uint32_t worker)
{
	unsigned int count = holders(open_own(worker)), i;
	int64_t n = t->last[worker];
	bool same = held_behind(count, worker, n);
	int wrong = 0;

	if (!same && !held_behind(count, worker, n + 1)) {
		printf("not ok - lease: of worker %u, %u hold it behind step %lld\n", worker, count,
		       (long long)n);
		wrong++;
	}
	for (i = 0; same && i < count; i++) {
		if (who[i].token == t->token[worker][who[i].id[2] == 'B'])
			continue;
		printf("not ok - lease: of worker %u, the token is %llu\n", worker,
		       (unsigned long long)who[i].token);
		wrong++;
	}
	return wrong;
}

static int verify_all(const struct told *t, int fd)
{
	unsigned int count = holders(fd);
	uint32_t worker, n;

	if (!count)
		return 0;
	worker = who[0].id[1];
	memcpy(&n, who[0].id + 4, sizeof(n));
	if (count == 1 && worker < WORKERS && (int64_t)n > t->given[worker] && who[0].token >= t->all)
		return 0;
	printf("not ok - lease: of all, %u of step %u has it by token %llu, and had given up %lld; %llu was granted\n",
	       worker, n, (unsigned long long)who[0].token,
	       worker < WORKERS ? (long long)t->given[worker] : -1, (unsigned long long)t->all);
	return 1;
}

static int verify(FILE *reports)
{
	struct nexus_lease_arg none = { .id = { 0 } };
	int all = open("all", O_RDWR), wrong = 0;
	uint64_t token;
	struct told t;
	uint32_t i;

	hear(reports, &t);
	for (i = 0; i < WORKERS; i++)
		wrong += verify_own(&t, i);
	wrong += verify_all(&t, all);
	if (holders(all))
		drop(all, none, NEXUS_IOC_LEASE_BREAK);
	token = take(all, arg_of(WORKERS, 0, 'D'), 1);
	if (token <= t.highest) {
		printf("not ok - lease: the next token is %llu, and there was %llu\n",
		       (unsigned long long)token, (unsigned long long)t.highest);
		wrong++;
	}
	drop(all, arg_of(WORKERS, 0, 'D'), NEXUS_IOC_LEASE_RELEASE);
	printf("# lease: %lld %lld %lld steps acknowledged, tokens up to %llu\n",
	       (long long)t.last[0] + 1, (long long)t.last[1] + 1, (long long)t.last[2] + 1,
	       (unsigned long long)t.highest);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	bool judge = argc > 1 && !strcmp(argv[1], "verify");
	FILE *reports = NULL;

	if (argc < 4 + judge) {
		fprintf(stderr, "usage: lease record DIR SEED [DEVICE] | verify DIR SEED REPORTS\n");
		return 2;
	}
	if (judge)
		reports = fopen(argv[4], "r");
	if ((judge && !reports) || (!judge && mkdir(argv[2], 0755)) || chdir(argv[2]))
		die("%s or its reports", argv[2]);
	if (judge)
		return verify(reports);
	record_all(argv[4]);
	return 0;
}
