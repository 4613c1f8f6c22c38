// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Apply: MOVE, by which compaction takes live blocks out of a pack.
 *
 * It was decided on what the file looked like some time ago, so it compares before
 * it swaps; what does not match any more is nobody's fault and changes nothing.
 */
#include "apply_impl.h"

/* 1: the file has just what the record says; 0: it has not. */
static int still_there(struct nexus_ap *ap, const struct nexus_rec_move *r)
{
	u64 data_id = le64_to_cpu(r->data_id), pack = le64_to_cpu(r->from_pack);
	u64 first = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT;
	u64 at = first, end = first + le32_to_cpu(r->nblocks);
	struct nexus_kext x;
	int len;

	while (at < end) {
		len = nexus_ext_seek(ap->kv, data_id, at, &ap->key, ap->val,
				     sizeof(ap->val), &x);
		if (len == -EUCLEAN)
			return nexus_ap_fail(ap, 0, "damaged extent");
		if (len < 0)
			return len == -ENOENT ? 0 : len;
		if (x.fblock > at || x.pack != pack ||
		    x.flags ||
		    x.block + (at - x.fblock) !=
			    le32_to_cpu(r->from_block) + (at - first))
			return 0;
		at = x.fblock + x.nblocks;
	}
	return 1;
}

/* The inode, if it is a file with that data id. */
static int find_file(struct nexus_ap *ap, const struct nexus_rec_move *r,
		     struct nexus_ap_inode **in)
{
	int ret;

	nexus_key_inode(&ap->key, le64_to_cpu(r->ino));
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret <= 0)
		return ret;
	ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), in);
	if (ret)
		return ret;
	return nexus_ap_fmt(*in) == S_IFREG && (*in)->v.data_id == r->data_id;
}

int nexus_ap_move(struct nexus_ap *ap)
{
	const struct nexus_rec_move *r = (const void *)ap->rec;
	struct nexus_ap_map m = { .nnew = 1 };
	u32 left = le32_to_cpu(r->nblocks);
	struct nexus_ap_inode *in;
	struct nexus_kext x = {
		.fblock = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT,
		.pack = le64_to_cpu(r->to_pack),
		.block = le32_to_cpu(r->to_block),
	};
	int ret;

	ret = find_file(ap, r, &in);
	if (ret > 0)
		ret = still_there(ap, r);
	if (ret <= 0)
		return ret;
	m.in = in;
	m.gone = x.fblock;
	m.new = &x;
	for (ret = 0; !ret && left; left -= x.nblocks) {
		u64 room = NEXUS_EXT_WINDOW - x.fblock % NEXUS_EXT_WINDOW;

		x.nblocks = (u32)NEXUS_MIN(room, (u64)left);
		m.from = x.fblock;
		m.end = x.fblock + x.nblocks;
		ret = nexus_ap_map(ap, &m);
		x.fblock += x.nblocks;
		x.block += x.nblocks;
	}
	return ret;
}
