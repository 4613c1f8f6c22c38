// SPDX-License-Identifier: Apache-2.0
/* nexusctl zone restore. */
#include <inttypes.h>
#include <time.h>

#include "nexusctl.h"
#include "offline.h"

static void print_text(const char *zone, const struct offline_restored *done)
{
	char when[32] = "?";
	time_t at = (time_t)done->time_s;
	struct tm tm;

	if (localtime_r(&at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("zone %s restored up to LSN %" PRIu64 ": checkpoint of %s, and %" PRIu64
	       " bytes of log; %" PRIu64 " packs; epoch %" PRIu64 "\n",
	       zone, done->end, when, done->end - done->checkpoint, done->packs, done->epoch);
}

int cmd_zone_restore(struct ctl *ctl)
{
	struct offline o = {
		.zone = ctl->args[1],
		.data_dir = ctl->data_dir,
		.config = ctl->config,
	};
	struct json json = { .out = stdout };
	struct offline_restored done;

	if (offline_restore(&o, ctl->args[0], ctl->take_over, ctl->unfenced, &done)) {
		fprintf(stderr, "nexusctl: %s\n", o.error);
		return EXIT_FAILED;
	}
	if (done.note[0])
		fprintf(stderr, "nexusctl: left out: %s\n", done.note);
	if (!ctl->json) {
		print_text(o.zone, &done);
		return EXIT_OK;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "zone", o.zone);
	json_number(&json, "epoch", done.epoch);
	json_number(&json, "checkpoint", done.checkpoint);
	json_number(&json, "end", done.end);
	json_number(&json, "time", done.time_s);
	json_number(&json, "packs", done.packs);
	json_string(&json, "left_out", done.note);
	json_close(&json, '}');
	return EXIT_OK;
}
