// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Credits; the contract is in credit.h.
 *
 * Three things are looked at without the lock.  Who waits looks at the state of its own
 * waiter: the store of a state that ends the wait is a release and the last access of
 * a granter to the waiter, whose memory may be gone from then on; so the task is put
 * to those to wake before that.  Who gives looks whether anybody is queued.  And
 * nexus_credit_ready() may be wrong, which is why what it reads is stored marked.
 *
 * As long as it is broken nobody is queued: nobody can be, and who was is sent away.
 */
#include "credit.h"

void nexus_credit_init(struct nexus_credit *c, u64 avail, bool drain)
{
	c->given = avail;
	c->taken = 0;
	c->broken = 0;
	c->drain = drain;
	c->first = NULL;
	c->last = NULL;
}

/* What there is, with what was stored before it was given.  @c->lock held. */
static u64 available(const struct nexus_credit *c)
{
	return nexus_load_acquire(&c->given) - c->taken;
}

static void unlink_waiter(struct nexus_credit *c, struct nexus_credit_waiter *w)
{
	if (w->next)
		w->next->prev = w->prev;
	else
		c->last = w->prev;
	if (w->prev)
		w->prev->next = w->next;
	else
		nexus_store(&c->first, w->next);
}

/* Ends the wait of @w, which is queued; its memory is the waiter's own after this. */
static void end_wait(struct nexus_credit *c, struct nexus_credit_waiter *w, int state,
		     nexus_wakes *wakes)
{
	unlink_waiter(c, w);
	nexus_wakes_add(wakes, w->task, &w->state, state);
}

/* Whoever is first and fits has it.  @c->lock held. */
static void grant(struct nexus_credit *c, nexus_wakes *wakes)
{
	u64 avail = available(c);
	struct nexus_credit_waiter *w;

	while ((w = c->first) && w->need <= avail) {
		avail -= w->need;
		nexus_store(&c->taken, c->taken + w->need);
		end_wait(c, w, NEXUS_CREDIT_GRANTED, wakes);
	}
}

int nexus_credit_take(struct nexus_credit *c, u64 need)
{
	if (c->broken && !c->drain)
		return c->broken;
	if (c->first || available(c) < need)
		return c->broken ? c->broken : -EAGAIN;
	nexus_store(&c->taken, c->taken + need);
	return 0;
}

void nexus_credit_return(struct nexus_credit *c, u64 n, nexus_wakes *wakes)
{
	nexus_store(&c->taken, c->taken - n);
	grant(c, wakes);
}

int nexus_credit_enqueue(struct nexus_credit *c, struct nexus_credit_waiter *w,
			 u64 need, nexus_task *task)
{
	w->task = task;
	w->need = need;
	w->state = NEXUS_CREDIT_QUEUED;
	w->next = NULL;
	w->prev = c->last;
	if (w->prev)
		w->prev->next = w;
	else
		nexus_store(&c->first, w);
	c->last = w;
	/* Whoever gives and does not see it is seen here; nexus_credit_given() has the pair. */
	nexus_mb();
	if (w->prev || available(c) < need)
		return 1;
	unlink_waiter(c, w);
	nexus_store(&c->taken, c->taken + need);
	return 0;
}

bool nexus_credit_waits(const struct nexus_credit_waiter *w)
{
	return nexus_load_acquire(&w->state) == NEXUS_CREDIT_QUEUED;
}

int nexus_credit_leave(struct nexus_credit *c, struct nexus_credit_waiter *w,
		       nexus_wakes *wakes)
{
	int state = nexus_load_acquire(&w->state);

	if (state != NEXUS_CREDIT_QUEUED)
		return state;
	nexus_mutex_lock(&c->lock);
	state = nexus_load(&w->state);
	if (state == NEXUS_CREDIT_QUEUED) {
		/* It may have been what those behind it waited for. */
		unlink_waiter(c, w);
		grant(c, wakes);
		state = -EINTR;
	}
	nexus_mutex_unlock(&c->lock);
	return state;
}

void nexus_credit_give(struct nexus_credit *c, u64 n)
{
	nexus_store_release(&c->given, c->given + n);
}

void nexus_credit_given(struct nexus_credit *c, nexus_wakes *wakes)
{
	/* After the store of what was given; nexus_credit_enqueue() has the pair. */
	nexus_mb();
	if (!nexus_load(&c->first))
		return;
	nexus_mutex_lock(&c->lock);
	grant(c, wakes);
	nexus_mutex_unlock(&c->lock);
}

int nexus_credit_shrink(struct nexus_credit *c, u64 n)
{
	if (c->first || available(c) < n)
		return -EBUSY;
	nexus_store(&c->taken, c->taken + n);
	return 0;
}

void nexus_credit_break(struct nexus_credit *c, int err, nexus_wakes *wakes)
{
	nexus_mutex_lock(&c->lock);
	nexus_store(&c->broken, err);
	while (c->first)
		end_wait(c, c->first, err, wakes);
	nexus_mutex_unlock(&c->lock);
}

void nexus_credit_mend(struct nexus_credit *c)
{
	nexus_mutex_lock(&c->lock);
	nexus_store(&c->broken, 0);
	nexus_mutex_unlock(&c->lock);
}

bool nexus_credit_ready(const struct nexus_credit *c, u64 need)
{
	/* The two may be of different moments, in either order. */
	s64 avail = (s64)(nexus_load(&c->given) - nexus_load(&c->taken));

	return !(nexus_load(&c->broken) && !c->drain) && !nexus_load(&c->first) &&
		avail >= (s64)need;
}
