// SPDX-License-Identifier: GPL-2.0-only
/*
 * Putting names into the dcache that were not asked for one by one: those of a
 * listing, and those that a program is about to look up.
 */
#include <linux/slab.h>

#include "listing.h"

/* True when the dcache has the entry as it was listed. */
static bool nexus_dentry_is(const struct dentry *dentry, u64 ino)
{
	return d_really_is_positive(dentry) && d_inode(dentry)->i_ino == ino;
}

static const struct nexus_attr *nexus_list_attr(const struct nexus_list_ent *ent)
{
	if (!(ent->flags & NEXUS_DE_ATTR))
		return NULL;
	return (const void *)ent->name + NEXUS_ALIGN((size_t)ent->namelen, 8);
}

/* Puts a listed and checked entry into the dcache.  True if it is there afterwards. */
static bool nexus_prime(struct dentry *parent, const struct nexus_list_ent *ent,
			u64 applied)
{
	const struct nexus_attr *attr = nexus_list_attr(ent);
	struct inode *dir = d_inode(parent), *inode;
	struct nexus_entry_reply er = {};
	struct qstr name = QSTR_INIT(ent->name, ent->namelen);
	struct dentry *dentry, *alias;
	bool there = false;
	NEXUS_DECLARE_DENTRY_WAIT(wq);

	name.hash = full_name_hash(parent, name.name, name.len);
	dentry = d_lookup(parent, &name);
	if (dentry) {
		there = nexus_dentry_is(dentry, ent->ino);
		dput(dentry);
		return there;
	}
	/* Somebody's lookup would have to be waited for, and unkillably. */
	if (!attr || atomic_read(&NEXUS_I(dir)->lookups))
		return false;

	dentry = nexus_d_alloc_parallel(parent, &name, wq);
	if (IS_ERR(dentry))
		return false;
	if (!d_in_lookup(dentry)) {
		there = nexus_dentry_is(dentry, ent->ino);
		dput(dentry);
		return there;
	}
	er.attr = *attr;
	/* Without blocks the (empty) map is known. */
	if (!attr->blocks)
		er.flags = NEXUS_ER_EXTENTS_ALL;
	if (ent->flags & NEXUS_DE_NO_XATTRS)
		er.flags |= NEXUS_ER_NO_XATTRS;
	inode = nexus_iget_attr(dir->i_sb, &er, sizeof(er), applied);
	alias = nexus_add(dir, dentry, inode, ent->pos);
	if (!IS_ERR(inode) && !IS_ERR(alias))
		there = true;
	d_lookup_done(dentry);
	dput(dentry);
	if (!IS_ERR_OR_NULL(alias))
		dput(alias);
	return there;
}

/* All of a reply from @from on into the dcache. */
static void nexus_prime_all(struct dentry *parent, const struct nexus_list_reply *lr,
			    u64 from, u64 applied, u64 prunes)
{
	const struct nexus_list_ent *ent = (const void *)(lr + 1);
	u64 to = 0;
	u32 i;

	/* nexus_reply_check() has seen to lengths and order. */
	for (i = 0; i < lr->count; i++) {
		/* What comes after a name that is missing is of use all the same. */
		if (!nexus_prime(parent, ent, applied) && !to)
			to = ent->pos;
		ent = (const void *)ent + ent->reclen;
	}
	nexus_dir_known(NEXUS_I(d_inode(parent)), from, to ?: lr->next_pos, prunes);
}

int nexus_list_ask(struct dentry *parent, u64 from, u64 end, bool names,
		   struct nexus_list_reply *lr)
{
	struct inode *dir = d_inode(parent);
	struct nexus_inode *di = NEXUS_I(dir);
	u64 prunes = nexus_dir_prunes(di);
	u64 applied;
	int n;

	n = nexus_ms_read(di->zone, NEXUS_OP_LIST, dir->i_ino, from,
			  end | (names ? NEXUS_LIST_NAMES : 0), NULL, 0,
			  READ_ONCE(di->last_lsn), lr, NEXUS_REPLY_DATA_MAX,
			  &applied);
	if (n < 0)
		return n;
	if (lr->flags & NEXUS_LR_END)
		lr->next_pos = end;
	/* It must get on, and not too far. */
	if (lr->next_pos <= from || lr->next_pos > end)
		return -EIO;
	if (!names)
		nexus_prime_all(parent, lr, from, applied, prunes);
	return 0;
}

/* ---- ahead of lookups ---------------------------------------------------------- */

/*
 * A program that looks one name of a directory up mostly goes on to the others: stat
 * of what a listing or an index of its own named, in that order or sorted; or it looks
 * for names that are not there.  One LIST has some 60 entries and costs about as much as
 * eight LOOKUPs, so what is read for nothing costs no more than what was asked for: one
 * LIST after lookups of an eighth of the names it brings (and after two, since one name
 * says nothing about others), or at once where the lookups follow the directory's order.
 *
 * What is listed is where lookups in order go on, and otherwise what follows the names
 * that are known already from the first one on: so the directory is known as a whole
 * in the end, also which names there are not.
 */
#define NEXUS_AHEAD_WORTH	8u
/* Positions between two lookups that still follow the order: unlinked names leave gaps. */
#define NEXUS_AHEAD_GAP		16u

/*
 * Where to list from after a lookup that found @pos (0: nothing), or 0.  Lookups of a
 * directory run side by side; a lost update here is a lost chance.
 */
static u64 nexus_ahead_from(struct nexus_inode *di, u64 pos)
{
	u64 next = READ_ONCE(di->ahead_pos);
	u64 few = min_t(u64, di->children, NEXUS_AHEAD_ENTRIES);
	u32 misses = READ_ONCE(di->ahead_misses) + 1;
	bool in_order = next && pos >= next && pos - next < NEXUS_AHEAD_GAP;
	u64 known = nexus_dir_known_to(di);

	if (pos)
		WRITE_ONCE(di->ahead_pos, pos + 1);
	if (!in_order && (misses < 2 || misses * NEXUS_AHEAD_WORTH < few)) {
		WRITE_ONCE(di->ahead_misses, misses);
		return 0;
	}
	WRITE_ONCE(di->ahead_misses, 0);
	if (in_order && pos >= known + NEXUS_AHEAD_GAP)
		return pos + 1;
	if (di->children <= NEXUS_PRIME_MAX)
		return known;
	return pos ? pos + 1 : 0;
}

void nexus_look_ahead(struct dentry *parent, struct inode *dir, u64 pos)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_list_reply *lr;
	u64 from;

	from = nexus_ahead_from(di, pos);
	if (!from || from >= di->next_pos || atomic_read(&di->lookups))
		return;
	lr = kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL | __GFP_NORETRY |
		     __GFP_NOWARN);
	if (!lr)
		return;
	/* The lookup itself has its answer, whatever this one is. */
	if (!nexus_list_ask(parent, from, di->next_pos, false, lr)) {
		nexus_count(look_aheads);
		if (pos)
			WRITE_ONCE(di->ahead_pos, lr->next_pos);
	}
	kfree(lr);
}
