// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues: slots, the two rings, doorbells.
 *
 * The kernel's view of a queue (which slot holds which request under which
 * sequence number) is private memory.  Shared memory is only written (request
 * area) or read once and checked (reply area); nothing in it is ever believed
 * twice.
 */
#include <linux/cpumask.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "chan.h"

struct nexus_att *nexus_att_alloc(unsigned int nr_queues)
{
	unsigned int cpu, i, cpus = num_online_cpus();
	struct nexus_att *att;

	att = kvzalloc(struct_size(att, queue, nr_queues), GFP_KERNEL_ACCOUNT);
	if (!att)
		return NULL;
	att->nr_queues = nr_queues;
	att->cpu_queue = kcalloc(nr_cpu_ids, sizeof(*att->cpu_queue),
				 GFP_KERNEL_ACCOUNT);
	if (!att->cpu_queue)
		goto out;

	/* Neighbours share a queue where there are fewer queues than CPUs. */
	i = 0;
	for_each_possible_cpu(cpu) {
		if (cpu_online(cpu) && i < cpus)
			att->cpu_queue[cpu] = i++ * min(nr_queues, cpus) / cpus;
		else
			att->cpu_queue[cpu] = cpu % nr_queues;
	}

	for (i = 0; i < nr_queues; i++) {
		struct nexus_queue *q = &att->queue[i];

		spin_lock_init(&q->lock);
		q->index = i;
		q->att = att;
		q->helper_cpu = -1;
		/* Zeroed, and whole pages: nothing of the kernel's shows in them. */
		q->req = vmalloc_user(sizeof(*q->req));
		q->rep = vmalloc_user(sizeof(*q->rep));
		if (!q->req || !q->rep)
			goto out;
	}
	return att;

out:
	nexus_att_free(att);
	return NULL;
}

void nexus_att_free(struct nexus_att *att)
{
	unsigned int i;

	for (i = 0; i < att->nr_queues; i++) {
		vfree(att->queue[i].req);
		vfree(att->queue[i].rep);
	}
	kfree(att->cpu_queue);
	put_pid(att->owner);
	kvfree(att);
}

/* ---- kernel to helper -------------------------------------------------- */

/* Puts @rq into free slot @slot; the bell to ring or NULL. */
static struct io_uring_cmd *nexus_queue_publish(struct nexus_queue *q,
						struct nexus_rq *rq,
						unsigned int slot)
{
	struct io_uring_cmd *bell = NULL;
	u8 *to = q->req->slot[slot];

	lockdep_assert_held(&q->lock);

	kref_get(&rq->ref);
	__set_bit(slot, q->busy);
	q->rq[slot] = rq;
	q->distant += nexus_rq_is_distant(rq);
	rq->req.seq = ++q->seq;
	rq->queue = q;
	rq->slot = slot;
	WRITE_ONCE(rq->state, NEXUS_RQ_SENT);

	memcpy(to, &rq->req, sizeof(rq->req));
	memcpy(to + sizeof(rq->req), rq->data, rq->req.len);
	q->req->sq[q->sq_tail % NEXUS_SLOTS] = slot;
	q->sq_tail++;
	/*
	 * Slot and ring entry before the tail that announces them: pairs with
	 * the load-acquire of sq_tail in the helper.
	 */
	smp_store_release(&q->req->sq_tail, q->sq_tail);

	if (q->waiter) {
		/*
		 * The tail before the look at polling: pairs with the full
		 * barrier of a helper that stops polling, between its store to
		 * polling and its last look at sq_tail.  One of the two sees
		 * the other, so no request is left without a doorbell.
		 */
		smp_mb();
		if (!READ_ONCE(q->rep->polling)) {
			bell = q->waiter;
			q->waiter = NULL;
		}
	}
	/* Worth spinning for only if it runs already, and elsewhere. */
	rq->spin_cpu = bell ? -1 : READ_ONCE(q->helper_cpu);
	return bell;
}

/* How long a queue is asked first after it has answered another CPU. */
#define NEXUS_HOT_MS	20u
/* Requests with another CPU's queue from which on more than one thread should answer. */
#define NEXUS_HOT_BUSY	8u

/*
 * The queue to try first: the one that lately answered callers on other CPUs than its
 * helper's, if this is one; else this CPU's.  That helper polls, or did a moment ago
 * and will again, so neither side has to sleep.  Going back to this CPU's at its first
 * pause would have the scheduler move the caller, and with it the queue, each time.
 * Not where that helper lately had to wait for its CPU.  All of it hints.
 */
