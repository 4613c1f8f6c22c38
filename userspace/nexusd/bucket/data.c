// SPDX-License-Identifier: Apache-2.0
/*
 * The cache: ranges of objects, in files that the module knows as sealed packs.
 *
 * Objects have room one behind the other (tree.h), so that many small ones share a file.  What
 * was fetched is there until the limit is reached; then the pack goes that was read from the
 * longest ago.  What a file of the cache has is noted here and in the kernel, and ends with
 * both: it is not flushed, and has no checksums.  The range that is read comes, more only for
 * who reads on.
 *
 * Every request for a range names the ETag that was listed, so bytes of two objects are never
 * mixed: when it is another now the reader gets an error, and who looks the name up again
 * finds the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bucket.h"
#include "chan.h"
#include "drivers/hostfile.h"
#include "helper.h"
#include "presence.h"
#include "../stats.h"
#include "worker.h"
#include "zone.h"

#define PIECE_BLOCKS	256u	/* in one request at most */

/* ---- files --------------------------------------------------------------------- */

static void pack_name(u64 id, char name[32])
{
	snprintf(name, 32, "%016llx", (unsigned long long)id);
}

/* lock held.  NULL with *@ret. */
static struct bpack *get_pack(struct bucket *b, u64 id, int *ret)
{
	off_t bytes = (off_t)btree_pack_blocks() << NEXUS_BLOCK_SHIFT;
	struct bpack *p;
	char name[32];

	for (p = b->packs; p; p = p->next)
		if (p->id == id)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p) {
		*ret = -ENOMEM;
		return NULL;
	}
	pack_name(id, name);
	/* A helper before may have made it: what is in it is fetched again. */
	p->fd = hostfile_open(b->dirfd, name, O_RDWR | O_CREAT);
	*ret = p->fd < 0 ? p->fd : ftruncate(p->fd, bytes) ? -errno : 0;
	if (*ret) {
		if (p->fd >= 0)
			close(p->fd);
		free(p);
		return NULL;
	}
	p->id = id;
	p->next = b->packs;
	b->packs = p;
	return p;
}

/*
 * lock held, and given up while it waits: what is in the pack stays until the kernel was told,
 * which takes what it is told for true, and a hole for zeros.  NULL with *@ret.
 */
static struct bpack *begin_telling(struct bucket *b, u64 id, int *ret)
{
	struct bpack *p = get_pack(b, id, ret);

	while (p && p->evicting && !atomic_load(&b->stop))
		pthread_cond_wait(&b->cond, &b->lock);
	if (p && p->evicting) {
		*ret = -ESHUTDOWN;
		return NULL;
	}
	if (p)
		p->telling++;
	return p;
}

static void end_telling(struct bucket *b, struct bpack *p)
{
	pthread_mutex_lock(&b->lock);
	p->telling--;
	pthread_mutex_unlock(&b->lock);
}

int bucket_offer_pack(struct bucket *b, u64 pack)
{
	struct nexus_hand_over ho = {
		.zone = b->zone->id, .id = pack, .blocks = btree_pack_blocks(),
		.flags = NEXUS_HF_ABSENT,
	};
	u32 first = btree_pack_first(), i;
	struct bpack *p;
	u64 *absent = calloc(bit_words(ho.blocks), sizeof(*absent));
	int ret = -ENOMEM;

	pthread_mutex_lock(&b->lock);
	p = absent ? begin_telling(b, pack, &ret) : NULL;
	for (i = 0; p && i < BTREE_PACK_BLOCKS; i++)
		if (!bit_get(p->bits, i))
			bit_set(absent, first + i);
	pthread_mutex_unlock(&b->lock);
	if (p) {
		ho.fd = p->fd;
		ho.absent = (u64)(uintptr_t)absent;
		ret = chan_ioctl(b->zone->chan, NEXUS_IOC_PACK, &ho);
		end_telling(b, p);
	}
	free(absent);
	if (ret == -ESHUTDOWN)
		return ret;
	if (ret && ret != -EEXIST) {
		log_error("%s: a file of the cache cannot be used: %s", b->source, strerror(-ret));
		return -EIO;
	}
	stats_inc(packs_opened);
	return 0;
}

void bucket_close_packs(struct bucket *b)
{
	struct bpack *p;

	while ((p = b->packs)) {
		b->packs = p->next;
		close(p->fd);
		free(p);
	}
}

/* ---- room ---------------------------------------------------------------------- */

