/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Credits: so much of something (bytes free in a ring, messages in it) that one side
 * takes and the other gives, first come first served.
 *
 * Who asks for more than there is, queues.  Who finds somebody queued grants: from the
 * first on, as far as what there is suffices; nobody overtakes, so one who waits for
 * much is not starved by those who want little.  A grant is taken already, whoever was
 * granted has nothing to race for; one who is killed meanwhile must give it back.
 * What is woken is exactly who was granted, each once.
 *
 * Who takes holds @lock, which it needs for the place in the ring anyway.  Who gives
 * does not touch it as long as nobody waits: it has a lock of its own side, and the
 * count of what was given is its alone to store.  So that neither misses the other,
 * who queues stores that, and looks once more at the count; and who gives stores the
 * count, and looks who queues; both with a full barrier between.
 *
 * Any context that may take a mutex; the caller of whatever has @wakes wakes, with no
 * lock held.
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
	/* What who gives looks at; the first is its own to store, the second is @lock's. */
	u64	given NEXUS_LINE_ALIGNED;	/* all in all, with what there was at first; wraps */
	struct nexus_credit_waiter *first;
	/* Under @lock: */
	nexus_mutex lock NEXUS_LINE_ALIGNED;
	u64	taken;		/* of it; what is granted is in it */
	struct nexus_credit_waiter *last;
	int	broken;		/* 0, or the negative errno that who cannot take gets */
	bool	drain;		/* what there is can be taken although broken */
};

/* The caller initialises @lock: of two credits each needs a class of its own. */
void nexus_credit_init(struct nexus_credit *c, u64 avail, bool drain);

/* ---- the side that takes; with the lock -------------------------------------- */

/* Takes @need: 0; -EAGAIN: there is not so much, or others wait; or what it is broken with. */
int nexus_credit_take(struct nexus_credit *c, u64 need);
/* Gives @n back that was taken.  Whom that lets through is in @wakes. */
void nexus_credit_return(struct nexus_credit *c, u64 n, nexus_wakes *wakes);

/*
 * After an -EAGAIN, with the lock held since: @w is queued for the calling task @task,
 * and 1 is returned; or there is enough by now, it is taken, and that is 0.  The
 * caller gives the lock up, sleeps until nexus_credit_waits() is false or it is not
 * willing to wait any longer, and calls nexus_credit_leave() either way.
 */
int nexus_credit_enqueue(struct nexus_credit *c, struct nexus_credit_waiter *w,
			 u64 need, nexus_task *task);

/* Takes @n of what there is, to make the whole smaller; -EBUSY: it is not there, or others wait. */
int nexus_credit_shrink(struct nexus_credit *c, u64 n);

/* ---- the same, without the lock ---------------------------------------------- */

/* True as long as there is nothing to wake up for. */
bool nexus_credit_waits(const struct nexus_credit_waiter *w);
/*
 * 0: was granted, the amount is the caller's; what it is broken with; -EINTR: was
 * still waiting, and does so no more.  Whom that lets through is in @wakes.
 */
int nexus_credit_leave(struct nexus_credit *c, struct nexus_credit_waiter *w,
		       nexus_wakes *wakes);

/* ---- the side that gives ------------------------------------------------------ */

/*
 * @n more are there; one at a time, by a lock of the caller's side.  Whoever takes them
 * sees all that was stored before.
 */
void nexus_credit_give(struct nexus_credit *c, u64 n);
/*
 * To be called after each nexus_credit_give(), or some of them, with no lock held: lets
 * those in who waited for it.
 */
void nexus_credit_given(struct nexus_credit *c, nexus_wakes *wakes);

/* ---- whoever, with no lock held ------------------------------------------------ */

/*
 * Nothing will be given any more: with @drain takes go on until they find too little,
 * else they fail at once.  All who wait are woken, with @err, a negative errno.
 */
void nexus_credit_break(struct nexus_credit *c, int err, nexus_wakes *wakes);
void nexus_credit_mend(struct nexus_credit *c);

/* Whether a take of @need would work now; a hint that the next moment may change. */
bool nexus_credit_ready(const struct nexus_credit *c, u64 need);

#endif /* NEXUS_LIB_CREDIT_H */
