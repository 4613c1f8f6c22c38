// SPDX-License-Identifier: Apache-2.0
/* The scheduler, loaded and over the control socket. */
#include "records-rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <nexus/services/scheduler.h>

#define TASKS	"nexus.scheduler.v1.Tasks"
#define NAME	"scheduler"
#define M(name)	Nexus__Scheduler__V1__##name
#define STATE(name)	NEXUS__SCHEDULER__V1__TASK_STATE__TASK_STATE_##name
#define PRIORITY(name)	NEXUS__SCHEDULER__V1__PRIORITY__PRIORITY_##name

typedef M(SubmitRequest) Submit;
typedef M(ClaimRequest) Claim;
typedef M(RenewRequest) Renew;
typedef M(FinishRequest) Finish;
typedef M(CancelRequest) Cancel;
typedef M(GetRequest) Get;
typedef M(ListRequest) List;

static Submit submit_of(const char *owner, const char *payload)
{
	Submit req = NEXUS__SCHEDULER__V1__SUBMIT_REQUEST__INIT;

	req.owner = (char *)owner;
	req.type = (char *)"index";
	req.payload = bytes(payload);
	return req;
}

static Claim claim_of(const char *worker)
{
	Claim req = NEXUS__SCHEDULER__V1__CLAIM_REQUEST__INIT;

	req.worker = (char *)worker;
	return req;
}

static Renew renew_of(uint64_t id, uint64_t claim)
{
	Renew req = NEXUS__SCHEDULER__V1__RENEW_REQUEST__INIT;

	req.id = id;
	req.claim = claim;
	return req;
}

static Finish finish_of(uint64_t id, uint64_t claim)
{
	Finish req = NEXUS__SCHEDULER__V1__FINISH_REQUEST__INIT;

	req.id = id;
	req.claim = claim;
	return req;
}

static Get get_of(uint64_t id)
{
	Get req = NEXUS__SCHEDULER__V1__GET_REQUEST__INIT;

	req.id = id;
	return req;
}

static Cancel cancel_of(uint64_t id, const char *owner)
{
	Cancel req = NEXUS__SCHEDULER__V1__CANCEL_REQUEST__INIT;

	req.id = id;
	req.owner = (char *)owner;
	return req;
}

static List list_of(const char *owner)
{
	List req = NEXUS__SCHEDULER__V1__LIST_REQUEST__INIT;

	req.owner = (char *)owner;
	return req;
}

static uint64_t submit(const Submit *req, bool existed)
{
	M(SubmitResponse) *resp = ask_ok(TASKS, "Submit", &req->base,
					 &nexus__scheduler__v1__submit_response__descriptor);
	uint64_t id = resp->id;

	assert_int_equal(resp->existed, existed);
	release(resp);
	return id;
}

static M(Task) *task_of(const char *method, const ProtobufCMessage *req)
{
	M(TaskResponse) *resp = ask_ok(TASKS, method, req,
				       &nexus__scheduler__v1__task_response__descriptor);
	M(Task) *task = resp->task;

	assert_non_null(task);
	resp->task = NULL;
	release(resp);
	return task;
}

static void fails(const char *method, const ProtobufCMessage *req, int error, const char *words)
{
	ask_fails(TASKS, method, req, error, words);
}

static int state_of_task(uint64_t id)
{
	Get req = get_of(id);
	M(Task) *task = task_of("Get", &req.base);
	int state = task->state;

	release(task);
	return state;
}

