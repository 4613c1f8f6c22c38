// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "said.h"

#define TEXT_MAX	4096u	/* of what is said */
#define WORDS_MAX	32u	/* of a command */
#define PATH_ROOM	256u	/* of a program */

#ifdef MOUNT_TEST_DIR	/* the environment's variable that names the folder of a test's programs */
#define TABLE_OF(pid)	test_path("table-" pid)
#define SYSTEMD		test_path("systemd")
static const char *test_path(const char *name)
{
	static _Thread_local char path[2][256];
	static _Thread_local unsigned int n;

	snprintf(path[n ^= 1], sizeof(path[0]), "%s/%s", getenv(MOUNT_TEST_DIR), name);
	return path[n];
}
#else
#define TABLE_OF(pid)	"/proc/" pid "/mountinfo"
#define SYSTEMD		"/run/systemd/system"
#endif

int run_init(struct run *r, int dirfd, int64_t limit_ms)
{
	*r = (struct run){ .dirfd = dirfd, .limit_ms = limit_ms };
	r->stop = eventfd(0, EFD_CLOEXEC);
	return r->stop < 0 ? -errno : 0;
}

void run_stop(struct run *r)
{
	const uint64_t one = 1;

	while (write(r->stop, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void run_destroy(struct run *r)
{
	close(r->stop);
}

/* ---- a process ------------------------------------------------------------------- */

/* Where it is; not in $PATH, which is whoever's who started the helper. */
static bool find_program(const char *name, char path[PATH_ROOM])
{
#ifdef MOUNT_TEST_DIR
	snprintf(path, PATH_ROOM, "%s", test_path(name));
	return !access(path, X_OK);
#else
	static const char *const folders[] = {
		NEXUS_SBINDIR, "/usr/sbin", "/sbin", "/usr/bin", "/bin",
	};
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, PATH_ROOM, "%s/%s", folders[i], name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
#endif
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int begin(const char *const argv[], int said, pid_t *pid)
{
	/* Nothing of the helper's: keys of stores may be in its environment. */
	static const char *const clean[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL,
	};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, said, STDERR_FILENO);
	/* From the root: mount.nexusfs takes what is in its directory for a zone's name. */
	posix_spawn_file_actions_addchdir_np(&files, "/");
	posix_spawnattr_init(&attr);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF);
	ret = -posix_spawn(pid, argv[0], &files, &attr, (char *const *)argv,
			   (char *const *)clean);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return ret;
}

/* Until it is over; -ETIMEDOUT, or -ESHUTDOWN: the service ends. */
static int wait_for(const struct run *r, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fds[2] = {
		{ .fd = pidfd, .events = POLLIN }, { .fd = r->stop, .events = POLLIN },
	};
	int64_t until = now_ms() + r->limit_ms, left;
	int ret = pidfd < 0 ? -errno : 1;

	while (ret > 0) {
		left = until - now_ms();
		if (left <= 0)
			ret = -ETIMEDOUT;
		else if (poll(fds, 2, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			ret = -errno;
		else if (fds[0].revents)
			ret = 0;
		else if (fds[1].revents)
			ret = -ESHUTDOWN;
	}
	if (pidfd >= 0)
		close(pidfd);
	return ret;
}

/* Its end; *status is as wait(2) has it.  What it says is at @said. */
static int run_one(const struct run *r, const char *const argv[], int said, int *status)
{
	pid_t pid;
	int ret;

	ret = begin(argv, said, &pid);
	if (ret)
		return ret;
	ret = wait_for(r, pid);
	kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return ret;
}

static void read_said(int fd, char text[TEXT_MAX])
{
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n;

	/* The end of it is what matters. */
	n = pread(fd, text, TEXT_MAX - 1, size < (off_t)TEXT_MAX ? 0 : size - (off_t)TEXT_MAX + 1);
	text[n > 0 ? n : 0] = '\0';
}

/* It did not come to its own end. */
static int not_run(const struct run *r, int ret, const char *text, char *words)
{
	if (ret == -EOPNOTSUPP)
		snprintf(words, NEXUS_MOUNT_WORDS_MAX, "%s", text);
	else if (ret == -ETIMEDOUT)
		snprintf(words, NEXUS_MOUNT_WORDS_MAX,
			 "it was not done within %lld s (mount_timeout), and was given up",
			 (long long)(r->limit_ms / 1000));
	else
		snprintf(words, NEXUS_MOUNT_WORDS_MAX, "%s", strerror(-ret));
	return ret;
}

/* ---- here, or where the machine's mounts are -------------------------------------- */

/*
 * Numbers of mounts are never the same in two namespaces.  What links in /proc/1/ns say is
 * not for processes with less capabilities.
 */
static bool elsewhere(void)
{
	/* One that cannot be read (hidepid=) is none that such a process is in. */
	return !access(SYSTEMD, F_OK) &&
	       mtab_first_id(TABLE_OF("1")) != mtab_first_id(TABLE_OF("self"));
}

int run_table(void *arg, struct mtab *t)
{
	(void)arg;
	if (elsewhere() && !mtab_read(t, TABLE_OF("1")))
		return 0;
	/* What is mounted outside comes here, too, though not the other way round. */
	return mtab_read(t, TABLE_OF("self"));
}

/* @path of a file in the folder, as systemd can open it, too. */
static int said_there(struct run *r, char name[32], char path[512])
{
	char link[64];
	ssize_t n;
	int fd;

	snprintf(name, 32, "said-%d-%u", (int)getpid(), atomic_fetch_add(&r->number, 1));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", r->dirfd);
	n = readlink(link, path, 400);
	if (n < 0 || n == 400)
		return n < 0 ? -errno : -ENAMETOOLONG;
	snprintf(path + n, 512 - (size_t)n, "/%s", name);
	fd = openat(r->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* The command as a unit that systemd starts, and waits for. */
static int run_there(struct run *r, const char *const argv[], int said, int *status,
		     char text[TEXT_MAX])
{
	char program[PATH_ROOM], name[32], path[512], file[sizeof(path) + 32], limit[48];
	const char *words[WORDS_MAX + 16] = {
		program, "--quiet", "--collect", "--no-ask-password", "--service-type=oneshot",
		"-p", "DefaultDependencies=no", "-p", "StandardOutput=null", "-p", file, "-p", limit,
		"--setenv=LC_ALL=C", "--",
	};
	size_t n = 15, i;
	int fd, ret;

	if (!find_program("systemd-run", program)) {
		snprintf(text, TEXT_MAX, "the helper has mounts of its own (see its unit), and there is no systemd-run to go around them");
		return -EOPNOTSUPP;
	}
	fd = said_there(r, name, path);
	if (fd < 0)
		return fd;
	snprintf(file, sizeof(file), "StandardError=file:%s", path);
	snprintf(limit, sizeof(limit), "TimeoutStartSec=%lldms", (long long)r->limit_ms);
	for (i = 0; argv[i] && i < WORDS_MAX; i++)
		words[n++] = argv[i];
	words[n] = NULL;
	ret = run_one(r, words, said, status);
	read_said(fd, text);
	close(fd);
	unlinkat(r->dirfd, name, 0);
	return ret;
}

/* A command, by its program's name, whose @path is its first word; 0, or why not, in words. */
static int run_command(struct run *r, const char *program, char path[PATH_ROOM],
		       const char *const argv[], char *words)
{
	char text[TEXT_MAX] = "";
	int said, status = 0, ret;

	if (!find_program(program, path)) {
		snprintf(words, NEXUS_MOUNT_WORDS_MAX, "there is no program %s", program);
		return -EOPNOTSUPP;
	}
	said = memfd_create("nexus-mount-said", MFD_CLOEXEC);
	if (said < 0)
		return -errno;
	ret = elsewhere() ? run_there(r, argv, said, &status, text) :
			    run_one(r, argv, said, &status);
	if (!text[0])
		read_said(said, text);
	close(said);
	if (ret)
		return not_run(r, ret, text, words);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return said_error(text, words);
}

int run_attach(void *arg, const char *source, const char *directory, const char *options,
	       char *words)
{
	char path[PATH_ROOM];
	const char *argv[] = { path, source, directory, "-i", "-o", options, NULL };

	if (!options[0])
		argv[4] = NULL;
	return run_command(arg, "mount.nexusfs", path, argv, words);
}

int run_detach(void *arg, const char *directory, bool lazy, char *words)
{
	char path[PATH_ROOM];
	const char *argv[] = { path, "-i", lazy ? "-l" : "--", lazy ? "--" : directory,
			       lazy ? directory : NULL, NULL };

	return run_command(arg, "umount", path, argv, words);
}
