// SPDX-License-Identifier: Apache-2.0
/* The control services: decode, call the core, encode. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_impl.h"
#include "text.h"

#define REQUEST_MAX	65536u	/* nothing anyone has to say is longer */
#define OPTIONS_MAX	64

int control_err(struct control_err *err, int error, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return error;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return error;
}

/* ---- every call ------------------------------------------------------------- */

/** struct control - context of every handler */
struct control {
	const struct control_ops *ops;
	void *ctx;
};

static bool has_op(const struct control_ops *ops, size_t offset)
{
	void (*op)(void);

	memcpy(&op, (const char *)ops + offset, sizeof(op));
	return op;
}

static int unpack(const ProtobufCMessageDescriptor *desc, const uint8_t *payload,
		  size_t len, struct rpc_reply *reply, ProtobufCMessage **msg)
{
	const char *name;
	int ret;

	if (len > REQUEST_MAX)
		return rpc_reply_error(reply, -EMSGSIZE,
				       "the request has %zu bytes, at most %u are allowed",
				       len, REQUEST_MAX);
	ret = text_check(desc, payload, len, &name);
	if (ret == -EILSEQ)
		return rpc_reply_error(reply, ret, "the %s is not valid UTF-8", name);
	*msg = ret ? NULL : protobuf_c_message_unpack(desc, NULL, len, payload);
	if (!*msg)
		return rpc_reply_error(reply, -EINVAL, "the payload is no %s",
				       desc->name);
	return 0;
}

int control_handle(void *ctx, const void *data, const struct rpc_peer *peer,
		   const uint8_t *payload, size_t len, struct rpc_reply *reply)
{
	const struct control_method *method = data;
	const struct control *c = ctx;
	struct control_call call = {
		.ops = c->ops,
		.core = c->ctx,
		.caller = { peer->uid, peer->pid },
		.reply = reply,
	};
	ProtobufCMessage *req = NULL;
	int ret = 0;

	if (!has_op(c->ops, method->op))
		return rpc_reply_error(reply, -EOPNOTSUPP,
				       "this helper does not offer the operation");
	if (method->request)
		ret = unpack(method->request, payload, len, reply, &req);
	if (ret)
		goto out;
	call.req = req;
	ret = method->handler(&call);
	if (ret && reply->code == RPC_OK)
		rpc_reply_error(reply, ret, call.err.msg[0] ? "%s" : NULL,
				call.err.msg);
out:
	protobuf_c_message_free_unpacked(req, NULL);
	return ret;
}

int control_reply(struct control_call *call, const ProtobufCMessage *msg)
{
	uint8_t *out;

	out = rpc_reply_alloc(call->reply, protobuf_c_message_get_packed_size(msg));
	if (!out)
		return call->reply->error;
	protobuf_c_message_pack(msg, out);
	return 0;
}

/* ---- zones ------------------------------------------------------------------- */

/* The answer of Create, Info and Upgrade: one zone, as field 1. */
static int answer_zone(struct control_call *call, const char *name)
{
	Nexus__Control__V1__ZonesInfoResponse msg =
		NEXUS__CONTROL__V1__ZONES_INFO_RESPONSE__INIT;
	struct control_zone_info *info;
	int ret;

	/* Not the method's own operation, but of Info. */
	if (!call->ops->zone_info)
		return -EOPNOTSUPP;
	info = calloc(1, sizeof(*info));
	if (!info)
		return -ENOMEM;
	ret = call->ops->zone_info(call->core, name, info, &call->err);
	if (ret)
		goto out;
	msg.zone = msg_zone(info);
	ret = msg.zone ? control_reply(call, &msg.base) : -ENOMEM;
	free(msg.zone);
out:
	free(info);
	return ret;
}

static int zones_create(struct control_call *call)
{
	const Nexus__Control__V1__ZonesCreateRequest *req = call->req;
	struct control_option opts[OPTIONS_MAX];
	size_t i;
	int ret;

	if (req->n_options > OPTIONS_MAX)
		return control_err(&call->err, -EINVAL,
				   "%zu options, at most %u are allowed",
				   req->n_options, OPTIONS_MAX);
	for (i = 0; i < req->n_options; i++) {
		opts[i].key = req->options[i]->key;
		opts[i].value = req->options[i]->value;
	}
	ret = call->ops->zone_create(call->core, req->name, req->store, opts,
				     req->n_options, &call->err);
	return ret ? ret : answer_zone(call, req->name);
}

