// SPDX-License-Identifier: Apache-2.0
/* The dispatch table without a socket, as another front end would use it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "nexus-proto.h"
#include "peer.h"
#include "rpc.h"

static struct fake_core fake;
static const struct rpc_service *services;
static const struct rpc_peer root = { .may_change = true };
static const struct rpc_peer user = { .uid = 1000, .gid = 1000 };

#define CREATE	"nexus.control.v1.Zones", "Create"

static int setup(void **state)
{
	(void)state;
	fake_core_init(&fake);
	services = control_services(&fake_ops, &fake);
	return services ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	control_services_free(services);
	return 0;
}

static struct rpc_reply call(const struct rpc_peer *peer, const char *service,
			     const char *method, const void *payload,
			     size_t len)
{
	struct rpc_reply reply = { 0 };

	rpc_dispatch(services, peer, service, method, payload, len, &reply);
	return reply;
}

static void finds_methods(void **state)
{
	void *ctx = NULL;

	(void)state;
	assert_non_null(rpc_find(services, CREATE, &ctx));
	assert_non_null(ctx);
	assert_true(rpc_find(services, CREATE, NULL)->flags &
		    RPC_METHOD_CHANGES);
	assert_false(rpc_find(services, "nexus.control.v1.Zones", "List",
			      NULL)->flags & RPC_METHOD_CHANGES);
	assert_null(rpc_find(services, "nexus.control.v1.Zones", "list", NULL));
	assert_null(rpc_find(services, "Zones", "List", NULL));
	assert_null(rpc_find(services, "", "", NULL));
}

static void unknown_method(void **state)
{
	struct rpc_reply reply = call(&root, "no.such", "Thing", NULL, 0);

	(void)state;
	assert_int_equal(reply.code, RPC_UNIMPLEMENTED);
	assert_string_equal(reply.message, "unknown method no.such/Thing");
	rpc_reply_release(&reply);
}

static void changes_need_the_right(void **state)
{
	static const uint8_t name[] = { 0x0a, 0x01, 'z' };
	static const uint8_t packs[] = { 0x0a, 5, 'p', 'a', 'c', 'k', 's' };
	struct rpc_reply reply;

	(void)state;
	reply = call(&user, CREATE, name, sizeof(name));
	assert_int_equal(reply.code, RPC_PERMISSION_DENIED);
	assert_int_equal(reply.error, -EPERM);
	assert_non_null(strstr(reply.message, "group nexusfs"));
	assert_int_equal(fake.n, 0);
	rpc_reply_release(&reply);

	reply = call(&user, "nexus.control.v1.Zones", "Upgrade", name, 3);
	assert_int_equal(reply.code, RPC_PERMISSION_DENIED);
	rpc_reply_release(&reply);

	/* It changes nothing, but it keeps the disk busy. */
	reply = call(&user, "nexus.control.v1.Packs", "Verify", packs, 7);
	assert_int_equal(reply.code, RPC_PERMISSION_DENIED);
	rpc_reply_release(&reply);
	reply = call(&root, "nexus.control.v1.Packs", "Verify", packs, 7);
	assert_int_equal(reply.code, RPC_OK);
	rpc_reply_release(&reply);

	reply = call(&user, "nexus.control.v1.Packs", "List", packs, 7);
	assert_int_equal(reply.code, RPC_OK);
	rpc_reply_release(&reply);

	reply = call(&user, "nexus.control.v1.Scrub", "Start", packs, 7);
	assert_int_equal(reply.code, RPC_PERMISSION_DENIED);
	rpc_reply_release(&reply);
	reply = call(&user, "nexus.control.v1.Scrub", "Stop", packs, 7);
	assert_int_equal(reply.code, RPC_PERMISSION_DENIED);
	rpc_reply_release(&reply);
	reply = call(&user, "nexus.control.v1.Scrub", "Status", packs, 7);
	assert_int_equal(reply.code, RPC_OK);
	rpc_reply_release(&reply);

	reply = call(&user, "nexus.control.v1.Zones", "List", NULL, 0);
	assert_int_equal(reply.code, RPC_OK);
	rpc_reply_release(&reply);

	reply = call(&root, CREATE, name, sizeof(name));
	assert_int_equal(reply.code, RPC_OK);
	assert_int_equal(fake.n, 1);
	rpc_reply_release(&reply);
}

static void errors_of_the_core(void **state)
{
	static const uint8_t name[] = { 0x0a, 0x01, 'z' };
	struct rpc_reply reply;

	(void)state;
	rpc_reply_release(&(struct rpc_reply){ 0 });
	reply = call(&root, CREATE, name, sizeof(name));
	rpc_reply_release(&reply);
	reply = call(&root, CREATE, name, sizeof(name));
	assert_int_equal(reply.code, RPC_ALREADY_EXISTS);
	assert_int_equal(reply.error, -EEXIST);
	assert_string_equal(reply.message, "zone z exists");
	rpc_reply_release(&reply);
	reply = call(&root, CREATE, NULL, 0);
	assert_int_equal(reply.code, RPC_INVALID_ARGUMENT);
	assert_int_equal(reply.error, -EINVAL);
	rpc_reply_release(&reply);
}

