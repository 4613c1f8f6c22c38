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

/* The address, and behind it the settings: as the setting content.  An exit status. */
static int make_spec(const struct ctl *ctl, char *spec, size_t room)
{
	int len = snprintf(spec, room, "%s", ctl->args[0]);
	size_t i;

	for (i = 0; len >= 0 && (size_t)len < room && i < ctl->n_options; i++)
		len += snprintf(spec + len, room - (size_t)len, ";%s=%s", ctl->options[i].key,
				ctl->options[i].value);
	if (len >= 0 && (size_t)len < room)
		return EXIT_OK;
	fprintf(stderr, "nexusctl: the store's address and settings are too long\n");
	return EXIT_USAGE;
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
	char spec[1024];

	if (ctl->store) {
		fprintf(stderr, "nexusctl: zone restore: the store is the first argument, not --store\n");
		return EXIT_USAGE;
	}
	if (make_spec(ctl, spec, sizeof(spec)))
		return EXIT_USAGE;
	if (offline_restore(&o, spec, ctl->take_over, ctl->unfenced, &done)) {
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
