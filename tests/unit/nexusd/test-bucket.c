// SPDX-License-Identifier: Apache-2.0
/* Names of a mounted bucket: what is listed when, and what becomes of it. */
#include "bucket-world.h"

#include <fcntl.h>

static void ls(void *arg, const char *name, u64 pos)
{
	(void)pos;
	strcat(arg, name);
	strcat(arg, " ");
}

static void shows(struct world *w, s64 dir, const char *names)
{
	char text[4096] = "";

	assert_true(dir > 0);
	world_read(w, (u64)dir, ls, text);
	assert_string_equal(text, names);
}

static void test_tree(void **state)
{
	struct world *w = world_new(false);
	s64 ino;

	(void)state;
	world_put(w, "a", 5000, "1");
	world_put(w, "d/b", 1, "1");
	world_put(w, "d/e/c", 0, "1");
	world_put(w, "mark/", 0, "1");
	shows(w, NEXUS_ROOT_INO, "a d mark ");
	ino = world_walk(w, "d/e/c");
	assert_true(ino > 0);
	assert_int_equal(world_entry(w)->attr.size, 0);
	assert_true(world_walk(w, "a") > 0);
	assert_int_equal(world_entry(w)->attr.size, 5000);
	assert_int_equal(world_entry(w)->attr.mtime_s, 1000000000);
	assert_int_equal(world_entry(w)->attr.mode, S_IFREG | 0444);
	assert_int_equal(world_entry(w)->nextents, 1);
	assert_int_equal(world_walk(w, "none"), -ENOENT);
	assert_int_equal(world_walk(w, "a/b"), -ENOTDIR);
	shows(w, world_walk(w, "mark"), "");
	shows(w, world_walk(w, "d"), "b e ");
	/* Their names, for file handles. */
	assert_true(world_ask(w, NEXUS_OP_GETNAME, (u64)ino, 0, 0, NULL) > 0);
	assert_true(world_ask(w, NEXUS_OP_STATFS, 0, 0, 0, NULL) > 0);
	assert_int_equal(((struct nexus_statfs_reply *)w->reply)->inodes, 7);
	assert_int_equal(world_ask(w, NEXUS_OP_LISTXATTR, (u64)ino, 0, 0, NULL), 0);
	assert_int_equal(world_ask(w, NEXUS_OP_GETATTR, 12345, 0, 0, NULL), -ENOENT);
	world_free(w);
}

static void test_hidden(void **state)
{
	char longest[300];
	struct world *w = world_new(false);

	(void)state;
	memset(longest, 'n', 255);
	longest[255] = '\0';
	world_put(w, longest, 1, "1");
	strcat(longest, "n");
	world_put(w, longest, 1, "1");
	world_put(w, "..", 1, "1");
	world_put(w, ".", 1, "1");
	world_put(w, "../x", 1, "1");
	world_put(w, "/lead", 1, "1");
	world_put(w, "con\ttrol\n\x01", 1, "1");
	world_put(w, "both", 1, "1");
	/* Between the object and the directory. */
	world_put(w, "both-", 1, "1");
	world_put(w, "both/in", 1, "1");
	world_put(w, "huge", ~0ull, "1");
	world_put(w, "tail/", 0, "1");
	world_put(w, "tail/d//x", 1, "1");
	longest[255] = '\0';
	assert_int_equal(world_read(w, NEXUS_ROOT_INO, NULL, NULL), 5);
	assert_true(world_walk(w, longest) > 0);
	assert_true(world_walk(w, "con\ttrol\n\x01") > 0);
	assert_true(world_walk(w, "both/in") > 0);
	assert_int_equal(world_walk(w, "huge"), -ENOENT);
	/* Too long, "..", ".", "../", "/lead", both, huge. */
	assert_int_equal(w->b->hidden, 7);
	shows(w, world_walk(w, "tail/d"), "");
	assert_int_equal(w->b->hidden, 8);
	/* Only what changes is counted once more. */
	world_del(w, "..");
	bucket_forget(w->b);
	assert_int_equal(world_read(w, NEXUS_ROOT_INO, NULL, NULL), 5);
	assert_int_equal(w->b->hidden, 7);
	world_free(w);
}

