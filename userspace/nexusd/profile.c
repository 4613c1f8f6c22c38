// SPDX-License-Identifier: Apache-2.0
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- wishes -------------------------------------------------------------------- */

static int parse_wish(const char *value, enum brick_wish *wish)
{
	static const struct {
		const char *word;
		enum brick_wish wish;
	} words[] = {
		{ "true", WISH_ON }, { "yes", WISH_ON }, { "1", WISH_ON },
		{ "false", WISH_OFF }, { "no", WISH_OFF }, { "0", WISH_OFF },
		{ "", WISH_PROFILE }, { "~", WISH_PROFILE }, { "null", WISH_PROFILE },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i].word, value)) {
			*wish = words[i].wish;
			return 0;
		}
	return -EINVAL;
}

int brick_wish_set(struct brick_wishes *w, const char *brick, const char *value,
		   const char *where, struct errline *err)
{
	enum brick_wish wish;
	enum brick b;
	int ret;

	ret = brick_find(brick, where, &b, err);
	if (ret)
		return ret;
	if (parse_wish(value, &wish))
		return err_set(err, -EINVAL,
			       "%s: brick %s is \"%.40s\"; it can be true, false or null (as the profile has it)",
			       where, brick, value);
	if (b == BRICK_STORAGE && wish == WISH_OFF)
		return err_set(err, -EINVAL,
			       "%s: brick storage cannot be switched off: it is the filesystem", where);
	w->of[b].wish = wish;
	snprintf(w->of[b].where, sizeof(w->of[b].where), "%s", where);
	return 0;
}

int brick_wishes_parse(struct brick_wishes *w, const char *text, const char *where,
		       struct errline *err)
{
	struct brick_wishes copy = *w;
	char word[64], *eq;
	uint32_t seen = 0;
	enum brick b;
	size_t len;
	int ret;

	for (; *text; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word)),
			 text);
		eq = strchr(word, '=');
		if (!eq || len >= sizeof(word))
			return err_set(err, -EINVAL,
				       "%s: \"%.40s\" is no brick and value; NAME=true or NAME=false is expected, with commas between several",
				       where, word);
		*eq = '\0';
		ret = brick_wish_set(&copy, word, eq + 1, where, err);
		if (ret)
			return ret;
		brick_find(word, where, &b, NULL);
		if (seen & BRICK_BIT(b))
			return err_set(err, -EINVAL, "%s: brick %s is set twice", where, word);
		seen |= BRICK_BIT(b);
	}
	*w = copy;
	return 0;
}

/* ---- what is on ------------------------------------------------------------------ */

/* All that a brick needs, also by way of others; each stands behind what it needs. */
static uint32_t all_needs(enum brick brick)
{
	uint32_t needs = bricks[brick].needs;
	unsigned int i = brick;

	while (i--)
		if (needs & BRICK_BIT(i))
			needs |= bricks[i].needs;
	return needs;
}

/* One of those needed that was switched off, or BRICKS. */
static unsigned int need_off(const struct brick_wishes *w, uint32_t needs)
{
	unsigned int i;

	for (i = 0; i < BRICKS; i++)
		if ((needs & BRICK_BIT(i)) && w->of[i].wish == WISH_OFF)
			break;
	return i;
}

static void pull_in(struct brick_set *set, uint32_t needs, enum brick by)
{
	unsigned int i;

	for (i = 0; i < BRICKS; i++)
		if ((needs & BRICK_BIT(i)) && !set->of[i].on)
			set->of[i] = (struct brick_state){ true, WHY_PULLED_IN, by };
}

int profile_resolve(enum profile profile, const struct brick_wishes *w, struct brick_set *set,
		    struct errline *err)
{
	unsigned int i, off;
	bool wanted;

	for (i = 0; i < BRICKS; i++) {
		wanted = w->of[i].wish != WISH_PROFILE;
		set->of[i].on = wanted ? w->of[i].wish == WISH_ON : profile_has(profile, i);
		set->of[i].why = wanted ? WHY_SETTING : WHY_PROFILE;
		set->of[i].by = (enum brick)i;
	}
	for (i = 0; i < BRICKS; i++) {
		off = set->of[i].on ? need_off(w, all_needs((enum brick)i)) : BRICKS;
		if (off == BRICKS)
			continue;
		if (set->of[i].why == WHY_SETTING)
			return err_set(err, -EINVAL,
				       "%s: brick %s needs brick %s, which %s switches off",
				       w->of[i].where, bricks[i].name, bricks[off].name,
				       w->of[off].where);
		set->of[i] = (struct brick_state){ false, WHY_NEEDS, (enum brick)off };
	}
	for (i = 0; i < BRICKS; i++)
		if (set->of[i].on && set->of[i].why != WHY_PULLED_IN)
			pull_in(set, all_needs((enum brick)i), (enum brick)i);
	return 0;
}

/* ---- what to start ----------------------------------------------------------------- */

size_t profile_starts(enum profile profile, const struct brick_set *set,
		      struct brick_start starts[BRICK_SERVICES_MAX])
{
	unsigned int tier, brick;
	size_t n = 0, i;

	for (tier = 0; tier < TIERS; tier++)
		for (brick = 0; brick < BRICKS; brick++)
			for (i = 0; i < brick_services_count; i++) {
				const struct brick_service *s = &brick_services[i];

				if (s->brick == brick && set->of[brick].on && s->tier == tier &&
				    s->since <= profile)
					starts[n++] = (struct brick_start){
						s->name, s->brick, s->tier, s->records,
					};
			}
	return n;
}
