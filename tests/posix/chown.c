// SPDX-License-Identifier: Apache-2.0
/* chown(2) and its kin: who may give what to whom, and the bits that go. */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "px.h"

/* The object is U1's and G1's. */
static const struct px_who whos[] = {
	{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 },
	{ "owner-in-g2", PX_U1, PX_G1, 1, { PX_G2 }, 0 },
	{ "owner-not-in-group", PX_U1, PX_G3, 0, { 0 }, 0 },
	{ "group", PX_U2, PX_G1, 0, { 0 }, 0 },
	{ "other", PX_U2, PX_G2, 0, { 0 }, 0 },
	{ "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) },
	{ "chown", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_CHOWN) },
	{ "chown-fsetid", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_CHOWN) | PX_CAP(CAP_FSETID) },
	{ "root", 0, 0, 0, { 0 }, 0 },
	{ "root-without-chown", 0, 0, 0, { 0 }, PX_CAP(CAP_CHOWN) },
};

static bool has(const struct px_who *who, int cap)
{
	return (who->uid ? who->caps : ~who->caps) & PX_CAP(cap);
}

static bool in_group(const struct px_who *who, gid_t gid)
{
	return who->gid == gid || (who->ngroups && who->groups[0] == gid);
}

static bool may(const struct px_who *who, uid_t uid, gid_t gid)
{
	if (has(who, CAP_CHOWN))
		return true;
	if (uid != (uid_t)-1 && (who->uid != PX_U1 || uid != PX_U1))
		return false;
	/* A group one is in, or the one it has. */
	return gid == (gid_t)-1 || (who->uid == PX_U1 && (in_group(who, gid) || gid == PX_G1));
}

/* Bits that say who one becomes go whenever an owner is set, even to what it was. */
static mode_t left(const struct px_who *who, enum px_type type, mode_t mode)
{
	if (type == PX_DIR)
		return mode;
	mode &= ~04000u;
	if ((mode & 010) || (!in_group(who, PX_G1) && !has(who, CAP_FSETID)))
		mode &= ~02000u;
	return mode;
}

static void row(unsigned int w, enum px_type type, uid_t uid, gid_t gid, mode_t mode)
{
	bool fine = may(&whos[w], uid, gid);
	struct stat st;
	int ret, code;

	/* Bits that would go are a change of mode, which is the owner's. */
	if (left(&whos[w], type, mode) != mode && whos[w].uid != PX_U1 && !has(&whos[w], CAP_FOWNER))
		fine = false;
	px_make(type, "x", 0644);
	px_own("x", PX_U1, PX_G1, mode);
	px_become(&whos[w]);
	ret = chown("x", uid, gid);
	code = ret ? errno : 0;
	px_root();
	px_must(stat("x", &st));
	px_str(px_text("%s %u %u %04o", fine ? "OK" : "EPERM", fine && uid != (uid_t)-1 ? uid : PX_U1,
		       fine && gid != (gid_t)-1 ? gid : PX_G1, fine ? left(&whos[w], type, mode) : mode),
	       px_text("%s %u %u %04o", px_errname(code), st.st_uid, st.st_gid, st.st_mode & 07777),
	       "%s/%s/%d-%d/%04o", px_type_name[type], whos[w].name, (int)uid, (int)gid, mode);
	px_remove("x");
}

static void bits(void)
{
	static const uid_t uids[] = { -1, PX_U1, PX_U2 };
	static const gid_t gids[] = { -1, PX_G1, PX_G2 };
	static const mode_t modes[] = { 0644, 06755, 06644 };
	static const enum px_type types[] = { PX_REG, PX_DIR };
	unsigned int w, u, g, m, t;

	for (t = 0; t < PX_COUNT(types); t++)
	for (w = 0; w < PX_COUNT(whos); w++)
	for (u = 0; u < PX_COUNT(uids); u++)
	for (g = 0; g < PX_COUNT(gids); g++)
	for (m = 0; m < PX_COUNT(modes); m++)
		row(w, types[t], uids[u], gids[g], modes[m]);
}

PX_OPERATION(chown)
{
	static const long long ids[] = { 0, 1, 65534, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe };
	struct stat st, to;
	unsigned int i;
	int type, fd;

	bits();
	for (i = 0; i < PX_COUNT(ids); i++) {
		px_file("x", 0644, "");
		px_must(chown("x", (uid_t)ids[i], (gid_t)(ids[i] ^ 2)));
		px_must(stat("x", &st));
		px_num(ids[i], st.st_uid, "range-uid/%lld", ids[i]);
		px_num((gid_t)(ids[i] ^ 2), st.st_gid, "range-gid/%lld", ids[i]);
		px_remove("x");
	}
	for (type = PX_REG; type < PX_TYPES; type++) {
		bool link = type == PX_LNK || type == PX_LNKDIR;

		px_make(type, "x", 0644);
		px_err(0, lchown("x", PX_U2, PX_G2), "lchown/%s", px_type_name[type]);
		px_must(lstat("x", &st));
		px_num(PX_U2, st.st_uid, "lchown/%s/uid", px_type_name[type]);
		px_num(PX_G2, st.st_gid, "lchown/%s/gid", px_type_name[type]);
		px_err(type == PX_DANGLING ? ENOENT : type == PX_LOOP ? ELOOP : 0, chown("x", PX_U3, PX_G3),
		       "chown/%s", px_type_name[type]);
		px_must(lstat("x", &st));
		px_num(link || type == PX_DANGLING || type == PX_LOOP ? PX_U2 : PX_U3, st.st_uid,
		       "chown/%s/uid", px_type_name[type]);
		if (link) {
			px_must(stat("x", &to));
			px_num(PX_U3, to.st_uid, "chown/%s/target", px_type_name[type]);
		}
		px_remove("x");
	}
	px_file("x", 04755, "");
	px_err(EBADF, fchown(-1, 0, 0), "fchown-bad");
	px_err(EBADF, fchownat(-1, "x", 0, 0, 0), "fchownat-dirfd-bad");
	px_err(EINVAL, fchownat(AT_FDCWD, "x", 0, 0, 0x10), "fchownat-flags");
	fd = (int)px_must(open("x", O_PATH));
	px_err(0, fchownat(fd, "", PX_U1, PX_G1, AT_EMPTY_PATH), "fchownat-empty-path");
	px_must(fstat(fd, &st));
	px_num(PX_U1, st.st_uid, "fchownat-empty-path-uid");
	close(fd);
	fd = (int)px_must(open("x", O_RDONLY));
	px_must(unlink("x"));
	px_err(0, fchown(fd, PX_U2, PX_G2), "unlinked");
	px_must(fstat(fd, &st));
	px_num(PX_U2, st.st_uid, "unlinked-uid");
	close(fd);
}
