// SPDX-License-Identifier: Apache-2.0
/* symlink(2), readlink(2), names of every byte, special files. */
#include <dirent.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "px.h"

static void lengths(void)
{
	static const int sizes[] = {
		1, 2, 59, 60, 61, 255, 256, 257, 1000, 1023, 1024, 1899, 1900, 1901, 2047, 2048, 3000, 4000, 4094, 4095,
	};
	static char target[PATH_MAX + 1], seen[PATH_MAX + 1];
	unsigned int i;
	ssize_t n;

	for (i = 0; i < PX_COUNT(sizes); i++) {
		memset(target, 't', (size_t)sizes[i]);
		target[sizes[i]] = 0;
		px_err(0, symlink(target, "l"), "length/%d", sizes[i]);
		px_num(sizes[i], px_size_of("l"), "length/%d/size", sizes[i]);
		n = px_must(readlink("l", seen, sizeof(seen)));
		seen[n] = 0;
		px_num(0, strcmp(target, seen), "length/%d/content", sizes[i]);
		px_num(sizes[i] / 2, readlink("l", seen, (size_t)sizes[i] / 2 ? (size_t)sizes[i] / 2 : 1) /
		       (sizes[i] > 1 ? 1 : 2), "length/%d/cut", sizes[i]);
		px_remove("l");
	}
	memset(target, 't', 4096);
	target[4096] = 0;
	px_err(ENAMETOOLONG, symlink(target, "l"), "length/4096");
	px_err(ENOENT, symlink("", "l"), "length/0");
}

PX_OPERATION(symlink)
{
	char seen[64];
	int type, fd;

	lengths();
	for (type = 0; type < PX_TYPES; type++) {
		px_make(type, "x", 0644);
		px_err(type == PX_NONE ? 0 : EEXIST, symlink("to", "x"), "onto/%s", px_type_name[type]);
		px_remove("x");
		px_make(type, "x", 0644);
		px_err(type == PX_NONE ? ENOENT : type == PX_LNK || type == PX_LNKDIR || type == PX_DANGLING ||
		       type == PX_LOOP ? 0 : EINVAL, readlink("x", seen, sizeof(seen)), "readlink/%s",
		       px_type_name[type]);
		px_remove("x");
	}
	px_must(symlink("to", "l"));
	px_err(EINVAL, readlink("l", seen, 0), "readlink-no-room");
	px_err(EINVAL, syscall(SYS_readlink, "l", seen, -1), "readlink-negative");
	px_err(EFAULT, syscall(SYS_readlink, "l", (void *)1, 10), "readlink-efault");
	px_err(EFAULT, syscall(SYS_symlink, (void *)1, "m"), "efault");
	px_err(EBADF, symlinkat("x", -1, "m"), "dirfd-bad");
	px_err(EBADF, readlinkat(-1, "l", seen, sizeof(seen)), "readlink-dirfd-bad");
	fd = (int)px_must(open("l", O_PATH | O_NOFOLLOW));
	px_err(0, readlinkat(fd, "", seen, sizeof(seen)), "readlink-empty-path");
	close(fd);
	fd = (int)px_must(open(".", O_PATH));
	px_err(ENOENT, readlinkat(fd, "", seen, sizeof(seen)), "readlink-empty-path-of-directory");
	close(fd);
	px_err(ELOOP, open("l", O_RDONLY | O_NOFOLLOW), "open-nofollow");
	px_must(mkdir("d", 0755));
	px_must(symlink("../d2", "d/up"));
	px_must(mkdir("d2", 0755));
	px_err(0, access("d/up/.", F_OK), "relative-to-its-directory");
	px_must(rename("d/up", "up"));
	px_err(ENOENT, access("up/.", F_OK), "relative-after-rename");
	px_must(symlink("/proc", "abs"));
	px_err(0, access("abs/self", F_OK), "absolute");
	px_must(symlink("d2/", "slash"));
	px_err(0, access("slash", F_OK), "with-a-slash");
	px_file("f", 0644, "f");
	px_must(symlink("f/", "fslash"));
	px_err(ENOTDIR, access("fslash", F_OK), "file-with-a-slash");
	px_must(symlink("d2/../f", "dots"));
	px_str("f", px_content("dots"), "with-dots");

	/* fs.protected_symlinks: in a sticky directory that all may write to, by owner only. */
	px_must(mkdir("tmp", 01777));
	px_must(symlink("../f", "tmp/l"));
	px_must(lchown("tmp/l", PX_U1, PX_G1));
	px_become(&px_u1);
	px_err(0, access("tmp/l", F_OK), "protected/owner");
	px_become(&px_u2);
	px_err(px_sysctl("fs/protected_symlinks") > 0 ? EACCES : 0, access("tmp/l", F_OK), "protected/other");
	px_root();
	px_must(chmod("tmp", 0777));
	px_become(&px_u2);
	px_err(0, access("tmp/l", F_OK), "protected/not-sticky");
	px_root();
}

