// SPDX-License-Identifier: Apache-2.0
/* Every object store driver, as far as packs go. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <nexus/format.h>
#include <nexus/objectstore.h>

#include "lib/port.h"
#include "pack.h"

static char dir[64];
static const u8 uuid[NEXUS_UUID_SIZE] = "0123456789abcde";

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/var/tmp/nexus-os-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static int count(void *arg, u64 pack)
{
	(void)pack;
	(*(int *)arg)++;
	return 0;
}

static int packs(struct nexus_objectstore *os)
{
	int n = 0;

	assert_int_equal(os->drv->list(os, count, &n), 0);
	return n;
}

static void check_zero(struct nexus_objectstore *os, u64 pack, u32 want)
{
	u32 blocks = 0, i, j;
	u8 *buf = NULL;
	int fd = os->drv->open_pack(os, pack, false, &blocks);

	assert_true(fd >= 0);
	assert_int_equal(blocks, want);
	assert_int_equal(posix_memalign((void **)&buf, 4096, 4096), 0);
	for (i = 0; i < blocks; i++) {
		assert_int_equal(pread(fd, buf, 4096, (off_t)i * 4096), 4096);
		for (j = 0; j < 4096; j++)
			assert_int_equal(buf[j], 0);
	}
	free(buf);
	close(fd);
}

static void life(const struct nexus_os_driver *drv)
{
	struct nexus_objectstore *os;
	u64 total, avail, have;
	u32 blocks;
	int fd;

	assert_int_equal(drv->open(dir, &os), 0);
	assert_int_equal(packs(os), 0);
	assert_int_equal(drv->create(os, 1, 64), 0);
	assert_int_equal(drv->create(os, 1, 64), -EEXIST);
	assert_int_equal(drv->create(os, 0x1234567890abull, 300), 0);
	check_zero(os, 1, 64);
	check_zero(os, 0x1234567890abull, 300);
	assert_int_equal(packs(os), 2);
	assert_int_equal(drv->taken(os, 7, &total), -ENOENT);
	assert_int_equal(drv->taken(os, 1, &total), 0);
	/* Memory takes what was written. */
	assert_true(total >= (drv->persistent ? 64 * 4096 : 0) && total < 80 * 4096);
	assert_int_equal(drv->open_pack(os, 7, false, &blocks), -ENOENT);
	assert_int_equal(drv->recycle(os, 1, 7), 0);
	assert_int_equal(drv->open_pack(os, 1, false, &blocks), -ENOENT);
	fd = drv->open_pack(os, 7, true, &blocks);
	assert_true(fd >= 0);
	/* Whoever has it open keeps it. */
	assert_int_equal(drv->remove(os, 7), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 64 * 4096);
	close(fd);
	assert_int_equal(drv->remove(os, 7), 0);
	assert_int_equal(packs(os), 1);
	assert_int_equal(drv->space(os, &total, &avail), 0);
	assert_true(avail <= total && total);
	/* Room set aside: more, less, used up. */
	assert_int_equal(drv->kept(os, 64, &have), 0);
	assert_true(have == 0);
	assert_int_equal(drv->create_kept(os, 8, 64), -ENOENT);
	assert_int_equal(drv->keep(os, 64, 5, &have), 0);
	assert_true(have == 5);
	assert_int_equal(drv->keep(os, 64, 2, &have), 0);
	assert_true(have == 2);
	assert_int_equal(packs(os), 1);
	assert_int_equal(drv->create_kept(os, 8, 64), 0);
	check_zero(os, 8, 64);
	assert_int_equal(drv->kept(os, 64, &have), 0);
	assert_true(have == 1);
	assert_int_equal(drv->create_kept(os, 9, 64), 0);
	assert_int_equal(drv->create_kept(os, 10, 64), -ENOENT);
	assert_int_equal(packs(os), 3);
	assert_int_equal(drv->remove(os, 8), 0);
	assert_int_equal(drv->remove(os, 9), 0);
	assert_int_equal(drv->clean(os), 0);
	assert_int_equal(packs(os), 1);
	drv->close(os);
}

static void test_localdisk(void **state)
{
	(void)state;
	life(&nexus_os_localdisk);
}

static void test_mem(void **state)
{
	(void)state;
	life(&nexus_os_mem);
}

