// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of packs that go and come: presence, and the handshake with the helper.
 *
 * A block of a sealed pack that is dead, or that can be fetched again, may be punched
 * out of its file, and then reads as zeros there, without an error.  So nobody asks
 * the file.  The pack has a bitmap of what is absent, which RETIRE fills before the
 * helper punches anything and PRESENT empties after it has written and checked it,
 * and every read looks at it after it has said that it is there.
 *
 * Who reads finds the place in the inode's map first, and its map may change
 * before it gets here.  A dead block is only retired when no map names it any more:
 * so whoever finds it absent looks at the map again, and finds it elsewhere.  If it
 * does not, the block is to be fetched (fetch.c).
 *
 * Reads in flight are counted by epoch, of which there are two.  RETIRE begins a
 * new one and waits for the end of the last: those that begin later have seen the
 * bits.  What the pack needs for that outlives the zone, as reads may.
 *
 * That no map names a retired block follows from how blocks die: their record came
 * before.  Looking at all maps is for a helper that is wrong; so it is where content is
 * evicted and a map names blocks that are overwritten in place.
 *
 * Writes in place (inplace.c) are counted as reads are.
 */
#include <linux/bitmap.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "data.h"
#include "retire.h"

#define NEXUS_MAPS_AT_ONCE	1024u	/* looked at under maps_lock */

/* ---- presence ------------------------------------------------------------ */

void nexus_presence_init(struct nexus_pack *pack)
{
	spin_lock_init(&pack->read_lock);
	init_waitqueue_head(&pack->read_wait);
	nexus_pack_touch(pack);
}

void nexus_presence_free(struct nexus_pack *pack)
{
	kvfree(pack->absent);
	pack->absent = NULL;
}

static unsigned long *nexus_presence_alloc(const struct nexus_pack *pack)
{
	return kvcalloc(BITS_TO_LONGS(pack->blocks), sizeof(long),
			GFP_KERNEL_ACCOUNT);
}

int nexus_presence_load(struct nexus_pack *pack, const void __user *bits)
{
	size_t words = BITS_TO_U64(pack->blocks);
	u64 *buf = vmemdup_array_user(bits, words, sizeof(*buf));
	int err = -EINVAL;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	pack->absent = nexus_presence_alloc(pack);
	if (!pack->absent) {
		err = -ENOMEM;
		goto out;
	}
	bitmap_from_arr64(pack->absent, buf, pack->blocks);
	/* Head and table are always there. */
	if (find_first_bit(pack->absent, nexus_pack_first(pack)) ==
	    nexus_pack_first(pack))
		err = 0;
out:
	kvfree(buf);
	return err;
}

bool nexus_pack_missing(struct nexus_pack *pack, u32 *block, u32 *nr)
{
	u32 end = min(pack->blocks, *block + *nr), at = end;

	spin_lock_irq(&pack->read_lock);
	if (pack->absent)
		at = find_next_bit(pack->absent, end, *block);
	spin_unlock_irq(&pack->read_lock);
	if (at >= end)
		return false;
	*nr = end - at;
	*block = at;
	return true;
}

u32 nexus_pack_absent(struct nexus_pack *pack, u32 block, u32 nr)
{
	u32 end = min(pack->blocks, block + nr), at, n = 0;

	spin_lock_irq(&pack->read_lock);
	for (at = block; pack->absent && at < end; at++) {
		at = find_next_bit(pack->absent, end, at);
		block = at;
		at = find_next_zero_bit(pack->absent, end, at);
		n += at - block;
	}
	spin_unlock_irq(&pack->read_lock);
	return n;
}

int nexus_pack_read_begin(struct nexus_pack *pack, u32 block, u32 *nr)
{
	u32 there = *nr;
	unsigned long flags;
	int epoch;

	spin_lock_irqsave(&pack->read_lock, flags);
	if (pack->absent)
		there = find_next_bit(pack->absent, block + *nr, block) - block;
	epoch = pack->epoch;
	if (there)
		pack->reads[epoch]++;
	spin_unlock_irqrestore(&pack->read_lock, flags);
	if (!there)
		return -ESTALE;
	nexus_pack_touch(pack);
	*nr = there;
	return epoch;
}

