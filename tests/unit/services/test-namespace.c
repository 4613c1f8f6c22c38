// SPDX-License-Identifier: Apache-2.0
/*
 * What subjects may see, over permissions in memory: what paths say, grants against a
 * model, what becomes of what is kept, and permissions that do not answer.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base-world.h"
#include "names.h"

static struct names names;
static const char zones_policy[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  file:\n"
	"    relations:\n"
	"      banned: { this: [user] }\n"
	"      viewer: { this: [user, \"user:*\", group#member] }\n"
	"    permissions: { read: { exclusion: [viewer, banned] } }\n";

/* ---- the permissions, and what may be wrong with them ------------------------------ */

static struct fault {
	int revision, objects;	/* what they return instead */
	uint32_t from;		/* the latter from this piece on */
	uint32_t unknown;	/* what a piece does not know */
	uint32_t pieces;	/* that were asked for */
} fault;

static int ask_revision(void *arg, struct nexus_permission_read *read, uint32_t timeout_ms)
{
	struct nexus_permission_revision_args a = { .read = *read };
	int ret = fault.revision ? fault.revision : base_revision(&b, &a);

	(void)arg;
	(void)timeout_ms;
	memcpy(read->at, a.read.at, sizeof(read->at));
	return ret;
}

static int ask_objects(void *arg, const char *subject, const char *after, uint32_t timeout_ms,
		       names_each each, void *each_arg, struct names_piece *p)
{
	struct nexus_permission_objects_args a = { .list = { .after = after, .max = 100 } };
	const char *colon = strchr(subject, ':');
	char type[64] = "";
	uint32_t i;
	int ret;

	(void)arg;
	assert_in_range(timeout_ms, 1, names.wait_ms);
	if (fault.objects && fault.pieces++ >= fault.from)
		return fault.objects;
	memcpy(type, subject, (size_t)(colon - subject));
	a.list.tuple = (struct nexus_permission_tuple){
		.object_type = NEXUS_NAMESPACE_TYPE, .relation = NEXUS_NAMESPACE_RELATION,
		.subject_type = type, .subject_id = colon + 1,
	};
	ret = base_objects_until(&b, &a);
	*p = (struct names_piece){
		.unknown = a.list.why | fault.unknown, .more = a.list.more,
		.valid_until = a.valid_until_ms,
	};
	memcpy(p->at, a.list.read.at, sizeof(p->at));
	for (i = 0; i < a.list.nitems && !ret; i++)
		ret = each(each_arg, a.list.items[i].id);
	return ret == -ENOENT ? -ENODATA : ret;
}

static const struct names_source source = { .revision = ask_revision, .objects = ask_objects };

static int64_t test_now(void)
{
	return now;
}

static void names_begin(uint64_t limit)
{
	assert_int_equal(names_init(&names, limit), 0);
	names.source = &source;
	names.more = more;
	names.now_ms = test_now;
}

static int begin(void **state)
{
	memset(&fault, 0, sizeof(fault));
	if (setup_kept(state))
		return -1;
	set_policy(zones_policy);
	names_begin(1u << 20);
	return 0;
}

static int finish(void **state)
{
	names_end(&names);
	return teardown(state);
}

/* ---- questions --------------------------------------------------------------------- */

static struct nexus_namespace_visible_args last;

static const struct nexus_namespace_answer *look(const char *subject, const char *path)
{
	last = (struct nexus_namespace_visible_args){
		.who = { .subject = subject }, .zone = "main", .path = path,
	};
	assert_int_equal(names_visible(&names, &last), 0);
	assert_int_equal(last.answer.visible, !last.answer.error);
	return &last.answer;
}

static void sees(const char *subject, const char *path, enum nexus_namespace_why why)
{
	const struct nexus_namespace_answer *a = look(subject, path);

	if (!a->visible || a->why != why)
		fail_msg("%s %s: visible %d, why %u", subject, path, a->visible, a->why);
}

static void misses(const char *subject, const char *path, enum nexus_namespace_why why)
{
	const struct nexus_namespace_answer *a = look(subject, path);

	if (a->visible || a->why != why || a->error != -ENOENT || a->entry || a->readonly)
		fail_msg("%s %s: visible %d, why %u, error %d", subject, path, a->visible, a->why,
			 a->error);
}

static struct nexus_namespace_list_args entries(const char *subject, const char *zone,
						const char *after, uint32_t max)
{
	struct nexus_namespace_list_args a = {
		.who = { .subject = subject }, .zone = zone, .after = after, .max = max,
	};

	assert_int_equal(names_list(&names, &a), 0);
	return a;
}

