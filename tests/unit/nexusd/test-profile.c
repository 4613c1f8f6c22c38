// SPDX-License-Identifier: Apache-2.0
/* Bricks and profiles: the sets, what settings make of them, and what is started. */
#include "profile.h"
#include "util.h"

#define ALL	((1u << BRICKS) - 1)

/* The sets as they are published: names, not what the table under test says. */
static const struct {
	const char *profile;
	unsigned int count;
	const char *adds;
} published[] = {
	{ "none", 1, "storage" },
	{ "embedded", 2, "eventlog" },
	{ "lite", 8, "namespace agent_registry permissions cache ipc scheduler" },
	{ "full", 21, "search pay llm skills sandbox workflows a2a discovery mcp memory observability uploads resiliency" },
	{ "cloud", 22, "federation" },
};

static enum brick brick_of(const char *name)
{
	struct errline err = { "" };
	enum brick b;

	if (brick_find(name, "test", &b, &err))
		fail_msg("%s", err.msg);
	return b;
}

static uint32_t bits(const char *names)
{
	char copy[512], *save = NULL, *word;
	uint32_t mask = 0;

	snprintf(copy, sizeof(copy), "%s", names);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		mask |= BRICK_BIT(brick_of(word));
	return mask;
}

static uint32_t on(const struct brick_set *set)
{
	uint32_t mask = 0;
	unsigned int i;

	for (i = 0; i < BRICKS; i++)
		mask |= set->of[i].on ? BRICK_BIT(i) : 0;
	return mask;
}

static void test_sets(void **state)
{
	struct brick_wishes w = { .of[0].wish = WISH_PROFILE };
	struct errline err = { "" };
	enum profile profile;
	struct brick_set set;
	uint32_t want = 0;
	unsigned int i, k;

	(void)state;
	assert_int_equal(BRICKS, 22);
	assert_int_equal(sizeof(published) / sizeof(published[0]), PROFILES);
	for (i = 0; i < PROFILES; i++) {
		want |= bits(published[i].adds);
		assert_int_equal(__builtin_popcount(want), published[i].count);
		assert_int_equal(profile_find(published[i].profile, "test", &profile, &err), 0);
		assert_string_equal(profile_name(profile), published[i].profile);
		assert_int_equal(profile_resolve(profile, &w, &set, &err), 0);
		assert_int_equal(on(&set), want);
		for (k = 0; k < BRICKS; k++) {
			assert_int_equal(set.of[k].why, WHY_PROFILE);
			assert_int_equal(profile_has(profile, (enum brick)k), !!(want & BRICK_BIT(k)));
		}
	}
	assert_int_equal(want, ALL);
}

/* A profile is closed: it has all its bricks need.  The order is one to start in. */
static void test_needs(void **state)
{
	unsigned int i, k;

	(void)state;
	for (i = 0; i < BRICKS; i++)
		for (k = 0; k < BRICKS; k++) {
			if (!(bricks[i].needs & BRICK_BIT(k)))
				continue;
			assert_true(k < i);
			assert_true(bricks[k].since <= bricks[i].since);
		}
}

/* The same of services: nothing fatal needs what may be missing without a word. */
static void test_tiers(void **state)
{
	const struct brick_service *s, *t;
	size_t i, k;

	(void)state;
	for (i = 0; i < brick_services_count; i++) {
		s = &brick_services[i];
		assert_true(brick_has_service(s->brick));
		for (k = 0; k < brick_services_count; k++) {
			t = &brick_services[k];
			if (bricks[s->brick].needs & BRICK_BIT(t->brick))
				assert_true(t->tier <= s->tier);
			assert_true(i == k || strcmp(s->name, t->name));
		}
	}
}

struct row {
	const char *profile, *wishes;
	const char *on;		/* beside the profile's, or NULL: refused */
	const char *off;
	const char *words;	/* of the error, or "NAME WHY BY" of one to look at */
};

