// SPDX-License-Identifier: GPL-2.0-only
/* File operations of regular files; fsync of everything. */
#include <linux/fadvise.h>
#include <linux/filelock.h>
#include <linux/mm.h>
#include <linux/splice.h>
#include <linux/writeback.h>

#include "../plock.h"
#include "../quota.h"
#include "../xattr.h"
#include "data.h"

/* ---- reading and writing --------------------------------------------------- */

/* So much is asked for at once of what is not there. */
#define NEXUS_FETCH_AHEAD	(NEXUS_ENSURE_BLOCKS << NEXUS_BLOCK_SHIFT)

/*
 * A read that fails leaves a quarter of the file's readahead, because of disks that are
 * going bad, until every page is read alone.  What only was not here is no such thing.
 */
static bool nexus_file_mend(struct file *file, loff_t pos, size_t len, int *err,
			    unsigned int *tries, unsigned int ra_pages)
{
	if (!nexus_content_mend(file_inode(file), pos, len, err, tries))
		return false;
	if (READ_ONCE(file->f_ra.ra_pages) < ra_pages)
		WRITE_ONCE(file->f_ra.ra_pages, ra_pages);
	return true;
}

/*
 * What is in the page cache need not be in a pack: so it is read first, and fetched
 * when that has failed.
 */
static ssize_t nexus_buffered_read(struct kiocb *iocb, struct iov_iter *to)
{
	unsigned int tries = 0, ra_pages = iocb->ki_filp->f_ra.ra_pages;
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret, done = 0;
	size_t len;
	int err;

	for (;;) {
		ret = generic_file_read_iter(iocb, to);
		if (ret > 0) {
			done += ret;
			tries = 0;
		}
		len = iov_iter_count(to);
		if (!ret || !len || iocb->ki_flags & (IOCB_NOWAIT | IOCB_WAITQ) ||
		    iocb->ki_pos >= i_size_read(inode))
			break;
		err = ret < 0 ? ret : -EIO;
		if (!nexus_file_mend(iocb->ki_filp, iocb->ki_pos,
				     min_t(size_t, len, NEXUS_FETCH_AHEAD),
				     &err, &tries, ra_pages)) {
			ret = ret < 0 ? err : ret;
			break;
		}
	}
	return done ?: ret;
}

ssize_t nexus_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int err;

	if (iocb->ki_flags & IOCB_DIRECT)
		return nexus_direct_read(iocb, to);
	/* With IOCB_WAITQ a folio is waited for by a callback, and nothing else. */
	if (iocb->ki_flags & (IOCB_NOWAIT | IOCB_WAITQ))
		err = nexus_content_ready(inode) ? 0 : -EAGAIN;
	else
		err = nexus_content_load(inode, iocb->ki_pos,
					 iov_iter_count(to));
	return err ?: nexus_buffered_read(iocb, to);
}

static ssize_t nexus_splice_read(struct file *in, loff_t *ppos,
				 struct pipe_inode_info *pipe, size_t len,
				 unsigned int flags)
{
	unsigned int tries = 0, ra_pages = in->f_ra.ra_pages;
	struct inode *inode = file_inode(in);
	ssize_t ret;
	int err;

	err = nexus_content_load(inode, *ppos, len);
	while (!err) {
		ret = filemap_splice_read(in, ppos, pipe, len, flags);
		if (ret >= 0)
			return ret;
		err = ret;
		if (nexus_file_mend(in, *ppos,
				    min_t(size_t, len, NEXUS_FETCH_AHEAD),
				    &err, &tries, ra_pages))
			err = 0;
	}
	return err;
}

/* What is written in part is read first. */
static int nexus_write_load(struct inode *inode, loff_t pos, size_t len)
{
	loff_t end = pos + len;
	int err = nexus_extents_load(inode);

	if (!err && offset_in_page(pos))
		err = nexus_content_load(inode, pos, 1);
	if (!err && offset_in_page(end))
		err = nexus_content_load(inode, end - 1, 1);
	return err;
}

