// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quotas: who may take how much.
 *
 * The system call that makes an inode or needs a block which its file did not
 * have reserves it here for user, group, project and zone, and gets EDQUOT (of
 * the zone: ENOSPC) before anything changes.  A dirty page over a hole keeps its
 * reservation until it is written.  The record that maps the block then turns it
 * into usage, in one step with what it means for the limits: a block counts
 * once at any moment.
 *
 * Usage is the index's, moved on by the blocks and inodes of each record that is
 * appended.  To learn it the helper is asked for a state at or after the end of
 * the log as it was when the id became known here.  Records from then on are
 * remembered while the answer is under way; those that it has in it, by its LSN,
 * do not count again, now or ever.  An id that is known needs no helper.
 *
 * Inodes that the helper has forgotten (orphans of the last mount) are not known
 * here: usage may be less than what the copy says.  Before that refuses anybody
 * it is asked for again.
 */
#include <linux/capability.h>

#include "data/data.h"
#include "quota_impl.h"

u32 nexus_owner_id(const struct nexus_owner *o, unsigned int kind)
{
	switch (kind) {
	case NEXUS_QUOTA_USER:
		return o->uid;
	case NEXUS_QUOTA_GROUP:
		return o->gid;
	case NEXUS_QUOTA_PROJECT:
		return o->projid;
	}
	return 0;
}

unsigned int nexus_owner_kinds(const struct nexus_owner *o, unsigned int kinds)
{
	return o->projid ? kinds : kinds & ~BIT(NEXUS_QUOTA_PROJECT);
}

/* lock held. */
static struct nexus_quota_id *nexus_quota_find(struct nexus_quota *q,
					       const struct nexus_owner *o,
					       unsigned int kind)
{
	lockdep_assert_held(&q->lock);
	return xa_load(&q->ids, nexus_quota_index(kind, nexus_owner_id(o, kind)));
}

/* ---- counting --------------------------------------------------------------- */

/* The clock of the grace time runs while the soft limit is exceeded. */
void nexus_quota_clock(struct nexus_quota_use *u)
{
	if (!u->soft || u->used + u->reserved <= u->soft)
		u->since = 0;
	else if (!u->since)
		u->since = max_t(time64_t, 1, ktime_get_real_seconds());
}

void nexus_quota_add(struct nexus_quota_id *e, const s64 n[NEXUS_Q_WHAT])
{
	unsigned int i;

	for (i = 0; i < NEXUS_Q_WHAT; i++) {
		struct nexus_quota_use *u = &e->use[i];

		/* What a store says of itself may be wrong. */
		if (n[i] < 0 && u->used < -n[i])
			u->used = 0;
		else
			u->used += n[i];
		nexus_quota_clock(u);
	}
}

/* lock held: the record at @lsn changed usage of @e. */
static void nexus_quota_note(struct nexus_quota *q, struct nexus_quota_id *e,
			     u64 lsn, const s64 n[NEXUS_Q_WHAT])
{
	struct nexus_quota_delta *d;

	if (e == q->loading) {
		if (q->nr_pending < NEXUS_QUOTA_PENDING) {
			d = &q->pending[q->nr_pending];
			d->lsn = lsn;
			memcpy(d->n, n, sizeof(d->n));
		}
		q->nr_pending = min(q->nr_pending + 1, NEXUS_QUOTA_PENDING + 1);
	}
	if (e->known && lsn > e->base)
		nexus_quota_add(e, n);
}

/* lock held. */
static void nexus_quota_note_all(struct nexus_quota *q,
				 const struct nexus_owner *o,
				 unsigned int kinds, u64 lsn, s64 inodes,
				 s64 blocks)
{
	const s64 n[NEXUS_Q_WHAT] = { inodes, blocks };
	struct nexus_quota_id *e;
	unsigned int kind;

	for (kind = 0; kind < NEXUS_QUOTA_LIMITED; kind++) {
		if (!(nexus_owner_kinds(o, kinds) & BIT(kind)))
			continue;
		e = nexus_quota_find(q, o, kind);
		if (e)
			nexus_quota_note(q, e, lsn, n);
	}
}

