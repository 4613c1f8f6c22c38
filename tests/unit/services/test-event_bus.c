// SPDX-License-Identifier: Apache-2.0
/* The event bus, loaded beside the event log: who gets what, in which order, and who is told. */
#include "service-world.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"

static struct nexus_ref *bus, *elog;

static void begin(void)
{
	const char *both[] = { "event_bus", "eventlog" };

	put_file(SERVICES "/eventlog/eventlog.so", "eventlog");
	put_file(SERVICES "/event_bus/event_bus.so", "event_bus");
	world_begin(false, 0);
	assert_int_equal(load_all(both, 2), 0);
	assert_int_equal(service_get(reg, "the test", NEXUS_EVENT_BUS, 1, &bus), 0);
	assert_int_equal(service_get(reg, "the test", NEXUS_EVENTLOG, 1, &elog), 0);
}

static int teardown(void **state)
{
	service_put(bus);
	service_put(elog);
	bus = elog = NULL;
	return world_teardown(state);
}

/* ---- calls -------------------------------------------------------------------------------- */

static char *keep(void *args, const char *text)
{
	size_t len = strlen(text);
	char *p = service_args_more(args, len + 1);

	assert_non_null(p);
	return memcpy(p, text, len);
}

static int publish_as(const char *zone, uint32_t type, const char *path, const char *new_path,
		      uint32_t count, uint64_t *last)
{
	struct nexus_event_publish_args *a = service_args_new(sizeof(*a));
	uint32_t i;
	int ret;

	a->count = count;
	a->events = service_args_more(a, (count + 1) * sizeof(*a->events));
	for (i = 0; i < count && i < NEXUS_EVENT_BATCH_MAX; i++)
		a->events[i] = (struct nexus_bus_event){
			.type = type, .zone = keep(a, zone), .zone_len = (uint32_t)strlen(zone),
			.path = keep(a, path), .path_len = (uint32_t)strlen(path),
			.new_path = keep(a, new_path), .new_path_len = (uint32_t)strlen(new_path),
			.data = keep(a, "data"), .data_len = 4,
		};
	do
		ret = service_call(bus, struct nexus_event_bus_ops, publish, a, 0);
	while (ret == -EAGAIN);
	if (!ret && last)
		*last = a->last;
	service_args_free(a);
	return ret;
}

static uint64_t publish(const char *path)
{
	uint64_t last = 0;

	assert_int_equal(publish_as("z", NEXUS_EVENT_WRITE, path, "", 1, &last), 0);
	return last;
}

struct sub {
	uint64_t id;
	int fd;
	uint64_t seen;		/* all up to here came or were told as lost */
	uint64_t got, lost;
	bool gone;
};

struct filter {
	const char *pattern[3];	/* "=PREFIX" or a glob */
	uint64_t types;
	const char *zone;
	uint64_t from;
	uint32_t queue;
};

static int subscribe(struct sub *s, const struct filter *f)
{
	struct nexus_event_subscribe_args *a = service_args_new(sizeof(*a));
	struct nexus_event_pattern *p = service_args_more(a, 3 * sizeof(*p));
	const char *text;
	int ret;

	for (a->count = 0; a->count < 3 && f->pattern[a->count]; a->count++) {
		text = f->pattern[a->count];
		p[a->count].kind = *text == '=' ? NEXUS_EVENT_PREFIX : NEXUS_EVENT_GLOB;
		text += *text == '=';
		p[a->count].text = keep(a, text);
		p[a->count].len = (uint32_t)strlen(text);
	}
	a->patterns = p;
	a->types = f->types;
	a->zone = f->zone ? keep(a, f->zone) : NULL;
	a->zone_len = f->zone ? (uint32_t)strlen(f->zone) : 0;
	a->from = f->from;
	a->queue = f->queue;
	do
		ret = service_call(bus, struct nexus_event_bus_ops, subscribe, a, 0);
	while (ret == -EAGAIN);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
	if (!ret) {
		s->id = a->id;
		s->fd = a->fd;
	}
	service_args_free(a);
	return ret;
}

static void subscribed(struct sub *s, const char *pattern, uint64_t from, uint32_t queue)
{
	struct filter f = { .pattern = { pattern }, .from = from, .queue = queue };

	assert_int_equal(subscribe(s, &f), 0);
	s->seen = from ? from - 1 : 0;
}

