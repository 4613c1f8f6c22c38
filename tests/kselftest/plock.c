// SPDX-License-Identifier: GPL-2.0-only
/* Path locks: what excludes what, what is refused, what ends a lock and a wait for one. */
#include "nx_plock.h"
#include "nx_zone.h"

/* What is where: /, a directory, one below, a file in it, another directory. */
static const char *const place[] = { ".", "a", "a/b", "a/b/f", "c" };
/* Whether one is the other, above or below. */
static bool related(int i, int k)
{
	return i == k || !i || !k || (i < 4 && k < 4);
}

TEST_F(dir, what_excludes_what)
{
	struct nexus_plock_info info;
	int fd[5], other[5], i, k;
	const char *h, *w;
	bool free;

	NEEDS_NEXUS(self);
	OK(make_tree());
	for (i = 0; i < 5; i++) {
		GET(fd[i], at(place[i]));
		GET(other[i], at(place[i]));
	}
	for (i = 0; i < 5; i++) {
		for (h = "sx"; *h; h++) {
			OK(take(fd[i], *h, 0));
			for (k = 0; k < 5; k++) {
				for (w = "sx"; *w; w++) {
					free = !related(i, k) || (*h == 's' && *w == 's');
					info = who(other[k], *w);
					if (free) {
						OK(take(other[k], *w, 0));
						OK(drop(other[k]));
						ASSERT_EQ(NEXUS_PLOCK_FREE, info.place);
						continue;
					}
					FAILS(EAGAIN, take(other[k], *w, 0));
					ASSERT_EQ(getpid(), info.pid);
					ASSERT_EQ(*h == 'x' ? NEXUS_PLOCK_EXCLUSIVE :
						  NEXUS_PLOCK_SHARED, info.other);
					ASSERT_EQ(i == k ? NEXUS_PLOCK_HERE :
						  i < k ? NEXUS_PLOCK_ABOVE :
						  NEXUS_PLOCK_BELOW, info.place);
				}
			}
			OK(drop(fd[i]));
		}
	}
}

/* ---- what is refused ------------------------------------------------------------------ */

TEST_F(dir, bad_input)
{
	struct nexus_plock_arg a = { .mode = NEXUS_PLOCK_SHARED };
	struct nexus_plock_info info = { .mode = NEXUS_PLOCK_SHARED };
	static const long long bad[] = {
		-1, LLONG_MIN, LLONG_MAX, NEXUS_PLOCK_TIMEOUT_MAX + 1ll,
	};
	unsigned int i;
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	for (i = 0; i < N_ELEMS(bad); i++) {
		a.timeout_ms = bad[i];
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a));
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_CONVERT, &a));
	}
	a.timeout_ms = 1;
	a.flags = NEXUS_PLOCK_F_FOREVER;
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a));
	a.timeout_ms = 0;
	for (i = 1; i < 32; i++) {
		a.flags = 1u << i;
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a));
		info.flags = 1u << i;
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_GET, &info));
	}
	a.flags = info.flags = 0;
	for (i = 0; i < 2; i++) {
		a.reserved[i] = 1;
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a));
		a.reserved[i] = 0;
	}
	info.reserved[2] = 1;
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_GET, &info));
	info.reserved[2] = 0;
	for (i = 0; i < 5; i++) {
		a.mode = info.mode = i ? 2u + i : 0;
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a));
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_CONVERT, &a));
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_GET, &info));
	}
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_PLOCK_LOCK, NULL));
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_PLOCK_CONVERT, 8));
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_PLOCK_GET, -1l));
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_PLOCK_UNLOCK, 1));
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_PLOCK_GET,
			    mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	FAILS(ENOTTY, ioctl(fd, _IO(0xE6, 0x4f), 0));
	/* Nothing of all that was a lock. */
	FAILS(ENOENT, drop(fd));
	FAILS(ENOENT, convert(fd, 's', 0));
	FAILS(ENOENT, convert(fd, 'x', 0));
	OK(take(fd, 's', 0));
	FAILS(EALREADY, take(fd, 's', 0));
	FAILS(EALREADY, take(fd, 'x', FOREVER));
	FAILS(EALREADY, convert(fd, 's', 0));
	ASSERT_EQ(NEXUS_PLOCK_SHARED, who(fd, 's').held);
	OK(convert(fd, 'x', NEXUS_PLOCK_TIMEOUT_MAX));
	FAILS(EALREADY, convert(fd, 'x', 0));
	ASSERT_EQ(NEXUS_PLOCK_EXCLUSIVE, who(fd, 'x').held);
	OK(convert(fd, 's', 0));
	OK(drop(fd));
	FAILS(ENOENT, drop(fd));
	ASSERT_EQ(NEXUS_PLOCK_NONE, who(fd, 'x').held);
	close(fd);
}

