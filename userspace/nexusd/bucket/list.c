// SPDX-License-Identifier: Apache-2.0
/*
 * Listing on demand.
 *
 * A directory is listed as a whole, at its '/', and believed for the ttl.  Whoever looks one
 * name up has the directory listed, for others mostly follow; but one that has more than a page
 * is not worth that, and is asked for that name alone.  Pages are gathered before anything is
 * merged: what changes between two pages is seen or not seen, and no name that stays is missed.
 * What cannot be listed is an error, and nothing is known of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bucket.h"
#include "content.h"
#include "lib/key.h"
#include "log.h"
#include "../stats.h"

/* ---- the driver ---------------------------------------------------------------- */

#define TRY_SETTINGS	";attempts=3;deadline=10"	/* whoever mounts is told soon */

/* "s3://PLACE;OWN" with the helper's settings and @most before its own, which are the last word. */
static int whole_spec(const struct config *cfg, const char *source, const char *most,
		      char spec[CONTENT_SPEC_MAX], struct errline *err)
{
	const char *own = strchr(source, ';'), *more = strchr(cfg->buckets, ';');
	int place = own ? (int)(own - source) : (int)strlen(source), n;

	n = snprintf(spec, CONTENT_SPEC_MAX, "%.*s%s%s%s", place, source, more ? more : "",
		     most, own ? own : "");
	if (n >= (int)CONTENT_SPEC_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "with the setting \"buckets\" it is longer than %u bytes",
			       CONTENT_SPEC_MAX - 1);
	return 0;
}

static int open_store(const struct config *cfg, const char *source, const char *most,
		      const atomic_bool *stop, struct bucket_store **store, struct errline *err)
{
	char spec[CONTENT_SPEC_MAX];
	int ret;

	if (strncmp(source, "s3://", 5) != 0)
		return err_set(err, -EINVAL, "it is no s3://BUCKET/PREFIX");
	if (!strncmp(cfg->buckets, "test:", 5)) {
		snprintf(spec, sizeof(spec), "%.500s//%.400s", cfg->buckets + 5, source + 5);
		return bucket_test_ops.open(spec, stop, store, err);
	}
	ret = whole_spec(cfg, source, most, spec, err);
	return ret ? ret : content_open_bucket(spec, stop, store, err);
}

int bucket_open_store(const struct config *cfg, const char *source, const atomic_bool *stop,
		      struct bucket_store **store, struct errline *err)
{
	return open_store(cfg, source, "", stop, store, err);
}

static int nothing(void *arg, const struct bucket_object *o)
{
	(void)arg;
	(void)o;
	return 0;
}

int bucket_try(const struct config *cfg, const char *source, const atomic_bool *stop,
	       struct errline *err)
{
	struct errline why = { "" };
	struct bucket_store *store;
	char *token = NULL;
	int ret = open_store(cfg, source, TRY_SETTINGS, stop, &store, err);

	if (ret)
		return ret;
	ret = store->ops->list(store, "", 1, &token, nothing, NULL, &why);
	free(token);
	store->ops->close(store);
	if (ret)
		err_set(err, ret, "%s", why.msg[0] ? why.msg : strerror(-ret));
	return ret == -ENODEV ? -ENOENT : ret;
}

int bucket_init(struct bucket *b, u64 ttl)
{
	b->ttl = ttl;
	b->dirfd = -1;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->cond, NULL);
	return btree_init(&b->tree, (u64)time(NULL));
}

/* ---- time ---------------------------------------------------------------------- */

static u64 clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	/* 0 is never. */
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000 + 1;
}

/* Since when what is listed now is known; of two listings it is never the same. */
static u64 begin_ms(struct bucket *b)
{
	u64 now = clock_ms();

	pthread_mutex_lock(&b->lock);
	b->now = NEXUS_MAX(b->now + 1, now);
	now = b->now;
	pthread_mutex_unlock(&b->lock);
	return now;
}

static bool fresh(const struct bucket *b, u64 when)
{
	return when > atomic_load(&b->forgotten) && clock_ms() < when + b->ttl;
}

/* ---- asking -------------------------------------------------------------------- */

struct gather {
	struct blist list;
	size_t skip;
};

static int gather(void *arg, const struct bucket_object *o)
{
	struct gather *g = arg;

	return blist_add(&g->list, g->skip, o);
}

static int list_page(struct bucket *b, const char *prefix, unsigned int most, char **token,
		     struct gather *g, struct errline *err)
{
	int ret = b->store->ops->list(b->store, prefix, most, token, gather, g, err);

	stats_inc(bucket_lists);
	if (ret && ret != -ESHUTDOWN) {
		stats_inc(bucket_errors);
		log_error("%s: \"%.200s\" cannot be listed: %s", b->source, prefix,
			  err->msg[0] ? err->msg : strerror(-ret));
	}
	/* That would be said of the name that somebody looks for. */
	return ret == -ENOENT ? -ENODEV : ret;
}

