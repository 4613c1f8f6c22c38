/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measuring programs share.  A measurement is done at one place (a directory of
 * one filesystem) right after the other, and is a line each:
 *
 *	LINE PLACE UNITS BURST SETTLED		nanoseconds, UNITS operations or MiB
 *	LINE PLACE failed WHY			that place cannot do it
 *
 * BURST ends when the calls have returned.  SETTLED ends when what they changed is where
 * it belongs: content is fsynced (on every place), and nexusfs' helper has applied the
 * records to its index.  For what changes nothing they are the same.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define KIB		1024ul
#define MIB		(1024 * KIB)

struct place {
	const char *name;
	const char *dir;
	const char *state;	/* file with "tail: LSN" and "applied: LSN", or NULL */
};

/*
 * One line of one place.  prepare(), which is not timed and after which they wait for each
 * other, work() and settle() run in each of @procs processes.
 */
struct job {
	const struct place *place;
	int procs;
	bool changes;		/* settled when applied */
	void (*prepare)(const struct job *job, int proc);	/* may be NULL */
	void (*work)(const struct job *job, int proc);
	void (*settle)(const struct job *job, int proc);	/* may be NULL */
	const void *op;
	size_t n;		/* for work(); the units of all processes are given to run_job() */
};

void die(const char *what);	/* ends the process; a measuring one fails its line */
double now(void);		/* nanoseconds */
void forget(const char *what);	/* sync, then what /proc/sys/vm/drop_caches takes */
bool time_job(const struct job *job, double *burst, double *settled);	/* false: one has failed */
void print_failed(const char *line, const char *place);	/* the last time_job() */
void print_job(const char *line, const char *place, double units, double burst,
	       double settled);
void run_job(const char *line, const struct job *job, double units);
int in_process(void (*fn)(const struct job *job, int proc), const struct job *job);
struct place *places_of(int n, char **args);
bool chosen(const char *line, const char *only);

int meta_main(int argc, char **argv);
int data_main(int argc, char **argv);
int latency_main(int argc, char **argv);
int plock_main(int argc, char **argv);
int ipc_main(char **argv);
int fill_main(char **argv);
int visit_main(char **argv);

#endif
