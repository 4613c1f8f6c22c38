// SPDX-License-Identifier: Apache-2.0
/*
 * Methods of nexus.permissions.v1.Permissions: messages become arguments of the
 * operations, whose memory lives until the answer is encoded.
 */
#include "rpc.h"

#include <string.h>

#include "method.h"
#include "nexus-proto.h"

#define M(name)	Nexus__Permissions__V1__##name

static int begin(struct method *m, void *self, void *call, size_t size)
{
	return method_begin(m, ((struct permissions *)self)->host, call, size);
}

static struct base *base_of(void *self)
{
	return &((struct permissions *)self)->base;
}

static int end(const struct method *m, int ret)
{
	const char *words = ret == -ENODATA ? "there is no policy; set one first" :
		ret == -ESTALE ? "the store has not come as far as the token" :
		ret == -ENOENT ? "the policy has no such type or relation" :
		ret == -ENOTCONN ? METHOD_NO_STORE : NULL;

	return method_end(m, ret, words);
}

static char empty[] = "";

/* Messages have no NULL in them. */
static char *text(const char *s)
{
	return s ? (char *)s : empty;
}

/* ---- requests --------------------------------------------------------- */

static void read_tuple(const M(Tuple) *from, struct nexus_permission_tuple *to)
{
	memset(to, 0, sizeof(*to));
	if (!from)
		return;
	*to = (struct nexus_permission_tuple){
		from->object_type, from->object_id, from->relation,
		from->subject_type, from->subject_id, from->subject_relation,
	};
}

static int read_read(const struct method *m, const M(Read) *from, struct nexus_permission_read *to)
{
	struct nexus_permission_fact *facts;
	const char *twice;
	size_t i;

	if (!from)
		return 0;
	if (from->n_facts > NEXUS_PERMISSION_FACTS_MAX)
		return -EMSGSIZE;
	if (strlen(from->token) >= sizeof(to->token))
		return -EINVAL;
	strcpy(to->token, from->token);
	to->freshness = (u32)from->freshness;
	facts = method_room(m, from->n_facts, sizeof(*facts));
	if (!facts)
		return -ENOMEM;
	for (i = 0; i < from->n_facts; i++) {
		const M(Fact) *f = from->facts[i];

		facts[i].name = f->name;
		if (f->value_case == NEXUS__PERMISSIONS__V1__FACT__VALUE_TEXT)
			facts[i].text = f->text;
		else
			facts[i].number = f->number;
	}
	twice = base_twice(facts, (u32)from->n_facts);
	if (twice)
		return refuse(m->call, -EINVAL, "fact %.64s is given twice", twice);
	to->facts = facts;
	to->nfacts = (u32)from->n_facts;
	return 0;
}

/* ---- answers ---------------------------------------------------------- */

static const char *const reasons[] = {
	"depth", "fanout", "nodes", "deadline", "cycle", "condition", "reads",
};

#define REASONS	(sizeof(reasons) / sizeof(reasons[0]))

static int say_why(const struct method *m, u32 why, size_t *n, char ***names)
{
	size_t i;

	*names = method_room(m, REASONS, sizeof(**names));
	if (!*names)
		return -ENOMEM;
	*n = 0;
	for (i = 0; i < REASONS; i++)
		if (why >> i & 1)
			(*names)[(*n)++] = text(reasons[i]);
	return 0;
}

static int say_answer(const struct method *m, const struct nexus_permission_answer *from,
		      M(Answer) *to)
{
	nexus__permissions__v1__answer__init(to);
	to->allowed = from->allowed;
	to->contextual = from->contextual;
	to->valid_until_ms = from->valid_until_ms;
	if (from->error)
		to->problem = from->error == -EINVAL ?
			NEXUS__PERMISSIONS__V1__PROBLEM__PROBLEM_IDENTIFIER :
			NEXUS__PERMISSIONS__V1__PROBLEM__PROBLEM_POLICY;
	return say_why(m, from->why, &to->n_unknown, &to->unknown);
}

/* ---- check ------------------------------------------------------------ */

