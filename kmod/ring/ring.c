// SPDX-License-Identifier: GPL-2.0-only
/* Rings: their memory, who pays for it, and how long it stays. */
#include <linux/capability.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "ring.h"

static uint nexus_ring_max = 1u << 20;
module_param_named(ring_max, nexus_ring_max, uint, 0644);
MODULE_PARM_DESC(ring_max, "bytes of payload a ring may be made for without CAP_SYS_RESOURCE (default 1 MiB)");

static ulong nexus_ring_user_max = 64ul << 20;
module_param_named(ring_user_max, nexus_ring_user_max, ulong, 0644);
MODULE_PARM_DESC(ring_user_max, "bytes of memory the rings of one owner may have (default 64 MiB, 0: no limit)");

int nexus_ring_capacity_ok(u64 capacity)
{
	if (!capacity || capacity > NEXUS_RING_CAPACITY_MAX)
		return -EINVAL;
	if (capacity > READ_ONCE(nexus_ring_max) && !capable(CAP_SYS_RESOURCE))
		return -EPERM;
	return 0;
}

void nexus_ring_set(struct inode *inode, u64 capacity)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	ni->iflags |= NEXUS_IF_RING;
	put_unaligned_le64(capacity, ni->target);
	nexus_set_ops(inode);
}

/* ---- who pays ----------------------------------------------------------------- */

/* Memory of the rings of one owner, on every mount. */
struct nexus_ring_user {
	struct hlist_node node;
	kuid_t	uid;
	u64	bytes;
};

static DEFINE_MUTEX(nexus_ring_users_lock);
static DEFINE_HASHTABLE(nexus_ring_users, 6);

static struct nexus_ring_user *nexus_ring_find_user(kuid_t uid)
{
	struct nexus_ring_user *u;

	hash_for_each_possible(nexus_ring_users, u, node, __kuid_val(uid))
		if (uid_eq(u->uid, uid))
			return u;
	return NULL;
}

struct nexus_ring_user *nexus_ring_charge(kuid_t uid, u64 bytes)
{
	u64 max = READ_ONCE(nexus_ring_user_max);
	struct nexus_ring_user *u;

	mutex_lock(&nexus_ring_users_lock);
	u = nexus_ring_find_user(uid);
	if (max && (u ? u->bytes : 0) + bytes > max && !capable(CAP_SYS_RESOURCE)) {
		u = ERR_PTR(-EDQUOT);
		goto out;
	}
	if (!u) {
		u = kzalloc(sizeof(*u), GFP_KERNEL_ACCOUNT);
		if (!u) {
			u = ERR_PTR(-ENOMEM);
			goto out;
		}
		u->uid = uid;
		hash_add(nexus_ring_users, &u->node, __kuid_val(uid));
	}
	u->bytes += bytes;
out:
	mutex_unlock(&nexus_ring_users_lock);
	return u;
}

void nexus_ring_uncharge(struct nexus_ring_user *u, u64 bytes)
{
	mutex_lock(&nexus_ring_users_lock);
	u->bytes -= bytes;
	if (!u->bytes) {
		hash_del(&u->node);
		kfree(u);
	}
	mutex_unlock(&nexus_ring_users_lock);
}

/* ---- memory --------------------------------------------------------------------- */

static void nexus_ring_side_init(struct nexus_ring_side *side, u64 avail, bool drain,
				 int err)
{
	NEXUS_WAKES(wakes);

	nexus_credit_init(&side->credit, avail, drain);
	/* Nobody is on the other side yet. */
	nexus_credit_break(&side->credit, err, &wakes);
	init_waitqueue_head(&side->poll);
}

static struct nexus_ring *nexus_ring_alloc(struct inode *inode, u32 capacity)
{
	struct nexus_ring *ring;
	int err = -ENOMEM;

	ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	ring->capacity = capacity;
	ring->size = PAGE_ALIGN(nexus_ringbuf_size(capacity));
	ring->user = nexus_ring_charge(inode->i_uid, ring->size);
	if (IS_ERR(ring->user)) {
		err = PTR_ERR(ring->user);
		goto out_free;
	}
	ring->data = __vmalloc(ring->size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->data)
		goto out_uncharge;
	mutex_init(&ring->open_mutex);
	init_waitqueue_head(&ring->open_wait);
	/* Classes of their own: who takes both takes that of @recv first. */
	nexus_mutex_init(&ring->recv.credit.lock);
	nexus_mutex_init(&ring->send.credit.lock);
	nexus_ring_side_init(&ring->send, capacity, false, -EPIPE);
	nexus_ring_side_init(&ring->recv, 0, true, -ENODATA);
	ring->zone = NEXUS_I(inode)->zone;
	ring->ino = inode->i_ino;
	nexus_ring_count_begin(ring);
	return ring;

out_uncharge:
	nexus_ring_uncharge(ring->user, ring->size);
out_free:
	kfree(ring);
	return ERR_PTR(err);
}

static void nexus_ring_free(struct nexus_ring *ring)
{
	nexus_ring_count_end(ring);
	vfree(ring->data);
	nexus_ring_uncharge(ring->user, ring->size);
	kfree(ring);
}

