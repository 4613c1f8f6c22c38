/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * nexusfs: the wire between the module and the helper, ioctls and netlink names.
 * Trust: the helper is privileged (CAP_SYS_ADMIN) but may be buggy or compromised; the module
 * copies every reply once and validates the copy.  All integers are native-endian: both ends
 * run on one machine.  Every reserved field must be zero.
 *
 * Life of a session: open /dev/nexusfs; NEXUS_IOC_ATTACH; mmap the queues; park one
 * NEXUS_URING_WAIT a queue; answer requests.  Requests go to queues that have had a WAIT or COMMIT
 * only.  Closing the last reference of the file (process death included) makes the session LOST;
 * the next helper that attaches under the same name finds the living zones with
 * NEXUS_IOC_ZONE_NEXT, attaches them again, starts its queues, gets every unanswered request anew
 * and goes on.  Documentation/wire.md tells it in full.
 */
#ifndef _UAPI_LINUX_NEXUSFS_H
#define _UAPI_LINUX_NEXUSFS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NEXUS_ABI_VERSION	7
#define NEXUS_DEVICE_NAME	"nexusfs"
#define NEXUS_SUPER_MAGIC	0x4e455853	/* "NEXS" */

#define NEXUS_SESSION_NAME_MAX	63
#define NEXUS_ZONE_NAME_LEN	64	/* buffer, NUL included */
#define NEXUS_QUEUES_MAX	64
#define NEXUS_SLOTS		64	/* request slots of one queue */
#define NEXUS_REQUEST_SIZE	512	/* bytes of a request slot, head included */
#define NEXUS_REPLY_SIZE	16384	/* bytes of a reply slot, head included */

/* ---- mmap: offsets on /dev/nexusfs -------------------------------- */
/*
 * NEXUS_MMAP_REQ(q) is mapped read-only, NEXUS_MMAP_REP(q) read-write,
 * NEXUS_MMAP_LOG(zone) read-only: struct nexus_log_ctl in the first page, then
 * the ring.
 */
#define NEXUS_MMAP_REQ(q)	((__u64)(q) << 32 | 0ull << 28)
#define NEXUS_MMAP_REP(q)	((__u64)(q) << 32 | 1ull << 28)
#define NEXUS_MMAP_LOG(z)	((__u64)(z) << 32 | 2ull << 28)
#define NEXUS_MMAP_KIND(off)	(((off) >> 28) & 0xf)
#define NEXUS_MMAP_INDEX(off)	((off) >> 32)

/* ---- queues ------------------------------------------------------- */

/*
 * Request area: kernel writes, helper reads.  @sq_tail is free-running; entry i
 * of the submission ring is sq[i % NEXUS_SLOTS], a slot number.
 */
struct nexus_req_area {
	__u32	sq_tail;	/* store-release by the kernel */
	__u32	elsewhere;	/* whom the last answers woke runs on other CPUs: poll */
	__u32	reserved[14];
	__u32	sq[NEXUS_SLOTS];
	__u8	pad[4096 - 64 - 4 * NEXUS_SLOTS];
	__u8	slot[NEXUS_SLOTS][NEXUS_REQUEST_SIZE];
};

struct nexus_cqe {
	__u32	slot;
	__u32	seq;		/* of the request answered */
};

/* Reply area: helper writes, kernel reads each field once. */
struct nexus_rep_area {
	__u32	sq_head;	/* how far the helper has consumed sq */
	__u32	polling;	/* nonzero: spinning on sq_tail, no doorbell needed */
	__u32	cq_tail;	/* free-running, store-release by the helper */
	__u32	reserved[13];
	struct nexus_cqe cq[NEXUS_SLOTS];
	__u8	pad[4096 - 64 - 8 * NEXUS_SLOTS];
	__u8	slot[NEXUS_SLOTS][NEXUS_REPLY_SIZE];
};

