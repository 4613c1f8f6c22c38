// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions: attach, loss, grace, death.
 *
 * Moves between LIVE, LOST and DEAD happen under zlock, so that what goes with a
 * move (dropping zones nobody knows any more) is over before the next helper
 * can attach; the state itself is written under s->lock too, for whoever only
 * looks at requests.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "chan.h"

#define NEXUS_ENDING_WAIT	(2 * HZ)

/* The list of sessions, and the last reference of each. */
DEFINE_MUTEX(nexus_sessions_lock);
LIST_HEAD(nexus_sessions);

static void nexus_session_grace_work(struct work_struct *work);

/* ---- life -------------------------------------------------------------- */

static struct nexus_session *nexus_session_alloc(const char *name)
{
	struct nexus_session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return NULL;
	kref_init(&s->ref);
	strscpy(s->name, name, sizeof(s->name));
	spin_lock_init(&s->lock);
	s->state = NEXUS_SESSION_NEW;
	s->hot_until = jiffies;
	INIT_LIST_HEAD(&s->pending);
	INIT_LIST_HEAD(&s->distant);
	mutex_init(&s->zlock);
	xa_init_flags(&s->zones, XA_FLAGS_ALLOC1);
	INIT_LIST_HEAD(&s->opens);
	init_waitqueue_head(&s->zone_wq);
	INIT_DELAYED_WORK(&s->grace, nexus_session_grace_work);
	return s;
}

static void nexus_session_release(struct kref *ref)
{
	struct nexus_session *s = container_of(ref, struct nexus_session, ref);

	list_del(&s->node);
	mutex_unlock(&nexus_sessions_lock);
	xa_destroy(&s->zones);
	kfree(s);
}

/* Takes nexus_sessions_lock when it is the last one: no zlock may be held. */
void nexus_session_put(struct nexus_session *s)
{
	kref_put_mutex(&s->ref, nexus_session_release, &nexus_sessions_lock);
}

const char *nexus_session_name(const struct nexus_session *s)
{
	return s->name;
}

/* The one session of that name that is not DEAD; nexus_sessions_lock held. */
static struct nexus_session *nexus_session_named(const char *name)
{
	struct nexus_session *s;

	lockdep_assert_held(&nexus_sessions_lock);
	list_for_each_entry(s, &nexus_sessions, node)
		if (READ_ONCE(s->state) != NEXUS_SESSION_DEAD &&
		    !strcmp(s->name, name))
			return s;
	return NULL;
}

struct nexus_session *nexus_session_lookup(const char *name)
{
	struct nexus_session *s;

	mutex_lock(&nexus_sessions_lock);
	s = nexus_session_named(name);
	if (s)
		nexus_session_get(s);
	mutex_unlock(&nexus_sessions_lock);
	return s;
}

struct nexus_session *nexus_session_find(const char *name, const char **why)
{
	struct nexus_session *s = nexus_session_lookup(name);

	if (!s) {
		*why = "no helper has attached under this name; start nexusd";
		return ERR_PTR(-ENOTCONN);
	}
	if (READ_ONCE(s->state) != NEXUS_SESSION_LIVE) {
		*why = "its helper is gone; restart nexusd";
		nexus_session_put(s);
		return ERR_PTR(-ENOTCONN);
	}
	return s;
}

bool nexus_session_is_own(struct nexus_session *s)
{
	struct nexus_att *att;
	bool own;

	rcu_read_lock();
	att = rcu_dereference(s->att);
	own = att && att->owner == task_tgid(current) &&
	      READ_ONCE(att->mover) != current;
	rcu_read_unlock();
	return own;
}

/* ---- requests of a session ---------------------------------------------- */

static void nexus_session_pump_list(struct nexus_att *att, struct list_head *list)
{
	struct nexus_rq *rq;

	while (!list_empty(list)) {
		struct io_uring_cmd *bell;

		rq = list_first_entry(list, struct nexus_rq, node);
		list_del_init(&rq->node);
		if (!nexus_att_send(att, rq, &bell)) {
			list_add(&rq->node, list);
			break;
		}
		nexus_uring_ring(bell);
		/* The list's reference; the slot has its own, the waiter too. */
		nexus_rq_put(rq);
	}
}

void nexus_session_pump(struct nexus_session *s)
{
	struct nexus_att *att;

	lockdep_assert_held(&s->lock);
	att = rcu_dereference_protected(s->att, lockdep_is_held(&s->lock));
	if (!att)
		return;
	nexus_session_pump_list(att, &s->pending);
	nexus_session_pump_list(att, &s->distant);
}

