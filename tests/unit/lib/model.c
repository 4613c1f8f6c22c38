// SPDX-License-Identifier: Apache-2.0
/* The model tree, and its comparison with a store through typed reads. */
#include "lib/extent_find.h"
#include "model.h"

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->inode[0].ino = 1;
	m->inode[0].mode = S_IFDIR | 0755;
	m->inode[0].nlink = 2;
	m->inode[0].data_id = 1;
	m->inode[0].next_pos = 3;
	m->next_ino = 16;
	m->pack = 1;
	m->pack_next = 1;
}

struct m_inode *model_inode(struct model *m, u64 ino)
{
	int i;

	for (i = 0; i < M_INODES; i++)
		if (ino && m->inode[i].ino == ino)
			return &m->inode[i];
	return NULL;
}

struct m_inode *model_new_inode(struct model *m)
{
	int i;

	for (i = 0; i < M_INODES; i++) {
		if (!m->inode[i].ino) {
			memset(&m->inode[i], 0, sizeof(m->inode[i]));
			return &m->inode[i];
		}
	}
	return NULL;
}

struct m_entry *model_entry(struct model *m, u64 dir, const char *name)
{
	int i;

	for (i = 0; i < M_ENTRIES; i++)
		if (m->entry[i].dir == dir && !strcmp(m->entry[i].name, name))
			return &m->entry[i];
	return NULL;
}

struct m_entry *model_add(struct model *m, u64 dir, const char *name, u64 pos,
			  u64 ino)
{
	struct m_inode *d = model_inode(m, dir);
	int i;

	for (i = 0; i < M_ENTRIES; i++) {
		struct m_entry *e = &m->entry[i];

		if (e->dir)
			continue;
		e->dir = dir;
		e->pos = pos;
		e->ino = ino;
		snprintf(e->name, sizeof(e->name), "%s", name);
		if (d->next_pos <= pos)
			d->next_pos = pos + 1;
		return e;
	}
	return NULL;
}

void model_whiteout(struct model *m, struct m_inode *in, u64 dir, u64 pos,
		    const char *name, const char *xval)
{
	in->ino = m->next_ino++;
	in->data_id = in->ino;
	in->mode = S_IFCHR;
	in->uid = 1;
	in->gid = 2;
	in->projid = 3;
	in->nlink = 1;
	in->xattr[1] = xval ? *xval : 0;
	assert_non_null(model_add(m, dir, name, pos, in->ino));
}

const char *some_name(void)
{
	const char *const names[] = {
		"a", "b", "c", "dd", "e", "file", "filf", "g", "h", "i", "j",
		"k", "long-enough", "long-enoughs", "m", "\xff",
	};

	return names[rnd(16)];
}

/* Of one holder at a time. */
static bool held(const struct m_inode *in, const struct lease_args *a)
{
	return in->lease && in->lease_end > a->now;
}

bool model_lease(const struct m_inode *in, struct lease_args *a)
{
	bool mine;

	a->ino = in->ino;
	a->op = 1 + rnd(5);
	a->id = (u8)(1 + rnd(3));
	a->ttl = 1 + rnd(30);
	a->max = a->op == NEXUS_LEASE_TAKE;
	mine = held(in, a) && in->lease == a->id;
	if (!S_ISREG(in->mode) && !S_ISDIR(in->mode))
		return false;
	if (a->op == NEXUS_LEASE_TAKE)
		return mine || !held(in, a);
	if (a->op == NEXUS_LEASE_EXTEND || a->op == NEXUS_LEASE_DROP)
		return mine;
	return a->op == NEXUS_LEASE_PRUNE || in->lease;
}

void model_leased(struct m_inode *in, const struct lease_args *a)
{
	if (a->op == NEXUS_LEASE_TAKE || a->op == NEXUS_LEASE_EXTEND) {
		in->lease = a->id;
		in->lease_end = a->now + a->ttl;
	} else if (a->op != NEXUS_LEASE_PRUNE || !held(in, a)) {
		in->lease = 0;
	}
}

bool model_live_dir(const struct m_inode *in)
{
	return model_is_dir(in) && in->nlink;
}

void model_cut_content(struct m_inode *in, u64 size)
{
	if (S_ISREG(in->mode) && in->contentlen > size)
		in->contentlen = (u32)size;
}

