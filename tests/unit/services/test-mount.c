// SPDX-License-Identifier: Apache-2.0
/*
 * Service mount on a machine of the test's: what is attached, detached, listed and saved; what
 * others mount and unmount; the next helper, stores that are away, and two builds at once.
 */
#include "mount-world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SINCE	1700000000123	/* the world's clock */

static void test_attach(void **state)
{
	struct mounts m;

	(void)state;
	open_mounts(&m);
	assert_list(&m, "");
	attach_ok(&m, "s3://b/p", "/mnt/b/", "nodev,ro");
	attach_ok(&m, "s3://a", "/mnt/a", NULL);
	assert_list(&m, "attached /mnt/a s3://a ; attached /mnt/b s3://b/p nodev,ro");
	assert_int_equal(since_of(&m, "/mnt/a"), SINCE);
	detach_ok(&m, "/mnt/b", false);
	assert_int_equal(mounted("/mnt/b"), 0);
	assert_list(&m, "attached /mnt/a s3://a ");
	detach_fails(&m, "/mnt/b", -ENOENT, "nothing is attached to /mnt/b");
	detach_fails(&m, "mnt", -EINVAL, "absolute");
	close_mounts(&m);
	/* Mounts are the machine's, not the service's. */
	assert_int_equal(mounted("/mnt/a"), 1);
	/* The next one has kept since when. */
	open_mounts(&m);
	assert_list(&m, "attached /mnt/a s3://a ");
	assert_int_equal(since_of(&m, "/mnt/a"), SINCE);
	close_mounts(&m);
}

static void test_refused(void **state)
{
	struct mounts m;

	(void)state;
	open_mounts(&m);
	by_hand("tmpfs", "tmpfs", "/mnt/t", "rw", "rw", "/");
	attach_fails(&m, "zone", "/mnt/a", NULL, -EINVAL, "no object store");
	attach_fails(&m, "s3://b", "a", NULL, -EINVAL, "absolute");
	attach_fails(&m, "s3://b", "/mnt/a", "rw", -EINVAL, "an option is none of");
	attach_fails(&m, "s3://b", "/mnt/t", NULL, -EBUSY, "mount point already");
	detach_fails(&m, "/mnt/t", -ENOENT, "no bucket, but a tmpfs");
	assert_int_equal(world.attaches, 0);
	world.error = -ENOTDIR;
	strcpy(world.words, "mount point /mnt/f is not a directory");
	attach_fails(&m, "s3://b", "/mnt/f", NULL, -ENOTDIR, "is not a directory");
	assert_list(&m, "");
	world.error = 0;
	attach_ok(&m, "s3://b", "/mnt/a", NULL);
	attach_fails(&m, "s3://b", "/mnt/a", NULL, -EBUSY, "mount point already, of s3://b");
	world.busy = -EBUSY;
	detach_fails(&m, "/mnt/a", -EBUSY, "target is busy");
	assert_list(&m, "attached /mnt/a s3://b ");
	detach_ok(&m, "/mnt/a", true);
	assert_list(&m, "");
	close_mounts(&m);
}

