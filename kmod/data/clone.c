// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sharing of blocks between files: FICLONE, FICLONERANGE, FIDEDUPERANGE, and
 * copy_file_range(2), which clones what is aligned.
 *
 * No data is copied.  The source's dirty pages are written (their EXTENT records
 * come before ours in the log, which is all a crash needs: no flush), then two
 * records a step: SHARE, which says that the source's extents are not the
 * only owners of their blocks any more, unless that was said before; and CLONE.
 *
 * A large range goes in chunks, a chunk in steps.  Before a chunk log room is
 * taken, without the locks that page faults wait for.  Then both files'
 * invalidate_lock is held, so that no page gets dirty through a mapping: what a
 * chunk has of the source is of one moment, and what was compared stays equal.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../quota.h"
#include "data.h"

#define NEXUS_CLONE_CHUNK	4096u	/* blocks */
#define NEXUS_CLONE_PIECES	256u	/* extents of a step */
#define NEXUS_CLONE_STEP_BYTES	(sizeof(struct nexus_rec_share) + \
				 sizeof(struct nexus_rec_clone))
/* Steps of a chunk: so many are full of extents, and so many of blocks. */
#define NEXUS_CLONE_STEPS	(NEXUS_CLONE_CHUNK / NEXUS_CLONE_PIECES + \
				 NEXUS_CLONE_CHUNK / NEXUS_CLONE_BLOCKS_MAX)

struct nexus_clone {
	struct file *file_in, *file_out;
	struct inode *src, *dst;
	unsigned int flags;		/* REMAP_FILE_* */
	loff_t pos_in, pos_out, len;	/* still to be done, bytes */
	struct nexus_resv resv;
	/* What a step shares, as the source has it. */
	struct nexus_ext *piece;
	u32 nr;
	u32 mapped;			/* blocks of all pieces */
	bool fresh;			/* some are not SHARED yet */
	u32 src_changes, dst_changes;	/* of the maps, prepared */
	bool ask;			/* -EAGAIN: for quotas of the destination */
};

/* ---- locks ---------------------------------------------------------------- */

/* As lock_two_nondirectories(), killable: the holder may wait for the helper. */
static int nexus_clone_lock(struct inode *a, struct inode *b)
{
	if (a > b)
		swap(a, b);
	if (down_write_killable(&a->i_rwsem))
		return -EINTR;
	if (a != b && down_write_killable_nested(&b->i_rwsem, I_MUTEX_NONDIR2)) {
		inode_unlock(a);
		return -EINTR;
	}
	return 0;
}

/* As filemap_invalidate_lock_two(), killable. */
static int nexus_clone_freeze(struct inode *a, struct inode *b)
{
	if (a > b)
		swap(a, b);
	if (down_write_killable(&a->i_mapping->invalidate_lock))
		return -EINTR;
	if (a != b &&
	    down_write_killable_nested(&b->i_mapping->invalidate_lock, 1)) {
		filemap_invalidate_unlock(a->i_mapping);
		return -EINTR;
	}
	return 0;
}

/* ---- steps ------------------------------------------------------------------ */

/*
 * Gathers at most @max extents of source blocks [from, end); returns where that
 * ends.  Extents never written count as holes.
 */
static u64 nexus_clone_gather(struct nexus_clone *c, u64 from, u64 end, u32 max)
{
	struct nexus_ext e;
	u64 at = from, skip;

	c->nr = 0;
	c->mapped = 0;
	c->fresh = false;
	while (at < end && nexus_map_next(NEXUS_I(c->src), at, &e) &&
	       e.fblock < end) {
		skip = e.fblock < from ? from - e.fblock : 0;
		at = e.fblock + e.nblocks;
		if (e.flags & NEXUS_EF_UNWRITTEN)
			continue;
		e.fblock += skip;
		if (c->nr == max)
			return e.fblock;
		e.block += skip;
		e.nblocks = min(at, end) - e.fblock;
		c->piece[c->nr++] = e;
		c->mapped += e.nblocks;
		c->fresh |= !(e.flags & NEXUS_EF_SHARED);
	}
	return end;
}

