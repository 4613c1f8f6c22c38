// SPDX-License-Identifier: Apache-2.0
/*
 * Record store in one SQLite file with a write-ahead log.
 *
 * Each transaction has a connection of the pool to itself.  A writer begins
 * with the write lock, so that it cannot fail half way for another's.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/recordstore/common.h"
#include "drivers/recordstore/pool.h"
#include "lib/port.h"

#define LITE_STATEMENTS	64	/* kept prepared, of a connection */

struct lite_statement {
	char *sql;		/* as the service wrote it */
	sqlite3_stmt *stmt;
	u64 used;
};

struct nexus_record_rows {
	struct nexus_record_tx *tx;
	sqlite3_stmt *stmt;	/* NULL: none are open */
	struct nexus_record_value row[NEXUS_RECORD_COLUMNS_MAX];
};

struct nexus_record_tx {
	struct lite_conn *conn;
	struct nexus_record_fault *fault;
	enum nexus_record_mode mode;
	bool failed;
};

struct lite_conn {
	struct record_link link;
	struct lite_store *store;
	sqlite3 *db;
	u64 clock;
	struct lite_statement statements[LITE_STATEMENTS];
	struct nexus_record_tx tx;
	struct nexus_record_rows rows;
};

struct lite_store {
	struct nexus_records base;
	char *path;
	u32 busy_ms;
	struct record_pool pool;
};

static const struct record_dialect lite_dialect = {
	.parameter = '?',
	.id = "INTEGER PRIMARY KEY AUTOINCREMENT",
	.blob = "BLOB",
	.real = "REAL",
	.text = "TEXT",
	.forupdate = "",
};

static int lite_errno(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	default:
		break;
	}
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_CONSTRAINT:
		return -EDOM;
	case SQLITE_CANTOPEN:
		return -ENOTCONN;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_RANGE:
	case SQLITE_TOOBIG:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int lite_fail(sqlite3 *db, struct nexus_record_fault *fault)
{
	return record_fail(fault, lite_errno(sqlite3_extended_errcode(db)), sqlite3_errmsg(db));
}

static void conn_close(struct lite_conn *conn)
{
	size_t i;

	for (i = 0; i < LITE_STATEMENTS; i++) {
		sqlite3_finalize(conn->statements[i].stmt);
		free(conn->statements[i].sql);
	}
	sqlite3_close(conn->db);
	free(conn);
}

static int conn_open(struct lite_store *store, struct nexus_record_fault *fault,
		     struct lite_conn **result)
{
	int flags = store->base.read_only ? SQLITE_OPEN_READONLY :
					    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	const char *settings = store->base.read_only ?
		"PRAGMA foreign_keys=ON; SELECT count(*) FROM sqlite_master" :
		"PRAGMA foreign_keys=ON; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL";
	struct lite_conn *conn = calloc(1, sizeof(*conn));
	int ret;

	if (!conn)
		return record_fail(fault, -ENOMEM, "no memory");
	conn->store = store;
	if (sqlite3_open_v2(store->path, &conn->db, flags | SQLITE_OPEN_NOMUTEX, NULL))
		goto fail;
	sqlite3_busy_timeout(conn->db, (int)store->busy_ms);
	if (sqlite3_exec(conn->db, settings, NULL, NULL, NULL))
		goto fail;
	*result = conn;
	return 0;
fail:
	ret = conn->db ? lite_fail(conn->db, fault) : record_fail(fault, -ENOMEM, "no memory");
	conn_close(conn);
	return ret;
}

static struct lite_store *to_store(struct nexus_records *records)
{
	return NEXUS_CONTAINER(records, struct lite_store, base);
}

static void conn_return(struct lite_conn *conn)
{
	record_pool_give(&conn->store->pool, &conn->link);
}

static int conn_take(struct lite_store *store, struct nexus_record_fault *fault,
		     struct lite_conn **conn)
{
	struct record_link *link = record_pool_take(&store->pool);
	int ret;

	if (link) {
		*conn = NEXUS_CONTAINER(link, struct lite_conn, link);
		return 0;
	}
	ret = conn_open(store, fault, conn);
	if (ret)
		record_pool_gone(&store->pool);
	return ret;
}

static int lite_begin(struct nexus_records *records, enum nexus_record_mode mode,
		      struct nexus_record_fault *fault, struct nexus_record_tx **tx)
{
	struct lite_conn *conn;
	int ret;

	if (mode == NEXUS_RECORD_WRITE && records->read_only)
		return record_fail(fault, -EROFS, "the store is open for reading only");
	ret = conn_take(to_store(records), fault, &conn);
	if (ret)
		return ret;
	if (sqlite3_exec(conn->db, mode == NEXUS_RECORD_WRITE ? "BEGIN IMMEDIATE" : "BEGIN",
			 NULL, NULL, NULL)) {
		ret = lite_fail(conn->db, fault);
		conn_return(conn);
		return ret;
	}
	conn->tx = (struct nexus_record_tx){ .conn = conn, .fault = fault, .mode = mode };
	*tx = &conn->tx;
	return 0;
}

