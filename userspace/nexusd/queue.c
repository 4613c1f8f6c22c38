// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "stats.h"
#include "uring.h"
#include "zone.h"

#define POLL_GAP_US	1000u	/* the thread was off the CPU for that long: others want it */
#define PAUSE_MAX	64u	/* turns between two yields where they are always in vain */

enum {
	UD_WAIT = 1,
	UD_COMMIT,
	UD_WAKE,
};

struct queue {
	struct helper *h;
	u32 index;
	pthread_t thread;
	bool running;
	bool ring_made;
	atomic_bool stopping;
	const struct nexus_req_area *req;
	struct nexus_rep_area *rep;
	struct io_uring ring;
	int wake_fd;
	u64 wake_buf;
	u32 head;		/* of the submission ring */
	u32 cq_tail;
	u32 committed;		/* cq_tail the kernel was last told about */
	bool armed;		/* WAIT is parked */
	bool reading;		/* so is the read of wake_fd */
	bool woken;		/* by it: something in done, or to stop */
	bool over;
	u32 pause;		/* turns that do not yield after the next yield in vain */
	u32 paused;		/* of those, still to come */

	/* Answers given on other threads. */
	pthread_mutex_t lock;
	struct nexus_cqe done[NEXUS_SLOTS];
	u32 ndone;
};

static void *map_area(int fd, size_t size, int prot, u64 off)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)off);

	return p == MAP_FAILED ? NULL : p;
}

/* The @index-th CPU we may run on: the kernel serves queue and CPU alike. */
static void pin(u32 index, u32 nqueues)
{
	cpu_set_t all, one;
	u32 cpus, want, seen = 0;
	int cpu;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	cpus = (u32)CPU_COUNT(&all);
	want = nqueues < cpus ? index * cpus / nqueues : index % cpus;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all) || seen++ != want)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

