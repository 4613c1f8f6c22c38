// SPDX-License-Identifier: Apache-2.0
/*
 * Changes a directory in an order that a seed fixes, reports every fsync that
 * was acknowledged, and can say afterwards whether what a crash left is right.
 *
 *	recorder record DIR SEED [DEVICE]	until killed; reports on stdout, or as
 *						marks of a dm-log-writes device
 *	recorder verify DIR SEED REPORTS	after the crash
 *
 * Each operation changes names in a way that can be told from the disk: an
 * object carries its number as its group, and the number of the operation that changed
 * them last in its extended attribute and its ACL.  Right is: the names are those after
 * the first K operations, for a K that is at least what was acknowledged; what
 * was fsynced has the content it had then or a later one; any other block is
 * one that was written, or nothing.  A file that was renamed over another one is
 * complete, and so is one that was fsynced before it got its first name.
 *
 * Every second version of a content has a hole, punched into the one before: what
 * was there does not come back once the hole was fsynced.  Some content is written
 * with O_DIRECT, some is cloned from a file without a name.  Some files are left open
 * without a name: the crash makes orphans of them, which fsck must not find after it.
 *
 * Scenarios A1, A19, B7, B26, B34, E1, M13.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "content.h"
#include "report.h"

enum { DIRS = 4, NAMES = 40, MAX_OPS = 400000, TAG_MAX = 3000 };

#define NEXUS_MAGIC	0x4e455853	/* NEXUS_SUPER_MAGIC of linux/nexusfs.h */
enum kind { FILE_ = 1, LINK, DIRECTORY };

/* By number, which is the number of the operation that made it. */
static struct object {
	unsigned char kind;
	unsigned char links;
	unsigned short blocks;
	int version;		/* of its content */
	int promised;		/* version that must be there, or -1 */
	int last;		/* operation that touched it last */
	int tag, acl;		/* that set its attribute and its ACL, or 0 */
} object[MAX_OPS + 1];

static int slot[DIRS][NAMES];	/* the object of each name, 0: none */
static int dir_last[DIRS];
static uint64_t seed, state;
/* Not nexusfs, but what the verifier is tried on: O_DIRECT and clones may be refused. */
static bool foreign;

static unsigned int below(unsigned int n)
{
	return next_random(&state) % n;
}

static const char *path(int dir, int name)
{
	static char text[4][32];
	static int n;

	n = (n + 1) % 4;
	snprintf(text[n], sizeof(text[n]), "d%d/n%d", dir, name);
	return text[n];
}

/* Every second one of those of one block is tiny enough to be kept in the index. */
static size_t size_of(int id)
{
	size_t size = (size_t)object[id].blocks * BLOCK - id % 1000;

	return object[id].blocks == 1 && id % 2 ? size - 2400 : size;
}

/* The block that a version of a content leaves out: a hole is punched there. */
static int hole_of(int id, int version)
{
	return version % 2 ? (id + version) % object[id].blocks : -1;
}

/* Whole blocks around the page cache, if @fd was opened for that. */
static void put_content(int fd, int id)
{
	static unsigned char block[BLOCK] __attribute__((aligned(BLOCK)));
	size_t size = size_of(id), at, len;
	int i;

	for (i = 0; i < object[id].blocks; i++) {
		at = (size_t)i * BLOCK;
		len = size - at < BLOCK ? size - at : BLOCK;
		if (i == hole_of(id, object[id].version)) {
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      at, len))
				die("punch of object %d", id);
			continue;
		}
		fill_block(block, seed, id, i, object[id].version);
		if (foreign)
			fcntl(fd, F_SETFL, 0);
		if (pwrite(fd, block, len, at) != (ssize_t)len)
			die("write of object %d", id);
	}
}

/* One acknowledged promise: everything up to operation @upto is durable. */
static void acknowledge(int op, int upto, int id)
{
	report("ack %d %d %d %d", op, upto, id, id > 0 ? object[id].version : 0);
}

static void sync_file(const char *name, int op, int upto, int id)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0 || fsync(fd) || close(fd))
		die("fsync of %s", name);
	acknowledge(op, upto, id);
}

/* A file that has all its content, durably, before it has its name. */
static void make_nameless(const char *name, int id)
{
	char link[32];
	int fd = open(".", O_TMPFILE | O_WRONLY, 0644);

	if (fd < 0)
		die("O_TMPFILE, object %d", id);
	put_content(fd, id);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (fsync(fd) || linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW) ||
	    close(fd))
		die("naming object %d", id);
}

