// SPDX-License-Identifier: Apache-2.0
/* The operations. */
#include "mounts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check.h"

static int because(char *words, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int because(char *words, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, NEXUS_MOUNT_WORDS_MAX, fmt, ap);
	va_end(ap);
	return error;
}

static int taken(const struct mtab_entry *at, char *words)
{
	return because(words, -EBUSY, "%.200s is a mount point already, of %.200s (%.32s)",
		       at->directory, mtab_is_store(at) ? at->source : "something else", at->type);
}

static int somebody(const char *directory, char *words)
{
	return because(words, -EBUSY, "%.200s is being attached or detached now", directory);
}

/* ---- attach ----------------------------------------------------------------------- */

/* With the lock on the directory: mounted between two looks at the table. */
static int mount_it(struct mounts *m, struct mount_entry *e, char *words)
{
	const struct mtab_entry *at;
	struct mtab t;
	int ret;

	ret = mounts_look(m, &t);
	if (ret)
		return ret;
	at = mtab_at(&t, e->directory);
	ret = at ? e->attached ? 1 : taken(at, words) : 0;
	mtab_free(&t);
	if (ret)
		return ret;
	mounts_leave(m);
	ret = m->machine->attach(m->machine->arg, e->source, e->directory, e->options, words);
	mounts_enter(m);
	if (ret)
		return ret;
	ret = mounts_look(m, &t);
	if (ret)
		return ret;
	mtab_free(&t);
	if (!e->attached)
		return because(words, -EIO, "it was mounted, and is not in the table of mounts");
	e->since_ms = m->machine->now_ms();
	e->ours = true;
	return 0;
}

int mounts_try(struct mounts *m, struct mount_entry *e, char *words)
{
	int fd, ret;

	words[0] = '\0';
	e->busy = true;
	fd = mounts_lock(m, e->directory);
	if (fd < 0)
		ret = fd == -EBUSY ? somebody(e->directory, words) : fd;
	else
		ret = mount_it(m, e, words);
	if (fd >= 0)
		mounts_unlock(fd);
	e->busy = false;
	pthread_cond_broadcast(&m->cond);
	return ret;
}

/* The entry it is to be, with the lock; -errno in *ret when it cannot be. */
static struct mount_entry *entry_for(struct mounts *m, const struct nexus_mount_attach_args *args,
				     const char *directory, const char *options, char *words,
				     int *ret)
{
	struct mount_entry *e = mounts_find(m, directory);

	if (e && e->busy) {
		*ret = somebody(directory, words);
		return NULL;
	}
	if (e && (strcmp(e->source, args->source) || strcmp(e->options, options))) {
		if (e->saved) {
			*ret = because(words, -EEXIST,
				       "%.200s is saved, with another source or other options; detach it first",
				       directory);
			return NULL;
		}
		mounts_drop(m, e);
		e = NULL;
	}
	if (!e && m->count == NEXUS_MOUNTS_MAX) {
		*ret = because(words, -ENOSPC, "%u mounts are known, which is the limit",
			       NEXUS_MOUNTS_MAX);
		return NULL;
	}
	if (!e)
		e = mounts_add(m, args->source, directory, options);
	*ret = e ? 0 : -ENOMEM;
	return e;
}

static int attach(struct mounts *m, struct nexus_mount_attach_args *args, const char *directory,
		  const char *options)
{
	const struct mtab_entry *at;
	struct mount_entry *e;
	struct mtab t;
	int ret;

	ret = mounts_look(m, &t);
	if (ret)
		return ret;
	at = mtab_at(&t, directory);
	if (at)
		ret = taken(at, args->words);
	mtab_free(&t);
	if (ret)
		return ret;
	e = entry_for(m, args, directory, options, args->words, &ret);
	if (!e)
		return ret;
	ret = mounts_try(m, e, args->words);
	/* It came from elsewhere meanwhile. */
	if (ret == 1)
		ret = because(args->words, -EBUSY, "%.200s is a mount point already", directory);
	if (!ret && mounts_write(m))
		mounts_say(m, true, "since when %s is attached could not be kept", directory);
	if (ret && !e->attached && !e->saved && !e->ours)
		mounts_drop(m, e);
	return ret;
}

int mounts_attach(struct mounts *m, struct nexus_mount_attach_args *args)
{
	const char *options = args->options ? args->options : "";
	char directory[NEXUS_MOUNT_DIRECTORY_MAX + 1];
	int ret;

	args->words[0] = '\0';
	ret = check_source(args->source, args->words);
	if (!ret)
		ret = check_directory(args->directory, directory, args->words);
	if (!ret)
		ret = check_options(options, args->words);
	if (ret)
		return ret;
	mounts_enter(m);
	ret = attach(m, args, directory, options);
	mounts_leave(m);
	return ret;
}

/* ---- detach ----------------------------------------------------------------------- */

static int unmount(struct mounts *m, struct mount_entry *e, bool lazy, char *words)
{
	int fd = mounts_lock(m, e->directory), ret;
	struct mtab t;

	if (fd < 0)
		return fd == -EBUSY ? somebody(e->directory, words) : fd;
	e->busy = true;
	mounts_leave(m);
	ret = m->machine->detach(m->machine->arg, e->directory, lazy, words);
	mounts_enter(m);
	mounts_unlock(fd);
	if (!ret)
		ret = mounts_look(m, &t);
	if (!ret)
		mtab_free(&t);
	/* Not before: a look drops what is others' and gone. */
	e->busy = false;
	pthread_cond_broadcast(&m->cond);
	return ret;
}

