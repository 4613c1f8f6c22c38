// SPDX-License-Identifier: GPL-2.0-only
/* Quotas: which ids are known, how they come to be, and their limits. */
#include <linux/slab.h>

#include "quota_impl.h"

/* ---- ids ---------------------------------------------------------------------- */

static bool nexus_quota_idle(const struct nexus_quota *q,
			     const struct nexus_quota_id *e)
{
	return e != q->loading && e->index &&
	       !e->use[NEXUS_Q_INODES].reserved &&
	       !e->use[NEXUS_Q_BLOCKS].reserved;
}

/* lock held: makes room for one more, if anything can go. */
static struct nexus_quota_id *nexus_quota_oldest(struct nexus_quota *q)
{
	struct nexus_quota_id *e;

	if (q->nr < NEXUS_QUOTA_IDS)
		return NULL;
	list_for_each_entry(e, &q->lru, lru) {
		if (!nexus_quota_idle(q, e))
			continue;
		list_del(&e->lru);
		xa_erase(&q->ids, e->index);
		q->nr--;
		return e;
	}
	return NULL;
}

/* load_mutex held. */
static struct nexus_quota_id *nexus_quota_add_id(struct nexus_quota *q,
						 unsigned long index)
{
	struct nexus_quota_id *e, *old;
	int err;

	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return ERR_PTR(-ENOMEM);
	e->index = index;
	err = xa_reserve(&q->ids, index, GFP_KERNEL_ACCOUNT);
	if (err) {
		kfree(e);
		return ERR_PTR(err);
	}
	spin_lock(&q->lock);
	old = nexus_quota_oldest(q);
	/* The entry is reserved, so this allocates nothing. */
	xa_store(&q->ids, index, e, GFP_ATOMIC);
	list_add_tail(&e->lru, &q->lru);
	q->nr++;
	spin_unlock(&q->lock);
	kfree(old);
	return e;
}

/* ---- asking --------------------------------------------------------------------- */

/* lock held: @r is how things were at @applied. */
static void nexus_quota_install(struct nexus_quota *q, struct nexus_quota_id *e,
				const struct nexus_quota_reply *r, u64 applied)
{
	struct nexus_quota_use *inodes = &e->use[NEXUS_Q_INODES];
	struct nexus_quota_use *blocks = &e->use[NEXUS_Q_BLOCKS];
	unsigned int kind = e->index >> 32, i;

	if (q->grace_lsn[kind] <= applied) {
		q->grace[kind][NEXUS_Q_INODES] = r->inodes_grace;
		q->grace[kind][NEXUS_Q_BLOCKS] = r->blocks_grace;
	}
	if (e->limits_lsn <= applied) {
		inodes->hard = r->inodes_hard;
		inodes->soft = r->inodes_soft;
		blocks->hard = r->blocks_hard;
		blocks->soft = r->blocks_soft;
	}
	inodes->used = r->inodes;
	blocks->used = r->blocks;
	if (r->inodes_time)
		inodes->since = r->inodes_time;
	if (r->blocks_time)
		blocks->since = r->blocks_time;
	e->base = applied;
	for (i = 0; i < q->nr_pending; i++)
		if (q->pending[i].lsn > applied)
			nexus_quota_add(e, q->pending[i].n);
	nexus_quota_clock(inodes);
	nexus_quota_clock(blocks);
	e->known = true;
}

/* load_mutex held.  0, -EAGAIN: more happened meanwhile than was remembered. */
static int nexus_quota_ask(struct nexus_zone *zone, struct nexus_quota_id *e)
{
	struct nexus_quota *q = zone->quota;
	struct nexus_quota_reply r;
	u64 applied;
	int ret;

	spin_lock(&q->lock);
	q->loading = e;
	q->nr_pending = 0;
	e->stale = false;
	WRITE_ONCE(q->active, true);
	spin_unlock(&q->lock);
	/* Who appends, and then does not see this, is below the log's end. */
	smp_mb();
	ret = nexus_ms_read(zone, NEXUS_OP_QUOTA, 0, e->index >> 32,
			    e->index & U32_MAX, NULL, 0, nexus_log_tail(zone),
			    &r, sizeof(r), &applied);
	/* What the helper says must not be taken for what we say. */
	if (ret == -EAGAIN)
		ret = -EIO;
	spin_lock(&q->lock);
	if (ret < 0)
		e->stale = e->known;
	else if (q->nr_pending > NEXUS_QUOTA_PENDING)
		ret = -EAGAIN;
	else
		nexus_quota_install(q, e, &r, applied);
	q->loading = NULL;
	spin_unlock(&q->lock);
	return min(ret, 0);
}

static int nexus_quota_load_id(struct nexus_zone *zone, unsigned int kind, u32 id)
{
	unsigned long index = nexus_quota_index(kind, id);
	struct nexus_quota *q = zone->quota;
	struct nexus_quota_id *e;
	int err = 0;

	if (mutex_lock_killable(&q->load_mutex))
		return -EINTR;
	e = xa_load(&q->ids, index);
	if (!e)
		e = nexus_quota_add_id(q, index);
	if (IS_ERR(e))
		err = PTR_ERR(e);
	else if (!e->known || READ_ONCE(e->stale))
		do {
			err = nexus_quota_ask(zone, e);
		} while (err == -EAGAIN);
	mutex_unlock(&q->load_mutex);
	return err;
}

static int nexus_quota_load_owner(struct nexus_zone *zone,
				  const struct nexus_owner *o)
{
	unsigned int kinds = READ_ONCE(zone->quota->kinds), kind;
	int err = 0;

	for (kind = 0; kind < NEXUS_QUOTA_LIMITED; kind++) {
		if (!(nexus_owner_kinds(o, kinds) & BIT(kind)))
			continue;
		err = nexus_quota_load_id(zone, kind, nexus_owner_id(o, kind));
		if (err)
			break;
	}
	return err;
}

