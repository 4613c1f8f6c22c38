// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control plane: generic netlink family "nexusfs", as specified in
 * Documentation/netlink/nexusfs.yaml.  Nothing that happens per request.
 *
 * In the initial network namespace only.  Changes need CAP_NET_ADMIN and
 * CAP_SYS_ADMIN; reading needs CAP_NET_ADMIN too, since names and errors of zones
 * are nobody's business.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "../foreign.h"
#include "chan.h"
#include "genl.h"

/* ---- finding things --------------------------------------------------------- */

/* The n-th session, referenced, or NULL. */
static struct nexus_session *nexus_genl_session(unsigned long n)
{
	struct nexus_session *s, *found = NULL;

	mutex_lock(&nexus_sessions_lock);
	list_for_each_entry(s, &nexus_sessions, node) {
		if (!n--) {
			nexus_session_get(s);
			found = s;
			break;
		}
	}
	mutex_unlock(&nexus_sessions_lock);
	return found;
}

static struct nexus_czone *nexus_genl_zone_of(struct nexus_session *s,
					      const char *name)
{
	struct nexus_czone *cz, *found = NULL;
	unsigned long id;

	mutex_lock(&s->zlock);
	xa_for_each(&s->zones, id, cz) {
		if (strcmp(cz->zone->name, name))
			continue;
		kref_get(&cz->ref);
		found = cz;
		break;
	}
	mutex_unlock(&s->zlock);
	return found;
}

/* The zone a request names, referenced, or ERR_PTR with the reason said. */
static struct nexus_czone *nexus_genl_zone(struct genl_info *info)
{
	struct nlattr *name = info->attrs[NEXUS_A_ZONE];
	struct nlattr *session = info->attrs[NEXUS_A_SESSION];
	struct nexus_czone *cz, *found = NULL;
	struct nexus_session *s;
	unsigned long n;

	if (GENL_REQ_ATTR_CHECK(info, NEXUS_A_ZONE))
		return ERR_PTR(-EINVAL);
	for (n = 0; (s = nexus_genl_session(n)); n++) {
		if (session && nla_strcmp(session, s->name)) {
			nexus_session_put(s);
			continue;
		}
		cz = nexus_genl_zone_of(s, nla_data(name));
		nexus_session_put(s);
		if (!cz)
			continue;
		if (found) {
			nexus_czone_put(found);
			nexus_czone_put(cz);
			NL_SET_ERR_MSG(info->extack,
				       "several sessions have a zone of this name: give the session too");
			return ERR_PTR(-ENOTUNIQ);
		}
		found = cz;
	}
	if (!found) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "no such zone is in use");
		return ERR_PTR(-ENOENT);
	}
	return found;
}

/* ---- dumps ------------------------------------------------------------------- */

struct nexus_genl_cursor {
	unsigned long session;	/* sessions done */
	unsigned long next;	/* zone id to go on from, or counters done */
};

static struct nexus_genl_cursor *nexus_genl_cursor(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct nexus_genl_cursor) >
		     sizeof_field(struct netlink_callback, ctx));
	return (struct nexus_genl_cursor *)cb->ctx;
}

static void *nexus_genl_begin(struct sk_buff *skb, struct netlink_callback *cb,
			      u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &nexus_genl_family, NLM_F_MULTI, cmd);
}

static int nexus_genl_fill_session(struct sk_buff *skb,
				   struct nexus_session *s)
{
	u32 queues = 0, requests = 0, pending;
	struct nexus_att *att;

	rcu_read_lock();
	att = rcu_dereference(s->att);
	if (att) {
		queues = att->nr_queues;
		requests = nexus_att_requests(att);
	}
	rcu_read_unlock();
	spin_lock(&s->lock);
	pending = list_count_nodes(&s->pending) + list_count_nodes(&s->distant);
	spin_unlock(&s->lock);

	if (nla_put_string(skb, NEXUS_A_SESSION, s->name) ||
	    nla_put_u32(skb, NEXUS_A_STATE, READ_ONCE(s->state)) ||
	    nla_put_u32(skb, NEXUS_A_EPOCH, READ_ONCE(s->epoch)) ||
	    nla_put_u32(skb, NEXUS_A_PID, READ_ONCE(s->pid)) ||
	    nla_put_u32(skb, NEXUS_A_QUEUES, queues) ||
	    nla_put_u32(skb, NEXUS_A_REQUESTS, requests) ||
	    nla_put_u32(skb, NEXUS_A_PENDING, pending))
		return -EMSGSIZE;
	return 0;
}

