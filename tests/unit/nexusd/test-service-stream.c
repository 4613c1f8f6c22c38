// SPDX-License-Identifier: Apache-2.0
/*
 * Streams of services over the control socket: to readers that are fast, slow, gone
 * or many, from services that end, break, are swapped and unloaded.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "service-caller.h"
#include "service-feed.h"

static atomic_bool over;
static atomic_uint done, wrong;

static void test_repeat(void **state)
{
	uint8_t body[8192];
	unsigned int i, n = 5000;
	struct frame_header hdr;
	int fd;

	(void)state;
	begin();
	load_echo();
	fd = raw_connect(h);
	repeat_begin(fd, 1, "again", n);
	for (i = 0; i < n; i++) {
		hdr = next_frame(fd, body);
		assert_int_equal(hdr.type, FRAME_DATA);
		assert_int_equal(hdr.flags, 0);
		assert_int_equal(hdr.stream, 1);
		assert_int_equal(hdr.len, 7);
		assert_memory_equal(body, "\x0a\x05" "again", 7);
	}
	expect_end(fd, 1);
	/* None at all, and the same id again. */
	repeat_begin(fd, 1, "", 0);
	expect_end(fd, 1);
	close(fd);
	end();
}

static void test_library(void **state)
{
	(void)state;
	begin();
	load_echo();
	load_rpc();
	feeds_of_library(h->path, await_count);
	end();
}

static void test_breaks(void **state)
{
	struct frame_header hdr;
	uint8_t body[8192];
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Breaks");
	hdr = next_frame(fd, body);
	assert_int_equal(hdr.len, 3);
	assert_memory_equal(body, "one", 3);
	hdr = next_frame(fd, body);
	assert_int_equal(hdr.type, FRAME_DATA);
	assert_int_equal(hdr.len, 0);
	assert_int_equal(hdr.flags, 0);
	expect_error(fd, 1, RPC_RESOURCE_EXHAUSTED, "no more of it");
	await_count("closed", 1);
	assert_int_equal(count("late"), 0);
	close(fd);
	end();
}

/* One that does not read fills its own queue, and nothing else. */
static void test_slow_reader(void **state)
{
	uint8_t body[8192];
	uint32_t got, want;
	unsigned int i;
	int slow, fd;

	(void)state;
	begin();
	load_rpc();
	load_echo();
	slow = raw_connect(h);
	stream_begin(slow, 1, FRAME_REMOTE_CLOSED, "Flood");
	await_count("opened", 1);
	fd = raw_connect(h);
	repeat_begin(fd, 1, "more", 20000);
	for (i = 0; i < 20000; i++)
		assert_int_equal(next_frame(fd, body).len, 6);
	expect_end(fd, 1);
	close(fd);
	/* It reads after all: nothing is missing, and there is more than was queued. */
	for (want = 0; want < 3000; want++) {
		assert_int_equal(next_frame(slow, body).len, 1024);
		memcpy(&got, body, sizeof(got));
		assert_int_equal(got, want);
	}
	assert_int_equal(count("closed"), 0);
	close(slow);
	await_count("closed", 1);
	assert_int_equal(count("late"), 0);
	end();
}

/* Nobody waits for ever for one that does not read at all. */
static void test_never_reads(void **state)
{
	int fd;

	(void)state;
	begin_with(0, 200, NULL);
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Flood");
	await_count("closed", 1);
	assert_true(raw_closed(fd));
	close(fd);
	end();
}

