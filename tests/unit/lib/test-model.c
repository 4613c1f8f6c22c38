// SPDX-License-Identifier: Apache-2.0
/*
 * Apply against the model: random operations, legal and illegal, each decided by
 * the model alone; the store must agree about the verdict and about every read.
 */
#include "model.h"
#include "records.h"

#define STEPS 6000

static struct model m;
static struct store s;
static u8 *wal;			/* every record that was applied */
static size_t wal_len, wal_cap;
static u64 done[NEXUS_REC_MAX], refusals[NEXUS_REC_MAX];

/* Applies a record that the model says is legal, or is not. */
static bool verdict(void *rec, bool legal)
{
	struct nexus_rec_head *head = rec;
	u32 len = le32_to_cpu(head->len);

	if (!legal) {
		/* Malformed already, or refused. */
		if (!nexus_rec_check(head, len))
			refused(&s, rec, NULL);
		refusals[le16_to_cpu(head->type)]++;
		return false;
	}
	head->lsn = cpu_to_le64(4096 + wal_len);
	must(&s, rec);
	if (wal_len + len > wal_cap) {
		wal_cap = 2 * (wal_len + len);
		wal = realloc(wal, wal_cap);
	}
	memcpy(wal + wal_len, rec, len);
	wal_len += len;
	done[le16_to_cpu(head->type)]++;
	return true;
}

static struct m_entry *some_entry(void)
{
	u32 i, at = rnd(M_ENTRIES);

	for (i = 0; i < M_ENTRIES; i++)
		if (m.entry[(at + i) % M_ENTRIES].dir)
			return &m.entry[(at + i) % M_ENTRIES];
	return NULL;
}

static struct m_inode *some_inode(void)
{
	u32 i, at = rnd(M_INODES);

	for (i = 0; i < M_INODES; i++)
		if (m.inode[(at + i) % M_INODES].ino)
			return &m.inode[(at + i) % M_INODES];
	return NULL;
}

/* Mostly a directory that lives. */
static struct m_inode *some_dir(void)
{
	int i;

	for (i = 0; i < 30; i++) {
		struct m_inode *in = some_inode();

		if (model_is_dir(in) && in->nlink)
			return in;
	}
	return some_inode();
}

/* Mostly a fresh pos, sometimes any. */
static u64 some_pos(const struct m_inode *dir)
{
	return rnd(10) ? NEXUS_MAX(dir->next_pos, (u64)3) : 3 + rnd(20);
}

static void op_create(void)
{
	static const u32 types[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK,
				     S_IFIFO, S_IFSOCK };
	struct m_inode *dir = some_dir(), *in = model_new_inode(&m);
	bool tmp = !rnd(10);
	struct create_args a = {
		.mode = types[rnd(7)] | 0640, .uid = rnd(M_IDS), .gid = rnd(M_IDS),
		.projid = rnd(M_IDS), .name = some_name(),
	};
	bool legal;

	if (!in)
		return;
	if (tmp) {
		a.mode = S_IFREG | 0600;
		a.name = NULL;
	} else {
		a.parent = dir->ino;
		a.pos = some_pos(dir);
	}
	a.ino = rnd(20) ? m.next_ino : 16 + rnd((u32)m.next_ino);
	a.data_id = a.ino;
	if (S_ISLNK(a.mode) || (S_ISREG(a.mode) && !rnd(3))) {
		a.content = "some/target";
		a.contentlen = 1 + rnd(11);
	}
	if (!rnd(3)) {
		a.xname = "user.1";
		a.xval = "q";
	}
	legal = !model_inode(&m, a.ino) &&
		(tmp || (model_live_dir(dir) && !model_entry(&m, dir->ino, a.name) &&
			 model_pos_free(&m, dir->ino, a.pos)));
	/* A data id may be in use though the number is free: not the tree's matter. */
	if (a.ino != m.next_ino && legal)
		return;
	if (!verdict(rec_create(&a), legal))
		return;
	m.next_ino += a.ino == m.next_ino;
	in->ino = a.ino;
	in->data_id = a.data_id;
	in->mode = a.mode;
	in->uid = a.uid;
	in->gid = a.gid;
	in->projid = a.projid;
	in->next_pos = model_is_dir(in) ? 3 : 0;
	in->size = in->contentlen = (u32)a.contentlen;
	memcpy(in->content, "some/target", a.contentlen);
	in->xattr[1] = a.xname ? 'q' : 0;
	if (tmp)
		return;
	in->nlink = model_is_dir(in) ? 2 : 1;
	dir->nlink += model_is_dir(in);
	assert_non_null(model_add(&m, dir->ino, a.name, a.pos, a.ino));
}

