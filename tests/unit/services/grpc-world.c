// SPDX-License-Identifier: Apache-2.0
#include "grpc-world.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core_rpc.h"
#include "front.h"
#include "nexus-proto.h"

const struct transport *way;
struct fronts *fronts;
char grpc_path[128];

static struct grpc_numbers set;
static const char *set_group;

static const char *setting(void *ctx, const char *name, uint32_t *number)
{
	(void)ctx;
	*number = !strcmp(name, "grpc_connections") ? set.connections :
		  !strcmp(name, "grpc_timeout") ? set.timeout :
		  !strcmp(name, "service_timeout") ? set.service_timeout : 0;
	if (!strcmp(name, "grpc_socket"))
		return grpc_path;
	return !strcmp(name, "group") ? set_group : NULL;
}

static unsigned int threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static unsigned int threads_at_first;

static void *nothing(void *arg)
{
	return arg;
}

/* The thread sanitizer has one of its own from the first on that is made. */
__attribute__((constructor)) static void count_threads(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, nothing, NULL))
		pthread_join(thread, NULL);
	threads_at_first = threads();
}

/*
 * Threads of the core may outlive grpc_shutdown_blocking(), and one that ends while the leak
 * sanitizer looks at all of them makes that crash.
 */
static void await_threads(void)
{
	int i;

	for (i = 0; i < 20000 && threads() > threads_at_first; i++)
		usleep(1000);
	if (i == 20000)
		fputs("threads of the gRPC core do not end\n", stderr);
}