static const struct row rows[] = {
	{ "none", "", "", "", "storage profile storage" },
	{ "lite", "", "", "", "ipc profile ipc" },
	{ "lite", "search=true", "search", "", "search setting search" },
	{ "lite", "search=true,ipc=no,ipc=", NULL, NULL, "brick ipc is set twice" },
	{ "lite", "ipc=false", "", "ipc", "ipc setting ipc" },
	{ "lite", "ipc=0,scheduler=1", "", "ipc", "scheduler setting scheduler" },
	{ "lite", "ipc=null,search=~,pay=", "", "", "ipc profile ipc" },
	{ "cloud", "federation=no", "", "federation", "federation setting federation" },
	/* pulled in, over one and over two */
	{ "none", "ipc=yes", "ipc eventlog", "", "eventlog pulled-in ipc" },
	{ "none", "workflows=yes", "workflows ipc eventlog", "", "eventlog pulled-in workflows" },
	{ "none", "workflows=yes", "workflows ipc eventlog", "", "ipc pulled-in workflows" },
	{ "embedded", "namespace=1", "namespace permissions", "", "permissions pulled-in namespace" },
	{ "embedded", "scheduler=1,agent_registry=1", "scheduler agent_registry", "",
	  "agent_registry setting agent_registry" },
	/* what the profile has goes with what it needs */
	{ "lite", "permissions=no", "", "permissions namespace", "namespace needs permissions" },
	{ "full", "eventlog=no", "", "eventlog ipc workflows", "workflows needs eventlog" },
	{ "full", "permissions=no", "", "permissions namespace skills", "skills needs permissions" },
	/* what was asked for does not */
	{ "lite", "namespace=yes,permissions=no", NULL, NULL,
	  "row: brick namespace needs brick permissions, which row switches off" },
	{ "none", "workflows=yes,eventlog=no", NULL, NULL,
	  "row: brick workflows needs brick eventlog, which row switches off" },
	{ "none", "eventlog=no", "", "", "eventlog setting eventlog" },
	/* words that are none */
	{ "lite", "storage=false", NULL, NULL, "row: brick storage cannot be switched off" },
	{ "lite", "storage=true", "", "", "storage setting storage" },
	{ "lite", "storage=", "", "", "storage profile storage" },
	{ "lite", "storag=true", NULL, NULL, "row: there is no brick \"storag\"; there are: storage, eventlog" },
	{ "lite", "=true", NULL, NULL, "there is no brick \"\"" },
	{ "lite", "IPC=true", NULL, NULL, "there is no brick \"IPC\"" },
	{ "lite", "ipc", NULL, NULL, "\"ipc\" is no brick and value" },
	{ "lite", "ipc=maybe", NULL, NULL, "row: brick ipc is \"maybe\"; it can be true, false or null" },
	{ "lite", "ipc=true,", "", "", "ipc setting ipc" },
	{ "lite", ",ipc=true", NULL, NULL, "is no brick and value" },
	{ "lite", "ipc=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL,
	  "is no brick and value" },
};

static void check_why(const struct row *r, const struct brick_set *set)
{
	static const char *const names[] = { "", "profile", "setting", "pulled-in", "needs" };
	char name[32], why[32], by[32];
	const struct brick_state *b;

	assert_int_equal(sscanf(r->words, "%31s %31s %31s", name, why, by), 3);
	b = &set->of[brick_of(name)];
	assert_string_equal(names[b->why], why);
	assert_string_equal(bricks[b->by].name, by);
}

static void test_wishes(void **state)
{
	struct errline err;
	enum profile profile;
	struct brick_set set;
	uint32_t want;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct brick_wishes w = { .of[0].wish = WISH_PROFILE }, before;
		const struct row *r = &rows[i];

		print_message("%s + %s\n", r->profile, r->wishes);
		assert_int_equal(profile_find(r->profile, "test", &profile, &err), 0);
		err.msg[0] = '\0';
		before = w;
		ret = brick_wishes_parse(&w, r->wishes, "row", &err);
		if (ret)
			assert_memory_equal(&w, &before, sizeof(w));
		else
			ret = profile_resolve(profile, &w, &set, &err);
		if (!r->on) {
			assert_int_equal(ret, -EINVAL);
			if (!strstr(err.msg, r->words))
				fail_msg("\"%s\" is not in: %s", r->words, err.msg);
			continue;
		}
		assert_int_equal(ret, 0);
		want = ((1u << BRICKS) - 1) & bits(r->on);
		for (unsigned int k = 0; k < BRICKS; k++)
			want |= bricks[k].since <= profile ? BRICK_BIT(k) : 0;
		want &= ~bits(r->off);
		assert_int_equal(on(&set), want);
		check_why(r, &set);
	}
}

