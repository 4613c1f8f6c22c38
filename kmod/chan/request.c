// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requester's side: sends a request, waits killably, checks the answer.
 *
 * Everything a request needs is allocated before it is sent and owned by it, so
 * a waiter may go away at any moment and the helper's answer finds nothing that
 * was on its stack.
 */
#include <linux/freezer.h>
#include <linux/moduleparam.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "chan.h"

/* What KVM's halt_poll_ns is by default, for the same trade. */
static unsigned int nexus_spin_us = 200;
module_param_named(chan_spin_us, nexus_spin_us, uint, 0644);
MODULE_PARM_DESC(chan_spin_us,
		 "microseconds to wait, at most, for a helper that runs on another CPU before sleeping");

/*
 * A helper that answers another CPU after more than this had to wait for its own: a
 * time slice is of that order, and the answer itself far below.
 */
#define NEXUS_SLOW_CPU_US	2000u

/* The least that is tried, so that a helper that got faster is noticed. */
#define NEXUS_SPIN_MIN_US	4u

static struct kmem_cache *nexus_rq_cache;

int nexus_rq_init(void)
{
	nexus_rq_cache = KMEM_CACHE(nexus_rq, SLAB_ACCOUNT);
	return nexus_rq_cache ? 0 : -ENOMEM;
}

void nexus_rq_exit(void)
{
	kmem_cache_destroy(nexus_rq_cache);
}

static struct nexus_rq *nexus_rq_alloc(const struct nexus_request *req,
				       const void *data, unsigned int grace,
				       size_t cap, bool ahead)
{
	/* What is only asked ahead nobody misses: no reclaim in earnest. */
	gfp_t gfp = GFP_KERNEL | (ahead ? __GFP_NORETRY | __GFP_NOWARN : 0);
	struct nexus_rq *rq = kmem_cache_alloc(nexus_rq_cache, gfp);

	if (!rq)
		return NULL;
	/* All but the data behind the head. */
	memset(rq, 0, offsetof(struct nexus_rq, data));
	kref_init(&rq->ref);
	rq->state = NEXUS_RQ_NEW;
	INIT_LIST_HEAD(&rq->node);
	init_waitqueue_head(&rq->wq);
	rq->grace = grace;
	rq->spin_cpu = -1;
	rq->waiter = ahead ? NULL : current;
	rq->ahead = ahead;
	rq->req = *req;
	rq->req.reply_max = min_t(size_t, cap, NEXUS_REPLY_DATA_MAX);
	memset(rq->req.reserved, 0, sizeof(rq->req.reserved));
	memcpy(rq->data, data, req->len);
	if (cap) {
		rq->buf = kmalloc(rq->req.reply_max, gfp | __GFP_ACCOUNT);
		if (!rq->buf) {
			kmem_cache_free(nexus_rq_cache, rq);
			return NULL;
		}
	}
	return rq;
}

static void nexus_rq_free(struct kref *ref)
{
	struct nexus_rq *rq = container_of(ref, struct nexus_rq, ref);

	kfree(rq->buf);
	kmem_cache_free(nexus_rq_cache, rq);
}

void nexus_rq_put(struct nexus_rq *rq)
{
	kref_put(&rq->ref, nexus_rq_free);
}

void nexus_rq_end(struct nexus_rq *rq, int err)
{
	rq->err = err;
	/* The answer before DONE: pairs with nexus_rq_done(). */
	smp_store_release(&rq->state, NEXUS_RQ_DONE);
	/* Not the interruptible kind: killable sleepers would miss it. */
	wake_up(&rq->wq);
}

/* What was answered may be read once this is true. */
static bool nexus_rq_done(const struct nexus_rq *rq)
{
	/* Pairs with nexus_rq_end(). */
	return smp_load_acquire(&rq->state) == NEXUS_RQ_DONE;
}

/* ---- sending ----------------------------------------------------------- */

