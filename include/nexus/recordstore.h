/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record store: tables of rows, for services.
 *
 * A service writes its SQL once, in the dialect below, and never sees which
 * driver runs it.  All work is done in transactions.
 *
 * Dialect: what SQLite 3.40 and PostgreSQL 15 both have (joins, foreign keys,
 * ON CONFLICT DO UPDATE, RETURNING, WITH RECURSIVE), and
 *
 *   $1 or ?1	the first parameter; a plain ? is refused
 *   {id}	a column's type: the row's number, primary key, given by the
 *		store alone (PostgreSQL refuses one that is inserted), never twice
 *   {blob}	a column's type: bytes
 *   {real}	a column's type: a double
 *   {text}	a column's type: UTF-8 without NUL, ordered by its bytes
 *   {forupdate}	at the end of a SELECT: its rows are about to be changed
 *   BIGINT	the type of every other number, and of truth values (0, 1)
 *
 * Nothing is replaced in quotes and comments.  SUM() and AVG() of whole
 * numbers need a CAST(... AS BIGINT): the stores differ in the type.  One
 * statement at a time, without a semicolon at its end.
 *
 * Errors, of every call, are the negative errno below; struct
 * nexus_record_fault has the words.  A password is never in them.
 *
 *   -EAGAIN	busy, deadlock or serialization failure: begin again, see
 *		nexus_records_run()
 *   -ENOTCONN	the server is gone or cannot be reached.  From the commit it
 *		means that nobody knows whether it was done
 *   -EACCES	name or password refused
 *   -EEXIST	a UNIQUE or PRIMARY KEY is violated
 *   -EDOM	a foreign key, NOT NULL or CHECK is violated
 *   -EROFS	a change through a read-only handle or transaction
 *   -ENOSPC	the disk is full
 *   -EPROTO	the schema in the store is newer than the code
 *   -ECANCELED	an earlier statement failed: this transaction can only be ended
 *   -EINVAL	the statement, its parameters, or a text that is not UTF-8
 *   -EUCLEAN	the store is damaged
 *   -EIO, -ENOMEM
 *
 * After any error of a statement the transaction can only be rolled back,
 * whichever the driver.
 *
 * Threads: a struct nexus_records may be used by any number of them at once;
 * it lends each transaction a connection of a bounded pool, and begin waits
 * for one.  A transaction, and its rows, belong to one thread at a time.
 */
#ifndef NEXUS_RECORDSTORE_H
#define NEXUS_RECORDSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEXUS_RECORD_PARAMS_MAX		64	/* of a statement */
#define NEXUS_RECORD_COLUMNS_MAX	64	/* of a row */
#define NEXUS_RECORD_SQL_MAX		16384	/* bytes of a statement, as sent */
#define NEXUS_RECORD_FAULT_MAX		256	/* with its NUL */

struct nexus_records;		/* a store */
struct nexus_record_tx;		/* a transaction */
struct nexus_record_rows;	/* what a query found */

/** struct nexus_record_fault - why it failed, in one line for people */
struct nexus_record_fault {
	int error;
	char text[NEXUS_RECORD_FAULT_MAX];
};

enum nexus_record_type {
	NEXUS_RECORD_NULL,
	NEXUS_RECORD_INT,
	NEXUS_RECORD_REAL,
	NEXUS_RECORD_TEXT,
	NEXUS_RECORD_BLOB,
};

/**
 * struct nexus_record_value - a parameter, or a column of a row
 * @type: says which of the others are set
 * @number: NEXUS_RECORD_INT
 * @real: NEXUS_RECORD_REAL
 * @data: NEXUS_RECORD_TEXT, NEXUS_RECORD_BLOB; not NULL, though @size may be 0.
 *	In a row it is followed by a NUL that @size does not count.
 * @size: bytes at @data
 */
struct nexus_record_value {
	enum nexus_record_type type;
	int64_t number;
	double real;
	const void *data;
	size_t size;
};

#define NEXUS_RECORD_N()	{ .type = NEXUS_RECORD_NULL }
#define NEXUS_RECORD_I(v)	{ .type = NEXUS_RECORD_INT, .number = (v) }
#define NEXUS_RECORD_R(v)	{ .type = NEXUS_RECORD_REAL, .real = (v) }
#define NEXUS_RECORD_T(v, n)	{ .type = NEXUS_RECORD_TEXT, .data = (v), .size = (n) }
#define NEXUS_RECORD_B(v, n)	{ .type = NEXUS_RECORD_BLOB, .data = (v), .size = (n) }