/* Others mount and unmount, and the service sees it. */
static void test_others(void **state)
{
	struct mounts m;

	(void)state;
	open_mounts(&m);
	by_hand("nexusfs", "s3://b", "/mnt/h", "ro,nosuid,relatime", "ro,grace=9", "/");
	by_hand("nexusfs", "s3://b", "/mnt/part", "ro", "ro", "/sub");
	by_hand("nexusfs", "s3://b;storage_class=X", "/mnt/odd", "ro", "ro", "/");
	by_hand("nexusfs", "root", "/mnt/zone", "rw", "rw", "/");
	by_hand("nexusfs", "s3://b", "/mnt/covered", "ro", "ro", "/");
	by_hand("tmpfs", "tmpfs", "/mnt/covered", "rw", "rw", "/");
	by_hand("nexusfs", "s3://c", "/mnt/rw", "rw", "ro", "/");
	assert_list(&m, "attached /mnt/h s3://b ro,nosuid,relatime,grace=9; attached /mnt/rw s3://c ");
	assert_int_equal(since_of(&m, "/mnt/h"), 0);
	by_hand_off("/mnt/h");
	by_hand_off("/mnt/rw");
	assert_list(&m, "");
	by_hand("nexusfs", "s3://b", "/mnt/h", "ro", "ro", "/");
	detach_ok(&m, "/mnt/h", false);
	assert_int_equal(mounted("/mnt/h"), 0);
	/* One of ours that somebody unmounted, and mounted again. */
	attach_ok(&m, "s3://a", "/mnt/a", "ro");
	by_hand_off("/mnt/a");
	assert_list(&m, "gone /mnt/a s3://a ro");
	assert_int_equal(since_of(&m, "/mnt/a"), 0);
	by_hand("nexusfs", "s3://a", "/mnt/a", "ro", "ro", "/");
	assert_list(&m, "attached /mnt/a s3://a ro");
	assert_int_equal(since_of(&m, "/mnt/a"), 0);
	by_hand_off("/mnt/a");
	attach_ok(&m, "s3://other", "/mnt/a", NULL);
	assert_list(&m, "attached /mnt/a s3://other ");
	by_hand_off("/mnt/a");
	detach_ok(&m, "/mnt/a", false);
	assert_list(&m, "");
	close_mounts(&m);
}

static void test_save(void **state)
{
	struct mounts m;

	(void)state;
	open_mounts(&m);
	assert_int_equal(save_ok(&m), 0);
	attach_ok(&m, "s3://a", "/mnt/a", "ro,nodev");
	by_hand("nexusfs", "s3://h", "/mnt/h", "ro,nosuid", "ro", "/");
	attach_ok(&m, "s3://g", "/mnt/g", NULL);
	by_hand_off("/mnt/g");
	assert_int_equal(save_ok(&m), 2);
	attach_ok(&m, "s3://u", "/mnt/u", NULL);
	assert_list(&m, "attached+ /mnt/a s3://a ro,nodev; gone /mnt/g s3://g ; attached+ /mnt/h s3://h ro,nosuid; attached /mnt/u s3://u ");
	by_hand_off("/mnt/a");
	assert_list(&m, "gone+ /mnt/a s3://a ro,nodev; gone /mnt/g s3://g ; attached+ /mnt/h s3://h ro,nosuid; attached /mnt/u s3://u ");
	attach_fails(&m, "s3://b", "/mnt/a", "ro,nodev", -EEXIST, "detach it first");
	attach_fails(&m, "s3://a", "/mnt/a", "ro", -EEXIST, "detach it first");
	attach_ok(&m, "s3://a", "/mnt/a", "ro,nodev");
	assert_list(&m, "attached+ /mnt/a s3://a ro,nodev; gone /mnt/g s3://g ; attached+ /mnt/h s3://h ro,nosuid; attached /mnt/u s3://u ");
	/* The machine starts again. */
	close_mounts(&m);
	by_hand_off("/mnt/a");
	by_hand_off("/mnt/h");
	by_hand_off("/mnt/u");
	world.attaches = 0;
	open_mounts(&m);
	await_list(&m, "attached+ /mnt/a s3://a ro,nodev; attached+ /mnt/h s3://h ro,nosuid");
	assert_int_equal(world.attaches, 2);
	/* What was detached is not saved any more. */
	detach_ok(&m, "/mnt/h", false);
	close_mounts(&m);
	by_hand_off("/mnt/a");
	open_mounts(&m);
	await_list(&m, "attached+ /mnt/a s3://a ro,nodev");
	/* One that is gone is saved until it is said again. */
	by_hand_off("/mnt/a");
	assert_list(&m, "gone+ /mnt/a s3://a ro,nodev");
	assert_int_equal(save_ok(&m), 0);
	assert_list(&m, "gone /mnt/a s3://a ro,nodev");
	close_mounts(&m);
	open_mounts(&m);
	assert_list(&m, "");
	close_mounts(&m);
}

