// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ordered map: a B-tree of pointers to entries.
 *
 * Next to each pointer lies a 128-bit hint that orders like the key does, so
 * that a search seldom has to touch an entry: of the keys of nexusfs all but
 * those that end in a name fit in it.  Nodes are split on the way down, before
 * the new entry goes in: a failed allocation leaves the content as it was.
 */
#include "key.h"
#include "omap.h"

#define NODE_T		21u		/* minimum degree */
#define NODE_MAX	(2 * NODE_T - 1)
#define NODE_MIN	(NODE_T - 1)
#define HINT_SATURATED	0x00ffffffffffffffull

struct hint {
	u64	hi;
	u64	lo;
};

struct nexus_omap_node {
	u16	n;
	u16	leaf;
	u32	pad;
	struct hint hint[NODE_MAX];
	struct nexus_omap_entry *entry[NODE_MAX];
	struct nexus_omap_node *child[];	/* NODE_MAX + 1, not in leaves */
};

static u64 load_be(const u8 *p, size_t len)
{
	u64 v = 0;
	size_t i;

	if (len >= 8)
		return nexus_get_be64(p);
	for (i = 0; i < len; i++)
		v |= (u64)p[i] << (56 - 8 * i);
	return v;
}

/*
 * Never decreases as the key grows.  The number after the letter loses its
 * highest byte to the letter; where that would lose order it saturates, and
 * then the rest must not count.
 */
static struct hint key_hint(const u8 *key, size_t len)
{
	struct hint h = { .hi = (u64)key[0] << 56 };
	u64 v = load_be(key + 1, len - 1);

	if (v >= HINT_SATURATED) {
		h.hi |= HINT_SATURATED;
		return h;
	}
	h.hi |= v;
	if (len > 9)
		h.lo = load_be(key + 9, len - 9);
	return h;
}

static int key_cmp(const void *a, size_t alen, const void *b, size_t blen)
{
	int c = memcmp(a, b, NEXUS_MIN(alen, blen));

	if (c)
		return c;
	return alen < blen ? -1 : alen > blen;
}

/* First index whose key is >= @key; *@equal if it is the same. */
static unsigned int node_search(const struct nexus_omap_node *node,
				struct hint h, const void *key, size_t klen,
				bool *equal)
{
	unsigned int lo = 0, hi = node->n;

	*equal = false;
	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct hint *m = &node->hint[mid];
		int c;

		if (m->hi != h.hi)
			c = m->hi < h.hi ? -1 : 1;
		else if (m->lo != h.lo)
			c = m->lo < h.lo ? -1 : 1;
		else
			c = key_cmp(node->entry[mid]->data,
				    node->entry[mid]->klen, key, klen);
		if (c < 0) {
			lo = mid + 1;
		} else if (c > 0) {
			hi = mid;
		} else {
			*equal = true;
			return mid;
		}
	}
	return lo;
}

static size_t node_size(bool leaf)
{
	size_t size = sizeof(struct nexus_omap_node);

	return leaf ? size : size + (NODE_MAX + 1) * sizeof(void *);
}

static size_t entry_size(const struct nexus_omap_entry *e)
{
	return sizeof(*e) + e->klen + e->vlen;
}

static struct nexus_omap_node *node_new(struct nexus_omap *map, bool leaf)
{
	struct nexus_omap_node *node = nexus_alloc(node_size(leaf));

	if (!node)
		return NULL;
	node->n = 0;
	node->leaf = leaf;
	node->pad = 0;
	map->bytes += node_size(leaf);
	return node;
}

static void node_free(struct nexus_omap *map, struct nexus_omap_node *node)
{
	map->bytes -= node_size(node->leaf);
	nexus_free(node);
}

static void entry_free(struct nexus_omap *map, struct nexus_omap_entry *e)
{
	map->bytes -= entry_size(e);
	nexus_free(e);
}

/* Moves @n entries with their hints; source and target may overlap. */
static void move_entries(struct nexus_omap_node *dst, unsigned int at,
			 struct nexus_omap_node *src, unsigned int from,
			 unsigned int n)
{
	memmove(dst->hint + at, src->hint + from, n * sizeof(src->hint[0]));
	memmove(dst->entry + at, src->entry + from, n * sizeof(src->entry[0]));
}

