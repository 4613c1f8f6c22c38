/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * nexusfs on-disk formats: log records that change where a file's content lies and
 * not what it is made of.  A part of format.h, which includes this where the head of
 * records is known.
 */
#ifndef NEXUS_PLACEREC_H
#define NEXUS_PLACEREC_H

#define NEXUS_RANGE_BLOCKS_MAX	65536u	/* blocks of one PUNCH or RESERVE record */

/*
 * PUNCH: what is mapped in [offset, offset + len) goes; what it covers of block
 * 0 ends an inline body.
 * RESERVE: what is not mapped there becomes unwritten extents.  Requires: no
 * inline body.
 * Both: feature RANGES; size becomes at least @size; mtime and ctime become the
 * head's time.  Requires: a
 * regular file with that data id.
 */
struct nexus_rec_range {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le64	len;		/* bytes, 1..NEXUS_RANGE_BLOCKS_MAX blocks */
	__le64	size;
};

/*
 * MOVE: file blocks [offset, offset + nblocks) are at (to_pack, to_block) from now
 * on, if all of them are at (from_pack, from_block), in extents that are neither
 * SHARED nor UNWRITTEN; if not, or if the inode is no regular file with that data
 * id, nothing changes.  The content is the same, so the inode does not change.  A
 * CRC32C a block follows, padded to 8 bytes.  Feature MOVES.
 */
struct nexus_rec_move {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le64	from_pack;
	__le64	to_pack;	/* another one */
	__le32	from_block;
	__le32	to_block;
	__le32	nblocks;	/* 1..NEXUS_EXTENT_BLOCKS_MAX */
	__le32	reserved;
	__le32	crc[];		/* nblocks of them */
};

NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_range) == 72);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_move) == 88);

#endif /* NEXUS_PLACEREC_H */
