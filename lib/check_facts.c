// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Checking a whole store: judging what one pass has gathered. */
#include "check_impl.h"

static void judge_dir(struct nexus_ck *ck, u64 ino,
		      const struct nexus_ck_inode *in)
{
	bool root = ino == NEXUS_ROOT_INO;

	if (in->children != in->d_entries)
		nexus_ck_problem(ck, 'I', ino, in->d_entries,
				 "directory counts other entries than it has");
	if (in->l_entries != in->d_entries)
		nexus_ck_problem(ck, 'I', ino, in->l_entries,
				 "listing of another length than the directory");
	if (in->d_entries && in->next_pos <= in->max_pos)
		nexus_ck_problem(ck, 'I', ino, in->max_pos,
				 "next pos is not above all");
	if (!in->nlink) {
		if (in->names || in->d_entries || root)
			nexus_ck_problem(ck, 'I', ino, in->names,
					 "removed directory in use");
		return;
	}
	if (in->nlink != 2 + in->subdirs)
		nexus_ck_problem(ck, 'I', ino, in->subdirs,
				 "directory's link count");
	if (in->names != !root)
		nexus_ck_problem(ck, 'I', ino, in->names,
				 "directory without exactly one name");
	if (root && in->parent != ino)
		nexus_ck_problem(ck, 'I', ino, in->parent, "parent of the root");
}

static void judge_file(struct nexus_ck *ck, u64 ino,
		       const struct nexus_ck_inode *in)
{
	if (in->d_entries || in->l_entries || in->children)
		nexus_ck_problem(ck, 'I', ino, in->d_entries,
				 "entries in what is no directory");
	if (in->names != in->nlink)
		nexus_ck_problem(ck, 'I', ino, in->names, "link count");
	if (in->u_names != (in->nlink >= 2 ? in->nlink : 0))
		nexus_ck_problem(ck, 'I', ino, in->u_names,
				 "number of recorded names");
}

static void judge_content(struct nexus_ck *ck, u64 ino,
			  const struct nexus_ck_inode *in)
{
	bool link = S_ISLNK(in->mode);
	bool body = in->flags & NEXUS_IF_INLINE;

	if (body && !S_ISREG(in->mode))
		nexus_ck_problem(ck, 'I', ino, 0, "inline flag of no regular file");
	if ((link || body) != !!in->content)
		nexus_ck_problem(ck, 'C', ino, in->content,
				 "content and inode differ");
	else if (link ? in->content != in->size : in->content > in->size ||
						  in->content > NEXUS_INLINE_MAX)
		nexus_ck_problem(ck, 'C', ino, in->content, "length of content");
}

/* The one name that the inode itself records is the inode's. */
static int judge_own_name(struct nexus_ck *ck, u64 ino,
			  const struct nexus_ck_inode *in)
{
	const struct nexus_list_val *l = (const void *)ck->other_val;
	bool own = S_ISDIR(in->mode) ? in->nlink : in->nlink == 1;
	int len;

	if (ino == NEXUS_ROOT_INO)
		return 0;
	if (!own) {
		if (in->parent || in->pos)
			nexus_ck_problem(ck, 'I', ino, in->parent,
					 "parent of an inode without one name");
		return 0;
	}
	nexus_key_list(&ck->other, in->parent, in->pos);
	len = nexus_kv_get(ck->kv, ck->other.b, ck->other.len, ck->other_val,
			   sizeof(ck->other_val));
	if (len < 0 && len != -ENOENT)
		return len;
	if (len < (int)sizeof(*l) || le64_to_cpu(l->ino) != ino)
		nexus_ck_problem(ck, 'I', ino, in->parent,
				 "parent and pos name another inode");
	return 0;
}

/* Up to the root, or to a directory that is known to lead there. */
static int judge_reach(struct nexus_ck *ck, u64 ino)
{
	struct nexus_ck_inode *in;
	u64 at = ino, steps;

	for (steps = 0; at != NEXUS_ROOT_INO; steps++) {
		in = nexus_ck_inode(ck, at);
		if (!in)
			return -ENOMEM;
		if (in->reachable)
			break;
		if (!in->stored || !S_ISDIR(in->mode) || !in->nlink ||
		    steps > ck->inodes) {
			nexus_ck_problem(ck, 'I', ino, at,
					 "directory not reachable from the root");
			return 0;
		}
		at = in->parent;
	}
	for (at = ino; at != NEXUS_ROOT_INO; at = in->parent) {
		in = nexus_ck_inode(ck, at);
		if (!in)
			return -ENOMEM;
		if (in->reachable)
			break;
		in->reachable = 1;
	}
	return 0;
}