TEST_F(dir, foreign)
{
	static const char *const names[] = { "/", "/tmp", "/proc/self/stat", "/dev/null" };
	static const char *const sys[] = { "", "/stats", "/locks", "/zones" };
	char name[PATH_MAX];
	unsigned int i;
	int fd;

	NEEDS_NEXUS(self);
	for (i = 0; i < N_ELEMS(names) + N_ELEMS(sys); i++) {
		if (i < N_ELEMS(names))
			strcpy(name, names[i]);
		else
			snprintf(name, sizeof(name), "%s/__sys__%s", nx_base(),
				 sys[i - N_ELEMS(names)]);
		GET(fd, at(name));
		FAILS(ENOTTY, take(fd, 's', 0));
		FAILS(ENOTTY, drop(fd));
		FAILS(ENOTTY, convert(fd, 's', 0));
		ASSERT_EQ((unsigned int)-ENOTTY, who(fd, 's').place);
		close(fd);
	}
	OK(mkfifo("fifo", 0644));
	GET(fd, open("fifo", O_RDWR));
	FAILS(ENOTTY, take(fd, 's', 0));
	close(fd);
	OK(nx_put("file", "text"));
	GET(fd, open("file", O_PATH));
	FAILS(EBADF, take(fd, 's', 0));
	close(fd);
	/* Opened for ioctls alone. */
	GET(fd, open("file", 3));
	FAILS(EBADF, take(fd, 's', 0));
	close(fd);
	GET(fd, open("file", O_WRONLY));
	OK(take(fd, 's', 0));
	OK(convert(fd, 'x', 0));
	close(fd);
}

static void as_nobody(void *arg)
{
	int fd;

	HOLDS((fd = at(".")) >= 0);
	HOLDS(!take(fd, 's', 0) && !drop(fd));
	errno = 0;
	HOLDS(take(fd, 'x', 0) == -1 && errno == EACCES);
	HOLDS(!take(fd, 's', 0));
	errno = 0;
	HOLDS(convert(fd, 'x', 0) == -1 && errno == EACCES);
	HOLDS(!drop(fd));
	HOLDS((fd = at("file")) >= 0);
	errno = 0;
	HOLDS(take(fd, 'x', 0) == -1 && errno == EACCES);
	HOLDS((fd = at("open")) >= 0);
	HOLDS(!take(fd, 'x', 0) && !drop(fd));
	/* Paths of others are nobody's business. */
	HOLDS(listed("held") == -1 && errno == EACCES);
}

TEST_F(dir, rights)
{
	NEEDS_NEXUS(self);
	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("file", "text"));
	OK(mkdir("open", 0777));
	OK(chmod("open", 0777));
	ASSERT_EQ(0, nx_as_nobody(as_nobody, NULL));
}

/* ---- how long it lasts ---------------------------------------------------------------- */

