/* SPDX-License-Identifier: Apache-2.0 */
/* A zone with a content store, whose machine can be lost, and what it was at each batch. */
#ifndef NEXUSD_ORIGIN_WORLD_H
#define NEXUSD_ORIGIN_WORLD_H

#include "origin.h"
#include "restore.h"
#include "util.h"

#define PACK_BLOCKS	256u
#define ROUNDS		6u
#define MOMENTS		64u

/* The zone as it was when a batch ended. */
struct moment {
	u64 lsn;
	struct nexus_omap keys;
	u32 content;
};

struct world {
	struct config cfg;
	struct fake k;
	struct gen g;
	struct logw w;
	struct zone *z;
	struct pack_tables *lines;	/* as the kernel writes them when it seals */
	struct moment at[MOMENTS];
	u32 n;
	u64 now;
	u64 acked;			/* with the store, as far as we were told */
	u32 share;			/* of origin.share; increments wherever they can be, if not set */
};

extern const char *world_content;	/* the setting of zones to come; NULL: a directory */

/* What goes wrong with the store from now on. */
void control(const char *text);
/* A new zone with records to come, open. */
void make(struct world *m);
/* The same of one that is there. */
void begin_zone(struct world *m);
void end_zone(struct world *m);
/* Nothing of it is left, but what is with the store. */
void lose(struct world *m);
/* What was remembered. */
void forget(struct world *m);
void own(struct world *m);
/* Time passes. */
void step(struct world *m, u64 ms);
/* A batch of records. */
void write_some(struct world *m);
/* As the kernel does: the table, then the record; and the next pack is written to. */
void seal(struct world *m);
/* The records of each without the end of their batch. */
void add_some(struct world *m);
void add_seal(struct world *m);
void end_batch(struct world *m, bool durable);
void fold(struct world *m);
/* A good deal of all that; two checkpoints remain. */
void work(struct world *m);
int restore_as(struct world *m, const char *name, bool take_over, struct restored *done,
	       struct errline *err);
/* The zone that was restored is what it was at some batch, with all content. */
void check_restored(struct world *m, const struct restored *done);

struct named {
	char name[64][CONTENT_NAME_MAX + 1];
	u32 n;
};

/* For list_named(). */
int note_name(void *arg, const char *name, __u64 bytes);
struct content *open_content(struct world *m);
/* The manifest that is there. */
void get_manifest(struct content *c, struct origin_manifest *m);
void put_manifest_of(struct content *c, const struct origin_manifest *m);
/* How many objects its checkpoints are made of. */
u32 objects_of(const struct origin_manifest *m);
/* Of the file of a stream; and whether two are the same bytes. */
u64 stream_size(FILE *f);
bool same_stream(FILE *a, FILE *b);

#endif /* NEXUSD_ORIGIN_WORLD_H */