int nexus_write_prepare(struct kiocb *iocb, size_t len)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	int err;

	/* It was not when it was opened. */
	if (IS_IMMUTABLE(inode))
		return -EPERM;
	err = nexus_inode_writable(inode);
	if (!err)
		err = nexus_write_load(inode, iocb->ki_pos, len);
	if (!err)
		err = nexus_inplace_load(inode, iocb->ki_pos, len);
	if (!err && iocb->ki_pos + len > NEXUS_INLINE_MAX)
		err = nexus_inline_end(inode, NEXUS_PACKS_GROW);
	if (!err)
		err = file_modified(file);
	if (!err)
		nexus_touched(inode);
	if (!err && iocb->ki_pos > i_size_read(inode))
		err = nexus_zero_beyond(inode, i_size_read(inode),
					iocb->ki_pos);
	return err;
}

static ssize_t nexus_buffered_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;
	int err;

	/* Killable: who has it may be waiting for the helper. */
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	ret = generic_write_checks(iocb, from);
	if (ret > 0) {
		err = nexus_write_prepare(iocb, ret);
		ret = err ?: nexus_perform_write(iocb, from);
	}
	inode_unlock(inode);
	return ret;
}

static ssize_t nexus_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	bool direct = iocb->ki_flags & IOCB_DIRECT;
	ssize_t ret = -ENOTBLK;

	if (direct) {
		ret = nexus_direct_write_begin(iocb, from);
		if (ret != -EAGAIN)
			return ret;
		ret = -ENOTBLK;
	}
	/* There may be something to wait for: a block, or room in the log. */
	if (iocb->ki_flags & IOCB_NOWAIT)
		return direct ? -EAGAIN : -EOPNOTSUPP;
	if (direct)
		ret = nexus_direct_write(iocb, from);
	if (ret == -ENOTBLK) {
		ret = nexus_buffered_write(iocb, from);
		/* Not whole blocks: on disk and out of the cache all the same. */
		if (direct && ret > 0)
			ret = direct_write_fallback(iocb, from, 0, ret);
	}
	if (ret > 0) {
		nexus_touched(file_inode(iocb->ki_filp));
		ret = generic_write_sync(iocb, ret);
	}
	return ret;
}

/* ---- mappings -------------------------------------------------------------------- */

/*
 * Not even -EINTR is tried again: it means killed, and a fault of the kernel
 * (copying from a mapping in a system call) would be taken for ever without the
 * signal being looked at.
 */
static vm_fault_t nexus_fault_error(int err)
{
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

static vm_fault_t nexus_fault(struct vm_fault *vmf)
{
	unsigned int tries = 0, ra_pages = vmf->vma->vm_file->f_ra.ra_pages;
	loff_t pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	vm_fault_t ret;
	int err;

	err = nexus_content_load(inode, pos, PAGE_SIZE);
	while (!err) {
		ret = filemap_fault(vmf);
		if (!(ret & VM_FAULT_SIGBUS))
			return ret;
		err = -EIO;
		if (pos < i_size_read(inode) &&
		    nexus_file_mend(file, pos, PAGE_SIZE, &err, &tries, ra_pages))
			err = 0;
	}
	return nexus_fault_error(err);
}

/* Of what is mapped at a moment, nothing behind the end: stores there are refused. */
static vm_fault_t nexus_map_pages(struct vm_fault *vmf, pgoff_t start,
				  pgoff_t end)
{
	loff_t size = i_size_read(file_inode(vmf->vma->vm_file));
	pgoff_t behind = DIV_ROUND_UP_ULL(size, PAGE_SIZE);

	return start < behind ? filemap_map_pages(vmf, start,
						  min(end, behind - 1)) : 0;
}

/*
 * Marks blocks [first, *end) of a folio with @room, as far as that goes, and cuts
 * *@end to the size.  VM_FAULT_LOCKED and the folio locked when all of them are
 * marked; 0: there are more.
 */
static vm_fault_t nexus_mkwrite_some(struct inode *inode, struct vm_fault *vmf,
				     pgoff_t first, pgoff_t *end, pgoff_t *at,
				     struct nexus_room *room)
{
	struct folio *folio = page_folio(vmf->page);
	struct nexus_fstate *fs;
	vm_fault_t ret = 0;
	int err;
	u32 n;

	/* Its checksum may be under way. */
	if (nexus_folio_lock_stable(folio))
		return VM_FAULT_SIGBUS;
	if (folio->mapping != inode->i_mapping) {
		ret = VM_FAULT_NOPAGE;
		goto out;
	}
	/* Who makes it so writes all folios afterwards, which takes their locks. */
	if (IS_IMMUTABLE(inode)) {
		ret = VM_FAULT_SIGBUS;
		goto out;
	}
	*end = min_t(pgoff_t, *end,
		     DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE));
	if (vmf->pgoff >= *end) {
		ret = VM_FAULT_SIGBUS;
		goto out;
	}
	fs = nexus_folio_state(folio);
	if (!fs) {
		ret = VM_FAULT_OOM;
		goto out;
	}
	if (*at < *end) {
		n = nexus_folio_fits(inode, folio, *at, *end - *at, room);
		err = n ? nexus_folio_quota(inode, folio, *at, &n, room) : 0;
		if (err) {
			ret = nexus_fault_error(err);
			goto out;
		}
		if (n) {
			nexus_folio_mark(inode, folio, *at, n, room);
			nexus_folio_dirty(folio);
		}
	}
	/* Those marked before may have been written since. */
	for (*at = first; *at < *end; ++*at)
		if (!(fs->marked & BIT_ULL(*at - folio->index)))
			goto out;
	/* Or logged. */
	fs->logged &= ~nexus_folio_mask(first - folio->index, *end - folio->index);
	nexus_folio_dirty(folio);
	return VM_FAULT_LOCKED;
out:
	folio_unlock(folio);
	return ret;
}

