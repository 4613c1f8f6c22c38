// SPDX-License-Identifier: Apache-2.0
/* The control operations: content of zones that goes elsewhere. */
#include "upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core_impl.h"
#include "evictor.h"

#define FLUSH_MS	1000u	/* of one call; who waits for longer calls again */

static void give(struct control_uploads *out, const struct upload_status *st,
		 const struct evictor_status *ev)
{
	*out = (struct control_uploads){
		.packs = st->packs, .bytes = st->bytes, .oldest = st->oldest,
		.deletes = st->deletes, .busy = st->busy,
		.put_packs = st->put_packs, .put_bytes = st->put_bytes,
		.error_at = st->error_at,
		.requests = st->driver.requests, .retries = st->driver.retries,
		.sent = st->driver.sent, .received = st->driver.received,
		.memory = st->driver.memory, .memory_peak = st->driver.memory_peak,
		.here = ev->here, .cache_limit = ev->limit, .cache_full = ev->full,
	};
	snprintf(out->cache_error, sizeof(out->cache_error), "%s", ev->error);
	snprintf(out->error, sizeof(out->error), "%s", st->error);
	snprintf(out->circuit, sizeof(out->circuit), "%s", st->driver.circuit);
	/* What was wrong once is of no use when it works. */
	snprintf(out->store_error, sizeof(out->store_error), "%s",
		 st->error[0] ? st->driver.error : "");
}

int core_uploads(void *ctx, const char *zone, bool flush, struct control_uploads *out,
		 struct control_err *err)
{
	struct evictor_status ev;
	struct upload_status st;
	struct zone *z;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	ret = flush ? zone_upload_flush(z, FLUSH_MS, &st) : zone_upload_status(z, &st);
	if (ret == -EOPNOTSUPP)
		control_err(err, ret, z->rdonly ? "zone %s is mounted read-only" :
			    "zone %s has nothing that would hold its content", zone);
	if (ret == -EROFS)
		control_err(err, ret, "zone %s was taken over by another machine: nothing of it goes to the store any more; the helper's log names it", zone);
	if (!ret) {
		zone_evictor_status(z, &ev);
		give(out, &st, &ev);
	}
	zone_put(z);
	return ret;
}