static void test_life(void **state)
{
	Submit new = submit_of("", "a");
	Claim next = claim_of("");
	Renew longer;
	Finish done;
	Cancel all;
	M(RenewResponse) *renewed;
	M(CancelResponse) *cancelled;
	M(StateRequest) st_req = NEXUS__SCHEDULER__V1__STATE_REQUEST__INIT;
	M(StateResponse) *st;
	M(Task) *task;
	char self[32];
	uint64_t id;

	(void)state;
	records_begin(NAME, NULL);
	fails("Claim", &next.base, ENOENT, "there is no task now");
	new.key = (char *)"k";
	id = submit(&new, false);
	assert_int_equal(submit(&new, true), id);
	new.payload = bytes("b");
	fails("Submit", &new.base, EEXIST, "another task has this key");
	new.key = (char *)"";
	new.priority = PRIORITY(LOW);
	submit(&new, false);
	st = ask_ok(TASKS, "State", &st_req.base, &nexus__scheduler__v1__state_response__descriptor);
	assert_int_equal(st->n_queued, 5);
	assert_int_equal(st->queued[2], 1);
	assert_int_equal(st->queued[3], 1);
	assert_int_equal(st->submitted, 2);
	release(st);
	task = task_of("Claim", &next.base);
	snprintf(self, sizeof(self), "user:%u", (unsigned int)geteuid());
	assert_int_equal(task->id, id);
	assert_int_equal(task->claim, 1);
	assert_int_equal(task->state, STATE(RUNNING));
	assert_int_equal(task->priority, PRIORITY(NORMAL));
	assert_string_equal(task->owner, self);
	assert_string_equal(task->worker, self);
	assert_int_equal(task->payload.len, 1);
	assert_int_equal(task->payload.data[0], 'a');
	longer = renew_of(id, 1);
	longer.lease_ms = 3000000;
	renewed = ask_ok(TASKS, "Renew", &longer.base,
			 &nexus__scheduler__v1__renew_response__descriptor);
	assert_true(renewed->lease_ms > task->lease_ms);
	release(renewed);
	release(task);
	longer = renew_of(id, 2);
	fails("Renew", &longer.base, EKEYEXPIRED, "the claim is over, or another's");
	done = finish_of(id, 2);
	fails("Finish", &done.base, EKEYEXPIRED, "the claim is over, or another's");
	done = finish_of(id, 1);
	done.as = (char *)"user:1";
	fails("Finish", &done.base, EACCES, "not for this subject");
	done.as = (char *)"";
	release(ask_ok(TASKS, "Finish", &done.base,
		       &nexus__scheduler__v1__finish_response__descriptor));
	assert_int_equal(state_of_task(id), STATE(COMPLETED));
	all = cancel_of(id, "");
	fails("Cancel", &all.base, EBUSY, "the task has ended");
	all = cancel_of(0, "");
	cancelled = ask_ok(TASKS, "Cancel", &all.base,
			   &nexus__scheduler__v1__cancel_response__descriptor);
	assert_int_equal(cancelled->count, 1);
	release(cancelled);
	assert_int_equal(state_of_task(id + 1), STATE(CANCELLED));
	records_end();
}

static void test_bad(void **state)
{
	static char longer[70000];
	Submit new = submit_of("", "");
	List all = list_of("");
	Get one = get_of(77);
	char text[256];
	int fd;

	(void)state;
	records_begin(NAME, NULL);
	new.deadline_ms = 1700000000000;
	fails("Submit", &new.base, EINVAL, "the deadline is in the past");
	new.deadline_ms = 0;
	new.priority = (M(Priority))9;
	fails("Submit", &new.base, EINVAL, "there is no such priority or boost");
	new.priority = (M(Priority))-1;
	fails("Submit", &new.base, EINVAL, "there is no such priority or boost");
	new = submit_of("nobody", "");
	fails("Submit", &new.base, EINVAL, "the owner is no subject");
	new = submit_of("", "");
	new.type = (char *)"";
	fails("Submit", &new.base, EINVAL, "the type is none");
	memset(longer, 'x', sizeof(longer) - 1);
	new = submit_of("", longer);
	fails("Submit", &new.base, EMSGSIZE, "");
	new = submit_of("", "");
	new.key = longer;
	fails("Submit", &new.base, ENAMETOOLONG, "");
	all.max = 1001;
	fails("List", &all.base, EINVAL, "");
	all.max = 0;
	all.after = UINT64_MAX;
	fails("List", &all.base, EINVAL, "");
	fails("Get", &one.base, ENOENT, "there is no such task");
	/* A NUL within a type. */
	fd = raw_connect(h);
	assert_int_equal(call_on(fd, TASKS, "Submit", "\x12\x03" "a\0b", 5, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	close(fd);
	records_end();
}

/* ---- swap, and the next helper --------------------------------------------------------- */

#define JOBS	60u

static atomic_uint done_by[JOBS + 1], failed, done_all;

static void *working(void *arg)
{
	Claim next = claim_of(arg);
	M(TaskResponse) *resp;
	struct answer a;
	Finish done;
	int code;

	while (atomic_load(&done_all) < JOBS && !atomic_load(&failed)) {
		code = ask_msg(TASKS, "Claim", &next.base, &a);
		if (code != RPC_OK) {
			if (a.error != ENOENT && a.error != EAGAIN)
				atomic_fetch_add(&failed, 1);
			free(a.payload);
			continue;
		}
		resp = nexus__scheduler__v1__task_response__unpack(NULL, a.len, a.payload);
		free(a.payload);
		done = finish_of(resp->task->id, resp->task->claim);
		atomic_fetch_add(&done_by[done.id % (JOBS + 1)], 1);
		release(resp);
		do {
			code = ask_msg(TASKS, "Finish", &done.base, &a);
			free(a.payload);
		} while (code != RPC_OK && a.error == EAGAIN);
		if (code != RPC_OK)
			atomic_fetch_add(&failed, 1);
		atomic_fetch_add(&done_all, 1);
	}
	return NULL;
}

static void test_swap(void **state)
{
	static char workers[3][8] = { "agent:a", "agent:b", "agent:c" };
	Submit new = submit_of("user:1", "x");
	pthread_t threads[3];
	uint32_t i;

	(void)state;
	records_begin(NAME, NULL);
	for (i = 0; i < JOBS; i++)
		submit(&new, false);
	records_again(NAME);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, working, workers[i]), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(swap(NAME), 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failed), 0);
	for (i = 1; i <= JOBS; i++) {
		assert_int_equal(atomic_load(&done_by[i]), 1);
		assert_int_equal(state_of_task(i), STATE(COMPLETED));
	}
	records_end();
}

