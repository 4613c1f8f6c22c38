// SPDX-License-Identifier: Apache-2.0
#include "base-world.h"

#include <unistd.h>

#include "pg-server.h"
#include "record-world.h"

struct base b;
struct rebac_store *store;
s64 now;
static char path[64];

/* ---- memory of arguments ---------------------------------------------- */

struct piece {
	struct piece *next;
	u64 data[];
};

static struct piece *pieces;
static pthread_mutex_t pieces_lock = PTHREAD_MUTEX_INITIALIZER;

void *more(void *args, size_t size)
{
	struct piece *p = calloc(1, sizeof(*p) + size);

	(void)args;
	assert_non_null(p);
	pthread_mutex_lock(&pieces_lock);
	p->next = pieces;
	pieces = p;
	pthread_mutex_unlock(&pieces_lock);
	return p->data;
}

static s64 clock_ms(void)
{
	return now;
}

/* ---- stores ----------------------------------------------------------- */

const char policy[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  doc:\n"
	"    relations:\n"
	"      owner: { this: [user] }\n"
	"      banned: { this: [user] }\n"
	"      public: { this: [\"*\", user] }\n"
	"      viewer: [{ this: [user, \"user:*\", group#member, doc#viewer] }, owner]\n"
	"    permissions: { read: { exclusion: [viewer, banned] } }\n";

void set_policy(const char *text)
{
	struct nexus_permission_policy_args a = { .text = text, .len = (u32)strlen(text) };

	if (base_policy_set(&b, &a))
		fail_msg("%s", a.error);
	assert_string_equal(a.error, "");
}

/* What a test runs on, its state. */
char sqlite[] = "sqlite", postgres[] = "postgres";
static bool server;

int group_setup(void **state)
{
	(void)state;
	server = pg_server_make();
	return 0;
}

int group_teardown(void **state)
{
	(void)state;
	if (server)
		pg_server_remove();
	return 0;
}

static bool kept;

/* A busy machine meets no limit of time: what is kept is to be the same each time. */
static u64 still(void *arg)
{
	(void)arg;
	return 1;
}

static void begin_base(void)
{
	base_init(&b, store, more);
	b.now_ms = clock_ms;
	if (kept) {
		b.clock = still;
		b.cache = cache_new(CACHE_BYTES, true);
		assert_non_null(b.cache);
	}
}

static int make(void **state)
{
	now = 1000000;
	b.store = NULL;
	if (*state == postgres) {
		if (!server)
			return 0;
		store = record_world_postgres(pg_server_at());
	} else if (*state) {
		snprintf(path, sizeof(path), "/tmp/rebac-XXXXXX");
		close(mkstemp(path));
		store = record_world_at(path);
	} else {
		store = rebac_mem_new();
	}
	assert_non_null(store);
	begin_base();
	set_policy(policy);
	return 0;
}

int setup(void **state)
{
	kept = false;
	return make(state);
}

int setup_kept(void **state)
{
	kept = true;
	return make(state);
}

static void remove_file(const char *end)
{
	char name[80];

	snprintf(name, sizeof(name), "%s%s", path, end);
	unlink(name);
}

void on(void (*test)(void **), void **state)
{
	if (*state == postgres && !server)
		skip();
	test(state);
}

struct rebac_store *another(void **state)
{
	return !*state ? store : record_world_again(*state == postgres ? pg_server_at() : path);
}

void reopen(void)
{
	base_end(&b);
	store->ops->close(store);
	record_world_end();
	store = record_world_at(path);
	begin_base();
}

int teardown(void **state)
{
	struct piece *p;

	if (!b.store)
		return 0;
	base_end(&b);
	store->ops->close(store);
	if (*state)
		record_world_end();
	if (*state == postgres) {
		pg_server_do("DROP TABLE rebac_tuple, rebac_node, rebac_symbol, rebac_policy, "
			     "rebac_state, rebac_stamp, nexus_schema");
	} else if (*state) {
		remove_file("");
		remove_file("-wal");
		remove_file("-shm");
	}
	while ((p = pieces)) {
		pieces = p->next;
		free(p);
	}
	return 0;
}

/* ---- tuples as text --------------------------------------------------- */

static const char *part(const char *text, size_t len)
{
	char *p = more(NULL, len + 1);

	memcpy(p, text, len);
	return p;
}

/* TYPE:ID#RELATION@TYPE:ID[#RELATION]; the first ':' ends a type. */
struct nexus_permission_tuple tuple(const char *text)
{
	struct nexus_permission_tuple t = { 0 };
	const char *hash = strchr(text, '#'), *at = strchr(hash, '@'), *colon;

	colon = strchr(text, ':');
	t.object_type = part(text, (size_t)(colon - text));
	t.object_id = part(colon + 1, (size_t)(hash - colon - 1));
	t.relation = part(hash + 1, (size_t)(at - hash - 1));
	colon = strchr(at, ':');
	t.subject_type = part(at + 1, (size_t)(colon - at - 1));
	hash = strchr(colon, '#');
	t.subject_id = part(colon + 1, hash ? (size_t)(hash - colon - 1) : strlen(colon + 1));
	t.subject_relation = hash ? part(hash + 1, strlen(hash + 1)) : NULL;
	return t;
}

struct nexus_permission_write_args last_write;

int update(u32 kind, const char *text, s64 expires, const char *condition)
{
	struct nexus_permission_update u = {
		.kind = kind, .tuple = tuple(text), .expires_ms = expires, .condition = condition,
	};

	last_write = (struct nexus_permission_write_args){ .updates = &u, .nupdates = 1 };
	return base_write(&b, &last_write);
}

void put(const char *text)
{
	if (update(NEXUS_PERMISSION_PUT, text, 0, NULL))
		fail_msg("%s: %s", text, last_write.error);
}

void del(const char *text)
{
	assert_int_equal(update(NEXUS_PERMISSION_DELETE, text, 0, NULL), 0);
}

u64 revision(const char *token)
{
	return strtoull(strchr(token, '-') + 1, NULL, 16);
}

struct nexus_permission_answer ask(const char *text)
{
	struct nexus_permission_tuple t = tuple(text);
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	int ret = base_check(&b, &a);

	if (ret)
		fail_msg("%s: %d", text, ret);
	return a.answers[0];
}

void yes(const char *text)
{
	if (!ask(text).allowed)
		fail_msg("%s: no", text);
}

void no(const char *text)
{
	struct nexus_permission_answer a = ask(text);

	if (a.allowed || a.why || a.error)
		fail_msg("%s: %d %x %d", text, a.allowed, a.why, a.error);
}
