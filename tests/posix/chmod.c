// SPDX-License-Identifier: Apache-2.0
/* chmod(2), fchmod(2), fchmodat2(2): who may, which bits stay. */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "px.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* The object is U1's and G1's. */
static const struct px_who whos[] = {
	{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 },
	{ "owner-supplementary", PX_U1, PX_G2, 1, { PX_G1 }, 0 },
	{ "owner-not-in-group", PX_U1, PX_G2, 0, { 0 }, 0 },
	{ "owner-not-in-group-fsetid", PX_U1, PX_G2, 0, { 0 }, PX_CAP(CAP_FSETID) },
	{ "group", PX_U2, PX_G1, 0, { 0 }, 0 },
	{ "other", PX_U2, PX_G2, 0, { 0 }, 0 },
	{ "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) },
	{ "fowner-fsetid", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) | PX_CAP(CAP_FSETID) },
	{ "dac-override", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_OVERRIDE) },
	{ "root", 0, 0, 0, { 0 }, 0 },
	{ "root-without-fowner", 0, 0, 0, { 0 }, PX_CAP(CAP_FOWNER) },
};

static bool has(const struct px_who *who, int cap)
{
	return (who->uid ? who->caps : ~who->caps) & PX_CAP(cap);
}

static const char *expected(const struct px_who *who, mode_t mode)
{
	if (who->uid != PX_U1 && !has(who, CAP_FOWNER))
		return "EPERM 0640";
	if (who->gid != PX_G1 && !who->ngroups && !has(who, CAP_FSETID))
		mode &= ~02000u;
	return px_text("OK %04o", mode);
}

enum { HELD = 100 };	/* a descriptor */

static int change(int call, mode_t mode)
{
	if (!call)
		return chmod("x", mode);
	if (call == 1)
		return (int)syscall(SYS_fchmodat2, AT_FDCWD, "x", mode, AT_SYMLINK_NOFOLLOW);
	return fchmod(HELD, mode);
}

static void who_may(void)
{
	static const mode_t modes[] = {
		0000, 0777, 0644, 01755, 02755, 02644, 02070, 04755, 04644, 06711, 07777, 02000, 04000, 01000,
	};
	static const enum px_type types[] = { PX_REG, PX_DIR, PX_FIFO };
	static const char *const call_name[] = { "chmod", "fchmodat2", "fchmod" };
	unsigned int w, m, t;
	int call, ret, code;

	for (t = 0; t < PX_COUNT(types); t++)
	for (call = 0; call < 3; call++)
	for (w = 0; w < PX_COUNT(whos); w++)
	for (m = 0; m < PX_COUNT(modes); m++) {
		int fd;

		if (call && types[t] == PX_FIFO)
			continue;
		px_make(types[t], "x", 0640);
		px_own("x", PX_U1, PX_G1, 0640);
		fd = (int)px_must(open("x", O_RDONLY | O_NONBLOCK));
		px_must(dup2(fd, HELD));
		close(fd);
		px_become(&whos[w]);
		ret = change(call, modes[m]);
		code = ret ? errno : 0;
		px_root();
		close(HELD);
		px_str(expected(&whos[w], modes[m]), px_text("%s %04o", px_errname(code), px_mode_of("x")),
		       "%s/%s/%s/%04o", call_name[call], px_type_name[types[t]], whos[w].name, modes[m]);
		px_remove("x");
	}
}

PX_OPERATION(chmod)
{
	mode_t mode;
	int type, fd;

	who_may();
	/* Every bit and combination of the nine, by root. */
	px_file("x", 0, "");
	for (mode = 0; mode < 01000; mode++) {
		px_must(chmod("x", mode));
		px_mode(mode, px_mode_of("x"), "bits/%03o", mode);
	}
	px_must(chmod("x", 0170644));
	px_mode(0644, px_mode_of("x"), "type-bits-are-ignored");
	px_str("reg", px_what("x"), "type-stays");
	px_remove("x");
	for (type = PX_REG; type < PX_TYPES; type++) {
		bool link = type == PX_LNK || type == PX_LNKDIR || type == PX_DANGLING || type == PX_LOOP;

		px_make(type, "x", 0644);
		px_err(link ? EOPNOTSUPP : 0, syscall(SYS_fchmodat2, AT_FDCWD, "x", 0600, AT_SYMLINK_NOFOLLOW),
		       "nofollow/%s", px_type_name[type]);
		px_err(type == PX_DANGLING ? ENOENT : type == PX_LOOP ? ELOOP : 0, chmod("x", 07777), "type/%s",
		       px_type_name[type]);
		if (link)
			px_mode(0777, px_mode_of("x"), "type/%s/link-stays", px_type_name[type]);
		else
			px_mode(07777, px_mode_of("x"), "type/%s/mode", px_type_name[type]);
		px_remove("x");
	}
	px_file("x", 0644, "");
	px_err(EBADF, fchmod(-1, 0644), "fchmod-bad");
	px_err(EBADF, syscall(SYS_fchmodat, -1, "x", 0644), "fchmodat-dirfd-bad");
	px_err(EINVAL, syscall(SYS_fchmodat2, AT_FDCWD, "x", 0644, 0x10), "fchmodat2-flags");
	fd = (int)px_must(open("x", O_PATH));
	px_err(0, syscall(SYS_fchmodat2, fd, "", 0600, AT_EMPTY_PATH), "fchmodat2-empty-path");
	px_mode(0600, px_mode_of("x"), "fchmodat2-empty-path-mode");
	px_err(0, chmod(px_text("/proc/self/fd/%d", fd), 0640), "by-proc");
	close(fd);
	fd = (int)px_must(open("x", O_RDONLY));
	px_must(unlink("x"));
	px_err(0, fchmod(fd, 0711), "unlinked");
	close(fd);
}
