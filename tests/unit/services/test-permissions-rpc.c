// SPDX-License-Identifier: Apache-2.0
/*
 * Permissions over the control socket, on both record stores: random policies
 * and tuples, whose answers the model knows (policy-model.h), written, asked,
 * listed and deleted by a client of its own.
 */
#include "policy-model.h"

#include <sys/stat.h>

#include "core_rpc.h"
#include "pg-server.h"
#include "recordstore.h"
#include "rpc-world.h"

#define PERMISSIONS	"nexus.permissions.v1.Permissions"
#define M(name)		Nexus__Permissions__V1__##name
#define ROUNDS		120u
#define QUESTIONS	(NODES * RELS)

/* Of a state of a test: the driver and where its store is. */
static char sqlite[] = "sqlite", postgres[] = "postgres";
static struct recordstore *records;
static bool server;
static char nothing[] = "";

/* ---- a helper with the service ---------------------------------------- */

static void put_driver(const char *from, const char *name)
{
	char drivers[160], placed[256], to[512];

	snprintf(drivers, sizeof(drivers), "%s/drivers", test_dir);
	assert_int_equal(mkdir(drivers, 0755), 0);
	put_file(from, name);
	object_path(placed, sizeof(placed), name);
	snprintf(to, sizeof(to), "%s/%s.so", drivers, name);
	assert_int_equal(rename(placed, to), 0);
}

static int setup(void **state)
{
	struct rpc_server_opts opts = { .loaded = &core_rpc };
	char drivers[160], at[192];
	struct recordstore_opts ropts = {
		.driver = *state, .at = at, .dir = drivers, .owner = geteuid(), .connections = 4,
		.busy_ms = 20000,
	};

	world_setup(state);
	reg = NULL;
	if (*state == postgres && !server)
		return 0;
	put_driver(*state == postgres ? POSTGRES : SQLITE, ropts.driver);
	snprintf(drivers, sizeof(drivers), "%s/drivers", test_dir);
	snprintf(at, sizeof(at), "%s/records", test_dir);
	if (*state == postgres)
		snprintf(at, sizeof(at), "%s", pg_server_at());
	put_file(SERVICES "/permissions/permissions.so", "permissions");
	world_begin(false, 0);
	registry_end(reg);
	assert_true(registry_free(reg));
	records = recordstore_new(&ropts);
	assert_non_null(records);
	reg_opts.records = records;
	reg = registry_new(&reg_opts);
	assert_non_null(reg);
	opts.loaded_ctx = reg;
	h = harness_start(&opts);
	assert_int_equal(load("permissions"), 0);
	return 0;
}

static int teardown(void **state)
{
	if (reg) {
		end();
		recordstore_free(records);
	}
	return world_teardown(state);
}

static int group_setup(void **state)
{
	(void)state;
	server = pg_server_make();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	if (server)
		pg_server_remove();
	return 0;
}

/* ---- calls ------------------------------------------------------------ */

/* The answer of a call that must succeed, free() it with release(). */
static void *asked(const char *method, const ProtobufCMessage *req,
		   const ProtobufCMessageDescriptor *desc)
{
	struct answer a;
	void *msg;

	if (ask_msg(PERMISSIONS, method, req, &a) != RPC_OK)
		fail_msg("%s: code %d: %s", method, a.code, a.message);
	msg = protobuf_c_message_unpack(desc, NULL, a.len, a.payload);
	assert_non_null(msg);
	free(a.payload);
	return msg;
}

static void release(void *msg)
{
	protobuf_c_message_free_unpacked(msg, NULL);
}

static void set_policy(char *text)
{
	M(SetPolicyRequest) req = NEXUS__PERMISSIONS__V1__SET_POLICY_REQUEST__INIT;

	req.text = text;
	release(asked("SetPolicy", &req.base,
		      &nexus__permissions__v1__set_policy_response__descriptor));
}

/* TYPE:ID#RELATION@TYPE:ID[#RELATION], in pieces of @buf. */
static void read_tuple(const char *text, char *buf, M(Tuple) *t)
{
	char *at, *hash;

	nexus__permissions__v1__tuple__init(t);
	strcpy(buf, text);
	at = strchr(buf, '@');
	*at++ = '\0';
	t->object_type = strtok_r(buf, ":", &buf);
	t->object_id = strtok_r(NULL, "#", &buf);
	t->relation = buf;
	t->subject_type = at;
	at = strchr(at, ':');
	*at++ = '\0';
	t->subject_id = at;
	t->subject_relation = nothing;
	hash = strchr(at, '#');
	if (hash) {
		*hash = '\0';
		t->subject_relation = hash + 1;
	}
}

