// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: a server that runs as long as the tests, and what only a server can do. */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pg-server.h"
#include "record-world.h"

int world_begin(void)
{
	return pg_server_make() ? 0 : 1;
}

void world_end(void)
{
	pg_server_remove();
}

const char *world_fresh(void)
{
	pg_server_do("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	return pg_server_at();
}

void world_forget(void)
{
}

/* ---- opening ---------------------------------------------------------------------- */

static int try_for(const char *at, uint32_t reply_ms)
{
	const struct nexus_record_options options = { at, false, 1, 100, reply_ms };
	struct nexus_records *records = NULL;
	int ret;

	memset(&fault, 0, sizeof(fault));
	ret = driver->open(&options, &fault, &records);
	if (!ret) {
		driver->close(records);
		return 0;
	}
	assert_int_equal(fault.error, ret);
	assert_true(fault.text[0] != '\0');
	assert_null(strchr(fault.text, '\n'));
	/* All passwords here are of this kind. */
	assert_null(strstr(fault.text, "hunter"));
	return ret;
}

static int try_open(const char *at)
{
	return try_for(at, 600000);
}

static int try_with(const char *more)
{
	char at[256];

	snprintf(at, sizeof(at), "host=%s dbname=postgres %s", pg_server_host(), more);
	return try_open(at);
}

static void password(void **state)
{
	(void)state;
	pg_server_do("DROP ROLE IF EXISTS secret");
	pg_server_do("CREATE ROLE secret LOGIN PASSWORD 'hunter 2'");
	assert_int_equal(try_with("user=secret password='hunter 2'"), 0);
	assert_int_equal(try_with("user=secret password=hunter3"), -EACCES);
	assert_non_null(strstr(fault.text, "password"));
	assert_int_equal(try_with("user=secret"), -EACCES);
	assert_int_equal(try_with("user=nobody-of-this-name password=hunter2"), -EACCES);
	/* A string that is none: where the error is, a password may be. */
	assert_int_equal(try_with("user=secret password=my hunter2"), -EINVAL);
	assert_int_equal(try_open("postgresql://secret:hunter2@[::1/x"), -EINVAL);
	assert_int_equal(try_open("hunter2"), -EINVAL);
}

static void wrong_place(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	char at[128];
	int fd;

	(void)state;
	assert_int_equal(try_open("host=/nonexistent user=nexus dbname=postgres"), -ENOTCONN);
	assert_int_equal(try_with("user=nexus dbname=nothing"), -ENOTCONN);
	assert_non_null(strstr(fault.text, "does not exist"));
	pg_server_do("DROP DATABASE IF EXISTS ascii");
	pg_server_do("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' "
		     "TEMPLATE template0");
	assert_int_equal(try_with("user=nexus dbname=ascii"), -EINVAL);
	assert_non_null(strstr(fault.text, "UTF8"));

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	snprintf(at, sizeof(at), "host=127.0.0.1 port=%u user=nexus password=hunter2 dbname=postgres",
		 ntohs(addr.sin_port));
	assert_int_equal(try_open(at), -ENOTCONN);
	/* One that takes the connection and says nothing. */
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(try_for(at, 300), -ENOTCONN);
	assert_non_null(strstr(fault.text, "does not answer"));
	close(fd);
}

/* ---- a server that goes ------------------------------------------------------------- */

static int exec(struct nexus_records *r, struct nexus_record_tx *tx, const char *sql)
{
	return nexus_record_exec(r, tx, sql, NULL, 0, NULL);
}

/* The process that works for a transaction */
static pid_t backend(struct nexus_records *r, struct nexus_record_tx *tx)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	pid_t pid;

	assert_int_equal(nexus_record_query(r, tx, "SELECT pg_backend_pid()", NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
	pid = (pid_t)row[0].number;
	nexus_record_done(r, rows);
	return pid;
}

static void killed(void **state)
{
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_WRITE);

	assert_int_equal(exec(r, tx, "INSERT INTO later (n) VALUES (1)"), 0);
	assert_int_equal(kill(backend(r, tx), SIGKILL), 0);
	assert_int_equal(exec(r, tx, "INSERT INTO later (n) VALUES (2)"), -ENOTCONN);
	assert_int_equal(fault.error, -ENOTCONN);
	assert_int_equal(exec(r, tx, "INSERT INTO later (n) VALUES (3)"), -ECANCELED);
	assert_int_equal(nexus_record_commit(r, tx), -ECANCELED);
	/* The server ends all its processes, and starts them anew. */
	pg_server_again();
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later"), 0);

	tx = begin(r, NEXUS_RECORD_WRITE);
	assert_int_equal(exec(r, tx, "INSERT INTO later (n) VALUES (1)"), 0);
	assert_int_equal(kill(backend(r, tx), SIGKILL), 0);
	assert_int_equal(nexus_record_commit(r, tx), -ENOTCONN);
	pg_server_again();
	assert_int_equal(once(r, "INSERT INTO later (n) VALUES (4)", NULL, 0), 0);
	assert_int_equal(number(r, "SELECT n FROM later"), 4);
}

static void terminated(void **state)
{
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_READ);
	char sql[64];

	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 60000)", (int)backend(r, tx));
	pg_server_do(sql);
	assert_int_equal(exec(r, tx, "SELECT 1"), -ENOTCONN);
	/* What it said before it went is not lost. */
	if (!strstr(fault.text, "administrator"))
		fail_msg("%s", fault.text);
	nexus_record_rollback(r, tx);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later"), 0);
}