static void op_link(void)
{
	struct m_inode *dir = some_dir(), *in = some_inode();
	const char *name = some_name();
	u64 pos = some_pos(dir);

	if (!verdict(rec_link(dir->ino, pos, in->ino, name),
		     model_live_dir(dir) && !model_is_dir(in) &&
		     !model_entry(&m, dir->ino, name) && model_pos_free(&m, dir->ino, pos)))
		return;
	in->nlink++;
	assert_non_null(model_add(&m, dir->ino, name, pos, in->ino));
}

static void op_unlink(void)
{
	struct m_entry *e = some_entry();
	struct m_inode *in, *dir;
	bool rmdir, legal;
	u64 pos, ino;

	if (!e)
		return;
	in = model_inode(&m, e->ino);
	dir = model_inode(&m, e->dir);
	rmdir = rnd(8) ? model_is_dir(in) : rnd(2);
	pos = rnd(15) ? e->pos : e->pos + 1;
	ino = rnd(15) ? e->ino : some_inode()->ino;
	legal = pos == e->pos && ino == e->ino && rmdir == model_is_dir(in) &&
		!(rmdir && model_children(&m, in->ino));
	if (!verdict((rmdir ? rec_rmdir : rec_unlink)(e->dir, pos, ino, e->name),
		     legal))
		return;
	dir->nlink -= rmdir;
	model_drop(&m, in);
	memset(e, 0, sizeof(*e));
}

static bool exchange_legal(const struct m_entry *se, const struct m_entry *de)
{
	struct m_inode *in = model_inode(&m, se->ino);
	struct m_inode *other = model_inode(&m, de->ino);

	return in != other &&
	       !(model_is_dir(in) && model_above(&m, in->ino, de->dir)) &&
	       !(model_is_dir(other) && model_above(&m, other->ino, se->dir));
}

static void op_exchange(struct m_entry *se)
{
	struct m_entry *de = some_entry();
	struct m_inode *in, *other;
	int diff;

	in = model_inode(&m, se->ino);
	other = model_inode(&m, de->ino);
	if (!verdict(rec_rename(se->dir, se->pos, se->ino, se->name, de->dir,
				de->pos, de->ino, de->name, NEXUS_RF_EXCHANGE),
		     exchange_legal(se, de)))
		return;
	diff = model_is_dir(other) - model_is_dir(in);
	model_inode(&m, se->dir)->nlink += (u32)diff;
	model_inode(&m, de->dir)->nlink -= (u32)diff;
	se->ino = other->ino;
	de->ino = in->ino;
}

