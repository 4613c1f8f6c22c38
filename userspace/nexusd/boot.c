// SPDX-License-Identifier: Apache-2.0
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/port.h"
#include "service.h"

#define STEPS_MAX	(BRICKS + BRICK_SERVICES_MAX + 16)

struct boot {
	u64 began;			/* ns */
	struct brick_start starts[BRICK_SERVICES_MAX];
	size_t nstarts;
	bool here[BRICK_SERVICES_MAX];	/* its object is */
	char missing[(BRICKS + BRICK_SERVICES_MAX) * 24];	/* names, for people */
	char *note;
	char left_out[NEXUS_SERVICE_NAME_MAX];	/* it ended the last helper */

	struct registry *r;
	pthread_t thread;
	bool threaded;
	atomic_bool stop;

	pthread_mutex_t lock;
	struct boot_step steps[STEPS_MAX];	/* lock */
	unsigned int nsteps;		/* lock */
	bool running, failed;		/* lock */
	bool aloud;			/* lock: steps are logged as they end */
	u64 ended;			/* lock: ns, of the last step */
};

struct boot *boot_new(void)
{
	struct boot *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	pthread_mutex_init(&b->lock, NULL);
	b->began = nexus_now_ns();
	b->ended = b->began;
	return b;
}

void boot_free(struct boot *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b->note);
	free(b);
}

/* ---- steps ---------------------------------------------------------------------- */

static const char *stage_name(enum boot_stage stage)
{
	switch (stage) {
	case BOOT_DRIVER:
		return "driver";
	case BOOT_STORE:
		return "store";
	case BOOT_SERVICE:
		return "service";
	default:
		return "brick";
	}
}

static const char *outcome_name(enum boot_outcome outcome)
{
	switch (outcome) {
	case BOOT_OK:
		return "ready";
	case BOOT_FAILED:
		return "failed";
	case BOOT_MISSING:
		return "missing";
	case BOOT_DEFERRED:
		return "when it is asked for";
	default:
		return "begins";
	}
}

/* What is only noticed where people look for it does not come up as a warning. */
static enum log_level level_of(const struct boot_step *s)
{
	if (s->outcome == BOOT_FAILED)
		return s->tier == TIER_SILENT ? LOG_L_INFO :
			s->tier == TIER_DEGRADED ? LOG_L_WARNING : LOG_L_ERROR;
	return LOG_L_INFO;
}

static void say(const struct boot_step *s)
{
	char took[48] = "", tier[32] = "";

	if (s->tier < TIERS)
		snprintf(tier, sizeof(tier), " (tier %s)", tier_name(s->tier));
	if (s->outcome == BOOT_OK || s->outcome == BOOT_FAILED)
		snprintf(took, sizeof(took), " in %" PRIu64 ".%03u ms", (uint64_t)(s->took_us / 1000),
			 (unsigned int)(s->took_us % 1000));
	log_line(level_of(s), "boot: %s %s%s: %s%s%s%s", stage_name(s->stage), s->name, tier,
		 outcome_name(s->outcome), took, s->reason[0] ? ": " : "", s->reason);
}

static unsigned int begin(struct boot *b, enum boot_stage stage, const char *name,
			  enum tier tier)
{
	struct boot_step *s;
	unsigned int n;

	pthread_mutex_lock(&b->lock);
	/* There is room for all there can be; the last place takes what is too much. */
	if (b->nsteps < STEPS_MAX)
		b->nsteps++;
	n = b->nsteps - 1;
	s = &b->steps[n];
	*s = (struct boot_step){ .stage = stage, .outcome = BOOT_RUNNING, .tier = tier };
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->at_us = (nexus_now_ns() - b->began) / 1000;
	pthread_mutex_unlock(&b->lock);
	return n;
}

unsigned int boot_begin(struct boot *b, enum boot_stage stage, const char *name)
{
	return begin(b, stage, name, TIERS);
}

void boot_end(struct boot *b, unsigned int step, enum boot_outcome outcome, const char *reason)
{
	struct boot_step copy;
	struct boot_step *s = &b->steps[step];
	bool aloud;

	pthread_mutex_lock(&b->lock);
	b->ended = nexus_now_ns();
	s->took_us = (b->ended - b->began) / 1000 - s->at_us;
	s->outcome = outcome;
	snprintf(s->reason, sizeof(s->reason), "%s", reason ? reason : "");
	if (outcome == BOOT_FAILED && (s->tier == TIER_FATAL || s->tier == TIERS))
		b->failed = true;
	copy = *s;
	aloud = b->aloud;
	pthread_mutex_unlock(&b->lock);
	if (aloud)
		say(&copy);
}

