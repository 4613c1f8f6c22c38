// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Apply: RESERVE.  Holes of a range become unwritten extents.
 *
 * Within a window all unwritten extents that touch are one: a file that is
 * reserved in small steps must not get an extent for each of them.
 */
#include "apply_impl.h"

struct reserve {
	struct nexus_ap *ap;
	u64	data_id;
	u64	plus;		/* blocks reserved so far */
	u64	run, run_end;	/* unwritten blocks in a row; none: run == run_end */
	bool	changed;	/* the run is not what is stored */
};

static int flush_run(struct reserve *r)
{
	struct nexus_extent_val *v;
	int ret = 0;

	if (r->changed) {
		nexus_key_extent(&r->ap->key2, r->data_id,
				 r->run << NEXUS_BLOCK_SHIFT);
		v = nexus_ap_put(r->ap, &r->ap->key2, sizeof(*v));
		if (v) {
			v->nblocks = cpu_to_le32((u32)(r->run_end - r->run));
			v->flags = cpu_to_le32(NEXUS_EF_UNWRITTEN);
		} else {
			ret = -ENOMEM;
		}
	}
	r->run = 0;
	r->run_end = 0;
	r->changed = false;
	return ret;
}

static void fill_hole(struct reserve *r, u64 from, u64 end)
{
	if (from >= end)
		return;
	if (r->run == r->run_end)
		r->run = from;
	r->run_end = end;
	r->changed = true;
	r->plus += end - from;
}

/* The next stored extent, @len bytes of value; what is before it is filled. */
static int pass_extent(struct reserve *r, const struct nexus_kext *x, size_t len)
{
	int ret;

	/* What a later version put behind the value stays as it is. */
	if (!(x->flags & NEXUS_EF_UNWRITTEN) ||
	    len != sizeof(struct nexus_extent_val))
		return flush_run(r);
	if (r->run != r->run_end && r->run_end == x->fblock) {
		nexus_key_extent(&r->ap->key2, r->data_id,
				 x->fblock << NEXUS_BLOCK_SHIFT);
		ret = nexus_ap_del(r->ap, &r->ap->key2);
		if (ret)
			return ret;
		r->changed = true;
	} else {
		ret = flush_run(r);
		if (ret)
			return ret;
		r->run = x->fblock;
	}
	r->run_end = x->fblock + x->nblocks;
	return 0;
}

/* [from, end) of one window, which ends at @window_end. */
static int reserve_window(struct reserve *r, u64 from, u64 end, u64 window_end)
{
	struct nexus_ap *ap = r->ap;
	struct nexus_kext x;
	int len, ret;

	/* From the block before on, to see the left neighbour. */
	len = nexus_ext_seek(ap->kv, r->data_id,
			     from % NEXUS_EXT_WINDOW ? from - 1 : from,
			     &ap->key, ap->val, sizeof(ap->val), &x);
	while (len > 0 && x.fblock < window_end && x.fblock <= end) {
		fill_hole(r, from, x.fblock);
		ret = pass_extent(r, &x, (size_t)len);
		if (ret)
			return ret;
		from = NEXUS_MAX(from, x.fblock + x.nblocks);
		if (from > end)
			break;
		len = nexus_ext_next(ap->kv, r->data_id, x.fblock + x.nblocks,
				     &ap->key, ap->val, sizeof(ap->val), &x);
	}
	if (len == -EUCLEAN)
		return nexus_ap_fail(ap, 0, "damaged extent");
	if (len < 0 && len != -ENOENT)
		return len;
	fill_hole(r, from, end);
	return flush_run(r);
}

int nexus_ap_reserve(struct nexus_ap *ap)
{
	const struct nexus_rec_range *rec = (const void *)ap->rec;
	u64 from = le64_to_cpu(rec->offset) >> NEXUS_BLOCK_SHIFT;
	u64 end = from + (le64_to_cpu(rec->len) >> NEXUS_BLOCK_SHIFT);
	struct reserve r = { .ap = ap, .data_id = le64_to_cpu(rec->data_id) };
	struct nexus_ap_inode *in;
	int ret;

	ret = nexus_ap_file(ap, rec->ino, rec->data_id, &in);
	if (!ret && (le32_to_cpu(in->v.flags) & NEXUS_IF_INLINE))
		ret = nexus_ap_fail(ap, in->ino, "space for an inline body");
	while (!ret && from < end) {
		u64 window_end = from - from % NEXUS_EXT_WINDOW + NEXUS_EXT_WINDOW;
		u64 to = NEXUS_MIN(end, window_end);

		ret = reserve_window(&r, from, to, window_end);
		from = to;
	}
	if (ret)
		return ret;
	ap->unwritten += (s64)r.plus;
	ret = nexus_ap_blocks(ap, in, r.plus, 0);
	if (ret)
		return ret;
	if (le64_to_cpu(in->v.size) < le64_to_cpu(rec->size))
		in->v.size = rec->size;
	nexus_ap_mtime(ap, in);
	nexus_ap_gen(in);
	return 0;
}
