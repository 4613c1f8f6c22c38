// SPDX-License-Identifier: GPL-2.0-only
/*
 * Overwriting in place, for files marked nodatacow.
 *
 * The first write of a block goes to a new place, as always, but its extent says that
 * there is no checksum (NEXUS_EF_NOCRC).  From then on the block is overwritten there:
 * without an extent, without room and, where the size stays, without a record.  What
 * is shared, was cut (the tail that truncation writes has a checksum) or is not here
 * gets a new place once more.
 *
 * Nobody else may have the block, before the write and until it is over:
 *
 *   - clones mark it SHARED under log_mutex.  A write finds the place and counts
 *     itself (nexus_inode.inplace) under it, and a clone that is about to share and
 *     finds a number waits and looks again;
 *   - truncation and punching wait for writeback and for direct writes, and so does a
 *     clone of what it replaces: a block is not freed under a write;
 *   - RETIRE waits for the write as it does for reads: it is counted as one;
 *   - compaction and eviction leave blocks without checksums alone (MOVE refuses
 *     them): a copy of one may be old when it is made.
 *
 * Nothing that is left after a crash can be compared with a checksum.  So the data is
 * flushed before a batch whose records rely on it: for new places (nexus_pack.plain)
 * and where a file gets longer in a block it has, which an EXTENT record of that one
 * block, in its old place, says.  fsync flushes the packs that were written in place.
 *
 * Such content must not travel in the log: what overwrites it later leaves no record, and
 * a replay would bring the old bytes back.
 */
#include <linux/highmem.h>
#include <linux/slab.h>

#include "../log/log.h"
#include "data.h"
#include "host.h"

/* ---- which blocks ------------------------------------------------------------ */

/*
 * The extent from @fblock on, if it is the file's own and has no checksums.  None where
 * fsync speaks of the content store: what is written in place is in no record, so it
 * would not get there.
 */
static bool nexus_inplace_find(struct nexus_inode *ni, u64 fblock,
			       struct nexus_ext *e)
{
	u64 disk_size;

	return ni->zone->opts.durability != NEXUS_DURABLE_ORIGIN &&
	       nexus_map_find(ni, fblock, e, &disk_size) &&
	       e->flags == NEXUS_EF_NOCRC;
}

/* Its pack, referenced, or NULL. */
static struct nexus_pack *nexus_inplace_pack(struct nexus_zone *zone,
					     const struct nexus_ext *e)
{
	struct nexus_pack *pack = nexus_packs_find(zone, e->pack);

	if (!pack)
		return NULL;
	if (pack->writable && e->block >= nexus_pack_first(pack) &&
	    e->block < pack->blocks && e->nblocks <= pack->blocks - e->block)
		return pack;
	nexus_pack_put(pack);
	return NULL;
}

u32 nexus_inplace_blocks(struct inode *inode, u64 fblock, u32 n)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_pack *pack;
	struct nexus_ext e;
	u32 done = 0, at, len;
	bool missing;

	if (!nexus_inplace_flags(inode))
		return 0;
	while (done < n && nexus_inplace_find(ni, fblock + done, &e)) {
		pack = nexus_inplace_pack(ni->zone, &e);
		if (!pack)
			break;
		at = e.block;
		len = min(n - done, e.nblocks);
		missing = nexus_pack_missing(pack, &at, &len);
		done += missing ? at - e.block : len;
		nexus_pack_put(pack);
		if (missing)
			break;
	}
	return done;
}

u64 nexus_inplace_mask(struct inode *inode, struct folio *folio, u64 blocks)
{
	u32 at = 0, end = folio_nr_pages(folio), n;
	u64 mask = 0;

	if (!nexus_inplace_flags(inode))
		return 0;
	for (; at < end; at += max(n, 1)) {
		n = blocks & BIT_ULL(at) ?
		    nexus_inplace_blocks(inode, folio->index + at, end - at) : 0;
		mask |= nexus_folio_mask(at, at + n);
	}
	return mask & blocks;
}

int nexus_inplace_load(struct inode *inode, loff_t pos, size_t len)
{
	if (!nexus_inplace_flags(inode))
		return 0;
	return nexus_content_load(inode, pos, len) == -EINTR ? -EINTR : 0;
}

/* ---- writing ------------------------------------------------------------------- */

