// SPDX-License-Identifier: Apache-2.0
/*
 * Methods of nexus.namespace.v1.Namespace: messages become arguments of the operations,
 * whose memory lives until the answer is encoded.
 */
#include "rpc.h"

#include <errno.h>
#include <string.h>

#include "method.h"
#include "nexus-proto.h"

#define M(name)	Nexus__Namespace__V1__##name

_Static_assert((int)NEXUS_NAMESPACE_UNKNOWN == (int)NEXUS__NAMESPACE__V1__WHY__WHY_UNKNOWN &&
	       (int)NEXUS_NAMESPACE_SYS == (int)NEXUS__NAMESPACE__V1__WHY__WHY_SYS,
	       "they are the same");

static int begin(struct method *m, void *self, void *call, size_t size)
{
	return method_begin(m, ((struct namespace *)self)->host, call, size);
}

static struct names *names_of(void *self)
{
	return &((struct namespace *)self)->names;
}

static int end(const struct method *m, int ret)
{
	const char *words =
		ret == -ENODATA ? "there is no policy with a relation read of type file for such a subject" :
		ret == -ESTALE ? "the store has not come as far as the token" :
		ret == -ENOTCONN ? METHOD_NO_STORE : NULL;

	return method_end(m, ret, words);
}

/* ---- requests --------------------------------------------------------------------- */

/* Whoever asks for another subject sees what that one sees. */
static void read_who(const struct method *m, const char *named, struct nexus_namespace_who *who)
{
	who->subject = method_subject(m, named);
	who->admin = m->call->caller.admin && !strcmp(who->subject, m->call->caller.subject);
}

static int read_read(const M(Read) *from, struct nexus_namespace_read *to)
{
	if (!from)
		return 0;
	if (strlen(from->token) >= sizeof(to->token))
		return -EINVAL;
	strcpy(to->token, from->token);
	to->freshness = (uint32_t)from->freshness;
	return 0;
}

static int read_visible(const struct method *m, struct nexus_namespace_visible_args *a)
{
	const M(VisibleRequest) *req = (const void *)m->call->msg;

	read_who(m, req->subject, &a->who);
	a->zone = req->zone;
	a->path = req->path;
	return read_read(req->read, &a->read);
}

/* ---- answers ---------------------------------------------------------------------- */

static const char *const reasons[] = {
	"depth", "fanout", "nodes", "deadline", "cycle", "condition", "reads",
};

#define REASONS	(sizeof(reasons) / sizeof(reasons[0]))

struct basis {
	M(Basis) msg;
	char *unknown[REASONS];
};

static M(Basis) *say_basis(const struct nexus_namespace_read *from, struct basis *b)
{
	size_t i;

	nexus__namespace__v1__basis__init(&b->msg);
	b->msg.token = (char *)from->at;
	b->msg.generation = from->generation;
	b->msg.valid_until_ms = from->valid_until_ms;
	b->msg.unknown = b->unknown;
	for (i = 0; i < REASONS; i++)
		if (from->unknown >> i & 1)
			b->unknown[b->msg.n_unknown++] = (char *)reasons[i];
	return &b->msg;
}

static void say_answer(const struct nexus_namespace_answer *from, M(Answer) *to)
{
	nexus__namespace__v1__answer__init(to);
	to->visible = from->visible;
	to->readonly = from->readonly;
	to->why = (M(Why))from->why;
	if (from->entry)
		to->entry = (char *)from->entry;
	to->error = (uint32_t)-from->error;
}

/* ---- methods ---------------------------------------------------------------------- */

