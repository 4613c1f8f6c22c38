// SPDX-License-Identifier: Apache-2.0
/*
 * Listening sockets.
 *
 * A newer build takes the place of the older while both run: its socket takes the name of
 * the Unix socket over, and shares the port of TCP.  What waits at the older one's is still
 * taken in by it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <grpc/grpc_posix.h>

#include "relay.h"
#include "server.h"

#define BACKLOG		1024
#define MODE		0660
#define ACCEPT_MAX	64	/* then others have their turn */
#define GROUP_BUFFER	16384

/* ---- Unix ------------------------------------------------------------------------------ */

/* A socket of that name somebody else listens on; what is left of others is replaced. */
static int check_path(struct grpc_front *f, const struct sockaddr_un *addr)
{
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);
	struct stat st;
	int fd, ret = 0;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		front_log(f, NEXUS_SERVICE_ERROR, "%s is there, and no socket", addr->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr))) {
		/* During a swap it is this very process. */
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
		ret = cred.pid == getpid() ? 0 : -EADDRINUSE;
	} else if (errno == EAGAIN) {
		ret = -EADDRINUSE;
	}
	close(fd);
	if (ret)
		front_log(f, NEXUS_SERVICE_ERROR, "another server listens on %s", addr->sun_path);
	return ret;
}

/* As the control socket is: who can open it may call. */
static int set_owner(struct grpc_front *f, const char *path)
{
	struct group grp, *found = NULL;
	char *buf = malloc(GROUP_BUFFER);

	if (!buf)
		return -ENOMEM;
	if (getgrnam_r(f->set.group, &grp, buf, GROUP_BUFFER, &found) || !found)
		front_log(f, NEXUS_SERVICE_INFO, "there is no group %s: only root may use %s",
			  f->set.group, f->set.socket);
	else if (lchown(path, (uid_t)-1, found->gr_gid))
		front_log(f, NEXUS_SERVICE_WARNING, "%s cannot be given to group %s: %s",
			  f->set.socket, f->set.group, strerror(errno));
	free(buf);
	return chmod(path, MODE) ? -errno : 0;
}

static int add_listener(struct grpc_front *f, int fd, bool tcp)
{
	struct listener *l = &f->listeners[f->n_listeners];
	int ret;

	*l = (struct listener){ .watch.what = WATCHED_LISTENER, .fd = fd, .tcp = tcp };
	ret = loop_watch(f, EPOLL_CTL_ADD, fd, EPOLLIN, &l->watch);
	if (!ret)
		f->n_listeners++;
	return ret;
}

static int open_unix(struct grpc_front *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX }, tmp = { .sun_family = AF_UNIX };
	int fd, ret;

	if (snprintf(tmp.sun_path, sizeof(tmp.sun_path), "%s.new", f->set.socket) >=
	    (int)sizeof(tmp.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, f->set.socket);
	ret = check_path(f, &addr);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(tmp.sun_path);
	if (bind(fd, (struct sockaddr *)&tmp, sizeof(tmp)))
		ret = -errno;
	if (!ret)
		ret = set_owner(f, tmp.sun_path);
	if (!ret && (listen(fd, BACKLOG) || lstat(tmp.sun_path, &f->socket_stat) ||
		     rename(tmp.sun_path, addr.sun_path)))
		ret = -errno;
	if (!ret)
		ret = add_listener(f, fd, false);
	if (ret) {
		front_log(f, NEXUS_SERVICE_ERROR, "%s: %s", f->set.socket, strerror(-ret));
		unlink(tmp.sun_path);
		close(fd);
	}
	return ret;
}

/* ---- TCP ------------------------------------------------------------------------------- */

static int open_address(struct grpc_front *f, const struct addrinfo *ai)
{
	const int one = 1;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
	    (ai->ai_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG))
		ret = -errno;
	if (!ret)
		ret = add_listener(f, fd, true);
	if (ret)
		close(fd);
	return ret;
}

/* "host:port" or "[address]:port" */
static int open_tcp(struct grpc_front *f)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL, *ai;
	char host[128], *port;
	int ret;

	snprintf(host, sizeof(host), "%s", f->set.listen);
	port = strrchr(host, ':');
	if (!port)
		return -EINVAL;
	*port++ = '\0';
	if (host[0] == '[' && port - host > 2) {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	ret = getaddrinfo(host, port, &hints, &list);
	if (ret) {
		front_log(f, NEXUS_SERVICE_ERROR, "grpc_listen %s: %s", f->set.listen,
			  gai_strerror(ret));
		return -EINVAL;
	}
	for (ai = list; ai && !ret && f->n_listeners < LISTEN_MAX; ai = ai->ai_next)
		ret = open_address(f, ai);
	freeaddrinfo(list);
	if (ret)
		front_log(f, NEXUS_SERVICE_ERROR, "grpc_listen %s: %s", f->set.listen, strerror(-ret));
	return ret;
}

/* ---- both ------------------------------------------------------------------------------ */

int listen_open(struct grpc_front *f)
{
	int ret = 0;

	if (f->set.socket)
		ret = open_unix(f);
	if (!ret && f->set.listen)
		ret = open_tcp(f);
	return ret;
}

static void take_unix(struct grpc_front *f, int fd)
{
	struct conn *conn;
	int ours = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	conn = ours >= 0 ? conn_new(f, ours, (uint32_t)fd, NULL) : NULL;
	/* No events but those that cannot be refused: it has been hung up. */
	if (!conn || loop_watch(f, EPOLL_CTL_ADD, ours, 0, &conn->watch)) {
		if (conn)
			conn_gone(f, conn);
		else if (ours >= 0)
			close(ours);
		close(fd);
		return;
	}
	grpc_server_add_channel_from_fd(f->server, fd, f->insecure);
}

/* No descriptor is left: take the client with the spare one, and hang up. */
static void hang_up_one(struct grpc_front *f, int listen_fd)
{
	int fd;

	if (f->spare_fd >= 0)
		close(f->spare_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	f->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	front_log(f, NEXUS_SERVICE_WARNING, "no file descriptor left for a connection");
}

bool listen_accept(struct grpc_front *f, const struct listener *l)
{
	const int one = 1;
	int fd, i;

	for (i = 0; i < ACCEPT_MAX; i++) {
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				hang_up_one(f, l->fd);
			return false;
		}
		if (l->tcp) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			relay_new(f, fd);
		} else {
			take_unix(f, fd);
		}
	}
	return true;
}

void listen_close(struct grpc_front *f)
{
	struct stat st;

	/* Not when another build has its name already. */
	if (f->socket_stat.st_ino && !lstat(f->set.socket, &st) &&
	    st.st_ino == f->socket_stat.st_ino && st.st_dev == f->socket_stat.st_dev)
		unlink(f->set.socket);
	f->socket_stat.st_ino = 0;
	while (f->n_listeners)
		close(f->listeners[--f->n_listeners].fd);
}
