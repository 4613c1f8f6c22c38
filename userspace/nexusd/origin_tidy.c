// SPDX-License-Identifier: Apache-2.0
/*
 * What no checkpoint of the manifest needs goes: older checkpoints, the log before them,
 * and packs that are no more.
 *
 * A thread of its own does it: it may take the store long, and whoever waits for an fsync
 * is not to wait for that.  It has a copy of the manifest; what is newer than that stays,
 * and what a newer checkpoint stands on is newer, or this manifest has it, too.
 */
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "upload.h"

#define NAMES_MAX	1000u
#define ROUNDS_MAX	64	/* of so many names, for a store that lists what is gone */

struct old {
	const struct origin *o;
	const struct origin_manifest *m;
	char (*name)[CONTENT_NAME_MAX + 1];
	size_t n;
};

/* Checkpoint @i, or what it stands on. */
static bool is_step(const struct origin_manifest *m, u32 i, u64 epoch, u64 number)
{
	const struct origin_base *base = &m->base[i];
	u32 j;

	if (m->checkpoint[i].epoch == epoch && m->checkpoint[i].number == number)
		return true;
	for (j = 0; j < base->n; j++)
		if (base->step[j].epoch == epoch && base->step[j].number == number)
			return true;
	return false;
}

bool origin_needs(const struct origin_manifest *m, const char *name)
{
	u64 epoch, number;
	u32 i;

	if (origin_folder_parse(name, "checkpoint", &epoch, &number)) {
		for (i = 0; i < m->count; i++)
			if (is_step(m, i, epoch, number))
				return true;
	} else if (origin_folder_parse(name, "log", &epoch, &number)) {
		for (i = 0; i < m->count; i++)
			if (m->checkpoint[i].epoch == epoch && m->checkpoint[i].end <= number)
				return true;
	} else {
		return true;
	}
	return false;
}

static bool needed(const struct old *old, const char *name)
{
	u64 epoch, number, ours = atomic_load(&old->o->epoch);

	if (origin_needs(old->m, name))
		return true;
	/* Whoever came after us has its own; and one that is being made is in no manifest yet. */
	if (origin_folder_parse(name, "checkpoint", &epoch, &number))
		return epoch > ours || (epoch == ours && number > old->m->number);
	return origin_folder_parse(name, "log", &epoch, &number) && epoch > ours;
}

static int note_old(void *arg, const char *name, __u64 bytes)
{
	struct old *old = arg;

	(void)bytes;
	if (needed(old, name) || strlen(name) > CONTENT_NAME_MAX)
		return 0;
	if (old->n == NAMES_MAX)
		return 1;
	strcpy(old->name[old->n++], name);
	return 0;
}

static void remove_old(struct origin *o, const struct origin_manifest *m, const char *prefix)
{
	struct old old = { .o = o, .m = m, .name = calloc(NAMES_MAX, sizeof(*old.name)) };
	int round = 0;
	size_t i;

	/* Each fsync that waits for the store may have made one. */
	do {
		i = old.n = 0;
		if (old.name && o->content->ops->list_named(o->content, prefix, note_old, &old) >= 0)
			while (i < old.n && !atomic_load(&o->stop) && !atomic_load(&o->fenced) &&
			       !o->content->ops->del_named(o->content, old.name[i]))
				i++;
	} while (i == NAMES_MAX && ++round < ROUNDS_MAX);
	free(old.name);
}

static void remove_dead(struct origin *o, const struct origin_manifest *m)
{
	u64 oldest = m->checkpoint[m->count - 1].number;
	struct origin_dead **at, *d;
	int ret = 0;

	do {
		pthread_mutex_lock(&o->dead_lock);
		for (at = &o->dead; *at && (*at)->number >= oldest; at = &(*at)->next)
			;
		d = *at;
		if (d)
			*at = d->next;
		pthread_mutex_unlock(&o->dead_lock);
		/* With its mark, and behind what may still be put of it. */
		if (d && o->z->upload)
			zone_upload_forget(o->z, d->pack);
		else if (d)
			ret = o->content->ops->del(o->content, d->pack);
		if (ret)
			log_warn("zone %s: the copy of pack %llu, which is gone, stays with %s",
				 o->z->name, d->pack, o->content->ops->name);
		free(d);
	} while (d && !ret);
}

bool origin_forget(struct zone *z, u64 pack)
{
	struct origin *o = z->origin;
	struct origin_dead *d;
	bool named;

	if (!o)
		return false;
	d = malloc(sizeof(*d));
	if (!d)
		return true;
	pthread_mutex_lock(&o->dead_lock);
	*d = (struct origin_dead){ o->dead, pack, o->number };
	named = !o->numbered || o->number != 0;
	if (named)
		o->dead = d;
	pthread_mutex_unlock(&o->dead_lock);
	if (!named)
		free(d);
	return named;
}

bool origin_keeps(struct zone *z, u64 pack)
{
	struct origin *o = z->origin;
	struct origin_dead *d;

	if (!o)
		return false;
	pthread_mutex_lock(&o->dead_lock);
	for (d = o->dead; d && d->pack != pack; d = d->next)
		;
	pthread_mutex_unlock(&o->dead_lock);
	return d;
}

/* ---- when ---------------------------------------------------------------------------- */

static void tidy(struct origin *o, const struct origin_manifest *m)
{
	remove_old(o, m, "checkpoint/");
	remove_old(o, m, "log/");
	remove_dead(o, m);
}

static void *tidy_main(void *arg)
{
	struct origin *o = arg;
	struct origin_manifest m;

	pthread_setname_np(pthread_self(), "nexusd-tidy");
	pthread_mutex_lock(&o->lock);
	while (!o->quit) {
		if (!o->tidy_due) {
			pthread_cond_wait(&o->tidy_cond, &o->lock);
			continue;
		}
		o->tidy_due = false;
		m = o->tidy_manifest;
		pthread_mutex_unlock(&o->lock);
		if (!atomic_load(&o->fenced))
			tidy(o, &m);
		pthread_mutex_lock(&o->lock);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

void origin_tidy(struct origin *o)
{
	if (!o->tidying) {
		tidy(o, &o->manifest);
		return;
	}
	pthread_mutex_lock(&o->lock);
	o->tidy_manifest = o->manifest;
	o->tidy_due = true;
	pthread_cond_signal(&o->tidy_cond);
	pthread_mutex_unlock(&o->lock);
}

int origin_tidy_start(struct origin *o)
{
	int ret = -pthread_create(&o->tidier, NULL, tidy_main, o);

	o->tidying = !ret;
	return ret;
}

void origin_tidy_stop(struct origin *o)
{
	if (o->tidying)
		pthread_join(o->tidier, NULL);
	o->tidying = false;
}
