// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every field of a reply wrong, one at a time: the caller gets EIO, the next
 * request works, nothing hangs.
 */
#include "fake.h"
#include "reply.h"

#include <linux/quota.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

#define H(f)	HEAD, offsetof(struct nexus_reply, f), \
		sizeof(((struct nexus_reply *)0)->f)
#define E(f)	DATA, offsetof(struct nexus_entry_reply, f), \
		sizeof(((struct nexus_entry_reply *)0)->f)
#define A(f)	DATA, offsetof(struct nexus_attr, f), \
		sizeof(((struct nexus_attr *)0)->f)
#define X(n, f)	DATA, sizeof(struct nexus_entry_reply) + \
		(n) * sizeof(struct nexus_extent) + \
		offsetof(struct nexus_extent, f), \
		sizeof(((struct nexus_extent *)0)->f)
#define L(f)	DATA, offsetof(struct nexus_list_reply, f), \
		sizeof(((struct nexus_list_reply *)0)->f)
#define D(f)	DATA, sizeof(struct nexus_list_reply) + \
		offsetof(struct nexus_list_ent, f), \
		sizeof(((struct nexus_list_ent *)0)->f)
#define DN(i)	DATA, sizeof(struct nexus_list_reply) + \
		sizeof(struct nexus_list_ent) + (i), 1
#define DA(f)	DATA, sizeof(struct nexus_list_reply) + \
		sizeof(struct nexus_list_ent) + 8 + \
		offsetof(struct nexus_attr, f), \
		sizeof(((struct nexus_attr *)0)->f)
#define DE(f)	DATA, sizeof(struct nexus_list_reply) + \
		sizeof(struct nexus_list_ent) + 8 + \
		offsetof(struct nexus_entry_reply, f), \
		sizeof(((struct nexus_entry_reply *)0)->f)
#define R(f)	DATA, offsetof(struct nexus_extents_reply, f), \
		sizeof(((struct nexus_extents_reply *)0)->f)
#define RX(n, f) DATA, sizeof(struct nexus_extents_reply) + \
		(n) * sizeof(struct nexus_extent) + \
		offsetof(struct nexus_extent, f), \
		sizeof(((struct nexus_extent *)0)->f)
#define Q(f)	DATA, offsetof(struct nexus_quota_reply, f), \
		sizeof(((struct nexus_quota_reply *)0)->f)
#define V(f)	DATA, offsetof(struct nexus_xattr_reply, f), \
		sizeof(((struct nexus_xattr_reply *)0)->f)
/* Leases: the first one, its value, and holder n of the second one. */
#define LE_LEN	(sizeof(struct nexus_lease_ent) + sizeof(struct lease_val) + \
		sizeof(struct lease_holder))
#define LE(f)	DATA, offsetof(struct nexus_lease_ent, f), \
		sizeof(((struct nexus_lease_ent *)0)->f)
#define LV(f)	DATA, sizeof(struct nexus_lease_ent) + offsetof(struct lease_val, f), \
		sizeof(((struct lease_val *)0)->f)
#define LH(n, f) DATA, LE_LEN + sizeof(struct nexus_lease_ent) + \
		offsetof(struct lease_val, holder[n].f), \
		sizeof(((struct lease_holder *)0)->f)
/* A few bytes of an id or a name. */
#define LHB(n, f, i, len) DATA, LE_LEN + sizeof(struct nexus_lease_ent) + \
		offsetof(struct lease_val, holder[n].f) + (i), len
#define LEN	LENGTH, 0, 0

#define LOOKUP	NEXUS_OP_LOOKUP
#define LIST	NEXUS_OP_LIST
#define EXTENTS	NEXUS_OP_EXTENTS
#define LINK	NEXUS_OP_READLINK
#define NAMES	NEXUS_OP_LISTXATTR
#define VALUE	NEXUS_OP_GETXATTR

