// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <sys/stat.h>

#include "pack.h"
#include "space.h"

/* ---- a zone with some packs --------------------------------------------------------- */

static void fill(struct world *w, struct logw *log, u32 i)
{
	struct nexus_rec_head *rec;
	struct nexus_rec_pack seal;
	u32 j;

	/* Files of its own: what is in other packs stays alive. */
	for (j = 0; j < GEN_FILES; j++)
		w->g.file[j].ino = 0;
	w->g.pack = w->pack[i];
	w->g.next_block = 1 + pack_table_blocks(WORLD_PACK_BLOCKS);
	for (j = 0; j < GEN_FILES; j++)
		append_both(&w->k, log, gen_create(&w->g));
	while (w->g.next_block + 8 <= WORLD_PACK_BLOCKS) {
		rec = gen_extent(&w->g, &w->g.file[rnd(GEN_FILES)]);
		append_both(&w->k, log, rec);
	}
	memset(&seal, 0, sizeof(seal));
	nexus_rec_init(&seal.head, sizeof(seal), NEXUS_REC_PACK, 0, (struct nexus_time){ 1, 0 });
	seal.pack = cpu_to_le64(w->pack[i]);
	seal.state = cpu_to_le32(NEXUS_PACK_SEALED);
	w->used[i] = w->g.next_block;
	seal.used = cpu_to_le32(w->used[i]);
	append_both(&w->k, log, &seal.head);
	logw_batch(log);
}

void world_open(struct world *w)
{
	u64 lines;

	w->z = fake_open(&w->k, &w->cfg, 1u << 20);
	assert_int_equal(replay_tables(&w->z->replay, w->z->sb.uuid, &lines), 0);
	assert_int_equal(zone_fetch_start(w->z), 0);
	assert_int_equal(zone_space_start(w->z), 0);
	zone_upload_start(w->z);
	assert_non_null(w->z->upload);
	w->e = evictor_new(w->z);
	assert_non_null(w->e);
	w->z->evictor = w->e;
	w->now = space_clock();
}

void world_cut(struct world *w)
{
	power_cut(&w->k, w->z);
}

/* @plan: what goes wrong with the store from the beginning. */
void world_begin(struct world *w, const char *plan)
{
	char path[PATH_MAX];
	struct logw log;
	u32 i;

	memset(w, 0, sizeof(*w));
	test_config(&w->cfg, &nexus_ms_lmdb);
	w->cfg.compact_rate = 0;
	w->cfg.pack_size = WORLD_PACK_BYTES;
	w->cfg.upload_delay = 1;
	w->cfg.cache_limit = WORLD_LIMIT;
	snprintf(path, sizeof(path), "%s/elsewhere", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(w->cfg.content, sizeof(w->cfg.content), "test:%.200s", path);
	made_control(plan);
	test_zone(&w->cfg);
	w->z = fake_open(&w->k, &w->cfg, 1u << 20);
	assert_int_equal(zone_take_packs(w->z, WORLD_PACKS, &w->pack[0]), 0);
	gen_init(&w->g, 100, w->pack[0], WORLD_PACK_BLOCKS);
	w->g.os = w->z->os;
	w->g.plain = made_plain;
	log_of(w->z, &log);
	for (i = 0; i < WORLD_PACKS; i++) {
		w->pack[i] = w->pack[0] + i;
		assert_int_equal(pack_create_allocated(w->z->os, w->pack[i], WORLD_PACK_BLOCKS,
						       w->z->sb.uuid), 0);
		fill(w, &log, i);
	}
	logw_free(&log);
	world_cut(w);
	world_open(w);
}

void world_flush(struct world *w)
{
	struct upload_status st;

	assert_int_equal(zone_upload_flush(w->z, LONG_MS, &st), 0);
	assert_int_equal(st.packs, 0);
}

/* ---- what is seen of it --------------------------------------------------------------- */

/* Each live block is here and right, or away; how many are. */
u32 world_away(struct world *w, u32 i)
{
	struct made m = { .z = w->z, .pack = w->pack[i] };
	struct survey s;

	assert_int_equal(survey_begin(&s, w->z, &w->z->space->index, m.pack), 0);
	m.live = s.nlive;
	survey_end(&s);
	assert_true(m.live > 200);
	return made_away(&m);
}

/* A bit for each pack that went. */
u32 world_gone(struct world *w)
{
	u32 i, bits = 0;

	for (i = 0; i < WORLD_PACKS; i++)
		bits |= world_away(w, i) ? 1u << i : 0;
	return bits;
}

/* As the thread does, until there is nothing to do at once. */
void world_run(struct world *w)
{
	u32 i;

	w->now += 2 * SECOND;
	for (i = 0; i < 100 && evictor_step(w->e, w->now) <= w->now; i++)
		;
	assert_true(i < 100);
}


void world_used(struct world *w, u32 i, u64 idle)
{
	assert_true(w->k.nuses < FAKE_USES);
	w->k.use[w->k.nuses].pack = w->pack[i];
	w->k.use[w->k.nuses++].idle = idle;
}
