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

#include "drivers/objectstore/s3/creds.h"
#include "drivers/objectstore/s3/secret.h"
#include "s3_find.h"
#include "s3_impl.h"
#include "s3_key.h"
#include "s3_where.h"

#define LEFTOVER_AGE	3600	/* seconds; clocks differ */

/* The symbol that the object has. */
__attribute__((visibility("default"))) extern const struct content_ops nexus_content_driver;

static void (*say)(enum log_level level, const char *fmt, ...);

/* ---- what goes wrong --------------------------------------------------------- */

/* Once for each other thing that is wrong, and again when it has worked meanwhile. */
static void note_error(struct s3_content *s, const char *words)
{
	bool other;

	pthread_mutex_lock(&s->lock);
	other = strcmp(s->fault.text, words) != 0;
	if (other)
		snprintf(s->fault.text, sizeof(s->fault.text), "%s", words);
	pthread_mutex_unlock(&s->lock);
	if (other && words[0])
		say(LOG_L_ERROR, "content s3: %s", words);
}

int s3_end_call(struct s3_content *s, struct s3_call *c, int ret, int answer)
{
	if (!ret)
		note_error(s, "");
	else if (ret != answer && ret != -ESHUTDOWN && ret != -ENOENT)
		note_error(s, c->result.fault.text);
	s3_call_put(c);
	return ret;
}

static void note_line(void *ctx, const char *line)
{
	(void)ctx;
	say(LOG_L_INFO, "content s3: %s", line);
}

static void note_creds(void *ctx, bool error, const char *line)
{
	(void)ctx;
	say(error ? LOG_L_ERROR : LOG_L_INFO, "content s3: %s", line);
}

static void creds_changed(void *ctx)
{
	struct s3_content *s = ctx;

	pthread_mutex_lock(&s->lock);
	if (s->s3 && !s->over)
		s3_wake(s->s3);
	pthread_mutex_unlock(&s->lock);
}

/* ---- life ---------------------------------------------------------------------- */

static int s3_begin(void (*log)(enum log_level level, const char *fmt, ...), struct errline *err)
{
	struct s3_fault fault = { "" };
	int ret;

	say = log;
	ret = s3_creds_global_init(&fault);
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "content s3: %.400s", fault.text);
	return ret;
}

/* Parts of what was never finished, as when a helper dies, are paid for until somebody does this. */
static void *sweep(void *arg)
{
	struct s3_content *s = arg;
	struct s3_result result;
	unsigned int n = 0;

	int ret = s3_abort_leftovers(s->s3, PACKS, s->opened - LEFTOVER_AGE, &n, &result);

	if (ret && ret != -ECANCELED && ret != -ESHUTDOWN)
		say(LOG_L_WARNING, "content s3: unfinished uploads cannot be looked for: %s",
		    result.fault.text);
	if (n)
		say(LOG_L_INFO, "content s3: %u unfinished uploads were aborted", n);
	return NULL;
}

/* Something could be put. */
static void begin_sweep(struct s3_content *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->swept)
		s->swept = !pthread_create(&s->sweeper, NULL, sweep, s);
	pthread_mutex_unlock(&s->lock);
}

static void s3_content_close(struct content *c)
{
	struct s3_content *s = to_s3_content(c);

	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_mutex_unlock(&s->lock);
	/* Which ends what the sweeper waits for. */
	s3_end(s->s3);
	if (s->swept)
		pthread_join(s->sweeper, NULL);
	s3_close(s->s3);
	s3_creds_close(s->provider);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* @zone NULL: what is below the prefix of the setting. */
static int open_client(struct s3_content *s, struct s3_where *w, const __u8 *zone,
		       struct s3_fault *fault)
{
	char prefix[KEY_ROOM + CONTENT_SPEC_MAX], text[S3_ZONE_TEXT] = "";
	struct s3 *s3 = NULL;
	int ret;

	if (zone)
		s3_zone_text(zone, text);
	snprintf(prefix, sizeof(prefix), "%s%s%s", w->prefix, w->prefix[0] ? "/" : "", text);
	w->set.prefix = prefix;
	w->set.note = note_line;
	ret = s3_open(&w->set, s->provider, &s3, fault);
	pthread_mutex_lock(&s->lock);
	s->s3 = s3;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static void close_client(struct s3_content *s)
{
	struct s3 *s3;

	pthread_mutex_lock(&s->lock);
	s3 = s->s3;
	s->s3 = NULL;
	pthread_mutex_unlock(&s->lock);
	s3_end(s3);
	s3_close(s3);
}

/* The zone that the setting names, or else the only one there. */
static int find_zone(struct s3_content *s, struct s3_where *w, __u8 zone[NEXUS_UUID_SIZE],
		     struct errline *err)
{
	struct s3_fault fault = { "" };
	int ret;

	if (w->zone)
		return s3_zone_parse(w->zone, zone);
	ret = open_client(s, w, NULL, &fault);
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "content s3: %.400s", fault.text);
	else
		ret = s3_find_zone(s->s3, s->c.stop, zone, err);
	close_client(s);
	return ret;
}

static int open_with_key(struct s3_content *s, struct s3_where *w, const __u8 *zone,
			 struct errline *err)
{
	const struct s3_creds_settings creds = {
		.profile = w->profile,
		.region = w->set.region,
		.ca_file = w->set.ca_file,
		.ctx = s,
		.note = note_creds,
		.changed = creds_changed,
	};
	struct s3_fault fault = { "" };
	__u8 found[NEXUS_UUID_SIZE];
	int ret = s3_creds_open(&creds, &s->provider, &fault);

	if (!ret && !zone) {
		ret = find_zone(s, w, found, err);
		if (ret)
			return ret;
		zone = found;
	}
	if (!ret)
		ret = open_client(s, w, zone, &fault);
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "content s3: %.400s", fault.text);
	return ret;
}

