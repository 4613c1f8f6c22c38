/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * nexusfs on-disk formats: log records, log batches, and the keys and values of
 * the index; pack files are in packfile.h.
 *
 * Shapes only: no logic, no I/O.  Everything here is written to disk, so every
 * structure is packed by construction (natural alignment, explicit padding),
 * little-endian, and its size and offsets are asserted below.  Keys are
 * big-endian so that byte order is numeric order.
 * Documentation/format.md explains each record in prose.
 */
#ifndef NEXUS_FORMAT_H
#define NEXUS_FORMAT_H

#include <nexus/packfile.h>
#include <nexus/types.h>

/* ------------------------------------------------------------------ */
/* Constants                                                           */

#define NEXUS_FORMAT_VERSION	1

#define NEXUS_NAME_MAX		255	/* bytes, NAME_MAX of Linux */
#define NEXUS_SYMLINK_MAX	4095	/* bytes, PATH_MAX - 1 */
#define NEXUS_INLINE_MAX	1900	/* bytes of C value for regular files */
#define NEXUS_XATTR_NAME_MAX	255	/* XATTR_NAME_MAX of Linux */
#define NEXUS_XATTR_VALUE_MAX	65536	/* XATTR_SIZE_MAX of Linux */
#define NEXUS_KEY_MAX		511	/* LMDB's default maximum key size */
#define NEXUS_ZONE_NAME_MAX	63	/* [a-z0-9][a-z0-9-]{0,62} */

#define NEXUS_ROOT_INO		1ull	/* inode of a zone's root directory */
#define NEXUS_FIRST_INO		16ull	/* first inode handed out; below: reserved */
#define NEXUS_FIRST_POS		3ull	/* 0 = none, 1 and 2 are "." and ".." */
#define NEXUS_POS_MAX		0x7fffffffffffffffull
#define NEXUS_FIRST_PACK	1ull
#define NEXUS_FIRST_LSN		4096ull	/* LSN 0 means "never" */
#define NEXUS_SIZE_MAX		0x7fffffffffffffffull /* MAX_LFS_FILESIZE */

#define NEXUS_SEGMENT_SIZE	(16u << 20)	/* bytes, default */
#define NEXUS_PACK_SIZE		(64u << 20)	/* bytes, default */
#define NEXUS_PACK_BLOCKS_MAX	(1u << 20)	/* 4 GiB pack, format limit */

/* Feature bits of the zone superblock (Z). */
#define NEXUS_COMPAT_KNOWN	0ull
#define NEXUS_RO_COMPAT_KNOWN	0ull
#define NEXUS_INCOMPAT_LOGDATA	(1ull << 0) /* DATA records may be in the log */
#define NEXUS_INCOMPAT_SHARED	(1ull << 1) /* shared ranges: R, SHARE, CLONE */
#define NEXUS_INCOMPAT_OVERLAY	(1ull << 2) /* store is an overlay on a base */
#define NEXUS_INCOMPAT_CASEFOLD	(1ull << 3)
#define NEXUS_INCOMPAT_ENCRYPT	(1ull << 4)
#define NEXUS_INCOMPAT_RANGES	(1ull << 5) /* PUNCH and RESERVE records, unwritten extents */
#define NEXUS_INCOMPAT_MOVES	(1ull << 6) /* MOVE records */
#define NEXUS_INCOMPAT_GRACE	(1ull << 7) /* grace times of quotas */
#define NEXUS_INCOMPAT_INLINE	(1ull << 8) /* INLINE records */
#define NEXUS_INCOMPAT_AWAY	(1ull << 9) /* content of packs may be held elsewhere */
#define NEXUS_INCOMPAT_NODATACOW (1ull << 10) /* NODATACOW files, NOCRC extents and lines */
#define NEXUS_INCOMPAT_ACLMODE	(1ull << 11) /* xattr records may carry a mode */
#define NEXUS_INCOMPAT_WHITEOUT	(1ull << 12) /* RENAME records may leave a whiteout */
#define NEXUS_INCOMPAT_KNOWN \
	(NEXUS_INCOMPAT_SHARED | NEXUS_INCOMPAT_RANGES | NEXUS_INCOMPAT_MOVES | \
	 NEXUS_INCOMPAT_GRACE | NEXUS_INCOMPAT_INLINE | NEXUS_INCOMPAT_AWAY | \
	 NEXUS_INCOMPAT_NODATACOW | NEXUS_INCOMPAT_LOGDATA | NEXUS_INCOMPAT_ACLMODE | \
	 NEXUS_INCOMPAT_WHITEOUT | NEXUS_INCOMPAT_LEASES)