/* TYPE:ID, the first ':' ends the type; the caller when there is none. */
static int read_subject(const struct method *m, const char *subject, const char **type,
			const char **id)
{
	const char *colon;
	char *copy;

	if (!subject[0])
		subject = m->call->caller.subject;
	colon = strchr(subject, ':');
	if (!colon)
		return -EINVAL;
	copy = method_room(m, strlen(subject) + 1, 1);
	if (!copy)
		return -ENOMEM;
	strcpy(copy, subject);
	copy[colon - subject] = '\0';
	*type = copy;
	*id = copy + (colon - subject) + 1;
	return 0;
}

static int read_questions(const struct method *m, const M(CheckRequest) *req,
			  struct nexus_permission_check_args *a)
{
	struct nexus_permission_tuple *t, subject = { .subject_relation = req->subject_relation };
	size_t i;
	int ret;

	if (req->n_questions > NEXUS_PERMISSION_BATCH_MAX)
		return -EMSGSIZE;
	ret = read_subject(m, req->subject, &subject.subject_type, &subject.subject_id);
	if (ret)
		return ret;
	t = method_room(m, req->n_questions, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (i = 0; i < req->n_questions; i++) {
		t[i] = subject;
		t[i].object_type = req->questions[i]->object_type;
		t[i].object_id = req->questions[i]->object_id;
		t[i].relation = req->questions[i]->relation;
	}
	a->questions = t;
	a->count = (u32)req->n_questions;
	return read_read(m, req->read, &a->read);
}

static int say_answers(const struct method *m, struct nexus_permission_check_args *a)
{
	M(CheckResponse) resp = NEXUS__PERMISSIONS__V1__CHECK_RESPONSE__INIT;
	M(Answer) *answers = method_room(m, a->count, sizeof(*answers));
	int ret = 0;
	u32 i;

	resp.answers = method_room(m, a->count, sizeof(*resp.answers));
	if (!answers || !resp.answers)
		return -ENOMEM;
	for (i = 0; i < a->count && !ret; i++) {
		ret = say_answer(m, &a->answers[i], &answers[i]);
		resp.answers[i] = &answers[i];
	}
	resp.n_answers = a->count;
	resp.token = a->read.at;
	return ret ? ret : nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int rpc_check(void *self, void *call)
{
	struct nexus_permission_check_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = read_questions(&m, (const void *)m.call->msg, a);
	if (!ret)
		ret = base_check(base_of(self), a);
	return end(&m, ret ? ret : say_answers(&m, a));
}

/* ---- write, delete ---------------------------------------------------- */

static int read_write(const struct method *m, const M(WriteRequest) *req,
		      struct nexus_permission_write_args *a)
{
	struct nexus_permission_precondition *p;
	struct nexus_permission_update *u;
	size_t i;

	if (req->n_preconditions > NEXUS_PERMISSION_BATCH_MAX ||
	    req->n_updates > NEXUS_PERMISSION_BATCH_MAX)
		return -EMSGSIZE;
	p = method_room(m, req->n_preconditions, sizeof(*p));
	u = method_room(m, req->n_updates, sizeof(*u));
	if (!p || !u)
		return -ENOMEM;
	for (i = 0; i < req->n_preconditions; i++) {
		read_tuple(req->preconditions[i]->tuple, &p[i].tuple);
		p[i].absent = req->preconditions[i]->absent;
	}
	for (i = 0; i < req->n_updates; i++) {
		u[i].kind = (u32)req->updates[i]->kind;
		read_tuple(req->updates[i]->tuple, &u[i].tuple);
		u[i].expires_ms = req->updates[i]->expires_ms;
		u[i].condition = req->updates[i]->condition;
	}
	a->preconditions = p;
	a->npreconditions = (u32)req->n_preconditions;
	a->updates = u;
	a->nupdates = (u32)req->n_updates;
	return 0;
}

static int rpc_write(void *self, void *call)
{
	M(WriteResponse) resp = NEXUS__PERMISSIONS__V1__WRITE_RESPONSE__INIT;
	struct nexus_permission_write_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = read_write(&m, (const void *)m.call->msg, a);
	if (!ret) {
		ret = base_write(base_of(self), a);
		if (ret && a->error[0])
			refuse(m.call, ret, "%u: %.200s", a->failed,
				 a->error);
	}
	resp.changed = a->changed;
	resp.token = a->token;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int rpc_delete(void *self, void *call)
{
	M(DeleteResponse) resp = NEXUS__PERMISSIONS__V1__DELETE_RESPONSE__INIT;
	const M(DeleteRequest) *req;
	struct nexus_permission_delete_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	read_tuple(req->match, &a->match);
	a->max = req->max;
	ret = base_delete(base_of(self), a);
	resp.deleted = a->deleted;
	resp.more = a->more;
	resp.token = a->token;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

/* ---- explain, expand -------------------------------------------------- */

static int rpc_explain(void *self, void *call)
{
	M(ExplainResponse) resp = NEXUS__PERMISSIONS__V1__EXPLAIN_RESPONSE__INIT;
	const M(ExplainRequest) *req;
	struct nexus_permission_explain_args *a;
	M(Answer) answer;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	read_tuple(req->question, &a->question);
	ret = read_read(&m, req->read, &a->read);
	if (!ret)
		ret = base_explain(base_of(self), a);
	if (!ret)
		ret = say_answer(&m, &a->answer, &answer);
	resp.answer = &answer;
	resp.lines = a->lines;
	resp.n_lines = a->nlines;
	resp.cut = a->cut;
	resp.token = a->read.at;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int say_branches(const struct method *m, struct nexus_permission_expand_args *a)
{
	M(ExpandResponse) resp = NEXUS__PERMISSIONS__V1__EXPAND_RESPONSE__INIT;
	M(Branch) *branches = method_room(m, a->nbranches, sizeof(*branches));
	int ret;
	u32 i;

	resp.branches = method_room(m, a->nbranches, sizeof(*resp.branches));
	if (!branches || !resp.branches)
		return -ENOMEM;
	for (i = 0; i < a->nbranches; i++) {
		const struct nexus_permission_branch *b = &a->branches[i];

		nexus__permissions__v1__branch__init(&branches[i]);
		branches[i].kind = (M(BranchKind))b->kind;
		branches[i].depth = b->depth;
		branches[i].conditional = b->conditional;
		branches[i].type = text(b->type);
		branches[i].id = text(b->id);
		branches[i].relation = text(b->relation);
		resp.branches[i] = &branches[i];
	}
	resp.n_branches = a->nbranches;
	resp.token = a->read.at;
	ret = say_why(m, a->why, &resp.n_unknown, &resp.unknown);
	return ret ? ret : nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int rpc_expand(void *self, void *call)
{
	const M(ExpandRequest) *req;
	struct nexus_permission_expand_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	if (req->question) {
		a->object_type = req->question->object_type;
		a->object_id = req->question->object_id;
		a->relation = req->question->relation;
	}
	a->max = req->max;
	ret = read_read(&m, req->read, &a->read);
	if (!ret)
		ret = base_expand(base_of(self), a);
	return end(&m, ret ? ret : say_branches(&m, a));
}

/* ---- lists ------------------------------------------------------------ */

static int say_items(const struct method *m, struct nexus_permission_list_args *a)
{
	M(ListResponse) resp = NEXUS__PERMISSIONS__V1__LIST_RESPONSE__INIT;
	M(ListItem) *items = method_room(m, a->nitems, sizeof(*items));
	int ret;
	u32 i;

	resp.items = method_room(m, a->nitems, sizeof(*resp.items));
	if (!items || !resp.items)
		return -ENOMEM;
	for (i = 0; i < a->nitems; i++) {
		nexus__permissions__v1__list_item__init(&items[i]);
		items[i].id = text(a->items[i].id);
		items[i].not_ = a->items[i].not;
		resp.items[i] = &items[i];
	}
	resp.n_items = a->nitems;
	resp.more = a->more;
	resp.token = a->read.at;
	ret = say_why(m, a->why, &resp.n_unknown, &resp.unknown);
	return ret ? ret : nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int list(void *self, void *call, int (*op)(struct base *, struct nexus_permission_list_args *))
{
	const M(ListRequest) *req;
	struct nexus_permission_list_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	read_tuple(req->tuple, &a->tuple);
	a->after = req->after;
	a->max = req->max;
	ret = read_read(&m, req->read, &a->read);
	if (!ret)
		ret = op(base_of(self), a);
	return end(&m, ret ? ret : say_items(&m, a));
}

static int rpc_list_objects(void *self, void *call)
{
	return list(self, call, base_list_objects);
}

static int rpc_list_subjects(void *self, void *call)
{
	return list(self, call, base_list_subjects);
}

/* ---- the policy ------------------------------------------------------- */

static int rpc_set_policy(void *self, void *call)
{
	M(SetPolicyResponse) resp = NEXUS__PERMISSIONS__V1__SET_POLICY_RESPONSE__INIT;
	const M(SetPolicyRequest) *req;
	struct nexus_permission_policy_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->text = req->text;
	a->len = (u32)strlen(req->text);
	ret = base_policy_set(base_of(self), a);
	if (ret)
		refuse(m.call, ret, "%.250s", a->error);
	resp.token = a->token;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int rpc_get_policy(void *self, void *call)
{
	M(GetPolicyResponse) resp = NEXUS__PERMISSIONS__V1__GET_POLICY_RESPONSE__INIT;
	struct nexus_permission_policy_args *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = base_policy_get(base_of(self), a);
	resp.text = text(a->text);
	resp.token = a->token;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

/* ---- the state -------------------------------------------------------- */

static int rpc_state(void *self, void *call)
{
	M(StateResponse) resp = NEXUS__PERMISSIONS__V1__STATE_RESPONSE__INIT;
	struct nexus_permission_sharing s;
	struct nexus_permission_state *a;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = base_state(base_of(self), a);
	if (!ret)
		ret = base_sharing(base_of(self), &s);
	if (ret)
		return end(&m, ret);
	resp.limit = a->limit;
	resp.bytes = a->bytes;
	resp.entries = a->entries;
	resp.hits = a->hits;
	resp.misses = a->misses;
	resp.invalidated = a->invalidated;
	resp.evicted = a->evicted;
	resp.emptied = a->emptied;
	resp.closures = a->closures;
	resp.closures_refused = a->closures_refused;
	resp.closure_hits = a->closure_hits;
	resp.sharing = (M(Sharing))s.how;
	resp.sharing_since = s.since;
	resp.shared_hits = s.hits;
	resp.shared_misses = s.misses;
	resp.shared_put = s.put;
	resp.shared_failed = s.failed;
	resp.shared_refused = s.refused;
	return end(&m, nexus_rpc_answer(m.host, m.call, &resp.base));
}

#define METHOD(n, word, by, on) { \
	.name = (n), .who = (by), .subject = (on), \
	.request = &nexus__permissions__v1__##word##_request__descriptor, \
	.response = &nexus__permissions__v1__##word##_response__descriptor, \
	.call = rpc_##word, \
}
#define LIST_METHOD(n, word) { \
	.name = (n), .who = NEXUS_RPC_ADMIN, \
	.request = &nexus__permissions__v1__list_request__descriptor, \
	.response = &nexus__permissions__v1__list_response__descriptor, \
	.call = rpc_##word, \
}

static const struct nexus_rpc_method methods[] = {
	METHOD("Check", check, NEXUS_RPC_SELF, "subject"),
	METHOD("Write", write, NEXUS_RPC_ADMIN, NULL),
	METHOD("Delete", delete, NEXUS_RPC_ADMIN, NULL),
	METHOD("Explain", explain, NEXUS_RPC_ADMIN, NULL),
	METHOD("Expand", expand, NEXUS_RPC_ADMIN, NULL),
	LIST_METHOD("ListObjects", list_objects),
	LIST_METHOD("ListSubjects", list_subjects),
	METHOD("SetPolicy", set_policy, NEXUS_RPC_ADMIN, NULL),
	METHOD("GetPolicy", get_policy, NEXUS_RPC_ADMIN, NULL),
	METHOD("State", state, NEXUS_RPC_ADMIN, NULL),
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service permissions_rpc[] = {
	{ "nexus.permissions.v1.Permissions", methods },
	NEXUS_RPC_SERVICES_END,
};
