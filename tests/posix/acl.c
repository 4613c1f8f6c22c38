// SPDX-License-Identifier: Apache-2.0
/* POSIX ACLs, as the system calls have them: system.posix_acl_access and _default. */
#include <linux/capability.h>
#include <linux/posix_acl_xattr.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "px.h"

#define ACCESS	"system.posix_acl_access"
#define DEFAULT	"system.posix_acl_default"

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 0x10, OTHER = 0x20 };

struct acl {
	uint32_t version;
	struct posix_acl_xattr_entry entry[1100];
};

static struct acl acl;
static int count;

static void begin(void)
{
	acl.version = 2;
	count = 0;
}

static void add(int tag, int perm, unsigned int id)
{
	acl.entry[count++] = (struct posix_acl_xattr_entry){ (uint16_t)tag, (uint16_t)perm, id };
}

static size_t size(void)
{
	return 4 + 8 * (size_t)count;
}

static int set(const char *path, const char *name)
{
	return setxattr(path, name, &acl, size(), 0);
}

/* "uo=7 u40001=5 go=4 m=7 o=0", or an errno. */
static const char *show(const char *path, const char *name)
{
	static char text[400];
	struct acl got;
	ssize_t n = getxattr(path, name, &got, sizeof(got));
	size_t at = 0;
	int i;

	if (n < 0)
		return px_errname(errno);
	text[0] = 0;
	for (i = 0; i < (n - 4) / 8 && at < sizeof(text) - 40; i++) {
		const struct posix_acl_xattr_entry *e = &got.entry[i];
		const char *tag = e->e_tag == USER_OBJ ? "uo" : e->e_tag == USER ? "u" : e->e_tag == GROUP_OBJ ? "go" :
				  e->e_tag == GROUP ? "g" : e->e_tag == MASK ? "m" : "o";

		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? " " : "", tag);
		if (e->e_tag == USER || e->e_tag == GROUP)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%u", e->e_id);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "=%o", e->e_perm);
	}
	return text;
}