/* A helper that starts again mounts nothing twice. */
static void test_still_there(void **state)
{
	struct mounts m;

	(void)state;
	open_mounts(&m);
	attach_ok(&m, "s3://a", "/mnt/a", NULL);
	attach_ok(&m, "s3://b", "/mnt/b", NULL);
	save_ok(&m);
	close_mounts(&m);
	by_hand_off("/mnt/b");
	by_hand("tmpfs", "tmpfs", "/mnt/b", "rw", "rw", "/");
	world.attaches = 0;
	open_mounts(&m);
	await_list(&m, "attached+ /mnt/a s3://a ; failed+ /mnt/b s3://b ");
	assert_int_equal(world.attaches, 0);
	assert_int_equal(mounted("/mnt/a"), 1);
	by_hand_off("/mnt/b");
	await_list(&m, "attached+ /mnt/a s3://a ; attached+ /mnt/b s3://b ");
	assert_int_equal(mounted("/mnt/b"), 1);
	assert_false(world.doubled);
	close_mounts(&m);
}

/* The store is away when the helper starts: nobody waits, and it is tried until it is there. */
static void test_away(void **state)
{
	char reason[NEXUS_MOUNT_WORDS_MAX];
	struct mounts m;
	unsigned int i;

	(void)state;
	open_mounts(&m);
	attach_ok(&m, "s3://a", "/mnt/a", NULL);
	attach_ok(&m, "s3://b", "/mnt/b", NULL);
	save_ok(&m);
	close_mounts(&m);
	by_hand_off("/mnt/a");
	by_hand_off("/mnt/b");
	world.error = -EHOSTUNREACH;
	strcpy(world.words, "No route to host");
	world.said = 0;
	open_mounts(&m);
	await_list(&m, "failed+ /mnt/a s3://a ; failed+ /mnt/b s3://b ");
	reason_of(&m, "/mnt/a", reason);
	assert_string_equal(reason, "No route to host");
	/* Again and again, and said once for each. */
	pthread_mutex_lock(&world.lock);
	for (i = world.attaches + 10; world.attaches < i; )
		pthread_cond_wait(&world.cond, &world.lock);
	assert_int_equal(world.said, 2);
	pthread_mutex_unlock(&world.lock);
	/* Saving keeps what is away. */
	assert_int_equal(save_ok(&m), 2);
	/* One is not wanted any more. */
	for (i = 0; i < 1000; i++) {
		struct nexus_mount_detach_args a = { "/mnt/b", false, "" };

		/* Somebody is at it now and then. */
		if (!mounts_detach(&m, &a))
			break;
	}
	await_list(&m, "failed+ /mnt/a s3://a ");
	pthread_mutex_lock(&world.lock);
	world.error = 0;
	pthread_mutex_unlock(&world.lock);
	await_list(&m, "attached+ /mnt/a s3://a ");
	reason_of(&m, "/mnt/a", reason);
	assert_string_equal(reason, "");
	/* Who attached it says so a moment after all can see it. */
	for (i = 0; i < 10000 && since_of(&m, "/mnt/a") != SINCE; i++)
		usleep(1000);
	assert_int_equal(since_of(&m, "/mnt/a"), SINCE);
	assert_int_equal(mounted("/mnt/b"), 0);
	close_mounts(&m);
}

/* A store that says nothing holds up neither the start, nor others, nor the end. */
static void test_silent(void **state)
{
	struct mounts m;
	unsigned int i;
	char at[32], from[32];

	(void)state;
	open_mounts(&m);
	for (i = 0; i < 8; i++) {
		snprintf(at, sizeof(at), "/mnt/%u", i);
		snprintf(from, sizeof(from), "s3://b%u", i);
		attach_ok(&m, from, at, NULL);
	}
	save_ok(&m);
	close_mounts(&m);
	for (i = 0; i < 8; i++) {
		snprintf(at, sizeof(at), "/mnt/%u", i);
		by_hand_off(at);
	}
	world.most = 0;
	world.held = "s3://b0";
	open_mounts(&m);
	await_list(&m, "waiting+ /mnt/0 s3://b0 ; attached+ /mnt/1 s3://b1 ; attached+ /mnt/2 s3://b2 ; "
		   "attached+ /mnt/3 s3://b3 ; attached+ /mnt/4 s3://b4 ; attached+ /mnt/5 s3://b5 ; "
		   "attached+ /mnt/6 s3://b6 ; attached+ /mnt/7 s3://b7 ");
	assert_true(world.most <= MOUNTS_WORKERS);
	detach_fails(&m, "/mnt/0", -EBUSY, "attached or detached now");
	attach_fails(&m, "s3://b0", "/mnt/0", NULL, -EBUSY, "attached or detached now");
	detach_ok(&m, "/mnt/1", false);
	assert_int_equal(save_ok(&m), 7);
	pthread_mutex_lock(&world.lock);
	world.held = NULL;
	pthread_cond_broadcast(&world.cond);
	pthread_mutex_unlock(&world.lock);
	close_mounts(&m);
}

