// SPDX-License-Identifier: Apache-2.0
/* open(2): flags by what is there; then each error. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "px.h"

static const struct {
	const char *name;
	int flags;
} access_modes[] = {
	{ "rdonly", O_RDONLY }, { "wronly", O_WRONLY }, { "rdwr", O_RDWR }, { "path", O_PATH },
}, flag_sets[] = {
	{ "", 0 },
	{ "+creat", O_CREAT },
	{ "+creat+excl", O_CREAT | O_EXCL },
	{ "+trunc", O_TRUNC },
	{ "+creat+trunc", O_CREAT | O_TRUNC },
	{ "+creat+excl+trunc", O_CREAT | O_EXCL | O_TRUNC },
	{ "+append", O_APPEND },
	{ "+directory", O_DIRECTORY },
	{ "+nofollow", O_NOFOLLOW },
	{ "+nofollow+creat", O_NOFOLLOW | O_CREAT },
	{ "+nofollow+directory", O_NOFOLLOW | O_DIRECTORY },
	{ "+creat+directory", O_CREAT | O_DIRECTORY },
	{ "+cloexec", O_CLOEXEC },
	{ "+sync", O_SYNC },
};

/* The object at the end of a link that is followed. */
static enum px_type followed(enum px_type type)
{
	switch (type) {
	case PX_LNK:
		return PX_REG;
	case PX_LNKDIR:
		return PX_DIR;
	default:
		return type;
	}
}

static bool is_link(enum px_type type)
{
	return type == PX_LNK || type == PX_LNKDIR || type == PX_DANGLING || type == PX_LOOP;
}

/* What the manual says; 0 or an errno. */
static int expected(int access, int flags, enum px_type type, bool slash)
{
	bool creat = flags & O_CREAT, excl = creat && (flags & O_EXCL);
	bool directory = (flags & O_DIRECTORY) || slash;
	bool write = access == O_WRONLY || access == O_RDWR || (flags & O_TRUNC);

	if (access == O_PATH)
		creat = excl = write = false;
	else if (creat && (flags & O_DIRECTORY))
		return EINVAL;
	if (creat && slash)
		return EISDIR;
	if (is_link(type) && !slash) {
		if (excl)
			return EEXIST;
		if (flags & O_NOFOLLOW) {
			if (directory)
				return ENOTDIR;
			return access == O_PATH ? 0 : ELOOP;
		}
	}
	if (type == PX_LOOP)
		return ELOOP;
	if (type == PX_NONE || type == PX_DANGLING)
		return creat ? 0 : ENOENT;
	if (excl)
		return EEXIST;
	type = followed(type);
	if (directory && type != PX_DIR && type != PX_FULL)
		return ENOTDIR;
	if (access == O_PATH)
		return 0;
	switch (type) {
	case PX_DIR:
	case PX_FULL:
		return creat || write ? EISDIR : 0;
	case PX_FIFO:
		return access == O_WRONLY ? ENXIO : 0;
	case PX_SOCK:
	case PX_BLK:
		return ENXIO;
	default:
		return 0;
	}
}

static void row(unsigned int a, unsigned int f, enum px_type type, bool slash)
{
	int access = access_modes[a].flags, flags = flag_sets[f].flags;
	int want = expected(access, flags, type, slash);
	const char *name = px_text("%s%s/%s%s", access_modes[a].name, flag_sets[f].name,
				   px_type_name[type], slash ? "-slash" : "");
	const char *path = slash ? "o/" : "o";
	enum px_type end = followed(type);
	int fd;

	px_make(type, "o", 0644);
	/* Never waits for the other end of a FIFO. */
	fd = open(path, access | flags | O_NONBLOCK, 0640);
	px_err(want, fd, "%s", name);
	if (fd >= 0)
		close(fd);
	if (!want && access != O_PATH && (flags & O_CREAT) && type == PX_NONE)
		px_mode(0640, px_mode_of("o"), "%s/created", name);
	else if (!want && access != O_PATH && (flags & O_CREAT) && type == PX_DANGLING)
		px_mode(0640, px_mode_of("o.t"), "%s/created", name);
	else if (end == PX_REG && (flags & O_TRUNC))
		px_str(want || access == O_PATH ? "content" : "", px_content("o"), "%s/content", name);
	else if (type == PX_NONE)
		px_str("none", px_what("o"), "%s/left", name);
	px_remove("o");
}

