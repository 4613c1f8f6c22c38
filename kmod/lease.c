// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases: what the zone knows of them, and changing them.
 *
 * A value is what the index has (lib/lease.h).  It is replaced by another one under the
 * log_mutex of its inode, together with the record that says so, and inside of that under
 * nexus_leases.lock, which readers hold.  So the log mutex is enough to decide with.
 *
 * Time is the wall clock's when they are loaded and goes on with the machine's: who sets
 * the clock neither ends a lease nor prolongs it.  Where the clock is behind what the index
 * has seen of a lease, that one has a time of its own that is so much later.
 */
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "lease.h"

#define NEXUS_LEASE_RELOADS	8

u32 nexus_leases_max = 65536;

/* Of an inode that somebody has, or waits for, a lease on. */
struct nexus_lease_item {
	struct rb_node node;
	u64 ino;
	u64 ahead;		/* its time is so much later than the zone's */
	struct nexus_lease_val *val;	/* NULL: nobody has it */
	struct list_head waiters;	/* struct nexus_lease_waiter, in the order they came */
	u32 waiting;
};

struct nexus_leases {
	spinlock_t lock;	/* items and what they hold; inside of log mutexes; a leaf */
	struct rb_root items;	/* by inode number */
	u32 holders;		/* of all */
	u32 forgotten;		/* inodes that went, to find out while loading */
	u64 start;		/* the zone's time when the machine's was 0; set once */
	struct mutex load_mutex;
	bool loaded;
};

struct nexus_leases *nexus_leases_alloc(void)
{
	struct nexus_leases *ls = kzalloc(sizeof(*ls), GFP_KERNEL_ACCOUNT);

	if (!ls)
		return NULL;
	spin_lock_init(&ls->lock);
	mutex_init(&ls->load_mutex);
	ls->items = RB_ROOT;
	return ls;
}

static void nexus_lease_free(struct nexus_lease_item *item)
{
	if (!item)
		return;
	kvfree(item->val);
	kfree(item);
}

static void nexus_leases_drop(struct rb_root *root)
{
	struct nexus_lease_item *item, *next;

	rbtree_postorder_for_each_entry_safe(item, next, root, node)
		nexus_lease_free(item);
	*root = RB_ROOT;
}

void nexus_leases_free(struct nexus_leases *ls)
{
	if (ls)
		nexus_leases_drop(&ls->items);
	kfree(ls);
}

/* ---- items ---------------------------------------------------------------------- */

static int nexus_lease_cmp(const void *key, const struct rb_node *node)
{
	u64 ino = *(const u64 *)key, other = rb_entry(node, struct nexus_lease_item, node)->ino;

	return ino < other ? -1 : ino > other;
}

static int nexus_lease_cmp_node(struct rb_node *new, const struct rb_node *node)
{
	return nexus_lease_cmp(&rb_entry(new, struct nexus_lease_item, node)->ino, node);
}

/* lock held, as below. */
static struct nexus_lease_item *nexus_lease_find_item(struct nexus_leases *ls, u64 ino)
{
	struct rb_node *node = rb_find(&ino, &ls->items, nexus_lease_cmp);

	lockdep_assert_held(&ls->lock);
	return node ? rb_entry(node, struct nexus_lease_item, node) : NULL;
}

static struct nexus_lease_item *nexus_lease_from(struct nexus_leases *ls, u64 ino)
{
	struct rb_node *node = ls->items.rb_node;
	struct nexus_lease_item *item, *best = NULL;

	while (node) {
		item = rb_entry(node, struct nexus_lease_item, node);
		if (item->ino >= ino)
			best = item;
		node = item->ino >= ino ? node->rb_left : node->rb_right;
	}
	return best;
}

static struct nexus_lease_item *nexus_lease_new_item(u64 ino)
{
	struct nexus_lease_item *item = kzalloc(sizeof(*item), GFP_KERNEL_ACCOUNT);

	if (item) {
		item->ino = ino;
		INIT_LIST_HEAD(&item->waiters);
	}
	return item;
}

