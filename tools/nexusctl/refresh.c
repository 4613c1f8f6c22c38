// SPDX-License-Identifier: Apache-2.0
/* nexusctl refresh: what a directory of a mounted bucket has now. */
#include <inttypes.h>

#include <nexus/bucket.h>

#include "nexusctl.h"

static void print_json(const char *path, const struct nexus_refresh *r)
{
	struct json json = { .out = stdout };

	json_open(&json, NULL, '{');
	json_string(&json, "path", path);
	json_number(&json, "entries", r->entries);
	json_number(&json, "added", r->added);
	json_number(&json, "changed", r->changed);
	json_number(&json, "removed", r->removed);
	json_number(&json, "hidden", r->hidden);
	json_number(&json, "hidden_all", r->hidden_all);
	json_close(&json, '}');
}

static void print_text(const char *path, const struct nexus_refresh *r)
{
	printf("%s: %" PRIu64 " entries, added %" PRIu64 ", changed %" PRIu64 ", removed %" PRIu64,
	       path, r->entries, r->added, r->changed, r->removed);
	if (r->hidden)
		printf("; %" PRIu64 " keys cannot be shown", r->hidden);
	printf("\n");
}

int cmd_refresh(struct ctl *ctl)
{
	struct nexus_refresh r;
	int i;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	for (i = 0; i < ctl->n_args; i++) {
		if (nexus_bucket_refresh(ctl->client, ctl->args[i], &r))
			return ctl_failed(ctl);
		if (ctl->json)
			print_json(ctl->args[i], &r);
		else
			print_text(ctl->args[i], &r);
	}
	return EXIT_OK;
}