/* Once for each directory, until it is another number. */
static void say_hidden(struct bucket *b, const char *prefix, const struct blist *l, u64 before)
{
	u64 now = l->bad_names + l->bad_sizes + l->hidden;

	pthread_mutex_lock(&b->lock);
	b->hidden += now - before;
	pthread_mutex_unlock(&b->lock);
	if (!now || now == before)
		return;
	stats_add(bucket_hidden, now > before ? now - before : 0);
	log_warn("%s: of \"%.200s\" are not shown: %llu keys with names no file can have, %llu objects with the name of a directory, %llu too large",
		 b->source, prefix, (unsigned long long)l->bad_names,
		 (unsigned long long)l->hidden, (unsigned long long)l->bad_sizes);
}

static int merge(struct bucket *b, u64 ino, const char *key, struct gather *g, u64 now,
		 struct bucket_counts *counts)
{
	struct bnode *node;
	u64 before;
	int ret;

	pthread_rwlock_wrlock(&b->tree.lock);
	node = btree_node(&b->tree, ino);
	before = node->dir->hidden;
	ret = btree_merge(&b->tree, ino, &g->list, now, &counts->m);
	counts->entries = node->dir->children;
	counts->hidden = node->dir->hidden;
	pthread_rwlock_unlock(&b->tree.lock);
	if (!ret)
		say_hidden(b, key, &g->list, before);
	return ret;
}

/* With @one a page at most: -E2BIG: there are more. */
static int list_dir(struct bucket *b, u64 ino, const char *key, bool one,
		    struct bucket_counts *counts, struct errline *err)
{
	struct gather g = { .skip = strlen(key) };
	char *token = NULL;
	u64 now = begin_ms(b);
	int ret;

	do {
		ret = list_page(b, key, 0, &token, &g, err);
	} while (!ret && token && !one);
	if (!ret)
		ret = token ? -E2BIG : merge(b, ino, key, &g, now, counts);
	free(token);
	blist_free(&g.list);
	return ret;
}

/* ---- whole directories ---------------------------------------------------------- */

/* The directory, and whether what is known of it can be believed, or with @ever was. */
static struct bdir *look_dir(struct bucket *b, u64 ino, bool ever, bool *known)
{
	struct bnode *node;

	pthread_rwlock_rdlock(&b->tree.lock);
	node = btree_node(&b->tree, ino);
	*known = node && node->dir &&
		 (fresh(b, node->dir->listed) || (ever && node->dir->listed));
	pthread_rwlock_unlock(&b->tree.lock);
	return node ? node->dir : NULL;
}

/*
 * Only one lists a directory.  True: the caller does; else somebody has meanwhile, with *@error,
 * or with @one it is known to have more than a page.
 */
static bool begin_dir(struct bucket *b, struct bdir *d, bool one, int *error)
{
	bool mine;

	pthread_mutex_lock(&b->lock);
	if (one && d->large) {
		pthread_mutex_unlock(&b->lock);
		*error = -E2BIG;
		return false;
	}
	mine = !d->busy;
	while (d->busy && !atomic_load(&b->stop))
		pthread_cond_wait(&b->cond, &b->lock);
	if (mine)
		d->busy = true;
	*error = d->error;
	pthread_mutex_unlock(&b->lock);
	return mine;
}

static void end_dir(struct bucket *b, struct bdir *d, int ret)
{
	pthread_mutex_lock(&b->lock);
	if (ret == -E2BIG || !ret)
		d->large = ret;
	d->busy = false;
	d->error = ret;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

/* @force: also what is known.  -E2BIG: with @one, more than a page. */
static int need_dir(struct bucket *b, u64 ino, bool one, bool force,
		    struct bucket_counts *counts, struct errline *err)
{
	char key[BUCKET_KEY_MAX + 1];
	struct bdir *d;
	bool known;
	int ret;

	for (;;) {
		d = look_dir(b, ino, false, &known);
		if (!d)
			return -ENOTDIR;
		if (known && !force)
			return 0;
		if (atomic_load(&b->stop))
			return -ESHUTDOWN;
		if (begin_dir(b, d, one, &ret))
			break;
		/* Whoever waited for the same failure does not wait for the next one, too. */
		if (ret && (one || ret != -E2BIG) && !force)
			return ret;
	}
	pthread_rwlock_rdlock(&b->tree.lock);
	ret = btree_key(&b->tree, ino, key);
	pthread_rwlock_unlock(&b->tree.lock);
	if (!ret)
		ret = list_dir(b, ino, key, one, counts, err);
	end_dir(b, d, ret);
	return ret;
}

/* ---- one name -------------------------------------------------------------------- */

/* The first entry of a list that has this very name. */
static struct blist_entry *named(struct blist *l, const char *name, bool is_dir)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->e[i].is_dir == is_dir && !strcmp(l->e[i].name, name))
			return &l->e[i];
	return NULL;
}

/*
 * An object of this name is the first of all keys that begin so; whether there is a directory
 * the next question says, for many keys may come between the two.
 */
