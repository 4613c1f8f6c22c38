// SPDX-License-Identifier: Apache-2.0
#include "presence.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stats.h"

/* ---- the file ------------------------------------------------------------- */

static int read_all(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (u8 *)buf + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* The same, whatever the head says. */
static int image_read(struct nexus_objectstore *os, u64 pack, bool writable,
		      struct pack_image *img)
{
	void *buf;
	int ret;

	memset(img, 0, sizeof(*img));
	img->pack = pack;
	img->fd = os->drv->open_pack(os, pack, writable, &img->blocks);
	if (img->fd < 0)
		return img->fd;
	img->first = 1 + pack_table_blocks(img->blocks);
	ret = -EUCLEAN;
	if (img->blocks <= img->first)
		goto close_fd;
	ret = -ENOMEM;
	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, (size_t)img->first << NEXUS_BLOCK_SHIFT))
		goto close_fd;
	img->head = buf;
	img->table = (void *)((u8 *)buf + NEXUS_BLOCK_SIZE);
	ret = read_all(img->fd, buf, (size_t)img->first << NEXUS_BLOCK_SHIFT);
	if (!ret)
		return 0;
	free(buf);
close_fd:
	close(img->fd);
	return ret;
}

int pack_image_open(struct nexus_objectstore *os, u64 pack, const u8 *uuid, bool writable,
		    struct pack_image *img)
{
	int ret = image_read(os, pack, writable, img);

	if (ret)
		return ret;
	ret = pack_check_head(img->head, uuid, pack, img->blocks);
	if (ret)
		pack_image_close(img);
	return ret;
}

void pack_image_close(struct pack_image *img)
{
	free(img->head);
	close(img->fd);
}

u64 pack_image_bytes(const struct pack_image *img)
{
	u32 end = img->blocks;

	while (end > img->first &&
	       !(pack_line_is(&img->table[end - 1], img->pack) && img->table[end - 1].ino))
		end--;
	return (u64)end << NEXUS_BLOCK_SHIFT;
}

u32 pack_image_away(const struct pack_image *img)
{
	u32 i, n = 0;

	for (i = img->first; i < img->blocks; i++)
		n += pack_line_away(&img->table[i], img->pack);
	return n;
}

static int write_block(struct pack_image *img, u32 block)
{
	const u8 *buf = (const u8 *)img->head + ((size_t)block << NEXUS_BLOCK_SHIFT);
	ssize_t n = pwrite(img->fd, buf, NEXUS_BLOCK_SIZE, (off_t)block << NEXUS_BLOCK_SHIFT);

	return n == NEXUS_BLOCK_SIZE ? 0 : n < 0 ? -errno : -EIO;
}

int pack_image_write_lines(struct pack_image *img, u32 block, u32 n)
{
	u32 at = 1 + block / NEXUS_PACK_LINES_PER_BLOCK;
	u32 last = 1 + (block + n - 1) / NEXUS_PACK_LINES_PER_BLOCK;
	int ret = 0;

	for (; !ret && at <= last; at++)
		ret = write_block(img, at);
	return ret;
}

/* Of tables of sealed packs: reading lines, changing and writing them is one step. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static int read_lines(int fd, void *buf, u32 block)
{
	ssize_t n;

	do {
		n = pread(fd, buf, NEXUS_BLOCK_SIZE, (off_t)block << NEXUS_BLOCK_SHIFT);
	} while (n < 0 && errno == EINTR);
	return n == NEXUS_BLOCK_SIZE ? 0 : -EIO;
}

int pack_lines_read(int fd, u32 block, u32 n, struct nexus_pack_line *line)
{
	struct nexus_pack_line *buf;
	u32 i, at = 0, skip;
	int ret = 0;

	if (posix_memalign((void **)&buf, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE))
		return -ENOMEM;
	while (!ret && at < n) {
		skip = (block + at) % NEXUS_PACK_LINES_PER_BLOCK;
		i = NEXUS_MIN(NEXUS_PACK_LINES_PER_BLOCK - skip, n - at);
		ret = read_lines(fd, buf, 1 + (block + at) / NEXUS_PACK_LINES_PER_BLOCK);
		memcpy(line + at, buf + skip, i * sizeof(*line));
		at += i;
	}
	free(buf);
	return ret;
}

/* Block @table of the file; @here is from bit 0 for block @block on. */
static int lines_here(int fd, u64 pack, u32 table, u32 block, u32 n, const u64 *here,
		      struct nexus_pack_line *buf)
{
	u32 i = (table - 1) * NEXUS_PACK_LINES_PER_BLOCK, j;
	bool changed = false;
	int ret = read_lines(fd, buf, table);