static void bad_payloads(void **state)
{
	static const uint8_t cut[] = { 0x0a, 0x05, 'z' };
	static const uint8_t latin1[] = { 0x0a, 0x01, 0xe4 };
	static const uint8_t nul[] = { 0x0a, 0x03, 'z', 0, 'y' };
	static const uint8_t twice[] = { 0x0a, 0x01, 0xff, 0x0a, 0x01, 'z' };
	uint8_t within[] = { 0x0a, 0x01, 'z', 0x1a, 0x07, 0x0a, 0x01, 'k', 0x12, 0x02, 'v', 0 };
	uint8_t *big = calloc(1, 65537);
	struct rpc_reply reply;

	(void)state;
	reply = call(&root, CREATE, cut, sizeof(cut));
	assert_int_equal(reply.code, RPC_INVALID_ARGUMENT);
	rpc_reply_release(&reply);
	reply = call(&root, CREATE, latin1, sizeof(latin1));
	assert_int_equal(reply.error, -EILSEQ);
	rpc_reply_release(&reply);
	/* protobuf-c would take them for "z", and for an option "k" that is "v". */
	reply = call(&root, CREATE, nul, sizeof(nul));
	assert_int_equal(reply.error, -EILSEQ);
	rpc_reply_release(&reply);
	reply = call(&root, CREATE, within, sizeof(within));
	assert_int_equal(reply.error, -EILSEQ);
	rpc_reply_release(&reply);
	within[11] = 'w';
	reply = call(&root, CREATE, within, sizeof(within));
	assert_int_equal(reply.code, RPC_OK);
	rpc_reply_release(&reply);
	assert_int_equal(fake.n, 1);
	fake.n = 0;
	/* Of two of the same the last counts, but both are looked at. */
	reply = call(&root, CREATE, twice, sizeof(twice));
	assert_int_equal(reply.error, -EILSEQ);
	rpc_reply_release(&reply);
	assert_non_null(big);
	reply = call(&root, CREATE, big, 65537);
	assert_int_equal(reply.error, -EMSGSIZE);
	rpc_reply_release(&reply);
	free(big);
	assert_int_equal(fake.n, 0);
}

static void too_many_options(void **state)
{
	uint8_t payload[3 + 65 * 8], *p = payload;
	struct rpc_reply reply;
	int i;

	(void)state;
	*p++ = 0x0a;
	*p++ = 1;
	*p++ = 'z';
	for (i = 0; i < 65; i++) {
		static const uint8_t entry[] = { 0x1a, 6, 0x0a, 1, 'k', 0x12,
						 1, 'v' };

		memcpy(p, entry, sizeof(entry));
		p += sizeof(entry);
	}
	reply = call(&root, CREATE, payload, sizeof(payload));
	assert_int_equal(reply.code, RPC_INVALID_ARGUMENT);
	assert_int_equal(fake.n, 0);
	rpc_reply_release(&reply);
	reply = call(&root, CREATE, payload, sizeof(payload) - 8);
	assert_int_equal(reply.code, RPC_OK);
	rpc_reply_release(&reply);
}

static void long_cursors(void **state)
{
	uint8_t payload[7 + 2 + 100] = { 0x0a, 5, 'p', 'a', 'c', 'k', 's', 0x1a, 100 };
	struct rpc_reply reply;

	(void)state;
	reply = call(&root, "nexus.control.v1.Packs", "Verify", payload, sizeof(payload));
	assert_int_equal(reply.code, RPC_INVALID_ARGUMENT);
	rpc_reply_release(&reply);
	payload[8] = 64;
	reply = call(&root, "nexus.control.v1.Packs", "Verify", payload, 7 + 2 + 64);
	assert_int_equal(reply.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(reply.message, "the cursor is none of ours");
	rpc_reply_release(&reply);
}

static void absent_operations(void **state)
{
	static const struct control_ops none;
	static const char *const all[][2] = {
		{ "Health", "Check" }, { "Version", "Get" },
		{ "Zones", "Create" }, { "Zones", "List" },
		{ "Zones", "Info" }, { "Zones", "Upgrade" },
		{ "Packs", "List" }, { "Packs", "Verify" },
		{ "Scrub", "Status" }, { "Scrub", "Start" }, { "Scrub", "Stop" },
		{ "Stats", "Get" }, { "Session", "Status" },
	};
	const struct rpc_service *table = control_services(&none, NULL);
	struct rpc_reply reply = { 0 };
	char service[64];
	size_t i;

	(void)state;
	assert_non_null(table);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(service, sizeof(service), "nexus.control.v1.%s",
			 all[i][0]);
		rpc_dispatch(table, &root, service, all[i][1], NULL, 0, &reply);
		assert_int_equal(reply.code, RPC_UNIMPLEMENTED);
		assert_int_equal(reply.error, -EOPNOTSUPP);
		rpc_reply_release(&reply);
	}
	control_services_free(table);
}

