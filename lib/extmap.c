// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Extent map: an AVL tree with a node for each extent.
 *
 * One node an extent (and not one a page of extents) keeps the memory that a
 * change may need small and constant, which is what makes reserving cheap: a
 * change replaces a range inside one extent at worst, and so adds two nodes.
 */
#include "extmap.h"

#define NODES_PER_CHANGE	2u

struct ext_node {
	struct nexus_ext e;
	struct ext_node *parent;
	struct ext_node *child[2];	/* spare nodes are chained through child[0] */
	int height;
};

struct nexus_extmap {
	struct ext_node *root;
	struct ext_node *spare;
	u64	nspare;
	u64	promised;	/* changes reserved and not yet made */
	u64	count;
	u64	blocks;
	u64	unwritten;	/* of them */
	u64	packs;		/* a bit for each that was ever mapped; see pack_bit() */
};

struct nexus_extmap_spare {
	struct ext_node node;
};

static u64 ext_end(const struct nexus_ext *e)
{
	return e->fblock + e->nblocks;
}

/* ---- the tree ------------------------------------------------------ */

static int height(const struct ext_node *n)
{
	return n ? n->height : 0;
}

static void set_height(struct ext_node *n)
{
	n->height = 1 + NEXUS_MAX(height(n->child[0]), height(n->child[1]));
}

static void replace_child(struct nexus_extmap *map, struct ext_node *parent,
			  struct ext_node *old, struct ext_node *new)
{
	if (!parent)
		map->root = new;
	else
		parent->child[parent->child[1] == old] = new;
	if (new)
		new->parent = parent;
}

/* The child on the other side of @dir comes up; returns it. */
static struct ext_node *rotate(struct nexus_extmap *map, struct ext_node *n, int dir)
{
	struct ext_node *up = n->child[!dir];

	replace_child(map, n->parent, n, up);
	n->child[!dir] = up->child[dir];
	if (n->child[!dir])
		n->child[!dir]->parent = n;
	up->child[dir] = n;
	n->parent = up;
	set_height(n);
	set_height(up);
	return up;
}

static void rebalance(struct nexus_extmap *map, struct ext_node *n)
{
	while (n) {
		int before = n->height;
		int diff = height(n->child[1]) - height(n->child[0]);

		if (diff > 1 || diff < -1) {
			int heavy = diff > 0;
			struct ext_node *c = n->child[heavy];

			if (height(c->child[!heavy]) > height(c->child[heavy]))
				rotate(map, c, heavy);
			n = rotate(map, n, !heavy);
		} else {
			set_height(n);
			if (n->height == before)
				return;
		}
		n = n->parent;
	}
}

static struct ext_node *walk(const struct ext_node *n, int dir)
{
	struct ext_node *next = n->child[dir];

	if (next) {
		while (next->child[!dir])
			next = next->child[!dir];
		return next;
	}
	for (next = n->parent; next && n == next->child[dir]; next = n->parent)
		n = next;
	return next;
}

/* First extent that ends above @fblock. */
static struct ext_node *search(const struct nexus_extmap *map, u64 fblock)
{
	struct ext_node *n = map->root, *best = NULL;

	while (n) {
		if (ext_end(&n->e) > fblock) {
			best = n;
			n = n->child[0];
		} else {
			n = n->child[1];
		}
	}
	return best;
}

static void link_node(struct nexus_extmap *map, struct ext_node *new)
{
	struct ext_node **at = &map->root, *parent = NULL;

	while (*at) {
		parent = *at;
		at = &parent->child[new->e.fblock > parent->e.fblock];
	}
	new->parent = parent;
	new->child[0] = NULL;
	new->child[1] = NULL;
	new->height = 1;
	*at = new;
	map->count++;
	rebalance(map, parent);
}

static void unlink_node(struct nexus_extmap *map, struct ext_node *n)
{
	struct ext_node *from;

	if (n->child[0] && n->child[1]) {
		struct ext_node *next = walk(n, 1);

		from = next->parent == n ? next : next->parent;
		if (next->parent != n) {
			replace_child(map, next->parent, next, next->child[1]);
			next->child[1] = n->child[1];
			next->child[1]->parent = next;
		}
		next->child[0] = n->child[0];
		next->child[0]->parent = next;
		next->height = n->height;
		replace_child(map, n->parent, n, next);
	} else {
		from = n->parent;
		replace_child(map, from, n, n->child[!n->child[0]]);
	}
	map->count--;
	rebalance(map, from);
}

