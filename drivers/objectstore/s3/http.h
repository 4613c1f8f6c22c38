/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One small request at a time, for those who give out credentials: bounded in time
 * and size, no redirects, what is answered lies in locked memory.
 */
#ifndef NEXUS_S3_HTTP_H
#define NEXUS_S3_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"

#define CREDS_BODY_MAX	65536

struct creds_http;

struct creds_request {
	const char *url;
	const char *method;	/* NULL: GET, or POST when there is a body */
	const char *body;	/* a form; NULL: none */
	const char *headers[2];	/* "name: value" */
	const char *ca_file;	/* NULL: the system's */
	bool local;		/* never by way of a proxy */
	unsigned int timeout_ms;	/* all of it */
};

struct creds_answer {
	long status;
	char *body;	/* with a NUL behind it; secret_free() */
	size_t len;
};

/**
 * creds_http_libraries() - set up libcurl and the JSON library, once in a process:
 *	both wipe what they free, the latter works within creds_parse_begin()
 */
int creds_http_libraries(struct s3_fault *fault);

int creds_http_open(struct creds_http **http);
void creds_http_close(struct creds_http *http);
/** creds_http_stop() - end what is under way, and all that follows; any thread */
void creds_http_stop(struct creds_http *http);

/**
 * creds_http_request() - send it and wait; one thread at a time
 *
 * @who: who is asked, for the words: "the instance metadata"
 * @answer: of any status; set on success
 *
 * Return: 0; -ETIMEDOUT; -EIO: no connection, or it broke; -EPROTO: no HTTP, a
 * body over CREDS_BODY_MAX, a certificate that is not trusted; -ECANCELED; -ENOMEM.
 */
int creds_http_request(struct creds_http *http, const struct creds_request *request,
		       const char *who, struct creds_answer *answer, struct s3_fault *fault);

/**
 * creds_url_allowed() - may secrets be sent to @url, and what it answers be believed?
 *
 * https to anyone; http to this machine (127.0.0.0/8, [::1], localhost), and to the
 * addresses of Amazon's container agents, which are on the same host.
 */
bool creds_url_allowed(const char *url);

#endif /* NEXUS_S3_HTTP_H */
