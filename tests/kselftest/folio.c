// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large folios: pages of one file that the page cache keeps in one piece.  Written in
 * part, cut, mapped, written around, on a full disk, in little memory, with a block
 * that cannot be read.
 */
#include "nx_direct.h"
#include "nx_mount.h"
#include "nx_stats.h"

#include <sys/statvfs.h>

enum { LARGE = 256 << 10 };

/* The next read is one of the disk. */
static int forget(int fd)
{
	return fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0;
}

static bool put(int fd, const void *data, size_t len, off_t at)
{
	return pwrite(fd, data, len, at) == (ssize_t)len;
}

static bool has(int fd, const void *data, size_t len, off_t at)
{
	/* Whole blocks, for those that are read directly. */
	size_t whole = (len + BLOCK - 1) & -BLOCK;
	void *buf = memory(whole);
	bool same = pread(fd, buf, whole, at) >= (ssize_t)len && !memcmp(buf, data, len);

	free(buf);
	return same;
}

/* The same now and from the disk. */
static bool stays(int fd, const void *data, size_t len, off_t at)
{
	return has(fd, data, len, at) && !forget(fd) && has(fd, data, len, at);
}

/* The size of the folio that is mapped at @p, in pages; 0: not known. */
static int folio_of(const void *p)
{
	int map = open("/proc/self/pagemap", O_RDONLY);
	int flags = open("/proc/kpageflags", O_RDONLY);
	uint64_t entry = 0, flag, pfn;
	int pages = 0;

	if (pread(map, &entry, 8, (uintptr_t)p / BLOCK * 8) == 8 && entry >> 63) {
		pfn = entry & ((1ull << 55) - 1);
		/* Back to the head (bit 15), then along the tails (bit 16). */
		while (pread(flags, &flag, 8, pfn * 8) == 8 && flag & 1 << 16)
			pfn--;
		pages = 1;
		while (pread(flags, &flag, 8, (pfn + pages) * 8) == 8 && flag & 1 << 16)
			pages++;
	}
	close(map);
	close(flags);
	return pages;
}

/* Otherwise the rest here would show nothing. */
TEST_F(dir, are_large)
{
	char *data = pattern(MIB, 1), *map;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	if (!self->nexus)
		SKIP(return, "of nexusfs");
	ASSERT_TRUE(put(fd, data, MIB, 0));
	map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, memcmp(map, data, MIB));
	EXPECT_EQ(LARGE / BLOCK, folio_of(map + LARGE));
	OK(munmap(map, MIB));
	OK(forget(fd));
	ASSERT_TRUE(has(fd, data, MIB, 0));
	map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_EQ(0, memcmp(map, data, MIB));
	/* As large as the kernel thinks after so little. */
	EXPECT_LE(2, folio_of(map + LARGE));
	OK(munmap(map, MIB));
	free(data);
	close(fd);
}

/* A small change of a large folio writes its block and no other. */
TEST_F(dir, small_change)
{
	char *data = pattern(MIB, 1), *map;
	struct nx_stats a, b;
	int64_t written;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	if (!self->nexus)
		SKIP(return, "of nexusfs");
	ASSERT_TRUE(put(fd, data, MIB, 0));
	OK(fsync(fd));
	ASSERT_TRUE(nx_stats_read(&a));
	ASSERT_TRUE(put(fd, "x", 1, LARGE + 5 * BLOCK + 7));
	OK(fsync(fd));
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[2 * LARGE + 9] = 'y';
	OK(fsync(fd));
	ASSERT_TRUE(nx_stats_read(&b));
	/* To a pack or to the log.  A kernel may make all of a mapped folio writable. */
	written = nx_grew(&a, &b, "pack_write_blocks") + nx_grew(&a, &b, "log_data");
	EXPECT_LE(2, written);
	EXPECT_GE(1 + LARGE / BLOCK, written);
	nx_stats_free(&a);
	nx_stats_free(&b);
	data[LARGE + 5 * BLOCK + 7] = 'x';
	data[2 * LARGE + 9] = 'y';
	OK(munmap(map, MIB));
	EXPECT_TRUE(stays(fd, data, MIB, 0));
	free(data);
	close(fd);
}

