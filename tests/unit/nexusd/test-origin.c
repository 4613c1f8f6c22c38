// SPDX-License-Identifier: Apache-2.0
/*
 * A zone with its content store, when the machine is lost at any moment: what comes back is
 * the zone as it was at one batch of the log, not before what was with the store.  And who
 * may write there, and what is made of objects that are damaged, missing, or lies.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fetch.h"
#include "origin.h"
#include "presence.h"
#include "restore.h"
#include "util.h"

#define PACK_BLOCKS	256u
#define ROUNDS		6u
#define MOMENTS		64u

/* The zone as it was when a batch ended. */
struct moment {
	u64 lsn;
	struct nexus_omap keys;
	u32 content;
};

struct world {
	struct config cfg;
	struct fake k;
	struct gen g;
	struct logw w;
	struct zone *z;
	struct pack_tables *lines;	/* as the kernel writes them when it seals */
	struct moment at[MOMENTS];
	u32 n;
	u64 now;
	u64 acked;			/* with the store, as far as we were told */
};

static void control(const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/elsewhere/control", test_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Of all content there is, in the order of keys. */
static u32 content_of(struct zone *z)
{
	struct pack_reader *r = pack_reader_new(z->os);
	u8 key[NEXUS_KEY_MAX + 1] = { NEXUS_KEY_EXTENT }, block[NEXUS_BLOCK_SIZE];
	struct nexus_extent_val x;
	struct memview v;
	size_t klen = 1;
	u32 crc = 0, i;

	assert_non_null(r);
	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	while (nexus_kv_seek(&v.kv, key, &klen, &x, sizeof(x)) >= 0 && key[0] == NEXUS_KEY_EXTENT) {
		for (i = 0; x.pack && i < le32_to_cpu(x.nblocks); i++) {
			assert_int_equal(pack_read_block(r, le64_to_cpu(x.pack),
							 le32_to_cpu(x.block) + i, block), 0);
			crc = nexus_crc32c(crc, block, sizeof(block));
		}
		key[klen++] = 0;
	}
	memview_end(&v);
	pack_reader_free(r);
	return crc;
}

static void remember(struct world *m)
{
	struct moment *at = &m->at[m->n++];

	assert_true(m->n <= MOMENTS);
	at->lsn = memtable_applied(&m->z->mt);
	zone_dump(m->z, &at->keys);
	at->content = content_of(m->z);
}

static void batch(struct world *m)
{
	logw_batch(&m->w);
	fake_durable(&m->k, m->k.tail);
	assert_int_equal(applier_run(&m->z->applier, 0), 0);
	remember(m);
}

static void append(struct world *m, struct nexus_rec_head *rec)
{
	if (!rec)
		return;
	append_both(&m->k, &m->w, rec);
	assert_int_equal(pack_tables_add(m->lines, (const u8 *)rec, le32_to_cpu(rec->len)), 0);
}

static void write_some(struct world *m)
{
	u32 i;

	for (i = 0; i < 12; i++)
		append(m, gen_next(&m->g));
	for (i = 0; i < 6; i++) {
		struct gen_file *f = &m->g.file[rnd(GEN_FILES)];

		append(m, f->ino ? gen_extent(&m->g, f) : NULL);
	}
	batch(m);
}

/* As the kernel does: the table, then the record; and the next pack is written to. */
static void seal(struct world *m)
{
	struct nexus_rec_pack rec;
	u64 n, next;

	assert_int_equal(zone_take_packs(m->z, 1, &next), 0);
	assert_int_equal(pack_create(m->z->os, next, PACK_BLOCKS, m->z->sb.uuid), 0);
	assert_int_equal(pack_tables_write(m->lines, m->z->os, m->z->sb.uuid, &n), 0);
	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, (struct nexus_time){ 1, 0 });
	rec.pack = cpu_to_le64(m->g.pack);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(m->g.next_block);
	append(m, &rec.head);
	batch(m);
	m->g.pack = next;
	m->g.next_block = 1 + pack_table_blocks(PACK_BLOCKS);
}

static void fold(struct world *m)
{
	assert_int_equal(zone_fold(m->z, 0, false), 0);
}