/* ---- memory -------------------------------------------------------- */

static void push_spare(struct nexus_extmap *map, struct ext_node *n)
{
	n->child[0] = map->spare;
	map->spare = n;
	map->nspare++;
}

static struct ext_node *pop_spare(struct nexus_extmap *map)
{
	struct ext_node *n = map->spare;

	map->spare = n->child[0];
	map->nspare--;
	return n;
}

/* After a change: keeps what is promised and one change in hand. */
static void settle(struct nexus_extmap *map)
{
	if (map->promised)
		map->promised--;
	while (map->nspare > (map->promised + 1) * NODES_PER_CHANGE)
		nexus_free(pop_spare(map));
}

void nexus_extmap_spare_free(struct nexus_extmap_spare *spare)
{
	struct ext_node *n = spare ? &spare->node : NULL;

	while (n) {
		struct ext_node *next = n->child[0];

		nexus_free(n);
		n = next;
	}
}

struct nexus_extmap_spare *nexus_extmap_spare_alloc(u32 changes)
{
	u64 i, nodes = (u64)changes * NODES_PER_CHANGE;
	struct ext_node *list = NULL;

	for (i = 0; i < nodes; i++) {
		struct ext_node *n = nexus_alloc(sizeof(*n));

		if (!n) {
			if (list)
				nexus_extmap_spare_free((void *)list);
			return NULL;
		}
		n->child[0] = list;
		list = n;
	}
	return (struct nexus_extmap_spare *)list;
}

void nexus_extmap_spare_give(struct nexus_extmap *map,
			     struct nexus_extmap_spare *spare)
{
	struct ext_node *n = spare ? &spare->node : NULL;
	u64 nodes = 0;

	while (n) {
		struct ext_node *next = n->child[0];

		push_spare(map, n);
		nodes++;
		n = next;
	}
	map->promised += nodes / NODES_PER_CHANGE;
}

int nexus_extmap_reserve(struct nexus_extmap *map, u32 n)
{
	while (map->nspare < (u64)n * NODES_PER_CHANGE) {
		struct ext_node *node = nexus_alloc(sizeof(*node));

		if (!node)
			return -ENOMEM;
		push_spare(map, node);
	}
	if (map->promised < n)
		map->promised = n;
	return 0;
}

struct nexus_extmap *nexus_extmap_new(void)
{
	struct nexus_extmap *map = nexus_alloc(sizeof(*map));

	if (map)
		memset(map, 0, sizeof(*map));
	return map;
}

void nexus_extmap_clear(struct nexus_extmap *map)
{
	struct ext_node *n = map->root;

	/* Bottom up: a node goes when both children are gone. */
	while (n) {
		struct ext_node *parent = n->parent;

		if (n->child[0]) {
			n = n->child[0];
			continue;
		}
		if (n->child[1]) {
			n = n->child[1];
			continue;
		}
		if (parent)
			parent->child[parent->child[1] == n] = NULL;
		nexus_free(n);
		n = parent;
	}
	map->root = NULL;
	map->count = 0;
	map->blocks = 0;
	map->unwritten = 0;
	map->packs = 0;
}

void nexus_extmap_free(struct nexus_extmap *map)
{
	if (!map)
		return;
	nexus_extmap_clear(map);
	while (map->spare)
		nexus_free(pop_spare(map));
	nexus_free(map);
}

u64 nexus_extmap_count(const struct nexus_extmap *map)
{
	return map->count;
}

u64 nexus_extmap_blocks(const struct nexus_extmap *map)
{
	return map->blocks;
}

u64 nexus_extmap_unwritten(const struct nexus_extmap *map)
{
	return map->unwritten;
}

/* Packs that live at one time mostly have ids near each other. */
static u64 pack_bit(u64 pack)
{
	return 1ull << (pack & 63);
}

bool nexus_extmap_may_name(const struct nexus_extmap *map, u64 pack)
{
	return map->packs & pack_bit(pack);
}

/* ---- changes ------------------------------------------------------- */