void nexus_session_requeue(struct nexus_session *s, struct list_head *moved)
{
	struct nexus_rq *rq, *prev;

	lockdep_assert_held(&s->lock);
	list_for_each_entry_safe_reverse(rq, prev, moved, node)
		list_move(&rq->node, nexus_rq_list(s, rq));
}

/* Ends every request on @list that has waited @waited seconds or longer than it may. */
static void nexus_session_expire_list(struct list_head *list, unsigned long waited)
{
	struct nexus_rq *rq, *next;

	list_for_each_entry_safe(rq, next, list, node) {
		if (rq->grace > waited)
			continue;
		list_del_init(&rq->node);
		nexus_rq_end(rq, -ENOTCONN);
		nexus_rq_put(rq);
	}
}

static void nexus_session_expire(struct nexus_session *s, unsigned long waited)
{
	lockdep_assert_held(&s->lock);
	nexus_session_expire_list(&s->pending, waited);
	nexus_session_expire_list(&s->distant, waited);
}

/* ---- LIVE ---------------------------------------------------------------- */

/*
 * True while the helper is dead and its file is still on the way out: commands and
 * mappings give it up a little after the process is gone.
 */
static bool nexus_session_ending(struct nexus_session *s)
{
	struct task_struct *task;
	struct nexus_att *att;
	bool ending = false;

	rcu_read_lock();
	att = rcu_dereference(s->att);
	if (att) {
		task = pid_task(att->owner, PIDTYPE_TGID);
		ending = !task || task->signal->flags & SIGNAL_GROUP_EXIT;
	}
	rcu_read_unlock();
	return ending;
}

int nexus_session_attach(const char *name, struct nexus_att *att)
{
	struct nexus_session *s;
	bool again;
	int err;

retry:
	err = 0;
	mutex_lock(&nexus_sessions_lock);
	s = nexus_session_named(name);
	if (!s) {
		s = nexus_session_alloc(name);
		if (!s) {
			mutex_unlock(&nexus_sessions_lock);
			return -ENOMEM;
		}
		list_add_tail(&s->node, &nexus_sessions);
	} else {
		nexus_session_get(s);
	}

	mutex_lock(&s->zlock);
	spin_lock(&s->lock);
	switch (s->state) {
	case NEXUS_SESSION_NEW:
	case NEXUS_SESSION_LOST:
		again = s->state == NEXUS_SESSION_LOST;
		att->session = s;
		att->epoch = ++s->epoch;
		s->pid = pid_nr(att->owner);
		/* Everything in the attachment before the pointer to it. */
		rcu_assign_pointer(s->att, att);
		WRITE_ONCE(s->state, NEXUS_SESSION_LIVE);
		break;
	case NEXUS_SESSION_LIVE:
		err = -EBUSY;
		break;
	case NEXUS_SESSION_DEAD:
		/* Since we looked: the name is free the next time. */
		err = -EAGAIN;
		break;
	}
	spin_unlock(&s->lock);
	mutex_unlock(&s->zlock);
	mutex_unlock(&nexus_sessions_lock);
	/* Whoever restarts a helper that was killed should not have to try again. */
	if (err == -EBUSY && nexus_session_ending(s)) {
		long left = wait_event_killable_timeout(s->zone_wq,
							READ_ONCE(s->state) !=
							NEXUS_SESSION_LIVE,
							NEXUS_ENDING_WAIT);

		if (left)
			err = left < 0 ? -EINTR : -EAGAIN;
	}
	if (err) {
		nexus_session_put(s);
		if (err == -EAGAIN)
			goto retry;
		return err;
	}

	pr_info("nexusfs: session %s: helper %d attached%s, epoch %u\n", s->name,
		s->pid, again ? " again" : "", att->epoch);
	nexus_event(NEXUS_EV_SESSION_LIVE, s->name, NULL, 0, NULL);
	return 0;
}

/* ---- LOST ---------------------------------------------------------------- */

