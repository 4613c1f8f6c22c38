// SPDX-License-Identifier: Apache-2.0
/* The cache for people: nexus.cache.v1.Cache. */
#include <errno.h>
#include <stdlib.h>

#include "cache.h"
#include "method.h"
#include "nexus/cache/v1/cache.pb-c.h"

#define PARTS	(NEXUS_CACHE_PARTS_MAX - 1)	/* one is the service's name */

/* In words what is wrong with a key, or a call: it was said by the store. */
static int explain(struct nexus_rpc_call *call, int ret)
{
	switch (ret) {
	case -ENOENT:
		return refuse(call, ret, "there is no value under this key");
	case -ENAMETOOLONG:
		return refuse(call, ret, "a key has at most %u parts, and %u bytes with what is between them",
			      PARTS, NEXUS_CACHE_KEY_MAX);
	case -EMSGSIZE:
		return refuse(call, ret, "a value has at most %u bytes", NEXUS_CACHE_VALUE_MAX);
	case -ENOSPC:
		return refuse(call, ret, "the value did not fit into the store");
	default:
		return ret;
	}
}

static int take_key(struct nexus_rpc_call *call, size_t n, const ProtobufCBinaryData *from,
		    struct nexus_cache_part parts[PARTS], struct nexus_cache_key *key)
{
	size_t i;

	if (!n)
		return refuse(call, -EINVAL, "a key has a part at least");
	if (n > PARTS)
		return explain(call, -ENAMETOOLONG);
	for (i = 0; i < n; i++)
		parts[i] = (struct nexus_cache_part)NEXUS_CACHE_P(from[i].data, from[i].len);
	*key = (struct nexus_cache_key){ parts, (uint32_t)n, false };
	return 0;
}

static int rpc_state(void *self, void *args)
{
	Nexus__Cache__V1__StateResponse answer = NEXUS__CACHE__V1__STATE_RESPONSE__INIT;
	struct nexus_cache_state st;
	struct nexus_rpc_call *call = args;
	struct cache *c = self;

	cache_state(c, &st);
	answer.hits = st.hits;
	answer.misses = st.misses;
	answer.sets = st.sets;
	answer.deletes = st.deletes;
	answer.entries = st.kept.entries;
	answer.bytes = st.kept.bytes;
	answer.evicted = st.kept.evicted;
	answer.expired = st.kept.expired;
	return nexus_rpc_answer(c->host, call, &answer.base);
}

static int rpc_get(void *self, void *args)
{
	Nexus__Cache__V1__GetResponse answer = NEXUS__CACHE__V1__GET_RESPONSE__INIT;
	struct nexus_rpc_call *call = args;
	const Nexus__Cache__V1__GetRequest *req = (const void *)call->msg;
	struct nexus_cache_part parts[PARTS];
	struct nexus_cache_key key;
	struct cache *c = self;
	void *data = NULL;
	size_t size = 0;
	int ret;

	ret = take_key(call, req->n_key, req->key, parts, &key);
	if (ret)
		return ret;
	ret = cache_get(c, &key, &data, &size);
	if (ret)
		return explain(call, ret);
	answer.value = (ProtobufCBinaryData){ size, data };
	ret = nexus_rpc_answer(c->host, call, &answer.base);
	free(data);
	return ret;
}

static int rpc_set(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	const Nexus__Cache__V1__SetRequest *req = (const void *)call->msg;
	struct nexus_cache_part parts[PARTS];
	struct nexus_cache_set_args a = {
		.data = req->value.data, .size = req->value.len, .ttl_ms = req->ttl_ms,
	};
	int ret;

	if (req->ttl_ms > NEXUS_CACHE_TTL_MAX)
		return refuse(call, -EINVAL, "a value stays %llu ms at most",
			      (unsigned long long)NEXUS_CACHE_TTL_MAX);
	ret = take_key(call, req->n_key, req->key, parts, &a.key);
	return ret ? ret : explain(call, cache_set(self, &a));
}

static int rpc_delete(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	const Nexus__Cache__V1__DeleteRequest *req = (const void *)call->msg;
	struct nexus_cache_part parts[PARTS];
	struct nexus_cache_key key;
	int ret;

	ret = take_key(call, req->n_key, req->key, parts, &key);
	return ret ? ret : explain(call, cache_del(self, &key));
}

static int rpc_delete_matching(void *self, void *args)
{
	Nexus__Cache__V1__DeleteMatchingResponse answer =
		NEXUS__CACHE__V1__DELETE_MATCHING_RESPONSE__INIT;
	struct nexus_rpc_call *call = args;
	const Nexus__Cache__V1__DeleteMatchingRequest *req = (const void *)call->msg;
	ProtobufCBinaryData texts[PARTS];
	struct nexus_cache_part parts[PARTS];
	struct nexus_cache_key pattern;
	struct cache *c = self;
	size_t i;
	int ret;

	for (i = 0; i < req->n_pattern && i < PARTS; i++)
		texts[i] = req->pattern[i]->text;
	ret = take_key(call, req->n_pattern, texts, parts, &pattern);
	if (ret)
		return ret;
	for (i = 0; i < req->n_pattern; i++)
		parts[i].kind = req->pattern[i]->glob ? NEXUS_CACHE_GLOB : NEXUS_CACHE_EXACT;
	pattern.below = req->below;
	ret = cache_del_matching(c, &pattern, &answer.deleted);
	return ret ? explain(call, ret) : nexus_rpc_answer(c->host, call, &answer.base);
}

/* ---- who may call what ---------------------------------------------------------------- */

#define METHOD(name_, who_, lower) { \
	.name = (name_), \
	.who = (who_), \
	.request = &nexus__cache__v1__##lower##_request__descriptor, \
	.response = &nexus__cache__v1__##lower##_response__descriptor, \
	.call = rpc_##lower, \
}

static const struct nexus_rpc_method methods[] = {
	METHOD("State", NEXUS_RPC_ALL, state),
	METHOD("Get", NEXUS_RPC_ADMIN, get),
	METHOD("Set", NEXUS_RPC_ADMIN, set),
	METHOD("Delete", NEXUS_RPC_ADMIN, delete),
	METHOD("DeleteMatching", NEXUS_RPC_ADMIN, delete_matching),
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service cache_rpc[] = {
	{ "nexus.cache.v1.Cache", methods },
	NEXUS_RPC_SERVICES_END,
};
