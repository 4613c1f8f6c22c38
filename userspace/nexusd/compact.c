// SPDX-License-Identifier: Apache-2.0
/*
 * Compaction: what is alive in a pack of which little is goes to another one.
 *
 * The helper copies.  It has the table with owners and checksums, it can wait, and it
 * costs the kernel nothing but a record.  The copy goes to a pack of the helper's own,
 * which takes only the space that is written, in steps: data, lines, one flush,
 * and then a MOVE for each piece.  So a MOVE never names what is not on disk.  The
 * kernel appends it if the file still has what was copied; if not, the copy is
 * dead, like any block nobody names.
 *
 * A helper that dies in between leaves a pack that is open in the index and not the
 * kernel's: the next one seals it (clean.c).  Shared blocks stay where they are: all
 * who refer to them would have to be changed in one record.  So do those of nodatacow
 * files, which may be overwritten while they are copied.
 */
#include "space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fetch.h"
#include "lib/record.h"
#include "stats.h"

#define STEP_BLOCKS	1024u	/* copied between two flushes */
#define STEP_PIECES	256u
#define SHORT_RUN	16u	/* blocks; on average, punching leaves fragments */
#define TRIES		100u	/* for room in the log */
#define TRY_NS		50000000ull

/* Blocks of a file that follow each other in file and pack. */
struct piece {
	u32 from, to;
	u32 n;			/* 0: not to be moved after all */
};

struct step {
	struct piece piece[STEP_PIECES];
	u32 pieces;
	u32 to;			/* first block it goes to */
	u32 blocks;
	bool later;		/* some of it cannot be fetched now */
	bool said;		/* of the pack, that MOVE failed */
};

bool space_movable(struct space *sp, const struct survey *s)
{
	/* What is shared, or overwritten in place, keeps the pack alive. */
	return sp->z->sb.incompat & NEXUS_INCOMPAT_MOVES &&
	       (s->nshared + s->nplain) * 2 <= s->nlive;
}

bool space_worth_moving(struct space *sp, const struct survey *s, u32 content)
{
	/* What was never written is no loss; or what is moved would be moved for ever. */
	if (!space_movable(sp, s) || s->nlive * 2 >= content)
		return false;
	return sp->cannot_punch || s->nlive <= s->img.first || s->nruns * SHORT_RUN > s->nlive;
}

/* ---- the pack it goes to ------------------------------------------------------ */

static bool room_on_host(struct zone *z, u64 bytes)
{
	u64 total, avail;

	return z->os->drv->space(z->os, &total, &avail) ||
	       avail >= ZONE_INDEX_SPACE / 2 + bytes;
}

static int open_to(struct space *sp)
{
	struct zone *z = sp->z;
	u64 pack;
	int ret;

	if (!room_on_host(z, (u64)(STEP_BLOCKS + 1) << NEXUS_BLOCK_SHIFT))
		return -ENOSPC;
	if (!sp->buf && posix_memalign((void **)&sp->buf, NEXUS_BLOCK_SIZE,
				       (size_t)STEP_BLOCKS << NEXUS_BLOCK_SHIFT))
		return -ENOMEM;
	ret = zone_take_packs(z, 1, &pack);
	if (!ret)
		ret = pack_create_sparse(z->os, pack, super_pack_blocks(&z->sb), z->sb.uuid);
	if (ret)
		return ret;
	ret = pack_image_open(z->os, pack, z->sb.uuid, true, &sp->to);
	if (ret)
		goto remove;
	ret = zone_offer_pack(z, pack);
	if (ret)
		goto close_image;
	sp->to_next = sp->to.first;
	return 0;

close_image:
	pack_image_close(&sp->to);
remove:
	z->os->drv->remove(z->os, pack);
	return ret;
}

