// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever waits for the helper can be killed, and what needs no helper does not
 * wait for one.  The helper is stopped with SIGSTOP: it is there and silent.
 * These are the system calls; every place in the module where one may wait is
 * listed, and tried, in chan/waits.
 */
#include "nx.h"

#define PIECES 100	/* more extents than a lookup brings along */

FIXTURE(halt)
{
	char path[256];
	pid_t helper;
	int dir;
};

static pid_t helper_pid(void)
{
	FILE *f = fopen("/run/nexusfs/nexusd.pid", "r");
	int pid = 0;

	if (f) {
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
	}
	return pid;
}

FIXTURE_SETUP(halt)
{
	char name[32];
	int i, fd;

	snprintf(self->path, sizeof(self->path), "%s/wait.XXXXXX", nx_base());
	self->helper = helper_pid();
	if (!nx_is_nexus(nx_base()) || !self->helper)
		SKIP(return, "needs nexusfs with a helper");
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
	OK(mkdir("d", 0755));
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		OK(nx_put(name, name));
	}
	OK(mkdir("d/sub", 0755));
	OK(nx_put("d/sub/x", "x"));
	OK(symlink("target", "d/l"));
	GET(fd, open("pieces", O_RDWR | O_CREAT, 0644));
	for (i = 0; i < PIECES; i++)
		ASSERT_EQ(1, pwrite(fd, "x", 1, 8192ll * i));
	OK(fsync(fd));
	OK(close(fd));
	GET(self->dir, open("d", O_RDONLY | O_DIRECTORY));
}

FIXTURE_TEARDOWN(halt)
{
	if (!self->helper)
		return;
	kill(self->helper, SIGCONT);
	close(self->dir);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

/* What was used lately gets a second chance, so twice. */
static void forget(void)
{
	nx_drop_caches();
	nx_drop_caches();
	nx_drop_caches();
}

/* Is the process asleep inside the module? */
static bool waits(pid_t pid)
{
	char path[64], state = 0, *at;
	const char *text;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	at = strrchr(nx_get(path), ')');
	if (at)
		state = at[2];
	if (state != 'D' && state != 'S')
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	text = nx_get(path);
	return strstr(text, "nexus");
}

static double since(const struct timespec *from)
{
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &to);
	return to.tv_sec - from->tv_sec + (to.tv_nsec - from->tv_nsec) / 1e9;
}

/* How long a process takes to die that waits for nothing of ours. */
static double time_to_die(void)
{
	struct timespec from;
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	usleep(20000);
	clock_gettime(CLOCK_MONOTONIC, &from);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return since(&from);
}

enum { ENDED, WAITED, HUNG };

/*
 * Runs @body with a helper that says nothing.  ENDED: it needed none.  WAITED:
 * it waited, @patience times as long as a look takes, and was gone within a
 * second of being killed.  HUNG: it was not.
 */
static int alone(pid_t helper, int (*body)(int dir), int dir, int patience,
		 double *took)
{
	struct timespec from;
	double usual, later;
	int i, asleep = 0, result = HUNG;
	pid_t pid;

	kill(helper, SIGSTOP);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(body(dir) ? 1 : 0);
	for (i = 0; i < 2400 && asleep < patience; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			kill(helper, SIGCONT);
			return ENDED;
		}
		asleep = waits(pid) ? asleep + 1 : 0;
		usleep(50000);
	}
	usual = time_to_die();
	clock_gettime(CLOCK_MONOTONIC, &from);
	kill(pid, SIGKILL);
	for (i = 0; i < 2000; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			result = WAITED;
			break;
		}
		usleep(5000);
	}
	*took = since(&from);
	kill(helper, SIGCONT);
	if (result == HUNG)
		waitpid(pid, NULL, 0);
	/* A debug kernel on a busy machine needs long for any process. */
	later = time_to_die();
	usual = later > usual ? later : usual;
	return *took < 1 + 4 * usual ? result : HUNG;
}

static int do_stat(int dir)
{
	struct stat st;

	return fstatat(dir, "f1", &st, 0);
}

static int do_negative(int dir)
{
	struct stat st;

	return fstatat(dir, "none", &st, 0);
}

