// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/cachestore/common.h"

int cache_check_value(size_t size, uint64_t ttl_ms)
{
	if (size > NEXUS_CACHE_VALUE_MAX)
		return -EMSGSIZE;
	return ttl_ms > NEXUS_CACHE_TTL_MAX ? -EINVAL : 0;
}

int cache_check_batch(const struct nexus_cache_item *items, size_t count, const uint64_t *ttl_ms)
{
	struct cache_bytes key;
	size_t i, bytes = 0;
	int ret;

	if (count > NEXUS_CACHE_BATCH_MAX)
		return -E2BIG;
	for (i = 0; i < count; i++) {
		ret = cache_key_encode(&items[i].key, &key);
		if (!ret && ttl_ms)
			ret = cache_check_value(items[i].size, *ttl_ms);
		if (ret)
			return ret;
		bytes += ttl_ms ? items[i].size : 0;
	}
	return bytes > NEXUS_CACHE_BATCH_BYTES ? -E2BIG : 0;
}

void cache_items_free(struct nexus_cache_item *items, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		free(items[i].data);
		items[i].data = NULL;
		items[i].size = 0;
	}
}

void *cache_copy(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

int cache_fail(struct nexus_cache_fault *fault, int error, const char *words)
{
	fault->error = error;
	snprintf(fault->text, sizeof(fault->text), "%s", words);
	return error;
}
