// SPDX-License-Identifier: Apache-2.0
#include "poison.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

#define POISON_MAGIC	0x534f50535858454eull
#define POISON_SIZE	4096u

static struct poison_page *map_file(const char *path, bool rdonly)
{
	static const char zeros[POISON_SIZE];
	struct poison_page *page = NULL;
	void *p;
	int fd;

	fd = open(path, rdonly ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	/* Written, not only sized: a hole could find the disk full later. */
	if (lseek(fd, 0, SEEK_END) < (off_t)sizeof(zeros) &&
	    (rdonly || pwrite(fd, zeros, sizeof(zeros), 0) != (ssize_t)sizeof(zeros)))
		goto close_fd;
	p = mmap(NULL, POISON_SIZE, PROT_READ | PROT_WRITE,
		 rdonly ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		page = p;
close_fd:
	close(fd);
	return page;
}

void poison_open(struct poison *p, const char *dir, bool rdonly)
{
	char path[PATH_MAX + 16];
	struct poison_page *page;

	memset(p, 0, sizeof(*p));
	p->page = &p->own;
	snprintf(path, sizeof(path), "%s/" POISON_FILE, dir);
	page = map_file(path, rdonly);
	if (!page && rdonly)
		return;
	if (!page) {
		log_warn("%s: %s; deaths are not counted", path, strerror(errno));
		return;
	}
	p->page = page;
	if (page->magic != POISON_MAGIC) {
		memset(page, 0, sizeof(*page));
		page->magic = POISON_MAGIC;
	}
	if (page->lsn) {
		page->deaths = page->lsn == page->dead_lsn ? page->deaths + 1 : 1;
		page->dead_lsn = page->lsn;
		page->lsn = 0;
		log_warn("a helper died while it applied the record at LSN %llu (%llu of %u times)",
			 page->dead_lsn, page->deaths, POISON_DEATHS);
	}
	if (page->deaths >= POISON_DEATHS)
		p->poisoned = page->dead_lsn;
}

void poison_close(struct poison *p)
{
	if (p->page && p->page != &p->own)
		munmap(p->page, POISON_SIZE);
	p->page = NULL;
}
