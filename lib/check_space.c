// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Checking a whole store: who owns which blocks of packs.
 *
 * Ranges of blocks are kept among the facts, apart from each other: those with
 * one owner ('P') and those with references ('R', neighbours joined).  Each is
 * found under its last block, so that the first key from a block on decides.
 */
#include "check_impl.h"

#define RANGE_KEY_LEN	24u

static void range_key(struct nexus_key *k, u8 letter, u64 pack, u64 block)
{
	memset(k->b, 0, RANGE_KEY_LEN);
	k->b[0] = letter;
	nexus_put_be64(k->b + 1, pack);
	nexus_put_be64(k->b + 9, block);
	k->len = RANGE_KEY_LEN;
}

/*
 * The range that overlaps [*from, *end), which it replaces; ck->other is its
 * key.  False: none does.
 */
static bool range_find(struct nexus_ck *ck, u8 letter, u64 pack, u64 *from,
		       u64 *end)
{
	const struct nexus_omap_entry *e;
	struct nexus_key *k = &ck->other;
	u64 first;

	range_key(k, letter, pack, *from);
	e = nexus_omap_lower(&ck->facts, k->b, k->len, false);
	if (!e || e->klen != RANGE_KEY_LEN || memcmp(e->data, k->b, 9))
		return false;
	memcpy(&first, nexus_omap_val(e), sizeof(first));
	if (first >= *end)
		return false;
	memcpy(k->b, e->data, e->klen);
	*from = first;
	*end = nexus_get_be64(k->b + 9) + 1;
	return true;
}

static int range_put(struct nexus_ck *ck, u8 letter, u64 pack, u64 from, u64 end)
{
	struct nexus_key *k = &ck->other;

	range_key(k, letter, pack, end - 1);
	return nexus_omap_put(&ck->facts, k->b, k->len, &from, sizeof(from));
}

int nexus_ck_claim(struct nexus_ck *ck, u64 data_id, const struct nexus_kext *x)
{
	u64 from = x->block, end = from + x->nblocks;

	if (range_find(ck, 'P', x->pack, &from, &end))
		nexus_ck_problem(ck, 'E', data_id, x->pack,
				 "blocks with two owners");
	return range_put(ck, 'P', x->pack, x->block, (u64)x->block + x->nblocks);
}

int nexus_ck_shared_extent(struct nexus_ck *ck, u64 data_id,
			   const struct nexus_kext *x)
{
	int len;

	nexus_ref_key(&ck->other, data_id, x);
	len = nexus_ck_look(ck, sizeof(struct nexus_shared_val));
	if (!len)
		nexus_ck_problem(ck, 'E', data_id, x->fblock,
				 "shared extent without its reference");
	return len < 0 ? len : 0;
}

/* Adds a range to those with references; what is new of it is live. */
static int add_shared(struct nexus_ck *ck, const struct nexus_kext *x)
{
	u64 from = x->block, end = from + x->nblocks;
	u64 a = from, b = end, live = x->nblocks;
	struct nexus_ck_pack *pack;

	while (range_find(ck, 'R', x->pack, &a, &b)) {
		live -= NEXUS_MIN(b, (u64)x->block + x->nblocks) -
			NEXUS_MAX(a, (u64)x->block);
		nexus_omap_remove(&ck->facts, ck->other.b, ck->other.len);
		from = NEXUS_MIN(from, a);
		end = NEXUS_MAX(end, b);
		a = x->block;
		b = a + x->nblocks;
	}
	pack = nexus_ck_pack(ck, x->pack);
	if (!pack)
		return -ENOMEM;
	pack->live += live;
	return range_put(ck, 'R', x->pack, from, end);
}

/* Behind all extents, so what has one owner is known. */
int nexus_ck_scan_shared(struct nexus_ck *ck)
{
	const struct nexus_extent_val *v = (const void *)ck->other_val;
	u64 pack = nexus_get_be64(ck->key.b + 1), from, end;
	const struct nexus_kext *x;
	struct nexus_ref ref;
	int len;

	if (nexus_ref_parse(&ck->key, &ref)) {
		nexus_ck_problem(ck, 'R', pack, 0, "damaged reference");
		return 0;
	}
	x = &ref.x;
	nexus_key_extent(&ck->other, ref.data_id, x->fblock << NEXUS_BLOCK_SHIFT);
	len = nexus_ck_look(ck, sizeof(*v));
	if (len < 0)
		return len;
	if (!len || !(le32_to_cpu(v->flags) & NEXUS_EF_SHARED) ||
	    le64_to_cpu(v->pack) != pack || le32_to_cpu(v->block) != x->block ||
	    le32_to_cpu(v->nblocks) != x->nblocks)
		nexus_ck_problem(ck, 'R', pack, ref.data_id,
				 "reference without its extent");
	from = x->block;
	end = from + x->nblocks;
	if (range_find(ck, 'P', pack, &from, &end))
		nexus_ck_problem(ck, 'R', pack, x->block,
				 "shared blocks with an owner");
	return add_shared(ck, x);
}
