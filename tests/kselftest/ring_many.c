// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many producers and consumers of one small ring, each by whatever call it happens to
 * choose, and every message accounted for; also while they are killed at random.
 *
 * What a message holds follows from who sent it and its number, so each is compared
 * whole.  A producer notes what it is about to send and what was sent; a consumer
 * notes what it is about to receive, and each message before the next one.
 *
 * NEXUS_PROCESSES: producers, and as many consumers; NEXUS_SECONDS: how long.
 */
#include "nx_ring.h"

/* A minute each, on a slow machine. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 1200

#define CAPACITY	1000
#define HEAD		8	/* bytes that say which message it is; shorter ones are counted */
#define IDS		2048	/* producers ever */
#define PER_ID		(1u << 21)	/* messages of one */
#define ALIVE		128	/* of each kind */
#define BATCH		16

struct producer {
	uint32_t intent, sent;	/* numbers of messages, from 1 on */
};

static struct shared {
	uint32_t stop;
	uint64_t received;	/* progress */
	uint64_t doubles;
	struct producer producer[IDS];
	uint32_t in_flight[ALIVE];	/* of consumers: received at most, and not noted yet */
	uint32_t few[256][HEAD];	/* received short ones, by the first byte and length */
	uint8_t noted[IDS][PER_ID / 8];
} *shared;

static uint64_t hash(uint32_t id, uint32_t seq)
{
	uint64_t h = ((uint64_t)id << 32 | seq) * 0x9e3779b97f4a7c15ull;

	h ^= h >> 31;
	h *= 0xbf58476d1ce4e5b9ull;
	return h ^ h >> 29;
}

static uint32_t length(uint32_t id, uint32_t seq)
{
	uint64_t h = hash(id, seq), pick = h >> 40;

	switch (h % 8) {
	case 0:
		return 1 + pick % (HEAD - 1);
	case 1:
		return HEAD + pick % (CAPACITY - HEAD + 1);
	case 2:
		return HEAD + pick % (CAPACITY / 4);
	default:
		return HEAD + pick % 48;
	}
}

static uint32_t message(uint32_t id, uint32_t seq, uint8_t *out)
{
	uint32_t len = length(id, seq), i;
	uint64_t h = hash(id, seq);

	for (i = 0; i < len; i++)
		out[i] = (uint8_t)(h >> 8 * (i % 8)) ^ (uint8_t)i;
	if (len < HEAD) {
		/* All that it can say is one byte, and its length. */
		memset(out, (int)(id & 255), len);
		return len;
	}
	out[0] = (uint8_t)id;
	out[1] = (uint8_t)(id >> 8);
	out[2] = (uint8_t)len;
	out[3] = (uint8_t)(len >> 8);
	memcpy(out + 4, &seq, 4);
	return len;
}

/* ---- producers ------------------------------------------------------------------ */

static void until(int fd, short what)
{
	struct pollfd p = { .fd = fd, .events = what };

	HOLDS(poll(&p, 1, -1) == 1);
}

/* One by write or writev, waiting or not; how many were sent. */
static uint32_t send_one(const int fd[2], uint32_t id, uint32_t seq)
{
	static uint8_t buf[CAPACITY];
	uint32_t len = message(id, seq, buf), cut = (uint32_t)nx_below(len + 1);
	struct iovec iov[2] = { { buf, cut }, { buf + cut, len - cut } };
	int which = (int)nx_below(2);
	ssize_t n;

	n = nx_below(2) ? write(fd[which], buf, len) : writev(fd[which], iov, 2);
	if (n < 0 && which && errno == EAGAIN) {
		until(fd[which], POLLOUT);
		return 0;
	}
	HOLDS(n == (ssize_t)len);
	return 1;
}