/* Opcodes: 0x00-0x1f general. */
enum nexus_op {
	/*
	 * data: name, with OPEN_BUCKET a NUL and what is to be mounted; arg0: NEXUS_OPEN_*; arg1:
	 * ticket, not 0, with which the zone is attached before the reply -> nothing, or why not
	 */
	NEXUS_OP_OPEN_ZONE	= 0x01,
	NEXUS_OP_LOOKUP		= 0x02,	/* ino: directory; data: name -> struct nexus_entry_reply */
	NEXUS_OP_GETATTR	= 0x03,	/* ino, arg0: NEXUS_GETATTR_* -> struct nexus_entry_reply */
	/* ino, arg0: first pos, arg1: end pos, NEXUS_LIST_* or none -> struct nexus_list_reply */
	NEXUS_OP_LIST		= 0x04,
	/* ino, arg0: data id, arg1: offset -> struct nexus_extents_reply */
	NEXUS_OP_EXTENTS	= 0x05,
	NEXUS_OP_READLINK	= 0x06,	/* ino -> bytes */
	/* ino, arg0: offset; data: name -> struct nexus_xattr_reply */
	NEXUS_OP_GETXATTR	= 0x07,
	/* ino, arg0: names before -> names with NULs; the last has room for any other */
	NEXUS_OP_LISTXATTR	= 0x08,
	NEXUS_OP_STATFS		= 0x09,	/* -> struct nexus_statfs_reply */
	/* ino, arg0: directory or 0 for any -> struct nexus_name_reply: a name it has there */
	NEXUS_OP_GETNAME	= 0x0a,
	NEXUS_OP_OPEN_PACK	= 0x0b,	/* arg0: pack; the helper hands it over before it replies */
	NEXUS_OP_SETTINGS	= 0x0c,	/* arg0: cursor -> struct nexus_setting_ent ... */
	NEXUS_OP_INLINE		= 0x0d,	/* ino -> bytes of inline content */
	/*
	 * arg0: kind (NEXUS_QUOTA_ZONE to _PROJECT), with NEXUS_QUOTA_NEXT or not;
	 * arg1: id -> struct nexus_quota_reply
	 */
	NEXUS_OP_QUOTA		= 0x0e,
	/*
	 * ino: for messages; arg0: pack; arg1: first block | number of blocks << 32; data:
	 * none, or struct nexus_content.since: absent ones are fetched, PRESENT, then replied
	 */
	NEXUS_OP_ENSURE		= 0x0f,
	NEXUS_OP_LEASES		= 0x10,	/* ino: from it on -> struct nexus_lease_ent ... */
	NEXUS_OP_ORIGIN		= 0x11,	/* arg0: LSN; when the content store has all below it */
};

#define NEXUS_LIST_NAMES	(1ull << 63) /* no attributes: more names in a reply */
#define NEXUS_LIST_CONTENT	(1ull << 62) /* of files also extents or the inline body */
#define NEXUS_LIST_FLAGS	(NEXUS_LIST_NAMES | NEXUS_LIST_CONTENT)

#define NEXUS_ENSURE_BLOCKS	256u	/* one ENSURE asks for at most */
#define NEXUS_GETATTR_NAMES	1ull	/* a directory that others change will be listed now */
#define NEXUS_QUOTA_NEXT	(1u << 8) /* of the first id there is at or above arg1, or ENOENT */

#define NEXUS_OPEN_RDONLY	(1u << 0)
#define NEXUS_OPEN_ORIGIN	(1u << 1) /* ORIGIN will be asked: refuse what cannot answer it */
#define NEXUS_OPEN_BUCKET	(1u << 2) /* no zone: objects of others, "s3://BUCKET/PREFIX" */

/*
 * Why OPEN_ZONE failed, for whoever mounts: one line of printable ASCII (0x20 to
 * 0x7e), at least a character and the NUL at its end, at most so many bytes.
 * Optional: a length of 0 says nothing.  Other replies with an error carry no data.
 */
#define NEXUS_REASON_LEN	256

struct nexus_request {
	__u32	op;		/* enum nexus_op */
	__u32	seq;		/* the kernel's; echoed in reply and cqe */
	__u32	zone;		/* id from ZONE_ATTACH; 0 for OPEN_ZONE */
	__u32	len;		/* bytes of data */
	__u64	not_before;	/* answer from a state at or after this LSN */
	__u64	ino;
	__u64	arg0;
	__u64	arg1;
	__u32	reply_max;	/* bytes the kernel takes after the reply head */
	__u32	reserved[3];
	__u8	data[];		/* not NUL-terminated */
};

struct nexus_reply {
	__u32	seq;
	__s32	status;		/* 0 or -errno in [-511, 0] */
	__u32	len;		/* bytes of data */
	__u32	reserved;
	__u64	applied;	/* LSN of the state this answers from */
	__u64	reserved2;
	__u8	data[];
};

#define NEXUS_REPLY_DATA_MAX	(NEXUS_REPLY_SIZE - sizeof(struct nexus_reply))
#define NEXUS_REQUEST_DATA_MAX	(NEXUS_REQUEST_SIZE - sizeof(struct nexus_request))

