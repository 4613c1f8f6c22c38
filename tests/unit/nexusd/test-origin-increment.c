// SPDX-License-Identifier: Apache-2.0
/* Chains of checkpoints in the store, and what is made of those of which something is wrong. */
#include "content_test.h"
#include "origin-world.h"
#include "origin_delta.h"

/* ---- chains in the store -------------------------------------------------------------------------- */

static void checkpoint_now(struct world *m)
{
	struct errline err = { "" };

	assert_int_equal(origin_checkpoint(m->z->origin, &err), 0);
	m->acked = NEXUS_MAX(m->acked, m->z->origin->end);
}

/* One batch is remembered each time; no more than so many can be. */
static void some_checkpoints(struct world *m, u32 n)
{
	while (n--) {
		write_some(m);
		fold(m);
		checkpoint_now(m);
	}
}

/* What the store has is what the zone was put from; and nothing else is there. */
static void check_store(struct world *m)
{
	static struct named l;
	struct origin *o = m->z->origin;
	struct errline err = { "" };
	struct origin_manifest man;
	FILE *spool;
	u32 i, j, k;

	get_manifest(o->content, &man);
	assert_true(man.number == o->manifest.number);
	for (i = 0; i < man.count; i++) {
		for (k = 0; k < 2 && o->kept[k].cp.number != man.checkpoint[i].number; k++)
			;
		assert_true(k < 2);
		assert_int_equal(origin_chain_get(o->content, &man, i, test_dir, &spool, &err), 0);
		assert_true(same_stream(spool, o->kept[k].spool));
		fclose(spool);
	}
	for (i = 0; man.count == 2 && i <= man.base[0].n; i++)
		for (j = 0; j <= man.base[1].n; j++)
			assert_true((i ? man.base[0].step[i - 1] : man.checkpoint[0]).number !=
				    (j ? man.base[1].step[j - 1] : man.checkpoint[1]).number);
	l.n = 0;
	assert_int_equal(o->content->ops->list_named(o->content, "checkpoint/", note_name, &l), 0);
	assert_int_equal(l.n, objects_of(&man));
}

/* Chains grow to their bound, then begin anew, and each checkpoint is what it was. */
static void test_chains(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	struct origin *o;
	u32 i, whole = 0, n, longest = 0;

	(void)state;
	make(&m);
	own(&m);
	o = m.z->origin;
	o->part_bytes = 1u << 20;
	n = 2 * NEXUS_CHAIN_MAX + 5;
	for (i = 0; i < n; i++) {
		some_checkpoints(&m, 1);
		whole += !o->manifest.checkpoint[0].delta;
		longest = NEXUS_MAX(longest, o->manifest.base[0].n + 1);
		check_store(&m);
	}
	assert_int_equal(longest, NEXUS_CHAIN_MAX);
	assert_int_equal(whole, 4);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_string_equal(done.note, "");
	check_restored(&m, &done);
	forget(&m);
}

/* What increments take is bounded by the share of a whole one; nothing changed is nothing. */
static void test_share(void **state)
{
	struct world m;
	struct origin *o;

	(void)state;
	make(&m);
	own(&m);
	o = m.z->origin;
	some_checkpoints(&m, 2);
	o->share = 0;
	some_checkpoints(&m, 1);
	assert_false(o->manifest.checkpoint[0].delta);
	o->share = ORIGIN_SHARE;
	checkpoint_now(&m);
	checkpoint_now(&m);
	assert_true(o->manifest.checkpoint[0].delta);
	assert_true(o->manifest.checkpoint[0].put_bytes < o->manifest.checkpoint[0].bytes / 10);
	check_store(&m);
	/* The chain as it is has used up what there is. */
	o->manifest.checkpoint[1].delta = true;
	o->manifest.checkpoint[1].put_bytes = o->manifest.checkpoint[1].bytes;
	checkpoint_now(&m);
	assert_false(o->manifest.checkpoint[0].delta);
	end_zone(&m);
	forget(&m);
}

/* A stream here that is not what was put, or is gone, is not built upon. */
static void test_kept_damaged(void **state)
{
	struct world m;
	struct origin *o;
	u32 i;
	u8 b;

	(void)state;
	make(&m);
	own(&m);
	o = m.z->origin;
	some_checkpoints(&m, 4);
	assert_true(o->manifest.checkpoint[0].delta);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pread(fileno(o->kept[i].spool), &b, 1, 500), 1);
		b ^= 1;
		assert_int_equal(pwrite(fileno(o->kept[i].spool), &b, 1, 500), 1);
	}
	some_checkpoints(&m, 1);
	assert_false(o->manifest.checkpoint[0].delta);
	some_checkpoints(&m, 2);
	assert_true(o->manifest.checkpoint[0].delta);
	check_store(&m);
	assert_true(origin_drop_streams(o));
	assert_false(origin_drop_streams(o));
	some_checkpoints(&m, 1);
	assert_false(o->manifest.checkpoint[0].delta);
	end_zone(&m);
	forget(&m);
}

