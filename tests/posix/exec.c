// SPDX-License-Identifier: Apache-2.0
/* execve(2): who may run what, as whom it runs, what cannot be run. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "px.h"

/* A copy of this program at the path; it says who it is when asked with -w. */
static void program(const char *path)
{
	static char image[1 << 22];
	static ssize_t length;
	int fd;

	if (!length) {
		ssize_t n;

		fd = (int)px_must(open("/proc/self/exe", O_RDONLY));
		while ((n = px_must(read(fd, image + length, sizeof(image) - (size_t)length))))
			length += n;
		close(fd);
	}
	fd = (int)px_must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	px_must(write(fd, image, (size_t)length));
	close(fd);
}

/* What it prints, or the errno. */
static const char *run(const char *path, const struct px_who *who)
{
	static char text[200];
	int ends[2], status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	px_must(pipe(ends));
	fflush(stdout);
	pid = (pid_t)px_must(fork());
	if (!pid) {
		const char *said;

		dup2(ends[1], 1);
		close(ends[0]);
		close(ends[1]);
		if (who)
			px_become(who);
		/* As from a login: nothing is kept to go back to. */
		if (who && who->uid && syscall(SYS_setresuid, -1, -1, who->uid))
			_exit(99);
		execl(path, "px", "-w", NULL);
		said = px_errname(errno);
		_exit(write(1, said, strlen(said)) < 0);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + got, sizeof(text) - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = 0;
	if (got && text[got - 1] == '\n')
		text[got - 1] = 0;
	close(ends[0]);
	px_must(waitpid(pid, &status, 0));
	return text;
}

static void rights(void)
{
	static const struct {
		struct px_who who;
		int shift;
	} whos[] = {
		{ { "owner", PX_U1, PX_G1, 0, { 0 }, 0 }, 6 }, { { "group", PX_U2, PX_G1, 0, { 0 }, 0 }, 3 },
		{ { "supplementary", PX_U3, PX_G3, 1, { PX_G1 }, 0 }, 3 }, { { "other", PX_U2, PX_G2, 0, { 0 }, 0 }, 0 },
		{ { "root", 0, 0, 0, { 0 }, 0 }, -1 },
	};
	unsigned int w;
	int bits;

	program("x");
	for (w = 0; w < PX_COUNT(whos); w++) {
		for (bits = 0; bits < 8; bits++) {
			int shift = whos[w].shift < 0 ? 0 : whos[w].shift;
			mode_t mode = ((mode_t)(~bits & 7) * 0111 & ~(7u << shift)) | (mode_t)bits << shift;
			bool may = whos[w].shift < 0 ? mode & 0111 : bits & 1;

			px_own("x", PX_U1, PX_G1, mode);
			/* Reading is not needed. */
			px_str(may ? px_text("%u %u %u %u", whos[w].who.uid, whos[w].who.uid, whos[w].who.gid,
					     whos[w].who.gid) : "EACCES",
			       run("./x", &whos[w].who), "right/%s/%d", whos[w].who.name, bits);
		}
	}
	px_remove("x");
}

static void identity(void)
{
	static const struct {
		const char *name;
		mode_t mode;
		bool uid, gid;
	} modes[] = {
		{ "plain", 0755, false, false }, { "suid", 04755, true, false }, { "sgid", 02755, false, true },
		{ "both", 06755, true, true }, { "sgid-not-group-x", 02745, false, false }, { "suid-no-owner-x", 04655, true, false },
	};
	unsigned int m;

	program("x");
	for (m = 0; m < PX_COUNT(modes); m++) {
		px_own("x", PX_U1, PX_G1, modes[m].mode);
		px_str(px_text("%u %u %u %u", PX_U2, modes[m].uid ? PX_U1 : PX_U2, PX_G2, modes[m].gid ? PX_G1 : PX_G2),
		       run("./x", &px_u2), "identity/%s", modes[m].name);
	}
	px_own("x", PX_U1, PX_G1, 06755);
	px_must(link("x", "y"));
	px_str(px_text("%u %u %u %u", PX_U2, PX_U1, PX_G2, PX_G1), run("./y", &px_u2), "identity/other-name");
	px_must(symlink("x", "l"));
	px_str(px_text("%u %u %u %u", PX_U2, PX_U1, PX_G2, PX_G1), run("./l", &px_u2), "identity/by-link");
	px_own("x", 0, 0, 04755);
	px_str(px_text("%u 0 %u %u", PX_U2, PX_G2, PX_G2), run("./x", &px_u2), "identity/root-s");
	px_remove("x");
	px_remove("y");
	px_remove("l");
}

static void no_suid(void *arg)
{
	(void)arg;
	px_must(unshare(CLONE_NEWNS));
	px_must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	px_must(mkdir("m", 0755));
	program("m/x");
	px_own("m/x", PX_U1, PX_G1, 06755);
	px_must(mount("m", "m", NULL, MS_BIND, NULL));
	px_must(mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
	px_str(px_text("%u %u %u %u", PX_U2, PX_U2, PX_G2, PX_G2), run("m/x", &px_u2), "nosuid");
	px_must(mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	px_str("EACCES", run("m/x", &px_u2), "noexec");
	px_str("EACCES", run("m/x", NULL), "noexec-root");
	px_must(umount("m"));
}

PX_OPERATION(exec)
{
	int type, fd;

	rights();
	identity();
	px_child(no_suid, NULL);
	for (type = PX_NONE; type < PX_TYPES; type++) {
		px_make(type, "x", 0755);
		px_str(type == PX_NONE || type == PX_DANGLING ? "ENOENT" : type == PX_LOOP ? "ELOOP" :
		       type == PX_REG || type == PX_LNK ? "ENOEXEC" : "EACCES", run("./x", NULL), "type/%s",
		       px_type_name[type]);
		px_remove("x");
	}
	px_file("x", 0755, "");
	px_str("ENOEXEC", run("./x", NULL), "empty");
	px_file("x", 0755, "#!./none\n");
	px_str("ENOENT", run("./x", NULL), "script/missing-interpreter");
	program("p");
	px_file("x", 0755, "#!./p -w\n");
	px_str("0 0 0 0", run("./x", NULL), "script/ours");
	px_must(chmod("p", 0644));
	px_str("EACCES", run("./x", NULL), "script/interpreter-not-x");
	px_must(chmod("p", 0755));
	px_file("x", 0755, "#!./x\n");
	px_str("ELOOP", run("./x", NULL), "script/itself");
	px_file("x", 04755, "#!./p -w\n");
	px_own("x", PX_U1, PX_G1, 06755);
	px_str(px_text("%u %u %u %u", PX_U2, PX_U2, PX_G2, PX_G2), run("./x", &px_u2), "script/suid-does-not-count");
	px_file("x", 0755, "\177ELF");
	px_str("ENOEXEC", run("./x", NULL), "cut");
	/* While it runs: see open_error; while it is mapped it may be replaced and removed. */
	program("x");
	fd = (int)px_must(open("x", O_PATH));
	px_must(unlink("x"));
	px_str("0 0 0 0", run(px_text("/proc/self/fd/%d", fd), NULL), "unlinked");
	close(fd);
	px_err(EFAULT, syscall(SYS_execve, (void *)1, NULL, NULL), "efault");
	px_err(ENOENT, execl("", "", NULL), "empty-path");
	px_err(EBADF, syscall(SYS_execveat, -1, "x", NULL, NULL, 0), "execveat-bad");
	px_err(EINVAL, syscall(SYS_execveat, AT_FDCWD, "p", NULL, NULL, 0x10), "execveat-flags");
	px_must(symlink("p", "l"));
	px_err(ELOOP, syscall(SYS_execveat, AT_FDCWD, "l", NULL, NULL, AT_SYMLINK_NOFOLLOW), "execveat-nofollow");
}