/* A new content in one go, whose blocks two files share for a moment. */
static void clone_content(int fd, int id)
{
	int from = open(".", O_TMPFILE | O_RDWR, 0600);

	if (from < 0)
		die("O_TMPFILE, object %d", id);
	if (ftruncate(from, size_of(id)))
		die("size of object %d", id);
	put_content(from, id);
	if (foreign)
		put_content(fd, id);
	else if (ioctl(fd, FICLONE, from))
		die("clone into object %d", id);
	if (close(from))
		die("close");
}

/* The last few are open and nameless at any time. */
static void leave_nameless(int id)
{
	static int open_fd[16], next;
	int fd = open(".", O_TMPFILE | O_WRONLY, 0600);

	if (fd < 0)
		die("O_TMPFILE");
	put_content(fd, id);
	if (open_fd[next] && close(open_fd[next]))
		die("close");
	open_fd[next] = fd;
	next = (next + 1) % 16;
}

/* As long as two blocks of an index, some of them, and of every length. */
static size_t tag_of(int op, char text[TAG_MAX])
{
	uint64_t value = seed + op;
	size_t len = sizeof(op) + next_random(&value) % (op % 7 ? 64 : TAG_MAX - sizeof(op)), i;

	memcpy(text, &op, sizeof(op));
	for (i = sizeof(op); i < len; i++)
		text[i] = next_random(&value);
	return len;
}

static void set_tag(const char *name, int op)
{
	char text[TAG_MAX];
	size_t len = tag_of(op, text);

	if (setxattr(name, "user.tag", text, len, 0))
		die("attribute of %s", name);
}

/* rw-r--r--, and one user, whose number is that of the operation. */
static void set_acl(const char *name, int op)
{
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entry[5];
	} acl = {
		{ POSIX_ACL_XATTR_VERSION },
		{
			{ ACL_USER_OBJ, ACL_READ | ACL_WRITE, ACL_UNDEFINED_ID },
			{ ACL_USER, ACL_READ, op },
			{ ACL_GROUP_OBJ, ACL_READ, ACL_UNDEFINED_ID },
			{ ACL_MASK, ACL_READ, ACL_UNDEFINED_ID },
			{ ACL_OTHER, ACL_READ, ACL_UNDEFINED_ID },
		},
	};

	if (setxattr(name, "system.posix_acl_access", &acl, sizeof(acl), 0))
		die("ACL of %s", name);
}

static void drop(int id)
{
	object[id].links--;
}

