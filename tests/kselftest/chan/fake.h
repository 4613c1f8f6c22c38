/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A helper that can misbehave in every way, for a session of its own, and what
 * the test programs need around it.
 *
 * fake_start() forks the helper.  Parent and helper share struct ctl: the parent
 * says how to misbehave, the helper counts what it sees.  Everything that
 * touches the mount runs in a child with a time limit (op_run()), so that a hang
 * is a failed test and not a hung test program.
 */
#ifndef FAKE_H
#define FAKE_H

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/nexusfs.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEV		"/dev/" NEXUS_DEVICE_NAME
#define SESSION		"hostile"
#define ZONE		"fake"
#define FIRST_LSN	4096

/* ---- results (TAP) ---------------------------------------------------- */

/* One line of result; returns @good. */
bool ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* @got and @want are -errno or 0. */
bool ok_err(int got, int want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The plan; the exit status of the program. */
int done(void);

/* ---- operations with a time limit --------------------------------------- */

#define HANGS	(-100000)	/* returned by op_wait(): killed after the limit */

typedef int (*op_fn)(const char *path);		/* 0 or -errno */
pid_t op_start(op_fn fn, const char *path);
int op_wait(pid_t pid, double seconds);
int op_run(op_fn fn, const char *path);		/* limit 10 s */
double now(void);
int cpu_only(int cpu);				/* 0 or -errno */
int rounds(int all);				/* so many; a third with NEXUS_SHORT */

int op_lstat(const char *path);
int op_list(const char *path);
int op_readlink(const char *path);
int op_read(const char *path);			/* open, read 4 KiB */
int op_create(const char *path);
int op_fsync(const char *path);			/* create, write, fsync */
int op_chmod(const char *path);
int op_umount(const char *path);

/* ---- the helper ----------------------------------------------------------- */

/* Where it may die. */
enum step {
	STEP_NONE,
	STEP_OPEN_SEEN,		/* OPEN_ZONE taken, nothing done */
	STEP_ATTACHED,		/* after ZONE_ATTACH */
	STEP_SEGMENTS,		/* after the segments */
	STEP_PACKS,
	STEP_REPLIED,		/* reply written, not committed */
	STEP_COMMITTED,		/* told, and whoever mounts cannot run: see hog() */
	STEP_REQUEST,		/* with a LOOKUP in hand */
};

/* How it answers requests other than OPEN_ZONE. */
enum manner {
	GOOD,
	HOLD,		/* not at all, until the manner changes */
	HOLD_LISTS,	/* LIST so; a directory is another one each time it is asked for */
	SILENT,		/* takes them, never answers */
	TWICE,		/* every reply two times */
	WRONG_SEQ,	/* cqe with another seq, then the right one */
	WRONG_SLOT,	/* cqe of a free slot and of none, then the right one */
	OLD_SEQ,	/* the seq of the last request, then the right one */
	RING_JUMP,	/* completion tail far ahead, then the right one */
	RING_BACK,	/* completion tail behind, then the right one */
	PATCH,		/* with a changed field: ctl->patch */
	POLLING,	/* says it polls, and does not */
	ENDLESS,	/* settings and leases without end */
};

enum where { HEAD, DATA, LENGTH };

/* One changed field of a reply. */
struct patch {
	uint32_t op;
	const char *name;
	enum where where;
	uint32_t off, size;	/* bytes; LENGTH: value is added to len */
	uint64_t value;
	int want;		/* -errno the caller must see */
};

struct ctl {
	_Atomic int manner;
	_Atomic int die_at;		/* enum step */
	_Atomic int stop;		/* a clean end */
	_Atomic int ready;		/* attached and waiting, or -errno */
	struct patch patch;
	_Atomic int patched;		/* replies changed so far */
	_Atomic unsigned int seen;	/* requests, OPEN_ZONE not counted */
	_Atomic unsigned int answered;
	_Atomic unsigned int doorbells;	/* WAITs completed */
	_Atomic int waits_refused;	/* -EBUSY of a second WAIT */
	_Atomic int open_fails;		/* status for OPEN_ZONE, 0: open it */
	char reason[512];		/* and what it says of that */
	_Atomic unsigned int reason_len;
	_Atomic int hold_open;		/* OPEN_ZONE is not answered */
	_Atomic int no_detach;		/* nothing is drained */
	_Atomic unsigned int ttl;	/* of zones that others change, ms; 0: nobody */
	_Atomic int unshared;		/* zones without the feature SHARED */
	unsigned int segments, packs, inos; /* handed over with a zone */
	_Atomic int hogging;		/* CPU 0 is taken */
	_Atomic int on_0;		/* the helper stays on CPU 0 */
	_Atomic int elsewhere;		/* of queue 0, as the helper last saw it */
	_Atomic int no_attach;		/* OPEN_ZONE answered 0 without ZONE_ATTACH */
	_Atomic int try_attach;		/* first try wrong ZONE_ATTACHes */
	_Atomic int attach_errors[32];	/* what they returned */
	_Atomic int detached;		/* zones drained */
	_Atomic int reattached;
	_Atomic int lose_thread;	/* end the thread of queue 0 */
	/* A call for the helper to make: set do_call, it clears it. */
	_Atomic int do_call;
	int (*call)(int dev, uint32_t zone, void *arg);
	_Atomic int call_result;
	int results[64];		/* several of them */
	_Atomic uint32_t zone;		/* id */
	_Atomic uint64_t incarnation;
	char dir[64];			/* files */
	char mnt[64];			/* mount point */
	char why[1024];			/* what the kernel said, fake_mount_why() */
	unsigned int queues;
};

extern struct ctl *ctl;

/* Makes ctl and directories; exits with "skip" without the device. */
void fake_init(void);
void fake_exit(void);
pid_t fake_start(void);			/* returns once it is ready */
int fake_stop(pid_t pid);		/* clean end */
void fake_kill(pid_t pid);		/* SIGKILL, waits */
int fake_call(int (*fn)(int dev, uint32_t zone, void *arg));
/* Mounts or unmounts ctl->mnt; 0 or -errno. */
int fake_mount(const char *options);
int fake_umount(void);
/* Mounts by the calls that can explain themselves: the words are in ctl->why. */
int fake_mount_why(void);

/* ---- small pieces ----------------------------------------------------------- */

int dev_open(void);
int dev_attach(int dev, const char *session, unsigned int queues, uint32_t abi,
	       struct nexus_attach *a);
void zone_params(struct nexus_zone_attach *za, int lock_fd);
/* A file of @blocks blocks in ctl->dir; -errno. */
int host_file(const char *name, unsigned int blocks, int flags);
/* A counter of the module, by netlink; -1 if it cannot be had. */
int64_t counter(const char *name);

#endif /* FAKE_H */
