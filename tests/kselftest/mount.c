// SPDX-License-Identifier: GPL-2.0-only
/* Mounting and unmounting: what works, what is refused, and who may. */
#include "nx_mount.h"

static const char *below(const char *dir, const char *name)
{
	static char path[2][256];
	static int n;

	n = !n;
	snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

TEST_F(mnt, in_memory)
{
	struct statfs sf;

	MOUNTED("t", self->a, "mem");
	OK(statfs(self->a, &sf));
	EXPECT_EQ(NX_MAGIC, sf.f_type);
	OK(nx_put(below(self->a, "f"), "text"));
	EXPECT_STREQ("text", nx_get(below(self->a, "f")));
	OK(umount(self->a));
	/* Memory does not last. */
	MOUNTED("t", self->a, "mem");
	FAILS(ENOENT, access(below(self->a, "f"), F_OK));
	OK(umount(self->a));
}

TEST_F(mnt, zone_names)
{
	static const char * const bad[] = {
		"", "..", ".", "-x", "Upper", "UPPER", "a_b", "a/b", "a.b",
		"a b", "\xc3\xa4", "root\n",
		"a123456789b123456789c123456789d123456789e123456789f123456789abcd",
	};
	size_t i;

	for (i = 0; i < N_ELEMS(bad); i++)
		REFUSED(EINVAL, bad[i][0] && bad[i][0] != '\n' ? "name" : "zone",
			bad[i], self->a, "mem");
	REFUSED(EINVAL, "zone", NULL, self->a, "mem");
	MOUNTED("a123456789b123456789c123456789d123456789e123456789f123456789abc",
		self->a, "mem");
	OK(umount(self->a));
	MOUNTED("7", self->a, "mem");
}

TEST_F(mnt, session_names)
{
	REFUSED(EINVAL, "session", ":root", self->a, NULL);
	REFUSED(EINVAL, "session", "Bad:root", self->a, NULL);
	REFUSED(EINVAL, "session", "../x:root", self->a, NULL);
	REFUSED(EINVAL, "session", "default:t", self->a, "mem");
	REFUSED(EINVAL, "name", "default:", self->a, NULL);
	REFUSED(EINVAL, "s3://", "s3://bucket/prefix", self->a, "mem");
	/* Nobody serves it: this is what mount -i gets without a helper. */
	REFUSED(ENOTCONN, "nobody-serves-this", "nobody-serves-this:root",
		self->a, NULL);
}

TEST_F(mnt, unknown_zone)
{
	if (!self->helper)
		SKIP(return, "needs a helper");
	REFUSED(ENOENT, "no-such-zone", "no-such-zone", self->a, NULL);
	REFUSED(ENOENT, "no-such-zone", "default:no-such-zone", self->a, NULL);
}

TEST_F(mnt, same_zone_is_the_same_filesystem)
{
	struct stat a, b;

	MOUNTED("t", self->a, "mem");
	MOUNTED("t", self->b, "mem");
	OK(stat(self->a, &a));
	OK(stat(self->b, &b));
	EXPECT_EQ(a.st_dev, b.st_dev);
	OK(nx_put(below(self->a, "f"), "text"));
	EXPECT_STREQ("text", nx_get(below(self->b, "f")));
	OK(umount(self->a));
	EXPECT_STREQ("text", nx_get(below(self->b, "f")));
	MOUNTED("other", self->a, "mem");
	OK(stat(self->a, &a));
	EXPECT_NE(a.st_dev, b.st_dev);
	FAILS(ENOENT, access(below(self->a, "f"), F_OK));
}

TEST_F(mnt, same_zone_through_the_helper)
{
	struct stat a, b;

	if (!self->helper)
		SKIP(return, "needs a helper");
	MOUNTED("root", self->a, NULL);
	MOUNTED("default:root", self->b, NULL);
	OK(stat(self->a, &a));
	OK(stat("/mnt/nexus", &b));
	EXPECT_EQ(a.st_dev, b.st_dev);
	OK(stat(self->b, &a));
	EXPECT_EQ(a.st_dev, b.st_dev);
	REFUSED(EBUSY, "grace", "root", self->b, "grace=5");
	REFUSED(EBUSY, "verify", "root", self->b, "verify=always");
	REFUSED(EBUSY, "rw", "root", self->b, "ro");
	/* In memory it is another one of that name. */
	OK(umount(self->a));
	MOUNTED("root", self->a, "mem");
	OK(stat(self->a, &a));
	EXPECT_NE(a.st_dev, b.st_dev);
}

TEST_F(mnt, same_zone_with_other_options)
{
	MOUNTED("t", self->a, "mem");
	REFUSED(EBUSY, "verify", "t", self->b, "mem,verify=always");
	REFUSED(EBUSY, "grace", "t", self->b, "mem,grace=5");
	REFUSED(EBUSY, "rw", "t", self->b, "mem,ro");
	MOUNTED("t", self->b, "mem,verify=remote,grace=60");
	OK(umount(self->b));
	/* None of the refused left anything behind. */
	OK(umount(self->a));
	MOUNTED("t", self->a, "mem,verify=always");
	REFUSED(EBUSY, "verify", "t", self->b, "mem");
}

TEST_F(mnt, on_a_file)
{
	OK(nx_put(below(self->path, "f"), "x"));
	EXPECT_EQ(-1, mount("t", below(self->path, "f"), "nexusfs", 0, "mem"));
	EXPECT_EQ(ENOTDIR, errno);
	EXPECT_EQ(-1, mount("t", below(self->path, "none"), "nexusfs", 0, "mem"));
	EXPECT_EQ(ENOENT, errno);
	OK(unlink(below(self->path, "f")));
	OK(mount("t", self->a, "nexusfs", 0, "mem"));
}

TEST_F(mnt, from_a_user_namespace)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		HOLDS(!nx_drop_user());
		HOLDS(!unshare(CLONE_NEWUSER | CLONE_NEWNS));
		HOLDS(mount("t", self->a, "nexusfs", 0, "mem") == -1);
		HOLDS(errno == EPERM);
		HOLDS(nx_mount("t", self->a, "mem") == -EPERM);
		HOLDS(nx_mount("root", self->a, NULL) == -EPERM);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(mnt, by_nobody)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		HOLDS(!nx_drop_user());
		HOLDS(mount("t", self->a, "nexusfs", 0, "mem") == -1);
		HOLDS(errno == EPERM);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(mnt, unmounting_while_in_use)
{
	char c;
	int fd;

	MOUNTED("t", self->a, "mem");
	OK(nx_put(below(self->a, "f"), "x"));
	GET(fd, open(below(self->a, "f"), O_RDWR));
	FAILS(EBUSY, umount(self->a));
	/* Detached it lives as long as its last open file. */
	OK(umount2(self->a, MNT_DETACH));
	FAILS(ENOENT, access(below(self->a, "f"), F_OK));
	EXPECT_EQ(1, pwrite(fd, "y", 1, 0));
	EXPECT_EQ(1, pread(fd, &c, 1, 0));
	EXPECT_EQ('y', c);
	OK(fsync(fd));
	OK(close(fd));
	MOUNTED("t", self->a, "mem");
	FAILS(ENOENT, access(below(self->a, "f"), F_OK));
}

TEST_F(mnt, module_in_use)
{
	MOUNTED("t", self->a, "mem");
	EXPECT_EQ(-1, syscall(SYS_delete_module, "nexusfs", O_NONBLOCK));
	EXPECT_TRUE(errno == EWOULDBLOCK || errno == EBUSY);
	OK(nx_put(below(self->a, "f"), "x"));
}

static const char * const device = "/dev/nexusfs";

TEST_F(mnt, device_without_privilege)
{
	struct __user_cap_header_struct { uint32_t version; int pid; } head = {
		0x20080522, 0
	};
	struct { uint32_t effective, permitted, inheritable; } data[2] = {};
	struct stat st;
	int status;
	pid_t pid;

	OK(stat(device, &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	pid = fork();
	if (!pid) {
		HOLDS(!nx_drop_user());
		HOLDS(open(device, O_RDWR) == -1 && errno == EACCES);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* Root by number but without capabilities. */
	pid = fork();
	if (!pid) {
		HOLDS(!syscall(SYS_capset, &head, data));
		HOLDS(open(device, O_RDWR) == -1 && errno == EPERM);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(mnt, device_refuses_the_unattached)
{
	char c;
	int fd;

	GET(fd, open(device, O_RDWR));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(-1, read(fd, &c, 1));
	EXPECT_EQ(-1, write(fd, "x", 1));
	EXPECT_EQ(-1, ioctl(fd, 0x12345678, 0));
	EXPECT_EQ(ENOTTY, errno);
	OK(close(fd));
}

TEST_F(mnt, again_and_again)
{
	char name[32];
	int i, j;

	for (i = 0; i < 30; i++) {
		MOUNTED("t", self->a, "mem");
		for (j = 0; j < 20; j++) {
			snprintf(name, sizeof(name), "f%d", j);
			OK(nx_put(below(self->a, name), name));
		}
		OK(umount(self->a));
	}
}

/* One zone, mounted and unmounted by four at once. */
TEST_F(mnt, by_several_at_once)
{
	char where[128];
	int proc, i;

	for (proc = 0; proc < 4; proc++) {
		snprintf(where, sizeof(where), "%s/%d", self->path, proc);
		OK(mkdir(where, 0755));
		if (fork())
			continue;
		for (i = 0; i < 40; i++) {
			HOLDS(!nx_mount("t", where, "mem"));
			HOLDS(!nx_put(below(where, "f"), "x"));
			HOLDS(!umount(where));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	for (proc = 0; proc < 4; proc++) {
		snprintf(where, sizeof(where), "%s/%d", self->path, proc);
		OK(rmdir(where));
	}
}

TEST_HARNESS_MAIN