static u32 nexus_lease_count(const struct nexus_lease_val *val)
{
	return val ? le32_to_cpu(val->count) : 0;
}

/* The first in the queue is to look again. */
static void nexus_lease_kick(struct nexus_lease_item *item)
{
	struct nexus_lease_waiter *w;

	w = list_first_entry_or_null(&item->waiters, struct nexus_lease_waiter, node);
	if (!w)
		return;
	WRITE_ONCE(w->kicked, true);
	wake_up_process(w->task);
}

/* Out of the table if there is nothing to know of it; for nexus_lease_free(), or NULL. */
static struct nexus_lease_item *nexus_lease_trim(struct nexus_leases *ls,
						 struct nexus_lease_item *item)
{
	if (item->val || item->waiting)
		return NULL;
	rb_erase(&item->node, &ls->items);
	return item;
}

/* ---- time ------------------------------------------------------------------------- */

static u64 nexus_lease_time(const struct nexus_leases *ls)
{
	return ls->start + ktime_get_boottime_ns();
}

static u64 nexus_lease_time_of(const struct nexus_leases *ls,
			       const struct nexus_lease_item *item)
{
	return nexus_lease_time(ls) + (item ? item->ahead : 0);
}

/* ---- loading ---------------------------------------------------------------------- */

static int nexus_lease_loaded_one(struct nexus_leases *ls, struct rb_root *root,
				  const struct nexus_lease_ent *e, u32 *holders)
{
	struct nexus_lease_item *item = nexus_lease_new_item(e->ino);
	size_t len = e->reclen - sizeof(*e);
	u64 now = nexus_lease_time(ls);

	if (!item)
		return -ENOMEM;
	item->val = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!item->val) {
		kfree(item);
		return -ENOMEM;
	}
	memcpy(item->val, e->val, len);
	if (le64_to_cpu(item->val->now) > now)
		item->ahead = le64_to_cpu(item->val->now) - now;
	*holders += nexus_lease_count(item->val);
	/* In ascending order: nexus_reply_check() has seen to it. */
	rb_find_add(&item->node, root, nexus_lease_cmp_node);
	return 0;
}

/* What the helper says must not be taken for what we say. */
static int nexus_lease_helpers(int err)
{
	switch (err) {
	case -EINTR:
	case -ENOTCONN:
	case -ENOMEM:
	case -EUCLEAN:
		return err;
	}
	return -EIO;
}

static int nexus_leases_ask(struct nexus_zone *zone, struct rb_root *root, u32 *holders)
{
	const struct nexus_lease_ent *e;
	u64 applied, from = 0;
	int n, err = 0;
	void *buf;

	buf = kvmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	do {
		n = nexus_ms_read(zone, NEXUS_OP_LEASES, from, 0, 0, NULL, 0,
				  nexus_log_tail(zone), buf, NEXUS_REPLY_DATA_MAX,
				  &applied);
		if (n < 0)
			err = nexus_lease_helpers(n);
		else if (fatal_signal_pending(current))
			err = -EINTR;
		for (e = buf; !err && (void *)e < buf + n; e = (void *)e + e->reclen) {
			from = e->ino + 1;
			err = nexus_lease_loaded_one(zone->leases, root, e, holders);
			if (!err && *holders > nexus_leases_max) {
				nexus_err(zone, "the helper tells of more than %u leases",
					  nexus_leases_max);
				err = -EIO;
			}
		}
	} while (!err && n > 0);
	kvfree(buf);
	return err;
}

/*
 * load_mutex held.  Nobody changes a lease before they are loaded, but inodes may go; if
 * they go on going, one that went may stay until the unmount, which harms nobody.
 */