static int do_open(int dir)
{
	return openat(dir, "f2", O_RDONLY) < 0;
}

static int do_create(int dir)
{
	return openat(dir, "new", O_WRONLY | O_CREAT | O_EXCL, 0644) < 0;
}

static int do_mkdir(int dir)
{
	return mkdirat(dir, "newdir", 0755);
}

static int do_unlink(int dir)
{
	return unlinkat(dir, "f3", 0);
}

static int do_rmdir(int dir)
{
	return unlinkat(dir, "sub", AT_REMOVEDIR);
}

static int do_rename(int dir)
{
	return renameat(dir, "f4", dir, "moved");
}

static int do_link(int dir)
{
	return linkat(dir, "f5", dir, "linked", 0);
}

static int do_symlink(int dir)
{
	return symlinkat("x", dir, "newlink");
}

static int do_readlink(int dir)
{
	char to[64];

	return readlinkat(dir, "l", to, sizeof(to)) < 0;
}

static int do_list(int dir)
{
	char buf[4096];

	lseek(dir, 0, SEEK_SET);
	return syscall(SYS_getdents64, dir, buf, sizeof(buf)) < 0;
}

static int do_exec(int dir)
{
	return fexecve(openat(dir, "f6", O_PATH), (char *[]){ "x", NULL },
		       (char *[]){ NULL });
}

static int do_chdir(int dir)
{
	return fchdir(dir) || chdir("sub");
}

static const struct {
	const char *name;
	int (*body)(int dir);
} in_directory[] = {
	{ "stat", do_stat }, { "stat of nothing", do_negative },
	{ "open", do_open }, { "create", do_create }, { "mkdir", do_mkdir },
	{ "unlink", do_unlink }, { "rmdir", do_rmdir },
	{ "rename", do_rename }, { "link", do_link },
	{ "symlink", do_symlink }, { "readlink", do_readlink },
	{ "readdir", do_list }, { "exec", do_exec }, { "chdir", do_chdir },
};

TEST_F_TIMEOUT(halt, killed_while_waiting_for_names, 900)
{
	double took = 0;
	size_t i;

	for (i = 0; i < N_ELEMS(in_directory); i++) {
		int got = ENDED, tries;

		/* What is forgotten is up to the kernel. */
		for (tries = 0; tries < 8 && got == ENDED; tries++) {
			forget();
			got = alone(self->helper, in_directory[i].body,
				    self->dir, 3, &took);
		}
		EXPECT_EQ(WAITED, got) {
			TH_LOG("%s: %s", in_directory[i].name, got == ENDED ?
			       "did not wait" : "did not end when killed");
		}
		printf("# %s: gone %.3f s after the kill\n", in_directory[i].name,
		       took);
	}
}

#define FAR (8192ll * (PIECES - 2))

static int do_read(int fd)
{
	char c;

	return pread(fd, &c, 1, FAR) != 1;
}

static int do_write(int fd)
{
	return pwrite(fd, "y", 1, FAR) != 1;
}

static int do_fault(int fd)
{
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, FAR);

	return map == MAP_FAILED || *(char *)map != 'x';
}

/* The kernel takes the fault, in a system call of another filesystem. */
static int do_kernel_fault(int fd)
{
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, FAR);
	int to[2];

	return map == MAP_FAILED || pipe(to) || write(to[1], map, 1) != 1;
}

static int do_readahead(int fd)
{
	return readahead(fd, FAR, 4096);
}

static int do_mapped_write(int fd)
{
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FAR);

	if (map == MAP_FAILED)
		return 1;
	*(char *)map = 'z';
	return 0;
}

static int do_seek(int fd)
{
	return lseek(fd, FAR, SEEK_DATA) != FAR;
}

static int do_punch(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FAR - 4096,
			 100);
}

/* To another size each time, inside of a block: its own size asks for nothing. */
static int do_truncate(int fd)
{
	off_t to = FAR + 2000;
	struct stat st;

	if (fstat(fd, &st))
		return 1;
	if (st.st_size <= to)
		to = st.st_size - 1;
	return ftruncate(fd, to);
}

