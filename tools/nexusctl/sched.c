// SPDX-License-Identifier: Apache-2.0
/* nexusctl sched: tasks, and whose turn it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/services/scheduler.h>

#include "nexus-proto.h"
#include "call.h"

#define M(name)	Nexus__Scheduler__V1__##name

static const struct call_target target = { "nexus.scheduler.v1.Tasks", "scheduler" };

static const char *const priorities[] = { "", "critical", "high", "normal", "low", "best_effort" };
static const char *const states[] = { "", "queued", "running", "completed", "failed", "cancelled" };

#define WORDS	6u	/* of each */

static const char *word(const char *const *words, unsigned int n)
{
	return n && n < WORDS ? words[n] : "?";
}

static bool parse_word(const char *const *words, const char *text, unsigned int *n)
{
	for (*n = 1; *n < WORDS; ++*n)
		if (!strcmp(text, words[*n]))
			return true;
	return false;
}

/* Seconds, as ms. */
static bool read_seconds(const char *text, uint64_t max, uint32_t *ms)
{
	uint64_t s = 0;

	if (text && !parse_number(text, 1, max, &s))
		return false;
	*ms = (uint32_t)(s * 1000);
	return true;
}

/* ---- one task ------------------------------------------------------------------------- */

static void task_json(struct json *json, const M(Task) *t, bool whole)
{
	char *text = whole ? malloc(t->payload.len / 3 * 4 + 5) : NULL;

	json_open(json, NULL, '{');
	json_number(json, "id", t->id);
	json_string(json, "owner", t->owner);
	json_string(json, "type", t->type);
	json_string(json, "executor", t->executor);
	json_string(json, "key", t->key);
	if (text) {
		base64(t->payload.data, t->payload.len, text);
		json_string(json, "base64", text);
	}
	json_string(json, "priority", word(priorities, t->priority));
	json_number(json, "boost", t->boost);
	json_number(json, "service_ms", t->service_ms);
	json_number(json, "deadline_ms", (uint64_t)t->deadline_ms);
	json_string(json, "state", word(states, t->state));
	json_number(json, "claim", t->claim);
	json_string(json, "worker", t->worker);
	json_number(json, "lease_ms", (uint64_t)t->lease_ms);
	json_number(json, "submitted_ms", (uint64_t)t->submitted_ms);
	json_number(json, "started_ms", (uint64_t)t->started_ms);
	json_number(json, "finished_ms", (uint64_t)t->finished_ms);
	json_string(json, "error", t->error);
	json_close(json, '}');
	free(text);
}

static void line(const char *name, const char *value)
{
	if (value[0])
		printf("%-11s %s\n", name, value);
}

static void when(const char *name, int64_t ms)
{
	char text[32];

	local_time(text, (uint64_t)ms / 1000);
	if (ms)
		line(name, text);
}

static void task_text(const M(Task) *t)
{
	printf("id:         %" PRIu64 "\nclaim:      %" PRIu64 "\n", t->id, t->claim);
	line("state:", word(states, t->state));
	line("error:", t->error);
	line("owner:", t->owner);
	line("type:", t->type);
	line("executor:", t->executor);
	line("key:", t->key);
	line("priority:", word(priorities, t->priority));
	line("worker:", t->worker);
	when("submitted:", t->submitted_ms);
	when("deadline:", t->deadline_ms);
	when("started:", t->started_ms);
	when("lease:", t->lease_ms);
	when("finished:", t->finished_ms);
	printf("payload:    %zu bytes\n", t->payload.len);
}

/* What @method answers to, which is a task. */
static int print_task(struct ctl *ctl, const char *method, const ProtobufCMessage *req)
{
	M(TaskResponse) *resp = call(ctl, &target, method, req,
				     &nexus__scheduler__v1__task_response__descriptor);
	struct json json = { .out = stdout };

	if (!resp || !resp->task) {
		release(resp);
		return EXIT_FAILED;
	}
	if (ctl->raw)
		fwrite(resp->task->payload.data, 1, resp->task->payload.len, stdout);
	else if (ctl->json)
		task_json(&json, resp->task, true);
	else
		task_text(resp->task);
	release(resp);
	return EXIT_OK;
}

/* A word, or standard input, whose buffer is to be freed. */
static int read_payload(const char *data, ProtobufCBinaryData *out, char **buf)
{
	*buf = NULL;
	if (!data)
		return EXIT_OK;
	out->data = (uint8_t *)data;
	out->len = strlen(data);
	if (strcmp(data, "-") != 0)
		return EXIT_OK;
	/* One byte more than any can have is enough to see. */
	*buf = malloc(NEXUS_TASK_PAYLOAD_MAX + 1);
	if (!*buf)
		return no_memory();
	out->data = (uint8_t *)*buf;
	out->len = fread(*buf, 1, NEXUS_TASK_PAYLOAD_MAX + 1, stdin);
	if (!ferror(stdin))
		return EXIT_OK;
	fprintf(stderr, "nexusctl: standard input: %s\n", strerror(errno));
	return EXIT_FAILED;
}

