// SPDX-License-Identifier: Apache-2.0
/* The thread that accepts, forwards, sends what calls have, and looks at the clock. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "relay.h"
#include "server.h"

#define BATCH		64
#define TICK_MS		1000
#define WATCH_MS	250	/* how long a change of health may go unnoticed */

int loop_watch(struct grpc_front *f, int op, int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event ev = { .events = events, .data.ptr = watch };

	return epoll_ctl(f->epoll_fd, op, fd, &ev) ? -errno : 0;
}

void loop_wake(struct grpc_front *f)
{
	uint64_t one = 1;

	if (write(f->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		front_log(f, NEXUS_SERVICE_ERROR, "eventfd: %s", strerror(errno));
}

void loop_tick(struct grpc_front *f)
{
	if (f->ticking)
		return;
	f->ticking = true;
	loop_wake(f);
}

static void handle(struct grpc_front *f, struct watch *watch, uint32_t events)
{
	uint64_t n;

	switch (watch->what) {
	case WATCHED_WAKE:
		if (read(f->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			front_log(f, NEXUS_SERVICE_ERROR, "eventfd: %s", strerror(errno));
		break;
	case WATCHED_LISTENER:
		listen_accept(f, (const struct listener *)watch);
		break;
	case WATCHED_CONN:
		if (((struct conn *)watch)->fd >= 0)
			conn_gone(f, (struct conn *)watch);
		break;
	case WATCHED_RELAY:
		relay_event(f, watch, events);
		break;
	}
}

/* Lock held, left meanwhile.  What a flood has left would stay with malloc() for good. */
static void trim(struct grpc_front *f)
{
	f->trim_at = 0;
	pthread_mutex_unlock(&f->lock);
	malloc_trim(0);
	pthread_mutex_lock(&f->lock);
}

static void *loop_main(void *arg)
{
	struct grpc_front *f = arg;
	struct epoll_event ev[BATCH];
	int timeout = -1, n, i;

	for (;;) {
		n = epoll_wait(f->epoll_fd, ev, BATCH, timeout);
		/* Whatever the events point to is there until the lock is left. */
		pthread_mutex_lock(&f->lock);
		if (f->over)
			break;
		for (i = 0; i < n; i++)
			handle(f, ev[i].data.ptr, ev[i].events);
		conns_bury(f);
		calls_pump(f);
		timeout = calls_expire(f);
		if (f->watches) {
			health_tell(f);
			timeout = WATCH_MS;
		}
		if (!f->trim_at)
			f->trim_at = conns_trim_at(f);
		if (f->trim_at && front_now() >= f->trim_at)
			trim(f);
		if (f->trim_at && timeout < 0)
			timeout = TICK_MS;
		f->ticking = timeout >= 0;
		pthread_mutex_unlock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int loop_resume(struct grpc_front *f)
{
	int ret;

	f->over = false;
	/* What was woken meanwhile is looked at. */
	loop_wake(f);
	ret = front_thread(&f->loop_thread, loop_main, f);
	f->loop_running = !ret;
	return ret;
}

int loop_start(struct grpc_front *f)
{
	int ret;

	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (f->epoll_fd < 0 || f->wake_fd < 0 || f->spare_fd < 0)
		return -errno;
	f->wake.what = WATCHED_WAKE;
	ret = loop_watch(f, EPOLL_CTL_ADD, f->wake_fd, EPOLLIN, &f->wake);
	return ret ? ret : loop_resume(f);
}

void loop_end(struct grpc_front *f)
{
	if (f->loop_running) {
		pthread_mutex_lock(&f->lock);
		f->over = true;
		pthread_mutex_unlock(&f->lock);
		loop_wake(f);
		pthread_join(f->loop_thread, NULL);
	}
	f->loop_running = false;
}
