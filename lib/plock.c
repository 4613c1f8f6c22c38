// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Path locks: who gets what, and who waits. */
#include "plock_impl.h"

#define TICKET_NEW	(1ull << 63)	/* of those who hold nothing: behind those who do */

/* ---- what is granted ------------------------------------------------------------ */

void nexus_plock_count(struct nexus_plock_node *n, u8 mode, s32 add)
{
	n->count[mode] += (u32)add;
	if (n->count[mode])
		n->held |= NEXUS_PLOCK_BIT(mode);
	else
		n->held &= ~NEXUS_PLOCK_BIT(mode);
}

/* From one mode to another; either may be none. */
static void change(const struct nexus_plock *lk, struct nexus_plock_node *n,
		   u8 from, u8 to)
{
	if (from)
		nexus_plock_count(n, nexus_plock_mode_at(lk, n, from), -1);
	if (to)
		nexus_plock_count(n, nexus_plock_mode_at(lk, n, to), 1);
}

/* Whether others hold at @n what does not go with @mode. */
static bool held_against(const struct nexus_plock *lk,
			 const struct nexus_plock_node *n, u8 mode)
{
	u8 in = n->held, own;

	if (lk->held) {
		own = nexus_plock_mode_at(lk, n, lk->held);
		if (n->count[own] == 1)
			in &= ~NEXUS_PLOCK_BIT(own);
	}
	return in & nexus_plock_conflicts(mode);
}

/* Whether somebody waits at @n that one with @ticket must not overtake. */
static bool queued_against(const struct nexus_plock_node *n, u8 mode, u64 ticket)
{
	u8 in = n->queued & nexus_plock_conflicts(mode);
	int m;

	for (m = NEXUS_PLM_IS; in && m < NEXUS_PLM_MAX; m++)
		if (in & NEXUS_PLOCK_BIT(m) && n->queue[m].first->ticket < ticket)
			return true;
	return false;
}

static void own(struct nexus_plock_table *t, struct nexus_plock *lk)
{
	struct nexus_plock **head =
		&t->owners[nexus_plock_owner_bucket(lk->owner)];

	lk->owner_prev = NULL;
	lk->owner_next = *head;
	if (*head)
		(*head)->owner_prev = lk;
	*head = lk;
}

static void disown(struct nexus_plock_table *t, struct nexus_plock *lk)
{
	if (lk->owner_next)
		lk->owner_next->owner_prev = lk->owner_prev;
	if (lk->owner_prev)
		lk->owner_prev->owner_next = lk->owner_next;
	else
		t->owners[nexus_plock_owner_bucket(lk->owner)] = lk->owner_next;
}

/* Everything on the way is as @mode wants it; the former owner, or NULL. */
static const void *has(struct nexus_plock_table *t, struct nexus_plock *lk,
		       u8 mode, const void *owner)
{
	const void *old = lk->held ? lk->owner : NULL;

	if (lk->held)
		disown(t, lk);
	lk->held = mode;
	lk->owner = owner;
	own(t, lk);
	return old;
}

/* ---- queues --------------------------------------------------------------------- */

/* By ticket: new ones have the last. */
static void enqueue(struct nexus_plock *lk, struct nexus_plock_node *n)
{
	u8 mode = nexus_plock_mode_at(lk, n, lk->want);
	struct nexus_plock_queue *q = &n->queue[mode];
	struct nexus_plock *prev = q->last;

	while (prev && prev->ticket > lk->ticket)
		prev = prev->queue_prev;
	lk->at = n;
	lk->queue_prev = prev;
	lk->queue_next = prev ? prev->queue_next : q->first;
	if (lk->queue_next)
		lk->queue_next->queue_prev = lk;
	else
		q->last = lk;
	if (prev)
		prev->queue_next = lk;
	else
		q->first = lk;
	n->queued |= NEXUS_PLOCK_BIT(mode);
}

