// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "secret.h"

struct secret {
	size_t len;	/* of the mapping */
	max_align_t data[];
};

void *secret_alloc(size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct secret *s;
	size_t len;

	if (size > SIZE_MAX / 2)
		return NULL;
	len = (sizeof(*s) + size + page - 1) / page * page;
	s = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	/* Not mlock(): the sanitizers make that one do nothing. */
	if (madvise(s, len, MADV_DONTDUMP) || madvise(s, len, MADV_WIPEONFORK) ||
	    mlock2(s, len, 0)) {
		munmap(s, len);
		return NULL;
	}
	s->len = len;
	return s->data;
}

void secret_free(void *p)
{
	struct secret *s;
	size_t len;

	if (!p)
		return;
	s = (struct secret *)((char *)p - offsetof(struct secret, data));
	len = s->len;
	explicit_bzero(s, len);
	munmap(s, len);
}

/* In a frame of its own, which lies where theirs were. */
__attribute__((noinline)) void secret_wipe_stack(void)
{
	char below[65536];

	explicit_bzero(below, sizeof(below));
}
