// SPDX-License-Identifier: Apache-2.0
/*
 * Calls into services.  Each runs on a thread of the registry, never on its
 * caller's: the caller goes when its time is over, and the thread stays for as
 * long as the call takes.  What a call uses is its own (struct args), so that
 * nobody misses a caller that has gone.
 *
 * A caller that waits as long as a call may take finds an overrun itself; for
 * those that went earlier the watch does.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "service_impl.h"
#include "service_rpc.h"
#include "stats.h"

#define STACK_SIZE	(1u << 20)
#define IDLE_MS		10000ull	/* then a worker without work ends */
#define NS_PER_MS	1000000ull
#define RETRY_NS	1000000000ull	/* for what found no thread */

struct call {
	struct call *next;		/* lock: of registry.late */
	struct nexus_service *inst;
	int (*step)(struct nexus_service *inst);	/* or: */
	nexus_op op;
	void *args;
	char name[64];
	char owner[WHO_MAX];
	uint64_t begun, until, limit;	/* ns: the caller goes; the service's time is over */
	pthread_cond_t cond;
	int ret;
	bool done, left, overrun;	/* lock */
	bool posted;			/* nobody has ever waited for it */
};

struct worker {
	struct worker *next;		/* lock: of registry.idle */
	struct registry *r;
	struct call *call;		/* lock */
	pthread_cond_t cond;
};

/* What this thread does, for who calls on and for last words. */
static __thread struct call *current;
static __thread volatile bool current_set;

uint64_t service_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

/* 0 or ETIMEDOUT. */
static int wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000ull), (long)(ns % 1000000000ull) };

	return pthread_cond_timedwait(cond, lock, &ts);
}

/* ---- arguments ------------------------------------------------------------------- */

struct more {
	struct more *next;
	max_align_t data[];
};

struct args {
	atomic_uint refs;	/* the caller's, and that of a call that runs */
	struct more *more;
	max_align_t data[];
};

static struct args *args_of(void *args)
{
	return (struct args *)((char *)args - offsetof(struct args, data));
}

void *service_args_new(size_t size)
{
	struct args *a = size < SIZE_MAX / 2 ? calloc(1, sizeof(*a) + size) : NULL;

	if (!a)
		return NULL;
	atomic_init(&a->refs, 1);
	return a->data;
}

void *service_args_more(void *args, size_t size)
{
	struct args *a = args_of(args);
	struct more *m = size < SIZE_MAX / 2 ? calloc(1, sizeof(*m) + size) : NULL;

	if (!m)
		return NULL;
	m->next = a->more;
	a->more = m;
	return m->data;
}

void service_args_free(void *args)
{
	struct more *m, *next;
	struct args *a;

	if (!args)
		return;
	a = args_of(args);
	if (atomic_fetch_sub(&a->refs, 1) != 1)
		return;
	for (m = a->more; m; m = next) {
		next = m->next;
		free(m);
	}
	free(a);
}

/* ---- fork ------------------------------------------------------------------------- */

static void before_fork(void)
{
	struct nexus_service *inst = current_set ? current->inst : NULL;

	if (!inst)
		return;
	log_error("service %s forked in %s, called by %s; services may not: its child is ended",
		  inst->name, current->name, current->owner);
	pthread_mutex_lock(&inst->r->lock);
	inst->forked = true;
	pthread_mutex_unlock(&inst->r->lock);
}

/* A copy of the helper with one thread, that of the service. */
static void in_child(void)
{
	if (current_set)
		_exit(127);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, NULL, in_child);
}

bool service_current(const char **name, const char **op, const char **owner)
{
	if (!current_set)
		return false;
	*name = current->inst->name;
	*op = current->name;
	*owner = current->owner;
	return true;
}

/* ---- overruns ---------------------------------------------------------------------- */

/* Lock held: the call has had all the time a call may take. */
static void overrun(struct call *c)
{
	struct nexus_service *inst = c->inst;
	struct registry *r = inst->r;

	c->overrun = true;
	inst->overruns++;
	stats_inc(service_overruns);
	log_error("service %s: %s, called by %s, has not returned within %u ms", inst->name,
		  c->name, c->owner, r->opts.timeout_ms);
	if (r->opts.quarantine && inst->state != SERVICE_QUARANTINED)
		instance_quarantine(inst, "%s, called by %s, did not return within %u ms",
				    c->name, c->owner, r->opts.timeout_ms);
}

