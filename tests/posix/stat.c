// SPDX-License-Identifier: Apache-2.0
/* stat(2), statx(2), statfs(2), ioctl(2), the calls that make durable. */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "px.h"

static const char *type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "reg";
	case S_IFDIR: return "dir";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "sock";
	case S_IFCHR: return "chr";
	case S_IFBLK: return "blk";
	case S_IFLNK: return "lnk";
	default: return "?";
	}
}

static const char *type_wanted(int type, bool follow)
{
	switch (type) {
	case PX_FULL:
		return "dir";
	case PX_LNK:
		return follow ? "reg" : "lnk";
	case PX_LNKDIR:
		return follow ? "dir" : "lnk";
	case PX_DANGLING:
	case PX_LOOP:
		return "lnk";
	default:
		return px_type_name[type];
	}
}

PX_OPERATION(stat)
{
	struct stat st, other;
	int type, fd, follow;

	for (type = PX_REG; type < PX_TYPES; type++) {
		const char *name = px_type_name[type];
		bool link = type >= PX_LNK;

		px_make(type, "x", 0640);
		for (follow = 0; follow < 2; follow++) {
			int ret = follow ? stat("x", &st) : lstat("x", &st);
			int want = follow && type == PX_DANGLING ? ENOENT : follow && type == PX_LOOP ? ELOOP : 0;

			px_err(want, ret, "%s/%s", follow ? "stat" : "lstat", name);
			if (ret)
				continue;
			px_str(type_wanted(type, follow), type_of(st.st_mode), "%s/%s/type",
			       follow ? "stat" : "lstat", name);
			px_mode(link && !follow ? 0777 : 0640, st.st_mode & 07777, "%s/%s/mode",
				follow ? "stat" : "lstat", name);
			px_num(type == PX_DIR || type == PX_FULL || (follow && type == PX_LNKDIR) ? 2 : 1, st.st_nlink,
			       "%s/%s/nlink", follow ? "stat" : "lstat", name);
			px_num(0, st.st_uid, "%s/%s/uid", follow ? "stat" : "lstat", name);
			px_num(4096, st.st_blksize, "%s/%s/blksize", follow ? "stat" : "lstat", name);
		}
		px_must(lstat("x", &st));
		if (type == PX_REG)
			px_num(7, st.st_size, "size/reg");
		else if (type == PX_LNK || type == PX_LNKDIR || type == PX_DANGLING)
			px_num(3, st.st_size, "size/%s", name);
		else if (type != PX_DIR && type != PX_FULL && type != PX_LOOP)
			px_num(0, st.st_size, "size/%s", name);
		fd = (int)px_must(open("x", O_PATH | O_NOFOLLOW));
		px_must(fstat(fd, &other));
		px_num(1, other.st_ino == st.st_ino && other.st_mode == st.st_mode, "fstat/%s/same", name);
		px_must(fstatat(fd, "", &other, AT_EMPTY_PATH));
		px_num(1, other.st_ino == st.st_ino, "empty-path/%s/same", name);
		close(fd);
		px_remove("x");
	}
	px_must(mkdir("d", 0755));
	px_must(mkdir("d/e", 0755));
	px_must(stat("d", &st));
	px_num(3, st.st_nlink, "directory-with-one");
	px_must(stat("d/e/..", &other));
	px_num(1, st.st_ino == other.st_ino, "dotdot");
	px_must(stat("d/.", &other));
	px_num(1, st.st_ino == other.st_ino, "dot");
	px_file("f", 0644, "x");
	px_must(stat("f", &st));
	px_num(1, st.st_blocks > 0, "one-byte-has-blocks");
	px_must(truncate("f", 1 << 20));
	px_must(truncate("f", 0));
	px_must(stat("f", &st));
	px_num(0, st.st_blocks, "empty-has-none");
	px_err(EBADF, fstat(-1, &st), "fstat-bad");
	px_err(EBADF, fstatat(-1, "f", &st, 0), "fstatat-dirfd-bad");
	px_err(EINVAL, fstatat(AT_FDCWD, "f", &st, 0x10), "fstatat-flags");
	px_err(EFAULT, syscall(SYS_newfstatat, AT_FDCWD, "f", (void *)1, 0), "efault");
}