bool model_pos_free(const struct model *m, u64 dir, u64 pos)
{
	int i;

	for (i = 0; i < M_ENTRIES; i++)
		if (m->entry[i].dir == dir && m->entry[i].pos == pos)
			return false;
	return pos >= 3;
}

u32 model_children(const struct model *m, u64 dir)
{
	u32 i, n = 0;

	for (i = 0; i < M_ENTRIES; i++)
		n += m->entry[i].dir == dir;
	return n;
}

u32 model_blocks(const struct m_inode *in)
{
	u32 i, n = 0;

	for (i = 0; i < M_BLOCKS; i++)
		n += model_mapped(&in->map[i]);
	return n;
}

bool model_mapped(const struct m_block *b)
{
	return b->pack || (b->flags & NEXUS_EF_UNWRITTEN);
}

static u32 unwritten(const struct m_inode *in)
{
	u32 i, n = 0;

	for (i = 0; i < M_BLOCKS; i++)
		n += !!(in->map[i].flags & NEXUS_EF_UNWRITTEN);
	return n;
}

bool model_is_dir(const struct m_inode *in)
{
	return S_ISDIR(in->mode);
}

bool model_above(struct model *m, u64 above, u64 ino)
{
	int i;

	for (;;) {
		if (ino == above)
			return true;
		for (i = 0; i < M_ENTRIES; i++)
			if (m->entry[i].dir && m->entry[i].ino == ino)
				break;
		if (i == M_ENTRIES)
			return false;
		ino = m->entry[i].dir;
	}
}

void model_drop(struct model *m, struct m_inode *in)
{
	(void)m;
	in->nlink = model_is_dir(in) ? 0 : in->nlink - 1;
}

void model_alloc(struct model *m, u32 n, u64 *pack, u32 *block)
{
	if (m->pack_next + n > 2000) {
		m->pack++;
		m->pack_next = 1;
	}
	*pack = m->pack;
	*block = m->pack_next;
	m->pack_next += n;
}

void model_place(struct model *m, const struct m_inode *in, u32 at, u32 *n, u32 *flags,
		 u64 *pack, u32 *block)
{
	const struct m_block *b = &in->map[at];

	if (!b->pack || b->flags != NEXUS_EF_NOCRC || rnd(2)) {
		model_alloc(m, *n, pack, block);
		return;
	}
	*n = 1;
	*flags = b->flags;
	*pack = b->pack;
	*block = b->block;
}

void model_queue_bulk(struct model *m, u64 data_id)
{
	unsigned int i;

	for (i = 0; i < 64; i++) {
		if (!m->bulk[i]) {
			m->bulk[i] = data_id;
			return;
		}
	}
	fail_msg("too many bulk deletions for the model");
}

/* ---- comparison ------------------------------------------------------ */

static u8 out[NEXUS_REPLY_DATA_MAX] __attribute__((aligned(8)));

static void compare_attr(struct model *m, const struct m_inode *in,
			 const struct nexus_attr *a)
{
	assert_int_equal(a->mode, in->mode);
	assert_int_equal(a->uid, in->uid);
	assert_int_equal(a->gid, in->gid);
	assert_int_equal(a->projid, in->projid);
	assert_int_equal(a->nlink, in->nlink);
	assert_true(a->size == in->size);
	assert_int_equal(a->blocks, model_blocks(in));
	assert_int_equal(a->unwritten, unwritten(in));
	assert_true(a->data_id == in->data_id);
	if (!model_is_dir(in))
		return;
	assert_int_equal(a->children, model_children(m, in->ino));
	assert_true(a->next_pos == in->next_pos);
}

static void compare_dir(struct model *m, struct store *s, const struct m_inode *in)
{
	const struct nexus_list_reply *rep = (const void *)out;
	static u8 one[NEXUS_REPLY_DATA_MAX] __attribute__((aligned(8)));
	u32 n = 0, i, at = sizeof(*rep);
	u64 last = 0;

	/* Small directories: one reply holds them. */
	assert_true(do_read(s, NEXUS_OP_LIST, in->ino, 0, 0, NULL, out) > 0);
	assert_true(rep->flags & NEXUS_LR_END);
	for (i = 0; i < rep->count; i++) {
		const struct nexus_list_ent *e = (const void *)(out + at);
		const struct nexus_entry_reply *er = (const void *)
			(e->name + NEXUS_ALIGN((u32)e->namelen, 8u));
		char name[256] = "";
		struct m_entry *me;

		memcpy(name, e->name, e->namelen);
		me = model_entry(m, in->ino, name);
		assert_non_null(me);
		assert_true(me->ino == e->ino && me->pos == e->pos);
		assert_true(e->pos > last && (e->flags & NEXUS_DE_ENTRY));
		compare_attr(m, model_inode(m, e->ino), &er->attr);
		assert_true(do_read(s, NEXUS_OP_LOOKUP, in->ino, 0, 0, name, one) > 0);
		assert_true(((struct nexus_entry_reply *)one)->attr.ino == e->ino);
		assert_true(((struct nexus_entry_reply *)one)->pos == e->pos);
		last = e->pos;
		at += e->reclen;
		n++;
	}
	assert_int_equal(n, model_children(m, in->ino));
	assert_int_equal(do_read(s, NEXUS_OP_LOOKUP, in->ino, 0, 0, "absent", one),
			 -ENOENT);
}

