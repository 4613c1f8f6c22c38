// SPDX-License-Identifier: Apache-2.0
#include "namespace-world.h"

struct names names;
static const char zones_policy[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  file:\n"
	"    relations:\n"
	"      banned: { this: [user] }\n"
	"      note: { this: [user] }\n"
	"      viewer: { this: [user, \"user:*\", group#member] }\n"
	"    permissions: { read: { exclusion: [viewer, banned] } }\n";

/* ---- the permissions, and what may be wrong with them ------------------------------ */

struct fault fault;

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

void names_begin(uint64_t limit)
{
	assert_int_equal(names_init(&names, limit), 0);
	names.source = &source;
	names.more = more;
	names.now_ms = test_now;
}

int begin(void **state)
{
	memset(&fault, 0, sizeof(fault));
	if (setup_kept(state))
		return -1;
	set_policy(zones_policy);
	names_begin(1u << 20);
	return 0;
}

int finish(void **state)
{
	names_end(&names);
	return teardown(state);
}

/* ---- questions --------------------------------------------------------------------- */

struct nexus_namespace_visible_args last;

const struct nexus_namespace_answer *look(const char *subject, const char *path)
{
	last = (struct nexus_namespace_visible_args){
		.who = { .subject = subject }, .zone = "main", .path = path,
	};
	assert_int_equal(names_visible(&names, &last), 0);
	assert_int_equal(last.answer.visible, !last.answer.error);
	return &last.answer;
}

void sees(const char *subject, const char *path, enum nexus_namespace_why why)
{
	const struct nexus_namespace_answer *a = look(subject, path);

	if (!a->visible || a->why != why)
		fail_msg("%s %s: visible %d, why %u", subject, path, a->visible, a->why);
}

void misses(const char *subject, const char *path, enum nexus_namespace_why why)
{
	const struct nexus_namespace_answer *a = look(subject, path);

	if (a->visible || a->why != why || a->error != -ENOENT || a->entry || a->readonly)
		fail_msg("%s %s: visible %d, why %u, error %d", subject, path, a->visible, a->why,
			 a->error);
}

struct nexus_namespace_list_args entries(const char *subject, const char *zone, const char *after,
					 uint32_t max)
{
	struct nexus_namespace_list_args a = {
		.who = { .subject = subject }, .zone = zone, .after = after, .max = max,
	};

	assert_int_equal(names_list(&names, &a), 0);
	return a;
}

struct nexus_namespace_state numbers(void)
{
	struct nexus_namespace_state s;

	assert_int_equal(names_state(&names, &s), 0);
	return s;
}