/* ------------------------------------------------------------------ */
/* Index keys: one letter, then big-endian fields, then bytes          */

#define NEXUS_KEY_ZONE		'Z'	/* Z */
#define NEXUS_KEY_ALLOC		'N'	/* N */
#define NEXUS_KEY_INODE		'I'	/* I ino8 */
#define NEXUS_KEY_CONTENT	'C'	/* C ino8: inline content, symlink target */
#define NEXUS_KEY_DIRENT	'D'	/* D parent8 name */
#define NEXUS_KEY_LIST		'L'	/* L parent8 pos8 */
#define NEXUS_KEY_EXTENT	'E'	/* E dataid8 offset8 (bytes) */
#define NEXUS_KEY_XATTR		'X'	/* X ino8 name */
#define NEXUS_KEY_PACK		'B'	/* B pack8 */
#define NEXUS_KEY_SHARED	'R'	/* R pack8 class1 block4 shortness1 dataid8 offset8 */
#define NEXUS_KEY_ORPHAN	'O'	/* O dataid8 */
#define NEXUS_KEY_QUOTA		'Q'	/* Q kind1 id8 */
#define NEXUS_KEY_SETTING	'S'	/* S hash8 */
#define NEXUS_KEY_NAME		'U'	/* U ino8 parent8 name */

/*
 * Head of every index value.  @crc is CRC32C (Castagnoli, initial ~0, final
 * xor ~0) over the whole value with @crc itself zero.  A reader keeps trailing
 * bytes it does not know.
 */
struct nexus_val_head {
	__u8	type;		/* the key letter */
	__u8	version;	/* of the structure, 1 */
	__le16	reserved;
	__le32	crc;
};

/* nexus_inode_val.flags */
#define NEXUS_IF_INLINE		(1u << 0)	/* body is in C */
#define NEXUS_IF_IMMUTABLE	(1u << 1)
#define NEXUS_IF_APPEND		(1u << 2)
#define NEXUS_IF_NODUMP		(1u << 3)
#define NEXUS_IF_NOATIME	(1u << 4)
#define NEXUS_IF_NODATACOW	(1u << 5)
#define NEXUS_IF_CASEFOLD	(1u << 6)	/* reserved */
#define NEXUS_IF_ENCRYPT	(1u << 7)	/* reserved */
#define NEXUS_IF_RING		(1u << 8)	/* S_IFIFO that is a ring */
#define NEXUS_IF_STREAM		(1u << 9)	/* S_IFREG that is a stream */
#define NEXUS_IF_MOUNT		(1u << 10)	/* target is a zone */
#define NEXUS_IF_SYNC		(1u << 11)
#define NEXUS_IF_DIRSYNC	(1u << 12)
#define NEXUS_IF_PROJINHERIT	(1u << 13)

struct nexus_inode_val {
	struct nexus_val_head head;
	__le32	mode;		/* S_IFMT | 07777 */
	__le32	flags;		/* NEXUS_IF_* */
	__le32	uid;
	__le32	gid;
	__le32	nlink;		/* directories: 2 + subdirectories */
	__le32	generation;	/* for file handles */
	__le32	projid;
	__le32	reserved0;
	__le64	rdev;		/* major << 32 | minor */
	__le64	size;		/* bytes; as stat(2) shows it after a crash */
	__le64	disk_size;	/* bytes up to which data was ever written */
	__le64	blocks;		/* 4 KiB pack blocks referenced */
	__le64	atime_s;
	__le64	mtime_s;
	__le64	ctime_s;
	__le64	btime_s;
	__le32	atime_ns;
	__le32	mtime_ns;
	__le32	ctime_ns;
	__le32	btime_ns;
	__le64	version;	/* +1 by every record that changes this inode */
	__le64	gen;		/* +1 by every content record */
	__le64	parent;		/* directory of its name; 0 at nlink 0 or >= 2 (files) */
	__le64	pos;		/* pos of its name in parent; 0 like parent */
	__le64	next_pos;	/* directories: next pos to give out */
	__le64	children;	/* directories: number of entries */
	__le64	data_id;	/* key of its extents; = ino at first */
	__u8	target[NEXUS_UUID_SIZE]; /* zone, __le64 ring capacity, nexus_stream_opts */
	__le64	unwritten;	/* of @blocks, those in unwritten extents */
	__u8	reserved[24];
};

