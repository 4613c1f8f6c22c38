// SPDX-License-Identifier: Apache-2.0
/*
 * A server with the core in memory, for clients that are not in C:
 * test-server SOCKET. Prints "ready" and serves until SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "rpc.h"

static struct rpc_server *server;

static void on_signal(int sig)
{
	(void)sig;
	rpc_server_stop(server);
}

int main(int argc, char **argv)
{
	const struct rpc_service *services;
	struct fake_core fake;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: test-server SOCKET\n");
		return 2;
	}
	fake_core_init(&fake);
	services = control_services(&fake_ops, &fake);
	server = rpc_server_new(argv[1], services, NULL, &err);
	if (!server) {
		fprintf(stderr, "test-server: %s: %s\n", argv[1],
			strerror(-err));
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	puts("ready");
	fflush(stdout);
	err = rpc_server_run(server);
	rpc_server_free(server);
	control_services_free(services);
	return err ? 1 : 0;
}
