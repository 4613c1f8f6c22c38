/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.permissions, version 3: relationships, and who may do what
 * because of them.
 *
 * A tuple says that a subject has a relation to an object.  A policy says which
 * relations there are and which follow from others.  Whatever is not surely a
 * yes is denied, and the answer says why.  Documentation/services/permissions.md.
 */
#ifndef NEXUS_SERVICES_PERMISSIONS_H
#define NEXUS_SERVICES_PERMISSIONS_H

#include <nexus/service.h>

#define NEXUS_PERMISSIONS		"nexus.permissions"
#define NEXUS_PERMISSIONS_VERSION	4

#define NEXUS_PERMISSION_NAME_MAX	63u	/* bytes of a type or relation */
#define NEXUS_PERMISSION_ID_MAX		500u	/* bytes of an id */
#define NEXUS_PERMISSION_CONDITION_MAX	512u
#define NEXUS_PERMISSION_POLICY_MAX	(64u << 10)
#define NEXUS_PERMISSION_BATCH_MAX	1000u	/* questions, updates, preconditions */
#define NEXUS_PERMISSION_LIST_MAX	1000u	/* of a list, or branches of an expansion */
#define NEXUS_PERMISSION_FACTS_MAX	64u
#define NEXUS_PERMISSION_TOKEN_SIZE	40u	/* with its NUL */
#define NEXUS_PERMISSION_ERROR_SIZE	512u

/* Why an answer is neither yes nor no, and so a no; several at once. */
#define NEXUS_PERMISSION_DEPTH		0x01u	/* more than 50 steps to a tuple */
#define NEXUS_PERMISSION_FANOUT		0x02u	/* more than 1,000 ways from one object */
#define NEXUS_PERMISSION_NODES		0x04u	/* more than 10,000 objects and relations */
#define NEXUS_PERMISSION_DEADLINE	0x08u	/* more than a second, a batch two */
#define NEXUS_PERMISSION_CYCLE		0x10u	/* "yes if no" */
#define NEXUS_PERMISSION_CONDITION	0x20u	/* a fact is missing or of another type */
#define NEXUS_PERMISSION_READS		0x40u	/* more than 100,000 tuples */

/*
 * All text ends with a NUL, and belongs to the arguments (args_more()).
 * What is not given may be NULL or empty.
 */

/**
 * struct nexus_permission_tuple - a tuple, or a question
 * @object_type: the object; with @object_id
 * @relation: relation, or (in questions) permission
 * @subject_type: the subject; with @subject_id, which is "*" for everybody of the
 *	type.  Both "*": everybody.
 * @subject_relation: not the subject, but all that have this relation to it
 */
struct nexus_permission_tuple {
	const char *object_type, *object_id;
	const char *relation;
	const char *subject_type, *subject_id, *subject_relation;
};

/** struct nexus_permission_fact - for conditions: a text, or (@text NULL) a number */
struct nexus_permission_fact {
	const char *name;
	const char *text;
	int64_t number;
};

/** enum nexus_permission_freshness - what a read must have seen */
enum nexus_permission_freshness {
	NEXUS_PERMISSION_ANY		= 0,	/* some state of the store */
	NEXUS_PERMISSION_AT_LEAST	= 1,	/* what the token stands for, or later */
	NEXUS_PERMISSION_FULLY		= 2,	/* all that was written before */
};

/**
 * struct nexus_permission_read - of everything that reads
 * @freshness: enum nexus_permission_freshness
 * @token: of an answer; for NEXUS_PERMISSION_AT_LEAST
 * @facts: @nfacts of them, each name once
 * @at: token of the state that was read
 *
 * -ESTALE: the store has not come so far; -EINVAL: no such freshness, a token of
 * another store, a fact without a name or one that is there twice.
 */
struct nexus_permission_read {
	uint32_t freshness;
	char token[NEXUS_PERMISSION_TOKEN_SIZE];
	const struct nexus_permission_fact *facts;
	uint32_t nfacts;
	char at[NEXUS_PERMISSION_TOKEN_SIZE];
};

/**
 * struct nexus_permission_answer - to a question
 * @allowed: yes
 * @error: 0; -EINVAL: no such identifier can be; -ENOENT: the policy has no such
 *	type or relation.  Not allowed, then.
 * @why: NEXUS_PERMISSION_, when it is not known
 * @valid_until_ms: no time in a tuple changes the answer before (Unix time)
 * @contextual: facts took part: it is no answer for others
 */
struct nexus_permission_answer {
	bool allowed;
	bool contextual;
	int error;
	uint32_t why;
	int64_t valid_until_ms;
};

/**
 * struct nexus_permission_check_args - of check
 * @questions: @count, 1 to NEXUS_PERMISSION_BATCH_MAX; all are answered from one
 *	state of the store
 * @answers: set, as many
 */
struct nexus_permission_check_args {
	struct nexus_permission_read read;
	const struct nexus_permission_tuple *questions;
	uint32_t count;
	struct nexus_permission_answer *answers;
};

