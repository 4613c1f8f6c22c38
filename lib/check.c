// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Checking a whole store: one pass over all keys.
 *
 * What a key says by itself, or together with one other key, is checked at once;
 * what needs sums is gathered as facts and judged in check_facts.c.
 */
#include "check_impl.h"
#include "lease.h"
#include "record.h"

void nexus_ck_problem(struct nexus_ck *ck, u8 letter, u64 id, u64 other,
		      const char *what)
{
	struct nexus_check_problem p = {
		.letter = letter, .id = id, .other = other, .what = what,
	};

	ck->problems++;
	if (ck->report)
		ck->report(ck->arg, &p);
}

void *nexus_ck_fact(struct nexus_ck *ck, const struct nexus_key *key, size_t size)
{
	const struct nexus_omap_entry *e;
	static const u8 zeros[sizeof(struct nexus_ck_inode)];

	/*
	 * Facts are changed in place, through a pointer that is good until the
	 * map grows.  The key of a fact is padded so that they are aligned.
	 */
	e = nexus_omap_find(&ck->facts, key->b, key->len);
	if (!e) {
		if (nexus_omap_put(&ck->facts, key->b, key->len, zeros, size))
			return NULL;
		e = nexus_omap_find(&ck->facts, key->b, key->len);
	}
	return e ? (void *)nexus_omap_val(e) : NULL;
}

static void *fact(struct nexus_ck *ck, u8 letter, u64 id, u8 kind, size_t size)
{
	struct nexus_key *k = &ck->other;

	memset(k->b, 0, 16);
	k->b[0] = letter;
	nexus_put_be64(k->b + 1, id);
	k->b[9] = kind;
	k->len = 16;
	return nexus_ck_fact(ck, k, size);
}

struct nexus_ck_inode *nexus_ck_inode(struct nexus_ck *ck, u64 ino)
{
	return fact(ck, 'I', ino, 0, sizeof(struct nexus_ck_inode));
}

struct nexus_ck_data *nexus_ck_data(struct nexus_ck *ck, u64 data_id)
{
	return fact(ck, 'E', data_id, 0, sizeof(struct nexus_ck_data));
}

struct nexus_ck_pack *nexus_ck_pack(struct nexus_ck *ck, u64 pack)
{
	return fact(ck, 'B', pack, 0, sizeof(struct nexus_ck_pack));
}

static struct nexus_ck_quota *quota_fact(struct nexus_ck *ck, u8 kind, u64 id)
{
	return fact(ck, 'Q', id, kind, sizeof(struct nexus_ck_quota));
}

/* Number behind the letter of the key at hand. */
static u64 key_id(const struct nexus_ck *ck)
{
	return nexus_get_be64(ck->key.b + 1);
}

int nexus_ck_look(struct nexus_ck *ck, size_t min)
{
	int len = nexus_kv_get(ck->kv, ck->other.b, ck->other.len,
			       ck->other_val, sizeof(ck->other_val));

	if (len == -ENOENT)
		return 0;
	if (len < 0)
		return len;
	if ((size_t)len > sizeof(ck->other_val) ||
	    nexus_val_check(ck->other_val, (size_t)len, ck->other.b[0], min))
		return 0;
	return len;
}

static int add_quota(struct nexus_ck *ck, u8 kind, u64 id, u64 blocks)
{
	struct nexus_ck_quota *q = quota_fact(ck, kind, id);

	if (!q)
		return -ENOMEM;
	q->inodes++;
	q->blocks += blocks;
	return 0;
}

static int add_unwritten(struct nexus_ck *ck, u64 blocks)
{
	struct nexus_ck_quota *q;

	if (!blocks)
		return 0;
	q = quota_fact(ck, NEXUS_QUOTA_UNWRITTEN, 0);
	if (!q)
		return -ENOMEM;
	q->blocks += blocks;
	return 0;
}

