// SPDX-License-Identifier: Apache-2.0
/* Records, and logs on disk as the kernel writes them. */
#include <fcntl.h>
#include <sys/stat.h>

#include "util.h"

#define NOW	((struct nexus_time){ .s = 1000, .ns = 5 })

void gen_init(struct gen *g, u64 first_ino, u64 pack, u32 pack_blocks)
{
	memset(g, 0, sizeof(*g));
	g->next_ino = first_ino;
	g->next_pos = NEXUS_FIRST_POS;
	g->pack = pack;
	g->pack_blocks = pack_blocks;
	g->next_block = 1 + pack_table_blocks(pack_blocks);
}

static struct gen_file *pick(struct gen *g, bool used)
{
	u32 i, from = rnd(GEN_FILES);

	for (i = 0; i < GEN_FILES; i++) {
		struct gen_file *f = &g->file[(from + i) % GEN_FILES];

		if (!f->ino == !used)
			return f;
	}
	return NULL;
}

struct nexus_rec_head *gen_create(struct gen *g)
{
	struct nexus_rec_create *rec = (void *)g->buf;
	struct gen_file *f = pick(g, false);
	size_t len;

	f->ino = g->next_ino++;
	f->pos = g->next_pos++;
	f->data_id = f->ino;
	f->size = 0;
	f->map = 0;
	f->shared = 0;
	f->linked = true;
	snprintf(f->name, sizeof(f->name), "f%llu", f->ino);
	len = nexus_rec_create_len(strlen(f->name), 0, 0);
	nexus_rec_init(&rec->head, len, NEXUS_REC_CREATE, 0, NOW);
	rec->parent = cpu_to_le64(NEXUS_ROOT_INO);
	rec->pos = cpu_to_le64(f->pos);
	rec->ino = cpu_to_le64(f->ino);
	rec->data_id = cpu_to_le64(f->ino);
	rec->mode = cpu_to_le32(S_IFREG | 0644);
	rec->generation = cpu_to_le32(1);
	nexus_rec_create_body(rec, f->name, strlen(f->name), NULL, 0);
	return &rec->head;
}

static void write_block(struct gen *g, u64 pack, u32 block, u64 seed, u32 *crc)
{
	u64 *data = NULL;
	u32 i, blocks;
	int fd;

	assert_int_equal(posix_memalign((void **)&data, 4096, 4096), 0);
	for (i = 0; i < 512; i++)
		data[i] = seed * 0x9e3779b97f4a7c15ull + i;
	*crc = nexus_crc32c(0, data, 4096);
	if (g->os) {
		fd = g->os->drv->open_pack(g->os, pack, true, &blocks);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, data, 4096, (off_t)block * 4096), 4096);
		close(fd);
	}
	free(data);
}

struct nexus_rec_head *gen_extent(struct gen *g, struct gen_file *f)
{
	struct nexus_rec_extent *rec = (void *)g->buf;
	u32 i, n = 1 + rnd(4), fblock = rnd(32), crc;
	bool plain = g->plain && !rnd(g->plain);
	u64 end;

	if (g->next_block + n > g->pack_blocks)
		return NULL;
	nexus_rec_init(&rec->head, nexus_rec_extent_len(n), NEXUS_REC_EXTENT, 0, NOW);
	end = ((u64)fblock + n) * NEXUS_BLOCK_SIZE;
	if (f->size < end)
		f->size = end;
	rec->ino = cpu_to_le64(f->ino);
	rec->data_id = cpu_to_le64(f->data_id);
	rec->offset = cpu_to_le64((u64)fblock * NEXUS_BLOCK_SIZE);
	rec->size = cpu_to_le64(f->size);
	rec->pack = cpu_to_le64(g->pack);
	rec->block = cpu_to_le32(g->next_block);
	rec->nblocks = cpu_to_le32(n);
	rec->flags = cpu_to_le32(plain ? NEXUS_EF_NOCRC : 0);
	rec->mtime_s = cpu_to_le64(1001);
	rec->ctime_s = cpu_to_le64(1001);
	for (i = 0; i < n; i++) {
		write_block(g, g->pack, g->next_block + i, f->ino + fblock + i, &crc);
		rec->crc[i] = cpu_to_le32(plain ? 0 : crc);
	}
	g->next_block += n;
	f->map |= ((1ull << n) - 1) << fblock;
	f->shared &= ~(((1ull << n) - 1) << fblock);
	return &rec->head;
}