static void op_rename(void)
{
	struct m_entry *se = some_entry(), *de;
	struct m_inode *in, *dir, *old = NULL;
	const char *name = some_name();
	struct m_inode *wh = rnd(12) ? NULL : model_new_inode(&m);
	u64 pos, replaced, sdir, spos, wino = m.next_ino;
	const char *xval = rnd(2) ? "q" : NULL;
	char sname[16];
	bool legal;

	if (!se)
		return;
	if (!rnd(4)) {
		op_exchange(se);
		return;
	}
	if (wh && !rnd(20))
		wino = some_inode()->ino;
	dir = some_dir();
	in = model_inode(&m, se->ino);
	de = model_entry(&m, dir->ino, name);
	if (de)
		old = model_inode(&m, de->ino);
	pos = de ? de->pos : some_pos(dir);
	replaced = de ? de->ino : 0;
	if (!rnd(20))
		replaced = de ? 0 : some_inode()->ino;
	legal = model_live_dir(dir) && replaced == (de ? de->ino : 0) &&
		(de ? old != in : model_pos_free(&m, dir->ino, pos));
	if (legal && model_is_dir(in) && model_above(&m, in->ino, dir->ino))
		legal = false;
	if (legal && de)
		legal = model_is_dir(in) == model_is_dir(old) &&
			!model_children(&m, old->ino);
	if (wh) {
		legal = legal && wino == m.next_ino;
		if (!verdict(rec_whiteout(se->dir, se->pos, se->ino, se->name, dir->ino,
					  pos, replaced, name, wino, xval),
			     legal))
			return;
	} else if (!verdict(rec_rename(se->dir, se->pos, se->ino, se->name, dir->ino, pos,
				       replaced, name, 0), legal)) {
		return;
	}
	sdir = se->dir;
	spos = se->pos;
	strcpy(sname, se->name);
	model_inode(&m, sdir)->nlink -= model_is_dir(in);
	memset(se, 0, sizeof(*se));
	if (wh)
		model_whiteout(&m, wh, sdir, spos, sname, xval);
	if (!de) {
		dir->nlink += model_is_dir(in);
		assert_non_null(model_add(&m, dir->ino, name, pos, in->ino));
		return;
	}
	model_drop(&m, old);
	de->ino = in->ino;
}

static void op_setattr(void)
{
	struct m_inode *in = some_inode();
	u32 mask = rnd(NEXUS_SA_ALL + 1) & ~NEXUS_SA_FLAGS;
	u32 mode = rnd(010000), uid = rnd(M_IDS), gid = rnd(M_IDS), pid = rnd(M_IDS);

	if (!verdict(rec_setattr(in->ino, mask, mode, uid, gid, pid), true))
		return;
	if (mask & NEXUS_SA_MODE)
		in->mode = (in->mode & S_IFMT) | mode;
	if (mask & NEXUS_SA_UID)
		in->uid = uid;
	if (mask & NEXUS_SA_GID)
		in->gid = gid;
	if (mask & NEXUS_SA_PROJID)
		in->projid = pid;
}

static void op_truncate(void)
{
	struct m_inode *in = some_inode();
	u64 size = rnd(M_BLOCKS * 4096), pack = 0, new_id = 0;
	u64 id = rnd(20) ? in->data_id : in->data_id + 1;
	u32 block = 0, i, end;

	if (!rnd(3))
		size = rnd(40);
	if (rnd(4) && in->size)
		size %= in->size;
	if (!rnd(3)) {
		new_id = m.next_ino++;
	} else if (rnd(2) && size % 4096 && size < in->size) {
		model_alloc(&m, 1, &pack, &block);
	}
	end = (u32)((size + 4095) / 4096);
	if (!verdict(rec_truncate(in->ino, id, new_id, size, pack, block),
		     S_ISREG(in->mode) && id == in->data_id &&
		     !(pack && end > 1 && in->contentlen)))
		return;
	in->size = size;
	if (new_id) {
		if (model_blocks(in))
			model_queue_bulk(&m, in->data_id);
		in->data_id = new_id;
		in->contentlen = 0;
		end = 0;
	}
	model_cut_content(in, size);
	for (i = end; i < M_BLOCKS; i++)
		memset(&in->map[i], 0, sizeof(in->map[i]));
	if (pack) {
		in->map[end - 1].pack = pack;
		in->map[end - 1].block = block;
		in->map[end - 1].flags = 0;
		if (end == 1)
			in->contentlen = 0;
	}
}

static void op_extent(void)
{
	struct m_inode *in = some_inode();
	u32 n = 1 + (rnd(4) ? rnd(6) : rnd(256)), at = rnd(M_BLOCKS), i, block;
	u32 flags = rnd(6) ? 0 : NEXUS_EF_NOCRC;
	u64 id = rnd(20) ? in->data_id : in->data_id + 1, pack, size;
	static u32 next_at;

	/* Often where the last one ended, so that neighbours join. */
	if (rnd(2))
		at = next_at % M_BLOCKS;
	if (at + n > M_BLOCKS)
		n = M_BLOCKS - at;
	next_at = at + n;
	/* Often what ends an inline body. */
	if (in->contentlen && rnd(4))
		at = 0;
	model_place(&m, in, at, &n, &flags, &pack, &block);
	size = rnd(2) ? 0 : (u64)(at + n) * 4096 - rnd(4096);
	if (!verdict(rec_extent(in->ino, id, at, size, pack, block, n, flags),
		     S_ISREG(in->mode) && id == in->data_id && !(at && in->contentlen)))
		return;
	for (i = 0; i < n; i++) {
		in->map[at + i].pack = pack;
		in->map[at + i].block = block + i;
		in->map[at + i].flags = flags;
	}
	in->size = NEXUS_MAX(in->size, size);
	if (!at)
		in->contentlen = 0;
}

