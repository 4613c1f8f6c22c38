// SPDX-License-Identifier: Apache-2.0
/*
 * px [-o RESULTS] [-k] DIRECTORY [OPERATION]...: runs operations and their checks.
 *
 * Checks are kept in memory that all processes share, so none is lost when an
 * operation dies.  Only one process writes there at any time.
 */
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "px.h"

#define TEXT_MAX	(16u << 20)
#define HASH_SIZE	(1u << 17)
#define OPERATION_LIMIT	120	/* seconds; a hang is a failure */

enum px_state { PASS, FAIL, SKIP, STATES };

static const char *const state_name[STATES] = { "pass", "fail", "skip" };

/* In the text: a state's letter, the name, what was seen, each ended by NUL. */
struct px_arena {
	uint32_t used;
	uint32_t count[STATES];		/* of the operation that runs */
	uint32_t hash[HASH_SIZE];	/* offsets into the text, 0: free */
	char text[TEXT_MAX];
};

static struct px_arena *arena;
static struct px_operation *operations;
static const char *current;

void px_register(struct px_operation *operation)
{
	struct px_operation **at = &operations;

	while (*at && strcmp((*at)->name, operation->name) < 0)
		at = &(*at)->next;
	operation->next = *at;
	*at = operation;
}

static void die(const char *what)
{
	fprintf(stderr, "px: %s: %s\n", what, strerror(errno));
	_exit(2);
}