static void restarted(void **state)
{
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx[3];
	size_t i;

	/* All the connections there may be. */
	for (i = 0; i < 3; i++)
		tx[i] = begin(r, NEXUS_RECORD_READ);
	for (i = 0; i < 3; i++)
		nexus_record_rollback(r, tx[i]);
	pg_server_stop();
	pg_server_start();
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later"), 0);

	tx[0] = begin(r, NEXUS_RECORD_WRITE);
	assert_int_equal(exec(r, tx[0], "INSERT INTO later (n) VALUES (1)"), 0);
	pg_server_stop();
	assert_int_equal(nexus_record_commit(r, tx[0]), -ENOTCONN);
	for (i = 0; i < 5; i++) {
		assert_int_equal(nexus_record_begin(r, NEXUS_RECORD_READ, &fault, &tx[0]), -ENOTCONN);
		assert_int_equal(fault.error, -ENOTCONN);
	}
	pg_server_start();
	for (i = 0; i < 3; i++)
		tx[i] = begin(r, NEXUS_RECORD_READ);
	for (i = 0; i < 3; i++)
		nexus_record_rollback(r, tx[i]);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later"), 0);
}

/* A server that hangs holds nobody up for ever: a statement, a begin, an end. */
static void silent(void **state)
{
	const struct nexus_record_options options = { pg_server_at(), false, 1, 100, 2000 };
	struct nexus_records *r = NULL;
	struct nexus_record_tx *tx;
	pid_t pid;

	(void)state;
	assert_int_equal(driver->open(&options, &fault, &r), 0);
	tx = begin(r, NEXUS_RECORD_WRITE);
	pid = backend(r, tx);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(exec(r, tx, "INSERT INTO later (n) VALUES (1)"), -ENOTCONN);
	assert_non_null(strstr(fault.text, "does not answer"));
	nexus_record_rollback(r, tx);
	kill(pid, SIGCONT);

	tx = begin(r, NEXUS_RECORD_WRITE);
	pid = backend(r, tx);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	nexus_record_rollback(r, tx);
	kill(pid, SIGCONT);

	tx = begin(r, NEXUS_RECORD_READ);
	pid = backend(r, tx);
	nexus_record_rollback(r, tx);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(nexus_record_begin(r, NEXUS_RECORD_READ, &fault, &tx), -ENOTCONN);
	kill(pid, SIGCONT);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later"), 0);
	driver->close(r);
}

/* ---- what only PostgreSQL does ----------------------------------------------------------- */

struct crossing {
	struct nexus_records *r;
	pthread_barrier_t *both;
	const char *first, *second;
	struct nexus_record_fault fault;
	int ret;
};

