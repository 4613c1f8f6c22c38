// SPDX-License-Identifier: Apache-2.0
/* The control services as C functions. */
#include <errno.h>
#include <stdlib.h>

#include "message.h"

int client_message(struct nexus_client *client, const char *service,
		   const char *method, const ProtobufCMessage *request,
		   const ProtobufCMessageDescriptor *desc, void *answer)
{
	ProtobufCMessage **msg = answer;
	size_t len, reply_len;
	void *reply;
	uint8_t *buf;
	int err;

	len = protobuf_c_message_get_packed_size(request);
	buf = malloc(len ? len : 1);
	if (!buf) {
		client_fail(client, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	protobuf_c_message_pack(request, buf);
	err = nexus_call(client, service, method, buf, len, &reply, &reply_len);
	free(buf);
	if (err)
		return err;
	*msg = protobuf_c_message_unpack(desc, NULL, reply_len, reply);
	free(reply);
	if (!*msg) {
		client_fail(client, -EPROTO,
			    "the helper's answer to %s/%s is no %s; are helper and tools of one version?",
			    service, method, desc->name);
		return -EPROTO;
	}
	return 0;
}

static int give_zone(const Nexus__Control__V1__Zone *msg, nexus_zone_fn fn,
		     void *arg)
{
	struct nexus_zone zone = {
		.name = msg->name,
		.uuid = msg->uuid,
		.state = (enum nexus_zone_state)msg->state,
		.reason = msg->reason,
		.store = msg->store,
		.data_dir = msg->data_dir,
		.format_version = msg->format_version,
		.compat = msg->compat,
		.ro_compat = msg->ro_compat,
		.incompat = msg->incompat,
		.lsn_tail = msg->lsn_tail,
		.lsn_durable = msg->lsn_durable,
		.lsn_applied = msg->lsn_applied,
		.lsn_checkpoint = msg->lsn_checkpoint,
		.inodes = msg->inodes,
		.bytes = msg->bytes,
		.segments = msg->segments,
		.packs = msg->packs,
	};

	return fn(arg, &zone);
}

/* The answer of a call about one zone. */
static int give_one(struct nexus_client *client,
		    const Nexus__Control__V1__Zone *msg, nexus_zone_fn fn,
		    void *arg)
{
	if (!fn)
		return 0;
	if (!msg)
		return client_fail(client, -EPROTO,
				   "the helper's answer names no zone");
	return give_zone(msg, fn, arg);
}

static Nexus__Control__V1__ZonesCreateRequest__OptionsEntry *
option_entries(const struct nexus_option *options, size_t n)
{
	Nexus__Control__V1__ZonesCreateRequest__OptionsEntry *entries;
	size_t i;

	entries = calloc(n ? n : 1, sizeof(*entries));
	if (!entries)
		return NULL;
	for (i = 0; i < n; i++) {
		nexus__control__v1__zones_create_request__options_entry__init(
			&entries[i]);
		entries[i].key = (char *)options[i].key;
		entries[i].value = (char *)options[i].value;
	}
	return entries;
}

NEXUS_EXPORT int nexus_zone_create(struct nexus_client *client,
				   const char *name, const char *store,
				   const struct nexus_option *options, size_t n,
				   nexus_zone_fn fn, void *arg)
{
	Nexus__Control__V1__ZonesCreateRequest__OptionsEntry *entries, **ptrs;
	Nexus__Control__V1__ZonesCreateRequest req =
		NEXUS__CONTROL__V1__ZONES_CREATE_REQUEST__INIT;
	Nexus__Control__V1__ZonesCreateResponse *res;
	size_t i;
	int err;

	entries = option_entries(options, n);
	ptrs = calloc(n ? n : 1, sizeof(*ptrs));
	if (!entries || !ptrs) {
		err = client_fail(client, -ENOMEM, "out of memory");
		goto out;
	}
	for (i = 0; i < n; i++)
		ptrs[i] = &entries[i];
	req.name = (char *)name;
	if (store)
		req.store = (char *)store;
	req.n_options = n;
	req.options = ptrs;
	err = client_message(client, SERVICE("Zones"), "Create", &req.base,
		   &nexus__control__v1__zones_create_response__descriptor,
		   &res);
	if (err)
		goto out;
	err = give_one(client, res->zone, fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
out:
	free(ptrs);
	free(entries);
	return err;
}

NEXUS_EXPORT int nexus_zone_list(struct nexus_client *client, nexus_zone_fn fn,
				 void *arg)
{
	Nexus__Control__V1__ZonesListRequest req =
		NEXUS__CONTROL__V1__ZONES_LIST_REQUEST__INIT;
	Nexus__Control__V1__ZonesListResponse *res;
	size_t i;
	int err;

	err = client_message(client, SERVICE("Zones"), "List", &req.base,
		   &nexus__control__v1__zones_list_response__descriptor, &res);
	if (err)
		return err;
	for (i = 0; i < res->n_zones && !err; i++)
		err = give_zone(res->zones[i], fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_zone_info(struct nexus_client *client, const char *name,
				 nexus_zone_fn fn, void *arg)
{
	Nexus__Control__V1__ZonesInfoRequest req =
		NEXUS__CONTROL__V1__ZONES_INFO_REQUEST__INIT;
	Nexus__Control__V1__ZonesInfoResponse *res;
	int err;

	req.name = (char *)name;
	err = client_message(client, SERVICE("Zones"), "Info", &req.base,
		   &nexus__control__v1__zones_info_response__descriptor, &res);
	if (err)
		return err;
	err = give_one(client, res->zone, fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_zone_upgrade(struct nexus_client *client,
				    const char *name, nexus_zone_fn fn,
				    void *arg)
{
	Nexus__Control__V1__ZonesUpgradeRequest req =
		NEXUS__CONTROL__V1__ZONES_UPGRADE_REQUEST__INIT;
	Nexus__Control__V1__ZonesUpgradeResponse *res;
	int err;

	req.name = (char *)name;
	err = client_message(client, SERVICE("Zones"), "Upgrade", &req.base,
		   &nexus__control__v1__zones_upgrade_response__descriptor,
		   &res);
	if (err)
		return err;
	err = give_one(client, res->zone, fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

static int give_stat(struct nexus_client *client,
		     const Nexus__Control__V1__Stat *msg, nexus_stat_fn fn,
		     void *arg)
{
	struct nexus_stat stat = {
		.name = msg->name,
		.help = msg->help,
		.type = (enum nexus_stat_type)msg->type,
		.n_labels = msg->n_labels,
		.value = msg->value,
	};
	struct nexus_option *labels;
	size_t i;
	int err;

	labels = calloc(msg->n_labels ? msg->n_labels : 1, sizeof(*labels));
	if (!labels)
		return client_fail(client, -ENOMEM, "out of memory");
	for (i = 0; i < msg->n_labels; i++) {
		labels[i].key = msg->labels[i]->name;
		labels[i].value = msg->labels[i]->value;
	}
	stat.labels = labels;
	err = fn(arg, &stat);
	free(labels);
	return err;
}

NEXUS_EXPORT int nexus_stats(struct nexus_client *client, nexus_stat_fn fn,
			     void *arg)
{
	Nexus__Control__V1__StatsGetRequest req =
		NEXUS__CONTROL__V1__STATS_GET_REQUEST__INIT;
	Nexus__Control__V1__StatsGetResponse *res;
	size_t i;
	int err;

	err = client_message(client, SERVICE("Stats"), "Get", &req.base,
		   &nexus__control__v1__stats_get_response__descriptor, &res);
	if (err)
		return err;
	for (i = 0; i < res->n_stats && !err; i++)
		err = give_stat(client, res->stats[i], fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_status(struct nexus_client *client, nexus_status_fn fn,
			      void *arg)
{
	Nexus__Control__V1__SessionStatusRequest req =
		NEXUS__CONTROL__V1__SESSION_STATUS_REQUEST__INIT;
	Nexus__Control__V1__SessionStatusResponse *res;
	struct nexus_status status = { .pid = 0 };
	int err;

	err = client_message(client, SERVICE("Session"), "Status", &req.base,
		   &nexus__control__v1__session_status_response__descriptor,
		   &res);
	if (err)
		return err;
	status.state = (enum nexus_state)res->state;
	status.link = (enum nexus_link)res->link;
	status.session = res->session;
	status.reason = res->reason;
	status.metastore = res->metastore;
	status.objectstore = res->objectstore;
	status.data_dir = res->data_dir;
	status.module_version = res->module_version;
	status.pid = res->pid;
	status.queues = res->queues;
	status.started = res->started;
	status.zones = res->zones;
	status.zones_mounted = res->zones_mounted;
	status.recordstore = res->recordstore;
	status.records = (enum nexus_records_state)res->recordstore_state;
	status.records_error = res->recordstore_error;
	status.records_error_at = res->recordstore_error_at;
	status.profile = res->profile;
	status.degraded = res->degraded;
	status.bricks_missing = res->bricks_missing;
	status.cachestore = res->cachestore;
	status.cache = (enum nexus_cachestore_state)res->cachestore_state;
	status.cache_error = res->cachestore_error;
	status.cache_error_at = res->cachestore_error_at;
	err = fn(arg, &status);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_version(struct nexus_client *client,
			       nexus_version_fn fn, void *arg)
{
	Nexus__Control__V1__VersionGetRequest req =
		NEXUS__CONTROL__V1__VERSION_GET_REQUEST__INIT;
	Nexus__Control__V1__VersionGetResponse *res;
	struct nexus_version version = { .abi = 0 };
	int err;

	err = client_message(client, SERVICE("Version"), "Get", &req.base,
		   &nexus__control__v1__version_get_response__descriptor,
		   &res);
	if (err)
		return err;
	version.version = res->version;
	version.module_version = res->module_version;
	version.abi = res->abi;
	version.format = res->format;
	err = fn(arg, &version);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_health(struct nexus_client *client,
			      enum nexus_state *state)
{
	Nexus__Control__V1__HealthCheckRequest req =
		NEXUS__CONTROL__V1__HEALTH_CHECK_REQUEST__INIT;
	Nexus__Control__V1__HealthCheckResponse *res;
	int err;

	err = client_message(client, SERVICE("Health"), "Check", &req.base,
		   &nexus__control__v1__health_check_response__descriptor,
		   &res);
	if (err)
		return err;
	if (state)
		*state = (enum nexus_state)res->state;
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}
