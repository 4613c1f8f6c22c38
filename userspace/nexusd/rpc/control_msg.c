// SPDX-License-Identifier: Apache-2.0
/* Messages of the control services, made from the shapes of control.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_msg.h"

#define UUID_TEXT	37

int msg_list_add(struct msg_list *list, void *item)
{
	size_t cap = list->cap ? list->cap * 2 : 16;
	void **items;

	if (!item)
		return -ENOMEM;
	if (list->n == list->cap) {
		items = realloc(list->items, cap * sizeof(*items));
		if (!items) {
			free(item);
			return -ENOMEM;
		}
		list->items = items;
		list->cap = cap;
	}
	list->items[list->n++] = item;
	return 0;
}

int msg_page_full(struct msg_page *page)
{
	page->more = page->list.n == MSG_PAGE_MAX;
	return page->more ? -ECANCELED : 0;
}

void msg_list_free(struct msg_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	memset(list, 0, sizeof(*list));
}

/* Copy a string of at most @max bytes to *@at and move on. */
static char *put_string(char **at, const char *from, size_t max)
{
	size_t len = strnlen(from, max);
	char *to = *at;

	memcpy(to, from, len);
	to[len] = '\0';
	*at = to + len + 1;
	return to;
}

static char *put_uuid(char **at, const uint8_t *u)
{
	char *to = *at;

	snprintf(to, UUID_TEXT,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
		 u[10], u[11], u[12], u[13], u[14], u[15]);
	*at = to + UUID_TEXT;
	return to;
}

#define FIELD_LEN(field)	(strnlen(field, sizeof(field)) + 1)
#define FIELD_PUT(at, field)	put_string(at, field, sizeof(field))

Nexus__Control__V1__Zone *msg_zone(const struct control_zone_info *info)
{
	size_t len = FIELD_LEN(info->name) + FIELD_LEN(info->reason) +
		     FIELD_LEN(info->store) + FIELD_LEN(info->data_dir) +
		     UUID_TEXT;
	Nexus__Control__V1__Zone *zone;
	char *at;

	zone = malloc(sizeof(*zone) + len);
	if (!zone)
		return NULL;
	nexus__control__v1__zone__init(zone);
	at = (char *)(zone + 1);
	zone->name = FIELD_PUT(&at, info->name);
	zone->uuid = put_uuid(&at, info->uuid);
	zone->state = (Nexus__Control__V1__Zone__State)info->state;
	zone->reason = FIELD_PUT(&at, info->reason);
	zone->store = FIELD_PUT(&at, info->store);
	zone->data_dir = FIELD_PUT(&at, info->data_dir);
	zone->format_version = info->format_version;
	zone->compat = info->compat;
	zone->ro_compat = info->ro_compat;
	zone->incompat = info->incompat;
	zone->lsn_tail = info->lsn_tail;
	zone->lsn_durable = info->lsn_durable;
	zone->lsn_applied = info->lsn_applied;
	zone->lsn_checkpoint = info->lsn_checkpoint;
	zone->inodes = info->inodes;
	zone->bytes = info->bytes;
	zone->segments = info->segments;
	zone->packs = info->packs;
	return zone;
}

static size_t text_len(const char *text)
{
	return text ? strlen(text) : 0;
}

static char *put_text(char **at, const char *text)
{
	return put_string(at, text ? text : "", text_len(text));
}

Nexus__Control__V1__Stat *msg_stat(const struct control_stat *stat)
{
	Nexus__Control__V1__Stat *msg;
	Nexus__Control__V1__Label *labels;
	size_t len, i;
	char *at;

	len = sizeof(*msg) +
	      stat->nlabels * (sizeof(*labels) + sizeof(labels)) +
	      text_len(stat->name) + text_len(stat->help) + 2;
	for (i = 0; i < stat->nlabels; i++)
		len += text_len(stat->labels[i].name) +
		       text_len(stat->labels[i].value) + 2;
	msg = malloc(len);
	if (!msg)
		return NULL;

	nexus__control__v1__stat__init(msg);
	labels = (Nexus__Control__V1__Label *)(msg + 1);
	msg->labels = (Nexus__Control__V1__Label **)(labels + stat->nlabels);
	msg->n_labels = stat->nlabels;
	at = (char *)(msg->labels + stat->nlabels);
	msg->name = put_text(&at, stat->name);
	msg->help = put_text(&at, stat->help);
	msg->type = (Nexus__Control__V1__Stat__Type)stat->type;
	msg->value = stat->value;
	for (i = 0; i < stat->nlabels; i++) {
		nexus__control__v1__label__init(&labels[i]);
		labels[i].name = put_text(&at, stat->labels[i].name);
		labels[i].value = put_text(&at, stat->labels[i].value);
		msg->labels[i] = &labels[i];
	}
	return msg;
}

Nexus__Control__V1__Pack *msg_pack(const struct control_pack *pack)
{
	Nexus__Control__V1__Pack *msg;

	msg = malloc(sizeof(*msg) + sizeof(pack->hash));
	if (!msg)
		return NULL;
	nexus__control__v1__pack__init(msg);
	msg->pack = pack->pack;
	msg->state = (Nexus__Control__V1__Pack__State)pack->state;
	msg->blocks = pack->blocks;
	msg->table_blocks = pack->table_blocks;
	msg->used = pack->used;
	msg->live = pack->live;
	msg->hash_alg = pack->hash_alg;
	if (pack->hash_alg) {
		msg->hash.data = (uint8_t *)(msg + 1);
		msg->hash.len = sizeof(pack->hash);
		memcpy(msg->hash.data, pack->hash, sizeof(pack->hash));
	}
	return msg;
}

Nexus__Control__V1__PackProblem *
msg_problem(const struct control_pack_problem *problem)
{
	Nexus__Control__V1__PackProblem *msg;
	char *at;

	msg = malloc(sizeof(*msg) + text_len(problem->what) + 1);
	if (!msg)
		return NULL;
	nexus__control__v1__pack_problem__init(msg);
	at = (char *)(msg + 1);
	msg->pack = problem->pack;
	msg->block = problem->block;
	msg->inode = problem->inode;
	msg->data_id = problem->data_id;
	msg->offset = problem->offset;
	msg->what = put_text(&at, problem->what);
	return msg;
}
