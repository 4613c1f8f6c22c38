// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring commands: WAIT, COMMIT, LOGWAIT.
 *
 * A parked command is in q->waiter or cz->logwait.  Whoever takes it out of there
 * under that lock has claimed it and is the only one to complete it: a requester
 * or an event by task work (completing a cancelable command from another task
 * would take the ring's uring_lock), F_CANCEL at once.  The issue path completes
 * what it never parked, or takes back itself.
 */
#include <linux/nospec.h>

#include "chan.h"

enum nexus_cmd_kind {
	NEXUS_CMD_KIND_QUEUE = 1,
	NEXUS_CMD_KIND_LOG,
};

/* Written before the command is marked cancelable: F_CANCEL reads it. */
struct nexus_pdu {
	u32 kind;
	u32 index;	/* queue, or zone id; checked */
	s32 result;	/* for task work; written by whoever has claimed the command */
};

static struct nexus_pdu *nexus_pdu(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct nexus_pdu);
}

/* The thread that served @q is gone: what it has goes to others, or waits. */
static void nexus_queue_disown(struct nexus_queue *q)
{
	struct nexus_session *s = q->att->session;
	LIST_HEAD(moved);

	spin_lock(&s->lock);
	/* After LOST or DEAD there is nothing in it. */
	if (rcu_access_pointer(s->att) == q->att) {
		nexus_queue_drop(q, false, &moved);
		nexus_session_requeue(s, &moved);
		nexus_session_pump(s);
	}
	spin_unlock(&s->lock);
}

static void nexus_uring_finish(struct io_uring_cmd *cmd, unsigned int flags,
			       bool dead)
{
	struct nexus_pdu *pdu = nexus_pdu(cmd);

	/* First: completing gives up the file, and with it the queue. */
	if (dead && pdu->kind == NEXUS_CMD_KIND_QUEUE)
		nexus_queue_disown(&nexus_chan_att(cmd->file)->queue[pdu->index]);
	nexus_uring_done(cmd, pdu->result, flags);
}

NEXUS_DEFINE_URING_WORK(nexus_uring_work, nexus_uring_finish)

void nexus_uring_ring(struct io_uring_cmd *bell)
{
	if (bell)
		io_uring_cmd_complete_in_task(bell, nexus_uring_work);
}

void nexus_uring_end(struct io_uring_cmd *cmd, int result)
{
	if (!cmd)
		return;
	nexus_pdu(cmd)->result = result;
	io_uring_cmd_complete_in_task(cmd, nexus_uring_work);
}

/*
 * F_CANCEL: the task or the ring ends; uring_lock is held.  May come again until
 * the command is completed, also while another context has claimed it: then
 * there is nothing to do.
 */
static void nexus_uring_cancel(struct io_uring_cmd *cmd, unsigned int flags)
{
	struct nexus_att *att = nexus_chan_att(cmd->file);
	struct nexus_pdu *pdu = nexus_pdu(cmd);
	struct nexus_session *s = att->session;
	struct nexus_czone *cz;
	struct nexus_queue *q;
	bool mine = false;

	switch (pdu->kind) {
	case NEXUS_CMD_KIND_QUEUE:
		q = &att->queue[pdu->index];
		spin_lock(&q->lock);
		mine = q->waiter == cmd;
		if (mine)
			q->waiter = NULL;
		spin_unlock(&q->lock);
		if (mine)
			nexus_queue_disown(q);
		break;
	case NEXUS_CMD_KIND_LOG:
		cz = nexus_czone_get(s, pdu->index);
		if (cz) {
			mine = nexus_czone_unpark(cz, cmd);
			nexus_czone_put(cz);
		}
		break;
	}
	if (mine)
		nexus_uring_done(cmd, -ECANCELED, flags);
}

/* The queue is served from now on; what waited for that goes out. */
static void nexus_queue_own(struct nexus_queue *q)
{
	struct nexus_session *s = q->att->session;

	WRITE_ONCE(q->helper_cpu, raw_smp_processor_id());
	if (READ_ONCE(q->owned))
		return;
	spin_lock(&s->lock);
	spin_lock(&q->lock);
	if (!q->closed)
		WRITE_ONCE(q->owned, true);
	spin_unlock(&q->lock);
	nexus_session_pump(s);
	spin_unlock(&s->lock);
}

