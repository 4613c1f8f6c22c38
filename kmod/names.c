// SPDX-License-Identifier: GPL-2.0-only
/*
 * What names a large directory does not have.
 *
 * A small directory is known whole once its names are in the dcache (dir.c).  For one of
 * a million names that would be gigabytes, and every file made in it would be a question
 * whether the name is free.  So a large one gets a Bloom filter of its names, two bytes
 * for each: what the filter does not have does not exist, and the few names it is wrong
 * about are asked for.
 *
 * Lookups that were in vain fill it: one in four lists some hundred names more, which
 * costs about as much as those four, until all are in it.  Names that come add
 * themselves; those that go leave their bits, which cost a question each.  It lives as
 * long as the inode is in memory.
 */
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "listing.h"

#define NEXUS_NAMES_AFTER	16u	/* lookups in vain, before there is one */
#define NEXUS_NAMES_EVERY	4u	/* so many for each listing */
#define NEXUS_NAMES_BITS	16u	/* for a name, */
#define NEXUS_NAMES_HASHES	5u	/* of which so many are set: wrong once in 700 */
#define NEXUS_NAMES_LAYERS	8u	/* each at least as large as all before */
#define NEXUS_NAMES_MAX		67108864u /* names of a layer: its bits are counted in u32 */
/* Filters of all directories: so much of memory. */
#define NEXUS_NAMES_SHARE	128

struct nexus_names_layer {
	unsigned long *bits;
	u32 mask;
	u32 room;		/* names it is made for */
	u32 left;
};

struct nexus_names {
	struct mutex lock;	/* of who lists names for it */
	bool known;		/* all names are in it */
	bool broken;		/* one was lost for want of memory */
	u32 seed;
	u64 to;			/* names before it were listed */
	u64 end;		/* names from it on have added themselves */
	u32 nr;			/* layers */
	struct nexus_names_layer layer[NEXUS_NAMES_LAYERS];
};

static atomic_long_t nexus_names_bytes = ATOMIC_LONG_INIT(0);

static size_t nexus_names_size(const struct nexus_names_layer *l)
{
	return ((size_t)l->mask + 1) / BITS_PER_BYTE;
}

/* A layer more, for @room names. */
static bool nexus_names_grow(struct nexus_names *n, u64 room)
{
	struct nexus_names_layer *l = &n->layer[n->nr];
	size_t all;

	if (n->nr == NEXUS_NAMES_LAYERS || room > NEXUS_NAMES_MAX)
		return false;
	l->room = roundup_pow_of_two(room);
	l->left = l->room;
	l->mask = l->room * NEXUS_NAMES_BITS - 1;
	all = atomic_long_add_return(nexus_names_size(l), &nexus_names_bytes);
	if (all <= (totalram_pages() << PAGE_SHIFT) / NEXUS_NAMES_SHARE)
		l->bits = kvzalloc(nexus_names_size(l), GFP_KERNEL_ACCOUNT |
				   __GFP_NOWARN);
	if (!l->bits) {
		atomic_long_sub(nexus_names_size(l), &nexus_names_bytes);
		return false;
	}
	n->nr++;
	return true;
}

static void nexus_names_destroy(struct nexus_names *n)
{
	u32 i;

	if (!n)
		return;
	for (i = 0; i < n->nr; i++) {
		atomic_long_sub(nexus_names_size(&n->layer[i]), &nexus_names_bytes);
		kvfree(n->layer[i].bits);
	}
	kfree(n);
}

/* Where the bits of a name are: first + i * step. */
struct nexus_names_hash {
	u32 first, step;
};

static struct nexus_names_hash nexus_names_hash(const struct nexus_names *n,
						const void *name, u32 len)
{
	struct nexus_names_hash h;

	h.first = jhash(name, len, n->seed);
	h.step = jhash(name, len, h.first) | 1;
	return h;
}

/* i_rwsem exclusively, or the lock. */
static void nexus_names_put(struct nexus_names *n, const void *name, u32 len)
{
	struct nexus_names_hash h = nexus_names_hash(n, name, len);
	struct nexus_names_layer *l = &n->layer[n->nr - 1];
	u32 i;

	if (n->broken)
		return;
	if (!l->left) {
		if (!nexus_names_grow(n, 2ull * l->room)) {
			WRITE_ONCE(n->broken, true);
			WRITE_ONCE(n->known, false);
			return;
		}
		l++;
	}
	for (i = 0; i < NEXUS_NAMES_HASHES; i++)
		__set_bit((h.first + i * h.step) & l->mask, l->bits);
	l->left--;
}

