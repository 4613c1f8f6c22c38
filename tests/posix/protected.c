// SPDX-License-Identifier: Apache-2.0
/*
 * fs.protected_regular, fs.protected_fifos: O_CREAT of what another has made in a
 * sticky directory; and rename(2) and rmdir(2) of roots.
 */
#include "px.h"

static const struct {
	const char *name;
	mode_t mode;
} dirs[] = {
	{ "sticky-world", 01777 }, { "sticky-group", 01775 }, { "sticky", 01755 }, { "world", 0777 },
};

/* The directory is U3's, who asks is U1, in its group. */
static const struct {
	const char *name;
	uid_t uid;
} owners[] = { { "own", PX_U1 }, { "of-the-directory", PX_U3 }, { "of-a-third", PX_U2 } };

static const struct {
	const char *name;
	int flags;
} flags[] = {
	{ "creat", O_CREAT | O_RDWR }, { "plain", O_RDWR }, { "creat-excl", O_CREAT | O_EXCL | O_RDWR },
};

/* As root directory the one that all is made in, so that it is on the same mount. */
static void roots(void *arg)
{
	(void)arg;
	px_must(chroot("."));
	px_err(EBUSY, rename("/", "x"), "root/rename");
	px_err(EBUSY, rename("x", "/"), "root/rename-to");
	px_err(EEXIST, mkdir("/", 0755), "root/mkdir");
	px_err(EEXIST, mknod("/", S_IFREG | 0644, 0), "root/mknod");
	px_err(EEXIST, symlink("x", "/"), "root/symlink");
	px_err(EISDIR, open("/", O_RDWR | O_CREAT, 0644), "root/creat");
	px_err(EPERM, link("/", "x"), "root/link");
}

PX_OPERATION(protected)
{
	static const enum px_type types[] = { PX_REG, PX_FIFO, PX_LNK };
	unsigned int d, o, f, t;
	int fd;

	for (t = 0; t < PX_COUNT(types); t++) {
		long level = px_sysctl(types[t] == PX_FIFO ? "fs/protected_fifos" : "fs/protected_regular");
		bool links = px_sysctl("fs/protected_symlinks") > 0;

		for (d = 0; d < PX_COUNT(dirs); d++)
		for (o = 0; o < PX_COUNT(owners); o++)
		for (f = 0; f < PX_COUNT(flags); f++) {
			bool sticky = dirs[d].mode & 01000, foreign = owners[o].uid == PX_U2;
			int want = 0;

			if (flags[f].flags & O_EXCL)
				want = EEXIST;
			else if (types[t] == PX_LNK)
				/* Its target lies there, too. */
				want = links && foreign && (dirs[d].mode & 01002) == 01002 ? EACCES : 0;
			if (!want && (flags[f].flags & O_CREAT) && sticky && foreign &&
			    ((level >= 1 && (dirs[d].mode & 2)) || (level >= 2 && (dirs[d].mode & 020))))
				want = EACCES;
			px_must(mkdir("d", 0777));
			px_make(types[t], "d/x", 0666);
			px_must(lchown("d/x", owners[o].uid, PX_G2));
			if (types[t] == PX_LNK)
				px_must(lchown("d/x.t", owners[o].uid, PX_G2));
			px_own("d", PX_U3, PX_G1, dirs[d].mode);
			px_become(&px_u1);
			fd = open("d/x", flags[f].flags | O_NONBLOCK, 0644);
			px_err(want, fd, "%s/%s/%s/%s", px_type_name[types[t]], dirs[d].name, owners[o].name,
			       flags[f].name);
			if (fd >= 0)
				close(fd);
			px_root();
			px_remove("d");
		}
	}
	px_child(roots, NULL);
}
