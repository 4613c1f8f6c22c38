// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Path locks: nodes, where something is, and renames. */
#include "plock_impl.h"

#define HASH_GROW	3
#define HASH_BITS_MAX	17

void nexus_plock_init(struct nexus_plock_table *t)
{
	memset(t, 0, sizeof(*t));
	nexus_spin_init(&t->lock);
}

void nexus_plock_fini(struct nexus_plock_table *t)
{
	nexus_free(t->hash);
	t->hash = NULL;
}

/* ---- nodes ---------------------------------------------------------------------- */

static struct nexus_plock_node **bucket(struct nexus_plock_table *t, u64 ino)
{
	return &t->hash[ino * 0x9e3779b97f4a7c15ull >> (64 - t->hash_bits)];
}

struct nexus_plock_node *nexus_plock_find(struct nexus_plock_table *t, u64 ino)
{
	struct nexus_plock_node *n;

	if (!t->hash)
		return NULL;
	for (n = *bucket(t, ino); n; n = n->hash_next)
		if (n->ino == ino)
			return n;
	return NULL;
}

static void hash_add(struct nexus_plock_table *t, struct nexus_plock_node *n)
{
	struct nexus_plock_node **head = bucket(t, n->ino);

	n->hash_next = *head;
	*head = n;
}

static void hash_del(struct nexus_plock_table *t, struct nexus_plock_node *n)
{
	struct nexus_plock_node **at = bucket(t, n->ino);

	while (*at != n)
		at = &(*at)->hash_next;
	*at = n->hash_next;
}

/* How large the table should be; more than it is: somebody has to allocate. */
static u32 hash_bits(const struct nexus_plock_table *t)
{
	u32 bits = t->hash ? t->hash_bits : NEXUS_PLOCK_HASH_BITS;

	if (t->hash && t->nodes >> (bits + 1) && bits < HASH_BITS_MAX)
		bits = NEXUS_MIN(bits + HASH_GROW, HASH_BITS_MAX);
	return bits;
}

/* Takes the place of the one that is there, which is returned. */
static struct nexus_plock_node **hash_replace(struct nexus_plock_table *t,
					      struct nexus_plock_node **hash,
					      u32 bits)
{
	struct nexus_plock_node **old = t->hash, *n;
	u32 i, size = old ? 1u << t->hash_bits : 0;

	t->hash = hash;
	t->hash_bits = bits;
	for (i = 0; i < size; i++) {
		while ((n = old[i])) {
			old[i] = n->hash_next;
			hash_add(t, n);
		}
	}
	return old;
}

void nexus_plock_link_child(struct nexus_plock_node *parent,
			    struct nexus_plock_node *n)
{
	n->parent = parent;
	n->child_prev = NULL;
	n->child_next = parent->children;
	if (n->child_next)
		n->child_next->child_prev = n;
	parent->children = n;
	parent->refs++;
}

/* The reference of the parent is the caller's then. */
void nexus_plock_unlink_child(struct nexus_plock_node *n)
{
	if (n->child_next)
		n->child_next->child_prev = n->child_prev;
	if (n->child_prev)
		n->child_prev->child_next = n->child_next;
	else
		n->parent->children = n->child_next;
	n->parent = NULL;
}

void nexus_plock_link_file(struct nexus_plock *lk, struct nexus_plock_node *dir)
{
	lk->dir = dir;
	lk->dir_prev = NULL;
	lk->dir_next = dir->files;
	if (lk->dir_next)
		lk->dir_next->dir_prev = lk;
	dir->files = lk;
	dir->refs++;
}

/* The reference of the directory is the caller's then. */
void nexus_plock_unlink_file(struct nexus_plock *lk)
{
	if (lk->dir_next)
		lk->dir_next->dir_prev = lk->dir_prev;
	if (lk->dir_prev)
		lk->dir_prev->dir_next = lk->dir_next;
	else
		lk->dir->files = lk->dir_next;
	lk->dir = NULL;
}

static void link_placed(struct nexus_plock *lk, struct nexus_plock_node *n)
{
	lk->node = n;
	lk->node_prev = NULL;
	lk->node_next = n->placed;
	if (lk->node_next)
		lk->node_next->node_prev = lk;
	n->placed = lk;
	n->refs++;
}

static void unlink_placed(struct nexus_plock *lk)
{
	if (lk->node_next)
		lk->node_next->node_prev = lk->node_prev;
	if (lk->node_prev)
		lk->node_prev->node_next = lk->node_next;
	else
		lk->node->placed = lk->node_next;
	lk->node = NULL;
}