static void op_inline(void)
{
	struct m_inode *in = some_inode();
	u64 id = rnd(20) ? in->data_id : in->data_id + 1;
	u32 i, len = 1 + rnd(sizeof(in->content));
	char bytes[sizeof(in->content)];

	if (rnd(3))
		return;
	/* Mostly one without extents. */
	for (i = 0; i < 20 && !(S_ISREG(in->mode) && !model_blocks(in)); i++)
		in = some_inode();
	if (i)
		id = in->data_id;
	for (i = 0; i < len; i++)
		bytes[i] = (char)rnd(256);
	if (!verdict(rec_inline(in->ino, id, bytes, len),
		     S_ISREG(in->mode) && id == in->data_id && !model_blocks(in)))
		return;
	memcpy(in->content, bytes, len);
	in->contentlen = len;
	in->size = NEXUS_MAX(in->size, (u64)len);
}

static void op_range(void)
{
	struct m_inode *in = some_inode();
	u32 n = 1 + rnd(rnd(4) ? 6 : M_BLOCKS), at = rnd(M_BLOCKS), i;
	u64 id = rnd(20) ? in->data_id : in->data_id + 1, size = 0;
	bool legal = S_ISREG(in->mode) && id == in->data_id;
	bool reserve = rnd(2);
	static u32 next_at;

	if (rnd(2))
		at = next_at % M_BLOCKS;
	if (at + n > M_BLOCKS)
		n = M_BLOCKS - at;
	next_at = at + n;
	if (rnd(2))
		size = (u64)(at + n) * 4096 - rnd(4096);
	if (!reserve) {
		if (!verdict(rec_range(NEXUS_REC_PUNCH, in->ino, id, at, n, size), legal))
			return;
		in->size = NEXUS_MAX(in->size, size);
		memset(&in->map[at], 0, n * sizeof(in->map[0]));
		if (!at)
			in->contentlen = 0;
		return;
	}
	if (!verdict(rec_range(NEXUS_REC_RESERVE, in->ino, id, at, n, size),
		     legal && !in->contentlen))
		return;
	for (i = at; i < at + n; i++)
		if (!in->map[i].pack)
			in->map[i].flags = NEXUS_EF_UNWRITTEN;
	in->size = NEXUS_MAX(in->size, size);
}

static void op_move(void)
{
	struct m_inode *in = some_inode();
	u32 at = rnd(M_BLOCKS), n, i, block;
	struct move_args a;
	bool right;
	u64 pack;

	for (i = 0; i < 20 && !in->map[at].pack; i++)
		at = rnd(M_BLOCKS);
	if (!in->map[at].pack)
		return;
	n = 1 + rnd(model_same_place(in, at));
	model_alloc(&m, n, &pack, &block);
	a = (struct move_args) {
		.ino = in->ino, .id = in->data_id, .at = at, .nblocks = n,
		.from_pack = in->map[at].pack, .from_block = in->map[at].block,
		.to_pack = pack, .to_block = block,
	};
	if (a.from_pack == a.to_pack)
		return;
	right = S_ISREG(in->mode) && !in->map[at].flags && !store_any_shared(&s, in->data_id, at, n);
	/* Wrong in one way or another: nothing happens. */
	switch (rnd(12)) {
	case 0: a.ino += 1000000; right = false; break;
	case 1: a.id += 1000000; right = false; break;
	case 2: a.from_block++; right = false; break;
	case 3: a.at++; right = false; break;
	case 4:
		/* One more than is there. */
		if (model_same_place(in, at) < 256 && at + model_same_place(in, at) < M_BLOCKS) {
			a.nblocks = model_same_place(in, at) + 1;
			right = false;
		}
		break;
	}
	if (!verdict(rec_move(&a), true) || !right)
		return;
	for (i = 0; i < n; i++) {
		in->map[at + i].pack = pack;
		in->map[at + i].block = block + i;
	}
}