/* Some of the tuples are written or deleted: all of it at once. */
static void write_tuples(const struct model *m, u32 from, u32 to, bool put)
{
	M(WriteRequest) req = NEXUS__PERMISSIONS__V1__WRITE_REQUEST__INIT;
	M(Update) updates[TUPLES], *pointers[TUPLES];
	char text[TUPLES][TUPLE_TEXT];
	M(Tuple) tuples[TUPLES];
	M(WriteResponse) *resp;
	u32 i;

	for (i = from; i < to; i++) {
		nexus__permissions__v1__update__init(&updates[i]);
		read_tuple(m->texts[i], text[i], &tuples[i]);
		updates[i].tuple = &tuples[i];
		updates[i].kind = put ? NEXUS__PERMISSIONS__V1__UPDATE_KIND__UPDATE_KIND_CREATE :
			NEXUS__PERMISSIONS__V1__UPDATE_KIND__UPDATE_KIND_DELETE;
		pointers[i] = &updates[i];
	}
	req.updates = pointers + from;
	req.n_updates = to - from;
	resp = asked("Write", &req.base, &nexus__permissions__v1__write_response__descriptor);
	assert_int_equal(resp->changed, to - from);
	release(resp);
}

static bool only_cycles(size_t n, char **why)
{
	return n == 1 && !strcmp(why[0], "cycle");
}

/* ---- the same answers ------------------------------------------------- */

static u64 answers[3][3];	/* [expected][got] */
static char names[NODES][8], rels[RELS][4], types[TYPES][4];

static void check_all(const struct model *m, char *subject, char *relation)
{
	M(CheckRequest) req = NEXUS__PERMISSIONS__V1__CHECK_REQUEST__INIT;
	M(Question) questions[QUESTIONS], *pointers[QUESTIONS];
	M(CheckResponse) *resp;
	u32 i;

	for (i = 0; i < QUESTIONS; i++) {
		nexus__permissions__v1__question__init(&questions[i]);
		questions[i].object_type = types[i / RELS / IDS];
		questions[i].object_id = names[i / RELS];
		questions[i].relation = rels[i % RELS];
		pointers[i] = &questions[i];
	}
	req.subject = subject;
	req.subject_relation = relation;
	req.questions = pointers;
	req.n_questions = QUESTIONS;
	resp = asked("Check", &req.base, &nexus__permissions__v1__check_response__descriptor);
	assert_int_equal(resp->n_answers, QUESTIONS);
	for (i = 0; i < QUESTIONS; i++) {
		const M(Answer) *a = resp->answers[i];
		u32 expected = model_value(m, i / RELS, i % RELS);
		u32 got = a->allowed ? REBAC_YES : a->n_unknown ? REBAC_UNKNOWN : REBAC_NO;

		assert_int_equal(a->problem, 0);
		answers[expected][got]++;
		if (got != expected &&
		    !(got == REBAC_UNKNOWN && only_cycles(a->n_unknown, a->unknown)))
			fail_msg("%s:%s#%s@%s#%s is %u, expected %u", types[i / RELS / IDS],
				 names[i / RELS], rels[i % RELS], subject, relation, got, expected);
	}
	release(resp);
}

/* Each list in pieces of two. */
static void list_all(const struct model *m, u32 type, u32 rel)
{
	M(ListRequest) req = NEXUS__PERMISSIONS__V1__LIST_REQUEST__INIT;
	M(Tuple) tuple = NEXUS__PERMISSIONS__V1__TUPLE__INIT;
	char user[] = "user", u0[] = "u0", after[8] = "";
	bool listed[NODES] = { false }, more = true, open = false;
	M(ListResponse) *resp;
	size_t i;
	u32 n;

	tuple.object_type = types[type];
	tuple.relation = rels[rel];
	tuple.subject_type = user;
	tuple.subject_id = u0;
	req.tuple = &tuple;
	req.max = 2;
	req.after = after;
	while (more) {
		resp = asked("ListObjects", &req.base,
			     &nexus__permissions__v1__list_response__descriptor);
		assert_true(resp->n_items <= 2);
		for (i = 0; i < resp->n_items; i++) {
			n = type * IDS + (u32)(resp->items[i]->id[1] - '0');
			assert_true(n < NODES && !listed[n]);
			listed[n] = true;
			strcpy(after, resp->items[i]->id);
		}
		more = resp->more;
		open |= resp->n_unknown != 0;
		assert_true(!resp->n_unknown || only_cycles(resp->n_unknown, resp->unknown));
		release(resp);
	}
	for (n = type * IDS; n < (type + 1) * IDS; n++) {
		u32 expected = model_value(m, n, rel);

		if (listed[n] ? expected != REBAC_YES : expected == REBAC_YES && !open)
			fail_msg("%s:%s#%s: listed %d, expected %u", types[type], names[n],
				 rels[rel], listed[n], expected);
	}
}

