// SPDX-License-Identifier: Apache-2.0
/*
 * One capability at a time: which of them makes which operation possible for a user
 * who may nothing; then access(2) by real ids.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "px.h"

static long done(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* f and d/f are U1's, 0600; d is U1's, 0700; s is U1's and sticky. */
static long op_read(void) { return done(open("f", O_RDONLY)); }
static long op_write(void) { return done(open("f", O_WRONLY)); }
static long op_rdwr(void) { return done(open("f", O_RDWR)); }
static long op_path(void) { return done(open("f", O_PATH)); }
static long op_truncate(void) { return truncate("f", 1); }
static long op_noatime(void) { return done(open("open", O_RDONLY | O_NOATIME)); }
static long op_search(void) { return access("d", F_OK) ? -1 : done(open("d/f", O_PATH)); }
static long op_list(void) { return done(open("d", O_RDONLY | O_DIRECTORY)); }
static long op_create(void) { return done(open("d/new", O_RDWR | O_CREAT, 0600)); }
static long op_mkdir(void) { return mkdir("d/new", 0755); }
static long op_unlink(void) { return unlink("d/f"); }
static long op_rename(void) { return rename("d/f", "d/new"); }
static long op_chdir(void) { return chdir("d") ? -1 : chdir(".."); }
static long op_chmod(void) { return chmod("f", 0644); }
static long op_chmod_suid(void) { return chmod("f", 06711); }
static long op_chown(void) { return chown("f", PX_U3, -1); }
static long op_chgrp(void) { return chown("f", -1, PX_G3); }
static long op_chown_open(void) { return chown("open", PX_U2, PX_G2); }
static long op_utimes(void)
{
	const struct timespec ts[2] = { { 1, 1 }, { 1, 1 } };

	return utimensat(AT_FDCWD, "f", ts, 0);
}

static long op_touch(void) { return utimensat(AT_FDCWD, "f", NULL, 0); }
static long op_sticky_unlink(void) { return unlink("s/f"); }
static long op_sticky_rename(void) { return rename("s/f", "s/new"); }
static long op_mknod(void) { return mknod("new", S_IFCHR | 0600, makedev(1, 3)); }
static long op_mkblk(void) { return mknod("new", S_IFBLK | 0600, makedev(7, 0)); }
static long op_mkfifo(void) { return mknod("new", S_IFIFO | 0600, 0); }
static long op_link(void) { return link("f", "new"); }
static long op_link_open(void) { return link("open", "new"); }
static long op_user_xattr(void)
{
	return setxattr("f", "user.x", "1", 1, 0) && errno != EOPNOTSUPP ? -1 : 0;
}

static long op_getflags(void)
{
	int fd = open("open", O_RDONLY), flags;
	long ret = ioctl(fd, FS_IOC_GETFLAGS, &flags);

	close(fd);
	return ret;
}

static long op_nodump(void)
{
	int fd = open("open", O_RDONLY), flags = 0, code;
	long ret;

	ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags |= FS_NODUMP_FL;
	ret = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	code = errno;
	close(fd);
	errno = code;
	return ret && errno != EOPNOTSUPP && errno != ENOTTY ? -1 : 0;
}

static const struct {
	const char *name;
	int cap;
} caps[] = {
	{ "none", -1 }, { "chown", CAP_CHOWN }, { "dac-override", CAP_DAC_OVERRIDE },
	{ "dac-read-search", CAP_DAC_READ_SEARCH }, { "fowner", CAP_FOWNER }, { "fsetid", CAP_FSETID },
	{ "mknod", CAP_MKNOD }, { "sys-admin", CAP_SYS_ADMIN }, { "sys-resource", CAP_SYS_RESOURCE },
	{ "linux-immutable", CAP_LINUX_IMMUTABLE }, { "setuid", CAP_SETUID }, { "lease", CAP_LEASE },
	{ "mac-override", CAP_MAC_OVERRIDE },
};

