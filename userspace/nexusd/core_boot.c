// SPDX-License-Identifier: Apache-2.0
/* The control operations: the start, and profiles. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot.h"
#include "core_impl.h"
#include "helper.h"

struct step_arg {
	control_boot_step_fn fn;
	void *arg;
};

static int give_step(void *arg, const struct boot_step *s)
{
	const struct control_boot_step step = {
		.stage = s->stage,
		.tier = s->tier < TIERS ? s->tier + 1 : 0,
		.outcome = s->outcome,
		.name = s->name,
		.reason = s->reason,
		.at_us = s->at_us,
		.took_us = s->took_us,
	};
	struct step_arg *sa = arg;

	return sa->fn(sa->arg, &step);
}

int core_boot(void *ctx, struct control_boot *boot, control_boot_step_fn fn, void *arg,
	      struct control_err *err)
{
	struct step_arg sa = { fn, arg };
	struct boot_state state;
	struct helper *h = ctx;

	(void)err;
	boot_state(h->boot, &state);
	snprintf(boot->profile, sizeof(boot->profile), "%s", profile_name(h->cfg.profile));
	boot->running = state.running;
	boot->took_us = state.took_us;
	return boot_steps(h->boot, give_step, &sa);
}

/* Names of a brick's services, with commas: those that are there, and the others. */
static void name_services(const struct config *cfg, enum brick brick, char *here, char *absent,
			  size_t room)
{
	size_t i, len;
	char *to;

	here[0] = absent[0] = '\0';
	for (i = 0; i < brick_services_count; i++) {
		if (brick_services[i].brick != brick)
			continue;
		to = boot_is_here(cfg->services_dir, brick_services[i].name) ? here : absent;
		len = strlen(to);
		snprintf(to + len, room - len, "%s%s", len ? "," : "", brick_services[i].name);
	}
}

static bool is_missing(const struct brick_set *set, enum brick brick, const char *here)
{
	return set->of[brick].on && !bricks[brick].builtin && !here[0];
}

static const char *named_by(const struct config *cfg, const struct brick_state *b, enum brick brick)
{
	if (b->why == WHY_SETTING)
		return cfg->bricks.of[brick].where;
	return b->why == WHY_PROFILE ? "" : bricks[b->by].name;
}

uint32_t core_bricks_missing(const struct config *cfg)
{
	char here[128], absent[128];
	uint32_t n = 0;
	unsigned int i;

	for (i = 0; i < BRICKS; i++) {
		name_services(cfg, (enum brick)i, here, absent, sizeof(here));
		n += is_missing(&cfg->set, (enum brick)i, here);
	}
	return n;
}

int core_profile(void *ctx, const char *name, char name_out[CONTROL_NAME_MAX],
		 control_brick_fn fn, void *arg, struct control_err *err)
{
	struct helper *h = ctx;
	enum profile profile = h->cfg.profile;
	char here[128], absent[128], buf[128];
	struct errline line = { "" };
	struct brick_set set;
	unsigned int i;
	int ret = 0;

	if (name[0])
		ret = profile_find(name, "profile show", &profile, &line);
	if (!ret)
		ret = profile_resolve(profile, &h->cfg.bricks, &set, &line);
	if (ret)
		return control_err(err, ret, "%s", err_text(&line, ret, buf, sizeof(buf)));
	snprintf(name_out, CONTROL_NAME_MAX, "%s", profile_name(profile));
	for (i = 0; i < BRICKS && !ret; i++) {
		struct control_brick brick = {
			.name = bricks[i].name,
			.what = bricks[i].what,
			.on = set.of[i].on,
			.why = set.of[i].why,
			.by = named_by(&h->cfg, &set.of[i], (enum brick)i),
			.services = here,
			.absent = absent,
		};

		name_services(&h->cfg, (enum brick)i, here, absent, sizeof(here));
		brick.missing = is_missing(&set, (enum brick)i, here);
		ret = fn(arg, &brick);
	}
	return ret;
}
