// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Mending a store: who has which blocks of packs, and the references to shared ones.
 *
 * Blocks that a SHARED extent has may have any number of owners, if all of them are
 * SHARED; so an unshared extent that overlaps them becomes SHARED, too, and nothing
 * is lost.  Only where all are unshared, one loses its blocks.  References follow from
 * the extents, whatever was done to those before.
 */
#include "repair_impl.h"
#include "shared.h"

/* Blocks of a pack; the key is the pack and the last of them. */
struct cluster {
	u64	first;
	u64	shared;		/* a SHARED extent is among those that overlap here */
};

/* Who claimed blocks of a pack; the key likewise. */
struct claim {
	u64	first;
	u64	data_id;
	u64	fblock;
};

static void claim_key(struct nexus_key *k, u64 pack, u64 block)
{
	nexus_put_be64(k->b, pack);
	nexus_put_be64(k->b + 8, block);
	k->len = 16;
}

/* The claim that overlaps [from, end) of the pack, and lies lowest; or NULL. */
static const struct nexus_omap_entry *find_claim(struct nexus_rp *rp, u64 pack, u64 from,
						 u64 end)
{
	const struct nexus_omap_entry *e;
	struct nexus_key *k = &rp->k;
	u64 first;

	/* Under their last block, so that the first one from here on decides. */
	claim_key(k, pack, from);
	e = nexus_omap_lower(&rp->claims, k->b, k->len, false);
	if (!e || memcmp(e->data, k->b, 8))
		return NULL;
	/* Both kinds begin with it. */
	memcpy(&first, nexus_omap_val(e), sizeof(first));
	return first < end ? e : NULL;
}

/* The extent at hand, if it has blocks of a pack. */
static bool in_pack(struct nexus_rp *rp, struct nexus_kext *x)
{
	return !nexus_ext_parse(&rp->key, rp->val, rp->len, x) &&
	       !(x->flags & NEXUS_EF_UNWRITTEN);
}

/* Extents that overlap, directly or through others, are one cluster. */
static int gather_cluster(struct nexus_rp *rp)
{
	const struct nexus_omap_entry *e;
	struct cluster c, old;
	struct nexus_kext x;
	u64 end;

	if (!in_pack(rp, &x))
		return 0;
	end = (u64)x.block + x.nblocks;
	c = (struct cluster){ x.block, x.flags & NEXUS_EF_SHARED };
	while ((e = find_claim(rp, x.pack, c.first, end))) {
		memcpy(&old, nexus_omap_val(e), sizeof(old));
		memcpy(rp->k.b, e->data, e->klen);
		c.first = NEXUS_MIN(c.first, old.first);
		c.shared |= old.shared;
		end = NEXUS_MAX(end, nexus_get_be64(rp->k.b + 8) + 1);
		nexus_omap_remove(&rp->claims, rp->k.b, rp->k.len);
	}
	claim_key(&rp->k, x.pack, end - 1);
	return nexus_omap_put(&rp->claims, rp->k.b, rp->k.len, &c, sizeof(c));
}

