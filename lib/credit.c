// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Credits; the contract is in credit.h.
 *
 * Everything is under the lock, but for two things.  Who waits looks at the state of
 * its own waiter without it: the store of a state that ends the wait is a release and
 * the last access of a granter to the waiter, whose memory may be gone from then on;
 * so the task is put to those to wake before that.  And nexus_credit_ready() looks
 * without the lock and may be wrong, which is why what it reads is stored marked.
 *
 * As long as it is broken nobody is queued: nobody can be, and who was is sent away.
 */
#include "credit.h"

void nexus_credit_init(struct nexus_credit *c, u64 avail, bool drain)
{
	nexus_spin_init(&c->lock);
	c->avail = avail;
	c->broken = 0;
	c->drain = drain;
	c->first = NULL;
	c->last = NULL;
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

/* There are @avail: whoever is first and fits has it. */
static void grant(struct nexus_credit *c, u64 avail, nexus_wakes *wakes)
{
	struct nexus_credit_waiter *w;

	while ((w = c->first) && w->need <= avail) {
		avail -= w->need;
		end_wait(c, w, NEXUS_CREDIT_GRANTED, wakes);
	}
	nexus_store(&c->avail, avail);
}

/* Lock held: what a take of @need gives. */
static int take(struct nexus_credit *c, u64 need)
{
	if (c->broken && !c->drain)
		return c->broken;
	if (c->first || c->avail < need)
		return c->broken ? c->broken : -EAGAIN;
	nexus_store(&c->avail, c->avail - need);
	return 0;
}

int nexus_credit_take(struct nexus_credit *c, u64 need)
{
	int ret;

	nexus_spin_lock(&c->lock);
	ret = take(c, need);
	nexus_spin_unlock(&c->lock);
	return ret;
}

s64 nexus_credit_take_upto(struct nexus_credit *c, u64 max)
{
	u64 n;
	s64 ret;

	nexus_spin_lock(&c->lock);
	n = NEXUS_MIN(NEXUS_MAX(c->avail, 1), max);
	ret = take(c, n);
	nexus_spin_unlock(&c->lock);
	return ret ? ret : (s64)n;
}

int nexus_credit_enqueue(struct nexus_credit *c, struct nexus_credit_waiter *w,
			 u64 need, nexus_task *task)
{
	int ret;

	nexus_spin_lock(&c->lock);
	ret = take(c, need);
	if (ret == -EAGAIN) {
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
		ret = 1;
	}
	nexus_spin_unlock(&c->lock);
	return ret;
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
	nexus_spin_lock(&c->lock);
	state = nexus_load(&w->state);
	if (state == NEXUS_CREDIT_QUEUED) {
		/* It may have been what those behind it waited for. */
		unlink_waiter(c, w);
		grant(c, c->avail, wakes);
		state = -EINTR;
	}
	nexus_spin_unlock(&c->lock);
	return state;
}

void nexus_credit_give(struct nexus_credit *c, u64 n, nexus_wakes *wakes)
{
	nexus_spin_lock(&c->lock);
	grant(c, c->avail + n, wakes);
	nexus_spin_unlock(&c->lock);
}

int nexus_credit_shrink(struct nexus_credit *c, u64 n)
{
	int ret = -EBUSY;

	nexus_spin_lock(&c->lock);
	if (!c->first && c->avail >= n) {
		nexus_store(&c->avail, c->avail - n);
		ret = 0;
	}
	nexus_spin_unlock(&c->lock);
	return ret;
}

void nexus_credit_break(struct nexus_credit *c, int err, nexus_wakes *wakes)
{
	nexus_spin_lock(&c->lock);
	nexus_store(&c->broken, err);
	while (c->first)
		end_wait(c, c->first, err, wakes);
	nexus_spin_unlock(&c->lock);
}

void nexus_credit_mend(struct nexus_credit *c)
{
	nexus_spin_lock(&c->lock);
	nexus_store(&c->broken, 0);
	nexus_spin_unlock(&c->lock);
}

bool nexus_credit_ready(const struct nexus_credit *c, u64 need)
{
	return !(nexus_load(&c->broken) && !c->drain) &&
		!nexus_load(&c->first) && nexus_load(&c->avail) >= need;
}