static void test_without_records(void **state)
{
	(void)state;
	put_file(SERVICES "/scheduler/scheduler.so", NAME);
	begin_with(0, 0, NULL);
	assert_int_equal(load(NAME), -EOPNOTSUPP);
	end();
}

/* ---- who ------------------------------------------------------------------------------ */

/* Uid 4711 is the worker of task 1; tasks 2 and 3 are no concern of its. */
static void test_who(void **state)
{
	M(StateRequest) st = NEXUS__SCHEDULER__V1__STATE_REQUEST__INIT;
	Submit own = submit_of("user:4711", ""), alien = submit_of("user:1", "");
	Submit urgent = submit_of("user:4711", ""), boosted = submit_of("user:4711", "");
	Claim other = claim_of("user:1"), mine = claim_of("user:4711");
	Get one = get_of(1), two = get_of(2);
	Renew renew1 = renew_of(1, 1), renew2 = renew_of(2, 1);
	Finish posing = finish_of(2, 1), finish3 = finish_of(3, 1);
	Submit first = submit_of("user:5", ""), strange = submit_of("user:6", "");
	List my = list_of("user:4711"), all = list_of(""), others = list_of("user:1");
	Cancel none = cancel_of(0, "user:4711"), theirs = cancel_of(0, "user:1");
	const struct who_may may[] = {
		{ TASKS, "State", "rgo", &st.base, false },
		{ TASKS, "Get", "rgo", &one.base, false },
		{ TASKS, "Get", "rg-", &two.base, false },
		{ TASKS, "Renew", "rgo", &renew1.base, false },
		{ TASKS, "Renew", "rg-", &renew2.base, false },
		{ TASKS, "Finish", "---", &posing.base, false },
		{ TASKS, "Finish", "rg-", &finish3.base, false },
		{ TASKS, "List", "rgo", &my.base, false },
		{ TASKS, "List", "rgo", &all.base, false },
		{ TASKS, "List", "rg-", &others.base, false },
		{ TASKS, "Submit", "rgo", &own.base, false },
		{ TASKS, "Submit", "rg-", &alien.base, false },
		{ TASKS, "Submit", "rg-", &urgent.base, false },
		{ TASKS, "Submit", "rg-", &boosted.base, false },
		{ TASKS, "Claim", "rg-", &other.base, false },
		{ TASKS, "Claim", "rgo", &mine.base, false },
		{ TASKS, "Cancel", "rgo", &none.base, false },
		{ TASKS, "Cancel", "rg-", &theirs.base, false },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	urgent.priority = PRIORITY(CRITICAL);
	boosted.boost = 1;
	posing.as = (char *)"user:2";
	renew1.lease_ms = renew2.lease_ms = mine.lease_ms = other.lease_ms = 3600000;
	who_begin(may, sizeof(may) / sizeof(may[0]));
	records_begin(NAME, name);
	assert_int_equal(chmod(h->path, 0666), 0);
	first.executor = (char *)"user:4711";
	assert_int_equal(submit(&first, false), 1);
	release(task_of("Claim", &mine.base));
	assert_int_equal(submit(&strange, false), 2);
	assert_int_equal(submit(&strange, false), 3);
	release(task_of("Claim", &other.base));
	release(task_of("Claim", &other.base));
	assert_who();
	records_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* The first: it forks. */
		TEST_IN_WORLD(test_who),
		TEST_IN_WORLD(test_life),
		TEST_IN_WORLD(test_bad),
		TEST_IN_WORLD(test_swap),
		TEST_IN_WORLD(test_without_records),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