int space_seal(struct space *sp)
{
	int ret;

	if (!sp->to_next)
		return 0;
	ret = zone_seal_pack(sp->z, sp->to.pack, sp->to_next);
	/* If not, the next helper or the next mount does it. */
	if (ret && ret != -EAGAIN && ret != -EROFS && ret != -ENOTCONN)
		log_warn("zone %s: pack %llu cannot be sealed: %s", sp->z->name, sp->to.pack,
			 strerror(-ret));
	if (ret == -EAGAIN)
		return ret;
	pack_image_close(&sp->to);
	sp->to_next = 0;
	return ret;
}

/* ---- copying ---------------------------------------------------------------------- */

static bool movable(const struct survey *s, u32 i)
{
	return i < s->img.blocks && bit_get(s->live, i) && !bit_get(s->shared, i) &&
	       !pack_line_plain(&s->img.table[i], s->img.pack);
}

static bool goes_on(const struct survey *s, u32 i)
{
	const struct nexus_pack_line *a = &s->img.table[i], *b = a + 1;

	return movable(s, i + 1) && a->data_id == b->data_id &&
	       le64_to_cpu(a->offset) + NEXUS_BLOCK_SIZE == le64_to_cpu(b->offset);
}

/* What follows @i and fits; returns where to go on. */
static u32 gather(struct space *sp, const struct survey *s, u32 i, struct step *st)
{
	u32 room = NEXUS_MIN(STEP_BLOCKS, sp->to.blocks - sp->to_next), n;

	st->pieces = 0;
	st->blocks = 0;
	st->to = sp->to_next;
	while (i < s->img.blocks && st->blocks < room && st->pieces < STEP_PIECES) {
		if (!movable(s, i)) {
			i++;
			continue;
		}
		n = 1;
		while (n < NEXUS_EXTENT_BLOCKS_MAX && st->blocks + n < room &&
		       goes_on(s, i + n - 1))
			n++;
		st->piece[st->pieces++] = (struct piece){ i, st->to + st->blocks, n };
		st->blocks += n;
		i += n;
	}
	return i;
}

/* -EAGAIN: where it is held it cannot be got now; it may be nothing that is wrong with it. */
static int fetch_piece(struct zone *z, const struct survey *s, const struct piece *p)
{
	int ret = zone_fetch(z, s->img.pack, p->from, p->n);

	if (!ret || ret == -EUCLEAN || ret == -EBADMSG || ret == -ESHUTDOWN || ret == -ENOMEM)
		return ret;
	log_debug("zone %s: pack %llu is compacted later: block %u cannot be fetched: %s",
		  z->name, s->img.pack, p->from, strerror(-ret));
	return -EAGAIN;
}

/* What is away of it is fetched first, unless that has failed before: -EAGAIN. */
static int read_piece(struct zone *z, struct survey *s, const struct piece *p, bool later,
		      u8 *buf)
{
	size_t len = (size_t)p->n << NEXUS_BLOCK_SHIFT;
	bool away = false;
	ssize_t n;
	u32 i;
	int ret = 0;

	for (i = 0; i < p->n; i++)
		away |= pack_line_away(&s->img.table[p->from + i], s->img.pack);
	if (away)
		ret = later ? -EAGAIN : fetch_piece(z, s, p);
	if (ret)
		return ret;
	n = pread(s->img.fd, buf, len, (off_t)p->from << NEXUS_BLOCK_SHIFT);
	if (n != (ssize_t)len)
		return n < 0 ? -errno : -EIO;
	for (i = 0; i < p->n; i++)
		if (nexus_crc32c(0, buf + ((size_t)i << NEXUS_BLOCK_SHIFT), NEXUS_BLOCK_SIZE) !=
		    le32_to_cpu(s->img.table[p->from + i].crc))
			return -EUCLEAN;
	return 0;
}

