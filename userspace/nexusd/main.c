// SPDX-License-Identifier: Apache-2.0
/* nexusd: the helper of nexusfs. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "control.h"
#include "core.h"
#include "core_rpc.h"
#include "front.h"
#include "helper.h"
#include "notify.h"
#include "rpc.h"
#include "service.h"
#include "start.h"

#define RETRY_MS	500	/* looking for the device */
#define BUSY_TRIES	8	/* a helper that died lets go a little later */

struct options {
	const char *config;
	bool daemonize;
};

static void usage(FILE *f)
{
	fputs("usage: nexusd [OPTION]...\n"
	      "\n"
	      "The helper of nexusfs: hosts the stores of zones and serves the module.\n"
	      "\n"
	      "  -c, --config FILE       settings (default " CONFIG_PATH ")\n"
	      "  -s, --session NAME      name of the session (default \"default\")\n"
	      "  -d, --data-dir DIR      where zones are (default /var/lib/nexusfs)\n"
	      "  -S, --socket PATH       control socket (default /run/nexusfs/nexusd.sock)\n"
	      "  -o, --set NAME=VALUE    any setting of the file\n"
	      "  -l, --log-level LEVEL   error, warning, info or debug\n"
	      "  -D, --daemonize         go into the background when ready\n"
	      "  -f, --foreground        do not (default)\n"
	      "  -V, --version           print the version\n"
	      "  -h, --help              print this\n"
	      "\n"
	      "Settings also come from the environment: NEXUS_ and the name in capitals.\n", f);
}

