/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nexusctl does with a zone at rest, without the helper.  The files behind
 * it speak the helper's language, not that of libnexus: the names of the two clash.
 */
#ifndef NEXUSCTL_OFFLINE_H
#define NEXUSCTL_OFFLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct offline {
	const char *zone;
	const char *data_dir;	/* NULL: as configured */
	const char *config;	/* NULL: the default file */
	const char *wait;	/* offline_wait_ms() takes it; NULL: as long as is usual */
	char error[600];	/* a line for the user after a failure */
};

/* How many seconds @text says, in *@ms unless that is NULL; false: 0 to 86400 was wanted. */
bool offline_wait_ms(const char *text, unsigned int *ms);

/*
 * To @path, by way of a file beside it; NULL: standard output.  0 or -errno.
 * *keys: how many.
 */
int offline_dump(struct offline *o, const char *path, uint64_t *keys);
/* From @path; NULL: standard input. */
int offline_load(struct offline *o, const char *path, uint64_t *keys);

/* What came of a restore; as struct restored. */
struct offline_restored {
	uint64_t epoch;
	uint64_t checkpoint;
	uint64_t end;
	uint64_t time_s;
	uint64_t packs;
	char note[512];
};

/* Makes zone @o->zone out of what @spec holds. */
int offline_restore(struct offline *o, const char *spec, bool take_over, bool unfenced,
		    struct offline_restored *done);

/* A pack, as struct nexus_pack of libnexus. */
struct offline_pack {
	uint64_t pack;
	uint32_t state;
	uint32_t blocks;
	uint32_t table_blocks;
	uint32_t used;
	uint32_t live;
	const uint8_t *hash;
	size_t hash_len;	/* 0: none */
};

/* As struct nexus_pack_problem. */
struct offline_problem {
	uint64_t pack;
	uint32_t block;
	uint64_t inode;
	uint64_t data_id;
	uint64_t offset;
	const char *what;
};

/* As struct nexus_verified. */
struct offline_verified {
	uint64_t packs;
	uint64_t extents;
	uint64_t blocks;
	uint64_t unchecked;
	uint64_t away;
};

typedef int (*offline_pack_fn)(void *arg, const struct offline_pack *pack);
typedef int (*offline_problem_fn)(void *arg, const struct offline_problem *problem);

/* As nexus_pack_list() and nexus_pack_verify(), which are for mounted zones. */
int offline_pack_list(struct offline *o, offline_pack_fn fn, void *arg);
int offline_pack_verify(struct offline *o, const uint64_t *packs, size_t n,
			offline_problem_fn fn, void *arg, struct offline_verified *seen);

#endif /* NEXUSCTL_OFFLINE_H */