static int scan_inode(struct nexus_ck *ck)
{
	const struct nexus_inode_val *v = (const void *)ck->val;
	u64 ino = key_id(ck), blocks = le64_to_cpu(v->blocks);
	u64 data_id = le64_to_cpu(v->data_id);
	struct nexus_ck_inode *in = nexus_ck_inode(ck, ino);
	struct nexus_ck_data *data;
	int ret;

	if (!in)
		return -ENOMEM;
	in->stored = 1;
	in->mode = le32_to_cpu(v->mode);
	in->nlink = le32_to_cpu(v->nlink);
	in->flags = le32_to_cpu(v->flags);
	in->uid = le32_to_cpu(v->uid);
	in->gid = le32_to_cpu(v->gid);
	in->projid = le32_to_cpu(v->projid);
	in->size = le64_to_cpu(v->size);
	in->blocks = blocks;
	in->parent = le64_to_cpu(v->parent);
	in->pos = le64_to_cpu(v->pos);
	in->next_pos = le64_to_cpu(v->next_pos);
	in->children = le64_to_cpu(v->children);
	in->data_id = data_id;
	in->unwritten = le64_to_cpu(v->unwritten);
	ck->inodes++;
	if (!nexus_mode_ok(in->mode))
		nexus_ck_problem(ck, 'I', ino, in->mode, "mode of no known type");
	if (in->size > NEXUS_SIZE_MAX || le64_to_cpu(v->disk_size) > in->size)
		nexus_ck_problem(ck, 'I', ino, in->size, "size out of range");

	ret = add_quota(ck, NEXUS_QUOTA_ZONE, 0, blocks);
	if (!ret)
		ret = add_quota(ck, NEXUS_QUOTA_USER, le32_to_cpu(v->uid), blocks);
	if (!ret)
		ret = add_quota(ck, NEXUS_QUOTA_GROUP, le32_to_cpu(v->gid), blocks);
	if (!ret && v->projid)
		ret = add_quota(ck, NEXUS_QUOTA_PROJECT, le32_to_cpu(v->projid),
				blocks);
	if (!ret)
		ret = add_unwritten(ck, in->unwritten);
	if (ret)
		return ret;
	data = nexus_ck_data(ck, data_id);
	if (!data)
		return -ENOMEM;
	if (data->ino)
		nexus_ck_problem(ck, 'I', ino, data->ino,
				 "two inodes with one data id");
	data->ino = ino;
	return 0;
}

static int scan_dirent(struct nexus_ck *ck)
{
	const struct nexus_dirent_val *d = (const void *)ck->val;
	const struct nexus_inode_val *v = (const void *)ck->other_val;
	const struct nexus_list_val *l = (const void *)ck->other_val;
	u64 parent = key_id(ck), ino = le64_to_cpu(d->ino);
	u64 pos = le64_to_cpu(d->pos);
	const u8 *name = ck->key.b + 9;
	size_t n = ck->key.len - 9;
	struct nexus_ck_inode *dir, *in;
	int len;

	if (!nexus_name_ok(name, n))
		nexus_ck_problem(ck, 'D', parent, ino, "name is not legal");
	dir = nexus_ck_inode(ck, parent);
	if (!dir)
		return -ENOMEM;
	dir->d_entries++;
	dir->max_pos = NEXUS_MAX(dir->max_pos, pos);
	if (d->dtype == nexus_mode_dtype(S_IFDIR))
		dir->subdirs++;
	in = nexus_ck_inode(ck, ino);
	if (!in)
		return -ENOMEM;
	in->names++;
	/* I sorts behind D: look there now, for the type. */
	nexus_key_inode(&ck->other, ino);
	len = nexus_ck_look(ck, sizeof(*v));
	if (len < 0)
		return len;
	if (!len)
		nexus_ck_problem(ck, 'D', parent, ino, "entry without an inode");
	else if (nexus_mode_dtype(le32_to_cpu(v->mode)) != d->dtype)
		nexus_ck_problem(ck, 'D', parent, ino,
				 "entry and inode of different types");
	nexus_key_list(&ck->other, parent, pos);
	len = nexus_ck_look(ck, sizeof(*l));
	if (len < 0)
		return len;
	if (!len || (size_t)len < sizeof(*l) + l->namelen || l->namelen != n ||
	    memcmp(l->name, name, n) || l->ino != d->ino || l->dtype != d->dtype)
		nexus_ck_problem(ck, 'D', parent, pos,
				 "entry without its listing entry");
	return 0;
}

