// SPDX-License-Identifier: GPL-2.0-only
/*
 * Superblocks: one for each mounted zone, found by (session, zone name); a mem
 * zone has no session and lives as long as its superblock.
 *
 * A zone is opened and closed outside of what the VFS orders: kill_anon_super()
 * makes a superblock unfindable before its zone is closed.  nexus_busy lists
 * the zones in between, so that a mount of the same zone waits killably.
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "foreign.h"
#include "memstore.h"
#include "quota.h"
#include "stream/stream.h"
#include "xattr.h"

#ifndef CONFIG_64BIT
#error "nexusfs needs a 64-bit kernel: inode numbers and directory positions have 64 bits"
#endif

/* What is read ahead at first, as of a disk, and what one read of a pack can be. */
#define NEXUS_READAHEAD		SZ_256K
#define NEXUS_READ_MAX		(NEXUS_EXTENT_BLOCKS_MAX << NEXUS_BLOCK_SHIFT)

static LIST_HEAD(nexus_busy);
static DEFINE_SPINLOCK(nexus_busy_lock);
static DECLARE_WAIT_QUEUE_HEAD(nexus_busy_wait);

static bool nexus_same_zone(const struct nexus_sb *a, const struct nexus_sb *b)
{
	return a->opts.mem == b->opts.mem && !strcmp(a->name, b->name) &&
	       !strcmp(a->session, b->session);
}

/* Enters @nsb as being opened unless another mount of the zone is opening. */
static bool nexus_busy_open(struct nexus_sb *nsb)
{
	struct nexus_sb *other;
	bool free = true;

	spin_lock(&nexus_busy_lock);
	list_for_each_entry(other, &nexus_busy, busy) {
		if (!other->closing && nexus_same_zone(other, nsb)) {
			free = false;
			break;
		}
	}
	if (free)
		list_add(&nsb->busy, &nexus_busy);
	spin_unlock(&nexus_busy_lock);
	return free;
}

static bool nexus_busy_closing(const struct nexus_sb *nsb)
{
	struct nexus_sb *other;
	bool found = false;

	spin_lock(&nexus_busy_lock);
	list_for_each_entry(other, &nexus_busy, busy)
		found = found || (other->closing && nexus_same_zone(other, nsb));
	spin_unlock(&nexus_busy_lock);
	return found;
}

static void nexus_busy_close(struct nexus_sb *nsb)
{
	spin_lock(&nexus_busy_lock);
	nsb->closing = true;
	list_move(&nsb->busy, &nexus_busy);
	spin_unlock(&nexus_busy_lock);
	wake_up_all(&nexus_busy_wait);
}

static void nexus_busy_done(struct nexus_sb *nsb)
{
	spin_lock(&nexus_busy_lock);
	list_del_init(&nsb->busy);
	spin_unlock(&nexus_busy_lock);
	wake_up_all(&nexus_busy_wait);
}

/* ---- operations ----------------------------------------------------------- */

static int nexus_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct super_block *sb = dentry->d_sb;
	struct nexus_zone *zone = nexus_sb_zone(sb);

	if (zone->mem)
		nexus_memstore_statfs(zone);
	buf->f_type = NEXUS_SUPER_MAGIC;
	buf->f_bsize = NEXUS_BLOCK_SIZE;
	buf->f_frsize = NEXUS_BLOCK_SIZE;
	buf->f_bfree = READ_ONCE(zone->space_free) >> NEXUS_BLOCK_SHIFT;
	if (zone->packs)
		buf->f_bfree += nexus_packs_free_blocks(zone);
	buf->f_bavail = buf->f_bfree;
	/* What the host disk holds for others is none of a zone's business. */
	buf->f_blocks = READ_ONCE(zone->blocks_used) + buf->f_bfree;
	/* Inodes are not limited; an inode takes about a KiB of the index. */
	buf->f_ffree = buf->f_bfree * 4;
	buf->f_files = READ_ONCE(zone->files_used) + buf->f_ffree;
	buf->f_fsid = uuid_to_fsid(zone->uuid);
	buf->f_namelen = NEXUS_NAME_MAX;
	return nexus_quota_statfs(d_inode(dentry), buf);
}

