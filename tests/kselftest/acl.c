// SPDX-License-Identifier: GPL-2.0-only
/* POSIX ACLs: rights, mode, inheritance; on ext4 the same. */
#include "nx.h"
#include "nx_stats.h"

#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
#define USER 65531
#define GROUP 65532

static char buf[65536];

/* An ACL in text: "u::rwx u:65531:r-- g::r-x m::rwx o::---"; its bytes are in @out. */
static size_t acl_from(const char *text, void *out)
{
	struct posix_acl_xattr_header *h = out;
	struct posix_acl_xattr_entry *e = (void *)(h + 1);

	h->a_version = POSIX_ACL_XATTR_VERSION;
	while (*text) {
		char tag = *text;

		text += 2;
		e->e_id = ACL_UNDEFINED_ID;
		if (*text != ':') {
			e->e_id = strtoul(text, (char **)&text, 10);
			e->e_tag = tag == 'u' ? ACL_USER : ACL_GROUP;
		} else {
			e->e_tag = tag == 'u' ? ACL_USER_OBJ :
				   tag == 'g' ? ACL_GROUP_OBJ :
				   tag == 'm' ? ACL_MASK : ACL_OTHER;
		}
		text++;
		e->e_perm = (text[0] == 'r') * 4 + (text[1] == 'w') * 2 + (text[2] == 'x');
		text += 3;
		text += *text == ' ';
		e++;
	}
	return (char *)e - (char *)out;
}

static int set_acl(const char *path, const char *name, const char *text)
{
	size_t len = acl_from(text, buf);

	return setxattr(path, name, buf, len, 0);
}

/* Whether @path has exactly that ACL; NULL: none. */
static bool has_acl(const char *path, const char *name, const char *text)
{
	static char got[65536];
	ssize_t n = getxattr(path, name, got, sizeof(got));

	if (!text)
		return n < 0 && errno == ENODATA;
	return n == (ssize_t)acl_from(text, buf) && !memcmp(got, buf, n);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_mode & 07777;
}

