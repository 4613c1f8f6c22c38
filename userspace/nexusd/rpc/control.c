// SPDX-License-Identifier: Apache-2.0
/* The control services: decode, call the core, encode. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_impl.h"
#include "frame.h"

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

/* The core's error, with its line if it wrote one. */
int control_core_error(struct rpc_reply *reply, int error,
		      const struct control_err *err)
{
	return rpc_reply_error(reply, error, err->msg[0] ? "%s" : NULL,
			       err->msg);
}

int control_no_core(struct rpc_reply *reply)
{
	return rpc_reply_error(reply, -EOPNOTSUPP,
			       "this helper does not offer the operation");
}

int control_unpack(const ProtobufCMessageDescriptor *desc,
		  const uint8_t *payload, size_t len, struct rpc_reply *reply,
		  void *out)
{
	ProtobufCMessage **msg = out;

	if (len > REQUEST_MAX) {
		rpc_reply_error(reply, -EMSGSIZE,
				"the request has %zu bytes, at most %u are allowed",
				len, REQUEST_MAX);
		return -EMSGSIZE;
	}
	*msg = protobuf_c_message_unpack(desc, NULL, len, payload);
	if (!*msg) {
		rpc_reply_error(reply, -EINVAL, "the payload is no %s",
				desc->name);
		return -EINVAL;
	}
	return 0;
}

int control_pack_reply(struct rpc_reply *reply, const ProtobufCMessage *msg)
{
	uint8_t *out;

	out = rpc_reply_alloc(reply, protobuf_c_message_get_packed_size(msg));
	if (!out)
		return reply->error;
	protobuf_c_message_pack(msg, out);
	return 0;
}

static bool text_ok(const char *text)
{
	return frame_utf8((const uint8_t *)text, strlen(text));
}

int control_check_text(struct rpc_reply *reply, const char *what,
		      const char *text)
{
	if (text_ok(text))
		return 0;
	return rpc_reply_error(reply, -EILSEQ, "%s is not valid UTF-8", what);
}

/* The answer of Create, Info and Upgrade: one zone, as field 1. */
static int answer_zone(struct control *c, const char *name,
		       struct rpc_reply *reply)
{
	Nexus__Control__V1__ZonesInfoResponse msg =
		NEXUS__CONTROL__V1__ZONES_INFO_RESPONSE__INIT;
	struct control_zone_info *info;
	struct control_err err = { "" };
	int ret;

	if (!c->ops->zone_info)
		return control_no_core(reply);
	info = calloc(1, sizeof(*info));
	if (!info)
		return -ENOMEM;
	ret = c->ops->zone_info(c->ctx, name, info, &err);
	if (ret) {
		control_core_error(reply, ret, &err);
		goto out;
	}
	msg.zone = msg_zone(info);
	ret = msg.zone ? control_pack_reply(reply, &msg.base) : -ENOMEM;
	free(msg.zone);
out:
	free(info);
	return ret;
}

static int zones_create(void *ctx, const struct rpc_peer *peer,
			const uint8_t *payload, size_t len,
			struct rpc_reply *reply)
{
	Nexus__Control__V1__ZonesCreateRequest *req;
	struct control_option opts[OPTIONS_MAX];
	struct control_err err = { "" };
	struct control *c = ctx;
	size_t i;
	int ret;

	(void)peer;
	if (!c->ops->zone_create)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__zones_create_request__descriptor,
		     payload, len, reply, &req);
	if (ret)
		return ret;
	if (req->n_options > OPTIONS_MAX) {
		ret = rpc_reply_error(reply, -EINVAL,
				      "%zu options, at most %u are allowed",
				      req->n_options, OPTIONS_MAX);
		goto out;
	}
	ret = control_check_text(reply, "the name", req->name);
	if (!ret)
		ret = control_check_text(reply, "the store", req->store);
	for (i = 0; i < req->n_options && !ret; i++) {
		opts[i].key = req->options[i]->key;
		opts[i].value = req->options[i]->value;
		ret = control_check_text(reply, "an option", opts[i].key);
		if (!ret)
			ret = control_check_text(reply, opts[i].key, opts[i].value);
	}
	if (ret)
		goto out;
	ret = c->ops->zone_create(c->ctx, req->name, req->store, opts,
				  req->n_options, &err);
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = answer_zone(c, req->name, reply);
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int collect_zone(void *arg, const struct control_zone_info *info)
{
	return msg_list_add(arg, msg_zone(info));
}

