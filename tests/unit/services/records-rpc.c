// SPDX-License-Identifier: Apache-2.0
#include "records-rpc.h"

#include <errno.h>
#include <sys/stat.h>

#include "recordstore.h"

static void open_store(void)
{
	static char drivers[160], at[192], from[256], to[256];
	const struct recordstore_opts opts = {
		.driver = "sqlite", .at = at, .dir = drivers, .owner = geteuid(),
		.connections = 4, .busy_ms = 20000,
	};

	snprintf(drivers, sizeof(drivers), "%s/drivers", test_dir);
	snprintf(at, sizeof(at), "%s/records", test_dir);
	if (!mkdir(drivers, 0755)) {
		put_file(SQLITE, "sqlite");
		object_path(from, sizeof(from), "sqlite");
		snprintf(to, sizeof(to), "%s/sqlite.so", drivers);
		assert_int_equal(rename(from, to), 0);
	}
	world_records = recordstore_new(&opts);
	assert_non_null(world_records);
}

void records_begin(const char *service, const char *group)
{
	char from[512];

	open_store();
	snprintf(from, sizeof(from), SERVICES "/%s/%s.so", service, service);
	put_file(from, service);
	begin_with(0, 0, group);
	assert_int_equal(load(service), 0);
}

void records_end(void)
{
	end();
	recordstore_free(world_records);
	world_records = NULL;
}

void records_again(const char *service)
{
	records_end();
	records_begin(service, NULL);
}

void *ask_ok(const char *service, const char *method, const ProtobufCMessage *req,
	     const ProtobufCMessageDescriptor *desc)
{
	struct answer a;
	void *msg;

	if (ask_msg(service, method, req, &a) != RPC_OK)
		fail_msg("%s: code %d, %s", method, a.code, a.message);
	msg = protobuf_c_message_unpack(desc, NULL, a.len, a.payload);
	assert_non_null(msg);
	free(a.payload);
	return msg;
}

void release(void *msg)
{
	protobuf_c_message_free_unpacked(msg, NULL);
}

void ask_fails(const char *service, const char *method, const ProtobufCMessage *req, int error,
	       const char *words)
{
	struct answer a;

	assert_int_not_equal(ask_msg(service, method, req, &a), RPC_OK);
	if (a.error != error)
		fail_msg("%s: errno %d, not %d: %s", method, a.error, error, a.message);
	assert_has(a.message, words);
	free(a.payload);
}
