// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making inodes: create, mkdir, mknod, symlink, O_TMPFILE.
 *
 * Every change of names goes the same way: check, take what it needs (inode
 * number, log space; killably, under VFS locks only), build the record, lock
 * the log mutexes of the inodes it is about, nexus_mutate(), and only then
 * change what is cached.  The VFS holds i_rwsem of the directories, so
 * positions and names stand still meanwhile.
 */
#include <linux/namei.h>
#include <linux/slab.h>

#include "listing.h"
#include "quota.h"
#include "ring/ring.h"
#include "stream/stream.h"
#include "xattr.h"

/* The next position of @dir; i_rwsem. */
static int nexus_next_pos(const struct inode *dir, u64 *pos)
{
	*pos = NEXUS_I(dir)->next_pos;
	return *pos < NEXUS_POS_MAX ? 0 : -ENOSPC;
}

/* The record that makes @inode; kvfree() it.  @name NULL: O_TMPFILE. */
static struct nexus_rec_create *
nexus_create_record(const struct inode *inode, const struct inode *dir, u64 pos,
		    const struct qstr *name, const char *content,
		    const struct nexus_xattr_part *xattrs)
{
	const struct nexus_inode *ni = NEXUS_I(inode);
	size_t namelen = name ? name->len : 0;
	size_t contentlen = content ? strlen(content) : 0;
	struct nexus_rec_create *rec;
	size_t len;

	len = nexus_rec_create_len(namelen, contentlen, xattrs->len);
	rec = kvzalloc(len, GFP_KERNEL);
	if (!rec)
		return NULL;
	nexus_rec_init(&rec->head, len, NEXUS_REC_CREATE, 0, nexus_ts(ni->btime));
	if (name) {
		rec->parent = cpu_to_le64(dir->i_ino);
		rec->pos = cpu_to_le64(pos);
	}
	rec->ino = cpu_to_le64(inode->i_ino);
	rec->data_id = cpu_to_le64(ni->data_id);
	rec->rdev = cpu_to_le64((u64)MAJOR(inode->i_rdev) << 32 |
				MINOR(inode->i_rdev));
	rec->generation = cpu_to_le32(inode->i_generation);
	rec->mode = cpu_to_le32(inode->i_mode);
	rec->uid = cpu_to_le32(i_uid_read(inode));
	rec->gid = cpu_to_le32(i_gid_read(inode));
	rec->projid = cpu_to_le32(ni->projid);
	rec->iflags = cpu_to_le32(ni->iflags);
	memcpy(rec->target, ni->target, sizeof(rec->target));
	rec->xattrlen = cpu_to_le32(xattrs->len);
	nexus_rec_create_body(rec, name ? name->name : (const u8 *)"", namelen,
			      content, contentlen);
	if (xattrs->len)
		memcpy(nexus_rec_create_xattrs(rec), xattrs->buf, xattrs->len);
	return rec;
}

int nexus_hash_new(struct inode *inode)
{
	if (!insert_inode_locked(inode))
		return 0;
	nexus_err(NEXUS_I(inode)->zone,
		  "inode number %llu was handed out twice by the helper",
		  (u64)inode->i_ino);
	return -EIO;
}

void nexus_discard(struct inode *inode)
{
	clear_nlink(inode);
	discard_new_inode(inode);
}

