// SPDX-License-Identifier: Apache-2.0
/*
 * The provider: who gets which snapshot, and when the next is fetched.
 *
 * The thread has no clock of its own: whoever asks for credentials looks whether
 * they are near their expiry, and wakes it.  Nothing is fetched for nobody.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "creds_impl.h"

#define AHEAD		300	/* seconds before the expiry; a quarter of a shorter life */
#define RETRY_FIRST	5	/* seconds after a failure; twice as many after each more */
#define RETRY_MOST	60
#define REFUSED_EVERY	10	/* seconds between fetches because of a refusal */

struct s3_provider {
	struct creds_source source;
	struct creds_http *http;
	void *ctx;
	int64_t (*now)(void *ctx);
	void (*note)(void *ctx, bool error, const char *line);
	void (*changed)(void *ctx);

	pthread_mutex_t lock;
	pthread_cond_t work;	/* wanted, stop */
	pthread_cond_t done;	/* a fetch has ended */
	pthread_t thread;
	/* lock: */
	bool started;
	bool stop;
	bool wanted;		/* a fetch is, or is under way */
	const struct s3_creds *current;	/* NULL: none yet */
	bool refused;		/* current is not given out */
	int64_t refresh_at;	/* of current */
	int64_t next_try;
	int64_t last_refused;	/* when a fetch was made because of one */
	unsigned int failures;	/* since the last success */
	int error;		/* of the last failure */
	struct s3_fault fault;
};

static int64_t clock_now(void *ctx)
{
	(void)ctx;
	return time(NULL);
}

