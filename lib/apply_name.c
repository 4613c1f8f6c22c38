// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Apply: names.  CREATE, LINK, UNLINK, and what RENAME needs of them. */
#include "apply_impl.h"

int nexus_ap_dir(struct nexus_ap *ap, u64 ino, struct nexus_ap_inode **dir)
{
	int ret = nexus_ap_inode(ap, ino, dir);

	if (ret)
		return ret;
	if (!nexus_ap_isdir(*dir))
		return nexus_ap_fail(ap, ino, "parent is no directory");
	if (!nexus_ap_nlink(*dir))
		return nexus_ap_fail(ap, ino, "parent is a removed directory");
	return 0;
}

int nexus_ap_entry_absent(struct nexus_ap *ap, u64 dir, const void *name,
			  size_t len, u64 pos)
{
	int ret;

	nexus_key_dirent(&ap->key, dir, name, len);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret)
		return ret < 0 ? ret : nexus_ap_fail(ap, dir, "entry exists");
	nexus_key_list(&ap->key, dir, pos);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret)
		return ret < 0 ? ret : nexus_ap_fail(ap, dir, "pos is taken");
	return 0;
}

/* The value of D (letter 'D') or L of an entry into ap->val; its length. */
static int get_dirent(struct nexus_ap *ap, u64 dir, const void *name, size_t len)
{
	int ret;

	nexus_key_dirent(&ap->key, dir, name, len);
	ret = nexus_ap_get(ap, &ap->key, dir, sizeof(struct nexus_dirent_val),
			   ap->val, sizeof(ap->val));
	return ret == -ENOENT ? nexus_ap_fail(ap, dir, "entry is missing") : ret;
}

static int get_list(struct nexus_ap *ap, u64 dir, u64 pos)
{
	const struct nexus_list_val *v = (const void *)ap->val;
	int ret;

	nexus_key_list(&ap->key, dir, pos);
	ret = nexus_ap_get(ap, &ap->key, dir, sizeof(*v), ap->val,
			   sizeof(ap->val));
	if (ret == -ENOENT)
		return nexus_ap_fail(ap, dir, "listing entry is missing");
	if (ret >= 0 && ((size_t)ret < sizeof(*v) + v->namelen ||
			 !nexus_name_ok(v->name, v->namelen)))
		return nexus_ap_fail(ap, dir, "damaged listing entry");
	return ret;
}

int nexus_ap_entry_is(struct nexus_ap *ap, u64 dir, const void *name,
		      size_t len, u64 pos, u64 ino)
{
	const struct nexus_dirent_val *d = (const void *)ap->val;
	const struct nexus_list_val *l = (const void *)ap->val;
	int ret;

	ret = get_dirent(ap, dir, name, len);
	if (ret < 0)
		return ret;
	if (le64_to_cpu(d->ino) != ino)
		return nexus_ap_fail(ap, dir, "entry names another inode");
	if (le64_to_cpu(d->pos) != pos)
		return nexus_ap_fail(ap, dir, "entry has another pos");
	ret = get_list(ap, dir, pos);
	if (ret < 0)
		return ret;
	if (le64_to_cpu(l->ino) != ino || l->namelen != len ||
	    memcmp(l->name, name, len))
		return nexus_ap_fail(ap, dir, "listing and entry differ");
	return 0;
}

int nexus_ap_entry_put(struct nexus_ap *ap, u64 dir, const void *name,
		       size_t len, u64 pos, u64 ino, u32 mode)
{
	struct nexus_dirent_val *d;
	struct nexus_list_val *l;

	nexus_key_dirent(&ap->key, dir, name, len);
	d = nexus_ap_put(ap, &ap->key, sizeof(*d));
	nexus_key_list(&ap->key, dir, pos);
	l = nexus_ap_put(ap, &ap->key, sizeof(*l) + len);
	if (!d || !l)
		return -ENOMEM;
	d->ino = cpu_to_le64(ino);
	d->pos = cpu_to_le64(pos);
	d->dtype = nexus_mode_dtype(mode);
	l->ino = cpu_to_le64(ino);
	l->dtype = d->dtype;
	l->namelen = (u8)len;
	memcpy(l->name, name, len);
	return 0;
}

int nexus_ap_entry_set(struct nexus_ap *ap, u64 dir, const void *name,
		       size_t len, u64 pos, u64 ino, u32 mode)
{
	struct nexus_dirent_val *d;
	struct nexus_list_val *l;
	int n;

	n = get_dirent(ap, dir, name, len);
	if (n < 0)
		return n;
	d = nexus_ap_put(ap, &ap->key, (size_t)n);
	if (!d)
		return -ENOMEM;
	memcpy(d, ap->val, (size_t)n);
	d->ino = cpu_to_le64(ino);
	d->dtype = nexus_mode_dtype(mode);

	n = get_list(ap, dir, pos);
	if (n < 0)
		return n;
	l = nexus_ap_put(ap, &ap->key, (size_t)n);
	if (!l)
		return -ENOMEM;
	memcpy(l, ap->val, (size_t)n);
	l->ino = cpu_to_le64(ino);
	l->dtype = nexus_mode_dtype(mode);
	return 0;
}

