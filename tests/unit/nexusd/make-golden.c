// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a zone of format version 1 with keys of every kind, always the same but
 * for the arrangement of pages in the index: tests/data/zone-1.tar.gz was made by
 * it.  usage: make-golden DATA-DIRECTORY
 */
#include "../lib/records.h"

#include <unistd.h>

#include "pack.h"
#include "store.h"

#define PACK_BLOCKS	256u
#define FIRST_BLOCK	3u	/* behind head and table */

static const u8 uuid[NEXUS_UUID_SIZE] = "golden-zone-000";
static struct store s;
static struct pack_tables *tables;
static struct nexus_objectstore *os;

static void apply(void *rec)
{
	must(&s, rec);
}

/* The data of a mapping, its checksums into record and tables. */
static void extent(u64 ino, u64 fblock, u64 size, u64 pack, u32 block, u32 n)
{
	struct nexus_rec_extent *rec = rec_extent(ino, ino, fblock, size, pack, block, n, 0);
	u32 i, blocks, *data = NULL;
	int fd = os->drv->open_pack(os, pack, true, &blocks);

	assert_true(fd >= 0);
	assert_int_equal(posix_memalign((void **)&data, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE), 0);
	for (i = 0; i < n; i++) {
		u32 w;

		for (w = 0; w < NEXUS_BLOCK_SIZE / 4; w++)
			data[w] = (u32)ino << 16 | (u32)(fblock + i) << 8 | (w & 0xff);
		rec->crc[i] = cpu_to_le32(nexus_crc32c(0, data, NEXUS_BLOCK_SIZE));
		assert_int_equal(pwrite(fd, data, NEXUS_BLOCK_SIZE,
					(off_t)(block + i) * NEXUS_BLOCK_SIZE),
				 NEXUS_BLOCK_SIZE);
	}
	free(data);
	close(fd);
	apply(rec);
	assert_int_equal(pack_tables_add(tables, (void *)rec, le32_to_cpu(rec->head.len)), 0);
}

static void make(struct create_args *a)
{
	a->data_id = a->ino;
	apply(rec_create(a));
}

static void names(void)
{
	apply(rec_mk(1, 3, 16, "dir", S_IFDIR | 0755));
	apply(rec_mk(16, 3, 17, "sub", S_IFDIR | 02750));
	apply(rec_mk(17, 3, 18, "deep", S_IFDIR | 0700));
	apply(rec_mk(1, 4, 19, "empty", S_IFREG | 0600));
	apply(rec_mk(1, 5, 20, "a name with spaces \\ and \xc3\xa9", S_IFREG | 0644));
	apply(rec_mk(1, 6, 21, "hard", S_IFREG | 0644));
	apply(rec_link(16, 4, 21, "hard-2"));
	apply(rec_link(17, 4, 21, "hard-3"));
	make(&(struct create_args){
		.parent = 1, .pos = 7, .ino = 22, .name = "link",
		.mode = S_IFLNK | 0777, .content = "dir/sub", .contentlen = 7,
	});
	make(&(struct create_args){
		.parent = 16, .pos = 5, .ino = 23, .name = "inline",
		.mode = S_IFREG | 0644, .iflags = NEXUS_IF_INLINE, .content = "small\n",
		.contentlen = 6, .uid = 1000, .gid = 100,
	});
	make(&(struct create_args){
		.parent = 16, .pos = 6, .ino = 24, .name = "null",
		.mode = S_IFCHR | 0666, .rdev = 1ull << 32 | 3,
	});
	make(&(struct create_args){
		.parent = 16, .pos = 7, .ino = 25, .name = "fifo",
		.mode = S_IFIFO | 0600,
	});
	make(&(struct create_args){
		.parent = 16, .pos = 8, .ino = 26, .name = "owned",
		.mode = S_IFREG | 0640, .uid = 1000, .gid = 100, .projid = 7,
		.xname = "user.colour", .xval = "blue",
	});
	make(&(struct create_args){
		.parent = 17, .pos = 5, .ino = 27, .name = "sparse",
		.mode = S_IFREG | 0644,
	});
	make(&(struct create_args){
		.parent = 18, .pos = 3, .ino = 28, .name = "bottom",
		.mode = S_IFREG | 0444, .uid = 1001, .gid = 100,
	});
	/* Unlinked and perhaps open; and one that is being freed. */
	apply(rec_mk(1, 8, 29, "gone", S_IFREG | 0644));
	apply(rec_mk(1, 9, 30, "freed", S_IFREG | 0644));
}

