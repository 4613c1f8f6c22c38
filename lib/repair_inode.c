// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Mending a store: inodes that are missing.
 *
 * Names, extents and content that outlived their inode say what it was: it is made
 * again, readable by root alone, for owner, mode and times are lost.
 */
#include "repair_impl.h"
#include "shared.h"

static const u32 dtype_shift = 12;

static int stored(struct nexus_rp *rp, u64 ino)
{
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);

	return in ? in->stored != 0 : -ENOMEM;
}

int nexus_rp_make(struct nexus_rp *rp, u64 ino, u32 fmt, u64 data_id, u64 size, u32 flags)
{
	bool dir = fmt == S_IFDIR;
	struct nexus_inode_val v = {
		.mode = cpu_to_le32(fmt | (dir ? 0700 : 0600)),
		.flags = cpu_to_le32(flags),
		.nlink = cpu_to_le32(dir ? 2 : 1),
		.generation = cpu_to_le32((u32)rp->r->now.s),
		.size = cpu_to_le64(size),
		.disk_size = cpu_to_le64(flags ? 0 : fmt == S_IFREG ? size : 0),
		.atime_s = cpu_to_le64((u64)rp->r->now.s),
		.mtime_s = cpu_to_le64((u64)rp->r->now.s),
		.ctime_s = cpu_to_le64((u64)rp->r->now.s),
		.btime_s = cpu_to_le64((u64)rp->r->now.s),
		.atime_ns = cpu_to_le32(rp->r->now.ns),
		.mtime_ns = cpu_to_le32(rp->r->now.ns),
		.ctime_ns = cpu_to_le32(rp->r->now.ns),
		.btime_ns = cpu_to_le32(rp->r->now.ns),
		.version = cpu_to_le64(1),
		.gen = cpu_to_le64(size ? 1 : 0),
		.parent = cpu_to_le64(ino == NEXUS_ROOT_INO ? ino : 0),
		.next_pos = cpu_to_le64(dir ? NEXUS_FIRST_POS : 0),
		.data_id = cpu_to_le64(data_id),
	};
	struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	struct nexus_ck_data *data;

	if (!in)
		return -ENOMEM;
	in->stored = 1;
	in->mode = le32_to_cpu(v.mode);
	rp->next_ino = NEXUS_MAX(rp->next_ino, NEXUS_MAX(ino, data_id) + 1);
	data = nexus_ck_data(rp->ck, data_id);
	if (!data)
		return -ENOMEM;
	data->ino = ino;
	nexus_key_inode(&rp->k, ino);
	return nexus_rp_put(rp, &rp->k, &v, sizeof(v));
}

/* A data id for an inode whose own is not known. */
static int pick_data_id(struct nexus_rp *rp, u64 ino, u64 *data_id)
{
	const struct nexus_ck_data *data = nexus_ck_data(rp->ck, ino);

	if (!data)
		return -ENOMEM;
	*data_id = data->ino || data->orphan ? rp->next_ino++ : ino;
	return 0;
}

static int make_plain(struct nexus_rp *rp, u64 ino, u32 fmt, u64 size, u32 flags,
		      const char *what)
{
	u64 data_id;
	int ret = pick_data_id(rp, ino, &data_id);

	if (ret)
		return ret;
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, 0, what);
	return nexus_rp_make(rp, ino, fmt, data_id, size, flags);
}

static int root(struct nexus_rp *rp)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	int len = nexus_rp_inode(rp, NEXUS_ROOT_INO);

	if (len < 0)
		return len;
	if (len && (le32_to_cpu(v->mode) & S_IFMT) == S_IFDIR)
		return 0;
	return make_plain(rp, NEXUS_ROOT_INO, S_IFDIR, 0, 0, "the root was missing: made again");
}

/* ---- what is left of an inode ---------------------------------------------- */

/* At @size; @written: data was, up to there. */
static int end_of_file(struct nexus_rp *rp, u64 ino, u64 size, bool written)
{
	struct nexus_inode_val *v = (void *)rp->tmp;
	int len = nexus_rp_inode(rp, ino);

	if (len <= 0)
		return len;
	v->size = cpu_to_le64(size);
	if (written)
		v->disk_size = v->size;
	return nexus_rp_put(rp, &rp->k, v, (size_t)len);
}

/*
 * Which inode had the data id: the reference of a shared extent knows, and the table
 * of the pack, in which a shared block is its first owner's.  0: nobody does.
 */
