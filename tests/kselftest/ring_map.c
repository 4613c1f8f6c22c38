// SPDX-License-Identifier: GPL-2.0-only
/* Mapped rings by libnexus: what passes through memory, and what others then cannot do. */
#include "nx_ring_map.h"


#define IS(code, expr) ASSERT_EQ(-(code), expr)
#define TRY NEXUS_RING_TRY
#define FOREVER NEXUS_RING_FOREVER

static char buf[70000], got[70000];

TEST_F(dir, messages_whole_and_in_order)
{
	struct pair p;
	size_t len;
	int i;

	ASSERT_EQ(0, pair_map(&p, "ring", 5000));
	for (i = 0; i < 3000; i++) {
		len = 1 + (size_t)i * 7 % 5000;
		memset(buf, i, len);
		ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, len, TRY));
		ASSERT_EQ(len, nexus_ring_map_recv(p.rx, got, sizeof(got), TRY));
		ASSERT_EQ(0, memcmp(buf, got, len));
	}
	IS(EAGAIN, nexus_ring_map_recv(p.rx, got, sizeof(got), TRY));
	IS(EBADF, nexus_ring_map_recv(p.tx, got, sizeof(got), TRY));
	IS(EBADF, nexus_ring_map_send(p.rx, buf, 1, TRY));
	pair_close(&p);
}

/* What is twice in a row is the same. */
TEST_F(dir, a_message_is_in_one_piece)
{
	struct pair p;
	size_t size;
	void *to;
	int i;

	ASSERT_EQ(0, pair_map(&p, "ring", 3000));
	size = p.tx->spsc.size;
	ASSERT_EQ(8192, size);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, nexus_ring_map_reserve(p.tx, 3000, &to, TRY));
		memset(to, i, 3000);
		memset(buf, i, 3000);
		if ((uint8_t *)to + 3000 > p.tx->spsc.data + size)
			ASSERT_EQ(0, memcmp(p.tx->spsc.data, buf, (size_t)
					    ((uint8_t *)to + 3000 - p.tx->spsc.data - size)));
		ASSERT_EQ(0, nexus_ring_map_commit(p.tx, 3000));
		ASSERT_EQ(3000, nexus_ring_map_recv(p.rx, got, sizeof(got), TRY));
		ASSERT_EQ(0, memcmp(buf, got, 3000));
	}
}

TEST_F(dir, capacity_and_lengths)
{
	struct pair p;
	int i;

	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	IS(EINVAL, nexus_ring_map_send(p.tx, buf, 0, TRY));
	IS(EMSGSIZE, nexus_ring_map_send(p.tx, buf, 1001, FOREVER));
	IS(EMSGSIZE, nexus_ring_map_send(p.tx, buf, (size_t)1 << 32, FOREVER));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 1000, TRY));
	IS(EAGAIN, nexus_ring_map_send(p.tx, buf, 1, TRY));
	IS(EMSGSIZE, nexus_ring_map_recv(p.rx, got, 999, TRY));
	ASSERT_EQ(1000, nexus_ring_map_recv(p.rx, got, 1000, TRY));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 20, TRY));
	IS(EAGAIN, nexus_ring_map_send(p.tx, buf, 20, TRY));
	pair_close(&p);
	/* Short ones need more beside: 16 bytes of the twofold capacity for each byte. */
	ASSERT_EQ(0, pair_map(&p, "small", 4096));
	for (i = 0; !nexus_ring_map_send(p.tx, buf, 1, TRY); i++)
		;
	ASSERT_EQ(512, i);
	pair_close(&p);
}

TEST_F(dir, in_place)
{
	const void *from;
	struct pair p;
	void *to;
	int i;

	ASSERT_EQ(0, pair_map(&p, "ring", 3000));
	IS(EINVAL, nexus_ring_map_consume(p.rx));
	IS(EINVAL, nexus_ring_map_commit(p.tx, 1));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, nexus_ring_map_reserve(p.tx, 3000, &to, TRY));
		ASSERT_EQ(0, (uintptr_t)to % 8);
		memset(to, i, 3000);
		IS(EINVAL, nexus_ring_map_commit(p.tx, 3001));
		IS(EAGAIN, nexus_ring_map_peek(p.rx, &from, TRY));
		ASSERT_EQ(0, nexus_ring_map_commit(p.tx, 2000 + (size_t)i));
		ASSERT_EQ(2000 + i, nexus_ring_map_peek(p.rx, &from, TRY));
		ASSERT_EQ(2000 + i, nexus_ring_map_peek(p.rx, &from, TRY));
		memset(buf, i, 2100);
		ASSERT_EQ(0, memcmp(from, buf, 2000 + (size_t)i));
		ASSERT_EQ(0, nexus_ring_map_consume(p.rx));
		IS(EINVAL, nexus_ring_map_consume(p.rx));
	}
	/* Given up again, and never sent. */
	ASSERT_EQ(0, nexus_ring_map_reserve(p.tx, 3000, &to, TRY));
	ASSERT_EQ(0, nexus_ring_map_commit(p.tx, 0));
	IS(EINVAL, nexus_ring_map_commit(p.tx, 1));
	IS(EAGAIN, nexus_ring_map_peek(p.rx, &from, TRY));
	pair_close(&p);
}

