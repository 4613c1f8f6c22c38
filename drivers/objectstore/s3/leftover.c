// SPDX-License-Identifier: Apache-2.0
/* Uploads in parts that nobody finishes, as when a process dies: their parts are paid for until they are aborted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

/* "ID\nKEY": an id has no newline, a key may.  NULL: no memory. */
static char *token_of(const struct s3_doc *doc)
{
	const char *id = doc->upload_marker ? doc->upload_marker : "";
	char *token;

	return asprintf(&token, "%s\n%s", id, doc->marker) < 0 ? NULL : token;
}

/*
 * A page came.  Not every server looks at the prefix, so others are left out; and what this
 * client is at now it was at when the server listed it, or the id is another's.
 */
static int take_uploads(struct s3 *s3, struct s3_doc *doc, struct s3_list *list)
{
	size_t skip = strlen(s3->prefix), i, n = 0;
	struct s3_entry *e = doc->list.entries;

	if (doc->truncated && !doc->marker)
		return -EPROTO;
	for (i = 0; i < doc->list.n; i++) {
		if (!e[i].tag || strncmp(e[i].key, s3->prefix, skip) != 0 ||
		    s3_uploading(s3, e[i].key + skip)) {
			free(e[i].key);
			free(e[i].tag);
			continue;
		}
		memmove(e[i].key, e[i].key + skip, strlen(e[i].key + skip) + 1);
		e[n++] = e[i];
	}
	doc->list.n = n;
	free(doc->list.next);
	doc->list.next = doc->truncated ? token_of(doc) : NULL;
	if (doc->truncated && !doc->list.next)
		return -ENOMEM;
	*list = doc->list;
	memset(&doc->list, 0, sizeof(doc->list));
	return 0;
}

static void end_uploads(struct s3_request *req, void *ctx, const struct s3_result *result)
{
	struct s3_result page = *result;

	if (!page.error) {
		page.error = take_uploads(req->s3, &req->doc, ctx);
		if (page.error)
			s3_fault_set(&page.fault, 0, "%s: the listing of uploads makes no sense", req->s3->base);
	}
	req->done(req->done_ctx, &page);
}

int s3_uploads_start(struct s3 *s3, const char *prefix, const char *token, struct s3_list *list,
		     s3_done_fn done, void *ctx)
{
	const char *key = token ? strchr(token, '\n') : NULL;
	struct s3_request *req;
	char *id = NULL;

	memset(list, 0, sizeof(*list));
	if (token && !key)
		return -EINVAL;
	if (key) {
		id = strndup(token, (size_t)(key - token));
		if (!id)
			return -ENOMEM;
	}
	req = s3_request_new(s3, S3_OP_XML, "GET", NULL);
	if (req) {
		req->end = end_uploads;
		req->ctx = list;
		req->url_encoded = true;
		req->cost += S3_PAGE_ROOM;
		s3_query_add(req, "uploads", "");
		s3_query_add(req, "encoding-type", "url");
		s3_query_prefix(req, prefix);
		if (key)
			s3_query_add(req, "key-marker", key + 1);
		if (id && id[0])
			s3_query_add(req, "upload-id-marker", id);
	}
	free(id);
	return s3_start(req, done, ctx);
}

int s3_abort_start(struct s3 *s3, const char *key, const char *id, s3_done_fn done, void *ctx)
{
	struct s3_request *req = s3_delete_request(s3, key);

	if (req)
		s3_query_add(req, "uploadId", id);
	return s3_start(req, done, ctx);
}

static int list_uploads(struct s3 *s3, const char *prefix, char **token, struct s3_list *list,
			struct s3_result *result)
{
	struct s3_wait wait;
	int ret;

	s3_wait_init(&wait, result);
	ret = s3_wait_for(&wait, s3_uploads_start(s3, prefix, *token, list, s3_wait_done, &wait));
	if (!ret)
		ret = s3_next_token(list, token);
	if (ret == -EPROTO && !result->fault.text[0])
		s3_fault_set(&result->fault, 0, "the listing of unfinished uploads does not end");
	return ret;
}

static int abort_one(struct s3 *s3, const struct s3_entry *entry, struct s3_result *result)
{
	struct s3_wait wait;

	s3_wait_init(&wait, result);
	return s3_wait_for(&wait, s3_abort_start(s3, entry->key, entry->tag, s3_wait_done, &wait));
}

int s3_abort_leftovers(struct s3 *s3, const char *prefix, int64_t before, unsigned int *aborted,
		       struct s3_result *result)
{
	struct s3_list list;
	char *token = NULL;
	size_t i;
	int ret;

	*aborted = 0;
	do {
		ret = list_uploads(s3, prefix, &token, &list, result);
		for (i = 0; !ret && i < list.n; i++) {
			const struct s3_entry *entry = &list.entries[i];

			if (!entry->mtime || entry->mtime >= before)
				continue;
			ret = abort_one(s3, entry, result);
			if (!ret)
				++*aborted;
			/* Whoever had it has just ended it. */
			if (ret == -ENOENT)
				ret = 0;
		}
		s3_list_free(&list);
	} while (!ret && token);
	free(token);
	return ret;
}
