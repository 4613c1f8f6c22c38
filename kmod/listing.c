// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listings kept in memory: the page cache of a directory holds its entries in the
 * order of their positions, from the first one up to nexus_inode.list_to, so that a
 * listing repeated asks nobody.  The memory is the page cache's to take back at any
 * moment; then the entries are asked for again.
 *
 * Where the dcache has all names the pages are made from it; otherwise from what the
 * helper answers, names alone, as far as somebody reads.  In a directory that grows large
 * they are made while it does, since later it would have too many to look through at once,
 * and the helper would first have to apply what made them.
 *
 * Who changes names holds the directory's i_rwsem exclusively and corrects the pages
 * in place; readers hold it shared.  A reader that adds to the end holds load_mutex,
 * and publishes an entry with its reclen; so others read meanwhile.
 */
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "listing.h"

/* A page: entries one behind the other; a reclen of 0 is the end, an ino of 0 a gap. */
#define NEXUS_LIST_ENTRY(p, at)	((struct nexus_list_ent *)((char *)(p) + (at)))

static size_t nexus_list_reclen(size_t namelen)
{
	return NEXUS_ALIGN(sizeof(struct nexus_list_ent) + namelen, (size_t)8);
}

/* 0 at the end of the page. */
static size_t nexus_list_next(const void *page, size_t at)
{
	const struct nexus_list_ent *ent = NEXUS_LIST_ENTRY(page, at);

	if (at + sizeof(*ent) > PAGE_SIZE)
		return 0;
	/* What it is the length of was written before; see nexus_list_put(). */
	return smp_load_acquire(&ent->reclen);
}

void nexus_listing_drop(struct inode *dir)
{
	struct nexus_inode *di = NEXUS_I(dir);

	spin_lock(&di->resv_lock);
	/* Who finds a page of what comes sees that it is not of before. */
	WRITE_ONCE(di->list_gen, di->list_gen + 1);
	di->list_to = 0;
	di->list_pages = 0;
	di->list_used = 0;
	spin_unlock(&di->resv_lock);
	truncate_inode_pages(dir->i_mapping, 0);
}

/* The pages hold all entries below @to. */
static void nexus_listing_publish(struct nexus_inode *di, u64 to)
{
	spin_lock(&di->resv_lock);
	di->list_to = to;
	spin_unlock(&di->resv_lock);
}

/* ---- adding ---------------------------------------------------------------------- */

/* The last page, locked and referenced, while entries are added; zeroed: none yet. */
struct nexus_list_tail {
	struct folio *folio;
};

static void nexus_list_tail_put(struct nexus_list_tail *tail)
{
	if (!tail->folio)
		return;
	folio_unlock(tail->folio);
	folio_put(tail->folio);
	tail->folio = NULL;
}

/* Has the last page in @tail, or a new one behind it.  0 or -ENOMEM. */
static int nexus_list_tail_get(struct inode *dir, struct nexus_list_tail *tail,
			       bool fresh)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct folio *folio;

	if (tail->folio && !fresh)
		return 0;
	nexus_list_tail_put(tail);
	folio = __filemap_get_folio(dir->i_mapping,
				    di->list_pages - (fresh ? 0 : 1),
				    FGP_LOCK | FGP_ACCESSED |
				    (fresh ? FGP_CREAT : 0),
				    mapping_gfp_mask(dir->i_mapping));
	if (IS_ERR(folio))
		return -ENOMEM;
	if (fresh) {
		folio_zero_range(folio, 0, PAGE_SIZE);
		folio_mark_uptodate(folio);
		di->list_used = 0;
	}
	tail->folio = folio;
	return 0;
}

