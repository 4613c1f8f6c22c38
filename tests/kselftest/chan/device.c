// SPDX-License-Identifier: GPL-2.0-only
/* The device itself: who may open it, what may be mapped, what ioctls refuse. */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/socket.h>

#include "fake.h"
#include "record.h"

static int sys(int ret)
{
	return ret < 0 ? -errno : 0;
}

/* ---- privilege -------------------------------------------------------------- */

static int as_nobody(const char *arg)
{
	if (setgid(65534) || setuid(65534))
		return -EINVAL;
	return sys(dev_open() < 0 ? (errno = -dev_open(), -1) : 0);
}

static int drop_admin(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -errno;
	d[CAP_SYS_ADMIN / 32].effective &= ~(1u << (CAP_SYS_ADMIN % 32));
	d[CAP_SYS_ADMIN / 32].permitted &= ~(1u << (CAP_SYS_ADMIN % 32));
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

static int without_admin(const char *arg)
{
	int err = drop_admin();

	return err ? err : dev_open() < 0 ? dev_open() : 0;
}

static int inherited;

/* Whoever is handed the open file needs the capability too. */
static int attach_without_admin(const char *arg)
{
	struct nexus_attach a;
	int err = drop_admin();

	return err ? err : dev_attach(inherited, "other", 1, NEXUS_ABI_VERSION, &a);
}

static void test_privilege(void)
{
	struct stat st;

	ok(!stat(DEV, &st) && (st.st_mode & 0777) == 0600, "mode 0600");
	ok_err(op_run(as_nobody, NULL), -EACCES, "open as nobody");
	ok_err(op_run(without_admin, NULL), -EPERM,
	       "open as root without CAP_SYS_ADMIN");
	inherited = dev_open();
	ok_err(op_run(attach_without_admin, NULL), -EPERM,
	       "ATTACH without CAP_SYS_ADMIN on an open file");
	close(inherited);
}

/* Is there such a line in the kernel's log? */
static bool logged(const char *words)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[2048];
	bool found = false;
	ssize_t n;

	/* A record a read; those that were overwritten meanwhile are skipped. */
	while ((n = read(fd, line, sizeof(line) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		line[n > 0 ? n : 0] = '\0';
		found |= strstr(line, words) != NULL;
	}
	close(fd);
	return found;
}

/* ---- ATTACH -------------------------------------------------------------------- */

static int race_fd[2];

static int race(const char *arg)
{
	struct nexus_attach a;
	int fd = dev_open(), err;
	char c;

	if (read(race_fd[0], &c, 1) != 1)
		return -EINVAL;
	err = dev_attach(fd, "race", 1, NEXUS_ABI_VERSION, &a);
	/* Whoever won keeps it until the others have tried. */
	sleep(1);
	return err;
}

static void test_attach(void)
{
	struct nexus_attach a, good;
	int fd = dev_open(), two = dev_open(), i, won = 0, busy = 0, err;
	char said[96];
	pid_t op[8];

	ok(fd >= 0 && two >= 0, "open");
	ok_err(sys(ioctl(fd, NEXUS_IOC_ZONE_NEXT, &(struct nexus_zone_next){ 0 })),
	       -ENOTCONN, "an ioctl before ATTACH");
	ok_err(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, NEXUS_MMAP_REQ(0)) ==
	       MAP_FAILED ? -errno : 0, -ENOTCONN, "mmap before ATTACH");
	ok_err(dev_attach(fd, "dev", 1, NEXUS_ABI_VERSION + 1, &a), -EPROTO,
	       "another version of the interface");
	ok_err(dev_attach(fd, "dev", 1, 0, &a), -EPROTO, "version 0");
	snprintf(said, sizeof(said), "speaks version %d of the interface, the module %d; install the two",
		 NEXUS_ABI_VERSION + 1, NEXUS_ABI_VERSION);
	ok(logged(said),
	   "the log names both versions");
	ok_err(dev_attach(fd, "", 1, NEXUS_ABI_VERSION, &a), -EINVAL, "no name");
	ok_err(dev_attach(fd, ".x", 1, NEXUS_ABI_VERSION, &a), -EINVAL,
	       "a name with a dot in front");
	ok_err(dev_attach(fd, "a/b", 1, NEXUS_ABI_VERSION, &a), -EINVAL,
	       "a name with a slash");
	ok_err(dev_attach(fd, "Dev", 1, NEXUS_ABI_VERSION, &a), -EINVAL,
	       "a capital, which no mount could name");
	ok_err(dev_attach(fd, "a_b", 1, NEXUS_ABI_VERSION, &a), -EINVAL,
	       "an underscore");
	ok_err(dev_attach(fd, "a\nb", 1, NEXUS_ABI_VERSION, &a), -EINVAL,
	       "a name with a newline");
	memset(&a, 0, sizeof(a));
	a.abi = NEXUS_ABI_VERSION;
	memset(a.session, 'a', sizeof(a.session));
	ok_err(sys(ioctl(fd, NEXUS_IOC_ATTACH, &a)), -EINVAL,
	       "a name without an end");
	memset(&a, 0, sizeof(a));
	a.abi = NEXUS_ABI_VERSION;
	a.reserved = 1;
	strcpy(a.session, "dev");
	ok_err(sys(ioctl(fd, NEXUS_IOC_ATTACH, &a)), -EINVAL, "reserved");
	ok_err(sys(ioctl(fd, NEXUS_IOC_ATTACH, NULL)), -EFAULT, "no argument");
	ok_err(dev_attach(fd, "dev", 3, NEXUS_ABI_VERSION, &good), 0, "ATTACH");
	ok(good.queues == 3 && good.epoch == 1, "3 queues, epoch 1");
	ok_err(dev_attach(fd, "dev", 1, NEXUS_ABI_VERSION, &a), -EALREADY,
	       "the same file again");
	ok_err(dev_attach(two, "dev", 1, NEXUS_ABI_VERSION, &a), -EBUSY,
	       "a second helper of the session");
	ok_err(dev_attach(two, "dev2", 1000000, NEXUS_ABI_VERSION, &a), 0,
	       "another session");
	ok(a.queues == NEXUS_QUEUES_MAX, "a million queues become %d",
	   NEXUS_QUEUES_MAX);
	close(two);
	ok_err(sys(ioctl(fd, 0xdead, 0)), -ENOTTY, "an unknown ioctl");
	ok_err(sys(ioctl(fd, _IOW(0xE6, 0x1f, __u64), &good)), -ENOTTY,
	       "an unknown ioctl of ours");
	ok_err(sys(ioctl(fd, _IOW(0xE6, 0x08, __u32), &good)), -ENOTTY,
	       "one of another size");
	close(fd);
	fd = dev_open();
	ok_err(dev_attach(fd, "dev", 0, NEXUS_ABI_VERSION, &a), 0,
	       "again after the file was closed");
	ok(a.queues >= 1 && a.epoch == 1, "%u queues; nothing was mounted, so it is a new session",
	   a.queues);
	close(fd);

	if (pipe(race_fd))
		return;
	for (i = 0; i < 8; i++)
		op[i] = op_start(race, NULL);
	usleep(200000);
	ok(write(race_fd[1], "12345678", 8) == 8, "go");
	for (i = 0; i < 8; i++) {
		err = op_wait(op[i], 5);
		won += !err;
		busy += err == -EBUSY;
	}
	ok(won == 1 && busy == 7, "eight race for one session: %d win, %d get EBUSY",
	   won, busy);
}

/* ---- mmap ------------------------------------------------------------------------- */

static int try_map(int fd, int prot, int flags, uint64_t off, size_t len)
{
	void *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

static void test_mmap(void)
{
	size_t nreq = sizeof(struct nexus_req_area);
	size_t nrep = sizeof(struct nexus_rep_area);
	int rd = PROT_READ, rw = PROT_READ | PROT_WRITE;
	struct nexus_attach a;
	int fd = dev_open();
	void *p;

	ok_err(dev_attach(fd, "map", 2, NEXUS_ABI_VERSION, &a), 0, "ATTACH");
	ok_err(try_map(fd, rd, MAP_SHARED, NEXUS_MMAP_REQ(1), nreq), 0,
	       "requests, to read");
	ok_err(try_map(fd, rw, MAP_SHARED, NEXUS_MMAP_REP(1), nrep), 0,
	       "replies, to write");
	ok_err(try_map(fd, rw, MAP_SHARED, NEXUS_MMAP_REQ(0), nreq), -EPERM,
	       "requests, to write");
	ok_err(try_map(fd, PROT_WRITE, MAP_SHARED, NEXUS_MMAP_REQ(0), nreq),
	       -EPERM, "requests, only to write");
	ok_err(try_map(fd, rw, MAP_PRIVATE, NEXUS_MMAP_REQ(0), nreq), -EPERM,
	       "requests, private");
	ok_err(try_map(fd, rw, MAP_PRIVATE, NEXUS_MMAP_REP(0), nrep), -EPERM,
	       "replies, private");
	ok_err(try_map(fd, rd | PROT_EXEC, MAP_SHARED, NEXUS_MMAP_REP(0), nrep),
	       -EPERM, "replies, to execute");
	ok_err(try_map(fd, rd, MAP_SHARED, NEXUS_MMAP_REQ(2), nreq), -EINVAL,
	       "a queue that is not there");
	ok_err(try_map(fd, rd, MAP_SHARED, NEXUS_MMAP_REQ(0xffffffff), nreq),
	       -EINVAL, "queue UINT_MAX");
	ok_err(try_map(fd, rd, MAP_SHARED, NEXUS_MMAP_REQ(0) + 4096, 4096),
	       -EINVAL, "from the second page on");
	ok_err(try_map(fd, rd, MAP_SHARED, NEXUS_MMAP_REQ(0), nreq + 4096),
	       -EINVAL, "a page too many");
	ok_err(try_map(fd, rd, MAP_SHARED, 7ull << 28, 4096), -EINVAL,
	       "an area that is not there");
	ok_err(try_map(fd, rd, MAP_SHARED, NEXUS_MMAP_LOG(5), 4096), -ENOENT,
	       "the log of no zone");

	p = mmap(NULL, nreq, PROT_READ, MAP_SHARED, fd, NEXUS_MMAP_REQ(0));
	ok(p != MAP_FAILED, "map requests");
	ok_err(sys(mprotect(p, nreq, rw)), -EACCES, "mprotect to writable");
	ok_err(sys(mprotect(p, nreq, rd | PROT_EXEC)), -EACCES,
	       "mprotect to executable");
	ok(mremap(p, nreq, nreq * 2, MREMAP_MAYMOVE) == MAP_FAILED,
	   "mremap does not grow it");
	munmap(p, nreq);
	p = mmap(NULL, nrep, rw, MAP_SHARED, fd, NEXUS_MMAP_REP(0));
	/* The mapping holds the file: the session lives on. */
	close(fd);
	fd = dev_open();
	ok_err(dev_attach(fd, "map", 1, NEXUS_ABI_VERSION, &a), -EBUSY,
	       "closed but mapped: the session has its helper");
	memset(p, 0xff, nrep);
	munmap(p, nrep);
	ok_err(dev_attach(fd, "map", 1, NEXUS_ABI_VERSION, &a), 0,
	       "unmapped: it is free");
	close(fd);
}

/* ---- commands ------------------------------------------------------------------------ */

static int command(struct io_uring *ring, int fd, uint32_t op, uint32_t index,
		   uint32_t seen, uint64_t reserved)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct nexus_uring_cmd c = { index, seen, reserved };
	struct __kernel_timespec ts = { .tv_sec = 1 };
	struct io_uring_cqe *cqe;
	int res;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &c, sizeof(c));
	io_uring_submit(ring);
	if (io_uring_wait_cqe_timeout(ring, &cqe, &ts))
		return HANGS;
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static void test_commands(void)
{
	struct nexus_attach a;
	struct io_uring ring, poll, other;
	int fd = dev_open();

	ok(!io_uring_queue_init(8, &ring, 0) && !io_uring_queue_init(8, &other, 0),
	   "rings");
	ok_err(command(&ring, fd, NEXUS_URING_COMMIT, 0, 0, 0), -ENOTCONN,
	       "a command before ATTACH");
	ok_err(dev_attach(fd, "cmd", 2, NEXUS_ABI_VERSION, &a), 0, "ATTACH");
	ok_err(command(&ring, fd, NEXUS_URING_COMMIT, 0, 0, 0), 0, "COMMIT");
	ok_err(command(&ring, fd, NEXUS_URING_COMMIT, 2, 0, 0), -EINVAL,
	       "COMMIT of a queue that is not there");
	ok_err(command(&ring, fd, NEXUS_URING_COMMIT, ~0u, 0, 0), -EINVAL,
	       "COMMIT of queue UINT_MAX");
	ok_err(command(&ring, fd, NEXUS_URING_COMMIT, 0, 0, 1), -EINVAL,
	       "reserved");
	ok_err(command(&ring, fd, _IO(0xE6, 0x1f), 0, 0, 0), -ENOTTY,
	       "an unknown command");
	ok_err(command(&ring, fd, NEXUS_URING_LOGWAIT, 1, 0, 0), -ENOENT,
	       "LOGWAIT on no zone");
	ok_err(command(&ring, fd, NEXUS_URING_WAIT, 0, 7, 0), 0,
	       "WAIT for a tail that is not there returns at once");
	ok_err(command(&ring, fd, NEXUS_URING_WAIT, 0, 0, 0), HANGS,
	       "WAIT parks");
	ok_err(command(&other, fd, NEXUS_URING_WAIT, 0, 0, 0), -EBUSY,
	       "a second WAIT on the queue");
	ok_err(command(&other, fd, NEXUS_URING_WAIT, 1, 0, 0), HANGS,
	       "one on the other queue parks");
	if (!io_uring_queue_init(8, &poll, IORING_SETUP_IOPOLL)) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&poll);
		struct io_uring_cqe *cqe;

		io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
		sqe->cmd_op = NEXUS_URING_COMMIT;
		io_uring_submit(&poll);
		ok(!io_uring_peek_cqe(&poll, &cqe) && cqe->res == -EOPNOTSUPP,
		   "a ring that polls for completions is refused");
		io_uring_queue_exit(&poll);
	}
	io_uring_queue_exit(&other);
	usleep(100000);
	/* The parked command keeps the file; the ring's end gives it back. */
	close(fd);
	fd = dev_open();
	ok_err(dev_attach(fd, "cmd", 1, NEXUS_ABI_VERSION, &a), -EBUSY,
	       "closed with a WAIT parked: the session lives");
	io_uring_queue_exit(&ring);
	for (int i = 0; i < 100; i++) {
		if (dev_attach(fd, "cmd", 1, NEXUS_ABI_VERSION, &a) != -EBUSY)
			break;
		usleep(50000);
	}
	ok(a.epoch == 1, "the ring's end frees it");
	close(fd);
}