/* What access(path, mode) says to a user with that group and no other. */
static int access_as(uid_t uid, gid_t gid, const char *path, int mode)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
		    setresuid(uid, uid, uid))
			_exit(99);
		_exit(access(path, mode) ? errno : 0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#define MAY(uid, gid, path, mode)	EXPECT_EQ(0, access_as(uid, gid, path, mode))
#define MAY_NOT(uid, gid, path, mode)	EXPECT_EQ(EACCES, access_as(uid, gid, path, mode))

TEST_F(dir, rights)
{
	int i;

	OK(nx_put("f", "x"));
	OK(chmod("f", 0600));
	MAY_NOT(USER, USER, "f", R_OK);
	OK(set_acl("f", ACCESS,
		   "u::rw- u:65531:r-- g::--- g:65532:rw- m::rw- o::---"));
	for (i = 0; i < 3; i++) {
		MAY(USER, USER, "f", R_OK);
		MAY_NOT(USER, USER, "f", W_OK);
		MAY(65533, GROUP, "f", R_OK | W_OK);
		MAY_NOT(65533, 65533, "f", R_OK);
		EXPECT_EQ(0660, mode_of("f"));
		/* From the store, and then from the cache. */
		if (!i)
			nx_drop_caches();
	}
	/* The mask bounds all of them. */
	OK(chmod("f", 0640));
	MAY(USER, USER, "f", R_OK);
	MAY_NOT(65533, GROUP, "f", W_OK);
	MAY(65533, GROUP, "f", R_OK);
	OK(chmod("f", 0600));
	MAY_NOT(USER, USER, "f", R_OK);
	OK(chmod("f", 0660));
	MAY(65533, GROUP, "f", W_OK);
	OK(removexattr("f", ACCESS));
	MAY_NOT(USER, USER, "f", R_OK);
	EXPECT_TRUE(has_acl("f", ACCESS, NULL));
	nx_drop_caches();
	EXPECT_TRUE(has_acl("f", ACCESS, NULL));
	MAY_NOT(65533, GROUP, "f", R_OK);
}

/* A directory on the way, walked with and without RCU. */
TEST_F(dir, search)
{
	int i;

	OK(mkdir("d", 0700));
	OK(mkdir("d/e", 0755));
	OK(nx_put("d/e/f", "x"));
	MAY_NOT(USER, USER, "d/e/f", R_OK);
	OK(set_acl("d", ACCESS, "u::rwx u:65531:--x g::--- m::--x o::---"));
	for (i = 0; i < 20; i++) {
		MAY(USER, USER, "d/e/f", R_OK);
		MAY_NOT(USER, USER, "d", R_OK);
		MAY_NOT(GROUP, GROUP, "d/e/f", F_OK);
		if (i % 5 == 0)
			nx_drop_caches();
	}
}

TEST_F(dir, mode_and_acl)
{
	OK(nx_put("f", "x"));
	/* One that says no more than a mode is a mode. */
	OK(set_acl("f", ACCESS, "u::rwx g::r-x o::--x"));
	EXPECT_EQ(0751, mode_of("f"));
	EXPECT_TRUE(has_acl("f", ACCESS, NULL));
	EXPECT_EQ(0, listxattr("f", NULL, 0));
	OK(set_acl("f", ACCESS, "u::rw- u:65531:rwx g::r-- m::r-x o::---"));
	EXPECT_EQ(0650, mode_of("f"));
	EXPECT_EQ(sizeof(ACCESS), listxattr("f", buf, sizeof(buf)));
	EXPECT_STREQ(ACCESS, buf);
	nx_drop_caches();
	EXPECT_EQ(0650, mode_of("f"));
	EXPECT_TRUE(has_acl("f", ACCESS, "u::rw- u:65531:rwx g::r-- m::r-x o::---"));
	/* chmod is of the mask. */
	OK(chmod("f", 04704));
	EXPECT_EQ(04704, mode_of("f"));
	EXPECT_TRUE(has_acl("f", ACCESS, "u::rwx u:65531:rwx g::r-- m::--- o::r--"));
	nx_drop_caches();
	EXPECT_EQ(04704, mode_of("f"));
	EXPECT_TRUE(has_acl("f", ACCESS, "u::rwx u:65531:rwx g::r-- m::--- o::r--"));
	/* Back to a mode, and no ACL. */
	OK(set_acl("f", ACCESS, "u::rw- g::r-- o::---"));
	EXPECT_EQ(04640, mode_of("f"));
	EXPECT_TRUE(has_acl("f", ACCESS, NULL));
	nx_drop_caches();
	EXPECT_EQ(04640, mode_of("f"));
	EXPECT_TRUE(has_acl("f", ACCESS, NULL));
}

TEST_F(dir, times)
{
	struct stat before, after;
	int i;

	OK(nx_put("f", "x"));
	for (i = 0; i < 4; i++) {
		OK(stat("f", &before));
		nx_tick();
		switch (i) {
		case 0:
			OK(set_acl("f", ACCESS, "u::rw- u:65531:r-- g::r-- m::r-- o::r--"));
			break;
		case 1:
			OK(set_acl("f", ACCESS, "u::rw- u:65531:rw- g::r-- m::rw- o::r--"));
			break;
		case 2:
			OK(chmod("f", 0604));
			break;
		case 3:
			OK(removexattr("f", ACCESS));
			break;
		}
		OK(stat("f", &after));
		EXPECT_NE(0, memcmp(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim)));
		EXPECT_EQ(0, memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)));
	}
	nx_drop_caches();
	OK(stat("f", &before));
	EXPECT_EQ(0, memcmp(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim)));
}

