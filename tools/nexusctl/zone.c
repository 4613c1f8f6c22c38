// SPDX-License-Identifier: Apache-2.0
/* nexusctl zone create, list, info, upgrade. */
#include <inttypes.h>
#include <string.h>

#include "nexusctl.h"

static const char *state_name(enum nexus_zone_state state)
{
	switch (state) {
	case NEXUS_ZONE_IDLE:
		return "idle";
	case NEXUS_ZONE_MOUNTED:
		return "mounted";
	case NEXUS_ZONE_LOST:
		return "lost";
	case NEXUS_ZONE_READ_ONLY:
		return "read-only";
	default:
		return "unknown";
	}
}

static void zone_json(struct json *json, const struct nexus_zone *zone)
{
	json_open(json, NULL, '{');
	json_string(json, "name", zone->name);
	json_string(json, "uuid", zone->uuid);
	json_string(json, "state", state_name(zone->state));
	json_string(json, "reason", zone->reason);
	json_string(json, "store", zone->store);
	json_string(json, "data_dir", zone->data_dir);
	json_number(json, "format_version", zone->format_version);
	json_open(json, "features", '{');
	json_number(json, "compat", zone->compat);
	json_number(json, "ro_compat", zone->ro_compat);
	json_number(json, "incompat", zone->incompat);
	json_close(json, '}');
	json_open(json, "lsn", '{');
	json_number(json, "tail", zone->lsn_tail);
	json_number(json, "durable", zone->lsn_durable);
	json_number(json, "applied", zone->lsn_applied);
	json_number(json, "checkpoint", zone->lsn_checkpoint);
	json_close(json, '}');
	json_number(json, "inodes", zone->inodes);
	json_number(json, "bytes", zone->bytes);
	json_number(json, "segments", zone->segments);
	json_number(json, "packs", zone->packs);
	json_close(json, '}');
}

/* One of a list; the list begins with the first, when nothing has failed. */
static int print_json(void *arg, const struct nexus_zone *zone)
{
	struct json *json = arg;

	if (!json->depth)
		json_open(json, NULL, '[');
	zone_json(json, zone);
	return 0;
}

static void print_reason(const struct nexus_zone *zone)
{
	if (*zone->reason)
		printf(" (%s)", zone->reason);
}

static void print_full(const struct nexus_zone *zone)
{
	printf("name:        %s\n", zone->name);
	printf("uuid:        %s\n", zone->uuid);
	printf("state:       %s", state_name(zone->state));
	print_reason(zone);
	printf("\nstore:       %s\n", zone->store);
	printf("data:        %s\n", zone->data_dir);
	printf("format:      %" PRIu32 " (compat 0x%" PRIx64
	       ", ro_compat 0x%" PRIx64 ", incompat 0x%" PRIx64 ")\n",
	       zone->format_version, zone->compat, zone->ro_compat,
	       zone->incompat);
	printf("log:         tail %" PRIu64 ", durable %" PRIu64
	       ", applied %" PRIu64 ", checkpoint %" PRIu64 "\n",
	       zone->lsn_tail, zone->lsn_durable, zone->lsn_applied,
	       zone->lsn_checkpoint);
	printf("inodes:      %" PRIu64 "\n", zone->inodes);
	printf("bytes:       %" PRIu64 "\n", zone->bytes);
	printf("segments:    %" PRIu64 "\n", zone->segments);
	printf("packs:       %" PRIu64 "\n", zone->packs);
}

/* Text or JSON of one zone. */
static int print_one(void *arg, const struct nexus_zone *zone)
{
	const struct ctl *ctl = arg;
	struct json json = { .out = stdout };

	if (ctl->json)
		zone_json(&json, zone);
	else
		print_full(zone);
	return 0;
}

struct created {
	struct ctl *ctl;
	char prefix[80];	/* "SESSION:" of a helper that is not the default one */
};

static int note_session(void *arg, const struct nexus_status *status)
{
	struct created *created = arg;

	if (status->session && strcmp(status->session, "default") != 0)
		snprintf(created->prefix, sizeof(created->prefix), "%s:", status->session);
	return 0;
}

static int print_created(void *arg, const struct nexus_zone *zone)
{
	struct created *created = arg;

	if (created->ctl->json)
		return print_one(created->ctl, zone);
	printf("zone %s created in %s; mount it with: mount -t nexusfs %s%s DIR\n",
	       zone->name, zone->data_dir, created->prefix, zone->name);
	return 0;
}

static int print_upgraded(void *arg, const struct nexus_zone *zone)
{
	const struct ctl *ctl = arg;

	if (ctl->json)
		return print_one(arg, zone);
	printf("zone %s has format %" PRIu32 "\n", zone->name,
	       zone->format_version);
	return 0;
}

static int print_row(void *arg, const struct nexus_zone *zone)
{
	size_t *n = arg;

	if (!(*n)++)
		printf("%-24s %-10s %-36s %s\n", "NAME", "STATE", "UUID",
		       "STORE");
	printf("%-24s %-10s %-36s %s", zone->name, state_name(zone->state),
	       zone->uuid, zone->store);
	print_reason(zone);
	putchar('\n');
	return 0;
}

int cmd_zone_create(struct ctl *ctl)
{
	struct created created = { .ctl = ctl };

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	/* Without an answer the hint is shorter. */
	nexus_status(ctl->client, note_session, &created);
	if (nexus_zone_create(ctl->client, ctl->args[0], ctl->store,
			      ctl->options, ctl->n_options, print_created, &created))
		return ctl_failed(ctl);
	return EXIT_OK;
}

int cmd_zone_list(struct ctl *ctl)
{
	struct json json = { .out = stdout };
	size_t n = 0;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (!ctl->json) {
		if (nexus_zone_list(ctl->client, print_row, &n))
			return ctl_failed(ctl);
		if (!n)
			fputs("no zones; make one with: nexusctl zone create NAME\n",
			      stderr);
		return EXIT_OK;
	}
	if (nexus_zone_list(ctl->client, print_json, &json))
		return ctl_failed(ctl);
	if (!json.depth)
		json_open(&json, NULL, '[');
	json_close(&json, ']');
	return EXIT_OK;
}

int cmd_zone_info(struct ctl *ctl)
{
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_zone_info(ctl->client, ctl->args[0], print_one, ctl))
		return ctl_failed(ctl);
	return EXIT_OK;
}

int cmd_zone_upgrade(struct ctl *ctl)
{
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	nexus_set_timeout(ctl->client, 0);
	if (nexus_zone_upgrade(ctl->client, ctl->args[0], print_upgraded, ctl))
		return ctl_failed(ctl);
	return EXIT_OK;
}
