// SPDX-License-Identifier: Apache-2.0
/* Path locks: what each rule says, one after the other; and real threads. */
#include "plock.h"

/* ---- one after the other -------------------------------------------------------------- */

static void test_table(void **state)
{
	static const struct {
		u8 held, want;
		bool free;
	} rule[] = {
		{ NEXUS_PLM_S, NEXUS_PLM_S, true },
		{ NEXUS_PLM_S, NEXUS_PLM_X, false },
		{ NEXUS_PLM_X, NEXUS_PLM_S, false },
		{ NEXUS_PLM_X, NEXUS_PLM_X, false },
	};
	struct nexus_plock l[5], o[5];
	int x, y, i;

	(void)state;
	nexus_plock_init(&table);
	DIR(&l[0], 1);
	DIR(&l[1], 2, 1);
	DIR(&l[2], 3, 2, 1);
	FILE_AT(&l[3], "f", 4, 3, 2, 1);
	DIR(&l[4], 5, 1);
	DIR(&o[0], 1);
	DIR(&o[1], 2, 1);
	DIR(&o[2], 3, 2, 1);
	FILE_AT(&o[3], "f", 4, 3, 2, 1);
	DIR(&o[4], 5, 1);
	for (i = 0; i < 4; i++) {
		for (x = 0; x < 5; x++) {
			assert_int_equal(try(&l[x], rule[i].held), 0);
			for (y = 0; y < 5; y++) {
				bool apart = x != y && x && y && (x == 4 || y == 4);

				if (apart || rule[i].free) {
					assert_int_equal(try(&o[y], rule[i].want), 0);
					release(&o[y], 0);
				} else {
					assert_int_equal(try(&o[y], rule[i].want), -EAGAIN);
				}
			}
			release(&l[x], 0);
		}
	}
	for (i = 0; i < 5; i++) {
		unplace(&l[i], 0);
		unplace(&o[i], 0);
	}
	table_empty();
}

static void test_errors(void **state)
{
	nexus_task task = NEXUS_TASK_INIT;
	struct nexus_plock a, b;
	const void *drop;
	NEXUS_WAKES(q);

	(void)state;
	nexus_plock_init(&table);
	DIR(&a, 2, 1);
	DIR(&b, 2, 1);
	assert_int_equal(nexus_plock_release(&table, &a, &drop, &q), -ENOENT);
	assert_int_equal(take_as(&a, NEXUS_PLM_S, true, 0, NULL), -ENOENT);
	assert_int_equal(try(&a, NEXUS_PLM_S), 0);
	assert_int_equal(try(&a, NEXUS_PLM_S), -EALREADY);
	assert_int_equal(try(&a, NEXUS_PLM_X), -EALREADY);
	assert_int_equal(take_as(&a, NEXUS_PLM_S, true, 0, NULL), -EALREADY);
	assert_int_equal(take_as(&b, NEXUS_PLM_X, false, 1, &task), 1);
	assert_int_equal(take_as(&b, NEXUS_PLM_X, false, 2, NULL), -EBUSY);
	assert_int_equal(nexus_plock_release(&table, &b, &drop, &q), -EBUSY);
	assert_int_equal(leave(&b, 0), -EINTR);
	assert_int_equal(take_as(&a, NEXUS_PLM_X, true, 3, NULL), 0);
	assert_ptr_equal(a.owner, WHO(3));
	assert_int_equal(take_as(&a, NEXUS_PLM_S, true, 3, NULL), 0);
	unplace(&a, 0);
	unplace(&b, 0);
	table_empty();
}

/* Who came first goes first, and whoever can goes with it; nobody else is woken. */
static void test_order(void **state)
{
	nexus_task task[8] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT,
			       NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock l[8];
	int i;

	(void)state;
	nexus_plock_init(&table);
	for (i = 0; i < 8; i++)
		FILE_AT(&l[i], "f", 3, 2, 1);
	assert_int_equal(try(&l[0], NEXUS_PLM_S), 0);
	/* A writer, behind it readers, of which none goes before it. */
	assert_int_equal(take_as(&l[1], NEXUS_PLM_X, false, 1, &task[1]), 1);
	for (i = 2; i < 5; i++) {
		assert_int_equal(try(&l[i], NEXUS_PLM_S), -EAGAIN);
		assert_int_equal(take_as(&l[i], NEXUS_PLM_S, false, i, &task[i]), 1);
	}
	assert_int_equal(take_as(&l[5], NEXUS_PLM_X, false, 5, &task[5]), 1);
	assert_int_equal(take_as(&l[6], NEXUS_PLM_S, false, 6, &task[6]), 1);
	release(&l[0], 1);
	assert_int_equal(leave(&l[1], 0), 0);
	/* The three before the next writer, not the one behind. */
	release(&l[1], 3);
	assert_true(nexus_plock_waits(&l[6]));
	for (i = 2; i < 5; i++)
		assert_int_equal(leave(&l[i], 0), 0);
	/* That writer gives up: who waited for it goes at once. */
	assert_int_equal(leave(&l[5], 1), -EINTR);
	assert_int_equal(leave(&l[6], 0), 0);
	for (i = 0; i < 8; i++)
		unplace(&l[i], 0);
	table_empty();
}

