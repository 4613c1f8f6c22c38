// SPDX-License-Identifier: Apache-2.0
#include "drivers/recordstore/pg_link.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/crypto.h>

#define OLDEST		140000	/* client_connection_check_interval */
#define STARTING_MS	50	/* between looks at a server that is not ready yet */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until there is something to read, or room to write; false: not in time. */
static bool wait_socket(const PGconn *conn, short events, int64_t until)
{
	struct pollfd fd = { .fd = PQsocket(conn), .events = events };
	int64_t left = until ? until - now_ms() : -1;
	int ret;

	if (until && left < 0)
		left = 0;
	do {
		ret = poll(&fd, 1, (int)left);
	} while (ret < 0 && errno == EINTR);
	return ret > 0;
}

/* ---- errors ------------------------------------------------------------------------ */

/* The five characters of a SQLSTATE; their first two are the class. */
static int state_errno(const char *state)
{
	static const struct {
		const char *state;
		int error;
	} known[] = {
		{ "08P01", -EINVAL },	/* not as many parameters as it has */
		{ "08", -ENOTCONN },
		{ "23505", -EEXIST },
		{ "23", -EDOM },
		{ "25006", -EROFS },
		{ "25P02", -ECANCELED },
		{ "28", -EACCES },
		{ "42501", -EACCES },
		{ "3D000", -ENOTCONN },	/* no such database */
		{ "40003", -ENOTCONN },	/* nobody knows whether it was done */
		{ "40", -EAGAIN },
		{ "55P03", -EAGAIN },	/* lock_timeout */
		{ "55006", -EAGAIN },	/* object in use */
		{ "53100", -ENOSPC },
		{ "53200", -ENOMEM },
		{ "53300", -EAGAIN },	/* too many connections */
		{ "57014", -EAGAIN },	/* cancelled by an administrator, or a timeout of his */
		{ "57P", -ENOTCONN },	/* the server stops, crashed, or starts */
		{ "XX001", -EUCLEAN },
		{ "XX002", -EUCLEAN },
		{ "0A", -EINVAL },
		{ "21", -EINVAL },
		{ "22", -EINVAL },
		{ "42", -EINVAL },
		{ "54", -EINVAL },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(state, known[i].state, strlen(known[i].state)))
			return known[i].error;
	return -EIO;
}

/* Without the details, which have values of rows in them. */
static int result_fail(const PGresult *result, struct nexus_record_fault *fault)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	int error;

	/* An error of the library's own: the connection broke. */
	if (!state)
		return record_fail(fault, -ENOTCONN, "the server has closed the connection");
	/* The plan is of a table that was changed since; it is made anew. */
	error = !strcmp(state, "0A000") && words && strstr(words, "cached plan") ? -ESTALE :
		state_errno(state);
	return record_fail(fault, error, words ? words : state);
}

/*
 * Errors while connecting have no fields, but in their verbose form
 * "FATAL:  28P01: the words", and a line for each address.
 */
static int connect_fail(PGconn *conn, struct nexus_record_fault *fault, bool *starting)
{
	const char *text = PQerrorMessage(conn), *at;
	char words[NEXUS_RECORD_FAULT_MAX];
	int i;

	*starting = false;
	for (at = text; (at = strstr(at, ":  ")); at++) {
		for (i = 3; i < 8 && (isupper((unsigned char)at[i]) || isdigit((unsigned char)at[i])); i++)
			;
		if (i != 8 || at[8] != ':')
			continue;
		*starting = !strncmp(at + 3, "57P03", 5);
		snprintf(words, sizeof(words), "%.*s", (int)strcspn(at + 10, "\n"), at + 10);
		return record_fail(fault, state_errno(at + 3), words);
	}
	if (PQconnectionNeedsPassword(conn))
		return record_fail(fault, -EACCES, "the server wants a password, and there is none");
	snprintf(words, sizeof(words), "%.*s", (int)strcspn(text, "\n"), text);
	return record_fail(fault, -ENOTCONN, words[0] ? words : "the server cannot be reached");
}

/* ---- results ------------------------------------------------------------------------- */

bool pg_lost(const PGconn *conn)
{
	return PQstatus(conn) != CONNECTION_OK;
}

static int broken(struct nexus_record_fault *fault)
{
	return record_fail(fault, -ENOTCONN, "the connection to the server is broken");
}

/* Its answer may still come: whoever used it again would take it for his own. */
static int too_late(PGconn *conn, struct nexus_record_fault *fault)
{
	shutdown(PQsocket(conn), SHUT_RDWR);
	while (PQconsumeInput(conn) && !pg_lost(conn))
		;
	record_fail(fault, -ENOTCONN, "the server does not answer");
	return -ETIMEDOUT;
}