static const struct option long_options[] = {
	{ "config",	required_argument,	NULL, 'c' },
	{ "session",	required_argument,	NULL, 's' },
	{ "data-dir",	required_argument,	NULL, 'd' },
	{ "socket",	required_argument,	NULL, 'S' },
	{ "set",	required_argument,	NULL, 'o' },
	{ "log-level",	required_argument,	NULL, 'l' },
	{ "daemonize",	no_argument,		NULL, 'D' },
	{ "foreground",	no_argument,		NULL, 'f' },
	{ "version",	no_argument,		NULL, 'V' },
	{ "help",	no_argument,		NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

#define SHORT_OPTIONS	"c:s:d:S:o:l:DfVh"

/* What is needed before the file is read. */
static int parse_early(int argc, char **argv, struct options *opt)
{
	int c;

	opterr = 0;	/* one line says it all */
	while ((c = getopt_long(argc, argv, SHORT_OPTIONS, long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			opt->config = optarg;
			break;
		case 'D':
			opt->daemonize = true;
			break;
		case 'f':
			opt->daemonize = false;
			break;
		case 'V':
			puts("nexusd " NEXUS_VERSION);
			return 1;
		case 'h':
			usage(stdout);
			return 1;
		case '?':
			fprintf(stderr, "nexusd: %s is unknown or lacks its value; try nexusd --help\n",
				argv[optind - 1]);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "nexusd: \"%s\" is not expected; try nexusd --help\n",
			argv[optind]);
		return -EINVAL;
	}
	return 0;
}

static int set_pair(struct config *cfg, const char *pair, struct errline *err)
{
	char key[64];
	const char *eq = strchr(pair, '=');

	if (!eq || (size_t)(eq - pair) >= sizeof(key))
		return err_set(err, -EINVAL, "--set %s: NAME=VALUE is expected", pair);
	snprintf(key, sizeof(key), "%.*s", (int)(eq - pair), pair);
	if (!strcmp(key, "recordstore_at"))
		return err_set(err, -EINVAL,
			       "--set recordstore_at: everybody can read arguments, and it may hold a password; put it into the file or NEXUS_RECORDSTORE_AT");
	return config_set(cfg, key, eq + 1, "--set", err);
}

/* The command line has the last word. */
static int parse_late(int argc, char **argv, struct config *cfg, struct errline *err)
{
	int c, ret = 0;

	optind = 0;
	while (!ret && (c = getopt_long(argc, argv, SHORT_OPTIONS, long_options, NULL)) != -1) {
		switch (c) {
		case 's':
			ret = config_set(cfg, "session", optarg, "--session", err);
			break;
		case 'd':
			ret = config_set(cfg, "data_dir", optarg, "--data-dir", err);
			break;
		case 'S':
			ret = config_set(cfg, "socket", optarg, "--socket", err);
			break;
		case 'l':
			ret = config_set(cfg, "log_level", optarg, "--log-level", err);
			break;
		case 'o':
			ret = set_pair(cfg, optarg ? optarg : "", err);
			break;
		}
	}
	return ret;
}

static int load_config(int argc, char **argv, const struct options *opt,
		       struct config *cfg, struct errline *err)
{
	const char *path = opt->config ? opt->config : CONFIG_PATH;
	int ret;

	config_defaults(cfg);
	ret = config_file(cfg, path, err);
	if (ret == -ENOENT)
		ret = opt->config ? err_set(err, ret, "%s: no such file", path) : 0;
	if (!ret)
		ret = config_env(cfg, err);
	if (!ret)
		ret = parse_late(argc, argv, cfg, err);
	if (!ret)
		ret = config_check(cfg, err);
	return ret;
}

/* ---- the process ---------------------------------------------------------------- */

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(1);
}

/*
 * The memory of a process that did this is not to be trusted any more, so it
 * ends, and the next one begins without services.  A word on who it was: a service,
 * or a disk error under the index, which comes as SIGBUS.
 */
static struct sigaction old_fatal[NSIG];

static void on_fatal(int sig, siginfo_t *info, void *context)
{
	const char *name, *op, *owner;

	if (service_current(&name, &op, &owner)) {
		say("nexusd: service ");
		say(name);
		say(" crashed in ");
		say(op);
		say(", called by ");
		say(owner);
		say("\n");
	} else if (sig == SIGBUS) {
		say("nexusd: the index cannot be read from disk (SIGBUS)\n");
	}
	(void)context;
	/* A fault comes again, to whom it would have come; what was sent does not. */
	sigaction(sig, &old_fatal[sig], NULL);
	if (info->si_code <= 0)
		raise(sig);
}

static void catch_fatal(void)
{
	static const int fatal[] = { SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGABRT };
	struct sigaction sa = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO };
	size_t i;

	for (i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &sa, &old_fatal[fatal[i]]);
}

/* The kernel may wait for us while it needs memory: best effort, all of it. */
static void harden(const struct config *cfg)
{
	struct rlimit files = { 1 << 16, 1 << 16 };
	int fd;

	umask(0077);
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "-1000", 5) < 0)
			log_debug("oom_score_adj: %s", strerror(errno));
		close(fd);
	}
	if (cfg->lock_memory && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		log_warn("memory cannot be locked: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	catch_fatal();
}

/*
 * What is freed goes back, and threads share what is kept: without this each thread
 * that ever needed much has it for good.
 */
static void save_memory(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 64 << 10);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
}

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void rpc_log(void *ctx, enum rpc_log_level level, const char *line)
{
	static const enum log_level map[] = {
		[RPC_LOG_ERROR] = LOG_L_ERROR,
		[RPC_LOG_WARNING] = LOG_L_WARNING,
		[RPC_LOG_INFO] = LOG_L_INFO,
		[RPC_LOG_DEBUG] = LOG_L_DEBUG,
	};

	(void)ctx;
	log_line(map[level], "%s", line);
}

static void make_socket_dir(const char *path)
{
	char dir[128];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = '\0';
	if (mkdir(dir, 0755) && errno != EEXIST)
		log_warn("%s: %s", dir, strerror(errno));
	else
		chmod(dir, 0755);
}

static void *serve_control(void *arg)
{
	int ret;

	pthread_setname_np(pthread_self(), "nexusd-rpc");
	ret = rpc_server_run(arg);
	if (ret)
		log_error("control socket: %s", strerror(-ret));
	return NULL;
}

