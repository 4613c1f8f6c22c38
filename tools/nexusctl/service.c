// SPDX-License-Identifier: Apache-2.0
/* nexusctl service: what is loaded into the helper. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nexusctl.h"

static const char *state_name(enum nexus_service_state state)
{
	switch (state) {
	case NEXUS_SERVICE_ACTIVE:
		return "active";
	case NEXUS_SERVICE_STOPPING:
		return "stopping";
	case NEXUS_SERVICE_QUARANTINED:
		return "quarantined";
	}
	return "unknown";
}

/* ---- changes ------------------------------------------------------------------- */

/* The helper has deadlines for all of it. */
static int connect_patiently(struct ctl *ctl)
{
	nexus_set_timeout(ctl->client, 0);
	return ctl_connect(ctl);
}

/* What was done, to a list of names: a line each, or an array. */
static void print_done(const struct ctl *ctl, const char *what, char **names, int n)
{
	struct json json = { .out = stdout };
	int i;

	if (!ctl->json) {
		for (i = 0; i < n; i++)
			printf("service %s %s\n", names[i], what);
		return;
	}
	json_open(&json, NULL, '{');
	json_open(&json, what, '[');
	for (i = 0; i < n; i++)
		json_string(&json, NULL, names[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}

int cmd_service_load(struct ctl *ctl)
{
	if (connect_patiently(ctl))
		return EXIT_FAILED;
	if (nexus_service_load(ctl->client, (const char *const *)ctl->args, (size_t)ctl->n_args))
		return ctl_failed(ctl);
	print_done(ctl, "loaded", ctl->args, ctl->n_args);
	return EXIT_OK;
}

int cmd_service_unload(struct ctl *ctl)
{
	int i, ret = EXIT_OK;

	if (connect_patiently(ctl))
		return EXIT_FAILED;
	for (i = 0; i < ctl->n_args && ret == EXIT_OK; i++)
		if (nexus_service_unload(ctl->client, ctl->args[i]))
			ret = ctl_failed(ctl);
	/* Those before the one that failed are gone. */
	print_done(ctl, "unloaded", ctl->args, ret == EXIT_OK ? i : i - 1);
	return ret;
}

int cmd_service_swap(struct ctl *ctl)
{
	if (connect_patiently(ctl))
		return EXIT_FAILED;
	if (nexus_service_swap(ctl->client, ctl->args[0]))
		return ctl_failed(ctl);
	print_done(ctl, "swapped", ctl->args, 1);
	return EXIT_OK;
}

/* ---- list and info -------------------------------------------------------------- */

static void protocols_json(struct json *json, const char *key, const char *version,
			   const struct nexus_service_protocol *p, size_t n)
{
	size_t i;

	json_open(json, key, '[');
	for (i = 0; i < n; i++) {
		json_open(json, NULL, '{');
		json_string(json, "protocol", p[i].name);
		json_number(json, version, p[i].version);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static int service_json(void *arg, const struct nexus_service_status *s)
{
	struct json *json = arg;
	size_t i;

	/* Nothing is printed before it is known that there is something. */
	if (!json->depth)
		json_open(json, NULL, '[');
	json_open(json, NULL, '{');
	json_string(json, "name", s->name);
	json_string(json, "version", s->version);
	json_string(json, "state", state_name(s->state));
	json_string(json, "reason", s->reason[0] ? s->reason : NULL);
	json_bool(json, "mapped", s->mapped);
	protocols_json(json, "provides", "version", s->provides, s->n_provides);
	protocols_json(json, "needs", "min_version", s->needs, s->n_needs);
	json_open(json, "holders", '[');
	for (i = 0; i < s->n_holders; i++)
		json_string(json, NULL, s->holders[i]);
	json_close(json, ']');
	json_number(json, "calls_running", s->calls_running);
	json_number(json, "calls", s->calls);
	json_number(json, "overruns", s->overruns);
	json_number(json, "loaded", s->loaded);
	json_number(json, "uid", s->uid);
	json_close(json, '}');
	return 0;
}

static int list_json(struct ctl *ctl, const char *name)
{
	struct json json = { .out = stdout };
	int ret;

	ret = name ? nexus_service_info(ctl->client, name, service_json, &json) :
		nexus_service_list(ctl->client, service_json, &json);
	if (ret)
		return ctl_failed(ctl);
	if (!json.depth)
		json_open(&json, NULL, '[');
	json_close(&json, ']');
	return EXIT_OK;
}

static int print_line(void *arg, const struct nexus_service_status *s)
{
	bool *head = arg;

	if (!*head)
		printf("%-20s %-12s %-12s %10s %10s %6s\n", "NAME", "VERSION", "STATE", "CALLS",
		       "OVERRUNS", "REFS");
	*head = true;
	printf("%-20s %-12s %-12s %10" PRIu64 " %10" PRIu64 " %6zu\n", s->name, s->version,
	       state_name(s->state), s->calls, s->overruns, s->n_holders);
	return 0;
}

static int print_all(void *arg, const struct nexus_service_status *s)
{
	bool *more = arg;
	char when[32];
	size_t i;

	local_time(when, s->loaded);
	printf("%sname:      %s\nversion:   %s\nstate:     %s\n", *more ? "\n" : "", s->name,
	       s->version, state_name(s->state));
	*more = true;
	if (s->reason[0])
		printf("reason:    %s\n", s->reason);
	if (!s->mapped)
		printf("object:    not in memory any more\n");
	for (i = 0; i < s->n_provides; i++)
		printf("provides:  %s, version %u\n", s->provides[i].name, s->provides[i].version);
	for (i = 0; i < s->n_needs; i++)
		printf("needs:     %s, version %u at least\n", s->needs[i].name,
		       s->needs[i].version);
	for (i = 0; i < s->n_holders; i++)
		printf("held by:   %s\n", s->holders[i]);
	printf("calls:     %" PRIu64 ", %" PRIu64 " running, %" PRIu64 " overran\n", s->calls,
	       s->calls_running, s->overruns);
	printf("loaded:    %s, by uid %u\n", when, s->uid);
	return 0;
}

int cmd_service_list(struct ctl *ctl)
{
	bool head = false;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (ctl->json)
		return list_json(ctl, NULL);
	if (nexus_service_list(ctl->client, print_line, &head))
		return ctl_failed(ctl);
	if (!head)
		fputs("no services\n", stderr);
	return EXIT_OK;
}

int cmd_service_info(struct ctl *ctl)
{
	bool more = false;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (ctl->json)
		return list_json(ctl, ctl->args[0]);
	if (nexus_service_info(ctl->client, ctl->args[0], print_all, &more))
		return ctl_failed(ctl);
	return EXIT_OK;
}

/* ---- graph ------------------------------------------------------------------------ */

#define EDGES_MAX	(64 * 16)

/* What the list tells, kept until all of it is there. */
struct graph {
	struct edge {
		char *service, *protocol;
		uint32_t version;
		bool provides;
	} edge[2 * EDGES_MAX];
	size_t n;
	char *name[128];
	size_t names;
};

static int keep_edges(struct graph *g, const struct nexus_service_status *s,
		      const struct nexus_service_protocol *p, size_t n, bool provides)
{
	struct edge *e;
	size_t i;

	for (i = 0; i < n && g->n < sizeof(g->edge) / sizeof(g->edge[0]); i++) {
		e = &g->edge[g->n];
		e->service = strdup(s->name);
		e->protocol = strdup(p[i].name);
		e->version = p[i].version;
		e->provides = provides;
		g->n++;
		if (!e->service || !e->protocol)
			return -ENOMEM;
	}
	return 0;
}

static int keep(void *arg, const struct nexus_service_status *s)
{
	struct graph *g = arg;
	int ret;

	if (g->names < sizeof(g->name) / sizeof(g->name[0])) {
		g->name[g->names] = strdup(s->name);
		if (!g->name[g->names++])
			return -ENOMEM;
	}
	ret = keep_edges(g, s, s->provides, s->n_provides, true);
	return ret ? ret : keep_edges(g, s, s->needs, s->n_needs, false);
}

/* NULL: nobody any more. */
static const char *provider(const struct graph *g, const char *protocol)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->edge[i].provides && !strcmp(g->edge[i].protocol, protocol))
			return g->edge[i].service;
	return NULL;
}

static void graph_json(const struct graph *g)
{
	struct json json = { .out = stdout };
	size_t i;

	json_open(&json, NULL, '{');
	json_open(&json, "services", '[');
	for (i = 0; i < g->names; i++)
		json_string(&json, NULL, g->name[i]);
	json_close(&json, ']');
	json_open(&json, "edges", '[');
	for (i = 0; i < g->n; i++) {
		if (g->edge[i].provides)
			continue;
		json_open(&json, NULL, '{');
		json_string(&json, "from", g->edge[i].service);
		json_string(&json, "to", provider(g, g->edge[i].protocol));
		json_string(&json, "protocol", g->edge[i].protocol);
		json_number(&json, "min_version", g->edge[i].version);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

/* In start order: a service, and beneath it what it needs from whom. */
static void graph_text(const struct graph *g)
{
	const char *from;
	size_t i, k;

	if (!g->names)
		fputs("no services\n", stderr);
	for (i = 0; i < g->names; i++) {
		puts(g->name[i]);
		for (k = 0; k < g->n; k++) {
			if (g->edge[k].provides || strcmp(g->edge[k].service, g->name[i]))
				continue;
			from = provider(g, g->edge[k].protocol);
			printf("  -> %s (%s, version %u at least)\n", from ? from : "nobody",
			       g->edge[k].protocol, g->edge[k].version);
		}
	}
}

int cmd_service_graph(struct ctl *ctl)
{
	struct graph *g;
	size_t i;
	int ret;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	g = calloc(1, sizeof(*g));
	if (!g) {
		fputs("nexusctl: out of memory\n", stderr);
		return EXIT_FAILED;
	}
	ret = nexus_service_list(ctl->client, keep, g);
	if (ret == -ENOMEM)
		fputs("nexusctl: out of memory\n", stderr);
	else if (ret)
		ctl_failed(ctl);
	else if (ctl->json)
		graph_json(g);
	else
		graph_text(g);
	for (i = 0; i < g->n; i++) {
		free(g->edge[i].service);
		free(g->edge[i].protocol);
	}
	for (i = 0; i < g->names; i++)
		free(g->name[i]);
	free(g);
	return ret ? EXIT_FAILED : EXIT_OK;
}
