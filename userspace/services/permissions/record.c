// SPDX-License-Identifier: Apache-2.0
/*
 * Tuples in a record store.
 *
 * A tuple is a row of four numbers; its two indexes are the two orders it is
 * read in, and have all that a read wants, so that none has to look at the row
 * itself but for the text of a condition.  Therefore time and condition are
 * part of the primary key, and it is the code that keeps tuples apart: each
 * write removes the one there is.  A read is one statement, prepared once by
 * each connection.
 */
#include "rebac.h"

#include <sys/random.h>

#include <nexus/recordstore.h>

#include "faults.h"

struct record {
	struct rebac_store store;
	struct nexus_records *records;
	struct faults faults;
};

struct record_txn {
	struct rebac_txn txn;
	struct record *r;
	struct nexus_record_tx *tx;
	enum nexus_record_mode mode;
	bool failed;
	struct nexus_record_fault fault;
};

static const char *const version1[] = {
	"CREATE TABLE rebac_state (one BIGINT PRIMARY KEY CHECK (one = 1), store BIGINT NOT NULL, "
	"revision BIGINT NOT NULL, policy BIGINT NOT NULL)",
	"CREATE TABLE rebac_policy (one BIGINT PRIMARY KEY CHECK (one = 1), content {text} NOT NULL)",
	"CREATE TABLE rebac_symbol (id {id}, name {text} NOT NULL UNIQUE)",
	"CREATE TABLE rebac_node (id {id}, type BIGINT NOT NULL, name {text} NOT NULL, "
	"UNIQUE (type, name))",
	"CREATE TABLE rebac_tuple (obj BIGINT NOT NULL, rel BIGINT NOT NULL, srel BIGINT NOT NULL, "
	"subj BIGINT NOT NULL, expires BIGINT NOT NULL, conditional BIGINT NOT NULL, "
	"cond {text} NOT NULL, PRIMARY KEY (obj, rel, srel, subj, expires, conditional))",
	"CREATE INDEX rebac_tuple_back ON rebac_tuple (subj, srel, rel, obj, expires, conditional)",
	"CREATE INDEX rebac_tuple_time ON rebac_tuple (expires) WHERE expires > 0",
	NULL,
};

/*
 * Who has version 1 and is still there when this is made goes on writing, and leaves
 * stamped as it is.
 */
static const char *const version2[] = {
	"ALTER TABLE rebac_state ADD COLUMN stamped BIGINT NOT NULL DEFAULT 0",
	"ALTER TABLE rebac_state ADD COLUMN mark BIGINT NOT NULL DEFAULT 0",
	"ALTER TABLE rebac_state ADD COLUMN secret1 BIGINT NOT NULL DEFAULT 0",
	"ALTER TABLE rebac_state ADD COLUMN secret2 BIGINT NOT NULL DEFAULT 0",
	("CREATE TABLE rebac_stamp (type BIGINT NOT NULL, rel BIGINT NOT NULL, "
	 "revision BIGINT NOT NULL, mark BIGINT NOT NULL, PRIMARY KEY (type, rel))"),
	NULL,
};

static const struct nexus_record_step steps[] = {
	{ 1, version1 },
	{ 2, version2 },
};

static struct record_txn *txn_of(struct rebac_txn *txn)
{
	return NEXUS_CONTAINER(txn, struct record_txn, txn);
}

/* A conflict of two writers is not worth a line: it is tried again. */
static int complain(struct record *r, enum nexus_record_mode mode,
		    const struct nexus_record_fault *fault, int ret)
{
	if (ret < 0 && ret != -EAGAIN)
		faults_say(&r->faults, mode, fault->text);
	/* What the store does not let the helper do says nothing about who asked. */
	return ret == -EACCES ? -ENOTCONN : ret;
}

static int told(struct record_txn *t, int ret)
{
	if (ret < 0)
		t->failed = true;
	return complain(t->r, t->mode, &t->fault, ret);
}

/* ---- statements ------------------------------------------------------- */

#define I(v)	{ .type = NEXUS_RECORD_INT, .number = (int64_t)(v) }
#define P(...)	((const struct nexus_record_value[]){ __VA_ARGS__ }), \
		sizeof((const struct nexus_record_value[]){ __VA_ARGS__ }) / \
		sizeof(struct nexus_record_value)