/* Attributes of an inode; the fields of struct nexus_inode_val, native-endian. */
struct nexus_attr {
	__u64	ino;
	__u32	mode;
	__u32	flags;		/* NEXUS_IF_* */
	__u32	uid;
	__u32	gid;
	__u32	nlink;
	__u32	generation;
	__u32	projid;
	__u32	reserved0;
	__u64	rdev;
	__u64	size;
	__u64	disk_size;
	__u64	blocks;		/* 4 KiB */
	__s64	atime_s;
	__s64	mtime_s;
	__s64	ctime_s;
	__s64	btime_s;
	__u32	atime_ns;
	__u32	mtime_ns;
	__u32	ctime_ns;
	__u32	btime_ns;
	__u64	version;
	__u64	gen;
	__u64	parent;
	__u64	pos;
	__u64	next_pos;
	__u64	children;
	__u64	data_id;
	__u64	unwritten;	/* of blocks, those reserved and never written */
	__u8	target[16];
};

struct nexus_extent {
	__u64	offset;		/* bytes in the file */
	__u64	pack;
	__u32	block;
	__u32	nblocks;
	__u32	flags;		/* NEXUS_EF_* */
	__u32	reserved;
};

#define NEXUS_ER_EXTENTS_ALL	(1u << 0) /* the extents below are all there are */
#define NEXUS_ER_NO_XATTRS	(1u << 1) /* the inode has no xattr */
#define NEXUS_ER_CONTENT	(1u << 2) /* content follows (symlink target, inline body) */
#define NEXUS_ENTRY_EXTENTS	32	/* extents a LOOKUP or GETATTR reply carries at most */

/*
 * data of LOOKUP and GETATTR, and of an entry of LIST: this, nextents extents,
 * content_len bytes.
 */
struct nexus_entry_reply {
	struct nexus_attr attr;
	__u64	pos;		/* of the name in the directory; GETATTR: 0 */
	__u32	flags;		/* NEXUS_ER_* */
	__u32	nextents;
	__u32	content_len;
	__u32	reserved;
};

#define NEXUS_LR_END		(1u << 0) /* nothing at or after next_pos below arg1 */
#define NEXUS_DE_ENTRY		(1u << 0) /* a struct nexus_entry_reply follows the name */

struct nexus_list_reply {
	__u64	next_pos;	/* where to go on */
	__u32	count;		/* entries */
	__u32	flags;		/* NEXUS_LR_* */
};

/*
 * reclen: multiple of 8; name padded to 8, then struct nexus_entry_reply with what
 * belongs to it if flagged, padded to 8 as well.  Extents and the body of a file come
 * with NEXUS_LIST_CONTENT alone, the target of a symbolic link always.
 */
struct nexus_list_ent {
	__u64	ino;
	__u64	pos;
	__u16	reclen;
	__u8	dtype;
	__u8	namelen;
	__u32	flags;		/* NEXUS_DE_* */
	__u8	name[];
};

#define NEXUS_XR_END		(1u << 0)

struct nexus_extents_reply {
	__u64	next_offset;	/* where to go on */
	__u32	count;
	__u32	flags;		/* NEXUS_XR_END: no extent at or after next_offset */
	struct nexus_extent extent[];
};

struct nexus_xattr_reply {
	__u32	total;		/* bytes of the whole value */
	__u32	reserved;
	__u8	data[];		/* from arg0 on, as much as fits */
};

struct nexus_statfs_reply {
	__u64	inodes;		/* in use */
	__u64	blocks;		/* 4 KiB in use */
};

/* Of an id without a record everything is 0. */
struct nexus_quota_reply {
	__u64	id;
	__u64	inodes;		/* in use */
	__u64	blocks;		/* 4 KiB in use */
	__u64	inodes_hard;	/* limits; 0: none */
	__u64	inodes_soft;
	__u64	blocks_hard;
	__u64	blocks_soft;
	__u64	inodes_time;	/* since when above the soft limit, 0: not above */
	__u64	blocks_time;
	__u64	inodes_grace;	/* seconds, of the kind */
	__u64	blocks_grace;
};

struct nexus_name_reply {
	__u64	parent;
	__u64	pos;
	__u32	namelen;
	__u32	reserved;
	__u8	name[];
};