static int ask_name(struct bucket *b, char *key, size_t skip, const char *name, u64 parent,
		    struct errline *err)
{
	struct gather object = { .skip = skip }, dir = { .skip = skip };
	struct blist_entry is_dir = { .name = (char *)name, .etag = (char *)"", .is_dir = true };
	const struct blist_entry *e = NULL;
	u64 now = begin_ms(b);
	char *token = NULL;
	struct bmerge m;
	int ret;

	ret = list_page(b, key, 1, &token, &object, err);
	free(token);
	token = NULL;
	if (!ret) {
		e = named(&object.list, name, false);
		strcat(key, "/");
		dir.skip = strlen(key);
		ret = list_page(b, key, 1, &token, &dir, err);
		free(token);
	}
	/* Its own mark counts, which blist_add() leaves out. */
	if (!ret && (named(&object.list, name, true) || dir.list.n || dir.list.marks ||
		     dir.list.bad_names || dir.list.bad_sizes))
		e = &is_dir;
	if (!ret) {
		pthread_rwlock_wrlock(&b->tree.lock);
		ret = btree_set(&b->tree, parent, name, e, now, &m);
		pthread_rwlock_unlock(&b->tree.lock);
	}
	blist_free(&object.list);
	blist_free(&dir.list);
	return ret;
}

static int need_name(struct bucket *b, u64 parent, const char *name, size_t len,
		     struct errline *err)
{
	char key[BUCKET_KEY_MAX + NEXUS_NAME_MAX + 3], text[NEXUS_NAME_MAX + 1];
	struct bnode *node;
	bool known;
	size_t skip;
	u64 ino;
	int ret;

	pthread_rwlock_rdlock(&b->tree.lock);
	node = btree_find(&b->tree, parent, name, len, &ino);
	known = node && fresh(b, node->seen);
	ret = btree_key(&b->tree, parent, key);
	pthread_rwlock_unlock(&b->tree.lock);
	if (known || ret)
		return ret;
	skip = strlen(key);
	/* No object has it. */
	if (skip + len > BUCKET_KEY_MAX)
		return -ENOENT;
	memcpy(text, name, len);
	text[len] = '\0';
	memcpy(key + skip, text, len + 1);
	return ask_name(b, key, skip, text, parent, err);
}

/* ---- requests ------------------------------------------------------------------- */

static int look_up(struct bucket *b, const struct nexus_request *req, bool may_block)
{
	const char *name = (const char *)req->data;
	struct bucket_counts counts;
	struct errline err = { "" };
	struct bnode *node;
	bool known;
	u64 ino;
	int ret;

	if (!nexus_name_ok(name, req->len))
		return -EINVAL;
	if (!look_dir(b, req->ino, false, &known))
		return 0;
	pthread_rwlock_rdlock(&b->tree.lock);
	node = btree_find(&b->tree, req->ino, name, req->len, &ino);
	known |= node && fresh(b, node->seen);
	pthread_rwlock_unlock(&b->tree.lock);
	if (known)
		return 0;
	if (!may_block)
		return -EAGAIN;
	ret = need_dir(b, req->ino, true, false, &counts, &err);
	if (ret == -E2BIG)
		ret = need_name(b, req->ino, name, req->len, &err);
	return ret;
}

/* Of a directory that is read; @again: from its beginning, so what is known has to be fresh. */
static int look_in(struct bucket *b, u64 ino, bool again, bool may_block)
{
	struct bucket_counts counts;
	struct errline err = { "" };
	bool known;
	int ret;

	if (!look_dir(b, ino, !again, &known) || known)
		return 0;
	if (!may_block)
		return -EAGAIN;
	ret = need_dir(b, ino, false, false, &counts, &err);
	/* The bucket is no file that would be missing somewhere else. */
	return ret == -ENODEV ? -ENOENT : ret;
}

int bucket_look(struct bucket *b, const struct nexus_request *req, bool may_block)
{
	switch (req->op) {
	case NEXUS_OP_LOOKUP:
		return look_up(b, req, may_block);
	case NEXUS_OP_GETATTR:
		return req->arg0 & NEXUS_GETATTR_NAMES ?
		       look_in(b, req->ino, true, may_block) : 0;
	case NEXUS_OP_LIST:
		return look_in(b, req->ino, false, may_block);
	}
	return 0;
}

int bucket_list(struct bucket *b, u64 ino, struct bucket_counts *counts, struct errline *err)
{
	struct bucket_counts unused;
	struct bnode *node;

	pthread_rwlock_rdlock(&b->tree.lock);
	node = btree_node(&b->tree, ino);
	if (node && !node->dir)
		ino = node->parent;
	pthread_rwlock_unlock(&b->tree.lock);
	if (!node)
		return -ENOENT;
	return need_dir(b, ino, false, true, counts ? counts : &unused, err);
}

void bucket_forget(struct bucket *b)
{
	atomic_store(&b->forgotten, begin_ms(b));
}
