// SPDX-License-Identifier: Apache-2.0
/* An object read in ranges, several at once.  All but the start is in the loop's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

struct reader {
	struct s3 *s3;
	struct s3_get get;	/* its texts are copies */
	unsigned char sha256[32];
	s3_done_fn done;
	void *ctx;
	char *wanted_etag;	/* the caller's; else NULL */
	char etag[S3_ETAG_MAX];	/* of the first range: of all then */
	char hash[65];		/* kept with the object; "": none */
	size_t part, total, next, got;
	unsigned int active;
	unsigned int attempts;
	bool first_done, again;
	struct s3_result result;
};

static int begin(struct reader *rd);

static void reader_free(struct reader *rd)
{
	free((char *)rd->get.key);
	free(rd->wanted_etag);
	free(rd);
}

static void reader_end(struct reader *rd)
{
	rd->result.attempts = rd->attempts;
	rd->result.len = rd->result.error ? 0 : rd->got;
	rd->done(rd->ctx, &rd->result);
	reader_free(rd);
}

static void fail_errno(struct reader *rd, int error)
{
	if (rd->result.error)
		return;
	rd->result.error = error;
	s3_fault_set(&rd->result.fault, 0, "%s: the reading of %s cannot go on: %s", rd->s3->base, rd->get.key,
		     strerror(-error));
}

static void end_verify(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct reader *rd = ctx;

	(void)req;
	rd->result.verified = result->verified;
	if (result->error == -EBADMSG && !rd->again) {
		rd->again = true;
		if (!begin(rd))
			return;
	}
	if (result->error) {
		rd->result.error = result->error;
		rd->result.fault = result->fault;
	}
	reader_end(rd);
}

/* All ranges are there. */
static void check(struct reader *rd)
{
	bool whole = !rd->get.offset && rd->got == rd->result.size;
	struct s3_request *req;
	unsigned int i;

	if (rd->result.error || (!rd->get.sha256 && (!whole || !rd->hash[0]))) {
		reader_end(rd);
		return;
	}
	req = s3_request_new(rd->s3, S3_OP_GET, "GET", rd->get.key);
	if (!req) {
		fail_errno(rd, -ENOMEM);
		reader_end(rd);
		return;
	}
	req->buf = rd->get.buf;
	req->got = rd->got;
	memcpy(req->wanted, rd->hash, sizeof(req->wanted));
	for (i = 0; rd->get.sha256 && i < 32; i++)
		snprintf(req->wanted + 2 * (size_t)i, 3, "%02x", rd->sha256[i]);
	req->end = end_verify;
	req->ctx = rd;
	s3_verify(req);
}

static void launch(struct reader *rd);

static void end_range(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct reader *rd = ctx;
	bool first = !rd->first_done;
	size_t left;

	rd->active--;
	rd->attempts += result->attempts;
	rd->first_done = true;
	if (result->error) {
		if (!rd->result.error)
			rd->result = *result;
	} else if (first) {
		rd->result = *result;
		memcpy(rd->etag, result->etag, sizeof(rd->etag));
		memcpy(rd->hash, req->answer.sha256, sizeof(rd->hash));
		left = result->size > rd->get.offset ? result->size - rd->get.offset : 0;
		if (left < rd->total)
			rd->total = left;
		rd->got = result->len;
	} else {
		rd->got += result->len;
	}
	launch(rd);
}

static int send_range(struct reader *rd)
{
	size_t left = rd->total - rd->next;
	struct s3_get get = {
		.key = rd->get.key,
		.offset = rd->get.offset + rd->next,
		.len = left < rd->part ? left : rd->part,
		.buf = (char *)rd->get.buf + rd->next,
		.if_match = rd->etag[0] ? rd->etag : rd->wanted_etag,
		.first = rd->get.first,
	};
	struct s3_request *req = s3_get_request(rd->s3, &get);

	if (!req)
		return -ENOMEM;
	req->end = end_range;
	req->ctx = rd;
	rd->next += get.len;
	return s3_submit(req);
}

static void launch(struct reader *rd)
{
	while (!rd->result.error && rd->next < rd->total && rd->active < rd->s3->set.concurrency) {
		int ret = send_range(rd);

		if (ret) {
			fail_errno(rd, ret);
			break;
		}
		rd->active++;
	}
	if (rd->active)
		return;
	/* A range that ended early is the end of the object; the size said otherwise. */
	if (!rd->result.error && rd->got != rd->total)
		fail_errno(rd, -ESTALE);
	check(rd);
}

/* The first range alone: it tells size and version. */
static int begin(struct reader *rd)
{
	rd->etag[0] = '\0';
	rd->hash[0] = '\0';
	rd->total = rd->get.len;
	rd->next = 0;
	rd->got = 0;
	rd->first_done = false;
	memset(&rd->result, 0, sizeof(rd->result));
	/* Before the submit: the end may come before it returns. */
	rd->active = 1;
	return send_range(rd);
}

int s3_read_start(struct s3 *s3, const struct s3_get *get, s3_done_fn done, void *ctx)
{
	struct reader *rd;
	int ret = s3_key_check(s3, get->key);

	if (ret)
		return ret;
	if (get->len <= s3->set.part)
		return s3_get_start(s3, get, done, ctx);
	if (get->len > S3_OBJECT_MOST || get->offset > S3_OBJECT_MOST)
		return -EINVAL;
	rd = calloc(1, sizeof(*rd));
	if (!rd)
		return -ENOMEM;
	rd->s3 = s3;
	rd->get = *get;
	rd->get.key = strdup(get->key);
	rd->wanted_etag = get->if_match ? strdup(get->if_match) : NULL;
	if (get->sha256) {
		memcpy(rd->sha256, get->sha256, sizeof(rd->sha256));
		rd->get.sha256 = rd->sha256;
	}
	rd->done = done;
	rd->ctx = ctx;
	rd->part = s3->set.part;
	ret = !rd->get.key || (get->if_match && !rd->wanted_etag) ? -ENOMEM : begin(rd);
	if (ret)
		reader_free(rd);
	return ret;
}
