// SPDX-License-Identifier: Apache-2.0
/*
 * OPEN_ZONE of zones that cannot be opened: each gets its errno, a reason that the
 * module accepts, and a store that is byte by byte as it was.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/read.h"
#include "poison.h"
#include "queue.h"
#include "util.h"

static struct helper h;
static u8 buf[NEXUS_REPLY_SIZE] __attribute__((aligned(8)));
static struct nexus_reply *const reply = (void *)buf;

/* ---- seams: what a test machine does not have ------------------------------- */

static u32 host_magic;		/* what every filesystem is, unless 0 */
static int attach_error;	/* what the device answers, unless 0 */

int __real_statfs64(const char *path, struct statfs *st);
int __wrap_statfs64(const char *path, struct statfs *st);
int __real_ioctl(int fd, unsigned long cmd, void *arg);
int __wrap_ioctl(int fd, unsigned long cmd, void *arg);

int __wrap_statfs64(const char *path, struct statfs *st)
{
	int ret = __real_statfs64(path, st);

	if (!ret && host_magic)
		st->f_type = (__typeof__(st->f_type))host_magic;
	return ret;
}

int __wrap_ioctl(int fd, unsigned long cmd, void *arg)
{
	if (cmd == NEXUS_IOC_ATTACH && attach_error) {
		errno = attach_error;
		return -1;
	}
	return __real_ioctl(fd, cmd, arg);
}

static int no_module(struct chan *c, unsigned long cmd, void *arg)
{
	(void)c;
	(void)cmd;
	(void)arg;
	return -ENOTTY;
}

/* ---- what is on disk ----------------------------------------------------------- */

static u32 sum_file(int dirfd, const char *name, u32 crc)
{
	char block[65536];
	u64 size = 0;
	ssize_t n;
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	while ((n = read(fd, block, sizeof(block))) > 0) {
		crc = nexus_crc32c(crc, block, (size_t)n);
		size += (u64)n;
	}
	close(fd);
	return nexus_crc32c(crc, &size, sizeof(size));
}

/*
 * What the index of zone z says.  A commit that failed may have written pages of
 * the file that nothing refers to.
 */
static u32 sum_index(void)
{
	struct nexus_omap map;
	const struct nexus_omap_entry *e;
	struct chan chan = { .fd = -1 };
	struct errline err = { "" };
	struct zone *z = zone_new(NULL, &h.cfg, &chan, "z");
	u32 crc = 0;

	assert_int_equal(zone_load(z, true, false, &err), 0);
	crc = nexus_crc32c(crc, z->sb.raw, z->sb.rawlen);
	crc = nexus_crc32c(crc, &z->al, sizeof(z->al));
	zone_dump(z, &map);
	for (e = nexus_omap_lower(&map, "", 0, false); e;
	     e = nexus_omap_lower(&map, e->data, e->klen, true))
		crc = nexus_crc32c(nexus_crc32c(crc, e->data, e->klen),
				   nexus_omap_val(e), e->vlen);
	nexus_omap_destroy(&map);
	zone_put(z);
	return crc;
}

static bool index_by_content;	/* not by the bytes of its file */

/*
 * Of every name, size and byte below.  Left out: lock files, for who holds them
 * writes his name there, and the helper's note of what it applies.
 */
static u32 sum_tree(int parent, const char *path)
{
	int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	struct stat st;
	u32 sum = 0;
	DIR *dir;

	assert_true(fd >= 0);
	dir = fdopendir(fd);
	while ((de = readdir(dir))) {
		const char *name = de->d_name;
		u32 crc = nexus_crc32c(0, name, strlen(name));

		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    !strcmp(name, STORE_LOCK) || !strcmp(name, "lock.mdb") ||
		    !strcmp(name, POISON_FILE))
			continue;
		assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
		if (index_by_content && !strcmp(name, "data.mdb"))
			crc ^= sum_index();
		else if (S_ISDIR(st.st_mode))
			crc ^= sum_tree(fd, name);
		else
			crc = sum_file(fd, name, crc);
		/* In whatever order they come. */
		sum += crc;
	}
	closedir(dir);
	return sum;
}

/* ---- requests -------------------------------------------------------------------- */

static const char *bucket;	/* of OPEN_BUCKET, behind the name */

