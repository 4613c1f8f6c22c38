// SPDX-License-Identifier: Apache-2.0
/* What include/nexus/recordstore.h promises, on the driver's loaded object. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record-world.h"

const struct nexus_record_driver *driver;
struct nexus_record_fault fault;

static const char *at;

struct nexus_records *open_at(const char *where, bool read_only)
{
	const struct nexus_record_options options = { where, read_only, 3, 100, 600000 };
	struct nexus_records *records = NULL;
	struct nexus_record_fault why;

	if (driver->open(&options, &why, &records))
		fail_msg("%s", why.text);
	return records;
}

static const char *const first[] = {
	"CREATE TABLE parent (id {id}, name {text} UNIQUE)",
	"CREATE TABLE child (parent BIGINT NOT NULL REFERENCES parent (id), "
	"weight {real}, bytes {blob}, note {text})",
	NULL,
};
static const char *const second[] = {
	"CREATE TABLE later (n BIGINT, s {text} DEFAULT '{id} $1')", NULL,
};
static const struct nexus_record_step steps[] = { { 1, first }, { 2, second } };

static const char *const both_first[] = {
	"CREATE TABLE both_a (n BIGINT)", "INSERT INTO both_a (n) VALUES (1)", NULL,
};
static const char *const both_second[] = { "ALTER TABLE both_a ADD COLUMN m BIGINT", NULL };
static const struct nexus_record_step both[] = { { 1, both_first }, { 2, both_second } };

int record_setup(void **state)
{
	at = world_fresh();
	*state = open_at(at, false);
	assert_int_equal(nexus_record_migrate(*state, "test", steps, 2, &fault), 0);
	return 0;
}

int record_teardown(void **state)
{
	driver->close(*state);
	world_forget();
	return 0;
}

struct nexus_record_tx *begin(struct nexus_records *r, enum nexus_record_mode mode)
{
	struct nexus_record_tx *tx = NULL;

	assert_int_equal(nexus_record_begin(r, mode, &fault, &tx), 0);
	return tx;
}

/* One statement in a transaction of its own. */
int once(struct nexus_records *r, const char *sql, const struct nexus_record_value *params,
	 size_t count)
{
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_WRITE);
	int ret = nexus_record_exec(r, tx, sql, params, count, NULL);

	if (ret) {
		assert_int_equal(fault.error, ret);
		assert_true(fault.text[0] != '\0');
		nexus_record_rollback(r, tx);
		return ret;
	}
	return nexus_record_commit(r, tx);
}

int64_t number(struct nexus_records *r, const char *sql)
{
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_READ);
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int64_t n;

	assert_int_equal(nexus_record_query(r, tx, sql, NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
	assert_int_equal(row[0].type, NEXUS_RECORD_INT);
	n = row[0].number;
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_commit(r, tx), 0);
	return n;
}

static void types(void **state)
{
	struct nexus_records *r = *state;
	const struct nexus_record_value name = NEXUS_RECORD_T("\xc3\xa9", 2), *row;
	struct nexus_record_value child[] = {
		NEXUS_RECORD_I(1), NEXUS_RECORD_R(0.5), NEXUS_RECORD_B("a\0b", 3), NEXUS_RECORD_N(),
	};
	struct nexus_record_rows *rows;
	struct nexus_record_tx *tx;
	size_t columns;
	uint64_t changed = 9;

	tx = begin(r, NEXUS_RECORD_WRITE);
	assert_int_equal(nexus_record_exec(r, tx, "INSERT INTO parent (name) VALUES (?1)",
					   &name, 1, &changed), 0);
	assert_int_equal(changed, 1);
	/* Numbers count, not the order in which they stand. */
	assert_int_equal(nexus_record_exec(r, tx,
		"INSERT INTO child (note, bytes, weight, parent) VALUES ($4, $3, $2, $1)",
		child, 4, NULL), 0);
	assert_int_equal(nexus_record_exec(r, tx, "UPDATE child SET weight = 1 WHERE parent = 77",
					   NULL, 0, &changed), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(nexus_record_exec(r, tx, "UPDATE child SET note = 'n'", NULL, 0, NULL), 0);
	assert_int_equal(nexus_record_exec(r, tx, "UPDATE child SET note = NULL", NULL, 0, NULL), 0);
	changed = 9;
	assert_int_equal(nexus_record_exec(r, tx, "SELECT 1", NULL, 0, &changed), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(nexus_record_query(r, tx,
		"SELECT p.id, c.weight, c.bytes, c.note, p.name FROM parent p "
		"JOIN child c ON c.parent = p.id", NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, &columns), 1);
	assert_int_equal(columns, 5);
	assert_int_equal(row[0].number, 1);
	assert_true(row[1].type == NEXUS_RECORD_REAL && row[1].real == 0.5);
	assert_int_equal(row[2].type, NEXUS_RECORD_BLOB);
	assert_int_equal(row[2].size, 3);
	assert_memory_equal(row[2].data, "a\0b", 4);
	assert_int_equal(row[3].type, NEXUS_RECORD_NULL);
	assert_string_equal(row[4].data, "\xc3\xa9");
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 0);
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_commit(r, tx), 0);
}