/* Whether anybody counts; after the record was appended. */
static bool nexus_quota_active(const struct nexus_quota *q)
{
	/* The log's end before this, as nexus_quota_ask() has it the other way. */
	smp_mb();
	return READ_ONCE(q->active);
}

/* lock held. */
static void nexus_quota_unreserve(struct nexus_quota *q,
				  const struct nexus_owner *o,
				  unsigned int kinds, int what, u64 n)
{
	struct nexus_quota_id *e;
	unsigned int kind;

	if (!n)
		return;
	for (kind = 0; kind < NEXUS_QUOTA_LIMITED; kind++) {
		if (!(nexus_owner_kinds(o, kinds) & BIT(kind)))
			continue;
		e = nexus_quota_find(q, o, kind);
		/* Who holds something is not removed. */
		if (WARN_ON_ONCE(!e))
			continue;
		e->use[what].reserved -= min(e->use[what].reserved, n);
		nexus_quota_clock(&e->use[what]);
	}
}

/* ---- limits --------------------------------------------------------------------- */

static bool nexus_quota_over(const struct nexus_quota *q, unsigned int kind,
			     const struct nexus_quota_id *e, int what, u64 n)
{
	const struct nexus_quota_use *u = &e->use[what];
	u64 sum = u->used + u->reserved + n;

	if (!n)
		return false;
	if (u->hard && sum > u->hard)
		return true;
	return u->soft && sum > u->soft && u->since &&
	       ktime_get_real_seconds() - u->since >= q->grace[kind][what];
}

enum nexus_quota_right {
	NEXUS_QR_PLAIN,
	NEXUS_QR_RESOURCE,	/* beyond the limits of all but the zone */
	NEXUS_QR_FORCE,
};

/* lock held.  0, -EAGAIN (something is not known), -EDQUOT, -ENOSPC. */
static int nexus_quota_check(struct nexus_quota *q, const struct nexus_owner *o,
			     unsigned int kinds, const u64 n[NEXUS_Q_WHAT],
			     enum nexus_quota_right right)
{
	struct nexus_quota_id *e;
	unsigned int kind;
	int err = 0;

	for (kind = 0; kind < NEXUS_QUOTA_LIMITED; kind++) {
		if (!(nexus_owner_kinds(o, kinds) & BIT(kind)))
			continue;
		e = nexus_quota_find(q, o, kind);
		if (!e || !e->known)
			return -EAGAIN;
		list_move_tail(&e->lru, &q->lru);
		if (right == NEXUS_QR_FORCE ||
		    (right == NEXUS_QR_RESOURCE && kind != NEXUS_QUOTA_ZONE))
			continue;
		if (!nexus_quota_over(q, kind, e, NEXUS_Q_INODES,
				      n[NEXUS_Q_INODES]) &&
		    !nexus_quota_over(q, kind, e, NEXUS_Q_BLOCKS,
				      n[NEXUS_Q_BLOCKS]))
			continue;
		if (e->stale)
			return -EAGAIN;
		err = err ?: kind == NEXUS_QUOTA_ZONE ? -ENOSPC : -EDQUOT;
	}
	return err;
}

/* lock held. */
static void nexus_quota_reserve(struct nexus_quota *q,
				const struct nexus_owner *o, unsigned int kinds,
				const u64 n[NEXUS_Q_WHAT])
{
	struct nexus_quota_id *e;
	unsigned int kind, i;

	for (kind = 0; kind < NEXUS_QUOTA_LIMITED; kind++) {
		if (!(nexus_owner_kinds(o, kinds) & BIT(kind)))
			continue;
		e = nexus_quota_find(q, o, kind);
		for (i = 0; e && i < NEXUS_Q_WHAT; i++) {
			e->use[i].reserved += n[i];
			nexus_quota_clock(&e->use[i]);
		}
	}
}

/*
 * resv_lock held: @n blocks more for @ni.  What it holds already is made good where
 * limits are new.
 */
