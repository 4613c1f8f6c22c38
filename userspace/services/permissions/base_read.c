// SPDX-License-Identifier: Apache-2.0
/* What asks: checks, explanations, expansions, lists. */
#include "base.h"

#include <stdio.h>

_Static_assert(NEXUS_PERMISSION_DEPTH == REBAC_WHY_DEPTH &&
	       NEXUS_PERMISSION_FANOUT == REBAC_WHY_FANOUT &&
	       NEXUS_PERMISSION_NODES == REBAC_WHY_NODES &&
	       NEXUS_PERMISSION_DEADLINE == REBAC_WHY_DEADLINE &&
	       NEXUS_PERMISSION_CYCLE == REBAC_WHY_CYCLE &&
	       NEXUS_PERMISSION_CONDITION == REBAC_WHY_CONDITION &&
	       NEXUS_PERMISSION_READS == REBAC_WHY_READS, "they are the same");
_Static_assert((int)NEXUS_PERMISSION_SUBJECT == (int)REBAC_BRANCH_SUBJECT &&
	       (int)NEXUS_PERMISSION_EXCLUSION == (int)REBAC_BRANCH_EXCLUSION, "likewise");
/* NOLINTBEGIN(misc-redundant-expression): they are the same, and are to stay so */
_Static_assert(NEXUS_PERMISSION_NAME_MAX == REBAC_NAME_MAX &&
	       NEXUS_PERMISSION_ID_MAX == REBAC_ID_MAX &&
	       NEXUS_PERMISSION_CONDITION_MAX == REBAC_COND_MAX &&
	       NEXUS_PERMISSION_POLICY_MAX == REBAC_POLICY_MAX, "likewise");
/* NOLINTEND(misc-redundant-expression) */

static void fill_answer(struct nexus_permission_answer *to, const struct rebac_answer *from)
{
	*to = (struct nexus_permission_answer){
		.allowed = from->value == REBAC_YES, .contextual = from->contextual,
		.why = from->why, .valid_until_ms = from->valid_until,
	};
}

/* Errors of the question itself are its answer. */
static bool is_answer(int ret)
{
	return ret == -EINVAL || ret == -ENOENT;
}

static int check_one(struct base_view *v, struct rebac_question *q,
		     const struct nexus_permission_tuple *t, struct nexus_permission_answer *to)
{
	struct rebac_answer a;
	struct rebac_key key;
	int ret = base_key(v, t, &key);

	memset(to, 0, sizeof(*to));
	if (!ret) {
		q->subj = key.subj;
		q->srel = key.srel;
		ret = base_evaluate(v, q, key.obj, key.rel, &a);
	}
	if (!ret)
		fill_answer(to, &a);
	else if (is_answer(ret))
		to->error = ret;
	else
		return ret;
	return 0;
}

static u64 clock_ms(const struct base *b)
{
	return (b->clock ? b->clock(NULL) : nexus_now_ns()) / 1000000;
}

static int check_work(struct base_view *v, void *arg)
{
	struct nexus_permission_check_args *a = arg;
	struct rebac_fact facts[NEXUS_PERMISSION_FACTS_MAX];
	struct rebac_question q;
	int ret = base_question(v, &a->read, facts, &q);
	u64 end = clock_ms(v->base) + BASE_BATCH_MS, at;
	u32 i;

	for (i = 0; i < a->count && !ret; i++) {
		at = clock_ms(v->base);
		/* So that no batch takes longer than a call may. */
		if (at >= end) {
			a->answers[i] = (struct nexus_permission_answer){
				.why = NEXUS_PERMISSION_DEADLINE,
			};
			continue;
		}
		q.limits.time_ms = (u32)(end - at);
		ret = check_one(v, &q, &a->questions[i], &a->answers[i]);
	}
	return ret;
}

int base_check(struct base *b, struct nexus_permission_check_args *a)
{
	int ret;

	if (!a->count)
		return -EINVAL;
	if (a->count > NEXUS_PERMISSION_BATCH_MAX)
		return -EMSGSIZE;
	a->answers = b->more(a, a->count * sizeof(*a->answers));
	if (!a->answers)
		return -ENOMEM;
	ret = base_read(b, &a->read, check_work, a);
	/* Whoever does not look at it finds no yes. */
	if (ret)
		memset(a->answers, 0, a->count * sizeof(*a->answers));
	return ret;
}

/* ---- explanations ----------------------------------------------------- */

#define LINE_MAX_BYTES	(2 * (REBAC_ID_MAX + 2 * REBAC_NAME_MAX) + 300)

struct explaining {
	struct nexus_permission_explain_args *a;
	struct rebac_trace trace;
};