TEST_F(dir, one_of_each_side)
{
	struct nexus_ring_mapping m = { .flags = 1 };
	struct nexus_ring_map *map;
	struct pair p;
	int fd, pipes[2], both;

	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	IS(EBUSY, nexus_ring_map_open(p.fd[0], 0, &map));
	IS(EBUSY, nexus_ring_map_open(p.fd[1], 0, &map));
	GET(fd, open("ring", O_RDONLY | O_NONBLOCK));
	IS(EBUSY, nexus_ring_map_open(fd, 0, &map));
	GET(both, open("ring", O_RDWR));
	IS(EINVAL, nexus_ring_map_open(both, 0, &map));
	IS(EBUSY, nexus_ring_map_open(both, NEXUS_RING_SENDS, &map));
	IS(EBUSY, nexus_ring_map_open(both, NEXUS_RING_RECEIVES, &map));
	nexus_ring_map_close(p.rx);
	p.rx = NULL;
	IS(EBADF, nexus_ring_map_open(fd, NEXUS_RING_SENDS, &map));
	IS(EBADF, nexus_ring_map_open(p.fd[1], NEXUS_RING_RECEIVES, &map));
	IS(EINVAL, nexus_ring_map_open(fd, 3, &map));
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_RING_MAP, &m));
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_RING_MAP, (void *)8));
	ASSERT_EQ(0, nexus_ring_map_open(both, NEXUS_RING_RECEIVES, &p.rx));
	IS(EBUSY, nexus_ring_map_open(fd, 0, &map));
	pair_close(&p);
	OK(pipe(pipes));
	IS(ENOTTY, nexus_ring_map_open(pipes[0], 0, &map));
	GET(fd, open(".", O_RDONLY));
	IS(ENOTTY, nexus_ring_map_open(fd, 0, &map));
}

/* One side is enough; who has it open otherwise has it again afterwards. */
TEST_F(dir, calls_are_busy_meanwhile)
{
	struct nexus_ring_peek peek = { .buf = (uintptr_t)got, .len = 10 };
	__u32 lens[1] = { 1 };
	struct nexus_ring_batch batch = { .buf = (uintptr_t)buf, .lens = (uintptr_t)lens, .count = 1,
					  .bytes = 1 };
	int side, file, pipes[2];
	__u64 capacity = 2000;
	struct pair p;

	OK(pipe(pipes));
	ASSERT_EQ(1, write(pipes[1], "x", 1));
	GET(file, open("file", O_RDWR | O_CREAT, 0600));
	ASSERT_EQ(1, write(file, "x", 1));
	signal(SIGPIPE, SIG_DFL);
	for (side = 0; side < 2; side++) {
		ASSERT_EQ(0, pair_open(&p, side ? "one" : "two", 1000));
		ASSERT_EQ(0, nexus_ring_map_open(p.fd[side], 0, side ? &p.tx : &p.rx));
		/* Also for who would wait. */
		OK(fcntl(p.fd[0], F_SETFL, 0));
		OK(fcntl(p.fd[1], F_SETFL, 0));
		FAILS(EBUSY, read(p.fd[0], got, 10));
		FAILS(EBUSY, write(p.fd[1], buf, 10));
		FAILS(EBUSY, ioctl(p.fd[0], NEXUS_IOC_RING_RECV, &batch));
		FAILS(EBUSY, ioctl(p.fd[1], NEXUS_IOC_RING_SEND, &batch));
		FAILS(EBUSY, ioctl(p.fd[0], NEXUS_IOC_RING_PEEK, &peek));
		FAILS(EBUSY, ioctl(p.fd[1], NEXUS_IOC_RING_RESIZE, &capacity));
		FAILS(EBUSY, splice(p.fd[0], NULL, pipes[1], NULL, 10, 0));
		FAILS(EBUSY, splice(pipes[0], NULL, p.fd[1], NULL, 10, 0));
		/* Neither readable nor writable, so who polls waits for the end of it. */
		ASSERT_EQ(0, ring_poll(p.fd[0], POLLIN));
		ASSERT_EQ(0, ring_poll(p.fd[1], POLLOUT));
		nexus_ring_map_close(side ? p.tx : p.rx);
		ASSERT_EQ(POLLOUT, ring_poll(p.fd[1], POLLOUT));
		ASSERT_EQ(1000, write(p.fd[1], buf, 1000));
		ASSERT_EQ(POLLIN, ring_poll(p.fd[0], POLLIN));
		ASSERT_EQ(1000, read(p.fd[0], got, 1000));
		OK(ioctl(p.fd[1], NEXUS_IOC_RING_RESIZE, &capacity));
		ASSERT_EQ(2000, write(p.fd[1], buf, 2000));
		OK(fcntl(p.fd[1], F_SETFL, O_NONBLOCK));
		FAILS(EAGAIN, write(p.fd[1], buf, 1));
		close(p.fd[0]);
		close(p.fd[1]);
	}
}