struct nexus_setting_ent {
	__u32	reclen;		/* multiple of 8 */
	__u16	pathlen;
	__u16	vallen;
	__u8	data[];		/* path, value */
};

/* ---- the log ------------------------------------------------------ */

#define NEXUS_LF_DETACHED	(1u << 0) /* unmounted: nothing follows tail */
#define NEXUS_LF_READONLY	(1u << 1) /* the zone went read-only */
#define NEXUS_LF_WANT_SEGMENT	(1u << 2) /* hand over more of these */
#define NEXUS_LF_WANT_PACK	(1u << 3)
#define NEXUS_LF_WANT_INO	(1u << 4)
#define NEXUS_LF_WANT_APPLY	(1u << 5) /* somebody waits for applied to advance */
#define NEXUS_LF_WANT_CHECKPOINT (1u << 6) /* segments run short: fold now */
#define NEXUS_LF_WANT_KEEP	(1u << 7) /* somebody waits for @keep to be kept */
#define NEXUS_LF_WANT_ZEROED	(1u << 8) /* a pack with HF_ZEROED would be welcome */

/*
 * First page of NEXUS_MMAP_LOG.  The record with LSN l is at byte
 * l & (ring_size - 1) of the ring and wraps there.  Copy a record, then read
 * @window: if it is above the record's LSN the copy is worthless and the record
 * is in the segments.
 */
struct nexus_log_ctl {
	__u64	tail;		/* LSN after the last record, store-release */
	__u64	window;		/* lowest LSN still in the ring */
	__u64	durable;	/* everything below is in segments and flushed */
	__u64	incarnation;
	__u64	ring_size;	/* bytes, power of two */
	__u32	flags;		/* NEXUS_LF_* */
	__u32	events;		/* +1 whenever something above is worth a look */
	__u64	keep;		/* blocks to be kept for what is promised */
	__u64	reserved[9];
};

/* ---- uring commands ------------------------------------------------ */

/* The 16 bytes of command data in a 64-byte SQE. */
struct nexus_uring_cmd {
	__u32	index;		/* queue, or zone */
	__u32	seen;		/* WAIT: sq_tail seen; LOGWAIT: ctl events seen */
	__u64	reserved;
};

/*
 * WAIT: take replies from the completion ring, then complete when sq_tail differs from @seen
 * (at once if it already does); result: number of replies taken (>= 0).  COMMIT: take replies,
 * complete at once, same result.
 * LOGWAIT: complete when the zone's log ctl @events differs from @seen; result 0.
 *
 * All: -EINVAL (index, reserved), -ESHUTDOWN (the session is DEAD; LOGWAIT: the zone was
 * dropped), -ENOTCONN (before ATTACH), -EBUSY (WAIT, LOGWAIT: one is parked already; WAIT has
 * taken the replies even so), -ECANCELED (its ring or thread ends; a queue that lost its WAIT
 * so gets no requests until the next WAIT or COMMIT, and what it had not answered goes to
 * another queue under another seq).  LOGWAIT: -ENOENT (no such zone), -ESTALE (not attached
 * again).  Rings with IORING_SETUP_IOPOLL are refused.
 */
#define NEXUS_URING_WAIT	_IOWR(0xE6, 0x18, struct nexus_uring_cmd)
#define NEXUS_URING_COMMIT	_IOWR(0xE6, 0x19, struct nexus_uring_cmd)
#define NEXUS_URING_LOGWAIT	_IOWR(0xE6, 0x1a, struct nexus_uring_cmd)

/* ---- ioctls on /dev/nexusfs ---------------------------------------- */

struct nexus_attach {
	__u32	abi;		/* in: NEXUS_ABI_VERSION */
	__u32	queues;		/* in: wanted, 0 = one a CPU; out: given */
	__u32	epoch;		/* out: of the session, +1 at every attach */
	__u32	reserved;
	char	session[NEXUS_SESSION_NAME_MAX + 1]; /* in: NUL-terminated */
};

#define NEXUS_ZA_RDONLY		(1u << 0) /* store cannot take changes */
#define NEXUS_ZA_REATTACH	(1u << 1) /* the zone lives; id is given */