static int scan_list(struct nexus_ck *ck)
{
	const struct nexus_list_val *l = (const void *)ck->val;
	const struct nexus_dirent_val *d = (const void *)ck->other_val;
	u64 parent = key_id(ck), pos = nexus_get_be64(ck->key.b + 9);
	struct nexus_ck_inode *dir = nexus_ck_inode(ck, parent);
	int len;

	if (!dir)
		return -ENOMEM;
	dir->l_entries++;
	if (pos < NEXUS_FIRST_POS || pos >= NEXUS_POS_MAX)
		nexus_ck_problem(ck, 'L', parent, pos, "pos out of range");
	if (ck->len < sizeof(*l) + l->namelen) {
		nexus_ck_problem(ck, 'L', parent, pos, "value too short");
		return 0;
	}
	nexus_key_dirent(&ck->other, parent, l->name, l->namelen);
	len = nexus_ck_look(ck, sizeof(*d));
	if (len < 0)
		return len;
	if (!len || le64_to_cpu(d->pos) != pos)
		nexus_ck_problem(ck, 'L', parent, pos,
				 "listing entry without its entry");
	return 0;
}

static int scan_name(struct nexus_ck *ck)
{
	const struct nexus_name_val *u = (const void *)ck->val;
	const struct nexus_dirent_val *d = (const void *)ck->other_val;
	u64 ino = key_id(ck), parent = nexus_get_be64(ck->key.b + 9);
	struct nexus_ck_inode *in = nexus_ck_inode(ck, ino);
	int len;

	if (!in)
		return -ENOMEM;
	in->u_names++;
	nexus_key_dirent(&ck->other, parent, ck->key.b + 17, ck->key.len - 17);
	len = nexus_ck_look(ck, sizeof(*d));
	if (len < 0)
		return len;
	if (!len || le64_to_cpu(d->ino) != ino || d->pos != u->pos ||
	    d->dtype != u->dtype)
		nexus_ck_problem(ck, 'U', ino, parent, "name without its entry");
	return 0;
}

static int scan_extent(struct nexus_ck *ck)
{
	u64 data_id = key_id(ck);
	struct nexus_ck_data *data;
	struct nexus_ck_pack *pack;
	struct nexus_kext x;

	if (nexus_ext_parse(&ck->key, ck->val, ck->len, &x)) {
		nexus_ck_problem(ck, 'E', data_id, 0, "damaged extent");
		return 0;
	}
	if (ck->last_data_id == data_id && x.fblock < ck->last_end)
		nexus_ck_problem(ck, 'E', data_id, x.fblock, "extents overlap");
	ck->last_data_id = data_id;
	ck->last_end = x.fblock + x.nblocks;
	data = nexus_ck_data(ck, data_id);
	if (!data)
		return -ENOMEM;
	data->blocks += x.nblocks;
	if (x.flags & NEXUS_EF_UNWRITTEN) {
		data->unwritten += x.nblocks;
		return 0;
	}
	pack = nexus_ck_pack(ck, x.pack);
	if (!pack)
		return -ENOMEM;
	pack->used = NEXUS_MAX(pack->used, (u64)x.block + x.nblocks);
	if (x.flags & NEXUS_EF_SHARED)
		return nexus_ck_shared_extent(ck, data_id, &x);
	pack->live += x.nblocks;
	return nexus_ck_claim(ck, data_id, &x);
}

static int scan_xattr(struct nexus_ck *ck)
{
	u64 ino = key_id(ck);
	int len;

	if (ck->key.len == 9 || ck->key.len > 9 + NEXUS_XATTR_NAME_MAX ||
	    memchr(ck->key.b + 9, 0, ck->key.len - 9))
		nexus_ck_problem(ck, 'X', ino, 0, "name is not legal");
	if (ck->len > sizeof(struct nexus_blob_val) + NEXUS_XATTR_VALUE_MAX)
		nexus_ck_problem(ck, 'X', ino, 0, "value is too long");
	nexus_key_inode(&ck->other, ino);
	len = nexus_ck_look(ck, sizeof(struct nexus_inode_val));
	if (!len)
		nexus_ck_problem(ck, 'X', ino, 0, "xattr without an inode");
	return len < 0 ? len : 0;
}

