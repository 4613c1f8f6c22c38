// SPDX-License-Identifier: Apache-2.0
/*
 * Who may: permission bits of one class, against each who that is in it.  The other
 * classes have the complement, so that a wrong choice of class shows.
 */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "px.h"

enum class { OWNER, GROUP, OTHER };

/* The object is U1's and G1's. */
static const struct {
	struct px_who who;
	enum class class;
} whos[] = {
	{ { "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, OWNER },
	{ { "owner-not-in-group", PX_U1, PX_G2, 0, { 0 }, 0 }, OWNER },
	{ { "group", PX_U2, PX_G1, 0, { 0 }, 0 }, GROUP },
	{ { "supplementary", PX_U2, PX_G2, 1, { PX_G1 }, 0 }, GROUP },
	{ { "second-supplementary", PX_U2, PX_G2, 2, { PX_G3, PX_G1 }, 0 }, GROUP },
	{ { "other", PX_U2, PX_G2, 0, { 0 }, 0 }, OTHER },
	{ { "other-supplementary", PX_U2, PX_G2, 1, { PX_G3 }, 0 }, OTHER },
	{ { "dac-override", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_OVERRIDE) }, OTHER },
	{ { "dac-read-search", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_DAC_READ_SEARCH) }, OTHER },
	{ { "fowner", PX_U2, PX_G2, 0, { 0 }, PX_CAP(CAP_FOWNER) }, OTHER },
	{ { "root", 0, 0, 0, { 0 }, 0 }, OTHER },
	{ { "root-without-dac", 0, 0, 0, { 0 },
	    PX_CAP(CAP_DAC_OVERRIDE) | PX_CAP(CAP_DAC_READ_SEARCH) }, OTHER },
};

#define R 4
#define W 2
#define X 1

/* The kernel's rule: bits of the class first, then capabilities. */
static bool may(unsigned int w, mode_t mode, bool dir, int want)
{
	const struct px_who *who = &whos[w].who;
	uint64_t caps = who->uid ? who->caps : ~who->caps;
	int bits = (int)(mode >> (whos[w].class == OWNER ? 6 : whos[w].class == GROUP ? 3 : 0)) & 7;

	if ((bits & want) == want)
		return true;
	if (dir) {
		if (!(want & W) && (caps & PX_CAP(CAP_DAC_READ_SEARCH)))
			return true;
		return caps & PX_CAP(CAP_DAC_OVERRIDE);
	}
	if (want == R && (caps & PX_CAP(CAP_DAC_READ_SEARCH)))
		return true;
	return (!(want & X) || (mode & 0111)) && (caps & PX_CAP(CAP_DAC_OVERRIDE));
}

static mode_t mode_for(enum class class, int bits)
{
	int shift = class == OWNER ? 6 : class == GROUP ? 3 : 0;
	mode_t mode = (mode_t)(~bits & 7) * 0111;

	return (mode & ~(7u << shift)) | (mode_t)bits << shift;
}

static void opened(int want, int fd, const char *row)
{
	px_err(want, fd, "%s", row);
	if (fd >= 0)
		close(fd);
}

static void file_row(unsigned int w, int bits)
{
	static const struct {
		const char *name;
		int flags, want;
	} opens[] = {
		{ "open-rdonly", O_RDONLY, R }, { "open-wronly", O_WRONLY, W },
		{ "open-rdwr", O_RDWR, R | W }, { "open-trunc", O_RDONLY | O_TRUNC, R | W },
		{ "open-creat", O_WRONLY | O_CREAT, W }, { "open-append", O_WRONLY | O_APPEND, W },
		{ "open-path", O_PATH, 0 },
	};
	mode_t mode = mode_for(whos[w].class, bits);
	unsigned int i;
	int want;

	px_file("f", 0644, "content");
	px_own("f", PX_U1, PX_G1, mode);
	px_become(&whos[w].who);
	for (i = 0; i < PX_COUNT(opens); i++)
		opened(may(w, mode, false, opens[i].want) ? 0 : EACCES, open("f", opens[i].flags, 0600),
		       px_text("file/%s/%d/%s", whos[w].who.name, bits, opens[i].name));
	px_err(may(w, mode, false, W) ? 0 : EACCES, truncate("f", 3), "file/%s/%d/truncate",
	       whos[w].who.name, bits);
	/* With the effective ids; real ones are the same. */
	for (want = 1; want < 8; want++)
		px_err(may(w, mode, false, want) ? 0 : EACCES,
		       syscall(SYS_faccessat2, AT_FDCWD, "f", want, AT_EACCESS), "file/%s/%d/access-%d",
		       whos[w].who.name, bits, want);
	px_err(0, syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, 0), "file/%s/%d/access-f",
	       whos[w].who.name, bits);
	px_root();
}

