// SPDX-License-Identifier: GPL-2.0-only
/* The channel without a device: sessions, slots, rings, replies that are refused. */
#include <linux/sched.h>

#include "kunit.h"
#include "../../kmod/chan/chan.h"

#define QUEUES	2

struct nexus_chan_test {
	struct nexus_att *att;
	struct nexus_rq rq[QUEUES * NEXUS_SLOTS + 1];
	u8 buf[NEXUS_REPLY_DATA_MAX];
};

static struct nexus_att *nexus_chan_test_att(struct kunit *test,
					     unsigned int queues)
{
	struct nexus_att *att = nexus_att_alloc(queues);

	KUNIT_ASSERT_NOT_NULL(test, att);
	att->owner = get_pid(task_tgid(current));
	return att;
}

static int nexus_chan_test_init(struct kunit *test)
{
	struct nexus_chan_test *t;
	unsigned int i;

	t = kvzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	test->priv = t;
	for (i = 0; i < ARRAY_SIZE(t->rq); i++) {
		struct nexus_rq *rq = &t->rq[i];

		/* Never the last reference: they are not from the cache. */
		kref_init(&rq->ref);
		kref_get(&rq->ref);
		INIT_LIST_HEAD(&rq->node);
		init_waitqueue_head(&rq->wq);
		rq->req.op = NEXUS_OP_LOOKUP;
		rq->req.ino = 100 + i;
		rq->req.reply_max = NEXUS_REPLY_DATA_MAX;
		rq->buf = t->buf;
	}
	t->att = nexus_chan_test_att(test, QUEUES);
	return nexus_session_attach("kunit", t->att);
}

static void nexus_chan_test_exit(struct kunit *test)
{
	struct nexus_chan_test *t = test->priv;

	if (t->att)
		nexus_session_lost(t->att);
	kvfree(t);
}

static void nexus_chan_test_own(struct nexus_att *att, unsigned int queue)
{
	WRITE_ONCE(att->queue[queue].owned, true);
}

static bool nexus_chan_test_send(struct nexus_chan_test *t, unsigned int i)
{
	struct io_uring_cmd *bell;

	return nexus_att_send(t->att, &t->rq[i], &bell) && !bell;
}

static struct nexus_reply *nexus_chan_test_reply(const struct nexus_rq *rq)
{
	struct nexus_reply *r = (void *)rq->queue->rep->slot[rq->slot];

	memset(r, 0, sizeof(*r));
	r->seq = rq->req.seq;
	return r;
}

static void nexus_chan_test_cqe(struct nexus_queue *q, u32 slot, u32 seq)
{
	u32 tail = q->rep->cq_tail;

	q->rep->cq[tail % NEXUS_SLOTS] = (struct nexus_cqe){ slot, seq };
	q->rep->cq_tail = tail + 1;
}

/* ---- sessions ------------------------------------------------------------- */

static void nexus_chan_one_helper(struct kunit *test)
{
	struct nexus_chan_test *t = test->priv;
	struct nexus_att *other = nexus_chan_test_att(test, 1);
	struct nexus_session *s;
	const char *why = NULL;

	KUNIT_EXPECT_EQ(test, nexus_session_attach("kunit", other), -EBUSY);
	nexus_att_free(other);

	s = nexus_session_find("kunit", &why);
	KUNIT_ASSERT_FALSE(test, IS_ERR(s));
	KUNIT_EXPECT_EQ(test, s->epoch, 1);
	KUNIT_EXPECT_TRUE(test, nexus_session_is_own(s));

	/* Nothing is mounted: it ends with its helper, and the name is free. */
	nexus_session_lost(t->att);
	t->att = NULL;
	KUNIT_EXPECT_EQ(test, (int)s->state, (int)NEXUS_SESSION_DEAD);
	KUNIT_EXPECT_FALSE(test, nexus_session_is_own(s));
	nexus_session_put(s);
	KUNIT_EXPECT_NULL(test, nexus_session_lookup("kunit"));
	s = nexus_session_find("kunit", &why);
	KUNIT_EXPECT_PTR_EQ(test, (void *)s, ERR_PTR(-ENOTCONN));
	KUNIT_EXPECT_NOT_NULL(test, why);
}