static void dequeue(struct nexus_plock *lk)
{
	u8 mode = nexus_plock_mode_at(lk, lk->at, lk->want);
	struct nexus_plock_queue *q = &lk->at->queue[mode];

	if (lk->queue_next)
		lk->queue_next->queue_prev = lk->queue_prev;
	else
		q->last = lk->queue_prev;
	if (lk->queue_prev)
		lk->queue_prev->queue_next = lk->queue_next;
	else
		q->first = lk->queue_next;
	if (!q->first)
		lk->at->queued &= ~NEXUS_PLOCK_BIT(mode);
	lk->at = NULL;
}

static void wait_begin(struct nexus_plock_table *t, struct nexus_plock *lk)
{
	lk->state = NEXUS_PLS_WAITS;
	lk->wait_next = NULL;
	lk->wait_prev = t->wait_last;
	if (t->wait_last)
		t->wait_last->wait_next = lk;
	else
		t->wait_first = lk;
	t->wait_last = lk;
	t->waiting++;
}

/* With lk->want and lk->waiter, which mean nothing any more. */
static void wait_end(struct nexus_plock_table *t, struct nexus_plock *lk)
{
	if (lk->wait_next)
		lk->wait_next->wait_prev = lk->wait_prev;
	else
		t->wait_last = lk->wait_prev;
	if (lk->wait_prev)
		lk->wait_prev->wait_next = lk->wait_next;
	else
		t->wait_first = lk->wait_next;
	t->waiting--;
	lk->want = NEXUS_PLM_NONE;
	lk->waiter = NULL;
}

static void tell(struct nexus_plock *lk, enum nexus_plock_state state,
		 nexus_wakes *wakes)
{
	nexus_wakes_add(wakes, lk->task, &lk->state, state);
}

/* ---- the way down --------------------------------------------------------------- */

/* So that down leads from @top to what @lk is placed at. */
static void lay_down(const struct nexus_plock *lk, struct nexus_plock_node *top)
{
	struct nexus_plock_node *n = lk->node, *up;

	n->down = NULL;
	while (n != top && (up = nexus_plock_up(lk, n))) {
		up->down = n;
		n = up;
	}
}

static struct nexus_plock_node *root_of(const struct nexus_plock *lk)
{
	struct nexus_plock_node *n = lk->node, *up;

	while ((up = nexus_plock_up(lk, n)))
		n = up;
	return n;
}

/* From @n on, where down leads; false: is queued. */
static bool go_down(struct nexus_plock *lk, struct nexus_plock_node *n)
{
	u8 mode;

	for (; n; n = n->down) {
		mode = nexus_plock_mode_at(lk, n, lk->want);
		if (held_against(lk, n, mode) ||
		    queued_against(n, mode, lk->ticket)) {
			enqueue(lk, n);
			return false;
		}
		change(lk, n, lk->held, lk->want);
	}
	return true;
}

static void granted(struct nexus_plock_table *t, struct nexus_plock *lk,
		    nexus_wakes *wakes)
{
	lk->old_owner = has(t, lk, lk->want, lk->waiter);
	wait_end(t, lk);
	tell(lk, NEXUS_PLS_GRANTED, wakes);
}

void nexus_plock_submit(struct nexus_plock_table *t, struct nexus_plock *lk,
			nexus_wakes *wakes)
{
	struct nexus_plock_node *root = root_of(lk);

	lay_down(lk, root);
	if (go_down(lk, root))
		granted(t, lk, wakes);
	else
		nexus_plock_check_add(t, lk);
}

void nexus_plock_pull(struct nexus_plock *lk)
{
	struct nexus_plock_node *n = lk->at;

	dequeue(lk);
	while ((n = nexus_plock_up(lk, n)))
		change(lk, n, lk->want, lk->held);
}

/* The one that has waited longest, of the modes in @which. */
static struct nexus_plock *first_of(const struct nexus_plock_node *n, u8 which)
{
	struct nexus_plock *best = NULL, *lk;
	int m;

