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

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_RING_H */
