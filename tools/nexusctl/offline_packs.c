// SPDX-License-Identifier: Apache-2.0
/* Packs of a zone at rest. */
#include "offline_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "pack.h"
#include "verify.h"

/* The zone with its log applied in memory, however it ended. */
static int load(struct offline *o, struct atrest *a, struct errline *err)
{
	int ret = offline_open(o, a, NULL, err);

	if (!ret)
		ret = atrest_load(a, true, err);
	return ret ? ret : atrest_log_ok(a, err);
}

/* ---- list ------------------------------------------------------------------- */

struct list_arg {
	offline_pack_fn fn;
	void *arg;
};

static int give_pack(void *arg, const struct pack_info *p)
{
	const struct list_arg *la = arg;
	const struct offline_pack pack = {
		.pack = p->pack,
		.state = p->state,
		.blocks = p->blocks,
		.table_blocks = 1 + pack_table_blocks(p->blocks),
		.used = p->used,
		.live = p->live,
		.hash = p->hash,
		.hash_len = p->hash_alg ? sizeof(p->hash) : 0,
	};

	return la->fn(la->arg, &pack);
}

int offline_pack_list(struct offline *o, offline_pack_fn fn, void *arg)
{
	struct atrest *a = malloc(sizeof(*a));
	struct list_arg la = { fn, arg };
	struct errline err = { "" };
	int ret;

	if (!a)
		return offline_failed(o, -ENOMEM, &err);
	ret = load(o, a, &err);
	if (!ret)
		ret = pack_list(a->z, 0, give_pack, &la);
	atrest_close(a);
	free(a);
	return ret ? offline_failed(o, ret, &err) : 0;
}

/* ---- verify ------------------------------------------------------------------- */

struct verify_arg {
	offline_problem_fn fn;
	void *arg;
	int error;
};

static void give_problem(void *arg, const struct verify_problem *p)
{
	struct verify_arg *va = arg;
	char what[256];
	const struct offline_problem problem = {
		.pack = p->pack, .block = p->block, .inode = p->ino,
		.data_id = p->data_id, .offset = p->offset, .what = what,
	};

	verify_text(p, what, sizeof(what));
	if (!va->error)
		va->error = va->fn(va->arg, &problem);
}

static int verify_all(struct zone *z, const uint64_t *packs, size_t n,
		      struct verify_arg *va, struct offline_verified *seen)
{
	struct verify *v = verify_new(z, false, true, give_problem, va);
	struct verify_cursor c = { .len = 0 };
	const struct verify_counts *counts;
	int ret;

	if (!v)
		return -ENOMEM;
	ret = z->unclean ? verify_add_log(v) : 0;
	while (!ret && !c.done && !va->error)
		ret = verify_step(v, &c, VERIFY_STEP_BLOCKS, packs, n);
	counts = verify_counts(v);
	seen->packs = counts->packs;
	seen->extents = counts->extents;
	seen->blocks = counts->blocks;
	seen->unchecked = counts->unchecked;
	seen->away = counts->away;
	verify_free(v);
	return ret ? ret : va->error;
}

int offline_pack_verify(struct offline *o, const uint64_t *packs, size_t n,
			offline_problem_fn fn, void *arg, struct offline_verified *seen)
{
	struct atrest *a = malloc(sizeof(*a));
	struct verify_arg va = { fn, arg, 0 };
	struct errline err = { "" };
	u64 missing = 0;
	int ret;

	if (!a)
		return offline_failed(o, -ENOMEM, &err);
	ret = load(o, a, &err);
	if (!ret)
		ret = verify_known(a->z, packs, n, &missing);
	if (ret == -ENOENT && missing)
		err_set(&err, ret, "there is no pack %llu with content", missing);
	if (!ret)
		ret = verify_all(a->z, packs, n, &va, seen);
	atrest_close(a);
	free(a);
	return ret ? offline_failed(o, ret, &err) : 0;
}
