// SPDX-License-Identifier: Apache-2.0
/*
 * Methods of nexus.scheduler.v1.Tasks: messages become arguments of the operations,
 * whose memory lives until the answer is encoded.
 */
#include "rpc.h"

#include <errno.h>

#include "method.h"
#include "nexus-proto.h"

#define M(name)	Nexus__Scheduler__V1__##name

static int begin(struct method *m, void *self, void *call, size_t size)
{
	return method_begin(m, ((struct scheduler *)self)->host, call, size);
}

static struct tasks *tasks_of(void *self)
{
	return &((struct scheduler *)self)->tasks;
}

static const char *words(int ret)
{
	switch (ret) {
	case -EKEYEXPIRED:
		return "the claim is over, or another's";
	case -EACCES:
		return "not for this subject";
	case -EEXIST:
		return "another task has this key";
	case -EDQUOT:
		return "the owner has as many tasks as it may";
	case -ENOSPC:
		return "there is no room for more";
	case -EBUSY:
		return "the task has ended";
	case -ENOENT:
		return "there is no such task";
	case -ENOTCONN:
		return METHOD_NO_STORE;
	default:
		return NULL;
	}
}

static int end(const struct method *m, int ret)
{
	return method_end(m, ret, words(ret));
}

/* The only one an operation acts as. */
static const char *bound(const struct method *m)
{
	return m->call->caller.admin ? NULL : m->call->caller.subject;
}

/* ---- answers ---------------------------------------------------------------------- */

static void say_task(const struct nexus_task *from, M(Task) *to)
{
	nexus__scheduler__v1__task__init(to);
	to->id = from->id;
	to->owner = (char *)from->owner;
	to->type = (char *)from->type;
	to->executor = (char *)from->executor;
	to->key = (char *)from->key;
	to->payload.data = (uint8_t *)from->payload;
	to->payload.len = from->payload_len;
	to->priority = (M(Priority))(from->priority + 1);
	to->boost = from->boost;
	to->service_ms = from->service_ms;
	to->deadline_ms = from->deadline_ms;
	to->state = (M(TaskState))from->state;
	to->claim = from->claim;
	to->worker = (char *)from->worker;
	to->lease_ms = from->lease_ms;
	to->submitted_ms = from->submitted_ms;
	to->started_ms = from->started_ms;
	to->finished_ms = from->finished_ms;
	to->error = (char *)from->error;
}

static int answer_task(const struct method *m, const struct nexus_task *task)
{
	M(TaskResponse) resp = NEXUS__SCHEDULER__V1__TASK_RESPONSE__INIT;
	M(Task) msg;

	say_task(task, &msg);
	resp.task = &msg;
	return nexus_rpc_answer(m->host, m->call, &resp.base);
}

/* ---- methods ---------------------------------------------------------------------- */

