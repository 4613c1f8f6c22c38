// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a session: a helper that dies at each step, waiters that are killed,
 * more requests than slots, grace, and the end of it all.
 */
#include <linux/fs.h>
#include <sched.h>

#include "fake.h"

static char path[128];

static const char *name(char kind)
{
	static unsigned int n = 100000;

	snprintf(path, sizeof(path), "%s/%c%u", ctl->mnt, kind, ++n);
	return path;
}

static bool eventually(bool (*is)(void), double seconds)
{
	double end = now() + seconds;

	while (!is()) {
		if (now() > end)
			return false;
		usleep(5000);
	}
	return true;
}

/* ---- deaths ------------------------------------------------------------------ */

static int op_mount_fake(const char *mnt)
{
	return mount(SESSION ":" ZONE, mnt, "nexusfs", 0, NULL) ? -errno : 0;
}

/* A mount waits while one helper dies in the middle, and the next one serves it. */
static void test_death_in_mount(void)
{
	static const char * const names[] = {
		[STEP_OPEN_SEEN] = "with OPEN_ZONE in hand",
		[STEP_ATTACHED] = "after ZONE_ATTACH",
		[STEP_SEGMENTS] = "after handing over segments",
		[STEP_PACKS] = "after handing over packs",
		[STEP_REPLIED] = "with the reply written and not told",
	};
	pid_t helper, next, op;
	int step;

	for (step = STEP_OPEN_SEEN; step <= STEP_REPLIED; step++) {
		ctl->die_at = step;
		helper = fake_start();
		op = op_start(op_mount_fake, ctl->mnt);
		waitpid(helper, NULL, 0);
		ctl->die_at = STEP_NONE;
		next = fake_start();
		ok_err(op_wait(op, 10), 0, "mount, the helper dies %s",
		       names[step]);
		ok_err(op_run(op_lstat, name('f')), 0, "and then a lookup");
		ok_err(fake_umount(), 0, "and the umount");
		fake_stop(next);
	}
}

static int op_mount_on_0(const char *mnt)
{
	struct sched_param none = { 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &none))
		return -errno;
	return cpu_only(0) ?: op_mount_fake(mnt);
}

/* The zone is gone before the mount looks: it asks the next helper. */
static void test_death_after_answer(void)
{
	pid_t helper, next, op;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		note("one CPU: no mount can be late");
		return;
	}
	ctl->hogging = 0;
	ctl->die_at = STEP_COMMITTED;
	helper = fake_start();
	op = op_start(op_mount_on_0, ctl->mnt);
	waitpid(helper, NULL, 0);
	ctl->die_at = STEP_NONE;
	next = fake_start();
	ok_err(op_wait(op, 20), 0, "mount, the helper dies right after its answer");
	ok(ctl->hogging, "before the mount could run");
	ok_err(op_run(op_lstat, name('f')), 0, "and then a lookup");
	ok_err(fake_umount(), 0, "and the umount");
	fake_stop(next);
}

static bool is_reattached(void)
{
	return ctl->reattached > 0;
}

static void test_death_in_request(void)
{
	pid_t helper, next, op;

	helper = fake_start();
	ok_err(fake_mount(NULL), 0, "mount");
	ctl->die_at = STEP_REQUEST;
	op = op_start(op_lstat, name('f'));
	waitpid(helper, NULL, 0);
	ctl->die_at = STEP_NONE;
	usleep(100000);
	/* What needs no helper goes on. */
	ok_err(op_run(op_list, "/proc/self"), 0, "the machine lives");
	ctl->reattached = 0;
	next = fake_start();
	ok(eventually(is_reattached, 5), "the next helper finds the zone");
	ok_err(op_wait(op, 10), 0, "lookup, the helper dies with it in hand");
	ok_err(op_run(op_lstat, name('f')), 0, "the next lookup");
	/* Without anything in hand, and many times. */
	for (int i = 0; i < rounds(20); i++) {
		fake_kill(next);
		next = fake_start();
	}
	ok_err(op_run(op_lstat, name('f')), 0, "after many deaths more");
	ok_err(op_run(op_fsync, name('n')), 0, "fsync of a new file");
	fake_kill(next);
	ok_err(op_run(op_fsync, path), 0, "a write and fsync without a helper");
	next = fake_start();
	ok_err(fake_umount(), 0, "umount");
	ok_err(fake_stop(next), 0, "the helper ends");
}

/* ---- many waiters --------------------------------------------------------------- */

#define WAITERS	200

static unsigned int want_seen;

static bool is_seen(void)
{
	return ctl->seen >= want_seen;
}

static int op_pause(const char *p)
{
	pause();
	return 0;
}