static int nexus_clone_share(struct nexus_clone *c, u64 from, u32 n)
{
	struct nexus_inode *src = NEXUS_I(c->src);
	struct nexus_rec_share rec;
	u64 lsn;
	int err;
	u32 i;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_SHARE, 0,
		       nexus_ts(inode_get_ctime(c->dst)));
	rec.ino = cpu_to_le64(c->src->i_ino);
	rec.data_id = cpu_to_le64(src->data_id);
	rec.offset = cpu_to_le64(from << NEXUS_BLOCK_SHIFT);
	rec.nblocks = cpu_to_le32(n);
	err = nexus_mutate(src->zone, &c->resv, &rec.head, &lsn);
	if (err)
		return err;
	for (i = 0; i < c->nr; i++)
		c->piece[i].flags |= NEXUS_EF_SHARED;
	nexus_map_replace(src, 0, 0, c->piece, c->nr);
	c->src_changes -= c->nr;
	nexus_inode_logged(src, lsn);
	return 0;
}

static void nexus_clone_record(struct nexus_clone *c, u64 from, u64 to, u32 n,
			       u64 size, struct nexus_rec_clone *rec)
{
	struct timespec64 mtime = inode_get_mtime(c->dst);
	struct timespec64 ctime = inode_get_ctime(c->dst);

	memset(rec, 0, sizeof(*rec));
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_CLONE, 0,
		       nexus_ts(ctime));
	rec->src_ino = cpu_to_le64(c->src->i_ino);
	rec->src_data_id = cpu_to_le64(NEXUS_I(c->src)->data_id);
	rec->src_offset = cpu_to_le64(from << NEXUS_BLOCK_SHIFT);
	rec->ino = cpu_to_le64(c->dst->i_ino);
	rec->data_id = cpu_to_le64(NEXUS_I(c->dst)->data_id);
	rec->offset = cpu_to_le64(to << NEXUS_BLOCK_SHIFT);
	rec->size = cpu_to_le64(size);
	rec->nblocks = cpu_to_le32(n);
	rec->mapped = cpu_to_le32(c->mapped);
	rec->mtime_s = cpu_to_le64(mtime.tv_sec);
	rec->ctime_s = cpu_to_le64(ctime.tv_sec);
	rec->mtime_ns = cpu_to_le32(mtime.tv_nsec);
	rec->ctime_ns = cpu_to_le32(ctime.tv_nsec);
}

