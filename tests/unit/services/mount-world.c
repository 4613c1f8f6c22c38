// SPDX-License-Identifier: Apache-2.0
#include "mount-world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char world_dir[64];
struct world world;

/* Lines of the table, with a directory each; the last ones are on top. */
static struct {
	char *directory, *line;
} table[1200];
static size_t lines;
static unsigned int next_id;

static void add(const char *type, const char *source, const char *directory, const char *options,
		const char *fs_options, const char *root)
{
	char *line;

	assert_true(asprintf(&line, "%u 1 0:40 %s %s %s shared:7 - %s %s %s\n", ++next_id, root,
			     directory, options, type, source, fs_options) > 0);
	assert_true(lines < sizeof(table) / sizeof(table[0]));
	table[lines].directory = strdup(directory);
	table[lines++].line = line;
}

static bool take(const char *directory)
{
	size_t i = lines;

	while (i--)
		if (!strcmp(table[i].directory, directory)) {
			free(table[i].directory);
			free(table[i].line);
			memmove(&table[i], &table[i + 1], (lines - i - 1) * sizeof(table[0]));
			lines--;
			return true;
		}
	return false;
}

static unsigned int count(const char *directory)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < lines; i++)
		n += !strcmp(table[i].directory, directory);
	return n;
}

void by_hand(const char *type, const char *source, const char *directory, const char *options,
	     const char *fs_options, const char *root)
{
	pthread_mutex_lock(&world.lock);
	add(type, source, directory, options, fs_options, root);
	pthread_mutex_unlock(&world.lock);
}

void by_hand_off(const char *directory)
{
	bool was;

	pthread_mutex_lock(&world.lock);
	was = take(directory);
	pthread_mutex_unlock(&world.lock);
	assert_true(was);
}

unsigned int mounted(const char *directory)
{
	unsigned int n;

	pthread_mutex_lock(&world.lock);
	n = count(directory);
	pthread_mutex_unlock(&world.lock);
	return n;
}

/* ---- the machine ------------------------------------------------------------------ */

static int read_table(void *arg, struct mtab *t)
{
	char path[128];
	FILE *file;
	size_t i;
	int ret;

	(void)arg;
	pthread_mutex_lock(&world.lock);
	snprintf(path, sizeof(path), "%s/table", world_dir);
	file = fopen(path, "w");
	for (i = 0; file && i < lines; i++)
		fputs(table[i].line, file);
	ret = file && !fclose(file) ? mtab_read(t, path) : -EIO;
	pthread_mutex_unlock(&world.lock);
	return ret;
}

static int attach_one(void *arg, const char *source, const char *directory, const char *options,
		      char *words)
{
	int ret;

	(void)arg;
	pthread_mutex_lock(&world.lock);
	world.attaches++;
	world.running++;
	if (world.running > world.most)
		world.most = world.running;
	pthread_cond_broadcast(&world.cond);
	while (world.held && !strcmp(world.held, source))
		pthread_cond_wait(&world.cond, &world.lock);
	world.running--;
	ret = world.error;
	snprintf(words, NEXUS_MOUNT_WORDS_MAX, "%s", ret ? world.words : "");
	if (!ret) {
		world.doubled |= count(directory) > 0;
		add("nexusfs", source, directory, options[0] ? options : "ro,relatime", "ro", "/");
	}
	pthread_mutex_unlock(&world.lock);
	return ret;
}

static int detach_one(void *arg, const char *directory, bool lazy, char *words)
{
	int ret = 0;

	(void)arg;
	pthread_mutex_lock(&world.lock);
	if (world.busy && !lazy) {
		ret = world.busy;
		snprintf(words, NEXUS_MOUNT_WORDS_MAX, "%s: target is busy.", directory);
	} else if (!take(directory)) {
		ret = -ENOENT;
	}
	pthread_mutex_unlock(&world.lock);
	return ret;
}

static void say(void *arg, bool bad, const char *line)
{
	(void)arg;
	(void)bad;
	pthread_mutex_lock(&world.lock);
	world.said++;
	snprintf(world.last, sizeof(world.last), "%s", line);
	pthread_mutex_unlock(&world.lock);
}

static int64_t now_ms(void)
{
	return 1700000000123;
}

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static const struct mounts_machine machine = {
	.table = read_table, .attach = attach_one, .detach = detach_one, .say = say,
	.now_ms = now_ms, .mono_ms = mono_ms,
};

/* ---- the service ------------------------------------------------------------------- */

int mount_world_setup(void **state)
{
	char path[128];

	(void)state;
	world = (struct world){ .error = 0 };
	pthread_mutex_init(&world.lock, NULL);
	pthread_cond_init(&world.cond, NULL);
	strcpy(world_dir, "/tmp/nexus-mounts-XXXXXX");
	snprintf(path, sizeof(path), "%s/service", mkdtemp(world_dir) ? world_dir : "/nowhere");
	add("ext4", "/dev/sda", "/", "rw,relatime", "rw", "/");
	return mkdir(path, 0700);
}

