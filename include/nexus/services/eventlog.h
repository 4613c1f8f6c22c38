/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.eventlog, version 2: a durable log of records in one order.
 *
 * Each record has a sequence number, from 1 on; they go up, and none is ever given
 * twice: not after a truncation, not after a restart, not after a crash that took
 * records away.  So numbers may be missing, and whoever reads is told which.
 * Documentation/services/eventlog.md.
 */
#ifndef NEXUS_SERVICES_EVENTLOG_H
#define NEXUS_SERVICES_EVENTLOG_H

#include <nexus/service.h>

#define NEXUS_EVENTLOG			"nexus.eventlog"
#define NEXUS_EVENTLOG_VERSION		2

#define NEXUS_EVENTLOG_ZONE_MAX		255u
#define NEXUS_EVENTLOG_DATA_MAX		(10u << 20)	/* of one record */
#define NEXUS_EVENTLOG_BATCH_MAX	4096u		/* records */
#define NEXUS_EVENTLOG_BATCH_BYTES	(16u << 20)	/* of all their data and zones */
#define NEXUS_EVENTLOG_READ_MAX		4096u		/* records */
#define NEXUS_EVENTLOG_READ_DEFAULT	1000u

/** enum nexus_eventlog_durability - what an append has waited for when it returns */
enum nexus_eventlog_durability {
	NEXUS_EVENTLOG_NONE	= 0,	/* the system has it: a crash of the helper loses nothing */
	NEXUS_EVENTLOG_SYNC	= 1,	/* the disk has it */
};

/**
 * struct nexus_eventlog_record - one record
 * @seq: set by the service
 * @zone: what it belongs to, @zone_len bytes; may be empty
 * @data: @data_len bytes, of no meaning to the log
 *
 * What the pointers lead to belongs to the arguments (args_more()).
 */
struct nexus_eventlog_record {
	uint64_t seq;
	const char *zone;
	const void *data;
	uint32_t zone_len;
	uint32_t data_len;
};

/**
 * struct nexus_eventlog_append_args - of append: all of them or none
 * @records: @count of them, 1 to NEXUS_EVENTLOG_BATCH_MAX; one behind the other in the
 *	log, each is given its seq
 * @durability: enum nexus_eventlog_durability
 * @first: of the numbers given
 * @last: likewise
 *
 * -EINVAL no record, or no such durability; -EMSGSIZE too many or too large; -ENOSPC
 * and the log is as before; -EIO the disk failed, now or earlier: the log can only
 * be read until the service is loaded again; -EAGAIN another build of the
 * service still has the files.  An error after the records were written (of the sync)
 * leaves open whether they last; their numbers are not given again.
 */
struct nexus_eventlog_append_args {
	struct nexus_eventlog_record *records;
	uint32_t count;
	uint32_t durability;
	uint64_t first;
	uint64_t last;
};

/**
 * struct nexus_eventlog_read_args - of read: records in their order
 * @from: the first number wanted (0: 1)
 * @to: the last number wanted; 0: no end
 * @max: records, at most NEXUS_EVENTLOG_READ_MAX; 0: NEXUS_EVENTLOG_READ_DEFAULT
 * @max_bytes: of zones and data, at least one record all the same; 0: 1 MiB
 * @zone: only its records; NULL: all
 * @zone_len: of @zone
 * @records: @count of them
 * @next: where to go on; what is below it has been looked at
 * @end: whether @next is behind all there is now
 * @lost_from: not 0: numbers from here to @lost_to are not in the log: truncated,
 *	or never durable before a crash, or, with -EUCLEAN, damaged.  They come before
 *	all of @records, and a call ends where some begin.
 * @lost_to: likewise
 *
 * -EUCLEAN: from @lost_from to @lost_to records are damaged or gone that must be there;
 * @next is behind them, for those who want to go on.  -EINVAL, -EMSGSIZE for @max,
 * -EIO, -ENOMEM, -EAGAIN.
 */
struct nexus_eventlog_read_args {
	uint64_t from;
	uint64_t to;
	uint32_t max;
	uint32_t max_bytes;
	const char *zone;
	uint32_t zone_len;
	struct nexus_eventlog_record *records;
	uint32_t count;
	uint64_t next;
	bool end;
	uint64_t lost_from;
	uint64_t lost_to;
};

/**
 * struct nexus_eventlog_truncate_args - of truncate: what is old goes
 * @before: numbers below it are no longer in the log when this returns, also after
 *	a crash; -ERANGE above the next number to be given
 * @files: how many were removed; the others keep what is below @before unseen
 */
struct nexus_eventlog_truncate_args {
	uint64_t before;
	uint64_t files;
};

/**
 * struct nexus_eventlog_state - of state
 * @first: nothing below it is in the log
 * @last: the highest number of a record in it, or that was; 0: none yet
 * @next: the next number to be given is this one or higher
 * @synced: what the disk has
 * @bytes: of its files
 * @files: segments
 * @cut: bytes that a crash had left half-written, at the last start
 * @damaged: segments that are damaged or not there, as far as it is known
 * @failed: nothing can be appended any more
 */
struct nexus_eventlog_state {
	uint64_t first, last, next, synced;
	uint64_t bytes, files;
	uint64_t cut, damaged;
	bool failed;
};

/**
 * struct nexus_eventlog_retention - of retention: what goes by itself
 * @max_bytes: of all files, though the one that is written stays; 0: any
 * @max_age_ms: how long a record stays at least; 0: for ever
 * @files: were removed by it, since the service was loaded
 * @bytes: likewise
 * @before: no record below is there because of it; 0: none is gone
 * @failing: the last time something could not be removed
 */
struct nexus_eventlog_retention {
	uint64_t max_bytes, max_age_ms;
	uint64_t files, bytes;
	uint64_t before;
	bool failing;
};

/** struct nexus_eventlog_ops - the operations; the last one since version 2 */
struct nexus_eventlog_ops {
	nexus_op append;	/* struct nexus_eventlog_append_args */
	nexus_op read;		/* struct nexus_eventlog_read_args */
	nexus_op sync;		/* NULL: all that was appended before is durable then */
	nexus_op truncate;	/* struct nexus_eventlog_truncate_args */
	nexus_op state;		/* struct nexus_eventlog_state */
	nexus_op retention;	/* struct nexus_eventlog_retention */
};

#endif /* NEXUS_SERVICES_EVENTLOG_H */