/* Operation number @op, in the model and, if @real, on the disk. */
static void step(int op, bool real)
{
	int d = below(DIRS), n = below(NAMES), d2 = below(DIRS), n2 = below(NAMES);
	unsigned int what = below(100), more = below(100), blocks = 1 + below(below(3) ? 12 : 1);
	int id = slot[d][n], id2 = slot[d2][n2], fd;
	struct object *o = &object[id];

	if (!id) {
		object[op] = (struct object){ .links = 1, .promised = -1, .last = op };
		slot[d][n] = op;
		dir_last[d] = op;
		if (real)
			setfsgid(op);
		if (what < 80) {
			object[op].kind = FILE_;
			object[op].blocks = blocks;
			if (more >= 90)
				object[op].promised = 0;
			if (real && more >= 90) {
				make_nameless(path(d, n), op);
			} else if (real) {
				if (more >= 85)
					leave_nameless(op);
				fd = open(path(d, n), O_WRONLY | O_CREAT | O_EXCL, 0644);
				if (fd < 0)
					die("create of object %d", op);
				put_content(fd, op);
				if (close(fd))
					die("close");
				if (more < 10)
					sync_file(path(d, n), op, op, op);
			}
		} else if (what < 90) {
			object[op].kind = LINK;
			if (real && symlink("somewhere", path(d, n)))
				die("symlink, object %d", op);
		} else {
			object[op].kind = DIRECTORY;
			if (real && mkdir(path(d, n), 0755))
				die("mkdir, object %d", op);
		}
	} else if (what < 25) {
		drop(id);
		slot[d][n] = 0;
		dir_last[d] = op;
		if (real && (o->kind == DIRECTORY ? rmdir(path(d, n)) :
			     unlink(path(d, n))))
			die("removal of object %d", id);
	} else if (what < 55) {
		bool fits = id != id2 && (!id2 || (o->kind == DIRECTORY) ==
					  (object[id2].kind == DIRECTORY));

		if (!fits)
			return;
		if (real && rename(path(d, n), path(d2, n2)))
			die("rename of object %d over %d", id, id2);
		if (id2) {
			drop(id2);
			/* Its content was written before its name was. */
			if (o->kind == FILE_ && object[id2].kind == FILE_)
				o->promised = o->version;
		}
		slot[d2][n2] = id;
		slot[d][n] = 0;
		o->last = dir_last[d] = dir_last[d2] = op;
		if (real && more < 10 && o->kind == FILE_)
			sync_file(path(d2, n2), op, op, id);
	} else if (what < 65) {
		if (id2 || o->kind == DIRECTORY || o->links > 200)
			return;
		if (real && link(path(d, n), path(d2, n2)))
			die("link to object %d", id);
		o->links++;
		slot[d2][n2] = id;
		o->last = dir_last[d2] = op;
	} else if (what < 85) {
		if (o->kind != FILE_)
			return;
		o->version++;
		o->last = op;
		if (real) {
			fd = open(path(d, n), O_WRONLY | (more < 50 ? O_DIRECT : 0));
			if (fd < 0)
				die("open of object %d", id);
			if (more >= 50 && more < 65)
				clone_content(fd, id);
			else
				put_content(fd, id);
			if (close(fd))
				die("close");
		}
	} else if (what < 93) {
		if (real && o->kind == FILE_)
			sync_file(path(d, n), op, o->last, id);
	} else if (what < 95) {
		char name[8];

		snprintf(name, sizeof(name), "d%d", d);
		if (real)
			sync_file(name, op, dir_last[d], 0);
	} else if (what == 95 && more < 30) {
		if (!real)
			return;
		fd = open(".", O_RDONLY);
		if (fd < 0 || syncfs(fd) || close(fd))
			die("syncfs");
		/* All objects, too: the number says so. */
		acknowledge(op, op, -1);
	} else if (what > 95 && o->kind != LINK) {
		o->last = op;
		if (more >= 90 && !o->tag)
			return;
		if (what < 99)
			o->tag = more < 90 ? op : 0;
		else
			o->acl = op;
		if (real && what == 99)
			set_acl(path(d, n), op);
		else if (real && more < 90)
			set_tag(path(d, n), op);
		else if (real && removexattr(path(d, n), "user.tag"))
			die("attribute of object %d", id);
	}
}

static int record(void)
{
	struct statfs fs;
	char name[8];
	int i, fd;

	for (i = 0; i < DIRS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		if (mkdir(name, 0755))
			die("mkdir %s", name);
	}
	fd = open(".", O_RDONLY);
	if (fd < 0 || syncfs(fd) || fstatfs(fd, &fs))
		die("syncfs");
	foreign = fs.f_type != NEXUS_MAGIC;
	report("names ready");
	printf("recording seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (i = 1; i <= MAX_OPS; i++) {
		step(i, true);
		if (i % 50 == 0)
			report("op %d", i);
	}
	return 0;
}

/* ---- verify ---------------------------------------------------------- */

static int disk[DIRS][NAMES], disk_tag[DIRS][NAMES], disk_acl[DIRS][NAMES];
static int wrong;

#define bad(...)							\
	do {								\
		printf("not ok - " __VA_ARGS__);			\
		putchar('\n');						\
		wrong++;						\
	} while (0)

static enum kind kind_of(mode_t mode)
{
	return S_ISREG(mode) ? FILE_ : S_ISLNK(mode) ? LINK : DIRECTORY;
}

/* The operations that set the attribute and the ACL of a name, 0: none. */
static void read_tags(int d, int n)
{
	char text[TAG_MAX], want[TAG_MAX];
	ssize_t len = lgetxattr(path(d, n), "user.tag", text, sizeof(text));
	struct posix_acl_xattr_entry *user;

	if (len >= (ssize_t)sizeof(int)) {
		memcpy(&disk_tag[d][n], text, sizeof(int));
		if ((size_t)len != tag_of(disk_tag[d][n], want) || memcmp(text, want, len))
			bad("%s: an attribute nobody set", path(d, n));
	} else if (len >= 0 || (errno != ENODATA && errno != EOPNOTSUPP && errno != EPERM)) {
		bad("%s: attribute: %zd, %s", path(d, n), len, strerror(errno));
	}
	len = lgetxattr(path(d, n), "system.posix_acl_access", text, sizeof(text));
	user = (struct posix_acl_xattr_entry *)
	       (text + sizeof(struct posix_acl_xattr_header)) + 1;
	if (len == sizeof(struct posix_acl_xattr_header) + 5 * sizeof(*user) &&
	    user->e_tag == ACL_USER)
		disk_acl[d][n] = user->e_id;
	else if (len >= 0 || (errno != ENODATA && errno != EOPNOTSUPP))
		bad("%s: ACL: %zd, %s", path(d, n), len, strerror(errno));
}

