/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature version 4 in a request's headers, by the rules of S3: a path is
 * encoded once and never normalised.
 */
#ifndef NEXUS_S3_SIGV4_H
#define NEXUS_S3_SIGV4_H

#include <stddef.h>
#include <stdint.h>

struct s3_creds;
struct sigv4;

#define SIGV4_UNSIGNED	"UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_pair {
	const char *name;
	const char *value;	/* NULL: as "" */
};

/**
 * struct sigv4_request - what is signed
 *
 * @method: "GET", ...
 * @host: as in the Host header: with the port unless it is the scheme's own
 * @path: raw, begins with '/': "/key", or "/bucket/key"
 * @query: raw, in any order; a name may come more than once
 * @headers: to be signed besides those the signer adds; names in any case, in
 *	any order, each once
 * @payload_hash: SHA-256 of the body in lower-case hex, or SIGV4_UNSIGNED
 * @time: seconds since 1970, by the server's clock
 */
struct sigv4_request {
	const char *method;
	const char *host;
	const char *path;
	const struct sigv4_pair *query;
	size_t n_query;
	const struct sigv4_pair *headers;
	size_t n_headers;
	const char *payload_hash;
	int64_t time;
};

/* x-amz-date, x-amz-content-sha256, x-amz-security-token, Authorization */
#define SIGV4_LINES	4

/**
 * struct sigv4_signed - what is sent; sigv4_signed_free() wipes and frees it
 *
 * @target: path and query as they go into the request line: "/a%20b?list-type=2".
 *	To be sent as it is: a client that removes "/../" (libcurl does, without
 *	CURLOPT_PATH_AS_IS) sends what was not signed
 * @path_len: of the path in @target
 * @lines: headers to be sent besides Host and the request's own, each "name: value"
 * @n_lines: of them
 * @authorization: the value of that header, within @lines
 * @canonical_hash: of the canonical request, hex: servers that refuse a signature
 *	say what they computed
 */
struct sigv4_signed {
	char *target;
	size_t path_len;
	char *lines[SIGV4_LINES];
	unsigned int n_lines;
	const char *authorization;
	char canonical_hash[65];
};

/**
 * sigv4_open() - a signer for one region; keeps the key of the day
 *
 * @service: "s3"; another one gets no x-amz-content-sha256 header
 *
 * Return: 0; -EINVAL: a name is empty, over 64 bytes, or has a space, a comma or
 * a '/' in it; -ENOMEM: also when no memory may be locked.
 */
int sigv4_open(const char *region, const char *service, struct sigv4 **signer);
void sigv4_close(struct sigv4 *signer);

/**
 * sigv4_sign() - sign a request; any number of threads
 *
 * Return: 0; -EINVAL: something of @request is missing, twice, out of range or
 * has a line break in it, where one cannot be sent (a header, not a path or
 * query); -E2BIG: more than 64 headers or query parameters; -ENOMEM; -EIO: the
 * library failed.
 */
int sigv4_sign(struct sigv4 *signer, const struct s3_creds *creds,
	       const struct sigv4_request *request, struct sigv4_signed *out);
/** sigv4_signed_free() - also of one that is all zero; @out is all zero then */
void sigv4_signed_free(struct sigv4_signed *out);

/** sigv4_hash() - SHA-256 of a body held in memory, as @payload_hash wants it */
int sigv4_hash(const void *data, size_t len, char hex[65]);

#endif /* NEXUS_S3_SIGV4_H */
