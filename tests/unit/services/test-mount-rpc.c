// SPDX-License-Identifier: Apache-2.0
/* Service mount, loaded and called from outside, with programs of the test's. */
#include "rpc-world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <nexus/services/mount.h>

#include "mount-machine.h"

#define MOUNTS	"nexus.mount.v1.Mounts"
#define NAME	"mount"
#define M(name)	Nexus__Mount__V1__##name

/* What is called the same in tests of other services. */
static char where[4][192];

static void service_begin(const char *group)
{
	put_file(OBJECT, NAME);
	begin_with(0, 0, group);
	assert_int_equal(load(NAME), 0);
}

static void mounts_start(const char *group)
{
	char folder[160];
	size_t i;

	snprintf(folder, sizeof(folder), "%s/machine", test_dir);
	assert_int_equal(mkdir(folder, 0755), 0);
	machine_begin(folder);
	for (i = 0; i < 4; i++) {
		snprintf(where[i], sizeof(where[i]), "%s/at%zu", test_dir, i);
		assert_int_equal(mkdir(where[i], 0755), 0);
	}
	service_begin(group);
}

static M(AttachRequest) attach_of(const char *source, const char *directory)
{
	M(AttachRequest) req = NEXUS__MOUNT__V1__ATTACH_REQUEST__INIT;

	req.source = (char *)source;
	req.directory = (char *)directory;
	return req;
}

static M(DetachRequest) detach_of(const char *directory)
{
	M(DetachRequest) req = NEXUS__MOUNT__V1__DETACH_REQUEST__INIT;

	req.directory = (char *)directory;
	return req;
}

static void ok(const char *method, const ProtobufCMessage *req)
{
	struct answer a;

	if (ask_msg(MOUNTS, method, req, &a) != RPC_OK)
		fail_msg("%s: code %d, %s", method, a.code, a.message);
	free(a.payload);
}

static void fails(const char *method, const ProtobufCMessage *req, int error, const char *words)
{
	struct answer a;

	assert_int_not_equal(ask_msg(MOUNTS, method, req, &a), RPC_OK);
	if (a.error != error)
		fail_msg("%s: errno %d, not %d: %s", method, a.error, error, a.message);
	assert_has(a.message, words);
	free(a.payload);
}

static void attach(const char *source, const char *directory)
{
	M(AttachRequest) req = attach_of(source, directory);

	ok("Attach", &req.base);
}

static void detach(const char *directory)
{
	M(DetachRequest) req = detach_of(directory);

	ok("Detach", &req.base);
}

static uint32_t save(void)
{
	M(SaveRequest) req = NEXUS__MOUNT__V1__SAVE_REQUEST__INIT;
	M(SaveResponse) *resp;
	struct answer a;
	uint32_t n;

	assert_int_equal(ask_msg(MOUNTS, "Save", &req.base, &a), RPC_OK);
	resp = nexus__mount__v1__save_response__unpack(NULL, a.len, a.payload);
	n = resp->count;
	nexus__mount__v1__save_response__free_unpacked(resp, NULL);
	free(a.payload);
	return n;
}

/* As "STATE[+] NUMBER SOURCE;" for each of where[]. */
static void list(char *text, size_t room)
{
	M(ListRequest) req = NEXUS__MOUNT__V1__LIST_REQUEST__INIT;
	M(ListResponse) *resp;
	const M(Mount) *m;
	size_t len = 0, i;
	struct answer a;

	assert_int_equal(ask_msg(MOUNTS, "List", &req.base, &a), RPC_OK);
	resp = nexus__mount__v1__list_response__unpack(NULL, a.len, a.payload);
	assert_non_null(resp);
	text[0] = '\0';
	for (i = 0; i < resp->n_mounts; i++) {
		m = resp->mounts[i];
		len += (size_t)snprintf(text + len, room - len, "%d%s %c %s;", m->state,
					m->saved ? "+" : "", m->directory[strlen(m->directory) - 1],
					m->source);
		assert_int_equal(m->reason[0] != '\0', (int)m->state == NEXUS_MOUNT_FAILED);
	}
	nexus__mount__v1__list_response__free_unpacked(resp, NULL);
	free(a.payload);
}