static int who_had(struct nexus_rp *rp, u64 data_id, u64 *ino)
{
	const struct nexus_shared_val *v = (const void *)rp->tmp;
	struct nexus_kext x;
	u64 from = 0;
	int len;

	*ino = 0;
	for (; !*ino; from = x.fblock + x.nblocks) {
		len = nexus_ext_next(rp->kv, data_id, from, &rp->k, rp->tmp,
				     NEXUS_VALUE_MAX, &x);
		if (len < 0)
			return len == -ENOENT || len == -EUCLEAN ? 0 : len;
		if (x.flags & NEXUS_EF_UNWRITTEN)
			continue;
		if (rp->r->owner)
			*ino = rp->r->owner(rp->r->arg, data_id, x.pack, x.block);
		if (*ino || !(x.flags & NEXUS_EF_SHARED))
			continue;
		nexus_ref_key(&rp->k, data_id, &x);
		len = nexus_rp_get(rp, sizeof(*v));
		if (len < 0)
			return len;
		if (len)
			*ino = le64_to_cpu(v->ino);
	}
	return 0;
}

/* Extents of a data id that no inode has. */
static int extent_owner(struct nexus_rp *rp)
{
	u64 data_id = nexus_rp_id(rp), ino, end;
	const struct nexus_ck_data *data = nexus_ck_data(rp->ck, data_id);
	struct nexus_kext x;
	bool written;
	int ret;

	if (!data)
		return -ENOMEM;
	if (nexus_ext_parse(&rp->key, rp->val, rp->len, &x))
		return 0;
	written = !(x.flags & NEXUS_EF_UNWRITTEN);
	end = NEXUS_MIN((x.fblock + x.nblocks) << NEXUS_BLOCK_SHIFT, (u64)NEXUS_SIZE_MAX);
	/* Made when its first extent was met. */
	if (rp->last_data_id == data_id)
		return end_of_file(rp, data->ino, end, written);
	if (data->ino || data->orphan)
		return 0;
	ret = who_had(rp, data_id, &ino);
	if (ret)
		return ret;
	if (!ino)
		ino = data_id;
	ret = stored(rp, ino);
	if (ret < 0)
		return ret;
	if (ret || !nexus_rp_plausible(rp, ino))
		ino = rp->next_ino++;
	rp->last_data_id = data_id;
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, data_id,
		      "inode was missing: made again for its extents");
	ret = nexus_rp_make(rp, ino, S_IFREG, data_id, written ? end : 0, 0);
	return ret || written ? ret : end_of_file(rp, ino, end, false);
}

static int parent_of_entry(struct nexus_rp *rp)
{
	u64 parent = nexus_rp_id(rp);
	int ret = nexus_rp_plausible(rp, parent) ? stored(rp, parent) : 1;

	if (ret)
		return ret < 0 ? ret : 0;
	return make_plain(rp, parent, S_IFDIR, 0, 0,
			  "directory was missing: made again for its entries");
}

static int make_target(struct nexus_rp *rp, u64 ino, u8 dtype)
{
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	u32 fmt = (u32)dtype << dtype_shift;
	u64 content;

	if (!in)
		return -ENOMEM;
	if (!nexus_rp_plausible(rp, ino) || in->stored || !nexus_mode_ok(fmt))
		return 0;
	content = in->content;
	switch (fmt) {
	case S_IFDIR:
		return make_plain(rp, ino, fmt, 0, 0,
				  "directory was missing: made again for its name");
	case S_IFREG:
		return make_plain(rp, ino, fmt, content, content ? NEXUS_IF_INLINE : 0,
				  content ? "inode was missing: made again with its content" :
				  "inode was missing: made again, empty, for its name");
	case S_IFLNK:
		if (!content)
			return 0;
		return make_plain(rp, ino, fmt, content, 0,
				  "symbolic link was missing: made again with its target");
	case S_IFIFO:
	case S_IFSOCK:
		return make_plain(rp, ino, fmt, 0, 0, "inode was missing: made again for its name");
	}
	/* Which device it was nobody knows: its names go, with the entries. */
	return 0;
}

/* An entry whose other half names an inode that is there is wrong, not its inode. */
static int target_of_dirent(struct nexus_rp *rp)
{
	const struct nexus_dirent_val *d = (const void *)rp->val;
	const struct nexus_list_val *l = (const void *)rp->tmp;
	size_t n = rp->key.len - 9;
	int len;

	nexus_key_list(&rp->k, nexus_rp_id(rp), le64_to_cpu(d->pos));
	len = nexus_rp_get(rp, sizeof(*l));
	if (len > 0 && (size_t)len >= sizeof(*l) + l->namelen && l->namelen == n &&
	    !memcmp(l->name, rp->key.b + 9, n))
		len = stored(rp, le64_to_cpu(l->ino));
	else if (len > 0)
		len = 0;
	if (len)
		return len < 0 ? len : 0;
	return make_target(rp, le64_to_cpu(d->ino), d->dtype);
}