/*
 * Attaches, or says what is missing.  Zones can be made and listed without a
 * module; mounts come when the device does.
 */
static int try_attach(struct helper *h, unsigned int *busy, bool *told)
{
	struct errline err = { "" };
	char buf[128];
	int ret;

	ret = session_attach(h, &err);
	if (!ret) {
		helper_set_reason(h, "");
		notify("STATUS=attached");
		return 0;
	}
	helper_set_reason(h, err_text(&err, ret, buf, sizeof(buf)));
	if (ret == -ENOENT) {
		if (!*told)
			log_warn("%s is not there: the module is not loaded; waiting for it",
				 h->cfg.device);
		*told = true;
		return -EAGAIN;
	}
	if (ret == -EBUSY && ++*busy < BUSY_TRIES)
		return -EAGAIN;
	log_error("%s", err_text(&err, ret, buf, sizeof(buf)));
	return ret;
}

/* Until a signal, or until there is no session any more. */
static int main_loop(struct helper *h, int sigfd)
{
	struct pollfd fds[2] = {
		{ .fd = sigfd, .events = POLLIN },
		{ .fd = h->event_fd, .events = POLLIN },
	};
	struct signalfd_siginfo si;
	unsigned int busy = 0;
	bool told = false;
	int ret = -EAGAIN;

	for (;;) {
		if (ret == -EAGAIN) {
			ret = try_attach(h, &busy, &told);
			if (ret && ret != -EAGAIN)
				return ret;
		}
		if (poll(fds, 2, ret == -EAGAIN ? RETRY_MS : -1) < 0 && errno != EINTR)
			return -errno;
		while (read(sigfd, &si, sizeof(si)) == sizeof(si)) {
			if (si.ssi_signo == SIGHUP)
				continue;
			log_info("stopping: signal %u", si.ssi_signo);
			return 0;
		}
		if (atomic_load(&h->session_over)) {
			log_error("the kernel ended session %s", h->cfg.session);
			return -ESHUTDOWN;
		}
	}
}

/* What is wanted against the profile, for whoever wonders later. */
static void say_profile(const struct config *cfg)
{
	unsigned int i;

	log_info("profile %s", profile_name(cfg->profile));
	for (i = 0; i < BRICKS; i++) {
		const struct brick_state *b = &cfg->set.of[i];

		if (b->on == profile_has(cfg->profile, (enum brick)i))
			continue;
		if (b->why == WHY_SETTING)
			log_warn("brick %s is %s, unlike in profile %s: %s says so", bricks[i].name,
				 b->on ? "on" : "off", profile_name(cfg->profile),
				 cfg->bricks.of[i].where);
		else
			log_warn("brick %s is %s: %s %s", bricks[i].name, b->on ? "on" : "off",
				 b->on ? "needed by" : "it needs", bricks[b->by].name);
	}
}

/* With the socket served: services, then the session. */
static int serve(struct helper *h, int ready, int sigfd)
{
	struct errline err = { "" };
	char buf[128];
	int ret;

	ret = boot_fatal(h->boot, h->services, &err);
	if (ret) {
		log_error("%s", err_text(&err, ret, buf, sizeof(buf)));
		notify("STATUS=a service that must be there did not start");
		return ret;
	}
	ret = boot_others(h->boot, h->services);
	if (ret)
		return ret;
	if (ready >= 0)
		background_ready(ready);
	notify("READY=1");
	ret = main_loop(h, sigfd);
	notify("STOPPING=1");
	/* The filesystem first: it does not wait for a service. */
	session_end(h);
	return ret;
}

static const char *front_setting(void *ctx, const char *name, uint32_t *number)
{
	return config_front(ctx, name, number);
}

