// SPDX-License-Identifier: Apache-2.0
/*
 * Content in an object store that speaks S3.  Names of objects, below the prefix:
 *
 *	UUID/packs/NNNNNNNNNNNNNNNN	a pack, by its id in hex
 *	UUID/NAME			what is beside the packs
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "s3_impl.h"
#include "s3_where.h"

/* ---- reading -------------------------------------------------------------------- */

static int s3_content_head(struct content *c, __u64 pack, __u64 *bytes)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	char key[KEY_ROOM];
	int ret;

	if (!call)
		return -ENOMEM;
	snprintf(key, sizeof(key), PACKS "%016llx", (unsigned long long)pack);
	ret = s3_call_wait(call, s3_head_start(s->s3, key, s3_call_done, call), c->stop);
	if (!ret)
		*bytes = call->result.size;
	return s3_end_call(s, call, ret, 0);
}

static ssize_t get_key(struct content *c, const char *key, __u64 offset, void *buf, size_t len,
		       bool first, char *etag)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(len ? len : 1);
	struct s3_get get = { .key = key, .offset = offset, .len = len, .first = first };
	size_t got = 0;
	int ret;

	if (!call)
		return -ENOMEM;
	get.buf = call->buf;
	ret = s3_call_wait(call, s3_read_start(s->s3, &get, s3_call_done, call), c->stop);
	if (!ret) {
		got = call->result.len;
		memcpy(buf, call->buf, got);
		if (etag)
			snprintf(etag, CONTENT_ETAG_SIZE, "%s", call->result.etag);
	}
	ret = s3_end_call(s, call, ret, 0);
	return ret ? ret : (ssize_t)got;
}

static ssize_t s3_content_get(struct content *c, __u64 pack, __u64 offset, void *buf, size_t len)
{
	char key[KEY_ROOM];

	snprintf(key, sizeof(key), PACKS "%016llx", (unsigned long long)pack);
	return get_key(c, key, offset, buf, len, false, NULL);
}

/* ---- writing --------------------------------------------------------------------- */

/* The same file once more, not for direct I/O. */
static int reopen(int fd)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, O_RDONLY | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

static int s3_content_put(struct content *c, __u64 pack, int fd, __u64 bytes)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	struct s3_put put = { .len = bytes };
	char key[KEY_ROOM];
	bool unread;
	int ret;

	if (!call)
		return -ENOMEM;
	snprintf(key, sizeof(key), PACKS "%016llx", (unsigned long long)pack);
	put.key = key;
	call->fd = reopen(fd);
	put.fd = call->fd;
	ret = call->fd < 0 ? call->fd : s3_upload_start(s->s3, &put, s3_call_done, call);
	ret = s3_call_wait(call, ret, c->stop);
	/* Who reads the file reads past the host's cache. */
	if (call->fd >= 0 && !ret)
		posix_fadvise(call->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (!ret)
		s3_begin_sweep(s);
	/* Given up, it may still be written to. */
	unread = ret && ret != -ESHUTDOWN && call->result.unread;
	ret = s3_end_call(s, call, ret, 0);
	return unread ? -EBADFD : ret;
}

static int del_key(struct content *c, const char *key)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	int ret;

	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_delete_start(s->s3, &key, 1, NULL, s3_call_done, call),
			   c->stop);
	ret = s3_end_call(s, call, ret, 0);
	return ret == -ENOENT ? 0 : ret;
}

static int s3_content_del(struct content *c, __u64 pack)
{
	char key[KEY_ROOM];

	snprintf(key, sizeof(key), PACKS "%016llx", (unsigned long long)pack);
	return del_key(c, key);
}

/* ---- beside the packs --------------------------------------------------------------- */

/* Packs are not written by name. */
static bool name_ok(const char *name)
{
	return content_name_ok(name) && strncmp(name, PACKS, strlen(PACKS)) != 0;
}

static int head_etag(struct content *c, const char *name, char *etag)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = s3_call_new(0);
	int ret;

	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_head_start(s->s3, name, s3_call_done, call), c->stop);
	if (!ret)
		snprintf(etag, CONTENT_ETAG_SIZE, "%s", call->result.etag);
	return s3_end_call(s, call, ret, 0);
}