/* A file of every one-byte name but "." and "/", and of names that look special. */
PX_OPERATION(name)
{
	static const char *const odd[] = {
		"...", "..a", ".a", "a.", " ", "  ", "-", "--", "~", "*", "?", "[a]", "\\", "a\\b", "\n", "a\nb",
		"\t", "\r\n", "con", "nul", "a:b", "\"", "'", "`", "$", "%", "%s", "\xff\xfe", "\xc3\xa4",
		"a\xcc\x88", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "A", "a", "\x7f", "__sys", "lost+found", "CON.txt",
	};
	char path[3] = "d/";
	unsigned int i;
	int c;

	px_must(mkdir("d", 0755));
	for (c = 1; c < 256; c++) {
		char name[8] = { 'd', '/', (char)c };
		const struct dirent *entry;
		bool listed = false;
		int ret, code;
		DIR *dir;

		if (c == '/' || c == '.')
			continue;
		ret = mknod(name, S_IFREG | 0644, 0);
		code = ret ? errno : 0;
		dir = opendir("d");
		while ((entry = readdir(dir)))
			listed |= entry->d_name[0] == (char)c && !entry->d_name[1];
		closedir(dir);
		px_str("OK listed reg",
		       px_text("%s %s %s", px_errname(code), listed ? "listed" : "not-listed", px_what(name)),
		       "byte/%02x", c);
		px_must(unlink(name));
	}
	for (i = 0; i < PX_COUNT(odd); i++) {
		const char *name = px_text("%s%s", path, odd[i]);

		px_err(0, mknod(name, S_IFREG | 0644, 0), "odd/%u/make", i);
		px_str("reg", px_what(name), "odd/%u/is", i);
		px_err(0, rename(name, "moved"), "odd/%u/rename", i);
		px_err(0, rename("moved", name), "odd/%u/rename-back", i);
	}
	/* Different bytes, different names: no folding of case, no normal form. */
	px_err(EEXIST, mknod("d/a", S_IFREG | 0644, 0), "same-name");
	px_must(unlink("d/a"));
	px_str("reg", px_what("d/A"), "case-is-kept");
	px_must(unlink("d/a\xcc\x88"));
	px_str("reg", px_what("d/\xc3\xa4"), "no-normal-form");
}

