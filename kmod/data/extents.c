// SPDX-License-Identifier: GPL-2.0-only
/*
 * The extent map of a file in memory.
 *
 * It is known either wholly (NEXUS_I_EXTENTS) or not at all, and always known
 * before the file gets dirty folios or is cut: so the kernel's map is right from
 * then on, whatever the helper has applied.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "data.h"

/* Blocks of 512 bytes in i_blocks, as stat(2) counts. */
static void nexus_count_blocks(struct inode *inode, u64 added, u64 freed)
{
	if (added > freed)
		inode_add_bytes(inode, (added - freed) << NEXUS_BLOCK_SHIFT);
	else if (freed > added)
		inode_sub_bytes(inode, (freed - added) << NEXUS_BLOCK_SHIFT);
}

void nexus_data_new(struct inode *inode)
{
	set_bit(NEXUS_I_EXTENTS, &NEXUS_I(inode)->state);
	set_bit(NEXUS_I_PACKS, &NEXUS_I(inode)->state);
}

/* Adds extents of a checked reply to @map. */
static int nexus_map_fill(struct nexus_extmap *map,
			  const struct nexus_extent *ext, u32 n)
{
	struct nexus_ext e;
	u64 freed;
	int err;
	u32 i;

	for (i = 0; i < n; i++) {
		err = nexus_extmap_reserve(map, 1);
		if (err)
			return err;
		e.fblock = ext[i].offset >> NEXUS_BLOCK_SHIFT;
		e.pack = ext[i].pack;
		e.block = ext[i].block;
		e.nblocks = ext[i].nblocks;
		e.flags = ext[i].flags;
		nexus_extmap_insert(map, &e, &freed);
	}
	return 0;
}

int nexus_data_prime(struct inode *inode, const struct nexus_extent *ext,
		     u32 n, bool all, const void *content, u32 len)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_extmap *map;
	int err;

	if (ni->iflags & NEXUS_IF_INLINE && inode->i_blocks) {
		nexus_err(ni->zone, "inode %llu: body both inline and in extents; run fsck.nexusfs --repair",
			  (u64)inode->i_ino);
		return -EUCLEAN;
	}
	/* The first few of many are of no use: a map is known wholly or not. */
	if (!all || (ni->iflags & NEXUS_IF_INLINE && !len))
		return 0;
	if (len) {
		err = nexus_inline_prime(inode, content, len);
		if (err)
			return err;
	}
	if (n) {
		map = nexus_extmap_new();
		if (!map)
			return -ENOMEM;
		err = nexus_map_fill(map, ext, n);
		if (err) {
			nexus_extmap_free(map);
			return err;
		}
		ni->map = map;
		nexus_mapped_add(ni);
	}
	set_bit(NEXUS_I_EXTENTS, &ni->state);
	return 0;
}

/* ---- loading -------------------------------------------------------------- */

static int nexus_extents_read(struct inode *inode, struct nexus_extmap *map,
			      u64 data_id, void *buf)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	const struct nexus_extents_reply *r = buf;
	u64 offset = 0, applied;
	int ret, err;

	for (;;) {
		ret = nexus_ms_read(ni->zone, NEXUS_OP_EXTENTS, inode->i_ino,
				    data_id, offset, NULL, 0,
				    READ_ONCE(ni->last_lsn), buf,
				    NEXUS_REPLY_DATA_MAX, &applied);
		if (ret < 0)
			return ret;
		if (ret < sizeof(*r) || struct_size(r, extent, r->count) > ret)
			return -EIO;
		err = nexus_map_fill(map, r->extent, r->count);
		if (err)
			return err;
		if (r->flags & NEXUS_XR_END)
			return 0;
		if (r->next_offset <= offset)
			return -EIO;
		offset = r->next_offset;
	}
}

/* Makes @map the inode's unless the body was replaced meanwhile. */
static void nexus_extents_publish(struct nexus_inode *ni, u64 data_id,
				  struct nexus_extmap *map)
{
	mutex_lock(&ni->log_mutex);
	if (ni->data_id == data_id && !test_bit(NEXUS_I_EXTENTS, &ni->state)) {
		down_write(&ni->map_sem);
		swap(ni->map, map);
		up_write(&ni->map_sem);
		nexus_mapped_add(ni);
		/* Whoever sees the bit sees the map. */
		smp_mb__before_atomic();
		set_bit(NEXUS_I_EXTENTS, &ni->state);
	}
	mutex_unlock(&ni->log_mutex);
	nexus_extmap_free(map);
}

