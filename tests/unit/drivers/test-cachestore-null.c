// SPDX-License-Identifier: Apache-2.0
#include "cache-world.h"

#include "drivers/cachestore/common.h"

const struct nexus_cache_driver *driver = &cache_driver_null;
const bool world_keeps = false;

int world_begin(void)
{
	return 0;
}

void world_end(void)
{
}

void world_options(struct nexus_cache_options *options)
{
	(void)options;
}

void world_pass(uint64_t ms)
{
	(void)ms;
}

int world_own_tests(void)
{
	return 0;
}
