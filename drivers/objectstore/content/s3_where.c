// SPDX-License-Identifier: Apache-2.0
#include "s3_where.h"
#include "s3_find.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MAX	512u	/* leaves room for the names behind it */

static int bad(struct errline *err, const char *key, const char *value, const char *rule)
{
	snprintf(err->msg, sizeof(err->msg), "content: %s is \"%.200s\"; it must be %s", key, value,
		 rule);
	return -EINVAL;
}

/* "16M": bytes. */
static bool parse_size(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || (*end && (!unit || end[1])))
		return false;
	if (unit && *value > UINT64_MAX >> (10 * (unit - units + 1)))
		return false;
	if (unit)
		*value <<= 10 * (unit - units + 1);
	return true;
}

static int set_style(struct s3_where *w, const char *value, struct errline *err)
{
	w->set.virtual_host = !strcmp(value, "host");
	return w->set.virtual_host || !strcmp(value, "path") ? 0 :
	       bad(err, "style", value, "path or host");
}

static int set_sse(struct s3_where *w, const char *value, struct errline *err)
{
	if (!strcmp(value, "s3"))
		w->set.sse = S3_SSE_S3;
	else if (!strcmp(value, "kms"))
		w->set.sse = S3_SSE_KMS;
	else if (!strcmp(value, "c"))
		w->set.sse = S3_SSE_C;
	else if (strcmp(value, "none"))
		return bad(err, "sse", value, "none, s3, kms or c");
	return 0;
}

static int set_payer(struct s3_where *w, const char *value, struct errline *err)
{
	w->set.requester_pays = !strcmp(value, "yes");
	return w->set.requester_pays || !strcmp(value, "no") ? 0 :
	       bad(err, "requester_pays", value, "yes or no");
}

static int set_zone(struct s3_where *w, const char *value, struct errline *err)
{
	__u8 zone[NEXUS_UUID_SIZE];

	w->zone = value;
	return s3_zone_parse(value, zone) ? bad(err, "zone", value, "a uuid in lower case") : 0;
}

static int set_text(struct s3_where *w, const char *key, const char *value)
{
	const struct {
		const char *key;
		const char **at;
	} texts[] = {
		{ "endpoint", &w->set.endpoint },
		{ "region", &w->set.region },
		{ "profile", &w->profile },
		{ "storage_class", &w->set.storage_class },
		{ "sse_key", &w->set.sse_key_id },
		{ "sse_key_file", &w->key_file },
		{ "ca_file", &w->set.ca_file },
		{ "proxy", &w->set.proxy },
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i].key, key))
			continue;
		*texts[i].at = value;
		return 0;
	}
	return -ENOENT;
}

static int set_number(struct s3_where *w, const char *key, const char *value, struct errline *err)
{
	const struct {
		const char *key;
		uint64_t least, most;
		uint64_t *size;
		unsigned int *count;
	} numbers[] = {
		{ "memory", 32u << 20, 1ull << 40, &w->set.memory, NULL },
		{ "part", S3_PART_LEAST, S3_PUT_MOST, &w->set.part, NULL },
		{ "up", 1, UINT64_MAX, &w->set.up, NULL },
		{ "down", 1, UINT64_MAX, &w->set.down, NULL },
		{ "concurrency", 1, 1024, NULL, &w->set.concurrency },
		{ "attempts", 1, 1000, NULL, &w->set.attempts },
		{ "deadline", 1, 3600, NULL, NULL },
	};
	uint64_t number;
	char rule[96];
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(numbers[i].key, key))
			continue;
		snprintf(rule, sizeof(rule), "a number from %" PRIu64 " to %" PRIu64,
			 numbers[i].least, numbers[i].most);
		if (!parse_size(value, &number) || number < numbers[i].least ||
		    number > numbers[i].most)
			return bad(err, key, value, rule);
		if (numbers[i].size)
			*numbers[i].size = number;
		else if (numbers[i].count)
			*numbers[i].count = (unsigned int)number;
		else
			w->set.deadline_ms = (int64_t)number * 1000;
		return 0;
	}
	return -ENOENT;
}

static int set(struct s3_where *w, const char *key, const char *value, struct errline *err)
{
	int ret;

	if (!strcmp(key, "style"))
		return set_style(w, value, err);
	if (!strcmp(key, "sse"))
		return set_sse(w, value, err);
	if (!strcmp(key, "requester_pays"))
		return set_payer(w, value, err);
	if (!strcmp(key, "zone"))
		return set_zone(w, value, err);
	ret = set_text(w, key, value);
	if (ret == -ENOENT)
		ret = set_number(w, key, value, err);
	if (ret == -ENOENT) {
		snprintf(err->msg, sizeof(err->msg),
			 "content: there is no setting \"%.100s\" of a store in S3; there are: attempts, ca_file, concurrency, deadline, down, endpoint, memory, part, profile, proxy, region, requester_pays, sse, sse_key, sse_key_file, storage_class, style, up, zone",
			 key);
		ret = -EINVAL;
	}
	return ret;
}

static int set_place(struct s3_where *w, char *place, struct errline *err)
{
	char *slash = strchr(place, '/');
	size_t len;

	w->set.bucket = place;
	w->prefix = "";
	if (slash) {
		*slash++ = '\0';
		len = strlen(slash);
		while (len && slash[len - 1] == '/')
			slash[--len] = '\0';
		if (slash[0] == '/' || len > PREFIX_MAX)
			return bad(err, "the prefix", slash,
				   "of 512 bytes at most, not beginning with /");
		w->prefix = slash;
	}
	/* As others want them; whatever they are, they are not to be shown. */
	if (strchr(place, '@')) {
		snprintf(err->msg, sizeof(err->msg),
			 "content: there is an @ in the name of the bucket; keys are not part of the address, see --profile");
		return -EINVAL;
	}
	return place[0] ? 0 : bad(err, "the store", "s3://", "s3://BUCKET or s3://BUCKET/PREFIX");
}

int s3_where_parse(const char *where, struct s3_where *w, struct errline *err)
{
	char *part, *save = NULL, *value;
	int ret;

	memset(w, 0, sizeof(*w));
	if (strncmp(where, "//", 2) != 0 || strlen(where) - 2 >= sizeof(w->text))
		return bad(err, "the store", where, "s3://BUCKET or s3://BUCKET/PREFIX");
	strcpy(w->text, where + 2);
	part = strchr(w->text, ';');
	if (part)
		*part++ = '\0';
	ret = set_place(w, w->text, err);
	for (part = part ? strtok_r(part, ";", &save) : NULL; part && !ret;
	     part = strtok_r(NULL, ";", &save)) {
		value = strchr(part, '=');
		if (!value || value == part || !value[1])
			return bad(err, "a setting of the store", part, "KEY=VALUE");
		*value++ = '\0';
		ret = set(w, part, value, err);
	}
	if (!ret && (w->set.sse == S3_SSE_C) != !!w->key_file) {
		snprintf(err->msg, sizeof(err->msg), "content: sse=c and sse_key_file=PATH go together");
		ret = -EINVAL;
	}
	return ret;
}

int s3_where_no_secret(const char *where, struct errline *err)
{
	const char *proxy = strstr(where, ";proxy=");
	const char *at = proxy ? strpbrk(proxy + 1, ";@") : NULL;

	if (!at || *at != '@')
		return 0;
	snprintf(err->msg, sizeof(err->msg),
		 "content: proxy has a user or a password in it, and settings of a store are no secret; the helper takes such a proxy from its environment, as https_proxy");
	return -EINVAL;
}
