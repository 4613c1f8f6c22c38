/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance checks of one directory of any filesystem.
 *
 * A check has a name of its own, "operation/row", what is expected, and what was
 * seen, as text: so the runs on two filesystems can be compared.  What is seen
 * must be the same in every run: no inode numbers, no times of day.
 *
 * Each operation runs in a process of its own, as root, with an empty directory
 * of mode 0777 as its current one and umask 0.  Paths are relative, so that other
 * users need no rights above it.  px_become() changes who it is without a
 * fork.
 */
#ifndef PX_H
#define PX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#define PX_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define px_printf(fmt, args) __attribute__((format(printf, fmt, args)))

/* ---- operations and checks (px.c) ------------------------------------------- */

struct px_operation {
	const char *name;
	void (*run)(void);
	bool asked;		/* runs only when it is named */
	struct px_operation *next;
};

void px_register(struct px_operation *operation);

#define PX_OPERATION(op) PX_OPERATION_OF(op, false)
/* One that needs a filesystem of its own. */
#define PX_OPERATION_ASKED(op) PX_OPERATION_OF(op, true)
#define PX_OPERATION_OF(op, asked)					\
	static void px_run_##op(void);					\
	static struct px_operation px_op_##op = { #op, px_run_##op, asked, NULL }; \
	__attribute__((constructor)) static void px_reg_##op(void)	\
	{								\
		px_register(&px_op_##op);				\
	}								\
	static void px_run_##op(void)

/*
 * A check each; the row's name is a format.  A row that was there before is a
 * failure of its own.
 *
 * px_err: @ret is what a system call returned, -1 and errno or a success, of
 * which the value does not matter; @want is 0 or the errno.
 */
void px_err(int want, long ret, const char *row, ...) px_printf(3, 4);
/* Either of two errnos: where the standards leave it open. */
void px_err2(int want, int or, long ret, const char *row, ...) px_printf(4, 5);
void px_num(long long want, long long seen, const char *row, ...) px_printf(3, 4);
void px_mode(mode_t want, mode_t seen, const char *row, ...) px_printf(3, 4);
void px_str(const char *want, const char *seen, const char *row, ...) px_printf(3, 4);
/* Nothing is expected: filesystems may differ, but then it is listed. */
void px_note(const char *seen, const char *row, ...) px_printf(2, 3);
void px_skip(const char *why, const char *row, ...) px_printf(2, 3);
/* The rest of the operation's checks are not there to be compared. */
void px_skip_rest(const char *why);

/* What everything after it needs: the operation fails and ends. */
#define px_must(call) px_must_at((long)(call), #call, __FILE__, __LINE__)
long px_must_at(long ret, const char *call, const char *file, int line);

const char *px_errname(int code);
/* Formatted, in one of a few buffers that take turns. */
const char *px_text(const char *format, ...) px_printf(1, 2);

/* ---- who (px_who.c) ---------------------------------------------------------- */

enum { PX_U1 = 40001, PX_U2, PX_U3 };
enum { PX_G1 = 50001, PX_G2, PX_G3 };

struct px_who {
	const char *name;
	uid_t uid;
	gid_t gid;
	int ngroups;
	gid_t groups[2];
	uint64_t caps;		/* effective; of root all but these are taken */
};

#define PX_CAP(cap) (1ULL << (cap))
/* U1 in G1; U2 in G2; U3 in G3 with the supplementary groups G1. */
extern const struct px_who px_u1, px_u2, px_u3;

/* Real and effective; back with px_root(). */
void px_become(const struct px_who *who);
void px_root(void);
/* In a process of its own, in which threads, limits and umask may be changed. */
void px_child(void (*run)(void *arg), void *arg);

/* ---- files (px_file.c) -------------------------------------------------------- */

enum px_type {
	PX_NONE, PX_REG, PX_DIR, PX_FULL, PX_FIFO, PX_SOCK, PX_CHR, PX_BLK, PX_LNK, PX_LNKDIR,
	PX_DANGLING, PX_LOOP, PX_TYPES
};

/* none reg dir full fifo sock chr blk lnk lnkdir dangling loop */
extern const char *const px_type_name[PX_TYPES];

/*
 * An object of the type at the path.  Links point to PATH.t, which is made with
 * them; PX_FULL is a directory with a file "f" in it.
 */
void px_make(enum px_type type, const char *path, mode_t mode);
void px_own(const char *path, uid_t uid, gid_t gid, mode_t mode);
/* The path, what is below it, and PATH.t; nothing there is fine. */
void px_remove(const char *path);
void px_file(const char *path, mode_t mode, const char *content);
/* "reg", ..., "none" if there is nothing, "?" for what has no name here. */
const char *px_what(const char *path);
mode_t px_mode_of(const char *path);
long long px_size_of(const char *path);
/* The first bytes, as a string. */
const char *px_content(const char *path);
/* A value of /proc/sys, -1 if it is not there. */
long px_sysctl(const char *name);
/* "fine", "SIGBUS" or "SIGSEGV": what a load from mapped memory, or a store to it, gets. */
const char *px_poke(volatile char *at, bool write);
/* Can device nodes be opened here? */
bool px_devices(void);

/*
 * Which times change: px_age() gives it an access and modification time long ago
 * and waits until a change would be seen; px_touched() says "amc", some of them
 * or "-", and px_times() checks it.
 */
struct px_age {
	const char *path;
	struct stat st;
};

#define PX_AGES 4
void px_age(struct px_age *ages, int n);
const char *px_touched(const struct px_age *age);

#endif
