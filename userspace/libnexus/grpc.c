// SPDX-License-Identifier: Apache-2.0
/* gRPC instead of the control socket: by an object that is loaded for it. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "transport.h"

#define PATH_LEN	264	/* "/service/method" */

static int load(struct nexus_client *client)
{
	const char *dir = secure_getenv("NEXUS_CLIENT_DIR");
	const struct transport *way;
	char path[4096];

	if (client->way_object)
		return 0;
	snprintf(path, sizeof(path), "%s/grpc.so", dir && *dir ? dir : NEXUS_CLIENT_DIR);
	client->way_object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!client->way_object)
		return client_fail(client, -ELIBACC,
				   "%s cannot be loaded; is the package nexusfs-grpc installed? (%s)", path,
				   dlerror());
	way = dlsym(client->way_object, TRANSPORT_SYMBOL);
	if (!way || way->abi != TRANSPORT_ABI) {
		dlclose(client->way_object);
		client->way_object = NULL;
		return client_fail(client, -ELIBBAD, "%s is of another version", path);
	}
	client->way = way;
	return 0;
}

NEXUS_EXPORT int nexus_connect_grpc(struct nexus_client *client, const char *endpoint,
				    const char *ca, const char *cert, const char *key)
{
	const struct transport_peer peer = { endpoint, ca, cert, key };
	bool local = !strncmp(endpoint, "unix:", 5);
	char error[TRANSPORT_ERROR_MAX] = "";
	int ret;

	client_hang_up(client);
	if (!local && !(ca && cert && key))
		return client_fail(client, -EINVAL,
				   "%s is no unix:PATH: a certificate, its key and who is believed (ca) are needed",
				   endpoint);
	ret = load(client);
	if (ret)
		return ret;
	ret = client->way->open(&peer, client->timeout, &client->way_conn, error);
	return ret ? client_fail(client, ret, "%s", error) : 0;
}

void way_close(struct nexus_client *client)
{
	if (client->way_conn)
		client->way->close(client->way_conn);
	client->way_conn = NULL;
}

static int path_of(struct nexus_client *client, char path[PATH_LEN], const char *service,
		   const char *method)
{
	if (snprintf(path, PATH_LEN, "/%s/%s", service, method) >= PATH_LEN)
		return client_fail(client, -ENAMETOOLONG, "%s is no method", method);
	return 0;
}

/* An outcome; what @a holds is freed or handed on. */
static int take(struct nexus_client *client, struct transport_answer *a, void **reply,
		size_t *reply_len)
{
	Google__Rpc__Status plain = GOOGLE__RPC__STATUS__INIT, *status = NULL;
	int ret = 0;

	if (a->code) {
		if (a->status)
			status = google__rpc__status__unpack(NULL, a->status_len, a->status);
		plain.code = a->code;
		plain.message = a->error;
		/* The words of the core for this say less. */
		if (!status && a->code == 4)
			ret = client_late(client);
		else
			ret = client_status(client, status ? status : &plain);
		if (status)
			google__rpc__status__free_unpacked(status, NULL);
	} else if (reply) {
		*reply = a->data ? a->data : malloc(1);
		a->data = NULL;
		if (!*reply)
			ret = client_fail(client, -ENOMEM, "out of memory");
	}
	if (reply_len)
		*reply_len = a->len;
	free(a->status);
	free(a->data);
	return ret;
}

int way_call(struct nexus_client *client, const char *service, const char *method,
	     const void *request, size_t len, void **reply, size_t *reply_len)
{
	struct transport_answer a = { .code = 0 };
	char path[PATH_LEN];
	int ret = path_of(client, path, service, method);

	if (ret)
		return ret;
	if (client->way->call(client->way_conn, path, request, len, client->timeout, &a))
		return client_fail(client, -ENOMEM, "out of memory");
	return take(client, &a, reply, reply_len);
}

int way_begin(struct nexus_client *client, const char *service, const char *method,
	      const void *request, size_t len)
{
	char path[PATH_LEN];
	int ret = path_of(client, path, service, method);

	if (ret)
		return ret;
	if (client->way->begin(client->way_conn, path, request, len))
		return client_fail(client, -ENOMEM, "out of memory");
	client->feeding = true;
	return 0;
}

int way_next(struct nexus_client *client, void **message, size_t *len)
{
	struct transport_answer a = { .code = 0 };
	int ret = client->way->next(client->way_conn, client->timeout, &a);

	if (ret == -ETIMEDOUT) {
		client_hang_up(client);
		return client_late(client);
	}
	if (!ret && !a.last) {
		*message = a.data;
		*len = a.len;
		return 1;
	}
	client->feeding = false;
	return ret ? client_fail(client, ret, "out of memory") : take(client, &a, NULL, NULL);
}
