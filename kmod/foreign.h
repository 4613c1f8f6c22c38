/* SPDX-License-Identifier: GPL-2.0-only */
/* Zones that show what others own and change: buckets (foreign.c). */
#ifndef NEXUS_KMOD_FOREIGN_H
#define NEXUS_KMOD_FOREIGN_H

#include "nexusfs.h"

/* What is mounted goes to the helper in one request, behind the zone's name. */
#define NEXUS_BUCKET_MAX	((size_t)NEXUS_REQUEST_DATA_MAX - NEXUS_ZONE_NAME_LEN)
#define NEXUS_TTL_MAX		(86400u * 1000u)	/* ms */

extern const struct dentry_operations nexus_foreign_dentry_ops;	/* dir.c */

/* The name of the zone that shows @source: the same for the same bytes, and no other's. */
void nexus_foreign_name(const char *source, char name[NEXUS_ZONE_NAME_LEN]);
/* Of a new zone; @ttl: ms, 0: it is an ordinary one. */
void nexus_foreign_start(struct nexus_zone *zone, u64 ttl);
/* What is cached of names is asked for again before it is believed.  Any context. */
void nexus_foreign_refresh(struct nexus_zone *zone);
/* As d_revalidate, of nexus_foreign_dentry_ops.  Waits for the helper, killably. */
int nexus_foreign_revalidate(struct dentry *dentry, unsigned int flags);
/*
 * Before a directory is listed from its beginning: has the helper look what is in it, and
 * takes over what has changed.  Waits for the helper, killably.  0, also of ordinary zones,
 * or -errno.
 */
int nexus_foreign_names(struct inode *dir);

/* What @dentry says was asked for at @when (jiffies). */
static inline void nexus_foreign_asked(struct dentry *dentry, unsigned long when)
{
	dentry->d_time = when;
}

#endif /* NEXUS_KMOD_FOREIGN_H */