int mount_world_teardown(void **state)
{
	char command[128];

	(void)state;
	while (lines)
		take(table[lines - 1].directory);
	snprintf(command, sizeof(command), "rm -r %s", world_dir);
	return system(command);
}

void open_mounts(struct mounts *m)
{
	char path[128], words[128];
	int dirfd;

	*m = (struct mounts){ .first_ms = 1, .last_ms = 8 };
	snprintf(path, sizeof(path), "%s/service", world_dir);
	dirfd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	assert_int_equal(mounts_open(m, &machine, dirfd, words), 0);
	assert_int_equal(mounts_begin(m), 0);
}

void close_mounts(struct mounts *m)
{
	mounts_end(m);
	mounts_close(m);
}

void attach_ok(struct mounts *m, const char *source, const char *directory, const char *options)
{
	struct nexus_mount_attach_args a = { source, directory, options, "" };
	int ret = mounts_attach(m, &a);

	if (ret)
		fail_msg("attach %s: %d, %s", directory, ret, a.words);
}

static void assert_words(const char *got, const char *words)
{
	if (!strstr(got, words))
		fail_msg("\"%s\" has no \"%s\"", got, words);
}

void attach_fails(struct mounts *m, const char *source, const char *directory, const char *options,
		  int error, const char *words)
{
	struct nexus_mount_attach_args a = { source, directory, options, "" };

	assert_int_equal(mounts_attach(m, &a), error);
	assert_words(a.words, words);
}

void detach_ok(struct mounts *m, const char *directory, bool lazy)
{
	struct nexus_mount_detach_args a = { directory, lazy, "" };
	int ret = mounts_detach(m, &a);

	if (ret)
		fail_msg("detach %s: %d, %s", directory, ret, a.words);
}

void detach_fails(struct mounts *m, const char *directory, int error, const char *words)
{
	struct nexus_mount_detach_args a = { directory, false, "" };

	assert_int_equal(mounts_detach(m, &a), error);
	assert_words(a.words, words);
}

uint32_t save_ok(struct mounts *m)
{
	struct nexus_mount_save_args a = { 0, "" };
	int ret = mounts_save(m, &a);

	if (ret)
		fail_msg("save: %d, %s", ret, a.words);
	return a.count;
}

/* What a list is made of; one at a time in a thread. */
static _Thread_local void *pieces[5000];
static _Thread_local size_t n_pieces;

static void *more(void *args, size_t size)
{
	(void)args;
	assert_true(n_pieces < sizeof(pieces) / sizeof(pieces[0]));
	return pieces[n_pieces++] = calloc(1, size);
}

static void end_list(void)
{
	while (n_pieces)
		free(pieces[--n_pieces]);
}

char *list_text(struct mounts *m)
{
	static const char *const names[] = { "?", "attached", "waiting", "failed", "gone" };
	struct nexus_mount_list_args a = { NULL, 0 };
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	uint32_t i;

	assert_int_equal(mounts_list(m, &a, more), 0);
	for (i = 0; i < a.count; i++)
		fprintf(to, "%s%s%s %s %s %s", i ? "; " : "", names[a.mounts[i].state],
			a.mounts[i].saved ? "+" : "", a.mounts[i].directory, a.mounts[i].source,
			a.mounts[i].options);
	fclose(to);
	end_list();
	return text;
}

void assert_list(struct mounts *m, const char *text)
{
	char *got = list_text(m);

	assert_string_equal(got, text);
	free(got);
}

void await_list(struct mounts *m, const char *text)
{
	const struct timespec step = { 0, 2000000 };
	unsigned int i;
	char *got;
	bool same;

	for (i = 0; i < 10000; i++) {
		got = list_text(m);
		same = !strcmp(got, text);
		free(got);
		if (same)
			return;
		nanosleep(&step, NULL);
	}
	assert_list(m, text);
}

int64_t since_of(struct mounts *m, const char *directory)
{
	struct nexus_mount_list_args a = { NULL, 0 };
	int64_t since = -1;
	uint32_t i;

	assert_int_equal(mounts_list(m, &a, more), 0);
	for (i = 0; i < a.count; i++)
		if (!strcmp(a.mounts[i].directory, directory))
			since = a.mounts[i].since_ms;
	end_list();
	return since;
}

void reason_of(struct mounts *m, const char *directory, char reason[NEXUS_MOUNT_WORDS_MAX])
{
	struct nexus_mount_list_args a = { NULL, 0 };
	uint32_t i;

	reason[0] = '\0';
	assert_int_equal(mounts_list(m, &a, more), 0);
	for (i = 0; i < a.count; i++)
		if (!strcmp(a.mounts[i].directory, directory))
			snprintf(reason, NEXUS_MOUNT_WORDS_MAX, "%s", a.mounts[i].reason);
	end_list();
}
