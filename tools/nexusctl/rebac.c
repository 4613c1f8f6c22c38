// SPDX-License-Identifier: Apache-2.0
/* nexusctl rebac: relationships, and who may do what because of them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nexus-proto.h"
#include "call.h"

#define M(name)	Nexus__Permissions__V1__##name

static const struct call_target target = { "nexus.permissions.v1.Permissions", "permissions" };

/* Who or what is meant: TYPE:ID, and of a userset its relation. */
struct who {
	char *type, *id, *relation;
};

static char nothing[] = "";

/* The first ':' ends the type.  @userset: the last '#' begins the relation, empty for none. */
static bool read_who(char *text, bool userset, struct who *w)
{
	char *colon = strchr(text, ':'), *hash;

	w->relation = nothing;
	if (!colon || colon == text || !colon[1])
		return false;
	w->type = text;
	*colon = '\0';
	w->id = colon + 1;
	hash = userset ? strrchr(w->id, '#') : NULL;
	if (hash) {
		*hash = '\0';
		w->relation = hash + 1;
	}
	return true;
}

/* ---- how a read is asked for ---------------------------------------------------- */

struct reading {
	M(Read) read;
	M(Fact) facts[OPTIONS_MAX];
	M(Fact) *pointers[OPTIONS_MAX];
};

/* A number, true, false; or a text, in quotes when it looks like one of those. */
static void read_fact(const struct nexus_option *o, M(Fact) *f)
{
	char *end = NULL;
	size_t len = strlen(o->value);
	long long n;

	nexus__permissions__v1__fact__init(f);
	f->name = (char *)o->key;
	f->value_case = NEXUS__PERMISSIONS__V1__FACT__VALUE_NUMBER;
	errno = 0;
	n = strtoll(o->value, &end, 10);
	if (len && !*end && !errno) {
		f->number = n;
	} else if (!strcmp(o->value, "true") || !strcmp(o->value, "false")) {
		f->number = o->value[0] == 't';
	} else {
		f->value_case = NEXUS__PERMISSIONS__V1__FACT__VALUE_TEXT;
		f->text = (char *)o->value;
		if (len >= 2 && o->value[0] == '"' && o->value[len - 1] == '"') {
			f->text++;
			((char *)o->value)[len - 1] = '\0';
		}
	}
}

static M(Read) *read_options(struct ctl *ctl, struct reading *r)
{
	size_t i;

	nexus__permissions__v1__read__init(&r->read);
	for (i = 0; i < ctl->n_facts; i++) {
		read_fact(&ctl->facts[i], &r->facts[i]);
		r->pointers[i] = &r->facts[i];
	}
	r->read.facts = r->pointers;
	r->read.n_facts = ctl->n_facts;
	if (ctl->at_least) {
		r->read.freshness = NEXUS__PERMISSIONS__V1__FRESHNESS__FRESHNESS_AT_LEAST;
		r->read.token = (char *)ctl->at_least;
	}
	return &r->read;
}

static bool read_limit(const struct ctl *ctl, uint32_t *max)
{
	uint64_t n = 0;

	if (ctl->lease_limit && !parse_number(ctl->lease_limit, 1, 1000, &n))
		return false;
	*max = (uint32_t)n;
	return true;
}

/* ---- what is common to answers -------------------------------------------------- */

static void unknown_json(struct json *json, size_t n, char **names)
{
	size_t i;

	json_open(json, "unknown", '[');
	for (i = 0; i < n; i++)
		json_string(json, NULL, names[i]);
	json_close(json, ']');
}

/* What a limit left out; nothing is no line. */
static void unknown_text(FILE *out, size_t n, char **names)
{
	size_t i;

	for (i = 0; i < n; i++)
		fprintf(out, "%s%s%s", i ? ", " : "not all is known: ", names[i],
			i + 1 == n ? "\n" : "");
}

static const char *problem(const M(Answer) *a)
{
	if (a->problem == NEXUS__PERMISSIONS__V1__PROBLEM__PROBLEM_IDENTIFIER)
		return "no such identifier can be";
	return a->problem ? "the policy has no such type or relation" : NULL;
}

static int print_answer(const struct ctl *ctl, const M(Answer) *a, const char *token, char **lines,
			size_t n, bool cut)
{
	struct json json = { .out = stdout };
	size_t i;

	if (problem(a)) {
		fprintf(stderr, "nexusctl: %s\n", problem(a));
		return EXIT_FAILED;
	}
	if (!ctl->json) {
		for (i = 0; i < n; i++)
			puts(lines[i]);
		if (cut)
			puts("...");
		if (!n)
			puts(a->allowed ? "yes" : "no");
		unknown_text(stdout, a->n_unknown, a->unknown);
		return a->allowed ? EXIT_OK : EXIT_WRONG;
	}
	json_open(&json, NULL, '{');
	json_bool(&json, "allowed", a->allowed);
	unknown_json(&json, a->n_unknown, a->unknown);
	json_bool(&json, "contextual", a->contextual);
	if (n) {
		json_open(&json, "steps", '[');
		for (i = 0; i < n; i++)
			json_string(&json, NULL, lines[i]);
		json_close(&json, ']');
		json_bool(&json, "cut", cut);
	}
	json_string(&json, "token", token);
	json_close(&json, '}');
	return a->allowed ? EXIT_OK : EXIT_WRONG;
}

