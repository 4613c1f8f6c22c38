// SPDX-License-Identifier: Apache-2.0
/* Objects deleted: a batch of what XML can name, then the others.  All but the start is in the loop's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "impl.h"

struct deletion {
	struct s3 *s3;
	char **keys;
	size_t n, next;	/* of those that go one by one */
	int *errors;	/* the caller's, or NULL */
	s3_done_fn done;
	void *ctx;
	unsigned int attempts;
	struct s3_result result;
};

static void deletion_free(struct deletion *del)
{
	size_t i;

	for (i = 0; i < del->n; i++)
		free(del->keys[i]);
	free(del->keys);
	free(del);
}

static void set_error(struct deletion *del, size_t i, int error)
{
	if (del->errors)
		del->errors[i] = error;
}

static void keep_first(struct deletion *del, const struct s3_result *result)
{
	if (!del->result.error)
		del->result = *result;
}

static void go_on(struct deletion *del);

static void end_single(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct deletion *del = ctx;
	int error = result->error == -ENOENT ? 0 : result->error;

	(void)req;
	del->attempts += result->attempts;
	set_error(del, del->next, error);
	if (error)
		keep_first(del, result);
	del->next++;
	go_on(del);
}

struct s3_request *s3_delete_request(struct s3 *s3, const char *key)
{
	return s3_request_new(s3, S3_OP_DELETE, "DELETE", key);
}

/* The next that XML cannot name. */
static int send_single(struct deletion *del)
{
	struct s3_request *req = s3_delete_request(del->s3, del->keys[del->next]);

	if (!req)
		return -ENOMEM;
	req->end = end_single;
	req->ctx = del;
	return s3_submit(req);
}

static void go_on(struct deletion *del)
{
	int ret;

	while (del->next < del->n) {
		if (s3_xml_can(del->keys[del->next]) && s3_xml_can(del->s3->prefix)) {
			del->next++;
			continue;
		}
		ret = send_single(del);
		if (!ret)
			return;
		set_error(del, del->next++, ret);
		if (!del->result.error) {
			del->result.error = ret;
			s3_fault_set(&del->result.fault, 0, "the deletion cannot go on: %s", strerror(-ret));
		}
	}
	del->result.attempts = del->attempts;
	del->done(del->ctx, &del->result);
	deletion_free(del);
}

/* The server names those it did not delete. */
static void take_refused(struct deletion *del, const struct s3_entry *entry)
{
	size_t skip = strlen(del->s3->prefix), i;
	int error = s3_error_of(0, 400, entry->tag ? entry->tag : "").error;

	if (error == -ENOENT || strncmp(entry->key, del->s3->prefix, skip) != 0)
		return;
	for (i = 0; i < del->n; i++) {
		if (strcmp(del->keys[i], entry->key + skip) != 0)
			continue;
		set_error(del, i, error);
		if (!del->result.error) {
			del->result.error = error;
			s3_fault_set(&del->result.fault, 0, "%s: %s is not deleted: %s", del->s3->base,
				     entry->key, entry->tag ? entry->tag : "no reason is given");
		}
	}
}

static void end_batch(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct deletion *del = ctx;
	size_t i;

	del->attempts += result->attempts;
	del->result = *result;
	for (i = 0; result->error && i < del->n; i++) {
		if (s3_xml_can(del->keys[i]))
			set_error(del, i, result->error);
	}
	for (i = 0; i < req->doc.list.n; i++)
		take_refused(del, &req->doc.list.entries[i]);
	go_on(del);
}

static int send_batch(struct deletion *del, const char *const *keys, size_t n)
{
	struct s3_request *req = s3_request_new(del->s3, S3_OP_XML, "POST", NULL);
	unsigned char md5[16];
	char text[32];

	if (!req)
		return -ENOMEM;
	req->owned = (unsigned char *)s3_xml_delete(del->s3->prefix, keys, n, &req->body_len);
	req->body = req->owned;
	req->cost += req->body_len;
	req->checksum = true;
	s3_query_add(req, "delete", "");
	s3_header_add(req, "content-type", "application/xml");
	/* Older servers insist on it, newer ones on a checksum; without MD5 in the library there is the latter. */
	if (req->body && EVP_Digest(req->body, req->body_len, md5, NULL, EVP_md5(), NULL)) {
		s3_base64(text, md5, sizeof(md5));
		s3_header_add(req, "content-md5", "%s", text);
	}
	if (!req->body)
		req->result.error = -ENOMEM;
	req->end = end_batch;
	req->ctx = del;
	return s3_submit(req);
}

/* Copies the keys; @batch gets those that go together, as pointers to the copies. */
static int take_keys(struct deletion *del, const char *const *keys, size_t n, const char **batch, size_t *n_batch)
{
	bool prefix = s3_xml_can(del->s3->prefix);
	size_t i;

	for (i = 0; i < n; i++) {
		int ret = s3_key_check(del->s3, keys[i]);

		if (ret)
			return ret;
		del->keys[i] = strdup(keys[i]);
		if (!del->keys[i])
			return -ENOMEM;
		del->n++;
		if (prefix && s3_xml_can(keys[i]))
			batch[(*n_batch)++] = del->keys[i];
	}
	return 0;
}

int s3_delete_start(struct s3 *s3, const char *const *keys, size_t n, int *errors, s3_done_fn done, void *ctx)
{
	struct deletion *del;
	const char **batch;
	size_t n_batch = 0;
	int ret = -ENOMEM;

	if (!n || n > S3_DELETE_MOST)
		return -EINVAL;
	del = calloc(1, sizeof(*del));
	batch = calloc(n, sizeof(*batch));
	if (!del || !batch)
		goto out;
	del->keys = calloc(n, sizeof(*del->keys));
	if (!del->keys)
		goto out;
	del->s3 = s3;
	del->errors = errors;
	del->done = done;
	del->ctx = ctx;
	ret = take_keys(del, keys, n, batch, &n_batch);
	if (ret)
		goto out;
	if (errors)
		memset(errors, 0, n * sizeof(*errors));
	ret = n_batch ? send_batch(del, batch, n_batch) : send_single(del);
out:
	free(batch);
	if (ret && del)
		deletion_free(del);
	return ret;
}
