// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Applying a record: staging, and carrying out what was staged. */
#include "apply_impl.h"

#define CHUNK_SIZE	16384u

int nexus_ap_fail(struct nexus_ap *ap, u64 ino, const char *what)
{
	ap->err->ino = ino;
	ap->err->what = what;
	return -EUCLEAN;
}

/* ---- reading ------------------------------------------------------- */

int nexus_ap_get(struct nexus_ap *ap, const struct nexus_key *key, u64 ino,
		 size_t min, void *buf, size_t cap)
{
	int len = nexus_kv_get(ap->kv, key->b, key->len, buf, cap);

	if (len < 0)
		return len;
	if ((size_t)len > cap || nexus_val_check(buf, (size_t)len, key->b[0], min))
		return nexus_ap_fail(ap, ino, "damaged value");
	return len;
}

int nexus_ap_exists(struct nexus_ap *ap, const struct nexus_key *key)
{
	u8 none[8];
	int len = nexus_kv_get(ap->kv, key->b, key->len, none, 0);

	if (len == -ENOENT)
		return 0;
	return len < 0 ? len : 1;
}

int nexus_ap_seek(struct nexus_ap *ap, struct nexus_key *key, size_t prefix,
		  u64 ino, size_t min, void *buf, size_t cap)
{
	u8 want[32];
	int len;

	memcpy(want, key->b, prefix);
	len = nexus_kv_seek(ap->kv, key->b, &key->len, buf, cap);
	if (len < 0)
		return len;
	if (key->len < prefix || memcmp(want, key->b, prefix))
		return -ENOENT;
	if (!cap)
		return len;
	if ((size_t)len > cap || nexus_val_check(buf, (size_t)len, key->b[0], min))
		return nexus_ap_fail(ap, ino, "damaged value");
	return len;
}

/* ---- staging ------------------------------------------------------- */

static void *arena_alloc(struct nexus_ap *ap, size_t size)
{
	struct nexus_ap_chunk *chunk = ap->chunks;
	void *p;

	size = NEXUS_ALIGN(size, (size_t)8);
	if (size <= sizeof(ap->arena) - ap->arena_used) {
		p = (u8 *)ap->arena + ap->arena_used;
		ap->arena_used += size;
		return p;
	}
	if (!chunk || size > chunk->size - chunk->used) {
		size_t bytes = NEXUS_MAX(size, (size_t)CHUNK_SIZE - sizeof(*chunk));

		chunk = nexus_alloc(sizeof(*chunk) + bytes);
		if (!chunk)
			return NULL;
		chunk->next = ap->chunks;
		chunk->size = bytes;
		chunk->used = 0;
		ap->chunks = chunk;
	}
	p = (u8 *)chunk->data + chunk->used;
	chunk->used += size;
	return p;
}

static struct nexus_ap_op *stage(struct nexus_ap *ap,
				 const struct nexus_key *key, size_t vlen)
{
	size_t at = NEXUS_ALIGN(vlen, (size_t)8);
	struct nexus_ap_op *op = arena_alloc(ap, sizeof(*op) + at + key->len);

	if (!op)
		return NULL;
	op->next = NULL;
	op->klen = (u16)key->len;
	op->vlen = (u32)vlen;
	op->key = op->val + at;
	memcpy(op->key, key->b, key->len);
	*ap->ops_tail = op;
	ap->ops_tail = &op->next;
	return op;
}

void *nexus_ap_put(struct nexus_ap *ap, const struct nexus_key *key, size_t len)
{
	struct nexus_ap_op *op = stage(ap, key, len);

	if (!op)
		return NULL;
	op->put = 1;
	memset(op->val, 0, len);
	return op->val;
}

void nexus_ap_trim(struct nexus_ap *ap, size_t len)
{
	struct nexus_ap_op *op = NEXUS_CONTAINER(ap->ops_tail, struct nexus_ap_op, next);

	op->vlen = (u32)len;
	op->put = len > 0;
}

int nexus_ap_del(struct nexus_ap *ap, const struct nexus_key *key)
{
	struct nexus_ap_op *op = stage(ap, key, 0);

	if (!op)
		return -ENOMEM;
	op->put = 0;
	return 0;
}