int nexus_genl_session_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nexus_genl_cursor *c = nexus_genl_cursor(cb);
	struct nexus_session *s;

	for (; (s = nexus_genl_session(c->session)); c->session++) {
		void *hdr = nexus_genl_begin(skb, cb, NEXUS_CMD_SESSION_GET);
		int err = hdr ? nexus_genl_fill_session(skb, s) : -EMSGSIZE;

		nexus_session_put(s);
		if (err) {
			if (hdr)
				genlmsg_cancel(skb, hdr);
			/* A full buffer is sent and the dump goes on from here. */
			return skb->len ?: err;
		}
		genlmsg_end(skb, hdr);
	}
	return skb->len;
}

static int nexus_genl_fill_zone(struct sk_buff *skb, struct nexus_session *s,
				struct nexus_czone *cz)
{
	struct nexus_zone *zone = cz->zone;
	/* Pairs with the release in nexus_zone_fail(): the reason is whole. */
	int error = smp_load_acquire(&zone->error);
	u32 flags = 0;
	u64 checkpoint;

	spin_lock_irq(&cz->lock);
	checkpoint = cz->checkpoint;
	spin_unlock_irq(&cz->lock);
	if (!READ_ONCE(cz->mounted))
		flags |= NEXUS_LF_DETACHED;
	if (error)
		flags |= NEXUS_LF_READONLY;

	if (nla_put_string(skb, NEXUS_A_SESSION, s->name) ||
	    nla_put_string(skb, NEXUS_A_ZONE, zone->name) ||
	    nla_put_u32(skb, NEXUS_A_ZONE_ID, cz->id) ||
	    nla_put(skb, NEXUS_A_UUID, sizeof(zone->uuid), zone->uuid) ||
	    nla_put_u32(skb, NEXUS_A_FLAGS, flags) ||
	    nla_put_u64_64bit(skb, NEXUS_A_TAIL, nexus_log_tail(zone),
			      NEXUS_A_PAD) ||
	    nla_put_u64_64bit(skb, NEXUS_A_DURABLE, nexus_log_durable(zone),
			      NEXUS_A_PAD) ||
	    nla_put_u64_64bit(skb, NEXUS_A_APPLIED, nexus_log_applied(zone),
			      NEXUS_A_PAD) ||
	    nla_put_u64_64bit(skb, NEXUS_A_CHECKPOINT, checkpoint,
			      NEXUS_A_PAD))
		return -EMSGSIZE;
	if (error && (nla_put_s32(skb, NEXUS_A_ERROR, error) ||
		      nla_put_string(skb, NEXUS_A_REASON, zone->reason)))
		return -EMSGSIZE;
	return 0;
}

/* The zones of @s from the cursor on; -EMSGSIZE when the buffer is full. */
static int nexus_genl_zones(struct sk_buff *skb, struct netlink_callback *cb,
			    struct nexus_session *s)
{
	struct nexus_genl_cursor *c = nexus_genl_cursor(cb);
	struct nexus_czone *cz;
	unsigned long id;
	int err = 0;

	mutex_lock(&s->zlock);
	xa_for_each_start(&s->zones, id, cz, c->next) {
		void *hdr = nexus_genl_begin(skb, cb, NEXUS_CMD_ZONE_GET);

		err = hdr ? nexus_genl_fill_zone(skb, s, cz) : -EMSGSIZE;
		if (err) {
			if (hdr)
				genlmsg_cancel(skb, hdr);
			c->next = id;
			break;
		}
		genlmsg_end(skb, hdr);
	}
	mutex_unlock(&s->zlock);
	return err;
}

int nexus_genl_zone_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nexus_genl_cursor *c = nexus_genl_cursor(cb);
	struct nexus_session *s;

	for (; (s = nexus_genl_session(c->session)); c->session++) {
		int err = nexus_genl_zones(skb, cb, s);

		nexus_session_put(s);
		if (err)
			return skb->len ?: err;
		c->next = 0;
	}
	return skb->len;
}