static struct nexus_namespace_state numbers(void)
{
	struct nexus_namespace_state s;

	assert_int_equal(names_state(&names, &s), 0);
	return s;
}

/* ---- paths -------------------------------------------------------------------------- */

static void test_keys(void **state)
{
	static const struct { const char *zone, *path, *key; int ret; } rows[] = {
		{ "main", "/", "main:", 0 },
		{ "main", "///", "main:", 0 },
		{ "main", "/a", "main:/a", 0 },
		{ "main", "//a/./b///", "main:/a/b", 0 },
		{ "main", "/a/b/..", "main:/a", 0 },
		{ "main", "/a/b/../../c", NULL, -EINVAL },
		{ "main", "/a/..", NULL, -EINVAL },
		{ "main", "/..", NULL, -EINVAL },
		{ "main", "/a/...", "main:/a/...", 0 },
		{ "main", "/a/.b/..c", "main:/a/.b/..c", 0 },
		{ "main", "/a\tb\nc", "main:/a\tb\nc", 0 },
		{ "main", "/a\x01", NULL, -EINVAL },
		{ "main", "a", NULL, -EINVAL },
		{ "main", "", NULL, -EINVAL },
		{ "main", NULL, NULL, -EINVAL },
		{ "", "/a", NULL, -EINVAL },
		{ NULL, "/a", NULL, -EINVAL },
		{ "Main", "/a", NULL, -EINVAL },
		{ "a:b", "/a", NULL, -EINVAL },
		{ "a/b", "/a", NULL, -EINVAL },
	};
	static const struct { const char *id; int ret; } ids[] = {
		{ "main:/", 0 }, { "main:/a", 0 }, { "main:/a:b", 0 }, { "main:", -EINVAL },
		{ "main:/a/", -EINVAL }, { "main://a", -EINVAL }, { "main:/a/./b", -EINVAL },
		{ "main:/a/b/..", -EINVAL }, { "readme", -EINVAL }, { ":/a", -EINVAL },
		{ "/a", -EINVAL }, { "main:a", -EINVAL },
	};
	char key[KEY_SIZE], *longest;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(path_key(rows[i].zone, rows[i].path, key), rows[i].ret);
		if (!rows[i].ret)
			assert_string_equal(key, rows[i].key);
	}
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_int_equal(path_id(ids[i].id, key), ids[i].ret);
	/* As long as can be: of a name, and of a path. */
	longest = malloc(5000);
	assert_non_null(longest);
	memset(longest, 'x', 5000);
	longest[0] = '/';
	longest[256] = '\0';
	assert_int_equal(path_key("main", longest, key), 0);
	longest[256] = 'x';
	longest[257] = '\0';
	assert_int_equal(path_key("main", longest, key), -ENAMETOOLONG);
	for (i = 0; i < 5000; i += 2)
		memcpy(longest + i, "/x", 2);
	longest[4095] = '\0';
	assert_int_equal(path_key("main", longest, key), 0);
	longest[4095] = 'x';
	longest[4096] = '\0';
	assert_int_equal(path_key("main", longest, key), -ENAMETOOLONG);
	free(longest);
}

