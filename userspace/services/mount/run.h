/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.nexusfs and umount(8), run as processes of their own: the helper must not wait for
 * a filesystem that waits for the helper, and what a store keeps waiting can be killed.
 *
 * They run where the machine's mounts are.  When systemd gave the helper a mount namespace
 * (the units do: ProtectSystem=) that is not where the helper is, and systemd is asked to
 * run them, as systemd-run(1) does.
 */
#ifndef MOUNT_RUN_H
#define MOUNT_RUN_H

#include "mounts.h"

/**
 * struct run - where and how they are run
 * @dirfd: the folder of the service, for what is said beyond systemd
 * @limit_ms: how long one may take, then it is killed
 * @stop: an eventfd; readable: none may go on
 * @number: of files in @dirfd
 */
struct run {
	int dirfd;
	int64_t limit_ms;
	int stop;
	_Atomic unsigned int number;
};

/** run_init() - 0 or a negative errno; @dirfd stays the caller's */
int run_init(struct run *r, int dirfd, int64_t limit_ms);
/** run_stop() - what runs is killed, and nothing begins any more */
void run_stop(struct run *r);
void run_destroy(struct run *r);

/* As struct mounts_machine has them; @arg is struct run. */
int run_table(void *arg, struct mtab *t);
int run_attach(void *arg, const char *source, const char *directory, const char *options,
	       char *words);
int run_detach(void *arg, const char *directory, bool lazy, char *words);

#endif /* MOUNT_RUN_H */
