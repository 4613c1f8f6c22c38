// SPDX-License-Identifier: Apache-2.0
/* zone upgrade: an older zone gets what new zones have. */
#include "upgrade.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "store.h"
#include "super.h"

static int put_super(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	return super_put(ms, batch, arg);
}

/*
 * One durable batch with one value: there is no half of it, and nothing that a backup
 * would be wanted for.  What the log still holds may be applied before or after.
 */
static int add_features(struct nexus_metastore *ms, const char *name, struct errline *err)
{
	struct super *sb = malloc(sizeof(*sb));
	bool ro_feature;
	int ret;

	if (!sb)
		return -ENOMEM;
	ret = super_read(ms, sb, &ro_feature, err);
	if (!ret && ro_feature)
		ret = err_set(err, -EROFS, "the zone has features that this helper only reads; use a newer nexusfs");
	if (!ret && (sb->incompat & NEXUS_INCOMPAT_KNOWN) == NEXUS_INCOMPAT_KNOWN) {
		log_info("zone %s: has all there is already", name);
	} else if (!ret) {
		sb->incompat |= NEXUS_INCOMPAT_KNOWN;
		ret = ms_write(ms, put_super, sb);
		if (!ret)
			log_info("zone %s: incompat features 0x%llx now; an older nexusfs refuses it",
				 name, (unsigned long long)sb->incompat);
	}
	free(sb);
	return ret;
}

int upgrade_zone(const struct config *cfg, const char *name, const char *dir,
		 struct errline *err)
{
	struct nexus_metastore *ms;
	int fd, ret;

	ret = store_lock_zone(dir, "zone upgrade", 0, &fd, err);
	if (ret)
		return ret;
	ret = store_open_index(cfg, dir, false, &ms, err);
	if (!ret) {
		ret = add_features(ms, name, err);
		ms->drv->close(ms);
	}
	close(fd);
	return ret;
}