static int nexus_extents_load_once(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 data_id = READ_ONCE(ni->data_id);
	struct nexus_extmap *map;
	void *buf;
	int err;

	/* Then there are no extents. */
	if (READ_ONCE(ni->iflags) & NEXUS_IF_INLINE)
		return nexus_inline_load(inode);
	map = nexus_extmap_new();
	buf = kvmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL_ACCOUNT);
	err = map && buf ? nexus_extents_read(inode, map, data_id, buf) :
			   -ENOMEM;
	kvfree(buf);
	if (err) {
		nexus_extmap_free(map);
		return err;
	}
	nexus_extents_publish(ni, data_id, map);
	return 0;
}

void nexus_data_learn(struct inode *inode, const struct nexus_entry_reply *er,
		      u64 applied)
{
	const struct nexus_extent *ext = (const void *)(er + 1);
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_extmap *map;

	if (!S_ISREG(inode->i_mode) || !(er->flags & NEXUS_ER_EXTENTS_ALL) ||
	    test_bit(NEXUS_I_EXTENTS, &ni->state))
		return;
	/*
	 * Content that is not known does not change but by getting another data
	 * id; so what is no older than the inode is right.
	 */
	if (applied < READ_ONCE(ni->last_lsn) ||
	    (er->attr.flags ^ READ_ONCE(ni->iflags)) & NEXUS_IF_INLINE)
		return;
	if (er->attr.flags & NEXUS_IF_INLINE) {
		if (er->content_len)
			nexus_inline_learn(inode, er->attr.data_id,
					   ext + er->nextents, er->content_len);
		return;
	}
	map = nexus_extmap_new();
	if (!map)
		return;
	if (nexus_map_fill(map, ext, er->nextents))
		nexus_extmap_free(map);
	else
		nexus_extents_publish(ni, er->attr.data_id, map);
}

int nexus_extents_load(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	unsigned int nofs;
	int err = 0;

	if (test_bit_acquire(NEXUS_I_EXTENTS, &ni->state))
		return 0;
	if (mutex_lock_killable(&ni->load_mutex))
		return -EINTR;
	/* Readers hold folio locks here. */
	nofs = memalloc_nofs_save();
	nexus_content_ahead(inode);
	/* Not taken over: truncated to nothing, and then it is known. */
	while (!err && !test_bit_acquire(NEXUS_I_EXTENTS, &ni->state))
		err = nexus_extents_load_once(inode);
	memalloc_nofs_restore(nofs);
	mutex_unlock(&ni->load_mutex);
	return err;
}

/* ---- packs of the map ----------------------------------------------------------- */

/* So many extents are looked through to see that all packs are open. */
#define NEXUS_PACKS_LOOK	64u

/* Without @ask only -EAGAIN for the first pack that is not open. */
static int nexus_packs_open(struct nexus_inode *ni, u64 fblock, u64 end,
			    bool ask)
{
	struct nexus_pack *pack;
	struct nexus_ext e;
	u64 last = 0;

	while (fblock < end && nexus_map_next(ni, fblock, &e) &&
	       e.fblock < end) {
		/* What is unwritten is in none. */
		if (e.pack && e.pack != last) {
			pack = ask ? nexus_packs_get(ni->zone, e.pack) :
				     nexus_packs_find(ni->zone, e.pack);
			if (!pack)
				return -EAGAIN;
			if (IS_ERR(pack))
				return PTR_ERR(pack);
			nexus_pack_put(pack);
			last = e.pack;
		}
		fblock = e.fblock + e.nblocks;
	}
	return 0;
}

static bool nexus_map_small(struct nexus_inode *ni)
{
	bool small;

	down_read(&ni->map_sem);
	small = !ni->map || nexus_extmap_count(ni->map) <= NEXUS_PACKS_LOOK;
	up_read(&ni->map_sem);
	return small;
}

