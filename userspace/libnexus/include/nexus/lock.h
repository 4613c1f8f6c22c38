/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnexus: path locks, on anything that is open in a mounted nexusfs. No helper
 * and no client is needed. Documentation/locks.md is the contract.
 *
 *	int fd = open("/mnt/nexus/project", O_RDONLY | O_DIRECTORY);
 *
 *	if (!nexus_lock(fd, NEXUS_LOCK_EXCLUSIVE, 5000)) {
 *		...
 *		nexus_unlock(fd);
 *	}
 *
 * Functions return 0 or a negative errno. A lock is the open file's: all
 * descriptors made of it by dup() and fork() share it, and it goes with the last.
 */
#ifndef NEXUS_LOCK_H
#define NEXUS_LOCK_H

#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum nexus_lock_mode - what a lock goes with */
enum nexus_lock_mode {
	NEXUS_LOCK_NONE		= 0,
	NEXUS_LOCK_SHARED	= 1,	/* with shared ones */
	NEXUS_LOCK_EXCLUSIVE	= 2,	/* with nothing on it, above or below */
};

#define NEXUS_LOCK_TRY		((int64_t)0)
#define NEXUS_LOCK_FOREVER	INT64_MAX

/**
 * nexus_lock() - take a lock on what is open
 * @fd: a directory or regular file; may be read-only
 * @mode: NEXUS_LOCK_SHARED or NEXUS_LOCK_EXCLUSIVE
 * @timeout_ms: how long to wait, up to 2,147,483,647; NEXUS_LOCK_TRY, NEXUS_LOCK_FOREVER
 *
 * Return: 0, -EAGAIN (somebody is in the way, and it was a try), -ETIMEDOUT,
 * -EINTR (a signal), -EDEADLK (would wait for itself), -EALREADY (has one),
 * -EBUSY (another thread waits with this open file), -EACCES, -EROFS (exclusive,
 * and may not write), -EINVAL, -ENOTTY (not on nexusfs), -ENOMEM.
 */
int nexus_lock(int fd, enum nexus_lock_mode mode, int64_t timeout_ms);

/**
 * nexus_unlock() - give it up
 * @fd: what is open
 *
 * Return: 0, -ENOENT (there is none), -EBUSY (a thread waits with this open file).
 */
int nexus_unlock(int fd);

/**
 * nexus_lock_convert() - make a shared lock exclusive, or the other way
 * @fd: what is open
 * @mode: what it is to be
 * @timeout_ms: as for nexus_lock(); making it shared does not wait
 *
 * Return: as nexus_lock(), and whatever is returned but 0, it is what it was;
 * -EALREADY: it is that already; -ENOENT: there is none; -EDEADLK also when two
 * want to make theirs exclusive, to the second.
 */
int nexus_lock_convert(int fd, enum nexus_lock_mode mode, int64_t timeout_ms);

/** enum nexus_lock_place - where what is in the way is */
enum nexus_lock_place {
	NEXUS_LOCK_FREE		= 0,	/* nothing is in the way */
	NEXUS_LOCK_HERE		= 1,	/* on the same file or directory */
	NEXUS_LOCK_ABOVE	= 2,	/* on a directory above */
	NEXUS_LOCK_BELOW	= 3,	/* on something below */
	NEXUS_LOCK_QUEUE	= 4,	/* somebody waits, and is not overtaken */
};

/** struct nexus_lock_info - a lock that is in the way */
struct nexus_lock_info {
	enum nexus_lock_mode held;	/* by the open file that was asked about */
	enum nexus_lock_place place;
	enum nexus_lock_mode other;	/* what it is; NONE: not known */
	pid_t pid;			/* whose; 0: not known here */
	uint64_t ino;			/* what it is on; 0: not known */
};

/**
 * nexus_lock_get() - what is held, and what would be in the way
 * @fd: what is open
 * @mode: of the lock that would be taken
 * @info: filled in
 *
 * What it says may be wrong the next moment.
 */
int nexus_lock_get(int fd, enum nexus_lock_mode mode, struct nexus_lock_info *info);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_LOCK_H */
