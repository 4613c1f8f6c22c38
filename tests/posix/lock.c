// SPDX-License-Identifier: Apache-2.0
/*
 * fcntl(2), flock(2): locks of ranges against each other, owned by processes and by
 * open files; flags of files and descriptors.  The other party is a child that does
 * what it is told.
 */
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "px.h"

/* ---- the other process -------------------------------------------------------------- */

struct order {
	int what;	/* 0: close and reopen, 1: fcntl, 2: flock, 3: fcntl, and give up all when it fails */
	int cmd, type, pid;
	long long start, length;
};

struct reply {
	int code, type, mine;
	long long start, length;
};

static int to_other, from_other;
static pid_t other;

static void serve(int in, int out)
{
	int fd = open("f", O_RDWR);
	struct order order;

	while (read(in, &order, sizeof(order)) == sizeof(order)) {
		struct flock lock = { .l_type = (short)order.type, .l_start = order.start, .l_len = order.length };
		struct reply reply = { 0 };
		int ret = 0;

		if (order.what == 0) {
			close(fd);
			fd = open("f", O_RDWR);
		} else if (order.what == 1 || order.what == 3) {
			ret = fcntl(fd, order.cmd, &lock);
			reply.code = ret < 0 ? errno : 0;
			if (ret < 0 && order.what == 3)
				fcntl(fd, F_SETLK, &(struct flock){ .l_type = F_UNLCK });
		} else {
			ret = flock(fd, order.cmd);
		}
		if (order.what != 1 && order.what != 3)
			reply.code = ret < 0 ? errno : 0;
		reply.type = lock.l_type;
		reply.start = lock.l_start;
		reply.length = lock.l_len;
		reply.mine = lock.l_pid == getppid();
		if (write(out, &reply, sizeof(reply)) != sizeof(reply))
			break;
	}
	_exit(0);
}