static int rpc_visible(void *self, void *call)
{
	M(VisibleResponse) resp = NEXUS__NAMESPACE__V1__VISIBLE_RESPONSE__INIT;
	struct nexus_namespace_visible_args *a;
	struct basis basis;
	M(Answer) answer;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = read_visible(&m, a);
	if (!ret)
		ret = names_visible(names_of(self), a);
	say_answer(&a->answer, &answer);
	resp.answer = &answer;
	resp.basis = say_basis(&a->read, &basis);
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int rpc_explain(void *self, void *call)
{
	M(ExplainResponse) resp = NEXUS__NAMESPACE__V1__EXPLAIN_RESPONSE__INIT;
	struct nexus_namespace_explain_args *a;
	struct basis basis;
	M(Answer) answer;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = read_visible(&m, &a->visible);
	if (!ret)
		ret = names_explain(names_of(self), a);
	say_answer(&a->visible.answer, &answer);
	resp.answer = &answer;
	resp.basis = say_basis(&a->visible.read, &basis);
	resp.lines = a->lines;
	resp.n_lines = a->nlines;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int say_filter(const struct method *m, const struct nexus_namespace_filter_args *a)
{
	M(FilterResponse) resp = NEXUS__NAMESPACE__V1__FILTER_RESPONSE__INIT;
	M(Answer) *answers = method_room(m, a->count, sizeof(*answers));
	struct basis basis;
	uint32_t i;

	resp.answers = method_room(m, a->count, sizeof(*resp.answers));
	if (!answers || !resp.answers)
		return -ENOMEM;
	for (i = 0; i < a->count; i++) {
		say_answer(&a->answers[i], &answers[i]);
		resp.answers[i] = &answers[i];
	}
	resp.n_answers = a->count;
	resp.basis = say_basis(&a->read, &basis);
	return nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int rpc_filter(void *self, void *call)
{
	struct nexus_namespace_filter_args *a;
	const M(FilterRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	if (req->n_paths > NEXUS_NAMESPACE_BATCH_MAX)
		return end(&m, -EMSGSIZE);
	read_who(&m, req->subject, &a->who);
	a->zone = req->zone;
	a->paths = (const char *const *)req->paths;
	a->count = (uint32_t)req->n_paths;
	ret = read_read(req->read, &a->read);
	if (!ret)
		ret = names_filter(names_of(self), a);
	return end(&m, ret ? ret : say_filter(&m, a));
}

static int rpc_list(void *self, void *call)
{
	M(ListResponse) resp = NEXUS__NAMESPACE__V1__LIST_RESPONSE__INIT;
	struct nexus_namespace_list_args *a;
	const M(ListRequest) *req;
	struct basis basis;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	read_who(&m, req->subject, &a->who);
	a->zone = req->zone;
	a->after = req->after;
	a->max = req->max;
	ret = read_read(req->read, &a->read);
	if (!ret)
		ret = names_list(names_of(self), a);
	resp.entries = (char **)a->entries;
	resp.n_entries = a->count;
	resp.more = a->more;
	resp.all = a->all;
	resp.basis = say_basis(&a->read, &basis);
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int rpc_state(void *self, void *call)
{
	M(StateResponse) resp = NEXUS__NAMESPACE__V1__STATE_RESPONSE__INIT;
	struct nexus_namespace_state st;
	int ret = names_state(names_of(self), &st);

	if (ret)
		return ret;
	resp.limit = st.limit;
	resp.bytes = st.bytes;
	resp.subjects = st.subjects;
	resp.entries = st.entries;
	resp.generation = st.generation;
	resp.hits = st.hits;
	resp.misses = st.misses;
	resp.built = st.built;
	resp.same = st.same;
	resp.evicted = st.evicted;
	resp.partial = st.partial;
	resp.busy = st.busy;
	resp.ignored = st.ignored;
	return nexus_rpc_answer(((struct namespace *)self)->host, (struct nexus_rpc_call *)call,
				&resp.base);
}

#define METHOD(n, word, by, on, asked) { \
	.name = (n), .who = (by), .subject = (on), \
	.request = &nexus__namespace__v1__##asked##_request__descriptor, \
	.response = &nexus__namespace__v1__##word##_response__descriptor, \
	.call = rpc_##word, \
}

static const struct nexus_rpc_method methods[] = {
	METHOD("Visible", visible, NEXUS_RPC_SELF, "subject", visible),
	METHOD("Filter", filter, NEXUS_RPC_SELF, "subject", filter),
	METHOD("List", list, NEXUS_RPC_SELF, "subject", list),
	METHOD("Explain", explain, NEXUS_RPC_ADMIN, NULL, visible),
	METHOD("State", state, NEXUS_RPC_ADMIN, NULL, state),
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service namespace_rpc[] = {
	{ "nexus.namespace.v1.Namespace", methods },
	NEXUS_RPC_SERVICES_END,
};
