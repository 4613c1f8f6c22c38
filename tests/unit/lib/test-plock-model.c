// SPDX-License-Identifier: Apache-2.0
/*
 * Path locks against a table that knows paths as text and looks at all of them, with
 * renames, waits that are given up, and threads that hold more than one.
 */
#include "plock.h"

#define N_DIRS	24
#define N_FILES	12
#define N_LOCKS	40

/* Directory 0 is the root; files have two names. */
static struct {
	int parent[N_DIRS];
	int name_dir[N_FILES][2];
} world;

static struct model_lock {
	struct nexus_plock lk;
	bool placed;
	int dir;		/* -1: a file */
	int file, name;
	u8 held, want;
	u64 ticket;
	nexus_task task;
} ml[N_LOCKS];

static u32 dir_path(int d, u64 *ino)
{
	u32 n = 0;

	for (; d; d = world.parent[d])
		ino[n++] = 100u + (u32)d;
	ino[n++] = 100;
	return n;
}

static void dir_text(int d, char *text)
{
	u64 ino[N_DIRS + 1];
	u32 n = dir_path(d, ino);

	*text = '\0';
	while (n--)
		sprintf(text + strlen(text), "/%u", (unsigned int)ino[n]);
	strcat(text, "/");
}

static void lock_text(const struct model_lock *m, char *text)
{
	dir_text(m->dir >= 0 ? m->dir : world.name_dir[m->file][m->name], text);
	if (m->dir < 0)
		sprintf(text + strlen(text), "f%d/", m->file);
}

static bool model_related(const struct model_lock *a, const struct model_lock *b)
{
	char s[512], t[512];
	size_t n, m;

	if (a->dir < 0 && b->dir < 0)
		return a->file == b->file;
	lock_text(a, s);
	lock_text(b, t);
	n = strlen(s);
	m = strlen(t);
	return !strncmp(s, t, n < m ? n : m);
}

static bool model_conflict(const struct model_lock *a, u8 mode,
			   const struct model_lock *b, u8 other)
{
	return (mode == NEXUS_PLM_X || other == NEXUS_PLM_X) && model_related(a, b);
}

/* Whether nobody holds anything that is in the way. */
static bool model_free(const struct model_lock *m, u8 mode)
{
	int i;

	for (i = 0; i < N_LOCKS; i++)
		if (&ml[i] != m && ml[i].held &&
		    model_conflict(m, mode, &ml[i], ml[i].held))
			return false;
	return true;
}

/* Whether somebody waits who is in the way. */
static bool model_queue(const struct model_lock *m, u8 mode)
{
	int i;

	for (i = 0; i < N_LOCKS; i++)
		if (&ml[i] != m && ml[i].want &&
		    model_conflict(m, mode, &ml[i], ml[i].want))
			return true;
	return false;
}

static bool below(int d, int top)
{
	for (; d; d = world.parent[d])
		if (d == top)
			return true;
	return !top;
}

static void model_place(struct model_lock *m)
{
	u64 ino[N_DIRS + 2];
	u32 n;

	memset(m, 0, sizeof(*m));
	m->task = (nexus_task)NEXUS_TASK_INIT;
	if (rnd(3)) {
		m->dir = (int)rnd(N_DIRS);
		n = dir_path(m->dir, ino);
		place(&m->lk, true, NULL, n, ino);
	} else {
		m->dir = -1;
		m->file = (int)rnd(N_FILES);
		m->name = (int)rnd(2);
		ino[0] = 1000u + (u32)m->file;
		n = 1 + dir_path(world.name_dir[m->file][m->name], ino + 1);
		place(&m->lk, false, &world.name_dir[m->file][m->name], n, ino);
	}
	m->placed = true;
}

static int model_owner(const struct model_lock *m)
{
	return (int)(m - ml) / 2;
}

static bool owner_waits(int owner)
{
	return ml[2 * owner].want || ml[2 * owner + 1].want;
}

