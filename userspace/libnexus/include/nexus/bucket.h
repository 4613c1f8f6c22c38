/* SPDX-License-Identifier: Apache-2.0 */
/* libnexus: buckets that are mounted. */
#ifndef NEXUS_BUCKET_H
#define NEXUS_BUCKET_H

#include <stdint.h>

#include <nexus/nexus.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct nexus_refresh - what a directory of a bucket has now
 *
 * @entries: names that are shown
 * @added, @changed, @removed: since it was listed before
 * @hidden: keys in it that cannot be shown; @hidden_all: in all that was listed
 */
struct nexus_refresh {
	uint64_t entries;
	uint64_t added, changed, removed;
	uint64_t hidden, hidden_all;
};

/**
 * nexus_bucket_refresh() - list a directory of a mounted bucket now
 * @client: connected
 * @path: of the directory, or of a file in it
 * @refresh: filled
 *
 * What the kernel caches of names in that mount is asked for again, too.  Takes as long as
 * the listing does: nexus_set_timeout() bounds it.
 *
 * Return: 0 or a negative errno with nexus_error(): -EOPNOTSUPP: @path is not on nexusfs;
 * -ENXIO: it is in no bucket; -EACCES, -ENODEV, ...: how listing it ended.
 */
int nexus_bucket_refresh(struct nexus_client *client, const char *path,
			 struct nexus_refresh *refresh);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_BUCKET_H */