PX_OPERATION(mknod)
{
	static const struct {
		const char *name;
		mode_t type;
		bool device;
	} types[] = {
		{ "zero", 0, false }, { "reg", S_IFREG, false }, { "fifo", S_IFIFO, false },
		{ "sock", S_IFSOCK, false }, { "chr", S_IFCHR, true }, { "blk", S_IFBLK, true },
	};
	static const unsigned int numbers[][2] = {
		{ 1, 3 }, { 0, 0 }, { 255, 255 }, { 256, 0 }, { 0, 256 }, { 4095, 255 }, { 511, 65536 }, { 4095, 1048575 },
	};
	static const struct px_who mknodder = { "mknod", PX_U1, PX_G1, 0, { 0 }, PX_CAP(CAP_MKNOD) };
	static const struct px_who root_without = { "root", 0, 0, 0, { 0 }, PX_CAP(CAP_MKNOD) };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "s" };
	unsigned int t, i;
	struct stat st;
	int fd, type;

	for (t = 0; t < PX_COUNT(types); t++) {
		dev_t dev = types[t].device ? makedev(1, 3) : 0;
		const char *is = t ? types[t].name : "reg";

		px_err(0, mknod("x", types[t].type | 0640, dev), "type/%s", types[t].name);
		px_str(is, px_what("x"), "type/%s/is", types[t].name);
		px_mode(0640, px_mode_of("x"), "type/%s/mode", types[t].name);
		px_must(lstat("x", &st));
		px_num(1, st.st_nlink, "type/%s/nlink", types[t].name);
		px_num(0, st.st_size, "type/%s/size", types[t].name);
		px_num((long long)dev, (long long)st.st_rdev, "type/%s/rdev", types[t].name);
		px_remove("x");
		px_become(&px_u1);
		px_err(types[t].device ? EPERM : 0, mknod("x", types[t].type | 0640, dev), "user/%s", types[t].name);
		px_root();
		px_remove("x");
		px_become(&mknodder);
		px_err(0, mknod("x", types[t].type | 0640, dev), "cap-mknod/%s", types[t].name);
		px_root();
		px_remove("x");
		px_become(&root_without);
		px_err(types[t].device ? EPERM : 0, mknod("x", types[t].type | 0640, dev), "root-without-cap/%s",
		       types[t].name);
		px_root();
		px_remove("x");
	}
	/* What overlayfs takes for a whiteout anybody may make. */
	px_become(&px_u1);
	px_err(0, mknod("x", S_IFCHR | 0640, 0), "user/chr-0-0");
	px_err(EPERM, mknod("y", S_IFBLK | 0640, 0), "user/blk-0-0");
	px_root();
	px_remove("x");
	px_err(EPERM, mknod("x", S_IFDIR | 0755, 0), "type/dir");
	px_err(EINVAL, mknod("x", S_IFLNK | 0755, 0), "type/lnk");
	px_err(EINVAL, mknod("x", 0150000 | 0644, 0), "type/unknown");
	for (i = 0; i < PX_COUNT(numbers); i++) {
		px_must(mknod("x", S_IFCHR | 0600, makedev(numbers[i][0], numbers[i][1])));
		px_must(lstat("x", &st));
		px_str(px_text("%u:%u", numbers[i][0], numbers[i][1]),
		       px_text("%u:%u", major(st.st_rdev), minor(st.st_rdev)), "number/%u-%u", numbers[i][0],
		       numbers[i][1]);
		px_remove("x");
	}
	for (type = 0; type < PX_TYPES; type++) {
		px_make(type, "x", 0644);
		px_err(type == PX_NONE ? 0 : EEXIST, mkfifo("x", 0644), "mkfifo-onto/%s", px_type_name[type]);
		px_remove("x");
		px_make(type, "x", 0644);
		px_err(type == PX_NONE ? 0 : EEXIST, mkdir("x", 0755), "mkdir-onto/%s", px_type_name[type]);
		px_remove("x");
	}
	px_err(EBADF, mknodat(-1, "x", S_IFREG, 0), "dirfd-bad");
	px_err(EBADF, mkdirat(-1, "x", 0755), "mkdir-dirfd-bad");

	/* FIFOs and sockets are their own. */
	px_must(mkfifo("p", 0600));
	px_err(ENXIO, open("p", O_WRONLY | O_NONBLOCK), "fifo/no-reader");
	fd = (int)px_must(open("p", O_RDWR | O_NONBLOCK));
	px_num(3, write(fd, "abc", 3), "fifo/write");
	px_num(3, read(fd, &st, 10), "fifo/read");
	px_err(EAGAIN, read(fd, &st, 10), "fifo/empty");
	px_err(ESPIPE, lseek(fd, 0, SEEK_SET), "fifo/lseek");
	px_err(ESPIPE, pread(fd, &st, 1, 0), "fifo/pread");
	px_err(EINVAL, ftruncate(fd, 0), "fifo/ftruncate");
	px_err(EINVAL, truncate("p", 0), "fifo/truncate");
	px_err(ESPIPE, fallocate(fd, 0, 0, 1), "fifo/fallocate");
	px_err(EINVAL, fsync(fd), "fifo/fsync");
	close(fd);
	fd = (int)px_must(socket(AF_UNIX, SOCK_STREAM, 0));
	px_err(0, bind(fd, (struct sockaddr *)&address, sizeof(address)), "sock/bind");
	px_str("sock", px_what("s"), "sock/is");
	px_err(0, listen(fd, 1), "sock/listen");
	type = (int)px_must(socket(AF_UNIX, SOCK_STREAM, 0));
	px_err(0, connect(type, (struct sockaddr *)&address, sizeof(address)), "sock/connect");
	close(type);
	type = (int)px_must(socket(AF_UNIX, SOCK_STREAM, 0));
	px_err(EADDRINUSE, bind(type, (struct sockaddr *)&address, sizeof(address)), "sock/bind-again");
	close(type);
	close(fd);
	fd = (int)px_must(socket(AF_UNIX, SOCK_STREAM, 0));
	px_err(ECONNREFUSED, connect(fd, (struct sockaddr *)&address, sizeof(address)), "sock/nobody-listens");
	close(fd);
	px_err(ENXIO, open("s", O_RDWR), "sock/open");
	px_err(EINVAL, truncate("s", 0), "sock/truncate");
}
