/* SPDX-License-Identifier: Apache-2.0 */
/* A machine whose mounts are lines of a file, and the service's mounts on it. */
#ifndef SERVICES_MOUNT_WORLD_H
#define SERVICES_MOUNT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "mounts.h"

extern char world_dir[];

/**
 * struct world - what the machine does, and has seen
 * @error, @words: what mounting comes to; 0: it works
 * @held: a source that is not there, and keeps who mounts it waiting until it is NULL
 * @busy: what unmounting comes to without lazy
 * @attaches: how many began
 * @running, @most: at a time
 * @doubled: one was mounted where one was
 * @said: lines for the log
 */
struct world {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int error;
	char words[NEXUS_MOUNT_WORDS_MAX];
	const char *held;
	int busy;
	unsigned int attaches, running, most;
	bool doubled;
	unsigned int said;
	char last[4096];
};

extern struct world world;

int mount_world_setup(void **state);
int mount_world_teardown(void **state);

/* As somebody else does it, with options of mount and filesystem. */
void by_hand(const char *type, const char *source, const char *directory, const char *options,
	     const char *fs_options, const char *root);
void by_hand_off(const char *directory);
/* How many there are at it. */
unsigned int mounted(const char *directory);

/* Zeroed; opened on the world, and begun. */
void open_mounts(struct mounts *m);
void close_mounts(struct mounts *m);

/* They must succeed, or fail with that and say @words. */
void attach_ok(struct mounts *m, const char *source, const char *directory, const char *options);
void attach_fails(struct mounts *m, const char *source, const char *directory, const char *options,
		  int error, const char *words);
void detach_ok(struct mounts *m, const char *directory, bool lazy);
void detach_fails(struct mounts *m, const char *directory, int error, const char *words);
uint32_t save_ok(struct mounts *m);

/* As text: "STATE[+] DIRECTORY SOURCE OPTIONS" for each, + of those that are saved; free() it. */
char *list_text(struct mounts *m);
void assert_list(struct mounts *m, const char *text);
/* Until it is so. */
void await_list(struct mounts *m, const char *text);
/* Of the one at @directory. */
int64_t since_of(struct mounts *m, const char *directory);
void reason_of(struct mounts *m, const char *directory, char reason[NEXUS_MOUNT_WORDS_MAX]);

#endif /* SERVICES_MOUNT_WORLD_H */
