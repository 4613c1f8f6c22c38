// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Apply: shared blocks.  SHARE, CLONE, and what they mean for live blocks.
 *
 * Blocks of an extent that is not SHARED have no other owner: they die with it.
 * Those of a SHARED one die with the last reference (R) to them.  SHARED stays
 * when only one is left.
 *
 * Sharing takes two records, because one record must not read what it has staged:
 * a file may be cloned into itself, and then one extent can be source and be cut
 * by the destination.
 */
#include "apply_impl.h"
#include "shared.h"

int nexus_ap_ref_put(struct nexus_ap *ap, u64 ino, u64 data_id,
		     const struct nexus_kext *x)
{
	struct nexus_shared_val *v;

	nexus_ref_key(&ap->key2, data_id, x);
	v = nexus_ap_put(ap, &ap->key2, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->ino = cpu_to_le64(ino);
	return 0;
}

int nexus_ap_ref_del(struct nexus_ap *ap, u64 data_id, const struct nexus_kext *x)
{
	nexus_ref_key(&ap->key2, data_id, x);
	return nexus_ap_del(ap, &ap->key2);
}

int nexus_ap_unmap(struct nexus_ap *ap, u64 data_id, u64 gone,
		   const struct nexus_kext *x)
{
	u32 dead = x->nblocks;
	int ret = 0;

	if (x->flags & NEXUS_EF_SHARED)
		ret = nexus_ref_last(ap->kv, &ap->key2, data_id, gone, x, &dead);
	if (ret == -EUCLEAN)
		return nexus_ap_fail(ap, 0, "damaged reference");
	return ret ? ret : nexus_ap_pack_add(ap, x->pack, -(s64)dead, 0);
}

int nexus_ap_share(struct nexus_ap *ap)
{
	const struct nexus_rec_share *r = (const void *)ap->rec;
	u64 from = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT;
	u64 end = from + le32_to_cpu(r->nblocks);
	struct nexus_ap_inode *in;
	struct nexus_kext x;
	int len, ret;

	ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	len = nexus_ext_seek(ap->kv, le64_to_cpu(r->data_id), from, &ap->key,
			     ap->val, sizeof(ap->val), &x);
	while (len > 0 && x.fblock < end) {
		if (!(x.flags & (NEXUS_EF_SHARED | NEXUS_EF_UNWRITTEN))) {
			x.flags |= NEXUS_EF_SHARED;
			ret = nexus_ap_extent_put(ap, in, (size_t)len, &x);
			if (ret)
				return ret;
		}
		len = nexus_ext_next(ap->kv, le64_to_cpu(r->data_id),
				     x.fblock + x.nblocks, &ap->key, ap->val,
				     sizeof(ap->val), &x);
	}
	if (len == -EUCLEAN)
		return nexus_ap_fail(ap, in->ino, "damaged extent");
	return len < 0 && len != -ENOENT ? len : 0;
}

/* ---- CLONE ----------------------------------------------------------- */

struct clone {
	u64 src_id;
	u64 src, to;		/* file blocks: where the next step reads and maps */
	u64 mapped;
	struct nexus_kext *new;	/* a window's worth */
	u32 nnew;
};

/* Adds the part of @x that lies in [from, end) of the source. */
static void add_part(struct clone *c, struct nexus_kext x, u64 from, u64 end)
{
	struct nexus_kext *last = c->nnew ? &c->new[c->nnew - 1] : NULL;
	u64 a = NEXUS_MAX(x.fblock, from);
	u64 b = NEXUS_MIN(x.fblock + x.nblocks, end);

	x.block += (u32)(a - x.fblock);
	x.nblocks = (u32)(b - a);
	x.fblock = a - from + c->to;
	c->mapped += x.nblocks;
	/* The windows of the source are not those of the destination. */
	if (last && last->fblock + last->nblocks == x.fblock &&
	    last->pack == x.pack && last->block + last->nblocks == x.block &&
	    last->flags == x.flags)
		last->nblocks += x.nblocks;
	else
		c->new[c->nnew++] = x;
}

/* What @n blocks of the source are, as extents of the destination. */
static int gather(struct nexus_ap *ap, struct clone *c, u32 n)
{
	u64 from = c->src, end = from + n;
	struct nexus_kext x;
	int len;

	c->nnew = 0;
	len = nexus_ext_seek(ap->kv, c->src_id, from, &ap->key, ap->val,
			     sizeof(ap->val), &x);
	while (len > 0 && x.fblock < end) {
		if (x.flags & NEXUS_EF_SHARED)
			add_part(c, x, from, end);
		else if (!(x.flags & NEXUS_EF_UNWRITTEN))
			return nexus_ap_fail(ap, 0, "source is not shared");
		len = nexus_ext_next(ap->kv, c->src_id, x.fblock + x.nblocks,
				     &ap->key, ap->val, sizeof(ap->val), &x);
	}
	if (len == -EUCLEAN)
		return nexus_ap_fail(ap, 0, "damaged extent");
	return len < 0 && len != -ENOENT ? len : 0;
}

static int clone_blocks(struct nexus_ap *ap, struct nexus_ap_inode *in,
			const struct nexus_rec_clone *r, struct clone *c)
{
	struct nexus_ap_map m = { .in = in, .gone = c->to };
	u64 left = le32_to_cpu(r->nblocks), freed = 0;
	int ret = 0;

	while (!ret && left) {
		u64 room = NEXUS_EXT_WINDOW - c->to % NEXUS_EXT_WINDOW;
		u32 n = (u32)NEXUS_MIN(room, left);

		ret = gather(ap, c, n);
		if (ret)
			break;
		m.from = c->to;
		m.end = c->to + n;
		m.new = c->new;
		m.nnew = c->nnew;
		ret = nexus_ap_map(ap, &m);
		freed += m.freed;
		c->src += n;
		c->to += n;
		left -= n;
	}
	if (!ret && c->mapped != le32_to_cpu(r->mapped))
		ret = nexus_ap_fail(ap, in->ino, "source has other blocks");
	return ret ? ret : nexus_ap_blocks(ap, in, c->mapped, freed);
}

int nexus_ap_clone(struct nexus_ap *ap)
{
	const struct nexus_rec_clone *r = (const void *)ap->rec;
	const struct nexus_ap_written w = {
		r->size, r->mtime_s, r->ctime_s, r->mtime_ns, r->ctime_ns,
	};
	struct clone c = {
		.src_id = le64_to_cpu(r->src_data_id),
		.src = le64_to_cpu(r->src_offset) >> NEXUS_BLOCK_SHIFT,
		.to = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT,
	};
	struct nexus_ap_inode *src, *in;
	int ret;

	ret = nexus_ap_file(ap, r->src_ino, r->src_data_id, &src);
	if (!ret)
		ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	if (nexus_ap_inline(src))
		return nexus_ap_fail(ap, src->ino, "source is inline");
	ret = nexus_ap_end_inline(ap, in, c.to);
	if (ret)
		return ret;
	c.new = nexus_alloc(NEXUS_EXT_WINDOW * sizeof(*c.new));
	if (!c.new)
		return -ENOMEM;
	ret = clone_blocks(ap, in, r, &c);
	nexus_free(c.new);
	if (!ret)
		nexus_ap_written(in, &w);
	return ret;
}