static void constraints(void **state)
{
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx;

	assert_int_equal(once(r, "INSERT INTO parent (name) VALUES ('a')", NULL, 0), 0);
	assert_int_equal(once(r, "INSERT INTO parent (name) VALUES ('a')", NULL, 0), -EEXIST);
	assert_int_equal(once(r, "INSERT INTO child (parent) VALUES (99)", NULL, 0), -EDOM);
	assert_int_equal(once(r, "INSERT INTO child (parent) VALUES (NULL)", NULL, 0), -EDOM);
	/* After an error there is nothing but the rollback, whatever commit is asked. */
	tx = begin(r, NEXUS_RECORD_WRITE);
	assert_int_equal(nexus_record_exec(r, tx, "INSERT INTO parent (name) VALUES ('b')",
					   NULL, 0, NULL), 0);
	assert_int_equal(nexus_record_exec(r, tx, "INSERT INTO parent (name) VALUES ('a')",
					   NULL, 0, NULL), -EEXIST);
	assert_int_equal(nexus_record_exec(r, tx, "INSERT INTO parent (name) VALUES ('c')",
					   NULL, 0, NULL), -ECANCELED);
	assert_int_equal(nexus_record_commit(r, tx), -ECANCELED);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM parent"), 1);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"COMMIT", "PRAGMA foreign_keys=OFF", "ATTACH 'x' AS y", "SELECT ?", "SELECT {nope}",
		"SELECT 'open", "SELECT 1 /* open", "SELECT 1; SELECT 2", "SELECT $1", "SELECT nope",
	};
	const struct nexus_record_value texts[] = {
		NEXUS_RECORD_T("a\0b", 3), NEXUS_RECORD_T("\xff", 1), NEXUS_RECORD_T("\xc3", 1),
		NEXUS_RECORD_T("\xed\xa0\x80", 3), NEXUS_RECORD_T("\xe0\x80\x80", 3),
		NEXUS_RECORD_T("\xf4\x90\x80\x80", 4),
	};
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(once(r, bad[i], NULL, 0), -EINVAL);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(once(r, "INSERT INTO parent (name) VALUES ($1)", &texts[i], 1),
				 -EINVAL);
	tx = begin(r, NEXUS_RECORD_READ);
	assert_int_equal(nexus_record_exec(r, tx, "DELETE FROM child", NULL, 0, NULL), -EROFS);
	nexus_record_rollback(r, tx);
	/* Words in quotes stay. */
	assert_int_equal(once(r, "INSERT INTO later (n) VALUES (1)", NULL, 0), 0);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM later WHERE s = '{id} ' || '$' || '1'"), 1);
}

/* Where the second of two writers finds out is the driver's matter; that it does is not. */
static void busy(void **state)
{
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_WRITE), *other = NULL;
	int ret;

	assert_int_equal(nexus_record_exec(r, tx, "INSERT INTO parent (name) VALUES ('a')",
					   NULL, 0, NULL), 0);
	ret = nexus_record_begin(r, NEXUS_RECORD_WRITE, &fault, &other);
	if (!ret) {
		ret = nexus_record_exec(r, other, "INSERT INTO parent (name) VALUES ('a')",
					NULL, 0, NULL);
		nexus_record_rollback(r, other);
	}
	assert_int_equal(ret, -EAGAIN);
	assert_int_equal(fault.error, -EAGAIN);
	assert_true(fault.text[0] != '\0');
	nexus_record_rollback(r, tx);
	assert_int_equal(once(r, "INSERT INTO parent (name) VALUES ('a')", NULL, 0), 0);
}

