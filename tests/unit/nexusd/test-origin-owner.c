// SPDX-License-Identifier: Apache-2.0
/*
 * Who may write to a zone's content store: two that try, a store that cannot tell, and one
 * that cannot be asked.
 */
#include <fcntl.h>

#include "fetch.h"
#include "origin-world.h"
#include "owner.h"
#include "upload.h"

/* Of a zone that another owns no sealed pack is put, though it is looked for. */
static void nothing_put(struct world *m)
{
	struct upload_status st;
	u64 scans;

	seal(m);
	fold(m);
	m->cfg.upload_delay = 1;
	m->cfg.upload_parallel = 1;
	assert_int_equal(zone_fetch_start(m->z), 0);
	zone_upload_start(m->z);
	do {
		usleep(1000);
		pthread_mutex_lock(&m->z->upload->lock);
		scans = m->z->upload->scans;
		pthread_mutex_unlock(&m->z->upload->lock);
	} while (!scans);
	usleep(300000);
	assert_int_equal(zone_upload_status(m->z, &st), 0);
	assert_true(st.packs > 0);
	assert_int_equal(st.put_packs, 0);
	assert_non_null(strstr(st.error, "owns the zone"));
	assert_int_equal(zone_upload_flush(m->z, 60000, &st), -EROFS);
	zone_fetch_stop(m->z);
	zone_upload_stop(m->z);
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
	/* Nothing of it gets there any more, no pack either. */
	write_some(&m);
	step(&m, 300000);
	assert_int_equal(origin_checkpoint(o, &err) != 0, 1);
	nothing_put(&m);
	end_zone(&m);
	forget(&m);
}

/* A checkpoint that comes before the next renewal finds out, too; and writes no manifest. */
static void test_fenced_checkpoint(void **state)
{
	struct origin_manifest before, after;
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
	get_manifest(c, &before);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), -EROFS);
	assert_true(atomic_load(&m.z->origin->fenced));
	get_manifest(c, &after);
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

/* The store does not answer: the zone is there all the same, and the rest comes when it does. */
static void test_silent(void **state)
{
	struct errline err = { "" };
	struct restored done;
	unsigned int usual = origin_mount_ms;
	struct world m;
	u64 epoch;

	(void)state;
	make(&m);
	own(&m);
	epoch = m.z->origin->owner.epoch;
	work(&m);
	assert_int_equal(zone_fold(m.z, 0, true), 0);
	end_zone(&m);
	begin_zone(&m);
	/* Without an end of the wait this would not return. */
	control("silent\n");
	origin_mount_ms = 20;
	assert_int_equal(origin_open(m.z, false, &err), 0);
	assert_string_equal(err.msg, "");
	assert_false(origin_owns(m.z));
	control("");
	step(&m, 0);
	assert_true(origin_owns(m.z));
	assert_true(m.z->origin->owner.epoch == epoch);
	end_zone(&m);
	/* It ends before that. */
	begin_zone(&m);
	control("silent\n");
	assert_int_equal(origin_open(m.z, false, &err), 0);
	end_zone(&m);
	control("");
	/* Another has it: that is known, and refused. */
	assert_int_equal(restore_as(&m, "y", true, &done, &err), 0);
	origin_mount_ms = usual;
	begin_zone(&m);
	assert_int_equal(origin_open(m.z, false, &err), -EBUSY);
	origin_free(m.z);
	end_zone(&m);
	forget(&m);
}

