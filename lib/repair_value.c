// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Mending a store: what a key and its value say by themselves. */
#include "lease.h"
#include "repair_impl.h"
#include "shared.h"

/*
 * A longer value has so many ways to be put right that one fits by chance: of a
 * thousand bytes, one garbled value in 16,000.
 */
#define MEND_MAX	1024u

int nexus_val_mend(void *val, size_t len, u8 type)
{
	const size_t at = offsetof(struct nexus_val_head, crc);
	struct nexus_val_head *head = val;
	u32 *table, *effect, want, diff;
	size_t pos, hit = 0, hits = 0, i;
	u8 byte = 0, *p = val;

	if (len < sizeof(*head) || len > MEND_MAX)
		return -EUCLEAN;
	want = le32_to_cpu(head->crc);
	head->crc = cpu_to_le32(0);
	diff = nexus_crc32c(0, val, len) ^ want;
	head->crc = cpu_to_le32(want);
	table = nexus_alloc(512 * sizeof(*table));
	if (!table)
		return -EUCLEAN;
	effect = table + 256;
	for (i = 0; i < 256; i++) {
		u8 b = (u8)i, zero = 0;

		/* A CRC is linear: what a change of one byte does to it. */
		table[i] = nexus_crc32c(0, &b, 1) ^ nexus_crc32c(0, &zero, 1);
		effect[i] = table[i];
	}
	/* The checksum itself may be what is wrong. */
	for (i = 0; i < 4; i++) {
		if (diff && !(diff & ~(0xffu << 8 * i))) {
			hit = at + i;
			byte = (u8)(diff >> 8 * i);
			hits++;
		}
	}
	for (pos = len; pos-- > 0;) {
		for (i = 1; i < 256; i++) {
			if (effect[i] == diff && (pos < at || pos >= at + 4)) {
				hit = pos;
				byte = (u8)i;
				hits++;
			}
			effect[i] = table[effect[i] & 0xff] ^ effect[i] >> 8;
		}
	}
	nexus_free(table);
	if (hits != 1)
		return -EUCLEAN;
	p[hit] ^= byte;
	if (!nexus_val_check(val, len, type, sizeof(*head)))
		return 0;
	p[hit] ^= byte;
	return -EUCLEAN;
}

static int drop(struct nexus_rp *rp, const char *what)
{
	u64 id = rp->key.len >= 9 ? nexus_rp_id(rp) : 0;
	bool named = rp->key.b[0] == NEXUS_KEY_DIRENT || rp->key.b[0] == NEXUS_KEY_XATTR;

	if (named && rp->key.len > 9)
		nexus_rp_note_name(rp, rp->key.b[0], id, 0, what, rp->key.b + 9,
				   rp->key.len - 9);
	else
		nexus_rp_note(rp, rp->key.b[0], id, rp->key.len >= 17 ? nexus_rp_id2(rp) : 0,
			      what);
	return nexus_rp_del(rp, &rp->key);
}

