// SPDX-License-Identifier: GPL-2.0-only
/* Mapped rings: who may map what, sides that die or lie, and what that does to the others. */
#include "nx_ring_map.h"

#include <pthread.h>

#define IS(code, expr) ASSERT_EQ(-(code), expr)
#define TRY NEXUS_RING_TRY
#define FOREVER NEXUS_RING_FOREVER

static char buf[70000], got[70000];

/* ---- memory ----------------------------------------------------------------------- */

/* A side by the ioctl alone. */
static int side(int fd, struct nexus_ring_mapping *m)
{
	memset(m, 0, sizeof(*m));
	return ioctl(fd, NEXUS_IOC_RING_MAP, m);
}

static void *map(int fd, uint64_t at, uint64_t len, int prot)
{
	return mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)at);
}

#define NO_MAP(code, expr)						\
	do {								\
		errno = 0;						\
		ASSERT_EQ(MAP_FAILED, expr);				\
		ASSERT_EQ(code, errno);					\
	} while (0)

TEST_F(dir, only_its_own_is_writable)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), all;
	struct nexus_ring_mapping m[2];
	int fd[2], writable, i, s;
	struct pair p;
	char *at;

	ASSERT_EQ(0, pair_open(&p, "ring", 65536));
	for (s = 0; s < 2; s++)
		GET(fd[s], side(p.fd[s], &m[s]));
	ASSERT_EQ(65536, m[0].capacity);
	ASSERT_EQ(131072, m[0].size);
	ASSERT_EQ(NEXUS_RING_RECEIVES, m[0].side);
	ASSERT_EQ(NEXUS_RING_SENDS, m[1].side);
	all = m[0].data + 2 * m[0].size;
	for (s = 0; s < 2; s++) {
		const uint64_t where[] = { m[s].status, m[s].sender, m[s].receiver, m[s].data };

		for (i = 0; i < 4; i++) {
			writable = s ? i == 1 || i == 3 : i == 2;
			at = map(fd[s], where[i], page, PROT_READ | PROT_WRITE);
			if (writable) {
				ASSERT_NE(MAP_FAILED, at);
				/* Nothing of what was in that memory. */
				ASSERT_EQ(0, memcmp(at, buf, page));
			} else {
				ASSERT_EQ(MAP_FAILED, at);
				ASSERT_EQ(EACCES, errno);
			}
			at = map(fd[s], where[i], page, PROT_READ);
			ASSERT_NE(MAP_FAILED, at);
			ASSERT_EQ(writable ? 0 : -1, mprotect(at, page, PROT_READ | PROT_WRITE));
			FAILS(EACCES, mprotect(at, page, PROT_READ | PROT_EXEC));
			NO_MAP(EFAULT, mremap(at, page, 2 * page, MREMAP_MAYMOVE));
		}
		NO_MAP(EACCES, map(fd[s], 0, all, PROT_READ | PROT_WRITE));
		NO_MAP(EACCES, map(fd[s], m[s].sender, 2 * page, PROT_READ | PROT_WRITE));
		NO_MAP(EACCES, map(fd[s], 0, page, PROT_READ | PROT_EXEC));
		NO_MAP(EINVAL, mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd[s], 0));
		NO_MAP(EINVAL, map(fd[s], 0, all + page, PROT_READ));
		NO_MAP(EINVAL, map(fd[s], all, page, PROT_READ));
		NO_MAP(EINVAL, map(fd[s], all - page, 2 * page, PROT_READ));
		at = map(fd[s], 0, all, PROT_READ);
		ASSERT_NE(MAP_FAILED, at);
		FAILS(ENOTTY, ioctl(fd[s], NEXUS_IOC_RING_STAT, buf));
		FAILS(EINVAL, read(fd[s], got, 1));
		FAILS(EINVAL, write(fd[s], got, 1));
	}
	/* Not by the ring itself. */
	NO_MAP(ENODEV, map(p.fd[0], 0, page, PROT_READ));
}

static bool readable(const void *at)
{
	int p[2];
	bool yes;

	if (pipe(p))
		return false;
	yes = write(p[1], at, 1) == 1;
	close(p[0]);
	close(p[1]);
	return yes;
}

/* It has the descriptors, and neither the mappings nor a way to them. */
static void child(struct pair *p, int fd[2])
{
	HOLDS(!readable(p->rx->area) && !readable(p->tx->area));
	HOLDS(map(fd[0], 0, 4096, PROT_READ) == MAP_FAILED && errno == EBUSY);
	HOLDS(map(fd[1], 0, 4096, PROT_READ) == MAP_FAILED && errno == EBUSY);
	_exit(0);
}