static int exec(struct record_txn *t, const char *sql, const struct nexus_record_value *params,
		size_t count, uint64_t *changed)
{
	return told(t, nexus_record_exec(t->r->records, t->tx, sql, params, count, changed));
}

static int query(struct record_txn *t, const char *sql, const struct nexus_record_value *params,
		 size_t count, struct nexus_record_rows **rows)
{
	return told(t, nexus_record_query(t->r->records, t->tx, sql, params, count, rows));
}

static int next(struct record_txn *t, struct nexus_record_rows *rows,
		const struct nexus_record_value **row)
{
	return told(t, nexus_record_next(t->r->records, rows, row, NULL));
}

/* Numbers of the only row; -ENOENT without one. */
static int numbers(struct record_txn *t, const char *sql, const struct nexus_record_value *params,
		   size_t count, s64 *values, u32 n)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int ret;
	u32 i;

	ret = query(t, sql, params, count, &rows);
	if (ret)
		return ret;
	ret = next(t, rows, &row);
	if (ret == 1) {
		for (i = 0; i < n; i++)
			values[i] = row[i].number;
		/* To the end: it may be an INSERT. */
		ret = next(t, rows, &row);
		ret = ret < 0 ? ret : 1;
	}
	nexus_record_done(t->r->records, rows);
	return ret == 1 ? 0 : ret ? ret : -ENOENT;
}

/* Text of the only row into @buf, ended by a NUL; its length, or -ENOENT. */
static int text(struct record_txn *t, const char *sql, const struct nexus_record_value *params,
		size_t count, char *buf, size_t room)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int ret;

	ret = query(t, sql, params, count, &rows);
	if (ret)
		return ret;
	ret = next(t, rows, &row);
	if (ret == 1 && row[0].size >= room) {
		ret = -EUCLEAN;
	} else if (ret == 1) {
		memcpy(buf, row[0].data, row[0].size);
		buf[row[0].size] = '\0';
		ret = (int)row[0].size + 1;
	}
	nexus_record_done(t->r->records, rows);
	return ret > 0 ? ret - 1 : ret ? ret : -ENOENT;
}

/* ---- transactions ----------------------------------------------------- */

static int record_begin(struct rebac_store *s, bool write, struct rebac_txn **txn)
{
	struct record *r = NEXUS_CONTAINER(s, struct record, store);
	struct record_txn *t = malloc(sizeof(*t));
	int ret;

	if (!t)
		return -ENOMEM;
	t->txn.ops = s->ops;
	t->r = r;
	t->mode = write ? NEXUS_RECORD_WRITE : NEXUS_RECORD_READ;
	t->failed = false;
	t->fault.text[0] = '\0';
	ret = nexus_record_begin(r->records, t->mode, &t->fault, &t->tx);
	if (ret) {
		ret = told(t, ret);
		free(t);
		return ret;
	}
	*txn = &t->txn;
	return 0;
}

static int record_commit(struct rebac_txn *txn)
{
	struct record_txn *t = txn_of(txn);
	int ret = told(t, nexus_record_commit(t->r->records, t->tx));

	if (!ret)
		faults_over(&t->r->faults, t->mode);
	free(t);
	return ret;
}

static void record_abort(struct rebac_txn *txn)
{
	struct record_txn *t = txn_of(txn);

	nexus_record_rollback(t->r->records, t->tx);
	/* So ends every read; a write that is given up has not shown that it can be done. */
	if (!t->failed && t->mode == NEXUS_RECORD_READ)
		faults_over(&t->r->faults, t->mode);
	free(t);
}

/* ---- revision, policy, names ------------------------------------------ */

static int record_state(struct rebac_txn *txn, struct rebac_state *st)
{
	s64 v[5] = { 0 };
	int ret = numbers(txn_of(txn), "SELECT store, revision, policy, stamped, mark "
			  "FROM rebac_state WHERE one = 1", NULL, 0, v, 5);

	if (ret)
		return ret == -ENOENT ? -EUCLEAN : ret;
	st->store = (u64)v[0];
	st->revision = (u64)v[1];
	st->policy = (u64)v[2];
	st->stamped = (u64)v[3];
	st->mark = (u64)v[4];
	return 0;
}