static void versions(void **state)
{
	static const char *const broken[] = { "CREATE TABLE half (n BIGINT)", "SELECT nope", NULL };
	const struct nexus_record_step three[] = { { 1, first }, { 2, second }, { 3, broken } };
	struct nexus_records *r = *state, *reader;

	assert_int_equal(nexus_record_migrate(r, "test", steps, 2, &fault), 0);
	assert_int_equal(nexus_record_migrate(r, "test", steps, 1, &fault), -EPROTO);
	assert_non_null(strstr(fault.text, "version 2"));
	assert_int_equal(nexus_record_migrate(r, "test", three, 3, &fault), -EINVAL);
	assert_int_equal(once(r, "SELECT n FROM half", NULL, 0), -EINVAL);
	assert_int_equal(number(r, "SELECT version FROM nexus_schema"), 2);

	reader = open_at(at, true);
	assert_int_equal(nexus_record_migrate(reader, "test", steps, 2, &fault), 0);
	assert_int_equal(nexus_record_migrate(reader, "test", three, 3, &fault), -ESTALE);
	assert_int_equal(nexus_record_migrate(reader, "test", steps, 1, &fault), -EPROTO);
	driver->close(reader);
}

static int add_one(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	(void)arg;
	return nexus_record_exec(r, tx, "INSERT INTO later (n) VALUES (1)", NULL, 0, NULL);
}

static void *adder(void *arg)
{
	struct nexus_record_fault mine;
	intptr_t done = 0;
	int i;

	for (i = 0; i < 20; i++)
		done += !nexus_records_run(arg, NEXUS_RECORD_WRITE, add_one, NULL, &mine);
	return (void *)done;
}

/* More threads than connections; what was said to be done is there. */
static void threads(void **state)
{
	pthread_t thread[5];
	int64_t done = 0;
	void *one;
	size_t i;

	for (i = 0; i < 5; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, adder, *state), 0);
	for (i = 0; i < 5; i++) {
		pthread_join(thread[i], &one);
		done += (intptr_t)one;
	}
	assert_true(done > 0);
	assert_int_equal(number(*state, "SELECT COUNT(*) FROM later"), done);
}

static void *beginner(void *arg)
{
	struct nexus_record_fault mine;
	struct nexus_record_tx *tx = NULL;

	if (!nexus_record_begin(arg, NEXUS_RECORD_READ, &mine, &tx))
		nexus_record_rollback(arg, tx);
	return tx;
}

/* With all connections lent, begin waits for one of them and makes no other. */
static void bounded(void **state)
{
	struct nexus_record_tx *tx[3];
	pthread_t thread[4];
	void *got;
	size_t i;

	for (i = 0; i < 3; i++)
		tx[i] = begin(*state, NEXUS_RECORD_READ);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, beginner, *state), 0);
	/* Only lets a begin that does not wait show itself; one that does is not hurried. */
	usleep(20000);
	for (i = 0; i < 3; i++)
		nexus_record_rollback(*state, tx[i]);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &got);
		assert_true(got == tx[0] || got == tx[1] || got == tx[2]);
	}
}

/* What a reader has read does not change before its end. */
static void snapshot(void **state)
{
	static const char *const count = "SELECT COUNT(*) FROM later";
	const struct nexus_record_value *row;
	struct nexus_records *r = *state;
	struct nexus_record_rows *rows;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_READ);
	int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(nexus_record_query(r, tx, count, NULL, 0, &rows), 0);
		assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
		assert_int_equal(row[0].number, 0);
		nexus_record_done(r, rows);
		assert_int_equal(once(r, "INSERT INTO later (n) VALUES (1)", NULL, 0), 0);
	}
	assert_int_equal(nexus_record_commit(r, tx), 0);
	assert_int_equal(number(r, count), 2);
}

