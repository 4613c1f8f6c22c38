// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small fsyncs: what they make durable travels in the log.
 *
 * An fsync of a few dirty blocks appends DATA records with their bytes and flushes the
 * log: one write and one flush, and no pack is written.  The folios stay dirty, with
 * all they hold, and ordinary writeback moves the blocks to a pack in its time; its
 * EXTENT record ends what the DATA record said.  Until that is in the index the
 * helper keeps the kernel from using the segment again (lib/logdata.c), and a log that
 * gets short of segments starts writeback.
 *
 * What the log has of a folio is known block by block (nexus_fstate.logged), so it is
 * not logged again.  A block leaves that set before it changes: under the folio lock
 * where write() and faults mark it, and with the folio's "checked" flag, without which
 * the set does not count, where all that is known is that the folio was made dirty.
 * Stores through mappings are made to fault again before the bytes are copied.
 * Memory that a device has pinned can change unseen, and is left to writeback.
 *
 * Whoever drops a logged block appends a record that ends what the log says of it,
 * also where the block has no extent: NEXUS_I_LOGGED tells.
 *
 * The log says what the blocks are as of its record, like an EXTENT record.  So the
 * record is appended with the folio locked and not under writeback: no EXTENT record
 * of older bytes can follow it.
 */
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>
/* struct folio_batch; what declares it has had two names. */
#include <linux/writeback.h>

#include "../log/log.h"
#include "data.h"

/* Blocks in the log for one fsync; more are better written to a pack. */
#define NEXUS_LOGGED_BLOCKS	4u
/* Dirty folios that are looked at; a file with more is written to packs. */
#define NEXUS_LOGGED_FOLIOS	64u

#define NEXUS_LOGGED_BYTES	ALIGN(sizeof(struct nexus_rec_data) + \
				      NEXUS_BLOCK_SIZE, 8)

struct nexus_logged {
	struct inode *inode;
	pgoff_t first, last;		/* blocks of the range */
	u32 folios;			/* looked at */
	u32 blocks;			/* of it that the log does not have */
	loff_t size;			/* of the file, when the folio was looked at */
	struct nexus_rec_data *rec;	/* room for them; NULL: only count */
	struct nexus_resv resv;
};

/* ---- what may be in the log -------------------------------------------------------- */

/* Exact with log_mutex. */
static bool nexus_logged_may(struct nexus_inode *ni)
{
	return !(READ_ONCE(ni->iflags) & (NEXUS_IF_INLINE | NEXUS_IF_NODATACOW)) &&
	       test_bit_acquire(NEXUS_I_EXTENTS, &ni->state) &&
	       !nexus_inline_may(ni);
}

/*
 * Blocks of a locked folio, dirty and not under writeback, that are to be durable and
 * are not in the log, in *@fresh; -EAGAIN where marks do not tell.
 */
static int nexus_logged_fresh(struct nexus_logged *l, struct folio *folio, u64 *fresh)
{
	const struct nexus_fstate *fs = folio_get_private(folio);
	pgoff_t first, end;

	if (!fs || !fs->marked || nexus_folio_wanted(fs) != fs->marked)
		return -EAGAIN;
	/*
	 * What is behind the end is being cut off.  The size may get less while the
	 * folio is locked; the record that says so comes later.
	 */
	l->size = i_size_read(l->inode);
	end = min3((pgoff_t)DIV_ROUND_UP_ULL(l->size, PAGE_SIZE),
		   folio_next_index(folio),
		   l->last == ULONG_MAX ? ULONG_MAX : l->last + 1);
	first = max(folio->index, l->first);
	*fresh = first < end ? fs->marked & nexus_folio_mask(first - folio->index,
							     end - folio->index) : 0;
	if (folio_test_checked(folio))
		*fresh &= ~fs->logged;
	return 0;
}

/* ---- the record ---------------------------------------------------------------------- */

static int nexus_logged_commit(struct nexus_logged *l)
{
	struct nexus_inode *ni = NEXUS_I(l->inode);
	struct nexus_rec_data *rec = l->rec;
	struct timespec64 mtime, ctime;
	u64 lsn;
	int err = -EAGAIN;

	mutex_lock(&ni->log_mutex);
	if (!nexus_logged_may(ni))
		goto out;
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	mtime = inode_get_mtime(l->inode);
	ctime = inode_get_ctime(l->inode);
	rec->head.time_s = cpu_to_le64(ctime.tv_sec);
	rec->head.time_ns = cpu_to_le32(ctime.tv_nsec);
	rec->data_id = cpu_to_le64(ni->data_id);
	rec->mtime_s = cpu_to_le64(mtime.tv_sec);
	rec->mtime_ns = cpu_to_le32(mtime.tv_nsec);
	rec->ctime_s = cpu_to_le64(ctime.tv_sec);
	rec->ctime_ns = cpu_to_le32(ctime.tv_nsec);
	err = nexus_mutate(ni->zone, &l->resv, &rec->head, &lsn);
	if (err)
		goto out;
	ni->version++;
	WRITE_ONCE(ni->gen, ni->gen + 1);
	nexus_inode_logged(ni, lsn);
	nexus_log_has_data(ni->zone, lsn);
	set_bit(NEXUS_I_LOGGED, &ni->state);
out:
	mutex_unlock(&ni->log_mutex);
	return err;
}

