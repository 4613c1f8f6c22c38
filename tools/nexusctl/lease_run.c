// SPDX-License-Identifier: Apache-2.0
/*
 * nexusctl lease run: a command while a lease is held.
 *
 * It is extended at each third of its time.  All signals that count here are blocked and
 * waited for, so nothing happens between two looks.  The command does not outlive the
 * lease knowingly: when it is lost, or could not be extended and is over by the time since
 * the last extension was asked for, the command is told to end, and then made to; when
 * nexusctl is killed, the kernel tells the command.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lease.h"

#define GRACE_MS	5000	/* from SIGTERM to SIGKILL */
#define RETRY_MS	1000	/* after an extension failed, at most */

struct run {
	struct nexus_lease lease;
	const char *path;
	int fd;			/* what the lease is on */
	uint32_t ttl;
	sigset_t set;		/* what is waited for */
	pid_t pid;		/* the command */
	int64_t end;		/* the lease is over for sure, if not extended; ms */
	int64_t next;		/* when to do something next; ms */
	bool lost;
	bool killed;
};

/* Of the time that the zone counts by: also while the machine is suspended. */
static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* From @asked on, which was before the lease was given, it is held for its time. */
static void held_from(struct run *r, int64_t asked)
{
	r->end = asked + r->ttl * INT64_C(1000);
	r->next = asked + r->ttl * INT64_C(1000) / 3;
}

static void lose(struct run *r, const char *why)
{
	fprintf(stderr, "nexusctl: %s: the lease was lost: %s; ending the command\n", r->path, why);
	r->lost = true;
	kill(r->pid, SIGTERM);
	r->next = now_ms() + GRACE_MS;
}

static void extend(struct run *r)
{
	int64_t asked = now_ms();
	int err = nexus_lease_extend(r->fd, &r->lease, r->ttl);

	if (!err) {
		held_from(r, asked);
		return;
	}
	if (err == -ESTALE) {
		lose(r, "others ended it, or its time was over");
		return;
	}
	asked = now_ms();
	if (asked >= r->end) {
		lose(r, strerror(-err));
		return;
	}
	r->next = asked + RETRY_MS < r->end ? asked + RETRY_MS : r->end;
}

/* What is due at @next. */
static void turn(struct run *r)
{
	if (!r->lost) {
		extend(r);
	} else if (!r->killed) {
		r->killed = true;
		kill(r->pid, SIGKILL);
		r->next = INT64_MAX;
	}
}

/* Waits for a signal until @next; 0: none came. */
static int await_signal(const struct run *r)
{
	int64_t left = r->next == INT64_MAX ? GRACE_MS : r->next - now_ms();
	struct timespec ts;
	int sig;

	if (left <= 0)
		return 0;
	ts = (struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
	sig = sigtimedwait(&r->set, NULL, &ts);
	return sig > 0 ? sig : 0;
}

/* Until the command has ended; its status as of waitpid(2). */
static int await_command(struct run *r)
{
	int sig, status;

	for (;;) {
		sig = await_signal(r);
		if (sig == SIGCHLD && waitpid(r->pid, &status, WNOHANG) == r->pid)
			return status;
		/* Those of the terminal the command has got itself. */
		if (sig == SIGTERM || sig == SIGHUP)
			kill(r->pid, sig);
		if (now_ms() >= r->next)
			turn(r);
	}
}

/* In the child.  What it starts may go on; the lease is not theirs. */
static void exec_command(const struct run *r, const sigset_t *old, pid_t parent, char **command)
{
	char id[LEASE_ID_DIGITS + 1], token[24];

	lease_id_text(r->lease.id, id);
	snprintf(token, sizeof(token), "%" PRIu64, r->lease.token);
	if (setenv("NEXUS_LEASE_ID", id, 1) || setenv("NEXUS_LEASE_TOKEN", token, 1) ||
	    prctl(PR_SET_PDEATHSIG, SIGTERM) || sigprocmask(SIG_SETMASK, old, NULL)) {
		perror("nexusctl");
		_exit(126);
	}
	/* It may have been killed before that was said. */
	if (getppid() != parent)
		_exit(126);
	execvp(command[0], command);
	fprintf(stderr, "nexusctl: %s: %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int run(struct run *r, char **command)
{
	pid_t parent = getpid();
	sigset_t old;
	int status, err;

	/* Ignored, as it may be by whoever started this, there would be no status. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &r->set, &old);
	r->pid = fork();
	if (!r->pid)
		exec_command(r, &old, parent, command);
	if (r->pid < 0) {
		perror("nexusctl: fork");
		nexus_lease_release(r->fd, &r->lease);
		return EXIT_FAILED;
	}
	status = await_command(r);
	if (r->lost)
		return EXIT_WRONG;
	err = nexus_lease_release(r->fd, &r->lease);
	if (err) {
		/* So it may have been over while the command ran. */
		lease_failed(r->path, err);
		return err == -ESTALE ? EXIT_WRONG : EXIT_FAILED;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cmd_lease_run(struct ctl *ctl)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT };
	struct run r = { .path = ctl->args[0] };
	int64_t asked = now_ms();
	size_t i;
	int ret;

	ret = lease_take(ctl, &r.lease, &r.ttl, &r.fd);
	if (ret)
		return ret;
	/* It may have been waited for; the first extension comes at once then. */
	held_from(&r, asked);
	sigemptyset(&r.set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&r.set, signals[i]);
	ret = run(&r, ctl->args + 1);
	close(r.fd);
	return ret;
}
