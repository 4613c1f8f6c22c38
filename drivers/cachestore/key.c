// SPDX-License-Identifier: Apache-2.0
/* Keys in bytes, and patterns over them. */
#include <stdio.h>
#include <string.h>

#include "drivers/cachestore/common.h"

static int check_parts(const struct nexus_cache_key *key, uint32_t max_kind)
{
	size_t size = 0;
	uint32_t i;

	if (!key->count)
		return -EINVAL;
	if (key->count > NEXUS_CACHE_PARTS_MAX)
		return -ENAMETOOLONG;
	for (i = 0; i < key->count; i++) {
		if (key->parts[i].kind > max_kind || (key->parts[i].size && !key->parts[i].data))
			return -EINVAL;
		size += (size_t)snprintf(NULL, 0, "%u:", key->parts[i].size) + key->parts[i].size;
		if (size > NEXUS_CACHE_KEY_MAX)
			return -ENAMETOOLONG;
	}
	return 0;
}

/* There is room: it was checked. */
static void put_part(struct cache_bytes *out, const struct nexus_cache_part *part)
{
	char head[16];
	int n = snprintf(head, sizeof(head), "%u:", part->size);

	memcpy(out->data + out->size, head, (size_t)n);
	out->size += (uint32_t)n;
	if (part->size)
		memcpy(out->data + out->size, part->data, part->size);
	out->size += part->size;
}

int cache_key_encode(const struct nexus_cache_key *key, struct cache_bytes *out)
{
	int ret = check_parts(key, NEXUS_CACHE_EXACT);
	uint32_t i;

	out->size = 0;
	if (!ret && key->below)
		ret = -EINVAL;
	for (i = 0; !ret && i < key->count; i++)
		put_part(out, &key->parts[i]);
	return ret;
}

int cache_pattern_check(const struct nexus_cache_key *pattern)
{
	return check_parts(pattern, NEXUS_CACHE_GLOB);
}

void cache_pattern_prefix(const struct nexus_cache_key *pattern, struct cache_bytes *out)
{
	uint32_t i;

	out->size = 0;
	for (i = 0; i < pattern->count && pattern->parts[i].kind == NEXUS_CACHE_EXACT; i++)
		put_part(out, &pattern->parts[i]);
}

/* The next part of encoded bytes; false when it is none. */
static bool take_part(const uint8_t **at, const uint8_t *end, const uint8_t **part, size_t *size)
{
	const uint8_t *p = *at;

	*size = 0;
	for (; p < end && *p >= '0' && *p <= '9' && p - *at < 5; p++)
		*size = *size * 10 + (size_t)(*p - '0');
	/* As it is written, and in no other way. */
	if (p == *at || (**at == '0' && p - *at > 1) || p == end || *p != ':')
		return false;
	p++;
	if ((size_t)(end - p) < *size)
		return false;
	*part = p;
	*at = p + *size;
	return true;
}

/* Goes back to the last * only: no pattern takes more than the product of both sizes. */
static bool glob(const uint8_t *p, size_t np, const uint8_t *s, size_t ns)
{
	size_t i = 0, k = 0, star = SIZE_MAX, mark = 0;

	while (k < ns) {
		if (i < np && p[i] == '*') {
			star = i++;
			mark = k;
			continue;
		}
		if (i < np && p[i] == '?') {
			i++;
			k++;
			continue;
		}
		/* A \ at the end is one. */
		if (i + 1 < np && p[i] == '\\' && p[i + 1] == s[k]) {
			i += 2;
			k++;
			continue;
		}
		if (i < np && p[i] == s[k] && (p[i] != '\\' || i + 1 == np)) {
			i++;
			k++;
			continue;
		}
		if (star == SIZE_MAX)
			return false;
		i = star + 1;
		k = ++mark;
	}
	while (i < np && p[i] == '*')
		i++;
	return i == np;
}

static bool part_match(const struct nexus_cache_part *want, const uint8_t *part, size_t size)
{
	if (want->kind == NEXUS_CACHE_GLOB)
		return glob(want->data, want->size, part, size);
	return want->size == size && (!size || !memcmp(want->data, part, size));
}

bool cache_pattern_match(const struct nexus_cache_key *pattern, const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size, *part;
	uint32_t i = 0;
	size_t n;

	while (data < end) {
		if (!take_part(&data, end, &part, &n))
			return false;
		if (i < pattern->count ? !part_match(&pattern->parts[i], part, n) : !pattern->below)
			return false;
		i++;
	}
	return i >= pattern->count;
}