/*
 * Whoever waits does so for somebody who does not, or for somebody of whom the same is
 * true: else they wait for each other, and that was not found.
 */
static void model_no_cycle(void)
{
	bool good[N_LOCKS] = { false }, more = true;
	int i, k, w;

	while (more) {
		more = false;
		for (i = 0; i < N_LOCKS; i++) {
			for (k = 0; !good[i] && ml[i].want && k < N_LOCKS; k++) {
				if (k == i)
					continue;
				w = model_owner(&ml[k]) * 2;
				w += !ml[w].want;
				if (ml[k].held &&
				    model_conflict(&ml[i], ml[i].want, &ml[k], ml[k].held))
					good[i] = !ml[w].want || good[w];
				if (ml[k].want && good[k] &&
				    model_conflict(&ml[i], ml[i].want, &ml[k], ml[k].want))
					good[i] = true;
				more |= good[i];
			}
		}
	}
	for (i = 0; i < N_LOCKS; i++)
		assert_true(!ml[i].want || good[i]);
}

/* Whether @m, wanting @mode, may wait for itself: through anybody who is in the way. */
static bool model_cycle(struct model_lock *m, u8 mode)
{
	bool reached[N_LOCKS] = { false }, more = true, found = false;
	int i, k, w;

	m->want = mode;
	reached[m - ml] = true;
	while (more && !found) {
		more = false;
		for (i = 0; i < N_LOCKS; i++) {
			for (k = 0; reached[i] && k < N_LOCKS; k++) {
				if (k == i)
					continue;
				w = model_owner(&ml[k]) * 2;
				w += !ml[w].want;
				if (!ml[w].want || !ml[k].held ||
				    !model_conflict(&ml[i], ml[i].want, &ml[k], ml[k].held))
					w = -1;
				if (w < 0 && ml[k].want &&
				    model_conflict(&ml[i], ml[i].want, &ml[k], ml[k].want))
					w = k;
				if (w < 0)
					continue;
				found |= &ml[w] == m;
				more |= !reached[w];
				reached[w] = true;
			}
		}
	}
	m->want = 0;
	return found;
}

/* What was granted meanwhile; and that of the rest nobody could be. */
static void model_settle(void)
{
	bool waits[N_LOCKS], any = false;
	int i, ret;
	u8 want;

	for (i = 0; i < N_LOCKS; i++)
		waits[i] = ml[i].want && nexus_plock_waits(&ml[i].lk);
	for (i = 0; i < N_LOCKS; i++) {
		want = ml[i].want;
		if (!want || waits[i])
			continue;
		ret = leave(&ml[i].lk, 0);
		ml[i].want = 0;
		if (ret == -EDEADLK)
			continue;
		assert_int_equal(ret, 0);
		ml[i].held = want;
	}
	for (i = 0; i < N_LOCKS; i++) {
		assert_int_equal(ml[i].lk.held, ml[i].held);
		assert_int_equal(ml[i].lk.want, ml[i].want);
		if (!ml[i].want)
			continue;
		any = true;
		if (!model_queue(&ml[i], ml[i].want))
			assert_false(model_free(&ml[i], ml[i].want));
	}
	if (any)
		model_no_cycle();
}

static u32 n_granted, n_refused, n_waited, n_cycles, n_moves, n_left;

static void model_take(struct model_lock *m)
{
	u8 mode = rnd(3) ? NEXUS_PLM_S : NEXUS_PLM_X;
	bool convert = m->held && rnd(4), wait = rnd(2);
	bool free, can;
	int ret;

	/* It is one thread. */
	if (!m->want && owner_waits(model_owner(m)))
		return;
	ret = take_as(&m->lk, mode, convert, model_owner(m), wait ? &m->task : NULL);
	if (m->want) {
		assert_int_equal(ret, -EBUSY);
		return;
	}
	if (m->held && (!convert || m->held == mode)) {
		assert_int_equal(ret, -EALREADY);
		return;
	}
	free = m->held == NEXUS_PLM_X || model_free(m, mode);
	can = free && !model_queue(m, mode);
	if (!ret) {
		/* Who waits further up, or holds nothing yet, may be overtaken. */
		assert_true(free);
		m->held = mode;
		n_granted++;
		return;
	}
	assert_false(can);
	if (!wait)
		assert_int_equal(ret, -EAGAIN);
	if (ret == 1) {
		m->want = mode;
		n_waited++;
	} else {
		n_refused++;
	}
	if (ret == -EDEADLK) {
		assert_true(model_cycle(m, mode));
		n_cycles++;
	}
}

