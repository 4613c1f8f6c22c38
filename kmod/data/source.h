/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The caller's memory of a direct write: its pages are held, so that workers can read
 * them, each a part.  What is read may change at any moment.
 */
#ifndef NEXUS_DATA_SOURCE_H
#define NEXUS_DATA_SOURCE_H

#include <linux/types.h>

struct iov_iter;
struct nexus_source;

/*
 * Takes whole blocks of @from, at most @n, as many as can be had: *@blocks, at least
 * one.  Faults are taken here and nowhere else.  ERR_PTR(-EFAULT, -ENOMEM) with nothing
 * taken.
 */
struct nexus_source *nexus_source_take(struct iov_iter *from, u32 n, u32 *blocks);
/* Nobody reads it any more. */
void nexus_source_put(struct nexus_source *s);
/*
 * Copies @nr of its blocks, from @block on, to @pages, and their checksums to @crc (NULL:
 * nobody wants them).  Any context.
 */
void nexus_source_copy(const struct nexus_source *s, u32 block, u32 nr,
		       struct page **pages, __le32 *crc);

#endif /* NEXUS_DATA_SOURCE_H */
