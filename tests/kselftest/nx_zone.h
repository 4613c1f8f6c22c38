/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A zone of the test's own, so that it can be unmounted, checked and mounted again;
 * elsewhere a directory, of which the caches are dropped.
 */
#ifndef NX_ZONE_H
#define NX_ZONE_H

#include "nx.h"

struct nx_zone {
	char at[PATH_MAX / 2 + 8];
	char name[32];			/* "" when it is only a directory */
};

static inline int nx_zone_begin(struct nx_zone *z, const char *dir, bool nexus)
{
	snprintf(z->at, sizeof(z->at), "%s/zone", dir);
	z->name[0] = '\0';
	if (mkdir(z->at, 0755))
		return -1;
	if (!nexus)
		return 0;
	snprintf(z->name, sizeof(z->name), "test-%d", getpid());
	return nx_sh("nexusctl zone create %s > /dev/null && mount -t nexusfs %s '%s'",
		     z->name, z->name, z->at);
}

/* Once more from the disk, and nothing on it that fsck finds wrong. */
static inline int nx_zone_again(struct nx_zone *z)
{
	nx_drop_caches();
	if (!z->name[0])
		return 0;
	return nx_sh("umount '%s' && fsck.nexusfs %s > /tmp/%s.fsck 2>&1 || { cat /tmp/%s.fsck; exit 1; }; "
		     "mount -t nexusfs %s '%s'",
		     z->at, z->name, z->name, z->name, z->name, z->at);
}

static inline int nx_zone_end(struct nx_zone *z)
{
	if (!z->name[0])
		return 0;
	return nx_sh("cd / && umount '%s' && rm -rf /var/lib/nexusfs/zones/%s /tmp/%s.fsck",
		     z->at, z->name, z->name);
}

#endif