static int record_set_revision(struct rebac_txn *txn, u64 revision, u64 mark)
{
	return exec(txn_of(txn), "UPDATE rebac_state SET revision = $1, stamped = $1, mark = $2 "
		    "WHERE one = 1", P(I(revision), I(mark)), NULL);
}

static int record_stamp(struct rebac_txn *txn, const struct rebac_stamp *s)
{
	int ret = 0;

	if (!s->type)
		ret = exec(txn_of(txn), "DELETE FROM rebac_stamp", NULL, 0, NULL);
	if (ret)
		return ret;
	return exec(txn_of(txn), "INSERT INTO rebac_stamp (type, rel, revision, mark) "
		    "VALUES ($1, $2, $3, $4) ON CONFLICT (type, rel) DO UPDATE SET revision = $3, "
		    "mark = $4", P(I(s->type), I(s->rel), I(s->revision), I(s->mark)), NULL);
}

static int record_stamps(struct rebac_txn *txn, struct rebac_stamp *stamps, u32 max)
{
	struct record_txn *t = txn_of(txn);
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	u32 n = 0;
	int ret;

	ret = query(t, "SELECT type, rel, revision, mark FROM rebac_stamp", NULL, 0, &rows);
	if (ret)
		return ret;
	while ((ret = next(t, rows, &row)) == 1 && n < max)
		stamps[n++] = (struct rebac_stamp){ (u32)row[0].number, (u32)row[1].number,
						    (u64)row[2].number, (u64)row[3].number };
	nexus_record_done(t->r->records, rows);
	return ret < 0 ? ret : ret ? -EFBIG : (int)n;
}

static int record_secret(struct rebac_txn *txn, u8 *secret)
{
	s64 v[2] = { 0 };
	int ret = numbers(txn_of(txn), "SELECT secret1, secret2 FROM rebac_state WHERE one = 1", NULL, 0,
			  v, 2);

	_Static_assert(sizeof(v) == REBAC_SECRET, "two numbers");
	memcpy(secret, v, sizeof(v));
	return ret == -ENOENT ? -EUCLEAN : ret;
}

static int record_policy(struct rebac_txn *txn, char **policy, size_t *len)
{
	char *buf = malloc(REBAC_POLICY_MAX + 1);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = text(txn_of(txn), "SELECT content FROM rebac_policy WHERE one = 1", NULL, 0, buf,
		   REBAC_POLICY_MAX + 1);
	if (ret < 0) {
		free(buf);
		return ret;
	}
	*policy = buf;
	*len = (size_t)ret;
	return 0;
}

static int record_set_policy(struct rebac_txn *txn, const char *policy, size_t len, u64 revision)
{
	int ret = exec(txn_of(txn), "UPDATE rebac_state SET policy = $1 WHERE one = 1", P(I(revision)),
		       NULL);

	if (ret)
		return ret;
	return exec(txn_of(txn), "INSERT INTO rebac_policy (one, content) VALUES (1, $1) "
		    "ON CONFLICT (one) DO UPDATE SET content = $1", P(NEXUS_RECORD_T(policy, len)),
		    NULL);
}

/* Of INSERT ... RETURNING id, up to @most. */
static int new_id(int ret, s64 id, s64 most)
{
	return ret ? ret : id > most ? -ENOSPC : 0;
}

static int record_symbol(struct rebac_txn *txn, const char *name, bool create)
{
	size_t len = strlen(name);
	s64 id = 0;
	int ret;

	if (len > REBAC_NAME_MAX)
		return -EINVAL;
	ret = numbers(txn_of(txn), "SELECT id FROM rebac_symbol WHERE name = $1",
		      P(NEXUS_RECORD_T(name, len)), &id, 1);
	if (ret == -ENOENT && create)
		ret = new_id(numbers(txn_of(txn), "INSERT INTO rebac_symbol (name) VALUES ($1) "
				     "RETURNING id", P(NEXUS_RECORD_T(name, len)), &id, 1),
			     id, REBAC_SYMBOLS_MAX);
	return ret ? ret : (int)id;
}

static int record_symbol_name(struct rebac_txn *txn, u32 symbol, char *buf)
{
	return text(txn_of(txn), "SELECT name FROM rebac_symbol WHERE id = $1", P(I(symbol)), buf,
		    REBAC_NAME_MAX + 1);
}