static int nexus_uring_wait(struct nexus_queue *q, struct io_uring_cmd *cmd,
			    u32 seen, int taken, unsigned int issue_flags)
{
	struct nexus_pdu *pdu = nexus_pdu(cmd);
	int ret = -EIOCBQUEUED;
	bool owned = true;

	/* Without parking, where there is something to do already. */
	spin_lock(&q->lock);
	if (q->closed)
		ret = -ESHUTDOWN;
	else if (q->sq_tail != seen)
		ret = taken;
	else if (q->waiter)
		ret = -EBUSY;
	spin_unlock(&q->lock);
	if (ret != -EIOCBQUEUED)
		return ret;

	pdu->kind = NEXUS_CMD_KIND_QUEUE;
	pdu->index = q->index;
	pdu->result = taken;
	/*
	 * May sleep on uring_lock in a worker of the ring, so not under ours.
	 * Until the command is in q->waiter nobody else can complete it.
	 */
	io_uring_cmd_mark_cancelable(cmd, issue_flags);

	spin_lock(&q->lock);
	if (q->closed)
		ret = -ESHUTDOWN;
	else if (q->sq_tail != seen)
		ret = taken;
	else if (q->waiter)
		ret = -EBUSY;
	else
		q->waiter = cmd;
	/* Its last thread may have gone since nexus_queue_own(). */
	owned = q->owned;
	spin_unlock(&q->lock);
	if (!owned)
		nexus_queue_own(q);

	/* Marked, so it must be completed by call, not by return. */
	if (ret != -EIOCBQUEUED)
		nexus_uring_done(cmd, ret, issue_flags);
	return -EIOCBQUEUED;
}

static int nexus_uring_logwait(struct nexus_att *att, u32 id, u32 seen,
			       struct io_uring_cmd *cmd,
			       unsigned int issue_flags)
{
	struct nexus_pdu *pdu = nexus_pdu(cmd);
	struct nexus_czone *cz;
	int ret;

	cz = nexus_czone_get(att->session, id);
	if (!cz)
		return -ENOENT;
	if (READ_ONCE(cz->epoch) != att->epoch) {
		ret = -ESTALE;
		goto out;
	}
	pdu->kind = NEXUS_CMD_KIND_LOG;
	pdu->index = id;
	pdu->result = 0;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	ret = nexus_czone_logwait(cz, cmd, seen);
	if (ret != -EIOCBQUEUED) {
		nexus_uring_done(cmd, ret, issue_flags);
		ret = -EIOCBQUEUED;
	}
out:
	nexus_czone_put(cz);
	return ret;
}

int nexus_chan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct nexus_att *att = nexus_chan_att(cmd->file);
	const struct nexus_uring_cmd *p;
	struct nexus_uring_cmd c;
	struct nexus_queue *q;
	int taken;

	if (issue_flags & IO_URING_F_CANCEL) {
		nexus_uring_cancel(cmd, issue_flags);
		return 0;
	}
	/*
	 * 32-bit rings are welcome: the command has no pointer and no field
	 * whose place depends on the word size.
	 */
	if (issue_flags & IO_URING_F_IOPOLL)
		return -EOPNOTSUPP;
	if (!att)
		return -ENOTCONN;

	/* The helper may change it meanwhile: each field is read once. */
	p = nexus_uring_data(cmd);
	c.index = READ_ONCE(p->index);
	c.seen = READ_ONCE(p->seen);
	c.reserved = READ_ONCE(p->reserved);
	if (c.reserved)
		return -EINVAL;

	switch (cmd->cmd_op) {
	case NEXUS_URING_WAIT:
	case NEXUS_URING_COMMIT:
		if (c.index >= att->nr_queues)
			return -EINVAL;
		c.index = array_index_nospec(c.index, att->nr_queues);
		q = &att->queue[c.index];
		taken = nexus_queue_drain(q);
		nexus_queue_own(q);
		if (cmd->cmd_op == NEXUS_URING_COMMIT)
			return READ_ONCE(q->closed) ? -ESHUTDOWN : taken;
		return nexus_uring_wait(q, cmd, c.seen, taken, issue_flags);
	case NEXUS_URING_LOGWAIT:
		return nexus_uring_logwait(att, c.index, c.seen, cmd,
					   issue_flags);
	default:
		return -ENOTTY;
	}
}