static void test_leftovers(void **state)
{
	struct nexus_objectstore *os;
	char path[160];

	(void)state;
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(os->drv->create(os, 5, 8), 0);
	snprintf(path, sizeof(path), "%s/05/0000000000000105.pack.new", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/05/notes.txt", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(packs(os), 1);
	assert_int_equal(os->drv->clean(os), 0);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/05/0000000000000105.pack.new", dir);
	assert_int_equal(access(path, F_OK), -1);
	os->drv->close(os);
}

/* What is kept stays kept over a restart; what a crash left of it does not count. */
static void test_kept(void **state)
{
	struct nexus_objectstore *os;
	char path[160];
	struct stat st;
	u64 have;

	(void)state;
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(os->drv->keep(os, 64, 3, &have), 0);
	snprintf(path, sizeof(path), "%s/kept/0000000000000002", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 >= 64 * 4096);
	os->drv->close(os);
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(os->drv->kept(os, 64, &have), 0);
	assert_true(have == 3);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 64 * 4096), 0);
	assert_int_equal(os->drv->kept(os, 64, &have), 0);
	assert_true(have == 2);
	assert_int_equal(os->drv->keep(os, 64, 3, &have), 0);
	assert_true(have == 3);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 >= 64 * 4096);
	assert_int_equal(os->drv->keep(os, 64, 0, &have), 0);
	assert_true(have == 0);
	assert_int_equal(access(path, F_OK), -1);
	os->drv->close(os);
}