PX_OPERATION(open)
{
	bool devices = px_devices();
	unsigned int a, f;
	int type;

	for (a = 0; a < PX_COUNT(access_modes); a++) {
		for (f = 0; f < PX_COUNT(flag_sets); f++) {
			for (type = 0; type < PX_TYPES; type++) {
				if ((type == PX_CHR || type == PX_BLK) && !devices)
					continue;
				/* Each open looks for a driver. */
				if (type == PX_BLK && f)
					continue;
				row(a, f, type, false);
			}
		}
	}
	/* A slash behind the name: what is there must be a directory. */
	for (f = 0; f < PX_COUNT(flag_sets); f++)
		for (type = 0; type < PX_TYPES; type++)
			if (type != PX_CHR && type != PX_BLK)
				row(0, f, type, true);
}

/* Reading and writing through what each access mode gave. */
static void use(void)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	char byte = 'x';
	unsigned int i;
	int fd;

	for (i = 0; i < 3; i++) {
		px_file("f", 0644, "content");
		fd = (int)px_must(open("f", modes[i]));
		px_err(modes[i] == O_WRONLY ? EBADF : 0, read(fd, &byte, 1), "use/%s/read",
		       access_modes[i].name);
		px_err(modes[i] == O_RDONLY ? EBADF : 0, write(fd, "W", 1), "use/%s/write",
		       access_modes[i].name);
		px_err(modes[i] == O_RDONLY ? EINVAL : 0, ftruncate(fd, 3), "use/%s/ftruncate",
		       access_modes[i].name);
		close(fd);
	}
	fd = (int)px_must(open("f", O_RDONLY | O_TRUNC));
	px_num(0, px_size_of("f"), "use/rdonly-trunc-cuts");
	close(fd);
	px_file("f", 0644, "12345");
	fd = (int)px_must(open("f", O_WRONLY | O_APPEND));
	px_must(lseek(fd, 0, SEEK_SET));
	px_must(write(fd, "67", 2));
	px_str("1234567", px_content("f"), "use/append");
	px_num(7, lseek(fd, 0, SEEK_CUR), "use/append-offset");
	px_must(pwrite(fd, "89", 2, 0));
	px_str("123456789", px_content("f"), "use/append-pwrite");
	close(fd);
	/* The rights are those at the time of the open. */
	fd = open("new", O_RDWR | O_CREAT | O_EXCL, 0000);
	px_err(0, fd, "use/mode-0000-is-writable");
	px_err(0, write(fd, "x", 1), "use/mode-0000-write");
	close(fd);
	px_remove("new");
	px_remove("f");
}

static void descriptor_limit(void *arg)
{
	struct rlimit limit = { 3, 3 };

	(void)arg;
	px_must(setrlimit(RLIMIT_NOFILE, &limit));
	px_err(EMFILE, open("f", O_RDONLY), "emfile");
}

/* A program that runs. */
static void busy_text(void)
{
	char buffer[65536];
	ssize_t n;
	int in, out, status;
	pid_t pid;

	in = (int)px_must(open("/proc/self/exe", O_RDONLY));
	out = (int)px_must(open("program", O_WRONLY | O_CREAT, 0755));
	while ((n = px_must(read(in, buffer, sizeof(buffer)))))
		px_must(write(out, buffer, (size_t)n));
	close(in);
	pid = (pid_t)px_must(fork());
	if (!pid) {
		execl("./program", "program", "-l", NULL);
		_exit(errno == ETXTBSY ? 42 : 43);
	}
	px_must(waitpid(pid, &status, 0));
	px_num(42, WEXITSTATUS(status), "exec-of-what-is-written-etxtbsy");
	close(out);
	pid = (pid_t)px_must(fork());
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		execl("./program", "program", "-l", NULL);
		_exit(43);
	}
	px_must(waitpid(pid, &status, 0));
	px_num(0, WEXITSTATUS(status), "exec");
	px_must(chmod("program", 0644));
	pid = (pid_t)px_must(fork());
	if (!pid) {
		execl("./program", "program", "-l", NULL);
		_exit(errno == EACCES ? 42 : 43);
	}
	px_must(waitpid(pid, &status, 0));
	px_num(42, WEXITSTATUS(status), "exec-without-x-eacces");
	px_remove("program");
}