void nexus_pack_read_end(struct nexus_pack *pack, int epoch)
{
	unsigned long flags;
	bool last;

	spin_lock_irqsave(&pack->read_lock, flags);
	last = !--pack->reads[epoch];
	spin_unlock_irqrestore(&pack->read_lock, flags);
	if (last)
		wake_up_all(&pack->read_wait);
}

static bool nexus_reads_over(struct nexus_pack *pack, unsigned int epoch)
{
	unsigned long flags;
	bool over;

	spin_lock_irqsave(&pack->read_lock, flags);
	over = !pack->reads[epoch];
	spin_unlock_irqrestore(&pack->read_lock, flags);
	return over;
}

/* retire_mutex held: no other waits, and so nobody else changes the epoch. */
static int nexus_pack_reads_drain(struct nexus_pack *pack)
{
	unsigned int old = READ_ONCE(pack->epoch);
	int err;

	/* Of a wait that was killed. */
	err = wait_event_killable(pack->read_wait,
				  nexus_reads_over(pack, !old));
	if (err)
		return -EINTR;
	spin_lock_irq(&pack->read_lock);
	pack->epoch = !old;
	spin_unlock_irq(&pack->read_lock);
	err = wait_event_killable(pack->read_wait, nexus_reads_over(pack, old));
	return err ? -EINTR : 0;
}

/* ---- maps in memory --------------------------------------------------------- */

void nexus_mapped_add(struct nexus_inode *ni)
{
	struct nexus_zone *zone = ni->zone;

	/* Only eviction takes it out. */
	if (!list_empty_careful(&ni->mapped))
		return;
	spin_lock(&zone->maps_lock);
	if (list_empty(&ni->mapped))
		list_add(&ni->mapped, &zone->maps);
	spin_unlock(&zone->maps_lock);
}

void nexus_mapped_del(struct nexus_inode *ni)
{
	struct nexus_zone *zone = ni->zone;

	if (list_empty_careful(&ni->mapped))
		return;
	spin_lock(&zone->maps_lock);
	list_del_init(&ni->mapped);
	spin_unlock(&zone->maps_lock);
}

/* Never sleeps: in doubt it may. */
static bool nexus_mapped_may_name(struct nexus_inode *ni, u64 pack)
{
	bool may;

	if (!down_read_trylock(&ni->map_sem))
		return true;
	may = ni->map && nexus_extmap_may_name(ni->map, pack);
	up_read(&ni->map_sem);
	return may;
}

/*
 * The inode behind @from (NULL: the first) that may name the pack, or any after
 * so many, for the lock not to be held for long.  Referenced.
 */
static struct inode *nexus_mapped_next(struct nexus_zone *zone,
				       struct inode *from, u64 pack)
{
	struct list_head *at;
	struct nexus_inode *ni;
	struct inode *inode = NULL;
	unsigned int n = 0;

	spin_lock(&zone->maps_lock);
	at = from ? &NEXUS_I(from)->mapped : &zone->maps;
	for (at = at->next; at != &zone->maps; at = at->next) {
		ni = list_entry(at, struct nexus_inode, mapped);
		if (!nexus_mapped_may_name(ni, pack) &&
		    ++n < NEXUS_MAPS_AT_ONCE)
			continue;
		inode = igrab(&ni->vfs);
		if (inode)
			break;
	}
	spin_unlock(&zone->maps_lock);
	return inode;
}

