// SPDX-License-Identifier: Apache-2.0
#include "rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/hostfile.h"
#include "lib/record.h"

/*
 * Pack ids that were handed out elsewhere, after what was restored, are never used again:
 * objects of that name may be there.
 */
#define PACKS_APART	(1ull << 20)
#define SEGMENTS_MIN	2u
#define SEGMENTS_MAX	65536u

/* ---- packs -------------------------------------------------------------------------- */

static int close_pack(struct rebuild *b)
{
	int ret = 0;

	if (!b->img.pack)
		return 0;
	ret = pack_image_write_lines(&b->img, 0, b->img.blocks);
	if (!ret && fdatasync(b->img.fd))
		ret = -errno;
	pack_image_close(&b->img);
	b->img.pack = 0;
	return ret;
}

/* The pack that blocks go into now; made if it is not there. */
static int open_pack(struct rebuild *b, u64 pack)
{
	int ret;

	if (b->img.pack == pack)
		return 0;
	ret = close_pack(b);
	if (ret)
		return ret;
	ret = pack_image_open(b->os, pack, b->zone, true, &b->img);
	if (ret == -ENOENT) {
		ret = pack_create_sparse(b->os, pack, super_pack_blocks(&b->sb), b->zone);
		b->npacks += !ret;
		if (!ret)
			ret = pack_image_open(b->os, pack, b->zone, true, &b->img);
	}
	if (ret)
		b->img.pack = 0;
	return ret;
}

static int add_block(struct rebuild *b, const struct origin_stream_item *it)
{
	struct nexus_pack_line line, *have;
	int ret;

	memcpy(&line, it->data, sizeof(line));
	memcpy(b->block, it->data + sizeof(line), NEXUS_BLOCK_SIZE);
	if (!it->arg || !pack_line_is(&line, it->arg) || !line.ino ||
	    pack_line_absent(&line, it->arg) ||
	    (!pack_line_plain(&line, it->arg) &&
	     nexus_crc32c(0, b->block, NEXUS_BLOCK_SIZE) != le32_to_cpu(line.crc)))
		return -EUCLEAN;
	ret = open_pack(b, it->arg);
	if (ret)
		return ret;
	if (it->block < b->img.first || it->block >= b->img.blocks)
		return -EUCLEAN;
	if (pwrite(b->img.fd, b->block, NEXUS_BLOCK_SIZE, (off_t)it->block << NEXUS_BLOCK_SHIFT) !=
	    NEXUS_BLOCK_SIZE)
		return -EIO;
	have = &b->img.table[it->block];
	/* The first owner stays; what was away is here. */
	if (!pack_line_is(have, it->arg) || !have->ino)
		*have = line;
	have->offset &= cpu_to_le64(~(u64)(NEXUS_PL_ABSENT | NEXUS_PL_AWAY));
	return 0;
}

static int get_table(struct rebuild *b, u64 pack, u8 *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = b->c->ops->get(b->c, pack, done, buf + done, len - done);

		if (n <= 0)
			return n ? (int)n : -EUCLEAN;
		done += (size_t)n;
	}
	return 0;
}

/*
 * Head and table of the object, in memory that is the caller's to free, also on failure.
 * 0; -ENOENT; -EUCLEAN, -ESTALE: it is not the pack, or is cut off; or an error of the store.
 */
static int get_image(struct rebuild *b, u64 pack, struct pack_image *img)
{
	u32 blocks = super_pack_blocks(&b->sb), first = 1 + pack_table_blocks(blocks);
	u64 bytes = 0;
	int ret;

	*img = (struct pack_image){ .pack = pack, .fd = -1, .blocks = blocks, .first = first };
	ret = b->c->ops->head(b->c, pack, &bytes);
	if (ret)
		return ret;
	if (bytes > pack_image_full(img))
		return -EUCLEAN;
	img->head = calloc(first, NEXUS_BLOCK_SIZE);
	if (!img->head)
		return -ENOMEM;
	img->table = (void *)((u8 *)img->head + NEXUS_BLOCK_SIZE);
	ret = get_table(b, pack, (u8 *)img->head, (size_t)first << NEXUS_BLOCK_SHIFT);
	if (!ret)
		ret = pack_check_head(img->head, b->zone, pack, blocks);
	return ret || bytes >= pack_image_bytes(img) ? ret : -EUCLEAN;
}