static int nexus_leases_load_all(struct nexus_zone *zone)
{
	struct nexus_leases *ls = zone->leases;
	u64 real = ktime_get_real_ns(), boot = ktime_get_boottime_ns();
	unsigned int tries = 0;
	bool done = false;
	int err;

	ls->start = real > boot ? real - boot : 0;
	do {
		struct rb_root root = RB_ROOT;
		u32 holders = 0, gone;

		spin_lock(&ls->lock);
		gone = ls->forgotten;
		spin_unlock(&ls->lock);
		err = nexus_leases_ask(zone, &root, &holders);
		spin_lock(&ls->lock);
		done = !err && (gone == ls->forgotten || ++tries == NEXUS_LEASE_RELOADS);
		if (done) {
			swap(ls->items, root);
			ls->holders = holders;
			/* Pairs with nexus_leases_load(). */
			smp_store_release(&ls->loaded, true);
		}
		spin_unlock(&ls->lock);
		nexus_leases_drop(&root);
	} while (!err && !done);
	return err;
}

int nexus_leases_load(struct nexus_zone *zone)
{
	struct nexus_leases *ls = zone->leases;
	int err = 0;

	if (!(zone->features & NEXUS_INCOMPAT_LEASES))
		return -EOPNOTSUPP;
	/* Pairs with nexus_leases_load_all(). */
	if (smp_load_acquire(&ls->loaded))
		return 0;
	if (mutex_lock_killable(&ls->load_mutex))
		return -EINTR;
	if (!ls->loaded)
		err = nexus_leases_load_all(zone);
	mutex_unlock(&ls->load_mutex);
	return err;
}

void nexus_lease_forgotten(struct nexus_zone *zone, u64 ino)
{
	struct nexus_leases *ls = zone->leases;
	struct nexus_lease_item *item;

	spin_lock(&ls->lock);
	ls->forgotten++;
	item = nexus_lease_find_item(ls, ino);
	if (item) {
		/* Who waits has the file open. */
		ls->holders -= nexus_lease_count(item->val);
		rb_erase(&item->node, &ls->items);
	}
	spin_unlock(&ls->lock);
	nexus_lease_free(item);
}

/* ---- looking ---------------------------------------------------------------------- */

/* lock held: into @buf, which has room for any; NULL: nobody has it. */
static struct nexus_lease_val *nexus_lease_read(const struct nexus_lease_item *item,
						struct nexus_lease_val *buf)
{
	if (!item || !item->val)
		return NULL;
	memcpy(buf, item->val, nexus_lease_size(nexus_lease_count(item->val)));
	return buf;
}

struct nexus_lease_val *nexus_lease_copy(struct inode *inode, u32 *waiting, u64 *now)
{
	struct nexus_leases *ls = NEXUS_I(inode)->zone->leases;
	struct nexus_lease_val *buf, *val;
	struct nexus_lease_item *item;

	buf = kvmalloc(nexus_lease_size(NEXUS_LEASE_HOLDERS_MAX), GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	spin_lock(&ls->lock);
	item = nexus_lease_find_item(ls, inode->i_ino);
	val = nexus_lease_read(item, buf);
	*waiting = item ? item->waiting : 0;
	*now = nexus_lease_time_of(ls, item);
	spin_unlock(&ls->lock);
	if (!val)
		kvfree(buf);
	return val;
}

struct nexus_lease_val *nexus_leases_next(struct nexus_zone *zone, u64 *ino, u64 *now)
{
	struct nexus_leases *ls = zone->leases;
	struct nexus_lease_val *buf, *val = NULL;
	struct nexus_lease_item *item;