/* From calls to memory and back: nothing is lost, and it is as much as it was. */
TEST_F(dir, what_is_in_it_stays)
{
	struct nexus_ring_stat st;
	struct pair p;
	int i, sent = 0, seen = 0, len;

	ASSERT_EQ(0, pair_open(&p, "ring", 5000));
	for (i = 0; i < 20; i++) {
		for (; (len = 12 + sent % 300, memset(buf, sent, 312), write(p.fd[1], buf, len)) == len; sent++)
			;
		ASSERT_EQ(EAGAIN, errno);
		st = ring_stat(p.fd[0]);
		ASSERT_EQ(sent - seen, st.messages);
		ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
		ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
		ASSERT_EQ(st.bytes, ring_stat(p.fd[0]).bytes);
		for (; seen < sent - 3; seen++) {
			memset(buf, seen, 312);
			ASSERT_EQ(12 + seen % 300, nexus_ring_map_recv(p.rx, got, sizeof(got), TRY));
			ASSERT_EQ(0, memcmp(got, buf, 12 + seen % 300));
		}
		for (; len = 12 + sent % 300, memset(buf, sent, 312),
		     !nexus_ring_map_send(p.tx, buf, (size_t)len, TRY); sent++)
			;
		nexus_ring_map_close(i % 2 ? p.rx : p.tx);
		nexus_ring_map_close(i % 2 ? p.tx : p.rx);
		ASSERT_EQ(sent - seen, ring_stat(p.fd[0]).messages);
		for (; seen < sent - 2; seen++) {
			memset(buf, seen, 312);
			ASSERT_EQ(12 + seen % 300, read(p.fd[0], got, sizeof(got)));
			ASSERT_EQ(0, memcmp(got, buf, 12 + seen % 300));
		}
	}
	/* All of the capacity is there in the end. */
	for (; seen < sent; seen++)
		ASSERT_EQ(12 + seen % 300, read(p.fd[0], got, sizeof(got)));
	FAILS(EAGAIN, read(p.fd[0], got, 1));
	ASSERT_EQ(5000, write(p.fd[1], buf, 5000));
	ASSERT_EQ(5000, read(p.fd[0], got, 5000));
}

