// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Mending a store: every directory has one name and leads up to the root, every
 * inode a name or an orphan record, and the inodes know their names.
 */
#include "repair_impl.h"

#define LOST_FOUND	"lost+found"
#define LOST_FOUNDS	10u	/* lost+found, lost+found-1, ... */

static size_t put_decimal(u8 *to, u64 v)
{
	u8 digits[20];
	size_t n = 0, i;

	do {
		digits[n++] = (u8)('0' + v % 10);
		v /= 10;
	} while (v);
	for (i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

/* The directory for what has no name, made when it is needed first. */
static int lost_found(struct nexus_rp *rp)
{
	const struct nexus_dirent_val *d = (const void *)rp->tmp;
	u8 name[sizeof(LOST_FOUND) + 24] = LOST_FOUND;
	size_t n = sizeof(LOST_FOUND) - 1;
	u32 i;
	int len, ret;

	for (i = 0; i < LOST_FOUNDS && !rp->lost_found; i++) {
		if (i) {
			name[sizeof(LOST_FOUND) - 1] = '-';
			n = sizeof(LOST_FOUND) + put_decimal(name + sizeof(LOST_FOUND), i);
		}
		nexus_key_dirent(&rp->k, NEXUS_ROOT_INO, name, n);
		len = nexus_rp_get(rp, sizeof(*d));
		if (len < 0)
			return len;
		if (len && d->dtype == nexus_mode_dtype(S_IFDIR)) {
			rp->lost_found = le64_to_cpu(d->ino);
		} else if (!len) {
			rp->lost_found = rp->next_ino++;
			nexus_rp_note(rp, NEXUS_KEY_INODE, rp->lost_found, 0,
				      "directory for lost inodes made");
			ret = nexus_rp_make(rp, rp->lost_found, S_IFDIR, rp->lost_found, 0, 0);
			if (!ret)
				ret = nexus_rp_enter(rp, NEXUS_ROOT_INO, name, n,
						     rp->lost_found, S_IFDIR);
			if (ret)
				return ret;
		}
	}
	return rp->lost_found ? 0 : -EEXIST;
}

/* "#NUMBER" in there; that name may be taken by what an earlier repair put there. */
static int adopt(struct nexus_rp *rp, u64 ino, u32 mode)
{
	u8 name[48] = "#";
	size_t n = 1 + put_decimal(name + 1, ino);
	u64 again;
	int ret = lost_found(rp);

	for (again = 1; !ret; again++) {
		nexus_key_dirent(&rp->k, rp->lost_found, name, n);
		ret = nexus_rp_get(rp, sizeof(struct nexus_dirent_val));
		if (ret <= 0)
			break;
		n = 1 + put_decimal(name + 1, ino);
		name[n++] = '.';
		n += put_decimal(name + n, again);
		ret = 0;
	}
	if (ret < 0)
		return ret;
	nexus_rp_note_name(rp, NEXUS_KEY_INODE, ino, rp->lost_found,
			   "had no name: is in lost+found", name, n);
	return nexus_rp_enter(rp, rp->lost_found, name, n, ino, mode);
}

/* ---- directories ------------------------------------------------------------- */

static int drop_name(struct nexus_rp *rp, u64 dir, const void *name, size_t n, u64 pos,
		     u64 ino, const char *what)
{
	int ret;

	nexus_rp_note_name(rp, NEXUS_KEY_DIRENT, dir, ino, what, name, n);
	nexus_key_dirent(&rp->k, dir, name, n);
	ret = nexus_rp_del(rp, &rp->k);
	if (ret)
		return ret;
	nexus_key_list(&rp->k, dir, pos);
	return nexus_rp_del(rp, &rp->k);
}

/*
 * A directory with several names keeps the one it knows of, or else the first; the
 * root has none.
 */
static int one_name(struct nexus_rp *rp)
{
	const struct nexus_dirent_val *d = (const void *)rp->val;
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	u64 dir = nexus_rp_id(rp), ino = le64_to_cpu(d->ino), pos = le64_to_cpu(d->pos);
	struct nexus_ck_inode *in;
	int len;

	if (d->dtype != nexus_mode_dtype(S_IFDIR))
		return 0;
	in = nexus_ck_inode(rp->ck, ino);
	if (!in)
		return -ENOMEM;
	if (ino != NEXUS_ROOT_INO && in->names <= 1)
		return 0;
	if (ino != NEXUS_ROOT_INO) {
		len = nexus_rp_inode(rp, ino);
		if (len < 0)
			return len;
		if (le64_to_cpu(v->parent) == dir && le64_to_cpu(v->pos) == pos)
			return 0;
	}
	in->names--;
	return drop_name(rp, dir, rp->key.b + 9, rp->key.len - 9, pos, ino,
			 "dropped: one more name of a directory");
}

static int put_own(struct nexus_rp *rp, u64 ino, u64 parent, u64 pos)
{
	struct nexus_inode_val *v = (void *)rp->tmp;
	int len = nexus_rp_inode(rp, ino);

	if (len <= 0)
		return len;
	if (le64_to_cpu(v->parent) == parent && le64_to_cpu(v->pos) == pos)
		return 0;
	v->parent = cpu_to_le64(parent);
	v->pos = cpu_to_le64(pos);
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, parent, "knows its name again");
	return nexus_rp_put(rp, &rp->k, v, (size_t)len);
}

static int own_name_of_dir(struct nexus_rp *rp)
{
	const struct nexus_dirent_val *d = (const void *)rp->val;

	if (d->dtype != nexus_mode_dtype(S_IFDIR))
		return 0;
	return put_own(rp, le64_to_cpu(d->ino), nexus_rp_id(rp), le64_to_cpu(d->pos));
}

/* Directories that a walk upwards from @ino meets; 1: it comes to the root. */
static int leads_up(struct nexus_rp *rp, u64 ino)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	struct nexus_ck_inode *in;
	u64 at = ino, steps = 0;
	int len;

	while (at != NEXUS_ROOT_INO) {
		in = nexus_ck_inode(rp->ck, at);
		if (!in)
			return -ENOMEM;
		if (in->reachable)
			break;
		len = nexus_rp_inode(rp, at);
		if (len < 0)
			return len;
		if (!len || !S_ISDIR(le32_to_cpu(v->mode)) || !in->names ||
		    steps++ > rp->ck->inodes)
			return 0;
		at = le64_to_cpu(v->parent);
	}
	for (at = ino; at != NEXUS_ROOT_INO;) {
		in = nexus_ck_inode(rp->ck, at);
		if (!in)
			return -ENOMEM;
		if (in->reachable)
			break;
		in->reachable = 1;
		len = nexus_rp_inode(rp, at);
		if (len <= 0)
			return len;
		at = le64_to_cpu(v->parent);
	}
	return 1;
}

