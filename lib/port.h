/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What lib/ needs from its surroundings, in the module and in userspace: byte
 * order, memory, errno, CRC32C.  Nothing else may be called from lib/.
 */
#ifndef NEXUS_LIB_PORT_H
#define NEXUS_LIB_PORT_H

#include <nexus/types.h>

#ifdef __KERNEL__

#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/unaligned.h>

/* May sleep.  GFP_KERNEL: callers that are reachable from writeback run under memalloc_nofs_save(). */
static inline void *nexus_alloc(size_t size)
{
	return kvmalloc(size, GFP_KERNEL_ACCOUNT);
}

static inline void nexus_free(void *p)
{
	kvfree(p);
}

/* Of a clock that only goes forward. */
static inline u64 nexus_now_ns(void)
{
	return ktime_get_ns();
}

#else /* userspace */

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* The kernel's own: u64 is unsigned long long on every machine. */
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

static inline u16 le16_to_cpu(__le16 v) { return le16toh((uint16_t)v); }
static inline u32 le32_to_cpu(__le32 v) { return le32toh((uint32_t)v); }
static inline u64 le64_to_cpu(__le64 v) { return le64toh((uint64_t)v); }
static inline __le16 cpu_to_le16(u16 v) { return (__le16)htole16(v); }
static inline __le32 cpu_to_le32(u32 v) { return (__le32)htole32(v); }
static inline __le64 cpu_to_le64(u64 v) { return (__le64)htole64(v); }

static inline void *nexus_alloc(size_t size)
{
	return malloc(size);
}

static inline void nexus_free(void *p)
{
	free(p);
}

static inline u64 nexus_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

#ifndef EUCLEAN
#define EUCLEAN 117
#endif
#ifndef S32_MAX
#define S32_MAX INT32_MAX
#endif
#ifndef U32_MAX
#define U32_MAX UINT32_MAX
#endif
#ifndef U64_MAX
#define U64_MAX UINT64_MAX
#endif

#endif /* __KERNEL__ */

#define NEXUS_MIN(a, b)	((a) < (b) ? (a) : (b))
#define NEXUS_MAX(a, b)	((a) > (b) ? (a) : (b))
#define NEXUS_ALIGN(x, a)	(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define NEXUS_CONTAINER(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))

/*
 * lib/crc32c.c: CRC32C of RFC 3720 (initial ~0, final inversion) of @data behind bytes
 * that have @crc (0: none).  By the way that was measured to be the faster one; any
 * context.
 */
u32 nexus_crc32c(u32 crc, const void *data, size_t len);
/* Copies and sums up what it copied, also when others write to @from meanwhile. */
u32 nexus_crc32c_copy(u32 crc, void *to, const void *from, size_t len);
/* Both ways, for tests that compare them; the same without an instruction for it. */
u32 nexus_crc32c_table(u32 crc, const void *data, size_t len);
u32 nexus_crc32c_fast(u32 crc, const void *data, size_t len);
u32 nexus_crc32c_table_copy(u32 crc, void *to, const void *from, size_t len);
/* Measures.  The module calls it before all else; programs have it called. */
void nexus_crc32c_init(void);

#endif /* NEXUS_LIB_PORT_H */
