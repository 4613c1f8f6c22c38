// SPDX-License-Identifier: Apache-2.0
/* Calls to a Redis server: connections, answers, generations. */
#include "drivers/cachestore/redis_talk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define TURNS	8u	/* a call takes, while the generation changes under it */

int redis_store_lost(struct redis_store *s, const struct nexus_cache_fault *fault)
{
	/* Whoever returns with it knows that it was told. */
	pthread_mutex_lock(&s->telling);
	if (!atomic_load(&s->lost) && s->told)
		s->told(s->told_arg, fault);
	atomic_store(&s->lost, true);
	pthread_mutex_unlock(&s->telling);
	return -ENOTCONN;
}

/* ---- connections ---------------------------------------------------------------------- */

int redis_store_link(struct redis_store *s, int64_t until, struct nexus_cache_fault *fault,
		     struct redis_link **link)
{
	char run_id[41];
	int ret = redis_link_open(&s->place, until, fault, link, run_id);

	if (ret)
		return ret;
	/* What it was told to delete may be there again. */
	if (strcmp(run_id, s->run_id)) {
		redis_link_close(*link);
		*link = NULL;
		return cache_fail(fault, -ENOTCONN, "the server was started anew");
	}
	return 0;
}

/* One that is idle; or NULL, and the leave to make one.  -ETIMEDOUT */
static int take_link(struct redis_store *s, int64_t until, struct redis_link **link)
{
	struct timespec end = { until / 1000, until % 1000 * 1000000 };
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->idle && !s->unopened && !ret)
		ret = pthread_cond_timedwait(&s->returned, &s->lock, &end);
	*link = s->idle;
	if (*link)
		s->idle = (*link)->next;
	else if (s->unopened)
		s->unopened--;
	else
		ret = ETIMEDOUT;
	if (*link || ret != ETIMEDOUT)
		ret = 0;
	pthread_mutex_unlock(&s->lock);
	return -ret;
}

void redis_give_link(struct redis_store *s, struct redis_link *link)
{
	pthread_mutex_lock(&s->lock);
	if (link) {
		link->next = s->idle;
		s->idle = link;
	} else {
		s->unopened++;
	}
	pthread_cond_signal(&s->returned);
	pthread_mutex_unlock(&s->lock);
}

int talk_begin(struct redis_store *s, struct redis_talk *t)
{
	int ret;

	t->s = s;
	t->link = NULL;
	t->until = redis_now_ms() + s->reply_ms;
	if (atomic_load(&s->lost))
		return -ENOTCONN;
	ret = take_link(s, t->until, &t->link);
	if (ret)
		return cache_fail(&t->fault, -ENOTCONN, "the server is too slow");
	/* A server may end what is idle: another will do, when it is still the same server. */
	if (t->link && !redis_link_idle(t->link)) {
		redis_link_close(t->link);
		t->link = NULL;
	}
	if (!t->link) {
		ret = redis_store_link(s, t->until, &t->fault, &t->link);
		if (ret)
			redis_give_link(s, NULL);
	}
	return ret;
}

/* What is wrong with the server, and not with the call, ends the store. */
int talk_end(struct redis_talk *t, int ret)
{
	bool good = !ret || ret == -ENOENT || ret == -ENOSPC;

	if (t->link && good) {
		redis_give_link(t->s, t->link);
	} else if (t->link) {
		redis_link_close(t->link);
		redis_give_link(t->s, NULL);
	}
	t->link = NULL;
	return good || ret == -ENOMEM ? ret : redis_store_lost(t->s, &t->fault);
}

/* ---- commands ----------------------------------------------------------------------------- */

int talk_no_sense(struct redis_talk *t)
{
	return cache_fail(&t->fault, -ENOTCONN, "the server's answer makes no sense");
}

int talk_send(struct redis_talk *t, int argc, const char **argv, const size_t *sizes)
{
	return redis_link_send(t->link, argc, argv, sizes) ? 0 :
		cache_fail(&t->fault, -ENOMEM, "no memory");
}

/* A command of words that end with a NUL, but for the last: a name. */
int talk_send_name(struct redis_talk *t, const char *command, const struct redis_name *name)
{
	const char *argv[] = { command, name->data };
	const size_t sizes[] = { strlen(command), name->size };

	return talk_send(t, 2, argv, sizes);
}

int talk_send_generation(struct redis_talk *t)
{
	static const char *argv[] = { "GET", GENERATION };

	return talk_send(t, 2, argv, NULL);
}