static int scan_lease(struct nexus_ck *ck)
{
	const struct nexus_inode_val *v = (const void *)ck->other_val;
	u64 ino = key_id(ck);
	int len;

	if (!nexus_lease_val_ok((const void *)ck->val, ck->len))
		nexus_ck_problem(ck, 'H', ino, 0, "impossible lease");
	nexus_key_inode(&ck->other, ino);
	len = nexus_ck_look(ck, sizeof(*v));
	if (len < 0)
		return len;
	if (!len)
		nexus_ck_problem(ck, 'H', ino, 0, "lease without an inode");
	else if (!S_ISREG(le32_to_cpu(v->mode)) && !S_ISDIR(le32_to_cpu(v->mode)))
		nexus_ck_problem(ck, 'H', ino, 0, "lease on neither file nor directory");
	return 0;
}

static int scan_small(struct nexus_ck *ck)
{
	const struct nexus_orphan_val *o = (const void *)ck->val;
	const struct nexus_pack_val *b = (const void *)ck->val;
	const struct nexus_quota_val *v = (const void *)ck->val;
	struct nexus_ck_inode *in;
	struct nexus_ck_data *data;
	struct nexus_ck_pack *pack;
	struct nexus_ck_quota *q;

	switch (ck->key.b[0]) {
	case NEXUS_KEY_CONTENT:
		in = nexus_ck_inode(ck, key_id(ck));
		if (!in)
			return -ENOMEM;
		in->content = ck->len - sizeof(struct nexus_blob_val);
		if (!in->content)
			nexus_ck_problem(ck, 'C', key_id(ck), 0, "empty content");
		return 0;
	case NEXUS_KEY_ORPHAN:
		data = nexus_ck_data(ck, key_id(ck));
		if (!data)
			return -ENOMEM;
		data->orphan = le32_to_cpu(o->kind);
		data->orphan_ino = le64_to_cpu(o->ino);
		return 0;
	case NEXUS_KEY_PACK:
		pack = nexus_ck_pack(ck, key_id(ck));
		if (!pack)
			return -ENOMEM;
		pack->stored = 1;
		pack->said_live = le32_to_cpu(b->live);
		pack->said_used = le32_to_cpu(b->used);
		if (!b->state || le32_to_cpu(b->state) > NEXUS_PACK_SEALED)
			nexus_ck_problem(ck, 'B', key_id(ck), 0, "unknown state");
		return 0;
	default:
		q = quota_fact(ck, ck->key.b[1], nexus_get_be64(ck->key.b + 2));
		if (!q)
			return -ENOMEM;
		q->said_inodes = le64_to_cpu(v->inodes);
		q->said_blocks = le64_to_cpu(v->blocks);
		return 0;
	}
}

static int scan_setting(struct nexus_ck *ck)
{
	const struct nexus_setting_val *v = (const void *)ck->val;
	size_t pathlen = le16_to_cpu(v->pathlen), vallen = le32_to_cpu(v->vallen);

	if (!pathlen || pathlen > NEXUS_SETTING_PATH_MAX || !vallen ||
	    vallen > NEXUS_SETTING_VALUE_MAX ||
	    ck->len < sizeof(*v) + pathlen + vallen)
		nexus_ck_problem(ck, 'S', key_id(ck), 0, "damaged setting");
	return 0;
}