/* Blocks at both ends of what is written keep what they had, or are zeros. */
TEST_F(dir, written_in_part)
{
	char *old = pattern(MIB, 1), *new = pattern(MIB, 2);
	static const size_t at[] = { 0, 1, BLOCK, LARGE - 1 };
	static const size_t len[] = { 1, BLOCK, LARGE - 1, LARGE, 2 * LARGE + 1 };
	unsigned int i, j;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	for (i = 0; i < N_ELEMS(at); i++)
		for (j = 0; j < N_ELEMS(len); j++) {
			OK(ftruncate(fd, 0));
			/* A hole behind the old content, and another in front. */
			ASSERT_TRUE(put(fd, old + LARGE, LARGE, LARGE));
			OK(ftruncate(fd, MIB));
			if (j & 1)
				OK(forget(fd));
			ASSERT_TRUE(put(fd, new, len[j], at[i]));
			char *want = calloc(1, MIB);

			memcpy(want + LARGE, old + LARGE, LARGE);
			memcpy(want + at[i], new, len[j]);
			EXPECT_TRUE(stays(fd, want, MIB, 0)) {
				TH_LOG("%zu bytes at %zu", len[j], at[i]);
			}
			free(want);
		}
	free(old);
	free(new);
	close(fd);
}

/* Reads stop at the end, wherever in a folio it is, and what is behind is zeros. */
TEST_F(dir, end_inside)
{
	static const size_t sizes[] = { 1, BLOCK + 1, LARGE - 1, LARGE + BLOCK, 200123 };
	char *data = pattern(MIB, 3), *map;
	char *buf = memory(MIB);
	unsigned int i;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	for (i = 0; i < N_ELEMS(sizes); i++) {
		OK(ftruncate(fd, 0));
		ASSERT_TRUE(put(fd, data, sizes[i], 0));
		OK(forget(fd));
		EXPECT_EQ(sizes[i], pread(fd, buf, MIB, 0));
		EXPECT_EQ(0, pread(fd, buf, MIB, sizes[i]));
		EXPECT_EQ(1, pread(fd, buf, MIB, sizes[i] - 1));
		map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_TRUE(zeros(map + sizes[i], -sizes[i] % BLOCK));
		/* What is stored behind the end is nothing's content. */
		if (sizes[i] % BLOCK)
			map[sizes[i]] = 'x';
		OK(ftruncate(fd, MIB));
		memcpy(buf, data, sizes[i]);
		memset(buf + sizes[i], 0, MIB - sizes[i]);
		EXPECT_TRUE(stays(fd, buf, MIB, 0)) {
			TH_LOG("%zu", sizes[i]);
		}
		OK(munmap(map, MIB));
	}
	free(data);
	free(buf);
	close(fd);
}

/* A folio is cut and grows again: dirty, clean and mapped. */
TEST_F(dir, cut)
{
	static const size_t cuts[] = { LARGE + 5 * BLOCK, LARGE + 5 * BLOCK + 17,
				       2 * LARGE - 1 };
	enum { SIZE = 3 * LARGE };
	char *data = pattern(SIZE, 4), *want = memory(SIZE), *map;
	unsigned int i, how;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	for (i = 0; i < N_ELEMS(cuts); i++)
		for (how = 0; how < 8; how++) {
			OK(ftruncate(fd, 0));
			ASSERT_TRUE(put(fd, data, SIZE, 0));
			if (how & 1)
				OK(fsync(fd));
			map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				   0);
			ASSERT_NE(MAP_FAILED, map);
			memcpy(want, data, SIZE);
			if (how & 2) {
				map[LARGE] = want[LARGE] = 'm';
				map[2 * LARGE - 1] = 'm';
			}
			OK(ftruncate(fd, cuts[i]));
			if (how & 4)
				OK(fsync(fd));
			OK(ftruncate(fd, SIZE));
			memset(want + cuts[i], 0, SIZE - cuts[i]);
			EXPECT_EQ(0, memcmp(map, want, SIZE));
			EXPECT_TRUE(stays(fd, want, SIZE, 0)) {
				TH_LOG("cut at %zu, %u", cuts[i], how);
			}
			OK(munmap(map, SIZE));
		}
	free(data);
	free(want);
	close(fd);
}

