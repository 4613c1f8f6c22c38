// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every wait of the module that a helper can make long: who waits there and is
 * killed is gone within a second.  The file "waits" lists the places and which
 * test here is theirs; waits.py compares it with the source.
 */
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/nexusfs_lease.h>
#include <linux/quota.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fake.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

static char path[128];

static const char *name(const char *prefix)
{
	static unsigned int n = 500000;

	snprintf(path, sizeof(path), "%s/%s%u", ctl->mnt, prefix, ++n);
	return path;
}

static int op_pause(const char *p)
{
	pause();
	return 0;
}

/* How long a process takes to die that waits for nothing of ours. */
static double time_to_die(void)
{
	pid_t op = op_start(op_pause, NULL);
	double begun;

	usleep(20000);
	begun = now();
	kill(op, SIGKILL);
	op_wait(op, 10);
	return now() - begun;
}

/* Asleep with @where on its stack, and still so a little later. */
static bool asleep(pid_t pid, const char *where)
{
	char file[64], text[8192];
	double end = now() + 60;
	int seen = 0;
	ssize_t n;

	snprintf(file, sizeof(file), "/proc/%d/stack", pid);
	while (seen < 5 && now() < end) {
		int fd = open(file, O_RDONLY | O_CLOEXEC);

		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		seen = strstr(text, where) ? seen + 1 : 0;
		usleep(30000);
	}
	if (seen < 5)
		note("not in %s but:\n# %s", where, text);
	return seen == 5;
}

/* It waits at @where, is killed, and is gone. */
static void killed(const char *what, pid_t waiter, const char *where)
{
	double usual = time_to_die(), later, begun, took;
	bool there = asleep(waiter, where);
	int err;

	begun = now();
	kill(waiter, SIGKILL);
	err = op_wait(waiter, 10);
	took = now() - begun;
	/* A debug kernel on a busy machine needs long for any process. */
	later = time_to_die();
	usual = later > usual ? later : usual;
	ok(there && err == -EINTR && took < 1 + 4 * usual,
	   "%s: gone %.2f s after the kill, others %.2f s", what, took, usual);
}

static pid_t begin(void)
{
	pid_t helper = fake_start();

	ctl->manner = GOOD;
	ok_err(fake_mount(NULL), 0, "mount");
	return helper;
}

static void end(pid_t helper)
{
	ctl->manner = GOOD;
	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
}

/* ---- what is asked of the helper ------------------------------------------- */

static int op_write(const char *p)
{
	int fd = open(p, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "x", 1) < 0 ? -errno : 0;
}

/* A block that is in the file already: with others at the same time. */
static int op_direct(const char *p)
{
	int fd = open(p, O_WRONLY | O_DIRECT | O_CLOEXEC);
	void *block;

	if (fd < 0 || posix_memalign(&block, 4096, 4096))
		return -errno;
	return pwrite(fd, block, 4096, 0) < 0 ? -errno : 0;
}

