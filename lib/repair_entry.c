// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Mending a store: directory entries.  Each is there twice, D by name and L by pos,
 * and so one of the two can be lost or wrong.
 */
#include "repair_impl.h"

static int put_dirent(struct nexus_rp *rp, u64 dir, const void *name, size_t len, u64 ino,
		      u64 pos, u8 dtype)
{
	struct nexus_dirent_val d = {
		.ino = cpu_to_le64(ino), .pos = cpu_to_le64(pos), .dtype = dtype,
	};
	struct nexus_key k;

	nexus_key_dirent(&k, dir, name, len);
	return nexus_rp_put(rp, &k, &d, sizeof(d));
}

static int put_list(struct nexus_rp *rp, u64 dir, const void *name, size_t len, u64 ino,
		    u64 pos, u8 dtype)
{
	u64 buf[(sizeof(struct nexus_list_val) + NEXUS_NAME_MAX) / 8 + 1];
	struct nexus_list_val *l = (void *)buf;

	memset(buf, 0, sizeof(buf));
	l->ino = cpu_to_le64(ino);
	l->dtype = dtype;
	l->namelen = (u8)len;
	memcpy(l->name, name, len);
	nexus_key_list(&rp->k, dir, pos);
	return nexus_rp_put(rp, &rp->k, l, sizeof(*l) + len);
}

int nexus_rp_new_pos(struct nexus_rp *rp, u64 dir, u64 *pos)
{
	struct nexus_inode_val *v = (void *)rp->tmp;
	u64 at;
	int len = nexus_rp_inode(rp, dir);

	if (len <= 0)
		return len ? len : -EUCLEAN;
	at = le64_to_cpu(v->next_pos);
	if (at < NEXUS_FIRST_POS || at >= NEXUS_POS_MAX - 1)
		at = NEXUS_FIRST_POS;
	do {
		nexus_key_list(&rp->k, dir, at);
		len = nexus_kv_get(rp->kv, rp->k.b, rp->k.len, rp->tmp, sizeof(*v));
		at++;
	} while (len >= 0);
	if (len != -ENOENT)
		return len;
	*pos = at - 1;
	len = nexus_rp_inode(rp, dir);
	if (len <= 0)
		return len;
	v->next_pos = cpu_to_le64(at);
	return nexus_rp_put(rp, &rp->k, v, (size_t)len);
}

int nexus_rp_enter(struct nexus_rp *rp, u64 dir, const void *name, size_t len, u64 ino,
		   u32 mode)
{
	u64 pos = 0;
	int ret = nexus_rp_new_pos(rp, dir, &pos);

	if (!ret)
		ret = put_list(rp, dir, name, len, ino, pos, nexus_mode_dtype(mode));
	return ret ? ret : put_dirent(rp, dir, name, len, ino, pos, nexus_mode_dtype(mode));
}

/* Mode of an inode, 0: there is none; -errno. */
static s64 mode_of(struct nexus_rp *rp, u64 ino)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	int len = nexus_rp_inode(rp, ino);

	return len <= 0 ? len : (s64)le32_to_cpu(v->mode);
}

/* Does the inode, or a record of its names, say that it is called so? */
static int inode_agrees(struct nexus_rp *rp, u64 ino, u64 dir, u64 pos, const void *name,
			size_t namelen)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	int len = nexus_rp_inode(rp, ino);

	if (len <= 0)
		return len;
	if (le64_to_cpu(v->parent) == dir && le64_to_cpu(v->pos) == pos)
		return 1;
	nexus_key_name(&rp->k, ino, dir, name, namelen);
	len = nexus_rp_get(rp, sizeof(struct nexus_name_val));
	return len < 0 ? len : len > 0;
}

static int drop_dirent(struct nexus_rp *rp, const char *what)
{
	const struct nexus_dirent_val *d = (const void *)rp->val;

	nexus_rp_note_name(rp, NEXUS_KEY_DIRENT, nexus_rp_id(rp), le64_to_cpu(d->ino), what,
			   rp->key.b + 9, rp->key.len - 9);
	return nexus_rp_del(rp, &rp->key);
}