static volatile sig_atomic_t hits;
static char *hit_map;

static void on_bus(int sig)
{
	(void)sig;
	hits++;
	/* Something to go on with. */
	mmap(hit_map, BLOCK, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Blocks of a dirty folio that were cut off are not in the file, nor in a mapping. */
TEST_F(dir, stores_behind_the_cut)
{
	char *data = pattern(MIB, 4), *map;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	ASSERT_TRUE(put(fd, data, LARGE, 0));
	OK(ftruncate(fd, 3 * BLOCK + 5));
	map = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* The pages around this one get mapped with it. */
	EXPECT_EQ(data[0], map[0]);
	hit_map = map + 7 * BLOCK;
	signal(SIGBUS, on_bus);
	*(volatile char *)hit_map = 'x';
	signal(SIGBUS, SIG_DFL);
	EXPECT_EQ(1, hits);
	OK(munmap(map, LARGE));
	EXPECT_TRUE(stays(fd, data, 3 * BLOCK + 5, 0));
	free(data);
	close(fd);
}

/* Everything at once, against a model; whole folios and parts of them. */
TEST_F(dir, mixed)
{
	int ops = nx_env("NEXUS_OPS", 1200) / 8;
	char *model = calloc(1, 2 * MIB), *data = memory(MIB), *map;
	size_t size = 0, at, len;
	int i, direct, op = 0;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	nx_seed();
	GET(direct, open("f", O_RDWR | O_DIRECT));
	map = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < ops; i++) {
		at = nx_rand() % MIB;
		len = 1 + nx_rand() % (nx_rand() % 4 ? MIB / 2 : BLOCK);
		fill(data, len, i);
		op = nx_rand() % 9;
		switch (op) {
		case 0: case 1:
			ASSERT_TRUE(put(fd, data, len, at));
			goto wrote;
		case 2:
			at &= -BLOCK;
			len = (len + BLOCK - 1) & -BLOCK;
			fill(data, len, i);
			ASSERT_TRUE(put(direct, data, len, at));
wrote:
			memcpy(model + at, data, len);
			size = at + len > size ? at + len : size;
			break;
		case 3:
			if (at >= size)
				break;
			len = len % 20000 < size - at ? len % 20000 : size - at;
			memcpy(map + at, data, len);
			memcpy(model + at, data, len);
			break;
		case 4:
			OK(ftruncate(fd, at));
			if (at < size)
				memset(model + at, 0, size - at);
			size = at;
			break;
		case 5:
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      at, len))
				break;
			if (at < size)
				memset(model + at, 0, len < size - at ? len : size - at);
			break;
		case 6:
			OK(forget(fd));
			break;
		case 7:
			OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
			break;
		case 8:
			OK(fdatasync(fd));
			break;
		}
		ASSERT_TRUE(has(i & 1 ? fd : direct, model, size, 0)) {
			TH_LOG("operation %d (%d) at %zu, %zu bytes", i, op, at, len);
		}
	}
	ASSERT_EQ(0, memcmp(map, model, size));
	EXPECT_TRUE(stays(fd, model, size, 0));
	OK(munmap(map, 2 * MIB));
	close(direct);
	free(model);
	free(data);
	close(fd);
}