/* How long so many processes take to die that wait for nothing of ours. */
static double time_to_die(void)
{
	pid_t op[WAITERS];
	double begun;
	int i;

	for (i = 0; i < WAITERS; i++)
		op[i] = op_start(op_pause, NULL);
	begun = now();
	for (i = 0; i < WAITERS; i++)
		kill(op[i], SIGKILL);
	for (i = 0; i < WAITERS; i++)
		op_wait(op[i], 60);
	return now() - begun;
}

/* More than two queues have slots: some wait for one. */
static void test_killed(void)
{
	pid_t op[WAITERS];
	double begun, took, usual = time_to_die(), later;
	int i, left = 0;

	ctl->manner = HOLD;
	ctl->seen = 0;
	for (i = 0; i < WAITERS; i++)
		op[i] = op_start(op_lstat, name('f'));
	want_seen = 2 * NEXUS_SLOTS;
	ok(eventually(is_seen, 20), "every slot of two queues is taken: %u",
	   ctl->seen);
	begun = now();
	for (i = 0; i < WAITERS; i++)
		kill(op[i], SIGKILL);
	for (i = 0; i < WAITERS; i++)
		left += op_wait(op[i], 60) == HANGS;
	took = now() - begun;
	/* A debug kernel on a busy machine needs long for any process. */
	later = time_to_die();
	usual = later > usual ? later : usual;
	ok(!left && took < 1 + 4 * usual,
	   "%d killed waiters are gone in %.2f s; others take %.2f s", WAITERS,
	   took, usual);
	/* The slots are not free before the helper is done with them. */
	op[0] = op_start(op_lstat, name('f'));
	usleep(300000);
	ok(!waitpid(op[0], NULL, WNOHANG), "the next request waits for a slot");
	ctl->manner = GOOD;
	ok_err(op_wait(op[0], 10), 0, "and gets one when late replies come");
	ok_err(op_run(op_lstat, name('f')), 0, "and all is as before");
}

static void test_many(void)
{
	pid_t op[WAITERS];
	int i, bad = 0;

	ctl->manner = HOLD;
	ctl->seen = 0;
	for (i = 0; i < WAITERS; i++)
		op[i] = op_start(op_lstat, name('f'));
	want_seen = 2 * NEXUS_SLOTS;
	eventually(is_seen, 20);
	ctl->manner = GOOD;
	for (i = 0; i < WAITERS; i++)
		bad += op_wait(op[i], 20) != 0;
	ok(!bad, "%d lookups at once, %u slots: %d failed", WAITERS,
	   2 * NEXUS_SLOTS, bad);
}

/* Half are killed, the helper dies, the next one answers the other half. */
static void test_killed_and_lost(pid_t *helper)
{
	pid_t op[40];
	int i, bad = 0;

	ctl->manner = SILENT;
	ctl->seen = 0;
	for (i = 0; i < 40; i++)
		op[i] = op_start(op_lstat, name('f'));
	want_seen = 40;
	eventually(is_seen, 10);
	for (i = 0; i < 40; i += 2)
		kill(op[i], SIGKILL);
	for (i = 0; i < 40; i += 2)
		bad += op_wait(op[i], 5) == HANGS;
	fake_kill(*helper);
	ctl->manner = GOOD;
	*helper = fake_start();
	for (i = 1; i < 40; i += 2)
		bad += op_wait(op[i], 10) != 0;
	ok(!bad, "20 killed, 20 answered by the next helper: %d wrong", bad);
}

/* ---- a silent helper -------------------------------------------------------------- */

static int op_sleepy(const char *p)
{
	signal(SIGUSR1, SIG_DFL);
	return op_lstat(p);
}

static void test_signals(void)
{
	pid_t op;

	ctl->manner = HOLD;
	op = op_start(op_sleepy, name('f'));
	usleep(200000);
	kill(op, SIGTERM);
	ok_err(op_wait(op, 2), -EINTR, "SIGTERM ends a waiter at once");
	op = op_start(op_sleepy, name('f'));
	usleep(100000);
	kill(op, SIGSTOP);
	usleep(100000);
	kill(op, SIGCONT);
	usleep(100000);
	ctl->manner = GOOD;
	ok_err(op_wait(op, 5), 0, "stop and continue do not end one");
}

/* ---- polling ------------------------------------------------------------------------- */

static void test_polling(void)
{
	double begun;
	pid_t helper, op;

	/* It says that it polls and never looks: only its caller suffers. */
	ctl->manner = POLLING;
	helper = fake_start();
	op = op_start(op_mount_fake, ctl->mnt);
	usleep(300000);
	begun = now();
	kill(op, SIGKILL);
	ok(op_wait(op, 2) == -EINTR && now() - begun < 1,
	   "a helper that lies about polling: its waiter can be killed");
	fake_kill(helper);
	ctl->manner = GOOD;
	umount(ctl->mnt);
}