static void note(const struct s3_provider *p, bool error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note(const struct s3_provider *p, bool error, const char *fmt, ...)
{
	struct s3_fault clean;
	char line[768];
	va_list args;

	if (!p->note)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	/* The name of a profile may hold anything. */
	s3_fault_set(&clean, 0, "%s", line);
	p->note(p->ctx, error, clean.text);
}

static bool has_fetch(const struct s3_provider *p)
{
	return p->source.kind != SOURCE_STATIC && p->source.kind != SOURCE_PROFILE;
}

/* Under the lock.  Takes the reference. */
static void replace(struct s3_provider *p, const struct s3_creds *creds, int64_t now)
{
	const int64_t life = creds->expiry - now;

	s3_creds_put(p->current);
	p->current = creds;
	p->refused = false;
	p->refresh_at = creds->expiry == INT64_MAX ? INT64_MAX :
			creds->expiry - (life / 4 < AHEAD ? life / 4 : AHEAD);
}

/* Not all helpers at once, when a service has come back. */
static int64_t retry_after(unsigned int failures)
{
	int64_t delay = RETRY_FIRST;
	uint32_t random = 0;

	while (failures-- > 1 && delay < RETRY_MOST)
		delay *= 2;
	if (delay > RETRY_MOST)
		delay = RETRY_MOST;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	return delay + random % (uint32_t)(delay / 2 + 1);
}

/* One fetch; the lock is given up meanwhile. */
static void fetch_once(struct s3_provider *p)
{
	const struct s3_creds *creds = NULL;
	struct s3_fault fault = { "" };
	const int64_t before = p->now(p->ctx);
	int64_t now, left = 0;
	unsigned int failures;
	int ret;

	pthread_mutex_unlock(&p->lock);
	ret = creds_fetch(&p->source, p->http, before, &creds, &fault);
	now = p->now(p->ctx);
	pthread_mutex_lock(&p->lock);
	failures = p->failures;
	if (!ret) {
		replace(p, creds, now);
		p->failures = 0;
		p->next_try = now;
	} else {
		p->failures++;
		p->next_try = now + retry_after(p->failures);
		p->error = ret;
		p->fault = fault;
		if (p->current && !p->refused && p->current->expiry > now)
			left = p->current->expiry - now;
	}
	p->wanted = false;
	pthread_cond_broadcast(&p->done);
	pthread_mutex_unlock(&p->lock);

	if (ret && ret != -ECANCELED && !failures) {
		if (left)
			note(p, true, "S3 credentials: %s; those there are expire in %" PRId64 " s",
			     fault.text, left);
		else
			note(p, true, "S3 credentials: %s; there are none", fault.text);
	}
	if (!ret && failures)
		note(p, false, "S3 credentials: there are new ones from the %s", p->source.name);
	if (p->changed)
		p->changed(p->ctx);
	pthread_mutex_lock(&p->lock);
}

static void *work(void *arg)
{
	struct s3_provider *p = arg;

	pthread_setname_np(pthread_self(), "nexusd-creds");
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (p->wanted)
			fetch_once(p);
		else
			pthread_cond_wait(&p->work, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Under the lock.  The thread gets no signals: those are the main thread's. */
static int want(struct s3_provider *p)
{
	sigset_t all, old;
	int ret = 0;

	if (!p->started) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		ret = -pthread_create(&p->thread, NULL, work, p);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		p->started = !ret;
	}
	if (!ret) {
		p->wanted = true;
		pthread_cond_signal(&p->work);
	}
	return ret;
}

int s3_creds_open(const struct s3_creds_settings *settings,
		  struct s3_provider **provider, struct s3_fault *fault)
{
	struct s3_provider *p;
	int ret = creds_http_libraries(fault);

	if (ret)
		return ret;
	p = calloc(1, sizeof(*p));
	if (!p)
		return s3_fault_set(fault, -ENOMEM, "no memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	p->ctx = settings->ctx;
	p->now = settings->now ? settings->now : clock_now;
	p->note = settings->note;
	p->changed = settings->changed;
	p->next_try = INT64_MIN;
	p->last_refused = INT64_MIN / 2;
	p->refresh_at = INT64_MAX;
	ret = creds_find(settings, &p->source, &p->current, fault);
	if (!ret && has_fetch(p)) {
		ret = creds_http_open(&p->http);
		if (ret)
			s3_fault_set(fault, ret, "no memory");
	}
	if (ret) {
		s3_creds_close(p);
		return ret;
	}
	note(p, false, "S3 credentials: from the %s", p->source.name);
	*provider = p;
	return 0;
}

void s3_creds_close(struct s3_provider *provider)
{
	if (!provider)
		return;
	if (provider->started) {
		pthread_mutex_lock(&provider->lock);
		provider->stop = true;
		pthread_cond_signal(&provider->work);
		pthread_mutex_unlock(&provider->lock);
		creds_http_stop(provider->http);
		pthread_join(provider->thread, NULL);
	}
	creds_http_close(provider->http);
	s3_creds_put(provider->current);
	creds_source_free(&provider->source);
	pthread_cond_destroy(&provider->done);
	pthread_cond_destroy(&provider->work);
	pthread_mutex_destroy(&provider->lock);
	free(provider);
}

int s3_creds_get(struct s3_provider *provider, enum s3_creds_wait wait,
		 const struct s3_creds **creds, struct s3_fault *fault)
{
	struct s3_provider *p = provider;
	int ret;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		const int64_t now = p->now(p->ctx);
		const bool valid = p->current && !p->refused && now < p->current->expiry;

		if (!p->wanted && has_fetch(p) && (!valid || now >= p->refresh_at) &&
		    now >= p->next_try) {
			ret = want(p);
			if (ret && !valid) {
				s3_fault_set(fault, ret, "no thread can be made: %s", strerror(-ret));
				break;
			}
		}
		if (valid) {
			creds_ref(p->current);
			*creds = p->current;
			ret = 0;
			break;
		}
		if (!p->wanted) {
			/* It failed, and it is not time for another try. */
			ret = p->error;
			if (fault)
				*fault = p->fault;
			break;
		}
		if (wait == S3_CREDS_NOWAIT) {
			ret = s3_fault_set(fault, -EAGAIN, "S3 credentials are being fetched");
			break;
		}
		pthread_cond_wait(&p->done, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return ret;
}

/* Are the keys in the files others than those that were refused? */
static bool read_again(struct s3_provider *p)
{
	const struct s3_creds *creds;
	struct s3_fault fault;
	bool others, new;
	int ret = creds_read_profile(&p->source, &creds, &others, &fault);

	if (ret) {
		note(p, true, "S3 credentials: %s", fault.text);
		return false;
	}
	pthread_mutex_lock(&p->lock);
	new = strcmp(creds->access_key, p->current->access_key) ||
	      strcmp(creds->secret_key, p->current->secret_key) ||
	      !creds->token != !p->current->token ||
	      (creds->token && strcmp(creds->token, p->current->token));
	if (new)
		replace(p, creds, p->now(p->ctx));
	pthread_mutex_unlock(&p->lock);
	if (!new)
		s3_creds_put(creds);
	else
		note(p, false, "S3 credentials: new ones were read from the %s", p->source.name);
	return new;
}

bool s3_creds_refused(struct s3_provider *provider, const struct s3_creds *creds)
{
	struct s3_provider *p = provider;
	bool again = true, read = false;
	int64_t now;

	pthread_mutex_lock(&p->lock);
	now = p->now(p->ctx);
	if (p->current && p->current->serial == creds->serial && !p->refused) {
		again = now - p->last_refused >= REFUSED_EVERY && p->source.kind != SOURCE_STATIC;
		if (again) {
			p->last_refused = now;
			read = p->source.kind == SOURCE_PROFILE;
			/* What is under way was asked for before: it will do. */
			p->refused = !read;
			p->next_try = now;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return read ? read_again(p) : again;
}
