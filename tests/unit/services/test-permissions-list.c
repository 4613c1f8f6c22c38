// SPDX-License-Identifier: Apache-2.0
/*
 * Lists of objects and subjects, and expansions, against a model that knows
 * everybody's answers (policy-model.h).
 */
#include "policy-model.h"

#include "list.h"
#include "record-world.h"

#define ROUNDS		600u
#define RECORD_ROUNDS	60u
#define SUBJECTS	(NODES + 4)	/* objects, two users, one that nobody named, everybody */
#define BRANCHES	2000u

static const char *const user_ids[] = { "u0", "u1" };

/* Answers of everybody: [subject][userset's relation or 0, from 1][node][relation]. */
static u8 answers[SUBJECTS][RELS + 1][NODES][RELS];
static u64 subjects[SUBJECTS];
static u64 listed, expanded, left_open;

static u32 type_of(const struct model *m, u32 t)
{
	return m->w->policy->types[t].name.sym;
}

static u64 user(struct rebac_txn *txn, u32 type, const char *id)
{
	u32 number;

	if (txn->ops->number(txn, type, id, strlen(id), false, &number))
		number = REBAC_NOBODY;
	return rebac_node(type, number);
}

static void solve_all(struct model *m, struct rebac_txn *txn)
{
	u32 s, r, n, k;

	for (s = 0; s < NODES; s++)
		subjects[s] = m->nodes[s];
	for (s = 0; s < 2; s++)
		subjects[NODES + s] = user(txn, type_of(m, 0), user_ids[s]);
	subjects[NODES + 2] = rebac_node(type_of(m, 0), 0xfffffff0u);
	subjects[NODES + 3] = rebac_node(type_of(m, 0), REBAC_EVERY);
	for (s = 0; s < SUBJECTS; s++)
		for (r = 0; r <= (s < NODES ? RELS : 0); r++) {
			m->subj = subjects[s];
			m->srel = r ? model_rel(m, s, r - 1) : 0;
			model_solve(m);
			for (n = 0; n < NODES; n++)
				for (k = 0; k < RELS; k++)
					answers[s][r][n][k] = (u8)model_value(m, n, k);
		}
}

/* Pieces of random lengths, one behind the other. */
static u32 all_objects(const struct rebac_question *q, u32 type, u32 rel, struct rebac_found *found,
		       u32 *why)
{
	struct rebac_listing l;
	u32 n = 0;

	*why = 0;
	do {
		l = (struct rebac_listing){ .found = found + n, .max = 1 + model_pick(4) };
		assert_int_equal(rebac_list_objects(q, type, rel, n ? found[n - 1].number : 0, &l), 0);
		*why |= l.why;
		n += l.n;
		assert_true(n <= NODES);
		assert_true(l.n || !l.more);
	} while (l.more);
	return n;
}

static u32 all_subjects(const struct rebac_question *q, u64 node, u32 rel, u32 type, u32 srel,
			struct rebac_found *found, u32 *why)
{
	struct rebac_listing l;
	bool first = true;
	u32 n = 0, after = 0;

	*why = 0;
	do {
		l = (struct rebac_listing){ .found = found + n, .max = 1 + model_pick(4) };
		assert_int_equal(rebac_list_subjects(q, node, rel, type, srel, first, after, &l), 0);
		*why |= l.why;
		n += l.n;
		first = false;
		after = n ? found[n - 1].number : 0;
		assert_true(n <= SUBJECTS);
	} while (l.more && l.n);
	return n;
}

static bool has(const struct rebac_found *found, u32 n, u32 number, bool not)
{
	while (n--)
		if (found[n].number == number && found[n].not == not)
			return true;
	return false;
}

/* Without an answer: it must not be listed, and that must be said. */
static void check_one(u32 expected, bool is_listed, u32 why)
{
	if (expected == REBAC_YES && !is_listed) {
		assert_true(why & REBAC_WHY_CYCLE);
		left_open++;
	} else if (expected != REBAC_YES) {
		assert_false(is_listed);
	}
	if (expected == REBAC_UNKNOWN)
		assert_int_equal(why, REBAC_WHY_CYCLE);
	listed += is_listed;
}

static void compare_objects(struct model *m, struct rebac_question *q)
{
	struct rebac_found found[NODES];
	u32 s, r, t, k, n, i, why;

	for (s = 0; s < SUBJECTS; s++)
		for (r = 0; r <= (s < NODES ? RELS : 0); r++)
			for (t = 0; t < TYPES; t++) {
				k = model_pick(RELS);
				q->subj = subjects[s];
				q->srel = r ? model_rel(m, s, r - 1) : 0;
				n = all_objects(q, type_of(m, t + 1), model_rel(m, t * IDS, k),
						found, &why);
				for (i = 1; i < n; i++)
					assert_true(found[i - 1].number < found[i].number);
				for (i = t * IDS; i < (t + 1) * IDS; i++)
					check_one(answers[s][r][i][k],
						  has(found, n, rebac_number(m->nodes[i]), false), why);
			}
}

