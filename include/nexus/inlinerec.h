/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * nexusfs on-disk formats: the log record of a tiny file's body.  A part of format.h,
 * which includes this where the head of records is known.
 */
#ifndef NEXUS_INLINEREC_H
#define NEXUS_INLINEREC_H

/*
 * INLINE: the body of the file is these bytes, and zeros up to its size; it is kept
 * in the index (C).  size and disk_size become at least @len; mtime and ctime become
 * the given ones.  The bytes are padded to 8.
 * Feature INLINE.  Requires: a regular file with that data id and without extents.
 */
struct nexus_rec_inline {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	mtime_s;
	__le64	ctime_s;
	__le32	mtime_ns;
	__le32	ctime_ns;
	__le32	len;		/* bytes, 1..NEXUS_INLINE_MAX */
	__le32	reserved;
	__u8	data[];
};

NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_inline) == 80);

#endif /* NEXUS_INLINEREC_H */
