// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on a few files that share blocks: write, mapped write, direct write
 * and read, truncate, punch, zero, clone, copy, deduplicate, removal, caches dropped; each
 * compared with a model in memory; by one process, and by four at once with files of
 * their own.  NEXUS_OPS: how many; NEXUS_SECONDS: or how long; NEXUS_SEED: which.
 */
#include "nx_clone.h"

#include <linux/falloc.h>
#include <time.h>

enum { FILES = 4, MAX = 1 << 20, KEPT = 40 };

struct world {
	int fd[FILES], direct[FILES];
	size_t size[FILES];
	unsigned char model[FILES][MAX], buf[MAX + 4096] __attribute__((aligned(4096)));
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

/* Past the cache, in whole blocks: what every filesystem takes. */
static void r_direct(struct world *w, int f, size_t at, size_t len, bool change)
{
	unsigned char *p = w->model[f];
	size_t i, want;

	at &= ~(BS - 1);
	len = (len + BS - 1) & ~(BS - 1);
	if (at + len > MAX)
		len = MAX - at;
	note(w, change ? "direct write" : "direct read", f, at, len, 0, 0);
	if (!change) {
		want = at >= w->size[f] ? 0 : w->size[f] - at < len ? w->size[f] - at : len;
		HOLDS(pread(w->direct[f], w->buf, len, at) == (ssize_t)want);
		HOLDS(!memcmp(w->buf, p + at, want));
		return;
	}
	for (i = 0; i < len; i++)
		p[at + i] = (unsigned char)(w->steps * 37 + i * 5 + 1);
	memcpy(w->buf, p + at, len);
	HOLDS(pwrite(w->direct[f], w->buf, len, at) == (ssize_t)len);
	if (at + len > w->size[f])
		w->size[f] = at + len;
}

static void r_clear(struct world *w, int f, size_t at, size_t len, int mode)
{
	note(w, mode & FALLOC_FL_PUNCH_HOLE ? "punch" : "zero", f, at, len, 0, 0);
	HOLDS(!fallocate(w->fd[f], mode | FALLOC_FL_KEEP_SIZE, at, len));
	memset(w->model[f] + at, 0, len);
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

static void open_file(struct world *w, int f, int flags)
{
	char name[8];

	snprintf(name, sizeof(name), "f%d", f);
	w->fd[f] = open(name, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0644);
	HOLDS(w->fd[f] >= 0);
	w->direct[f] = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	HOLDS(w->direct[f] >= 0);
}

static void r_renew(struct world *w, int f)
{
	char name[8];

	snprintf(name, sizeof(name), "f%d", f);
	note(w, "renew", f, 0, 0, 0, 0);
	HOLDS(!unlink(name));
	close(w->fd[f]);
	close(w->direct[f]);
	open_file(w, f, O_EXCL);
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
	switch (nx_below(22)) {
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
	case 12: case 13:
		r_direct(w, f, at, len, true);
		break;
	case 14:
		r_direct(w, f, at, len, false);
		break;
	case 15: case 16:
		r_clear(w, f, at, len, FALLOC_FL_PUNCH_HOLE);
		break;
	case 17:
		r_clear(w, f, at, len, FALLOC_FL_ZERO_RANGE);
		break;
	default:
		r_clone(w, f, at, len, g, to);
	}
}

static void run(struct world *w, unsigned int ops)
{
	time_t end = time(NULL) + nx_env("NEXUS_SECONDS", 0);
	int f;

	for (f = 0; f < FILES; f++)
		open_file(w, f, 0);
	while (nx_env("NEXUS_SECONDS", 0) ? time(NULL) < end : ops > 0) {
		random_step(w);
		compare(w, nx_below(FILES));
		if (--ops % 64)
			continue;
		for (f = 0; f < FILES; f++)
			compare(w, f);
	}
	nx_drop_caches();
	for (f = 0; f < FILES; f++)
		compare(w, f);
}

static void at_once(struct __test_metadata *_metadata, int procs, unsigned int ops)
{
	struct world *w = mmap(NULL, procs * sizeof(*w), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t seed = nx_seed();
	char name[16];
	int i, bad;

	ASSERT_NE(MAP_FAILED, w);
	for (i = 0; i < procs; i++) {
		snprintf(name, sizeof(name), "world-%d", i);
		OK(mkdir(name, 0755));
		fflush(NULL);
		if (fork())
			continue;
		HOLDS(!chdir(name));
		nx_srand(seed + i);
		run(&w[i], ops);
		_exit(0);
	}
	bad = nx_reap();
	for (i = 0; bad && i < procs; i++) {
		printf("# process %d, after %u steps\n", i, w[i].steps);
		tell(&w[i]);
	}
	EXPECT_EQ(0, bad);
}

TEST_F_TIMEOUT(dir, random, 1200)
{
	if (!nx_shares())
		SKIP(return, "the filesystem shares no blocks");
	at_once(_metadata, 1, nx_env("NEXUS_OPS", 3000));
}

TEST_F_TIMEOUT(dir, four_at_once, 1200)
{
	if (!nx_shares())
		SKIP(return, "the filesystem shares no blocks");
	at_once(_metadata, 4, nx_env("NEXUS_OPS", 3000) / 8);
}

TEST_HARNESS_MAIN