static int open_named(const char *name, u32 reply_max, u32 flags)
{
	struct {
		struct nexus_request head;
		u8 data[NEXUS_REQUEST_DATA_MAX];
	} req = {
		.head = { .op = NEXUS_OP_OPEN_ZONE, .seq = 7, .arg0 = flags,
			  .reply_max = reply_max, .len = (u32)strlen(name) },
	};

	memcpy(req.data, name, req.head.len);
	if (bucket) {
		memcpy(req.data + req.head.len + 1, bucket, strlen(bucket));
		req.head.len += 1 + (u32)strlen(bucket);
	}
	memset(buf, 0xa5, sizeof(buf));
	assert_int_equal(request_answer(&h, &req.head, reply, false), -EAGAIN);
	assert_int_equal(request_answer(&h, &req.head, reply, true), 0);
	assert_int_equal(reply->seq, 7);
	assert_int_equal(reply->reserved, 0);
	assert_int_equal(reply->reserved2, 0);
	assert_true(reply->len <= reply_max);
	if (reply->len)
		assert_true(nexus_reason_ok(reply->data, reply->len));
	return reply->status;
}

static void refused_as(const char *name, u32 flags, int want, const char *words)
{
	u32 before = sum_tree(AT_FDCWD, h.cfg.data_dir);
	int status = open_named(name, NEXUS_REASON_LEN, flags);
	const char *text = reply->len ? (char *)reply->data : "";

	if (status != want || !strstr(text, words))
		print_message("%s: %d \"%s\", wanted %d \"%s\"\n", name, status, text,
			      want, words);
	assert_int_equal(status, want);
	assert_non_null(strstr(text, words));
	assert_int_equal(sum_tree(AT_FDCWD, h.cfg.data_dir), before);
}

static void refused(int want, const char *words)
{
	refused_as("z", 0, want, words);
}

static int setup(void **state)
{
	if (test_setup(state))
		return -1;
	bucket = NULL;
	memset(&h, 0, sizeof(h));
	test_config(&h.cfg, &nexus_ms_lmdb);
	assert_int_equal(helper_init(&h), 0);
	h.chan.ioctl = no_module;
	host_magic = 0;
	attach_error = 0;
	index_by_content = false;
	return 0;
}

static int teardown(void **state)
{
	assert_null(h.slots);
	helper_free(&h);
	return test_teardown(state);
}