static int submit(struct ctl *ctl, const M(SubmitRequest) *req)
{
	M(SubmitResponse) *resp = call(ctl, &target, "Submit", &req->base,
				       &nexus__scheduler__v1__submit_response__descriptor);
	struct json json = { .out = stdout };

	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "id", resp->id);
		json_bool(&json, "existed", resp->existed);
		json_close(&json, '}');
	} else {
		printf("task %" PRIu64 "%s\n", resp->id, resp->existed ? ", which was there" : "");
	}
	release(resp);
	return EXIT_OK;
}

int cmd_sched_submit(struct ctl *ctl)
{
	M(SubmitRequest) req = NEXUS__SCHEDULER__V1__SUBMIT_REQUEST__INIT;
	unsigned int priority = 0;
	uint64_t deadline = 0;
	char *buf;
	int ret;

	if (ctl->priority && !parse_word(priorities, ctl->priority, &priority))
		return wrong("--priority: critical, high, normal, low or best_effort", ctl->priority);
	if (ctl->deadline && !parse_number(ctl->deadline, 1, INT64_MAX / 1000, &deadline))
		return wrong("--deadline: seconds since 1970", ctl->deadline);
	if (!read_seconds(ctl->service, 86400, &req.service_ms))
		return wrong("--service: 1 to 86400 seconds", ctl->service);
	req.type = ctl->args[0];
	req.priority = (M(Priority))priority;
	req.deadline_ms = (int64_t)deadline * 1000;
	if (ctl->owner)
		req.owner = (char *)ctl->owner;
	if (ctl->executor)
		req.executor = (char *)ctl->executor;
	if (ctl->once)
		req.key = (char *)ctl->once;
	ret = read_payload(ctl->data, &req.payload, &buf);
	if (ret == EXIT_OK)
		ret = submit(ctl, &req);
	free(buf);
	return ret;
}

int cmd_sched_claim(struct ctl *ctl)
{
	M(ClaimRequest) req = NEXUS__SCHEDULER__V1__CLAIM_REQUEST__INIT;

	if (ctl->n_args)
		req.type = ctl->args[0];
	if (ctl->executor)
		req.worker = (char *)ctl->executor;
	if (!read_seconds(ctl->lease_ttl, 3600, &req.lease_ms))
		return wrong("--ttl: 1 to 3600 seconds", ctl->lease_ttl);
	return print_task(ctl, "Claim", &req.base);
}

static bool read_id(const char *text, uint64_t *id)
{
	return parse_number(text, 1, INT64_MAX, id);
}

int cmd_sched_get(struct ctl *ctl)
{
	M(GetRequest) req = NEXUS__SCHEDULER__V1__GET_REQUEST__INIT;

	if (!read_id(ctl->args[0], &req.id))
		return wrong("the number of a task is wanted", ctl->args[0]);
	return print_task(ctl, "Get", &req.base);
}

int cmd_sched_renew(struct ctl *ctl)
{
	M(RenewRequest) req = NEXUS__SCHEDULER__V1__RENEW_REQUEST__INIT;
	struct json json = { .out = stdout };
	M(RenewResponse) *resp;

	if (!read_id(ctl->args[0], &req.id) || !read_id(ctl->args[1], &req.claim))
		return wrong("numbers of a task and a claim are wanted", ctl->args[1]);
	if (!read_seconds(ctl->lease_ttl, 3600, &req.lease_ms))
		return wrong("--ttl: 1 to 3600 seconds", ctl->lease_ttl);
	resp = call(ctl, &target, "Renew", &req.base, &nexus__scheduler__v1__renew_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "lease_ms", (uint64_t)resp->lease_ms);
		json_close(&json, '}');
	} else {
		when("lease:", resp->lease_ms);
	}
	release(resp);
	return EXIT_OK;
}

