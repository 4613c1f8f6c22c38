/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log of a zone holds above a checkpoint, after an end of whatever
 * kind, and where it ends.
 */
#ifndef NEXUSD_REPLAY_H
#define NEXUSD_REPLAY_H

#include "pack.h"
#include "seglog.h"

struct replay {
	/* in */
	struct seglog *log;
	struct nexus_objectstore *os;	/* NULL: data is not checked */
	u64 incarnation;
	u64 checkpoint;
	u64 checkpoint_seg;
	u64 from;		/* from here on the log is needed; at most the checkpoint */
	size_t table_lines;		/* of tables in memory at once; 0: some */
	/* out */
	u64 tail;		/* LSN after the last record that counts */
	u64 durable;		/* highest promise found */
	u32 prev_crc;		/* of the last batch that counts, 0 for none */
	u64 batches;		/* that hold something above the checkpoint */
	u64 dropped;		/* bytes of records of an unacknowledged end */
	bool corrupt;
	char reason[112];
	/* where the walk begins: the batch that holds @from, or begins there */
	struct seg_cursor start;
	bool started;
	bool reached;		/* some batch ends at the checkpoint or above */
	u64 newest;		/* highest segment number of the incarnation */
};

/* The first reason counts. */
void replay_corrupt(struct replay *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Finds the end.  0 (also when corrupt), -ENOMEM, -EIO. */
int replay_scan(struct replay *r);

/*
 * Calls @fn for stretches of whole records, from LSN @from to LSN @to, in order; not
 * beyond the tail, nor below r->from.  What it returns other than 0 ends the walk and
 * is returned.
 */
int replay_records(struct replay *r, u64 from, u64 to,
		   int (*fn)(void *arg, const u8 *records, size_t len), void *arg);

/* Collects every line the last incarnation's records give. */
int replay_collect_tables(struct replay *r, struct pack_tables *t);
/* Likewise, and writes those that are missing. */
int replay_tables(struct replay *r, const u8 *uuid, u64 *written);

#endif /* NEXUSD_REPLAY_H */
