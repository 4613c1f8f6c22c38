// SPDX-License-Identifier: GPL-2.0-only
/* Streams: waiting for records, many at once, and what stays; in memory and on disk alike. */
#include "nx_stream.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <linux/fs.h>

#include "../../userspace/libnexus/include/nexus/stream.h"
#define NEXUS_EXPORT
#include "../../userspace/libnexus/stream.c"

/* ---- waiting ---------------------------------------------------------------------- */

TEST_F(stream, at_the_tail)
{
	char buf[16];
	pid_t pid;
	int fd, status;

	/* As a file. */
	ASSERT_EQ(0, read(self->fd, buf, sizeof(buf)));
	GET(fd, open("s", O_RDONLY | O_NONBLOCK));
	FAILS(EAGAIN, read(fd, buf, sizeof(buf)));
	OK(stream_wait(fd));
	FAILS(EAGAIN, read(fd, buf, sizeof(buf)));
	close(fd);
	/* Who has asked for it waits. */
	GET(pid, fork());
	if (!pid) {
		fd = open("s", O_RDONLY);
		HOLDS(!stream_wait(fd));
		HOLDS(read(fd, buf, sizeof(buf)) == 5);
		HOLDS(!memcmp(buf, "hello", 5));
		_exit(0);
	}
	nx_until_asleep(pid);
	ASSERT_EQ(5, write(self->fd, "hello", 5));
	ASSERT_EQ(0, nx_reap());
	/* And can be killed. */
	GET(pid, fork());
	if (!pid) {
		fd = open("s", O_RDONLY);
		lseek(fd, 0, SEEK_END);
		HOLDS(!stream_wait(fd));
		read(fd, buf, sizeof(buf));
		_exit(0);
	}
	nx_until_asleep(pid);
	OK(kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
}

static void *waits_for_a_record(void *arg)
{
	char buf[16];

	HOLDS(read(*(int *)arg, buf, sizeof(buf)) == 3);
	return NULL;
}

/* The offset that /proc has of an open file. */
static long offset_in_proc(int fd)
{
	char path[64], line[200];
	long offset = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "stream-offset:\t%ld", &offset) == 1)
			break;
	if (f)
		fclose(f);
	return offset;
}