static int unsubscribe(struct sub *s)
{
	struct nexus_event_unsubscribe_args *a = service_args_new(sizeof(*a));
	int ret;

	a->id = s->id;
	ret = service_call(bus, struct nexus_event_bus_ops, unsubscribe, a, 0);
	service_args_free(a);
	close(s->fd);
	return ret;
}

static bool readable(const struct sub *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static int fetch(struct sub *s, uint32_t max, struct nexus_event_fetch_args **out)
{
	struct nexus_event_fetch_args *a = service_args_new(sizeof(*a));
	int ret;

	a->id = s->id;
	a->max = max;
	do
		ret = service_call(bus, struct nexus_event_bus_ops, fetch, a, 0);
	while (ret == -EAGAIN);
	if (out && !ret)
		*out = a;
	else
		service_args_free(a);
	return ret;
}

/* Exactly the events with these numbers, and a loss or not. */
static void expect_events(struct sub *s, const uint64_t *seqs, uint32_t n, uint64_t from, uint64_t to)
{
	struct nexus_event_fetch_args *a;
	uint32_t i, k = 0;
	bool more;

	do {
		assert_int_equal(fetch(s, 0, &a), 0);
		for (i = 0; i < a->count; i++) {
			if (a->events[i].kind == NEXUS_EVENT_IS) {
				assert_true(k < n);
				assert_int_equal(a->events[i].seq, seqs[k++]);
				continue;
			}
			assert_int_equal(a->events[i].kind, NEXUS_EVENT_LOST);
			assert_int_equal(a->events[i].seq, from);
			assert_int_equal(a->events[i].lost_to, to);
			from = 0;
		}
		more = a->more;
		service_args_free(a);
	} while (more);
	assert_int_equal(k, n);
	assert_int_equal(from, 0);
}

static struct nexus_event_bus_state bus_state(void)
{
	struct nexus_event_bus_state *a = service_args_new(sizeof(*a)), st;

	assert_int_equal(service_call(bus, struct nexus_event_bus_ops, state, a, 0), 0);
	st = *a;
	service_args_free(a);
	return st;
}

/* ---- patterns ------------------------------------------------------------------------------ */

/* What a glob means, in the fewest words: no matter how long it takes. */
static bool model(const char *p, const char *s, const char *begin_p)
{
	if (!*p)
		return !*s;
	if (p[0] == '*' && p[1] == '*') {
		if (p > begin_p && p[-1] == '/' && p[2] == '/') {
			/* Whole names, also none. */
			if (model(p + 3, s, begin_p))
				return true;
			for (; *s; s++)
				if (*s == '/' && model(p + 3, s + 1, begin_p))
					return true;
			return false;
		}
		for (;; s++) {
			if (model(p + 2, s, begin_p))
				return true;
			if (!*s)
				return false;
		}
	}
	if (*p == '*') {
		for (;; s++) {
			if (model(p + 1, s, begin_p))
				return true;
			if (!*s || *s == '/')
				return false;
		}
	}
	if (!*s)
		return false;
	if (*p == '?')
		return *s != '/' && model(p + 1, s + 1, begin_p);
	if (!strncmp(p, "[ab]", 4))
		return (*s == 'a' || *s == 'b') && model(p + 4, s + 1, begin_p);
	return *p == *s && model(p + 1, s + 1, begin_p);
}

static void random_text(char *text, bool pattern)
{
	static const char *const parts[] = { "a", "b", "c", "/", "/a", "/b", "/", "*", "**", "?", "[ab]", "/**/" };
	uint32_t n = rnd(9);

	strcpy(text, "/");
	while (n--)
		strcat(text, parts[rnd(pattern ? 12 : 6)]);
}

static bool matches(uint32_t kind, const char *pattern, const char *path)
{
	struct bus_pattern p;

	assert_int_equal(pattern_set(&p, kind, pattern, (uint32_t)strlen(pattern)), 0);
	return pattern_match(&p, path, strlen(path));
}

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} globs[] = {
		{ "/a/*.c", "/a/x.c", true }, { "/a/*.c", "/a/b/x.c", false },
		{ "/a/**", "/a/b/x.c", true }, { "/a/**", "/a", false },
		{ "/**/x", "/x", true }, { "/**/x", "/a/b/x", true }, { "/**/x", "/ax", false },
		{ "/a/**/*.c", "/a/x.c", true }, { "/a/**/*.c", "/a/b/c/x.c", true },
		{ "/a[0-9]", "/a5", true }, { "/a[!0-9]", "/a5", false }, { "/a[!0-9]", "/a/", false },
		{ "/a\\*", "/a*", true }, { "/a\\*", "/ab", false }, { "/[]]", "/]", true },
		{ "/a?c", "/a/c", false }, { "/*", "/a", true }, { "/*", "/", true },
		{ "/\\\\[ab]", "/\\a", true }, { "/\\\\[ab]", "/\\[ab]", false },
		{ "/\\[ab]", "/[ab]", true },
		{ "/x**y", "/xa/by", true }, { "/a/b", "/a/b", true }, { "/a/b", "/a/b/c", false },
	};
	char pattern[64], path[64];
	struct bus_pattern p;
	int i, yes = 0;
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(globs) / sizeof(globs[0]); n++)
		if (matches(NEXUS_EVENT_GLOB, globs[n].pattern, globs[n].path) != globs[n].yes)
			fail_msg("%s and %s", globs[n].pattern, globs[n].path);
	assert_true(matches(NEXUS_EVENT_PREFIX, "/a", "/a"));
	assert_true(matches(NEXUS_EVENT_PREFIX, "/a/", "/a/b"));
	assert_false(matches(NEXUS_EVENT_PREFIX, "/a", "/ab"));
	assert_true(matches(NEXUS_EVENT_PREFIX, "/", "/ab"));
	assert_true(matches(NEXUS_EVENT_PREFIX, "/*", "/*/b"));
	assert_false(matches(NEXUS_EVENT_PREFIX, "/*", "/a/b"));
	assert_int_equal(pattern_set(&p, NEXUS_EVENT_GLOB, "/[a", 3), -EINVAL);
	assert_int_equal(pattern_set(&p, NEXUS_EVENT_GLOB, "/a\\", 3), -EINVAL);
	/* Behind a \ that is meant itself begins a class like any other. */
	assert_int_equal(pattern_set(&p, NEXUS_EVENT_GLOB, "/\\\\[ab", 6), -EINVAL);
	assert_int_equal(pattern_set(&p, NEXUS_EVENT_GLOB, "/\\[ab", 5), 0);
	assert_int_equal(pattern_set(&p, NEXUS_EVENT_GLOB, "a", 1), -EINVAL);
	assert_int_equal(pattern_set(&p, NEXUS_EVENT_GLOB, "", 0), -EINVAL);
	assert_int_equal(pattern_set(&p, 2, "/a", 2), -EINVAL);
	for (i = 0; i < 100000; i++) {
		random_text(pattern, true);
		random_text(path, false);
		if (model(pattern, path, pattern) != matches(NEXUS_EVENT_GLOB, pattern, path))
			fail_msg("%s and %s", pattern, path);
		yes += model(pattern, path, pattern);
	}
	assert_true(yes > 1000);
}

