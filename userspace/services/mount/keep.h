/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept for the next helper: the file "mounts" of the service.  It is replaced as a
 * whole, so it is either what it was or what it is to be.
 */
#ifndef MOUNT_KEEP_H
#define MOUNT_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define KEEP_FILE	"mounts"

/** struct kept - a line of it; since_ms is 0 when it was not this service that attached it */
struct kept {
	const char *source;
	const char *directory;
	const char *options;
	int64_t since_ms;
	bool saved;
};

/** struct keep_mark - which file it was; zeroed: none */
struct keep_mark {
	ino_t inode;
	struct timespec changed;
};

/** typedef keep_each - takes a line; not 0 ends it */
typedef int (*keep_each)(void *arg, const struct kept *k);

/**
 * keep_read() - the file, if it is another than @mark says
 * @dirfd: where it is
 * @mark: set to what was read
 * @each: takes a line
 * @arg: for it
 * @words: what is wrong with the file, in room for 128; empty when it is something else
 *
 * Return: 1 when it was read, or there is none any more; 0: it is the same; -EUCLEAN: it is damaged; or a
 * negative errno.
 */
int keep_read(int dirfd, struct keep_mark *mark, keep_each each, void *arg, char words[128]);

/**
 * keep_write() - replace it, durably
 * @mark: set to what was written
 *
 * Return: 0 or a negative errno; then it is as it was, but for one that came from the last
 * step, of which nobody knows.
 */
int keep_write(int dirfd, struct keep_mark *mark, const struct kept *lines, size_t count);

#endif /* MOUNT_KEEP_H */