/** enum nexus_permission_update_kind - what becomes of a tuple */
enum nexus_permission_update_kind {
	NEXUS_PERMISSION_PUT	= 0,	/* is added, or replaces the one there is */
	NEXUS_PERMISSION_CREATE	= 1,	/* is added; -EEXIST when there is one */
	NEXUS_PERMISSION_DELETE	= 2,	/* is removed, if it is there */
};

/**
 * struct nexus_permission_update - one tuple
 * @kind: enum nexus_permission_update_kind
 * @tuple: which
 * @expires_ms: Unix time from which on it does not hold; 0: never
 * @condition: it holds only where this does
 */
struct nexus_permission_update {
	uint32_t kind;
	struct nexus_permission_tuple tuple;
	int64_t expires_ms;
	const char *condition;
};

/** struct nexus_permission_precondition - for a write: the tuple is there, or is not */
struct nexus_permission_precondition {
	struct nexus_permission_tuple tuple;
	bool absent;
};

/**
 * struct nexus_permission_write_args - of write: all of it or nothing
 * @preconditions: @npreconditions, of what there was before
 * @updates: @nupdates, one behind the other
 * @changed: set: tuples that were added, replaced or removed
 * @failed: set on an error: which of them, the preconditions first
 * @error: likewise, in words
 * @token: set: of the state with them
 *
 * -EINVAL, -EEXIST, -ECANCELED: a precondition does not hold, -EMSGSIZE too many,
 * -ENODATA: there is no policy.
 */
struct nexus_permission_write_args {
	const struct nexus_permission_precondition *preconditions;
	uint32_t npreconditions;
	const struct nexus_permission_update *updates;
	uint32_t nupdates;
	uint32_t changed;
	uint32_t failed;
	char error[NEXUS_PERMISSION_ERROR_SIZE];
	char token[NEXUS_PERMISSION_TOKEN_SIZE];
};

/**
 * struct nexus_permission_delete_args - of delete: tuples that match
 * @match: the whole object, or the whole subject (without @subject_relation: as
 *	itself), must be given; of the rest what is given must be the same
 * @max: at most so many, up to NEXUS_PERMISSION_BATCH_MAX; 0: that
 * @deleted: set
 * @more: set: there may be more
 * @token: set: of the state without them
 */
struct nexus_permission_delete_args {
	struct nexus_permission_tuple match;
	uint32_t max;
	uint32_t deleted;
	bool more;
	char token[NEXUS_PERMISSION_TOKEN_SIZE];
};

/**
 * struct nexus_permission_explain_args - of explain
 * @question: likewise
 * @answer: set
 * @lines: set: @nlines; what was looked at, in this order, deeper ones indented
 * @cut: set: there was more
 */
struct nexus_permission_explain_args {
	struct nexus_permission_read read;
	struct nexus_permission_tuple question;
	struct nexus_permission_answer answer;
	char **lines;
	uint32_t nlines;
	bool cut;
};

/** enum nexus_permission_branch_kind - of an expansion */
enum nexus_permission_branch_kind {
	NEXUS_PERMISSION_RELATION,	/* a relation of an object; what it consists of follows */
	NEXUS_PERMISSION_SEEN,		/* likewise, but it is elsewhere in the tree */
	NEXUS_PERMISSION_CUT,		/* likewise, but a limit was met */
	NEXUS_PERMISSION_SUBJECT,	/* by a tuple */
	NEXUS_PERMISSION_UNION,
	NEXUS_PERMISSION_INTERSECTION,
	NEXUS_PERMISSION_EXCLUSION,	/* the first of the two, not the second */
};

/**
 * struct nexus_permission_branch - one; those of it follow, one deeper
 * @kind: enum nexus_permission_branch_kind
 * @depth: 0 is the root
 * @conditional: only where the condition of its tuple holds
 * @type: of the subject or object, with @id; NULL for the operators
 * @relation: of a relation
 */
struct nexus_permission_branch {
	uint32_t kind;
	uint32_t depth;
	bool conditional;
	const char *type, *id, *relation;
};

/**
 * struct nexus_permission_expand_args - of expand: who has a relation, as a tree
 * @object_type: with @object_id and @relation
 * @max: branches, up to NEXUS_PERMISSION_LIST_MAX; 0: that
 * @branches: set: @nbranches
 * @why: set: NEXUS_PERMISSION_, 0: it is whole
 */
struct nexus_permission_expand_args {
	struct nexus_permission_read read;
	const char *object_type, *object_id, *relation;
	uint32_t max;
	struct nexus_permission_branch *branches;
	uint32_t nbranches;
	uint32_t why;
};

/**
 * struct nexus_permission_item - of a list
 * @id: "*": everybody of the type, but for those with @not
 * @not: this one has it not, though everybody has
 */
struct nexus_permission_item {
	const char *id;
	bool not;
};