/* ---- check and explain ---------------------------------------------------------- */

/* OBJECT RELATION SUBJECT */
static bool read_tuple(struct ctl *ctl, M(Tuple) *t)
{
	struct who object, subject;

	if (!read_who(ctl->args[0], false, &object) || !read_who(ctl->args[2], true, &subject))
		return false;
	nexus__permissions__v1__tuple__init(t);
	t->object_type = object.type;
	t->object_id = object.id;
	t->relation = ctl->args[1];
	t->subject_type = subject.type;
	t->subject_id = subject.id;
	t->subject_relation = subject.relation;
	return true;
}

#define TUPLE	"TYPE:ID RELATION TYPE:ID[#RELATION] is wanted"

int cmd_rebac_check(struct ctl *ctl)
{
	M(CheckRequest) req = NEXUS__PERMISSIONS__V1__CHECK_REQUEST__INIT;
	M(Question) question = NEXUS__PERMISSIONS__V1__QUESTION__INIT, *questions = &question;
	M(CheckResponse) *resp;
	struct reading reading;
	struct who object;
	char *hash, *subject = ctl->args[2];
	int ret;

	/* The subject stays one text, by which callers may ask for themselves. */
	if (!read_who(ctl->args[0], false, &object) || !strchr(subject, ':'))
		return wrong(TUPLE, ctl->args[0]);
	hash = strrchr(subject, '#');
	if (hash) {
		*hash = '\0';
		req.subject_relation = hash + 1;
	}
	question.object_type = object.type;
	question.object_id = object.id;
	question.relation = ctl->args[1];
	req.subject = subject;
	req.questions = &questions;
	req.n_questions = 1;
	req.read = read_options(ctl, &reading);
	resp = call(ctl, &target, "Check", &req.base, &nexus__permissions__v1__check_response__descriptor);
	if (!resp || !resp->n_answers) {
		release(resp);
		return EXIT_FAILED;
	}
	ret = print_answer(ctl, resp->answers[0], resp->token, NULL, 0, false);
	release(resp);
	return ret;
}

int cmd_rebac_explain(struct ctl *ctl)
{
	M(ExplainRequest) req = NEXUS__PERMISSIONS__V1__EXPLAIN_REQUEST__INIT;
	M(ExplainResponse) *resp;
	struct reading reading;
	M(Tuple) tuple;
	int ret = EXIT_FAILED;

	if (!read_tuple(ctl, &tuple))
		return wrong(TUPLE, ctl->args[0]);
	req.question = &tuple;
	req.read = read_options(ctl, &reading);
	resp = call(ctl, &target, "Explain", &req.base, &nexus__permissions__v1__explain_response__descriptor);
	if (resp && resp->answer)
		ret = print_answer(ctl, resp->answer, resp->token, resp->lines, resp->n_lines,
				   resp->cut);
	release(resp);
	return ret;
}

/* ---- write and delete ----------------------------------------------------------- */

static int write_one(struct ctl *ctl, M(UpdateKind) kind, const char *done)
{
	M(WriteRequest) req = NEXUS__PERMISSIONS__V1__WRITE_REQUEST__INIT;
	M(Update) update = NEXUS__PERMISSIONS__V1__UPDATE__INIT, *updates = &update;
	struct json json = { .out = stdout };
	M(WriteResponse) *resp;
	uint64_t seconds = 0;
	M(Tuple) tuple;

	if (!read_tuple(ctl, &tuple))
		return wrong(TUPLE, ctl->args[0]);
	if (ctl->lease_ttl && !parse_number(ctl->lease_ttl, 1, 1ull << 32, &seconds))
		return wrong("--ttl: seconds are wanted", ctl->lease_ttl);
	update.kind = kind;
	update.tuple = &tuple;
	if (seconds)
		update.expires_ms = ((int64_t)time(NULL) + (int64_t)seconds) * 1000;
	if (ctl->condition)
		update.condition = (char *)ctl->condition;
	req.updates = &updates;
	req.n_updates = 1;
	resp = call(ctl, &target, "Write", &req.base, &nexus__permissions__v1__write_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "changed", resp->changed);
		json_string(&json, "token", resp->token);
		json_close(&json, '}');
	} else {
		printf("%s, token %s\n", resp->changed ? done : "nothing to do", resp->token);
	}
	release(resp);
	return EXIT_OK;
}