static int finish(struct ctl *ctl, bool failed, const char *error)
{
	M(FinishRequest) req = NEXUS__SCHEDULER__V1__FINISH_REQUEST__INIT;
	void *resp;

	if (!read_id(ctl->args[0], &req.id) || !read_id(ctl->args[1], &req.claim))
		return wrong("numbers of a task and a claim are wanted", ctl->args[1]);
	req.failed = failed;
	req.error = (char *)error;
	resp = call(ctl, &target, "Finish", &req.base, &nexus__scheduler__v1__finish_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	puts(ctl->json ? "{}" : failed ? "failed" : "completed");
	release(resp);
	return EXIT_OK;
}

int cmd_sched_done(struct ctl *ctl)
{
	return finish(ctl, false, "");
}

int cmd_sched_fail(struct ctl *ctl)
{
	return finish(ctl, true, ctl->args[2]);
}

int cmd_sched_cancel(struct ctl *ctl)
{
	M(CancelRequest) req = NEXUS__SCHEDULER__V1__CANCEL_REQUEST__INIT;
	struct json json = { .out = stdout };
	M(CancelResponse) *resp;

	if (!ctl->n_args == !ctl->owner)
		return wrong("a task or an --owner is wanted", ctl->n_args ? "both" : "neither");
	if (ctl->n_args && !read_id(ctl->args[0], &req.id))
		return wrong("the number of a task is wanted", ctl->args[0]);
	if (ctl->owner)
		req.owner = (char *)ctl->owner;
	resp = call(ctl, &target, "Cancel", &req.base, &nexus__scheduler__v1__cancel_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "count", resp->count);
		json_close(&json, '}');
	} else {
		printf("cancelled: %u\n", resp->count);
	}
	release(resp);
	return EXIT_OK;
}

/* ---- all of them ---------------------------------------------------------------------- */

static void print_list(const struct ctl *ctl, const M(ListResponse) *resp)
{
	struct json json = { .out = stdout };
	size_t i;

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_open(&json, "tasks", '[');
		for (i = 0; i < resp->n_tasks; i++)
			task_json(&json, resp->tasks[i], false);
		json_close(&json, ']');
		json_bool(&json, "more", resp->more);
		json_close(&json, '}');
		return;
	}
	for (i = 0; i < resp->n_tasks; i++) {
		const M(Task) *t = resp->tasks[i];

		printf("%8" PRIu64 "  %-9s  %-11s  %-16s  %s\n", t->id, word(states, t->state),
		       word(priorities, t->priority), t->type, t->owner);
	}
	if (resp->more)
		fprintf(stderr, "there is more: --after %" PRIu64 "\n",
			resp->n_tasks ? resp->tasks[resp->n_tasks - 1]->id : 0);
}

int cmd_sched_list(struct ctl *ctl)
{
	M(ListRequest) req = NEXUS__SCHEDULER__V1__LIST_REQUEST__INIT;
	unsigned int state = 0;
	M(ListResponse) *resp;
	uint64_t max = 0;

	if (ctl->in_state && !parse_word(states, ctl->in_state, &state))
		return wrong("a state is queued, running, completed, failed or cancelled", ctl->in_state);
	if (ctl->lease_limit && !parse_number(ctl->lease_limit, 1, 1000, &max))
		return wrong("--limit: 1 to 1000", ctl->lease_limit);
	if (ctl->after && !parse_number(ctl->after, 0, INT64_MAX, &req.after))
		return wrong("--after: the number of a task", ctl->after);
	req.max = (uint32_t)max;
	req.state = (M(TaskState))state;
	if (ctl->owner)
		req.owner = (char *)ctl->owner;
	resp = call(ctl, &target, "List", &req.base, &nexus__scheduler__v1__list_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	print_list(ctl, resp);
	release(resp);
	return EXIT_OK;
}

int cmd_sched_state(struct ctl *ctl)
{
	M(StateRequest) req = NEXUS__SCHEDULER__V1__STATE_REQUEST__INIT;
	struct json json = { .out = stdout };
	M(StateResponse) *resp;
	size_t i;

	resp = call(ctl, &target, "State", &req.base, &nexus__scheduler__v1__state_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (!ctl->json) {
		for (i = 0; i < resp->n_queued; i++)
			printf("%-12s %u queued\n", word(priorities, (unsigned int)i + 1), resp->queued[i]);
		printf("running      %u\nwaiting      %" PRIu64 " s, the oldest\n", resp->running,
		       (uint64_t)resp->oldest_ms / 1000);
		printf("submitted    %" PRIu64 ", claims %" PRIu64 ", lost %" PRIu64 ", late %" PRIu64 "\n",
		       resp->submitted, resp->claimed, resp->lost, resp->late);
		release(resp);
		return EXIT_OK;
	}
	json_open(&json, NULL, '{');
	json_open(&json, "queued", '[');
	for (i = 0; i < resp->n_queued; i++)
		json_number(&json, NULL, resp->queued[i]);
	json_close(&json, ']');
	json_number(&json, "running", resp->running);
	json_number(&json, "oldest_ms", (uint64_t)resp->oldest_ms);
	json_number(&json, "submitted", resp->submitted);
	json_number(&json, "claimed", resp->claimed);
	json_number(&json, "lost", resp->lost);
	json_number(&json, "late", resp->late);
	json_close(&json, '}');
	release(resp);
	return EXIT_OK;
}