static int op_direct_read(const char *p)
{
	int fd = open(p, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *block;

	if (fd < 0 || posix_memalign(&block, 4096, 4096))
		return -errno;
	return pread(fd, block, 4096, 0) < 0 ? -errno : 0;
}

static int op_longer(const char *p)
{
	int fd = open(p, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 || ftruncate(fd, 8192) || write(fd, "x", 1) < 0 ? -errno : 0;
}

static int op_truncate(const char *p)
{
	return truncate(p, 100) ? -errno : 0;
}

static int op_shorten(const char *p)
{
	return truncate(p, 4096) ? -errno : 0;
}

static char cloned_into[sizeof(path)];

static int op_clone(const char *p)
{
	int from = open(p, O_RDONLY | O_CLOEXEC);
	int to = open(cloned_into, O_RDWR | O_CLOEXEC);

	return from < 0 || to < 0 || ioctl(to, FICLONE, from) ? -errno : 0;
}

static int op_punch(const char *p)
{
	int fd = open(p, O_WRONLY | O_CLOEXEC);

	return fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   0, 4096) ? -errno : 0;
}

static int op_seek(const char *p)
{
	int fd = open(p, O_RDONLY | O_CLOEXEC);

	return fd < 0 || lseek(fd, 0, SEEK_DATA) < 0 ? -errno : 0;
}

static int op_fiemap(const char *p)
{
	struct fiemap map = { .fm_length = ~0ull };
	int fd = open(p, O_RDONLY | O_CLOEXEC);

	return fd < 0 || ioctl(fd, FS_IOC_FIEMAP, &map) ? -errno : 0;
}

/* More than one pack of the helper here has, less than two. */
static int op_reserve(const char *p)
{
	int fd = open(p, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 || fallocate(fd, 0, 0, 1500 * 4096) ? -errno : 0;
}

static int op_settings(const char *p)
{
	char file[160];

	snprintf(file, sizeof(file), "%s/__sys__/cfg", ctl->mnt);
	return op_list(file);
}

/* Of a user nobody has asked for yet. */
static int op_quota(const char *p)
{
	int fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct if_dqblk d;

	return fd < 0 || syscall(SYS_quotactl_fd, fd, QCMD(Q_GETQUOTA, USRQUOTA),
				 getpid(), &d) ? -errno : 0;
}

/* The first of them asks for all leases of the zone. */
static int op_lease(const char *p)
{
	struct nexus_lease_info info = { .room = 0 };
	int fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || ioctl(fd, NEXUS_IOC_LEASE_GET, &info) ? -errno : 0;
}

/* Two at once: the second waits for what the first one waits for. */
static void pair(const char *what, op_fn first, const char *one, op_fn second,
		 const char *two, const char *where)
{
	pid_t op[2];

	ctl->manner = HOLD;
	op[0] = op_start(first, one);
	asleep(op[0], "nexus_session_end");
	op[1] = op_start(second, two);
	killed(what, op[1], where);
	killed("and the one before it", op[0], "nexus_session_end");
	ctl->manner = GOOD;
}

static void test_requests(void)
{
	char one[sizeof(path)], two[sizeof(path)];
	pid_t helper = begin(), op[2];

	ctl->manner = HOLD;
	killed("a request", op_start(op_lstat, name("f")), "nexus_session_end");
	killed("settings", op_start(op_settings, NULL), "nexus_session_end");
	ctl->manner = GOOD;

	snprintf(one, sizeof(one), "%s", name("y"));
	op_run(op_lstat, one);
	snprintf(two, sizeof(two), "%s", name("d"));
	op_run(op_lstat, two);
	pair("a listing that is being asked for", op_list, two, op_list, two,
	     "nexus_listing_extend");
	pair("extents that are being loaded", op_read, one, op_read, one,
	     "nexus_extents_load");
	pair("a file that is being written", op_write, one, op_write, one,
	     "nexus_write_iter");
	pair("a file that is being written, and written directly", op_write, one,
	     op_direct, one, "nexus_direct_write");
	snprintf(cloned_into, sizeof(cloned_into), "%s", name("y"));
	op_run(op_lstat, cloned_into);
	pair("a file that is being cloned", op_clone, one, op_clone, one,
	     "nexus_remap_file_range");
	/* All that is read is known; what it is cloned into is asked for. */
	snprintf(two, sizeof(two), "%s", name("n-"));
	ok_err(op_run(op_fsync, two), 0, "write and fsync");
	ok_err(op_run(op_direct_read, two), 0, "a direct read");
	snprintf(cloned_into, sizeof(cloned_into), "%s", name("y"));
	op_run(op_lstat, cloned_into);
	pair("a file that is being cloned, and read directly", op_clone, two,
	     op_direct_read, two, "nexus_direct_read");
	pair("a file that is being truncated", op_truncate, one, op_write, one,
	     "nexus_write_iter");
	pair("a file to be punched that is being written", op_write, one,
	     op_punch, one, "nexus_fallocate");
	pair("a file to be searched that is being punched", op_punch, one,
	     op_seek, one, "nexus_llseek");
	pair("a file to be mapped that is being written", op_write, one,
	     op_fiemap, one, "nexus_fiemap");
	pair("a usage that is being asked for", op_quota, ctl->mnt, op_quota,
	     ctl->mnt, "nexus_quota_load_id");
	pair("leases that are being asked for", op_lease, ctl->mnt, op_lease, ctl->mnt,
	     "nexus_leases_load");
	/* Their extents came with the lookup, all of them in one pack. */
	snprintf(one, sizeof(one), "%s", name("x"));
	snprintf(two, sizeof(two), "%s", name("x"));
	op_run(op_lstat, one);
	op_run(op_lstat, two);
	pair("a pack that is being asked for", op_read, one, op_read, two,
	     "nexus_packs_get");
	/* Whoever asks holds nothing that a truncation needs. */
	ctl->manner = HOLD;
	op[0] = op_start(op_read, one);
	asleep(op[0], "nexus_session_end");
	ok_err(op_run(op_shorten, one), 0, "a truncation of what is being read");
	killed("and its reader", op[0], "nexus_session_end");
	ctl->manner = GOOD;

	/*
	 * The VFS waits here, not killably, for whoever looks the name up.  That
	 * one can be killed, so killing both is enough.
	 */
	ctl->manner = HOLD;
	op[0] = op_start(op_lstat, name("f"));
	asleep(op[0], "nexus_session_end");
	op[1] = op_start(op_lstat, path);
	asleep(op[1], "lookup");
	kill(op[1], SIGKILL);
	killed("a name that another one looks up", op[0], "nexus_session_end");
	ok_err(op_wait(op[1], 2), -EINTR, "and that other one");
	ctl->manner = GOOD;
	end(helper);
}

/* Of a zone that others change. */
static void test_foreign(void)
{
	const unsigned int segments = ctl->segments, packs = ctl->packs;
	char dir[sizeof(path)];
	pid_t helper, op[2];

	ctl->ttl = 1000;
	ctl->segments = 0;
	ctl->packs = 0;
	helper = begin();
	snprintf(dir, sizeof(dir), "%s", name("d"));
	op_run(op_lstat, dir);
	ctl->manner = HOLD_LISTS;
	op[0] = op_start(op_list, dir);
	asleep(op[0], "nexus_listing_extend");
	op[1] = op_start(op_list, dir);
	killed("a directory of others that is being listed", op[1], "nexus_foreign_take");
	killed("and who lists it", op[0], "nexus_session_end");
	end(helper);
	ctl->ttl = 0;
	ctl->segments = segments;
	ctl->packs = packs;
}

/* ---- what the helper must hand over ------------------------------------------- */

static int op_many(const char *p)
{
	char file[160];
	int i, err = 0;

	if (mkdir(p, 0755))
		return -errno;
	for (i = 0; i < 10 && !err; i++) {
		snprintf(file, sizeof(file), "%s/%d", p, i);
		err = op_create(file);
	}
	return err;
}

static int op_fill(const char *p)
{
	char file[160], target[4001];
	int i;

	memset(target, 'x', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	if (mkdir(p, 0755))
		return -errno;
	for (i = 0; i < 100000; i++) {
		snprintf(file, sizeof(file), "%s/%d", p, i);
		if (symlink(target, file))
			return -errno;
	}
	return 0;
}

static void test_supplies(void)
{
	char one[sizeof(path)];
	pid_t helper, op[2];

	ctl->inos = 4;
	helper = begin();
	killed("no inode numbers", op_start(op_many, name("d-")),
	       "nexus_zone_new_ino");
	end(helper);
	ctl->inos = 1 << 20;

	ctl->packs = 0;
	helper = begin();
	killed("no pack", op_start(op_fsync, name("n-")), "nexus_packs_reserve");
	snprintf(one, sizeof(one), "%s", name("n-"));
	op[0] = op_start(op_longer, one);
	asleep(op[0], "nexus_packs_reserve");
	op[1] = op_start(op_direct, one);
	killed("a file without a pack to write to, and written directly", op[1],
	       "nexus_direct_write");
	killed("and its writer", op[0], "nexus_packs_reserve");
	end(helper);
	ctl->packs = 2;

	/* The rest of a pack that is written to is no promise. */
	helper = begin();
	ok_err(op_run(op_fsync, name("n-")), 0, "write and fsync");
	killed("no space kept for a promise", op_start(op_reserve, name("n-")),
	       "nexus_packs_promise");
	end(helper);

	ctl->segments = 1;
	helper = begin();
	killed("no room in the log", op_start(op_fill, name("d-")),
	       "nexus_log_");
	ok_err(op_run(op_lstat, ctl->mnt), 0, "and the mount lives");
	end(helper);
	ctl->segments = 3;
}

/* ---- the disk of the host --------------------------------------------------------- */

static void freeze(bool on)
{
	int fd = open(ctl->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ok_err(ioctl(fd, on ? FIFREEZE : FITHAW, 0) ? -errno : 0, 0, "%s the disk",
	       on ? "freeze" : "thaw");
	close(fd);
}

static int op_fsync_dir(const char *p)
{
	int fd;

	if (mkdir(p, 0755))
		return -errno;
	fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

static int op_mount_fake(const char *mnt)
{
	return mount(SESSION ":" ZONE, mnt, "nexusfs", 0, NULL) ? -errno : 0;
}

/*
 * A disk that does not answer.  Nothing needs the helper here: only its files
 * are on that disk.
 * Scenario E7.
 */
static void test_disk(void)
{
	pid_t helper = begin(), op;

	freeze(true);
	killed("fsync", op_start(op_fsync_dir, name("d-")), "nexus_log_wait");
	freeze(false);
	/*
	 * All is durable, so that the VFS has nothing to wait for; only the
	 * tables of the packs are still to be written, and a mount waits for that.
	 */
	ok_err(op_run(op_fsync, name("n-")), 0, "write and fsync");
	freeze(true);
	op = op_start(op_umount, ctl->mnt);
	asleep(op, "nexus_kill_sb");
	killed("a mount of a zone that is being unmounted",
	       op_start(op_mount_fake, ctl->mnt), "nexus_super_get_tree");
	freeze(false);
	ok_err(op_wait(op, 30), 0, "umount");
	fake_stop(helper);
}

/* ---- the content store ---------------------------------------------------------- */

/* Of what is known already, so that nothing else is asked. */
static int op_fsync_known(const char *p)
{
	int fd = open(p, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fchmod(fd, 0600) || fsync(fd) ? -errno : 0;
}

static void test_origin(void)
{
	static const struct patch bad[] = {
		{ NEXUS_OP_ORIGIN, "status 1", HEAD, offsetof(struct nexus_reply, status), 4, 1, -EIO },
		{ NEXUS_OP_ORIGIN, "reserved", HEAD, offsetof(struct nexus_reply, reserved), 4, 1, -EIO },
		{ NEXUS_OP_ORIGIN, "a byte of data", LENGTH, 0, 0, 1, -EIO },
		{ NEXUS_OP_ORIGIN, "-ETIMEDOUT", HEAD, offsetof(struct nexus_reply, status), 4,
		  (uint32_t)-ETIMEDOUT, -EIO },
		{ NEXUS_OP_ORIGIN, "-ENOSYS", HEAD, offsetof(struct nexus_reply, status), 4,
		  (uint32_t)-ENOSYS, -EIO },
	};
	pid_t helper = fake_start(), op[4];
	char one[sizeof(path)];
	unsigned int i, seen;

	ctl->manner = GOOD;
	ok_err(fake_mount("durability=origin"), 0, "mount with durability=origin");
	snprintf(one, sizeof(one), "%s", name("f"));
	ok_err(op_run(op_fsync_known, one), 0, "an fsync that the store sees");
	pair("an fsync that the content store has to see, and another before it",
	     op_fsync_known, one, op_fsync_known, one, "nexus_durable");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ctl->patch = bad[i];
		ctl->patched = 0;
		ctl->manner = PATCH;
		ok_err(op_run(op_fsync_known, one), -EIO, "ORIGIN: %s", bad[i].name);
		ok(ctl->patched >= 1, "which was tried");
		ctl->manner = GOOD;
		ok_err(op_run(op_fsync_known, one), 0, "and the next fsync");
	}
	/* One waits, the others share the next one. */
	ctl->manner = HOLD;
	seen = ctl->seen;
	for (i = 0; i < 4; i++) {
		op[i] = op_start(op_fsync_known, one);
		asleep(op[i], "nexus_durable");
	}
	ok(ctl->seen == seen + 1, "four wait for one request");
	ctl->manner = GOOD;
	for (i = 0; i < 4; i++)
		ok_err(op_wait(op[i], 10), 0, "and end");
	ok(ctl->seen < seen + 4, "after fewer requests than they are: %u", ctl->seen - seen);
	end(helper);
}

/* ---- mounting and attaching ----------------------------------------------------------- */

static void test_mounts(void)
{
	pid_t helper = fake_start(), op;

	ctl->hold_open = 1;
	op = op_start(op_mount_fake, ctl->mnt);
	asleep(op, "nexus_session_end");
	killed("a mount of a zone that is being mounted",
	       op_start(op_mount_fake, ctl->mnt), "nexus_super_get_tree");
	killed("the mount that the helper does not answer", op,
	       "nexus_session_end");
	ctl->hold_open = 0;
	fake_kill(helper);

	ctl->no_detach = 1;
	helper = begin();
	ok_err(fake_umount(), 0, "umount");
	killed("a mount of a zone that is not drained",
	       op_start(op_mount_fake, ctl->mnt), "nexus_session_open_zone");
	ctl->no_detach = 0;
	fake_kill(helper);
}

/* Attaches, leaves the open file to a child, and dies. */
static int op_heir(const char *p)
{
	struct nexus_attach a;
	int err = dev_attach(dev_open(), "heir", 1, NEXUS_ABI_VERSION, &a);
	pid_t child;

	if (err)
		return err;
	child = fork();
	if (!child) {
		sleep(4);
		_exit(0);
	}
	return child < 0 ? -errno : 0;
}

static int op_attach_heir(const char *p)
{
	struct nexus_attach a;

	return dev_attach(dev_open(), "heir", 1, NEXUS_ABI_VERSION, &a);
}

static void test_attach(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ok_err(op_run(op_heir, NULL), 0, "a helper dies, its file does not");
	killed("a helper that waits for the last one's end",
	       op_start(op_attach_heir, NULL), "nexus_session_attach");
	/* The heir, too: it has the device open. */
	while (wait(NULL) > 0)
		;
}

int main(void)
{
	fake_init();
	test_requests();
	test_foreign();
	test_supplies();
	test_disk();
	test_origin();
	test_mounts();
	test_attach();
	fake_exit();
	return done();
}
