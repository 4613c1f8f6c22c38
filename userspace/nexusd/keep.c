// SPDX-License-Identifier: Apache-2.0
/*
 * Space for what the kernel promised to files (fallocate): room for packs that is
 * set aside on the host, not written, and made packs of when nothing else is left.
 * It stays set aside while no helper runs.
 */
#include "zone.h"

#include <errno.h>
#include <string.h>

int zone_keep_open(struct zone *z)
{
	return z->os->drv->kept(z->os, super_pack_blocks(&z->sb), &z->kept);
}

/* All of it or nothing more: a wish too large must not fill the disk on its way. */
static u64 affordable(struct zone *z, u64 want)
{
	u64 total, avail, more, reserve = zone_growth_reserve(z);

	if (want <= z->kept || z->os->drv->space(z->os, &total, &avail))
		return want;
	more = avail > reserve ? (avail - reserve) / z->sb.pack_size : 0;
	return want - z->kept > more ? z->kept : want;
}

void zone_keep_step(struct zone *z)
{
	u64 keep = zone_keep(z), usable = super_pack_usable(&z->sb);
	u64 want = (keep + usable - 1) / usable, have = z->kept;
	bool asked = zone_flags(z) & NEXUS_LF_WANT_KEEP;
	int ret = 0;

	/* One too many stays: small files come and go. */
	if (want > have || (want + 1 < have) || (!want && have))
		ret = z->os->drv->keep(z->os, super_pack_blocks(&z->sb),
				       affordable(z, want), &have);
	if (ret && ret != -ENOSPC)
		log_warn("zone %s: space cannot be kept: %s", z->name, strerror(-ret));
	if (!asked && have == z->kept && keep == z->kept_for)
		return;
	pthread_mutex_lock(&z->report_lock);
	z->kept = have;
	z->kept_for = keep;
	pthread_mutex_unlock(&z->report_lock);
	zone_report(z);
}

int zone_keep_use(struct zone *z, int (*hand)(struct zone *z, u64 pack, u32 flags))
{
	u64 pack;
	int ret;

	if (!z->kept)
		return -ENOENT;
	ret = zone_take_packs(z, 1, &pack);
	if (ret)
		return ret;
	ret = pack_create_kept(z->os, pack, super_pack_blocks(&z->sb), z->sb.uuid);
	/* The kernel moves it from one account to the other; no report in between. */
	pthread_mutex_lock(&z->report_lock);
	if (!ret)
		ret = hand(z, pack, NEXUS_HF_KEPT | NEXUS_HF_ZEROED);
	/* Whatever came of it. */
	zone_keep_open(z);
	pthread_mutex_unlock(&z->report_lock);
	return ret;
}