static void ask_all(struct model *m)
{
	char user[] = "user:u0", set[16], r[4];
	u32 i, rel;

	m->subj = rebac_node(m->w->policy->types[0].name.sym, rebac_number(m->subj));
	m->srel = 0;
	model_solve(m);
	/* Twice: whoever keeps answers gives them the second time. */
	check_all(m, user, nothing);
	check_all(m, user, nothing);
	for (i = 0; i < TYPES; i++)
		for (rel = 0; rel < RELS; rel++)
			list_all(m, i, rel);
	check_all(m, user, nothing);
	/* A userset, which is in itself. */
	i = model_pick(NODES);
	rel = model_pick(RELS);
	m->subj = m->nodes[i];
	m->srel = model_rel(m, i, rel);
	model_solve(m);
	snprintf(set, sizeof(set), "%s:%s", types[i / IDS], names[i]);
	strcpy(r, rels[rel]);
	check_all(m, set, r);
}

static void one(u64 seed, u32 excl, bool *done)
{
	static struct text policy;
	struct rebac_policy *p;
	struct model m;
	struct world w;
	u64 user;
	u32 half;

	model_seed(0x9e3779b97f4a7c15ull * seed);
	model_policy(&policy, excl);
	/* Some have "from" a relation that leads nowhere. */
	*done = !rebac_policy_parse(policy.s, policy.n, "random", &p, NULL);
	if (!*done)
		return;
	rebac_policy_free(p);
	policy_begin(&w, policy.s);
	model_make(&m, &w);
	user = m.subj;
	set_policy(policy.s);
	write_tuples(&m, 0, m.n, true);
	ask_all(&m);
	/* Half of them are gone. */
	half = m.n / 2;
	write_tuples(&m, half, m.n, false);
	m.n = half;
	m.subj = user;
	ask_all(&m);
	write_tuples(&m, 0, half, false);
	policy_end(&w);
}

static void run(void **state, u32 excl)
{
	u32 i, n;
	bool done;

	if (*state == postgres && !server)
		skip();
	memset(answers, 0, sizeof(answers));
	for (i = 0; i < NODES; i++)
		snprintf(names[i], sizeof(names[i]), "o%u", i % IDS);
	for (i = 0; i < RELS; i++)
		snprintf(rels[i], sizeof(rels[i]), "r%u", i);
	for (i = 0; i < TYPES; i++)
		snprintf(types[i], sizeof(types[i]), "t%u", i);
	for (i = n = 0; n < ROUNDS; i++) {
		one(i + 1, excl, &done);
		n += done;
	}
	assert_true(answers[REBAC_YES][REBAC_YES] > 1000 && answers[REBAC_NO][REBAC_NO] > 1000);
}

static void test_monotone(void **state)
{
	run(state, 0);
	assert_int_equal(answers[REBAC_YES][REBAC_UNKNOWN] + answers[REBAC_NO][REBAC_UNKNOWN], 0);
}

static void test_exclusion(void **state)
{
	run(state, 4);
	assert_true(answers[REBAC_UNKNOWN][REBAC_UNKNOWN] > 20);
	assert_true(answers[REBAC_YES][REBAC_UNKNOWN] + answers[REBAC_NO][REBAC_UNKNOWN] <
		    answers[REBAC_UNKNOWN][REBAC_UNKNOWN]);
}

int main(int argc, char **argv)
{
#define ON(name, where)	{ #name " (" #where ")", name, setup, teardown, where }
	const struct CMUnitTest tests[] = {
		ON(test_monotone, sqlite), ON(test_exclusion, sqlite),
		ON(test_monotone, postgres), ON(test_exclusion, postgres),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
