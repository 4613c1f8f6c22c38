// SPDX-License-Identifier: Apache-2.0
/*
 * The cache store: which one it is.
 *
 * Nothing that was set in the local store is seen when the server is back, nor when it
 * takes over again: it is emptied when the server is back.  And a store on a server is
 * empty for everybody when a helper opens it.
 */
#include "cachestore_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/cachestore/common.h"
#include "log.h"
#include "stats.h"

#define TRIES	3u	/* of a call whose server is lost under it */

static const struct object_kind object_driver_kind = {
	.noun = "cachestore driver",
	.setting = "drivers_dir",
	.symbol = NEXUS_CACHE_DRIVER_SYMBOL,
	.abi = NEXUS_CACHE_DRIVER_ABI,
};

/* ---- how it is ---------------------------------------------------------------------- */

/* Each change is told once. */
static void note_degraded(struct cachestore *s, const char *words)
{
	bool change;

	pthread_mutex_lock(&s->lock);
	change = s->info.state != CACHESTORE_DEGRADED;
	s->info.state = CACHESTORE_DEGRADED;
	if (change)
		s->info.error_at = time(NULL);
	snprintf(s->info.error, sizeof(s->info.error), "%.250s", words);
	pthread_mutex_unlock(&s->lock);
	if (!change)
		return;
	stats_inc(cache_switches);
	log_error("cache store %s: %s; this process takes over, and begins empty", s->driver_name, words);
}

static void note_open(struct cachestore *s)
{
	enum cachestore_state before;

	pthread_mutex_lock(&s->lock);
	before = s->info.state;
	s->info.state = CACHESTORE_OPEN;
	pthread_mutex_unlock(&s->lock);
	if (before == CACHESTORE_DEGRADED)
		log_info("cache store %s is back, and begins empty", s->driver_name);
	else
		log_info("cache store %s is open", s->driver_name);
}

void cachestore_info(struct cachestore *s, struct cachestore_info *info)
{
	pthread_mutex_lock(&s->lock);
	*info = s->info;
	pthread_mutex_unlock(&s->lock);
}

