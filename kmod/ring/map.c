// SPDX-License-Identifier: GPL-2.0-only
/* The memory of mapped rings, who has which side, and how messages get in and out of it. */
#include <linux/log2.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "map.h"

/* ---- memory --------------------------------------------------------------------- */

static void nexus_map_free_pages(struct nexus_map *map)
{
	unsigned int i;

	for (i = 0; i < map->n && map->pages[i]; i++)
		__free_page(map->pages[i]);
	kvfree(map->pages);
}

/* @n pages, zeroed, of which all from NEXUS_MAP_DATA on are in the table twice. */
static int nexus_map_alloc_pages(struct nexus_map *map)
{
	unsigned int i;

	map->pages = kvcalloc(map->n_mapped, sizeof(*map->pages), GFP_KERNEL_ACCOUNT);
	if (!map->pages)
		return -ENOMEM;
	for (i = 0; i < map->n; i++) {
		map->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!map->pages[i])
			return -ENOMEM;
		cond_resched();
	}
	for (; i < map->n_mapped; i++)
		map->pages[i] = map->pages[i - (map->n - NEXUS_MAP_DATA)];
	map->area = vmap(map->pages, map->n_mapped, VM_MAP, PAGE_KERNEL);
	return map->area ? 0 : -ENOMEM;
}

static struct nexus_map *nexus_map_alloc(kuid_t uid, u32 capacity)
{
	u64 size = roundup_pow_of_two(max_t(u64, nexus_ringbuf_size(capacity), PAGE_SIZE));
	struct nexus_map *map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	int err;

	if (!map)
		return ERR_PTR(-ENOMEM);
	map->capacity = capacity;
	map->size = size;
	map->n = NEXUS_MAP_DATA + size / PAGE_SIZE;
	map->n_mapped = map->n + size / PAGE_SIZE;
	map->user = nexus_ring_charge(uid, (u64)map->n << PAGE_SHIFT);
	if (IS_ERR(map->user)) {
		err = PTR_ERR(map->user);
		kfree(map);
		return ERR_PTR(err);
	}
	refcount_set(&map->refs, 1);
	init_waitqueue_head(&map->wait[NEXUS_MAP_SEND]);
	init_waitqueue_head(&map->wait[NEXUS_MAP_RECV]);
	err = nexus_map_alloc_pages(map);
	if (err) {
		nexus_map_put(map);
		return ERR_PTR(err);
	}
	return map;
}

void nexus_map_put(struct nexus_map *map)
{
	if (!refcount_dec_and_test(&map->refs))
		return;
	vunmap(map->area);
	if (map->pages)
		nexus_map_free_pages(map);
	nexus_ring_uncharge(map->user, (u64)map->n << PAGE_SHIFT);
	kfree(map);
}

static int nexus_map_attach(struct nexus_map *map, struct nexus_spsc *r, unsigned int side)
{
	return nexus_spsc_attach(r, side == NEXUS_MAP_SEND, nexus_map_words(map, side),
				 nexus_map_words(map, !side),
				 map->area + NEXUS_MAP_DATA * PAGE_SIZE, map->size,
				 map->capacity);
}

/* ---- in ------------------------------------------------------------------------- */

/*
 * Copies the @n messages of the ring into @map, which is new.  -EBUSY: they do not fit.
 * Both mutexes; nothing is changed in the ring.
 */
static int nexus_map_copy_in(const struct nexus_ring *ring, struct nexus_map *map, u64 n)
{
	struct nexus_ringbuf_span s;
	u32 pos = ring->recv.pos, len;
	struct nexus_spsc r;
	void *to;
	int err;

	err = nexus_map_attach(map, &r, NEXUS_MAP_SEND);
	for (; n && !err; n--) {
		pos = nexus_ringbuf_get_len(ring->data, ring->size, pos, &len);
		err = nexus_spsc_reserve(&r, len, &to);
		if (err)
			break;
		nexus_ringbuf_span(ring->size, pos, len, &s);
		memcpy(to, ring->data + s.off[0], s.len[0]);
		memcpy(to + s.len[0], ring->data + s.off[1], s.len[1]);
		nexus_spsc_commit(&r, len);
		pos = nexus_ringbuf_next(ring->size, pos, len);
		cond_resched();
	}
	return err ? -EBUSY : 0;
}