static int note_dirent(struct nexus_rp *rp, u8 letter, u64 other, const char *what)
{
	nexus_rp_note_name(rp, letter, nexus_rp_id(rp), other, what, rp->key.b + 9,
			   rp->key.len - 9);
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

/* D and L of one name and pos say different things of the inode. */
static int choose(struct nexus_rp *rp, u64 listed)
{
	struct nexus_dirent_val *d = (void *)rp->val;
	u64 dir = nexus_rp_id(rp), pos = le64_to_cpu(d->pos);
	const u8 *name = rp->key.b + 9;
	size_t n = rp->key.len - 9;
	int ret = inode_agrees(rp, le64_to_cpu(d->ino), dir, pos, name, n);
	s64 mode;

	if (ret)
		return ret < 0 ? ret : 0;
	ret = inode_agrees(rp, listed, dir, pos, name, n);
	if (ret <= 0)
		return ret;
	mode = mode_of(rp, listed);
	if (mode <= 0)
		return (int)mode;
	d->ino = cpu_to_le64(listed);
	d->dtype = nexus_mode_dtype((u32)mode);
	return note_dirent(rp, NEXUS_KEY_DIRENT, listed,
			   "entry named another inode than its listing entry and the inode say");
}

/* Its L: there, wrong, missing, or another name's. */
static int list_of_dirent(struct nexus_rp *rp)
{
	struct nexus_dirent_val *d = (void *)rp->val;
	const struct nexus_list_val *l = (const void *)rp->tmp;
	u64 dir = nexus_rp_id(rp), pos = le64_to_cpu(d->pos);
	const u8 *name = rp->key.b + 9;
	size_t n = rp->key.len - 9;
	bool legal = pos >= NEXUS_FIRST_POS && pos < NEXUS_POS_MAX;
	int len = 0, ret;

	if (legal) {
		nexus_key_list(&rp->k, dir, pos);
		len = nexus_rp_get(rp, sizeof(*l));
		if (len < 0)
			return len;
	}
	if (len && (size_t)len >= sizeof(*l) + l->namelen &&
	    (l->namelen != n || memcmp(l->name, name, n)))
		legal = false;
	else if (len && l->ino == d->ino && l->dtype == d->dtype)
		return 0;
	if (!legal) {
		ret = nexus_rp_new_pos(rp, dir, &pos);
		if (ret)
			return ret;
		d->pos = cpu_to_le64(pos);
		ret = note_dirent(rp, NEXUS_KEY_DIRENT, pos,
				  "its pos was another entry's, or none: a new one");
		if (ret)
			return ret;
	} else if (len && l->ino != d->ino) {
		ret = choose(rp, le64_to_cpu(l->ino));
		if (ret)
			return ret;
	}
	nexus_rp_note_name(rp, NEXUS_KEY_LIST, dir, pos, "listing entry made from its entry",
			   name, n);
	return put_list(rp, dir, name, n, le64_to_cpu(d->ino), pos, d->dtype);
}

static int dirent(struct nexus_rp *rp)
{
	struct nexus_dirent_val *d = (void *)rp->val;
	s64 dir = mode_of(rp, nexus_rp_id(rp)), mode;
	int ret;

	if (dir < 0)
		return (int)dir;
	if (!S_ISDIR((u32)dir))
		return drop_dirent(rp, "dropped: entry in what is no directory");
	mode = mode_of(rp, le64_to_cpu(d->ino));
	if (mode < 0)
		return (int)mode;
	if (!mode)
		return drop_dirent(rp, "dropped: entry of an inode that is lost");
	if (d->dtype != nexus_mode_dtype((u32)mode)) {
		d->dtype = nexus_mode_dtype((u32)mode);
		ret = note_dirent(rp, NEXUS_KEY_DIRENT, le64_to_cpu(d->ino),
				  "type is that of the inode now");
		if (ret)
			return ret;
	}
	return list_of_dirent(rp);
}

static int drop_list(struct nexus_rp *rp, const char *what)
{
	const struct nexus_list_val *l = (const void *)rp->val;

	nexus_rp_note_name(rp, NEXUS_KEY_LIST, nexus_rp_id(rp), nexus_rp_id2(rp), what, l->name,
			   l->namelen);
	return nexus_rp_del(rp, &rp->key);
}

static int list(struct nexus_rp *rp)
{
	const struct nexus_list_val *l = (const void *)rp->val;
	const struct nexus_dirent_val *d = (const void *)rp->tmp;
	u64 parent = nexus_rp_id(rp), pos = nexus_rp_id2(rp);
	s64 dir = mode_of(rp, parent), mode;
	int len;

	if (dir < 0)
		return (int)dir;
	if (!S_ISDIR((u32)dir))
		return drop_list(rp, "dropped: entry in what is no directory");
	nexus_key_dirent(&rp->k, parent, l->name, l->namelen);
	len = nexus_rp_get(rp, sizeof(*d));
	if (len < 0)
		return len;
	if (len)
		return le64_to_cpu(d->pos) == pos ? 0 :
		       drop_list(rp, "dropped: the entry has another pos");
	mode = mode_of(rp, le64_to_cpu(l->ino));
	if (mode < 0)
		return (int)mode;
	if (!mode)
		return drop_list(rp, "dropped: listing entry of an inode that is lost");
	nexus_rp_note_name(rp, NEXUS_KEY_DIRENT, parent, pos, "entry made from its listing entry",
			   l->name, l->namelen);
	if (l->dtype != nexus_mode_dtype((u32)mode)) {
		struct nexus_list_val *fix = (void *)rp->val;
		int ret;

		fix->dtype = nexus_mode_dtype((u32)mode);
		ret = nexus_rp_put(rp, &rp->key, rp->val, rp->len);
		if (ret)
			return ret;
	}
	return put_dirent(rp, parent, l->name, l->namelen, le64_to_cpu(l->ino), pos,
			  nexus_mode_dtype((u32)mode));
}

int nexus_rp_entries(struct nexus_rp *rp)
{
	int ret = nexus_rp_walk(rp, NEXUS_KEY_DIRENT, dirent);

	return ret ? ret : nexus_rp_walk(rp, NEXUS_KEY_LIST, list);
}
