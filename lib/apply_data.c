// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Apply: content.  TRUNCATE, EXTENT, PUNCH, and the freeing of extents. */
#include "apply_impl.h"

#define FBLOCK_END	(NEXUS_EXT_FBLOCK_MAX + NEXUS_EXT_WINDOW)

int nexus_ap_extent_put(struct nexus_ap *ap, const struct nexus_ap_inode *in,
			size_t len, const struct nexus_kext *x)
{
	u64 data_id = le64_to_cpu(in->v.data_id);
	struct nexus_extent_val *v;

	nexus_key_extent(&ap->key2, data_id, x->fblock << NEXUS_BLOCK_SHIFT);
	v = nexus_ap_put(ap, &ap->key2, len ? len : sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (len)
		memcpy(v, ap->val, len);
	v->pack = cpu_to_le64(x->pack);
	v->block = cpu_to_le32(x->block);
	v->nblocks = cpu_to_le32(x->nblocks);
	v->flags = cpu_to_le32(x->flags);
	if (!(x->flags & NEXUS_EF_SHARED))
		return 0;
	return nexus_ap_ref_put(ap, in->ino, data_id, x);
}

/*
 * @x, cut to end at @from, goes on in @new.  Both lie in one window: no extent
 * that begins below @from would reach it otherwise.
 */
static bool joins(const struct nexus_kext *x, const struct nexus_ap_map *m)
{
	const struct nexus_kext *new = m->new;

	return m->nnew && new->fblock == m->from && x->pack == new->pack &&
	       x->flags == new->flags &&
	       x->block + (m->from - x->fblock) == new->block;
}

/* Whether a new extent gets the key of one that begins at @fblock. */
static bool replaced(const struct nexus_ap_map *m, u64 fblock)
{
	u32 i;

	for (i = m->merged; i < m->nnew; i++)
		if (m->new[i].fblock == fblock)
			return true;
	return false;
}

/* The extent as the store has it ends; what is left of it gets new values. */
static int drop_extent(struct nexus_ap *ap, const struct nexus_ap_map *m,
		       const struct nexus_kext *x)
{
	u64 data_id = le64_to_cpu(m->in->v.data_id);
	int ret = 0;

	if (x->flags & NEXUS_EF_SHARED)
		ret = nexus_ap_ref_del(ap, data_id, x);
	if (ret || x->fblock < m->from || replaced(m, x->fblock))
		return ret;
	nexus_key_extent(&ap->key2, data_id, x->fblock << NEXUS_BLOCK_SHIFT);
	return nexus_ap_del(ap, &ap->key2);
}

/* One extent that overlaps [from, end), or ends at from. */
static int map_one(struct nexus_ap *ap, struct nexus_ap_map *m,
		   const struct nexus_kext *x, size_t len)
{
	u64 x_end = x->fblock + x->nblocks;
	u64 a = NEXUS_MAX(x->fblock, m->from), b = NEXUS_MIN(x_end, m->end);
	struct nexus_kext part = *x;
	int ret = 0;

	if (a < b) {
		m->freed += b - a;
		part.fblock = a;
		part.block = x->block + (u32)(a - x->fblock);
		part.nblocks = (u32)(b - a);
		if (x->flags & NEXUS_EF_UNWRITTEN)
			ap->unwritten -= (s64)(b - a);
		else
			ret = nexus_ap_unmap(ap, le64_to_cpu(m->in->v.data_id),
					     m->gone, &part);
		if (ret)
			return ret;
	}
	part = *x;
	part.nblocks = 0;
	if (x->fblock < m->from) {
		part.nblocks = (u32)(m->from - x->fblock);
		if (joins(x, m)) {
			part.nblocks += m->new->nblocks;
			m->merged = true;
		}
		if (part.nblocks == x->nblocks)
			return 0;
	}
	ret = drop_extent(ap, m, x);
	if (!ret && part.nblocks)
		ret = nexus_ap_extent_put(ap, m->in, len, &part);
	if (!ret && x_end > m->end) {
		part.fblock = m->end;
		if (!(x->flags & NEXUS_EF_UNWRITTEN))
			part.block = x->block + (u32)(m->end - x->fblock);
		part.nblocks = (u32)(x_end - m->end);
		ret = nexus_ap_extent_put(ap, m->in, len, &part);
	}
	return ret;
}

static int map_new(struct nexus_ap *ap, const struct nexus_ap_map *m)
{
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < m->nnew; i++) {
		const struct nexus_kext *new = &m->new[i];

		/* What is shared is live already. */
		if (!(new->flags & NEXUS_EF_SHARED))
			ret = nexus_ap_pack_add(ap, new->pack, new->nblocks,
						new->block + new->nblocks);
		if (!ret && (i || !m->merged))
			ret = nexus_ap_extent_put(ap, m->in, 0, new);
	}
	return ret;
}