/* Any write of the store fails: what was there is there, and the next try ends well. */
static void test_stopped(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	struct origin *o;
	u32 cut, failed = 0;
	bool whole;
	char text[32];

	(void)state;
	for (cut = 0, whole = false; !whole; cut++) {
		make(&m);
		own(&m);
		o = m.z->origin;
		some_checkpoints(&m, 5);
		assert_true(o->manifest.base[0].n);
		write_some(&m);
		seal(&m);
		write_some(&m);
		seal(&m);
		fold(&m);
		snprintf(text, sizeof(text), "cut %u\n",
			 (u32)atomic_load(&((struct test_content *)o->content)->writes) + cut);
		control(text);
		err.msg[0] = '\0';
		whole = !origin_checkpoint(o, &err);
		failed += !whole;
		m.acked = whole ? o->end : m.acked;
		control("");
		if (cut % 2) {
			some_checkpoints(&m, 1);
			check_store(&m);
			some_checkpoints(&m, 3);
			check_store(&m);
		}
		lose(&m);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		assert_string_equal(done.note, "");
		check_restored(&m, &done);
		forget(&m);
	}
	/* Two packs, a part at least, the owner, the manifest. */
	assert_true(failed >= 5);
}

/* ---- what is wrong with a chain ---------------------------------------------------------------------- */

static void part_of(const struct origin_checkpoint *cp, char name[ORIGIN_FOLDER + 16])
{
	origin_checkpoint_folder(cp->epoch, cp->number, name);
	strcat(name, "000000");
}

static const struct origin_checkpoint *step_of(const struct origin_manifest *m, u32 i, u32 at)
{
	return at ? &m->base[i].step[at - 1] : &m->checkpoint[i];
}

enum { FLIPPED, GONE, SWAPPED, FOREIGN, CUT, WAYS };

static void spoil(struct content *c, const struct origin_manifest *m, u32 i, u32 at, u32 way)
{
	char name[ORIGIN_FOLDER + 16], other[ORIGIN_FOLDER + 16];
	struct origin_part p;
	u8 *buf = malloc(2u << 20);
	ssize_t n;

	assert_non_null(buf);
	part_of(step_of(m, i, at), name);
	/* Another step, whole and right in itself. */
	part_of(step_of(m, i, at ? at - 1 : at + 1), other);
	n = c->ops->get_named(c, way == SWAPPED ? other : name, 0, buf, 2u << 20, NULL);
	assert_true(n > (ssize_t)sizeof(struct nexus_origin_part) && n < 2 << 20);
	if (way == FLIPPED)
		buf[rnd((u32)n)] ^= 1u << rnd(8);
	if (way == CUT)
		n = rnd((u32)n);
	if (way == FOREIGN) {
		assert_int_equal(origin_part_parse(buf, (size_t)n, &p), 0);
		p.zone[3] ^= 1;
		origin_part_encode(&p, (void *)buf);
	}
	if (way == GONE)
		assert_int_equal(c->ops->del_named(c, name), 0);
	else
		assert_int_equal(c->ops->put_named(c, name, buf, (size_t)n, CONTENT_ANY, NULL), 0);
	free(buf);
}

/* A zone whose two chains are of three steps each; its machine is gone. */
static void make_chains(struct world *m, struct origin_manifest *man)
{
	make(m);
	own(m);
	m->z->origin->part_bytes = 1u << 20;
	some_checkpoints(m, 6);
	get_manifest(m->z->origin->content, man);
	assert_int_equal(man->base[0].n, 2);
	assert_int_equal(man->base[1].n, 2);
	lose(m);
}

/* Of a chain of which anything is wrong nothing is used, and it is said what; of both, nothing is. */
static void test_damaged_chain(void **state)
{
	char name[ORIGIN_FOLDER + 16];
	struct origin_manifest man;
	struct restored done;
	struct errline err;
	struct content *c;
	struct world m;
	u32 way, at;

	(void)state;
	for (way = 0; way < WAYS; way++)
		for (at = 0; at < 3; at++) {
			make_chains(&m, &man);
			c = open_content(&m);
			spoil(c, &man, 0, at, way);
			assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
			part_of(step_of(&man, 0, at), name);
			/* Of a stream as a whole it is the folder. */
			name[strlen(name) - 6] = '\0';
			assert_non_null(strstr(done.note, name));
			assert_true(done.checkpoint == man.checkpoint[1].lsn);
			/* No log was put behind it. */
			m.acked = man.checkpoint[1].end;
			check_restored(&m, &done);
			store_remove_tree(m.cfg.data_dir);
			spoil(c, &man, 1, 2 - at, way);
			assert_int_equal(restore_as(&m, "z", true, &done, &err), -ENODATA);
			assert_non_null(strstr(err.msg, name));
			part_of(step_of(&man, 1, 2 - at), name);
			name[strlen(name) - 6] = '\0';
			assert_non_null(strstr(err.msg, name));
			content_close(c);
			forget(&m);
		}
}

