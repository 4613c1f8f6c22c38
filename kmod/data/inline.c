// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tiny files: the body travels in the log and is kept in the index.
 *
 * Writeback of a file of at most NEXUS_INLINE_MAX bytes without extents appends one
 * INLINE record with all of it, and no pack is written; where there is no room or
 * memory for that, the block it has taken room for is written as always.  The body
 * stays in memory with the inode and is what the page cache is filled from.
 *
 * A body is inline or extents, never both, and the first extent is that of block 0.
 * So whoever is about to make something that does not fit calls nexus_inline_end()
 * first: NEXUS_I_SPREAD, set under log_mutex, keeps writeback from storing the body
 * inline from then on, and one that is inline already goes to a pack before anything
 * else is dirtied.  Only emptying the file takes the bit away.
 */
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "../quota.h"
#include "data.h"

/* log_mutex and map_sem to change, map_sem to read. */
struct nexus_body {
	u32 len;
	u8 data[];
};

static struct nexus_body *nexus_body_new(const void *data, u32 len, gfp_t gfp)
{
	struct nexus_body *body;

	body = kmalloc(struct_size(body, data, len), gfp | __GFP_ACCOUNT);
	if (body) {
		body->len = len;
		memcpy(body->data, data, len);
	}
	return body;
}

/* The inode's body is @body from now on, or, if NULL, not inline. */
static void nexus_body_set(struct nexus_inode *ni, struct nexus_body *body)
{
	u32 inl = body ? NEXUS_IF_INLINE : 0;

	lockdep_assert_held(&ni->log_mutex);
	down_write(&ni->map_sem);
	swap(ni->body, body);
	up_write(&ni->map_sem);
	WRITE_ONCE(ni->iflags, (ni->iflags & ~NEXUS_IF_INLINE) | inl);
	kfree(body);
}

/* ---- reading ------------------------------------------------------------------ */

int nexus_inline_prime(struct inode *inode, const void *content, u32 len)
{
	/* Nobody else has the inode yet. */
	NEXUS_I(inode)->body = nexus_body_new(content, len, GFP_KERNEL);
	return NEXUS_I(inode)->body ? 0 : -ENOMEM;
}

static int nexus_inline_publish(struct nexus_inode *ni, u64 data_id,
				const void *data, u32 len)
{
	struct nexus_body *body = nexus_body_new(data, len, GFP_KERNEL);

	if (!body)
		return -ENOMEM;
	mutex_lock(&ni->log_mutex);
	/* What changes a body that is not known changes the data id. */
	if (ni->data_id == data_id && !test_bit(NEXUS_I_EXTENTS, &ni->state)) {
		nexus_body_set(ni, body);
		body = NULL;
		/* Whoever sees the bit sees the body. */
		smp_mb__before_atomic();
		set_bit(NEXUS_I_EXTENTS, &ni->state);
	}
	mutex_unlock(&ni->log_mutex);
	kfree(body);
	return 0;
}

void nexus_inline_learn(struct inode *inode, u64 data_id, const void *data,
			u32 len)
{
	/* Not learned is asked for. */
	(void)nexus_inline_publish(NEXUS_I(inode), data_id, data,
				   min_t(loff_t, len, i_size_read(inode)));
}

int nexus_inline_load(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 data_id = READ_ONCE(ni->data_id), applied;
	void *buf = kmalloc(NEXUS_INLINE_MAX, GFP_KERNEL);
	int n;

	if (!buf)
		return -ENOMEM;
	n = nexus_ms_read(ni->zone, NEXUS_OP_INLINE, inode->i_ino, 0, 0, NULL, 0,
			  READ_ONCE(ni->last_lsn), buf, NEXUS_INLINE_MAX,
			  &applied);
	if (n > 0)
		n = nexus_inline_publish(ni, data_id, buf,
					 min_t(loff_t, n, i_size_read(inode)));
	else if (!n)
		n = -EIO;
	kfree(buf);
	/* Emptied meanwhile: then it is known without. */
	return test_bit_acquire(NEXUS_I_EXTENTS, &ni->state) ? 0 : n;
}

bool nexus_inline_read(struct inode *inode, u64 fblock, struct page *page)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	const struct nexus_body *body;

	if (fblock || !READ_ONCE(ni->body))
		return false;
	down_read(&ni->map_sem);
	body = ni->body;
	if (body) {
		memcpy_to_page(page, 0, body->data, body->len);
		memzero_page(page, body->len, PAGE_SIZE - body->len);
	}
	up_read(&ni->map_sem);
	return body;
}

u32 nexus_inline_len(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 len;

	down_read(&ni->map_sem);
	len = ni->body ? ni->body->len : 0;
	up_read(&ni->map_sem);
	return len;
}