int nexus_ap_map(struct nexus_ap *ap, struct nexus_ap_map *m)
{
	u64 data_id = le64_to_cpu(m->in->v.data_id);
	struct nexus_kext x;
	int len, ret;

	m->freed = 0;
	m->merged = false;
	/* From the block before on, to see the left neighbour. */
	len = nexus_ext_seek(ap->kv, data_id,
			     m->from % NEXUS_EXT_WINDOW ? m->from - 1 : m->from,
			     &ap->key, ap->val, sizeof(ap->val), &x);
	while (len > 0 && x.fblock < m->end) {
		ret = map_one(ap, m, &x, (size_t)len);
		if (ret)
			return ret;
		if (x.fblock + x.nblocks >= m->end)
			break;
		len = nexus_ext_next(ap->kv, data_id, x.fblock + x.nblocks,
				     &ap->key, ap->val, sizeof(ap->val), &x);
	}
	if (len == -EUCLEAN)
		return nexus_ap_fail(ap, 0, "damaged extent");
	if (len < 0 && len != -ENOENT)
		return len;
	return map_new(ap, m);
}

int nexus_ap_blocks(struct nexus_ap *ap, struct nexus_ap_inode *in, u64 plus,
		    u64 minus)
{
	u64 blocks = le64_to_cpu(in->v.blocks) + plus, unwritten;

	if (blocks < minus)
		return nexus_ap_fail(ap, in->ino, "inode counts too few blocks");
	in->v.blocks = cpu_to_le64(blocks - minus);
	if (plus != minus)
		nexus_ap_charge(ap, in, 0, (s64)(plus - minus));
	if (!ap->unwritten)
		return 0;
	unwritten = le64_to_cpu(in->v.unwritten);
	if (ap->unwritten < 0 && unwritten < (u64)-ap->unwritten)
		return nexus_ap_fail(ap, in->ino, "inode counts too few unwritten blocks");
	in->v.unwritten = cpu_to_le64(unwritten + (u64)ap->unwritten);
	nexus_ap_quota_add(ap, NEXUS_QUOTA_UNWRITTEN, 0, 0, ap->unwritten);
	ap->unwritten = 0;
	return 0;
}

int nexus_ap_file(struct nexus_ap *ap, __le64 le_ino, __le64 data_id,
		  struct nexus_ap_inode **in)
{
	u64 ino = le64_to_cpu(le_ino);
	int ret = nexus_ap_inode(ap, ino, in);

	if (ret)
		return ret;
	if (nexus_ap_fmt(*in) != S_IFREG)
		return nexus_ap_fail(ap, ino, "content of no regular file");
	if ((*in)->v.data_id != data_id)
		return nexus_ap_fail(ap, ino, "inode has another data id");
	return 0;
}

/*
 * The whole body goes at once from the inode and its quotas; the extents stay
 * under the old data id, to be freed in steps.
 */