int nexus_ap_entry_del(struct nexus_ap *ap, u64 dir, const void *name,
		       size_t len, u64 pos)
{
	int ret;

	nexus_key_dirent(&ap->key, dir, name, len);
	ret = nexus_ap_del(ap, &ap->key);
	if (ret)
		return ret;
	nexus_key_list(&ap->key, dir, pos);
	return nexus_ap_del(ap, &ap->key);
}

int nexus_ap_name_put(struct nexus_ap *ap, u64 ino, u64 parent,
		      const void *name, size_t len, u64 pos, u32 mode)
{
	struct nexus_name_val *u;

	nexus_key_name(&ap->key, ino, parent, name, len);
	u = nexus_ap_put(ap, &ap->key, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->pos = cpu_to_le64(pos);
	u->dtype = nexus_mode_dtype(mode);
	return 0;
}

int nexus_ap_dir_changed(struct nexus_ap *ap, struct nexus_ap_inode *dir,
			 int add, int subdirs, u64 pos)
{
	u64 children = le64_to_cpu(dir->v.children);
	s64 nlink = (s64)nexus_ap_nlink(dir) + subdirs;

	if (add < 0 && !children)
		return nexus_ap_fail(ap, dir->ino, "directory counts no entries");
	if (nlink < 2 || nlink > NEXUS_AP_LINK_MAX)
		return nexus_ap_fail(ap, dir->ino, "directory's link count");
	dir->v.children = cpu_to_le64(children + (u64)(s64)add);
	dir->v.nlink = cpu_to_le32((u32)nlink);
	if (pos >= le64_to_cpu(dir->v.next_pos))
		dir->v.next_pos = cpu_to_le64(pos + 1);
	nexus_ap_mtime(ap, dir);
	return 0;
}

int nexus_ap_orphan_put(struct nexus_ap *ap, u64 data_id, u32 kind, u64 ino,
			const struct nexus_ap_inode *owner)
{
	struct nexus_orphan_val *o;

	nexus_key_orphan(&ap->key, data_id);
	o = nexus_ap_put(ap, &ap->key, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->ino = cpu_to_le64(ino);
	o->kind = cpu_to_le32(kind);
	if (owner) {
		o->uid = owner->v.uid;
		o->gid = owner->v.gid;
		o->projid = owner->v.projid;
	}
	return 0;
}

static int become_orphan(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	u64 data_id = le64_to_cpu(in->v.data_id);
	int ret;

	nexus_key_orphan(&ap->key, data_id);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret)
		return ret < 0 ? ret :
		       nexus_ap_fail(ap, in->ino, "orphan record exists");
	in->v.nlink = cpu_to_le32(0);
	in->v.parent = cpu_to_le64(0);
	in->v.pos = cpu_to_le64(0);
	return nexus_ap_orphan_put(ap, data_id, NEXUS_ORPHAN_INODE, in->ino, NULL);
}

/*
 * Of two names one goes: the other one moves from U into the inode.  ap->key is
 * the U key of the one that goes.
 */
static int last_name(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	const struct nexus_name_val *u = (const void *)ap->val;
	struct nexus_key *gone = &ap->key, *k = &ap->key2;
	u32 others = 0;
	int len, ret;

	nexus_key_name(k, in->ino, 0, NULL, 0);
	for (;;) {
		len = nexus_ap_seek(ap, k, 9, in->ino, sizeof(*u), ap->val,
				    sizeof(ap->val));
		if (len == -ENOENT)
			break;
		if (len < 0)
			return len;
		if (k->len != gone->len || memcmp(k->b, gone->b, k->len)) {
			if (k->len < 18 || others++)
				return nexus_ap_fail(ap, in->ino,
						     "wrong number of names");
			in->v.parent = cpu_to_le64(nexus_get_be64(k->b + 9));
			in->v.pos = u->pos;
			ret = nexus_ap_del(ap, k);
			if (ret)
				return ret;
		}
		k->b[k->len++] = 0;	/* the next key there can be */
	}
	if (!others)
		return nexus_ap_fail(ap, in->ino, "wrong number of names");
	return 0;
}

int nexus_ap_drop_link(struct nexus_ap *ap, struct nexus_ap_inode *in,
		       u64 parent, const void *name, size_t len)
{
	u32 nlink = nexus_ap_nlink(in);
	int ret;

	nexus_ap_ctime(ap, in);
	if (nexus_ap_isdir(in)) {
		if (le64_to_cpu(in->v.children))
			return nexus_ap_fail(ap, in->ino, "directory not empty");
		if (nlink != 2)
			return nexus_ap_fail(ap, in->ino,
					     "directory's link count");
		return become_orphan(ap, in);
	}
	if (!nlink)
		return nexus_ap_fail(ap, in->ino, "inode counts no links");
	if (nlink == 1)
		return become_orphan(ap, in);

	nexus_key_name(&ap->key, in->ino, parent, name, len);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret <= 0)
		return ret ? ret : nexus_ap_fail(ap, in->ino, "name is missing");
	ret = nexus_ap_del(ap, &ap->key);
	if (ret)
		return ret;
	in->v.nlink = cpu_to_le32(nlink - 1);
	return nlink == 2 ? last_name(ap, in) : 0;
}