/* ---- ioctls on a zone ------------------------------------------------------------------- */

static int submit(int dev, uint32_t zone, const void *record, unsigned int len)
{
	struct nexus_submit s = {
		.zone = zone, .len = len, .record = (uintptr_t)record,
	};

	return sys(ioctl(dev, NEXUS_IOC_SUBMIT, &s));
}

/* These run inside the helper. */

static int call_handover(int dev, uint32_t zone, void *arg)
{
	int i = 0, *r = (int *)ctl->results;
	struct nexus_hand_over ho;
	struct nexus_ino_range ir;
	struct nexus_report rp;
	struct nexus_zone_fail zf;
	struct nexus_zone_attach za;
	char record[256];
	uint64_t bits[1024 / 64] = { 0 };
	struct nexus_pack_range range;
	struct nexus_retire rt;
	int file = host_file("other", 1024, O_RDWR | O_DIRECT);
	int small = host_file("small", 1, O_RDWR | O_DIRECT);

#define HO(c, change) do {						\
	ho = (struct nexus_hand_over){ .zone = zone, .fd = file,	\
		.blocks = 1024, .id = 50 };				\
	change;								\
	r[i++] = sys(ioctl(dev, c, &ho));				\
} while (0)
	HO(NEXUS_IOC_SEGMENT, ho.zone = 99);
	HO(NEXUS_IOC_SEGMENT, ho.fd = -1);
	HO(NEXUS_IOC_SEGMENT, ho.fd = dev);
	HO(NEXUS_IOC_SEGMENT, ho.fd = small);
	HO(NEXUS_IOC_SEGMENT, ho.blocks = 0);
	HO(NEXUS_IOC_SEGMENT, ho.flags = 1 << 20);
	HO(NEXUS_IOC_SEGMENT, ho.reserved = 1);
	HO(NEXUS_IOC_PACK, ho.id = 0);
	HO(NEXUS_IOC_PACK, ho.blocks = 1);
	HO(NEXUS_IOC_PACK, ho.blocks = ~0u);
	HO(NEXUS_IOC_PACK, ho.fd = small);
	HO(NEXUS_IOC_PACK, ho.fd = dev);
	HO(NEXUS_IOC_PACK, ho.absent = 4096);
	HO(NEXUS_IOC_PACK, ho.flags = NEXUS_HF_ABSENT);
	HO(NEXUS_IOC_PACK, ho.flags = NEXUS_HF_ABSENT | NEXUS_HF_SPARE;
	   ho.absent = (uintptr_t)bits);
	bits[0] = 2;
	HO(NEXUS_IOC_PACK, ho.flags = NEXUS_HF_ABSENT; ho.absent = (uintptr_t)bits);
	bits[0] = 1ull << 60;
	HO(NEXUS_IOC_PACK, ho.flags = NEXUS_HF_ABSENT; ho.absent = (uintptr_t)bits);
	HO(NEXUS_IOC_PACK, ho.id = 51; ho.flags = NEXUS_HF_SPARE);

