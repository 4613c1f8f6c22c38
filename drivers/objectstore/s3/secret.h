/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for secrets: locked, so that it never reaches a swap, in no core dump, all
 * zero in a child after fork, wiped when freed.
 *
 * Each piece takes whole pages of what a process may lock (RLIMIT_MEMLOCK, unless
 * it has CAP_IPC_LOCK).
 */
#ifndef NEXUS_S3_SECRET_H
#define NEXUS_S3_SECRET_H

#include <stddef.h>

/** secret_alloc() - @size bytes of zeros; NULL: no memory, or none that may be locked */
void *secret_alloc(size_t size);
/** secret_free() - wipe and free; NULL is allowed */
void secret_free(void *p);
/**
 * secret_wipe_stack() - wipe what functions that were called, and have returned, left
 *	on the stack: 64 KiB below the caller's frame
 */
void secret_wipe_stack(void);

#endif /* NEXUS_S3_SECRET_H */
