// SPDX-License-Identifier: Apache-2.0
#include "genl.h"

#include <errno.h>
#include <stdbool.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <linux/nexusfs.h>

struct dump {
	int (*fn)(void *arg, const char *name, uint64_t value);
	void *arg;
	int ret;
	int error;		/* of the kernel */
	bool done;
};

static void one_counter(struct dump *d, struct nlattr *nest)
{
	struct nlattr *a[NEXUS_A_MAX + 1];

	if (nla_parse_nested(a, NEXUS_A_MAX, nest, NULL) || !a[NEXUS_A_NAME] ||
	    !a[NEXUS_A_VALUE] || nla_len(a[NEXUS_A_VALUE]) < (int)sizeof(uint64_t))
		return;
	if (!d->ret)
		d->ret = d->fn(d->arg, nla_get_string(a[NEXUS_A_NAME]),
			       nla_get_u64(a[NEXUS_A_VALUE]));
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *gh = nlmsg_data(nlmsg_hdr(msg));
	struct dump *d = arg;
	struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, genlmsg_attrdata(gh, 0), genlmsg_attrlen(gh, 0), rem)
		if (nla_type(attr) == NEXUS_A_COUNTER)
			one_counter(d, attr);
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

static int run(struct nl_sock *sk, int family, struct dump *d)
{
	struct nl_msg *msg = nlmsg_alloc();
	int ret = 0;

	if (!msg)
		return -ENOMEM;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_DUMP,
			 NEXUS_CMD_STATS_GET, NEXUS_GENL_VERSION))
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

int genl_stats(int (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct dump d = { .fn = fn, .arg = arg };
	struct nl_sock *sk = nl_socket_alloc();
	int family, ret;

	if (!sk)
		return -ENOMEM;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, &d);
	nl_socket_modify_cb(sk, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, &d);
	nl_socket_modify_err_cb(sk, NL_CB_CUSTOM, on_error, &d);
	if (genl_connect(sk)) {
		ret = -EIO;
		goto free_sock;
	}
	family = genl_ctrl_resolve(sk, NEXUS_GENL_NAME);
	ret = family < 0 ? -ENOENT : run(sk, family, &d);
free_sock:
	nl_socket_free(sk);
	return ret;
}
