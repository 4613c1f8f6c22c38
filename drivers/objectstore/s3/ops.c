// SPDX-License-Identifier: Apache-2.0
/* What can be asked with one request. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "impl.h"

int s3_key_check(const struct s3 *s3, const char *key)
{
	if (!key || !key[0])
		return -EINVAL;
	return strlen(s3->prefix) + strlen(key) > S3_KEY_MAX ? -ENAMETOOLONG : 0;
}

void s3_sse_c_headers(struct s3_request *req)
{
	const struct s3 *s3 = req->s3;

	if (!s3->sse_c_line)
		return;
	s3_header_add(req, "x-amz-server-side-encryption-customer-algorithm", "AES256");
	s3_header_borrow(req, "x-amz-server-side-encryption-customer-key", s3->sse_c_line);
	s3_header_borrow(req, "x-amz-server-side-encryption-customer-key-md5", s3->sse_c_md5);
}

static void hex_of(char hex[65], const unsigned char *hash)
{
	size_t i;

	for (i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

void s3_put_headers(struct s3_request *req, const struct s3_put *put)
{
	const struct s3_settings *set = &req->s3->set;

	s3_header_add(req, "content-type", "%s", put->type ? put->type : "application/octet-stream");
	if (set->storage_class)
		s3_header_add(req, "x-amz-storage-class", "%s", set->storage_class);
	if (set->sse == S3_SSE_S3)
		s3_header_add(req, "x-amz-server-side-encryption", "AES256");
	if (set->sse == S3_SSE_KMS)
		s3_header_add(req, "x-amz-server-side-encryption", "aws:kms");
	if (set->sse == S3_SSE_KMS && set->sse_key_id)
		s3_header_add(req, "x-amz-server-side-encryption-aws-kms-key-id", "%s", set->sse_key_id);
	s3_sse_c_headers(req);
}

void s3_put_conditions(struct s3_request *req, const struct s3_put *put)
{
	const char *etag = put->if_match;
	size_t len;

	if (put->absent)
		s3_header_add(req, "if-none-match", "*");
	if (!etag)
		return;
	/* Without quotes, which Amazon takes both ways; radosgw compares those of a write literally. */
	len = strlen(etag);
	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
		s3_header_add(req, "if-match", "%.*s", (int)len - 2, etag + 1);
	else
		s3_header_add(req, "if-match", "%s", etag);
}

static void end_done(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	(void)ctx;
	if (req->done)
		req->done(req->done_ctx, result);
}

int s3_start(struct s3_request *req, s3_done_fn done, void *ctx)
{
	if (!req)
		return -ENOMEM;
	if (!req->end)
		req->end = end_done;
	req->done = done;
	req->done_ctx = ctx;
	return s3_submit(req);
}

struct s3_request *s3_put_request(struct s3 *s3, const struct s3_put *put)
{
	struct s3_request *req = s3_request_new(s3, S3_OP_PUT, "PUT", put->key);

	if (!req)
		return NULL;
	req->first = put->first;
	req->body = put->data;
	req->body_len = put->len;
	if (!put->data && put->len) {
		req->fd = put->fd;
		req->fd_offset = put->offset;
	}
	req->cost += put->len;
	req->checksum = true;
	req->keep_hash = true;
	if (put->sha256) {
		hex_of(req->hash, put->sha256);
		req->hashed = true;
	} else if (!put->len) {
		strcpy(req->hash, SIGV4_EMPTY);
		req->hashed = true;
	}
	s3_put_headers(req, put);
	s3_put_conditions(req, put);
	if (put->absent || put->if_match) {
		req->idempotent_id = true;
		if (s3_random_id(req->write))
			req->result.error = -EIO;
		s3_header_add(req, S3_META_WRITE, "%s", req->write);
	}
	return req;
}

int s3_put_start(struct s3 *s3, const struct s3_put *put, s3_done_fn done, void *ctx)
{
	int ret = s3_key_check(s3, put->key);

	if (!ret && put->len > S3_PUT_MOST)
		ret = -EFBIG;
	return ret ? ret : s3_start(s3_put_request(s3, put), done, ctx);
}

struct s3_request *s3_get_request(struct s3 *s3, const struct s3_get *get)
{
	struct s3_request *req = s3_request_new(s3, S3_OP_GET, "GET", get->key);

	if (!req)
		return NULL;
	req->first = get->first;
	req->buf = get->buf;
	req->buf_len = get->len;
	req->offset = get->offset;
	req->cost += get->len;
	s3_header_add(req, "range", "bytes=%llu-%llu", (unsigned long long)get->offset,
		      (unsigned long long)(get->offset + get->len - 1));
	s3_header_add(req, "x-amz-checksum-mode", "ENABLED");
	if (get->if_match)
		s3_header_add(req, "if-match", "%s", get->if_match);
	if (get->sha256) {
		hex_of(req->wanted, get->sha256);
		req->want_hash = true;
	}
	s3_sse_c_headers(req);
	return req;
}

int s3_get_start(struct s3 *s3, const struct s3_get *get, s3_done_fn done, void *ctx)
{
	int ret = s3_key_check(s3, get->key);

	if (!ret && (!get->len || get->offset > S3_OBJECT_MOST || get->len > S3_OBJECT_MOST))
		ret = -EINVAL;
	return ret ? ret : s3_start(s3_get_request(s3, get), done, ctx);
}

int s3_head_start(struct s3 *s3, const char *key, s3_done_fn done, void *ctx)
{
	struct s3_request *req;
	int ret = s3_key_check(s3, key);

	if (ret)
		return ret;
	req = s3_request_new(s3, S3_OP_HEAD, "HEAD", key);
	if (req)
		s3_sse_c_headers(req);
	return s3_start(req, done, ctx);
}

