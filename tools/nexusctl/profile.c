// SPDX-License-Identifier: Apache-2.0
/* nexusctl boot and profile: how the helper started, and what it is made of. */
#include <inttypes.h>

#include <nexus/boot.h>

#include "nexusctl.h"

/* ---- boot ---------------------------------------------------------------------- */

static const char *stage_name(enum nexus_boot_stage stage)
{
	switch (stage) {
	case NEXUS_BOOT_DRIVER:
		return "driver";
	case NEXUS_BOOT_STORE:
		return "store";
	case NEXUS_BOOT_SERVICE:
		return "service";
	case NEXUS_BOOT_BRICK:
		return "brick";
	}
	return "unknown";
}

static const char *tier_name(enum nexus_boot_tier tier)
{
	switch (tier) {
	case NEXUS_TIER_FATAL:
		return "fatal";
	case NEXUS_TIER_DEGRADED:
		return "degraded";
	case NEXUS_TIER_SILENT:
		return "silent";
	case NEXUS_TIER_NONE:
		break;
	}
	return "-";
}

static const char *outcome_name(enum nexus_boot_outcome outcome)
{
	switch (outcome) {
	case NEXUS_BOOT_RUNNING:
		return "running";
	case NEXUS_BOOT_READY:
		return "ready";
	case NEXUS_BOOT_FAILED:
		return "failed";
	case NEXUS_BOOT_MISSING:
		return "missing";
	case NEXUS_BOOT_DEFERRED:
		return "deferred";
	}
	return "unknown";
}

static int boot_text(void *arg, const struct nexus_boot *boot)
{
	size_t i;

	(void)arg;
	printf("profile %s, %s%" PRIu64 ".%03u ms\n", boot->profile,
	       boot->running ? "services are being started, so far " : "started in ",
	       boot->took_us / 1000, (unsigned int)(boot->took_us % 1000));
	printf("%-8s %-24s %-9s %-9s %12s  %s\n", "STAGE", "NAME", "TIER", "OUTCOME", "MS", "");
	for (i = 0; i < boot->n_steps; i++) {
		const struct nexus_boot_step *s = &boot->steps[i];

		printf("%-8s %-24s %-9s %-9s %8" PRIu64 ".%03u  %s\n", stage_name(s->stage),
		       s->name, tier_name(s->tier), outcome_name(s->outcome), s->took_us / 1000,
		       (unsigned int)(s->took_us % 1000), s->reason);
	}
	return 0;
}

static int boot_json(void *arg, const struct nexus_boot *boot)
{
	struct json json = { .out = stdout };
	size_t i;

	(void)arg;
	json_open(&json, NULL, '{');
	json_string(&json, "profile", boot->profile);
	json_bool(&json, "running", boot->running);
	json_number(&json, "took_us", boot->took_us);
	json_open(&json, "steps", '[');
	for (i = 0; i < boot->n_steps; i++) {
		const struct nexus_boot_step *s = &boot->steps[i];

		json_open(&json, NULL, '{');
		json_string(&json, "stage", stage_name(s->stage));
		json_string(&json, "name", s->name);
		json_string(&json, "tier", s->tier ? tier_name(s->tier) : NULL);
		json_string(&json, "outcome", outcome_name(s->outcome));
		json_string(&json, "reason", s->reason[0] ? s->reason : NULL);
		json_number(&json, "at_us", s->at_us);
		json_number(&json, "took_us", s->took_us);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
	return 0;
}

int cmd_boot(struct ctl *ctl)
{
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_boot(ctl->client, ctl->json ? boot_json : boot_text, NULL))
		return ctl_failed(ctl);
	return EXIT_OK;
}

/* ---- profile ------------------------------------------------------------------- */

static const char *why_name(enum nexus_brick_why why)
{
	switch (why) {
	case NEXUS_BRICK_PROFILE:
		return "profile";
	case NEXUS_BRICK_SETTING:
		return "setting";
	case NEXUS_BRICK_PULLED_IN:
		return "pulled-in";
	case NEXUS_BRICK_NEEDS:
		return "needs";
	}
	return "unknown";
}

static void why_text(char *text, size_t room, const struct nexus_brick *b)
{
	switch (b->why) {
	case NEXUS_BRICK_PROFILE:
		snprintf(text, room, "profile");
		break;
	case NEXUS_BRICK_PULLED_IN:
		snprintf(text, room, "pulled in by %s", b->by);
		break;
	case NEXUS_BRICK_NEEDS:
		snprintf(text, room, "needs %s", b->by);
		break;
	default:
		snprintf(text, room, "%s", b->by);
	}
}

static int profile_text(void *arg, const struct nexus_profile *profile)
{
	char why[64];
	size_t i;

	(void)arg;
	printf("profile %s\n", profile->name);
	printf("%-15s %-4s %-28s %-8s %s\n", "BRICK", "", "WHY", "", "SERVICES");
	for (i = 0; i < profile->n_bricks; i++) {
		const struct nexus_brick *b = &profile->bricks[i];

		why_text(why, sizeof(why), b);
		printf("%-15s %-4s %-28s %-8s %s%s%s%s\n", b->name, b->on ? "on" : "off", why,
		       b->missing ? "missing" : "", b->services,
		       b->services[0] && b->absent[0] ? " " : "",
		       b->absent[0] ? "not here: " : "", b->absent);
	}
	return 0;
}

/* An array of the names in a text with commas. */
static void names_json(struct json *json, const char *key, const char *names)
{
	char name[128];
	size_t len;

	json_open(json, key, '[');
	for (; *names; names += len + (names[len] == ',')) {
		for (len = 0; names[len] && names[len] != ','; len++)
			;
		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		json_string(json, NULL, name);
	}
	json_close(json, ']');
}

static int profile_json(void *arg, const struct nexus_profile *profile)
{
	struct json json = { .out = stdout };
	size_t i;

	(void)arg;
	json_open(&json, NULL, '{');
	json_string(&json, "profile", profile->name);
	json_open(&json, "bricks", '[');
	for (i = 0; i < profile->n_bricks; i++) {
		const struct nexus_brick *b = &profile->bricks[i];

		json_open(&json, NULL, '{');
		json_string(&json, "name", b->name);
		json_string(&json, "what", b->what);
		json_bool(&json, "on", b->on);
		json_string(&json, "why", why_name(b->why));
		json_string(&json, "by", b->by[0] ? b->by : NULL);
		json_bool(&json, "missing", b->missing);
		names_json(&json, "services", b->services);
		names_json(&json, "absent", b->absent);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
	return 0;
}

int cmd_profile_show(struct ctl *ctl)
{
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_profile(ctl->client, ctl->n_args ? ctl->args[0] : NULL,
			  ctl->json ? profile_json : profile_text, NULL))
		return ctl_failed(ctl);
	return EXIT_OK;
}