TEST_F(dir, a_child_has_no_side)
{
	struct pair p;
	int fd[2];
	pid_t pid;

	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	fd[0] = nexus_ring_map_fd(p.rx);
	fd[1] = nexus_ring_map_fd(p.tx);
	ASSERT_TRUE(readable(p.rx->area));
	GET(pid, fork());
	if (!pid)
		child(&p, fd);
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 10, TRY));
	ASSERT_EQ(10, nexus_ring_map_recv(p.rx, got, 10, TRY));
}

/* Asked to share its mappings with a child, it shares neither them nor its side. */
TEST_F(dir, a_child_made_to_have_it_has_not)
{
	struct pair p;
	int fd[2], out[2];
	pid_t pid;

	OK(pipe(out));
	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	fd[0] = nexus_ring_map_fd(p.rx);
	fd[1] = nexus_ring_map_fd(p.tx);
	OK(madvise(p.rx->area, p.rx->len, MADV_DOFORK));
	OK(madvise(p.tx->area, p.tx->len, MADV_DOFORK));
	GET(pid, fork());
	if (!pid) {
		HOLDS(!munmap(p.rx->area, 4096));
		child(&p, fd);
	}
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(NEXUS_RING_MAPPED_SEND | NEXUS_RING_MAPPED_RECV, ring_stat(p.fd[0]).flags);
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 10, TRY));
	ASSERT_EQ(10, nexus_ring_map_recv(p.rx, got, 10, TRY));
	/* One that lives on keeps no side. */
	GET(pid, fork());
	if (!pid) {
		HOLDS(write(out[1], "c", 1) == 1);
		pause();
		_exit(0);
	}
	ASSERT_EQ(1, read(out[0], got, 1));
	nexus_ring_map_close(p.tx);
	ASSERT_EQ(NEXUS_RING_MAPPED_RECV, ring_stat(p.fd[0]).flags);
	ASSERT_EQ(0, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 10, TRY));
	kill(pid, SIGKILL);
	nx_reap();
	ASSERT_EQ(10, nexus_ring_map_recv(p.rx, got, 10, TRY));
	pair_close(&p);
}

TEST_F(dir, unmapped_in_part)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct nexus_ring_wait w = { .timeout = 0 };
	struct pair p;
	int fd;

	ASSERT_EQ(0, pair_map(&p, "ring", 65536));
	/* The middle of the data: it is still the same side. */
	OK(munmap(p.rx->area + 10 * page, 5 * page));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 10, TRY));
	ASSERT_EQ(10, nexus_ring_map_recv(p.rx, got, 10, TRY));
	OK(mprotect(p.tx->area + 10 * page, page, PROT_READ));
	ASSERT_NE(MAP_FAILED, mremap(p.rx->area + 20 * page, page, page, MREMAP_MAYMOVE | MREMAP_FIXED,
				     p.rx->area + 10 * page));
	ASSERT_EQ(NEXUS_RING_MAPPED_SEND | NEXUS_RING_MAPPED_RECV, ring_stat(p.fd[0]).flags);
	/* All of it: the side is given up, although it is open. */
	OK(munmap(p.rx->area, p.rx->len));
	ASSERT_EQ(NEXUS_RING_MAPPED_SEND, ring_stat(p.fd[0]).flags);
	IS(EPIPE, nexus_ring_map_send(p.tx, buf, 10, TRY));
	fd = nexus_ring_map_fd(p.rx);
	NO_MAP(ENOTCONN, map(fd, 0, page, PROT_READ));
	w.at = nexus_load(&p.tx->spsc.mine->at);
	FAILS(ENOTCONN, ioctl(fd, NEXUS_IOC_RING_WAIT, &w));
	FAILS(ENOTCONN, ioctl(fd, NEXUS_IOC_RING_WAKE));
	ASSERT_EQ(POLLERR, ring_poll(fd, POLLIN));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, buf, 10, TRY));
	ASSERT_EQ(10, nexus_ring_map_recv(p.rx, got, 10, TRY));
}

/* ---- the end ----------------------------------------------------------------------- */