/* Head and table are the object's, @had; every block that has an owner is away. */
static int fill_sealed(const struct pack_image *had, struct pack_image *img)
{
	size_t len = (size_t)img->first << NEXUS_BLOCK_SHIFT;
	u64 *gone = calloc(bit_words(img->blocks), sizeof(u64));
	int ret = gone ? 0 : -ENOMEM;
	u32 i;

	memcpy(img->head, had->head, len);
	if (!ret && pwrite(img->fd, img->head, len, 0) != (ssize_t)len)
		ret = -EIO;
	for (i = img->first; !ret && i < img->blocks; i++)
		if (pack_line_is(&img->table[i], img->pack) && img->table[i].ino &&
		    !pack_line_absent(&img->table[i], img->pack))
			bit_set(gone, i);
	if (!ret)
		ret = pack_image_evict(img, gone);
	free(gone);
	return ret;
}

/* What is wrong with a pack that @who names; @ret if nothing is. */
static int object_error(struct rebuild *b, u64 pack, const char *who, int ret)
{
	if (ret == -ENOENT || ret == -EUCLEAN || ret == -ESTALE)
		return err_set(b->err, -ENODATA, "pack %llu, which the %s names, is %s; if there is another version or a copy of object packs/%016llx, put that back", pack, who,
			       ret == -ENOENT ? "not with the store" : "damaged there", pack);
	return ret ? err_set(b->err, ret, "pack %llu: %s", pack, strerror(-ret)) : 0;
}

static int make_sealed(struct rebuild *b, u64 pack)
{
	struct pack_image had, img;
	int ret = get_image(b, pack, &had);

	if (!ret)
		ret = pack_create_sparse(b->os, pack, super_pack_blocks(&b->sb), b->zone);
	if (!ret)
		ret = pack_image_open(b->os, pack, b->zone, true, &img);
	if (!ret) {
		ret = fill_sealed(&had, &img);
		pack_image_close(&img);
	}
	free(had.head);
	b->npacks += !ret;
	return object_error(b, pack, "checkpoint", ret);
}

/* The object has what was put into the file before, and the rest. */
static int add_named(struct rebuild *b, u64 pack)
{
	int ret = close_pack(b);

	if (!ret)
		ret = b->os->drv->remove(b->os, pack);
	if (!ret)
		b->npacks--;
	return !ret || ret == -ENOENT ? make_sealed(b, pack) : ret;
}

/* ---- the log ------------------------------------------------------------------------- */

static int next_segment(struct rebuild *b)
{
	char name[32], seg[16];
	int ret;

	if (b->nsegments == SEGMENTS_MAX)
		return -EUCLEAN;
	seglog_name(seg, b->nsegments);
	snprintf(name, sizeof(name), STORE_LOG "/%s", seg);
	ret = hostfile_create(b->new->dirfd, name, b->sb.segment_size);
	if (ret)
		return ret;
	b->nsegments++;
	b->seg_at = 0;
	if (b->seg_fd >= 0)
		close(b->seg_fd);
	b->seg_fd = openat(b->new->dirfd, name, O_WRONLY | O_CLOEXEC);
	return b->seg_fd < 0 ? -errno : 0;
}

static int close_log(struct rebuild *b)
{
	int ret = b->seg_fd >= 0 && fdatasync(b->seg_fd) ? -errno : 0;

	if (b->seg_fd >= 0)
		close(b->seg_fd);
	b->seg_fd = -1;
	return ret;
}

/*
 * Segments begin with a batch, and what is with the store begins anywhere: so batches get
 * other places, and are chained anew.
 */
static int add_batch(struct rebuild *b, const struct origin_stream_item *it)
{
	struct nexus_batch_head *head = (void *)it->data;
	size_t size;
	int ret;

	if (nexus_batch_check(it->data, it->len, b->zone) ||
	    it->len != sizeof(*head) + le32_to_cpu(head->length) ||
	    le64_to_cpu(head->incarnation) != b->sb.incarnation)
		return -EUCLEAN;
	size = nexus_batch_size(le32_to_cpu(head->length));
	if (!b->nsegments || b->seg_at + size > b->sb.segment_size) {
		ret = close_log(b);
		if (!ret)
			ret = next_segment(b);
		if (ret)
			return ret;
	}
	if (size > b->sb.segment_size)
		return -EUCLEAN;
	head->segment = cpu_to_le64(b->sb.next_segment + b->nsegments - 1);
	head->block = cpu_to_le32((u32)(b->seg_at >> NEXUS_BLOCK_SHIFT));
	head->prev_crc = cpu_to_le32(b->prev_crc);
	b->prev_crc = nexus_batch_crc(head, it->data + sizeof(*head));
	head->crc = cpu_to_le32(b->prev_crc);
	if (pwrite(b->seg_fd, it->data, it->len, (off_t)b->seg_at) != (ssize_t)it->len)
		return -EIO;
	b->seg_at += size;
	b->batches++;
	return 0;
}