int nexus_content_load(struct inode *inode, loff_t pos, size_t len)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 end, gen;
	int err;

	err = nexus_extents_load(inode);
	if (err || test_bit(NEXUS_I_PACKS, &ni->state))
		return err;
	gen = READ_ONCE(ni->gen);
	end = min_t(u64, (u64)pos + len, inode->i_sb->s_maxbytes);
	err = nexus_packs_open(ni, pos >> NEXUS_BLOCK_SHIFT,
			       DIV_ROUND_UP_ULL(end, NEXUS_BLOCK_SIZE), true);
	/* What is written from now on is in packs of ours. */
	if (!err && nexus_map_small(ni) &&
	    !nexus_packs_open(ni, 0, U64_MAX, false)) {
		set_bit(NEXUS_I_PACKS, &ni->state);
		/*
		 * A clone, which may be in others, changes map and gen before it
		 * clears the bit; the barrier pairs with that of
		 * nexus_clone_commit().
		 */
		smp_mb__after_atomic();
		if (READ_ONCE(ni->gen) != gen)
			clear_bit(NEXUS_I_PACKS, &ni->state);
	}
	return err;
}

int nexus_content_reload(struct inode *inode, loff_t pos, size_t len)
{
	clear_bit(NEXUS_I_PACKS, &NEXUS_I(inode)->state);
	return nexus_content_load(inode, pos, len);
}

/* ---- changes ------------------------------------------------------------------- */

int nexus_map_prepare(struct nexus_inode *ni, u32 n)
{
	unsigned int nofs = memalloc_nofs_save();
	int err = 0;

	down_write(&ni->map_sem);
	if (!ni->map)
		ni->map = nexus_extmap_new();
	if (ni->map)
		err = nexus_extmap_reserve(ni->map, ni->map_changes + n);
	else
		err = -ENOMEM;
	if (!err)
		ni->map_changes += n;
	up_write(&ni->map_sem);
	memalloc_nofs_restore(nofs);
	if (!err)
		nexus_mapped_add(ni);
	return err;
}

void nexus_map_unprepare(struct nexus_inode *ni, u32 n)
{
	down_write(&ni->map_sem);
	ni->map_changes -= n;
	up_write(&ni->map_sem);
}

/*
 * After a change of the map, map_sem held: the inode's count of unwritten blocks.
 * Those that are none any more were promised something; new ones were promised
 * it before.
 */
static void nexus_count_unwritten(struct nexus_inode *ni)
{
	u64 now = nexus_extmap_unwritten(ni->map);

	if (now < ni->unwritten)
		nexus_packs_unpromise(ni->zone, ni->unwritten - now);
	WRITE_ONCE(ni->unwritten, now);
}

void nexus_map_insert(struct nexus_inode *ni, u64 fblock, u64 pack, u32 block,
		      u32 nblocks, u32 flags)
{
	struct nexus_ext e = {
		.fblock = fblock,
		.pack = pack,
		.block = block,
		.nblocks = nblocks,
		.flags = flags,
	};
	u64 freed = 0;

	lockdep_assert_held(&ni->log_mutex);
	down_write(&ni->map_sem);
	nexus_extmap_insert(ni->map, &e, &freed);
	ni->map_changes--;
	nexus_count_unwritten(ni);
	up_write(&ni->map_sem);
	nexus_count_blocks(&ni->vfs, nblocks, freed);
}

void nexus_map_replace(struct nexus_inode *ni, u64 fblock, u64 n,
		       const struct nexus_ext *ext, u32 nr)
{
	u64 added = 0, gone = 0, freed;
	u32 i;

	lockdep_assert_held(&ni->log_mutex);
	down_write(&ni->map_sem);
	if (n) {
		nexus_extmap_punch(ni->map, fblock, n, &gone);
		ni->map_changes--;
	}
	for (i = 0; i < nr; i++) {
		nexus_extmap_insert(ni->map, &ext[i], &freed);
		added += ext[i].nblocks;
		gone += freed;
	}
	ni->map_changes -= nr;
	nexus_count_unwritten(ni);
	up_write(&ni->map_sem);
	nexus_count_blocks(&ni->vfs, added, gone);
}

