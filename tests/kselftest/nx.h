/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs here share: a fresh directory per test on the filesystem
 * under test, short assertions that print errno, and a look at the machine.
 *
 * NEXUS_TEST_DIR says which directory to work in (default /mnt/nexus), so the
 * same programs run on ext4 or tmpfs, where they show that they are right.
 */
#ifndef NX_H
#define NX_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kselftest_harness.h>

/* For hangs only: nothing here passes or fails by the clock. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 240

#define NX_MAGIC 0x4e455853

#define OK(expr)							\
	do {								\
		ASSERT_EQ(0, (expr)) {					\
			TH_LOG("%s: %s", #expr, strerror(errno));	\
		}							\
	} while (0)
#define FAILS(code, expr)						\
	do {								\
		errno = 0;						\
		ASSERT_EQ(-1, (expr)) {					\
			TH_LOG("%s succeeded", #expr);			\
		}							\
		ASSERT_EQ(code, errno) {				\
			TH_LOG("%s: %s", #expr, strerror(errno));	\
		}							\
	} while (0)
/* The value of a call that returns a descriptor, a count or a process. */
#define GET(var, expr)							\
	do {								\
		(var) = (expr);						\
		ASSERT_LE(0, (var)) {					\
			TH_LOG("%s: %s", #expr, strerror(errno));	\
		}							\
	} while (0)
#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))

/* What getdents64 fills in; no libc declares it. */
struct linux_dirent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static inline const char *nx_base(void)
{
	const char *dir = getenv("NEXUS_TEST_DIR");

	return dir && *dir ? dir : "/mnt/nexus";
}

static inline bool nx_is_nexus(const char *path)
{
	struct statfs sf;

	return !statfs(path, &sf) && (unsigned int)sf.f_type == NX_MAGIC;
}

static inline int nx_rm_one(const char *path, const struct stat *st, int type,
			    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* rm -rf */
static inline int nx_rm(const char *path)
{
	return nftw(path, nx_rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/*
 * Drops what is clean: "1" pages, "2" dentries and inodes, "3" both.  NEXUS_NO_DROP is
 * for a machine that others use, too.
 */
static inline void nx_drop_some(const char *what)
{
	int fd;

	if (getenv("NEXUS_NO_DROP"))
		return;
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, what, 1) != 1)
			perror("# drop_caches");
		close(fd);
	}
}

/* Everything that can be dropped without losing a change. */
static inline void nx_drop_caches(void)
{
	sync();
	nx_drop_some("3");
}

/* A small generator of our own: one seed gives one run on any libc. */
static uint64_t nx_rand_state = 88172645463325252ull;

static inline void nx_srand(uint64_t seed)
{
	nx_rand_state = seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
	if (!nx_rand_state)
		nx_rand_state = 1;
}

static inline uint64_t nx_rand(void)
{
	nx_rand_state ^= nx_rand_state << 13;
	nx_rand_state ^= nx_rand_state >> 7;
	nx_rand_state ^= nx_rand_state << 17;
	return nx_rand_state * 0x2545f4914f6cdd1dull >> 16;
}

static inline uint64_t nx_below(uint64_t n)
{
	return n ? nx_rand() % n : 0;
}

static inline uint64_t nx_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* The seed of this run: NEXUS_SEED, or a new one, printed for a replay. */
static inline uint64_t nx_seed(void)
{
	struct timespec ts;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &ts);
	seed = nx_env("NEXUS_SEED", (uint64_t)ts.tv_nsec % 1000000007u);
	printf("# seed %" PRIu64 " (replay with NEXUS_SEED=%" PRIu64 ")\n",
	       seed, seed);
	fflush(stdout);
	nx_srand(seed);
	return seed;
}

/* Writes all of a small text file; -1 with errno. */
static inline int nx_put(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, len);
	if (close(fd) || n != (ssize_t)len)
		return -1;
	return 0;
}

/* Reads a small file as text; "" when there is none. */
static inline const char *nx_get(const char *path)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/*
 * What changes now has other times than what changed before.  They are of the clock of
 * the last timer interrupt, and where a processor is not let run, any sleep can end
 * before the next.
 */
static inline void nx_tick(void)
{
	struct timespec before, now;

	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	do {
		usleep(4000);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
}

/* Until a process sleeps in a system call: what waits for another does so. */
static inline void nx_until_asleep(pid_t pid)
{
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (i = 0; i < 2000 && !strstr(nx_get(path), ") S "); i++)
		usleep(10000);
}

/* Threads of io_uring's own that this process has. */
static inline int nx_workers(void)
{
	char path[300];
	struct dirent *e;
	DIR *dir = opendir("/proc/self/task");
	int n = 0;

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		n += !strncmp(nx_get(path), "iou-wrk-", 8);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* Runs a shell command; its exit status, or 255. */
static inline int nx_sh(const char *format, ...)
{
	char line[4096];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fflush(NULL);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Becomes nobody for good; for children. */
static inline int nx_drop_user(void)
{
	gid_t none = 65534;

	return setgroups(1, &none) || setresgid(none, none, none) ||
	       setresuid(65534, 65534, 65534) ? -1 : 0;
}

/*
 * Runs @body in a child as nobody; it ends with _exit(0) or with the line that
 * failed, which is what this gives.
 */
static inline int nx_as_nobody(void (*body)(void *), void *arg)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (nx_drop_user())
			_exit(255);
		body(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* In a child: end with the number of the line that did not hold. */
#define HOLDS(cond)						\
	do {							\
		if (!(cond)) {					\
			fprintf(stderr, "# %s:%d: %s: %s\n",	\
				__FILE__, __LINE__, #cond,	\
				strerror(errno));		\
			_exit(1);				\
		}						\
	} while (0)

/* All children of this process must have ended well; how many did not. */
static inline int nx_reap(void)
{
	int status, bad = 0;

	while (wait(&status) > 0)
		bad += !WIFEXITED(status) || WEXITSTATUS(status);
	return bad;
}

/* An empty directory of the test's own, the current one while it runs. */
FIXTURE(dir)
{
	char path[PATH_MAX / 2];
	bool nexus;
	bool root;
};

FIXTURE_SETUP(dir)
{
	umask(022);
	snprintf(self->path, sizeof(self->path), "%s/%s.XXXXXX", nx_base(),
		 program_invocation_short_name);
	ASSERT_NE(NULL, mkdtemp(self->path)) {
		TH_LOG("%s: %s", self->path, strerror(errno));
	}
	OK(chmod(self->path, 0755));
	OK(chdir(self->path));
	self->nexus = nx_is_nexus(self->path);
	self->root = !geteuid();
}

FIXTURE_TEARDOWN(dir)
{
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path)) {
		TH_LOG("%s: %s", self->path, strerror(errno));
	}
}

/* Whether space is as free again within @seconds as it was, but for @less bytes. */
static inline bool nx_space_back(const struct statvfs *before, fsblkcnt_t less, int seconds)
{
	struct statvfs now;
	int i;

	for (i = 0; i < 10 * seconds; i++) {
		if (statvfs(".", &now))
			return false;
		if (now.f_bavail * now.f_frsize + less > before->f_bavail * before->f_frsize)
			return true;
		usleep(100000);
	}
	return false;
}

#endif
