// SPDX-License-Identifier: Apache-2.0
/* What is there: what is beside the packs, by its name; and everything, page by page. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3_impl.h"

/*
 * A page; *@skip: it came to the packs, which are left out: what follows is behind them.
 * *@token is replaced by the next, NULL at the end; it is the caller's.
 */
static int named_page(struct content *c, struct s3_query *query, char **token, bool *skip,
		     int (*fn)(void *arg, const char *name, __u64 bytes), void *arg)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	int ret, end = 0;
	size_t i;

	*skip = false;
	if (!call)
		return -ENOMEM;
	query->token = *token;
	ret = s3_call_wait(call, s3_list_start(s->s3, query, &call->list, s3_call_done, call),
			   c->stop);
	for (i = 0; !ret && !end && !*skip && i < call->list.n; i++) {
		const struct s3_entry *e = &call->list.entries[i];

		*skip = !strncmp(e->key, PACKS, strlen(PACKS));
		if (!*skip)
			end = fn(arg, e->key, e->size);
	}
	if (!ret)
		ret = s3_next_token(&call->list, token);
	ret = s3_end_call(s, call, ret, 0);
	return ret ? ret : end;
}

int s3_list_named(struct content *c, const char *prefix,
		  int (*fn)(void *arg, const char *name, __u64 bytes), void *arg)
{
	struct s3_query query = { .prefix = prefix };
	char *token = NULL;
	bool skip;
	int ret;

	do {
		ret = named_page(c, &query, &token, &skip, fn, arg);
		if (!skip)
			continue;
		query.after = PACKS_END;
		free(token);
		token = NULL;
	} while (!ret && (token || skip));
	free(token);
	return ret;
}

/* ---- everything ------------------------------------------------------------------- */

/* Only what put() would name so. */
static bool parse_pack(const char *key, __u64 *pack)
{
	char again[KEY_ROOM];

	if (strncmp(key, PACKS, strlen(PACKS)) != 0)
		return false;
	*pack = strtoull(key + strlen(PACKS), NULL, 16);
	snprintf(again, sizeof(again), PACKS "%016" PRIx64, (uint64_t)*pack);
	return !strcmp(key, again);
}

/* What a page has is given, and *@token becomes that of the next; after an error, and at the end, NULL. */
static int give_page(struct s3_call *call, int ret, char **token, __s64 *now,
		     int (*give)(const struct content_object *o, const char *tag, void *ctx), void *ctx)
{
	int end = 0;
	size_t i;

	if (!ret)
		*now = call->result.date;
	for (i = 0; !ret && !end && i < call->list.n; i++) {
		const struct s3_entry *e = &call->list.entries[i];
		struct content_object o = { .key = e->key, .bytes = e->size, .mtime = e->mtime };

		o.is_pack = parse_pack(e->key, &o.pack);
		end = give(&o, e->tag, ctx);
	}
	if (!ret && !end)
		ret = s3_next_token(&call->list, token);
	if (ret || end) {
		free(*token);
		*token = NULL;
	}
	return ret ? ret : end;
}

struct giving {
	content_object_fn object;
	content_upload_fn upload;
	void *arg;
};

static int give_object(const struct content_object *o, const char *tag, void *ctx)
{
	const struct giving *g = ctx;

	(void)tag;
	return g->object(g->arg, o);
}

static int give_upload(const struct content_object *o, const char *tag, void *ctx)
{
	const struct giving *g = ctx;

	return g->upload(g->arg, o, tag);
}

int s3_list_page(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_query query = { .token = *token };
	struct s3_call *call = s3_call_new(0);
	struct giving giving = { .object = fn, .arg = arg };
	int ret = call ? 0 : -ENOMEM, end;

	if (call)
		ret = s3_call_wait(call, s3_list_start(s->s3, &query, &call->list, s3_call_done, call),
				   c->stop);
	end = give_page(call, ret, token, now, give_object, &giving);
	if (call)
		s3_end_call(s, call, ret, 0);
	return end;
}

int s3_uploads_page(struct content *c, char **token, __s64 *now, content_upload_fn fn, void *arg)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	struct giving giving = { .upload = fn, .arg = arg };
	int ret = call ? 0 : -ENOMEM, end;

	if (call)
		ret = s3_call_wait(call, s3_uploads_start(s->s3, NULL, *token, &call->list, s3_call_done,
							  call), c->stop);
	end = give_page(call, ret, token, now, give_upload, &giving);
	if (call)
		s3_end_call(s, call, ret, 0);
	return end;
}

int s3_abort_upload(struct content *c, const char *key, const char *id)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	bool over;
	int ret;

	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_abort_start(s->s3, key, id, s3_call_done, call), c->stop);
	/* Any other 404 is no answer to this. */
	over = ret == -ENOENT && !strcmp(call->result.code, "NoSuchUpload");
	ret = s3_end_call(s, call, ret, -ENOENT);
	return over ? 0 : ret;
}

int s3_del_packs(struct content *c, const __u64 *packs, size_t n, int *errors)
{
	struct s3_content *s = to_s3_content(c);
	/* Where the client leaves them, should nobody wait any more. */
	struct s3_call *call = s3_call_new((n ? n : 1) * sizeof(*errors));
	char (*key)[KEY_ROOM] = calloc(n, sizeof(*key));
	const char **keys = calloc(n, sizeof(*keys));
	int ret = -ENOMEM;
	size_t i;

	for (i = 0; i < n; i++)
		errors[i] = -ECANCELED;
	if (!call || !key || !keys)
		goto out;
	memcpy(call->buf, errors, n * sizeof(*errors));
	for (i = 0; i < n; i++) {
		snprintf(key[i], sizeof(key[i]), PACKS "%016llx", (unsigned long long)packs[i]);
		keys[i] = key[i];
	}
	ret = s3_call_wait(call, s3_delete_start(s->s3, keys, n, call->buf, s3_call_done, call),
			   c->stop);
	if (ret != -ESHUTDOWN)
		memcpy(errors, call->buf, n * sizeof(*errors));
out:
	if (call)
		ret = s3_end_call(s, call, ret, 0);
	free(key);
	free(keys);
	return ret;
}
