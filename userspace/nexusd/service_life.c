// SPDX-License-Identifier: Apache-2.0
/* The life of an instance: mapped, inited, started, and all the way back. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service_impl.h"
#include "service_rpc.h"
#include "stats.h"

/* ---- steps, on a worker -------------------------------------------------------------- */

static void set_stage(struct nexus_service *inst, enum stage stage)
{
	pthread_mutex_lock(&inst->r->lock);
	inst->stage = stage;
	pthread_mutex_unlock(&inst->r->lock);
}

static int step_map(struct nexus_service *inst)
{
	return object_map(&inst->object, inst->name, &inst->map_err);
}

static int step_init(struct nexus_service *inst)
{
	int ret = inst->object.desc->service_init(&service_host, inst, &inst->self);

	if (!ret)
		set_stage(inst, STAGE_INITED);
	return ret;
}

static int step_start(struct nexus_service *inst)
{
	int ret = inst->object.desc->service_start(inst->self);

	if (!ret)
		set_stage(inst, STAGE_STARTED);
	return ret;
}

static int step_stop(struct nexus_service *inst)
{
	int ret = inst->object.desc->service_stop(inst->self);

	set_stage(inst, STAGE_INITED);
	return ret;
}

static int step_cleanup(struct nexus_service *inst)
{
	inst->object.desc->service_cleanup(inst->self);
	set_stage(inst, STAGE_MAPPED);
	return 0;
}

static int step_close(struct nexus_service *inst)
{
	if (!object_close(&inst->object))
		log_warn("the object of service %s stays mapped: something in it asked for that",
			 inst->name);
	set_stage(inst, STAGE_READ);
	return 0;
}

/* ---- up -------------------------------------------------------------------------------- */

/* Whether a step failed, in one line.  Lock held. */
static int judge(struct nexus_service *inst, const char *step, int ret, const struct errline *why,
		 struct errline *err)
{
	char buf[128], said[sizeof(inst->said)];
	bool forked = inst->forked;

	inst->forked = false;
	if (ret == -ETIMEDOUT && inst->running)
		return err_set(err, ret, "service %s: %s did not return within %u ms; its object stays mapped",
			       inst->name, step, inst->r->opts.timeout_ms);
	if (forked)
		return err_set(err, -EPERM, "service %s forked in %s; services may not",
			       inst->name, step);
	if (!ret)
		return 0;
	if (why && why->msg[0])
		return err_set(err, ret, "%s", err_text(why, ret, buf, sizeof(buf)));
	said_get(inst, said, sizeof(said));
	return err_set(err, ret < 0 ? ret : -EIO, "service %s: %s failed: %s%s%s", inst->name, step,
		       ret < 0 ? strerror(-ret) : "no errno", said[0] ? "; " : "", said);
}