/* What is there: the group of each name tells the object. */
static void read_disk(void)
{
	char name[8];
	struct dirent *de;
	struct stat st;
	int d, n;
	DIR *dir;

	for (d = 0; d < DIRS; d++) {
		snprintf(name, sizeof(name), "d%d", d);
		dir = opendir(name);
		if (!dir)
			die("%s", name);
		while ((de = readdir(dir))) {
			if (de->d_name[0] == '.')
				continue;
			n = atoi(de->d_name + 1);
			if (de->d_name[0] != 'n' || n < 0 || n >= NAMES) {
				bad("%s/%s: a name nobody made", name, de->d_name);
				continue;
			}
			if (lstat(path(d, n), &st)) {
				bad("%s is listed: %s", path(d, n), strerror(errno));
				continue;
			}
			if (disk[d][n])
				bad("%s is listed twice", path(d, n));
			disk[d][n] = st.st_gid;
			read_tags(d, n);
		}
		closedir(dir);
	}
}

static bool names_fit(void)
{
	const struct object *o;
	int d, n;

	if (memcmp(disk, slot, sizeof(disk)))
		return false;
	for (d = 0; d < DIRS; d++) {
		for (n = 0; n < NAMES; n++) {
			o = &object[slot[d][n]];
			if (disk_tag[d][n] != o->tag || disk_acl[d][n] != o->acl)
				return false;
		}
	}
	return true;
}

/* Zeros are right where nothing was promised, and where a hole was since. */
static bool may_be_zeros(int id, int index, int newest)
{
	int version = object[id].promised;

	if (version < 0)
		return true;
	for (; version <= newest; version++)
		if (hole_of(id, version) == index)
			return true;
	return false;
}

static void check_file(int d, int n, const int *newest)
{
	unsigned char block[BLOCK], want[BLOCK];
	uint32_t of, claimed;
	int id = disk[d][n], i, version;
	struct object *o = &object[id];
	uint64_t *word = (uint64_t *)block;
	size_t len, size = size_of(id);
	struct stat st;
	bool claims;
	int fd = open(path(d, n), O_RDONLY);

	if (fd < 0 || fstat(fd, &st)) {
		bad("%s: %s", path(d, n), strerror(errno));
		return;
	}
	if (st.st_nlink != o->links)
		bad("object %d has %lu names, not %d", id,
		    (unsigned long)st.st_nlink, o->links);
	if ((size_t)st.st_size > size || (o->promised >= 0 && (size_t)st.st_size != size))
		bad("object %d has %lld bytes, not %zu", id, (long long)st.st_size,
		    size);
	for (i = 0; i < o->blocks && (size_t)i * BLOCK < (size_t)st.st_size; i++) {
		memset(block, 0, sizeof(block));
		len = size - (size_t)i * BLOCK;
		len = len < BLOCK ? len : BLOCK;
		if (pread(fd, block, len, (off_t)i * BLOCK) < 0) {
			bad("object %d, block %d: %s", id, i, strerror(errno));
			continue;
		}
		claims = block_claims(block, &of, &claimed);
		version = claimed;
		memset(want, 0, sizeof(want));
		if (!word[0] && !word[1] && may_be_zeros(id, i, newest[id])) {
			if (memcmp(block, want, len))
				bad("object %d, block %d: garbage behind zeros", id, i);
			continue;
		}
		if (!claims || of != (uint32_t)id || version > newest[id] ||
		    version < o->promised) {
			bad("object %d, block %d: of object %u, version %d; promised was %d, written up to %d",
			    id, i, of, version,
			    o->promised, newest[id]);
			continue;
		}
		fill_block(want, seed, id, i, version);
		if (memcmp(block, want, len) &&
		    (size_t)st.st_size == size)
			bad("object %d, block %d: torn", id, i);
	}
	close(fd);
}