struct nexus_zone_attach {
	__u32	id;		/* out; in with REATTACH */
	__u32	flags;		/* NEXUS_ZA_* */
	char	name[NEXUS_ZONE_NAME_LEN];
	__u8	uuid[16];
	__u64	incarnation;	/* durable in Z before this call */
	__u64	tail;		/* LSN at which the log goes on */
	__u64	checkpoint;	/* LSN the index holds durably */
	__u64	applied;	/* LSN the helper has applied */
	__u64	segment;	/* lowest segment number never used */
	__u64	ino_first;	/* inode numbers [first, end) for the kernel */
	__u64	ino_end;
	__u32	prev_crc;	/* crc of the last batch of the log, 0 for none */
	__s32	lock_fd;	/* LOCK file, locked; the kernel keeps it */
	__u32	pack_blocks;	/* blocks of a new pack */
	__u32	segment_blocks;
	__u64	ticket;		/* arg1 of the OPEN_ZONE it answers; 0 with REATTACH */
	__u64	features;	/* NEXUS_INCOMPAT_* of the store: what may be logged */
	__u64	unwritten;	/* blocks promised to files; 0 with REATTACH */
	__u64	limits;		/* bit KIND: quotas of that kind have limits; 0 with REATTACH */
	__u64	ttl;		/* ms names may be believed, others change them; 0: they do not */
	__u64	reserved[3];
};

#define NEXUS_HF_ZEROED		(1u << 0) /* written with zeros: a write changes no metadata */
#define NEXUS_HF_SPARE		(1u << 1) /* pack: empty, for new data */
#define NEXUS_HF_KEPT		(1u << 2) /* spare, made of what was kept, now less by it */
#define NEXUS_HF_ABSENT		(1u << 3) /* pack, not spare: blocks are missing, see @absent */

struct nexus_hand_over {
	__u32	zone;
	__s32	fd;		/* O_RDWR | O_DIRECT (sealed packs: O_RDONLY | O_DIRECT) */
	__u32	flags;		/* NEXUS_HF_* */
	__u32	blocks;		/* size of the file */
	__u64	id;		/* pack id; segments: file index, for messages */
	/*
	 * With HF_ABSENT a user pointer to a bit for each of @blocks, in __u64s from
	 * the lowest bit on: 1 for a block of content that is not there any more.
	 */
	__u64	absent;
	__u64	reserved;
};

struct nexus_ino_range {
	__u32	zone;
	__u32	reserved;
	__u64	first;
	__u64	end;
};

struct nexus_report {
	__u32	zone;
	__u32	flags;		/* NEXUS_RP_* */
	__u64	applied;
	__u64	checkpoint;	/* durable in the store */
	__u64	space_total;	/* bytes of the host filesystem */
	__u64	space_free;	/* bytes still to be had for packs beyond those handed over */
	__u64	files;		/* inodes in use */
	__u64	blocks;		/* 4 KiB blocks in use */
	__u64	kept;		/* blocks of packs that can be made whatever happens to the host */
	__u64	kept_for;	/* the keep of the log's control page that led to it */
	__u64	reserved[2];
};

#define NEXUS_RP_NOSPACE	(1u << 0) /* no further pack can be made */

/*
 * Append a record on behalf of the helper: FORGET, BULK, PACK, SETTING, QUOTA, MOVE of a
 * mounted zone (of others the helper appends).  Waits for no room and no other MOVE: -EAGAIN.
 * -EBUSY: FORGET of an inode that is in use, PACK of a pack that is read or was written by the
 * kernel; -EPERM: any other type; -ENOTCONN: not mounted; -EROFS: the zone is read-only.
 * MOVE may ask the helper about the file and wait for it, killably: submit it from a thread
 * that answers nothing.  The pack it goes to was handed over (-ENXIO) with the blocks in it
 * (-EINVAL), and not as a spare one (-EBUSY).  -ENODATA: the file does not have the blocks
 * where the record says, or there is no such file; nothing was appended.  -EOPNOTSUPP: the
 * store has no feature MOVES.
 */
struct nexus_submit {
	__u32	zone;
	__u32	len;		/* bytes of one record, head.lsn ignored */
	__u64	record;		/* user pointer */
	__u64	lsn;		/* out: after the record */
};

/*
 * RETIRE: blocks of a sealed pack are about to go.  The kernel marks them absent, waits killably
 * for reads in flight, and returns 0; from then on whoever reads them asks with ENSURE.  Ranges
 * that were retired before are fine.  Nothing changes with -EINVAL (a range is empty, outside of
 * the content, or too many), -ENXIO (the kernel does not have the pack: hand it over first) and
 * -EBUSY (it is not sealed, or a file's map in memory names a block of a range).  PRESENT: blocks
 * of a sealed pack that were absent are in its file, checked.  -EINVAL, -ENXIO and -EBUSY alike.
 */
