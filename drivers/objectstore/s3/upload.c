// SPDX-License-Identifier: Apache-2.0
/* An object written in parts.  All but the start is in the loop's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

struct upload {
	LIST_ENTRY(upload) link;	/* s3->lock, as is */
	bool listed;
	struct s3 *s3;
	struct s3_put put;	/* its texts are copies */
	unsigned char sha256[32];
	s3_done_fn done;
	void *ctx;
	char write[33];
	char *id;
	uint64_t part;
	char **etags;
	unsigned int parts, next, active;
	unsigned int attempts;
	struct s3_result result;	/* of the first failure, or of the end */
};

struct piece {
	struct upload *up;
	unsigned int number;	/* from 0 */
};

static void upload_free(struct upload *up)
{
	unsigned int i;

	pthread_mutex_lock(&up->s3->lock);
	if (up->listed)
		LIST_REMOVE(up, link);
	pthread_mutex_unlock(&up->s3->lock);
	for (i = 0; up->etags && i < up->parts; i++)
		free(up->etags[i]);
	free(up->etags);
	free((char *)up->put.key);
	free((char *)up->put.if_match);
	free((char *)up->put.type);
	free(up->id);
	free(up);
}

static void upload_end(struct upload *up)
{
	up->result.attempts = up->attempts;
	up->done(up->ctx, &up->result);
	upload_free(up);
}

static void fail(struct upload *up, const struct s3_result *result)
{
	if (!up->result.error)
		up->result = *result;
}

static void fail_errno(struct upload *up, int error)
{
	if (up->result.error)
		return;
	up->result.error = error;
	s3_fault_set(&up->result.fault, 0, "%s: the upload of %s cannot go on: %s", up->s3->base, up->put.key,
		     strerror(-error));
}

static void end_abort(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct upload *up = ctx;

	up->attempts += result->attempts;
	if (result->error && result->error != -ENOENT && result->error != -ECANCELED)
		s3_note(req->s3, "parts of an upload are left at the server: %s", result->fault.text);
	upload_end(up);
}

static void abort_upload(struct upload *up)
{
	struct s3_request *req = s3_delete_request(up->s3, up->put.key);

	if (req) {
		s3_query_add(req, "uploadId", up->id);
		req->end = end_abort;
		req->ctx = up;
	}
	if (!req || s3_submit(req))
		upload_end(up);
}

static void end_complete(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct upload *up = ctx;

	(void)req;
	up->attempts += result->attempts;
	up->result = *result;
	up->result.size = up->put.len;
	if (result->error)
		abort_upload(up);
	else
		upload_end(up);
}

static void complete(struct upload *up)
{
	struct s3_request *req = s3_request_new(up->s3, S3_OP_COMPLETE, "POST", up->put.key);
	int ret = -ENOMEM;

	if (!req)
		goto failed;
	s3_query_add(req, "uploadId", up->id);
	s3_header_add(req, "content-type", "application/xml");
	s3_put_conditions(req, &up->put);
	s3_sse_c_headers(req);
	req->idempotent_id = true;
	memcpy(req->write, up->write, sizeof(req->write));
	req->owned = (unsigned char *)s3_xml_complete(up->etags, up->parts, &req->body_len);
	req->body = req->owned;
	req->cost += req->body_len;
	req->end = end_complete;
	req->ctx = up;
	if (!req->body)
		req->result.error = -ENOMEM;
	ret = s3_submit(req);
failed:
	if (ret) {
		fail_errno(up, ret);
		abort_upload(up);
	}
}

static void launch(struct upload *up);

static void end_part(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct piece *piece = ctx;
	struct upload *up = piece->up;

	(void)req;
	up->attempts += result->attempts;
	up->active--;
	if (result->error) {
		fail(up, result);
	} else {
		up->etags[piece->number] = strdup(result->etag);
		if (!up->etags[piece->number])
			fail_errno(up, -ENOMEM);
	}
	free(piece);
	launch(up);
}

static int send_part(struct upload *up)
{
	uint64_t from = up->next * up->part, left = up->put.len - from;
	struct piece *piece = malloc(sizeof(*piece));
	struct s3_request *req;
	char number[16];
	int ret;

	if (!piece)
		return -ENOMEM;
	*piece = (struct piece){ up, up->next };
	req = s3_request_new(up->s3, S3_OP_PUT, "PUT", up->put.key);
	if (!req) {
		free(piece);
		return -ENOMEM;
	}
	snprintf(number, sizeof(number), "%u", up->next + 1);
	s3_query_add(req, "partNumber", number);
	s3_query_add(req, "uploadId", up->id);
	s3_sse_c_headers(req);
	req->body_len = left < up->part ? left : up->part;
	if (up->put.data) {
		req->body = (const unsigned char *)up->put.data + from;
	} else {
		req->fd = up->put.fd;
		req->fd_offset = up->put.offset + from;
	}
	req->cost += req->body_len;
	req->end = end_part;
	req->ctx = piece;
	ret = s3_submit(req);
	if (ret)
		free(piece);
	return ret;
}

