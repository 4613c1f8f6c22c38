// SPDX-License-Identifier: Apache-2.0
/* Listings: every name once, seeking, what comes and goes meanwhile; getdents64(2) itself. */
#include <dirent.h>
#include <sys/syscall.h>

#include "px.h"

static char seen[2000];

/* Marks names "NUMBER" below 2000; the count of all but the dots. */
static int list(DIR *dir)
{
	const struct dirent *entry;
	int n = 0;

	memset(seen, 0, sizeof(seen));
	while ((entry = readdir(dir))) {
		int number = atoi(entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (number >= 0 && number < 2000)
			seen[number]++;
	}
	return n;
}

static int once(int from, int to)
{
	int i, n = 0;

	for (i = from; i < to; i++)
		n += seen[i] == 1;
	return n;
}

static void fill(int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		px_must(mknod(px_text("d/%d", i), S_IFREG | 0644, 0));
}

static void sizes(void)
{
	static const int counts[] = { 0, 1, 2, 10, 100, 333, 1000 };
	unsigned int i;
	DIR *dir;

	for (i = 0; i < PX_COUNT(counts); i++) {
		px_must(mkdir("d", 0755));
		fill(0, counts[i]);
		dir = opendir("d");
		px_num(counts[i], list(dir), "size/%d", counts[i]);
		px_num(counts[i], once(0, 2000), "size/%d/once", counts[i]);
		px_num(0, list(dir), "size/%d/at-the-end", counts[i]);
		rewinddir(dir);
		px_num(counts[i], list(dir), "size/%d/again", counts[i]);
		closedir(dir);
		px_remove("d");
	}
}

static void types(void)
{
	static const unsigned char want[PX_TYPES] = {
		0, DT_REG, DT_DIR, DT_DIR, DT_FIFO, DT_SOCK, DT_CHR, DT_BLK, DT_LNK, DT_LNK, DT_LNK, DT_LNK,
	};
	const struct dirent *entry;
	struct stat st;
	DIR *dir;
	int type;

	for (type = PX_REG; type < PX_TYPES; type++) {
		px_must(mkdir("d", 0755));
		px_make(type, "d/x", 0644);
		px_must(lstat("d/x", &st));
		dir = opendir("d");
		while ((entry = readdir(dir)) && strcmp(entry->d_name, "x"))
			;
		px_num(want[type], entry ? entry->d_type : -1, "type/%s", px_type_name[type]);
		px_num(1, entry && entry->d_ino == st.st_ino, "type/%s/ino", px_type_name[type]);
		closedir(dir);
		px_remove("d");
	}
}

static void dots(void)
{
	const struct dirent *entry;
	struct stat self, parent;
	int dot = 0, dotdot = 0;
	DIR *dir;

	px_must(mkdir("d", 0755));
	px_must(stat("d", &self));
	px_must(stat(".", &parent));
	dir = opendir("d");
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".")) {
			dot++;
			px_num(1, entry->d_ino == self.st_ino, "dot/ino");
			px_num(DT_DIR, entry->d_type, "dot/type");
		} else if (!strcmp(entry->d_name, "..")) {
			dotdot++;
			px_num(1, entry->d_ino == parent.st_ino, "dotdot/ino");
			px_num(DT_DIR, entry->d_type, "dotdot/type");
		}
	}
	px_num(1, dot, "dot/once");
	px_num(1, dotdot, "dotdot/once");
	closedir(dir);
	px_remove("d");
}

/* Every position that telldir gave leads to the same name again. */
static void seeking(void)
{
	static long at[400];
	static char names[400][NAME_MAX + 1];
	const struct dirent *entry;
	int i, left, n = 0, good = 0;
	DIR *dir;

	px_must(mkdir("d", 0755));
	fill(0, 300);
	dir = opendir("d");
	for (;;) {
		at[n] = telldir(dir);
		entry = readdir(dir);
		if (!entry)
			break;
		strcpy(names[n++], entry->d_name);
	}
	px_num(302, n, "seek/names");
	for (i = 0; i < n; i++) {
		seekdir(dir, at[i]);
		entry = readdir(dir);
		good += entry && !strcmp(entry->d_name, names[i]);
	}
	px_num(302, good, "seek/forward");
	for (good = 0, i = n - 1; i >= 0; i--) {
		seekdir(dir, at[i]);
		entry = readdir(dir);
		good += entry && !strcmp(entry->d_name, names[i]);
	}
	px_num(302, good, "seek/backward");
	seekdir(dir, at[n]);
	px_num(1, !readdir(dir), "seek/end");
	closedir(dir);
	/* In another opening as well. */
	dir = opendir("d");
	for (good = 0, i = 0; i < n; i += 7) {
		seekdir(dir, at[i]);
		entry = readdir(dir);
		good += entry && !strcmp(entry->d_name, names[i]);
	}
	px_num((n + 6) / 7, good, "seek/other-opening");
	/* The name before the position is gone: the listing goes on behind it. */
	for (left = 150, i = 149; i >= 100; i--) {
		if (names[i][0] == '.')
			left = i;
		else
			px_must(unlink(px_text("d/%s", names[i])));
	}
	seekdir(dir, at[150]);
	entry = readdir(dir);
	px_num(1, entry && !strcmp(entry->d_name, names[150]), "seek/after-removal");
	seekdir(dir, at[100]);
	entry = readdir(dir);
	px_num(1, entry && !strcmp(entry->d_name, names[left]), "seek/to-removed");
	closedir(dir);
	px_remove("d");
}

