// SPDX-License-Identifier: Apache-2.0
/* The dispatch table, replies, and the one table of errno to status code. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "rpc.h"

int rpc_code_from_errno(int error)
{
	switch (-error) {
	case 0:
		return RPC_OK;
	case ECANCELED:
	case EINTR:
		return RPC_CANCELLED;
	case EINVAL:
	case ENAMETOOLONG:
	case EILSEQ:
	case EDOM:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case EMSGSIZE:
		return RPC_INVALID_ARGUMENT;
	case ETIMEDOUT:
		return RPC_DEADLINE_EXCEEDED;
	case ENOENT:
	case ENXIO:
	case ENODEV:
	case ESRCH:
		return RPC_NOT_FOUND;
	case EEXIST:
		return RPC_ALREADY_EXISTS;
	case EACCES:
	case EPERM:
		return RPC_PERMISSION_DENIED;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
	case EUSERS:
	case ENFILE:
	case EFBIG:
		return RPC_RESOURCE_EXHAUSTED;
	case EBUSY:
	case ETXTBSY:
	case EROFS:
	case ENOTEMPTY:
	case EXDEV:
		return RPC_FAILED_PRECONDITION;
	case ESTALE:
		return RPC_ABORTED;
	case ERANGE:
	case EOVERFLOW:
		return RPC_OUT_OF_RANGE;
	case EOPNOTSUPP:
	case ENOSYS:
	case ENOTTY:
		return RPC_UNIMPLEMENTED;
	case EAGAIN:
	case EHOSTDOWN:
	case ESHUTDOWN:
	case ECONNREFUSED:
	case ENOTCONN:
		return RPC_UNAVAILABLE;
	case EUCLEAN:
	case EBADMSG:
		return RPC_DATA_LOSS;
	case EKEYREJECTED:
	case EKEYEXPIRED:
		return RPC_UNAUTHENTICATED;
	default:
		return RPC_INTERNAL;
	}
}

/* One line of valid UTF-8, whatever went into it. */
static void clean_line(char *line)
{
	uint8_t *p;

	for (p = (uint8_t *)line; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (frame_utf8((uint8_t *)line, strlen(line)))
		return;
	for (p = (uint8_t *)line; *p; p++)
		if (*p & 0x80)
			*p = '?';
}

static void set_error(struct rpc_reply *reply, int code, int error)
{
	free(reply->data);
	reply->data = NULL;
	reply->len = 0;
	reply->code = code;
	reply->error = error;
}

int rpc_reply_error(struct rpc_reply *reply, int error, const char *fmt, ...)
{
	va_list ap;

	set_error(reply, rpc_code_from_errno(error), error);
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(reply->message, sizeof(reply->message), fmt, ap);
		va_end(ap);
	} else {
		snprintf(reply->message, sizeof(reply->message), "%s",
			 strerror(-error));
	}
	clean_line(reply->message);
	return error;
}

void rpc_reply_code(struct rpc_reply *reply, int code, const char *fmt, ...)
{
	va_list ap;

	set_error(reply, code, 0);
	va_start(ap, fmt);
	vsnprintf(reply->message, sizeof(reply->message), fmt, ap);
	va_end(ap);
	clean_line(reply->message);
}

uint8_t *rpc_reply_alloc(struct rpc_reply *reply, size_t len)
{
	free(reply->data);
	reply->data = NULL;
	reply->len = 0;
	if (len > RPC_REPLY_MAX) {
		rpc_reply_error(reply, -EMSGSIZE,
				"the answer has %zu bytes, more than the %u a message may have",
				len, RPC_REPLY_MAX);
		reply->code = RPC_RESOURCE_EXHAUSTED;
		return NULL;
	}
	reply->data = malloc(len ? len : 1);
	if (!reply->data) {
		rpc_reply_error(reply, -ENOMEM, NULL);
		return NULL;
	}
	reply->len = len;
	return reply->data;
}

void rpc_reply_release(struct rpc_reply *reply)
{
	free(reply->data);
	memset(reply, 0, sizeof(*reply));
}

const struct rpc_method *rpc_find(const struct rpc_service *services,
				  const char *service, const char *method,
				  void **ctx)
{
	const struct rpc_service *s;
	const struct rpc_method *m;

	for (s = services; s->name; s++) {
		if (strcmp(s->name, service))
			continue;
		for (m = s->methods; m->name; m++) {
			if (strcmp(m->name, method))
				continue;
			if (ctx)
				*ctx = s->ctx;
			return m;
		}
	}
	return NULL;
}

void rpc_dispatch(const struct rpc_service *services,
		  const struct rpc_peer *peer, const char *service,
		  const char *method, const uint8_t *payload, size_t len,
		  struct rpc_reply *reply)
{
	const struct rpc_method *m;
	void *ctx;
	int err;

	m = rpc_find(services, service, method, &ctx);
	if (!m) {
		rpc_reply_code(reply, RPC_UNIMPLEMENTED,
			       "unknown method %s/%s", service, method);
		return;
	}
	if ((m->flags & RPC_METHOD_CHANGES) && !peer->may_change && peer->subject) {
		rpc_reply_error(reply, -EPERM,
				"%s/%s changes things: only root and members of group " RPC_GROUP
				" may, and %.200s is neither", service, method, peer->subject);
		return;
	}
	if ((m->flags & RPC_METHOD_CHANGES) && !peer->may_change) {
		rpc_reply_error(reply, -EPERM,
				"%s/%s changes things: only root and members of group " RPC_GROUP
				" may, and uid %u is neither",
				service, method, (unsigned int)peer->uid);
		return;
	}
	err = m->handler(ctx, m->data, peer, payload, len, reply);
	if (err && reply->code == RPC_OK)
		rpc_reply_error(reply, err, NULL);
}
