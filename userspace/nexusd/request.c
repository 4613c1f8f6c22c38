// SPDX-License-Identifier: Apache-2.0
/* One request, whatever thread it is answered on. */
#include <errno.h>
#include <string.h>

#include "bucket/bucket.h"
#include "fetch.h"
#include "lib/read.h"
#include "origin.h"
#include "presence.h"
#include "queue.h"
#include "stats.h"
#include "zone.h"

#define WAIT_STEP_MS	1000u

static void finish(struct nexus_reply *reply, const struct nexus_request *req,
		   int status, u64 applied)
{
	reply->seq = req->seq;
	reply->status = status < 0 ? status : 0;
	reply->len = status > 0 ? (u32)status : 0;
	reply->reserved = 0;
	reply->reserved2 = 0;
	reply->applied = applied;
	stats_inc(requests);
	if (status < 0 && status != -ENOENT && status != -ENODATA)
		stats_inc(requests_failed);
}

/* What goes to whoever mounts, as the wire wants it; its length. */
static u32 put_reason(const struct nexus_request *req, struct nexus_reply *reply,
		      const char *text)
{
	size_t max = NEXUS_MIN(req->reply_max, NEXUS_REASON_LEN);
	size_t len = strlen(text), i;

	if (!len || max < 2)
		return 0;
	len = NEXUS_MIN(len, max - 1);
	/* A path in it may hold anything. */
	for (i = 0; i < len; i++)
		reply->data[i] = text[i] >= ' ' && text[i] <= '~' ? (u8)text[i] : '?';
	reply->data[len] = '\0';
	return (u32)len + 1;
}

static int open_zone(struct helper *h, const struct nexus_request *req,
		     struct nexus_reply *reply, u32 *len)
{
	char name[NEXUS_REQUEST_DATA_MAX + 1], buf[128];
	bool bucket = req->arg0 & NEXUS_OPEN_BUCKET;
	struct errline err = { "" };
	const char *why, *source;
	int ret;

	*len = 0;
	memcpy(name, req->data, req->len);
	name[req->len] = '\0';
	/* Behind the name's end is what a bucket is. */
	source = name + strlen(name) + 1;
	if (!req->len || strlen(name) >= NEXUS_ZONE_NAME_LEN ||
	    strlen(name) + (bucket ? 1 + strlen(source) : 0) != req->len)
		return -EINVAL;
	ret = helper_open_zone(h, name, source, (u32)req->arg0, req->arg1, &err);
	if (ret) {
		why = err_text(&err, ret, buf, sizeof(buf));
		log_error("%s%s cannot be opened: %s", bucket ? "" : "zone ", bucket ? source : name, why);
		*len = put_reason(req, reply, why);
	}
	return ret;
}

/* A state at or after @lsn.  -EAGAIN: only by waiting. */
static int reach(struct zone *z, u64 lsn, bool may_block)
{
	int ret;

	if (memtable_applied(&z->mt) >= lsn)
		return 0;
	stats_inc(applied_inline);
	ret = applier_run(&z->applier, lsn);
	if (memtable_applied(&z->mt) >= lsn)
		return 0;
	if (ret && ret != -ENOBUFS)
		return -EIO;
	if (!may_block)
		return -EAGAIN;
	do {
		ret = applier_wait(&z->applier, lsn, WAIT_STEP_MS);
	} while (ret == -ETIMEDOUT && !atomic_load(&z->stopping));
	return ret ? -EIO : 0;
}

static int read_zone(struct zone *z, const struct nexus_request *req,
		     struct nexus_reply *reply, bool may_block, u64 *applied)
{
	u64 lsn = req->not_before > z->floor ? req->not_before : z->floor;
	struct memview v;
	int ret;

	ret = reach(z, lsn, may_block);
	if (ret)
		return ret;
	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	*applied = z->mt.applied;
	ret = nexus_read(&v.kv, req, req->data, reply->data, NEXUS_REPLY_DATA_MAX);
	memview_end(&v);
	if (ret > 0 && (u32)ret > req->reply_max) {
		log_error("zone %s: an answer to request %u has %d bytes, %u are taken",
			  z->name, req->op, ret, req->reply_max);
		ret = -EIO;
	}
	return ret;
}

/* With the time that is no more to be made room from, or without. */
static int ensure(struct zone *z, const struct nexus_request *req)
{
	u32 block = (u32)req->arg1, n = (u32)(req->arg1 >> 32);
	__le64 since;

	if (!req->len)
		return zone_fetch(z, req->arg0, block, n);
	if (req->len != sizeof(since))
		return -EINVAL;
	memcpy(&since, req->data, sizeof(since));
	return zone_warm(z, req->arg0, block, n, le64_to_cpu(since));
}

int request_answer(struct helper *h, const struct nexus_request *req,
		   struct nexus_reply *reply, bool may_block)
{
	struct zone *z;
	u64 applied = 0;
	u32 len;
	int ret;

	if (req->len > NEXUS_REQUEST_DATA_MAX) {
		finish(reply, req, -EINVAL, 0);
		return 0;
	}
	if (!may_block && (req->op == NEXUS_OP_OPEN_ZONE || req->op == NEXUS_OP_OPEN_PACK ||
			   req->op == NEXUS_OP_ENSURE || req->op == NEXUS_OP_ORIGIN))
		return -EAGAIN;
	if (req->op == NEXUS_OP_OPEN_ZONE) {
		ret = open_zone(h, req, reply, &len);
		finish(reply, req, ret, 0);
		reply->len = len;
		return 0;
	}
	z = helper_zone(h, req->zone);
	if (!z) {
		finish(reply, req, -EIO, 0);
		return 0;
	}
	if (z->bucket) {
		ret = bucket_answer(z->bucket, req, reply->data, may_block);
		applied = memtable_applied(&z->mt);
	} else if (req->op == NEXUS_OP_OPEN_PACK) {
		ret = zone_offer_pack(z, req->arg0);
		applied = memtable_applied(&z->mt);
	} else if (req->op == NEXUS_OP_ENSURE) {
		ret = ensure(z, req);
	} else if (req->op == NEXUS_OP_ORIGIN) {
		ret = origin_sync(z, req->arg0);
	} else {
		ret = read_zone(z, req, reply, may_block, &applied);
	}
	zone_put(z);
	if (ret == -EAGAIN && !may_block)
		return ret;
	finish(reply, req, ret, applied);
	return 0;
}

bool request_waits_for_store(struct helper *h, const struct nexus_request *req)
{
	struct zone *z;
	bool waits;

	if (req->op == NEXUS_OP_ENSURE || req->op == NEXUS_OP_ORIGIN)
		return true;
	if (req->op == NEXUS_OP_OPEN_ZONE)
		return req->arg0 & NEXUS_OPEN_BUCKET;
	z = helper_zone(h, req->zone);
	waits = z && z->bucket && req->op != NEXUS_OP_OPEN_PACK;
	zone_put(z);
	return waits;
}
