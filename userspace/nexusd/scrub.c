// SPDX-License-Identifier: Apache-2.0
#include "scrub.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "space.h"
#include "stats.h"
#include "verify.h"

#define STEP_BLOCKS	256u		/* a stop waits for one step at most */
#define STEPS_A_SECOND	4u
#define IDLE_S		60		/* between two looks at the clock */
#define SAVE_S		30		/* between two saves of a run */
#define RETRY_S		3600		/* after a run the index could not be read for */
#define TOLD_MAX	100u		/* problems of a run with a line of their own */

#define STATE_HEAD	"nexusfs scrub 1\n"
#define STATE_MAX	1024u

struct scrub {
	struct zone *z;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool quit;			/* lock */
	bool fresh;			/* lock: the state differs from the file */
	struct scrub_status st;		/* lock */
	struct verify_cursor cursor;	/* lock; the thread's own during a step */
	u64 generation;			/* lock: of the run, against a stop within a step */
	time_t saved;			/* thread */
};

static u64 wall(void)
{
	return (u64)zone_now().s;
}

/* ---- the file ---------------------------------------------------------------- */

static void path_of(const struct zone *z, char *path, size_t len, const char *suffix)
{
	snprintf(path, len, "%s/" STORE_SCRUB "%s", z->dir, suffix);
}

static int format_run(char *text, size_t len, const char *name, const struct scrub_run *r)
{
	return snprintf(text, len, "%s %llu %llu %llu %llu %llu\n", name, r->begun, r->ended,
			r->blocks, r->unchecked, r->problems);
}

static int format_state(const struct scrub *s, char *text)
{
	size_t i, n;

	n = (size_t)snprintf(text, STATE_MAX, STATE_HEAD "due %llu\n", s->st.due);
	n += (size_t)format_run(text + n, STATE_MAX - n, "last", &s->st.last);
	n += (size_t)format_run(text + n, STATE_MAX - n, "run", &s->st.run);
	n += (size_t)snprintf(text + n, STATE_MAX - n, "cursor ");
	if (!s->st.running)
		n += (size_t)snprintf(text + n, STATE_MAX - n, "-");
	for (i = 0; s->st.running && i < s->cursor.len; i++)
		n += (size_t)snprintf(text + n, STATE_MAX - n, "%02x", s->cursor.key[i]);
	n += (size_t)snprintf(text + n, STATE_MAX - n, "\n");
	return (int)n;
}

/* Whole or not at all; a state that is lost costs a run, so errors are only told. */
static void save(struct scrub *s)
{
	char text[STATE_MAX], path[PATH_MAX + 16], tmp[PATH_MAX + 16];
	int fd, n, ret = 0;

	pthread_mutex_lock(&s->lock);
	n = format_state(s, text);
	s->fresh = false;
	pthread_mutex_unlock(&s->lock);
	path_of(s->z, path, sizeof(path), "");
	path_of(s->z, tmp, sizeof(tmp), ".new");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		ret = -errno;
	} else {
		errno = EIO;
		if (write(fd, text, (size_t)n) != n || fdatasync(fd))
			ret = -errno;
		close(fd);
	}
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (ret)
		log_debug("zone %s: %s: %s", s->z->name, path, strerror(-ret));
}

/* " NUMBER" at *@at, which moves behind it. */
static bool parse_u64(const char **at, u64 *value)
{
	char *end;

	if ((*at)[0] != ' ' || !isdigit((unsigned char)(*at)[1]))
		return false;
	errno = 0;
	*value = strtoull(*at + 1, &end, 10);
	*at = end;
	return !errno;
}

static bool parse_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len))
		return false;
	*at += len;
	return true;
}

