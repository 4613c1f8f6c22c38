/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a zone keeps with its content store beside the packs, so that it can be made
 * again where nothing of it is left: who owns it, which checkpoints there are, and
 * streams of what is in them.  Shapes only; little-endian, as in format.h.
 * Documentation/origin.md explains each.
 */
#ifndef NEXUS_ORIGINFILE_H
#define NEXUS_ORIGINFILE_H

#include <nexus/packfile.h>

#define NEXUS_ORIGIN_VERSION	1u
#define NEXUS_NAMING_VERSION	2u	/* of parts of a stream with NEXUS_ITEM_PACK */
#define NEXUS_ORIGIN_TEXT	64u	/* bytes of a name, with NUL */

#define NEXUS_OWNER_MAGIC	0x4e574f5358454eull	/* "NEXSOWN" */

#define NEXUS_OWNER_HELD	1u
#define NEXUS_OWNER_RELEASED	2u

/* Object "owner". */
struct nexus_origin_owner {
	__le64	magic;
	__le32	version;
	__le32	crc;		/* CRC32C of this structure with crc 0 */
	__u8	zone[NEXUS_UUID_SIZE];
	__le64	epoch;		/* one more with each owner */
	__le64	turn;		/* one more with each write: no two are the same bytes */
	__le32	state;		/* NEXUS_OWNER_* */
	__le32	reserved;
	__le64	time_s;		/* when it was written, by the owner's clock */
	__u8	token[NEXUS_UUID_SIZE];	/* of the owner's copy of the zone */
	char	host[NEXUS_ORIGIN_TEXT];
	char	machine[NEXUS_ORIGIN_TEXT];
};

#define NEXUS_MANIFEST_MAGIC	0x4e414d5358454eull	/* "NEXSMAN" */
#define NEXUS_MANIFEST_MAX	2u
#define NEXUS_CHAIN_MAX		16u	/* objects' streams that a checkpoint is made of */

/* One stream; as in struct nexus_origin_part. */
struct nexus_origin_checkpoint {
	__le64	epoch;
	__le64	number;		/* of the manifest it is first in */
	__le64	lsn;		/* up to which its index holds the log */
	__le64	end;		/* LSN up to which it holds the log itself */
	__le64	incarnation;
	__le64	time_s;
	__le64	bytes;		/* of the stream */
	__le32	parts;
	__le32	crc;		/* CRC32C of the stream */
};

/* Object "manifest", if all its checkpoints are whole: version 1. */
struct nexus_origin_manifest {
	__le64	magic;
	__le32	version;
	__le32	crc;		/* CRC32C of this structure with crc 0 */
	__u8	zone[NEXUS_UUID_SIZE];
	__le64	epoch;		/* of who wrote it */
	__le64	number;		/* one more with each */
	__le32	count;		/* of checkpoints, the newest first */
	__le32	reserved;
	struct nexus_origin_checkpoint checkpoint[NEXUS_MANIFEST_MAX];
};

#define NEXUS_CHAIN_VERSION	2u

/* What a checkpoint is made of: itself whole, or what makes it of the next such one. */
struct nexus_origin_step {
	struct nexus_origin_checkpoint checkpoint;	/* .parts: that were put for it */
	__le64	put_bytes;	/* of the stream in them */
	__le32	put_crc;
	__le32	kind;		/* NEXUS_STREAM_CHECKPOINT, the last of each; _DELTA */
};

/* Object "manifest", if any is not: version 2. */
struct nexus_origin_chains {
	__le64	magic;		/* as that of struct nexus_origin_manifest, up to count */
	__le32	version;
	__le32	crc;		/* CRC32C of this structure with crc 0, and the steps */
	__u8	zone[NEXUS_UUID_SIZE];
	__le64	epoch;
	__le64	number;
	__le32	count;		/* of checkpoints, the newest first */
	__le32	steps;		/* that follow: of each checkpoint down to a whole one */
	struct nexus_origin_step step[];
};

#define NEXUS_PART_MAGIC	0x5241505358454eull	/* "NEXSPAR" */
#define NEXUS_PART_LAST		1u

#define NEXUS_STREAM_CHECKPOINT	1u
#define NEXUS_STREAM_LOG	2u
#define NEXUS_STREAM_DELTA	3u	/* a checkpoint, by what is other than in an earlier one */

/* Before each part of a stream. */
struct nexus_origin_part {
	__le64	magic;
	__le32	version;	/* the same in all parts */
	__le32	crc;		/* CRC32C of this structure with crc 0, and what follows */
	__u8	zone[NEXUS_UUID_SIZE];
	__le64	epoch;
	__le64	lsn;		/* checkpoint: as there; log: where it begins */
	__le64	end;		/* LSN up to which the stream holds the log */
	__le64	incarnation;
	__le32	kind;		/* NEXUS_STREAM_* */
	__le32	part;		/* from 0 on */
	__le32	flags;		/* NEXUS_PART_LAST */
	__le32	bytes;		/* that follow */
};

#define NEXUS_ITEM_KEY		1u	/* a key of the index and its value */
#define NEXUS_ITEM_BATCH	2u	/* a batch of the log, as in a segment */
#define NEXUS_ITEM_BLOCK	3u	/* a block of a pack */
#define NEXUS_ITEM_END		4u
#define NEXUS_ITEM_COPY		5u	/* of _DELTA alone: bytes of the earlier stream */
#define NEXUS_ITEM_PACK		6u	/* a sealed pack that is an object: what batches say of it is there */

/* A stream is these, one behind the other; each begins at a multiple of 8. */
struct nexus_origin_item {
	__le32	type;		/* NEXUS_ITEM_* */
	__le32	len;		/* bytes that follow, without padding */
	/* KEY: bytes of the key; BLOCK, PACK: pack; END: items before it; COPY: from where */
	__le64	arg;
	__le64	block;		/* BLOCK: where in the pack; COPY: how many bytes; else 0 */
};

NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_owner) == 208);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_checkpoint) == 64);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_manifest) == 184);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_step) == 80);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_chains) == 56);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_part) == 80);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_origin_item) == 24);

#endif /* NEXUS_ORIGINFILE_H */
