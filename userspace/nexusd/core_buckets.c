// SPDX-License-Identifier: Apache-2.0
/* The control operations: buckets that are mounted. */
#include <errno.h>
#include <string.h>

#include "bucket/bucket.h"
#include "core_impl.h"
#include "genl.h"
#include "helper.h"
#include "zone.h"

int core_refresh(void *ctx, const char *zone, struct control_refresh *r, struct control_err *err)
{
	struct helper *h = ctx;
	struct zone *z = helper_zone_by_name(h, zone);
	struct bucket_counts counts = { 0 };
	struct errline line = { "" };
	char buf[128];
	int ret;

	if (!z || !z->bucket) {
		zone_put(z);
		return control_err(err, -ENXIO, "no bucket is mounted as %s", zone);
	}
	/* What others are asking for now is of before. */
	bucket_forget(z->bucket);
	ret = bucket_list(z->bucket, r->inode, &counts, &line);
	if (!ret)
		ret = genl_invalidate(h->cfg.session, zone);
	if (ret)
		control_err(err, ret, "%s: %s", z->bucket->source,
			    err_text(&line, ret, buf, sizeof(buf)));
	r->entries = counts.entries;
	r->added = counts.m.added;
	r->changed = counts.m.changed;
	r->removed = counts.m.removed;
	r->hidden = counts.hidden;
	pthread_mutex_lock(&z->bucket->lock);
	r->hidden_all = z->bucket->hidden;
	pthread_mutex_unlock(&z->bucket->lock);
	zone_put(z);
	return ret;
}