static int replace_body(struct nexus_ap *ap, struct nexus_ap_inode *in,
			u64 new_id)
{
	u64 old_id = le64_to_cpu(in->v.data_id);
	u64 blocks = le64_to_cpu(in->v.blocks);
	struct nexus_kext x;
	int ret;

	ret = nexus_ext_next(ap->kv, new_id, 0, &ap->key, ap->val,
			     sizeof(ap->val), &x);
	if (ret > 0 || ret == -EUCLEAN)
		return nexus_ap_fail(ap, in->ino, "new data id is in use");
	if (ret != -ENOENT)
		return ret;
	nexus_key_orphan(&ap->key, new_id);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret)
		return ret < 0 ? ret :
		       nexus_ap_fail(ap, in->ino, "new data id is in use");

	in->v.data_id = cpu_to_le64(new_id);
	ap->unwritten = -(s64)le64_to_cpu(in->v.unwritten);
	ret = nexus_ap_blocks(ap, in, 0, blocks);
	if (!ret && !nexus_ap_nlink(in)) {
		/* Still open, though its last name is gone. */
		ret = nexus_ap_orphan_put(ap, new_id, NEXUS_ORPHAN_INODE,
					  in->ino, NULL);
		nexus_key_orphan(&ap->key, old_id);
		if (!ret)
			ret = nexus_ap_del(ap, &ap->key);
	}
	if (!ret && blocks)
		ret = nexus_ap_orphan_put(ap, old_id, NEXUS_ORPHAN_BULK, 0, in);
	return ret ? ret : nexus_ap_drop_inline(ap, in);
}

static int cut_body(struct nexus_ap *ap, struct nexus_ap_inode *in,
		    const struct nexus_rec_truncate *r)
{
	u64 size = le64_to_cpu(r->size);
	u64 end = (size >> NEXUS_BLOCK_SHIFT) + !!(size & (NEXUS_BLOCK_SIZE - 1));
	struct nexus_ap_map m = { .in = in, .end = FBLOCK_END };
	struct nexus_kext tail = { 0 };
	int ret;

	if (!r->tail_pack) {
		m.from = end;
		m.gone = end;
		ret = nexus_ap_cut_inline(ap, in, size);
		if (!ret)
			ret = nexus_ap_map(ap, &m);
		return ret ? ret : nexus_ap_blocks(ap, in, 0, m.freed);
	}
	tail.fblock = end - 1;
	tail.pack = le64_to_cpu(r->tail_pack);
	tail.block = le32_to_cpu(r->tail_block);
	tail.nblocks = 1;
	m.from = tail.fblock;
	m.gone = tail.fblock;
	m.new = &tail;
	m.nnew = 1;
	ret = nexus_ap_end_inline(ap, in, tail.fblock);
	if (!ret)
		ret = nexus_ap_map(ap, &m);
	return ret ? ret : nexus_ap_blocks(ap, in, 1, m.freed);
}

int nexus_ap_truncate(struct nexus_ap *ap)
{
	const struct nexus_rec_truncate *r = (const void *)ap->rec;
	u64 size = le64_to_cpu(r->size);
	struct nexus_ap_inode *in;
	int ret;

	ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	if (r->new_data_id)
		ret = replace_body(ap, in, le64_to_cpu(r->new_data_id));
	else
		ret = cut_body(ap, in, r);
	if (ret)
		return ret;
	in->v.size = cpu_to_le64(size);
	if (r->new_data_id)
		in->v.disk_size = cpu_to_le64(0);
	else if (le64_to_cpu(in->v.disk_size) > size)
		in->v.disk_size = cpu_to_le64(size);
	nexus_ap_mtime(ap, in);
	nexus_ap_gen(in);
	return 0;
}

