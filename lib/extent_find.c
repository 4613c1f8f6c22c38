// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Finding extents in a store that can only seek forwards. */
#include "extent_find.h"

int nexus_ext_parse(const struct nexus_key *key, const void *val, size_t len,
		    struct nexus_kext *ext)
{
	const struct nexus_extent_val *v = val;
	u64 offset;

	if (key->len != 17 ||
	    nexus_val_check(val, len, NEXUS_KEY_EXTENT, sizeof(*v)))
		return -EUCLEAN;
	offset = nexus_get_be64(key->b + 9);
	if ((offset & (NEXUS_BLOCK_SIZE - 1)) || offset > NEXUS_SIZE_MAX)
		return -EUCLEAN;
	ext->fblock = offset >> NEXUS_BLOCK_SHIFT;
	ext->pack = le64_to_cpu(v->pack);
	ext->block = le32_to_cpu(v->block);
	ext->nblocks = le32_to_cpu(v->nblocks);
	ext->flags = le32_to_cpu(v->flags);
	if ((ext->flags & NEXUS_EF_UNWRITTEN) ? ext->pack || ext->block :
						 !ext->pack || !ext->block)
		return -EUCLEAN;
	if ((ext->flags & NEXUS_EF_UNWRITTEN) && (ext->flags & NEXUS_EF_SHARED))
		return -EUCLEAN;
	if (!ext->nblocks ||
	    (u64)ext->block + ext->nblocks > NEXUS_PACK_BLOCKS_MAX ||
	    (ext->fblock % NEXUS_EXT_WINDOW) + ext->nblocks > NEXUS_EXT_WINDOW)
		return -EUCLEAN;
	return 0;
}

int nexus_ext_next(struct nexus_kv *kv, u64 data_id, u64 fblock,
		   struct nexus_key *key, void *buf, size_t cap,
		   struct nexus_kext *ext)
{
	int len, ret;

	nexus_key_extent(key, data_id, fblock << NEXUS_BLOCK_SHIFT);
	len = nexus_kv_seek(kv, key->b, &key->len, buf, cap);
	if (len < 0)
		return len;
	if (key->len < 9 || key->b[0] != NEXUS_KEY_EXTENT ||
	    nexus_get_be64(key->b + 1) != data_id)
		return -ENOENT;
	if ((size_t)len > cap)
		return -EUCLEAN;
	ret = nexus_ext_parse(key, buf, (size_t)len, ext);
	return ret ? ret : len;
}

int nexus_ext_seek(struct nexus_kv *kv, u64 data_id, u64 fblock,
		   struct nexus_key *key, void *buf, size_t cap,
		   struct nexus_kext *ext)
{
	u64 lo_end, lo, hi = fblock, at;
	int len;

	len = nexus_ext_next(kv, data_id, fblock - fblock % NEXUS_EXT_WINDOW,
			     key, buf, cap, ext);
	if (len < 0 || ext->fblock + ext->nblocks > fblock)
		return len;
	/*
	 * An extent of this window ends at or below @fblock.  Look for the last
	 * one that begins at or below it, first right behind the known one, then
	 * by halves: a window may hold 256 extents.  No extent begins in
	 * (hi, fblock].
	 */
	lo = ext->fblock;
	lo_end = lo + ext->nblocks;
	at = lo_end;
	while (lo_end <= hi) {
		len = nexus_ext_next(kv, data_id, at, key, buf, cap, ext);
		if (len < 0 && len != -ENOENT)
			return len;
		if (len == -ENOENT || ext->fblock > fblock) {
			hi = at - 1;
		} else {
			lo = ext->fblock;
			lo_end = lo + ext->nblocks;
			if (lo_end > fblock)
				return len;
		}
		at = lo_end + (hi - lo_end + 1) / 2;
	}
	/* None covers it; the answer is what lies behind the last one. */
	return nexus_ext_next(kv, data_id, lo_end, key, buf, cap, ext);
}
