/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relationships and who may do what because of them.
 *
 * Words: a node is an object or a subject, a type and an id.  A tuple says
 * "subject has relation to object"; the subject may be a userset (all that
 * have a relation to a node) or a wildcard.  The policy says which relations
 * a type has and which follow from others.  Nothing here does I/O: tuples are
 * read through struct rebac_store_ops.
 *
 * Inside, types and relations are symbols (small numbers the store keeps
 * names of) and a node is one number, see rebac_node().
 */
#ifndef PERMISSIONS_REBAC_H
#define PERMISSIONS_REBAC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/port.h"

#define REBAC_NAME_MAX		63	/* types and relations, without NUL */
#define REBAC_ID_MAX		500	/* bytes of an id, without NUL */
#define REBAC_COND_MAX		512	/* bytes of a condition, without NUL */
#define REBAC_TYPES_MAX		64
#define REBAC_RELATIONS_MAX	512	/* of all types together */
#define REBAC_SYMBOLS_MAX	32767
#define REBAC_POLICY_MAX	(64u << 10)
#define REBAC_DEPTH_MAX		60	/* what limits can ask for */

struct rebac_err {
	char msg[512];
};

/* Writes the line, unless @err is NULL, and returns @error. */
int rebac_fail(struct rebac_err *err, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- names (ident.c) ------------------------------------------------- */

/* A type or relation: a-z first, then a-z 0-9 _ -, at most REBAC_NAME_MAX. */
bool rebac_name_ok(const char *name, size_t len);
/*
 * An id: 1 to REBAC_ID_MAX bytes of UTF-8 without control characters, not "*",
 * which means everybody.  Everything else may be in it, ':' '#' '@' too.
 */
bool rebac_id_ok(const char *id, size_t len);

/* ---- nodes ------------------------------------------------------------ */

#define REBAC_ANYBODY		((u64)0)	/* subject *:* */
#define REBAC_EVERY		0u		/* number of TYPE:* */
#define REBAC_NUMBER_MAX	0xfffffffdu	/* of an id */
#define REBAC_STRANGER		0xfffffffeu	/* number of a subject's id no tuple has */
#define REBAC_NOBODY		0xffffffffu	/* likewise, of an object or of both, when they are one */

static inline u64 rebac_node(u32 type, u32 number)
{
	return (u64)type << 32 | number;
}

static inline u32 rebac_type_of(u64 node)
{
	return (u32)(node >> 32);
}

static inline u32 rebac_number(u64 node)
{
	return (u32)node;
}

/**
 * struct rebac_key - a tuple
 * @obj: the object
 * @rel: symbol of the relation
 * @srel: 0, or symbol of the userset's relation
 * @subj: the subject, or the node of the userset
 */
struct rebac_key {
	u64 obj;
	u32 rel;
	u32 srel;
	u64 subj;
};

/**
 * struct rebac_row - a tuple as one of its ends sees it
 * @node: the other end
 * @rel: the relation
 * @srel: of the userset, or 0
 * @expires: in milliseconds of the clock that checks pass; 0: never
 * @conditional: it holds only where its condition does
 */
struct rebac_row {
	u64 node;
	u32 rel;
	u32 srel;
	s64 expires;
	bool conditional;
};

/* ---- where tuples are (mem.c, record.c) -------------------------------- */

struct rebac_store;
struct rebac_txn;

/**
 * struct rebac_state - of a store, as a transaction sees it
 * @store: a random number that was made with it
 * @revision: grows by one with every commit that changed something
 * @policy: revision that its policy came with; 0: it has none
 * @stamped: the last revision whose writer left stamps.  Not @revision: somebody wrote who
 *	knows nothing of them, and they do not say what has changed
 * @mark: of that writer's stamps
 */
struct rebac_state {
	u64 store;
	u64 revision;
	u64 policy;
	u64 stamped;
	u64 mark;
};

/**
 * struct rebac_stamp - the last write that changed tuples of a relation
 * @type, @rel: the relation; both 0: all of them, and the policy
 * @revision: that it made
 * @mark: random, of that write and no other, not 0.  What was found out about a relation
 *	between two marks of what it depends on is true wherever the first of them is the last
 *	there is: also when the store was put back and has other revisions of the same number
 */
struct rebac_stamp {
	u32 type;
	u32 rel;
	u64 revision;
	u64 mark;
};

#define REBAC_STAMPS_MAX	(REBAC_RELATIONS_MAX + 1)
#define REBAC_SECRET		16	/* bytes */

/**
 * struct rebac_store_ops - a store of tuples
 * @begin: a view that does not change, or (@write) the one writer.  -EBUSY,
 *	-EIO and others of the store.
 * @commit: makes durable what a writer did; frees @txn also on an error, which
 *	means nothing was done
 * @abort: forgets what a writer did; ends a view
 * @state: of this view
 * @set_revision: by a writer, of what it is about to commit, with the mark of its stamps
 * @stamp: by a writer.  That of all takes away those of relations
 * @stamps: all there are, in no order; how many, -EFBIG: more than @max
 * @secret: REBAC_SECRET random bytes, made with the store, for who else has it
 * @policy: text of the policy, malloc()ed, or -ENOENT
 * @set_policy: by a writer; @revision is the one it comes with
 * @symbol: number of a name, from 1; -ENOENT, unless @create (writers only)
 * @symbol_name: the name of one; @buf has REBAC_NAME_MAX + 1 bytes
 * @number: of an id of @type, 1 to REBAC_NUMBER_MAX; -ENOENT unless @create
 *	(writers only)
 * @id: id of a node, its length; @buf has REBAC_ID_MAX + 1 bytes
 * @scan: tuples of the object @obj, of @rel only unless that is 0, in order of
 *	(rel, srel, node), behind @after unless that is NULL; how many, up to @max
 * @reverse: tuples whose subject is (@subj, @srel), in order of (rel, node)
 * @find: the tuple; -ENOENT
 * @condition: text of its condition, its length; @buf has REBAC_COND_MAX + 1
 * @put: adds or replaces; @cond may be NULL
 * @expired: tuples whose time is @now or before, the oldest first; how many, up to @max
 * @del: -ENOENT when there is none
 * @close: frees the store
 *
 * Negative errno everywhere.  A transaction belongs to one thread.
 */
struct rebac_store_ops {
	int (*begin)(struct rebac_store *s, bool write, struct rebac_txn **txn);
	int (*commit)(struct rebac_txn *txn);
	void (*abort)(struct rebac_txn *txn);
	int (*state)(struct rebac_txn *txn, struct rebac_state *state);
	int (*set_revision)(struct rebac_txn *txn, u64 revision, u64 mark);
	int (*stamp)(struct rebac_txn *txn, const struct rebac_stamp *stamp);
	int (*stamps)(struct rebac_txn *txn, struct rebac_stamp *stamps, u32 max);
	int (*secret)(struct rebac_txn *txn, u8 *secret);
	int (*policy)(struct rebac_txn *txn, char **text, size_t *len);
	int (*set_policy)(struct rebac_txn *txn, const char *text, size_t len, u64 revision);
	int (*symbol)(struct rebac_txn *txn, const char *name, bool create);
	int (*symbol_name)(struct rebac_txn *txn, u32 symbol, char *buf);
	int (*number)(struct rebac_txn *txn, u32 type, const char *id, size_t len,
		      bool create, u32 *number);
	int (*id)(struct rebac_txn *txn, u64 node, char *buf);
	int (*scan)(struct rebac_txn *txn, u64 obj, u32 rel, const struct rebac_row *after,
		    struct rebac_row *rows, u32 max);
	int (*reverse)(struct rebac_txn *txn, u64 subj, u32 srel, const struct rebac_row *after,
		       struct rebac_row *rows, u32 max);
	int (*find)(struct rebac_txn *txn, const struct rebac_key *key, struct rebac_row *row);
	int (*condition)(struct rebac_txn *txn, const struct rebac_key *key, char *buf);
	int (*put)(struct rebac_txn *txn, const struct rebac_key *key, s64 expires,
		   const char *cond);
	int (*del)(struct rebac_txn *txn, const struct rebac_key *key);
	int (*expired)(struct rebac_txn *txn, s64 now, struct rebac_key *keys, u32 max);
	void (*close)(struct rebac_store *s);
};

struct rebac_store {
	const struct rebac_store_ops *ops;
};

struct rebac_txn {
	const struct rebac_store_ops *ops;
};

/* All in memory: views share a lock, so a writer waits for them. */
struct rebac_store *rebac_mem_new(void);

/**
 * rebac_record_new() - tuples in a record store
 * @records: stays the caller's, who keeps it until the store is closed
 * @schema: the name its schema has there
 * @say: gets a line for each error that is no conflict of two writers, once until another
 *	comes or it is over; may be NULL
 * @arg: for @say
 * @store: set on success
 *
 * Makes the schema, or brings it to this version.  Return: 0 or a negative
 * errno of <nexus/recordstore.h>.
 */
struct nexus_records;
int rebac_record_new(struct nexus_records *records, const char *schema,
		     void (*say)(void *arg, const char *line), void *arg,
		     struct rebac_store **store);

/* ---- conditions (cond.c) ----------------------------------------------- */

/**
 * struct rebac_fact - a value that conditions can ask for
 * @name: as in the condition
 * @text: the value of a string, or NULL
 * @number: the value otherwise; a truth value is 0 or 1
 */
struct rebac_fact {
	const char *name;
	const char *text;
	s64 number;
};

/* Three-valued: what a limit, a cycle or a missing fact left open is unknown. */
enum rebac_value {
	REBAC_NO,
	REBAC_YES,
	REBAC_UNKNOWN,
};

/* -EINVAL with a line, which says where in the text. */
int rebac_cond_check(const char *text, struct rebac_err *err);
enum rebac_value rebac_cond_eval(const char *text, const struct rebac_fact *facts, u32 nfacts);

#endif /* PERMISSIONS_REBAC_H */
