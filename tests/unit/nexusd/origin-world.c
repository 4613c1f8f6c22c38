// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include "fetch.h"
#include "origin-world.h"

const char *world_content;

void control(const char *text)
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

void end_batch(struct world *m, bool durable)
{
	logw_batch(&m->w);
	if (durable)
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

void add_some(struct world *m)
{
	u32 i;

	for (i = 0; i < 12; i++)
		append(m, gen_next(&m->g));
	for (i = 0; i < 6; i++) {
		struct gen_file *f = &m->g.file[rnd(GEN_FILES)];

		append(m, f->ino ? gen_extent(&m->g, f) : NULL);
	}
}

void write_some(struct world *m)
{
	add_some(m);
	end_batch(m, true);
}

void add_seal(struct world *m)
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
	m->g.pack = next;
	m->g.next_block = 1 + pack_table_blocks(PACK_BLOCKS);
}

void seal(struct world *m)
{
	add_seal(m);
	end_batch(m, true);
}

void fold(struct world *m)
{
	assert_int_equal(zone_fold(m->z, 0, false), 0);
}

static void base(struct world *m)
{
	char path[PATH_MAX];

	memset(m, 0, sizeof(*m));
	m->share = 1000000;
	store_remove_tree(test_dir);
	assert_int_equal(mkdir(test_dir, 0700), 0);
	test_config(&m->cfg, &nexus_ms_lmdb);
	snprintf(path, sizeof(path), "%s/elsewhere", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(m->cfg.content, sizeof(m->cfg.content), "test:%.200s", path);
	if (world_content)
		snprintf(m->cfg.content, sizeof(m->cfg.content), "%s", world_content);
}

void begin_zone(struct world *m)
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

void make(struct world *m)
{
	base(m);
	test_zone(&m->cfg);
	begin_zone(m);
}

void end_zone(struct world *m)
{
	logw_free(&m->w);
	pack_tables_free(m->lines);
	m->lines = NULL;
	power_cut(&m->k, m->z);
	m->z = NULL;
}

void forget(struct world *m)
{
	while (m->n)
		nexus_omap_destroy(&m->at[--m->n].keys);
}

void lose(struct world *m)
{
	end_zone(m);
	store_remove_tree(m->cfg.data_dir);
}

void own(struct world *m)
{
	struct errline err = { "" };

	assert_int_equal(origin_open(m->z, false, &err), 0);
	assert_non_null(m->z->origin);
	m->z->origin->part_bytes = 20000;
	m->z->origin->share = m->share;
}

void step(struct world *m, u64 ms)
{
	if (!m->z->origin)
		return;
	m->now += ms;
	origin_step(m->z->origin, m->now);
	m->acked = NEXUS_MAX(m->acked, m->z->origin->end);
}

int restore_as(struct world *m, const char *name, bool take_over, struct restored *done,
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

void check_restored(struct world *m, const struct restored *done)
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

void work(struct world *m)
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

int note_name(void *arg, const char *name, __u64 bytes)
{
	struct named *l = arg;

	(void)bytes;
	assert_true(l->n < 64);
	snprintf(l->name[l->n++], CONTENT_NAME_MAX + 1, "%s", name);
	return 0;
}

struct content *open_content(struct world *m)
{
	static atomic_bool stop;
	struct errline err = { "" };
	struct content *c = NULL;

	assert_int_equal(content_open(m->cfg.content, NULL, &stop, &c, &err), 0);
	return c;
}

void get_manifest(struct content *c, struct origin_manifest *m)
{
	u8 raw[ORIGIN_MANIFEST_BYTES + 1];
	ssize_t n = c->ops->get_named(c, "manifest", 0, raw, sizeof(raw), NULL);

	assert_true(n > 0);
	assert_int_equal(origin_manifest_parse(raw, (size_t)n, m), 0);
}

void put_manifest_of(struct content *c, const struct origin_manifest *m)
{
	u8 raw[ORIGIN_MANIFEST_BYTES];
	size_t len = origin_manifest_encode(m, raw);

	assert_int_equal(c->ops->put_named(c, "manifest", raw, len, CONTENT_ANY, NULL), 0);
}

u32 objects_of(const struct origin_manifest *m)
{
	u32 i, j, n = 0;

	for (i = 0; i < m->count; i++) {
		n += m->checkpoint[i].parts;
		for (j = 0; j < m->base[i].n; j++)
			n += m->base[i].step[j].parts;
	}
	return n;
}

u64 stream_size(FILE *f)
{
	struct stat st;

	assert_int_equal(fstat(fileno(f), &st), 0);
	return (u64)st.st_size;
}

bool same_stream(FILE *a, FILE *b)
{
	u64 size = stream_size(a);
	u8 *x = malloc(size + 1), *y = malloc(size + 1);
	bool same = size == stream_size(b);

	assert_true(x && y);
	if (same) {
		assert_int_equal(pread(fileno(a), x, size, 0), size);
		assert_int_equal(pread(fileno(b), y, size, 0), size);
		same = !memcmp(x, y, size);
	}
	free(x);
	free(y);
	return same;
}