/* ---- streams --------------------------------------------------------------------------- */

static int note_alloc(struct rebuild *b, const struct origin_stream_item *it)
{
	struct nexus_alloc_val v;
	u64 copy[32];
	size_t len = it->len - it->arg;

	if (len > sizeof(copy))
		return -EUCLEAN;
	memcpy(copy, it->data + it->arg, len);
	if (nexus_val_check(copy, len, NEXUS_KEY_ALLOC, sizeof(v)))
		return -EUCLEAN;
	memcpy(&v, copy, sizeof(v));
	b->al.next_ino = le64_to_cpu(v.next_ino);
	b->al.next_pack = le64_to_cpu(v.next_pack);
	b->has_alloc = true;
	return 0;
}

static int add_item(void *arg, const struct origin_stream_item *it)
{
	struct rebuild *b = arg;

	switch (it->type) {
	case NEXUS_ITEM_BLOCK:
		return add_block(b, it);
	case NEXUS_ITEM_BATCH:
		return add_batch(b, it);
	case NEXUS_ITEM_PACK:
		return add_named(b, it->arg);
	default:
		return it->arg == 1 && it->data[0] == NEXUS_KEY_ALLOC ? note_alloc(b, it) : 0;
	}
}

/* Before anything of the stretch is done. */
static int check_named(void *arg, const struct origin_stream_item *it)
{
	struct rebuild *b = arg;
	struct pack_image had;
	int ret;

	if (it->type != NEXUS_ITEM_PACK)
		return 0;
	ret = get_image(b, it->arg, &had);
	free(had.head);
	return object_error(b, it->arg, "log", ret);
}

int rebuild_log(struct rebuild *b, FILE *spool, struct errline *err)
{
	int ret;

	b->err = err;
	ret = origin_stream_each(spool, check_named, b);
	if (ret == -ENODATA)
		return ret;
	if (!ret)
		ret = origin_stream_each(spool, add_item, b);
	if (!ret)
		ret = close_pack(b);
	return !ret || err->msg[0] ? ret :
	       err_set(err, ret, "what the store has of the log cannot be written: %s",
		       ret == -EUCLEAN ? "it makes no sense" : strerror(-ret));
}

static int find_super(void *arg, const struct origin_stream_item *it)
{
	struct rebuild *b = arg;

	if (it->type != NEXUS_ITEM_KEY || it->arg != 1 || it->data[0] != NEXUS_KEY_ZONE)
		return 0;
	if (it->len - 1 > sizeof(b->sb.raw))
		return -EUCLEAN;
	memcpy(b->sb.raw, it->data + 1, it->len - 1);
	b->sb.rawlen = it->len - 1;
	b->has_super = true;
	return 0;
}

/* A pack of the index: all of it is with the store, or of what is open nothing. */
static int find_pack(void *arg, const struct origin_stream_item *it)
{
	struct rebuild *b = arg;
	struct nexus_pack_val v;
	u64 copy[64], pack;
	size_t len = it->len - it->arg;

	if (it->type != NEXUS_ITEM_KEY || it->arg != 9 || it->data[0] != NEXUS_KEY_PACK)
		return 0;
	if (len > sizeof(copy))
		return -EUCLEAN;
	memcpy(copy, it->data + it->arg, len);
	if (nexus_val_check(copy, len, NEXUS_KEY_PACK, sizeof(v)))
		return -EUCLEAN;
	memcpy(&v, copy, sizeof(v));
	pack = nexus_get_be64(it->data + 1);
	if (le32_to_cpu(v.state) != NEXUS_PACK_SEALED)
		return open_pack(b, pack);
	return v.live ? make_sealed(b, pack) : 0;
}

