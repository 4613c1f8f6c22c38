// SPDX-License-Identifier: Apache-2.0
/*
 * Packs that a checkpoint names are put before it, several at a time: whatever their order
 * is, all of them are there before anything names them.
 */
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define THREADS_MAX	16u

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

static int put_pack(struct origin *o, u64 pack, struct errline *err)
{
	struct pack_image img;
	bool put;
	int ret;

	ret = pack_image_open(o->z->os, pack, o->z->sb.uuid, false, &img);
	/* It died since the index was taken. */
	if (ret == -ENOENT)
		return -ESTALE;
	if (ret)
		return err_set(err, ret, "pack %llu cannot be read: %s", pack, strerror(-ret));
	ret = content_put_pack(o->content, &img, &put);
	pack_image_close(&img);
	return !ret ? 0 : err_set(err, ret, "pack %llu cannot be put: %s", pack, ret == -ENODATA ?
				  "it is neither here, whole, nor there" : strerror(-ret));
}

struct putting {
	struct origin *o;
	const u64 *pack;
	size_t n;
	atomic_size_t next;	/* to be put */
	pthread_mutex_t lock;
	int ret;		/* lock; the first error */
	struct errline *err;	/* lock; its line */
};

static void *put_some(void *arg)
{
	struct putting *p = arg;
	struct errline err;
	bool failed;
	size_t i;
	int ret;

	while ((i = atomic_fetch_add(&p->next, 1)) < p->n) {
		err.msg[0] = '\0';
		ret = put_pack(p->o, p->pack[i], &err);
		pthread_mutex_lock(&p->lock);
		if (ret && !p->ret) {
			p->ret = ret;
			*p->err = err;
		}
		failed = p->ret;
		pthread_mutex_unlock(&p->lock);
		if (failed)
			break;
	}
	return NULL;
}

/* As many at a time as the zone's own uploads; this thread is one of them. */
static int put_all(struct origin *o, const u64 *pack, size_t n, struct errline *err)
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
	size_t i, n = 0;
	int ret = missing ? 0 : -ENOMEM;

	for (i = 0; !ret && i < t->nsealed; i++)
		if (!is_there(o, t->sealed[i]))
			missing[n++] = t->sealed[i];
	if (!ret && n)
		ret = put_all(o, missing, n, err);
	free(missing);
	if (ret)
		return ret;
	free(o->there);
	o->there = t->sealed;
	o->nthere = t->nsealed;
	t->sealed = NULL;
	return 0;
}