static void *watch_main(void *arg)
{
	struct registry *r = arg;
	struct call **cp, *c;
	uint64_t now, next;

	pthread_mutex_lock(&r->lock);
	while (!r->over) {
		now = service_now();
		next = UINT64_MAX;
		for (cp = &r->late; (c = *cp);) {
			if (c->limit <= now) {
				*cp = c->next;
				overrun(c);
				continue;
			}
			if (c->limit < next)
				next = c->limit;
			cp = &c->next;
		}
		pthread_mutex_unlock(&r->lock);
		reap_retired(r);
		pthread_mutex_lock(&r->lock);
		if (r->over)
			break;
		if (r->streams_late && !streams_retry(r) && next > now + RETRY_NS)
			next = now + RETRY_NS;
		if (next == UINT64_MAX)
			pthread_cond_wait(&r->watch_cond, &r->lock);
		else
			wait_until(&r->watch_cond, &r->lock, next);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- workers ----------------------------------------------------------------------- */

static void call_free(struct call *c)
{
	service_args_free(c->args);
	pthread_cond_destroy(&c->cond);
	free(c);
}

/* Lock held: the call has returned. */
static void call_over(struct registry *r, struct call *c)
{
	struct nexus_service *inst = c->inst;
	struct call **cp;

	inst->running--;
	if (!inst->running)
		pthread_cond_broadcast(&r->idle_cond);
	if (!c->left) {
		c->done = true;
		pthread_cond_signal(&c->cond);
		return;
	}
	r->stuck--;
	if (!c->posted || c->overrun)
		log_warn("service %s: %s, called by %s, returned after %llu ms", inst->name,
			 c->name, c->owner,
			 (unsigned long long)((service_now() - c->begun) / NS_PER_MS));
	for (cp = &r->late; *cp; cp = &(*cp)->next)
		if (*cp == c) {
			*cp = c->next;
			break;
		}
	if (!inst->running && !inst->service)
		pthread_cond_signal(&r->watch_cond);
	call_free(c);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg, **wp;
	struct registry *r = w->r;
	struct call *c;
	int ret;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		c = w->call;
		if (c) {
			pthread_mutex_unlock(&r->lock);
			current = c;
			current_set = true;
			ret = c->step ? c->step(c->inst) : c->op(c->inst->self, c->args);
			current_set = false;
			if (getpid() != r->pid)	/* out of a fork no one was told of */
				_exit(127);
			pthread_mutex_lock(&r->lock);
			c->ret = ret;
			call_over(r, c);
			w->call = NULL;
			w->next = r->idle;
			r->idle = w;
			continue;
		}
		if (!r->over && !wait_until(&w->cond, &r->lock,
					      service_now() + IDLE_MS * NS_PER_MS))
			continue;
		if (!w->call)
			break;
	}
	for (wp = &r->idle; *wp != w; wp = &(*wp)->next)
		;
	*wp = w->next;
	r->threads--;
	pthread_cond_broadcast(&r->idle_cond);
	pthread_mutex_unlock(&r->lock);
	pthread_cond_destroy(&w->cond);
	free(w);
	return NULL;
}

static int start_thread(pthread_t *thread, bool detached, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (detached)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	/* Those that say the thread has failed cannot be put off. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return ret;
}

/* Lock held: a worker with this call, idle before or new. */
static int give(struct registry *r, struct call *c)
{
	struct worker *w = r->idle;
	pthread_t thread;

	if (r->over)
		return -EAGAIN;
	if (!r->watching) {
		if (start_thread(&r->watch, false, watch_main, r))
			return -EAGAIN;
		r->watching = true;
	}
	if (w) {
		r->idle = w->next;
		w->call = c;
		pthread_cond_signal(&w->cond);
		return 0;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -EAGAIN;
	w->r = r;
	w->call = c;
	cond_init(&w->cond);
	if (start_thread(&thread, true, worker_main, w)) {
		pthread_cond_destroy(&w->cond);
		free(w);
		return -EAGAIN;
	}
	r->threads++;
	return 0;
}

/* Lock held, left while it runs.  Takes the call over. */
static int run(struct nexus_service *inst, struct call *c, uint32_t timeout_ms)
{
	struct registry *r = inst->r;
	uint64_t max = r->opts.timeout_ms;
	int ret;

	c->inst = inst;
	c->begun = service_now();
	c->limit = c->begun + max * NS_PER_MS;
	c->until = timeout_ms && timeout_ms < max ? c->begun + timeout_ms * NS_PER_MS : c->limit;
	/* A call out of a call has no more time than that one. */
	if (current_set && current->until < c->until)
		c->until = current->until;
	ret = give(r, c);
	if (ret) {
		call_free(c);
		return ret;
	}
	inst->running++;
	inst->calls++;
	while (!c->posted && !c->done && wait_until(&c->cond, &r->lock, c->until) != ETIMEDOUT)
		;
	if (c->done) {
		ret = c->ret;
		call_free(c);
		return ret;
	}
	c->left = true;
	r->stuck++;
	if (!c->posted && c->until >= c->limit) {
		overrun(c);
	} else {
		c->next = r->late;
		r->late = c;
		pthread_cond_signal(&r->watch_cond);
	}
	return -ETIMEDOUT;
}

static struct call *call_new(const char *name, const char *owner)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	cond_init(&c->cond);
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->owner, sizeof(c->owner), "%s", owner);
	return c;
}

int instance_run(struct nexus_service *inst, const char *step,
		 int (*fn)(struct nexus_service *inst), uint32_t timeout_ms)
{
	struct call *c = call_new(step, "the registry");

	if (!c)
		return -ENOMEM;
	c->step = fn;
	return run(inst, c, timeout_ms);
}

int instance_post(struct nexus_service *inst, const char *step,
		  int (*fn)(struct nexus_service *inst))
{
	struct call *c = call_new(step, "the registry");
	int ret;

	if (!c)
		return -ENOMEM;
	c->step = fn;
	c->posted = true;
	ret = run(inst, c, 0);
	return ret == -ETIMEDOUT ? 0 : ret;
}

int registry_wait(struct registry *r, uint64_t ns)
{
	return wait_until(&r->idle_cond, &r->lock, ns);
}

int instance_drain(struct nexus_service *inst, uint32_t timeout_ms)
{
	struct registry *r = inst->r;
	uint64_t until = service_now() + timeout_ms * NS_PER_MS;

	while (inst->running)
		if (wait_until(&r->idle_cond, &r->lock, until) == ETIMEDOUT && inst->running)
			return -ETIMEDOUT;
	return 0;
}

/* Lock held: the operation that a reference leads to now. */
static int find_op(const struct nexus_ref *ref, size_t offset, nexus_op *op)
{
	const struct service *s = ref->service;
	const struct nexus_protocol *p;

	if (!s->cur || s->stopping)
		return -ESHUTDOWN;
	p = desc_find(s->cur->object.desc, ref->protocol);
	if (!p || offset % sizeof(*op) || offset >= p->size)
		return -EOPNOTSUPP;
	memcpy(op, (const char *)p->ops + offset, sizeof(*op));
	return *op ? 0 : -EOPNOTSUPP;
}

int instance_call(struct nexus_service *inst, const char *name, const char *owner, nexus_op op,
		  void *args, uint32_t timeout_ms)
{
	struct call *c;

	if (inst->running >= SERVICE_CALLS_MAX)
		return -EAGAIN;
	c = call_new(name, owner);
	if (!c)
		return -EAGAIN;
	atomic_fetch_add(&args_of(args)->refs, 1);
	c->op = op;
	c->args = args;
	stats_inc(service_calls);
	return run(inst, c, timeout_ms);
}

int service_call_op(struct nexus_ref *ref, const char *op_name, size_t op_offset,
		    void *args, uint32_t timeout_ms)
{
	struct service *s = ref->service;
	struct registry *r = s->r;
	struct call *c;
	int ret;

	c = call_new(op_name, ref->holder);
	if (!c)
		return -EAGAIN;
	if (args)
		atomic_fetch_add(&args_of(args)->refs, 1);
	c->args = args;
	stats_inc(service_calls);
	pthread_mutex_lock(&r->lock);
	ret = find_op(ref, op_offset, &c->op);
	if (!ret && s->cur->running >= SERVICE_CALLS_MAX)
		ret = -EAGAIN;
	if (ret)
		call_free(c);
	else
		ret = run(s->cur, c, timeout_ms);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* ---- all of it ---------------------------------------------------------------------- */

void calls_init(struct registry *r)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch_forks);
	r->pid = getpid();
	cond_init(&r->idle_cond);
	cond_init(&r->watch_cond);
}

void calls_end(struct registry *r)
{
	struct worker *w;

	for (w = r->idle; w; w = w->next)
		pthread_cond_signal(&w->cond);
	pthread_cond_signal(&r->watch_cond);
	if (r->watching) {
		pthread_mutex_unlock(&r->lock);
		pthread_join(r->watch, NULL);
		pthread_mutex_lock(&r->lock);
		r->watching = false;
	}
	while (r->threads > r->stuck)
		pthread_cond_wait(&r->idle_cond, &r->lock);
}
