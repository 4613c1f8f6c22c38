// SPDX-License-Identifier: Apache-2.0
/* A bucket of others, listed and read; struct bucket_ops says how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3_impl.h"

struct s3_bucket {
	struct bucket_store b;
	struct s3_content *s;		/* owned */
};

static struct s3_bucket *to_s3_bucket(struct bucket_store *b)
{
	return (struct s3_bucket *)b;
}

/* As s3_end_call(), and the words in @err; what is the object's is no fault of the store. */
static int end_call(struct s3_bucket *b, struct s3_call *c, int ret, struct errline *err)
{
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "%.500s", c->result.fault.text[0] ?
			 c->result.fault.text : strerror(-ret));
	return s3_end_call(b->s, c, ret, -ESTALE);
}

static int s3_bucket_open(const char *where, const atomic_bool *stop, struct bucket_store **out,
			  struct errline *err)
{
	struct s3_bucket *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return -ENOMEM;
	ret = s3_content_make(where, NULL, true, stop, &b->s, err);
	if (ret) {
		free(b);
		return ret;
	}
	b->b.ops = &s3_bucket_ops;
	b->b.stop = stop;
	*out = &b->b;
	return 0;
}

static void s3_bucket_close(struct bucket_store *store)
{
	struct s3_bucket *b = to_s3_bucket(store);

	s3_content_end(b->s);
	free(b);
}

static int give(const struct s3_list *list, bucket_object_fn fn, void *arg)
{
	int ret = 0;
	size_t i;

	for (i = 0; !ret && i < list->n; i++) {
		const struct s3_entry *e = &list->entries[i];
		const struct bucket_object o = {
			.key = e->key, .etag = e->tag ? e->tag : "", .size = e->size,
			.mtime = e->mtime, .is_prefix = e->is_prefix,
		};

		ret = fn(arg, &o);
	}
	return ret;
}

static int s3_bucket_list(struct bucket_store *store, const char *prefix, unsigned int most,
			  char **token, bucket_object_fn fn, void *arg, struct errline *err)
{
	struct s3_bucket *b = to_s3_bucket(store);
	struct s3_query query = {
		.prefix = prefix, .delimiter = '/', .token = *token, .most = most,
	};
	struct s3_call *call = s3_call_new(0);
	int ret = -ENOMEM, end = 0;

	if (call)
		ret = s3_call_wait(call, s3_list_start(b->s->s3, &query, &call->list,
						       s3_call_done, call), store->stop);
	if (!ret)
		end = give(&call->list, fn, arg);
	if (!ret && !end)
		ret = s3_next_token(&call->list, token);
	if (ret || end) {
		free(*token);
		*token = NULL;
	}
	if (call)
		end_call(b, call, ret, err);
	return ret ? ret : end;
}

static ssize_t s3_bucket_get(struct bucket_store *store, const char *key, const char *etag,
			     __u64 offset, void *buf, size_t len, struct errline *err)
{
	struct s3_bucket *b = to_s3_bucket(store);
	struct s3_call *call = s3_call_new(len ? len : 1);
	struct s3_get get = {
		.key = key, .offset = offset, .len = len, .if_match = etag[0] ? etag : NULL,
	};
	size_t got = 0;
	int ret;

	if (!call)
		return -ENOMEM;
	get.buf = call->buf;
	ret = s3_call_wait(call, s3_get_start(b->s->s3, &get, s3_call_done, call), store->stop);
	if (!ret) {
		got = call->result.len;
		memcpy(buf, call->buf, got);
	}
	ret = end_call(b, call, ret, err);
	return ret ? ret : (ssize_t)got;
}

const struct bucket_ops s3_bucket_ops = {
	.open = s3_bucket_open,
	.close = s3_bucket_close,
	.list = s3_bucket_list,
	.get = s3_bucket_get,
};