/* ---- CREATE -------------------------------------------------------- */

static int create_content(struct nexus_ap *ap, struct nexus_ap_inode *in,
			  const void *content, size_t len)
{
	struct nexus_blob_val *c;

	if (!len)
		return 0;
	if (nexus_ap_fmt(in) == S_IFREG)
		in->v.flags |= cpu_to_le32(NEXUS_IF_INLINE);
	in->v.size = cpu_to_le64(len);
	in->v.disk_size = cpu_to_le64(len);
	in->v.gen = cpu_to_le64(1);
	nexus_key_content(&ap->key, in->ino);
	c = nexus_ap_put(ap, &ap->key, sizeof(*c) + len);
	if (!c)
		return -ENOMEM;
	memcpy(c->data, content, len);
	return 0;
}

int nexus_ap_xattrs(struct nexus_ap *ap, u64 ino, const u8 *p, size_t len)
{
	while (len) {
		const struct nexus_rec_xattr *x = (const void *)p;
		size_t namelen = le16_to_cpu(x->namelen);
		size_t vallen = le32_to_cpu(x->vallen);
		size_t size = nexus_rec_xattr_len(namelen, vallen);
		struct nexus_blob_val *val;

		nexus_key_xattr(&ap->key, ino, x->data, namelen);
		val = nexus_ap_put(ap, &ap->key, sizeof(*val) + vallen);
		if (!val)
			return -ENOMEM;
		memcpy(val->data, x->data + namelen, vallen);
		p += size;
		len -= size;
	}
	return 0;
}

static int create_name(struct nexus_ap *ap, const struct nexus_rec_create *r,
		       struct nexus_ap_inode *dir, struct nexus_ap_inode *in)
{
	u64 pos = le64_to_cpu(r->pos);
	size_t len = le16_to_cpu(r->namelen);
	bool isdir = nexus_ap_isdir(in);
	int ret;

	if (!dir)
		return become_orphan(ap, in);
	in->v.nlink = cpu_to_le32(isdir ? 2 : 1);
	in->v.parent = r->parent;
	in->v.pos = r->pos;
	ret = nexus_ap_entry_put(ap, dir->ino, r->data, len, pos, in->ino,
				 le32_to_cpu(in->v.mode));
	return ret ? ret : nexus_ap_dir_changed(ap, dir, 1, isdir, pos);
}

void nexus_ap_born(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	in->v.atime_s = ap->time_s;
	in->v.atime_ns = ap->time_ns;
	in->v.btime_s = ap->time_s;
	in->v.btime_ns = ap->time_ns;
	nexus_ap_mtime(ap, in);
	nexus_ap_charge(ap, in, 1, 0);
}

int nexus_ap_create(struct nexus_ap *ap)
{
	const struct nexus_rec_create *r = (const void *)ap->rec;
	size_t namelen = le16_to_cpu(r->namelen);
	size_t contentlen = le16_to_cpu(r->contentlen);
	const u8 *content = r->data + NEXUS_ALIGN(namelen, (size_t)8);
	u64 ino = le64_to_cpu(r->ino);
	struct nexus_ap_inode *dir = NULL, *in;
	int ret;

	nexus_key_inode(&ap->key, ino);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret)
		return ret < 0 ? ret : nexus_ap_fail(ap, ino, "inode exists");
	if (le64_to_cpu(r->parent)) {
		ret = nexus_ap_dir(ap, le64_to_cpu(r->parent), &dir);
		if (ret)
			return ret;
		ret = nexus_ap_entry_absent(ap, dir->ino, r->data, namelen,
					    le64_to_cpu(r->pos));
		if (ret)
			return ret;
	}

	in = nexus_ap_new_inode(ap, ino);
	in->v.mode = r->mode;
	in->v.flags = r->iflags;
	in->v.uid = r->uid;
	in->v.gid = r->gid;
	in->v.generation = r->generation;
	in->v.projid = r->projid;
	in->v.rdev = r->rdev;
	in->v.data_id = r->data_id;
	memcpy(in->v.target, r->target, sizeof(in->v.target));
	if (nexus_ap_isdir(in))
		in->v.next_pos = cpu_to_le64(NEXUS_FIRST_POS);
	nexus_ap_born(ap, in);

	ret = create_content(ap, in, content, contentlen);
	if (!ret)
		ret = nexus_ap_xattrs(ap, ino,
				      content + NEXUS_ALIGN(contentlen, (size_t)8),
				      le32_to_cpu(r->xattrlen));
	return ret ? ret : create_name(ap, r, dir, in);
}