/**
 * struct nexus_record_step - one version of a service's schema
 * @version: 1, 2, 3 ...: the place in the array, counted from 1
 * @sql: statements, ended by a NULL; run in one transaction with the note that
 *	the schema has this version now
 */
struct nexus_record_step {
	uint32_t version;
	const char *const *sql;
};

enum nexus_record_mode {
	NEXUS_RECORD_READ,	/* one state of the store, whatever others do */
	NEXUS_RECORD_WRITE,	/* serializable */
};

#define NEXUS_RECORD_TRIES	16	/* of nexus_records_run() */

/** typedef nexus_record_work - what a transaction is to do; may run several times */
typedef int (*nexus_record_work)(struct nexus_records *records,
				 struct nexus_record_tx *tx, void *arg);

/**
 * struct nexus_record_ops - what a store can do; services use the inline
 *	functions below, which say what each is
 */
struct nexus_record_ops {
	int (*begin)(struct nexus_records *records, enum nexus_record_mode mode,
		     struct nexus_record_fault *fault, struct nexus_record_tx **tx);
	int (*exec)(struct nexus_record_tx *tx, const char *sql,
		    const struct nexus_record_value *params, size_t count,
		    uint64_t *changed);
	int (*query)(struct nexus_record_tx *tx, const char *sql,
		     const struct nexus_record_value *params, size_t count,
		     struct nexus_record_rows **rows);
	int (*next)(struct nexus_record_rows *rows,
		    const struct nexus_record_value **row, size_t *columns);
	void (*done)(struct nexus_record_rows *rows);
	int (*commit)(struct nexus_record_tx *tx);
	void (*rollback)(struct nexus_record_tx *tx);
	int (*migrate)(struct nexus_records *records, const char *service,
		       const struct nexus_record_step *steps, size_t count,
		       struct nexus_record_fault *fault);
	int (*run)(struct nexus_records *records, enum nexus_record_mode mode,
		   nexus_record_work work, void *arg, struct nexus_record_fault *fault);
};

/** struct nexus_records - a store; drivers keep theirs around it */
struct nexus_records {
	const struct nexus_record_ops *ops;
	bool read_only;
};

/**
 * nexus_record_begin() - begin a transaction
 * @records: the store
 * @mode: NEXUS_RECORD_WRITE is -EROFS when the store is read_only
 * @fault: gets the words for every error of this transaction; may not be NULL,
 *	must live until its end
 * @tx: set on success; to be ended by commit or rollback
 */
static inline int nexus_record_begin(struct nexus_records *records,
				     enum nexus_record_mode mode,
				     struct nexus_record_fault *fault,
				     struct nexus_record_tx **tx)
{
	return records->ops->begin(records, mode, fault, tx);
}

/**
 * nexus_record_exec() - run a statement whose rows nobody wants
 * @records: the store that @tx is of
 * @tx: no rows of it may be open
 * @sql: prepared when first seen by a connection, and kept
 * @params: $1 and on; not looked at after the return
 * @count: of @params
 * @changed: rows inserted, changed or deleted; may be NULL
 */
static inline int nexus_record_exec(struct nexus_records *records,
				    struct nexus_record_tx *tx, const char *sql,
				    const struct nexus_record_value *params, size_t count,
				    uint64_t *changed)
{
	return records->ops->exec(tx, sql, params, count, changed);
}

/**
 * nexus_record_query() - run a statement that gives rows
 * @records: the store that @tx is of
 * @tx: no other rows of it may be open
 * @sql: as in nexus_record_exec(); may be an INSERT ... RETURNING, whose rows
 *	must then be read to their end
 * @params: $1 and on; must live until nexus_record_done()
 * @count: of @params
 * @rows: set on success; to be given back by nexus_record_done()
 */
static inline int nexus_record_query(struct nexus_records *records,
				     struct nexus_record_tx *tx, const char *sql,
				     const struct nexus_record_value *params, size_t count,
				     struct nexus_record_rows **rows)
{
	return records->ops->query(tx, sql, params, count, rows);
}

