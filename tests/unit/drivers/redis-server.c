// SPDX-License-Identifier: Apache-2.0
#include "redis-server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>

#define READY_TRIES	6000	/* of 10 ms: for a machine that is busy with others */

static char folder[64], path[80], at[96];
static pid_t server;

const char *redis_server_at(void)
{
	return at;
}

const char *redis_server_dir(void)
{
	return folder;
}

pid_t redis_server_pid(void)
{
	return server;
}

/* NULL: not there, or not ready yet */
static redisContext *connect_to(void)
{
	redisContext *c = redisConnectUnix(path);
	redisReply *reply;
	bool ready;

	assert_non_null(c);
	reply = c->err ? NULL : redisCommand(c, "PING");
	ready = reply && reply->type == REDIS_REPLY_STATUS;
	freeReplyObject(reply);
	if (ready)
		return c;
	redisFree(c);
	return NULL;
}

void redis_server_start(void)
{
	const char *const argv[] = {
		"setpriv", "--pdeathsig=KILL", "redis-server", "--port", "0", "--unixsocket", path,
		"--dir", folder, "--save", "", "--daemonize", "no", "--logfile", "log", NULL,
	};
	posix_spawn_file_actions_t files;
	redisContext *c = NULL;
	int i;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	assert_int_equal(posix_spawnp(&server, argv[0], &files, NULL, (char *const *)argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	for (i = 0; !c && i < READY_TRIES; i++) {
		c = connect_to();
		if (!c)
			poll(NULL, 0, 10);
	}
	if (!c)
		fail_msg("the server does not start");
	redisFree(c);
}

void redis_server_kill(void)
{
	if (!server)
		return;
	kill(server, SIGKILL);
	while (waitpid(server, NULL, 0) < 0 && errno == EINTR)
		;
	server = 0;
}

bool redis_server_make(void)
{
	if (system("command -v redis-server > /dev/null")) {
		fprintf(stderr, "there is no Redis: scripts/deps.sh\n");
		return false;
	}
	strcpy(folder, "/tmp/cache-redis.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	snprintf(at, sizeof(at), "socket=%s", path);
	redis_server_start();
	return true;
}

void redis_server_remove(void)
{
	char command[96];

	redis_server_kill();
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

long long redis_server_do(const char *words)
{
	const char *argv[16];
	char copy[256], *word, *rest = NULL;
	redisContext *c = connect_to();
	redisReply *reply;
	long long n;
	int argc = 0;

	assert_non_null(c);
	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	reply = redisCommandArgv(c, argc, argv, NULL);
	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", words, reply->str);
	n = reply->integer;
	freeReplyObject(reply);
	redisFree(c);
	return n;
}
