// SPDX-License-Identifier: Apache-2.0
/* setxattr(2) and its kin: names, namespaces, flags, sizes, rights, kinds of object. */
#include <linux/capability.h>
#include <linux/xattr.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "px.h"

static char value[70000], seen[70000];

/* "OK", an errno; what the list has of user., sorted as it comes. */
static bool listed(const char *path, const char *name)
{
	ssize_t n = llistxattr(path, seen, sizeof(seen)), at;

	for (at = 0; at < n; at += (ssize_t)strlen(seen + at) + 1)
		if (!strcmp(seen + at, name))
			return true;
	return false;
}

static void flags(void)
{
	static const int all[] = { 0, XATTR_CREATE, XATTR_REPLACE, XATTR_CREATE | XATTR_REPLACE, 4 };
	unsigned int i;
	int there;

	for (there = 0; there < 2; there++) {
		for (i = 0; i < PX_COUNT(all); i++) {
			int want = all[i] == 4 ? EINVAL : (all[i] & XATTR_CREATE) && there ? EEXIST :
				   (all[i] & XATTR_REPLACE) && !there ? ENODATA : 0;

			px_file("x", 0644, "");
			if (there)
				px_must(setxattr("x", "user.a", "old", 3, 0));
			px_err(want, setxattr("x", "user.a", "new", 3, all[i]), "flags/%d/%s", all[i],
			       there ? "there" : "not-there");
			memset(seen, 0, 8);
			px_str(want ? there ? "old" : "ENODATA" : "new",
			       getxattr("x", "user.a", seen, 8) < 0 ? px_errname(errno) : seen, "flags/%d/%s/value",
			       all[i], there ? "there" : "not-there");
			px_remove("x");
		}
	}
}

static void sizes(void)
{
	static const int all[] = { 0, 1, 2, 100, 255, 256, 1000, 2000, 3000, 3800 };
	unsigned int i, k;

	for (i = 0; i < sizeof(value); i++)
		value[i] = (char)(i * 7 + i / 256);
	for (i = 0; i < PX_COUNT(all); i++) {
		px_file("x", 0644, "");
		px_err(0, setxattr("x", "user.a", value, (size_t)all[i], 0), "size/%d", all[i]);
		px_num(all[i], getxattr("x", "user.a", NULL, 0), "size/%d/asked", all[i]);
		px_num(all[i], getxattr("x", "user.a", seen, sizeof(seen)), "size/%d/got", all[i]);
		px_num(0, memcmp(seen, value, (size_t)all[i]), "size/%d/content", all[i]);
		if (all[i] > 1)
			px_err(ERANGE, getxattr("x", "user.a", seen, (size_t)all[i] - 1), "size/%d/no-room", all[i]);
		/* From each size to each other. */
		for (k = 0; k < PX_COUNT(all); k++) {
			px_must(setxattr("x", "user.a", value, (size_t)all[i], 0));
			px_must(setxattr("x", "user.a", value + 1, (size_t)all[k], 0));
			px_num(all[k], getxattr("x", "user.a", seen, sizeof(seen)), "resize/%d-%d", all[i], all[k]);
			px_num(0, memcmp(seen, value + 1, (size_t)all[k]), "resize/%d-%d/content", all[i], all[k]);
		}
		px_remove("x");
	}
	px_file("x", 0644, "");
	px_err(E2BIG, setxattr("x", "user.a", value, 65537, 0), "size/65537");
	px_note(px_errname(setxattr("x", "user.a", value, 65536, 0) ? errno : 0), "size/65536");
	px_remove("x");
}