#define RT(change) do {							\
	rt = (struct nexus_retire){ .zone = zone, .nr = 1, .pack = 50,	\
		.ranges = (uintptr_t)&range };				\
	range = (struct nexus_pack_range){ 100, 5 };			\
	change;								\
	r[i++] = sys(ioctl(dev, NEXUS_IOC_RETIRE, &rt));		\
} while (0)
	RT(rt.zone = 99);
	RT(rt.nr = 0);
	RT(rt.nr = NEXUS_RETIRE_MAX + 1);
	RT(rt.reserved = 1);
	RT(rt.flags = 2);
	RT(rt.ranges = 0);
	RT(rt.pack = 77);
	RT(rt.pack = 51);
	RT(range.block = 0);
	RT(range.block = 8);
	RT(range.block = 1024);
	RT(range.nblocks = 0);
	RT(range.nblocks = 925);
	RT(range.nblocks = ~0u);
	RT((void)0);
	RT(range.nblocks = 924);

	ir = (struct nexus_ino_range){ zone, 0, 5 << 20, 4 << 20 };
	r[i++] = sys(ioctl(dev, NEXUS_IOC_INO_RANGE, &ir));
	ir = (struct nexus_ino_range){ zone, 0, 1 << 20, 2 << 20 };
	r[i++] = sys(ioctl(dev, NEXUS_IOC_INO_RANGE, &ir));
	ir = (struct nexus_ino_range){ zone, 1, 8 << 20, 9 << 20 };
	r[i++] = sys(ioctl(dev, NEXUS_IOC_INO_RANGE, &ir));

