// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Path locks: who waits for himself, and who is in the way.
 *
 * The search for a cycle goes from the locks that the waiter holds to those who wait
 * for them, to the locks that those hold, and so on: who waits for a lock is in the
 * queues of its path, while who holds what one waits for may be anywhere below.
 */
#include "plock_impl.h"

#define WHO_LOOK	4096	/* steps of nexus_plock_who() at most */

struct search {
	struct nexus_plock_table *t;
	struct nexus_plock *start;
	struct nexus_plock *todo;	/* those that wait for the start, by mark_next */
	bool found;
};

static bool step(struct search *s)
{
	return !s->found && ++s->t->looked < NEXUS_PLOCK_LOOK;
}

/* Those in the queues of @n that @lk, with @ticket and @mode there, is in the way of. */
static void mark_queue(struct search *s, const struct nexus_plock *lk,
		       const struct nexus_plock_node *n, u8 mode, u64 ticket)
{
	u8 which = n->queued & nexus_plock_conflicts(mode);
	struct nexus_plock *q;
	int m;

	for (m = NEXUS_PLM_IS; m < NEXUS_PLM_MAX; m++) {
		if (!(which & NEXUS_PLOCK_BIT(m)))
			continue;
		for (q = n->queue[m].last; q && q->ticket > ticket && step(s);
		     q = q->queue_prev) {
			/* What one holds is in no way to more of it. */
			if (q == lk)
				continue;
			if (q == s->start)
				s->found = true;
			if (q->mark == s->t->mark)
				continue;
			q->mark = s->t->mark;
			q->mark_next = s->todo;
			s->todo = q;
		}
	}
}

/* Who waits for @lk, which holds something, waits for something, or both. */
static void mark_blocked(struct search *s, const struct nexus_plock *lk)
{
	struct nexus_plock_node *n;
	bool above = false;
	u8 mode;

	for (n = lk->node; n && step(s); n = nexus_plock_up(lk, n)) {
		mode = above ? lk->want : lk->held;
		/* What is granted is in the way of all. */
		if (mode && n->queued)
			mark_queue(s, lk, n, nexus_plock_mode_at(lk, n, mode), 0);
		if (n == lk->at) {
			mark_queue(s, lk, n, nexus_plock_mode_at(lk, n, lk->want),
				   lk->ticket);
			above = true;
		}
	}
}

/* Who waits for whoever waits with @lk. */
static void mark_waiter(struct search *s, const struct nexus_plock *lk)
{
	u32 i = nexus_plock_owner_bucket(lk->waiter);
	struct nexus_plock *held;

	mark_blocked(s, lk);
	for (held = s->t->owners[i]; held && step(s); held = held->owner_next)
		if (held->owner == lk->waiter && held != lk)
			mark_blocked(s, held);
}

bool nexus_plock_cycle(struct nexus_plock_table *t, struct nexus_plock *lk)
{
	struct search s = { .t = t, .start = lk };
	struct nexus_plock *q;

	t->mark++;
	t->looked = 0;
	mark_waiter(&s, lk);
	while (s.todo && !s.found && t->looked < NEXUS_PLOCK_LOOK) {
		q = s.todo;
		s.todo = q->mark_next;
		mark_waiter(&s, q);
	}
	return s.found;
}

/* ---- who is in the way ---------------------------------------------------------- */

static bool in_the_way(const struct nexus_plock *lk, u8 mode)
{
	return lk->held == NEXUS_PLM_X ||
	       (lk->held == NEXUS_PLM_S && mode == NEXUS_PLM_X);
}

static void who_is(struct nexus_plock_who *who, u8 where,
		   const struct nexus_plock *lk, u8 mode)
{
	who->where = where;
	who->lk = lk;
	who->mode = mode;
	who->ino = lk->node->ino;
}