static int open_all(struct s3_content *s, struct s3_where *w, const __u8 *zone,
		    struct errline *err)
{
	unsigned char *key = NULL;
	int ret = w->key_file ? s3_key_read(w->key_file, &key, err) : 0;

	if (ret)
		return ret;
	/* A client copies it. */
	w->set.sse_c_key = key;
	ret = open_with_key(s, w, zone, err);
	w->set.sse_c_key = NULL;
	secret_free(key);
	return ret;
}

static int s3_content_open(const char *where, const __u8 *zone,
			   const atomic_bool *stop, struct content **c, struct errline *err)
{
	struct s3_content *s = calloc(1, sizeof(*s));
	struct s3_where *w = malloc(sizeof(*w));
	int ret = -ENOMEM;

	if (!s || !w)
		goto free;
	ret = s3_where_parse(where, w, err);
	if (ret)
		goto free;
	s->c.ops = &nexus_content_driver;
	s->c.stop = stop;
	s->opened = time(NULL);
	pthread_mutex_init(&s->lock, NULL);
	ret = open_all(s, w, zone, err);
	free(w);
	if (ret) {
		s3_content_close(&s->c);
		return ret;
	}
	*c = &s->c;
	return 0;
free:
	free(s);
	free(w);
	return ret;
}

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

/* ---- reading --------------------------------------------------------------------- */

static ssize_t get_key(struct s3_content *s, const char *key, __u64 offset, void *buf, size_t len,
		       char *etag)
{
	struct s3_call *call = s3_call_new(len ? len : 1);
	struct s3_get get = { .key = key, .offset = offset, .len = len };
	size_t got = 0;
	int ret;

	if (!call)
		return -ENOMEM;
	get.buf = call->buf;
	ret = s3_call_wait(call, s3_read_start(s->s3, &get, s3_call_done, call), s->c.stop);
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
	return get_key(to_s3_content(c), key, offset, buf, len, NULL);
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
		begin_sweep(s);
	return s3_end_call(s, call, ret, 0);
}

static int del_key(struct s3_content *s, const char *key)
{
	struct s3_call *call = s3_call_new(0);
	int ret;

	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_delete_start(s->s3, &key, 1, NULL, s3_call_done, call),
			   s->c.stop);
	ret = s3_end_call(s, call, ret, 0);
	return ret == -ENOENT ? 0 : ret;
}

static int s3_content_del(struct content *c, __u64 pack)
{
	char key[KEY_ROOM];

	snprintf(key, sizeof(key), PACKS "%016llx", (unsigned long long)pack);
	return del_key(to_s3_content(c), key);
}

/* ---- beside the packs --------------------------------------------------------------- */

/* Packs are not written by name. */
static bool name_ok(const char *name)
{
	return content_name_ok(name) && strncmp(name, PACKS, strlen(PACKS)) != 0;
}

static int head_etag(struct s3_content *s, const char *name, char *etag)
{
	struct s3_call *call = s3_call_new(0);
	int ret;

	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_head_start(s->s3, name, s3_call_done, call), s->c.stop);
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
		.if_match = cond == CONTENT_MATCH ? etag : NULL,
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
		return head_etag(s, name, etag);
	memcpy(etag, tag, sizeof(tag));
	return 0;
}

static ssize_t s3_get_named(struct content *c, const char *name, __u64 offset, void *buf,
			    size_t len, char *etag)
{
	return name_ok(name) ? get_key(to_s3_content(c), name, offset, buf, len, etag) : -EINVAL;
}

static int s3_del_named(struct content *c, const char *name)
{
	return name_ok(name) ? del_key(to_s3_content(c), name) : -EINVAL;
}

/* ---- how it is -------------------------------------------------------------------- */

/* Its own key, so that nothing of a zone is in the way. */
static int s3_probe(struct content *c, struct errline *err)
{
	static const char key[] = "probe";
	struct s3_content *s = to_s3_content(c);
	struct s3_put put = { .key = key, .data = "nexusfs\n", .len = 8, .fd = -1 };
	struct s3_query query = { .most = 1 };
	struct s3_call *call = s3_call_new(0);
	const char *doing = "it cannot be listed";
	int ret;

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
	return ret ? ret : del_key(s, key);
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
	.begin = s3_begin,
	.probe = s3_probe,
	.state = s3_state,
	.list_page = s3_list_page,
	.del_packs = s3_del_packs,
};