PX_OPERATION(statx)
{
	static const struct {
		const char *name;
		unsigned int mask;
	} masks[] = {
		{ "type", STATX_TYPE }, { "mode", STATX_MODE }, { "nlink", STATX_NLINK }, { "uid", STATX_UID },
		{ "gid", STATX_GID }, { "atime", STATX_ATIME }, { "mtime", STATX_MTIME }, { "ctime", STATX_CTIME },
		{ "ino", STATX_INO }, { "size", STATX_SIZE }, { "blocks", STATX_BLOCKS }, { "btime", STATX_BTIME },
		{ "mnt-id", 0x1000 }, { "dioalign", 0x2000 },
	};
	struct timespec ts[2] = { { 5, 6 }, { 7, 8 } };
	struct statx st, later;
	unsigned int i;
	int fd;

	px_file("f", 0644, "content");
	for (i = 0; i < PX_COUNT(masks); i++) {
		px_err(0, statx(AT_FDCWD, "f", 0, masks[i].mask, &st), "mask/%s", masks[i].name);
		px_num(masks[i].mask, st.stx_mask & masks[i].mask, "mask/%s/given", masks[i].name);
	}
	px_err(EINVAL, statx(AT_FDCWD, "f", 0, 0x80000000u, &st), "mask/reserved");
	px_err(0, statx(AT_FDCWD, "f", 0, 0x40000000, &st), "mask/unknown");
	px_num(0, st.stx_mask & 0x40000000, "mask/unknown/given");
	px_err(EINVAL, statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL, &st), "sync-both");
	px_err(0, statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_ALL, &st), "force-sync");
	px_err(0, statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_ALL, &st), "dont-sync");
	px_err(EINVAL, statx(AT_FDCWD, "f", 0x10, STATX_ALL, &st), "flags");
	px_err(EBADF, statx(-1, "f", 0, STATX_ALL, &st), "dirfd-bad");
	px_err(EFAULT, syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_ALL, (void *)1), "efault");
	fd = (int)px_must(open("f", O_PATH));
	px_err(0, statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &st), "empty-path");
	close(fd);
	px_num(7, (long long)st.stx_size, "size");
	px_num(4096, st.stx_blksize, "blksize");
	px_mode(0644, st.stx_mode & 07777, "mode");

	/* The time of birth stays. */
	px_must(utimensat(AT_FDCWD, "f", ts, 0));
	px_must(chmod("f", 0600));
	px_must(rename("f", "g"));
	px_must(statx(AT_FDCWD, "g", 0, STATX_ALL, &later));
	px_num(1, later.stx_btime.tv_sec == st.stx_btime.tv_sec && later.stx_btime.tv_nsec == st.stx_btime.tv_nsec,
	       "btime-stays");
	px_num(5, later.stx_atime.tv_sec, "atime");
	px_num(6, later.stx_atime.tv_nsec, "atime-ns");
	px_num(7, later.stx_mtime.tv_sec, "mtime");
	px_num(0, (long long)(later.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP |
						      STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY | STATX_ATTR_DAX)),
	       "no-attributes");
	px_num(STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP,
	       (long long)(later.stx_attributes_mask & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP)),
	       "attributes-known");
	px_must(statx(AT_FDCWD, ".", 0, STATX_ALL, &st));
	px_num(0, (long long)(st.stx_attributes & STATX_ATTR_MOUNT_ROOT), "no-mount-root");
}