static int record_number(struct rebac_txn *txn, u32 type, const char *id, size_t len, bool create,
			 u32 *number)
{
	s64 n = 0;
	int ret;

	if (len > REBAC_ID_MAX)
		return -EINVAL;
	ret = numbers(txn_of(txn), "SELECT id FROM rebac_node WHERE type = $1 AND name = $2",
		      P(I(type), NEXUS_RECORD_T(id, len)), &n, 1);
	if (ret == -ENOENT && create)
		ret = new_id(numbers(txn_of(txn), "INSERT INTO rebac_node (type, name) "
				     "VALUES ($1, $2) RETURNING id",
				     P(I(type), NEXUS_RECORD_T(id, len)), &n, 1),
			     n, REBAC_NUMBER_MAX);
	if (!ret)
		*number = (u32)n;
	return ret;
}

static int record_id(struct rebac_txn *txn, u64 node, char *buf)
{
	return text(txn_of(txn), "SELECT name FROM rebac_node WHERE id = $1 AND type = $2",
		    P(I(rebac_number(node)), I(rebac_type_of(node))), buf, REBAC_ID_MAX + 1);
}

/* ---- tuples ----------------------------------------------------------- */

/* Rows of (other end, rel, srel, expires, conditional). */
static int tuples(struct record_txn *t, const char *sql, const struct nexus_record_value *params,
		  size_t count, struct rebac_row *out, u32 max)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	u32 n = 0;
	int ret;

	ret = query(t, sql, params, count, &rows);
	if (ret)
		return ret;
	while (n < max && (ret = next(t, rows, &row)) == 1)
		out[n++] = (struct rebac_row){
			.node = (u64)row[0].number, .rel = (u32)row[1].number,
			.srel = (u32)row[2].number, .expires = row[3].number,
			.conditional = row[4].number != 0,
		};
	nexus_record_done(t->r->records, rows);
	return ret < 0 ? ret : (int)n;
}

/* Behind what sorts before all, unless there is something to be behind of. */
static int record_scan(struct rebac_txn *txn, u64 obj, u32 rel, const struct rebac_row *after,
		       struct rebac_row *rows, u32 max)
{
	struct nexus_record_value params[] = {
		I(obj), I(after ? after->rel : rel), I(after ? after->srel : 0),
		I(after ? (s64)after->node : -1), I(max), I(rel),
	};

	if (!rel)
		return tuples(txn_of(txn), "SELECT subj, rel, srel, expires, conditional FROM rebac_tuple "
			      "WHERE obj = $1 AND (rel, srel, subj) > ($2, $3, $4) "
			      "ORDER BY rel, srel, subj LIMIT $5", params, 5, rows, max);
	params[1] = params[5];
	return tuples(txn_of(txn), "SELECT subj, rel, srel, expires, conditional FROM rebac_tuple "
		      "WHERE obj = $1 AND rel = $2 AND (srel, subj) > ($3, $4) "
		      "ORDER BY srel, subj LIMIT $5", params, 5, rows, max);
}

static int record_reverse(struct rebac_txn *txn, u64 subj, u32 srel, const struct rebac_row *after,
			  struct rebac_row *rows, u32 max)
{
	return tuples(txn_of(txn), "SELECT obj, rel, srel, expires, conditional FROM rebac_tuple "
		      "WHERE subj = $1 AND srel = $2 AND (rel, obj) > ($3, $4) "
		      "ORDER BY rel, obj LIMIT $5",
		      P(I(subj), I(srel), I(after ? after->rel : 0), I(after ? after->node : 0), I(max)),
		      rows, max);
}

#define ONE	"WHERE obj = $1 AND rel = $2 AND srel = $3 AND subj = $4"
#define KEY(k)	I((k)->obj), I((k)->rel), I((k)->srel), I((k)->subj)

static int record_find(struct rebac_txn *txn, const struct rebac_key *k, struct rebac_row *row)
{
	int ret = tuples(txn_of(txn), "SELECT subj, rel, srel, expires, conditional FROM rebac_tuple " ONE,
			 P(KEY(k)), row, 1);

	return ret < 0 ? ret : ret ? 0 : -ENOENT;
}

static int record_condition(struct rebac_txn *txn, const struct rebac_key *k, char *buf)
{
	return text(txn_of(txn), "SELECT cond FROM rebac_tuple " ONE, P(KEY(k)), buf,
		    REBAC_COND_MAX + 1);
}

