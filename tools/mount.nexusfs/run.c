// SPDX-License-Identifier: Apache-2.0
/* Runs a program and keeps what it had to complain about. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mount.h"

#define SYSTEM_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The last line of a text. */
static void last_line(char *text)
{
	size_t len = strlen(text);
	char *line;

	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	line = strrchr(text, '\n');
	if (line)
		memmove(text, line + 1, strlen(line + 1) + 1);
}

/* Read to the end of the file and keep its last line. */
static void read_tail(int fd, char message[MESSAGE_MAX])
{
	char buf[MESSAGE_MAX];
	size_t have = 0, room;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf) / 2)) > 0 ||
	       (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		room = MESSAGE_MAX - 1 - have;
		if ((size_t)n > room) {
			memmove(message, message + n - room,
				have - (n - room));
			have -= n - room;
		}
		memcpy(message + have, buf, n);
		have += n;
	}
	message[have] = '\0';
	last_line(message);
}

int run_program(const char *const argv[], char message[MESSAGE_MAX])
{
	posix_spawn_file_actions_t actions;
	int status = 0, err, fd;
	pid_t pid;

	message[0] = '\0';
	if (setenv("PATH", SYSTEM_PATH, 1))
		return -errno;
	/* A file, not a pipe: a daemon's copy of it keeps nobody waiting. */
	fd = open("/run", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fd, 2);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv,
			   environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err) {
		close(fd);
		return err == ENOENT ? 127 : -err;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (lseek(fd, 0, SEEK_SET) == 0)
		read_tail(fd, message);
	close(fd);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return 128 + WTERMSIG(status);
}
