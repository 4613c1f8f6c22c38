// SPDX-License-Identifier: GPL-2.0-only
/* FIFREEZE and FITHAW: who waits, who does not, who may. */
#include "nx.h"

#include <linux/fs.h>

static int freeze(unsigned long cmd)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err, code;

	err = ioctl(fd, cmd, 0);
	code = errno;
	close(fd);
	errno = code;
	return err;
}

static char state_of(pid_t pid)
{
	const char *text;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = strrchr(nx_get(path), ')');
	return text ? text[2] : 'Z';
}

/* It sleeps, or is done. */
static char until_still(pid_t pid)
{
	char state = 0;
	int i;

	for (i = 0; i < 2000; i++) {
		state = state_of(pid);
		if (state == 'D' || state == 'Z')
			break;
		usleep(10000);
	}
	return state;
}

static char *map;

static void change(int how)
{
	struct timespec times[2] = { { 1, 1 }, { 2, 2 } };
	int fd;

	switch (how) {
	case 0:
		HOLDS((fd = open("file", O_WRONLY)) >= 0);
		HOLDS(write(fd, "n", 1) == 1);
		return;
	case 1:
		HOLDS(!mkdir("new", 0755));
		return;
	case 2:
		HOLDS(!unlink("gone"));
		return;
	case 3:
		HOLDS(!rename("old", "renamed"));
		return;
	case 4:
		HOLDS(!chmod("file", 0600));
		return;
	case 5:
		HOLDS(!truncate("cut", 1));
		return;
	case 6:
		map[4096] = 'm';
		return;
	case 7:
		HOLDS(!utimensat(AT_FDCWD, "cut", times, 0));
		return;
	case 8:
		HOLDS(open("created", O_CREAT | O_RDWR, 0600) >= 0);
		return;
	}
	HOLDS((fd = open("file", O_RDWR)) >= 0);
	HOLDS(!fallocate(fd, 0, 0, 65536));
}

FIXTURE(freeze)
{
	char path[PATH_MAX / 2];
};

FIXTURE_SETUP(freeze)
{
	if (geteuid())
		SKIP(return, "needs root");
	snprintf(self->path, sizeof(self->path), "%s/freeze.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
}

FIXTURE_TEARDOWN(freeze)
{
	if (!self->path[0])
		return;
	/* However the test ended. */
	freeze(FITHAW);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

TEST_F(freeze, changes_wait)
{
	enum { HOW = 10 };
	pid_t pid[HOW];
	struct stat st;
	int fd, i;

	OK(nx_put("file", "text"));
	OK(nx_put("gone", "text"));
	OK(nx_put("old", "text"));
	OK(nx_put("cut", "text"));
	OK(truncate("file", 8192));
	GET(fd, open("file", O_RDWR));
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[4096] = 'a';
	OK(freeze(FIFREEZE));
	for (i = 0; i < HOW; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			change(i);
			_exit(0);
		}
	}
	for (i = 0; i < HOW; i++) {
		ASSERT_EQ('D', until_still(pid[i])) {
			TH_LOG("change %d does not wait", i);
		}
	}
	/* Reading goes on, and what makes durable has nothing to do. */
	ASSERT_EQ('t', nx_get("file")[0]);
	OK(stat("gone", &st));
	OK(stat("old", &st));
	FAILS(ENOENT, stat("new", &st));
	FAILS(ENOENT, stat("created", &st));
	OK(fsync(fd));
	OK(syncfs(fd));
	FAILS(EBUSY, freeze(FIFREEZE));
	for (i = 0; i < HOW; i++)
		ASSERT_EQ('D', state_of(pid[i]));
	OK(freeze(FITHAW));
	ASSERT_EQ(0, nx_reap());
	FAILS(EINVAL, freeze(FITHAW));
	ASSERT_EQ('n', nx_get("file")[0]);
	ASSERT_EQ('m', map[4096]);
	FAILS(ENOENT, stat("gone", &st));
	OK(stat("new", &st));
	OK(stat("renamed", &st));
	OK(stat("created", &st));
	munmap(map, 8192);
	close(fd);
}

/* The last close of a file without a name, and reads that move atime, wait for nothing. */
TEST_F(freeze, what_does_not_wait)
{
	struct timespec times[2] = { { 1, 1 }, { 2, 2 } };
	struct stat st;
	int fd;

	OK(nx_put("file", "text"));
	OK(utimensat(AT_FDCWD, "file", times, 0));
	OK(freeze(FIFREEZE));
	ASSERT_EQ('t', nx_get("file")[0]);
	OK(stat("file", &st));
	ASSERT_EQ(1, st.st_atim.tv_sec);
	GET(fd, open("file", O_RDWR));
	close(fd);
	OK(freeze(FITHAW));
	ASSERT_EQ('t', nx_get("file")[0]);
	OK(stat("file", &st));
	ASSERT_NE(1, st.st_atim.tv_sec);
}

static void freeze_as_nobody(void *arg)
{
	errno = 0;
	HOLDS(freeze(FIFREEZE) == -1 && errno == EPERM);
	errno = 0;
	HOLDS(freeze(FITHAW) == -1 && errno == EPERM);
}

TEST_F(freeze, who_may)
{
	OK(chmod(".", 0755));
	ASSERT_EQ(0, nx_as_nobody(freeze_as_nobody, NULL));
}

/* Again and again beside what changes things. */
TEST_F(freeze, beside_changes)
{
	enum { WRITERS = 3, ROUNDS = 15 };
	char name[32];
	pid_t pid[WRITERS];
	int i, k;

	for (i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			for (k = 0;; k++) {
				snprintf(name, sizeof(name), "%d.%d", i, k % 7);
				HOLDS(!nx_put(name, name));
				if (k % 3 == 0)
					HOLDS(!unlink(name));
			}
		}
	}
	for (i = 0; i < ROUNDS; i++) {
		OK(freeze(FIFREEZE));
		usleep(5000);
		OK(freeze(FITHAW));
		usleep(5000);
	}
	for (i = 0; i < WRITERS; i++) {
		ASSERT_NE('Z', state_of(pid[i]));
		kill(pid[i], SIGKILL);
	}
	nx_reap();
}

TEST_HARNESS_MAIN
