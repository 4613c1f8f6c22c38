// SPDX-License-Identifier: GPL-2.0-only
/*
 * Directories: lookup and listing.
 *
 * A name has a position in its directory, given once and never again; the
 * listing is in that order and the position is the cookie, so seekdir after
 * any changes neither repeats nor skips a name that stayed.  A listing ends at
 * the next position to be given out when it was opened or rewound: a program
 * that renames what it reads comes to an end.
 *
 * A directory whose names are all in the dcache is NEXUS_I_COMPLETE: what the
 * dcache does not have does not exist.  It becomes so piece by piece, as names are
 * listed from the first position on.
 */
#include <linux/filelock.h>
#include <linux/namei.h>
#include <linux/slab.h>

#include "foreign.h"
#include "listing.h"
#include "plock.h"

struct nexus_dir_file {
	u64	end;		/* the listing ends here */
	struct nexus_list_ahead ahead;
	struct nexus_plock_file *plock;	/* NULL until one is asked for */
};

/*
 * A dentry left the dcache although the name is still there: the directory is not
 * NEXUS_I_COMPLETE any more.  Spinlocks may be held.
 */
static void nexus_dir_incomplete(struct inode *dir)
{
	struct nexus_inode *ni = NEXUS_I(dir);

	spin_lock(&ni->resv_lock);
	ni->prunes++;
	clear_bit(NEXUS_I_COMPLETE, &ni->state);
	spin_unlock(&ni->resv_lock);
}

u64 nexus_dir_prunes(struct nexus_inode *ni)
{
	u64 prunes;

	spin_lock(&ni->resv_lock);
	prunes = ni->prunes;
	spin_unlock(&ni->resv_lock);
	return prunes;
}

void nexus_dir_known(struct nexus_inode *ni, u64 from, u64 to, u64 prunes)
{
	/*
	 * Names made since have dentries, those gone have none: only what the
	 * dcache dropped by itself matters.  Of what others change nothing is known for good.
	 */
	if (ni->zone->ttl)
		return;
	spin_lock(&ni->resv_lock);
	if (ni->prunes == prunes) {
		if (ni->known_prunes != prunes || !ni->known_to) {
			ni->known_prunes = prunes;
			ni->known_to = NEXUS_FIRST_POS;
		}
		if (from <= ni->known_to && to > ni->known_to)
			ni->known_to = to;
		if (ni->known_to >= ni->next_pos)
			set_bit(NEXUS_I_COMPLETE, &ni->state);
	}
	spin_unlock(&ni->resv_lock);
}

u64 nexus_dir_known_to(struct nexus_inode *ni)
{
	u64 to = NEXUS_FIRST_POS;

	spin_lock(&ni->resv_lock);
	if (ni->known_to && ni->known_prunes == ni->prunes)
		to = ni->known_to;
	spin_unlock(&ni->resv_lock);
	return to;
}

/* d_lock is held, so the parent stays what it is. */
static void nexus_d_prune(struct dentry *dentry)
{
	struct inode *dir;

	if (IS_ROOT(dentry) || d_unhashed(dentry) ||
	    d_really_is_negative(dentry))
		return;
	dir = d_inode(dentry->d_parent);
	if (dir)
		nexus_dir_incomplete(dir);
}

const struct dentry_operations nexus_dentry_ops = {
	.d_prune	= nexus_d_prune,
};

NEXUS_DEFINE_REVALIDATE(nexus_op_foreign_revalidate, nexus_foreign_revalidate)

const struct dentry_operations nexus_foreign_dentry_ops = {
	.d_prune	= nexus_d_prune,
	.d_revalidate	= nexus_op_foreign_revalidate,
};

/*
 * A directory has one name, which both its inode and the entry know.  A reply
 * that contradicts would have the VFS move a directory about.
 */
static bool nexus_entry_fits(const struct inode *dir, const struct inode *inode,
			     u64 pos)
{
	const struct nexus_inode *ni = NEXUS_I(inode);

	return !S_ISDIR(inode->i_mode) ||
	       (READ_ONCE(ni->parent) == dir->i_ino &&
		READ_ONCE(ni->pos) == pos);
}

struct dentry *nexus_add(struct inode *dir, struct dentry *dentry,
			 struct inode *inode, u64 pos)
{
	struct dentry *alias;

	if (!IS_ERR_OR_NULL(inode) && !nexus_entry_fits(dir, inode, pos)) {
		nexus_err(nexus_sb_zone(dir->i_sb),
			  "directory %llu: inode %llu is listed here, but its name is elsewhere",
			  (u64)dir->i_ino, (u64)inode->i_ino);
		iput(inode);
		return ERR_PTR(-EIO);
	}
	nexus_dentry_set_pos(dentry, pos);
	alias = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(alias)) {
		nexus_dentry_set_pos(alias, pos);
		nexus_foreign_asked(alias, dentry->d_time);
	}
	return alias;
}

