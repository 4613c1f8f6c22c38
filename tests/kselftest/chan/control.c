// SPDX-License-Identifier: GPL-2.0-only
/* The netlink family: who may, what it tells, what it does, events. */
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "netlink.h"

static int nl, family, group;

static int talk(int cmd, const char *session, const char *zone,
		const uint64_t *ino)
{
	struct nl_msg m;

	nl_begin(&m, family, cmd, NLM_F_ACK);
	if (session)
		nl_put_string(&m, NEXUS_A_SESSION, session);
	if (zone)
		nl_put_string(&m, NEXUS_A_ZONE, zone);
	if (ino)
		nl_put(&m, NEXUS_A_INO, ino, 8);
	return nl_talk(nl, &m, NULL, NULL);
}

/* ---- dumps -------------------------------------------------------------------- */

struct found {
	bool session, zone;
	uint32_t state, epoch, pid, queues, flags;
	uint64_t tail, durable, applied, checkpoint;
	int32_t error;
	char reason[112];
	unsigned int counters;
};

static uint64_t u64_of(const void *p)
{
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, 8);
	return v;
}

static void on_session(const struct nlmsghdr *h, void *arg)
{
	const char *name = nl_attr(h, NEXUS_A_SESSION);
	struct found *f = arg;

	if (!name || strcmp(name, SESSION))
		return;
	f->session = true;
	f->state = *(uint32_t *)nl_attr(h, NEXUS_A_STATE);
	f->epoch = *(uint32_t *)nl_attr(h, NEXUS_A_EPOCH);
	f->pid = *(uint32_t *)nl_attr(h, NEXUS_A_PID);
	f->queues = *(uint32_t *)nl_attr(h, NEXUS_A_QUEUES);
}

static void on_zone(const struct nlmsghdr *h, void *arg)
{
	const char *name = nl_attr(h, NEXUS_A_ZONE);
	const char *reason = nl_attr(h, NEXUS_A_REASON);
	const int32_t *error = nl_attr(h, NEXUS_A_ERROR);
	struct found *f = arg;

	if (!name || strcmp(name, ZONE))
		return;
	f->zone = true;
	f->flags = *(uint32_t *)nl_attr(h, NEXUS_A_FLAGS);
	f->tail = u64_of(nl_attr(h, NEXUS_A_TAIL));
	f->durable = u64_of(nl_attr(h, NEXUS_A_DURABLE));
	f->applied = u64_of(nl_attr(h, NEXUS_A_APPLIED));
	f->checkpoint = u64_of(nl_attr(h, NEXUS_A_CHECKPOINT));
	if (error)
		f->error = *error;
	if (reason)
		snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static void on_stats(const struct nlmsghdr *h, void *arg)
{
	((struct found *)arg)->counters += nl_attr(h, NEXUS_A_COUNTER) != NULL;
}

static int dump(int cmd, nl_fn fn, struct found *f)
{
	struct nl_msg m;

	memset(f, 0, sizeof(*f));
	nl_begin(&m, family, cmd, NLM_F_DUMP);
	return nl_talk(nl, &m, fn, f);
}

static void test_dumps(pid_t helper)
{
	struct found f;
	char path[128];

	ok_err(dump(NEXUS_CMD_STATS_GET, on_stats, &f), 0, "counters");
	ok(f.counters >= 20, "there are %u of them", f.counters);
	ok_err(dump(NEXUS_CMD_SESSION_GET, on_session, &f), 0, "sessions");
	ok(f.session && f.state == NEXUS_SESSION_LIVE && f.queues == 2 &&
	   f.pid == helper && f.epoch == 1,
	   "ours is live, with 2 queues, of process %u", f.pid);
	snprintf(path, sizeof(path), "%s/n1", ctl->mnt);
	op_run(op_create, path);
	ok_err(talk(NEXUS_CMD_QUIESCE, NULL, ZONE, NULL), 0, "QUIESCE");
	ok_err(dump(NEXUS_CMD_ZONE_GET, on_zone, &f), 0, "zones");
	ok(f.zone && !f.flags && !f.error, "ours is well");
	ok(f.tail > FIRST_LSN && f.durable == f.tail,
	   "its log is durable to its tail, %llu", (unsigned long long)f.tail);
	ok(f.applied == FIRST_LSN && f.checkpoint == FIRST_LSN,
	   "and nothing of it is applied");
}

/* ---- refusals ------------------------------------------------------------------- */

static int as_nobody(const char *arg)
{
	struct nl_msg m;

	if (setgid(65534) || setuid(65534))
		return -EINVAL;
	nl = nl_open();
	nl_begin(&m, family, arg[0], arg[0] == NEXUS_CMD_STATS_GET ? NLM_F_DUMP :
		 NLM_F_ACK);
	nl_put_string(&m, NEXUS_A_SESSION, SESSION);
	return nl_talk(nl, &m, NULL, NULL);
}

static int net_admin_only(const char *arg)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { };

	d[0].effective = d[0].permitted = 1u << CAP_NET_ADMIN;
	if (syscall(SYS_capset, &h, d))
		return -EINVAL;
	nl = nl_open();
	return talk(NEXUS_CMD_ABORT, SESSION, NULL, NULL);
}