/* What the first name says, for whom everything in the zone is granted. */
static void test_first_name(void **state)
{
	static const struct { const char *path; enum nexus_namespace_why why; bool readonly; } rows[] = {
		{ "/", NEXUS_NAMESPACE_GRANT, false },
		{ "/workspace", NEXUS_NAMESPACE_GRANT, false },
		{ "/workspace/a", NEXUS_NAMESPACE_GRANT, false },
		{ "/external/x", NEXUS_NAMESPACE_GRANT, false },
		{ "/anything", NEXUS_NAMESPACE_GRANT, false },
		{ "/shared", NEXUS_NAMESPACE_GRANT, false },
		{ "/shared/main", NEXUS_NAMESPACE_GRANT, false },
		{ "/shared/main/a", NEXUS_NAMESPACE_GRANT, false },
		{ "/shared/mainz", NEXUS_NAMESPACE_OTHER_ZONE, false },
		{ "/shared/mai", NEXUS_NAMESPACE_OTHER_ZONE, false },
		{ "/shared/other/a", NEXUS_NAMESPACE_OTHER_ZONE, false },
		{ "/sharedx/other", NEXUS_NAMESPACE_GRANT, false },
		{ "/archives", NEXUS_NAMESPACE_GRANT, true },
		{ "/archives/main/a", NEXUS_NAMESPACE_GRANT, true },
		{ "/archives/other", NEXUS_NAMESPACE_OTHER_ZONE, true },
		{ "/system", NEXUS_NAMESPACE_ADMIN_ONLY, true },
		{ "/system/a", NEXUS_NAMESPACE_ADMIN_ONLY, true },
		{ "/systems", NEXUS_NAMESPACE_GRANT, false },
		{ "/__sys__", NEXUS_NAMESPACE_SYS, false },
		{ "/__sys__/stats", NEXUS_NAMESPACE_SYS, false },
		{ "/workspace/../system", NEXUS_NAMESPACE_NO_GRANT, false },
	};
	struct nexus_namespace_visible_args a;
	const struct nexus_namespace_answer *got;
	size_t i;

	(void)state;
	put("file:main:/#viewer@user:u");
	/* They say nothing more than the first. */
	put("file:main:/system/a#viewer@user:u");
	put("file:main:/shared/other/a#viewer@user:u");
	put("file:main:/shared/other/a#viewer@user:v");
	put("file:main:/system/b#viewer@user:v");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a = (struct nexus_namespace_visible_args){
			.who = { "user:u", true }, .zone = "main", .path = rows[i].path,
		};
		got = look("user:u", rows[i].path);
		if (!strcmp(rows[i].path, "/workspace/../system")) {
			assert_int_equal(got->error, -EINVAL);
			assert_int_equal(names_visible(&names, &a), 0);
			assert_int_equal(a.answer.error, -EINVAL);
			assert_false(a.answer.visible);
			continue;
		}
		if (got->why != rows[i].why ||
		    got->readonly != (rows[i].readonly && got->visible))
			fail_msg("%s: why %u, readonly %d", rows[i].path, got->why, got->readonly);
		assert_int_equal(got->error, got->visible ? 0 : -ENOENT);
		/* Administrators see it all, and nobody writes there, either. */
		assert_int_equal(names_visible(&names, &a), 0);
		assert_true(a.answer.visible);
		assert_int_equal(a.answer.why, NEXUS_NAMESPACE_ADMIN);
		assert_int_equal(a.answer.readonly, rows[i].readonly);
		assert_string_equal(a.read.at, "");
	}
	/* No way leads to what is not visible. */
	misses("user:v", "/shared", NEXUS_NAMESPACE_NO_GRANT);
	misses("user:v", "/shared/other", NEXUS_NAMESPACE_OTHER_ZONE);
	misses("user:v", "/system", NEXUS_NAMESPACE_ADMIN_ONLY);
	assert_int_equal(entries("user:v", NULL, NULL, 0).count, 0);
	sees("user:0", "/system/a", NEXUS_NAMESPACE_ADMIN);
	assert_true(entries("user:0", NULL, NULL, 0).all);
}

/* ---- grants -------------------------------------------------------------------------- */

static void test_grants(void **state)
{
	struct nexus_namespace_list_args l;

	(void)state;
	sees("user:u", "/", NEXUS_NAMESPACE_ROOT);
	misses("user:u", "/a", NEXUS_NAMESPACE_NO_GRANT);
	put("file:main:/a/b#viewer@user:u");
	sees("user:u", "/a/b", NEXUS_NAMESPACE_GRANT);
	assert_string_equal(last.answer.entry, "main:/a/b");
	sees("user:u", "/a/b/c", NEXUS_NAMESPACE_GRANT);
	sees("user:u", "/a", NEXUS_NAMESPACE_WAY);
	assert_null(last.answer.entry);
	/* Its brothers are not there, whatever they begin with. */
	misses("user:u", "/a/bc", NEXUS_NAMESPACE_NO_GRANT);
	misses("user:u", "/a/c", NEXUS_NAMESPACE_NO_GRANT);
	misses("user:u", "/a/b-", NEXUS_NAMESPACE_NO_GRANT);
	misses("user:v", "/a", NEXUS_NAMESPACE_NO_GRANT);
	/* Another zone's is another path. */
	put("file:other:/z#viewer@user:u");
	misses("user:u", "/z", NEXUS_NAMESPACE_NO_GRANT);
	/* Of groups, of everybody, but for whom it is denied. */
	put("file:main:/g#viewer@group:x#member");
	put("group:x#member@group:y#member");
	put("group:y#member@user:u");
	sees("user:u", "/g", NEXUS_NAMESPACE_GRANT);
	put("file:main:/all#viewer@user:*");
	sees("user:u", "/all", NEXUS_NAMESPACE_GRANT);
	sees("user:nobody", "/all", NEXUS_NAMESPACE_GRANT);
	put("file:main:/all#banned@user:u");
	misses("user:u", "/all", NEXUS_NAMESPACE_NO_GRANT);
	/* What is below another one is not listed. */
	put("file:main:/a/b/c#viewer@user:u");
	put("file:main:/a/b-#viewer@user:u");
	put("file:readme#viewer@user:u");
	l = entries("user:u", "main", NULL, 0);
	assert_int_equal(l.count, 3);
	assert_string_equal(l.entries[0], "main:/a/b");
	assert_string_equal(l.entries[1], "main:/a/b-");
	assert_string_equal(l.entries[2], "main:/g");
	assert_int_equal(entries("user:u", NULL, NULL, 0).count, 4);
	assert_int_equal(entries("user:u", "mai", NULL, 0).count, 0);
	l = entries("user:u", "", "main:/a/b", 1);
	assert_int_equal(l.count, 1);
	assert_true(l.more);
	assert_string_equal(l.entries[0], "main:/a/b-");
	/* The one behind which it goes on may be gone. */
	l = entries("user:u", NULL, "main:/a/b/x", 1);
	assert_string_equal(l.entries[0], "main:/a/b-");
	assert_true(numbers().ignored > 0);
	put("file:main:/#viewer@user:u");
	l = entries("user:u", "main", NULL, 0);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.entries[0], "main:/");
	sees("user:u", "/", NEXUS_NAMESPACE_GRANT);
}

