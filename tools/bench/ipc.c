// SPDX-License-Identifier: Apache-2.0
/*
 * bench ipc ROUNDS MS ONLY DIR TMPFS: messages between processes, by every means there is
 * (ipc_means.c, ipc_ring.c), with channels in DIR of a nexusfs and in TMPFS.  In each round
 * each line is measured with one means right after the other, for about MS milliseconds:
 * how many messages that are is found out in the first round.
 *
 *	rate-64 rate-1k rate-64k	one sends, one receives, on a processor each; -1cpu: both
 *					on one; -4to1, -4to4: four send, one or four receive,
 *					anywhere
 *	rate-64k-1m			with a capacity of 1 MiB, where it is 64 KiB otherwise
 *	pingpong-1cpu pingpong-2cpu	64 bytes there and back
 *
 * A receiver of messages of more than PIPE_BUF from a FIFO or pipe takes the bytes as they
 * come, as many as the messages have; from any other means it takes messages, whole, and
 * those that were received are those that were sent, from one process in its order.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "ipc.h"

enum { UNIT = 256, KINDS = 16 };	/* counts are multiples of all processes and batches */

static const struct line {
	const char *name;
	size_t size, capacity;
	int senders, receivers;		/* 0 receivers: there and back by two */
	int cpus;			/* two processes on so many of their own; 0: anywhere */
} lines[] = {
	{ "rate-64", 64, 64 * KIB, 1, 1, 2 },
	{ "rate-64-4to1", 64, 64 * KIB, 4, 1, 0 },
	{ "rate-64-4to4", 64, 64 * KIB, 4, 4, 0 },
	{ "rate-64-1cpu", 64, 64 * KIB, 1, 1, 1 },
	{ "rate-1k", KIB, 64 * KIB, 1, 1, 2 },
	{ "rate-1k-4to1", KIB, 64 * KIB, 4, 1, 0 },
	{ "rate-1k-4to4", KIB, 64 * KIB, 4, 4, 0 },
	{ "rate-1k-1cpu", KIB, 64 * KIB, 1, 1, 1 },
	{ "rate-64k", 64 * KIB, 64 * KIB, 1, 1, 2 },
	{ "rate-64k-4to1", 64 * KIB, 64 * KIB, 4, 1, 0 },
	{ "rate-64k-4to4", 64 * KIB, 64 * KIB, 4, 4, 0 },
	{ "rate-64k-1cpu", 64 * KIB, 64 * KIB, 1, 1, 1 },
	{ "rate-64k-1m", 64 * KIB, MIB, 1, 1, 2 },
	{ "pingpong-1cpu", 64, 64 * KIB, 2, 0, 1 },
	{ "pingpong-2cpu", 64, 64 * KIB, 2, 0, 2 },
};

enum { LINES = sizeof(lines) / sizeof(lines[0]) };

/* What a job is given; the second channel is for the way back. */
struct exchange {
	const struct line *line;
	struct channel there, back;
};

static uint64_t *sums;			/* shared: of the numbers each process received */
static size_t counts[LINES][KINDS];	/* messages, or times there and back */

/* Each message begins with its number of those its process sends. */
static void stamp(char *buf, size_t size, size_t len, uint64_t number)
{
	size_t at;

	for (at = 0; at < len; at += size, number++)
		memcpy(buf + at, &number, sizeof(number));
}

static uint64_t stamped(const char *buf, size_t size, size_t len)
{
	uint64_t sum = 0, number;
	size_t at;

	for (at = 0; at < len; at += size) {
		memcpy(&number, buf + at, sizeof(number));
		sum += number;
	}
	return sum;
}

static bool whole(const struct channel *c)
{
	return !c->means->bytes || c->size <= PIPE_BUF;
}

static void send_all(struct channel *c, char *buf, size_t count)
{
	size_t done = 0, len;
	ssize_t sent;

	while (done < count) {
		len = (count - done < c->means->batch ? count - done : c->means->batch) * c->size;
		stamp(buf, c->size, len, done);
		sent = c->means->send(c, buf, len);
		if (sent <= 0 || (size_t)sent % c->size)
			die("send");
		done += (size_t)sent / c->size;
	}
}