static int op_lstat_on_0(const char *file)
{
	return cpu_only(0) ?: op_lstat(file);
}

static int op_lstat_on_1(const char *file)
{
	return cpu_only(1) ?: op_lstat(file);
}

static bool is_elsewhere(void)
{
	return ctl->elsewhere != 0;
}

static bool is_here(void)
{
	return !ctl->elsewhere;
}

/* What the helper needs to know to poll: whom it answered, and where that one is. */
static void test_elsewhere(void)
{
	pid_t helper;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		note("one CPU: nobody is elsewhere");
		return;
	}
	ctl->on_0 = 1;
	ctl->queues = 1;
	helper = fake_start();
	ok_err(fake_mount(NULL), 0, "mount");
	for (int i = 0; i < 3; i++) {
		ok_err(op_run(op_lstat_on_1, name('f')), 0, "a caller on CPU 1");
		ok(eventually(is_elsewhere, 5), "is elsewhere for a helper on CPU 0");
		ok_err(op_run(op_lstat_on_0, name('f')), 0, "a caller on CPU 0");
		ok(eventually(is_here, 5), "is not");
	}
	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
	ctl->on_0 = 0;
	ctl->queues = 2;
}

/* ---- grace ------------------------------------------------------------------------------ */

static void test_grace(void)
{
	char known[sizeof(path)];
	pid_t helper, op;
	double begun, took;
	int err;

	helper = fake_start();
	ok_err(fake_mount("grace=2"), 0, "mount with grace=2");
	ok_err(op_run(op_lstat, name('f')), 0, "lookup");
	snprintf(known, sizeof(known), "%s", path);
	fake_kill(helper);
	begun = now();
	op = op_start(op_lstat, name('f'));
	err = op_wait(op, 10);
	took = now() - begun;
	ok_err(err, -ENOTCONN, "no helper came back: the waiter");
	ok(took > 1 && took < 6, "after the grace: %.1f s", took);
	usleep(1500000);
	begun = now();
	ok_err(op_run(op_lstat, name('f')), -ENOTCONN, "the next one");
	ok(now() - begun < 1, "at once");
	ok_err(op_run(op_chmod, known), -EROFS, "a change");

	/* The name is free again, the old mount is not taken over. */
	ctl->reattached = 0;
	helper = fake_start();
	ok(!ctl->reattached, "a new helper makes a new session");
	ok_err(op_run(op_lstat, name('f')), -ENOTCONN, "the old mount stays dead");
	ok_err(fake_umount(), 0, "and can be unmounted");
	ok_err(fake_mount(NULL), 0, "the new session mounts");
	ok_err(op_run(op_lstat, name('f')), 0, "and serves");
	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
}

/* Mount, umount, mount, quickly: the second waits for the drain of the first. */
static void test_remount(void)
{
	pid_t helper = fake_start();
	int i, bad = 0, all = rounds(30);

	for (i = 0; i < all; i++) {
		bad += fake_mount(NULL) != 0;
		bad += fake_umount() != 0;
	}
	ok(!bad, "%d mounts and unmounts in a row: %d failed", all, bad);
	fake_stop(helper);
}

static int op_clone(const char *p)
{
	int a = open(p, O_RDWR | O_CREAT | O_CLOEXEC, 0600), b;
	char other[160], block[4096] = "x";

	snprintf(other, sizeof(other), "%s-clone", p);
	b = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (a < 0 || b < 0 || write(a, block, 4096) != 4096)
		return -errno;
	return ioctl(b, FICLONE, a) ? -errno : 0;
}

/* Only a store that knows of shared blocks gets records about them. */
static void test_features(void)
{
	int unshared;

	for (unshared = 0; unshared < 2; unshared++) {
		pid_t helper;

		ctl->unshared = unshared;
		helper = fake_start();
		ok_err(fake_mount(NULL), 0, "mount");
		ok_err(op_run(op_clone, name('n')), unshared ? -EOPNOTSUPP : 0,
		       "FICLONE in a zone with%s shared blocks",
		       unshared ? "out" : "");
		ok_err(fake_umount(), 0, "umount");
		fake_stop(helper);
	}
	ctl->unshared = 0;
}

int main(void)
{
	pid_t helper;

	fake_init();
	test_death_in_mount();
	test_death_after_answer();
	test_death_in_request();
	helper = fake_start();
	ok_err(fake_mount(NULL), 0, "mount");
	test_killed();
	test_many();
	test_signals();
	test_killed_and_lost(&helper);
	ok_err(fake_umount(), 0, "umount");
	fake_stop(helper);
	test_polling();
	test_elsewhere();
	test_remount();
	test_features();
	test_grace();
	fake_exit();
	return done();
}