static void expect(const char *text)
{
	char got[1024];

	list(got, sizeof(got));
	assert_string_equal(got, text);
}

static void await(const char *text)
{
	const struct timespec step = { 0, 5000000 };
	char got[1024];
	unsigned int i;

	for (i = 0; i < 12000; i++) {
		list(got, sizeof(got));
		if (!strcmp(got, text))
			return;
		nanosleep(&step, NULL);
	}
	assert_string_equal(got, text);
}

static void test_life(void **state)
{
	M(DetachRequest) lazy;
	char text[1024];

	(void)state;
	mounts_start(NULL);
	expect("");
	attach("s3://b/p;region=x", where[0]);
	attach("s3://c", where[1]);
	expect("1 0 s3://b/p;region=x;1 1 s3://c;");
	assert_int_equal(save(), 2);
	attach("s3://d", where[2]);
	expect("1+ 0 s3://b/p;region=x;1+ 1 s3://c;1 2 s3://d;");
	machine_put("busy", "");
	lazy = detach_of(where[0]);
	fails("Detach", &lazy.base, EBUSY, "target is busy");
	lazy.lazy = true;
	ok("Detach", &lazy.base);
	machine_drop("busy");
	expect("1+ 1 s3://c;1 2 s3://d;");
	/* It leaves mounts alone when it goes, and finds them when it is back. */
	assert_int_equal(unload(NAME), 0);
	machine_text("table-1", text, sizeof(text));
	assert_non_null(strstr(text, "s3://c"));
	assert_non_null(strstr(text, "s3://d"));
	assert_int_equal(load(NAME), 0);
	expect("1+ 1 s3://c;1 2 s3://d;");
	assert_int_equal(swap(NAME), 0);
	expect("1+ 1 s3://c;1 2 s3://d;");
	/* The next helper, after the machine started. */
	end();
	machine_put("table-1", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
	service_begin(NULL);
	await("1+ 1 s3://c;");
	machine_text("calls", text, sizeof(text));
	assert_null(strstr(text, "hushhush"));
	detach(where[1]);
	expect("");
	end();
}

static void test_bad(void **state)
{
	static const char key[] = "s3://b;secret_access_key=hushhush";
	M(AttachRequest) req = attach_of("s3://b", where[0]);
	M(DetachRequest) off = detach_of(where[0]);
	struct answer a;
	char text[1024];

	(void)state;
	mounts_start(NULL);
	fails("Detach", &off.base, ENOENT, "nothing is attached to");
	req.source = (char *)"/dev/sda";
	fails("Attach", &req.base, EINVAL, "the source is no object store");
	req.source = (char *)"";
	fails("Attach", &req.base, EINVAL, "the source is missing");
	req.source = (char *)key;
	assert_int_equal(ask_msg(MOUNTS, "Attach", &req.base, &a), RPC_INVALID_ARGUMENT);
	assert_null(strstr(a.message, "hush"));
	free(a.payload);
	req = attach_of("s3://b", "at0");
	fails("Attach", &req.base, EINVAL, "absolute");
	req = attach_of("s3://b", "/nonexistent/x");
	fails("Attach", &req.base, ENOENT, "mount point /nonexistent/x: No such file or directory");
	req = attach_of("s3://none", where[0]);
	fails("Attach", &req.base, ENOENT, "the bucket does not exist");
	req = attach_of("s3://lies", where[0]);
	fails("Attach", &req.base, EIO, "is not in the table of mounts");
	req = attach_of("s3://b", where[0]);
	req.options = (char *)"suid";
	fails("Attach", &req.base, EINVAL, "an option is none of");
	req.options = (char *)"nosuid";
	ok("Attach", &req.base);
	fails("Attach", &req.base, EBUSY, "is a mount point already");
	machine_text("calls", text, sizeof(text));
	assert_null(strstr(text, "hush"));
	expect("1 0 s3://b;");
	end();
}

/* What is saved and cannot be had keeps neither the start waiting nor the end. */
static void test_hang(void **state)
{
	const struct timespec step = { 0, 1000000 };
	char text[1024];

	(void)state;
	mounts_start(NULL);
	attach("s3://b", where[1]);
	machine_put("table-1", "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
		    "7 1 0:9 / /mnt/by-hand ro - nexusfs s3://hang ro\n");
	expect("1 d s3://hang;4 1 s3://b;");
	assert_int_equal(save(), 1);
	end();
	machine_put("table-1", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
	/* Its program looks for the directory, and this one is nowhere. */
	service_begin(NULL);
	await("3+ d s3://hang;");
	detach("/mnt/by-hand");
	expect("");
	snprintf(text, sizeof(text), "1 0 8:1 / / rw - ext4 /dev/sda rw\n7 1 0:9 / %s ro - nexusfs s3://hang ro\n",
		 where[3]);
	machine_put("table-1", text);
	assert_int_equal(save(), 1);
	end();
	machine_put("table-1", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
	service_begin(NULL);
	while (!machine_has("hangs"))
		nanosleep(&step, NULL);
	expect("2+ 3 s3://hang;");
	attach("s3://c", where[2]);
	expect("1 2 s3://c;2+ 3 s3://hang;");
	assert_int_equal(unload(NAME), 0);
	end();
}

/* ---- swaps under calls ----------------------------------------------------------------- */

#define CALLERS	3u

static atomic_bool stop_calling;
static atomic_int wrong_ends;

static void *calling(void *arg)
{
	const char *at = arg;
	M(AttachRequest) on = attach_of("s3://b", at);
	M(DetachRequest) off = detach_of(at);
	struct answer a;

	while (!atomic_load(&stop_calling)) {
		if (ask_msg(MOUNTS, "Attach", &on.base, &a) != RPC_OK)
			atomic_fetch_add(&wrong_ends, 1);
		if (a.code != RPC_OK)
			print_message("# %s\n", a.message);
		free(a.payload);
		if (ask_msg(MOUNTS, "Detach", &off.base, &a) != RPC_OK)
			atomic_fetch_add(&wrong_ends, 1);
		free(a.payload);
	}
	return NULL;
}

static void test_swap(void **state)
{
	pthread_t threads[CALLERS];
	unsigned int i;

	(void)state;
	mounts_start(NULL);
	atomic_store(&stop_calling, false);
	atomic_store(&wrong_ends, 0);
	for (i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, calling, where[i]), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(swap(NAME), 0);
	atomic_store(&stop_calling, true);
	for (i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&wrong_ends), 0);
	expect("");
	end();
}

/* ---- who ------------------------------------------------------------------------------ */

static void test_who(void **state)
{
	M(ListRequest) all = NEXUS__MOUNT__V1__LIST_REQUEST__INIT;
	M(SaveRequest) keep = NEXUS__MOUNT__V1__SAVE_REQUEST__INIT;
	M(AttachRequest) on = attach_of("s3://b", where[0]);
	M(DetachRequest) off = detach_of(where[0]);
	const struct who_may may[] = {
		{ MOUNTS, "List", "rgo", &all.base, false },
		{ MOUNTS, "Attach", "r--", &on.base, false },
		{ MOUNTS, "Save", "r--", &keep.base, false },
		{ MOUNTS, "Detach", "r--", &off.base, false },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	snprintf(where[0], sizeof(where[0]), "%s/at0", test_dir);
	who_begin(may, sizeof(may) / sizeof(may[0]));
	mounts_start(name);
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_who();
	expect("");
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* The first: it forks. */
		TEST_IN_WORLD(test_who),
		TEST_IN_WORLD(test_life),
		TEST_IN_WORLD(test_bad),
		TEST_IN_WORLD(test_hang),
		TEST_IN_WORLD(test_swap),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests_name("mount-rpc", tests, NULL, NULL);
}