static void nexus_chan_cpus(struct kunit *test)
{
	unsigned int queues, cpu;

	for (queues = 1; queues <= NEXUS_QUEUES_MAX; queues += 21) {
		struct nexus_att *att = nexus_chan_test_att(test, queues);

		for_each_possible_cpu(cpu)
			KUNIT_EXPECT_LT(test, att->cpu_queue[cpu], queues);
		nexus_att_free(att);
	}
}

/* ---- slots ------------------------------------------------------------------ */

static void nexus_chan_slots(struct kunit *test)
{
	struct nexus_chan_test *t = test->priv;
	struct nexus_queue *q = t->att->queue;
	unsigned int i, j;
	LIST_HEAD(moved);

	KUNIT_EXPECT_FALSE_MSG(test, nexus_chan_test_send(t, 0),
			       "no queue has a thread");
	nexus_chan_test_own(t->att, 1);
	KUNIT_ASSERT_TRUE(test, nexus_chan_test_send(t, 0));
	KUNIT_EXPECT_PTR_EQ(test, t->rq[0].queue, &q[1]);
	nexus_chan_test_own(t->att, 0);
	for (i = 1; i < QUEUES * NEXUS_SLOTS; i++)
		KUNIT_ASSERT_TRUE(test, nexus_chan_test_send(t, i));
	KUNIT_EXPECT_FALSE_MSG(test, nexus_chan_test_send(t, i),
			       "every slot is taken");
	KUNIT_EXPECT_EQ(test, nexus_att_requests(t->att), QUEUES * NEXUS_SLOTS);

	/* What the helper sees is what was sent. */
	for (i = 0; i < QUEUES; i++) {
		KUNIT_EXPECT_EQ(test, q[i].req->sq_tail, NEXUS_SLOTS);
		for (j = 0; j < NEXUS_SLOTS; j++) {
			u32 slot = q[i].req->sq[j];
			const struct nexus_request *req =
				(void *)q[i].req->slot[slot];

			KUNIT_EXPECT_EQ(test, req->seq, q[i].rq[slot]->req.seq);
			KUNIT_EXPECT_EQ(test, req->ino, q[i].rq[slot]->req.ino);
		}
	}

	/* One was abandoned; the others come back in their order. */
	t->rq[5].abandoned = true;
	nexus_queue_drop(t->rq[5].queue, false, &moved);
	KUNIT_EXPECT_EQ(test, list_count_nodes(&moved), NEXUS_SLOTS - 1);
	KUNIT_EXPECT_EQ(test, (int)t->rq[5].state, (int)NEXUS_RQ_DONE);
	i = 0;
	while (!list_empty(&moved)) {
		struct nexus_rq *rq = list_first_entry(&moved, struct nexus_rq,
						       node);

		KUNIT_EXPECT_GT(test, rq->req.seq, i);
		i = rq->req.seq;
		list_del_init(&rq->node);
		nexus_rq_end(rq, -ENOTCONN);
		nexus_rq_put(rq);
	}
}

/* ---- replies ------------------------------------------------------------------ */

static void nexus_chan_forged(struct kunit *test)
{
	struct nexus_chan_test *t = test->priv;
	struct nexus_queue *q = t->att->queue;
	struct nexus_rq *rq = &t->rq[0];

	nexus_chan_test_own(t->att, 0);
	KUNIT_ASSERT_TRUE(test, nexus_chan_test_send(t, 0));
	nexus_chan_test_reply(rq);
	nexus_chan_test_cqe(q, rq->slot, rq->req.seq + 1);
	nexus_chan_test_cqe(q, rq->slot, rq->req.seq - 1);
	nexus_chan_test_cqe(q, rq->slot + 1, rq->req.seq);
	nexus_chan_test_cqe(q, NEXUS_SLOTS, rq->req.seq);
	nexus_chan_test_cqe(q, U32_MAX, rq->req.seq);
	KUNIT_EXPECT_EQ(test, nexus_queue_drain(q), 0);
	KUNIT_EXPECT_EQ(test, (int)rq->state, (int)NEXUS_RQ_SENT);

	/* A tail that no number of replies explains is skipped over. */
	q->rep->cq_tail += 1000000;
	KUNIT_EXPECT_EQ(test, nexus_queue_drain(q), 0);
	/* And one that goes back is none. */
	q->rep->cq_tail -= 5;
	KUNIT_EXPECT_EQ(test, nexus_queue_drain(q), 0);
	q->rep->cq_tail += 5;

	nexus_chan_test_cqe(q, rq->slot, rq->req.seq);
	nexus_chan_test_cqe(q, rq->slot, rq->req.seq);
	KUNIT_EXPECT_EQ_MSG(test, nexus_queue_drain(q), 1, "the second is late");
	KUNIT_EXPECT_EQ(test, (int)rq->state, (int)NEXUS_RQ_DONE);
	KUNIT_EXPECT_NULL(test, rq->bad);
}