TEST_F(dir, what_does_not_fit_is_not_mapped)
{
	struct pair p;
	int i;

	ASSERT_EQ(0, pair_open(&p, "ring", 4096));
	for (i = 0; i < 513; i++)
		ASSERT_EQ(1, write(p.fd[1], &i, 1));
	IS(EBUSY, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	IS(EBUSY, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	for (i = 0; i < 513; i++) {
		ASSERT_EQ(1, read(p.fd[0], got, 1));
		ASSERT_EQ((char)i, got[0]);
	}
	FAILS(EAGAIN, read(p.fd[0], got, 1));
	ASSERT_EQ(4096, write(p.fd[1], buf, 4096));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	ASSERT_EQ(4096, nexus_ring_map_recv(p.rx, got, 4096, TRY));
}

static void calls(int fd, bool writes)
{
	char c[1000];

	if (fcntl(fd, F_SETFL, 0))
		_exit(1);
	_exit((writes ? write(fd, c, 1) : read(fd, c, 1)) != 1);
}

TEST_F(dir, who_waits_is_left_alone)
{
	struct nexus_ring_map *map;
	struct pair p;
	int writes, side;
	pid_t pid;

	for (writes = 0; writes < 2; writes++) {
		ASSERT_EQ(0, pair_open(&p, writes ? "one" : "two", 1000));
		if (writes)
			ASSERT_EQ(1000, write(p.fd[1], buf, 1000));
		GET(pid, fork());
		if (!pid)
			calls(p.fd[writes], writes);
		nx_until_asleep(pid);
		for (side = 0; side < 2; side++) {
			IS(EBUSY, nexus_ring_map_open(p.fd[side], 0, &map));
		}
		if (writes) {
			ASSERT_EQ(1000, read(p.fd[0], got, 1000));
		} else {
			ASSERT_EQ(1, write(p.fd[1], "x", 1));
		}
		ASSERT_EQ(0, nx_reap());
		ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
		pair_close(&p);
	}
}

/* Two processes, with waits on both sides. */
static void sender(const char *name, int count)
{
	struct nexus_ring_map *map;
	int i, fd = open(name, O_WRONLY);

	HOLDS(fd >= 0 && !nexus_ring_map_open(fd, 0, &map));
	for (i = 0; i < count; i++)
		HOLDS(!nexus_ring_map_send(map, &i, sizeof(i), FOREVER));
	_exit(0);
}

TEST_F(dir, both_sides_wait)
{
	struct nexus_ring_map *map;
	int fd, i, last;
	pid_t pid;

	OK(ring_make("ring", 64));
	GET(pid, fork());
	if (!pid)
		sender("ring", 20000);
	GET(fd, open("ring", O_RDONLY));
	ASSERT_EQ(0, nexus_ring_map_open(fd, 0, &map));
	for (i = 0; i < 20000; i++) {
		ASSERT_EQ(sizeof(last), nexus_ring_map_recv(map, &last, sizeof(last), FOREVER));
		ASSERT_EQ(i, last);
		if (i == 100 || i == 200)
			nx_until_asleep(pid);
	}
	ASSERT_EQ(0, nexus_ring_map_recv(map, &last, sizeof(last), FOREVER));
	ASSERT_EQ(0, nx_reap());
	nexus_ring_map_close(map);
}

static void sends_full_ones(int fd)
{
	struct nexus_ring_map *map;

	HOLDS(!nexus_ring_map_open(fd, 0, &map));
	while (!nexus_ring_map_send(map, buf, 1000, FOREVER))
		;
	_exit(0);
}

/* Where each message fills the ring, the sender sleeps once for each. */
TEST_F(dir, one_sleep_for_a_message_that_fills_it)
{
	int before, i;
	struct pair p;
	pid_t pid;

	ASSERT_EQ(0, pair_open(&p, "ring", 1000));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	GET(pid, fork());
	if (!pid)
		sends_full_ones(p.fd[1]);
	nx_until_asleep(pid);
	before = switches(pid);
	for (i = 0; i < 20; i++) {
		/* Long enough for who would look again after a while. */
		usleep(5000);
		ASSERT_EQ(1000, nexus_ring_map_recv(p.rx, got, sizeof(got), FOREVER));
		nx_until_asleep(pid);
	}
	/* Less when the other side came between its looking asleep and its sleeping. */
	ASSERT_GE(20, switches(pid) - before);
	nexus_ring_map_close(p.rx);
	ASSERT_EQ(0, nx_reap());
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(dir, waits_end_in_time)
{
	struct sigaction act = { .sa_handler = nothing };
	struct itimerval soon = { .it_value = { .tv_usec = 50000 } };
	struct pair p;

	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	IS(ETIMEDOUT, nexus_ring_map_recv(p.rx, got, 1, 20));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 1000, 20));
	IS(ETIMEDOUT, nexus_ring_map_send(p.tx, buf, 1, 20));
	OK(sigaction(SIGALRM, &act, NULL));
	OK(setitimer(ITIMER_REAL, &soon, NULL));
	IS(EINTR, nexus_ring_map_send(p.tx, buf, 1, FOREVER));
	OK(setitimer(ITIMER_REAL, &soon, NULL));
	IS(EINTR, nexus_ring_map_send(p.tx, buf, 1, INT64_MAX));
	ASSERT_EQ(1000, nexus_ring_map_recv(p.rx, got, 1000, INT64_MAX));
	pair_close(&p);
}

TEST_F(dir, poll_after_a_refusal)
{
	int rx, tx, i;
	struct pair p;

	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	rx = nexus_ring_map_fd(p.rx);
	tx = nexus_ring_map_fd(p.tx);
	for (i = 0; i < 3; i++) {
		IS(EAGAIN, nexus_ring_map_recv(p.rx, got, 1000, TRY));
		ASSERT_EQ(0, ring_poll(rx, POLLIN));
		ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 600, TRY));
		ASSERT_EQ(POLLIN, ring_poll(rx, POLLIN));
		ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 400, TRY));
		IS(EAGAIN, nexus_ring_map_send(p.tx, buf, 700, TRY));
		ASSERT_EQ(0, ring_poll(tx, POLLOUT));
		/* Some room, but not enough: the next refusal waits for more. */
		ASSERT_EQ(600, nexus_ring_map_recv(p.rx, got, 1000, TRY));
		ASSERT_EQ(POLLOUT, ring_poll(tx, POLLOUT));
		IS(EAGAIN, nexus_ring_map_send(p.tx, buf, 700, TRY));
		ASSERT_EQ(0, ring_poll(tx, POLLOUT));
		ASSERT_EQ(400, nexus_ring_map_recv(p.rx, got, 1000, TRY));
		ASSERT_EQ(POLLOUT, ring_poll(tx, POLLOUT));
	}
	nexus_ring_map_close(p.tx);
	ASSERT_EQ(POLLHUP, ring_poll(rx, POLLIN));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	ASSERT_EQ(0, ring_poll(rx, POLLIN));
	nexus_ring_map_close(p.rx);
	tx = nexus_ring_map_fd(p.tx);
	ASSERT_EQ(POLLERR, ring_poll(tx, POLLOUT) & POLLERR);
}

