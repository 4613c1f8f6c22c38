// SPDX-License-Identifier: Apache-2.0
/*
 * Content that only the log has, after the end of a kernel that had it in memory.
 *
 * DATA records carry what small fsyncs made durable.  What of it is in force at the
 * end of the log goes to packs of its own, flushed, and is then the files' by EXTENT
 * records behind the tail: applied here, and in the index with the commit that opens
 * the next incarnation.  A crash before that commit leaves a pack that no record
 * names, and the log as it was.
 *
 * Where the disk has no room for another pack, there is what the kernel had reserved
 * for those very blocks: the rest of packs that were open.  What they hold behind the
 * last block that a record names is nobody's.
 *
 * A zone that is not to be changed gets the same in memory alone, with packs that are
 * files without a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/key.h"
#include "presence.h"

struct log_pack {
	u64 pack;
	u32 blocks;
	int fd;			/* -1: its content cannot be read */
};

struct rehome {
	struct zone *z;
	struct pack_image img;	/* the pack that is being filled; fd -1: none can be */
	bool open;
	bool lenient;
	bool full;		/* no room for new packs */
	u64 after;		/* packs with higher numbers were not looked at for room */
	u32 next;		/* block of it */
	u32 from;		/* the first that was filled */
	u64 blocks, left_out;
	u8 *buf;		/* of a record, as blocks */
};

/* ---- packs ------------------------------------------------------------------------ */

void zone_log_packs_free(struct zone *z)
{
	size_t i;

	for (i = 0; i < z->nlog_packs; i++)
		if (z->log_packs[i].fd >= 0)
			close(z->log_packs[i].fd);
	free(z->log_packs);
	z->log_packs = NULL;
	z->nlog_packs = 0;
}

