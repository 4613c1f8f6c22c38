/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of lib/ share. */
#ifndef NEXUS_TEST_LIB_UTIL_H
#define NEXUS_TEST_LIB_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/apply.h"
#include "lib/check.h"
#include "lib/extmap.h"
#include "lib/key.h"
#include "lib/omap.h"
#include "lib/read.h"
#include "lib/record.h"

#define NOW ((struct nexus_time){ .s = 1000, .ns = 5 })

/* Random numbers from a printed seed; NEXUS_TEST_SEED overrides it. */
u64 seed_init(u64 seed);
u64 rnd64(void);
u32 rnd(u32 below);

/* A store that counts its writes and can be told to fail. */
struct store {
	struct nexus_kv kv;	/* what apply gets */
	struct nexus_omap map;
	u64 writes;
	s64 fail_after;		/* puts and deletes until -ENOMEM; < 0: never */
};

void store_init(struct store *s);
void store_mkfs(struct store *s);
void store_destroy(struct store *s);
void store_copy(struct store *to, const struct store *from);
/* Asserts that both hold the same keys and values. */
void store_same(const struct store *a, const struct store *b);
bool store_equal(const struct store *a, const struct store *b);
/* Runs nexus_store_check(), prints and returns the problems. */
s64 store_problems(struct store *s, bool print);
/*
 * Blocks of @pack that any extent names, counted one by one from the E records
 * alone; @refs gets the number of R records of the pack.
 */
u32 store_live(struct store *s, u64 pack, u32 *refs);
/* The same as the pack's record says. */
u32 store_said_live(struct store *s, u64 pack);

/* Value of a key, or NULL. */
const void *store_get(struct store *s, const struct nexus_key *k, size_t *len);
const struct nexus_inode_val *store_inode(struct store *s, u64 ino);
/* Checks the record, applies it, asserts success. */
void must(struct store *s, const void *rec);
/* Checks the record, asserts -EUCLEAN with this text and an untouched store. */
void refused(struct store *s, const void *rec, const char *what);

/* A read whose reply must be valid; its length or -errno. */
int do_read(struct store *s, u32 op, u64 ino, u64 arg0, u64 arg1,
	    const char *name, void *out);

#endif
