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
};

struct origin_manifest {
	u8 zone[NEXUS_UUID_SIZE];
	u64 epoch, number;
	u32 count;
	struct origin_checkpoint checkpoint[NEXUS_MANIFEST_MAX];
};

struct origin_part {
	u8 zone[NEXUS_UUID_SIZE];
	u64 epoch, lsn, end, incarnation;
	u32 kind, part, bytes;
	bool last;
};

void origin_owner_encode(const struct origin_owner *o, struct nexus_origin_owner *raw);
void origin_manifest_encode(const struct origin_manifest *m, struct nexus_origin_manifest *raw);
/* @raw is followed by @p->bytes bytes. */
void origin_part_encode(const struct origin_part *p, struct nexus_origin_part *raw);

/* 0; -EPROTONOSUPPORT: of a newer version; -EUCLEAN: not what it should be. */
int origin_owner_parse(const void *buf, size_t len, struct origin_owner *o);
int origin_manifest_parse(const void *buf, size_t len, struct origin_manifest *m);
int origin_part_parse(const void *buf, size_t len, struct origin_part *p);

/* The folder of a stream: "checkpoint/EPOCH-NUMBER/", "log/EPOCH-LSN/". */
#define ORIGIN_FOLDER	64u
void origin_checkpoint_folder(u64 epoch, u64 number, char folder[ORIGIN_FOLDER]);
void origin_log_folder(u64 epoch, u64 lsn, char folder[ORIGIN_FOLDER]);
/* The two numbers of such a name, whatever part it is; false: it is none in @top. */
bool origin_folder_parse(const char *name, const char *top, u64 *epoch, u64 *number);

#endif /* NEXUSD_ORIGIN_FILE_H */
