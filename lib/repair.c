// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Mending a whole store: the order of passes, and what they share. */
#include "repair_impl.h"

void nexus_rp_note_name(struct nexus_rp *rp, u8 letter, u64 id, u64 other,
			const char *what, const void *name, size_t len)
{
	struct nexus_repair_note n = {
		.letter = letter, .id = id, .other = other, .what = what,
		.name = name, .namelen = len,
	};

	rp->changes++;
	if (rp->r->note)
		rp->r->note(rp->r->arg, &n);
}

void nexus_rp_note(struct nexus_rp *rp, u8 letter, u64 id, u64 other, const char *what)
{
	nexus_rp_note_name(rp, letter, id, other, what, NULL, 0);
}

int nexus_rp_walk(struct nexus_rp *rp, u8 letter, int (*fn)(struct nexus_rp *rp))
{
	struct nexus_key *c = &rp->cursor;
	int ret;

	c->b[0] = letter;
	c->len = 1;
	for (;;) {
		ret = nexus_kv_seek(rp->kv, c->b, &c->len, rp->val, NEXUS_VALUE_MAX);
		if (ret < 0)
			return ret == -ENOENT ? 0 : ret;
		if (letter && c->b[0] != letter)
			return 0;
		rp->len = (size_t)ret;
		rp->key = *c;
		ret = fn(rp);
		if (ret)
			return ret;
		c->b[c->len++] = 0;
	}
}

int nexus_rp_get(struct nexus_rp *rp, size_t min)
{
	int len = nexus_kv_get(rp->kv, rp->k.b, rp->k.len, rp->tmp, NEXUS_VALUE_MAX);

	if (len < 0)
		return len == -ENOENT ? 0 : len;
	if (len > (int)NEXUS_VALUE_MAX ||
	    nexus_val_check(rp->tmp, (size_t)len, rp->k.b[0], min))
		return 0;
	return len;
}

int nexus_rp_put(struct nexus_rp *rp, const struct nexus_key *k, void *val, size_t len)
{
	nexus_val_seal(val, len, k->b[0]);
	return nexus_kv_put(rp->kv, k->b, k->len, val, len);
}

int nexus_rp_del(struct nexus_rp *rp, const struct nexus_key *k)
{
	return nexus_kv_del(rp->kv, k->b, k->len);
}

int nexus_rp_inode(struct nexus_rp *rp, u64 ino)
{
	nexus_key_inode(&rp->k, ino);
	return nexus_rp_get(rp, sizeof(struct nexus_inode_val));
}

int nexus_rp_gather(struct nexus_rp *rp)
{
	nexus_ck_free(rp->ck);
	rp->ck = nexus_ck_new(rp->kv);
	return rp->ck ? nexus_ck_scan(rp->ck) : -ENOMEM;
}

/* Numbers that were never handed out, for what has to be made. */
static int above(struct nexus_rp *rp)
{
	u64 id = rp->key.len >= 9 ? nexus_rp_id(rp) : 0;

	switch (rp->key.b[0]) {
	case NEXUS_KEY_INODE:
		if (rp->len >= sizeof(struct nexus_inode_val)) {
			const struct nexus_inode_val *v = (const void *)rp->val;

			rp->next_ino = NEXUS_MAX(rp->next_ino, le64_to_cpu(v->data_id) + 1);
		}
		break;
	case NEXUS_KEY_EXTENT:
	case NEXUS_KEY_ORPHAN:
		break;
	case NEXUS_KEY_ALLOC:
		if (!nexus_val_check(rp->val, rp->len, NEXUS_KEY_ALLOC,
				     sizeof(struct nexus_alloc_val))) {
			const struct nexus_alloc_val *v = (const void *)rp->val;

			rp->handed = le64_to_cpu(v->next_ino);
			id = rp->handed ? rp->handed - 1 : 0;
			break;
		}
		return 0;
	default:
		return 0;
	}
	if (id < ~0ull - 1)
		rp->next_ino = NEXUS_MAX(rp->next_ino, id + 1);
	return 0;
}

static int all_passes(struct nexus_rp *rp)
{
	int ret = nexus_rp_values(rp);

	rp->next_ino = NEXUS_FIRST_INO;
	if (!ret)
		ret = nexus_rp_walk(rp, 0, above);
	if (!ret)
		ret = nexus_rp_inodes(rp);
	if (!ret)
		ret = nexus_rp_data(rp);
	if (!ret)
		ret = nexus_rp_entries(rp);
	if (!ret)
		ret = nexus_rp_tree(rp);
	return ret ? ret : nexus_rp_counts(rp);
}

s64 nexus_store_repair(const struct nexus_repair *repair)
{
	struct nexus_rp *rp = nexus_alloc(sizeof(*rp));
	s64 ret = -ENOMEM;

	if (!rp)
		return ret;
	memset(rp, 0, sizeof(*rp));
	rp->r = repair;
	rp->kv = repair->kv;
	nexus_omap_init(&rp->claims);
	rp->val = nexus_alloc(NEXUS_VALUE_MAX);
	rp->tmp = nexus_alloc(NEXUS_VALUE_MAX);
	if (rp->val && rp->tmp)
		ret = all_passes(rp);
	if (!ret)
		ret = rp->changes;
	nexus_ck_free(rp->ck);
	nexus_omap_destroy(&rp->claims);
	nexus_free(rp->tmp);
	nexus_free(rp->val);
	nexus_free(rp);
	return ret;
}
