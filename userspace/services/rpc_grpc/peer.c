// SPDX-License-Identifier: Apache-2.0
/* Who calls: the user at the other end of a Unix socket, or a certificate. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>

#include "server.h"

#define CERT_NAME_MAX	240	/* with "cert:" it fits into a subject */
#define NAMES_MAX	65536u
#define NO_GID		UINT32_MAX

/* ---- names of certificates ----------------------------------------------------------- */

static int names_line(struct grpc_front *f, char *line, unsigned int number)
{
	const char *name = strtok(line, " \t\n"), *subject = strtok(NULL, " \t\n");
	struct name *more;

	if (!name || name[0] == '#')
		return 0;
	if (!subject || strtok(NULL, " \t\n") || f->n_names >= NAMES_MAX ||
	    strlen(subject) >= sizeof(((struct nexus_front_peer *)NULL)->subject)) {
		front_log(f, NEXUS_SERVICE_ERROR, "%s:%u: a name and the subject it is are expected",
			  f->set.names, number);
		return -EINVAL;
	}
	more = realloc(f->names, (f->n_names + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->names = more;
	more[f->n_names] = (struct name){ strdup(name), strdup(subject) };
	f->n_names++;
	return more[f->n_names - 1].name && more[f->n_names - 1].subject ? 0 : -ENOMEM;
}

int names_read(struct grpc_front *f)
{
	unsigned int number = 0;
	struct stat st;
	size_t room = 0;
	char *line = NULL;
	int ret = 0;
	FILE *file;

	if (!f->set.names)
		return 0;
	file = fopen(f->set.names, "re");
	if (!file || fstat(fileno(file), &st)) {
		ret = -errno;
		front_log(f, NEXUS_SERVICE_ERROR, "%s: %s", f->set.names, strerror(errno));
	} else if (st.st_uid != geteuid() || (st.st_mode & 022)) {
		ret = -EACCES;
		front_log(f, NEXUS_SERVICE_ERROR, "%s says who is who, and others may write to it",
			  f->set.names);
	}
	while (!ret && getline(&line, &room, file) >= 0)
		ret = names_line(f, line, ++number);
	free(line);
	if (file)
		fclose(file);
	return ret;
}

void names_free(struct grpc_front *f)
{
	size_t i;

	for (i = 0; i < f->n_names; i++) {
		free(f->names[i].name);
		free(f->names[i].subject);
	}
	free(f->names);
	f->names = NULL;
	f->n_names = 0;
}

static const char *subject_of(const struct grpc_front *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n_names; i++)
		if (!strcmp(f->names[i].name, name))
			return f->names[i].subject;
	return NULL;
}

/* "user:1000" is that user of this machine; anything else is no user of it. */
static void set_subject(struct nexus_front_peer *peer, const char *subject)
{
	char *end;
	unsigned long uid;

	snprintf(peer->subject, sizeof(peer->subject), "%s", subject);
	if (strncmp(subject, "user:", 5) || subject[5] < '0' || subject[5] > '9')
		return;
	uid = strtoul(subject + 5, &end, 10);
	if (!*end && uid < NEXUS_RPC_NO_UID)
		peer->uid = (uint32_t)uid;
}

/* What can be a name: no control characters and no blanks, as in the file. */
static bool name_of(const grpc_auth_property *p, char *name)
{
	size_t i;

	if (!p->value_length || p->value_length > CERT_NAME_MAX)
		return false;
	for (i = 0; i < p->value_length; i++)
		if (p->value[i] <= ' ' || p->value[i] > '~')
			return false;
	memcpy(name, p->value, p->value_length);
	name[p->value_length] = '\0';
	return true;
}

/*
 * The first name of the certificate that the file has; else the first it has at all.
 * With alternative names the common name says nothing.
 */
static bool by_property(struct grpc_front *f, const grpc_auth_context *auth, const char *key,
			struct nexus_front_peer *peer)
{
	grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(auth, key);
	char name[CERT_NAME_MAX + 1], first[CERT_NAME_MAX + 1] = "";
	const grpc_auth_property *p;
	const char *subject = NULL;
	bool any = false;

	while (!subject && (p = grpc_auth_property_iterator_next(&it))) {
		any = true;
		if (!name_of(p, name))
			continue;
		if (!first[0])
			memcpy(first, name, sizeof(first));
		subject = subject_of(f, name);
	}
	if (subject)
		set_subject(peer, subject);
	else if (first[0])
		snprintf(peer->subject, sizeof(peer->subject), "cert:%s", first);
	return any;
}

static int by_certificate(struct grpc_front *f, struct call *c, const char **why)
{
	grpc_auth_context *auth = grpc_call_auth_context(c->call);
	struct nexus_front_peer *peer = &c->peer;
	bool ok = auth && grpc_auth_context_peer_is_authenticated(auth);

	if (ok && !by_property(f, auth, GRPC_X509_SAN_PROPERTY_NAME, peer))
		by_property(f, auth, GRPC_X509_CN_PROPERTY_NAME, peer);
	if (auth)
		grpc_auth_context_release(auth);
	if (ok && peer->subject[0])
		return 0;
	*why = "the certificate has no name that could be one";
	return -EACCES;
}

static int by_socket(struct call *c, const char **why)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(c->conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		*why = "the kernel does not say who is calling";
		return -EACCES;
	}
	c->peer.uid = cred.uid;
	c->peer.gid = cred.gid;
	c->peer.pid = cred.pid;
	return 0;
}

int peer_find(struct grpc_front *f, struct call *c, const char **why)
{
	char *where = grpc_call_get_peer(c->call);
	struct conn *conn = conn_find(f, where);

	gpr_free(where);
	c->peer = (struct nexus_front_peer){ .uid = NEXUS_RPC_NO_UID, .gid = NO_GID, .fd = -1 };
	if (!conn) {
		*why = "it is not known where the call comes from";
		return -EACCES;
	}
	c->conn = conn;
	conn_use(f, conn);
	return conn->relay ? by_certificate(f, c, why) : by_socket(c, why);
}
