// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Apply: what belongs to no inode.  Packs, settings, quotas. */
#include "apply_impl.h"

/* ---- packs --------------------------------------------------------- */

/* *@v is the stored pack record (in ap->val) or a new one; its length. */
static int load_pack(struct nexus_ap *ap, u64 pack, struct nexus_pack_val **v)
{
	int len;

	*v = (struct nexus_pack_val *)ap->val;
	nexus_key_pack(&ap->key, pack);
	len = nexus_ap_get(ap, &ap->key, 0, sizeof(**v), ap->val,
			   sizeof(ap->val));
	if (len != -ENOENT)
		return len;
	memset(*v, 0, sizeof(**v));
	return 0;
}

static int put_loaded(struct nexus_ap *ap, int len, size_t size)
{
	void *val;

	size = len ? (size_t)len : size;
	val = nexus_ap_put(ap, &ap->key, size);
	if (!val)
		return -ENOMEM;
	memcpy(val, ap->val, size);
	return 0;
}

int nexus_ap_finish_packs(struct nexus_ap *ap)
{
	const struct nexus_ap_pack *p;
	struct nexus_pack_val *v;
	u32 i;

	for (i = 0; i < NEXUS_AP_PACK_BUCKETS; i++) {
		for (p = ap->packs[i]; p; p = p->next) {
			int len = load_pack(ap, p->pack, &v);
			s64 live;
			int ret;

			if (len < 0)
				return len;
			if (!len)
				v->state = cpu_to_le32(NEXUS_PACK_OPEN);
			live = (s64)le32_to_cpu(v->live) + p->live;
			if (live < 0 || live > NEXUS_PACK_BLOCKS_MAX)
				return nexus_ap_fail(ap, 0,
						     "pack's live blocks");
			v->live = cpu_to_le32((u32)live);
			if (le32_to_cpu(v->used) < p->used)
				v->used = cpu_to_le32(p->used);
			ret = put_loaded(ap, len, sizeof(*v));
			if (ret)
				return ret;
		}
	}
	return 0;
}

int nexus_ap_pack(struct nexus_ap *ap)
{
	const struct nexus_rec_pack *r = (const void *)ap->rec;
	u32 state = le32_to_cpu(r->state);
	struct nexus_pack_val *v;
	u32 old;
	int len;

	len = load_pack(ap, le64_to_cpu(r->pack), &v);
	if (len < 0)
		return len;
	old = le32_to_cpu(v->state);
	if (!state) {
		if (old != NEXUS_PACK_SEALED || v->live)
			return nexus_ap_fail(ap, 0, "removed pack is in use");
		return nexus_ap_del(ap, &ap->key);
	}
	if (old > state)
		return nexus_ap_fail(ap, 0, "sealed pack opened");
	if (le32_to_cpu(r->used) < le32_to_cpu(v->used))
		return nexus_ap_fail(ap, 0, "pack shorter than it is used");
	v->state = r->state;
	v->used = r->used;
	v->hash_alg = r->hash_alg;
	memcpy(v->hash, r->hash, sizeof(v->hash));
	return put_loaded(ap, len, sizeof(*v));
}

/* ---- settings ------------------------------------------------------ */

/* The path in the stored value is that of the record. */
static int same_path(struct nexus_ap *ap, const struct nexus_rec_setting *r,
		     u8 *buf, size_t cap)
{
	const struct nexus_setting_val *old = (const void *)buf;
	size_t pathlen = le16_to_cpu(r->pathlen);
	int len = nexus_ap_get(ap, &ap->key, 0, sizeof(*old), buf, cap);

	if (len < 0)
		return len == -ENOENT ? 0 : len;
	if (le16_to_cpu(old->pathlen) != pathlen ||
	    (size_t)len < sizeof(*old) + pathlen ||
	    memcmp(old->data, r->data, pathlen))
		return nexus_ap_fail(ap, 0, "two settings with one hash");
	return 0;
}