/* All of @src into another file; the first time the record that must come before. */
static struct nexus_rec_head *gen_clone(struct gen *g, struct gen_file *src)
{
	struct nexus_rec_clone *rec = (void *)g->buf;
	struct gen_file *f = pick(g, true);

	if (!src->map || f == src || !f->linked)
		return NULL;
	if (src->shared != src->map) {
		struct nexus_rec_share *share = (void *)g->buf;

		memset(share, 0, sizeof(*share));
		nexus_rec_init(&share->head, sizeof(*share), NEXUS_REC_SHARE, 0, NOW);
		share->ino = cpu_to_le64(src->ino);
		share->data_id = cpu_to_le64(src->data_id);
		share->nblocks = cpu_to_le32(64);
		src->shared = src->map;
		return &share->head;
	}
	memset(rec, 0, sizeof(*rec));
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_CLONE, 0, NOW);
	rec->src_ino = cpu_to_le64(src->ino);
	rec->src_data_id = cpu_to_le64(src->data_id);
	rec->ino = cpu_to_le64(f->ino);
	rec->data_id = cpu_to_le64(f->data_id);
	rec->size = cpu_to_le64(src->size);
	rec->nblocks = cpu_to_le32(64);
	rec->mapped = cpu_to_le32((u32)__builtin_popcountll(src->map));
	f->map = src->map;
	f->shared = src->map;
	if (f->size < src->size)
		f->size = src->size;
	return &rec->head;
}

static struct nexus_rec_head *gen_drop(struct gen *g, struct gen_file *f)
{
	if (f->linked) {
		nexus_rec_unlink(g->buf, NEXUS_ROOT_INO, f->pos, f->ino, f->name,
				 strlen(f->name), false, NOW);
		f->linked = false;
	} else {
		nexus_rec_forget(g->buf, f->ino, f->data_id, 1000, NOW);
		f->ino = 0;
	}
	return (void *)g->buf;
}

static struct nexus_rec_head *gen_truncate(struct gen *g, struct gen_file *f)
{
	struct nexus_rec_truncate *rec = (void *)g->buf;

	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_TRUNCATE, 0, NOW);
	memset((u8 *)rec + sizeof(rec->head), 0, sizeof(*rec) - sizeof(rec->head));
	f->size = f->size / 2 & ~(u64)(NEXUS_BLOCK_SIZE - 1);
	rec->ino = cpu_to_le64(f->ino);
	rec->data_id = cpu_to_le64(f->data_id);
	rec->size = cpu_to_le64(f->size);
	f->map &= (1ull << (f->size >> NEXUS_BLOCK_SHIFT)) - 1;
	f->shared &= f->map;
	return &rec->head;
}

static struct nexus_rec_head *gen_setattr(struct gen *g, struct gen_file *f)
{
	struct nexus_rec_setattr *rec = (void *)g->buf;

	memset(rec, 0, sizeof(*rec));
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_SETATTR, 0, NOW);
	rec->ino = cpu_to_le64(f->ino);
	rec->mask = cpu_to_le32(NEXUS_SA_MODE | NEXUS_SA_CTIME);
	rec->mode = cpu_to_le32(rnd(01000));
	rec->ctime_s = cpu_to_le64(2000 + rnd(1000));
	return &rec->head;
}

static struct nexus_rec_head *gen_xattr(struct gen *g, struct gen_file *f)
{
	char val[2000];
	size_t len = 1 + rnd(sizeof(val) - 1);

	memset(val, 'v', len);
	nexus_rec_setxattr(g->buf, f->ino, "user.x", 6, val, len, 0, NOW);
	return (void *)g->buf;
}

struct nexus_rec_head *gen_next(struct gen *g)
{
	struct nexus_rec_head *rec = NULL;
	struct gen_file *f = pick(g, true);