static void start_other(void)
{
	int there[2], back[2];

	px_must(pipe(there));
	px_must(pipe(back));
	fflush(stdout);
	other = (pid_t)px_must(fork());
	if (!other) {
		close(there[1]);
		close(back[0]);
		serve(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	to_other = there[1];
	from_other = back[0];
}

static void stop_other(void)
{
	close(to_other);
	close(from_other);
	waitpid(other, NULL, 0);
}

static void tell(int what, int cmd, int type, long long start, long long length)
{
	struct order order = { what, cmd, type, 0, start, length };

	px_must(write(to_other, &order, sizeof(order)));
}

static struct reply hear(void)
{
	struct reply reply;

	if (px_must(read(from_other, &reply, sizeof(reply))) != sizeof(reply)) {
		errno = EPIPE;
		px_must(-1);
	}
	return reply;
}

static struct reply ask(int what, int cmd, int type, long long start, long long length)
{
	tell(what, cmd, type, start, length);
	return hear();
}

/* ---- ranges ---------------------------------------------------------------------------- */

static int fd;

static int lock(int cmd, int type, long long start, long long length)
{
	struct flock l = { .l_type = (short)type, .l_start = start, .l_len = length };

	return fcntl(fd, cmd, &l);
}

static const struct {
	const char *name;
	long long start, length;
	bool overlaps;	/* 1000 to 1999 */
} ranges[] = {
	{ "before", 0, 500, false }, { "up-to", 500, 500, false }, { "into", 500, 501, true },
	{ "over-the-begin", 500, 1000, true }, { "same", 1000, 1000, true }, { "inside", 1200, 100, true },
	{ "first-byte", 1000, 1, true }, { "last-byte", 1999, 1, true }, { "over-the-end", 1500, 1000, true },
	{ "from", 2000, 500, false }, { "behind", 3000, 1, false }, { "covering", 0, 5000, true },
	{ "all", 0, 0, true }, { "to-the-end-from-inside", 1500, 0, true }, { "to-the-end-from-behind", 2000, 0, false },
	{ "far", 1LL << 40, 1, false },
};

static const char *type_name(int type)
{
	return type == F_RDLCK ? "read" : type == F_WRLCK ? "write" : "unlock";
}

static void conflicts(void)
{
	static const int types[] = { F_RDLCK, F_WRLCK };
	static const int cmds[] = { F_SETLK, F_OFD_SETLK };
	unsigned int h, w, r, c, d;

	for (c = 0; c < 2; c++)
	for (d = 0; d < 2; d++)
	for (h = 0; h < 2; h++)
	for (w = 0; w < 2; w++)
	for (r = 0; r < PX_COUNT(ranges); r++) {
		bool blocks = ranges[r].overlaps && (types[h] == F_WRLCK || types[w] == F_WRLCK);
		const char *row = px_text("%s-%s/%s-%s/%s", c ? "ofd" : "posix", d ? "ofd" : "posix",
					  type_name(types[h]), type_name(types[w]), ranges[r].name);
		struct reply reply;

		px_must(lock(cmds[c], types[h], 1000, 1000));
		/* Who is in the way. */
		reply = ask(1, d ? F_OFD_GETLK : F_GETLK, types[w], ranges[r].start, ranges[r].length);
		px_str(blocks ? px_text("%s 1000+1000 %s", type_name(types[h]), c ? "file" : "process") : "nobody",
		       reply.code ? px_errname(reply.code) : reply.type == F_UNLCK ? "nobody" :
		       px_text("%s %lld+%lld %s", type_name(reply.type), reply.start, reply.length,
			       reply.mine ? "process" : "file"), "getlk/%s", row);
		reply = ask(1, cmds[d], types[w], ranges[r].start, ranges[r].length);
		px_str(blocks ? "EAGAIN" : "OK", px_errname(reply.code), "setlk/%s", row);
		ask(1, cmds[d], F_UNLCK, 0, 0);
		px_must(lock(cmds[c], F_UNLCK, 0, 0));
	}
}

/* After a lock of 1000+1000 and another by the same owner: what a third sees. */
static void splitting(void)
{
	static const long long points[] = { 999, 1000, 1299, 1300, 1399, 1400, 1500, 1999, 2000 };
	static const struct {
		const char *name;
		int type;
		long long start, length;
	} second[] = {
		{ "unlock-middle", F_UNLCK, 1300, 100 }, { "downgrade-middle", F_RDLCK, 1300, 100 },
		{ "unlock-begin", F_UNLCK, 0, 1300 }, { "unlock-end", F_UNLCK, 1400, 0 },
		{ "extend", F_WRLCK, 2000, 1000 }, { "same-again", F_WRLCK, 1000, 1000 }, { "unlock-all", F_UNLCK, 0, 0 },
		{ "downgrade-all", F_RDLCK, 0, 0 },
	};
	unsigned int s, p;

	for (s = 0; s < PX_COUNT(second); s++) {
		px_must(lock(F_SETLK, F_WRLCK, 1000, 1000));
		px_must(lock(F_SETLK, second[s].type, second[s].start, second[s].length));
		for (p = 0; p < PX_COUNT(points); p++) {
			long long end = second[s].length ? second[s].start + second[s].length : LLONG_MAX;
			bool in = points[p] >= second[s].start && points[p] < end;
			int want = in ? second[s].type : points[p] >= 1000 && points[p] < 2000 ? F_WRLCK : F_UNLCK;
			struct reply reply = ask(1, F_GETLK, F_WRLCK, points[p], 1);

			px_str(type_name(want), type_name(reply.type), "split/%s/%lld", second[s].name, points[p]);
		}
		px_must(lock(F_SETLK, F_UNLCK, 0, 0));
	}
}

static void releasing(void)
{
	int second = (int)px_must(open("f", O_RDWR)), dup_fd;

	/* Any close of the file gives up the locks of the process. */
	px_must(lock(F_SETLK, F_WRLCK, 0, 10));
	px_num(F_WRLCK, ask(1, F_GETLK, F_WRLCK, 0, 10).type, "release/held");
	close(second);
	px_num(F_UNLCK, ask(1, F_GETLK, F_WRLCK, 0, 10).type, "release/close-of-another");
	px_must(lock(F_SETLK, F_WRLCK, 0, 10));
	dup_fd = dup(fd);
	close(dup_fd);
	px_num(F_UNLCK, ask(1, F_GETLK, F_WRLCK, 0, 10).type, "release/close-of-dup");
	/* But not those of an open file. */
	px_must(lock(F_OFD_SETLK, F_WRLCK, 0, 10));
	dup_fd = dup(fd);
	close(dup_fd);
	px_num(F_WRLCK, ask(1, F_GETLK, F_WRLCK, 0, 10).type, "release/ofd-close-of-dup");
	second = (int)px_must(open("f", O_RDWR));
	px_err(EAGAIN, fcntl(second, F_OFD_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_len = 1 }),
	       "release/ofd-other-opening");
	px_err(EAGAIN, fcntl(second, F_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_len = 1 }),
	       "release/posix-against-own-ofd");
	close(second);
	px_num(F_WRLCK, ask(1, F_GETLK, F_WRLCK, 0, 10).type, "release/ofd-close-of-other");
	px_must(lock(F_OFD_SETLK, F_UNLCK, 0, 0));
	/* What the other held is free when it ends. */
	ask(1, F_SETLK, F_WRLCK, 0, 10);
	px_err(EAGAIN, lock(F_SETLK, F_WRLCK, 0, 10), "release/before-exit");
	ask(0, 0, 0, 0, 0);
	px_err(0, lock(F_SETLK, F_WRLCK, 0, 10), "release/after-close");
	px_must(lock(F_SETLK, F_UNLCK, 0, 0));
	ask(1, F_SETLK, F_WRLCK, 0, 10);
	stop_other();
	px_err(0, lock(F_SETLKW, F_WRLCK, 0, 10), "release/after-exit");
	px_must(lock(F_SETLK, F_UNLCK, 0, 0));
	start_other();
}

