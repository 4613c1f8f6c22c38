/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of nexusfs: FIFOs that carry messages. No helper is needed.
 *
 * A ring is opened, read, written and polled as every FIFO: open(2), read(2),
 * write(2), and what one write wrote, one read reads. Here is what there is
 * beside: making rings, looking at them, and many messages with one call.
 * Documentation/rings.md says what can be relied on.
 *
 * Functions return a negative errno when they fail, and do not set errno.
 * They may be called by many threads at once.
 *
 *	nexus_ring_create(AT_FDCWD, "jobs", NEXUS_RING_CAPACITY, 0666);
 *	fd = open("jobs", O_WRONLY);
 *	n = nexus_ring_send_batch(fd, "onetwothree", lens, 3, 0);
 */
#ifndef NEXUS_RING_H
#define NEXUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/nexusfs_ring.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nexus_ring_create() - make a ring, as mkfifoat(3) makes a FIFO
 * @dirfd: what @path is relative to; AT_FDCWD: the working directory
 * @path: of the ring; its directory must be readable
 * @capacity: bytes of payload that may be on their way, e.g. NEXUS_RING_CAPACITY
 * @mode: permissions, less the umask
 *
 * Return: 0; -ENOTTY: the directory is on no nexusfs; -EINVAL: no such capacity or name;
 * -EPERM: more than the administrator allows; -EEXIST, and others of mkfifo(3).
 */
int nexus_ring_create(int dirfd, const char *path, uint64_t capacity, mode_t mode);

/**
 * nexus_ring_stat() - the figures of a ring that is open
 * @fd: the ring
 * @stat: is filled
 *
 * Return: 0; -ENOTTY: it is no ring.
 */
int nexus_ring_stat(int fd, struct nexus_ring_stat *stat);

/**
 * nexus_ring_stat_at() - the same, without opening it
 * @dirfd: what @path is relative to
 * @path: of the ring; a symbolic link as the last part is not followed
 * @stat: is filled
 *
 * Nobody notices, not even who waits in open(2). It takes read permission of the ring and
 * of its directory.
 *
 * Return: 0; -ENOTTY: it is no ring, or on no nexusfs.
 */
int nexus_ring_stat_at(int dirfd, const char *path, struct nexus_ring_stat *stat);

/**
 * nexus_ring_peek() - the next message, which stays
 * @fd: the ring, open for reading
 * @buf: gets its first bytes; may be NULL when @len is 0
 * @len: how many at most
 *
 * Return: the length of the message, which may be more than @len; -EAGAIN: there is none.
 */
ssize_t nexus_ring_peek(int fd, void *buf, size_t len);

/** nexus_ring_peek_at() - the same, without opening it, as nexus_ring_stat_at() */
ssize_t nexus_ring_peek_at(int dirfd, const char *path, void *buf, size_t len);

/**
 * nexus_ring_close() - nothing more is sent; who receives gets what there is, then the end
 * @fd: the ring, open for writing
 *
 * This is for all who have it open or open it until all of them have closed it. @fd stays
 * open.
 */
int nexus_ring_close(int fd);

/**
 * nexus_ring_close_at() - the same, without opening it
 * @dirfd: what @path is relative to
 * @path: of the ring
 *
 * Return: 0; -ENXIO: nobody has it open.
 */
int nexus_ring_close_at(int dirfd, const char *path);

/**
 * nexus_ring_resize() - another capacity
 * @fd: the ring, open for writing
 * @capacity: bytes of payload
 *
 * It holds as long as the ring is open or has messages; then it is what it was made with.
 *
 * Return: 0; -EINVAL: no such capacity; -EPERM: more than the administrator allows;
 * -EBUSY: the messages in it do not fit, or others wait to send; -EDQUOT, -ENOMEM.
 */
int nexus_ring_resize(int fd, uint64_t capacity);

/**
 * nexus_ring_set_truncate() - what a read with too short a buffer does
 * @fd: the ring, open for reading; for this open file alone
 * @truncate: true: it gets the beginning of the message, and the rest is lost;
 *	false, as for every new one: it fails with EMSGSIZE, and the message stays
 */
int nexus_ring_set_truncate(int fd, bool truncate);

/**
 * nexus_ring_send_batch() - many messages with one call
 * @fd: the ring, open for writing
 * @buf: the messages, one behind the other
 * @lens: their lengths, none of them 0
 * @count: how many; of more than NEXUS_RING_BATCH_MAX the first so many are sent
 * @flags: NEXUS_RING_DONTWAIT, or 0
 *
 * Waits as write(2) does until the first can be sent, then sends as many as fit without
 * waiting.
 *
 * Return: how many were sent, at least 1; errors are those of write(2): -EAGAIN,
 * -EMSGSIZE (of the first one), -EPIPE with SIGPIPE, -EINTR, -EFAULT.
 */
int nexus_ring_send_batch(int fd, const void *buf, const uint32_t *lens, unsigned int count,
			  unsigned int flags);

