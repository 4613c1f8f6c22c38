// SPDX-License-Identifier: Apache-2.0
/* nexusctl cache: values of service cache. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <nexus/services/cache.h>

#include "call.h"
#include "nexus-proto.h"

#define PARTS	(NEXUS_CACHE_PARTS_MAX - 1)

static const struct call_target target = { "nexus.cache.v1.Cache", "cache" };

static ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
}

/* The first @n arguments are a key; false, with a line, when they are too many. */
static bool take_key(const struct ctl *ctl, size_t n, ProtobufCBinaryData key[PARTS])
{
	size_t i;

	if (n > PARTS) {
		fprintf(stderr, "nexusctl: a key has at most %u parts\n", PARTS);
		return false;
	}
	for (i = 0; i < n; i++)
		key[i] = bytes_of(ctl->args[i]);
	return true;
}

/* The value as it is, and nothing else. */
int cmd_cache_get(struct ctl *ctl)
{
	Nexus__Cache__V1__GetRequest req = NEXUS__CACHE__V1__GET_REQUEST__INIT;
	Nexus__Cache__V1__GetResponse *msg;
	ProtobufCBinaryData key[PARTS];
	int ret = EXIT_OK;

	if (!take_key(ctl, (size_t)ctl->n_args, key))
		return EXIT_USAGE;
	req.n_key = (size_t)ctl->n_args;
	req.key = key;
	msg = call(ctl, &target, "Get", &req.base, &nexus__cache__v1__get_response__descriptor);
	if (!msg)
		return EXIT_FAILED;
	if (fwrite(msg->value.data, 1, msg->value.len, stdout) != msg->value.len || fflush(stdout)) {
		fprintf(stderr, "nexusctl: standard output: %s\n", strerror(errno));
		ret = EXIT_FAILED;
	}
	release(msg);
	return ret;
}

int cmd_cache_set(struct ctl *ctl)
{
	Nexus__Cache__V1__SetRequest req = NEXUS__CACHE__V1__SET_REQUEST__INIT;
	ProtobufCBinaryData key[PARTS];
	uint64_t seconds = 0;
	void *answer;

	if (ctl->lease_ttl && !parse_number(ctl->lease_ttl, 1, NEXUS_CACHE_TTL_MAX / 1000, &seconds)) {
		fprintf(stderr, "nexusctl: --ttl: 1 to %llu seconds are wanted, not %s\n",
			(unsigned long long)(NEXUS_CACHE_TTL_MAX / 1000), ctl->lease_ttl);
		return EXIT_USAGE;
	}
	if (!take_key(ctl, (size_t)ctl->n_args - 1, key))
		return EXIT_USAGE;
	req.n_key = (size_t)ctl->n_args - 1;
	req.key = key;
	req.value = bytes_of(ctl->args[ctl->n_args - 1]);
	req.ttl_ms = seconds * 1000;
	answer = call(ctl, &target, "Set", &req.base, &nexus__cache__v1__set_response__descriptor);
	if (!answer)
		return EXIT_FAILED;
	release(answer);
	return EXIT_OK;
}

int cmd_cache_delete(struct ctl *ctl)
{
	Nexus__Cache__V1__DeleteRequest req = NEXUS__CACHE__V1__DELETE_REQUEST__INIT;
	ProtobufCBinaryData key[PARTS];
	void *answer;

	if (!take_key(ctl, (size_t)ctl->n_args, key))
		return EXIT_USAGE;
	req.n_key = (size_t)ctl->n_args;
	req.key = key;
	answer = call(ctl, &target, "Delete", &req.base, &nexus__cache__v1__delete_response__descriptor);
	if (!answer)
		return EXIT_FAILED;
	release(answer);
	return EXIT_OK;
}

/* Every word is a glob, and "..." at the end stands for any more parts. */
int cmd_cache_clear(struct ctl *ctl)
{
	Nexus__Cache__V1__DeleteMatchingRequest req = NEXUS__CACHE__V1__DELETE_MATCHING_REQUEST__INIT;
	Nexus__Cache__V1__Part parts[PARTS], *pattern[PARTS];
	ProtobufCBinaryData key[PARTS];
	size_t i, n = (size_t)ctl->n_args;
	Nexus__Cache__V1__DeleteMatchingResponse *answer;
	struct json json = { .out = stdout };

	if (n > 1 && !strcmp(ctl->args[n - 1], "...")) {
		req.below = true;
		n--;
	}
	if (!take_key(ctl, n, key))
		return EXIT_USAGE;
	for (i = 0; i < n; i++) {
		nexus__cache__v1__part__init(&parts[i]);
		parts[i].text = key[i];
		parts[i].glob = true;
		pattern[i] = &parts[i];
	}
	req.n_pattern = n;
	req.pattern = pattern;
	answer = call(ctl, &target, "DeleteMatching", &req.base,
		      &nexus__cache__v1__delete_matching_response__descriptor);
	if (!answer)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "deleted", answer->deleted);
		json_close(&json, '}');
	} else {
		printf("%" PRIu64 " deleted\n", answer->deleted);
	}
	release(answer);
	return EXIT_OK;
}

int cmd_cache_state(struct ctl *ctl)
{
	Nexus__Cache__V1__StateRequest req = NEXUS__CACHE__V1__STATE_REQUEST__INIT;
	Nexus__Cache__V1__StateResponse *st;
	struct json json = { .out = stdout };

	st = call(ctl, &target, "State", &req.base, &nexus__cache__v1__state_response__descriptor);
	if (!st)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "hits", st->hits);
		json_number(&json, "misses", st->misses);
		json_number(&json, "sets", st->sets);
		json_number(&json, "deletes", st->deletes);
		json_number(&json, "entries", st->entries);
		json_number(&json, "bytes", st->bytes);
		json_number(&json, "evicted", st->evicted);
		json_number(&json, "expired", st->expired);
		json_close(&json, '}');
	} else {
		printf("asked: %" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " sets, %" PRIu64
		       " deletes\n", st->hits, st->misses, st->sets, st->deletes);
		printf("here:  %" PRIu64 " values in %" PRIu64 " bytes, %" PRIu64 " evicted, %"
		       PRIu64 " expired\n", st->entries, st->bytes, st->evicted, st->expired);
	}
	release(st);
	return EXIT_OK;
}