/* The algorithm of acl(5), who by who; each entry that should not count has the complement. */
static void check(void)
{
	static const struct {
		struct px_who who;
		const char *entry;
	} whos[] = {
		{ { "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, "owner" },
		{ { "named-user", PX_U2, PX_G2, 0, { 0 }, 0 }, "user" },
		{ { "named-user-in-group", PX_U2, PX_G1, 0, { 0 }, 0 }, "user" },
		{ { "group", PX_U3, PX_G1, 0, { 0 }, 0 }, "group" },
		{ { "supplementary", PX_U3, PX_G2, 1, { PX_G1 }, 0 }, "group" },
		{ { "named-group", PX_U3, PX_G3, 0, { 0 }, 0 }, "named" },
		{ { "named-group-supplementary", PX_U3, PX_G2, 1, { PX_G3 }, 0 }, "named" },
		{ { "other", PX_U3, PX_G2, 0, { 0 }, 0 }, "other" },
	};
	static const int masks[] = { 7, 5, 4, 2, 0 };
	unsigned int w, m;
	int bits, want;

	for (w = 0; w < PX_COUNT(whos); w++)
	for (m = 0; m < PX_COUNT(masks); m++)
	for (bits = 0; bits < 8; bits++) {
		const char *e = whos[w].entry;
		int not = ~bits & 7, effective = !strcmp(e, "owner") || !strcmp(e, "other") ? bits : bits & masks[m];

		/* An empty mask: the kernel looks at no entry, a named one is like any other. */
		if (!masks[m] && (!strcmp(e, "user") || !strcmp(e, "named")) && whos[w].who.gid != PX_G1)
			effective = not;
		px_file("x", 0600, "");
		px_must(chown("x", PX_U1, PX_G1));
		begin();
		add(USER_OBJ, !strcmp(e, "owner") ? bits : not, -1);
		add(USER, !strcmp(e, "user") ? bits : not, PX_U2);
		add(GROUP_OBJ, !strcmp(e, "group") ? bits : not, -1);
		add(GROUP, !strcmp(e, "named") ? bits : not, PX_G3);
		add(MASK, masks[m], -1);
		add(OTHER, !strcmp(e, "other") ? bits : not, -1);
		px_must(set("x", ACCESS));
		px_become(&whos[w].who);
		for (want = 1; want < 8; want++)
			px_err((effective & want) == want ? 0 : EACCES,
			       syscall(SYS_faccessat2, AT_FDCWD, "x", want, AT_EACCESS), "check/%s/%d-mask-%d/%d",
			       whos[w].who.name, bits, masks[m], want);
		px_root();
		px_remove("x");
	}
}

/* The mode is the ACL's and the other way round. */
static void modes(void)
{
	static const mode_t all[] = { 0777, 0644, 0640, 0400, 0070, 0007, 0000, 04751, 02770 };
	unsigned int i;
	int u, m;

	for (i = 0; i < PX_COUNT(all); i++) {
		px_file("x", 0600, "");
		begin();
		add(USER_OBJ, 6, -1);
		add(USER, 5, PX_U2);
		add(GROUP_OBJ, 4, -1);
		add(MASK, 7, -1);
		add(OTHER, 1, -1);
		px_must(set("x", ACCESS));
		px_mode(0671, px_mode_of("x"), "mode/of-acl/%04o", all[i]);
		px_must(chmod("x", all[i]));
		px_mode(all[i], px_mode_of("x"), "mode/chmod/%04o", all[i]);
		px_str(px_text("uo=%o u%d=5 go=4 m=%o o=%o", all[i] >> 6 & 7, PX_U2, all[i] >> 3 & 7, all[i] & 7),
		       show("x", ACCESS), "mode/chmod/%04o/acl", all[i]);
		px_remove("x");
	}
	/* Three entries are just a mode. */
	for (u = 0; u < 8; u++) {
		for (m = 0; m < 8; m += 3) {
			px_file("x", 0123, "");
			begin();
			add(USER_OBJ, u, -1);
			add(GROUP_OBJ, m, -1);
			add(OTHER, 7 - u, -1);
			px_must(set("x", ACCESS));
			px_mode((mode_t)(u << 6 | m << 3 | (7 - u)), px_mode_of("x"), "minimal/%d-%d/mode", u, m);
			px_str("ENODATA", show("x", ACCESS), "minimal/%d-%d/acl", u, m);
			px_remove("x");
		}
	}
}

/* A default ACL: what is made gets it, cut by the mode that was asked for; the umask does not count. */
static void inheritance(void)
{
	static const mode_t asked[] = { 0777, 0666, 0640, 0600, 0007, 0000 };
	static const char *const kinds[] = { "open", "mkdir", "mknod", "mkfifo", "tmpfile" };
	unsigned int a, k;
	int fd;

	for (a = 0; a < PX_COUNT(asked); a++) {
		for (k = 0; k < PX_COUNT(kinds); k++) {
			mode_t want = asked[a] & 0754;
			mode_t u = want >> 6 & 7, m = want >> 3 & 7, o = want & 7;

			px_must(mkdir("d", 0777));
			begin();
			add(USER_OBJ, 7, -1);
			add(USER, 6, PX_U2);
			add(GROUP_OBJ, 4, -1);
			add(MASK, 5, -1);
			add(OTHER, 4, -1);
			px_must(set("d", DEFAULT));
			umask(0077);
			switch (k) {
			case 0:
				close((int)px_must(open("d/x", O_RDWR | O_CREAT, asked[a])));
				break;
			case 1:
				px_must(mkdir("d/x", asked[a]));
				break;
			case 2:
				px_must(mknod("d/x", S_IFREG | asked[a], 0));
				break;
			case 3:
				px_must(mknod("d/x", S_IFIFO | asked[a], 0));
				break;
			default:
				fd = (int)px_must(open("d", O_TMPFILE | O_RDWR, asked[a]));
				px_must(linkat(fd, "", AT_FDCWD, "d/x", AT_EMPTY_PATH));
				close(fd);
				break;
			}
			umask(0);
			px_mode(want, px_mode_of("d/x"), "inherit/%s/%03o/mode", kinds[k], asked[a]);
			px_str(px_text("uo=%o u%d=6 go=4 m=%o o=%o", u, PX_U2, m, o), show("d/x", ACCESS),
			       "inherit/%s/%03o/acl", kinds[k], asked[a]);
			px_str(k == 1 ? px_text("uo=7 u%d=6 go=4 m=5 o=4", PX_U2) : "ENODATA", show("d/x", DEFAULT),
			       "inherit/%s/%03o/default", kinds[k], asked[a]);
			px_remove("d");
		}
	}
	/* Of three entries: a mode. */
	px_must(mkdir("d", 0777));
	begin();
	add(USER_OBJ, 7, -1);
	add(GROUP_OBJ, 5, -1);
	add(OTHER, 1, -1);
	px_must(set("d", DEFAULT));
	umask(0077);
	close((int)px_must(open("d/x", O_RDWR | O_CREAT, 0666)));
	px_must(mkdir("d/e", 0777));
	umask(0);
	px_mode(0640, px_mode_of("d/x"), "inherit-minimal/mode");
	px_str("ENODATA", show("d/x", ACCESS), "inherit-minimal/acl");
	px_mode(0751, px_mode_of("d/e"), "inherit-minimal/directory-mode");
	px_str("uo=7 go=5 o=1", show("d/e", DEFAULT), "inherit-minimal/directory-default");
	px_mode(0777, px_mode_of("d"), "inherit-minimal/own-mode-stays");
	px_must(removexattr("d", DEFAULT));
	umask(0077);
	close((int)px_must(open("d/y", O_RDWR | O_CREAT, 0666)));
	umask(0);
	px_mode(0600, px_mode_of("d/y"), "inherit-removed/mode");
	px_remove("d");
}

struct bad {
	const char *name;
	int n;
	struct posix_acl_xattr_entry e[6];
	int want;
};

static void invalid(void)
{
	static const struct bad rows[] = {
		{ "no-user-obj", 2, { { GROUP_OBJ, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "no-group-obj", 2, { { USER_OBJ, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "no-other", 2, { { USER_OBJ, 7, -1 }, { GROUP_OBJ, 7, -1 } }, EINVAL },
		{ "no-mask", 4, { { USER_OBJ, 7, -1 }, { USER, 7, 5 }, { GROUP_OBJ, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "order", 3, { { GROUP_OBJ, 7, -1 }, { USER_OBJ, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "twice", 4, { { USER_OBJ, 7, -1 }, { USER_OBJ, 7, -1 }, { GROUP_OBJ, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "tag", 4, { { USER_OBJ, 7, -1 }, { GROUP_OBJ, 7, -1 }, { 0x40, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "perm", 3, { { USER_OBJ, 8, -1 }, { GROUP_OBJ, 7, -1 }, { OTHER, 7, -1 } }, EINVAL },
		{ "user-minus-1", 5, { { USER_OBJ, 7, -1 }, { USER, 7, -1 }, { GROUP_OBJ, 7, -1 }, { MASK, 7, -1 },
				       { OTHER, 7, -1 } }, EINVAL },
		{ "mask-only", 4, { { USER_OBJ, 7, -1 }, { GROUP_OBJ, 7, -1 }, { MASK, 7, -1 }, { OTHER, 7, -1 } }, 0 },
		{ "fine", 3, { { USER_OBJ, 7, -1 }, { GROUP_OBJ, 7, -1 }, { OTHER, 7, -1 } }, 0 },
	};
	static const char *const names[] = { ACCESS, DEFAULT };
	static const char *const short_name[] = { "access", "default" };
	unsigned int r, n;
	int i;

	px_must(mkdir("d", 0777));
	for (n = 0; n < 2; n++) {
		for (r = 0; r < PX_COUNT(rows); r++) {
			begin();
			for (i = 0; i < rows[r].n; i++)
				add(rows[r].e[i].e_tag, rows[r].e[i].e_perm, rows[r].e[i].e_id);
			px_err(rows[r].want, set("d", names[n]), "invalid/%s/%s", short_name[n], rows[r].name);
		}
		begin();
		add(USER_OBJ, 7, -1);
		add(GROUP_OBJ, 7, -1);
		add(OTHER, 7, -1);
		px_err(EINVAL, setxattr("d", names[n], &acl, size() - 1, 0), "invalid/%s/cut", short_name[n]);
		px_err(EINVAL, setxattr("d", names[n], &acl, 3, 0), "invalid/%s/no-header", short_name[n]);
		acl.version = 1;
		px_err(EOPNOTSUPP, set("d", names[n]), "invalid/%s/version", short_name[n]);
		px_err(0, setxattr("d", names[n], &acl, 0, 0), "remove/%s/empty", short_name[n]);
		px_str("ENODATA", show("d", names[n]), "remove/%s/gone", short_name[n]);
		/* Where there was none: gone already. */
		px_err(0, removexattr("d", names[n]), "remove/%s/again", short_name[n]);
		/* How many fit is the filesystem's affair; two hundred do. */
		begin();
		add(USER_OBJ, 7, -1);
		for (i = 0; i < 200; i++)
			add(USER, i & 7, 1000 + (unsigned int)i);
		add(GROUP_OBJ, 5, -1);
		add(MASK, 7, -1);
		add(OTHER, 0, -1);
		px_err(0, set("d", names[n]), "many/%s/200", short_name[n]);
		px_num((long long)size(), getxattr("d", names[n], NULL, 0), "many/%s/200/size", short_name[n]);
		begin();
		add(USER_OBJ, 7, -1);
		for (i = 0; i < 1000; i++)
			add(USER, i & 7, 1000 + (unsigned int)i);
		add(GROUP_OBJ, 5, -1);
		add(MASK, 7, -1);
		add(OTHER, 0, -1);
		px_note(px_errname(set("d", names[n]) ? errno : 0), "many/%s/1000", short_name[n]);
	}
	px_remove("d");
}

PX_OPERATION(acl)
{
	static const struct px_who whos[] = {
		{ "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, { "group", PX_U2, PX_G1, 0, { 0 }, 0 },
		{ "other", PX_U2, PX_G2, 0, { 0 }, 0 }, { "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) },
		{ "sys-admin", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_SYS_ADMIN) },
	};
	unsigned int w;
	int type;

	px_file("x", 0644, "");
	begin();
	add(USER_OBJ, 6, -1);
	add(GROUP_OBJ, 4, -1);
	add(OTHER, 4, -1);
	if (set("x", ACCESS) && errno == EOPNOTSUPP)
		px_skip_rest("no ACLs");
	px_remove("x");
	check();
	modes();
	inheritance();
	invalid();
	begin();
	add(USER_OBJ, 7, -1);
	add(USER, 6, PX_U3);
	add(GROUP_OBJ, 7, -1);
	add(MASK, 7, -1);
	add(OTHER, 7, -1);
	for (w = 0; w < PX_COUNT(whos); w++) {
		bool may = whos[w].uid == PX_U1 || (whos[w].caps & PX_CAP(CAP_FOWNER));

		px_must(mkdir("x", 0777));
		px_must(chown("x", PX_U1, PX_G1));
		px_become(&whos[w]);
		px_err(may ? 0 : EPERM, set("x", ACCESS), "right/%s/access", whos[w].name);
		px_err(may ? 0 : EPERM, set("x", DEFAULT), "right/%s/default", whos[w].name);
		px_err(may ? 0 : EPERM, removexattr("x", ACCESS), "right/%s/remove", whos[w].name);
		px_root();
		px_remove("x");
	}
	for (type = PX_REG; type < PX_TYPES; type++) {
		bool link = type >= PX_LNK, dir = type == PX_DIR || type == PX_FULL;

		px_make(type, "x", 0644);
		px_err(link ? EOPNOTSUPP : 0, lsetxattr("x", ACCESS, &acl, size(), 0), "kind/%s/access",
		       px_type_name[type]);
		px_err(link ? EOPNOTSUPP : dir ? 0 : EACCES, lsetxattr("x", DEFAULT, &acl, size(), 0), "kind/%s/default",
		       px_type_name[type]);
		px_remove("x");
	}
}
