/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of items (include/nexus/originfile.h): made in a file without a name, then put
 * in parts; and got into such a file, whole and checked, before any of it is believed.
 */
#ifndef NEXUSD_ORIGIN_STREAM_H
#define NEXUSD_ORIGIN_STREAM_H

#include <stdio.h>

#include <nexus/format.h>

#include "content.h"
#include "origin_file.h"

/* Bytes of an item's data, padded, that is no COPY. */
#define ORIGIN_ITEM_MAX	((size_t)NEXUS_BATCH_BYTES_MAX + NEXUS_BLOCK_SIZE)

#define ORIGIN_PART	(8u << 20)	/* bytes of the parts that are written */

/* A file in @dir that is gone when it is closed; NULL with errno. */
FILE *origin_stream_spool(const char *dir);

struct origin_stream_out {
	FILE *spool;
	u64 items;
	int ret;		/* the first error; nothing is written after it */
};

void origin_stream_item(struct origin_stream_out *s, u32 type, u64 arg, u64 block, const void *a, size_t alen,
		 const void *b, size_t blen);
/* The end of the stream; all of it is in the file.  0, or the first error. */
int origin_stream_end(struct origin_stream_out *s);
/*
 * Puts the stream as FOLDER000000 and so on, in parts of at most @part_bytes; *@p says
 * what it is.  The last one is written last.
 */
int origin_stream_put(struct origin_stream_out *s, struct content *c, const char *folder,
	       struct origin_part *p, size_t part_bytes, u64 *bytes, u32 *parts, u32 *crc);

/*
 * Gets one into @spool.  *@p: in: zone, epoch, kind and lsn that it must have; out: what
 * its parts say.  -ENOENT: a part is missing; -EUCLEAN: damaged, or not what was wanted;
 * with a line that names the object.
 */
int origin_stream_get(struct content *c, const char *folder, struct origin_part *p, FILE *spool,
	       u64 *bytes, u32 *crc, struct errline *err);

struct origin_stream_item {
	u32 type, len;
	u64 arg, block;
	u8 *data;		/* until the next one; aligned to 8 */
};

/*
 * The next item, where the file stands; @it->data has room for ORIGIN_ITEM_MAX bytes.
 * @delta: it is an increment, so it may be a COPY.  -EUCLEAN: there is none.
 */
int origin_stream_next(FILE *spool, struct origin_stream_item *it, bool delta);
/* How much is in the file, and its checksum.  0 or an error. */
int origin_stream_sum(FILE *spool, u64 *bytes, u32 *crc);

/*
 * Calls @fn for each item of the file from its start, but for the end.  0; what @fn
 * returns; -EUCLEAN: not a stream.
 */
int origin_stream_each(FILE *spool, int (*fn)(void *arg, const struct origin_stream_item *item), void *arg);

#endif /* NEXUSD_ORIGIN_STREAM_H */
