// SPDX-License-Identifier: Apache-2.0
/* References to protocols, and what the helper offers to services. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service_impl.h"
#include "service_rpc.h"
#include "stats.h"

static struct service *find_provider(struct registry *r, const char *protocol, uint32_t min_version)
{
	const struct nexus_protocol *p;
	struct service *s;

	for (s = r->services; s; s = s->next) {
		p = s->cur && !s->stopping ? desc_find(s->cur->object.desc, protocol) : NULL;
		if (p)
			return p->version >= min_version ? s : NULL;
	}
	return NULL;
}

int ref_new(struct registry *r, struct nexus_service *owner, const char *holder,
	    const char *protocol, uint32_t min_version, struct nexus_ref **ref)
{
	struct service *s = find_provider(r, protocol, min_version);
	struct nexus_ref *ref_made;

	if (!s)
		return -ENOENT;
	ref_made = calloc(1, sizeof(*ref_made));
	if (!ref_made)
		return -ENOMEM;
	ref_made->service = s;
	ref_made->owner = owner;
	snprintf(ref_made->holder, sizeof(ref_made->holder), "%s", holder);
	snprintf(ref_made->protocol, sizeof(ref_made->protocol), "%s", protocol);
	ref_made->next = s->refs;
	s->refs = ref_made;
	*ref = ref_made;
	return 0;
}

int service_get(struct registry *r, const char *holder, const char *protocol,
		uint32_t min_version, struct nexus_ref **ref)
{
	int ret;

	pthread_mutex_lock(&r->lock);
	ret = ref_new(r, NULL, holder, protocol, min_version, ref);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

void service_put(struct nexus_ref *ref)
{
	struct nexus_ref **rp;
	struct registry *r;

	if (!ref)
		return;
	r = ref->service->r;
	pthread_mutex_lock(&r->lock);
	for (rp = &ref->service->refs; *rp != ref; rp = &(*rp)->next)
		;
	*rp = ref->next;
	pthread_mutex_unlock(&r->lock);
	free(ref);
}

unsigned int refs_drop(struct registry *r, const struct nexus_service *owner)
{
	struct nexus_ref **rp, *ref;
	unsigned int n = 0;
	struct service *s;

	for (s = r->services; s; s = s->next)
		for (rp = &s->refs; (ref = *rp);) {
			if (ref->owner != owner) {
				rp = &ref->next;
				continue;
			}
			*rp = ref->next;
			log_warn("service %s has not given its reference to %s of service %s back",
				 owner->name, ref->protocol, s->name);
			free(ref);
			n++;
		}
	if (n)
		stats_add(service_leaks, n);
	return n;
}

/* ---- for services ------------------------------------------------------------------ */

static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

void said_set(struct nexus_service *inst, const char *line)
{
	pthread_mutex_lock(&said_lock);
	snprintf(inst->said, sizeof(inst->said), "%.*s", (int)strcspn(line, "\n"), line);
	pthread_mutex_unlock(&said_lock);
}

void said_get(const struct nexus_service *inst, char *line, size_t room)
{
	pthread_mutex_lock(&said_lock);
	snprintf(line, room, "%s", inst->said);
	pthread_mutex_unlock(&said_lock);
}

static void host_log(struct nexus_service *me, enum nexus_service_level level, const char *line)
{
	enum log_level l = LOG_L_DEBUG;

	if (level <= NEXUS_SERVICE_ERROR)
		l = LOG_L_ERROR;
	else if (level == NEXUS_SERVICE_WARNING)
		l = LOG_L_WARNING;
	else if (level <= NEXUS_SERVICE_INFO)
		l = LOG_L_INFO;
	log_line(l, "service %s: %.*s", me->name, (int)strcspn(line, "\n"), line);
	/* Who wants it loaded may not see the log. */
	if (l == LOG_L_ERROR)
		said_set(me, line);
}

