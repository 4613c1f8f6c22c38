// SPDX-License-Identifier: Apache-2.0
/*
 * Calls of front ends: run on threads of the helper, so that a front end can go while
 * one of them runs.
 *
 * Locks: registry > stream > fronts.lock > what wake() takes.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "feed.h"
#include "pool.h"

#define WORKERS		8

struct place {
	struct place *next;
	void *value;
	char service[NEXUS_SERVICE_NAME_MAX];
};

struct fronts {
	struct nexus_front base;	/* first */
	struct fronts_opts opts;
	char *group;
	pthread_mutex_t lock;
	struct pool *pool;		/* lock: from the first call on */
	struct place *places;		/* of those that start and stop services, one at a time */
};

struct nexus_front_call {
	struct pool_job job;		/* first */
	struct fronts *fronts;
	struct rpc_call_args args;
	char subject[sizeof(((struct nexus_front_peer *)NULL)->subject)];
	void (*wake)(void *cookie);
	void *cookie;
	bool done;			/* lock: the thread has left it */
	bool dropped;			/* lock */
	bool opened;			/* of the thread, then of the caller: so are the rest */
	struct rpc_reply reply;
	struct stream_msg *msg;
	uint8_t *status;
	uint8_t payload[];
};

static struct fronts *to_fronts(const struct nexus_front *front)
{
	return (struct fronts *)front;
}

static void call_free(struct nexus_front_call *call)
{
	const struct rpc_table *table = &call->fronts->opts.table;

	if (call->args.feed)
		table->loaded->stream_drop(table->loaded_ctx, call->args.feed);
	if (call->args.fd >= 0)
		close(call->args.fd);
	rpc_reply_release(&call->reply);
	free(call->msg);
	free(call->status);
	free(call);
}

/* The feed of a call has something; its service's thread. */
static void feed_wake(void *ctx)
{
	struct nexus_front_call *call = ctx;

	pthread_mutex_lock(&call->fronts->lock);
	if (!call->dropped)
		call->wake(call->cookie);
	pthread_mutex_unlock(&call->fronts->lock);
}

/* On a worker. */
static void call_run(struct pool_job *job, bool cancelled)
{
	struct nexus_front_call *call = (struct nexus_front_call *)job;
	struct fronts *f = call->fronts;
	bool dropped;

	pthread_mutex_lock(&f->lock);
	dropped = call->dropped;
	pthread_mutex_unlock(&f->lock);
	if (cancelled)
		rpc_reply_code(&call->reply, RPC_UNAVAILABLE, "the helper is stopping; try again");
	else if (!dropped)
		call->opened = rpc_table_call(&f->opts.table, &call->args, &call->reply);
	/* Its number may be somebody else's soon. */
	if (call->args.fd >= 0)
		close(call->args.fd);
	call->args.fd = -1;

	pthread_mutex_lock(&f->lock);
	call->done = true;
	dropped = call->dropped;
	if (!dropped)
		call->wake(call->cookie);
	pthread_mutex_unlock(&f->lock);
	if (dropped)
		call_free(call);
}

static int submit(struct fronts *f, struct nexus_front_call *call)
{
	struct pool *pool;

	pthread_mutex_lock(&f->lock);
	if (!f->pool)
		f->pool = pool_new(f->opts.workers);
	pool = f->pool;
	pthread_mutex_unlock(&f->lock);
	if (!pool)
		return -ENOMEM;
	pool_submit(pool, &call->job);
	return 0;
}

static void set_peer(struct nexus_front_call *call, const struct nexus_front_peer *peer)
{
	call->args.peer.uid = peer->uid;
	call->args.peer.gid = peer->gid;
	call->args.peer.pid = peer->pid;
	if (!peer->subject[0])
		return;
	snprintf(call->subject, sizeof(call->subject), "%s", peer->subject);
	call->args.peer.subject = call->subject;
}

/* Names that cannot be any, and what there is no memory for, become its outcome. */
static void look_up(struct nexus_front_call *call, const struct nexus_front_request *req)
{
	const struct rpc_table *table = &call->fronts->opts.table;
	struct rpc_call_args *args = &call->args;

	if (!rpc_name_copy(args->service, req->service, strlen(req->service)) ||
	    !rpc_name_copy(args->method, req->method, strlen(req->method))) {
		rpc_reply_code(&call->reply, RPC_INVALID_ARGUMENT, "service or method is not a name");
		return;
	}
	rpc_table_find(table, args->service, args->method, &args->entry);
	call->job.is_long = args->entry.is_long;
	if (args->entry.found.stream)
		args->feed = table->loaded->stream_new(feed_wake, call);
	if (args->entry.found.stream && !args->feed)
		rpc_reply_error(&call->reply, -ENOMEM, "the helper has no memory for the stream");
	if (req->peer.fd >= 0 && (args->entry.changes || args->entry.found.asks)) {
		args->fd = fcntl(req->peer.fd, F_DUPFD_CLOEXEC, 0);
		if (args->fd < 0)
			rpc_reply_error(&call->reply, -errno, NULL);
	}
}

static int front_call(const struct nexus_front *front, const struct nexus_front_request *req,
		      struct nexus_front_call **out)
{
	struct nexus_front_call *call;
	struct timespec ts;
	int ret = 0;

