// SPDX-License-Identifier: Apache-2.0
#include "pg-server.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <libpq-fe.h>

#define READY_TRIES	6000	/* of 10 ms: for a machine that is busy with others */

static char folder[64], data[96], bin[128], at[160];
static pid_t server;
static unsigned int ready;	/* how often it should have said so */
static unsigned int tls_port;	/* 0: on its socket only */

/* A program of the server's, as whoever may run it; its words go to the log. */
static pid_t begin(const char *program, const char *const *words, size_t n)
{
	static const char *const as_postgres[] = {
		"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
		"--pdeathsig=INT",
	};
	const char *argv[40];
	posix_spawn_file_actions_t files;
	char path[256], log[128];
	size_t i = 0, k;
	pid_t pid = 0;

	if (!geteuid())
		for (; i < 5; i++)
			argv[i] = as_postgres[i];
	snprintf(path, sizeof(path), "%s/%s", bin, program);
	argv[i++] = "env";
	argv[i++] = "-C";
	argv[i++] = "/";
	argv[i++] = path;
	for (k = 0; k < n; k++)
		argv[i++] = words[k];
	argv[i] = NULL;
	snprintf(log, sizeof(log), "%s/log", folder);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log,
					 O_WRONLY | O_CREAT | O_APPEND, 0644);
	posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
	if (posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ))
		pid = 0;
	posix_spawn_file_actions_destroy(&files);
	return pid;
}

static bool end(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

static bool find_programs(void)
{
	glob_t found = { 0 };
	bool ok = false;

	/* The last in the order of names is the newest, until there is a version 100. */
	if (!glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) && found.gl_pathc) {
		snprintf(bin, sizeof(bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
		*strrchr(bin, '/') = '\0';
		ok = true;
	}
	globfree(&found);
	return ok;
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", data, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

bool pg_server_make(void)
{
	const char *const words[] = {
		"-D", data, "-U", "nexus", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
		/* One whose order is not that of bytes, as it is for most people. */
		"--locale-provider=icu", "--icu-locale=en-US",
	};
	struct passwd *pw = geteuid() ? NULL : getpwnam("postgres");
	pid_t pid;

	if (!find_programs() || (!geteuid() && !pw)) {
		fprintf(stderr, "there is no PostgreSQL: scripts/deps.sh\n");
		return false;
	}
	strcpy(folder, "/tmp/records-pg.XXXXXX");
	assert_non_null(mkdtemp(folder));
	if (pw)
		assert_int_equal(chown(folder, pw->pw_uid, pw->pw_gid), 0);
	snprintf(data, sizeof(data), "%s/data", folder);
	snprintf(at, sizeof(at), "host=%s user=nexus dbname=postgres", folder);
	pid = begin("initdb", words, sizeof(words) / sizeof(words[0]));
	assert_true(pid > 0);
	assert_true(end(pid));
	/* One user has to prove who it is. */
	write_file("pg_hba.conf", "local all secret scram-sha-256\nlocal all all trust\n");
	pg_server_start();
	return true;
}

/* How often it has said that it was ready; whether it answers says nothing after a crash. */
static unsigned int times_ready(void)
{
	char path[128], line[512];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", folder);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "ready to accept connections") != NULL;
	fclose(f);
	return n;
}

void pg_server_again(void)
{
	unsigned int i;

	ready++;
	for (i = 0; i < READY_TRIES; i++) {
		if (times_ready() >= ready)
			return;
		usleep(10000);
	}
	fail_msg("the server does not start; see %s/log", folder);
}

void pg_server_start(void)
{
	char port[16];
	const char *const words[] = {
		"-D", data, "-k", folder, "-F", "-c", "shared_buffers=8MB", "-c", "max_connections=40",
		"-c", "deadlock_timeout=20ms", "-c", tls_port ? "listen_addresses=127.0.0.1" : "listen_addresses=",
		"-c", tls_port ? "ssl=on" : "ssl=off", "-p", port,
	};

	snprintf(port, sizeof(port), "%u", tls_port ? tls_port : 5432);
	server = begin("postgres", words, sizeof(words) / sizeof(words[0]));
	assert_true(server > 0);
	pg_server_again();
}

void pg_server_stop(void)
{
	if (server <= 0)
		return;
	kill(server, SIGINT);
	end(server);
	server = 0;
}

/* One that nobody has now. */
static unsigned int free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

/* As the one who runs the server, whose key it has to be. */
static void make_certificates(void)
{
	static const char script[] =
		"cd '%s/data' || exit; exec 2>>../log; "
		"new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
		"-subj /CN=$1 -keyout $1.key -out $1.crt \"${@:2}\"; }; "
		"new ours && new others && "
		"new server -CA ours.crt -CAkey ours.key -addext subjectAltName=DNS:" PG_SERVER_NAME " && "
		"chmod 600 server.key && chown --reference=. server.key && "
		"cp ours.crt others.crt ..";
	char words[sizeof(script) + sizeof(folder)];
	const char *const argv[] = { "bash", "-c", words, NULL };
	pid_t pid;

	snprintf(words, sizeof(words), script, folder);
	assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ), 0);
	assert_true(end(pid));
}

unsigned int pg_server_tls(void)
{
	pg_server_stop();
	make_certificates();
	write_file("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
	tls_port = free_port();
	snprintf(at, sizeof(at), "host=%s port=%u user=nexus dbname=postgres", folder, tls_port);
	pg_server_start();
	return tls_port;
}

void pg_server_remove(void)
{
	const char *const argv[] = { "rm", "-rf", "--", folder, NULL };
	pid_t pid;

	pg_server_stop();
	if (!folder[0])
		return;
	if (!posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ))
		end(pid);
}

const char *pg_server_at(void)
{
	return at;
}

const char *pg_server_host(void)
{
	return folder;
}

static void no_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

void pg_server_do(const char *sql)
{
	PGconn *conn = PQconnectdb(at);
	PGresult *result;

	PQsetNoticeReceiver(conn, no_notice, NULL);
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
	PQfinish(conn);
}
