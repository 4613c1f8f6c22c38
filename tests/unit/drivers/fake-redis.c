// SPDX-License-Identifier: Apache-2.0
#include "fake-redis.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define INFO	"$51\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n\r\n\r\n"

static char folder[64], at[96];
static int listener, stop;
static pthread_t thread;
static struct fake_script script;
static char generation[17] = "0000000000000000";

/* Until there is something, or the test ends it: false. */
static bool wait_for(int fd, short events, int ms)
{
	struct pollfd fds[2] = { { .fd = fd, .events = events }, { .fd = stop, .events = POLLIN } };

	while (poll(fds, 2, ms) < 0 && errno == EINTR)
		;
	return !fds[1].revents;
}

static bool say(int fd, const char *data, size_t size)
{
	ssize_t n;

	while (size) {
		if (!wait_for(fd, POLLOUT, -1))
			return false;
		n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return false;
		data += n;
		size -= (size_t)n;
	}
	return true;
}

static void say_script(int fd)
{
	const char *mark = script.size ? memmem(script.say, script.size, "{g}", 3) : NULL;
	size_t head = mark ? (size_t)(mark - script.say) : script.size;
	char c;

	if (!say(fd, script.say, head))
		return;
	if (mark && (!say(fd, generation, 16) || !say(fd, mark + 3, script.size - head - 3)))
		return;
	while (script.end == FAKE_FLOOD && say(fd, script.say, script.size))
		;
	while (script.end == FAKE_DRIP && wait_for(fd, 0, 5) && say(fd, script.say, 1))
		;
	while (script.end == FAKE_SILENT && wait_for(fd, POLLIN, -1) && recv(fd, &c, 1, 0) > 0)
		;
}

/* So many commands, of which the driver sends one at a time while it connects. */
static bool serve_good(int fd, unsigned int good)
{
	const char *set;
	char buf[4096];
	ssize_t size;

	while (good--) {
		size = wait_for(fd, POLLIN, -1) ? recv(fd, buf, sizeof(buf), 0) : 0;
		if (size <= 0)
			return false;
		set = memmem(buf, (size_t)size, "nexus:generation\r\n$16\r\n", 23);
		if (set && size - (set - buf) >= 23 + 16)
			memcpy(generation, set + 23, 16);
		if (memmem(buf, (size_t)size, "INFO", 4))
			say(fd, INFO, sizeof(INFO) - 1);
		else
			say(fd, "+OK\r\n", 5);
	}
	return true;
}

static void serve(int fd, unsigned int good)
{
	char buf[4096];

	if (serve_good(fd, good) && wait_for(fd, POLLIN, -1) && recv(fd, buf, sizeof(buf), 0) > 0)
		say_script(fd);
}

static void *fake(void *arg)
{
	int fd, first = -1;

	(void)arg;
	while (wait_for(listener, POLLIN, -1)) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		/* Kept, and idle from there on, when the next is what it is about. */
		if (script.next && first < 0) {
			first = fd;
			serve_good(fd, script.good);
			continue;
		}
		serve(fd, script.next ? script.next : script.good);
		close(fd);
	}
	if (first >= 0)
		close(first);
	return NULL;
}

const char *fake_redis_begin(const struct fake_script *what)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	script = *what;
	strcpy(folder, "/tmp/cache-fake.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", folder);
	snprintf(at, sizeof(at), "socket=%s/sock", folder);
	stop = eventfd(0, EFD_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(stop >= 0 && listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(pthread_create(&thread, NULL, fake, NULL), 0);
	return at;
}

void fake_redis_end(void)
{
	uint64_t one = 1;
	char path[80];

	assert_int_equal(write(stop, &one, sizeof(one)), sizeof(one));
	pthread_join(thread, NULL);
	close(listener);
	close(stop);
	snprintf(path, sizeof(path), "%s/sock", folder);
	unlink(path);
	rmdir(folder);
}