TEST_F(dir, when_the_other_side_is_gone)
{
	struct pair p;

	signal(SIGPIPE, SIG_DFL);
	ASSERT_EQ(0, pair_open(&p, "ring", 1000));
	/* It may still map: one waits for it. */
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	IS(EAGAIN, nexus_ring_map_recv(p.rx, got, 10, TRY));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "one", 3, TRY));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "two", 3, TRY));
	nexus_ring_map_close(p.tx);
	/* What was sent, then the end, although it has the ring open. */
	ASSERT_EQ(3, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	ASSERT_EQ(3, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	ASSERT_EQ(0, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	ASSERT_EQ(0, nexus_ring_map_recv(p.rx, got, 10, TRY));
	/* Another goes on, and so does who found the end. */
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	IS(EAGAIN, nexus_ring_map_recv(p.rx, got, 10, TRY));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "three", 5, TRY));
	nexus_ring_map_close(p.rx);
	IS(EPIPE, nexus_ring_map_send(p.tx, "four", 4, FOREVER));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "four", 4, TRY));
	ASSERT_EQ(5, nexus_ring_map_recv(p.rx, got, 10, TRY));
	ASSERT_EQ(4, nexus_ring_map_recv(p.rx, got, 10, TRY));
	/* Who never had mapped it, and has closed it. */
	nexus_ring_map_close(p.rx);
	nexus_ring_map_close(p.tx);
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[1], 0, &p.tx));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "five", 4, TRY));
	close(p.fd[0]);
	IS(EPIPE, nexus_ring_map_send(p.tx, "six", 3, TRY));
	GET(p.fd[0], open("ring", O_RDONLY | O_NONBLOCK));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "six", 3, TRY));
	nexus_ring_map_close(p.tx);
	close(p.fd[1]);
	ASSERT_EQ(4, read(p.fd[0], got, 10));
	ASSERT_EQ(3, read(p.fd[0], got, 10));
	ASSERT_EQ(0, read(p.fd[0], got, 10));
}

TEST_F(dir, closed_for_good)
{
	struct pair p;

	ASSERT_EQ(0, pair_map(&p, "ring", 1000));
	ASSERT_EQ(0, nexus_ring_map_send(p.tx, "one", 3, TRY));
	OK(ioctl(p.fd[1], NEXUS_IOC_RING_CLOSE));
	IS(EPIPE, nexus_ring_map_send(p.tx, "two", 3, FOREVER));
	ASSERT_EQ(3, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	ASSERT_EQ(0, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	FAILS(EBUSY, read(p.fd[0], got, 10));
	nexus_ring_map_close(p.rx);
	nexus_ring_map_close(p.tx);
	ASSERT_EQ(0, read(p.fd[0], got, 10));
	signal(SIGPIPE, SIG_IGN);
	FAILS(EPIPE, write(p.fd[1], "x", 1));
}

/* Waits for the other side, which never does anything. */
static void waits(int fd, bool sends)
{
	struct nexus_ring_map *m;
	char c[1000] = "";

	HOLDS(!nexus_ring_map_open(fd, 0, &m));
	if (!sends)
		HOLDS(nexus_ring_map_recv(m, c, 1000, FOREVER) == 0);
	else
		HOLDS(!nexus_ring_map_send(m, c, 1000, TRY) &&
		      nexus_ring_map_send(m, c, 1, FOREVER) == -EPIPE);
	_exit(0);
}

/* Asleep until its side is given up: then who waits for it wakes up. */
static void holds(int fd)
{
	struct nexus_ring_map *m;

	HOLDS(!nexus_ring_map_open(fd, 0, &m));
	pause();
}

TEST_F(dir, who_waits_is_told)
{
	static const char * const names[] = { "one", "two", "three", "four" };
	struct pair p;
	pid_t pid[2];
	int i, status;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pair_open(&p, names[i], 1000));
		GET(pid[0], fork());
		if (!pid[0])
			holds(p.fd[i & 1]);
		nx_until_asleep(pid[0]);
		GET(pid[1], fork());
		if (!pid[1])
			waits(p.fd[!(i & 1)], !(i & 1));
		nx_until_asleep(pid[1]);
		/* Killed, or the ring is closed. */
		if (i < 2) {
			OK(kill(pid[0], SIGKILL));
		} else {
			OK(ioctl(p.fd[1], NEXUS_IOC_RING_CLOSE));
		}
		ASSERT_EQ(pid[1], waitpid(pid[1], &status, 0));
		ASSERT_EQ(0, status);
		kill(pid[0], SIGKILL);
		nx_reap();
		ASSERT_EQ(0, ring_stat(p.fd[0]).flags & ~NEXUS_RING_CLOSED);
	}
}