TEST_F(dir, inheritance)
{
	static const char def[] = "u::rwx u:65531:rwx g::r-x m::rwx o::---";
	int fd, i;

	OK(mkdir("d", 0777));
	OK(set_acl("d", DEFAULT, def));
	EXPECT_EQ(0755, mode_of("d"));
	EXPECT_TRUE(has_acl("d", ACCESS, NULL));
	nx_drop_caches();
	/* The umask is for those that have no default ACL. */
	umask(077);
	GET(fd, open("d/f", O_RDWR | O_CREAT | O_EXCL, 0664));
	OK(close(fd));
	OK(mkdir("d/sub", 0777));
	OK(mkfifo("d/p", 0660));
	OK(mknod("d/n", S_IFCHR | 0644, makedev(1, 3)));
	OK(symlink("f", "d/l"));
	GET(fd, open("d", O_TMPFILE | O_RDWR, 0666));
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, buf, AT_FDCWD, "d/t", AT_SYMLINK_FOLLOW));
	OK(close(fd));
	OK(mkdir("d/sub/sub", 0700));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0660, mode_of("d/f"));
		EXPECT_TRUE(has_acl("d/f", ACCESS, "u::rw- u:65531:rwx g::r-x m::rw- o::---"));
		EXPECT_EQ(0770, mode_of("d/sub"));
		EXPECT_TRUE(has_acl("d/sub", ACCESS, def));
		EXPECT_TRUE(has_acl("d/sub", DEFAULT, def));
		EXPECT_EQ(0660, mode_of("d/p"));
		EXPECT_TRUE(has_acl("d/p", ACCESS, "u::rw- u:65531:rwx g::r-x m::rw- o::---"));
		EXPECT_EQ(0640, mode_of("d/n"));
		EXPECT_TRUE(has_acl("d/n", ACCESS, "u::rw- u:65531:rwx g::r-x m::r-- o::---"));
		EXPECT_EQ(0777, mode_of("d/l"));
		EXPECT_EQ(0, llistxattr("d/l", NULL, 0));
		EXPECT_EQ(0660, mode_of("d/t"));
		EXPECT_TRUE(has_acl("d/t", ACCESS, "u::rw- u:65531:rwx g::r-x m::rw- o::---"));
		EXPECT_EQ(0700, mode_of("d/sub/sub"));
		EXPECT_TRUE(has_acl("d/sub/sub", DEFAULT, def));
		nx_drop_caches();
	}
	/* A default ACL that is a mode: no ACL, and no umask. */
	OK(set_acl("d", DEFAULT, "u::rwx g::rwx o::r-x"));
	OK(mkdir("d/plain", 0777));
	EXPECT_EQ(0775, mode_of("d/plain"));
	EXPECT_TRUE(has_acl("d/plain", ACCESS, NULL));
	EXPECT_TRUE(has_acl("d/plain", DEFAULT, "u::rwx g::rwx o::r-x"));
	/* And without one the umask is back. */
	OK(removexattr("d", DEFAULT));
	OK(mkdir("d/umask", 0777));
	EXPECT_EQ(0700, mode_of("d/umask"));
	GET(fd, open("d/umask-f", O_RDWR | O_CREAT | O_EXCL, 0666));
	OK(close(fd));
	EXPECT_EQ(0600, mode_of("d/umask-f"));
	GET(fd, open("d", O_TMPFILE | O_RDWR, 0666));
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, buf, AT_FDCWD, "d/umask-t", AT_SYMLINK_FOLLOW));
	OK(close(fd));
	EXPECT_EQ(0600, mode_of("d/umask-t"));
}

