// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing into the page cache.
 *
 * Room for the blocks is taken first, then the folio, as large as what is written
 * allows: a new one begins with the first block that is written and does not reach
 * beyond the last.  What of it is not overwritten as a whole (the first block, or
 * more in a folio that could not be read) is read before anything is copied.  The
 * copy is made with the folio locked and without faults; if it stops early in a
 * folio that is not up to date, none of it counts and less is tried.
 */
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "../quota.h"
#include "data.h"

/* Reads what is not overwritten by [from, to), offsets in a locked folio. */
static int nexus_folio_fill(struct inode *inode, struct folio *folio,
			    size_t from, size_t to)
{
	u32 head = DIV_ROUND_UP(from, PAGE_SIZE);
	u32 tail = max_t(u32, to >> PAGE_SHIFT, head);
	int err;

	err = nexus_read_blocks(inode, folio, 0, head);
	return err ?: nexus_read_blocks(inode, folio, tail,
					folio_nr_pages(folio) - tail);
}

/*
 * The folio, as nexus_folio_begin(); NULL when it must be tried with other room,
 * -EAGAIN when a pack is not open.  The room stays the caller's.
 */
static struct folio *nexus_folio_try(struct inode *inode, loff_t pos,
				     size_t *bytes, struct nexus_room *room)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio;
	size_t offset;
	int err = 0;
	u32 n;

	/* Pages are stable; FGP_STABLE does not hear a signal. */
	folio = __filemap_get_folio(mapping, pos >> PAGE_SHIFT,
				    (FGP_WRITEBEGIN & ~FGP_STABLE) |
				    fgf_set_order(*bytes),
				    mapping_gfp_mask(mapping));
	if (IS_ERR(folio))
		return folio;
	if (folio_test_writeback(folio)) {
		folio_unlock(folio);
		err = nexus_folio_lock_stable(folio);
		if (err) {
			folio_put(folio);
			return ERR_PTR(err);
		}
		/* Truncation is kept out by i_rwsem; memory that failed is not. */
		if (folio->mapping != mapping)
			goto out;
	}
	if (nexus_folio_oversize(folio)) {
		folio_unlock(folio);
		folio_put(folio);
		err = nexus_folio_shrink(inode, pos >> PAGE_SHIFT);
		return err ? ERR_PTR(err) : NULL;
	}
	if (!nexus_folio_state(folio)) {
		err = -ENOMEM;
		goto out;
	}
	offset = offset_in_folio(folio, pos);
	*bytes = min(*bytes, folio_size(folio) - offset);
	n = nexus_folio_fits(inode, folio, pos >> PAGE_SHIFT,
			     DIV_ROUND_UP(offset_in_page(pos) + *bytes, PAGE_SIZE),
			     room);
	if (!n)
		goto out;
	err = nexus_folio_quota(inode, folio, pos >> PAGE_SHIFT, &n, room);
	if (err || !n)
		goto out;
	*bytes = min(*bytes, n * PAGE_SIZE - offset_in_page(pos));
	if (!folio_test_uptodate(folio))
		err = nexus_folio_fill(inode, folio, offset, offset + *bytes);
	if (!err)
		return folio;
out:
	folio_unlock(folio);
	folio_put(folio);
	return err ? ERR_PTR(err) : NULL;
}

/* As nexus_folio_begin(); room is given back on failure. */
static struct folio *nexus_folio_begin_room(struct inode *inode, loff_t pos,
					    size_t *bytes,
					    struct nexus_room *room)
{
	size_t most = room->blocks * PAGE_SIZE - offset_in_page(pos);
	struct folio *folio = ERR_PTR(-EINTR);

	*bytes = min(*bytes, most);
	/* Not before there is room: direct writes that want the lock have some. */
	if (room->beside && down_read_killable(&inode->i_mapping->invalidate_lock))
		goto out;
	folio = nexus_folio_try(inode, pos, bytes, room);
	if (!IS_ERR_OR_NULL(folio))
		return folio;
	if (room->beside)
		filemap_invalidate_unlock_shared(inode->i_mapping);
out:
	nexus_room_give(inode, room);
	return folio;
}