struct nexus_retire {
	__u32	zone;
	__u32	nr;		/* of ranges, 1..NEXUS_RETIRE_MAX */
	__u64	pack;
	__u64	ranges;		/* user pointer: struct nexus_pack_range[nr] */
	__u32	flags;		/* NEXUS_RT_*; PRESENT: 0 */
	__u32	reserved;
};

#define NEXUS_RT_EVICT		(1u << 0) /* they can be fetched again: maps may name them */

struct nexus_pack_range {
	__u32	block, nblocks;
};

#define NEXUS_RETIRE_MAX	8192u

/*
 * PACK_USE: which of the packs could go.  PACK_SEAL: an open pack takes no new data, and is sealed
 * when the writes to it end, which a record says; 0 too if that is under way, or over.  -ENXIO: the
 * kernel does not have it; PACK_SEAL: -EBUSY (little is in it), -EAGAIN, -ENOSPC (no room beside).
 */
struct nexus_pack_use {
	__u32	zone;
	__u32	reserved;
	__u64	pack;
	__u64	idle;	/* out: ns since a read, PRESENT, hand-over or sealing; PACK_SEAL: 0 */
};

struct nexus_zone_fail {
	__u32	zone;
	__s32	error;		/* -errno the zone shows from now on */
	__u64	lsn;
	char	reason[112];	/* NUL-terminated, for the log and mount messages */
};

/* Walk the session's living zones: in: id to start after (0 first). */
struct nexus_zone_next {
	__u32	id;		/* in and out; -ENOENT at the end */
	__u32	flags;		/* out: NEXUS_ZN_* */
	char	name[NEXUS_ZONE_NAME_LEN];
	__u8	uuid[16];
	__u64	incarnation;
	__u64	ino_end;	/* highest range end handed over */
	__u64	pack_max;	/* highest pack id handed over */
	__u64	reserved[4];
};

#define NEXUS_ZN_MOUNTED	(1u << 0) /* else: unmounted, log not yet applied */
#define NEXUS_ZN_RDONLY		(1u << 1) /* attached with ZA_RDONLY: leave the store alone */

/*
 * ATTACH: -EPERM (CAP_SYS_ADMIN), -EPROTO (@abi differs; the kernel log names both), -EINVAL
 * (name: letters, digits, '.', '_', '-', no leading '.' or '-'), -EBUSY (the session has a
 * helper), -EALREADY (this file is attached), -ENOMEM. Everything else: -ENOTCONN before ATTACH,
 * -ESHUTDOWN once the session is DEAD, -EINVAL for nonzero reserved fields, unknown flags and
 * impossible values, and where a zone is named -ENOENT (no such zone, or dropped) and -ESTALE
 * (lives, but this helper has not attached it again). ZONE_ATTACH: only while an OPEN_ZONE of that
 * name is unanswered (-ENOENT), once (-EEXIST). A zone is dropped when OPEN_ZONE fails, its mount
 * is killed or the helper is lost before OPEN_ZONE is answered.  REATTACH: -ESTALE when uuid or
 * incarnation differ.  ZONE_DETACH: -EBUSY while mounted or being opened.
 */
#define NEXUS_IOC_ATTACH	_IOWR(0xE6, 0x00, struct nexus_attach)
#define NEXUS_IOC_ZONE_ATTACH	_IOWR(0xE6, 0x01, struct nexus_zone_attach)
#define NEXUS_IOC_ZONE_NEXT	_IOWR(0xE6, 0x02, struct nexus_zone_next)
#define NEXUS_IOC_ZONE_DETACH	_IOW(0xE6, 0x03, __u32)	/* helper is done with an unmounted zone */
#define NEXUS_IOC_ZONE_FAIL	_IOW(0xE6, 0x04, struct nexus_zone_fail)
#define NEXUS_IOC_SEGMENT	_IOW(0xE6, 0x05, struct nexus_hand_over)
#define NEXUS_IOC_PACK		_IOW(0xE6, 0x06, struct nexus_hand_over)
#define NEXUS_IOC_INO_RANGE	_IOW(0xE6, 0x07, struct nexus_ino_range)
#define NEXUS_IOC_REPORT	_IOW(0xE6, 0x08, struct nexus_report)
#define NEXUS_IOC_SUBMIT	_IOWR(0xE6, 0x09, struct nexus_submit)
#define NEXUS_IOC_RETIRE	_IOW(0xE6, 0x0a, struct nexus_retire)
#define NEXUS_IOC_PRESENT	_IOW(0xE6, 0x0b, struct nexus_retire)
#define NEXUS_IOC_PACK_USE	_IOWR(0xE6, 0x0c, struct nexus_pack_use)
#define NEXUS_IOC_PACK_SEAL	_IOW(0xE6, 0x0d, struct nexus_pack_use)

