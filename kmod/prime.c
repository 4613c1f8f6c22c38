// SPDX-License-Identifier: GPL-2.0-only
/*
 * Putting names into the dcache that were not asked for one by one: those of a
 * listing, and those that a program is about to look up.
 */
#include <linux/slab.h>

#include "foreign.h"
#include "listing.h"

/* True when the dcache has the entry as it was listed. */
static bool nexus_dentry_is(const struct dentry *dentry, u64 ino)
{
	return d_really_is_positive(dentry) && d_inode(dentry)->i_ino == ino;
}

/* What follows the name of a checked entry, or NULL. */
static const struct nexus_entry_reply *
nexus_list_entry(const struct nexus_list_ent *ent)
{
	if (!(ent->flags & NEXUS_DE_ENTRY))
		return NULL;
	return (const void *)ent->name + NEXUS_ALIGN((size_t)ent->namelen, 8);
}

/* True if the entry is in the dcache.  Takes the reference of @dentry. */
static bool nexus_prime_known(struct dentry *dentry, const struct nexus_list_ent *ent,
			      u64 applied)
{
	const struct nexus_entry_reply *er = nexus_list_entry(ent);
	bool there = nexus_dentry_is(dentry, ent->ino);

	if (there && er)
		nexus_data_learn(d_inode(dentry), er, applied);
	dput(dentry);
	return there;
}

/* Puts a listed and checked entry into the dcache.  True if it is there afterwards. */
static bool nexus_prime(struct dentry *parent, const struct nexus_list_ent *ent,
			u64 applied, unsigned long asked)
{
	const struct nexus_entry_reply *er = nexus_list_entry(ent);
	struct inode *dir = d_inode(parent), *inode;
	struct qstr name = QSTR_INIT(ent->name, ent->namelen);
	struct dentry *dentry, *alias;
	bool there = false;
	NEXUS_DECLARE_DENTRY_WAIT(wq);

	name.hash = full_name_hash(parent, name.name, name.len);
	dentry = d_lookup(parent, &name);
	if (dentry)
		return nexus_prime_known(dentry, ent, applied);
	/* Somebody's lookup would have to be waited for, and unkillably. */
	if (!er || atomic_read(&NEXUS_I(dir)->lookups))
		return false;

	dentry = nexus_d_alloc_parallel(parent, &name, wq);
	if (IS_ERR(dentry))
		return false;
	if (!d_in_lookup(dentry))
		return nexus_prime_known(dentry, ent, applied);
	nexus_foreign_asked(dentry, asked);
	inode = nexus_iget_attr(dir->i_sb, er, applied);
	if (!IS_ERR(inode))
		nexus_data_learn(inode, er, applied);
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
			    u64 from, u64 applied, u64 prunes, unsigned long asked)
{
	const struct nexus_list_ent *ent = (const void *)(lr + 1);
	u64 to = 0;
	u32 i;

	/* nexus_reply_check() has seen to lengths and order. */
	for (i = 0; i < lr->count; i++) {
		/* What comes after a name that is missing is of use all the same. */
		if (!nexus_prime(parent, ent, applied, asked) && !to)
			to = ent->pos;
		ent = (const void *)ent + ent->reclen;
	}
	nexus_dir_known(NEXUS_I(d_inode(parent)), from, to ?: lr->next_pos, prunes);
}

/* It must get on, and not too far. */
static int nexus_list_check(struct nexus_list_reply *lr, u64 from, u64 end)
{
	if (lr->flags & NEXUS_LR_END)
		lr->next_pos = end;
	return lr->next_pos <= from || lr->next_pos > end ? -EIO : 0;
}

int nexus_list_ask(struct dentry *parent, u64 from, u64 end, u64 how,
		   struct nexus_list_reply *lr)
{
	struct inode *dir = d_inode(parent);
	struct nexus_inode *di = NEXUS_I(dir);
	u64 prunes = nexus_dir_prunes(di);
	unsigned long asked = jiffies;
	u64 applied;
	int n;