static struct fronts *make_fronts(struct helper *h, const struct rpc_service *services)
{
	const struct fronts_opts opts = {
		.table = {
			.services = services,
			.loaded = &core_rpc,
			.loaded_ctx = h->services,
			.group = h->cfg.group,
			.log = rpc_log,
		},
		.setting = front_setting,
		.setting_ctx = &h->cfg,
	};

	return fronts_new(&opts);
}

static int run(struct helper *h, int ready, int sigfd)
{
	const struct rpc_service *services;
	struct rpc_server_opts ropts = { .group = h->cfg.group, .log = rpc_log, .loaded = &core_rpc };
	struct rpc_server *server;
	struct fronts *fronts = NULL;
	pthread_t thread;
	int ret;

	ropts.loaded_ctx = h->services;
	services = control_services(&core_ops, h);
	if (!services)
		return -ENOMEM;
	fronts = make_fronts(h, services);
	if (!fronts) {
		ret = -ENOMEM;
		goto free_services;
	}
	registry_set_front(h->services, fronts_handle(fronts));
	make_socket_dir(h->cfg.socket);
	server = rpc_server_new(h->cfg.socket, services, &ropts, &ret);
	if (!server) {
		log_error("control socket %s: %s", h->cfg.socket,
			  ret == -EADDRINUSE ? "another nexusd serves it" : strerror(-ret));
		goto free_services;
	}
	log_info("nexusd " NEXUS_VERSION ": session %s, data in %s, metastore %s, objectstore %s, recordstore %s, cachestore %s",
		 h->cfg.session, h->cfg.data_dir, h->cfg.metastore->name,
		 h->cfg.objectstore->name, h->cfg.recordstore, h->cfg.cachestore);
	if (!h->cfg.metastore->persistent)
		log_warn("metastore %s keeps nothing when nexusd ends", h->cfg.metastore->name);
	say_profile(&h->cfg);
	boot_say(h->boot);
	ret = -pthread_create(&thread, NULL, serve_control, server);
	if (ret)
		goto free_server;
	ret = serve(h, ready, sigfd);
	boot_stop(h->boot);
	registry_end(h->services);
	rpc_server_stop(server);
	pthread_join(thread, NULL);
free_server:
	rpc_server_free(server);
free_services:
	fronts_free(fronts);
	control_services_free(services);
	return ret;
}

int main(int argc, char **argv)
{
	struct options opt = { NULL, false };
	struct errline err = { "" };
	struct helper h = { .started = 0 };
	char buf[128];
	int ret, sigfd, ready = -1;

	if (argc == 3 && !strcmp(argv[1], TRY_WORD))
		return service_trial_main(argc - 2, argv + 2);
	ret = parse_early(argc, argv, &opt);
	if (ret)
		return ret > 0 ? 0 : 2;
	ret = load_config(argc, argv, &opt, &h.cfg, &err);
	if (ret) {
		fprintf(stderr, "nexusd: %s\n", err_text(&err, ret, buf, sizeof(buf)));
		return 2;
	}
	log_set_level(h.cfg.log_level);
	harden(&h.cfg);
	if (h.cfg.profile == PROFILE_EMBEDDED)
		save_memory();
	sigfd = block_signals();
	ret = sigfd < 0 ? sigfd : helper_init(&h);
	if (ret) {
		fprintf(stderr, "nexusd: %s\n", err_text(&err, ret, buf, sizeof(buf)));
		return 1;
	}
	h.boot = boot_new();
	ret = h.boot ? 0 : -ENOMEM;
	if (!ret && opt.daemonize)
		ret = background_begin(&ready);
	if (!ret)
		ret = start_build(&h, &err);
	if (ret)
		fprintf(stderr, "nexusd: %s\n", err_text(&err, ret, buf, sizeof(buf)));
	else
		ret = run(&h, ready, sigfd);
	start_undo(&h);
	boot_free(h.boot);
	helper_free(&h);
	close(sigfd);
	if (ret)
		return 1;
	log_info("nexusd ends");
	return 0;
}
