// SPDX-License-Identifier: Apache-2.0
#include "policy-world.h"

struct rebac_store *(*world_store_new)(void);
void (*world_store_gone)(void);

void policy_begin(struct world *w, const char *policy)
{
	struct rebac_err err = { "" };
	struct rebac_txn *txn;

	memset(w, 0, sizeof(*w));
	w->store = world_store_new ? world_store_new() : rebac_mem_new();
	assert_non_null(w->store);
	if (rebac_policy_parse(policy, strlen(policy), "policy", &w->policy, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(w->store->ops->begin(w->store, true, &txn), 0);
	assert_int_equal(rebac_policy_bind(w->policy, txn, true), 0);
	assert_int_equal(txn->ops->commit(txn), 0);
}

void policy_end(struct world *w)
{
	rebac_policy_free(w->policy);
	w->store->ops->close(w->store);
	if (world_store_gone)
		world_store_gone();
}

static u64 node_of(struct rebac_txn *txn, const char *type, const char *id, bool create)
{
	u32 number;
	int sym;

	if (!strcmp(type, "*"))
		return REBAC_ANYBODY;
	sym = txn->ops->symbol(txn, type, false);
	assert_true(sym > 0);
	if (!strcmp(id, "*"))
		return rebac_node((u32)sym, REBAC_EVERY);
	if (txn->ops->number(txn, (u32)sym, id, strlen(id), create, &number))
		number = REBAC_NOBODY;
	return rebac_node((u32)sym, number);
}

struct rebac_key world_key(struct world *w, struct rebac_txn *txn, const char *text, bool create)
{
	char type[100], id[600], rel[100], stype[100], sid[600], srel[100] = "";
	struct rebac_key key = { 0 };
	int sym;

	(void)w;
	if (sscanf(text, "%99[^:]:%599[^#]#%99[^@]@%99[^:]:%599[^#]#%99s", type, id, rel, stype, sid,
		   srel) < 5)
		fail_msg("%s", text);
	key.obj = node_of(txn, type, id, create);
	key.subj = node_of(txn, stype, sid, create);
	sym = txn->ops->symbol(txn, rel, false);
	assert_true(sym > 0);
	key.rel = (u32)sym;
	if (srel[0]) {
		sym = txn->ops->symbol(txn, srel, false);
		assert_true(sym > 0);
		key.srel = (u32)sym;
	}
	return key;
}

void world_put_until(struct world *w, const char *tuple, s64 expires, const char *cond)
{
	struct rebac_err err = { "" };
	struct rebac_txn *txn;
	struct rebac_key key;

	assert_int_equal(w->store->ops->begin(w->store, true, &txn), 0);
	key = world_key(w, txn, tuple, true);
	if (rebac_policy_admits(w->policy, &key, &err))
		fail_msg("%s: %s", tuple, err.msg);
	assert_int_equal(txn->ops->put(txn, &key, expires, cond), 0);
	assert_int_equal(txn->ops->commit(txn), 0);
}

void world_put(struct world *w, const char *tuple)
{
	world_put_until(w, tuple, 0, NULL);
}

void world_del(struct world *w, const char *tuple)
{
	struct rebac_txn *txn;
	struct rebac_key key;

	assert_int_equal(w->store->ops->begin(w->store, true, &txn), 0);
	key = world_key(w, txn, tuple, false);
	assert_int_equal(txn->ops->del(txn, &key), 0);
	assert_int_equal(txn->ops->commit(txn), 0);
}

struct rebac_answer world_ask(struct world *w, const char *question)
{
	struct rebac_question q = {
		.policy = w->policy, .now = w->now, .limits = w->limits,
		.facts = w->facts, .nfacts = w->nfacts,
		.clock = w->clock, .clock_arg = w->clock_arg, .trace = w->trace,
	};
	struct rebac_answer a;
	struct rebac_key key;

	assert_int_equal(w->store->ops->begin(w->store, false, &q.txn), 0);
	key = world_key(w, q.txn, question, false);
	q.subj = key.subj;
	q.srel = key.srel;
	assert_int_equal(rebac_evaluate(&q, key.obj, key.rel, &a), 0);
	q.txn->ops->abort(q.txn);
	return a;
}

void world_expect(struct world *w, const char *question, enum rebac_value value)
{
	struct rebac_answer a = world_ask(w, question);

	if (a.value != value)
		fail_msg("%s: is %d (why %x), expected %d", question, (int)a.value, a.why,
			 (int)value);
}
