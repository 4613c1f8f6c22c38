/* SPDX-License-Identifier: Apache-2.0 */
/* What mount.nexusfs and umount(8) say when they fail, as an errno and words. */
#ifndef MOUNT_SAID_H
#define MOUNT_SAID_H

#include <stddef.h>

/**
 * said_error() - why it failed
 * @text: what it said on stderr, to be changed; its last line may be "errno N", which is what
 *	mount.nexusfs adds with -i
 * @words: the last line but for that, without the program's name; NEXUS_MOUNT_WORDS_MAX
 *
 * Return: a negative errno; -EIO when nothing tells which.
 */
int said_error(char *text, char *words);

#endif /* MOUNT_SAID_H */
