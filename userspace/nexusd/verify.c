// SPDX-License-Identifier: Apache-2.0
#include "verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/extent_find.h"
#include "pack.h"

#define HEADS		16u
#define LINE_BLOCKS	64u	/* of tables, kept */

/* What is known of a pack as a whole; extents come in no order of packs. */
struct head {
	u64 pack;
	u32 blocks;
	bool usable;
};

/* A block of a table. */
struct lines {
	u64 pack;
	u32 index;
	struct nexus_pack_line *line;	/* NEXUS_PACK_LINES_PER_BLOCK of them */
};

struct verify {
	struct zone *z;
	bool served;
	bool data;
	verify_report report;
	void *arg;
	struct pack_reader *reader;
	struct pack_tables *logged;	/* NULL: none */
	struct verify_counts counts;
	struct head heads[HEADS];
	struct lines lines[LINE_BLOCKS];
	unsigned int next_head, next_lines;
	u8 block[NEXUS_BLOCK_SIZE];
};

/* One block and what is said of it. */
struct look {
	u64 data_id;
	u64 offset;
	u64 pack;
	u32 block;
	u32 flags;
	u64 ino;
};

struct verify *verify_new(struct zone *z, bool served, bool data, verify_report report,
			  void *arg)
{
	struct verify *v = calloc(1, sizeof(*v));
	struct nexus_pack_line *all;
	unsigned int i;

	if (!v)
		return NULL;
	v->z = z;
	v->served = served;
	v->data = data;
	v->report = report;
	v->arg = arg;
	v->reader = pack_reader_new(z->os);
	all = calloc(LINE_BLOCKS, NEXUS_BLOCK_SIZE);
	for (i = 0; all && i < LINE_BLOCKS; i++)
		v->lines[i].line = all + (size_t)i * NEXUS_PACK_LINES_PER_BLOCK;
	if (v->reader && all)
		return v;
	free(all);
	verify_free(v);
	return NULL;
}

void verify_free(struct verify *v)
{
	if (!v)
		return;
	pack_tables_free(v->logged);
	pack_reader_free(v->reader);
	free(v->lines[0].line);
	free(v);
}

int verify_add_log(struct verify *v)
{
	v->logged = pack_tables_new();
	if (!v->logged)
		return -ENOMEM;
	return replay_collect_tables(&v->z->replay, v->logged);
}

const struct verify_counts *verify_counts(const struct verify *v)
{
	return &v->counts;
}

static void report_pack(struct verify *v, u64 pack, int error, const char *what)
{
	const struct verify_problem p = { .pack = pack, .error = error, .what = what };

	v->report(v->arg, &p);
}

/* ---- heads and tables ------------------------------------------------------ */

/* What was read is not to be trusted any more. */
static void forget(struct verify *v)
{
	unsigned int i;

	memset(v->heads, 0, sizeof(v->heads));
	for (i = 0; i < LINE_BLOCKS; i++)
		v->lines[i].pack = 0;
	pack_reader_free(v->reader);
	v->reader = pack_reader_new(v->z->os);
}

static void read_head(struct verify *v, struct head *h)
{
	struct nexus_objectstore *os = v->z->os;
	struct nexus_pack_head raw;
	int fd, ret;

	fd = os->drv->open_pack(os, h->pack, false, &h->blocks);
	if (fd < 0) {
		/* Gone between the look into the index and this one. */
		if (fd != -ENOENT || !v->served)
			report_pack(v, h->pack, fd, "cannot be opened");
		return;
	}
	close(fd);
	if (h->blocks <= 1 + pack_table_blocks(h->blocks)) {
		report_pack(v, h->pack, 0, "its table cannot be read");
		return;
	}
	ret = pack_read_block(v->reader, h->pack, 0, v->block);
	if (ret) {
		report_pack(v, h->pack, ret, "its head cannot be read");
		return;
	}
	memcpy(&raw, v->block, sizeof(raw));
	h->usable = !pack_check_head(&raw, v->z->sb.uuid, h->pack, h->blocks);
	if (!h->usable)
		report_pack(v, h->pack, 0, "its head is damaged or of another pack");
}

static const struct head *get_head(struct verify *v, u64 pack)
{
	struct head *h;
	unsigned int i;

	for (i = 0; i < HEADS; i++)
		if (v->heads[i].pack == pack)
			return &v->heads[i];
	h = &v->heads[v->next_head++ % HEADS];
	*h = (struct head){ .pack = pack };
	read_head(v, h);
	return h;
}

