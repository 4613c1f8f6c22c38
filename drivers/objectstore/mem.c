// SPDX-License-Identifier: Apache-2.0
/*
 * Object store driver in memory: packs are memfds that live as long as the
 * store is open.  The module takes no such files; this one is for tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nexus/format.h>
#include <nexus/objectstore.h>

#include "lib/port.h"

#define MEM_TOTAL	(1ull << 30)

struct mem_pack {
	struct mem_pack *next;
	u64 id;
	u32 blocks;
	int fd;
};

struct mem_store {
	struct nexus_objectstore base;
	pthread_mutex_t lock;
	struct mem_pack *packs;
	u64 kept;		/* room for packs, of the size that was last kept */
	u32 kept_blocks;
};

static struct mem_store *to_store(struct nexus_objectstore *os)
{
	return NEXUS_CONTAINER(os, struct mem_store, base);
}

static int mem_open(const char *dir, struct nexus_objectstore **os)
{
	struct mem_store *s = calloc(1, sizeof(*s));

	(void)dir;
	if (!s)
		return -ENOMEM;
	s->base.drv = &nexus_os_mem;
	pthread_mutex_init(&s->lock, NULL);
	*os = &s->base;
	return 0;
}

static void mem_close(struct nexus_objectstore *os)
{
	struct mem_store *s = to_store(os);
	struct mem_pack *p;

	while ((p = s->packs)) {
		s->packs = p->next;
		close(p->fd);
		free(p);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct mem_pack **find(struct mem_store *s, u64 pack)
{
	struct mem_pack **pp;

	for (pp = &s->packs; *pp; pp = &(*pp)->next)
		if ((*pp)->id == pack)
			break;
	return pp;
}

static int mem_create(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	struct mem_store *s = to_store(os);
	struct mem_pack *p = calloc(1, sizeof(*p));
	int ret = 0;

	if (!p)
		return -ENOMEM;
	p->id = pack;
	p->blocks = blocks;
	p->fd = memfd_create("nexus-pack", MFD_CLOEXEC);
	if (p->fd < 0 || ftruncate(p->fd, (off_t)blocks * NEXUS_BLOCK_SIZE)) {
		ret = -errno;
		goto free_pack;
	}
	pthread_mutex_lock(&s->lock);
	if (*find(s, pack)) {
		ret = -EEXIST;
	} else {
		p->next = s->packs;
		s->packs = p;
	}
	pthread_mutex_unlock(&s->lock);
	if (!ret)
		return 0;

free_pack:
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	return ret;
}

/* lock held. */
static u64 bytes_used(const struct mem_store *s)
{
	u64 used = s->kept * s->kept_blocks * NEXUS_BLOCK_SIZE;
	const struct mem_pack *p;

	for (p = s->packs; p; p = p->next)
		used += (u64)p->blocks * NEXUS_BLOCK_SIZE;
	return used;
}

static int mem_kept(struct nexus_objectstore *os, u32 blocks, u64 *have)
{
	struct mem_store *s = to_store(os);

	pthread_mutex_lock(&s->lock);
	*have = s->kept_blocks == blocks ? s->kept : 0;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int mem_keep(struct nexus_objectstore *os, u32 blocks, u64 n, u64 *have)
{
	struct mem_store *s = to_store(os);
	u64 bytes = (u64)blocks * NEXUS_BLOCK_SIZE, used, most;

	pthread_mutex_lock(&s->lock);
	s->kept = 0;
	s->kept_blocks = blocks;
	used = bytes_used(s);
	most = used < MEM_TOTAL ? (MEM_TOTAL - used) / bytes : 0;
	s->kept = n < most ? n : most;
	*have = s->kept;
	pthread_mutex_unlock(&s->lock);
	return *have < n ? -ENOSPC : 0;
}

static int mem_create_kept(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	struct mem_store *s = to_store(os);
	bool some;

	pthread_mutex_lock(&s->lock);
	some = s->kept && s->kept_blocks == blocks;
	if (some)
		s->kept--;
	pthread_mutex_unlock(&s->lock);
	return some ? mem_create(os, pack, blocks) : -ENOENT;
}

static int mem_recycle(struct nexus_objectstore *os, u64 from, u64 to)
{
	struct mem_store *s = to_store(os);
	struct mem_pack *p;

	pthread_mutex_lock(&s->lock);
	p = *find(s, from);
	if (p)
		p->id = to;
	pthread_mutex_unlock(&s->lock);
	return p ? 0 : -ENOENT;
}

static int mem_open_pack(struct nexus_objectstore *os, u64 pack,
			 bool writable, u32 *blocks)
{
	struct mem_store *s = to_store(os);
	char path[64];
	struct mem_pack *p;
	int fd;

	pthread_mutex_lock(&s->lock);
	p = *find(s, pack);
	if (!p) {
		fd = -ENOENT;
	} else {
		/* A file of its own, as opening a path gives. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
		fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		*blocks = p->blocks;
	}
	pthread_mutex_unlock(&s->lock);
	return fd;
}

static int mem_taken(struct nexus_objectstore *os, u64 pack, u64 *bytes)
{
	struct mem_store *s = to_store(os);
	struct mem_pack *p;
	struct stat st;
	int ret = -ENOENT;

	pthread_mutex_lock(&s->lock);
	p = *find(s, pack);
	if (p)
		ret = fstat(p->fd, &st) ? -errno : 0;
	pthread_mutex_unlock(&s->lock);
	if (!ret)
		*bytes = (u64)st.st_blocks * 512;
	return ret;
}

static int mem_remove(struct nexus_objectstore *os, u64 pack)
{
	struct mem_store *s = to_store(os);
	struct mem_pack **pp, *p;

	pthread_mutex_lock(&s->lock);
	pp = find(s, pack);
	p = *pp;
	if (p)
		*pp = p->next;
	pthread_mutex_unlock(&s->lock);
	if (p) {
		close(p->fd);
		free(p);
	}
	return 0;
}

static int mem_list(struct nexus_objectstore *os, nexus_os_list_fn fn, void *arg)
{
	struct mem_store *s = to_store(os);
	u64 *ids = NULL;
	size_t n = 0, i = 0;
	struct mem_pack *p;
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	for (p = s->packs; p; p = p->next)
		n++;
	ids = calloc(n ? n : 1, sizeof(*ids));
	for (p = s->packs; ids && p; p = p->next)
		ids[i++] = p->id;
	pthread_mutex_unlock(&s->lock);
	if (!ids)
		return -ENOMEM;
	for (i = 0; i < n && !ret; i++)
		ret = fn(arg, ids[i]);
	free(ids);
	return ret;
}

static int mem_clean(struct nexus_objectstore *os)
{
	(void)os;
	return 0;
}

static int mem_space(struct nexus_objectstore *os, u64 *total, u64 *avail)
{
	struct mem_store *s = to_store(os);
	u64 used;

	pthread_mutex_lock(&s->lock);
	used = bytes_used(s);
	pthread_mutex_unlock(&s->lock);
	*total = MEM_TOTAL;
	*avail = used < MEM_TOTAL ? MEM_TOTAL - used : 0;
	return 0;
}

const struct nexus_os_driver nexus_os_mem = {
	.name		= "mem",
	.persistent	= false,
	.open		= mem_open,
	.close		= mem_close,
	.create		= mem_create,
	.create_allocated = mem_create,
	.create_sparse	= mem_create,
	.kept		= mem_kept,
	.keep		= mem_keep,
	.create_kept	= mem_create_kept,
	.recycle	= mem_recycle,
	.open_pack	= mem_open_pack,
	.taken		= mem_taken,
	.remove		= mem_remove,
	.list		= mem_list,
	.clean		= mem_clean,
	.space		= mem_space,
};