static void move_children(struct nexus_omap_node *dst, unsigned int at,
			  struct nexus_omap_node *src, unsigned int from,
			  unsigned int n)
{
	memmove(dst->child + at, src->child + from, n * sizeof(src->child[0]));
}

/* Splits the full child @i of @parent, which has room. */
static int split_child(struct nexus_omap *map, struct nexus_omap_node *parent,
		       unsigned int i)
{
	struct nexus_omap_node *left = parent->child[i];
	struct nexus_omap_node *right = node_new(map, left->leaf);

	if (!right)
		return -ENOMEM;
	right->n = NODE_MIN;
	move_entries(right, 0, left, NODE_T, NODE_MIN);
	if (!left->leaf)
		move_children(right, 0, left, NODE_T, NODE_T);
	left->n = NODE_MIN;

	move_children(parent, i + 2, parent, i + 1, parent->n - i);
	move_entries(parent, i + 1, parent, i, parent->n - i);
	parent->child[i + 1] = right;
	move_entries(parent, i, left, NODE_MIN, 1);
	parent->n++;
	return 0;
}

static int grow_root(struct nexus_omap *map)
{
	struct nexus_omap_node *root;
	int ret;

	if (!map->root) {
		map->root = node_new(map, true);
		return map->root ? 0 : -ENOMEM;
	}
	if (map->root->n < NODE_MAX)
		return 0;
	root = node_new(map, false);
	if (!root)
		return -ENOMEM;
	root->child[0] = map->root;
	ret = split_child(map, root, 0);
	if (ret) {
		node_free(map, root);
		return ret;
	}
	map->root = root;
	return 0;
}

/* Takes @e over, unless it fails. */
static int insert_entry(struct nexus_omap *map, struct nexus_omap_entry *e)
{
	struct hint h = key_hint(e->data, e->klen);
	struct nexus_omap_node *node;
	bool equal;
	unsigned int i;
	int ret;

	ret = grow_root(map);
	if (ret)
		return ret;
	node = map->root;
	for (;;) {
		i = node_search(node, h, e->data, e->klen, &equal);
		if (node->leaf)
			break;
		if (node->child[i]->n == NODE_MAX) {
			ret = split_child(map, node, i);
			if (ret)
				return ret;
			/* The key that came up decides the side. */
			i = node_search(node, h, e->data, e->klen, &equal);
		}
		node = node->child[i];
	}
	move_entries(node, i + 1, node, i, node->n - i);
	node->hint[i] = h;
	node->entry[i] = e;
	node->n++;
	map->count++;
	map->bytes += entry_size(e);
	return 0;
}

static struct nexus_omap_entry **find_slot(const struct nexus_omap *map,
					   const void *key, size_t klen)
{
	struct nexus_omap_node *node = map->root;
	struct hint h;

	if (!node || !klen)
		return NULL;
	h = key_hint(key, klen);
	for (;;) {
		bool equal;
		unsigned int i = node_search(node, h, key, klen, &equal);

		if (equal)
			return &node->entry[i];
		if (node->leaf)
			return NULL;
		node = node->child[i];
	}
}

static int put_entry(struct nexus_omap *map, const void *key, size_t klen,
		     const void *val, size_t vlen, bool tombstone)
{
	struct nexus_omap_entry **slot = find_slot(map, key, klen);
	struct nexus_omap_entry *e;
	int ret;

	if (slot && (*slot)->vlen == vlen) {
		if (vlen)
			memcpy((*slot)->data + klen, val, vlen);
		(*slot)->tombstone = tombstone;
		return 0;
	}
	e = nexus_alloc(sizeof(*e) + klen + vlen);
	if (!e)
		return -ENOMEM;
	e->klen = (u16)klen;
	e->vlen = (u32)vlen;
	e->tombstone = tombstone;
	memcpy(e->data, key, klen);
	if (vlen)
		memcpy(e->data + klen, val, vlen);
	if (slot) {
		entry_free(map, *slot);
		map->bytes += entry_size(e);
		*slot = e;
		return 0;
	}
	ret = insert_entry(map, e);
	if (ret)
		nexus_free(e);
	return ret;
}

