// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Mending a store: extents, and content kept in the index. */
#include "repair_impl.h"

static int one_body_each(struct nexus_rp *rp)
{
	struct nexus_inode_val *v = (void *)rp->val;
	const struct nexus_inode_val *other = (const void *)rp->tmp;
	u64 ino = nexus_rp_id(rp), data_id = le64_to_cpu(v->data_id);
	const struct nexus_ck_data *data = nexus_ck_data(rp->ck, data_id);
	bool natural = false;
	int len;

	if (!data)
		return -ENOMEM;
	if (data_id == ino)
		return 0;
	/* The inode with this number has the first right, then the last in order. */
	len = nexus_rp_inode(rp, data_id);
	if (len < 0)
		return len;
	if (len)
		natural = le64_to_cpu(other->data_id) == data_id;
	if (data_id && !natural && data->ino == ino)
		return 0;
	v->data_id = cpu_to_le64(rp->next_ino++);
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, data_id,
		      "its data id is another inode's: it has no extents now");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

/* ---- extents ------------------------------------------------------------------ */

static int drop_extent(struct nexus_rp *rp, const char *what)
{
	nexus_rp_note(rp, NEXUS_KEY_EXTENT, nexus_rp_id(rp), nexus_rp_id2(rp), what);
	return nexus_rp_del(rp, &rp->key);
}

/* The extent before ends where this one begins.  Where it lies in a pack stays. */
static int cut_last(struct nexus_rp *rp, u64 fblock)
{
	struct nexus_extent_val *e = (void *)rp->tmp;
	int len;

	rp->k = rp->last;
	len = nexus_rp_get(rp, sizeof(*e));
	if (len <= 0)
		return len;
	e->nblocks = cpu_to_le32((u32)(fblock - rp->last_ext.fblock));
	nexus_rp_note(rp, NEXUS_KEY_EXTENT, nexus_get_be64(rp->last.b + 1),
		      nexus_get_be64(rp->last.b + 9), "cut: it overlapped the next one");
	return nexus_rp_put(rp, &rp->k, e, (size_t)len);
}

static int overlap_in_file(struct nexus_rp *rp)
{
	struct nexus_kext x;
	int ret = 0;

	if (nexus_ext_parse(&rp->key, rp->val, rp->len, &x))
		return 0;
	if (rp->last_data_id == nexus_rp_id(rp) &&
	    rp->last_ext.fblock + rp->last_ext.nblocks > x.fblock)
		ret = cut_last(rp, x.fblock);
	rp->last_data_id = nexus_rp_id(rp);
	rp->last = rp->key;
	rp->last_ext = x;
	return ret;
}

static int owned_by_file(struct nexus_rp *rp)
{
	const struct nexus_ck_data *data = nexus_ck_data(rp->ck, nexus_rp_id(rp));
	const struct nexus_ck_inode *in;
	struct nexus_kext x;

	if (!data)
		return -ENOMEM;
	if (!data->ino && data->orphan != NEXUS_ORPHAN_BULK)
		return drop_extent(rp, "dropped: extent of no inode");
	if (data->ino) {
		in = nexus_ck_inode(rp->ck, data->ino);
		if (!in)
			return -ENOMEM;
		if (!S_ISREG(in->mode))
			return drop_extent(rp, "dropped: extent of no regular file");
	}
	/* What is unwritten is in no pack. */
	if (!nexus_ext_parse(&rp->key, rp->val, rp->len, &x) &&
	    !(x.flags & NEXUS_EF_UNWRITTEN) && rp->r->fits && !rp->r->fits(rp->r->arg, &x))
		return drop_extent(rp, "dropped: extent that is not in its pack");
	return 0;
}

/* ---- content ------------------------------------------------------------------- */

/* Cut to @size bytes, 0: gone. */
static int set_content(struct nexus_rp *rp, u64 ino, u64 size, const char *what)
{
	int len;

	nexus_key_content(&rp->k, ino);
	nexus_rp_note(rp, NEXUS_KEY_CONTENT, ino, size, what);
	if (!size)
		return nexus_rp_del(rp, &rp->k);
	len = nexus_rp_get(rp, sizeof(struct nexus_blob_val));
	if (len < (int)(sizeof(struct nexus_blob_val) + size))
		return len < 0 ? len : 0;
	return nexus_rp_put(rp, &rp->k, rp->tmp, sizeof(struct nexus_blob_val) + size);
}

