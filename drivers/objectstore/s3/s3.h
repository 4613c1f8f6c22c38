/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client for one bucket and prefix of an S3 server.
 *
 * Every request is asynchronous: it is queued, waits until its bytes fit into the
 * limit and the endpoint takes one more, is tried again as long as that can help,
 * and ends with exactly one call of its function.  The functions without "_start"
 * do the same and wait for it.
 *
 * A client has one thread for all connections and some that hash.  Any thread may
 * call anything at any time, unless said otherwise.  Errors are negative errno;
 * Documentation/s3.md has what means what.
 *
 * Keys are bytes without a NUL, 1 to 1024 of them with the prefix; "//", "..", a '/'
 * at the end and control characters mean nothing special.
 */
#ifndef NEXUS_S3_S3_H
#define NEXUS_S3_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

struct s3;
struct s3_provider;

#define S3_KEY_MAX	1024u
#define S3_ETAG_MAX	128u
#define S3_PART_LEAST	(5u << 20)		/* of an upload, but its last */
#define S3_PARTS_MOST	10000u
#define S3_PUT_MOST	(5ull << 30)		/* in one request */
#define S3_OBJECT_MOST	(5ull << 40)
#define S3_DELETE_MOST	1000u			/* keys at once */

enum s3_sse { S3_SSE_NONE, S3_SSE_S3, S3_SSE_KMS, S3_SSE_C };

/**
 * struct s3_settings - of a client; zeroes are the defaults; copied at the opening
 *
 * @endpoint: "https://host[:port]"; NULL: Amazon's of the region
 * @region: to sign for; NULL: us-east-1
 * @prefix: goes before every key, as it is; NULL: none
 * @virtual_host: the bucket in the host name instead of the path
 * @storage_class: NULL: the bucket's
 * @sse_key_id: SSE-KMS: NULL: the bucket's.
 * @sse_c_key: SSE-C: 32 bytes; copied into locked memory.  Such requests go by https, or
 *	to this machine
 * @requester_pays: say so with every request
 * @ca_file: certificates to trust; NULL: AWS_CA_BUNDLE, else the system's
 * @proxy: "http://host:port"; NULL: as the environment says; "": none
 * @concurrency: requests at once at most; 0: 16
 * @memory: bytes in flight at most: bodies, and room for answers; 0: 256 MiB
 * @up: bytes a second sent; 0: no limit.  @down: received
 * @part: bytes of a part, at least 5 MiB; 0: 16 MiB
 * @hashers: threads that hash; 0: 2
 * @attempts: of a request; 0: 10
 * @deadline_ms: of a request with everything: waiting, pauses, attempts; of an upload
 *	or a read in parts it is that of each part; 0: two minutes
 * @connect_ms: to connect; 0: 10 s
 * @stall_ms: without a byte before an attempt is given up; whole seconds; 0: 30 s
 * @base_ms: the longest pause after the first failure, 0: 100.  @cap_ms: 0: 20 s
 * @breaker: bad answers in a row that open the circuit; 0: 8
 * @open_ms: how long it stays open the first time; 0: 1 s; up to a minute
 * @note: a line for the log, never with a secret; NULL: none.  Called by the
 *	client's threads, with no lock held; calls nothing of the client.
 */
struct s3_settings {
	const char *endpoint;
	const char *region;
	const char *bucket;
	const char *prefix;
	bool virtual_host;
	const char *storage_class;
	enum s3_sse sse;
	const char *sse_key_id;
	const unsigned char *sse_c_key;
	bool requester_pays;
	const char *ca_file;
	const char *proxy;
	unsigned int concurrency;
	uint64_t memory;
	uint64_t up;
	uint64_t down;
	uint64_t part;
	unsigned int hashers;
	unsigned int attempts;
	int64_t deadline_ms;
	int64_t connect_ms;
	int64_t stall_ms;
	int64_t base_ms;
	int64_t cap_ms;
	unsigned int breaker;
	int64_t open_ms;
	void (*note)(void *ctx, const char *line);
	void *ctx;
};

/**
 * s3_open() - a client; s3_creds_global_init() was called before
 * @provider: of credentials; outlives the client
 *
 * Sends nothing: the bucket may be missing.
 *
 * Return: 0; -EINVAL: a setting makes no sense, see @fault; -ENOMEM; -EAGAIN: no
 * more threads.
 */
int s3_open(const struct s3_settings *settings, struct s3_provider *provider, struct s3 **s3,
	    struct s3_fault *fault);