static int zones_list(void *ctx, const struct rpc_peer *peer,
		      const uint8_t *payload, size_t len,
		      struct rpc_reply *reply)
{
	Nexus__Control__V1__ZonesListResponse msg =
		NEXUS__CONTROL__V1__ZONES_LIST_RESPONSE__INIT;
	struct msg_list list = { NULL, 0, 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	(void)payload;
	(void)len;
	if (!c->ops->zone_list)
		return control_no_core(reply);
	ret = c->ops->zone_list(c->ctx, collect_zone, &list, &err);
	if (ret) {
		control_core_error(reply, ret, &err);
	} else {
		msg.n_zones = list.n;
		msg.zones = (Nexus__Control__V1__Zone **)list.items;
		ret = control_pack_reply(reply, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}

static int zones_info(void *ctx, const struct rpc_peer *peer,
		      const uint8_t *payload, size_t len,
		      struct rpc_reply *reply)
{
	Nexus__Control__V1__ZonesInfoRequest *req;
	int ret;

	(void)peer;
	ret = control_unpack(&nexus__control__v1__zones_info_request__descriptor,
		     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the name", req->name);
	if (!ret)
		ret = answer_zone(ctx, req->name, reply);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int zones_upgrade(void *ctx, const struct rpc_peer *peer,
			 const uint8_t *payload, size_t len,
			 struct rpc_reply *reply)
{
	Nexus__Control__V1__ZonesUpgradeRequest *req;
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->zone_upgrade)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__zones_upgrade_request__descriptor,
		     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the name", req->name);
	if (!ret) {
		ret = c->ops->zone_upgrade(c->ctx, req->name, &err);
		if (ret)
			control_core_error(reply, ret, &err);
		else
			ret = answer_zone(c, req->name, reply);
	}
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int collect_stat(void *arg, const struct control_stat *stat)
{
	return msg_list_add(arg, msg_stat(stat));
}

static int stats_get(void *ctx, const struct rpc_peer *peer,
		     const uint8_t *payload, size_t len,
		     struct rpc_reply *reply)
{
	Nexus__Control__V1__StatsGetResponse msg =
		NEXUS__CONTROL__V1__STATS_GET_RESPONSE__INIT;
	struct msg_list list = { NULL, 0, 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	(void)payload;
	(void)len;
	if (!c->ops->stats)
		return control_no_core(reply);
	ret = c->ops->stats(c->ctx, collect_stat, &list, &err);
	if (ret) {
		control_core_error(reply, ret, &err);
	} else {
		msg.n_stats = list.n;
		msg.stats = (Nexus__Control__V1__Stat **)list.items;
		ret = control_pack_reply(reply, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}

/* What the core says about itself; on an error the reply is set. */
static struct control_status *get_status(struct control *c,
					 struct rpc_reply *reply)
{
	struct control_status *status;
	struct control_err err = { "" };
	int ret;

	if (!c->ops->status) {
		control_no_core(reply);
		return NULL;
	}
	status = calloc(1, sizeof(*status));
	if (!status) {
		rpc_reply_error(reply, -ENOMEM, NULL);
		return NULL;
	}
	ret = c->ops->status(c->ctx, status, &err);
	if (ret) {
		control_core_error(reply, ret, &err);
		free(status);
		return NULL;
	}
	return status;
}

static int health_check(void *ctx, const struct rpc_peer *peer,
			const uint8_t *payload, size_t len,
			struct rpc_reply *reply)
{
	Nexus__Control__V1__HealthCheckResponse msg =
		NEXUS__CONTROL__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct control_status *status = get_status(ctx, reply);
	int ret;

	(void)peer;
	(void)payload;
	(void)len;
	if (!status)
		return reply->error;
	msg.state = (Nexus__Control__V1__HealthCheckResponse__State)status->state;
	msg.attached = status->link == CONTROL_LINK_LIVE;
	ret = control_pack_reply(reply, &msg.base);
	free(status);
	return ret;
}

static int session_status(void *ctx, const struct rpc_peer *peer,
			  const uint8_t *payload, size_t len,
			  struct rpc_reply *reply)
{
	Nexus__Control__V1__SessionStatusResponse msg =
		NEXUS__CONTROL__V1__SESSION_STATUS_RESPONSE__INIT;
	struct control_status *status = get_status(ctx, reply);
	int ret;

	(void)peer;
	(void)payload;
	(void)len;
	if (!status)
		return reply->error;
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
	ret = control_pack_reply(reply, &msg.base);
	free(status);
	return ret;
}

static int version_get(void *ctx, const struct rpc_peer *peer,
		       const uint8_t *payload, size_t len,
		       struct rpc_reply *reply)
{
	Nexus__Control__V1__VersionGetResponse msg =
		NEXUS__CONTROL__V1__VERSION_GET_RESPONSE__INIT;
	struct control_version version = { .abi = 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	(void)payload;
	(void)len;
	if (!c->ops->version)
		return control_no_core(reply);
	ret = c->ops->version(c->ctx, &version, &err);
	if (ret)
		return control_core_error(reply, ret, &err);
	msg.version = version.version;
	msg.module_version = version.module_version;
	msg.abi = version.abi;
	msg.format = version.format;
	return control_pack_reply(reply, &msg.base);
}

static const struct rpc_method health_methods[] = {
	{ "Check", health_check, 0 },
	{ NULL, NULL, 0 },
};

static const struct rpc_method version_methods[] = {
	{ "Get", version_get, 0 },
	{ NULL, NULL, 0 },
};

static const struct rpc_method zones_methods[] = {
	{ "Create", zones_create, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ "List", zones_list, 0 },
	{ "Info", zones_info, 0 },
	{ "Upgrade", zones_upgrade, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ NULL, NULL, 0 },
};

static const struct rpc_method stats_methods[] = {
	{ "Get", stats_get, 0 },
	{ NULL, NULL, 0 },
};

static const struct rpc_method session_methods[] = {
	{ "Status", session_status, 0 },
	{ NULL, NULL, 0 },
};

static const struct rpc_service service_table[] = {
	{ "nexus.control.v1.Health", health_methods, NULL },
	{ "nexus.control.v1.Version", version_methods, NULL },
	{ "nexus.control.v1.Zones", zones_methods, NULL },
	{ "nexus.control.v1.Packs", control_pack_methods, NULL },
	{ "nexus.control.v1.Scrub", control_scrub_methods, NULL },
	{ "nexus.control.v1.Quotas", control_quota_methods, NULL },
	{ "nexus.control.v1.Stats", stats_methods, NULL },
	{ "nexus.control.v1.Session", session_methods, NULL },
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
