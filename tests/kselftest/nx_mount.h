/* SPDX-License-Identifier: GPL-2.0-only */
/* Mounting by the new system calls, which say why they refuse. */
#ifndef NX_MOUNT_H
#define NX_MOUNT_H

#include "nx.h"

#include <linux/fs.h>
#include <sched.h>

/* What the filesystem said about the last failed mount. */
static char nx_why[4096];

static inline void nx_read_why(int fs)
{
	ssize_t n, at = 0;

	nx_why[0] = '\0';
	while (at < (ssize_t)sizeof(nx_why) - 2 &&
	       (n = read(fs, nx_why + at, sizeof(nx_why) - 2 - at)) > 0) {
		at += n;
		nx_why[at++] = '\n';
	}
	nx_why[at] = '\0';
}

static inline const char *nx_s(const char *text)
{
	return text ? text : "";
}

/* "key=value", "flag": one option; 0 or -errno. */
static inline int nx_set(int fs, char *option)
{
	char *value = strchr(option, '=');
	int err;

	if (value)
		*value++ = '\0';
	err = syscall(SYS_fsconfig, fs,
		      value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option,
		      value, 0);
	return err ? -errno : 0;
}

/* mount -i -t nexusfs -o @options @source @target; 0 or -errno, see nx_why. */
static inline int nx_mount(const char *source, const char *target,
			   const char *options)
{
	char copy[1024], *option, *save;
	int fs, mnt = -1, err = 0;

	nx_why[0] = '\0';
	fs = syscall(SYS_fsopen, "nexusfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (source && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source",
			      source, 0))
		err = -errno;
	snprintf(copy, sizeof(copy), "%s", nx_s(options));
	for (option = strtok_r(copy, ",", &save); option && !err;
	     option = strtok_r(NULL, ",", &save))
		err = nx_set(fs, option);
	if (!err && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err = -errno;
	if (!err) {
		mnt = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
		if (mnt < 0)
			err = -errno;
	}
	if (!err && syscall(SYS_move_mount, mnt, "", AT_FDCWD, target,
			    MOVE_MOUNT_F_EMPTY_PATH))
		err = -errno;
	if (err)
		nx_read_why(fs);
	if (mnt >= 0)
		close(mnt);
	close(fs);
	return err;
}

/* remount with @options; 0 or -errno. */
static inline int nx_remount(const char *target, const char *options)
{
	char copy[1024], *option, *save;
	int fs, err = 0;

	fs = syscall(SYS_fspick, AT_FDCWD, target, FSPICK_CLOEXEC);
	if (fs < 0)
		return -errno;
	snprintf(copy, sizeof(copy), "%s", options);
	for (option = strtok_r(copy, ",", &save); option && !err;
	     option = strtok_r(NULL, ",", &save))
		err = nx_set(fs, option);
	if (!err && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL,
			    NULL, 0))
		err = -errno;
	if (err)
		nx_read_why(fs);
	close(fs);
	return err;
}

#define MOUNTED(source, target, options)				\
	do {								\
		ASSERT_EQ(0, nx_mount(source, target, options)) {	\
			TH_LOG("mount %s (%s): %s", nx_s(source),	\
			       nx_s(options), nx_why);			\
		}							\
	} while (0)
/* A mount that fails with -@code and a word that says why. */
#define REFUSED(code, word, source, target, options)			\
	do {								\
		ASSERT_EQ(-(code), nx_mount(source, target, options)) {	\
			TH_LOG("mount '%s' (%s): %s", nx_s(source),	\
			       nx_s(options), nx_why);			\
		}							\
		ASSERT_NE(NULL, strstr(nx_why, word)) {			\
			TH_LOG("mount '%s' (%s): no '%s' in: %s",	\
			       nx_s(source), nx_s(options), word,	\
			       nx_why);					\
		}							\
	} while (0)

/* Two places to mount at, in a mount namespace that ends with the test. */
FIXTURE(mnt)
{
	char path[64], a[80], b[80];
	bool helper;
};

FIXTURE_SETUP(mnt)
{
	FILE *list = fopen("/proc/filesystems", "r");
	char line[128];
	bool there = false;

	ASSERT_NE(NULL, list);
	while (fgets(line, sizeof(line), list))
		there = there || strstr(line, "\tnexusfs\n");
	fclose(list);
	if (!there || geteuid())
		SKIP(return, "needs nexusfs and root");
	OK(unshare(CLONE_NEWNS));
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	strcpy(self->path, "/tmp/nx-mount.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chmod(self->path, 0755));
	snprintf(self->a, sizeof(self->a), "%s/a", self->path);
	snprintf(self->b, sizeof(self->b), "%s/b", self->path);
	OK(mkdir(self->a, 0755));
	OK(mkdir(self->b, 0755));
	self->helper = nx_is_nexus("/mnt/nexus");
}

FIXTURE_TEARDOWN(mnt)
{
	if (!self->path[0])
		return;
	EXPECT_EQ(0, chdir("/"));
	while (!umount2(self->a, MNT_DETACH))
		;
	while (!umount2(self->b, MNT_DETACH))
		;
	EXPECT_EQ(0, nx_rm(self->path));
}

#endif
