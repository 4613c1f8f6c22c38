/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of mount.nexusfs. */
#ifndef MOUNT_NEXUSFS_H
#define MOUNT_NEXUSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As in mount(8). */
enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_SYSTEM = 2, EXIT_MOUNT = 32 };

#define FS_OPTIONS_MAX	64
#define MESSAGE_MAX	1024

/** struct fs_option - what the filesystem itself is told */
struct fs_option {
	const char *key;
	const char *value;	/* NULL for a flag */
};

/** struct request - one mount, as the command line asks for it */
struct request {
	const char *spec;
	const char *dir;
	bool fake, sloppy, verbose;
	bool internal;			/* by the helper itself */
	int error;			/* why it failed; 0: nothing says */
	bool remount, bind, mem;
	uint64_t attr_set;		/* MOUNT_ATTR_* of the mount */
	uint64_t attr_clear;
	uint64_t propagation;		/* MS_PRIVATE and the like, or 0 */
	bool recursive;
	struct fs_option fs[FS_OPTIONS_MAX];
	size_t n_fs;
};

/* main.c */

/** complain() - one line on stderr, with the program's name before it */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* options.c */

/**
 * options_parse() - sort the words of -o
 * @req: filled; its strings point into @text
 * @text: the words, taken apart in place
 *
 * Return: EXIT_OK, or EXIT_USAGE after a line on stderr.
 */
int options_parse(struct request *req, char *text);

/* run.c */

/**
 * run_program() - run a program to its end
 * @argv: its arguments; looked up in the usual system folders
 * @message: its last line on stderr
 *
 * Return: its exit status, 127 when there is no such program, 128 + signal,
 * or a negative errno.
 */
int run_program(const char *const argv[], char message[MESSAGE_MAX]);

/* helper.c */

/**
 * module_load() - make sure that the kernel knows nexusfs
 *
 * Return: EXIT_OK, or EXIT_SYSTEM after a line on stderr.
 */
int module_load(void);

/**
 * helper_start() - find the helper of the session, or start it
 * @req: the mount
 *
 * Return: EXIT_OK, or EXIT_SYSTEM after a line on stderr.
 */
int helper_start(const struct request *req);

/**
 * helper_reason() - why the helper is not attached, in its own words
 * @req: the mount
 * @reason: at most @len bytes; "" when there is nothing to say
 * @len: its size
 */
void helper_reason(const struct request *req, char *reason, size_t len);

/* kernel.c */

/**
 * kernel_mount() - mount, or remount
 * @req: the mount; its error is set
 *
 * Return: EXIT_OK, or another exit code after a line on stderr.
 */
int kernel_mount(struct request *req);

#endif /* MOUNT_NEXUSFS_H */
