// SPDX-License-Identifier: Apache-2.0
/* nexusctl scrub: the regular check of mounted zones. */
#include <inttypes.h>

#include "nexusctl.h"

static void run_json(struct json *json, const char *key, const struct nexus_scrub_run *run)
{
	json_open(json, key, '{');
	json_number(json, "begun", run->begun);
	json_number(json, "ended", run->ended);
	json_number(json, "blocks", run->blocks);
	json_number(json, "unchecked", run->unchecked);
	json_number(json, "problems", run->problems);
	json_close(json, '}');
}

static void print_run(const char *name, const struct nexus_scrub_run *run)
{
	char begun[32], ended[32];

	local_time(begun, run->begun);
	local_time(ended, run->ended);
	printf("%s: begun %s", name, begun);
	if (run->ended)
		printf(", ended %s", ended);
	printf(", %" PRIu64 " blocks read, %" PRIu64 " without a checksum, %" PRIu64
	       " problems\n", run->blocks, run->unchecked, run->problems);
}

static int print(const struct ctl *ctl, const struct nexus_scrub *s)
{
	struct json json = { .out = stdout };
	char due[32];

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "zone", ctl->args[0]);
		json_bool(&json, "running", s->running);
		run_json(&json, "run", &s->run);
		run_json(&json, "last", &s->last);
		json_number(&json, "due", s->due);
		json_close(&json, '}');
	} else {
		local_time(due, s->due);
		if (s->running)
			print_run("running", &s->run);
		else if (s->run.begun && s->run.begun != s->last.begun)
			print_run("stopped", &s->run);
		if (s->last.begun)
			print_run("last", &s->last);
		printf("next: %s\n", due);
	}
	return s->last.problems || s->run.problems ? EXIT_WRONG : EXIT_OK;
}

static int scrub(struct ctl *ctl,
		 int (*fn)(struct nexus_client *client, const char *zone,
			   struct nexus_scrub *status))
{
	struct nexus_scrub s;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (fn(ctl->client, ctl->args[0], &s))
		return ctl_failed(ctl);
	return print(ctl, &s);
}

int cmd_scrub_status(struct ctl *ctl)
{
	return scrub(ctl, nexus_scrub_status);
}

int cmd_scrub_start(struct ctl *ctl)
{
	int ret = scrub(ctl, nexus_scrub_start);

	/* What an earlier run found is no failure of this one to begin. */
	return ret == EXIT_WRONG ? EXIT_OK : ret;
}

int cmd_scrub_stop(struct ctl *ctl)
{
	int ret = scrub(ctl, nexus_scrub_stop);

	return ret == EXIT_WRONG ? EXIT_OK : ret;
}