static void test_client_closes(void **state)
{
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	/* Half open for as long as it likes. */
	stream_begin(fd, 1, FRAME_REMOTE_OPEN, "Silent");
	stream_begin(fd, 3, FRAME_REMOTE_OPEN, "Silent");
	await_count("opened", 2);
	raw_call(fd, 5, TEST, "All", NULL, 0, 0);
	raw_expect(fd, 5, RPC_OK);
	/* In use. */
	stream_begin(fd, 3, FRAME_REMOTE_OPEN, "Silent");
	expect_error(fd, 3, RPC_INVALID_ARGUMENT, "in use");
	/* Of no stream. */
	raw_frame(fd, 7, FRAME_DATA, 0, "abc", 3);
	raw_frame(fd, 1, FRAME_DATA, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
	expect_end(fd, 1);
	await_count("closed", 1);
	/* What was not asked for. */
	raw_frame(fd, 3, FRAME_DATA, 0, "abc", 3);
	expect_error(fd, 3, RPC_INVALID_ARGUMENT, "takes no stream");
	await_count("closed", 2);
	/* Closed in the same breath, while it is being begun. */
	stream_begin(fd, 9, FRAME_REMOTE_OPEN, "Silent");
	raw_frame(fd, 9, FRAME_DATA, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
	expect_end(fd, 9);
	await_count("closed", 3);
	close(fd);
	assert_int_equal(count("late"), 0);
	end();
}

static void test_limits(void **state)
{
	int fd[18], refused = 0, i, n;
	char peek;
	struct answer a;

	(void)state;
	if (geteuid())
		skip();
	begin();
	load_rpc();
	fd[0] = raw_connect(h);
	for (n = 0; n < 64; n++)
		stream_begin(fd[0], (uint32_t)n * 2 + 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 64);
	stream_begin(fd[0], 201, FRAME_REMOTE_CLOSED, "Silent");
	expect_error(fd[0], 201, RPC_RESOURCE_EXHAUSTED, "64 streams");
	for (i = 1; i < 18; i++) {
		fd[i] = raw_connect(h);
		for (n = 0; n < 60; n++)
			stream_begin(fd[i], (uint32_t)n * 2 + 1, FRAME_REMOTE_CLOSED, "Silent");
	}
	/* 64 and 17 times 60: 60 are too many for all of them. */
	await_count("opened", 1024);
	for (i = 1; refused < 60; i = i % 17 + 1)
		while (refused < 60 && recv(fd[i], &peek, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
			assert_true(raw_answer(fd[i], &a));
			assert_int_equal(a.code, RPC_RESOURCE_EXHAUSTED);
			refused++;
		}
	for (i = 0; i < 18; i++)
		close(fd[i]);
	await_count("closed", 1024);
	/* And there is room for others. */
	fd[0] = raw_connect(h);
	stream_begin(fd[0], 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 1025);
	close(fd[0]);
	end();
}

static void test_unload(void **state)
{
	int fd, i;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	for (i = 0; i < 20; i++)
		stream_begin(fd, (uint32_t)i * 2 + 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 20);
	assert_int_equal(unload("rpc"), 0);
	assert_int_equal(mapped(), 0);
	for (i = 0; i < 20; i++) {
		struct answer a;

		assert_true(raw_answer(fd, &a));
		assert_int_equal(a.code, RPC_UNAVAILABLE);
		assert_has(a.message, "was unloaded");
	}
	close(fd);
	end();
}

/* Loaded, streaming, and gone, while clients come and go. */
static void *come_and_go(void *arg)
{
	unsigned int i, seed = (unsigned int)(uintptr_t)arg;
	char buf[4096];
	ssize_t n;
	int fd;

	for (i = 0; !atomic_load(&over); i++) {
		fd = raw_connect(h);
		stream_begin(fd, 1, FRAME_REMOTE_OPEN, "Flood");
		stream_begin(fd, 3, FRAME_REMOTE_CLOSED, "Silent");
		if ((i + seed) % 3 == 0) {
			n = read(fd, buf, sizeof(buf));
			if (n <= 0)
				atomic_fetch_add(&wrong, 1);
		}
		if ((i + seed) % 3 == 1)
			raw_frame(fd, 1, FRAME_DATA, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
		close(fd);
		atomic_fetch_add(&done, 1);
	}
	return NULL;
}

static void test_churn(void **state)
{
	pthread_t thread[2];
	unsigned int i, before;
	int ret;

	(void)state;
	atomic_store(&over, false);
	begin();
	load_rpc();
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, come_and_go,
						(void *)(uintptr_t)i), 0);
	for (i = 0; i < 60; i++) {
		before = atomic_load(&done);
		while (atomic_load(&done) < before + 5)
			usleep(20);
		if (i % 3) {
			assert_int_equal(swap("rpc"), 0);
			continue;
		}
		ret = unload("rpc");
		assert_int_equal(ret, 0);
		assert_int_equal(load("rpc"), 0);
	}
	atomic_store(&over, true);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(unload("rpc"), 0);
	assert_int_equal(mapped(), 0);
	end();
}

/* Two thousand, each with a stream, and then none of them. */
static void test_many(void **state)
{
	int fd, i, closed, opened;

	(void)state;
	begin();
	load_rpc();
	for (i = 1; i <= 2000; i++) {
		fd = raw_connect(h);
		stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Silent");
		close(fd);
	}
	/* Both still rise here; closed is asked first, so equal means none was left then. */
	for (i = 0; i < 20000; i++) {
		closed = count("closed");
		opened = count("opened");
		if (closed == opened)
			break;
		usleep(1000);
	}
	assert_int_equal(closed, opened);
	assert_int_equal(count("late"), 0);
	end();
}

static void test_server_stops(void **state)
{
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 1);
	harness_stop(h);
	expect_error(fd, 1, RPC_UNAVAILABLE, "is stopping");
	assert_true(raw_closed(fd));
	close(fd);
	world_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_repeat),
		TEST_IN_WORLD(test_library),
		TEST_IN_WORLD(test_breaks),
		TEST_IN_WORLD(test_slow_reader),
		TEST_IN_WORLD(test_never_reads),
		TEST_IN_WORLD(test_client_closes),
		TEST_IN_WORLD(test_limits),
		TEST_IN_WORLD(test_unload),
		TEST_IN_WORLD(test_churn),
		TEST_IN_WORLD(test_many),
		TEST_IN_WORLD(test_server_stops),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