/* Names that are there all the time are listed once, whatever happens to others. */
static void changing(void)
{
	static const char *const what[] = { "create", "unlink", "rename", "replace", "mkdir" };
	unsigned int w;
	int i, n, extra;
	DIR *dir;

	for (w = 0; w < PX_COUNT(what); w++) {
		const struct dirent *entry;

		px_must(mkdir("d", 0755));
		fill(0, 500);
		fill(1000, 1200);
		dir = opendir("d");
		memset(seen, 0, sizeof(seen));
		for (n = 0; (entry = readdir(dir)); n++) {
			if (entry->d_name[0] != '.')
				seen[atoi(entry->d_name)]++;
			extra = 1000 + n;
			if (n >= 200)
				continue;
			switch (w) {
			case 0:
				px_must(mknod(px_text("d/%d", 1500 + n), S_IFREG | 0644, 0));
				break;
			case 1:
				px_must(unlink(px_text("d/%d", extra)));
				break;
			case 2:
				px_must(rename(px_text("d/%d", extra), px_text("d/%d", extra + 500)));
				break;
			case 3:
				px_must(mknod("other", S_IFREG | 0644, 0));
				px_must(rename("other", px_text("d/%d", extra)));
				break;
			default:
				px_must(mkdir(px_text("d/%d", 1500 + n), 0755));
				break;
			}
		}
		px_num(500, once(0, 500), "changing/%s", what[w]);
		for (i = 0, n = 0; i < 2000; i++)
			n += seen[i] > 1;
		px_num(0, n, "changing/%s/twice", what[w]);
		rewinddir(dir);
		list(dir);
		px_num(500, once(0, 500), "changing/%s/rewound", what[w]);
		px_num(w == 0 || w == 2 || w == 4 ? 200 : 0, once(1500, 1700), "changing/%s/new", what[w]);
		px_num(w == 0 || w == 3 || w == 4 ? 200 : 0, once(1000, 1200), "changing/%s/old", what[w]);
		closedir(dir);
		px_remove("d");
	}
	/* rm -r: removing what is listed. */
	px_must(mkdir("d", 0755));
	fill(0, 1000);
	dir = opendir("d");
	for (n = 0;;) {
		const struct dirent *entry = readdir(dir);

		if (!entry)
			break;
		if (entry->d_name[0] != '.') {
			px_must(unlink(px_text("d/%s", entry->d_name)));
			n++;
		}
	}
	px_num(1000, n, "changing/remove-as-listed");
	px_err(0, rmdir("d"), "changing/rmdir-then");
	closedir(dir);
}

PX_OPERATION(readdir)
{
	static const int small[] = { 0, 1, 8, 23 };
	char buffer[4096];
	unsigned int i;
	int fd, type;

	sizes();
	types();
	dots();
	seeking();
	changing();
	px_must(mkdir("d", 0755));
	fill(0, 10);
	fd = (int)px_must(open("d", O_RDONLY));
	for (i = 0; i < PX_COUNT(small); i++)
		px_err(EINVAL, syscall(SYS_getdents64, fd, buffer, small[i]), "getdents/room-%d", small[i]);
	px_num(24, syscall(SYS_getdents64, fd, buffer, 24), "getdents/room-24");
	px_err(EFAULT, syscall(SYS_getdents64, fd, (void *)1, 4096), "getdents/efault");
	px_num(1, syscall(SYS_getdents64, fd, buffer, 4096) > 200, "getdents/rest");
	px_num(0, syscall(SYS_getdents64, fd, buffer, 4096), "getdents/end");
	px_num(0, lseek(fd, 0, SEEK_SET), "getdents/rewind");
	px_num(1, syscall(SYS_getdents64, fd, buffer, 4096) > 200, "getdents/again");
	px_err(EINVAL, lseek(fd, -1, SEEK_SET), "lseek-negative");
	px_err(EINVAL, lseek(fd, 0, 99), "lseek-whence");
	close(fd);
	fd = (int)px_must(open("d", O_PATH));
	px_err(EBADF, syscall(SYS_getdents64, fd, buffer, 4096), "getdents/o_path");
	close(fd);
	px_err(EBADF, syscall(SYS_getdents64, -1, buffer, 4096), "getdents/bad");
	for (type = PX_REG; type <= PX_FIFO; type++) {
		if (type == PX_DIR || type == PX_FULL)
			continue;
		px_make(type, "x", 0644);
		fd = (int)px_must(open("x", O_RDWR | O_NONBLOCK));
		px_err(ENOTDIR, syscall(SYS_getdents64, fd, buffer, 4096), "getdents/%s", px_type_name[type]);
		close(fd);
		px_remove("x");
	}
}
