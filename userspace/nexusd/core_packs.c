// SPDX-License-Identifier: Apache-2.0
/* The control operations: packs of zones that are served. */
#include "core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core_impl.h"
#include "fetch.h"
#include "helper.h"
#include "pack.h"
#include "space.h"
#include "verify.h"

int core_get_zone(void *ctx, const char *name, struct zone **z, struct control_err *err)
{
	struct helper *h = ctx;
	struct errline line = { "" };
	char dir[PATH_MAX];
	int ret = store_find_zone(&h->cfg, name, dir, &line);

	if (ret) {
		control_err(err, ret, "%s", line.msg);
		return ret;
	}
	*z = helper_zone_by_name(h, name);
	if (!*z) {
		control_err(err, -ENXIO, "zone %s is not mounted", name);
		return -ENXIO;
	}
	return 0;
}

/* ---- list ------------------------------------------------------------------ */

struct list_arg {
	control_pack_fn fn;
	void *arg;
};

static int give_pack(void *arg, const struct pack_info *p)
{
	const struct list_arg *la = arg;
	struct control_pack out = {
		.pack = p->pack,
		.state = (enum control_pack_state)p->state,
		.blocks = p->blocks,
		.table_blocks = 1 + pack_table_blocks(p->blocks),
		.used = p->used,
		.live = p->live,
		.hash_alg = p->hash_alg,
	};

	memcpy(out.hash, p->hash, sizeof(out.hash));
	return la->fn(la->arg, &out);
}

int core_pack_list(void *ctx, const char *zone, uint64_t after, control_pack_fn fn,
		   void *arg, struct control_err *err)
{
	struct list_arg la = { fn, arg };
	struct zone *z;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	ret = pack_list(z, after, give_pack, &la);
	zone_put(z);
	return ret;
}

/* ---- verify ------------------------------------------------------------------ */

struct verify_arg {
	control_problem_fn fn;
	void *arg;
	int error;
};

static void give_problem(void *arg, const struct verify_problem *p)
{
	struct verify_arg *va = arg;
	char what[256];
	const struct control_pack_problem out = {
		.pack = p->pack, .block = p->block, .inode = p->ino,
		.data_id = p->data_id, .offset = p->offset, .what = what,
	};

	verify_text(p, what, sizeof(what));
	if (!va->error)
		va->error = va->fn(va->arg, &out);
}

static int verify_one_step(struct zone *z, struct control_verify *cv, struct verify_arg *va)
{
	struct verify *v = verify_new(z, true, true, give_problem, va);
	struct verify_cursor c = { .len = (u32)cv->cursor_len };
	const struct verify_counts *counts;
	int ret;

	if (!v)
		return -ENOMEM;
	if (cv->cursor_len > sizeof(c.key)) {
		verify_free(v);
		return -EINVAL;
	}
	memcpy(c.key, cv->cursor, cv->cursor_len);
	ret = verify_step(v, &c, VERIFY_STEP_BLOCKS, cv->packs, cv->npacks);
	counts = verify_counts(v);
	cv->seen_packs = counts->packs;
	cv->seen_extents = counts->extents;
	cv->seen_blocks = counts->blocks;
	cv->unchecked = counts->unchecked;
	cv->away = counts->away;
	memcpy(cv->cursor, c.key, c.len);
	cv->cursor_len = c.done ? 0 : c.len;
	verify_free(v);
	return ret ? ret : va->error;
}

int core_pack_verify(void *ctx, const char *zone, struct control_verify *verify,
		     control_problem_fn fn, void *arg, struct control_err *err)
{
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	struct verify_arg va = { fn, arg, 0 };
	u64 missing = 0;
	struct zone *z;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	if (!verify->cursor_len)
		ret = verify_known(z, verify->packs, verify->npacks, &missing);
	if (ret == -ENOENT)
		control_err(err, ret, "zone %s has no pack %llu with content", zone, missing);
	if (!ret) {
		/* However many ask: the disk sees one. */
		pthread_mutex_lock(&one_at_a_time);
		ret = verify_one_step(z, verify, &va);
		pthread_mutex_unlock(&one_at_a_time);
	}
	zone_put(z);
	return ret;
}

/* ---- compact ----------------------------------------------------------------- */

int core_pack_compact(void *ctx, const char *zone, struct control_compact *compact,
		      struct control_err *err)
{
	struct space_done done = { 0 };
	u64 missing = 0, after = compact->after;
	struct zone *z;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	if (!compact->after)
		ret = verify_known(z, compact->packs, compact->npacks, &missing);
	if (ret == -ENOENT)
		control_err(err, ret, "zone %s has no pack %llu with content", zone, missing);
	if (!ret)
		ret = zone_compact_step(z, compact->packs, compact->npacks, compact->all,
					&after, &done);
	if (ret == -EOPNOTSUPP)
		control_err(err, ret, "zone %s is too old for blocks to be moved; nexusctl zone upgrade changes that",
			    zone);
	if (ret == -EROFS)
		control_err(err, ret, "zone %s is read-only", zone);
	compact->after = after;
	compact->done_packs = done.packs;
	compact->blocks = done.moved;
	compact->skipped = done.skipped;
	zone_put(z);
	return ret;
}

/* ---- evict ------------------------------------------------------------------- */

int core_pack_evict(void *ctx, const char *zone, uint64_t pack, uint64_t *blocks,
		    struct control_err *err)
{
	struct evict_done done = { 0 };
	struct zone *z;
	int ret = core_get_zone(ctx, zone, &z, err);

	if (ret)
		return ret;
	ret = zone_evict(z, pack, &done);
	if (ret == -ENOENT)
		control_err(err, ret, "zone %s has no sealed pack %llu with content", zone,
			    (unsigned long long)pack);
	else if (ret == -EOPNOTSUPP && !(z->sb.incompat & NEXUS_INCOMPAT_AWAY))
		control_err(err, ret, "zone %s is too old for content to be elsewhere; nexusctl zone upgrade changes that",
			    zone);
	else if (ret == -EOPNOTSUPP)
		control_err(err, ret, "zone %s has nothing that would hold its content: setting \"content\"",
			    zone);
	else if (ret == -EROFS)
		control_err(err, ret, "zone %s is read-only", zone);
	else if (ret == -ETXTBSY)
		control_err(err, ret, "pack %llu of zone %s is not evicted: it has blocks of nodatacow files, which are overwritten in place",
			    (unsigned long long)pack, zone);
	else if (ret)
		control_err(err, ret, "pack %llu of zone %s is not evicted: %s; the helper's log says more",
			    (unsigned long long)pack, zone, strerror(-ret));
	*blocks = done.blocks;
	zone_put(z);
	return ret;
}
