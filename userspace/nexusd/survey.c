// SPDX-License-Identifier: Apache-2.0
#include "survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shared.h"

#define STEP_LINES	4096u	/* looked up in one view */

int survey_pack_val(struct nexus_kv *kv, u64 pack, struct nexus_pack_val *val)
{
	struct nexus_key k;
	int ret;

	nexus_key_pack(&k, pack);
	ret = nexus_kv_get(kv, k.b, k.len, val, sizeof(*val));
	if (ret < 0)
		return ret;
	return ret < (int)sizeof(*val) ? -EUCLEAN : 0;
}

int survey_knows(struct memtable *index, u64 pack, struct nexus_pack_val *val)
{
	struct memview v;
	int ret = memview_begin(&v, index, NULL);

	if (ret)
		return ret;
	ret = survey_pack_val(&v.kv, pack, val);
	memview_end(&v);
	return ret == -ENOENT ? 0 : ret ? ret : 1;
}

static void see(struct survey *s, u32 block, bool shared)
{
	if (!bit_get(s->live, block)) {
		bit_set(s->live, block);
		s->nlive++;
	}
	if (shared && !bit_get(s->shared, block)) {
		bit_set(s->shared, block);
		s->nshared++;
	}
}

/* Lines [i, i + n) name blocks of one file that follow each other. */
static int see_owner(struct survey *s, struct nexus_kv *kv, u32 i, u32 n)
{
	const struct nexus_pack_line *line = &s->img.table[i];
	u64 data_id = le64_to_cpu(line->data_id);
	u64 first = le64_to_cpu(line->offset) >> NEXUS_BLOCK_SHIFT;
	u64 at = first, end = first + n, b;
	struct nexus_kext x;
	struct nexus_key k;
	u64 val[64];
	int ret;

	while (at < end) {
		ret = nexus_ext_seek(kv, data_id, at, &k, val, sizeof(val), &x);
		if (ret < 0)
			return ret == -ENOENT ? 0 : ret;
		if (x.fblock >= end)
			return 0;
		b = NEXUS_MAX(x.fblock, at);
		at = x.fblock + x.nblocks;
		if (x.flags & NEXUS_EF_UNWRITTEN || x.pack != s->img.pack)
			continue;
		for (; b < NEXUS_MIN(at, end); b++)
			if (x.block + (b - x.fblock) == i + (b - first))
				see(s, (u32)(i + (b - first)), x.flags & NEXUS_EF_SHARED);
	}
	return 0;
}

static bool follows(const struct survey *s, u32 a, u32 b)
{
	const struct nexus_pack_line *x = &s->img.table[a], *y = &s->img.table[b];

	return pack_line_is(y, s->img.pack) && x->data_id == y->data_id && y->ino &&
	       le64_to_cpu(x->offset) >> NEXUS_BLOCK_SHIFT !=
		       NEXUS_SIZE_MAX >> NEXUS_BLOCK_SHIFT &&
	       (le64_to_cpu(x->offset) >> NEXUS_BLOCK_SHIFT) + 1 ==
		       le64_to_cpu(y->offset) >> NEXUS_BLOCK_SHIFT;
}

static int see_owners(struct survey *s, struct nexus_kv *kv, u32 i, u32 end)
{
	u32 n;
	int ret = 0;

	for (; !ret && i < end; i += n) {
		const struct nexus_pack_line *line = &s->img.table[i];

		n = 1;
		if (!pack_line_is(line, s->img.pack) || !line->ino ||
		    le64_to_cpu(line->offset) > NEXUS_SIZE_MAX)
			continue;
		while (i + n < end && follows(s, i + n - 1, i + n))
			n++;
		ret = see_owner(s, kv, i, n);
	}
	return ret;
}

/* Whether anything of the pack is shared. */
static int any_ref(struct nexus_kv *kv, u64 pack)
{
	struct nexus_key k;
	u8 prefix[9], none[8];
	int ret;

	nexus_key_shared(&k, pack, 0, NEXUS_EXTENT_BLOCKS_MAX, 0, 0);
	memcpy(prefix, k.b, sizeof(prefix));
	/* Of all classes and blocks. */
	k.len = sizeof(prefix);
	ret = nexus_kv_seek(kv, k.b, &k.len, none, 0);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	return k.len > sizeof(prefix) && !memcmp(k.b, prefix, sizeof(prefix));
}