int nexus_genl_stats_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nexus_genl_cursor *c = nexus_genl_cursor(cb);

	for (; c->next < NEXUS_C_MAX; c->next++) {
		void *hdr = nexus_genl_begin(skb, cb, NEXUS_CMD_STATS_GET);
		struct nlattr *nest;

		if (!hdr)
			break;
		nest = nla_nest_start(skb, NEXUS_A_COUNTER);
		if (!nest ||
		    nla_put_string(skb, NEXUS_A_NAME,
				   nexus_count_name(c->next)) ||
		    nla_put_u64_64bit(skb, NEXUS_A_VALUE,
				      nexus_count_read(c->next), NEXUS_A_PAD)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		nla_nest_end(skb, nest);
		genlmsg_end(skb, hdr);
	}
	return skb->len;
}

/* ---- commands ------------------------------------------------------------------ */

static int nexus_genl_may_change(struct genl_info *info)
{
	if (capable(CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(info->extack, "this needs CAP_SYS_ADMIN");
	return -EPERM;
}

/* The zone's superblock; its end must not be ours, who may be the helper. */
static struct super_block *nexus_genl_sb(struct nexus_czone *cz,
					 struct genl_info *info)
{
	struct super_block *sb = nexus_zone_grab_sb(cz->zone);

	if (!sb)
		NL_SET_ERR_MSG(info->extack, "the zone is not mounted");
	return sb;
}

/*
 * What is clean of one inode goes: pages, then, when nobody uses it, the inode
 * itself.  Dirty pages are the newest there are and stay.
 */
static void nexus_genl_drop_inode(struct inode *inode)
{
	invalidate_mapping_pages(inode->i_mapping, 0, -1);
	d_mark_dontcache(inode);
	d_prune_aliases(inode);
}

static void nexus_genl_drop_all(struct super_block *sb)
{
	struct inode *inode, *last = NULL;

	/* Unused dentries first: they hold inodes. */
	shrink_dcache_sb(sb);
	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (nexus_inode_is_new(inode) || !igrab(inode))
			continue;
		/* While held it stays on the list, so the walk can go on. */
		spin_unlock(&sb->s_inode_list_lock);
		iput(last);
		last = inode;
		nexus_genl_drop_inode(inode);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
}

int nexus_genl_invalidate(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *a = info->attrs[NEXUS_A_INO];
	struct super_block *sb;
	struct nexus_czone *cz;
	struct inode *inode;
	int err;

	err = nexus_genl_may_change(info);
	if (err)
		return err;
	cz = nexus_genl_zone(info);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	sb = nexus_genl_sb(cz, info);
	err = -ENOTCONN;
	if (!sb)
		goto out;
	err = 0;
	if (a) {
		/* Not ilookup(): it waits for inodes that wait for the helper. */
		inode = nexus_ilookup_nowait(sb, nla_get_u64(a));
		if (inode) {
			nexus_genl_drop_inode(inode);
			iput(inode);
		}
	} else {
		/* What is in use goes on being used, but is asked for again. */
		nexus_foreign_refresh(cz->zone);
		nexus_genl_drop_all(sb);
	}
	nexus_sb_release(sb);
out:
	nexus_czone_put(cz);
	return err;
}

int nexus_genl_quiesce(struct sk_buff *skb, struct genl_info *info)
{
	struct nexus_czone *cz;
	int err;

	err = nexus_genl_may_change(info);
	if (err)
		return err;
	cz = nexus_genl_zone(info);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	err = nexus_log_sync(cz->zone);
	if (err == -EIO)
		NL_SET_ERR_MSG(info->extack,
			       "the log of the zone cannot be written");
	nexus_czone_put(cz);
	return err;
}

int nexus_genl_abort(struct sk_buff *skb, struct genl_info *info)
{
	struct nexus_session *s;
	int err;

	err = nexus_genl_may_change(info);
	if (err)
		return err;
	if (GENL_REQ_ATTR_CHECK(info, NEXUS_A_SESSION))
		return -EINVAL;
	s = nexus_session_lookup(nla_data(info->attrs[NEXUS_A_SESSION]));
	if (!s) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[NEXUS_A_SESSION],
				    "no such session");
		return -ENOENT;
	}
	pr_warn("nexusfs: session %s: aborted by an administrator\n", s->name);
	nexus_session_abort(s, "aborted by an administrator");
	nexus_session_put(s);
	return 0;
}
