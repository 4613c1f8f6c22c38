// SPDX-License-Identifier: Apache-2.0
/* An answer as it comes in, and what it means for the request. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "impl.h"

/* A machine's clock is off when an answer's is so many seconds away: S3 allows 15 minutes. */
#define SKEW	600

static void copy(char *to, size_t size, const char *value)
{
	snprintf(to, size, "%.*s", (int)size - 1, value);
}

static uint64_t fnv(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return hash;
}

/* "bytes 0-99/1234", "bytes 0-99" or, with 416, "bytes" and "*" for the range. */
static void content_range(struct s3_answer *answer, const char *value)
{
	const char *slash = strchr(value, '/');
	char *end;

	if (!strncmp(value, "bytes ", 6) && value[6] >= '0' && value[6] <= '9') {
		answer->first = strtoull(value + 6, &end, 10);
		if (end[0] == '-' && end[1] >= '0' && end[1] <= '9') {
			answer->last = strtoull(end + 1, NULL, 10);
			answer->ranged = true;
		}
	}
	if (slash && slash[1] >= '0' && slash[1] <= '9')
		answer->size = strtoull(slash + 1, NULL, 10);
}

/*
 * A response that comes twice may be taken for that of the next request on its
 * connection.  An error from here closes it.  Request ids are unique; a server whose ids are not, as two
 * connections with the same one show, is left alone.
 */
static bool answer_twice(struct s3_request *req, uint64_t id)
{
	struct s3 *s3 = req->s3;
	long port = 0;
	size_t i;

	if (s3->ids_unusable)
		return false;
	curl_easy_getinfo(req->easy, CURLINFO_LOCAL_PORT, &port);
	for (i = 0; i < S3_IDS; i++) {
		if (s3->ids[i].id != id)
			continue;
		if (s3->ids[i].port == port)
			return true;
		s3->ids_unusable = true;
		return false;
	}
	s3->ids[s3->next_id].id = id;
	s3->ids[s3->next_id].port = port;
	s3->next_id = (s3->next_id + 1) % S3_IDS;
	return false;
}

static void header(struct s3_answer *answer, const char *name, const char *value)
{
	if (!strcasecmp(name, "etag"))
		copy(answer->etag, sizeof(answer->etag), value);
	else if (!strcasecmp(name, "content-range"))
		content_range(answer, value);
	else if (!strcasecmp(name, "content-length"))
		answer->length = strtoll(value, NULL, 10);
	else if (!strcasecmp(name, "last-modified"))
		answer->mtime = curl_getdate(value, NULL);
	else if (!strcasecmp(name, "date"))
		answer->date = curl_getdate(value, NULL);
	else if (!strcasecmp(name, "retry-after"))
		copy(answer->retry_after, sizeof(answer->retry_after), value);
	else if (!strcasecmp(name, "x-amz-bucket-region"))
		copy(answer->region, sizeof(answer->region), value);
	else if (!strcasecmp(name, "x-amz-checksum-sha256"))
		(void)s3_unbase64_hash(value, answer->sha256);
	else if (!strcasecmp(name, S3_META_WRITE))
		copy(answer->write, sizeof(answer->write), value);
	else if (!strcasecmp(name, S3_META_SHA256) && strlen(value) == 64 && !answer->sha256[0])
		copy(answer->sha256, sizeof(answer->sha256), value);
}

static int refuse(struct s3_answer *answer, const char *words)
{
	answer->error = -EPROTO;
	answer->words = words;
	return -EPROTO;
}

