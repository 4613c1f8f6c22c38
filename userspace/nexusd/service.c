// SPDX-License-Identifier: Apache-2.0
/* The registry: what may be loaded, unloaded and swapped, and when. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service_impl.h"
#include "service_rpc.h"
#include "stats.h"

#define END_MS	20000u	/* all together; systemd has 60 s for the whole helper */

struct registry *registry_new(const struct registry_opts *opts)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->opts = *opts;
	pthread_mutex_init(&r->change, NULL);
	pthread_mutex_init(&r->lock, NULL);
	calls_init(r);
	return r;
}

void registry_set_front(struct registry *r, const struct nexus_front *front)
{
	r->opts.front = front;
}

static struct service *find(struct registry *r, const char *name)
{
	struct service *s;

	for (s = r->services; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

/* Lock held.  Room in @nodes for SERVICES_MAX. */
static size_t current_nodes(struct registry *r, struct graph_node *nodes)
{
	struct service *s;
	size_t n = 0;

	for (s = r->services; s; s = s->next)
		nodes[n++] = (struct graph_node){
			.desc = s->cur ? s->cur->object.desc : NULL, .data = s,
		};
	return n;
}

/* The last word on a change, for whoever looks for it in the log later. */
static int audit(const char *what, const char *name, const char *version,
		 const struct service_caller *who, int ret, const struct errline *err)
{
	char buf[128];

	if (ret) {
		stats_inc(service_refusals);
		log_warn("service %.64s: %s refused to uid %u, pid %d: %s", name, what, who->uid,
			 who->pid, err_text(err, ret, buf, sizeof(buf)));
	} else {
		log_info("service %s%s%s: %s done for uid %u, pid %d", name, *version ? " " : "",
			 version, what, who->uid, who->pid);
	}
	return ret;
}

/* ---- load ---------------------------------------------------------------------------- */

/* A batch: instances on their way to be services. */
struct batch {
	struct nexus_service *inst[SERVICES_MAX];
	struct service *made[SERVICES_MAX];	/* in the order of their start */
	size_t n, nmade;
};

static int check_names(struct registry *r, const char *const *names, size_t n, struct errline *err)
{
	struct service *s;
	size_t i, j, have = 0;
	bool active;

	if (!n)
		return err_set(err, -EINVAL, "no service is named");
	for (s = r->services; s; s = s->next)
		have++;
	if (n > SERVICES_MAX - have)
		return err_set(err, -ENOSPC, "%zu services are loaded, at most %u can be", have,
			       SERVICES_MAX);
	for (i = 0; i < n; i++) {
		for (j = 0; j < i; j++)
			if (!strcmp(names[i], names[j]))
				return err_set(err, -EINVAL, "service %.80s is named twice", names[i]);
		s = find(r, names[i]);
		if (!s)
			continue;
		pthread_mutex_lock(&r->lock);
		active = s->cur;
		pthread_mutex_unlock(&r->lock);
		if (active)
			return err_set(err, -EEXIST, "service %s is loaded already", s->name);
		return err_set(err, -EEXIST, "service %s is quarantined; swap it for another build, or unload it",
			       s->name);
	}
	return 0;
}

/* Puts the batch in the order of its needs. */
static int order_batch(struct registry *r, struct batch *b, struct errline *err)
{
	struct graph_node nodes[2 * SERVICES_MAX];
	size_t n, i, k = 0;
	int ret;

	pthread_mutex_lock(&r->lock);
	n = current_nodes(r, nodes);
	for (i = 0; i < n; i++)
		nodes[i].data = NULL;
	for (i = 0; i < b->n; i++)
		nodes[n++] = (struct graph_node){
			.desc = b->inst[i]->object.desc, .check = true, .data = b->inst[i],
		};
	ret = graph_order(nodes, n, err);
	pthread_mutex_unlock(&r->lock);
	for (i = 0; i < n && !ret; i++)
		if (nodes[i].data)
			b->inst[k++] = nodes[i].data;
	return ret;
}

/* From here on others see it. */
static int publish(struct registry *r, struct nexus_service *inst, struct service **out)
{
	struct service *s = calloc(1, sizeof(*s)), **sp;

	if (!s)
		return -ENOMEM;
	s->r = r;
	memcpy(s->name, inst->name, sizeof(s->name));
	pthread_mutex_lock(&r->lock);
	s->cur = inst;
	inst->service = s;
	for (sp = &r->services; *sp; sp = &(*sp)->next)
		;
	*sp = s;
	pthread_mutex_unlock(&r->lock);
	*out = s;
	return 0;
}

/* Lock held: no more than its calls in flight use it from here on. */
static void forget(struct registry *r, struct service *s)
{
	struct nexus_service *inst;
	struct service **sp;

	for (sp = &r->services; *sp != s; sp = &(*sp)->next)
		;
	*sp = s->next;
	for (inst = r->retired; inst; inst = inst->next)
		if (inst->was == s)
			inst->was = NULL;
}

/*
 * Takes a service away that nobody holds.  -ETIMEDOUT when a call into it is in
 * the way of its object.  change held.
 */
static int take_away(struct registry *r, struct service *s, uint32_t timeout_ms)
{
	struct nexus_service *inst;
	int ret = 0;
	bool kept;

	pthread_mutex_lock(&r->lock);
	s->stopping = true;
	inst = s->cur;
	if (inst) {
		inst->state = SERVICE_STOPPING;
		streams_end(inst, -ESHUTDOWN, "the service was unloaded");
		ret = instance_drain(inst, timeout_ms);
		if (ret && inst->state != SERVICE_QUARANTINED)
			instance_quarantine(inst, "a call did not return");
		instance_retire(inst, true);
	}
	kept = s->refs;
	if (!kept)
		forget(r, s);
	pthread_mutex_unlock(&r->lock);
	if (inst && !instance_unwind(inst, timeout_ms))
		ret = -ETIMEDOUT;
	if (!kept)
		free(s);
	return ret;
}

static int start_batch(struct registry *r, struct batch *b, struct errline *err)
{
	struct nexus_service *inst;
	int ret = 0;
	size_t i;

	for (i = 0; i < b->n && !ret; i++) {
		inst = b->inst[i];
		ret = instance_start(inst, err);
		if (!ret)
			ret = publish(r, inst, &b->made[b->nmade]);
		if (ret)
			break;
		b->inst[i] = NULL;
		b->nmade++;
	}
	if (!ret)
		return 0;
	/* Back, in reverse: the one that failed, then those that had started. */
	if (b->inst[i])
		instance_unwind(b->inst[i], r->opts.timeout_ms);
	b->inst[i] = NULL;
	while (b->nmade)
		take_away(r, b->made[--b->nmade], r->opts.timeout_ms);
	return ret;
}

int service_load(struct registry *r, const char *const *names, size_t n,
		 const struct service_caller *who, struct errline *err)
{
	struct errline line = { "" };
	struct batch b = { .n = 0 };
	char version[NEXUS_SERVICE_VERSION_MAX];
	size_t i;
	int ret;

	pthread_mutex_lock(&r->change);
	ret = r->ending ? err_set(&line, -ESHUTDOWN, "the helper is stopping") :
		check_names(r, names, n, &line);
	for (i = 0; i < n && !ret; i++) {
		ret = instance_new(r, names[i], who, &b.inst[i], &line);
		b.n += !ret;
	}
	if (!ret)
		ret = order_batch(r, &b, &line);
	if (!ret)
		ret = start_batch(r, &b, &line);
	for (i = 0; i < b.n; i++)
		if (b.inst[i])
			instance_unwind(b.inst[i], r->opts.timeout_ms);
	if (ret)
		audit("load", n ? names[0] : "", "", who, ret, &line);
	for (i = 0; i < b.nmade; i++) {
		stats_inc(service_loads);
		pthread_mutex_lock(&r->lock);
		snprintf(version, sizeof(version), "%s",
			 b.made[i]->cur ? b.made[i]->cur->version : b.made[i]->version);
		pthread_mutex_unlock(&r->lock);
		audit("load", b.made[i]->name, version, who, 0, NULL);
	}
	pthread_mutex_unlock(&r->change);
	if (err && ret)
		*err = line;
	return ret;
}

/* ---- unload -------------------------------------------------------------------------- */

static void name_holder(char *text, size_t room, const char *fmt, const char *a, const char *b)
{
	size_t len = strlen(text);
	char words[2 * NEXUS_SERVICE_NAME_MAX + 64];

	snprintf(words, sizeof(words), fmt, a, b);
	if (strstr(text, words))	/* one of several references */
		return;
	snprintf(text + len, room - len, "%s%s", len ? ", " : "", words);
}

/* Lock held: those who would miss it, by name; "" when there are none. */
static void find_holders(struct registry *r, const struct service *s, char *text, size_t room)
{
	const struct nexus_protocol *p;
	const struct nexus_need *n;
	const struct nexus_ref *ref;
	struct service *o;

	text[0] = '\0';
	for (p = s->cur ? s->cur->object.desc->provides : NULL; p && p->name; p++)
		for (o = r->services; o; o = o->next)
			for (n = o->cur ? o->cur->object.desc->needs : NULL; n && n->name; n++)
				if (!strcmp(n->name, p->name))
					name_holder(text, room, "service %s needs %s", o->name, p->name);
	for (ref = s->refs; ref; ref = ref->next)
		name_holder(text, room, "%s holds %s", ref->holder, ref->protocol);
}

/* Lock held: whether what was quarantined is still in some call, or on its way out. */
static bool still_there(struct registry *r, const struct service *s)
{
	struct nexus_service *inst;

	for (inst = r->retired; inst; inst = inst->next)
		if (inst->was == s)
			return true;
	return false;
}

static int unload(struct registry *r, const char *name, char *version, struct errline *err)
{
	struct service *s = find(r, name);
	char holders[384];
	int ret = 0;

	if (!s)
		return err_set(err, -ENOENT, "service %.80s is not loaded", name);
	pthread_mutex_lock(&r->lock);
	find_holders(r, s, holders, sizeof(holders));
	if (holders[0])
		ret = err_set(err, -EBUSY, "service %s is in use: %s", name, holders);
	else if (!s->cur && still_there(r, s))
		ret = err_set(err, -EBUSY,
			      "service %s is quarantined, and a call into it has not returned; swap it for another build, or restart the helper",
			      name);
	if (!ret)
		s->stopping = true;	/* nobody gets a reference any more */
	snprintf(version, NEXUS_SERVICE_VERSION_MAX, "%s",
		 s->cur ? s->cur->version : s->version);
	pthread_mutex_unlock(&r->lock);
	if (!ret && take_away(r, s, r->opts.timeout_ms))
		ret = err_set(err, -ETIMEDOUT,
			      "service %s is unloaded, but a call into it has not returned; its object stays until it does",
			      name);
	return ret;
}

int service_unload(struct registry *r, const char *name, const struct service_caller *who,
		   struct errline *err)
{
	char version[NEXUS_SERVICE_VERSION_MAX] = "";
	struct errline line = { "" };
	int ret;

	pthread_mutex_lock(&r->change);
	ret = unload(r, name, version, &line);
	if (!ret)
		stats_inc(service_unloads);
	audit("unload", name, version, who, ret, &line);
	pthread_mutex_unlock(&r->change);
	if (err && ret)
		*err = line;
	return ret;
}

/* ---- swap ---------------------------------------------------------------------------- */

/* Lock held: nobody may miss anything, and no cycle may come of it. */
static int check_swap(struct registry *r, struct service *s, const struct nexus_service *inst,
		      struct errline *err)
{
	struct graph_node nodes[SERVICES_MAX];
	const struct nexus_ref *ref;
	size_t n, i;
	int ret = 0;

	if (s->cur)
		ret = graph_replaces(s->cur->object.desc, inst->object.desc, err);
	for (ref = s->refs; ref && !ret; ref = ref->next)
		if (!desc_find(inst->object.desc, ref->protocol))
			ret = err_set(err, -EPROTO, "service %s %s does not provide protocol %s, which %s holds",
				      s->name, inst->version, ref->protocol, ref->holder);
	if (ret)
		return ret;
	n = current_nodes(r, nodes);
	for (i = 0; i < n; i++)
		if (nodes[i].data == s) {
			nodes[i].desc = inst->object.desc;
			nodes[i].check = true;
		}
	return graph_order(nodes, n, err);
}

static int swap(struct registry *r, struct service *s, struct nexus_service *inst,
		struct errline *err)
{
	struct nexus_service *old;
	int ret;

	pthread_mutex_lock(&r->lock);
	ret = check_swap(r, s, inst, err);
	pthread_mutex_unlock(&r->lock);
	if (!ret)
		ret = instance_start(inst, err);
	if (ret) {
		instance_unwind(inst, r->opts.timeout_ms);
		return ret;
	}
	pthread_mutex_lock(&r->lock);
	old = s->cur;
	if (old)
		instance_retire(old, true);
	s->cur = inst;
	inst->service = s;
	s->reason[0] = '\0';
	/* What was begun in the old one ends there. */
	if (old)
		streams_end(old, -ESHUTDOWN, "the service was replaced; call again");
	if (old && instance_drain(old, r->opts.timeout_ms)) {
		if (r->opts.quarantine && old->state != SERVICE_QUARANTINED)
			instance_quarantine(old, "a call did not return");
		old->held = false;
		old = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	if (old)
		instance_unwind(old, r->opts.timeout_ms);
	return 0;
}

int service_swap(struct registry *r, const char *name, const struct service_caller *who,
		 struct errline *err)
{
	char version[NEXUS_SERVICE_VERSION_MAX] = "";
	struct errline line = { "" };
	struct nexus_service *inst;
	struct service *s;
	int ret = 0;

	pthread_mutex_lock(&r->change);
	s = find(r, name);
	if (r->ending)
		ret = err_set(&line, -ESHUTDOWN, "the helper is stopping");
	else if (!s)
		ret = err_set(&line, -ENOENT, "service %.80s is not loaded", name);
	if (!ret)
		ret = instance_new(r, name, who, &inst, &line);
	if (!ret) {
		memcpy(version, inst->version, sizeof(version));
		ret = swap(r, s, inst, &line);
	}
	if (!ret)
		stats_inc(service_swaps);
	audit("swap", name, version, who, ret, &line);
	pthread_mutex_unlock(&r->change);
	if (err && ret)
		*err = line;
	return ret;
}

/* ---- the end ------------------------------------------------------------------------- */

void registry_end(struct registry *r)
{
	uint32_t ms = r->opts.timeout_ms < END_MS ? r->opts.timeout_ms : END_MS;
	uint64_t until = service_now() + ms * 1000000ull, now;
	struct graph_node nodes[SERVICES_MAX];
	size_t n;

	pthread_mutex_lock(&r->change);
	r->ending = true;
	pthread_mutex_lock(&r->lock);
	n = current_nodes(r, nodes);
	if (graph_order(nodes, n, NULL))
		log_error("services cannot be put in order; they are stopped as they were loaded");
	pthread_mutex_unlock(&r->lock);
	while (n--) {
		now = service_now();
		log_info("service %s ends", ((struct service *)nodes[n].data)->name);
		take_away(r, nodes[n].data, now < until ? (uint32_t)((until - now) / 1000000) + 1 : 1);
	}
	reap_retired(r);
	pthread_mutex_lock(&r->lock);
	r->over = true;
	calls_end(r);
	pthread_mutex_unlock(&r->lock);
	pthread_mutex_unlock(&r->change);
}

bool registry_free(struct registry *r)
{
	struct nexus_ref *ref;
	struct service *s;
	bool left;

	pthread_mutex_lock(&r->lock);
	left = r->threads || r->retired;
	if (left)
		log_warn("a call into a service has not returned: it ends with the process");
	pthread_mutex_unlock(&r->lock);
	if (left)
		return false;
	while ((s = r->services)) {
		r->services = s->next;
		while ((ref = s->refs)) {
			s->refs = ref->next;
			free(ref);
		}
		free(s);
	}
	pthread_cond_destroy(&r->idle_cond);
	pthread_cond_destroy(&r->watch_cond);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->change);
	free(r);
	return true;
}