/* Its one name goes: it is in a circle. */
static int leave_circle(struct nexus_rp *rp, u64 ino)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	const struct nexus_list_val *l = (const void *)rp->tmp;
	u8 name[NEXUS_NAME_MAX];
	u64 parent, pos;
	size_t n;
	int len = nexus_rp_inode(rp, ino);

	if (len <= 0)
		return len;
	parent = le64_to_cpu(v->parent);
	pos = le64_to_cpu(v->pos);
	nexus_key_list(&rp->k, parent, pos);
	len = nexus_rp_get(rp, sizeof(*l));
	if (len <= 0)
		return len;
	n = l->namelen;
	memcpy(name, l->name, n);
	return drop_name(rp, parent, name, n, pos, ino,
			 "dropped: name of a directory that is below itself");
}

/* Is it in a directory that is, by way of whatever, in it? */
static int in_circle(struct nexus_rp *rp, u64 ino)
{
	const struct nexus_inode_val *v = (const void *)rp->tmp;
	const struct nexus_ck_inode *in;
	u64 at = ino, steps;
	int len;

	for (steps = 0; steps <= rp->ck->inodes; steps++) {
		in = nexus_ck_inode(rp->ck, at);
		if (!in)
			return -ENOMEM;
		if (at == NEXUS_ROOT_INO || !in->names || in->reachable)
			return 0;
		len = nexus_rp_inode(rp, at);
		if (len <= 0)
			return len;
		at = le64_to_cpu(v->parent);
		if (at == ino)
			return 1;
	}
	return 0;
}

static int directory(struct nexus_rp *rp)
{
	const struct nexus_inode_val *v = (const void *)rp->val;
	u64 ino = nexus_rp_id(rp);
	struct nexus_ck_inode *in;
	int ret;

	if (!S_ISDIR(le32_to_cpu(v->mode)) || ino == NEXUS_ROOT_INO || ino == rp->lost_found)
		return 0;
	in = nexus_ck_inode(rp->ck, ino);
	if (!in)
		return -ENOMEM;
	if (in->names) {
		ret = leads_up(rp, ino);
		if (ret)
			return ret < 0 ? ret : 0;
		/* Whoever hangs below a circle or a lost one comes along with it. */
		ret = in_circle(rp, ino);
		if (ret <= 0)
			return ret;
		ret = leave_circle(rp, ino);
		if (ret)
			return ret;
	} else if (!in->nlink && !in->d_entries && !in->l_entries) {
		/* Removed, and perhaps still somebody's working directory. */
		return 0;
	}
	in->names = 1;
	ret = adopt(rp, ino, S_IFDIR);
	in = nexus_ck_inode(rp->ck, ino);
	if (ret || !in)
		return ret ? ret : -ENOMEM;
	in->reachable = 1;
	return 0;
}

/* ---- all inodes ---------------------------------------------------------------- */