	for (j = 0; !ret && j < NEXUS_PACK_LINES_PER_BLOCK; j++, i++) {
		if (i < block || i >= block + n || !bit_get(here, i - block) ||
		    !pack_line_away(&buf[j], pack))
			continue;
		buf[j].offset &= cpu_to_le64(~(u64)(NEXUS_PL_ABSENT | NEXUS_PL_AWAY));
		changed = true;
	}
	if (ret || !changed)
		return ret;
	if (pwrite(fd, buf, NEXUS_BLOCK_SIZE, (off_t)table << NEXUS_BLOCK_SHIFT) !=
	    NEXUS_BLOCK_SIZE)
		return -EIO;
	return 0;
}

int pack_lines_here(int fd, u64 pack, u32 block, u32 n, const u64 *here)
{
	u32 at = 1 + block / NEXUS_PACK_LINES_PER_BLOCK;
	u32 last = 1 + (block + n - 1) / NEXUS_PACK_LINES_PER_BLOCK;
	struct nexus_pack_line *buf;
	int ret = 0;

	if (posix_memalign((void **)&buf, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE))
		return -ENOMEM;
	pthread_mutex_lock(&table_lock);
	for (; !ret && at <= last; at++)
		ret = lines_here(fd, pack, at, block, n, here, buf);
	pthread_mutex_unlock(&table_lock);
	free(buf);
	return ret;
}

static void mark_line(struct nexus_pack_line *line, u64 pack, u64 flags)
{
	/* What a file before left there is no owner. */
	if (!pack_line_is(line, pack))
		memset(line, 0, sizeof(*line));
	line->pack = cpu_to_le32((u32)pack);
	line->offset |= cpu_to_le64(flags);
}

static bool any_of(const struct pack_image *img, const u64 *gone, u32 i, u32 end)
{
	for (; i < end; i++)
		if (bit_get(gone, i) && !pack_line_absent(&img->table[i], img->pack))
			return true;
	return false;
}

static int mark_lines(struct pack_image *img, const u64 *gone, u64 flags)
{
	u32 i, end, block;
	int ret = 0;

	for (block = 1; !ret && block < img->first; block++) {
		bool changed = false;

		i = (block - 1) * NEXUS_PACK_LINES_PER_BLOCK;
		end = NEXUS_MIN(i + NEXUS_PACK_LINES_PER_BLOCK, img->blocks);
		if (!any_of(img, gone, i, end))
			continue;
		ret = read_lines(img->fd, (u8 *)img->head + ((size_t)block << NEXUS_BLOCK_SHIFT),
				 block);
		if (ret)
			break;
		for (; i < end; i++) {
			if (!bit_get(gone, i) || pack_line_absent(&img->table[i], img->pack))
				continue;
			mark_line(&img->table[i], img->pack, flags);
			changed = true;
		}
		if (changed)
			ret = write_block(img, block);
	}
	return ret;
}

u32 pack_image_dead(const struct pack_image *img)
{
	u32 i, n = 0;

	for (i = img->first; i < img->blocks; i++)
		n += pack_line_absent(&img->table[i], img->pack) &&
		     !pack_line_away(&img->table[i], img->pack);
	return n;
}

/* @n blocks are absent, or about to be; durably. */
static int write_head(struct pack_image *img, u32 n, u32 flags)
{
	int ret;

	if (le32_to_cpu(img->head->absent) == n && le32_to_cpu(img->head->flags) == flags)
		return 0;
	img->head->flags = cpu_to_le32(flags);
	img->head->absent = cpu_to_le32(n);
	pack_head_seal(img->head);
	ret = write_block(img, 0);
	return !ret && fdatasync(img->fd) ? -errno : ret;
}

static int write_marks(struct pack_image *img, const u64 *gone, u64 flags)
{
	int ret;

	pthread_mutex_lock(&table_lock);
	ret = mark_lines(img, gone, flags);
	pthread_mutex_unlock(&table_lock);
	return !ret && fdatasync(img->fd) ? -errno : ret;
}

/* Those that are absent, and those that will be. */
static u32 count_absent(const struct pack_image *img, const u64 *gone)
{
	u32 i, n = 0;

	for (i = img->first; i < img->blocks; i++)
		n += bit_get(gone, i) || pack_line_absent(&img->table[i], img->pack);
	return n;
}

/*
 * None of them is punched before the head counts some: only then the lines are looked at
 * when the pack is handed over.  For what is dead that is enough: nobody reads it.
 */
int pack_image_mark(struct pack_image *img, const u64 *gone)
{
	int ret = write_marks(img, gone, NEXUS_PL_ABSENT);

	return ret ? ret : write_head(img, count_absent(img, gone), le32_to_cpu(img->head->flags));
}

/* What is alive is not away by a line while the head says that all is here. */
int pack_image_evict(struct pack_image *img, const u64 *gone)
{
	int ret = write_head(img, count_absent(img, gone),
			     le32_to_cpu(img->head->flags) | NEXUS_PACK_AWAY_FLAG);

	return ret ? ret : write_marks(img, gone, NEXUS_PL_ABSENT | NEXUS_PL_AWAY);
}