	n = nexus_ms_read(di->zone, NEXUS_OP_LIST, dir->i_ino, from,
			  end | how, NULL, 0, READ_ONCE(di->last_lsn), lr,
			  NEXUS_REPLY_DATA_MAX, &applied);
	if (n < 0)
		return n;
	if (nexus_list_check(lr, from, end))
		return -EIO;
	if (!(how & NEXUS_LIST_NAMES))
		nexus_prime_all(parent, lr, from, applied, prunes, asked);
	return 0;
}

/* ---- ahead of listings --------------------------------------------------------- */

void nexus_list_ahead_drop(struct inode *dir, struct nexus_list_ahead *ahead)
{
	struct nexus_zone *zone = NEXUS_I(dir)->zone;

	if (ahead->rq)
		zone->ms->forget(zone, ahead->rq);
	ahead->rq = NULL;
}

/* Sends the question after the one that was answered.  Whoever reads on asks otherwise. */
static void nexus_list_ahead(struct inode *dir, u64 from, u64 end,
			     struct nexus_list_ahead *ahead)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_request req = {
		.op = NEXUS_OP_LIST,
		.not_before = READ_ONCE(di->last_lsn),
		.ino = dir->i_ino,
		.arg0 = from,
		.arg1 = end | NEXUS_LIST_NAMES,
	};
	struct nexus_rq *rq;

	if (from >= end || !di->zone->ms->ahead)
		return;
	rq = di->zone->ms->ahead(di->zone, &req, NEXUS_REPLY_DATA_MAX);
	if (IS_ERR(rq))
		return;
	ahead->rq = rq;
	ahead->from = from;
	ahead->end = end;
	ahead->lsn = req.not_before;
}

int nexus_list_names(struct dentry *parent, u64 from, u64 end,
		     struct nexus_list_ahead *ahead, struct nexus_list_reply *lr)
{
	struct inode *dir = d_inode(parent);
	struct nexus_zone *zone = NEXUS_I(dir)->zone;
	struct nexus_rq *rq = ahead->rq;
	int err;

	/* An answer of before a change is not what is there now. */
	if (rq && ahead->from == from && ahead->end == end &&
	    ahead->lsn == READ_ONCE(NEXUS_I(dir)->last_lsn)) {
		ahead->rq = NULL;
		err = zone->ms->end(zone, rq, lr, NULL);
		err = err < 0 ? err : nexus_list_check(lr, from, end);
	} else {
		nexus_list_ahead_drop(dir, ahead);
		err = nexus_list_ask(parent, from, end, NEXUS_LIST_NAMES, lr);
	}
	/* Not after the first: many a program looks only whether there are names. */
	if (!err && from > NEXUS_FIRST_POS)
		nexus_list_ahead(dir, lr->next_pos, end, ahead);
	return err;
}

/* ---- ahead of lookups ---------------------------------------------------------- */

/*
 * A program that looks one name of a directory up mostly goes on to the others: stat
 * of what a listing or an index of its own named, in that order or sorted; or it looks
 * for names that are not there.  One LIST has some 55 entries and costs about as much as
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
 * Whether names or contents are to be listed now, the one at @pos (0: none) having been
 * asked for alone.  *@in_order: it follows the last one asked for.  They are asked for
 * side by side; a lost update here is a lost chance.
 */
static bool nexus_ahead_now(struct nexus_inode *di, struct nexus_ahead *ahead,
			    u64 pos, bool *in_order)
{
	u64 few = min_t(u64, di->children, NEXUS_AHEAD_ENTRIES);
	u64 next = READ_ONCE(ahead->next);
	u32 misses = READ_ONCE(ahead->misses) + 1;

	*in_order = next && pos >= next && pos - next < NEXUS_AHEAD_GAP;
	if (pos)
		WRITE_ONCE(ahead->next, pos + 1);
	if (!*in_order && (misses < 2 || misses * NEXUS_AHEAD_WORTH < few)) {
		WRITE_ONCE(ahead->misses, misses);
		return false;
	}
	WRITE_ONCE(ahead->misses, 0);
	return true;
}