static int nexus_make(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode, dev_t rdev,
		      const char *content)
{
	struct nexus_inode *di = NEXUS_I(dir), *ni;
	struct nexus_rec_create *rec = NULL;
	struct nexus_xattr_part xattrs = {};
	struct nexus_lockset set;
	struct nexus_resv resv = {};
	struct inode *inode;
	u64 pos, lsn;
	int err;

	if (nexus_sys_name(dir, &dentry->d_name))
		return -EPERM;
	err = nexus_next_pos(dir, &pos);
	if (err)
		return err;
	inode = nexus_new_inode(idmap, dir, mode, rdev);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	ni = NEXUS_I(inode);
	if (content) {
		ni->link = kstrdup(content, GFP_KERNEL);
		if (!ni->link) {
			err = -ENOMEM;
			goto out_iput;
		}
		inode->i_link = ni->link;
		i_size_write(inode, strlen(content));
	}
	if (nexus_dentry_pos(dentry) & NEXUS_DENTRY_RING)
		nexus_ring_set(inode, nexus_dentry_pos(dentry) & ~NEXUS_DENTRY_RING);
	else if (nexus_dentry_pos(dentry) & NEXUS_DENTRY_STREAM)
		nexus_stream_set(inode, nexus_dentry_pos(dentry) & ~NEXUS_DENTRY_STREAM);
	ni->parent = dir->i_ino;
	ni->pos = pos;
	err = nexus_xattr_new(inode, dir, &dentry->d_name, &xattrs);
	if (err)
		goto out_iput;
	rec = nexus_create_record(inode, dir, pos, &dentry->d_name, content, &xattrs);
	if (!rec) {
		err = -ENOMEM;
		goto out_iput;
	}
	err = nexus_log_reserve(di->zone, &resv, le32_to_cpu(rec->head.len), 0);
	if (err)
		goto out_iput;
	/* Last: whoever has a handle with this number waits for us, unkillably. */
	err = nexus_hash_new(inode);
	if (err) {
		nexus_log_unreserve(&resv);
		goto out_iput;
	}

	nexus_lock_inodes(&set, dir, inode, NULL, NULL);
	err = nexus_mutate(di->zone, &resv, &rec->head, &lsn);
	if (!err) {
		inode_set_mtime_to_ts(dir, ni->btime);
		inode_set_ctime_to_ts(dir, ni->btime);
		nexus_times_logged(di, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
		if (S_ISDIR(mode))
			nexus_subdir_added(dir);
		di->next_pos = pos + 1;
		di->children++;
		di->version++;
		nexus_inode_logged(di, lsn);
		nexus_inode_logged(ni, lsn);
		nexus_quota_created(ni, lsn);
	}
	nexus_unlock_inodes(&set);
	nexus_log_unreserve(&resv);
	if (err) {
		nexus_discard(inode);
		goto out;
	}

	nexus_listing_added(dir, pos, inode, &dentry->d_name);
	nexus_dentry_set_pos(dentry, pos);
	d_instantiate_new(dentry, inode);
	nexus_listing_grown(dentry->d_parent);
	if (IS_DIRSYNC(dir))
		nexus_settle(di->zone, lsn);
	goto out;

out_iput:
	iput(inode);
out:
	kvfree(rec);
	kvfree(xattrs.buf);
	return err;
}

static int nexus_create(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode)
{
	return nexus_make(idmap, dir, dentry, mode | S_IFREG, 0, NULL);
}

static int nexus_mkdir(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode)
{
	return nexus_make(idmap, dir, dentry, mode | S_IFDIR, 0, NULL);
}

static int nexus_mknod(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode, dev_t rdev)
{
	return nexus_make(idmap, dir, dentry, mode, rdev, NULL);
}

static int nexus_symlink(struct mnt_idmap *idmap, struct inode *dir,
			 struct dentry *dentry, const char *target)
{
	/* As symlink(2) says; overlayfs copies what another filesystem has. */
	if (!*target)
		return -ENOENT;
	if (strlen(target) > NEXUS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	return nexus_make(idmap, dir, dentry, S_IFLNK | 0777, 0, target);
}

/*
 * O_TMPFILE: an inode without a name.  Nothing locks @dir, and nothing of it
 * changes.  The record that will delete the inode is paid for now.
 */
static int nexus_tmpfile(struct mnt_idmap *idmap, struct inode *dir,
			 struct file *file, umode_t mode)
{
	struct nexus_zone *zone = nexus_sb_zone(dir->i_sb);
	struct nexus_rec_create *rec = NULL;
	struct nexus_xattr_part xattrs = {};
	struct nexus_resv resv = {};
	struct nexus_inode *ni;
	struct inode *inode;
	u64 lsn;
	int err;

	/* The VFS does not look, and ext4 says this. */
	if (!READ_ONCE(dir->i_nlink))
		return -EPERM;
	inode = nexus_new_inode(idmap, dir, mode, 0);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	ni = NEXUS_I(inode);
	err = nexus_xattr_new(inode, dir, NULL, &xattrs);
	if (err)
		goto out_iput;
	rec = nexus_create_record(inode, dir, 0, NULL, NULL, &xattrs);
	if (!rec) {
		err = -ENOMEM;
		goto out_iput;
	}
	err = nexus_log_reserve(zone, &resv, le32_to_cpu(rec->head.len) +
				sizeof(struct nexus_rec_forget), 0);
	if (!err)
		err = nexus_hash_new(inode);
	if (err) {
		nexus_log_unreserve(&resv);
		goto out_iput;
	}

	mutex_lock(&ni->log_mutex);
	err = nexus_mutate(zone, &resv, &rec->head, &lsn);
	if (!err) {
		nexus_inode_logged(ni, lsn);
		nexus_quota_created(ni, lsn);
		ni->evict_resv.zone = zone;
		nexus_resv_move(&ni->evict_resv, &resv,
				sizeof(struct nexus_rec_forget));
		set_bit(NEXUS_I_ORPHAN, &ni->state);
	}
	mutex_unlock(&ni->log_mutex);
	nexus_log_unreserve(&resv);
	if (err) {
		nexus_discard(inode);
		goto out;
	}

	/* Takes the count from one to zero. */
	d_tmpfile(file, inode);
	unlock_new_inode(inode);
out:
	kvfree(rec);
	kvfree(xattrs.buf);
	return finish_open_simple(file, err);

out_iput:
	iput(inode);
	goto out;
}

NEXUS_DEFINE_CREATE(nexus_op_create, nexus_create)
NEXUS_DEFINE_MKDIR(nexus_op_mkdir, nexus_mkdir)

const struct inode_operations nexus_dir_iops = {
	.lookup		= nexus_lookup,
	.create		= nexus_op_create,
	.link		= nexus_link,
	.unlink		= nexus_unlink,
	.symlink	= nexus_symlink,
	.mkdir		= nexus_op_mkdir,
	.rmdir		= nexus_rmdir,
	.mknod		= nexus_mknod,
	.rename		= nexus_rename,
	.tmpfile	= nexus_tmpfile,
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
	.listxattr	= nexus_listxattr,
	.get_inode_acl	= nexus_get_acl,
	.set_acl	= nexus_set_acl,
	.fileattr_get	= nexus_fileattr_get,
	.fileattr_set	= nexus_fileattr_set,
};
