// SPDX-License-Identifier: Apache-2.0
/* nexusctl upload status, flush: content that goes elsewhere. */
#include <inttypes.h>
#include <unistd.h>

#include "nexusctl.h"

void uploads_json(struct json *json, const char *key, const char *zone,
		  const struct nexus_uploads *u)
{
	json_open(json, key, '{');
	json_string(json, "zone", zone);
	json_number(json, "packs", u->packs);
	json_number(json, "bytes", u->bytes);
	json_number(json, "oldest", u->oldest);
	json_number(json, "deletes", u->deletes);
	json_number(json, "busy", u->busy);
	json_number(json, "put_packs", u->put_packs);
	json_number(json, "put_bytes", u->put_bytes);
	json_string(json, "error", u->error);
	json_number(json, "error_at", u->error_at);
	json_number(json, "here", u->here);
	json_number(json, "cache_limit", u->cache_limit);
	json_bool(json, "cache_full", u->cache_full);
	json_string(json, "cache_error", u->cache_error);
	json_open(json, "store", '{');
	json_string(json, "circuit", u->circuit);
	json_string(json, "error", u->store_error);
	json_number(json, "requests", u->requests);
	json_number(json, "retries", u->retries);
	json_number(json, "sent", u->sent);
	json_number(json, "received", u->received);
	json_number(json, "memory", u->memory);
	json_number(json, "memory_peak", u->memory_peak);
	json_close(json, '}');
	json_close(json, '}');
}

static void print_json(const struct ctl *ctl, const struct nexus_uploads *u)
{
	struct json json = { .out = stdout };

	uploads_json(&json, NULL, ctl->args[0], u);
}

void uploads_cache_text(const struct nexus_uploads *u)
{
	if (u->here)
		printf(", %" PRIu64 " MiB here", u->here >> 20);
	if (u->cache_limit)
		printf(" of %" PRIu64, u->cache_limit >> 20);
	if (u->cache_full)
		printf(", full");
}

static void print_text(const struct nexus_uploads *u)
{
	char at[32];

	printf("to put:     %" PRIu64 " packs, %" PRIu64 " MiB", u->packs, u->bytes >> 20);
	if (u->packs)
		printf(", the oldest for %" PRIu64 " s", u->oldest);
	uploads_cache_text(u);
	printf("\nto delete:  %" PRIu64 " packs\n", u->deletes);
	printf("put so far: %" PRIu64 " packs, %" PRIu64 " MiB\n", u->put_packs,
	       u->put_bytes >> 20);
	if (u->error[0]) {
		local_time(at, u->error_at);
		printf("error:      %s, %s\n", at, u->error);
	}
	if (u->cache_error[0])
		printf("cache:      %s\n", u->cache_error);
	if (u->store_error[0])
		printf("store says: %s\n", u->store_error);
	if (u->circuit[0])
		printf("circuit:    %s\n", u->circuit);
}

int cmd_upload_status(struct ctl *ctl)
{
	struct nexus_uploads u;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_uploads(ctl->client, ctl->args[0], &u))
		return ctl_failed(ctl);
	if (ctl->json)
		print_json(ctl, &u);
	else
		print_text(&u);
	return EXIT_OK;
}

/* How far it is, on standard error when somebody looks. */
static void print_progress(const struct nexus_uploads *u)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%" PRIu64 " packs (%" PRIu64 " MiB) to put, %" PRIu64
		" to delete%s%.100s", u->packs, u->bytes >> 20, u->deletes,
		u->error[0] ? ": " : "", u->error);
	if (!u->packs && !u->deletes)
		fputs("\r\033[K", stderr);
}

int cmd_flush(struct ctl *ctl)
{
	struct nexus_uploads u;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	do {
		if (nexus_uploads_flush(ctl->client, ctl->args[0], &u))
			return ctl_failed(ctl);
		print_progress(&u);
	} while (u.packs || u.deletes);
	if (ctl->json)
		print_json(ctl, &u);
	return EXIT_OK;
}
