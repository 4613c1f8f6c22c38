// SPDX-License-Identifier: Apache-2.0
/* nexusctl dump, load. */
#include <inttypes.h>
#include <string.h>

#include "nexusctl.h"
#include "offline.h"

/* The file of the command line; NULL for none, and for "-". */
static const char *file_arg(const struct ctl *ctl)
{
	if (ctl->n_args < 2 || !strcmp(ctl->args[1], "-"))
		return NULL;
	return ctl->args[1];
}

static struct offline zone_of(const struct ctl *ctl)
{
	return (struct offline){
		.zone = ctl->args[0],
		.data_dir = ctl->data_dir,
		.config = ctl->config,
		.wait = ctl->wait,
	};
}

static int print_done(const struct ctl *ctl, const char *zone, const char *verb,
		      uint64_t keys)
{
	struct json json = { .out = stdout };

	if (!ctl->json) {
		printf("zone %s %s: %" PRIu64 " keys\n", zone, verb, keys);
		return EXIT_OK;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "zone", zone);
	json_number(&json, "keys", keys);
	json_close(&json, '}');
	return EXIT_OK;
}

static int print_error(const struct offline *o)
{
	fprintf(stderr, "nexusctl: %s\n", o->error);
	return EXIT_FAILED;
}

int cmd_dump(struct ctl *ctl)
{
	struct offline o = zone_of(ctl);
	const char *file = file_arg(ctl);
	uint64_t keys = 0;

	if (offline_dump(&o, file, &keys))
		return print_error(&o);
	/* Standard output is the dump's, if it goes there. */
	return file ? print_done(ctl, o.zone, "dumped", keys) : EXIT_OK;
}

int cmd_load(struct ctl *ctl)
{
	struct offline o = zone_of(ctl);
	uint64_t keys = 0;

	if (offline_load(&o, file_arg(ctl), &keys))
		return print_error(&o);
	return print_done(ctl, o.zone, "loaded", keys);
}
