/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ioctls of rings: FIFOs of a nexusfs that carry messages.
 *
 * A ring is made by NEXUS_IOC_RING_CREATE and opened, read, written and polled like
 * any FIFO, but what one write(2) wrote, one read(2) reads, whole; it goes to one
 * reader, and all readers together see the messages in the order they were sent.
 * Documentation/rings.md has the contract.
 */
#ifndef _UAPI_LINUX_NEXUSFS_RING_H
#define _UAPI_LINUX_NEXUSFS_RING_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NEXUS_RING_CAPACITY	65536u		/* bytes of payload, unless people say so */
#define NEXUS_RING_CAPACITY_MAX	(16u << 20)	/* whatever the module allows */

/**
 * struct nexus_ring_create - NEXUS_IOC_RING_CREATE, of a directory that is open
 * @capacity: bytes of payload that may be on their way, e.g. NEXUS_RING_CAPACITY
 * @mode: permissions, 07777; umask and default ACLs apply as to mkfifo(3)
 * @flags: 0
 * @name: of the ring in the directory, ended by a 0; not "", ".", ".." or with "/"
 *
 * EEXIST, EINVAL (name, flags, mode; capacity 0 or above NEXUS_RING_CAPACITY_MAX), EPERM
 * (capacity above the module's ring_max without CAP_SYS_RESOURCE), ENAMETOOLONG (no 0 in
 * @name), and whatever mknod(2) of a FIFO fails with.
 */
struct nexus_ring_create {
	__u64	capacity;
	__u32	mode;
	__u32	flags;
	__u8	name[256];
};

/**
 * struct nexus_ring_stat - NEXUS_IOC_RING_STAT
 * @capacity: bytes of payload
 * @bytes: of payload in messages that were sent and not received
 * @messages: of them
 * @next: bytes of the next one, 0 if there is none
 * @readers: files open for reading
 * @writers: files open for writing
 * @flags: NEXUS_RING_CLOSED, NEXUS_RING_MAPPED_SEND, NEXUS_RING_MAPPED_RECV
 * @sent: messages sent since the ring was first opened
 * @sent_bytes: their payload
 * @received: messages received
 * @received_bytes: their payload
 * @full: sends that had to wait, or could not
 * @empty: receives that had to wait, or could not
 *
 * Of a mapped ring @bytes is what the two sides say; @messages and @next are 0, and what
 * passes through memory is in none of the others.
 */
struct nexus_ring_stat {
	__u64	capacity;
	__u64	bytes;
	__u64	messages;
	__u32	next;
	__u32	readers;
	__u32	writers;
	__u32	flags;
	__u64	sent;
	__u64	sent_bytes;
	__u64	received;
	__u64	received_bytes;
	__u64	full;
	__u64	empty;
	__u64	reserved[4];
};

#define NEXUS_RING_CLOSED	(1u << 0)	/* by NEXUS_IOC_RING_CLOSE */
#define NEXUS_RING_MAPPED_SEND	(1u << 1)	/* the sending side is mapped */
#define NEXUS_RING_MAPPED_RECV	(1u << 2)	/* the receiving side is */

/**
 * struct nexus_ring_peek - NEXUS_IOC_RING_PEEK: the next message, which stays
 * @buf: address of where it goes, its beginning if @len is too short
 * @len: bytes of room; 0: only @next is wanted
 * @next: bytes of the message (out)
 *
 * EAGAIN: there is none; EBADF: not open for reading; EBUSY: the ring is mapped; EFAULT.
 */
struct nexus_ring_peek {
	__u64	buf;
	__u32	len;
	__u32	next;
};

/**
 * struct nexus_ring_batch - NEXUS_IOC_RING_SEND, NEXUS_IOC_RING_RECV
 * @buf: address of the messages, one behind the other
 * @lens: address of @count __u32: their lengths (RECV: out)
 * @count: messages; of RECV: at most; NEXUS_RING_BATCH_MAX at most
 * @flags: NEXUS_RING_DONTWAIT
 * @done: messages sent or received (out)
 * @reserved: 0
 * @bytes: RECV: of room at @buf; (out) bytes of the messages sent or received
 *
 * Waits until one message can be sent or received, then goes on as far as it need not
 * wait: so @done is at least 1, and 0 only at the end (RECV).  Errors are those of
 * write(2) and read(2) and EINVAL; EMSGSIZE is about the first message alone.
 */
struct nexus_ring_batch {
	__u64	buf;
	__u64	lens;
	__u32	count;
	__u32	flags;
	__u32	done;
	__u32	reserved;
	__u64	bytes;
};

/**
 * struct nexus_ring_at - what the ioctls below look at, of a directory that is open
 * @stat: NEXUS_IOC_RING_STAT_AT (out): as NEXUS_IOC_RING_STAT says
 * @peek: NEXUS_IOC_RING_PEEK_AT: as NEXUS_IOC_RING_PEEK takes
 * @name: of the ring in the directory, as for NEXUS_IOC_RING_CREATE
 *
 * Nothing is opened, so nobody who waits in open(2) or for messages notices.  ENOTTY: it
 * is something else; EACCES: STAT_AT and PEEK_AT need read permission of the ring,
 * CLOSE_AT write permission; ENXIO (CLOSE_AT): nobody has it open.
 */
struct nexus_ring_at {
	union {
		struct nexus_ring_stat stat;
		struct nexus_ring_peek peek;
	};
	__u8	name[256];
};

