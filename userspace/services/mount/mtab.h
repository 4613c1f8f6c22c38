/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's table of mounts, as far as it matters here: /proc/PID/mountinfo. */
#ifndef MOUNT_MTAB_H
#define MOUNT_MTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct mtab_entry - a mount
 * @id: its number, of which there are no two alike in all mount namespaces
 * @whole: the root of the filesystem is mounted, not a directory of it
 * @directory: where
 * @type: of the filesystem
 * @source: what it is of
 * @options: of the mount, with commas
 * @fs_options: of the filesystem, likewise; may be empty
 */
struct mtab_entry {
	uint32_t id;
	bool whole;
	char *directory;
	char *type;
	char *source;
	char *options;
	char *fs_options;
};

/** struct mtab - all mounts; those that were made later come later */
struct mtab {
	struct mtab_entry *entries;
	size_t count;
	char *text;
};

/** mtab_read() - the table at @path; 0 or a negative errno.  mtab_free() it */
int mtab_read(struct mtab *t, const char *path);
void mtab_free(struct mtab *t);

/** mtab_at() - what is seen at @directory: the last that was mounted there; or NULL */
const struct mtab_entry *mtab_at(const struct mtab *t, const char *directory);

/** mtab_is_store() - a bucket that is mounted as it is, as a whole */
bool mtab_is_store(const struct mtab_entry *e);

/** mtab_first_id() - of the first mount in the table at @path; 0 when it cannot be read */
uint32_t mtab_first_id(const char *path);

#endif /* MOUNT_MTAB_H */