#define RP(change) do {							\
	rp = (struct nexus_report){ .zone = zone, .applied = FIRST_LSN,	\
		.checkpoint = FIRST_LSN, .space_total = 10, .space_free = 5 }; \
	change;								\
	r[i++] = sys(ioctl(dev, NEXUS_IOC_REPORT, &rp));		\
} while (0)
	RP(rp.applied = 1ull << 40);
	RP(rp.checkpoint = 1ull << 40);
	RP(rp.space_free = 11);
	RP(rp.flags = 2);
	RP(rp.reserved[1] = 1);
	RP(rp.kept = ~0ull);
	RP((void)0);

	memset(record, 0, sizeof(record));
	r[i++] = submit(dev, zone, record, 0);
	r[i++] = submit(dev, zone, record, 1 << 30);
	r[i++] = submit(dev, zone, record, 48);
	r[i++] = submit(dev, zone, record, rec_nop(record));
	r[i++] = submit(dev, zone, record, rec_forget(record, 1));
	r[i++] = submit(dev, zone, record, rec_bulk(record, 12345));

	zf = (struct nexus_zone_fail){ .zone = zone, .error = 5 };
	r[i++] = sys(ioctl(dev, NEXUS_IOC_ZONE_FAIL, &zf));
	zf = (struct nexus_zone_fail){ .zone = zone, .error = -5000 };
	r[i++] = sys(ioctl(dev, NEXUS_IOC_ZONE_FAIL, &zf));
	zf = (struct nexus_zone_fail){ .zone = zone, .error = -5 };
	memset(zf.reason, 'x', sizeof(zf.reason));
	r[i++] = sys(ioctl(dev, NEXUS_IOC_ZONE_FAIL, &zf));
	r[i++] = sys(ioctl(dev, NEXUS_IOC_ZONE_DETACH, &zone));
	r[i++] = sys(ioctl(dev, NEXUS_IOC_ZONE_DETACH, &(uint32_t){ 99 }));
	zone_params(&za, file);
	r[i++] = sys(ioctl(dev, NEXUS_IOC_ZONE_ATTACH, &za));
	close(file);
	close(small);
	return i;
}

