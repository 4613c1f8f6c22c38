// SPDX-License-Identifier: GPL-2.0-only
/*
 * RETIRE and MOVE from a helper that may be wrong: what a file has is not given up,
 * what was given up is not read, and a move is believed only if it can be; what is
 * overwritten in place stays, and nothing but blocks of content is.  Scenarios A21, B25.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/nexusfs.h>

#include "fake.h"

#define OLD	9	/* the pack that reply.c names: block 100, and 200 at 8192 */
#define NEW	10
#define SPARE	11

/* MOVE (21) of one block, as in placerec.h. */
struct move {
	__u32 len;
	__u16 type, flags;
	__u64 lsn, time_s;
	__u32 time_ns, reserved;
	__u64 ino, data_id, offset, from_pack, to_pack;
	__u32 from_block, to_block, nblocks, reserved2;
	__u32 crc, pad;
};

_Static_assert(sizeof(struct move) == 96, "MOVE of one block");

static struct {
	struct nexus_pack_range range;
	__u64 pack;
	__u32 flags;
	__u64 idle;
	struct move move;
} *arg;

static int sys(int ret)
{
	return ret < 0 ? -errno : 0;
}

static void put(int fd, unsigned int block, char what)
{
	char *buf;

	if (posix_memalign((void **)&buf, 4096, 4096))
		return;
	memset(buf, what, 4096);
	if (pwrite(fd, buf, 4096, (off_t)block * 4096) != 4096)
		perror("pwrite");
	free(buf);
}

/* In the helper. */
static int call_packs(int dev, uint32_t zone, void *unused)
{
	struct nexus_hand_over ho = { .zone = zone, .blocks = 1024 };
	int i, ret = 0;

	for (i = OLD; !ret && i <= SPARE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pack%d", i);
		ho.fd = host_file(name, 1024, O_RDWR | O_DIRECT);
		ho.id = i;
		ho.flags = i == SPARE ? NEXUS_HF_SPARE : 0;
		if (i == OLD) {
			put(ho.fd, 100, 'a');
			put(ho.fd, 200, 'b');
		} else if (i == NEW) {
			put(ho.fd, 20, 'c');
		}
		ret = sys(ioctl(dev, NEXUS_IOC_PACK, &ho));
		close(ho.fd);
	}
	return ret;
}

static int call_retire(int dev, uint32_t zone, void *unused)
{
	struct nexus_retire r = {
		.zone = zone, .nr = 1, .pack = arg->pack, .ranges = (uintptr_t)&arg->range,
	};

	return sys(ioctl(dev, NEXUS_IOC_RETIRE, &r));
}

static int call_move(int dev, uint32_t zone, void *unused)
{
	struct nexus_submit s = {
		.zone = zone, .len = sizeof(arg->move), .record = (uintptr_t)&arg->move,
	};

	return sys(ioctl(dev, NEXUS_IOC_SUBMIT, &s));
}

static int call_evict(int dev, uint32_t zone, void *unused)
{
	struct nexus_retire r = {
		.zone = zone, .nr = 1, .pack = arg->pack, .ranges = (uintptr_t)&arg->range,
		.flags = NEXUS_RT_EVICT,
	};

	return sys(ioctl(dev, NEXUS_IOC_RETIRE, &r));
}

static int call_present(int dev, uint32_t zone, void *unused)
{
	struct nexus_retire r = {
		.zone = zone, .nr = 1, .pack = arg->pack, .ranges = (uintptr_t)&arg->range,
		.flags = arg->flags,
	};

	return sys(ioctl(dev, NEXUS_IOC_PRESENT, &r));
}

static int call_use(int dev, uint32_t zone, void *unused)
{
	struct nexus_pack_use u = { .zone = zone, .pack = arg->pack, .reserved = arg->flags };
	int ret = sys(ioctl(dev, NEXUS_IOC_PACK_USE, &u));

	arg->idle = u.idle;
	return ret;
}

/* How long nobody has used it; UINT64_MAX: an error, which is in *@err. */
static __u64 idle(__u64 pack, int *err)
{
	arg->pack = pack;
	*err = fake_call(call_use);
	return *err ? UINT64_MAX : arg->idle;
}

static int evict(__u64 pack, __u32 block, __u32 n)
{
	arg->pack = pack;
	arg->range = (struct nexus_pack_range){ block, n };
	return fake_call(call_evict);
}

static int present(__u64 pack, __u32 block, __u32 n)
{
	arg->pack = pack;
	arg->range = (struct nexus_pack_range){ block, n };
	return fake_call(call_present);
}

static int retire(__u64 pack, __u32 block, __u32 n)
{
	arg->pack = pack;
	arg->range = (struct nexus_pack_range){ block, n };
	return fake_call(call_retire);
}