/* Where to list from after a lookup that found @pos (0: nothing), or 0. */
static u64 nexus_ahead_from(struct nexus_inode *di, u64 pos)
{
	u64 known = nexus_dir_known_to(di);
	bool in_order;

	if (!nexus_ahead_now(di, &di->ahead_names, pos, &in_order))
		return 0;
	if (in_order && pos >= known + NEXUS_AHEAD_GAP)
		return pos + 1;
	if (di->children <= NEXUS_PRIME_MAX)
		return known;
	return pos ? pos + 1 : 0;
}

static struct nexus_list_reply *nexus_ahead_buffer(void)
{
	return kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL | __GFP_NORETRY |
		       __GFP_NOWARN);
}

void nexus_look_ahead(struct dentry *parent, struct inode *dir, u64 pos,
		      bool content)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_list_reply *lr;
	u64 from;

	from = nexus_ahead_from(di, pos);
	if (!from || from >= di->next_pos || atomic_read(&di->lookups))
		return;
	lr = nexus_ahead_buffer();
	if (!lr)
		return;
	/* The lookup itself has its answer, whatever this one is. */
	if (!nexus_list_ask(parent, from, di->next_pos,
			    content ? NEXUS_LIST_CONTENT : 0, lr)) {
		nexus_count(look_aheads);
		if (pos)
			WRITE_ONCE(di->ahead_names.next, lr->next_pos);
	}
	kfree(lr);
}

/* ---- ahead of reads ----------------------------------------------------------------- */

/*
 * Names that were listed without their contents, as for ls -l or find: who then reads
 * one file of a directory mostly goes on to the others, too.  The same reckoning as for
 * names; where files are read in no order all of the directory is listed once, a
 * reply at a time.
 */
static u64 nexus_content_from(struct nexus_inode *di, u64 pos)
{
	bool in_order;
	u64 from;

	if (!nexus_ahead_now(di, &di->ahead_content, pos, &in_order))
		return 0;
	from = READ_ONCE(di->content_to);
	if (in_order && pos >= from)
		return pos;
	if (di->children > NEXUS_PRIME_MAX)
		return pos;
	return max(from, NEXUS_FIRST_POS);
}

/* Contents of a reply for those inodes that are in memory. */
static void nexus_learn_all(struct super_block *sb,
			    const struct nexus_list_reply *lr, u64 applied)
{
	const struct nexus_list_ent *ent = (const void *)(lr + 1);
	u32 i;

	for (i = 0; i < lr->count; i++) {
		const struct nexus_entry_reply *er = nexus_list_entry(ent);
		struct inode *inode = NULL;

		if (er && S_ISREG(er->attr.mode))
			inode = nexus_ilookup_nowait(sb, ent->ino);
		if (inode)
			nexus_data_learn(inode, er, applied);
		iput(inode);
		ent = (const void *)ent + ent->reclen;
	}
}

void nexus_content_ahead(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode), *di;
	u64 parent = READ_ONCE(ni->parent), pos = READ_ONCE(ni->pos);
	struct nexus_list_reply *lr = NULL;
	struct inode *dir = NULL;
	u64 from, end, applied;
	int n;

	/* With several names it has none. */
	if (parent)
		dir = nexus_ilookup_nowait(inode->i_sb, parent);
	if (!dir)
		return;
	di = NEXUS_I(dir);
	from = S_ISDIR(dir->i_mode) ? nexus_content_from(di, pos) : 0;
	/* Names may come meanwhile, and need not be listed. */
	end = READ_ONCE(di->next_pos);
	if (from && from < end)
		lr = nexus_ahead_buffer();
	if (!lr)
		goto out;
	n = nexus_ms_read(ni->zone, NEXUS_OP_LIST, parent, from,
			  end | NEXUS_LIST_CONTENT, NULL, 0,
			  READ_ONCE(ni->last_lsn), lr, NEXUS_REPLY_DATA_MAX,
			  &applied);
	if (n >= 0) {
		nexus_count(look_aheads);
		nexus_learn_all(inode->i_sb, lr, applied);
		WRITE_ONCE(di->content_to, lr->next_pos);
		WRITE_ONCE(di->ahead_content.next, lr->next_pos);
	}
	kfree(lr);
out:
	iput(dir);
}
