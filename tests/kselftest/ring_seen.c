// SPDX-License-Identifier: GPL-2.0-only
/* Rings and path locks as others see them: the module's counters, and tracepoints. */
#include "nx_ring.h"

#include <linux/nexusfs.h>

#define TRACING	"/sys/kernel/tracing"

/* ---- counters ----------------------------------------------------------------------- */

static const char *const counter[] = {
	"rings", "rings_freed", "ring_sent", "ring_sent_bytes", "ring_received",
	"ring_received_bytes", "ring_full", "ring_empty",
};

#define COUNTERS	N_ELEMS(counter)

static bool counters(uint64_t v[COUNTERS])
{
	char path[PATH_MAX], line[128];
	size_t i;
	const char *text, *at;

	snprintf(path, sizeof(path), "%s/__sys__/stats", nx_base());
	text = nx_get(path);
	for (i = 0; i < COUNTERS; i++) {
		snprintf(line, sizeof(line), "\n%s ", counter[i]);
		at = strstr(text, line);
		if (!at)
			return false;
		v[i] = strtoull(at + strlen(line), NULL, 10);
	}
	return true;
}

/* How much each has grown since @before must be what is said. */
static void grew(struct __test_metadata *_metadata, const uint64_t before[COUNTERS],
		 const uint64_t by[COUNTERS])
{
	uint64_t now[COUNTERS];
	size_t i;

	ASSERT_TRUE(counters(now));
	for (i = 0; i < COUNTERS; i++) {
		ASSERT_EQ(by[i], now[i] - before[i]) {
			TH_LOG("%s", counter[i]);
		}
	}
}

#define GREW(...)	grew(_metadata, before, (const uint64_t[COUNTERS]){ __VA_ARGS__ })

TEST_F(dir, counters)
{
	struct nexus_ring_batch b;
	uint64_t before[COUNTERS];
	uint32_t lens[3] = { 1, 2, 3 };
	char buf[100] = "";
	int fd[2];

	ASSERT_TRUE(counters(before));
	OK(ring_make("ring", 10));
	GREW(0);
	OK(ring_ends("ring", fd, O_NONBLOCK));
	GREW(1);
	ASSERT_EQ(7, write(fd[1], buf, 7));
	GREW(1, 0, 1, 7);
	FAILS(EAGAIN, write(fd[1], buf, 7));
	GREW(1, 0, 1, 7, 0, 0, 1);
	ASSERT_EQ(7, read(fd[0], buf, sizeof(buf)));
	FAILS(EAGAIN, read(fd[0], buf, sizeof(buf)));
	GREW(1, 0, 1, 7, 1, 7, 1, 1);
	b = (struct nexus_ring_batch){ .buf = (uintptr_t)buf, .lens = (uintptr_t)lens, .count = 3 };
	OK(ioctl(fd[1], NEXUS_IOC_RING_SEND, &b));
	GREW(1, 0, 4, 13, 1, 7, 1, 1);
	/* They stay with a ring that is open no more, and nothing is counted twice. */
	OK(close(fd[0]));
	OK(close(fd[1]));
	GREW(1, 0, 4, 13, 1, 7, 1, 1);
	GET(fd[0], open("ring", O_RDONLY | O_NONBLOCK));
	b = (struct nexus_ring_batch){ .buf = (uintptr_t)buf, .lens = (uintptr_t)lens,
				       .count = 3, .bytes = sizeof(buf) };
	OK(ioctl(fd[0], NEXUS_IOC_RING_RECV, &b));
	ASSERT_EQ(3, b.done);
	GREW(1, 0, 4, 13, 4, 13, 1, 1);
	OK(close(fd[0]));
	GREW(1, 1, 4, 13, 4, 13, 1, 1);
	GET(fd[0], open("ring", O_RDONLY | O_NONBLOCK));
	GREW(2, 1, 4, 13, 4, 13, 1, 1);
	OK(close(fd[0]));
	/* With messages, and with its last name. */
	GET(fd[0], open("ring", O_RDWR | O_NONBLOCK));
	ASSERT_EQ(5, write(fd[0], buf, 5));
	OK(unlink("ring"));
	OK(close(fd[0]));
	GREW(3, 3, 5, 18, 4, 13, 1, 1);
}

/* ---- tracepoints ---------------------------------------------------------------------- */

static int set(const char *file, const char *text)
{
	char path[256];
	int fd, n;

	snprintf(path, sizeof(path), TRACING "/%s", file);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -1;
	n = (int)write(fd, text, strlen(text));
	close(fd);
	return n == (int)strlen(text) ? 0 : -1;
}

