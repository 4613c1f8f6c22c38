// SPDX-License-Identifier: GPL-2.0-only
/* Files of the host: which ones are accepted, and their I/O. */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "host.h"

static bool allow_any_host;
module_param(allow_any_host, bool, 0644);
MODULE_PARM_DESC(allow_any_host,
		 "accept stores on local filesystems other than ext4 and XFS, whose flushes we have not studied");

#define NEXUS_V9FS_MAGIC	0x01021997
#define NEXUS_GFS2_MAGIC	0x01161970

/*
 * Whether the host is one that gives what the log rests on: in-place overwrite,
 * a flush that costs no journal commit, and no server in the way of writeback.
 */
static const char *nexus_host_refusal(const struct super_block *sb)
{
	switch (sb->s_magic) {
	case EXT4_SUPER_MAGIC:		/* ext2 and ext3 have the same */
	case XFS_SUPER_MAGIC:
		return NULL;
	case NEXUS_SUPER_MAGIC:
		return "is on nexusfs itself";
	case FUSE_SUPER_MAGIC:
	case NEXUS_V9FS_MAGIC:
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case AFS_FS_MAGIC:
	case CODA_SUPER_MAGIC:
	case OCFS2_SUPER_MAGIC:
	case NEXUS_GFS2_MAGIC:
		return "is on a filesystem that waits for another program or machine";
	case OVERLAYFS_SUPER_MAGIC:
	case ECRYPTFS_SUPER_MAGIC:
		return "is on a stacked filesystem";
	}
	if (sb->s_stack_depth)
		return "is on a stacked filesystem";
	if (!allow_any_host)
		return "is neither on ext4 nor on XFS (allow_any_host=1 accepts it)";
	return NULL;
}

static const char *nexus_host_unfit(struct nexus_zone *zone, struct file *file,
				    u32 blocks, bool write)
{
	struct inode *inode = file_inode(file);
	const char *why;

	if (!S_ISREG(inode->i_mode))
		return "is no regular file";
	if (!(file->f_mode & FMODE_READ) ||
	    (write && !(file->f_mode & FMODE_WRITE)))
		return write ? "is not open for reading and writing" :
			       "is not open for reading";
	if (i_size_read(inode) < (loff_t)blocks << NEXUS_BLOCK_SHIFT)
		return "is shorter than it is said to be";
	if (!file->f_op->read_iter || (write && !file->f_op->write_iter))
		return "cannot be read and written by the kernel";
	if (zone->mem)
		return NULL;
	why = nexus_host_refusal(inode->i_sb);
	if (why)
		return why;
	if (!(file->f_flags & O_DIRECT) || !(file->f_mode & FMODE_CAN_ODIRECT))
		return "is not open with O_DIRECT";
	if (IS_SWAPFILE(inode) || (write && IS_IMMUTABLE(inode)))
		return "is a swap file or immutable";
	return NULL;
}

int nexus_host_check(struct nexus_zone *zone, struct file *file,
		     const char *what, u64 id, u32 blocks, bool write)
{
	const char *why = nexus_host_unfit(zone, file, blocks, write);

	if (why) {
		nexus_err(zone, "%s %llu refused: its file %s", what, id, why);
		return -EINVAL;
	}
	/*
	 * Times of these files are of no use, but each change of one makes the
	 * next flush a commit of the host's journal; and nobody's permission
	 * events may hold up writeback.
	 */
	spin_lock(&file->f_lock);
	file->f_mode |= FMODE_NOCMTIME | FMODE_NONOTIFY;
	file->f_flags |= O_NOATIME;
	spin_unlock(&file->f_lock);
	return 0;
}

bool nexus_host_writable(const struct file *file)
{
	return file->f_mode & FMODE_WRITE && file->f_mode & FMODE_CAN_WRITE &&
	       file->f_op->write_iter && !IS_IMMUTABLE(file_inode(file));
}