static void nexus_chan_heads(struct kunit *test)
{
	static const struct {
		s32 status;
		u32 len, reserved, seq;
		const char *bad;
		int err;
	} c[] = {
		{ 0, 0, 0, 0, NULL, 0 },
		{ 0, NEXUS_REPLY_DATA_MAX, 0, 0, NULL, 0 },
		{ -ENOENT, 0, 0, 0, NULL, -ENOENT },
		{ -511, 0, 0, 0, NULL, -511 },
		{ -512, 0, 0, 0, "status", -EIO },
		{ S32_MIN, 0, 0, 0, "status", -EIO },
		{ 1, 0, 0, 0, "status", -EIO },
		{ 0, NEXUS_REPLY_DATA_MAX + 1, 0, 0, "len", -EIO },
		{ 0, U32_MAX, 0, 0, "len", -EIO },
		{ 0, 0, 1, 0, "reserved", -EIO },
		{ 0, 0, 0, 1, "seq", -EIO },
	};
	struct nexus_chan_test *t = test->priv;
	struct nexus_queue *q = t->att->queue;
	unsigned int i;

	nexus_chan_test_own(t->att, 0);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		struct nexus_rq *rq = &t->rq[i];
		struct nexus_reply *r;

		KUNIT_ASSERT_TRUE(test, nexus_chan_test_send(t, i));
		r = nexus_chan_test_reply(rq);
		r->status = c[i].status;
		r->len = c[i].len;
		r->reserved = c[i].reserved;
		r->seq += c[i].seq;
		r->applied = 4242;
		nexus_chan_test_cqe(q, rq->slot, rq->req.seq);
		KUNIT_EXPECT_EQ(test, nexus_queue_drain(q), 1);
		KUNIT_EXPECT_EQ(test, (int)rq->state, (int)NEXUS_RQ_DONE);
		KUNIT_EXPECT_EQ_MSG(test, rq->err, c[i].err, "case %u", i);
		KUNIT_EXPECT_STREQ(test, rq->bad ?: "", c[i].bad ?: "");
		if (!c[i].bad)
			KUNIT_EXPECT_EQ(test, rq->len, c[i].len);
	}
	KUNIT_EXPECT_EQ(test, nexus_att_requests(t->att), 0);
}

/* A slot is used again under another number, for as long as numbers wrap. */
static void nexus_chan_wrap(struct kunit *test)
{
	struct nexus_chan_test *t = test->priv;
	struct nexus_queue *q = t->att->queue;
	struct nexus_rq *rq = &t->rq[0];
	unsigned int i;

	nexus_chan_test_own(t->att, 0);
	q->seq = U32_MAX - 100;
	q->sq_tail = q->seq;
	q->req->sq_tail = q->seq;
	q->cq_head = U32_MAX - 50;
	q->rep->cq_tail = q->cq_head;
	for (i = 0; i < 300; i++) {
		rq->state = NEXUS_RQ_NEW;
		KUNIT_ASSERT_TRUE(test, nexus_chan_test_send(t, 0));
		nexus_chan_test_reply(rq);
		nexus_chan_test_cqe(q, rq->slot, rq->req.seq);
		KUNIT_ASSERT_EQ(test, nexus_queue_drain(q), 1);
		KUNIT_ASSERT_EQ(test, (int)rq->state, (int)NEXUS_RQ_DONE);
	}
	KUNIT_EXPECT_EQ(test, q->req->sq_tail, 199);
}

static struct kunit_case nexus_chan_cases[] = {
	KUNIT_CASE(nexus_chan_one_helper),
	KUNIT_CASE(nexus_chan_cpus),
	KUNIT_CASE(nexus_chan_slots),
	KUNIT_CASE(nexus_chan_forged),
	KUNIT_CASE(nexus_chan_heads),
	KUNIT_CASE(nexus_chan_wrap),
	{}
};

struct kunit_suite nexus_chan_suite = {
	.name = "nexusfs-chan",
	.init = nexus_chan_test_init,
	.exit = nexus_chan_test_exit,
	.test_cases = nexus_chan_cases,
};
