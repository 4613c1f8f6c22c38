/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the client.
 *
 * A request belongs to the loop's thread from s3_submit() to its end, but while a
 * hasher has it (S3_S_PREPARING, S3_S_VERIFYING).  What has no lock named is the
 * loop's alone.
 */
#ifndef NEXUS_S3_IMPL_H
#define NEXUS_S3_IMPL_H

#include <pthread.h>
#include <stdint.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "creds.h"
#include "errors.h"
#include "retry.h"
#include "s3.h"
#include "sigv4.h"
#include "xml.h"

#define S3_PAIRS	16	/* headers, parameters of a request */
#define S3_OVERHEAD	65536u	/* counted for a request besides its body */
#define S3_PAGE_ROOM	(2u << 20)	/* counted for a listing */
#define S3_HEADERS_MOST	(256u << 10)	/* bytes of an answer's headers */
#define S3_IDS		256	/* request ids of late: see answer.c */

#define S3_META_WRITE	"x-amz-meta-nexusfs-write"
#define S3_META_SHA256	"x-amz-meta-nexusfs-sha256"

enum s3_op { S3_OP_PUT, S3_OP_GET, S3_OP_HEAD, S3_OP_DELETE, S3_OP_XML, S3_OP_COMPLETE };

enum s3_state {
	S3_S_QUEUED,	/* for its bytes to fit */
	S3_S_PREPARING,
	S3_S_READY,	/* for the endpoint and credentials */
	S3_S_ACTIVE,
	S3_S_VERIFYING,
	S3_S_PAUSED,	/* until retry_at */
};

/** struct s3_answer - of one attempt */
struct s3_answer {
	size_t header_bytes;
	uint64_t size;		/* of the object; UINT64_MAX: not said */
	uint64_t first, last;	/* of Content-Range */
	bool ranged;
	int64_t length;		/* -1: not said */
	int64_t mtime;
	int64_t date;
	char etag[S3_ETAG_MAX];
	char sha256[65];	/* hex; "": none */
	char write[33];
	char region[64];
	char retry_after[40];
	bool began;		/* a body has */
	bool sinking;		/* into the buffer */
	int error;		/* found on the way; goes before libcurl's */
	const char *words;
};

struct s3_request;

/** typedef s3_end_fn - the end of a request inside the client */
typedef void (*s3_end_fn)(struct s3_request *req, void *ctx, const struct s3_result *result);

/** struct s3_request - see s3_request_new() */
struct s3_request {
	TAILQ_ENTRY(s3_request) link;
	struct s3 *s3;
	enum s3_op op;
	enum s3_state state;
	s3_end_fn end;		/* the loop's thread, before it is freed */
	void *ctx;
	s3_done_fn done;	/* of the caller, where "end" passes it on */
	void *done_ctx;

	const char *method;
	char *path;		/* raw */
	struct sigv4_pair query[S3_PAIRS];
	struct sigv4_pair headers[S3_PAIRS];
	size_t n_query, n_headers;
	unsigned int borrowed;	/* bit of a header: its value is not the request's */
	bool url_encoded;	/* keys in the answer */
	bool idempotent_id;	/* S3_META_WRITE tells whether it was done */
	char write[33];

	const unsigned char *body;
	unsigned char *owned;	/* the body, when it is ours */
	int fd;			/* else -1: where it is to be read from */
	uint64_t fd_offset;
	size_t body_len;
	bool hashed;
	char hash[65];
	bool checksum;		/* sent with it, too */
	bool keep_hash;		/* as metadata */

	unsigned char *buf;
	size_t buf_len;
	uint64_t offset;
	bool want_hash;
	char wanted[65];

	uint64_t cost;
	int64_t deadline;
	int64_t retry_at;
	unsigned int attempts;
	bool verify_only;	/* see s3_verify() */
	bool probing;		/* asks for S3_META_WRITE */
	bool clock_set, creds_asked;
	bool first;		/* before all that wait and are not */
	uint64_t order;		/* of coming, and of coming back after a pause */

	/* Of an attempt. */
	CURL *easy;
	struct curl_slist *lines;
	const struct s3_creds *creds;
	struct s3_ticket ticket;
	struct s3_xml *xml;
	struct s3_answer answer;
	size_t sent, got;
	bool held;		/* by the limit of bytes a second */
	char curl_text[CURL_ERROR_SIZE];

	struct s3_doc doc;
	struct s3_result result;
};

TAILQ_HEAD(s3_queue, s3_request);

struct upload;

struct s3 {
	/* Fixed. */
	struct s3_settings set;
	char *strings[8];
	char *sse_c_line;	/* the key in base64, in locked memory; NULL: no SSE-C */
	char *sse_c_md5;
	char *base;		/* scheme://host[:port] */
	char *host;
	char *root;		/* path before a key: "/bucket/" or "/" */
	char *prefix;
	struct s3_provider *provider;
	struct sigv4 *signer;
	struct s3_retry retry;

	/* The loop's. */
	pthread_t thread;
	CURLM *multi;
	CURL *idle[64];		/* handles between two attempts */
	unsigned int n_idle;
	struct s3_queue queue, ready, paused, active;
	uint64_t order;		/* of the last one that came */
	struct s3_gate gate;
	struct s3_rate up, down;
	uint64_t random[2];
	int64_t clock_offset;	/* seconds: the server's clock minus ours */
	int64_t next_deadline;
	int64_t creds_at;	/* ask for credentials again */
	unsigned int held;
	bool ids_unusable;
	unsigned int next_id;
	struct { uint64_t id; long port; } ids[S3_IDS];

