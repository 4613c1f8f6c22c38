// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "impl.h"

struct s3_request *s3_request_new(struct s3 *s3, enum s3_op op, const char *method, const char *key)
{
	struct s3_request *req = calloc(1, sizeof(*req));
	int len;

	if (!req)
		return NULL;
	req->s3 = s3;
	req->op = op;
	req->method = method;
	req->fd = -1;
	req->cost = S3_OVERHEAD;
	if (key) {
		len = asprintf(&req->path, "%s%s%s", s3->root, s3->prefix, key);
	} else {
		len = asprintf(&req->path, "%s", s3->root);
		/* "/bucket", as others write it. */
		if (len > 1)
			req->path[len - 1] = '\0';
	}
	if (len < 0) {
		req->path = NULL;
		s3_request_free(req);
		return NULL;
	}
	if (s3->set.requester_pays)
		s3_header_add(req, "x-amz-request-payer", "requester");
	return req;
}

void s3_request_free(struct s3_request *req)
{
	size_t i;

	if (!req)
		return;
	for (i = 0; i < req->n_query; i++)
		free((char *)req->query[i].value);
	for (i = 0; i < req->n_headers; i++) {
		if (!(req->borrowed & 1u << i))
			free((char *)req->headers[i].value);
	}
	free(req->path);
	free(req->owned);
	s3_doc_free(&req->doc);
	free(req);
}

/* What went wrong is found at the submit; a request is rarely so full. */
static void add(struct sigv4_pair *pairs, size_t *n, struct s3_request *req, const char *name, char *value)
{
	if (!value || *n == S3_PAIRS) {
		free(value);
		req->result.error = value ? -E2BIG : -ENOMEM;
		return;
	}
	pairs[*n].name = name;
	pairs[*n].value = value;
	++*n;
}

void s3_query_add(struct s3_request *req, const char *name, const char *value)
{
	add(req->query, &req->n_query, req, name, strdup(value));
}

void s3_header_add(struct s3_request *req, const char *name, const char *fmt, ...)
{
	char *value;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	va_end(ap);
	add(req->headers, &req->n_headers, req, name, value);
}

void s3_header_borrow(struct s3_request *req, const char *name, const char *value)
{
	if (req->n_headers == S3_PAIRS) {
		req->result.error = -E2BIG;
		return;
	}
	req->borrowed |= 1u << req->n_headers;
	req->headers[req->n_headers++] = (struct sigv4_pair){ name, value };
}

int s3_random_id(char id[33])
{
	unsigned char bytes[16];
	size_t i;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}