/* The statement, prepared; the one that was longest not used makes place for it */
static int prepare(struct nexus_record_tx *tx, const char *sql, sqlite3_stmt **stmt)
{
	struct lite_conn *conn = tx->conn;
	struct lite_statement *place = &conn->statements[0], *s;
	char text[NEXUS_RECORD_SQL_MAX];
	char *copy;
	int ret;

	for (s = conn->statements; s < conn->statements + LITE_STATEMENTS; s++) {
		if (s->sql && !strcmp(s->sql, sql)) {
			s->used = ++conn->clock;
			*stmt = s->stmt;
			return 0;
		}
		if (s->used < place->used)
			place = s;
	}
	ret = record_translate(&lite_dialect, sql, text, tx->fault);
	if (ret)
		return ret;
	if (sqlite3_prepare_v3(conn->db, text, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL))
		return lite_fail(conn->db, tx->fault);
	copy = strdup(sql);
	if (!copy) {
		sqlite3_finalize(*stmt);
		return record_fail(tx->fault, -ENOMEM, "no memory");
	}
	sqlite3_finalize(place->stmt);
	free(place->sql);
	*place = (struct lite_statement){ copy, *stmt, ++conn->clock };
	return 0;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct nexus_record_value *v)
{
	switch (v->type) {
	case NEXUS_RECORD_INT:
		return sqlite3_bind_int64(stmt, at, v->number);
	case NEXUS_RECORD_REAL:
		return sqlite3_bind_double(stmt, at, v->real);
	case NEXUS_RECORD_TEXT:
		return sqlite3_bind_text64(stmt, at, v->data, v->size, SQLITE_STATIC, SQLITE_UTF8);
	case NEXUS_RECORD_BLOB:
		return sqlite3_bind_blob64(stmt, at, v->data, v->size, SQLITE_STATIC);
	case NEXUS_RECORD_NULL:
	default:
		return sqlite3_bind_null(stmt, at);
	}
}