int nexus_ap_inode(struct nexus_ap *ap, u64 ino, struct nexus_ap_inode **out)
{
	struct nexus_ap_inode *in;
	u32 i;
	int len;

	for (i = 0; i < ap->ninodes; i++) {
		if (ap->inodes[i].ino == ino) {
			*out = &ap->inodes[i];
			return 0;
		}
	}
	in = &ap->inodes[ap->ninodes];
	nexus_key_inode(&ap->key, ino);
	len = nexus_ap_get(ap, &ap->key, ino, sizeof(in->v), in->raw,
			   sizeof(in->raw));
	if (len == -ENOENT)
		return nexus_ap_fail(ap, ino, "inode does not exist");
	if (len < 0)
		return len;
	if (!nexus_mode_ok(le32_to_cpu(in->v.mode)))
		return nexus_ap_fail(ap, ino, "inode of no known type");
	in->ino = ino;
	in->len = (u32)len;
	in->dirty = false;
	ap->ninodes++;
	*out = in;
	return 0;
}

struct nexus_ap_inode *nexus_ap_new_inode(struct nexus_ap *ap, u64 ino)
{
	struct nexus_ap_inode *in = &ap->inodes[ap->ninodes++];

	memset(in, 0, sizeof(*in));
	in->ino = ino;
	in->len = sizeof(in->v);
	in->dirty = true;
	return in;
}

/* ---- counters ------------------------------------------------------ */

void nexus_ap_quota_add(struct nexus_ap *ap, u8 kind, u64 id, s64 inodes,
			s64 blocks)
{
	struct nexus_ap_quota *q;
	u32 i;

	for (i = 0; i < ap->nquotas; i++)
		if (ap->quotas[i].kind == kind && ap->quotas[i].id == id)
			break;
	q = &ap->quotas[i];
	if (i == ap->nquotas) {
		ap->nquotas++;
		q->kind = kind;
		q->id = id;
	}
	q->inodes += inodes;
	q->blocks += blocks;
}

void nexus_ap_charge(struct nexus_ap *ap, const struct nexus_ap_inode *in,
		     s64 inodes, s64 blocks)
{
	u32 projid = le32_to_cpu(in->v.projid);

	nexus_ap_quota_add(ap, NEXUS_QUOTA_ZONE, 0, inodes, blocks);
	nexus_ap_quota_add(ap, NEXUS_QUOTA_USER, le32_to_cpu(in->v.uid),
			   inodes, blocks);
	nexus_ap_quota_add(ap, NEXUS_QUOTA_GROUP, le32_to_cpu(in->v.gid),
			   inodes, blocks);
	if (projid)
		nexus_ap_quota_add(ap, NEXUS_QUOTA_PROJECT, projid, inodes,
				   blocks);
}