/**
 * s3_close() - ends every request with -ECANCELED, and the threads
 *
 * Parts that were sent of unfinished uploads stay at the server: see
 * s3_abort_leftovers().  No function of the client is called any more; not from
 * within one.  NULL is allowed.
 */
void s3_close(struct s3 *s3);

/**
 * s3_end() - the first half of it: every request ends, and others are refused
 *
 * So that threads that wait for requests come to their end, before what they use is freed.
 * NULL is allowed.
 */
void s3_end(struct s3 *s3);

/** s3_wake() - there may be new credentials: to be called by the provider's "changed" */
void s3_wake(struct s3 *s3);

/**
 * struct s3_result - how a request ended
 *
 * @error: 0 or negative errno
 * @status: of the last answer; 0: there was none
 * @attempts: requests sent for it, parts included
 * @code: of S3, "" for none
 * @fault: the words for @error
 * @unread: it is of the file to send, which cannot be read
 * @size: of the object, after a get or head
 * @len: bytes put into the buffer of a get
 * @verified: a get's bytes were compared with a checksum of the object
 * @mtime: seconds since 1970, 0: unknown
 * @date: the server's clock when it answered, likewise
 * @etag: with its quotes, of what was written or found; "": the server did not say,
 *	as some do not after an upload
 */
struct s3_result {
	int error;
	int status;
	unsigned int attempts;
	char code[64];
	struct s3_fault fault;
	bool unread;
	uint64_t size;
	size_t len;
	bool verified;
	int64_t mtime;
	int64_t date;
	char etag[S3_ETAG_MAX];
};

/**
 * typedef s3_done_fn - a request has ended
 *
 * Called by the client's thread, with no lock held; must not block, and must not
 * call s3_close() or what waits.  @result is valid until it returns.
 */
typedef void (*s3_done_fn)(void *ctx, const struct s3_result *result);

/**
 * struct s3_put - what to write
 *
 * @data: the bytes, the caller's until the end; NULL: they are in @fd from @offset
 * @fd: read by pread() from any of the client's threads, part by part; it has to
 *	hold still until the end
 * @absent: only when no object has the name (-EEXIST)
 * @if_match: only over the object with this ETag (-EEXIST: there is another; -ENOENT)
 * @sha256: of all bytes, when the caller has it: saves a pass for a single request,
 *	and makes a read of an object in parts verifiable; NULL: not given
 * @type: Content-Type; NULL: application/octet-stream
 * @first: before requests that wait and are not so; ignored of what goes in parts.  For
 *	those of which there are never many
 */
struct s3_put {
	const char *key;
	const void *data;
	int fd;
	uint64_t offset;
	uint64_t len;
	bool absent;
	const char *if_match;
	const unsigned char *sha256;
	const char *type;
	bool first;
};

/**
 * s3_put_start() - write an object with one request
 *
 * With @absent or @if_match no answer that got lost is mistaken: whether an earlier
 * attempt of the same request has written it is asked.
 *
 * Return (of all _start): 0: the function will be called; otherwise it will not:
 * -EINVAL, -ENAMETOOLONG: of the key; -EFBIG: too large for one request, or for the
 * limit of bytes in flight; -ENOMEM; -ESHUTDOWN: the client is being closed.
 */
int s3_put_start(struct s3 *s3, const struct s3_put *put, s3_done_fn done, void *ctx);
int s3_put(struct s3 *s3, const struct s3_put *put, struct s3_result *result);

/**
 * s3_upload_start() - write an object in parts, several at once
 *
 * One that fits into a part goes as by s3_put_start().  When a part fails in the end,
 * the upload is aborted.  The name shows the old object or the whole new one.
 */
int s3_upload_start(struct s3 *s3, const struct s3_put *put, s3_done_fn done, void *ctx);
int s3_upload(struct s3 *s3, const struct s3_put *put, struct s3_result *result);

/**
 * struct s3_get - what to read
 *
 * @offset, @len: the range; it may go beyond the end, or begin there: 0 bytes
 * @buf: room for @len bytes, until the end
 * @if_match: only from the object with this ETag (-ESTALE: it is another now)
 * @sha256: of the range, when the caller knows it; NULL: not.  Otherwise whole objects
 *	are compared with the checksum kept with them, where there is one.
 * @first: as in struct s3_put; of a read in ranges of each
 */
struct s3_get {
	const char *key;
	uint64_t offset;
	size_t len;
	void *buf;
	const char *if_match;
	const unsigned char *sha256;
	bool first;
};

/** s3_get_start() - read a range with one request; -EBADMSG: damaged, again and again */
int s3_get_start(struct s3 *s3, const struct s3_get *get, s3_done_fn done, void *ctx);
int s3_get(struct s3 *s3, const struct s3_get *get, struct s3_result *result);