/* 0, or -ENOTCONN: nobody will ever answer. */
static int nexus_rq_submit(struct nexus_session *s, struct nexus_rq *rq)
{
	struct io_uring_cmd *bell = NULL;
	struct nexus_att *att;
	bool sent = false;
	int err = 0;

	/* Without the session's lock, if nobody waits for a slot. */
	rcu_read_lock();
	att = rcu_dereference(s->att);
	if (att && list_empty_careful(nexus_rq_list(s, rq)))
		sent = nexus_att_send(att, rq, &bell);
	rcu_read_unlock();
	nexus_uring_ring(bell);
	if (sent)
		return 0;

	spin_lock(&s->lock);
	if (s->state == NEXUS_SESSION_DEAD ||
	    (s->state == NEXUS_SESSION_LOST &&
	     (jiffies - s->lost_at) / HZ >= rq->grace)) {
		err = -ENOTCONN;
	} else {
		WRITE_ONCE(rq->state, NEXUS_RQ_QUEUED);
		kref_get(&rq->ref);
		list_add_tail(&rq->node, nexus_rq_list(s, rq));
		/* A slot may have come free before we were on the list. */
		nexus_session_pump(s);
	}
	spin_unlock(&s->lock);
	return err;
}

/* ---- waiting ----------------------------------------------------------- */

/*
 * The waiter was killed.  True: answered in the meantime after all.  Otherwise
 * nobody will touch the waiter again, and a slot stays taken until the helper
 * answers or is gone: it may still be writing there.
 */
static bool nexus_rq_abandon(struct nexus_session *s, struct nexus_rq *rq)
{
	struct nexus_queue *q;
	bool done = false;

	spin_lock(&s->lock);
	/* With s->lock held a request changes queues no more. */
	switch (READ_ONCE(rq->state)) {
	case NEXUS_RQ_QUEUED:
		list_del_init(&rq->node);
		WRITE_ONCE(rq->state, NEXUS_RQ_NEW);
		nexus_rq_put(rq);
		break;
	case NEXUS_RQ_SENT:
	case NEXUS_RQ_COPYING:
		q = rq->queue;
		/*
		 * The queue lives: its attachment is freed after a move that
		 * takes s->lock and leaves nothing SENT, or, COPYING, after
		 * the command that copies.
		 */
		spin_lock(&q->lock);
		if (rq->state == NEXUS_RQ_DONE)
			done = true;
		else
			rq->abandoned = true;
		spin_unlock(&q->lock);
		break;
	default:
		done = true;
	}
	spin_unlock(&s->lock);
	return done;
}

/*
 * A sleep and a wakeup cost more than a helper that is at it needs to answer.  No
 * longer than that has lately been worth, and not where others want the CPU.
 */
static void nexus_rq_spin(const struct nexus_session *s, struct nexus_rq *rq,
			  u64 begun)
{
	u64 end = begun + READ_ONCE(s->spin_us) * NSEC_PER_USEC;

	while (!nexus_rq_done(rq)) {
		if (need_resched() || fatal_signal_pending(current) ||
		    local_clock() >= end)
			return;
		cpu_relax();
	}
}

/* The answer took @ns, slept for or not: more patience would have done, or less. */
static void nexus_rq_spun(struct nexus_session *s, u64 ns)
{
	unsigned int max = min(READ_ONCE(nexus_spin_us), 1000u);
	unsigned int us = READ_ONCE(s->spin_us);

	us = ns <= max * NSEC_PER_USEC ? us * 2 : us / 2;
	WRITE_ONCE(s->spin_us, min(max(us, NEXUS_SPIN_MIN_US), max));
}

