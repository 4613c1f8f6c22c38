// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* References to shared blocks: their keys, and which blocks they cover. */
#include "shared.h"

void nexus_ref_key(struct nexus_key *k, u64 data_id, const struct nexus_kext *x)
{
	nexus_key_shared(k, x->pack, x->block, x->nblocks, data_id,
			 x->fblock << NEXUS_BLOCK_SHIFT);
}

int nexus_ref_parse(const struct nexus_key *k, struct nexus_ref *ref)
{
	struct nexus_kext *x = &ref->x;
	struct nexus_key same;
	u64 offset;

	if (k->len != NEXUS_SHARED_KEY_LEN)
		return -EUCLEAN;
	x->pack = nexus_get_be64(k->b + 1);
	x->block = (u32)k->b[10] << 24 | (u32)k->b[11] << 16 |
		   (u32)k->b[12] << 8 | k->b[13];
	x->nblocks = NEXUS_EXTENT_BLOCKS_MAX - k->b[14];
	ref->data_id = nexus_get_be64(k->b + 15);
	offset = nexus_get_be64(k->b + 23);
	x->fblock = offset >> NEXUS_BLOCK_SHIFT;
	x->flags = NEXUS_EF_SHARED;
	if (!x->pack || !x->block || offset > NEXUS_SIZE_MAX ||
	    (u64)x->block + x->nblocks > NEXUS_PACK_BLOCKS_MAX ||
	    (x->fblock % NEXUS_EXT_WINDOW) + x->nblocks > NEXUS_EXT_WINDOW)
		return -EUCLEAN;
	/* The class, and the low bits of the offset. */
	nexus_ref_key(&same, ref->data_id, x);
	return memcmp(same.b, k->b, k->len) ? -EUCLEAN : 0;
}

struct cover {
	struct nexus_kv *kv;
	struct nexus_key *k;
	const struct nexus_kext *x;
	u64 data_id;
	u64 gone, end;		/* its file blocks that do not count any more */
	u32 left;		/* blocks of @x not yet seen */
	u64 seen[NEXUS_EXTENT_BLOCKS_MAX / 64];
};

/* Somebody refers to blocks [from, from + n) of the pack. */
static void see(struct cover *c, u64 from, u64 n)
{
	u64 first = c->x->block, last = first + c->x->nblocks;
	u64 i = NEXUS_MAX(from, first), end = NEXUS_MIN(from + n, last);

	for (; i < end; i++) {
		u32 bit = (u32)(i - first);

		if (c->seen[bit / 64] >> (bit % 64) & 1)
			continue;
		c->seen[bit / 64] |= 1ull << (bit % 64);
		c->left--;
	}
}

/*
 * Notes what @ref covers, and makes the key from which to look on.  None that
 * begins at the same block covers more than one that counts as a whole.
 */
static void see_ref(struct cover *c, const struct nexus_ref *ref)
{
	const struct nexus_kext *x = &ref->x;

	if (ref->data_id != c->data_id || x->fblock >= c->end ||
	    x->fblock + x->nblocks <= c->gone) {
		see(c, x->block, x->nblocks);
		nexus_key_shared(c->k, x->pack, x->block + 1,
				 x->nblocks > NEXUS_SHARED_SHORT ?
				 NEXUS_EXTENT_BLOCKS_MAX : NEXUS_SHARED_SHORT,
				 0, 0);
		return;
	}
	/*
	 * Extents of a file do not overlap: one at most reaches into the gone
	 * range from below.  The one that reaches out of it is the one @x is
	 * the end of, and what is left of it lies behind the blocks of @x.
	 */
	if (x->fblock < c->gone)
		see(c, x->block, c->gone - x->fblock);
	nexus_key_shared(c->k, x->pack, x->block, x->nblocks, c->data_id,
			 (x->fblock < c->gone ? c->gone : c->end) <<
			 NEXUS_BLOCK_SHIFT);
}

/* References of one class that begin in [from, to) of the pack. */
static int see_class(struct cover *c, u32 longest, u64 from, u64 to)
{
	struct nexus_ref ref;
	u8 want[10], none[8];
	int len;

	nexus_key_shared(c->k, c->x->pack, (u32)from, longest, 0, 0);
	memcpy(want, c->k->b, sizeof(want));
	while (c->left) {
		len = nexus_kv_seek(c->kv, c->k->b, &c->k->len, none, 0);
		if (len < 0)
			return len == -ENOENT ? 0 : len;
		if (c->k->len < sizeof(want) ||
		    memcmp(want, c->k->b, sizeof(want)))
			return 0;
		if (nexus_ref_parse(c->k, &ref))
			return -EUCLEAN;
		if (ref.x.block >= to)
			return 0;
		see_ref(c, &ref);
	}
	return 0;
}

/* Where a reference of at most @longest blocks begins at least, to reach @block. */
static u64 reach(u32 block, u32 longest)
{
	return block > longest ? block - longest + 1 : 1;
}

/* Every reference that reaches into @c->x. */
static int see_all(struct cover *c)
{
	const struct nexus_kext *x = c->x;
	u64 end = (u64)x->block + x->nblocks;
	int ret;

	/* Where files share blocks, they mostly share their beginning. */
	ret = see_class(c, NEXUS_EXTENT_BLOCKS_MAX, x->block, end);
	if (!ret)
		ret = see_class(c, NEXUS_SHARED_SHORT, x->block, end);
	if (!ret)
		ret = see_class(c, NEXUS_EXTENT_BLOCKS_MAX,
				reach(x->block, NEXUS_EXTENT_BLOCKS_MAX),
				x->block);
	if (!ret)
		ret = see_class(c, NEXUS_SHARED_SHORT,
				reach(x->block, NEXUS_SHARED_SHORT), x->block);
	return ret;
}

int nexus_ref_last(struct nexus_kv *kv, struct nexus_key *k, u64 data_id,
		   u64 gone, const struct nexus_kext *x, u32 *count)
{
	struct cover c = {
		.kv = kv, .k = k, .x = x, .data_id = data_id,
		.gone = gone, .end = x->fblock + x->nblocks,
		.left = x->nblocks,
	};
	int ret = see_all(&c);

	*count = c.left;
	return ret;
}

int nexus_ref_cover(struct nexus_kv *kv, struct nexus_key *k,
		    const struct nexus_kext *x, u64 seen[NEXUS_REF_WORDS])
{
	/* Nothing is unmapped: everybody counts. */
	struct cover c = { .kv = kv, .k = k, .x = x, .left = x->nblocks };
	int ret = see_all(&c);

	memcpy(seen, c.seen, sizeof(c.seen));
	return ret;
}
