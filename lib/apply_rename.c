// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Apply: RENAME to a new name, over another, EXCHANGE, and with a WHITEOUT. */
#include "apply_impl.h"

struct rename {
	const struct nexus_rec_rename *r;
	const u8 *sname, *dname;
	size_t slen, dlen;
	u64 spos, dpos;
	struct nexus_ap_inode *sdir, *ddir;
	struct nexus_ap_inode *in;
	struct nexus_ap_inode *other;	/* replaced or exchanged, or NULL */
};

/*
 * Fails when @dir is @in or lies below it.  Walks up the parent fields as they
 * were before this record, for so many directories: who wrote the record has
 * looked at all of them, and no path may hold up everybody's changes.
 */
static int check_ancestor(struct nexus_ap *ap, const struct nexus_ap_inode *in,
			  u64 dir)
{
	const struct nexus_inode_val *v = (const void *)ap->val;
	u64 seen = 0;
	u32 depth, look = 1;
	int len;

	for (depth = 0; depth < NEXUS_AP_DEPTH_MAX; depth++) {
		if (dir == in->ino)
			return nexus_ap_fail(ap, in->ino,
					     "directory moved below itself");
		if (dir == NEXUS_ROOT_INO)
			return 0;
		nexus_key_inode(&ap->key, dir);
		len = nexus_ap_get(ap, &ap->key, dir, sizeof(*v), ap->val,
				   sizeof(ap->val));
		if (len < 0 && len != -ENOENT)
			return len;
		if (len < 0 || !S_ISDIR(le32_to_cpu(v->mode)))
			return nexus_ap_fail(ap, dir, "ancestor is no directory");
		dir = le64_to_cpu(v->parent);
		/* Round a cycle one comes by where one was at twice the steps (Brent). */
		if (dir == seen)
			return nexus_ap_fail(ap, dir, "directories form a cycle");
		if (depth == look) {
			seen = dir;
			look *= 2;
		}
	}
	return 0;
}

/* A name of @in moves from (sdir, sname) to (ddir, dname, dpos). */
static int move_name(struct nexus_ap *ap, struct nexus_ap_inode *in,
		     u64 sdir, const u8 *sname, size_t slen, u64 spos,
		     u64 ddir, const u8 *dname, size_t dlen, u64 dpos)
{
	u32 nlink = nexus_ap_nlink(in);
	int ret;

	nexus_ap_ctime(ap, in);
	if (nexus_ap_isdir(in) || nlink == 1) {
		if (le64_to_cpu(in->v.parent) != sdir ||
		    le64_to_cpu(in->v.pos) != spos)
			return nexus_ap_fail(ap, in->ino, "inode has another name");
		in->v.parent = cpu_to_le64(ddir);
		in->v.pos = cpu_to_le64(dpos);
		return 0;
	}
	if (!nlink)
		return nexus_ap_fail(ap, in->ino, "inode counts no links");
	nexus_key_name(&ap->key, in->ino, sdir, sname, slen);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret <= 0)
		return ret ? ret : nexus_ap_fail(ap, in->ino, "name is missing");
	ret = nexus_ap_del(ap, &ap->key);
	if (ret)
		return ret;
	return nexus_ap_name_put(ap, in->ino, ddir, dname, dlen, dpos,
				 le32_to_cpu(in->v.mode));
}

static int rename_load(struct nexus_ap *ap, struct rename *n)
{
	const struct nexus_rec_rename *r = (const void *)ap->rec;
	u64 other = le64_to_cpu(r->replaced);
	int ret;

	n->r = r;
	n->slen = le16_to_cpu(r->snamelen);
	n->dlen = le16_to_cpu(r->dnamelen);
	n->sname = r->names;
	n->dname = r->names + n->slen;
	n->spos = le64_to_cpu(r->spos);
	n->dpos = le64_to_cpu(r->dpos);
	n->other = NULL;

	ret = nexus_ap_dir(ap, le64_to_cpu(r->sparent), &n->sdir);
	if (!ret)
		ret = nexus_ap_dir(ap, le64_to_cpu(r->dparent), &n->ddir);
	if (!ret)
		ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &n->in);
	if (!ret && other)
		ret = nexus_ap_inode(ap, other, &n->other);
	if (ret)
		return ret;
	/* Parents cannot be what moves: their link counts change differently. */
	if (n->in == n->sdir || n->in == n->ddir ||
	    n->other == n->sdir || n->other == n->ddir)
		return nexus_ap_fail(ap, n->in->ino, "directory moved below itself");

	ret = nexus_ap_entry_is(ap, n->sdir->ino, n->sname, n->slen, n->spos,
				n->in->ino);
	if (ret)
		return ret;
	if (!n->other)
		return nexus_ap_entry_absent(ap, n->ddir->ino, n->dname,
					     n->dlen, n->dpos);
	return nexus_ap_entry_is(ap, n->ddir->ino, n->dname, n->dlen, n->dpos,
				 n->other->ino);
}

