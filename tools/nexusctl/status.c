// SPDX-License-Identifier: Apache-2.0
/* nexusctl status and version: helper, session, module. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "events.h"
#include "rebac.h"

static const char *helper_state(enum nexus_state state)
{
	switch (state) {
	case NEXUS_STARTING:
		return "starting";
	case NEXUS_RUNNING:
		return "running";
	case NEXUS_STOPPING:
		return "stopping";
	default:
		return "unknown";
	}
}

static const char *link_name(enum nexus_link link)
{
	switch (link) {
	case NEXUS_LINK_NONE:
		return "none";
	case NEXUS_LINK_NEW:
		return "new";
	case NEXUS_LINK_LIVE:
		return "live";
	case NEXUS_LINK_LOST:
		return "lost";
	case NEXUS_LINK_DEAD:
		return "dead";
	default:
		return "unknown";
	}
}

static const char *records_name(enum nexus_records_state state)
{
	switch (state) {
	case NEXUS_RECORDS_NONE:
		return "none";
	case NEXUS_RECORDS_UNUSED:
		return "unused";
	case NEXUS_RECORDS_OPEN:
		return "open";
	case NEXUS_RECORDS_FAILED:
		return "failed";
	default:
		return "unknown";
	}
}

static void time_text(char *text, size_t room, uint64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm tm;

	snprintf(text, room, "?");
	if (localtime_r(&when, &tm))
		strftime(text, room, "%F %T", &tm);
}

static void records_text(const struct nexus_status *status)
{
	char when[64];

	if (status->records == NEXUS_RECORDS_NONE) {
		printf("records:     none\n");
		return;
	}
	printf("records:     %s, %s\n", status->recordstore, records_name(status->records));
	if (!*status->records_error)
		return;
	time_text(when, sizeof(when), status->records_error_at);
	printf("             last error, %s: %s\n", when, status->records_error);
}

static void profile_text(const struct nexus_status *status)
{
	if (!*status->profile)
		return;
	printf("profile:     %s%s", status->profile, *status->degraded ? ", degraded" : "");
	if (status->bricks_missing)
		printf(", %" PRIu32 " bricks missing (nexusctl profile show)", status->bricks_missing);
	printf("\n");
	if (*status->degraded)
		printf("             %s\n", status->degraded);
}

static const char *cache_name(enum nexus_cachestore_state state)
{
	switch (state) {
	case NEXUS_CACHESTORE_NONE:
		return "none";
	case NEXUS_CACHESTORE_UNUSED:
		return "unused";
	case NEXUS_CACHESTORE_OPEN:
		return "open";
	case NEXUS_CACHESTORE_DEGRADED:
		return "degraded";
	default:
		return "unknown";
	}
}

static void cache_text(const struct nexus_status *status)
{
	char when[64];

	if (status->cache == NEXUS_CACHESTORE_NONE) {
		printf("cache:       none\n");
		return;
	}
	printf("cache:       %s, %s\n", status->cachestore, cache_name(status->cache));
	if (!*status->cache_error)
		return;
	time_text(when, sizeof(when), status->cache_error_at);
	printf("             %s, %s: %s\n",
	       status->cache == NEXUS_CACHESTORE_DEGRADED ? "since" : "last degraded", when,
	       status->cache_error);
}

#define DRIVER_MAX	32	/* its name */

static int helper_text(void *arg, const struct nexus_status *status)
{
	char when[64];

	snprintf(arg, DRIVER_MAX, "%s", status->cachestore);
	time_text(when, sizeof(when), status->started);
	printf("helper:      %s, pid %" PRIu32 ", since %s\n",
	       helper_state(status->state), status->pid, when);
	printf("session:     %s, %s", status->session,
	       link_name(status->link));
	if (*status->reason)
		printf(" (%s)", status->reason);
	printf(", %" PRIu32 " queues\n", status->queues);
	printf("drivers:     metastore %s, object store %s\n",
	       status->metastore, status->objectstore);
	printf("data:        %s\n", status->data_dir);
	printf("zones:       %" PRIu32 ", %" PRIu32 " mounted\n",
	       status->zones, status->zones_mounted);
	records_text(status);
	cache_text(status);
	profile_text(status);
	return 0;
}

static int helper_json(void *arg, const struct nexus_status *status)
{
	struct json *json = arg;

	json_open(json, "helper", '{');
	json_string(json, "state", helper_state(status->state));
	json_number(json, "pid", status->pid);
	json_number(json, "started", status->started);
	json_string(json, "session", status->session);
	json_string(json, "link", link_name(status->link));
	json_string(json, "reason", status->reason);
	json_number(json, "queues", status->queues);
	json_string(json, "metastore", status->metastore);
	json_string(json, "objectstore", status->objectstore);
	json_string(json, "data_dir", status->data_dir);
	json_number(json, "zones", status->zones);
	json_number(json, "zones_mounted", status->zones_mounted);
	json_string(json, "recordstore", status->recordstore);
	json_string(json, "records", records_name(status->records));
	json_string(json, "records_error", status->records_error);
	json_number(json, "records_error_at", status->records_error_at);
	json_string(json, "cachestore", status->cachestore);
	json_string(json, "cache", cache_name(status->cache));
	json_string(json, "cache_error", status->cache_error);
	json_number(json, "cache_error_at", status->cache_error_at);
	json_string(json, "profile", status->profile);
	json_string(json, "degraded", *status->degraded ? status->degraded : NULL);
	json_number(json, "bricks_missing", status->bricks_missing);
	json_close(json, '}');
	return 0;
}