/* A page came: names lose the client's prefix; others than were asked for are wrong. */
static int take_page(const struct s3 *s3, struct s3_doc *doc, struct s3_list *list)
{
	size_t skip = strlen(s3->prefix), i;

	for (i = 0; i < doc->list.n; i++) {
		char *key = doc->list.entries[i].key;

		if (strncmp(key, s3->prefix, skip) != 0)
			return -EPROTO;
		memmove(key, key + skip, strlen(key + skip) + 1);
	}
	if (doc->truncated && !doc->list.next)
		return -EPROTO;
	if (!doc->truncated) {
		free(doc->list.next);
		doc->list.next = NULL;
	}
	*list = doc->list;
	memset(&doc->list, 0, sizeof(doc->list));
	return 0;
}

static void end_list(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct s3_result page = *result;

	if (!page.error) {
		page.error = take_page(req->s3, &req->doc, ctx);
		if (page.error)
			s3_fault_set(&page.fault, 0, "%s: the listing of %s makes no sense", req->s3->base, req->path);
	}
	req->done(req->done_ctx, &page);
}

void s3_query_prefix(struct s3_request *req, const char *prefix)
{
	char text[2 * S3_KEY_MAX + 1];

	snprintf(text, sizeof(text), "%s%s", req->s3->prefix, prefix ? prefix : "");
	s3_query_add(req, "prefix", text);
}

int s3_next_token(const struct s3_list *list, char **token)
{
	char *next = list->next ? strdup(list->next) : NULL;

	if (list->next && !next)
		return -ENOMEM;
	if (next && *token && !strcmp(next, *token)) {
		free(next);
		return -EPROTO;
	}
	free(*token);
	*token = next;
	return 0;
}

int s3_list_start(struct s3 *s3, const struct s3_query *query, struct s3_list *list, s3_done_fn done, void *ctx)
{
	struct s3_request *req = s3_request_new(s3, S3_OP_XML, "GET", NULL);
	char text[2 * S3_KEY_MAX + 1];

	if (!req)
		return -ENOMEM;
	memset(list, 0, sizeof(*list));
	req->end = end_list;
	req->ctx = list;
	req->url_encoded = true;
	req->cost += S3_PAGE_ROOM;
	s3_query_add(req, "list-type", "2");
	s3_query_add(req, "encoding-type", "url");
	s3_query_prefix(req, query->prefix);
	if (query->delimiter) {
		snprintf(text, sizeof(text), "%c", query->delimiter);
		s3_query_add(req, "delimiter", text);
	}
	if (query->after) {
		snprintf(text, sizeof(text), "%s%s", s3->prefix, query->after);
		s3_query_add(req, "start-after", text);
	}
	if (query->token)
		s3_query_add(req, "continuation-token", query->token);
	snprintf(text, sizeof(text), "%u", query->most && query->most < S3_XML_ENTRIES ? query->most : S3_XML_ENTRIES);
	s3_query_add(req, "max-keys", text);
	return s3_start(req, done, ctx);
}

int s3_bucket_create(struct s3 *s3, struct s3_result *result)
{
	struct s3_request *req = s3_request_new(s3, S3_OP_PUT, "PUT", NULL);
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_start(req, s3_wait_done, &wait));
}

void s3_wait_init(struct s3_wait *wait, struct s3_result *result)
{
	pthread_mutex_init(&wait->lock, NULL);
	pthread_cond_init(&wait->cond, NULL);
	wait->over = false;
	wait->result = result;
	memset(result, 0, sizeof(*result));
}

void s3_wait_done(void *ctx, const struct s3_result *result)
{
	struct s3_wait *wait = ctx;

	pthread_mutex_lock(&wait->lock);
	*wait->result = *result;
	wait->over = true;
	/* Within the lock: who waits may free it as soon as it has it. */
	pthread_cond_signal(&wait->cond);
	pthread_mutex_unlock(&wait->lock);
}

int s3_wait_for(struct s3_wait *wait, int started)
{
	if (started) {
		wait->result->error = started;
		s3_fault_set(&wait->result->fault, 0, "the request cannot be made: %s", strerror(-started));
	} else {
		pthread_mutex_lock(&wait->lock);
		while (!wait->over)
			pthread_cond_wait(&wait->cond, &wait->lock);
		pthread_mutex_unlock(&wait->lock);
	}
	pthread_cond_destroy(&wait->cond);
	pthread_mutex_destroy(&wait->lock);
	return wait->result->error;
}

int s3_put(struct s3 *s3, const struct s3_put *put, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_put_start(s3, put, s3_wait_done, &wait));
}

int s3_upload(struct s3 *s3, const struct s3_put *put, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_upload_start(s3, put, s3_wait_done, &wait));
}

int s3_get(struct s3 *s3, const struct s3_get *get, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_get_start(s3, get, s3_wait_done, &wait));
}

int s3_read(struct s3 *s3, const struct s3_get *get, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_read_start(s3, get, s3_wait_done, &wait));
}

int s3_head(struct s3 *s3, const char *key, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_head_start(s3, key, s3_wait_done, &wait));
}

int s3_delete(struct s3 *s3, const char *const *keys, size_t n, int *errors, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_delete_start(s3, keys, n, errors, s3_wait_done, &wait));
}

int s3_list(struct s3 *s3, const struct s3_query *query, struct s3_list *list, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_list_start(s3, query, list, s3_wait_done, &wait));
}
