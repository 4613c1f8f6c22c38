/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.mount, version 1: object stores that are mounted, at run time.
 *
 * What is mounted the kernel's table of mounts says, whoever did it; the service adds what
 * is to be mounted again when a helper starts, and what became of it.
 * Documentation/services/mount.md.
 */
#ifndef NEXUS_SERVICES_MOUNT_H
#define NEXUS_SERVICES_MOUNT_H

#include <nexus/service.h>

#define NEXUS_MOUNT			"nexus.mount"
#define NEXUS_MOUNT_VERSION		1

#define NEXUS_MOUNT_SOURCE_MAX		384u	/* bytes, as of these */
#define NEXUS_MOUNT_DIRECTORY_MAX	1023u
#define NEXUS_MOUNT_OPTIONS_MAX		255u
#define NEXUS_MOUNT_WORDS_MAX		512u	/* with the NUL */
#define NEXUS_MOUNTS_MAX		256u	/* that are known at a time */
#define NEXUS_MOUNT_TIMEOUT		8u	/* seconds, when setting mount_timeout is not there */

enum nexus_mount_state {
	NEXUS_MOUNT_ATTACHED	= 1,
	NEXUS_MOUNT_WAITING	= 2,	/* saved; it has not been tried yet */
	NEXUS_MOUNT_FAILED	= 3,	/* saved; tried, and it will be again */
	NEXUS_MOUNT_GONE	= 4,	/* unmounted by others than this service */
};

/**
 * struct nexus_mount - a mount
 * @source: "s3://BUCKET/PREFIX" and settings, without any secret
 * @directory: where
 * @options: as they were given; may be empty
 * @since_ms: when it was attached, Unix time; 0: it is not, or was by others
 * @state: enum nexus_mount_state
 * @saved: it is attached again when a helper starts
 * @reason: of NEXUS_MOUNT_FAILED, in words; else empty
 */
struct nexus_mount {
	const char *source;
	const char *directory;
	const char *options;
	int64_t since_ms;
	uint32_t state;
	bool saved;
	const char *reason;
};

/*
 * In the arguments of all that changes something @words is why it failed, and may be empty.
 */

/**
 * struct nexus_mount_attach_args - of attach
 * @source: "s3://BUCKET", "s3://BUCKET/PREFIX", and settings behind ";"
 * @directory: absolute, without ".", ".." and symbolic links
 * @options: "nosuid,nodev", of those in Documentation/services/mount.md; NULL: none
 * @words: see above
 *
 * -EINVAL: source, directory or options; -ENAMETOOLONG; -ENOENT, -ENOTDIR, -ELOOP: the
 * directory; -EBUSY: it is a mount point, or somebody is at it; -EEXIST: another source, or the
 * same with other options, is saved for it; -ENOSPC: NEXUS_MOUNTS_MAX are known; -ETIMEDOUT: it took
 * longer than mount_timeout; or what the kernel says, of the store, too.
 */
struct nexus_mount_attach_args {
	const char *source;
	const char *directory;
	const char *options;
	char words[NEXUS_MOUNT_WORDS_MAX];
};

/**
 * struct nexus_mount_detach_args - of detach: it is not mounted, and not saved any more
 * @directory: where
 * @lazy: also what is in use, which is gone when it is not
 * @words: see above
 *
 * -ENOENT: nothing of a store is there; -EBUSY: it is in use, or somebody is at it; -ETIMEDOUT.
 */
struct nexus_mount_detach_args {
	const char *directory;
	bool lazy;
	char words[NEXUS_MOUNT_WORDS_MAX];
};

/**
 * struct nexus_mount_list_args - of list: all mounts, in the order of their directories
 * @mounts: @count of them
 * @count: set
 */
struct nexus_mount_list_args {
	struct nexus_mount *mounts;
	uint32_t count;
};

/**
 * struct nexus_mount_save_args - of save: what is attached, and what is waiting or has failed, is
 *	saved, and nothing else
 * @count: of mounts that are saved now
 * @words: see above
 */
struct nexus_mount_save_args {
	uint32_t count;
	char words[NEXUS_MOUNT_WORDS_MAX];
};

/** struct nexus_mount_ops - the operations */
struct nexus_mount_ops {
	nexus_op attach;	/* struct nexus_mount_attach_args */
	nexus_op detach;	/* struct nexus_mount_detach_args */
	nexus_op list;		/* struct nexus_mount_list_args */
	nexus_op save;		/* struct nexus_mount_save_args */
};

#endif /* NEXUS_SERVICES_MOUNT_H */
