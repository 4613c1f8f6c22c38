// SPDX-License-Identifier: Apache-2.0
/* The control operations: services. */
#include <errno.h>
#include <string.h>

#include "core_impl.h"
#include "helper.h"
#include "service.h"

static int give_err(int ret, const struct errline *line, struct control_err *err)
{
	char buf[128];

	return ret ? control_err(err, ret, "%s", err_text(line, ret, buf, sizeof(buf))) : 0;
}

int core_service_load(void *ctx, const char *const *names, size_t n,
		      const struct control_caller *caller, struct control_err *err)
{
	const struct service_caller who = { caller->uid, caller->pid };
	struct errline line = { "" };
	struct helper *h = ctx;

	return give_err(service_load(h->services, names, n, &who, &line), &line, err);
}

int core_service_unload(void *ctx, const char *name, const struct control_caller *caller,
			struct control_err *err)
{
	const struct service_caller who = { caller->uid, caller->pid };
	struct errline line = { "" };
	struct helper *h = ctx;

	return give_err(service_unload(h->services, name, &who, &line), &line, err);
}

int core_service_swap(void *ctx, const char *name, const struct control_caller *caller,
		      struct control_err *err)
{
	const struct service_caller who = { caller->uid, caller->pid };
	struct errline line = { "" };
	struct helper *h = ctx;

	return give_err(service_swap(h->services, name, &who, &line), &line, err);
}

struct list_arg {
	const char *name;
	control_service_fn fn;
	void *arg;
	size_t n;
};

static int give(void *arg, const struct service_info *info)
{
	struct control_protocol provides[NEXUS_SERVICE_PROTOCOLS_MAX];
	struct control_protocol needs[NEXUS_SERVICE_PROTOCOLS_MAX];
	struct list_arg *la = arg;
	struct control_service s = {
		.name = info->name,
		.version = info->version,
		.state = (enum control_service_state)info->state,
		.reason = info->reason,
		.mapped = info->mapped,
		.provides = provides,
		.needs = needs,
		.holders = info->holders,
		.nholders = info->nholders,
		.calls_running = info->calls_running,
		.calls = info->calls,
		.overruns = info->overruns,
		.loaded = info->loaded,
		.uid = info->uid,
	};
	const struct nexus_protocol *p;
	const struct nexus_need *need;

	if (la->name && strcmp(la->name, info->name))
		return 0;
	for (p = info->provides; p && p->name; p++)
		provides[s.nprovides++] = (struct control_protocol){ p->name, p->version };
	for (need = info->needs; need && need->name; need++)
		needs[s.nneeds++] = (struct control_protocol){ need->name, need->min_version };
	la->n++;
	return la->fn(la->arg, &s);
}

int core_service_list(void *ctx, const char *name, control_service_fn fn, void *arg,
		      struct control_err *err)
{
	struct list_arg la = { name, fn, arg, 0 };
	struct helper *h = ctx;
	int ret = service_list(h->services, give, &la);

	if (!ret && name && !la.n)
		ret = control_err(err, -ENOENT, "service %.80s is not loaded", name);
	return ret;
}
