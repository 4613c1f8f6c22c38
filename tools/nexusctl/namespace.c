// SPDX-License-Identifier: Apache-2.0
/* nexusctl namespace: what a subject may see at all. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nexus-proto.h"
#include "call.h"

#define M(name)	Nexus__Namespace__V1__##name

static const struct call_target target = { "nexus.namespace.v1.Namespace", "namespace" };

static char nothing[] = "";

/* Whose view; nobody's in particular: one's own. */
static char *subject(const struct ctl *ctl)
{
	return ctl->owner ? (char *)ctl->owner : nothing;
}

static const char *why_name(M(Why) why)
{
	static const char *const names[] = {
		"no grant", "grant", "way", "root", "sys", "admin", "admin only", "other zone",
		"unknown",
	};

	return (size_t)why < sizeof(names) / sizeof(names[0]) ? names[why] : "?";
}

/* ZONE:/PATH becomes its two parts. */
static bool read_path(char *text, M(VisibleRequest) *req)
{
	char *colon = strchr(text, ':');

	if (!colon || colon == text || colon[1] != '/')
		return false;
	*colon = '\0';
	req->zone = text;
	req->path = colon + 1;
	return true;
}

/* ---- what all answers have ------------------------------------------------------------ */

static void basis_json(struct json *json, const M(Basis) *b)
{
	size_t i;

	json_number(json, "generation", b->generation);
	json_open(json, "unknown", '[');
	for (i = 0; i < b->n_unknown; i++)
		json_string(json, NULL, b->unknown[i]);
	json_close(json, ']');
	json_string(json, "token", b->token);
}

static void basis_text(const M(Basis) *b)
{
	size_t i;

	for (i = 0; i < b->n_unknown; i++)
		fprintf(stderr, "%s%s%s", i ? ", " : "not all is known: ", b->unknown[i],
			i + 1 == b->n_unknown ? "\n" : "");
}

static void answer_json(struct json *json, const M(Answer) *a)
{
	json_bool(json, "visible", a->visible);
	json_string(json, "why", why_name(a->why));
	json_string(json, "entry", a->entry[0] ? a->entry : NULL);
	json_bool(json, "readonly", a->readonly);
}

/* A path that can be none is an error, not a no. */
static bool no_path(const M(Answer) *a, const char *path)
{
	if (a->visible || !a->error || a->error == ENOENT)
		return false;
	fprintf(stderr, "nexusctl: %s: no path of a zone\n", path);
	return true;
}

/* ---- one path ------------------------------------------------------------------------- */

#define PATH	"ZONE:/PATH is wanted"

static int print_answer(const struct ctl *ctl, const M(Answer) *a, const M(Basis) *b, char **lines,
			size_t n, const char *path)
{
	struct json json = { .out = stdout };
	size_t i;

	if (no_path(a, path))
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		answer_json(&json, a);
		basis_json(&json, b);
		if (n) {
			json_open(&json, "steps", '[');
			for (i = 0; i < n; i++)
				json_string(&json, NULL, lines[i]);
			json_close(&json, ']');
		}
		json_close(&json, '}');
	} else {
		for (i = 0; i < n; i++)
			puts(lines[i]);
		if (!n)
			printf("%s (%s%s%s)\n", a->visible ? "yes" : "no", why_name(a->why),
			       a->entry[0] ? " " : "", a->entry);
		basis_text(b);
	}
	return a->visible ? EXIT_OK : EXIT_WRONG;
}

int cmd_namespace_check(struct ctl *ctl)
{
	M(VisibleRequest) req = NEXUS__NAMESPACE__V1__VISIBLE_REQUEST__INIT;
	M(VisibleResponse) *resp;
	int ret = EXIT_FAILED;

	if (!read_path(ctl->args[0], &req))
		return wrong(PATH, ctl->args[0]);
	req.subject = subject(ctl);
	resp = call(ctl, &target, "Visible", &req.base,
		    &nexus__namespace__v1__visible_response__descriptor);
	if (resp && resp->answer && resp->basis)
		ret = print_answer(ctl, resp->answer, resp->basis, NULL, 0, req.path);
	release(resp);
	return ret;
}

int cmd_namespace_explain(struct ctl *ctl)
{
	M(VisibleRequest) req = NEXUS__NAMESPACE__V1__VISIBLE_REQUEST__INIT;
	M(ExplainResponse) *resp;
	int ret = EXIT_FAILED;

	if (!read_path(ctl->args[0], &req))
		return wrong(PATH, ctl->args[0]);
	req.subject = subject(ctl);
	resp = call(ctl, &target, "Explain", &req.base,
		    &nexus__namespace__v1__explain_response__descriptor);
	if (resp && resp->answer && resp->basis)
		ret = print_answer(ctl, resp->answer, resp->basis, resp->lines, resp->n_lines,
				   req.path);
	release(resp);
	return ret;
}

/* ---- many paths ----------------------------------------------------------------------- */