static const struct nexus_ck_kind kinds[] = {
	{ NEXUS_KEY_ZONE, 1, 1, sizeof(struct nexus_zone_val), NULL },
	{ NEXUS_KEY_ALLOC, 1, 1, sizeof(struct nexus_alloc_val), NULL },
	{ NEXUS_KEY_INODE, 9, 9, sizeof(struct nexus_inode_val), scan_inode },
	{ NEXUS_KEY_CONTENT, 9, 9, sizeof(struct nexus_blob_val), scan_small },
	{ NEXUS_KEY_DIRENT, 10, 9 + NEXUS_NAME_MAX,
	  sizeof(struct nexus_dirent_val), scan_dirent },
	{ NEXUS_KEY_LIST, 17, 17, sizeof(struct nexus_list_val), scan_list },
	{ NEXUS_KEY_EXTENT, 17, 17, sizeof(struct nexus_extent_val), scan_extent },
	{ NEXUS_KEY_XATTR, 9, NEXUS_KEY_MAX, sizeof(struct nexus_blob_val),
	  scan_xattr },
	{ NEXUS_KEY_PACK, 9, 9, sizeof(struct nexus_pack_val), scan_small },
	{ NEXUS_KEY_SHARED, NEXUS_SHARED_KEY_LEN, NEXUS_SHARED_KEY_LEN,
	  sizeof(struct nexus_shared_val), nexus_ck_scan_shared },
	{ NEXUS_KEY_ORPHAN, 9, 9, sizeof(struct nexus_orphan_val), scan_small },
	{ NEXUS_KEY_QUOTA, 10, 10, sizeof(struct nexus_quota_val), scan_small },
	{ NEXUS_KEY_SETTING, 9, 9, sizeof(struct nexus_setting_val), scan_setting },
	{ NEXUS_KEY_NAME, 18, 17 + NEXUS_NAME_MAX,
	  sizeof(struct nexus_name_val), scan_name },
	{ NEXUS_KEY_LEASE, 9, 9, sizeof(struct nexus_lease_val), scan_lease },
};

const struct nexus_ck_kind *nexus_ck_kind(u8 letter)
{
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].letter == letter)
			return &kinds[i];
	return NULL;
}

static int scan_one(struct nexus_ck *ck)
{
	u8 letter = ck->key.b[0];
	u64 id = ck->key.len >= 9 ? key_id(ck) : 0;
	const struct nexus_ck_kind *k = nexus_ck_kind(letter);

	if (!k) {
		nexus_ck_problem(ck, letter, id, 0, "key of an unknown kind");
		return 0;
	}
	if (ck->key.len < k->key_min || ck->key.len > k->key_max) {
		nexus_ck_problem(ck, letter, id, ck->key.len, "key of a wrong length");
		return 0;
	}
	if (ck->len > NEXUS_VALUE_MAX ||
	    nexus_val_check(ck->val, ck->len, letter, k->val_min)) {
		nexus_ck_problem(ck, letter, id, 0, "damaged value");
		return 0;
	}
	return k->scan ? k->scan(ck) : 0;
}

int nexus_ck_scan(struct nexus_ck *ck)
{
	int len, ret;

	ck->key.b[0] = 0;
	ck->key.len = 1;
	for (;;) {
		len = nexus_kv_seek(ck->kv, ck->key.b, &ck->key.len, ck->val,
				    NEXUS_VALUE_MAX);
		if (len == -ENOENT)
			return 0;
		if (len < 0)
			return len;
		ck->len = (size_t)len;
		ret = scan_one(ck);
		if (ret)
			return ret;
		/* The next key there can be; the buffer has room for one byte more. */
		ck->key.b[ck->key.len++] = 0;
	}
}

struct nexus_ck *nexus_ck_new(struct nexus_kv *kv)
{
	struct nexus_ck *ck = nexus_alloc(sizeof(*ck));

	if (!ck)
		return NULL;
	memset(ck, 0, sizeof(*ck));
	ck->kv = kv;
	nexus_omap_init(&ck->facts);
	ck->val = nexus_alloc(NEXUS_VALUE_MAX);
	if (ck->val)
		return ck;
	nexus_free(ck);
	return NULL;
}

void nexus_ck_free(struct nexus_ck *ck)
{
	if (!ck)
		return;
	nexus_omap_destroy(&ck->facts);
	nexus_free(ck->val);
	nexus_free(ck);
}

s64 nexus_store_check(struct nexus_kv *kv, nexus_check_report report, void *arg)
{
	struct nexus_ck *ck = nexus_ck_new(kv);
	s64 ret;

	if (!ck)
		return -ENOMEM;
	ck->report = report;
	ck->arg = arg;
	ret = nexus_ck_scan(ck);
	if (!ret)
		ret = nexus_ck_judge(ck);
	if (!ret)
		ret = ck->problems;
	nexus_ck_free(ck);
	return ret;
}