/* Adds an entry behind all others; load_mutex, or i_rwsem exclusively.  0 or -ENOMEM. */
static int nexus_list_put(struct inode *dir, struct nexus_list_tail *tail, u64 pos,
			  u64 ino, u8 dtype, const u8 *name, u8 namelen)
{
	struct nexus_inode *di = NEXUS_I(dir);
	size_t len = nexus_list_reclen(namelen);
	bool fresh = !di->list_pages || di->list_used + len > PAGE_SIZE;
	struct nexus_list_ent *ent;
	char *page;

	if (nexus_list_tail_get(dir, tail, fresh))
		return -ENOMEM;
	page = kmap_local_folio(tail->folio, 0);
	ent = NEXUS_LIST_ENTRY(page, di->list_used);
	ent->ino = ino;
	ent->pos = pos;
	ent->dtype = dtype;
	ent->namelen = namelen;
	memcpy(ent->name, name, namelen);
	/* With its length it is there; see nexus_list_next(). */
	smp_store_release(&ent->reclen, len);
	di->list_used += len;
	kunmap_local(page);
	if (fresh)
		/* A page that can be found has an entry; see nexus_list_view(). */
		smp_store_release(&di->list_pages, di->list_pages + 1);
	return 0;
}

static int nexus_list_order(const void *a, const void *b)
{
	u64 x = nexus_dentry_pos(*(struct dentry *const *)a);
	u64 y = nexus_dentry_pos(*(struct dentry *const *)b);

	return x < y ? -1 : x > y;
}

/*
 * References to the dentries of all names, in their order: @n of them, or fewer if
 * the dcache does not have so many.  i_rwsem is held, so names stand still.
 */
static u64 nexus_list_dentries(struct dentry *parent, struct dentry **all, u64 n)
{
	struct dentry *child;
	u64 at = n;

	/* New dentries come first in the list: filled from behind it is all but sorted. */
	spin_lock(&parent->d_lock);
	hlist_for_each_entry(child, &parent->d_children, d_sib) {
		spin_lock_nested(&child->d_lock, DENTRY_D_LOCK_NESTED);
		if (at && d_really_is_positive(child) && !d_unhashed(child) &&
		    nexus_dentry_pos(child))
			all[--at] = dget_dlock(child);
		spin_unlock(&child->d_lock);
	}
	spin_unlock(&parent->d_lock);
	memmove(all, all + at, (n - at) * sizeof(*all));
	sort(all, n - at, sizeof(*all), nexus_list_order, NULL);
	return n - at;
}