	if (req->len > NEXUS_FRONT_MESSAGE_MAX)
		return -EMSGSIZE;
	call = calloc(1, sizeof(*call) + req->len);
	if (!call)
		return -ENOMEM;
	call->fronts = to_fronts(front);
	call->job.run = call_run;
	call->wake = req->wake;
	call->cookie = req->cookie;
	call->args.fd = -1;
	if (req->len)
		memcpy(call->payload, req->payload, req->len);
	call->args.payload = call->payload;
	call->args.len = req->len;
	if (req->timeout_ms) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		call->args.deadline = (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 +
			req->timeout_ms;
	}
	set_peer(call, &req->peer);
	look_up(call, req);
	*out = call;
	if (call->reply.code == RPC_OK) {
		ret = submit(call->fronts, call);
		if (ret)
			call_free(call);
		return ret;
	}
	/* There is something to take already. */
	call->done = true;
	call->wake(call->cookie);
	return 0;
}

/* ---- what comes of it; on the front end's threads ----------------------------------- */

static void give_outcome(struct nexus_front_call *call, struct nexus_front_answer *a)
{
	a->last = true;
	a->code = call->reply.code;
	a->message = call->reply.message;
	a->data = call->reply.data;
	a->len = call->reply.len;
	if (a->code != RPC_OK && !call->status)
		call->status = rpc_status_pack(&call->reply, &call->reply.len);
	if (a->code != RPC_OK && call->status) {
		a->status = call->status;
		a->status_len = call->reply.len;
		a->len = 0;
	}
}

static int front_take(struct nexus_front_call *call, struct nexus_front_answer *a)
{
	const struct rpc_table *table = &call->fronts->opts.table;
	char text[256];
	int error = 0, ret;
	bool done;

	memset(a, 0, sizeof(*a));
	pthread_mutex_lock(&call->fronts->lock);
	done = call->done;
	pthread_mutex_unlock(&call->fronts->lock);
	if (!done)
		return -EAGAIN;
	a->stream = call->args.feed;
	if (!call->opened) {
		give_outcome(call, a);
		return 0;
	}
	free(call->msg);
	call->msg = NULL;
	ret = table->loaded->stream_take(table->loaded_ctx, call->args.feed, &call->msg, &error, text);
	if (ret == -EAGAIN)
		return ret;
	if (!ret) {
		a->data = call->msg->data;
		a->len = call->msg->len;
		return 0;
	}
	call->opened = false;
	if (error)
		rpc_reply_error(&call->reply, error, text[0] ? "%s" : NULL, text);
	give_outcome(call, a);
	return 0;
}

static void front_drop(struct nexus_front_call *call)
{
	bool done;

	pthread_mutex_lock(&call->fronts->lock);
	call->dropped = true;
	done = call->done;
	pthread_mutex_unlock(&call->fronts->lock);
	if (done)
		call_free(call);
}

static void front_rewake(struct nexus_front_call *call, void (*wake)(void *cookie))
{
	pthread_mutex_lock(&call->fronts->lock);
	call->wake = wake;
	pthread_mutex_unlock(&call->fronts->lock);
}

static void **front_place(const struct nexus_front *front, const char *service)
{
	struct fronts *f = to_fronts(front);
	struct place *p;

	for (p = f->places; p; p = p->next)
		if (!strcmp(p->service, service))
			return &p->value;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	snprintf(p->service, sizeof(p->service), "%s", service);
	p->next = f->places;
	f->places = p;
	return &p->value;
}

static void front_refusal(struct nexus_front_answer *a, void *buf, size_t room)
{
	struct rpc_reply reply = { 0 };
	size_t len = 0;
	uint8_t *status;

	rpc_reply_code(&reply, a->code, "%s", a->message);
	status = rpc_status_pack(&reply, &len);
	a->status = NULL;
	a->status_len = 0;
	if (status && len <= room) {
		a->status = memcpy(buf, status, len);
		a->status_len = len;
	}
	free(status);
	rpc_reply_release(&reply);
}

static bool front_serves(const struct nexus_front *front, const char *service)
{
	const struct rpc_table *table = &to_fronts(front)->opts.table;
	const struct rpc_service *s;

	for (s = table->services; s->name; s++)
		if (!strcmp(s->name, service))
			return true;
	return table->loaded && table->loaded->serves(table->loaded_ctx, service);
}

static const char *front_setting(const struct nexus_front *front, const char *name)
{
	const struct fronts *f = to_fronts(front);
	uint32_t number;

	return f->opts.setting ? f->opts.setting(f->opts.setting_ctx, name, &number) : NULL;
}

static uint32_t front_number(const struct nexus_front *front, const char *name)
{
	const struct fronts *f = to_fronts(front);
	uint32_t number = 0;

	if (f->opts.setting)
		f->opts.setting(f->opts.setting_ctx, name, &number);
	return number;
}

/* ---- all of them --------------------------------------------------------------------- */

struct fronts *fronts_new(const struct fronts_opts *opts)
{
	struct fronts *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->base = (struct nexus_front){
		.setting = front_setting,
		.number = front_number,
		.serves = front_serves,
		.call = front_call,
		.take = front_take,
		.drop = front_drop,
		.rewake = front_rewake,
		.place = front_place,
		.refusal = front_refusal,
	};
	f->opts = *opts;
	if (!f->opts.workers)
		f->opts.workers = WORKERS;
	f->group = strdup(opts->table.group ? opts->table.group : RPC_GROUP);
	if (!f->group) {
		free(f);
		return NULL;
	}
	f->opts.table.group = f->group;
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

const struct nexus_front *fronts_handle(struct fronts *f)
{
	return &f->base;
}

void fronts_free(struct fronts *f)
{
	struct place *p;

	if (!f)
		return;
	pool_stop(f->pool);
	while ((p = f->places)) {
		f->places = p->next;
		free(p);
	}
	pthread_mutex_destroy(&f->lock);
	free(f->group);
	free(f);
}
