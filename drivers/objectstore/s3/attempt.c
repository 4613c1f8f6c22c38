// SPDX-License-Identifier: Apache-2.0
/* One attempt of a request: signed, and handed to libcurl. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "impl.h"

/* Bytes libcurl moves at once. */
#define CHUNK	(256L << 10)

static size_t on_send(char *data, size_t size, size_t n, void *arg)
{
	struct s3_request *req = arg;
	size_t want = size * n, left = req->body_len - req->sent;

	if (want > left)
		want = left;
	if (!want)
		return 0;
	want = s3_rate_take(&req->s3->up, s3_now_ms(), want);
	if (!want) {
		req->held = true;
		req->s3->held++;
		return CURL_READFUNC_PAUSE;
	}
	memcpy(data, req->body + req->sent, want);
	req->sent += want;
	return want;
}

/* libcurl begins anew on another connection when an idle one turns out to be dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct s3_request *req = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > req->body_len)
		return CURL_SEEKFUNC_FAIL;
	req->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int add_line(struct s3_request *req, const char *line)
{
	struct curl_slist *lines = curl_slist_append(req->lines, line);

	if (!lines)
		return -ENOMEM;
	req->lines = lines;
	return 0;
}

static int add_pair(struct s3_request *req, const struct sigv4_pair *pair)
{
	char line[2048];
	int ret = -E2BIG;

	if ((size_t)snprintf(line, sizeof(line), "%s: %s", pair->name, pair->value) < sizeof(line))
		ret = add_line(req, line);
	/* It may be the key of SSE-C. */
	OPENSSL_cleanse(line, sizeof(line));
	return ret;
}

/* What the library itself would add. */
static int add_own(struct s3_request *req)
{
	int ret = add_line(req, "Expect:");

	if (!ret)
		ret = add_line(req, "Accept:");
	return ret ? ret : add_line(req, "Transfer-Encoding:");
}

static int set_method(struct s3_request *req, CURL *easy, bool body, const char *method)
{
	CURLcode ret = CURLE_OK;

	if (!strcmp(method, "HEAD"))
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (body) {
		ret |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		ret |= curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body_len);
		ret |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
		ret |= curl_easy_setopt(easy, CURLOPT_READDATA, req);
		ret |= curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
		ret |= curl_easy_setopt(easy, CURLOPT_SEEKDATA, req);
	}
	if (strcmp(method, "GET"))
		ret |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return (int)ret;
}

static int set_common(struct s3_request *req, CURL *easy, const char *url, int64_t left)
{
	const struct s3_settings *set = &req->s3->set;
	CURLcode ret = CURLE_OK;

	ret |= curl_easy_setopt(easy, CURLOPT_URL, url);
	ret |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	ret |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	ret |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	ret |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	ret |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	ret |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	ret |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, CHUNK);
	ret |= curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, CHUNK);
	ret |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)set->connect_ms);
	ret |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	ret |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((set->stall_ms + 999) / 1000));
	ret |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left);
	ret |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "nexusfs");
	if (set->ca_file)
		ret |= curl_easy_setopt(easy, CURLOPT_CAINFO, set->ca_file);
	if (set->proxy)
		ret |= curl_easy_setopt(easy, CURLOPT_PROXY, set->proxy);
	ret |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, req->lines);
	ret |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, s3_on_header);
	ret |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, req);
	ret |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, s3_on_body);
	ret |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, req);
	ret |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, req->curl_text);
	ret |= curl_easy_setopt(easy, CURLOPT_PRIVATE, req);
	return (int)ret;
}

