// SPDX-License-Identifier: Apache-2.0
/* fsck.nexusfs --repair: what lib/repair.c decides, on disk. */
#include "fsck.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/repair.h"
#include "verify.h"

static void put_name(const u8 *name, size_t len)
{
	size_t i;

	putchar('"');
	for (i = 0; i < len; i++)
		printf(name[i] >= ' ' && name[i] < 0x7f && name[i] != '"' && name[i] != '\\' ?
		       "%c" : "\\%02x", name[i]);
	putchar('"');
}

static void on_note(void *arg, const struct nexus_repair_note *n)
{
	struct fsck *f = arg;

	f->changes++;
	printf("repaired: %c %llu", n->letter, n->id);
	if (n->other)
		printf(" (%llu)", n->other);
	if (n->name) {
		putchar(' ');
		put_name(n->name, n->namelen);
	}
	printf(": %s\n", n->what);
}

static void change(struct fsck *f, const char *what)
{
	f->changes++;
	printf("repaired: %s\n", what);
}

/* ---- superblock and allocators ---------------------------------------------- */

struct value {
	struct nexus_key key;
	u64 raw[SUPER_RAW_MAX / 8];
	size_t len;
};

static int put_value(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	const struct value *v = arg;

	return ms->drv->put(batch, v->key.b, v->key.len, v->raw, v->len);
}

/* 0: there, or absent (length 0). */
static int get_value(struct nexus_metastore *ms, struct value *v)
{
	struct nexus_ms_snap *snap;
	const void *val;
	int ret = ms->drv->begin_read(ms, &snap);

	v->len = 0;
	if (ret)
		return ret;
	ret = ms->drv->get(snap, v->key.b, v->key.len, &val, &v->len);
	if (!ret && v->len > sizeof(v->raw))
		ret = -EUCLEAN;
	if (!ret)
		memcpy(v->raw, val, v->len);
	else
		v->len = 0;
	ms->drv->end_read(snap);
	return ret == -ENOENT ? 0 : ret;
}

/* 1: mended, on disk; 0: it was right, or nothing can be done. */
static int mend_value(struct nexus_metastore *ms, struct value *v, size_t min)
{
	u8 type = v->key.b[0];
	int ret;

	if (!nexus_val_check(v->raw, v->len, type, min))
		return 0;
	if (v->len < min || nexus_val_mend(v->raw, v->len, type))
		return 0;
	ret = ms_write(ms, put_value, v);
	return ret ? ret : 1;
}

/* Above every number that a key of the index, or a file, has. */
static int find_numbers(struct nexus_metastore *ms, u64 *ino, u64 *pack)
{
	static const u8 letters[] = {
		NEXUS_KEY_INODE, NEXUS_KEY_EXTENT, NEXUS_KEY_ORPHAN, NEXUS_KEY_PACK,
	};
	struct nexus_ms_snap *snap;
	const void *key, *val;
	size_t i, klen, vlen;
	int ret = ms->drv->begin_read(ms, &snap);

	if (ret)
		return ret;
	for (i = 0; i < sizeof(letters); i++) {
		bool pack_key = letters[i] == NEXUS_KEY_PACK;
		u64 *max = pack_key ? pack : ino;

		for (ret = ms->drv->seek(snap, &letters[i], 1, false, &key, &klen, &val, &vlen);
		     !ret && *(const u8 *)key == letters[i];
		     ret = ms->drv->seek(snap, key, klen, true, &key, &klen, &val, &vlen)) {
			struct nexus_inode_val in;
			u64 id = klen >= 9 ? nexus_get_be64((const u8 *)key + 1) : 0;

			*max = NEXUS_MAX(*max, id);
			if (letters[i] != NEXUS_KEY_INODE || vlen < sizeof(in))
				continue;
			memcpy(&in, val, sizeof(in));
			if (!nexus_val_check(&in, sizeof(in), NEXUS_KEY_INODE, sizeof(in)))
				*ino = NEXUS_MAX(*ino, le64_to_cpu(in.data_id));
		}
		if (ret && ret != -ENOENT)
			break;
	}
	ms->drv->end_read(snap);
	return ret == -ENOENT ? 0 : ret;
}

static int on_file(void *arg, u64 pack)
{
	u64 *max = arg;

	*max = NEXUS_MAX(*max, pack);
	return 0;
}

static int highest_file(struct nexus_objectstore *os, u64 *pack)
{
	return os->drv->list(os, on_file, pack);
}

static int make_alloc(struct fsck *f, struct atrest *a, struct nexus_metastore *ms,
		      struct errline *err)
{
	struct nexus_objectstore *os;
	struct alloc al = { .segment_files = 0 };
	u64 ino = NEXUS_FIRST_INO, pack = 0;
	int ret = store_open_packs(&a->cfg, a->dir, &os, err);

	if (ret)
		return ret;
	ret = highest_file(os, &pack);
	os->drv->close(os);
	if (!ret)
		ret = find_numbers(ms, &ino, &pack);
	/* Those above were handed out and are not in use: nobody knows how many. */
	al.next_ino = (ino | (ZONE_INO_RANGE - 1)) + 1 + ZONE_INO_RANGE;
	al.next_pack = pack + 1;
	if (!ret)
		ret = alloc_write(ms, &al);
	if (ret)
		return err_set(err, ret, "the allocator record cannot be made again: %s",
			       strerror(-ret));
	change(f, "the allocator record was missing or damaged: made again above everything in use");
	return 0;
}

