// SPDX-License-Identifier: Apache-2.0
/* The agent registry, loaded and over the control socket. */
#include "records-rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <nexus/services/agent_registry.h>

#define AGENTS	"nexus.agent_registry.v1.Agents"
#define NAME	"agent_registry"
#define M(name)	Nexus__AgentRegistry__V1__##name
#define STATE(name)	NEXUS__AGENT_REGISTRY__V1__AGENT_STATE__AGENT_STATE_##name

typedef M(AddRequest) Add;
typedef M(GetRequest) Get;
typedef M(TransitionRequest) Transition;
typedef M(HeartbeatRequest) Heartbeat;
typedef M(ListRequest) List;
typedef M(RemoveRequest) Remove;

static Add add_of(const char *id, const char *owner)
{
	Add req = NEXUS__AGENT_REGISTRY__V1__ADD_REQUEST__INIT;

	req.id = (char *)id;
	req.owner = (char *)owner;
	return req;
}

static Get get_of(const char *id, const char *as)
{
	Get req = NEXUS__AGENT_REGISTRY__V1__GET_REQUEST__INIT;

	req.id = (char *)id;
	req.as = (char *)as;
	return req;
}

static Transition transition_of(const char *id, M(AgentState) target, uint64_t generation)
{
	Transition req = NEXUS__AGENT_REGISTRY__V1__TRANSITION_REQUEST__INIT;

	req.id = (char *)id;
	req.target = target;
	req.generation = generation;
	return req;
}

static Heartbeat heartbeat_of(const char *id, uint64_t generation)
{
	Heartbeat req = NEXUS__AGENT_REGISTRY__V1__HEARTBEAT_REQUEST__INIT;

	req.id = (char *)id;
	req.generation = generation;
	return req;
}

static List list_of(const char *owner, uint32_t max)
{
	List req = NEXUS__AGENT_REGISTRY__V1__LIST_REQUEST__INIT;

	req.owner = (char *)owner;
	req.max = max;
	return req;
}

static Remove remove_of(const char *id, const char *as)
{
	Remove req = NEXUS__AGENT_REGISTRY__V1__REMOVE_REQUEST__INIT;

	req.id = (char *)id;
	req.as = (char *)as;
	return req;
}

static M(Agent) *agent_of(const char *method, const ProtobufCMessage *req)
{
	M(AgentResponse) *resp = ask_ok(AGENTS, method, req,
					&nexus__agent_registry__v1__agent_response__descriptor);
	M(Agent) *agent = resp->agent;

	assert_non_null(agent);
	resp->agent = NULL;
	release(resp);
	return agent;
}

static void add(const char *id, const char *owner)
{
	Add req = add_of(id, owner);

	release(agent_of("Add", &req.base));
}

static uint64_t connected(const char *id)
{
	Transition req = transition_of(id, STATE(CONNECTED), 0);
	M(Agent) *agent = agent_of("Transition", &req.base);
	uint64_t generation = agent->generation;

	assert_int_equal(agent->state, STATE(CONNECTED));
	release(agent);
	return generation;
}

static void fails(const char *method, const ProtobufCMessage *req, int error, const char *words)
{
	ask_fails(AGENTS, method, req, error, words);
}

static M(StateResponse) state_now(void)
{
	M(StateRequest) req = NEXUS__AGENT_REGISTRY__V1__STATE_REQUEST__INIT;
	M(StateResponse) copy, *resp;

	resp = ask_ok(AGENTS, "State", &req.base,
		      &nexus__agent_registry__v1__state_response__descriptor);
	copy = *resp;
	release(resp);
	return copy;
}

/* ---- what each method does ------------------------------------------------------------ */

