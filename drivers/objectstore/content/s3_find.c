// SPDX-License-Identifier: Apache-2.0
#include "s3_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3_call.h"

/* Whether it is "UUID/" as s3_zone_text() writes it: then *@zone. */
static bool parse_zone(const char *key, __u8 zone[NEXUS_UUID_SIZE])
{
	char text[S3_ZONE_TEXT], byte[3] = "";
	const char *at = key;
	size_t i;

	for (i = 0; i < NEXUS_UUID_SIZE; i++, at += 2) {
		at += *at == '-';
		if (strlen(at) < 2)
			return false;
		memcpy(byte, at, 2);
		zone[i] = (__u8)strtoul(byte, NULL, 16);
	}
	/* What is no digit comes back as another. */
	s3_zone_text(zone, text);
	return !strcmp(key, text);
}

void s3_zone_text(const __u8 zone[NEXUS_UUID_SIZE], char text[S3_ZONE_TEXT])
{
	size_t i, at = 0;

	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		at += (size_t)snprintf(text + at, S3_ZONE_TEXT - at, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", zone[i]);
	snprintf(text + at, S3_ZONE_TEXT - at, "/");
}

/* One page more; *@token is replaced by the next, NULL at the end. */
static int find_page(struct s3 *s3, const atomic_bool *stop, char **token, unsigned int *n,
		     char found[2][S3_ZONE_TEXT], struct errline *err)
{
	struct s3_query query = { .delimiter = '/', .token = *token };
	struct s3_call *call = s3_call_new(0);
	__u8 zone[NEXUS_UUID_SIZE];
	size_t i;
	int ret;

	if (!call)
		return -ENOMEM;
	ret = s3_call_wait(call, s3_list_start(s3, &query, &call->list, s3_call_done, call), stop);
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "content s3: %.400s",
			 call->result.fault.text[0] ? call->result.fault.text : strerror(-ret));
	for (i = 0; !ret && *n < 2 && i < call->list.n; i++)
		if (call->list.entries[i].is_prefix && parse_zone(call->list.entries[i].key, zone))
			s3_zone_text(zone, found[(*n)++]);
	if (!ret)
		ret = s3_next_token(&call->list, token);
	if (ret == -EPROTO && !err->msg[0])
		snprintf(err->msg, sizeof(err->msg), "content s3: the listing of what is there does not end");
	s3_call_put(call);
	return ret;
}

int s3_find_zone(struct s3 *s3, const atomic_bool *stop, __u8 zone[NEXUS_UUID_SIZE],
		 struct errline *err)
{
	char found[2][S3_ZONE_TEXT] = { "" };
	unsigned int n = 0;
	char *token = NULL;
	int ret;

	do {
		ret = find_page(s3, stop, &token, &n, found, err);
	} while (!ret && token && n < 2);
	free(token);
	if (ret)
		return ret;
	if (!n)
		ret = -ENOENT;
	else if (n > 1)
		ret = -ENOTUNIQ;
	if (ret)
		snprintf(err->msg, sizeof(err->msg), n ?
			 "content s3: there are several zones, %.36s and %.36s among them; the setting zone=UUID of the store chooses" :
			 "content s3: no zone is there", found[0], found[1]);
	else
		parse_zone(found[0], zone);
	return ret;
}

int s3_zone_parse(const char *uuid, __u8 zone[NEXUS_UUID_SIZE])
{
	char text[S3_ZONE_TEXT];
	int len = snprintf(text, sizeof(text), "%s/", uuid);

	return len < (int)sizeof(text) && parse_zone(text, zone) ? 0 : -EINVAL;
}