/* Who waits below a directory is not starved by those who read all of it. */
static void test_no_starving(void **state)
{
	nexus_task task[3] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock root[2], file, late;

	(void)state;
	nexus_plock_init(&table);
	DIR(&root[0], 1);
	DIR(&root[1], 1);
	DIR(&late, 4, 1);
	FILE_AT(&file, "f", 3, 2, 1);
	assert_int_equal(try(&root[0], NEXUS_PLM_S), 0);
	assert_int_equal(take_as(&file, NEXUS_PLM_X, false, 1, &task[0]), 1);
	assert_int_equal(take_as(&root[1], NEXUS_PLM_S, false, 2, &task[1]), 1);
	/* Goes with all of them. */
	assert_int_equal(try(&late, NEXUS_PLM_S), 0);
	release(&root[0], 1);
	assert_int_equal(leave(&file, 0), 0);
	release(&file, 1);
	assert_int_equal(leave(&root[1], 0), 0);
	unplace(&root[0], 0);
	unplace(&root[1], 0);
	unplace(&file, 0);
	unplace(&late, 0);
	table_empty();
}

static void test_upgrades(void **state)
{
	nexus_task task[4] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock l[4];
	int i;

	(void)state;
	nexus_plock_init(&table);
	for (i = 0; i < 4; i++)
		DIR(&l[i], 2, 1);
	assert_int_equal(take_as(&l[0], NEXUS_PLM_S, false, 0, NULL), 0);
	assert_int_equal(take_as(&l[1], NEXUS_PLM_S, false, 1, NULL), 0);
	assert_int_equal(take_as(&l[2], NEXUS_PLM_X, false, 2, &task[2]), 1);
	assert_int_equal(take_as(&l[0], NEXUS_PLM_X, true, 0, NULL), -EAGAIN);
	assert_int_equal(take_as(&l[0], NEXUS_PLM_X, true, 0, &task[0]), 1);
	/* Each would wait for the other. */
	assert_int_equal(take_as(&l[1], NEXUS_PLM_X, true, 1, &task[1]), -EDEADLK);
	assert_int_equal(l[1].held, NEXUS_PLM_S);
	/* Ahead of who holds nothing. */
	release(&l[1], 1);
	assert_int_equal(leave(&l[0], 0), 0);
	assert_int_equal(l[0].held, NEXUS_PLM_X);
	assert_int_equal(take_as(&l[3], NEXUS_PLM_S, false, 3, &task[3]), 1);
	/* A downgrade lets readers in, but not past a writer. */
	assert_int_equal(take_as(&l[0], NEXUS_PLM_S, true, 0, NULL), 0);
	assert_true(nexus_plock_waits(&l[3]));
	assert_int_equal(leave(&l[2], 1), -EINTR);
	assert_int_equal(leave(&l[3], 0), 0);
	/* One that gives up has what it had. */
	assert_int_equal(take_as(&l[0], NEXUS_PLM_X, true, 0, &task[0]), 1);
	assert_int_equal(leave(&l[0], 0), -EINTR);
	assert_int_equal(l[0].held, NEXUS_PLM_S);
	for (i = 0; i < 4; i++)
		unplace(&l[i], 0);
	table_empty();
}

