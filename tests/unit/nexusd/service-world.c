// SPDX-License-Identifier: Apache-2.0
#include "service-world.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nexus/services/echo.h>

#define LONG_MS	120000

struct registry *reg;
struct registry_opts reg_opts;
struct cachestore *world_cache;
struct errline reg_err;
struct recordstore *world_records;

static char services[160], files[160];
static char *trial_argv[] = { (char *)"/proc/self/exe", (char *)TRY_WORD, NULL };
static const struct service_caller me = { 7, 77 };

int world_setup(void **state)
{
	test_setup(state);
	snprintf(services, sizeof(services), "%s/services", test_dir);
	snprintf(files, sizeof(files), "%s/files", test_dir);
	assert_int_equal(mkdir(services, 0755), 0);
	return 0;
}

void wait_unmapped(unsigned int left)
{
	while (mapped() != left)
		usleep(1000);
	/* The lock tells that the call is over, too. */
	state_of("echo", NULL);
}

void world_begin(bool trial, uint32_t timeout_ms)
{
	reg_opts = (struct registry_opts){
		.dir = services,
		.owner = geteuid(),
		.timeout_ms = timeout_ms ? timeout_ms : LONG_MS,
		.quarantine = true,
		.trial = trial ? trial_argv : NULL,
		.state = files,
		.records = world_records,
		.cache = world_cache,
	};
	reg = registry_new(&reg_opts);
	assert_non_null(reg);
}

void world_end(void)
{
	registry_end(reg);
	assert_true(registry_free(reg));
	reg = NULL;
	assert_int_equal(mapped(), 0);
}

int world_teardown(void **state)
{
	if (reg)
		world_end();
	return test_teardown(state);
}

void object_path(char *path, size_t room, const char *name)
{
	snprintf(path, room, "%s/%s.so", services, name);
}

void put_file(const char *from, const char *name)
{
	char to[256], tmp[256], buf[65536];
	int in, out;
	ssize_t n;

	snprintf(tmp, sizeof(tmp), "%s/new", services);
	object_path(to, sizeof(to), name);
	in = open(from, O_RDONLY | O_CLOEXEC);
	assert_true(in >= 0);
	out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	assert_int_equal(n, 0);
	assert_int_equal(fchmod(out, 0644), 0);
	close(in);
	close(out);
	assert_int_equal(rename(tmp, to), 0);
}

void put_object(const char *object, const char *name)
{
	char from[512];

	snprintf(from, sizeof(from), OBJECTS "/service-%s.so", object);
	put_file(from, name);
}

/* An error has a line, of whatever it is. */
static int result(int ret)
{
	if (ret)
		assert_true(reg_err.msg[0]);
	return ret;
}

int load_all(const char *const *names, size_t n)
{
	reg_err.msg[0] = '\0';
	return result(service_load(reg, names, n, &me, &reg_err));
}

int load(const char *name)
{
	return load_all(&name, 1);
}

int unload(const char *name)
{
	reg_err.msg[0] = '\0';
	return result(service_unload(reg, name, &me, &reg_err));
}

int swap(const char *name)
{
	reg_err.msg[0] = '\0';
	return result(service_swap(reg, name, &me, &reg_err));
}

void assert_said(const char *words)
{
	if (!strstr(reg_err.msg, words))
		fail_msg("\"%s\" is not in: %s", words, reg_err.msg);
}

unsigned int mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[1024], last[64] = "", *inode;
	unsigned int n = 0;

	assert_non_null(f);
	/* address perms offset device INODE path: once for each inode */
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "nexus-service-"))
			continue;
		inode = strchr(line, ':') + 4;
		inode[strcspn(inode, " ")] = '\0';
		n += strcmp(inode, last) != 0;
		snprintf(last, sizeof(last), "%s", inode);
	}
	fclose(f);
	return n;
}

struct look {
	const char *name;
	struct service_info *copy;
	enum service_state state;
};

static int look_at(void *arg, const struct service_info *info)
{
	struct look *l = arg;

	if (strcmp(info->name, l->name))
		return 0;
	l->state = info->state;
	if (l->copy)
		*l->copy = *info;
	return 1;
}

enum service_state state_of(const char *name, struct service_info *copy)
{
	struct look l = { name, copy, (enum service_state)0 };

	service_list(reg, look_at, &l);
	return l.state;
}

int say(struct nexus_ref *ref, const char *text, char *answer, uint32_t timeout_ms)
{
	struct nexus_echo_args *a = service_args_new(sizeof(*a));
	int ret;

	assert_non_null(a);
	a->len = (uint32_t)strlen(text);
	memcpy(a->in, text, a->len);
	ret = service_call(ref, struct nexus_echo_ops, echo, a, timeout_ms);
	if (!ret && answer)
		memcpy(answer, a->out, NEXUS_ECHO_MAX);
	service_args_free(a);
	return ret;
}

int ask(const char *protocol, const char *text, char *answer)
{
	struct nexus_ref *ref;
	int ret;

	ret = service_get(reg, "test", protocol, 1, &ref);
	if (ret)
		return ret;
	ret = say(ref, text, answer, 0);
	service_put(ref);
	return ret;
}

void assert_traced(int fd, const char *lines)
{
	char got[1024];
	ssize_t n = read(fd, got, sizeof(got) - 1);

	got[n > 0 ? n : 0] = '\0';
	assert_string_equal(got, lines);
}

int trace_begin(int fds[2])
{
	char number[16];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	snprintf(number, sizeof(number), "%d", fds[1]);
	return setenv("NEXUS_TEST_TRACE", number, 1);
}

void trace_end(int fds[2])
{
	unsetenv("NEXUS_TEST_TRACE");
	close(fds[0]);
	close(fds[1]);
}

void world_main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], TRY_WORD))
		exit(service_trial_main(argc - 2, argv + 2));
}
