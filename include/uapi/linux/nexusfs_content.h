/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * nexusfs: where the content of a file is, by ioctl on the file.
 *
 * Content of a zone with a content store may be away: held there, and not on this
 * machine's disk.  Whoever reads it has it fetched; who wants that to have been before
 * says so here.  Documentation/origin.md is the contract.
 */
#ifndef _UAPI_LINUX_NEXUSFS_CONTENT_H
#define _UAPI_LINUX_NEXUSFS_CONTENT_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct nexus_content - NEXUS_IOC_CONTENT
 * @offset: where to begin, bytes; what is meant are whole blocks of 4,096
 * @len: how many bytes, at least 1; may go beyond the end of the file
 * @flags: NEXUS_CONTENT_WARM; else 0
 * @reserved: 0
 * @since: WARM: a time of CLOCK_MONOTONIC in ns: what was used then or later, or came
 *	by this, does not go from here so that this can come; else 0
 * @data: (out) bytes that packs hold of it; neither holes nor what is in the log or the
 *	index.  Of what is in several files, or in one several times, each counts
 * @away: (out) of these, bytes that are away, when the call returns
 * @brought: (out) WARM: bytes that were away and no longer are
 * @reserved2: 0
 *
 * Of a regular file that is open for reading.  Waits killably for the helper, and for the
 * content store with WARM.  With an error but EFAULT and EINVAL, too, @data to @brought say
 * what was seen and done before it.
 *
 * ENOTTY (not such a file of a nexusfs), EBADF (not open for reading), EINVAL, EFAULT,
 * EINTR, ENOMEM, ENOTCONN (there is no helper), EIO (the map or a pack could not be
 * read).  WARM: ENOSPC (cache_limit, cache_free or the disk leave no room), EIO (what
 * came is not what it should be), or what is wrong with the content store.
 */
struct nexus_content {
	__u64	offset;
	__u64	len;
	__u32	flags;
	__u32	reserved;
	__u64	since;
	__u64	data;
	__u64	away;
	__u64	brought;
	__u64	reserved2;
};

#define NEXUS_CONTENT_WARM	(1u << 0)	/* bring here what is away */

#define NEXUS_IOC_CONTENT	_IOWR(0xE6, 0x10, struct nexus_content)

#endif /* _UAPI_LINUX_NEXUSFS_CONTENT_H */
