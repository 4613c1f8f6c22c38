// SPDX-License-Identifier: Apache-2.0
#include "feeder.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <protobuf-c/protobuf-c.h>

#define STACK_SIZE	(1u << 20)	/* as the registry's threads have */
#define RETRY_NS	10000000

void feeder_init(struct feeder *feeder, const struct nexus_service_host *host, const struct feeder_ops *ops)
{
	pthread_condattr_t attr;

	*feeder = (struct feeder){ .host = host, .ops = ops };
	pthread_mutex_init(&feeder->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&feeder->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void feeder_destroy(struct feeder *feeder)
{
	pthread_mutex_destroy(&feeder->lock);
	pthread_cond_destroy(&feeder->cond);
}

/* ---- the thread; feeder.lock held ------------------------------------------------- */

/* The first that something can be done for goes to the end, for others to have a turn. */
static struct feeder_flow *take_due(struct feeder *feeder)
{
	struct feeder_flow **fp, **end, *flow;

	for (fp = &feeder->flows; (flow = *fp); fp = &flow->next)
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
static void rest(struct feeder *feeder)
{
	struct feeder_flow *flow;
	struct timespec ts;
	bool later = false;

	for (flow = feeder->flows; flow; flow = flow->next)
		later |= flow->later;
	if (!later) {
		pthread_cond_wait(&feeder->cond, &feeder->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += RETRY_NS;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	pthread_cond_timedwait(&feeder->cond, &feeder->lock, &ts);
	for (flow = feeder->flows; flow; flow = flow->next) {
		flow->due |= flow->later;
		flow->later = false;
	}
}

static void unlink_flow(struct feeder *feeder, struct feeder_flow *flow)
{
	struct feeder_flow **fp;

	for (fp = &feeder->flows; *fp != flow; fp = &(*fp)->next)
		;
	*fp = flow->next;
	feeder->n--;
}

static void serve(struct feeder *feeder, struct feeder_flow *flow)
{
	int ret;

	flow->due = false;
	flow->busy = true;
	pthread_mutex_unlock(&feeder->lock);
	ret = feeder->ops->more(flow);
	pthread_mutex_lock(&feeder->lock);
	flow->busy = false;
	if (!flow->stream) {
		unlink_flow(feeder, flow);
		pthread_mutex_unlock(&feeder->lock);
		feeder->ops->free(flow);
		pthread_mutex_lock(&feeder->lock);
	} else if (ret == FEEDER_MORE) {
		flow->due = true;
	} else if (ret == -EAGAIN) {
		/* Of a full one the event tells; it may have come already. */
		flow->later = !flow->full && !flow->due;
	} else if (ret != FEEDER_WAIT) {
		flow->ended = true;
		feeder->host->stream_end(flow->stream, ret < 0 ? ret : 0, NULL);
	}
}

static void *feeder_main(void *arg)
{
	struct feeder *feeder = arg;
	struct feeder_flow *flow;

	pthread_mutex_lock(&feeder->lock);
	while (!feeder->ending) {
		flow = take_due(feeder);
		if (flow)
			serve(feeder, flow);
		else
			rest(feeder);
	}
	pthread_mutex_unlock(&feeder->lock);
	return NULL;
}

static int begin_thread(struct feeder *feeder)
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
	ret = pthread_create(&feeder->thread, &attr, feeder_main, feeder);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	feeder->running = !ret;
	return ret ? -EAGAIN : 0;
}

void feeder_end(struct feeder *feeder)
{
	pthread_mutex_lock(&feeder->lock);
	feeder->ending = true;
	pthread_cond_signal(&feeder->cond);
	pthread_mutex_unlock(&feeder->lock);
	if (feeder->running)
		pthread_join(feeder->thread, NULL);
	feeder->running = false;
}

/* ---- streams -------------------------------------------------------------------- */

int feeder_add(struct feeder *feeder, struct feeder_flow *flow, struct nexus_rpc_call *call)
{
	int ret = 0;

	pthread_mutex_lock(&feeder->lock);
	if (!feeder->running)
		ret = begin_thread(feeder);
	if (!ret) {
		flow->feeder = feeder;
		flow->stream = call->stream;
		flow->due = true;
		flow->next = feeder->flows;
		feeder->flows = flow;
		feeder->n++;
		call->cookie = flow;
		pthread_cond_signal(&feeder->cond);
	}
	pthread_mutex_unlock(&feeder->lock);
	return ret;
}

static void wake(struct feeder_flow *flow)
{
	flow->due = true;
	if (!flow->full && !flow->busy)
		pthread_cond_signal(&flow->feeder->cond);
}

int feeder_event(void *self, void *args)
{
	const struct nexus_rpc_event *ev = args;
	struct feeder_flow *flow = ev->cookie;
	struct feeder *feeder = flow->feeder;
	bool over = false;

	(void)self;
	pthread_mutex_lock(&feeder->lock);
	if (ev->what == NEXUS_RPC_READY) {
		flow->full = false;
		wake(flow);
	} else {
		/* Nothing touches the stream from here on. */
		flow->stream = NULL;
		over = !flow->busy;
		if (over)
			unlink_flow(feeder, flow);
	}
	pthread_mutex_unlock(&feeder->lock);
	if (over)
		feeder->ops->free(flow);
	return 0;
}

void feeder_wake(struct feeder_flow *flow)
{
	pthread_mutex_lock(&flow->feeder->lock);
	wake(flow);
	pthread_mutex_unlock(&flow->feeder->lock);
}

void feeder_wake_all(struct feeder *feeder)
{
	struct feeder_flow *flow;

	pthread_mutex_lock(&feeder->lock);
	for (flow = feeder->flows; flow; flow = flow->next)
		wake(flow);
	pthread_mutex_unlock(&feeder->lock);
}

unsigned int feeder_count(struct feeder *feeder)
{
	unsigned int n;

	pthread_mutex_lock(&feeder->lock);
	n = feeder->n;
	pthread_mutex_unlock(&feeder->lock);
	return n;
}

int feeder_send(struct feeder_flow *flow, const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	struct feeder *feeder = flow->feeder;
	uint8_t *data;
	int ret;

	if (len > NEXUS_RPC_ANSWER_MAX)
		return -EMSGSIZE;
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	protobuf_c_message_pack(msg, data);
	pthread_mutex_lock(&feeder->lock);
	ret = flow->stream ? feeder->host->stream_send(flow->stream, data, len) : -EPIPE;
	/* With the lock: the event that there is room cannot have come before. */
	flow->full = ret == -EAGAIN;
	pthread_mutex_unlock(&feeder->lock);
	free(data);
	return ret;
}