/* 0 when DONE, -EINTR when killed. */
static int nexus_rq_wait(struct nexus_session *s, struct nexus_rq *rq,
			 const char *who)
{
	bool spin = rq->spin_cpu >= 0 && rq->spin_cpu != raw_smp_processor_id();
	long left = NEXUS_SLOW_SECONDS * HZ;
	u64 begun = local_clock();
	DEFINE_WAIT(wait);
	int err = 0;

	if (rq->ahead && nexus_rq_done(rq))
		return 0;
	if (spin)
		nexus_rq_spin(s, rq, begun);
	while (!nexus_rq_done(rq)) {
		/*
		 * Freezable with locks held: the helper is frozen too, and the
		 * locks are the VFS's, as for any network filesystem.
		 */
		prepare_to_wait(&rq->wq, &wait,
				TASK_KILLABLE | TASK_FREEZABLE_UNSAFE);
		if (nexus_rq_done(rq))
			break;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		if (left > 0) {
			left = schedule_timeout(left);
			if (left || nexus_rq_done(rq))
				continue;
			nexus_event(NEXUS_EV_REQUEST_SLOW, s->name, who, 0,
				    NULL);
			pr_warn_ratelimited("nexusfs (%s): request %#x to session %s is unanswered after %d s\n",
					    who, rq->req.op, s->name,
					    NEXUS_SLOW_SECONDS);
		} else {
			schedule();
		}
	}
	finish_wait(&rq->wq, &wait);
	if (spin && !rq->ahead)
		nexus_rq_spun(s, local_clock() - begun);
	if (rq->far && local_clock() - begun > NEXUS_SLOW_CPU_US * NSEC_PER_USEC)
		WRITE_ONCE(s->hot_until, jiffies);

	if (err && nexus_rq_abandon(s, rq))
		err = 0;
	if (err)
		nexus_count(req_killed);
	return err;
}

struct nexus_rq *nexus_session_begin(struct nexus_session *s,
				     const struct nexus_request *req,
				     const void *data, unsigned int grace,
				     size_t cap, bool ahead)
{
	struct nexus_rq *rq;
	int err;

	if (req->len > NEXUS_REQUEST_DATA_MAX)
		return ERR_PTR(-EINVAL);
	/* The helper would wait for itself. */
	if (nexus_session_is_own(s))
		return ERR_PTR(-EDEADLK);
	rq = nexus_rq_alloc(req, data, grace, cap, ahead);
	if (!rq)
		return ERR_PTR(-ENOMEM);

	nexus_count(requests);
	err = nexus_rq_submit(s, rq);
	if (!err)
		return rq;
	nexus_rq_put(rq);
	return ERR_PTR(err);
}

/* What @rq was answered, which is DONE; as nexus_session_end(). */
static int nexus_rq_result(struct nexus_rq *rq, void *out, u64 *applied,
			   const char **bad)
{
	*bad = rq->bad;
	if (applied)
		*applied = rq->applied;
	if (!rq->err) {
		/* The copy, which nobody else can change any more. */
		if (nexus_reply_check(&rq->req, rq->buf, rq->len, bad))
			return -EIO;
		if (rq->len)
			memcpy(out, rq->buf, rq->len);
		return rq->len;
	}
	if (rq->len && rq->req.op == NEXUS_OP_OPEN_ZONE) {
		/* It says why.  With an error no other reply is looked at. */
		if (!nexus_reason_ok(rq->buf, rq->len)) {
			*bad = "reason";
			return -EIO;
		}
		memcpy(out, rq->buf, rq->len);
	}
	return rq->err;
}

int nexus_session_end(struct nexus_session *s, struct nexus_rq *rq,
		      const char *who, void *out, u64 *applied, const char **bad)
{
	int ret = nexus_rq_wait(s, rq, who);

	*bad = NULL;
	if (!ret)
		ret = nexus_rq_result(rq, out, applied, bad);
	nexus_rq_put(rq);
	return ret;
}

void nexus_session_forget(struct nexus_session *s, struct nexus_rq *rq)
{
	if (!nexus_rq_done(rq))
		nexus_rq_abandon(s, rq);
	nexus_rq_put(rq);
}