struct nexus_dirent_val {
	struct nexus_val_head head;
	__le64	ino;
	__le64	pos;
	__u8	dtype;		/* DT_* of <dirent.h> */
	__u8	reserved[7];
};

struct nexus_list_val {
	struct nexus_val_head head;
	__le64	ino;
	__u8	dtype;
	__u8	namelen;
	__u8	reserved[6];
	__u8	name[];
};

#define NEXUS_EF_SHARED		(1u << 0)	/* has an R record of its own */
#define NEXUS_EF_UNWRITTEN	(1u << 1)	/* reserved by fallocate, reads zeros */
#define NEXUS_EF_NOCRC		(1u << 2)	/* of NODATACOW files: overwritten in place */

/* An unwritten extent has no place in a pack: @pack and @block are 0. */
struct nexus_extent_val {
	struct nexus_val_head head;
	__le64	pack;
	__le32	block;		/* first block in the pack */
	__le32	nblocks;
	__le32	flags;		/* NEXUS_EF_* */
	__le32	reserved;
};

/*
 * R: a reference to blocks of a pack that others may refer to as well.  Every
 * SHARED extent has one, with the same place, length, data id and offset, and
 * no other extent has.  "shortness" is NEXUS_EXTENT_BLOCKS_MAX - nblocks, so
 * that the longest reference that begins at a block comes first; "class" is 0
 * for references of at most NEXUS_SHARED_SHORT blocks and 1 for longer ones, so
 * that few keys lie between a block and the references that may cover it.
 */
struct nexus_shared_val {
	struct nexus_val_head head;
	__le64	ino;		/* that had the data id when this was written */
};

#define NEXUS_SHARED_SHORT	8u

/* nexus_pack_val.state */
#define NEXUS_PACK_OPEN		1u
#define NEXUS_PACK_SEALED	2u

struct nexus_pack_val {
	struct nexus_val_head head;
	__le32	state;		/* NEXUS_PACK_* */
	__le32	used;		/* highest referenced block + 1 */
	__le32	live;		/* blocks referenced now */
	__u8	hash_alg;	/* 0 none, 1 SHA-256 */
	__u8	reserved[3];
	__u8	hash[32];
	__u8	reserved2[16];
};

/* nexus_orphan_val.kind */
#define NEXUS_ORPHAN_INODE	1u	/* nlink 0, possibly still open */
#define NEXUS_ORPHAN_BULK	2u	/* extents of the data id are being freed */

struct nexus_orphan_val {
	struct nexus_val_head head;
	__le64	ino;		/* of ORPHAN_INODE; 0 for BULK */
	__le32	kind;		/* NEXUS_ORPHAN_* */
	__le32	uid;		/* BULK: whom the freed blocks are charged to */
	__le32	gid;
	__le32	projid;
};

/* kind byte of a Q key */
#define NEXUS_QUOTA_ZONE	0u	/* id 0: totals of the zone */
#define NEXUS_QUOTA_USER	1u
#define NEXUS_QUOTA_GROUP	2u
#define NEXUS_QUOTA_PROJECT	3u	/* project 0 is not counted */
#define NEXUS_QUOTA_UNWRITTEN	4u	/* id 0: unwritten blocks of the zone; no limits */
#define NEXUS_QUOTA_GRACE	8u	/* + kind 0 to 3, id 0: *_soft are grace times, seconds */

