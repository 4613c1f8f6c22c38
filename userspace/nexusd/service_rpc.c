// SPDX-License-Identifier: Apache-2.0
/*
 * Calls from outside into services: looked up in the descriptors of what is
 * loaded, so that nothing has to be taken back when one goes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "rpc/text.h"
#include "service_impl.h"
#include "service_rpc.h"

#define DEPTH_MAX	16u	/* of messages within messages */

/* ---- descriptors ------------------------------------------------------------------ */

static bool name_ok(const char *name, const char *more)
{
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i + 1 >= NEXUS_RPC_NAME_MAX)
			return false;
		if ((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
		    (name[i] >= '0' && name[i] <= '9') || strchr(more, name[i]))
			continue;
		return false;
	}
	return i;
}

/* Below a protocol that it provides: what no other service can have. */
static bool name_own(const struct nexus_service_desc *d, const char *name)
{
	const struct nexus_protocol *p;
	size_t len;

	for (p = d->provides; p && p->name; p++) {
		len = strlen(p->name);
		if (!strncmp(name, p->name, len) && name[len] == '.')
			return true;
	}
	return false;
}

static const ProtobufCFieldDescriptor *subject_field(const struct nexus_rpc_method *m)
{
	const ProtobufCFieldDescriptor *field;

	if (!m->subject || !m->request)
		return NULL;
	field = protobuf_c_message_descriptor_get_field_by_name(m->request, m->subject);
	return field && field->type == PROTOBUF_C_TYPE_STRING &&
		field->label != PROTOBUF_C_LABEL_REPEATED ? field : NULL;
}

/* Messages within messages: decoding is recursive, and its stack has an end. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static bool too_deep(const ProtobufCMessageDescriptor *desc, unsigned int depth)
{
	const ProtobufCFieldDescriptor *field = desc->fields;
	unsigned int i;

	if (depth > DEPTH_MAX)
		return true;
	for (i = 0; i < desc->n_fields; i++, field++)
		if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
		    too_deep(field->descriptor, depth + 1))
			return true;
	return false;
}

/* What is wrong with a method, or NULL. */
static const char *method_fault(const struct nexus_rpc_method *m)
{
	if (!name_ok(m->name, "_"))
		return "has no good name";
	if (m->who < NEXUS_RPC_ROOT || m->who > NEXUS_RPC_ALL)
		return "does not say who may call it";
	if (!m->call)
		return "has no function";
	if (m->request && too_deep(m->request, 1))
		return "has a request with messages in messages without end";
	if ((m->who == NEXUS_RPC_SELF) != (m->subject != NULL))
		return "has a subject and not NEXUS_RPC_SELF, or the other way round";
	if (m->subject && !subject_field(m))
		return "has a subject that is no string of its request";
	return NULL;
}

static int check_methods(const struct nexus_service_desc *d, const struct nexus_rpc_service *s,
			 struct errline *err)
{
	const struct nexus_rpc_method *m, *n;
	const char *fault;

	for (m = s->methods; m && m->name; m++) {
		if (m - s->methods >= (ptrdiff_t)NEXUS_RPC_METHODS_MAX)
			return err_set(err, -EPROTO, "service %s: %s has more than %u methods",
				       d->name, s->name, NEXUS_RPC_METHODS_MAX);
		fault = method_fault(m);
		for (n = s->methods; !fault && n < m; n++)
			if (!strcmp(n->name, m->name))
				fault = "is there twice";
		if (fault)
			return err_set(err, -EPROTO, "service %s: method %td of %s %s", d->name,
				       m - s->methods + 1, s->name, fault);
	}
	return 0;
}