static void test_limit(void **state)
{
	char at[32], text[64];
	struct mounts m;
	unsigned int i;

	(void)state;
	open_mounts(&m);
	for (i = 0; i < NEXUS_MOUNTS_MAX - 1; i++) {
		snprintf(at, sizeof(at), "/mnt/%u", i);
		by_hand("nexusfs", "s3://b", at, "ro", "ro", "/");
	}
	attach_ok(&m, "s3://b", "/mnt/last", NULL);
	snprintf(text, sizeof(text), "%u mounts are known", NEXUS_MOUNTS_MAX);
	attach_fails(&m, "s3://b", "/mnt/more", NULL, -ENOSPC, text);
	assert_int_equal(save_ok(&m), NEXUS_MOUNTS_MAX);
	/* More than are known are no harm. */
	by_hand("nexusfs", "s3://b", "/mnt/more", "ro", "ro", "/");
	assert_int_equal(save_ok(&m), NEXUS_MOUNTS_MAX);
	close_mounts(&m);
	open_mounts(&m);
	assert_int_equal(save_ok(&m), NEXUS_MOUNTS_MAX);
	close_mounts(&m);
}

static char *in_folder(const char *name, char path[128])
{
	snprintf(path, 128, "%s/service/%s", world_dir, name);
	return path;
}

/* The disk is full, or fails: what is saved stays what it was. */
static void test_unwritable(void **state)
{
	struct nexus_mount_save_args save = { 0, "" };
	char path[128], words[128];
	struct mounts m, other = { .first_ms = 1, .last_ms = 1 };
	FILE *file;

	(void)state;
	open_mounts(&m);
	attach_ok(&m, "s3://a", "/mnt/a", NULL);
	save_ok(&m);
	assert_int_equal(mkdir(in_folder(KEEP_FILE ".new", path), 0700), 0);
	attach_ok(&m, "s3://b", "/mnt/b", NULL);
	assert_non_null(strstr(world.last, "/mnt/b is attached could not be kept"));
	assert_int_equal(mounts_save(&m, &save), -EISDIR);
	assert_non_null(strstr(save.words, "stays as it was"));
	assert_list(&m, "attached+ /mnt/a s3://a ; attached /mnt/b s3://b ");
	detach_fails(&m, "/mnt/a", -EISDIR, "still saved");
	assert_list(&m, "gone+ /mnt/a s3://a ; attached /mnt/b s3://b ");
	detach_ok(&m, "/mnt/b", false);
	assert_int_equal(rmdir(path), 0);
	detach_ok(&m, "/mnt/a", false);
	assert_list(&m, "");
	/* A file somebody spoilt is not written over. */
	file = fopen(in_folder(KEEP_FILE, path), "w");
	fputs("nexusfs-mounts 1\nsaved\n", file);
	fclose(file);
	attach_fails(&m, "s3://a", "/mnt/a", NULL, -EUCLEAN, "");
	close_mounts(&m);
	snprintf(path, sizeof(path), "%s/service", world_dir);
	assert_int_equal(mounts_open(&other, m.machine, open(path, O_DIRECTORY | O_RDONLY), words), -EUCLEAN);
	assert_string_equal(words, "line 2 of the file is damaged");
}

struct one {
	struct mounts *m;
	int ret;
};

static void *attach_a(void *arg)
{
	struct nexus_mount_attach_args a = { "s3://a", "/mnt/a", NULL, "" };
	struct one *one = arg;

	one->ret = mounts_attach(one->m, &a);
	return NULL;
}

