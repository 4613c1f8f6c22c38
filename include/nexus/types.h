/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Fixed-width types for the module, the helper and the tests alike. */
#ifndef NEXUS_TYPES_H
#define NEXUS_TYPES_H

#include <linux/types.h>

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#define NEXUS_STATIC_ASSERT(expr) static_assert(expr)
#else
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define NEXUS_STATIC_ASSERT(expr) static_assert(expr, #expr)
#endif

#endif /* NEXUS_TYPES_H */