/* Three that wait for each other, and one that waits for one of them. */
static void test_cycle(void **state)
{
	nexus_task task[4] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock has[3], wants[4];
	NEXUS_WAKES(q);
	int i;

	(void)state;
	nexus_plock_init(&table);
	for (i = 0; i < 3; i++) {
		DIR(&has[i], 10u + (u64)i, 1);
		DIR(&wants[i], 10u + (u64)(i + 1) % 3, 1);
		assert_int_equal(take_as(&has[i], NEXUS_PLM_X, false, i, NULL), 0);
	}
	DIR(&wants[3], 10, 1);
	assert_int_equal(take_as(&wants[0], NEXUS_PLM_S, false, 0, &task[0]), 1);
	assert_int_equal(take_as(&wants[1], NEXUS_PLM_S, false, 1, &task[1]), 1);
	assert_int_equal(take_as(&wants[3], NEXUS_PLM_S, false, 3, &task[3]), 1);
	assert_int_equal(take_as(&wants[2], NEXUS_PLM_S, false, 2, &task[2]), -EDEADLK);
	release(&has[2], 1);
	assert_int_equal(leave(&wants[1], 0), 0);
	nexus_plock_unplace(&table, &wants[1], &q);
	/* The same by way of a directory above: who has 11 wants all. */
	DIR(&wants[1], 1);
	assert_int_equal(take_as(&wants[1], NEXUS_PLM_X, false, 1, &task[1]), -EDEADLK);
	release(&has[1], 1);
	assert_int_equal(leave(&wants[0], 0), 0);
	release(&has[0], 1);
	assert_int_equal(leave(&wants[3], 0), 0);
	for (i = 0; i < 3; i++)
		unplace(&has[i], 0);
	for (i = 0; i < 4; i++)
		unplace(&wants[i], 0);
	table_empty();
}

/* Who waited further up comes down to where somebody waits for him. */
static void test_cycle_further_down(void **state)
{
	nexus_task task[2] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock root, a, b, a2, b2;

	(void)state;
	nexus_plock_init(&table);
	DIR(&root, 1);
	DIR(&a, 10, 1);
	DIR(&b, 20, 1);
	FILE_AT(&a2, "f", 21, 20, 1);
	DIR(&b2, 10, 1);
	assert_int_equal(take_as(&root, NEXUS_PLM_S, false, 2, NULL), 0);
	assert_int_equal(take_as(&a, NEXUS_PLM_S, false, 0, NULL), 0);
	assert_int_equal(take_as(&b, NEXUS_PLM_S, false, 1, NULL), 0);
	/* Both wait for who reads all. */
	assert_int_equal(take_as(&a2, NEXUS_PLM_X, false, 0, &task[0]), 1);
	assert_int_equal(take_as(&b2, NEXUS_PLM_X, false, 1, &task[1]), 1);
	/* The first is at b's lock then, the second at a's, and that is one too many. */
	release(&root, 1);
	assert_int_equal(nexus_plock_waits(&a2) + nexus_plock_waits(&b2), 1);
	assert_int_equal(leave(nexus_plock_waits(&a2) ? &b2 : &a2, 0), -EDEADLK);
	assert_int_equal(leave(a2.want ? &a2 : &b2, 0), -EINTR);
	unplace(&root, 0);
	unplace(&a, 0);
	unplace(&b, 0);
	unplace(&a2, 0);
	unplace(&b2, 0);
	table_empty();
}

static void move_to(u64 ino, const void *name, u64 dir, unsigned int wakes)
{
	struct nexus_plock pin;
	NEXUS_WAKES(q);

	DIR(&pin, dir, 1);
	nexus_plock_moved(&table, ino, name, &pin, &q);
	wake(&q, wakes);
	unplace(&pin, 0);
}

