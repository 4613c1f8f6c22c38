/* SPDX-License-Identifier: Apache-2.0 */
/* The two records of a store that no log record changes: Z and N. */
#ifndef NEXUSD_SUPER_H
#define NEXUSD_SUPER_H

#include <nexus/metastore.h>

#include "lib/key.h"
#include "log.h"

#define SUPER_RAW_MAX	1024u

/* Z, and whatever a newer version keeps behind it. */
struct super {
	u8 uuid[NEXUS_UUID_SIZE];
	u32 format;
	u32 flags;		/* NEXUS_ZF_* */
	u64 compat;
	u64 ro_compat;
	u64 incompat;
	u64 incarnation;
	u64 checkpoint;
	u64 checkpoint_seg;
	u64 log_from;		/* from here on the log is needed; at most the checkpoint */
	u64 next_segment;
	u64 created_s;
	u32 segment_size;
	u32 pack_size;
	u8 raw[SUPER_RAW_MAX];
	size_t rawlen;
};

struct alloc {
	u64 next_ino;
	u64 next_pack;
	u32 segment_files;	/* 0: not known */
};

static inline u32 super_pack_blocks(const struct super *sb)
{
	return sb->pack_size / NEXUS_BLOCK_SIZE;
}

/* Blocks of data in a pack. */
static inline u32 super_pack_usable(const struct super *sb)
{
	u32 blocks = super_pack_blocks(sb);

	return blocks - 1 - (blocks + NEXUS_PACK_LINES_PER_BLOCK - 1) / NEXUS_PACK_LINES_PER_BLOCK;
}

static inline u32 super_segment_blocks(const struct super *sb)
{
	return sb->segment_size / NEXUS_BLOCK_SIZE;
}

/*
 * Reads Z and checks magic, format version, feature bits and sizes.  *rdonly:
 * set when a ro_compat bit is unknown.  @err gets the line.
 */
int super_read(struct nexus_metastore *ms, struct super *sb, bool *rdonly,
	       struct errline *err);
/* Likewise of what is in @sb->raw already. */
int super_parse(struct super *sb, bool *rdonly, struct errline *err);
/* The fields into @sb->raw, sealed; what stands behind them stays. */
void super_encode(struct super *sb);
int alloc_read(struct nexus_metastore *ms, struct alloc *al, struct errline *err);
int super_put(struct nexus_metastore *ms, struct nexus_ms_batch *batch, struct super *sb);
int alloc_put(struct nexus_metastore *ms, struct nexus_ms_batch *batch,
	      const struct alloc *al);

/*
 * One durable batch: @fill puts into it; it is called again when the store
 * had to grow.
 */
int ms_write(struct nexus_metastore *ms,
	     int (*fill)(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg),
	     void *arg);
/* Makes @al durable. */
int alloc_write(struct nexus_metastore *ms, const struct alloc *al);

#endif /* NEXUSD_SUPER_H */