/* Of the mount it was opened by, or all of the filesystem. */
TEST_F(dir, on_a_read_only_mount)
{
	int file, dir, rw;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(mkdir("ro", 0755));
	GET(rw, open("a/b/f", O_RDWR));
	OK(mount("a", "ro", NULL, MS_BIND, NULL));
	OK(mount(NULL, "ro", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	GET(file, at("ro/b/f"));
	GET(dir, at("ro/b"));
	FAILS(EROFS, take(file, 'x', 0));
	FAILS(EROFS, take(dir, 'x', 0));
	OK(take(dir, 's', 0));
	FAILS(EROFS, convert(dir, 'x', 0));
	/* It is the same file, whatever it was opened by. */
	FAILS(EAGAIN, take(rw, 'x', 0));
	OK(drop(dir));
	OK(take(rw, 'x', 0));
	FAILS(EAGAIN, take(file, 's', 0));
	OK(close(rw));
	OK(close(file));
	OK(close(dir));
	OK(umount("ro"));

	OK(mount(NULL, nx_base(), NULL, MS_REMOUNT | MS_RDONLY, NULL));
	GET(file, at("a/b/f"));
	errno = 0;
	EXPECT_EQ(-1, take(file, 'x', 0));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(0, take(file, 's', 0));
	OK(mount(NULL, nx_base(), NULL, MS_REMOUNT, NULL));
	OK(convert(file, 'x', 0));
	OK(close(file));
}

static int by_handle(const struct file_handle *h, int flags)
{
	int mount = at("."), fd = open_by_handle_at(mount, (struct file_handle *)h, flags);
	int code = errno;

	close(mount);
	errno = code;
	return fd;
}

/* Whose name is not known counts for no directory; a directory's is always found. */
TEST_F(dir, opened_by_handle)
{
	struct {
		struct file_handle h;
		unsigned char bytes[MAX_HANDLE_SZ];
	} file = { .h.handle_bytes = MAX_HANDLE_SZ }, dir = { .h.handle_bytes = MAX_HANDLE_SZ };
	int fd, named, above, mount;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(name_to_handle_at(AT_FDCWD, "a/b/f", &file.h, &mount, 0));
	OK(name_to_handle_at(AT_FDCWD, "a/b", &dir.h, &mount, 0));
	nx_drop_caches();
	GET(fd, by_handle(&file.h, O_RDWR));
	OK(take(fd, 'x', 0));
	ASSERT_EQ(1, listed("exclusive held"));
	GET(above, at("a/b"));
	OK(take(above, 'x', 0));
	OK(drop(above));
	/* The file is one, by whatever it was opened. */
	GET(named, open("a/b/f", O_RDWR));
	FAILS(EAGAIN, take(named, 's', 0));
	OK(drop(fd));
	OK(take(named, 'x', 0));
	FAILS(EAGAIN, take(fd, 's', 0));
	FAILS(EAGAIN, take(above, 's', 0));
	OK(close(named));
	OK(close(fd));
	/* And it counts for them once its name is known when it first asks. */
	GET(named, open("a/b/f", O_RDWR));
	GET(fd, by_handle(&file.h, O_RDWR));
	OK(take(fd, 'x', 0));
	FAILS(EAGAIN, take(above, 's', 0));
	OK(close(fd));
	OK(close(named));
	OK(close(above));
	nx_drop_caches();
	GET(fd, by_handle(&dir.h, O_RDONLY));
	OK(take(fd, 'x', 0));
	GET(above, at("a"));
	FAILS(EAGAIN, take(above, 's', 0));
	OK(close(fd));
	OK(take(above, 's', 0));
	OK(close(above));
	/* One that is in the tree no more has no place. */
	OK(unlink("a/b/f"));
	GET(fd, by_handle(&dir.h, O_RDONLY));
	OK(rmdir("a/b"));
	errno = 0;
	named = take(fd, 'x', 0);
	ASSERT_TRUE(!named || errno == ESTALE) {
		TH_LOG("%s", strerror(errno));
	}
	OK(close(fd));
}

TEST_F(dir, until_the_last_close)
{
	int a, copy, b, to[2], from[2];
	pid_t pid;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(pipe(to));
	OK(pipe(from));
	GET(a, at("a/b/f"));
	GET(b, at("a"));
	GET(copy, dup(a));
	OK(take(a, 'x', 0));
	/* It is the open file's, whatever descriptor. */
	FAILS(EALREADY, take(copy, 's', 0));
	close(a);
	FAILS(EAGAIN, take(b, 's', 0));
	GET(pid, fork());
	if (!pid) {
		close(b);
		say(from[1]);
		hear(to[0]);
		_exit(0);
	}
	hear(from[0]);
	close(copy);
	FAILS(EAGAIN, take(b, 's', 0));
	say(to[1]);
	ASSERT_EQ(0, nx_reap());
	OK(take(b, 's', 0));
	/* Another open file of the same is nobody. */
	GET(a, at("a"));
	FAILS(ENOENT, drop(a));
	close(a);
	FAILS(EALREADY, take(b, 's', 0));
	/* A child may give it up for all. */
	if (!fork()) {
		HOLDS(!drop(b));
		_exit(0);
	}
	ASSERT_EQ(0, nx_reap());
	FAILS(ENOENT, drop(b));
	close(b);
}

TEST_F(dir, death_of_the_owner)
{
	int from[2], fd, status;
	pid_t holder, waiter;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(pipe(from));
	GET(holder, fork());
	if (!holder) {
		HOLDS((fd = at("a")) >= 0);
		HOLDS(!take(fd, 'x', 0));
		say(from[1]);
		pause();
		_exit(1);
	}
	hear(from[0]);
	GET(fd, at("a/b/f"));
	FAILS(EAGAIN, take(fd, 's', 0));
	ASSERT_EQ(holder, who(fd, 's').pid);
	ASSERT_EQ(1, listed(" held "));
	GET(waiter, fork());
	if (!waiter) {
		HOLDS((fd = at("a/b")) >= 0);
		HOLDS(!take(fd, 'x', FOREVER));
		_exit(0);
	}
	until_waiting(1);
	OK(kill(holder, SIGKILL));
	ASSERT_EQ(holder, waitpid(holder, &status, 0));
	OK(take(fd, 'x', FOREVER));
	ASSERT_EQ(waiter, waitpid(waiter, &status, 0));
	ASSERT_EQ(0, status);
	close(fd);
	ASSERT_EQ(0, listed(" held "));
}

/* ---- waiting -------------------------------------------------------------------------- */

TEST_F(dir, killed_while_waiting)
{
	int fd, other, status;
	pid_t writer, reader;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(fd, at("a/b"));
	OK(take(fd, 's', 0));
	GET(writer, fork());
	if (!writer) {
		HOLDS((other = at("a")) >= 0);
		take(other, 'x', FOREVER);
		_exit(1);
	}
	until_waiting(1);
	/* Behind the writer, and let in by its death. */
	GET(reader, fork());
	if (!reader) {
		HOLDS((other = at("a/b/f")) >= 0);
		HOLDS(take(other, 's', 0) == -1 && errno == EAGAIN);
		HOLDS(who(other, 's').place == NEXUS_PLOCK_QUEUE);
		HOLDS(who(other, 's').pid == writer);
		HOLDS(!take(other, 's', 200000));
		_exit(0);
	}
	until_waiting(2);
	OK(kill(writer, SIGKILL));
	ASSERT_EQ(writer, waitpid(writer, &status, 0));
	ASSERT_EQ(SIGKILL, WTERMSIG(status));
	ASSERT_EQ(reader, waitpid(reader, &status, 0));
	ASSERT_EQ(0, status);
	OK(convert(fd, 'x', FOREVER));
	close(fd);
	ASSERT_EQ(0, listed(" waits "));
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST_F(dir, interrupted)
{
	struct sigaction act = { .sa_handler = on_signal };
	int fd, other, i, status, from[2];
	pid_t pid;

	NEEDS_NEXUS(self);
	OK(pipe(from));
	GET(fd, at("."));
	OK(take(fd, 's', 0));
	GET(pid, fork());
	if (!pid) {
		HOLDS((other = at(".")) >= 0);
		for (i = 0; i < 3; i++) {
			act.sa_flags = i ? SA_RESTART : 0;
			sigaction(SIGUSR1, &act, NULL);
			if (i < 2) {
				/* One that ends by itself does not begin anew. */
				errno = 0;
				HOLDS(take(other, 'x', i ? 200000 : FOREVER) == -1 &&
				      errno == EINTR);
				say(from[1]);
				continue;
			}
			HOLDS(!take(other, 'x', FOREVER));
		}
		_exit(0);
	}
	for (i = 0; i < 3; i++) {
		until_waiting(1);
		OK(kill(pid, SIGUSR1));
		if (i < 2)
			hear(from[0]);
	}
	usleep(100000);
	until_waiting(1);
	OK(drop(fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
}

TEST_F(dir, timeouts)
{
	uint64_t before, waits;
	int a, b;

	NEEDS_NEXUS(self);
	GET(a, at("."));
	GET(b, at("."));
	OK(take(a, 'x', 0));
	before = nx_counter("plock_timeouts");
	waits = nx_counter("plock_waits");
	FAILS(EAGAIN, take(b, 's', 0));
	ASSERT_EQ(before, nx_counter("plock_timeouts"));
	ASSERT_EQ(waits, nx_counter("plock_waits"));
	OK(drop(a));
	OK(take(a, 's', 0));
	OK(take(b, 's', 1));
	FAILS(EAGAIN, convert(b, 'x', 0));
	/* Nobody else waits, and it is not oneself that one waits for. */
	ASSERT_EQ(NEXUS_PLOCK_HERE, who(b, 'x').place);
	OK(drop(a));
	OK(convert(b, 'x', 1));
	if (!fork()) {
		HOLDS((a = at(".")) >= 0);
		errno = 0;
		HOLDS(take(a, 's', 50) == -1 && errno == ETIMEDOUT);
		HOLDS(take(a, 'x', 1) == -1 && errno == ETIMEDOUT);
		_exit(0);
	}
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(before + 2, nx_counter("plock_timeouts"));
	ASSERT_EQ(waits + 2, nx_counter("plock_waits"));
	ASSERT_EQ(NEXUS_PLOCK_EXCLUSIVE, who(b, 's').held);
	close(a);
	close(b);
}

/* Two that share an open file: one waits, the other cannot do anything with it. */
static void *wait_for_it(void *arg)
{
	int *fd = arg;

	return (void *)(long)take(*fd, 'x', FOREVER);
}

TEST_F(dir, one_open_file_of_two)
{
	pthread_t thread;
	void *ret;
	int a, b;

	NEEDS_NEXUS(self);
	GET(a, at("."));
	GET(b, at("."));
	OK(take(a, 's', 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_it, &b));
	until_waiting(1);
	FAILS(EBUSY, take(b, 's', 0));
	FAILS(EBUSY, drop(b));
	FAILS(EBUSY, convert(b, 's', 0));
	OK(drop(a));
	pthread_join(thread, &ret);
	ASSERT_EQ(0, (long)ret);
	/* Held by the open file, so whoever has it may. */
	OK(drop(b));
}

/* ---- other zones ---------------------------------------------------------------------- */

/* Locks what is mounted, then waits for what it is mounted on. */
static void lock_both(int said)
{
	int root, above;

	HOLDS((root = at("zone")) >= 0);
	HOLDS((above = at(".")) >= 0);
	HOLDS(!take(root, 'x', FOREVER));
	say(said);
	HOLDS(!take(above, 'x', FOREVER));
	_exit(0);
}

TEST_F(dir, other_zones)
{
	int above, root, file, said[2];
	struct nx_zone zone;

	NEEDS_NEXUS(self);
	OK(nx_zone_begin(&zone, self->path, true));
	OK(nx_put("zone/f", "text"));
	OK(pipe(said));
	GET(above, at("."));
	GET(root, at("zone"));
	GET(file, at("zone/f"));
	/* A lock on a directory does not reach into what is mounted below it. */
	OK(take(above, 'x', 0));
	ASSERT_EQ(NEXUS_PLOCK_FREE, who(root, 'x').place);
	ASSERT_EQ(NEXUS_PLOCK_FREE, who(file, 'x').place);
	OK(take(file, 'x', 0));
	FAILS(EAGAIN, take(root, 's', 0));
	ASSERT_EQ(NEXUS_PLOCK_BELOW, who(root, 's').place);
	OK(drop(above));
	/* Nor one in there out of it. */
	ASSERT_EQ(NEXUS_PLOCK_FREE, who(above, 'x').place);
	OK(take(above, 'x', 0));
	OK(drop(file));
	/* Two who wait for each other in two zones: a timeout ends it, not EDEADLK. */
	if (!fork())
		lock_both(said[1]);
	hear(said[0]);
	until_waiting(1);
	FAILS(ETIMEDOUT, take(root, 'x', 100));
	OK(drop(above));
	ASSERT_EQ(0, nx_reap());
	close(above);
	close(root);
	close(file);
	OK(nx_zone_end(&zone));
}

TEST_HARNESS_MAIN