static int put_inode(struct nexus_rp *rp, u64 other, const char *what)
{
	nexus_rp_note(rp, NEXUS_KEY_INODE, nexus_rp_id(rp), other, what);
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

static int regular(struct nexus_rp *rp, u64 content, bool mapped)
{
	struct nexus_inode_val *v = (void *)rp->val;
	u64 ino = nexus_rp_id(rp), size = le64_to_cpu(v->size);
	u32 flags = le32_to_cpu(v->flags);
	bool body = flags & NEXUS_IF_INLINE;
	int ret;

	if (content > NEXUS_INLINE_MAX && !mapped) {
		content = NEXUS_INLINE_MAX;
		ret = set_content(rp, ino, content, "cut: content longer than any may be");
		if (ret)
			return ret;
	}
	if (content && mapped) {
		/* The first extent ends an inline body. */
		ret = set_content(rp, ino, 0, "dropped: content beside extents");
		if (ret || !body)
			return ret;
	} else if (content && !body) {
		v->flags = cpu_to_le32(flags | NEXUS_IF_INLINE);
		v->size = cpu_to_le64(NEXUS_MAX(size, content));
		return put_inode(rp, content, "has content: flag inline set");
	}
	if (!body)
		return 0;
	if (!content || mapped) {
		v->flags = cpu_to_le32(flags & ~NEXUS_IF_INLINE);
		return put_inode(rp, 0, "its content is missing: flag inline cleared");
	}
	if (content <= size)
		return 0;
	ret = set_content(rp, ino, size, "cut: content longer than its file");
	if (ret || size)
		return ret;
	v->flags = cpu_to_le32(flags & ~NEXUS_IF_INLINE);
	return put_inode(rp, 0, "empty: flag inline cleared");
}

static int content(struct nexus_rp *rp)
{
	struct nexus_inode_val *v = (void *)rp->val;
	u64 ino = nexus_rp_id(rp);
	u32 mode = le32_to_cpu(v->mode), flags = le32_to_cpu(v->flags);
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	const struct nexus_ck_data *data;
	u64 bytes;
	int ret;

	if (!in)
		return -ENOMEM;
	bytes = in->content;
	data = nexus_ck_data(rp->ck, le64_to_cpu(v->data_id));
	if (!data)
		return -ENOMEM;
	if (S_ISREG(mode))
		return regular(rp, bytes, data->blocks != 0);
	if (flags & NEXUS_IF_INLINE) {
		v->flags = cpu_to_le32(flags & ~NEXUS_IF_INLINE);
		ret = put_inode(rp, 0, "no regular file: flag inline cleared");
		if (ret)
			return ret;
	}
	if (!S_ISLNK(mode))
		return bytes ? set_content(rp, ino, 0, "dropped: content of no file") : 0;
	if (le64_to_cpu(v->size) == bytes)
		return 0;
	v->size = cpu_to_le64(bytes);
	v->disk_size = cpu_to_le64(NEXUS_MIN(le64_to_cpu(v->disk_size), bytes));
	return put_inode(rp, bytes, "size is that of the target now");
}

/* Everything it stood for may have been dropped. */
static int nothing_to_free(struct nexus_rp *rp)
{
	const struct nexus_orphan_val *o = (const void *)rp->val;
	const struct nexus_ck_data *data = nexus_ck_data(rp->ck, nexus_rp_id(rp));

	if (!data)
		return -ENOMEM;
	if (le32_to_cpu(o->kind) != NEXUS_ORPHAN_BULK || data->blocks)
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_ORPHAN, nexus_rp_id(rp), 0,
		      "dropped: nothing of it is left to be freed");
	return nexus_rp_del(rp, &rp->key);
}

int nexus_rp_data(struct nexus_rp *rp)
{
	int ret = nexus_rp_gather(rp);

	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_INODE, one_body_each);
	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_EXTENT, owned_by_file);
	rp->last_data_id = 0;
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_EXTENT, overlap_in_file);
	if (!ret)
		ret = nexus_rp_space(rp);
	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_ORPHAN, nothing_to_free);
	return ret ? ret : nexus_rp_walk(rp, NEXUS_KEY_INODE, content);
}
