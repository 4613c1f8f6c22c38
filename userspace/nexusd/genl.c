// SPDX-License-Identifier: Apache-2.0
#include "genl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <linux/nexusfs.h>

struct dump {
	void (*message)(struct dump *d, struct genlmsghdr *gh);
	int ret;
	int error;		/* of the kernel */
	bool done;
};

struct stats_dump {
	struct dump d;		/* first */
	int (*fn)(void *arg, const char *name, uint64_t value);
	void *arg;
};

struct zone_dump {
	struct dump d;		/* first */
	const char *session;
	const char *name;
	char *reason;
	size_t size;
};

static void one_counter(struct stats_dump *s, struct nlattr *nest)
{
	struct nlattr *a[NEXUS_A_MAX + 1];

	if (nla_parse_nested(a, NEXUS_A_MAX, nest, NULL) || !a[NEXUS_A_NAME] ||
	    !a[NEXUS_A_VALUE] || nla_len(a[NEXUS_A_VALUE]) < (int)sizeof(uint64_t))
		return;
	if (!s->d.ret)
		s->d.ret = s->fn(s->arg, nla_get_string(a[NEXUS_A_NAME]),
				 nla_get_u64(a[NEXUS_A_VALUE]));
}

static void counters(struct dump *d, struct genlmsghdr *gh)
{
	struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, genlmsg_attrdata(gh, 0), genlmsg_attrlen(gh, 0), rem)
		if (nla_type(attr) == NEXUS_A_COUNTER)
			one_counter((struct stats_dump *)d, attr);
}

static void zone_reason(struct dump *d, struct genlmsghdr *gh)
{
	struct zone_dump *z = (struct zone_dump *)d;
	struct nlattr *a[NEXUS_A_MAX + 1];

	if (nla_parse(a, NEXUS_A_MAX, genlmsg_attrdata(gh, 0), genlmsg_attrlen(gh, 0), NULL) ||
	    !a[NEXUS_A_SESSION] || !a[NEXUS_A_ZONE] || !a[NEXUS_A_REASON])
		return;
	if (!strcmp(nla_get_string(a[NEXUS_A_SESSION]), z->session) &&
	    !strcmp(nla_get_string(a[NEXUS_A_ZONE]), z->name))
		snprintf(z->reason, z->size, "%s", nla_get_string(a[NEXUS_A_REASON]));
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct dump *d = arg;

	d->message(d, nlmsg_data(nlmsg_hdr(msg)));
	return NL_OK;
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	struct dump *d = arg;

	(void)msg;
	d->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct dump *d = arg;

	(void)who;
	d->error = e->error;
	d->done = true;
	return NL_STOP;
}

static int run(struct nl_sock *sk, int family, uint8_t command, struct dump *d)
{
	struct nl_msg *msg = nlmsg_alloc();
	int ret = 0;

	if (!msg)
		return -ENOMEM;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_DUMP,
			 command, NEXUS_GENL_VERSION))
		ret = -ENOMEM;
	else if (nl_send_auto(sk, msg) < 0)
		ret = -EIO;
	nlmsg_free(msg);
	while (!ret && !d->done)
		if (nl_recvmsgs_default(sk) < 0)
			ret = -EIO;
	if (!ret)
		ret = d->error;
	return ret ? ret : d->ret;
}

static int dump(uint8_t command, struct dump *d)
{
	struct nl_sock *sk = nl_socket_alloc();
	int family, ret;

	if (!sk)
		return -ENOMEM;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, d);
	nl_socket_modify_cb(sk, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, d);
	nl_socket_modify_err_cb(sk, NL_CB_CUSTOM, on_error, d);
	if (genl_connect(sk)) {
		ret = -EIO;
		goto free_sock;
	}
	family = genl_ctrl_resolve(sk, NEXUS_GENL_NAME);
	ret = family < 0 ? -ENOENT : run(sk, family, command, d);
free_sock:
	nl_socket_free(sk);
	return ret;
}

int genl_invalidate(const char *session, const char *name)
{
	struct nl_sock *sk = nl_socket_alloc();
	struct nl_msg *msg = nlmsg_alloc();
	int family, ret = -ENOMEM;

	if (!sk || !msg)
		goto out;
	ret = -EIO;
	if (genl_connect(sk))
		goto out;
	family = genl_ctrl_resolve(sk, NEXUS_GENL_NAME);
	ret = -ENOENT;
	if (family < 0)
		goto out;
	ret = -ENOMEM;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, NEXUS_CMD_INVALIDATE,
			 NEXUS_GENL_VERSION) ||
	    nla_put_string(msg, NEXUS_A_SESSION, session) ||
	    nla_put_string(msg, NEXUS_A_ZONE, name))
		goto out;
	/* Sends, and waits for the kernel's word. */
	ret = nl_send_sync(sk, msg);
	msg = NULL;
	ret = ret < 0 ? -EIO : 0;
out:
	nlmsg_free(msg);
	nl_socket_free(sk);
	return ret;
}

int genl_stats(int (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct stats_dump s = { .d.message = counters, .fn = fn, .arg = arg };

	return dump(NEXUS_CMD_STATS_GET, &s.d);
}

int genl_zone_reason(const char *session, const char *name, char *reason, size_t size)
{
	struct zone_dump z = {
		.d.message = zone_reason, .session = session, .name = name,
		.reason = reason, .size = size,
	};
	int ret;

	reason[0] = '\0';
	ret = dump(NEXUS_CMD_ZONE_GET, &z.d);
	return !ret && !reason[0] ? -ENOENT : ret;
}
