// SPDX-License-Identifier: Apache-2.0
/*
 * Agents in the record store.
 *
 * How many there are, and of each owner, is counted in rows of their own: a quota is not to
 * cost a walk over all of them.  @floor is above every generation of an agent that was
 * unregistered, and what a new one begins with.
 */
#include "agents.h"

#include <errno.h>
#include <string.h>

static const char *const version1[] = {
	"CREATE TABLE agent_registry_state (one BIGINT PRIMARY KEY CHECK (one = 1), "
	"floor BIGINT NOT NULL, agents BIGINT NOT NULL)",
	"INSERT INTO agent_registry_state (one, floor, agents) VALUES (1, 0, 0)",
	"CREATE TABLE agent_registry_owner (name {text} PRIMARY KEY, agents BIGINT NOT NULL)",
	"CREATE TABLE agent_registry_agent (id {text} PRIMARY KEY, owner {text} NOT NULL, "
	"zone {text} NOT NULL, name {text} NOT NULL, metadata {text} NOT NULL, "
	"state BIGINT NOT NULL, generation BIGINT NOT NULL, registered BIGINT NOT NULL, "
	"changed BIGINT NOT NULL, seen BIGINT NOT NULL)",
	"CREATE INDEX agent_registry_by_owner ON agent_registry_agent (owner, id)",
	"CREATE INDEX agent_registry_by_zone ON agent_registry_agent (zone, id)",
	NULL,
};

static const struct nexus_record_step steps[] = {
	{ 1, version1 },
};

int agent_migrate(struct agents *a)
{
	return table_migrate(&a->table, "agent_registry", steps, sizeof(steps) / sizeof(steps[0]));
}

/* ---- one ---------------------------------------------------------------------------- */

static int take_row(const struct nexus_record_value *v, void *arg)
{
	struct agent_row *row = arg;

	if (v[3].size >= sizeof(row->owner))
		return -EUCLEAN;
	row->state = (uint32_t)v[0].number;
	row->generation = (uint64_t)v[1].number;
	row->seen = v[2].number;
	memcpy(row->owner, v[3].data, v[3].size);
	row->owner[v[3].size] = '\0';
	return 0;
}

int agent_find(struct nexus_records *r, struct nexus_record_tx *tx, const char *id,
	       struct agent_row *row)
{
	int ret;

	row->state = 0;
	ret = table_rows(r, tx, "SELECT state, generation, seen, owner FROM agent_registry_agent "
			 "WHERE id = $1", TABLE_P(TABLE_T(id)), take_row, row);
	return ret ? ret : row->state ? 0 : -ENOENT;
}

struct loading {
	struct agents *a;
	void *args;
	struct nexus_agent *agents;
	uint32_t count, max;
	bool more;
};

static const char *keep(const struct loading *l, const struct nexus_record_value *v, int *ret)
{
	char *text = l->a->opts.more(l->args, v->size + 1);

	if (!text) {
		*ret = -ENOMEM;
		return NULL;
	}
	memcpy(text, v->data, v->size);
	text[v->size] = '\0';
	return text;
}

#define COLUMNS	"id, owner, zone, name, state, generation, registered, changed, seen"

static int take_agent(const struct nexus_record_value *v, void *arg)
{
	struct loading *l = arg;
	struct nexus_agent *agent = &l->agents[l->count];
	int ret = 0;

	if (l->count == l->max) {
		l->more = true;
		return 1;
	}
	l->count++;
	agent->id = keep(l, &v[0], &ret);
	agent->owner = keep(l, &v[1], &ret);
	agent->zone = keep(l, &v[2], &ret);
	agent->name = keep(l, &v[3], &ret);
	agent->state = (uint32_t)v[4].number;
	agent->generation = (uint64_t)v[5].number;
	agent->registered_ms = v[6].number;
	agent->changed_ms = v[7].number;
	agent->seen_ms = v[8].number;
	return ret;
}

static int take_whole(const struct nexus_record_value *v, void *arg)
{
	struct loading *l = arg;
	int ret = take_agent(v, arg);

	if (!ret)
		l->agents[0].metadata = keep(l, &v[9], &ret);
	return ret;
}

int agent_load(struct agents *a, struct nexus_records *r, struct nexus_record_tx *tx, void *args,
	       const char *id, struct nexus_agent *agent)
{
	struct loading l = { .a = a, .args = args, .agents = agent, .max = 1 };
	int ret;

	ret = table_rows(r, tx, "SELECT " COLUMNS ", metadata FROM agent_registry_agent "
			 "WHERE id = $1", TABLE_P(TABLE_T(id)), take_whole, &l);
	return ret ? ret : l.count ? 0 : -ENOENT;
}

int agent_update(struct nexus_records *r, struct nexus_record_tx *tx, const char *id,
		 uint32_t state, uint64_t generation, int64_t now, int64_t seen)
{
	return nexus_record_exec(r, tx, "UPDATE agent_registry_agent SET state = $2, "
				 "generation = $3, changed = $4, seen = $5 WHERE id = $1",
				 TABLE_P(TABLE_T(id), TABLE_I(state), TABLE_I(generation),
					 TABLE_I(now), TABLE_I(seen)), NULL);
}

