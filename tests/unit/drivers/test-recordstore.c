// SPDX-License-Identifier: Apache-2.0
/* What include/nexus/recordstore.h promises, on the driver's loaded object. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/recordstore.h>

static const struct nexus_record_driver *driver;
static char folder[64], path[96];
static struct nexus_record_fault fault;

static struct nexus_records *open_store(bool read_only)
{
	const struct nexus_record_options options = { path, read_only, 3, 20 };
	struct nexus_records *records = NULL;

	assert_int_equal(driver->open(&options, &fault, &records), 0);
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

static int setup(void **state)
{
	strcpy(folder, "/tmp/records.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/r.db", folder);
	*state = open_store(false);
	assert_int_equal(nexus_record_migrate(*state, "test", steps, 2, &fault), 0);
	return 0;
}

static int teardown(void **state)
{
	driver->close(*state);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static struct nexus_record_tx *begin(struct nexus_records *r, enum nexus_record_mode mode)
{
	struct nexus_record_tx *tx = NULL;

	assert_int_equal(nexus_record_begin(r, mode, &fault, &tx), 0);
	return tx;
}

/* One statement in a transaction of its own. */
static int once(struct nexus_records *r, const char *sql,
		const struct nexus_record_value *params, size_t count)
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

static int64_t number(struct nexus_records *r, const char *sql)
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

static void busy(void **state)
{
	struct nexus_records *r = *state;
	struct nexus_record_tx *tx = begin(r, NEXUS_RECORD_WRITE), *other;

	assert_int_equal(nexus_record_begin(r, NEXUS_RECORD_WRITE, &fault, &other), -EAGAIN);
	assert_int_equal(fault.error, -EAGAIN);
	nexus_record_rollback(r, tx);
	tx = begin(r, NEXUS_RECORD_WRITE);
	nexus_record_rollback(r, tx);
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

	reader = open_store(true);
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

static void cannot_open(void **state)
{
	const struct nexus_record_options nowhere = { "/nonexistent/r.db", false, 1, 0 };
	struct nexus_record_options damaged = { NULL, false, 1, 0 };
	struct nexus_records *records;
	char junk[112];
	int fd;

	(void)state;
	assert_int_equal(driver->open(&nowhere, &fault, &records), -ENOTCONN);
	snprintf(junk, sizeof(junk), "%s/junk", folder);
	fd = open(junk, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(pwrite(fd, "this is no database", 19, 0), 19);
	close(fd);
	damaged.at = junk;
	assert_int_equal(driver->open(&damaged, &fault, &records), -EUCLEAN);
	assert_int_equal(unlink(junk), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(types, setup, teardown),
		cmocka_unit_test_setup_teardown(constraints, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(busy, setup, teardown),
		cmocka_unit_test_setup_teardown(versions, setup, teardown),
		cmocka_unit_test_setup_teardown(threads, setup, teardown),
		cmocka_unit_test_setup_teardown(bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(cannot_open, setup, teardown),
	};
	void *object = dlopen(NEXUS_TEST_DRIVER, RTLD_NOW | RTLD_LOCAL);

	driver = object ? dlsym(object, NEXUS_RECORD_DRIVER_SYMBOL) : NULL;
	if (!driver || driver->abi != NEXUS_RECORD_DRIVER_ABI) {
		fprintf(stderr, "%s: not loaded\n", NEXUS_TEST_DRIVER);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