/* One look lists the directory, others ask nobody until the ttl is over. */
static void test_asked(void **state)
{
	struct world *w = world_new(false);
	s64 a;

	(void)state;
	world_put(w, "a", 1, "1");
	world_put(w, "b", 1, "1");
	a = world_walk(w, "a");
	assert_true(world_walk(w, "b") > 0);
	assert_int_equal(world_walk(w, "c"), -ENOENT);
	shows(w, NEXUS_ROOT_INO, "a b ");
	assert_int_equal(w->lists, 1);
	bucket_forget(w->b);
	assert_int_equal(world_walk(w, "a"), a);
	assert_int_equal(w->lists, 2);
	w->b->ttl = 1;
	usleep(20000);
	assert_int_equal(world_walk(w, "a"), a);
	assert_int_equal(w->lists, 3);
	usleep(20000);
	assert_int_equal(world_walk(w, "a"), a);
	assert_int_equal(w->lists, 4);
	world_free(w);
}

static void test_changes(void **state)
{
	struct world *w = world_new(false);
	struct bucket_counts c;
	struct errline err = { "" };
	u64 version, pos;
	s64 a, b, again;

	(void)state;
	world_put(w, "a", 1, "1");
	world_put(w, "b", 1, "1");
	world_put(w, "d/x", 1, "1");
	world_put(w, "d2/y", 1, "1");
	a = world_walk(w, "a");
	pos = world_entry(w)->pos;
	b = world_walk(w, "b");
	assert_true(world_ask(w, NEXUS_OP_GETATTR, NEXUS_ROOT_INO, 0, 0, NULL) > 0);
	version = world_entry(w)->attr.version;
	assert_int_equal(bucket_list(w->b, NEXUS_ROOT_INO, &c, &err), 0);
	assert_int_equal(c.m.added + c.m.changed + c.m.removed, 0);
	assert_true(world_ask(w, NEXUS_OP_GETATTR, NEXUS_ROOT_INO, 0, 0, NULL) > 0);
	assert_int_equal(world_entry(w)->attr.version, version);

	world_put(w, "a", 1, "2");
	world_put(w, "c", 1, "1");
	world_del(w, "b");
	world_del(w, "d/x");
	world_put(w, "d", 1, "1");
	world_del(w, "d2/y");
	assert_int_equal(bucket_list(w->b, NEXUS_ROOT_INO, &c, &err), 0);
	assert_int_equal(c.entries, 3);
	assert_int_equal(c.m.added, 1);
	assert_int_equal(c.m.changed, 2);
	assert_int_equal(c.m.removed, 2);
	again = world_walk(w, "a");
	assert_true(again > 0 && again != a);
	/* Whoever is in the middle of the listing sees it once. */
	assert_int_equal(world_entry(w)->pos, pos);
	assert_int_equal(world_walk(w, "b"), -ENOENT);
	assert_true(world_walk(w, "d") > 0);
	assert_int_equal(world_entry(w)->attr.mode & S_IFMT, S_IFREG);
	shows(w, NEXUS_ROOT_INO, "a d c ");
	/* What is open stays what it was. */
	assert_true(world_ask(w, NEXUS_OP_GETATTR, (u64)a, 0, 0, NULL) > 0);
	assert_true(world_ask(w, NEXUS_OP_GETATTR, (u64)b, 0, 0, NULL) > 0);
	assert_true(world_ask(w, NEXUS_OP_GETATTR, NEXUS_ROOT_INO, 0, 0, NULL) > 0);
	assert_true(world_entry(w)->attr.version != version);
	world_free(w);
}

static void test_errors(void **state)
{
	static const int errors[] = { -EACCES, -ETIMEDOUT, -EREMOTE };
	struct world *w = world_new(false);
	size_t i;

	(void)state;
	world_put(w, "d/a", 1, "1");
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		w->error = errors[i];
		assert_int_equal(world_walk(w, "d"), errors[i]);
		assert_int_equal(world_ask(w, NEXUS_OP_GETATTR, NEXUS_ROOT_INO,
					   NEXUS_GETATTR_NAMES, 0, NULL), errors[i]);
	}
	/* A bucket that is gone: no name of it is said not to be there. */
	w->error = -ENODEV;
	assert_int_equal(world_walk(w, "d"), -ENODEV);
	w->error = 0;
	assert_true(world_walk(w, "d") > 0);
	/* Known, and not believed any more: an error, and not gone. */
	w->error = -EACCES;
	bucket_forget(w->b);
	assert_int_equal(world_walk(w, "d"), -EACCES);
	w->error = 0;
	assert_true(world_walk(w, "d/a") > 0);
	/* The helper ends. */
	w->error = -ESHUTDOWN;
	bucket_forget(w->b);
	assert_int_equal(world_walk(w, "d"), -ESHUTDOWN);
	world_free(w);
}