/* Its objects are right, and it is named as another: the manifest knows what it is to make. */
static void test_wrong_order(void **state)
{
	struct origin_manifest man, bad;
	struct restored done;
	struct errline err;
	struct content *c;
	struct world m;
	u32 i;

	(void)state;
	make_chains(&m, &man);
	c = open_content(&m);
	for (i = 0; i < 3; i++) {
		bad = man;
		if (i == 0) {		/* one is left out */
			bad.base[0].step[0] = man.base[0].step[1];
			bad.base[0].n = 1;
		} else if (i == 1) {	/* another's */
			bad.base[0] = man.base[1];
		} else {		/* it makes something else */
			bad.checkpoint[0].crc ^= 1;
		}
		put_manifest_of(c, &bad);
		assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		assert_non_null(strstr(done.note, "do not make the one that the manifest names"));
		assert_true(done.checkpoint == man.checkpoint[1].lsn);
		store_remove_tree(m.cfg.data_dir);
	}
	content_close(c);
	forget(&m);
}

/* A whole one, right in itself, is not the one that the manifest names. */
static void test_other_whole(void **state)
{
	struct origin_manifest man;
	struct restored done;
	struct errline err;
	struct content *c;
	struct world m;

	(void)state;
	make(&m);
	m.share = 0;
	own(&m);
	some_checkpoints(&m, 3);
	lose(&m);
	c = open_content(&m);
	get_manifest(c, &man);
	man.checkpoint[0].crc ^= 1;
	put_manifest_of(c, &man);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_non_null(strstr(done.note, "not those that the manifest names"));
	assert_true(done.checkpoint == man.checkpoint[1].lsn);
	content_close(c);
	forget(&m);
}

/* ---- earlier and later programs -------------------------------------------------------------------------- */

/* As the version before wrote it: two that are whole, in the form it had. */
static void test_before(void **state)
{
	struct nexus_origin_manifest old = {
		.magic = cpu_to_le64(NEXUS_MANIFEST_MAGIC), .version = cpu_to_le32(1),
		.count = cpu_to_le32(2),
	};
	u8 raw[sizeof(old) + 1];
	struct restored done;
	struct errline err;
	struct origin *o;
	struct world m;
	u32 i;

	(void)state;
	make(&m);
	m.share = 0;
	own(&m);
	o = m.z->origin;
	some_checkpoints(&m, 4);
	memcpy(old.zone, m.z->sb.uuid, sizeof(old.zone));
	old.epoch = cpu_to_le64(1);
	old.number = cpu_to_le64(o->number);
	for (i = 0; i < 2; i++) {
		const struct origin_checkpoint *c = &o->manifest.checkpoint[i];

		old.checkpoint[i] = (struct nexus_origin_checkpoint){
			cpu_to_le64(c->epoch), cpu_to_le64(c->number), cpu_to_le64(c->lsn),
			cpu_to_le64(c->end), cpu_to_le64(c->incarnation), cpu_to_le64(c->time_s),
			cpu_to_le64(c->bytes), cpu_to_le32(c->parts), cpu_to_le32(c->crc),
		};
	}
	old.crc = cpu_to_le32(nexus_crc32c(0, &old, sizeof(old)));
	assert_int_equal(o->content->ops->get_named(o->content, "manifest", 0, raw, sizeof(raw), NULL),
			 sizeof(old));
	assert_memory_equal(raw, &old, sizeof(old));
	/* Another machine goes on from there, and makes increments of its own. */
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
	begin_zone(&m);
	m.share = 1000000;
	own(&m);
	o = m.z->origin;
	some_checkpoints(&m, 2);
	assert_true(!o->manifest.checkpoint[0].delta && !o->manifest.checkpoint[1].delta);
	some_checkpoints(&m, 1);
	assert_true(o->manifest.checkpoint[0].delta);
	check_store(&m);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* Who takes it over begins with whole ones: of what another put nothing is built upon. */
static void test_take_over(void **state)
{
	struct restored done;
	struct errline err = { "" };
	struct origin_manifest man;
	struct origin *o;
	struct world m;

	(void)state;
	make_chains(&m, &man);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	forget(&m);
	begin_zone(&m);
	own(&m);
	o = m.z->origin;
	checkpoint_now(&m);
	assert_false(o->manifest.checkpoint[0].delta);
	assert_true(o->manifest.checkpoint[1].delta);
	assert_int_equal(o->manifest.base[1].n, 2);
	checkpoint_now(&m);
	checkpoint_now(&m);
	assert_true(o->manifest.checkpoint[0].delta);
	check_store(&m);
	lose(&m);
	m.acked = 0;
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_int_equal(done.epoch, 3);
	check_restored(&m, &done);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chains, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_share, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_kept_damaged, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_stopped, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_chain, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_wrong_order, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_other_whole, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_before, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_take_over, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
