// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_FIRST	1024u

/* The root is 1; what was listed is numbered from NEXUS_FIRST_INO on. */
static size_t slot(u64 ino)
{
	return ino == NEXUS_ROOT_INO ? 0 : (size_t)(ino - NEXUS_FIRST_INO + 1);
}

static u64 number(size_t at)
{
	return at ? at - 1 + NEXUS_FIRST_INO : NEXUS_ROOT_INO;
}

/* ---- finding ------------------------------------------------------------------ */

struct bnode *btree_node(const struct btree *t, u64 ino)
{
	if (ino != NEXUS_ROOT_INO && ino < NEXUS_FIRST_INO)
		return NULL;
	return slot(ino) < t->n ? t->nodes[slot(ino)] : NULL;
}

static size_t hash(u64 parent, const char *name, size_t len)
{
	u64 h = parent * 0x9e3779b97f4a7c15ull + 0xcbf29ce484222325ull;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (u8)name[i]) * 0x100000001b3ull;
	return (size_t)(h ^ h >> 32);
}

struct bnode *btree_find(const struct btree *t, u64 parent, const char *name, size_t len,
			 u64 *ino)
{
	struct bnode *node;

	*ino = t->hash[hash(parent, name, len) & (t->nhash - 1)];
	while (*ino) {
		node = btree_node(t, *ino);
		if (node->parent == parent && node->namelen == len &&
		    !memcmp(node->name, name, len))
			return node;
		*ino = node->hash_next;
	}
	return NULL;
}

struct bnode *btree_at(const struct btree *t, u64 vblock, u64 *ino)
{
	size_t low = 0, high = t->n, mid;

	/* The last whose room begins there or before: those without any share theirs. */
	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (t->nodes[mid]->vblock <= vblock)
			low = mid;
		else
			high = mid;
	}
	*ino = number(low);
	if (vblock - t->nodes[low]->vblock >= bnode_blocks(t->nodes[low]) || t->nodes[low]->dir)
		return NULL;
	return t->nodes[low];
}

int btree_key(const struct btree *t, u64 ino, char key[BUCKET_KEY_MAX + 1])
{
	const struct bnode *node = btree_node(t, ino);
	size_t at = BUCKET_KEY_MAX, len;

	if (!node)
		return -ENOENT;
	key[at] = '\0';
	for (; ino != NEXUS_ROOT_INO; ino = node->parent, node = btree_node(t, ino)) {
		len = node->namelen + (size_t)!!node->dir;
		if (len > at)
			return -ENAMETOOLONG;
		at -= len;
		memcpy(key + at, node->name, node->namelen);
		if (node->dir)
			key[at + node->namelen] = '/';
	}
	memmove(key, key + at, BUCKET_KEY_MAX + 1 - at);
	return 0;
}

/* ---- making -------------------------------------------------------------------- */