/**
 * nexus_record_next() - the next row
 * @records: the store that @rows are of
 * @rows: of nexus_record_query()
 * @row: its columns, valid until the next call with @rows
 * @columns: how many; may be NULL
 *
 * Return: 1 for a row, 0 after the last, or a negative errno.
 */
static inline int nexus_record_next(struct nexus_records *records,
				    struct nexus_record_rows *rows,
				    const struct nexus_record_value **row, size_t *columns)
{
	return records->ops->next(rows, row, columns);
}

/** nexus_record_done() - give rows back, read or not; NULL is allowed */
static inline void nexus_record_done(struct nexus_records *records,
				     struct nexus_record_rows *rows)
{
	if (rows)
		records->ops->done(rows);
}

/** nexus_record_commit() - end a transaction; on an error nothing of it is
 *	kept, but for -ENOTCONN (see there).  @tx is gone either way.
 */
static inline int nexus_record_commit(struct nexus_records *records,
				      struct nexus_record_tx *tx)
{
	return records->ops->commit(tx);
}

/** nexus_record_rollback() - end a transaction, nothing of it is kept; NULL is allowed */
static inline void nexus_record_rollback(struct nexus_records *records,
					 struct nexus_record_tx *tx)
{
	if (tx)
		records->ops->rollback(tx);
}

/**
 * nexus_record_migrate() - bring a service's schema to the newest version
 * @records: the store; with a read_only one the version is only compared, and
 *	-ESTALE returned when it is older
 * @service: whose; a-z 0-9 _ -.  -EPERM for a name that is not its own
 * @steps: all versions there ever were
 * @count: of @steps
 * @fault: the words for an error
 *
 * For service_start.  Two helpers at once: one does it, the other waits and
 * finds it done.  Steps done before an error stay done.
 *
 * Return: 0, -EPROTO when the store has a version beyond @count (nothing was
 * changed), or another of the errors above.
 */
static inline int nexus_record_migrate(struct nexus_records *records, const char *service,
				       const struct nexus_record_step *steps, size_t count,
				       struct nexus_record_fault *fault)
{
	return records->ops->migrate(records, service, steps, count, fault);
}

/**
 * nexus_records_run() - a transaction, again while it is -EAGAIN, NEXUS_RECORD_TRIES times
 * @records: the store
 * @mode: as in nexus_record_begin()
 * @work: 0 commits, an error rolls back and is returned
 * @arg: for @work
 * @fault: the words for an error that came from the store
 */
static inline int nexus_records_run(struct nexus_records *records,
				    enum nexus_record_mode mode, nexus_record_work work,
				    void *arg, struct nexus_record_fault *fault)
{
	return records->ops->run(records, mode, work, arg, fault);
}

/*
 * For the helper.  A driver is NAME.so in the folder recordstore of
 * drivers_dir, and exports one symbol, nexus_record_driver.
 */
#define NEXUS_RECORD_DRIVER_ABI		2u	/* changes with this file */
#define NEXUS_RECORD_DRIVER_SYMBOL	"nexus_record_driver"

/**
 * struct nexus_record_options - how to open a store
 * @at: sqlite: a file's path; postgres: a connection string of libpq
 * @read_only: nothing can be changed, by whatever statement
 * @connections: the most there are at once, at least 1
 * @busy_ms: how long a transaction waits for another one's before -EAGAIN
 * @reply_ms: how long a server may take to connect, or over a statement, before
 *	it is taken for gone (-ENOTCONN); more than @busy_ms, or 0: for ever
 */
struct nexus_record_options {
	const char *at;
	bool read_only;
	uint32_t connections;
	uint32_t busy_ms;
	uint32_t reply_ms;
};

/**
 * struct nexus_record_driver - a driver
 * @abi: NEXUS_RECORD_DRIVER_ABI; nothing else is looked at when it is another
 * @name: that of the file without ".so"
 * @open: connects once, so that what is wrong with @options shows now
 * @close: no transaction may be open
 */
struct nexus_record_driver {
	uint32_t abi;
	const char *name;
	int (*open)(const struct nexus_record_options *options,
		    struct nexus_record_fault *fault, struct nexus_records **records);
	void (*close)(struct nexus_records *records);
};

#endif /* NEXUS_RECORDSTORE_H */