/* As many parts at once as there may be requests; then the end of it. */
static void launch(struct upload *up)
{
	while (!up->result.error && up->next < up->parts && up->active < up->s3->set.concurrency) {
		int ret = send_part(up);

		if (ret) {
			fail_errno(up, ret);
			break;
		}
		up->next++;
		up->active++;
	}
	if (up->active)
		return;
	if (up->result.error)
		abort_upload(up);
	else
		complete(up);
}

static void end_create(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct upload *up = ctx;

	up->attempts += result->attempts;
	if (result->error) {
		fail(up, result);
		upload_end(up);
		return;
	}
	if (!req->doc.upload_id || !req->doc.upload_id[0]) {
		fail_errno(up, -EPROTO);
		upload_end(up);
		return;
	}
	up->id = req->doc.upload_id;
	req->doc.upload_id = NULL;
	launch(up);
}

static struct s3_request *create_request(struct upload *up)
{
	struct s3_request *req = s3_request_new(up->s3, S3_OP_XML, "POST", up->put.key);
	unsigned int i;
	char hex[65];

	if (!req)
		return NULL;
	req->body = (const unsigned char *)"";
	s3_query_add(req, "uploads", "");
	s3_put_headers(req, &up->put);
	s3_header_add(req, S3_META_WRITE, "%s", up->write);
	if (up->put.sha256) {
		for (i = 0; i < 32; i++)
			snprintf(hex + 2 * (size_t)i, 3, "%02x", up->put.sha256[i]);
		s3_header_add(req, S3_META_SHA256, "%s", hex);
	}
	req->end = end_create;
	req->ctx = up;
	return req;
}

/* 0: the texts are the upload's own now. */
static int copy_put(struct upload *up, const struct s3_put *put)
{
	up->put = *put;
	up->put.key = strdup(put->key);
	up->put.if_match = put->if_match ? strdup(put->if_match) : NULL;
	up->put.type = put->type ? strdup(put->type) : NULL;
	if (put->sha256) {
		memcpy(up->sha256, put->sha256, sizeof(up->sha256));
		up->put.sha256 = up->sha256;
	}
	return !up->put.key || (put->if_match && !up->put.if_match) || (put->type && !up->put.type) ? -ENOMEM : 0;
}

/* A size of parts of which 10,000 do. */
static uint64_t part_size(const struct s3 *s3, uint64_t len)
{
	uint64_t least = (len + S3_PARTS_MOST - 1) / S3_PARTS_MOST;

	return least > s3->set.part ? (least + 0xfffff) & ~0xfffffull : s3->set.part;
}

/* Before the server knows of it; until upload_free(). */
static void list_upload(struct upload *up)
{
	pthread_mutex_lock(&up->s3->lock);
	LIST_INSERT_HEAD(&up->s3->uploads, up, link);
	up->listed = true;
	pthread_mutex_unlock(&up->s3->lock);
}

int s3_upload_start(struct s3 *s3, const struct s3_put *put, s3_done_fn done, void *ctx)
{
	struct s3_request *req;
	struct upload *up;
	int ret = s3_key_check(s3, put->key);

	if (ret)
		return ret;
	if (put->len <= s3->set.part)
		return s3_put_start(s3, put, done, ctx);
	if (put->len > S3_OBJECT_MOST || part_size(s3, put->len) + S3_OVERHEAD > s3->set.memory)
		return -EFBIG;
	up = calloc(1, sizeof(*up));
	if (!up)
		return -ENOMEM;
	up->s3 = s3;
	up->done = done;
	up->ctx = ctx;
	up->part = part_size(s3, put->len);
	up->parts = (unsigned int)((put->len + up->part - 1) / up->part);
	up->etags = calloc(up->parts, sizeof(*up->etags));
	ret = copy_put(up, put);
	if (!ret)
		ret = up->etags ? s3_random_id(up->write) : -ENOMEM;
	if (!ret) {
		list_upload(up);
		req = create_request(up);
		ret = req ? s3_submit(req) : -ENOMEM;
	}
	if (ret)
		upload_free(up);
	return ret;
}

bool s3_uploading(struct s3 *s3, const char *key)
{
	const struct upload *up;

	pthread_mutex_lock(&s3->lock);
	LIST_FOREACH(up, &s3->uploads, link)
		if (!strcmp(up->put.key, key))
			break;
	pthread_mutex_unlock(&s3->lock);
	return up;
}