static int names_and_orphans(struct nexus_rp *rp)
{
	struct nexus_inode_val *v = (void *)rp->val;
	u64 ino = nexus_rp_id(rp), data_id = le64_to_cpu(v->data_id);
	u32 mode = le32_to_cpu(v->mode), nlink = le32_to_cpu(v->nlink);
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	const struct nexus_ck_data *data;
	struct nexus_orphan_val o = {
		.ino = cpu_to_le64(ino), .kind = cpu_to_le32(NEXUS_ORPHAN_INODE),
	};
	bool gone, known, named;

	if (!in)
		return -ENOMEM;
	/* Made in this very walk. */
	if (ino == rp->lost_found)
		return 0;
	named = in->names || ino == NEXUS_ROOT_INO;
	gone = !named && !nlink;
	data = nexus_ck_data(rp->ck, data_id);
	if (!data)
		return -ENOMEM;
	known = data->orphan == NEXUS_ORPHAN_INODE && data->orphan_ino == ino;
	nexus_key_orphan(&rp->k, data_id);
	if (!gone) {
		int ret = 0;

		if (data->orphan) {
			nexus_rp_note(rp, NEXUS_KEY_ORPHAN, data_id, ino,
				      "dropped: orphan record of an inode in use");
			ret = nexus_rp_del(rp, &rp->k);
		}
		if (!ret && !named)
			ret = adopt(rp, ino, mode);
		return ret;
	}
	if (known)
		return 0;
	nexus_rp_note(rp, NEXUS_KEY_ORPHAN, data_id, ino,
		      "orphan record made: the inode has no link");
	return nexus_rp_put(rp, &rp->k, &o, sizeof(o));
}

/* ---- what inodes know of their names --------------------------------------------- */

static int name_of_dirent(struct nexus_rp *rp)
{
	const struct nexus_dirent_val *d = (const void *)rp->val;
	const struct nexus_name_val *u = (const void *)rp->tmp;
	u64 dir = nexus_rp_id(rp), ino = le64_to_cpu(d->ino);
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	struct nexus_name_val made = { .pos = d->pos, .dtype = d->dtype };
	int len;

	if (!in)
		return -ENOMEM;
	if (S_ISDIR(in->mode) || in->names == 1)
		return put_own(rp, ino, dir, le64_to_cpu(d->pos));
	nexus_key_name(&rp->k, ino, dir, rp->key.b + 9, rp->key.len - 9);
	len = nexus_rp_get(rp, sizeof(*u));
	if (len < 0)
		return len;
	if (len && u->pos == d->pos && u->dtype == d->dtype)
		return 0;
	nexus_rp_note_name(rp, NEXUS_KEY_NAME, ino, dir, "record of a name made from the entry",
			   rp->key.b + 9, rp->key.len - 9);
	return nexus_rp_put(rp, &rp->k, &made, sizeof(made));
}

static int name(struct nexus_rp *rp)
{
	const struct nexus_dirent_val *d = (const void *)rp->tmp;
	u64 ino = nexus_rp_id(rp), dir = nexus_rp_id2(rp);
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);
	int len;

	if (!in)
		return -ENOMEM;
	nexus_key_dirent(&rp->k, dir, rp->key.b + 17, rp->key.len - 17);
	len = nexus_rp_get(rp, sizeof(*d));
	if (len < 0)
		return len;
	if (len && le64_to_cpu(d->ino) == ino && !S_ISDIR(in->mode) && in->names >= 2)
		return 0;
	nexus_rp_note_name(rp, NEXUS_KEY_NAME, ino, dir, "dropped: record of a name that is none",
			   rp->key.b + 17, rp->key.len - 17);
	return nexus_rp_del(rp, &rp->key);
}

static int no_single_name(struct nexus_rp *rp)
{
	struct nexus_inode_val *v = (void *)rp->val;
	u64 ino = nexus_rp_id(rp), parent = ino == NEXUS_ROOT_INO ? ino : 0;
	const struct nexus_ck_inode *in = nexus_ck_inode(rp->ck, ino);

	if (!in)
		return -ENOMEM;
	if (ino != NEXUS_ROOT_INO && in->names == 1)
		return 0;
	if (le64_to_cpu(v->parent) == parent && !v->pos)
		return 0;
	v->parent = cpu_to_le64(parent);
	v->pos = cpu_to_le64(0);
	nexus_rp_note(rp, NEXUS_KEY_INODE, ino, parent,
		      "had a parent recorded without having one name");
	return nexus_rp_put(rp, &rp->key, rp->val, rp->len);
}

int nexus_rp_tree(struct nexus_rp *rp)
{
	int ret = nexus_rp_gather(rp);

	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_DIRENT, one_name);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_DIRENT, own_name_of_dir);
	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_INODE, directory);
	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_INODE, names_and_orphans);
	if (!ret)
		ret = nexus_rp_gather(rp);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_DIRENT, name_of_dirent);
	if (!ret)
		ret = nexus_rp_walk(rp, NEXUS_KEY_NAME, name);
	return ret ? ret : nexus_rp_walk(rp, NEXUS_KEY_INODE, no_single_name);
}