int pg_next(PGconn *conn, uint32_t ms, struct nexus_record_fault *fault, PGresult **result)
{
	int64_t until = ms ? now_ms() + ms : 0;
	int left;

	*result = NULL;
	for (;;) {
		left = PQflush(conn);
		if (left < 0)
			return broken(fault);
		if (!left && !PQisBusy(conn))
			break;
		if (!wait_socket(conn, left ? POLLIN | POLLOUT : POLLIN, until))
			return too_late(conn, fault);
		/* What the server said before it closed the connection is still read. */
		if (!PQconsumeInput(conn))
			break;
	}
	*result = PQgetResult(conn);
	if (!*result)
		return pg_lost(conn) ? broken(fault) : 0;
	switch (PQresultStatus(*result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		return 0;
	default:
		return result_fail(*result, fault);
	}
}

int pg_finish(PGconn *conn, uint32_t ms, struct nexus_record_fault *fault, PGresult **last)
{
	struct nexus_record_fault later;
	PGresult *result, *kept = NULL;
	int ret = 0, now;

	do {
		now = pg_next(conn, ms, ret ? &later : fault, &result);
		if (now && !ret)
			ret = now;
		if (result && !now) {
			PQclear(kept);
			kept = result;
		} else {
			PQclear(result);
		}
	} while (result && !pg_lost(conn));
	if (last && !ret) {
		*last = kept;
	} else {
		PQclear(kept);
		if (last)
			*last = NULL;
	}
	return ret;
}

int pg_sent(PGconn *conn, int sent, struct nexus_record_fault *fault)
{
	if (sent)
		return 0;
	if (pg_lost(conn))
		return broken(fault);
	return record_fail(fault, -ENOMEM, "no memory to send it");
}

int pg_command(PGconn *conn, const char *sql, uint32_t ms, struct nexus_record_fault *fault,
	       char status[16])
{
	PGresult *last;
	int ret;

	ret = pg_sent(conn, PQsendQuery(conn, sql), fault);
	if (ret)
		return ret;
	ret = pg_finish(conn, ms, fault, &last);
	if (status)
		snprintf(status, 16, "%s", last ? PQcmdStatus(last) : "");
	PQclear(last);
	return ret;
}

/* ---- connecting ------------------------------------------------------------------------ */

static void no_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

static int connect_once(const char *at, int64_t until, struct nexus_record_fault *fault,
			bool *starting, PGconn **out)
{
	/* A later one wins over what stands in the string that "dbname" is. */
	static const char *const keys[] = {
		"dbname", "client_encoding", "fallback_application_name", NULL,
	};
	const char *const values[] = { at, "UTF8", "nexusd", NULL };
	PostgresPollingStatusType step = PGRES_POLLING_WRITING;
	PGconn *conn;
	int ret;

	*starting = false;
	/* Threads of others in this process, gRPC's, may end while it does: see rpc_grpc. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	conn = PQconnectStartParams(keys, values, 1);
	if (!conn)
		return record_fail(fault, -ENOMEM, "no memory");
	PQsetNoticeReceiver(conn, no_notice, NULL);
	PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
	while (PQstatus(conn) != CONNECTION_BAD && step != PGRES_POLLING_OK &&
	       step != PGRES_POLLING_FAILED) {
		if (!wait_socket(conn, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until)) {
			PQfinish(conn);
			return record_fail(fault, -ENOTCONN, "the server does not answer");
		}
		step = PQconnectPoll(conn);
	}
	if (step != PGRES_POLLING_OK || PQsetnonblocking(conn, 1)) {
		ret = connect_fail(conn, fault, starting);
		PQfinish(conn);
		return ret;
	}
	PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
	*out = conn;
	return 0;
}

static int check_server(const PGconn *conn, struct nexus_record_fault *fault)
{
	const char *encoding = PQparameterStatus(conn, "server_encoding");

	if (PQserverVersion(conn) < OLDEST)
		return record_fail(fault, -EINVAL, "the server is older than PostgreSQL 14");
	if (!encoding || strcmp(encoding, "UTF8"))
		return record_fail(fault, -EINVAL, "the encoding of the database is not UTF8");
	return 0;
}

static int set_up(PGconn *conn, const struct nexus_record_options *options,
		  struct nexus_record_fault *fault)
{
	char sql[256];

	/* A lock_timeout of 0 would be none.  Who is gone keeps no server at work. */
	snprintf(sql, sizeof(sql),
		 "SET lock_timeout = %u; SET client_connection_check_interval = 1000; "
		 "SET standard_conforming_strings = on; SET default_transaction_read_only = %s",
		 options->busy_ms ? options->busy_ms : 1, options->read_only ? "on" : "off");
	return pg_command(conn, sql, options->reply_ms, fault, NULL);
}

int pg_connect(const struct nexus_record_options *options, struct nexus_record_fault *fault,
	       PGconn **conn)
{
	int64_t until = options->reply_ms ? now_ms() + options->reply_ms : 0;
	PQconninfoOption *parsed = PQconninfoParse(options->at, NULL);
	bool starting;
	int ret;

	/* The library's words would have a part of it, such as of a password with a blank. */
	if (!parsed)
		return record_fail(fault, -EINVAL, "recordstore_at is no connection string of libpq");
	PQconninfoFree(parsed);
	for (;;) {
		ret = connect_once(options->at, until, fault, &starting, conn);
		if (!starting || (until && now_ms() >= until))
			break;
		poll(NULL, 0, STARTING_MS);
	}
	if (ret)
		return ret;
	ret = check_server(*conn, fault);
	if (!ret)
		ret = set_up(*conn, options, fault);
	if (ret) {
		PQfinish(*conn);
		*conn = NULL;
	}
	return ret == -ETIMEDOUT ? -ENOTCONN : ret;
}