static char *trace_text(void)
{
	static char text[1 << 18];
	FILE *f = fopen(TRACING "/trace", "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

static bool on(void)
{
	if (access(TRACING "/trace", R_OK) && mount("tracefs", TRACING, "tracefs", 0, NULL))
		return false;
	return !set("trace", "\n") && !set("tracing_on", "1") &&
	       !set("events/nexusfs/enable", "1");
}

static void off(void)
{
	set("events/nexusfs/enable", "0");
	set("trace", "\n");
}

/* One line of the event, and one only, that says just that. */
static bool told(const char *event, const char *text)
{
	char want[512];
	const char *at;

	snprintf(want, sizeof(want), ": %s: %s\n", event, text);
	at = strstr(trace_text(), want);
	return at && !strstr(at + 1, want);
}

#define TOLD(event, ...)							\
	do {									\
		snprintf(line, sizeof(line), __VA_ARGS__);			\
		ASSERT_TRUE(told(event, line)) {				\
			TH_LOG("no %s %s in %s", event, line, trace_text());	\
			off();							\
		}								\
	} while (0)

static unsigned long long ino_of(const char *name)
{
	struct stat st;

	return stat(name, &st) ? 0 : st.st_ino;
}

static const char *zone_name(void)
{
	const char *name = getenv("NEXUS_TEST_ZONE");

	return name ? name : "root";
}

TEST_F(dir, traced_rings)
{
	uint32_t lens[2] = { 2, 3 };
	char line[256], buf[100] = "", at[64];
	struct nexus_ring_batch b;
	int fd[2];
	pid_t pid;

	if (!on())
		SKIP(return, "no tracepoints");
	OK(ring_make("ring", 10));
	snprintf(at, sizeof(at), "zone %s ino %llu", zone_name(), ino_of("ring"));
	OK(ring_ends("ring", fd, 0));
	ASSERT_EQ(7, write(fd[1], buf, 7));
	TOLD("ring_send", "%s messages 1 bytes 7", at);
	ASSERT_EQ(NULL, strstr(trace_text(), "ring_recv:"));
	ASSERT_EQ(NULL, strstr(trace_text(), "ring_wait:"));
	GET(pid, fork());
	if (!pid) {
		HOLDS(write(fd[1], buf, 6) == 6);
		_exit(0);
	}
	nx_until_asleep(pid);
	TOLD("ring_wait", "%s to send bytes 6", at);
	ASSERT_EQ(7, read(fd[0], buf, sizeof(buf)));
	TOLD("ring_recv", "%s messages 1 bytes 7", at);
	ASSERT_EQ(0, nx_reap());
	TOLD("ring_send", "%s messages 1 bytes 6", at);
	ASSERT_EQ(6, read(fd[0], buf, sizeof(buf)));
	b = (struct nexus_ring_batch){ .buf = (uintptr_t)buf, .lens = (uintptr_t)lens, .count = 2 };
	OK(ioctl(fd[1], NEXUS_IOC_RING_SEND, &b));
	TOLD("ring_send", "%s messages 2 bytes 5", at);
	b = (struct nexus_ring_batch){ .buf = (uintptr_t)buf, .lens = (uintptr_t)lens,
				       .count = 2, .bytes = sizeof(buf) };
	OK(ioctl(fd[0], NEXUS_IOC_RING_RECV, &b));
	TOLD("ring_recv", "%s messages 2 bytes 5", at);
	GET(pid, fork());
	if (!pid) {
		HOLDS(read(fd[0], buf, sizeof(buf)) == 0);
		_exit(0);
	}
	nx_until_asleep(pid);
	TOLD("ring_wait", "%s to receive messages 1", at);
	OK(ioctl(fd[1], NEXUS_IOC_RING_CLOSE));
	TOLD("ring_close", "%s", at);
	ASSERT_EQ(0, nx_reap());
	/* Off is off. */
	off();
	ASSERT_EQ(0, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(NULL, strstr(trace_text(), "ring_"));
}

TEST_F(dir, traced_path_locks)
{
	struct nexus_plock_arg shared = { .mode = NEXUS_PLOCK_SHARED };
	struct nexus_plock_arg only = { .mode = NEXUS_PLOCK_EXCLUSIVE };
	struct nexus_plock_arg wait = { .mode = NEXUS_PLOCK_EXCLUSIVE, .timeout_ms = 200000 };
	char line[256], at[64];
	int fd[2];
	pid_t pid;

	if (!on())
		SKIP(return, "no tracepoints");
	GET(fd[0], open("file", O_RDWR | O_CREAT, 0600));
	GET(fd[1], open("file", O_RDWR));
	snprintf(at, sizeof(at), "zone %s ino %llu", zone_name(), ino_of("file"));
	OK(ioctl(fd[0], NEXUS_IOC_PLOCK_LOCK, &shared));
	TOLD("plock_granted", "%s shared", at);
	FAILS(EAGAIN, ioctl(fd[1], NEXUS_IOC_PLOCK_LOCK, &only));
	TOLD("plock_refused", "%s exclusive error -11", at);
	GET(pid, fork());
	if (!pid) {
		HOLDS(!ioctl(fd[1], NEXUS_IOC_PLOCK_LOCK, &wait));
		_exit(0);
	}
	nx_until_asleep(pid);
	TOLD("plock_wait", "%s exclusive", at);
	ASSERT_EQ(NULL, strstr(trace_text(), "plock_released:"));
	OK(ioctl(fd[0], NEXUS_IOC_PLOCK_UNLOCK, 0));
	TOLD("plock_released", "%s", at);
	ASSERT_EQ(0, nx_reap());
	TOLD("plock_granted", "%s exclusive", at);
	/* So does the end of who has it; of one that has none there is nothing to tell. */
	OK(set("trace", "\n"));
	OK(close(fd[0]));
	ASSERT_EQ(NULL, strstr(trace_text(), "plock_released:"));
	OK(close(fd[1]));
	TOLD("plock_released", "%s", at);
	off();
}

TEST_HARNESS_MAIN
