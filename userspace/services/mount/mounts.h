/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts that are known: those in the table of mounts, those that are kept, and those
 * somebody is at.  Nothing here touches a directory or waits for a store: that is done by
 * processes of their own, which can be killed (run.h).
 *
 * One lock, with one on the folder inside of it that other builds take, too (during a swap).
 * Neither is held while such a process runs: the entry is busy then, which keeps others of this
 * build away, and a lock on the file "lock" of the service those of another one.
 */
#ifndef MOUNT_MOUNTS_H
#define MOUNT_MOUNTS_H

#include <pthread.h>

#include <nexus/services/mount.h>

#include "keep.h"
#include "mtab.h"

#define MOUNTS_WORKERS	4u	/* that attach what was saved, side by side */

/**
 * struct mounts_machine - how the machine is asked
 * @table: its table of mounts
 * @attach: mount, and what is said when it fails, in room for NEXUS_MOUNT_WORDS_MAX; 0 or a negative
 *	errno
 * @detach: unmount, likewise
 * @say: a line for the log; @bad: something is wrong
 * @now_ms: Unix time
 * @mono_ms: a clock that only runs
 * @arg: for all of them
 */
struct mounts_machine {
	int (*table)(void *arg, struct mtab *t);
	int (*attach)(void *arg, const char *source, const char *directory, const char *options,
		      char *words);
	int (*detach)(void *arg, const char *directory, bool lazy, char *words);
	void (*say)(void *arg, bool bad, const char *line);
	int64_t (*now_ms)(void);
	int64_t (*mono_ms)(void);
	void *arg;
};

struct mount_entry {
	struct mount_entry *next;
	char *source, *directory, *options;
	int64_t since_ms;	/* 0: by others, or not attached */
	bool saved;
	bool attached;		/* when the table was last looked at */
	bool ours;		/* it was attached by this service, or saved */
	bool busy;		/* somebody is at it */
	bool wanted;		/* to be attached, in the background */
	bool kept;		/* found in the file that is being read */
	uint32_t tries;
	int64_t next_ms;	/* of mono_ms: no try before */
	char reason[NEXUS_MOUNT_WORDS_MAX];
};

/**
 * struct mounts - all of it
 * @dirfd: the folder of the service
 * @first_ms: after the first failure it is tried again after so long, then twice that ...
 * @last_ms: ... and so on, up to this
 */
struct mounts {
	const struct mounts_machine *machine;
	int dirfd;
	int64_t first_ms, last_ms;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct mount_entry *entries;	/* by directory */
	uint32_t count;
	struct keep_mark mark;
	bool ending;
	pthread_t workers[MOUNTS_WORKERS];
	uint32_t n_workers;
};

/**
 * mounts_open() - with what was kept; nothing is attached yet
 * @m: zeroed but for @first_ms, @last_ms
 * @machine: stays the caller's
 * @dirfd: becomes @m's, also on an error
 * @words: what is wrong with the file, or empty
 *
 * Return: 0, -EUCLEAN, or another negative errno; then there is nothing to close.
 */
int mounts_open(struct mounts *m, const struct mounts_machine *machine, int dirfd, char words[128]);

/** mounts_begin() - attach what is saved and is not there, in the background; -EAGAIN: no thread */
int mounts_begin(struct mounts *m);

/** mounts_end() - end that; processes that run must have been told to end (run_stop()) */
void mounts_end(struct mounts *m);

void mounts_close(struct mounts *m);

/* The operations, of <nexus/services/mount.h>; @more: memory that lives as long as @args. */
int mounts_attach(struct mounts *m, struct nexus_mount_attach_args *args);
int mounts_detach(struct mounts *m, struct nexus_mount_detach_args *args);
int mounts_list(struct mounts *m, struct nexus_mount_list_args *args,
		void *(*more)(void *args, size_t size));
int mounts_save(struct mounts *m, struct nexus_mount_save_args *args);

/* ---- between the files ----------------------------------------------------------- */

/** mounts_enter() - take the lock; what the file was may be old now */
void mounts_enter(struct mounts *m);
void mounts_leave(struct mounts *m);
/** mounts_wait() - for @cond, without the lock meanwhile; false: it is @until, of CLOCK_MONOTONIC */
bool mounts_wait(struct mounts *m, const struct timespec *until);
/** mounts_look() - makes entries what file and table say; with the lock */
int mounts_look(struct mounts *m, struct mtab *t);
/** mounts_find() - with the lock; or NULL */
struct mount_entry *mounts_find(struct mounts *m, const char *directory);
/** mounts_add() - a new one, with copies; NULL without memory or room */
struct mount_entry *mounts_add(struct mounts *m, const char *source, const char *directory,
			       const char *options);
/** mounts_drop() - it is not known any more */
void mounts_drop(struct mounts *m, struct mount_entry *e);
/** mounts_write() - keep what there is; with the lock, and after a look since it was taken */
int mounts_write(struct mounts *m);
/**
 * mounts_try() - attach @e, which is not busy; with the lock, which is given up meanwhile
 *
 * Return: 0: it is attached; -EBUSY: a mount is there already, or another build is at it; or what the
 * machine says.  @words in room for NEXUS_MOUNT_WORDS_MAX.  @e stays.
 */
int mounts_try(struct mounts *m, struct mount_entry *e, char *words);
/** mounts_lock() - nobody else is at @directory, in other builds either; a descriptor or -EBUSY */
int mounts_lock(struct mounts *m, const char *directory);
/** mounts_unlock() - give it back */
void mounts_unlock(int fd);
/** mounts_say() - a line for the log */
void mounts_say(struct mounts *m, bool bad, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* MOUNT_MOUNTS_H */
