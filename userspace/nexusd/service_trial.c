// SPDX-License-Identifier: Apache-2.0
/*
 * A service is tried before it is loaded: a process of its own maps the object,
 * runs service_init and service_cleanup, and tells how it went.  What crashes,
 * forks or hangs there does it there.  It is a new program, not a fork of the
 * helper: that has threads and locks, and is no place to begin with.
 *
 * The process writes lines: "@WHAT" before each step, "!ERRNO TEXT" for an
 * error, "." when all went well.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service.h"
#include "service_object.h"

#define OBJECT_FD	3
#define WORDS_MAX	16

/* ---- in the process ---------------------------------------------------------------- */

static bool forked;
static bool in_service;
static int report = STDOUT_FILENO;

static void on_fork(void)
{
	forked = in_service;
}

static void on_child(void)
{
	if (in_service)
		_exit(0);
}

static void say(const char *fmt, ...)
{
	char line[600];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0 && write(report, line, (size_t)n < sizeof(line) ? (size_t)n :
			   sizeof(line) - 1) < 0)
		_exit(1);
}

static void no_log(struct nexus_service *me, enum nexus_service_level level, const char *line)
{
	(void)me;
	(void)level;
	(void)line;
}

static int no_get(struct nexus_service *me, const char *protocol, struct nexus_ref **ref)
{
	(void)me;
	(void)protocol;
	(void)ref;
	return -EAGAIN;
}

static void no_put(struct nexus_ref *ref)
{
	(void)ref;
}

static int no_call(struct nexus_ref *ref, const char *op_name, size_t op_offset, void *args,
		   uint32_t timeout_ms)
{
	(void)ref;
	(void)op_name;
	(void)op_offset;
	(void)args;
	(void)timeout_ms;
	return -EAGAIN;
}

static int no_state_dir(struct nexus_service *me)
{
	(void)me;
	return -EAGAIN;
}

static int no_setting(struct nexus_service *me, const char *name, uint64_t *value)
{
	(void)me;
	(void)name;
	(void)value;
	return -ENOENT;
}

static int no_records(struct nexus_service *me, struct nexus_records **records)
{
	(void)me;
	(void)records;
	return -EAGAIN;
}

static int no_cache(struct nexus_service *me, struct nexus_cache **cache)
{
	(void)me;
	(void)cache;
	return -EAGAIN;
}

static int no_front(struct nexus_service *me, const struct nexus_front **front)
{
	(void)me;
	(void)front;
	return -EAGAIN;
}

static const struct nexus_service_host trial_host = {
	.abi = NEXUS_SERVICE_ABI,
	.trial = true,
	.log = no_log,
	.get = no_get,
	.put = no_put,
	.args_new = service_args_new,
	.args_more = service_args_more,
	.args_free = service_args_free,
	.call = no_call,
	.state_dir = no_state_dir,
	.setting = no_setting,
	.records = no_records,
	.cache = no_cache,
	.front = no_front,
};

static int try_it(struct object *o, const char *name, struct errline *err)
{
	void *self = NULL;
	int ret;

	say("@its constructors\n");
	in_service = true;
	ret = object_map(o, name, err);
	if (!ret && !forked) {
		say("@service_init\n");
		ret = o->desc->service_init(&trial_host, (struct nexus_service *)&self, &self);
		if (ret)
			ret = err_set(err, ret < 0 ? ret : -EIO, "service %s: service_init failed: %s",
				      name, ret < 0 ? strerror(-ret) : "no errno");
		else if (!forked) {
			say("@service_cleanup\n");
			o->desc->service_cleanup(self);
		}
	}
	in_service = false;
	if (!forked)
		return ret;
	return err_set(err, -EPERM, "service %s forked when it was tried; services may not", name);
}