#define C(cap) PX_CAP(CAP_##cap)
#define ANY (~0ULL)
static const struct {
	const char *name;
	long (*act)(void);
	int code;
	uint64_t enough;	/* each of them alone; ANY: none is needed */
} ops[] = {
	{ "read", op_read, EACCES, C(DAC_OVERRIDE) | C(DAC_READ_SEARCH) },
	{ "write", op_write, EACCES, C(DAC_OVERRIDE) },
	{ "rdwr", op_rdwr, EACCES, C(DAC_OVERRIDE) },
	{ "open-path", op_path, 0, ANY },
	{ "truncate", op_truncate, EACCES, C(DAC_OVERRIDE) },
	{ "noatime", op_noatime, EPERM, C(FOWNER) },
	{ "search", op_search, EACCES, C(DAC_OVERRIDE) | C(DAC_READ_SEARCH) },
	{ "list", op_list, EACCES, C(DAC_OVERRIDE) | C(DAC_READ_SEARCH) },
	{ "create", op_create, EACCES, C(DAC_OVERRIDE) },
	{ "mkdir", op_mkdir, EACCES, C(DAC_OVERRIDE) },
	{ "unlink", op_unlink, EACCES, C(DAC_OVERRIDE) },
	{ "rename", op_rename, EACCES, C(DAC_OVERRIDE) },
	{ "chdir", op_chdir, EACCES, C(DAC_OVERRIDE) | C(DAC_READ_SEARCH) },
	{ "chmod", op_chmod, EPERM, C(FOWNER) },
	{ "chmod-suid", op_chmod_suid, EPERM, C(FOWNER) },
	{ "chown", op_chown, EPERM, C(CHOWN) },
	{ "chgrp", op_chgrp, EPERM, C(CHOWN) },
	{ "chown-to-self", op_chown_open, EPERM, C(CHOWN) },
	{ "utimensat", op_utimes, EPERM, C(FOWNER) },
	{ "touch", op_touch, EACCES, C(FOWNER) | C(DAC_OVERRIDE) },
	{ "sticky-unlink", op_sticky_unlink, EPERM, C(FOWNER) },
	{ "sticky-rename", op_sticky_rename, EPERM, C(FOWNER) },
	{ "mknod-chr", op_mknod, EPERM, C(MKNOD) },
	{ "mknod-blk", op_mkblk, EPERM, C(MKNOD) },
	{ "mkfifo", op_mkfifo, 0, ANY },
	{ "link-protected", op_link, EPERM, C(FOWNER) | C(DAC_OVERRIDE) },
	{ "link", op_link_open, 0, ANY },
	{ "user-xattr", op_user_xattr, EACCES, C(DAC_OVERRIDE) },
	{ "getflags", op_getflags, 0, ANY },
	{ "setflags", op_nodump, EPERM, C(FOWNER) },
};

/* What makes it free of rights where it is not there. */
static bool missing(const char *op)
{
	int fd, flags;
	bool none;

	px_file("p", 0644, "");
	if (!strcmp(op, "user-xattr")) {
		none = setxattr("p", "user.x", "1", 1, 0) != 0;
		px_remove("p");
		return none;
	}
	fd = (int)px_must(open("p", O_RDONLY));
	none = ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0;
	flags |= FS_NODUMP_FL;
	none |= ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0;
	close(fd);
	px_remove("p");
	return none;
}