/* As during a swap. */
static void test_two_builds(void **state)
{
	struct mounts old, new;
	struct one one = { &old, 1 };
	pthread_t thread;

	(void)state;
	open_mounts(&old);
	world.held = "s3://a";
	assert_int_equal(pthread_create(&thread, NULL, attach_a, &one), 0);
	pthread_mutex_lock(&world.lock);
	while (!world.running)
		pthread_cond_wait(&world.cond, &world.lock);
	pthread_mutex_unlock(&world.lock);
	/* Not shown before it is there. */
	assert_list(&old, "");
	open_mounts(&new);
	attach_fails(&new, "s3://a", "/mnt/a", NULL, -EBUSY, "attached or detached now");
	attach_ok(&new, "s3://b", "/mnt/b", NULL);
	pthread_mutex_lock(&world.lock);
	world.held = NULL;
	pthread_cond_broadcast(&world.cond);
	pthread_mutex_unlock(&world.lock);
	pthread_join(thread, NULL);
	assert_int_equal(one.ret, 0);
	assert_list(&new, "attached /mnt/a s3://a ; attached /mnt/b s3://b ");
	assert_int_equal(since_of(&new, "/mnt/a"), SINCE);
	save_ok(&old);
	assert_list(&new, "attached+ /mnt/a s3://a ; attached+ /mnt/b s3://b ");
	detach_ok(&new, "/mnt/b", false);
	assert_list(&old, "attached+ /mnt/a s3://a ");
	close_mounts(&old);
	/* While one tries what is saved, the other takes it over and does not, too. */
	close_mounts(&new);
	by_hand_off("/mnt/a");
	world.held = "s3://a";
	open_mounts(&old);
	pthread_mutex_lock(&world.lock);
	while (!world.running)
		pthread_cond_wait(&world.cond, &world.lock);
	pthread_mutex_unlock(&world.lock);
	open_mounts(&new);
	await_list(&new, "failed+ /mnt/a s3://a ");
	pthread_mutex_lock(&world.lock);
	world.held = NULL;
	pthread_cond_broadcast(&world.cond);
	pthread_mutex_unlock(&world.lock);
	await_list(&new, "attached+ /mnt/a s3://a ");
	close_mounts(&old);
	close_mounts(&new);
	assert_int_equal(mounted("/mnt/a"), 1);
	assert_false(world.doubled);
}

/* ---- many at once --------------------------------------------------------------------- */

#define CROWD	6u
#define STEPS	60u

static void *crowd(void *arg)
{
	struct mounts *m = arg;
	unsigned int seed = (unsigned int)(uintptr_t)&seed, i;
	char at[32];

	for (i = 0; i < STEPS; i++) {
		struct nexus_mount_attach_args a = { "s3://b", at, "ro", "" };
		struct nexus_mount_detach_args d = { at, false, "" };
		struct nexus_mount_save_args s = { 0, "" };

		snprintf(at, sizeof(at), "/mnt/%u", rand_r(&seed) % 4);
		switch (rand_r(&seed) % 4) {
		case 0:
			mounts_attach(m, &a);
			break;
		case 1:
			mounts_detach(m, &d);
			break;
		case 2:
			mounts_save(m, &s);
			break;
		default:
			free(list_text(m));
		}
	}
	return NULL;
}

static void test_crowd(void **state)
{
	pthread_t threads[CROWD];
	struct mounts m[2];
	unsigned int i;
	char *text, at[32];

	(void)state;
	open_mounts(&m[0]);
	open_mounts(&m[1]);
	for (i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd, &m[i % 2]), 0);
	for (i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	assert_false(world.doubled);
	for (i = 0; i < 4; i++) {
		snprintf(at, sizeof(at), "attached /mnt/%u", i);
		assert_true(mounted(strchr(at, '/')) <= 1);
		text = list_text(&m[0]);
		if (mounted(strchr(at, '/')) && !strstr(text, strchr(at, '/')))
			fail_msg("%s is not in %s", at, text);
		free(text);
	}
	close_mounts(&m[0]);
	close_mounts(&m[1]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, mount_world_setup, mount_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_attach),
		T(test_refused),
		T(test_others),
		T(test_save),
		T(test_still_there),
		T(test_away),
		T(test_silent),
		T(test_limit),
		T(test_unwritable),
		T(test_two_builds),
		T(test_crowd),
	};

	return cmocka_run_group_tests_name("mount", tests, NULL, NULL);
}