/* ---- come and go -------------------------------------------------------------------- */

int agent_count(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t *agents)
{
	int64_t n;
	int ret = table_numbers(r, tx, "SELECT agents FROM agent_registry_state WHERE one = 1",
				NULL, 0, &n, 1);

	if (!ret)
		*agents = (uint64_t)n;
	return ret == -ENOENT ? -EUCLEAN : ret;
}

/* One more or less, of all and of an owner. */
static int count_one(struct nexus_records *r, struct nexus_record_tx *tx, const char *owner,
		     int add)
{
	int ret = nexus_record_exec(r, tx, "UPDATE agent_registry_state SET agents = agents + $1 "
				    "WHERE one = 1", TABLE_P(TABLE_I(add)), NULL);

	if (ret)
		return ret;
	ret = nexus_record_exec(r, tx, "INSERT INTO agent_registry_owner (name, agents) "
				"VALUES ($1, $2) ON CONFLICT (name) DO UPDATE "
				"SET agents = agent_registry_owner.agents + $2",
				TABLE_P(TABLE_T(owner), TABLE_I(add)), NULL);
	if (ret || add > 0)
		return ret;
	return nexus_record_exec(r, tx, "DELETE FROM agent_registry_owner "
				 "WHERE name = $1 AND agents = 0", TABLE_P(TABLE_T(owner)), NULL);
}

int agent_insert(struct agents *a, struct nexus_records *r, struct nexus_record_tx *tx,
		 const struct nexus_agent_add_args *args)
{
	int64_t state[2], of_owner = 0;
	struct agent_row row;
	int ret;

	ret = agent_find(r, tx, args->id, &row);
	if (ret != -ENOENT)
		return ret ? ret : -EEXIST;
	ret = table_numbers(r, tx, "SELECT floor, agents FROM agent_registry_state WHERE one = 1",
			    NULL, 0, state, 2);
	if (ret)
		return ret == -ENOENT ? -EUCLEAN : ret;
	ret = table_numbers(r, tx, "SELECT agents FROM agent_registry_owner WHERE name = $1",
			    TABLE_P(TABLE_T(args->owner)), &of_owner, 1);
	if (ret && ret != -ENOENT)
		return ret;
	if (of_owner >= a->opts.owner_max)
		return -EDQUOT;
	if (state[1] >= a->opts.agents_max)
		return -ENOSPC;
	ret = nexus_record_exec(r, tx, "INSERT INTO agent_registry_agent (" COLUMNS ", metadata) "
				"VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8)",
				TABLE_P(TABLE_T(args->id), TABLE_T(args->owner),
					TABLE_T(text_or_empty(args->zone)),
					TABLE_T(text_or_empty(args->name)),
					TABLE_I(NEXUS_AGENT_UNKNOWN), TABLE_I(state[0]),
					TABLE_I(a->opts.now_ms()),
					TABLE_T(text_or_empty(args->metadata))), NULL);
	return ret ? ret : count_one(r, tx, args->owner, 1);
}

int agent_delete(struct nexus_records *r, struct nexus_record_tx *tx, const char *id,
		 const struct agent_row *row)
{
	int ret = nexus_record_exec(r, tx, "DELETE FROM agent_registry_agent WHERE id = $1",
				    TABLE_P(TABLE_T(id)), NULL);

	if (!ret)
		ret = nexus_record_exec(r, tx, "UPDATE agent_registry_state SET floor = $1 "
					"WHERE one = 1 AND floor < $1",
					TABLE_P(TABLE_I(row->generation + 1)), NULL);
	return ret ? ret : count_one(r, tx, row->owner, -1);
}

/* ---- lists -------------------------------------------------------------------------- */

#define LIST(where)	"SELECT " COLUMNS " FROM agent_registry_agent WHERE " where \
			"id > $1 AND ($4 = 0 OR state = $4) AND ($3 = '' OR zone = $3) AND " \
			"($2 = '' OR owner = $2) ORDER BY id LIMIT $5"

int agent_list(struct agents *a, struct nexus_records *r, struct nexus_record_tx *tx,
	       struct nexus_agent_list_args *args)
{
	const char *owner = text_or_empty(args->owner), *zone = text_or_empty(args->zone);
	struct loading l = {
		.a = a, .args = args, .agents = args->agents, .max = args->max,
	};
	/* Each by the index that leaves the fewest. */
	const char *sql = owner[0] ? LIST("owner = $2 AND ") :
			  zone[0] ? LIST("zone = $3 AND ") : LIST("");
	int ret;

	ret = table_rows(r, tx, sql, TABLE_P(TABLE_T(text_or_empty(args->after)), TABLE_T(owner),
					     TABLE_T(zone), TABLE_I(args->state),
					     TABLE_I(args->max + 1)), take_agent, &l);
	args->count = l.count;
	args->more = l.more;
	return ret < 0 ? ret : 0;
}