static uint32_t send_many(const int fd[2], uint32_t id, uint32_t seq, uint32_t count)
{
	static uint8_t buf[BATCH * CAPACITY];
	uint32_t lens[BATCH], i, at = 0;
	struct nexus_ring_batch b = {
		.buf = (uintptr_t)buf, .lens = (uintptr_t)lens, .count = count,
		.flags = nx_below(2) ? NEXUS_RING_DONTWAIT : 0,
	};

	for (i = 0; i < count; i++) {
		lens[i] = message(id, seq + i, buf + at);
		at += lens[i];
	}
	if (ioctl(fd[0], NEXUS_IOC_RING_SEND, &b)) {
		HOLDS(b.flags && errno == EAGAIN);
		until(fd[0], POLLOUT);
		return 0;
	}
	HOLDS(b.done && b.done <= count);
	return b.done;
}

/* Its own files: one that waits and one that does not. */
static void ends_of(int fd[2], int how)
{
	HOLDS((fd[0] = open("ring", how)) >= 0);
	HOLDS((fd[1] = open("ring", how | O_NONBLOCK)) >= 0);
}

static void produce(uint32_t id)
{
	struct producer *me = &shared->producer[id];
	uint32_t count, seq;
	int fd[2];

	ends_of(fd, O_WRONLY);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		seq = me->sent + 1;
		count = nx_below(4) ? 1 : 1 + (uint32_t)nx_below(BATCH);
		HOLDS(seq + count < PER_ID);
		if (me->intent < me->sent + count)
			__atomic_store_n(&me->intent, me->sent + count, __ATOMIC_SEQ_CST);
		count = count == 1 ? send_one(fd, id, seq) : send_many(fd, id, seq, count);
		__atomic_store_n(&me->sent, me->sent + count, __ATOMIC_SEQ_CST);
	}
	_exit(0);
}

/* ---- consumers ------------------------------------------------------------------ */

static uint32_t last[IDS];	/* that this consumer received of each producer */

static void note(const uint8_t *buf, uint32_t len)
{
	static uint8_t should[CAPACITY];
	uint32_t id, seq, i;
	uint8_t bit;

	if (len < HEAD) {
		for (i = 1; i < len; i++)
			HOLDS(buf[i] == buf[0]);
		__atomic_fetch_add(&shared->few[buf[0]][len], 1, __ATOMIC_SEQ_CST);
	} else {
		id = buf[0] | (uint32_t)buf[1] << 8;
		memcpy(&seq, buf + 4, 4);
		HOLDS(id < IDS && seq && seq < PER_ID);
		HOLDS(message(id, seq, should) == len && !memcmp(buf, should, len));
		/* Nothing that nobody meant to send, nothing out of turn, nothing twice. */
		HOLDS(seq <= __atomic_load_n(&shared->producer[id].intent, __ATOMIC_SEQ_CST));
		HOLDS(seq > last[id]);
		last[id] = seq;
		bit = (uint8_t)(1 << seq % 8);
		HOLDS(!(__atomic_fetch_or(&shared->noted[id][seq / 8], bit, __ATOMIC_SEQ_CST) & bit));
	}
	__atomic_fetch_add(&shared->received, 1, __ATOMIC_RELAXED);
}