static unsigned int nexus_att_first(const struct nexus_att *att,
				    const struct nexus_rq *rq)
{
	int cpu = raw_smp_processor_id();
	unsigned int hot = READ_ONCE(att->hot);
	const struct nexus_queue *q = &att->queue[hot];

	/* A helper of this CPU would take it from the caller, who has not come to wait. */
	if (rq->ahead)
		return (att->cpu_queue[cpu] + 1) % att->nr_queues;
	if ((READ_ONCE(q->rep->polling) ||
	     time_before(jiffies, READ_ONCE(att->session->hot_until))) &&
	    READ_ONCE(q->helper_cpu) != cpu &&
	    /* One more or less matters little. */
	    data_race(bitmap_weight(q->busy, NEXUS_SLOTS)) < NEXUS_HOT_BUSY)
		return hot;
	return att->cpu_queue[cpu];
}

bool nexus_att_send(struct nexus_att *att, struct nexus_rq *rq,
		    struct io_uring_cmd **bell)
{
	unsigned int own = att->cpu_queue[raw_smp_processor_id()];
	unsigned int first = nexus_att_first(att, rq);
	unsigned int i, slot;

	*bell = NULL;
	for (i = 0; i < att->nr_queues; i++) {
		struct nexus_queue *q =
			&att->queue[(first + i) % att->nr_queues];

		/* A hint; the lock decides. */
		if (!READ_ONCE(q->owned))
			continue;
		spin_lock(&q->lock);
		if (!q->owned || q->closed) {
			spin_unlock(&q->lock);
			continue;
		}
		slot = NEXUS_SLOTS;
		if (!nexus_rq_is_distant(rq) || q->distant < NEXUS_DISTANT_SLOTS)
			slot = find_first_zero_bit(q->busy, NEXUS_SLOTS);
		if (slot < NEXUS_SLOTS) {
			rq->far = first != own && !rq->ahead;
			*bell = nexus_queue_publish(q, rq, slot);
			spin_unlock(&q->lock);
			if (*bell)
				nexus_count(doorbells);
			else
				nexus_count(doorbells_saved);
			return true;
		}
		spin_unlock(&q->lock);
	}
	return false;
}

/* ---- helper to kernel -------------------------------------------------- */

static void nexus_queue_free_slot(struct nexus_queue *q, unsigned int slot)
{
	lockdep_assert_held(&q->lock);
	q->distant -= nexus_rq_is_distant(q->rq[slot]);
	q->rq[slot] = NULL;
	__clear_bit(slot, q->busy);
}

/*
 * Copies the reply of @rq out of its slot, every byte once, and checks what can
 * be checked without knowing the operation.  No lock: COPYING keeps slot and
 * request ours, and the command that runs us holds the file, hence the area.
 */
static void nexus_queue_copy_reply(struct nexus_queue *q, struct nexus_rq *rq)
{
	const struct nexus_reply *r = (void *)q->rep->slot[rq->slot];
	u32 len = READ_ONCE(r->len);
	s32 status = READ_ONCE(r->status);

	rq->applied = READ_ONCE(r->applied);
	if (READ_ONCE(r->seq) != rq->req.seq)
		rq->bad = "seq";
	/* Up to 511: the codes above are the kernel's own and restart system calls. */
	else if (status > 0 || status < -511)
		rq->bad = "status";
	else if (len > rq->req.reply_max)
		rq->bad = "len";
	else if (READ_ONCE(r->reserved) || READ_ONCE(r->reserved2))
		rq->bad = "reserved";
	if (rq->bad)
		return;

	rq->err = status;
	rq->len = len;
	if (len)
		memcpy(rq->buf, r->data, len);
}

/* Ends @rq.  True if its waiter will run on another CPU than this one. */
static bool nexus_queue_answer(struct nexus_queue *q, struct nexus_rq *rq)
{
	struct task_struct *waiter = rq->abandoned ? NULL : rq->waiter;
	bool elsewhere;

	lockdep_assert_held(&q->lock);
	/* Once it is DONE the waiter may go, but not be freed. */
	rcu_read_lock();
	nexus_rq_end(rq, rq->bad ? -EIO : rq->err);
	elsewhere = waiter && task_cpu(waiter) != raw_smp_processor_id();
	rcu_read_unlock();
	return elsewhere;
}