static void release(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

static int start(struct nexus_record_tx *tx, const char *sql,
		 const struct nexus_record_value *params, size_t count, sqlite3_stmt **stmt)
{
	size_t i;
	int ret;

	if (tx->failed)
		return record_fail(tx->fault, -ECANCELED, "an earlier statement failed");
	tx->failed = true;
	if (tx->conn->rows.stmt)
		return record_fail(tx->fault, -EINVAL, "rows of the transaction are open");
	ret = record_check_params(params, count, tx->fault);
	if (ret)
		return ret;
	ret = prepare(tx, sql, stmt);
	if (ret)
		return ret;
	if (tx->mode == NEXUS_RECORD_READ && !sqlite3_stmt_readonly(*stmt))
		return record_fail(tx->fault, -EROFS, "a change in a reading transaction");
	if ((size_t)sqlite3_bind_parameter_count(*stmt) != count)
		return record_fail(tx->fault, -EINVAL, "not as many parameters as it has");
	if (sqlite3_column_count(*stmt) > NEXUS_RECORD_COLUMNS_MAX)
		return record_fail(tx->fault, -EINVAL, "too many columns");
	for (i = 0; i < count; i++) {
		if (bind_one(*stmt, (int)i + 1, &params[i])) {
			ret = lite_fail(tx->conn->db, tx->fault);
			release(*stmt);
			return ret;
		}
	}
	tx->failed = false;
	return 0;
}

static int lite_exec(struct nexus_record_tx *tx, const char *sql,
		     const struct nexus_record_value *params, size_t count, uint64_t *changed)
{
	sqlite3_stmt *stmt = NULL;
	int ret, code;
	s64 before;

	ret = start(tx, sql, params, count, &stmt);
	if (ret)
		return ret;
	before = sqlite3_total_changes64(tx->conn->db);
	do {
		code = sqlite3_step(stmt);
	} while (code == SQLITE_ROW);
	if (code != SQLITE_DONE) {
		tx->failed = true;
		ret = lite_fail(tx->conn->db, tx->fault);
	} else if (changed) {
		/* What the last INSERT, UPDATE or DELETE changed, when this was one. */
		*changed = sqlite3_total_changes64(tx->conn->db) == before ?
			0 : (uint64_t)sqlite3_changes64(tx->conn->db);
	}
	release(stmt);
	return ret;
}

static int lite_query(struct nexus_record_tx *tx, const char *sql,
		      const struct nexus_record_value *params, size_t count,
		      struct nexus_record_rows **rows)
{
	sqlite3_stmt *stmt = NULL;
	int ret;

	ret = start(tx, sql, params, count, &stmt);
	if (ret)
		return ret;
	tx->conn->rows.tx = tx;
	tx->conn->rows.stmt = stmt;
	*rows = &tx->conn->rows;
	return 0;
}

static int get_column(sqlite3_stmt *stmt, int at, struct nexus_record_value *v)
{
	*v = (struct nexus_record_value){ .type = NEXUS_RECORD_NULL };
	switch (sqlite3_column_type(stmt, at)) {
	case SQLITE_INTEGER:
		v->type = NEXUS_RECORD_INT;
		v->number = sqlite3_column_int64(stmt, at);
		return 0;
	case SQLITE_FLOAT:
		v->type = NEXUS_RECORD_REAL;
		v->real = sqlite3_column_double(stmt, at);
		return 0;
	case SQLITE_TEXT:
		v->type = NEXUS_RECORD_TEXT;
		v->data = sqlite3_column_text(stmt, at);
		break;
	case SQLITE_BLOB:
		/* As a text it is ended by a NUL; the bytes are the same. */
		v->type = NEXUS_RECORD_BLOB;
		v->data = sqlite3_column_text(stmt, at);
		break;
	default:
		return 0;
	}
	v->size = (size_t)sqlite3_column_bytes(stmt, at);
	return v->data ? 0 : -ENOMEM;
}

static int lite_next(struct nexus_record_rows *rows, const struct nexus_record_value **row,
		     size_t *columns)
{
	struct nexus_record_tx *tx = rows->tx;
	int i, count, code;

	if (tx->failed)
		return record_fail(tx->fault, -ECANCELED, "an earlier statement failed");
	code = sqlite3_step(rows->stmt);
	if (code == SQLITE_DONE)
		return 0;
	if (code != SQLITE_ROW) {
		tx->failed = true;
		return lite_fail(tx->conn->db, tx->fault);
	}
	count = sqlite3_data_count(rows->stmt);
	for (i = 0; i < count; i++) {
		if (get_column(rows->stmt, i, &rows->row[i])) {
			tx->failed = true;
			return record_fail(tx->fault, -ENOMEM, "no memory");
		}
	}
	*row = rows->row;
	if (columns)
		*columns = (size_t)count;
	return 1;
}

static void lite_done(struct nexus_record_rows *rows)
{
	release(rows->stmt);
	rows->stmt = NULL;
}

static void lite_rollback(struct nexus_record_tx *tx)
{
	struct lite_conn *conn = tx->conn;

	if (conn->rows.stmt)
		lite_done(&conn->rows);
	/* SQLite has done it itself after some errors, and then refuses. */
	if (!sqlite3_get_autocommit(conn->db))
		sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
	conn_return(conn);
}

static int lite_commit(struct nexus_record_tx *tx)
{
	struct lite_conn *conn = tx->conn;
	int ret = 0;

	if (conn->rows.stmt)
		lite_done(&conn->rows);
	if (tx->failed)
		ret = record_fail(tx->fault, -ECANCELED, "an earlier statement failed");
	else if (sqlite3_exec(conn->db, "COMMIT", NULL, NULL, NULL))
		ret = lite_fail(conn->db, tx->fault);
	if (ret)
		lite_rollback(tx);
	else
		conn_return(conn);
	return ret;
}

static const struct nexus_record_ops lite_ops = {
	.begin = lite_begin,
	.exec = lite_exec,
	.query = lite_query,
	.next = lite_next,
	.done = lite_done,
	.commit = lite_commit,
	.rollback = lite_rollback,
	.migrate = record_migrate,
	.run = record_run,
};

static void lite_close(struct nexus_records *records)
{
	struct lite_store *store = to_store(records);
	struct record_link *link;

	while ((link = record_pool_idle(&store->pool)))
		conn_close(NEXUS_CONTAINER(link, struct lite_conn, link));
	record_pool_destroy(&store->pool);
	free(store->path);
	free(store);
}

static int lite_open(const struct nexus_record_options *options,
		     struct nexus_record_fault *fault, struct nexus_records **records)
{
	struct lite_store *store = calloc(1, sizeof(*store));
	struct lite_conn *conn;
	int ret;

	if (!store)
		return record_fail(fault, -ENOMEM, "no memory");
	record_pool_init(&store->pool, options->connections);
	store->base.ops = &lite_ops;
	store->base.read_only = options->read_only;
	store->busy_ms = options->busy_ms;
	store->path = strdup(options->at);
	ret = store->path ? conn_take(store, fault, &conn) :
			    record_fail(fault, -ENOMEM, "no memory");
	if (ret) {
		lite_close(&store->base);
		return ret;
	}
	conn_return(conn);
	*records = &store->base;
	return 0;
}

__attribute__((visibility("default")))
extern const struct nexus_record_driver nexus_record_driver;

const struct nexus_record_driver nexus_record_driver = {
	.abi = NEXUS_RECORD_DRIVER_ABI,
	.name = "sqlite",
	.open = lite_open,
	.close = lite_close,
};
