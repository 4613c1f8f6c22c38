/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs about O_DIRECT share: aligned memory, patterns, one look at all of a file. */
#ifndef NX_DIRECT_H
#define NX_DIRECT_H

#include "nx.h"

enum { BLOCK = 4096, MIB = 1 << 20 };

static inline void *memory(size_t len)
{
	void *p;

	return posix_memalign(&p, BLOCK, len) ? NULL : p;
}

static inline void fill(void *at, size_t len, unsigned int seed)
{
	unsigned char *p = at;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = i * 13 + i / BLOCK * 7 + seed * 31 + 1;
}

static inline void *pattern(size_t len, unsigned int seed)
{
	void *p = memory(len);

	fill(p, len, seed);
	return p;
}

static inline bool zeros(const void *at, size_t len)
{
	const unsigned char *p = at;

	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* The file is @data, however one looks at it: around the cache, through it, mapped. */
static inline bool is(const char *name, const void *data, size_t len)
{
	size_t room = (len + 2 * BLOCK - 1) & ~(size_t)(BLOCK - 1);
	int fd = open(name, O_RDONLY | O_DIRECT), plain = open(name, O_RDONLY);
	void *buf = memory(room), *map;
	struct stat st;
	bool same;

	same = !fstat(fd, &st) && (size_t)st.st_size == len &&
	       pread(fd, buf, room, 0) == (ssize_t)len && !memcmp(buf, data, len) &&
	       pread(plain, buf, room, 0) == (ssize_t)len && !memcmp(buf, data, len) &&
	       pread(fd, buf, room, 0) == (ssize_t)len && !memcmp(buf, data, len);
	if (same && len) {
		map = mmap(NULL, len, PROT_READ, MAP_SHARED, plain, 0);
		same = map != MAP_FAILED && !memcmp(map, data, len);
		munmap(map, len);
	}
	close(fd);
	close(plain);
	free(buf);
	return same;
}

#endif