static void test_refusals(void)
{
	struct nl_msg m;
	char many[300];
	uint64_t zero = 0;

	ok_err(op_run(as_nobody, (char[]){ NEXUS_CMD_ABORT, 0 }), -EPERM,
	       "ABORT as nobody");
	ok_err(op_run(as_nobody, (char[]){ NEXUS_CMD_STATS_GET, 0 }), -EPERM,
	       "counters as nobody");
	ok_err(op_run(net_admin_only, NULL), -EPERM,
	       "ABORT without CAP_SYS_ADMIN");
	ok_err(talk(NEXUS_CMD_ABORT, NULL, NULL, NULL), -EINVAL,
	       "ABORT of nothing");
	ok_err(talk(NEXUS_CMD_ABORT, "nobody", NULL, NULL), -ENOENT,
	       "ABORT of no session");
	ok(!strcmp(nl_why, "no such session"), "it says: %s", nl_why);
	ok_err(talk(NEXUS_CMD_QUIESCE, NULL, "nowhere", NULL), -ENOENT,
	       "QUIESCE of no zone");
	ok(nl_why[0], "it says: %s", nl_why);
	ok_err(talk(NEXUS_CMD_QUIESCE, "nobody", ZONE, NULL), -ENOENT,
	       "QUIESCE in another session");
	memset(many, 'a', sizeof(many));
	many[299] = 0;
	ok_err(talk(NEXUS_CMD_QUIESCE, NULL, many, NULL), -EINVAL,
	       "a name of 299 bytes");
	ok_err(talk(NEXUS_CMD_INVALIDATE, NULL, ZONE, &zero), -ERANGE,
	       "INVALIDATE of inode 0");
	ok_err(talk(99, NULL, NULL, NULL), -EOPNOTSUPP, "an unknown command");
	nl_begin(&m, family, NEXUS_CMD_QUIESCE, NLM_F_ACK);
	nl_put_string(&m, NEXUS_A_ZONE, ZONE);
	nl_put(&m, NEXUS_A_VALUE, &zero, 8);
	ok_err(nl_talk(nl, &m, NULL, NULL), -EINVAL,
	       "an attribute the command does not take");
	nl_begin(&m, family, NEXUS_CMD_QUIESCE, NLM_F_ACK);
	nl_put(&m, NEXUS_A_ZONE, "fak", 3);
	ok_err(nl_talk(nl, &m, NULL, NULL), -EINVAL, "a name without an end");
}

/* ---- INVALIDATE ------------------------------------------------------------------- */

static bool asks(const char *path)
{
	unsigned int before = ctl->seen;

	op_run(op_lstat, path);
	return ctl->seen != before;
}