/* The letter is the kind of name it is tried on; see reply.h. */
static const struct {
	char kind;
	struct patch p;
} patches[] = {
	/* the head of any reply */
	{ 'f', { LOOKUP, "seq + 1", H(seq), 0x7fffffff, -EIO } },
	{ 'f', { LOOKUP, "status 1", H(status), 1, -EIO } },
	{ 'f', { LOOKUP, "status INT_MAX", H(status), 0x7fffffff, -EIO } },
	{ 'f', { LOOKUP, "status -512 (ERESTARTSYS)", H(status), -512, -EIO } },
	{ 'f', { LOOKUP, "status -513", H(status), -513, -EIO } },
	{ 'f', { LOOKUP, "status -516 (restart block)", H(status), -516, -EIO } },
	{ 'f', { LOOKUP, "status -529 (EIOCBQUEUED)", H(status), -529, -EIO } },
	{ 'f', { LOOKUP, "status -4095", H(status), -4095, -EIO } },
	{ 'f', { LOOKUP, "status INT_MIN", H(status), 0x80000000, -EIO } },
	{ 'f', { LOOKUP, "len over the slot", H(len), NEXUS_REPLY_DATA_MAX + 1, -EIO } },
	{ 'f', { LOOKUP, "len UINT_MAX", H(len), 0xffffffff, -EIO } },
	{ 'f', { LOOKUP, "len 0", H(len), 0, -EIO } },
	{ 'f', { LOOKUP, "len INT_MAX + 1", H(len), 0x80000000, -EIO } },
	{ 'f', { LOOKUP, "reserved", H(reserved), 1, -EIO } },
	{ 'f', { LOOKUP, "reserved2", H(reserved2), 1, -EIO } },
	{ 'f', { LOOKUP, "applied beyond the log", H(applied), 1ull << 40, -EIO } },
	{ 'f', { LOOKUP, "applied UINT64_MAX", H(applied), ~0ull, -EIO } },
	{ 'f', { LOOKUP, "one byte short", LEN, -1, -EIO } },
	{ 'f', { LOOKUP, "one byte long", LEN, 1, -EIO } },
	/* errors of the store pass as they are */
	{ 'f', { LOOKUP, "status -ENOENT", H(status), -ENOENT, -ENOENT } },
	{ 'f', { LOOKUP, "status -EUCLEAN", H(status), -EUCLEAN, -EUCLEAN } },
	{ 'f', { LOOKUP, "status -ENOMEM", H(status), -ENOMEM, -ENOMEM } },
	{ 'f', { LOOKUP, "status -ENOSYS", H(status), -ENOSYS, -ENOSYS } },
	/* an entry */
	{ 'f', { LOOKUP, "ino 0", A(ino), 0, -EIO } },
	{ 'f', { LOOKUP, "ino of the root", A(ino), 1, -EIO } },
	{ 'f', { LOOKUP, "ino of /__sys__", A(ino), 1ull << 62, -EIO } },
	{ 'f', { LOOKUP, "ino UINT64_MAX", A(ino), ~0ull, -EIO } },
	{ 'f', { LOOKUP, "mode 0", A(mode), 0, -EIO } },
	{ 'f', { LOOKUP, "mode of no type", A(mode), 0644, -EIO } },
	{ 'f', { LOOKUP, "mode of a wrong type", A(mode), 0170000, -EIO } },
	{ 'f', { LOOKUP, "mode with unknown bits", A(mode), 0300644, -EIO } },
	{ 'f', { LOOKUP, "flags unknown", A(flags), 1u << 31, -EIO } },
	{ 'f', { LOOKUP, "uid -1", A(uid), 0xffffffff, -EIO } },
	{ 'f', { LOOKUP, "gid -1", A(gid), 0xffffffff, -EIO } },
	{ 'f', { LOOKUP, "nlink 0", A(nlink), 0, -EIO } },
	{ 'f', { LOOKUP, "nlink UINT_MAX", A(nlink), 0xffffffff, -EIO } },
	{ 'd', { LOOKUP, "nlink 1 of a directory", A(nlink), 1, -EIO } },
	{ 'f', { LOOKUP, "reserved0", A(reserved0), 1, -EIO } },
	{ 'f', { LOOKUP, "size negative", A(size), 1ull << 63, -EIO } },
	{ 'f', { LOOKUP, "disk_size above size", A(disk_size), 4096, -EIO } },
	{ 'f', { LOOKUP, "blocks absurd", A(blocks), ~0ull, -EIO } },
	{ 'd', { LOOKUP, "blocks of a directory", A(blocks), 1, -EIO } },
	{ 'f', { LOOKUP, "atime_ns", A(atime_ns), 1000000000, -EIO } },
	{ 'f', { LOOKUP, "mtime_ns", A(mtime_ns), 1000000000, -EIO } },
	{ 'f', { LOOKUP, "ctime_ns", A(ctime_ns), 0xffffffff, -EIO } },
	{ 'f', { LOOKUP, "btime_ns", A(btime_ns), 1000000000, -EIO } },
	{ 'f', { LOOKUP, "data_id 0", A(data_id), 0, -EIO } },
	{ 'f', { LOOKUP, "pos of the inode negative", A(pos), 1ull << 63, -EIO } },
	{ 'd', { LOOKUP, "next_pos 0", A(next_pos), 0, -EIO } },
	{ 'd', { LOOKUP, "next_pos negative", A(next_pos), ~0ull, -EIO } },
	{ 'd', { LOOKUP, "parent of a directory is itself", A(parent), 0, -EIO } },
	{ 'd', { LOOKUP, "parent is another directory", A(parent), 4242, -EIO } },
	{ 'd', { LOOKUP, "more subdirectories than children", A(nlink), 100, -EIO } },
	{ 'm', { LOOKUP, "symlink of size 0", A(size), 0, -EIO } },
	{ 'm', { LOOKUP, "symlink of size 4096", A(size), 4096, -EIO } },
	{ 'f', { LOOKUP, "pos of the name 0", E(pos), 0, -EIO } },
	{ 'f', { LOOKUP, "pos of the name 2", E(pos), 2, -EIO } },
	{ 'f', { LOOKUP, "pos of the name huge", E(pos), ~0ull, -EIO } },
	{ 'f', { LOOKUP, "reply flags unknown", E(flags), 1u << 30, -EIO } },
	{ 'f', { LOOKUP, "content of a file that has none", E(flags), NEXUS_ER_CONTENT, -EIO } },
	{ 'f', { LOOKUP, "nextents without extents", E(nextents), 1, -EIO } },
	{ 'x', { LOOKUP, "nextents 33", E(nextents), 33, -EIO } },
	{ 'x', { LOOKUP, "nextents UINT_MAX", E(nextents), 0xffffffff, -EIO } },
	{ 'x', { LOOKUP, "nextents one too few", E(nextents), 1, -EIO } },
	{ 'f', { LOOKUP, "content_len without content", E(content_len), 8, -EIO } },
	{ 'm', { LOOKUP, "content_len UINT_MAX", E(content_len), 0xffffffff, -EIO } },
	{ 'm', { LOOKUP, "content_len 0", E(content_len), 0, -EIO } },
	{ 'm', { LOOKUP, "NUL in a target", DATA, sizeof(struct nexus_entry_reply) + 2, 1, 0, -EIO } },
	{ 'f', { LOOKUP, "entry reserved", E(reserved), 1, -EIO } },
	/* extents */
	{ 'x', { LOOKUP, "extent not aligned", X(0, offset), 1, -EIO } },
	{ 'x', { LOOKUP, "extent at a negative offset", X(0, offset), 1ull << 63, -EIO } },
	{ 'x', { LOOKUP, "extents unsorted", X(0, offset), 16384, -EIO } },
	{ 'x', { LOOKUP, "extents overlap", X(0, nblocks), 3, -EIO } },
	{ 'x', { LOOKUP, "extents twice the same", X(1, offset), 0, -EIO } },
	{ 'x', { LOOKUP, "extent of 0 blocks", X(0, nblocks), 0, -EIO } },
	{ 'x', { LOOKUP, "extent over the pack's end", X(1, nblocks), 0xffffffff, -EIO } },
	{ 'x', { LOOKUP, "extent in the pack's head", X(0, block), 0, -EIO } },
	{ 'x', { LOOKUP, "extent block huge", X(0, block), 0xffffffff, -EIO } },
	{ 'x', { LOOKUP, "extent in pack 0", X(0, pack), 0, -EIO } },
	{ 'x', { LOOKUP, "extent flags", X(0, flags), 1u << 31, -EIO } },
	{ 'x', { LOOKUP, "extent reserved", X(0, reserved), 1, -EIO } },
	/* a listing */
	{ 'd', { LIST, "listing too short", H(len), 8, -EIO } },
	{ 'd', { LIST, "listing cut", LEN, -8, -EIO } },
	{ 'd', { LIST, "listing with a tail", LEN, 8, -EIO } },
	{ 'd', { LIST, "count too large", L(count), 4, -EIO } },
	{ 'd', { LIST, "count UINT_MAX", L(count), 0xffffffff, -EIO } },
	{ 'd', { LIST, "count too small", L(count), 2, -EIO } },
	{ 'd', { LIST, "listing flags", L(flags), 1u << 31, -EIO } },
	{ 'd', { LIST, "next_pos goes back", L(next_pos), 5, -EIO } },
	{ 'd', { LIST, "next_pos negative", L(next_pos), ~0ull, -EIO } },
	{ 'd', { LIST, "reclen 0", D(reclen), 0, -EIO } },
	{ 'd', { LIST, "reclen not a multiple of 8", D(reclen), 225, -EIO } },
	{ 'd', { LIST, "reclen 65528", D(reclen), 65528, -EIO } },
	{ 'd', { LIST, "namelen 0", D(namelen), 0, -EIO } },
	{ 'd', { LIST, "namelen 255", D(namelen), 255, -EIO } },
	{ 'd', { LIST, "name with a slash", DN(1), '/', -EIO } },
	{ 'd', { LIST, "name with a NUL", DN(1), 0, -EIO } },
	{ 'd', { LIST, "name ..", DATA, sizeof(struct nexus_list_reply) + sizeof(struct nexus_list_ent), 2, 0x2e2e, -EIO } },
	{ 'd', { LIST, "entry ino 0", D(ino), 0, -EIO } },
	{ 'd', { LIST, "entry ino of the root", D(ino), 1, -EIO } },
	{ 'd', { LIST, "entry ino is another", D(ino), 77, -EIO } },
	{ 'd', { LIST, "entry pos 0", D(pos), 0, -EIO } },
	{ 'd', { LIST, "entries unsorted", D(pos), 100, -EIO } },
	{ 'd', { LIST, "entry of another type", D(dtype), 4, -EIO } },
	{ 'd', { LIST, "entry of no type", D(dtype), 3, -EIO } },
	{ 'd', { LIST, "entry flags", D(flags), 1u << 31, -EIO } },
	{ 'd', { LIST, "attr of an entry without type", DA(mode), 0, -EIO } },
	{ 'd', { LIST, "attr of an entry of nlink 0", DA(nlink), 0, -EIO } },
	{ 'd', { LIST, "attr of another inode", DA(ino), 99, -EIO } },
	{ 'd', { LIST, "entry reply at another pos", DE(pos), 99, -EIO } },
	{ 'd', { LIST, "entry reply's flags", DE(flags), 1u << 31, -EIO } },
	{ 'd', { LIST, "entry reply with extents behind it", DE(nextents), 1, -EIO } },
	{ 'd', { LIST, "entry reply with extents without end", DE(nextents), 0xffffffff, -EIO } },
	{ 'd', { LIST, "entry reply with content behind it", DE(content_len), 8, -EIO } },
	{ 'd', { LIST, "entry reply with padding for content", DE(content_len), 0xffffffff, -EIO } },
	{ 'd', { LIST, "entry reply's reserved field", DE(reserved), 1, -EIO } },
	{ 'd', { LIST, "listing refused", H(status), -EUCLEAN, -EUCLEAN } },
	/* the rest */
	{ 'l', { LINK, "target of length 0", H(len), 0, -EIO } },
	{ 'l', { LINK, "target with a NUL", DATA, 1, 1, 0, -EIO } },
	{ 'l', { LINK, "target of 4096 bytes", H(len), 4096, -EIO } },
	{ 'y', { EXTENTS, "extents too short", H(len), 4, -EIO } },
	{ 'y', { EXTENTS, "count too large", R(count), 3, -EIO } },
	{ 'y', { EXTENTS, "count UINT_MAX", R(count), 0xffffffff, -EIO } },
	{ 'y', { EXTENTS, "extents flags", R(flags), 1u << 31, -EIO } },
	{ 'y', { EXTENTS, "next_offset goes back", R(next_offset), 4096, -EIO } },
	{ 'y', { EXTENTS, "next_offset not aligned", R(next_offset), 12289, -EIO } },
	{ 'y', { EXTENTS, "extent not aligned", RX(0, offset), 8, -EIO } },
	{ 'y', { EXTENTS, "extents unsorted", RX(0, offset), 40960, -EIO } },
	{ 'y', { EXTENTS, "extent of 0 blocks", RX(1, nblocks), 0, -EIO } },
	{ 'y', { EXTENTS, "extent in pack 0", RX(1, pack), 0, -EIO } },
	{ 'a', { NAMES, "name without an end", DATA, 13, 1, 'x', -EIO } },
	{ 'a', { NAMES, "empty name", DATA, 0, 1, 0, -EIO } },
	{ 'a', { NAMES, "the same name twice", DATA, 12, 1, 'a', -EIO } },
	{ 'a', { NAMES, "names cut", LEN, -1, -EIO } },
	{ 'a', { NAMES, "names refused", H(status), -EUCLEAN, -EUCLEAN } },
	{ 'a', { NAMES, "names to be asked for again", H(status), -EAGAIN, -EIO } },
	{ 'a', { NAMES, "no such inode", H(status), -ENOENT, -ESTALE } },
	{ 'a', { VALUE, "total too large", V(total), 65537, -EIO } },
	{ 'a', { VALUE, "total below what is there", V(total), 7, -EIO } },
	{ 'a', { VALUE, "value reserved", V(reserved), 1, -EIO } },
	{ 'a', { VALUE, "nothing of a value", LEN, -8, -EIO } },
	{ 'a', { VALUE, "value shorter than its head", LEN, -9, -EIO } },
	{ 'a', { VALUE, "listed and not there", H(status), -ENODATA, -EIO } },
	{ 'a', { VALUE, "value refused", H(status), -EUCLEAN, -EUCLEAN } },
};

