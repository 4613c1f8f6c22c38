// SPDX-License-Identifier: Apache-2.0
/* Names and uuids that are in use: who is waited for, and who is not. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "helper.h"
#include "util.h"
#include "zone.h"

static const u8 uuid[NEXUS_UUID_SIZE] = { 1, 2, 3 }, other[NEXUS_UUID_SIZE] = { 3, 2, 1 };

static void begin(struct helper *h)
{
	memset(h, 0, sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	zone_cond_init(&h->cond);
}

struct claim {
	struct helper *h;
	const char *name;
	atomic_bool over;
	int ret;
};

static void *claim_main(void *arg)
{
	struct claim *c = arg;
	struct errline err = { "" };

	c->ret = helper_claim_uuid(c->h, c->name, uuid, &err);
	atomic_store(&c->over, true);
	return NULL;
}

/* Of one that is opened or closed the end is waited for, of others with another uuid nothing. */
static void test_closing(void **state)
{
	struct claim claim = { .name = "copy" };
	struct errline err = { "" };
	pthread_t thread;
	struct helper h;

	(void)state;
	begin(&h);
	claim.h = &h;
	assert_int_equal(helper_claim(&h, "first"), 0);
	assert_int_equal(helper_claim(&h, "third"), 0);
	assert_int_equal(helper_claim(&h, "copy"), 0);
	assert_int_equal(helper_claim_uuid(&h, "first", uuid, &err), 0);
	assert_int_equal(helper_claim_uuid(&h, "first", uuid, &err), 0);
	assert_int_equal(helper_claim_uuid(&h, "third", other, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, claim_main, &claim), 0);
	usleep(200000);
	assert_false(atomic_load(&claim.over));
	helper_release(&h, "third");
	usleep(100000);
	assert_false(atomic_load(&claim.over));
	helper_release(&h, "first");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(claim.ret, 0);
	/* It is the copy's now. */
	assert_memory_equal(h.slots->uuid, uuid, sizeof(uuid));
	helper_release(&h, "copy");
	assert_null(h.slots);
}

/* One that stays open is told of. */
static void test_open(void **state)
{
	struct zone *z = calloc(1, sizeof(*z));
	struct errline err = { "" };
	struct helper h;

	(void)state;
	assert_non_null(z);
	begin(&h);
	memcpy(z->sb.uuid, uuid, sizeof(uuid));
	assert_int_equal(helper_claim(&h, "first"), 0);
	h.slots->zone = z;
	assert_int_equal(helper_claim(&h, "copy"), 0);
	assert_int_equal(helper_claim_uuid(&h, "copy", uuid, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "zone first is mounted"));
	assert_int_equal(helper_claim_uuid(&h, "copy", other, &err), 0);
	helper_release(&h, "copy");
	helper_release(&h, "first");
	free(z);
}

struct taking {
	struct helper *h;
	atomic_bool over;
};

static void *taking_main(void *arg)
{
	struct taking *t = arg;
	struct zone *z;

	assert_int_equal(helper_zone_begin(t->h, "z", &z), 0);
	helper_zone_end(t->h, z, "z", 0);
	atomic_store(&t->over, true);
	return NULL;
}

/*
 * Whoever looks into a store that is not open yet, as zone info does while a helper takes
 * zones over, takes nothing away when it is done.
 */
static void test_looked_at_while_taken_over(void **state)
{
	struct taking t = { 0 };
	pthread_t thread;
	struct helper h;
	struct zone *z;

	(void)state;
	begin(&h);
	t.h = &h;
	assert_int_equal(helper_claim(&h, "z"), 0);
	assert_int_equal(pthread_create(&thread, NULL, taking_main, &t), 0);
	usleep(200000);
	assert_false(atomic_load(&t.over));
	helper_release(&h, "z");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(helper_claim(&h, "z"), -EBUSY);
	z = helper_zone_by_name(&h, "z");
	assert_non_null(z);
	zone_put(z);
	assert_int_equal(helper_zone_count(&h), 1);
	helper_release(&h, "z");
	zone_put(z);
	assert_null(h.slots);
}

/* Nobody finds one that could not be opened, and its name is free. */
static void test_not_opened(void **state)
{
	struct helper h;
	struct zone *z;

	(void)state;
	begin(&h);
	assert_int_equal(helper_zone_begin(&h, "z", &z), 0);
	assert_null(helper_zone_by_name(&h, "z"));
	helper_zone_end(&h, z, "z", -EIO);
	assert_null(h.slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_looked_at_while_taken_over),
		cmocka_unit_test(test_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