	for (m = NEXUS_PLM_IS; m < NEXUS_PLM_MAX; m++) {
		lk = which & NEXUS_PLOCK_BIT(m) ? n->queue[m].first : NULL;
		if (lk && (!best || lk->ticket < best->ticket))
			best = lk;
	}
	return best;
}

/*
 * In the order of tickets.  Of one mode either the first can go or none: those that
 * hold something already are first, and what is in their way is in everybody's.
 */
void nexus_plock_regrant(struct nexus_plock_table *t, struct nexus_plock_node *n,
			 nexus_wakes *wakes)
{
	u8 skipped = 0, mode;
	struct nexus_plock *lk;

	while ((lk = first_of(n, n->queued & ~skipped))) {
		mode = nexus_plock_mode_at(lk, n, lk->want);
		if (skipped & nexus_plock_conflicts(mode) ||
		    held_against(lk, n, mode)) {
			skipped |= NEXUS_PLOCK_BIT(mode);
			continue;
		}
		dequeue(lk);
		change(lk, n, lk->held, lk->want);
		lay_down(lk, n);
		if (go_down(lk, n->down))
			granted(t, lk, wakes);
		else
			nexus_plock_check_add(t, lk);
	}
}

static void regrant_path(struct nexus_plock_table *t,
			 const struct nexus_plock *lk,
			 struct nexus_plock_node *n, nexus_wakes *wakes)
{
	for (; n; n = nexus_plock_up(lk, n))
		if (n->queued)
			nexus_plock_regrant(t, n, wakes);
}

/* Does not wait any more; the state is the caller's. */
static void withdraw(struct nexus_plock_table *t, struct nexus_plock *lk,
		     nexus_wakes *wakes)
{
	struct nexus_plock_node *at = lk->at;

	nexus_plock_pull(lk);
	wait_end(t, lk);
	regrant_path(t, lk, at, wakes);
}

void nexus_plock_check_add(struct nexus_plock_table *t, struct nexus_plock *lk)
{
	if (lk->check)
		return;
	lk->check = true;
	lk->check_next = t->check;
	t->check = lk;
}

void nexus_plock_check(struct nexus_plock_table *t, nexus_wakes *wakes)
{
	struct nexus_plock *lk;

	while ((lk = t->check)) {
		t->check = lk->check_next;
		lk->check = false;
		/* Whoever was told cannot leave without the table's lock. */
		if (lk->state != NEXUS_PLS_WAITS || !nexus_plock_cycle(t, lk))
			continue;
		lk->old_owner = lk->waiter;
		withdraw(t, lk, wakes);
		tell(lk, NEXUS_PLS_DEADLOCK, wakes);
	}
}

/* ---- operations ----------------------------------------------------------------- */

/*
 * What most do: one that holds nothing, on a path where nobody waits for anything and
 * nothing is in the way.  False: has to be looked at more closely.
 */
static bool take_simple(const struct nexus_plock *lk, u8 mode)
{
	u8 m = mode, against = nexus_plock_conflicts(mode);
	struct nexus_plock_node *n;

	for (n = lk->node; n; n = nexus_plock_up(lk, n)) {
		if ((n->held & against) | n->queued)
			return false;
		against = nexus_plock_conflicts(nexus_plock_intent(mode));
	}
	for (n = lk->node; n; n = nexus_plock_up(lk, n)) {
		n->count[m]++;
		n->held |= NEXUS_PLOCK_BIT(m);
		m = nexus_plock_intent(mode);
	}
	return true;
}

/* Without waiting, and nobody overtaken who must not be. */
static bool take_now(const struct nexus_plock *lk, u8 mode, u64 ticket)
{
	bool less = lk->held == NEXUS_PLM_X;
	struct nexus_plock_node *n;
	u8 m;

	if (!lk->held && take_simple(lk, mode))
		return true;
	for (n = lk->node; n && !less; n = nexus_plock_up(lk, n)) {
		m = nexus_plock_mode_at(lk, n, mode);
		if (held_against(lk, n, m) || queued_against(n, m, ticket))
			return false;
	}
	for (n = lk->node; n; n = nexus_plock_up(lk, n))
		change(lk, n, lk->held, mode);
	return true;
}