/* ---- LINK and UNLINK ----------------------------------------------- */

/* The orphan that gets a name is one no more. */
static int revive(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	const struct nexus_orphan_val *o = (const void *)ap->val;
	int ret;

	nexus_key_orphan(&ap->key, le64_to_cpu(in->v.data_id));
	ret = nexus_ap_get(ap, &ap->key, in->ino, sizeof(*o), ap->val,
			   sizeof(ap->val));
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret < 0 || le32_to_cpu(o->kind) != NEXUS_ORPHAN_INODE ||
	    le64_to_cpu(o->ino) != in->ino)
		return nexus_ap_fail(ap, in->ino, "orphan record is missing");
	return nexus_ap_del(ap, &ap->key);
}

/* The one name the inode had goes from the inode to U. */
static int first_name(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	const struct nexus_list_val *l = (const void *)ap->val;
	u64 parent = le64_to_cpu(in->v.parent);
	u64 pos = le64_to_cpu(in->v.pos);
	int ret;

	ret = get_list(ap, parent, pos);
	if (ret < 0)
		return ret;
	if (le64_to_cpu(l->ino) != in->ino)
		return nexus_ap_fail(ap, in->ino, "name is another inode's");
	in->v.parent = cpu_to_le64(0);
	in->v.pos = cpu_to_le64(0);
	return nexus_ap_name_put(ap, in->ino, parent, l->name, l->namelen, pos,
				 le32_to_cpu(in->v.mode));
}

int nexus_ap_link(struct nexus_ap *ap)
{
	const struct nexus_rec_link *r = (const void *)ap->rec;
	size_t len = le16_to_cpu(r->namelen);
	u64 pos = le64_to_cpu(r->pos);
	struct nexus_ap_inode *dir, *in;
	u32 nlink;
	int ret;

	ret = nexus_ap_dir(ap, le64_to_cpu(r->parent), &dir);
	if (!ret)
		ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &in);
	if (ret)
		return ret;
	if (nexus_ap_isdir(in))
		return nexus_ap_fail(ap, in->ino, "link to a directory");
	nlink = nexus_ap_nlink(in);
	if (nlink >= NEXUS_AP_LINK_MAX)
		return nexus_ap_fail(ap, in->ino, "too many links");
	ret = nexus_ap_entry_absent(ap, dir->ino, r->name, len, pos);
	if (ret)
		return ret;

	if (!nlink) {
		in->v.parent = r->parent;
		in->v.pos = r->pos;
		ret = revive(ap, in);
	} else if (nlink == 1) {
		ret = first_name(ap, in);
	}
	if (!ret && nlink)
		ret = nexus_ap_name_put(ap, in->ino, dir->ino, r->name, len,
					pos, le32_to_cpu(in->v.mode));
	if (ret)
		return ret;
	in->v.nlink = cpu_to_le32(nlink + 1);
	nexus_ap_ctime(ap, in);
	ret = nexus_ap_entry_put(ap, dir->ino, r->name, len, pos, in->ino,
				 le32_to_cpu(in->v.mode));
	return ret ? ret : nexus_ap_dir_changed(ap, dir, 1, 0, pos);
}

int nexus_ap_unlink(struct nexus_ap *ap)
{
	const struct nexus_rec_unlink *r = (const void *)ap->rec;
	bool rmdir = le16_to_cpu(r->head.flags) & NEXUS_RF_RMDIR;
	size_t len = le16_to_cpu(r->namelen);
	u64 pos = le64_to_cpu(r->pos);
	struct nexus_ap_inode *dir, *in;
	int ret;

	ret = nexus_ap_dir(ap, le64_to_cpu(r->parent), &dir);
	if (!ret)
		ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &in);
	if (ret)
		return ret;
	if (nexus_ap_isdir(in) != rmdir || in == dir)
		return nexus_ap_fail(ap, in->ino, "rmdir and type differ");
	ret = nexus_ap_entry_is(ap, dir->ino, r->name, len, pos, in->ino);
	if (!ret)
		ret = nexus_ap_drop_link(ap, in, dir->ino, r->name, len);
	if (!ret)
		ret = nexus_ap_entry_del(ap, dir->ino, r->name, len, pos);
	return ret ? ret : nexus_ap_dir_changed(ap, dir, -1, rmdir ? -1 : 0, 0);
}
