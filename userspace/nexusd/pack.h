/* SPDX-License-Identifier: Apache-2.0 */
/* Packs as the helper sees them: heads, tables of owners, blocks and CRCs. */
#ifndef NEXUSD_PACK_H
#define NEXUSD_PACK_H

#include <nexus/format.h>
#include <nexus/objectstore.h>

#include "lib/port.h"

/* Makes a pack with its head in block 0, or gives an unused one a new id. */
int pack_create(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid);
/* The same, whose blocks have their space and were not written. */
int pack_create_allocated(struct nexus_objectstore *os, u64 pack, u32 blocks,
			  const u8 *uuid);
/* The same, in room that the store has set aside. */
int pack_create_kept(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid);
/* The same, which takes no more space than what is written to it. */
int pack_create_sparse(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid);
int pack_recycle(struct nexus_objectstore *os, u64 from, u64 to, u32 blocks,
		 const u8 *uuid);
u32 pack_table_blocks(u32 blocks);
/* The head of an empty pack. */
void pack_head_init(struct nexus_pack_head *head, u64 pack, u32 blocks, const u8 *uuid);
/* The checksum of a head that was changed. */
void pack_head_seal(struct nexus_pack_head *head);
/* 0; -EUCLEAN: damaged; -ESTALE: whole, and of another zone, pack or length. */
int pack_check_head(const struct nexus_pack_head *head, const u8 *uuid, u64 pack,
		    u32 blocks);
/* That of an open file.  As pack_check_head(), and -EIO. */
int pack_read_head(int fd, const u8 *uuid, u64 pack, u32 blocks,
		   struct nexus_pack_head *head);

/* Packs that are open for reading, a few at a time. */
struct pack_reader;
struct pack_reader *pack_reader_new(struct nexus_objectstore *os);
void pack_reader_free(struct pack_reader *r);
/*
 * From now on blocks that follow each other are read many at a time, until the next call,
 * which forgets them.  None of those that are asked for meanwhile may be written to.
 */
void pack_reader_ahead(struct pack_reader *r);
/* Reads one block.  0, -ENOENT (no such pack), -ERANGE (beyond its end), -EIO. */
int pack_read_block(struct pack_reader *r, u64 pack, u32 block, void *buf);
struct pack_bad {
	u64 pack;
	u32 block;
	int error;		/* of reading it or its line; 0: it has another checksum */
};

/*
 * Checks the data that the EXTENT, TRUNCATE and MOVE records in [records, + len) name.
 * One that is away is what the line of its pack says.  0; -EUCLEAN when a block is not what
 * its record says, and which one in @bad; -EIO and the like when the disk does not say.
 */
int pack_check_data(struct pack_reader *r, const u8 *records, size_t len,
		    struct pack_bad *bad);

/*
 * Completing the tables: collects lines, then writes those that are missing.
 * Doing it again changes nothing.
 */
struct pack_tables;
struct pack_tables *pack_tables_new(void);
void pack_tables_free(struct pack_tables *t);
size_t pack_tables_count(const struct pack_tables *t);
int pack_tables_add(struct pack_tables *t, const u8 *records, size_t len);
/* The CRC the collected lines give a block; false if they do not name it. */
bool pack_tables_find(struct pack_tables *t, u64 pack, u32 block, u32 *crc);
/* Each line, in order; what @fn returns other than 0 ends it and is returned. */
int pack_tables_each(struct pack_tables *t,
		     int (*fn)(void *arg, u64 pack, u32 block, const struct nexus_pack_line *line),
		     void *arg);
/* *written: lines that were missing. */
int pack_tables_write(struct pack_tables *t, struct nexus_objectstore *os,
		      const u8 *uuid, u64 *written);

#endif /* NEXUSD_PACK_H */
