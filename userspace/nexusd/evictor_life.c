// SPDX-License-Identifier: Apache-2.0
/* The evictor's thread, and the limits it keeps: from the zone's opening to its end. */
#include "evictor.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"
#include "space.h"
#include "upload.h"
#include "zone.h"

#define BEGIN_PACKS	2u		/* room for fewer: something goes, */
#define REST_PACKS	3u		/* until there is for so many */
#define PERCENT_MAX	90u

int evictor_floor(const char *text, u64 total, u64 *bytes)
{
	size_t len = strlen(text);
	char *end;
	u64 n;

	if (!len || text[len - 1] != '%')
		return config_parse_size(text, bytes) ? -EINVAL : 0;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end != text + len - 1 || n > PERCENT_MAX)
		return -EINVAL;
	*bytes = total / 100 * n;
	return 0;
}

static void *evictor_main(void *arg)
{
	struct evictor *e = arg;
	struct zone *z = e->z;
	struct timespec until;
	u64 next;

	pthread_setname_np(pthread_self(), "nexusd-evict");
	while (!atomic_load(&z->stopping)) {
		next = evictor_step(e, space_clock());
		until = (struct timespec){ .tv_sec = (time_t)(next / 1000000000ull),
					   .tv_nsec = (long)(next % 1000000000ull) };
		pthread_mutex_lock(&e->lock);
		while (!atomic_load(&z->stopping) && !e->kick && space_clock() < next)
			pthread_cond_timedwait(&e->cond, &e->lock, &until);
		e->kick = false;
		pthread_mutex_unlock(&e->lock);
	}
	return NULL;
}

static void set_limits(struct evictor *e)
{
	struct zone *z = e->z;
	u64 total = 0, avail, pack = z->sb.pack_size;

	e->limit = z->cfg->cache_limit;
	if (e->limit && e->limit < EVICTOR_PACKS_MIN * pack) {
		e->limit = EVICTOR_PACKS_MIN * pack;
		log_info("zone %s: cache_limit is %u packs at least, %llu bytes", z->name,
			 EVICTOR_PACKS_MIN, e->limit);
	}
	e->limit_low = NEXUS_MAX(e->limit / 20, BEGIN_PACKS * pack);
	e->limit_rest = NEXUS_MAX(e->limit / 10, REST_PACKS * pack);
	z->os->drv->space(z->os, &total, &avail);
	if (evictor_floor(z->cfg->cache_free, total, &e->floor))
		e->floor = 0;
	e->floor_low = NEXUS_MAX(e->floor / 20, BEGIN_PACKS * pack);
	e->floor_rest = NEXUS_MAX(e->floor / 10, REST_PACKS * pack);
}

struct evictor *evictor_new(struct zone *z)
{
	u32 blocks = super_pack_blocks(&z->sb);
	struct evictor *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->z = z;
	e->pack_bytes = (u64)(blocks - 1 - pack_table_blocks(blocks)) << NEXUS_BLOCK_SHIFT;
	e->avail = UINT64_MAX;
	pthread_mutex_init(&e->lock, NULL);
	zone_cond_init(&e->cond);
	set_limits(e);
	return e;
}

int zone_evictor_start(struct zone *z)
{
	struct evictor *e;
	u64 floor = 0;
	int ret;

	/* What is nowhere else cannot go. */
	if (!z->upload || (!z->cfg->cache_limit &&
			   (evictor_floor(z->cfg->cache_free, 100, &floor) || !floor)))
		return 0;
	if (!(z->sb.incompat & NEXUS_INCOMPAT_AWAY)) {
		log_warn("zone %s is too old for content to be elsewhere, so cache_limit and cache_free are not kept; nexusctl zone upgrade changes that",
			 z->name);
		return 0;
	}
	e = evictor_new(z);
	if (!e)
		return -ENOMEM;
	z->evictor = e;
	ret = -pthread_create(&e->thread, NULL, evictor_main, e);
	e->running = !ret;
	if (ret)
		zone_evictor_free(z);
	return ret;
}

void zone_evictor_stop(struct zone *z)
{
	struct evictor *e = z->evictor;

	if (!e || !e->running)
		return;
	pthread_mutex_lock(&e->lock);
	pthread_cond_broadcast(&e->cond);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	e->running = false;
}

void zone_evictor_free(struct zone *z)
{
	struct evictor *e = z->evictor;

	if (!e)
		return;
	free(e->packs);
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->cond);
	free(e);
	z->evictor = NULL;
}
