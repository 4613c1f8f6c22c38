// SPDX-License-Identifier: Apache-2.0
/*
 * Policies and tuples that are published as examples by systems of this kind,
 * in our words, each with its source, and what they say and do not say.
 */
#include "policy-world.h"

static struct world w;

static void begin(const char *policy, const char *const *tuples)
{
	policy_begin(&w, policy);
	while (*tuples)
		world_put(&w, *tuples++);
}

static void all(enum rebac_value value, const char *const *questions)
{
	while (*questions)
		world_expect(&w, *questions++, value);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/*
 * Folders and documents: owners are editors, editors are viewers, and who
 * views a folder views what is in it.
 * Source: R. Pang et al., "Zanzibar: Google's Consistent, Global Authorization
 * System", USENIX ATC 2019, figure 1 (doc: owner, editor, viewer and the
 * viewers of the parent folder) and section 2.1 (tuples like
 * doc:readme#owner@10, group:eng#member@11, doc:readme#viewer@group:eng#member,
 * doc:readme#parent@folder:A).
 */
static void test_zanzibar_paper(void **state)
{
	(void)state;
	begin("types:\n"
	      "  user:\n"
	      "  group:\n"
	      "    relations: { member: { this: [user, group#member] } }\n"
	      "  folder:\n"
	      "    relations: { viewer: { this: [user, group#member] } }\n"
	      "  doc:\n"
	      "    relations:\n"
	      "      parent: { this: [folder] }\n"
	      "      owner: { this: [user] }\n"
	      "      editor: [{ this: [user, group#member] }, owner]\n"
	      "      viewer:\n"
	      "        - { this: [user, group#member] }\n"
	      "        - editor\n"
	      "        - { from: parent, relation: viewer }\n",
	      LIST("doc:readme#owner@user:10", "group:eng#member@user:11",
		   "doc:readme#viewer@group:eng#member", "doc:readme#parent@folder:A",
		   "folder:A#viewer@user:12", "doc:other#editor@user:13"));
	all(REBAC_YES, LIST("doc:readme#owner@user:10", "doc:readme#editor@user:10",
			    "doc:readme#viewer@user:10", "doc:readme#viewer@user:11",
			    "doc:readme#viewer@user:12", "doc:other#viewer@user:13"));
	all(REBAC_NO, LIST("doc:readme#editor@user:11", "doc:readme#owner@user:11",
			   "doc:readme#editor@user:12", "doc:other#viewer@user:10",
			   "doc:other#viewer@user:12", "doc:other#owner@user:13"));
	policy_end(&w);
}

/*
 * A drive: folders in folders, shared with people, with everybody of a domain
 * and with everybody; a folder's owners own what is below.
 * Source: OpenFGA, documentation, "Modeling Google Drive" (docs/modeling/advanced/gdrive).
 */
static void test_drive(void **state)
{
	(void)state;
	begin("types:\n"
	      "  user:\n"
	      "  domain:\n"
	      "    relations: { member: { this: [user] } }\n"
	      "  folder:\n"
	      "    relations:\n"
	      "      parent: { this: [folder] }\n"
	      "      owner: [{ this: [user, domain#member] }, { from: parent, relation: owner }]\n"
	      "      viewer:\n"
	      "        - { this: [user, \"user:*\", domain#member] }\n"
	      "        - owner\n"
	      "        - { from: parent, relation: viewer }\n"
	      "    permissions: { can-create-file: owner }\n"
	      "  doc:\n"
	      "    relations:\n"
	      "      parent: { this: [folder] }\n"
	      "      owner: { this: [user, domain#member] }\n"
	      "      viewer: { this: [user, \"user:*\", domain#member] }\n"
	      "    permissions:\n"
	      "      can-read: [viewer, owner, { from: parent, relation: viewer }]\n"
	      "      can-write: [owner, { from: parent, relation: owner }]\n"
	      "      can-share: [owner, { from: parent, relation: owner }]\n",
	      LIST("domain:xyz#member@user:anne", "domain:xyz#member@user:beth",
		   "folder:product-2021#owner@user:anne",
		   "folder:product-2021#viewer@domain:xyz#member",
		   "folder:roadmaps#parent@folder:product-2021",
		   "doc:2021-roadmap#parent@folder:roadmaps", "doc:2021-roadmap#viewer@user:beth",
		   "doc:public-roadmap#parent@folder:roadmaps", "doc:public-roadmap#viewer@user:*"));
	all(REBAC_YES, LIST("doc:2021-roadmap#can-write@user:anne", "doc:2021-roadmap#can-share@user:anne",
			    "doc:2021-roadmap#can-read@user:anne", "doc:2021-roadmap#can-read@user:beth",
			    "folder:roadmaps#viewer@user:beth", "folder:roadmaps#can-create-file@user:anne",
			    "doc:public-roadmap#can-read@user:anonymous",
			    "folder:roadmaps#viewer@domain:xyz#member"));
	all(REBAC_NO, LIST("doc:2021-roadmap#can-write@user:beth", "doc:2021-roadmap#can-share@user:beth",
			   "doc:2021-roadmap#can-read@user:charles",
			   "folder:product-2021#can-create-file@user:beth",
			   "doc:public-roadmap#can-write@user:anonymous"));
	policy_end(&w);
}

/*
 * Organisations, teams in teams, repositories with five roles that build on
 * each other, and base roles that an organisation gives all of its members.
 * Source: OpenFGA, documentation, "Modeling GitHub permissions"
 * (docs/modeling/advanced/github).
 */
static void test_repositories(void **state)
{
	(void)state;
	begin("types:\n"
	      "  user:\n"
	      "  team:\n"
	      "    relations: { member: { this: [user, team#member] } }\n"
	      "  organization:\n"
	      "    relations:\n"
	      "      owner: { this: [user] }\n"
	      "      member: [{ this: [user] }, owner]\n"
	      "      repo_admin: { this: [user, organization#member] }\n"
	      "      repo_reader: { this: [user, organization#member] }\n"
	      "      repo_writer: { this: [user, organization#member] }\n"
	      "  repo:\n"
	      "    relations:\n"
	      "      owner: { this: [organization] }\n"
	      "      admin: [{ this: [user, team#member] }, { from: owner, relation: repo_admin }]\n"
	      "      maintainer: [{ this: [user, team#member] }, admin]\n"
	      "      writer:\n"
	      "        - { this: [user, team#member] }\n"
	      "        - maintainer\n"
	      "        - { from: owner, relation: repo_writer }\n"
	      "      triager: [{ this: [user, team#member] }, writer]\n"
	      "      reader:\n"
	      "        - { this: [user, team#member] }\n"
	      "        - triager\n"
	      "        - { from: owner, relation: repo_reader }\n",
	      LIST("organization:openfga#member@user:erik",
		   "organization:openfga#repo_admin@organization:openfga#member",
		   "repo:openfga/openfga#owner@organization:openfga",
		   "repo:openfga/openfga#admin@team:openfga/core#member",
		   "repo:openfga/openfga#reader@user:anne", "repo:openfga/openfga#writer@user:beth",
		   "team:openfga/core#member@user:charles",
		   "team:openfga/core#member@team:openfga/backend#member",
		   "team:openfga/backend#member@user:diane"));
	all(REBAC_YES, LIST("repo:openfga/openfga#reader@user:anne", "repo:openfga/openfga#writer@user:beth",
			    "repo:openfga/openfga#reader@user:beth", "repo:openfga/openfga#admin@user:charles",
			    "repo:openfga/openfga#admin@user:diane", "repo:openfga/openfga#writer@user:diane",
			    "repo:openfga/openfga#admin@user:erik", "repo:openfga/openfga#reader@user:erik"));
	all(REBAC_NO, LIST("repo:openfga/openfga#triager@user:anne", "repo:openfga/openfga#admin@user:beth",
			   "repo:openfga/openfga#maintainer@user:beth",
			   "organization:openfga#owner@user:erik", "team:openfga/core#member@user:erik"));
	policy_end(&w);
}

/*
 * Who is blocked does not get in, whatever else he is.
 * Source: OpenFGA, documentation, "Blocklists" (docs/modeling/blocklists).
 */
static void test_blocked(void **state)
{
	(void)state;
	begin("types:\n"
	      "  user:\n"
	      "  team:\n"
	      "    relations: { member: { this: [user, team#member] } }\n"
	      "  document:\n"
	      "    relations:\n"
	      "      blocked: { this: [user, team#member] }\n"
	      "      editor: { exclusion: [{ this: [user, team#member] }, blocked] }\n",
	      LIST("team:product#member@user:becky", "team:product#member@user:carl",
		   "document:planning#editor@team:product#member", "document:planning#blocked@user:carl"));
	all(REBAC_YES, LIST("document:planning#editor@user:becky"));
	all(REBAC_NO, LIST("document:planning#editor@user:carl", "document:planning#editor@user:anne"));
	/* And by way of a team. */
	world_put(&w, "document:planning#blocked@team:product#member");
	all(REBAC_NO, LIST("document:planning#editor@user:becky"));
	world_del(&w, "document:planning#blocked@team:product#member");
	all(REBAC_YES, LIST("document:planning#editor@user:becky"));
	policy_end(&w);
}

/*
 * Two conditions at once: a writer of the document who is in the organisation
 * it belongs to.
 * Source: OpenFGA, documentation, "Multiple restrictions" (docs/modeling/multiple-restrictions).
 */
static void test_restrictions(void **state)
{
	(void)state;
	begin("types:\n"
	      "  user:\n"
	      "  organization:\n"
	      "    relations: { member: { this: [user] } }\n"
	      "  document:\n"
	      "    relations:\n"
	      "      owner: { this: [organization] }\n"
	      "      writer: { this: [user] }\n"
	      "    permissions:\n"
	      "      can_write: writer\n"
	      "      can_delete: { intersection: [writer, { from: owner, relation: member }] }\n",
	      LIST("organization:contoso#member@user:becky", "document:planning#owner@organization:contoso",
		   "document:planning#writer@user:becky", "document:planning#writer@user:carl"));
	all(REBAC_YES, LIST("document:planning#can_write@user:becky", "document:planning#can_delete@user:becky",
			    "document:planning#can_write@user:carl"));
	all(REBAC_NO, LIST("document:planning#can_delete@user:carl", "document:planning#can_delete@user:dan"));
	policy_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zanzibar_paper), cmocka_unit_test(test_drive),
		cmocka_unit_test(test_repositories), cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_restrictions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
