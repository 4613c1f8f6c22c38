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
 * dcache does not have does not exist.
 */
#include <linux/slab.h>

#include "nexusfs.h"

/* A listing of more entries leaves the dcache alone. */
#define NEXUS_PRIME_MAX	65536

struct nexus_dir_file {
	u64	end;		/* the listing ends here */
	/* While the listing goes on without a gap, and put all it saw into the dcache: */
	bool	whole;
	u64	expect;		/* where an unbroken listing goes on */
	u64	prunes;		/* nexus_inode.prunes when it began */
	u64	primed;
};

void nexus_dir_incomplete(struct inode *dir)
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

void nexus_dir_complete(struct nexus_inode *ni, u64 prunes)
{
	/*
	 * Names made since have dentries, those gone have none: only what the
	 * dcache dropped by itself matters.
	 */
	spin_lock(&ni->resv_lock);
	if (ni->prunes == prunes)
		set_bit(NEXUS_I_COMPLETE, &ni->state);
	spin_unlock(&ni->resv_lock);
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
	if (!IS_ERR_OR_NULL(alias))
		nexus_dentry_set_pos(alias, pos);
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
	if (test_bit(NEXUS_I_COMPLETE, &di->state)) {
		nexus_count(dir_complete_hits);
		return nexus_add(dir, dentry, NULL, 0);
	}

	er = kmalloc(NEXUS_ENTRY_MAX, GFP_KERNEL);
	if (!er)
		return ERR_PTR(-ENOMEM);
	/* i_rwsem keeps the directory as it is, and with it its LSN. */
	atomic_inc(&di->lookups);
	n = nexus_ms_read(di->zone, NEXUS_OP_LOOKUP, dir->i_ino, 0, 0,
			  name->name, name->len, READ_ONCE(di->last_lsn),
			  er, NEXUS_ENTRY_MAX, &applied);
	if (n >= 0) {
		pos = er->pos;
		inode = nexus_iget_reply(dir->i_sb, er, n, applied);
	} else if (n != -ENOENT) {
		inode = ERR_PTR(n);
	}
	alias = nexus_add(dir, dentry, inode, pos);
	atomic_dec(&di->lookups);
	kfree(er);
	/* Only with nobody waiting for @dentry, which is so once it is hashed. */
	if (!alias && !d_in_lookup(dentry))
		nexus_look_ahead(dentry->d_parent, dir, pos);
	return alias;
}

/* ---- listing -------------------------------------------------------------------- */

/*
 * Gives out the entries of one reply.  1: all of them; 0: the caller's buffer
 * is full; -EIO.
 */
static int nexus_emit(struct file *file, struct dir_context *ctx,
		      const struct nexus_list_reply *lr, size_t len, u64 applied)
{
	struct nexus_dir_file *df = file->private_data;
	const struct nexus_list_ent *ent = (const void *)(lr + 1);
	const void *end = (const void *)lr + len;
	u32 i;

	for (i = 0; i < lr->count; i++) {
		/* nexus_reply_check() has seen to lengths and order. */
		if ((const void *)(ent + 1) > end ||
		    (u64)ctx->pos > ent->pos || ent->pos >= df->end)
			return -EIO;
		ctx->pos = ent->pos;
		if (!dir_emit(ctx, ent->name, ent->namelen, ent->ino, ent->dtype))
			return 0;
		ctx->pos = ent->pos + 1;

		if (df->primed < NEXUS_PRIME_MAX &&
		    nexus_prime(file->f_path.dentry, ent, applied))
			df->primed++;
		else
			df->whole = false;
		ent = (const void *)ent + ent->reclen;
	}
	return 1;
}

static void nexus_dir_rewind(struct nexus_dir_file *df, struct inode *dir)
{
	struct nexus_inode *ni = NEXUS_I(dir);

	df->end = READ_ONCE(ni->next_pos);
	df->expect = 0;
	df->primed = 0;
	df->prunes = nexus_dir_prunes(ni);
	df->whole = true;
}

static int nexus_list(struct file *file, struct dir_context *ctx,
		      struct nexus_list_reply *lr)
{
	struct nexus_dir_file *df = file->private_data;
	struct inode *dir = file_inode(file);
	struct nexus_inode *ni = NEXUS_I(dir);
	u64 applied;
	int n, err;

	while ((u64)ctx->pos < df->end) {
		n = nexus_ms_read(ni->zone, NEXUS_OP_LIST, dir->i_ino,
				  ctx->pos, df->end, NULL, 0,
				  READ_ONCE(ni->last_lsn), lr,
				  NEXUS_REPLY_DATA_MAX, &applied);
		if (n < 0)
			return n;
		err = nexus_emit(file, ctx, lr, n, applied);
		if (err <= 0)
			return err;
		if (lr->flags & NEXUS_LR_END) {
			ctx->pos = df->end;
			break;
		}
		/* It must get on. */
		if (!lr->count && lr->next_pos <= (u64)ctx->pos)
			return -EIO;
		if (lr->next_pos > (u64)ctx->pos)
			ctx->pos = min(lr->next_pos, df->end);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	if (df->whole)
		nexus_dir_complete(ni, df->prunes);
	return 0;
}

static int nexus_iterate(struct file *file, struct dir_context *ctx)
{
	struct nexus_dir_file *df = file->private_data;
	struct nexus_list_reply *lr;
	int err;

	if (!ctx->pos)
		nexus_dir_rewind(df, file_inode(file));
	else if ((u64)ctx->pos != df->expect)
		df->whole = false;
	if (!dir_emit_dots(file, ctx))
		goto out;
	if (ctx->pos < NEXUS_FIRST_POS)
		ctx->pos = NEXUS_FIRST_POS;
	if ((u64)ctx->pos >= df->end) {
		if (df->whole)
			nexus_dir_complete(NEXUS_I(file_inode(file)),
					   df->prunes);
		return 0;
	}

	lr = kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!lr)
		return -ENOMEM;
	err = nexus_list(file, ctx, lr);
	kfree(lr);
	if (err)
		return err;
out:
	df->expect = ctx->pos;
	return 0;
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

static int nexus_dir_open(struct inode *inode, struct file *file)
{
	struct nexus_dir_file *df;

	df = kzalloc(sizeof(*df), GFP_KERNEL);
	if (!df)
		return -ENOMEM;
	/* Also for a seekdir before anything was read. */
	nexus_dir_rewind(df, inode);
	file->private_data = df;
	return 0;
}

static int nexus_dir_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

const struct file_operations nexus_dir_fops = {
	.open		= nexus_dir_open,
	.release	= nexus_dir_release,
	.llseek		= nexus_dir_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= nexus_iterate,
	.fsync		= nexus_fsync,
};
