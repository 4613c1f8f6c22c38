/* SPDX-License-Identifier: Apache-2.0 */
/* fsck.nexusfs: what its files share. */
#ifndef NEXUS_FSCK_H
#define NEXUS_FSCK_H

#include "atrest.h"

struct fsck {
	struct zone *z;
	bool data;		/* read every block that is referenced */
	bool verbose;
	u64 problems;
	u64 changes;		/* made by --repair */
	u64 inodes;
	u64 extents;
	u64 blocks;
	u64 packs;
};

/* One line for each contradiction; after a thousand only the count goes on. */
void fsck_problem(struct fsck *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Packs, their tables, the blocks extents point at, the allocators. */
int fsck_content(struct fsck *f, struct nexus_kv *kv);

/*
 * A superblock or allocator record that cannot be read, before the zone is loaded:
 * mended on disk, or made again out of the index.  0, also when nothing could be
 * done: loading says what is wrong then.
 */
int fsck_repair_super(struct fsck *f, struct atrest *a, struct errline *err);
/*
 * Mends the index of a zone that was loaded for writing and whose log is whole, in
 * one commit, the log included.  0 or -errno with a line.
 */
int fsck_repair(struct fsck *f, struct errline *err);

#endif /* NEXUS_FSCK_H */