static void dir_row(unsigned int w, int bits)
{
	mode_t mode = mode_for(whos[w].class, bits);
	const char *name = px_text("dir/%s/%d", whos[w].who.name, bits);
	int search = may(w, mode, true, X) ? 0 : EACCES;
	int change = may(w, mode, true, W | X) ? 0 : EACCES;
	int list = may(w, mode, true, R) ? 0 : EACCES;
	struct stat st;
	int want;

	/* Not writable and not searchable: without search nothing is found first. */
	px_must(mkdir("d", 0777));
	px_must(mkdir("d/sub", 0777));
	px_file("d/f", 0666, "f");
	px_file("d/gone", 0666, "gone");
	px_file("d/moved", 0666, "moved");
	px_must(symlink("f", "d/link"));
	px_file("out", 0666, "out");
	px_must(chown("out", whos[w].who.uid, whos[w].who.gid));
	px_own("d", PX_U1, PX_G1, mode);
	px_become(&whos[w].who);
	opened(list, open("d", O_RDONLY | O_DIRECTORY), px_text("%s/list", name));
	px_err(0, stat("d", &st), "%s/stat", name);
	px_err(search, stat("d/f", &st), "%s/stat-in", name);
	px_err(search ? search : ENOENT, stat("d/none", &st), "%s/stat-none", name);
	px_err(search, stat("d/.", &st), "%s/stat-dot", name);
	px_err(search, stat("d/..", &st), "%s/stat-dotdot", name);
	px_err(search, stat("d/link", &st), "%s/stat-link", name);
	px_err(search, chdir("d"), "%s/chdir", name);
	if (!search) {
		px_root();
		px_must(chdir(".."));
		px_become(&whos[w].who);
	}
	opened(search, open("d/f", O_RDWR), px_text("%s/open-in", name));
	opened(search, open("d/f", O_RDWR | O_CREAT, 0600), px_text("%s/open-creat-there", name));
	px_err(search ? search : EEXIST, mkdir("d/f", 0755), "%s/mkdir-there", name);
	opened(change, open("d/new", O_RDWR | O_CREAT, 0600), px_text("%s/create", name));
	px_err(change, mkdir("d/newdir", 0755), "%s/mkdir", name);
	px_err(change, symlink("x", "d/newlink"), "%s/symlink", name);
	px_err(change, mknod("d/newfifo", S_IFIFO | 0600, 0), "%s/mkfifo", name);
	px_err(change, link("out", "d/newname"), "%s/link", name);
	px_err(change, unlink("d/gone"), "%s/unlink", name);
	px_err(change, rmdir("d/sub"), "%s/rmdir", name);
	px_err(change, rename("d/f", "d/f2"), "%s/rename", name);
	px_err(change, rename("d/moved", "moved"), "%s/rename-out", name);
	px_err(change, rename("out", "d/in"), "%s/rename-in", name);
	for (want = 1; want < 8; want++)
		px_err(may(w, mode, true, want) ? 0 : EACCES,
		       syscall(SYS_faccessat2, AT_FDCWD, "d", want, AT_EACCESS), "%s/access-%d", name,
		       want);
	px_root();
	px_must(chmod("d", 0777));
	px_remove("d");
	px_remove("out");
	px_remove("moved");
}

PX_OPERATION(perm)
{
	unsigned int w;
	int bits;

	for (w = 0; w < PX_COUNT(whos); w++) {
		for (bits = 0; bits < 8; bits++) {
			file_row(w, bits);
			px_remove("f");
			dir_row(w, bits);
		}
	}
}
