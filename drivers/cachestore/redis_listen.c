// SPDX-License-Identifier: Apache-2.0
/*
 * Subscriptions on a Redis server: one connection for all, and a thread that reads
 * what comes and puts it into the queues.  It is there from the first subscription on,
 * and asks the server now and then whether it is there.
 */
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "drivers/cachestore/redis_store.h"
#include "lib/port.h"

#define MESSAGE_BYTES	(1u << 20)	/* with all around it; one larger comes from nobody of ours */

int redis_listener_init(struct redis_listener *l)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&l->attaching, NULL);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->cond, &attr);
	pthread_condattr_destroy(&attr);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake >= 0)
		return 0;
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->attaching);
	return -errno;
}

/* ---- the thread ------------------------------------------------------------------------ */

static int no_sense(struct nexus_cache_fault *fault)
{
	return cache_fail(fault, -ENOTCONN, "the server's message makes no sense");
}

static struct redis_want **last_of(struct redis_want **at)
{
	while (*at)
		at = &(*at)->next;
	return at;
}

static int send_wants(struct redis_listener *l, struct nexus_cache_fault *fault)
{
	char name[sizeof(REDIS_CHANNEL) + NEXUS_CACHE_KEY_MAX] = REDIS_CHANNEL;
	const char *argv[2];
	struct redis_want *want, *next;
	size_t sizes[2];

	pthread_mutex_lock(&l->lock);
	want = l->asked;
	l->asked = NULL;
	pthread_mutex_unlock(&l->lock);
	for (; want; want = next) {
		next = want->next;
		want->next = NULL;
		*last_of(&l->sent) = want;
		memcpy(name + sizeof(REDIS_CHANNEL) - 1, want->channel.data, want->channel.size);
		argv[0] = want->subscribe ? "SUBSCRIBE" : "UNSUBSCRIBE";
		argv[1] = name;
		sizes[0] = strlen(argv[0]);
		sizes[1] = sizeof(REDIS_CHANNEL) - 1 + want->channel.size;
		if (redis_link_send(l->link, 2, argv, sizes))
			continue;
		*last_of(&l->sent) = next;
		return cache_fail(fault, -ENOMEM, "no memory");
	}
	return 0;
}

static void want_done(struct redis_listener *l, struct redis_want *want)
{
	if (want->done) {
		pthread_mutex_lock(&l->lock);
		*want->done = true;
		pthread_cond_broadcast(&l->cond);
		pthread_mutex_unlock(&l->lock);
	}
	free(want);
}

/* Answers come in the order of what was asked. */
static int take_answer(struct redis_listener *l, const redisReply *reply, bool subscribe,
		       struct nexus_cache_fault *fault)
{
	const size_t head = sizeof(REDIS_CHANNEL) - 1;
	const redisReply *name = reply->element[1];
	struct redis_want *want = l->sent;

	if (!want || want->subscribe != subscribe || name->type != REDIS_REPLY_STRING ||
	    (size_t)name->len != head + want->channel.size ||
	    memcmp(name->str + head, want->channel.data, want->channel.size))
		return no_sense(fault);
	l->sent = want->next;
	want_done(l, want);
	return 0;
}

static int take_message(struct redis_store *s, const redisReply *reply,
			struct nexus_cache_fault *fault)
{
	const size_t head = sizeof(REDIS_CHANNEL) - 1;
	const redisReply *name = reply->element[1], *data = reply->element[2];

	if (name->type != REDIS_REPLY_STRING || data->type != REDIS_REPLY_STRING ||
	    (size_t)name->len < head)
		return no_sense(fault);
	cache_hub_push(&s->hub, (const uint8_t *)name->str + head, (size_t)name->len - head,
		       (size_t)data->len <= NEXUS_CACHE_MESSAGE_MAX ? data->str : NULL,
		       (size_t)data->len);
	return 0;
}