static void *cross(void *arg)
{
	struct crossing *c = arg;
	struct nexus_record_tx *tx = NULL;

	c->ret = nexus_record_begin(c->r, NEXUS_RECORD_WRITE, &c->fault, &tx);
	if (!c->ret)
		c->ret = exec(c->r, tx, c->first);
	pthread_barrier_wait(c->both);
	if (!c->ret)
		c->ret = exec(c->r, tx, c->second);
	if (!c->ret)
		c->ret = nexus_record_commit(c->r, tx);
	else
		nexus_record_rollback(c->r, tx);
	return NULL;
}

static void deadlock(void **state)
{
	/* So patient that only the server can end it. */
	const struct nexus_record_options options = { pg_server_at(), false, 2, 600000, 0 };
	const char *const sql[] = {
		"UPDATE later SET n = n + 10 WHERE n = 1", "UPDATE later SET n = n + 10 WHERE n = 2",
	};
	struct crossing c[2] = { { .first = sql[0], .second = sql[1] },
				 { .first = sql[1], .second = sql[0] } };
	pthread_barrier_t both;
	pthread_t thread[2];
	struct nexus_records *r = NULL;
	size_t i, lost;

	assert_int_equal(once(*state, "CREATE UNIQUE INDEX later_n ON later (n)", NULL, 0), 0);
	assert_int_equal(once(*state, "INSERT INTO later (n) VALUES (1), (2)", NULL, 0), 0);
	assert_int_equal(driver->open(&options, &fault, &r), 0);
	pthread_barrier_init(&both, NULL, 2);
	for (i = 0; i < 2; i++) {
		c[i].r = r;
		c[i].both = &both;
		assert_int_equal(pthread_create(&thread[i], NULL, cross, &c[i]), 0);
	}
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	lost = c[0].ret ? 0 : 1;
	assert_int_equal(c[lost].ret, -EAGAIN);
	assert_non_null(strstr(c[lost].fault.text, "deadlock"));
	assert_true(!c[!lost].ret || c[!lost].ret == -EAGAIN);
	pthread_barrier_destroy(&both);
	driver->close(r);
}

static int look_at_all(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int ret;

	ret = nexus_record_query(r, tx, "SELECT * FROM later", NULL, 0, &rows);
	if (ret)
		return ret;
	ret = nexus_record_next(r, rows, &row, arg);
	nexus_record_done(r, rows);
	return ret < 0 ? ret : 0;
}

/* A table that was changed behind the back of a prepared statement */
static void changed_table(void **state)
{
	struct nexus_records *r = *state;
	size_t columns = 0;

	assert_int_equal(once(r, "INSERT INTO later (n) VALUES (1)", NULL, 0), 0);
	assert_int_equal(nexus_records_run(r, NEXUS_RECORD_READ, look_at_all, &columns, &fault), 0);
	assert_int_equal(columns, 2);
	pg_server_do("ALTER TABLE later ADD COLUMN more BIGINT");
	assert_int_equal(nexus_records_run(r, NEXUS_RECORD_READ, look_at_all, &columns, &fault), 0);
	assert_int_equal(columns, 3);
}

static void types_of_its_own(void **state)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx;

	assert_int_equal(once(r, "INSERT INTO parent (id, name) VALUES (1, 'x')", NULL, 0), -EINVAL);
	tx = begin(r, NEXUS_RECORD_READ);
	assert_int_equal(nexus_record_query(r, tx, "SELECT CAST(1 AS SMALLINT) - 3, "
		"CAST(0.25 AS REAL), CAST('n' AS NAME), 1 = 1, -5", NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
	assert_int_equal(row[0].number, -2);
	assert_true(row[1].type == NEXUS_RECORD_REAL && row[1].real == 0.25);
	assert_string_equal(row[2].data, "n");
	assert_int_equal(row[3].number, 1);
	assert_int_equal(row[4].number, -5);
	nexus_record_done(r, rows);
	/* The rest is read away, and the transaction is over. */
	assert_int_equal(nexus_record_query(r, tx, "SELECT n * 1.5 FROM generate_series(1, 1000) n",
					    NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), -EINVAL);
	assert_non_null(strstr(fault.text, "CAST"));
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_commit(r, tx), -ECANCELED);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later"), 0);
}

/* An error in rows that nobody wanted is told by the commit. */
static void late_error(void **state)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_WRITE);

	assert_int_equal(nexus_record_query(r, tx, "SELECT 1 / (5000 - n) FROM generate_series(1, 6000) n",
					    NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_commit(r, tx), -EINVAL);
	assert_non_null(strstr(fault.text, "zero"));
}

