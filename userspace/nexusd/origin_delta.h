/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Increments: what makes a checkpoint's stream of an earlier one's, byte by byte.  Items of
 * the new stream that the earlier one has are copies of its bytes; all others are there
 * themselves.
 *
 * It is found out by comparing the two streams, not by keeping account of changes: so it is
 * right whoever wrote to the index.
 */
#ifndef NEXUSD_ORIGIN_DELTA_H
#define NEXUSD_ORIGIN_DELTA_H

#include "origin_stream.h"

/*
 * What makes @new of @base, both whole streams, goes into @out, ended.  0 or an error:
 * -EUCLEAN: one of them is none.
 */
int origin_delta_make(FILE *base, FILE *new, struct origin_stream_out *out);

/*
 * The stream that @delta makes of @base goes into @out, which may become @most bytes.
 * -EUCLEAN: @delta is not for @base, or nothing.
 */
int origin_delta_apply(FILE *base, FILE *delta, FILE *out, u64 most);

/*
 * Checkpoint @i of @m: all that it is made of is got, checked and put together in a file in @dir,
 * *@spool, which is a whole stream then.  -ENOENT: a part is missing; -EUCLEAN, -EPROTONOSUPPORT:
 * damaged, or not what the manifest names; with a line that names the object or its folder.
 */
int origin_chain_get(struct content *c, const struct origin_manifest *m, u32 i, const char *dir,
		     FILE **spool, struct errline *err);

#endif /* NEXUSD_ORIGIN_DELTA_H */
