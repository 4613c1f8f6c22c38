/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Building and checking log records and batches.  Builders write into a caller's
 * buffer and return the length in bytes (a multiple of 8); head.lsn is left zero
 * for the append path to fill.  None can fail: the caller has checked names and
 * sizes and made the buffer as large as nexus_rec_*_len() says.
 */
#ifndef NEXUS_LIB_RECORD_H
#define NEXUS_LIB_RECORD_H

#include <nexus/format.h>
#include "port.h"

#define NEXUS_SETTING_PATH_MAX	4095u
#define NEXUS_SETTING_VALUE_MAX	8192u	/* path and value fit one reply slot */

#define NEXUS_QUOTA_LIMITED	4u	/* kinds of quotas below can have limits */
#define NEXUS_QUOTA_GRACE_TIME	604800u	/* seconds, where none is set */

/* Every flag of an inode this version knows; a record with others is refused. */
#define NEXUS_IF_KNOWN		0x3fffu
/* Those that SETATTR leaves as they are: they say what the inode is. */
#define NEXUS_IF_FIXED		(NEXUS_IF_INLINE | NEXUS_IF_CASEFOLD | \
				 NEXUS_IF_ENCRYPT | NEXUS_IF_RING | \
				 NEXUS_IF_STREAM | NEXUS_IF_MOUNT)

struct nexus_time {
	s64	s;
	u32	ns;
};

/* Bytes of a record, padding included. */
size_t nexus_rec_create_len(size_t namelen, size_t contentlen, size_t xattrlen);
size_t nexus_rec_name_len(size_t namelen);		/* LINK, UNLINK */
size_t nexus_rec_rename_len(size_t snamelen, size_t dnamelen);
size_t nexus_rec_extent_len(u32 nblocks);
size_t nexus_rec_move_len(u32 nblocks);
size_t nexus_rec_inline_len(u32 len);
size_t nexus_rec_setxattr_len(size_t namelen, size_t vallen);
/* Bytes one xattr takes in the xattr part of CREATE. */
size_t nexus_rec_xattr_len(size_t namelen, size_t vallen);

/* Fills the head: length, type, flags, time; zeroes the padding up to len. */
void nexus_rec_init(struct nexus_rec_head *head, size_t len, u16 type,
		    u16 flags, struct nexus_time now);

/* CREATE: the caller has filled all fixed fields of @rec after nexus_rec_init(). */
void nexus_rec_create_body(struct nexus_rec_create *rec, const void *name,
			   size_t namelen, const void *content, size_t contentlen);
/* Where the xattr part of CREATE begins. */
void *nexus_rec_create_xattrs(struct nexus_rec_create *rec);
/* Writes one xattr at @p; returns the bytes written. */
size_t nexus_rec_put_xattr(void *p, const void *name, size_t namelen,
			   const void *val, size_t vallen);

size_t nexus_rec_link(void *buf, u64 parent, u64 pos, u64 ino, const void *name,
		      size_t namelen, struct nexus_time now);
size_t nexus_rec_unlink(void *buf, u64 parent, u64 pos, u64 ino, const void *name,
			size_t namelen, bool rmdir, struct nexus_time now);
struct nexus_whiteout_args {
	u64	ino;
	u32	generation, uid, gid, projid;
	const void *xattrs;	/* as nexus_rec_put_xattr() writes them */
	u32	xattrlen;
};

struct nexus_rename_args {
	u64	sparent, spos, ino, dparent, dpos, replaced;
	const void *sname, *dname;
	u16	snamelen, dnamelen;
	u16	flags;		/* NEXUS_RF_EXCHANGE; WHITEOUT is said by the pointer */
	const struct nexus_whiteout_args *whiteout; /* or NULL */
};

/* What a whiteout adds to the length of a RENAME. */
size_t nexus_rec_whiteout_len(u32 xattrlen);
size_t nexus_rec_rename(void *buf, const struct nexus_rename_args *a,
			struct nexus_time now);
size_t nexus_rec_setxattr(void *buf, u64 ino, const void *name, size_t namelen,
			  const void *val, size_t vallen, u16 flags,
			  struct nexus_time now);
size_t nexus_rec_removexattr(void *buf, u64 ino, const void *name,
			     size_t namelen, struct nexus_time now);
/* Either of them, just built, sets the permission bits, too. */
void nexus_rec_xattr_mode(void *buf, u32 mode);
size_t nexus_rec_forget(void *buf, u64 ino, u64 data_id, u32 max,
			struct nexus_time now);
size_t nexus_rec_bulk(void *buf, u64 data_id, u32 max, struct nexus_time now);

/*
 * Structural check of a record of which @avail bytes can be read: length, type,
 * inner lengths, names, padding.  0 or -EUCLEAN.  Everything that walks records
 * calls this first; afterwards inner lengths can be trusted.
 */
int nexus_rec_check(const struct nexus_rec_head *rec, size_t avail);
/* The same but for the checksum of a DATA record's bytes: for who has just computed it. */
int nexus_rec_check_form(const struct nexus_rec_head *rec, size_t avail);
const char *nexus_rec_name(u16 type);

/* CRC of a batch: over head with crc 0, then @length bytes of records. */
u32 nexus_batch_crc(const struct nexus_batch_head *head, const void *records);
/*
 * 0 if @buf holds a whole, right batch of this zone; -ENODATA if there is no
 * batch at all (no magic), -EUCLEAN if there is a broken one.  @avail: bytes
 * that can be read.
 */
int nexus_batch_check(const void *buf, size_t avail, const u8 *zone);
/* Bytes on disk: head and records, padded to a block. */
size_t nexus_batch_size(size_t length);

#endif /* NEXUS_LIB_RECORD_H */
