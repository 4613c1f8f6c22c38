// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Mending a store: what can be counted. */
#include "repair_impl.h"

static bool set64(__le64 *field, u64 v)
{
	bool other = le64_to_cpu(*field) != v;

	*field = cpu_to_le64(v);
	return other;
}

static bool set32(__le32 *field, u32 v)
{
	bool other = le32_to_cpu(*field) != v;

	*field = cpu_to_le32(v);
	return other;
}

static int inode(struct nexus_rp *rp)
{
	struct nexus_inode_val *v = (void *)rp->val;
	u64 ino = nexus_rp_id(rp), next = le64_to_cpu(v->next_pos);
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	const struct nexus_ck_data *data;
	bool changed, dir = S_ISDIR(le32_to_cpu(v->mode));

	if (!in)
		return -ENOMEM;
	/* A copy: looking up the other may move the first. */
	struct nexus_ck_inode i = *in;

	data = nexus_ck_data(rp->ck, le64_to_cpu(v->data_id));
	if (!data)
		return -ENOMEM;
	changed = set64(&v->blocks, data->blocks);
	changed |= set64(&v->unwritten, data->unwritten);
	changed |= set64(&v->children, dir ? i.d_entries : 0);
	if (dir && i.d_entries && next <= i.max_pos)
		changed |= set64(&v->next_pos, i.max_pos + 1);
	if (!dir)
		changed |= set32(&v->nlink, (u32)i.names);
	else if (i.names || ino == NEXUS_ROOT_INO)
		changed |= set32(&v->nlink, (u32)(2 + i.subdirs));
	else
		changed |= set32(&v->nlink, 0);
	if (!changed)
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, le32_to_cpu(v->nlink), "counted again");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

static int pack(struct nexus_rp *rp, u64 id, const struct nexus_ck_pack *p)
{
	struct nexus_pack_val made = { .state = cpu_to_le32(NEXUS_PACK_SEALED) };
	struct nexus_pack_val *b = (void *)rp->tmp;
	bool changed;
	int len;

	nexus_key_pack(&rp->k, id);
	len = nexus_rp_get(rp, sizeof(*b));
	if (len < 0)
		return len;
	if (!len) {
		made.live = cpu_to_le32((u32)p->live);
		made.used = cpu_to_le32((u32)p->used);
		nexus_rp_note(rp, NEXUS_KEY_PACK, id, p->live,
			      "pack record was missing: made again, sealed");
		return nexus_rp_put(rp, &rp->k, &made, sizeof(made));
	}
	changed = set32(&b->live, (u32)p->live);
	if (p->used > le32_to_cpu(b->used))
		changed |= set32(&b->used, (u32)p->used);
	if (!changed)
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_PACK, id, p->live, "counted again");
	return nexus_rp_put(rp, &rp->k, b, (size_t)len);
}

static int quota(struct nexus_rp *rp, u8 kind, u64 id, const struct nexus_ck_quota *q)
{
	struct nexus_quota_val made = { .inodes = cpu_to_le64(q->inodes) };
	struct nexus_quota_val *v = (void *)rp->tmp;
	bool changed;
	int len;

	nexus_key_quota(&rp->k, kind, id);
	len = nexus_rp_get(rp, sizeof(*v));
	if (len < 0)
		return len;
	if (!len) {
		if (!q->inodes && !q->blocks)
			return 0;
		made.blocks = cpu_to_le64(q->blocks);
		nexus_rp_note(rp, NEXUS_KEY_QUOTA, id, kind, kind == NEXUS_QUOTA_UNWRITTEN ?
			      "sum of unwritten blocks was missing: counted again" :
			      "usage was missing: counted again, limits are lost");
		return nexus_rp_put(rp, &rp->k, &made, sizeof(made));
	}
	changed = set64(&v->inodes, q->inodes);
	changed |= set64(&v->blocks, q->blocks);
	if (!changed)
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_QUOTA, id, kind, "counted again");
	return nexus_rp_put(rp, &rp->k, v, (size_t)len);
}

/* Packs and quotas are facts whether or not they have a record. */
static int sums(struct nexus_rp *rp)
{
	const struct nexus_omap_entry *e;
	u8 *at = rp->cursor.b;
	size_t n = 0;
	int ret = 0;

	while (!ret && (e = nexus_omap_lower(&rp->ck->facts, at, n, true))) {
		union {
			struct nexus_ck_pack pack;
			struct nexus_ck_quota quota;
		} f;
		u64 id;

		n = e->klen;
		memcpy(at, e->data, n);
		if (n != 16)
			continue;
		id = nexus_get_be64(at + 1);
		memcpy(&f, nexus_omap_val(e), NEXUS_MIN((size_t)e->vlen, sizeof(f)));
		if (at[0] == 'B')
			ret = pack(rp, id, &f.pack);
		else if (at[0] == 'Q')
			ret = quota(rp, at[9], id, &f.quota);
	}
	return ret;
}

static int highest_pack(struct nexus_rp *rp, u64 *pack_id)
{
	struct nexus_key *k = &rp->k;
	int ret;

	*pack_id = rp->r->min_pack;
	nexus_key_pack(k, 0);
	while ((ret = nexus_kv_seek(rp->kv, k->b, &k->len, rp->tmp, 8)) >= 0 &&
	       k->b[0] == NEXUS_KEY_PACK) {
		*pack_id = NEXUS_MAX(*pack_id, nexus_get_be64(k->b + 1));
		k->b[k->len++] = 0;
	}
	return ret < 0 && ret != -ENOENT ? ret : 0;
}

/* Numbers in use were handed out. */
static int allocators(struct nexus_rp *rp)
{
	struct nexus_alloc_val *v = (void *)rp->tmp;
	bool changed = false;
	u64 pack_id;
	int len, ret = highest_pack(rp, &pack_id);

	if (ret)
		return ret;
	nexus_key_alloc(&rp->k);
	len = nexus_rp_get(rp, sizeof(*v));
	if (len < 0)
		return len;
	if (!len && !rp->r->alloc)
		return 0;
	if (!len) {
		len = sizeof(*v);
		memset(v, 0, sizeof(*v));
		/* What had been handed out and was deleted is not known. */
		rp->next_ino = (rp->next_ino | 0xfffff) + 1 + (1ull << 20);
	}
	if (le64_to_cpu(v->next_ino) < rp->next_ino)
		changed = set64(&v->next_ino, rp->next_ino);
	if (le64_to_cpu(v->next_pack) <= pack_id)
		changed |= set64(&v->next_pack, pack_id + 1);
	if (!changed)
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_ALLOC, rp->next_ino, pack_id + 1,
		      "allocators are above everything in use now");
	return nexus_rp_put(rp, &rp->k, v, (size_t)len);
}

int nexus_rp_counts(struct nexus_rp *rp)
{
	int ret = nexus_rp_gather(rp);

	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_INODE, inode);
	/* The sums of quotas are over the inodes' own counts. */
	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = sums(rp);
	return ret ? ret : allocators(rp);
}