#define NPATCHES (sizeof(patches) / sizeof(patches[0]))

static int op_listxattr(const char *path)
{
	return listxattr(path, NULL, 0) < 0 ? -errno : 0;
}

static int op_getxattr(const char *path)
{
	return getxattr(path, "user.a", NULL, 0) < 0 ? -errno : 0;
}

static op_fn op_of(const struct patch *p)
{
	switch (p->op) {
	case LIST:
		return op_list;
	case EXTENTS:
		return op_read;
	case LINK:
		return op_readlink;
	case NAMES:
		return op_listxattr;
	case VALUE:
		return op_getxattr;
	default:
		return op_lstat;
	}
}

static void name(char *path, size_t size, char kind)
{
	static unsigned int n;

	snprintf(path, size, "%s/%c%u", ctl->mnt, kind, ++n);
}

/* Scenario C38. */
static void test_patches(void)
{
	char path[128];
	unsigned int i;
	int err, good;

	for (i = 0; i < NPATCHES; i++) {
		name(path, sizeof(path), patches[i].kind);
		ctl->patch = patches[i].p;
		ctl->patched = 0;
		ctl->manner = PATCH;
		err = op_run(op_of(&ctl->patch), path);
		ctl->manner = GOOD;
		if (!ctl->patched)
			note("no such request was made");
		/* The same name again: nothing of the bad reply stayed. */
		good = ctl->patch.want == -ENOENT ? 0 : op_run(op_lstat, path);
		if (good)
			note("and then, with a right reply: %d", good);
		ok_err(ctl->patched && !good ? err : 1, ctl->patch.want,
		       "%s: %s", ctl->patch.op == LIST ? "LIST" :
		       ctl->patch.op == EXTENTS ? "EXTENTS" :
		       ctl->patch.op == LINK ? "READLINK" :
		       ctl->patch.op == NAMES ? "LISTXATTR" :
		       ctl->patch.op == VALUE ? "GETXATTR" : "LOOKUP",
		       ctl->patch.name);
	}
}