static void wake_keeper(struct cachestore *s)
{
	pthread_mutex_lock(&s->lock);
	s->due = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

/* ---- instances ------------------------------------------------------------------------ */

void cache_inst_get(struct cache_inst *inst)
{
	atomic_fetch_add(&inst->refs, 1);
}

void cache_inst_put(struct cache_inst *inst)
{
	if (!inst || atomic_fetch_sub(&inst->refs, 1) != 1)
		return;
	inst->s->driver->close(inst->cache);
	free(inst);
}

struct cache_inst *cache_inst_now(struct cachestore *s)
{
	struct cache_inst *inst;

	pthread_rwlock_rdlock(&s->place);
	inst = s->inst;
	if (inst)
		cache_inst_get(inst);
	pthread_rwlock_unlock(&s->place);
	return inst;
}

/* Place held for writing: messages may be missing from here. */
static void tell_gap(struct cachestore *s)
{
	struct cache_subscriber *c;

	pthread_mutex_lock(&s->list);
	for (c = s->subscribers; c; c = c->next)
		cache_sub_gap(c->sub);
	pthread_mutex_unlock(&s->list);
}

void cache_inst_leave(struct cachestore *s, struct cache_inst *inst)
{
	char words[NEXUS_CACHE_FAULT_MAX];
	bool change;

	pthread_rwlock_wrlock(&s->place);
	change = s->inst == inst;
	if (change) {
		s->inst = NULL;
		pthread_mutex_lock(&s->lock);
		memcpy(words, inst->fault.text, sizeof(words));
		pthread_mutex_unlock(&s->lock);
		tell_gap(s);
		/* Before a return of it can be noted. */
		note_degraded(s, words);
	}
	pthread_rwlock_unlock(&s->place);
	if (!change)
		return;
	wake_keeper(s);
	cache_inst_put(inst);
}

/* Called by the driver, on any thread. */
static void inst_lost(void *arg, const struct nexus_cache_fault *fault)
{
	struct cache_inst *inst = arg;

	pthread_mutex_lock(&inst->s->lock);
	inst->fault = *fault;
	inst->lost = true;
	inst->s->due = true;
	pthread_cond_signal(&inst->s->wake);
	pthread_mutex_unlock(&inst->s->lock);
}

void cache_use_begin(struct cachestore *s, struct cache_use *u)
{
	pthread_rwlock_rdlock(&s->place);
	u->inst = s->inst;
	u->cache = s->local;
	if (!u->inst)
		return;
	cache_inst_get(u->inst);
	u->cache = u->inst->cache;
	pthread_rwlock_unlock(&s->place);
}

bool cache_use_end(struct cachestore *s, struct cache_use *u, int *ret)
{
	if (!u->inst) {
		pthread_rwlock_unlock(&s->place);
		return false;
	}
	if (*ret == -ENOTCONN)
		cache_inst_leave(s, u->inst);
	cache_inst_put(u->inst);
	if (*ret != -ENOTCONN)
		return false;
	if (++u->tries < TRIES)
		return true;
	*ret = -EIO;
	return false;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int load_driver(struct cachestore *s, struct errline *err)
{
	int ret;

	if (s->driver)
		return 0;
	ret = object_driver(&s->object, &object_driver_kind, s->dir, s->driver_name, s->opts.owner, err);
	if (!ret)
		s->driver = s->object.symbol;
	return ret;
}

static int open_inst(struct cachestore *s, struct cache_inst **result, struct nexus_cache_fault *fault)
{
	struct nexus_cache_options options = {
		.at = s->at,
		.bytes = s->opts.bytes,
		.entries = s->opts.entries,
		.reply_ms = s->opts.reply_ms,
		.lost = inst_lost,
	};
	struct errline err = { "" };
	struct cache_inst *inst;
	char buf[128];
	int ret = load_driver(s, &err);

	if (ret)
		return cache_fail(fault, ret, err_text(&err, ret, buf, sizeof(buf)));
	inst = calloc(1, sizeof(*inst));
	if (!inst)
		return cache_fail(fault, -ENOMEM, "no memory");
	inst->s = s;
	atomic_init(&inst->refs, 1);
	options.lost_arg = inst;
	ret = s->driver->open(&options, fault, &inst->cache);
	if (ret)
		free(inst);
	else
		*result = inst;
	return ret;
}

/* Subscribing held: a subscriber is of @inst from here on, or of none. */
static int move_subscriber(struct cache_subscriber *c, struct cache_inst *inst)
{
	int ret = 0;

	if (c->inst) {
		c->inst->cache->ops->detach(c->inst->cache, c->sub);
		cache_inst_put(c->inst);
		c->inst = NULL;
	}
	if (!inst)
		return 0;
	ret = inst->cache->ops->attach(inst->cache, c->sub);
	if (ret)
		return ret;
	cache_inst_get(inst);
	c->inst = inst;
	return 0;
}

/* All subscribers, or none; only the keeper changes more than one. */
static int move_subscribers(struct cachestore *s, struct cache_inst *inst)
{
	struct cache_subscriber *c;
	int ret = 0;

	for (c = s->subscribers; c && !ret; c = c->next)
		ret = move_subscriber(c, inst);
	for (c = ret ? s->subscribers : NULL; c; c = c->next)
		move_subscriber(c, NULL);
	return ret;
}

/* 0: the server has it from here on. */
static int try_open(struct cachestore *s)
{
	struct nexus_cache_fault fault = { 0, "" };
	struct cache_inst *inst = NULL;
	int ret = open_inst(s, &inst, &fault);

	if (ret) {
		note_degraded(s, fault.text);
		return ret;
	}
	pthread_mutex_lock(&s->subscribing);
	ret = move_subscribers(s, inst);
	if (!ret) {
		pthread_rwlock_wrlock(&s->place);
		s->inst = inst;
		s->local->ops->clear(s->local);
		tell_gap(s);
		note_open(s);
		pthread_rwlock_unlock(&s->place);
	}
	pthread_mutex_unlock(&s->subscribing);
	if (ret)
		cache_inst_put(inst);
	return ret;
}

/* ---- the keeper ------------------------------------------------------------------------------ */

/* Until there may be something to do, or @ms; false: it is over. */
static bool keeper_wait(struct cachestore *s, uint32_t ms)
{
	struct timespec end;
	bool going;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += (long)(ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&s->lock);
	while (!s->ending && !s->due)
		if (ms ? pthread_cond_timedwait(&s->wake, &s->lock, &end) :
		    pthread_cond_wait(&s->wake, &s->lock))
			break;
	s->due = false;
	going = !s->ending;
	pthread_mutex_unlock(&s->lock);
	return going;
}

/* What nobody has noticed in a call. */
static void leave_lost(struct cachestore *s)
{
	struct cache_inst *inst = cache_inst_now(s);
	bool lost;

	if (!inst)
		return;
	pthread_mutex_lock(&s->lock);
	lost = inst->lost;
	pthread_mutex_unlock(&s->lock);
	if (lost)
		cache_inst_leave(s, inst);
	cache_inst_put(inst);
}

static bool is_local(struct cachestore *s)
{
	struct cache_inst *inst = cache_inst_now(s);

	cache_inst_put(inst);
	return !inst;
}

static void *keep(void *arg)
{
	struct cachestore *s = arg;
	uint32_t wait = s->opts.retry_ms;
	int ret;

	pthread_setname_np(pthread_self(), "nexusd-cache");
	for (;;) {
		leave_lost(s);
		if (!is_local(s)) {
			if (!keeper_wait(s, 0))
				return NULL;
			continue;
		}
		/* Its connections go now, not when there are others. */
		pthread_mutex_lock(&s->subscribing);
		move_subscribers(s, NULL);
		pthread_mutex_unlock(&s->subscribing);
		/* A loss is no reason to look at once. */
		pthread_mutex_lock(&s->lock);
		s->due = false;
		pthread_mutex_unlock(&s->lock);
		if (!keeper_wait(s, wait))
			return NULL;
		ret = try_open(s);
		wait = !ret || ret == -ENOTCONN ? s->opts.retry_ms : s->opts.retry_ms * 10;
	}
}

/* ---- the store --------------------------------------------------------------------------------- */

/* Opening held. */
static int begin(struct cachestore *s)
{
	const struct nexus_cache_options options = {
		.bytes = s->opts.bytes, .entries = s->opts.entries,
	};
	struct nexus_cache_fault fault;
	bool null = !strcmp(s->driver_name, "null");
	int ret;

	if (s->local)
		return 0;
	s->local_driver = null ? &cache_driver_null : &cache_driver_mem;
	ret = s->local_driver->open(&options, &fault, &s->local);
	if (ret)
		return ret;
	if (null || !strcmp(s->driver_name, "mem")) {
		note_open(s);
		return 0;
	}
	try_open(s);
	if (pthread_create(&s->keeper, NULL, keep, s))
		log_warn("cache store: no thread to look for a server that is lost");
	else
		s->keeping = true;
	return 0;
}

int cachestore_open(struct cachestore *s)
{
	int ret;

	pthread_mutex_lock(&s->opening);
	ret = begin(s);
	pthread_mutex_unlock(&s->opening);
	return ret;
}

struct cachestore *cachestore_new(const struct cachestore_opts *opts)
{
	struct cachestore *s = calloc(1, sizeof(*s));
	pthread_rwlockattr_t prefer;
	pthread_condattr_t clock;

	if (!s)
		return NULL;
	pthread_mutex_init(&s->opening, NULL);
	pthread_mutex_init(&s->subscribing, NULL);
	pthread_mutex_init(&s->list, NULL);
	pthread_mutex_init(&s->lock, NULL);
	/* Whoever has to switch does not wait for all who come meanwhile. */
	pthread_rwlockattr_init(&prefer);
	pthread_rwlockattr_setkind_np(&prefer, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->place, &prefer);
	pthread_rwlockattr_destroy(&prefer);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &clock);
	pthread_condattr_destroy(&clock);
	s->opts = *opts;
	s->object = (struct object)OBJECT_NONE;
	s->driver_name = strdup(opts->driver);
	s->at = strdup(opts->at);
	s->dir = strdup(opts->dir);
	if (!s->driver_name || !s->at || !s->dir) {
		cachestore_free(s);
		return NULL;
	}
	snprintf(s->info.driver, sizeof(s->info.driver), "%s", opts->driver);
	s->info.state = CACHESTORE_UNUSED;
	return s;
}

/* The driver goes with the process, as one of the record store does. */
void cachestore_free(struct cachestore *s)
{
	if (!s)
		return;
	if (s->keeping) {
		pthread_mutex_lock(&s->lock);
		s->ending = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->keeper, NULL);
	}
	cache_inst_put(s->inst);
	if (s->local)
		s->local_driver->close(s->local);
	pthread_cond_destroy(&s->wake);
	pthread_rwlock_destroy(&s->place);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->list);
	pthread_mutex_destroy(&s->subscribing);
	pthread_mutex_destroy(&s->opening);
	free(s->driver_name);
	free(s->at);
	free(s->dir);
	free(s);
}