int nexus_quota_load(struct nexus_inode *ni)
{
	struct nexus_owner o;

	if (likely(!READ_ONCE(ni->zone->quota->kinds)))
		return 0;
	spin_lock(&ni->resv_lock);
	o = ni->owner;
	spin_unlock(&ni->resv_lock);
	return nexus_quota_load_owner(ni->zone, &o);
}

int nexus_quota_move_load(struct nexus_inode *ni,
			  const struct nexus_quota_move *mv)
{
	return nexus_quota_load_owner(ni->zone, &mv->to);
}

int nexus_quota_get(struct nexus_zone *zone, unsigned int kind, u32 id,
		    struct nexus_quota_use use[NEXUS_Q_WHAT])
{
	struct nexus_quota *q = zone->quota;
	struct nexus_quota_id *e;
	bool known;
	int err;

	do {
		err = nexus_quota_load_id(zone, kind, id);
		if (err)
			return err;
		spin_lock(&q->lock);
		e = xa_load(&q->ids, nexus_quota_index(kind, id));
		/* It may have had to make room for others already. */
		known = e && e->known;
		if (known)
			memcpy(use, e->use, sizeof(e->use));
		spin_unlock(&q->lock);
	} while (!known);
	return 0;
}

bool nexus_quota_limited(struct nexus_zone *zone, unsigned int kind)
{
	return READ_ONCE(zone->quota->kinds) & BIT(kind);
}

u32 nexus_quota_grace(struct nexus_zone *zone, unsigned int kind, int what)
{
	return READ_ONCE(zone->quota->grace[kind][what]);
}

/* ---- limits ------------------------------------------------------------------------ */

/* set_mutex held; @lsn after the record. */
static void nexus_quota_set(struct nexus_quota *q,
			    const struct nexus_rec_quota *r, u64 lsn)
{
	u32 kind = le32_to_cpu(r->kind);
	struct nexus_quota_id *e;

	spin_lock(&q->lock);
	if (kind >= NEXUS_QUOTA_GRACE) {
		kind -= NEXUS_QUOTA_GRACE;
		q->grace[kind][NEXUS_Q_INODES] = le64_to_cpu(r->inodes_soft) ?:
						 NEXUS_QUOTA_GRACE_TIME;
		q->grace[kind][NEXUS_Q_BLOCKS] = le64_to_cpu(r->blocks_soft) ?:
						 NEXUS_QUOTA_GRACE_TIME;
		q->grace_lsn[kind] = lsn;
		goto out;
	}
	if (r->inodes_hard || r->inodes_soft || r->blocks_hard || r->blocks_soft)
		WRITE_ONCE(q->kinds, q->kinds | BIT(kind));
	e = xa_load(&q->ids, nexus_quota_index(kind, le64_to_cpu(r->id)));
	if (e) {
		e->use[NEXUS_Q_INODES].hard = le64_to_cpu(r->inodes_hard);
		e->use[NEXUS_Q_INODES].soft = le64_to_cpu(r->inodes_soft);
		e->use[NEXUS_Q_BLOCKS].hard = le64_to_cpu(r->blocks_hard);
		e->use[NEXUS_Q_BLOCKS].soft = le64_to_cpu(r->blocks_soft);
		nexus_quota_clock(&e->use[NEXUS_Q_INODES]);
		nexus_quota_clock(&e->use[NEXUS_Q_BLOCKS]);
		e->limits_lsn = lsn;
	}
out:
	spin_unlock(&q->lock);
}

int nexus_quota_mutate(struct nexus_zone *zone, struct nexus_resv *resv,
		       struct nexus_rec_quota *rec, u64 *lsn)
{
	struct nexus_quota *q = zone->quota;
	int err;

	if (le32_to_cpu(rec->kind) >= NEXUS_QUOTA_GRACE &&
	    !(zone->features & NEXUS_INCOMPAT_GRACE))
		return -EOPNOTSUPP;
	mutex_lock(&q->set_mutex);
	err = nexus_mutate(zone, resv, &rec->head, lsn);
	if (!err)
		nexus_quota_set(q, rec, *lsn);
	mutex_unlock(&q->set_mutex);
	return err;
}

void nexus_quota_stale(struct nexus_zone *zone)
{
	struct nexus_quota *q = zone->quota;
	struct nexus_quota_id *e;

	spin_lock(&q->lock);
	list_for_each_entry(e, &q->lru, lru)
		e->stale = true;
	spin_unlock(&q->lock);
}

/* ---- life ---------------------------------------------------------------------------- */

void nexus_quota_start(struct nexus_zone *zone, u64 kinds)
{
	zone->quota->kinds = kinds & (BIT(NEXUS_QUOTA_LIMITED) - 1);
}

int nexus_quota_alloc(struct nexus_zone *zone)
{
	struct nexus_quota *q = kzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);

	if (!q)
		return -ENOMEM;
	spin_lock_init(&q->lock);
	xa_init(&q->ids);
	INIT_LIST_HEAD(&q->lru);
	mutex_init(&q->set_mutex);
	mutex_init(&q->load_mutex);
	zone->quota = q;
	return 0;
}

void nexus_quota_free(struct nexus_zone *zone)
{
	struct nexus_quota *q = zone->quota;
	struct nexus_quota_id *e, *next;

	if (!q)
		return;
	list_for_each_entry_safe(e, next, &q->lru, lru)
		kfree(e);
	xa_destroy(&q->ids);
	kfree(q);
}