int nexus_queue_drain(struct nexus_queue *q)
{
	struct nexus_session *s = q->att->session;
	unsigned int taken = 0, bad = 0;
	bool elsewhere = false;
	u32 tail;

	/*
	 * Entries and replies after the tail that announces them: pairs with
	 * the store-release of cq_tail in the helper.
	 */
	tail = smp_load_acquire(&q->rep->cq_tail);

	spin_lock(&q->lock);
	if (tail - q->cq_head > NEXUS_SLOTS && (s32)(tail - q->cq_head) > 0) {
		bad = 1;
		q->cq_head = tail;
	}
	/* Another thread may drain too and be ahead of this tail. */
	while ((s32)(tail - q->cq_head) > 0) {
		const struct nexus_cqe *e = &q->rep->cq[q->cq_head % NEXUS_SLOTS];
		u32 slot = READ_ONCE(e->slot);
		u32 seq = READ_ONCE(e->seq);
		struct nexus_rq *rq;

		q->cq_head++;
		if (slot >= NEXUS_SLOTS) {
			bad++;
			continue;
		}
		slot = array_index_nospec(slot, NEXUS_SLOTS);
		rq = q->rq[slot];
		if (!rq || rq->state != NEXUS_RQ_SENT || rq->req.seq != seq) {
			bad++;
			continue;
		}
		if (!rq->abandoned) {
			WRITE_ONCE(rq->state, NEXUS_RQ_COPYING);
			spin_unlock(&q->lock);
			nexus_queue_copy_reply(q, rq);
			spin_lock(&q->lock);
		}
		nexus_queue_free_slot(q, slot);
		elsewhere |= nexus_queue_answer(q, rq);
		nexus_rq_put(rq);
		taken++;
	}
	if (taken) {
		WRITE_ONCE(q->req->elsewhere, elsewhere);
		if (elsewhere) {
			WRITE_ONCE(q->att->hot, q->index);
			WRITE_ONCE(s->hot_until,
				   jiffies + msecs_to_jiffies(NEXUS_HOT_MS));
		}
	}
	spin_unlock(&q->lock);

	if (bad) {
		nexus_count_n(req_bad, bad);
		pr_warn_ratelimited("nexusfs: session %s, queue %u: %u answers to nothing that was asked\n",
				    s->name, q->index, bad);
	}
	/*
	 * Whoever found no slot was on the list before it took q->lock to look,
	 * or takes it after us and finds the slot.
	 */
	if (taken && (!list_empty_careful(&s->pending) ||
		      !list_empty_careful(&s->distant))) {
		spin_lock(&s->lock);
		nexus_session_pump(s);
		spin_unlock(&s->lock);
	}
	return taken;
}

/* ---- ends -------------------------------------------------------------- */

/* Keeps @moved in the order the requests were sent in. */
static void nexus_queue_insert(struct list_head *moved, struct nexus_rq *rq)
{
	struct nexus_rq *pos;

	list_for_each_entry_reverse(pos, moved, node)
		if ((s32)(rq->req.seq - pos->req.seq) > 0)
			break;
	list_add(&rq->node, &pos->node);
}

struct io_uring_cmd *nexus_queue_drop(struct nexus_queue *q, bool close,
				      struct list_head *moved)
{
	struct io_uring_cmd *waiter = NULL;
	struct nexus_rq *rq;
	unsigned int slot;
	LIST_HEAD(mine);

	spin_lock(&q->lock);
	/* Another thread has parked there since. */
	if (!close && q->waiter) {
		spin_unlock(&q->lock);
		return NULL;
	}
	WRITE_ONCE(q->owned, false);
	if (close) {
		q->closed = true;
		waiter = q->waiter;
		q->waiter = NULL;
	}
	for_each_set_bit(slot, q->busy, NEXUS_SLOTS) {
		rq = q->rq[slot];
		/* COPYING: its drain ends it, and the helper with it lives. */
		if (rq->state != NEXUS_RQ_SENT)
			continue;
		nexus_queue_free_slot(q, slot);
		if (rq->abandoned) {
			nexus_rq_end(rq, -EINTR);
			nexus_rq_put(rq);
			continue;
		}
		WRITE_ONCE(rq->state, NEXUS_RQ_QUEUED);
		/* The slot's reference becomes the list's. */
		nexus_queue_insert(&mine, rq);
	}
	spin_unlock(&q->lock);
	list_splice_tail(&mine, moved);
	return waiter;
}

u32 nexus_att_requests(struct nexus_att *att)
{
	unsigned int i;
	u32 n = 0;

	for (i = 0; i < att->nr_queues; i++) {
		spin_lock(&att->queue[i].lock);
		n += bitmap_weight(att->queue[i].busy, NEXUS_SLOTS);
		spin_unlock(&att->queue[i].lock);
	}
	return n;
}