/* Memory that ends in the middle of a write: what there was of it is written. */
TEST_F(dir, memory_that_ends)
{
	char *data = mmap(NULL, 2 * LARGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *old = pattern(2 * LARGE, 5), *want = memory(2 * LARGE);
	const size_t there = LARGE / 2 + 3 * BLOCK, at = 100;
	ssize_t n;
	int over;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	fill(data, there, 6);
	OK(mprotect(data + there, 2 * LARGE - there, PROT_NONE));
	for (over = 0; over < 2; over++) {
		OK(ftruncate(fd, 0));
		memset(want, 0, 2 * LARGE);
		if (over) {
			ASSERT_TRUE(put(fd, old, 2 * LARGE, 0));
			OK(forget(fd));
			memcpy(want, old, 2 * LARGE);
		}
		GET(n, pwrite(fd, data, 2 * LARGE - at, at));
		EXPECT_EQ(there, n);
		memcpy(want + at, data, n);
		EXPECT_TRUE(stays(fd, want, over ? 2 * LARGE : at + n, 0));
	}
	OK(munmap(data, 2 * LARGE));
	free(old);
	free(want);
	close(fd);
}

/* A write of its own mapping, from one folio into the next and into itself. */
TEST_F(dir, of_its_own)
{
	char *data = pattern(MIB, 7), *map;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	ASSERT_TRUE(put(fd, data, MIB, 0));
	OK(forget(fd));
	map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(put(fd, map + LARGE + 11, LARGE - 11, 2 * LARGE + 5));
	memcpy(data + 2 * LARGE + 5, data + LARGE + 11, LARGE - 11);
	ASSERT_TRUE(put(fd, map, LARGE, 0));
	OK(munmap(map, MIB));
	EXPECT_TRUE(stays(fd, data, MIB, 0));
	free(data);
	close(fd);
}

/* A full disk in the middle of a write: part of it is there, and room comes back. */
/* It writes all that packs at hand still take, which is slow under emulation. */
TEST_F_TIMEOUT(dir, full_disk, 120)
{
	char *data = pattern(8 * MIB, 8);
	struct statvfs sv;
	size_t done = 0;
	uint64_t step;
	ssize_t n;
	int all;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	if (!self->nexus)
		SKIP(return, "needs room that can be reserved and no overdraft");
	GET(all, open("all", O_RDWR | O_CREAT, 0644));
	/* All but what packs at hand still have, in ever smaller pieces. */
	OK(fstatvfs(all, &sv));
	for (step = sv.f_bavail * sv.f_frsize; step >= MIB; step /= 2)
		while (!fallocate(all, FALLOC_FL_KEEP_SIZE, lseek(all, 0, SEEK_CUR), step))
			lseek(all, step, SEEK_CUR);
	ASSERT_EQ(ENOSPC, errno);
	while ((n = pwrite(fd, data, 8 * MIB, done)) == 8 * MIB)
		done += n;
	/* A part of the last one, unless there was room for none of it. */
	if (n > 0) {
		done += n;
		errno = 0;
		EXPECT_EQ(-1, pwrite(fd, data, 8 * MIB, done));
	}
	EXPECT_EQ(ENOSPC, errno);
	OK(ftruncate(all, 0));
	n = done % (8 * MIB);
	EXPECT_TRUE(stays(fd, data, n, done - n));
	/* With room again, all of it fits. */
	ASSERT_TRUE(put(fd, data, 8 * MIB, done - n));
	EXPECT_TRUE(stays(fd, data, 8 * MIB, done - n));
	close(all);
	free(data);
	close(fd);
}

static bool say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

/* Four times what the group may have goes through; nothing is lost. */
TEST_F(dir, little_memory)
{
	static const char group[] = "/sys/fs/cgroup/nx-folio";
	char *data = pattern(MIB, 9), text[32];
	int status, i;
	pid_t pid;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	say("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(group, 0755) || !say("/sys/fs/cgroup/nx-folio/memory.max", "12M")) {
		rmdir(group);
		SKIP(return, "needs cgroup v2 with a memory controller");
	}
	GET(pid, fork());
	if (!pid) {
		snprintf(text, sizeof(text), "%d", getpid());
		if (!say("/sys/fs/cgroup/nx-folio/cgroup.procs", text))
			_exit(2);
		for (i = 0; i < 48; i++)
			if (!put(fd, data, MIB, (off_t)i * MIB))
				_exit(3);
		for (i = 0; i < 48; i++)
			if (!has(fd, data, MIB, (off_t)i * MIB))
				_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (i = 0; i < 100 && rmdir(group); i++)
		usleep(50000);
	for (i = 0; i < 48; i += 7)
		EXPECT_TRUE(stays(fd, data, MIB, (off_t)i * MIB));
	free(data);
	close(fd);
}

/* Where a block of @data is in a pack of the zone: the file, open, and *@at. */
static int pack_with(const char *data, off_t *at)
{
	/* The newest first: the numbers grow. */
	FILE *list = popen("ls /var/lib/nexusfs/zones/*/packs/*/*.pack | "
			   "awk -F/ '{ print $NF, $0 }' | sort -r | cut -d ' ' -f 2", "r");
	char name[4096], *buf = memory(MIB);
	int fd = -1;
	ssize_t n, i;

	while (fd < 0 && fgets(name, sizeof(name), list)) {
		name[strcspn(name, "\n")] = 0;
		fd = open(name, O_RDWR);
		for (*at = 0; (n = pread(fd, buf, MIB, *at)) >= BLOCK; *at += n) {
			for (i = 0; i + BLOCK <= n; i += BLOCK)
				if (!memcmp(buf + i, data, BLOCK)) {
					*at += i;
					goto found;
				}
		}
		close(fd);
		fd = -1;
	}
found:
	pclose(list);
	free(buf);
	return fd;
}

/* A block that is damaged is an error, and the rest of its folio is not. */
TEST_F(dir, unreadable_block)
{
	char *data = memory(MIB), *buf = memory(MIB);
	const size_t bad = LARGE + 10 * BLOCK;
	off_t where;
	ssize_t n;
	size_t at;
	int pack;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	if (!self->nexus || getenv("NEXUS_TEST_DIR"))
		SKIP(return, "of a zone of nexusfs");
	for (at = 0; at < MIB; at += 8)
		*(uint64_t *)(data + at) = nx_rand() ^ getpid();
	ASSERT_TRUE(put(fd, data, MIB, 0));
	OK(fsync(fd));
	pack = pack_with(data + bad, &where);
	ASSERT_LE(0, pack);
	ASSERT_TRUE(put(pack, "damage", 6, where));
	OK(fsync(pack));
	OK(nx_remount(nx_base(), "verify=always"));
	OK(forget(fd));
	/* Up to the folio it is in, and around it what is read alone. */
	GET(n, pread(fd, buf, MIB, 0));
	EXPECT_GE(bad, n);
	EXPECT_LT(bad - LARGE, n);
	EXPECT_EQ(0, memcmp(buf, data, n));
	FAILS(EIO, pread(fd, buf, BLOCK, bad));
	for (at = 0; at < MIB; at += BLOCK)
		if (at != bad)
			EXPECT_TRUE(has(fd, data + at, BLOCK, at)) {
				TH_LOG("block at %zu", at);
			}
	/* Who overwrites it as a whole needs not read it. */
	FAILS(EIO, pwrite(fd, "x", 1, bad + 1));
	ASSERT_TRUE(put(pack, data + bad, BLOCK, where));
	OK(fsync(pack));
	EXPECT_TRUE(has(fd, data, MIB, 0));
	OK(nx_remount(nx_base(), "verify=remote"));
	close(pack);
	free(data);
	free(buf);
	close(fd);
}

TEST_HARNESS_MAIN