int rpc_check(const struct nexus_service_desc *d, struct errline *err)
{
	const struct nexus_rpc_service *s, *t;
	int ret;

	for (s = d->rpc; s && s->name; s++) {
		if (s - d->rpc >= (ptrdiff_t)NEXUS_RPC_SERVICES_MAX)
			return err_set(err, -EPROTO, "service %s has more than %u RPC services",
				       d->name, NEXUS_RPC_SERVICES_MAX);
		if (!name_ok(s->name, "_."))
			return err_set(err, -EPROTO, "service %s: RPC service %td has no good name",
				       d->name, s - d->rpc + 1);
		if (!name_own(d, s->name))
			return err_set(err, -EPROTO,
				       "service %s: RPC service %s has not the name of a protocol it provides in front",
				       d->name, s->name);
		for (t = d->rpc; t < s; t++)
			if (!strcmp(t->name, s->name))
				return err_set(err, -EPROTO, "service %s has RPC service %s twice",
					       d->name, s->name);
		ret = check_methods(d, s, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- find ------------------------------------------------------------------------- */

static const struct nexus_rpc_method *find_in(const struct nexus_service_desc *d,
					      const char *service, const char *method)
{
	const struct nexus_rpc_service *s;
	const struct nexus_rpc_method *m;

	for (s = d->rpc; s && s->name; s++) {
		if (strcmp(s->name, service))
			continue;
		for (m = s->methods; m && m->name; m++)
			if (!strcmp(m->name, method))
				return m;
	}
	return NULL;
}

/* Lock held. */
static const struct nexus_rpc_method *find(struct registry *r, const char *service,
					   const char *method, struct nexus_service **inst)
{
	const struct nexus_rpc_method *m;
	struct service *s;

	for (s = r->services; s; s = s->next) {
		m = s->cur && !s->stopping ? find_in(s->cur->object.desc, service, method) : NULL;
		if (m) {
			*inst = s->cur;
			return m;
		}
	}
	return NULL;
}

int service_rpc_find(struct registry *r, const char *service, const char *method,
		     struct service_method *found)
{
	const struct nexus_rpc_method *m;
	struct nexus_service *inst;

	pthread_mutex_lock(&r->lock);
	m = find(r, service, method, &inst);
	if (m)
		*found = (struct service_method){ m->who, m->event != NULL };
	pthread_mutex_unlock(&r->lock);
	return m ? 0 : -ENOENT;
}

bool service_rpc_serves(struct registry *r, const char *service)
{
	const struct nexus_rpc_service *rpc;
	bool found = false;
	struct service *s;

	pthread_mutex_lock(&r->lock);
	for (s = r->services; s && !found; s = s->next)
		for (rpc = s->cur && !s->stopping ? s->cur->object.desc->rpc : NULL;
		     rpc && rpc->name && !found; rpc++)
			found = !strcmp(rpc->name, service);
	pthread_mutex_unlock(&r->lock);
	return found;
}

/* ---- call ------------------------------------------------------------------------- */

/* The arguments of a call, and what is the registry's of them behind. */
struct rpc_args {
	struct nexus_rpc_call call;
	const struct nexus_rpc_method *method;
	struct registry *r;
	uint8_t request[];
};

struct nexus_rpc_call *service_rpc_new(const uint8_t *request, size_t len)
{
	struct rpc_args *a;

	a = service_args_new(sizeof(*a) + (len <= NEXUS_RPC_REQUEST_MAX ? len : 0));
	if (!a)
		return NULL;
	if (len && len <= NEXUS_RPC_REQUEST_MAX)
		memcpy(a->request, request, len);
	a->call.request = a->request;
	a->call.request_len = len;
	return &a->call;
}

static void *alloc_with_args(void *args, size_t size)
{
	return service_args_more(args, size);
}

static void free_with_args(void *args, void *at)
{
	(void)args;
	(void)at;
}

static int decode(struct rpc_args *a)
{
	ProtobufCAllocator with_args = { alloc_with_args, free_with_args, a };
	struct nexus_rpc_call *call = &a->call;
	const char *bad;
	int ret;

	ret = text_check(a->method->request, call->request, call->request_len, &bad);
	if (ret == -EILSEQ) {
		snprintf(call->error, sizeof(call->error), "the %s is not valid UTF-8", bad);
		return ret;
	}
	call->msg = ret ? NULL : protobuf_c_message_unpack(a->method->request, &with_args, call->request_len,
					      call->request);
	if (!call->msg) {
		snprintf(call->error, sizeof(call->error), "the payload is no %s",
			 a->method->request->name);
		return -EINVAL;
	}
	return 0;
}

/*
 * The one place that decides who may call what, whichever front end the call has
 * come through.
 */
static int may_call(struct rpc_args *a)
{
	const struct nexus_rpc_method *m = a->method;
	struct nexus_rpc_call *call = &a->call;
	const char *subject;

	switch (m->who) {
	case NEXUS_RPC_ALL:
		return 0;
	case NEXUS_RPC_ROOT:
		if (call->caller.uid == 0)
			return 0;
		snprintf(call->error, sizeof(call->error), "only root may call this, not %.200s",
			 call->caller.subject);
		return -EPERM;
	case NEXUS_RPC_SELF:
		if (call->caller.admin)
			return 0;
		subject = *(char *const *)((const char *)call->msg + subject_field(m)->offset);
		if (!subject || !subject[0] || !strcmp(subject, call->caller.subject))
			return 0;
		snprintf(call->error, sizeof(call->error),
			 "only root and members of group nexusfs may call this for others, %.150s only for itself",
			 call->caller.subject);
		return -EPERM;
	case NEXUS_RPC_ADMIN:
		break;
	}
	if (call->caller.admin)
		return 0;
	snprintf(call->error, sizeof(call->error),
		 "only root and members of group nexusfs may call this, not %.180s",
		 call->caller.subject);
	return -EPERM;
}

int rpc_answer(struct nexus_rpc_call *call, const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t *answer;

	if (len > NEXUS_RPC_ANSWER_MAX)
		return -EMSGSIZE;
	answer = service_args_more(call, len ? len : 1);
	if (!answer)
		return -ENOMEM;
	protobuf_c_message_pack(msg, answer);
	call->answer = answer;
	call->answer_len = len;
	return 0;
}

/* It may be in the object, which may be unmapped as soon as the call has returned. */
static int keep_answer(struct nexus_rpc_call *call)
{
	void *copy;

	if (call->answer_len > NEXUS_RPC_ANSWER_MAX)
		return -EMSGSIZE;
	if (!call->answer_len)
		return 0;
	copy = service_args_more(call, call->answer_len);
	if (!copy)
		return -ENOMEM;
	call->answer = memcpy(copy, call->answer, call->answer_len);
	return 0;
}

/* On a thread of the registry. */
static int rpc_run(void *self, void *args)
{
	struct rpc_args *a = args;
	struct nexus_rpc_call *call = &a->call;
	int ret = 0;

	if (a->method->request)
		ret = decode(a);
	if (!ret)
		ret = may_call(a);
	if (!ret)
		ret = a->method->call(self, call);
	if (!ret)
		ret = keep_answer(call);
	if (call->stream) {
		pthread_mutex_lock(&a->r->lock);
		stream_begun(call->stream, call->cookie, ret);
		pthread_mutex_unlock(&a->r->lock);
	}
	return ret;
}

int service_rpc_call(struct registry *r, const char *service, const char *method,
		     const struct service_method *found, struct nexus_rpc_call *call,
		     uint32_t timeout_ms)
{
	struct rpc_args *a = (struct rpc_args *)call;
	struct nexus_service *inst = NULL;
	char name[NEXUS_RPC_NAME_MAX];
	int ret = 0;

	if (call->request_len > NEXUS_RPC_REQUEST_MAX) {
		snprintf(call->error, sizeof(call->error),
			 "the request has %zu bytes, at most %u are allowed", call->request_len,
			 NEXUS_RPC_REQUEST_MAX);
		return -EMSGSIZE;
	}
	snprintf(name, sizeof(name), "%s", method);
	a->r = r;
	pthread_mutex_lock(&r->lock);
	a->method = find(r, service, method, &inst);
	if (!a->method || a->method->who != found->who || (a->method->event != NULL) != found->stream ||
	    (call->stream != NULL) != found->stream)
		ret = 1;
	if (!ret && call->stream)
		ret = stream_bind(call->stream, inst, a->method->event, call->caller.uid);
	if (!ret)
		ret = instance_call(inst, name, call->caller.subject, rpc_run, a, timeout_ms);
	/* It may not even have run. */
	if (ret && ret != -ETIMEDOUT)
		stream_begun(call->stream, NULL, ret);
	pthread_mutex_unlock(&r->lock);
	return ret;
}