int fsck_repair_super(struct fsck *f, struct atrest *a, struct errline *err)
{
	struct nexus_metastore *ms;
	struct value v;
	int ret;

	/* An index that is no index: loading has the words for it. */
	if (store_open_index(&a->cfg, a->dir, false, &ms, NULL))
		return 0;
	nexus_key_zone(&v.key);
	ret = get_value(ms, &v);
	if (!ret)
		ret = mend_value(ms, &v, sizeof(struct nexus_zone_val));
	if (ret == 1)
		change(f, "the superblock had one wrong byte: it is right again");
	/* Of a zone that is not ours to change, the rest is not looked at. */
	if (ret >= 0 && !nexus_val_check(v.raw, v.len, NEXUS_KEY_ZONE,
					 sizeof(struct nexus_zone_val))) {
		nexus_key_alloc(&v.key);
		ret = get_value(ms, &v);
		if (!ret)
			ret = mend_value(ms, &v, sizeof(struct nexus_alloc_val));
		if (ret == 1)
			change(f, "the allocator record had one wrong byte: it is right again");
		if (ret >= 0 && nexus_val_check(v.raw, v.len, NEXUS_KEY_ALLOC,
						sizeof(struct nexus_alloc_val)))
			ret = make_alloc(f, a, ms, err);
	}
	ms->drv->close(ms);
	if (ret < 0 && !err->msg[0])
		err_set(err, ret, "the index cannot be written: %s", strerror(-ret));
	return ret < 0 && ret != -EUCLEAN ? ret : 0;
}

/* ---- the rest ----------------------------------------------------------------- */

struct repairing {
	struct fsck *f;
	struct verify *v;
	struct nexus_omap overlay;
};

static void say_nothing(void *arg, const struct verify_problem *p)
{
	(void)arg;
	(void)p;
}

static void note(void *arg, const struct nexus_repair_note *n)
{
	struct repairing *r = arg;

	on_note(r->f, n);
}

static bool fits(void *arg, const struct nexus_kext *x)
{
	struct repairing *r = arg;

	return verify_fits(r->v, x->pack, x->block, x->nblocks);
}

static u64 owner(void *arg, u64 data_id, u64 pack, u32 block)
{
	struct repairing *r = arg;

	return verify_owner(r->v, data_id, pack, block);
}

static int put_map(struct nexus_metastore *ms, struct nexus_ms_batch *batch,
		   const struct nexus_omap *map)
{
	const struct nexus_omap_entry *e;
	int ret = 0;

	for (e = nexus_omap_lower(map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(map, e->data, e->klen, true)) {
		if (e->tombstone)
			ret = ms->drv->del(batch, e->data, e->klen);
		else
			ret = ms->drv->put(batch, e->data, e->klen, nexus_omap_val(e), e->vlen);
	}
	return ret;
}

/* What the log says, what was mended on top of it, and that the log is in it. */
static int fill(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	struct repairing *r = arg;
	int ret = put_map(ms, batch, r->f->z->mt.active);

	if (!ret)
		ret = put_map(ms, batch, &r->overlay);
	return ret ? ret : super_put(ms, batch, &r->f->z->sb);
}

static int commit(struct repairing *r, struct errline *err)
{
	struct zone *z = r->f->z;
	u64 lines, max = seglog_max_number(&z->applog);
	int ret = 0;

	if (z->unclean)
		ret = replay_tables(&z->replay, z->sb.uuid, &lines);
	if (ret)
		return err_set(err, ret, "the tables of packs cannot be completed: %s",
			       strerror(-ret));
	if (max >= z->sb.next_segment)
		z->sb.next_segment = max + 1;
	z->sb.checkpoint = memtable_applied(&z->mt);
	z->sb.log_from = z->sb.checkpoint;
	z->sb.flags |= NEXUS_ZF_CLEAN;
	ret = ms_write(z->ms, fill, r);
	return ret ? err_set(err, ret, "the index cannot be written: %s", strerror(-ret)) : 0;
}

static s64 mend(struct repairing *r, u64 min_pack)
{
	struct nexus_repair repair = {
		.alloc = true, .min_pack = min_pack, .arg = r, .note = note,
		.fits = fits, .owner = owner,
	};
	struct timespec now;
	struct memview view;
	s64 n;

	clock_gettime(CLOCK_REALTIME, &now);
	repair.now = (struct nexus_time){ now.tv_sec, (u32)now.tv_nsec };
	n = memview_begin(&view, &r->f->z->mt, &r->overlay);
	if (n)
		return n;
	repair.kv = &view.kv;
	n = nexus_store_repair(&repair);
	memview_end(&view);
	return n;
}

int fsck_repair(struct fsck *f, struct errline *err)
{
	struct repairing r = { .f = f };
	u64 min_pack = 0;
	s64 n;
	int ret;

	/* The log ends with what is mended. */
	ret = zone_rehome(f->z, true, err);
	if (ret)
		return ret;
	r.v = verify_new(f->z, false, false, say_nothing, NULL);
	if (!r.v)
		return -ENOMEM;
	nexus_omap_init(&r.overlay);
	ret = highest_file(f->z->os, &min_pack);
	n = ret ? ret : mend(&r, min_pack);
	if (n < 0)
		ret = err_set(err, (int)n, "the store cannot be repaired: %s",
			      strerror((int)-n));
	else if (n > 0)
		ret = commit(&r, err);
	nexus_omap_destroy(&r.overlay);
	verify_free(r.v);
	return ret;
}
