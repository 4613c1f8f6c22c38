/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4: a tag that nobody can make who does not have the key. */
#ifndef PERMISSIONS_SEAL_H
#define PERMISSIONS_SEAL_H

#include <stddef.h>

#include "lib/port.h"

#define SEAL_KEY	16u

/* Of @size bytes at @data. */
u64 seal(const u8 key[SEAL_KEY], const void *data, size_t size);

#endif /* PERMISSIONS_SEAL_H */