static void names(void)
{
	static char name[300];
	static const int lengths[] = { 1, 10, 100, 200, 249, 250, 251 };
	static const struct {
		const char *name;
		int want;
	} odd[] = {
		{ "user.", EINVAL }, { "user", EOPNOTSUPP }, { "", ERANGE }, { "nonsense.x", EOPNOTSUPP },
		{ "user.a.b.c", 0 }, { "user. ", 0 }, { "user.\xff\xfe", 0 }, { "user.\n", 0 }, { "user.A", 0 },
		{ "system.x", EOPNOTSUPP }, { "trusted.", EINVAL }, { "trusted.x", 0 }, { "USER.x", EOPNOTSUPP },
		{ ".", EOPNOTSUPP }, { "os2.x", EOPNOTSUPP }, { "btrfs.x", EOPNOTSUPP },
	};
	unsigned int i;
	int n;

	px_file("x", 0644, "");
	for (i = 0; i < PX_COUNT(lengths); i++) {
		memset(name, 0, sizeof(name));
		strcpy(name, "user.");
		memset(name + 5, 'n', (size_t)lengths[i]);
		px_err(lengths[i] > 250 ? ERANGE : 0, setxattr("x", name, "v", 1, 0), "name-length/%d", 5 + lengths[i]);
		px_num(lengths[i] <= 250, listed("x", name), "name-length/%d/listed", 5 + lengths[i]);
		removexattr("x", name);
	}
	for (i = 0; i < PX_COUNT(odd); i++) {
		px_err(odd[i].want, setxattr("x", odd[i].name, "v", 1, 0), "name/%u/set", i);
		px_num(!odd[i].want, listed("x", odd[i].name), "name/%u/listed", i);
		px_err(odd[i].want, getxattr("x", odd[i].name, seen, 10), "name/%u/get", i);
		px_err(odd[i].want, removexattr("x", odd[i].name), "name/%u/remove", i);
	}
	px_num(0, listxattr("x", seen, sizeof(seen)), "list/empty");
	for (n = 0; n < 20; n++)
		px_must(setxattr("x", px_text("user.%d", n), "v", 1, 0));
	px_num(20 * 8 - 10, listxattr("x", NULL, 0), "list/asked");
	px_num(20 * 8 - 10, listxattr("x", seen, sizeof(seen)), "list/got");
	px_err(ERANGE, listxattr("x", seen, 20), "list/no-room");
	for (n = 0; n < 20; n++)
		px_num(1, listed("x", px_text("user.%d", n)), "list/%d", n);
	for (n = 0; n < 20; n += 2)
		px_must(removexattr("x", px_text("user.%d", n)));
	for (n = 0; n < 20; n++)
		px_num(n & 1, listed("x", px_text("user.%d", n)), "list-after-removal/%d", n);
	px_err(ENODATA, removexattr("x", "user.0"), "remove-again");
	px_err(ENODATA, getxattr("x", "user.0", seen, 10), "get-removed");
	px_remove("x");
}

static const char *const spaces[] = { "user.a", "trusted.a", "security.a" };

/* user.: regular files and directories; the others: everything. */
static void kinds(void)
{
	int type, s;

	for (type = PX_REG; type < PX_TYPES; type++) {
		for (s = 0; s < 3; s++) {
			bool content = type == PX_REG || type == PX_DIR || type == PX_FULL;
			bool fine = s || content;

			px_make(type, "x", 0666);
			px_err(fine ? 0 : EPERM, lsetxattr("x", spaces[s], "v", 1, 0), "kind/%s/%s/set", px_type_name[type],
			       spaces[s]);
			px_err(fine ? 0 : ENODATA, lgetxattr("x", spaces[s], seen, 10), "kind/%s/%s/get",
			       px_type_name[type], spaces[s]);
			px_num(fine, listed("x", spaces[s]), "kind/%s/%s/listed", px_type_name[type], spaces[s]);
			px_err(fine ? 0 : EPERM, lremovexattr("x", spaces[s]), "kind/%s/%s/remove", px_type_name[type],
			       spaces[s]);
			px_remove("x");
		}
	}
}

/* The object is U1's. */
static void rights(void)
{
	static const struct px_who whos[] = {
		{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, { "other", PX_U2, PX_G2, 0, { 0 }, 0 },
		{ "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) },
		{ "dac-override", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_OVERRIDE) },
		{ "dac-read-search", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_READ_SEARCH) },
		{ "sys-admin", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_SYS_ADMIN) },
		{ "root", 0, 0, 0, { 0 }, 0 },
	};
	static const mode_t modes[] = { 0600, 0604, 0602, 0606, 0000, 0400, 0200 };
	unsigned int w, m;
	int s, dir;

	for (dir = 0; dir < 2; dir++)
	for (w = 0; w < PX_COUNT(whos); w++)
	for (m = 0; m < PX_COUNT(modes); m++)
	for (s = 0; s < 3; s++) {
		uint64_t caps = whos[w].uid ? whos[w].caps : ~0ULL;
		int bits = (int)(whos[w].uid == PX_U1 ? modes[m] >> 6 : modes[m]) & 7;
		bool admin = caps & PX_CAP(CAP_SYS_ADMIN), override = caps & PX_CAP(CAP_DAC_OVERRIDE);
		int get = (bits & 4) || override || (caps & PX_CAP(CAP_DAC_READ_SEARCH)) ? 0 : EACCES;
		int set = (bits & 2) || override ? 0 : EACCES;
		const char *row = px_text("right/%s/%s/%03o/%s", dir ? "dir" : "reg", whos[w].name, modes[m], spaces[s]);
		bool list;

		if (s == 1) {
			get = admin ? 0 : ENODATA;
			set = admin ? 0 : EPERM;
		} else if (s == 2) {
			/* Without a security module: for the administrator to set, for all to see. */
			get = 0;
			set = admin ? 0 : EPERM;
		}
		px_make(dir ? PX_DIR : PX_REG, "x", 0600);
		px_must(setxattr("x", spaces[s], "v", 1, 0));
		px_own("x", PX_U1, PX_G1, modes[m]);
		px_become(&whos[w]);
		px_err(get, getxattr("x", spaces[s], seen, 10), "%s/get", row);
		list = listed("x", spaces[s]);
		px_num(s != 1 || admin, list, "%s/listed", row);
		px_err(set, setxattr("x", spaces[s], "w", 1, 0), "%s/set", row);
		px_err(set, removexattr("x", spaces[s]), "%s/remove", row);
		px_root();
		px_remove("x");
	}
	/* A sticky directory's user. attributes are its owner's. */
	for (w = 0; w < PX_COUNT(whos); w++) {
		bool owner = whos[w].uid == PX_U1 || !whos[w].uid || (whos[w].caps & PX_CAP(CAP_FOWNER));

		px_make(PX_DIR, "x", 0777);
		px_own("x", PX_U1, PX_G1, 01777);
		px_become(&whos[w]);
		px_err(owner ? 0 : EPERM, setxattr("x", "user.a", "v", 1, 0), "sticky/%s", whos[w].name);
		px_root();
		px_remove("x");
	}
}