/* The line of a block; NULL with *error: it cannot be read. */
static const struct nexus_pack_line *get_line(struct verify *v, u64 pack, u32 block, int *error)
{
	u32 index = block / NEXUS_PACK_LINES_PER_BLOCK;
	struct lines *l;
	unsigned int i;

	for (i = 0; i < LINE_BLOCKS; i++) {
		l = &v->lines[i];
		if (l->pack == pack && l->index == index)
			return &l->line[block % NEXUS_PACK_LINES_PER_BLOCK];
	}
	l = &v->lines[v->next_lines++ % LINE_BLOCKS];
	l->pack = 0;
	*error = pack_read_block(v->reader, pack, 1 + index, l->line);
	if (*error)
		return NULL;
	l->pack = pack;
	l->index = index;
	return &l->line[block % NEXUS_PACK_LINES_PER_BLOCK];
}

/* ---- blocks ---------------------------------------------------------------- */

enum verdict { FINE, WRONG, NO_LINE, AWAY };

static enum verdict wrong(const struct look *l, struct verify_problem *p, int error,
			  const char *what)
{
	*p = (struct verify_problem){
		.pack = l->pack, .block = l->block, .ino = l->ino, .data_id = l->data_id,
		.offset = l->offset, .error = error, .what = what,
	};
	return WRONG;
}

/* What the block should be, by its line or the log. */
static enum verdict find_crc(struct verify *v, struct look *l, struct verify_problem *p,
			     u32 *crc)
{
	const struct nexus_pack_line *line;
	int error = 0;

	line = get_line(v, l->pack, l->block, &error);
	if (!line)
		return wrong(l, p, error, "has a line that cannot be read");
	if (le32_to_cpu(line->pack) != (u32)l->pack ||
	    (!line->ino && !(le64_to_cpu(line->offset) & NEXUS_PL_ABSENT)))
		return v->logged && pack_tables_find(v->logged, l->pack, l->block, crc) ?
		       FINE : NO_LINE;
	if (le64_to_cpu(line->offset) & NEXUS_PL_ABSENT &&
	    !(le64_to_cpu(line->offset) & NEXUS_PL_AWAY))
		return wrong(l, p, 0, "is in use, and was given up as dead");
	if (le64_to_cpu(line->data_id) == l->data_id)
		l->ino = le64_to_cpu(line->ino);
	/* The first owner; of a shared block there are others. */
	else if (!(l->flags & NEXUS_EF_SHARED))
		return wrong(l, p, 0, "belongs to another file");
	if (le64_to_cpu(line->offset) & NEXUS_PL_NOCRC && !(l->flags & NEXUS_EF_NOCRC))
		return wrong(l, p, 0, "has no checksum");
	*crc = le32_to_cpu(line->crc);
	return le64_to_cpu(line->offset) & NEXUS_PL_AWAY ? AWAY : FINE;
}

static enum verdict look_at(struct verify *v, struct look *l, struct verify_problem *p)
{
	enum verdict ret;
	u32 crc = 0;
	int error;

	ret = find_crc(v, l, p, &crc);
	if (ret != FINE || !v->data)
		return ret;
	error = pack_read_block(v->reader, l->pack, l->block, v->block);
	if (error)
		return wrong(l, p, error, "cannot be read");
	v->counts.blocks++;
	/* Any content is right that can be read. */
	if (l->flags & NEXUS_EF_NOCRC)
		return FINE;
	if (nexus_crc32c(0, v->block, NEXUS_BLOCK_SIZE) != crc)
		return wrong(l, p, 0, "is damaged");
	return FINE;
}

/*
 * In a zone that changes: does the index map the block still?  *sealed: the pack is,
 * and so its table is whole.
 */