static bool in_use(const struct bucket *b, const struct bpack *p)
{
	u64 first = (p->id - NEXUS_FIRST_PACK) * BTREE_PACK_BLOCKS;
	const struct bop *op;

	for (op = b->ops; op; op = op->next)
		if (op->vblock < first + BTREE_PACK_BLOCKS && op->vblock + op->n > first)
			return true;
	return false;
}

/* How long nobody has read from it; what the kernel does not have is used by nobody. */
static u64 idle(const struct bucket *b, u64 id)
{
	struct nexus_pack_use use = { .zone = b->zone->id, .pack = id };

	return chan_ioctl(b->zone->chan, NEXUS_IOC_PACK_USE, &use) ? UINT64_MAX : use.idle;
}

/* lock held, and given up meanwhile: the content of @p goes. */
static void evict(struct bucket *b, struct bpack *p)
{
	struct nexus_pack_range all = { btree_pack_first(), BTREE_PACK_BLOCKS };
	struct nexus_retire r = {
		.zone = b->zone->id, .nr = 1, .pack = p->id,
		.ranges = (u64)(uintptr_t)&all, .flags = NEXUS_RT_EVICT,
	};
	int ret;

	p->evicting = true;
	pthread_mutex_unlock(&b->lock);
	ret = chan_ioctl(b->zone->chan, NEXUS_IOC_RETIRE, &r);
	if ((!ret || ret == -ENXIO) &&
	    fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)btree_pack_blocks() << NEXUS_BLOCK_SHIFT))
		log_warn("%s: the cache's file %016llx does not get smaller: %s", b->source,
			 (unsigned long long)p->id, strerror(errno));
	pthread_mutex_lock(&b->lock);
	p->evicting = false;
	if (!ret || ret == -ENXIO) {
		stats_add(evicted_bytes, p->present << NEXUS_BLOCK_SHIFT);
		stats_inc(evictions);
		b->cached -= p->present;
		p->present = 0;
		memset(p->bits, 0, sizeof(p->bits));
	}
	pthread_cond_broadcast(&b->cond);
}

/* lock held, and given up meanwhile: room for @n blocks, if something can go. */
static void make_room(struct bucket *b, u64 n)
{
	struct bpack *p, *best = NULL;
	u64 most = 0, is;

	if (!b->limit || (b->cached + n) << NEXUS_BLOCK_SHIFT <= b->limit)
		return;
	for (p = b->packs; p; p = p->next) {
		if (!p->present || p->evicting || p->telling || in_use(b, p))
			continue;
		is = idle(b, p->id);
		if (best && is <= most)
			continue;
		best = p;
		most = is;
	}
	if (best)
		evict(b, best);
}

/* ---- fetching ------------------------------------------------------------------- */

static bool overlaps(const struct bucket *b, u64 vblock, u64 n)
{
	const struct bop *op;

	for (op = b->ops; op; op = op->next)
		if (op->vblock < vblock + n && op->vblock + op->n > vblock)
			return true;
	return false;
}

/* lock held: what of [*@at, *@at + *@n) of the pack is missing, from its first to its last. */
static bool missing(const struct bpack *p, u64 *at, u64 *n)
{
	u64 end = *at + *n;

	while (*at < end && bit_get(p->bits, (u32)*at))
		(*at)++;
	while (end > *at && bit_get(p->bits, (u32)end - 1))
		end--;
	*n = end - *at;
	return *n;
}

/* lock held. */
static void mark(struct bucket *b, struct bpack *p, u64 at, u64 n)
{
	for (; n; n--, at++) {
		if (bit_get(p->bits, (u32)at))
			continue;
		bit_set(p->bits, (u32)at);
		p->present++;
		b->cached++;
	}
}

static int tell(struct bucket *b, u64 pack, u64 at, u64 n)
{
	struct nexus_pack_range range = { btree_pack_first() + (u32)at, (u32)n };
	struct nexus_retire r = {
		.zone = b->zone->id, .nr = 1, .pack = pack, .ranges = (u64)(uintptr_t)&range,
	};
	int ret = chan_ioctl(b->zone->chan, NEXUS_IOC_PRESENT, &r);

	/* It learns it when it is given the pack. */
	return ret == -ENXIO ? 0 : ret;
}

/* Of one object: what is where. */
struct range {
	u64 pack, at, n;	/* blocks of the pack's content */
	u64 vblock;		/* the same as @at */
	u64 blocks;		/* of the object */
	u64 offset;		/* bytes in the object */
	size_t len;
	char key[BUCKET_KEY_MAX + 1], etag[BUCKET_ETAG_MAX];
};

