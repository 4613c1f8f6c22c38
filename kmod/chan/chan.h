/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The channel between module and helper: what its files share.
 *
 * Objects and who holds them:
 *
 *   nexus_session  a name.  Held by: its attachment, its zones, whoever waits.
 *   nexus_att      one helper's attachment: the open file, with the queues and
 *                  their mapped areas.  Owned by the file; s->att points to it
 *                  under RCU while the session is LIVE.  Commands and mappings
 *                  hold the file, so ->release() finds neither.
 *   nexus_czone    a zone as the channel sees it, by its id in s->zones.
 *   nexus_rq       a request.  Held by its waiter and by the slot or list it is in.
 *
 * Session states:
 *
 *   NEW --ATTACH--> LIVE --release--> LOST --ATTACH--> LIVE
 *                     |                 |
 *                     +-- ABORT --> DEAD <-- grace over, nothing left to serve
 *
 * Lock order:
 *
 *   nexus_sessions_lock (mutex) > nexus_session.zlock (mutex)
 *     > nexus_session.lock (spin) > nexus_queue.lock (spin)
 *   nexus_czone.lock (spin, irqs off): a leaf
 *
 * The spinlocks are taken inside a ring's uring_lock; nothing sleeps there.
 */
#ifndef NEXUS_CHAN_H
#define NEXUS_CHAN_H

#include "../nexusfs.h"

#define NEXUS_GRACE_DEFAULT	60	/* seconds, for what has no mount yet */
#define NEXUS_SLOW_SECONDS	10	/* a request that takes longer raises an event */

/* ---- requests ---------------------------------------------------------- */

enum nexus_rq_state {
	NEXUS_RQ_NEW,		/* not yet handed in; the waiter's alone */
	NEXUS_RQ_QUEUED,	/* on s->pending or s->distant */
	NEXUS_RQ_SENT,		/* in slot rq->slot of rq->queue */
	NEXUS_RQ_COPYING,	/* there, its reply is being copied without a lock */
	NEXUS_RQ_DONE,		/* answered: err, len, applied, buf are final */
};

/*
 * Moves: NEW > SENT by the waiter under queue.lock; NEW > QUEUED, QUEUED > SENT and
 * SENT > QUEUED under session.lock (and queue.lock where a slot is concerned);
 * SENT > COPYING > DONE under queue.lock; QUEUED > DONE under session.lock.  So
 * whoever holds both locks sees a state that stands still.
 */
struct nexus_rq {
	struct kref ref;
	enum nexus_rq_state state;
	bool abandoned;		/* the waiter is gone; set under both locks */
	u8 slot;
	struct nexus_queue *queue; /* SENT, COPYING */
	struct list_head node;	/* of nexus_rq_list(), or a private list of finished ones */
	wait_queue_head_t wq;
	/* In nexus_rq_wait() until DONE or abandoned; NULL if it was sent ahead. */
	struct task_struct *waiter;
	unsigned int grace;	/* seconds it may wait for a helper */
	int spin_cpu;		/* where the helper works on it right now, or -1 */
	bool far;		/* sent to another CPU's queue by choice */
	bool ahead;		/* who sends it goes on, and wants the answer later */
	/* The answer: written before DONE. */
	int err;		/* status of the reply, or ours */
	const char *bad;	/* field of a reply that was refused, static text */
	u32 len;		/* bytes in buf */
	u64 applied;
	u8 *buf;		/* req.reply_max bytes; NULL when nothing is wanted */
	/* The descriptor as the helper gets it; kept, so that it can be sent again. */
	struct nexus_request req;
	u8 data[NEXUS_REQUEST_DATA_MAX];
};

/*
 * The answer comes from a content store, which may take minutes or be silent.  Such
 * requests have half of the slots at most, so that others are answered meanwhile.
 */
static inline bool nexus_rq_is_distant(const struct nexus_rq *rq)
{
	return rq->req.op == NEXUS_OP_ENSURE || rq->req.op == NEXUS_OP_ORIGIN;
}

/* ---- queues ------------------------------------------------------------ */

