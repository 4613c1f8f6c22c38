// SPDX-License-Identifier: Apache-2.0
/*
 * Record store on a PostgreSQL server, by libpq.
 *
 * Each transaction has a connection of the pool to itself.  Values travel in
 * binary form; a statement is prepared for the types of its parameters, so that
 * they are those of the values and not what the server would guess.
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/recordstore/pg_link.h"
#include "drivers/recordstore/pg_value.h"
#include "drivers/recordstore/pool.h"
#include "lib/port.h"

#define PG_STATEMENTS	64		/* kept prepared, of a connection */
struct pg_statement {
	char *sql;		/* as the service wrote it; NULL: none */
	Oid types[NEXUS_RECORD_PARAMS_MAX];
	size_t count;
	u64 used;
};

struct nexus_record_rows {
	struct nexus_record_tx *tx;	/* NULL: none are open */
	PGresult *result;		/* the row that was read last, or NULL */
	bool ended;			/* there is nothing more to come */
	struct nexus_record_value row[NEXUS_RECORD_COLUMNS_MAX];
};

struct nexus_record_tx {
	struct pg_conn *conn;
	struct nexus_record_fault *fault;
	bool failed;
	int untold;		/* an error that came when nobody asked */
};

struct pg_conn {
	struct record_link link;
	struct pg_store *store;
	PGconn *pg;
	bool lost;		/* nothing is sent on it any more */
	u64 clock;
	struct pg_statement statements[PG_STATEMENTS];
	struct nexus_record_tx tx;
	struct nexus_record_rows rows;
};

struct pg_store {
	struct nexus_records base;
	struct nexus_record_options options;	/* with a copy of the string */
	struct record_pool pool;
};

static const struct record_dialect pg_dialect = {
	.parameter = '$',
	.id = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
	.blob = "BYTEA",
	.real = "DOUBLE PRECISION",
	.text = "TEXT COLLATE \"C\"",
	.forupdate = "FOR UPDATE",
};

static struct pg_store *to_store(struct nexus_records *records)
{
	return NEXUS_CONTAINER(records, struct pg_store, base);
}

/* ---- connections ------------------------------------------------------------------- */

static void conn_close(struct pg_conn *conn)
{
	size_t i;

	for (i = 0; i < PG_STATEMENTS; i++)
		free(conn->statements[i].sql);
	PQfinish(conn->pg);
	free(conn);
}

static int conn_open(struct pg_store *store, struct nexus_record_fault *fault,
		     struct pg_conn **result)
{
	struct pg_conn *conn = calloc(1, sizeof(*conn));
	int ret;

	if (!conn)
		return record_fail(fault, -ENOMEM, "no memory");
	conn->store = store;
	ret = pg_connect(&store->options, fault, &conn->pg);
	if (ret)
		conn_close(conn);
	else
		*result = conn;
	return ret;
}

static void conn_return(struct pg_conn *conn)
{
	struct pg_store *store = conn->store;

	if (conn->lost || pg_lost(conn->pg)) {
		conn_close(conn);
		record_pool_gone(&store->pool);
	} else {
		record_pool_give(&store->pool, &conn->link);
	}
}

static int conn_take(struct pg_store *store, struct nexus_record_fault *fault,
		     struct pg_conn **conn, bool *fresh)
{
	struct record_link *link = record_pool_take(&store->pool);
	int ret;

	*fresh = !link;
	if (link) {
		*conn = NEXUS_CONTAINER(link, struct pg_conn, link);
		return 0;
	}
	ret = conn_open(store, fault, conn);
	if (ret)
		record_pool_gone(&store->pool);
	return ret;
}

/* ---- transactions ---------------------------------------------------------------------- */

static int pg_begin(struct nexus_records *records, enum nexus_record_mode mode,
		    struct nexus_record_fault *fault, struct nexus_record_tx **tx)
{
	const char *sql = mode == NEXUS_RECORD_WRITE ?
		"BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE" :
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
	struct pg_store *store = to_store(records);
	struct pg_conn *conn;
	bool fresh, again;
	int ret;