static int nexus_sync_fs(struct super_block *sb, int wait)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	int err;

	if (!wait) {
		nexus_log_kick(zone);
		return 0;
	}
	nexus_count(fsyncs);
	err = nexus_inplace_sync(zone);
	if (!err)
		err = nexus_log_sync(zone);
	if (!err)
		err = nexus_durable(zone, nexus_log_durable(zone));
	return err ?: READ_ONCE(zone->content_lost) ? -EIO : 0;
}

/* The VFS has written everything and lets nobody begin a change. */
static int nexus_freeze_fs(struct super_block *sb)
{
	int err = nexus_inplace_sync(nexus_sb_zone(sb));

	return err ?: nexus_log_sync(nexus_sb_zone(sb));
}

static int nexus_unfreeze_fs(struct super_block *sb)
{
	return 0;
}

/*
 * umount -f.  Nothing of unmounting waits for the helper: the log is flushed
 * locally, and the helper applies it whenever it comes back.
 */
static void nexus_umount_begin(struct super_block *sb)
{
	nexus_log_kick(nexus_sb_zone(sb));
}

const struct super_operations nexus_super_ops = {
	.alloc_inode	= nexus_alloc_inode,
	.free_inode	= nexus_free_inode,
	.dirty_inode	= nexus_dirty_inode,
	.write_inode	= nexus_write_inode,
	.evict_inode	= nexus_evict_inode,
	.statfs		= nexus_statfs,
	.sync_fs	= nexus_sync_fs,
	.freeze_fs	= nexus_freeze_fs,
	.unfreeze_fs	= nexus_unfreeze_fs,
	.umount_begin	= nexus_umount_begin,
	.show_options	= nexus_show_options,
};

/* ---- mounting --------------------------------------------------------------- */

static int nexus_open_mem(struct fs_context *fc, struct nexus_sb *nsb)
{
	struct nexus_zone *zone;
	int err;

	zone = nexus_zone_alloc(nsb->name);
	if (!zone)
		return -ENOMEM;
	zone->opts = nsb->opts;
	err = nexus_memstore_start(zone);
	if (err) {
		errorfc(fc, "%s: cannot make an in-memory zone", nsb->name);
		nexus_zone_put(zone);
		return err;
	}
	nsb->zone = zone;
	return 0;
}

static int nexus_open_session_zone(struct fs_context *fc, struct nexus_sb *nsb)
{
	struct nexus_session *session;
	struct nexus_zone *zone;
	char reason[NEXUS_REASON_LEN];
	const char *why = NULL;
	u32 how = 0;

	session = nexus_session_find(nsb->session, &why);
	if (IS_ERR(session)) {
		errorfc(fc, "no helper serves session %s: %s", nsb->session,
			why ?: "start nexusd");
		return PTR_ERR(session);
	}
	if (nsb->bucket)
		how = NEXUS_OPEN_RDONLY | NEXUS_OPEN_BUCKET;
	else if (fc->sb_flags & SB_RDONLY)
		how = NEXUS_OPEN_RDONLY;
	else if (nsb->opts.durability == NEXUS_DURABLE_ORIGIN)
		how = NEXUS_OPEN_ORIGIN;
	zone = nexus_session_open_zone(session, nsb->name, nsb->bucket, how, reason);
	nexus_session_put(session);
	if (IS_ERR(zone)) {
		if (nsb->bucket && reason[0]) {
			errorfc(fc, "%s: %s", nsb->bucket, reason);
			return PTR_ERR(zone);
		}
		switch (PTR_ERR(zone)) {
		case -ENOENT:
			errorfc(fc,
				"session %s has no zone %s; create it with: nexusctl zone create %s",
				nsb->session, nsb->name, nsb->name);
			break;
		case -EINTR:
			break;
		default:
			if (reason[0]) {
				errorfc(fc, "session %s cannot open zone %s (%pe): %s",
					nsb->session, nsb->name, zone, reason);
				break;
			}
			errorfc(fc,
				"the helper of session %s could not open zone %s (%pe); its log says why",
				nsb->session, nsb->name, zone);
		}
		return PTR_ERR(zone);
	}
	zone->opts = nsb->opts;
	nsb->zone = zone;
	return 0;
}