/* The log_mutex of both is held.  @size: end of the step, in bytes. */
static int nexus_clone_commit(struct nexus_clone *c, u64 from, u64 to, u32 n,
			      u64 size)
{
	struct nexus_inode *dst = NEXUS_I(c->dst);
	struct nexus_rec_clone rec;
	u64 lsn;
	int err;
	u32 i;

	if (c->fresh) {
		nexus_inplace_shared(c->src);
		err = nexus_clone_share(c, from, n);
		if (err)
			return err;
	}
	nexus_clone_record(c, from, to, n, size, &rec);
	err = nexus_mutate(dst->zone, &c->resv, &rec.head, &lsn);
	if (err)
		return err;
	for (i = 0; i < c->nr; i++)
		c->piece[i].fblock += to - from;
	if (size > dst->disk_size)
		WRITE_ONCE(dst->disk_size, size);
	nexus_map_replace(dst, to, n, c->piece, c->nr);
	c->dst_changes -= c->nr + 1;
	if (size > i_size_read(c->dst))
		i_size_write(c->dst, size);
	dst->version++;
	WRITE_ONCE(dst->gen, dst->gen + 1);
	if (!test_bit(NEXUS_I_PACKS, &NEXUS_I(c->src)->state)) {
		/* Map and gen before the bit: see nexus_content_load(). */
		smp_mb();
		clear_bit(NEXUS_I_PACKS, &dst->state);
	}
	nexus_inode_logged(dst, lsn);
	nexus_times_logged(dst, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	return 0;
}

/* Memory for a step of at most @n extents; @share: the source's change, too. */
static int nexus_clone_remember(struct nexus_clone *c, u32 n, bool share)
{
	int err = 0;

	c->src_changes = share ? n : 0;
	c->dst_changes = n + 1;
	if (share)
		err = nexus_map_prepare(NEXUS_I(c->src), c->src_changes);
	if (err)
		return err;
	err = nexus_map_prepare(NEXUS_I(c->dst), c->dst_changes);
	if (err)
		nexus_map_unprepare(NEXUS_I(c->src), c->src_changes);
	return err;
}

/* What was gathered is more than destination blocks [to, to + n) by so much. */
static u64 nexus_clone_growth(struct nexus_clone *c, u64 to, u64 n)
{
	u64 had = n - nexus_map_holes(NEXUS_I(c->dst), to, to + n);

	return c->mapped > had ? c->mapped - had : 0;
}

/*
 * Shares what comes next, up to source block @end; both files are frozen and
 * the destination's pages gone (or right, when they were compared).
 */
static int nexus_clone_step(struct nexus_clone *c, u64 end)
{
	u64 from = c->pos_in >> NEXUS_BLOCK_SHIFT;
	u64 to = c->pos_out >> NEXUS_BLOCK_SHIFT;
	struct nexus_lockset set;
	loff_t bytes;
	bool share;
	u64 grow;
	u32 max, n;
	int err;
	bool busy;

	end = min(end, from + NEXUS_CLONE_BLOCKS_MAX);
	end = nexus_clone_gather(c, from, end, NEXUS_CLONE_PIECES);
	max = max(c->nr, 1);
	share = c->fresh;
	grow = nexus_clone_growth(c, to, end - from);
	err = nexus_quota_take(NEXUS_I(c->dst), grow, false);
	c->ask = err == -EAGAIN;
	if (err)
		return err;
	err = nexus_clone_remember(c, max, share);
	if (err)
		goto out_quota;
	nexus_lock_inodes(&set, c->src, c->dst, NULL, NULL);
	/*
	 * Again: pages that a device dirtied may have been written meanwhile.  If
	 * that needs memory that was not taken, or such a write in place is under
	 * way, the step is tried once more.
	 */
	n = nexus_clone_gather(c, from, end, max) - from;
	bytes = min_t(loff_t, c->len, (loff_t)n << NEXUS_BLOCK_SHIFT);
	busy = c->fresh && NEXUS_I(c->src)->inplace;
	if (busy || (c->fresh && !share))
		bytes = 0;
	else
		err = nexus_clone_commit(c, from, to, n, c->pos_out + bytes);
	nexus_unlock_inodes(&set);
	nexus_map_unprepare(NEXUS_I(c->src), c->src_changes);
	nexus_map_unprepare(NEXUS_I(c->dst), c->dst_changes);
	if (busy)
		err = nexus_wait_written(c->src->i_mapping, 0, LLONG_MAX);
	if (!err) {
		c->pos_in += bytes;
		c->pos_out += bytes;
		c->len -= bytes;
	}
out_quota:
	nexus_quota_give(NEXUS_I(c->dst), grow);
	return err;
}

/* ---- chunks ------------------------------------------------------------------ */

/* Dirty pages of the chunk at hand are written, and those of the destination go. */
static int nexus_clone_settle(struct nexus_clone *c, loff_t len)
{
	int err;

	err = nexus_write_and_wait(c->src, c->pos_in, c->pos_in + len - 1);
	if (!err)
		err = nexus_write_and_wait(c->dst, c->pos_out,
					   c->pos_out + len - 1);
	if (!err)
		err = nexus_cache_drop(c->dst, c->pos_out >> NEXUS_BLOCK_SHIFT,
				       DIV_ROUND_UP_ULL(c->pos_out + len,
							NEXUS_BLOCK_SIZE));
	return err;
}

/* Compares the chunk at hand, too; *@len as for the VFS. */
static int nexus_clone_compare(struct nexus_clone *c, loff_t *len)
{
	return generic_remap_file_range_prep(c->file_in, c->pos_in, c->file_out,
					     c->pos_out, len, c->flags);
}

static int nexus_clone_chunk(struct nexus_clone *c)
{
	struct nexus_zone *zone = NEXUS_I(c->src)->zone;
	loff_t len = min_t(loff_t, c->len,
			   (loff_t)NEXUS_CLONE_CHUNK << NEXUS_BLOCK_SHIFT);
	loff_t old = i_size_read(c->dst);
	u64 end;
	int err;

	if (fatal_signal_pending(current))
		return -EINTR;
	err = nexus_log_reserve(zone, &c->resv,
				NEXUS_CLONE_STEPS * NEXUS_CLONE_STEP_BYTES, 0);
	if (err)
		return err;
	err = nexus_clone_freeze(c->src, c->dst);
	if (err)
		goto out_unreserve;
	if (c->flags & REMAP_FILE_DEDUP) {
		err = nexus_clone_compare(c, &len);
		/* Shortened to nothing: the rest cannot be shared. */
		if (!err && !len)
			c->len = 0;
	} else {
		err = nexus_clone_settle(c, len);
	}
	end = DIV_ROUND_UP_ULL(c->pos_in + len, NEXUS_BLOCK_SIZE);
	/* Room for every step there can be, unless the map changed much. */
	while (!err && c->len && c->pos_in >> NEXUS_BLOCK_SHIFT < end &&
	       c->resv.bytes >= NEXUS_CLONE_STEP_BYTES)
		err = nexus_clone_step(c, end);
	if (i_size_read(c->dst) > old)
		pagecache_isize_extended(c->dst, old, i_size_read(c->dst));
	if (c->src != c->dst)
		filemap_invalidate_unlock(c->dst->i_mapping);
	filemap_invalidate_unlock(c->src->i_mapping);
out_unreserve:
	nexus_log_unreserve(&c->resv);
	return err;
}

/* ---- the call -------------------------------------------------------------------- */

static int nexus_clone_allowed(const struct nexus_clone *c)
{
	struct nexus_inode *src = NEXUS_I(c->src), *dst = NEXUS_I(c->dst);

	if (c->flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	if (!S_ISREG(c->src->i_mode) || !S_ISREG(c->dst->i_mode) ||
	    test_bit(NEXUS_I_SYS, &dst->state))
		return -EINVAL;
	/* Their bytes are records. */
	if ((src->iflags | dst->iflags) & NEXUS_IF_STREAM)
		return -EOPNOTSUPP;
	/* A store whose other users would not know what SHARED means. */
	if (!(src->zone->features & NEXUS_INCOMPAT_SHARED))
		return -EOPNOTSUPP;
	return nexus_inode_writable(c->dst);
}

/* What is inline has no blocks to share: the whole of it is copied, or it is ended. */
static int nexus_clone_inline(struct nexus_clone *c)
{
	int err;

	if (!(c->flags & REMAP_FILE_DEDUP) && !c->pos_in && !c->pos_out) {
		err = nexus_inline_copy(c->src, c->dst, c->len);
		if (!err) {
			c->pos_out = c->len;
			c->len = 0;
		}
		if (err != -EAGAIN)
			return err;
	}
	err = nexus_inline_end(c->src, NEXUS_PACKS_GROW);
	return err ?: nexus_inline_end(c->dst, NEXUS_PACKS_GROW);
}

/*
 * Everything the VFS checks and prepares, and what is asked of the helper.
 * i_rwsem of both is held.
 */
static int nexus_clone_prepare(struct nexus_clone *c)
{
	bool dedup = c->flags & REMAP_FILE_DEDUP;
	loff_t old = i_size_read(c->dst);
	int err;

	/* Writes under way want invalidate_lock, and comparing waits for them. */
	err = nexus_dio_wait(c->src);
	if (!err)
		err = nexus_dio_wait(c->dst);
	if (!err)
		err = nexus_extents_load(c->src);
	if (!err)
		err = nexus_extents_load(c->dst);
	if (err)
		return err;
	if (!dedup) {
		err = generic_remap_file_range_prep(c->file_in, c->pos_in,
						    c->file_out, c->pos_out,
						    &c->len, c->flags);
		if (!err && c->len && c->pos_out > old)
			err = nexus_zero_beyond(c->dst, old, c->pos_out);
		return err || !c->len ? err : nexus_clone_inline(c);
	}
	/* Chunks are checked and compared one by one; this is for them all. */
	if (c->src == c->dst && c->pos_out < c->pos_in + c->len &&
	    c->pos_in < c->pos_out + c->len)
		return -EINVAL;
	err = nexus_clone_inline(c);
	if (!err)
		err = nexus_content_load(c->src, c->pos_in, c->len);
	return err ?: nexus_content_load(c->dst, c->pos_out, c->len);
}

/* Comparing has failed: true if it may go on, for something was fetched. */
static bool nexus_clone_mend(struct nexus_clone *c, int *err,
			     unsigned int *tries)
{
	size_t len = min_t(loff_t, c->len,
			   (loff_t)NEXUS_CLONE_CHUNK << NEXUS_BLOCK_SHIFT);

	return nexus_content_mend(c->src, c->pos_in, len, err, tries) ||
	       nexus_content_mend(c->dst, c->pos_out, len, err, tries);
}

static int nexus_clone_run(struct nexus_clone *c)
{
	unsigned int tries = 0;
	int err;

	/* Blocks of one must not become those of the other: as on btrfs. */
	if (nexus_inplace_flags(c->src) != nexus_inplace_flags(c->dst))
		return -EINVAL;
	err = nexus_clone_prepare(c);
	if (err || !c->len)
		return err;
	c->piece = kvmalloc_array(NEXUS_CLONE_PIECES, sizeof(*c->piece),
				  GFP_KERNEL_ACCOUNT);
	if (!c->piece)
		return -ENOMEM;
	while (!err && c->len) {
		err = nexus_clone_chunk(c);
		/* Without the locks that it has. */
		if (err == -EAGAIN && c->ask)
			err = nexus_quota_load(NEXUS_I(c->dst));
		if (err == -EIO && c->flags & REMAP_FILE_DEDUP &&
		    nexus_clone_mend(c, &err, &tries))
			err = 0;
	}
	kvfree(c->piece);
	return err;
}

loff_t nexus_remap_file_range(struct file *file_in, loff_t pos_in,
			      struct file *file_out, loff_t pos_out,
			      loff_t len, unsigned int flags)
{
	struct nexus_clone c = {
		.file_in = file_in,
		.file_out = file_out,
		.src = file_inode(file_in),
		.dst = file_inode(file_out),
		.flags = flags,
		.pos_in = pos_in,
		.pos_out = pos_out,
		.len = len,
	};
	loff_t done;
	int err, err2;

	err = nexus_clone_allowed(&c);
	if (err)
		return err;
	err = nexus_clone_lock(c.src, c.dst);
	if (err)
		return err;
	/* Also each comparison waits for direct I/O. */
	nexus_dio_hold(c.src);
	nexus_dio_hold(c.dst);
	err = nexus_clone_run(&c);
	nexus_dio_release(c.src);
	nexus_dio_release(c.dst);
	/* Of what the VFS has set the times; a comparison has not. */
	if (!(flags & REMAP_FILE_DEDUP))
		nexus_touched(c.dst);
	inode_unlock(c.src);
	if (c.src != c.dst)
		inode_unlock(c.dst);
	done = c.pos_out - pos_out;
	if (done && (file_out->f_flags & O_DSYNC || IS_SYNC(c.dst))) {
		err2 = vfs_fsync_range(file_out, pos_out, pos_out + done - 1,
				       !(file_out->f_flags & __O_SYNC));
		err = err ?: err2;
	}
	/* Part of it is an answer only for those who asked for one. */
	if (err && !(done && flags & REMAP_FILE_CAN_SHORTEN &&
		     !(flags & REMAP_FILE_DEDUP)))
		return err;
	return done;
}