/* @n blocks of a locked folio from block @first of it on. */
static int nexus_logged_append(struct nexus_logged *l, struct folio *folio, u32 first,
			       u32 n)
{
	u64 offset = (u64)(folio->index + first) << PAGE_SHIFT;
	u32 len = min_t(u64, l->size - offset, n << PAGE_SHIFT);
	size_t reclen = ALIGN(sizeof(*l->rec) + len, 8);
	struct nexus_rec_data *rec = l->rec;
	int err;

	nexus_rec_init(&rec->head, reclen, NEXUS_REC_DATA, 0, (struct nexus_time){});
	rec->ino = cpu_to_le64(l->inode->i_ino);
	rec->offset = cpu_to_le64(offset);
	rec->len = cpu_to_le32(len);
	memcpy_from_folio((char *)rec->data, folio, first << PAGE_SHIFT, len);
	rec->crc = cpu_to_le32(nexus_crc32c(0, rec->data, len));
	err = nexus_logged_commit(l);
	if (!err)
		nexus_count_n(log_data, n);
	return err;
}

static int nexus_logged_folio(struct nexus_logged *l, struct folio *folio, u64 fresh)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	loff_t behind;
	u32 first, n;
	int err = 0;

	/* Others have written since they were counted. */
	if (hweight64(fresh) > l->blocks)
		return -EAGAIN;
	l->blocks -= hweight64(fresh);
	folio_mkclean(folio);
	if (!folio_test_checked(folio)) {
		fs->logged = 0;
		folio_set_checked(folio);
	}
	/* Whoever pins it from now on faults, and waits for the lock. */
	smp_mb__after_atomic();
	if (folio_maybe_dma_pinned(folio))
		return -EAGAIN;
	/* As writeback does: what was stored behind the end goes; other stores wait. */
	behind = i_size_read(l->inode) - folio_pos(folio);
	if (behind > 0 && behind < (loff_t)folio_size(folio))
		folio_zero_segment(folio, behind, folio_size(folio));
	while (fresh && !err) {
		first = __ffs64(fresh);
		n = ~(fresh >> first) ? __ffs64(~(fresh >> first)) : 64 - first;
		err = nexus_logged_append(l, folio, first, n);
		if (!err)
			fs->logged |= nexus_folio_mask(first, first + n);
		fresh &= ~nexus_folio_mask(first, first + n);
	}
	return err;
}

/* ---- all of a range --------------------------------------------------------------------- */

static int nexus_logged_look(struct nexus_logged *l, struct folio *folio)
{
	u64 fresh;
	int err;

	if (nexus_folio_lock_stable(folio))
		return -EINTR;
	err = 0;
	if (folio->mapping != l->inode->i_mapping || !folio_test_dirty(folio))
		goto out;
	err = nexus_logged_fresh(l, folio, &fresh);
	if (err || !fresh)
		goto out;
	if (l->rec) {
		err = nexus_logged_folio(l, folio, fresh);
	} else {
		l->blocks += hweight64(fresh);
		if (l->blocks > NEXUS_LOGGED_BLOCKS)
			err = -EAGAIN;
	}
out:
	folio_unlock(folio);
	return err;
}

/* Looks at every dirty folio.  0; -EAGAIN: the range is to be written; -EINTR; -errno. */
static int nexus_logged_walk(struct nexus_logged *l)
{
	pgoff_t index = l->first;
	struct folio_batch batch;
	unsigned int i, nr;
	int err = 0;

	l->folios = 0;
	folio_batch_init(&batch);
	while (!err && index <= l->last) {
		nr = filemap_get_folios_tag(l->inode->i_mapping, &index, l->last,
					    PAGECACHE_TAG_DIRTY, &batch);
		if (!nr)
			break;
		l->folios += nr;
		if (l->folios > NEXUS_LOGGED_FOLIOS)
			err = -EAGAIN;
		for (i = 0; !err && i < nr; i++)
			err = nexus_logged_look(l, batch.folios[i]);
		folio_batch_release(&batch);
	}
	return err;
}

static int nexus_logged_count(struct nexus_logged *l)
{
	struct nexus_inode *ni = NEXUS_I(l->inode);

	if (!S_ISREG(l->inode->i_mode) || !ni->zone->log ||
	    !(ni->zone->features & NEXUS_INCOMPAT_LOGDATA) || !nexus_logged_may(ni))
		return -EAGAIN;
	return nexus_logged_walk(l);
}

bool nexus_logged_all(struct inode *inode)
{
	struct nexus_logged l = { .inode = inode, .last = ULONG_MAX };

	return !mapping_tagged(inode->i_mapping, PAGECACHE_TAG_WRITEBACK) &&
	       !nexus_logged_count(&l) && !l.blocks;
}

int nexus_logged_sync(struct inode *inode, loff_t from, loff_t to)
{
	struct nexus_logged l = {
		.inode = inode,
		.first = from >> PAGE_SHIFT,
		.last = to >> PAGE_SHIFT,
	};
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	int err;

	err = nexus_logged_count(&l);
	if (err || !l.blocks)
		return err;
	if (!nexus_log_plenty(zone))
		return -EAGAIN;
	err = nexus_log_reserve(zone, &l.resv, l.blocks * NEXUS_LOGGED_BYTES,
				NEXUS_RESV_NOWAIT);
	if (err)
		return err;
	l.rec = kvmalloc(sizeof(*l.rec) + l.blocks * NEXUS_BLOCK_SIZE,
			 GFP_KERNEL | __GFP_NOWARN);
	err = l.rec ? nexus_logged_walk(&l) : -EAGAIN;
	kvfree(l.rec);
	nexus_log_unreserve(&l.resv);
	return err;
}
