// SPDX-License-Identifier: Apache-2.0
/*
 * bench meta FILES ONLY PLACE...	files and names, see meta.c
 * bench data MIB ONLY PLACE...		content, see data.c
 * bench latency MIB DIR		of single small reads and fsynced writes, see latency.c
 * bench plock N HELD DIR		path locks beside flock, see plock.c
 *
 * bench ipc ROUNDS MS ONLY DIR TMPFS	messages between processes, see ipc.c
 * bench fill|visit ...			many files, see fill.c
 *
 * PLACE is NAME=DIRECTORY or NAME=DIRECTORY=STATE, where STATE is the zone's file below
 * __sys__/zones.  ONLY is a comma-separated list of beginnings of lines, "" for all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* Shared with the measuring processes: when the last of them was done, and why one failed. */
static struct {
	double worked[64];
	double settled[64];
	char why[128];
} *shared;

void die(const char *what)
{
	snprintf(shared->why, sizeof(shared->why), "%s: %s", what, strerror(errno));
	_exit(1);
}

static void stop(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

void forget(const char *what)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0 || write(fd, what, 1) != 1 || close(fd))
		stop("drop_caches");
}

bool chosen(const char *line, const char *only)
{
	size_t len;

	if (!*only)
		return true;
	for (; *only; only += len + (only[len] == ',')) {
		len = strcspn(only, ",");
		if (len && !strncmp(line, only, len))
			return true;
	}
	return false;
}

static unsigned long long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Until the helper has applied everything that is in the zone's log by now. */
static void wait_applied(const char *state)
{
	static const struct timespec tick = { 0, 1000000 };
	unsigned long long tail = 0;
	char text[1024];
	ssize_t got;
	int fd;

	for (;;) {
		fd = open(state, O_RDONLY);
		got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (got <= 0 || close(fd))
			stop(state);
		text[got] = '\0';
		if (!tail)
			tail = field(text, "\ntail: ");
		if (tail && field(text, "\napplied: ") >= tail)
			return;
		nanosleep(&tick, NULL);
	}
}

static void child(const struct job *job, int proc, int ready, int go)
{
	char c;

	if (job->prepare)
		job->prepare(job, proc);
	close(ready);
	if (read(go, &c, 1))	/* until the other end is closed */
		die("start");
	job->work(job, proc);
	shared->worked[proc] = now();
	shared->settled[proc] = shared->worked[proc];
	if (job->settle) {
		job->settle(job, proc);
		shared->settled[proc] = now();
	}
	_exit(0);
}

/* Prepares or cleans up in a process of its own, so that die() ends only that one. */
int in_process(void (*fn)(const struct job *job, int proc), const struct job *job)
{
	int status, proc, bad = 0;
	pid_t pid;

	for (proc = 0; proc < job->procs; proc++) {
		pid = fork();
		if (!pid) {
			fn(job, proc);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			stop("fork");
		bad |= status;
	}
	return bad;
}

bool time_job(const struct job *job, double *burst, double *settled)
{
	int proc, status, bad = 0, ready[2], go[2];
	double from;
	char c;

	shared->why[0] = '\0';
	if (pipe(ready) || pipe(go))
		stop("pipe");
	for (proc = 0; proc < job->procs; proc++) {
		pid_t pid = fork();

		if (!pid) {
			close(ready[0]);
			close(go[1]);
			child(job, proc, ready[1], go[0]);
		}
		if (pid < 0)
			stop("fork");
	}
	close(go[0]);
	close(ready[1]);
	if (read(ready[0], &c, 1))	/* until each has closed its own, or is gone */
		stop("start");
	close(ready[0]);
	from = now();
	close(go[1]);
	while (wait(&status) > 0)
		bad |= status;
	if (bad)
		return false;
	*burst = 0;
	*settled = 0;
	for (proc = 0; proc < job->procs; proc++) {
		if (shared->worked[proc] - from > *burst)
			*burst = shared->worked[proc] - from;
		if (shared->settled[proc] - from > *settled)
			*settled = shared->settled[proc] - from;
	}
	if (job->place->state && job->changes) {
		wait_applied(job->place->state);
		*settled = now() - from;
	}
	return true;
}

void print_failed(const char *line, const char *place)
{
	printf("%s %s failed %s\n", line, place, shared->why[0] ? shared->why : "killed");
	fflush(stdout);
}

void print_job(const char *line, const char *place, double units, double burst,
	       double settled)
{
	printf("%s %s %.6f %.0f %.0f\n", line, place, units, burst, settled);
	fflush(stdout);
}

void run_job(const char *line, const struct job *job, double units)
{
	double burst, settled;
	bool good = time_job(job, &burst, &settled);

	if (!line)
		return;
	if (good)
		print_job(line, job->place->name, units, burst, settled);
	else
		print_failed(line, job->place->name);
}

struct place *places_of(int n, char **args)
{
	struct place *places = calloc((size_t)n, sizeof(*places));
	char *dir, *state;
	int i;

	if (!places)
		stop("start");
	for (i = 0; i < n; i++) {
		dir = strchr(args[i], '=');
		if (!dir)
			stop(args[i]);
		*dir++ = '\0';
		state = strchr(dir, '=');
		if (state)
			*state++ = '\0';
		places[i] = (struct place){ .name = args[i], .dir = dir, .state = state };
	}
	return places;
}

int main(int argc, char **argv)
{
	struct rlimit files;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || getrlimit(RLIMIT_NOFILE, &files))
		stop("start");
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc > 4 && !strcmp(argv[1], "meta"))
		return meta_main(argc - 2, argv + 2);
	if (argc > 4 && !strcmp(argv[1], "data"))
		return data_main(argc - 2, argv + 2);
	if (argc == 5 && !strcmp(argv[1], "plock"))
		return plock_main(argc - 2, argv + 2);
	if (argc == 4 && !strcmp(argv[1], "latency"))
		return latency_main(argc - 2, argv + 2);
	if (argc == 7 && !strcmp(argv[1], "ipc"))
		return ipc_main(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "fill"))
		return fill_main(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "visit"))
		return visit_main(argv + 2);
	fprintf(stderr, "usage: bench meta|data SIZE ONLY PLACE... | latency MIB DIR | plock N HELD DIR | fill DIR FILES |\n"
		"             visit DIR FILES stat|read | ipc ROUNDS MS ONLY DIR TMPFS\n");
	return 2;
}