/* Rows that are given back unread are in nobody's way. */
static void many_rows(void **state)
{
	static const char *const all = "WITH RECURSIVE c (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL "
		"SELECT n + 1 FROM c WHERE n < 3000) SELECT n, -n, CAST(n AS DOUBLE PRECISION) / 2 "
		"FROM c ORDER BY n";
	const struct nexus_record_value *row;
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_WRITE);
	struct nexus_record_rows *rows, *other;
	int64_t n;

	assert_int_equal(nexus_record_query(r, tx, all, NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_query(r, tx, all, NULL, 0, &rows), 0);
	for (n = 1; n <= 3000; n++) {
		assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
		assert_true(row[0].number == n && row[1].number == -n && row[2].real == (double)n / 2);
	}
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 0);
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_query(r, tx, all, NULL, 0, &rows), 0);
	/* But while they are open nothing else is run. */
	assert_int_equal(nexus_record_query(r, tx, all, NULL, 0, &other), -EINVAL);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), -ECANCELED);
	nexus_record_rollback(r, tx);
}

/* More statements than a connection keeps, and one with values of several types. */
static void statements(void **state)
{
	struct nexus_record_value values[] = {
		NEXUS_RECORD_R(2.5), NEXUS_RECORD_N(), NEXUS_RECORD_I(INT64_MIN), NEXUS_RECORD_I(7),
	};
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx;
	char sql[80];
	size_t i;

	tx = begin(r, NEXUS_RECORD_WRITE);
	assert_int_equal(nexus_record_exec(r, tx, "INSERT INTO parent (name) VALUES ('p')",
					   NULL, 0, NULL), 0);
	for (i = 0; i < 200; i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO later (n) VALUES (%zu + $1)", i % 90);
		assert_int_equal(nexus_record_exec(r, tx, sql, &values[3], 1, NULL), 0);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(nexus_record_exec(r, tx,
			"INSERT INTO child (parent, weight) VALUES (1, $1)", &values[i], 1, NULL), 0);
	assert_int_equal(nexus_record_commit(r, tx), 0);
	assert_int_equal(number(r, "SELECT CAST(SUM(n) AS BIGINT) FROM later"),
			 2 * 89 * 90 / 2 + 19 * 20 / 2 + 200 * 7);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM child WHERE weight IS NULL"), 1);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM child WHERE weight < 0"), 1);
}

/* Text is ordered by its bytes, numbers of rows are never given twice. */
static void order(void **state)
{
	static const char *const names[] = { "b", "B", "\xc3\xa9", "_", "a" };
	static const char *const sorted[] = { "B", "_", "a", "b", "\xc3\xa9" };
	const struct nexus_record_value *row;
	struct nexus_records *r = *state;
	struct nexus_record_value name;
	struct nexus_record_rows *rows;
	struct nexus_record_tx *tx;
	size_t i;

	for (i = 0; i < 5; i++) {
		name = (struct nexus_record_value)NEXUS_RECORD_T(names[i], strlen(names[i]));
		assert_int_equal(once(r, "INSERT INTO parent (name) VALUES ($1)", &name, 1), 0);
	}
	tx = begin(r, NEXUS_RECORD_READ);
	assert_int_equal(nexus_record_query(r, tx, "SELECT name FROM parent ORDER BY name",
					    NULL, 0, &rows), 0);
	for (i = 0; i < 5; i++) {
		assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
		assert_string_equal(row[0].data, sorted[i]);
	}
	nexus_record_done(r, rows);
	nexus_record_rollback(r, tx);
	assert_int_equal(once(r, "DELETE FROM parent WHERE id >= 4", NULL, 0), 0);
	tx = begin(r, NEXUS_RECORD_WRITE);
	assert_int_equal(nexus_record_query(r, tx,
		"INSERT INTO parent (name) VALUES ('last') RETURNING id", NULL, 0, &rows), 0);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 1);
	assert_int_equal(row[0].number, 6);
	assert_int_equal(nexus_record_next(r, rows, &row, NULL), 0);
	nexus_record_done(r, rows);
	assert_int_equal(nexus_record_commit(r, tx), 0);
}