static bool still_mapped(struct verify *v, const struct look *l, bool *sealed)
{
	u64 fblock = l->offset >> NEXUS_BLOCK_SHIFT;
	struct nexus_pack_val b = { .state = 0 };
	struct nexus_key k;
	struct nexus_kext x;
	struct memview view;
	u64 val[64];
	int ret;

	*sealed = false;
	if (memview_begin(&view, &v->z->mt, NULL))
		return false;
	ret = nexus_ext_seek(&view.kv, l->data_id, fblock, &k, val, sizeof(val), &x);
	if (ret >= 0) {
		nexus_key_pack(&k, l->pack);
		if (nexus_kv_get(&view.kv, k.b, k.len, &b, sizeof(b)) >= (int)sizeof(b))
			*sealed = le32_to_cpu(b.state) == NEXUS_PACK_SEALED;
	}
	memview_end(&view);
	return ret >= 0 && x.fblock <= fblock && x.pack == l->pack &&
	       x.block + (fblock - x.fblock) == l->block;
}

static int check_block(struct verify *v, struct look *l)
{
	struct verify_problem p = { .pack = 0 };
	u64 before = v->counts.blocks;
	enum verdict ret = look_at(v, l, &p);
	bool sealed = true;

	if (ret != FINE && ret != AWAY && v->served) {
		if (!still_mapped(v, l, &sealed))
			return 0;
		forget(v);
		if (!v->reader)
			return -ENOMEM;
		ret = look_at(v, l, &p);
		v->counts.blocks = NEXUS_MIN(v->counts.blocks, before + 1);
		/* And not freed while it was looked at again. */
		if (ret != FINE && !still_mapped(v, l, &sealed))
			return 0;
	}
	/* Whoever reads it checks it. */
	if (ret == AWAY) {
		v->counts.away++;
		return 0;
	}
	if ((ret == NO_LINE && !sealed) || (ret == FINE && l->flags & NEXUS_EF_NOCRC)) {
		v->counts.unchecked++;
		return 0;
	}
	if (ret == NO_LINE)
		wrong(l, &p, 0, "has no checksum");
	if (ret != FINE)
		v->report(v->arg, &p);
	return 0;
}

static bool in_content(const struct head *h, u32 block, u32 n)
{
	return n && block > pack_table_blocks(h->blocks) && block < h->blocks &&
	       n <= h->blocks - block;
}

u64 verify_owner(struct verify *v, u64 data_id, u64 pack, u32 block)
{
	const struct head *h = get_head(v, pack);
	const struct nexus_pack_line *line;
	int error = 0;

	if (!h->usable || !in_content(h, block, 1))
		return 0;
	line = get_line(v, pack, block, &error);
	if (!line || le32_to_cpu(line->pack) != (u32)pack ||
	    le64_to_cpu(line->data_id) != data_id)
		return 0;
	return le64_to_cpu(line->ino);
}

bool verify_fits(struct verify *v, u64 pack, u32 block, u32 n)
{
	const struct head *h = get_head(v, pack);

	return !h->usable || in_content(h, block, n);
}

int verify_extent(struct verify *v, u64 data_id, u64 offset,
		  const struct nexus_extent_val *e)
{
	u32 i, n = le32_to_cpu(e->nblocks), first = le32_to_cpu(e->block);
	struct look l = {
		.data_id = data_id, .pack = le64_to_cpu(e->pack), .flags = le32_to_cpu(e->flags),
	};
	const struct head *h;
	int ret = 0;

	v->counts.extents++;
	if (l.flags & NEXUS_EF_UNWRITTEN)
		return 0;
	h = get_head(v, l.pack);
	if (!h->usable)
		return 0;
	if (!in_content(h, first, n)) {
		struct verify_problem p;

		l.offset = offset;
		l.block = first;
		wrong(&l, &p, 0, "does not lie in it, or not all that are mapped with it");
		v->report(v->arg, &p);
		return 0;
	}
	for (i = 0; i < n && !ret; i++) {
		l.offset = offset + ((u64)i << NEXUS_BLOCK_SHIFT);
		l.block = first + i;
		l.ino = 0;
		ret = check_block(v, &l);
	}
	return ret;
}

int verify_pack(struct verify *v, u64 pack, const struct nexus_pack_val *val)
{
	const struct head *h = get_head(v, pack);

	v->counts.packs++;
	if (h->usable && le32_to_cpu(val->used) > h->blocks)
		report_pack(v, pack, 0, "has fewer blocks than are used");
	return v->reader ? 0 : -ENOMEM;
}

/* ---- in steps --------------------------------------------------------------- */

struct found {
	u8 key[VERIFY_CURSOR_MAX];
	u32 len;
	union {
		struct nexus_pack_val b;
		struct nexus_extent_val e;
		u64 raw[64];
	};
	int vlen;
};