/* ---- writing ------------------------------------------------------------------- */

bool nexus_inline_may(struct nexus_inode *ni)
{
	bool empty;

	if (test_bit(NEXUS_I_SPREAD, &ni->state) ||
	    !test_bit(NEXUS_I_EXTENTS, &ni->state) ||
	    nexus_inplace_flags(&ni->vfs))
		return false;
	down_read(&ni->map_sem);
	empty = !ni->map || !nexus_extmap_count(ni->map);
	up_read(&ni->map_sem);
	return empty;
}

/* 0, -EAGAIN: not inline any more, or -errno and the zone fails.  Eats @body at 0. */
static int nexus_inline_commit(struct nexus_inode *ni,
			       struct nexus_rec_inline *rec,
			       struct nexus_body *body, struct nexus_resv *resv)
{
	struct timespec64 mtime, ctime;
	u64 lsn;
	int err;

	mutex_lock(&ni->log_mutex);
	if (!nexus_inline_may(ni)) {
		err = -EAGAIN;
		goto out;
	}
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	mtime = inode_get_mtime(&ni->vfs);
	ctime = inode_get_ctime(&ni->vfs);
	rec->head.time_s = cpu_to_le64(ctime.tv_sec);
	rec->head.time_ns = cpu_to_le32(ctime.tv_nsec);
	rec->data_id = cpu_to_le64(ni->data_id);
	rec->mtime_s = cpu_to_le64(mtime.tv_sec);
	rec->mtime_ns = cpu_to_le32(mtime.tv_nsec);
	rec->ctime_s = cpu_to_le64(ctime.tv_sec);
	rec->ctime_ns = cpu_to_le32(ctime.tv_nsec);
	err = nexus_mutate(ni->zone, resv, &rec->head, &lsn);
	if (err)
		goto out;
	if (body->len > ni->disk_size)
		WRITE_ONCE(ni->disk_size, body->len);
	nexus_body_set(ni, body);
	ni->version++;
	WRITE_ONCE(ni->gen, ni->gen + 1);
	nexus_inode_logged(ni, lsn);
out:
	mutex_unlock(&ni->log_mutex);
	return err;
}

/*
 * The first @len bytes of a locked folio as the file's body.  -EAGAIN: write the
 * block.  Nobody waits for room here.
 */
static int nexus_inline_store(struct inode *inode, struct folio *folio, u32 len)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	size_t reclen = nexus_rec_inline_len(len);
	struct nexus_rec_inline *rec;
	struct nexus_body *body;
	struct nexus_resv resv;
	int err = -EAGAIN;

	rec = kmalloc(reclen, GFP_NOFS | __GFP_NOWARN);
	if (!rec)
		return -EAGAIN;
	nexus_rec_init(&rec->head, reclen, NEXUS_REC_INLINE, 0,
		       (struct nexus_time){});
	rec->ino = cpu_to_le64(inode->i_ino);
	rec->len = cpu_to_le32(len);
	/* Once: a device may still be writing there. */
	memcpy_from_folio(rec->data, folio, 0, len);
	body = nexus_body_new(rec->data, len, GFP_NOFS | __GFP_NOWARN);
	if (body && !nexus_log_reserve(ni->zone, &resv, reclen,
				       NEXUS_RESV_NOWAIT)) {
		err = nexus_inline_commit(ni, rec, body, &resv);
		nexus_log_unreserve(&resv);
	}
	if (err)
		kfree(body);
	kfree(rec);
	return err;
}

bool nexus_inline_write(struct inode *inode, struct folio *folio, loff_t size,
			u64 delayed, struct nexus_resv *resv)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	int err;

	if (folio->index || size > NEXUS_INLINE_MAX ||
	    !(ni->zone->features & NEXUS_INCOMPAT_INLINE) ||
	    !nexus_inline_may(ni))
		return false;
	err = nexus_inline_store(inode, folio, size);
	if (err == -EAGAIN)
		return false;
	if (err) {
		WRITE_ONCE(ni->zone->content_lost, true);
		mapping_set_error(inode->i_mapping, -EIO);
	}
	/* What was taken for a block. */
	nexus_log_unreserve(resv);
	nexus_packs_unreserve(ni->zone, 1);
	nexus_folio_landed(inode, hweight64(delayed));
	/* For the tags of the page cache. */
	folio_start_writeback(folio);
	folio_unlock(folio);
	folio_end_writeback(folio);
	return true;
}