static int rpc_submit(void *self, void *call)
{
	M(SubmitResponse) resp = NEXUS__SCHEDULER__V1__SUBMIT_RESPONSE__INIT;
	struct nexus_task_submit_args *a;
	const M(SubmitRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = bound(&m);
	a->task = (struct nexus_task){
		.owner = method_subject(&m, req->owner), .type = req->type,
		.executor = req->executor, .key = req->key, .payload = req->payload.data,
		.payload_len = req->payload.len > UINT32_MAX ? UINT32_MAX : (uint32_t)req->payload.len,
		.priority = req->priority ? (uint32_t)req->priority - 1 : NEXUS_TASK_NORMAL,
		.boost = req->boost, .service_ms = req->service_ms, .deadline_ms = req->deadline_ms,
	};
	ret = tasks_submit(tasks_of(self), a);
	resp.id = a->id;
	resp.existed = a->existed;
	if (!ret)
		ret = nexus_rpc_answer(m.host, m.call, &resp.base);
	return method_end(&m, ret, ret == -EINVAL ? a->fault : words(ret));
}

static int rpc_claim(void *self, void *call)
{
	struct nexus_task_claim_args *a;
	const M(ClaimRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->worker = method_subject(&m, req->worker);
	a->as = bound(&m);
	a->type = req->type;
	a->lease_ms = req->lease_ms;
	ret = tasks_claim(tasks_of(self), a);
	if (!ret)
		ret = answer_task(&m, &a->task);
	return method_end(&m, ret, ret == -ENOENT ? "there is no task now" : words(ret));
}

static int rpc_renew(void *self, void *call)
{
	M(RenewResponse) resp = NEXUS__SCHEDULER__V1__RENEW_RESPONSE__INIT;
	struct nexus_task_finish_args *a;
	const M(RenewRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	a->claim = req->claim;
	a->lease_ms = req->lease_ms;
	ret = tasks_renew(tasks_of(self), a);
	resp.lease_ms = a->until_ms;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int rpc_finish(void *self, void *call)
{
	struct nexus_task_finish_args *a;
	const M(FinishRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	a->claim = req->claim;
	a->failed = req->failed;
	a->error = req->error;
	return end(&m, tasks_finish(tasks_of(self), a));
}

static int rpc_cancel(void *self, void *call)
{
	M(CancelResponse) resp = NEXUS__SCHEDULER__V1__CANCEL_RESPONSE__INIT;
	struct nexus_task_cancel_args *a;
	const M(CancelRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = bound(&m);
	a->id = req->id;
	a->owner = method_subject(&m, req->owner);
	ret = tasks_cancel(tasks_of(self), a);
	resp.count = a->count;
	return end(&m, ret ? ret : nexus_rpc_answer(m.host, m.call, &resp.base));
}

static int rpc_get(void *self, void *call)
{
	struct nexus_task_get_args *a;
	const M(GetRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	ret = tasks_get(tasks_of(self), a);
	return end(&m, ret ? ret : answer_task(&m, &a->task));
}

static int answer_list(const struct method *m, const struct nexus_task_list_args *a)
{
	M(ListResponse) resp = NEXUS__SCHEDULER__V1__LIST_RESPONSE__INIT;
	M(Task) *msgs = method_room(m, a->count, sizeof(*msgs));
	uint32_t i;

	resp.tasks = method_room(m, a->count, sizeof(*resp.tasks));
	if (!msgs || !resp.tasks)
		return -ENOMEM;
	for (i = 0; i < a->count; i++) {
		say_task(&a->tasks[i], &msgs[i]);
		resp.tasks[i] = &msgs[i];
	}
	resp.n_tasks = a->count;
	resp.more = a->more;
	return nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int rpc_list(void *self, void *call)
{
	struct nexus_task_list_args *a;
	const M(ListRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->owner = m.call->caller.admin ? req->owner : method_subject(&m, req->owner);
	a->state = (uint32_t)req->state;
	a->after = req->after;
	a->max = req->max;
	ret = tasks_list(tasks_of(self), a);
	return end(&m, ret ? ret : answer_list(&m, a));
}

static int rpc_state(void *self, void *call)
{
	M(StateResponse) resp = NEXUS__SCHEDULER__V1__STATE_RESPONSE__INIT;
	struct nexus_scheduler_state st;
	struct scheduler *s = self;
	int ret = tasks_state(&s->tasks, &st);

	if (ret)
		return ret == -ENOTCONN ? refuse(call, ret, METHOD_NO_STORE) : ret;
	resp.queued = st.queued;
	resp.n_queued = sizeof(st.queued) / sizeof(st.queued[0]);
	resp.running = st.running;
	resp.oldest_ms = st.oldest_ms;
	resp.submitted = st.submitted;
	resp.claimed = st.claimed;
	resp.lost = st.lost;
	resp.late = st.late;
	return nexus_rpc_answer(s->host, (struct nexus_rpc_call *)call, &resp.base);
}

#define METHOD(n, word, by, on, answer) { \
	.name = (n), .who = (by), .subject = (on), \
	.request = &nexus__scheduler__v1__##word##_request__descriptor, \
	.response = &nexus__scheduler__v1__##answer##_response__descriptor, \
	.call = rpc_##word, \
}

static const struct nexus_rpc_method methods[] = {
	METHOD("Submit", submit, NEXUS_RPC_SELF, "owner", submit),
	METHOD("Claim", claim, NEXUS_RPC_SELF, "worker", task),
	METHOD("Renew", renew, NEXUS_RPC_SELF, "as", renew),
	METHOD("Finish", finish, NEXUS_RPC_SELF, "as", finish),
	METHOD("Cancel", cancel, NEXUS_RPC_SELF, "owner", cancel),
	METHOD("Get", get, NEXUS_RPC_SELF, "as", task),
	METHOD("List", list, NEXUS_RPC_SELF, "owner", list),
	METHOD("State", state, NEXUS_RPC_ALL, NULL, state),
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service scheduler_rpc[] = {
	{ "nexus.scheduler.v1.Tasks", methods },
	NEXUS_RPC_SERVICES_END,
};
