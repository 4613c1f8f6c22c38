// SPDX-License-Identifier: Apache-2.0
/* The control operations: what a content store has too much, and too little. */
#include "gc.h"

#include <errno.h>
#include <stdio.h>

#include "core_impl.h"

#define LOOK_MS		1000u	/* of one call; who waits for longer calls again */

/* The same numbers on both sides. */
_Static_assert((int)GC_LEAKED == CONTROL_GC_LEAKED && (int)GC_MISSING == CONTROL_GC_MISSING &&
	       (int)GC_FOREIGN == CONTROL_GC_FOREIGN && (int)GC_WHATS == CONTROL_GC_WHATS, "gc");

struct visit {
	control_gc_fn fn;
	void *arg;
};

static int visit(void *arg, enum gc_what what, const char *name, u64 bytes)
{
	const struct control_gc_object o = { (enum control_gc_what)what, name, bytes };
	struct visit *v = arg;

	return v->fn(v->arg, &o);
}

static struct control_gc_sum sum(struct gc_sum from)
{
	return (struct control_gc_sum){ from.n, from.bytes };
}

static void give(struct control_gc *gc, const struct gc_report *r)
{
	int what;

	gc->run = r->run;
	gc->over = r->over;
	gc->error = r->error;
	snprintf(gc->why, sizeof(gc->why), "%s", r->why);
	gc->begun = r->begun;
	gc->ended = r->ended;
	gc->listed = sum(r->listed);
	gc->young = sum(r->young);
	gc->deleted = sum(r->deleted);
	for (what = 0; what < GC_WHATS; what++)
		gc->sum[what] = sum(r->sum[what]);
	gc->failed = r->failed;
	snprintf(gc->failed_why, sizeof(gc->failed_why), "%s", r->failed_why);
}

static int look(struct zone *z, const char *zone, struct control_gc *gc, control_gc_fn fn,
		void *arg, struct control_err *err)
{
	struct visit v = { fn, arg };
	struct gc_report r;
	int ret = zone_gc_look(z, gc->job, LOOK_MS, &r, visit, &v);

	if (ret == -ESRCH)
		return control_err(err, ret, "zone %s: there is no job %llu any more", zone,
				   (unsigned long long)gc->job);
	if (!ret)
		give(gc, &r);
	return ret;
}

int core_gc(void *ctx, const char *zone, struct control_gc *gc, control_gc_fn fn, void *arg,
	    struct control_err *err)
{
	struct errline line = { "" };
	struct zone *z;
	u64 job = 0;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	if (!gc->start) {
		ret = look(z, zone, gc, fn, arg, err);
	} else {
		ret = zone_gc_start(z, gc->run, &job, &line);
		gc->job = job;
		if (ret && line.msg[0])
			control_err(err, ret, "%s", line.msg);
	}
	zone_put(z);
	return ret;
}
