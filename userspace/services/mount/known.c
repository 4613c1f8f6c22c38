// SPDX-License-Identifier: Apache-2.0
/* What is known: entries, kept in a file and compared with the table of mounts. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "check.h"
#include "mounts.h"

void mounts_say(struct mounts *m, bool bad, const char *fmt, ...)
{
	char line[NEXUS_MOUNT_SOURCE_MAX + NEXUS_MOUNT_DIRECTORY_MAX + NEXUS_MOUNT_WORDS_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	m->machine->say(m->machine->arg, bad, line);
}

/* ---- the lock --------------------------------------------------------------------- */

/* Else two builds could write their file at once, or what the other one has not read. */
static void lock_folder(struct mounts *m, int how)
{
	while (flock(m->dirfd, how) && errno == EINTR)
		;
}

void mounts_enter(struct mounts *m)
{
	pthread_mutex_lock(&m->lock);
	lock_folder(m, LOCK_EX);
}

void mounts_leave(struct mounts *m)
{
	lock_folder(m, LOCK_UN);
	pthread_mutex_unlock(&m->lock);
}

bool mounts_wait(struct mounts *m, const struct timespec *until)
{
	int ret;

	lock_folder(m, LOCK_UN);
	ret = pthread_cond_timedwait(&m->cond, &m->lock, until);
	lock_folder(m, LOCK_EX);
	return ret != ETIMEDOUT;
}

/* ---- entries --------------------------------------------------------------------- */

struct mount_entry *mounts_find(struct mounts *m, const char *directory)
{
	struct mount_entry *e;

	for (e = m->entries; e; e = e->next)
		if (!strcmp(e->directory, directory))
			return e;
	return NULL;
}

static void free_entry(struct mount_entry *e)
{
	free(e->source);
	free(e->directory);
	free(e->options);
	free(e);
}

struct mount_entry *mounts_add(struct mounts *m, const char *source, const char *directory,
			       const char *options)
{
	struct mount_entry *e, **at;

	e = m->count < NEXUS_MOUNTS_MAX ? calloc(1, sizeof(*e)) : NULL;
	if (!e)
		return NULL;
	e->source = strdup(source);
	e->directory = strdup(directory);
	e->options = strdup(options);
	if (!e->source || !e->directory || !e->options) {
		free_entry(e);
		return NULL;
	}
	for (at = &m->entries; *at && strcmp((*at)->directory, directory) < 0; at = &(*at)->next)
		;
	e->next = *at;
	*at = e;
	m->count++;
	return e;
}

void mounts_drop(struct mounts *m, struct mount_entry *e)
{
	struct mount_entry **at;

	for (at = &m->entries; *at != e; at = &(*at)->next)
		;
	*at = e->next;
	m->count--;
	free_entry(e);
}

/* ---- the file -------------------------------------------------------------------- */

static int take_line(void *arg, const struct kept *k)
{
	struct mounts *m = arg;
	struct mount_entry *e = mounts_find(m, k->directory);

	/* One that is attached and another that is saved for the same place cannot be. */
	if (e && strcmp(e->source, k->source) != 0 && !e->busy) {
		mounts_drop(m, e);
		e = NULL;
	}
	if (!e)
		e = mounts_add(m, k->source, k->directory, k->options);
	if (!e)
		return m->count < NEXUS_MOUNTS_MAX ? -ENOMEM : -ENOSPC;
	e->kept = true;
	e->ours = true;
	e->saved = k->saved;
	if (!e->since_ms)
		e->since_ms = k->since_ms;
	return 0;
}

/* What another build wrote, or whoever edits the file. */
static int take_file(struct mounts *m, char words[128])
{
	struct mount_entry *e;
	int ret;

	for (e = m->entries; e; e = e->next)
		e->kept = false;
	ret = keep_read(m->dirfd, &m->mark, take_line, m, words);
	if (ret != 1)
		return ret;
	for (e = m->entries; e; e = e->next)
		if (!e->kept && !e->busy) {
			e->saved = false;
			e->wanted = false;
			e->ours = false;
		}
	return 0;
}

int mounts_write(struct mounts *m)
{
	struct kept *lines = calloc(NEXUS_MOUNTS_MAX, sizeof(*lines));
	struct mount_entry *e;
	size_t n = 0;
	int ret;

	if (!lines)
		return -ENOMEM;
	for (e = m->entries; e; e = e->next)
		if (e->saved || (e->ours && e->attached))
			lines[n++] = (struct kept){
				e->source, e->directory, e->options, e->since_ms, e->saved,
			};
	ret = keep_write(m->dirfd, &m->mark, lines, n);
	free(lines);
	return ret;
}