/* ---- ioctls of files and directories: path locks -------------------- */
/*
 * Cooperative: reads and writes do not take them.  Documentation/locks.md is the
 * contract.  A lock is the open file's (all descriptors that dup and fork made of it),
 * which has one at most, and goes with the last of them.
 */
enum nexus_plock_kind {
	NEXUS_PLOCK_NONE,
	NEXUS_PLOCK_SHARED,
	NEXUS_PLOCK_EXCLUSIVE,
};

/*
 * LOCK takes @mode, CONVERT changes what is held to @mode; upgrades keep the shared
 * lock until they have the exclusive one, downgrades never wait.
 */
struct nexus_plock_arg {
	__u32	mode;		/* SHARED or EXCLUSIVE */
	__u32	flags;		/* NEXUS_PLOCK_F_* */
	__s64	timeout_ms;	/* 0: try; at most NEXUS_PLOCK_TIMEOUT_MAX */
	__u64	reserved[2];
};

#define NEXUS_PLOCK_F_FOREVER	(1u << 0) /* wait without end; timeout_ms is 0 */

#define NEXUS_PLOCK_TIMEOUT_MAX	2147483647

enum nexus_plock_place {
	NEXUS_PLOCK_FREE,	/* nothing is in the way */
	NEXUS_PLOCK_HERE,	/* a lock on the same file or directory, */
	NEXUS_PLOCK_ABOVE,	/* on a directory above, */
	NEXUS_PLOCK_BELOW,	/* on something below; */
	NEXUS_PLOCK_QUEUE,	/* somebody who waits and is not overtaken */
};

/* What is held by the open file, and one that is in the way of @mode. */
struct nexus_plock_info {
	__u32	mode;		/* in: SHARED or EXCLUSIVE */
	__u32	held;		/* out: by this open file */
	__u32	place;		/* out: NEXUS_PLOCK_FREE, ...; of the one in the way: */
	__u32	other;		/* out: SHARED or EXCLUSIVE; NONE: not known */
	__s32	pid;		/* out: who took it, as the caller sees it; 0: it does not */
	__u32	flags;		/* 0 */
	__u64	ino;		/* out: what it is on; 0: not known */
	__u64	reserved[3];
};

/*
 * All: -ENOTTY (not on nexusfs, in /__sys__/, a FIFO, socket or device), -EBADF (opened
 * for neither reading nor writing), -EINVAL (unknown mode or flag, a timeout that is
 * negative or too large, reserved fields), -EFAULT, -ENOMEM.
 * LOCK: -EALREADY (has one).  CONVERT: -EALREADY (has it as @mode), -ENOENT (has none).
 * Both: -EAGAIN (timeout 0), -ETIMEDOUT, -EDEADLK, -EBUSY (another thread waits with
 * this open file), -EACCES and -EROFS (exclusive, may not write), -EINTR (a signal; with
 * FOREVER the call goes on, at the end of the queue, if the handler has SA_RESTART).
 * UNLOCK: no argument (-EINVAL); -ENOENT (has none), -EBUSY.
 */
#define NEXUS_IOC_PLOCK_LOCK	_IOW(0xE6, 0x40, struct nexus_plock_arg)
#define NEXUS_IOC_PLOCK_UNLOCK	_IO(0xE6, 0x41)
#define NEXUS_IOC_PLOCK_CONVERT	_IOW(0xE6, 0x42, struct nexus_plock_arg)
#define NEXUS_IOC_PLOCK_GET	_IOWR(0xE6, 0x43, struct nexus_plock_info)

/* ---- generic netlink: Documentation/netlink/nexusfs.yaml is the specification ---- */

#define NEXUS_GENL_NAME		"nexusfs"
#define NEXUS_GENL_VERSION	1
#define NEXUS_GENL_GROUP_EVENTS	"events"