static void op_xattr(void)
{
	struct m_inode *in = some_inode();
	u32 n = rnd(M_XATTRS), flags = rnd(3);
	char name[16], val[2] = { (char)('a' + rnd(26)), 0 };
	bool legal = true, remode = !rnd(3);
	u32 mode = rnd(010000);
	void *rec;

	snprintf(name, sizeof(name), "user.%u", n % 10);
	if (!rnd(3)) {
		rec = rec_removexattr(in->ino, name);
		if (remode)
			rec_xattr_mode(rec, mode);
		if (!verdict(rec, in->xattr[n]))
			return;
		in->xattr[n] = 0;
		if (remode)
			in->mode = (in->mode & S_IFMT) | mode;
		return;
	}
	if (flags == NEXUS_RF_XATTR_CREATE)
		legal = !in->xattr[n];
	else if (flags == NEXUS_RF_XATTR_REPLACE)
		legal = in->xattr[n];
	rec = rec_setxattr(in->ino, name, val, (u16)flags);
	if (remode)
		rec_xattr_mode(rec, mode);
	if (!verdict(rec, legal))
		return;
	in->xattr[n] = val[0];
	if (remode)
		in->mode = (in->mode & S_IFMT) | mode;
}

static void op_forget(void)
{
	struct m_inode *in = some_inode();
	u32 i, max = rnd(12);

	for (i = 0; i < 10 && in->nlink; i++)
		in = some_inode();
	if (in->ino == 1)
		return;
	if (!verdict(rec_forget(in->ino, in->data_id, max), !in->nlink))
		return;
	if (store_has_extents(&s, in->data_id))
		model_queue_bulk(&m, in->data_id);
	in->ino = 0;
}

static void op_bulk(void)
{
	u32 i = rnd(64);
	u64 id = m.bulk[i];

	if (!id) {
		/* A data id that is in use, or nothing at all. */
		struct m_inode *in = some_inode();

		verdict(rec_bulk(in->data_id, 5), in->nlink);
		return;
	}
	verdict(rec_bulk(id, 1 + rnd(20)), true);
	if (!store_has_extents(&s, id))
		m.bulk[i] = 0;
}

/* A regular file with something in it, mostly. */
static struct m_inode *some_body(void)
{
	struct m_inode *in = some_inode();
	int i;

	for (i = 0; i < 20 && !(S_ISREG(in->mode) && model_blocks(in)); i++)
		in = some_inode();
	return in;
}

static void op_clone(void)
{
	struct m_inode *src = some_body();
	struct m_inode *in = rnd(3) ? some_body() : rnd(2) ? src : some_inode();
	u32 n = 1 + (rnd(3) ? rnd(12) : rnd(400)), from = rnd(M_BLOCKS);
	u32 to = rnd(3) ? rnd(M_BLOCKS) : from, i, mapped = 0, wrong = 0;
	struct clone_args a;
	struct m_block *copy;
	bool legal;

	n = NEXUS_MIN(n, M_BLOCKS - NEXUS_MAX(from, to));
	if (!verdict(rec_share(src->ino, src->data_id, from, n),
		     S_ISREG(src->mode)))
		return;
	copy = calloc(n, sizeof(*copy));
	for (i = 0; i < n; i++) {
		struct m_block *b = &src->map[from + i];

		if (!b->pack || (b->flags & NEXUS_EF_UNWRITTEN))
			continue;
		b->flags |= NEXUS_EF_SHARED;
		copy[i] = *b;
		mapped++;
	}
	if (!rnd(20))
		wrong = 1;
	a = (struct clone_args) {
		.src = src->ino, .src_id = src->data_id, .from = from,
		.ino = in->ino, .id = rnd(20) ? in->data_id : in->data_id + 1,
		.to = to, .nblocks = n, .mapped = mapped ^ wrong,
		.size = rnd(2) ? 0 : (u64)(to + n) * 4096 - rnd(4096),
	};
	legal = S_ISREG(in->mode) && a.id == in->data_id && !wrong &&
		(in != src || (from > to ? from - to : to - from) >= n) &&
		!src->contentlen && !(to && in->contentlen);
	if (verdict(rec_clone(&a), legal)) {
		memcpy(&in->map[to], copy, n * sizeof(*copy));
		in->size = NEXUS_MAX(in->size, a.size);
		if (!to)
			in->contentlen = 0;
	}
	free(copy);
}