struct nexus_quota_val {
	struct nexus_val_head head;
	__le64	inodes;
	__le64	blocks;		/* 4 KiB */
	__le64	inodes_hard;	/* 0 = no limit */
	__le64	inodes_soft;
	__le64	blocks_hard;
	__le64	blocks_soft;
	__le64	inodes_time;	/* seconds since the epoch, 0 = not over */
	__le64	blocks_time;
};

struct nexus_setting_val {
	struct nexus_val_head head;
	__le16	pathlen;
	__le16	reserved;
	__le32	vallen;
	__u8	data[];		/* path, then value */
};

struct nexus_name_val {
	struct nexus_val_head head;
	__le64	pos;
	__u8	dtype;
	__u8	reserved[7];
};

/* X and C: head, then the bytes. */
struct nexus_blob_val {
	struct nexus_val_head head;
	__u8	data[];
};

#define NEXUS_ZONE_MAGIC	0x454e4f5a5358454eull	/* "NEXSZONE" */
#define NEXUS_ZF_CLEAN		(1u << 0)

/* Z: local to a store, outside the log and outside comparison of stores. */
struct nexus_zone_val {
	struct nexus_val_head head;
	__le64	magic;
	__le32	format;
	__le32	flags;		/* NEXUS_ZF_* */
	__le64	compat;
	__le64	ro_compat;
	__le64	incompat;
	__u8	uuid[NEXUS_UUID_SIZE];
	__le64	incarnation;	/* of the last kernel that was allowed to write */
	__le64	checkpoint;	/* LSN up to which the index holds the log */
	__le64	checkpoint_seg;	/* segment in which LSN checkpoint lies */
	__le64	next_segment;	/* lowest segment number never used */
	__le64	created_s;
	__le32	segment_size;
	__le32	pack_size;
	__le64	log_from;	/* LSN from which the log is needed; 0: the checkpoint */
	__u8	reserved[56];
};

/* N: local like Z. */
struct nexus_alloc_val {
	struct nexus_val_head head;
	__le64	next_ino;	/* every inode number below was handed out */
	__le64	next_pack;	/* every pack id below was handed out */
	__le32	segment_files;	/* that a zone which was not closed in order has; 0: not known */
	__u8	reserved[44];
};

/* ------------------------------------------------------------------ */
/* Log records                                                         */

enum nexus_rec_type {
	NEXUS_REC_NOP		= 1,
	NEXUS_REC_CREATE	= 2,
	NEXUS_REC_LINK		= 3,
	NEXUS_REC_UNLINK	= 4,
	NEXUS_REC_RENAME	= 5,
	NEXUS_REC_SETATTR	= 6,
	NEXUS_REC_TRUNCATE	= 7,
	NEXUS_REC_EXTENT	= 8,
	NEXUS_REC_SETXATTR	= 9,
	NEXUS_REC_REMOVEXATTR	= 10,
	NEXUS_REC_FORGET	= 11,
	NEXUS_REC_BULK		= 12,
	NEXUS_REC_PACK		= 13,
	NEXUS_REC_SETTING	= 14,
	NEXUS_REC_QUOTA		= 15,
	NEXUS_REC_DATA		= 16,
	NEXUS_REC_SHARE		= 17,
	NEXUS_REC_CLONE		= 18,
	NEXUS_REC_PUNCH		= 19,
	NEXUS_REC_RESERVE	= 20,
	NEXUS_REC_MOVE		= 21,
	NEXUS_REC_INLINE	= 22,
	NEXUS_REC_LEASE		= 23,
	NEXUS_REC_MAX
};

/* Longest record: one xattr of the largest size and its name. */
#define NEXUS_REC_LEN_MAX	(72u << 10)

/*
 * Head of every record.  An LSN is the byte position of a record's first byte
 * in the zone's stream of records (batch heads and padding are not counted);
 * records are 8-byte aligned and follow each other without gaps, so the LSN
 * after a record is @lsn + @len.
 */
struct nexus_rec_head {
	__le32	len;		/* bytes with head and padding, multiple of 8 */
	__le16	type;		/* enum nexus_rec_type */
	__le16	flags;		/* per type */
	__le64	lsn;
	__le64	time_s;		/* time of the operation */
	__le32	time_ns;
	__le32	reserved;
};