int zone_log_pack(const struct zone *z, u64 pack, u32 *blocks)
{
	size_t i;
	int fd;

	for (i = 0; i < z->nlog_packs; i++) {
		if (z->log_packs[i].pack != pack)
			continue;
		*blocks = z->log_packs[i].blocks;
		fd = fcntl(z->log_packs[i].fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -EIO : fd;
	}
	return -ENOENT;
}

/* A file without a name; -1 where the disk cannot be written to. */
static int nameless(struct zone *z, u64 bytes)
{
	int fd = open(z->dir, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	if (fd >= 0 && ftruncate(fd, (off_t)bytes)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		log_warn("zone %s: what is only in the log cannot be read: there is no room for a file in %s (%s)",
			 z->name, z->dir, strerror(errno));
	return fd;
}

/* A number that no pack has; it is nobody's when the zone is closed. */
static int begin_nameless(struct rehome *rh)
{
	struct zone *z = rh->z;
	struct pack_image *img = &rh->img;
	struct log_pack *more;
	size_t bytes;

	more = realloc(z->log_packs, (z->nlog_packs + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	z->log_packs = more;
	memset(img, 0, sizeof(*img));
	img->blocks = super_pack_blocks(&z->sb);
	img->pack = z->al.next_pack + z->nlog_packs;
	img->first = 1 + pack_table_blocks(img->blocks);
	bytes = (size_t)img->first << NEXUS_BLOCK_SHIFT;
	if (posix_memalign((void **)&img->head, NEXUS_BLOCK_SIZE, bytes))
		return -ENOMEM;
	memset(img->head, 0, bytes);
	img->table = (void *)((u8 *)img->head + NEXUS_BLOCK_SIZE);
	pack_head_init(img->head, img->pack, img->blocks, z->sb.uuid);
	img->fd = nameless(z, (u64)img->blocks << NEXUS_BLOCK_SHIFT);
	more[z->nlog_packs++] = (struct log_pack){
		img->pack, img->blocks,
		img->fd < 0 ? -1 : fcntl(img->fd, F_DUPFD_CLOEXEC, 0),
	};
	if (img->fd >= 0 && pwrite(img->fd, img->head, NEXUS_BLOCK_SIZE, 0) != NEXUS_BLOCK_SIZE) {
		pack_image_close(img);
		return -EIO;
	}
	return 0;
}

/* A new one, that takes what is written to it; its lines have their space then. */
static int begin_new(struct rehome *rh)
{
	struct zone *z = rh->z;
	u32 n = super_pack_usable(&z->sb);
	u64 pack;
	int ret;

	ret = zone_take_packs(z, 1, &pack);
	if (!ret)
		ret = pack_create_sparse(z->os, pack, super_pack_blocks(&z->sb), z->sb.uuid);
	if (ret)
		return ret;
	ret = pack_image_open(z->os, pack, z->sb.uuid, true, &rh->img);
	if (ret)
		goto remove;
	if (n > nexus_logdata_count(&z->applier.data))
		n = (u32)nexus_logdata_count(&z->applier.data);
	ret = pack_image_write_lines(&rh->img, rh->img.first, n);
	if (!ret)
		return 0;
	pack_image_close(&rh->img);
remove:
	z->os->drv->remove(z->os, pack);
	return ret;
}

/* The next pack of the index that is open, and the first block of it without a name. */
static int next_open(struct zone *z, u64 after, u64 *pack, u32 *used)
{
	struct nexus_pack_val val;
	u8 key[NEXUS_KEY_MAX];
	struct nexus_key k;
	struct memview v;
	size_t klen;
	int ret;

	nexus_key_pack(&k, after + 1);
	memcpy(key, k.b, k.len);
	klen = k.len;
	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	while ((ret = nexus_kv_seek(&v.kv, key, &klen, &val, sizeof(val))) >= 0) {
		if (key[0] != NEXUS_KEY_PACK || klen != 9) {
			ret = -ENOENT;
			break;
		}
		*pack = nexus_get_be64(key + 1);
		*used = le32_to_cpu(val.used);
		if (ret >= (int)sizeof(val) && le32_to_cpu(val.state) == NEXUS_PACK_OPEN)
			break;
		key[klen++] = 0;
	}
	memview_end(&v);
	return ret < 0 ? ret : 0;
}

static int begin_rest(struct rehome *rh)
{
	u64 pack;
	u32 used;
	int ret;

	for (;;) {
		ret = next_open(rh->z, rh->after, &pack, &used);
		if (ret)
			return ret == -ENOENT ? -ENOSPC : ret;
		rh->after = pack;
		/* One that cannot be opened is for fsck to find. */
		if (pack_image_open(rh->z->os, pack, rh->z->sb.uuid, true, &rh->img))
			continue;
		rh->next = NEXUS_MAX(used, rh->img.first);
		if (rh->next < rh->img.blocks)
			return 0;
		pack_image_close(&rh->img);
	}
}

static int begin_pack(struct rehome *rh)
{
	int ret = -ENOSPC;

	if (rh->z->rdonly)
		ret = begin_nameless(rh);
	else if (!rh->full)
		ret = begin_new(rh);
	if (!ret)
		rh->next = rh->img.first;
	if (ret == -ENOSPC && !rh->z->rdonly) {
		rh->full = true;
		ret = begin_rest(rh);
	}
	rh->open = !ret;
	rh->from = rh->next;
	return ret;
}

/* Lines, and all of it durable. */
static int end_pack(struct rehome *rh)
{
	struct pack_image *img = &rh->img;
	int ret = 0;

	if (!rh->open)
		return 0;
	if (img->fd >= 0 && rh->next > rh->from) {
		ret = pack_image_write_lines(img, rh->from, rh->next - rh->from);
		if (!ret && fdatasync(img->fd))
			ret = -errno;
	}
	if (img->fd >= 0)
		pack_image_close(img);
	else
		free(img->head);
	rh->open = false;
	return ret;
}

/* ---- content ------------------------------------------------------------------------ */

struct run {
	const struct nexus_rec_data *rec;
	u64 fblock;
	u32 first, n;		/* of the record's blocks */
};

static int write_run(struct rehome *rh, const struct run *run)
{
	const u8 *from = rh->buf + ((size_t)run->first << NEXUS_BLOCK_SHIFT);
	size_t len = (size_t)run->n << NEXUS_BLOCK_SHIFT;
	ssize_t n;
	u32 i;

	for (i = 0; i < run->n; i++) {
		struct nexus_pack_line *line = &rh->img.table[rh->next + i];

		*line = (struct nexus_pack_line){
			.ino = run->rec->ino,
			.data_id = run->rec->data_id,
			.offset = cpu_to_le64((run->fblock + i) << NEXUS_BLOCK_SHIFT),
			.crc = cpu_to_le32(nexus_crc32c(0, from + ((size_t)i << NEXUS_BLOCK_SHIFT),
							NEXUS_BLOCK_SIZE)),
			.pack = cpu_to_le32((u32)rh->img.pack),
		};
	}
	if (rh->img.fd < 0)
		return 0;
	n = pwrite(rh->img.fd, from, len, (off_t)rh->next << NEXUS_BLOCK_SHIFT);
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

/* 0; -ENOENT: no file has that data id. */
static int find_inode(struct zone *z, const struct nexus_rec_data *r,
		      struct nexus_inode_val *in)
{
	struct nexus_key k;
	struct memview v;
	int ret;

	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	nexus_key_inode(&k, le64_to_cpu(r->ino));
	ret = nexus_kv_get(&v.kv, k.b, k.len, in, sizeof(*in));
	memview_end(&v);
	if (ret >= 0)
		ret = ret < (int)sizeof(*in) ? -EUCLEAN : in->data_id != r->data_id ? -ENOENT : 0;
	return ret;
}

/* The file has had size and times since the DATA record. */
static int apply_run(struct rehome *rh, const struct run *run,
		     const struct nexus_inode_val *in)
{
	u64 end = (run->fblock + run->n) << NEXUS_BLOCK_SHIFT;
	size_t len = nexus_rec_extent_len(run->n);
	struct zone *z = rh->z;
	union {
		struct nexus_rec_extent rec;
		u8 room[sizeof(struct nexus_rec_extent) + 4ul * NEXUS_DATA_BLOCKS_MAX + 8];
	} e;
	u32 i;
	int ret;

	memset(&e, 0, sizeof(e));
	nexus_rec_init(&e.rec.head, len, NEXUS_REC_EXTENT, 0, zone_now());
	e.rec.ino = run->rec->ino;
	e.rec.data_id = run->rec->data_id;
	e.rec.offset = cpu_to_le64(run->fblock << NEXUS_BLOCK_SHIFT);
	e.rec.size = cpu_to_le64(NEXUS_MIN(le64_to_cpu(in->size), end));
	e.rec.pack = cpu_to_le64(rh->img.pack);
	e.rec.block = cpu_to_le32(rh->next);
	e.rec.nblocks = cpu_to_le32(run->n);
	e.rec.mtime_s = in->mtime_s;
	e.rec.mtime_ns = in->mtime_ns;
	e.rec.ctime_s = in->ctime_s;
	e.rec.ctime_ns = in->ctime_ns;
	for (i = 0; i < run->n; i++)
		e.rec.crc[i] = rh->img.table[rh->next + i].crc;
	pthread_mutex_lock(&z->applier.lock);
	e.rec.head.lsn = cpu_to_le64(z->applier.pos);
	ret = applier_apply(&z->applier, (const u8 *)&e.rec, len);
	z->replay.tail = z->applier.pos;
	pthread_mutex_unlock(&z->applier.lock);
	return ret;
}

static int rehome_run(struct rehome *rh, struct run run, u32 left)
{
	struct nexus_inode_val in;
	struct zone *z = rh->z;
	int ret = find_inode(z, run.rec, &in);

	if (rh->lenient && (ret == -ENOENT || ret == -EUCLEAN)) {
		rh->left_out += left;
		return 0;
	}
	while (!ret && left) {
		if (rh->open && rh->next == rh->img.blocks)
			ret = end_pack(rh);
		if (!ret && !rh->open)
			ret = begin_pack(rh);
		if (ret)
			break;
		run.n = NEXUS_MIN(left, rh->img.blocks - rh->next);
		ret = write_run(rh, &run);
		/* Then another pack has room, or none. */
		if (ret == -ENOSPC && !z->rdonly) {
			rh->full = true;
			ret = end_pack(rh);
			continue;
		}
		if (!ret)
			ret = apply_run(rh, &run, &in);
		rh->next += run.n;
		rh->blocks += run.n;
		run.first += run.n;
		run.fblock += run.n;
		left -= run.n;
	}
	return ret;
}

/* Whether block @i of the record is what its file has there, and as a whole block. */
static bool in_force(struct rehome *rh, const struct nexus_rec_data *r, u32 i)
{
	u64 fblock = (le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT) + i;
	u8 *to = rh->buf + ((size_t)i << NEXUS_BLOCK_SHIFT);
	struct nexus_logdata_block b;

	if (!nexus_logdata_find(&rh->z->applier.data, le64_to_cpu(r->data_id), fblock, &b) ||
	    b.lsn != le64_to_cpu(r->head.lsn))
		return false;
	memset(to, 0, NEXUS_BLOCK_SIZE);
	memcpy(to, r->data + ((size_t)i << NEXUS_BLOCK_SHIFT), b.len);
	return true;
}

static int rehome_record(struct rehome *rh, const struct nexus_rec_data *r)
{
	u32 blocks = (le32_to_cpu(r->len) + NEXUS_BLOCK_SIZE - 1) / NEXUS_BLOCK_SIZE;
	struct run run = { .rec = r };
	u32 i, n;
	int ret = 0;

	for (i = 0; !ret && i < blocks; i += n + 1) {
		for (n = 0; i + n < blocks && in_force(rh, r, i + n); n++)
			;
		if (!n)
			continue;
		run.first = i;
		run.fblock = (le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT) + i;
		ret = rehome_run(rh, run, n);
	}
	return ret;
}

static int rehome_stretch(void *arg, const u8 *records, size_t len)
{
	struct rehome *rh = arg;
	size_t off;
	int ret = 0;

	for (off = 0; !ret && off < len;) {
		const struct nexus_rec_head *rec = (const void *)(records + off);

		off += le32_to_cpu(rec->len);
		if (le16_to_cpu(rec->type) == NEXUS_REC_DATA)
			ret = rehome_record(rh, (const void *)rec);
	}
	return ret;
}

int zone_rehome(struct zone *z, bool lenient, struct errline *err)
{
	struct rehome rh = { .z = z, .lenient = lenient };
	u64 tail = z->replay.tail;
	int ret = 0, ret2;

	if (!nexus_logdata_count(&z->applier.data))
		return 0;
	if (posix_memalign((void **)&rh.buf, NEXUS_BLOCK_SIZE,
			   (size_t)NEXUS_DATA_BLOCKS_MAX << NEXUS_BLOCK_SHIFT))
		return -ENOMEM;
	/* The records that it appends are not in the log. */
	ret = replay_records(&z->replay, z->replay.from, tail, rehome_stretch, &rh);
	ret2 = end_pack(&rh);
	ret = ret ? ret : ret2;
	free(rh.buf);
	if (ret)
		return err_set(err, ret, "content that is in the log cannot be moved to a pack: %s%s",
			       strerror(-ret), ret == -ENOSPC ? "; mount -o ro works without space" : "");
	log_info("zone %s: %llu blocks of content were in the log only%s", z->name, rh.blocks,
		 z->rdonly ? "" : ", and are in packs now");
	if (rh.left_out)
		log_warn("zone %s: %llu blocks of content in the log belong to no file", z->name,
			 rh.left_out);
	return 0;
}