static void say_failed(struct bucket *b, const struct range *r, int ret, const struct errline *err)
{
	if (ret == -ESTALE || ret == -ENOENT)
		stats_inc(bucket_stale);
	else
		stats_inc(bucket_errors);
	log_error("%s: \"%.200s\" at %llu cannot be read: %s", b->source, r->key,
		  (unsigned long long)r->offset,
		  ret == -ESTALE ? "it has changed since it was listed" :
		  err->msg[0] ? err->msg : strerror(-ret));
}

static int get(struct bucket *b, const struct range *r, u8 *buf)
{
	size_t whole = (size_t)r->n << NEXUS_BLOCK_SHIFT;
	struct errline err = { "" };
	ssize_t n = b->store->ops->get(b->store, r->key, r->etag, r->offset, buf, r->len, &err);

	if (n == -ESHUTDOWN)
		return -ESHUTDOWN;
	stats_inc(bucket_gets);
	if (n >= 0 && (size_t)n != r->len) {
		snprintf(err.msg, sizeof(err.msg), "it is shorter than it was listed");
		n = -ESTALE;
	}
	if (n < 0) {
		say_failed(b, r, (int)n, &err);
		/* So that the next look is not at what is not there any more. */
		if (n == -ESTALE || n == -ENOENT)
			bucket_forget(b);
		return (int)n;
	}
	stats_add(bucket_bytes, (u64)n);
	memset(buf + r->len, 0, whole - r->len);
	return 0;
}

static int bring(struct bucket *b, const struct range *r, int fd)
{
	size_t whole = (size_t)r->n << NEXUS_BLOCK_SHIFT;
	void *buf;
	ssize_t n;
	int ret;

	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, whole))
		return -ENOMEM;
	ret = get(b, r, buf);
	if (!ret) {
		n = pwrite(fd, buf, whole, (off_t)(btree_pack_first() + r->at) << NEXUS_BLOCK_SHIFT);
		if (n != (ssize_t)whole) {
			ret = n < 0 ? -errno : -ENOSPC;
			log_error("%s: the cache cannot be written: %s", b->source, strerror(-ret));
		}
	}
	free(buf);
	return ret;
}

/* Blocks [@vblock, +@n) of the object @ino, all in one pack; what of them is in its key. */
static int find_range(struct bucket *b, u64 vblock, u64 n, struct range *r, u64 *ino, u64 *fblock)
{
	const struct bnode *node;
	u64 at;
	int ret = 0;

	pthread_rwlock_rdlock(&b->tree.lock);
	node = btree_at(&b->tree, vblock, ino);
	if (node) {
		at = vblock - node->vblock;
		r->pack = btree_pack(vblock);
		r->vblock = vblock;
		r->blocks = bnode_blocks(node);
		r->at = vblock % BTREE_PACK_BLOCKS;
		r->n = NEXUS_MIN(NEXUS_MIN(n, BTREE_PACK_BLOCKS - r->at), bnode_blocks(node) - at);
		r->offset = at << NEXUS_BLOCK_SHIFT;
		r->len = (size_t)NEXUS_MIN(r->n << NEXUS_BLOCK_SHIFT, node->size - r->offset);
		*fblock = at;
		snprintf(r->etag, sizeof(r->etag), "%s", node->etag);
		ret = btree_key(&b->tree, *ino, r->key);
	}
	pthread_rwlock_unlock(&b->tree.lock);
	return node ? ret : -EINVAL;
}

/* Cuts the front off, down to what @at and @n of the pack say. */
static void narrow(struct range *r, u64 at, u64 n)
{
	u64 skip = at - r->at, bytes = skip << NEXUS_BLOCK_SHIFT;

	r->at = at;
	r->vblock += skip;
	r->offset += bytes;
	r->len = (size_t)NEXUS_MIN((u64)r->len - bytes, n << NEXUS_BLOCK_SHIFT);
	r->n = n;
}