int nexus_session_call(struct nexus_session *s, const struct nexus_request *req,
		       const void *data, unsigned int grace, const char *who,
		       void *out, size_t cap, u64 *applied, const char **bad)
{
	struct nexus_rq *rq = nexus_session_begin(s, req, data, grace, cap, false);

	*bad = NULL;
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	return nexus_session_end(s, rq, who, out, applied, bad);
}

/* ---- the metastore of a mounted zone ------------------------------------- */

static void nexus_chan_count(u32 op)
{
	switch (op) {
	case NEXUS_OP_LOOKUP:
		nexus_count(req_lookup);
		break;
	case NEXUS_OP_GETATTR:
		nexus_count(req_getattr);
		break;
	case NEXUS_OP_LIST:
		nexus_count(req_list);
		break;
	case NEXUS_OP_EXTENTS:
		nexus_count(req_extents);
		break;
	case NEXUS_OP_GETXATTR:
	case NEXUS_OP_LISTXATTR:
		nexus_count(req_xattr);
		break;
	case NEXUS_OP_OPEN_PACK:
		nexus_count(req_open_pack);
		break;
	case NEXUS_OP_ENSURE:
		nexus_count(req_ensure);
		break;
	case NEXUS_OP_ORIGIN:
		nexus_count(req_origin);
		break;
	default:
		nexus_count(req_other);
	}
}

/* True where the answer comes from the index, so that its age matters. */
static bool nexus_reply_dated(u32 op, int ret)
{
	return op != NEXUS_OP_OPEN_PACK && op != NEXUS_OP_ENSURE && op != NEXUS_OP_ORIGIN &&
	       (ret >= 0 || ret == -ENOENT || ret == -ENODATA);
}

static struct nexus_rq *nexus_chan_begin(struct nexus_zone *zone,
					 struct nexus_request *req,
					 const void *data, size_t cap, bool ahead)
{
	req->zone = zone->id;
	nexus_chan_count(req->op);
	return nexus_session_begin(zone->session, req, data, zone->opts.grace, cap,
				   ahead);
}

static int nexus_chan_end(struct nexus_zone *zone, struct nexus_rq *rq, void *out,
			  u64 *applied)
{
	struct nexus_request req = rq->req;
	const char *bad;
	u64 lsn = 0;
	int ret;

	ret = nexus_session_end(zone->session, rq, zone->name, out, &lsn, &bad);
	if (nexus_reply_dated(req.op, ret) &&
	    (lsn < req.not_before || lsn > nexus_log_tail(zone))) {
		bad = "applied";
		ret = -EIO;
	}
	if (bad) {
		nexus_count(req_bad);
		nexus_err(zone, "reply to request %#x of inode %llu refused: bad %s",
			  req.op, req.ino, bad);
	}
	if (applied)
		*applied = lsn;
	return ret;
}

static int nexus_chan_read(struct nexus_zone *zone, struct nexus_request *req,
			   const void *data, void *out, size_t cap, u64 *applied)
{
	struct nexus_rq *rq = nexus_chan_begin(zone, req, data, cap, false);

	return IS_ERR(rq) ? PTR_ERR(rq) : nexus_chan_end(zone, rq, out, applied);
}

static struct nexus_rq *nexus_chan_ahead(struct nexus_zone *zone,
					 struct nexus_request *req, size_t cap)
{
	return nexus_chan_begin(zone, req, NULL, cap, true);
}

static void nexus_chan_forget(struct nexus_zone *zone, struct nexus_rq *rq)
{
	nexus_session_forget(zone->session, rq);
}

const struct nexus_metastore_ops nexus_chan_metastore = {
	.read	= nexus_chan_read,
	.ahead	= nexus_chan_ahead,
	.end	= nexus_chan_end,
	.forget	= nexus_chan_forget,
	.mutate	= nexus_log_append,
};