static int rename_exchange(struct nexus_ap *ap, struct rename *n)
{
	int in_dir = nexus_ap_isdir(n->in), other_dir = nexus_ap_isdir(n->other);
	u64 sdir = n->sdir->ino, ddir = n->ddir->ino;
	int ret = 0;

	if (other_dir && n->sdir != n->ddir)
		ret = check_ancestor(ap, n->other, sdir);
	if (!ret)
		ret = move_name(ap, n->in, sdir, n->sname, n->slen, n->spos,
				ddir, n->dname, n->dlen, n->dpos);
	if (!ret)
		ret = move_name(ap, n->other, ddir, n->dname, n->dlen, n->dpos,
				sdir, n->sname, n->slen, n->spos);
	if (!ret)
		ret = nexus_ap_entry_set(ap, sdir, n->sname, n->slen, n->spos,
					 n->other->ino,
					 le32_to_cpu(n->other->v.mode));
	if (!ret)
		ret = nexus_ap_entry_set(ap, ddir, n->dname, n->dlen, n->dpos,
					 n->in->ino, le32_to_cpu(n->in->v.mode));
	if (!ret && n->sdir == n->ddir)
		return nexus_ap_dir_changed(ap, n->sdir, 0, 0, 0);
	if (!ret)
		ret = nexus_ap_dir_changed(ap, n->sdir, 0, other_dir - in_dir, 0);
	return ret ? ret :
	       nexus_ap_dir_changed(ap, n->ddir, 0, in_dir - other_dir, 0);
}

static const struct nexus_rec_whiteout *whiteout(const struct rename *n)
{
	if (!(le16_to_cpu(n->r->head.flags) & NEXUS_RF_WHITEOUT))
		return NULL;
	return (const void *)(n->r->names + NEXUS_ALIGN(n->slen + n->dlen, (size_t)8));
}

/* The old name becomes that of a new inode. */
static int put_whiteout(struct nexus_ap *ap, struct rename *n,
			const struct nexus_rec_whiteout *w)
{
	u64 ino = le64_to_cpu(w->ino);
	struct nexus_ap_inode *in;
	int ret;

	nexus_key_inode(&ap->key, ino);
	ret = nexus_ap_exists(ap, &ap->key);
	if (ret)
		return ret < 0 ? ret : nexus_ap_fail(ap, ino, "inode exists");
	in = nexus_ap_new_inode(ap, ino);
	in->v.mode = cpu_to_le32(S_IFCHR);
	in->v.uid = w->uid;
	in->v.gid = w->gid;
	in->v.projid = w->projid;
	in->v.generation = w->generation;
	in->v.data_id = w->ino;
	in->v.nlink = cpu_to_le32(1);
	in->v.parent = n->r->sparent;
	in->v.pos = n->r->spos;
	nexus_ap_born(ap, in);
	ret = nexus_ap_xattrs(ap, ino, w->xattrs, le32_to_cpu(w->xattrlen));
	return ret ? ret : nexus_ap_entry_set(ap, n->sdir->ino, n->sname, n->slen,
					      n->spos, ino, S_IFCHR);
}

static int rename_plain(struct nexus_ap *ap, struct rename *n)
{
	const struct nexus_rec_whiteout *w = whiteout(n);
	int in_dir = nexus_ap_isdir(n->in);
	u64 sdir = n->sdir->ino, ddir = n->ddir->ino;
	int ret = 0;

	if (n->other) {
		if (nexus_ap_isdir(n->other) != in_dir)
			return nexus_ap_fail(ap, n->other->ino,
					     "replaced inode of another type");
		ret = nexus_ap_drop_link(ap, n->other, ddir, n->dname, n->dlen);
	}
	if (!ret)
		ret = move_name(ap, n->in, sdir, n->sname, n->slen, n->spos,
				ddir, n->dname, n->dlen, n->dpos);
	if (!ret)
		ret = w ? put_whiteout(ap, n, w) :
		      nexus_ap_entry_del(ap, sdir, n->sname, n->slen, n->spos);
	if (ret)
		return ret;
	if (n->other)
		ret = nexus_ap_entry_set(ap, ddir, n->dname, n->dlen, n->dpos,
					 n->in->ino, le32_to_cpu(n->in->v.mode));
	else
		ret = nexus_ap_entry_put(ap, ddir, n->dname, n->dlen, n->dpos,
					 n->in->ino, le32_to_cpu(n->in->v.mode));
	if (!ret)
		ret = nexus_ap_dir_changed(ap, n->sdir, w ? 0 : -1, -in_dir, 0);
	return ret ? ret :
	       nexus_ap_dir_changed(ap, n->ddir, n->other ? 0 : 1,
				    n->other ? 0 : in_dir, n->dpos);
}

int nexus_ap_rename(struct nexus_ap *ap)
{
	struct rename n;
	int ret;

	ret = rename_load(ap, &n);
	if (!ret && nexus_ap_isdir(n.in) && n.sdir != n.ddir)
		ret = check_ancestor(ap, n.in, n.ddir->ino);
	if (ret)
		return ret;
	if (le16_to_cpu(ap->rec->flags) & NEXUS_RF_EXCHANGE)
		return rename_exchange(ap, &n);
	return rename_plain(ap, &n);
}