int nexus_omap_put(struct nexus_omap *map, const void *key, size_t klen,
		   const void *val, size_t vlen)
{
	if (!klen || klen > NEXUS_KEY_MAX || vlen > NEXUS_VALUE_MAX)
		return -EINVAL;
	return put_entry(map, key, klen, val, vlen, false);
}

int nexus_omap_tombstone(struct nexus_omap *map, const void *key, size_t klen)
{
	if (!klen || klen > NEXUS_KEY_MAX)
		return -EINVAL;
	return put_entry(map, key, klen, NULL, 0, true);
}

const struct nexus_omap_entry *
nexus_omap_find(const struct nexus_omap *map, const void *key, size_t klen)
{
	struct nexus_omap_entry **slot = find_slot(map, key, klen);

	return slot ? *slot : NULL;
}

const struct nexus_omap_entry *
nexus_omap_lower(const struct nexus_omap *map, const void *key, size_t klen,
		 bool after)
{
	const struct nexus_omap_entry *best = NULL;
	const struct nexus_omap_node *node = map->root;
	struct hint h = { 0, 0 };

	if (klen)
		h = key_hint(key, klen);
	while (node) {
		unsigned int i = 0;
		bool equal = false;

		if (klen)
			i = node_search(node, h, key, klen, &equal);
		if (equal && !after)
			return node->entry[i];
		if (equal)
			i++;
		if (i < node->n)
			best = node->entry[i];
		node = node->leaf ? NULL : node->child[i];
	}
	return best;
}

/* Joins child @i, the separator and child @i + 1 into child @i. */
static void merge_children(struct nexus_omap *map,
			   struct nexus_omap_node *node, unsigned int i)
{
	struct nexus_omap_node *left = node->child[i];
	struct nexus_omap_node *right = node->child[i + 1];

	move_entries(left, left->n, node, i, 1);
	move_entries(left, left->n + 1, right, 0, right->n);
	if (!left->leaf)
		move_children(left, left->n + 1, right, 0, right->n + 1);
	left->n += right->n + 1;
	move_entries(node, i, node, i + 1, node->n - i - 1);
	move_children(node, i + 1, node, i + 2, node->n - i - 1);
	node->n--;
	node_free(map, right);
}

static void borrow_left(struct nexus_omap_node *node, unsigned int i)
{
	struct nexus_omap_node *child = node->child[i];
	struct nexus_omap_node *left = node->child[i - 1];

	move_entries(child, 1, child, 0, child->n);
	move_entries(child, 0, node, i - 1, 1);
	if (!child->leaf) {
		move_children(child, 1, child, 0, child->n + 1);
		child->child[0] = left->child[left->n];
	}
	child->n++;
	move_entries(node, i - 1, left, left->n - 1, 1);
	left->n--;
}

static void borrow_right(struct nexus_omap_node *node, unsigned int i)
{
	struct nexus_omap_node *child = node->child[i];
	struct nexus_omap_node *right = node->child[i + 1];

	move_entries(child, child->n, node, i, 1);
	if (!child->leaf)
		child->child[child->n + 1] = right->child[0];
	child->n++;
	move_entries(node, i, right, 0, 1);
	move_entries(right, 0, right, 1, right->n - 1);
	if (!right->leaf)
		move_children(right, 0, right, 1, right->n);
	right->n--;
}

/*
 * Gives child @i more than the minimum, so that one may go below it.  Returns
 * the child to go on with.
 */
static struct nexus_omap_node *fill_child(struct nexus_omap *map,
					  struct nexus_omap_node *node,
					  unsigned int i)
{
	if (node->child[i]->n > NODE_MIN)
		return node->child[i];
	if (i && node->child[i - 1]->n > NODE_MIN) {
		borrow_left(node, i);
		return node->child[i];
	}
	if (i < node->n && node->child[i + 1]->n > NODE_MIN) {
		borrow_right(node, i);
		return node->child[i];
	}
	if (i == node->n)
		i--;
	merge_children(map, node, i);
	return node->child[i];
}

/* Takes the largest (or smallest) entry below @node out into slot @i of @to. */
static void pull_up(struct nexus_omap *map, struct nexus_omap_node *node,
		    bool largest, struct nexus_omap_node *to, unsigned int i)
{
	while (!node->leaf)
		node = fill_child(map, node, largest ? node->n : 0);
	if (largest) {
		move_entries(to, i, node, node->n - 1u, 1);
	} else {
		move_entries(to, i, node, 0, 1);
		move_entries(node, 0, node, 1, node->n - 1u);
	}
	node->n--;
}

