/* SPDX-License-Identifier: Apache-2.0 */
/* The file of an LMDB index: whether all of it is there. */
#ifndef NEXUS_LMDB_FILE_H
#define NEXUS_LMDB_FILE_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/port.h"

/*
 * Before it is opened: that data.mdb of @dir is there and long enough to have LMDB's two heads;
 * if @create, that it is not.  0 or -errno, with a line in @err.
 */
int lmdb_check_file(const char *dir, bool create, char *err, size_t errlen);

/*
 * Whether pages [@first, @last], which @env's file is too short for, are free ones.  Handles
 * SIGBUS meanwhile, one caller at a time; a signal of another thread gets the handler there
 * was.
 */
bool lmdb_pages_free(MDB_env *env, u64 first, u64 last);

#endif /* NEXUS_LMDB_FILE_H */