static void model_move(void)
{
	struct nexus_plock pin;
	u64 ino[N_DIRS + 2];
	int d, to = (int)rnd(N_DIRS), f, k;
	NEXUS_WAKES(q);
	u32 n = dir_path(to, ino);

	place(&pin, true, NULL, n, ino);
	if (rnd(2)) {
		d = 1 + (int)rnd(N_DIRS - 1);
		if (!below(to, d)) {
			world.parent[d] = to;
			nexus_plock_moved(&table, 100u + (u32)d, NULL, &pin, &q);
			n_moves++;
		}
	} else {
		f = (int)rnd(N_FILES);
		k = (int)rnd(2);
		world.name_dir[f][k] = to;
		nexus_plock_moved(&table, 1000u + (u32)f, &world.name_dir[f][k],
				  &pin, &q);
		n_moves++;
	}
	nexus_wakes_done(&q);
	unplace(&pin, 0);
}

static void model_step(void)
{
	struct model_lock *m = &ml[rnd(N_LOCKS)];
	const void *drop;
	NEXUS_WAKES(q);
	int ret;

	if (!m->placed) {
		model_place(m);
		return;
	}
	switch (rnd(16)) {
	case 0:
		model_move();
		break;
	case 1:
		if (m->want)
			break;
		nexus_plock_unplace(&table, &m->lk, &q);
		memset(m, 0, sizeof(*m));
		break;
	case 2:
	case 3:
		if (!m->want)
			break;
		/* Killed, or it took too long. */
		ret = nexus_plock_leave(&table, &m->lk, &drop, &q);
		assert_int_equal(ret, -EINTR);
		m->want = 0;
		n_left++;
		break;
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		ret = nexus_plock_release(&table, &m->lk, &drop, &q);
		assert_int_equal(ret, m->want ? -EBUSY : m->held ? 0 : -ENOENT);
		if (!ret)
			m->held = 0;
		break;
	default:
		model_take(m);
	}
	nexus_wakes_done(&q);
}

static void test_model(void **state)
{
	const void *drop;
	NEXUS_WAKES(q);
	int i, k, run;

	(void)state;
	seed_init(0x10c4);
	for (run = 0; run < 20; run++) {
		nexus_plock_init(&table);
		memset(ml, 0, sizeof(ml));
		for (i = 1; i < N_DIRS; i++)
			world.parent[i] = (int)rnd((u32)i);
		for (i = 0; i < N_FILES; i++)
			for (k = 0; k < 2; k++)
				world.name_dir[i][k] = (int)rnd(N_DIRS);
		for (i = 0; i < 3000; i++) {
			model_step();
			model_settle();
		}
		for (i = 0; i < N_LOCKS; i++)
			if (ml[i].want) {
				nexus_plock_leave(&table, &ml[i].lk, &drop, &q);
				nexus_wakes_done(&q);
			}
		for (i = 0; i < N_LOCKS; i++) {
			nexus_plock_unplace(&table, &ml[i].lk, &q);
			nexus_wakes_done(&q);
		}
		table_empty();
	}
	print_message("# %u granted, %u waited, %u refused, %u cycles, %u left, %u moves\n",
		      n_granted, n_waited, n_refused, n_cycles, n_left, n_moves);
	assert_true(n_granted && n_waited && n_refused && n_cycles && n_left && n_moves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