/* Scenario C37. */
static void test_manners(void)
{
	static const struct { enum manner m; const char *name; int bad; } t[] = {
		{ TWICE, "replies given twice", 1 },
		{ WRONG_SEQ, "replies with a wrong seq before the right one", 2 },
		{ WRONG_SLOT, "replies for slots that hold nothing", 3 },
		{ OLD_SEQ, "the reply of the request before", 1 },
		{ RING_JUMP, "a completion ring that jumps ahead", 1 },
		{ RING_BACK, "a completion ring that goes back", 0 },
		{ POLLING, "good again", 0 },
	};
	char path[128];
	int i, j, loops = rounds(100);

	for (i = 0; i < (int)(sizeof(t) / sizeof(t[0])); i++) {
		int64_t before = counter("req_bad"), after;
		int err = 0;

		ctl->manner = t[i].m;
		for (j = 0; j < loops && !err; j++) {
			name(path, sizeof(path), 'f');
			err = op_run(op_lstat, path);
		}
		ctl->manner = GOOD;
		ok_err(err, 0, "%s", t[i].name);
		after = counter("req_bad");
		if (t[i].bad)
			ok(after - before >= loops / 2, "%s are counted: %lld",
			   t[i].name, (long long)(after - before));
	}
}

static void test_root(void)
{
	static const struct patch root[] = {
		{ NEXUS_OP_GETATTR, "another ino", A(ino), 2, -EIO },
		{ NEXUS_OP_GETATTR, "mode 0", A(mode), 0, -EIO },
		{ NEXUS_OP_GETATTR, "nlink 1", A(nlink), 1, -EIO },
		{ NEXUS_OP_GETATTR, "refused", H(status), -EUCLEAN, -EUCLEAN },
	};
	unsigned int i;
	int err;

	for (i = 0; i < 4; i++) {
		ctl->patch = root[i];
		ctl->manner = PATCH;
		err = fake_mount(NULL);
		ctl->manner = GOOD;
		ok_err(err, root[i].want, "mount, the root's attributes: %s",
		       root[i].name);
		if (!err)
			fake_umount();
	}
	ctl->open_fails = -EUCLEAN;
	ok_err(fake_mount(NULL), -EUCLEAN, "mount, OPEN_ZONE refused");
	ctl->open_fails = -600;
	ok_err(fake_mount(NULL), -EIO, "mount, OPEN_ZONE refused with code 600");
	ctl->open_fails = 5;
	ok_err(fake_mount(NULL), -EIO, "mount, OPEN_ZONE with status 5");
	ctl->open_fails = 0;
	ctl->no_attach = 1;
	ok_err(fake_mount(NULL), -EIO, "mount, OPEN_ZONE without ZONE_ATTACH");
	ctl->no_attach = 0;
}