/**
 * nexus_ring_recv_batch() - many messages with one call
 * @fd: the ring, open for reading
 * @buf: gets the messages, one behind the other
 * @room: bytes at @buf
 * @lens: gets their lengths
 * @count: how many at most; NEXUS_RING_BATCH_MAX is as many as one call gets
 * @flags: NEXUS_RING_DONTWAIT, or 0
 *
 * Waits as read(2) does until there is one, then takes as many as there are and fit.
 *
 * Return: how many were received; 0: the end; errors are those of read(2): -EAGAIN,
 * -EMSGSIZE (the first one does not fit, and stays), -EINTR, -EFAULT.
 */
int nexus_ring_recv_batch(int fd, void *buf, size_t room, uint32_t *lens, unsigned int count,
			  unsigned int flags);

/* A side of a mapped ring; one thread uses it at a time. */
struct nexus_ring_map;

#define NEXUS_RING_TRY		0
#define NEXUS_RING_FOREVER	(-1)

/**
 * nexus_ring_map_open() - send, or receive, through memory, with no system call
 * @fd: the ring, which may be closed afterwards
 * @side: NEXUS_RING_SENDS, NEXUS_RING_RECEIVES; 0: as @fd is open, if only for one
 * @map: the side; to be given to nexus_ring_map_close()
 *
 * While anybody has mapped a side of a ring, all of its messages go through memory: from
 * the one who maps this side to the one who maps the other, and read(2), write(2) and
 * batches are EBUSY for all. What was in it before and is left afterwards stays in it.
 *
 * Functions with a timeout take milliseconds, NEXUS_RING_TRY (-EAGAIN instead of waiting)
 * or NEXUS_RING_FOREVER. From whichever follow these besides those named: -EAGAIN,
 * -ETIMEDOUT, -EINTR (a signal came), -EBADF (the side is the other one), and -EUCLEAN: the
 * other side wrote into memory what cannot be, and this one can only be closed.
 *
 * Return: 0; -EBUSY: the side is mapped, others read or write or wait to, or what is in the
 * ring does not fit; -EUCLEAN: the other side is scribbled over; -EBADF, -EINVAL, -EDQUOT,
 * -ENOMEM, -EMFILE; -ENOTTY: it is no ring.
 */
int nexus_ring_map_open(int fd, unsigned int side, struct nexus_ring_map **map);

/**
 * nexus_ring_map_close() - give the side up, as its process' end does
 * @map: NULL is allowed
 *
 * Others may map it, and go on where this one stopped: a message that was peeked at and
 * not consumed is there for them, one that was reserved and not committed was not sent.
 */
void nexus_ring_map_close(struct nexus_ring_map *map);

/**
 * nexus_ring_map_fd() - a descriptor for poll(2) and epoll(7), and nothing else
 * @map: the side
 *
 * After a call with NEXUS_RING_TRY was -EAGAIN: POLLOUT when the receiver has made room,
 * POLLIN when there is a message, POLLERR and POLLHUP when the other side is gone.
 */
int nexus_ring_map_fd(const struct nexus_ring_map *map);

/**
 * nexus_ring_map_send() - send a message
 * @map: the side that sends
 * @buf: the message
 * @len: its length, not 0 (-EINVAL) and not above the capacity (-EMSGSIZE)
 * @timeout_ms: how long to wait for room
 *
 * Return: 0; -EPIPE, without a signal: nobody has the ring open for reading, who had mapped
 * that side has left, or the ring is closed.
 */
int nexus_ring_map_send(struct nexus_ring_map *map, const void *buf, size_t len,
			int64_t timeout_ms);

/**
 * nexus_ring_map_recv() - receive a message
 * @map: the side that receives
 * @buf: gets the message
 * @len: bytes of room
 * @timeout_ms: how long to wait for a message
 *
 * Return: its length; 0: the end, all is received and nobody sends; -EMSGSIZE: it does not
 * fit, and stays.
 */
ssize_t nexus_ring_map_recv(struct nexus_ring_map *map, void *buf, size_t len,
			    int64_t timeout_ms);

/**
 * nexus_ring_map_reserve() - room for a message, to be written in place
 * @map: the side that sends
 * @len: bytes of room, as of nexus_ring_map_send()
 * @where: is aligned to 8 bytes
 * @timeout_ms: how long to wait for room
 *
 * Return: as nexus_ring_map_send().
 */
int nexus_ring_map_reserve(struct nexus_ring_map *map, size_t len, void **where,
			   int64_t timeout_ms);

/**
 * nexus_ring_map_commit() - send what was reserved
 * @map: the side that sends
 * @len: so many bytes of it; 0: nothing, the room is given up
 *
 * Return: 0; -EINVAL: so much is not reserved.
 */
int nexus_ring_map_commit(struct nexus_ring_map *map, size_t len);

/**
 * nexus_ring_map_peek() - the next message, where it is
 * @map: the side that receives
 * @where: the message, until it is consumed; the sender can still change what is in it,
 *	so who does not trust the sender looks at a byte once
 * @timeout_ms: how long to wait for a message
 *
 * Return: its length; 0: the end.
 */
ssize_t nexus_ring_map_peek(struct nexus_ring_map *map, const void **where, int64_t timeout_ms);

/**
 * nexus_ring_map_consume() - done with the message that was peeked at
 * @map: the side that receives
 *
 * Return: 0; -EINVAL: none was.
 */
int nexus_ring_map_consume(struct nexus_ring_map *map);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_RING_H */