/** s3_read_start() - the same in ranges of a part's size, several at once, of one version */
int s3_read_start(struct s3 *s3, const struct s3_get *get, s3_done_fn done, void *ctx);
int s3_read(struct s3 *s3, const struct s3_get *get, struct s3_result *result);

/** s3_head_start() - size, time and ETag; a missing bucket is -ENOENT too: there is no text */
int s3_head_start(struct s3 *s3, const char *key, s3_done_fn done, void *ctx);
int s3_head(struct s3 *s3, const char *key, struct s3_result *result);

/**
 * s3_delete_start() - delete objects; one that is not there is deleted
 * @keys: at most S3_DELETE_MOST; copied
 * @errors: an errno for each, until the end; may be NULL
 *
 * The result is that of the request, or else the first error of a key.  Names that
 * XML cannot carry go one by one.
 */
int s3_delete_start(struct s3 *s3, const char *const *keys, size_t n, int *errors, s3_done_fn done, void *ctx);
int s3_delete(struct s3 *s3, const char *const *keys, size_t n, int *errors, struct s3_result *result);

/** struct s3_entry - of a listing; @tag is an ETag, for uploads their id */
struct s3_entry {
	char *key;	/* without the client's prefix */
	char *tag;
	uint64_t size;
	int64_t mtime;
	bool is_prefix;	/* what a delimiter grouped */
};

/** struct s3_list - a page; @next: the token of the next, NULL: it was the last */
struct s3_list {
	struct s3_entry *entries;
	size_t n;
	char *next;
};

void s3_list_free(struct s3_list *list);

/**
 * struct s3_query - which page
 *
 * @prefix: of the keys, after the client's; NULL: all
 * @delimiter: one character: names are grouped up to it; 0: not
 * @after: only names behind this one; NULL: all
 * @token: of the page before; NULL: the first
 * @most: entries; 0: 1000, which is the most
 */
struct s3_query {
	const char *prefix;
	char delimiter;
	const char *after;
	const char *token;
	unsigned int most;
};

/**
 * s3_next_token() - *@token, which the page was asked for with, is that of the next; NULL at the end
 *
 * 0; -ENOMEM; -EPROTO: it comes again, which would go on for ever.  The caller's in any case.
 */
int s3_next_token(const struct s3_list *list, char **token);

/** s3_list_start() - a page of names, in the order of their bytes; @list until the end, then s3_list_free() */
int s3_list_start(struct s3 *s3, const struct s3_query *query, struct s3_list *list, s3_done_fn done, void *ctx);
int s3_list(struct s3 *s3, const struct s3_query *query, struct s3_list *list, struct s3_result *result);

/**
 * s3_uploads_start() - a page of the uploads in parts that nobody has finished yet
 * @prefix: of their keys, after the client's; NULL: all
 * @token: of the page before; NULL: the first
 * @list: until the end, then s3_list_free(): key, id, and when it was begun
 *
 * Those that this client is at are left out.
 */
int s3_uploads_start(struct s3 *s3, const char *prefix, const char *token, struct s3_list *list,
		     s3_done_fn done, void *ctx);

/** s3_abort_start() - end the upload @id of @key, and drop its parts; -ENOENT: it is over already */
int s3_abort_start(struct s3 *s3, const char *key, const char *id, s3_done_fn done, void *ctx);

/**
 * s3_abort_leftovers() - abort uploads that nobody finishes; waits
 * @prefix: of their keys, after the client's; NULL: all
 * @before: only those begun before this time, seconds since 1970, by the server's clock
 * @aborted: how many were
 */
int s3_abort_leftovers(struct s3 *s3, const char *prefix, int64_t before, unsigned int *aborted,
		       struct s3_result *result);

/** s3_bucket_create() - make the bucket, for tests and set-up; -EEXIST */
int s3_bucket_create(struct s3 *s3, struct s3_result *result);

/**
 * struct s3_stats - since the opening, and now
 *
 * @taken: bytes of those sent, by attempts that went well
 * @memory: bytes in flight; @memory_peak: the most there were
 * @limit: requests at once, as the endpoint's answers have it
 * @circuit: "closed", "open" or "half-open"
 */
struct s3_stats {
	uint64_t requests, retries, failed, slowed, opened;
	uint64_t sent, received, taken;
	uint64_t memory, memory_peak;
	unsigned int queued, active, limit;
	const char *circuit;
	struct s3_fault last;
};

void s3_stats(struct s3 *s3, struct s3_stats *stats);

#endif /* NEXUS_S3_S3_H */