static int verify(const char *reports)
{
	static struct { int op, upto, id, version; } ack[200000];
	static struct object keep[MAX_OPS + 1];
	static int newest[MAX_OPS + 1], keep_slot[DIRS][NAMES];
	int acks = 0, least = 0, last = 0, op, found, a = 0, d, n;
	FILE *f = fopen(reports, "r");
	char line[256];
	struct stat st;

	if (!f)
		die("%s", reports);
	while (fgets(line, sizeof(line), f) && acks < 199999) {
		if (sscanf(line, "op %d", &op) == 1)
			last = op > last ? op : last;
		if (!strchr(line, '\n') ||
		    sscanf(line, "ack %d %d %d %d", &ack[acks].op, &ack[acks].upto,
			   &ack[acks].id, &ack[acks].version) != 4)
			continue;
		if (ack[acks].upto > least)
			least = ack[acks].upto;
		if (ack[acks].op > last)
			last = ack[acks].op;
		acks++;
	}
	fclose(f);
	last = last + 2000 < MAX_OPS ? last + 2000 : MAX_OPS;
	read_disk();
	/* Before the first operation there is nothing; -1: like no prefix. */
	found = !least && names_fit() ? 0 : -1;
	for (op = 1; op <= last; op++) {
		step(op, false);
		for (; a < acks && ack[a].op <= op; a++) {
			int id;

			if (ack[a].id > 0) {
				object[ack[a].id].promised = ack[a].version;
				continue;
			}
			for (id = 1; ack[a].id < 0 && id <= op; id++)
				object[id].promised = object[id].version;
		}
		if (found < 0 && op >= least && names_fit()) {
			found = op;
			memcpy(keep, object, sizeof(keep));
			memcpy(keep_slot, slot, sizeof(slot));
		}
	}
	for (op = 1; op <= last; op++)
		newest[op] = object[op].version;
	printf("# seed %llu: %d acknowledged, up to operation %d; the disk shows %d of at most %d\n",
	       (unsigned long long)seed, acks, least, found, last);
	if (found < 0) {
		bad("the names are those of no prefix of at least %d operations", least);
		memset(slot, 0, sizeof(slot));
		memset(object, 0, sizeof(object));
		state = seed;
		for (op = 1; op <= least; op++)
			step(op, false);
		for (d = 0; d < DIRS; d++)
			for (n = 0; n < NAMES; n++)
				if (slot[d][n] != disk[d][n] ||
				    disk_tag[d][n] != object[slot[d][n]].tag ||
				    disk_acl[d][n] != object[slot[d][n]].acl)
					printf("#   %s: object %d (attribute %d, ACL %d) on disk, %d (%d, %d) after operation %d\n",
					       path(d, n), disk[d][n], disk_tag[d][n], disk_acl[d][n],
					       slot[d][n], object[slot[d][n]].tag,
					       object[slot[d][n]].acl, least);
		return 1;
	}
	/* A promise made later than the names show holds nevertheless. */
	for (op = 1; op <= last; op++)
		for (a = 0; keep[op].kind && a < acks; a++)
			if (ack[a].id == op && ack[a].version > keep[op].promised)
				keep[op].promised = ack[a].version;
	memcpy(object, keep, sizeof(keep));
	for (d = 0; d < DIRS; d++) {
		for (n = 0; n < NAMES; n++) {
			int id = disk[d][n];

			if (!id)
				continue;
			if (lstat(path(d, n), &st) || kind_of(st.st_mode) != object[id].kind)
				bad("%s is of another kind", path(d, n));
			else if (object[id].kind == FILE_)
				check_file(d, n, newest);
		}
	}
	if (!wrong)
		printf("ok - seed %llu\n", (unsigned long long)seed);
	return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc < 4 || (!strcmp(argv[1], "verify") && argc < 5)) {
		fprintf(stderr, "usage: recorder record DIR SEED [DEVICE] | verify DIR SEED REPORTS\n");
		return 2;
	}
	seed = strtoull(argv[3], NULL, 0);
	state = seed = seed ? seed : 1;
	if (!strcmp(argv[1], "record") && mkdir(argv[2], 0755))
		die("%s", argv[2]);
	if (!strcmp(argv[1], "record"))
		report_to(argv[4]);
	else {
		char *full = realpath(argv[4], NULL);

		if (!full || chdir(argv[2]))
			die("%s", argv[2]);
		return verify(full);
	}
	if (chdir(argv[2]))
		die("%s", argv[2]);
	return record();
}