static void test_record(void **state)
{
	struct nexus_bus_event e = {
		.type = 5, .time = 77, .zone = "z", .zone_len = 1, .path = "/a/b", .path_len = 4,
		.new_path = "/c", .new_path_len = 2, .data = "xyz", .data_len = 3,
	}, out;
	struct nexus_eventlog_record rec = { .seq = 9, .zone = "z", .zone_len = 1 };
	size_t size = event_size(&e), i;
	uint8_t *buf = malloc(size), *cut;

	(void)state;
	event_put(buf, &e);
	rec.data = buf;
	rec.data_len = (uint32_t)size;
	assert_int_equal(event_get(&rec, &out), 0);
	assert_int_equal(out.seq, 9);
	assert_int_equal(out.type, 5);
	assert_int_equal(out.time, 77);
	assert_memory_equal(out.path, "/a/b", out.path_len);
	assert_memory_equal(out.new_path, "/c", out.new_path_len);
	assert_int_equal(out.data_len, 3);
	for (i = 0; i < size; i++) {
		cut = malloc(i ? i : 1);
		memcpy(cut, buf, i);
		rec.data = cut;
		rec.data_len = (uint32_t)i;
		/* The log keeps it whole; what is shorter has less data, or is none. */
		assert_int_equal(event_get(&rec, &out), i + 3 < size ? -EBADMSG : 0);
		free(cut);
	}
	rec.data = buf;
	rec.data_len = (uint32_t)size;
	for (i = 0; i < size * 8; i++) {
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		if (!event_get(&rec, &out))
			assert_int_equal(event_check(&out), 0);
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	free(buf);
}

/* ---- rules --------------------------------------------------------------------------------- */

static void test_rules(void **state)
{
	struct filter types = { .types = 1u << NEXUS_EVENT_DELETE },
		      zone = { .zone = "other" },
		      two = { .pattern = { "/a/*.c", "=/a" } },
		      bad = { .pattern = { "/[" } }, large = { .queue = NEXUS_EVENT_QUEUE_MAX + 1 };
	struct sub all, del, other, both, x;
	uint64_t seqs[8];

	(void)state;
	begin();
	subscribed(&all, NULL, 0, 0);
	assert_int_equal(subscribe(&del, &types), 0);
	assert_int_equal(subscribe(&other, &zone), 0);
	assert_int_equal(subscribe(&both, &two), 0);
	assert_int_equal(subscribe(&x, &bad), -EINVAL);
	assert_int_equal(subscribe(&x, &large), -EMSGSIZE);
	assert_false(readable(&all));
	expect_events(&all, NULL, 0, 0, 0);
	seqs[0] = publish("/a/x.c");
	assert_true(readable(&all));
	assert_false(readable(&del));
	assert_int_equal(publish_as("other", NEXUS_EVENT_DELETE, "/b", "", 1, &seqs[1]), 0);
	assert_int_equal(publish_as("z", NEXUS_EVENT_RENAME, "/b", "/a/new", 1, &seqs[2]), 0);
	assert_int_equal(publish_as("z", 64, "/b", "", 1, NULL), -EINVAL);
	assert_int_equal(publish_as("", 0, "/b", "", 1, NULL), -EINVAL);
	assert_int_equal(publish_as("z", 0, "b", "", 1, NULL), -EINVAL);
	assert_int_equal(publish_as("z", 0, "/b", "", 0, NULL), -EINVAL);
	assert_int_equal(publish_as("z", 0, "/b", "", NEXUS_EVENT_BATCH_MAX + 1, NULL), -EMSGSIZE);
	expect_events(&all, seqs, 3, 0, 0);
	expect_events(&del, seqs + 1, 1, 0, 0);
	expect_events(&other, seqs + 1, 1, 0, 0);
	/* Once each, however many patterns match; a rename by either name. */
	expect_events(&both, (uint64_t[]){ seqs[0], seqs[2] }, 2, 0, 0);
	assert_false(readable(&all));
	assert_int_equal(bus_state().subscribers, 4);
	assert_int_equal(bus_state().deliveries, 7);
	assert_int_equal(unsubscribe(&del), 0);
	assert_int_equal(fetch(&del, 0, NULL), -ESTALE);
	assert_int_equal(fetch(&all, NEXUS_EVENT_FETCH_MAX + 1, NULL), -EMSGSIZE);
	publish("/c");
	/* Nobody unloads it under the hands of those who use it. */
	assert_int_equal(unload("event_bus"), -EBUSY);
	assert_said("the test holds nexus.event_bus");
	assert_int_equal(unload("eventlog"), -EBUSY);
	assert_said("event_bus");
	assert_int_equal(unsubscribe(&all), 0);
	assert_int_equal(unsubscribe(&other), 0);
	service_put(bus);
	bus = NULL;
	assert_int_equal(unload("event_bus"), 0);
	/* The descriptor is the subscriber's: what it waits for comes to an end. */
	assert_true(readable(&both));
	close(both.fd);
}

static void test_overflow(void **state)
{
	struct nexus_event_fetch_args *a;
	struct sub slow, fast, again;
	uint64_t seqs[32];
	int i;

	(void)state;
	begin();
	subscribed(&slow, "=/a", 0, 4);
	subscribed(&fast, "=/a", 0, 0);
	for (i = 0; i < 10; i++) {
		seqs[i] = publish("/a/x");
		publish("/b");
	}
	expect_events(&fast, seqs, 10, 0, 0);
	/* It stays full until the loss was told, whatever room there is. */
	assert_int_equal(fetch(&slow, 2, &a), 0);
	assert_int_equal(a->count, 2);
	assert_true(a->more);
	service_args_free(a);
	seqs[10] = publish("/a/x");
	expect_events(&slow, seqs + 2, 2, seqs[4], seqs[10]);
	assert_false(readable(&slow));
	seqs[11] = publish("/a/x");
	expect_events(&slow, seqs + 11, 1, 0, 0);
	assert_int_equal(bus_state().lost, 7);
	assert_int_equal(bus_state().overflows, 1);
	/* What was lost is in the log, and then comes what is new. */
	subscribed(&again, "=/a", seqs[4], 4);
	assert_true(readable(&again));
	expect_events(&again, seqs + 4, 8, 0, 0);
	assert_false(readable(&again));
	seqs[12] = publish("/a/x");
	expect_events(&again, seqs + 12, 1, 0, 0);
	unsubscribe(&slow);
	unsubscribe(&fast);
	unsubscribe(&again);
}

static void test_log_gone(void **state)
{
	struct nexus_eventlog_truncate_args *t = service_args_new(sizeof(*t));
	struct nexus_eventlog_append_args *app = service_args_new(sizeof(*app));
	struct nexus_event_fetch_args *a;
	struct sub s, live;
	uint64_t seqs[4];
	int i;

	(void)state;
	begin();
	for (i = 0; i < 5; i++)
		publish("/a");
	t->before = 4;
	assert_int_equal(service_call(elog, struct nexus_eventlog_ops, truncate, t, 0), 0);
	service_args_free(t);
	subscribed(&s, NULL, 2, 0);
	subscribed(&live, NULL, 0, 0);
	assert_int_equal(fetch(&s, 0, &a), 0);
	assert_int_equal(a->count, 3);
	assert_int_equal(a->events[0].kind, NEXUS_EVENT_GONE);
	assert_int_equal(a->events[0].seq, 2);
	assert_int_equal(a->events[0].lost_to, 3);
	assert_int_equal(a->events[1].seq, 4);
	service_args_free(a);
	/* What others append is no event, or one that comes before the next. */
	struct nexus_bus_event e = { .zone = "z", .zone_len = 1, .path = "/x", .path_len = 2 };

	app->count = 2;
	app->records = service_args_more(app, 2 * sizeof(*app->records));
	app->records[0].data = keep(app, "no event");
	app->records[0].data_len = 8;
	app->records[1].zone = keep(app, "z");
	app->records[1].zone_len = 1;
	app->records[1].data_len = (uint32_t)event_size(&e);
	app->records[1].data = service_args_more(app, event_size(&e));
	event_put((uint8_t *)app->records[1].data, &e);
	assert_int_equal(service_call(elog, struct nexus_eventlog_ops, append, app, 0), 0);
	seqs[0] = app->records[1].seq;
	service_args_free(app);
	seqs[1] = publish("/a");
	expect_events(&live, seqs, 2, 0, 0);
	unsubscribe(&s);
	unsubscribe(&live);
}

/* ---- against a model --------------------------------------------------------------------------- */

#define SUBS	40
#define ROUNDS	400

static void test_model(void **state)
{
	static char patterns[SUBS][2][64];
	static uint64_t want[SUBS][ROUNDS];
	uint32_t n[SUBS] = { 0 }, i, k;
	struct filter f;
	struct sub subs[SUBS];
	char path[64], new_path[64];
	uint64_t seq;
	bool yes;

	(void)state;
	begin();
	for (i = 0; i < SUBS; i++) {
		random_text(patterns[i][0] + (i & 1), !(i & 1));
		if (i & 1)
			patterns[i][0][0] = '=';
		random_text(patterns[i][1], true);
		f = (struct filter){ .pattern = { patterns[i][0], patterns[i][1] } };
		assert_int_equal(subscribe(&subs[i], &f), 0);
	}
	for (k = 0; k < ROUNDS; k++) {
		random_text(path, false);
		new_path[0] = '\0';
		if (!rnd(4))
			random_text(new_path, false);
		assert_int_equal(publish_as("z", 0, path, new_path, 1, &seq), 0);
		for (i = 0; i < SUBS; i++) {
			yes = model(patterns[i][1], path, patterns[i][1]) ||
			      (*new_path && model(patterns[i][1], new_path, patterns[i][1]));
			if (i & 1)
				yes = yes || matches(NEXUS_EVENT_PREFIX, patterns[i][0] + 1, path) ||
				      (*new_path && matches(NEXUS_EVENT_PREFIX, patterns[i][0] + 1, new_path));
			else
				yes = yes || model(patterns[i][0], path, patterns[i][0]) ||
				      (*new_path && model(patterns[i][0], new_path, patterns[i][0]));
			if (yes)
				want[i][n[i]++] = seq;
		}
	}
	for (i = 0; i < SUBS; i++) {
		expect_events(&subs[i], want[i], n[i], 0, 0);
		assert_int_equal(unsubscribe(&subs[i]), 0);
	}
}

/* ---- threads ------------------------------------------------------------------------------------ */

#define PUBLISHERS	3
#define BATCHES		120
#define BATCH		5
#define TOTAL		((uint64_t)PUBLISHERS * BATCHES * BATCH)

static atomic_bool swapping;

static void *publisher(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < BATCHES; i++)
		assert_int_equal(publish_as("z", 0, "/a/b", "", BATCH, NULL), 0);
	return NULL;
}