enum nexus_genl_cmd {
	NEXUS_CMD_UNSPEC,
	NEXUS_CMD_SESSION_GET,		/* dump */
	NEXUS_CMD_ZONE_GET,		/* dump */
	NEXUS_CMD_STATS_GET,		/* dump */
	NEXUS_CMD_INVALIDATE,		/* zone, [ino]: drop what the kernel caches */
	NEXUS_CMD_QUIESCE,		/* zone: flush; reply when durable */
	NEXUS_CMD_ABORT,		/* session: fail what waits; DEAD */
	NEXUS_CMD_EVENT,		/* multicast */
	__NEXUS_CMD_MAX
};

#define NEXUS_CMD_MAX (__NEXUS_CMD_MAX - 1)

enum nexus_genl_attr {
	NEXUS_A_UNSPEC,
	NEXUS_A_PAD,
	NEXUS_A_SESSION,	/* string */
	NEXUS_A_STATE,		/* u32, enum nexus_session_state */
	NEXUS_A_EPOCH,		/* u32 */
	NEXUS_A_PID,		/* u32, of the helper */
	NEXUS_A_QUEUES,		/* u32 */
	NEXUS_A_ZONE,		/* string */
	NEXUS_A_ZONE_ID,	/* u32 */
	NEXUS_A_UUID,		/* binary, 16 */
	NEXUS_A_FLAGS,		/* u32, NEXUS_LF_* */
	NEXUS_A_TAIL,		/* u64 LSN */
	NEXUS_A_DURABLE,	/* u64 LSN */
	NEXUS_A_APPLIED,	/* u64 LSN */
	NEXUS_A_CHECKPOINT,	/* u64 LSN */
	NEXUS_A_ERROR,		/* s32, -errno */
	NEXUS_A_REASON,		/* string */
	NEXUS_A_COUNTER,	/* nest: NAME, VALUE */
	NEXUS_A_NAME,		/* string */
	NEXUS_A_VALUE,		/* u64 */
	NEXUS_A_INO,		/* u64 */
	NEXUS_A_EVENT,		/* u32, enum nexus_event */
	NEXUS_A_EVENT_SEQ,	/* u64, a gap means loss */
	NEXUS_A_REQUESTS,	/* u32, sent to the helper and not answered */
	NEXUS_A_PENDING,	/* u32, not yet sent */
	__NEXUS_A_MAX
};

#define NEXUS_A_MAX (__NEXUS_A_MAX - 1)

enum nexus_session_state {
	NEXUS_SESSION_NEW,
	NEXUS_SESSION_LIVE,
	NEXUS_SESSION_LOST,
	NEXUS_SESSION_DEAD,
};

enum nexus_event {
	NEXUS_EV_SESSION_LIVE = 1,
	NEXUS_EV_SESSION_LOST,
	NEXUS_EV_SESSION_DEAD,
	NEXUS_EV_ZONE_ATTACHED,
	NEXUS_EV_ZONE_DETACHED,
	NEXUS_EV_ZONE_READONLY,
	NEXUS_EV_REQUEST_SLOW,
};

/* ---- layout --------------------------------------------------------- */
#ifdef __KERNEL__
#include <linux/build_bug.h>
#define NEXUS_UAPI_ASSERT(e) static_assert(e)
#elif defined(__cplusplus)
#define NEXUS_UAPI_ASSERT(e) static_assert(e, #e)
#else
#define NEXUS_UAPI_ASSERT(e) _Static_assert(e, #e)
#endif

NEXUS_UAPI_ASSERT(sizeof(struct nexus_req_area) == 4096 + NEXUS_SLOTS * NEXUS_REQUEST_SIZE);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_rep_area) == 4096 + NEXUS_SLOTS * NEXUS_REPLY_SIZE);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_request) == 64);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_reply) == 32);
NEXUS_UAPI_ASSERT(NEXUS_REASON_LEN <= NEXUS_REPLY_DATA_MAX);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_attr) == 200);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_extent) == 32);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_entry_reply) == 224);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_list_reply) == 16);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_list_ent) == 24);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_extents_reply) == 16);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_quota_reply) == 88);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_log_ctl) == 128);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_uring_cmd) == 16);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_attach) == 80);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_zone_attach) == 224);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_hand_over) == 40);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_ino_range) == 24);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_report) == 88);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_submit) == 24);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_retire) == 32);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_pack_range) == 8);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_pack_use) == 24);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_zone_fail) == 128);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_zone_next) == 144);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_plock_arg) == 32);
NEXUS_UAPI_ASSERT(sizeof(struct nexus_plock_info) == 56);

#endif /* _UAPI_LINUX_NEXUSFS_H */
