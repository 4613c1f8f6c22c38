// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * CRC32C (RFC 3720), by the instruction that processors have for it or by tables.
 *
 * Which of them is used is measured once, as the kernel does with its XOR and RAID6
 * loops: an emulated processor has the instruction too, and takes several times as
 * long over it as over the tables.
 */
#include "port.h"

#define POLY	0x82f63b78u	/* Castagnoli, reflected */
#define PROBE	4096u		/* bytes measured with: the size that blocks have */
#define PROBES	8

/* Written before anybody else can call, and never again. */
static u32 tables[8][256];
static bool have_fast, use_tables = true, copy_by_tables = true;

/* The eight bytes that @v is in their order. */
static inline u32 crc_eight(u32 crc, u64 v)
{
	v ^= crc;
	return tables[7][v & 0xff] ^ tables[6][v >> 8 & 0xff] ^
	       tables[5][v >> 16 & 0xff] ^ tables[4][v >> 24 & 0xff] ^
	       tables[3][v >> 32 & 0xff] ^ tables[2][v >> 40 & 0xff] ^
	       tables[1][v >> 48 & 0xff] ^ tables[0][v >> 56];
}

static u32 crc_table(u32 crc, const u8 *p, size_t len)
{
	for (; len >= 8; len -= 8, p += 8) {
		__le64 le;

		memcpy(&le, p, sizeof(le));
		crc = crc_eight(crc, le64_to_cpu(le));
	}
	while (len--)
		crc = tables[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return crc;
}

/* Nobody reads it from memory again. */
#define HOLD(v)	__asm__("" : "+r"(v))

/* What is summed is what was copied, whoever changes @from meanwhile. */
static u32 crc_table_copy(u32 crc, u8 *to, const u8 *from, size_t len)
{
	for (; len >= 8; len -= 8, to += 8, from += 8) {
		__le64 le;

		memcpy(&le, from, sizeof(le));
		HOLD(le);
		memcpy(to, &le, sizeof(le));
		crc = crc_eight(crc, le64_to_cpu(le));
	}
	for (; len; len--, to++, from++) {
		u8 byte = *from;

		HOLD(byte);
		*to = byte;
		crc = tables[0][(crc ^ byte) & 0xff] ^ (crc >> 8);
	}
	return crc;
}

#ifdef __KERNEL__

static u32 crc_fast(u32 crc, const u8 *p, size_t len)
{
	return crc32c(crc, p, len);
}

static bool init_fast(void)
{
	return true;
}

#else

#if defined(__x86_64__)

/*
 * One crc32 instruction waits three cycles for the one before it, so long
 * input runs as three streams whose results are joined by multiplying with
 * powers of x.  The shift tables multiply by x^(8 * STREAM).
 */
#define STREAM	1024ul

static u32 shift_table[4][256];

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
static u32 crc_fast(u32 crc, const u8 *p, size_t len)
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

static bool init_fast(void)
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
	return __builtin_cpu_supports("sse4.2");
}

#else

static u32 crc_fast(u32 crc, const u8 *p, size_t len)
{
	return crc_table(crc, p, len);
}

static bool init_fast(void)
{
	return false;
}

#endif

#endif /* !__KERNEL__ */


/* Both ways, without and with a copy, in the form that they are measured in. */
static u32 by_tables(u32 crc, u8 *to, const u8 *from, size_t len)
{
	(void)to;
	return crc_table(crc, from, len);
}

static u32 by_fast(u32 crc, u8 *to, const u8 *from, size_t len)
{
	(void)to;
	return crc_fast(crc, from, len);
}

static u32 crc_fast_copy(u32 crc, u8 *to, const u8 *from, size_t len)
{
	memcpy(to, from, len);
	return crc_fast(crc, to, len);
}

/* The least of several times that the tables' own bytes take, in ns. */
static u64 probe(u32 (*fn)(u32 crc, u8 *to, const u8 *from, size_t len), u32 *crc)
{
	static u8 to[PROBE];
	u64 best = ~0ull;
	int i;

	for (i = 0; i < PROBES; i++) {
		u64 begin = nexus_now_ns(), took;

		*crc = fn(*crc, to, (const u8 *)tables, PROBE);
		took = nexus_now_ns() - begin;
		if (took < best)
			best = took;
	}
	return best;
}

void nexus_crc32c_init(void)
{
	u32 slow_crc = 0, fast_crc = 0;
	unsigned int i, j;
	u64 slow, fast;

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
	have_fast = init_fast();
	if (!have_fast)
		return;
	slow = probe(by_tables, &slow_crc);
	fast = probe(by_fast, &fast_crc);
	use_tables = slow < fast || slow_crc != fast_crc;
	/* The tables take the copy along; where both are level that decides. */
	slow = probe(crc_table_copy, &slow_crc);
	fast = probe(crc_fast_copy, &fast_crc);
	copy_by_tables = slow < fast || slow_crc != fast_crc;
}

u32 nexus_crc32c_table(u32 crc, const void *data, size_t len)
{
	return ~crc_table(~crc, data, len);
}

u32 nexus_crc32c_fast(u32 crc, const void *data, size_t len)
{
	return have_fast ? ~crc_fast(~crc, data, len) :
			   nexus_crc32c_table(crc, data, len);
}

u32 nexus_crc32c(u32 crc, const void *data, size_t len)
{
	return use_tables ? nexus_crc32c_table(crc, data, len) :
			    nexus_crc32c_fast(crc, data, len);
}

u32 nexus_crc32c_table_copy(u32 crc, void *to, const void *from, size_t len)
{
	return ~crc_table_copy(~crc, to, from, len);
}

u32 nexus_crc32c_copy(u32 crc, void *to, const void *from, size_t len)
{
	return copy_by_tables ? nexus_crc32c_table_copy(crc, to, from, len) :
				~crc_fast_copy(~crc, to, from, len);
}

#ifndef __KERNEL__
__attribute__((constructor))
static void init(void)
{
	nexus_crc32c_init();
}
#endif