	pthread_mutex_t lock;
	pthread_cond_t work;
	struct s3_queue incoming;	/* lock */
	struct s3_queue jobs;		/* lock: for the hashers */
	struct s3_queue worked;		/* lock: done by them */
	unsigned int working;		/* lock: with them, or done by them */
	bool closing;			/* lock */
	bool quit;			/* lock: hashers end */
	bool creds_news;		/* lock */
	struct s3_stats stats;		/* lock */
	LIST_HEAD(, upload) uploads;	/* lock: in parts, from before the server knows to the end */
	pthread_t *hashers;
	unsigned int n_hashers;
	bool running;
};

/* client.c */

int64_t s3_now_ms(void);
void *s3_loop(void *arg);
/** s3_random() - below @bound; the loop's thread */
uint64_t s3_random(void *ctx, uint64_t bound);
void s3_note(const struct s3 *s3, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** s3_submit() - begin; @req is the loop's then.  -EFBIG, -ESHUTDOWN: it is freed, and nothing called */
int s3_submit(struct s3_request *req);
/** s3_verify() - have a hasher compare @req->buf with @req->wanted, and end; the loop's thread */
void s3_verify(struct s3_request *req);
/** s3_finish() - end and free a request that is in no list; the loop's thread */
void s3_finish(struct s3_request *req, int error);

/* attempt.c: the loop's thread */

/** s3_attempt_begin() - hand a ready request to libcurl.  0; -EAGAIN: no credentials yet; or final */
int s3_attempt_begin(struct s3_request *req);
/** s3_attempt_clear() - what belongs to an attempt, after it is out of the multi handle; @answered: with an answer */
void s3_attempt_clear(struct s3_request *req, bool answered);

/* answer.c: the loop's thread */

size_t s3_on_header(char *data, size_t size, size_t n, void *arg);
size_t s3_on_body(char *data, size_t size, size_t n, void *arg);

/** enum s3_next - what to do with a request after an attempt */
enum s3_next { S3_N_FINISH, S3_N_VERIFY, S3_N_RETRY, S3_N_NOW };

/**
 * s3_judge() - what an attempt came to
 * @curl: of it
 * @verdict: for the gate
 *
 * Fills @req->result; its error is 0 for S3_N_FINISH of a good one and for S3_N_VERIFY.
 */
enum s3_next s3_judge(struct s3_request *req, CURLcode curl, enum s3_verdict *verdict);

/* hash.c */

void *s3_hasher(void *arg);
/** s3_needs_prepare(), s3_needs_verify() - whether a hasher has work with it */
bool s3_needs_prepare(const struct s3_request *req);
bool s3_needs_verify(const struct s3_request *req);
void s3_base64(char *out, const unsigned char *data, size_t len);
int s3_unbase64_hash(const char *text, char hex[65]);

/* request.c */

/**
 * s3_request_new() - a request for a key; NULL: no memory
 * @key: NULL: for the bucket
 */
struct s3_request *s3_request_new(struct s3 *s3, enum s3_op op, const char *method, const char *key);
void s3_request_free(struct s3_request *req);
/** s3_query_add(), s3_header_add() - both copy; an error is kept until s3_submit() */
void s3_query_add(struct s3_request *req, const char *name, const char *value);
void s3_header_add(struct s3_request *req, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** s3_header_borrow() - the same with a value that outlives the request: no copy of a secret */
void s3_header_borrow(struct s3_request *req, const char *name, const char *value);
/** s3_random_id() - 32 hex digits */
int s3_random_id(char id[33]);

/* delete.c */

struct s3_request *s3_delete_request(struct s3 *s3, const char *key);

/* upload.c */

/** s3_uploading() - whether this client writes @key in parts now */
bool s3_uploading(struct s3 *s3, const char *key);

/* ops.c */

int s3_key_check(const struct s3 *s3, const char *key);
/** s3_put_headers() - of what makes an object; s3_sse_c_headers() - those its reads have, too */
void s3_put_headers(struct s3_request *req, const struct s3_put *put);
void s3_sse_c_headers(struct s3_request *req);
/** s3_put_conditions() - of a write: @absent, @if_match */
void s3_put_conditions(struct s3_request *req, const struct s3_put *put);
struct s3_request *s3_put_request(struct s3 *s3, const struct s3_put *put);
struct s3_request *s3_get_request(struct s3 *s3, const struct s3_get *get);
/** s3_query_prefix() - "prefix": the client's, and then @prefix, which may be NULL */
void s3_query_prefix(struct s3_request *req, const char *prefix);
/** s3_start() - submit with the caller's function */
int s3_start(struct s3_request *req, s3_done_fn done, void *ctx);

/** struct s3_wait - one who waits */
struct s3_wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	struct s3_result *result;
};

void s3_wait_init(struct s3_wait *wait, struct s3_result *result);
/** s3_wait_done() - an s3_done_fn for a struct s3_wait */
void s3_wait_done(void *ctx, const struct s3_result *result);
/** s3_wait_for() - @started: what _start returned.  Return: the error */
int s3_wait_for(struct s3_wait *wait, int started);

#endif /* NEXUS_S3_IMPL_H */
