// SPDX-License-Identifier: Apache-2.0
/* Service namespace: what subjects may see, by the service permissions, for the registry. */
#include "rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES	(16u << 20)	/* unless the helper says something else */

#define OP(name, type) \
	static int op_##name(void *self, void *args) \
	{ \
		return names_##name(&((struct namespace *)self)->names, (struct type *)args); \
	}

OP(visible, nexus_namespace_visible_args)
OP(filter, nexus_namespace_filter_args)
OP(list, nexus_namespace_list_args)
OP(explain, nexus_namespace_explain_args)
OP(state, nexus_namespace_state)

/* ---- the permissions -------------------------------------------------------------- */

/* After -ETIMEDOUT the arguments are not to be looked at. */
static int ask_revision(void *arg, struct nexus_permission_read *read, uint32_t timeout_ms)
{
	const struct namespace *s = arg;
	struct nexus_permission_revision_args *a = s->host->args_new(sizeof(*a));
	int ret;

	if (!a)
		return -ENOMEM;
	a->read = *read;
	ret = nexus_service_call(s->host, s->permissions, struct nexus_permissions_ops, revision, a,
				 timeout_ms);
	if (!ret)
		memcpy(read->at, a->read.at, sizeof(read->at));
	s->host->args_free(a);
	return ret;
}

static char *keep(const struct namespace *s, void *args, const char *text, size_t len)
{
	char *copy = s->host->args_more(args, len + 1);

	return copy ? memcpy(copy, text, len) : NULL;
}

static int fill(const struct namespace *s, struct nexus_permission_objects_args *a,
		const char *subject, const char *after)
{
	const char *colon = strchr(subject, ':');

	a->list.tuple.object_type = NEXUS_NAMESPACE_TYPE;
	a->list.tuple.relation = NEXUS_NAMESPACE_RELATION;
	a->list.tuple.subject_type = keep(s, a, subject, (size_t)(colon - subject));
	a->list.tuple.subject_id = keep(s, a, colon + 1, strlen(colon + 1));
	if (after)
		a->list.after = keep(s, a, after, strlen(after));
	return a->list.tuple.subject_type && a->list.tuple.subject_id && (!after || a->list.after) ?
		0 : -ENOMEM;
}

static int take(const struct nexus_permission_objects_args *a, names_each each, void *each_arg,
		struct names_piece *p)
{
	uint32_t i;
	int ret = 0;

	memcpy(p->at, a->list.read.at, sizeof(p->at));
	p->unknown = a->list.why;
	p->more = a->list.more;
	p->valid_until = a->valid_until_ms;
	for (i = 0; i < a->list.nitems && !ret; i++)
		ret = each(each_arg, a->list.items[i].id);
	return ret;
}

static int ask_objects(void *arg, const char *subject, const char *after, uint32_t timeout_ms,
		       names_each each, void *each_arg, struct names_piece *p)
{
	const struct namespace *s = arg;
	struct nexus_permission_objects_args *a = s->host->args_new(sizeof(*a));
	int ret;

	if (!a)
		return -ENOMEM;
	ret = fill(s, a, subject, after);
	if (!ret)
		ret = nexus_service_call(s->host, s->permissions, struct nexus_permissions_ops,
					 objects, a, timeout_ms);
	if (!ret)
		ret = take(a, each, each_arg, p);
	s->host->args_free(a);
	/* The policy knows no paths, or no such subjects. */
	return ret == -ENOENT ? -ENODATA : ret;
}

static const struct names_source source = {
	.revision = ask_revision,
	.objects = ask_objects,
};

/* ---- its life --------------------------------------------------------------------- */

static int namespace_init(const struct nexus_service_host *host, struct nexus_service *me,
			  void **self)
{
	struct namespace *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->host = host;
	s->me = me;
	ret = names_init(&s->names, CACHE_BYTES);
	if (ret) {
		free(s);
		return ret;
	}
	s->names.source = &source;
	s->names.arg = s;
	s->names.more = host->args_more;
	*self = s;
	return 0;
}

static int namespace_start(void *self)
{
	struct namespace *s = self;

	/* Without this key it is as above. */
	(void)s->host->setting(s->me, "cache", &s->names.stats.limit);
	return s->host->get(s->me, NEXUS_PERMISSIONS, &s->permissions);
}

/* It keeps nothing that another build would need, and has no threads. */
static int namespace_stop(void *self)
{
	(void)self;
	return 0;
}

static void namespace_cleanup(void *self)
{
	struct namespace *s = self;

	s->host->put(s->permissions);
	names_end(&s->names);
	free(s);
}

static const struct nexus_namespace_ops ops = {
	.visible = op_visible,
	.filter = op_filter,
	.list = op_list,
	.explain = op_explain,
	.state = op_state,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_NAMESPACE, NEXUS_NAMESPACE_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

/* Since that version it says until when its lists are true. */
static const struct nexus_need needs[] = {
	{ NEXUS_PERMISSIONS, 3 },
	NEXUS_NEEDS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "namespace",
	.version = "1.0",
	.provides = provides,
	.needs = needs,
	.service_init = namespace_init,
	.service_start = namespace_start,
	.service_stop = namespace_stop,
	.service_cleanup = namespace_cleanup,
	.rpc = namespace_rpc,
};