/* Who sleeps in poll(2) is woken by who sends, without a call of its own but that. */
static void polls(int fd)
{
	struct nexus_ring_map *map;
	struct pollfd p = { .events = POLLIN };
	char c[10];

	HOLDS(!nexus_ring_map_open(fd, 0, &map));
	p.fd = nexus_ring_map_fd(map);
	HOLDS(nexus_ring_map_recv(map, c, 10, TRY) == -EAGAIN);
	HOLDS(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	HOLDS(nexus_ring_map_recv(map, c, 10, TRY) == 1);
	_exit(0);
}

TEST_F(dir, poll_sleeps)
{
	struct pair p;
	pid_t pid;

	ASSERT_EQ(0, pair_open(&p, "ring", 1000));
	GET(pid, fork());
	if (!pid)
		polls(p.fd[0]);
	nx_until_asleep(pid);
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 1, TRY));
	ASSERT_EQ(0, nx_reap());
}

TEST_F(dir, figures)
{
	struct nexus_ring_stat st;
	char path[64];
	struct pair p;
	int n;

	ASSERT_EQ(0, pair_open(&p, "ring", 1000));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	ASSERT_EQ(NEXUS_RING_MAPPED_SEND, ring_stat(p.fd[0]).flags);
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 300, TRY));
	st = ring_stat(p.fd[0]);
	ASSERT_EQ(NEXUS_RING_MAPPED_SEND | NEXUS_RING_MAPPED_RECV, st.flags);
	ASSERT_EQ(300, st.bytes);
	ASSERT_EQ(0, st.messages);
	ASSERT_EQ(1, st.readers);
	OK(ioctl(p.fd[0], FIONREAD, &n));
	ASSERT_EQ(300, n);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", p.fd[0]);
	ASSERT_NE(NULL, strstr(nx_get(path), ", mapped\n"));
	ASSERT_EQ(0, nx_sh("nexusctl pipe stat ring | grep -q '^open:.*, mapped by both sides$'"));
	ASSERT_EQ(0, nx_sh("nexusctl --json pipe stat ring | grep -q '\"mapped_to_send\": true'"));
	pair_close(&p);
}

/* What it sent beyond the capacity is not taken over, whatever it thinks the capacity is. */
TEST_F(dir, a_sender_that_counts_wrong)
{
	struct nexus_ring_map *m[2];
	struct nexus_ring_stat st;
	char got[3000];
	struct pair p;
	void *to;
	int i;

	ASSERT_EQ(0, pair_open(&p, "ring", 3000));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, nexus_ring_map_open(p.fd[i], 0, &m[i]));
	m[1]->spsc.capacity = 1u << 30;
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, nexus_ring_map_reserve(m[1], 1000, &to, 0));
		memset(to, i, 1000);
		nexus_ring_map_commit(m[1], 1000);
	}
	nexus_ring_map_close(m[1]);
	nexus_ring_map_close(m[0]);
	st = ring_stat(p.fd[0]);
	ASSERT_EQ(0, st.flags);
	ASSERT_EQ(3000, st.bytes);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1000, read(p.fd[0], got, sizeof(got)));
		ASSERT_EQ((char)i, got[999]);
	}
	FAILS(EAGAIN, read(p.fd[0], got, sizeof(got)));
	ASSERT_EQ(3000, write(p.fd[1], got, 3000));
	FAILS(EAGAIN, write(p.fd[1], got, 1));
}

TEST_HARNESS_MAIN
