// SPDX-License-Identifier: Apache-2.0
/* The control operations: the regular check of zones that are served. */
#include "scrub.h"

#include <errno.h>
#include <string.h>

#include "core_impl.h"
#include "helper.h"
#include "zone.h"

static struct control_scrub_run give(const struct scrub_run *r)
{
	return (struct control_scrub_run){
		.begun = r->begun, .ended = r->ended, .blocks = r->blocks,
		.unchecked = r->unchecked, .problems = r->problems,
	};
}

int core_scrub(void *ctx, const char *zone, enum control_scrub_do what,
	       struct control_scrub *out, struct control_err *err)
{
	struct scrub_status st;
	struct zone *z;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	if (what == CONTROL_SCRUB_START)
		ret = scrub_begin(z);
	else if (what == CONTROL_SCRUB_STOP)
		ret = scrub_end(z);
	if (ret == -EALREADY)
		control_err(err, ret, what == CONTROL_SCRUB_START ?
			    "zone %s is being scrubbed already" : "zone %s is not being scrubbed",
			    zone);
	if (!ret)
		ret = scrub_look(z, &st);
	if (ret == -EROFS)
		control_err(err, ret, "zone %s is mounted read-only; nexusctl pack verify can check it",
			    zone);
	if (!ret)
		*out = (struct control_scrub){
			.running = st.running, .run = give(&st.run), .last = give(&st.last),
			.due = st.due,
		};
	zone_put(z);
	return ret;
}