/* What a store that is open for reading only refuses, however it is asked. */
static void read_only(void **state)
{
	struct nexus_records *reader = open_at(at, true);
	struct nexus_record_tx *tx = NULL;

	assert_int_equal(once(*state, "INSERT INTO later (n) VALUES (1)", NULL, 0), 0);
	assert_int_equal(number(reader, "SELECT COUNT(*) FROM later"), 1);
	assert_int_equal(nexus_record_begin(reader, NEXUS_RECORD_WRITE, &fault, &tx), -EROFS);
	tx = begin(reader, NEXUS_RECORD_READ);
	assert_int_equal(nexus_record_exec(reader, tx, "WITH x (n) AS (SELECT 1) DELETE FROM later",
					   NULL, 0, NULL), -EROFS);
	nexus_record_rollback(reader, tx);
	driver->close(reader);
	assert_int_equal(number(*state, "SELECT COUNT(*) FROM later"), 1);
}

/* Reads, then writes what follows from it: only right when nobody comes between. */
static int count_up(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct nexus_record_value next = NEXUS_RECORD_I(0);
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int ret;

	(void)arg;
	ret = nexus_record_query(r, tx, "SELECT n FROM later", NULL, 0, &rows);
	if (ret)
		return ret;
	ret = nexus_record_next(r, rows, &row, NULL);
	if (ret == 1)
		next.number = row[0].number + 1;
	nexus_record_done(r, rows);
	if (ret < 0)
		return ret;
	return nexus_record_exec(r, tx, "UPDATE later SET n = $1", &next, 1, NULL);
}

static void *counter(void *arg)
{
	struct nexus_record_fault mine;
	intptr_t done = 0;
	int i, ret;

	for (i = 0; i < 20; i++) {
		do {
			ret = nexus_records_run(arg, NEXUS_RECORD_WRITE, count_up, NULL, &mine);
		} while (ret == -EAGAIN);
		done += !ret;
	}
	return (void *)done;
}

static void serializable(void **state)
{
	pthread_t thread[4];
	int64_t done = 0;
	void *one;
	size_t i;

	assert_int_equal(once(*state, "INSERT INTO later (n) VALUES (0)", NULL, 0), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, counter, *state), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &one);
		done += (intptr_t)one;
	}
	assert_int_equal(done, 80);
	assert_int_equal(number(*state, "SELECT n FROM later"), 80);
}

static void *migrator(void *arg)
{
	struct nexus_records *r = open_at(at, false);
	struct nexus_record_fault mine;
	intptr_t ret;

	(void)arg;
	/* Patience is for the caller: there are several that want to be first. */
	do {
		ret = nexus_record_migrate(r, "both", both, 2, &mine);
	} while (ret == -EAGAIN);
	if (ret)
		print_error("%s\n", mine.text);
	driver->close(r);
	return (void *)ret;
}

#define MIGRATORS	12

/* Several helpers that begin at once, on a store where there is nothing yet. */
static void migrations(void **state)
{
	pthread_t thread[MIGRATORS];
	void *ret;
	size_t i;

	assert_int_equal(once(*state, "DROP TABLE nexus_schema", NULL, 0), 0);
	for (i = 0; i < MIGRATORS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, migrator, NULL), 0);
	for (i = 0; i < MIGRATORS; i++) {
		pthread_join(thread[i], &ret);
		assert_null(ret);
	}
	assert_int_equal(number(*state, "SELECT version FROM nexus_schema WHERE service = 'both'"), 2);
	assert_int_equal(number(*state, "SELECT COUNT(*) FROM both_a"), 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, record_setup, record_teardown)
	const struct CMUnitTest tests[] = {
		T(types),
		T(constraints),
		T(refused),
		T(busy),
		T(snapshot),
		T(many_rows),
		T(statements),
		T(order),
		T(read_only),
		T(versions),
		T(threads),
		T(serializable),
		T(migrations),
		T(bounded),
	};
	void *object = dlopen(NEXUS_TEST_DRIVER, RTLD_NOW | RTLD_LOCAL);
	int failed = 1;

	driver = object ? dlsym(object, NEXUS_RECORD_DRIVER_SYMBOL) : NULL;
	if (!driver || driver->abi != NEXUS_RECORD_DRIVER_ABI) {
		fprintf(stderr, "%s: not loaded\n", NEXUS_TEST_DRIVER);
		return 1;
	}
	if (!world_begin()) {
		failed = cmocka_run_group_tests(tests, NULL, NULL);
		failed += world_own_tests();
	}
	world_end();
	return failed != 0;
}
