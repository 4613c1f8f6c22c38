/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of nexusfs: files that are logs of records. No helper is needed for those in
 * memory.
 *
 * A stream is opened, read, written and polled as every file; what one write wrote is
 * appended as a record, and a read at a record's position reads it. Here is what there
 * is beside. Documentation/streams.md says what can be relied on.
 *
 * Functions return a negative errno when they fail, and do not set errno.
 * They may be called by many threads at once.
 *
 *	nexus_stream_create(AT_FDCWD, "log", NEXUS_STREAM_BYTES, 0, 0, 0666);
 *	fd = open("log", O_RDWR);
 *	nexus_stream_append(fd, "hello", 5, NULL);
 *	n = nexus_stream_read_batch(fd, &pos, buf, sizeof(buf), records, 100);
 */
#ifndef NEXUS_STREAM_H
#define NEXUS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/nexusfs_stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nexus_stream_create() - make a stream
 * @dirfd: what @path is relative to; AT_FDCWD: the working directory
 * @path: of the stream; its directory must be readable
 * @max_bytes: how much is kept, e.g. NEXUS_STREAM_BYTES
 * @max_age: seconds that records are kept; 0: however old
 * @flags: NEXUS_STREAM_PERSIST, or 0
 * @mode: permissions, less the umask
 *
 * Return: 0; -ENOTTY: the directory is on no nexusfs; -EINVAL: no such limit or name;
 * -EPERM: more memory than the administrator allows; -EEXIST, and others of open(2).
 */
int nexus_stream_create(int dirfd, const char *path, uint64_t max_bytes, uint32_t max_age,
			unsigned int flags, mode_t mode);

/**
 * nexus_stream_stat() - where a stream begins and ends, and its limits
 * @fd: the stream, open for reading or writing
 * @stat: is filled
 *
 * Return: 0; -ENOTTY: it is no stream.
 */
int nexus_stream_stat(int fd, struct nexus_stream_stat *stat);

/**
 * nexus_stream_append() - append a record, as write(2)
 * @fd: the stream, open for writing
 * @buf: the record
 * @len: its bytes, not 0
 * @pos: gets its position; may be NULL
 *
 * Of a stream that persists it is durable then.
 *
 * Return: 0; -EINVAL: no bytes; others of write(2).
 */
int nexus_stream_append(int fd, const void *buf, size_t len, uint64_t *pos);

/**
 * nexus_stream_append_batch() - append many with one call, and one flush
 * @fd: the stream, open for writing
 * @buf: the records, one behind the other
 * @lens: their lengths, none of them 0
 * @count: how many; of more than NEXUS_STREAM_BATCH_MAX the first so many are appended
 * @pos: gets the position of the first; may be NULL
 *
 * Return: how many were appended, at least 1; -E2BIG: they have more than
 * NEXUS_STREAM_APPEND_MAX bytes; -EINVAL: a length of 0; others of write(2).
 */
int nexus_stream_append_batch(int fd, const void *buf, const uint32_t *lens, unsigned int count,
			      uint64_t *pos);

/**
 * nexus_stream_read_batch() - read many records with one call
 * @fd: the stream, open for reading; its offset is neither used nor changed
 * @pos: of the first; gets that of the one behind the last
 * @buf: gets the records, one behind the other
 * @room: bytes at @buf
 * @records: gets position, time and length of each
 * @count: how many at most; NEXUS_STREAM_BATCH_MAX is as many as one call gets
 *
 * Return: how many were read; 0: *@pos is the tail. -ESTALE: what was there is gone,
 * nexus_stream_stat() says where the stream begins; -EINVAL: no record begins there;
 * -EMSGSIZE: the first one does not fit; -EAGAIN: the tail, of a file with O_NONBLOCK.
 */
int nexus_stream_read_batch(int fd, uint64_t *pos, void *buf, size_t room,
			    struct nexus_stream_record *records, unsigned int count);

/**
 * nexus_stream_set_wait() - what reads at the tail do
 * @fd: the stream, open for reading; for this open file alone
 * @wait: true: they wait for a record; false, as for every new one: they return 0
 */
int nexus_stream_set_wait(int fd, bool wait);

/**
 * nexus_stream_trim() - records before one go
 * @fd: the stream, open for writing
 * @pos: of the first that stays, or of the tail
 *
 * Return: 0; -ESTALE: it is gone already; -EINVAL: no record begins there.
 */
int nexus_stream_trim(int fd, uint64_t pos);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_STREAM_H */
