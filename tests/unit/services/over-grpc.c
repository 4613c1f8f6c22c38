// SPDX-License-Identifier: Apache-2.0
/* Linked to a test of a service, all its calls of one answer go over gRPC. */
#include "grpc-world.h"
#include "rpc-world.h"

#include <pthread.h>

/* The first of all callers makes it be there. */
static void begin_beside(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (!fronts)
		grpc_beside(world_group, NULL);
	pthread_mutex_unlock(&lock);
}

static void end_beside(void)
{
	if (fronts)
		grpc_beside_end();
}

static bool call_over(const char *socket, const char *service, const char *method,
		      const uint8_t *req, size_t len, struct answer *a)
{
	Google__Rpc__Status *status;
	char path[sizeof(grpc_path)];
	struct outcome o;

	snprintf(path, sizeof(path), "%.*s/grpc.sock", (int)(strrchr(socket, '/') - socket), socket);
	/* Others connect at the same time, and have the same one. */
	if (strcmp(grpc_path, path))
		strcpy(grpc_path, path);
	ask_grpc(NULL, service, method, req, len, 0, &o);
	memset(a, 0, sizeof(*a));
	a->code = o.code;
	snprintf(a->message, sizeof(a->message), "%s", o.message);
	if (o.status) {
		status = google__rpc__status__unpack(NULL, o.status_len, o.status);
		assert_non_null(status);
		raw_status(status, a);
		google__rpc__status__free_unpacked(status, NULL);
	}
	a->payload = o.data;
	a->len = o.len;
	free(o.status);
	return true;
}

static const struct other_way over_grpc = { .begin = begin_beside, .call = call_over };

__attribute__((constructor)) static void choose(void)
{
	other_way = &over_grpc;
	world_ending = end_beside;
}