static void errno_has_a_code(void **state)
{
	static const struct {
		int error, code;
	} cases[] = {
		{ 0, RPC_OK }, { -ENOENT, RPC_NOT_FOUND },
		{ -EEXIST, RPC_ALREADY_EXISTS }, { -EPERM, RPC_PERMISSION_DENIED },
		{ -EACCES, RPC_PERMISSION_DENIED }, { -EINVAL, RPC_INVALID_ARGUMENT },
		{ -ENAMETOOLONG, RPC_INVALID_ARGUMENT },
		{ -ENOSPC, RPC_RESOURCE_EXHAUSTED }, { -EBUSY, RPC_FAILED_PRECONDITION },
		{ -EROFS, RPC_FAILED_PRECONDITION }, { -EAGAIN, RPC_UNAVAILABLE },
		{ -ENOTCONN, RPC_UNAVAILABLE },
		{ -ETIMEDOUT, RPC_DEADLINE_EXCEEDED }, { -EUCLEAN, RPC_DATA_LOSS },
		{ -EOPNOTSUPP, RPC_UNIMPLEMENTED }, { -EIO, RPC_INTERNAL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(rpc_code_from_errno(cases[i].error),
				 cases[i].code);
}

static void replies(void **state)
{
	struct rpc_reply reply = { 0 };

	(void)state;
	assert_non_null(rpc_reply_alloc(&reply, 0));
	assert_non_null(rpc_reply_alloc(&reply, 10));
	assert_int_equal(rpc_reply_error(&reply, -ENOENT, NULL), -ENOENT);
	assert_null(reply.data);
	assert_string_equal(reply.message, strerror(ENOENT));
	rpc_reply_release(&reply);

	assert_null(rpc_reply_alloc(&reply, RPC_REPLY_MAX + 1));
	assert_int_equal(reply.code, RPC_RESOURCE_EXHAUSTED);
	rpc_reply_release(&reply);

	rpc_reply_error(&reply, -EIO, "%s", "two\nlines \xff");
	assert_string_equal(reply.message, "two lines ?");
	rpc_reply_release(&reply);
}

static void zone_messages(void **state)
{
	static const uint8_t name[] = { 0x0a, 0x01, 'z' };
	Nexus__Control__V1__ZonesInfoResponse *msg;
	struct rpc_reply reply;

	(void)state;
	reply = call(&root, CREATE, name, sizeof(name));
	msg = nexus__control__v1__zones_info_response__unpack(NULL, reply.len,
							      reply.data);
	assert_non_null(msg);
	assert_string_equal(msg->zone->name, "z");
	assert_string_equal(msg->zone->uuid,
			    "10111213-1415-1617-1819-1a1b1c1d1e1f");
	assert_int_equal(msg->zone->state,
			 NEXUS__CONTROL__V1__ZONE__STATE__STATE_IDLE);
	assert_int_equal(msg->zone->lsn_tail, 1ull << 40);
	nexus__control__v1__zones_info_response__free_unpacked(msg, NULL);
	rpc_reply_release(&reply);
}

static void groups(void **state)
{
	struct rpc_peer peer = { .uid = 65534, .gid = 12345 };
	gid_t gid;

	(void)state;
	assert_int_equal(peer_group_id("no-such-group-here", &gid), -ENOENT);
	assert_int_equal(peer_group_id("root", &gid), 0);
	assert_int_equal(gid, 0);
	assert_false(peer_may_change(-1, &peer, "no-such-group-here"));
	assert_false(peer_may_change(-1, &peer, "root"));
	/* user nobody is in group nogroup by the user database */
	assert_true(peer_may_change(-1, &peer, "nogroup"));
	peer.gid = 0;
	assert_true(peer_may_change(-1, &peer, "root"));
	peer.uid = 0;
	assert_true(peer_may_change(-1, &peer, "no-such-group-here"));
	peer.uid = 54321;	/* nobody knows him */
	peer.gid = 54321;
	assert_false(peer_may_change(-1, &peer, "nogroup"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_methods),
		TEST(unknown_method),
		TEST(changes_need_the_right),
		TEST(errors_of_the_core),
		TEST(bad_payloads),
		TEST(too_many_options),
		TEST(long_cursors),
		TEST(absent_operations),
		TEST(errno_has_a_code),
		TEST(replies),
		TEST(zone_messages),
		TEST(groups),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