static void test_invalidate(void)
{
	char path[128];
	uint64_t ino;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/f555", ctl->mnt);
	asks(path);
	ok(!asks(path), "a known name asks nobody");
	ok_err(talk(NEXUS_CMD_INVALIDATE, SESSION, ZONE, NULL), 0,
	       "INVALIDATE of the zone");
	ok(asks(path), "now it asks");
	ok(!asks(path), "once");
	/* The descriptor keeps the inode, so its number can be had. */
	fd = open(ctl->mnt, O_RDONLY);
	ok(!fstatat(fd, "f555", &st, 0), "its number: %lu", st.st_ino);
	close(fd);
	ino = st.st_ino;
	ok_err(talk(NEXUS_CMD_INVALIDATE, NULL, ZONE, &ino), 0,
	       "INVALIDATE of the inode");
	ok(asks(path), "now it asks");
	ino = 1ull << 40;
	ok_err(talk(NEXUS_CMD_INVALIDATE, NULL, ZONE, &ino), 0,
	       "INVALIDATE of an inode that is not cached");
}

/* ---- events and ABORT --------------------------------------------------------------- */

struct event {
	uint64_t seq;
	uint32_t ev;
};

static int listener(void)
{
	int fd = nl_open();

	setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		   sizeof(group));
	return fd;
}

/* Reads events until one is @ev; false if it does not come or a number is missing. */
static bool event(int fd, uint32_t ev, uint64_t *seq)
{
	char buf[8192] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (void *)buf;
	double end = now() + 5;
	bool gap = false;

	while (now() < end) {
		uint64_t s;
		uint32_t e;

		if (recv(fd, buf, sizeof(buf), 0) < 0)
			return false;
		s = u64_of(nl_attr(h, NEXUS_A_EVENT_SEQ));
		e = *(uint32_t *)nl_attr(h, NEXUS_A_EVENT);
		gap |= *seq && s != *seq + 1;
		*seq = s;
		if (e == ev)
			return !gap;
	}
	return false;
}

static void test_abort(void)
{
	int fd = listener(), i, bad = 0;
	struct found f;
	char path[128];
	uint64_t seq = 0;
	pid_t helper, op[20];

	ok(group && fd >= 0, "the group of events: %d", group);
	helper = fake_start();
	ok(event(fd, NEXUS_EV_SESSION_LIVE, &seq), "event: session live");
	ok_err(fake_mount(NULL), 0, "mount");
	ok(event(fd, NEXUS_EV_ZONE_ATTACHED, &seq), "event: zone attached");
	ctl->manner = SILENT;
	for (i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "%s/f%d", ctl->mnt, 7000 + i);
		op[i] = op_start(op_lstat, path);
	}
	usleep(300000);
	ok_err(talk(NEXUS_CMD_ABORT, SESSION, NULL, NULL), 0, "ABORT");
	for (i = 0; i < 20; i++)
		bad += op_wait(op[i], 2) != -ENOTCONN;
	ok(!bad, "twenty waiters get ENOTCONN: %d do not", bad);
	ctl->manner = GOOD;
	ok(event(fd, NEXUS_EV_ZONE_READONLY, &seq), "event: zone read-only");
	ok(event(fd, NEXUS_EV_SESSION_DEAD, &seq), "event: session dead");
	ok_err(op_wait(helper, 5), 0, "the helper's WAITs end with ESHUTDOWN");
	dump(NEXUS_CMD_SESSION_GET, on_session, &f);
	ok(f.session && f.state == NEXUS_SESSION_DEAD, "the session is dead");
	dump(NEXUS_CMD_ZONE_GET, on_zone, &f);
	ok(f.error == -ENOTCONN && f.reason[0], "and the zone knows why: %s",
	   f.reason);
	ok_err(talk(NEXUS_CMD_ABORT, SESSION, NULL, NULL), -ENOENT,
	       "ABORT again");
	ok_err(fake_umount(), 0, "umount");
	ok(event(fd, NEXUS_EV_ZONE_DETACHED, &seq), "event: zone detached");
	dump(NEXUS_CMD_SESSION_GET, on_session, &f);
	for (i = 0; i < 50 && f.session; i++) {
		usleep(20000);
		dump(NEXUS_CMD_SESSION_GET, on_session, &f);
	}
	ok(!f.session, "and the session is gone");
	close(fd);
}

int main(void)
{
	pid_t helper;

	fake_init();
	nl = nl_open();
	family = nl_family(nl, &group);
	ok(family > 0, "the family");
	helper = fake_start();
	ok_err(fake_mount(NULL), 0, "mount");
	test_dumps(helper);
	test_refusals();
	test_invalidate();
	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
	test_abort();
	fake_exit();
	return done();
}
