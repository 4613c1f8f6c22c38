/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnexus: how much of a file's content is on this machine, and bringing it here ahead
 * of use; of any regular file that is open for reading in a mounted nexusfs.
 * Documentation/origin.md is the contract.
 *
 * Functions return 0 or a negative errno, and do not set errno.
 */
#ifndef NEXUS_CONTENT_H
#define NEXUS_CONTENT_H

#include <stdint.h>

#include <linux/nexusfs_content.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NEXUS_CONTENT_ALL	((uint64_t)1 << 63)	/* as a length: to the end */

/** struct nexus_content_state - bytes of content, in blocks of 4,096 */
struct nexus_content_state {
	uint64_t data;		/* that lie in packs, here or away */
	uint64_t away;		/* of these, away */
	uint64_t brought;	/* nexus_content_warm(): that came */
};

/**
 * nexus_content_look() - how much of a range is away
 * @fd: a regular file, open for reading
 * @offset: where to begin, bytes
 * @len: how many of them, at least 1
 * @state: filled in, with an error as far as was looked
 *
 * Waits for the helper. Any thread.
 *
 * Return: 0, -ENOTTY (not such a file of a nexusfs), -EBADF, -EINVAL, -EINTR, -ENOMEM,
 * -ENOTCONN (there is no helper), -EIO.
 */
int nexus_content_look(int fd, uint64_t offset, uint64_t len, struct nexus_content_state *state);

/**
 * nexus_content_since() - the time, for nexus_content_warm()
 *
 * Return: nanoseconds of a clock of this machine that nobody sets.
 */
uint64_t nexus_content_since(void);

/**
 * nexus_content_warm() - bring what is away of a range here
 * @fd: as of nexus_content_look(), and so are @offset and @len
 * @since: from nexus_content_since() before the first of what is brought together: none of
 *	it goes again for the sake of the rest, nor does what others have used meanwhile
 * @state: likewise
 *
 * Waits for helper and content store; a signal that kills ends that. What came stays if
 * there is an error later. Several threads may do it with one file.
 *
 * Return: as nexus_content_look(); -ENOSPC (there is no room for it here); or what is
 * wrong with the content store.
 */
int nexus_content_warm(int fd, uint64_t offset, uint64_t len, uint64_t since,
		       struct nexus_content_state *state);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_CONTENT_H */