#define NEXUS_DISTANT_SLOTS	(NEXUS_SLOTS / 2)

struct nexus_queue {
	spinlock_t lock;	/* everything below but the shared areas */
	unsigned int index;
	struct nexus_att *att;
	bool owned;		/* a helper thread serves it */
	bool closed;		/* the attachment is over; for good */
	u32 sq_tail;		/* published, free-running */
	u32 cq_head;		/* replies taken, free-running */
	u32 seq;		/* of the last request sent */
	DECLARE_BITMAP(busy, NEXUS_SLOTS);
	unsigned int distant;	/* of the busy ones */
	struct nexus_rq *rq[NEXUS_SLOTS]; /* referenced, where busy */
	struct io_uring_cmd *waiter; /* the parked WAIT; NULL once claimed */
	int helper_cpu;		/* where the last command was issued; racy, a hint */
	struct nexus_req_area *req;	/* mapped read-only by the helper */
	struct nexus_rep_area *rep;	/* mapped read-write: each field is read once */
} ____cacheline_aligned_in_smp;

struct nexus_att {
	struct nexus_session *session;	/* referenced */
	struct pid *owner;		/* thread group that attached, referenced */
	struct task_struct *mover;	/* of it, in SUBMIT of a MOVE: it may ask; only compared */
	u32 epoch;
	unsigned int nr_queues;
	unsigned int hot;		/* queue that last answered another CPU; racy, a hint */
	struct rcu_head rcu;
	u8 *cpu_queue;			/* nr_cpu_ids entries: queue of a CPU */
	struct nexus_queue queue[] __counted_by(nr_queues);
};

/* queue.c */
struct nexus_att *nexus_att_alloc(unsigned int nr_queues);
void nexus_att_free(struct nexus_att *att);
/*
 * Puts @rq into a free slot of an owned queue, preferably this CPU's.  False: there
 * is none.  The caller holds s->lock (with @rq QUEUED and off its list), or RCU
 * (with @rq NEW).  *@bell: a command to pass to nexus_queue_ring(), or NULL.
 */
bool nexus_att_send(struct nexus_att *att, struct nexus_rq *rq,
		    struct io_uring_cmd **bell);
/*
 * The queue takes no more requests.  Moves what was SENT to @moved, oldest first;
 * releases abandoned ones; @close: for good, and returns the parked command
 * for nexus_uring_end().  s->lock held.
 */
struct io_uring_cmd *nexus_queue_drop(struct nexus_queue *q, bool close,
				      struct list_head *moved);
/*
 * Takes every reply that is in the completion ring; returns their number.  The
 * caller is a command, so the attachment stays.
 */
int nexus_queue_drain(struct nexus_queue *q);
/* Requests in slots.  A snapshot, for people. */
u32 nexus_att_requests(struct nexus_att *att);

/* uring.c */
/* Completes a claimed WAIT (NULL: nothing), from the helper's own task.  Any context. */
void nexus_uring_ring(struct io_uring_cmd *bell);
/* Completes a claimed WAIT or LOGWAIT (NULL: nothing) with @result.  Any context. */
void nexus_uring_end(struct io_uring_cmd *cmd, int result);
int nexus_chan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

/* ---- sessions ---------------------------------------------------------- */

struct nexus_session {
	struct kref ref;
	struct list_head node;		/* nexus_sessions; nexus_sessions_lock */
	char name[NEXUS_SESSION_NAME_MAX + 1];

	spinlock_t lock;		/* state, epoch, att, pending, distant */
	enum nexus_session_state state;	/* lock to write */
	u32 epoch;			/* lock */
	pid_t pid;			/* of the last helper, for people; lock */
	struct nexus_att __rcu *att;	/* NULL unless LIVE; lock to write */
	struct list_head pending;	/* QUEUED requests, oldest first; lock */
	struct list_head distant;	/* those that wait for a store, likewise; lock */
	unsigned long lost_at;		/* jiffies, while LOST; lock */
	unsigned int spin_us;		/* what spinning for an answer is worth; racy */
	unsigned long hot_until;	/* jiffies: att->hot is asked first; racy, a hint */