static int host_get(struct nexus_service *me, const char *protocol, struct nexus_ref **ref)
{
	const struct nexus_need *n = me->object.desc->needs;
	struct registry *r = me->r;
	char holder[WHO_MAX];
	int ret;

	for (; n && n->name; n++)
		if (!strcmp(n->name, protocol))
			break;
	if (!n || !n->name)
		return -EPERM;
	snprintf(holder, sizeof(holder), "service %s", me->name);
	pthread_mutex_lock(&r->lock);
	ret = me->starting ? ref_new(r, me, holder, protocol, n->min_version, ref) : -EAGAIN;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* @dir, made when it is not there; root's alone. */
static int open_dir(int dirfd, const char *dir)
{
	int fd;

	if (mkdirat(dirfd, dir, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool may_use(struct nexus_service *me)
{
	bool starting;

	pthread_mutex_lock(&me->r->lock);
	starting = me->starting;
	pthread_mutex_unlock(&me->r->lock);
	return starting;
}

static int host_state_dir(struct nexus_service *me)
{
	struct registry *r = me->r;
	int all, fd;

	if (!may_use(me))
		return -EAGAIN;
	if (!r->opts.state)
		return -EOPNOTSUPP;
	all = open_dir(AT_FDCWD, r->opts.state);
	if (all < 0)
		return all;
	fd = open_dir(all, me->name);
	close(all);
	return fd;
}

static int host_setting(struct nexus_service *me, const char *name, uint64_t *value)
{
	const struct registry_opts *opts = &me->r->opts;
	char key[2 * NEXUS_SERVICE_NAME_MAX];
	int len = snprintf(key, sizeof(key), "%s_%s", me->name, name);

	return opts->setting && len < (int)sizeof(key) ?
		opts->setting(opts->setting_arg, key, value) : -ENOENT;
}

/* Opened without the lock: a server may take its time to answer. */
static int host_records(struct nexus_service *me, struct nexus_records **records)
{
	struct nexus_records *made = NULL;
	struct recordstore_info info;
	struct registry *r = me->r;
	int ret;

	if (!may_use(me))
		return -EAGAIN;
	if (!r->opts.records)
		return -EOPNOTSUPP;
	ret = recordstore_get(r->opts.records, me->name, &made);
	if (ret) {
		recordstore_info(r->opts.records, &info);
		said_set(me, info.error);
		return ret;
	}
	pthread_mutex_lock(&r->lock);
	if (!me->records) {
		me->records = made;
		made = NULL;
	}
	*records = me->records;
	pthread_mutex_unlock(&r->lock);
	recordstore_put(made);
	return 0;
}

/* The first of all waits for a server, without the lock. */
static int host_cache(struct nexus_service *me, struct nexus_cache **cache)
{
	struct nexus_cache *made = NULL;
	struct registry *r = me->r;
	int ret;

	if (!may_use(me))
		return -EAGAIN;
	if (!r->opts.cache)
		return -EOPNOTSUPP;
	ret = cachestore_get(r->opts.cache, me->name, &made);
	if (ret)
		return ret;
	pthread_mutex_lock(&r->lock);
	if (!me->cache) {
		me->cache = made;
		made = NULL;
	}
	*cache = me->cache;
	pthread_mutex_unlock(&r->lock);
	cachestore_put(made);
	return 0;
}

static int host_front(struct nexus_service *me, const struct nexus_front **front)
{
	struct registry *r = me->r;

	if (!may_use(me))
		return -EAGAIN;
	if (!r->opts.front)
		return -EOPNOTSUPP;
	*front = r->opts.front;
	return 0;
}

const struct nexus_service_host service_host = {
	.abi = NEXUS_SERVICE_ABI,
	.trial = false,
	.log = host_log,
	.get = host_get,
	.put = service_put,
	.args_new = service_args_new,
	.args_more = service_args_more,
	.args_free = service_args_free,
	.call = service_call_op,
	.stream_send = stream_send,
	.stream_end = stream_end,
	.rpc_answer = rpc_answer,
	.state_dir = host_state_dir,
	.setting = host_setting,
	.records = host_records,
	.cache = host_cache,
	.front = host_front,
};
