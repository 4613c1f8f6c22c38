/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A POSIX tree in memory: what a path leads to, through "..", symbolic links and
 * whatever is in the way, and what each call that changes names has to answer.
 *
 * Its owner is root and works below a root of its own (chroot), with no umask.
 * No pointers in it, so that another process can look at it.
 */
#ifndef NX_TREE_H
#define NX_TREE_H

#include "nx.h"

enum {
	TREE_NAMES	= 12,
	TREE_LONGEST	= 10,		/* of these */
	TREE_NODES	= 1200,
	TREE_PATH	= 4000,
	TREE_TARGET	= 1100,
	TREE_LINKS	= 40,		/* followed in one walk, more are ELOOP */
	TREE_ROOT	= 1,
};

struct node {
	unsigned int mode;		/* with the type; 0: not in use */
	unsigned int uid, gid;
	unsigned int links;		/* names; of a directory 1 while it has its name */
	unsigned int mark;		/* content of a file, 0 for none */
	dev_t rdev;
	ino_t ino;
	int held;			/* descriptors */
	int parent;			/* of a directory */
	int child[TREE_NAMES];
	char target[TREE_TARGET];
};

struct tree {
	struct node node[TREE_NODES];
	int used;
	bool whiteouts;
	unsigned int protected_symlinks, protected_regular;	/* sysctls */
	unsigned int said[256];		/* calls by errno */
	/* For whoever has to find out what happened. */
	char last[64][400];
	unsigned int steps;
	bool done;			/* has come to its end */
};

/* Where a walk ended: @node, 0 for none, is or would be @name of @dir. */
struct where {
	int dir, name, node;
};

static const char *const tree_name[TREE_NAMES] = {
	"a", "b", "c", "d", "e", "f", "-rf", ".h", "\001\xff\n *", "with space",
	"longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglong"
	"longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglong"
	"longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglong"
	"longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglon",
	"\xc3\xa4",
};

static inline bool tree_is(const struct tree *t, int n, unsigned int type)
{
	return n && (t->node[n].mode & S_IFMT) == type;
}

static inline int tree_find_name(const char *text, size_t len)
{
	int i;

	for (i = 0; i < TREE_NAMES; i++)
		if (strlen(tree_name[i]) == len && !memcmp(tree_name[i], text, len))
			return i;
	fprintf(stderr, "# no such name in the model: %.*s\n", (int)len, text);
	_exit(1);
}

/* An inode with its first name; 0 when the model is full. */
static inline int tree_new(struct tree *t, unsigned int mode, int dir)
{
	struct node *n;
	int i;

	for (i = TREE_ROOT + 1; i < TREE_NODES; i++)
		if (!t->node[i].mode)
			break;
	if (i == TREE_NODES)
		return 0;
	n = &t->node[i];
	memset(n, 0, sizeof(*n));
	n->mode = mode;
	if (t->node[dir].mode & S_ISGID) {
		n->gid = t->node[dir].gid;
		if (S_ISDIR(mode))
			n->mode |= S_ISGID;
	}
	n->links = 1;
	n->parent = dir;
	t->used++;
	return i;
}

static inline void tree_let_go(struct tree *t, int n)
{
	if (t->node[n].links || t->node[n].held)
		return;
	t->node[n].mode = 0;
	t->used--;
}

static inline void tree_init(struct tree *t)
{
	t->node[TREE_ROOT] = (struct node){ .mode = S_IFDIR | 0755, .links = 1,
					    .parent = TREE_ROOT };
	t->used = 1;
}

static inline int tree_children(const struct tree *t, int dir)
{
	int i, n = 0;

	for (i = 0; i < TREE_NAMES; i++)
		n += t->node[dir].child[i] != 0;
	return n;
}

static inline unsigned int tree_nlink(const struct tree *t, int n)
{
	unsigned int links = t->node[n].links;
	int i;

	if (!S_ISDIR(t->node[n].mode) || !links)
		return links;
	for (i = 0; i < TREE_NAMES; i++)
		links += tree_is(t, t->node[n].child[i], S_IFDIR);
	return links + 1;
}

/* Is @above @n itself or above it? */
static inline bool tree_above(const struct tree *t, int above, int n)
{
	while (n != above && n != TREE_ROOT)
		n = t->node[n].parent;
	return n == above;
}

/* What fs.protected_symlinks says to root that is to go through link @n of @dir. */
static inline bool tree_may_follow(const struct tree *t, int dir, int n)
{
	const struct node *d = &t->node[dir], *link = &t->node[n];

	return !t->protected_symlinks || !link->uid || link->uid == d->uid ||
	       (d->mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH);
}