static vm_fault_t nexus_mkwrite(struct inode *inode, struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	pgoff_t first = NEXUS_MKWRITE_WHOLE ? folio->index : vmf->pgoff;
	pgoff_t end = NEXUS_MKWRITE_WHOLE ? folio_next_index(folio) : first + 1;
	struct nexus_room room = {};
	pgoff_t at = first;
	vm_fault_t ret;
	int err;

	if (nexus_folio_oversize(folio)) {
		err = nexus_folio_shrink(inode, vmf->pgoff);
		return err ? nexus_fault_error(err) : VM_FAULT_NOPAGE;
	}
	do {
		/* Without invalidate_lock, which faults of others wait for. */
		err = folio_wait_writeback_killable(page_folio(vmf->page));
		if (!err)
			err = nexus_room_some(inode, at, end - at, &room);
		if (err)
			return nexus_fault_error(err);
		/* Who compares two files under it must see none that changes. */
		filemap_invalidate_lock_shared(inode->i_mapping);
		ret = nexus_mkwrite_some(inode, vmf, first, &end, &at, &room);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		nexus_room_give(inode, &room);
		err = room.ask ? nexus_quota_load(NEXUS_I(inode)) : 0;
		if (err)
			return nexus_fault_error(err);
		room.ask = false;
	} while (!ret);
	return ret;
}

static vm_fault_t nexus_page_mkwrite(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct folio *folio = page_folio(vmf->page);
	struct inode *inode = file_inode(file);
	vm_fault_t ret;
	int err;

	if (IS_IMMUTABLE(inode))
		return VM_FAULT_SIGBUS;
	sb_start_pagefault(inode->i_sb);
	err = nexus_inode_writable(inode);
	if (!err)
		err = nexus_extents_load(inode);
	if (!err)
		err = nexus_inplace_load(inode, folio_pos(folio),
					 folio_size(folio));
	/* The size may change yet: more than block 0 may get dirty here. */
	if (!err && folio_next_index(folio) > 1)
		err = nexus_inline_end(inode, NEXUS_PACKS_GROW);
	if (!err)
		err = file_update_time(file);
	if (!err)
		nexus_touched(inode);
	ret = err ? nexus_fault_error(err) : nexus_mkwrite(inode, vmf);
	sb_end_pagefault(inode->i_sb);
	return ret;
}

static const struct vm_operations_struct nexus_vm_ops = {
	.fault		= nexus_fault,
	.map_pages	= nexus_map_pages,
	.page_mkwrite	= nexus_page_mkwrite,
};