/* Moves what was sent into memory of another size; both mutexes. */
static void nexus_ring_move(struct nexus_ring *ring, u8 *data, u32 size, u32 used)
{
	struct nexus_ringbuf_span s;

	nexus_ringbuf_span(ring->size, ring->recv.pos, used, &s);
	memcpy(data, ring->data + s.off[0], s.len[0]);
	memcpy(data + s.len[0], ring->data + s.off[1], s.len[1]);
	ring->recv.pos = 0;
	ring->send.pos = nexus_ringbuf_next(size, 0, used);
	swap(ring->data, data);
	ring->size = size;
	vfree(data);
}

/* Bytes of the circle that have messages; both mutexes. */
static u32 nexus_ring_used(const struct nexus_ring *ring)
{
	u32 from = ring->recv.pos, to = ring->send.pos;

	if (from == to)
		return ring->send.count == ring->recv.count ? 0 : ring->size;
	return to > from ? to - from : ring->size - from + to;
}

/* Both mutexes: whoever is about to send has got credit, or waits, or sees the new capacity. */
static int nexus_ring_take_capacity(struct nexus_ring *ring, u32 capacity,
				    nexus_wakes *wakes)
{
	u32 old = ring->capacity;
	int err = 0;

	if (capacity < old)
		err = nexus_credit_shrink(&ring->send.credit, old - capacity);
	if (err)
		return err;
	WRITE_ONCE(ring->capacity, capacity);
	if (capacity > old)
		nexus_credit_return(&ring->send.credit, capacity - old, wakes);
	return 0;
}

int nexus_ring_resize(struct nexus_ring *ring, u32 capacity)
{
	u32 size = PAGE_ALIGN(nexus_ringbuf_size(capacity)), old_size;
	struct nexus_ring_user *user;
	nexus_wakes wakes = { .n = 0 };
	int err = -ENOMEM;
	u8 *data;

	/* Paid for by who pays already. */
	user = nexus_ring_charge(ring->user->uid, size);
	if (IS_ERR(user))
		return PTR_ERR(user);
	data = __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!data)
		goto out_uncharge;
	mutex_lock(&ring->open_mutex);
	nexus_ring_lock(ring);
	old_size = ring->size;
	err = nexus_ring_take_capacity(ring, capacity, &wakes);
	if (!err)
		nexus_ring_move(ring, data, size, nexus_ring_used(ring));
	nexus_ring_unlock(ring);
	mutex_unlock(&ring->open_mutex);
	nexus_ring_wake(&ring->send, &wakes, POLL_OUT);
	if (err)
		goto out_free;
	nexus_ring_uncharge(user, old_size);
	return 0;

out_free:
	vfree(data);
out_uncharge:
	nexus_ring_uncharge(user, size);
	return err;
}

bool nexus_ring_empty(const struct nexus_ring *ring)
{
	return READ_ONCE(ring->send.count) == READ_ONCE(ring->recv.count);
}

/* ---- how long it stays ------------------------------------------------------------ */

struct nexus_ring *nexus_ring_get(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 capacity = get_unaligned_le64(ni->target);
	struct xarray *rings = &ni->zone->rings;
	struct nexus_ring *ring;
	int err;

	if (!capacity || capacity > NEXUS_RING_CAPACITY_MAX) {
		nexus_err(ni->zone, "inode %llu: a ring of %llu bytes",
			  (u64)inode->i_ino, capacity);
		return ERR_PTR(-EUCLEAN);
	}
	/* Held for an allocation at most. */
	mutex_lock(&ni->load_mutex);
	ring = xa_load(rings, inode->i_ino);
	if (!ring) {
		ring = nexus_ring_alloc(inode, capacity);
		if (IS_ERR(ring))
			goto out;
		err = xa_err(xa_store(rings, inode->i_ino, ring, GFP_KERNEL_ACCOUNT));
		if (err) {
			nexus_ring_free(ring);
			ring = ERR_PTR(err);
			goto out;
		}
	}
	ring->users++;
out:
	mutex_unlock(&ni->load_mutex);
	return ring;
}

struct nexus_ring *nexus_ring_find(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_ring *ring;

	mutex_lock(&ni->load_mutex);
	ring = xa_load(&ni->zone->rings, inode->i_ino);
	if (ring)
		ring->users++;
	mutex_unlock(&ni->load_mutex);
	return ring;
}

void nexus_ring_put(struct inode *inode, struct nexus_ring *ring)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	mutex_lock(&ni->load_mutex);
	if (!--ring->users) {
		ring->closed = false;
		if (nexus_ring_empty(ring)) {
			xa_erase(&ni->zone->rings, inode->i_ino);
			nexus_ring_free(ring);
		}
	}
	mutex_unlock(&ni->load_mutex);
}

void nexus_ring_evict(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_ring *ring;

	/* With a name it comes back, and what was sent is there. */
	if (inode->i_nlink)
		return;
	ring = xa_erase(&ni->zone->rings, inode->i_ino);
	if (ring)
		nexus_ring_free(ring);
}

void nexus_rings_free(struct nexus_zone *zone)
{
	struct nexus_ring *ring;
	unsigned long ino;

	xa_for_each(&zone->rings, ino, ring)
		nexus_ring_free(ring);
	xa_destroy(&zone->rings);
}