static void copy_lines(struct space *sp, const struct survey *s, const struct piece *p)
{
	u32 i;

	for (i = 0; i < p->n; i++) {
		struct nexus_pack_line *line = &sp->to.table[p->to + i];

		*line = s->img.table[p->from + i];
		line->pack = cpu_to_le32((u32)sp->to.pack);
		line->offset &= cpu_to_le64(~(u64)(NEXUS_PL_ABSENT | NEXUS_PL_AWAY));
	}
}

static void skip(struct space_done *done)
{
	done->skipped++;
	stats_inc(moves_skipped);
}

/* Into the buffer, with lines; what is not moved after all is zeros there.  @any: the rest. */
static int read_step(struct space *sp, struct survey *s, struct step *st,
		     struct space_done *done, bool *any)
{
	u32 i;

	*any = false;
	for (i = 0; i < st->pieces; i++) {
		struct piece *p = &st->piece[i];
		u8 *buf = sp->buf + ((size_t)(p->to - st->to) << NEXUS_BLOCK_SHIFT);
		int ret = read_piece(sp->z, s, p, st->later, buf);

		if (!ret) {
			copy_lines(sp, s, p);
			*any = true;
			continue;
		}
		if (ret == -ESHUTDOWN || ret == -ENOMEM)
			return ret;
		memset(buf, 0, (size_t)p->n << NEXUS_BLOCK_SHIFT);
		p->n = 0;
		if (ret == -EAGAIN) {
			st->later = true;
			continue;
		}
		/* What is damaged stays where it is, for whoever can mend it. */
		log_warn("zone %s: block %u of pack %llu, or one that follows, cannot be moved: %s",
			 sp->z->name, p->from, s->img.pack,
			 ret == -EUCLEAN ? "its checksum is wrong" : strerror(-ret));
		skip(done);
	}
	return 0;
}

static int write_step(struct space *sp, const struct step *st)
{
	size_t len = (size_t)st->blocks << NEXUS_BLOCK_SHIFT;

	sp->to_next += st->blocks;
	if (pwrite(sp->to.fd, sp->buf, len, (off_t)st->to << NEXUS_BLOCK_SHIFT) != (ssize_t)len)
		return errno == ENOSPC ? -ENOSPC : -EIO;
	if (pack_image_write_lines(&sp->to, st->to, st->blocks) || fdatasync(sp->to.fd))
		return -EIO;
	return 0;
}

/* Data and lines, flushed. */
static int copy(struct space *sp, struct survey *s, struct step *st, struct space_done *done)
{
	bool any;
	int ret = read_step(sp, s, st, done, &any);

	if (!ret && any)
		ret = write_step(sp, st);
	/* A later step writes the lines beside its own as well. */
	if (ret)
		memset(&sp->to.table[st->to], 0, st->blocks * sizeof(sp->to.table[0]));
	return ret;
}

/* ---- records ------------------------------------------------------------------------ */

static bool is_urgent(struct space *sp)
{
	bool urgent;

	pthread_mutex_lock(&sp->lock);
	urgent = sp->urgent;
	pthread_mutex_unlock(&sp->lock);
	return urgent;
}

/* As the ioctl; -ENOBUFS: the log has no room; -ERESTART: nor has who waits for work. */
static int submit(struct space *sp, struct nexus_rec_move *rec)
{
	const struct timespec nap = { 0, TRY_NS };
	u32 i;
	int ret = -EAGAIN;

	for (i = 0; i < TRIES && ret == -EAGAIN && !atomic_load(&sp->z->stopping); i++) {
		if (i && is_urgent(sp))
			return -ERESTART;
		if (i)
			nanosleep(&nap, NULL);
		ret = zone_submit(sp->z, rec, le32_to_cpu(rec->head.len), NULL);
	}
	if (!ret)
		sp->own += le32_to_cpu(rec->head.len);
	if (ret == -EAGAIN)
		return atomic_load(&sp->z->stopping) ? -ESHUTDOWN : -ENOBUFS;
	return ret;
}

