/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of services, a registry of it, and somebody who calls. */
#ifndef NEXUSD_SERVICE_WORLD_H
#define NEXUSD_SERVICE_WORLD_H

#include <stdbool.h>

#include "service.h"
#include "util.h"

#define TRY_WORD	"--try-service"

extern struct registry *reg;
extern struct registry_opts reg_opts;
/* What world_begin() gives to it, if a test sets it before. */
extern struct cachestore *world_cache;
extern struct errline reg_err;		/* of the last load, unload or swap */
extern struct recordstore *world_records;	/* that registries have; NULL: none */

int world_setup(void **state);		/* makes the folder; no registry */
int world_teardown(void **state);	/* ends the registry, if there is one */
/* Without the trial, unless @trial; @timeout_ms 0: so long that nobody meets it. */
void world_begin(bool trial, uint32_t timeout_ms);
void world_end(void);

/* An object of tests/unit/nexusd/services as NAME.so. */
void put_object(const char *object, const char *name);
/* Any other file. */
void put_file(const char *from, const char *name);
void object_path(char *path, size_t room, const char *name);

int load(const char *name);
int load_all(const char *const *names, size_t n);
int unload(const char *name);
int swap(const char *name);
/* The line of the last error has these words. */
void assert_said(const char *words);

/* How many objects of services /proc/self/maps has. */
unsigned int mapped(void);
/* Waits for a call that has overrun to come back and its object to go: @left are there. */
void wait_unmapped(unsigned int left);
/* Of a service in the list, or 0. */
enum service_state state_of(const char *name, struct service_info *copy);

/* One call of nexus.echo; *@answer has NEXUS_ECHO_MAX bytes, or is NULL. */
int say(struct nexus_ref *ref, const char *text, char *answer, uint32_t timeout_ms);
/* The same with a reference of its own. */
int ask(const char *protocol, const char *text, char *answer);

/* A pipe for what services write of their lives (services/trace.h). */
int trace_begin(int fds[2]);
/* Lines they have written since the last look. */
void assert_traced(int fd, const char *lines);
void trace_end(int fds[2]);

/* For main(): does not return when this is a trial. */
void world_main(int argc, char **argv);

#endif /* NEXUSD_SERVICE_WORLD_H */