/* And fs.protected_regular, to one that opens file @n of @dir with O_CREAT. */
static inline bool tree_may_reuse(const struct tree *t, int dir, int n)
{
	const struct node *d = &t->node[dir], *file = &t->node[n];

	return !t->protected_regular || !(d->mode & S_ISVTX) || !file->uid ||
	       file->uid == d->uid ||
	       !(d->mode & (t->protected_regular > 1 ? S_IWOTH | S_IWGRP : S_IWOTH));
}

/*
 * 0 or what the kernel says to @path from directory @at; @links so far, @last when what
 * this leads to is what the caller asked for.
 */
static inline int tree_walk_on(const struct tree *t, int at, const char *path,
			       bool follow, bool last, struct where *w, int *links)
{
	int cur = *path == '/' ? TREE_ROOT : at;

	*w = (struct where){ .dir = cur, .name = -1, .node = cur };
	for (;;) {
		const char *end;
		struct where sub;
		int err, child;

		while (*path == '/')
			path++;
		if (!*path)
			return 0;
		if (!tree_is(t, cur, S_IFDIR))
			return ENOTDIR;
		end = strchrnul(path, '/');
		if (end - path == 1 && path[0] == '.') {
			child = cur;
			*w = (struct where){ cur, -1, cur };
		} else if (end - path == 2 && path[0] == '.' && path[1] == '.') {
			child = t->node[cur].parent;
			*w = (struct where){ child, -1, child };
		} else {
			w->dir = cur;
			w->name = tree_find_name(path, end - path);
			child = t->node[cur].child[w->name];
			w->node = child;
			if (tree_is(t, child, S_IFLNK) && (*end || follow)) {
				if ((*links)++ >= TREE_LINKS)
					return ELOOP;
				if (last && !*end && !tree_may_follow(t, cur, child))
					return EACCES;
				err = tree_walk_on(t, cur, t->node[child].target, true,
						   last && !*end, &sub, links);
				if (err)
					return err;
				*w = sub;
				child = sub.node;
			}
		}
		if (!*end)
			return 0;
		if (!child)
			return ENOENT;
		cur = child;
		path = end;
	}
}

static inline int tree_walk(const struct tree *t, int at, const char *path,
			    bool follow, struct where *w)
{
	int links = 0;

	return tree_walk_on(t, at, path, follow, true, w, &links);
}

/* The path of a directory from the root, "." for that; 0 when it is too long. */
static inline size_t tree_path(const struct tree *t, int n, char *path)
{
	const char *part;
	size_t len;
	int up, i;

	if (n == TREE_ROOT) {
		strcpy(path, ".");
		return 1;
	}
	up = t->node[n].parent;
	for (i = 0; i < TREE_NAMES && t->node[up].child[i] != n; i++)
		;
	HOLDS(i < TREE_NAMES);
	part = tree_name[i];
	len = tree_path(t, up, path);
	if (!len || len + strlen(part) + 2 > TREE_PATH)
		return 0;
	return len + sprintf(path + len, "/%s", part);
}

static inline void tree_add(struct tree *t, const struct where *w, int n)
{
	t->node[w->dir].child[w->name] = n;
}

/* A name goes; the inode with it when it was the last and nobody holds it. */
static inline void tree_remove(struct tree *t, const struct where *w)
{
	t->node[w->dir].child[w->name] = 0;
	t->node[w->node].links--;
	tree_let_go(t, w->node);
}

/* What a call that makes a new name at @w says; @err: what walking said. */
static inline int tree_may_make(const struct tree *t, int err, const struct where *w)
{
	if (err)
		return err;
	if (w->node)
		return EEXIST;
	return t->node[w->dir].links ? 0 : ENOENT;
}

static inline int tree_may_unlink(const struct tree *t, int err, const struct where *w)
{
	if (err)
		return err;
	if (!w->node)
		return ENOENT;
	return tree_is(t, w->node, S_IFDIR) ? EISDIR : 0;
}

static inline int tree_may_rmdir(const struct tree *t, int err, const struct where *w)
{
	if (err)
		return err;
	if (!w->node)
		return ENOENT;
	if (!tree_is(t, w->node, S_IFDIR))
		return ENOTDIR;
	return tree_children(t, w->node) ? ENOTEMPTY : 0;
}