static int refuse(int status, const char *reason, unsigned int len)
{
	int err;

	ctl->open_fails = status;
	memcpy(ctl->reason, reason, len);
	ctl->reason_len = len;
	err = fake_mount_why();
	ctl->open_fails = 0;
	ctl->reason_len = 0;
	return err;
}

/* What the helper says of its failure reaches whoever mounts, if it is a line. */
static void test_reasons(void)
{
	static const struct { const char *name, *text; unsigned int len; } bad[] = {
		{ "without an end", "no end", 6 },
		{ "of nothing", "", 1 },
		{ "with a NUL inside", "two\0words", 10 },
		{ "with a newline", "two\nlines", 10 },
		{ "with an escape", "\033[31mred", 9 },
		{ "with a DEL", "x\177", 3 },
		{ "that is not ASCII", "\303\244", 3 },
	};
	char text[NEXUS_REASON_LEN + 1];
	unsigned int i;

	ok_err(refuse(-EPROTONOSUPPORT, "zone fake has format 9", 23),
	       -EPROTONOSUPPORT, "OPEN_ZONE fails with a reason");
	ok(strstr(ctl->why, "zone fake has format 9") && ctl->why[0] == 'e',
	   "which mount gets: %s", ctl->why);
	ok_err(refuse(-EUCLEAN, "", 0), -EUCLEAN, "without one");
	ok(strstr(ctl->why, "its log says why"), "mount gets: %s", ctl->why);
	ok_err(refuse(-ENOENT, "no.", 4), -ENOENT, "there is no such zone");
	ok(strstr(ctl->why, "nexusctl zone create fake"), "mount gets: %s",
	   ctl->why);
	memset(text, 'x', sizeof(text));
	text[NEXUS_REASON_LEN - 1] = '\0';
	ok_err(refuse(-EUCLEAN, text, NEXUS_REASON_LEN), -EUCLEAN,
	       "the longest reason");
	ok(strstr(ctl->why, text), "arrives whole");
	text[NEXUS_REASON_LEN - 1] = 'x';
	text[NEXUS_REASON_LEN] = '\0';
	ok_err(refuse(-EUCLEAN, text, NEXUS_REASON_LEN + 1), -EIO,
	       "a longer one");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ok_err(refuse(-EUCLEAN, bad[i].text, bad[i].len), -EIO,
		       "a reason %s", bad[i].name);
		ok(strstr(ctl->why, "its log says why") &&
		   !strstr(ctl->why, "red"), "is not passed on");
	}
}