static int check_super(struct rebuild *b)
{
	bool rdonly = false;
	int ret;

	if (!b->has_super)
		return -EUCLEAN;
	ret = super_parse(&b->sb, &rdonly, b->err);
	if (!ret && memcmp(b->sb.uuid, b->zone, sizeof(b->sb.uuid)))
		ret = -EUCLEAN;
	if (!ret && rdonly)
		ret = err_set(b->err, -EPROTONOSUPPORT,
			      "the zone uses features this program can only read (ro_compat 0x%llx); use a newer nexusfs",
			      b->sb.ro_compat);
	return ret;
}

int rebuild_begin(struct rebuild *b, const struct config *cfg, const struct store_new *new,
		  struct content *c, const u8 *zone, FILE *spool, struct errline *err)
{
	int ret;

	*b = (struct rebuild){
		.cfg = cfg, .new = new, .c = c, .zone = zone, .err = err, .seg_fd = -1,
	};
	if (posix_memalign((void **)&b->block, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE))
		return -ENOMEM;
	ret = origin_stream_each(spool, find_super, b);
	if (!ret)
		ret = check_super(b);
	if (!ret)
		ret = store_open_packs(cfg, new->dir, &b->os, err);
	if (!ret)
		ret = origin_stream_each(spool, find_pack, b);
	if (!ret)
		ret = origin_stream_each(spool, add_item, b);
	if (!ret)
		ret = close_pack(b);
	return !ret || err->msg[0] ? ret : err_set(err, ret, "the checkpoint cannot be used: %s",
			ret == -EUCLEAN ? "what is in it makes no sense" : strerror(-ret));
}

/* ---- the index --------------------------------------------------------------------------- */

struct putting {
	struct rebuild *b;
	FILE *spool;
	struct nexus_metastore *ms;
	struct nexus_ms_batch *batch;
};

static int put_key(void *arg, const struct origin_stream_item *it)
{
	struct putting *p = arg;

	if (it->type != NEXUS_ITEM_KEY ||
	    (it->arg == 1 && (it->data[0] == NEXUS_KEY_ZONE || it->data[0] == NEXUS_KEY_ALLOC)))
		return 0;
	return p->ms->drv->put(p->batch, it->data, it->arg, it->data + it->arg, it->len - it->arg);
}

/* Again from the start: it is called twice when the index had to grow. */
static int fill_index(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	struct putting *p = arg;
	int ret;

	p->ms = ms;
	p->batch = batch;
	ret = origin_stream_each(p->spool, put_key, p);
	if (!ret)
		ret = alloc_put(ms, batch, &p->b->al);
	return ret ? ret : super_put(ms, batch, &p->b->sb);
}

static int make_index(struct rebuild *b, FILE *spool)
{
	struct nexus_ms_opts opts = { .create = true, .map_size = b->cfg->map_size };
	struct putting p = { .b = b, .spool = spool };
	struct nexus_metastore *ms;
	char path[PATH_MAX + 8], line[256] = "";
	int ret;

	snprintf(path, sizeof(path), "%s/" STORE_INDEX, b->new->dir);
	ret = b->cfg->metastore->open(path, &opts, &ms, line, sizeof(line));
	if (ret)
		return err_set(b->err, ret, "the index: %s", line[0] ? line : strerror(-ret));
	ret = ms_write(ms, fill_index, &p);
	ms->drv->close(ms);
	return ret ? err_set(b->err, ret, "the index cannot be written: %s", strerror(-ret)) : 0;
}

int rebuild_end(struct rebuild *b, FILE *spool, struct errline *err)
{
	int ret = close_log(b);

	b->err = err;
	if (!ret && !b->has_alloc)
		ret = err_set(err, -EUCLEAN, "the checkpoint has no allocators");
	while (!ret && b->nsegments < SEGMENTS_MIN)
		ret = next_segment(b);
	if (ret)
		return ret;
	b->al.next_pack += PACKS_APART;
	/* Without a log there is nothing to replay. */
	b->sb.flags &= ~NEXUS_ZF_CLEAN;
	if (!b->batches)
		b->sb.flags |= NEXUS_ZF_CLEAN;
	return make_index(b, spool);
}

void rebuild_free(struct rebuild *b)
{
	if (b->img.pack)
		pack_image_close(&b->img);
	close_log(b);
	if (b->os)
		b->os->drv->close(b->os);
	free(b->block);
}