static void base(struct world *m)
{
	char path[PATH_MAX];

	memset(m, 0, sizeof(*m));
	store_remove_tree(test_dir);
	assert_int_equal(mkdir(test_dir, 0700), 0);
	test_config(&m->cfg, &nexus_ms_lmdb);
	snprintf(path, sizeof(path), "%s/elsewhere", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(m->cfg.content, sizeof(m->cfg.content), "test:%.200s", path);
}

static void begin_zone(struct world *m)
{
	u64 pos = m->g.next_pos;

	m->z = fake_open(&m->k, &m->cfg, 1u << 20);
	gen_init(&m->g, m->z->al.next_ino + 1000, m->k.handed[0], PACK_BLOCKS);
	m->g.next_pos = NEXUS_MAX(m->g.next_pos, pos);
	m->g.os = m->z->os;
	log_of(m->z, &m->w);
	m->lines = pack_tables_new();
	remember(m);
}

static void make(struct world *m)
{
	base(m);
	test_zone(&m->cfg);
	begin_zone(m);
}

static void end_zone(struct world *m)
{
	logw_free(&m->w);
	pack_tables_free(m->lines);
	m->lines = NULL;
	power_cut(&m->k, m->z);
	m->z = NULL;
}

static void forget(struct world *m)
{
	while (m->n)
		nexus_omap_destroy(&m->at[--m->n].keys);
}

/* Nothing of it is left. */
static void lose(struct world *m)
{
	end_zone(m);
	store_remove_tree(m->cfg.data_dir);
}

static void own(struct world *m)
{
	struct errline err = { "" };

	assert_int_equal(origin_open(m->z, false, &err), 0);
	assert_non_null(m->z->origin);
	m->z->origin->part_bytes = 20000;
}

static void step(struct world *m, u64 ms)
{
	if (!m->z->origin)
		return;
	m->now += ms;
	origin_step(m->z->origin, m->now);
	m->acked = NEXUS_MAX(m->acked, m->z->origin->end);
}

static int restore_as(struct world *m, const char *name, bool take_over, struct restored *done,
		      struct errline *err)
{
	struct restore_args args = {
		.spec = m->cfg.content, .name = name, .take_over = take_over,
	};
	int lock = -1;

	err->msg[0] = '\0';
	assert_int_equal(store_open_data(&m->cfg, &lock, err), 0);
	close(lock);
	return zone_restore(&m->cfg, &args, done, err);
}

static void fetch_all(struct zone *z)
{
	u8 key[NEXUS_KEY_MAX + 1] = { NEXUS_KEY_PACK };
	struct nexus_pack_val val;
	u64 pack[64];
	u32 n = 0;
	struct memview v;
	size_t klen = 1;

	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	while (nexus_kv_seek(&v.kv, key, &klen, &val, sizeof(val)) >= 0 && key[0] == NEXUS_KEY_PACK) {
		if (val.live)
			pack[n++] = nexus_get_be64(key + 1);
		assert_true(n < 64);
		key[klen++] = 0;
	}
	memview_end(&v);
	assert_int_equal(zone_fetch_start(z), 0);
	while (n)
		assert_int_equal(zone_fetch(z, pack[--n], 0, PACK_BLOCKS), 0);
}

/* The zone that was restored is what it was at some batch, with all content. */
static void check_restored(struct world *m, const struct restored *done)
{
	struct nexus_omap keys;
	struct fake k;
	struct zone *z;
	u64 lsn;
	u32 i;

	z = fake_open(&k, &m->cfg, 1u << 20);
	lsn = z->sb.checkpoint;
	assert_true(lsn == done->end);
	assert_true(lsn >= m->acked);
	for (i = 0; i < m->n && m->at[i].lsn != lsn; i++)
		;
	assert_true(i < m->n);
	zone_is_sound(z);
	zone_dump(z, &keys);
	same_maps(&m->at[i].keys, &keys);
	nexus_omap_destroy(&keys);
	fetch_all(z);
	assert_int_equal(content_of(z), m->at[i].content);
	/* Nothing is handed out that was before. */
	assert_true(z->al.next_pack > 1u << 20);
	power_cut(&k, z);
}

static void work(struct world *m)
{
	u32 i;

	step(m, 1);
	for (i = 0; i < ROUNDS; i++) {
		write_some(m);
		step(m, 6000);
		if (i == 1 || i == 3)
			seal(m);
		if (i == 2 || i == 4) {
			fold(m);
			step(m, 300000);
		}
	}
}

/* Everything went well until the machine was gone. */
static void test_lost(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_true(done.packs >= 2);
	assert_string_equal(done.note, "");
	check_restored(&m, &done);
	forget(&m);
}

/* It was gone between any two writes to the store. */
static void test_lost_anywhere(void **state)
{
	struct restored done;
	struct errline err;
	u32 cut, none = 0;
	struct world m;
	bool whole;
	char text[32];
	int ret;

	(void)state;
	for (cut = 0, whole = false; !whole; cut++) {
		make(&m);
		snprintf(text, sizeof(text), "cut %u\n", cut);
		control(text);
		ret = origin_open(m.z, false, &err);
		if (ret)
			origin_free(m.z);
		else
			m.z->origin->part_bytes = 20000;
		work(&m);
		whole = m.z->origin && m.acked == m.at[m.n - 1].lsn && !m.z->origin->failed;
		lose(&m);
		control("");
		ret = restore_as(&m, "z", true, &done, &err);
		if (ret) {
			/* Nothing was ever whole, and nobody was told so. */
			assert_true(m.acked == 0);
			assert_true(ret == -ENOENT);
			none++;
		} else {
			check_restored(&m, &done);
		}
		forget(&m);
	}
	assert_true(cut > 30);
	assert_true(none > 3 && none < cut / 2);
}

/* A clean end is a checkpoint, and anybody may go on. */
static void test_clean(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;

	(void)state;
	make(&m);
	own(&m);
	write_some(&m);
	seal(&m);
	write_some(&m);
	assert_int_equal(zone_fold(m.z, 0, true), 0);
	assert_true(m.z->sb.flags & NEXUS_ZF_CLEAN);
	origin_stop(m.z);
	origin_end(m.z, true);
	m.acked = memtable_applied(&m.z->mt);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", false, &done, &err), 0);
	assert_true(done.checkpoint == m.acked && done.epoch == 2);
	check_restored(&m, &done);
	/* And on from there. */
	forget(&m);
	begin_zone(&m);
	own(&m);
	assert_true(m.z->origin->owner.epoch == 2);
	work(&m);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", false, &done, &err), -EBUSY);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_true(done.epoch == 3);
	check_restored(&m, &done);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), -EEXIST);
	forget(&m);
}

