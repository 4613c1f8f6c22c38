// SPDX-License-Identifier: Apache-2.0
/* The drivers of this build, the default of each pillar first. */
#include <nexus/metastore.h>
#include <nexus/objectstore.h>

const struct nexus_ms_driver *const nexus_ms_drivers[] = {
	&nexus_ms_lmdb,
	&nexus_ms_mem,
	NULL,
};

const struct nexus_os_driver *const nexus_os_drivers[] = {
	&nexus_os_localdisk,
	&nexus_os_mem,
	NULL,
};