void nexus_names_added(struct nexus_inode *di, const struct qstr *name)
{
	/* Who lists names holds i_rwsem, too. */
	if (di->names)
		nexus_names_put(di->names, name->name, name->len);
}

bool nexus_names_absent(struct nexus_inode *di, const struct qstr *name)
{
	const struct nexus_names *n;
	struct nexus_names_hash h;
	u32 i, k;

	/* Pairs with cmpxchg_release() in nexus_names_begin(). */
	n = smp_load_acquire(&di->names);
	/* Pairs with nexus_names_fill(): the bits are there. */
	if (!n || !smp_load_acquire(&n->known))
		return false;
	h = nexus_names_hash(n, name->name, name->len);
	for (i = 0; i < n->nr; i++) {
		const struct nexus_names_layer *l = &n->layer[i];

		for (k = 0; k < NEXUS_NAMES_HASHES; k++)
			if (!test_bit((h.first + k * h.step) & l->mask, l->bits))
				break;
		if (k == NEXUS_NAMES_HASHES)
			return false;
	}
	return true;
}

/* Begins with none of the names.  NULL: no memory. */
static struct nexus_names *nexus_names_new(struct nexus_inode *di)
{
	struct nexus_names *n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);

	if (!n)
		return NULL;
	mutex_init(&n->lock);
	n->seed = get_random_u32();
	n->to = NEXUS_FIRST_POS;
	n->end = di->next_pos;
	/* With room for as many again: growing costs more than that. */
	if (!nexus_names_grow(n, 2 * di->children)) {
		nexus_names_destroy(n);
		return NULL;
	}
	return n;
}

/* Lists names, as many as one answer has. */
static void nexus_names_fill(struct dentry *parent, struct nexus_names *n)
{
	const struct nexus_list_ent *ent;
	struct nexus_list_reply *lr;
	u32 i;

	lr = kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL | __GFP_NORETRY |
		     __GFP_NOWARN);
	if (!lr)
		return;
	if (!nexus_list_ask(parent, n->to, n->end, NEXUS_LIST_NAMES, lr)) {
		ent = (const void *)(lr + 1);
		/* nexus_reply_check() has seen to lengths. */
		for (i = 0; i < lr->count; i++) {
			nexus_names_put(n, ent->name, ent->namelen);
			ent = (const void *)ent + ent->reclen;
		}
		n->to = lr->next_pos;
		if (n->to >= n->end && !READ_ONCE(n->broken))
			/* Whoever sees it sees the bits. */
			smp_store_release(&n->known, true);
	}
	kfree(lr);
}

/* The filter of @di, which may be begun now; NULL: not yet. */
static struct nexus_names *nexus_names_begin(struct nexus_inode *di, u32 missed)
{
	struct nexus_names *n;

	if (missed < NEXUS_NAMES_AFTER)
		return NULL;
	n = nexus_names_new(di);
	/* Whoever sees it sees what is in it. */
	if (n && cmpxchg_release(&di->names, NULL, n))
		nexus_names_destroy(n);
	if (!n)
		WRITE_ONCE(di->names_missed, 0);
	/* Pairs with that of whoever was quicker. */
	return smp_load_acquire(&di->names);
}

void nexus_names_missed(struct dentry *parent, struct inode *dir)
{
	struct nexus_inode *di = NEXUS_I(dir);
	struct nexus_names *n;
	u32 missed;

	if (di->children <= NEXUS_PRIME_MAX)
		return;
	/* Lookups run side by side; a lost update is a listing later. */
	missed = READ_ONCE(di->names_missed) + 1;
	WRITE_ONCE(di->names_missed, missed);
	/* Pairs with cmpxchg_release() in nexus_names_begin(). */
	n = smp_load_acquire(&di->names) ?: nexus_names_begin(di, missed);
	if (!n || missed % NEXUS_NAMES_EVERY || READ_ONCE(n->known) ||
	    READ_ONCE(n->broken) || !mutex_trylock(&n->lock))
		return;
	if (!n->known && !n->broken)
		nexus_names_fill(parent, n);
	mutex_unlock(&n->lock);
}

void nexus_names_evict(struct nexus_inode *di)
{
	nexus_names_destroy(di->names);
	di->names = NULL;
}