/* renameat2 of @a to @b, both walked to without an error. */
static inline int tree_may_rename(const struct tree *t, const struct where *a,
				  const struct where *b, unsigned int flags)
{
	bool dir = tree_is(t, a->node, S_IFDIR), over = tree_is(t, b->node, S_IFDIR);
	bool exchange = flags & RENAME_EXCHANGE;

	if (!a->node)
		return ENOENT;
	if ((flags & RENAME_NOREPLACE) && b->node)
		return EEXIST;
	if (exchange && !b->node)
		return ENOENT;
	if (a->dir != b->dir) {
		if (dir && tree_above(t, a->node, b->dir))
			return EINVAL;
		if (over && tree_above(t, b->node, a->dir))
			return exchange ? EINVAL : ENOTEMPTY;
	}
	if (a->node == b->node || exchange)
		return 0;
	if (!t->node[b->dir].links)
		return ENOENT;
	if (b->node && dir != over)
		return dir ? ENOTDIR : EISDIR;
	return b->node && dir && tree_children(t, b->node) ? ENOTEMPTY : 0;
}

static inline void tree_rename(struct tree *t, const struct where *a,
			       const struct where *b, unsigned int flags)
{
	int whiteout;

	if (a->node == b->node)
		return;
	if (!(flags & RENAME_EXCHANGE) && b->node)
		tree_remove(t, b);
	tree_add(t, a, flags & RENAME_EXCHANGE ? b->node : 0);
	tree_add(t, b, a->node);
	if (tree_is(t, a->node, S_IFDIR))
		t->node[a->node].parent = b->dir;
	if ((flags & RENAME_EXCHANGE) && tree_is(t, b->node, S_IFDIR))
		t->node[b->node].parent = a->dir;
	if (flags & RENAME_WHITEOUT) {
		whiteout = tree_new(t, S_IFCHR, a->dir);
		HOLDS(whiteout);
		tree_add(t, a, whiteout);
	}
}

/* What a stat of the inode says.  The first one tells which inode it is. */
static inline void tree_stat_is(struct tree *t, int n, const struct stat *st)
{
	struct node *node = &t->node[n];

	if (!node->ino)
		node->ino = st->st_ino;
	HOLDS(st->st_ino == node->ino);
	HOLDS(st->st_mode == node->mode);
	HOLDS(st->st_nlink == tree_nlink(t, n));
	HOLDS(st->st_uid == node->uid && st->st_gid == node->gid);
	HOLDS(st->st_rdev == node->rdev);
	if (S_ISLNK(node->mode))
		HOLDS(st->st_size == (off_t)strlen(node->target));
}

static inline void tree_content_is(const struct tree *t, int n, int fd)
{
	char text[32] = "", want[32] = "";

	if (t->node[n].mark)
		snprintf(want, sizeof(want), "%u", t->node[n].mark);
	HOLDS(pread(fd, text, sizeof(text) - 1, 0) == (ssize_t)strlen(want));
	HOLDS(!strcmp(text, want));
}

/* Everything below an open directory, which is closed: listed, looked up, read. */
static inline void tree_compare(struct tree *t, int n, int fd)
{
	bool listed[TREE_NAMES] = {};
	struct dirent *de;
	struct stat st;
	DIR *d;
	int i;

	HOLDS(fd >= 0);
	HOLDS(!fstat(fd, &st));
	tree_stat_is(t, n, &st);
	d = fdopendir(fd);
	HOLDS(d);
	while ((errno = 0, de = readdir(d))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		i = tree_find_name(de->d_name, strlen(de->d_name));
		HOLDS(!listed[i]);
		HOLDS(t->node[n].child[i]);
		listed[i] = true;
		HOLDS(!fstatat(fd, tree_name[i], &st, AT_SYMLINK_NOFOLLOW));
		HOLDS(de->d_ino == st.st_ino);
		HOLDS(de->d_type == DT_UNKNOWN || de->d_type == IFTODT(st.st_mode));
	}
	HOLDS(!errno);
	for (i = 0; i < TREE_NAMES; i++) {
		int child = t->node[n].child[i], below;
		char text[TREE_TARGET];
		ssize_t len;

		HOLDS(listed[i] == (child != 0));
		if (!child) {
			HOLDS(fstatat(fd, tree_name[i], &st, AT_SYMLINK_NOFOLLOW) &&
			      errno == ENOENT);
			continue;
		}
		HOLDS(!fstatat(fd, tree_name[i], &st, AT_SYMLINK_NOFOLLOW));
		switch (t->node[child].mode & S_IFMT) {
		case S_IFDIR:
			tree_compare(t, child, openat(fd, tree_name[i],
						      O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
			continue;
		case S_IFREG:
			below = openat(fd, tree_name[i], O_RDONLY | O_NOFOLLOW);
			HOLDS(below >= 0);
			tree_content_is(t, child, below);
			close(below);
			break;
		case S_IFLNK:
			len = readlinkat(fd, tree_name[i], text, sizeof(text) - 1);
			HOLDS(len >= 0);
			text[len] = '\0';
			HOLDS(!strcmp(text, t->node[child].target));
			break;
		}
		tree_stat_is(t, child, &st);
	}
	closedir(d);
}

#endif