static int nexus_quota_try(struct nexus_inode *ni, u64 n,
			   enum nexus_quota_right right)
{
	struct nexus_quota *q = ni->zone->quota;
	const u64 more[NEXUS_Q_WHAT] = { 0, n };
	const u64 held[NEXUS_Q_WHAT] = { 0, ni->quota_resv };
	unsigned int kinds = READ_ONCE(q->kinds);
	int err;

	spin_lock(&q->lock);
	err = nexus_quota_check(q, &ni->owner, kinds, more, right);
	if (!err) {
		nexus_quota_reserve(q, &ni->owner, kinds & ~ni->quota_kinds,
				    held);
		nexus_quota_reserve(q, &ni->owner, kinds, more);
		ni->quota_kinds |= kinds;
		ni->quota_resv += n;
	}
	spin_unlock(&q->lock);
	return err;
}

/* Privilege is only looked at where it makes a difference. */
static bool nexus_quota_again(int err, enum nexus_quota_right *right)
{
	if (err != -EDQUOT || *right != NEXUS_QR_PLAIN ||
	    !capable(CAP_SYS_RESOURCE))
		return false;
	*right = NEXUS_QR_RESOURCE;
	return true;
}

/* ---- blocks ------------------------------------------------------------------------ */

static int nexus_quota_blocks(struct nexus_inode *ni, u64 n, bool force)
{
	enum nexus_quota_right right = force ? NEXUS_QR_FORCE : NEXUS_QR_PLAIN;
	int err;

	do {
		spin_lock(&ni->resv_lock);
		err = nexus_quota_try(ni, n, right);
		if (!err)
			ni->quota_held += n;
		spin_unlock(&ni->resv_lock);
	} while (nexus_quota_again(err, &right));
	return err;
}

bool nexus_quota_any(const struct nexus_zone *zone)
{
	return READ_ONCE(zone->quota->kinds);
}

int nexus_quota_take(struct nexus_inode *ni, u64 n, bool force)
{
	if (likely(!READ_ONCE(ni->zone->quota->kinds))) {
		spin_lock(&ni->resv_lock);
		ni->quota_held += n;
		spin_unlock(&ni->resv_lock);
		return 0;
	}
	return nexus_quota_blocks(ni, n, force);
}

/*
 * resv_lock held: what neither dirty pages nor operations need any more.  Records
 * that used some of it make it less than they say they need, until they are over.
 */
static void nexus_quota_settle(struct nexus_inode *ni)
{
	struct nexus_quota *q = ni->zone->quota;
	u64 need = ni->delayed + ni->quota_held;
	u64 rest;

	if (ni->quota_resv <= need)
		return;
	rest = ni->quota_resv - need;
	spin_lock(&q->lock);
	nexus_quota_unreserve(q, &ni->owner, ni->quota_kinds, NEXUS_Q_BLOCKS,
			      rest);
	spin_unlock(&q->lock);
	ni->quota_resv = need;
	if (!ni->quota_resv)
		ni->quota_kinds = 0;
}

void nexus_quota_landed(struct nexus_inode *ni)
{
	if (likely(!READ_ONCE(ni->quota_resv)))
		return;
	spin_lock(&ni->resv_lock);
	nexus_quota_settle(ni);
	spin_unlock(&ni->resv_lock);
}

void nexus_quota_give(struct nexus_inode *ni, u64 n)
{
	if (!n)
		return;
	spin_lock(&ni->resv_lock);
	ni->quota_held -= n;
	nexus_quota_settle(ni);
	spin_unlock(&ni->resv_lock);
}

int nexus_quota_try_holes(struct inode *inode, u64 fblock, u64 n, u64 *taken)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 holes;
	int err;

	*taken = 0;
	if (likely(!READ_ONCE(ni->zone->quota->kinds)))
		return 0;
	holes = nexus_map_holes(ni, fblock, fblock + n);
	err = holes ? nexus_quota_take(ni, holes, false) : 0;
	if (!err)
		*taken = holes;
	return err;
}

