// SPDX-License-Identifier: Apache-2.0
/* The control service of buckets that are mounted, as C functions. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <nexus/bucket.h>

#include "message.h"

NEXUS_EXPORT int nexus_bucket_refresh(struct nexus_client *client, const char *path,
				      struct nexus_refresh *refresh)
{
	Nexus__Control__V1__BucketsRefreshRequest req =
		NEXUS__CONTROL__V1__BUCKETS_REFRESH_REQUEST__INIT;
	Nexus__Control__V1__BucketsRefreshResponse *res;
	char zone[65] = "";
	struct stat st;
	int err;

	if (stat(path, &st))
		return client_fail(client, -errno, "%s: %s", path, strerror(errno));
	if (getxattr(path, "nexus.zone", zone, sizeof(zone) - 1) < 0)
		return client_fail(client, errno == ENODATA ? -EOPNOTSUPP : -errno,
				   "%s is not on nexusfs", path);
	req.zone = zone;
	req.inode = st.st_ino;
	err = client_message(client, SERVICE("Buckets"), "Refresh", &req.base,
			     &nexus__control__v1__buckets_refresh_response__descriptor, &res);
	if (err)
		return err;
	*refresh = (struct nexus_refresh){
		.entries = res->entries, .added = res->added, .changed = res->changed,
		.removed = res->removed, .hidden = res->hidden, .hidden_all = res->hidden_all,
	};
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}
