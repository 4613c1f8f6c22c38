/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * nexusfs on-disk formats: the log record that carries content.  A part of format.h,
 * which includes this where the head of records is known.
 */
#ifndef NEXUS_DATAREC_H
#define NEXUS_DATAREC_H

#define NEXUS_DATA_BLOCKS_MAX	16u	/* blocks of one DATA record */

/*
 * DATA: file blocks from @offset on are these bytes, and zeros up to the end of the
 * last block.  The file is at least as long as they reach; mtime and ctime become the
 * given ones.  The index has no place for the bytes: they are in force until a later
 * record says what the blocks are, and as long the log is kept from here on.  An EXTENT
 * record does so in the end; after a crash whoever replays the log writes it.  The
 * bytes are padded to 8.
 * Feature LOGDATA.  Requires: a regular file with that data id and no inline body.
 */
struct nexus_rec_data {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le64	mtime_s;
	__le64	ctime_s;
	__le32	mtime_ns;
	__le32	ctime_ns;
	__le32	len;		/* bytes of content */
	__le32	crc;		/* CRC32C of the content */
	__u8	data[];
};

NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_data) == 88);

#endif /* NEXUS_DATAREC_H */
