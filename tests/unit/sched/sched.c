// SPDX-License-Identifier: Apache-2.0
/* The search; sched.h says what it does and what it leaves out. */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <ucontext.h>

#define STACK_SIZE	(32u << 10)
#define MAX_DEPTH	400

int sched_current = -1;

static const struct sched_test *test;
static struct sched_result *result;

/* As __builtin_setjmp() has it: frame, label, stack pointer. */
struct context {
	void *word[5];
};

static struct context main_context, context[SCHED_THREADS];
static u8 stack[SCHED_THREADS][STACK_SIZE] __attribute__((aligned(64)));
static nexus_task task[SCHED_THREADS];
static ucontext_t back;

/* What the search is at, and what it has to come back to. */
struct snapshot {
	struct model model;
	struct context context[SCHED_THREADS];
	u8 *stacks[SCHED_THREADS];
	u8 *memory;		/* the world, then what is used of each stack */
};

struct step {
	struct op op;
	int thread, way;
	bool killed;
	u64 got;
};

static struct snapshot snapshot[MAX_DEPTH];
static struct step path[MAX_DEPTH];

static u64 *seen;
static u64 n_seen, seen_size;

__attribute__((noinline, noreturn)) static void jump(struct context *c)
{
	__builtin_longjmp(c->word, 1);
}

__attribute__((noinline)) static void pause_thread(void)
{
	if (!__builtin_setjmp(context[sched_current].word))
		jump(&main_context);
}

void sched_point(const struct op *op)
{
	model.thread[sched_current].op = *op;
	pause_thread();
}

void sched_fail(const char *fmt, ...)
{
	va_list ap;
	int n = 0;

	if (sched_current >= 0)
		n = snprintf(result->why, sizeof(result->why), "thread %d ", sched_current);
	va_start(ap, fmt);
	vsnprintf(result->why + n, sizeof(result->why) - (size_t)n, fmt, ap);
	va_end(ap);
	result->failed = true;
	jump(&main_context);
}

void sched_granted(int t, int to);
void sched_granted(int t, int to)
{
	if (test->granted)
		test->granted(t, to);
}

nexus_task *sched_task(int t)
{
	return &task[t];
}

static void body(void)
{
	test->thread(sched_current);
	model_done(sched_current);
	jump(&main_context);
}

/* Runs a thread up to its first step. */
__attribute__((noinline)) static void begin(int t)
{
	ucontext_t to;

	if (__builtin_setjmp(main_context.word))
		return;
	memset(stack[t], 0, STACK_SIZE);
	getcontext(&to);
	to.uc_stack.ss_sp = stack[t];
	to.uc_stack.ss_size = STACK_SIZE;
	to.uc_link = NULL;
	makecontext(&to, body, 0);
	sched_current = t;
	swapcontext(&back, &to);
}

__attribute__((noinline, noreturn)) static void go(int t, int way)
{
	sched_current = t;
	model_step(t, way);
	jump(&context[t]);
}

/* Takes a step and what follows it up to the next; false: failed. */
__attribute__((noinline)) static bool advance(int t, int way)
{
	if (!__builtin_setjmp(main_context.word))
		go(t, way);
	sched_current = -1;
	return !result->failed;
}

/* A check of the test's, outside of any thread. */
__attribute__((noinline)) static bool check(void (*f)(void), void (*g)(unsigned int),
					    unsigned int arg)
{
	if (!__builtin_setjmp(main_context.word)) {
		if (f)
			f();
		else if (g)
			g(arg);
	}
	sched_current = -1;
	return !result->failed;
}

static size_t used(int t, u8 **from)
{
	*from = model.thread[t].done ? stack[t] + STACK_SIZE : context[t].word[2];
	return (size_t)(stack[t] + STACK_SIZE - *from);
}

static void save(struct snapshot *s)
{
	size_t need = test->size;
	u8 *from, *to;
	int t;

	for (t = 0; t < test->threads; t++)
		need += used(t, &from);
	s->memory = realloc(s->memory, need);
	if (!s->memory)
		abort();
	s->model = model;
	memcpy(s->context, context, sizeof(context));
	memcpy(s->memory, test->world, test->size);
	to = s->memory + test->size;
	for (t = 0; t < test->threads; t++) {
		size_t n = used(t, &from);

		memcpy(to, from, n);
		s->stacks[t] = to;
		to += n;
	}
}

static void restore(const struct snapshot *s)
{
	u8 *from;
	int t;

	model = s->model;
	memcpy(context, s->context, sizeof(context));
	memcpy(test->world, s->memory, test->size);
	for (t = 0; t < test->threads; t++) {
		size_t n = used(t, &from);

		memcpy(from, s->stacks[t], n);
	}
}

/* Whether the search has not been here. */
static bool is_new(void)
{
	u64 h = 1, i, *old, old_size;
	u8 *from;
	int t;

	model_settle();
	h = model_hash(h);
	h = sched_hash(h, test->world, test->size);
	for (t = 0; t < test->threads; t++) {
		size_t n = used(t, &from);

		h = sched_hash(h, &n, sizeof(n));
		h = sched_hash(h, from, n);
	}
	h += !h;
	if (2 * n_seen >= seen_size) {
		old = seen;
		old_size = seen_size;
		seen_size = old_size ? 2 * old_size : 1u << 10;
		seen = calloc(seen_size, sizeof(*seen));
		if (!seen)
			abort();
		for (i = 0; i < old_size; i++) {
			u64 j = old[i] & (seen_size - 1);

			while (old[i] && seen[j])
				j = (j + 1) & (seen_size - 1);
			if (old[i])
				seen[j] = old[i];
		}
		free(old);
	}
	for (i = h & (seen_size - 1); seen[i]; i = (i + 1) & (seen_size - 1))
		if (seen[i] == h)
			return false;
	seen[i] = h;
	n_seen++;
	return true;
}