int cmd_rebac_write(struct ctl *ctl)
{
	return write_one(ctl, NEXUS__PERMISSIONS__V1__UPDATE_KIND__UPDATE_KIND_PUT, "written");
}

int cmd_rebac_delete(struct ctl *ctl)
{
	return write_one(ctl, NEXUS__PERMISSIONS__V1__UPDATE_KIND__UPDATE_KIND_DELETE, "deleted");
}

/* ---- expand --------------------------------------------------------------------- */

static void print_branch(struct json *json, const M(Branch) *b)
{
	static const char *const kinds[] = {
		"relation", "seen", "cut", "subject", "union", "intersection", "exclusion",
	};
	const char *kind = (unsigned int)b->kind < 7 ? kinds[b->kind] : "unknown";

	if (json) {
		json_open(json, NULL, '{');
		json_string(json, "kind", kind);
		json_number(json, "depth", b->depth);
		json_bool(json, "conditional", b->conditional);
		json_string(json, "type", b->type[0] ? b->type : NULL);
		json_string(json, "id", b->id[0] ? b->id : NULL);
		json_string(json, "relation", b->relation[0] ? b->relation : NULL);
		json_close(json, '}');
		return;
	}
	printf("%*s%s", (int)(b->depth > 200 ? 200 : b->depth) * 2, "", kind);
	if (b->type[0])
		printf(" %s:%s%s%s", b->type, b->id, b->relation[0] ? "#" : "", b->relation);
	puts(b->conditional ? " (conditional)" : "");
}

int cmd_rebac_expand(struct ctl *ctl)
{
	M(ExpandRequest) req = NEXUS__PERMISSIONS__V1__EXPAND_REQUEST__INIT;
	M(Question) question = NEXUS__PERMISSIONS__V1__QUESTION__INIT;
	struct json json = { .out = stdout };
	M(ExpandResponse) *resp;
	struct reading reading;
	struct who object;
	size_t i;

	if (!read_who(ctl->args[0], false, &object))
		return wrong("TYPE:ID is wanted", ctl->args[0]);
	if (!read_limit(ctl, &req.max))
		return wrong("--limit: 1 to 1000", ctl->lease_limit);
	question.object_type = object.type;
	question.object_id = object.id;
	question.relation = ctl->args[1];
	req.question = &question;
	req.read = read_options(ctl, &reading);
	resp = call(ctl, &target, "Expand", &req.base, &nexus__permissions__v1__expand_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_open(&json, "branches", '[');
	}
	for (i = 0; i < resp->n_branches; i++)
		print_branch(ctl->json ? &json : NULL, resp->branches[i]);
	if (ctl->json) {
		json_close(&json, ']');
		unknown_json(&json, resp->n_unknown, resp->unknown);
		json_string(&json, "token", resp->token);
		json_close(&json, '}');
	} else {
		unknown_text(stderr, resp->n_unknown, resp->unknown);
	}
	release(resp);
	return EXIT_OK;
}

/* ---- list ----------------------------------------------------------------------- */