static void op_lease(void)
{
	struct m_inode *in = some_inode();
	struct lease_args a = { .now = 1000 + wal_len / 1000, .lsn = 4096 + wal_len };
	bool legal = model_lease(in, &a);

	if (verdict(rec_lease(&a), legal))
		model_leased(in, &a);
}

static void op_other(void)
{
	struct m_inode *in = some_inode();

	switch (rnd(5)) {
	case 0:
		verdict(rec_nop(), true);
		break;
	case 1:
		while (rnd(20) && !(S_ISREG(in->mode) && !in->contentlen))
			in = some_inode();
		if (verdict(rec_data(in->ino, in->data_id, 0, "xyz"), S_ISREG(in->mode) && !in->contentlen))
			in->size = NEXUS_MAX(in->size, 3u);
		break;
	case 2:
		verdict(rec_data(m.next_ino, m.next_ino, 0, "xyz"), false);
		break;
	case 3:
		verdict(rec_quota(1 + rnd(2), rnd(M_IDS), rnd(10), rnd(100)), true);
		break;
	default:
		verdict(rec_setting(rnd(5), "/p", rnd(2) ? "v" : ""), true);
	}
}

static void step(void)
{
	static void (*const ops[])(void) = {
		op_create, op_create, op_create, op_link, op_unlink, op_unlink,
		op_rename, op_rename, op_rename, op_setattr, op_truncate, op_extent,
		op_extent, op_extent, op_inline, op_clone, op_clone, op_range, op_range, op_move, op_move,
		op_xattr, op_xattr, op_forget, op_bulk, op_bulk, op_other, op_lease,
	};

	ops[rnd(sizeof(ops) / sizeof(ops[0]))]();
}

/* The same records on an empty store give the same bytes. */
static void test_replay(void **state)
{
	struct store other;
	size_t at = 0;

	(void)state;
	store_mkfs(&other);
	while (at < wal_len) {
		const struct nexus_rec_head *rec = (const void *)(wal + at);

		must(&other, rec);
		at += le32_to_cpu(rec->len);
	}
	assert_true(at == wal_len && wal_len > 100000);
	store_same(&s, &other);
	/* And are the bytes really looked at? */
	must(&other, rec_setattr(1, NEXUS_SA_MODE, 0700, 0, 0, 0));
	assert_false(store_equal(&s, &other));
	store_destroy(&other);
}

static void test_random(void **state)
{
	u32 i, round;

	(void)state;
	for (round = 0; round < 3; round++) {
		seed_init(round + 1);
		if (round)
			store_destroy(&s);
		model_init(&m);
		store_mkfs(&s);
		wal_len = 0;
		for (i = 0; i < STEPS; i++) {
			step();
			if (i % 8 == 0 || i < 200)
				model_compare(&m, &s);
			if (i % 32 == 0)
				assert_int_equal(store_problems(&s, true), 0);
			if (i % 64 == 0)
				model_compare_live(&m, &s);
			if (i % 128 == 0)
				store_joined(&s);
		}
	}
	for (i = NEXUS_REC_CREATE; i < NEXUS_REC_MAX; i++) {
		printf("# %s: %llu applied, %llu refused\n", nexus_rec_name((u16)i),
		       (unsigned long long)done[i], (unsigned long long)refusals[i]);
		assert_true(i == NEXUS_REC_PACK || done[i] > 50);
	}
}

static int cleanup(void **state)
{
	(void)state;
	store_destroy(&s);
	free(wal);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_replay),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