	if (mode == NEXUS_RECORD_WRITE && records->read_only)
		return record_fail(fault, -EROFS, "the store is open for reading only");
	do {
		ret = conn_take(store, fault, &conn, &fresh);
		if (ret)
			return ret;
		ret = pg_command(conn->pg, sql, store->options.reply_ms, fault, NULL);
		/*
		 * One that the server closed while it was idle, as when it was started
		 * anew: nothing was done on it, so another will do.
		 */
		again = ret == -ENOTCONN && !fresh;
		if (ret) {
			conn->lost = true;
			conn_return(conn);
		}
	} while (again);
	if (ret)
		return ret == -ETIMEDOUT ? -ENOTCONN : ret;
	conn->tx = (struct nexus_record_tx){ .conn = conn, .fault = fault };
	*tx = &conn->tx;
	return 0;
}

/* Notes that something failed, and what becomes of the connection. */
static int tx_fail(struct nexus_record_tx *tx, int error)
{
	tx->failed = true;
	switch (error) {
	case -ETIMEDOUT:
		error = -ENOTCONN;
		tx->conn->lost = true;
		break;
	case -ESTALE:		/* with the connection go its statements */
		error = -EAGAIN;
		tx->conn->lost = true;
		break;
	case -ENOTCONN:
		tx->conn->lost = true;
		break;
	default:
		break;
	}
	tx->fault->error = error;
	return error;
}

static int refuse(struct nexus_record_tx *tx, int error, const char *words)
{
	tx->failed = true;
	return record_fail(tx->fault, error, words);
}

/* ---- statements ------------------------------------------------------------------------ */

static void statement_name(char name[24], const struct pg_conn *conn, const struct pg_statement *s)
{
	snprintf(name, 24, "nexus_%u", (unsigned int)(s - conn->statements));
}

static struct pg_statement *find_statement(struct pg_conn *conn, const char *sql,
					   const Oid *types, size_t count,
					   struct pg_statement **place)
{
	struct pg_statement *s;

	*place = conn->statements;
	for (s = conn->statements; s < conn->statements + PG_STATEMENTS; s++) {
		if (s->sql && s->count == count && !strcmp(s->sql, sql) &&
		    !memcmp(s->types, types, count * sizeof(*types)))
			return s;
		if (s->used < (*place)->used)
			*place = s;
	}
	return NULL;
}

/* The statement, prepared; the one that was longest not used makes place for it */
static int prepare(struct nexus_record_tx *tx, const char *sql, const Oid *types, size_t count,
		   char name[24])
{
	struct pg_conn *conn = tx->conn;
	struct pg_statement *place, *s = find_statement(conn, sql, types, count, &place);
	char text[NEXUS_RECORD_SQL_MAX], drop[48];
	int ret;

	statement_name(name, conn, s ? s : place);
	if (s) {
		s->used = ++conn->clock;
		return 0;
	}
	ret = record_translate(&pg_dialect, sql, text, tx->fault);
	if (ret)
		return ret;
	if (place->sql) {
		snprintf(drop, sizeof(drop), "DEALLOCATE %s", name);
		ret = pg_command(conn->pg, drop, conn->store->options.reply_ms, tx->fault, NULL);
		if (ret)
			return ret;
		free(place->sql);
		*place = (struct pg_statement){ .sql = NULL };
	}
	ret = pg_sent(conn->pg, PQsendPrepare(conn->pg, name, text, (int)count, types), tx->fault);
	if (!ret)
		ret = pg_finish(conn->pg, conn->store->options.reply_ms, tx->fault, NULL);
	if (ret)
		return ret;
	place->sql = strdup(sql);
	if (!place->sql) {
		/* The server has one of this name, and we do not know of it. */
		conn->lost = true;
		return record_fail(tx->fault, -ENOMEM, "no memory");
	}
	memcpy(place->types, types, count * sizeof(*types));
	place->count = count;
	place->used = ++conn->clock;
	return 0;
}