static const struct { int want; const char *name; } handover[] = {
	{ -ENOENT, "SEGMENT for no zone" },
	{ -EBADF, "SEGMENT without a file" },
	{ -EINVAL, "SEGMENT that is our own device" },
	{ -EINVAL, "SEGMENT shorter than it says" },
	{ -EINVAL, "SEGMENT of 0 blocks" },
	{ -EINVAL, "SEGMENT with unknown flags" },
	{ -EINVAL, "SEGMENT, reserved" },
	{ -EINVAL, "PACK 0" },
	{ -EINVAL, "PACK of 1 block" },
	{ -EINVAL, "PACK of 4 Gi blocks" },
	{ -EINVAL, "PACK shorter than it says" },
	{ -EINVAL, "PACK that is our own device" },
	{ -EINVAL, "PACK with a bitmap and no flag" },
	{ -EFAULT, "PACK with a flag and no bitmap" },
	{ -EINVAL, "PACK that is spare, with blocks absent" },
	{ -EINVAL, "PACK without its table" },
	{ 0, "PACK with a block absent" },
	{ 0, "PACK that is spare" },
	{ -ENOENT, "RETIRE for no zone" },
	{ -EINVAL, "RETIRE of nothing" },
	{ -EINVAL, "RETIRE of too much" },
	{ -EINVAL, "RETIRE, reserved" },
	{ -EINVAL, "RETIRE, unknown flags" },
	{ -EFAULT, "RETIRE without ranges" },
	{ -ENXIO, "RETIRE in no pack" },
	{ -EBUSY, "RETIRE in a pack that is not sealed" },
	{ -EINVAL, "RETIRE of a head" },
	{ -EINVAL, "RETIRE of a table" },
	{ -EINVAL, "RETIRE beyond the end" },
	{ -EINVAL, "RETIRE of an empty range" },
	{ -EINVAL, "RETIRE of more than there is" },
	{ -EINVAL, "RETIRE that wraps" },
	{ 0, "RETIRE" },
	{ 0, "RETIRE of the same and more" },
	{ -EINVAL, "INO_RANGE that ends before it begins" },
	{ -EINVAL, "INO_RANGE given twice" },
	{ -EINVAL, "INO_RANGE, reserved" },
	{ -EINVAL, "REPORT applied beyond the log" },
	{ -EINVAL, "REPORT checkpoint beyond the log" },
	{ -EINVAL, "REPORT of more space free than there is" },
	{ -EINVAL, "REPORT with unknown flags" },
	{ -EINVAL, "REPORT, reserved" },
	{ -EINVAL, "REPORT of more kept than there can be" },
	{ 0, "REPORT" },
};