static int target_of_list(struct nexus_rp *rp)
{
	const struct nexus_list_val *l = (const void *)rp->val;
	const struct nexus_dirent_val *d = (const void *)rp->tmp;
	int len;

	nexus_key_dirent(&rp->k, nexus_rp_id(rp), l->name, l->namelen);
	len = nexus_rp_get(rp, sizeof(*d));
	if (len > 0)
		len = le64_to_cpu(d->pos) == nexus_rp_id2(rp) ?
		      stored(rp, le64_to_cpu(d->ino)) : 0;
	if (len)
		return len < 0 ? len : 0;
	return make_target(rp, le64_to_cpu(l->ino), l->dtype);
}

static int owner_of_content(struct nexus_rp *rp)
{
	u64 ino = nexus_rp_id(rp), len = rp->len - sizeof(struct nexus_blob_val);
	int ret = stored(rp, ino);

	if (ret)
		return ret < 0 ? ret : 0;
	if (nexus_rp_plausible(rp, ino) && len <= NEXUS_INLINE_MAX)
		return make_plain(rp, ino, S_IFREG, len, NEXUS_IF_INLINE,
				  "inode was missing: made again with its content");
	nexus_rp_note(rp, NEXUS_KEY_CONTENT, ino, len, "dropped: content of no inode");
	return nexus_rp_del(rp, &rp->key);
}

/* ---- what belongs to none ---------------------------------------------------- */

static int link_without_target(struct nexus_rp *rp)
{
	const struct nexus_inode_val *v = (const void *)rp->val;
	u64 ino = nexus_rp_id(rp);
	int len;

	if ((le32_to_cpu(v->mode) & S_IFMT) != S_IFLNK)
		return 0;
	nexus_key_content(&rp->k, ino);
	len = nexus_rp_get(rp, sizeof(struct nexus_blob_val) + 1);
	if (len)
		return len < 0 ? len : 0;
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, 0, "dropped: symbolic link without its target");
	return nexus_rp_del(rp, &rp->key);
}

static int xattr(struct nexus_rp *rp)
{
	int ret = stored(rp, nexus_rp_id(rp));

	if (ret)
		return ret < 0 ? ret : 0;
	nexus_rp_note_name(rp, NEXUS_KEY_XATTR, nexus_rp_id(rp), 0,
			   "dropped: attribute of no inode", rp->key.b + 9, rp->key.len - 9);
	return nexus_rp_del(rp, &rp->key);
}

static int lease(struct nexus_rp *rp)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	int ret = nexus_rp_inode(rp, nexus_rp_id(rp));

	if (ret < 0)
		return ret;
	if (ret && (S_ISREG(le32_to_cpu(v->mode)) || S_ISDIR(le32_to_cpu(v->mode))))
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_LEASE, nexus_rp_id(rp), 0,
		      "dropped: lease on no file or directory");
	return nexus_rp_del(rp, &rp->key);
}

static int orphan(struct nexus_rp *rp)
{
	const struct nexus_orphan_val *o = (const void *)rp->val;
	const struct nexus_ck_data *data = nexus_ck_data(rp->ck, nexus_rp_id(rp));
	bool bulk = le32_to_cpu(o->kind) == NEXUS_ORPHAN_BULK;

	if (!data)
		return -ENOMEM;
	if (bulk ? !data->ino && data->blocks : data->ino && data->ino == le64_to_cpu(o->ino))
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_ORPHAN, nexus_rp_id(rp), le64_to_cpu(o->ino), bulk ?
		      "dropped: nothing of it is left to be freed" :
		      "dropped: orphan record of another inode, or of none");
	return nexus_rp_del(rp, &rp->key);
}

int nexus_rp_inodes(struct nexus_rp *rp)
{
	static const struct {
		u8 letter;
		int (*fn)(struct nexus_rp *rp);
	} walks[] = {
		/* Extents and content first: they say more than a name. */
		{ NEXUS_KEY_EXTENT, extent_owner },
		{ NEXUS_KEY_DIRENT, parent_of_entry },
		{ NEXUS_KEY_LIST, parent_of_entry },
		{ NEXUS_KEY_DIRENT, target_of_dirent },
		{ NEXUS_KEY_LIST, target_of_list },
		{ NEXUS_KEY_CONTENT, owner_of_content },
		{ NEXUS_KEY_XATTR, xattr },
		{ NEXUS_KEY_LEASE, lease },
		{ NEXUS_KEY_ORPHAN, orphan },
	};
	unsigned int i;
	int ret = nexus_rp_walk(rp, NEXUS_KEY_INODE, link_without_target);

	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = root(rp);
	rp->last_data_id = 0;
	for (i = 0; i < sizeof(walks) / sizeof(walks[0]) && !ret; i++)
		ret = nexus_rp_walk(rp, walks[i].letter, walks[i].fn);
	return ret;
}
