// SPDX-License-Identifier: Apache-2.0
/*
 * A thread per zone that sleeps in LOGWAIT, applies what came, and passes on
 * what the kernel asks for.
 */
#include "zone.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "helper.h"
#include "uring.h"

enum {
	UD_LOGWAIT = 1,
	UD_WAKE,
};

#define IDLE_MS		1000
#define FULL_MS		20	/* memtable full: look again */

struct watch {
	struct zone *z;
	struct io_uring ring;
	bool ring_made;
	u64 wake_buf;
	bool armed;		/* LOGWAIT is parked */
	bool reading;		/* so is the read of the eventfd */
};

static void prep(struct watch *w, u32 seen)
{
	struct io_uring_sqe *sqe;

	if (!w->reading) {
		sqe = io_uring_get_sqe(&w->ring);
		io_uring_prep_read(sqe, 1, &w->wake_buf, sizeof(w->wake_buf), 0);
		sqe->flags |= IOSQE_FIXED_FILE;
		io_uring_sqe_set_data64(sqe, UD_WAKE);
		w->reading = true;
	}
	if (!w->armed) {
		sqe = io_uring_get_sqe(&w->ring);
		uring_prep_cmd(sqe, 0, NEXUS_URING_LOGWAIT, w->z->id, seen, UD_LOGWAIT);
		w->armed = true;
	}
}

static void completed(struct watch *w, const struct io_uring_cqe *cqe)
{
	struct zone *z = w->z;

	if (cqe->user_data == UD_WAKE) {
		w->reading = false;
		return;
	}
	w->armed = false;
	if (cqe->res == 0 || cqe->res == -ECANCELED)
		return;
	if (cqe->res != -ESHUTDOWN && cqe->res != -ENOENT)
		log_error("zone %s: LOGWAIT: %s", z->name, strerror(-cqe->res));
	atomic_store(&z->dropped, true);
}

static void sleep_until(struct watch *w, u32 seen, int ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = (long long)(ms % 1000) * 1000000,
	};
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	prep(w, seen);
	io_uring_submit_and_wait_timeout(&w->ring, &cqe, 1, &ts, NULL);
	io_uring_for_each_cqe(&w->ring, head, cqe) {
		completed(w, cqe);
		n++;
	}
	io_uring_cq_advance(&w->ring, n);
}

/* True when the zone is over. */
static bool look(struct watch *w, int *ms)
{
	struct zone *z = w->z;
	u32 flags = zone_flags(z);
	int ret;

	if (flags & (NEXUS_LF_WANT_SEGMENT | NEXUS_LF_WANT_PACK | NEXUS_LF_WANT_INO |
		     NEXUS_LF_WANT_KEEP | NEXUS_LF_WANT_ZEROED) &&
	    !z->rdonly)
		zone_make_kick(z);
	ret = applier_run(&z->applier, 0);
	if (flags & NEXUS_LF_WANT_CHECKPOINT && !z->rdonly)
		zone_fold_kick(z);
	*ms = IDLE_MS;
	if (ret == -ENOBUFS || ret == -EIO || ret == -ENOMEM)
		*ms = FULL_MS;
	if (ret && ret != -ENOBUFS && ret != -EUCLEAN)
		log_debug("zone %s: applying: %s", z->name, strerror(-ret));
	if (!(zone_flags(z) & NEXUS_LF_DETACHED))
		return false;
	return ret != -ENOBUFS;
}

static void watch_run(struct watch *w)
{
	struct zone *z = w->z;
	u32 seen;
	int ms;

	while (!atomic_load(&z->stopping) && !atomic_load(&z->dropped)) {
		/* Events before what they announce: nothing is missed. */
		seen = __atomic_load_n(&z->ring.ctl->events, __ATOMIC_ACQUIRE);
		if (look(w, &ms))
			break;
		sleep_until(w, seen, ms);
	}
}

static void *watch_main(void *arg)
{
	struct watch *w = arg;
	struct zone *z = w->z;
	int fds[2] = { z->chan->fd, z->wake_fd };
	int ret;

	pthread_setname_np(pthread_self(), "nexusd-apply");
	ret = uring_init(&w->ring, 8);
	if (!ret) {
		w->ring_made = true;
		ret = io_uring_register_files(&w->ring, fds, 2);
		if (!ret)
			watch_run(w);
	}
	if (ret)
		log_error("zone %s: io_uring: %s", z->name, strerror(-ret));
	if (!atomic_load(&z->stopping))
		helper_zone_over(z->helper, z);
	return NULL;
}

int zone_apply_start(struct zone *z)
{
	struct watch *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->z = z;
	ret = pthread_create(&z->apply_thread, NULL, watch_main, w);
	if (ret) {
		free(w);
		return -ret;
	}
	z->watch = w;
	return 0;
}

void zone_apply_stop(struct zone *z)
{
	struct watch *w = z->watch;

	if (!w)
		return;
	eventfd_write(z->wake_fd, 1);
	pthread_join(z->apply_thread, NULL);
	if (w->ring_made)
		io_uring_queue_exit(&w->ring);
	free(w);
	z->watch = NULL;
}
