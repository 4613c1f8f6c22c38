// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include "made.h"

void made_control(const char *text)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/elsewhere/control", test_dir);
	snprintf(tmp, sizeof(tmp), "%s/elsewhere/control.new", test_dir);
	f = fopen(tmp, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, path), 0);
}

static void append(struct made *m, struct logw *w, struct nexus_rec_head *rec)
{
	if (rec)
		append_both(&m->k, w, rec);
}

void made_open(struct made *m)
{
	m->z = fake_open(&m->k, &m->cfg, 1u << 20);
	assert_int_equal(zone_fetch_start(m->z), 0);
	assert_non_null(m->z->fetch->content);
	assert_int_equal(zone_space_start(m->z), 0);
}

u32 made_plain;

/* A pack of which a good part is alive, sealed in the index on disk. */
void made_new(struct made *m)
{
	struct nexus_rec_pack rec;
	char path[PATH_MAX];
	struct survey s;
	struct logw w;
	u64 lines;
	u32 i;

	memset(m, 0, sizeof(*m));
	test_config(&m->cfg, &nexus_ms_lmdb);
	m->cfg.compact_rate = 0;
	m->cfg.pack_size = MADE_BLOCKS << NEXUS_BLOCK_SHIFT;
	m->cfg.fetch_limit = 2u << 20;
	snprintf(path, sizeof(path), "%s/elsewhere", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(m->cfg.content, sizeof(m->cfg.content), "test:%.200s", path);
	test_zone(&m->cfg);
	m->z = fake_open(&m->k, &m->cfg, 1u << 20);
	m->pack = m->k.last_pack;
	gen_init(&m->g, 100, m->pack, MADE_BLOCKS);
	m->g.os = m->z->os;
	m->g.plain = made_plain;
	log_of(m->z, &w);
	for (i = 0; i < GEN_FILES; i++)
		append(m, &w, gen_create(&m->g));
	while (m->g.next_block + 8 <= MADE_BLOCKS) {
		struct gen_file *f = &m->g.file[rnd(GEN_FILES)];

		append(m, &w, f->ino ? gen_extent(&m->g, f) : NULL);
	}
	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, (struct nexus_time){ 1, 0 });
	rec.pack = cpu_to_le64(m->pack);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(m->g.next_block);
	append(m, &w, &rec.head);
	logw_batch(&w);
	logw_free(&w);
	power_cut(&m->k, m->z);
	m->z = fake_open(&m->k, &m->cfg, 1u << 20);
	assert_int_equal(replay_tables(&m->z->replay, m->z->sb.uuid, &lines), 0);
	assert_int_equal(zone_fetch_start(m->z), 0);
	assert_int_equal(zone_space_start(m->z), 0);
	assert_int_equal(survey_begin(&s, m->z, &m->z->space->index, m->pack), 0);
	m->live = s.nlive;
	survey_end(&s);
	assert_true(m->live > 200);
}

void made_cut(struct made *m)
{
	power_cut(&m->k, m->z);
}

void made_evict(struct made *m)
{
	struct evict_done d = { 0 };

	assert_int_equal(zone_evict(m->z, m->pack, &d), 0);
	assert_int_equal(d.packs, 1);
}

void made_sound(struct made *m, u32 *away)
{
	u8 *data = NULL;
	struct survey s;
	u32 i;

	*away = 0;
	assert_int_equal(posix_memalign((void **)&data, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE), 0);
	assert_int_equal(survey_begin(&s, m->z, &m->z->space->index, m->pack), 0);
	assert_int_equal(s.nlive, m->live);
	for (i = s.img.first; i < s.img.blocks; i++) {
		if (!bit_get(s.live, i))
			continue;
		if (pack_line_away(&s.img.table[i], m->pack)) {
			++*away;
			if (!fake_reads(m->z->chan->ctx, m->pack, i))
				continue;
		}
		assert_int_equal(pread(s.img.fd, data, NEXUS_BLOCK_SIZE,
				       (off_t)i << NEXUS_BLOCK_SHIFT), NEXUS_BLOCK_SIZE);
		if (!pack_line_plain(&s.img.table[i], m->pack))
			assert_int_equal(nexus_crc32c(0, data, NEXUS_BLOCK_SIZE),
					 le32_to_cpu(s.img.table[i].crc));
	}
	assert_int_equal(s.naway, *away);
	survey_end(&s);
	free(data);
}

u32 made_away(struct made *m)
{
	u32 n;

	made_sound(m, &n);
	return n;
}