TEST_F(dir, refused)
{
	size_t len;
	int fd;

	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	/* A default ACL is a directory's. */
	FAILS(EACCES, set_acl("f", DEFAULT, "u::rwx g::r-x o::---"));
	OK(removexattr("f", DEFAULT));
	len = acl_from("u::rwx g::r-x o::---", buf);
	FAILS(EOPNOTSUPP, lsetxattr("l", ACCESS, buf, len, 0));
	/* Not an ACL. */
	FAILS(EINVAL, setxattr("f", ACCESS, buf, len - 1, 0));
	FAILS(EINVAL, setxattr("f", ACCESS, buf, 3, 0));
	FAILS(EINVAL, set_acl("f", ACCESS, "u::rwx u:5:r-- g::r-x o::---"));
	len = acl_from("u::rwx g::r-x o::---", buf);
	buf[0] = 1;
	FAILS(EOPNOTSUPP, setxattr("f", ACCESS, buf, len, 0));
	/* Nothing of it is there. */
	EXPECT_TRUE(has_acl("f", ACCESS, NULL));
	EXPECT_EQ(0644, mode_of("f"));
	/* Only the owner sets it. */
	OK(chown("f", USER, USER));
	fd = fork();
	if (!fd) {
		HOLDS(!setresgid(GROUP, GROUP, GROUP) && !setresuid(GROUP, GROUP, GROUP));
		HOLDS(set_acl("f", ACCESS, "u::rwx g::rwx o::rwx") && errno == EPERM);
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(0644, mode_of("f"));
}

/* The set-group-ID bit goes where the owner is not of the group. */
TEST_F(dir, setgid)
{
	OK(nx_put("f", "x"));
	OK(chown("f", USER, GROUP));
	OK(chmod("f", 02755));
	if (!fork()) {
		HOLDS(!setgroups(0, NULL) && !setresgid(USER, USER, USER) &&
		      !setresuid(USER, USER, USER));
		HOLDS(!set_acl("f", ACCESS, "u::rwx u:65533:r-- g::r-x m::r-x o::r-x"));
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(0755, mode_of("f"));
	nx_drop_caches();
	EXPECT_EQ(0755, mode_of("f"));
}

/* As long as they may be: on ext4 a block, here 32 KiB, and ENOSPC beyond. */
TEST_F(dir, long_ones)
{
	static char text[1 << 18];
	int n, i, at, limit = self->nexus ? 4095 : 150, fd;

	OK(mkdir("d", 0755));
	for (n = limit; n <= limit + 1; n++) {
		at = sprintf(text, "u::rwx");
		for (i = 0; i < n - 4; i++)
			at += sprintf(text + at, " u:%d:r-x", 1000 + i);
		sprintf(text + at, " g::r-x m::r-x o::---");
		if (n > limit) {
			if (self->nexus)
				FAILS(ENOSPC, set_acl("d", ACCESS, text));
			break;
		}
		OK(set_acl("d", ACCESS, text));
		OK(set_acl("d", DEFAULT, text));
		/* Two of them in one record. */
		OK(mkdir("d/e", 0755));
		GET(fd, open("d/e/f", O_RDWR | O_CREAT, 0644));
		OK(fsync(fd));
		OK(close(fd));
		nx_drop_caches();
		EXPECT_TRUE(has_acl("d", ACCESS, text));
		EXPECT_TRUE(has_acl("d", DEFAULT, text));
		EXPECT_TRUE(has_acl("d/e", ACCESS, text));
		EXPECT_TRUE(has_acl("d/e", DEFAULT, text));
		MAY(1000, 1000, "d/e/f", R_OK);
		MAY(1000 + n - 5, 1000, "d/e/f", R_OK);
		MAY_NOT(1000 + n, 1000, "d/e", R_OK);
	}
}

/* chattr +S: also of what is about the file, nothing is told before it is durable. */
TEST_F(dir, synchronous)
{
	int flags = FS_SYNC_FL, fd;
	int64_t before;

	if (!self->nexus)
		SKIP(return, "counts flushes of the module");
#define DURABLE(op)						\
	do {							\
		before = nx_counter("log_flushes");		\
		ASSERT_LE(0, before);				\
		OK(op);						\
		EXPECT_LT(before, nx_counter("log_flushes"));	\
	} while (0)
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fsync(fd));
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	DURABLE(setxattr("f", "user.a", "1", 1, 0));
	DURABLE(removexattr("f", "user.a"));
	DURABLE(set_acl("f", ACCESS, "u::rwx u:65531:rwx g::r-x m::r-x o::---"));
	DURABLE(chmod("f", 0700));
	DURABLE(set_acl("f", ACCESS, "u::rwx g::r-x o::--x"));
	DURABLE(chmod("f", 0600));
	OK(close(fd));
}

TEST_HARNESS_MAIN
