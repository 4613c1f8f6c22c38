// SPDX-License-Identifier: Apache-2.0
/* Objects of every type, what they are, and which of their times move. */
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>

#include "px.h"

const char *const px_type_name[PX_TYPES] = {
	"none", "reg", "dir", "full", "fifo", "sock", "chr", "blk", "lnk", "lnkdir", "dangling", "loop",
};

void px_file(const char *path, mode_t mode, const char *content)
{
	int fd = (int)px_must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));

	if (*content)
		px_must(write(fd, content, strlen(content)));
	px_must(fchmod(fd, mode));
	close(fd);
}

void px_make(enum px_type type, const char *path, mode_t mode)
{
	char target[PATH_MAX], below[PATH_MAX];
	const char *base = strrchr(path, '/');

	snprintf(target, sizeof(target), "%s.t", path);
	snprintf(below, sizeof(below), "%s/f", path);
	base = base ? base + 1 : path;
	switch (type) {
	case PX_REG:
		px_file(path, mode, "content");
		return;
	case PX_DIR:
	case PX_FULL:
		px_must(mkdir(path, 0700));
		if (type == PX_FULL)
			px_file(below, 0644, "below");
		px_must(chmod(path, mode));
		return;
	case PX_FIFO:
		px_must(mknod(path, S_IFIFO | mode, 0));
		return;
	case PX_SOCK:
		px_must(mknod(path, S_IFSOCK | mode, 0));
		return;
	case PX_CHR:
		px_must(mknod(path, S_IFCHR | mode, makedev(1, 3)));
		return;
	case PX_BLK:
		/* No driver has it: an open fails, whatever it is. */
		px_must(mknod(path, S_IFBLK | mode, makedev(240, 77)));
		return;
	case PX_LNK:
		px_file(target, mode, "content");
		break;
	case PX_LNKDIR:
		px_must(mkdir(target, mode));
		break;
	case PX_DANGLING:
		break;
	case PX_LOOP:
		px_must(symlink(base, path));
		return;
	default:
		return;
	}
	px_must(symlink(px_text("%s.t", base), path));
}

void px_own(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	px_must(lchown(path, uid, gid));
	px_must(lstat(path, &st));
	if (!S_ISLNK(st.st_mode))
		px_must(chmod(path, mode));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_at(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return;
	if (!S_ISDIR(st.st_mode))
		px_must(unlink(path));
	else if (rmdir(path))
		px_must(-nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS));
}

void px_remove(const char *path)
{
	char target[PATH_MAX];

	remove_at(path);
	snprintf(target, sizeof(target), "%s.t", path);
	remove_at(target);
}

static bool is_full(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool full = false;

	while (dir && (entry = readdir(dir)))
		full |= strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	if (dir)
		closedir(dir);
	return full;
}

const char *px_what(const char *path)
{
	struct stat st, to;

	if (lstat(path, &st))
		return errno == ENOENT ? "none" : px_errname(errno);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return "reg";
	case S_IFDIR:
		return is_full(path) ? "full" : "dir";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "sock";
	case S_IFCHR:
		return "chr";
	case S_IFBLK:
		return "blk";
	case S_IFLNK:
		if (stat(path, &to))
			return errno == ELOOP ? "loop" : "dangling";
		return S_ISDIR(to.st_mode) ? "lnkdir" : "lnk";
	default:
		return "?";
	}
}

mode_t px_mode_of(const char *path)
{
	struct stat st;

	px_must(lstat(path, &st));
	return st.st_mode & 07777;
}

long long px_size_of(const char *path)
{
	struct stat st;

	px_must(lstat(path, &st));
	return st.st_size;
}

const char *px_content(const char *path)
{
	static char buffers[4][256];
	static unsigned int turn;
	char *buffer = buffers[turn++ % 4];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return px_errname(errno);
	n = read(fd, buffer, sizeof(buffers[0]) - 1);
	if (n < 0) {
		snprintf(buffer, sizeof(buffers[0]), "%s", px_errname(errno));
	} else {
		buffer[n] = 0;
	}
	close(fd);
	return buffer;
}

long px_sysctl(const char *name)
{
	FILE *file = fopen(px_text("/proc/sys/%s", name), "r");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

bool px_devices(void)
{
	int fd;

	px_make(PX_CHR, "px-device", 0600);
	fd = open("px-device", O_RDONLY);
	px_remove("px-device");
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* ---- times ------------------------------------------------------------------------ */

#define LONG_AGO 1000000000

void px_age(struct px_age *ages, int n)
{
	const struct timespec old[2] = { { LONG_AGO, 123456789 }, { LONG_AGO + 1, 987654321 } };
	struct timespec ts;
	int i;

	for (i = 0; i < n; i++) {
		px_must(utimensat(AT_FDCWD, ages[i].path, old, AT_SYMLINK_NOFOLLOW));
		px_must(lstat(ages[i].path, &ages[i].st));
	}
	/* The clock that change times are taken from moves with the timer's tick. */
	do {
		clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	} while (ts.tv_sec < ages[n - 1].st.st_ctim.tv_sec ||
		 (ts.tv_sec == ages[n - 1].st.st_ctim.tv_sec &&
		  ts.tv_nsec <= ages[n - 1].st.st_ctim.tv_nsec));
}

static bool differs(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

const char *px_touched(const struct px_age *age)
{
	static char buffers[8][4];
	static unsigned int turn;
	char *text = buffers[turn++ % 8], *at = text;
	struct stat st;

	if (lstat(age->path, &st))
		return px_errname(errno);
	if (differs(&st.st_atim, &age->st.st_atim))
		*at++ = 'a';
	if (differs(&st.st_mtim, &age->st.st_mtim))
		*at++ = 'm';
	if (differs(&st.st_ctim, &age->st.st_ctim))
		*at++ = 'c';
	if (at == text)
		*at++ = '-';
	*at = 0;
	return text;
}

static sigjmp_buf back;

static void caught(int signal)
{
	siglongjmp(back, signal);
}

const char *px_poke(volatile char *at, bool write)
{
	struct sigaction action = { .sa_handler = caught };
	int signal = sigsetjmp(back, 1);

	if (signal)
		return signal == SIGBUS ? "SIGBUS" : "SIGSEGV";
	px_must(sigaction(SIGBUS, &action, NULL));
	px_must(sigaction(SIGSEGV, &action, NULL));
	if (write)
		*at = 'w';
	else
		(void)*at;
	return "fine";
}