static void nexus_host_kiocb(struct kiocb *iocb, struct file *file, u64 block)
{
	init_sync_kiocb(iocb, file);
	iocb->ki_pos = block << NEXUS_BLOCK_SHIFT;
	/* The helper shares the open file and could clear O_DIRECT. */
	if (file->f_mode & FMODE_CAN_ODIRECT &&
	    file_inode(file)->i_sb->s_magic != TMPFS_MAGIC)
		iocb->ki_flags |= IOCB_DIRECT;
}

int nexus_host_write_part(struct file *file, const struct bio_vec *bvec,
			  unsigned int nr, size_t skip, size_t bytes, u64 block)
{
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret;

	/* By force, with our files open; ext4 warns about whoever writes then. */
	if (sb_rdonly(file_inode(file)->i_sb))
		return -EROFS;
	nexus_host_kiocb(&iocb, file, block);
	iov_iter_bvec(&iter, ITER_SOURCE, bvec, nr, skip + bytes);
	iov_iter_advance(&iter, skip);
	/* Takes and drops the host's freeze protection itself. */
	ret = vfs_iocb_iter_write(file, &iocb, &iter);
	if (ret < 0)
		return ret;
	return ret == bytes ? 0 : -EIO;
}

bool nexus_host_writes_here(const struct file *file)
{
	const struct super_block *sb = file_inode(file)->i_sb;

	/* A limit is for the caller's own files; a disk that always waits need not be asked. */
	return rlimit(RLIMIT_FSIZE) == RLIM_INFINITY && !sb_rdonly(sb) &&
	       file->f_mode & FMODE_NOWAIT && sb->s_bdev && bdev_nowait(sb->s_bdev);
}

bool nexus_host_write_here(struct file *file, const struct bio_vec *bvec,
			   unsigned int nr, size_t skip, size_t bytes, u64 block)
{
	struct super_block *sb = file_inode(file)->i_sb;
	const struct cred *cred;
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret;

	nexus_host_kiocb(&iocb, file, block);
	iocb.ki_flags |= IOCB_NOWAIT;
	iov_iter_bvec(&iter, ITER_SOURCE, bvec, nr, skip + bytes);
	iov_iter_advance(&iter, skip);
	if (!sb_start_write_trylock(sb))
		return false;
	/* Blocks that the host may have to take are not the caller's. */
	cred = override_creds(file->f_cred);
	ret = file->f_op->write_iter(&iocb, &iter);
	revert_creds(cred);
	sb_end_write(sb);
	return ret == bytes;
}

int nexus_host_read(struct file *file, const struct bio_vec *bvec,
		    unsigned int nr, size_t bytes, u64 block)
{
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret;

	nexus_host_kiocb(&iocb, file, block);
	iov_iter_bvec(&iter, ITER_DEST, bvec, nr, bytes);
	ret = vfs_iocb_iter_read(file, &iocb, &iter);
	if (ret < 0)
		return ret;
	/* Whoever cut the file short: zeros would be a lie. */
	return ret == bytes ? 0 : -EIO;
}

bool nexus_host_read_begin(struct kiocb *iocb, struct file *file,
			   const struct bio_vec *bvec, unsigned int nr,
			   size_t bytes, u64 block,
			   void (*done)(struct kiocb *iocb, long ret))
{
	struct iov_iter iter;
	unsigned int flags;
	ssize_t ret;

	nexus_host_kiocb(iocb, file, block);
	if (!(file->f_mode & FMODE_NOWAIT) || !(iocb->ki_flags & IOCB_DIRECT))
		return false;
	iocb->ki_flags |= IOCB_NOWAIT;
	iocb->ki_complete = done;
	iov_iter_bvec(&iter, ITER_DEST, bvec, nr, bytes);
	flags = nexus_host_begin();
	/* Not vfs_iocb_iter_read(): whether the caller may read packs is no question. */
	ret = file->f_op->read_iter(iocb, &iter);
	nexus_host_end(flags);
	if (ret == -EIOCBQUEUED)
		return true;
	if (ret != bytes)
		return false;
	done(iocb, ret);
	return true;
}

int nexus_host_flush(struct file *file)
{
	nexus_count(log_flushes);
	return vfs_fsync(file, 1);
}
