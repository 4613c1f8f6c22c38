/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Credits: so much of something (bytes free in a ring, messages in it) that many take
 * and many give, first come first served.
 *
 * Who asks for more than there is, queues.  Who gives, grants: from the first of the
 * queue on, as far as what there is suffices; nobody overtakes, so one who waits for
 * much is not starved by those who want little.  A grant is taken already, whoever was
 * granted has nothing to race for; one who is killed meanwhile must give it back.
 * What is woken is exactly who was granted, each once.
 *
 * Any context that may spin; the caller of nexus_credit_give() and its like wakes,
 * with no lock held.
 */
#ifndef NEXUS_LIB_CREDIT_H
#define NEXUS_LIB_CREDIT_H

#include "sync.h"

/* What a waiter's state is; else it is the negative errno that it was sent away with. */
enum nexus_credit_state {
	NEXUS_CREDIT_GRANTED = 0,
	NEXUS_CREDIT_QUEUED = 1,
};

/* On the stack of who waits; only credit.c looks inside. */
struct nexus_credit_waiter {
	struct nexus_credit_waiter *prev, *next;
	nexus_task *task;
	u64	need;
	int	state;		/* above; stored last, with release, to end the wait */
};

struct nexus_credit {
	nexus_spin lock;
	u64	avail;		/* to be taken; what is granted is not in it; below 2^63 */
	int	broken;		/* 0, or the negative errno that who cannot take gets */
	bool	drain;		/* what there is can be taken although broken */
	struct nexus_credit_waiter *first, *last;
};

void nexus_credit_init(struct nexus_credit *c, u64 avail, bool drain);

/*
 * Takes @need, or at least 1 and at most @max, which is not 0.  0 (the amount);
 * -EAGAIN: there is not so much, or others wait; or what it is broken with.
 */
int nexus_credit_take(struct nexus_credit *c, u64 need);
s64 nexus_credit_take_upto(struct nexus_credit *c, u64 max);

/*
 * As nexus_credit_take(), but instead of -EAGAIN @w is queued for the calling task
 * @task and 1 is returned.  The caller then sleeps until nexus_credit_waits() is false
 * or it is not willing to wait any longer, and calls nexus_credit_leave() either way.
 */
int nexus_credit_enqueue(struct nexus_credit *c, struct nexus_credit_waiter *w,
			 u64 need, nexus_task *task);
/* True as long as there is nothing to wake up for. */
bool nexus_credit_waits(const struct nexus_credit_waiter *w);
/*
 * 0: was granted, the amount is the caller's; what it is broken with; -EINTR: was
 * still waiting, and does so no more.  Whom that lets through is in @wakes.
 */
int nexus_credit_leave(struct nexus_credit *c, struct nexus_credit_waiter *w,
		       nexus_wakes *wakes);

void nexus_credit_give(struct nexus_credit *c, u64 n, nexus_wakes *wakes);
/* Takes @n of what there is, to make the whole smaller; -EBUSY: it is not there, or others wait. */
int nexus_credit_shrink(struct nexus_credit *c, u64 n);

/*
 * Nothing will be given any more: with @drain takes go on until they find too little,
 * else they fail at once.  All who wait are woken, with @err, a negative errno.
 */
void nexus_credit_break(struct nexus_credit *c, int err, nexus_wakes *wakes);
void nexus_credit_mend(struct nexus_credit *c);

/* Whether a take of @need would work now; a hint that the next moment may change. */
bool nexus_credit_ready(const struct nexus_credit *c, u64 need);

#endif /* NEXUS_LIB_CREDIT_H */