/* An answer of one of two types; an error reply is an errno. */
int talk_reply(struct redis_talk *t, size_t limit, int type, int or_type, redisReply **reply)
{
	int ret = redis_link_reply(t->link, t->until, limit, &t->fault, reply);

	if (ret)
		return ret;
	if ((*reply)->type == type || (*reply)->type == or_type)
		return 0;
	ret = (*reply)->type == REDIS_REPLY_ERROR ? redis_error(*reply, &t->fault) : talk_no_sense(t);
	freeReplyObject(*reply);
	*reply = NULL;
	/* Not to be taken for a value without room. */
	if (ret == -ENOSPC)
		t->fault.error = ret = -EIO;
	return ret;
}

int talk_number(struct redis_talk *t, long long *value)
{
	redisReply *reply;
	int ret = talk_reply(t, OVERHEAD, REDIS_REPLY_INTEGER, REDIS_REPLY_INTEGER, &reply);

	if (ret)
		return ret;
	*value = reply->integer;
	freeReplyObject(reply);
	return 0;
}

/* @full: set when there was no room; NULL: that is an error */
int talk_ok(struct redis_talk *t, bool *full)
{
	redisReply *reply;
	int ret = talk_reply(t, OVERHEAD, REDIS_REPLY_STATUS,
			   full ? REDIS_REPLY_ERROR : REDIS_REPLY_STATUS, &reply);

	if (ret)
		return ret;
	if (reply->type == REDIS_REPLY_ERROR)
		ret = redis_error(reply, &t->fault);
	if (ret == -ENOSPC && full) {
		*full = true;
		ret = 0;
	}
	freeReplyObject(reply);
	return ret;
}

void talk_see(struct redis_talk *t, const redisReply *reply)
{
	t->seen[0] = '\0';
	if (reply->type == REDIS_REPLY_STRING && reply->len == 16 &&
	    strspn(reply->str, "0123456789abcdef") == 16)
		memcpy(t->seen, reply->str, 17);
}

int talk_generation(struct redis_talk *t)
{
	redisReply *reply;
	int ret = talk_reply(t, OVERHEAD, REDIS_REPLY_STRING, REDIS_REPLY_NIL, &reply);

	if (ret)
		return ret;
	talk_see(t, reply);
	freeReplyObject(reply);
	return 0;
}

/* ---- generations ------------------------------------------------------------------------------ */

static void use_generation(struct redis_store *s, const char *generation)
{
	pthread_mutex_lock(&s->lock);
	memcpy(s->generation, generation, sizeof(s->generation));
	pthread_mutex_unlock(&s->lock);
}

/* All that there is, is not found any more, by no helper. */
int talk_new_generation(struct redis_talk *t)
{
	const char *argv[] = { "SET", GENERATION, t->generation };
	uint64_t n;
	int ret;

	if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
		return cache_fail(&t->fault, -EIO, "no random numbers");
	snprintf(t->generation, sizeof(t->generation), "%016llx", (unsigned long long)n);
	ret = talk_send(t, 3, argv, NULL);
	if (!ret)
		ret = talk_ok(t, NULL);
	if (ret)
		return ret;
	use_generation(t->s, t->generation);
	return 0;
}

/* A call that is made again while the generation is not what it thought. */
int talk_again(struct redis_store *s, int (*call)(struct redis_talk *t, void *arg), void *arg)
{
	struct redis_talk t;
	unsigned int turn;
	int ret = talk_begin(s, &t);

	for (turn = 0; !ret && turn < TURNS; turn++) {
		pthread_mutex_lock(&s->lock);
		memcpy(t.generation, s->generation, sizeof(t.generation));
		pthread_mutex_unlock(&s->lock);
		ret = call(&t, arg);
		if ((ret && ret != -ENOENT) || !strcmp(t.seen, t.generation))
			return talk_end(&t, ret);
		if (t.seen[0]) {
			use_generation(s, t.seen);
			ret = 0;
		} else {
			/* It was evicted, or all was flushed. */
			ret = talk_new_generation(&t);
		}
	}
	if (!ret)
		ret = cache_fail(&t.fault, -ENOTCONN, "the generation changes all the time");
	return talk_end(&t, ret);
}

void talk_name(const struct redis_talk *t, const struct cache_bytes *key, struct redis_name *name)
{
	name->size = (size_t)snprintf(name->data, sizeof(name->data), "nexus:%s:", t->generation);
	memcpy(name->data + name->size, key->data, key->size);
	name->size += key->size;
}