static void print_list(const struct ctl *ctl, const M(ListResponse) *resp)
{
	struct json json = { .out = stdout };
	size_t i;

	if (!ctl->json) {
		for (i = 0; i < resp->n_items; i++)
			printf("%s%s\n", resp->items[i]->not_ ? "not " : "", resp->items[i]->id);
		if (resp->more)
			fprintf(stderr, "there is more: --after \"%s\"\n",
				resp->n_items ? resp->items[resp->n_items - 1]->id : "");
		unknown_text(stderr, resp->n_unknown, resp->unknown);
		return;
	}
	json_open(&json, NULL, '{');
	json_open(&json, "items", '[');
	for (i = 0; i < resp->n_items; i++) {
		json_open(&json, NULL, '{');
		json_string(&json, "id", resp->items[i]->id);
		json_bool(&json, "not", resp->items[i]->not_);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_bool(&json, "more", resp->more);
	unknown_json(&json, resp->n_unknown, resp->unknown);
	json_string(&json, "token", resp->token);
	json_close(&json, '}');
}

/* TYPE RELATION SUBJECT, or OBJECT RELATION TYPE[#RELATION]. */
int cmd_rebac_list(struct ctl *ctl)
{
	M(ListRequest) req = NEXUS__PERMISSIONS__V1__LIST_REQUEST__INIT;
	M(Tuple) tuple = NEXUS__PERMISSIONS__V1__TUPLE__INIT;
	bool objects = !strchr(ctl->args[0], ':');
	M(ListResponse) *resp;
	struct reading reading;
	struct who who;
	char *hash;

	if (!read_who(ctl->args[objects ? 2 : 0], objects, &who))
		return wrong("TYPE RELATION TYPE:ID or TYPE:ID RELATION TYPE is wanted",
			     ctl->args[0]);
	if (!read_limit(ctl, &req.max))
		return wrong("--limit: 1 to 1000", ctl->lease_limit);
	tuple.relation = ctl->args[1];
	if (objects) {
		tuple.object_type = ctl->args[0];
		tuple.subject_type = who.type;
		tuple.subject_id = who.id;
		tuple.subject_relation = who.relation;
	} else {
		tuple.object_type = who.type;
		tuple.object_id = who.id;
		tuple.subject_type = ctl->args[2];
		hash = strchr(ctl->args[2], '#');
		if (hash) {
			*hash = '\0';
			tuple.subject_relation = hash + 1;
		}
	}
	req.tuple = &tuple;
	if (ctl->after)
		req.after = (char *)ctl->after;
	req.read = read_options(ctl, &reading);
	resp = call(ctl, &target, objects ? "ListObjects" : "ListSubjects", &req.base,
		    &nexus__permissions__v1__list_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	print_list(ctl, resp);
	release(resp);
	return EXIT_OK;
}

/* ---- policy --------------------------------------------------------------------- */

static int get_policy(struct ctl *ctl)
{
	M(GetPolicyRequest) req = NEXUS__PERMISSIONS__V1__GET_POLICY_REQUEST__INIT;
	M(GetPolicyResponse) *resp = call(ctl, &target, "GetPolicy", &req.base,
					  &nexus__permissions__v1__get_policy_response__descriptor);

	if (!resp)
		return EXIT_FAILED;
	fputs(resp->text, stdout);
	release(resp);
	return EXIT_OK;
}

#define POLICY_MAX	(64u << 10)

int cmd_rebac_policy(struct ctl *ctl)
{
	M(SetPolicyRequest) req = NEXUS__PERMISSIONS__V1__SET_POLICY_REQUEST__INIT;
	static char text[POLICY_MAX + 2];
	M(SetPolicyResponse) *resp;
	size_t len;
	FILE *f;

	if (!ctl->n_args)
		return get_policy(ctl);
	f = strcmp(ctl->args[0], "-") ? fopen(ctl->args[0], "re") : stdin;
	if (!f) {
		fprintf(stderr, "nexusctl: %s: %s\n", ctl->args[0], strerror(errno));
		return EXIT_FAILED;
	}
	len = fread(text, 1, POLICY_MAX + 1, f);
	if (ferror(f) || memchr(text, 0, len)) {
		fprintf(stderr, "nexusctl: %s: is no text\n", ctl->args[0]);
		len = 0;
	} else if (!len) {
		fprintf(stderr, "nexusctl: %s: is empty, and no policy\n", ctl->args[0]);
	}
	if (f != stdin)
		fclose(f);
	if (!len)
		return EXIT_FAILED;
	req.text = text;
	resp = call(ctl, &target, "SetPolicy", &req.base,
		    &nexus__permissions__v1__set_policy_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	printf("set, token %s\n", resp->token);
	release(resp);
	return EXIT_OK;
}

/* ---- state ---------------------------------------------------------------------- */

static void print_state(const struct ctl *ctl, const M(StateResponse) *s)
{
	const struct number numbers[] = {
		{ "limit", s->limit, "bytes may be kept; 0: nothing is" },
		{ "bytes", s->bytes, "bytes are kept" },
		{ "entries", s->entries, "subjects and relations, and closures, that have them" },
		{ "hits", s->hits, "answers and lists were there" },
		{ "misses", s->misses, "were not" },
		{ "invalidated", s->invalidated, "entries were given up because of a change or a time" },
		{ "evicted", s->evicted, "because of the limit" },
		{ "emptied", s->emptied, "times that all was given up" },
		{ "closures", s->closures, "closures of subjects were made" },
		{ "closures_refused", s->closures_refused, "would have been too large" },
		{ "closure_hits", s->closure_hits, "questions had one" },
		{ "shared_hits", s->shared_hits, "answers and lists were in the cache store" },
		{ "shared_misses", s->shared_misses, "were not there, either" },
		{ "shared_put", s->shared_put, "were put there, for other helpers" },
		{ "shared_failed", s->shared_failed, "were not taken" },
		{ "shared_refused", s->shared_refused, "were there, and of no helper of this record store" },
	};

	print_numbers(ctl, numbers, sizeof(numbers) / sizeof(numbers[0]));
}

int cmd_rebac_state(struct ctl *ctl)
{
	M(StateRequest) req = NEXUS__PERMISSIONS__V1__STATE_REQUEST__INIT;
	M(StateResponse) *resp = call(ctl, &target, "State", &req.base,
				      &nexus__permissions__v1__state_response__descriptor);

	if (!resp)
		return EXIT_FAILED;
	print_state(ctl, resp);
	release(resp);
	return EXIT_OK;
}