static const struct { int want; const char *name; } submits[] = {
	{ -EINVAL, "SUBMIT of nothing" },
	{ -EINVAL, "SUBMIT of a gigabyte" },
	{ -EINVAL, "SUBMIT of zeros" },
	{ -EPERM, "SUBMIT of a record that is not the helper's" },
	{ -EBUSY, "SUBMIT FORGET of an inode in use" },
	{ 0, "SUBMIT BULK" },
	{ -EINVAL, "ZONE_FAIL with a positive code" },
	{ -EINVAL, "ZONE_FAIL with code -5000" },
	{ -EINVAL, "ZONE_FAIL with a reason without an end" },
	{ -EBUSY, "ZONE_DETACH of a mounted zone" },
	{ -ENOENT, "ZONE_DETACH of no zone" },
	{ -ENOENT, "ZONE_ATTACH that nobody waits for" },
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

static int call_fail(int dev, uint32_t zone, void *arg)
{
	struct nexus_zone_fail zf = { .zone = zone, .error = -EUCLEAN, .lsn = 5,
				      .reason = "a test\tsays so" };

	return sys(ioctl(dev, NEXUS_IOC_ZONE_FAIL, &zf));
}

/* What a helper must never do: it would wait for itself. */
static int call_own_stat(int dev, uint32_t zone, void *arg)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/f987654", ctl->mnt);
	return op_lstat(path);
}

