/* SPDX-License-Identifier: Apache-2.0 */
/* What the helper's tests share: places, records, logs, a kernel. */
#ifndef NEXUSD_TEST_UTIL_H
#define NEXUSD_TEST_UTIL_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/apply.h"
#include "lib/check.h"
#include "zone.h"

/* A directory of its own for each test; $TEST_DIR or /var/tmp. */
extern char test_dir[128];
int test_setup(void **state);
int test_teardown(void **state);
/* Settings that fit it: small files, quiet. */
void test_config(struct config *cfg, const struct nexus_ms_driver *ms);
/* A zone "z" there. */
void test_zone(const struct config *cfg);
u32 rnd(u32 below);
/* What rnd() gives from here on is what it gives at the beginning of a test. */
void rnd_begin(void);

/* ---- records --------------------------------------------------------------- */

#define GEN_FILES	64

/* Makes valid records, one after the other. */
struct gen {
	u64 next_ino;
	u64 next_pos;
	u64 pack;
	u32 next_block;
	u32 pack_blocks;
	struct gen_file {
		u64 ino;	/* 0: slot is free */
		u64 pos;
		u64 data_id;
		u64 size;
		u64 map;	/* bit n: block n is mapped */
		u64 shared;	/* bit n: and a SHARE named it */
		bool linked;
		char name[16];
	} file[GEN_FILES];
	struct nexus_objectstore *os;	/* data goes there, unless NULL */
	u32 plain;		/* one of so many extents has no checksums; 0: none */
	u8 buf[8192] __attribute__((aligned(8)));
};

void gen_init(struct gen *g, u64 first_ino, u64 pack, u32 pack_blocks);
/* The next record, without an LSN. */
struct nexus_rec_head *gen_next(struct gen *g);
struct nexus_rec_head *gen_create(struct gen *g);
struct nexus_rec_head *gen_extent(struct gen *g, struct gen_file *f);

/* ---- logs on disk ---------------------------------------------------------- */

struct logw {
	int dirfd;
	u8 uuid[NEXUS_UUID_SIZE];
	u64 incarnation;
	u64 segment;
	u32 file;		/* index */
	u32 block;		/* where the next batch goes */
	u32 last_block;		/* where the last one is */
	u64 lsn;		/* of the next record */
	u64 first_lsn;		/* of the batch being made */
	u64 durable;		/* as the next head says */
	u32 prev_crc;
	u32 len, count;
	u8 *buf;		/* head and records */
};

void logw_init(struct logw *w, const char *dir, const u8 *uuid, u64 incarnation,
	       u64 segment, u64 lsn);
void logw_free(struct logw *w);
/* A file of @blocks zeros (or whatever it held) becomes the current segment. */
void logw_segment(struct logw *w, u32 file, u32 blocks);
void logw_add(struct logw *w, struct nexus_rec_head *rec);
/* Writes what was added; everything before is durable then. */
void logw_batch(struct logw *w);
/* Overwrites a block of a segment file. */
void logw_spoil(struct logw *w, u32 file, u32 block, u8 byte);

/* ---- a kernel ---------------------------------------------------------------- */

#define FAKE_HANDED	64
#define FAKE_PIECE	256u	/* blocks */
#define FAKE_USES	16
#define FAKE_SEEN	16

struct fake {
	struct chan chan;
	struct nexus_log_ctl *ctl;
	u8 *ring;
	u64 ring_size;
	size_t mapped;
	pthread_mutex_t lock;
	u64 tail;
	/* What the helper said. */
	u64 applied, checkpoint;
	u32 segments, packs, ranges, fails;
	u32 submits;		/* lock */
	u64 last_ino_end;
	u64 last_pack;
	u64 handed[FAKE_HANDED];	/* packs, the last ones */
	u32 nhanded;
	int submit_error;	/* lock */
	u64 bad_ino;		/* whose MOVE fails, with move_error */
	int move_error;
	int retire_error;	/* lock */
	u64 retire_pack;	/* lock; only of this one, or 0 */
	u32 retires;		/* lock */
	u64 retired;		/* blocks; lock */
	u64 evicted;		/* of them, those that can be fetched */
	int present_error;
	u64 presented;		/* blocks; lock */
	u64 presented_in;	/* lock; a bit for each FAKE_PIECE blocks in which some were */
	char reason[112];
	u64 kept, kept_for;	/* as last reported */
	u32 reports;
	bool no_space;		/* likewise */
	struct {
		u64 pack, idle;
	} use[FAKE_USES];	/* what it knows of uses of packs */
	u32 nuses;
	struct {
		u64 pack;
		u32 blocks;
		u64 *absent;	/* bits */
	} seen[FAKE_SEEN];	/* lock; sealed packs it was given first, and what is not there of them */
	u32 nseen;
	u32 kept_packs;		/* handed over out of what was kept */
	u32 zeroed_packs;	/* handed over as written everywhere */
};

void fake_init(struct fake *k, u64 ring_size, u64 lsn);
void fake_free(struct fake *k);
/* Appends to the ring, as the kernel does; moves the window when it must. */
u64 fake_append(struct fake *k, struct nexus_rec_head *rec);
void fake_durable(struct fake *k, u64 lsn);
/* A reader would go to the pack's file for the block. */
bool fake_reads(struct fake *k, u64 pack, u32 block);
/* Opens zone "z" the way zone_open() does, up to the threads. */
struct zone *fake_open(struct fake *k, const struct config *cfg, u64 ring_size);
void fake_close(struct fake *k, struct zone *z);
/* The machine stops: nothing is closed in order, the log is what remains. */
void power_cut(struct fake *k, struct zone *z);
/* What the kernel would write for the zone, from file 0 on. */
void log_of(struct zone *z, struct logw *w);
/* Into the ring and into what becomes the next batch. */
void append_both(struct fake *k, struct logw *w, struct nexus_rec_head *rec);

/* ---- stores ------------------------------------------------------------------ */

/* Every logged key and value of a view, for comparing. */
void view_dump(struct memview *v, struct nexus_omap *out);
void same_maps(const struct nexus_omap *a, const struct nexus_omap *b);
/* Asserts that the zone's merged view is without contradictions. */
void zone_is_sound(struct zone *z);
void zone_dump(struct zone *z, struct nexus_omap *out);

#endif /* NEXUSD_TEST_UTIL_H */
