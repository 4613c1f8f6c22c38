// SPDX-License-Identifier: Apache-2.0
/* Who is at the other end of a Unix socket, and what it may do. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "peer.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define DB_BUFFER_MAX	(1u << 20)

int peer_read(int fd, struct rpc_peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	if (len != sizeof(cred))
		return -EINVAL;
	peer->uid = cred.uid;
	peer->gid = cred.gid;
	peer->pid = cred.pid;
	peer->may_change = false;
	peer->subject = NULL;
	return 0;
}

int peer_group_id(const char *group, gid_t *gid)
{
	struct group grp, *found = NULL;
	size_t size = 1024;
	char *buf = NULL;
	int err;

	do {
		free(buf);
		buf = malloc(size);
		if (!buf)
			return -ENOMEM;
		err = getgrnam_r(group, &grp, buf, size, &found);
		size *= 2;
	} while (err == ERANGE && size <= DB_BUFFER_MAX);
	if (found)
		*gid = found->gr_gid;
	free(buf);
	if (found)
		return 0;
	return err == ERANGE || err == EIO || err == ENOMEM ? -err : -ENOENT;
}

static bool in_list(const gid_t *list, size_t n, gid_t gid)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i] == gid)
			return true;
	return false;
}

/* Supplementary groups the peer had when it connected. */
static bool in_peer_groups(int fd, gid_t gid)
{
	socklen_t len = 64 * sizeof(gid_t);
	gid_t *list, *bigger;
	bool found = false;

	list = malloc(len);
	if (!list)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len)) {
		if (errno != ERANGE || len > PEER_GROUPS_MAX * sizeof(gid_t))
			goto out;
		bigger = realloc(list, len);
		if (!bigger)
			goto out;
		list = bigger;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len))
			goto out;
	}
	found = in_list(list, len / sizeof(gid_t), gid);
out:
	free(list);
	return found;
}

/* Groups of the peer's user in the user database. */
static bool in_user_groups(uid_t uid, gid_t gid)
{
	struct passwd pwd, *user = NULL;
	gid_t *list = NULL, *bigger;
	size_t size = 1024;
	char *buf = NULL;
	bool found = false;
	int n = 32, err;

	do {
		free(buf);
		buf = malloc(size);
		if (!buf)
			return false;
		err = getpwuid_r(uid, &pwd, buf, size, &user);
		size *= 2;
	} while (err == ERANGE && size <= DB_BUFFER_MAX);
	if (!user)
		goto out;

	for (;;) {
		int want = n;

		bigger = realloc(list, n * sizeof(gid_t));
		if (!bigger)
			goto out;
		list = bigger;
		if (getgrouplist(user->pw_name, user->pw_gid, list, &n) >= 0)
			break;
		if (n <= want || n > PEER_GROUPS_MAX)
			goto out;
	}
	found = in_list(list, n, gid);
out:
	free(list);
	free(buf);
	return found;
}

bool peer_may_change(int fd, const struct rpc_peer *peer, const char *group)
{
	gid_t gid;

	if (peer->uid == 0)
		return true;
	if (peer->uid == RPC_NO_UID)
		return false;
	if (peer_group_id(group, &gid))
		return false;
	return peer->gid == gid || (fd >= 0 && in_peer_groups(fd, gid)) ||
	       in_user_groups(peer->uid, gid);
}