PX_OPERATION(open_error)
{
	struct px_age age = { .path = "f" };
	int fd, type;
	char byte;

	use();
	px_file("f", 0666, "content");
	px_err(ENOENT, open("", O_RDONLY), "empty-path");
	px_err(ENOENT, open("", O_RDONLY | O_CREAT, 0644), "empty-path-creat");
	px_err(EFAULT, open((char *)1, O_RDONLY), "efault");
	px_err(ENOTDIR, open("f/x", O_RDONLY | O_CREAT, 0644), "below-a-file");
	px_err(ENOTDIR, open("f/.", O_RDONLY), "dot-below-a-file");
	px_err(EISDIR, open(".", O_RDONLY | O_CREAT, 0644), "creat-dot");
	px_err(EISDIR, open("..", O_RDONLY | O_CREAT, 0644), "creat-dotdot");
	px_err(EEXIST, open(".", O_RDONLY | O_CREAT | O_EXCL, 0644), "creat-excl-dot");
	px_err(EISDIR, open(".", O_RDWR), "write-dot");
	px_err(EBADF, openat(-1, "f", O_RDONLY), "dirfd-bad");
	fd = (int)px_must(open("f", O_RDONLY));
	px_err(ENOTDIR, openat(fd, "f", O_RDONLY), "dirfd-file");
	close(fd);
	px_child(descriptor_limit, NULL);
	busy_text();

	/* O_NOATIME is for the owner. */
	px_must(chown("f", PX_U1, PX_G1));
	px_become(&px_u1);
	fd = open("f", O_RDONLY | O_NOATIME);
	px_err(0, fd, "noatime-owner");
	px_root();
	px_age(&age, 1);
	px_must(read(fd, &byte, 1));
	px_str("-", px_touched(&age), "noatime-read");
	px_become(&px_u2);
	px_err(EPERM, open("f", O_RDONLY | O_NOATIME), "noatime-other");
	px_root();
	px_err(0, fcntl(fd, F_SETFL, 0), "noatime-off-by-fcntl");
	px_become(&px_u2);
	px_err(EPERM, fcntl(fd, F_SETFL, O_NOATIME), "noatime-on-by-fcntl-other");
	px_root();
	close(fd);

	/* A descriptor through /proc: another opening of the same file. */
	fd = (int)px_must(open("f", O_PATH));
	px_err(EBADF, read(fd, &byte, 1), "path-read");
	px_err(EBADF, write(fd, &byte, 1), "path-write");
	px_err(EBADF, ftruncate(fd, 0), "path-ftruncate");
	px_err(EBADF, fchmod(fd, 0600), "path-fchmod");
	px_err(EBADF, fchown(fd, 0, 0), "path-fchown");
	px_err(EBADF, fsync(fd), "path-fsync");
	px_err(EBADF, lseek(fd, 0, SEEK_SET), "path-lseek");
	px_err(EBADF, (long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), "path-mmap");
	close(px_must(open(px_text("/proc/self/fd/%d", fd), O_RDWR)));
	close(fd);
	fd = (int)px_must(open("f", O_RDONLY));
	type = open(px_text("/proc/self/fd/%d", fd), O_RDWR);
	px_err(0, type, "proc-reopen-for-writing");
	close(type);
	px_must(unlink("f"));
	type = open(px_text("/proc/self/fd/%d", fd), O_RDWR);
	px_err(0, type, "proc-reopen-unlinked");
	px_err(0, write(type, "new", 3), "proc-reopen-unlinked-write");
	close(type);
	close(fd);
	for (type = PX_REG; type < PX_TYPES; type++) {
		px_make(type, "x", 0644);
		px_err(EEXIST, open("x", O_CREAT | O_EXCL | O_RDWR, 0644), "excl/%s", px_type_name[type]);
		px_str(px_type_name[type], px_what("x"), "excl/%s/left", px_type_name[type]);
		px_remove("x");
	}
}