static int print_filter(const struct ctl *ctl, const M(FilterRequest) *req,
			const M(FilterResponse) *resp)
{
	struct json json = { .out = stdout };
	int ret = EXIT_OK;
	size_t i;

	for (i = 0; i < resp->n_answers && i < req->n_paths; i++)
		if (no_path(resp->answers[i], req->paths[i]))
			ret = EXIT_FAILED;
		else if (!ctl->json && resp->answers[i]->visible)
			puts(req->paths[i]);
	if (!ctl->json) {
		basis_text(resp->basis);
		return ret;
	}
	json_open(&json, NULL, '{');
	json_open(&json, "paths", '[');
	for (i = 0; i < resp->n_answers && i < req->n_paths; i++) {
		json_open(&json, NULL, '{');
		json_string(&json, "path", req->paths[i]);
		answer_json(&json, resp->answers[i]);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	basis_json(&json, resp->basis);
	json_close(&json, '}');
	return ret;
}

int cmd_namespace_filter(struct ctl *ctl)
{
	M(FilterRequest) req = NEXUS__NAMESPACE__V1__FILTER_REQUEST__INIT;
	M(FilterResponse) *resp;
	int ret = EXIT_FAILED;

	req.subject = subject(ctl);
	req.zone = ctl->args[0];
	req.paths = ctl->args + 1;
	req.n_paths = (size_t)ctl->n_args - 1;
	resp = call(ctl, &target, "Filter", &req.base,
		    &nexus__namespace__v1__filter_response__descriptor);
	if (resp && resp->basis)
		ret = print_filter(ctl, &req, resp);
	release(resp);
	return ret;
}

/* ---- entries -------------------------------------------------------------------------- */

static void print_list(const struct ctl *ctl, const M(ListResponse) *resp)
{
	struct json json = { .out = stdout };
	size_t i;

	if (!ctl->json) {
		for (i = 0; i < resp->n_entries; i++)
			puts(resp->entries[i]);
		if (resp->all)
			fputs("everything: it is an administrator\n", stderr);
		if (resp->more && resp->n_entries)
			fprintf(stderr, "there is more: --after \"%s\"\n",
				resp->entries[resp->n_entries - 1]);
		basis_text(resp->basis);
		return;
	}
	json_open(&json, NULL, '{');
	json_open(&json, "entries", '[');
	for (i = 0; i < resp->n_entries; i++)
		json_string(&json, NULL, resp->entries[i]);
	json_close(&json, ']');
	json_bool(&json, "all", resp->all);
	json_bool(&json, "more", resp->more);
	basis_json(&json, resp->basis);
	json_close(&json, '}');
}

int cmd_namespace_list(struct ctl *ctl)
{
	M(ListRequest) req = NEXUS__NAMESPACE__V1__LIST_REQUEST__INIT;
	M(ListResponse) *resp;
	uint64_t n = 0;
	int ret = EXIT_FAILED;

	if (ctl->lease_limit && !parse_number(ctl->lease_limit, 1, 1000, &n))
		return wrong("--limit: 1 to 1000", ctl->lease_limit);
	req.subject = subject(ctl);
	req.max = (uint32_t)n;
	if (ctl->n_args)
		req.zone = ctl->args[0];
	if (ctl->after)
		req.after = (char *)ctl->after;
	resp = call(ctl, &target, "List", &req.base,
		    &nexus__namespace__v1__list_response__descriptor);
	if (resp && resp->basis) {
		print_list(ctl, resp);
		ret = EXIT_OK;
	}
	release(resp);
	return ret;
}

/* ---- state ---------------------------------------------------------------------------- */

static void print_state(const struct ctl *ctl, const M(StateResponse) *s)
{
	const struct number numbers[] = {
		{ "limit", s->limit, "bytes may be kept; 0: nothing is" },
		{ "bytes", s->bytes, "bytes are kept" },
		{ "subjects", s->subjects, "subjects have them" },
		{ "entries", s->entries, "entries are in them" },
		{ "generation", s->generation, "is the last generation that was given" },
		{ "hits", s->hits, "questions found entries there" },
		{ "misses", s->misses, "did not" },
		{ "built", s->built, "times entries of a subject were read" },
		{ "same", s->same, "of them were as before" },
		{ "evicted", s->evicted, "subjects were given up because of the limit" },
		{ "partial", s->partial, "times not all could be found out" },
		{ "busy", s->busy, "questions were denied because too much was asked" },
		{ "ignored", s->ignored, "objects were no path of a zone" },
	};

	print_numbers(ctl, numbers, sizeof(numbers) / sizeof(numbers[0]));
}

int cmd_namespace_state(struct ctl *ctl)
{
	M(StateRequest) req = NEXUS__NAMESPACE__V1__STATE_REQUEST__INIT;
	M(StateResponse) *resp = call(ctl, &target, "State", &req.base,
				      &nexus__namespace__v1__state_response__descriptor);

	if (!resp)
		return EXIT_FAILED;
	print_state(ctl, resp);
	release(resp);
	return EXIT_OK;
}