/*
 * CREATE: a new inode, named @name in @parent at @pos; @parent 0: O_TMPFILE.
 * Body: name, then content (symlink target or inline bytes), then xattrs, each
 * a struct nexus_rec_xattr with name and value; each of the three parts is
 * padded to 8 bytes.
 * Requires: ino absent; parent a live directory; name and pos absent.
 */
struct nexus_rec_create {
	struct nexus_rec_head head;
	__le64	parent;
	__le64	pos;
	__le64	ino;
	__le64	data_id;
	__le64	rdev;
	__le32	generation;
	__le32	mode;
	__le32	uid;
	__le32	gid;
	__le32	projid;
	__le32	iflags;		/* NEXUS_IF_* */
	__u8	target[NEXUS_UUID_SIZE];
	__le16	namelen;
	__le16	contentlen;
	__le32	xattrlen;	/* bytes of the xattr part, padding included */
	__u8	data[];
};

struct nexus_rec_xattr {
	__le16	namelen;
	__le16	reserved;
	__le32	vallen;
	__u8	data[];		/* name, value; padded to 8 */
};

/* LINK: requires: ino exists and is no directory; name and pos absent. */
struct nexus_rec_link {
	struct nexus_rec_head head;
	__le64	parent;
	__le64	pos;
	__le64	ino;
	__le16	namelen;
	__le16	reserved[3];
	__u8	name[];
};

#define NEXUS_RF_RMDIR		(1u << 0)	/* head.flags of UNLINK */

/* UNLINK: requires: the entry is (ino, pos); RMDIR: a directory, no children. */
struct nexus_rec_unlink {
	struct nexus_rec_head head;
	__le64	parent;
	__le64	pos;
	__le64	ino;
	__le16	namelen;
	__le16	reserved[3];
	__u8	name[];
};

#define NEXUS_RF_EXCHANGE	(1u << 0)	/* head.flags of RENAME */
#define NEXUS_RF_WHITEOUT	(1u << 1)	/* feature WHITEOUT; not with EXCHANGE */

/*
 * RENAME: (sparent, sname, spos) -> ino becomes (dparent, dname, dpos) -> ino.
 * @replaced is the inode that dname named before, 0 if none; with a replaced
 * inode @dpos is the pos the name already has, else a fresh one.  EXCHANGE:
 * names keep their pos and swap inodes.  WHITEOUT: the old name stays, with its
 * pos, and names the new inode of the struct nexus_rec_whiteout that follows the names.
 * Requires: both entries as stated; a moved directory is no ancestor of its new
 * parent; a replaced directory has no children; the whiteout's inode is absent.
 */
struct nexus_rec_rename {
	struct nexus_rec_head head;
	__le64	sparent;
	__le64	spos;
	__le64	ino;
	__le64	dparent;
	__le64	dpos;
	__le64	replaced;
	__le16	snamelen;
	__le16	dnamelen;
	__le32	reserved;
	__u8	names[];	/* sname then dname, unpadded between */
};

/* A character device 0/0 that nobody may use; its data id is its number. */
struct nexus_rec_whiteout {
	__le64	ino;
	__le32	generation;
	__le32	uid;
	__le32	gid;
	__le32	projid;
	__le32	reserved;
	__le32	xattrlen;
	__u8	xattrs[];	/* as in CREATE */
};

#define NEXUS_SA_MODE		(1u << 0)
#define NEXUS_SA_UID		(1u << 1)
#define NEXUS_SA_GID		(1u << 2)
#define NEXUS_SA_PROJID		(1u << 3)
#define NEXUS_SA_FLAGS		(1u << 4)
#define NEXUS_SA_ATIME		(1u << 5)
#define NEXUS_SA_MTIME		(1u << 6)
#define NEXUS_SA_CTIME		(1u << 7)
#define NEXUS_SA_BTIME		(1u << 8)
#define NEXUS_SA_ALL		0x1ffu