static int record_del(struct rebac_txn *txn, const struct rebac_key *k)
{
	uint64_t changed = 0;
	int ret = exec(txn_of(txn), "DELETE FROM rebac_tuple " ONE, P(KEY(k)), &changed);

	return ret ? ret : changed ? 0 : -ENOENT;
}

static int record_put(struct rebac_txn *txn, const struct rebac_key *k, s64 expires,
		      const char *cond)
{
	size_t len = cond ? strlen(cond) : 0;
	int ret;

	if (len > REBAC_COND_MAX || expires < 0)
		return -EINVAL;
	ret = record_del(txn, k);
	if (ret && ret != -ENOENT)
		return ret;
	return exec(txn_of(txn), "INSERT INTO rebac_tuple (obj, rel, srel, subj, expires, "
		    "conditional, cond) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		    P(KEY(k), I(expires), I(len != 0), NEXUS_RECORD_T(cond ? cond : "", len)), NULL);
}

static int record_expired(struct rebac_txn *txn, s64 now, struct rebac_key *keys, u32 max)
{
	struct record_txn *t = txn_of(txn);
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	u32 n = 0;
	int ret;

	ret = query(t, "SELECT obj, rel, srel, subj FROM rebac_tuple "
		    "WHERE expires > 0 AND expires <= $1 ORDER BY expires LIMIT $2",
		    P(I(now), I(max)), &rows);
	if (ret)
		return ret;
	while (n < max && (ret = next(t, rows, &row)) == 1)
		keys[n++] = (struct rebac_key){
			.obj = (u64)row[0].number, .rel = (u32)row[1].number,
			.srel = (u32)row[2].number, .subj = (u64)row[3].number,
		};
	nexus_record_done(t->r->records, rows);
	return ret < 0 ? ret : (int)n;
}

static void record_close(struct rebac_store *s)
{
	struct record *r = NEXUS_CONTAINER(s, struct record, store);

	faults_end(&r->faults);
	free(r);
}

static const struct rebac_store_ops record_ops = {
	.begin = record_begin,
	.commit = record_commit,
	.abort = record_abort,
	.state = record_state,
	.set_revision = record_set_revision,
	.stamp = record_stamp,
	.stamps = record_stamps,
	.secret = record_secret,
	.policy = record_policy,
	.set_policy = record_set_policy,
	.symbol = record_symbol,
	.symbol_name = record_symbol_name,
	.number = record_number,
	.id = record_id,
	.scan = record_scan,
	.reverse = record_reverse,
	.find = record_find,
	.condition = record_condition,
	.put = record_put,
	.del = record_del,
	.expired = record_expired,
	.close = record_close,
};

/* The one row of rebac_state, and its secret, which one of version 1 does not have. */
static int make_state(struct nexus_records *records, struct nexus_record_tx *tx, void *arg)
{
	const u64 *random = arg;
	int ret = nexus_record_exec(records, tx,
				    "INSERT INTO rebac_state (one, store, revision, policy) "
				    "VALUES (1, $1, 0, 0) ON CONFLICT (one) DO NOTHING",
				    P(I(random[0] >> 1)), NULL);

	if (ret)
		return ret;
	return nexus_record_exec(records, tx, "UPDATE rebac_state SET secret1 = $1, secret2 = $2 "
				 "WHERE one = 1 AND secret1 = 0 AND secret2 = 0",
				 P(I(random[1]), I(random[2])), NULL);
}

int rebac_record_new(struct nexus_records *records, const char *schema,
		     void (*say)(void *arg, const char *line), void *arg,
		     struct rebac_store **store)
{
	struct nexus_record_fault fault = { 0, "" };
	struct record *r;
	u64 random[3];
	int ret;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->store.ops = &record_ops;
	r->records = records;
	faults_init(&r->faults, say, arg);
	ret = nexus_record_migrate(records, schema, steps, sizeof(steps) / sizeof(steps[0]), &fault);
	if (!ret)
		ret = nexus_records_run(records, NEXUS_RECORD_WRITE, make_state, random, &fault);
	if (ret) {
		complain(r, NEXUS_RECORD_WRITE, &fault, ret);
		faults_end(&r->faults);
		free(r);
		return ret;
	}
	*store = &r->store;
	return 0;
}
