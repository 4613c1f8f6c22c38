// SPDX-License-Identifier: Apache-2.0
/*
 * Cache store on a Redis server, by hiredis.
 *
 * Names on the server: nexus:GENERATION:KEY and nexus:channel:KEY.  The generation
 * is a random number under nexus:generation.  Whoever connects gives it a new one,
 * since deletions may have been missed while there was no connection: nobody finds what is
 * under an old one, and its time ends it.  Each read asks for the generation in
 * the same command, each change behind it, and begins again when it is another than it
 * thought: so all helpers of a server follow at once.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/cachestore/redis_talk.h"
#include "lib/port.h"

#define SCAN_REPLY	(64u << 20)	/* COUNT says about how many keys are looked at */

static struct redis_store *to_redis(struct nexus_cache *cache)
{
	return NEXUS_CONTAINER(cache, struct redis_store, base);
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct get_call {
	struct nexus_cache_item *items;
	const struct cache_bytes *keys;
	size_t count;
};

static int take_values(struct get_call *c, const redisReply *reply)
{
	const redisReply *one;
	size_t i;

	for (i = 0; i < c->count; i++) {
		one = reply->element[i + 1];
		if (one->type == REDIS_REPLY_NIL)
			continue;
		if (one->type != REDIS_REPLY_STRING || (size_t)one->len > NEXUS_CACHE_VALUE_MAX)
			return -EBADMSG;
		c->items[i].data = cache_copy(one->str, (size_t)one->len);
		c->items[i].size = (size_t)one->len;
		if (!c->items[i].data)
			return -ENOMEM;
	}
	return 0;
}

static int call_get(struct redis_talk *t, void *arg)
{
	struct get_call *c = arg;
	const char *argv[NEXUS_CACHE_BATCH_MAX + 2] = { "MGET", GENERATION };
	size_t sizes[NEXUS_CACHE_BATCH_MAX + 2] = { 4, sizeof(GENERATION) - 1 }, i;
	struct redis_name *names = malloc((c->count + !c->count) * sizeof(*names));
	redisReply *reply;
	int ret;

	if (!names)
		return cache_fail(&t->fault, -ENOMEM, "no memory");
	for (i = 0; i < c->count; i++) {
		talk_name(t, &c->keys[i], &names[i]);
		argv[i + 2] = names[i].data;
		sizes[i + 2] = names[i].size;
	}
	ret = talk_send(t, (int)c->count + 2, argv, sizes);
	free(names);
	if (!ret)
		ret = talk_reply(t, OVERHEAD + c->count * (NEXUS_CACHE_VALUE_MAX + 32ul),
			       REDIS_REPLY_ARRAY, REDIS_REPLY_ARRAY, &reply);
	if (ret)
		return ret;
	if (reply->elements != c->count + 1) {
		ret = talk_no_sense(t);
		goto out;
	}
	talk_see(t, reply->element[0]);
	if (strcmp(t->seen, t->generation))
		goto out;
	ret = take_values(c, reply);
	if (ret)
		cache_items_free(c->items, c->count);
	if (ret == -EBADMSG)
		ret = talk_no_sense(t);
out:
	freeReplyObject(reply);
	return ret;
}

static int redis_get(struct nexus_cache *cache, const struct nexus_cache_key *key, void **data,
		     size_t *size)
{
	struct nexus_cache_item item = { .data = NULL };
	struct cache_bytes bytes;
	struct get_call c = { &item, &bytes, 1 };
	int ret = cache_key_encode(key, &bytes);

	if (!ret)
		ret = talk_again(to_redis(cache), call_get, &c);
	if (ret)
		return ret;
	if (!item.data)
		return -ENOENT;
	*data = item.data;
	*size = item.size;
	return 0;
}

static int redis_get_many(struct nexus_cache *cache, struct nexus_cache_item *items, size_t count)
{
	struct get_call c = { items, NULL, count };
	struct cache_bytes *keys;
	size_t i;
	int ret;

	for (i = 0; i < count; i++) {
		items[i].data = NULL;
		items[i].size = 0;
	}
	ret = cache_check_batch(items, count, NULL);
	if (ret || !count)
		return ret;
	keys = malloc(count * sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (i = 0; !ret && i < count; i++)
		ret = cache_key_encode(&items[i].key, &keys[i]);
	c.keys = keys;
	if (!ret)
		ret = talk_again(to_redis(cache), call_get, &c);
	free(keys);
	return ret;
}

struct ttl_call {
	const struct cache_bytes *key;
	uint64_t ms;
};

static int call_ttl(struct redis_talk *t, void *arg)
{
	struct ttl_call *c = arg;
	struct redis_name name;
	long long ms = 0;
	int ret;

	talk_name(t, c->key, &name);
	ret = talk_send_name(t, "PTTL", &name);
	if (!ret)
		ret = talk_send_generation(t);
	if (!ret)
		ret = talk_number(t, &ms);
	if (!ret)
		ret = talk_generation(t);
	/* -1 would be one without an end, which nobody sets. */
	if (!ret && ms < 0)
		ret = ms == -2 ? -ENOENT : talk_no_sense(t);
	c->ms = (uint64_t)ms;
	return ret;
}

static int redis_ttl(struct nexus_cache *cache, const struct nexus_cache_key *key, uint64_t *ms)
{
	struct cache_bytes bytes;
	struct ttl_call c = { &bytes, 0 };
	int ret = cache_key_encode(key, &bytes);

	if (!ret)
		ret = talk_again(to_redis(cache), call_ttl, &c);
	if (!ret)
		*ms = c.ms;
	return ret;
}

/* ---- changing -------------------------------------------------------------------------------------- */

struct set_call {
	const struct nexus_cache_item *items;
	const struct cache_bytes *keys;
	size_t count;
	uint64_t ttl_ms;
};

static int send_set(struct redis_talk *t, const struct set_call *c, size_t i)
{
	const struct nexus_cache_item *item = &c->items[i];
	const char *argv[] = { "SET", NULL, item->size ? item->data : "", "PX", NULL };
	size_t sizes[] = { 3, 0, item->size, 2, 0 };
	struct redis_name name;
	char ttl[24];

	talk_name(t, &c->keys[i], &name);
	argv[1] = name.data;
	sizes[1] = name.size;
	argv[4] = ttl;
	sizes[4] = (size_t)snprintf(ttl, sizeof(ttl), "%llu",
				    (unsigned long long)(c->ttl_ms ? c->ttl_ms : NEXUS_CACHE_TTL_MAX));
	return talk_send(t, 5, argv, sizes);
}

/* A server without room keeps what was there before: it must not be found. */
static int forget(struct redis_talk *t, const struct set_call *c)
{
	struct redis_name name;
	long long n;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < c->count; i++) {
		talk_name(t, &c->keys[i], &name);
		ret = talk_send_name(t, "UNLINK", &name);
		if (!ret)
			ret = talk_number(t, &n);
	}
	return ret;
}

static int call_set(struct redis_talk *t, void *arg)
{
	struct set_call *c = arg;
	bool full = false;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < c->count; i++)
		ret = send_set(t, c, i);
	if (!ret)
		ret = talk_send_generation(t);
	for (i = 0; !ret && i < c->count; i++)
		ret = talk_ok(t, &full);
	if (!ret)
		ret = talk_generation(t);
	if (ret || !full || strcmp(t->seen, t->generation))
		return ret;
	ret = forget(t, c);
	return ret ? ret : -ENOSPC;
}