/* ---- many ------------------------------------------------------------------------ */

#define MANY	100000u

struct seen {
	u8 *name;
	u64 last;
	size_t n;
};

static void see(void *arg, const char *name, u64 pos)
{
	struct seen *s = arg;
	unsigned long i = strtoul(name + 4, NULL, 10);

	assert_true(i < MANY && !s->name[i]);
	assert_true(pos > s->last);
	s->name[i] = 1;
	s->last = pos;
	s->n++;
}

static void test_hundred_thousand(void **state)
{
	struct seen seen = { calloc(MANY, 1), 0, 0 };
	struct world *w = world_new(false);
	char key[64];
	s64 dir, ino;
	size_t i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "many/key-%06zu", i);
		world_put(w, key, i, "1");
	}
	dir = world_walk(w, "many");
	assert_int_equal(w->lists, 1);
	/* One name is not worth a hundred pages. */
	assert_true(world_walk(w, "many/key-077777") > 0);
	assert_int_equal(world_entry(w)->attr.size, 77777);
	assert_int_equal(world_walk(w, "many/key-"), -ENOENT);
	assert_int_equal(w->lists, 1 + 1 + 2 + 2);
	world_read(w, (u64)dir, see, &seen);
	assert_int_equal(seen.n, MANY);
	assert_int_equal(w->lists, 6 + MANY / 1000);
	/* From now on they are all known. */
	ino = world_walk(w, "many/key-099999");
	assert_true(ino > 0);
	assert_int_equal(w->lists, 6 + MANY / 1000);
	free(seen.name);
	world_free(w);
}

/* A directory with more than a page, and objects of its name before it. */
static void test_one_name(void **state)
{
	struct world *w = world_new(false);
	char key[64];
	int i;

	(void)state;
	w->page = 10;
	for (i = 0; i < 30; i++) {
		snprintf(key, sizeof(key), "x/n.%d", i);
		world_put(w, key, 1, "1");
	}
	world_put(w, "x/n", 7, "1");
	assert_true(world_walk(w, "x/n") > 0);
	assert_int_equal(world_entry(w)->attr.size, 7);
	world_put(w, "x/n/below", 1, "1");
	world_put(w, "x/m/", 0, "1");
	bucket_forget(w->b);
	assert_true(world_walk(w, "x/n") > 0);
	assert_true(S_ISDIR(world_entry(w)->attr.mode));
	assert_true(world_walk(w, "x/n/below") > 0);
	assert_true(world_walk(w, "x/m") > 0);
	assert_true(S_ISDIR(world_entry(w)->attr.mode));
	world_del(w, "x/n");
	world_del(w, "x/n/below");
	bucket_forget(w->b);
	assert_int_equal(world_walk(w, "x/n"), -ENOENT);
	world_free(w);
}

static void change(struct world *w)
{
	if (w->lists == 1)
		return;
	w->between = NULL;
	world_del(w, "d/05");
	world_put(w, "d/00", 1, "1");
	world_put(w, "d/35", 1, "1");
}

/* What changes between two pages is seen or not; what stays is. */
static void test_between_pages(void **state)
{
	struct world *w = world_new(false);
	char key[64];
	int i;

	(void)state;
	for (i = 1; i < 30; i++) {
		snprintf(key, sizeof(key), "d/%02d", i);
		world_put(w, key, 1, "1");
	}
	assert_true(world_walk(w, "d") > 0);
	w->page = 10;
	w->between = change;
	i = (int)world_read(w, (u64)world_walk(w, "d"), NULL, NULL);
	assert_true(i >= 29 && i <= 31);
	for (i = 1; i < 30; i++) {
		snprintf(key, sizeof(key), "d/%02d", i);
		if (i != 5)
			assert_true(world_walk(w, key) > 0);
	}
	world_free(w);
}

/* ---- extents --------------------------------------------------------------------- */

#define TIB	(1ull << 40)