static int nexus_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct nexus_sb *nsb = sb->s_fs_info;
	struct nexus_zone *zone;
	struct inode *root;
	int err;

	sb->s_magic = NEXUS_SUPER_MAGIC;
	sb->s_op = &nexus_super_ops;
	sb->s_export_op = &nexus_export_ops;
	nexus_quota_setup_sb(sb);
	sb->s_xattr = nexus_xattr_handlers;
	if (IS_ENABLED(CONFIG_FS_POSIX_ACL))
		sb->s_flags |= SB_POSIXACL;
	nexus_set_default_d_op(sb, nsb->bucket ? &nexus_foreign_dentry_ops :
						 &nexus_dentry_ops);
	sb->s_blocksize = NEXUS_BLOCK_SIZE;
	sb->s_blocksize_bits = NEXUS_BLOCK_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_max_links = INT_MAX;
	sb->s_time_gran = 1;
	sb->s_time_min = S64_MIN;
	sb->s_time_max = S64_MAX;
	/* Blocks are checksummed while they are written. */
	sb->s_iflags |= SB_I_STABLE_WRITES;
	/* Writeback is that of the cgroup that dirtied, and so is its I/O (writeback.c). */
	sb->s_iflags |= SB_I_CGROUPWB;
	/* Inodes remember that a write has no bits to strip: only the VFS adds any. */
	sb->s_flags |= SB_NOSEC;

	err = super_setup_bdi(sb);
	if (err)
		return err;
	sb->s_bdi->ra_pages = NEXUS_READAHEAD >> PAGE_SHIFT;
	sb->s_bdi->io_pages = NEXUS_READ_MAX >> PAGE_SHIFT;

	/* The zone's last superblock may still be closing it. */
	err = wait_event_killable(nexus_busy_wait, !nexus_busy_closing(nsb));
	if (err)
		return -EINTR;

	if (nsb->opts.mem)
		err = nexus_open_mem(fc, nsb);
	else
		err = nexus_open_session_zone(fc, nsb);
	if (err)
		return err;
	zone = nsb->zone;
	super_set_uuid(sb, zone->uuid, sizeof(zone->uuid));

	nexus_zone_set_sb(zone, sb);
	if (zone->store_rdonly || READ_ONCE(zone->error))
		sb->s_flags |= SB_RDONLY;

	root = nexus_iget(sb, NEXUS_ROOT_INO);
	if (IS_ERR(root)) {
		errorfc(fc, "zone %s: its root directory cannot be read (%pe)",
			zone->name, root);
		return PTR_ERR(root);
	}
	if (!S_ISDIR(root->i_mode)) {
		errorfc(fc, "zone %s: inode %llu is no directory; run fsck.nexusfs",
			zone->name, NEXUS_ROOT_INO);
		iput(root);
		return -EUCLEAN;
	}
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	/* From here on statfs can do without the helper. */
	return nexus_quota_statfs_load(zone);
}

static int nexus_test_super(struct super_block *sb, struct fs_context *fc)
{
	return nexus_same_zone(sb->s_fs_info, fc->s_fs_info);
}

/* A second mount of a zone gets the first one's superblock, if it agrees. */
static int nexus_share_super(struct super_block *sb, struct fs_context *fc,
			     const struct nexus_opts *opts)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	const char *option;

	if ((fc->sb_flags ^ sb->s_flags) & SB_RDONLY) {
		errorfc(fc,
			"zone %s is mounted %s already; mount it with that, or remount it first",
			zone->name, sb_rdonly(sb) ? "ro" : "rw");
		return -EBUSY;
	}
	option = nexus_opts_differ(opts, &zone->opts);
	if (option) {
		errorfc(fc, "zone %s is mounted already with another value of %s",
			zone->name, option);
		return -EBUSY;
	}
	return 0;
}