static int nexus_maps_check(struct nexus_zone *zone, u64 pack,
			    const unsigned long *blocks, bool evict)
{
	struct inode *inode = NULL, *next;
	int err = 0;

	while (!err && (next = nexus_mapped_next(zone, inode, pack))) {
		iput(inode);
		inode = next;
		if (nexus_map_names(NEXUS_I(inode), pack, blocks, evict))
			err = -EBUSY;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	if (err == -EBUSY)
		nexus_err(zone, "inode %llu has blocks of pack %llu that %s",
			  (u64)inode->i_ino, pack,
			  evict ? "are overwritten in place, and the helper would evict" :
				  "the helper calls dead");
	iput(inode);
	return err;
}

/* ---- RETIRE -------------------------------------------------------------------- */

static int nexus_retire_blocks(struct nexus_pack *pack,
			       const struct nexus_pack_range *range, u32 nr,
			       unsigned long *blocks)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (range[i].block < nexus_pack_first(pack) ||
		    range[i].block >= pack->blocks || !range[i].nblocks ||
		    range[i].nblocks > pack->blocks - range[i].block)
			return -EINVAL;
		bitmap_set(blocks, range[i].block, range[i].nblocks);
	}
	return 0;
}

/* Takes @blocks over if the pack has none yet. */
static void nexus_presence_mark(struct nexus_pack *pack, unsigned long **blocks)
{
	spin_lock_irq(&pack->read_lock);
	if (pack->absent)
		bitmap_or(pack->absent, pack->absent, *blocks, pack->blocks);
	else
		swap(pack->absent, *blocks);
	spin_unlock_irq(&pack->read_lock);
}

/* What @range says of a sealed pack, as bits that are the caller's to free; or ERR_PTR. */
static unsigned long *nexus_pack_bits(struct nexus_pack *pack,
				      const struct nexus_pack_range *range,
				      u32 nr)
{
	unsigned long *blocks;
	int err;

	if (READ_ONCE(pack->state) != NEXUS_PS_SEALED)
		return ERR_PTR(-EBUSY);
	blocks = nexus_presence_alloc(pack);
	if (!blocks)
		return ERR_PTR(-ENOMEM);
	err = nexus_retire_blocks(pack, range, nr, blocks);
	if (!err)
		return blocks;
	kvfree(blocks);
	return ERR_PTR(err);
}

/* Frees @blocks. */
static int nexus_pack_retire(struct nexus_pack *pack, unsigned long *blocks,
			     bool evict)
{
	struct nexus_packs *packs = pack->zone->packs;
	int err = 0;

	if (mutex_lock_killable(&packs->retire_mutex)) {
		err = -EINTR;
		goto out;
	}
	err = nexus_maps_check(pack->zone, pack->id, blocks, evict);
	if (!err) {
		nexus_presence_mark(pack, &blocks);
		err = nexus_pack_reads_drain(pack);
	}
	mutex_unlock(&packs->retire_mutex);
out:
	kvfree(blocks);
	return err;
}

static void nexus_pack_present(struct nexus_pack *pack,
			       const unsigned long *blocks)
{
	spin_lock_irq(&pack->read_lock);
	if (pack->absent)
		bitmap_andnot(pack->absent, pack->absent, blocks, pack->blocks);
	spin_unlock_irq(&pack->read_lock);
	nexus_pack_touch(pack);
}

int nexus_packs_retire(struct nexus_zone *zone, const struct nexus_retire *r,
		       const struct nexus_pack_range *range, bool gone)
{
	struct nexus_pack *pack = nexus_packs_find(zone, r->pack);
	unsigned long *blocks;
	int err;

	if (!pack)
		return -ENXIO;
	blocks = nexus_pack_bits(pack, range, r->nr);
	err = PTR_ERR_OR_ZERO(blocks);
	if (!err && gone) {
		err = nexus_pack_retire(pack, blocks, r->flags & NEXUS_RT_EVICT);
	} else if (!err) {
		nexus_pack_present(pack, blocks);
		kvfree(blocks);
	}
	nexus_pack_put(pack);
	return err;
}

int nexus_packs_idle(struct nexus_zone *zone, u64 id, u64 *ns)
{
	struct nexus_pack *pack = nexus_packs_find(zone, id);
	u64 used, now;

	if (!pack)
		return -ENXIO;
	used = READ_ONCE(pack->used);
	now = ktime_get_coarse_ns();
	*ns = now > used ? now - used : 0;
	nexus_pack_put(pack);
	return 0;
}