static void compare_subjects(struct model *m, struct rebac_question *q, u32 node, u32 k)
{
	struct rebac_found found[SUBJECTS];
	u32 n, s, r, t, why;
	bool every;

	/* Users, of whom everybody may be meant. */
	n = all_subjects(q, m->nodes[node], model_rel(m, node, k), type_of(m, 0), 0, found, &why);
	every = has(found, n, REBAC_EVERY, false);
	check_one(answers[NODES + 3][0][node][k], every, why);
	assert_int_equal(answers[NODES + 2][0][node][k], answers[NODES + 3][0][node][k]);
	for (s = NODES; s < NODES + 2; s++) {
		u32 number = rebac_number(subjects[s]);

		if (number == REBAC_NOBODY)
			continue;
		/* Who is not named is as everybody is. */
		if (every && !has(found, n, number, true) && !has(found, n, number, false))
			assert_int_equal(answers[s][0][node][k], REBAC_YES);
		else
			check_one(answers[s][0][node][k], has(found, n, number, false), why);
		if (has(found, n, number, true))
			assert_true(every && (answers[s][0][node][k] != REBAC_YES || why));
	}
	/* Objects, and usersets of them. */
	for (t = 0; t < TYPES; t++)
		for (r = 0; r <= RELS; r++) {
			n = all_subjects(q, m->nodes[node], model_rel(m, node, k), type_of(m, t + 1),
					 r ? model_rel(m, t * IDS, r - 1) : 0, found, &why);
			for (s = t * IDS; s < (t + 1) * IDS; s++)
				check_one(answers[s][r][node][k],
					  has(found, n, rebac_number(m->nodes[s]), false), why);
		}
}

/* ---- expansions: who is in a tree ------------------------------------- */

static struct rebac_branch branches[BRANCHES];
static bool inside[BRANCHES];	/* of a relation: the subject is in it */
static u32 tree_n;

static u32 behind(u32 at)
{
	u32 i;

	for (i = at + 1; i < tree_n && branches[i].depth > branches[at].depth; i++)
		;
	return i;
}

static u32 place_of(u64 node, u32 rel)
{
	u32 i;

	for (i = 0; i < tree_n; i++)
		if (branches[i].kind == REBAC_BRANCH_RELATION && branches[i].node == node &&
		    branches[i].rel == rel)
			return i;
	fail();
	return 0;
}

static bool is_in(u32 at, u64 subj)
{
	const struct rebac_branch *b = &branches[at];
	u32 i, end = behind(at);
	bool all = true, any = false;

	if (b->kind == REBAC_BRANCH_SUBJECT)
		return b->node == subj || b->node == rebac_node(rebac_type_of(subj), REBAC_EVERY);
	if (b->kind == REBAC_BRANCH_SEEN)
		return inside[place_of(b->node, b->rel)];
	if (b->kind == REBAC_BRANCH_RELATION)
		return inside[at];
	if (b->kind == REBAC_BRANCH_EXCLUSION)
		return is_in(at + 1, subj) && !is_in(behind(at + 1), subj);
	for (i = at + 1; i < end; i = behind(i)) {
		assert_int_equal(branches[i].depth, b->depth + 1);
		if (is_in(i, subj))
			any = true;
		else
			all = false;
	}
	return b->kind == REBAC_BRANCH_UNION ? any : all;
}

static void compare_tree(struct model *m, const struct rebac_question *q, u32 node, u32 k)
{
	struct rebac_tree t = { .branches = branches, .max = BRANCHES };
	u32 s, i;
	bool more, was;

	assert_int_equal(rebac_expand(q, m->nodes[node], model_rel(m, node, k), &t), 0);
	assert_int_equal(t.why, 0);
	tree_n = t.n;
	assert_int_equal(branches[0].kind, REBAC_BRANCH_RELATION);
	assert_int_equal(behind(0), tree_n);
	for (s = 0; s < SUBJECTS; s++) {
		memset(inside, 0, sizeof(inside));
		do {
			more = false;
			for (i = 0; i < tree_n; i++) {
				if (branches[i].kind != REBAC_BRANCH_RELATION)
					continue;
				was = inside[i];
				inside[i] = is_in(i + 1, subjects[s]);
				more |= inside[i] != was;
			}
		} while (more);
		assert_int_equal(inside[0], answers[s][0][node][k] == REBAC_YES);
		expanded += inside[0];
	}
}