#define BATCH	64u	/* keys taken out of one view */

/* The next keys behind the cursor: packs, then extents. */
static int collect(struct zone *z, struct verify_cursor *c, struct found *f, u32 max, u32 *n)
{
	u8 key[NEXUS_KEY_MAX + 1];
	struct memview view;
	size_t klen;
	int ret;

	*n = 0;
	ret = memview_begin(&view, &z->mt, NULL);
	if (ret)
		return ret;
	while (*n < max && !c->done) {
		memcpy(key, c->key, c->len);
		klen = c->len;
		ret = nexus_kv_seek(&view.kv, key, &klen, f[*n].raw, sizeof(f[*n].raw));
		if (ret < 0 && ret != -ENOENT)
			break;
		if (ret == -ENOENT || key[0] != c->key[0] || klen > VERIFY_CURSOR_MAX - 1) {
			c->done = c->key[0] == NEXUS_KEY_EXTENT;
			c->key[0] = NEXUS_KEY_EXTENT;
			c->len = 1;
			ret = 0;
			continue;
		}
		memcpy(f[*n].key, key, klen);
		f[*n].len = (u32)klen;
		f[*n].vlen = ret;
		memcpy(c->key, key, klen);
		c->key[klen] = 0;
		c->len = (u32)klen + 1;
		(*n)++;
		ret = 0;
	}
	memview_end(&view);
	return ret;
}

static bool wanted(const uint64_t *packs, size_t n, u64 pack)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (packs[i] == pack)
			return true;
	return !n;
}

static int verify_found(struct verify *v, const struct found *f, const uint64_t *packs, size_t n)
{
	u64 id = nexus_get_be64(f->key + 1);

	if (f->key[0] == NEXUS_KEY_PACK && f->len == 9 && f->vlen >= (int)sizeof(f->b))
		return wanted(packs, n, id) ? verify_pack(v, id, &f->b) : 0;
	if (f->key[0] == NEXUS_KEY_EXTENT && f->len == 17 && f->vlen >= (int)sizeof(f->e) &&
	    wanted(packs, n, le64_to_cpu(f->e.pack)))
		return verify_extent(v, id, nexus_get_be64(f->key + 9), &f->e);
	return 0;
}

int verify_step(struct verify *v, struct verify_cursor *c, u32 max, const uint64_t *packs,
		size_t n)
{
	u64 limit = v->counts.blocks + max;
	struct found *f;
	u32 keys, i, count;
	int ret = 0;

	if (!c->len) {
		c->key[0] = NEXUS_KEY_PACK;
		c->len = 1;
	}
	if (c->len > VERIFY_CURSOR_MAX ||
	    (c->key[0] != NEXUS_KEY_PACK && c->key[0] != NEXUS_KEY_EXTENT))
		return -EINVAL;
	f = malloc(BATCH * sizeof(*f));
	if (!f)
		return -ENOMEM;
	for (keys = 0; !ret && !c->done && keys < VERIFY_STEP_KEYS && v->counts.blocks < limit;
	     keys += count) {
		/* An extent has up to 256 blocks. */
		u64 left = (limit - v->counts.blocks) / NEXUS_EXTENT_BLOCKS_MAX;

		ret = collect(v->z, c, f, (u32)NEXUS_MIN((u64)BATCH, left + 1), &count);
		for (i = 0; i < count && !ret; i++)
			ret = verify_found(v, &f[i], packs, n);
	}
	free(f);
	return ret;
}

int verify_known(struct zone *z, const uint64_t *packs, size_t n, u64 *missing)
{
	struct nexus_val_head head;
	struct nexus_key key;
	struct memview v;
	size_t i;
	int ret = memview_begin(&v, &z->mt, NULL);

	if (ret)
		return ret;
	for (i = 0; i < n && ret >= 0; i++) {
		nexus_key_pack(&key, packs[i]);
		*missing = packs[i];
		ret = nexus_kv_get(&v.kv, key.b, key.len, &head, sizeof(head));
	}
	memview_end(&v);
	return ret < 0 ? ret : 0;
}

void verify_text(const struct verify_problem *p, char *buf, size_t len)
{
	char why[128];

	if (p->error)
		snprintf(buf, len, "%s: %s", p->what,
			 strerror_r(-p->error, why, sizeof(why)));
	else
		snprintf(buf, len, "%s", p->what);
}
