/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of a subject at one state of its permissions: sorted, none below another. */
#ifndef NAMESPACE_VIEW_H
#define NAMESPACE_VIEW_H

#include <stdatomic.h>

#include "path.h"

/**
 * struct view - never changed once others see it
 * @generation: 0 when @partial
 * @ticket: when it was begun, of struct names
 * @at: state of the store at which its first piece was read: later ones may have more
 * @unknown: NEXUS_PERMISSION_, why entries may be missing
 * @partial: because of a limit, so another try may find them
 * @ignored: objects that are no path of a zone
 * @keys: @n, in the order of path_cmp()
 */
struct view {
	atomic_uint refs;
	uint64_t generation, ticket;
	char at[NEXUS_PERMISSION_TOKEN_SIZE];
	int64_t valid_until;
	uint32_t unknown;
	bool partial;
	uint32_t ignored;
	uint32_t n;
	size_t bytes;
	const char **keys;
};

/** struct view_maker - keys on their way into a view; zero is an empty one */
struct view_maker {
	char **keys;
	uint32_t n, room;
	uint32_t ignored;
};

/** view_add() - an object's id; -ENOSPC: as many as one may have; -ENOMEM */
int view_add(struct view_maker *m, const char *id);
/** view_make() - with one reference; empties the maker.  NULL without memory */
struct view *view_make(struct view_maker *m);
void view_maker_end(struct view_maker *m);

struct view *view_get(struct view *v);
/** view_put() - NULL is allowed */
void view_put(struct view *v);

bool view_same(const struct view *a, const struct view *b);
/** view_cover() - the entry that @key is at or below, or NULL */
const char *view_cover(const struct view *v, const char *key);
/** view_leads() - is an entry below @key? */
bool view_leads(const struct view *v, const char *key);
/** view_behind() - index of the first entry behind @key; NULL: 0 */
uint32_t view_behind(const struct view *v, const char *key);

#endif /* NAMESPACE_VIEW_H */
