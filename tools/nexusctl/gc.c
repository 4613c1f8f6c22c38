// SPDX-License-Identifier: Apache-2.0
/* nexusctl gc: what a content store has that nobody needs, and what it lacks. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/gc.h>

#include "options.h"

static const char *const whats[] = { "leaked", "missing", "foreign" };

struct found {
	struct object {
		enum nexus_gc_what what;
		uint64_t bytes;
		char *name;
	} *objects;
	size_t n, cap;
};

static int keep(void *arg, const struct nexus_gc_object *o)
{
	struct found *f = arg;
	struct object *more;
	char *name;

	if ((unsigned int)o->what >= sizeof(whats) / sizeof(whats[0]))
		return 0;
	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		more = realloc(f->objects, f->cap * sizeof(*more));
		if (!more)
			return 1;
		f->objects = more;
	}
	name = strdup(o->name);
	if (!name)
		return 1;
	f->objects[f->n++] = (struct object){ o->what, o->bytes, name };
	return 0;
}

static void free_found(struct found *f)
{
	while (f->n)
		free(f->objects[--f->n].name);
	free(f->objects);
}

/* ---- output ------------------------------------------------------------------------ */

static void sum_json(struct json *json, const char *key, const struct nexus_gc_sum *sum)
{
	json_open(json, key, '{');
	json_number(json, "objects", sum->objects);
	json_number(json, "bytes", sum->bytes);
	json_close(json, '}');
}

static void print_json(const struct ctl *ctl, const struct nexus_gc *gc, const struct found *f)
{
	struct json json = { .out = stdout };
	size_t i;

	json_open(&json, NULL, '{');
	json_string(&json, "zone", ctl->args[0]);
	json_bool(&json, "run", gc->run);
	json_string(&json, "error", gc->error ? gc->why : "");
	json_number(&json, "begun", gc->begun);
	json_number(&json, "ended", gc->ended);
	sum_json(&json, "listed", &gc->listed);
	sum_json(&json, "leaked", &gc->leaked);
	sum_json(&json, "missing", &gc->missing);
	sum_json(&json, "foreign", &gc->foreign);
	sum_json(&json, "young", &gc->young);
	sum_json(&json, "deleted", &gc->deleted);
	json_number(&json, "failed", gc->failed);
	json_string(&json, "failed_why", gc->failed_why);
	json_open(&json, "objects", '[');
	for (i = 0; i < f->n; i++) {
		json_open(&json, NULL, '{');
		json_string(&json, "what", whats[f->objects[i].what]);
		json_string(&json, "name", f->objects[i].name);
		json_number(&json, "bytes", f->objects[i].bytes);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

static void print_sum(const char *what, const struct nexus_gc_sum *sum, const char *words)
{
	printf("%-9s %" PRIu64 " objects", what, sum->objects);
	if (sum->bytes)
		printf(", %" PRIu64 " KiB", (sum->bytes + 1023) >> 10);
	printf("%s\n", words);
}

static void print_text(const struct nexus_gc *gc, const struct found *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		printf("%s %s %" PRIu64 "\n", whats[f->objects[i].what], f->objects[i].name,
		       f->objects[i].bytes);
	print_sum("listed:", &gc->listed, "");
	print_sum("leaked:", &gc->leaked, gc->run ? "" : "; gc --run deletes them");
	print_sum("young:", &gc->young, gc->young.objects ? "; they stay for gc_grace" : "");
	print_sum("foreign:", &gc->foreign, gc->foreign.objects ? "; they stay" : "");
	print_sum("missing:", &gc->missing, "");
	if (gc->run)
		print_sum("deleted:", &gc->deleted, "");
	if (gc->failed)
		printf("failed:   %" PRIu64 " objects: %s\n", gc->failed, gc->failed_why);
}

/* How far it is, on standard error when somebody looks. */
static void print_progress(const struct nexus_gc *gc)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%" PRIu64 " objects listed, %" PRIu64 " deleted",
		gc->listed.objects, gc->deleted.objects);
	if (gc->over)
		fputs("\r\033[K", stderr);
}

/* ---- the command -------------------------------------------------------------------- */

static int wait_for(struct ctl *ctl, uint64_t job, struct nexus_gc *gc, struct found *f)
{
	int ret;

	do {
		ret = nexus_gc_status(ctl->client, ctl->args[0], job, gc, keep, f);
		if (ret > 0) {
			fputs("nexusctl: no memory\n", stderr);
			return EXIT_FAILED;
		}
		if (ret)
			return ctl_failed(ctl);
		print_progress(gc);
	} while (!gc->over);
	return EXIT_OK;
}

static int outcome(const struct ctl *ctl, const struct nexus_gc *gc)
{
	if (gc->error) {
		fprintf(stderr, "nexusctl: zone %s was not looked through to the end: %s\n",
			ctl->args[0], gc->why);
		return EXIT_FAILED;
	}
	if (gc->failed)
		return EXIT_FAILED;
	return gc->missing.objects ? EXIT_WRONG : EXIT_OK;
}

int cmd_gc(struct ctl *ctl)
{
	struct found found = { .n = 0 };
	struct nexus_gc gc;
	uint64_t job;
	int ret;

	if (ctl->dry_run == ctl->really)
		return usage_error("gc wants one of --dry-run and --run", "");
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_gc_start(ctl->client, ctl->args[0], ctl->really, &job))
		return ctl_failed(ctl);
	ret = wait_for(ctl, job, &gc, &found);
	if (ret == EXIT_OK) {
		if (ctl->json)
			print_json(ctl, &gc, &found);
		else
			print_text(&gc, &found);
		ret = outcome(ctl, &gc);
	}
	free_found(&found);
	return ret;
}