static void compare_extents(struct store *s, const struct m_inode *in)
{
	const struct nexus_extents_reply *rep = (const void *)out;
	u64 from = rnd(M_BLOCKS) * 4096ull, at = from / 4096;
	u32 i, j;

	for (;;) {
		assert_true(do_read(s, NEXUS_OP_EXTENTS, in->ino, in->data_id, from,
				    NULL, out) > 0);
		for (i = 0; i < rep->count; i++) {
			const struct nexus_extent *e = &rep->extent[i];

			for (; at < e->offset / 4096; at++)
				assert_false(model_mapped(&in->map[at]));
			for (j = 0; j < e->nblocks; j++, at++) {
				assert_true(in->map[at].pack == e->pack);
				assert_int_equal(in->map[at].block,
						 e->pack ? e->block + j : 0);
				/* SHARE takes whole extents, which the model does not know. */
				assert_int_equal(in->map[at].flags,
						 e->flags & (in->map[at].flags |
							     ~NEXUS_EF_SHARED));
			}
		}
		if (rep->flags & NEXUS_XR_END)
			break;
		from = rep->next_offset;
	}
	for (; at < M_BLOCKS; at++)
		assert_false(model_mapped(&in->map[at]));
}

static void compare_xattrs(struct store *s, const struct m_inode *in)
{
	const struct nexus_xattr_reply *rep = (const void *)out;
	char name[32];
	int i, n = 0, len, at;

	for (i = 0; i < M_XATTRS; i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		len = do_read(s, NEXUS_OP_GETXATTR, in->ino, 0, 0, name, out);
		if (!in->xattr[i]) {
			assert_int_equal(len, -ENODATA);
			continue;
		}
		assert_int_equal(len, sizeof(*rep) + 1);
		assert_int_equal(rep->data[0], in->xattr[i]);
		n++;
	}
	len = do_read(s, NEXUS_OP_LISTXATTR, in->ino, 0, 0, NULL, out);
	for (at = 0; at < len; at++)
		n -= !out[at];
	assert_int_equal(n, 0);
}

static void compare_inode(struct model *m, struct store *s, const struct m_inode *in)
{
	const struct nexus_entry_reply *rep = (const void *)out;
	const struct nexus_name_reply *name = (const void *)out;
	struct nexus_key k;
	int len;

	assert_true(do_read(s, NEXUS_OP_GETATTR, in->ino, 0, 0, NULL, out) > 0);
	compare_attr(m, in, &rep->attr);
	if (in->contentlen) {
		assert_true(rep->flags & NEXUS_ER_CONTENT);
		assert_int_equal(rep->content_len, in->contentlen);
		assert_memory_equal(out + sizeof(*rep) + rep->nextents *
				    sizeof(struct nexus_extent), in->content,
				    in->contentlen);
	} else {
		assert_false(rep->flags & NEXUS_ER_CONTENT);
	}
	nexus_key_orphan(&k, in->data_id);
	assert_true(!in->nlink == !!store_get(s, &k, NULL));
	len = do_read(s, NEXUS_OP_GETNAME, in->ino, 0, 0, NULL, out);
	if (!in->nlink) {
		assert_int_equal(len, -ENOENT);
	} else if (in->ino != 1) {
		char text[256] = "";
		struct m_entry *e;

		assert_true(len > 0);
		memcpy(text, name->name, name->namelen);
		e = model_entry(m, name->parent, text);
		assert_non_null(e);
		assert_true(e->ino == in->ino && e->pos == name->pos);
	}
	compare_xattrs(s, in);
	nexus_key_lease(&k, in->ino);
	assert_true(!in->lease == !store_get(s, &k, NULL));
	if (model_is_dir(in))
		compare_dir(m, s, in);
	else if (S_ISREG(in->mode))
		compare_extents(s, in);
}