int pack_image_punch(struct pack_image *img, const u64 *gone, u64 *blocks)
{
	u32 i, from;

	*blocks = 0;
	for (i = img->first; i < img->blocks; i++) {
		if (!bit_get(gone, i))
			continue;
		for (from = i; i < img->blocks && bit_get(gone, i); i++)
			;
		if (fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)from << NEXUS_BLOCK_SHIFT,
			      (off_t)(i - from) << NEXUS_BLOCK_SHIFT))
			return -errno;
		*blocks += i - from;
	}
	return 0;
}

/* ---- the kernel ------------------------------------------------------------ */

/* The bits of what is absent; NULL with 0: everything is there. */
static int load_absent(struct zone *z, u64 pack, u64 **bits)
{
	struct pack_image img;
	u32 i;
	int ret;

	*bits = NULL;
	ret = image_read(z->os, pack, false, &img);
	if (ret)
		return ret;
	*bits = calloc(bit_words(img.blocks), sizeof(u64));
	if (!*bits)
		ret = -ENOMEM;
	for (i = img.first; !ret && i < img.blocks; i++)
		if (pack_line_absent(&img.table[i], pack))
			bit_set(*bits, i);
	pack_image_close(&img);
	return ret;
}

int zone_offer_pack(struct zone *z, u64 pack)
{
	struct nexus_hand_over ho = { .zone = z->id, .id = pack };
	struct nexus_pack_head head = { .absent = 0 };
	u64 *bits = NULL;
	int ret;

	ho.fd = zone_log_pack(z, pack, &ho.blocks);
	/* Blocks of nodatacow files are overwritten in place, if that can be. */
	if (ho.fd == -ENOENT)
		ho.fd = z->os->drv->open_pack(z->os, pack, !z->rdonly, &ho.blocks);
	if (ho.fd == -EACCES || ho.fd == -EPERM || ho.fd == -EROFS)
		ho.fd = z->os->drv->open_pack(z->os, pack, false, &ho.blocks);
	if (ho.fd < 0) {
		log_error("zone %s: pack %llu cannot be opened: %s", z->name, pack,
			  strerror(-ho.fd));
		return -EIO;
	}
	/* What another zone or an older pack left under this name is not handed out. */
	ret = pack_read_head(ho.fd, z->sb.uuid, pack, ho.blocks, &head);
	if (ret == -ESTALE) {
		log_error("zone %s: what is under the name of pack %llu is another pack, or not as long as it was; put the right file there",
			  z->name, pack);
		close(ho.fd);
		return -EIO;
	}
	/* Its content may be whole all the same, and what is not there has lines. */
	if (ret == -EUCLEAN)
		log_warn("zone %s: the head of pack %llu is damaged", z->name, pack);
	if (!ret ? head.absent : ret == -EUCLEAN)
		ret = load_absent(z, pack, &bits);
	if (ret) {
		log_error("zone %s: what is gone of pack %llu cannot be read: %s", z->name, pack,
			  strerror(-ret));
		close(ho.fd);
		return -EIO;
	}
	if (bits) {
		ho.flags |= NEXUS_HF_ABSENT;
		ho.absent = (u64)(uintptr_t)bits;
	}
	ret = chan_ioctl(z->chan, NEXUS_IOC_PACK, &ho);
	free(bits);
	close(ho.fd);
	if (ret == -EEXIST)
		return 0;
	if (ret)
		log_error("zone %s: pack %llu is refused: %s", z->name, pack,
			  strerror(-ret));
	else
		stats_inc(packs_opened);
	return ret;
}

static int retire(struct zone *z, u64 pack, const struct nexus_pack_range *range, u32 nr,
		  u32 flags)
{
	struct nexus_retire r = {
		.zone = z->id, .nr = nr, .pack = pack, .ranges = (u64)(uintptr_t)range,
		.flags = flags,
	};

	return nr ? chan_ioctl(z->chan, NEXUS_IOC_RETIRE, &r) : 0;
}

int zone_retire(struct zone *z, u64 pack, const u64 *gone, u32 blocks, u32 flags)
{
	struct nexus_pack_range *range = calloc(NEXUS_RETIRE_MAX, sizeof(*range));
	u32 i, from, nr = 0;
	int ret = range ? 0 : -ENOMEM;

	for (i = 0; !ret && i < blocks; i++) {
		if (!bit_get(gone, i))
			continue;
		for (from = i; i < blocks && bit_get(gone, i); i++)
			;
		range[nr++] = (struct nexus_pack_range){ from, i - from };
		if (nr < NEXUS_RETIRE_MAX)
			continue;
		ret = retire(z, pack, range, nr, flags);
		nr = 0;
	}
	if (!ret)
		ret = retire(z, pack, range, nr, flags);
	free(range);
	return ret;
}

int zone_retire_pack(struct zone *z, u64 pack, u32 blocks)
{
	u32 first = 1 + pack_table_blocks(blocks);
	const struct nexus_pack_range all = { first, blocks - first };
	int ret = blocks > first ? retire(z, pack, &all, 1, 0) : 0;

	return ret == -ENXIO ? 0 : ret;
}