/* ---- both ------------------------------------------------------------- */

static void run(u32 excl, u32 rounds)
{
	static struct text policy;
	struct rebac_question q;
	struct rebac_policy *p;
	struct model m;
	struct world w;
	u32 i, k, done = 0;

	listed = expanded = left_open = 0;
	for (i = 0; done < rounds; i++) {
		model_seed(0xbf58476d1ce4e5b9ull * (i + 1));
		model_policy(&policy, excl);
		if (rebac_policy_parse(policy.s, policy.n, "random", &p, NULL))
			continue;
		rebac_policy_free(p);
		done++;
		policy_begin(&w, policy.s);
		model_make(&m, &w);
		q = (struct rebac_question){ .policy = w.policy };
		assert_int_equal(w.store->ops->begin(w.store, false, &q.txn), 0);
		solve_all(&m, q.txn);
		compare_objects(&m, &q);
		compare_subjects(&m, &q, model_pick(NODES), model_pick(RELS));
		/* A tree with cycles has one meaning only without exclusions. */
		if (!excl)
			for (k = 0; k < NODES; k++)
				compare_tree(&m, &q, k, model_pick(RELS));
		q.txn->ops->abort(q.txn);
		policy_end(&w);
	}
}

static void test_monotone(void **state)
{
	(void)state;
	run(0, ROUNDS);
	assert_int_equal(left_open, 0);
	print_message("# %llu listed, %llu in trees\n", (unsigned long long)listed,
		      (unsigned long long)expanded);
	assert_true(listed > 5000);
	assert_true(expanded > 500);
}

static void test_exclusion(void **state)
{
	(void)state;
	run(4, ROUNDS);
	print_message("# %llu listed, %llu left open\n", (unsigned long long)listed,
		      (unsigned long long)left_open);
	assert_true(listed > 5000);
	assert_true(left_open < listed / 100);
}

/* The same questions, of tuples in a record store. */
static void test_record_store(void **state)
{
	(void)state;
	world_store_new = record_world_new;
	world_store_gone = record_world_end;
	run(0, RECORD_ROUNDS);
	run(4, RECORD_ROUNDS);
	world_store_new = NULL;
	world_store_gone = NULL;
	assert_true(listed > 500);
}

/* ---- bounds ----------------------------------------------------------- */

static const char plain[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  doc:\n"
	"    relations:\n"
	"      viewer: { this: [user, \"user:*\", group#member] }\n"
	"      banned: { this: [user] }\n"
	"    permissions: { read: { exclusion: [viewer, banned] } }\n";

static struct rebac_question ask(struct world *w, const char *text, struct rebac_key *key)
{
	struct rebac_question q = { .policy = w->policy, .now = w->now };

	assert_int_equal(w->store->ops->begin(w->store, false, &q.txn), 0);
	*key = world_key(w, q.txn, text, false);
	q.subj = key->subj;
	q.srel = key->srel;
	return q;
}

static void test_limits(void **state)
{
	struct rebac_found found[300];
	struct rebac_listing l = { .found = found, .max = 300 };
	struct rebac_tree t = { .branches = branches, .max = BRANCHES };
	struct rebac_question q;
	struct rebac_key key;
	struct world w;
	char text[100];
	u32 i, type;

	(void)state;
	policy_begin(&w, plain);
	for (i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "doc:d%u#viewer@user:u", i);
		world_put(&w, text);
		snprintf(text, sizeof(text), "doc:d#viewer@user:u%u", i);
		world_put(&w, text);
	}
	for (i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "group:g%u#member@group:g%u#member", i, i + 1);
		world_put(&w, text);
	}
	q = ask(&w, "doc:d0#read@user:u", &key);
	type = rebac_type_of(key.obj);
	assert_int_equal(rebac_list_objects(&q, type, key.rel, 0, &l), 0);
	assert_int_equal(l.n, 200);
	assert_int_equal(l.why, 0);
	assert_false(l.more);
	q.limits.nodes = 50;
	assert_int_equal(rebac_list_objects(&q, type, key.rel, 0, &l), 0);
	assert_true(l.why & REBAC_WHY_NODES);
	assert_true(l.n <= 50);
	q.limits = (struct rebac_limits){ .reads = 100 };
	assert_int_equal(rebac_list_objects(&q, type, key.rel, 0, &l), 0);
	assert_true(l.why & REBAC_WHY_READS);
	assert_int_equal(rebac_list_objects(&q, type, 9999, 0, &l), -ENOENT);
	q.txn->ops->abort(q.txn);

	q = ask(&w, "doc:d#read@user:u0", &key);
	type = rebac_type_of(key.subj);
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, type, 0, true, 0, &l), 0);
	assert_int_equal(l.n, 200);
	assert_int_equal(l.why, 0);
	q.limits.nodes = 50;
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, type, 0, true, 0, &l), 0);
	assert_true(l.why & REBAC_WHY_NODES);
	q.limits = (struct rebac_limits){ .reads = 100 };
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, type, 0, true, 0, &l), 0);
	assert_true(l.why & REBAC_WHY_READS);
	assert_int_equal(rebac_list_subjects(&q, key.obj, 9999, type, 0, true, 0, &l), -ENOENT);
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, type, 9999, true, 0, &l), -ENOENT);
	/* Trees likewise. */
	assert_int_equal(rebac_expand(&q, key.obj, key.rel, &t), 0);
	assert_int_equal(t.why, REBAC_WHY_READS);
	q.limits = (struct rebac_limits){ 0 };
	t.max = 20;
	assert_int_equal(rebac_expand(&q, key.obj, key.rel, &t), 0);
	assert_int_equal(t.n, 20);
	assert_int_equal(t.why, REBAC_WHY_NODES);
	assert_int_equal(rebac_expand(&q, key.obj, 9999, &t), -ENOENT);
	q.txn->ops->abort(q.txn);
	t.max = BRANCHES;
	q = ask(&w, "group:g0#member@user:u0", &key);
	assert_int_equal(rebac_expand(&q, key.obj, key.rel, &t), 0);
	assert_int_equal(t.why, REBAC_WHY_DEPTH);
	assert_int_equal(branches[t.n - 1].kind, REBAC_BRANCH_CUT);
	q.txn->ops->abort(q.txn);
	policy_end(&w);
}