	if (!f || (pick(g, false) && rnd(4) == 0))
		return gen_create(g);
	switch (rnd(8)) {
	case 0:
		return gen_drop(g, f);
	case 1:
		if (f->linked)
			return gen_truncate(g, f);
		break;
	case 2:
		return gen_xattr(g, f);
	case 3:
		return gen_setattr(g, f);
	case 4:
	case 5:
		rec = gen_clone(g, f);
		if (rec)
			return rec;
	}
	if (f->linked)
		rec = gen_extent(g, f);
	return rec ? rec : gen_setattr(g, f);
}

/* ---- logs -------------------------------------------------------------------- */

void logw_init(struct logw *w, const char *dir, const u8 *uuid, u64 incarnation,
	       u64 segment, u64 lsn)
{
	memset(w, 0, sizeof(*w));
	w->dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(w->dirfd >= 0);
	memcpy(w->uuid, uuid, sizeof(w->uuid));
	w->incarnation = incarnation;
	w->segment = segment - 1;
	w->lsn = lsn;
	w->first_lsn = lsn;
	w->durable = lsn;
	assert_int_equal(posix_memalign((void **)&w->buf, 4096, NEXUS_BATCH_BYTES_MAX), 0);
	w->len = 0;
}

void logw_free(struct logw *w)
{
	close(w->dirfd);
	free(w->buf);
}

void logw_segment(struct logw *w, u32 file, u32 blocks)
{
	char name[16];
	int fd;

	w->segment++;
	w->file = file;
	w->block = 0;
	seglog_name(name, file);
	fd = openat(w->dirfd, name, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)blocks * 4096), 0);
	close(fd);
}

void logw_add(struct logw *w, struct nexus_rec_head *rec)
{
	u32 len = le32_to_cpu(rec->len);

	rec->lsn = cpu_to_le64(w->lsn);
	assert_int_equal(nexus_rec_check(rec, len), 0);
	memcpy(w->buf + sizeof(struct nexus_batch_head) + w->len, rec, len);
	w->len += len;
	w->count++;
	w->lsn += len;
}

static int open_file(struct logw *w, u32 file)
{
	char name[16];
	int fd;

	seglog_name(name, file);
	fd = openat(w->dirfd, name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

void logw_batch(struct logw *w)
{
	struct nexus_batch_head *h = (void *)w->buf;
	size_t size = nexus_batch_size(w->len);
	int fd = open_file(w, w->file);

	memset(h, 0, sizeof(*h));
	h->magic = cpu_to_le64(NEXUS_BATCH_MAGIC);
	h->version = cpu_to_le32(NEXUS_BATCH_VERSION);
	h->head_len = cpu_to_le32(sizeof(*h));
	memcpy(h->zone, w->uuid, sizeof(h->zone));
	h->incarnation = cpu_to_le64(w->incarnation);
	h->segment = cpu_to_le64(w->segment);
	h->first_lsn = cpu_to_le64(w->first_lsn);
	h->durable = cpu_to_le64(w->durable);
	h->count = cpu_to_le32(w->count);
	h->length = cpu_to_le32(w->len);
	h->block = cpu_to_le32(w->block);
	h->prev_crc = cpu_to_le32(w->prev_crc);
	h->crc = cpu_to_le32(nexus_batch_crc(h, w->buf + sizeof(*h)));
	memset(w->buf + sizeof(*h) + w->len, 0, size - sizeof(*h) - w->len);
	assert_int_equal(nexus_batch_check(w->buf, size, w->uuid), 0);
	assert_int_equal(pwrite(fd, w->buf, size, (off_t)w->block * 4096), size);
	fsync(fd);
	close(fd);
	w->prev_crc = le32_to_cpu(h->crc);
	w->last_block = w->block;
	w->block += (u32)(size / 4096);
	w->durable = w->lsn;
	w->first_lsn = w->lsn;
	w->len = 0;
	w->count = 0;
}

void logw_spoil(struct logw *w, u32 file, u32 block, u8 byte)
{
	u8 buf[4096];
	int fd = open_file(w, file);

	assert_int_equal(pread(fd, buf, sizeof(buf), (off_t)block * 4096), 4096);
	buf[200] ^= byte;
	assert_int_equal(pwrite(fd, buf, sizeof(buf), (off_t)block * 4096), 4096);
	fsync(fd);
	close(fd);
}
