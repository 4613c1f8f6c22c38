/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of zones as keys: ZONE: and what is behind the root, without a '/' at the end;
 * the root is "ZONE:".  No I/O, nothing of a store.
 */
#ifndef NAMESPACE_PATH_H
#define NAMESPACE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include <nexus/services/namespace.h>

#define KEY_SIZE	(NEXUS_NAMESPACE_ZONE_MAX + 1 + NEXUS_NAMESPACE_PATH_MAX + 1)

/**
 * path_key() - the key of a path, which need not be there
 * @zone: its zone
 * @path: may have "." "..", "//" and a '/' at the end
 * @key: set
 *
 * Return: 0; -EINVAL: no name of a zone, not from the root on, with a control character other than
 * tab and newline, or a ".." that takes away the first name; -ENAMETOOLONG.
 */
int path_key(const char *zone, const char *path, char key[KEY_SIZE]);

/** path_id() - the key of an id, ZONE:/PATH as path_key() would have it; or -EINVAL */
int path_id(const char *id, char key[KEY_SIZE]);

/** path_cmp() - an order in which all that is below a key follows it at once */
int path_cmp(const char *a, const char *b);

/** path_at_or_below() - is @key what @top is, or below it? */
bool path_at_or_below(const char *top, const char *key);

/** path_is_root() - is it a zone's root? */
bool path_is_root(const char *key);

/**
 * path_rule() - what the first name of a path says, whatever was granted
 * @key: the path
 * @readonly: set: nobody may write there
 *
 * Return: NEXUS_NAMESPACE_SYS, _ROOT; _ADMIN_ONLY or _OTHER_ZONE, which administrators
 * see all the same; or _NO_GRANT: it says nothing.
 */
enum nexus_namespace_why path_rule(const char *key, bool *readonly);

#endif /* NAMESPACE_PATH_H */