static void load_way(void)
{
	void *object;

	if (way)
		return;
	atexit(await_threads);
	object = dlopen(GRPC_CLIENT, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		fail_msg("%s", dlerror());
	way = dlsym(object, TRANSPORT_SYMBOL);
	assert_non_null(way);
	assert_int_equal(way->abi, TRANSPORT_ABI);
}

void grpc_begin(const char *group, const struct grpc_numbers *numbers)
{
	begin_with(0, 0, group);
	assert_int_equal(chmod(h->path, 0666), 0);
	grpc_beside(group, numbers);
}

void grpc_beside(const char *group, const struct grpc_numbers *numbers)
{
	struct fronts_opts opts = { .setting = setting };

	load_way();
	set = numbers ? *numbers : (struct grpc_numbers){ 0 };
	set_group = group;
	opts.table = (struct rpc_table){
		.services = h->services, .loaded = &core_rpc, .loaded_ctx = reg, .group = group,
	};
	fronts = fronts_new(&opts);
	assert_non_null(fronts);
	registry_set_front(reg, fronts_handle(fronts));
	snprintf(grpc_path, sizeof(grpc_path), "%s/grpc.sock", h->dir);
	put_file(SERVICES "/rpc_grpc/rpc_grpc.so", "rpc_grpc");
	if (load("rpc_grpc"))
		fail_msg("%s", reg_err.msg);
	assert_int_equal(chmod(grpc_path, 0666), 0);
}

void grpc_end(void)
{
	grpc_beside_end();
	end();
}

void grpc_beside_end(void)
{
	if (state_of("rpc_grpc", NULL))
		assert_int_equal(unload("rpc_grpc"), 0);
	assert_int_equal(access(grpc_path, F_OK), -1);
	fronts_free(fronts);
	fronts = NULL;
	registry_set_front(reg, NULL);
}

/* ---- outcomes --------------------------------------------------------------------- */

void outcome_free(struct outcome *o)
{
	free(o->status);
	free(o->data);
	memset(o, 0, sizeof(*o));
}

const char *outcome_differs(const struct outcome *a, const struct outcome *b)
{
	static char text[3 * RPC_ERROR_MAX];

	text[0] = '\0';
	if (a->last != b->last || a->code != b->code || strcmp(a->message, b->message))
		snprintf(text, sizeof(text), "%d %d %s, and %d %d %s", a->last, a->code, a->message,
			 b->last, b->code, b->message);
	else if (a->status_len != b->status_len ||
		 (a->status_len && memcmp(a->status, b->status, a->status_len)))
		snprintf(text, sizeof(text), "the status of %s", a->message);
	else if (a->len != b->len || (a->len && memcmp(a->data, b->data, a->len)))
		snprintf(text, sizeof(text), "%zu and %zu bytes", a->len, b->len);
	return text;
}

static uint8_t *copy(const void *data, size_t len)
{
	uint8_t *to = malloc(len + 1);

	assert_non_null(to);
	return len ? memcpy(to, data, len) : to;
}

/* ---- gRPC ------------------------------------------------------------------------- */

void *grpc_connect(void)
{
	char endpoint[160], error[TRANSPORT_ERROR_MAX] = "";
	const struct transport_peer peer = { .endpoint = endpoint };
	void *conn = NULL;

	load_way();
	snprintf(endpoint, sizeof(endpoint), "unix:%s", grpc_path);
	if (way->open(&peer, WAIT_MS, &conn, error))
		fail_msg("%s", error);
	return conn;
}

static void from_answer(struct outcome *o, const struct transport_answer *a)
{
	memset(o, 0, sizeof(*o));
	o->last = a->last;
	o->code = a->code;
	snprintf(o->message, sizeof(o->message), "%s", a->error);
	o->status = a->status;
	o->status_len = a->status_len;
	o->data = a->data;
	o->len = a->len;
}

static void path_of(char path[300], const char *service, const char *method)
{
	snprintf(path, 300, "/%s/%s", service, method);
}

void ask_grpc(void *conn, const char *service, const char *method, const void *req, size_t len,
	      unsigned int timeout_ms, struct outcome *o)
{
	struct transport_answer a = { .code = 0 };
	void *own = conn ? NULL : grpc_connect();
	char path[300];

	path_of(path, service, method);
	assert_int_equal(way->call(conn ? conn : own, path, req, len, timeout_ms, &a), 0);
	from_answer(o, &a);
	if (own)
		way->close(own);
}

void begin_grpc(void *conn, const char *service, const char *method, const void *req, size_t len)
{
	char path[300];

	path_of(path, service, method);
	assert_int_equal(way->begin(conn, path, req, len), 0);
}

void next_grpc(void *conn, struct outcome *o)
{
	struct transport_answer a = { .code = 0 };

	assert_int_equal(way->next(conn, WAIT_MS, &a), 0);
	from_answer(o, &a);
}

/* ---- ttrpc ------------------------------------------------------------------------ */

static void from_response(struct outcome *o, const uint8_t *body, size_t len)
{
	Ttrpc__Response *msg = ttrpc__response__unpack(NULL, len, body);

	assert_non_null(msg);
	o->last = true;
	if (msg->status && msg->status->code) {
		o->code = msg->status->code;
		snprintf(o->message, sizeof(o->message), "%s", msg->status->message);
		o->status = copy(NULL, 0);
		o->status = realloc(o->status, google__rpc__status__get_packed_size(msg->status) + 1);
		assert_non_null(o->status);
		o->status_len = google__rpc__status__pack(msg->status, o->status);
	} else {
		o->len = msg->payload.len;
		o->data = copy(msg->payload.data, o->len);
	}
	ttrpc__response__free_unpacked(msg, NULL);
}

void next_ttrpc(int fd, struct outcome *o)
{
	uint8_t header[FRAME_HEADER_LEN], *body;
	struct frame_header hdr;

	memset(o, 0, sizeof(*o));
	assert_int_equal(recv(fd, header, sizeof(header), MSG_WAITALL), sizeof(header));
	frame_decode(header, &hdr);
	body = malloc(hdr.len + 1);
	assert_non_null(body);
	if (hdr.len)
		assert_int_equal(recv(fd, body, hdr.len, MSG_WAITALL), hdr.len);
	if (hdr.type == FRAME_RESPONSE) {
		from_response(o, body, hdr.len);
		free(body);
		return;
	}
	o->last = hdr.flags & FRAME_NO_DATA;
	o->data = body;
	o->len = hdr.len;
}

void ask_ttrpc(const char *service, const char *method, const void *req, size_t len, struct outcome *o)
{
	int fd = raw_connect(h);

	assert_true(raw_call(fd, 1, service, method, req, len, 0));
	next_ttrpc(fd, o);
	close(fd);
}
