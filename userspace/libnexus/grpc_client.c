// SPDX-License-Identifier: Apache-2.0
/* grpc.so: calls with gRPC's C core, for grpc.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <openssl/crypto.h>

#include "transport.h"

#define PEM_MAX		(1 << 20)
#define MESSAGE_MAX	(4 << 20)

enum { TAG_BEGUN, TAG_MESSAGE, TAG_STATUS, TAG_STATE, TAGS };

/* What the library hands back when it has done something is an address. */
static char tags[TAGS];

struct conn {
	grpc_channel *channel;
	grpc_completion_queue *cq;
	/* The call at hand, or NULL. */
	grpc_call *call;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *message;
	grpc_status_code status;
	grpc_slice details;
	unsigned int pending;		/* tags the core has */
	bool got_message, got_status, failed;
};

static gpr_timespec deadline(unsigned int ms)
{
	if (!ms)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* ---- connecting ------------------------------------------------------------------------ */

static char *read_file(const char *path, char error[TRANSPORT_ERROR_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > PEM_MAX) {
		snprintf(error, TRANSPORT_ERROR_MAX, "%s: %s", path,
			 fd < 0 ? strerror(errno) : "no file of certificates or keys");
	} else {
		text = calloc(1, (size_t)st.st_size + 1);
		if (text && read(fd, text, (size_t)st.st_size) != st.st_size) {
			snprintf(error, TRANSPORT_ERROR_MAX, "%s cannot be read", path);
			free(text);
			text = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	return text;
}

static grpc_channel_credentials *tls(const struct transport_peer *peer,
				     char error[TRANSPORT_ERROR_MAX])
{
	char *ca = read_file(peer->ca, error);
	char *cert = ca ? read_file(peer->cert, error) : NULL;
	char *key = cert ? read_file(peer->key, error) : NULL;
	grpc_ssl_pem_key_cert_pair pair = { key, cert };
	grpc_channel_credentials *creds = NULL;

	if (key)
		creds = grpc_ssl_credentials_create(ca, &pair, NULL, NULL);
	if (key)
		explicit_bzero(key, strlen(key));
	free(ca);
	free(cert);
	free(key);
	return creds;
}

/* The first attempt decides, so that it can be said what is wrong. */
static int await_ready(struct conn *c, unsigned int timeout_ms)
{
	gpr_timespec end = deadline(timeout_ms);
	grpc_connectivity_state state;

	for (;;) {
		state = grpc_channel_check_connectivity_state(c->channel, 1);
		if (state == GRPC_CHANNEL_READY)
			return 0;
		if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN)
			return -ECONNREFUSED;
		grpc_channel_watch_connectivity_state(c->channel, state, end, c->cq, &tags[TAG_STATE]);
		if (!grpc_completion_queue_next(c->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).success)
			return -ETIMEDOUT;
	}
}

static void way_end(struct conn *c);

static void way_close(void *arg)
{
	struct conn *c = arg;

	way_end(c);
	if (c->channel)
		grpc_channel_destroy(c->channel);
	grpc_completion_queue_shutdown(c->cq);
	while (grpc_completion_queue_next(c->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(c->cq);
	free(c);
	grpc_shutdown_blocking();
}

static int way_open(const struct transport_peer *peer, unsigned int timeout_ms, void **conn,
		    char error[TRANSPORT_ERROR_MAX])
{
	grpc_arg limits[] = {
		{ .type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		  .value.integer = MESSAGE_MAX },
		{ .type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0 },
	};
	const grpc_channel_args args = { sizeof(limits) / sizeof(limits[0]), limits };
	bool local = !strncmp(peer->endpoint, "unix:", 5);
	grpc_channel_credentials *creds;
	struct conn *c;
	int ret;

	/* What the core has to say is not for users, who get one line. */
	setenv("GRPC_VERBOSITY", "NONE", 0);
	/*
	 * Its cleanup at exit frees what threads of the core's free themselves when they
	 * end, and those may outlive grpc_shutdown_blocking().
	 */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	grpc_init();
	c = calloc(1, sizeof(*c));
	creds = local ? grpc_insecure_credentials_create() : tls(peer, error);
	if (!c || !creds) {
		free(c);
		if (creds)
			grpc_channel_credentials_release(creds);
		grpc_shutdown_blocking();
		if (!error[0])
			snprintf(error, TRANSPORT_ERROR_MAX, "out of memory");
		return -EINVAL;
	}
	c->cq = grpc_completion_queue_create_for_next(NULL);
	c->channel = grpc_channel_create(peer->endpoint, creds, &args);
	grpc_channel_credentials_release(creds);
	ret = await_ready(c, timeout_ms);
	if (ret) {
		snprintf(error, TRANSPORT_ERROR_MAX, local ?
			 "nothing answers on %s; is nexusd running, service rpc_grpc loaded, and may you open the socket?" :
			 "nothing that both sides believe answers at %s; is service rpc_grpc loaded, and are the certificates right?",
			 peer->endpoint);
		way_close(c);
		return ret;
	}
	*conn = c;
	return 0;
}

/* ---- calls ----------------------------------------------------------------------------- */

/* The next of the call's events; false: not in time. */
static bool step(struct conn *c, gpr_timespec end)
{
	grpc_event ev = grpc_completion_queue_next(c->cq, end, NULL);

	if (ev.type != GRPC_OP_COMPLETE)
		return false;
	c->pending--;
	c->got_message |= ev.tag == &tags[TAG_MESSAGE];
	c->got_status |= ev.tag == &tags[TAG_STATUS];
	return true;
}

static void start(struct conn *c, const grpc_op *ops, size_t n, int tag)
{
	if (grpc_call_start_batch(c->call, ops, n, &tags[tag], NULL) == GRPC_CALL_OK)
		c->pending++;
	else
		c->failed = true;
}

static void ask_message(struct conn *c)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

	c->got_message = false;
	op.data.recv_message.recv_message = &c->message;
	start(c, &op, 1, TAG_MESSAGE);
}

static void begin(struct conn *c, const char *path, const void *request, size_t len,
		  gpr_timespec end)
{
	grpc_slice method = grpc_slice_from_copied_string(path);
	grpc_slice slice = grpc_slice_from_copied_buffer(request ? request : "", len);
	grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_op ops[4] = {
		{ .op = GRPC_OP_SEND_INITIAL_METADATA },
		{ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = bytes },
		{ .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
		{ .op = GRPC_OP_RECV_INITIAL_METADATA },
	}, status = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };

	way_end(c);
	c->failed = c->got_status = false;
	grpc_metadata_array_init(&c->initial);
	grpc_metadata_array_init(&c->trailing);
	c->details = grpc_empty_slice();
	c->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->cq, method,
					   NULL, end, NULL);
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &c->initial;
	start(c, ops, 4, TAG_BEGUN);
	status.data.recv_status_on_client.trailing_metadata = &c->trailing;
	status.data.recv_status_on_client.status = &c->status;
	status.data.recv_status_on_client.status_details = &c->details;
	start(c, &status, 1, TAG_STATUS);
	ask_message(c);
	grpc_byte_buffer_destroy(bytes);
	grpc_slice_unref(slice);
	grpc_slice_unref(method);
}

/* The call at hand is over, or not wanted any more. */
static void way_end(struct conn *c)
{
	if (!c->call)
		return;
	if (c->pending)
		grpc_call_cancel(c->call, NULL);
	while (c->pending)
		step(c, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	if (c->message)
		grpc_byte_buffer_destroy(c->message);
	c->message = NULL;
	grpc_metadata_array_destroy(&c->initial);
	grpc_metadata_array_destroy(&c->trailing);
	grpc_slice_unref(c->details);
	grpc_call_unref(c->call);
	c->call = NULL;
}

static uint8_t *copy(const void *data, size_t len)
{
	uint8_t *to = malloc(len + 1);

	return to && len ? memcpy(to, data, len) : to;
}

static int take_message(struct conn *c, struct transport_answer *a)
{
	grpc_byte_buffer_reader reader;
	grpc_slice all;

	if (!grpc_byte_buffer_reader_init(&reader, c->message))
		return -ENOMEM;
	all = grpc_byte_buffer_reader_readall(&reader);
	a->len = GRPC_SLICE_LENGTH(all);
	a->data = copy(GRPC_SLICE_START_PTR(all), a->len);
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(c->message);
	c->message = NULL;
	return a->data ? 0 : -ENOMEM;
}

static int take_status(struct conn *c, struct transport_answer *a)
{
	const grpc_metadata *m;
	char *text;
	size_t i;

	a->last = true;
	a->code = c->failed ? GRPC_STATUS_INTERNAL : (int)c->status;
	text = grpc_slice_to_c_string(c->details);
	snprintf(a->error, sizeof(a->error), "%s", text);
	gpr_free(text);
	for (i = 0; i < c->trailing.count && !a->status; i++) {
		m = &c->trailing.metadata[i];
		if (grpc_slice_str_cmp(m->key, "grpc-status-details-bin"))
			continue;
		a->status_len = GRPC_SLICE_LENGTH(m->value);
		a->status = copy(GRPC_SLICE_START_PTR(m->value), a->status_len);
		if (!a->status)
			return -ENOMEM;
	}
	return 0;
}

static int way_call(void *conn, const char *path, const void *request, size_t len,
		    unsigned int timeout_ms, struct transport_answer *a)
{
	struct conn *c = conn;
	int ret = 0;

	begin(c, path, request, len, deadline(timeout_ms));
	/* The deadline is the call's own. */
	while (c->pending)
		step(c, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	if (c->message)
		ret = take_message(c, a);
	if (!ret)
		ret = take_status(c, a);
	way_end(c);
	return ret;
}

static int way_begin(void *conn, const char *path, const void *request, size_t len)
{
	begin(conn, path, request, len, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	return 0;
}

static int way_next(void *conn, unsigned int timeout_ms, struct transport_answer *a)
{
	gpr_timespec end = deadline(timeout_ms);
	struct conn *c = conn;
	int ret;

	while (!c->got_message && c->pending)
		if (!step(c, end)) {
			way_end(c);
			return -ETIMEDOUT;
		}
	if (c->message) {
		ret = take_message(c, a);
		ask_message(c);
		return ret;
	}
	while (c->pending)
		step(c, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	ret = take_status(c, a);
	way_end(c);
	return ret;
}

extern const struct transport nexus_transport;
__attribute__((visibility("default"))) const struct transport nexus_transport = {
	.abi = TRANSPORT_ABI,
	.open = way_open,
	.close = way_close,
	.call = way_call,
	.begin = way_begin,
	.next = way_next,
};