int queue_new(struct helper *h, u32 index, struct queue **out)
{
	struct queue *q = calloc(1, sizeof(*q));
	int ret;

	if (!q)
		return -ENOMEM;
	q->h = h;
	q->index = index;
	pthread_mutex_init(&q->lock, NULL);
	q->wake_fd = eventfd(0, EFD_CLOEXEC);
	q->req = map_area(h->chan.fd, sizeof(*q->req), PROT_READ, NEXUS_MMAP_REQ(index));
	q->rep = map_area(h->chan.fd, sizeof(*q->rep), PROT_READ | PROT_WRITE,
			  NEXUS_MMAP_REP(index));
	if (q->wake_fd < 0 || !q->req || !q->rep) {
		ret = -errno;
		queue_free(q);
		return ret;
	}
	*out = q;
	return 0;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	if (q->req)
		munmap((void *)q->req, sizeof(*q->req));
	if (q->rep)
		munmap(q->rep, sizeof(*q->rep));
	if (q->wake_fd >= 0)
		close(q->wake_fd);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* ---- answers ------------------------------------------------------------- */

static void answered(struct queue *q, u32 slot, u32 seq)
{
	struct nexus_cqe *e = &q->rep->cq[q->cq_tail % NEXUS_SLOTS];

	e->slot = slot;
	e->seq = seq;
	q->cq_tail++;
}

static struct nexus_reply *reply_of(struct queue *q, u32 slot)
{
	return (struct nexus_reply *)q->rep->slot[slot];
}

struct deferred {
	struct queue *q;
	u32 slot;
	bool store;		/* request_waits_for_store() */
	u8 req[NEXUS_REQUEST_SIZE] __attribute__((aligned(8)));
};

/*
 * Not before the last byte of a reply is written may its slot be named; then
 * the thread of the queue passes it on.
 */
static void deferred_job(void *arg)
{
	struct deferred *d = arg;
	struct queue *q = d->q;
	const struct nexus_request *req = (const void *)d->req;

	request_answer(q->h, req, reply_of(q, d->slot), true);
	/* The helper ends, and the next one is asked again. */
	if (d->store && reply_of(q, d->slot)->status == -ESHUTDOWN &&
	    atomic_load(&q->h->stopping)) {
		free(d);
		return;
	}
	pthread_mutex_lock(&q->lock);
	q->done[q->ndone++] = (struct nexus_cqe){ .slot = d->slot, .seq = req->seq };
	pthread_mutex_unlock(&q->lock);
	eventfd_write(q->wake_fd, 1);
	free(d);
}

static void defer(struct queue *q, u32 slot, const struct nexus_request *req)
{
	struct helper *h = q->h;
	struct deferred *d = malloc(sizeof(*d));
	struct nexus_reply *reply = reply_of(q, slot);
	int ret;

	stats_inc(requests_deferred);
	if (d) {
		d->q = q;
		d->slot = slot;
		memcpy(d->req, req, sizeof(d->req));
		d->store = request_waits_for_store(h, req);
		/* However long others wait for content, packs and zones are opened. */
		ret = d->store ? workers_add(h->fetchers, zone_work_key(req->zone), deferred_job, d) :
				 workers_add(h->workers, 0, deferred_job, d);
		if (!ret)
			return;
		free(d);
	}
	*reply = (struct nexus_reply){ .seq = req->seq, .status = -ENOMEM };
	answered(q, slot, req->seq);
}

static void take_done(struct queue *q)
{
	u32 i;

	pthread_mutex_lock(&q->lock);
	for (i = 0; i < q->ndone; i++)
		answered(q, q->done[i].slot, q->done[i].seq);
	q->ndone = 0;
	pthread_mutex_unlock(&q->lock);
}

/* Answers everything that has come.  True if there was something. */
static bool serve(struct queue *q)
{
	bool any = false;
	u32 slot;

	q->woken = false;
	take_done(q);
	while (__atomic_load_n(&q->req->sq_tail, __ATOMIC_ACQUIRE) != q->head) {
		const struct nexus_request *req;

		any = true;
		slot = q->req->sq[q->head % NEXUS_SLOTS];
		q->head++;
		if (slot >= NEXUS_SLOTS)
			continue;
		req = (const void *)q->req->slot[slot];
		if (request_answer(q->h, req, reply_of(q, slot), false))
			defer(q, slot, req);
		else
			answered(q, slot, req->seq);
		/* A whole ring of answers is enough for one go. */
		if (q->cq_tail - q->committed >= NEXUS_SLOTS)
			break;
	}
	__atomic_store_n(&q->rep->sq_head, q->head, __ATOMIC_RELEASE);
	__atomic_store_n(&q->rep->cq_tail, q->cq_tail, __ATOMIC_RELEASE);
	if (any)
		stats_inc(batches);
	return any;
}

/* ---- commands -------------------------------------------------------------- */

static void completed(struct queue *q, const struct io_uring_cqe *cqe)
{
	switch (cqe->user_data) {
	case UD_WAKE:
		q->reading = false;
		q->woken = true;
		return;
	case UD_WAIT:
		q->armed = false;
		break;
	}
	if (cqe->res >= 0 || cqe->res == -ECANCELED)
		return;
	if (!q->over && cqe->res != -ESHUTDOWN)
		log_error("queue %u: %s", q->index, strerror(-cqe->res));
	q->over = true;
}

static void reap(struct queue *q)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&q->ring, head, cqe) {
		completed(q, cqe);
		n++;
	}
	io_uring_cq_advance(&q->ring, n);
}

static void prep_wake(struct queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

	io_uring_prep_read(sqe, 1, &q->wake_buf, sizeof(q->wake_buf), 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, UD_WAKE);
	q->reading = true;
}

static void prep(struct queue *q, bool park)
{
	struct io_uring_sqe *sqe;

	if (!q->reading)
		prep_wake(q);
	if (park && !q->armed) {
		sqe = io_uring_get_sqe(&q->ring);
		uring_prep_cmd(sqe, 0, NEXUS_URING_WAIT, q->index, q->head, UD_WAIT);
		q->armed = true;
		q->committed = q->cq_tail;
		stats_inc(waits);
	} else if (q->committed != q->cq_tail) {
		sqe = io_uring_get_sqe(&q->ring);
		uring_prep_cmd(sqe, 0, NEXUS_URING_COMMIT, q->index, 0, UD_COMMIT);
		q->committed = q->cq_tail;
		stats_inc(commits);
	}
}

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

/* Only for callers on other CPUs: one on this CPU could not run meanwhile. */
static bool polls(const struct queue *q)
{
	return q->h->patience.limit_us &&
	       __atomic_load_n(&q->req->elsewhere, __ATOMIC_RELAXED);
}