static int grow_hash(struct btree *t)
{
	size_t n = t->nhash ? t->nhash * 2 : HASH_FIRST, i, at;
	u64 *table;

	if (t->n < t->nhash)
		return 0;
	table = calloc(n, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (i = 1; i < t->n; i++) {
		struct bnode *node = t->nodes[i];

		if (node->gone)
			continue;
		at = hash(node->parent, node->name, node->namelen) & (n - 1);
		node->hash_next = table[at];
		table[at] = number(i);
	}
	free(t->hash);
	t->hash = table;
	t->nhash = n;
	return 0;
}

static int grow(struct btree *t)
{
	struct bnode **nodes;

	if (grow_hash(t))
		return -ENOMEM;
	if (t->n < t->cap)
		return 0;
	nodes = realloc(t->nodes, (t->cap ? t->cap * 2 : 256) * sizeof(struct bnode *));
	if (!nodes)
		return -ENOMEM;
	t->nodes = nodes;
	t->cap = t->cap ? t->cap * 2 : 256;
	return 0;
}

static struct bnode *new_node(const char *name, const char *etag, bool is_dir)
{
	size_t len = strlen(name), taglen = strlen(etag);
	struct bnode *node = calloc(1, sizeof(*node) + len + 1 + taglen + 1);

	if (!node)
		return NULL;
	node->namelen = (u8)len;
	strcpy(node->name, name);
	node->etag = node->name + len + 1;
	strcpy(node->etag, etag);
	node->dir = is_dir ? calloc(1, sizeof(*node->dir)) : NULL;
	if (!is_dir || node->dir)
		return node;
	free(node);
	return NULL;
}

static void free_node(struct bnode *node)
{
	if (node->dir)
		free(node->dir->kids);
	free(node->dir);
	free(node);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

int btree_init(struct btree *t, u64 born)
{
	memset(t, 0, sizeof(*t));
	pthread_rwlock_init(&t->lock, NULL);
	t->keep_fd = -1;
	t->born = born;
	if (grow(t))
		return -ENOMEM;
	t->nodes[0] = new_node("", "", true);
	if (!t->nodes[0])
		return -ENOMEM;
	t->n = 1;
	t->nodes[0]->parent = NEXUS_ROOT_INO;
	t->nodes[0]->mtime = born;
	t->nodes[0]->dir->version = now_ns();
	return 0;
}

void btree_free(struct btree *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free_node(t->nodes[i]);
	free(t->nodes);
	free(t->hash);
	free(t->kept);
	pthread_rwlock_destroy(&t->lock);
}

/* Room that an extent of the index never leaves: a window of one lies in one pack. */
static u64 room(const struct btree *t, u64 blocks)
{
	u64 at = t->next_vblock, left = BTREE_PACK_BLOCKS - at % BTREE_PACK_BLOCKS;

	if (blocks > NEXUS_EXTENT_BLOCKS_MAX)
		return NEXUS_ALIGN(at, (u64)NEXUS_EXTENT_BLOCKS_MAX);
	return blocks > left ? at + left : at;
}

/* At position @pos of its directory; 0: at a new one. */
static int enter(struct btree *t, struct bnode *node, u64 ino, u64 pos)
{
	struct bdir *d = btree_node(t, node->parent)->dir;
	u64 *kids, cap;

	if (!pos)
		pos = NEXUS_FIRST_POS + d->nkids;
	if (pos - NEXUS_FIRST_POS >= d->cap) {
		cap = NEXUS_MAX(d->cap * 2, pos - NEXUS_FIRST_POS + 16);
		kids = realloc(d->kids, cap * sizeof(*kids));
		if (!kids)
			return -ENOMEM;
		memset(kids + d->cap, 0, (cap - d->cap) * sizeof(*kids));
		d->kids = kids;
		d->cap = cap;
	}
	node->pos = pos;
	d->kids[pos - NEXUS_FIRST_POS] = ino;
	d->nkids = NEXUS_MAX(d->nkids, pos - NEXUS_FIRST_POS + 1);
	d->children++;
	d->subdirs += !!node->dir;
	return 0;
}

static void count(struct btree *t, const struct bnode *node, int sign)
{
	t->files += (u64)sign;
	if (!node->dir)
		t->blocks += (u64)sign * bnode_blocks(node);
}

static void put_hash(struct btree *t, struct bnode *node, u64 ino)
{
	size_t at = hash(node->parent, node->name, node->namelen) & (t->nhash - 1);

	node->hash_next = t->hash[at];
	t->hash[at] = ino;
}

static void take_hash(struct btree *t, const struct bnode *node, u64 ino)
{
	u64 *at = &t->hash[hash(node->parent, node->name, node->namelen) & (t->nhash - 1)];

	while (*at != ino)
		at = &btree_node(t, *at)->hash_next;
	*at = node->hash_next;
}

/* The new inode of @node, which becomes the tree's; 0: no memory. */
static u64 add(struct btree *t, struct bnode *node, u64 pos)
{
	u64 ino = number(t->n), blocks = node->dir ? 0 : bnode_blocks(node);

	if (grow(t) || enter(t, node, ino, pos)) {
		free_node(node);
		return 0;
	}
	node->vblock = blocks ? room(t, blocks) : t->next_vblock;
	t->next_vblock = node->vblock + blocks;
	if (node->dir)
		node->dir->version = now_ns();
	t->nodes[t->n++] = node;
	put_hash(t, node, ino);
	count(t, node, 1);
	btree_keep(t, ino);
	return ino;
}

static void end(struct btree *t, u64 ino)
{
	struct bnode *node = btree_node(t, ino);
	struct bdir *d = btree_node(t, node->parent)->dir;

	take_hash(t, node, ino);
	d->kids[node->pos - NEXUS_FIRST_POS] = 0;
	d->children--;
	d->subdirs -= !!node->dir;
	node->gone = true;
	count(t, node, -1);
	btree_keep(t, ino);
}

int btree_put(struct btree *t, u64 ino, const struct bnode *like, const char *name,
	      const char *etag, bool is_dir)
{
	struct bnode *node = btree_node(t, ino), *parent = btree_node(t, like->parent);

	if (node) {
		if (!like->gone || node->gone || ino == NEXUS_ROOT_INO)
			return -EUCLEAN;
		end(t, ino);
		return 0;
	}
	if (ino != number(t->n) || !parent || !parent->dir || like->gone ||
	    like->pos < NEXUS_FIRST_POS || like->pos > parent->dir->nkids + NEXUS_FIRST_POS ||
	    like->vblock < t->next_vblock)
		return -EUCLEAN;
	node = new_node(name, etag, is_dir);
	if (!node)
		return -ENOMEM;
	node->parent = like->parent;
	node->size = like->size;
	node->mtime = like->mtime;
	t->next_vblock = like->vblock;
	if (!add(t, node, like->pos))
		return -ENOMEM;
	return node->vblock == like->vblock ? 0 : -EUCLEAN;
}

/* ---- lists --------------------------------------------------------------------- */

int blist_add(struct blist *l, size_t skip, const struct bucket_object *o)
{
	const char *name = o->key + NEXUS_MIN(skip, strlen(o->key));
	size_t len = strlen(name);
	struct blist_entry *e;

	/* The mark of the directory itself. */
	if (!len && !o->is_prefix) {
		l->marks++;
		return 0;
	}
	if (o->is_prefix && len && name[len - 1] == '/')
		len--;
	if (!nexus_name_ok(name, len)) {
		l->bad_names++;
		return 0;
	}
	if (o->size > NEXUS_SIZE_MAX) {
		l->bad_sizes++;
		return 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;

		e = realloc(l->e, cap * sizeof(*e));
		if (!e)
			return -ENOMEM;
		l->e = e;
		l->cap = cap;
	}
	e = &l->e[l->n];
	e->name = strndup(name, len);
	e->etag = strdup(o->is_prefix || strlen(o->etag) >= BUCKET_ETAG_MAX ? "" : o->etag);
	if (!e->name || !e->etag) {
		free(e->name);
		free(e->etag);
		return -ENOMEM;
	}
	e->size = o->is_prefix ? 0 : o->size;
	e->mtime = o->mtime > 0 ? (u64)o->mtime : 0;
	e->is_dir = o->is_prefix;
	l->n++;
	return 0;
}

void blist_free(struct blist *l)
{
	while (l->n) {
		l->n--;
		free(l->e[l->n].name);
		free(l->e[l->n].etag);
	}
	free(l->e);
	memset(l, 0, sizeof(*l));
}

/* Of one name the directory comes first. */
static int by_name(const void *a, const void *b)
{
	const struct blist_entry *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (int)y->is_dir - (int)x->is_dir;
}

/* ---- merging ------------------------------------------------------------------- */

static bool same(const struct bnode *node, const struct blist_entry *e)
{
	if (node->dir || e->is_dir)
		return node->dir && e->is_dir;
	return node->size == e->size && node->mtime == e->mtime && !strcmp(node->etag, e->etag);
}

static int set_name(struct btree *t, u64 parent, const struct blist_entry *e, u64 now,
		    struct bmerge *m)
{
	u64 ino, pos = 0;
	struct bnode *node = btree_find(t, parent, e->name, strlen(e->name), &ino);
	u64 old = node ? ino : 0;

	if (node && same(node, e)) {
		node->seen = now;
		return 0;
	}
	if (node)
		pos = node->pos;
	node = new_node(e->name, e->etag, e->is_dir);
	if (!node)
		return -ENOMEM;
	node->parent = parent;
	node->size = e->size;
	node->mtime = e->is_dir ? t->born : e->mtime;
	node->seen = now;
	/* The memory it takes first: a name that is there stays if there is none. */
	if (grow(t)) {
		free_node(node);
		return -ENOMEM;
	}
	if (old)
		end(t, old);
	if (!add(t, node, pos))
		return -ENOMEM;
	if (old)
		m->changed++;
	else
		m->added++;
	return 0;
}

/* A directory is another now. */
static void touch(struct btree *t, u64 ino, const struct bmerge *m)
{
	struct bnode *node = btree_node(t, ino);

	btree_keep_write(t);
	if (!m->added && !m->changed && !m->removed)
		return;
	/* When it is first listed it becomes what it was all the time. */
	if (node->dir->listed)
		node->mtime = (u64)time(NULL);
	node->dir->version++;
}

int btree_merge(struct btree *t, u64 ino, struct blist *l, u64 now, struct bmerge *m)
{
	struct bnode *node = btree_node(t, ino), *kid;
	const struct blist_entry *before = NULL;
	u64 at, i;
	int ret = 0;

	memset(m, 0, sizeof(*m));
	if (!node || !node->dir)
		return -ENOTDIR;
	if (l->n)
		qsort(l->e, l->n, sizeof(*l->e), by_name);
	for (i = 0; !ret && i < l->n; i++) {
		const struct blist_entry *e = &l->e[i];

		/* A listing that changed meanwhile may have one twice. */
		if (before && !strcmp(before->name, e->name)) {
			l->hidden += before->is_dir && !e->is_dir;
			continue;
		}
		ret = set_name(t, ino, e, now, m);
		before = e;
	}
	for (at = 0; !ret && at < node->dir->nkids; at++) {
		i = node->dir->kids[at];
		kid = i ? btree_node(t, i) : NULL;
		if (!kid || kid->seen == now)
			continue;
		end(t, i);
		m->removed++;
	}
	touch(t, ino, m);
	if (ret)
		return ret;
	node->dir->listed = now;
	node->dir->hidden = l->bad_names + l->bad_sizes + l->hidden;
	return 0;
}

int btree_set(struct btree *t, u64 parent, const char *name, const struct blist_entry *e,
	      u64 now, struct bmerge *m)
{
	struct bnode *dir = btree_node(t, parent), *node;
	u64 ino;
	int ret = 0;

	memset(m, 0, sizeof(*m));
	if (!dir || !dir->dir)
		return -ENOTDIR;
	node = btree_find(t, parent, name, strlen(name), &ino);
	if (e) {
		ret = set_name(t, parent, e, now, m);
	} else if (node) {
		end(t, ino);
		m->removed++;
	}
	touch(t, parent, m);
	return ret;
}
