// SPDX-License-Identifier: Apache-2.0
/* Who may remove and move what is in a directory that others may write to. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/syscall.h>

#include "px.h"

enum { DIR_OWNER = PX_U1, FILE_OWNER = PX_U2, THIRD = PX_U3 };

static const struct px_who whos[] = {
	{ "directory-owner", DIR_OWNER, PX_G1, 0, { 0 }, 0 },
	{ "file-owner", FILE_OWNER, PX_G2, 0, { 0 }, 0 },
	{ "third", THIRD, PX_G3, 0, { 0 }, 0 },
	{ "third-fowner", THIRD, PX_G3, 0, { 0 }, PX_CAP(CAP_FOWNER) },
	{ "third-dac-override", THIRD, PX_G3, 0, { 0 }, PX_CAP(CAP_DAC_OVERRIDE) },
	{ "root", 0, 0, 0, { 0 }, 0 },
	{ "root-without-fowner", 0, 0, 0, { 0 }, PX_CAP(CAP_FOWNER) },
};

enum { UNLINK, RENAME, RENAME_AWAY, RENAME_OVER, RENAME_IN_OVER, EXCHANGE_IN, EXCHANGE_OUT, OPS };

static const char *const op_name[OPS] = {
	"remove", "rename", "rename-away", "rename-over", "rename-in-over", "exchange-in", "exchange-with-out",
};

static bool has(const struct px_who *who, int cap)
{
	return (who->uid ? who->caps : ~who->caps) & PX_CAP(cap);
}

static int act(int op, bool dir)
{
	switch (op) {
	case UNLINK:
		return dir ? rmdir("s/x") : unlink("s/x");
	case RENAME:
		return rename("s/x", "s/new");
	case RENAME_AWAY:
		return rename("s/x", "out/new");
	case RENAME_OVER:
		return rename("s/mine", "s/x");
	case RENAME_IN_OVER:
		return rename("out/mine", "s/x");
	case EXCHANGE_IN:
		return (int)syscall(SYS_renameat2, AT_FDCWD, "s/mine", AT_FDCWD, "s/x", RENAME_EXCHANGE);
	default:
		return (int)syscall(SYS_renameat2, AT_FDCWD, "out/mine", AT_FDCWD, "s/x", RENAME_EXCHANGE);
	}
}

static int expected(const struct px_who *who, bool sticky, int op, bool dir)
{
	bool writable = who->uid == FILE_OWNER || has(who, CAP_DAC_OVERRIDE);

	if (sticky && who->uid != DIR_OWNER && who->uid != FILE_OWNER && !has(who, CAP_FOWNER))
		return EPERM;
	/* Its ".." changes. */
	if (dir && (op == RENAME_AWAY || op == EXCHANGE_OUT) && !writable)
		return EACCES;
	return 0;
}

static void make(const char *path, bool dir, uid_t uid)
{
	px_make(dir ? PX_DIR : PX_REG, path, 0755);
	px_own(path, uid, PX_G3, 0755);
}

PX_OPERATION(sticky)
{
	unsigned int w;
	int sticky, op, dir, want;

	for (w = 0; w < PX_COUNT(whos); w++) {
		for (sticky = 0; sticky < 2; sticky++) {
			for (op = 0; op < OPS; op++) {
				for (dir = 0; dir < 2; dir++) {
					px_must(mkdir("s", 0777));
					px_must(mkdir("out", 0777));
					make("s/x", dir, FILE_OWNER);
					make("s/mine", dir, whos[w].uid);
					make("out/mine", dir, whos[w].uid);
					px_own("s", DIR_OWNER, PX_G1, sticky ? 01777 : 0777);
					want = expected(&whos[w], sticky, op, dir);
					px_become(&whos[w]);
					px_err(want, act(op, dir), "%s/%s/%s/%s", sticky ? "sticky" : "plain",
					       whos[w].name, op_name[op], dir ? "dir" : "reg");
					px_root();
					px_remove("s");
					px_remove("out");
				}
			}
		}
	}
}