static void flocks(void)
{
	static const struct {
		const char *name;
		int op;
	} ops[] = { { "sh", LOCK_SH }, { "ex", LOCK_EX }, { "un", LOCK_UN } };
	unsigned int h, w;
	int second, again;

	for (h = 0; h < 3; h++) {
		for (w = 0; w < 3; w++) {
			bool blocks = h != 2 && w != 2 && (h == 1 || w == 1);

			px_must(flock(fd, ops[h].op | LOCK_NB));
			px_str(blocks ? "EAGAIN" : "OK", px_errname(ask(2, ops[w].op | LOCK_NB, 0, 0, 0).code),
			       "flock/other-process/%s-%s", ops[h].name, ops[w].name);
			ask(2, LOCK_UN, 0, 0, 0);
			second = (int)px_must(open("f", O_RDONLY));
			px_err(blocks ? EAGAIN : 0, flock(second, ops[w].op | LOCK_NB), "flock/other-opening/%s-%s",
			       ops[h].name, ops[w].name);
			close(second);
			again = dup(fd);
			px_err(0, flock(again, ops[w].op | LOCK_NB), "flock/dup/%s-%s", ops[h].name, ops[w].name);
			close(again);
			px_must(flock(fd, LOCK_UN));
			/* The two families do not see each other. */
			if (w == 2 || h == 2)
				continue;
			px_must(flock(fd, ops[h].op));
			px_str("OK", px_errname(ask(1, F_SETLK, w ? F_WRLCK : F_RDLCK, 0, 0).code),
			       "flock/against-fcntl/%s-%s", ops[h].name, ops[w].name);
			ask(1, F_SETLK, F_UNLCK, 0, 0);
			px_must(flock(fd, LOCK_UN));
		}
	}
	second = (int)px_must(open("f", O_RDONLY));
	px_must(flock(fd, LOCK_SH));
	px_must(flock(second, LOCK_SH));
	px_err(EAGAIN, flock(fd, LOCK_EX | LOCK_NB), "flock/upgrade-refused");
	px_must(flock(second, LOCK_UN));
	px_err(0, flock(fd, LOCK_EX | LOCK_NB), "flock/upgrade");
	px_err(0, flock(fd, LOCK_SH | LOCK_NB), "flock/downgrade");
	px_err(0, flock(second, LOCK_SH | LOCK_NB), "flock/after-downgrade");
	close(second);
	px_must(flock(fd, LOCK_UN));
	px_err(EINVAL, flock(fd, 0), "flock/nothing");
	px_err(EINVAL, flock(fd, LOCK_SH | LOCK_EX), "flock/both");
	px_err(EINVAL, flock(fd, 16), "flock/unknown");
	px_err(EBADF, flock(-1, LOCK_SH), "flock/bad");
	second = (int)px_must(open("f", O_PATH));
	px_err(EBADF, flock(second, LOCK_SH), "flock/o_path");
	close(second);
	second = (int)px_must(open(".", O_RDONLY));
	px_err(0, flock(second, LOCK_EX | LOCK_NB), "flock/directory");
	close(second);
}

