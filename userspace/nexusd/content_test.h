/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the content driver "test". */
#ifndef NEXUSD_CONTENT_TEST_H
#define NEXUSD_CONTENT_TEST_H

#include "content.h"
#include "lib/port.h"

struct test_content {
	struct content c;
	int dirfd;		/* of the zone */
	int top;		/* where "control" is */
	_Atomic u64 writes;	/* so far */
	_Atomic u64 deletes;	/* of packs, that went well */
	_Atomic u64 sent;	/* bytes of those that went well */
	_Atomic u64 pages;	/* of listings, likewise */
};

/* What is to go wrong now. */
struct plan {
	bool hold, silent, undelete, corrupt, fail, refuse, down, unconditional, forbid;
	u64 delay_ms, slow_ms, limit, end, cut, page, unlist, quota;
	u64 refused, unread;	/* packs; 0: none */
	u64 pack, block;	/* corrupt: 0: any */
};

void test_plan(struct test_content *t, struct plan *p);
/* The file of a named object; 0 or -EINVAL: it has no such name. */
int test_file_name(const char *name, char file[CONTENT_NAME_MAX + 2]);

/* content_test_list.c: as in struct content_ops */
int test_list_named(struct content *c, const char *prefix,
		    int (*fn)(void *arg, const char *name, __u64 bytes), void *arg);
int test_list_page(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg);
int test_uploads_page(struct content *c, char **token, __s64 *now, content_upload_fn fn, void *arg);
int test_abort_upload(struct content *c, const char *key, const char *id);

#endif /* NEXUSD_CONTENT_TEST_H */