static int call_log_map(int dev, uint32_t zone, void *arg)
{
	int rw = try_map(dev, PROT_READ | PROT_WRITE, MAP_SHARED,
			 NEXUS_MMAP_LOG(zone), 4096);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, dev,
		       NEXUS_MMAP_LOG(zone));

	if (rw != -EPERM || p == MAP_FAILED)
		return -EINVAL;
	if (sys(mprotect(p, 4096, PROT_READ | PROT_WRITE)) != -EACCES)
		return -EINVAL;
	munmap(p, 4096);
	return 0;
}

static void test_zone(void)
{
	static const char * const tries[] = {
		"another name", "a name in capitals", "a name without an end",
		"no name", "flags", "reserved", "incarnation 0", "tail 8",
		"tail not aligned", "tail negative", "applied above tail",
		"checkpoint above applied", "segment 0", "pack_blocks 0",
		"pack_blocks UINT_MAX", "segment_blocks 1",
		"segment_blocks UINT_MAX", "no uuid", "ino_first 2",
		"ino_end below ino_first", "ino_end UINT64_MAX", "lock_fd -1",
		"lock_fd is our device", "REATTACH of no zone",
		"the ticket before", "the ticket after", "no ticket",
		"unwritten UINT64_MAX", "limits of kind 4",
		"ttl of a store that is written", "ttl UINT64_MAX",
	};
	static const int wants[] = {
		[0] = -ENOENT, [21] = -EBADF, [23] = -ENOENT,
		[24] = -ENOENT, [25] = -ENOENT, [26] = -ENOENT,
	};
	pid_t helper = fake_start();
	char path[128];
	unsigned int i, n;

	ctl->try_attach = 1;
	ok_err(fake_mount(NULL), 0, "mount, after all the wrong ZONE_ATTACHes");
	ctl->try_attach = 0;
	for (i = 0; i < N(tries); i++)
		ok_err(ctl->attach_errors[i],
		       i < N(wants) && wants[i] ? wants[i] : -EINVAL,
		       "ZONE_ATTACH: %s", tries[i]);

	n = fake_call(call_handover);
	for (i = 0; i < N(handover); i++)
		ok_err(i < n ? ctl->results[i] : HANGS, handover[i].want, "%s",
		       handover[i].name);
	for (i = 0; i < N(submits); i++)
		ok_err(i + N(handover) < n ? ctl->results[i + N(handover)] : HANGS,
		       submits[i].want, "%s", submits[i].name);

	ok_err(fake_call(call_log_map), 0, "the log is mapped to read only");
	ok_err(fake_call(call_own_stat), -EDEADLK,
	       "the helper uses its own mount");
	snprintf(path, sizeof(path), "%s/new", ctl->mnt);
	ok_err(op_run(op_create, path), 0, "create");
	ok_err(fake_call(call_fail), 0, "ZONE_FAIL");
	snprintf(path, sizeof(path), "%s/new2", ctl->mnt);
	ok_err(op_run(op_create, path), -EROFS, "create on the failed zone");
	snprintf(path, sizeof(path), "%s/f777777", ctl->mnt);
	ok_err(op_run(op_lstat, path), 0, "a lookup there");
	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
}

int main(void)
{
	fake_init();
	test_privilege();
	test_attach();
	test_mmap();
	test_commands();
	test_zone();
	fake_exit();
	return done();
}
