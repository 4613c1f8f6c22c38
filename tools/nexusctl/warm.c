// SPDX-License-Identifier: Apache-2.0
/*
 * nexusctl warm: content that is away comes back ahead of use.
 *
 * One thread walks, a few wait for the module, with a short queue between them: so many
 * pieces are in flight, and so many files are open, however large the tree is.  Large
 * files are several jobs.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <nexus/content.h>

#include "nexusctl.h"

#define WORKERS		8
#define QUEUE		32
/* What is in flight comes in the order of the walk, but for so much of each worker's. */
#define PIECE		((uint64_t)2 << 20)
#define IN_A_ROW	16	/* files that fail before the rest is left */
#define SHOW_NS		200000000u

struct file {
	int fd;
	char *path;
	unsigned int jobs;	/* lock; and the walk's */
	bool failed;		/* lock */
};

struct job {
	struct file *file;
	uint64_t offset, len;
};

struct warm {
	uint64_t since;
	pthread_mutex_t lock;
	pthread_cond_t cond;	/* any of the following changed */
	struct job job[QUEUE];	/* lock; a ring */
	size_t first, n;	/* lock */
	bool over;		/* lock; the walk is */
	bool stop;		/* lock; nothing more is begun */
	uint64_t files, data, brought, failed;	/* lock; files, bytes, bytes, names */
	unsigned int in_a_row;	/* lock */
	uint64_t shown_at;	/* lock */
	bool show;
};

/* ---- what is seen ------------------------------------------------------------------- */

static void show(struct warm *w)
{
	uint64_t now = nexus_content_since();

	if (!w->show || now - w->shown_at < SHOW_NS)
		return;
	w->shown_at = now;
	fprintf(stderr, "\r\033[K%" PRIu64 " files, %" PRIu64 " MiB looked at, %" PRIu64 " MiB brought",
		w->files, w->data >> 20, w->brought >> 20);
}

static void unshow(struct warm *w)
{
	if (w->show && w->shown_at)
		fputs("\r\033[K", stderr);
}

/* lock held. */
static void say(struct warm *w, const char *path, const char *why)
{
	unshow(w);
	fprintf(stderr, "nexusctl: %s: %s\n", path, why);
	w->failed++;
}

static void failed(struct warm *w, const char *path, const char *why)
{
	pthread_mutex_lock(&w->lock);
	say(w, path, why);
	pthread_mutex_unlock(&w->lock);
}

const char *content_error(int err)
{
	switch (err) {
	case -ENOSPC:
		return "there is no room for it here, by cache_limit, cache_free or the disk; what came stays";
	case -ENOTCONN:
		return "the helper does not run";
	case -ENOTTY:
		return "not a regular file of a nexusfs";
	default:
		return strerror(-err);
	}
}

/* lock held; @err of nexus_content_warm(). */
static void say_content(struct warm *w, struct file *f, int err)
{
	bool last = ++w->in_a_row == IN_A_ROW || err == -ENOSPC || err == -ENOTCONN;

	/* What others of its pieces, or those behind them, say does not matter. */
	if (f->failed || w->stop)
		return;
	f->failed = true;
	w->stop = last;
	say(w, f->path, content_error(err));
	if (last && err != -ENOSPC && err != -ENOTCONN)
		fprintf(stderr, "nexusctl: %d in a row failed, the rest is left; nexusctl upload status may say why\n",
			IN_A_ROW);
}

/* ---- jobs --------------------------------------------------------------------------- */

/* lock held. */
static void put_file(struct file *f)
{
	if (--f->jobs)
		return;
	close(f->fd);
	free(f->path);
	free(f);
}

/* False: there is none any more. */
static bool take(struct warm *w, struct job *job)
{
	bool some;

	pthread_mutex_lock(&w->lock);
	while (!w->n && !w->over)
		pthread_cond_wait(&w->cond, &w->lock);
	some = w->n;
	if (some) {
		*job = w->job[w->first];
		w->first = (w->first + 1) % QUEUE;
		w->n--;
		pthread_cond_broadcast(&w->cond);
	}
	pthread_mutex_unlock(&w->lock);
	return some;
}

static void done(struct warm *w, struct job *job, int err, const struct nexus_content_state *st)
{
	pthread_mutex_lock(&w->lock);
	w->data += st->data;
	w->brought += st->brought;
	if (err)
		say_content(w, job->file, err);
	else if (st->brought)
		w->in_a_row = 0;
	show(w);
	put_file(job->file);
	pthread_mutex_unlock(&w->lock);
}

static bool stopped(struct warm *w)
{
	bool yes;

	pthread_mutex_lock(&w->lock);
	yes = w->stop;
	pthread_mutex_unlock(&w->lock);
	return yes;
}