	struct mutex zlock;		/* zones (to change), opens, and LOST/LIVE/DEAD moves */
	struct xarray zones;		/* nexus_czone by id; RCU to read */
	u32 next_id;
	struct list_head opens;		/* nexus_open: OPEN_ZONE in flight */
	u64 next_ticket;		/* zlock */
	u32 zone_seq;			/* +1 when a zone goes or an open ends; zlock to write */
	wait_queue_head_t zone_wq;	/* zone_seq or state moved */

	struct delayed_work grace;	/* runs once a second while LOST */
};

extern struct mutex nexus_sessions_lock;
extern struct list_head nexus_sessions;	/* every session not yet freed */
extern struct workqueue_struct *nexus_chan_wq;

/* session.c */
/* ATTACH: joins @att to its session.  0, -EBUSY, -ENOMEM, -EINTR. */
int nexus_session_attach(const char *name, struct nexus_att *att);
/* ->release: the helper is gone.  Frees @att. */
void nexus_session_lost(struct nexus_att *att);
/* DEAD: every waiter gets -ENOTCONN, mounted zones go read-only. */
void nexus_session_abort(struct nexus_session *s, const char *reason);
/* zlock held: DEAD if LOST and nothing is left that a helper could serve. */
void nexus_session_check_idle(struct nexus_session *s);
/* Sends what is QUEUED as far as there are slots; s->lock held. */
void nexus_session_pump(struct nexus_session *s);
/* The attachment's requests that were moved go back to the heads of their lists. */
void nexus_session_requeue(struct nexus_session *s, struct list_head *moved);

static inline void nexus_session_get(struct nexus_session *s)
{
	kref_get(&s->ref);
}

/* Where @rq waits for a slot. */
static inline struct list_head *nexus_rq_list(struct nexus_session *s,
					      const struct nexus_rq *rq)
{
	return nexus_rq_is_distant(rq) ? &s->distant : &s->pending;
}

/* Any state but DEAD, referenced, or NULL. */
struct nexus_session *nexus_session_lookup(const char *name);

/* request.c */
int nexus_rq_init(void);
void nexus_rq_exit(void);
void nexus_rq_put(struct nexus_rq *rq);
/* Ends @rq with @err; the state's lock is held or @rq is on no list and in no slot. */
void nexus_rq_end(struct nexus_rq *rq, int err);
/*
 * Sends @req with @data for at most @cap bytes of reply.  @grace: seconds it may wait for
 * a helper.  @ahead: the caller has something else to do meanwhile.  What it returns goes
 * to nexus_session_end() or nexus_session_forget(); -ENOTCONN, -EDEADLK, -ENOMEM, -EINVAL.
 */
struct nexus_rq *nexus_session_begin(struct nexus_session *s,
				     const struct nexus_request *req,
				     const void *data, unsigned int grace,
				     size_t cap, bool ahead);
/*
 * Waits killably for the answer to @rq, which it consumes; @out has the room asked for.
 * Returns as nexus_metastore_ops.read; *@applied may be NULL; *@bad names the field of a
 * reply that was refused (-EIO).  When OPEN_ZONE fails @out may hold a reason.
 */
int nexus_session_end(struct nexus_session *s, struct nexus_rq *rq,
		      const char *who, void *out, u64 *applied, const char **bad);
/* Nobody wants the answer any more. */
void nexus_session_forget(struct nexus_session *s, struct nexus_rq *rq);
/* Both: begins, and ends. */
int nexus_session_call(struct nexus_session *s, const struct nexus_request *req,
		       const void *data, unsigned int grace, const char *who,
		       void *out, size_t cap, u64 *applied, const char **bad);

/* ---- zones ------------------------------------------------------------- */

struct nexus_czone {
	struct kref ref;
	struct rcu_work free_work;	/* puts the zone, where one may sleep */
	struct nexus_zone *zone;	/* referenced */
	u32 id;
	u32 epoch;			/* of the attachment that knows it; zlock to write */
	u64 incarnation;
	bool mounted;			/* from OPEN_ZONE's success to kill_sb; zlock */
	bool detached;			/* the helper is done, kill_sb not quite; zlock */

