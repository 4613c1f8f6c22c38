// SPDX-License-Identifier: Apache-2.0
/* nexusctl stats: the counters as text, JSON, or Prometheus exposition. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nexusctl.h"

static const char *type_name(enum nexus_stat_type type)
{
	switch (type) {
	case NEXUS_STAT_COUNTER:
		return "counter";
	case NEXUS_STAT_GAUGE:
		return "gauge";
	default:
		return "untyped";
	}
}

/* Text of a label value or a help line, escaped as the exposition wants it. */
static void put_escaped(const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\\\", stdout);
		else if (*text == '\n')
			fputs("\\n", stdout);
		else if (*text == '"' && quotes)
			fputs("\\\"", stdout);
		else
			putchar(*text);
	}
}

static void put_sample(const struct nexus_stat *stat)
{
	size_t i;

	fputs(stat->name, stdout);
	for (i = 0; i < stat->n_labels; i++) {
		printf("%c%s=\"", i ? ',' : '{', stat->labels[i].key);
		put_escaped(stat->labels[i].value, true);
		putchar('"');
	}
	if (stat->n_labels)
		putchar('}');
	printf(" %" PRIu64 "\n", stat->value);
}

static int print_text(void *arg, const struct nexus_stat *stat)
{
	(void)arg;
	put_sample(stat);
	return 0;
}

/* @arg: the name whose head has been printed. */
static int print_prometheus(void *arg, const struct nexus_stat *stat)
{
	char **last = arg;

	if (!*last || strcmp(*last, stat->name)) {
		free(*last);
		*last = strdup(stat->name);
		printf("# HELP %s ", stat->name);
		put_escaped(stat->help, false);
		printf("\n# TYPE %s %s\n", stat->name, type_name(stat->type));
	}
	put_sample(stat);
	return 0;
}

static int print_json(void *arg, const struct nexus_stat *stat)
{
	struct json *json = arg;
	size_t i;

	if (!json->depth)
		json_open(json, NULL, '[');
	json_open(json, NULL, '{');
	json_string(json, "name", stat->name);
	json_string(json, "type", type_name(stat->type));
	json_string(json, "help", stat->help);
	json_open(json, "labels", '{');
	for (i = 0; i < stat->n_labels; i++)
		json_string(json, stat->labels[i].key, stat->labels[i].value);
	json_close(json, '}');
	json_number(json, "value", stat->value);
	json_close(json, '}');
	return 0;
}

int cmd_stats(struct ctl *ctl)
{
	struct json json = { .out = stdout };
	char *last = NULL;
	int err;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (ctl->json) {
		err = nexus_stats(ctl->client, print_json, &json);
		if (!err && !json.depth)
			json_open(&json, NULL, '[');
		if (!err)
			json_close(&json, ']');
	} else if (ctl->prometheus) {
		err = nexus_stats(ctl->client, print_prometheus, &last);
		free(last);
	} else {
		err = nexus_stats(ctl->client, print_text, NULL);
	}
	return err ? ctl_failed(ctl) : EXIT_OK;
}
