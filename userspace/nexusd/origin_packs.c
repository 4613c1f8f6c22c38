// SPDX-License-Identifier: Apache-2.0
/*
 * Packs that a checkpoint names are put before it, several at a time: whatever their order
 * is, all of them are there before anything names them.  One that cannot be put does not
 * keep the others from it: then little is left for the next checkpoint.
 */
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define THREADS_MAX	16u
#define FAILURES_MAX	4u	/* in a row: it is the store that fails */

static bool is_there(const struct origin *o, u64 pack)
{
	size_t lo = 0, hi = o->nthere;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (o->there[mid] < pack)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < o->nthere && o->there[lo] == pack;
}

/* *local: what is wrong is here. */
static int put_pack(struct origin *o, u64 pack, bool *local, struct errline *err)
{
	struct pack_image img;
	bool put;
	int ret;

	*local = true;
	ret = pack_image_open(o->z->os, pack, o->z->sb.uuid, false, &img);
	/* It died since the index was taken. */
	if (ret == -ENOENT)
		return -ESTALE;
	if (ret)
		return err_set(err, ret, "pack %llu cannot be read: %s", pack, strerror(-ret));
	ret = content_put_pack(o->content, &img, &put);
	pack_image_close(&img);
	*local = content_put_local(ret);
	return !ret ? 0 : err_set(err, ret, "pack %llu cannot be put: %s", pack,
				  content_put_why(ret));
}

struct putting {
	struct origin *o;
	u64 *pack;		/* 0: it is put */
	size_t n;
	atomic_size_t next;	/* to be put */
	pthread_mutex_t lock;
	bool over;		/* lock */
	unsigned int failures;	/* lock; of the store, in a row */
	int ret;		/* lock; the first error */
	struct errline *err;	/* lock; its line */
};

/* lock held. */
static void note(struct putting *p, size_t i, int ret, bool local, const struct errline *err)
{
	if (!ret) {
		p->pack[i] = 0;
		p->failures = 0;
		return;
	}
	if (!p->ret) {
		p->ret = ret;
		*p->err = *err;
	}
	p->failures += !local;
	/* With another index others are to be put. */
	if (ret == -ESTALE || ret == -ESHUTDOWN || p->failures >= FAILURES_MAX)
		p->over = true;
}

static void *put_some(void *arg)
{
	struct putting *p = arg;
	struct errline err;
	bool over = false, local;
	size_t i;
	int ret;

	while (!over && (i = atomic_fetch_add(&p->next, 1)) < p->n) {
		err.msg[0] = '\0';
		ret = put_pack(p->o, p->pack[i], &local, &err);
		pthread_mutex_lock(&p->lock);
		note(p, i, ret, local, &err);
		over = p->over;
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/*
 * As many at a time as the zone's own uploads; this thread is one of them.  The first error;
 * those that are put are 0 then.
 */
static int put_all(struct origin *o, u64 *pack, size_t n, struct errline *err)
{
	struct putting p = { .o = o, .pack = pack, .n = n, .err = err };
	size_t i, threads, want = NEXUS_MIN(NEXUS_MIN(n, (size_t)o->z->cfg->upload_parallel),
					    (size_t)THREADS_MAX);
	pthread_t thread[THREADS_MAX];

	pthread_mutex_init(&p.lock, NULL);
	/* Fewer, if there cannot be as many. */
	for (threads = 0; threads + 1 < want; threads++)
		if (pthread_create(&thread[threads], NULL, put_some, &p))
			break;
	put_some(&p);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	pthread_mutex_destroy(&p.lock);
	return p.ret;
}

int origin_put_packs(struct origin *o, struct taking *t, struct errline *err)
{
	u64 *missing = calloc(t->nsealed + 1, sizeof(*missing));
	size_t i, n = 0, left = 0, there = 0;
	int ret = 0;

	if (!missing)
		return -ENOMEM;
	for (i = 0; i < t->nsealed; i++)
		if (!is_there(o, t->sealed[i]))
			missing[n++] = t->sealed[i];
	if (n)
		ret = put_all(o, missing, n, err);
	for (i = 0; i < n; i++)
		if (missing[i])
			missing[left++] = missing[i];
	/* Both are in order. */
	for (i = 0, n = 0; i < t->nsealed; i++) {
		if (n < left && missing[n] == t->sealed[i])
			n++;
		else
			t->sealed[there++] = t->sealed[i];
	}
	free(missing);
	free(o->there);
	o->there = t->sealed;
	o->nthere = there;
	t->sealed = NULL;
	return ret;
}