/* The kernel does not follow it for ever, nor into all of its memory. */
static void test_settings(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/__sys__/cfg", ctl->mnt);
	ctl->manner = ENDLESS;
	ok_err(op_run(op_list, path), -EIO, "settings without end");
	strcat(path, "/none");
	ok_err(op_run(op_lstat, path), -EIO, "and a name among them");
	ctl->manner = GOOD;
}

/* The user is the next one each time, so that the helper is asked. */
static int op_quota(const char *path)
{
	struct if_dqblk d;
	int fd = open(path, O_RDONLY | O_DIRECTORY), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_quotactl_fd, fd, QCMD(Q_GETQUOTA, USRQUOTA),
		      100000 + ctl->seen, &d) ? -errno : 0;
	close(fd);
	return ret;
}

static void test_quotas(void)
{
	static const struct patch bad[] = {
		{ NEXUS_OP_QUOTA, "id", Q(id), 5, -EIO },
		{ NEXUS_OP_QUOTA, "more inodes than numbers", Q(inodes), ~0ull, -EIO },
		{ NEXUS_OP_QUOTA, "more blocks than bytes", Q(blocks), 1ull << 52, -EIO },
		{ NEXUS_OP_QUOTA, "a time before 1970", Q(inodes_time), ~0ull, -EIO },
		{ NEXUS_OP_QUOTA, "grace for ever", Q(blocks_grace), ~0ull, -EIO },
		{ NEXUS_OP_QUOTA, "too short", LENGTH, 0, 0, -8, -EIO },
		{ NEXUS_OP_QUOTA, "refused", H(status), -EUCLEAN, -EUCLEAN },
		/* Strange, and nothing to choke on. */
		{ NEXUS_OP_QUOTA, "the latest time", Q(blocks_time), INT64_MAX, 0 },
		{ NEXUS_OP_QUOTA, "the most inodes", Q(inodes), INT64_MAX, 0 },
		{ NEXUS_OP_QUOTA, "the highest limit", Q(blocks_hard), ~0ull, 0 },
		{ NEXUS_OP_QUOTA, "the lowest limit", Q(blocks_soft), 1, 0 },
	};
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ctl->patch = bad[i];
		ctl->patched = 0;
		ctl->manner = PATCH;
		err = op_run(op_quota, ctl->mnt);
		ctl->manner = GOOD;
		ok_err(ctl->patched ? err : 1, bad[i].want, "QUOTA: %s",
		       bad[i].name);
	}
	ok_err(op_run(op_quota, ctl->mnt), 0, "and a right one");
}