int service_trial_main(int argc, char **argv)
{
	struct object o = { .fd = OBJECT_FD };
	struct rlimit none = { 0, 0 };
	struct errline err = { "" };
	char buf[128];
	int ret, null;

	if (argc != 1 || !service_name_ok(argv[0]))
		return 2;
	/* What the object itself prints is no report; it will print it again in the helper. */
	report = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, OBJECT_FD + 1);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (report < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
		return 1;
	close(null);
	setrlimit(RLIMIT_CORE, &none);
	fcntl(OBJECT_FD, F_SETFD, FD_CLOEXEC);
	pthread_atfork(on_fork, NULL, on_child);
	ret = try_it(&o, argv[0], &err);
	if (ret)
		say("!%d %s\n", -ret, err_text(&err, ret, buf, sizeof(buf)));
	else
		say(".\n");
	/* Not by exit(): what the object left there is not our matter. */
	_exit(0);
}

/* ---- in the helper ------------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int begin(char *const *argv, const struct object *o, const char *name, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char *words[WORDS_MAX + 2];
	sigset_t none, all;
	size_t n;
	int ret;

	for (n = 0; argv[n] && n < WORDS_MAX; n++)
		words[n] = argv[n];
	words[n++] = (char *)name;
	words[n] = NULL;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, o->fd, OBJECT_FD);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF);
	ret = -posix_spawn(pid, argv[0], &files, &attr, words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return ret;
}

/* Until the process is over; false: it takes too long.  What it says is kept. */
static bool listen_to(int in, int pidfd, char *said, size_t room, uint32_t timeout_ms)
{
	int64_t until = now_ms() + timeout_ms, left;
	struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = in, .events = POLLIN } };
	bool over = false;
	size_t len = 0;
	ssize_t n;

	while (!over) {
		left = until - now_ms();
		if (left <= 0)
			break;
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			break;
		over = fds[0].revents;
		/* After its end there is no more to come; others may hold the pipe. */
		while (len < room - 1 && (n = read(in, said + len, room - 1 - len)) > 0)
			len += (size_t)n;
		if (len == room - 1 || (fds[1].revents & (POLLHUP | POLLERR)))
			fds[1].fd = -1;
	}
	said[len] = '\0';
	return over;
}

/* What it said last, and how it ended, as an error; 0 when all went well. */
static int judge(char *said, const char *name, bool over, int status, uint32_t timeout_ms,
		 struct errline *err)
{
	const char *step = "its start";
	char *line, *save = NULL, *text;
	long number;

	for (line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '@')
			step = line + 1;
		if (line[0] == '.' && over)
			return 0;
		if (line[0] != '!' || !over)
			continue;
		number = strtol(line + 1, &text, 10);
		return err_set(err, number > 0 && number < 4096 ? (int)-number : -EIO, "%s",
			       *text == ' ' ? text + 1 : text);
	}
	if (!over)
		return err_set(err, -ETIMEDOUT, "service %s: %s did not return within %u ms when it was tried",
			       name, step, timeout_ms);
	if (WIFSIGNALED(status))
		return err_set(err, -ECONNABORTED, "service %s crashed in %s when it was tried: %s",
			       name, step, strsignal(WTERMSIG(status)));
	return err_set(err, -ECONNABORTED, "service %s ended the process in %s when it was tried (status %d)",
		       name, step, WEXITSTATUS(status));
}

int service_trial(char *const *argv, const struct object *o, const char *name,
		  uint32_t timeout_ms, struct errline *err)
{
	int pipefd[2], pidfd = -1, status = 0, ret;
	bool over = false;
	char said[2048];
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	ret = begin(argv, o, name, pipefd[1], &pid);
	close(pipefd[1]);
	if (ret) {
		close(pipefd[0]);
		return err_set(err, ret, "service %s cannot be tried: %s: %s", name, argv[0],
			       strerror(-ret));
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		ret = err_set(err, -errno, "service %s cannot be tried: %s", name, strerror(errno));
	else
		over = listen_to(pipefd[0], pidfd, said, sizeof(said), timeout_ms);
	/* It, and whatever it left behind. */
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	close(pipefd[0]);
	return ret ? ret : judge(said, name, over, status, timeout_ms, err);
}
