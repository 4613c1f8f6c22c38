/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a dump: writing, and reading with every check a line can have. */
#ifndef NEXUSD_DUMP_TEXT_H
#define NEXUSD_DUMP_TEXT_H

#include <stdio.h>

#include "lib/key.h"
#include "lib/kv.h"
#include "log.h"

/* A key, a space, a value, a newline; each byte takes three at most. */
#define DUMP_LINE_MAX	(3u * (NEXUS_KEY_MAX + NEXUS_VALUE_MAX) + 2u)

struct dump_out {
	FILE *file;
	u32 crc;		/* of everything written so far */
	u64 count;
	char *line;		/* DUMP_LINE_MAX bytes */
};

/* 0, -ENOMEM or -errno of the file. */
int dump_out_begin(struct dump_out *o, FILE *file);
int dump_out_entry(struct dump_out *o, const void *key, size_t klen, const void *val,
		   size_t vlen);
int dump_out_end(struct dump_out *o);
void dump_out_free(struct dump_out *o);

struct dump_in {
	FILE *file;
	struct errline *err;
	u32 crc;
	u64 count;
	u64 lineno;
	struct nexus_key key;	/* of the last entry */
	size_t vlen;
	u8 *val;		/* NEXUS_VALUE_MAX bytes, aligned */
	char *line;
};

/* From the start of the file, past the first line. */
int dump_in_begin(struct dump_in *in, FILE *file, struct errline *err);
/* 1: an entry; 0: the end, and everything was right; or -errno with a line. */
int dump_in_next(struct dump_in *in);
void dump_in_free(struct dump_in *in);

#endif /* NEXUSD_DUMP_TEXT_H */