/*
 * Passes the answers on and looks for a while before going to sleep; true if there is
 * something.  Polling begins before the answers go: a caller that runs meanwhile asks
 * again before we are back from the kernel, and would not know that we look.
 */
static bool pass_and_poll(struct queue *q)
{
	u64 now, until, before;
	bool hit, crowded = false;

	stats_inc(polls);
	__atomic_store_n(&q->rep->polling, 1, __ATOMIC_SEQ_CST);
	prep(q, false);
	io_uring_submit_and_get_events(&q->ring);
	reap(q);
	now = now_us();
	/* Who was just answered may be on this CPU: then only one look. */
	until = polls(q) ? now + atomic_load_explicit(&q->h->patience.us, memory_order_relaxed) :
			   now;
	do {
		/* The wakeup that came with the answers' way out will not come again. */
		hit = q->woken || __atomic_load_n(&q->req->sq_tail, __ATOMIC_ACQUIRE) != q->head;
		before = now;
		now = now_us();
		crowded |= now - before > POLL_GAP_US;
	} while (!hit && now < until);
	__atomic_store_n(&q->rep->polling, 0, __ATOMIC_SEQ_CST);
	/* Between polling and the last look: see the kernel's end of it. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	hit = hit || __atomic_load_n(&q->req->sq_tail, __ATOMIC_ACQUIRE) != q->head;
	if (hit)
		stats_inc(poll_hits);
	else if (polls(q))
		patience_gave_up(&q->h->patience, now);
	if (crowded)
		patience_crowded(&q->h->patience);
	return hit;
}

/*
 * For callers on this CPU: passes the answers on and lets them run once before going to
 * sleep; true if they, or others who waited for the CPU, have asked again.  No WAIT is
 * parked meanwhile, so nobody rings, and the thread does not have to be woken: what
 * several of them ask comes in one turn.
 */
static bool pass_and_yield(struct queue *q)
{
	u64 before;
	bool hit;

	if (q->paused) {
		q->paused--;
		return false;
	}
	stats_inc(yields);
	prep(q, false);
	io_uring_submit_and_get_events(&q->ring);
	reap(q);
	before = now_us();
	sched_yield();
	hit = q->woken || __atomic_load_n(&q->req->sq_tail, __ATOMIC_ACQUIRE) != q->head;
	if (hit)
		stats_inc(yield_hits);
	/* Behind one who uses his whole slice it is better to be woken. */
	if (hit && now_us() - before <= POLL_GAP_US) {
		q->pause = 0;
	} else {
		q->paused = q->pause;
		q->pause = NEXUS_MIN(q->pause * 2 + 1, PAUSE_MAX);
	}
	return hit;
}

static void queue_run(struct queue *q)
{
	while (!q->over && !atomic_load(&q->stopping)) {
		if (serve(q) && (polls(q) ? pass_and_poll(q) : pass_and_yield(q)))
			continue;
		prep(q, true);
		io_uring_submit_and_wait(&q->ring, 1);
		reap(q);
		patience_woke(&q->h->patience, now_us());
	}
}

static void *queue_main(void *arg)
{
	struct queue *q = arg;
	int fds[2] = { q->h->chan.fd, q->wake_fd };
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "nexusd-q%u", q->index % 1000);
	pthread_setname_np(pthread_self(), name);
	pin(q->index, q->h->nqueues);
	ret = uring_init(&q->ring, 16);
	if (!ret) {
		q->ring_made = true;
		ret = io_uring_register_files(&q->ring, fds, 2);
		if (!ret)
			queue_run(q);
	}
	if (ret)
		log_error("queue %u: io_uring: %s", q->index, strerror(-ret));
	if (!atomic_load(&q->stopping)) {
		atomic_store(&q->h->session_over, true);
		eventfd_write(q->h->event_fd, 1);
	}
	return NULL;
}

int queue_start(struct queue *q)
{
	int ret = pthread_create(&q->thread, NULL, queue_main, q);

	if (ret)
		return -ret;
	q->running = true;
	return 0;
}

void queue_stop(struct queue *q)
{
	if (!q || !q->running)
		return;
	atomic_store(&q->stopping, true);
	eventfd_write(q->wake_fd, 1);
	pthread_join(q->thread, NULL);
	q->running = false;
	if (q->ring_made)
		io_uring_queue_exit(&q->ring);
	q->ring_made = false;
}