/* Sends it; what comes back is the caller's to read. */
static int start(struct nexus_record_tx *tx, const char *sql,
		 const struct nexus_record_value *params, size_t count)
{
	struct pg_conn *conn = tx->conn;
	struct pg_params p;
	char name[24];
	size_t i;
	int ret;

	if (tx->failed)
		return refuse(tx, -ECANCELED, "an earlier statement failed");
	if (conn->rows.tx)
		return refuse(tx, -EINVAL, "rows of the transaction are open");
	ret = record_check_params(params, count, tx->fault);
	if (ret)
		return tx_fail(tx, ret);
	for (i = 0; i < count; i++)
		if (!pg_put(&p, i, &params[i]))
			return refuse(tx, -EINVAL, "a parameter is too long");
	ret = prepare(tx, sql, p.types, count, name);
	if (!ret)
		ret = pg_sent(conn->pg, PQsendQueryPrepared(conn->pg, name, (int)count, p.values,
							    p.lengths, p.formats, 1), tx->fault);
	return ret ? tx_fail(tx, ret) : 0;
}

static int pg_exec(struct nexus_record_tx *tx, const char *sql,
		   const struct nexus_record_value *params, size_t count, uint64_t *changed)
{
	struct pg_conn *conn = tx->conn;
	PGresult *last = NULL;
	int ret;

	ret = start(tx, sql, params, count);
	if (ret)
		return ret;
	ret = pg_finish(conn->pg, conn->store->options.reply_ms, tx->fault, &last);
	if (ret)
		return tx_fail(tx, ret);
	/* A SELECT has a count as well, of its rows. */
	if (changed)
		*changed = !last || !strncmp(PQcmdStatus(last), "SELECT", 6) ? 0 :
			strtoull(PQcmdTuples(last), NULL, 10);
	PQclear(last);
	return 0;
}

static int pg_query(struct nexus_record_tx *tx, const char *sql,
		    const struct nexus_record_value *params, size_t count,
		    struct nexus_record_rows **out)
{
	struct nexus_record_rows *rows = &tx->conn->rows;
	int ret;

	ret = start(tx, sql, params, count);
	if (ret)
		return ret;
	/* However many there are, only one is in memory. */
	PQsetSingleRowMode(tx->conn->pg);
	rows->tx = tx;
	rows->result = NULL;
	rows->ended = false;
	*out = rows;
	return 0;
}

/* ---- rows -------------------------------------------------------------------------------- */

/* Reads what is left, so that the connection is free for another statement. */
static int drain(struct nexus_record_rows *rows)
{
	struct nexus_record_tx *tx = rows->tx;
	int ret = 0;

	PQclear(rows->result);
	rows->result = NULL;
	if (!rows->ended && !tx->conn->lost)
		ret = pg_finish(tx->conn->pg, tx->conn->store->options.reply_ms, tx->fault, NULL);
	rows->ended = true;
	return ret;
}

static int end_rows(struct nexus_record_rows *rows, int error, const char *words)
{
	struct nexus_record_tx *tx = rows->tx;
	struct nexus_record_fault first = *tx->fault;

	tx_fail(tx, error);
	drain(rows);
	if (words)
		return record_fail(tx->fault, error, words);
	*tx->fault = first;
	return tx_fail(tx, error);
}

