/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event log: segments in one directory.  Without the registry, so that tests can
 * have it by itself.
 *
 * A segment is never written again after the log was closed; the next append makes
 * another one.  What the disk has yet to get are the last segments and their names.
 * The file "state" has a number above all that were ever given, written before
 * any of them is.
 */
#ifndef EVENTLOG_ELOG_H
#define EVENTLOG_ELOG_H

#include <pthread.h>
#include <stdatomic.h>

#include <nexus/services/eventlog.h>

#include "codec.h"

#define ELOG_SEGMENT_SIZE	(4u << 20)
#define ELOG_RESERVE		(1u << 20)	/* numbers at a time */
#define ELOG_CURSORS		16u

struct elog_segment {
	uint64_t first;		/* no record is below; its name */
	uint64_t last;		/* 0: none */
	uint64_t bytes;		/* that are valid, with its head */
	int64_t begun;		/* Unix time in ms; of one that is written */
	int64_t written;	/* likewise, the last time; or since the file was */
	int fd;			/* not on disk yet, else -1 */
	bool damaged;		/* found so, and reported */
};

/* Where a reader stopped. */
struct elog_cursor {
	uint64_t segment;	/* its first */
	uint64_t seq;		/* of the record at @offset */
	uint64_t offset;
};

/**
 * struct elog_opts - settings
 * @segment_size: where a new one begins
 * @reserve: numbers at a time
 * @log: NULL, or for a line about what is wrong
 * @max_bytes: elog_retain() leaves no more than that and what is written; 0: all
 * @max_age_ms: nor what is older; 0: all
 * @now_ms: Unix time; NULL: the system's
 */
struct elog_opts {
	uint32_t segment_size;
	uint32_t reserve;
	uint64_t max_bytes;
	uint64_t max_age_ms;
	int64_t (*now_ms)(void);
	void (*log)(void *arg, enum nexus_service_level level, const char *line);
	void *arg;
};

/* What elog_retain() has removed. */
struct elog_retained {
	uint64_t files, bytes;
	uint64_t before;	/* nothing below is left */
	bool by_bytes, by_age;
};

struct elog {
	struct elog_opts opts;
	int dirfd;
	int lockfd;
	uint8_t id[EVENTLOG_ID_SIZE];
	uint32_t salt;

	pthread_mutex_t lock;	/* all below */
	pthread_cond_t cond;	/* a sync ended, or is wanted */
	struct elog_segment *segs;
	size_t nsegs, room;
	bool active;		/* the last segment takes records */
	uint64_t next;
	uint64_t reserved;
	uint64_t first;
	uint64_t last;
	uint64_t synced;
	uint64_t cut;
	bool failed;
	bool syncing;
	bool dir_dirty;		/* a name is not on disk yet */
	struct elog_cursor cursors[ELOG_CURSORS];
	unsigned int cursor;	/* the next to be replaced */
	pthread_t keeper;	/* syncs sealed segments, so that few are left to a sync */
	bool keeping, over;
	struct elog_retained retained;
	int retain_error;	/* of the last time, for it is said once */
	atomic_bool rolled;	/* a segment was begun */
};

/*
 * Opens what is in @dirfd, or begins there; takes @dirfd over.  -EAGAIN: another
 * has it open.  -EUCLEAN: "state" is damaged or missing.
 */
int elog_open(struct elog *l, int dirfd, const struct elog_opts *opts);
/* All that was appended is on disk then, or an error; it is closed anyway. */
int elog_close(struct elog *l);
/* As after a crash: nothing more is written.  For tests. */
void elog_abandon(struct elog *l);

/*
 * The operations, see nexus/services/eventlog.h.  @more gives memory that lives as
 * long as the arguments.
 */
int elog_append(struct elog *l, struct nexus_eventlog_append_args *a);
int elog_read(struct elog *l, struct nexus_eventlog_read_args *a,
	      void *(*more)(void *args, size_t size));
int elog_sync(struct elog *l);
int elog_truncate(struct elog *l, struct nexus_eventlog_truncate_args *a);
void elog_state(struct elog *l, struct nexus_eventlog_state *st);
void elog_retention(struct elog *l, struct nexus_eventlog_retention *a);

/* Removes what is too much or too old; by one thread at a time. */
int elog_retain(struct elog *l);
/* Is it time to do so, because of a new segment? */
bool elog_due(struct elog *l);

/* ---- between its files ------------------------------------------------------- */

struct elog_scan {
	int fd;
	uint32_t salt;
	uint64_t offset;	/* in the file, of buf[0] */
	uint64_t end;		/* nothing behind is looked at */
	uint8_t *buf;
	size_t have, cap, pos;
};

#define ELOG_NAME_MAX	32

void elog_say(struct elog *l, enum nexus_service_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void elog_name(char name[ELOG_NAME_MAX], uint64_t first);
int elog_write(int fd, const void *buf, size_t len, uint64_t offset);
int64_t elog_now(const struct elog *l);
/* Lock held, left while the disk is waited for. */
int elog_sync_to(struct elog *l, uint64_t seq);
/* Lock held. */
int elog_put_state(struct elog *l, uint64_t reserved, uint64_t first, bool clean);
struct elog_segment *elog_add(struct elog *l, uint64_t first);
/* Fills @l from the directory; before there are threads. */
int elog_recover(struct elog *l);

void elog_scan_init(struct elog_scan *s, int fd, uint32_t salt, uint64_t offset, uint64_t end);
/* 1: a record, that points into the buffer until the next call; 0: the end. */
int elog_scan_next(struct elog_scan *s, struct rec *rec);
/* Where the next record begins. */
uint64_t elog_scan_at(const struct elog_scan *s);
void elog_scan_end(struct elog_scan *s);

#endif /* EVENTLOG_ELOG_H */