PX_OPERATION(statfs)
{
	struct statfs st, before;
	struct statvfs vfs;
	int type, fd;

	px_err(0, statfs(".", &st), "dot");
	px_num(4096, st.f_bsize, "bsize");
	px_num(255, st.f_namelen, "namelen");
	px_num(1, st.f_blocks >= st.f_bfree, "blocks");
	px_num(1, st.f_bfree >= st.f_bavail, "bavail");
	px_num(1, st.f_files >= st.f_ffree, "files");
	px_num(1, st.f_ffree > 0, "ffree");
	px_must(statvfs(".", &vfs));
	px_num(255, (long long)vfs.f_namemax, "namemax");
	px_num(255, pathconf(".", _PC_NAME_MAX), "pathconf-name-max");
	px_num(4096, pathconf(".", _PC_PATH_MAX), "pathconf-path-max");
	for (type = PX_REG; type < PX_TYPES; type++) {
		px_make(type, "x", 0644);
		fd = (int)px_must(open("x", O_PATH | O_NOFOLLOW));
		before = st;
		px_err(0, fstatfs(fd, &st), "fstatfs/%s", px_type_name[type]);
		px_num(1, before.f_type == st.f_type && !memcmp(&before.f_fsid, &st.f_fsid, sizeof(st.f_fsid)), "fstatfs/%s/same", px_type_name[type]);
		close(fd);
		px_remove("x");
	}
	px_err(EBADF, fstatfs(-1, &st), "fstatfs-bad");
	px_err(EFAULT, syscall(SYS_statfs, ".", (void *)1), "efault");
}

PX_OPERATION(sync)
{
	static const struct {
		const char *name;
		int flags;
	} modes[] = { { "rdonly", O_RDONLY }, { "wronly", O_WRONLY }, { "rdwr", O_RDWR }, { "sync", O_RDWR | O_SYNC },
		      { "dsync", O_RDWR | O_DSYNC } };
	unsigned int i;
	int fd;

	px_file("f", 0644, "content");
	for (i = 0; i < PX_COUNT(modes); i++) {
		fd = (int)px_must(open("f", modes[i].flags));
		px_err(0, fsync(fd), "fsync/%s", modes[i].name);
		px_err(0, fdatasync(fd), "fdatasync/%s", modes[i].name);
		px_err(0, syncfs(fd), "syncfs/%s", modes[i].name);
		px_err(0, sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range/%s", modes[i].name);
		close(fd);
	}
	fd = (int)px_must(open("f", O_RDWR));
	px_err(EINVAL, sync_file_range(fd, -1, 1, 0), "sync_file_range-negative");
	px_err(EINVAL, sync_file_range(fd, 0, -1, 0), "sync_file_range-length-negative");
	px_err(EINVAL, sync_file_range(fd, 0, 1, 8), "sync_file_range-flags");
	px_err(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0, "fadvise");
	px_num(EINVAL, posix_fadvise(fd, 0, 0, 99), "fadvise-unknown");
	px_num(EINVAL, posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL), "fadvise-negative");
	px_err(0, readahead(fd, 0, 4096), "readahead");
	close(fd);
	px_err(EBADF, fsync(-1), "fsync-bad");
	px_err(EBADF, fdatasync(-1), "fdatasync-bad");
	px_err(EBADF, syncfs(-1), "syncfs-bad");
	fd = (int)px_must(open(".", O_RDONLY));
	px_err(0, fsync(fd), "fsync/directory");
	px_err(0, fdatasync(fd), "fdatasync/directory");
	px_err(0, syncfs(fd), "syncfs/directory");
	close(fd);
	fd = (int)px_must(open("f", O_WRONLY));
	px_err(EBADF, readahead(fd, 0, 4096), "readahead-wronly");
	close(fd);
	px_must(mkfifo("p", 0600));
	fd = (int)px_must(open("p", O_RDWR));
	px_err(EINVAL, fsync(fd), "fsync/fifo");
	px_err(ESPIPE, sync_file_range(fd, 0, 0, 0), "sync_file_range/fifo");
	px_num(ESPIPE, posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL), "fadvise/fifo");
	px_err(0, syncfs(fd), "syncfs/fifo");
	close(fd);
}