/*
 * The one at @directory.  Who has just attached it may still be about to say so, though all can see
 * it: that is waited for.
 */
static struct mount_entry *settled(struct mounts *m, const char *directory)
{
	struct mount_entry *e;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while ((e = mounts_find(m, directory)) && e->busy && e->attached)
		if (!mounts_wait(m, &until))
			break;
	return mounts_find(m, directory);
}

static int nothing_there(const struct mtab *t, const char *directory, char *words)
{
	const struct mtab_entry *at = mtab_at(t, directory);

	if (at)
		return because(words, -ENOENT, "what is mounted on %.200s is no bucket, but a %.32s",
			       directory, at->type);
	return because(words, -ENOENT, "nothing is attached to %.200s", directory);
}

static int detach(struct mounts *m, struct nexus_mount_detach_args *args, const char *directory)
{
	bool was_saved, was_ours;
	struct mount_entry *e;
	struct mtab t;
	int ret;

	ret = mounts_look(m, &t);
	if (ret)
		return ret;
	e = settled(m, directory);
	if (!e)
		ret = nothing_there(&t, directory, args->words);
	mtab_free(&t);
	if (!e)
		return ret;
	if (e->busy)
		return somebody(directory, args->words);
	if (e->attached)
		ret = unmount(m, e, args->lazy, args->words);
	if (ret)
		return ret;
	was_saved = e->saved;
	was_ours = e->ours;
	e->saved = false;
	e->ours = false;
	ret = mounts_write(m);
	if (ret && was_saved) {
		e->saved = true;
		e->ours = was_ours;
		return because(args->words, ret, "%.200s is detached, but it is still saved: %s",
			       directory, strerror(-ret));
	}
	/* Mounted twice, it is there still, and others'. */
	if (!e->attached)
		mounts_drop(m, e);
	return 0;
}

int mounts_detach(struct mounts *m, struct nexus_mount_detach_args *args)
{
	char directory[NEXUS_MOUNT_DIRECTORY_MAX + 1];
	int ret;

	args->words[0] = '\0';
	ret = check_directory(args->directory, directory, args->words);
	if (ret)
		return ret;
	mounts_enter(m);
	ret = detach(m, args, directory);
	mounts_leave(m);
	return ret;
}

/* ---- list and save ------------------------------------------------------------------ */

static uint32_t state_of(const struct mount_entry *e)
{
	if (e->attached)
		return NEXUS_MOUNT_ATTACHED;
	if (!e->wanted)
		return NEXUS_MOUNT_GONE;
	return e->tries ? NEXUS_MOUNT_FAILED : NEXUS_MOUNT_WAITING;
}

static const char *copy(void *args, void *(*more)(void *args, size_t size), const char *text,
			int *ret)
{
	size_t size = strlen(text) + 1;
	char *to = more(args, size);

	if (to)
		memcpy(to, text, size);
	else
		*ret = -ENOMEM;
	return to;
}

int mounts_list(struct mounts *m, struct nexus_mount_list_args *args,
		void *(*more)(void *args, size_t size))
{
	struct mount_entry *e;
	struct nexus_mount *to;
	struct mtab t;
	int ret;

	args->count = 0;
	mounts_enter(m);
	ret = mounts_look(m, &t);
	if (ret)
		goto out;
	mtab_free(&t);
	args->mounts = more(args, (m->count + 1) * sizeof(*args->mounts));
	if (!args->mounts)
		ret = -ENOMEM;
	for (e = m->entries; e && !ret; e = e->next) {
		/* Not yet: it may be refused. */
		if (e->busy && !e->saved && !e->ours && !e->attached)
			continue;
		to = &args->mounts[args->count++];
		to->source = copy(args, more, e->source, &ret);
		to->directory = copy(args, more, e->directory, &ret);
		to->options = copy(args, more, e->options, &ret);
		to->reason = copy(args, more, e->reason, &ret);
		to->since_ms = e->since_ms;
		to->state = state_of(e);
		to->saved = e->saved;
	}
out:
	mounts_leave(m);
	return ret;
}

int mounts_save(struct mounts *m, struct nexus_mount_save_args *args)
{
	struct mount_entry *e;
	struct mtab t;
	int ret;

	args->words[0] = '\0';
	args->count = 0;
	mounts_enter(m);
	ret = mounts_look(m, &t);
	if (ret)
		goto out;
	mtab_free(&t);
	for (e = m->entries; e; e = e->next) {
		e->kept = e->saved;
		e->saved = e->attached || e->wanted;
		args->count += e->saved;
	}
	ret = mounts_write(m);
	for (e = m->entries; e; e = e->next) {
		if (ret)
			e->saved = e->kept;
		e->ours = e->ours || e->saved;
	}
	if (ret)
		because(args->words, ret, "what is saved stays as it was: %s", strerror(-ret));
out:
	mounts_leave(m);
	return ret;
}
