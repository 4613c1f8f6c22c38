// SPDX-License-Identifier: Apache-2.0
/*
 * The calls to the kernel. The mount API of file descriptors is used because
 * the filesystem can explain itself through it: each read() of the context
 * gives one line, "e ..." for an error, "w ..." and "i ..." for less.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount.h"

#ifndef FS_TYPE		/* a test has another */
#define FS_TYPE	"nexusfs"
#endif

/* Collect the errors of the context; warnings go to stderr as they are. */
static void read_messages(int fd, bool verbose, char text[MESSAGE_MAX])
{
	char line[MESSAGE_MAX];
	size_t have = 0;
	ssize_t n;

	text[0] = '\0';
	while ((n = read(fd, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (n < 3)
			continue;
		if (line[0] == 'e' && have < MESSAGE_MAX)
			have += snprintf(text + have, MESSAGE_MAX - have,
					 "%s%s", have ? "; " : "", line + 2);
		else if (line[0] == 'w' || verbose)
			complain("%s", line + 2);
	}
}

/* What an errno without words of the kernel means here. */
static const char *hint(int error)
{
	switch (error) {
	case EPERM:
		return "only root may mount, and only in the first user namespace";
	case ENODEV:
		return "the kernel does not know nexusfs; load the module: modprobe nexusfs";
	case ENOTCONN:
		return "no helper is attached to the module; start it: systemctl start nexusd";
	case ENOENT:
		return "there is no such zone; see: nexusctl zone list";
	case ENOTDIR:
		return "the mount point is not a directory";
	case EBUSY:
		return "it is in use, perhaps mounted with other options";
	case EINVAL:
		return "wrong option, or not a nexusfs mount; see dmesg";
	default:
		return strerror(error);
	}
}

/* Print why it did not work, in the kernel's words if it has any. */
static int failed(struct request *req, int fd, int error)
{
	char text[MESSAGE_MAX] = "", reason[256] = "";

	req->error = error;
	if (fd >= 0)
		read_messages(fd, req->verbose, text);
	if (error == ENOTCONN)
		helper_reason(req, reason, sizeof(reason));
	complain("cannot %smount %s on %s: %s%s%s%s", req->remount ? "re" : "",
		 req->spec, req->dir, *text ? text : hint(error),
		 *reason ? " (the helper says: " : "", reason,
		 *reason ? ")" : "");
	return error == EPERM ? EXIT_USAGE : EXIT_MOUNT;
}

/* Give the filesystem its options. */
static int configure(const struct request *req, int fd)
{
	const struct fs_option *opt;
	int ret;

	for (opt = req->fs; opt < req->fs + req->n_fs; opt++) {
		if (opt->value)
			ret = fsconfig(fd, FSCONFIG_SET_STRING, opt->key,
				       opt->value, 0);
		else
			ret = fsconfig(fd, FSCONFIG_SET_FLAG, opt->key, NULL,
				       0);
		if (ret && !req->sloppy)
			return -errno;
	}
	return 0;
}

static int set_propagation(const struct request *req)
{
	struct mount_attr attr = { .propagation = req->propagation };

	if (!req->propagation)
		return 0;
	if (mount_setattr(AT_FDCWD, req->dir, req->recursive ? AT_RECURSIVE : 0,
			  &attr, sizeof(attr)))
		return -errno;
	return 0;
}

static int mount_new(struct request *req)
{
	int fd, mnt = -1, err, ret;

	fd = fsopen(FS_TYPE, FSOPEN_CLOEXEC);
	if (fd < 0)
		return failed(req, -1, errno);
	err = fsconfig(fd, FSCONFIG_SET_STRING, "source", req->spec, 0) ?
		      -errno : 0;
	if (!err)
		err = configure(req, fd);
	if (!err && fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err = -errno;
	if (!err) {
		mnt = fsmount(fd, FSMOUNT_CLOEXEC, req->attr_set);
		if (mnt < 0)
			err = -errno;
	}
	if (!err && move_mount(mnt, "", AT_FDCWD, req->dir,
			       MOVE_MOUNT_F_EMPTY_PATH |
			       MOVE_MOUNT_T_SYMLINKS |
			       MOVE_MOUNT_T_AUTOMOUNTS)) {
		/* About the directory: the context knows nothing of it. */
		req->error = errno;
		ret = errno == ENOENT ? EXIT_USAGE : EXIT_MOUNT;
		complain("cannot mount %s on %s: %s", req->spec, req->dir,
			 errno == ENOENT ? "there is no such directory" :
			 errno == ENOTDIR || errno == EINVAL ? hint(ENOTDIR) :
							       strerror(errno));
		goto out;
	}
	if (!err)
		err = set_propagation(req);
	if (err) {
		ret = failed(req, fd, -err);
	} else {
		char text[MESSAGE_MAX];

		read_messages(fd, req->verbose, text);
		ret = EXIT_OK;
	}
out:
	if (mnt >= 0)
		close(mnt);
	close(fd);
	return ret;
}

/*
 * A remount says all flags that there are to be, as with mount(2): mount(8) leaves out
 * what "async" or "nolazytime" took away.  (Nothing takes dirsync away here: fsconfig(2)
 * has no word for that.)
 */
static int clear_flags(int fd)
{
	if (fsconfig(fd, FSCONFIG_SET_FLAG, "async", NULL, 0) ||
	    fsconfig(fd, FSCONFIG_SET_FLAG, "nolazytime", NULL, 0))
		return -errno;
	return 0;
}

static int remount(struct request *req)
{
	struct mount_attr attr = {
		.attr_set = req->attr_set,
		.attr_clr = req->attr_clear,
	};
	int fd = -1, err = 0, ret;

	if (!req->bind) {
		fd = fspick(AT_FDCWD, req->dir, FSPICK_CLOEXEC);
		if (fd < 0)
			return failed(req, -1, errno);
		err = clear_flags(fd);
		if (!err)
			err = configure(req, fd);
		if (!err &&
		    fsconfig(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0))
			err = -errno;
	}
	if (!err && (attr.attr_set || attr.attr_clr) &&
	    mount_setattr(AT_FDCWD, req->dir, 0, &attr, sizeof(attr)))
		err = -errno;
	if (!err)
		err = set_propagation(req);
	ret = err ? failed(req, fd, -err) : EXIT_OK;
	if (fd >= 0)
		close(fd);
	return ret;
}

int kernel_mount(struct request *req)
{
	if (req->remount)
		return remount(req);
	return mount_new(req);
}