static const struct {
	const char *name;
	int (*body)(int fd);
} in_file[] = {
	{ "read", do_read }, { "write", do_write }, { "page fault", do_fault },
	{ "page fault for writing", do_mapped_write },
	{ "page fault of the kernel", do_kernel_fault },
	{ "readahead", do_readahead },
	{ "truncate", do_truncate },
	{ "seek for data", do_seek },
	{ "punch", do_punch },
};

/* Beyond what the lookup brought along, the place of the content is asked. */
TEST_F_TIMEOUT(halt, killed_while_waiting_for_extents, 900)
{
	double took = 0;
	size_t i;

	for (i = 0; i < N_ELEMS(in_file); i++) {
		int fd = -1, got = ENDED, tries;

		for (tries = 0; tries < 8 && got == ENDED; tries++) {
			close(fd);
			forget();
			GET(fd, open("pieces", O_RDWR));
			got = alone(self->helper, in_file[i].body, fd, 3, &took);
		}
		EXPECT_EQ(WAITED, got) {
			TH_LOG("%s: %s", in_file[i].name, got == ENDED ?
			       "did not wait" : "did not end when killed");
		}
		printf("# %s: gone %.3f s after the kill\n", in_file[i].name, took);
		OK(close(fd));
	}
	/* Nobody has harmed the file. */
	forget();
	OK(nx_sh("test $(stat -c %%s pieces) -ge %lld", (long long)FAR + 1));
}

static int do_mount(int dir)
{
	return mount("wait-test", "/tmp/wait-mount", "nexusfs", 0, NULL);
}

TEST_F(halt, killed_while_mounting)
{
	double took = 0;

	if (nx_sh("nexusctl zone info wait-test > /dev/null 2>&1"))
		OK(nx_sh("nexusctl zone create wait-test"));
	mkdir("/tmp/wait-mount", 0755);
	EXPECT_EQ(WAITED, alone(self->helper, do_mount, 0, 3, &took));
	/* It can be mounted after all. */
	OK(mount("wait-test", "/tmp/wait-mount", "nexusfs", 0, NULL));
	OK(nx_put("/tmp/wait-mount/f", "x"));
	OK(umount("/tmp/wait-mount"));
}

/* All of this without a word from the helper. */
static int do_all_that_is_known(int dir)
{
	char name[32], buf[8192] = "data";
	struct statfs sf;
	struct stat st;
	int i, fd;

	HOLDS(!fchdir(dir));
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0644);
		HOLDS(fd >= 0);
		HOLDS(write(fd, buf, sizeof(buf)) == sizeof(buf));
		if (i % 5 == 0)
			HOLDS(!fsync(fd));
		HOLDS(!fchmod(fd, 0600));
		HOLDS(pread(fd, buf, sizeof(buf), 0) == sizeof(buf));
		HOLDS(!ftruncate(fd, 100));
		HOLDS(!close(fd));
		HOLDS(!stat(name, &st));
		HOLDS(!rename(name, "renamed"));
		HOLDS(!link("renamed", name));
		HOLDS(!unlink("renamed"));
		HOLDS(stat("renamed", &st) == -1 && errno == ENOENT);
	}
	HOLDS(!mkdir("sub2", 0755));
	HOLDS(!rmdir("sub2"));
	HOLDS(!statfs(".", &sf));
	HOLDS(!syncfs(dir));
	HOLDS(!nx_put("/dev/shm/nexus-wait-done", "done"));
	return 0;
}

/* Scenario A4. */
TEST_F(halt, what_needs_no_helper)
{
	double took = 0;
	int fd;

	unlink("/dev/shm/nexus-wait-done");
	OK(mkdir("fresh", 0755));
	GET(fd, open("fresh", O_RDONLY | O_DIRECTORY));
	EXPECT_EQ(ENDED, alone(self->helper, do_all_that_is_known, fd, 300,
				&took));
	EXPECT_STREQ("done", nx_get("/dev/shm/nexus-wait-done"));
	OK(close(fd));
	forget();
	OK(nx_sh("test $(ls fresh | wc -l) = 100"));
}

TEST_HARNESS_MAIN