	spinlock_t lock;		/* the fields below; any context */
	bool ended;			/* dropped, or the session is DEAD; lock */
	struct io_uring_cmd *logwait;	/* parked LOGWAIT; NULL once claimed; lock */
	u64 ino_end, pack_max;		/* highest handed over; lock */
	u64 checkpoint;			/* as last reported; lock */
};

/* An OPEN_ZONE that is not answered. */
struct nexus_open {
	struct list_head node;		/* s->opens */
	const char *name;
	const char *data;		/* of OPEN_ZONE */
	u32 len;
	u64 ticket;			/* a mount that was killed has another */
	struct nexus_czone *cz;		/* what ZONE_ATTACH made for it */
	bool lost;			/* there was one, of a helper that is gone */
};

/* zones.c */
/* A zeroed @cz becomes the owner of @zone. */
void nexus_czone_init(struct nexus_czone *cz, struct nexus_zone *zone);
/* With zlock held: */
/*
 * Takes @cz, which is not mounted, off the session: LOGWAIT ends, ioctls do not
 * find it, the LOCK file is let go.  Gives up the session's reference.
 */
void nexus_czone_drop(struct nexus_session *s, struct nexus_czone *cz);
struct nexus_open *nexus_open_named(struct nexus_session *s, const char *name);
/* The helper is gone: drops every zone that is not mounted. */
void nexus_zones_lost(struct nexus_session *s);
/* The session is DEAD: what is mounted goes read-only, the rest is dropped. */
void nexus_zones_dead(struct nexus_session *s, const char *reason);
/* Seconds the session may be LOST; -1: it has nothing left to serve. */
int nexus_zones_grace(struct nexus_session *s);

/* The zone with that id, referenced, or NULL.  Any context. */
struct nexus_czone *nexus_czone_get(struct nexus_session *s, u32 id);
void nexus_czone_put(struct nexus_czone *cz);	/* any context */
/* Parks @cmd until events differ from @seen.  Result, or -EIOCBQUEUED when parked. */
int nexus_czone_logwait(struct nexus_czone *cz, struct io_uring_cmd *cmd,
			u32 seen);
/* Takes @cmd back if it is still parked; the caller completes it then. */
bool nexus_czone_unpark(struct nexus_czone *cz, struct io_uring_cmd *cmd);

/* attach.c: ZONE_ATTACH, ZONE_NEXT, ZONE_DETACH */
int nexus_zone_attach(struct nexus_att *att, struct nexus_zone_attach *za);
int nexus_zone_next(struct nexus_att *att, struct nexus_zone_next *zn);
int nexus_zone_detach(struct nexus_att *att, u32 id);

/* handover.c: ioctls of an attached zone */
int nexus_hand_segment(struct nexus_att *att, struct nexus_hand_over *ho);
int nexus_hand_pack(struct nexus_att *att, struct nexus_hand_over *ho);
int nexus_hand_ino_range(struct nexus_att *att, struct nexus_ino_range *r);
int nexus_hand_report(struct nexus_att *att, struct nexus_report *r);
int nexus_hand_submit(struct nexus_att *att, struct nexus_submit *sub);
/* RETIRE, or with @gone false PRESENT. */
int nexus_hand_retire(struct nexus_att *att, struct nexus_retire *r, bool gone);
/* PACK_USE, or with @seal PACK_SEAL. */
int nexus_hand_pack_use(struct nexus_att *att, struct nexus_pack_use *u, bool seal);
int nexus_hand_zone_fail(struct nexus_att *att, struct nexus_zone_fail *zf);
/*
 * Gives an active reference back.  If it is the last, a worker unmounts: that may
 * wait for what the helper, who may be the caller, must hand over.
 */
void nexus_sb_release(struct super_block *sb);
/* dev.c */
/* The attachment of an open device, or NULL before ATTACH. */
struct nexus_att *nexus_chan_att(struct file *file);

#endif /* NEXUS_CHAN_H */