static int op_lease(const char *path)
{
	struct nexus_lease_info info = { .room = 0 };
	int fd = open(path, O_RDONLY | O_DIRECTORY), ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, NEXUS_IOC_LEASE_GET, &info) ? -errno : 0;
	close(fd);
	return ret;
}

/* What was loaded: the holders of three files, and of no others. */
static int op_leases_held(const char *mnt)
{
	static const unsigned int want[4] = { 1, 2, 1, 0 };
	struct nexus_lease_who who[4];
	struct nexus_lease_info info;
	unsigned int i, k;
	char path[128];
	uint64_t token = LEASE_TOKEN;
	int fd;

	for (i = 0; i < 4; i++) {
		memset(&info, 0, sizeof(info));
		info.holders = (uintptr_t)who;
		info.room = 4;
		snprintf(path, sizeof(path), "%s/f%u", mnt, 5 + i);
		fd = open(path, O_RDONLY);
		if (fd < 0 || ioctl(fd, NEXUS_IOC_LEASE_GET, &info))
			return -errno;
		if (info.count != want[i])
			return 1000 + i;
		for (k = 0; k < want[i]; k++, token++)
			if (who[k].token != token || ioctl(fd, NEXUS_IOC_LEASE_CHECK, &token))
				return 2000 + i;
		close(fd);
	}
	return 0;
}