/*
 * Takes all credit there is, and the messages, if nobody is under way with some, or waits.
 * Both mutexes.
 */
static int nexus_map_move_in(struct nexus_ring *ring, struct nexus_map *map)
{
	struct nexus_ring_side *send = &ring->send, *recv = &ring->recv;
	u64 n = send->count - recv->count, bytes = send->bytes - recv->bytes;
	nexus_wakes nobody = { .n = 0 };
	int err;

	if (nexus_credit_shrink(&recv->credit, n))
		return -EBUSY;
	err = nexus_credit_shrink(&send->credit, ring->capacity - bytes);
	if (err)
		goto out_return;
	err = nexus_map_copy_in(ring, map, n);
	if (err)
		goto out_return_both;
	recv->pos = send->pos;
	recv->count += n;
	recv->bytes += bytes;
	WRITE_ONCE(ring->map, map);
	return 0;

out_return_both:
	nexus_credit_return(&send->credit, ring->capacity - bytes, &nobody);
out_return:
	nexus_credit_return(&recv->credit, n, &nobody);
	return err;
}

static void nexus_map_break(struct nexus_ring_side *side)
{
	NEXUS_WAKES(wakes);

	nexus_credit_break(&side->credit, -EBUSY, &wakes);
	nexus_wakes_done(&wakes);
}

/*
 * Makes the ring a mapped one, with @map.  Who waits is left alone, and then it is -EBUSY
 * (but for one who begins to wait at this moment, and gets that itself).  open_mutex.
 */
static int nexus_map_begin(struct nexus_ring *ring, struct nexus_map *map)
{
	int err;

	nexus_ring_lock(ring);
	err = nexus_map_move_in(ring, map);
	nexus_ring_unlock(ring);
	if (err)
		return err;
	nexus_map_break(&ring->send);
	nexus_map_break(&ring->recv);
	return 0;
}

/* ---- out ------------------------------------------------------------------------ */

/*
 * The next message to the ring, if it and the @bytes before it are no more than can be;
 * its length.  The mutex of who sends.
 */
static int nexus_map_move_one(struct nexus_ring *ring, struct nexus_spsc *r, u64 bytes)
{
	const void *from;
	struct iov_iter it;
	struct kvec vec;
	u32 len;
	int err;

	err = nexus_spsc_peek(r, &from, &len);
	if (err)
		return err;
	if (bytes + len > ring->capacity)
		return -EUCLEAN;
	vec = (struct kvec){ .iov_base = (void *)from, .iov_len = len };
	iov_iter_kvec(&it, ITER_SOURCE, &vec, 1, len);
	if (!nexus_ring_put_message(ring, len, &it))
		return -EFAULT;
	nexus_spsc_consume(r);
	return len;
}

/* Both sides have left: what is sound of what they left is sent by the kernel.  open_mutex. */
static void nexus_map_end(struct nexus_ring *ring)
{
	struct nexus_map *map = ring->map;
	nexus_wakes senders = { .n = 0 }, receivers = { .n = 0 };
	struct nexus_spsc r;
	u64 bytes = 0;
	int len;

	nexus_ring_lock(ring);
	len = nexus_map_attach(map, &r, NEXUS_MAP_RECV);
	while (len >= 0) {
		bytes += len;
		len = nexus_map_move_one(ring, &r, bytes);
		cond_resched();
	}
	nexus_credit_return(&ring->send.credit, ring->capacity - bytes, &senders);
	WRITE_ONCE(ring->map, NULL);
	nexus_ring_unlock(ring);
	nexus_ring_restore(ring);
	nexus_credit_given(&ring->recv.credit, &receivers);
	nexus_ring_wake(&ring->send, &senders, POLL_OUT);
	nexus_ring_wake(&ring->recv, &receivers, POLL_IN);
	nexus_map_put(map);
}

/* ---- who has a side --------------------------------------------------------------- */