/* TYPE:ID, or TYPE:ID#RELATION */
static int say_node(struct base_view *v, u64 node, u32 rel, char *to, size_t room)
{
	char type[REBAC_NAME_MAX + 1] = "*", id[REBAC_ID_MAX + 1] = "*", name[REBAC_NAME_MAX + 1] = "";
	int ret = 0;

	if (node != REBAC_ANYBODY)
		ret = v->txn->ops->symbol_name(v->txn, rebac_type_of(node), type);
	if (ret >= 0 && rebac_number(node) > REBAC_NUMBER_MAX)
		strcpy(id, "(not there)");
	else if (ret >= 0 && rebac_number(node) != REBAC_EVERY)
		ret = v->txn->ops->id(v->txn, node, id);
	if (ret >= 0 && rel)
		ret = v->txn->ops->symbol_name(v->txn, rel, name);
	snprintf(to, room, "%s:%s%s%s", type, id, rel ? "#" : "", name);
	return ret < 0 ? ret : 0;
}

static int say_step(struct base_view *v, void *args, const struct rebac_step *s, char **line)
{
	static const char *const values[] = { "no", "yes", "unknown" };
	static const char *const kinds[] = { "", " (known)", " (asked already)", " (tuple)" };
	char object[LINE_MAX_BYTES / 2], subject[LINE_MAX_BYTES / 2] = "", text[LINE_MAX_BYTES];
	int indent = s->depth ? (s->depth - 1) * 2 : 0;
	int ret = say_node(v, s->node, s->rel, object, sizeof(object));

	if (!ret && s->kind == REBAC_STEP_TUPLE)
		ret = say_node(v, s->subj, s->srel, subject, sizeof(subject));
	if (ret)
		return ret;
	ret = snprintf(text, sizeof(text), "%*s%s: %s%s%s%s", indent, "", values[s->value], object,
		       subject[0] ? "@" : "", subject, kinds[s->kind]);
	*line = v->base->more(args, (size_t)ret + 1);
	if (!*line)
		return -ENOMEM;
	memcpy(*line, text, (size_t)ret + 1);
	return 0;
}

static int explain_work(struct base_view *v, void *arg)
{
	struct explaining *e = arg;
	struct nexus_permission_explain_args *a = e->a;
	struct rebac_fact facts[NEXUS_PERMISSION_FACTS_MAX];
	struct rebac_question q;
	int ret = base_question(v, &a->read, facts, &q);
	u32 i;

	memset(&e->trace, 0, sizeof(e->trace));
	a->nlines = 0;
	q.trace = &e->trace;
	if (!ret)
		ret = check_one(v, &q, &a->question, &a->answer);
	if (ret || !e->trace.n)
		return ret;
	a->cut = e->trace.cut;
	a->lines = v->base->more(a, e->trace.n * sizeof(*a->lines));
	if (!a->lines)
		return -ENOMEM;
	for (i = 0; i < e->trace.n && !ret; i++)
		ret = say_step(v, a, &e->trace.steps[i], &a->lines[i]);
	a->nlines = ret ? 0 : e->trace.n;
	return ret;
}

int base_explain(struct base *b, struct nexus_permission_explain_args *a)
{
	struct explaining *e = malloc(sizeof(*e));
	int ret;

	if (!e)
		return -ENOMEM;
	e->a = a;
	ret = base_read(b, &a->read, explain_work, e);
	if (ret)
		memset(&a->answer, 0, sizeof(a->answer));
	free(e);
	return ret;
}

/* ---- expansions ------------------------------------------------------- */

static int say_branch(struct base_view *v, void *args, const struct rebac_branch *from,
		      struct nexus_permission_branch *to)
{
	int ret = 0;

	*to = (struct nexus_permission_branch){
		.kind = from->kind, .depth = from->depth, .conditional = from->conditional,
	};
	if (from->kind >= REBAC_BRANCH_UNION)
		return 0;
	to->type = base_symbol_text(v, args, rebac_type_of(from->node), &ret);
	to->id = base_id_text(v, args, from->node, &ret);
	if (from->rel)
		to->relation = base_symbol_text(v, args, from->rel, &ret);
	return ret;
}

static int expand_tree(struct base_view *v, struct nexus_permission_expand_args *a,
		       struct rebac_tree *t)
{
	struct nexus_permission_tuple tuple = { a->object_type, a->object_id, a->relation, "*", "*",
						NULL };
	struct rebac_fact facts[NEXUS_PERMISSION_FACTS_MAX];
	struct rebac_question q;
	struct rebac_key key;
	int ret = base_question(v, &a->read, facts, &q);
	u32 i;

	if (!ret)
		ret = base_key(v, &tuple, &key);
	if (!ret && rebac_number(key.obj) > REBAC_NUMBER_MAX)
		return 0;	/* no tuple has it: nobody */
	if (!ret)
		ret = rebac_expand(&q, key.obj, key.rel, t);
	if (ret)
		return ret;
	a->why = t->why;
	a->branches = v->base->more(a, (t->n ? t->n : 1) * sizeof(*a->branches));
	if (!a->branches)
		return -ENOMEM;
	for (i = 0; i < t->n && !ret; i++)
		ret = say_branch(v, a, &t->branches[i], &a->branches[i]);
	a->nbranches = ret ? 0 : t->n;
	return ret;
}