/* Off the session: from here on no request gets into its queues.  s->lock held. */
static void nexus_session_unhook(struct nexus_session *s)
{
	struct nexus_att *att;
	LIST_HEAD(moved);
	unsigned int i;

	lockdep_assert_held(&s->lock);
	att = rcu_dereference_protected(s->att, lockdep_is_held(&s->lock));
	if (!att)
		return;
	RCU_INIT_POINTER(s->att, NULL);
	for (i = 0; i < att->nr_queues; i++) {
		struct io_uring_cmd *cmd =
			nexus_queue_drop(&att->queue[i], true, &moved);

		/* LOST comes from ->release: no command is parked then. */
		nexus_uring_end(cmd, -ESHUTDOWN);
	}
	nexus_session_requeue(s, &moved);
}

/* zlock held, and a reference.  Zones and requests die with it. */
static void nexus_session_kill(struct nexus_session *s, const char *reason)
{
	lockdep_assert_held(&s->zlock);

	spin_lock(&s->lock);
	if (s->state == NEXUS_SESSION_DEAD) {
		spin_unlock(&s->lock);
		return;
	}
	WRITE_ONCE(s->state, NEXUS_SESSION_DEAD);
	nexus_session_unhook(s);
	nexus_session_expire(s, ULONG_MAX);
	spin_unlock(&s->lock);
	/*
	 * A timer would outlive the module, which nothing holds any more.  Its
	 * reference is not the last: the caller has one.
	 */
	if (cancel_delayed_work(&s->grace))
		nexus_session_put(s);

	nexus_zones_dead(s, reason);
	wake_up_all(&s->zone_wq);
	nexus_event(NEXUS_EV_SESSION_DEAD, s->name, NULL, 0, reason);
}

void nexus_session_check_idle(struct nexus_session *s)
{
	lockdep_assert_held(&s->zlock);
	if (READ_ONCE(s->state) == NEXUS_SESSION_LOST &&
	    nexus_zones_grace(s) < 0)
		nexus_session_kill(s, "its helper stopped and nothing is mounted");
}

void nexus_session_lost(struct nexus_att *att)
{
	struct nexus_session *s = att->session;
	bool lost = false, queued = true;
	int grace;

	mutex_lock(&s->zlock);
	spin_lock(&s->lock);
	if (s->state == NEXUS_SESSION_LIVE) {
		WRITE_ONCE(s->state, NEXUS_SESSION_LOST);
		s->lost_at = jiffies;
		nexus_session_unhook(s);
		lost = true;
	}
	spin_unlock(&s->lock);

	if (lost) {
		wake_up_all(&s->zone_wq);
		nexus_zones_lost(s);
		grace = nexus_zones_grace(s);
		if (grace < 0) {
			nexus_session_check_idle(s);
		} else {
			nexus_count(sessions_lost);
			pr_warn("nexusfs: session %s: helper %d is gone; waiting %d s for the next one\n",
				s->name, s->pid, grace);
			nexus_event(NEXUS_EV_SESSION_LOST, s->name, NULL, 0,
				    NULL);
			/* Queued already: that one holds a reference of its own. */
			nexus_session_get(s);
			queued = queue_delayed_work(nexus_chan_wq, &s->grace, 0);
		}
	}
	mutex_unlock(&s->zlock);
	if (!queued)
		nexus_session_put(s);

	/* A requester may be looking at the queues under RCU. */
	synchronize_rcu();
	nexus_att_free(att);
	nexus_session_put(s);
}

/* Once a second while LOST; holds a reference as long as it is queued. */
static void nexus_session_grace_work(struct work_struct *work)
{
	struct nexus_session *s = container_of(to_delayed_work(work),
					       struct nexus_session, grace);
	unsigned long waited;
	bool again = false;
	int grace;

	mutex_lock(&s->zlock);
	if (s->state == NEXUS_SESSION_LOST) {
		waited = (jiffies - s->lost_at) / HZ;
		grace = nexus_zones_grace(s);
		if (grace < 0) {
			nexus_session_check_idle(s);
		} else if (waited >= grace) {
			pr_err("nexusfs: session %s: no helper came back within %d s\n",
			       s->name, grace);
			nexus_session_kill(s, "its helper did not come back in time");
		} else {
			spin_lock(&s->lock);
			nexus_session_expire(s, waited);
			spin_unlock(&s->lock);
			again = queue_delayed_work(nexus_chan_wq, &s->grace, HZ);
		}
	}
	mutex_unlock(&s->zlock);
	if (!again)
		nexus_session_put(s);
}

void nexus_session_abort(struct nexus_session *s, const char *reason)
{
	mutex_lock(&s->zlock);
	nexus_session_kill(s, reason);
	mutex_unlock(&s->zlock);
}
