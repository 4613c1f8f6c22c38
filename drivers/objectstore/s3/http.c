// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "http.h"
#include "parse.h"
#include "secret.h"

struct creds_http {
	CURLM *multi;
	atomic_bool stop;
};

/* A request that is under way. */
struct transfer {
	char *body;	/* CREDS_BODY_MAX and a NUL */
	size_t len;
	bool full;
};

/* ---- what libcurl frees is wiped -------------------------------------------------- */

static void wiping_free(void *p)
{
	if (!p)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *p, size_t size)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *new = malloc(size);

	if (!new)
		return NULL;
	if (p)
		memcpy(new, p, old < size ? old : size);
	wiping_free(p);
	return new;
}

int creds_http_libraries(struct s3_fault *fault)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool done;
	int ret = 0;

	pthread_mutex_lock(&lock);
	if (!done) {
		if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc,
					 strdup, calloc))
			ret = s3_fault_set(fault, -ENOMEM, "libcurl cannot be set up");
		else
			creds_parse_library();
		done = !ret;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

/* ---- addresses -------------------------------------------------------------------- */

static bool local_host(const char *host)
{
	/* ECS; EKS over IPv4 and IPv6. */
	static const char *const agents[] = { "169.254.170.2", "169.254.170.23" };
	struct in6_addr six, agent6;
	struct in_addr four;
	size_t i;

	if (!strcasecmp(host, "localhost"))
		return true;
	for (i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
		if (!strcmp(host, agents[i]))
			return true;
	}
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) != 1)
		return false;
	inet_pton(AF_INET6, "fd00:ec2::23", &agent6);
	return IN6_IS_ADDR_LOOPBACK(&six) || !memcmp(&six, &agent6, sizeof(six));
}

bool creds_url_allowed(const char *url)
{
	char *scheme = NULL, *host = NULL;
	CURLU *parsed = curl_url();
	bool allowed = false;
	size_t len;

	if (!parsed || curl_url_set(parsed, CURLUPART_URL, url, 0) ||
	    curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) ||
	    curl_url_get(parsed, CURLUPART_HOST, &host, 0))
		goto out;
	if (!strcmp(scheme, "https")) {
		allowed = true;
	} else if (!strcmp(scheme, "http")) {
		/* An address of IPv6 comes with its brackets. */
		len = strlen(host);
		if (*host == '[' && host[len - 1] == ']') {
			host[len - 1] = '\0';
			allowed = local_host(host + 1);
		} else {
			allowed = local_host(host);
		}
	}
out:
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(parsed);
	return allowed;
}

/* ---- requests --------------------------------------------------------------------- */

int creds_http_open(struct creds_http **http)
{
	struct creds_http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->multi = curl_multi_init();
	if (!h->multi) {
		free(h);
		return -ENOMEM;
	}
	*http = h;
	return 0;
}

void creds_http_close(struct creds_http *http)
{
	if (!http)
		return;
	curl_multi_cleanup(http->multi);
	free(http);
}

void creds_http_stop(struct creds_http *http)
{
	http->stop = true;
	curl_multi_wakeup(http->multi);
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	const size_t len = size * n;

	if (len > CREDS_BODY_MAX - t->len) {
		t->full = true;
		return CURL_WRITEFUNC_ERROR;
	}
	memcpy(t->body + t->len, data, len);
	t->len += len;
	return len;
}

/* What was decrypted does not stay in OpenSSL's buffers. */
static CURLcode cleanse_plaintext(CURL *easy, void *ctx, void *arg)
{
	(void)easy;
	(void)arg;
	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

static CURLcode set_options(CURL *easy, const struct creds_request *request,
			    struct curl_slist *headers, struct transfer *t)
{
	CURLcode code = CURLE_OK;

	/* The first that fails decides. */
#define SET(option, value)	do {						\
		if (!code)							\
			code = curl_easy_setopt(easy, option, value);		\
	} while (0)
	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_SSL_CTX_FUNCTION, cleanse_plaintext);
	if (request->ca_file)
		SET(CURLOPT_CAINFO, request->ca_file);
	if (request->local)
		SET(CURLOPT_PROXY, "");
	if (request->body) {
		SET(CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
		SET(CURLOPT_POSTFIELDS, request->body);
	}
	if (request->method)
		SET(CURLOPT_CUSTOMREQUEST, request->method);
#undef SET
	return code;
}

/* Runs it to its end.  -ECANCELED, or 0 with its result in *@code. */
static int run(struct creds_http *http, CURL *easy, CURLcode *code)
{
	int running = 1, left;
	CURLMsg *msg;

	*code = CURLE_OUT_OF_MEMORY;
	if (curl_multi_add_handle(http->multi, easy))
		return 0;
	while (running && !http->stop) {
		if (curl_multi_perform(http->multi, &running))
			break;
		if (running && curl_multi_poll(http->multi, NULL, 0, 1000, NULL))
			break;
	}
	while ((msg = curl_multi_info_read(http->multi, &left))) {
		if (msg->msg == CURLMSG_DONE)
			*code = msg->data.result;
	}
	curl_multi_remove_handle(http->multi, easy);
	return http->stop ? -ECANCELED : 0;
}

/* libcurl's own words may hold what the other side sent: the code's do not. */
static int explain(CURLcode code, const struct transfer *t, const char *who, struct s3_fault *fault)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return s3_fault_set(fault, -ENOMEM, "%s: no memory", who);
	case CURLE_OPERATION_TIMEDOUT:
		return s3_fault_set(fault, -ETIMEDOUT, "%s did not answer in time", who);
	case CURLE_WRITE_ERROR:
		if (t->full)
			return s3_fault_set(fault, -EPROTO, "%s answered with more than %d bytes",
					    who, CREDS_BODY_MAX);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_URL_MALFORMAT:
		return s3_fault_set(fault, -EPROTO, "%s: %s", who, curl_easy_strerror(code));
	default:
		break;
	}
	return s3_fault_set(fault, -EIO, "%s: %s", who, curl_easy_strerror(code));
}

int creds_http_request(struct creds_http *http, const struct creds_request *request,
		       const char *who, struct creds_answer *answer, struct s3_fault *fault)
{
	struct curl_slist *headers = NULL, *more;
	struct transfer t = { 0 };
	CURL *easy = curl_easy_init();
	CURLcode code;
	size_t i;
	int ret;

	memset(answer, 0, sizeof(*answer));
	t.body = secret_alloc(CREDS_BODY_MAX + 1);
	ret = s3_fault_set(fault, -ENOMEM, "%s: no memory, or none that may be locked", who);
	if (!easy || !t.body)
		goto out;
	for (i = 0; i < sizeof(request->headers) / sizeof(request->headers[0]); i++) {
		if (!request->headers[i])
			continue;
		more = curl_slist_append(headers, request->headers[i]);
		if (!more)
			goto out;
		headers = more;
	}
	code = set_options(easy, request, headers, &t);
	if (!code) {
		ret = run(http, easy, &code);
		if (ret) {
			s3_fault_set(fault, ret, "%s: given up", who);
			goto out;
		}
	}
	ret = explain(code, &t, who, fault);
	if (ret)
		goto out;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
	answer->len = t.len;
	answer->body = t.body;
	t.body = NULL;
out:
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	secret_free(t.body);
	return ret;
}