struct folio *nexus_folio_begin(struct inode *inode, loff_t pos, size_t *bytes,
				bool cut, struct nexus_room *room)
{
	struct folio *folio;
	bool tried = false;
	loff_t first;
	int err;
	u32 n;

	for (;;) {
		n = DIV_ROUND_UP(offset_in_page(pos) + *bytes, PAGE_SIZE);
		err = cut ? nexus_room_take(inode, n, NEXUS_PACKS_CUT, room) :
			    nexus_room_some(inode, pos >> PAGE_SHIFT, n, room);
		if (err)
			return ERR_PTR(err);
		folio = nexus_folio_begin_room(inode, pos, bytes, room);
		if (folio != ERR_PTR(-EAGAIN) && folio)
			return folio;
		if (!folio) {
			err = room->ask ? nexus_quota_load(NEXUS_I(inode)) : 0;
			if (err)
				return ERR_PTR(err);
			room->ask = false;
			continue;
		}
		/*
		 * All the folio there is: it could not be read before.  Of what is
		 * fetched, not all may be needed.
		 */
		first = round_down(pos, NEXUS_FOLIO_BYTES_MAX);
		err = nexus_content_reload(inode, first, NEXUS_FOLIO_BYTES_MAX);
		if (err)
			return ERR_PTR(err);
		err = nexus_content_fetch(inode, first, NEXUS_FOLIO_BYTES_MAX,
					  tried);
		if (err < 0 && (tried || err == -EINTR))
			return ERR_PTR(err);
		tried = err < 0;
	}
}

size_t nexus_folio_end(struct inode *inode, struct folio *folio, loff_t pos,
		       size_t bytes, size_t copied, struct nexus_room *room)
{
	u32 n = DIV_ROUND_UP(offset_in_page(pos) + copied, PAGE_SIZE);

	if (!folio_test_uptodate(folio)) {
		/* Whole blocks were promised; what is missing is not known. */
		if (copied < bytes)
			copied = 0;
		else
			folio_mark_uptodate(folio);
	}
	if (copied) {
		nexus_folio_mark(inode, folio, pos >> PAGE_SHIFT, n, room);
		nexus_folio_dirty(folio);
		if (pos + copied > i_size_read(inode))
			i_size_write(inode, pos + copied);
	}
	folio_unlock(folio);
	folio_put(folio);
	if (room->beside)
		filemap_invalidate_unlock_shared(inode->i_mapping);
	nexus_room_give(inode, room);
	return copied;
}

/* Bytes that count, or -errno; *@copied is what the memory of the caller had. */
static ssize_t nexus_write_some(struct inode *inode, loff_t pos, size_t bytes,
				struct iov_iter *from, size_t *copied)
{
	/* With i_rwsem held exclusively no other begins. */
	struct nexus_room room = { .beside = atomic_read(&inode->i_dio_count) };
	struct folio *folio;
	size_t done;

	folio = nexus_folio_begin(inode, pos, &bytes, false, &room);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (mapping_writably_mapped(inode->i_mapping))
		flush_dcache_folio(folio);
	*copied = copy_folio_from_iter_atomic(folio, offset_in_folio(folio, pos),
					      bytes, from);
	flush_dcache_folio(folio);
	done = nexus_folio_end(inode, folio, pos, bytes, *copied, &room);
	if (done < *copied)
		iov_iter_revert(from, *copied - done);
	return done;
}

ssize_t nexus_perform_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	size_t chunk = mapping_max_folio_size(inode->i_mapping);
	size_t limit = chunk, bytes, copied, written = 0;
	loff_t pos = iocb->ki_pos;
	ssize_t ret = 0;

	while (iov_iter_count(from)) {
		bytes = min3(limit, iov_iter_count(from),
			     (size_t)(chunk - (pos & (chunk - 1))));
		balance_dirty_pages_ratelimited(inode->i_mapping);
		/* Before the folio is locked: it may be the very same one. */
		if (fault_in_iov_iter_readable(from, bytes) == bytes) {
			ret = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = nexus_write_some(inode, pos, bytes, from, &copied);
		if (ret < 0)
			break;
		/* The memory went again: what there was of it, or less. */
		limit = ret ? chunk : copied ?: max(limit / 2, PAGE_SIZE);
		pos += ret;
		written += ret;
		cond_resched();
	}
	iocb->ki_pos = pos;
	return written ?: ret;
}

int nexus_zero_beyond(struct inode *inode, loff_t from, loff_t to)
{
	struct folio *folio;
	size_t offset;
	loff_t end;
	int err = 0;

	if (!offset_in_page(from) || from >= to)
		return 0;
	folio = filemap_get_folio(inode->i_mapping, from >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return 0;
	err = nexus_folio_lock_stable(folio);
	if (err)
		goto out;
	/*
	 * Only a mapping can have put anything there, and writeback has put
	 * zeros on disk, so this need not make the folio dirty.
	 */
	offset = offset_in_folio(folio, from);
	end = min_t(loff_t, to, folio_pos(folio) + folio_size(folio));
	if (folio->mapping == inode->i_mapping && folio_test_uptodate(folio))
		folio_zero_range(folio, offset, end - from);
	folio_unlock(folio);
out:
	folio_put(folio);
	return err;
}