static void test_life(void **state)
{
	Add new = add_of("worker-1", "");
	Get ask = get_of("worker-1", "");
	Transition to = transition_of("worker-1", STATE(CONNECTED), 0);
	Heartbeat beat = heartbeat_of("worker-1", 1);
	Remove rm = remove_of("worker-1", "");
	M(HeartbeatResponse) *heard;
	M(Agent) *agent;
	char self[32];

	(void)state;
	records_begin(NAME, NULL);
	new.zone = (char *)"root";
	new.name = (char *)"first";
	new.metadata = (char *)"{\"kind\":\n\"test\"}";
	agent = agent_of("Add", &new.base);
	snprintf(self, sizeof(self), "user:%u", (unsigned int)geteuid());
	assert_string_equal(agent->owner, self);
	assert_string_equal(agent->metadata, new.metadata);
	assert_int_equal(agent->state, STATE(UNKNOWN));
	assert_int_equal(agent->generation, 0);
	assert_true(agent->registered_ms > 1500000000000);
	release(agent);
	fails("Add", &new.base, EEXIST, "there is an agent of this id");
	fails("Heartbeat", &beat.base, EKEYEXPIRED, "not the agent's any more");
	agent = agent_of("Transition", &to.base);
	assert_int_equal(agent->generation, 1);
	assert_true(agent->seen_ms >= agent->registered_ms);
	release(agent);
	fails("Transition", &to.base, EBUSY, "no way");
	heard = ask_ok(AGENTS, "Heartbeat", &beat.base,
		       &nexus__agent_registry__v1__heartbeat_response__descriptor);
	assert_int_equal(heard->state, STATE(CONNECTED));
	release(heard);
	beat.generation = 2;
	fails("Heartbeat", &beat.base, EKEYEXPIRED, "not the agent's any more");
	to = transition_of("worker-1", STATE(IDLE), 7);
	fails("Transition", &to.base, EKEYEXPIRED, "not the agent's any more");
	to.generation = 1;
	release(agent_of("Transition", &to.base));
	to = transition_of("worker-1", STATE(SUSPENDED), 1);
	release(agent_of("Transition", &to.base));
	beat.generation = 1;
	fails("Heartbeat", &beat.base, EBUSY, "not connected");
	agent = agent_of("Get", &ask.base);
	assert_string_equal(agent->zone, "root");
	assert_string_equal(agent->name, "first");
	release(agent);
	assert_int_equal(state_now().agents, 1);
	assert_int_equal(state_now().heartbeats, 1);
	release(ask_ok(AGENTS, "Remove", &rm.base,
		       &nexus__agent_registry__v1__remove_response__descriptor));
	fails("Get", &ask.base, ENOENT, "no such agent");
	fails("Remove", &rm.base, ENOENT, "no such agent");
	fails("Heartbeat", &beat.base, EKEYEXPIRED, "not the agent's any more");
	assert_int_equal(state_now().agents, 0);
	records_end();
}