static int join_shared(struct nexus_rp *rp)
{
	struct nexus_extent_val *v = (void *)rp->val;
	const struct nexus_omap_entry *e;
	struct nexus_kext x;
	struct cluster c;

	if (!in_pack(rp, &x) || (x.flags & NEXUS_EF_SHARED))
		return 0;
	e = find_claim(rp, x.pack, x.block, (u64)x.block + x.nblocks);
	if (!e)
		return 0;
	memcpy(&c, nexus_omap_val(e), sizeof(c));
	if (!c.shared)
		return 0;
	v->flags = cpu_to_le32(x.flags | NEXUS_EF_SHARED);
	nexus_rp_note(rp, NEXUS_KEY_EXTENT, nexus_rp_id(rp), nexus_rp_id2(rp),
		      "shared now: others share its blocks");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

static u64 owner(struct nexus_rp *rp, u64 data_id, u64 pack, u32 block)
{
	return rp->r->owner ? rp->r->owner(rp->r->arg, data_id, pack, block) : 0;
}

static int drop_other(struct nexus_rp *rp, u64 data_id, u64 offset)
{
	struct nexus_key *k = &rp->k;

	nexus_key_extent(k, data_id, offset);
	nexus_rp_note(rp, NEXUS_KEY_EXTENT, data_id, offset,
		      "dropped: its blocks are another file's");
	return nexus_rp_del(rp, k);
}

static int one_owner_each(struct nexus_rp *rp)
{
	const struct nexus_omap_entry *e;
	struct nexus_key *k = &rp->k;
	struct claim old, mine;
	struct nexus_kext x;
	u64 end;
	int ret;

	if (!in_pack(rp, &x) || (x.flags & NEXUS_EF_SHARED))
		return 0;
	end = (u64)x.block + x.nblocks;
	while ((e = find_claim(rp, x.pack, x.block, end))) {
		memcpy(&old, nexus_omap_val(e), sizeof(old));
		/* The table knows; else who comes first keeps them. */
		if (owner(rp, old.data_id, x.pack, (u32)old.first) ||
		    !owner(rp, nexus_rp_id(rp), x.pack, x.block))
			return drop_other(rp, nexus_rp_id(rp), nexus_rp_id2(rp));
		memcpy(k->b, e->data, e->klen);
		nexus_omap_remove(&rp->claims, k->b, k->len);
		ret = drop_other(rp, old.data_id, old.fblock << NEXUS_BLOCK_SHIFT);
		if (ret)
			return ret;
	}
	mine = (struct claim){ x.block, nexus_rp_id(rp), x.fblock };
	claim_key(k, x.pack, end - 1);
	return nexus_omap_put(&rp->claims, k->b, k->len, &mine, sizeof(mine));
}

/* ---- references ------------------------------------------------------------------ */

static int reference_of_extent(struct nexus_rp *rp)
{
	u64 data_id = nexus_rp_id(rp);
	const struct nexus_ck_data *data;
	struct nexus_shared_val v;
	struct nexus_kext x;
	int len;

	if (!in_pack(rp, &x) || !(x.flags & NEXUS_EF_SHARED))
		return 0;
	nexus_ref_key(&rp->k, data_id, &x);
	len = nexus_rp_get(rp, sizeof(v));
	if (len)
		return len < 0 ? len : 0;
	data = nexus_ck_data(rp->ck, data_id);
	if (!data)
		return -ENOMEM;
	memset(&v, 0, sizeof(v));
	v.ino = cpu_to_le64(data->ino);
	nexus_rp_note(rp, NEXUS_KEY_SHARED, x.pack, data_id,
		      "reference was missing: made again from its extent");
	return nexus_rp_put(rp, &rp->k, &v, sizeof(v));
}

/*
 * An extent is not made again from its reference: that one may be stale, and its
 * blocks another file's by now.
 */
static int extent_of_reference(struct nexus_rp *rp)
{
	struct nexus_key same;
	struct nexus_ref ref;
	struct nexus_kext x;
	int len = 0;

	if (!nexus_ref_parse(&rp->key, &ref)) {
		nexus_key_extent(&rp->k, ref.data_id, ref.x.fblock << NEXUS_BLOCK_SHIFT);
		len = nexus_rp_get(rp, sizeof(struct nexus_extent_val));
	}
	if (len < 0)
		return len;
	if (len && !nexus_ext_parse(&rp->k, rp->tmp, (size_t)len, &x) &&
	    (x.flags & NEXUS_EF_SHARED)) {
		nexus_ref_key(&same, ref.data_id, &x);
		if (!memcmp(same.b, rp->key.b, same.len))
			return 0;
	}
	nexus_rp_note(rp, NEXUS_KEY_SHARED, nexus_rp_id(rp), nexus_get_be64(rp->key.b + 15),
		      "dropped: reference without its extent");
	return nexus_rp_del(rp, &rp->key);
}

int nexus_rp_space(struct nexus_rp *rp)
{
	int ret = nexus_rp_walk(rp, NEXUS_KEY_EXTENT, gather_cluster);

	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_EXTENT, join_shared);
	nexus_omap_destroy(&rp->claims);
	nexus_omap_init(&rp->claims);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_EXTENT, one_owner_each);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_EXTENT, reference_of_extent);
	return ret ? ret : nexus_rp_walk(rp, NEXUS_KEY_SHARED, extent_of_reference);
}