static int redis_set_many(struct nexus_cache *cache, const struct nexus_cache_item *items,
			  size_t count, uint64_t ttl_ms)
{
	struct set_call c = { items, NULL, count, ttl_ms };
	struct cache_bytes *keys;
	int ret = cache_check_batch(items, count, &ttl_ms);
	size_t i;

	if (ret || !count)
		return ret;
	keys = malloc(count * sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (i = 0; !ret && i < count; i++)
		ret = cache_key_encode(&items[i].key, &keys[i]);
	c.keys = keys;
	if (!ret)
		ret = talk_again(to_redis(cache), call_set, &c);
	free(keys);
	return ret;
}

static int redis_set(struct nexus_cache *cache, const struct nexus_cache_key *key,
		     const void *data, size_t size, uint64_t ttl_ms)
{
	const struct nexus_cache_item item = { *key, (void *)data, size };

	return redis_set_many(cache, &item, 1, ttl_ms);
}

static int call_del(struct redis_talk *t, void *arg)
{
	const struct cache_bytes *key = arg;
	struct redis_name name;
	long long n = 0;
	int ret;

	talk_name(t, key, &name);
	ret = talk_send_name(t, "UNLINK", &name);
	if (!ret)
		ret = talk_send_generation(t);
	if (!ret)
		ret = talk_number(t, &n);
	if (!ret)
		ret = talk_generation(t);
	return ret ? ret : n ? 0 : -ENOENT;
}

static int redis_del(struct nexus_cache *cache, const struct nexus_cache_key *key)
{
	struct cache_bytes bytes;
	int ret = cache_key_encode(key, &bytes);

	return ret ? ret : talk_again(to_redis(cache), call_del, &bytes);
}

/* ---- by pattern --------------------------------------------------------------------------------------- */

struct match_call {
	const struct nexus_cache_key *pattern;
	uint64_t deleted;
};

/* "nexus:GENERATION:", what all keys begin with, and "*", for the server. */
static size_t scan_pattern(const struct redis_talk *t, const struct nexus_cache_key *pattern,
			   char *out, size_t room)
{
	struct cache_bytes prefix;
	size_t n = (size_t)snprintf(out, room, "nexus:%s:", t->generation);
	uint32_t i;

	cache_pattern_prefix(pattern, &prefix);
	for (i = 0; i < prefix.size; i++) {
		if (prefix.data[i] && strchr("*?[]\\^-", prefix.data[i]))
			out[n++] = '\\';
		out[n++] = (char)prefix.data[i];
	}
	out[n++] = '*';
	return n;
}

/* Those of a part of the keys that match. */
static int unlink_matching(struct redis_talk *t, struct match_call *c, const redisReply *keys)
{
	size_t head = sizeof("nexus::") - 1 + strlen(t->generation), i, asked = 0;
	const redisReply *one;
	struct redis_name name;
	long long n;
	int ret = 0;

	for (i = 0; !ret && i < keys->elements; i++) {
		one = keys->element[i];
		if (one->type != REDIS_REPLY_STRING)
			return talk_no_sense(t);
		if ((size_t)one->len < head || (size_t)one->len > sizeof(name.data) ||
		    !cache_pattern_match(c->pattern, (const uint8_t *)one->str + head,
					 (size_t)one->len - head))
			continue;
		name.size = (size_t)one->len;
		memcpy(name.data, one->str, name.size);
		ret = talk_send_name(t, "UNLINK", &name);
		asked++;
	}
	for (i = 0; !ret && i < asked; i++) {
		ret = talk_number(t, &n);
		if (!ret && n > 0)
			c->deleted++;
	}
	return ret;
}

/* Puts the next cursor into @cursor, "0" behind the last. */
static int scan_once(struct redis_talk *t, struct match_call *c, const char *match, size_t match_size,
		     char cursor[24])
{
	const char *argv[] = { "SCAN", cursor, "MATCH", match, "COUNT", "1000" };
	const size_t sizes[] = { 4, strlen(cursor), 5, match_size, 5, 4 };
	redisReply *reply;
	int ret = talk_send(t, 6, argv, sizes);

	if (!ret)
		ret = talk_reply(t, SCAN_REPLY, REDIS_REPLY_ARRAY, REDIS_REPLY_ARRAY, &reply);
	if (ret)
		return ret;
	if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
	    !reply->element[0]->len || reply->element[0]->len > 20 ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		ret = talk_no_sense(t);
	else
		ret = unlink_matching(t, c, reply->element[1]);
	if (!ret)
		snprintf(cursor, 24, "%s", reply->element[0]->str);
	freeReplyObject(reply);
	return ret;
}

/*
 * A server with many keys is looked through for half of the time that there is.
 * Then all goes: what was to be deleted is, in any case.
 */
static int call_match(struct redis_talk *t, void *arg)
{
	char match[2 * NEXUS_CACHE_KEY_MAX + 64], cursor[24] = "0";
	int64_t half = t->until - t->s->reply_ms / 2;
	struct match_call *c = arg;
	size_t size = scan_pattern(t, c->pattern, match, sizeof(match));
	int ret;

	do {
		ret = scan_once(t, c, match, size, cursor);
		if (!ret && strcmp(cursor, "0") && redis_now_ms() >= half) {
			ret = talk_new_generation(t);
			memcpy(t->seen, t->generation, sizeof(t->seen));
			return ret;
		}
	} while (!ret && strcmp(cursor, "0"));
	if (!ret)
		ret = talk_send_generation(t);
	return ret ? ret : talk_generation(t);
}

static int redis_del_matching(struct nexus_cache *cache, const struct nexus_cache_key *pattern,
			      uint64_t *deleted)
{
	struct match_call c = { pattern, 0 };
	int ret = cache_pattern_check(pattern);

	if (!ret)
		ret = talk_again(to_redis(cache), call_match, &c);
	if (deleted)
		*deleted = c.deleted;
	return ret;
}

static void redis_clear(struct nexus_cache *cache)
{
	struct redis_store *s = to_redis(cache);
	struct redis_talk t;
	int ret = talk_begin(s, &t);

	if (!ret)
		ret = talk_new_generation(&t);
	talk_end(&t, ret);
}

/* ---- messages --------------------------------------------------------------------------------------------- */

static int redis_publish(struct nexus_cache *cache, const struct nexus_cache_key *channel,
			 const void *data, size_t size, uint64_t *receivers)
{
	const char *argv[] = { "PUBLISH", NULL, size ? data : "" };
	size_t sizes[] = { 7, sizeof(REDIS_CHANNEL) - 1, size };
	struct cache_bytes bytes;
	struct redis_name name = { .data = REDIS_CHANNEL };
	struct redis_talk t;
	long long n = 0;
	int ret = cache_key_encode(channel, &bytes);

	if (!ret && size > NEXUS_CACHE_MESSAGE_MAX)
		ret = -EMSGSIZE;
	if (ret)
		return ret;
	memcpy(name.data + sizes[1], bytes.data, bytes.size);
	argv[1] = name.data;
	sizes[1] += bytes.size;
	ret = talk_begin(to_redis(cache), &t);
	if (!ret)
		ret = talk_send(&t, 3, argv, sizes);
	if (!ret)
		ret = talk_number(&t, &n);
	if (!ret && receivers)
		*receivers = n > 0 ? (uint64_t)n : 0;
	return talk_end(&t, ret);
}

static void redis_stats(struct nexus_cache *cache, struct nexus_cache_stats *stats)
{
	*stats = (struct nexus_cache_stats){
		.subscribers = cache_hub_count(&to_redis(cache)->hub),
	};
}

static const struct nexus_cache_ops redis_ops = {
	.get = redis_get,
	.set = redis_set,
	.del = redis_del,
	.ttl = redis_ttl,
	.get_many = redis_get_many,
	.set_many = redis_set_many,
	.del_matching = redis_del_matching,
	.publish = redis_publish,
	.subscribe = cache_subscribe,
	.fetch = cache_fetch,
	.unsubscribe = cache_unsubscribe,
	.attach = redis_attach,
	.detach = redis_detach,
	.clear = redis_clear,
	.stats = redis_stats,
};

/* ---- the store ---------------------------------------------------------------------------------------------- */

static void free_store(struct redis_store *s)
{
	struct redis_link *link;

	while ((link = s->idle)) {
		s->idle = link->next;
		redis_link_close(link);
	}
	cache_hub_destroy(&s->hub);
	pthread_cond_destroy(&s->returned);
	pthread_mutex_destroy(&s->telling);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The first connection, and a generation of its own. */
static int begin_store(struct redis_store *s, struct nexus_cache_fault *fault)
{
	struct redis_talk t = { .s = s, .until = redis_now_ms() + s->reply_ms };
	int ret;

	ret = redis_link_open(&s->place, t.until, fault, &t.link, s->run_id);
	if (ret)
		return ret;
	ret = talk_new_generation(&t);
	if (!ret) {
		s->unopened--;
		redis_give_link(s, t.link);
		return 0;
	}
	redis_link_close(t.link);
	*fault = t.fault;
	return ret;
}

static int redis_open(const struct nexus_cache_options *options, struct nexus_cache_fault *fault,
		      struct nexus_cache **cache)
{
	struct redis_store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int ret;

	if (!s)
		return cache_fail(fault, -ENOMEM, "no memory");
	s->base.ops = &redis_ops;
	s->reply_ms = options->reply_ms;
	s->told = options->lost;
	s->told_arg = options->lost_arg;
	s->unopened = REDIS_LINKS;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->telling, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->returned, &attr);
	pthread_condattr_destroy(&attr);
	cache_hub_init(&s->hub);
	ret = redis_place_parse(options->at, &s->place, fault);
	if (!ret)
		ret = begin_store(s, fault);
	if (!ret && redis_listener_init(&s->listener))
		ret = cache_fail(fault, -ENOMEM, "no descriptor to wake the thread of subscriptions");
	if (ret)
		free_store(s);
	else
		*cache = &s->base;
	return ret;
}

static void redis_close(struct nexus_cache *cache)
{
	struct redis_store *s = to_redis(cache);

	redis_listener_end(s);
	free_store(s);
}

__attribute__((visibility("default")))
extern const struct nexus_cache_driver nexus_cache_driver;

const struct nexus_cache_driver nexus_cache_driver = {
	.abi = NEXUS_CACHE_DRIVER_ABI,
	.name = "redis",
	.open = redis_open,
	.close = redis_close,
};