int nexus_quota_take_holes(struct inode *inode, u64 fblock, u64 n, u64 *taken)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	bool written = false;
	int err;

	for (;;) {
		err = nexus_quota_try_holes(inode, fblock, n, taken);
		if (err == -EAGAIN) {
			err = nexus_quota_load(ni);
			if (!err)
				continue;
		}
		/* Pages that wait for their block hold it already. */
		if ((err != -EDQUOT && err != -ENOSPC) || written ||
		    !READ_ONCE(ni->delayed))
			return err;
		written = true;
		err = nexus_write_and_wait(inode, fblock << NEXUS_BLOCK_SHIFT,
					   ((fblock + n) << NEXUS_BLOCK_SHIFT) - 1);
		if (err)
			return err;
	}
}

/* ---- what records did ------------------------------------------------------------------ */

static void nexus_quota_change(struct nexus_inode *ni, s64 blocks, u64 lsn)
{
	struct nexus_quota *q = ni->zone->quota;
	u64 used = 0;

	ni->counted += blocks * (NEXUS_BLOCK_SIZE / SECTOR_SIZE);
	if (!nexus_quota_active(q))
		return;
	spin_lock(&ni->resv_lock);
	spin_lock(&q->lock);
	if (blocks > 0)
		used = min_t(u64, blocks, ni->quota_resv);
	nexus_quota_note_all(q, &ni->owner, ~0u, lsn, 0, blocks);
	nexus_quota_unreserve(q, &ni->owner, ni->quota_kinds, NEXUS_Q_BLOCKS,
			      used);
	ni->quota_resv -= used;
	spin_unlock(&q->lock);
	spin_unlock(&ni->resv_lock);
}

void nexus_quota_logged(struct nexus_inode *ni, u64 lsn)
{
	s64 sectors = (s64)ni->vfs.i_blocks - (s64)ni->counted;

	lockdep_assert_held(&ni->log_mutex);
	nexus_quota_change(ni, sectors / (NEXUS_BLOCK_SIZE / SECTOR_SIZE), lsn);
}

void nexus_quota_gone(struct nexus_inode *ni, u64 n, u64 lsn)
{
	lockdep_assert_held(&ni->log_mutex);
	nexus_quota_change(ni, -(s64)n, lsn);
}

/* ---- inodes -------------------------------------------------------------------------------- */

static int nexus_quota_new_try(struct nexus_inode *ni, unsigned int kinds)
{
	const u64 one[NEXUS_Q_WHAT] = { 1, 0 };
	enum nexus_quota_right right = NEXUS_QR_PLAIN;
	struct nexus_quota *q = ni->zone->quota;
	int err;

	do {
		spin_lock(&q->lock);
		err = nexus_quota_check(q, &ni->owner, kinds, one, right);
		if (!err)
			nexus_quota_reserve(q, &ni->owner, kinds, one);
		spin_unlock(&q->lock);
	} while (nexus_quota_again(err, &right));
	return err;
}

int nexus_quota_new(struct nexus_inode *ni)
{
	unsigned int kinds;
	int err;

	for (;;) {
		kinds = READ_ONCE(ni->zone->quota->kinds);
		if (likely(!kinds))
			return 0;
		err = nexus_quota_new_try(ni, kinds);
		if (err != -EAGAIN)
			break;
		err = nexus_quota_load(ni);
		if (err)
			return err;
	}
	if (!err)
		ni->quota_new = kinds;
	return err;
}

static void nexus_quota_new_end(struct nexus_inode *ni)
{
	struct nexus_quota *q = ni->zone->quota;

	if (!ni->quota_new)
		return;
	spin_lock(&q->lock);
	nexus_quota_unreserve(q, &ni->owner, ni->quota_new, NEXUS_Q_INODES, 1);
	spin_unlock(&q->lock);
	ni->quota_new = 0;
}

void nexus_quota_created(struct nexus_inode *ni, u64 lsn)
{
	struct nexus_quota *q = ni->zone->quota;

	if (!nexus_quota_active(q))
		return;
	spin_lock(&q->lock);
	nexus_quota_note_all(q, &ni->owner, ~0u, lsn, 1, 0);
	if (ni->quota_new)
		nexus_quota_unreserve(q, &ni->owner, ni->quota_new,
				      NEXUS_Q_INODES, 1);
	spin_unlock(&q->lock);
	ni->quota_new = 0;
}