static void test_names(void **state)
{
	struct errline err = { "" };
	enum profile profile = PROFILE_LITE;

	(void)state;
	assert_int_equal(profile_find("big", "here", &profile, &err), -EINVAL);
	assert_string_equal(err.msg, "here: there is no profile \"big\"; there are: none, embedded, lite, full, cloud");
	assert_int_equal(profile_find("", "here", &profile, &err), -EINVAL);
	assert_int_equal(profile_find("Lite", "here", &profile, &err), -EINVAL);
	assert_int_equal(profile, PROFILE_LITE);
}

/* All combinations of three wishes over some bricks: rules, not examples. */
static void test_rules(void **state)
{
	static const enum brick some[] = {
		BRICK_EVENTLOG, BRICK_PERMISSIONS, BRICK_NAMESPACE, BRICK_IPC, BRICK_WORKFLOWS,
		BRICK_SKILLS,
	};
	const unsigned int n = sizeof(some) / sizeof(some[0]);
	unsigned int combo, rest, i, k, p, refused = 0, good = 0;
	struct errline err = { "" };
	struct brick_set set;

	(void)state;
	for (combo = 0; combo < 729; combo++)
		for (p = 0; p < PROFILES; p++) {
			struct brick_wishes w = { .of[0].wish = WISH_PROFILE };

			for (i = 0, rest = combo; i < n; i++, rest /= 3)
				w.of[some[i]].wish = (enum brick_wish)(rest % 3);
			if (profile_resolve((enum profile)p, &w, &set, &err)) {
				refused++;
				continue;
			}
			good++;
			assert_true(set.of[BRICK_STORAGE].on);
			for (i = 0; i < BRICKS; i++) {
				if (w.of[i].wish != WISH_PROFILE)
					assert_int_equal(set.of[i].on, w.of[i].wish == WISH_ON);
				for (k = 0; set.of[i].on && k < BRICKS; k++)
					if (bricks[i].needs & BRICK_BIT(k))
						assert_true(set.of[k].on);
				/* Nothing is on that nobody wants. */
				if (set.of[i].on && set.of[i].why == WHY_PULLED_IN)
					assert_true(set.of[set.of[i].by].on);
			}
		}
	assert_true(refused > 100);
	assert_true(good > 1000);
}

static void list_starts(const char *profile_word, const char *wishes, char *text, size_t room)
{
	struct brick_start starts[BRICK_SERVICES_MAX];
	struct brick_wishes w = { .of[0].wish = WISH_PROFILE };
	struct errline err = { "" };
	enum profile profile;
	struct brick_set set;
	size_t n, i, len = 0;

	assert_int_equal(profile_find(profile_word, "test", &profile, &err), 0);
	assert_int_equal(brick_wishes_parse(&w, wishes, "test", &err), 0);
	assert_int_equal(profile_resolve(profile, &w, &set, &err), 0);
	n = profile_starts(profile, &set, starts);
	text[0] = '\0';
	for (i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, room - len, "%s%s:%s", i ? " " : "",
					starts[i].name, tier_name(starts[i].tier));
}

static void test_starts(void **state)
{
	char text[512];

	(void)state;
	list_starts("none", "", text, sizeof(text));
	assert_string_equal(text, "");
	list_starts("embedded", "", text, sizeof(text));
	assert_string_equal(text, "eventlog:degraded");
	list_starts("lite", "", text, sizeof(text));
	assert_string_equal(text, "permissions:fatal eventlog:degraded namespace:degraded agent_registry:degraded mount:silent cache:silent event_bus:silent rpc_grpc:silent scheduler:silent");
	list_starts("lite", "permissions=no", text, sizeof(text));
	assert_string_equal(text, "eventlog:degraded agent_registry:degraded mount:silent cache:silent event_bus:silent rpc_grpc:silent scheduler:silent");
	list_starts("none", "namespace=yes", text, sizeof(text));
	assert_string_equal(text, "permissions:fatal namespace:degraded");
	list_starts("none", "ipc=yes,eventlog=yes", text, sizeof(text));
	assert_string_equal(text, "eventlog:degraded event_bus:silent rpc_grpc:silent");
}

