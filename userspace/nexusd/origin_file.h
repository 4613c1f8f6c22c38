/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small objects of a zone's origin (include/nexus/originfile.h): bytes that come
 * from a store are anything, until they were parsed here.
 */
#ifndef NEXUSD_ORIGIN_FILE_H
#define NEXUSD_ORIGIN_FILE_H

#include <nexus/originfile.h>

#include "lib/port.h"

#define ORIGIN_OWNER	"owner"
#define ORIGIN_MANIFEST	"manifest"
#define ORIGIN_PART_MAX	(64u << 20)	/* bytes of a part that is read at all */

struct origin_owner {
	u8 zone[NEXUS_UUID_SIZE];
	u8 token[NEXUS_UUID_SIZE];
	u64 epoch, turn, time_s;
	u32 state;
	char host[NEXUS_ORIGIN_TEXT];
	char machine[NEXUS_ORIGIN_TEXT];
};

struct origin_checkpoint {
	u64 epoch, number, lsn, end, incarnation, time_s, bytes;
	u32 parts, crc;
	u64 put_bytes;		/* of the stream in its objects; whole: as bytes, and crc */
	u32 put_crc;
	bool delta;		/* it is an increment */
};

struct origin_manifest {
	u8 zone[NEXUS_UUID_SIZE];
	u64 epoch, number;
	u32 count;
	struct origin_checkpoint checkpoint[NEXUS_MANIFEST_MAX];
	/* What each stands on, down to a whole one; none if it is whole. */
	struct origin_base {
		u32 n;
		struct origin_checkpoint step[NEXUS_CHAIN_MAX - 1];
	} base[NEXUS_MANIFEST_MAX];
};

#define ORIGIN_MANIFEST_BYTES	(sizeof(struct nexus_origin_chains) + \
				 sizeof(struct nexus_origin_step) * NEXUS_MANIFEST_MAX * NEXUS_CHAIN_MAX)

struct origin_part {
	u8 zone[NEXUS_UUID_SIZE];
	u64 epoch, lsn, end, incarnation;
	u32 kind, part, bytes;
	bool last;
	bool naming;		/* the stream has NEXUS_ITEM_PACK */
};

void origin_owner_encode(const struct origin_owner *o, struct nexus_origin_owner *raw);
/*
 * How many bytes it is; of version 1 if no checkpoint has increments, so that programs
 * which know none can read it.
 */
size_t origin_manifest_encode(const struct origin_manifest *m, u8 raw[ORIGIN_MANIFEST_BYTES]);
/* @raw is followed by @p->bytes bytes. */
void origin_part_encode(const struct origin_part *p, struct nexus_origin_part *raw);

/* 0; -EPROTONOSUPPORT: of a newer version; -EUCLEAN: not what it should be. */
int origin_owner_parse(const void *buf, size_t len, struct origin_owner *o);
int origin_manifest_parse(const void *buf, size_t len, struct origin_manifest *m);
int origin_part_parse(const void *buf, size_t len, struct origin_part *p);

/* Of all bytes, the four at @at taken for 0. */
u32 origin_crc_without(const void *buf, size_t len, size_t at);

/* The folder of a stream: "checkpoint/EPOCH-NUMBER/", "log/EPOCH-LSN/". */
#define ORIGIN_FOLDER	64u
void origin_checkpoint_folder(u64 epoch, u64 number, char folder[ORIGIN_FOLDER]);
void origin_log_folder(u64 epoch, u64 lsn, char folder[ORIGIN_FOLDER]);
/* The two numbers of such a name, whatever part it is; false: it is none in @top. */
bool origin_folder_parse(const char *name, const char *top, u64 *epoch, u64 *number);

#endif /* NEXUSD_ORIGIN_FILE_H */
