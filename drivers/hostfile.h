/* SPDX-License-Identifier: Apache-2.0 */
/* Files of fixed size on a local filesystem, for direct I/O. */
#ifndef NEXUS_DRIVERS_HOSTFILE_H
#define NEXUS_DRIVERS_HOSTFILE_H

#include <stdbool.h>
#include <stdint.h>

/* Direct I/O where the host has it.  A descriptor or a negative errno. */
int hostfile_open(int dirfd, const char *path, int flags);
/* Writes zeros over [0, bytes) and flushes.  0 or a negative errno. */
int hostfile_zero(int fd, uint64_t bytes);
/*
 * Makes @path with @bytes of written zeros, under another name until it is
 * whole, and makes its name durable.  -EEXIST; -ENOSPC leaves nothing behind.
 */
int hostfile_create(int dirfd, const char *path, uint64_t bytes);
/* The same with nothing written: all of it is a hole. */
int hostfile_create_sparse(int dirfd, const char *path, uint64_t bytes);
/* The same with nothing written, in space of its own. */
int hostfile_create_allocated(int dirfd, const char *path, uint64_t bytes);
/* Whether every block of [0, bytes) was written.  1, 0, or a negative errno. */
int hostfile_written(int fd, uint64_t bytes);
/*
 * As hostfile_create(), out of a file that hostfile_allocate() made, which has its name
 * until all is written, and keeps it when that fails.
 */
int hostfile_create_from(int dirfd, const char *from, const char *path, uint64_t bytes);
/*
 * Makes @path with @bytes allocated and not written.  Name and space are durable
 * once the directory is.  -ENOSPC leaves nothing behind.
 */
int hostfile_allocate(int dirfd, const char *path, uint64_t bytes);
/* Makes the names in a directory durable. */
int hostfile_sync_dir(int dirfd, const char *path);
/* True for the name of a file that hostfile_create() had not finished. */
bool hostfile_is_partial(const char *name);

#endif /* NEXUS_DRIVERS_HOSTFILE_H */