void boot_say(struct boot *b)
{
	unsigned int i;

	pthread_mutex_lock(&b->lock);
	b->aloud = true;
	for (i = 0; i < b->nsteps; i++)
		if (b->steps[i].stage != BOOT_BRICK)
			say(&b->steps[i]);
	pthread_mutex_unlock(&b->lock);
	if (b->missing[0])
		log_warn("boot: wanted and not there: %s", b->missing);
}

void boot_state(struct boot *b, struct boot_state *state)
{
	pthread_mutex_lock(&b->lock);
	state->running = b->running;
	state->failed = b->failed;
	state->took_us = ((b->running ? nexus_now_ns() : b->ended) - b->began) / 1000;
	pthread_mutex_unlock(&b->lock);
}

int boot_steps(struct boot *b, boot_step_fn fn, void *arg)
{
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&b->lock);
	for (i = 0; i < b->nsteps && !ret; i++)
		ret = fn(arg, &b->steps[i]);
	pthread_mutex_unlock(&b->lock);
	return ret;
}

/* ---- the note ---------------------------------------------------------------------- */

/* A service that ended the helper in its start would do so again and again. */
static void read_note(struct boot *b)
{
	ssize_t len;
	int fd = open(b->note, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	len = read(fd, b->left_out, sizeof(b->left_out) - 1);
	b->left_out[len > 0 ? len : 0] = '\0';
	close(fd);
	unlink(b->note);
}

/* Only the end of the process matters, so it need not reach the disk. */
static void write_note(const struct boot *b, const char *name)
{
	int fd;

	if (!b->note)
		return;
	fd = open(b->note, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, name, strlen(name)) < 0)
		log_warn("%s: %s", b->note, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* ---- services ---------------------------------------------------------------------- */

bool boot_is_here(const char *dir, const char *name)
{
	char path[PATH_MAX + NEXUS_SERVICE_NAME_MAX + 4];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s.so", dir, name);
	/* Anything else that is wrong with it is said when it is loaded. */
	return !lstat(path, &st) || errno != ENOENT;
}

static void add_word(char *text, size_t room, const char *word)
{
	size_t len = strlen(text);

	snprintf(text + len, room - len, "%s%s", len ? ", " : "", word);
}

/* A brick no service is known for is a step, but not a line of the log: one names them all. */
static void note_missing(struct boot *b, const struct brick_set *set)
{
	struct boot_step *s;
	unsigned int i;

	for (i = 0; i < b->nstarts; i++)
		if (!b->here[i])
			add_word(b->missing, sizeof(b->missing), b->starts[i].name);
	pthread_mutex_lock(&b->lock);
	for (i = 0; set && i < BRICKS; i++) {
		if (!set->of[i].on || bricks[i].builtin || brick_has_service((enum brick)i) ||
		    b->nsteps == STEPS_MAX)
			continue;
		s = &b->steps[b->nsteps++];
		*s = (struct boot_step){ .stage = BOOT_BRICK, .outcome = BOOT_MISSING, .tier = TIERS };
		s->at_us = (nexus_now_ns() - b->began) / 1000;
		snprintf(s->name, sizeof(s->name), "%s", bricks[i].name);
		snprintf(s->reason, sizeof(s->reason), "no service of this version does it");
		add_word(b->missing, sizeof(b->missing), bricks[i].name);
	}
	pthread_mutex_unlock(&b->lock);
}

int boot_set_plan(struct boot *b, const struct boot_plan *plan)
{
	size_t i;

	if (plan->note) {
		b->note = strdup(plan->note);
		if (!b->note)
			return -ENOMEM;
		read_note(b);
	}
	for (i = 0; i < plan->n; i++) {
		b->starts[i] = plan->starts[i];
		b->here[i] = boot_is_here(plan->services_dir, plan->starts[i].name);
	}
	b->nstarts = plan->n;
	b->running = plan->n;
	note_missing(b, plan->set);
	return 0;
}

bool boot_wants_records(const struct boot *b)
{
	size_t i;

	for (i = 0; i < b->nstarts; i++)
		if (b->starts[i].tier == TIER_FATAL && b->starts[i].records && b->here[i])
			return true;
	return false;
}

struct look {
	const char *name;
	enum service_state state;
	char reason[160];
};

static int look_at(void *arg, const struct service_info *info)
{
	struct look *l = arg;

	if (strcmp(info->name, l->name))
		return 0;
	l->state = info->state;
	snprintf(l->reason, sizeof(l->reason), "%s", info->reason);
	return 1;
}

static int load(struct boot *b, const struct brick_start *s, struct errline *err)
{
	const struct service_caller me = { geteuid(), getpid() };
	struct look l = { .name = s->name };
	int ret;

	if (!strcmp(b->left_out, s->name))
		return err_set(err, -ECONNABORTED,
			       "its start ended the last helper, so it is left out of this one; nexusctl service load %s, or another start, tries it again",
			       s->name);
	write_note(b, s->name);
	ret = service_load(b->r, &s->name, 1, &me, err);
	if (b->note)
		unlink(b->note);
	/* Somebody may have been quicker by hand. */
	if (ret == -EEXIST)
		service_list(b->r, look_at, &l);
	return l.state == SERVICE_ACTIVE ? 0 : ret;
}

static int start_one(struct boot *b, size_t i, struct errline *err)
{
	const struct brick_start *s = &b->starts[i];
	unsigned int step = begin(b, BOOT_SERVICE, s->name, s->tier);
	char buf[128];
	int ret;

	if (!b->here[i]) {
		boot_end(b, step, s->tier == TIER_FATAL ? BOOT_FAILED : BOOT_MISSING,
			 "there is no object of it in services_dir");
		return s->tier != TIER_FATAL ? 0 :
			err_set(err, -ENOENT, "there is no object of it in services_dir");
	}
	ret = load(b, s, err);
	boot_end(b, step, ret ? BOOT_FAILED : BOOT_OK, ret ? err_text(err, ret, buf, sizeof(buf)) : NULL);
	return ret;
}

static void boot_over(struct boot *b)
{
	pthread_mutex_lock(&b->lock);
	b->running = false;
	pthread_mutex_unlock(&b->lock);
}

int boot_fatal(struct boot *b, struct registry *r, struct errline *err)
{
	struct errline line = { "" };
	char buf[128];
	int ret = 0;
	size_t i;

	b->r = r;
	for (i = 0; i < b->nstarts && b->starts[i].tier == TIER_FATAL && !ret; i++)
		ret = start_one(b, i, &line);
	if (!ret)
		return 0;
	boot_over(b);
	registry_end(r);
	return err_set(err, ret, "service %s, without which brick %s cannot be, did not start: %.380s",
		       b->starts[i - 1].name, bricks[b->starts[i - 1].brick].name,
		       err_text(&line, ret, buf, sizeof(buf)));
}

static void *start_others(void *arg)
{
	struct boot *b = arg;
	struct boot_state state;
	size_t i;

	pthread_setname_np(pthread_self(), "nexusd-boot");
	for (i = 0; i < b->nstarts && !atomic_load(&b->stop); i++) {
		struct errline err = { "" };

		if (b->starts[i].tier != TIER_FATAL)
			start_one(b, i, &err);
	}
	boot_over(b);
	boot_state(b, &state);
	log_info("boot: done in %" PRIu64 ".%03u ms", (uint64_t)(state.took_us / 1000),
		 (unsigned int)(state.took_us % 1000));
	return NULL;
}

int boot_others(struct boot *b, struct registry *r)
{
	int ret;

	b->r = r;
	/* They are sorted by tier. */
	if (!b->nstarts || b->starts[b->nstarts - 1].tier == TIER_FATAL) {
		boot_over(b);
		return 0;
	}
	ret = -pthread_create(&b->thread, NULL, start_others, b);
	b->threaded = !ret;
	return ret;
}

void boot_stop(struct boot *b)
{
	atomic_store(&b->stop, true);
	if (b->threaded)
		pthread_join(b->thread, NULL);
	b->threaded = false;
}

/* ---- what is not there ---------------------------------------------------------------- */

/* Why it is not there: what its start said, or what happened since. */
static void why_not(struct boot *b, const struct look *l, char *why, size_t room)
{
	unsigned int i;

	if (l->state == SERVICE_QUARANTINED) {
		snprintf(why, room, "quarantined: %.150s", l->reason);
		return;
	}
	snprintf(why, room, "unloaded");
	pthread_mutex_lock(&b->lock);
	for (i = 0; i < b->nsteps; i++)
		if (b->steps[i].stage == BOOT_SERVICE && b->steps[i].outcome == BOOT_FAILED &&
		    !strcmp(b->steps[i].name, l->name))
			snprintf(why, room, "%s", b->steps[i].reason);
	pthread_mutex_unlock(&b->lock);
}

void boot_lacks(struct boot *b, struct registry *r, char *text, size_t room)
{
	char why[BOOT_REASON_MAX];
	struct boot_state state;
	size_t i, len = 0;

	text[0] = '\0';
	boot_state(b, &state);
	for (i = 0; i < b->nstarts && !state.running && len < room; i++) {
		struct look l = { .name = b->starts[i].name };

		if (b->starts[i].tier == TIER_SILENT || !b->here[i])
			continue;
		service_list(r, look_at, &l);
		if (l.state == SERVICE_ACTIVE)
			continue;
		why_not(b, &l, why, sizeof(why));
		len += (size_t)snprintf(text + len, room - len, "%s%s: %s", len ? "; " : "", l.name, why);
	}
}
