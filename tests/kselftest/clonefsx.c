// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on a few files that share blocks: write, mapped write,
 * truncate, clone, copy, deduplicate, removal, caches dropped; each compared with a
 * model in memory.  NEXUS_OPS: how many; NEXUS_SEED: which.
 */
#include "nx_clone.h"

enum { FILES = 4, MAX = 1 << 20, KEPT = 40 };

struct world {
	int fd[FILES];
	size_t size[FILES];
	unsigned char model[FILES][MAX], buf[MAX + 1];
	char log[KEPT][96];
	unsigned int steps;
};

static void note(struct world *w, const char *what, int f, size_t at, size_t len,
		 int g, size_t to)
{
	snprintf(w->log[w->steps % KEPT], sizeof(w->log[0]),
		 "%u: %s %d at %zu, %zu bytes, %d at %zu", w->steps, what, f, at,
		 len, g, to);
	w->steps++;
}

static void tell(const struct world *w)
{
	unsigned int i = w->steps > KEPT ? w->steps - KEPT : 0;

	for (; i < w->steps; i++)
		printf("#   %s\n", w->log[i % KEPT]);
	fflush(stdout);
}

static void compare(struct world *w, int f)
{
	size_t i;

	HOLDS(size_of(w->fd[f]) == (off_t)w->size[f]);
	HOLDS(pread(w->fd[f], w->buf, MAX, 0) == (ssize_t)w->size[f]);
	if (!memcmp(w->buf, w->model[f], w->size[f]))
		return;
	for (i = 0; w->buf[i] == w->model[f][i]; i++)
		;
	printf("# file %d byte %zu: read %02x, written %02x\n", f, i, w->buf[i],
	       w->model[f][i]);
	HOLDS(false);
}

/* Model of copying a range; what lies between old end and @to becomes zeros. */
static void m_copy(struct world *w, int f, size_t at, size_t len, int g, size_t to)
{
	memmove(w->model[g] + to, w->model[f] + at, len);
	if (to + len > w->size[g])
		w->size[g] = to + len;
}

static void r_write(struct world *w, int f, size_t at, size_t len, bool mapped)
{
	unsigned char *p = w->model[f];
	unsigned char *map;
	size_t i;

	if (mapped) {
		if (at >= w->size[f])
			return;
		if (at + len > w->size[f])
			len = w->size[f] - at;
	}
	note(w, mapped ? "mapped" : "write", f, at, len, 0, 0);
	for (i = 0; i < len; i++)
		p[at + i] = (unsigned char)(w->steps * 31 + i * 3 + 1);
	if (!mapped) {
		HOLDS(pwrite(w->fd[f], p + at, len, at) == (ssize_t)len);
		if (at + len > w->size[f])
			w->size[f] = at + len;
		return;
	}
	map = mmap(NULL, MAX, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd[f], 0);
	HOLDS(map != MAP_FAILED);
	memcpy(map + at, p + at, len);
	HOLDS(!munmap(map, MAX));
}

static void r_truncate(struct world *w, int f, size_t size)
{
	note(w, "truncate", f, size, 0, 0, 0);
	HOLDS(!ftruncate(w->fd[f], size));
	if (size < w->size[f])
		memset(w->model[f] + size, 0, w->size[f] - size);
	w->size[f] = size;
}

static void r_clone(struct world *w, int f, size_t at, size_t len, int g, size_t to)
{
	bool legal;

	at &= ~(BS - 1);
	to &= ~(BS - 1);
	if (at >= w->size[f])
		return;
	if (nx_below(3))
		len = (len + BS - 1) & ~(BS - 1);
	if (at + len > w->size[f])
		len = w->size[f] - at;
	if (to + len > MAX)
		return;
	note(w, "clone", f, at, len, g, to);
	legal = (len % BS == 0 || (at + len == w->size[f] && to + len >= w->size[g])) &&
		(f != g || (at > to ? at - to : to - at) >= ((len + BS - 1) & ~(BS - 1)));
	if (!legal) {
		HOLDS(clone_range(w->fd[f], at, w->fd[g], to, len) == -1 &&
		      errno == EINVAL);
		return;
	}
	HOLDS(!clone_range(w->fd[f], at, w->fd[g], to, len));
	m_copy(w, f, at, len, g, to);
}