int nexus_ap_pack_add(struct nexus_ap *ap, u64 pack, s64 live, u32 used)
{
	struct nexus_ap_pack **bucket = &ap->packs[pack % NEXUS_AP_PACK_BUCKETS];
	struct nexus_ap_pack *p;

	for (p = *bucket; p; p = p->next)
		if (p->pack == pack)
			break;
	if (!p) {
		p = arena_alloc(ap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->next = *bucket;
		p->pack = pack;
		p->live = 0;
		p->used = 0;
		*bucket = p;
	}
	p->live += live;
	p->used = NEXUS_MAX(p->used, used);
	return 0;
}

/* ---- the two phases ------------------------------------------------ */

static int dispatch(struct nexus_ap *ap)
{
	switch (le16_to_cpu(ap->rec->type)) {
	case NEXUS_REC_NOP:
		return 0;
	case NEXUS_REC_CREATE:
		return nexus_ap_create(ap);
	case NEXUS_REC_LINK:
		return nexus_ap_link(ap);
	case NEXUS_REC_UNLINK:
		return nexus_ap_unlink(ap);
	case NEXUS_REC_RENAME:
		return nexus_ap_rename(ap);
	case NEXUS_REC_SETATTR:
		return nexus_ap_setattr(ap);
	case NEXUS_REC_TRUNCATE:
		return nexus_ap_truncate(ap);
	case NEXUS_REC_EXTENT:
		return nexus_ap_extent(ap);
	case NEXUS_REC_SETXATTR:
	case NEXUS_REC_REMOVEXATTR:
		return nexus_ap_setxattr(ap);
	case NEXUS_REC_FORGET:
		return nexus_ap_forget(ap);
	case NEXUS_REC_BULK:
		return nexus_ap_bulk(ap);
	case NEXUS_REC_PACK:
		return nexus_ap_pack(ap);
	case NEXUS_REC_SETTING:
		return nexus_ap_setting(ap);
	case NEXUS_REC_QUOTA:
		return nexus_ap_quota(ap);
	case NEXUS_REC_DATA:
		return nexus_ap_data(ap);
	case NEXUS_REC_SHARE:
		return nexus_ap_share(ap);
	case NEXUS_REC_CLONE:
		return nexus_ap_clone(ap);
	case NEXUS_REC_PUNCH:
		return nexus_ap_punch(ap);
	case NEXUS_REC_RESERVE:
		return nexus_ap_reserve(ap);
	case NEXUS_REC_MOVE:
		return nexus_ap_move(ap);
	case NEXUS_REC_INLINE:
		return nexus_ap_body(ap);
	case NEXUS_REC_LEASE:
		return nexus_ap_lease(ap);
	}
	return nexus_ap_fail(ap, 0, "record of no known type");
}

static int finish_inodes(struct nexus_ap *ap)
{
	u32 i;

	for (i = 0; i < ap->ninodes; i++) {
		struct nexus_ap_inode *in = &ap->inodes[i];
		void *val;

		if (!in->dirty)
			continue;
		in->v.version = cpu_to_le64(le64_to_cpu(in->v.version) + 1);
		nexus_key_inode(&ap->key, in->ino);
		val = nexus_ap_put(ap, &ap->key, in->len);
		if (!val)
			return -ENOMEM;
		memcpy(val, in->raw, in->len);
	}
	return 0;
}

static int carry_out(struct nexus_ap *ap)
{
	struct nexus_ap_op *op;
	int ret = 0;

	for (op = ap->ops; op && !ret; op = op->next) {
		if (op->put) {
			nexus_val_seal(op->val, op->vlen, op->key[0]);
			ret = nexus_kv_put(ap->kv, op->key, op->klen, op->val,
					   op->vlen);
		} else {
			ret = nexus_kv_del(ap->kv, op->key, op->klen);
		}
	}
	return ret;
}

static struct nexus_ap *ap_new(struct nexus_kv *kv, struct nexus_apply_error *err)
{
	struct nexus_ap *ap = nexus_alloc(sizeof(*ap));

	if (!ap)
		return NULL;
	memset(ap, 0, offsetof(struct nexus_ap, key));
	ap->kv = kv;
	ap->err = err;
	ap->ops_tail = &ap->ops;
	return ap;
}

static int ap_finish(struct nexus_ap *ap)
{
	int ret = finish_inodes(ap);

	if (!ret)
		ret = nexus_ap_finish_quotas(ap);
	if (!ret)
		ret = nexus_ap_finish_packs(ap);
	if (!ret)
		ret = carry_out(ap);
	return ret;
}

static void ap_free(struct nexus_ap *ap)
{
	while (ap->chunks) {
		struct nexus_ap_chunk *next = ap->chunks->next;

		nexus_free(ap->chunks);
		ap->chunks = next;
	}
	nexus_free(ap);
}

int nexus_apply(struct nexus_kv *kv, const struct nexus_rec_head *rec,
		struct nexus_apply_error *err)
{
	struct nexus_apply_error ignored;
	struct nexus_ap *ap;
	int ret;

	if (!err)
		err = &ignored;
	err->lsn = le64_to_cpu(rec->lsn);
	err->type = le16_to_cpu(rec->type);
	err->ino = 0;
	err->what = "the store failed";
	ap = ap_new(kv, err);
	if (!ap) {
		err->what = "out of memory";
		return -ENOMEM;
	}
	ap->rec = rec;
	ap->time_s = rec->time_s;
	ap->time_ns = rec->time_ns;
	ret = dispatch(ap);
	if (!ret)
		ret = ap_finish(ap);
	ap_free(ap);
	return ret;
}

int nexus_apply_mkfs(struct nexus_kv *kv, u32 mode, u32 uid, u32 gid,
		     struct nexus_time now)
{
	struct nexus_apply_error err;
	struct nexus_ap_inode *root;
	struct nexus_ap *ap = ap_new(kv, &err);
	int ret;

	if (!ap)
		return -ENOMEM;
	ap->time_s = cpu_to_le64((u64)now.s);
	ap->time_ns = cpu_to_le32(now.ns);
	root = nexus_ap_new_inode(ap, NEXUS_ROOT_INO);
	root->v.mode = cpu_to_le32(S_IFDIR | (mode & 07777));
	root->v.uid = cpu_to_le32(uid);
	root->v.gid = cpu_to_le32(gid);
	root->v.nlink = cpu_to_le32(2);
	root->v.parent = cpu_to_le64(NEXUS_ROOT_INO);
	root->v.next_pos = cpu_to_le64(NEXUS_FIRST_POS);
	root->v.data_id = cpu_to_le64(NEXUS_ROOT_INO);
	nexus_ap_born(ap, root);
	ret = ap_finish(ap);
	ap_free(ap);
	return ret;
}

bool nexus_key_logged(u8 letter)
{
	return letter != NEXUS_KEY_ZONE && letter != NEXUS_KEY_ALLOC;
}