	buf = kvmalloc(nexus_lease_size(NEXUS_LEASE_HOLDERS_MAX), GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	spin_lock(&ls->lock);
	while (!val) {
		item = nexus_lease_from(ls, *ino);
		if (!item)
			break;
		val = nexus_lease_read(item, buf);
		*ino = item->ino + !val;
		*now = nexus_lease_time_of(ls, item);
	}
	spin_unlock(&ls->lock);
	if (!val)
		kvfree(buf);
	return val;
}

/* ---- changing --------------------------------------------------------------------- */

static void nexus_lease_record(struct nexus_rec_lease *rec, u64 ino,
			       const struct nexus_lease_req *rq, u64 now)
{
	struct nexus_time ts;

	ts.s = div_u64_rem(now, NSEC_PER_SEC, &ts.ns);
	memset(rec, 0, sizeof(*rec));
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_LEASE, 0, ts);
	rec->ino = cpu_to_le64(ino);
	rec->op = cpu_to_le32(rq->op);
	rec->max_holders = cpu_to_le32(rq->max_holders);
	if (rq->ttl)
		rec->expires = cpu_to_le64(now + rq->ttl);
	memcpy(rec->id, rq->id, sizeof(rec->id));
	memcpy(rec->name, rq->name, sizeof(rec->name));
}

/* Whether somebody comes first who has waited longer. */
static bool nexus_lease_queued(const struct nexus_lease_item *item,
			       const struct nexus_lease_req *rq)
{
	return rq->op == NEXUS_LEASE_TAKE && item && !list_empty(&item->waiters) &&
	       (!rq->w || !list_is_first(&rq->w->node, &item->waiters));
}

/* log_mutex held; @spare becomes the item if there is none. */
static void nexus_lease_wait(struct nexus_leases *ls, struct nexus_lease_req *rq, u64 ino,
			     struct nexus_lease_item **spare)
{
	struct nexus_lease_item *item;
	u64 now, next;

	spin_lock(&ls->lock);
	item = nexus_lease_find_item(ls, ino);
	if (!item) {
		item = *spare;
		*spare = NULL;
		rb_find_add(&item->node, &ls->items, nexus_lease_cmp_node);
	}
	if (list_empty(&rq->w->node)) {
		list_add_tail(&rq->w->node, &item->waiters);
		item->waiting++;
		/* Who kept it back may have left the queue since, and kicked nobody. */
		rq->w->kicked = true;
	}
	rq->left = U64_MAX;
	if (list_is_first(&rq->w->node, &item->waiters)) {
		now = nexus_lease_time_of(ls, item);
		nexus_lease_live(item->val, now, &next);
		if (next != U64_MAX)
			rq->left = next - now;
	}
	spin_unlock(&ls->lock);
}

/* log_mutex held: @new, of @len bytes, is what there is now; *@old: what was. */
static void nexus_lease_install(struct nexus_leases *ls, u64 ino, struct nexus_lease_val *new,
				struct nexus_lease_item **spare, struct nexus_lease_val **old)
{
	struct nexus_lease_item *item, *gone = NULL;

	spin_lock(&ls->lock);
	item = nexus_lease_find_item(ls, ino);
	if (!item && new) {
		item = *spare;
		*spare = NULL;
		rb_find_add(&item->node, &ls->items, nexus_lease_cmp_node);
	}
	if (item) {
		*old = item->val;
		ls->holders += nexus_lease_count(new) - nexus_lease_count(*old);
		item->val = new;
		nexus_lease_kick(item);
		gone = nexus_lease_trim(ls, item);
	}
	spin_unlock(&ls->lock);
	nexus_lease_free(gone);
}

/* log_mutex held, room for the record. */
static int nexus_lease_commit(struct inode *inode, struct nexus_lease_req *rq,
			      struct nexus_resv *resv, struct nexus_lease_item **spare)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_leases *ls = ni->zone->leases;
	struct nexus_lease_val *old, *new = NULL;
	struct nexus_lease_item *item;
	struct nexus_rec_lease rec;
	bool queued, full;
	int len, at;
	u64 now;

	spin_lock(&ls->lock);
	item = nexus_lease_find_item(ls, inode->i_ino);
	old = item ? item->val : NULL;
	now = nexus_lease_time_of(ls, item);
	queued = nexus_lease_queued(item, rq);
	full = ls->holders >= nexus_leases_max;
	spin_unlock(&ls->lock);