static void on_alarm(int signal) { (void)signal; }

static void waiting(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct sigaction old;
	struct reply reply;
	int ret, code;

	ask(1, F_SETLK, F_WRLCK, 0, 10);
	sigaction(SIGALRM, &action, &old);
	ualarm(20000, 20000);
	px_err(EINTR, lock(F_SETLKW, F_WRLCK, 0, 10), "wait/interrupted");
	ualarm(0, 0);
	sigaction(SIGALRM, &old, NULL);
	alarm(60);
	ask(1, F_SETLK, F_UNLCK, 0, 0);
	/* Whether it waits already or comes later, it gets it. */
	px_must(lock(F_SETLK, F_WRLCK, 0, 10));
	tell(1, F_SETLKW, F_WRLCK, 0, 10);
	px_must(lock(F_SETLK, F_UNLCK, 0, 0));
	px_num(0, hear().code, "wait/granted");
	/* A circle of two: one of them is told, gives up, and the other has it. */
	px_must(lock(F_SETLK, F_WRLCK, 20, 10));
	tell(3, F_SETLKW, F_WRLCK, 20, 10);
	ret = lock(F_SETLKW, F_WRLCK, 0, 10);
	code = ret ? errno : 0;
	if (ret)
		px_must(lock(F_SETLK, F_UNLCK, 0, 0));
	reply = hear();
	px_str("one", (code == EDEADLK && !reply.code) || (!code && reply.code == EDEADLK) ? "one" :
	       px_text("%s %s", px_errname(code), px_errname(reply.code)), "wait/edeadlk");
	px_must(lock(F_SETLK, F_UNLCK, 0, 0));
	ask(1, F_SETLK, F_UNLCK, 0, 0);
}

PX_OPERATION(lock)
{
	struct flock l = { .l_type = F_WRLCK };
	struct { int cmd; const char *name; } cmds[] = { { F_SETLK, "posix" }, { F_OFD_SETLK, "ofd" } };
	unsigned int i;
	int only;

	px_file("f", 0644, "0123456789");
	fd = (int)px_must(open("f", O_RDWR));
	start_other();
	conflicts();
	splitting();
	releasing();
	flocks();
	for (i = 0; i < 2; i++) {
		int cmd = cmds[i].cmd;

		only = (int)px_must(open("f", O_RDONLY));
		px_err(EBADF, fcntl(only, cmd, &l), "error/%s/write-lock-rdonly", cmds[i].name);
		l.l_type = F_RDLCK;
		px_err(0, fcntl(only, cmd, &l), "error/%s/read-lock-rdonly", cmds[i].name);
		close(only);
		only = (int)px_must(open("f", O_WRONLY));
		px_err(EBADF, fcntl(only, cmd, &l), "error/%s/read-lock-wronly", cmds[i].name);
		l.l_type = F_WRLCK;
		px_err(0, fcntl(only, cmd, &l), "error/%s/write-lock-wronly", cmds[i].name);
		close(only);
		px_err(EINVAL, lock(cmd, 99, 0, 1), "error/%s/type", cmds[i].name);
		px_err(EINVAL, lock(cmd, F_WRLCK, -1, 1), "error/%s/negative", cmds[i].name);
		px_err(EINVAL, lock(cmd, F_WRLCK, 5, -6), "error/%s/length-negative", cmds[i].name);
		px_err(0, lock(cmd, F_WRLCK, 5, -5), "error/%s/length-backwards", cmds[i].name);
		px_num(F_WRLCK, ask(1, F_GETLK, F_WRLCK, 0, 1).type, "error/%s/backwards-first", cmds[i].name);
		px_num(F_UNLCK, ask(1, F_GETLK, F_WRLCK, 5, 1).type, "error/%s/backwards-behind", cmds[i].name);
		px_must(lock(cmd, F_UNLCK, 0, 0));
		px_err(EOVERFLOW, lock(cmd, F_WRLCK, LLONG_MAX, 2), "error/%s/overflow", cmds[i].name);
		px_err(0, lock(cmd, F_WRLCK, LLONG_MAX, 1), "error/%s/last-byte", cmds[i].name);
		px_must(lock(cmd, F_UNLCK, 0, 0));
		l = (struct flock){ .l_type = F_WRLCK, .l_whence = 99 };
		px_err(EINVAL, fcntl(fd, cmd, &l), "error/%s/whence", cmds[i].name);
		l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -1, .l_len = 1 };
		px_err(0, fcntl(fd, cmd, &l), "error/%s/from-the-end", cmds[i].name);
		px_num(9, ask(1, F_GETLK, F_WRLCK, 0, 0).start, "error/%s/from-the-end-start", cmds[i].name);
		px_must(lock(cmd, F_UNLCK, 0, 0));
		px_err(EFAULT, fcntl(fd, cmd, (void *)1), "error/%s/efault", cmds[i].name);
		px_err(EBADF, fcntl(-1, cmd, &l), "error/%s/bad", cmds[i].name);
		l = (struct flock){ .l_type = F_WRLCK };
	}
	l.l_pid = 1;
	px_err(EINVAL, fcntl(fd, F_OFD_SETLK, &l), "error/ofd/pid");
	waiting();
	stop_other();
}