/* Two on one prefix: the second is told who; after a take-over the first one ends. */
static void test_two(void **state)
{
	char host[65] = "";
	struct restored done;
	struct errline err;
	struct world m;
	struct origin *o;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	o = m.z->origin;
	gethostname(host, 64);
	assert_int_equal(restore_as(&m, "y", false, &done, &err), -EBUSY);
	assert_non_null(strstr(err.msg, host));
	assert_non_null(strstr(err.msg, "--take-over"));
	/* It goes on as if nothing had been. */
	write_some(&m);
	step(&m, 6000);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	assert_false(atomic_load(&o->fenced));
	assert_int_equal(restore_as(&m, "y", true, &done, &err), 0);
	assert_true(done.end == m.acked && done.epoch == 2);
	/* The old one notices by itself, and says why. */
	write_some(&m);
	step(&m, 30000);
	assert_true(atomic_load(&o->fenced));
	assert_int_equal(m.k.fails, 1);
	assert_non_null(strstr(m.k.reason, host));
	assert_int_equal(zone_error(m.z, NULL), -EROFS);
	/* Nothing of it gets there any more. */
	write_some(&m);
	step(&m, 300000);
	assert_int_equal(origin_checkpoint(o, &err) != 0, 1);
	end_zone(&m);
	forget(&m);
}

/* A checkpoint that comes before the next renewal finds out, too; and writes no manifest. */
static void test_fenced_checkpoint(void **state)
{
	struct origin_manifest before, after;
	u8 raw[sizeof(struct nexus_origin_manifest)];
	struct restored done;
	struct errline err;
	struct world m;
	struct content *c;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	c = m.z->origin->content;
	assert_int_equal(restore_as(&m, "y", true, &done, &err), 0);
	assert_int_equal(c->ops->get_named(c, "manifest", 0, raw, sizeof(raw), NULL), sizeof(raw));
	assert_int_equal(origin_manifest_parse(raw, sizeof(raw), &before), 0);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), -EROFS);
	assert_true(atomic_load(&m.z->origin->fenced));
	assert_int_equal(c->ops->get_named(c, "manifest", 0, raw, sizeof(raw), NULL), sizeof(raw));
	assert_int_equal(origin_manifest_parse(raw, sizeof(raw), &after), 0);
	assert_true(before.number == after.number);
	end_zone(&m);
	forget(&m);
}