/**
 * struct nexus_permission_list_args - of list_objects and list_subjects
 * @tuple: the question; without object_id for list_objects, without subject_id
 *	for list_subjects
 * @after: id of the last one of the piece before; NULL: from the beginning
 * @max: ids, up to NEXUS_PERMISSION_LIST_MAX; 0: that
 * @items: set: @nitems
 * @more: set: there may be more
 * @why: set: NEXUS_PERMISSION_, 0: all were found.  Who is in doubt is not listed.
 *
 * -EINVAL for an @after that is no id of that type.
 */
struct nexus_permission_list_args {
	struct nexus_permission_read read;
	struct nexus_permission_tuple tuple;
	const char *after;
	uint32_t max;
	struct nexus_permission_item *items;
	uint32_t nitems;
	bool more;
	uint32_t why;
};

/**
 * struct nexus_permission_policy_args - of policy_set and policy_get
 * @text: the policy, @len bytes
 * @error: set by policy_set on -EINVAL: "policy:LINE: what"
 * @token: set: of the state with it, or of the state that was read
 *
 * -EFBIG: too large; policy_get: -ENODATA: there is none.
 */
struct nexus_permission_policy_args {
	const char *text;
	uint32_t len;
	char error[NEXUS_PERMISSION_ERROR_SIZE];
	char token[NEXUS_PERMISSION_TOKEN_SIZE];
};

/**
 * struct nexus_permission_clean_args - of clean: tuples that have expired
 * @removed: set, at most NEXUS_PERMISSION_BATCH_MAX
 * @more: set: there may be more
 *
 * No answer changes by it.  Each write removes a few, too.
 */
struct nexus_permission_clean_args {
	uint32_t removed;
	bool more;
};

/**
 * struct nexus_permission_state - of state: what is kept between questions
 * @limit: bytes it may have; 0: nothing is kept
 * @bytes: it has, in @entries
 * @hits: answers and lists that were there; @misses: that were not
 * @invalidated: entries that were given up because of a change or a time, @evicted: because
 *	of the limit
 * @emptied: times that all was given up: a new policy, or a store that was away
 * @closures: of subjects, that were made; @closures_refused: that would have been too large
 * @closure_hits: questions that had one
 *
 * Since the service was loaded, but for the first three.
 */
struct nexus_permission_state {
	uint64_t limit;
	uint64_t bytes, entries;
	uint64_t hits, misses;
	uint64_t invalidated, evicted, emptied;
	uint64_t closures, closures_refused, closure_hits;
};

enum nexus_permission_how {
	NEXUS_PERMISSION_ALONE		= 0,	/* it is not wanted, or the cache store has no server */
	NEXUS_PERMISSION_SHARED		= 1,	/* over the cache store */
	NEXUS_PERMISSION_CUT_OFF	= 2,	/* its server is lost: the record store answers */
};

/**
 * struct nexus_permission_sharing - of sharing: what other helpers found out, and are told
 * @how: enum nexus_permission_how
 * @since: Unix time, in seconds; 0: with NEXUS_PERMISSION_ALONE
 * @hits: answers and lists that were there; @misses: that were not
 * @put: that were put there; @failed: that were not taken
 * @refused: that were there and not put by a helper of this record store
 */
struct nexus_permission_sharing {
	uint32_t how;
	uint64_t since;
	uint64_t hits, misses;
	uint64_t put, failed;
	uint64_t refused;
};

/**
 * struct nexus_permission_objects_args - of objects: list_objects for whoever keeps what
 * it is told
 * @list: as of list_objects; the first, so that its memory is that of these arguments
 * @valid_until_ms: set: no time in a tuple changes this piece before (Unix time)
 */
struct nexus_permission_objects_args {
	struct nexus_permission_list_args list;
	int64_t valid_until_ms;
};

/**
 * struct nexus_permission_revision_args - of revision: is what was kept still true?
 * @read: @read.at is set.  As long as it is the same text, nothing was written
 */
struct nexus_permission_revision_args {
	struct nexus_permission_read read;
};

/**
 * struct nexus_permissions_ops - the operations; since version 2 state, since 3 objects and
 * revision, since 4 sharing
 */
struct nexus_permissions_ops {
	nexus_op check;		/* struct nexus_permission_check_args */
	nexus_op write;		/* struct nexus_permission_write_args */
	nexus_op delete;	/* struct nexus_permission_delete_args */
	nexus_op explain;	/* struct nexus_permission_explain_args */
	nexus_op expand;	/* struct nexus_permission_expand_args */
	nexus_op list_objects;	/* struct nexus_permission_list_args */
	nexus_op list_subjects;	/* struct nexus_permission_list_args */
	nexus_op policy_set;	/* struct nexus_permission_policy_args */
	nexus_op policy_get;	/* struct nexus_permission_policy_args */
	nexus_op clean;		/* struct nexus_permission_clean_args */
	nexus_op state;		/* struct nexus_permission_state */
	nexus_op objects;	/* struct nexus_permission_objects_args */
	nexus_op revision;	/* struct nexus_permission_revision_args */
	nexus_op sharing;	/* struct nexus_permission_sharing */
};

#endif /* NEXUS_SERVICES_PERMISSIONS_H */