/* The whole listing out of the dcache.  0, -ENOENT: it does not have it; -ENOMEM. */
static int nexus_list_from_dcache(struct dentry *parent)
{
	struct inode *dir = d_inode(parent);
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_list_tail tail = {};
	struct dentry **all;
	u64 n, i;
	int err;

	if (!test_bit(NEXUS_I_COMPLETE, &di->state) ||
	    di->children > NEXUS_PRIME_MAX)
		return -ENOENT;
	all = kvmalloc_array(di->children + 1, sizeof(*all), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	n = nexus_list_dentries(parent, all, di->children);
	err = n == di->children ? 0 : -ENOENT;
	for (i = 0; i < n; i++) {
		struct inode *inode = d_inode(all[i]);
		struct name_snapshot name;

		if (!err) {
			take_dentry_name_snapshot(&name, all[i]);
			err = nexus_list_put(dir, &tail,
					     nexus_dentry_pos(all[i]),
					     inode->i_ino, S_DT(inode->i_mode),
					     name.name.name, name.name.len);
			release_dentry_name_snapshot(&name);
		}
		dput(all[i]);
	}
	nexus_list_tail_put(&tail);
	kvfree(all);
	if (err)
		nexus_listing_drop(dir);
	else
		nexus_listing_publish(di, di->next_pos);
	return err;
}

/* One question more.  A small directory is asked for whole, and then known. */
static int nexus_list_from_helper(struct dentry *parent,
				  struct nexus_list_ahead *ahead,
				  struct nexus_list_reply *lr)
{
	struct inode *dir = d_inode(parent);
	struct nexus_inode *di = NEXUS_I(dir);
	const struct nexus_list_ent *ent = (const void *)(lr + 1);
	u64 from = max(di->list_to, NEXUS_FIRST_POS);
	struct nexus_list_tail tail = {};
	u32 i;
	int err;

	if (di->children > NEXUS_AHEAD_ENTRIES)
		err = nexus_list_names(parent, from, di->next_pos, ahead, lr);
	else
		err = nexus_list_ask(parent, from, di->next_pos, 0, lr);
	for (i = 0; !err && i < lr->count; i++) {
		err = nexus_list_put(dir, &tail, ent->pos, ent->ino, ent->dtype,
				     ent->name, ent->namelen);
		ent = (const void *)ent + ent->reclen;
	}
	nexus_list_tail_put(&tail);
	if (!err)
		nexus_listing_publish(di, lr->next_pos);
	else if (i)
		nexus_listing_drop(dir);
	return err;
}

int nexus_listing_extend(struct dentry *parent, u64 pos,
			 struct nexus_list_ahead *ahead,
			 struct nexus_list_reply *lr)
{
	struct nexus_inode *di = NEXUS_I(d_inode(parent));
	int err = 0;

	if (mutex_lock_killable(&di->load_mutex))
		return -EINTR;
	/* Was somebody quicker? */
	if (pos < di->list_to)
		goto out;
	err = di->list_to ? -ENOENT : nexus_list_from_dcache(parent);
	if (err && pos == max(di->list_to, NEXUS_FIRST_POS))
		err = nexus_list_from_helper(parent, ahead, lr);
out:
	mutex_unlock(&di->load_mutex);
	return err;
}

/* ---- reading --------------------------------------------------------------------- */

struct nexus_list_view {
	u64 to;
	u32 pages, gen;
};

static struct nexus_list_view nexus_list_view(struct nexus_inode *di)
{
	struct nexus_list_view v;

	spin_lock(&di->resv_lock);
	v.to = di->list_to;
	v.gen = di->list_gen;
	/* Pairs with nexus_list_put(), which does not hold the lock. */
	v.pages = smp_load_acquire(&di->list_pages);
	spin_unlock(&di->resv_lock);
	return v;
}

/* A page of that view, referenced; NULL: it is gone, or the view is. */
static struct folio *nexus_list_folio(const struct inode *dir,
				      const struct nexus_list_view *v, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(dir->i_mapping, index);

	if (IS_ERR(folio))
		return NULL;
	/* Pairs with the lock in nexus_listing_drop(): pages come after the new number. */
	smp_rmb();
	if (READ_ONCE(NEXUS_I(dir)->list_gen) == v->gen)
		return folio;
	folio_put(folio);
	return NULL;
}

/* The index of the last page that begins at or before @pos.  -ENOENT: a page is gone. */
static int nexus_list_find(const struct inode *dir, const struct nexus_list_view *v,
			   u64 pos, u32 *index)
{
	u32 high = v->pages;

	*index = 0;
	while (high - *index > 1) {
		u32 mid = *index + (high - *index) / 2;
		struct folio *folio = nexus_list_folio(dir, v, mid);
		const struct nexus_list_ent *ent;

		if (!folio)
			return -ENOENT;
		ent = kmap_local_folio(folio, 0);
		if (ent->pos <= pos)
			*index = mid;
		else
			high = mid;
		kunmap_local(ent);
		folio_put(folio);
	}
	return 0;
}

enum nexus_emitted { NEXUS_LIST_FULL, NEXUS_LIST_PAGE, NEXUS_LIST_END };

static enum nexus_emitted nexus_list_emit_page(struct dir_context *ctx,
					       const void *page, u64 end)
{
	size_t at, len;

	for (at = 0; (len = nexus_list_next(page, at)); at += len) {
		const struct nexus_list_ent *ent = NEXUS_LIST_ENTRY(page, at);

		if (ent->pos < (u64)ctx->pos || !ent->ino)
			continue;
		if (ent->pos >= end)
			return NEXUS_LIST_END;
		ctx->pos = ent->pos;
		if (!dir_emit(ctx, ent->name, ent->namelen, ent->ino, ent->dtype))
			return NEXUS_LIST_FULL;
		ctx->pos = ent->pos + 1;
	}
	return NEXUS_LIST_PAGE;
}

int nexus_listing_emit(struct inode *dir, struct dir_context *ctx, u64 end)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_list_view v = nexus_list_view(di);
	enum nexus_emitted how = NEXUS_LIST_PAGE;
	u32 i;

	end = min(v.to, end);
	if ((u64)ctx->pos >= end)
		return 1;
	if (nexus_list_find(dir, &v, ctx->pos, &i))
		goto lost;
	for (; i < v.pages && how == NEXUS_LIST_PAGE; i++) {
		struct folio *folio = nexus_list_folio(dir, &v, i);
		void *page;

		if (!folio)
			goto lost;
		page = kmap_local_folio(folio, 0);
		how = nexus_list_emit_page(ctx, page, end);
		kunmap_local(page);
		folio_put(folio);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	if (how == NEXUS_LIST_FULL)
		return 0;
	ctx->pos = end;
	return 1;

lost:
	/* Who has it adds to the end; nexus_listing_extend() waits for that. */
	if (mutex_trylock(&di->load_mutex)) {
		if (di->list_gen == v.gen)
			nexus_listing_drop(dir);
		mutex_unlock(&di->load_mutex);
	}
	return 1;
}

/* ---- changing -------------------------------------------------------------------- */

void nexus_listing_added(struct inode *dir, u64 pos, const struct inode *inode,
			 const struct qstr *name)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_list_tail tail = {};
	int err;

	lockdep_assert_held_write(&dir->i_rwsem);
	nexus_names_added(di, name);
	/* Later ones are asked for later. */
	if (!di->list_to || di->list_to != pos)
		return;
	err = nexus_list_put(dir, &tail, pos, inode->i_ino, S_DT(inode->i_mode),
			     name->name, name->len);
	nexus_list_tail_put(&tail);
	if (err)
		nexus_listing_drop(dir);
	else
		nexus_listing_publish(di, pos + 1);
}