/* Without conditional writes nobody is kept from anything: refused, unless it is wanted. */
static void test_unfenced(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;

	(void)state;
	make(&m);
	control("unconditional\n");
	err.msg[0] = '\0';
	assert_int_equal(origin_open(m.z, false, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "content_unfenced"));
	origin_free(m.z);
	m.cfg.content_unfenced = true;
	own(&m);
	work(&m);
	assert_true(m.acked > 0);
	/* The holder is looked at all the same. */
	assert_int_equal(restore_as(&m, "y", false, &done, &err), -EBUSY);
	lose(&m);
	m.cfg.content_unfenced = false;
	assert_int_equal(restore_as(&m, "z", true, &done, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "--unfenced"));
	m.cfg.content_unfenced = true;
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* ---- damage ------------------------------------------------------------------------- */

struct named {
	char name[64][CONTENT_NAME_MAX + 1];
	u32 n;
};

static int note_name(void *arg, const char *name, __u64 bytes)
{
	struct named *l = arg;

	(void)bytes;
	assert_true(l->n < 64);
	snprintf(l->name[l->n++], CONTENT_NAME_MAX + 1, "%s", name);
	return 0;
}

static struct content *open_content(struct world *m)
{
	static atomic_bool stop;
	struct errline err = { "" };
	struct content *c = NULL;

	assert_int_equal(content_open(m->cfg.content, NULL, &stop, &c, &err), 0);
	return c;
}

/* One byte of it is another, or it is gone. */
static void spoil(struct content *c, const char *name, bool gone)
{
	u8 *buf = malloc(1u << 20);
	ssize_t n;

	assert_non_null(buf);
	if (gone) {
		assert_int_equal(c->ops->del_named(c, name), 0);
	} else {
		n = c->ops->get_named(c, name, 0, buf, 1u << 20, NULL);
		assert_true(n > 0);
		buf[n - 20] ^= 4;
		assert_int_equal(c->ops->put_named(c, name, buf, (size_t)n, CONTENT_ANY, NULL), 0);
	}
	free(buf);
}

static void again(struct world *m)
{
	store_remove_tree(m->cfg.data_dir);
}

/* Two checkpoints are there; work() makes three. */
static void make_lost(struct world *m)
{
	make(m);
	own(m);
	work(m);
	lose(m);
}

static void test_damaged(void **state)
{
	static struct named l;
	struct restored done;
	struct errline err;
	struct content *c;
	struct world m;
	u32 gone, i;

	(void)state;
	for (gone = 0; gone < 2; gone++) {
		/* The newest checkpoint: the one before, and all of the log behind it. */
		make_lost(&m);
		c = open_content(&m);
		l.n = 0;
		assert_int_equal(c->ops->list_named(c, "checkpoint/", note_name, &l), 0);
		assert_true(l.n > 3);
		spoil(c, l.name[l.n - 1], gone);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		assert_non_null(strstr(done.note, l.name[l.n - 1]));
		check_restored(&m, &done);
		again(&m);
		/* Both: it says which objects. */
		spoil(c, l.name[0], gone);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), -ENODATA);
		assert_non_null(strstr(err.msg, l.name[0]));
		assert_non_null(strstr(err.msg, l.name[l.n - 1]));
		content_close(c);
		forget(&m);
		/* The log: up to there. */
		make_lost(&m);
		c = open_content(&m);
		l.n = 0;
		assert_int_equal(c->ops->list_named(c, "log/", note_name, &l), 0);
		assert_true(l.n > 1);
		spoil(c, l.name[l.n - 1], gone);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		assert_int_equal(!strstr(done.note, l.name[l.n - 1]), gone);
		assert_true(done.end < m.acked);
		m.acked = 0;
		check_restored(&m, &done);
		content_close(c);
		forget(&m);
		/* The manifest. */
		make_lost(&m);
		c = open_content(&m);
		spoil(c, "manifest", gone);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), gone ? -ENOENT : -EUCLEAN);
		assert_non_null(strstr(err.msg, "manifest"));
		content_close(c);
		forget(&m);
		/* The owner: nobody knows who may. */
		make_lost(&m);
		c = open_content(&m);
		spoil(c, "owner", gone);
		if (!gone) {
			assert_int_equal(restore_as(&m, "z", false, &done, &err), -EUCLEAN);
			assert_non_null(strstr(err.msg, "owner"));
		}
		assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		assert_true(done.epoch > 1);
		check_restored(&m, &done);
		content_close(c);
		forget(&m);
		/* A pack. */
		make_lost(&m);
		c = open_content(&m);
		for (i = 0; i < 8; i++)
			assert_int_equal(c->ops->del(c, i), 0);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), -ENODATA);
		assert_non_null(strstr(err.msg, "pack "));
		/* Who tries again does not have to take over from itself. */
		assert_int_equal(restore_as(&m, "z", false, &done, &err), -ENODATA);
		content_close(c);
		forget(&m);
	}
}