static int do_step(struct nexus_service *inst, const char *step,
		   int (*fn)(struct nexus_service *inst), struct errline *err)
{
	struct registry *r = inst->r;
	int ret;

	pthread_mutex_lock(&r->lock);
	said_set(inst, "");
	ret = instance_run(inst, step, fn, 0);
	ret = judge(inst, step, ret, fn == step_map && !inst->running ? &inst->map_err : NULL, err);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int instance_new(struct registry *r, const char *name, const struct service_caller *who,
		 struct nexus_service **out, struct errline *err)
{
	struct nexus_service *inst;
	int ret;

	if (!service_name_ok(name))
		return err_set(err, -EINVAL,
			       "\"%.80s\" is no name of a service: a-z first, then a-z 0-9 _ -, up to %u characters",
			       name, NEXUS_SERVICE_NAME_MAX - 1);
	inst = calloc(1, sizeof(*inst));
	if (!inst)
		return -ENOMEM;
	inst->r = r;
	inst->object.fd = -1;
	inst->state = SERVICE_ACTIVE;
	inst->uid = who->uid;
	inst->loaded = (uint64_t)time(NULL);
	snprintf(inst->name, sizeof(inst->name), "%s", name);
	ret = object_read(&inst->object, &object_service, r->opts.dir, name, r->opts.owner, err);
	if (!ret && r->opts.trial)
		ret = service_trial(r->opts.trial, &inst->object, name, r->opts.timeout_ms, err);
	if (!ret) {
		inst->stage = STAGE_MAPPED;
		ret = do_step(inst, "its constructors", step_map, err);
	}
	if (ret) {
		instance_unwind(inst, r->opts.timeout_ms);
		return ret;
	}
	snprintf(inst->version, sizeof(inst->version), "%s", inst->object.desc->version);
	*out = inst;
	return 0;
}

int instance_start(struct nexus_service *inst, struct errline *err)
{
	int ret = do_step(inst, "service_init", step_init, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&inst->r->lock);
	inst->starting = true;
	pthread_mutex_unlock(&inst->r->lock);
	return do_step(inst, "service_start", step_start, err);
}

/* ---- down ------------------------------------------------------------------------------ */

void instance_retire(struct nexus_service *inst, bool hold)
{
	struct registry *r = inst->r;
	struct service *s = inst->service;
	struct nexus_service *other;

	if (s) {
		inst->was = s;
		inst->service = NULL;
		if (s->cur == inst)
			s->cur = NULL;
	}
	inst->held = hold;
	for (other = r->retired; other; other = other->next)
		if (other == inst)
			return;
	inst->next = r->retired;
	r->retired = inst;
	if (inst->state == SERVICE_ACTIVE)
		inst->state = SERVICE_STOPPING;
}

void instance_quarantine(struct nexus_service *inst, const char *fmt, ...)
{
	struct service *s = inst->service;
	char reason[sizeof(s->reason)];
	bool hold = inst->held;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	inst->state = SERVICE_QUARANTINED;
	streams_end(inst, -ESHUTDOWN, "the service was quarantined");
	stats_inc(service_quarantines);
	if (s) {
		snprintf(s->reason, sizeof(s->reason), "%s", reason);
		snprintf(s->version, sizeof(s->version), "%s", inst->version);
		log_error("service %s is quarantined, its protocols are withdrawn", inst->name);
		/* One that is being unloaded is its unloader's. */
		if (!s->stopping)
			instance_retire(inst, hold);
	} else {
		log_error("service %s %s is quarantined, its object stays", inst->name,
			  inst->version);
	}
}

static void unlink_retired(struct registry *r, struct nexus_service *inst)
{
	struct nexus_service **ip;

	for (ip = &r->retired; *ip; ip = &(*ip)->next)
		if (*ip == inst) {
			*ip = inst->next;
			return;
		}
}

/* Lock held: one step down; false when it does not come back. */
static bool step_down(struct nexus_service *inst, const char *step,
		      int (*fn)(struct nexus_service *inst), uint32_t timeout_ms)
{
	int ret;

	if (inst->running)
		return false;
	ret = instance_run(inst, step, fn, timeout_ms);
	if (inst->running)
		return false;
	if (ret)
		log_warn("service %s: %s: %s", inst->name, step, strerror(ret < 0 ? -ret : EIO));
	inst->forked = false;
	return true;
}

bool instance_unwind(struct nexus_service *inst, uint32_t timeout_ms)
{
	struct registry *r = inst->r;
	bool ok = true;

	pthread_mutex_lock(&r->lock);
	streams_end(inst, -ESHUTDOWN, "the service ends");
	ok = !inst->running || !streams_wait(inst, timeout_ms ? timeout_ms : r->opts.timeout_ms);
	ok = ok && !inst->running;
	if (ok && inst->stage == STAGE_STARTED)
		ok = step_down(inst, "service_stop", step_stop, timeout_ms);
	if (ok && inst->stage == STAGE_INITED)
		ok = step_down(inst, "service_cleanup", step_cleanup, timeout_ms);
	if (ok) {
		inst->starting = false;
		refs_drop(r, inst);
		if (inst->object.dl)
			ok = step_down(inst, "its destructors", step_close, timeout_ms);
	}
	if (!ok) {
		instance_retire(inst, false);
		pthread_mutex_unlock(&r->lock);
		return false;
	}
	unlink_retired(r, inst);
	pthread_mutex_unlock(&r->lock);
	object_close(&inst->object);
	recordstore_put(inst->records);
	cachestore_put(inst->cache);
	free(inst);
	return true;
}

void reap_retired(struct registry *r)
{
	struct nexus_service *inst;
	char name[NEXUS_SERVICE_NAME_MAX];

	for (;;) {
		pthread_mutex_lock(&r->lock);
		for (inst = r->retired; inst; inst = inst->next)
			if (!inst->held && !inst->running)
				break;
		if (inst)
			inst->held = true;
		pthread_mutex_unlock(&r->lock);
		if (!inst)
			return;
		memcpy(name, inst->name, sizeof(name));
		if (instance_unwind(inst, 0))
			log_info("what was left of service %s is gone", name);
	}
}