static bool parse_run(const char **at, const char *name, struct scrub_run *r)
{
	return parse_word(at, name) && parse_u64(at, &r->begun) && parse_u64(at, &r->ended) &&
	       parse_u64(at, &r->blocks) && parse_u64(at, &r->unchecked) &&
	       parse_u64(at, &r->problems) && parse_word(at, "\n");
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool parse_cursor(const char *at, struct verify_cursor *c)
{
	for (c->len = 0; *at && *at != '\n'; at += 2, c->len++) {
		int high = hex_digit(at[0]), low = hex_digit(at[1]);

		if (c->len == VERIFY_CURSOR_MAX || high < 0 || low < 0)
			return false;
		c->key[c->len] = (u8)(high << 4 | low);
	}
	return true;
}

static bool parse_state(const char *at, struct scrub_status *st, struct verify_cursor *c)
{
	if (!parse_word(&at, STATE_HEAD) || !parse_word(&at, "due") ||
	    !parse_u64(&at, &st->due) || !parse_word(&at, "\n") ||
	    !parse_run(&at, "last", &st->last) || !parse_run(&at, "run", &st->run) ||
	    !parse_word(&at, "cursor "))
		return false;
	st->running = *at != '-';
	return !st->running || parse_cursor(at, c);
}

static void load(struct scrub *s)
{
	u64 interval = s->z->cfg->scrub_interval, now = wall();
	struct scrub_status st = { .running = false };
	struct verify_cursor c = { .len = 0 };
	char text[STATE_MAX + 1], path[PATH_MAX + 16];
	ssize_t n = -1;
	int fd;

	path_of(s->z, path, sizeof(path), "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, STATE_MAX);
		close(fd);
	}
	if (n >= 0) {
		text[n] = 0;
		if (parse_state(text, &st, &c)) {
			s->st = st;
			s->cursor = c;
		} else {
			log_warn("%s cannot be read, and is begun anew", path);
		}
	}
	/* The interval may be another now, and the clock may have been wrong. */
	if (!interval)
		s->st.due = 0;
	else if (!s->st.due || s->st.due > now + interval)
		s->st.due = now + interval;
}

/* ---- a run ------------------------------------------------------------------- */

/* lock held. */
static void begin(struct scrub *s)
{
	s->st.running = true;
	s->st.run = (struct scrub_run){ .begun = wall() };
	s->cursor = (struct verify_cursor){ .len = 0 };
	s->generation++;
	s->fresh = true;
	if (s->z->cfg->scrub_interval)
		s->st.due = s->st.run.begun + s->z->cfg->scrub_interval;
	log_info("zone %s: scrub begins", s->z->name);
}

/* lock held. */
static void ended(struct scrub *s, bool whole)
{
	s->st.running = false;
	s->st.run.ended = wall();
	s->fresh = true;
	if (!whole)
		return;
	s->st.last = s->st.run;
	stats_inc(scrub_runs);
	if (s->st.run.problems)
		log_error("zone %s: scrub: %llu of %llu blocks are damaged or cannot be read; nexusctl pack verify %s names them",
			  s->z->name, s->st.run.problems, s->st.run.blocks, s->z->name);
	else
		log_info("zone %s: scrub: %llu blocks are all right", s->z->name,
			 s->st.run.blocks);
}

struct step {
	struct scrub *s;
	u64 before;		/* problems of the run so far */
	u64 found;
};

static void found(void *arg, const struct verify_problem *p)
{
	struct step *st = arg;
	char what[256];

	stats_inc(scrub_problems);
	if (st->before + st->found++ >= TOLD_MAX)
		return;
	verify_text(p, what, sizeof(what));
	if (!p->data_id)
		log_error("zone %s: scrub: pack %llu: %s", st->s->z->name, p->pack, what);
	else
		log_error("zone %s: scrub: inode %llu (data id %llu), offset %llu: block %u of pack %llu %s",
			  st->s->z->name, p->ino, p->data_id, p->offset, p->block, p->pack, what);
}

static u32 step_blocks(const struct scrub *s)
{
	u64 blocks = s->z->cfg->scrub_rate / STEPS_A_SECOND / NEXUS_BLOCK_SIZE;

	return (u32)NEXUS_MIN(blocks, (u64)STEP_BLOCKS);
}

/* lock held; dropped meanwhile.  Blocks read. */
static u64 one_step(struct scrub *s)
{
	struct step step = { .s = s, .before = s->st.run.problems };
	struct verify_cursor c = s->cursor;
	const struct verify_counts *counts;
	u64 generation = s->generation, blocks = 0;
	struct verify *v;
	int ret;

	pthread_mutex_unlock(&s->lock);
	v = verify_new(s->z, true, true, found, &step);
	ret = v ? verify_step(v, &c, step_blocks(s), NULL, 0) : -ENOMEM;
	pthread_mutex_lock(&s->lock);
	if (!s->st.running || s->generation != generation)
		goto out;
	if (v) {
		counts = verify_counts(v);
		blocks = counts->blocks;
		s->st.run.blocks += counts->blocks;
		s->st.run.unchecked += counts->unchecked;
		s->st.run.problems += step.found;
		stats_add(scrub_blocks, counts->blocks);
	}
	if (ret) {
		log_error("zone %s: scrub: %s; it is tried again later", s->z->name,
			  strerror(-ret));
		ended(s, false);
		if (s->z->cfg->scrub_interval)
			s->st.due = wall() + RETRY_S;
		goto out;
	}
	s->cursor = c;
	if (c.done)
		ended(s, true);
out:
	verify_free(v);
	return blocks;
}

/* ---- the thread --------------------------------------------------------------- */

/* lock held, dropped meanwhile; ends early when somebody wants something. */
static void pause_until(struct scrub *s, u64 ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};
	u64 generation = s->generation;
	bool running = s->st.running;

	while (!s->quit && s->st.running == running && s->generation == generation &&
	       !pthread_cond_timedwait(&s->cond, &s->lock, &until))
		;
}