static void add(struct nexus_extmap *map, const struct nexus_ext *e)
{
	struct ext_node *n = pop_spare(map);

	n->e = *e;
	link_node(map, n);
}

static void drop(struct nexus_extmap *map, struct ext_node *n)
{
	unlink_node(map, n);
	push_spare(map, n);
}

static u64 unmap(struct nexus_extmap *map, u64 from, u64 end)
{
	struct ext_node *n = search(map, from);
	u64 freed = 0;

	while (n && n->e.fblock < end) {
		struct ext_node *next = walk(n, 1);
		u64 a = NEXUS_MAX(n->e.fblock, from);
		u64 b = NEXUS_MIN(ext_end(&n->e), end);
		struct nexus_ext right = n->e;

		freed += b - a;
		if (n->e.flags & NEXUS_EF_UNWRITTEN)
			map->unwritten -= b - a;
		else
			right.block += (u32)(b - n->e.fblock);
		right.nblocks = (u32)(ext_end(&n->e) - b);
		right.fblock = b;
		if (a > n->e.fblock) {
			n->e.nblocks = (u32)(a - n->e.fblock);
			if (right.nblocks)
				add(map, &right);
		} else if (right.nblocks) {
			/* Order is kept: nothing else lies in [a, b). */
			n->e = right;
		} else {
			drop(map, n);
		}
		n = next;
	}
	map->blocks -= freed;
	return freed;
}

static bool joins(const struct nexus_ext *a, const struct nexus_ext *b)
{
	/* What is unwritten is nowhere. */
	if (!(a->flags & NEXUS_EF_UNWRITTEN) &&
	    a->block + a->nblocks != b->block)
		return false;
	return ext_end(a) == b->fblock && a->pack == b->pack &&
	       a->flags == b->flags &&
	       (u64)a->nblocks + b->nblocks <= NEXUS_PACK_BLOCKS_MAX;
}

void nexus_extmap_insert(struct nexus_extmap *map, const struct nexus_ext *e,
			 u64 *freed)
{
	struct ext_node *left, *right;
	u64 gone;

	gone = unmap(map, e->fblock, ext_end(e));
	if (freed)
		*freed = gone;
	map->blocks += e->nblocks;
	if (e->flags & NEXUS_EF_UNWRITTEN)
		map->unwritten += e->nblocks;
	else
		map->packs |= pack_bit(e->pack);

	right = search(map, e->fblock);
	if (right) {
		left = walk(right, 0);
	} else {
		left = map->root;
		while (left && left->child[1])
			left = left->child[1];
	}
	if (left && joins(&left->e, e)) {
		left->e.nblocks += e->nblocks;
		if (right && joins(&left->e, &right->e)) {
			left->e.nblocks += right->e.nblocks;
			drop(map, right);
		}
	} else if (right && joins(e, &right->e)) {
		right->e.fblock = e->fblock;
		right->e.block = e->block;
		right->e.nblocks += e->nblocks;
	} else {
		add(map, e);
	}
	settle(map);
}

void nexus_extmap_punch(struct nexus_extmap *map, u64 fblock, u64 n, u64 *freed)
{
	u64 gone = unmap(map, fblock, fblock + n);

	if (freed)
		*freed = gone;
	settle(map);
}

/* ---- lookups ------------------------------------------------------- */

bool nexus_extmap_find(const struct nexus_extmap *map, u64 fblock,
		       struct nexus_ext *e)
{
	const struct ext_node *n = search(map, fblock);
	u64 skip;

	if (!n || n->e.fblock > fblock) {
		u64 hole = n ? n->e.fblock - fblock : U32_MAX;

		memset(e, 0, sizeof(*e));
		e->fblock = fblock;
		e->nblocks = (u32)NEXUS_MIN(hole, (u64)U32_MAX);
		return false;
	}
	*e = n->e;
	skip = fblock - e->fblock;
	e->fblock += skip;
	if (!(e->flags & NEXUS_EF_UNWRITTEN))
		e->block += (u32)skip;
	e->nblocks -= (u32)skip;
	return true;
}

bool nexus_extmap_next(const struct nexus_extmap *map, u64 fblock,
		       struct nexus_ext *e)
{
	const struct ext_node *n = search(map, fblock);

	if (n)
		*e = n->e;
	return n;
}