/* Random grants on small trees, whose answers follow from one comparison each. */
static uint32_t chance(uint32_t n)
{
	static u64 x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x % n);
}

static void random_path(char *path)
{
	static const char *const parts[] = { "a", "b", "a-", "ab", "a b", "a.b" };
	uint32_t n = 1 + chance(4);

	for (*path = '\0'; n--; )
		sprintf(path + strlen(path), "/%s", parts[chance(6)]);
}

static bool below(const char *top, const char *path)
{
	size_t n = strlen(top);

	return !strncmp(top, path, n) && (!path[n] || path[n] == '/');
}

static void test_random(void **state)
{
	char granted[12][32], text[96], path[200][32];
	struct nexus_namespace_filter_args f;
	const char *paths[200];
	bool way, grant;
	uint32_t i, j, n, round, yes = 0;

	(void)state;
	for (round = 0; round < 60; round++) {
		n = 1 + chance(12);
		for (i = 0; i < n; i++) {
			random_path(granted[i]);
			snprintf(text, sizeof(text), "file:main:%s#viewer@user:u", granted[i]);
			put(text);
		}
		for (i = 0; i < 200; i++) {
			random_path(path[i]);
			paths[i] = path[i];
		}
		f = (struct nexus_namespace_filter_args){
			.who = { .subject = "user:u" }, .zone = "main", .paths = paths, .count = 200,
		};
		assert_int_equal(names_filter(&names, &f), 0);
		for (i = 0; i < 200; i++) {
			way = grant = false;
			for (j = 0; j < n; j++) {
				grant |= below(granted[j], path[i]);
				way |= below(path[i], granted[j]);
			}
			if (f.answers[i].visible != (grant || way) ||
			    (f.answers[i].why == NEXUS_NAMESPACE_GRANT) != grant)
				fail_msg("%s: %u, grant %d, way %d", path[i], f.answers[i].why,
					 grant, way);
			yes += f.answers[i].visible;
		}
		for (i = 0; i < n; i++) {
			snprintf(text, sizeof(text), "file:main:%s#viewer@user:u", granted[i]);
			del(text);
		}
	}
	assert_in_range(yes, 2000, 10000);
}

/* More than one piece of the permissions' list, and of its own. */
static void test_pieces(void **state)
{
	struct nexus_namespace_list_args l;
	char text[64], after[64] = "";
	uint32_t i, n = 0, pieces = 0;

	(void)state;
	for (i = 0; i < 250; i++) {
		snprintf(text, sizeof(text), "file:main:/d%u#viewer@user:u", i);
		put(text);
	}
	do {
		l = entries("user:u", NULL, after, 99);
		n += l.count;
		pieces++;
		snprintf(after, sizeof(after), "%s", l.entries[l.count - 1]);
	} while (l.more);
	assert_int_equal(n, 250);
	assert_int_equal(pieces, 3);
	for (i = 0; i < 250; i++) {
		snprintf(text, sizeof(text), "/d%u", i);
		sees("user:u", text, NEXUS_NAMESPACE_GRANT);
	}
}