/* Buckets: what is wrong with them is said, and nothing is left of the attempt. */
static void test_buckets(void **state)
{
	char dir[PATH_MAX];

	(void)state;
	snprintf(h.cfg.buckets, sizeof(h.cfg.buckets), "test:%.900s/b", h.cfg.data_dir);
	snprintf(dir, sizeof(dir), "%.900s/b", h.cfg.data_dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	/* Nothing behind the name, or something where nothing is to be. */
	refused_as("s3-x", NEXUS_OPEN_BUCKET | NEXUS_OPEN_RDONLY, -EINVAL, "");
	bucket = "s3://x";
	refused_as("s3-x", NEXUS_OPEN_RDONLY, -EINVAL, "");
	refused_as("S3", NEXUS_OPEN_BUCKET, -EINVAL, "is no zone name");
	refused_as("s3-x", NEXUS_OPEN_BUCKET, -ENODEV, "there is no bucket ");
	bucket = "";
	refused_as("s3-x", NEXUS_OPEN_BUCKET, -EINVAL, "no s3://");
	bucket = "http://x";
	refused_as("s3-x", NEXUS_OPEN_BUCKET, -EINVAL, "no s3://");
}

static void test_names(void **state)
{
	char longest[NEXUS_ZONE_NAME_LEN + 1];

	(void)state;
	test_zone(&h.cfg);
	refused_as("nope", 0, -ENOENT, "there is no zone nope in ");
	refused_as("..", 0, -EINVAL, "\"..\" is no zone name");
	refused_as("UPPER", 0, -EINVAL, "\"UPPER\" is no zone name");
	refused_as("", 0, -EINVAL, "");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	refused_as(longest, 0, -EINVAL, "");
	longest[NEXUS_ZONE_NAME_MAX] = '\0';
	refused_as(longest, 0, -ENOENT, "there is no zone aaa");
	/* And what is there gets as far as the module. */
	assert_int_equal(open_named("z", NEXUS_REASON_LEN, 0), -ENOTTY);
	assert_non_null(strstr((char *)reply->data, "the module refuses the zone"));
}

/* ---- stores ------------------------------------------------------------------------ */

static int put_super(struct nexus_metastore *ms, struct nexus_ms_batch *b, void *arg)
{
	return super_put(ms, b, arg);
}

static void fresh_zone(void)
{
	char path[PATH_MAX];

	store_path(&h.cfg, "z", NULL, path);
	store_remove_tree(path);
	test_zone(&h.cfg);
}

static void with_super(void (*fn)(struct super *sb))
{
	struct nexus_metastore *ms;
	char dir[PATH_MAX];
	struct errline err;
	struct super sb;
	bool ro;

	fresh_zone();
	store_path(&h.cfg, "z", NULL, dir);
	assert_int_equal(store_open_index(&h.cfg, dir, false, &ms, &err), 0);
	assert_int_equal(super_read(ms, &sb, &ro, &err), 0);
	fn(&sb);
	assert_int_equal(ms_write(ms, put_super, &sb), 0);
	ms->drv->close(ms);
}

static int put_foreign(struct nexus_metastore *ms, struct nexus_ms_batch *b, void *arg)
{
	struct nexus_zone_val v = { .magic = cpu_to_le64(0x1122334455667788ull) };
	struct nexus_key k;

	(void)arg;
	nexus_key_zone(&k);
	return ms->drv->put(b, k.b, k.len, &v, sizeof(v));
}

static void newer(struct super *sb)
{
	sb->format = NEXUS_FORMAT_VERSION + 8;
}

static void incompat(struct super *sb)
{
	sb->incompat = 1ull << 60;
}

static void ro_compat(struct super *sb)
{
	sb->ro_compat = 4;
}

static void impossible(struct super *sb)
{
	sb->checkpoint = 5;
}

/* Scenario A36. */
static void test_formats(void **state)
{
	struct nexus_metastore *ms;
	char dir[PATH_MAX];
	struct errline err;

	(void)state;
	with_super(newer);
	refused(-EPROTONOSUPPORT, "the zone has format 9, this helper knows up to 1");
	with_super(incompat);
	refused(-EPROTONOSUPPORT, "incompat 0x1000000000000000");
	with_super(ro_compat);
	refused(-EROFS, "mount -o ro");
	with_super(impossible);
	refused(-EUCLEAN, "fsck.nexusfs");
	fresh_zone();
	store_path(&h.cfg, "z", NULL, dir);
	assert_int_equal(store_open_index(&h.cfg, dir, false, &ms, &err), 0);
	assert_int_equal(ms_write(ms, put_foreign, NULL), 0);
	ms->drv->close(ms);
	refused(-EUCLEAN, "not of a nexusfs zone (magic 0x1122334455667788)");
}

static void with_file(const char *name, off_t size)
{
	char path[PATH_MAX];
	int fd;

	fresh_zone();
	store_path(&h.cfg, "z", name, path);
	if (size < 0) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void test_damage(void **state)
{
	char path[PATH_MAX];
	u8 junk[8192];
	size_t i;
	int fd;

	(void)state;
	with_file("index/data.mdb", 8192);
	refused(-EUCLEAN, "truncated");
	with_file("index/data.mdb", 0);
	refused(-EUCLEAN, "truncated");
	with_file("index/data.mdb", -1);
	refused(-EUCLEAN, "data.mdb");
	/* Of another program. */
	fresh_zone();
	store_path(&h.cfg, "z", "index/data.mdb", path);
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (u8)(i * 7);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	close(fd);
	refused(-EUCLEAN, "index");
	/* A file where the zone should be. */
	store_path(&h.cfg, "z", NULL, path);
	store_remove_tree(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	refused(-ENOTDIR, "is no directory");
}

/* ---- hosts ---------------------------------------------------------------------------- */

static void test_hosts(void **state)
{
	(void)state;
	test_zone(&h.cfg);
	h.cfg.allow_any_host = false;
	host_magic = NFS_SUPER_MAGIC;
	refused(-EOPNOTSUPP, "is on nfs; a store needs a local disk");
	host_magic = TMPFS_MAGIC;
	refused(-EOPNOTSUPP, "is on tmpfs");
	host_magic = OVERLAYFS_SUPER_MAGIC;
	refused(-EOPNOTSUPP, "is on overlay");
	/* What nobody knows is warned of, and goes on to the module. */
	host_magic = 0x12345678;
	assert_int_equal(open_named("z", NEXUS_REASON_LEN, 0), -ENOTTY);
	host_magic = EXT4_SUPER_MAGIC;
	assert_int_equal(open_named("z", NEXUS_REASON_LEN, 0), -ENOTTY);
}

static void test_create_on_nfs(void **state)
{
	struct store_create sc = {
		.name = "n", .segment_size = h.cfg.segment_size,
		.pack_size = h.cfg.pack_size, .segments = 2, .packs = 2,
	};
	u32 before = sum_tree(AT_FDCWD, h.cfg.data_dir);
	struct errline err = { "" };

	(void)state;
	h.cfg.allow_any_host = false;
	host_magic = NFS_SUPER_MAGIC;
	assert_int_equal(store_create_zone(&h.cfg, &sc, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "is on nfs"));
	assert_int_equal(sum_tree(AT_FDCWD, h.cfg.data_dir), before);
}

/* A tmpfs of @size bytes over data_dir, with zone z in it; false: not allowed here. */
static bool small_disk(const char *options)
{
	struct errline err = { "" };
	int lock;

	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("small", h.cfg.data_dir, "tmpfs", 0, options))
		return false;
	assert_int_equal(store_open_data(&h.cfg, &lock, &err), 0);
	close(lock);
	test_zone(&h.cfg);
	return true;
}

static void fill_disk(void)
{
	static const char zeros[4096];
	char path[PATH_MAX + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/fill", h.cfg.data_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) == sizeof(zeros))
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* What the index of zone z has of the disk in advance. */
static void take_space_ahead(void)
{
	char path[PATH_MAX + 32];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/zones/z/index/data.mdb", h.cfg.data_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, st.st_size,
				   64 << 20), 0);
	close(fd);
}

static void test_full(void **state)
{
	struct store_create sc = {
		.name = "second", .segment_size = h.cfg.segment_size,
		.pack_size = h.cfg.pack_size, .segments = 2, .packs = 2,
	};
	struct errline err = { "" };
	u32 before;

	(void)state;
	if (!small_disk("size=16m"))
		skip();
	fill_disk();
	index_by_content = true;
	before = sum_tree(AT_FDCWD, h.cfg.data_dir);
	assert_int_equal(store_create_zone(&h.cfg, &sc, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "No space left"));
	assert_int_equal(sum_tree(AT_FDCWD, h.cfg.data_dir), before);
	/* A zone that is there can be opened, to be emptied: as far as there is a module. */
	assert_int_equal(open_named("z", NEXUS_REASON_LEN, 0), -ENOTTY);
	take_space_ahead();
	fill_disk();
	refused(-ENOSPC, "No space left on device; mount -o ro works without space");
	/* It does. */
	assert_int_equal(open_named("z", NEXUS_REASON_LEN, NEXUS_OPEN_RDONLY), -ENOTTY);
	assert_int_equal(umount2(h.cfg.data_dir, MNT_DETACH), 0);
}

static void test_read_only(void **state)
{
	struct errline err = { "" };
	int lock;

	(void)state;
	if (!small_disk("size=64m"))
		skip();
	assert_int_equal(mount(NULL, h.cfg.data_dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	refused(-EROFS, "Read-only file system");
	assert_int_equal(open_named("z", NEXUS_REASON_LEN, NEXUS_OPEN_RDONLY), -ENOTTY);
	assert_int_equal(store_open_data(&h.cfg, &lock, &err), -EROFS);
	assert_non_null(strstr(err.msg, "cannot be used"));
	assert_int_equal(umount2(h.cfg.data_dir, MNT_DETACH), 0);
}

/* ---- the words themselves ---------------------------------------------------------------- */

static void test_reasons(void **state)
{
	(void)state;
	/* A module that takes none, one that takes little. */
	assert_int_equal(open_named("nope", 0, 0), -ENOENT);
	assert_int_equal(reply->len, 0);
	assert_int_equal(open_named("nope", 1, 0), -ENOENT);
	assert_int_equal(reply->len, 0);
	assert_int_equal(open_named("nope", 10, 0), -ENOENT);
	assert_int_equal(reply->len, 10);
	assert_string_equal((char *)reply->data, "there is ");
	/* Whatever data_dir is called. */
	snprintf(h.cfg.data_dir, sizeof(h.cfg.data_dir), "/a\nb\033\303\244");
	assert_int_equal(open_named("nope", NEXUS_REASON_LEN, 0), -ENOENT);
	assert_non_null(strstr((char *)reply->data, "in /a?b???; "));
	memset(h.cfg.data_dir, 'x', 700);
	h.cfg.data_dir[0] = '/';
	h.cfg.data_dir[700] = '\0';
	assert_true(open_named("nope", NEXUS_REASON_LEN, 0) < 0);
	assert_int_equal(reply->len, NEXUS_REASON_LEN);
}

static void test_attach(void **state)
{
	struct errline err = { "" };
	char version[80];
	struct chan c;

	(void)state;
	snprintf(version, sizeof(version), "another version of the channel than this nexusd (%d)",
		 NEXUS_ABI_VERSION);
	assert_int_equal(chan_attach(&c, "/nonexistent/nexusfs", "s", 1, &err), -ENOENT);
	attach_error = EPROTO;
	assert_int_equal(chan_attach(&c, "/dev/null", "s", 1, &err), -EPROTO);
	assert_non_null(strstr(err.msg, version));
	assert_int_equal(c.fd, -1);
	attach_error = EBUSY;
	assert_int_equal(chan_attach(&c, "/dev/null", "s", 1, &err), -EBUSY);
	assert_string_equal(err.msg, "session s has another nexusd");
	attach_error = EPERM;
	assert_int_equal(chan_attach(&c, "/dev/null", "s", 1, &err), -EPERM);
	assert_non_null(strstr(err.msg, "CAP_SYS_ADMIN"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_names),
		T(test_buckets),
		T(test_formats),
		T(test_damage),
		T(test_hosts),
		T(test_create_on_nfs),
		T(test_full),
		T(test_read_only),
		T(test_reasons),
		T(test_attach),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
