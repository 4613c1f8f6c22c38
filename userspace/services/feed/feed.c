// SPDX-License-Identifier: Apache-2.0
#include "feed.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <protobuf-c/protobuf-c.h>

#define STACK_SIZE	(1u << 20)	/* as the registry's threads have */
#define RETRY_NS	10000000l

void feed_init(struct feed *feed, const struct nexus_service_host *host, const struct feed_ops *ops)
{
	pthread_condattr_t attr;

	*feed = (struct feed){ .host = host, .ops = ops };
	pthread_mutex_init(&feed->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&feed->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void feed_destroy(struct feed *feed)
{
	pthread_mutex_destroy(&feed->lock);
	pthread_cond_destroy(&feed->cond);
}

/* ---- the thread; feed.lock held ------------------------------------------------- */

/* The first that something can be done for goes to the end, for others to have a turn. */
static struct feed_flow *take_due(struct feed *feed)
{
	struct feed_flow **fp, **end, *flow;

	for (fp = &feed->flows; (flow = *fp); fp = &flow->next)
		if (flow->due && !flow->full && !flow->ended && flow->stream)
			break;
	if (!flow)
		return NULL;
	*fp = flow->next;
	for (end = fp; *end; end = &(*end)->next)
		;
	flow->next = NULL;
	*end = flow;
	return flow;
}

/* Until there is work, or for a moment when some wants to be tried again. */
static void rest(struct feed *feed)
{
	struct feed_flow *flow;
	struct timespec ts;
	bool later = false;

	for (flow = feed->flows; flow; flow = flow->next)
		later |= flow->later;
	if (!later) {
		pthread_cond_wait(&feed->cond, &feed->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += RETRY_NS;
	if (ts.tv_nsec >= 1000000000l) {
		ts.tv_nsec -= 1000000000l;
		ts.tv_sec++;
	}
	pthread_cond_timedwait(&feed->cond, &feed->lock, &ts);
	for (flow = feed->flows; flow; flow = flow->next) {
		flow->due |= flow->later;
		flow->later = false;
	}
}

static void unlink_flow(struct feed *feed, struct feed_flow *flow)
{
	struct feed_flow **fp;

	for (fp = &feed->flows; *fp != flow; fp = &(*fp)->next)
		;
	*fp = flow->next;
	feed->n--;
}

static void serve(struct feed *feed, struct feed_flow *flow)
{
	int ret;

	flow->due = false;
	flow->busy = true;
	pthread_mutex_unlock(&feed->lock);
	ret = feed->ops->more(flow);
	pthread_mutex_lock(&feed->lock);
	flow->busy = false;
	if (!flow->stream) {
		unlink_flow(feed, flow);
		pthread_mutex_unlock(&feed->lock);
		feed->ops->free(flow);
		pthread_mutex_lock(&feed->lock);
	} else if (ret == FEED_MORE) {
		flow->due = true;
	} else if (ret == -EAGAIN) {
		/* Of a full one the event tells; it may have come already. */
		flow->later = !flow->full && !flow->due;
	} else if (ret != FEED_WAIT) {
		flow->ended = true;
		feed->host->stream_end(flow->stream, ret < 0 ? ret : 0, NULL);
	}
}

static void *feed_main(void *arg)
{
	struct feed *feed = arg;
	struct feed_flow *flow;

	pthread_mutex_lock(&feed->lock);
	while (!feed->ending) {
		flow = take_due(feed);
		if (flow)
			serve(feed, flow);
		else
			rest(feed);
	}
	pthread_mutex_unlock(&feed->lock);
	return NULL;
}

static int begin_thread(struct feed *feed)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	/* Those that say the thread has failed cannot be put off. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&feed->thread, &attr, feed_main, feed);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	feed->running = !ret;
	return ret ? -EAGAIN : 0;
}

void feed_end(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	feed->ending = true;
	pthread_cond_signal(&feed->cond);
	pthread_mutex_unlock(&feed->lock);
	if (feed->running)
		pthread_join(feed->thread, NULL);
	feed->running = false;
}

/* ---- streams -------------------------------------------------------------------- */

int feed_add(struct feed *feed, struct feed_flow *flow, struct nexus_rpc_call *call)
{
	int ret = 0;

	pthread_mutex_lock(&feed->lock);
	if (!feed->running)
		ret = begin_thread(feed);
	if (!ret) {
		flow->feed = feed;
		flow->stream = call->stream;
		flow->due = true;
		flow->next = feed->flows;
		feed->flows = flow;
		feed->n++;
		call->cookie = flow;
		pthread_cond_signal(&feed->cond);
	}
	pthread_mutex_unlock(&feed->lock);
	return ret;
}

static void wake(struct feed_flow *flow)
{
	flow->due = true;
	if (!flow->full && !flow->busy)
		pthread_cond_signal(&flow->feed->cond);
}

int feed_event(void *self, void *args)
{
	const struct nexus_rpc_event *ev = args;
	struct feed_flow *flow = ev->cookie;
	struct feed *feed = flow->feed;
	bool over = false;

	(void)self;
	pthread_mutex_lock(&feed->lock);
	if (ev->what == NEXUS_RPC_READY) {
		flow->full = false;
		wake(flow);
	} else {
		/* Nothing touches the stream from here on. */
		flow->stream = NULL;
		over = !flow->busy;
		if (over)
			unlink_flow(feed, flow);
	}
	pthread_mutex_unlock(&feed->lock);
	if (over)
		feed->ops->free(flow);
	return 0;
}

void feed_wake(struct feed_flow *flow)
{
	pthread_mutex_lock(&flow->feed->lock);
	wake(flow);
	pthread_mutex_unlock(&flow->feed->lock);
}

void feed_wake_all(struct feed *feed)
{
	struct feed_flow *flow;

	pthread_mutex_lock(&feed->lock);
	for (flow = feed->flows; flow; flow = flow->next)
		wake(flow);
	pthread_mutex_unlock(&feed->lock);
}

unsigned int feed_count(struct feed *feed)
{
	unsigned int n;

	pthread_mutex_lock(&feed->lock);
	n = feed->n;
	pthread_mutex_unlock(&feed->lock);
	return n;
}

int feed_send(struct feed_flow *flow, const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	struct feed *feed = flow->feed;
	uint8_t *data;
	int ret;

	if (len > NEXUS_RPC_ANSWER_MAX)
		return -EMSGSIZE;
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	protobuf_c_message_pack(msg, data);
	pthread_mutex_lock(&feed->lock);
	ret = flow->stream ? feed->host->stream_send(flow->stream, data, len) : -EPIPE;
	/* With the lock: the event that there is room cannot have come before. */
	flow->full = ret == -EAGAIN;
	pthread_mutex_unlock(&feed->lock);
	free(data);
	return ret;
}

int refuse(struct nexus_rpc_call *call, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call->error, sizeof(call->error), fmt, ap);
	va_end(ap);
	return ret;
}