static int take(struct nexus_plock_table *t, struct nexus_plock *lk, u8 mode,
		bool convert, const void *owner, nexus_task *task,
		const void **drop, nexus_wakes *wakes)
{
	bool less = lk->held == NEXUS_PLM_X;
	u64 ticket;

	if (lk->state != NEXUS_PLS_DONE)
		return -EBUSY;
	if (lk->held && (!convert || lk->held == mode))
		return -EALREADY;
	if (!lk->held && convert)
		return -ENOENT;
	ticket = ++t->tickets | (lk->held ? 0 : TICKET_NEW);
	if (take_now(lk, mode, ticket)) {
		*drop = has(t, lk, mode, owner);
		if (less)
			regrant_path(t, lk, lk->node, wakes);
		return 0;
	}
	if (!task)
		return -EAGAIN;
	lk->want = mode;
	lk->waiter = owner;
	lk->task = task;
	lk->ticket = ticket;
	lay_down(lk, NULL);
	wait_begin(t, lk);
	/* Where it was said to be in vain, it is. */
	go_down(lk, root_of(lk));
	if (nexus_plock_cycle(t, lk)) {
		withdraw(t, lk, wakes);
		lk->state = NEXUS_PLS_DONE;
		return -EDEADLK;
	}
	*drop = NULL;
	return 1;
}

int nexus_plock_take(struct nexus_plock_table *t, struct nexus_plock *lk, u8 mode,
		     bool convert, const void *owner, nexus_task *task,
		     const void **drop, nexus_wakes *wakes)
{
	int ret;

	*drop = owner;
	nexus_spin_lock(&t->lock);
	ret = take(t, lk, mode, convert, owner, task, drop, wakes);
	nexus_plock_check(t, wakes);
	nexus_spin_unlock(&t->lock);
	return ret;
}

bool nexus_plock_waits(const struct nexus_plock *lk)
{
	return nexus_load_acquire(&lk->state) == NEXUS_PLS_WAITS;
}

int nexus_plock_leave(struct nexus_plock_table *t, struct nexus_plock *lk,
		      const void **drop, nexus_wakes *wakes)
{
	int ret = 0;

	nexus_spin_lock(&t->lock);
	if (lk->state == NEXUS_PLS_WAITS) {
		*drop = lk->waiter;
		withdraw(t, lk, wakes);
		ret = -EINTR;
	} else {
		*drop = lk->old_owner;
		if (lk->state == NEXUS_PLS_DEADLOCK)
			ret = -EDEADLK;
	}
	lk->state = NEXUS_PLS_DONE;
	nexus_plock_check(t, wakes);
	nexus_spin_unlock(&t->lock);
	return ret;
}

int nexus_plock_release(struct nexus_plock_table *t, struct nexus_plock *lk,
			const void **drop, nexus_wakes *wakes)
{
	struct nexus_plock_node *n;
	int ret = 0;
	u8 queued = 0;

	*drop = NULL;
	nexus_spin_lock(&t->lock);
	if (lk->state != NEXUS_PLS_DONE) {
		ret = -EBUSY;
	} else if (!lk->held) {
		ret = -ENOENT;
	} else {
		for (n = lk->node; n; n = nexus_plock_up(lk, n)) {
			change(lk, n, lk->held, NEXUS_PLM_NONE);
			queued |= n->queued;
		}
		disown(t, lk);
		*drop = lk->owner;
		lk->owner = NULL;
		lk->held = NEXUS_PLM_NONE;
		if (queued)
			regrant_path(t, lk, lk->node, wakes);
		nexus_plock_check(t, wakes);
	}
	nexus_spin_unlock(&t->lock);
	return ret;
}