/* ---- YAML ------------------------------------------------------------------------ */

static int load_text(struct config *cfg, struct errline *err, const char *text)
{
	config_defaults(cfg);
	err->msg[0] = '\0';
	return config_text(cfg, text, strlen(text), "f.yaml", err);
}

static void test_yaml(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "profile: big\n", "f.yaml:1: there is no profile \"big\"" },
		{ "\nprofile: \"\"\n", "f.yaml:2: there is no profile \"\"" },
		{ "profile: [lite]\n", "f.yaml:1: profile takes one value" },
		{ "session: a\nbricks:\n  ipc: true\n  bogus: true\n", "f.yaml:4: there is no brick \"bogus\"" },
		{ "bricks:\n  storage: false\n", "f.yaml:2: brick storage cannot be switched off" },
		{ "bricks:\n  ipc: perhaps\n", "f.yaml:2: brick ipc is \"perhaps\"" },
		{ "bricks:\n  ipc: true\n  ipc: true\n", "f.yaml:3: ipc is set twice, first in line 2" },
		{ "bricks:\n  ipc: true\nbricks:\n  pay: true\n", "f.yaml:3: bricks is set twice" },
		{ "bricks:\n  ipc: [true]\n", "f.yaml:2: the name of a brick and one value" },
		{ "bricks:\n  [ipc]: true\n", "f.yaml:2: the name of a brick and one value" },
		{ "bricks:\n  ipc: \"tr\\0ue\"\n", "f.yaml:2: the name of a brick and one value" },
		{ "bricks: ipc\n", "f.yaml:1: bricks takes lines of the form" },
		{ "bricks: [ipc]\n", "f.yaml:1: bricks takes lines of the form" },
		{ "bricks:\n  ipc: true\n - x\n", "f.yaml:3: " },
	};
	struct errline err;
	struct config cfg;
	size_t i;

	(void)state;
	assert_int_equal(load_text(&cfg, &err, "profile: lite\nbricks:\n  ipc: no\n  pay: true\n  llm:\n  mcp: null\n  search: ~\n"), 0);
	assert_int_equal(cfg.profile, PROFILE_LITE);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_false(cfg.set.of[BRICK_IPC].on);
	assert_true(cfg.set.of[BRICK_PAY].on);
	assert_false(cfg.set.of[BRICK_LLM].on);
	assert_string_equal(cfg.bricks.of[BRICK_IPC].where, "f.yaml:3");
	assert_int_equal(load_text(&cfg, &err, "bricks:\n"), 0);
	assert_int_equal(load_text(&cfg, &err, "bricks: {}\n"), 0);
	assert_int_equal(load_text(&cfg, &err, "bricks:\n  namespace: true\n  permissions: false\n"), 0);
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
	assert_string_equal(err.msg, "f.yaml:2: brick namespace needs brick permissions, which f.yaml:3 switches off");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(load_text(&cfg, &err, bad[i].text), -EINVAL);
		if (strncmp(err.msg, bad[i].words, strlen(bad[i].words)))
			fail_msg("\"%s\" does not begin: %s", bad[i].words, err.msg);
		assert_null(strchr(err.msg, '\n'));
	}
}