PX_OPERATION(fcntl)
{
	static const struct {
		const char *name;
		int flags, shown;
	} opens[] = {
		{ "rdonly", O_RDONLY, O_RDONLY }, { "wronly", O_WRONLY, O_WRONLY }, { "rdwr", O_RDWR, O_RDWR },
		{ "append", O_RDWR | O_APPEND, O_RDWR | O_APPEND },
		{ "nonblock", O_RDWR | O_NONBLOCK, O_RDWR | O_NONBLOCK },
		{ "sync", O_RDWR | O_SYNC, O_RDWR | O_SYNC }, { "dsync", O_RDWR | O_DSYNC, O_RDWR | O_DSYNC },
		{ "noatime", O_RDWR | O_NOATIME, O_RDWR | O_NOATIME }, { "direct", O_RDWR | O_DIRECT, O_RDWR | O_DIRECT },
		{ "creat-is-not-kept", O_RDWR | O_CREAT | O_TRUNC, O_RDWR }, { "cloexec-is-not", O_RDWR | O_CLOEXEC, O_RDWR },
		{ "path", O_PATH, O_PATH }, { "nofollow", O_RDWR | O_NOFOLLOW, O_RDWR | O_NOFOLLOW },
	};
	static const int settable[] = { O_APPEND, O_NONBLOCK, O_NOATIME, O_DIRECT };
	static const char *const settable_name[] = { "append", "nonblock", "noatime", "direct" };
	static const int fixed[] = { O_SYNC, O_DSYNC, O_WRONLY, O_TRUNC, O_CREAT, O_EXCL, O_ASYNC };
	static const char *const fixed_name[] = { "sync", "dsync", "wronly", "trunc", "creat", "excl", "async" };
	unsigned int i;
	int f, g;

	/* A broken lease says so. */
	signal(SIGIO, SIG_IGN);
	px_file("f", 0644, "content");
	for (i = 0; i < PX_COUNT(opens); i++) {
		f = (int)px_must(open("f", opens[i].flags, 0644));
		px_num(opens[i].shown, fcntl(f, F_GETFL) & ~0100000, "getfl/%s", opens[i].name);
		px_num(opens[i].flags & O_CLOEXEC ? FD_CLOEXEC : 0, fcntl(f, F_GETFD), "getfd/%s", opens[i].name);
		close(f);
	}
	f = (int)px_must(open("f", O_RDWR));
	for (i = 0; i < PX_COUNT(settable); i++) {
		px_err(0, fcntl(f, F_SETFL, settable[i]), "setfl/%s", settable_name[i]);
		px_num(settable[i], fcntl(f, F_GETFL) & settable[i], "setfl/%s/set", settable_name[i]);
		px_err(0, fcntl(f, F_SETFL, 0), "setfl/%s/clear", settable_name[i]);
		px_num(0, fcntl(f, F_GETFL) & settable[i], "setfl/%s/cleared", settable_name[i]);
	}
	for (i = 0; i < PX_COUNT(fixed); i++) {
		px_err(0, fcntl(f, F_SETFL, fixed[i]), "setfl/%s", fixed_name[i]);
		px_num(O_RDWR, fcntl(f, F_GETFL) & (fixed[i] | O_ACCMODE), "setfl/%s/ignored", fixed_name[i]);
	}
	px_file("f", 0644, "content");
	px_must(fcntl(f, F_SETFL, O_APPEND));
	px_must(lseek(f, 0, SEEK_SET));
	px_must(write(f, "X", 1));
	px_str("contentX", px_content("f"), "setfl/append/effect");
	px_must(fcntl(f, F_SETFL, 0));
	g = fcntl(f, F_DUPFD, 50);
	px_num(50, g, "dupfd");
	px_must(lseek(f, 3, SEEK_SET));
	px_num(3, lseek(g, 0, SEEK_CUR), "dupfd/shares-offset");
	close(g);
	g = fcntl(f, F_DUPFD_CLOEXEC, 50);
	px_num(FD_CLOEXEC, fcntl(g, F_GETFD), "dupfd-cloexec");
	close(g);
	px_err(EINVAL, fcntl(f, F_DUPFD, -1), "dupfd/negative");
	px_err(EINVAL, fcntl(f, F_DUPFD, 1 << 30), "dupfd/large");
	px_err(EINVAL, fcntl(f, 9999), "unknown");
	px_err(EBADF, fcntl(-1, F_GETFL), "bad");
	px_num(0, fcntl(f, F_GETOWN), "getown");
	px_err(0, fcntl(f, F_SETOWN, getpid()), "setown");
	px_num(1, fcntl(f, F_GETOWN) == getpid(), "setown/is");
	/* Leases and notification. */
	px_num(F_UNLCK, fcntl(f, F_GETLEASE), "getlease");
	px_err(0, fcntl(f, F_SETLEASE, F_WRLCK), "setlease/write");
	px_num(F_WRLCK, fcntl(f, F_GETLEASE), "setlease/write/is");
	px_err(EAGAIN, open("f", O_RDONLY | O_NONBLOCK), "setlease/write/open-nonblock");
	px_err(0, fcntl(f, F_SETLEASE, F_UNLCK), "setlease/unlock");
	px_err(EAGAIN, fcntl(f, F_SETLEASE, F_RDLCK), "setlease/read-of-writable");
	px_err(EINVAL, fcntl(f, F_SETLEASE, 99), "setlease/type");
	px_become(&px_u2);
	px_err(EACCES, fcntl(f, F_SETLEASE, F_WRLCK), "setlease/not-the-owner");
	px_root();
	close(f);
	f = (int)px_must(open("f", O_RDONLY));
	px_err(0, fcntl(f, F_SETLEASE, F_RDLCK), "setlease/read");
	px_err(EAGAIN, open("f", O_WRONLY | O_NONBLOCK), "setlease/read/open-for-writing");
	g = open("f", O_RDONLY | O_NONBLOCK);
	px_err(0, g, "setlease/read/open-for-reading");
	close(g);
	px_err(0, fcntl(f, F_SETLEASE, F_UNLCK), "setlease/read/unlock");
	close(f);
	f = (int)px_must(open(".", O_RDONLY));
	px_err(EINVAL, fcntl(f, F_SETLEASE, F_RDLCK), "setlease/directory");
	px_err(0, fcntl(f, F_NOTIFY, 0), "notify/nothing");
	close(f);
	f = (int)px_must(open("f", O_RDWR));
	px_err(ENOTDIR, fcntl(f, F_NOTIFY, 2), "notify/file");
	px_err(EBADF, fcntl(f, F_GETPIPE_SZ), "pipe-size-of-file");
	px_err(EINVAL, fcntl(f, F_ADD_SEALS, 1), "seals-of-file");
	close(f);
}