static int nexus_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	vma->vm_ops = &nexus_vm_ops;
	return 0;
}

/* ---- readahead(2), and what else is announced ------------------------------------------ */

static int nexus_fadvise(struct file *file, loff_t offset, loff_t len,
			 int advice)
{
	int err = 0;

	if (advice == POSIX_FADV_WILLNEED && S_ISREG(file_inode(file)->i_mode) &&
	    offset >= 0 && len >= 0)
		err = nexus_content_load(file_inode(file), offset,
					 len ?: MAX_LFS_FILESIZE - offset);
	return err ?: generic_fadvise(file, offset, len, advice);
}

/* ---- durability ---------------------------------------------------------------------- */

/* Into packs or into the log, as far as it is not there. */
static int nexus_fsync_content(struct file *file, loff_t start, loff_t end)
{
	struct inode *inode = file_inode(file);
	int err;

	err = nexus_logged_sync(inode, start, end);
	if (!err) {
		/* What is being written all the same, and what has become of it. */
		err = nexus_wait_written(inode->i_mapping, start, end);
		return err ?: file_check_and_advance_wb_err(file);
	}
	if (err != -EINTR)
		err = nexus_write_and_settle(inode, start, end);
	return err == -EINTR ? err : file_write_and_wait_range(file, start, end);
}

int nexus_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct nexus_inode *ni = NEXUS_I(inode);
	int err, err2;

	nexus_count(fsyncs);
	err = nexus_fsync_content(file, start, end);
	if (err == -EINTR)
		return err;
	/* Times that no record carries yet; sizes travel with extents. */
	if (!datasync) {
		err2 = nexus_times_reserve(inode);
		if (!err2)
			err2 = sync_inode_metadata(inode, 1);
		err = err ?: err2;
	}
	err2 = nexus_inplace_flush(inode);
	err = err ?: err2;
	err2 = nexus_durable(ni->zone, READ_ONCE(ni->last_lsn));
	if (!err2 && READ_ONCE(ni->zone->content_lost))
		err2 = -EIO;
	return err ?: err2;
}

/*
 * A file emptied and written anew is often replaced that way: its content must
 * not stay away for the whole writeback interval.
 */
static int nexus_flush(struct file *file, fl_owner_t id)
{
	struct inode *inode = file_inode(file);

	if (file->f_mode & FMODE_WRITE &&
	    test_bit(NEXUS_I_EMPTIED, &NEXUS_I(inode)->state) &&
	    test_and_clear_bit(NEXUS_I_EMPTIED, &NEXUS_I(inode)->state) &&
	    !nexus_logged_all(inode))
		filemap_flush(inode->i_mapping);
	return 0;
}

static int nexus_file_open(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_NOWAIT | FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

static int nexus_file_release(struct inode *inode, struct file *file)
{
	nexus_plock_close(inode, file->private_data);
	return 0;
}

const struct file_operations nexus_file_fops = {
	.owner		= THIS_MODULE,
	.llseek		= nexus_llseek,
	.read_iter	= nexus_read_iter,
	.write_iter	= nexus_write_iter,
	.mmap		= nexus_mmap,
	.open		= nexus_file_open,
	.flush		= nexus_flush,
	.release	= nexus_file_release,
	.fsync		= nexus_fsync,
	.splice_read	= nexus_splice_read,
	.splice_write	= iter_file_splice_write,
	.fallocate	= nexus_fallocate,
	.fadvise	= nexus_fadvise,
	.remap_file_range = nexus_remap_file_range,
	.setlease	= generic_setlease,
	.unlocked_ioctl	= nexus_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.fop_flags	= FOP_BUFFER_RASYNC | FOP_DIO_PARALLEL_WRITE,
};

const struct inode_operations nexus_file_iops = {
	.fiemap		= nexus_fiemap,
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
	.listxattr	= nexus_listxattr,
	.get_inode_acl	= nexus_get_acl,
	.set_acl	= nexus_set_acl,
	.fileattr_get	= nexus_fileattr_get,
	.fileattr_set	= nexus_fileattr_set,
};