/* A byte of what the file has there, around the page cache; or -errno. */
static int look(const char *name, off_t at)
{
	char path[128], *buf;
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", ctl->mnt, name);
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd < 0 || posix_memalign((void **)&buf, 4096, 4096))
		return -errno;
	ret = pread(fd, buf, 4096, at) == 4096 ? buf[77] : -errno;
	free(buf);
	close(fd);
	return ret;
}

static void begin(struct move *m)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/x1", ctl->mnt);
	if (stat(path, &st))
		perror(path);
	*m = (struct move){
		.len = sizeof(*m), .type = 21, .ino = st.st_ino, .data_id = st.st_ino,
		.from_pack = OLD, .to_pack = NEW, .from_block = 100, .to_block = 20,
		.nblocks = 1,
	};
}

/* Overwrites a block of a file with @what, durably; 0 or -errno. */
static int overwrite(const char *name, off_t at, char what)
{
	char path[128], buf[4096];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", ctl->mnt, name);
	memset(buf, what, sizeof(buf));
	fd = open(path, O_WRONLY);
	if (fd < 0 || pwrite(fd, buf, sizeof(buf), at) != sizeof(buf) || fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

/* In the helper: a byte of a pack's file. */
static int call_peek(int dev, uint32_t zone, void *unused)
{
	int fd = host_file("pack9", 1024, O_RDWR | O_DIRECT), ret;
	char *buf;

	if (fd < 0 || posix_memalign((void **)&buf, 4096, 4096))
		return -errno;
	ret = pread(fd, buf, 4096, (off_t)arg->range.block * 4096) == 4096 ? buf[77] : -errno;
	free(buf);
	close(fd);
	return ret;
}

static int peek(__u32 block)
{
	arg->range.block = block;
	return fake_call(call_peek);
}

#define MOVE(want, what, change) do {				\
	begin(&arg->move);					\
	change;							\
	ok_err(fake_call(call_move), want, "MOVE %s", what);	\
} while (0)

/* The order in which packs were used, and nothing about how long ago. */
static void uses(void)
{
	__u64 old, new;
	int err;

	usleep(50000);
	look("x1", 8192);
	old = idle(OLD, &err);
	ok_err(err, 0, "PACK_USE");
	new = idle(NEW, &err);
	ok(old < new, "what was read last has the shorter time");
	usleep(50000);
	look("x1", 0);
	new = idle(NEW, &err);
	old = idle(OLD, &err);
	ok(new < old, "and then the other");
	usleep(50000);
	ok_err(present(OLD, 200, 1), 0, "PRESENT of what is there");
	old = idle(OLD, &err);
	new = idle(NEW, &err);
	ok(old < new, "is a use, too");
	idle(77, &err);
	ok_err(err, -ENXIO, "PACK_USE of no pack");
	arg->flags = 1;
	idle(OLD, &err);
	ok_err(err, -EINVAL, "PACK_USE with something reserved");
	arg->flags = 0;
}

static int call_seal(int dev, uint32_t zone, void *unused)
{
	struct nexus_pack_use u = {
		.zone = zone, .pack = arg->pack, .reserved = arg->flags, .idle = arg->idle,
	};

	return sys(ioctl(dev, NEXUS_IOC_PACK_SEAL, &u));
}

static int seal(__u64 pack)
{
	arg->pack = pack;
	return fake_call(call_seal);
}

/* The one pack that takes new data, beside @but, which is ended by asking; or 0. */
static __u64 seal_open(__u64 but)
{
	__u64 id, open = 0;

	for (id = 1; id <= SPARE; id++)
		if (id != OLD && id != NEW && id != but && seal(id) == 0)
			open = open ? 0 : id;
	return open;
}

/* Packs end before they are full, and others take what is written then. */
static void seals(void)
{
	int i, err = 0;
	__u64 first;

	arg->idle = 0;
	ok_err(seal(77), -ENXIO, "PACK_SEAL of no pack");
	ok_err(seal(OLD), 0, "PACK_SEAL of a sealed one");
	arg->flags = 1;
	ok_err(seal(OLD), -EINVAL, "PACK_SEAL with something reserved");
	arg->flags = 0;
	arg->idle = 1;
	ok_err(seal(OLD), -EINVAL, "PACK_SEAL with a time");
	arg->idle = 0;
	first = seal_open(0);
	ok(first, "PACK_SEAL of the open one, and of no other");
	/* A worker does it. */
	for (i = 0; i < 600 && (err = present(first, 200, 1)) == -EBUSY; i++)
		usleep(50000);
	ok_err(err, 0, "it is sealed");
	ok_err(seal(first), 0, "PACK_SEAL of it once more");
	ok(look("q1", 8192) == 'p', "what is in it");
	ok_err(overwrite("x1", 0, 'r'), 0, "a write behind that");
	ok(look("x1", 0) == 'r', "is there");
	ok(seal_open(first), "in another pack");
}

int main(void)
{
	pid_t helper;

	fake_init();
	arg = mmap(NULL, sizeof(*arg), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	helper = fake_start();
	ok_err(fake_mount(NULL), 0, "mount");
	ok_err(fake_call(call_packs), 0, "packs");
	ok(look("x1", 0) == 'a' && look("x1", 8192) == 'b', "what is in the file");

	ok_err(retire(OLD, 100, 1), -EBUSY, "RETIRE of a block that is in use");
	ok_err(retire(OLD, 20, 181), -EBUSY, "RETIRE of many, the last of which is");
	ok_err(retire(OLD, 20, 80), 0, "RETIRE of what is not");
	ok_err(retire(OLD, 101, 99), 0, "RETIRE of what lies between");
	ok(look("x1", 0) == 'a' && look("x1", 8192) == 'b', "the file is as it was");

	MOVE(-ENXIO, "to a pack that is not there", arg->move.to_pack = 77);
	MOVE(-EBUSY, "to a pack that the kernel writes", arg->move.to_pack = SPARE);
	MOVE(-EINVAL, "to a head", arg->move.to_block = 1);
	MOVE(-EINVAL, "beyond the end", arg->move.to_block = 1024);
	MOVE(-EINVAL, "of nothing", arg->move.nblocks = 0);
	MOVE(-EINVAL, "within a pack", arg->move.to_pack = OLD);
	MOVE(-ENODATA, "of another block", arg->move.from_block = 101);
	MOVE(-ENODATA, "of a hole", arg->move.offset = 4096);
	MOVE(-ENODATA, "of another data id", arg->move.data_id++);
	MOVE(-ENODATA, "of a directory", arg->move.ino = 1);
	ok_err(retire(NEW, 21, 1), 0, "RETIRE in the other pack");
	MOVE(-EINVAL, "to a block that was given up", arg->move.to_block = 21);
	ok(look("x1", 0) == 'a', "the file is as it was");
	MOVE(0, "as it should be", (void)0);
	ok(look("x1", 0) == 'c' && look("x1", 8192) == 'b', "the file has the new block");
	MOVE(-ENODATA, "again", (void)0);

	ok_err(retire(OLD, 100, 1), 0, "RETIRE of the old place");
	ok_err(retire(NEW, 20, 1), -EBUSY, "RETIRE of the new one");
	ok(look("x1", 0) == 'c' && look("x1", 8192) == 'b', "the file is as it was");
	/* The helper says that another file has it: an error, and no zeros. */
	ok_err(look("x2", 0), -EIO, "a read of what was given up");
	ok(look("x2", 8192) == 'b', "a read of what was not");

	/* What can be fetched again may be in use; only PRESENT brings it back. */
	ok_err(evict(OLD, 200, 1), 0, "RETIRE of what is in use, to be fetched");
	ok_err(look("x1", 8192), -EIO, "a read of what the helper only says is there");
	ok_err(present(OLD, 1, 1), -EINVAL, "PRESENT of a head");
	ok_err(present(OLD, 1024, 1), -EINVAL, "PRESENT beyond the end");
	ok_err(present(77, 200, 1), -ENXIO, "PRESENT in no pack");
	ok_err(present(SPARE, 200, 1), -EBUSY, "PRESENT in a pack that is not sealed");
	arg->flags = NEXUS_RT_EVICT;
	ok_err(present(OLD, 200, 1), -EINVAL, "PRESENT with flags");
	arg->flags = 0;
	ok_err(look("x1", 8192), -EIO, "still not there");
	ok_err(present(OLD, 200, 1), 0, "PRESENT");
	ok(look("x1", 8192) == 'b', "a read of what is there again");
	ok_err(present(NEW, 300, 1), 0, "PRESENT of what never went");

	uses();

	/* What is overwritten in place is copied by nobody, and is in no table. */
	ok_err(overwrite("q1", 0, 'n'), 0, "an overwrite in place");
	ok(peek(300) == 'n' && look("q1", 0) == 'n', "it is where it was");
	ok_err(evict(OLD, 300, 1), -EBUSY, "RETIRE of that, to be fetched");
	ok_err(evict(OLD, 290, 40), -EBUSY, "RETIRE of more than that");
	ok_err(evict(OLD, 301, 9), 0, "RETIRE of what follows");
	ok(look("q1", 0) == 'n', "the file is as it was");
	ok_err(overwrite("q1", 8192, 'p'), 0, "an overwrite of what is said to be in the table");
	ok(!peek(3) && look("q1", 8192) == 'p', "it is elsewhere");
	seals();

	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
	fake_exit();
	return done();
}