void nexus_map_update(struct nexus_ring *ring)
{
	struct nexus_map *map = ring->map;
	u32 flags = 0;

	lockdep_assert_held(&ring->open_mutex);
	if (!map)
		return;
	/* Whoever had the side is gone, even if its file is open in some child. */
	if (ring->closed || (!map->owner[NEXUS_MAP_SEND] &&
			     (map->left[NEXUS_MAP_SEND] || !ring->send.files)))
		flags |= NEXUS_RING_NO_SENDER;
	if (ring->closed || (!map->owner[NEXUS_MAP_RECV] &&
			     (map->left[NEXUS_MAP_RECV] || !ring->recv.files)))
		flags |= NEXUS_RING_NO_RECEIVER;
	/* After all that one who is gone has sent; nexus_map_gone() has its pair. */
	smp_store_release(&map->flags, flags);
	/* So has who reads it in the page. */
	smp_store_release((u32 *)(map->area + NEXUS_MAP_STATUS * PAGE_SIZE), flags);
	wake_up_interruptible_all(&map->wait[NEXUS_MAP_SEND]);
	wake_up_interruptible_all(&map->wait[NEXUS_MAP_RECV]);
}

u32 nexus_map_stat(const struct nexus_ring *ring, u64 *bytes)
{
	const struct nexus_map *map = ring->map;
	u64 sent, received;
	u32 flags = 0;

	lockdep_assert_held(&ring->open_mutex);
	*bytes = 0;
	if (!map)
		return 0;
	received = nexus_load(&nexus_map_words(map, NEXUS_MAP_RECV)->at);
	sent = nexus_load(&nexus_map_words(map, NEXUS_MAP_SEND)->at);
	*bytes = min((u32)(sent >> 32) - (u32)(received >> 32), map->capacity);
	if (map->owner[NEXUS_MAP_SEND])
		flags |= NEXUS_RING_MAPPED_SEND;
	if (map->owner[NEXUS_MAP_RECV])
		flags |= NEXUS_RING_MAPPED_RECV;
	return flags;
}

/* A mapped ring, or one that @fresh, for its capacity, makes one.  open_mutex. */
static int nexus_map_take(struct nexus_map_file *mf, struct nexus_map *fresh)
{
	struct nexus_ring *ring = mf->ring;
	struct nexus_spsc r;
	int err;

	if (!ring->map) {
		err = nexus_map_begin(ring, fresh);
		if (err)
			return err;
		refcount_inc(&fresh->refs);
	}
	if (ring->map->owner[mf->side])
		return -EBUSY;
	err = nexus_map_attach(ring->map, &r, mf->side);
	if (err)
		return err;
	mf->map = ring->map;
	refcount_inc(&mf->map->refs);
	WRITE_ONCE(mf->map->owner[mf->side], mf);
	mf->map->left[mf->side] = false;
	nexus_map_update(ring);
	return 0;
}

int nexus_map_join(struct nexus_map_file *mf)
{
	struct nexus_ring *ring = mf->ring;
	struct nexus_map *fresh = NULL;
	int err = 0;

	for (;;) {
		mutex_lock(&ring->open_mutex);
		if (ring->map || (fresh && fresh->capacity == ring->capacity))
			break;
		mutex_unlock(&ring->open_mutex);
		if (fresh)
			nexus_map_put(fresh);
		fresh = nexus_map_alloc(nexus_ring_owner(ring), READ_ONCE(ring->capacity));
		if (IS_ERR(fresh))
			return PTR_ERR(fresh);
	}
	err = nexus_map_take(mf, fresh);
	mutex_unlock(&ring->open_mutex);
	if (fresh)
		nexus_map_put(fresh);
	return err;
}

void nexus_map_leave(struct nexus_map_file *mf)
{
	struct nexus_ring *ring = mf->ring;
	struct nexus_map *map = mf->map;

	lockdep_assert_held(&ring->open_mutex);
	if (!nexus_map_owns(mf))
		return;
	WRITE_ONCE(map->owner[mf->side], NULL);
	map->left[mf->side] = true;
	nexus_map_update(ring);
	if (!map->owner[NEXUS_MAP_SEND] && !map->owner[NEXUS_MAP_RECV])
		nexus_map_end(ring);
}
