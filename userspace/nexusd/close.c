// SPDX-License-Identifier: Apache-2.0
/* The end of a zone, as far as the helper goes. */
#include "zone.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bucket/bucket.h"
#include "evictor.h"
#include "fetch.h"
#include "gc.h"
#include "scrub.h"
#include "upload.h"

#define FOLD_TRIES	3
#define STOP_WAIT_MS	3000u	/* for the log to become durable */

void zone_stop(struct zone *z)
{
	atomic_store(&z->stopping, true);
	bucket_stop(z->bucket);
	zone_fetch_stop(z);
	zone_gc_stop(z);
	zone_upload_stop(z);
	origin_stop(z);
	zone_scrub_stop(z);
	zone_make_stop(z);
	zone_apply_stop(z);
	zone_fold_stop(z);
	/* Last of those that the others wake. */
	zone_space_stop(z);
	zone_evictor_stop(z);
	applier_stop(&z->applier);
}

/* All that is durable into the index; the rest stays in the log. */
static int fold_all(struct zone *z, unsigned int wait_ms, bool clean)
{
	int i, ret = 0;

	/* A frozen generation may be there already, so up to two commits. */
	for (i = 0; i < FOLD_TRIES; i++) {
		ret = zone_fold(z, wait_ms, clean);
		if (ret || atomic_load(&z->checkpoint) == memtable_applied(&z->mt))
			break;
	}
	return ret;
}

void zone_finish(struct zone *z)
{
	u64 tail = __atomic_load_n(&z->ring.ctl->tail, __ATOMIC_ACQUIRE);
	bool whole;
	int ret;

	zone_stop(z);
	if (z->bucket) {
		bucket_finish(z);
		return;
	}
	do {
		ret = applier_run(&z->applier, 0);
		if (ret == -ENOBUFS)
			ret = fold_all(z, 0, false) ? -EIO : -ENOBUFS;
	} while (ret == -ENOBUFS);
	whole = !ret && z->applier.pos == tail && zone_durable(z) >= tail &&
		!zone_error(z, NULL) && !(zone_flags(z) & NEXUS_LF_READONLY) &&
		applier_log_from(&z->applier, tail) == tail;
	ret = fold_all(z, 0, whole);
	if (ret && ret != -EAGAIN)
		log_error("zone %s: the index was not written: %s; the next mount applies the log again",
			  z->name, strerror(-ret));
	zone_report(z);
	origin_end(z, !ret && whole);
	if (!z->rdonly)
		log_info("zone %s is unmounted%s: LSN %llu", z->name,
			 !ret && whole ? " and clean" : "", atomic_load(&z->checkpoint));
}

void zone_leave(struct zone *z)
{
	int ret = -EAGAIN;

	if (z->bucket) {
		zone_stop(z);
		return;
	}
	/* As far as it comes: whoever is next goes on from there. */
	applier_run(&z->applier, 0);
	zone_stop(z);
	if (!atomic_load(&z->dropped))
		ret = fold_all(z, STOP_WAIT_MS, false);
	if (ret && ret != -EAGAIN)
		log_error("zone %s: the index was not written: %s", z->name, strerror(-ret));
	zone_report(z);
	log_info("zone %s: left at LSN %llu, index up to %llu", z->name,
		 memtable_applied(&z->mt), atomic_load(&z->checkpoint));
}
