/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the event log hold.  Pure: no I/O, no state.
 *
 * A segment is a head and records, one behind the other, each padded with zeros to
 * eight bytes.  All numbers are little-endian.  A batch is records up to the one
 * with REC_LAST; only whole batches count.
 */
#ifndef EVENTLOG_CODEC_H
#define EVENTLOG_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENTLOG_ID_SIZE	16u

#define SEG_HEAD_SIZE		64u
#define STATE_SIZE		64u
#define REC_HEAD_SIZE		40u
#define REC_ALIGN		8u

#define REC_LAST		1u	/* flags: its batch ends here */

/**
 * struct seg_head - the head of a segment
 * @id: of the log
 * @first: no record in it is below
 * @prev: the last number of the segments before it, 0 when there was none
 * @synced: the last number that was on disk when it was made
 */
struct seg_head {
	uint8_t id[EVENTLOG_ID_SIZE];
	uint64_t first;
	uint64_t prev;
	uint64_t synced;
};

/**
 * struct log_state - the file "state"
 * @id: of the log
 * @reserved: no number from here on was ever given
 * @first: records below it are truncated
 * @last: a number that was on disk; when @clean, the last of all
 * @clean: @reserved is the very next one: the log was closed
 */
struct log_state {
	uint8_t id[EVENTLOG_ID_SIZE];
	uint64_t reserved;
	uint64_t first;
	uint64_t last;
	bool clean;
};

/**
 * struct rec - one record, in memory
 * @synced: the last number that was on disk when it was written
 */
struct rec {
	uint64_t seq;
	uint64_t synced;
	const char *zone;
	const uint8_t *data;
	uint32_t data_len;
	uint16_t zone_len;
	uint16_t flags;
};

/* What records of a log are summed with: others' do not pass for its own. */
uint32_t log_salt(const uint8_t id[EVENTLOG_ID_SIZE]);

void seg_head_put(uint8_t buf[SEG_HEAD_SIZE], const struct seg_head *head);
/* -EUCLEAN: none, or damaged. */
int seg_head_get(const uint8_t buf[SEG_HEAD_SIZE], struct seg_head *head);

void log_state_put(uint8_t buf[STATE_SIZE], const struct log_state *st);
/* -EUCLEAN. */
int log_state_get(const uint8_t *buf, size_t len, struct log_state *st);

/* With head and padding. */
size_t rec_size(uint32_t zone_len, uint32_t data_len);
/* Writes rec_size() bytes. */
void rec_put(uint8_t *buf, uint32_t salt, const struct rec *rec);
/*
 * The record at the beginning of @len bytes, which it points into; the bytes it
 * takes, 0 for no bytes.  -EUCLEAN damaged; -ENODATA cut off: it claims to be longer.
 */
int64_t rec_get(const uint8_t *buf, size_t len, uint32_t salt, struct rec *rec);
/*
 * Whether any whole record is in there, wherever it begins, that was written when
 * @seq was on disk already: then it is no torn end that begins with @seq.
 */
bool rec_after(const uint8_t *buf, size_t len, uint32_t salt, uint64_t seq);

#endif /* EVENTLOG_CODEC_H */