/* Every number once and in order, as an event or in a loss. */
static void account(struct sub *s, const struct nexus_event_fetch_args *a)
{
	uint32_t i;

	for (i = 0; i < a->count; i++) {
		const struct nexus_bus_event *e = &a->events[i];

		assert_int_equal(e->seq, s->seen + 1);
		assert_int_not_equal(e->kind, NEXUS_EVENT_GONE);
		if (e->kind == NEXUS_EVENT_LOST) {
			s->lost += e->lost_to - e->seq + 1;
			s->seen = e->lost_to;
			continue;
		}
		assert_int_equal(e->path_len, 4);
		assert_memory_equal(e->path, "/a/b", 4);
		s->got++;
		s->seen = e->seq;
	}
}

static void *subscriber(void *arg)
{
	struct nexus_event_fetch_args *a;
	struct sub *s = arg, old;
	struct pollfd p;
	int ret;

	while (s->seen < TOTAL) {
		p = (struct pollfd){ .fd = s->fd, .events = POLLIN };
		/* So long only when nothing comes any more. */
		assert_int_equal(poll(&p, 1, 60000), 1);
		ret = fetch(s, 64, &a);
		if (ret == -ESTALE) {
			/* Told that it is over: goes on where it was. */
			assert_true(atomic_load(&swapping));
			old = *s;
			close(old.fd);
			subscribed(s, "=/a", old.seen + 1, 0);
			s->got = old.got;
			s->lost = old.lost;
			s->gone = true;
			continue;
		}
		assert_int_equal(ret, 0);
		account(s, a);
		service_args_free(a);
	}
	return NULL;
}