static int s3_put_named(struct content *c, const char *name, const void *buf, size_t len,
			enum content_cond cond, char *etag)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_call *call = name_ok(name) ? s3_call_new(len ? len : 1) : NULL;
	struct s3_put put = {
		.key = name, .len = len, .fd = -1, .absent = cond == CONTENT_ABSENT,
		.if_match = cond == CONTENT_MATCH ? etag : NULL, .first = true,
	};
	char tag[CONTENT_ETAG_SIZE] = "";
	int ret;

	if (!call)
		return name_ok(name) ? -ENOMEM : -EINVAL;
	memcpy(call->buf, buf, len);
	put.data = call->buf;
	/* Not every server looks at conditions of what goes in parts. */
	ret = cond == CONTENT_ANY ? s3_upload_start(s->s3, &put, s3_call_done, call) :
				    s3_put_start(s->s3, &put, s3_call_done, call);
	ret = s3_call_wait(call, ret, c->stop);
	if (!ret)
		snprintf(tag, sizeof(tag), "%s", call->result.etag);
	/* It is not the one of that ETag, either. */
	if (ret == -ENOENT && cond == CONTENT_MATCH)
		ret = -EEXIST;
	ret = s3_end_call(s, call, ret, -EEXIST);
	if (ret || !etag)
		return ret;
	if (!tag[0])
		return head_etag(c, name, etag);
	memcpy(etag, tag, sizeof(tag));
	return 0;
}

static ssize_t s3_get_named(struct content *c, const char *name, __u64 offset, void *buf,
			    size_t len, char *etag)
{
	return name_ok(name) ? get_key(c, name, offset, buf, len, true, etag) : -EINVAL;
}

static int s3_del_named(struct content *c, const char *name)
{
	return name_ok(name) ? del_key(c, name) : -EINVAL;
}

/* ---- how it is -------------------------------------------------------------------- */

/* Its own key, so that nothing of a zone is in the way. */
static int s3_probe(struct content *c, struct errline *err)
{
	static const char key[] = "probe";
	struct s3_content *s = to_s3_content(c);
	struct s3_put put = { .key = key, .data = "nexusfs\n", .len = 8, .fd = -1 };
	struct s3_query query = { .most = 1 };
	const char *doing = "it cannot be listed";
	int ret = s3_where_no_secret(s->where, err);
	struct s3_call *call;

	if (ret)
		return ret;
	call = s3_call_new(0);
	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_list_start(s->s3, &query, &call->list, s3_call_done, call),
			   c->stop);
	if (!ret) {
		s3_call_put(call);
		call = s3_call_new(0);
		if (!call)
			return -ENOMEM;
		doing = "nothing can be written there";
		ret = s3_call_wait(call, s3_put_start(s->s3, &put, s3_call_done, call), c->stop);
	}
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "content s3: %s: %.400s", doing,
			 call->result.fault.text);
	s3_call_put(call);
	return ret ? ret : del_key(c, key);
}

static void s3_state(struct content *c, struct content_state *st)
{
	struct s3_content *s = to_s3_content(c);
	struct s3_stats stats;

	s3_stats(s->s3, &stats);
	snprintf(st->circuit, sizeof(st->circuit), "%s", stats.circuit);
	snprintf(st->error, sizeof(st->error), "%.255s", stats.last.text);
	st->requests = stats.requests;
	st->retries = stats.retries;
	st->sent = stats.sent;
	st->received = stats.received;
	st->taken = stats.taken;
	st->memory = stats.memory;
	st->memory_peak = stats.memory_peak;
}

const struct content_ops nexus_content_driver = {
	.version = CONTENT_OPS_VERSION,
	.name = "s3",
	.open = s3_content_open,
	.close = s3_content_close,
	.head = s3_content_head,
	.get = s3_content_get,
	.put = s3_content_put,
	.del = s3_content_del,
	.put_named = s3_put_named,
	.get_named = s3_get_named,
	.del_named = s3_del_named,
	.list_named = s3_list_named,
	.begin = s3_content_begin,
	.probe = s3_probe,
	.state = s3_state,
	.list_page = s3_list_page,
	.del_packs = s3_del_packs,
	.uploads_page = s3_uploads_page,
	.abort_upload = s3_abort_upload,
	.bucket = &s3_bucket_ops,
};
