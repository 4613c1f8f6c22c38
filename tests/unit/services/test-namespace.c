// SPDX-License-Identifier: Apache-2.0
/* What paths say, grants against a model, questions that are none, explanations. */
#include "namespace-world.h"

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

/* ---- bad questions -------------------------------------------------------------------- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		IN_NAMES(test_first_name), IN_NAMES(test_grants), IN_NAMES(test_random),
		IN_NAMES(test_pieces), IN_NAMES(test_bad), IN_NAMES(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