/* The slot of the name: where it is, or where it goes. */
static uint32_t *find(const char *name)
{
	uint32_t h = 2166136261u;
	const char *c;

	for (c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	h %= HASH_SIZE;
	while (arena->hash[h] && strcmp(arena->text + arena->hash[h] + 1, name))
		h = (h + 1) % HASH_SIZE;
	return &arena->hash[h];
}

static void store(enum px_state state, const char *name, const char *seen)
{
	size_t length = strlen(name) + strlen(seen) + 3;
	uint32_t *slot = find(name);
	char *at = arena->text + arena->used;

	if (arena->used + length > TEXT_MAX) {
		errno = ENOSPC;
		die("too many checks");
	}
	*slot = arena->used;
	at[0] = (char)('0' + state);
	strcpy(at + 1, name);
	strcpy(at + 2 + strlen(name), seen);
	arena->used += length;
	arena->count[state]++;
}

/* Names are patterns' subjects elsewhere: keep to letters that mean nothing there. */
static void check_name(char *name)
{
	static const char fine[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.,:=+";

	name += strspn(name, fine);
	for (; *name; name++)
		if (!strchr(fine, *name))
			*name = '_';
}

static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

static void vreport(enum px_state state, const char *want, const char *seen, const char *row,
		    va_list args)
{
	char name[240], text[300];
	int n;

	n = snprintf(name, sizeof(name), "%s/", current);
	vsnprintf(name + n, sizeof(name) - (size_t)n, row, args);
	check_name(name);
	snprintf(text, sizeof(text), "%s", seen);
	clean(text);
	if (*find(name)) {
		printf("not ok %s: the name is not unique\n", name);
		snprintf(text, sizeof(text), "duplicate-%u:%.200s", arena->used, name);
		check_name(text);
		store(FAIL, text, "duplicate");
		return;
	}
	store(state, name, text);
	if (state == FAIL)
		printf("not ok %s: expected %s, saw %s\n", name, want, text);
}

static void report(enum px_state state, const char *want, const char *seen, const char *row, ...)
{
	va_list args;

	va_start(args, row);
	vreport(state, want, seen, row, args);
	va_end(args);
}

#define VREPORT(state, want, seen)					\
	do {								\
		va_list args;						\
									\
		va_start(args, row);					\
		vreport(state, want, seen, row, args);			\
		va_end(args);						\
	} while (0)

const char *px_text(const char *format, ...)
{
	static char buffers[64][400];
	static unsigned int turn;
	char *buffer = buffers[turn++ % 64];
	va_list args;

	va_start(args, format);
	vsnprintf(buffer, sizeof(buffers[0]), format, args);
	va_end(args);
	return buffer;
}

const char *px_errname(int code)
{
	const char *name = code ? strerrorname_np(code) : "OK";

	return name ? name : px_text("errno-%d", code);
}

void px_err(int want, long ret, const char *row, ...)
{
	int seen = ret < 0 ? errno : 0;

	VREPORT(seen == want ? PASS : FAIL, px_errname(want), px_errname(seen));
}

void px_err2(int want, int or, long ret, const char *row, ...)
{
	int seen = ret < 0 ? errno : 0;

	VREPORT(seen == want || seen == or ? PASS : FAIL,
		px_text("%s or %s", px_errname(want), px_errname(or)), px_errname(seen));
}

void px_num(long long want, long long seen, const char *row, ...)
{
	VREPORT(seen == want ? PASS : FAIL, px_text("%lld", want), px_text("%lld", seen));
}

void px_mode(mode_t want, mode_t seen, const char *row, ...)
{
	VREPORT(seen == want ? PASS : FAIL, px_text("%04o", want), px_text("%04o", seen));
}

void px_str(const char *want, const char *seen, const char *row, ...)
{
	VREPORT(strcmp(seen, want) ? FAIL : PASS, want, seen);
}

void px_note(const char *seen, const char *row, ...)
{
	VREPORT(PASS, "", seen);
}

void px_skip(const char *why, const char *row, ...)
{
	VREPORT(SKIP, "", why);
}

void px_skip_rest(const char *why)
{
	report(SKIP, "", why, "rest");
	fflush(stdout);
	_exit(0);
}

long px_must_at(long ret, const char *call, const char *file, int line)
{
	int code = errno;
	const char *base = strrchr(file, '/');

	if (ret >= 0)
		return ret;
	printf("# %s: %s:%d: %s: %s\n", current, file, line, call, px_errname(code));
	report(FAIL, "OK", px_errname(code), "must-%s:%d", base ? base + 1 : file, line);
	fflush(stdout);
	_exit(0);
}

/* ---- running them ---------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)ftw;
	if (remove(path))
		printf("# %s: cannot be removed: %s\n", path, px_errname(errno));
	(void)type;
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* 1: something failed. */
static int run_one(const struct px_operation *operation, const char *directory, bool keep)
{
	double begun = now();
	int status, failed;
	char *work;
	pid_t pid;

	memset(arena->count, 0, sizeof(arena->count));
	current = operation->name;
	if (asprintf(&work, "%s/px.%s", directory, operation->name) < 0)
		die("memory");
	nftw(work, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	if (mkdir(work, 0777))
		die(work);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		setpgid(0, 0);
		if (chdir(work))
			die(work);
		alarm(OPERATION_LIMIT);
		operation->run();
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	/* What it started and forgot. */
	kill(-pid, SIGKILL);
	if (status)
		report(FAIL, "exit 0",
		       WIFSIGNALED(status) ? px_text("signal %d", WTERMSIG(status)) :
					     px_text("exit %d", WEXITSTATUS(status)), "ended");
	if (!keep)
		nftw(work, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	free(work);
	failed = !!arena->count[FAIL];
	printf("# %-16s %5u passed %4u failed %4u skipped %6.2f s\n", operation->name,
	       arena->count[PASS], arena->count[FAIL], arena->count[SKIP], now() - begun);
	fflush(stdout);
	return failed;
}

static void write_results(const char *path)
{
	FILE *out = fopen(path, "w");
	uint32_t at;

	if (!out)
		die(path);
	for (at = 1; at < arena->used;) {
		const char *name = arena->text + at + 1;
		const char *seen = name + strlen(name) + 1;

		fprintf(out, "%s\t%s\t%s\n", name, state_name[arena->text[at] - '0'], seen);
		at = (uint32_t)(seen + strlen(seen) + 1 - arena->text);
	}
	if (fclose(out))
		die(path);
}

static bool wanted(const struct px_operation *operation, char **names)
{
	if (!*names)
		return !operation->asked;
	for (; *names; names++)
		if (!strcmp(*names, operation->name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const char *results = NULL;
	const struct px_operation *operation;
	bool keep = false;
	int failed = 0, ran = 0, option;

	while ((option = getopt(argc, argv, "+o:klw")) > 0) {
		switch (option) {
		case 'o':
			results = optarg;
			break;
		case 'k':
			keep = true;
			break;
		case 'w':	/* for checks of execve(2): who am I? */
			printf("%u %u %u %u\n", getuid(), geteuid(), getgid(), getegid());
			return 0;
		case 'l':
			for (operation = operations; operation; operation = operation->next)
				puts(operation->name);
			return 0;
		default:
			return 2;
		}
	}
	if (optind >= argc) {
		fprintf(stderr, "usage: px [-o RESULTS] [-k] [-l] DIRECTORY [OPERATION]...\n");
		return 2;
	}
	arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		die("mmap");
	arena->used = 1;
	umask(0);
	/* A reader that is gone, a limit that is passed: an error is expected, not death. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	for (operation = operations; operation; operation = operation->next) {
		if (!wanted(operation, argv + optind + 1))
			continue;
		failed |= run_one(operation, argv[optind], keep);
		ran++;
	}
	if (results)
		write_results(results);
	if (!ran)
		fprintf(stderr, "px: no such operation\n");
	return ran ? failed : 2;
}