bool nexus_omap_remove(struct nexus_omap *map, const void *key, size_t klen)
{
	struct nexus_omap_entry **slot = find_slot(map, key, klen);
	struct nexus_omap_entry *victim;
	struct nexus_omap_node *node = map->root;
	struct hint h;

	if (!slot)
		return false;
	victim = *slot;
	h = key_hint(key, klen);
	for (;;) {
		bool equal;
		unsigned int i = node_search(node, h, key, klen, &equal);

		if (equal && node->leaf) {
			move_entries(node, i, node, i + 1, node->n - i - 1u);
			node->n--;
			break;
		}
		if (equal && node->child[i]->n > NODE_MIN) {
			pull_up(map, node->child[i], true, node, i);
			break;
		}
		if (equal && node->child[i + 1]->n > NODE_MIN) {
			pull_up(map, node->child[i + 1], false, node, i);
			break;
		}
		if (equal) {
			merge_children(map, node, i);
			node = node->child[i];
		} else {
			node = fill_child(map, node, i);
		}
	}
	node = map->root;
	if (!node->n) {
		map->root = node->leaf ? NULL : node->child[0];
		node_free(map, node);
	}
	map->count--;
	entry_free(map, victim);
	return true;
}

/* Recursion is as deep as the tree: 21^8 entries are out of reach. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void free_tree(struct nexus_omap *map, struct nexus_omap_node *node)
{
	unsigned int i;

	for (i = 0; i < node->n; i++)
		entry_free(map, node->entry[i]);
	if (!node->leaf)
		for (i = 0; i <= node->n; i++)
			free_tree(map, node->child[i]);
	node_free(map, node);
}

void nexus_omap_destroy(struct nexus_omap *map)
{
	if (map->root)
		free_tree(map, map->root);
	map->root = NULL;
	map->count = 0;
}

/* ---- the key-value view ------------------------------------------- */

static int copy_value(const struct nexus_omap_entry *e, void *buf, size_t cap)
{
	size_t n = NEXUS_MIN((size_t)e->vlen, cap);

	if (n)
		memcpy(buf, nexus_omap_val(e), n);
	return (int)e->vlen;
}

static int view_get(struct nexus_kv *kv, const void *key, size_t klen,
		    void *buf, size_t cap)
{
	struct nexus_omap *map = NEXUS_CONTAINER(kv, struct nexus_omap, kv);
	const struct nexus_omap_entry *e = nexus_omap_find(map, key, klen);

	return e && !e->tombstone ? copy_value(e, buf, cap) : -ENOENT;
}

static int view_put(struct nexus_kv *kv, const void *key, size_t klen,
		    const void *val, size_t vlen)
{
	return nexus_omap_put(NEXUS_CONTAINER(kv, struct nexus_omap, kv),
			      key, klen, val, vlen);
}

static int view_del(struct nexus_kv *kv, const void *key, size_t klen)
{
	nexus_omap_remove(NEXUS_CONTAINER(kv, struct nexus_omap, kv), key, klen);
	return 0;
}

static int view_seek(struct nexus_kv *kv, void *key, size_t *klen, void *buf,
		     size_t cap)
{
	struct nexus_omap *map = NEXUS_CONTAINER(kv, struct nexus_omap, kv);
	const struct nexus_omap_entry *e = nexus_omap_lower(map, key, *klen, false);

	while (e && e->tombstone)
		e = nexus_omap_lower(map, e->data, e->klen, true);
	if (!e)
		return -ENOENT;
	memcpy(key, e->data, e->klen);
	*klen = e->klen;
	return copy_value(e, buf, cap);
}

static const struct nexus_kv_ops omap_kv_ops = {
	.get	= view_get,
	.put	= view_put,
	.del	= view_del,
	.seek	= view_seek,
};

void nexus_omap_init(struct nexus_omap *map)
{
	map->kv.ops = &omap_kv_ops;
	map->root = NULL;
	map->count = 0;
	map->bytes = 0;
}
