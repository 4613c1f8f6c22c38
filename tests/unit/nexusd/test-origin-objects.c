// SPDX-License-Identifier: Apache-2.0
/* What is made of objects that are damaged or missing, and of those that lie. */
#include "origin-world.h"

/* ---- damage ------------------------------------------------------------------------- */

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
	m->share = 0;
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
	u8 raw[ORIGIN_MANIFEST_BYTES];
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
	assert_int_equal(origin_manifest_encode(&m, raw), sizeof(man));
	memcpy(&man, raw, sizeof(man));
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
		struct origin_manifest man;
		struct origin_checkpoint *cp;
		struct origin_part p = { .kind = NEXUS_STREAM_CHECKPOINT };
		struct lie lie = { .kind = rnd(6) };
		FILE *spool = origin_stream_spool(test_dir);
		char folder[ORIGIN_FOLDER];
		u64 bytes;
		u32 crc, n;

		get_manifest(c, &man);
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
		put_manifest_of(c, &man);
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
		cmocka_unit_test_setup_teardown(test_damaged, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_parsers, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_streams, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