/* What has expired is in no list; what has a condition only where it holds. */
static void test_times_and_conditions(void **state)
{
	static const struct rebac_fact office = { "net", "office", 0 };
	struct rebac_found found[10];
	struct rebac_listing l = { .found = found, .max = 10 };
	struct rebac_tree t = { .branches = branches, .max = BRANCHES };
	struct rebac_question q;
	struct rebac_key key;
	struct world w;
	u32 users;

	(void)state;
	policy_begin(&w, plain);
	world_put_until(&w, "doc:d#viewer@user:u", 1000, NULL);
	world_put_until(&w, "doc:d#viewer@user:v", 0, "net == \"office\"");
	world_put_until(&w, "doc:d#viewer@group:g#member", 1000, NULL);
	world_put(&w, "group:g#member@user:x");
	q = ask(&w, "doc:d#viewer@user:u", &key);
	users = rebac_type_of(key.subj);
	q.now = 999;
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, users, 0, true, 0, &l), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.why, REBAC_WHY_CONDITION);
	assert_int_equal(rebac_list_objects(&q, rebac_type_of(key.obj), key.rel, 0, &l), 0);
	assert_int_equal(l.n, 1);
	q.facts = &office;
	q.nfacts = 1;
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, users, 0, true, 0, &l), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.why, 0);
	assert_int_equal(rebac_expand(&q, key.obj, key.rel, &t), 0);
	assert_int_equal(t.n, 7);
	q.now = 1000;
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, users, 0, true, 0, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(rebac_list_objects(&q, rebac_type_of(key.obj), key.rel, 0, &l), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(rebac_expand(&q, key.obj, key.rel, &t), 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(branches[2].kind, REBAC_BRANCH_SUBJECT);
	assert_true(branches[2].conditional);
	q.txn->ops->abort(q.txn);
	policy_end(&w);
}

/* Everybody but some: both are listed. */
static void test_everybody_but(void **state)
{
	struct rebac_found found[10];
	struct rebac_listing l = { .found = found, .max = 10 };
	struct rebac_question q;
	struct rebac_key key;
	struct world w;

	(void)state;
	policy_begin(&w, plain);
	world_put(&w, "doc:d#viewer@user:*");
	world_put(&w, "doc:d#viewer@user:u");
	world_put(&w, "doc:d#banned@user:bad");
	q = ask(&w, "doc:d#read@user:bad", &key);
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, rebac_type_of(key.subj), 0, true, 0,
					     &l), 0);
	assert_int_equal(l.n, 3);
	assert_true(has(found, 3, REBAC_EVERY, false));
	assert_true(has(found, 3, rebac_number(key.subj), true));
	/* The rest of the list says so, too. */
	assert_int_equal(rebac_list_subjects(&q, key.obj, key.rel, rebac_type_of(key.subj), 0, false, 0,
					     &l), 0);
	assert_int_equal(l.n, 2);
	assert_true(has(found, 2, rebac_number(key.subj), true));
	q.txn->ops->abort(q.txn);
	policy_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monotone), cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_record_store),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_times_and_conditions),
		cmocka_unit_test(test_everybody_but),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
