/* SPDX-License-Identifier: Apache-2.0 */
/* A registry behind a control socket, and clients of it in raw bytes. */
#ifndef NEXUSD_SERVICE_CALLER_H
#define NEXUSD_SERVICE_CALLER_H

#include "harness.h"
#include "service-world.h"

#define TEST	"test.rpc.v1.Test"
#define ECHO	"nexus.echo.v1.Echo"

extern struct harness *h;
extern const char *world_group;		/* of begin_with() */
extern void (*world_ending)(void);	/* what end() does first; NULL: nothing more */

/* A world with a server in front; 0 and NULL: as they are by default. */
void begin_with(uint32_t service_timeout_ms, unsigned int frame_timeout_ms, const char *group);
void begin(void);
void end(void);
void load_rpc(void);
void load_echo(void);

/* A unary call; its code, *@text gets the payload or the message, or is NULL. */
int call_on(int fd, const char *service, const char *method, const void *req, size_t len,
	    char *text, size_t room);
/* The same of svc-rpc.c, on a connection of its own. */
int call(const char *method, char *text, size_t room);
void assert_has(const char *text, const char *words);
/* One of the numbers svc-rpc.c has counted. */
int count(const char *name);
/* Until it has counted so many; it is told by the other end's going. */
void await_count(const char *name, int want);
size_t echo_request(char *out, const char *text);
void stream_begin(int fd, uint32_t id, uint8_t flags, const char *method);
void repeat_begin(int fd, uint32_t id, const char *text, uint32_t n);
/* The next frame, its body into @body of 8 KiB. */
struct frame_header next_frame(int fd, uint8_t *body);
/* The next frame must be a response with this code; words of its message. */
void expect_error(int fd, uint32_t id, int code, const char *words);
/* It must be the good end of a stream. */
void expect_end(int fd, uint32_t id);

#define TEST_IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif /* NEXUSD_SERVICE_CALLER_H */
