// SPDX-License-Identifier: Apache-2.0
#include "seal.h"

static u64 rotate(u64 x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static u64 get64(const u8 *p, size_t n)
{
	u64 x = 0;

	while (n--)
		x = x << 8 | p[n];
	return x;
}

static void rounds(u64 v[4], unsigned int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static void take(u64 v[4], u64 word)
{
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
}

u64 seal(const u8 key[SEAL_KEY], const void *data, size_t size)
{
	u64 k0 = get64(key, 8), k1 = get64(key + 8, 8);
	u64 v[4] = {
		k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
		k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull,
	};
	const u8 *p = data, *end = p + (size & ~(size_t)7);

	for (; p < end; p += 8)
		take(v, get64(p, 8));
	take(v, (u64)size << 56 | get64(p, size & 7));
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
