// SPDX-License-Identifier: Apache-2.0
/* The life of a client: how it is opened, by whom it is shared, and what it says of itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/objectstore/s3/creds.h"
#include "drivers/objectstore/s3/secret.h"
#include "s3_find.h"
#include "s3_impl.h"
#include "s3_key.h"
#include "s3_where.h"

#define LEFTOVER_AGE	3600	/* seconds; clocks differ */
#define BUCKET_WAIT_MS	30000	/* somebody waits for a listing */

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

int s3_content_begin(void (*log)(enum log_level level, const char *fmt, ...), struct errline *err)
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
	int ret;

	pthread_setname_np(pthread_self(), "nexusd-sweep");
	ret = s3_abort_leftovers(s->s3, PACKS, s->opened - LEFTOVER_AGE, &n, &result);
	if (ret && ret != -ECANCELED && ret != -ESHUTDOWN)
		say(LOG_L_WARNING, "content s3: unfinished uploads cannot be looked for: %s",
		    result.fault.text);
	if (n)
		say(LOG_L_INFO, "content s3: %u unfinished uploads were aborted", n);
	return NULL;
}

void s3_begin_sweep(struct s3_content *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->swept)
		s->swept = !pthread_create(&s->sweeper, NULL, sweep, s);
	pthread_mutex_unlock(&s->lock);
}

void s3_content_end(struct s3_content *s)
{
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
	free(s->where);
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
static int find_zone(struct s3_content *s, struct s3_where *w, const atomic_bool *stop,
		     __u8 zone[NEXUS_UUID_SIZE], struct errline *err)
{
	struct s3_fault fault = { "" };
	int ret;

	if (w->zone)
		return s3_zone_parse(w->zone, zone);
	ret = open_client(s, w, NULL, &fault);
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "content s3: %.400s", fault.text);
	else
		ret = s3_find_zone(s->s3, stop, zone, err);
	close_client(s);
	return ret;
}

static int open_with_key(struct s3_content *s, struct s3_where *w, const __u8 *zone,
			 bool bucket, const atomic_bool *stop, struct errline *err)
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

	if (!ret && !zone && !bucket) {
		ret = find_zone(s, w, stop, found, err);
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

static int open_all(struct s3_content *s, struct s3_where *w, const __u8 *zone, bool bucket,
		    const atomic_bool *stop, struct errline *err)
{
	unsigned char *key = NULL;
	int ret = w->key_file ? s3_key_read(w->key_file, &key, err) : 0;

	if (ret)
		return ret;
	/* A client copies it. */
	w->set.sse_c_key = key;
	ret = open_with_key(s, w, zone, bucket, stop, err);
	w->set.sse_c_key = NULL;
	secret_free(key);
	return ret;
}

int s3_content_make(const char *where, const __u8 *zone, bool bucket, const atomic_bool *stop,
		    struct s3_content **out, struct errline *err)
{
	struct s3_content *s = calloc(1, sizeof(*s));
	struct s3_where *w = malloc(sizeof(*w));
	int ret = -ENOMEM;

	if (!s || !w)
		goto free;
	ret = s3_where_parse(where, w, err);
	/* It is about to be restored, or is part of a mount. */
	if (!ret && !zone)
		ret = s3_where_no_secret(where, err);
	if (ret)
		goto free;
	s->refs = 1;
	s->opened = time(NULL);
	s->where = strdup(where);
	if (zone)
		memcpy(s->zone, zone, sizeof(s->zone));
	if (bucket && !w->set.deadline_ms)
		w->set.deadline_ms = BUCKET_WAIT_MS;
	pthread_mutex_init(&s->lock, NULL);
	ret = s->where ? open_all(s, w, zone, bucket, stop, err) : -ENOMEM;
	free(w);
	if (ret) {
		s3_content_end(s);
		return ret;
	}
	*out = s;
	return 0;
free:
	free(s);
	free(w);
	return ret;
}

/* ---- one client for a zone --------------------------------------------------------- */

/*
 * A zone opens its store more than once, to read and put packs and to keep its checkpoints
 * and log: what is said of bandwidth, requests and memory is said of the zone.
 */
static struct {
	pthread_mutex_t lock;
	struct s3_content *first;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* shared.lock held. */
static struct s3_content *find_shared(const char *where, const __u8 zone[NEXUS_UUID_SIZE])
{
	struct s3_content *s = shared.first;

	while (s && (strcmp(s->where, where) != 0 || memcmp(s->zone, zone, NEXUS_UUID_SIZE) != 0))
		s = s->next;
	if (s)
		s->refs++;
	return s;
}

static struct s3_content *get_shared(const char *where, const __u8 *zone)
{
	struct s3_content *s;

	pthread_mutex_lock(&shared.lock);
	s = find_shared(where, zone);
	pthread_mutex_unlock(&shared.lock);
	return s;
}

/* @s, or what somebody has opened meanwhile. */
static struct s3_content *share(struct s3_content *s)
{
	struct s3_content *other;

	pthread_mutex_lock(&shared.lock);
	other = find_shared(s->where, s->zone);
	if (!other) {
		s->next = shared.first;
		shared.first = s;
	}
	pthread_mutex_unlock(&shared.lock);
	if (!other)
		return s;
	s3_content_end(s);
	return other;
}

int s3_content_open(const char *where, const __u8 *zone, const atomic_bool *stop,
		    struct content **c, struct errline *err)
{
	struct s3_handle *h = calloc(1, sizeof(*h));
	struct s3_content *s = zone ? get_shared(where, zone) : NULL;
	int ret = h ? 0 : -ENOMEM;

	if (!ret && !s) {
		ret = s3_content_make(where, zone, false, stop, &s, err);
		if (!ret && zone)
			s = share(s);
	}
	if (ret) {
		if (s)
			s3_content_drop(s);
		free(h);
		return ret;
	}
	h->c.ops = &nexus_content_driver;
	h->c.stop = stop;
	h->s = s;
	*c = &h->c;
	return 0;
}

void s3_content_drop(struct s3_content *s)
{
	struct s3_content **at = &shared.first;
	bool last;

	pthread_mutex_lock(&shared.lock);
	last = !--s->refs;
	while (last && *at && *at != s)
		at = &(*at)->next;
	if (last && *at)
		*at = s->next;
	pthread_mutex_unlock(&shared.lock);
	if (last)
		s3_content_end(s);
}

void s3_content_close(struct content *c)
{
	struct s3_handle *h = (struct s3_handle *)c;

	s3_content_drop(h->s);
	free(h);
}