/* ---- the table of mounts ---------------------------------------------------------- */

/* Mounted by others: what could not have been given to us is not shown. */
static void take_other(struct mounts *m, const struct mtab_entry *at)
{
	char words[NEXUS_MOUNT_WORDS_MAX], directory[NEXUS_MOUNT_DIRECTORY_MAX + 1];
	char options[NEXUS_MOUNT_OPTIONS_MAX + 1];
	struct mount_entry *e;
	size_t len;

	if (check_source(at->source, words) || check_directory(at->directory, directory, words))
		return;
	options_known(at->options, options, sizeof(options));
	len = strlen(options);
	/* The filesystem's own "ro" is not said again. */
	if (len + 2 < sizeof(options)) {
		options_known(at->fs_options, options + len + 1, sizeof(options) - len - 1);
		if (!strncmp(options + len + 1, "ro", 2) &&
		    (!options[len + 3] || options[len + 3] == ',')) {
			size_t skip = options[len + 3] ? 3 : 2;

			memmove(options + len + 1, options + len + 1 + skip,
				strlen(options + len + 1 + skip) + 1);
		}
		if (options[len + 1])
			options[len] = ',';
		if (!len)
			memmove(options, options + 1, strlen(options + 1) + 1);
	}
	e = mounts_add(m, at->source, at->directory, options);
	if (e)
		e->attached = true;
}

static void compare(struct mounts *m, const struct mtab *t, struct mount_entry *e)
{
	const struct mtab_entry *at = mtab_at(t, e->directory);
	bool attached = at && mtab_is_store(at) && !strcmp(at->source, e->source);

	if (attached) {
		e->wanted = false;
		e->reason[0] = '\0';
	} else {
		e->since_ms = 0;
	}
	e->attached = attached;
	if (!attached && !e->saved && !e->ours && !e->busy)
		mounts_drop(m, e);
}

int mounts_look(struct mounts *m, struct mtab *t)
{
	struct mount_entry *e, *next;
	char words[128];
	size_t i;
	int ret;

	ret = take_file(m, words);
	if (ret < 0) {
		mounts_say(m, true, "%s: %s", KEEP_FILE, words[0] ? words : strerror(-ret));
		return ret;
	}
	ret = m->machine->table(m->machine->arg, t);
	if (ret)
		return ret;
	for (e = m->entries; e; e = next) {
		next = e->next;
		compare(m, t, e);
	}
	for (i = 0; i < t->count; i++)
		if (mtab_is_store(&t->entries[i]) && !mounts_find(m, t->entries[i].directory) &&
		    mtab_at(t, t->entries[i].directory) == &t->entries[i])
			take_other(m, &t->entries[i]);
	return 0;
}

/* ---- the whole -------------------------------------------------------------------- */

/* What was attached in the life of another helper and is no more is no concern of this one. */
static void start_with(struct mounts *m)
{
	struct mount_entry *e, *next;

	for (e = m->entries; e; e = next) {
		next = e->next;
		if (!e->attached && e->saved)
			e->wanted = true;
		else if (!e->attached)
			mounts_drop(m, e);
	}
}

int mounts_open(struct mounts *m, const struct mounts_machine *machine, int dirfd, char words[128])
{
	pthread_condattr_t attr;
	struct mtab t;
	int ret;

	m->machine = machine;
	m->dirfd = dirfd;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->cond, &attr);
	pthread_condattr_destroy(&attr);
	mounts_enter(m);
	ret = take_file(m, words);
	if (ret >= 0)
		ret = mounts_look(m, &t);
	mounts_leave(m);
	if (ret < 0) {
		mounts_close(m);
		return ret;
	}
	mtab_free(&t);
	start_with(m);
	return 0;
}

void mounts_close(struct mounts *m)
{
	while (m->entries)
		mounts_drop(m, m->entries);
	close(m->dirfd);
	pthread_cond_destroy(&m->cond);
	pthread_mutex_destroy(&m->lock);
}

/* One byte of the file for each directory; that two share one is no harm. */
int mounts_lock(struct mounts *m, const char *directory)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	uint64_t hash = 0xcbf29ce484222325ull;
	const char *p;
	int fd;

	for (p = directory; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3ull;
	range.l_start = (off_t)(hash >> 2);
	fd = openat(m->dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &range)) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

/* Not by close(2) alone: a process that is just being begun has a copy until it is another program. */
void mounts_unlock(int fd)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(fd, F_OFD_SETLK, &all);
	close(fd);
}