void nexus_map_punch(struct nexus_inode *ni, u64 fblock, u64 n)
{
	u64 freed = 0;

	lockdep_assert_held(&ni->log_mutex);
	down_write(&ni->map_sem);
	nexus_extmap_punch(ni->map, fblock, n, &freed);
	ni->map_changes--;
	nexus_count_unwritten(ni);
	up_write(&ni->map_sem);
	nexus_count_blocks(&ni->vfs, 0, freed);
}

void nexus_map_unwrite(struct nexus_inode *ni, u64 fblock, u64 n, u64 *promise)
{
	struct nexus_ext e = {
		.fblock = fblock,
		.nblocks = n,
		.flags = NEXUS_EF_UNWRITTEN,
	};
	u64 freed = 0, before, more, paid;

	lockdep_assert_held(&ni->log_mutex);
	down_write(&ni->map_sem);
	before = nexus_extmap_unwritten(ni->map);
	nexus_extmap_insert(ni->map, &e, &freed);
	ni->map_changes--;
	more = nexus_extmap_unwritten(ni->map) - before;
	paid = min(more, *promise);
	*promise -= paid;
	nexus_count_unwritten(ni);
	up_write(&ni->map_sem);
	nexus_count_blocks(&ni->vfs, n, freed);
	nexus_packs_promise_late(ni->zone, more - paid);
}

bool nexus_map_next(struct nexus_inode *ni, u64 fblock, struct nexus_ext *e)
{
	bool found = false;

	down_read(&ni->map_sem);
	if (ni->map)
		found = nexus_extmap_next(ni->map, fblock, e);
	up_read(&ni->map_sem);
	return found;
}

u64 nexus_map_holes(struct nexus_inode *ni, u64 fblock, u64 end)
{
	u64 holes = end - fblock;
	struct nexus_ext e;
	u64 to;

	while (fblock < end && nexus_map_next(ni, fblock, &e) && e.fblock < end) {
		to = min(end, e.fblock + e.nblocks);
		holes -= to - max(fblock, e.fblock);
		fblock = to;
		cond_resched();
	}
	return holes;
}

bool nexus_map_find(struct nexus_inode *ni, u64 fblock, struct nexus_ext *e,
		    u64 *disk_size)
{
	bool found = false;

	down_read(&ni->map_sem);
	if (ni->map)
		found = nexus_extmap_find(ni->map, fblock, e) &&
			!(e->flags & NEXUS_EF_UNWRITTEN);
	*disk_size = READ_ONCE(ni->disk_size);
	up_read(&ni->map_sem);
	return found;
}

bool nexus_map_names(struct nexus_inode *ni, u64 pack,
		     const unsigned long *blocks, bool plain)
{
	bool found = false;
	struct nexus_ext e;
	u64 at = 0;

	down_read(&ni->map_sem);
	if (ni->map && nexus_extmap_may_name(ni->map, pack)) {
		while (!found && nexus_extmap_next(ni->map, at, &e)) {
			at = e.fblock + e.nblocks;
			if (plain && !(e.flags & NEXUS_EF_NOCRC))
				continue;
			if (e.pack == pack && !(e.flags & NEXUS_EF_UNWRITTEN))
				found = find_next_bit(blocks,
						      (u64)e.block + e.nblocks,
						      e.block) <
					(u64)e.block + e.nblocks;
		}
	}
	up_read(&ni->map_sem);
	return found;
}

bool nexus_map_has(struct nexus_inode *ni, u64 fblock, bool *unwritten)
{
	struct nexus_ext e = {};
	bool found = false;

	down_read(&ni->map_sem);
	if (ni->map)
		found = nexus_extmap_find(ni->map, fblock, &e);
	up_read(&ni->map_sem);
	*unwritten = e.flags & NEXUS_EF_UNWRITTEN;
	return found;
}

void nexus_data_evict(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	/* Every folio gave back what it held when it went. */
	if (WARN_ON_ONCE(ni->resv_blocks))
		nexus_packs_unreserve(ni->zone, ni->resv_blocks);
	ni->resv_blocks = 0;
	ni->delayed = 0;
	nexus_log_unreserve(&ni->data_resv);
	nexus_mapped_del(ni);
	nexus_extmap_free(ni->map);
	kfree(ni->body);
	ni->map = NULL;
	ni->body = NULL;
	ni->map_changes = 0;
}