static void run_threads(uint32_t swaps)
{
	pthread_t threads[PUBLISHERS + 4];
	struct sub subs[4], idle;
	uint32_t i;

	begin();
	subscribed(&subs[0], "=/a", 0, 0);
	subscribed(&subs[1], "/a/*", 0, 8);
	subscribed(&subs[2], "/**", 1, 0);
	subscribed(&subs[3], NULL, 1, 16);
	/* One that never fetches. */
	subscribed(&idle, NULL, 0, 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[PUBLISHERS + i], NULL, subscriber, &subs[i]), 0);
	for (i = 0; i < PUBLISHERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, publisher, NULL), 0);
	atomic_store(&swapping, swaps > 0);
	for (i = 0; i < swaps; i++) {
		assert_int_equal(swap("eventlog"), 0);
		assert_int_equal(swap("event_bus"), 0);
	}
	for (i = 0; i < PUBLISHERS + 4; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 4; i++) {
		assert_int_equal(subs[i].seen, TOTAL);
		assert_int_equal(subs[i].got + subs[i].lost, TOTAL);
		close(subs[i].fd);
	}
	/* Room for all. */
	assert_int_equal(subs[0].lost, 0);
	if (!swaps) {
		account(&idle, &(struct nexus_event_fetch_args){ .count = 0 });
		expect_events(&idle, (uint64_t[]){ 1, 2, 3, 4 }, 4, 5, TOTAL);
	}
	close(idle.fd);
}

static void test_threads(void **state)
{
	(void)state;
	run_threads(0);
}

static void test_swap(void **state)
{
	(void)state;
	run_threads(3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_record),
		cmocka_unit_test_setup_teardown(test_rules, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_overflow, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_gone, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_model, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap, world_setup, teardown),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