static int collect_zone(void *arg, const struct control_zone_info *info)
{
	return msg_list_add(arg, msg_zone(info));
}

static int zones_list(struct control_call *call)
{
	Nexus__Control__V1__ZonesListResponse msg =
		NEXUS__CONTROL__V1__ZONES_LIST_RESPONSE__INIT;
	struct msg_list list = { NULL, 0, 0 };
	int ret;

	ret = call->ops->zone_list(call->core, collect_zone, &list, &call->err);
	if (!ret) {
		msg.n_zones = list.n;
		msg.zones = (Nexus__Control__V1__Zone **)list.items;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}

static int zones_info(struct control_call *call)
{
	const Nexus__Control__V1__ZonesInfoRequest *req = call->req;

	return answer_zone(call, req->name);
}

static int zones_upgrade(struct control_call *call)
{
	const Nexus__Control__V1__ZonesUpgradeRequest *req = call->req;
	int ret;

	ret = call->ops->zone_upgrade(call->core, req->name, &call->err);
	return ret ? ret : answer_zone(call, req->name);
}

/* ---- the helper itself --------------------------------------------------------- */

static int collect_stat(void *arg, const struct control_stat *stat)
{
	return msg_list_add(arg, msg_stat(stat));
}

static int stats_get(struct control_call *call)
{
	Nexus__Control__V1__StatsGetResponse msg =
		NEXUS__CONTROL__V1__STATS_GET_RESPONSE__INIT;
	struct msg_list list = { NULL, 0, 0 };
	int ret;

	ret = call->ops->stats(call->core, collect_stat, &list, &call->err);
	if (!ret) {
		msg.n_stats = list.n;
		msg.stats = (Nexus__Control__V1__Stat **)list.items;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}

/* What the core says about itself, to be freed; 0 or a negative errno. */
static int get_status(struct control_call *call, struct control_status **status)
{
	int ret;

	*status = calloc(1, sizeof(**status));
	if (!*status)
		return -ENOMEM;
	ret = call->ops->status(call->core, *status, &call->err);
	if (ret)
		free(*status);
	return ret;
}

static int health_check(struct control_call *call)
{
	Nexus__Control__V1__HealthCheckResponse msg =
		NEXUS__CONTROL__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct control_status *status;
	int ret;

	ret = get_status(call, &status);
	if (ret)
		return ret;
	msg.state = (Nexus__Control__V1__HealthCheckResponse__State)status->state;
	msg.attached = status->link == CONTROL_LINK_LIVE;
	ret = control_reply(call, &msg.base);
	free(status);
	return ret;
}

static int session_status(struct control_call *call)
{
	Nexus__Control__V1__SessionStatusResponse msg =
		NEXUS__CONTROL__V1__SESSION_STATUS_RESPONSE__INIT;
	struct control_status *status;
	int ret;

	ret = get_status(call, &status);
	if (ret)
		return ret;
	msg.state = (Nexus__Control__V1__HealthCheckResponse__State)status->state;
	msg.link = (Nexus__Control__V1__SessionStatusResponse__Link)status->link;
	msg.session = status->session;
	msg.reason = status->reason;
	msg.metastore = status->metastore;
	msg.objectstore = status->objectstore;
	msg.data_dir = status->data_dir;
	msg.module_version = status->module_version;
	msg.pid = status->pid;
	msg.queues = status->queues;
	msg.started = status->started;
	msg.zones = status->zones;
	msg.zones_mounted = status->zones_mounted;
	msg.recordstore = status->recordstore;
	msg.recordstore_state =
		(Nexus__Control__V1__SessionStatusResponse__RecordStore)status->records;
	msg.recordstore_error = status->records_error;
	msg.recordstore_error_at = status->records_error_at;
	msg.profile = status->profile;
	msg.degraded = status->degraded;
	msg.bricks_missing = status->bricks_missing;
	msg.cachestore = status->cachestore;
	msg.cachestore_state =
		(Nexus__Control__V1__SessionStatusResponse__CacheStore)status->cache;
	msg.cachestore_error = status->cache_error;
	msg.cachestore_error_at = status->cache_error_at;
	ret = control_reply(call, &msg.base);
	free(status);
	return ret;
}

static int version_get(struct control_call *call)
{
	Nexus__Control__V1__VersionGetResponse msg =
		NEXUS__CONTROL__V1__VERSION_GET_RESPONSE__INIT;
	struct control_version version = { .abi = 0 };
	int ret;

	ret = call->ops->version(call->core, &version, &call->err);
	if (ret)
		return ret;
	msg.version = version.version;
	msg.module_version = version.module_version;
	msg.abi = version.abi;
	msg.format = version.format;
	return control_reply(call, &msg.base);
}

/* ---- tables ------------------------------------------------------------------- */

static const struct rpc_method health_methods[] = {
	CONTROL_METHOD("Check", 0, NULL, status, health_check),
	CONTROL_METHODS_END,
};

static const struct rpc_method version_methods[] = {
	CONTROL_METHOD("Get", 0, NULL, version, version_get),
	CONTROL_METHODS_END,
};

static const struct rpc_method zones_methods[] = {
	CONTROL_METHOD("Create", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__zones_create_request__descriptor,
		       zone_create, zones_create),
	CONTROL_METHOD("List", 0, NULL, zone_list, zones_list),
	CONTROL_METHOD("Info", 0, &nexus__control__v1__zones_info_request__descriptor,
		       zone_info, zones_info),
	CONTROL_METHOD("Upgrade", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__zones_upgrade_request__descriptor,
		       zone_upgrade, zones_upgrade),
	CONTROL_METHODS_END,
};

static const struct rpc_method stats_methods[] = {
	CONTROL_METHOD("Get", 0, NULL, stats, stats_get),
	CONTROL_METHODS_END,
};

static const struct rpc_method session_methods[] = {
	CONTROL_METHOD("Status", 0, NULL, status, session_status),
	CONTROL_METHOD("Boot", 0, NULL, boot, session_boot),
	CONTROL_METHOD("Profile", 0, &nexus__control__v1__session_profile_request__descriptor,
		       profile, session_profile),
	CONTROL_METHODS_END,
};

static const struct rpc_service service_table[] = {
	{ "nexus.control.v1.Health", health_methods, NULL },
	{ "nexus.control.v1.Version", version_methods, NULL },
	{ "nexus.control.v1.Zones", zones_methods, NULL },
	{ "nexus.control.v1.Packs", control_pack_methods, NULL },
	{ "nexus.control.v1.Scrub", control_scrub_methods, NULL },
	{ "nexus.control.v1.Uploads", control_upload_methods, NULL },
	{ "nexus.control.v1.Gc", control_gc_methods, NULL },
	{ "nexus.control.v1.Buckets", control_bucket_methods, NULL },
	{ "nexus.control.v1.Quotas", control_quota_methods, NULL },
	{ "nexus.control.v1.Stats", stats_methods, NULL },
	{ "nexus.control.v1.Session", session_methods, NULL },
	{ "nexus.service.v1.Services", control_service_methods, NULL },
	{ NULL, NULL, NULL },
};

#define SERVICES	(sizeof(service_table) / sizeof(service_table[0]))

/* The table a caller holds, with its context behind it. */
struct control_table {
	struct rpc_service services[SERVICES];
	struct control control;
};

const struct rpc_service *control_services(const struct control_ops *ops,
					   void *ctx)
{
	struct control_table *table;
	size_t i;

	table = malloc(sizeof(*table));
	if (!table)
		return NULL;
	memcpy(table->services, service_table, sizeof(service_table));
	for (i = 0; i < SERVICES; i++)
		table->services[i].ctx = &table->control;
	table->control.ops = ops;
	table->control.ctx = ctx;
	return table->services;
}

void control_services_free(const struct rpc_service *services)
{
	free((void *)services);
}