void nexus_quota_forgotten(struct nexus_inode *ni, u64 lsn)
{
	struct nexus_quota *q = ni->zone->quota;

	if (!nexus_quota_active(q))
		return;
	spin_lock(&q->lock);
	nexus_quota_note_all(q, &ni->owner, ~0u, lsn, -1, -(s64)
			     (ni->counted / (NEXUS_BLOCK_SIZE / SECTOR_SIZE)));
	spin_unlock(&q->lock);
}

void nexus_quota_evict(struct nexus_inode *ni)
{
	nexus_quota_landed(ni);
	nexus_quota_new_end(ni);
}

/* ---- owners -------------------------------------------------------------------------------- */

/* Kinds in which the two differ, and the second counts. */
static unsigned int nexus_owner_differ(const struct nexus_owner *a,
				       const struct nexus_owner *b)
{
	unsigned int kind, kinds = 0;

	for (kind = 0; kind < NEXUS_QUOTA_LIMITED; kind++)
		if (nexus_owner_id(a, kind) != nexus_owner_id(b, kind))
			kinds |= BIT(kind);
	return nexus_owner_kinds(b, kinds);
}

int nexus_quota_move_begin(struct nexus_inode *ni, struct nexus_quota_move *mv)
{
	struct nexus_quota *q = ni->zone->quota;
	enum nexus_quota_right right = NEXUS_QR_PLAIN;
	unsigned int kinds = nexus_owner_differ(&ni->owner, &mv->to);
	u64 n[NEXUS_Q_WHAT] = { 1, 0 };
	int err;

	lockdep_assert_held(&ni->log_mutex);
	mv->kinds = 0;
	kinds &= READ_ONCE(q->kinds);
	if (likely(!kinds))
		return 0;
	n[NEXUS_Q_BLOCKS] = ni->counted / (NEXUS_BLOCK_SIZE / SECTOR_SIZE) +
			    READ_ONCE(ni->quota_resv);
	do {
		spin_lock(&q->lock);
		err = nexus_quota_check(q, &mv->to, kinds, n, right);
		if (!err)
			nexus_quota_reserve(q, &mv->to, kinds, n);
		spin_unlock(&q->lock);
	} while (nexus_quota_again(err, &right));
	if (!err) {
		mv->kinds = kinds;
		mv->blocks = n[NEXUS_Q_BLOCKS];
	}
	return err;
}

void nexus_quota_move_end(struct nexus_inode *ni, struct nexus_quota_move *mv,
			  u64 lsn)
{
	struct nexus_quota *q = ni->zone->quota;
	s64 blocks = ni->counted / (NEXUS_BLOCK_SIZE / SECTOR_SIZE);
	u64 held[NEXUS_Q_WHAT] = { 0 };
	struct nexus_owner from = ni->owner;

	lockdep_assert_held(&ni->log_mutex);
	spin_lock(&ni->resv_lock);
	spin_lock(&q->lock);
	nexus_quota_unreserve(q, &mv->to, mv->kinds, NEXUS_Q_INODES, 1);
	nexus_quota_unreserve(q, &mv->to, mv->kinds, NEXUS_Q_BLOCKS, mv->blocks);
	if (lsn && nexus_quota_active(q)) {
		nexus_quota_note_all(q, &from, nexus_owner_differ(&mv->to, &from),
				     lsn, -1, -blocks);
		nexus_quota_note_all(q, &mv->to,
				     nexus_owner_differ(&from, &mv->to), lsn, 1,
				     blocks);
	}
	if (lsn) {
		/* Where the new owner was not looked at, it is from the next one on. */
		held[NEXUS_Q_BLOCKS] = ni->quota_resv;
		nexus_quota_unreserve(q, &from, ni->quota_kinds, NEXUS_Q_BLOCKS,
				      ni->quota_resv);
		ni->owner = mv->to;
		ni->quota_kinds &= ~nexus_owner_differ(&from, &mv->to) | mv->kinds;
		nexus_quota_reserve(q, &ni->owner, ni->quota_kinds, held);
	}
	spin_unlock(&q->lock);
	spin_unlock(&ni->resv_lock);
}