/* Until they are loaded each request asks again; then none does. */
static void test_leases(void)
{
	static const struct patch bad[] = {
		{ NEXUS_OP_LEASES, "reclen 0", LE(reclen), 0, -EIO },
		{ NEXUS_OP_LEASES, "reclen of a head", LE(reclen), 16, -EIO },
		{ NEXUS_OP_LEASES, "reclen not a multiple of 8", LE(reclen), 146, -EIO },
		{ NEXUS_OP_LEASES, "reclen into the next one", LE(reclen), 152, -EIO },
		{ NEXUS_OP_LEASES, "reclen beyond the reply", LE(reclen), 4096, -EIO },
		{ NEXUS_OP_LEASES, "reclen UINT_MAX - 7", LE(reclen), 0xfffffff8, -EIO },
		{ NEXUS_OP_LEASES, "reserved", LE(reserved), 1, -EIO },
		{ NEXUS_OP_LEASES, "ino 0", LE(ino), 0, -EIO },
		{ NEXUS_OP_LEASES, "ino of the next one", LE(ino), 1048, -EIO },
		{ NEXUS_OP_LEASES, "inodes unsorted", LE(ino), 5000, -EIO },
		{ NEXUS_OP_LEASES, "ino negative", LE(ino), ~0ull, -EIO },
		{ NEXUS_OP_LEASES, "an inode that was passed before", LE(ino), 2, -EIO },
		{ NEXUS_OP_LEASES, "now negative", LV(now), 1ull << 63, -EIO },
		{ NEXUS_OP_LEASES, "now before it was acquired", LV(now), 5, -EIO },
		{ NEXUS_OP_LEASES, "nobody may hold it", LV(max), 0, -EIO },
		{ NEXUS_OP_LEASES, "max_holders 129", LV(max), 129, -EIO },
		{ NEXUS_OP_LEASES, "max_holders UINT_MAX", LV(max), 0xffffffff, -EIO },
		{ NEXUS_OP_LEASES, "nobody holds it", LV(count), 0, -EIO },
		{ NEXUS_OP_LEASES, "more than may", LV(count), 2, -EIO },
		{ NEXUS_OP_LEASES, "count UINT_MAX", LV(count), 0xffffffff, -EIO },
		{ NEXUS_OP_LEASES, "more than are there", DATA, LE_LEN + 16 + 20, 4, 3, -EIO },
		{ NEXUS_OP_LEASES, "an id of zeros", LHB(0, id, 0, 1), 0, -EIO },
		{ NEXUS_OP_LEASES, "an id twice", LHB(1, id, 0, 1), 1, -EIO },
		{ NEXUS_OP_LEASES, "no name", LHB(0, name, 0, 4), 0, -EIO },
		{ NEXUS_OP_LEASES, "a name with a newline", LHB(0, name, 1, 1), '\n', -EIO },
		{ NEXUS_OP_LEASES, "a name with a DEL", LHB(1, name, 2, 1), 127, -EIO },
		{ NEXUS_OP_LEASES, "bytes behind a name", LHB(0, name, 63, 1), 'x', -EIO },
		{ NEXUS_OP_LEASES, "acquired later than now", LH(0, acquired), INT64_MAX, -EIO },
		{ NEXUS_OP_LEASES, "ends before it began", LH(1, expires), 1, -EIO },
		{ NEXUS_OP_LEASES, "ends never", LH(1, expires), ~0ull, -EIO },
		{ NEXUS_OP_LEASES, "token 0", LH(0, token), 0, -EIO },
		{ NEXUS_OP_LEASES, "the same token", LH(1, token), LEASE_TOKEN + 1, -EIO },
		{ NEXUS_OP_LEASES, "tokens unsorted", LH(1, token), 1, -EIO },
		{ NEXUS_OP_LEASES, "token negative", LH(1, token), 1ull << 63, -EIO },
		{ NEXUS_OP_LEASES, "one byte short", LEN, -1, -EIO },
		{ NEXUS_OP_LEASES, "cut in a holder", LEN, -8, -EIO },
		{ NEXUS_OP_LEASES, "a tail", LEN, 8, -EIO },
		{ NEXUS_OP_LEASES, "longer than the slot", H(len), NEXUS_REPLY_DATA_MAX + 1, -EIO },
		{ NEXUS_OP_LEASES, "refused", H(status), -EUCLEAN, -EUCLEAN },
		{ NEXUS_OP_LEASES, "refused as if it were held", H(status), -EAGAIN, -EIO },
		{ NEXUS_OP_LEASES, "refused as if it were gone", H(status), -ESTALE, -EIO },
		{ NEXUS_OP_LEASES, "refused as if it may not", H(status), -EPERM, -EIO },
		{ NEXUS_OP_LEASES, "refused as if it were none", H(status), -ENOTTY, -EIO },
	};
	unsigned int i, seen;
	int err;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ctl->patch = bad[i];
		ctl->patched = 0;
		ctl->manner = PATCH;
		err = op_run(op_lease, ctl->mnt);
		ctl->manner = GOOD;
		ok_err(ctl->patched ? err : 1, bad[i].want, "LEASES: %s", bad[i].name);
	}
	ctl->manner = ENDLESS;
	/* It takes all that there may be, reply after reply, before it says no. */
	ok_err(op_wait(op_start(op_lease, ctl->mnt), 60), -EIO, "LEASES: without end");
	ctl->manner = GOOD;
	ok_err(op_run(op_leases_held, ctl->mnt), 0, "LEASES: right ones, and all of them");
	seen = ctl->seen;
	ok_err(op_run(op_lease, ctl->mnt), 0, "once more");
	ok(ctl->seen == seen, "and nobody was asked");
}

int main(void)
{
	pid_t helper;

	fake_init();
	helper = fake_start();
	test_root();
	test_reasons();
	if (!ok_err(fake_mount(NULL), 0, "mount")) {
		fake_kill(helper);
		fake_exit();
		return done();
	}
	test_patches();
	test_manners();
	test_settings();
	test_quotas();
	test_leases();
	ok_err(fake_umount(), 0, "umount");
	ok_err(fake_stop(helper), 0, "the helper ends");
	ok(ctl->detached > 0, "it drained its zones");
	fake_exit();
	return done();
}