/* ---- what is kept --------------------------------------------------------------------- */

static void test_kept(void **state)
{
	struct nexus_namespace_state before, after;
	uint64_t generation;

	(void)state;
	put("file:main:/a#viewer@user:u");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	generation = last.read.generation;
	assert_true(generation != 0);
	before = numbers();
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	misses("user:u", "/b", NEXUS_NAMESPACE_NO_GRANT);
	after = numbers();
	assert_int_equal(after.hits, before.hits + 2);
	assert_int_equal(after.built, before.built);
	/* A write of others: read again, and the same. */
	put("file:main:/b#viewer@user:v");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.generation, generation);
	assert_int_equal(numbers().same, before.same + 1);
	/* Revoked is revoked at once, and so is what is granted. */
	del("file:main:/a#viewer@user:u");
	misses("user:u", "/a", NEXUS_NAMESPACE_NO_GRANT);
	assert_true(last.read.generation > generation);
	generation = last.read.generation;
	put("file:main:/a#viewer@user:u");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	assert_true(last.read.generation > generation);
	/* By a group, and by a policy. */
	put("file:main:/g#viewer@group:x#member");
	put("group:x#member@user:u");
	sees("user:u", "/g", NEXUS_NAMESPACE_GRANT);
	del("group:x#member@user:u");
	misses("user:u", "/g", NEXUS_NAMESPACE_NO_GRANT);
	set_policy("types:\n  user:\n  file:\n    relations: { viewer: { this: [user] }, owner: { this: [user] } }\n"
		   "    permissions: { read: [owner] }\n");
	misses("user:u", "/a", NEXUS_NAMESPACE_NO_GRANT);
}

/* No write tells of it. */
static void test_time(void **state)
{
	uint64_t generation;

	(void)state;
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "file:main:/t#viewer@user:u", now + 1000, NULL), 0);
	put("file:main:/k#viewer@user:u");
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "file:main:/k#banned@user:u", now + 2000, NULL), 0);
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.valid_until_ms, now + 1000);
	/* As found, as kept by the permissions, and as kept here. */
	put("group:z#member@user:z");
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	put("group:z#member@user:y");
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.valid_until_ms, now + 1000);
	generation = last.read.generation;
	now += 999;
	sees("user:u", "/t", NEXUS_NAMESPACE_GRANT);
	misses("user:u", "/k", NEXUS_NAMESPACE_NO_GRANT);
	assert_int_equal(last.read.generation, generation);
	now += 1;
	misses("user:u", "/t", NEXUS_NAMESPACE_NO_GRANT);
	assert_true(last.read.generation > generation);
	now += 1000;
	sees("user:u", "/k", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.valid_until_ms, INT64_MAX);
}