static bool is_word(const redisReply *reply, const char *word)
{
	return (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
	       !strcasecmp(reply->str, word);
}

static int take_reply(struct redis_store *s, const redisReply *reply,
		      struct nexus_cache_fault *fault)
{
	struct redis_listener *l = &s->listener;
	int ret;

	if (reply->type == REDIS_REPLY_ERROR) {
		ret = redis_error(reply, fault);
		return ret;
	}
	/* While it has no channel, it answers in another form. */
	if (is_word(reply, "PONG")) {
		l->pinged = 0;
		return 0;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
		return no_sense(fault);
	if (is_word(reply->element[0], "pong")) {
		l->pinged = 0;
		return 0;
	}
	if (reply->elements != 3)
		return no_sense(fault);
	if (is_word(reply->element[0], "message"))
		return take_message(s, reply, fault);
	if (is_word(reply->element[0], "subscribe"))
		return take_answer(l, reply, true, fault);
	if (is_word(reply->element[0], "unsubscribe"))
		return take_answer(l, reply, false, fault);
	return no_sense(fault);
}

static int take_replies(struct redis_store *s, struct nexus_cache_fault *fault)
{
	struct redis_listener *l = &s->listener;
	redisReply *reply;
	size_t got;
	int ret = redis_link_read(l->link, &got, fault);

	l->unparsed += got;
	while (!ret) {
		ret = redis_link_parse(l->link, &reply, fault);
		if (ret || !reply)
			break;
		l->unparsed = 0;
		ret = take_reply(s, reply, fault);
		freeReplyObject(reply);
	}
	if (!ret && l->unparsed > MESSAGE_BYTES)
		ret = cache_fail(fault, -ENOTCONN, "the server's message is too large");
	return ret;
}

/* How long to wait for what is to come; asks when nothing is. */
static int patience(struct redis_store *s, int *ms, int64_t *quiet, struct nexus_cache_fault *fault)
{
	static const char *argv[] = { "PING" };
	struct redis_listener *l = &s->listener;
	int64_t now = redis_now_ms(), until;

	if (!l->pinged && !l->sent && now >= *quiet) {
		if (!redis_link_send(l->link, 1, argv, NULL))
			return cache_fail(fault, -ENOMEM, "no memory");
		l->pinged = now;
	}
	until = *quiet;
	if (l->pinged)
		until = l->pinged + s->reply_ms;
	if (l->sent && (!l->pinged || l->sent->until < until))
		until = l->sent->until;
	if ((l->pinged || l->sent) && now >= until)
		return cache_fail(fault, -ENOTCONN, "the server does not answer in time");
	until = until > now ? until - now : 0;
	*ms = until < INT_MAX ? (int)until : INT_MAX;
	return 0;
}

static int serve(struct redis_store *s, struct nexus_cache_fault *fault)
{
	struct redis_listener *l = &s->listener;
	struct pollfd fds[2] = { { .fd = l->link->c->fd }, { .fd = l->wake, .events = POLLIN } };
	int64_t quiet = redis_now_ms() + s->reply_ms;
	bool all = true, ending = false;
	uint64_t n;
	int ms = 0, ret = 0;

	while (!ret && !ending) {
		ret = send_wants(l, fault);
		if (!ret)
			ret = patience(s, &ms, &quiet, fault);
		if (!ret)
			ret = redis_link_write(l->link, &all, fault);
		if (ret)
			break;
		fds[0].events = all ? POLLIN : POLLIN | POLLOUT;
		fds[0].revents = 0;
		fds[1].revents = 0;
		if (poll(fds, 2, ms) < 0 && errno != EINTR)
			return cache_fail(fault, -EIO, "poll");
		if (fds[1].revents && read(l->wake, &n, sizeof(n)) < 0 && errno != EAGAIN)
			return cache_fail(fault, -EIO, "eventfd");
		if (fds[0].revents & (POLLIN | POLLERR | POLLHUP)) {
			ret = take_replies(s, fault);
			quiet = redis_now_ms() + s->reply_ms;
		}
		pthread_mutex_lock(&l->lock);
		ending = l->ending;
		pthread_mutex_unlock(&l->lock);
	}
	return ret;
}

static void *listen_thread(void *arg)
{
	struct nexus_cache_fault fault = { 0, "" };
	struct redis_store *s = arg;

	if (serve(s, &fault))
		redis_store_lost(s, &fault);
	pthread_mutex_lock(&s->listener.lock);
	s->listener.ended = true;
	pthread_cond_broadcast(&s->listener.cond);
	pthread_mutex_unlock(&s->listener.lock);
	return NULL;
}

/* ---- the others --------------------------------------------------------------------------- */

static void wake(struct redis_listener *l)
{
	uint64_t one = 1;
	ssize_t n = write(l->wake, &one, sizeof(one));

	(void)n;
}

static int ask(struct redis_store *s, const struct cache_bytes *channel, bool subscribe, bool *done)
{
	struct redis_want *want = calloc(1, sizeof(*want));

	if (!want)
		return -ENOMEM;
	want->subscribe = subscribe;
	want->done = done;
	want->until = redis_now_ms() + s->reply_ms;
	want->channel = *channel;
	pthread_mutex_lock(&s->listener.lock);
	*last_of(&s->listener.asked) = want;
	pthread_mutex_unlock(&s->listener.lock);
	wake(&s->listener);
	return 0;
}

/* Attaching held. */
static int begin_listening(struct redis_store *s)
{
	struct redis_listener *l = &s->listener;
	struct nexus_cache_fault fault;
	int ret;

	if (l->running)
		return 0;
	ret = redis_store_link(s, redis_now_ms() + s->reply_ms, &fault, &l->link);
	if (ret)
		return ret == -ENOMEM ? ret : redis_store_lost(s, &fault);
	if (pthread_create(&l->thread, NULL, listen_thread, s)) {
		redis_link_close(l->link);
		l->link = NULL;
		return -ENOMEM;
	}
	l->running = true;
	return 0;
}

/* The thread ends every wait: by an answer, or by its end.  @done is its to write until then. */
static int wait_done(struct redis_store *s, const bool *done)
{
	struct redis_listener *l = &s->listener;
	bool is;

	pthread_mutex_lock(&l->lock);
	while (!*done && !l->ended)
		pthread_cond_wait(&l->cond, &l->lock);
	is = *done;
	pthread_mutex_unlock(&l->lock);
	return is ? 0 : -ENOTCONN;
}

/* Attaching held. */
static int ask_and_wait(struct redis_store *s, const struct cache_bytes *channel)
{
	bool done = false;
	int ret = ask(s, channel, true, &done);

	return ret ? ret : wait_done(s, &done);
}

/* Its place comes last: what was under way before is not for it. */
int redis_attach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	struct redis_store *s = NEXUS_CONTAINER(cache, struct redis_store, base);
	const struct cache_bytes *channel = cache_sub_channel(sub);
	struct redis_listener *l = &s->listener;
	int ret = 0;

	pthread_mutex_lock(&l->attaching);
	if (atomic_load(&s->lost))
		ret = -ENOTCONN;
	if (!ret)
		ret = begin_listening(s);
	if (!ret && !cache_hub_has(&s->hub, channel))
		ret = ask_and_wait(s, channel);
	if (!ret) {
		ret = cache_hub_attach(&s->hub, sub);
		if (ret && !cache_hub_has(&s->hub, channel))
			ask(s, channel, false, NULL);
	}
	pthread_mutex_unlock(&l->attaching);
	return ret;
}

void redis_detach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	struct redis_store *s = NEXUS_CONTAINER(cache, struct redis_store, base);
	bool last;

	pthread_mutex_lock(&s->listener.attaching);
	cache_hub_detach(&s->hub, sub, &last);
	/* Without memory it goes on, and what comes is for nobody. */
	if (last && !atomic_load(&s->lost))
		ask(s, cache_sub_channel(sub), false, NULL);
	pthread_mutex_unlock(&s->listener.attaching);
}

void redis_listener_end(struct redis_store *s)
{
	struct redis_listener *l = &s->listener;
	struct redis_want *want;

	pthread_mutex_lock(&l->lock);
	l->ending = true;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	if (l->running)
		pthread_join(l->thread, NULL);
	redis_link_close(l->link);
	*last_of(&l->sent) = l->asked;
	while ((want = l->sent)) {
		l->sent = want->next;
		free(want);
	}
	close(l->wake);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->attaching);
}
