/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ioctls of streams: regular files of a nexusfs that are logs of records.
 *
 * A stream is made by NEXUS_IOC_STREAM_CREATE and opened, read, written and polled like
 * a file, but a write(2) appends one record, wherever the file's offset is, and a read(2)
 * returns the whole record at the file's offset.  Nothing is consumed by it; what goes
 * is the oldest, when there is too much of it or it is too old.
 * Documentation/streams.md has the contract.
 */
#ifndef _UAPI_LINUX_NEXUSFS_STREAM_H
#define _UAPI_LINUX_NEXUSFS_STREAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NEXUS_STREAM_RECORD_MAX	(1u << 20)	/* bytes of a record */
#define NEXUS_STREAM_BYTES	(1u << 20)	/* bytes of a stream, unless people say so */
#define NEXUS_STREAM_BYTES_MIN	8192u
#define NEXUS_STREAM_BYTES_MAX	(1ull << 40)	/* whatever the module allows */
#define NEXUS_STREAM_AGE_MAX	0x7fffffffu	/* seconds */

/**
 * struct nexus_stream_create - NEXUS_IOC_STREAM_CREATE, of a directory that is open
 * @max_bytes: of positions that are kept, rounded up to 4096, e.g. NEXUS_STREAM_BYTES
 * @max_age: seconds that a record is kept; 0: however old
 * @mode: permissions, 07777; umask and default ACLs apply as to open(2)
 * @flags: NEXUS_STREAM_PERSIST
 * @reserved: 0
 * @name: of the stream in the directory, ended by a 0; not "", ".", ".." or with "/"
 *
 * EEXIST, EINVAL (name, flags, mode, age; bytes outside of NEXUS_STREAM_BYTES_MIN and
 * _MAX), EPERM (bytes above the module's stream_max, volatile, without CAP_SYS_RESOURCE),
 * EOPNOTSUPP (PERSIST: the zone's format is too old), ENAMETOOLONG (no 0 in @name), and
 * whatever open(2) with O_CREAT fails with.
 */
struct nexus_stream_create {
	__u64	max_bytes;
	__u32	max_age;
	__u32	mode;
	__u32	flags;
	__u32	reserved;
	__u8	name[256];
};

#define NEXUS_STREAM_PERSIST	(1u << 0)	/* records are in the zone, not in memory */

/**
 * struct nexus_stream_stat - NEXUS_IOC_STREAM_STAT
 * @start: position of the oldest record that is there, or @tail
 * @tail: where the next one is going to be
 * @records: between them
 * @bytes: of memory or disk they take, about
 * @max_bytes: as it was made
 * @max_age: as it was made
 * @flags: NEXUS_STREAM_PERSIST
 * @record_max: bytes of the longest record it takes
 * @reserved0: 0
 * @id: of its content: positions that were kept elsewhere mean something while this is
 *	the same.  Of a volatile stream it is another one after each mount
 * @reserved: 0
 */
struct nexus_stream_stat {
	__u64	start;
	__u64	tail;
	__u64	records;
	__u64	bytes;
	__u64	max_bytes;
	__u32	max_age;
	__u32	flags;
	__u32	record_max;
	__u32	reserved0;
	__u64	id;
	__u64	reserved[4];
};

/**
 * struct nexus_stream_append - NEXUS_IOC_STREAM_APPEND
 * @buf: address of the records, one behind the other
 * @lens: address of @count __u32: their lengths, none 0
 * @count: of records; NEXUS_STREAM_BATCH_MAX at most
 * @flags: 0
 * @done: of records appended, at least 1 (out)
 * @reserved: 0
 * @pos: position of the first (out)
 *
 * Nobody's record is between them.  Errors are those of write(2) and EINVAL; they are
 * about the first record.  E2BIG: the records have more than NEXUS_STREAM_APPEND_MAX bytes.
 */
struct nexus_stream_append {
	__u64	buf;
	__u64	lens;
	__u32	count;
	__u32	flags;
	__u32	done;
	__u32	reserved;
	__u64	pos;
};

/**
 * struct nexus_stream_record - of a record that NEXUS_IOC_STREAM_READ has read
 * @pos: its position
 * @time: when it was appended: ns since 1970, never before that of an earlier record
 * @len: its bytes
 * @reserved: 0
 */
struct nexus_stream_record {
	__u64	pos;
	__u64	time;
	__u32	len;
	__u32	reserved;
};

/**
 * struct nexus_stream_read - NEXUS_IOC_STREAM_READ
 * @pos: position of the first; (out) of the one behind the last
 * @buf: address of where they go, one behind the other
 * @bytes: of room at @buf; (out) of the records
 * @records: address of @count struct nexus_stream_record (out)
 * @count: of records at most; NEXUS_STREAM_BATCH_MAX at most
 * @done: of records read (out); 0: @pos is the tail
 *
 * As pread(2) reads the first, and as many after it as there are and fit.  The file's
 * offset is neither used nor changed.  Errors are those of pread(2) and EINVAL, of the
 * first record.
 */
struct nexus_stream_read {
	__u64	pos;
	__u64	buf;
	__u64	bytes;
	__u64	records;
	__u32	count;
	__u32	done;
};

#define NEXUS_STREAM_BATCH_MAX	1024u
#define NEXUS_STREAM_APPEND_MAX	(4u << 20)

/* NEXUS_IOC_STREAM_MODE: how this open file reads. */
#define NEXUS_STREAM_WAIT	(1u << 0)	/* at the tail: for a record, instead of 0 */

#define NEXUS_IOC_STREAM_CREATE	_IOW(0xE6, 0x30, struct nexus_stream_create)
#define NEXUS_IOC_STREAM_STAT	_IOR(0xE6, 0x31, struct nexus_stream_stat)
/*
 * What is in front of a record's position, or the tail, goes; needs write permission.
 * ESTALE: it has gone; EINVAL: no record begins there.
 */
#define NEXUS_IOC_STREAM_TRIM	_IOW(0xE6, 0x32, __u64)
#define NEXUS_IOC_STREAM_MODE	_IOW(0xE6, 0x33, __u32)
#define NEXUS_IOC_STREAM_APPEND	_IOWR(0xE6, 0x34, struct nexus_stream_append)
#define NEXUS_IOC_STREAM_READ	_IOWR(0xE6, 0x35, struct nexus_stream_read)

#endif /* _UAPI_LINUX_NEXUSFS_STREAM_H */