/* lock held.  The clock can be set, so it is looked at now and then. */
static u64 idle_s(const struct scrub *s)
{
	u64 now = wall();

	return s->st.due > now ? NEXUS_MIN(s->st.due - now, (u64)IDLE_S) : IDLE_S;
}

static void *scrub_main(void *arg)
{
	struct scrub *s = arg;
	u64 rate = s->z->cfg->scrub_rate, begun, blocks;

	pthread_setname_np(pthread_self(), "nexusd-scrub");
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
	pthread_mutex_lock(&s->lock);
	while (!s->quit) {
		if (!s->st.running && s->st.due && wall() >= s->st.due)
			begin(s);
		begun = space_clock();
		blocks = s->st.running ? one_step(s) : 0;
		if (s->fresh || (s->st.running && time(NULL) - s->saved >= SAVE_S)) {
			s->saved = time(NULL);
			pthread_mutex_unlock(&s->lock);
			save(s);
			pthread_mutex_lock(&s->lock);
		}
		if (s->fresh)
			continue;
		if (s->st.running)
			pause_until(s, begun + blocks * NEXUS_BLOCK_SIZE * 1000000000u / rate);
		else
			pause_until(s, begun + idle_s(s) * 1000000000u);
	}
	pthread_mutex_unlock(&s->lock);
	save(s);
	return NULL;
}

int zone_scrub_start(struct zone *z)
{
	struct scrub *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->z = z;
	pthread_mutex_init(&s->lock, NULL);
	zone_cond_init(&s->cond);
	load(s);
	ret = pthread_create(&s->thread, NULL, scrub_main, s);
	if (ret) {
		pthread_cond_destroy(&s->cond);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return -ret;
	}
	pthread_mutex_lock(&z->scrub_lock);
	z->scrub = s;
	pthread_mutex_unlock(&z->scrub_lock);
	return 0;
}

void zone_scrub_stop(struct zone *z)
{
	struct scrub *s;

	pthread_mutex_lock(&z->scrub_lock);
	s = z->scrub;
	z->scrub = NULL;
	pthread_mutex_unlock(&z->scrub_lock);
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Calls @fn with the lock held, if there is a thread. */
static int ask(struct zone *z, int (*fn)(struct scrub *s, void *arg), void *arg)
{
	int ret = -EROFS;

	pthread_mutex_lock(&z->scrub_lock);
	if (z->scrub) {
		pthread_mutex_lock(&z->scrub->lock);
		ret = fn(z->scrub, arg);
		pthread_cond_signal(&z->scrub->cond);
		pthread_mutex_unlock(&z->scrub->lock);
	}
	pthread_mutex_unlock(&z->scrub_lock);
	return ret;
}

static int do_begin(struct scrub *s, void *arg)
{
	(void)arg;
	if (s->st.running)
		return -EALREADY;
	begin(s);
	return 0;
}

static int do_end(struct scrub *s, void *arg)
{
	(void)arg;
	if (!s->st.running)
		return -EALREADY;
	ended(s, false);
	log_info("zone %s: scrub was stopped after %llu blocks", s->z->name, s->st.run.blocks);
	return 0;
}

static int do_look(struct scrub *s, void *arg)
{
	*(struct scrub_status *)arg = s->st;
	return 0;
}

int scrub_begin(struct zone *z)
{
	return ask(z, do_begin, NULL);
}

int scrub_end(struct zone *z)
{
	return ask(z, do_end, NULL);
}

int scrub_look(struct zone *z, struct scrub_status *st)
{
	return ask(z, do_look, st);
}
