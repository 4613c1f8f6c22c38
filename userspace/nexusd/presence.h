/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks of a pack file are there.  A block that is dead, or held elsewhere, is
 * marked in its line of the pack's table (NEXUS_PL_ABSENT, and NEXUS_PL_AWAY), durably,
 * before it is punched out; that is local to the file, outside of the log.  Holes of
 * the file say nothing.
 *
 * The table of a sealed pack is written by who marks, and by who fetches; each reads
 * the lines that it changes again, under a lock in here.
 */
#ifndef NEXUSD_PRESENCE_H
#define NEXUSD_PRESENCE_H

#include "pack.h"
#include "zone.h"

/* A bit for each block of a pack. */
static inline bool bit_get(const u64 *bits, u32 i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static inline void bit_set(u64 *bits, u32 i)
{
	bits[i / 64] |= 1ull << (i % 64);
}

static inline size_t bit_words(u32 n)
{
	return ((size_t)n + 63) / 64;
}

/* A pack file that is open, with its head and table. */
struct pack_image {
	u64 pack;
	int fd;
	u32 blocks;
	u32 first;			/* first block of content */
	struct nexus_pack_head *head;	/* a block; the table is behind it */
	struct nexus_pack_line *table;	/* a line for each block */
};

/*
 * 0; -ENOENT: no such pack; -EUCLEAN: its head is of another one or damaged; -EIO.
 * On success it is closed with pack_image_close().
 */
int pack_image_open(struct nexus_objectstore *os, u64 pack, const u8 *uuid, bool writable,
		    struct pack_image *img);
void pack_image_close(struct pack_image *img);
/*
 * How long a copy of it is at least, in bytes: what is behind the last block that has an
 * owner is nobody's.  Of a sealed pack it never gets more.
 */
u64 pack_image_bytes(const struct pack_image *img);
/* How long it is, and a copy at most. */
static inline u64 pack_image_full(const struct pack_image *img)
{
	return (u64)img->blocks << NEXUS_BLOCK_SHIFT;
}

/* Blocks that are held elsewhere only. */
u32 pack_image_away(const struct pack_image *img);

static inline bool pack_line_is(const struct nexus_pack_line *line, u64 pack)
{
	return le32_to_cpu(line->pack) == (u32)pack;
}

static inline bool pack_line_absent(const struct nexus_pack_line *line, u64 pack)
{
	return pack_line_is(line, pack) && le64_to_cpu(line->offset) & NEXUS_PL_ABSENT;
}

/* Absent, and to be had elsewhere. */
static inline bool pack_line_away(const struct nexus_pack_line *line, u64 pack)
{
	return pack_line_absent(line, pack) && le64_to_cpu(line->offset) & NEXUS_PL_AWAY;
}

/* Without a checksum: its content may change in place as long as it is alive. */
static inline bool pack_line_plain(const struct nexus_pack_line *line, u64 pack)
{
	return pack_line_is(line, pack) && le64_to_cpu(line->offset) & NEXUS_PL_NOCRC;
}

/* The lines of blocks [block, block + n) of an open file.  0, -EIO, -ENOMEM. */
int pack_lines_read(int fd, u32 block, u32 n, struct nexus_pack_line *line);
/*
 * Those of them whose bits are set in @here (from bit 0 on) are in the file, flushed:
 * they are away no more.  Not flushed itself: a crash may take it back.
 */
int pack_lines_here(int fd, u64 pack, u32 block, u32 n, const u64 *here);

/* Blocks of the table with the lines of blocks [block, block + n); not flushed. */
int pack_image_write_lines(struct pack_image *img, u32 block, u32 n);
/* Marks the blocks whose bits are set in @gone absent, in image and file, durably. */
int pack_image_mark(struct pack_image *img, const u64 *gone);
/* The same, and that they are held elsewhere. */
int pack_image_evict(struct pack_image *img, const u64 *gone);
/* Blocks that are absent for good: dead, and not held elsewhere. */
u32 pack_image_dead(const struct pack_image *img);
/*
 * Gives their space back to the host.  -EOPNOTSUPP: it has no way to.  *blocks:
 * those that were given back.
 */
int pack_image_punch(struct pack_image *img, const u64 *gone, u64 *blocks);

/*
 * Hands a pack over that is to be read, with what is absent of it.  0 also when the
 * kernel has it already.
 */
int zone_offer_pack(struct zone *z, u64 pack);
/* RETIREs the blocks whose bits are set, with @flags (NEXUS_RT_*).  As the ioctl. */
int zone_retire(struct zone *z, u64 pack, const u64 *gone, u32 blocks, u32 flags);
/* All content of a pack; 0 also when the kernel does not have it. */
int zone_retire_pack(struct zone *z, u64 pack, u32 blocks);

#endif /* NEXUSD_PRESENCE_H */