/* Of a slot of its own.  Messages received, 0 at the end; -1: there was none. */
static int receive(const int fd[2], uint32_t *in_flight)
{
	static uint8_t *buf;
	uint32_t lens[BATCH], i, at = 0;
	struct nexus_ring_batch b;
	int which = (int)nx_below(2);
	ssize_t n;

	if (!buf)
		buf = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HOLDS(buf != MAP_FAILED);
	/* Memory that is not there, so that it is tried again. */
	if (!nx_below(64))
		HOLDS(!madvise(buf, 65536, MADV_DONTNEED));
	if (nx_below(3)) {
		__atomic_store_n(in_flight, 1, __ATOMIC_SEQ_CST);
		n = read(fd[which], buf, CAPACITY);
		if (n < 0 && which && errno == EAGAIN)
			return -1;
		HOLDS(n >= 0);
		if (n > 0)
			note(buf, (uint32_t)n);
		__atomic_store_n(in_flight, 0, __ATOMIC_SEQ_CST);
		return n > 0;
	}
	b = (struct nexus_ring_batch){
		.buf = (uintptr_t)buf, .lens = (uintptr_t)lens, .bytes = 4 * CAPACITY,
		.count = 1 + (uint32_t)nx_below(BATCH), .flags = which ? NEXUS_RING_DONTWAIT : 0,
	};
	__atomic_store_n(in_flight, b.count, __ATOMIC_SEQ_CST);
	if (ioctl(fd[0], NEXUS_IOC_RING_RECV, &b)) {
		HOLDS(which && errno == EAGAIN);
		return -1;
	}
	for (i = 0; i < b.done; i++) {
		note(buf + at, lens[i]);
		at += lens[i];
		__atomic_fetch_sub(in_flight, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(in_flight, 0, __ATOMIC_SEQ_CST);
	HOLDS(at == b.bytes);
	return (int)b.done;
}

static void consume(int slot)
{
	uint32_t *in_flight = &shared->in_flight[slot];
	int fd[2], n;

	ends_of(fd, O_RDONLY);
	while ((n = receive(fd, in_flight)))
		if (n < 0)
			until(fd[0], POLLIN);
	__atomic_store_n(in_flight, 0, __ATOMIC_SEQ_CST);
	_exit(0);
}

/* ---- the parent ------------------------------------------------------------------ */

static struct many {
	int n;			/* of each kind */
	uint32_t ids;
	pid_t producer[ALIVE], consumer[ALIVE];
	uint64_t lost;		/* messages that killed consumers may have had, at most */
	int kills;
	int hold[2];		/* what keeps the ring open: to read, to write */
} m;

static pid_t child(void (*body)(int), int arg)
{
	uint64_t seed = nx_rand();
	pid_t pid = fork();

	if (!pid) {
		close(m.hold[0]);
		close(m.hold[1]);
		nx_srand(seed);
		body(arg);
	}
	return pid;
}

static void producer(int id)
{
	produce((uint32_t)id);
}

/* Kills one of them, and has another in its place; false: that could not be. */
static bool kill_one(void)
{
	int i = (int)nx_below((uint64_t)m.n), status;
	bool sends = nx_below(2) && m.ids < IDS;
	pid_t *pid = sends ? &m.producer[i] : &m.consumer[i];

	if (kill(*pid, SIGKILL) || waitpid(*pid, &status, 0) != *pid || !WIFSIGNALED(status))
		return false;
	if (!sends) {
		m.lost += shared->in_flight[i];
		shared->in_flight[i] = 0;
	}
	*pid = sends ? child(producer, (int)m.ids++) : child(consume, i);
	m.kills++;
	return *pid > 0;
}

/* Until @over; somebody must go on meanwhile, however slow the machine is. */
static bool watch(bool (*over)(void))
{
	uint64_t was = 0, now;
	int still = 0;

	while (!over()) {
		now = __atomic_load_n(&shared->received, __ATOMIC_RELAXED);
		still = now == was ? still + 1 : 0;
		was = now;
		if (still > 6000)
			return false;
		usleep(10000);
	}
	return true;
}

static struct timespec end;
static bool kills;
static bool wrong;

static bool time_is_over(void)
{
	struct timespec now;

	if (kills && !kill_one())
		wrong = true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return wrong || now.tv_sec > end.tv_sec ||
		(now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

static pid_t *waited_for;

static bool all_have_ended(void)
{
	int i, left = 0, status;

	for (i = 0; i < m.n; i++) {
		if (!waited_for[i])
			continue;
		if (waitpid(waited_for[i], &status, WNOHANG) == waited_for[i]) {
			waited_for[i] = 0;
			wrong |= !WIFEXITED(status) || WEXITSTATUS(status);
		} else {
			left++;
		}
	}
	return !left;
}

static bool is_noted(uint32_t id, uint32_t seq)
{
	return shared->noted[id][seq / 8] >> seq % 8 & 1;
}

/* What was sent and not received; *@maybe: of short ones that killed producers had in hand. */
static uint64_t missing(uint64_t *sent)
{
	static int64_t few[256][HEAD];
	uint64_t none = 0, maybe = 0;
	uint32_t id, seq, most, i, len;

	memset(few, 0, sizeof(few));
	*sent = 0;
	for (id = 0; id < m.ids; id++) {
		const struct producer *p = &shared->producer[id];

		/* Of what it did not come to note, what was sent is the beginning. */
		for (most = p->intent; most > p->sent && !is_noted(id, most); most--)
			maybe += length(id, most) < HEAD;
		for (seq = 1; seq <= most; seq++) {
			++*sent;
			if (length(id, seq) < HEAD)
				few[id & 255][length(id, seq)]++;
			else
				none += !is_noted(id, seq);
		}
	}
	for (i = 0; i < 256; i++) {
		for (len = 1; len < HEAD; len++) {
			few[i][len] -= shared->few[i][len];
			if (few[i][len] > 0)
				none += (uint64_t)few[i][len];
			else
				maybe += (uint64_t)few[i][len];
		}
	}
	/* More short ones than were sent and may have been. */
	if ((int64_t)maybe < 0)
		wrong = true;
	return none;
}

static void many(struct __test_metadata *_metadata, int n, uint64_t seconds)
{
	static uint8_t whole[CAPACITY];
	struct nexus_ring_stat st;
	uint64_t none, sent;
	int i;

	nx_seed();
	memset(&m, 0, sizeof(m));
	wrong = false;
	m.n = n;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	OK(ring_make("ring", CAPACITY));
	OK(ring_ends("ring", m.hold, O_NONBLOCK));
	for (i = 0; i < n; i++) {
		GET(m.producer[i], child(producer, (int)m.ids++));
		GET(m.consumer[i], child(consume, i));
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds;
	EXPECT_TRUE(watch(time_is_over)) {
		TH_LOG("nobody goes on");
		goto out;
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_SEQ_CST);
	waited_for = m.producer;
	EXPECT_TRUE(watch(all_have_ended)) {
		TH_LOG("producers do not end");
		goto out;
	}
	OK(close(m.hold[1]));
	waited_for = m.consumer;
	EXPECT_TRUE(watch(all_have_ended)) {
		TH_LOG("consumers do not end");
		goto out;
	}
	EXPECT_FALSE(wrong);
	none = missing(&sent);
	EXPECT_FALSE(wrong) {
		TH_LOG("more short messages than were sent");
	}
	EXPECT_GE(m.lost, none) {
		TH_LOG("%" PRIu64 " messages are missing", none);
	}
	st = ring_stat(m.hold[0]);
	printf("# %d producers and consumers, %d killed: %" PRIu64 " messages sent, %" PRIu64
	       " received, %" PRIu64 " missing of %" PRIu64 " that may be; %llu waits to send, %llu to receive\n",
	       n, m.kills, sent, shared->received, none, m.lost, st.full, st.empty);
	/* Short ones of killed producers are all that is not known exactly. */
	EXPECT_EQ(st.sent, st.received);
	EXPECT_EQ(st.sent_bytes, st.received_bytes);
	EXPECT_LE(sent, st.sent);
	EXPECT_LE(st.received - shared->received, m.lost);
	if (!kills) {
		EXPECT_EQ(sent, st.sent);
		EXPECT_EQ(sent, shared->received);
	}
	EXPECT_EQ(0, st.messages);
	EXPECT_EQ(0, st.bytes);
	EXPECT_EQ(1, st.readers);
	EXPECT_EQ(0, st.writers);
	/* All of the capacity is there again: nobody took any of it along. */
	GET(m.hold[1], open("ring", O_WRONLY | O_NONBLOCK));
	EXPECT_EQ(CAPACITY, write(m.hold[1], whole, CAPACITY));
	EXPECT_EQ(CAPACITY, read(m.hold[0], whole, CAPACITY));
	EXPECT_EQ(-1, read(m.hold[0], whole, CAPACITY));
out:
	for (i = 0; i < n; i++) {
		if (m.producer[i])
			kill(m.producer[i], SIGKILL);
		if (m.consumer[i])
			kill(m.consumer[i], SIGKILL);
	}
	close(m.hold[0]);
	close(m.hold[1]);
	munmap(shared, sizeof(*shared));
}

static void short_or_long(struct __test_metadata *_metadata)
{
	uint64_t n = nx_env("NEXUS_PROCESSES", getenv("NEXUS_SHORT") ? 4 : 8);

	many(_metadata, (int)(n > ALIVE ? ALIVE : n), nx_env("NEXUS_SECONDS", 3));
}

TEST_F(dir, every_message_arrives_once)
{
	kills = false;
	short_or_long(_metadata);
}

TEST_F(dir, while_processes_are_killed)
{
	kills = true;
	short_or_long(_metadata);
}

/* ---- one order for all -------------------------------------------------------------- */

#define SENDERS	2
#define READERS	4
#define ROUNDS	4000

static struct {
	uint32_t sent[SENDERS];	/* of each, what it knows to be sent */
	uint32_t read[SENDERS];	/* of each, the newest that somebody has read */
} *newest;

static void raise_to(uint32_t *to, uint32_t v)
{
	uint32_t was = __atomic_load_n(to, __ATOMIC_SEQ_CST);

	while (was < v && !__atomic_compare_exchange_n(to, &was, v, false, __ATOMIC_SEQ_CST,
						       __ATOMIC_SEQ_CST))
		;
}

/* Says what of the other had been sent before, too. */
static void order_send(int who)
{
	uint32_t msg[3] = { (uint32_t)who };
	int fd;

	HOLDS((fd = open("ring", O_WRONLY)) >= 0);
	for (msg[1] = 1; msg[1] <= ROUNDS; msg[1]++) {
		msg[2] = __atomic_load_n(&newest->sent[!who], __ATOMIC_SEQ_CST);
		HOLDS(write(fd, msg, sizeof(msg)) == sizeof(msg));
		__atomic_store_n(&newest->sent[who], msg[1], __ATOMIC_SEQ_CST);
	}
	_exit(0);
}

static void order_read(int unused)
{
	uint32_t msg[3], old[SENDERS];
	ssize_t n;
	int fd, i;

	HOLDS((fd = open("ring", O_RDONLY)) >= 0);
	for (;;) {
		for (i = 0; i < SENDERS; i++)
			old[i] = __atomic_load_n(&newest->read[i], __ATOMIC_SEQ_CST);
		n = read(fd, msg, sizeof(msg));
		if (!n)
			break;
		HOLDS(n == sizeof(msg) && msg[0] < SENDERS);
		/* Whatever was read, or sent before what was read, before this began. */
		HOLDS(msg[1] > old[msg[0]]);
		raise_to(&newest->read[msg[0]], msg[1]);
		raise_to(&newest->read[!msg[0]], msg[2]);
	}
	_exit(0);
}

TEST_F(dir, who_reads_later_reads_what_was_sent_later)
{
	pid_t pid;
	int i;

	memset(&m, 0, sizeof(m));
	newest = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, newest);
	OK(ring_make("ring", CAPACITY));
	OK(ring_ends("ring", m.hold, O_NONBLOCK));
	for (i = 0; i < READERS; i++)
		GET(pid, child(order_read, 0));
	for (i = 0; i < SENDERS; i++)
		GET(pid, child(order_send, i));
	/* The ring is at its end when those who send have it open no more. */
	while (__atomic_load_n(&newest->sent[0], __ATOMIC_SEQ_CST) == 0 ||
	       __atomic_load_n(&newest->sent[1], __ATOMIC_SEQ_CST) == 0)
		usleep(1000);
	OK(close(m.hold[1]));
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(SENDERS * ROUNDS, ring_stat(m.hold[0]).received);
	ASSERT_EQ(ROUNDS, newest->read[0]);
	ASSERT_EQ(ROUNDS, newest->read[1]);
	OK(close(m.hold[0]));
	munmap(newest, 4096);
}

TEST_HARNESS_MAIN