/* Whoever makes a pack of it dies before that is done, or cannot do it. */
static void test_kept_half_used(void **state)
{
	const struct rlimit limit = { 16 * 4096, 16 * 4096 };
	struct nexus_objectstore *os;
	pid_t child;
	int status, dies;
	u64 have;

	(void)state;
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(os->drv->keep(os, 64, 2, &have), 0);
	for (dies = 0; dies < 2; dies++) {
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			signal(SIGXFSZ, dies ? SIG_DFL : SIG_IGN);
			setrlimit(RLIMIT_FSIZE, &limit);
			_exit(os->drv->create_kept(os, 8, 64) == -EFBIG ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (dies)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
		else
			assert_int_equal(status, 0);
		assert_int_equal(os->drv->kept(os, 64, &have), 0);
		assert_int_equal(have, 2);
		assert_int_equal(packs(os), 0);
	}
	assert_int_equal(os->drv->create_kept(os, 8, 64), 0);
	check_zero(os, 8, 64);
	assert_int_equal(os->drv->kept(os, 64, &have), 0);
	assert_int_equal(have, 1);
	os->drv->close(os);
}

/* Space of its own, not written: it is used again when it is, and not before. */
static void test_allocated(void **state)
{
	struct nexus_objectstore *os;
	char path[160];
	struct stat st;
	u32 blocks, i;
	void *buf = NULL;
	int fd;

	(void)state;
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(os->drv->create_allocated(os, 0x21, 64), 0);
	assert_int_equal(os->drv->create_allocated(os, 0x21, 64), -EEXIST);
	check_zero(os, 0x21, 64);
	snprintf(path, sizeof(path), "%s/21/0000000000000021.pack", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 >= 64 * 4096);
	assert_int_equal(os->drv->recycle(os, 0x21, 0x22), -EINVAL);
	assert_int_equal(posix_memalign(&buf, 4096, 4096), 0);
	memset(buf, 7, 4096);
	fd = os->drv->open_pack(os, 0x21, true, &blocks);
	assert_true(fd >= 0);
	for (i = 0; i < 64; i++) {
		if (i == 17)
			continue;
		assert_int_equal(pwrite(fd, buf, 4096, (off_t)i * 4096), 4096);
	}
	assert_int_equal(os->drv->recycle(os, 0x21, 0x22), -EINVAL);
	assert_int_equal(pwrite(fd, buf, 4096, 17 * 4096), 4096);
	close(fd);
	free(buf);
	assert_int_equal(os->drv->recycle(os, 0x21, 0x22), 0);
	assert_int_equal(os->drv->remove(os, 0x22), 0);
	os->drv->close(os);
}

static void test_heads(void **state)
{
	struct nexus_objectstore *os;
	struct nexus_pack_head head;
	struct pack_reader *r;
	u8 buf[4096];

	(void)state;
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(pack_create(os, 3, 256, uuid), 0);
	r = pack_reader_new(os);
	assert_int_equal(pack_read_block(r, 3, 0, buf), 0);
	memcpy(&head, buf, sizeof(head));
	assert_int_equal(pack_check_head(&head, uuid, 3, 256), 0);
	assert_int_equal(pack_check_head(&head, uuid, 4, 256), -ESTALE);
	assert_int_equal(pack_check_head(&head, uuid, 3, 255), -ESTALE);
	assert_int_equal(pack_check_head(&head, (const u8 *)"another zone's.", 3, 256), -ESTALE);
	head.pack ^= cpu_to_le64(7);
	assert_int_equal(pack_check_head(&head, uuid, 4, 256), -EUCLEAN);
	assert_int_equal(pack_read_block(r, 3, 256, buf), -ERANGE);
	assert_int_equal(pack_read_block(r, 9, 0, buf), -ENOENT);
	pack_reader_free(r);
	assert_int_equal(pack_recycle(os, 3, 9, 256, uuid), 0);
	assert_int_equal(pack_recycle(os, 9, 10, 255, uuid), -EINVAL);
	r = pack_reader_new(os);
	assert_int_equal(pack_read_block(r, 9, 0, buf), 0);
	memcpy(&head, buf, sizeof(head));
	assert_int_equal(pack_check_head(&head, uuid, 9, 256), 0);
	pack_reader_free(r);
	os->drv->close(os);
}

/* Block @n of pack @pack has @with, through a file of its own. */
static void put_block(struct nexus_objectstore *os, u64 pack, u32 n, u8 with)
{
	u32 blocks;
	int fd = os->drv->open_pack(os, pack, true, &blocks);
	void *buf = NULL;

	assert_true(fd >= 0);
	assert_int_equal(posix_memalign(&buf, 4096, 4096), 0);
	memset(buf, with, 4096);
	assert_int_equal(pwrite(fd, buf, 4096, (off_t)n * 4096), 4096);
	free(buf);
	close(fd);
}

static void expect_block(struct pack_reader *r, u64 pack, u32 n, u8 has)
{
	u8 buf[4096];

	assert_int_equal(pack_read_block(r, pack, n, buf), 0);
	assert_int_equal(buf[0], has);
	assert_int_equal(buf[4095], has);
}

/* Blocks one after the other are read ahead when that was asked for, and forgotten when it is again. */
static void test_ahead(void **state)
{
	struct nexus_objectstore *os;
	struct pack_reader *r;
	u8 buf[4096];
	u32 i;

	(void)state;
	assert_int_equal(nexus_os_localdisk.open(dir, &os), 0);
	assert_int_equal(pack_create(os, 0x31, 256, uuid), 0);
	assert_int_equal(pack_create(os, 0x32, 256, uuid), 0);
	for (i = 1; i < 256; i++) {
		put_block(os, 0x31, i, (u8)i);
		put_block(os, 0x32, i, (u8)~i);
	}
	r = pack_reader_new(os);
	/* Not asked for: what is written in between is seen. */
	expect_block(r, 0x31, 1, 1);
	expect_block(r, 0x31, 2, 2);
	put_block(os, 0x31, 3, 0xee);
	expect_block(r, 0x31, 3, 0xee);
	put_block(os, 0x31, 3, 3);
	pack_reader_ahead(r);
	for (i = 1; i < 256; i++)
		expect_block(r, 0x31, i, (u8)i);
	assert_int_equal(pack_read_block(r, 0x31, 256, buf), -ERANGE);
	/* In turns, backwards, and far from each other. */
	for (i = 1; i < 256; i++) {
		expect_block(r, 0x31, i, (u8)i);
		expect_block(r, 0x32, i, (u8)~i);
	}
	for (i = 255; i; i--)
		expect_block(r, 0x32, i, (u8)~i);
	for (i = 1; i < 256; i += 37)
		expect_block(r, 0x31, i, (u8)i);
	assert_int_equal(pack_read_block(r, 0x33, 1, buf), -ENOENT);
	expect_block(r, 0x31, 9, 9);
	expect_block(r, 0x31, 10, 10);
	put_block(os, 0x31, 11, 0xee);
	expect_block(r, 0x31, 11, 11);
	pack_reader_ahead(r);
	expect_block(r, 0x31, 11, 0xee);
	pack_reader_free(r);
	os->drv->close(os);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_localdisk, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_mem, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_leftovers, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_kept, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_kept_half_used, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_allocated, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_heads, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_ahead, make_dir, remove_dir),
	};

	return cmocka_run_group_tests_name("objectstore", tests, NULL, NULL);
}