/* Words that are no error go nowhere. */
static void notices(void **state)
{
	char file[] = "/tmp/records-stderr.XXXXXX";
	int fd = mkstemp(file), kept = dup(STDERR_FILENO);
	off_t size;

	assert_true(fd >= 0 && kept >= 0);
	unlink(file);
	dup2(fd, STDERR_FILENO);
	once(*state, "DROP TABLE IF EXISTS no_such_table", NULL, 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
	size = lseek(fd, 0, SEEK_END);
	close(fd);
	assert_int_equal(size, 0);
}

/* ---- by TLS --------------------------------------------------------------------------------- */

static unsigned int tls_port;

static int tls_setup(void **state)
{
	(void)state;
	tls_port = pg_server_tls();
	pg_server_do("DROP ROLE IF EXISTS secret");
	pg_server_do("CREATE ROLE secret LOGIN PASSWORD 'hunter2'");
	return 0;
}

static void tls_string(char at[512], const char *host, const char *mode, const char *authority)
{
	snprintf(at, 512, "host=%s hostaddr=127.0.0.1 port=%u user=secret password=hunter2 "
		 "dbname=postgres sslmode=%s sslrootcert=%s/%s", host, tls_port, mode,
		 pg_server_host(), authority);
}

static int try_tls(const char *host, const char *mode, const char *authority)
{
	char at[512];

	tls_string(at, host, mode, authority);
	return try_open(at);
}

static void said(const char *words)
{
	if (!strstr(fault.text, words))
		fail_msg("\"%s\" is not in: %s", words, fault.text);
}

static void tls_verified(void **state)
{
	struct nexus_records *r;
	char at[512];

	(void)state;
	assert_int_equal(try_tls(PG_SERVER_NAME, "verify-full", "ours.crt"), 0);
	tls_string(at, PG_SERVER_NAME, "verify-full", "ours.crt");
	r = open_at(at, false);
	assert_int_equal(number(r, "SELECT CASE WHEN ssl THEN 1 ELSE 0 END FROM pg_stat_ssl "
				"WHERE pid = pg_backend_pid()"), 1);
	driver->close(r);
}

/* Of an authority nobody named, or for another host: not even the password is sent. */
static void tls_not_verified(void **state)
{
	(void)state;
	assert_int_equal(try_tls(PG_SERVER_NAME, "verify-full", "others.crt"), -ENOTCONN);
	said("certificate verify failed");
	assert_int_equal(try_tls("other.nexus.test", "verify-full", "ours.crt"), -ENOTCONN);
	said("does not match host name");
	/* That it is the name alone which is wrong: */
	assert_int_equal(try_tls("other.nexus.test", "verify-ca", "ours.crt"), 0);
	assert_int_equal(try_tls(PG_SERVER_NAME, "verify-ca", "others.crt"), -ENOTCONN);
	said("certificate verify failed");
	assert_int_equal(try_tls(PG_SERVER_NAME, "verify-full", "none.crt"), -ENOTCONN);
	said("none.crt");
}

static void tls_wanted(void **state)
{
	char at[512];

	(void)state;
	assert_int_equal(try_tls(PG_SERVER_NAME, "disable", "ours.crt"), -EACCES);
	said("pg_hba.conf");
	/* What can be wrong beyond it is told as ever. */
	snprintf(at, sizeof(at), "host=127.0.0.1 port=%u user=secret password=hunter3 dbname=postgres "
		 "sslmode=require", tls_port);
	assert_int_equal(try_open(at), -EACCES);
	said("password authentication failed");
}

int world_own_tests(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, record_setup, record_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(password),
		cmocka_unit_test(wrong_place),
		T(killed),
		T(terminated),
		T(restarted),
		T(silent),
		T(deadlock),
		T(changed_table),
		T(types_of_its_own),
		T(late_error),
		T(notices),
	};
	const struct CMUnitTest by_tls[] = {
		cmocka_unit_test(tls_verified),
		cmocka_unit_test(tls_not_verified),
		cmocka_unit_test(tls_wanted),
	};

	return cmocka_run_group_tests_name("postgres", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("postgres by TLS", by_tls, tls_setup, NULL);
}