/* Takes the place of what follows run->first, at most @n blocks: an epoch, or -EAGAIN. */
static int nexus_inplace_begin(struct nexus_inode *ni, struct nexus_run *run,
			       u32 n)
{
	u64 fblock = run->wio->fblock + run->first;
	struct nexus_ext e;
	int epoch = -EAGAIN;

	mutex_lock(&ni->log_mutex);
	if (!nexus_inplace_find(ni, fblock, &e))
		goto out;
	run->pack = nexus_inplace_pack(ni->zone, &e);
	if (!run->pack)
		goto out;
	run->block = e.block;
	run->nr = min(n, e.nblocks);
	epoch = nexus_pack_read_begin(run->pack, run->block, &run->nr);
	if (epoch >= 0) {
		ni->inplace++;
	} else {
		nexus_pack_put(run->pack);
		epoch = -EAGAIN;
	}
out:
	mutex_unlock(&ni->log_mutex);
	return epoch;
}

/* The number of the flush that will take what was just written to @pack. */
static u64 nexus_inplace_dirtied(struct nexus_pack *pack)
{
	struct nexus_packs *packs = pack->zone->packs;
	u64 number;

	spin_lock(&packs->lock);
	if (list_empty(&pack->inplace))
		list_add_tail(&pack->inplace, &packs->inplace.packs);
	number = packs->inplace.now;
	spin_unlock(&packs->lock);
	return number;
}

/* Records that are appended from now on rely on flush @number. */
static void nexus_inplace_rely(struct nexus_packs *packs, u64 number)
{
	spin_lock(&packs->lock);
	packs->inplace.need = max(packs->inplace.need, number);
	spin_unlock(&packs->lock);
}

/*
 * Where the file is longer by what was written, a record says so, whose batch comes
 * after flush @number; log_mutex held.
 */
static int nexus_inplace_grow(struct nexus_run *run, u64 number)
{
	struct nexus_wio *wio = run->wio;
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	struct nexus_packs *packs = ni->zone->packs;
	u64 start = (wio->fblock + run->first) << NEXUS_BLOCK_SHIFT;
	u64 end = start + ((u64)run->nr << NEXUS_BLOCK_SHIFT);
	u64 size = min(wio->size, end), lsn;
	struct nexus_run last = *run;
	int err;

	if (size <= ni->disk_size || size <= start)
		return 0;
	/* The block that holds the last byte. */
	last.nr = 1;
	last.first = ((size - 1) >> NEXUS_BLOCK_SHIFT) - wio->fblock;
	last.block += last.first - run->first;
	nexus_inplace_rely(packs, number);
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	nexus_run_record(&last);
	err = nexus_mutate(ni->zone, &wio->resv, &wio->rec.head, &lsn);
	if (err)
		return err;
	WRITE_ONCE(ni->disk_size, size);
	ni->version++;
	WRITE_ONCE(ni->gen, ni->gen + 1);
	nexus_inode_logged(ni, lsn);
	return 0;
}

static int nexus_inplace_end(struct nexus_run *run, int epoch, int err)
{
	struct nexus_inode *ni = NEXUS_I(run->wio->inode);
	u64 number;

	mutex_lock(&ni->log_mutex);
	if (!err) {
		number = nexus_inplace_dirtied(run->pack);
		WRITE_ONCE(ni->inplace_flush, number);
		err = nexus_inplace_grow(run, number);
	}
	ni->inplace--;
	mutex_unlock(&ni->log_mutex);
	nexus_pack_read_end(run->pack, epoch);
	nexus_pack_put(run->pack);
	return err;
}

int nexus_inplace_write(struct nexus_wio *wio, u32 *first)
{
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	struct nexus_run run = { .wio = wio };
	int epoch, err = 0;

	while (!err && *first < wio->nr) {
		run.first = *first;
		epoch = nexus_inplace_begin(ni, &run, wio->nr - *first);
		if (epoch < 0)
			return epoch;
		err = nexus_host_write_part(run.pack->file, wio->bvec, wio->segs,
					    (size_t)run.first << NEXUS_BLOCK_SHIFT,
					    (size_t)run.nr << NEXUS_BLOCK_SHIFT,
					    run.block);
		if (err) {
			nexus_zone_fail(ni->zone, -EIO, "writing pack %llu failed (%pe)",
					run.pack->id, ERR_PTR(err));
		} else {
			nexus_count(pack_writes);
			nexus_count_n(pack_write_blocks, run.nr);
			nexus_count_n(pack_write_inplace_blocks, run.nr);
		}
		err = nexus_inplace_end(&run, epoch, err);
		*first += run.nr;
	}
	return err;
}

/* ---- flushing ------------------------------------------------------------------ */

/* The next pack that is to be flushed, referenced and out of the list; lock held. */
static struct nexus_pack *nexus_inplace_pop(struct list_head *todo)
{
	struct nexus_pack *pack;

