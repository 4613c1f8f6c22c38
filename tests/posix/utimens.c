// SPDX-License-Identifier: Apache-2.0
/* utimensat(2): who may set what, every kind of object, values far away. */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "px.h"

/* The object is U1's. */
static const struct {
	struct px_who who;
	bool owner, writes;	/* or has the capability; by mode bits of others */
} whos[] = {
	{ { "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, true, false },
	{ { "other", PX_U2, PX_G2, 0, { 0 }, 0 }, false, false },
	{ { "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) }, true, false },
	{ { "dac-override", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_OVERRIDE) }, false, true },
	{ { "dac-read-search", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_READ_SEARCH) }, false, false },
	{ { "root", 0, 0, 0, { 0 }, 0 }, true, true },
};

enum { NOTHING = 1, BOTH_NOW = 2 };

static const struct {
	const char *name;
	bool null;
	long atime, mtime;
	int kind;
} sets[] = {
	{ "null", true, 0, 0, BOTH_NOW },
	{ "now-now", false, UTIME_NOW, UTIME_NOW, BOTH_NOW },
	{ "omit-omit", false, UTIME_OMIT, UTIME_OMIT, NOTHING },
	{ "now-omit", false, UTIME_NOW, UTIME_OMIT, 0 },
	{ "omit-now", false, UTIME_OMIT, UTIME_NOW, 0 },
	{ "set-set", false, 1, 1, 0 },
	{ "set-omit", false, 1, UTIME_OMIT, 0 },
	{ "omit-set", false, UTIME_OMIT, 1, 0 },
	{ "set-now", false, 1, UTIME_NOW, 0 },
	{ "now-set", false, UTIME_NOW, 1, 0 },
};

static void rights(void)
{
	static const mode_t modes[] = { 0600, 0000, 0602, 0604 };
	static const enum px_type types[] = { PX_REG, PX_DIR, PX_FIFO };
	unsigned int w, s, m, t;

	for (t = 0; t < PX_COUNT(types); t++)
	for (w = 0; w < PX_COUNT(whos); w++)
	for (s = 0; s < PX_COUNT(sets); s++)
	for (m = 0; m < PX_COUNT(modes); m++) {
		struct timespec ts[2] = { { 1000, sets[s].atime }, { 2000, sets[s].mtime } };
		bool writes = whos[w].writes || (modes[m] & 2);
		int want = 0, ret, code;

		if (!whos[w].owner && sets[s].kind == BOTH_NOW)
			want = writes ? 0 : EACCES;
		else if (!whos[w].owner && sets[s].kind != NOTHING)
			want = EPERM;
		px_make(types[t], "x", 0600);
		px_own("x", PX_U1, PX_G1, modes[m]);
		px_become(&whos[w].who);
		ret = (int)syscall(SYS_utimensat, AT_FDCWD, "x", sets[s].null ? NULL : ts, 0);
		code = errno;
		px_root();
		errno = code;
		px_err(want, ret, "%s/%s/%s/%03o", px_type_name[types[t]], whos[w].who.name, sets[s].name,
		       modes[m]);
		px_remove("x");
	}
}

/* Seconds and nanoseconds come back as they were set, as long as the filesystem has them. */
static void values(void)
{
	static const struct {
		long long sec;
		long nsec;
		bool all;	/* what every filesystem has to have */
	} times[] = {
		{ 0, 0, true }, { 0, 1, true }, { 0, 999999999, true }, { 1, 0, true },
		{ 1000000000, 123456789, true }, { 2147483646, 999999999, true }, { 2147483647, 0, true },
		{ 2147483647, 999999999, true }, { 2147483648LL, 0, true }, { 2147483648LL, 1, true },
		{ 4294967295LL, 5, true }, { 4294967296LL, 5, true }, { 6442450943LL, 5, true },
		{ 6442450944LL, 5, true }, { 8589934592LL, 5, true }, { 10737418240LL, 5, true },
		{ 15032385534LL, 5, true }, { 15032385535LL, 0, false }, { 15032385535LL, 5, false },
		{ -1, 0, true }, { -1, 999999999, true }, { -1, 1, true }, { -2, 5, true }, { -1000000000, 5, true },
		{ -2147483647, 5, true }, { -2147483648LL, 5, false },
		{ 15032385536LL, 5, false }, { 17179869184LL, 5, false }, { 253402300799LL, 5, false },
		{ -2147483649LL, 5, false }, { -4294967296LL, 5, false }, { -62135596800LL, 5, false },
	};
	static const enum px_type types[] = { PX_REG, PX_DIR, PX_LNK, PX_FIFO };
	unsigned int i, t;
	struct stat st;

	for (t = 0; t < PX_COUNT(types); t++) {
		px_make(types[t], "x", 0644);
		for (i = 0; i < PX_COUNT(times); i++) {
			struct timespec ts[2] = {
				{ times[i].sec, times[i].nsec }, { times[i].sec, 999999999 - times[i].nsec },
			};
			const char *want, *seen;

			if (t && !times[i].all)
				continue;
			px_must(utimensat(AT_FDCWD, "x", ts, AT_SYMLINK_NOFOLLOW));
			px_must(lstat("x", &st));
			want = px_text("%lld.%09ld %lld.%09ld", times[i].sec, ts[0].tv_nsec, times[i].sec,
				       ts[1].tv_nsec);
			seen = px_text("%lld.%09ld %lld.%09ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
				       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
			if (times[i].all)
				px_str(want, seen, "value/%s/%lld.%09ld", px_type_name[types[t]], times[i].sec,
				       times[i].nsec);
			else
				px_note(seen, "beyond/%s/%lld.%09ld", px_type_name[types[t]], times[i].sec,
					times[i].nsec);
		}
		px_remove("x");
	}
}

PX_OPERATION(utimensat)
{
	static const long bad[] = { 1000000000, -1, UTIME_NOW + 1, UTIME_NOW - 2, LONG_MAX, LONG_MIN };
	struct timespec ts[2] = { { 1, 2 }, { 3, 4 } };
	struct stat st;
	unsigned int i;
	int type, fd;

	rights();
	values();
	px_file("x", 0644, "");
	for (i = 0; i < PX_COUNT(bad); i++) {
		struct timespec wrong[2] = { { 1, bad[i] }, { 1, 1 } };

		px_err(EINVAL, utimensat(AT_FDCWD, "x", wrong, 0), "bad-atime/%ld", bad[i]);
		wrong[0].tv_nsec = 1;
		wrong[1].tv_nsec = bad[i];
		px_err(EINVAL, utimensat(AT_FDCWD, "x", wrong, 0), "bad-mtime/%ld", bad[i]);
	}
	px_err(EINVAL, utimensat(AT_FDCWD, "x", ts, 1), "flags");
	px_err(EBADF, utimensat(-1, "x", ts, 0), "dirfd-bad");
	px_err(EBADF, futimens(-1, ts), "futimens-bad");
	px_err(EFAULT, syscall(SYS_utimensat, AT_FDCWD, "x", (void *)1, 0), "efault-times");
	px_err(EFAULT, syscall(SYS_utimensat, AT_FDCWD, NULL, ts, 0), "null-path");
	px_err(ENOENT, syscall(SYS_utimensat, AT_FDCWD, "", ts, 0), "empty-path");
	fd = (int)px_must(open("x", O_PATH));
	px_err(0, utimensat(fd, "", ts, AT_EMPTY_PATH), "at-empty-path");
	px_err(EBADF, futimens(fd, ts), "futimens-path");
	close(fd);
	fd = (int)px_must(open("x", O_RDONLY));
	px_err(0, futimens(fd, ts), "futimens-rdonly");
	px_must(unlink("x"));
	ts[0].tv_sec = 77;
	px_err(0, futimens(fd, ts), "futimens-unlinked");
	px_must(fstat(fd, &st));
	px_num(77, st.st_atim.tv_sec, "futimens-unlinked-atime");
	close(fd);
	for (type = PX_REG; type < PX_TYPES; type++) {
		px_make(type, "x", 0644);
		px_err(0, utimensat(AT_FDCWD, "x", ts, AT_SYMLINK_NOFOLLOW), "type/%s", px_type_name[type]);
		px_must(lstat("x", &st));
		px_str("77.000000002 3.000000004",
		       px_text("%lld.%09ld %lld.%09ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
			       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec),
		       "type/%s/times", px_type_name[type]);
		px_remove("x");
	}
}