/* SETATTR: masked update.  Requires: ino exists. */
struct nexus_rec_setattr {
	struct nexus_rec_head head;
	__le64	ino;
	__le32	mask;		/* NEXUS_SA_* */
	__le32	mode;		/* permission bits; the type never changes */
	__le32	uid;
	__le32	gid;
	__le32	projid;
	__le32	iflags;
	__le64	atime_s;
	__le64	mtime_s;
	__le64	ctime_s;
	__le64	btime_s;
	__le32	atime_ns;
	__le32	mtime_ns;
	__le32	ctime_ns;
	__le32	btime_ns;
};

/*
 * TRUNCATE: size becomes @size; extents wholly at or above it go.  mtime and
 * ctime become the head's time.  @new_data_id nonzero: the whole body goes; the
 * inode takes the new data id and the old one is queued under O.
 * @tail_pack nonzero: the block that holds byte @size - 1 becomes this one
 * (the same bytes, zeros above @size), so that no crash shows what was cut off.
 */
struct nexus_rec_truncate {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	new_data_id;
	__le64	size;
	__le64	tail_pack;
	__le32	tail_block;
	__le32	tail_crc;
};

#define NEXUS_EXTENT_BLOCKS_MAX	256u	/* blocks of one EXTENT record */

/*
 * EXTENT: file blocks [offset, offset + nblocks) now live at (pack, block).
 * Whatever was mapped there is freed.  size and disk_size become at least
 * @size; mtime and ctime become the given ones.  One CRC32C a block follows,
 * padded to 8 bytes; with NOCRC they are 0.  Unconditional but for: ino exists with that data id.
 */
struct nexus_rec_extent {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le64	size;		/* bytes: file size these blocks prove */
	__le64	pack;
	__le32	block;
	__le32	nblocks;	/* 1..NEXUS_EXTENT_BLOCKS_MAX */
	__le32	flags;		/* NEXUS_EF_* of the extent */
	__le32	reserved;
	__le64	mtime_s;
	__le64	ctime_s;
	__le32	mtime_ns;
	__le32	ctime_ns;
	__le32	crc[];		/* nblocks of them */
};

#define NEXUS_RF_XATTR_CREATE	(1u << 0)
#define NEXUS_RF_XATTR_REPLACE	(1u << 1)
#define NEXUS_RF_XATTR_MODE	(1u << 2)	/* also of REMOVEXATTR; feature ACLMODE */

/*
 * SETXATTR / REMOVEXATTR (vallen 0): ctime becomes the head's time.  With MODE the
 * permission bits become @mode: an ACL and the mode that goes with it.
 */
struct nexus_rec_setxattr {
	struct nexus_rec_head head;
	__le64	ino;
	__le16	namelen;
	__le16	mode;		/* 07777; 0 without MODE */
	__le32	vallen;
	__u8	data[];		/* name, value */
};

/*
 * FORGET: the last user of an orphan is gone: I, C, X, H and O of it go; its
 * extents up to @max of them; if more remain, O becomes ORPHAN_BULK.
 * Requires: ino exists with nlink 0.
 */
struct nexus_rec_forget {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le32	max;
	__le32	reserved;
};

/* BULK: free up to @max extents of @data_id; O goes with the last. */
struct nexus_rec_bulk {
	struct nexus_rec_head head;
	__le64	data_id;
	__le32	max;
	__le32	reserved;
};

/*
 * PACK: a pack changes state.  SEALED: @used is final.  @state 0: the pack is
 * empty (live 0, sealed) and its record goes.
 */
struct nexus_rec_pack {
	struct nexus_rec_head head;
	__le64	pack;
	__le32	state;
	__le32	used;
	__u8	hash_alg;
	__u8	reserved[7];
	__u8	hash[32];
};

/* SETTING: vallen 0 deletes.  @hash is the key: the first 8 bytes of SHA-256(path). */
struct nexus_rec_setting {
	struct nexus_rec_head head;
	__le64	hash;
	__le16	pathlen;
	__le16	reserved;
	__le32	vallen;
	__u8	data[];
};

struct nexus_rec_quota {
	struct nexus_rec_head head;
	__le64	id;
	__le32	kind;
	__le32	reserved;
	__le64	inodes_hard;
	__le64	inodes_soft;
	__le64	blocks_hard;
	__le64	blocks_soft;
};