/* All of it, each block in another place, and no file's in another's. */
static void test_room(void **state)
{
	const struct nexus_extents_reply *xr;
	struct world *w = world_new(false);
	u64 at = 0, last = 0, small, pack;
	s64 ino;
	u32 i;

	(void)state;
	xr = (const void *)w->reply;
	world_put(w, "huge", 6 * TIB + 1, "1");
	world_put(w, "small", 300000, "1");
	small = (u64)world_walk(w, "small");
	pack = ((const struct nexus_extent *)(world_entry(w) + 1))->pack;
	ino = world_walk(w, "huge");
	assert_int_equal(world_entry(w)->nextents, 0);
	assert_false(world_entry(w)->flags & NEXUS_ER_EXTENTS_ALL);
	assert_int_equal(world_entry(w)->attr.size, 6 * TIB + 1);
	do {
		assert_true(world_ask(w, NEXUS_OP_EXTENTS, (u64)ino, (u64)ino, at, NULL) > 0);
		for (i = 0; i < xr->count; i++) {
			assert_int_equal(xr->extent[i].offset, at);
			assert_true(xr->extent[i].pack > last);
			assert_true(xr->extent[i].pack <= pack);
			last = xr->extent[i].pack;
			at += (u64)xr->extent[i].nblocks << NEXUS_BLOCK_SHIFT;
		}
		assert_int_equal(xr->next_offset, at);
	} while (!(xr->flags & NEXUS_XR_END));
	assert_int_equal(at, 6 * TIB + NEXUS_BLOCK_SIZE);
	assert_true(world_ask(w, NEXUS_OP_EXTENTS, small, small, 4096, NULL) > 0);
	assert_int_equal(xr->count, 1);
	assert_int_equal(xr->extent[0].offset, 4096);
	assert_int_equal(xr->extent[0].nblocks, 73);
	world_free(w);
}

/* What does not go into the rest of a pack is in the next one as a whole. */
static void test_end_of_a_pack(void **state)
{
	const struct nexus_extents_reply *xr;
	struct world *w = world_new(false);
	u64 ino;

	(void)state;
	xr = (const void *)w->reply;
	world_put(w, "a", (u64)(BTREE_PACK_BLOCKS - 3) << NEXUS_BLOCK_SHIFT, "1");
	world_put(w, "b", 8 << NEXUS_BLOCK_SHIFT, "1");
	ino = (u64)world_walk(w, "b");
	assert_true(world_ask(w, NEXUS_OP_EXTENTS, ino, ino, 0, NULL) > 0);
	assert_int_equal(xr->count, 1);
	assert_int_equal(xr->extent[0].offset, 0);
	assert_int_equal(xr->extent[0].nblocks, 8);
	world_free(w);
}

/* ---- the next helper --------------------------------------------------------------- */

static void test_kept(void **state)
{
	struct world *w = world_new(true), *next;
	char path[128];
	s64 a, b, c;
	off_t end;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/names", w->dir);
	fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	w->b->tree.keep_fd = fd;
	world_put(w, "a", 1 << 20, "1");
	world_put(w, "d/b", 5, "1");
	world_put(w, "d/c", 5, "1");
	a = world_walk(w, "a");
	b = world_walk(w, "d/b");
	world_put(w, "a", 1 << 20, "2");
	world_del(w, "d/c");
	bucket_forget(w->b);
	c = world_walk(w, "a");
	shows(w, world_walk(w, "d"), "b ");
	end = lseek(fd, 0, SEEK_END);
	/* What the helper was writing when it died. */
	assert_int_equal(write(fd, "half of it", 10), 10);

	next = world_new(false);
	assert_int_equal(btree_keep_read(&next->b->tree, fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), end);
	assert_int_equal(next->b->tree.next_vblock, w->b->tree.next_vblock);
	assert_int_equal(next->b->tree.files, w->b->tree.files);
	assert_true(world_ask(next, NEXUS_OP_GETATTR, (u64)a, 0, 0, NULL) > 0);
	/* The numbers are those that the kernel has, once it is listed again. */
	world_put(next, "a", 1 << 20, "2");
	world_put(next, "d/b", 5, "1");
	assert_int_equal(world_walk(next, "a"), c);
	assert_int_equal(world_walk(next, "d/b"), b);
	assert_int_equal(next->lists, 2);
	world_free(next);

	/* A byte of it is another. */
	next = world_new(false);
	w->b->tree.keep_fd = -1;
	close(fd);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "\xff\xff", 2, 40), 2);
	assert_int_equal(btree_keep_read(&next->b->tree, fd), -EUCLEAN);
	close(fd);
	world_free(next);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_hundred_thousand),
		cmocka_unit_test(test_one_name),
		cmocka_unit_test(test_between_pages),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_end_of_a_pack),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