/* lock held, and given up meanwhile.  @ahead: nobody waits for it. */
static int fetch_locked(struct bucket *b, struct range *r, bool ahead)
{
	struct bop op = { 0 }, **at;
	u64 from = r->at, n = r->n, bytes;
	struct bpack *p;
	int ret = 0;

	for (;;) {
		if (atomic_load(&b->stop))
			return -ESHUTDOWN;
		p = get_pack(b, r->pack, &ret);
		if (!p)
			return ret;
		if (!missing(p, &from, &n))
			return 0;
		bytes = n << NEXUS_BLOCK_SHIFT;
		if (!overlaps(b, r->vblock, r->n) && !p->evicting &&
		    (!b->inflight || b->inflight + bytes <= (ahead ? b->flight / 2 : b->flight)))
			break;
		if (ahead)
			return 0;
		pthread_cond_wait(&b->cond, &b->lock);
		from = r->at;
		n = r->n;
	}
	narrow(r, from, n);
	op.vblock = r->vblock;
	op.n = r->n;
	op.next = b->ops;
	b->ops = &op;
	b->inflight += bytes;
	make_room(b, n);
	pthread_mutex_unlock(&b->lock);
	ret = bring(b, r, p->fd);
	pthread_mutex_lock(&b->lock);
	if (!ret)
		mark(b, p, r->at, r->n);
	for (at = &b->ops; *at != &op; at = &(*at)->next)
		;
	*at = op.next;
	b->inflight -= bytes;
	pthread_cond_broadcast(&b->cond);
	return ret;
}

struct ahead {
	struct bucket *b;
	u64 vblock, n;
};

/* Its bytes are taken already. */
static void ahead_job(void *arg)
{
	struct ahead *a = arg;
	struct bucket *b = a->b;
	struct zone *z = b->zone;
	u64 ino, fblock;
	struct range r;
	int ret = find_range(b, a->vblock, a->n, &r, &ino, &fblock);

	pthread_mutex_lock(&b->lock);
	b->inflight -= a->n << NEXUS_BLOCK_SHIFT;
	if (!ret)
		fetch_locked(b, &r, true);
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->lock);
	free(a);
	zone_put(z);
}

/* lock held: blocks [@vblock, @end), of one object. */
static void fetch_ahead(struct bucket *b, u64 vblock, u64 end)
{
	struct helper *h = b->zone->helper;
	struct ahead *a;
	u64 n;

	for (; h && h->fetchers && vblock < end; vblock += n) {
		/* Not beyond the pack. */
		n = NEXUS_MIN(end - vblock, PIECE_BLOCKS - vblock % PIECE_BLOCKS);
		a = malloc(sizeof(*a));
		if (!a)
			return;
		*a = (struct ahead){ b, vblock, n };
		zone_get(b->zone);
		if (!workers_add(h->fetchers, zone_work_key(b->zone->id), ahead_job, a)) {
			b->inflight += n << NEXUS_BLOCK_SHIFT;
			continue;
		}
		zone_put(b->zone);
		free(a);
		return;
	}
}

/* Blocks [@at, @end) of the object, which has @size, are asked for; @vblock is where it begins. */
static void read_on(struct bucket *b, u64 ino, u64 at, u64 end, u64 size, u64 vblock)
{
	struct readon_ask ask = {
		.id = ino, .at = at, .end = end, .size = size, .most = b->ahead >> NEXUS_BLOCK_SHIFT,
	};
	struct readon_ahead ahead;

	pthread_mutex_lock(&b->lock);
	if (b->inflight < b->flight / 2)
		ask.room = (b->flight / 2 - b->inflight) >> NEXUS_BLOCK_SHIFT;
	if (readon_next(&b->readers, &ask, &ahead))
		fetch_ahead(b, vblock + ahead.from, vblock + ahead.to);
	pthread_mutex_unlock(&b->lock);
}

int bucket_fetch(struct bucket *b, u64 pack, u32 block, u32 n)
{
	u32 first = btree_pack_first();
	u64 vblock, at, len, ino, fblock;
	struct bpack *p;
	struct range r;
	int ret;

	if (pack < NEXUS_FIRST_PACK || block < first || !n || block - first >= BTREE_PACK_BLOCKS ||
	    n > BTREE_PACK_BLOCKS - (block - first))
		return -EINVAL;
	vblock = (pack - NEXUS_FIRST_PACK) * BTREE_PACK_BLOCKS + (block - first);
	ret = find_range(b, vblock, n, &r, &ino, &fblock);
	if (ret)
		return ret;
	at = r.at;
	len = r.n;
	/* First, so that it comes while this is waited for. */
	read_on(b, ino, fblock, fblock + len, r.blocks, vblock - fblock);
	pthread_mutex_lock(&b->lock);
	p = begin_telling(b, pack, &ret);
	if (p)
		ret = fetch_locked(b, &r, false);
	pthread_mutex_unlock(&b->lock);
	if (!ret)
		ret = tell(b, pack, at, len);
	if (p)
		end_telling(b, p);
	return ret;
}