void nexus_ap_written(struct nexus_ap_inode *in, const struct nexus_ap_written *w)
{
	u64 size = le64_to_cpu(w->size);

	if (le64_to_cpu(in->v.size) < size)
		in->v.size = w->size;
	if (le64_to_cpu(in->v.disk_size) < size)
		in->v.disk_size = w->size;
	in->v.mtime_s = w->mtime_s;
	in->v.mtime_ns = w->mtime_ns;
	in->v.ctime_s = w->ctime_s;
	in->v.ctime_ns = w->ctime_ns;
	nexus_ap_gen(in);
}

int nexus_ap_extent(struct nexus_ap *ap)
{
	const struct nexus_rec_extent *r = (const void *)ap->rec;
	const struct nexus_ap_written w = {
		r->size, r->mtime_s, r->ctime_s, r->mtime_ns, r->ctime_ns,
	};
	u32 left = le32_to_cpu(r->nblocks);
	struct nexus_ap_map m = { .nnew = 1 };
	struct nexus_ap_inode *in;
	struct nexus_kext x;
	u64 gone = 0;
	int ret;

	ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	x.fblock = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT;
	x.pack = le64_to_cpu(r->pack);
	x.block = le32_to_cpu(r->block);
	x.flags = le32_to_cpu(r->flags);
	m.in = in;
	m.gone = x.fblock;
	m.new = &x;
	ret = nexus_ap_end_inline(ap, in, x.fblock);
	while (!ret && left) {
		u64 room = NEXUS_EXT_WINDOW - x.fblock % NEXUS_EXT_WINDOW;

		x.nblocks = (u32)NEXUS_MIN(room, (u64)left);
		m.from = x.fblock;
		m.end = x.fblock + x.nblocks;
		ret = nexus_ap_map(ap, &m);
		gone += m.freed;
		left -= x.nblocks;
		x.fblock += x.nblocks;
		x.block += x.nblocks;
	}
	if (!ret)
		ret = nexus_ap_blocks(ap, in, le32_to_cpu(r->nblocks), gone);
	if (!ret)
		nexus_ap_written(in, &w);
	return ret;
}

int nexus_ap_punch(struct nexus_ap *ap)
{
	const struct nexus_rec_range *r = (const void *)ap->rec;
	struct nexus_ap_map m = { .nnew = 0 };
	struct nexus_ap_inode *in;
	int ret;

	ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	m.in = in;
	m.from = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT;
	m.end = m.from + (le64_to_cpu(r->len) >> NEXUS_BLOCK_SHIFT);
	m.gone = m.from;
	if (!m.from)
		ret = nexus_ap_drop_inline(ap, in);
	if (!ret)
		ret = nexus_ap_map(ap, &m);
	if (!ret)
		ret = nexus_ap_blocks(ap, in, 0, m.freed);
	if (ret)
		return ret;
	if (le64_to_cpu(in->v.size) < le64_to_cpu(r->size))
		in->v.size = r->size;
	nexus_ap_mtime(ap, in);
	nexus_ap_gen(in);
	return 0;
}

int nexus_ap_free_extents(struct nexus_ap *ap, u64 data_id, u32 max, bool *more)
{
	struct nexus_kext x;
	u64 from = 0;
	int len, ret;

	for (;; max--) {
		len = nexus_ext_next(ap->kv, data_id, from, &ap->key, ap->val,
				     sizeof(ap->val), &x);
		*more = len > 0;
		if (len == -ENOENT)
			return 0;
		if (len == -EUCLEAN)
			return nexus_ap_fail(ap, 0, "damaged extent");
		if (len < 0)
			return len;
		if (!max)
			return 0;
		ret = nexus_ap_del(ap, &ap->key);
		if (!ret && (x.flags & NEXUS_EF_SHARED))
			ret = nexus_ap_ref_del(ap, data_id, &x);
		/* Unwritten ones were counted out with their inode. */
		if (!ret && !(x.flags & NEXUS_EF_UNWRITTEN))
			ret = nexus_ap_unmap(ap, data_id, 0, &x);
		if (ret)
			return ret;
		from = x.fblock + x.nblocks;
	}
}