/* The directory that another machine was given, whose token is its own. */
static void copy_directory(struct world *m)
{
	char path[PATH_MAX + 16], copy[PATH_MAX + 32], buf[256];
	int from, to;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/" OWNER_FILE, m->z->dir);
	snprintf(copy, sizeof(copy), "%s.copy", path);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(from >= 0 && to >= 0);
	n = read(from, buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(write(to, buf, (size_t)n), n);
	close(from);
	close(to);
	assert_int_equal(rename(copy, path), 0);
}

/* It mounts nothing, however often it is tried; with the error that says why. */
static void refused(struct world *m, int error)
{
	struct errline err;
	int i;

	for (i = 0; i < 2; i++) {
		err.msg[0] = '\0';
		assert_int_equal(origin_open(m->z, false, &err), error);
		assert_true(err.msg[0] != '\0');
		origin_free(m->z);
	}
}

static void refused_while_down(struct world *m)
{
	control("fail\n");
	refused(m, -EIO);
	control("");
}

/* Nobody who only has a copy goes on without the store's word. */
static void test_copy(void **state)
{
	struct errline err = { "" };
	struct world m;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	end_zone(&m);
	begin_zone(&m);
	copy_directory(&m);
	refused_while_down(&m);
	refused(&m, -EBUSY);
	refused_while_down(&m);
	end_zone(&m);
	forget(&m);
	/* The owner does. */
	make(&m);
	own(&m);
	end_zone(&m);
	begin_zone(&m);
	control("fail\n");
	assert_int_equal(origin_open(m.z, false, &err), 0);
	assert_false(origin_owns(m.z));
	control("");
	step(&m, 0);
	assert_true(origin_owns(m.z));
	end_zone(&m);
	forget(&m);
}

/* Nor one that knows that it was taken over; whether it saw that in use or at a mount. */
static void test_taken_over(void **state)
{
	struct errline err = { "" };
	struct restored done;
	struct world m;
	int at_mount;

	(void)state;
	for (at_mount = 0; at_mount < 2; at_mount++) {
		make(&m);
		own(&m);
		work(&m);
		assert_int_equal(restore_as(&m, "y", true, &done, &err), 0);
		if (!at_mount) {
			step(&m, 30000);
			assert_true(atomic_load(&m.z->origin->fenced));
		}
		end_zone(&m);
		begin_zone(&m);
		if (at_mount)
			refused(&m, -EBUSY);
		refused_while_down(&m);
		end_zone(&m);
		forget(&m);
	}
}

/* The settings, or the keys, cannot be read. */
static void test_unusable(void **state)
{
	char usable[sizeof(((struct config *)NULL)->content)];
	struct errline err = { "" };
	struct world m;

	(void)state;
	make(&m);
	memcpy(usable, m.cfg.content, sizeof(usable));
	strcpy(m.cfg.content, "nowhere:/");
	refused(&m, -EINVAL);
	/* The kernel has it, and it is in use. */
	assert_int_equal(origin_open(m.z, true, &err), 0);
	assert_false(origin_owns(m.z));
	origin_free(m.z);
	memcpy(m.cfg.content, usable, sizeof(usable));
	own(&m);
	end_zone(&m);
	begin_zone(&m);
	strcpy(m.cfg.content, "nowhere:/");
	assert_int_equal(origin_open(m.z, false, &err), 0);
	assert_false(origin_owns(m.z));
	end_zone(&m);
	forget(&m);
}

/* An orderly unmount. */
static void release(struct world *m)
{
	assert_int_equal(zone_fold(m->z, 0, true), 0);
	origin_stop(m->z);
	origin_end(m->z, true);
	origin_free(m->z);
}

/*
 * Released by one copy of the zone, it is not to be written to by another that is older: that
 * would be a checkpoint over the newer, whose log goes then.
 */
static void test_older_copy(void **state)
{
	struct origin_manifest last, later;
	struct errline err = { "" };
	struct nexus_origin_owner o;
	struct content *c;
	char command[PATH_MAX + 64];
	struct world m;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	release(&m);
	c = open_content(&m);
	get_manifest(c, &last);
	/* The directory on another disk: another's token, and all is there. */
	snprintf(command, sizeof(command), "cd '%s' && cp owner copy && mv copy owner", m.z->dir);
	assert_int_equal(system(command), 0);
	own(&m);
	assert_int_equal(m.z->origin->owner.epoch, 2);
	write_some(&m);
	release(&m);
	get_manifest(c, &last);
	/* Another copy has gone on, and left in order. */
	later = last;
	later.epoch++;
	later.number++;
	put_manifest_of(c, &later);
	assert_int_equal(origin_open(m.z, false, &err), -ESTALE);
	assert_non_null(strstr(err.msg, "older"));
	origin_free(m.z);
	assert_int_equal(c->ops->get_named(c, "owner", 0, &o, sizeof(o), NULL), sizeof(o));
	assert_int_equal(le32_to_cpu(o.state), NEXUS_OWNER_RELEASED);
	/* Nor by one that does not know what it saw. */
	snprintf(command, sizeof(command), "rm '%s/owner'", m.z->dir);
	assert_int_equal(system(command), 0);
	put_manifest_of(c, &last);
	assert_int_equal(origin_open(m.z, false, &err), -ESTALE);
	origin_free(m.z);
	content_close(c);
	end_zone(&m);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_two, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_fenced_checkpoint, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unfenced, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_silent, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_copy, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unusable, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_older_copy, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
