// SPDX-License-Identifier: Apache-2.0
/* Modes and owners of what is made: umask, directories with set-group-id, groups. */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "px.h"

enum { OPEN, MKDIR, MKNOD, MKFIFO, SOCK, TMPFILE, KINDS };

static const char *const kind_name[KINDS] = { "open", "mkdir", "mknod", "mkfifo", "sock", "tmpfile" };

static const mode_t modes[] = { 0777, 0666, 0000, 04755, 02755, 02745, 06777, 01777 };
static const mode_t umasks[] = { 0000, 0022, 0027, 0077, 0777 };

/* The directory belongs to U1 and G3. */
static const struct px_who whos[] = {
	{ "member", PX_U1, PX_G1, 1, { PX_G3 }, 0 },
	{ "stranger", PX_U1, PX_G1, 0, { 0 }, 0 },
	{ "stranger-fsetid", PX_U1, PX_G1, 0, { 0 }, PX_CAP(CAP_FSETID) },
	{ "root", 0, 0, 0, { 0 }, 0 },
};

static int make(int kind, mode_t mode)
{
	int fd;

	switch (kind) {
	case OPEN:
		fd = open("d/x", O_WRONLY | O_CREAT | O_EXCL, mode);
		break;
	case TMPFILE:
		fd = open("d", O_TMPFILE | O_RDWR, mode);
		break;
	case MKDIR:
		return mkdir("d/x", mode);
	case MKNOD:
		return mknod("d/x", S_IFREG | mode, 0);
	case MKFIFO:
		return mknod("d/x", S_IFIFO | mode, 0);
	default:
		return mknod("d/x", S_IFSOCK | mode, 0);
	}
	if (fd < 0)
		return -1;
	if (kind == TMPFILE)
		px_must(linkat(AT_FDCWD, px_text("/proc/self/fd/%d", fd), AT_FDCWD, "d/x", AT_SYMLINK_FOLLOW));
	close(fd);
	return 0;
}

static mode_t expected(const struct px_who *who, int kind, bool setgid, mode_t mode, mode_t mask)
{
	bool keeps = !who->uid || who->ngroups || (who->caps & PX_CAP(CAP_FSETID));

	if (kind == MKDIR)
		return (mode & ~mask & 01777) | (setgid ? 02000 : 0);
	/* A program of a group that its maker is not in: not in a directory that hands on its group. */
	if (setgid && (mode & 02010) == 02010 && !keeps)
		mode &= ~02000u;
	return mode & ~mask;
}

PX_OPERATION(create_mode)
{
	unsigned int w, m, u;
	int kind, setgid;
	struct stat st;

	px_must(mkdir("d", 0777));
	for (w = 0; w < PX_COUNT(whos); w++)
	for (setgid = 0; setgid < 2; setgid++)
	for (kind = 0; kind < KINDS; kind++)
	for (m = 0; m < PX_COUNT(modes); m++)
	for (u = 0; u < PX_COUNT(umasks); u++) {
		const char *row = px_text("%s/%s/%s/%04o-umask-%03o", kind_name[kind], whos[w].name,
					  setgid ? "setgid" : "plain", modes[m], umasks[u]);

		/* A name is given by the path in /proc, which takes rights. */
		if (kind == TMPFILE && u)
			continue;
		px_own("d", PX_U1, PX_G3, setgid ? 02777 : 0777);
		px_become(&whos[w]);
		umask(umasks[u]);
		px_must(make(kind, modes[m]));
		umask(0);
		px_root();
		px_must(lstat("d/x", &st));
		px_str(px_text("%04o %u %u", expected(&whos[w], kind, setgid, modes[m], umasks[u]), whos[w].uid,
			       setgid ? PX_G3 : whos[w].gid),
		       px_text("%04o %u %u", st.st_mode & 07777, st.st_uid, st.st_gid), "%s", row);
		px_remove("d/x");
	}
	/* A link has neither. */
	px_own("d", PX_U1, PX_G3, 02777);
	px_become(&px_u2);
	umask(0077);
	px_must(symlink("x", "d/x"));
	umask(0);
	px_root();
	px_must(lstat("d/x", &st));
	px_str(px_text("0777 %u %u", PX_U2, PX_G3),
	       px_text("%04o %u %u", st.st_mode & 07777, st.st_uid, st.st_gid), "symlink/setgid");
}
