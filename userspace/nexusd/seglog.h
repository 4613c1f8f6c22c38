/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The segment files of a zone and the chain of batches in them.
 *
 * A file is a slot; which segment it holds says the head of its first batch.
 * Files are read with direct I/O: what was written is what counts, not what a
 * page cache still has.
 */
#ifndef NEXUSD_SEGLOG_H
#define NEXUSD_SEGLOG_H

#include <nexus/format.h>

#include "lib/record.h"

struct seg_file {
	u32 index;		/* NNNNNN */
	int fd;
	u64 size;
	bool used;		/* begins with a batch head of this zone */
	bool foreign;		/* or with one of another */
	int error;		/* of reading that head: it can be any segment; or 0 */
	u64 number;		/* of that head, unchecked */
	u64 first_lsn;
	u64 incarnation;
};

struct seglog {
	int dirfd;
	u8 uuid[NEXUS_UUID_SIZE];
	struct seg_file *files;	/* by index */
	size_t nfiles;
	u8 *window;		/* last stretch read */
	struct seg_file *window_file;
	u64 window_off;
	size_t window_len;
	int window_error;	/* of the disk, which ended the stretch; or 0 */
};

int seglog_open(struct seglog *log, const char *dir, const u8 *uuid);
void seglog_close(struct seglog *log);
/* Looks for new files and reads the first head of each again. */
int seglog_scan(struct seglog *log);
/* Closes a file that was removed; pointers to others are no longer good. */
void seglog_forget(struct seglog *log, u32 index);
/* Highest number any head names, 0 for none. */
u64 seglog_max_number(const struct seglog *log);
/*
 * The segment of @incarnation with the largest first LSN <= @lsn, or NULL.
 */
struct seg_file *seglog_find(const struct seglog *log, u64 incarnation, u64 lsn);
struct seg_file *seglog_by_number(const struct seglog *log, u64 incarnation, u64 number);
/* "NNNNNN.seg" */
void seglog_name(char name[16], u32 index);
u32 seglog_next_index(const struct seglog *log);
/* Files that are, or can be, segments of this zone: of @size bytes, and not of another. */
u32 seglog_count(const struct seglog *log, u64 size);

struct seg_batch {
	u64 lsn;
	u64 end;		/* LSN after its last record */
	u64 durable;
	u64 incarnation;
	u64 segment;
	u32 block;
	u32 count;
	u32 crc;
	u32 prev_crc;
	u32 length;
	const u8 *records;	/* until the next call */
};

/* Follows the chain. */
struct seg_cursor {
	struct seglog *log;
	u64 incarnation;
	u64 segment;
	u32 block;
	u64 next_lsn;		/* 0: not known yet */
	u32 crc;
	bool linked;		/* crc is that of the batch before */
	/* of the last step that found no batch, whose place could not be read; or 0 */
	int error;
	u32 bad_file;		/* that place: the file's index and a block */
	u32 bad_block;
};

/* Where the batch with @lsn is looked for; -ENOENT when no segment begins at or below. */
int seg_cursor_seek(struct seg_cursor *c, struct seglog *log, u64 incarnation, u64 lsn);
/*
 * 1 and a batch; 0 when the chain does not go on, or seems not to because the disk
 * gives no answer (@c->error); or a negative errno.
 */
int seg_cursor_next(struct seg_cursor *c, struct seg_batch *b);

/*
 * Calls @fn for every whole batch of @incarnation in every file, chained or not;
 * what it returns other than 0 ends the walk.
 */
int seglog_walk(struct seglog *log, u64 incarnation,
		int (*fn)(void *arg, const struct seg_batch *b), void *arg);

#endif /* NEXUSD_SEGLOG_H */