PX_OPERATION(ioctl)
{
	static const struct {
		const char *name;
		unsigned long request;
	} unknown[] = {
		{ "0", 0 }, { "3", 3 }, { "all", 0xffffffff }, { "tiocgwinsz", TIOCGWINSZ }, { "blkgetsize", BLKGETSIZE },
		{ "f-ff", 0x66ff }, { "x-ff", 0x58ff }, { "e6-ff-read", 0x8008e6ff }, { "e6-ff-write", 0x4008e6ff },
		{ "verity-measure", 0xc0046686 }, { "encryption-policy", 0x800c6613 },
	};
	static const char *const kinds[] = { "reg", "dir" };
	unsigned int i, k;
	int fd, value;

	px_file("reg", 0644, "content");
	px_must(mkdir("dir", 0755));
	for (k = 0; k < 2; k++) {
		fd = (int)px_must(open(kinds[k], O_RDONLY));
		for (i = 0; i < PX_COUNT(unknown); i++) {
			if (i >= 9) {
				/* Not on every ext4 either, but never a success. */
				px_num(-1, ioctl(fd, unknown[i].request, (void *)1), "feature/%s/%s", kinds[k],
				       unknown[i].name);
				continue;
			}
			px_err(ENOTTY, ioctl(fd, unknown[i].request, (void *)1), "unknown/%s/%s", kinds[k],
			       unknown[i].name);
		}
		px_err(0, ioctl(fd, FIGETBSZ, &value), "figetbsz/%s", kinds[k]);
		px_num(4096, value, "figetbsz/%s/value", kinds[k]);
		px_err(EFAULT, ioctl(fd, FIGETBSZ, (void *)1), "figetbsz/%s/efault", kinds[k]);
		px_err(EFAULT, ioctl(fd, FS_IOC_GETFLAGS, (void *)1), "getflags/%s/efault", kinds[k]);
		px_err(0, ioctl(fd, FS_IOC_GETFLAGS, &value), "getflags/%s", kinds[k]);
		px_num(0, value & (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL), "getflags/%s/value",
		       kinds[k]);
		px_err(EFAULT, ioctl(fd, FS_IOC_SETFLAGS, (void *)1), "setflags/%s/efault", kinds[k]);
		px_err(0, ioctl(fd, FIOCLEX), "fioclex/%s", kinds[k]);
		px_num(FD_CLOEXEC, fcntl(fd, F_GETFD), "fioclex/%s/value", kinds[k]);
		value = 1;
		px_err(0, ioctl(fd, FIONBIO, &value), "fionbio/%s", kinds[k]);
		px_err(0, ioctl(fd, FS_IOC_SETFLAGS, &(int){ 0 }), "setflags/%s/nothing", kinds[k]);
		px_become(&px_u1);
		px_err2(EACCES, EPERM, ioctl(fd, FS_IOC_SETFLAGS, &(int){ 0 }), "setflags/%s/other-user", kinds[k]);
		px_err(EPERM, ioctl(fd, FIFREEZE, 0), "fifreeze/%s/other-user", kinds[k]);
		px_err(EPERM, ioctl(fd, FITHAW, 0), "fithaw/%s/other-user", kinds[k]);
		px_root();
		close(fd);
	}
	fd = (int)px_must(open("reg", O_RDWR));
	px_must(lseek(fd, 2, SEEK_SET));
	px_err(0, ioctl(fd, FIONREAD, &value), "fionread");
	px_num(5, value, "fionread/value");
	px_err(EBADF, ioctl(-1, FIGETBSZ, &value), "bad");
	px_err(EFAULT, ioctl(fd, FS_IOC_FIEMAP, (void *)1), "fiemap/efault");
	px_err(EBADF, ioctl(fd, FICLONE, -1), "ficlone/bad");
	close(fd);
	fd = (int)px_must(open("reg", O_PATH));
	px_err(EBADF, ioctl(fd, FIGETBSZ, &value), "o_path");
	close(fd);
}
