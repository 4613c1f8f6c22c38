/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a zone that is restored, out of streams that are whole. */
#ifndef NEXUSD_REBUILD_H
#define NEXUSD_REBUILD_H

#include "origin_stream.h"
#include "pack.h"
#include "presence.h"
#include "store.h"

struct rebuild {
	const struct config *cfg;
	const struct store_new *new;
	struct content *c;
	struct errline *err;
	const u8 *zone;
	struct super sb;
	struct alloc al;
	bool has_super, has_alloc;
	struct nexus_objectstore *os;
	u64 npacks;
	struct pack_image img;		/* that blocks go into; .pack 0: none */
	u8 *block;			/* one, aligned */
	u32 nsegments;
	int seg_fd;			/* of the last one; -1 */
	u64 seg_at;			/* where in it the next batch goes; bytes */
	u32 prev_crc;			/* of the batch before */
	u64 batches;
};

/*
 * Packs and log of the checkpoint in @spool: of sealed packs head and table are got from @c,
 * and all content is away.  rebuild_free() is due in any case.
 */
int rebuild_begin(struct rebuild *b, const struct config *cfg, const struct store_new *new,
		  struct content *c, const u8 *zone, FILE *spool, struct errline *err);
/*
 * A stretch of the log behind it.  -ENODATA, with a line, and nothing has changed: a pack that
 * it names is not with the store.
 */
int rebuild_log(struct rebuild *b, FILE *spool, struct errline *err);
/* The index: of the checkpoint, and last. */
int rebuild_end(struct rebuild *b, FILE *spool, struct errline *err);
void rebuild_free(struct rebuild *b);

#endif /* NEXUSD_REBUILD_H */
