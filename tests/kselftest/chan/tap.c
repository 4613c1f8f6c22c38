// SPDX-License-Identifier: GPL-2.0-only
/* Results, and operations that must not hang. */
#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "fake.h"

static int tests, failed;

static void say(bool good, const char *fmt, va_list args)
{
	printf("%sok %d - ", good ? "" : "not ", ++tests);
	vprintf(fmt, args);
	failed += !good;
}

bool ok(bool good, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(good, fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return good;
}

static const char *err_name(int err)
{
	if (err == HANGS)
		return "a hang";
	return err ? strerrorname_np(-err) ?: "an unknown error" : "success";
}

bool ok_err(int got, int want, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(got == want, fmt, args);
	va_end(args);
	printf("\n");
	if (got != want)
		printf("# got %s (%d), wanted %s\n", err_name(got), got,
		       err_name(want));
	fflush(stdout);
	return got == want;
}

void note(const char *fmt, ...)
{
	va_list args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int done(void)
{
	printf("1..%d\n", tests);
	return failed ? 1 : 0;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int rounds(int all)
{
	const char *small = getenv("NEXUS_SHORT");

	return small && *small ? (all + 2) / 3 : all;
}

int cpu_only(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* ---- operations ---------------------------------------------------------- */

pid_t op_start(op_fn fn, const char *path)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(-fn(path));
	return pid;
}

int op_wait(pid_t pid, double seconds)
{
	double end = now() + seconds;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now() > end) {
			kill(pid, SIGKILL);
			end = now() + 2;
			while (!waitpid(pid, &status, WNOHANG)) {
				if (now() > end) {
					note("process %d cannot be killed", pid);
					break;
				}
				usleep(10000);
			}
			return HANGS;
		}
		usleep(2000);
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int op_run(op_fn fn, const char *path)
{
	return op_wait(op_start(fn, path), 10);
}

int op_lstat(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -errno : 0;
}

int op_list(const char *path)
{
	DIR *dir = opendir(path);
	int err;

	if (!dir)
		return -errno;
	errno = 0;
	while (readdir(dir))
		errno = 0;
	err = -errno;
	closedir(dir);
	return err;
}

int op_readlink(const char *path)
{
	char buf[4096];

	return readlink(path, buf, sizeof(buf)) < 0 ? -errno : 0;
}

int op_read(const char *path)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (read(fd, buf, sizeof(buf)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int op_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int op_fsync(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, path, strlen(path)) < 0 || fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int op_chmod(const char *path)
{
	return chmod(path, 0600) ? -errno : 0;
}

int op_umount(const char *path)
{
	return umount(path) ? -errno : 0;
}

static int op_mount_why(const char *path)
{
	int fs = syscall(SYS_fsopen, "nexusfs", FSOPEN_CLOEXEC), err = 0;
	ssize_t n;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source",
		    SESSION ":" ZONE, 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err = -errno;
	n = read(fs, ctl->why, sizeof(ctl->why) - 1);
	ctl->why[n > 0 ? n : 0] = '\0';
	close(fs);
	return err;
}

int fake_mount_why(void)
{
	return op_run(op_mount_why, ctl->mnt);
}