static int judge_inode(struct nexus_ck *ck, u64 ino,
		       const struct nexus_ck_inode *in)
{
	const struct nexus_ck_data *data;
	int ret;

	if (!in->stored) {
		nexus_ck_problem(ck, 'I', ino, in->d_entries,
				 "inode is missing but referred to");
		return 0;
	}
	data = nexus_ck_data(ck, in->data_id);
	if (!data)
		return -ENOMEM;
	if (in->blocks != data->blocks)
		nexus_ck_problem(ck, 'I', ino, data->blocks,
				 "inode counts other blocks than it has");
	if (in->unwritten != data->unwritten)
		nexus_ck_problem(ck, 'I', ino, data->unwritten,
				 "inode counts other unwritten blocks than it has");
	if (data->blocks && !S_ISREG(in->mode))
		nexus_ck_problem(ck, 'I', ino, data->blocks,
				 "extents of no regular file");
	if ((in->flags & NEXUS_IF_INLINE) && data->blocks)
		nexus_ck_problem(ck, 'I', ino, data->blocks,
				 "body both inline and in extents");
	if (in->nlink ? data->orphan != 0 :
	    data->orphan != NEXUS_ORPHAN_INODE || data->orphan_ino != ino)
		nexus_ck_problem(ck, 'O', in->data_id, ino,
				 "orphan record and link count differ");
	judge_content(ck, ino, in);
	if (S_ISDIR(in->mode))
		judge_dir(ck, ino, in);
	else
		judge_file(ck, ino, in);
	ret = judge_own_name(ck, ino, in);
	if (!ret && S_ISDIR(in->mode) && in->nlink)
		ret = judge_reach(ck, ino);
	return ret;
}

static void judge_data(struct nexus_ck *ck, u64 data_id,
		       const struct nexus_ck_data *data)
{
	if (data->ino)
		return;
	if (!data->orphan)
		nexus_ck_problem(ck, 'E', data_id, data->blocks,
				 "extents of no inode");
	else if (data->orphan != NEXUS_ORPHAN_BULK)
		nexus_ck_problem(ck, 'O', data_id, data->orphan_ino,
				 "orphan record without an inode");
	else if (!data->blocks)
		nexus_ck_problem(ck, 'O', data_id, 0, "nothing to free");
}

static void judge_pack(struct nexus_ck *ck, u64 id, const struct nexus_ck_pack *p)
{
	if (!p->stored)
		nexus_ck_problem(ck, 'B', id, p->live, "pack record is missing");
	else if (p->live != p->said_live)
		nexus_ck_problem(ck, 'B', id, p->live, "live blocks");
	if (p->stored && p->used > p->said_used)
		nexus_ck_problem(ck, 'B', id, p->used, "used blocks");
}

static void judge_quota(struct nexus_ck *ck, u64 id,
			const struct nexus_ck_quota *q)
{
	if (q->inodes != q->said_inodes)
		nexus_ck_problem(ck, 'Q', id, q->inodes, "inodes in use");
	if (q->blocks != q->said_blocks)
		nexus_ck_problem(ck, 'Q', id, q->blocks, "blocks in use");
}

/*
 * Judging may add facts of what only somebody names (as zeros), never change
 * those before; so copies are judged, and the next one is looked up by key.
 */
int nexus_ck_judge(struct nexus_ck *ck)
{
	const struct nexus_omap_entry *e;
	int ret = 0;

	if (!nexus_ck_inode(ck, NEXUS_ROOT_INO))
		return -ENOMEM;
	ck->key.len = 0;
	for (;;) {
		union {
			struct nexus_ck_inode in;
			struct nexus_ck_data data;
			struct nexus_ck_pack pack;
			struct nexus_ck_quota quota;
		} f;
		u64 id;

		e = nexus_omap_lower(&ck->facts, ck->key.b, ck->key.len, true);
		if (!e || ret)
			return ret;
		memcpy(ck->key.b, e->data, e->klen);
		ck->key.len = e->klen;
		if (e->klen != 16)
			continue;
		memcpy(&f, nexus_omap_val(e), NEXUS_MIN((size_t)e->vlen, sizeof(f)));
		id = nexus_get_be64(ck->key.b + 1);
		switch (ck->key.b[0]) {
		case 'I':
			ret = judge_inode(ck, id, &f.in);
			break;
		case 'E':
			judge_data(ck, id, &f.data);
			break;
		case 'B':
			judge_pack(ck, id, &f.pack);
			break;
		case 'Q':
			judge_quota(ck, id, &f.quota);
			break;
		}
	}
}