static int pg_next_row(struct nexus_record_rows *rows, const struct nexus_record_value **row,
		       size_t *columns)
{
	struct nexus_record_tx *tx = rows->tx;
	int i, count, ret;

	if (tx->failed)
		return record_fail(tx->fault, -ECANCELED, "an earlier statement failed");
	if (rows->ended)
		return 0;
	PQclear(rows->result);
	ret = pg_next(tx->conn->pg, tx->conn->store->options.reply_ms, tx->fault, &rows->result);
	if (ret)
		return end_rows(rows, ret, NULL);
	if (!rows->result || PQresultStatus(rows->result) != PGRES_SINGLE_TUPLE) {
		ret = drain(rows);
		return ret ? tx_fail(tx, ret) : 0;
	}
	count = PQnfields(rows->result);
	if (count > NEXUS_RECORD_COLUMNS_MAX)
		return end_rows(rows, -EINVAL, "too many columns");
	for (i = 0; i < count; i++)
		if (pg_get(rows->result, i, &rows->row[i]))
			return end_rows(rows, -EINVAL,
					"a column is of no type that services have; CAST it");
	*row = rows->row;
	if (columns)
		*columns = (size_t)count;
	return 1;
}

static void pg_done(struct nexus_record_rows *rows)
{
	struct nexus_record_tx *tx = rows->tx;
	bool failed = tx->failed;
	int ret = drain(rows);

	/* The commit will say it: nobody else is asked. */
	if (ret && !failed)
		tx->untold = tx_fail(tx, ret);
	rows->tx = NULL;
}

/* ---- the end of a transaction ------------------------------------------------------------- */

static void pg_rollback(struct nexus_record_tx *tx)
{
	struct nexus_record_fault ignored;
	struct pg_conn *conn = tx->conn;

	if (conn->rows.tx)
		pg_done(&conn->rows);
	if (!conn->lost && !pg_lost(conn->pg) &&
	    pg_command(conn->pg, "ROLLBACK", conn->store->options.reply_ms, &ignored, NULL))
		conn->lost = true;
	conn_return(conn);
}

static int pg_commit(struct nexus_record_tx *tx)
{
	struct pg_conn *conn = tx->conn;
	char status[16];
	int ret;

	if (conn->rows.tx)
		pg_done(&conn->rows);
	if (tx->failed) {
		/* Its words are there still. */
		ret = tx->untold ? tx->untold :
			record_fail(tx->fault, -ECANCELED, "an earlier statement failed");
		pg_rollback(tx);
		return ret;
	}
	ret = pg_command(conn->pg, "COMMIT", conn->store->options.reply_ms, tx->fault, status);
	if (ret)
		ret = tx_fail(tx, ret);
	else if (strcmp(status, "COMMIT"))
		ret = record_fail(tx->fault, -ECANCELED, "the server has rolled it back");
	conn_return(conn);
	return ret;
}

static const struct nexus_record_ops pg_ops = {
	.begin = pg_begin,
	.exec = pg_exec,
	.query = pg_query,
	.next = pg_next_row,
	.done = pg_done,
	.commit = pg_commit,
	.rollback = pg_rollback,
	.migrate = record_migrate,
	.run = record_run,
};

/* ---- the store -------------------------------------------------------------------------------- */

static void pg_close(struct nexus_records *records)
{
	struct pg_store *store = to_store(records);
	struct record_link *link;

	while ((link = record_pool_idle(&store->pool)))
		conn_close(NEXUS_CONTAINER(link, struct pg_conn, link));
	record_pool_destroy(&store->pool);
	free((char *)store->options.at);
	free(store);
}

static int pg_open(const struct nexus_record_options *options,
		   struct nexus_record_fault *fault, struct nexus_records **records)
{
	struct pg_store *store = calloc(1, sizeof(*store));
	struct pg_conn *conn;
	bool fresh;
	int ret;

	if (!store)
		return record_fail(fault, -ENOMEM, "no memory");
	record_pool_init(&store->pool, options->connections);
	store->base.ops = &pg_ops;
	store->base.read_only = options->read_only;
	store->options = *options;
	store->options.at = strdup(options->at);
	ret = store->options.at ? conn_take(store, fault, &conn, &fresh) :
			  record_fail(fault, -ENOMEM, "no memory");
	if (ret) {
		pg_close(&store->base);
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
	.name = "postgres",
	.open = pg_open,
	.close = pg_close,
};
