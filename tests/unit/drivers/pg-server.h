/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL server of Debian's package for a test: in a folder of its own below
 * /tmp, on a Unix socket there and, unless it is asked to, nowhere else; run as user
 * postgres by root.
 */
#ifndef NEXUS_TEST_PG_SERVER_H
#define NEXUS_TEST_PG_SERVER_H

#include <stdbool.h>
#include <stddef.h>

/* Makes a cluster and starts it; false, with a line why, when there is none. */
bool pg_server_make(void);
/* Stops it, and removes all of it. */
void pg_server_remove(void);
void pg_server_start(void);
void pg_server_stop(void);
/* Until it is there again, when one of its processes was killed. */
void pg_server_again(void);
/*
 * Starts it anew, from now on also on 127.0.0.1 by TLS, and only so there; the port.  Its
 * certificate is for PG_SERVER_NAME, of the authority ours.crt; others.crt is of one
 * that has to do with nothing.  Both are in the folder of the socket.
 */
#define PG_SERVER_NAME	"db.nexus.test"
unsigned int pg_server_tls(void);
/* "host=... user=nexus dbname=postgres" */
const char *pg_server_at(void);
/* The folder of the socket. */
const char *pg_server_host(void);
/* Statements of an administrator. */
void pg_server_do(const char *sql);

#endif /* NEXUS_TEST_PG_SERVER_H */
