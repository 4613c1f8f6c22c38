// SPDX-License-Identifier: Apache-2.0
/*
 * A restore that is ended before its end: what is left of it, here and with the store; and
 * one of a zone whose helper was ended before its.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "origin-world.h"

/* A machine that was orderly, and is gone. */
static void released(struct world *m)
{
	make(m);
	own(m);
	write_some(m);
	seal(m);
	write_some(m);
	assert_int_equal(zone_fold(m->z, 0, true), 0);
	origin_stop(m->z);
	origin_end(m->z, true);
	m->acked = memtable_applied(&m->z->mt);
	lose(m);
}

static void *stopper(void *arg)
{
	/* Long after it has come to where it is held. */
	usleep(2000000);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

/* Somebody wants its end soon. */
static int stopped(struct world *m, const char *plan, struct errline *err)
{
	atomic_bool stop = false;
	struct restore_args args = { .spec = m->cfg.content, .name = "z", .stop = &stop };
	struct restored done;
	pthread_t thread;
	int lock, ret;

	control(plan);
	err->msg[0] = '\0';
	assert_int_equal(store_open_data(&m->cfg, &lock, err), 0);
	assert_int_equal(pthread_create(&thread, NULL, stopper, &stop), 0);
	ret = zone_restore(&m->cfg, &args, &done, err);
	pthread_join(thread, NULL);
	close(lock);
	control("");
	return ret;
}

static void nothing_left(const struct world *m)
{
	char path[PATH_MAX + 8];
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/zones", m->cfg.data_dir);
	dir = opendir(path);
	assert_non_null(dir);
	while ((de = readdir(dir)))
		assert_true(!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."));
	closedir(dir);
}

/* Before it is the owner, and after: nothing is left, and nobody has to take over. */
static void test_stopped(void **state)
{
	static const char *const plans[] = { "silent\n", "hold\n" };
	struct restored done;
	struct errline err;
	struct world m;
	size_t i;

	(void)state;
	released(&m);
	for (i = 0; i < 2; i++) {
		assert_int_equal(stopped(&m, plans[i], &err), -EINTR);
		assert_non_null(strstr(err.msg, "interrupted"));
		assert_null(strstr(err.msg, "take-over"));
		nothing_left(&m);
	}
	assert_int_equal(restore_as(&m, "z", false, &done, &err), 0);
	/* The second of them was it, and gave that back. */
	assert_true(done.epoch == 3);
	check_restored(&m, &done);
	forget(&m);
}

/* The store is away by then: the line says what that means for the next time. */
static void test_not_given_back(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	char plan[32];
	int cut, ret;

	(void)state;
	released(&m);
	for (cut = 1; cut < 20; cut++) {
		snprintf(plan, sizeof(plan), "hold\ncut %d\n", cut);
		ret = stopped(&m, plan, &err);
		assert_true(ret == -EINTR || ret == -EIO);
		if (strstr(err.msg, "--take-over is needed next time"))
			break;
	}
	assert_true(cut > 3 && cut < 20);
	assert_int_equal(ret, -EINTR);
	nothing_left(&m);
	assert_int_equal(restore_as(&m, "z", false, &done, &err), -EBUSY);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* What one that was killed has left is in nobody's way; what somebody is at stays. */
static void test_left(void **state)
{
	char dir[PATH_MAX + 16], path[PATH_MAX + 32];
	struct restored done;
	struct errline err;
	struct restore_args args = { .name = "z" };
	struct world m;
	int fd, lock;

	(void)state;
	released(&m);
	args.spec = m.cfg.content;
	snprintf(dir, sizeof(dir), "%s", m.cfg.data_dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(dir, sizeof(dir), "%s/zones", m.cfg.data_dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(dir, sizeof(dir), "%s/zones/.new-z", m.cfg.data_dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/LOCK", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	/* A helper begins meanwhile. */
	assert_int_equal(store_open_data(&m.cfg, &lock, &err), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(zone_restore(&m.cfg, &args, &done, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "being made by someone else"));
	assert_int_equal(access(path, F_OK), 0);
	/* It is killed, and the helper still runs. */
	close(fd);
	assert_int_equal(zone_restore(&m.cfg, &args, &done, &err), 0);
	close(lock);
	check_restored(&m, &done);
	forget(&m);
}

/* A helper takes a zone over as it is closed: its end is with the store all the same. */
static void test_closed_at_once(void **state)
{
	struct errline err = { "" };
	struct restored done;
	struct world m;
	u64 before;
	int down;

	(void)state;
	for (down = 0; down < 2; down++) {
		make(&m);
		own(&m);
		write_some(&m);
		fold(&m);
		step(&m, 1);
		before = m.acked;
		assert_true(before > 0);
		origin_free(m.z);
		assert_int_equal(origin_open(m.z, true, &err), 0);
		assert_false(m.z->origin->owned);
		write_some(&m);
		seal(&m);
		assert_int_equal(zone_fold(m.z, 0, true), 0);
		control(down ? "down\n" : "");
		origin_stop(m.z);
		origin_end(m.z, true);
		control("");
		assert_int_equal(m.z->origin->owned, !down);
		m.acked = down ? before : memtable_applied(&m.z->mt);
		lose(&m);
		assert_int_equal(restore_as(&m, "z", false, &done, &err), down ? -EBUSY : 0);
		if (down)
			assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		check_restored(&m, &done);
		forget(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stopped, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_not_given_back, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_left, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_closed_at_once, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