static void print_schedule(int depth)
{
	static const char *const name[] = {
		"", "lock", "load", "store", "mb", "wake", "", "", ""
	};
	size_t n = 0, size = sizeof(result->schedule);
	int i;

	for (i = 0; i < depth && n < size - 256; i++) {
		const struct step *s = &path[i];
		const struct op *op = &s->op;

		n += (size_t)snprintf(result->schedule + n, size - n, "#  thread %d  %s",
				      s->thread, op->at->func);
		if (op->at->line)
			n += (size_t)snprintf(result->schedule + n, size - n, " %s:%d %s%s",
					      op->at->file, op->at->line, name[op->kind],
					      op->order == SCHED_ORDERED ? " ordered" : "");
		if (op->kind == OP_LOAD)
			n += (size_t)snprintf(result->schedule + n, size - n,
					      " at %ld: %lld%s",
					      (long)((const u8 *)op->p - (u8 *)test->world),
					      (long long)s->got, s->way ? " (old)" : "");
		if (op->kind == OP_STORE)
			n += (size_t)snprintf(result->schedule + n, size - n,
					      " at %ld: %lld%s",
					      (long)((const u8 *)op->p - (u8 *)test->world),
					      (long long)op->val, s->way ? " (before)" : "");
		if (op->kind == OP_WAKE)
			n += (size_t)snprintf(result->schedule + n, size - n, " thread %d",
					      (int)op->val);
		if (op->kind == OP_CHOOSE)
			n += (size_t)snprintf(result->schedule + n, size - n, " %d", s->way);
		n += (size_t)snprintf(result->schedule + n, size - n, "%s\n",
				      s->killed ? ": killed" : "");
	}
}

static bool search(int depth);

static bool try_step(int depth, int t, int way, bool killed)
{
	path[depth].op = model.thread[t].op;
	path[depth].thread = t;
	path[depth].way = way;
	path[depth].killed = killed;
	result->steps++;
	if (!advance(t, way)) {
		path[depth].got = model.thread[t].got;
		print_schedule(depth + 1);
		return false;
	}
	path[depth].got = model.thread[t].got;
	return search(depth + 1);
}

/* From here on; the state may be anything afterwards. */
static bool search(int depth)
{
	struct snapshot *s = &snapshot[depth];
	unsigned int asleep = 0;
	int t, way, ways, all = 0;
	bool ok = true;

	if (depth == MAX_DEPTH)
		abort();
	if (!is_new())
		return true;
	result->states++;
	for (t = 0; t < test->threads; t++) {
		all += model_ways(t);
		if (!model.thread[t].done)
			asleep |= 1u << t;
	}
	if (!asleep) {
		result->ends++;
		ok = check(test->done, NULL, 0);
	} else if (!all) {
		ok = check(NULL, test->stuck, asleep);
		if (ok && !test->stuck) {
			snprintf(result->why, sizeof(result->why), "nobody can go on");
			result->failed = true;
			ok = false;
		}
	}
	if (!ok)
		print_schedule(depth);
	if (!ok || !asleep)
		return ok;
	save(s);
	for (t = 0; ok && t < test->threads; t++) {
		ways = model_ways(t);
		for (way = 0; ok && way < ways; way++) {
			ok = try_step(depth, t, way, false);
			restore(s);
		}
		if (ok && model_may_be_killed(t)) {
			ok = try_step(depth, t, 0, true);
			restore(s);
		}
	}
	return ok;
}

bool sched_run(const struct sched_test *which, struct sched_result *to)
{
	int t;

	test = which;
	result = to;
	memset(result, 0, sizeof(*result));
	memset(test->world, 0, test->size);
	model_reset(test->world, test->shared, test->threads);
	free(seen);
	seen = NULL;
	n_seen = seen_size = 0;
	for (t = 0; t < SCHED_THREADS; t++)
		task[t].id = (u8)t;
	test->init();
	for (t = 0; t < test->threads; t++) {
		begin(t);
		sched_current = -1;
		if (result->failed)
			return false;
	}
	return search(0);
}

void sched_failed(const struct sched_result *r)
{
	printf("# failed: %s\n%snot ok - scheduler\n", r->why, r->schedule);
	exit(1);
}

/* What -fsanitize=thread calls for each plain access of the code under test. */
#define TRACE(n) \
	void __tsan_read##n(void *p); \
	void __tsan_read##n(void *p) { sched_touch(p, n, false); } \
	void __tsan_write##n(void *p); \
	void __tsan_write##n(void *p) { sched_touch(p, n, true); } \
	void __tsan_unaligned_read##n(void *p); \
	void __tsan_unaligned_read##n(void *p) { sched_touch(p, n, false); } \
	void __tsan_unaligned_write##n(void *p); \
	void __tsan_unaligned_write##n(void *p) { sched_touch(p, n, true); }

TRACE(1)
TRACE(2)
TRACE(4)
TRACE(8)
TRACE(16)

void __tsan_read_range(void *p, long n);
void __tsan_read_range(void *p, long n)
{
	sched_touch(p, (size_t)n, false);
}

void __tsan_write_range(void *p, long n);
void __tsan_write_range(void *p, long n)
{
	sched_touch(p, (size_t)n, true);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void *pc);
void __tsan_func_exit(void *pc)
{
	(void)pc;
}