static int see_refs(struct survey *s, struct nexus_kv *kv, u32 i, u32 end)
{
	u64 seen[NEXUS_REF_WORDS];
	struct nexus_key k;
	u32 j;
	int ret = any_ref(kv, s->img.pack);

	if (ret <= 0)
		return ret;
	for (ret = 0; !ret && i < end; i += NEXUS_EXTENT_BLOCKS_MAX) {
		const struct nexus_kext x = {
			.pack = s->img.pack, .block = i,
			.nblocks = NEXUS_MIN(NEXUS_EXTENT_BLOCKS_MAX, end - i),
		};

		ret = nexus_ref_cover(kv, &k, &x, seen);
		for (j = 0; !ret && j < x.nblocks; j++)
			if (seen[j / 64] >> (j % 64) & 1)
				see(s, i + j, true);
	}
	return ret;
}

static int see_step(struct survey *s, struct memtable *index, u32 i, u32 end,
		    struct nexus_pack_val *val)
{
	struct memview v;
	int ret = memview_begin(&v, index, NULL);

	if (ret)
		return ret;
	ret = survey_pack_val(&v.kv, s->img.pack, val);
	if (!ret && (le32_to_cpu(val->state) != NEXUS_PACK_SEALED || !val->live))
		ret = -ENOENT;
	if (!ret)
		ret = see_owners(s, &v.kv, i, end);
	if (!ret)
		ret = see_refs(s, &v.kv, i, end);
	memview_end(&v);
	return ret;
}

static int see_all(struct survey *s, struct memtable *index)
{
	struct nexus_pack_val val = { .live = 0 };
	u32 i, end;
	int ret = 0;

	for (i = s->img.first; !ret && i < s->img.blocks; i = end) {
		end = NEXUS_MIN(i + STEP_LINES, s->img.blocks);
		ret = see_step(s, index, i, end, &val);
	}
	/* It only ever falls: whoever is counted there now was there to be seen. */
	if (!ret && s->nlive < le32_to_cpu(val.live))
		ret = -EUCLEAN;
	return ret;
}

int survey_begin(struct survey *s, struct zone *z, struct memtable *index, u64 pack)
{
	bool before = false;
	size_t words;
	u32 i;
	int ret;

	memset(s, 0, sizeof(*s));
	ret = pack_image_open(z->os, pack, z->sb.uuid, true, &s->img);
	if (ret)
		return ret;
	words = bit_words(s->img.blocks);
	s->live = calloc(words, sizeof(u64));
	s->shared = calloc(words, sizeof(u64));
	s->gone = calloc(words, sizeof(u64));
	ret = s->live && s->shared && s->gone ? see_all(s, index) : -ENOMEM;
	if (ret) {
		survey_end(s);
		return ret;
	}
	for (i = s->img.first; i < s->img.blocks; i++) {
		s->nruns += bit_get(s->live, i) && !before;
		before = bit_get(s->live, i);
		s->nplain += before && pack_line_plain(&s->img.table[i], pack);
		if (!pack_line_absent(&s->img.table[i], pack))
			continue;
		s->nabsent++;
		if (before && pack_line_away(&s->img.table[i], pack))
			s->naway++;
		else if (before)
			ret = -EUCLEAN;
	}
	if (ret)
		survey_end(s);
	return ret;
}

void survey_end(struct survey *s)
{
	free(s->live);
	free(s->shared);
	free(s->gone);
	pack_image_close(&s->img);
}

u32 survey_dead(struct survey *s)
{
	u32 i, n = 0;

	for (i = s->img.first; i < s->img.blocks; i++) {
		if (bit_get(s->live, i) || pack_line_absent(&s->img.table[i], s->img.pack))
			continue;
		bit_set(s->gone, i);
		n++;
	}
	return n;
}
