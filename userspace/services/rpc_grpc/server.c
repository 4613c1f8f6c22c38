// SPDX-License-Identifier: Apache-2.0
/* The core's server, and the thread that takes its events. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <grpc/grpc_security.h>

#include "server.h"

#define STREAMS_MAX	72	/* calls at once, per connection: as on the control socket */
#define METADATA_MAX	(8 << 10)
#define PEM_MAX		(1u << 20)
#define QUOTA		(256u << 20)	/* bytes the core may hold for all connections */
#define KEEPALIVE_MS	120000
#define KEEPALIVE_WAIT_MS 20000

static void *take_events(void *arg)
{
	struct grpc_front *f = arg;
	grpc_event ev;
	struct tag *tag;

	for (;;) {
		ev = grpc_completion_queue_next(f->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (ev.type == GRPC_QUEUE_SHUTDOWN || ev.tag == &f->handover)
			return NULL;
		if (ev.type != GRPC_OP_COMPLETE)
			continue;
		pthread_mutex_lock(&f->lock);
		tag = ev.tag;
		if (tag)
			call_event(tag->call, tag->event, ev.success);
		else
			f->shut = true;
		if (!f->n_calls || f->shut)
			pthread_cond_broadcast(&f->cond);
		calls_refill(f);
		if (f->n_calls)
			loop_tick(f);
		pthread_mutex_unlock(&f->lock);
	}
}

/* A file in whole, with a NUL; only for root's eyes if @secret. */
static char *read_pem(struct grpc_front *f, const char *path, bool secret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st)) {
		front_log(f, NEXUS_SERVICE_ERROR, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX) {
		front_log(f, NEXUS_SERVICE_ERROR, "%s is no file of certificates or keys", path);
	} else if (secret && (st.st_mode & 007)) {
		front_log(f, NEXUS_SERVICE_ERROR, "%s holds a secret key that everybody may read; take the right from them",
			  path);
	} else {
		text = calloc(1, (size_t)st.st_size + 1);
		n = text ? read(fd, text, (size_t)st.st_size) : -1;
		if (n != st.st_size) {
			free(text);
			text = NULL;
			front_log(f, NEXUS_SERVICE_ERROR, "%s cannot be read", path);
		}
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* Whoever has no certificate of the authority does not get past the handshake. */
static int add_tls(struct grpc_front *f)
{
	char *cert = read_pem(f, f->set.cert, false), *key = read_pem(f, f->set.key, true);
	char *ca = read_pem(f, f->set.ca, false), address[96];
	grpc_ssl_pem_key_cert_pair pair = { key, cert };
	grpc_server_credentials *creds = NULL;
	int port = 0;

	if (cert && key && ca)
		creds = grpc_ssl_server_credentials_create_ex(ca, &pair, 1,
			GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
	if (creds) {
		/* Short, wherever the directory is: a socket's path has an end. */
		snprintf(address, sizeof(address), "unix:/proc/self/fd/%d/%s", f->dir_fd, f->inner);
		port = grpc_server_add_http2_port(f->server, address, creds);
		grpc_server_credentials_release(creds);
		if (!port)
			front_log(f, NEXUS_SERVICE_ERROR, "TLS cannot be served with %s, %s and %s",
				  f->set.cert, f->set.key, f->set.ca);
	}
	if (key)
		explicit_bzero(key, strlen(key));
	free(cert);
	free(key);
	free(ca);
	return port ? 0 : -EINVAL;
}

static grpc_arg arg_number(const char *key, int value)
{
	grpc_arg arg = { .type = GRPC_ARG_INTEGER, .key = (char *)key };

	arg.value.integer = value;
	return arg;
}

static grpc_server *make_server(struct grpc_front *f)
{
	grpc_resource_quota *quota = grpc_resource_quota_create(NULL);
	grpc_arg list[] = {
		arg_number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, NEXUS_FRONT_MESSAGE_MAX),
		arg_number(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, NEXUS_FRONT_MESSAGE_MAX),
		arg_number(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX),
		arg_number(GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_MAX),
		/* A small message may be large inside. */
		arg_number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),
		arg_number(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
		arg_number(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, (int)f->set.timeout_ms),
		arg_number(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		/* Also of who has no call: it may be gone without a word. */
		arg_number(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		arg_number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_WAIT_MS),
		arg_number(GRPC_ARG_ENABLE_CHANNELZ, 0),
		{ .type = GRPC_ARG_POINTER, .key = (char *)GRPC_ARG_RESOURCE_QUOTA },
	};
	const size_t n = sizeof(list) / sizeof(list[0]);
	grpc_channel_args args = { n, list };
	grpc_server *server;

	grpc_resource_quota_resize(quota, QUOTA);
	list[n - 1].value.pointer.p = quota;
	list[n - 1].value.pointer.vtable = grpc_resource_quota_arg_vtable();
	server = grpc_server_create(&args, NULL);
	grpc_resource_quota_unref(quota);
	return server;
}

int server_start(struct grpc_front *f)
{
	int ret = 0;

	f->cq = grpc_completion_queue_create_for_next(NULL);
	f->server = make_server(f);
	f->insecure = grpc_insecure_server_credentials_create();
	if (!f->cq || !f->server || !f->insecure)
		return -ENOMEM;
	grpc_server_register_completion_queue(f->server, f->cq, NULL);
	f->certificates = server_certificates(&f->set);
	if (f->set.listen)
		ret = add_tls(f);
	if (ret)
		return ret;
	grpc_server_start(f->server);
	pthread_mutex_lock(&f->lock);
	calls_refill(f);
	pthread_mutex_unlock(&f->lock);
	return server_resume(f);
}

int server_resume(struct grpc_front *f)
{
	int ret = front_thread(&f->events_thread, take_events, f);

	f->events_running = !ret;
	return ret;
}

/* The state of a channel to nowhere never changes, which the queue is told at once. */
void server_pause(struct grpc_front *f)
{
	grpc_channel *nowhere = grpc_lame_client_channel_create("nowhere", GRPC_STATUS_UNAVAILABLE, "");

	grpc_channel_watch_connectivity_state(nowhere, GRPC_CHANNEL_TRANSIENT_FAILURE,
					      gpr_inf_past(GPR_CLOCK_MONOTONIC), f->cq, &f->handover);
	pthread_join(f->events_thread, NULL);
	f->events_running = false;
	grpc_channel_destroy(nowhere);
}

uint64_t server_certificates(const struct settings *set)
{
	const char *paths[] = { set->cert, set->key, set->ca };
	uint64_t hash = 14695981039346656037ull;
	size_t i;
	FILE *f;
	int c;

	for (i = 0; set->listen && i < sizeof(paths) / sizeof(paths[0]); i++) {
		f = fopen(paths[i], "re");
		while (f && (c = getc(f)) != EOF)
			hash = (hash ^ (uint64_t)c) * 1099511628211ull;
		hash = (hash ^ 256) * 1099511628211ull;
		if (f)
			fclose(f);
	}
	return hash;
}

/* Lock held, left meanwhile: until the core says that all is over, or @ms have passed. */
static void wait_shut(struct grpc_front *f, uint32_t ms)
{
	uint64_t until = front_now() + ms;
	struct timespec ts = { (time_t)(until / 1000), (long)(until % 1000) * 1000000 };

	while (!f->shut && pthread_cond_timedwait(&f->cond, &f->lock, &ts) != ETIMEDOUT)
		;
}

void server_drain(struct grpc_front *f)
{
	if (!f->events_running)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	/* Clients are told to go elsewhere with new calls. */
	grpc_server_shutdown_and_notify(f->server, f->cq, NULL);
	calls_end(f, false);
	wait_shut(f, f->set.grace_ms);
	if (!f->shut && f->n_calls)
		front_log(f, NEXUS_SERVICE_WARNING, "%u calls were cut: they have not ended within %u ms",
			  f->n_calls, f->set.grace_ms);
	calls_end(f, true);
	/* The last words have a moment to go. */
	wait_shut(f, 200);
	grpc_server_cancel_all_calls(f->server);
	while (!f->shut)
		pthread_cond_wait(&f->cond, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

void server_end(struct grpc_front *f)
{
	bool started = f->server && (f->events_running || f->slots);

	/* Without a thread nothing has been drained. */
	f->stopping = true;
	if (started && !f->events_running)
		grpc_server_shutdown_and_notify(f->server, f->cq, NULL);
	if (f->cq)
		grpc_completion_queue_shutdown(f->cq);
	if (f->events_running)
		pthread_join(f->events_thread, NULL);
	else if (f->cq)
		take_events(f);
	f->events_running = false;
	if (f->server)
		grpc_server_destroy(f->server);
	if (f->cq)
		grpc_completion_queue_destroy(f->cq);
	if (f->insecure)
		grpc_server_credentials_release(f->insecure);
	f->server = NULL;
	f->cq = NULL;
	f->insecure = NULL;
}
