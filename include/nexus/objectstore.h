/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object store pillar, as far as packs go: files of a fixed number of 4 KiB
 * blocks that the module reads and writes itself once it was given them.
 *
 * Every function returns 0 or a negative errno unless said otherwise, and may
 * be called from several threads at once.
 */
#ifndef NEXUS_OBJECTSTORE_H
#define NEXUS_OBJECTSTORE_H

#include <nexus/types.h>

struct nexus_objectstore;

typedef int (*nexus_os_list_fn)(void *arg, __u64 pack);

struct nexus_os_driver {
	const char *name;
	bool persistent;

	/* @dir is the directory of a zone's packs; it exists. */
	int (*open)(const char *dir, struct nexus_objectstore **os);
	void (*close)(struct nexus_objectstore *os);

	/*
	 * Makes a pack of @blocks blocks and writes zeros to all of them, so
	 * that later writes change no metadata of the host.  File and name are
	 * durable when it returns.  -EEXIST; -ENOSPC leaves nothing behind.
	 */
	int (*create)(struct nexus_objectstore *os, __u64 pack, __u32 blocks);
	/*
	 * The same with nothing written to it: its space is its own, but the first
	 * write to a block changes metadata of the host.
	 */
	int (*create_allocated)(struct nexus_objectstore *os, __u64 pack, __u32 blocks);
	/*
	 * The same with nothing in it: no block of it takes space until it is
	 * written.  Never recycled.
	 */
	int (*create_sparse)(struct nexus_objectstore *os, __u64 pack, __u32 blocks);
	/*
	 * Space set aside for packs to come, so that nobody else takes it: room
	 * for *@have packs of @blocks blocks.  It outlives the store's being
	 * closed.
	 */
	int (*kept)(struct nexus_objectstore *os, __u32 blocks, __u64 *have);
	/*
	 * Sets aside room for @n packs, or gives back what is above; writes
	 * nothing.  *@have is what there is afterwards; less than @n with
	 * -ENOSPC.
	 */
	int (*keep)(struct nexus_objectstore *os, __u32 blocks, __u64 n, __u64 *have);
	/* As create, in room set aside.  -ENOENT when there is none. */
	int (*create_kept)(struct nexus_objectstore *os, __u64 pack, __u32 blocks);
	/*
	 * Gives an unused pack a new id; its content stays.  -EINVAL: some of it was
	 * never written.
	 */
	int (*recycle)(struct nexus_objectstore *os, __u64 from, __u64 to);
	/* Returns a file descriptor (direct I/O where the host has it). */
	int (*open_pack)(struct nexus_objectstore *os, __u64 pack, bool writable,
			 __u32 *blocks);
	/* Bytes of the host that the pack's file takes; -ENOENT. */
	int (*taken)(struct nexus_objectstore *os, __u64 pack, __u64 *bytes);
	/* Whoever has it open keeps it.  0 also when there is none. */
	int (*remove)(struct nexus_objectstore *os, __u64 pack);
	/* Every pack there is, in no order; what @fn returns other than 0 ends it. */
	int (*list)(struct nexus_objectstore *os, nexus_os_list_fn fn, void *arg);
	/* Removes what an interrupted create left behind. */
	int (*clean)(struct nexus_objectstore *os);
	/* Bytes of the host, and bytes still to be had. */
	int (*space)(struct nexus_objectstore *os, __u64 *total, __u64 *avail);
};

/* First member of every driver's store. */
struct nexus_objectstore {
	const struct nexus_os_driver *drv;
};

extern const struct nexus_os_driver nexus_os_localdisk;
extern const struct nexus_os_driver nexus_os_mem;

/* The drivers there are, ended by NULL, the default first. */
extern const struct nexus_os_driver *const nexus_os_drivers[];

#endif /* NEXUS_OBJECTSTORE_H */
