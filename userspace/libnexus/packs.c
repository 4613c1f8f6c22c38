// SPDX-License-Identifier: Apache-2.0
/* The control service of packs as C functions. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "message.h"

static int give_pack(const Nexus__Control__V1__Pack *msg, nexus_pack_fn fn,
		     void *arg)
{
	const struct nexus_pack pack = {
		.pack = msg->pack,
		.state = (enum nexus_pack_state)msg->state,
		.blocks = msg->blocks,
		.table_blocks = msg->table_blocks,
		.used = msg->used,
		.live = msg->live,
		.hash_alg = msg->hash_alg,
		.hash = msg->hash.data,
		.hash_len = msg->hash.len,
	};

	return fn(arg, &pack);
}

NEXUS_EXPORT int nexus_pack_list(struct nexus_client *client, const char *zone,
				 nexus_pack_fn fn, void *arg)
{
	Nexus__Control__V1__PacksListRequest req =
		NEXUS__CONTROL__V1__PACKS_LIST_REQUEST__INIT;
	Nexus__Control__V1__PacksListResponse *res;
	bool more = true;
	size_t i;
	int err = 0;

	req.zone = (char *)zone;
	while (more && !err) {
		err = client_message(client, SERVICE("Packs"), "List", &req.base,
				     &nexus__control__v1__packs_list_response__descriptor,
				     &res);
		if (err)
			return err;
		for (i = 0; i < res->n_packs && !err; i++) {
			err = give_pack(res->packs[i], fn, arg);
			req.after = res->packs[i]->pack;
		}
		more = res->more && res->n_packs;
		protobuf_c_message_free_unpacked(&res->base, NULL);
	}
	return err;
}

static int give_problem(const Nexus__Control__V1__PackProblem *msg,
			nexus_problem_fn fn, void *arg)
{
	const struct nexus_pack_problem problem = {
		.pack = msg->pack,
		.block = msg->block,
		.inode = msg->inode,
		.data_id = msg->data_id,
		.offset = msg->offset,
		.what = msg->what,
	};

	return fn(arg, &problem);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pause_ns(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	nanosleep(&ts, NULL);
}

/* One stretch; *@cursor, freed by the caller, goes on from there, empty at the end. */
static int verify_step(struct nexus_client *client,
		       const Nexus__Control__V1__PacksVerifyRequest *req,
		       nexus_problem_fn fn, void *arg, struct nexus_verified *seen,
		       ProtobufCBinaryData *cursor)
{
	Nexus__Control__V1__PacksVerifyResponse *res;
	size_t i;
	int err;

	err = client_message(client, SERVICE("Packs"), "Verify", &req->base,
			     &nexus__control__v1__packs_verify_response__descriptor,
			     &res);
	if (err)
		return err;
	for (i = 0; i < res->n_problems && !err; i++)
		err = give_problem(res->problems[i], fn, arg);
	seen->packs += res->packs;
	seen->extents += res->extents;
	seen->blocks += res->blocks;
	seen->unchecked += res->unchecked;
	seen->away += res->away;
	*cursor = res->cursor;
	res->cursor.data = NULL;
	res->cursor.len = 0;
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_pack_verify(struct nexus_client *client,
				   const char *zone, const uint64_t *packs,
				   size_t n, nexus_problem_fn fn, void *arg,
				   struct nexus_verified *seen)
{
	Nexus__Control__V1__PacksVerifyRequest req =
		NEXUS__CONTROL__V1__PACKS_VERIFY_REQUEST__INIT;
	uint64_t begun;
	int err;

	req.zone = (char *)zone;
	req.packs = (uint64_t *)packs;
	req.n_packs = n;
	do {
		ProtobufCBinaryData cursor = { 0, NULL };

		begun = now_ns();
		err = verify_step(client, &req, fn, arg, seen, &cursor);
		free(req.cursor.data);
		req.cursor = cursor;
		/* The other half of the time is for those the disk is for. */
		if (!err && cursor.len)
			pause_ns(now_ns() - begun);
	} while (!err && req.cursor.len);
	free(req.cursor.data);
	return err;
}

static int compact_step(struct nexus_client *client,
			Nexus__Control__V1__PacksCompactRequest *req,
			struct nexus_compacted *done)
{
	Nexus__Control__V1__PacksCompactResponse *res;
	int err;

	err = client_message(client, SERVICE("Packs"), "Compact", &req->base,
			     &nexus__control__v1__packs_compact_response__descriptor,
			     &res);
	if (err)
		return err;
	done->packs += res->packs;
	done->blocks += res->blocks;
	done->skipped += res->skipped;
	req->after = res->after;
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}

NEXUS_EXPORT int nexus_pack_compact(struct nexus_client *client,
				    const char *zone, const uint64_t *packs,
				    size_t n, bool all,
				    struct nexus_compacted *done)
{
	Nexus__Control__V1__PacksCompactRequest req =
		NEXUS__CONTROL__V1__PACKS_COMPACT_REQUEST__INIT;
	int err;

	req.zone = (char *)zone;
	req.packs = (uint64_t *)packs;
	req.n_packs = n;
	req.all = all;
	do {
		err = compact_step(client, &req, done);
	} while (!err && req.after);
	return err;
}

NEXUS_EXPORT int nexus_pack_evict(struct nexus_client *client, const char *zone,
				  uint64_t pack, uint64_t *blocks)
{
	Nexus__Control__V1__PacksEvictRequest req =
		NEXUS__CONTROL__V1__PACKS_EVICT_REQUEST__INIT;
	Nexus__Control__V1__PacksEvictResponse *res;
	int err;

	req.zone = (char *)zone;
	req.pack = pack;
	err = client_message(client, SERVICE("Packs"), "Evict", &req.base,
			     &nexus__control__v1__packs_evict_response__descriptor,
			     &res);
	if (err)
		return err;
	*blocks += res->blocks;
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}
