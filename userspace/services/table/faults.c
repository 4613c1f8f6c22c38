// SPDX-License-Identifier: Apache-2.0
#include "faults.h"

#include <stdio.h>
#include <string.h>

void faults_init(struct faults *f, void (*say)(void *arg, const char *line), void *arg)
{
	*f = (struct faults){ .say = say, .arg = arg };
	pthread_mutex_init(&f->lock, NULL);
}

void faults_end(struct faults *f)
{
	pthread_mutex_destroy(&f->lock);
}

void faults_say(struct faults *f, enum nexus_record_mode mode, const char *text)
{
	char line[NEXUS_RECORD_FAULT_MAX + 40];
	bool other;

	if (!f->say)
		return;
	pthread_mutex_lock(&f->lock);
	other = strcmp(f->text, text) != 0;
	if (other || mode == NEXUS_RECORD_READ)
		f->mode = mode;
	if (other)
		snprintf(f->text, sizeof(f->text), "%s", text);
	pthread_mutex_unlock(&f->lock);
	if (!other)
		return;
	snprintf(line, sizeof(line), "record store: %s", text);
	f->say(f->arg, line);
}

void faults_over(struct faults *f, enum nexus_record_mode mode)
{
	pthread_mutex_lock(&f->lock);
	if (mode == NEXUS_RECORD_WRITE || f->mode == NEXUS_RECORD_READ)
		f->text[0] = '\0';
	pthread_mutex_unlock(&f->lock);
}
