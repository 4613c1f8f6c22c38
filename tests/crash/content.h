/* SPDX-License-Identifier: Apache-2.0 */
/* What workloads write: blocks that say whose they are, in an order that a seed fixes. */
#ifndef NEXUS_CRASH_CONTENT_H
#define NEXUS_CRASH_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

enum { BLOCK = 4096 };

/* The next of the numbers that belong to *@state. */
uint64_t next_random(uint64_t *state);

/* Block @index of version @version of the file with number @id. */
void fill_block(void *block, uint64_t seed, uint32_t id, uint32_t index, uint32_t version);

/*
 * Bytes [@off, @off + @len) of a block that was of version @old and is to be of @new: is each
 * that of one of them?
 */
bool block_mixed(const void *bytes, int off, int len, uint64_t seed, uint32_t id, uint32_t index,
		 uint32_t old, uint32_t new);

/* Whose block it claims to be; false if nobody's. */
int block_claims(const void *block, uint32_t *id, uint32_t *version);

#endif
