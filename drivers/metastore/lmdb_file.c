// SPDX-License-Identifier: Apache-2.0
/*
 * The file of an index: whether all of it is there.  What is missing would be a SIGBUS later on.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lmdb_file.h"

int lmdb_check_file(const char *dir, bool create, char *err, size_t errlen)
{
	char path[4096];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (stat(path, &st)) {
		if (errno == ENOENT && create)
			return 0;
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
		return -errno;
	}
	if (create) {
		snprintf(err, errlen, "%s exists", path);
		return -EEXIST;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < 2 * 4096L) {
		snprintf(err, errlen, "%s is truncated or no LMDB file (%lld bytes)",
			 path, (long long)st.st_size);
		return -EUCLEAN;
	}
	return 0;
}

/*
 * LMDB does not write a page that was taken at the end of the file and given up again by
 * the same transaction: a file may be shorter than what is in use, by free pages.  Which
 * are free only LMDB can say, and where what it reads for that is missing itself, the
 * kernel says so by SIGBUS.
 */
static _Thread_local sigjmp_buf *bus_guard;
static struct sigaction bus_before;

static void on_bus(int sig)
{
	if (bus_guard)
		siglongjmp(*bus_guard, 1);
	/* Another thread's: it happens again, and is handled as it would have been. */
	sigaction(sig, &bus_before, NULL);
}

/* Of pages [@first, @last], how many are in a list of free ones. */
static u64 free_of(const MDB_val *list, u64 first, u64 last)
{
	const size_t *ids = list->mv_data;
	size_t n = list->mv_size / sizeof(*ids), i;
	u64 found = 0;

	/* The first is how many follow. */
	for (i = 1; i < n && i <= ids[0]; i++)
		found += ids[i] >= first && ids[i] <= last;
	return found;
}

bool lmdb_pages_free(MDB_env *env, u64 first, u64 last)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	struct sigaction guarded = { .sa_handler = on_bus };
	MDB_cursor *volatile cursor = NULL;
	MDB_txn *volatile txn = NULL;
	volatile u64 found = 0;
	MDB_cursor *c;
	MDB_val key, val;
	sigjmp_buf back;
	MDB_txn *t;
	int rc = MDB_CORRUPTED;

	pthread_mutex_lock(&one);
	sigemptyset(&guarded.sa_mask);
	sigaction(SIGBUS, &guarded, &bus_before);
	if (sigsetjmp(back, 1))
		goto out;
	bus_guard = &back;
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &t);
	if (rc)
		goto out;
	txn = t;
	/* Handle 0 is the list of free pages: transaction -> their numbers. */
	rc = mdb_cursor_open(t, 0, &c);
	if (rc)
		goto out;
	cursor = c;
	while (!(rc = mdb_cursor_get(c, &key, &val, MDB_NEXT)))
		found += free_of(&val, first, last);
out:
	bus_guard = NULL;
	if (cursor)
		mdb_cursor_close(cursor);
	if (txn)
		mdb_txn_abort(txn);
	sigaction(SIGBUS, &bus_before, NULL);
	pthread_mutex_unlock(&one);
	return rc == MDB_NOTFOUND && found == last - first + 1;
}
