// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the content of a file is, for who asks: how much of it is away, and bringing it
 * here ahead of use.
 *
 * Looking takes the map and the bitmaps of its packs (retire.c), which for that are
 * opened as for a read.  Nothing is locked between two extents: of a file that changes
 * meanwhile it is told what was found at each place when it was looked at.
 */
#include <linux/uaccess.h>

#include <linux/nexusfs_content.h>

#include "data.h"

static_assert(sizeof(struct nexus_content) == 64);
/* Blocks that are looked at with a spinlock held. */
static_assert(NEXUS_ENSURE_BLOCKS <= 1024);

/* Brings @e here.  1: it may be elsewhere by now, or be missing in part; 0; or -errno. */
static int nexus_where_warm(struct inode *inode, const struct nexus_ext *e,
			    struct nexus_pack *pack, struct nexus_content *c)
{
	u32 before = nexus_pack_absent(pack, e->block, e->nblocks), after;
	__le64 since = cpu_to_le64(c->since);
	int ret;

	/* What is here already is not to go, either. */
	nexus_pack_touch(pack);
	if (!before)
		return 0;
	ret = nexus_fetch_extent(inode, e, false, &since);
	after = nexus_pack_absent(pack, e->block, e->nblocks);
	if (after < before)
		c->brought += (u64)(before - after) << NEXUS_BLOCK_SHIFT;
	return ret;
}

/* A piece of the map, at most NEXUS_ENSURE_BLOCKS, in a pack.  As nexus_where_warm(). */
static int nexus_where_extent(struct inode *inode, const struct nexus_ext *e,
			      struct nexus_content *c)
{
	struct nexus_pack *pack = nexus_packs_get(NEXUS_I(inode)->zone, e->pack);
	int ret = 0;

	if (IS_ERR(pack))
		return PTR_ERR(pack);
	if (c->flags & NEXUS_CONTENT_WARM)
		ret = nexus_where_warm(inode, e, pack, c);
	if (ret <= 0) {
		c->data += (u64)e->nblocks << NEXUS_BLOCK_SHIFT;
		c->away += (u64)nexus_pack_absent(pack, e->block, e->nblocks)
			   << NEXUS_BLOCK_SHIFT;
	}
	nexus_pack_put(pack);
	return ret;
}

static int nexus_where(struct inode *inode, struct nexus_content *c)
{
	u64 at = c->offset >> NEXUS_BLOCK_SHIFT;
	u64 end = DIV_ROUND_UP_ULL(c->offset + c->len, NEXUS_BLOCK_SIZE);
	struct nexus_ext e;
	u64 skip;
	int ret;

	ret = nexus_extents_load(inode);
	while (ret >= 0 && at < end && nexus_map_next(NEXUS_I(inode), at, &e) &&
	       e.fblock < end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		skip = e.fblock < at ? at - e.fblock : 0;
		e.fblock += skip;
		e.block += skip;
		e.nblocks = min3(e.nblocks - skip, end - e.fblock,
				 (u64)NEXUS_ENSURE_BLOCKS);
		at = e.fblock;
		ret = e.flags & NEXUS_EF_UNWRITTEN ?
			      0 : nexus_where_extent(inode, &e, c);
		/* 1: the map is looked at again. */
		if (!ret)
			at += e.nblocks;
		cond_resched();
	}
	return min(ret, 0);
}

static int nexus_where_args(const struct nexus_content *c, u64 max)
{
	if (c->flags & ~NEXUS_CONTENT_WARM || c->reserved || c->reserved2)
		return -EINVAL;
	if (c->since && !(c->flags & NEXUS_CONTENT_WARM))
		return -EINVAL;
	return c->len && c->offset <= max && c->len <= U64_MAX - c->offset ? 0 : -EINVAL;
}

long nexus_content_ioctl(struct file *file, void __user *arg)
{
	struct inode *inode = file_inode(file);
	struct nexus_content c;
	int err;

	if (file->f_op != &nexus_file_fops)
		return -ENOTTY;
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	err = nexus_where_args(&c, inode->i_sb->s_maxbytes);
	if (err)
		return err;
	c.len = min(c.len, inode->i_sb->s_maxbytes - c.offset);
	c.data = 0;
	c.away = 0;
	c.brought = 0;
	err = nexus_where(inode, &c);
	return copy_to_user(arg, &c, sizeof(c)) ? -EFAULT : err;
}
