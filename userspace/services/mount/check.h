/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be mounted, where, and how.  Only what is known to hold no secret is let through:
 * it is shown, logged, kept in a file, and seen by all in the list of processes.
 */
#ifndef MOUNT_CHECK_H
#define MOUNT_CHECK_H

#include <nexus/services/mount.h>

/**
 * check_source() - whether it is an object store
 * @source: as it is given; NULL is none
 * @words: why not, NEXUS_MOUNT_WORDS_MAX; nothing of a value is in it
 *
 * Return: 0, -EINVAL or -ENAMETOOLONG.
 */
int check_source(const char *source, char *words);

/**
 * check_directory() - whether it names a directory in one way only
 * @given: as it is given; NULL is none
 * @directory: the same without slashes at the end
 * @words: as above
 *
 * Return: 0, -EINVAL or -ENAMETOOLONG.  Nothing is looked at on the disk.
 */
int check_directory(const char *given, char directory[NEXUS_MOUNT_DIRECTORY_MAX + 1],
		    char *words);

/** check_options() - likewise; NULL and "" are none */
int check_options(const char *options, char *words);

/** options_known() - those of @from, as the table of mounts has them, that check_options() takes */
void options_known(const char *from, char *to, size_t room);

/** text_plain() - no control character, no DEL, and UTF-8 */
bool text_plain(const char *text);

#endif /* MOUNT_CHECK_H */
