// SPDX-License-Identifier: Apache-2.0
/*
 * The file of the control socket.
 *
 * A lock beside it (PATH.lock) is held as long as the server lives, so two
 * starting helpers cannot both take a stale socket for theirs; what still
 * answers without the lock is a living server too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "peer.h"
#include "server.h"

#define SOCKET_BACKLOG	1024
#define SOCKET_MODE	0660

/* The folder the socket is in, if only that one is missing. */
static int make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return 0;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	if (mkdir(folder, 0755) && errno != EEXIST)
		return -errno;
	return 0;
}

static int take_lock(struct rpc_server *server)
{
	char *name;
	int err = 0;

	if (asprintf(&name, "%s.lock", server->path) < 0)
		return -ENOMEM;
	server->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			       0600);
	if (server->lock_fd < 0)
		err = -errno;
	else if (flock(server->lock_fd, LOCK_EX | LOCK_NB))
		err = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	free(name);
	return err;
}

/* Remove a socket nobody listens on. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ||
	    errno == EAGAIN)
		err = -EADDRINUSE;
	else if ((errno != ECONNREFUSED && errno != ENOENT) ||
		 (unlink(addr->sun_path) && errno != ENOENT))
		err = -errno;
	close(fd);
	return err;
}

/* Before listen(), so nobody connects under another mode. */
static int set_owner(struct rpc_server *server, const char *path)
{
	struct stat st;
	gid_t gid;
	int err;

	err = peer_group_id(server->opts.group, &gid);
	if (!err && lchown(path, (uid_t)-1, gid))
		server_log(server, RPC_LOG_WARNING,
			   "%s: cannot give it to group %s: %s", path,
			   server->opts.group, strerror(errno));
	else if (err)
		server_log(server, RPC_LOG_INFO,
			   "there is no group %s: only %s may use %s",
			   server->opts.group,
			   geteuid() ? "its owner" : "root", path);
	if (chmod(path, SOCKET_MODE) || lstat(path, &st))
		return -errno;
	server->dev = st.st_dev;
	server->ino = st.st_ino;
	return 0;
}

int socket_open(struct rpc_server *server)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err;

	if (strlen(server->path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, server->path, strlen(server->path) + 1);

	err = make_folder(server->path);
	if (!err)
		err = take_lock(server);
	if (!err)
		err = remove_stale(&addr);
	if (err)
		return err;

	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
				   SOCK_NONBLOCK, 0);
	if (server->listen_fd < 0)
		return -errno;
	if (bind(server->listen_fd, (struct sockaddr *)&addr, sizeof(addr)))
		return errno == EADDRINUSE ? -EADDRINUSE : -errno;
	err = set_owner(server, addr.sun_path);
	if (!err && listen(server->listen_fd, SOCKET_BACKLOG))
		err = -errno;
	return err;
}

void socket_close(struct rpc_server *server)
{
	struct stat st;

	if (server->ino && !lstat(server->path, &st) &&
	    st.st_dev == server->dev && st.st_ino == server->ino)
		unlink(server->path);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->lock_fd >= 0)
		close(server->lock_fd);
	server->listen_fd = -1;
	server->lock_fd = -1;
	server->ino = 0;
}
