/* SPDX-License-Identifier: Apache-2.0 */
/* A server on loopback that answers what a test tells it to. */
#ifndef CREDS_SERVER_H
#define CREDS_SERVER_H

#include <stdbool.h>

struct creds_server;

struct creds_server *creds_server_start(void);
void creds_server_stop(struct creds_server *server);
int creds_server_port(const struct creds_server *server);

/**
 * creds_server_answer() - what requests that begin with @request get from now on
 *
 * @request: "GET /path "; a later one of the same text takes its place
 * @answer: the whole of it, status line and all; "": the connection ends;
 *	NULL: nothing ever comes.  Is to live on.
 *
 * What nobody gave an answer for gets a 404.
 */
void creds_server_answer(struct creds_server *server, const char *request, const char *answer);

/** creds_server_count() - requests so far that have @text somewhere in them */
unsigned int creds_server_count(struct creds_server *server, const char *text);
/** creds_server_wait() - until there have been @n such */
void creds_server_wait(struct creds_server *server, const char *text, unsigned int n);

#endif /* CREDS_SERVER_H */