/* ---- content that goes elsewhere, of each zone ---- */

struct names {
	char (*at)[64];
	size_t n;
};

static int take_name(void *arg, const struct nexus_zone *zone)
{
	struct names *l = arg;
	void *more = realloc(l->at, (l->n + 1) * sizeof(*l->at));

	if (!more)
		return -ENOMEM;
	l->at = more;
	snprintf(l->at[l->n++], sizeof(*l->at), "%s", zone->name);
	return 0;
}

static void content_text(const char *zone, const struct nexus_uploads *u)
{
	char when[64];

	printf("content:     %s: %" PRIu64 " MiB to put", zone, u->bytes >> 20);
	if (u->packs)
		printf(", the oldest for %" PRIu64 " s", u->oldest);
	uploads_cache_text(u);
	printf("\n");
	if (u->error[0]) {
		time_text(when, sizeof(when), u->error_at);
		printf("             error, %s: %s\n", when, u->error);
	}
	if (u->cache_error[0])
		printf("             %s\n", u->cache_error);
}

/* Those that are mounted and whose content is held elsewhere as well; others say nothing. */
static void contents(struct ctl *ctl, struct json *json)
{
	struct names l = { .at = NULL };
	struct nexus_uploads u;
	size_t i;

	if (json)
		json_open(json, "content", '[');
	/* Not while a call is under way. */
	if (!nexus_zone_list(ctl->client, take_name, &l))
		for (i = 0; i < l.n; i++) {
			if (nexus_uploads(ctl->client, l.at[i], &u))
				continue;
			if (json)
				uploads_json(json, NULL, l.at[i], &u);
			else
				content_text(l.at[i], &u);
		}
	if (json)
		json_close(json, ']');
	free(l.at);
}

static void module_text(const struct module_info *module)
{
	if (!module->loaded)
		printf("module:      not loaded\n");
	else
		printf("module:      %s%sloaded, %lu users\n",
		       module->version, *module->version ? " " : "",
		       module->users);
}

static void module_json(struct json *json, const struct module_info *module)
{
	json_open(json, "module", '{');
	json_bool(json, "loaded", module->loaded);
	json_string(json, "version", module->loaded ? module->version : NULL);
	json_string(json, "state", module->loaded ? module->state : NULL);
	json_number(json, "users", module->users);
	json_close(json, '}');
}

int cmd_status(struct ctl *ctl)
{
	struct json json = { .out = stdout };
	struct module_info module;
	char cachestore[DRIVER_MAX];
	int err;

	err = ctl_open(ctl);
	if (ctl->json)
		json_open(&json, NULL, '{');
	if (!err && ctl->json)
		err = nexus_status(ctl->client, helper_json, &json);
	else if (!err)
		err = nexus_status(ctl->client, helper_text, cachestore);
	if (!err)
		events_status(ctl, ctl->json ? &json : NULL, cachestore);
	if (!err)
		rebac_status(ctl, ctl->json ? &json : NULL, cachestore);
	if (!err)
		contents(ctl, ctl->json ? &json : NULL);

	module_read(&module);
	if (ctl->json) {
		if (err)
			json_string(&json, "helper", NULL);
		module_json(&json, &module);
		json_close(&json, '}');
	} else {
		if (err)
			printf("helper:      does not answer\n");
		module_text(&module);
	}
	return err ? ctl_failed(ctl) : EXIT_OK;
}

static int version_text(void *arg, const struct nexus_version *version)
{
	(void)arg;
	printf("helper:      %s, channel %" PRIu32 ", format %" PRIu32 "\n",
	       version->version, version->abi, version->format);
	return 0;
}

static int version_json(void *arg, const struct nexus_version *version)
{
	struct json *json = arg;

	json_open(json, "helper", '{');
	json_string(json, "version", version->version);
	json_number(json, "abi", version->abi);
	json_number(json, "format", version->format);
	json_close(json, '}');
	return 0;
}

/* A helper that is not there is no failure: the tool's version is known. */
int cmd_version(struct ctl *ctl)
{
	struct json json = { .out = stdout };
	struct module_info module;
	int err;

	err = ctl_open(ctl);
	module_read(&module);
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "tool", NEXUSCTL_VERSION);
		if (err || nexus_version(ctl->client, version_json, &json))
			json_string(&json, "helper", NULL);
		json_string(&json, "module",
			    module.loaded ? module.version : NULL);
		json_close(&json, '}');
		return EXIT_OK;
	}
	printf("nexusctl:    %s\n", NEXUSCTL_VERSION);
	if (err || nexus_version(ctl->client, version_text, NULL))
		printf("helper:      does not answer\n");
	if (module.loaded)
		printf("module:      %s\n", module.version);
	else
		printf("module:      not loaded\n");
	return EXIT_OK;
}