size_t s3_on_header(char *data, size_t size, size_t n, void *arg)
{
	struct s3_request *req = arg;
	struct s3_answer *answer = &req->answer;
	char line[1024], *value, *end;
	size_t len = size * n;

	answer->header_bytes += len;
	if (answer->header_bytes > S3_HEADERS_MOST) {
		answer->error = -EPROTO;
		answer->words = "the answer's headers are too long";
		return 0;
	}
	/* Those of interest are short. */
	if (len >= sizeof(line))
		return len;
	memcpy(line, data, len);
	line[len] = '\0';
	if (!strncmp(line, "HTTP/", 5)) {
		/* Another answer: this one was "100 Continue", or a proxy's. */
		size_t bytes = answer->header_bytes;

		memset(answer, 0, sizeof(*answer));
		answer->header_bytes = bytes;
		answer->size = UINT64_MAX;
		answer->length = -1;
		return len;
	}
	value = strchr(line, ':');
	if (!value)
		return len;
	*value++ = '\0';
	while (*value == ' ' || *value == '\t')
		value++;
	end = value + strlen(value);
	while (end > value && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	if (!strcasecmp(line, "x-amz-request-id") && answer_twice(req, fnv(value))) {
		(void)refuse(answer, "an answer came twice");
		return 0;
	}
	header(answer, line, value);
	return len;
}

static int status_of(const struct s3_request *req)
{
	long status = 0;

	curl_easy_getinfo(req->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

static bool good(int status)
{
	return status >= 200 && status < 300;
}

/* Whether the body that begins is the range that was asked for. */
static int begin_sink(struct s3_request *req, int status)
{
	struct s3_answer *answer = &req->answer;

	answer->sinking = true;
	if (status == 206) {
		if (!answer->ranged || answer->first != req->offset || answer->last < answer->first ||
		    answer->last - answer->first >= req->buf_len)
			return refuse(answer, "the answer is another range");
		return 0;
	}
	/* A server that knows no ranges sends all. */
	if (req->offset || answer->length < 0)
		return refuse(answer, "the server does not send ranges");
	if ((uint64_t)answer->length > req->buf_len)
		return refuse(answer, "the server does not send ranges");
	answer->size = (uint64_t)answer->length;
	return 0;
}

static int begin(struct s3_request *req)
{
	int status = status_of(req);

	req->answer.began = true;
	if (good(status) && req->op == S3_OP_GET)
		return begin_sink(req, status);
	return s3_xml_open(req->url_encoded, &req->xml);
}

size_t s3_on_body(char *data, size_t size, size_t n, void *arg)
{
	struct s3_request *req = arg;
	struct s3_answer *answer = &req->answer;
	size_t len = size * n;
	int ret;

	if (!s3_rate_owe(&req->s3->down, s3_now_ms(), len)) {
		req->held = true;
		req->s3->held++;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (!answer->began && begin(req)) {
		if (!answer->error)
			answer->error = -ENOMEM;
		return 0;
	}
	if (answer->sinking) {
		if (len > req->buf_len - req->got) {
			(void)refuse(answer, "the answer is longer than its range");
			return 0;
		}
		memcpy(req->buf + req->got, data, len);
		req->got += len;
		return len;
	}
	req->got += len;
	ret = s3_xml_feed(req->xml, data, len);
	/* What comes with an error may be a web page: the status has to do then. */
	if (ret && (good(status_of(req)) || req->got > S3_XML_BYTES)) {
		answer->error = ret;
		answer->words = "the answer is no XML, or too long";
		return 0;
	}
	return len;
}

static bool has_xml(const struct s3_request *req)
{
	return !req->probing && (req->op == S3_OP_XML || req->op == S3_OP_COMPLETE);
}

/* Of a complete answer with a good status: whether it is what was asked for. */
static int check_good(struct s3_request *req, int status)
{
	struct s3_answer *answer = &req->answer;
	uint64_t wanted;

	/* Every object has an ETag; a page of some proxy has none. */
	if ((req->op == S3_OP_GET || req->op == S3_OP_HEAD) && !answer->etag[0])
		return refuse(answer, "the answer is not of an object");
	if (req->op == S3_OP_GET && !req->probing) {
		wanted = status == 206 ? answer->last - answer->first + 1 : (uint64_t)answer->length;
		if (!answer->began && begin_sink(req, status))
			return answer->error;
		if (req->got != wanted)
			return refuse(answer, "the answer is shorter than its range");
		/* Less than was asked for only at the end of the object. */
		if (status == 206 && req->got < req->buf_len && answer->size != answer->last + 1)
			return refuse(answer, "the answer is shorter than its range");
	}
	if (has_xml(req) && (!req->xml || s3_xml_end(req->xml, &req->doc)))
		return refuse(answer, "the answer is not whole, or no XML");
	return 0;
}

static void fill(struct s3_request *req, int status)
{
	const struct s3_answer *answer = &req->answer;
	struct s3_result *result = &req->result;

	result->status = status;
	result->mtime = answer->mtime > 0 ? answer->mtime : 0;
	result->date = answer->date > 0 ? answer->date : 0;
	copy(result->etag, sizeof(result->etag), req->doc.etag ? req->doc.etag : answer->etag);
	result->size = answer->size;
	if (result->size == UINT64_MAX)
		result->size = answer->length > 0 ? (uint64_t)answer->length : 0;
	result->len = req->op == S3_OP_GET ? req->got : 0;
}

/* A server tells no one who asks with another key for SSE-C more than that. */
static bool maybe_key(const struct s3_request *req, int status)
{
	static const char *const codes[] = { "", "AccessDenied", "InvalidRequest", "InvalidArgument" };
	size_t i;

	if (!req->s3->sse_c_line || (req->op != S3_OP_GET && req->op != S3_OP_HEAD) ||
	    (status != 400 && status != 403))
		return false;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (!strcmp(req->result.code, codes[i]))
			return true;
	return false;
}

static void explain(struct s3_request *req, const struct s3_meaning *meaning, CURLcode curl, int status)
{
	struct s3_result *result = &req->result;
	const char *words = req->answer.words ? req->answer.words : meaning->words;
	const char *key = maybe_key(req, status) ? ": the key of SSE-C may be another than it was written with" : "";
	const char *region = req->doc.region[0] ? req->doc.region : req->answer.region;

	if (curl && !req->answer.error) {
		s3_fault_set(&result->fault, 0, "%s: %s%s%s", req->s3->base, words ? words : "",
			     words ? ": " : "", req->curl_text[0] ? req->curl_text : curl_easy_strerror(curl));
		return;
	}
	s3_fault_set(&result->fault, 0, "%s: %s %s: status %d%s%s%s%s%s%s%s%s%s", req->s3->base,
		     req->probing ? "HEAD" : req->method, req->path, status,
		     result->code[0] ? " " : "", result->code,
		     words ? ": " : "", words ? words : "",
		     req->doc.message[0] ? ": " : "", req->doc.message, key,
		     meaning->error == -EREMOTE && region[0] ? ": the region is " : "",
		     meaning->error == -EREMOTE ? region : "");
}

/* The server's clock, when it is far enough from ours to be the reason. */
static bool set_clock(struct s3_request *req)
{
	struct s3 *s3 = req->s3;
	int64_t offset = req->answer.date - time(NULL);

	if (req->clock_set || req->answer.date <= 0 || llabs(offset - s3->clock_offset) < SKEW)
		return false;
	req->clock_set = true;
	s3->clock_offset = offset;
	s3_note(s3, "the clock of this machine is %lld s from that of %s", (long long)-offset, s3->base);
	return true;
}

static bool ask_creds(struct s3_request *req)
{
	if (req->creds_asked)
		return false;
	req->creds_asked = true;
	return s3_creds_refused(req->s3->provider, req->creds);
}

/* What came of asking whether an attempt whose answer was lost has done it. */
static enum s3_next probed(struct s3_request *req, int status)
{
	req->probing = false;
	if (!good(status) || strcmp(req->answer.write, req->write))
		return S3_N_FINISH;
	req->result.error = 0;
	req->result.fault.text[0] = '\0';
	req->result.code[0] = '\0';
	fill(req, status);
	return S3_N_FINISH;
}

/* The answer to a HEAD has no code. */
static bool textless(const struct s3_request *req)
{
	return !strcmp(req->method, "HEAD") || req->probing;
}

/*
 * A store says what it does not find.  A box on the way to it, with a page of its own, is not
 * to be believed: that there is no owner, or that the log ends here, costs what is behind.
 */
static bool found_nothing(const struct s3_request *req, int status)
{
	return status == 404 && !req->doc.code[0] && !textless(req);
}

static enum s3_next failed(struct s3_request *req, const struct s3_meaning *meaning, int status)
{
	enum s3_class class = meaning->class;

	if (textless(req) && (status == 403 || status == 400))
		class = llabs(req->answer.date - time(NULL) - req->s3->clock_offset) >= SKEW ? S3_CLOCK : S3_CREDS;
	if (class == S3_CLOCK && set_clock(req))
		return S3_N_NOW;
	if (class == S3_CREDS && ask_creds(req))
		return S3_N_NOW;
	if (class == S3_AGAIN || class == S3_LESS)
		return S3_N_RETRY;
	if (req->probing)
		return probed(req, status);
	/*
	 * It may have been done by an earlier attempt, also by one of libcurl's own: it sends
	 * once more, without a word, when a connection that was in use before turns out dead.
	 */
	if (req->idempotent_id && (meaning->error == -EEXIST || meaning->error == -ENOENT)) {
		req->probing = true;
		return S3_N_NOW;
	}
	return S3_N_FINISH;
}

enum s3_next s3_judge(struct s3_request *req, CURLcode curl, enum s3_verdict *verdict)
{
	struct s3_answer *answer = &req->answer;
	int status = status_of(req), error = 0;
	struct s3_meaning meaning;
	struct s3_result kept;

	if (answer->error)
		error = answer->error;
	else if (!curl && good(status))
		error = check_good(req, status);
	*verdict = S3_VERDICT_GOOD;
	if (!curl && !error && good(status) && strcmp(req->doc.root, "Error")) {
		if (req->probing)
			return probed(req, status);
		req->result.error = 0;
		fill(req, status);
		return s3_needs_verify(req) ? S3_N_VERIFY : S3_N_FINISH;
	}
	if (!curl && !good(status) && req->xml && s3_xml_end(req->xml, &req->doc))
		memset(&req->doc, 0, sizeof(req->doc));
	/* Behind the end of an object are no bytes; that is no error. */
	if (!curl && !error && status == 416 && req->op == S3_OP_GET && !req->probing) {
		s3_doc_free(&req->doc);
		req->got = 0;
		req->result.error = 0;
		fill(req, status);
		if (answer->size == UINT64_MAX)
			req->result.size = 0;
		return S3_N_FINISH;
	}
	if (error)
		meaning = (struct s3_meaning){ error, S3_AGAIN, S3_VERDICT_BAD, answer->words };
	else if (!curl && found_nothing(req, status))
		meaning = (struct s3_meaning){ -EPROTO, S3_AGAIN, S3_VERDICT_BAD, "the answer is not the object store's" };
	else
		meaning = s3_error_of((int)curl, status, curl ? "" : req->doc.code);
	*verdict = meaning.verdict;
	kept = req->result;
	req->result.error = meaning.error;
	copy(req->result.code, sizeof(req->result.code), curl ? "" : req->doc.code);
	if (req->op == S3_OP_GET && (status == 412 || status == 304) && !curl)
		req->result.error = -ESTALE;
	fill(req, curl ? 0 : status);
	explain(req, &meaning, curl, status);
	s3_doc_free(&req->doc);
	/* A probe that says no leaves the error it was made for. */
	if (req->probing && meaning.class != S3_AGAIN && meaning.class != S3_LESS)
		req->result = kept;
	return failed(req, &meaning, status);
}