PX_OPERATION(capability)
{
	bool protected = px_sysctl("fs/protected_hardlinks") > 0;
	unsigned int o, c;

	for (o = 0; o < PX_COUNT(ops); o++) {
		if (!protected && ops[o].act == op_link)
			continue;
		if ((ops[o].act == op_user_xattr || ops[o].act == op_nodump) && missing(ops[o].name)) {
			for (c = 0; c < PX_COUNT(caps); c++)
				px_skip("not supported", "%s/%s", ops[o].name, caps[c].name);
			continue;
		}
		for (c = 0; c < PX_COUNT(caps); c++) {
			uint64_t cap = caps[c].cap < 0 ? 0 : PX_CAP(caps[c].cap);
			const struct px_who who = { "", PX_U2, PX_G2, 0, { 0 }, cap };
			bool may = ops[o].enough == ANY || (ops[o].enough & cap);

			px_must(mkdir("d", 0700));
			px_must(mkdir("s", 0777));
			px_file("f", 0600, "content");
			px_file("open", 0666, "content");
			px_file("d/f", 0600, "");
			px_file("s/f", 0666, "");
			px_own("d/f", PX_U1, PX_G1, 0600);
			px_own("s/f", PX_U1, PX_G1, 0666);
			px_own("f", PX_U1, PX_G1, 0600);
			px_own("open", PX_U1, PX_G1, 0666);
			px_own("d", PX_U1, PX_G1, 0700);
			px_own("s", PX_U1, PX_G1, 01777);
			px_become(&who);
			px_err(may ? 0 : ops[o].code, ops[o].act(), "%s/%s", ops[o].name, caps[c].name);
			px_root();
			px_remove("d");
			px_remove("s");
			px_remove("f");
			px_remove("open");
			px_remove("new");
		}
	}
}

/* access() asks for the real ids, with AT_EACCESS for the effective ones. */
static void real_and_effective(const char *row, uid_t real, uid_t effective, int want, int want_effective)
{
	int ret, code, ret2, code2;

	px_must(syscall(SYS_setgroups, 0, NULL));
	px_must(syscall(SYS_setresuid, real, effective, 0));
	ret = access("f", R_OK | W_OK);
	code = ret ? errno : 0;
	ret2 = (int)syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK | W_OK, AT_EACCESS);
	code2 = ret2 ? errno : 0;
	px_root();
	px_str(px_errname(want), px_errname(code), "ids/%s", row);
	px_str(px_errname(want_effective), px_errname(code2), "ids/%s/eaccess", row);
}

PX_OPERATION(access)
{
	static const mode_t modes[] = { 0, 0111, 0100, 0010, 0001, 0644, 0755 };
	int type, want, fd;
	unsigned int m;

	px_file("f", 0600, "");
	px_must(chown("f", PX_U1, PX_G1));
	real_and_effective("owner-owner", PX_U1, PX_U1, 0, 0);
	real_and_effective("owner-other", PX_U1, PX_U2, 0, EACCES);
	real_and_effective("other-owner", PX_U2, PX_U1, EACCES, 0);
	real_and_effective("root-other", 0, PX_U2, 0, EACCES);
	real_and_effective("other-root", PX_U2, 0, EACCES, 0);
	px_remove("f");
	for (m = 0; m < PX_COUNT(modes); m++) {
		px_file("f", modes[m], "");
		for (want = 0; want < 8; want++)
			px_err((want & X_OK) && !(modes[m] & 0111) ? EACCES : 0, access("f", want), "root/%03o/%d", modes[m],
			       want);
		px_remove("f");
		px_make(PX_DIR, "f", modes[m]);
		for (want = 0; want < 8; want++)
			px_err(0, access("f", want), "root-dir/%03o/%d", modes[m], want);
		px_remove("f");
	}
	for (type = PX_REG; type < PX_TYPES; type++) {
		int code = type == PX_DANGLING ? ENOENT : type == PX_LOOP ? ELOOP : 0;

		px_make(type, "f", 0644);
		px_err(code, access("f", F_OK), "type/%s", px_type_name[type]);
		px_err(0, syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, AT_SYMLINK_NOFOLLOW), "nofollow/%s",
		       px_type_name[type]);
		px_err(code, access("f", W_OK), "write/%s", px_type_name[type]);
		px_remove("f");
	}
	px_file("f", 0644, "");
	px_err(EINVAL, access("f", 8), "mode-8");
	px_err(EINVAL, access("f", -1), "mode-negative");
	px_err(EINVAL, syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, 0x10), "flags");
	px_err(EBADF, syscall(SYS_faccessat, -1, "f", R_OK), "dirfd-bad");
	fd = (int)px_must(open("f", O_PATH));
	px_err(0, syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH), "empty-path");
	px_err(ENOENT, syscall(SYS_faccessat2, fd, "", R_OK, 0), "empty-path-without-flag");
	close(fd);
}