void nexus_plock_put(struct nexus_plock_table *t, struct nexus_plock_node *n,
		     struct nexus_plock_node **dead)
{
	struct nexus_plock_node *parent;

	while (n && !--n->refs) {
		parent = n->parent;
		hash_del(t, n);
		if (parent)
			nexus_plock_unlink_child(n);
		t->nodes--;
		n->hash_next = *dead;
		*dead = n;
		n = parent;
	}
}

void nexus_plock_bury(struct nexus_plock_node *dead)
{
	struct nexus_plock_node *next;

	for (; dead; dead = next) {
		next = dead->hash_next;
		nexus_free(dead);
	}
}

/* ---- places --------------------------------------------------------------------- */

/* What a place takes that cannot be allocated with the lock held. */
struct spare {
	struct nexus_plock_node *nodes;	/* by hash_next */
	u32	n;
	struct nexus_plock_node **hash;
	u32	bits;
	u32	need;
	u32	need_bits;
};

static int spare_fill(struct spare *s)
{
	struct nexus_plock_node *n;

	while (s->n < s->need) {
		n = nexus_alloc(sizeof(*n));
		if (!n)
			return -ENOMEM;
		memset(n, 0, sizeof(*n));
		n->hash_next = s->nodes;
		s->nodes = n;
		s->n++;
	}
	if (s->bits < s->need_bits) {
		nexus_free(s->hash);
		s->hash = nexus_alloc(sizeof(*s->hash) << s->need_bits);
		if (!s->hash) {
			s->bits = 0;
			return -ENOMEM;
		}
		memset(s->hash, 0, sizeof(*s->hash) << s->need_bits);
		s->bits = s->need_bits;
	}
	return 0;
}

static struct nexus_plock_node *spare_take(struct nexus_plock_table *t,
					   struct spare *s, u64 ino, bool is_dir)
{
	struct nexus_plock_node *n = s->nodes;

	s->nodes = n->hash_next;
	s->n--;
	n->ino = ino;
	n->is_dir = is_dir;
	hash_add(t, n);
	t->nodes++;
	return n;
}

/* 0: placed; 1: more has to be there, see @s; -errno. */
static int place(struct nexus_plock_table *t, struct nexus_plock *lk,
		 const struct nexus_plock_path *path, struct spare *s)
{
	struct nexus_plock_node *n = NULL, *file = NULL, *child;
	u32 i, first = path->is_dir ? 0 : 1;

	if (!path->n)
		return -EUCLEAN;
	if (path->same && !path->same(path->arg))
		return -ESTALE;
	s->need_bits = hash_bits(t);
	if (s->bits > (t->hash ? t->hash_bits : 0)) {
		s->hash = hash_replace(t, s->hash, s->bits);
		s->bits = 0;
	}
	if (!t->hash || s->need_bits > t->hash_bits)
		return 1;
	s->need_bits = 0;
	/* Up to one that is there: from there on the nodes know. */
	for (i = first; i < path->n && !n; i++)
		n = nexus_plock_find(t, path->ino[i]);
	if (n && !n->is_dir)
		return -EUCLEAN;
	s->need = i - first - !!n;
	if (first) {
		file = nexus_plock_find(t, path->ino[0]);
		if (file && file->is_dir)
			return -EUCLEAN;
		s->need += !file;
	}
	if (s->need > s->n)
		return 1;
	for (i -= !!n; i-- > first; n = child) {
		child = spare_take(t, s, path->ino[i], true);
		if (n)
			nexus_plock_link_child(n, child);
	}
	if (first) {
		if (!file)
			file = spare_take(t, s, path->ino[0], false);
		lk->name = path->name;
		if (n)
			nexus_plock_link_file(lk, n);
		n = file;
	}
	if (!n)
		return -EUCLEAN;
	link_placed(lk, n);
	return 0;
}

int nexus_plock_place(struct nexus_plock_table *t, struct nexus_plock *lk,
		      const struct nexus_plock_path *path)
{
	struct spare s = {};
	int ret;

	for (;;) {
		nexus_spin_lock(&t->lock);
		/* Two that place the same come here, too. */
		ret = lk->node ? 0 : place(t, lk, path, &s);
		nexus_spin_unlock(&t->lock);
		if (ret <= 0)
			break;
		ret = spare_fill(&s);
		if (ret)
			break;
	}
	nexus_plock_bury(s.nodes);
	nexus_free(s.hash);
	return ret;
}

const void *nexus_plock_unplace(struct nexus_plock_table *t,
				struct nexus_plock *lk, nexus_wakes *wakes)
{
	struct nexus_plock_node *n, *dead = NULL;
	const void *owner = NULL;