static void test_bad(void **state)
{
	static char longer[300];
	Add new = add_of("", "");
	Transition to = transition_of("a", (M(AgentState))9, 0);
	List all = list_of("", 1001);
	char text[256];
	int fd;

	(void)state;
	records_begin(NAME, NULL);
	fails("Add", &new.base, EINVAL, "");
	new = add_of("a/b", "");
	fails("Add", &new.base, EINVAL, "");
	memset(longer, 'a', sizeof(longer) - 1);
	new = add_of(longer, "");
	fails("Add", &new.base, ENAMETOOLONG, "");
	new = add_of("a", "nobody");
	fails("Add", &new.base, EINVAL, "");
	fails("Transition", &to.base, EINVAL, "");
	to.target = STATE(UNSPECIFIED);
	fails("Transition", &to.base, EINVAL, "");
	to.target = STATE(UNKNOWN);
	fails("Transition", &to.base, ENOENT, "");
	fails("List", &all.base, EINVAL, "");
	/* A NUL within an id, and what is no UTF-8. */
	fd = raw_connect(h);
	assert_int_equal(call_on(fd, AGENTS, "Add", "\x0a\x03" "a\0b", 5, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	assert_int_equal(call_on(fd, AGENTS, "Add", "\x0a\x02" "a\xff", 4, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	assert_int_equal(call_on(fd, AGENTS, "Add", "\x0a\x7f" "a", 3, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	close(fd);
	assert_int_equal(state_now().agents, 0);
	records_end();
}

static void test_list(void **state)
{
	List req = list_of("", 40);
	M(ListResponse) *resp;
	char id[16], last[16] = "";
	uint32_t i, n = 0;
	bool more;

	(void)state;
	records_begin(NAME, NULL);
	for (i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		add(id, i % 4 ? "user:1" : "agent:a1");
	}
	do {
		req.after = last;
		resp = ask_ok(AGENTS, "List", &req.base,
			      &nexus__agent_registry__v1__list_response__descriptor);
		assert_true(resp->n_agents <= 40);
		n += (uint32_t)resp->n_agents;
		strcpy(last, resp->agents[resp->n_agents - 1]->id);
		more = resp->more;
		release(resp);
	} while (more);
	assert_int_equal(n, 100);
	req = list_of("agent:a1", 0);
	resp = ask_ok(AGENTS, "List", &req.base,
		      &nexus__agent_registry__v1__list_response__descriptor);
	assert_int_equal(resp->n_agents, 25);
	assert_string_equal(resp->agents[0]->owner, "agent:a1");
	release(resp);
	req.state = STATE(IDLE);
	resp = ask_ok(AGENTS, "List", &req.base,
		      &nexus__agent_registry__v1__list_response__descriptor);
	assert_int_equal(resp->n_agents, 0);
	release(resp);
	records_end();
}

/* ---- swap, and the next helper --------------------------------------------------------- */

static atomic_bool over;
static atomic_uint heard, failed;

static void *beating(void *arg)
{
	Heartbeat req = heartbeat_of(arg, 1);
	struct answer a;

	while (!atomic_load(&over)) {
		if (ask_msg(AGENTS, "Heartbeat", &req.base, &a) == RPC_OK)
			atomic_fetch_add(&heard, 1);
		else if (a.error != EAGAIN)
			atomic_fetch_add(&failed, 1);
		free(a.payload);
	}
	return NULL;
}

static void test_swap(void **state)
{
	static char ids[3][4] = { "a0", "a1", "a2" };
	Get ask = get_of("a0", "");
	pthread_t threads[3];
	uint32_t i, seen;
	M(Agent) *agent;
	int64_t seen_ms;

	(void)state;
	records_begin(NAME, NULL);
	for (i = 0; i < 3; i++) {
		add(ids[i], "user:1");
		assert_int_equal(connected(ids[i]), 1);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, beating, ids[i]), 0);
	for (i = 0; i < 10; i++) {
		assert_int_equal(swap(NAME), 0);
		seen = atomic_load(&heard);
		while (atomic_load(&heard) < seen + 3 && !atomic_load(&failed))
			sched_yield();
	}
	atomic_store(&over, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failed), 0);
	/* What was in memory is there for the next build, and the next helper. */
	agent = agent_of("Get", &ask.base);
	seen_ms = agent->seen_ms;
	assert_true(seen_ms > 0);
	release(agent);
	assert_int_equal(swap(NAME), 0);
	agent = agent_of("Get", &ask.base);
	assert_int_equal(agent->seen_ms, seen_ms);
	release(agent);
	records_again(NAME);
	agent = agent_of("Get", &ask.base);
	assert_int_equal(agent->seen_ms, seen_ms);
	assert_int_equal(agent->state, STATE(CONNECTED));
	release(agent);
	records_end();
}

/* Without a record store it does not start. */
static void test_without_records(void **state)
{
	(void)state;
	put_file(SERVICES "/agent_registry/agent_registry.so", NAME);
	begin_with(0, 0, NULL);
	assert_int_equal(load(NAME), -EOPNOTSUPP);
	end();
}

/* ---- who ------------------------------------------------------------------------------ */

/* "own" and "own-too" are agents of uid 4711, the alien ones of another. */
static void test_who(void **state)
{
	M(StateRequest) st = NEXUS__AGENT_REGISTRY__V1__STATE_REQUEST__INIT;
	Get own = get_of("own", ""), alien = get_of("alien", ""), posing = get_of("own", "user:1");
	Transition idle = transition_of("own", STATE(IDLE), 0);
	Transition back = transition_of("own", STATE(CONNECTED), 0);
	Transition idle2 = transition_of("alien", STATE(IDLE), 0);
	Transition back2 = transition_of("alien", STATE(CONNECTED), 0);
	Heartbeat beat = heartbeat_of("own-too", 1), beat2 = heartbeat_of("alien-too", 1);
	List mine = list_of("user:4711", 0), all = list_of("", 0), others = list_of("user:1", 0);
	Add add1 = add_of("new", "user:4711"), add2 = add_of("new2", "user:1");
	Remove rm1 = remove_of("new", ""), rm2 = remove_of("new2", "user:1");
	const struct who_may may[] = {
		{ AGENTS, "State", "rgo", &st.base, false },
		{ AGENTS, "Get", "rgo", &own.base, false },
		{ AGENTS, "Get", "rg-", &alien.base, false },
		{ AGENTS, "Get", "---", &posing.base, false },
		{ AGENTS, "Heartbeat", "rgo", &beat.base, false },
		{ AGENTS, "Heartbeat", "rg-", &beat2.base, false },
		{ AGENTS, "Transition", "rgo", &idle.base, false },
		{ AGENTS, "Transition", "rgo", &back.base, false },
		{ AGENTS, "Transition", "rg-", &idle2.base, false },
		{ AGENTS, "Transition", "rg-", &back2.base, false },
		{ AGENTS, "List", "rgo", &mine.base, false },
		{ AGENTS, "List", "rgo", &all.base, false },
		{ AGENTS, "List", "rg-", &others.base, false },
		{ AGENTS, "Add", "rgo", &add1.base, false },
		{ AGENTS, "Remove", "rgo", &rm1.base, false },
		{ AGENTS, "Add", "rg-", &add2.base, false },
		{ AGENTS, "Remove", "rg-", &rm2.base, false },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	who_begin(may, sizeof(may) / sizeof(may[0]));
	records_begin(NAME, name);
	assert_int_equal(chmod(h->path, 0666), 0);
	add("own", "user:4711");
	add("alien", "user:1");
	add("own-too", "user:4711");
	add("alien-too", "user:1");
	connected("own");
	connected("alien");
	connected("own-too");
	connected("alien-too");
	assert_who();
	/* Who is refused has not reached it. */
	assert_int_equal(state_now().agents, 4);
	records_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* The first: it forks. */
		TEST_IN_WORLD(test_who),
		TEST_IN_WORLD(test_life),
		TEST_IN_WORLD(test_bad),
		TEST_IN_WORLD(test_list),
		TEST_IN_WORLD(test_swap),
		TEST_IN_WORLD(test_without_records),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
