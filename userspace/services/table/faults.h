/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with the record store, told once and not by each call that meets it. */
#ifndef SERVICES_FAULTS_H
#define SERVICES_FAULTS_H

#include <pthread.h>

#include <nexus/recordstore.h>

/**
 * struct faults - what a service has said of its record store
 * @say: a line for the log; may be NULL
 * @arg: for @say
 * @lock: of what follows
 * @mode: of the transaction that failed
 * @text: the words said last; empty when it is over
 */
struct faults {
	void (*say)(void *arg, const char *line);
	void *arg;
	pthread_mutex_t lock;
	enum nexus_record_mode mode;
	char text[NEXUS_RECORD_FAULT_MAX];
};

void faults_init(struct faults *f, void (*say)(void *arg, const char *line), void *arg);
void faults_end(struct faults *f);

/** faults_say() - a transaction failed; a line in the log unless it is the last one again */
void faults_say(struct faults *f, enum nexus_record_mode mode, const char *text);

/**
 * faults_over() - a transaction was done: the next fault is told, whatever it is
 *
 * Reads go on with a disk that is full, so they do not end what was wrong with a write.
 */
void faults_over(struct faults *f, enum nexus_record_mode mode);

#endif /* SERVICES_FAULTS_H */