	pack = list_first_entry_or_null(todo, struct nexus_pack, inplace);
	if (pack) {
		list_del_init(&pack->inplace);
		kref_get(&pack->ref);
	}
	return pack;
}

/* mutex held; in a worker.  An error fails the zone: it is not tried again. */
static void nexus_inplace_flush_all(struct nexus_packs *packs)
{
	struct nexus_inplace *ip = &packs->inplace;
	struct nexus_pack *pack;
	LIST_HEAD(todo);
	int err = 0;
	u64 number;

	spin_lock(&packs->lock);
	list_splice_init(&ip->packs, &todo);
	number = ip->now++;
	while ((pack = nexus_inplace_pop(&todo))) {
		spin_unlock(&packs->lock);
		if (!READ_ONCE(packs->zone->error))
			err = nexus_host_flush(pack->file);
		if (err)
			nexus_zone_fail(packs->zone, -EIO, "flushing pack %llu failed (%pe)",
					pack->id, ERR_PTR(err));
		nexus_pack_put(pack);
		spin_lock(&packs->lock);
	}
	/* What was not flushed for the zone had failed is not said to be. */
	if (!READ_ONCE(packs->zone->error))
		WRITE_ONCE(ip->done, number);
	spin_unlock(&packs->lock);
	wake_up_all(&ip->wait);
}

static void nexus_inplace_work(struct work_struct *work)
{
	struct nexus_packs *packs = container_of(work, struct nexus_packs,
						 inplace.work);
	unsigned int flags = nexus_host_begin();

	mutex_lock(&packs->inplace.mutex);
	nexus_inplace_flush_all(packs);
	mutex_unlock(&packs->inplace.mutex);
	nexus_host_end(flags);
}

int nexus_inplace_flush_needed(struct nexus_packs *packs)
{
	struct nexus_inplace *ip = &packs->inplace;
	int err = 0;

	/* The number came before the record, and the record before the batch. */
	if (READ_ONCE(ip->need) <= READ_ONCE(ip->done))
		return 0;
	/* The one that is needed may be under way. */
	mutex_lock(&ip->mutex);
	if (READ_ONCE(ip->need) > READ_ONCE(ip->done))
		nexus_inplace_flush_all(packs);
	if (READ_ONCE(packs->zone->error))
		err = -EIO;
	mutex_unlock(&ip->mutex);
	return err;
}

/* Waits killably for flush @number. */
static int nexus_inplace_wait(struct nexus_packs *packs, u64 number)
{
	struct nexus_inplace *ip = &packs->inplace;

	if (READ_ONCE(ip->done) >= number)
		return 0;
	queue_work(packs->wq, &ip->work);
	if (wait_event_state(ip->wait, READ_ONCE(ip->done) >= number ||
			     READ_ONCE(packs->zone->error), NEXUS_WAIT_STATE))
		return -EINTR;
	return READ_ONCE(ip->done) >= number ? 0 : -EIO;
}

int nexus_inplace_flush(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 number = READ_ONCE(ni->inplace_flush);

	return number ? nexus_inplace_wait(ni->zone->packs, number) : 0;
}

/* The flush after which all that was written in place until now is on stable storage. */
static u64 nexus_inplace_due(struct nexus_packs *packs)
{
	u64 number;

	spin_lock(&packs->lock);
	number = packs->inplace.now - list_empty(&packs->inplace.packs);
	spin_unlock(&packs->lock);
	return number;
}

int nexus_inplace_sync(struct nexus_zone *zone)
{
	return nexus_inplace_wait(zone->packs, nexus_inplace_due(zone->packs));
}

void nexus_inplace_fill(struct nexus_inode *ni)
{
	if (ni->iflags & NEXUS_IF_NODATACOW)
		ni->inplace_flush = nexus_inplace_due(ni->zone->packs);
}

void nexus_inplace_shared(struct inode *inode)
{
	struct nexus_packs *packs = NEXUS_I(inode)->zone->packs;

	if (nexus_inplace_flags(inode))
		nexus_inplace_rely(packs, nexus_inplace_due(packs));
}

void nexus_inplace_drop(struct nexus_packs *packs, struct nexus_pack *pack)
{
	spin_lock(&packs->lock);
	list_del_init(&pack->inplace);
	spin_unlock(&packs->lock);
}

void nexus_inplace_init(struct nexus_packs *packs)
{
	struct nexus_inplace *ip = &packs->inplace;

	mutex_init(&ip->mutex);
	INIT_LIST_HEAD(&ip->packs);
	ip->now = 1;
	INIT_WORK(&ip->work, nexus_inplace_work);
	init_waitqueue_head(&ip->wait);
}