/* Who waits with an open file is in nobody's way who has the same one. */
TEST_F(stream, waits_beside_others)
{
	pthread_t thread;
	char buf[16];
	int i, n;

	OK(stream_wait(self->fd));
	for (i = 0; i < 5; i++) {
		OK(pthread_create(&thread, NULL, waits_for_a_record, &self->fd));
		/* Rather often it waits by then. */
		usleep(50000);
		ASSERT_LE(0, lseek(self->fd, 0, SEEK_CUR));
		ASSERT_EQ(3, write(self->fd, "abc", 3));
		OK(pthread_join(thread, NULL));
	}
	ASSERT_EQ(stream_stat(self->fd).tail, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	for (n = 0; n < 5; n++)
		ASSERT_EQ(3, read(self->fd, buf, sizeof(buf)));
	/* The offset is the same one without waiting. */
	n = lseek(self->fd, 0, SEEK_CUR);
	ASSERT_EQ(n, offset_in_proc(self->fd));
	OK(stream_mode(self->fd, 0));
	ASSERT_EQ(n, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(0, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(n - 1, lseek(self->fd, -1, SEEK_CUR));
	ASSERT_EQ(n - 1, offset_in_proc(self->fd));
	FAILS(EINVAL, lseek(self->fd, 2, SEEK_CUR));
	FAILS(EINVAL, lseek(self->fd, -n, SEEK_CUR));
	OK(stream_wait(self->fd));
	ASSERT_EQ(n, lseek(self->fd, 1, SEEK_CUR));
	FAILS(EINVAL, lseek(self->fd, 1, SEEK_CUR));
	FAILS(EINVAL, lseek(self->fd, -n - 1, SEEK_CUR));
}

#define SHARERS		4
#define SHARED_EACH	200

struct sharer {
	int	fd, nr, got;
	uint8_t	*seen;
};

static void *shares_reading(void *arg)
{
	struct sharer *s = arg;
	int v;

	for (;;) {
		HOLDS(read(s->fd, &v, sizeof(v)) == sizeof(v));
		if (v < 0)
			return NULL;
		HOLDS(v < SHARERS * SHARED_EACH);
		__atomic_add_fetch(&s->seen[v], 1, __ATOMIC_RELAXED);
		s->got++;
	}
}

static void *shares_writing(void *arg)
{
	struct sharer *s = arg;
	int i, v;

	for (i = 0; i < SHARED_EACH; i++) {
		v = s->nr * SHARED_EACH + i;
		HOLDS(write(s->fd, &v, sizeof(v)) == sizeof(v));
	}
	return NULL;
}

/* All through one open file: each record is somebody's, and nobody else's. */
TEST_F(stream, shared_by_readers_and_writers)
{
	static uint8_t seen[SHARERS * SHARED_EACH];
	struct sharer r[SHARERS], w[SHARERS];
	pthread_t rt[SHARERS], wt[SHARERS];
	int i, end = -1;

	memset(seen, 0, sizeof(seen));
	OK(stream_wait(self->fd));
	for (i = 0; i < SHARERS; i++) {
		r[i] = (struct sharer){ self->fd, i, 0, seen };
		w[i] = r[i];
		OK(pthread_create(&rt[i], NULL, shares_reading, &r[i]));
		OK(pthread_create(&wt[i], NULL, shares_writing, &w[i]));
	}
	for (i = 0; i < SHARERS; i++)
		OK(pthread_join(wt[i], NULL));
	for (i = 0; i < SHARERS; i++)
		ASSERT_EQ(sizeof(end), write(self->fd, &end, sizeof(end)));
	for (i = 0; i < SHARERS; i++)
		OK(pthread_join(rt[i], NULL));
	for (i = 0; i < SHARERS * SHARED_EACH; i++)
		ASSERT_EQ(1, seen[i]);
	ASSERT_EQ(stream_stat(self->fd).tail, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(stream, poll_wakes_on_growth)
{
	struct epoll_event ev = { .events = EPOLLIN }, edge = { .events = EPOLLIN | EPOLLET };
	int ep, fd, et;
	char buf[16];
	pid_t pid;

	GET(fd, open("s", O_RDONLY));
	ASSERT_EQ(0, stream_poll(fd, POLLIN));
	ASSERT_EQ(POLLOUT, stream_poll(self->fd, POLLIN | POLLOUT));
	GET(ep, epoll_create1(0));
	GET(et, epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	OK(epoll_ctl(et, EPOLL_CTL_ADD, fd, &edge));
	ASSERT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	GET(pid, fork());
	if (!pid) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		HOLDS(poll(&p, 1, -1) == 1);
		HOLDS(p.revents == POLLIN);
		_exit(0);
	}
	nx_until_asleep(pid);
	ASSERT_EQ(1, write(self->fd, "1", 1));
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(1, epoll_wait(et, &ev, 1, 0));
	ASSERT_EQ(0, epoll_wait(et, &ev, 1, 0));
	ASSERT_EQ(1, write(self->fd, "2", 1));
	ASSERT_EQ(1, epoll_wait(et, &ev, 1, 0));
	ASSERT_EQ(1, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(1, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
	close(et);
	close(fd);
}

TEST_F(stream, inotify_sees_what_is_appended)
{
	char buf[4096];
	int in;

	GET(in, inotify_init1(IN_NONBLOCK));
	ASSERT_LE(0, inotify_add_watch(in, "s", IN_MODIFY));
	FAILS(EAGAIN, read(in, buf, sizeof(buf)));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	ASSERT_EQ(sizeof(struct inotify_event), read(in, buf, sizeof(buf)));
	OK(nexus_stream_append(self->fd, "y", 1, NULL));
	ASSERT_EQ(sizeof(struct inotify_event), read(in, buf, sizeof(buf)));
	close(in);
}

/* ---- many ---------------------------------------------------------------------- */

TEST_F(stream, batches)
{
	static unsigned char out[200000], in[200000];
	struct nexus_stream_record recs[200];
	uint32_t lens[200];
	uint64_t pos = 1, at;
	size_t sum = 0;
	int n;

	for (n = 0; n < 200; n++) {
		lens[n] = stream_record(n, 900, out + sum);
		sum += lens[n];
	}
	ASSERT_EQ(200, nexus_stream_append_batch(self->fd, out, lens, 200, &pos));
	ASSERT_EQ(0, pos);
	ASSERT_EQ(200, stream_stat(self->fd).records);
	at = 0;
	ASSERT_EQ(200, nexus_stream_read_batch(self->fd, &at, in, sizeof(in), recs, 200));
	ASSERT_EQ(stream_stat(self->fd).tail, at);
	ASSERT_EQ(0, memcmp(in, out, sum));
	for (n = 0; n < 200; n++) {
		ASSERT_EQ(lens[n], recs[n].len);
		ASSERT_EQ(lens[n], pread(self->fd, in, sizeof(in), recs[n].pos));
		if (n)
			ASSERT_LE(recs[n - 1].time, recs[n].time);
	}
	/* As many as fit. */
	at = 0;
	ASSERT_EQ(2, nexus_stream_read_batch(self->fd, &at, in, lens[0] + lens[1], recs, 200));
	ASSERT_EQ(recs[1].pos, recs[0].pos + 24 + 16 + lens[0]);
	at = 0;
	ASSERT_EQ(-EMSGSIZE, nexus_stream_read_batch(self->fd, &at, in, lens[0] - 1, recs, 200));
	at = 1;
	ASSERT_EQ(-EINVAL, nexus_stream_read_batch(self->fd, &at, in, sizeof(in), recs, 200));
	at = stream_stat(self->fd).tail;
	ASSERT_EQ(0, nexus_stream_read_batch(self->fd, &at, in, sizeof(in), recs, 200));
	ASSERT_EQ(-EINVAL, nexus_stream_read_batch(self->fd, &at, in, sizeof(in), recs, 0));
	ASSERT_EQ(-EINVAL, nexus_stream_append_batch(self->fd, out, lens, 0, &pos));
	lens[0] = 0;
	ASSERT_EQ(-EINVAL, nexus_stream_append_batch(self->fd, out, lens, 200, &pos));
	lens[0] = NEXUS_STREAM_RECORD_MAX;
	ASSERT_EQ(-EMSGSIZE, nexus_stream_append_batch(self->fd, out, lens, 200, &pos));
	ASSERT_EQ(200, stream_stat(self->fd).records);
}

/* Each record of each process is there once, whole, in its order. */
TEST_F(stream, many_appenders_and_readers)
{
	enum { APPENDERS = 4, EACH = 200 };
	int next[APPENDERS] = {}, fd, i, n, total = 0;
	unsigned char buf[3000];
	pid_t pid;

	for (i = 0; i < APPENDERS; i++) {
		GET(pid, fork());
		if (pid)
			continue;
		for (n = 0; n < EACH; n++) {
			size_t len = 2 + stream_record(n * APPENDERS + i, 1000, buf + 2);

			buf[0] = i;
			buf[1] = n;
			HOLDS(write(self->fd, buf, len) == (ssize_t)len);
		}
		_exit(0);
	}
	GET(fd, open("s", O_RDONLY));
	OK(stream_wait(fd));
	while (total < APPENDERS * EACH) {
		unsigned char want[3000];
		ssize_t got = read(fd, buf, sizeof(buf));

		ASSERT_LT(2, got);
		i = buf[0];
		ASSERT_GT(APPENDERS, i);
		ASSERT_EQ(next[i] & 255, buf[1]);
		ASSERT_EQ(got - 2, stream_record(next[i] * APPENDERS + i, 1000, want));
		ASSERT_EQ(0, memcmp(want, buf + 2, got - 2));
		next[i]++;
		total++;
	}
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(0, lseek(fd, 0, SEEK_END) - stream_stat(fd).tail);
	close(fd);
}

TEST_F(stream, splice_moves_a_record)
{
	char buf[100] = "";
	int p[2], fd;
	off_t off = 0;

	OK(pipe(p));
	ASSERT_EQ(5, write(self->fd, "first", 5));
	ASSERT_EQ(6, write(self->fd, "second", 6));
	ASSERT_EQ(5, splice(self->fd, NULL, p[1], NULL, 100, 0));
	ASSERT_EQ(6, splice(self->fd, NULL, p[1], NULL, 100, 0));
	/* And what is in a pipe is one. */
	ASSERT_EQ(11, splice(p[0], NULL, self->fd, NULL, 100, 0));
	ASSERT_EQ(11, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "firstsecond", 11));
	GET(fd, open("plain", O_RDWR | O_CREAT, 0644));
	FAILS(EINVAL, sendfile(fd, self->fd, &off, 1000));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	FAILS(EINVAL, copy_file_range(self->fd, NULL, fd, NULL, 1000, 0));
	close(fd);
}

/* ---- staying ---------------------------------------------------------------------- */

TEST_F(stream, stays_when_nobody_has_it_open)
{
	struct nexus_stream_stat st, after;
	struct stat sb;
	char buf[16];

	ASSERT_EQ(4, write(self->fd, "stay", 4));
	ASSERT_EQ(4, write(self->fd, "here", 4));
	st = stream_stat(self->fd);
	close(self->fd);
	nx_drop_caches();
	OK(rename("s", "t"));
	OK(stat("t", &sb));
	ASSERT_EQ(st.tail, sb.st_size);
	nx_drop_caches();
	GET(self->fd, open("t", O_RDWR));
	after = stream_stat(self->fd);
	ASSERT_EQ(st.tail, after.tail);
	ASSERT_EQ(st.records, after.records);
	ASSERT_EQ(st.id, after.id);
	ASSERT_EQ(4, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(4, write(self->fd, "more", 4));
	ASSERT_EQ(4, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(4, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp("more", buf, 4));
	/* Without a name, as long as it is open. */
	OK(unlink("t"));
	ASSERT_EQ(4, write(self->fd, "last", 4));
	ASSERT_EQ(4, read(self->fd, buf, sizeof(buf)));
}

/* What was trimmed, by whatever, is gone also for who opens it when nothing is cached. */
TEST_F(stream, begins_where_it_began)
{
	unsigned char want[2000], buf[2000];
	struct nexus_stream_stat st, after;
	int fd, n, round;
	uint64_t at;

	OK(stream_make("b", 32768, variant->flags));
	for (round = 0; round < 6; round++) {
		GET(fd, open("b", O_RDWR));
		for (n = 0; n < 60; n++) {
			size_t len = stream_record(n, 1500, want);

			ASSERT_EQ(len, write(fd, want, len));
		}
		if (round & 1) {
			struct nexus_stream_record recs[20];
			static unsigned char room[40000];

			at = stream_stat(fd).start;
			ASSERT_EQ(8, nexus_stream_read_batch(fd, &at, room, sizeof(room), recs, 8));
			OK(nexus_stream_trim(fd, at));
		}
		if (round == 4)
			OK(nexus_stream_trim(fd, stream_stat(fd).tail));
		st = stream_stat(fd);
		close(fd);
		nx_drop_caches();
		GET(fd, open("b", O_RDWR));
		after = stream_stat(fd);
		ASSERT_EQ(st.start, after.start);
		ASSERT_EQ(st.tail, after.tail);
		ASSERT_EQ(st.records, after.records);
		for (n = 0; n < (int)st.records; n++)
			ASSERT_LT(0, read(fd, buf, sizeof(buf)));
		ASSERT_EQ(0, read(fd, buf, sizeof(buf)));
		close(fd);
	}
}

TEST_F(stream, flags_and_locks_of_files)
{
	struct nexus_plock_arg { uint32_t mode, flags; int64_t ms; uint64_t r[2]; } arg = { .mode = 2 };
	int attr;

	OK(ioctl(self->fd, _IOW(0xE6, 0x40, struct nexus_plock_arg), &arg));
	OK(ioctl(self->fd, FS_IOC_GETFLAGS, &attr));
	attr |= FS_IMMUTABLE_FL;
	OK(ioctl(self->fd, FS_IOC_SETFLAGS, &attr));
	FAILS(EPERM, write(self->fd, "x", 1));
	FAILS(EPERM, stream_trim(self->fd, 0));
	attr &= ~FS_IMMUTABLE_FL;
	OK(ioctl(self->fd, FS_IOC_SETFLAGS, &attr));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	OK(fsync(self->fd));
	OK(fdatasync(self->fd));
	attr |= FS_NOCOW_FL;
	FAILS(EOPNOTSUPP, ioctl(self->fd, FS_IOC_SETFLAGS, &attr));
}

TEST_HARNESS_MAIN
