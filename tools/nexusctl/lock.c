// SPDX-License-Identifier: Apache-2.0
/* nexusctl lock: a command with a path locked, or who is in the way. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nexus/lock.h>

#include "nexusctl.h"

_Static_assert(NEXUS_LOCK_FOREVER == INT64_MAX, "as parse_timeout() says");

static int failed(const char *path, int err)
{
	fprintf(stderr, "nexusctl: %s: %s\n", path,
		err == -ENOTTY ? "no file or directory on nexusfs" :
		err == -EAGAIN || err == -ETIMEDOUT ? "is locked by others" :
		strerror(-err));
	return EXIT_FAILED;
}

static const char *mode_name(enum nexus_lock_mode mode)
{
	static const char *const names[] = { "none", "shared", "exclusive" };

	return names[mode <= NEXUS_LOCK_EXCLUSIVE ? mode : NEXUS_LOCK_NONE];
}

static const char *place_name(enum nexus_lock_place place)
{
	static const char *const names[] = { "free", "here", "above", "below", "queue" };

	return names[place <= NEXUS_LOCK_QUEUE ? place : NEXUS_LOCK_FREE];
}

static int show(const struct ctl *ctl, int fd, enum nexus_lock_mode mode)
{
	struct json json = { .out = stdout };
	struct nexus_lock_info info;
	int err = nexus_lock_get(fd, mode, &info);

	if (err)
		return failed(ctl->args[0], err);
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "place", place_name(info.place));
		json_string(&json, "mode", mode_name(info.other));
		json_number(&json, "pid", (uint64_t)info.pid);
		json_number(&json, "inode", info.ino);
		json_close(&json, '}');
	} else if (info.place == NEXUS_LOCK_FREE) {
		puts("free");
	} else {
		printf("%s: %s, process %d, inode %" PRIu64 "\n", place_name(info.place),
		       mode_name(info.other), (int)info.pid, info.ino);
	}
	return EXIT_OK;
}

/* The child has the descriptor, too: what outlives the command keeps the lock. */
static int run(char **command)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execvp(command[0], command);
		fprintf(stderr, "nexusctl: %s: %s\n", command[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			pid = -1;
	if (pid < 0) {
		perror("nexusctl: fork");
		return EXIT_FAILED;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cmd_lock(struct ctl *ctl)
{
	enum nexus_lock_mode mode = ctl->shared ? NEXUS_LOCK_SHARED : NEXUS_LOCK_EXCLUSIVE;
	const char *path = ctl->args[0];
	int64_t ms;
	int fd, err, ret;

	if (ctl->shared && ctl->exclusive) {
		fputs("nexusctl: only one of --shared and --exclusive; see: nexusctl help\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (!parse_timeout(ctl->timeout, &ms)) {
		fprintf(stderr, "nexusctl: --timeout: 0 to 2147483 seconds, not %s; see: nexusctl help\n",
			ctl->timeout);
		return EXIT_USAGE;
	}
	fd = open_plain(path, O_RDONLY);
	if (fd < 0)
		return failed(path, fd);
	if (ctl->n_args == 1) {
		ret = show(ctl, fd, mode);
	} else {
		err = nexus_lock(fd, mode, ms);
		ret = err ? failed(path, err) : run(ctl->args + 1);
	}
	close(fd);
	return ret;
}