int nexus_ap_setting(struct nexus_ap *ap)
{
	const struct nexus_rec_setting *r = (const void *)ap->rec;
	const size_t cap = sizeof(struct nexus_setting_val) +
			   NEXUS_SETTING_PATH_MAX + NEXUS_SETTING_VALUE_MAX +
			   NEXUS_AP_VAL_MAX;
	size_t len = (size_t)le16_to_cpu(r->pathlen) + le32_to_cpu(r->vallen);
	struct nexus_setting_val *v;
	u8 *buf;
	int ret;

	buf = nexus_alloc(cap);
	if (!buf)
		return -ENOMEM;
	nexus_key_setting(&ap->key, le64_to_cpu(r->hash));
	ret = same_path(ap, r, buf, cap);
	nexus_free(buf);
	if (ret)
		return ret;
	if (!r->vallen)
		return nexus_ap_del(ap, &ap->key);
	v = nexus_ap_put(ap, &ap->key, sizeof(*v) + len);
	if (!v)
		return -ENOMEM;
	v->pathlen = r->pathlen;
	v->vallen = r->vallen;
	memcpy(v->data, r->data, len);
	return 0;
}

/* ---- quotas -------------------------------------------------------- */

static int load_quota(struct nexus_ap *ap, u8 kind, u64 id,
		      struct nexus_quota_val **v)
{
	int len;

	*v = (struct nexus_quota_val *)ap->val;
	nexus_key_quota(&ap->key, kind, id);
	len = nexus_ap_get(ap, &ap->key, 0, sizeof(**v), ap->val,
			   sizeof(ap->val));
	if (len != -ENOENT)
		return len;
	memset(*v, 0, sizeof(**v));
	return 0;
}

/* The clock of the grace time starts when a soft limit is passed. */
static __le64 over_since(struct nexus_ap *ap, __le64 usage, __le64 soft,
			 __le64 since)
{
	if (!soft || le64_to_cpu(usage) <= le64_to_cpu(soft))
		return cpu_to_le64(0);
	if (since)
		return since;
	return ap->time_s ? ap->time_s : cpu_to_le64(1);
}

static int put_quota(struct nexus_ap *ap, struct nexus_quota_val *v, int len)
{
	v->inodes_time = over_since(ap, v->inodes, v->inodes_soft,
				    v->inodes_time);
	v->blocks_time = over_since(ap, v->blocks, v->blocks_soft,
				    v->blocks_time);
	return put_loaded(ap, len, sizeof(*v));
}

int nexus_ap_finish_quotas(struct nexus_ap *ap)
{
	u32 i;

	for (i = 0; i < ap->nquotas; i++) {
		const struct nexus_ap_quota *q = &ap->quotas[i];
		struct nexus_quota_val *v;
		int len, ret;

		if (!q->inodes && !q->blocks)
			continue;
		len = load_quota(ap, q->kind, q->id, &v);
		if (len < 0)
			return len;
		if ((q->inodes < 0 && le64_to_cpu(v->inodes) < (u64)-q->inodes) ||
		    (q->blocks < 0 && le64_to_cpu(v->blocks) < (u64)-q->blocks))
			return nexus_ap_fail(ap, 0, "quota counts too little");
		v->inodes = cpu_to_le64(le64_to_cpu(v->inodes) + (u64)q->inodes);
		v->blocks = cpu_to_le64(le64_to_cpu(v->blocks) + (u64)q->blocks);
		ret = put_quota(ap, v, len);
		if (ret)
			return ret;
	}
	return 0;
}

int nexus_ap_quota(struct nexus_ap *ap)
{
	const struct nexus_rec_quota *r = (const void *)ap->rec;
	struct nexus_quota_val *v;
	int len;

	len = load_quota(ap, (u8)le32_to_cpu(r->kind), le64_to_cpu(r->id), &v);
	if (len < 0)
		return len;
	v->inodes_hard = r->inodes_hard;
	v->inodes_soft = r->inodes_soft;
	v->blocks_hard = r->blocks_hard;
	v->blocks_soft = r->blocks_soft;
	return put_quota(ap, v, len);
}