static int inode_fields(struct nexus_rp *rp)
{
	struct nexus_inode_val *v = (void *)rp->val;
	u64 size = le64_to_cpu(v->size), disk = le64_to_cpu(v->disk_size);

	if (!nexus_mode_ok(le32_to_cpu(v->mode)))
		return drop(rp, "dropped: mode of no known type");
	if (size <= NEXUS_SIZE_MAX && disk <= size)
		return 0;
	if (size > NEXUS_SIZE_MAX)
		size = NEXUS_MIN(disk, (u64)NEXUS_SIZE_MAX);
	disk = NEXUS_MIN(disk, size);
	v->size = cpu_to_le64(size);
	v->disk_size = cpu_to_le64(disk);
	nexus_rp_note(rp, NEXUS_KEY_INODE, nexus_rp_id(rp), size, "size brought into range");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

static int list_fields(struct nexus_rp *rp)
{
	const struct nexus_list_val *l = (const void *)rp->val;
	u64 pos = nexus_rp_id2(rp);

	if (rp->len < sizeof(*l) + l->namelen || !nexus_name_ok(l->name, l->namelen))
		return drop(rp, "dropped: listing entry without a legal name");
	if (pos < NEXUS_FIRST_POS || pos >= NEXUS_POS_MAX)
		return drop(rp, "dropped: pos out of range");
	return 0;
}

static int pack_fields(struct nexus_rp *rp)
{
	struct nexus_pack_val *b = (void *)rp->val;
	u32 state = le32_to_cpu(b->state);

	if (state == NEXUS_PACK_OPEN || state == NEXUS_PACK_SEALED)
		return 0;
	/* Nothing is ever added to a sealed one. */
	b->state = cpu_to_le32(NEXUS_PACK_SEALED);
	nexus_rp_note(rp, NEXUS_KEY_PACK, nexus_rp_id(rp), state, "unknown state: sealed now");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

static int other_fields(struct nexus_rp *rp)
{
	const struct nexus_setting_val *s = (const void *)rp->val;
	const struct nexus_orphan_val *o = (const void *)rp->val;
	struct nexus_ref ref;
	struct nexus_kext x;
	size_t pathlen, vallen;

	switch (rp->key.b[0]) {
	case NEXUS_KEY_DIRENT:
		if (!nexus_name_ok(rp->key.b + 9, rp->key.len - 9))
			return drop(rp, "dropped: name is not legal");
		return 0;
	case NEXUS_KEY_NAME:
		if (!nexus_name_ok(rp->key.b + 17, rp->key.len - 17))
			return drop(rp, "dropped: name is not legal");
		return 0;
	case NEXUS_KEY_XATTR:
		if (rp->key.len == 9 || rp->key.len > 9 + NEXUS_XATTR_NAME_MAX ||
		    memchr(rp->key.b + 9, 0, rp->key.len - 9))
			return drop(rp, "dropped: name is not legal");
		if (rp->len > sizeof(struct nexus_blob_val) + NEXUS_XATTR_VALUE_MAX)
			return drop(rp, "dropped: value is too long");
		return 0;
	case NEXUS_KEY_CONTENT:
		if (rp->len == sizeof(struct nexus_blob_val))
			return drop(rp, "dropped: empty content");
		return 0;
	case NEXUS_KEY_EXTENT:
		if (nexus_ext_parse(&rp->key, rp->val, rp->len, &x))
			return drop(rp, "dropped: impossible extent");
		return 0;
	case NEXUS_KEY_SHARED:
		if (nexus_ref_parse(&rp->key, &ref))
			return drop(rp, "dropped: impossible reference");
		return 0;
	case NEXUS_KEY_ORPHAN:
		if (le32_to_cpu(o->kind) != NEXUS_ORPHAN_INODE &&
		    le32_to_cpu(o->kind) != NEXUS_ORPHAN_BULK)
			return drop(rp, "dropped: orphan record of no known kind");
		return 0;
	case NEXUS_KEY_LEASE:
		if (!nexus_lease_val_ok((const void *)rp->val, rp->len))
			return drop(rp, "dropped: impossible lease");
		return 0;
	case NEXUS_KEY_SETTING:
		pathlen = le16_to_cpu(s->pathlen);
		vallen = le32_to_cpu(s->vallen);
		if (!pathlen || pathlen > NEXUS_SETTING_PATH_MAX || !vallen ||
		    vallen > NEXUS_SETTING_VALUE_MAX ||
		    rp->len < sizeof(*s) + pathlen + vallen)
			return drop(rp, "dropped: impossible setting");
		return 0;
	}
	return 0;
}

static int mend_value(struct nexus_rp *rp, const struct nexus_ck_kind *kind)
{
	bool mended = rp->len <= NEXUS_VALUE_MAX &&
		      !nexus_val_mend(rp->val, rp->len, kind->letter) &&
		      rp->len >= kind->val_min;

	if (!mended)
		return drop(rp, "dropped: damaged value");
	nexus_rp_note(rp, kind->letter, rp->key.len >= 9 ? nexus_rp_id(rp) : 0,
		      rp->key.len >= 17 ? nexus_rp_id2(rp) : 0,
		      "damaged value: its one wrong byte is right again");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

static int one_value(struct nexus_rp *rp)
{
	const struct nexus_ck_kind *kind = nexus_ck_kind(rp->key.b[0]);
	int ret;

	/* The superblock is the caller's to judge. */
	if (rp->key.b[0] == NEXUS_KEY_ZONE && rp->key.len == 1)
		return 0;
	if (!kind)
		return drop(rp, "dropped: key of an unknown kind");
	if (rp->key.len < kind->key_min || rp->key.len > kind->key_max)
		return drop(rp, "dropped: key of a wrong length");
	if (rp->len > NEXUS_VALUE_MAX ||
	    nexus_val_check(rp->val, rp->len, kind->letter, kind->val_min)) {
		ret = mend_value(rp, kind);
		if (ret || rp->len > NEXUS_VALUE_MAX ||
		    nexus_val_check(rp->val, rp->len, kind->letter, kind->val_min))
			return ret;
	}
	switch (kind->letter) {
	case NEXUS_KEY_INODE:
		return inode_fields(rp);
	case NEXUS_KEY_LIST:
		return list_fields(rp);
	case NEXUS_KEY_PACK:
		return pack_fields(rp);
	default:
		return other_fields(rp);
	}
}

int nexus_rp_values(struct nexus_rp *rp)
{
	return nexus_rp_walk(rp, 0, one_value);
}