/* What is wrong with one file is not to keep others from being moved. */
static void not_moved(struct space *sp, const struct survey *s, const struct piece *p,
		      struct step *st, int err)
{
	if (!st->said)
		log_warn("zone %s: block %u of pack %llu (inode %llu), and perhaps others of it, cannot be moved: %s",
			 sp->z->name, p->from, s->img.pack,
			 (u64)le64_to_cpu(s->img.table[p->from].ino), strerror(-err));
	st->said = true;
}

static int move(struct space *sp, const struct survey *s, struct step *st,
		const struct piece *p, struct space_done *done)
{
	const struct nexus_pack_line *line = &s->img.table[p->from];
	size_t len = nexus_rec_move_len(p->n);
	union {
		struct nexus_rec_move rec;
		u8 room[sizeof(struct nexus_rec_move) + 4ul * NEXUS_EXTENT_BLOCKS_MAX + 8];
	} m;
	u32 i;
	int ret;

	memset(&m, 0, len);
	nexus_rec_init(&m.rec.head, len, NEXUS_REC_MOVE, 0, zone_now());
	m.rec.ino = line->ino;
	m.rec.data_id = line->data_id;
	m.rec.offset = cpu_to_le64(le64_to_cpu(line->offset) & ~(u64)(NEXUS_BLOCK_SIZE - 1));
	m.rec.from_pack = cpu_to_le64(s->img.pack);
	m.rec.to_pack = cpu_to_le64(sp->to.pack);
	m.rec.from_block = cpu_to_le32(p->from);
	m.rec.to_block = cpu_to_le32(p->to);
	m.rec.nblocks = cpu_to_le32(p->n);
	for (i = 0; i < p->n; i++)
		m.rec.crc[i] = line[i].crc;
	ret = submit(sp, &m.rec);
	if (ret == -ERESTART || space_zone_error(ret))
		return ret;
	if (ret) {
		if (ret != -ENODATA)
			not_moved(sp, s, p, st, ret);
		skip(done);
		return 0;
	}
	done->moved += p->n;
	stats_inc(moves);
	stats_add(compacted_bytes, (u64)p->n << NEXUS_BLOCK_SHIFT);
	return 0;
}

/* Seals what is full, and opens another one. */
static int have_room(struct space *sp)
{
	int ret = sp->to_next == sp->to.blocks ? space_seal(sp) : 0;

	if (ret == -EAGAIN)
		return -ENOBUFS;
	return ret || sp->to_next ? ret : open_to(sp);
}

int space_compact(struct space *sp, struct survey *s, struct space_done *done)
{
	struct step *st = calloc(1, sizeof(*st));
	u64 start;
	u32 i = s->img.first, j;
	int ret = st ? 0 : -ENOMEM;

	if (!(sp->z->sb.incompat & NEXUS_INCOMPAT_MOVES))
		ret = -EOPNOTSUPP;
	while (!ret && i < s->img.blocks) {
		start = space_clock();
		if (atomic_load(&sp->z->stopping))
			ret = -ESHUTDOWN;
		if (!ret)
			ret = have_room(sp);
		if (ret)
			break;
		i = gather(sp, s, i, st);
		if (!st->blocks)
			break;
		ret = room_on_host(sp->z, (u64)st->blocks << NEXUS_BLOCK_SHIFT) ?
		      copy(sp, s, st, done) : -ENOSPC;
		for (j = 0; !ret && j < st->pieces; j++)
			if (st->piece[j].n)
				ret = move(sp, s, st, &st->piece[j], done);
		if (!ret && st->later)
			ret = -EAGAIN;
		space_pay(sp, (u64)st->blocks << (NEXUS_BLOCK_SHIFT + 1), space_clock() - start);
		if (!ret && i < s->img.blocks && is_urgent(sp))
			ret = -ERESTART;
	}
	free(st);
	if (!ret) {
		done->packs++;
		stats_inc(compacted_packs);
	}
	return ret;
}