PX_OPERATION(xattr)
{
	int fd;

	px_file("x", 0644, "");
	if (setxattr("x", "user.probe", "1", 1, 0) && errno == EOPNOTSUPP)
		px_skip_rest("no xattrs");
	px_remove("x");
	flags();
	sizes();
	names();
	kinds();
	rights();
	px_file("x", 0644, "");
	px_err(EFAULT, setxattr("x", "user.a", (void *)1, 10, 0), "efault-value");
	px_err(EFAULT, setxattr("x", (void *)1, "v", 1, 0), "efault-name");
	px_err(EBADF, fsetxattr(-1, "user.a", "v", 1, 0), "fset-bad");
	px_err(EBADF, fgetxattr(-1, "user.a", seen, 1), "fget-bad");
	px_err(EBADF, flistxattr(-1, seen, 1), "flist-bad");
	px_err(EBADF, fremovexattr(-1, "user.a"), "fremove-bad");
	fd = (int)px_must(open("x", O_PATH));
	px_err(EBADF, fsetxattr(fd, "user.a", "v", 1, 0), "fset-o_path");
	px_err(EBADF, fgetxattr(fd, "user.a", seen, 1), "fget-o_path");
	close(fd);
	fd = (int)px_must(open("x", O_RDONLY));
	px_err(0, fsetxattr(fd, "user.a", "v", 1, 0), "fset-rdonly");
	px_must(unlink("x"));
	px_err(0, fsetxattr(fd, "user.b", "w", 1, 0), "unlinked/set");
	px_num(1, fgetxattr(fd, "user.b", seen, 10), "unlinked/get");
	px_num(14, flistxattr(fd, seen, 100), "unlinked/list");
	px_err(0, fremovexattr(fd, "user.b"), "unlinked/remove");
	close(fd);
	/* They go with the inode, not with the name. */
	px_file("x", 0644, "");
	px_must(setxattr("x", "user.a", "v", 1, 0));
	px_must(link("x", "y"));
	px_num(1, listed("y", "user.a"), "link");
	px_must(rename("x", "z"));
	px_num(1, listed("z", "user.a"), "rename");
	px_file("x", 0644, "");
	px_num(0, listed("x", "user.a"), "new-file-has-none");
	px_must(rename("x", "z"));
	px_num(0, listed("z", "user.a"), "replaced");
	px_num(1, listed("y", "user.a"), "other-name-keeps");
	/* security.capability goes when the content changes. */
	px_file("x", 0666, "content");
	{
		const uint32_t cap[5] = { 0x02000000, 1 << 10, 0, 0, 0 };

		px_err(EINVAL, setxattr("x", "security.capability", "v", 1, 0), "capability/malformed");
		px_err(0, setxattr("x", "security.capability", cap, sizeof(cap), 0), "capability/set");
		px_num(20, getxattr("x", "security.capability", seen, 100), "capability/get");
		px_become(&px_u1);
		px_must(truncate("x", 3));
		px_root();
		px_err(ENODATA, getxattr("x", "security.capability", seen, 100), "capability/after-truncate");
		px_must(setxattr("x", "security.capability", cap, sizeof(cap), 0));
		fd = (int)px_must(open("x", O_WRONLY));
		px_must(write(fd, "x", 1));
		close(fd);
		px_err(ENODATA, getxattr("x", "security.capability", seen, 100), "capability/after-write");
		px_must(setxattr("x", "security.capability", cap, sizeof(cap), 0));
		px_must(chown("x", PX_U1, PX_G1));
		px_err(ENODATA, getxattr("x", "security.capability", seen, 100), "capability/after-chown");
		px_must(setxattr("x", "security.capability", cap, sizeof(cap), 0));
		px_must(chmod("x", 0600));
		px_num(20, getxattr("x", "security.capability", seen, 100), "capability/after-chmod");
	}
}