int nexus_super_get_tree(struct fs_context *fc)
{
	struct nexus_sb *nsb = fc->s_fs_info;
	struct super_block *sb;
	int err;

	err = nexus_parse_source(fc, nsb);
	if (err)
		return err;
	/* What others own is shown, and not changed. */
	if (nsb->bucket)
		fc->sb_flags |= SB_RDONLY;
	if (wait_event_killable(nexus_busy_wait, nexus_busy_open(nsb)))
		return -EINTR;

	sb = sget_fc(fc, nexus_test_super, set_anon_super_fc);
	if (IS_ERR(sb)) {
		nexus_busy_done(nsb);
		return PTR_ERR(sb);
	}
	if (sb->s_root) {
		nexus_busy_done(nsb);
		err = nexus_share_super(sb, fc, &nsb->opts);
	} else {
		/* On failure kill_sb ends the busy state and frees nsb. */
		err = nexus_fill_super(sb, fc);
		if (!err) {
			/* It is the context's, which goes. */
			nsb->bucket = NULL;
			sb->s_flags |= SB_ACTIVE;
			nexus_busy_done(nsb);
		}
	}
	if (err) {
		deactivate_locked_super(sb);
		return err;
	}
	fc->root = dget(sb->s_root);
	return 0;
}

int nexus_super_reconfigure(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;
	struct nexus_zone *zone = nexus_sb_zone(sb);
	struct nexus_sb *nsb = fc->s_fs_info;
	struct nexus_opts same = zone->opts;
	const char *option;
	int err;

	/* These may change while mounted. */
	same.grace = nsb->opts.grace;
	same.verify = nsb->opts.verify;
	option = nexus_opts_differ(&nsb->opts, &same);
	if (option) {
		errorfc(fc, "%s cannot be changed while zone %s is mounted; unmount it first",
			option, zone->name);
		return -EINVAL;
	}

	if (sb_rdonly(sb) && !(fc->sb_flags & SB_RDONLY)) {
		/* Pairs with smp_store_release() in nexus_zone_fail(). */
		err = smp_load_acquire(&zone->error);
		if (err) {
			errorfc(fc, "zone %s failed: %s; unmount it and run fsck.nexusfs",
				zone->name, zone->reason);
			return -EROFS;
		}
		if (zone->ttl) {
			errorfc(fc, "%s shows a bucket, which is read-only",
				zone->name);
			return -EROFS;
		}
		if (zone->store_rdonly) {
			errorfc(fc,
				"the store of zone %s was opened read-only; unmount it and mount it rw",
				zone->name);
			return -EROFS;
		}
	}

	err = sync_filesystem(sb);
	if (err)
		return err;
	WRITE_ONCE(zone->opts.grace, nsb->opts.grace);
	WRITE_ONCE(zone->opts.verify, nsb->opts.verify);
	return 0;
}

static void nexus_kill_sb(struct super_block *sb)
{
	struct nexus_sb *nsb = sb->s_fs_info;
	struct nexus_zone *zone = nsb->zone;
	int err;

	nexus_busy_close(nsb);
	if (zone)
		nexus_zone_set_sb(zone, NULL);
	/* Writes what is dirty, evicts every inode: orphans append their records. */
	kill_anon_super(sb);
	if (zone) {
		nexus_rings_free(zone);
		nexus_streams_free(zone);
		err = nexus_log_stop(zone);
		if (err)
			nexus_err(zone,
				  "unmounted, but the end of the log could not be written (%pe)",
				  ERR_PTR(err));
		if (zone->session)
			nexus_session_close_zone(zone);
		nexus_zone_put(zone);
	}
	nexus_busy_done(nsb);
	kfree(nsb);
}

struct file_system_type nexus_fs_type = {
	.owner		= THIS_MODULE,
	.name		= "nexusfs",
	.init_fs_context = nexus_init_fs_context,
	.kill_sb	= nexus_kill_sb,
	.fs_flags	= FS_ALLOW_IDMAP,
};