/* Its descriptors survive in a child, its side does not; nor does exec keep one. */
static void leaves_a_child(int fd, int out)
{
	struct nexus_ring_map *m;
	pid_t pid;

	HOLDS(!nexus_ring_map_open(fd, 0, &m));
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	HOLDS(write(out, &pid, sizeof(pid)) == sizeof(pid));
	_exit(0);
}

static void executes(int fd, int out)
{
	struct nexus_ring_map *m;

	HOLDS(!nexus_ring_map_open(fd, 0, &m));
	HOLDS(!fcntl(nexus_ring_map_fd(m), F_SETFD, 0));
	HOLDS(write(out, "m", 1) == 1);
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(1);
}

TEST_F(dir, descriptors_alone_are_no_side)
{
	struct pair p;
	int out[2], fd;
	pid_t pid, other;

	OK(pipe(out));
	ASSERT_EQ(0, pair_open(&p, "ring", 1000));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	GET(pid, fork());
	if (!pid)
		leaves_a_child(p.fd[1], out[1]);
	ASSERT_EQ(sizeof(other), read(out[0], &other, sizeof(other)));
	ASSERT_EQ(0, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(NEXUS_RING_MAPPED_RECV, ring_stat(p.fd[0]).flags);
	kill(other, SIGKILL);
	OK(pipe2(out, O_CLOEXEC));
	GET(pid, fork());
	if (!pid)
		executes(p.fd[1], out[1]);
	close(out[1]);
	ASSERT_EQ(1, read(out[0], got, 1));
	/* Then it has executed. */
	ASSERT_EQ(0, read(out[0], got, 1));
	ASSERT_EQ(NEXUS_RING_MAPPED_RECV, ring_stat(p.fd[0]).flags);
	ASSERT_EQ(0, nexus_ring_map_recv(p.rx, got, 10, FOREVER));
	kill(pid, SIGKILL);
	nx_reap();
	/* The descriptor without any mapping: closed, it is given up as well. */
	GET(fd, side(p.fd[1], &(struct nexus_ring_mapping){ .side = 0 }));
	ASSERT_EQ(3, ring_stat(p.fd[0]).flags >> 1);
	close(fd);
	ASSERT_EQ(NEXUS_RING_MAPPED_RECV, ring_stat(p.fd[0]).flags);
}

/* ---- killed ------------------------------------------------------------------------- */

/* What the processes remember beyond their death. */
static struct { volatile uint64_t sent, received, wrong; } *memory;

static size_t length(uint64_t i)
{
	return 9 + (size_t)(i * 2654435761u % 900);
}

static void sends_numbers(int fd)
{
	struct nexus_ring_map *m;
	uint64_t i;
	void *to;
	int err;

	while ((err = nexus_ring_map_open(fd, 0, &m)) == -EBUSY)
		usleep(100);
	for (i = memory->sent; !err; i++) {
		do
			err = nexus_ring_map_reserve(m, length(i), &to, FOREVER);
		while (err == -EPIPE && !usleep(100));
		if (err)
			break;
		memset(to, (int)i, length(i));
		memcpy(to, &i, sizeof(i));
		nexus_ring_map_commit(m, length(i));
		memory->sent = i + 1;
	}
	fprintf(stderr, "# sender: %d\n", err);
	memory->wrong = 1;
	_exit(1);
}

static void receives_numbers(int fd)
{
	struct nexus_ring_map *m;
	const char *at;
	uint64_t i = 0, n;
	ssize_t len = 0;
	size_t k;
	int err;

	while ((err = nexus_ring_map_open(fd, 0, &m)) == -EBUSY)
		usleep(100);
	for (n = 0; !err; n++) {
		do
			len = nexus_ring_map_peek(m, (const void **)&at, FOREVER);
		while (!len && !usleep(100));
		if (len < 0)
			break;
		memcpy(&i, at, sizeof(i));
		/* Who sent or received it may have died before it could say so. */
		if (i != memory->received && i + 1 != memory->received)
			break;
		if ((size_t)len != length(i))
			break;
		for (k = sizeof(i); k < (size_t)len && at[k] == (char)i; k++)
			;
		if (k < (size_t)len)
			break;
		memory->received = i + 1;
		nexus_ring_map_consume(m);
	}
	fprintf(stderr, "# receiver: %d %zd, %" PRIu64 " instead of %" PRIu64 "\n", err, len, i,
		memory->received);
	memory->wrong = 1;
	_exit(1);
}

TEST_F(dir, killed_at_any_moment)
{
	uint64_t turns = nx_env("NEXUS_LOOPS", getenv("NEXUS_SHORT") ? 60 : 200), i, from;
	int fd[2], status, which;
	pid_t pid[2] = { 0, 0 };

	nx_seed();
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	OK(ring_make("ring", 4000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < turns && !memory->wrong; i++) {
		for (which = 0; which < 2; which++) {
			if (pid[which])
				continue;
			GET(pid[which], fork());
			if (!pid[which])
				(which ? sends_numbers : receives_numbers)(fd[which]);
		}
		/* Some of them right away, others amid messages. */
		from = memory->received;
		while (i % 4 && memory->received < from + nx_below(300) && !memory->wrong)
			usleep(1 + nx_below(500));
		for (which = 0; which < 2; which++) {
			if (nx_below(3) == 0)
				continue;
			OK(kill(pid[which], SIGKILL));
			ASSERT_EQ(pid[which], waitpid(pid[which], &status, 0));
			pid[which] = 0;
		}
	}
	for (which = 0; which < 2; which++)
		if (pid[which])
			kill(pid[which], SIGKILL);
	nx_reap();
	ASSERT_EQ(0, memory->wrong);
	printf("# %" PRIu64 " messages, %" PRIu64 " turns\n", memory->received, i);
	ASSERT_LT(turns, memory->received);
	/* And a call reads on. */
	if (memory->sent > memory->received + 1) {
		ASSERT_LT(0, read(fd[0], got, sizeof(got)));
		memcpy(&i, got, sizeof(i));
		ASSERT_TRUE(i == memory->received || i + 1 == memory->received);
	}
	ASSERT_EQ(0, ring_stat(fd[0]).flags);
}

/* ---- scribbled ----------------------------------------------------------------------- */

static volatile bool stop;

static uint64_t garbage(uint64_t was)
{
	static const uint64_t some[] = { 0, 1, 2, 3, 7, 8, 0x7fffffff, 0x80000000, 0xffffffff,
					 1ull << 32, ~0ull, 1ull << 63 };

	switch (nx_below(4)) {
	case 0:
		return nx_rand() << 32 ^ nx_rand();
	case 1:
		return some[nx_below(N_ELEMS(some))];
	case 2:
		return was + nx_below(64) - 32;
	default:
		return was ^ 1ull << nx_below(64);
	}
}

/* Every word that a side may write, also those nobody looks at, and lengths in the data. */
static void scribble(struct nexus_ring_map *m)
{
	uint64_t *words = (uint64_t *)m->spsc.mine, *data = (uint64_t *)m->spsc.data, *at;

	at = &words[nx_below(2) ? 8 * nx_below(2) : nx_below(512)];
	if (m->spsc.produces && nx_below(2))
		at = &data[nx_below(2 * m->spsc.size / 8)];
	__atomic_store_n(at, garbage(*at), __ATOMIC_RELAXED);
}

static void *scribbles(void *arg)
{
	while (!stop)
		scribble(arg);
	return NULL;
}

/* Whatever it reads: it ends, with nothing but these, and once it is EUCLEAN it stays so. */
static int use(struct nexus_ring_map *m)
{
	const void *at;
	ssize_t len;
	void *to;
	int ret;

	if (m->spsc.produces) {
		len = 1 + (ssize_t)nx_below(3000);
		ret = nexus_ring_map_reserve(m, (size_t)len, &to, nx_below(2));
		if (!ret) {
			memset(to, 1, (size_t)len);
			nexus_ring_map_commit(m, (size_t)len);
		}
		return ret;
	}
	len = nexus_ring_map_peek(m, &at, nx_below(2));
	if (len > 3000)
		return 1;
	if (len > 0) {
		memcpy(got, at, (size_t)len);
		nexus_ring_map_consume(m);
	}
	return len > 0 ? 0 : (int)len;
}

TEST_F(dir, scribbled)
{
	int turns = (int)nx_env("NEXUS_LOOPS", getenv("NEXUS_SHORT") ? 40 : 150);
	int turn, i, ret, unclean = 0, victim, bytes;
	struct nexus_ring_map *m[2], *again;
	struct nexus_ring_stat st;
	pthread_t thread;
	struct pair p;

	nx_seed();
	ASSERT_EQ(0, pair_open(&p, "ring", 3000));
	for (turn = 0; turn < turns; turn++) {
		bool was = false;

		victim = turn & 1;
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, nexus_ring_map_open(p.fd[i], 0, &m[i]));
		for (i = 0; i < (int)nx_below(20); i++) {
			use(m[1]);
			use(m[0]);
		}
		if (turn % 4 < 2) {
			stop = false;
			OK(pthread_create(&thread, NULL, scribbles, m[!victim]));
		}
		for (i = 0; i < 200; i++) {
			if (turn % 4 >= 2)
				scribble(m[!victim]);
			ret = use(m[victim]);
			if (was) {
				ASSERT_EQ(-EUCLEAN, ret);
			} else {
				ASSERT_TRUE(!ret || ret == -EAGAIN || ret == -ETIMEDOUT || ret == -EUCLEAN);
			}
			was = ret == -EUCLEAN;
			if (i % 50)
				continue;
			/* The kernel and others look, too. */
			st = ring_stat(p.fd[0]);
			ASSERT_LE(st.bytes, 3000);
			OK(ioctl(p.fd[0], FIONREAD, &bytes));
			ASSERT_LE(bytes, 3000);
			ring_poll(nexus_ring_map_fd(m[0]), POLLIN);
			ring_poll(nexus_ring_map_fd(m[1]), POLLOUT);
		}
		unclean += was;
		if (turn % 4 < 2) {
			stop = true;
			OK(pthread_join(thread, NULL));
		}
		/* Another on the side of the victim finds it sound, or is told. */
		nexus_ring_map_close(m[victim]);
		ret = nexus_ring_map_open(p.fd[victim], 0, &again);
		ASSERT_TRUE(!ret || ret == -EUCLEAN);
		if (!ret)
			nexus_ring_map_close(again);
		nexus_ring_map_close(m[!victim]);
		/* What the kernel took over is no more than can be, and then it is as new. */
		st = ring_stat(p.fd[0]);
		ASSERT_EQ(0, st.flags);
		ASSERT_LE(st.bytes, 3000);
		while (read(p.fd[0], got, sizeof(got)) > 0)
			;
		ASSERT_EQ(EAGAIN, errno);
		ASSERT_EQ(3000, write(p.fd[1], buf, 3000));
		FAILS(EAGAIN, write(p.fd[1], buf, 1));
		ASSERT_EQ(3000, read(p.fd[0], got, 3000));
	}
	printf("# %d of %d turns unclean\n", unclean, turns);
	ASSERT_LT(turns / 4, unclean);
}

/* ---- what it holds ------------------------------------------------------------------ */

TEST_F(dir, a_mapping_holds_the_mount)
{
	char *path = self->path;
	struct pair p;

	if (!self->root)
		SKIP(return, "not root");
	OK(mkdir("there", 0700));
	OK(mkdir("here", 0700));
	OK(mount("there", "here", NULL, MS_BIND, NULL));
	OK(chdir("here"));
	ASSERT_EQ(0, pair_open(&p, "ring", 1000));
	OK(chdir(path));
	ASSERT_EQ(0, nexus_ring_map_open(p.fd[0], 0, &p.rx));
	close(p.fd[0]);
	close(p.fd[1]);
	close(nexus_ring_map_fd(p.rx));
	FAILS(EBUSY, umount2("here", 0));
	OK(munmap(p.rx->area, p.rx->len));
	OK(umount2("here", 0));
}

/* 2 MiB and 3 pages for the mapping of 1 MiB, beside what the ring has. */
static void one_owner(void *arg)
{
	struct nexus_ring_map *m[32];
	struct pair p;
	char name[16];
	int i, err, turn, most = 0;

	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < 32; i++) {
			snprintf(name, sizeof(name), "ring-%d-%d", turn, i);
			HOLDS(!pair_open(&p, name, 1 << 20));
			err = nexus_ring_map_open(p.fd[0], 0, &m[i]);
			close(p.fd[0]);
			close(p.fd[1]);
			if (err)
				break;
		}
		HOLDS(err == -EDQUOT || err == -1);
		HOLDS(i > 4 && i < 17);
		/* All of it is given back. */
		HOLDS(!turn || most == i);
		most = i;
		while (i)
			nexus_ring_map_close(m[--i]);
	}
}

TEST_F(dir, memory_is_counted)
{
	if (!self->root)
		SKIP(return, "not root");
	OK(chmod(".", 0777));
	ASSERT_EQ(0, nx_as_nobody(one_owner, NULL));
}

TEST_HARNESS_MAIN
