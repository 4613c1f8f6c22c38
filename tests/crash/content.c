// SPDX-License-Identifier: Apache-2.0
#include "content.h"

#define CONTENT_MAGIC 0x5245434f52444552ull

/* Numbers of seeds that are close to each other are not. */
uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void fill_block(void *block, uint64_t seed, uint32_t id, uint32_t index, uint32_t version)
{
	uint64_t x = ((uint64_t)id << 32) ^ ((uint64_t)index << 20) ^ version ^
		     seed * 0x9e3779b97f4a7c15ull;
	uint64_t *word = block;
	int i;

	word[0] = CONTENT_MAGIC;
	word[1] = (uint64_t)id << 32 | version;
	for (i = 2; i < BLOCK / 8; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		word[i] = x;
	}
}

bool block_mixed(const void *bytes, int off, int len, uint64_t seed, uint32_t id, uint32_t index,
		 uint32_t old, uint32_t new)
{
	char was[BLOCK], is[BLOCK];
	const char *byte = bytes;
	int i;

	fill_block(was, seed, id, index, old);
	fill_block(is, seed, id, index, new);
	for (i = 0; i < len && (byte[i] == was[off + i] || byte[i] == is[off + i]); i++)
		;
	return i == len;
}

int block_claims(const void *block, uint32_t *id, uint32_t *version)
{
	const uint64_t *word = block;

	*id = word[1] >> 32;
	*version = (uint32_t)word[1];
	return word[0] == CONTENT_MAGIC;
}