	if (!lk->node)
		return NULL;
	nexus_plock_release(t, lk, &owner, wakes);
	nexus_spin_lock(&t->lock);
	n = lk->dir;
	if (n) {
		nexus_plock_unlink_file(lk);
		nexus_plock_put(t, n, &dead);
	}
	n = lk->node;
	unlink_placed(lk);
	nexus_plock_put(t, n, &dead);
	nexus_spin_unlock(&t->lock);
	nexus_plock_bury(dead);
	return owner;
}

/* ---- renames -------------------------------------------------------------------- */

/* Whether the path of @lk goes through directory @n, or is that name of file @n. */
static bool goes_through(const struct nexus_plock *lk,
			 const struct nexus_plock_node *n, const void *name)
{
	const struct nexus_plock_node *at;

	if (!n->is_dir)
		return lk->node == n && lk->name == name;
	for (at = lk->node; at && at != n; at = nexus_plock_up(lk, at))
		;
	return at;
}

static void count_up(struct nexus_plock_node *n, s32 readers, s32 writers)
{
	for (; n; n = n->parent) {
		nexus_plock_count(n, NEXUS_PLM_IS, readers);
		nexus_plock_count(n, NEXUS_PLM_IX, writers);
	}
}

static void move_dir(struct nexus_plock_table *t, struct nexus_plock_node *n,
		     struct nexus_plock_node *dir, nexus_wakes *wakes,
		     struct nexus_plock_node **dead)
{
	struct nexus_plock_node *old = n->parent, *at;
	s32 r = (s32)(n->count[NEXUS_PLM_IS] + n->count[NEXUS_PLM_S]);
	s32 w = (s32)(n->count[NEXUS_PLM_IX] + n->count[NEXUS_PLM_X]);

	count_up(old, -r, -w);
	nexus_plock_unlink_child(n);
	nexus_plock_link_child(dir, n);
	count_up(dir, r, w);
	for (at = old; at; at = at->parent)
		nexus_plock_regrant(t, at, wakes);
	nexus_plock_put(t, old, dead);
}

static void move_file(struct nexus_plock_table *t, struct nexus_plock *lk,
		      struct nexus_plock_node *dir, nexus_wakes *wakes,
		      struct nexus_plock_node **dead)
{
	struct nexus_plock_node *old = lk->dir, *at;
	s32 r = lk->held == NEXUS_PLM_S, w = lk->held == NEXUS_PLM_X;

	count_up(old, -r, -w);
	nexus_plock_unlink_file(lk);
	nexus_plock_link_file(lk, dir);
	count_up(dir, r, w);
	for (at = old; at; at = at->parent)
		nexus_plock_regrant(t, at, wakes);
	nexus_plock_put(t, old, dead);
}

/* Those that wait on the way begin anew, each with the place it had in the order. */
static void move(struct nexus_plock_table *t, struct nexus_plock_node *n,
		 const void *name, struct nexus_plock_node *dir,
		 nexus_wakes *wakes, struct nexus_plock_node **dead)
{
	struct nexus_plock *lk, *next, *pulled = NULL, **end = &pulled;

	for (lk = t->wait_first; lk; lk = lk->wait_next) {
		if (!goes_through(lk, n, name))
			continue;
		nexus_plock_pull(lk);
		lk->mark_next = NULL;
		*end = lk;
		end = &lk->mark_next;
	}
	if (n->is_dir) {
		move_dir(t, n, dir, wakes, dead);
	} else {
		for (lk = n->placed; lk; lk = lk->node_next)
			if (lk->name == name && lk->dir && lk->dir != dir)
				move_file(t, lk, dir, wakes, dead);
		nexus_plock_regrant(t, n, wakes);
	}
	for (lk = pulled; lk; lk = next) {
		next = lk->mark_next;
		nexus_plock_submit(t, lk, wakes);
	}
	/* Anybody may wait for somebody else than before. */
	for (lk = t->wait_first; lk; lk = lk->wait_next)
		nexus_plock_check_add(t, lk);
	nexus_plock_check(t, wakes);
}

void nexus_plock_moved(struct nexus_plock_table *t, u64 ino, const void *name,
		       const struct nexus_plock *dir, nexus_wakes *wakes)
{
	struct nexus_plock_node *n, *at, *dead = NULL;

	nexus_spin_lock(&t->lock);
	n = nexus_plock_find(t, ino);
	/* Not below itself, nor where it is. */
	for (at = dir->node; at && at != n; at = at->parent)
		;
	if (n && dir->node && !at && (!n->is_dir || (n->parent && n->parent != dir->node)))
		move(t, n, name, dir->node, wakes, &dead);
	nexus_spin_unlock(&t->lock);
	nexus_plock_bury(dead);
}
