// SPDX-License-Identifier: Apache-2.0
/* Mounts for people: nexus.mount.v1.Mounts. */
#include "rpc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "method.h"
#include "nexus/mount/v1/mount.pb-c.h"

#define M(name)	Nexus__Mount__V1__##name

/* Who did what; of what was refused nothing is logged that was not checked. */
static void note(struct mount_service *s, const struct method *m, const char *what,
		 const char *directory, int ret)
{
	const struct nexus_rpc_caller *c = &m->call->caller;
	char words[NEXUS_MOUNT_WORDS_MAX], plain[NEXUS_MOUNT_DIRECTORY_MAX + 1];
	char line[NEXUS_MOUNT_DIRECTORY_MAX + NEXUS_MOUNT_WORDS_MAX + 128];
	bool named = directory && !check_directory(directory, plain, words);

	snprintf(line, sizeof(line), "%s%s%s for uid %u (pid %d): %s", what, named ? " " : "",
		 named ? plain : "", c->uid, (int)c->pid,
		 !ret ? "done" : m->call->error[0] ? m->call->error : strerror(-ret));
	s->host->log(s->me, ret ? NEXUS_SERVICE_WARNING : NEXUS_SERVICE_INFO, line);
}

/* Of all that changes something. */
static int end(struct mount_service *s, const struct method *m, const char *what,
	       const char *directory, const char *words, int ret)
{
	if (ret && words[0])
		refuse(m->call, ret, "%s", words);
	note(s, m, what, directory, ret);
	return method_end(m, ret, NULL);
}

static int rpc_attach(void *self, void *call)
{
	struct nexus_mount_attach_args *a;
	struct mount_service *s = self;
	const M(AttachRequest) *req;
	struct method m;
	int ret = method_begin(&m, s->host, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->source = req->source;
	a->directory = req->directory;
	a->options = req->options;
	ret = mounts_attach(&s->mounts, a);
	return end(s, &m, "attach", req->directory, a->words, ret);
}

static int rpc_detach(void *self, void *call)
{
	struct nexus_mount_detach_args *a;
	struct mount_service *s = self;
	const M(DetachRequest) *req;
	struct method m;
	int ret = method_begin(&m, s->host, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->directory = req->directory;
	a->lazy = req->lazy;
	ret = mounts_detach(&s->mounts, a);
	return end(s, &m, "detach", req->directory, a->words, ret);
}

static int answer_list(const struct method *m, const struct nexus_mount_list_args *a)
{
	M(ListResponse) resp = NEXUS__MOUNT__V1__LIST_RESPONSE__INIT;
	M(Mount) *msgs = method_room(m, a->count, sizeof(*msgs));
	const struct nexus_mount *from;
	uint32_t i;

	resp.mounts = method_room(m, a->count, sizeof(*resp.mounts));
	if (!msgs || !resp.mounts)
		return -ENOMEM;
	for (i = 0; i < a->count; i++) {
		from = &a->mounts[i];
		nexus__mount__v1__mount__init(&msgs[i]);
		msgs[i].source = (char *)from->source;
		msgs[i].directory = (char *)from->directory;
		msgs[i].options = (char *)from->options;
		msgs[i].since_ms = from->since_ms;
		msgs[i].state = (M(MountState))from->state;
		msgs[i].saved = from->saved;
		msgs[i].reason = (char *)from->reason;
		resp.mounts[i] = &msgs[i];
	}
	resp.n_mounts = a->count;
	return nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int rpc_list(void *self, void *call)
{
	struct nexus_mount_list_args *a;
	struct mount_service *s = self;
	struct method m;
	int ret = method_begin(&m, s->host, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = mounts_list(&s->mounts, a, s->host->args_more);
	return method_end(&m, ret ? ret : answer_list(&m, a), NULL);
}

static int rpc_save(void *self, void *call)
{
	M(SaveResponse) resp = NEXUS__MOUNT__V1__SAVE_RESPONSE__INIT;
	struct nexus_mount_save_args *a;
	struct mount_service *s = self;
	struct method m;
	int ret = method_begin(&m, s->host, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	ret = mounts_save(&s->mounts, a);
	resp.count = a->count;
	if (!ret)
		ret = nexus_rpc_answer(m.host, m.call, &resp.base);
	return end(s, &m, "save", NULL, a->words, ret);
}

/* ---- who may call what ---------------------------------------------------------------- */

#define METHOD(name_, who_, lower) { \
	.name = (name_), \
	.who = (who_), \
	.request = &nexus__mount__v1__##lower##_request__descriptor, \
	.response = &nexus__mount__v1__##lower##_response__descriptor, \
	.call = rpc_##lower, \
}

/* Who mounts over a folder of the system's owns the machine: that is not for a group. */
static const struct nexus_rpc_method methods[] = {
	METHOD("Attach", NEXUS_RPC_ROOT, attach),
	METHOD("Detach", NEXUS_RPC_ROOT, detach),
	METHOD("List", NEXUS_RPC_ALL, list),
	METHOD("Save", NEXUS_RPC_ROOT, save),
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service mount_rpc[] = {
	{ "nexus.mount.v1.Mounts", methods },
	NEXUS_RPC_SERVICES_END,
};