static void r_copy(struct world *w, int f, size_t at, size_t len, int g, size_t to)
{
	loff_t in, out;
	ssize_t n;

	if (f == g || at >= w->size[f])
		return;
	if (nx_below(2)) {
		at &= ~(BS - 1);
		to &= ~(BS - 1);
	}
	if (to + len > MAX)
		return;
	note(w, "copy", f, at, len, g, to);
	in = at;
	out = to;
	n = copy_file_range(w->fd[f], &in, w->fd[g], &out, len, 0);
	HOLDS(n > 0);
	m_copy(w, f, at, n, g, to);
}

static void r_dedupe(struct world *w, int f, size_t at, size_t len, int g)
{
	int status;

	at &= ~(BS - 1);
	len = (len + BS - 1) & ~(BS - 1);
	if (f == g || at + len > w->size[f] || at + len > w->size[g])
		return;
	note(w, "dedupe", f, at, len, g, at);
	status = dedupe(w->fd[f], at, w->fd[g], at, len);
	HOLDS(status == !!memcmp(w->model[f] + at, w->model[g] + at, len));
}

static void r_renew(struct world *w, int f)
{
	char name[8];

	snprintf(name, sizeof(name), "f%d", f);
	note(w, "renew", f, 0, 0, 0, 0);
	HOLDS(!unlink(name));
	close(w->fd[f]);
	w->fd[f] = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	HOLDS(w->fd[f] >= 0);
	memset(w->model[f], 0, MAX);
	w->size[f] = 0;
}

static void random_step(struct world *w)
{
	int f = nx_below(FILES), g = nx_below(3) ? (int)nx_below(FILES) : f;
	size_t at = nx_below(MAX), to = nx_below(3) ? nx_below(MAX) : at;
	size_t len = 1 + nx_below(nx_below(2) ? 5 * BS : 60 * BS);

	if (at + len > MAX)
		len = MAX - at;
	switch (nx_below(16)) {
	case 0: case 1: case 2:
		r_write(w, f, at, len, false);
		break;
	case 3: case 4:
		r_write(w, f, at, len, true);
		break;
	case 5:
		r_truncate(w, f, nx_below(MAX));
		break;
	case 6:
		r_copy(w, f, at, len, g, to);
		break;
	case 7: case 8:
		r_dedupe(w, f, at, len, g);
		break;
	case 9:
		HOLDS(!fsync(w->fd[f]));
		HOLDS(!posix_fadvise(w->fd[f], 0, 0, POSIX_FADV_DONTNEED));
		break;
	case 10:
		if (!nx_below(6))
			r_renew(w, f);
		break;
	case 11:
		if (!nx_below(10))
			nx_drop_caches();
		break;
	default:
		r_clone(w, f, at, len, g, to);
	}
}

static void run(struct world *w, unsigned int ops)
{
	char name[8];
	int f;

	for (f = 0; f < FILES; f++) {
		snprintf(name, sizeof(name), "f%d", f);
		w->fd[f] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		HOLDS(w->fd[f] >= 0);
	}
	while (ops--) {
		random_step(w);
		compare(w, nx_below(FILES));
		if (ops % 64)
			continue;
		for (f = 0; f < FILES; f++)
			compare(w, f);
	}
	nx_drop_caches();
	for (f = 0; f < FILES; f++)
		compare(w, f);
}

TEST_F_TIMEOUT(dir, random, 1200)
{
	struct world *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int bad;

	ASSERT_NE(MAP_FAILED, w);
	if (!nx_shares())
		SKIP(return, "the filesystem shares no blocks");
	nx_seed();
	fflush(NULL);
	if (!fork()) {
		run(w, nx_env("NEXUS_OPS", 3000));
		_exit(0);
	}
	bad = nx_reap();
	if (bad)
		tell(w);
	EXPECT_EQ(0, bad);
}

TEST_HARNESS_MAIN
