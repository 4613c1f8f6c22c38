// SPDX-License-Identifier: Apache-2.0
/* Service permissions: relationships in the helper's record store, for the registry. */
#include <errno.h>
#include <stdlib.h>

#include "rpc.h"

#define OP(name, type) \
	static int name(void *self, void *args) \
	{ \
		return base_##name(&((struct permissions *)self)->base, (struct type *)args); \
	}

OP(check, nexus_permission_check_args)
OP(write, nexus_permission_write_args)
OP(delete, nexus_permission_delete_args)
OP(explain, nexus_permission_explain_args)
OP(expand, nexus_permission_expand_args)
OP(list_objects, nexus_permission_list_args)
OP(list_subjects, nexus_permission_list_args)
OP(policy_set, nexus_permission_policy_args)
OP(policy_get, nexus_permission_policy_args)
OP(clean, nexus_permission_clean_args)
OP(state, nexus_permission_state)
OP(sharing, nexus_permission_sharing)
OP(revision, nexus_permission_revision_args)

static int objects(void *self, void *args)
{
	return base_objects_until(&((struct permissions *)self)->base, args);
}

#define CACHE_BYTES	(32u << 20)	/* unless the helper says something else */

static void say(void *arg, const char *line)
{
	struct permissions *p = arg;

	p->host->log(p->me, NEXUS_SERVICE_ERROR, line);
}

static int permissions_init(const struct nexus_service_host *host, struct nexus_service *me,
			    void **self)
{
	struct permissions *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	base_init(&p->base, NULL, host->args_more);
	p->host = host;
	p->me = me;
	*self = p;
	return 0;
}

static int make_cache(struct permissions *p)
{
	uint64_t bytes = CACHE_BYTES, closures = 1;

	/* Without these keys it is as above. */
	(void)p->host->setting(p->me, "cache", &bytes);
	(void)p->host->setting(p->me, "closure", &closures);
	if (!bytes)
		return 0;
	p->base.cache = cache_new(bytes, closures);
	return p->base.cache ? 0 : -ENOMEM;
}

static void say_switch(void *arg, bool shared)
{
	struct permissions *p = arg;

	p->host->log(p->me, shared ? NEXUS_SERVICE_INFO : NEXUS_SERVICE_WARNING, shared ?
		     "answers are shared with other helpers through the cache store" :
		     "the cache store's server is lost: the record store answers until it is back");
}

/* The helper knows whether others have its record store. */
static int make_share(struct permissions *p)
{
	struct nexus_cache *cache;
	uint64_t wanted = 0;
	int ret;

	(void)p->host->setting(p->me, "share", &wanted);
	if (!wanted || !p->base.cache)
		return 0;
	ret = p->host->cache(p->me, &cache);
	if (ret)	/* no cache store at all is one without a server */
		return ret == -EOPNOTSUPP ? 0 : ret;
	p->base.share = share_new(cache, say_switch, p, &ret);
	return ret;
}

static int permissions_start(void *self)
{
	struct permissions *p = self;
	struct nexus_records *records;
	int ret;

	ret = make_cache(p);
	if (!ret)
		ret = make_share(p);
	if (ret)
		return ret;
	ret = p->host->records(p->me, &records);
	if (!ret)
		ret = rebac_record_new(records, "permissions", say, p, &p->base.store);
	return ret;
}

/*
 * The store keeps no state of its own, so two builds have it at once during a swap: as two
 * helpers do, each finds in the store what the other one has changed.
 */
static int permissions_stop(void *self)
{
	(void)self;
	return 0;
}

static void permissions_cleanup(void *self)
{
	struct permissions *p = self;

	base_end(&p->base);
	if (p->base.store)
		p->base.store->ops->close(p->base.store);
	free(p);
}

static const struct nexus_permissions_ops ops = {
	.check = check,
	.write = write,
	.delete = delete,
	.explain = explain,
	.expand = expand,
	.list_objects = list_objects,
	.list_subjects = list_subjects,
	.policy_set = policy_set,
	.policy_get = policy_get,
	.clean = clean,
	.state = state,
	.objects = objects,
	.revision = revision,
	.sharing = sharing,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_PERMISSIONS, NEXUS_PERMISSIONS_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "permissions",
	.version = "1.3",
	.provides = provides,
	.service_init = permissions_init,
	.service_start = permissions_start,
	.service_stop = permissions_stop,
	.service_cleanup = permissions_cleanup,
	.rpc = permissions_rpc,
};