struct dentry *nexus_lookup(struct inode *dir, struct dentry *dentry,
			    unsigned int flags)
{
	struct nexus_inode *di = NEXUS_I(dir);
	const struct qstr *name = &dentry->d_name;
	struct nexus_entry_reply *er;
	struct inode *inode = NULL;
	struct dentry *alias;
	u64 applied, pos = 0;
	int n;

	if (name->len > NEXUS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (nexus_sys_name(dir, name))
		return nexus_sys_lookup(dir, dentry, flags);

	/*
	 * The dcache did not have the name: then d_prune() had cleared the bit
	 * before it went.  Pairs with the locks of __d_drop().
	 */
	smp_rmb();
	if (test_bit(NEXUS_I_COMPLETE, &di->state) || nexus_names_absent(di, name)) {
		nexus_count(dir_complete_hits);
		return nexus_add(dir, dentry, NULL, 0);
	}

	er = kmalloc(NEXUS_ENTRY_MAX, GFP_KERNEL);
	if (!er)
		return ERR_PTR(-ENOMEM);
	nexus_foreign_asked(dentry, jiffies);
	/* i_rwsem keeps the directory as it is, and with it its LSN. */
	atomic_inc(&di->lookups);
	n = nexus_ms_read(di->zone, NEXUS_OP_LOOKUP, dir->i_ino, 0, 0,
			  name->name, name->len, READ_ONCE(di->last_lsn),
			  er, NEXUS_ENTRY_MAX, &applied);
	if (n >= 0) {
		pos = er->pos;
		inode = nexus_iget_reply(dir->i_sb, er, applied);
	} else if (n != -ENOENT) {
		inode = ERR_PTR(n);
	}
	alias = nexus_add(dir, dentry, inode, pos);
	atomic_dec(&di->lookups);
	kfree(er);
	/* Only with nobody waiting for @dentry, which is so once it is hashed. */
	if (!alias && !d_in_lookup(dentry)) {
		nexus_look_ahead(dentry->d_parent, dir, pos,
				 flags & LOOKUP_OPEN);
		if (n == -ENOENT && !di->zone->ttl)
			nexus_names_missed(dentry->d_parent, dir);
	}
	return alias;
}

/* ---- listing -------------------------------------------------------------------- */

/*
 * What is not in memory and does not follow what is: asked for and given out.  1: goes
 * on at ctx->pos; 0: the caller's buffer is full; -errno.
 */
static int nexus_list_past(struct file *file, struct dir_context *ctx, u64 end,
			   struct nexus_list_reply *lr)
{
	const struct nexus_list_ent *ent = (const void *)(lr + 1);
	u32 i;
	int err;

	err = nexus_list_ask(file->f_path.dentry, ctx->pos, end,
			     NEXUS_LIST_NAMES, lr);
	if (err)
		return err;
	/* nexus_reply_check() has seen to lengths and order. */
	for (i = 0; i < lr->count; i++) {
		ctx->pos = ent->pos;
		if (!dir_emit(ctx, ent->name, ent->namelen, ent->ino, ent->dtype))
			return 0;
		ent = (const void *)ent + ent->reclen;
	}
	ctx->pos = lr->next_pos;
	return 1;
}

/* 1, 0: as above; -errno. */
static int nexus_list_more(struct file *file, struct dir_context *ctx, u64 end,
			   struct nexus_list_reply *lr)
{
	struct nexus_dir_file *df = file->private_data;
	int err = nexus_listing_extend(file->f_path.dentry, ctx->pos, &df->ahead, lr);

	if (err == -ENOENT || err == -ENOMEM)
		return nexus_list_past(file, ctx, end, lr);
	return err ?: 1;
}

static int nexus_list(struct file *file, struct dir_context *ctx, u64 end)
{
	struct nexus_list_reply *lr = NULL;
	int more;

	for (;;) {
		more = nexus_listing_emit(file_inode(file), ctx, end);
		if (more <= 0 || (u64)ctx->pos >= end)
			break;
		if (!lr)
			lr = kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
		if (!lr)
			return -ENOMEM;
		more = nexus_list_more(file, ctx, end, lr);
		if (more <= 0 || (u64)ctx->pos >= end)
			break;
		if (fatal_signal_pending(current)) {
			more = -EINTR;
			break;
		}
	}
	kfree(lr);
	return min(more, 0);
}

static int nexus_iterate(struct file *file, struct dir_context *ctx)
{
	struct nexus_dir_file *df = file->private_data;
	int err;

	if (!ctx->pos) {
		nexus_list_ahead_drop(file_inode(file), &df->ahead);
		err = nexus_foreign_names(file_inode(file));
		if (err)
			return err;
		df->end = READ_ONCE(NEXUS_I(file_inode(file))->next_pos);
	}
	if (!dir_emit_dots(file, ctx))
		return 0;
	if (ctx->pos < NEXUS_FIRST_POS)
		ctx->pos = NEXUS_FIRST_POS;
	if ((u64)ctx->pos >= df->end)
		return 0;
	return nexus_list(file, ctx, df->end);
}

/* f_pos is ours: directories are locked against concurrent use of it. */
static loff_t nexus_dir_llseek(struct file *file, loff_t offset, int whence)
{
	switch (whence) {
	case SEEK_CUR:
		offset += file->f_pos;
		break;
	case SEEK_SET:
		break;
	default:
		return -EINVAL;
	}
	return vfs_setpos(file, offset, NEXUS_POS_MAX);
}

struct nexus_plock_file **nexus_dir_plock(struct file *file)
{
	struct nexus_dir_file *df = file->private_data;

	return &df->plock;
}

static int nexus_dir_open(struct inode *inode, struct file *file)
{
	struct nexus_dir_file *df;

	df = kzalloc(sizeof(*df), GFP_KERNEL);
	if (!df)
		return -ENOMEM;
	/* Also for a seekdir before anything was read. */
	df->end = READ_ONCE(NEXUS_I(inode)->next_pos);
	file->private_data = df;
	return 0;
}

static int nexus_dir_release(struct inode *inode, struct file *file)
{
	struct nexus_dir_file *df = file->private_data;

	nexus_plock_close(inode, df->plock);
	nexus_list_ahead_drop(inode, &df->ahead);
	kfree(df);
	return 0;
}

const struct file_operations nexus_dir_fops = {
	.open		= nexus_dir_open,
	.release	= nexus_dir_release,
	.llseek		= nexus_dir_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= nexus_iterate,
	.fsync		= nexus_fsync,
	.setlease	= generic_setlease,
	.unlocked_ioctl	= nexus_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};