static void contents(void)
{
	extent(20, 0, 3 * 4096 - 100, 1, FIRST_BLOCK, 3);
	extent(21, 0, 4096, 1, 6, 1);
	extent(26, 0, 40960, 1, 7, 10);
	extent(26, 4, 40960, 1, 17, 2);		/* written again */
	extent(27, 10, 1ull << 32, 1, 19, 2);
	extent(27, 300, 1ull << 32, 2, FIRST_BLOCK, 4);
	extent(28, 0, 5000, 2, 7, 2);
	extent(29, 0, 8192, 2, 9, 2);
	extent(30, 0, 16384, 2, 11, 1);
	extent(30, 2, 16384, 2, 13, 1);
	apply(rec_unlink(1, 8, 29, "gone"));
	apply(rec_unlink(1, 9, 30, "freed"));
	apply(rec_forget(30, 30, 1));
	apply(rec_setting(0x1122334455667788ull, "/mount/grace", "30"));
	apply(rec_quota(NEXUS_QUOTA_USER, 1000, 100, 1000));
	apply(rec_quota(NEXUS_QUOTA_PROJECT, 7, 10, 0));
}

/* Sealed, with a hash: no helper makes one yet, and the format has it. */
static void seal(void)
{
	struct nexus_rec_pack *rec = rec_pack(1, NEXUS_PACK_SEALED, 21);
	u32 i;

	rec->hash_alg = 1;
	for (i = 0; i < sizeof(rec->hash); i++)
		rec->hash[i] = (u8)(0xa0 + i);
	apply(rec);
}

/* A later version keeps more behind the structures of this one. */
static void lengthen(const struct nexus_key *k)
{
	u8 val[512] = { 0 };
	size_t len = 0;
	const void *old = store_get(&s, k, &len);

	assert_non_null(old);
	memcpy(val, old, len);
	memcpy(val + len, "later\0\xff\x01", 8);
	nexus_val_seal(val, len + 8, k->b[0]);
	assert_int_equal(nexus_omap_put(&s.map, k->b, k->len, val, len + 8), 0);
}

static void lengthen_some(void)
{
	struct nexus_key k;

	nexus_key_inode(&k, 19);
	lengthen(&k);
	nexus_key_pack(&k, 2);
	lengthen(&k);
}

static int fill(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	const struct alloc al = { .next_ino = 1ull << 20, .next_pack = 4 };
	const struct nexus_omap_entry *e;
	int ret = 0;

	for (e = nexus_omap_lower(&s.map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(&s.map, e->data, e->klen, true))
		ret = ms->drv->put(batch, e->data, e->klen, nexus_omap_val(e), e->vlen);
	if (!ret)
		ret = alloc_put(ms, batch, &al);
	return ret ? ret : super_put(ms, batch, arg);
}

static void write_index(const struct config *cfg, const char *dir)
{
	static struct super sb;
	struct errline err = { "" };
	struct nexus_metastore *ms;
	bool rdonly;

	assert_int_equal(store_open_index(cfg, dir, false, &ms, &err), 0);
	assert_int_equal(super_read(ms, &sb, &rdonly, &err), 0);
	memcpy(sb.uuid, uuid, sizeof(uuid));
	sb.created_s = 1700000000;
	sb.incarnation = 3;
	sb.checkpoint = 65536;
	sb.checkpoint_seg = 5;
	sb.next_segment = 6;
	memcpy(sb.raw + sb.rawlen, "beyond\0\0", 8);
	sb.rawlen += 8;
	assert_int_equal(ms_write(ms, fill, &sb), 0);
	ms->drv->close(ms);
}

int main(int argc, char **argv)
{
	const struct store_create sc = {
		.name = "golden", .segment_size = 2u << 20,
		.pack_size = PACK_BLOCKS * NEXUS_BLOCK_SIZE, .segments = 1, .packs = 0,
	};
	static struct config cfg;
	struct errline err = { "" };
	char dir[PATH_MAX];
	u64 pack, lines;
	int lock;

	if (argc != 2)
		return 2;
	config_defaults(&cfg);
	assert_int_equal(config_set(&cfg, "data_dir", argv[1], "", &err), 0);
	cfg.map_size = 1u << 20;
	cfg.allow_any_host = true;
	assert_int_equal(store_open_data(&cfg, &lock, &err), 0);
	assert_int_equal(store_create_zone(&cfg, &sc, &err), 0);
	assert_int_equal(store_find_zone(&cfg, sc.name, dir, &err), 0);
	assert_int_equal(store_open_packs(&cfg, dir, &os, &err), 0);
	for (pack = 1; pack <= 2; pack++)
		assert_int_equal(pack_create(os, pack, PACK_BLOCKS, uuid), 0);
	tables = pack_tables_new();
	store_mkfs(&s);
	names();
	contents();
	seal();
	lengthen_some();
	assert_int_equal(store_problems(&s, true), 0);
	assert_int_equal(pack_tables_write(tables, os, uuid, &lines), 0);
	write_index(&cfg, dir);
	pack_tables_free(tables);
	os->drv->close(os);
	store_destroy(&s);
	close(lock);
	return 0;
}