static void compare_quota(struct model *m, struct store *s, u8 kind, u64 id)
{
	u64 inodes = 0, blocks = 0;
	struct nexus_quota_val q = { 0 };
	struct nexus_key k;
	const void *v;
	int i;

	for (i = 0; i < M_INODES; i++) {
		const struct m_inode *in = &m->inode[i];

		if (!in->ino || (kind == NEXUS_QUOTA_USER && in->uid != id) ||
		    (kind == NEXUS_QUOTA_GROUP && in->gid != id) ||
		    (kind == NEXUS_QUOTA_PROJECT && in->projid != id))
			continue;
		if (kind == NEXUS_QUOTA_UNWRITTEN) {
			blocks += unwritten(in);
			continue;
		}
		inodes++;
		blocks += model_blocks(in);
	}
	nexus_key_quota(&k, kind, id);
	v = store_get(s, &k, NULL);
	if (v)
		memcpy(&q, v, sizeof(q));
	assert_true(le64_to_cpu(q.inodes) == inodes);
	assert_true(le64_to_cpu(q.blocks) == blocks);
}

void model_compare(struct model *m, struct store *s)
{
	u32 i;

	for (i = 0; i < M_INODES; i++)
		if (m->inode[i].ino)
			compare_inode(m, s, &m->inode[i]);
	compare_quota(m, s, NEXUS_QUOTA_ZONE, 0);
	compare_quota(m, s, NEXUS_QUOTA_UNWRITTEN, 0);
	for (i = 0; i < M_IDS; i++) {
		compare_quota(m, s, NEXUS_QUOTA_USER, i);
		compare_quota(m, s, NEXUS_QUOTA_GROUP, i);
		if (i)
			compare_quota(m, s, NEXUS_QUOTA_PROJECT, i);
	}
}

u32 model_same_place(const struct m_inode *in, u32 at)
{
	u32 n = 1;

	while (at + n < M_BLOCKS && n < 256 && in->map[at + n].pack == in->map[at].pack &&
	       in->map[at + n].block == in->map[at].block + n &&
	       in->map[at + n].flags == in->map[at].flags)
		n++;
	return n;
}

bool store_any_shared(struct store *s, u64 data_id, u32 at, u32 n)
{
	u64 end = (u64)at + n, i = at, val[64];
	struct nexus_kext x;
	struct nexus_key k;

	while (i < end && nexus_ext_seek(&s->kv, data_id, i, &k, val, sizeof(val), &x) > 0 &&
	       x.fblock < end) {
		if (x.flags & NEXUS_EF_SHARED)
			return true;
		i = x.fblock + x.nblocks;
	}
	return false;
}

void store_joined(struct store *s)
{
	const struct nexus_omap_entry *e;
	struct nexus_extent_val v;
	struct nexus_key k;
	u64 id = 0, end = 0;

	nexus_key_extent(&k, 0, 0);
	for (e = nexus_omap_lower(&s->map, k.b, 1, false); e && e->data[0] == 'E';
	     e = nexus_omap_lower(&s->map, e->data, e->klen, true)) {
		u64 at = nexus_get_be64(e->data + 9) / 4096;

		memcpy(&v, nexus_omap_val(e), sizeof(v));
		if (!(le32_to_cpu(v.flags) & NEXUS_EF_UNWRITTEN)) {
			end = 0;
			continue;
		}
		assert_false(id == nexus_get_be64(e->data + 1) && at == end &&
			     at % 256);
		id = nexus_get_be64(e->data + 1);
		end = at + le32_to_cpu(v.nblocks);
	}
}

void model_compare_live(const struct model *m, struct store *s)
{
	u32 refs;
	u64 pack;

	for (pack = 1; pack <= m->pack; pack++)
		assert_int_equal(store_said_live(s, pack), store_live(s, pack, &refs));
}

bool store_has_extents(struct store *s, u64 data_id)
{
	const struct nexus_omap_entry *e;
	struct nexus_key k;

	nexus_key_extent(&k, data_id, 0);
	e = nexus_omap_lower(&s->map, k.b, k.len, false);
	return e && !memcmp(e->data, k.b, 9);
}
