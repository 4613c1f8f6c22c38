/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * nexusfs on-disk formats: head and table of a pack file.  Shapes only, as in
 * format.h, which includes this.
 */
#ifndef NEXUS_PACKFILE_H
#define NEXUS_PACKFILE_H

#include <nexus/types.h>

#define NEXUS_BLOCK_SHIFT	12	/* pack block, batch padding unit */
#define NEXUS_BLOCK_SIZE	(1u << NEXUS_BLOCK_SHIFT)
#define NEXUS_UUID_SIZE		16

#define NEXUS_PACK_MAGIC	0x4b4341505358454eull	/* "NEXSPACK" */

/* Block 0 of a pack. */
struct nexus_pack_head {
	__le64	magic;
	__le32	version;	/* 1 */
	__le32	flags;		/* NEXUS_PACK_SEALED_FLAG */
	__u8	zone[NEXUS_UUID_SIZE];
	__le64	pack;
	__le32	blocks;		/* of the whole file, head and table included */
	__le32	table_blocks;	/* blocks of the table, which starts at block 1 */
	__le32	used;		/* sealed: highest referenced block + 1 */
	__le32	crc;		/* CRC32C of this structure with crc 0 */
	__le32	absent;		/* 0: no line says NEXUS_PL_ABSENT; else how many, about */
	__u8	reserved[60];
};

#define NEXUS_PACK_SEALED_FLAG	1u
#define NEXUS_PACK_AWAY_FLAG	2u	/* lines said NEXUS_PL_AWAY, once */

/*
 * One line for each block of the pack, the block itself being the index (the
 * lines of head and table are zero).  It names the first owner.  @pack is the
 * low half of the pack id: files are recycled, so a line of an earlier life is
 * told apart.  A line whose @pack does not match is empty.
 */
struct nexus_pack_line {
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* in the file, bytes | NEXUS_PL_* in the low bits */
	__le32	crc;		/* CRC32C of the block */
	__le32	pack;
};

/*
 * The block may have been punched out of the file: it is dead, or with AWAY to be had
 * elsewhere.  A line can say it without an owner: nothing was ever mapped there.
 */
#define NEXUS_PL_ABSENT		1u
#define NEXUS_PL_AWAY		2u	/* only with ABSENT; feature AWAY */
#define NEXUS_PL_NOCRC		4u	/* no checksum: overwritten in place; feature NODATACOW */

#define NEXUS_PACK_LINES_PER_BLOCK (NEXUS_BLOCK_SIZE / 32u)

NEXUS_STATIC_ASSERT(sizeof(struct nexus_pack_head) == 120);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_pack_line) == 32);

#endif /* NEXUS_PACKFILE_H */
