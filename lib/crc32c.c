// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * CRC32C for userspace; the module uses the kernel's.
 *
 * The tables are built before main() runs, so that no call needs a lock or a
 * check whether they exist.
 */
#ifndef __KERNEL__

#include "port.h"

#define POLY	0x82f63b78u	/* Castagnoli, reflected */

static u32 tables[8][256];

static u32 crc_table(u32 crc, const u8 *p, size_t len)
{
	while (len && ((uintptr_t)p & 7)) {
		crc = tables[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
		len--;
	}
	for (; len >= 8; len -= 8, p += 8) {
		u32 lo = crc ^ ((u32)p[0] | (u32)p[1] << 8 |
				(u32)p[2] << 16 | (u32)p[3] << 24);

		crc = tables[7][lo & 0xff] ^
		      tables[6][(lo >> 8) & 0xff] ^
		      tables[5][(lo >> 16) & 0xff] ^
		      tables[4][lo >> 24] ^
		      tables[3][p[4]] ^ tables[2][p[5]] ^
		      tables[1][p[6]] ^ tables[0][p[7]];
	}
	while (len--)
		crc = tables[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return crc;
}

#if defined(__x86_64__)

/*
 * One crc32 instruction waits three cycles for the one before it, so long
 * input runs as three streams whose results are joined by multiplying with
 * powers of x.  The shift tables multiply by x^(8 * STREAM).
 */
#define STREAM	1024ul

static u32 shift_table[4][256];
static bool have_sse42;

static u32 crc_shift(u32 crc)
{
	return shift_table[0][crc & 0xff] ^ shift_table[1][(crc >> 8) & 0xff] ^
	       shift_table[2][(crc >> 16) & 0xff] ^ shift_table[3][crc >> 24];
}

static u64 load64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

__attribute__((target("sse4.2")))
static u32 crc_sse42(u32 crc, const u8 *p, size_t len)
{
	u64 a = crc;

	while (len >= 3 * STREAM) {
		u64 b = 0, c = 0;
		size_t i;

		for (i = 0; i < STREAM; i += 8) {
			a = __builtin_ia32_crc32di(a, load64(p + i));
			b = __builtin_ia32_crc32di(b, load64(p + STREAM + i));
			c = __builtin_ia32_crc32di(c, load64(p + 2 * STREAM + i));
		}
		a = crc_shift((u32)a) ^ b;
		a = crc_shift((u32)a) ^ c;
		p += 3 * STREAM;
		len -= 3 * STREAM;
	}
	for (; len >= 8; len -= 8, p += 8)
		a = __builtin_ia32_crc32di(a, load64(p));
	crc = (u32)a;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

static void init_fast(void)
{
	unsigned int i, j, k;

	for (i = 0; i < 4; i++) {
		for (j = 0; j < 256; j++) {
			u32 crc = (u32)j << (8 * i);

			for (k = 0; k < STREAM; k++)
				crc = tables[0][crc & 0xff] ^ (crc >> 8);
			shift_table[i][j] = crc;
		}
	}
	__builtin_cpu_init();
	have_sse42 = __builtin_cpu_supports("sse4.2");
}

#else

static void init_fast(void)
{
}

#endif

__attribute__((constructor))
static void init_tables(void)
{
	unsigned int i, j;

	for (i = 0; i < 256; i++) {
		u32 crc = i;

		for (j = 0; j < 8; j++)
			crc = (crc >> 1) ^ (crc & 1 ? POLY : 0);
		tables[0][i] = crc;
	}
	for (i = 0; i < 256; i++)
		for (j = 1; j < 8; j++)
			tables[j][i] = tables[0][tables[j - 1][i] & 0xff] ^
				       (tables[j - 1][i] >> 8);
	init_fast();
}

/* The portable way, for tests that compare the two. */
u32 nexus_crc32c_table(u32 crc, const void *data, size_t len);

u32 nexus_crc32c_table(u32 crc, const void *data, size_t len)
{
	return ~crc_table(~crc, data, len);
}

u32 nexus_crc32c(u32 crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (have_sse42)
		return ~crc_sse42(~crc, data, len);
#endif
	return ~crc_table(~crc, data, len);
}

#endif /* !__KERNEL__ */