static int expand_work(struct base_view *v, void *arg)
{
	struct nexus_permission_expand_args *a = arg;
	struct rebac_tree t = { .max = a->max ? a->max : NEXUS_PERMISSION_LIST_MAX };
	int ret;

	a->nbranches = a->why = 0;
	t.branches = calloc(t.max, sizeof(*t.branches));
	if (!t.branches)
		return -ENOMEM;
	ret = expand_tree(v, a, &t);
	free(t.branches);
	return ret;
}

int base_expand(struct base *b, struct nexus_permission_expand_args *a)
{
	if (a->max > NEXUS_PERMISSION_LIST_MAX)
		return -EMSGSIZE;
	return base_read(b, &a->read, expand_work, a);
}

/* ---- lists ------------------------------------------------------------ */

struct listing {
	struct nexus_permission_list_args *a;
	bool objects;
	struct rebac_listing l;
};

/* Number of the id the list goes on behind. */
static int behind(struct base_view *v, u32 type, const char *after, u32 *number)
{
	size_t len = strnlen(after, REBAC_ID_MAX + 1);
	int ret;

	*number = REBAC_EVERY;
	if (len == 1 && after[0] == '*')
		return 0;
	if (!rebac_id_ok(after, len))
		return -EINVAL;
	ret = v->txn->ops->number(v->txn, type, after, len, false, number);
	return ret == -ENOENT ? -EINVAL : ret;
}

static int list_found(struct base_view *v, struct listing *s, u32 *type)
{
	struct nexus_permission_list_args *a = s->a;
	struct nexus_permission_tuple t = a->tuple;
	struct rebac_fact facts[NEXUS_PERMISSION_FACTS_MAX];
	struct rebac_question q;
	struct rebac_key key;
	u32 after = REBAC_EVERY;
	int ret = base_question(v, &a->read, facts, &q);

	/* Whoever is looked for is nobody in particular yet. */
	if (s->objects)
		t.object_id = "-";
	else
		t.subject_id = "-";
	if (!ret)
		ret = base_key(v, &t, &key);
	if (ret)
		return ret;
	*type = rebac_type_of(s->objects ? key.obj : key.subj);
	if (base_given(a->after)) {
		ret = behind(v, *type, a->after, &after);
		if (ret)
			return ret;
	}
	q.subj = key.subj;
	q.srel = key.srel;
	return s->objects ?
		base_objects(v, &q, *type, key.rel, after, &s->l) :
		rebac_list_subjects(&q, key.obj, key.rel, *type, key.srel, !base_given(a->after), after,
				    &s->l);
}

static int list_work(struct base_view *v, void *arg)
{
	struct listing *s = arg;
	struct nexus_permission_list_args *a = s->a;
	u32 i, type = 0;
	int ret = list_found(v, s, &type);

	a->nitems = 0;
	if (ret)
		return ret;
	a->items = v->base->more(a, (s->l.n ? s->l.n : 1) * sizeof(*a->items));
	if (!a->items)
		return -ENOMEM;
	for (i = 0; i < s->l.n && !ret; i++)
		a->items[i] = (struct nexus_permission_item){
			base_id_text(v, a, rebac_node(type, s->l.found[i].number), &ret),
			s->l.found[i].not,
		};
	a->nitems = ret ? 0 : s->l.n;
	a->more = s->l.more;
	a->why = s->l.why;
	return ret;
}

static int list(struct base *b, struct nexus_permission_list_args *a, bool objects,
		int64_t *valid_until)
{
	struct listing s = { .a = a, .objects = objects };
	int ret;

	if (a->max > NEXUS_PERMISSION_LIST_MAX)
		return -EMSGSIZE;
	if (base_given(objects ? a->tuple.object_id : a->tuple.subject_id))
		return -EINVAL;
	s.l.max = a->max ? a->max : NEXUS_PERMISSION_LIST_MAX;
	s.l.found = calloc(s.l.max, sizeof(*s.l.found));
	if (!s.l.found)
		return -ENOMEM;
	ret = base_read(b, &a->read, list_work, &s);
	free(s.l.found);
	if (valid_until)
		*valid_until = s.l.valid_until;
	return ret;
}

int base_list_objects(struct base *b, struct nexus_permission_list_args *a)
{
	return list(b, a, true, NULL);
}

int base_list_subjects(struct base *b, struct nexus_permission_list_args *a)
{
	return list(b, a, false, NULL);
}

int base_objects_until(struct base *b, struct nexus_permission_objects_args *a)
{
	return list(b, &a->list, true, &a->valid_until_ms);
}

static int nothing_work(struct base_view *v, void *arg)
{
	(void)arg;
	return v->policy ? 0 : -ENODATA;
}

int base_revision(struct base *b, struct nexus_permission_revision_args *a)
{
	return base_read(b, &a->read, nothing_work, NULL);
}
