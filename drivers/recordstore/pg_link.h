/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a PostgreSQL server on which nothing waits for ever. */
#ifndef NEXUS_RECORDSTORE_PG_LINK_H
#define NEXUS_RECORDSTORE_PG_LINK_H

#include <libpq-fe.h>

#include "drivers/recordstore/common.h"

/**
 * pg_connect() - connect, and set the session up
 * @options: of the store
 * @fault: the words; what is in @options.at is never among them
 * @conn: set on success; for PQfinish()
 */
int pg_connect(const struct nexus_record_options *options, struct nexus_record_fault *fault,
	       PGconn **conn);

/**
 * pg_next() - the next result of what was sent
 * @conn: the connection; nobody may use it after -ENOTCONN
 * @ms: how long to wait for it; 0: for ever
 * @fault: the words
 * @result: NULL: there is no other
 *
 * Return: 0; -ENOTCONN; -ETIMEDOUT: likewise, but the server was silent; -ESTALE: a
 * prepared statement has to be prepared anew; or another error, of which
 * @result is: there may be more.
 */
int pg_next(PGconn *conn, uint32_t ms, struct nexus_record_fault *fault, PGresult **result);

/**
 * pg_finish() - all that is left of what was sent; @conn is free for another then
 * @last: the last result that is no error, or NULL; for PQclear().  May be NULL
 *
 * Return: 0, or the first error.
 */
int pg_finish(PGconn *conn, uint32_t ms, struct nexus_record_fault *fault, PGresult **last);

/** pg_sent() - what PQsend...() returned, as an errno */
int pg_sent(PGconn *conn, int sent, struct nexus_record_fault *fault);

/** pg_command() - run a statement without parameters; *@status is what it did, or "" */
int pg_command(PGconn *conn, const char *sql, uint32_t ms, struct nexus_record_fault *fault,
	       char status[16]);

/** pg_lost() - whether the connection is of no use any more */
bool pg_lost(const PGconn *conn);

#endif /* NEXUS_RECORDSTORE_PG_LINK_H */