static void test_limit(void **state)
{
	struct nexus_namespace_state s;
	char text[64], who[16];
	uint32_t i;

	(void)state;
	names_end(&names);
	names_begin(20000);
	for (i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "file:main:/d%u#viewer@user:u%u", i, i);
		put(text);
		snprintf(who, sizeof(who), "user:u%u", i);
		snprintf(text, sizeof(text), "/d%u", i);
		sees(who, text, NEXUS_NAMESPACE_GRANT);
		assert_true(numbers().bytes <= 20000);
	}
	s = numbers();
	assert_true(s.evicted > 0 && s.subjects + s.evicted == 200 && s.entries == s.subjects);
	/* The last ones are there, the first is not. */
	sees("user:u199", "/d199", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(numbers().built, 200);
	sees("user:u0", "/d0", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(numbers().built, 201);
	names_end(&names);
	names_begin(0);
	sees("user:u0", "/d0", NEXUS_NAMESPACE_GRANT);
	sees("user:u0", "/d0", NEXUS_NAMESPACE_GRANT);
	s = numbers();
	assert_int_equal(s.built, 2);
	assert_int_equal(s.bytes + s.subjects + s.entries + s.evicted, 0);
}

/* Which states are wanted is the permissions' affair. */
static void test_states(void **state)
{
	struct nexus_namespace_visible_args a = {
		.who = { .subject = "user:u" }, .zone = "main", .path = "/a",
	};

	(void)state;
	put("file:main:/a#viewer@user:u");
	a.read.freshness = NEXUS_PERMISSION_AT_LEAST;
	strcpy(a.read.token, last_write.token);
	assert_int_equal(names_visible(&names, &a), 0);
	assert_true(a.answer.visible);
	assert_string_equal(a.read.at, last_write.token);
	strcat(a.read.token, "0");
	assert_int_equal(names_visible(&names, &a), -ESTALE);
	assert_false(a.answer.visible);
	strcpy(a.read.token, "x");
	assert_int_equal(names_visible(&names, &a), -EINVAL);
	a.read.freshness = 9;
	assert_int_equal(names_visible(&names, &a), -EINVAL);
}

/* ---- what goes wrong -------------------------------------------------------------------- */

static void test_bad(void **state)
{
	static const char *const subjects[] = { "", "user", "user:", ":u", NULL };
	struct nexus_namespace_filter_args f = { .who = { .subject = "user:u" }, .zone = "main" };
	struct nexus_namespace_list_args l = { .who = { .subject = "user:u" }, .max = 1001 };
	struct nexus_namespace_visible_args a = { .zone = "main", .path = "/a" };
	const char *paths[] = { "/a", "a", "/all/../..", "/b" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		a.who.subject = subjects[i];
		assert_int_equal(names_visible(&names, &a), -EINVAL);
		assert_false(a.answer.visible);
	}
	assert_int_equal(names_filter(&names, &f), -EINVAL);
	f.count = 1001;
	assert_int_equal(names_filter(&names, &f), -EMSGSIZE);
	assert_null(f.answers);
	put("file:main:/a#viewer@user:u");
	f.count = 4;
	f.paths = paths;
	assert_int_equal(names_filter(&names, &f), 0);
	assert_true(f.answers[0].visible && !f.answers[1].visible && !f.answers[2].visible);
	assert_int_equal(f.answers[1].error, -EINVAL);
	assert_int_equal(f.answers[2].error, -EINVAL);
	assert_int_equal(f.answers[3].error, -ENOENT);
	assert_int_equal(names_list(&names, &l), -EMSGSIZE);
	l.max = 0;
	l.after = "nonsense";
	assert_int_equal(names_list(&names, &l), -EINVAL);
	/* The policy has no paths, or no such subjects. */
	a.who.subject = "agent:x";
	assert_int_equal(names_visible(&names, &a), -ENODATA);
	set_policy("types:\n  user:\n");
	a.who.subject = "user:u";
	assert_int_equal(names_visible(&names, &a), -ENODATA);
	assert_false(a.answer.visible);
}

/* What a limit left out is not visible, and looked for again. */
static void test_partial(void **state)
{
	struct nexus_namespace_state s;
	char text[64];
	uint32_t i;

	(void)state;
	put("file:main:/a/b#viewer@user:u");
	fault.unknown = NEXUS_PERMISSION_NODES;
	sees("user:u", "/a/b", NEXUS_NAMESPACE_GRANT);
	sees("user:u", "/a", NEXUS_NAMESPACE_WAY);
	misses("user:u", "/c", NEXUS_NAMESPACE_UNKNOWN);
	assert_int_equal(last.read.unknown, NEXUS_PERMISSION_NODES);
	assert_int_equal(last.read.generation, 0);
	s = numbers();
	assert_int_equal(s.partial, 3);
	assert_int_equal(s.hits, 0);
	/* What depends on facts is not there, and not for lack of time. */
	fault.unknown = NEXUS_PERMISSION_CONDITION;
	misses("user:u", "/c", NEXUS_NAMESPACE_NO_GRANT);
	assert_true(last.read.generation != 0);
	misses("user:u", "/c", NEXUS_NAMESPACE_NO_GRANT);
	assert_int_equal(numbers().hits, 1);
	fault.unknown = 0;
	/* In the middle of it. */
	for (i = 0; i < 150; i++) {
		snprintf(text, sizeof(text), "file:main:/d%u#viewer@user:w", i);
		put(text);
	}
	fault = (struct fault){ .objects = -ETIMEDOUT, .from = 1 };
	sees("user:w", "/d0", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(last.read.unknown, NEXUS_PERMISSION_DEADLINE);
	fault = (struct fault){ .objects = -ETIMEDOUT, .from = 1 };
	misses("user:w", "/d149", NEXUS_NAMESPACE_UNKNOWN);
	fault = (struct fault){ .objects = -EIO, .from = 1 };
	last.path = "/d0";
	assert_int_equal(names_visible(&names, &last), -EIO);
	assert_false(last.answer.visible);
	memset(&fault, 0, sizeof(fault));
	sees("user:w", "/d149", NEXUS_NAMESPACE_GRANT);
}

/* Busy permissions are a no, others an error; and what is kept is not used then. */
static void test_faults(void **state)
{
	static const int busy[] = { -EAGAIN, -ETIMEDOUT }, errors[] = { -EIO, -ESHUTDOWN, -ENOMEM };
	struct nexus_namespace_visible_args a = {
		.who = { .subject = "user:u" }, .zone = "main", .path = "/a",
	};
	size_t i;

	(void)state;
	put("file:main:/a#viewer@user:u");
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
	for (i = 0; i < 2; i++) {
		fault.revision = busy[i];
		misses("user:u", "/a", NEXUS_NAMESPACE_UNKNOWN);
		assert_int_equal(last.read.unknown, NEXUS_PERMISSION_DEADLINE);
		assert_int_equal(entries("user:u", NULL, NULL, 0).count, 0);
		/* They see without the permissions. */
		sees("user:0", "/a", NEXUS_NAMESPACE_ADMIN);
		sees("user:u", "/__sys__", NEXUS_NAMESPACE_SYS);
		fault.revision = 0;
		fault.objects = busy[i];
		misses("user:w", "/a", NEXUS_NAMESPACE_UNKNOWN);
		fault.objects = 0;
	}
	assert_int_equal(numbers().busy, 8);
	for (i = 0; i < 3; i++) {
		fault.revision = errors[i];
		assert_int_equal(names_visible(&names, &a), errors[i]);
		assert_false(a.answer.visible);
		fault.revision = 0;
		fault.objects = errors[i];
		a.who.subject = "user:w";
		assert_int_equal(names_visible(&names, &a), errors[i]);
		assert_false(a.answer.visible);
		fault.objects = 0;
		a.who.subject = "user:u";
	}
	sees("user:u", "/a", NEXUS_NAMESPACE_GRANT);
}

static void test_too_many(void **state)
{
	struct view_maker m = { .n = 0 };
	char id[32];
	uint32_t i;

	(void)state;
	for (i = 0; i < NEXUS_NAMESPACE_ENTRIES_MAX; i++) {
		snprintf(id, sizeof(id), "main:/d%u", i);
		assert_int_equal(view_add(&m, id), 0);
	}
	assert_int_equal(view_add(&m, "main:/e"), -ENOSPC);
	view_maker_end(&m);
	fault.objects = -ENOSPC;
	misses("user:u", "/a", NEXUS_NAMESPACE_UNKNOWN);
	assert_int_equal(last.read.unknown, NEXUS_PERMISSION_NODES);
}

static void test_explain(void **state)
{
	struct nexus_namespace_explain_args a = {
		.visible = { .who = { .subject = "user:u" }, .zone = "main", .path = "/a/b" },
	};

	(void)state;
	put("file:main:/a#viewer@user:u");
	put("file:nonsense#viewer@user:u");
	assert_int_equal(names_explain(&names, &a), 0);
	assert_true(a.visible.answer.visible);
	assert_string_equal(a.lines[0], "yes: it is granted, or something above it");
	assert_string_equal(a.lines[1], "by file:main:/a#read@user:u");
	assert_int_equal(a.nlines, 4);
	assert_string_equal(a.lines[3], "1 objects are no path of a zone");
	a.visible.path = "/b";
	assert_int_equal(names_explain(&names, &a), 0);
	assert_string_equal(a.lines[0], "no: nothing above or below it is granted");
	a.visible.path = "b";
	assert_int_equal(names_explain(&names, &a), 0);
	assert_string_equal(a.lines[0], "no: it is no path of a zone");
	fault.revision = -EIO;
	assert_int_equal(names_explain(&names, &a), -EIO);
	assert_int_equal(a.nlines, 0);
}

/* ---- many at once ------------------------------------------------------------------------ */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static uint32_t inside;
static bool open_gate;

static int slow_revision(void *arg, struct nexus_permission_read *read, uint32_t timeout_ms)
{
	(void)arg;
	(void)timeout_ms;
	strcpy(read->at, "one");
	return 0;
}

static int slow_objects(void *arg, const char *subject, const char *after, uint32_t timeout_ms,
			names_each each, void *each_arg, struct names_piece *p)
{
	(void)arg;
	(void)subject;
	(void)after;
	(void)timeout_ms;
	pthread_mutex_lock(&gate);
	inside++;
	pthread_cond_broadcast(&moved);
	while (!open_gate)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
	*p = (struct names_piece){ .at = "one", .valid_until = INT64_MAX };
	return each(each_arg, "main:/a");
}

static const struct names_source slow = { .revision = slow_revision, .objects = slow_objects };

static void *slow_asker(void *arg)
{
	struct nexus_namespace_visible_args a = {
		.who = { .subject = arg }, .zone = "main", .path = "/a",
	};

	return names_visible(&names, &a) || !a.answer.visible || a.answer.why != NEXUS_NAMESPACE_GRANT ?
		arg : NULL;
}

/* No more subjects at a time than builders: the others are denied, not made to wait for ever. */
static void test_busy(void **state)
{
	static char who[NAMES_BUILDERS][16];
	pthread_t threads[NAMES_BUILDERS];
	void *failed;
	uint32_t i;

	(void)state;
	names.source = &slow;
	inside = 0;
	open_gate = false;
	for (i = 0; i < NAMES_BUILDERS; i++) {
		snprintf(who[i], sizeof(who[i]), "user:u%u", i);
		assert_int_equal(pthread_create(&threads[i], NULL, slow_asker, who[i]), 0);
	}
	pthread_mutex_lock(&gate);
	while (inside < NAMES_BUILDERS)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
	/* Nobody else reads it: the time is up, however short it is. */
	names.wait_ms = 1;
	misses("user:another", "/a", NEXUS_NAMESPACE_UNKNOWN);
	misses("user:u0", "/a", NEXUS_NAMESPACE_UNKNOWN);
	sees("user:0", "/a", NEXUS_NAMESPACE_ADMIN);
	assert_int_equal(numbers().busy, 2);
	names.wait_ms = 600000;
	pthread_mutex_lock(&gate);
	open_gate = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	for (i = 0; i < NAMES_BUILDERS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	sees("user:another", "/a", NEXUS_NAMESPACE_GRANT);
	assert_int_equal(inside, NAMES_BUILDERS + 1);
}

#define CROWD	16u

/* Whoever wants what is being read waits for it, and reads nothing itself. */
static void test_crowd(void **state)
{
	static char who[] = "user:u";
	pthread_t threads[CROWD];
	void *failed;
	uint32_t i;

	(void)state;
	names.source = &slow;
	names.wait_ms = 600000;
	inside = 0;
	open_gate = false;
	for (i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, slow_asker, who), 0);
	pthread_mutex_lock(&gate);
	while (!inside)
		pthread_cond_wait(&moved, &gate);
	open_gate = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	for (i = 0; i < CROWD; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(inside, 1);
	assert_int_equal(numbers().built, 1);
	assert_int_equal(numbers().hits, CROWD - 1);
}

/* Revoked again and again while others ask: nobody is told yes that asked afterwards. */
static atomic_uint phase, asked, late;
static atomic_bool over;

static void *asker(void *arg)
{
	char who[16];
	uint32_t i, before;
	struct nexus_namespace_visible_args a;

	(void)arg;
	for (i = 0; !atomic_load(&over); i++) {
		snprintf(who, sizeof(who), "user:u%u", i % 3);
		a = (struct nexus_namespace_visible_args){
			.who = { .subject = who }, .zone = "main", .path = "/a/b",
		};
		before = atomic_load(&phase);
		if (names_visible(&names, &a) || a.answer.why == NEXUS_NAMESPACE_UNKNOWN ||
		    (before == atomic_load(&phase) && before % 2 == 0 && a.answer.visible))
			atomic_fetch_add(&late, 1);
		atomic_fetch_add(&asked, 1);
	}
	return NULL;
}

static void test_revocations(void **state)
{
	pthread_t threads[4];
	uint32_t i, j, seen;
	char text[64];

	(void)state;
	names.wait_ms = 600000;
	put("group:g#member@user:u0");
	put("group:g#member@user:u1");
	put("group:g#member@user:u2");
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, asker, NULL), 0);
	for (i = 0; i < 150; i++) {
		atomic_fetch_add(&phase, 1);
		put("file:main:/a#viewer@group:g#member");
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + 4)
			sched_yield();
		for (j = 0; j < i % 3; j++) {
			snprintf(text, sizeof(text), "group:h#member@user:w%u", i * 3 + j);
			put(text);
		}
		del("file:main:/a#viewer@group:g#member");
		atomic_fetch_add(&phase, 1);
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + 4)
			sched_yield();
	}
	atomic_store(&over, true);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&late), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		T(test_first_name), T(test_grants), T(test_random), T(test_pieces), T(test_kept),
		T(test_time), T(test_limit), T(test_states), T(test_bad), T(test_partial),
		T(test_faults), T(test_too_many), T(test_explain), T(test_busy), T(test_crowd),
		T(test_revocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