static void test_renames(void **state)
{
	nexus_task task[2] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock a, b, f, g, dir;

	(void)state;
	nexus_plock_init(&table);
	DIR(&a, 10, 1);
	DIR(&b, 20, 1);
	DIR(&dir, 11, 10, 1);
	FILE_AT(&f, "f", 12, 11, 10, 1);
	FILE_AT(&g, "g", 12, 10, 1);
	assert_int_equal(try(&f, NEXUS_PLM_X), 0);
	assert_int_equal(try(&b, NEXUS_PLM_S), 0);
	assert_int_equal(take_as(&a, NEXUS_PLM_S, false, 1, &task[0]), 1);
	/* The directory with the file in it goes elsewhere; who waited does not any more. */
	move_to(11, NULL, 20, 1);
	assert_int_equal(leave(&a, 0), 0);
	/* There they are both; what comes now meets the writer. */
	assert_int_equal(take_as(&b, NEXUS_PLM_X, true, 0, NULL), -EAGAIN);
	assert_int_equal(try(&dir, NEXUS_PLM_S), -EAGAIN);
	/* The other name of the file is the same file. */
	assert_int_equal(try(&g, NEXUS_PLM_S), -EAGAIN);
	/* A name that nothing was locked by moves nothing. */
	move_to(12, "h", 10, 0);
	release(&b, 0);
	assert_int_equal(try(&b, NEXUS_PLM_S), -EAGAIN);
	/* The file moves back to where a is read; who waits for b gets it. */
	assert_int_equal(take_as(&b, NEXUS_PLM_X, false, 1, &task[0]), 1);
	move_to(12, f.name, 10, 1);
	assert_int_equal(leave(&b, 0), 0);
	release(&b, 0);
	/* One that waits comes along: dir is free when it is below a no more. */
	release(&f, 0);
	release(&a, 0);
	assert_int_equal(try(&b, NEXUS_PLM_X), 0);
	assert_int_equal(take_as(&dir, NEXUS_PLM_X, false, 2, &task[1]), 1);
	move_to(11, NULL, 10, 1);
	assert_int_equal(leave(&dir, 0), 0);
	unplace(&a, 0);
	unplace(&b, 0);
	unplace(&f, 0);
	unplace(&g, 0);
	unplace(&dir, 0);
	table_empty();
}

/* Two that wait for each other only since a directory was moved. */
static void test_cycle_by_rename(void **state)
{
	nexus_task task[2] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_plock a, a2, b, b2, c;

	(void)state;
	nexus_plock_init(&table);
	DIR(&a, 10, 1);
	DIR(&b, 20, 1);
	DIR(&c, 30, 1);
	DIR(&a2, 20, 1);
	DIR(&b2, 31, 30, 1);
	assert_int_equal(take_as(&a, NEXUS_PLM_X, false, 0, NULL), 0);
	assert_int_equal(take_as(&b, NEXUS_PLM_X, false, 1, NULL), 0);
	assert_int_equal(take_as(&c, NEXUS_PLM_X, false, 2, NULL), 0);
	assert_int_equal(take_as(&a2, NEXUS_PLM_X, false, 0, &task[0]), 1);
	assert_int_equal(take_as(&b2, NEXUS_PLM_X, false, 1, &task[1]), 1);
	move_to(31, NULL, 10, 1);
	assert_int_equal(nexus_plock_waits(&a2) + nexus_plock_waits(&b2), 1);
	assert_int_equal(leave(nexus_plock_waits(&a2) ? &b2 : &a2, 0), -EDEADLK);
	assert_int_equal(leave(a2.want ? &a2 : &b2, 0), -EINTR);
	unplace(&a, 0);
	unplace(&b, 0);
	unplace(&c, 0);
	unplace(&a2, 0);
	unplace(&b2, 0);
	table_empty();
}

static void test_who(void **state)
{
	nexus_task task = NEXUS_TASK_INIT;
	struct nexus_plock root, dir, file, other, far;
	struct nexus_plock_who who;

	(void)state;
	nexus_plock_init(&table);
	DIR(&root, 1);
	DIR(&dir, 2, 1);
	FILE_AT(&file, "f", 3, 2, 1);
	FILE_AT(&other, "f", 3, 2, 1);
	DIR(&far, 9, 1);
	nexus_plock_who(&table, &root, NEXUS_PLM_X, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_FREE);
	assert_int_equal(try(&file, NEXUS_PLM_X), 0);
	assert_int_equal(try(&far, NEXUS_PLM_S), 0);
	nexus_plock_who(&table, &root, NEXUS_PLM_S, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_BELOW);
	assert_ptr_equal(who.lk, &file);
	assert_int_equal(who.ino, 3);
	nexus_plock_who(&table, &other, NEXUS_PLM_S, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_HERE);
	nexus_plock_who(&table, &file, NEXUS_PLM_X, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_FREE);
	release(&file, 0);
	assert_int_equal(try(&root, NEXUS_PLM_S), 0);
	nexus_plock_who(&table, &file, NEXUS_PLM_X, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_ABOVE);
	assert_ptr_equal(who.lk, &root);
	assert_int_equal(take_as(&file, NEXUS_PLM_X, false, 1, &task), 1);
	nexus_plock_who(&table, &dir, NEXUS_PLM_S, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_FREE);
	nexus_plock_who(&table, &root, NEXUS_PLM_X, &who);
	assert_int_equal(who.where, NEXUS_PLOCK_BELOW);
	assert_ptr_equal(who.lk, &far);
	release(&far, 0);
	release(&root, 1);
	assert_int_equal(leave(&file, 0), 0);
	unplace(&root, 0);
	unplace(&dir, 0);
	unplace(&file, 0);
	unplace(&other, 0);
	unplace(&far, 0);
	table_empty();
}