static void *work(void *arg)
{
	struct warm *w = arg;
	struct job job;

	while (take(w, &job)) {
		struct nexus_content_state st = { .data = 0 };
		int err = 0;

		if (!stopped(w))
			err = nexus_content_warm(job.file->fd, job.offset, job.len, w->since, &st);
		done(w, &job, err, &st);
	}
	return NULL;
}

/* False: nothing more is to be done. */
static bool give(struct warm *w, struct file *f, uint64_t offset, uint64_t len)
{
	bool go;

	pthread_mutex_lock(&w->lock);
	while (w->n == QUEUE && !w->stop)
		pthread_cond_wait(&w->cond, &w->lock);
	go = !w->stop;
	if (go) {
		f->jobs++;
		w->job[(w->first + w->n++) % QUEUE] = (struct job){ f, offset, len };
		pthread_cond_broadcast(&w->cond);
	}
	pthread_mutex_unlock(&w->lock);
	return go;
}

/* ---- the walk ----------------------------------------------------------------------- */

static void warm_file(struct warm *w, const FTSENT *e)
{
	int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	uint64_t at, size = (uint64_t)e->fts_statp->st_size;
	struct file *f;

	f = calloc(1, sizeof(*f));
	if (f)
		f->path = strdup(e->fts_path);
	if (!f || !f->path) {
		failed(w, e->fts_path, strerror(ENOMEM));
		free(f);
		return;
	}
	f->fd = open(e->fts_accpath, e->fts_level ? flags | O_NOFOLLOW : flags);
	if (f->fd < 0) {
		/* Removed since it was listed. */
		if (errno != ENOENT || !e->fts_level)
			failed(w, e->fts_path, content_error(-errno));
		free(f->path);
		free(f);
		return;
	}
	f->jobs = 1;
	pthread_mutex_lock(&w->lock);
	w->files++;
	pthread_mutex_unlock(&w->lock);
	for (at = 0; at < size && give(w, f, at, PIECE); at += PIECE)
		;
	pthread_mutex_lock(&w->lock);
	put_file(f);
	pthread_mutex_unlock(&w->lock);
}

/* What was named on the command line.  False: it is left. */
static bool begin(struct warm *w, const FTSENT *e, bool recursive)
{
	if (!on_nexusfs(e->fts_accpath)) {
		failed(w, e->fts_path, "not on a nexusfs");
		return false;
	}
	if (e->fts_info == FTS_D && !recursive) {
		failed(w, e->fts_path, "a directory; -r takes what is in it");
		return false;
	}
	return true;
}

static void walk(struct warm *w, FTS *fts, bool recursive)
{
	FTSENT *e;

	while (!stopped(w) && (e = fts_read(fts))) {
		switch (e->fts_info) {
		case FTS_D:
		case FTS_F:
			if (!e->fts_level && !begin(w, e, recursive))
				fts_set(fts, e, FTS_SKIP);
			else if (e->fts_info == FTS_F)
				warm_file(w, e);
			break;
		case FTS_NS:
		case FTS_DNR:
		case FTS_ERR:
			if (e->fts_errno != ENOENT || !e->fts_level)
				failed(w, e->fts_path, content_error(-e->fts_errno));
			break;
		case FTS_DP:
			break;
		default:
			if (!e->fts_level)
				failed(w, e->fts_path, "neither a file nor a directory");
			break;
		}
	}
}

/* ---- the command -------------------------------------------------------------------- */

static void print(const struct ctl *ctl, const struct warm *w)
{
	struct json json = { .out = stdout };

	if (!ctl->json) {
		printf("%" PRIu64 " files, %" PRIu64 " MiB brought\n", w->files,
		       (w->brought + (1 << 20) - 1) >> 20);
		return;
	}
	json_open(&json, NULL, '{');
	json_number(&json, "files", w->files);
	json_number(&json, "bytes", w->data);
	json_number(&json, "brought", w->brought);
	json_number(&json, "failed", w->failed);
	json_close(&json, '}');
}

/* How many could be started. */
static int start(struct warm *w, pthread_t *worker)
{
	int n = 0;

	while (n < WORKERS && !pthread_create(&worker[n], NULL, work, w))
		n++;
	return n;
}

int cmd_warm(struct ctl *ctl)
{
	struct warm w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	pthread_t worker[WORKERS];
	FTS *fts;
	int n;

	fts = fts_open(ctl->args, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!fts) {
		fprintf(stderr, "nexusctl: warm: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	w.since = nexus_content_since();
	w.show = isatty(STDERR_FILENO);
	n = start(&w, worker);
	if (n)
		walk(&w, fts, ctl->recursive);
	else
		failed(&w, "warm", strerror(EAGAIN));
	fts_close(fts);
	pthread_mutex_lock(&w.lock);
	w.over = true;
	pthread_cond_broadcast(&w.cond);
	pthread_mutex_unlock(&w.lock);
	while (n)
		pthread_join(worker[--n], NULL);
	unshow(&w);
	print(ctl, &w);
	return w.failed ? EXIT_FAILED : EXIT_OK;
}
