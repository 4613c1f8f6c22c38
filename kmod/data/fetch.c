// SPDX-License-Identifier: GPL-2.0-only
/*
 * Content that is not in the file of its pack.
 *
 * A read that meets an absent block which the file's map still names fails, quietly:
 * it may hold a folio lock or invalidate_lock, and others wait for those unkillably.
 * Whoever began it lets go of everything, has the helper fetch what is missing, here,
 * and reads again.  So what is cached is never fetched, readahead of the page cache
 * waits for nobody, and reading costs nothing more where nothing is missing.
 *
 * The helper fetches in larger pieces than it is asked for, and ahead of who reads
 * on; it bounds what is in flight and fetches nothing twice at a time.
 */
#include "data.h"

#define NEXUS_FETCH_TRIES	16	/* for what came, and went before it was read */
#define NEXUS_MEND_TRIES	4	/* reads after which nothing was missing */

static void nexus_fetch_failed(struct inode *inode, u64 fblock, u64 pack,
			       u32 block, int err)
{
	nexus_err(NEXUS_I(inode)->zone,
		  "inode %llu: offset %llu is in block %u of pack %llu, which cannot be fetched (%pe)",
		  (u64)inode->i_ino, fblock << NEXUS_BLOCK_SHIFT, block, pack,
		  ERR_PTR(err));
}

/* Whether the map still says of the first block of @e what @e says. */
static bool nexus_fetch_current(struct nexus_inode *ni, u64 fblock,
				const struct nexus_ext *e)
{
	struct nexus_ext now;
	u64 unused;

	return nexus_map_find(ni, fblock, &now, &unused) &&
	       now.pack == e->pack && now.block == e->block + (fblock - e->fblock);
}

/*
 * Asks for what is missing from @block on, @nr blocks, and again if it came and went:
 * what is here only for so long as there is room may be evicted before it is looked at.
 * True: it is still missing; *err is why.
 */
static bool nexus_fetch_ensure(struct inode *inode, struct nexus_pack *pack,
			       u32 block, u32 nr, const __le64 *since, int *err)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	unsigned int tries = 0;
	u64 unused, applied;
	u32 at, n;

	do {
		*err = nexus_ms_read(ni->zone, NEXUS_OP_ENSURE, inode->i_ino,
				     pack->id, (u64)nr << 32 | block, since,
				     since ? sizeof(*since) : 0, 0, &unused,
				     sizeof(unused), &applied);
		at = block;
		n = 1;
		/* What follows may still be missing; whoever gets there asks again. */
		if (!nexus_pack_missing(pack, &at, &n))
			return false;
	} while (*err >= 0 && ++tries < NEXUS_FETCH_TRIES);
	return true;
}

int nexus_fetch_extent(struct inode *inode, const struct nexus_ext *e, bool loud,
		       const __le64 *since)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 block = e->block, nr = e->nblocks;
	struct nexus_pack *pack;
	int err, ret = 1;
	u64 fblock;

	pack = nexus_packs_get(ni->zone, e->pack);
	if (IS_ERR(pack))
		return PTR_ERR(pack);
	if (!nexus_pack_missing(pack, &block, &nr)) {
		ret = 0;
		goto out;
	}
	fblock = e->fblock + (block - e->block);
	if (!nexus_fetch_ensure(inode, pack, block, nr, since, &err) ||
	    !nexus_fetch_current(ni, fblock, e))
		goto out;
	if (err == -EINTR || err == -ENOTCONN) {
		ret = err;
		goto out;
	}
	ret = (err == -ENOMEM || (since && err < 0)) ? err : -EIO;
	if (loud)
		nexus_fetch_failed(inode, fblock, pack->id, block,
				   err < 0 ? err : -ENODATA);
out:
	nexus_pack_put(pack);
	return ret;
}

int nexus_content_fetch(struct inode *inode, loff_t pos, size_t len, bool loud)
{
	u64 at = pos >> NEXUS_BLOCK_SHIFT;
	u64 end = DIV_ROUND_UP_ULL((u64)pos + len, NEXUS_BLOCK_SIZE);
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_ext e;
	int ret, some = 0;
	u64 skip;

	while (at < end && nexus_map_next(ni, at, &e) && e.fblock < end) {
		skip = e.fblock < at ? at - e.fblock : 0;
		e.fblock += skip;
		e.nblocks = min3(e.nblocks - skip, end - e.fblock,
				 (u64)NEXUS_ENSURE_BLOCKS);
		at = e.fblock + e.nblocks;
		if (e.flags & NEXUS_EF_UNWRITTEN)
			continue;
		e.block += skip;
		ret = nexus_fetch_extent(inode, &e, loud, NULL);
		if (ret < 0)
			return some && ret != -EINTR ? some : ret;
		some |= ret;
		cond_resched();
	}
	return some;
}

/*
 * Folios that readahead began and could not fill would be read one by one, each with a
 * request of its own.  Without them it begins anew, and with as large ones as it may.
 * What is filled, dirty, locked or mapped stays.
 */
static void nexus_content_drop_empty(struct address_space *mapping, loff_t pos,
				     size_t len)
{
	pgoff_t index = pos >> PAGE_SHIFT;
	pgoff_t end = (pos + len - 1) >> PAGE_SHIFT;
	struct folio_batch fbatch;
	pgoff_t first, last;
	unsigned int i;

	folio_batch_init(&fbatch);
	while (filemap_get_folios(mapping, &index, end, &fbatch)) {
		first = 1;
		last = 0;
		for (i = 0; i < folio_batch_count(&fbatch); i++) {
			struct folio *folio = fbatch.folios[i];

			if (folio_test_uptodate(folio))
				continue;
			if (last < first)
				first = folio->index;
			else if (folio->index != last + 1)
				break;
			last = folio_next_index(folio) - 1;
		}
		/* The rest of the batch, which begins with one that is another run's. */
		if (i < folio_batch_count(&fbatch))
			index = fbatch.folios[i]->index;
		/* One that somebody else refers to is not let go. */
		folio_batch_release(&fbatch);
		if (first <= last)
			invalidate_mapping_pages(mapping, first, last);
		cond_resched();
	}
}

bool nexus_content_mend(struct inode *inode, loff_t pos, size_t len, int *err,
			unsigned int *tries)
{
	loff_t first = round_down(pos, NEXUS_FOLIO_BYTES_MAX);
	loff_t end = round_up(pos + len, NEXUS_FOLIO_BYTES_MAX);
	int ret, around;

	if (*err != -EIO && *err != -EAGAIN)
		return false;
	ret = nexus_content_fetch(inode, pos, len, true);
	/* Large folios are read as a whole, or not all of them can be. */
	around = ret < 0 ? ret : nexus_content_fetch(inode, first, end - first,
						     false);
	if (ret < 0 || around == -EINTR) {
		*err = ret < 0 ? ret : around;
		return false;
	}
	if (ret || around > 0) {
		nexus_content_drop_empty(inode->i_mapping, pos, len);
		*tries = 0;
		return true;
	}
	/*
	 * Nothing is missing, unless near by: then what is good may be shown now.  And what
	 * was fetched between the read that failed and this look at it is there, and may
	 * be so again if others read the same and there is no room for it.  A disk that
	 * cannot be read is not tried for ever.
	 */
	return around <= 0 && (*tries)++ < NEXUS_MEND_TRIES;
}