int nexus_inline_copy(struct inode *src, struct inode *dst, loff_t len)
{
	struct nexus_room room = {};
	struct folio *folio;
	size_t bytes = len;
	void *buf;

	if (len > NEXUS_INLINE_MAX || len != i_size_read(src) ||
	    !(NEXUS_I(src)->zone->features & NEXUS_INCOMPAT_INLINE) ||
	    !nexus_inline_may(NEXUS_I(src)))
		return -EAGAIN;
	/* The body is in memory: this does not wait for the helper. */
	folio = read_mapping_folio(src->i_mapping, 0, NULL);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	buf = kmalloc(len, GFP_KERNEL);
	if (buf)
		memcpy_from_folio(buf, folio, 0, len);
	folio_put(folio);
	if (!buf)
		return -ENOMEM;
	folio = nexus_folio_begin(dst, 0, &bytes, false, &room);
	if (!IS_ERR(folio)) {
		memcpy_to_folio(folio, 0, buf, len);
		nexus_folio_end(dst, folio, 0, bytes, bytes, &room);
	}
	kfree(buf);
	return PTR_ERR_OR_ZERO(folio);
}

/* ---- the end of an inline body ----------------------------------------------------- */

void nexus_inline_gone(struct nexus_inode *ni)
{
	if (ni->iflags & NEXUS_IF_INLINE)
		nexus_body_set(ni, NULL);
}

void nexus_inline_cut(struct nexus_inode *ni, loff_t size)
{
	lockdep_assert_held(&ni->log_mutex);
	if (!size) {
		nexus_inline_gone(ni);
		clear_bit(NEXUS_I_SPREAD, &ni->state);
	} else if (ni->body && ni->body->len > size) {
		down_write(&ni->map_sem);
		ni->body->len = size;
		up_write(&ni->map_sem);
	}
}

/*
 * Makes block 0 dirty with @room.  0, -EAGAIN: once more, or -errno.  The file may
 * have been emptied; then there is nothing to do.
 */
static int nexus_inline_dirty(struct inode *inode, struct nexus_room *room)
{
	struct address_space *mapping = inode->i_mapping;
	bool oversize = false;
	struct folio *folio;
	int err = -EAGAIN;
	u32 n = 1;

	/* The body is in memory: this does not wait for the helper. */
	folio = read_mapping_folio(mapping, 0, NULL);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (nexus_folio_lock_stable(folio)) {
		folio_put(folio);
		return -EINTR;
	}
	if (folio->mapping != mapping)
		goto out;
	oversize = nexus_folio_oversize(folio);
	if (oversize)
		goto out;
	err = -ENOMEM;
	if (!nexus_folio_state(folio))
		goto out;
	err = nexus_folio_quota(inode, folio, 0, &n, room);
	if (!err && !n)
		err = -EAGAIN;
	if (!err) {
		nexus_folio_mark(inode, folio, 0, 1, room);
		nexus_folio_dirty(folio);
	}
out:
	folio_unlock(folio);
	folio_put(folio);
	return oversize ? nexus_folio_shrink(inode, 0) ?: -EAGAIN : err;
}

/* The inline body as a dirty block of the page cache. */
static int nexus_inline_take_out(struct inode *inode, enum nexus_packs_use use)
{
	struct address_space *mapping = inode->i_mapping;
	struct nexus_room room = {};
	int err;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = nexus_room_take(inode, 1, use, &room);
		if (err)
			return err;
		/* Cuts take it: the size does not change below. */
		filemap_invalidate_lock_shared(mapping);
		if (i_size_read(inode))
			err = nexus_inline_dirty(inode, &room);
		filemap_invalidate_unlock_shared(mapping);
		nexus_room_give(inode, &room);
		if (err != -EAGAIN)
			continue;
		err = room.ask ? nexus_quota_load(NEXUS_I(inode)) : 0;
		room.ask = false;
		err = err ?: -EAGAIN;
	} while (err == -EAGAIN);
	return err;
}

int nexus_inline_end(struct inode *inode, enum nexus_packs_use use)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	bool inl;
	int err;

	if (nexus_inline_ended(inode))
		return 0;
	err = nexus_extents_load(inode);
	if (err)
		return err;
	mutex_lock(&ni->log_mutex);
	set_bit(NEXUS_I_SPREAD, &ni->state);
	inl = ni->iflags & NEXUS_IF_INLINE;
	mutex_unlock(&ni->log_mutex);
	if (!inl)
		return 0;
	err = nexus_inline_take_out(inode, use);
	/* It is the disk one waits for. */
	if (!err)
		err = nexus_write_and_wait(inode, 0, PAGE_SIZE - 1);
	if (!err && READ_ONCE(ni->iflags) & NEXUS_IF_INLINE)
		err = -EIO;
	return err;
}
