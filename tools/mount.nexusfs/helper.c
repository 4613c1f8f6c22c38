// SPDX-License-Identifier: Apache-2.0
/* The module and the helper: found, or started. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nexus/nexus.h>

#include "mount.h"

#define SOCKET_DIR	"/run/nexusfs"
#define SESSIONS_DIR	"/var/lib/nexusfs/sessions"
#define DEFAULT_SESSION	"default"
#define SESSION_MAX	64
#define ANSWER_MS	5000	/* a helper that is there answers in this time */
#define ATTACH_MS	5000	/* and is attached to the module in this time */
#define STEP_MS		50

static bool module_known(void)
{
	bool found = false;
	char line[128];
	FILE *file;

	file = fopen("/proc/filesystems", "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = !strcmp(line, "nodev\tnexusfs\n");
	if (file)
		fclose(file);
	return found;
}

int module_load(void)
{
	const char *const argv[] = { "modprobe", "nexusfs", NULL };
	char message[MESSAGE_MAX];
	int ret;

	if (module_known())
		return EXIT_OK;
	ret = run_program(argv, message);
	if (module_known())
		return EXIT_OK;
	if (ret == 127)
		complain("the kernel does not know nexusfs and there is no modprobe; load nexusfs.ko with insmod");
	else if (ret < 0)
		complain("modprobe: %s", strerror(-ret));
	else
		complain("the kernel does not know nexusfs and modprobe cannot load it (%s); is the module built for this kernel? (dkms status)",
			 *message ? message : "no reason given");
	return EXIT_SYSTEM;
}

/* SESSION of SESSION:ZONE; "default" without one, and for an address. */
static void session_name(const char *spec, char name[SESSION_MAX])
{
	const char *colon = strchr(spec, ':');

	if (!colon || !strncmp(colon, "://", 3) || colon == spec)
		snprintf(name, SESSION_MAX, "%s", DEFAULT_SESSION);
	else
		snprintf(name, SESSION_MAX, "%.*s", (int)(colon - spec), spec);
}

static bool is_default(const char *session)
{
	return !strcmp(session, DEFAULT_SESSION);
}

/* Where nexusd@SESSION.service has its socket and its zones. */
struct places {
	char socket[sizeof(SOCKET_DIR) + SESSION_MAX + 16];
	char data[sizeof(SESSIONS_DIR) + SESSION_MAX + 2];
};

static void find_places(struct places *p, const char *session)
{
	snprintf(p->socket, sizeof(p->socket), SOCKET_DIR "/nexusd@%s.sock", session);
	snprintf(p->data, sizeof(p->data), SESSIONS_DIR "/%s", session);
}

/* Connect to the session's helper. */
static int connect_helper(struct nexus_client *client, const char *session)
{
	struct places places;

	nexus_set_timeout(client, ANSWER_MS);
	if (is_default(session) || getenv("NEXUS_SOCKET"))
		return nexus_connect(client, NULL);
	find_places(&places, session);
	return nexus_connect(client, places.socket);
}

/* Start it by the service manager, or directly. */
static int start_helper(const char *session)
{
	struct places places;
	char unit[SESSION_MAX + 32];
	const char *const systemctl[] = { "systemctl", "start", unit, NULL };
	/* The variable is for the helper, too. */
	const char *const nexusd[] = {
		"nexusd", "--daemonize", is_default(session) ? NULL : "--session", session,
		"--data-dir", places.data, getenv("NEXUS_SOCKET") ? NULL : "--socket",
		places.socket, NULL
	};
	bool systemd = !access("/run/systemd/system", F_OK);
	char message[MESSAGE_MAX];
	int ret;

	snprintf(unit, sizeof(unit), "nexusd%s%s.service",
		 is_default(session) ? "" : "@",
		 is_default(session) ? "" : session);
	find_places(&places, session);
	ret = run_program(systemd ? systemctl : nexusd, message);
	if (!ret)
		return EXIT_OK;
	if (systemd)
		complain("the helper is not running and cannot be started (%s); see: systemctl status %s",
			 *message ? message : "systemctl failed", unit);
	else if (ret == 127)
		complain("the helper is not running and there is no program nexusd; is nexusfs-tools installed?");
	else
		complain("the helper is not running and cannot be started (%s); start nexusd by hand to see more",
			 *message ? message : "no reason given");
	return EXIT_SYSTEM;
}

static int note_link(void *arg, const struct nexus_status *status)
{
	bool *live = arg;

	*live = status->link == NEXUS_LINK_LIVE;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * A helper that has just been started, or whose module has just been loaded,
 * needs a moment. When it takes longer the mount is tried all the same: the
 * kernel knows best whether a session is there.
 */
static int wait_attached(struct nexus_client *client, const char *session)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	uint64_t end = now_ms() + ATTACH_MS;
	bool live = false;
	int err;

	for (;;) {
		err = connect_helper(client, session);
		if (!err)
			err = nexus_status(client, note_link, &live);
		if (live || now_ms() >= end)
			break;
		nanosleep(&step, NULL);
	}
	if (!err)
		return EXIT_OK;
	complain("%s", nexus_error(client));
	return EXIT_SYSTEM;
}

int helper_start(const struct request *req)
{
	struct nexus_client *client = nexus_new();
	char session[SESSION_MAX];
	int ret = EXIT_OK, err;

	if (!client) {
		complain("out of memory");
		return EXIT_SYSTEM;
	}
	session_name(req->spec, session);
	err = connect_helper(client, session);
	if (err == -ENOENT || err == -ECONNREFUSED) {
		ret = start_helper(session);
	} else if (err) {
		complain("%s", nexus_error(client));
		ret = EXIT_SYSTEM;
	}
	if (ret == EXIT_OK)
		ret = wait_attached(client, session);
	nexus_free(client);
	return ret;
}

struct reason {
	char *text;
	size_t len;
};

static int note_reason(void *arg, const struct nexus_status *status)
{
	struct reason *reason = arg;

	snprintf(reason->text, reason->len, "%s", status->reason);
	return 0;
}

void helper_reason(const struct request *req, char *reason, size_t len)
{
	struct nexus_client *client = nexus_new();
	struct reason to = { reason, len };
	char session[SESSION_MAX];

	reason[0] = '\0';
	session_name(req->spec, session);
	if (client && !connect_helper(client, session))
		nexus_status(client, note_reason, &to);
	nexus_free(client);
}