/* Whether somebody else than @not holds @n itself; who, if that is found in time. */
static bool who_at(const struct nexus_plock_node *n, const struct nexus_plock *not,
		   u8 mode, u8 where, u32 *left, struct nexus_plock_who *who)
{
	u8 bits = n->held & nexus_plock_conflicts(mode) &
		  (NEXUS_PLOCK_BIT(NEXUS_PLM_S) | NEXUS_PLOCK_BIT(NEXUS_PLM_X));
	const struct nexus_plock *lk;

	if (not && not->node == n && not->held && n->count[not->held] == 1)
		bits &= ~NEXUS_PLOCK_BIT(not->held);
	if (!bits)
		return false;
	who->where = where;
	for (lk = n->placed; lk && *left; lk = lk->node_next) {
		--*left;
		if (lk == not || !in_the_way(lk, mode))
			continue;
		who_is(who, where, lk, lk->held);
		break;
	}
	return true;
}

/* One of those who hold something below @n, where somebody does. */
static void who_below(const struct nexus_plock_node *n, u8 mode, u32 *left,
		      struct nexus_plock_who *who)
{
	u8 below = nexus_plock_conflicts(mode) &
		   (NEXUS_PLOCK_BIT(NEXUS_PLM_IS) | NEXUS_PLOCK_BIT(NEXUS_PLM_IX));
	const struct nexus_plock_node *c;
	const struct nexus_plock *lk;

	who->where = NEXUS_PLOCK_BELOW;
	while (n) {
		for (lk = n->files; lk && *left; lk = lk->dir_next) {
			--*left;
			if (in_the_way(lk, mode)) {
				who_is(who, NEXUS_PLOCK_BELOW, lk, lk->held);
				return;
			}
		}
		for (c = n->children; c && *left; c = c->child_next) {
			--*left;
			if (who_at(c, NULL, mode, NEXUS_PLOCK_BELOW, left, who))
				return;
			if (c->held & below)
				break;
		}
		n = *left ? c : NULL;
	}
}

void nexus_plock_who(struct nexus_plock_table *t, struct nexus_plock *lk, u8 mode,
		     struct nexus_plock_who *who)
{
	u32 left = WHO_LOOK;
	struct nexus_plock_node *n;
	const struct nexus_plock *q;
	u8 conflicts;
	int m;

	(void)t;
	memset(who, 0, sizeof(*who));
	if (!lk->node)
		return;
	for (n = lk->node; n; n = nexus_plock_up(lk, n)) {
		if (who_at(n, lk, mode, n == lk->node ? NEXUS_PLOCK_HERE :
							NEXUS_PLOCK_ABOVE,
			   &left, who))
			return;
	}
	n = lk->node;
	if (n->held & nexus_plock_conflicts(mode) &
	    (NEXUS_PLOCK_BIT(NEXUS_PLM_IS) | NEXUS_PLOCK_BIT(NEXUS_PLM_IX))) {
		who_below(n, mode, &left, who);
		return;
	}
	for (; n; n = nexus_plock_up(lk, n)) {
		conflicts = nexus_plock_conflicts(nexus_plock_mode_at(lk, n, mode));
		/* Who holds something goes ahead of them. */
		for (m = NEXUS_PLM_IS; !lk->held && m < NEXUS_PLM_MAX; m++) {
			q = conflicts & NEXUS_PLOCK_BIT(m) ? n->queue[m].first : NULL;
			if (!q)
				continue;
			who_is(who, NEXUS_PLOCK_QUEUE, q, q->want);
			return;
		}
	}
}

bool nexus_plock_each(struct nexus_plock_table *t, u32 i,
		      void (*fn)(void *arg, const struct nexus_plock *lk), void *arg)
{
	const struct nexus_plock_node *n;
	const struct nexus_plock *lk;
	bool there;

	nexus_spin_lock(&t->lock);
	there = t->hash && i < 1u << t->hash_bits;
	for (n = there ? t->hash[i] : NULL; n; n = n->hash_next)
		for (lk = n->placed; lk; lk = lk->node_next)
			fn(arg, lk);
	nexus_spin_unlock(&t->lock);
	return there;
}
