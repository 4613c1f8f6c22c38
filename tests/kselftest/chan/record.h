/* SPDX-License-Identifier: GPL-2.0-only */
/* Three log records, by hand. */
#ifndef RECORD_H
#define RECORD_H

#include <string.h>
#include <linux/types.h>

struct rec {
	__u32 len;
	__u16 type, flags;
	__u64 lsn, time_s;
	__u32 time_ns, reserved;
	__u64 id, data_id;
	__u32 max, reserved2;
};

static inline unsigned int rec_nop(void *buf)
{
	struct rec r = { .len = 32, .type = 1 };

	memcpy(buf, &r, 32);
	return 32;
}

static inline unsigned int rec_forget(void *buf, __u64 ino)
{
	struct rec r = { .len = 56, .type = 11, .id = ino, .data_id = ino, .max = 1 };

	memcpy(buf, &r, 56);
	return 56;
}

static inline unsigned int rec_bulk(void *buf, __u64 data_id)
{
	struct rec r = { .len = 48, .type = 12, .id = data_id };
	__u32 max[2] = { 1, 0 };

	memcpy(buf, &r, 40);
	memcpy((char *)buf + 40, max, 8);
	return 48;
}

#endif /* RECORD_H */