/* Of a hash in lower-case hex. */
static unsigned int digit(char c)
{
	return (unsigned int)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The headers of this attempt: those of the request, and what follows from the body. */
static size_t headers_of(struct s3_request *req, struct sigv4_pair *pairs, char *checksum)
{
	unsigned char hash[32];
	size_t n = 0, i;

	for (i = 0; i < req->n_headers; i++) {
		/* A probe reads: it has only what a read has. */
		if (!req->probing || strstr(req->headers[i].name, "customer") ||
		    strstr(req->headers[i].name, "payer"))
			pairs[n++] = req->headers[i];
	}
	if (req->probing)
		return n;
	if (req->checksum) {
		for (i = 0; i < sizeof(hash); i++)
			hash[i] = (unsigned char)(digit(req->hash[2 * i]) << 4 | digit(req->hash[2 * i + 1]));
		s3_base64(checksum, hash, sizeof(hash));
		pairs[n++] = (struct sigv4_pair){ "x-amz-checksum-sha256", checksum };
	}
	if (req->keep_hash)
		pairs[n++] = (struct sigv4_pair){ S3_META_SHA256, req->hash };
	return n;
}

/* Sign, and put lines and URL into @easy. */
static int build(struct s3_request *req, CURL *easy, int64_t left)
{
	struct s3 *s3 = req->s3;
	struct sigv4_pair pairs[S3_PAIRS + 2];
	struct sigv4_signed out = { 0 };
	bool body = !req->probing && (req->op == S3_OP_PUT || req->op == S3_OP_COMPLETE || req->body);
	struct sigv4_request signing = {
		.method = req->probing ? "HEAD" : req->method,
		.host = s3->host,
		.path = req->path,
		.query = req->query,
		.n_query = req->probing ? 0 : req->n_query,
		.headers = pairs,
		.payload_hash = body && req->body_len ? req->hash : SIGV4_EMPTY,
		.time = time(NULL) + s3->clock_offset,
	};
	char checksum[48], *url = NULL;
	size_t i;
	int ret;

	signing.n_headers = headers_of(req, pairs, checksum);
	ret = sigv4_sign(s3->signer, req->creds, &signing, &out);
	if (ret)
		return s3_fault_set(&req->result.fault, ret, "the request cannot be signed");
	for (i = 0; !ret && i < signing.n_headers; i++)
		ret = add_pair(req, &pairs[i]);
	for (i = 0; !ret && i < out.n_lines; i++)
		ret = add_line(req, out.lines[i]);
	if (!ret)
		ret = add_own(req);
	if (!ret && asprintf(&url, "%s%s", s3->base, out.target) < 0) {
		url = NULL;
		ret = -ENOMEM;
	}
	if (!ret && (set_common(req, easy, url, left) || set_method(req, easy, body, signing.method)))
		ret = -ENOMEM;
	free(url);
	sigv4_signed_free(&out);
	return ret;
}

/* Whoever asked for an object has not heard of the instance metadata, say. */
static void say_creds(struct s3_fault *fault)
{
	struct s3_fault words = *fault;

	if (!strstr(words.text, "credentials"))
		s3_fault_set(fault, 0, "S3 credentials: %s", words.text);
}

int s3_attempt_begin(struct s3_request *req)
{
	struct s3 *s3 = req->s3;
	int64_t left = req->deadline - s3_now_ms();
	int ret;

	ret = s3_creds_get(s3->provider, S3_CREDS_NOWAIT, &req->creds, &req->result.fault);
	if (ret) {
		say_creds(&req->result.fault);
		return ret;
	}
	memset(&req->answer, 0, sizeof(req->answer));
	req->answer.size = UINT64_MAX;
	req->answer.length = -1;
	req->sent = 0;
	req->got = 0;
	req->curl_text[0] = '\0';
	req->easy = s3->n_idle ? s3->idle[--s3->n_idle] : curl_easy_init();
	ret = req->easy ? build(req, req->easy, left > 1 ? left : 1) : -ENOMEM;
	if (!ret && curl_multi_add_handle(s3->multi, req->easy))
		ret = -ENOMEM;
	if (ret)
		s3_attempt_clear(req, false);
	return ret;
}

void s3_attempt_clear(struct s3_request *req, bool answered)
{
	struct s3 *s3 = req->s3;

	if (req->held) {
		req->held = false;
		s3->held--;
	}
	if (req->easy) {
		/* Also drops what it knows of the credentials. */
		curl_easy_reset(req->easy);
		/*
		 * One that got no answer may have been left with its buffer, for instance when
		 * there is no such host, and then refuses to be told the buffer's size.
		 */
		if (answered && s3->n_idle < sizeof(s3->idle) / sizeof(s3->idle[0]))
			s3->idle[s3->n_idle++] = req->easy;
		else
			curl_easy_cleanup(req->easy);
		req->easy = NULL;
	}
	curl_slist_free_all(req->lines);
	req->lines = NULL;
	s3_creds_put(req->creds);
	req->creds = NULL;
	s3_xml_close(req->xml);
	req->xml = NULL;
}
