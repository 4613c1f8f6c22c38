// SPDX-License-Identifier: Apache-2.0
/*
 * Measures checks of permissions over many tuples in SQLite, first with nothing
 * kept between them, then with closures and answers; see tools/bench/rebac,
 * which runs it.
 *
 *	bench-rebac FILE TUPLES CHECKS
 *
 * A document is in a folder, that is in another one, of which the members of a
 * group are viewers; groups have groups as members, and those have users: five
 * tuples from the question to a yes.
 */
#include <stdio.h>
#include <time.h>

#include <nexus/recordstore.h>

#include "base.h"

extern const struct nexus_record_driver nexus_record_driver;

#define GROUPS_OF_GROUP	4u	/* members of an upper group */
#define USERS_OF_GROUP	15u
#define DOCS_OF_FOLDER	20u
#define FOLDERS_OF_TOP	10u
#define BATCH		NEXUS_PERMISSION_BATCH_MAX
#define FEW_USERS	100u
#define FEW_QUESTIONS	1000u
#define CACHE_BYTES	(32u << 20)

static const char policy[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  folder:\n"
	"    relations:\n"
	"      parent: { this: [folder] }\n"
	"      viewer: [{ this: [user, group#member] }, { from: parent, relation: viewer }]\n"
	"  doc:\n"
	"    relations:\n"
	"      parent: { this: [folder] }\n"
	"      viewer: [{ this: [user, group#member] }, { from: parent, relation: viewer }]\n";

static struct base b;
static struct nexus_permission_update updates[BATCH];
static char ids[BATCH][2][32];
static u32 pending, tuples;
/* How many there are of each. */
static u32 docs, folders, tops, uppers, groups, users;

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static void die(const char *what, int error)
{
	fprintf(stderr, "bench-rebac: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* Memory of the arguments: what a check needs is used again by the next. */
static void *more(void *args, size_t size)
{
	static u64 room[8192];

	(void)args;
	if (size > sizeof(room))
		return NULL;
	memset(room, 0, size);
	return room;
}

static void flush(void)
{
	struct nexus_permission_write_args a = { .updates = updates, .nupdates = pending };
	int ret = base_write(&b, &a);

	if (ret)
		die(a.error, ret);
	tuples += pending;
	pending = 0;
}

static void add(const char *type, u32 id, const char *relation, const char *stype, u32 sid,
		const char *srelation)
{
	snprintf(ids[pending][0], sizeof(ids[pending][0]), "%s-%u", type, id);
	snprintf(ids[pending][1], sizeof(ids[pending][1]), "%s-%u", stype, sid);
	updates[pending].tuple = (struct nexus_permission_tuple){
		type, ids[pending][0], relation, stype, ids[pending][1], srelation,
	};
	if (++pending == BATCH)
		flush();
}

/* Folders: 0 to @tops - 1 are those on top.  Groups: 0 to @uppers - 1 those of groups. */
static void fill(u32 count)
{
	u32 i;

	docs = count * 6 / 10;
	folders = docs / DOCS_OF_FOLDER;
	tops = folders / FOLDERS_OF_TOP;
	users = count - docs - folders - tops;
	groups = users / (USERS_OF_GROUP + 1);
	users -= groups;
	uppers = groups / GROUPS_OF_GROUP;
	for (i = 0; i < groups; i++)
		add("group", i % uppers, "member", "group", uppers + i, "member");
	for (i = 0; i < users; i++)
		add("group", uppers + i % groups, "member", "user", i, NULL);
	for (i = 0; i < tops; i++)
		add("folder", i, "viewer", "group", i % uppers, "member");
	for (i = 0; i < folders; i++)
		add("folder", tops + i, "parent", "folder", i % tops, NULL);
	for (i = 0; i < docs; i++)
		add("doc", i, "parent", "folder", tops + i % folders, NULL);
	if (pending)
		flush();
}

static u32 pick(u32 n)
{
	static u64 rng = 0x9e3779b97f4a7c15ull;

	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng >> 20) % n;
}

/* A user who may see the document: of a random group of the upper one. */
static u32 viewer_of(u32 doc)
{
	u32 upper = doc % folders % tops % uppers;
	u32 group = upper + uppers * pick(GROUPS_OF_GROUP);

	return group + groups * pick(users / groups);
}

/* A document that the user may see, whose upper group has a folder. */
static u32 doc_of(u32 user)
{
	u32 top = user % groups % uppers;
	u32 folder = top + tops * pick(folders / tops);

	return folder + folders * pick(docs / folders);
}

/*
 * What is asked: each question another one; of few users about many documents; or the
 * same few questions again and again.
 */
enum which { ALL_DIFFERENT, OF_FEW_USERS, AGAIN };

static const char *const words[] = { "", ", few users, closures", ", asked before, kept" };
static u32 few[FEW_QUESTIONS][2];	/* document, user who may see it */

static void question(enum which which, bool yes, u32 i, u32 *doc, u32 *user)
{
	*doc = pick(docs);
	*user = yes ? viewer_of(*doc) : pick(users);
	if (which == OF_FEW_USERS) {
		*user = few[i % FEW_USERS][1];
		*doc = yes ? doc_of(*user) : *doc;
	} else if (which == AGAIN) {
		*doc = few[i % FEW_QUESTIONS][0];
		*user = yes ? few[i % FEW_QUESTIONS][1] : i % FEW_QUESTIONS;
	}
}

static int compare(const void *x, const void *y)
{
	return *(const u64 *)x < *(const u64 *)y ? -1 : *(const u64 *)x > *(const u64 *)y;
}

static void measure(u32 checks, bool yes, enum which which)
{
	u64 *times = calloc(checks, sizeof(*times)), begin;
	u32 i, middle = checks / 2, late = checks - checks / 100 - 1, allowed = 0;
	int ret;

	if (!times)
		die("memory", -ENOMEM);
	for (i = 0; i < checks; i++) {
		u32 doc, user;
		char did[32], uid[32];
		struct nexus_permission_tuple t = { "doc", did, "viewer", "user", uid, NULL };
		struct nexus_permission_check_args a = { .questions = &t, .count = 1 };

		question(which, yes, i, &doc, &user);
		snprintf(did, sizeof(did), "doc-%u", doc);
		snprintf(uid, sizeof(uid), "user-%u", user);
		a.read.freshness = NEXUS_PERMISSION_FULLY;
		begin = now_ns();
		ret = base_check(&b, &a);
		times[i] = now_ns() - begin;
		if (ret || a.answers[0].error || a.answers[0].why)
			die("check", ret ? ret : -EIO);
		allowed += a.answers[0].allowed;
	}
	if (yes ? allowed != checks : allowed > checks / 100)
		die("wrong answers", -EIO);
	qsort(times, checks, sizeof(*times), compare);
	printf("%s%s: median %.1f us, p99 %.1f us, max %.1f us\n", yes ? "yes" : "no", words[which],
	       (double)times[middle] / 1e3, (double)times[late] / 1e3,
	       (double)times[checks - 1] / 1e3);
	free(times);
}

static void say(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "bench-rebac: %s\n", line);
}

int main(int argc, char **argv)
{
	struct nexus_record_options options = { .connections = 4, .busy_ms = 1000 };
	struct nexus_permission_policy_args p = { .text = policy, .len = sizeof(policy) - 1 };
	struct nexus_record_fault fault;
	struct nexus_records *records;
	struct rebac_store *store = NULL;
	enum which which;
	u64 begin;
	u32 checks, i;
	int ret;

	if (argc != 4)
		die("FILE TUPLES CHECKS", -EINVAL);
	options.at = argv[1];
	checks = (u32)strtoul(argv[3], NULL, 10);
	ret = nexus_record_driver.open(&options, &fault, &records);
	if (!ret)
		ret = rebac_record_new(records, "permissions", say, NULL, &store);
	if (ret)
		die(argv[1], ret);
	base_init(&b, store, more);
	ret = base_policy_set(&b, &p);
	if (ret)
		die(p.error, ret);
	begin = now_ns();
	fill((u32)strtoul(argv[2], NULL, 10));
	printf("%u tuples, written in %.1f s\n", tuples, (double)(now_ns() - begin) / 1e9);
	/* So that neither is the first to see its pages. */
	measure(checks / 10 + 1, true, ALL_DIFFERENT);
	measure(checks, true, ALL_DIFFERENT);
	measure(checks, false, ALL_DIFFERENT);
	for (i = 0; i < FEW_QUESTIONS; i++) {
		few[i][0] = pick(docs);
		few[i][1] = viewer_of(few[i][0]);
	}
	b.cache = cache_new(CACHE_BYTES, true);
	if (!b.cache)
		die("memory", -ENOMEM);
	for (which = OF_FEW_USERS; which <= AGAIN; which++) {
		measure(checks, true, which);
		measure(checks, false, which);
	}
	base_end(&b);
	store->ops->close(store);
	nexus_record_driver.close(records);
	return 0;
}