/* The environment beats the file, and the command line both, brick by brick. */
static void test_who_wins(void **state)
{
	struct errline err;
	struct config cfg;

	(void)state;
	assert_int_equal(load_text(&cfg, &err, "profile: lite\nbricks: {ipc: false, pay: true, llm: true}\n"), 0);
	setenv("NEXUS_PROFILE", "full", 1);
	setenv("NEXUS_BRICKS", "pay=false,llm=", 1);
	assert_int_equal(config_env(&cfg, &err), 0);
	assert_int_equal(cfg.profile, PROFILE_FULL);
	assert_int_equal(config_set(&cfg, "profile", "embedded", "--set", &err), 0);
	assert_int_equal(config_set(&cfg, "bricks", "uploads=true", "--set", &err), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(on(&cfg.set), bits("storage eventlog uploads"));
	assert_string_equal(cfg.bricks.of[BRICK_PAY].where, "NEXUS_BRICKS");
	setenv("NEXUS_PROFILE", "big", 1);
	assert_int_equal(config_env(&cfg, &err), -EINVAL);
	assert_memory_equal(err.msg, "NEXUS_PROFILE: there is no profile", 34);
	unsetenv("NEXUS_PROFILE");
	unsetenv("NEXUS_BRICKS");
}

/* What is set stays; the rest is little in the profile that is for that. */
static void test_embedded(void **state)
{
	struct errline err;
	struct config cfg, plain;

	(void)state;
	config_defaults(&plain);
	assert_int_equal(load_text(&cfg, &err, "profile: embedded\n"), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(cfg.queues, 1);
	assert_int_equal(cfg.memtable_limit, 4 << 20);
	assert_int_equal(cfg.fold_size, 1 << 20);
	assert_int_equal(load_text(&cfg, &err, "profile: embedded\nqueues: 0\nmemtable_limit: 64M\n"), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(cfg.queues, 0);
	assert_int_equal(cfg.memtable_limit, 64 << 20);
	assert_int_equal(load_text(&cfg, &err, "profile: lite\n"), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(cfg.memtable_limit, plain.memtable_limit);
	assert_int_equal(cfg.queues, plain.queues);
	assert_int_equal(profile_connections(PROFILE_EMBEDDED), 3);
	assert_int_equal(profile_connections(PROFILE_CLOUD), 30);
}

/*
 * Whatever bytes there are: an answer, with words when it is no, and storage stays on.
 * Good files are what it begins with, so that most get past the first line.
 */
static void test_fuzz(void **state)
{
	static const char *const seeds[] = {
		"profile: lite\nbricks:\n  ipc: false\n  search: true\n  pay: ~\n",
		"bricks: {namespace: true, permissions: true}\nprofile: full\n",
		"# all\nsession: a\nbricks: &x\n  llm: \"true\"\n  mcp: 'no'\nqueues: 3\n",
	};
	static const char words[][14] = { "storage", "false", "true", ": ", "\n", "  ", "*x", "&x", "{", "}", "[",
		"bricks:", "profile:", "eventlog", "---\n", "\"", "\\0", "!!int ", "<<: *x" };
	unsigned int round, edits, good = 0, bad = 0;
	struct brick_wishes none = { .of[0].wish = WISH_PROFILE };
	const char *what;
	struct errline err;
	struct config cfg;
	char text[512];
	size_t len, at, n;

	(void)state;
	for (round = 0; round < 20000; round++) {
		len = (size_t)snprintf(text, sizeof(text), "%s", seeds[rnd(3)]);
		for (edits = rnd(6); edits; edits--) {
			at = rnd((u32)len + 1);
			what = words[rnd(sizeof(words) / sizeof(words[0]))];
			n = strlen(what);
			switch (rnd(4)) {
			case 0:
				if (at < len)
					text[at] = (char)rnd(256);
				break;
			case 1:
				n = rnd((u32)(len - at) + 1);
				memmove(text + at, text + at + n, len - at - n);
				len -= n;
				break;
			default:
				if (len + n >= sizeof(text))
					break;
				memmove(text + at + n, text + at, len - at);
				memcpy(text + at, what, n);
				len += n;
			}
		}
		config_defaults(&cfg);
		err.msg[0] = '\0';
		if (config_text(&cfg, text, len, "f.yaml", &err) || config_check(&cfg, &err)) {
			assert_true(err.msg[0]);
			bad++;
			continue;
		}
		good++;
		assert_true(cfg.set.of[BRICK_STORAGE].on);
		assert_true(cfg.profile < PROFILES);
		/* And the text form, of the same bytes. */
		text[len] = '\0';
		brick_wishes_parse(&none, text, "fuzz", &err);
	}
	print_message("%u good, %u bad\n", good, bad);
	assert_true(good > 1000);
	assert_true(bad > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_yaml),
		cmocka_unit_test(test_who_wins),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_fuzz),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