/* Enough for the table to grow; deeper than anything. */
static void test_many(void **state)
{
	struct nexus_plock *l = calloc(20000, sizeof(*l)), deep, top;
	u64 path[3000];
	u32 i;

	(void)state;
	nexus_plock_init(&table);
	for (i = 0; i < 20000; i++) {
		DIR(&l[i], 100000 + i, 50 + i % 7, 1);
		assert_int_equal(try(&l[i], i % 3 ? NEXUS_PLM_S : NEXUS_PLM_X), 0);
	}
	for (i = 0; i < 3000; i++)
		path[i] = i < 2999 ? 1000000 + i : 1;
	place(&deep, true, NULL, 3000, path);
	assert_int_equal(try(&deep, NEXUS_PLM_X), 0);
	DIR(&top, 1);
	assert_int_equal(try(&top, NEXUS_PLM_S), -EAGAIN);
	for (i = 0; i < 20000; i++)
		unplace(&l[i], 0);
	assert_int_equal(try(&top, NEXUS_PLM_S), -EAGAIN);
	unplace(&deep, 0);
	assert_int_equal(try(&top, NEXUS_PLM_X), 0);
	unplace(&top, 0);
	table_empty();
	free(l);
}

/* ---- threads -------------------------------------------------------------------------- */

#define N_THREADS	8
#define N_ROUNDS	20000

static struct {
	int readers, writers;
} inside[4];	/* /, /2, /2/3, /4: by what is locked there */
static int n_inside, wrong;

static void enter(int where, u8 mode, int add)
{
	static const u8 rel[4] = { 0xf, 0x7, 0x7, 0x9 };
	int i;

	__atomic_add_fetch(mode == NEXUS_PLM_X ? &inside[where].writers :
			   &inside[where].readers, add, __ATOMIC_SEQ_CST);
	for (i = 0; add > 0 && i < 4; i++) {
		int w = __atomic_load_n(&inside[i].writers, __ATOMIC_SEQ_CST);
		int r = __atomic_load_n(&inside[i].readers, __ATOMIC_SEQ_CST);

		if (!(rel[where] & 1 << i))
			continue;
		if (w > (i == where && mode == NEXUS_PLM_X) || (mode == NEXUS_PLM_X && r))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
	}
}

static void *thread(void *arg)
{
	static const u64 path[4][3] = { { 1 }, { 2, 1 }, { 3, 2, 1 }, { 4, 1 } };
	static const u32 depth[4] = { 1, 2, 3, 2 };
	unsigned int seed = (unsigned int)(uintptr_t)arg, i;
	nexus_task task = NEXUS_TASK_INIT;
	struct nexus_plock lk;
	const void *drop;
	NEXUS_WAKES(q);
	int where, ret;
	u8 mode;

	for (i = 0; i < N_ROUNDS; i++) {
		where = rand_r(&seed) % 4;
		mode = rand_r(&seed) % 4 ? NEXUS_PLM_S : NEXUS_PLM_X;
		place(&lk, true, NULL, depth[where], path[where]);
		ret = nexus_plock_take(&table, &lk, mode, false, &task, &task, &drop, &q);
		nexus_wakes_done(&q);
		while (ret == 1 && nexus_plock_waits(&lk) && rand_r(&seed) % 16)
			nexus_task_sleep(&task);
		if (ret == 1)
			ret = nexus_plock_leave(&table, &lk, &drop, &q);
		nexus_wakes_done(&q);
		if (!ret) {
			enter(where, mode, 1);
			__atomic_add_fetch(&n_inside, 1, __ATOMIC_RELAXED);
			enter(where, mode, -1);
		} else if (ret != -EINTR) {
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		}
		nexus_plock_unplace(&table, &lk, &q);
		nexus_wakes_done(&q);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[N_THREADS];
	uintptr_t i;

	(void)state;
	nexus_plock_init(&table);
	for (i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread, (void *)(i + 1)), 0);
	for (i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(wrong, 0);
	assert_true(n_inside > N_ROUNDS);
	table_empty();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_starving),
		cmocka_unit_test(test_upgrades),
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_cycle_further_down),
		cmocka_unit_test(test_renames),
		cmocka_unit_test(test_cycle_by_rename),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