#define NEXUS_CLONE_BLOCKS_MAX	1024u	/* blocks of one SHARE or CLONE */

/*
 * SHARE: extents that overlap file blocks [offset, offset + nblocks) become
 * SHARED, as a whole; those that are, and UNWRITTEN ones, stay as they are.
 * What the file holds does not change.
 * Requires: a regular file with that data id.
 */
struct nexus_rec_share {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le32	nblocks;	/* 1..NEXUS_CLONE_BLOCKS_MAX */
	__le32	reserved;
};

/*
 * CLONE: file blocks [offset, offset + nblocks) become what the source has from
 * src_offset on: the same blocks, and holes where it has holes or UNWRITTEN
 * extents.  What was mapped there is freed.  Sizes and times as with EXTENT; the
 * source's inode does not change.
 * Requires: two regular files, or one and ranges apart, with those data ids;
 * @mapped blocks of the source range are mapped, and SHARED.
 */
struct nexus_rec_clone {
	struct nexus_rec_head head;
	__le64	src_ino;
	__le64	src_data_id;
	__le64	src_offset;	/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le64	ino;
	__le64	data_id;
	__le64	offset;		/* bytes, multiple of NEXUS_BLOCK_SIZE */
	__le64	size;		/* bytes: file size these blocks prove */
	__le32	nblocks;	/* 1..NEXUS_CLONE_BLOCKS_MAX */
	__le32	mapped;
	__le64	mtime_s;
	__le64	ctime_s;
	__le32	mtime_ns;
	__le32	ctime_ns;
};

#include <nexus/datarec.h>
#include <nexus/inlinerec.h>
#include <nexus/leaserec.h>
#include <nexus/placerec.h>

/* ------------------------------------------------------------------ */
/* Log batches                                                         */

#define NEXUS_BATCH_MAGIC	0x4843544253584e4cull	/* "LNXSBTCH" */
#define NEXUS_BATCH_VERSION	1
#define NEXUS_BATCH_BYTES_MAX	(1u << 20) /* header, records and padding */

/*
 * A batch starts on a block boundary, is padded to one with zeros, and never
 * crosses the end of a segment.  The next batch starts at the next block; if
 * too little room is left for it, in the first block of the segment with the
 * next number.  A segment begins with a batch (there is no other head).
 */
struct nexus_batch_head {
	__le64	magic;
	__le32	version;
	__le32	head_len;	/* sizeof(struct nexus_batch_head) */
	__u8	zone[NEXUS_UUID_SIZE];
	__le64	incarnation;
	__le64	segment;	/* number, never reused within a zone */
	__le64	first_lsn;
	__le64	durable;	/* everything below was durable when this was written */
	__le32	count;		/* records */
	__le32	length;		/* bytes of records, without padding */
	__le32	block;		/* offset of this batch in the segment, in blocks */
	__le32	prev_crc;	/* crc of the previous batch of the chain */
	__le32	crc;		/* CRC32C over head (crc 0) and records */
	__le32	reserved0;
	__u8	reserved[40];
};

/* ------------------------------------------------------------------ */

NEXUS_STATIC_ASSERT(sizeof(struct nexus_val_head) == 8);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_inode_val) == 224);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_dirent_val) == 32);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_list_val) == 24);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_extent_val) == 32);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_shared_val) == 16);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_pack_val) == 72);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_orphan_val) == 32);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_quota_val) == 72);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_setting_val) == 16);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_name_val) == 24);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_zone_val) == 176);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_alloc_val) == 72);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_head) == 32);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_create) == 120);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_xattr) == 8);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_link) == 64);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_unlink) == 64);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_rename) == 88);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_whiteout) == 32);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_setattr) == 112);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_truncate) == 80);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_extent) == 112);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_setxattr) == 48);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_forget) == 56);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_bulk) == 48);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_pack) == 88);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_setting) == 48);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_quota) == 80);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_share) == 64);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_clone) == 120);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_batch_head) == 128);

#endif /* NEXUS_FORMAT_H */
