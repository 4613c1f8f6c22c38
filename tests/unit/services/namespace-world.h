/* SPDX-License-Identifier: Apache-2.0 */
/* What subjects may see, over permissions in memory that can be made to fail. */
#ifndef NAMESPACE_WORLD_H
#define NAMESPACE_WORLD_H

#include "base-world.h"
#include "names.h"

extern struct names names;

/**
 * struct fault - what is wrong with the permissions
 * @revision, @objects: what they return instead
 * @from: the latter from this piece on
 * @unknown: what a piece does not know
 * @pieces: that were asked for
 */
extern struct fault {
	int revision, objects;
	uint32_t from;
	uint32_t unknown;
	uint32_t pieces;
} fault;

/* Setup and teardown of each test. */
int begin(void **state);
int finish(void **state);
/* Another life of the service, with room for so much. */
void names_begin(uint64_t limit);

/* One path of zone "main": the answer, which is in @last. */
extern struct nexus_namespace_visible_args last;
const struct nexus_namespace_answer *look(const char *subject, const char *path);
/* It is seen, or not, and that is why. */
void sees(const char *subject, const char *path, enum nexus_namespace_why why);
void misses(const char *subject, const char *path, enum nexus_namespace_why why);
struct nexus_namespace_list_args entries(const char *subject, const char *zone, const char *after,
					 uint32_t max);
struct nexus_namespace_state numbers(void);

#define IN_NAMES(name)	cmocka_unit_test_setup_teardown(name, begin, finish)

#endif /* NAMESPACE_WORLD_H */