void nexus_listing_grown(struct dentry *parent)
{
	struct nexus_inode *di = NEXUS_I(d_inode(parent));

	lockdep_assert_held_write(&d_inode(parent)->i_rwsem);
	if (!di->list_to && !(di->children % NEXUS_LIST_KEEP))
		/* Without it the listing is asked for. */
		nexus_list_from_dcache(parent);
}

void nexus_listing_changed(struct inode *dir, u64 pos, const struct inode *inode)
{
	struct nexus_list_view v = nexus_list_view(NEXUS_I(dir));
	struct folio *folio = NULL;
	size_t at, len;
	void *page;
	u32 i;

	lockdep_assert_held_write(&dir->i_rwsem);
	if (pos >= v.to)
		return;
	if (!nexus_list_find(dir, &v, pos, &i))
		folio = nexus_list_folio(dir, &v, i);
	if (!folio) {
		nexus_listing_drop(dir);
		return;
	}
	/* Who migrates a page copies it without a look at who writes. */
	folio_lock(folio);
	len = 0;
	if (folio->mapping != dir->i_mapping)
		goto out;
	page = kmap_local_folio(folio, 0);
	for (at = 0; (len = nexus_list_next(page, at)); at += len) {
		struct nexus_list_ent *ent = NEXUS_LIST_ENTRY(page, at);

		if (ent->pos != pos)
			continue;
		ent->ino = inode ? inode->i_ino : 0;
		ent->dtype = inode ? S_DT(inode->i_mode) : 0;
		break;
	}
	kunmap_local(page);
out:
	folio_unlock(folio);
	folio_put(folio);
	/* Not there: what is there is not what it should be, or it has moved. */
	if (!len)
		nexus_listing_drop(dir);
}