/**
 * struct nexus_ring_mapping - NEXUS_IOC_RING_MAP, of a ring
 * @side: NEXUS_RING_SENDS or NEXUS_RING_RECEIVES; 0: as the file is open, if only for one
 * @flags: 0
 * @capacity: bytes of payload (out)
 * @size: bytes of the data, a power of two (out)
 * @status: offset for mmap(2) of a page with a __u32: NEXUS_RING_NO_SENDER and the like (out)
 * @sender: of the page with the sender's struct nexus_ring_words (out)
 * @receiver: of that with the receiver's (out)
 * @data: of the data, which is there twice in a row: 2 * @size bytes (out)
 *
 * Makes the caller the only one to send, or to receive, through memory, with no call for
 * a message; returns a descriptor (close-on-exec) to map, to wait on, and to poll.  All of
 * it can be mapped shared and read-only, by the process that maps first; writable are the
 * page of one's own side and, for who sends, the data.  The side is given up when nothing
 * of it is mapped any more or the descriptor is closed: then others may have it and go on.
 * As long as a side is mapped, read(2), write(2), NEXUS_IOC_RING_SEND and the like are
 * EBUSY for all.
 *
 * EBUSY: the side is mapped; or others are reading, writing, or wait to; or what is in the
 * ring does not fit, as each message takes 8 bytes and up to 7 more in the data.  EUCLEAN:
 * the other side says what cannot be.  EBADF: not open for that side; EINVAL; EDQUOT,
 * ENOMEM, EMFILE.
 */
struct nexus_ring_mapping {
	__u32	side;
	__u32	flags;
	__u64	capacity;
	__u64	size;
	__u64	status;
	__u64	sender;
	__u64	receiver;
	__u64	data;
};

#define NEXUS_RING_SENDS	1u
#define NEXUS_RING_RECEIVES	2u

#define NEXUS_RING_NO_SENDER	(1u << 0)	/* nothing more is sent, for now */
#define NEXUS_RING_NO_RECEIVER	(1u << 1)	/* nobody receives, for now */

/**
 * struct nexus_ring_words - what a side has in its page
 * @at: how far it is: bytes of the data, in units of 8, in the lower half, and bytes of
 *	payload among them in the upper; both wrap
 * @zero_0: 0
 * @dozes: bit 0: it has to be woken when the other one's position, the lower half of @at,
 *	is not what is in the upper half of this; bit 1: but not while less than a quarter
 *	of the capacity is free
 * @zero_1: 0
 *
 * A message is its length, 8 bytes in the byte order of the machine, then its bytes, up to
 * a multiple of 8; @at is stored, with release, when it is complete, or was read.
 */
struct nexus_ring_words {
	__u64	at;
	__u64	zero_0[7];
	__u64	dozes;
	__u64	zero_1[7];
};

/**
 * struct nexus_ring_wait - NEXUS_IOC_RING_WAIT, of what NEXUS_IOC_RING_MAP returned
 * @at: waits until the other side's @at is something else
 * @timeout: nanoseconds; below 0: as long as it takes; 0: not at all (EAGAIN), but poll(2)
 *	says from now on that this side can go on when it is something else
 *
 * ETIMEDOUT; EINTR; EPIPE: nobody receives; ENODATA: nobody sends; ENOTCONN: the side was
 * given up.
 */
struct nexus_ring_wait {
	__u64	at;
	__s64	timeout;
};

#define NEXUS_RING_DONTWAIT	(1u << 0)
#define NEXUS_RING_BATCH_MAX	1024u

/* NEXUS_IOC_RING_MODE: how this open file receives. */
#define NEXUS_RING_TRUNCATE	(1u << 0)	/* a short buffer: the rest is lost */

#define NEXUS_IOC_RING_CREATE	_IOW(0xE6, 0x20, struct nexus_ring_create)
#define NEXUS_IOC_RING_STAT	_IOR(0xE6, 0x21, struct nexus_ring_stat)
/* No more is sent, also by who opens it now; readers drain it.  Needs write permission. */
#define NEXUS_IOC_RING_CLOSE	_IO(0xE6, 0x22)
#define NEXUS_IOC_RING_PEEK	_IOWR(0xE6, 0x23, struct nexus_ring_peek)
#define NEXUS_IOC_RING_SEND	_IOWR(0xE6, 0x24, struct nexus_ring_batch)
#define NEXUS_IOC_RING_RECV	_IOWR(0xE6, 0x25, struct nexus_ring_batch)
#define NEXUS_IOC_RING_MODE	_IOW(0xE6, 0x26, __u32)
/*
 * Another capacity, as long as the ring is open or has messages; needs write permission.
 * EINVAL and EPERM as for RING_CREATE; EBUSY: what was sent does not fit, others wait
 * to send, or the ring is mapped; EDQUOT, ENOMEM.
 */
#define NEXUS_IOC_RING_RESIZE	_IOW(0xE6, 0x27, __u64)
#define NEXUS_IOC_RING_MAP	_IOWR(0xE6, 0x28, struct nexus_ring_mapping)
#define NEXUS_IOC_RING_WAIT	_IOW(0xE6, 0x29, struct nexus_ring_wait)
/* Of what NEXUS_IOC_RING_MAP returned: wakes who waits on the other side. */
#define NEXUS_IOC_RING_WAKE	_IO(0xE6, 0x2a)
#define NEXUS_IOC_RING_STAT_AT	_IOWR(0xE6, 0x2d, struct nexus_ring_at)
#define NEXUS_IOC_RING_PEEK_AT	_IOWR(0xE6, 0x2e, struct nexus_ring_at)
#define NEXUS_IOC_RING_CLOSE_AT	_IOW(0xE6, 0x2f, struct nexus_ring_at)

#endif /* _UAPI_LINUX_NEXUSFS_RING_H */