	/* @old stays what it is: only who has the log_mutex changes it. */
	if (now > NEXUS_LEASE_TIME_MAX - 2 * NEXUS_LEASE_TTL_MAX * NSEC_PER_SEC)
		return -EOVERFLOW;
	new = kvmalloc(nexus_lease_room(old), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	nexus_lease_record(&rec, inode->i_ino, rq, now);
	len = nexus_lease_step(&rec, old, new);
	if (len >= 0 && queued && nexus_lease_find(old, rq->id, now) < 0)
		len = -EAGAIN;
	if (len >= 0 && full && len && nexus_lease_count(new) > nexus_lease_count(old))
		len = -ENOLCK;
	if (len >= 0)
		len = nexus_mutate(ni->zone, resv, &rec.head, &rq->lsn);
	if (len < 0) {
		kvfree(new);
		return len;
	}
	/* Once more: now it has its LSN, and with it the token. */
	len = nexus_lease_step(&rec, old, new);
	at = len > 0 ? nexus_lease_find(new, rq->id, now) : -1;
	if (at >= 0) {
		rq->token = le64_to_cpu(new->holder[at].token);
		rq->expires = le64_to_cpu(new->holder[at].expires);
	}
	if (len <= 0) {
		kvfree(new);
		new = NULL;
	}
	old = NULL;
	nexus_lease_install(ls, inode->i_ino, new, spare, &old);
	nexus_inode_logged(ni, rq->lsn);
	kvfree(old);
	return 0;
}

int nexus_lease_change(struct inode *inode, struct nexus_lease_req *rq)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	bool less = rq->op != NEXUS_LEASE_TAKE && rq->op != NEXUS_LEASE_EXTEND;
	struct nexus_lease_item *spare;
	struct nexus_resv resv = {};
	unsigned int nofs;
	int err;

	spare = nexus_lease_new_item(inode->i_ino);
	if (!spare)
		return -ENOMEM;
	err = nexus_log_reserve(ni->zone, &resv, sizeof(struct nexus_rec_lease),
				less ? NEXUS_RESV_DELETE : 0);
	if (err)
		goto out;
	/* Eviction takes log mutexes, too. */
	nofs = memalloc_nofs_save();
	mutex_lock(&ni->log_mutex);
	err = nexus_lease_commit(inode, rq, &resv, &spare);
	if (err == -EAGAIN && rq->w)
		nexus_lease_wait(ni->zone->leases, rq, inode->i_ino, &spare);
	mutex_unlock(&ni->log_mutex);
	memalloc_nofs_restore(nofs);
	nexus_log_unreserve(&resv);
out:
	nexus_lease_free(spare);
	return err;
}

void nexus_lease_leave(struct inode *inode, struct nexus_lease_waiter *w)
{
	struct nexus_leases *ls = NEXUS_I(inode)->zone->leases;
	struct nexus_lease_item *item, *gone = NULL;
	bool first;

	spin_lock(&ls->lock);
	if (!list_empty(&w->node)) {
		item = nexus_lease_find_item(ls, inode->i_ino);
		first = list_is_first(&w->node, &item->waiters);
		list_del_init(&w->node);
		item->waiting--;
		if (first)
			nexus_lease_kick(item);
		gone = nexus_lease_trim(ls, item);
	}
	spin_unlock(&ls->lock);
	nexus_lease_free(gone);
}

/* ---- what is over ------------------------------------------------------------------- */

int nexus_leases_sweep(struct super_block *sb)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	struct nexus_lease_req rq = { .op = NEXUS_LEASE_PRUNE };
	struct nexus_lease_val *val;
	struct inode *inode;
	u64 ino, now, next;
	bool over;
	int err = 0;

	for (ino = 0; !err; ino++) {
		val = nexus_leases_next(zone, &ino, &now);
		if (IS_ERR_OR_NULL(val))
			return PTR_ERR_OR_ZERO(val);
		over = nexus_lease_live(val, now, &next) < nexus_lease_count(val);
		kvfree(val);
		if (!over)
			continue;
		inode = nexus_iget(sb, ino);
		if (IS_ERR(inode)) {
			/* It went while they were loaded. */
			err = PTR_ERR(inode);
			if (err == -ENOENT || err == -ESTALE)
				err = 0;
			continue;
		}
		err = nexus_lease_change(inode, &rq);
		iput(inode);
		cond_resched();
	}
	return err;
}
