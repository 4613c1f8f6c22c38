/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Redis server of Debian's package for a test: in a folder of its own below /tmp,
 * on a Unix socket there and nowhere else.
 */
#ifndef NEXUS_TEST_REDIS_SERVER_H
#define NEXUS_TEST_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes the folder and starts it; false, with a line why, when there is none. */
bool redis_server_make(void);
/* Stops it, and removes all of it. */
void redis_server_remove(void);
void redis_server_start(void);
/* As if the power were gone. */
void redis_server_kill(void);
pid_t redis_server_pid(void);
/* "socket=..." */
const char *redis_server_at(void);
const char *redis_server_dir(void);
/* A command of words with one blank between them, as an administrator; must be done. */
long long redis_server_do(const char *words);

#endif /* NEXUS_TEST_REDIS_SERVER_H */