/* What no checkpoint needs goes, also packs that are no more; and not before. */
static void test_cleaned(void **state)
{
	static struct named l;
	struct errline err = { "" };
	struct world m;
	struct origin *o;
	u64 pack, bytes;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	o = m.z->origin;
	pack = o->there[0];
	assert_int_equal(zone_fetch_start(m.z), 0);
	zone_fetch_forget(m.z, pack);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), 0);
	assert_int_equal(origin_checkpoint(o, &err), 0);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), 0);
	assert_int_equal(origin_checkpoint(o, &err), 0);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), -ENOENT);
	l.n = 0;
	assert_int_equal(o->content->ops->list_named(o->content, "", note_name, &l), 0);
	/* Manifest, owner, two checkpoints, no log. */
	assert_int_equal(l.n, 2 + o->manifest.checkpoint[0].parts + o->manifest.checkpoint[1].parts);
	end_zone(&m);
	forget(&m);
}

/* A log that went round while the store was away is in the next checkpoint. */
static void test_overtaken(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	u64 n;

	(void)state;
	make(&m);
	own(&m);
	write_some(&m);
	step(&m, 1);
	control("refuse\n");
	write_some(&m);
	step(&m, 6000);
	assert_true(m.z->origin->failed);
	fold(&m);
	/* Its segment is written over by the next. */
	m.w.segment++;
	logw_segment(&m.w, 0, super_segment_blocks(&m.z->sb));
	write_some(&m);
	control("");
	/* A kernel that forgot the lines: what would come back is not all, and it is seen. */
	step(&m, 20000);
	step(&m, 20000);
	assert_true(m.z->origin->failed && !m.z->origin->end);
	assert_int_equal(pack_tables_write(m.lines, m.z->os, m.z->sb.uuid, &n), 0);
	step(&m, 20000);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* ---- lies --------------------------------------------------------------------------- */

static void mutate(u8 *buf, size_t len)
{
	u32 i, n = 1 + rnd(4);

	for (i = 0; i < n; i++)
		buf[rnd((u32)len)] = (u8)rnd(256);
}

/* Anything may come back, with a checksum that is right: no parser falls over it. */
static void test_parsers(void **state)
{
	struct nexus_origin_manifest man, *mp = malloc(sizeof(*mp));
	struct nexus_origin_owner own_raw, *op = malloc(sizeof(*op));
	struct origin_manifest m = {
		.epoch = 3, .number = 9, .count = 2,
		.checkpoint = { { 3, 9, 4096, 8192, 2, 1, 100, 1, 7 }, { 3, 8, 4096, 4096, 2, 1, 9, 1, 7 } },
	};
	struct origin_owner o = { .epoch = 3, .turn = 9, .state = NEXUS_OWNER_HELD,
				  .host = "a", .machine = "b" };
	struct origin_part part;
	u32 i, good = 0;

	(void)state;
	origin_manifest_encode(&m, &man);
	origin_owner_encode(&o, &own_raw);
	assert_int_equal(origin_manifest_parse(&man, sizeof(man), &m), 0);
	assert_int_equal(origin_owner_parse(&own_raw, sizeof(own_raw), &o), 0);
	for (i = 0; i < 100000; i++) {
		struct origin_manifest m2;
		struct origin_owner o2;

		*mp = man;
		*op = own_raw;
		mutate((u8 *)mp, sizeof(*mp));
		mutate((u8 *)op, sizeof(*op));
		if (i % 2) {
			mp->crc = 0;
			mp->crc = cpu_to_le32(nexus_crc32c(0, mp, sizeof(*mp)));
			op->crc = 0;
			op->crc = cpu_to_le32(nexus_crc32c(0, op, sizeof(*op)));
		}
		if (!origin_manifest_parse(mp, i % 3 ? sizeof(*mp) : rnd(sizeof(*mp)), &m2)) {
			assert_true(m2.count >= 1 && m2.count <= NEXUS_MANIFEST_MAX);
			good++;
		}
		if (!origin_owner_parse(op, i % 3 ? sizeof(*op) : rnd(sizeof(*op)), &o2))
			assert_true(strlen(o2.host) < sizeof(o2.host) && o2.epoch);
		assert_int_not_equal(origin_part_parse(op, rnd(sizeof(*op)), &part), 0);
	}
	assert_true(good > 1000);
	free(mp);
	free(op);
}

struct lie {
	struct origin_stream_out out;
	u32 at, kind, n;
};

static int copy_item(void *arg, const struct origin_stream_item *it)
{
	struct lie *lie = arg;
	u32 type = it->type, len = it->len;
	u64 args = it->arg, block = it->block;

	if (lie->n++ == lie->at) {
		switch (lie->kind) {
		case 0:
			mutate(it->data, len);
			break;
		case 1:
			args = rnd(2) ? rnd(0xffffffff) : rnd(300);
			break;
		case 2:
			block = rnd(300);
			break;
		case 3:
			type = rnd(6);
			break;
		case 4:
			len = rnd(len + 1);
			break;
		default:
			return 0;
		}
	}
	origin_stream_item(&lie->out, type, args, block, it->data, len, NULL, 0);
	return lie->out.ret;
}

/*
 * A checkpoint whose checksums are all right and that holds something else: it is refused,
 * or what comes of it can be opened; nothing worse.
 */
static void test_streams(void **state)
{
	struct restored done;
	struct errline err = { "" };
	struct content *c;
	struct world m;
	u32 i, refused = 0;

	(void)state;
	make_lost(&m);
	c = open_content(&m);
	for (i = 0; i < 150; i++) {
		u8 raw[sizeof(struct nexus_origin_manifest)];
		struct origin_manifest man;
		struct nexus_origin_manifest out;
		struct origin_checkpoint *cp;
		struct origin_part p = { .kind = NEXUS_STREAM_CHECKPOINT };
		struct lie lie = { .kind = rnd(6) };
		FILE *spool = origin_stream_spool(test_dir);
		char folder[ORIGIN_FOLDER];
		u64 bytes;
		u32 crc, n;

		assert_int_equal(c->ops->get_named(c, "manifest", 0, raw, sizeof(raw), NULL), sizeof(raw));
		assert_int_equal(origin_manifest_parse(raw, sizeof(raw), &man), 0);
		cp = &man.checkpoint[i ? 1 : 0];
		memcpy(p.zone, man.zone, sizeof(p.zone));
		p.epoch = cp->epoch;
		p.lsn = cp->lsn;
		origin_checkpoint_folder(cp->epoch, cp->number, folder);
		assert_int_equal(origin_stream_get(c, folder, &p, spool, &bytes, &crc, &err), 0);
		lie.out.spool = origin_stream_spool(test_dir);
		lie.at = UINT32_MAX;
		assert_int_equal(origin_stream_each(spool, copy_item, &lie), 0);
		n = lie.n;
		rewind(lie.out.spool);
		lie = (struct lie){ .kind = lie.kind, .at = rnd(n), .out.spool = lie.out.spool };
		origin_stream_each(spool, copy_item, &lie);
		origin_stream_end(&lie.out);
		/* It becomes the newest; the true one stays the second. */
		cp = &man.checkpoint[0];
		cp->number = 1000 + i;
		cp->epoch = p.epoch;
		cp->lsn = p.lsn;
		cp->end = p.end;
		cp->incarnation = p.incarnation;
		origin_checkpoint_folder(cp->epoch, cp->number, folder);
		assert_int_equal(origin_stream_put(&lie.out, c, folder, &p, 50000, &cp->bytes, &cp->parts,
					    &cp->crc), 0);
		origin_manifest_encode(&man, &out);
		assert_int_equal(c->ops->put_named(c, "manifest", &out, sizeof(out), CONTENT_ANY, NULL), 0);
		fclose(spool);
		fclose(lie.out.spool);
		if (restore_as(&m, "z", true, &done, &err)) {
			assert_true(err.msg[0]);
			refused++;
		} else {
			static struct chan chan = { .fd = -1 };
			struct zone *z = zone_new(NULL, &m.cfg, &chan, "z");

			zone_load(z, true, false, &err);
			zone_put(z);
		}
		again(&m);
	}
	assert_true(refused > 20);
	content_close(c);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lost, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_lost_anywhere, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_clean, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_two, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_fenced_checkpoint, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unfenced, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_cleaned, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_overtaken, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_parsers, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_streams, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
