// SPDX-License-Identifier: Apache-2.0
/* What the registry shows of itself. */
#include <errno.h>
#include <stdlib.h>

#include "service_impl.h"

static void fill_instance(struct service_info *info, const struct nexus_service *inst)
{
	info->name = inst->name;
	info->version = inst->version;
	info->state = inst->state;
	info->mapped = inst->stage >= STAGE_MAPPED;
	info->calls_running = inst->running;
	info->calls = inst->calls;
	info->overruns = inst->overruns;
	info->loaded = inst->loaded;
	info->uid = inst->uid;
}

/* What is on its way out of a service that has nothing else. */
static const struct nexus_service *remains(const struct registry *r, const struct service *s)
{
	const struct nexus_service *inst;

	for (inst = r->retired; inst; inst = inst->next)
		if (inst->was == s)
			return inst;
	return NULL;
}

static int give_service(const struct registry *r, const struct service *s, service_info_fn fn,
			void *arg)
{
	struct service_info info = { .reason = "" };
	const struct nexus_service *inst = s->cur ? s->cur : remains(r, s);
	const char **holders = NULL;
	const struct nexus_ref *ref;
	size_t n = 0;
	int ret;

	if (inst)
		fill_instance(&info, inst);
	info.name = s->name;
	if (s->cur) {
		info.provides = s->cur->object.desc->provides;
		info.needs = s->cur->object.desc->needs;
	} else {
		info.version = s->version;
		info.state = SERVICE_QUARANTINED;
		info.reason = s->reason;
	}
	for (ref = s->refs; ref; ref = ref->next)
		n++;
	if (n) {
		holders = calloc(n, sizeof(*holders));
		if (!holders)
			return -ENOMEM;
	}
	for (ref = s->refs; ref; ref = ref->next)
		holders[info.nholders++] = ref->holder;
	info.holders = holders;
	ret = fn(arg, &info);
	free(holders);
	return ret;
}

/* Lock held. */
static int give_all(struct registry *r, service_info_fn fn, void *arg)
{
	struct graph_node nodes[SERVICES_MAX];
	struct nexus_service *inst;
	struct service *s;
	size_t n = 0, i;
	int ret = 0;

	for (s = r->services; s; s = s->next)
		nodes[n++] = (struct graph_node){
			.desc = s->cur ? s->cur->object.desc : NULL, .data = s,
		};
	graph_order(nodes, n, NULL);
	for (i = 0; i < n && !ret; i++)
		ret = give_service(r, nodes[i].data, fn, arg);
	for (inst = r->retired; inst && !ret; inst = inst->next) {
		struct service_info info = { .reason = "" };

		if (inst->was && !inst->was->cur && remains(r, inst->was) == inst)
			continue;	/* shown already */
		fill_instance(&info, inst);
		ret = fn(arg, &info);
	}
	return ret;
}

int service_list(struct registry *r, service_info_fn fn, void *arg)
{
	int ret;

	pthread_mutex_lock(&r->lock);
	ret = give_all(r, fn, arg);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

void registry_counts(struct registry *r, struct registry_counts *counts)
{
	struct nexus_service *inst;
	struct service *s;

	*counts = (struct registry_counts){ 0 };
	pthread_mutex_lock(&r->lock);
	for (s = r->services; s; s = s->next)
		counts->loaded += s->cur != NULL;
	for (inst = r->retired; inst; inst = inst->next)
		counts->quarantined += inst->state == SERVICE_QUARANTINED;
	counts->threads = r->threads;
	pthread_mutex_unlock(&r->lock);
}