static uint64_t receive_all(struct channel *c, char *buf, size_t count, bool ordered)
{
	size_t left = count * c->size, len;
	uint64_t sum = 0, number = 0;
	ssize_t got;

	while (left) {
		len = left < c->means->batch * c->size ? left : c->means->batch * c->size;
		got = c->means->recv(c, buf, len);
		if (got <= 0)
			die("receive");
		left -= (size_t)got;
		if (!whole(c))
			continue;
		errno = EBADMSG;
		if ((size_t)got % c->size)
			die("not a message");
		sum += stamped(buf, c->size, (size_t)got);
		memcpy(&number, buf + (size_t)got - c->size, sizeof(number));
		if (ordered && number != count - left / c->size - 1)
			die("not in order");
	}
	return sum;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* Of a process. */
static struct exchange x;
static char *buf;

static void join(struct channel *c, bool sends)
{
	if (c->means->join && c->means->join(c, sends))
		die("join");
}

static void prepare(const struct job *job, int proc)
{
	const struct line *line;
	size_t size;

	x = *(const struct exchange *)job->op;
	line = x.line;
	size = x.there.means->batch * line->size;
	buf = malloc(size);
	if (!buf)
		die("malloc");
	memset(buf, 'b', size);
	/* So that one whose other side has failed ends too. */
	alarm(120);
	if (line->cpus)
		pin(proc % line->cpus);
	join(&x.there, line->receivers ? proc < line->senders : !proc);
	if (!line->receivers)
		join(&x.back, proc);
}

static void work(const struct job *job, int proc)
{
	const struct line *line = x.line;
	size_t i;

	if (line->receivers) {
		if (proc < line->senders)
			send_all(&x.there, buf, job->n / (size_t)line->senders);
		else
			sums[proc] = receive_all(&x.there, buf, job->n / (size_t)line->receivers,
						 job->procs == 2);
		return;
	}
	for (i = 0; i < job->n; i++) {
		if (!proc && x.there.means->send(&x.there, buf, line->size) != (ssize_t)line->size)
			die("send");
		if (proc && x.there.means->recv(&x.there, buf, line->size) != (ssize_t)line->size)
			die("receive");
		if (proc && x.back.means->send(&x.back, buf, line->size) != (ssize_t)line->size)
			die("send back");
		if (!proc && x.back.means->recv(&x.back, buf, line->size) != (ssize_t)line->size)
			die("receive back");
	}
}

static int make(struct channel *c, const struct means *means, const struct line *line, char **dirs)
{
	*c = (struct channel){ .means = means, .size = line->size, .capacity = line->capacity,
			       .dir = { dirs[0], dirs[1] }, .fd = { -1, -1 } };
	return means->make(c);
}

/* One channel, or two, is used by @count messages; false: @why. */
static bool once(const struct line *line, const struct means *means, char **dirs, size_t count,
		 double *took, const char **why)
{
	struct exchange both = { .line = line };
	struct place place = { .name = means->name };
	struct job job = { .place = &place, .procs = line->senders + line->receivers,
			   .prepare = prepare, .work = work, .op = &both, .n = count };
	uint64_t sum = 0, each = count / (size_t)line->senders;
	bool good = true;
	int proc;

	*why = NULL;
	if (make(&both.there, means, line, dirs) ||
	    (!line->receivers && make(&both.back, means, line, dirs))) {
		*why = strerror(errno);
		good = false;
	}
	if (good) {
		good = time_job(&job, took, took);
		for (proc = line->senders; proc < job.procs; proc++)
			sum += sums[proc];
		if (good && job.procs > line->senders && whole(&both.there) &&
		    sum != each * (each - 1) / 2 * (uint64_t)line->senders) {
			*why = "messages lost or received twice";
			good = false;
		}
	}
	means->close(&both.there);
	if (both.back.means)
		means->close(&both.back);
	return good;
}

static void measure(const struct line *line, const struct means *means, char **dirs, double wanted,
		    size_t *count)
{
	double took = 0;
	const char *why;
	bool good;

	if (!*count) {
		*count = UNIT;
		while ((good = once(line, means, dirs, *count, &took, &why)) && took < wanted / 8)
			*count *= 4;
		if (good)
			*count = (size_t)(*count * (wanted / took) / UNIT + 1) * UNIT;
	}
	if (once(line, means, dirs, *count, &took, &why))
		print_job(line->name, means->name, (double)*count, took, took);
	else if (!why)
		print_failed(line->name, means->name);
	else
		printf("%s %s failed %s\n", line->name, means->name, why);
	fflush(stdout);
}

int ipc_main(char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int rounds = atoi(argv[0]), kinds = 0, round, line, k;
	double wanted = atof(argv[1]) * 1e6;

	while (ipc_means[kinds])
		kinds++;
	sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Where it must not, message queues say so. */
	setrlimit(RLIMIT_MSGQUEUE, &unlimited);
	if (sums == MAP_FAILED || kinds > KINDS)
		return 1;
	for (round = 0; round < rounds; round++) {
		for (line = 0; line < LINES; line++) {
			if (!chosen(lines[line].name, argv[2]))
				continue;
			/* Who is first in a round is not in the next. */
			for (k = 0; k < kinds; k++) {
				const struct means *means = ipc_means[(k + round) % kinds];

				if (!means->many && lines[line].senders * lines[line].receivers > 1)
					continue;
				if (means->batch > 1 && !lines[line].receivers)
					continue;
				measure(&lines[line], means, argv + 3, wanted,
					&counts[line][(k + round) % kinds]);
			}
		}
	}
	return 0;
}
