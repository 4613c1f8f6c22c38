// SPDX-License-Identifier: GPL-2.0-only
/* nexusfs_kunit.ko: the suites run when it is loaded. */
#include <linux/module.h>

#include "kunit.h"

kunit_test_suites(&nexus_codec_suite, &nexus_record_suite, &nexus_apply_suite,
		  &nexus_reply_suite, &nexus_zone_suite, &nexus_log_suite,
		  &nexus_options_suite, &nexus_tree_suite,
		  &nexus_chan_suite, &nexus_plock_suite, &nexus_ring_suite,
		  &nexus_lease_suite, &nexus_stream_suite);

NEXUS_IMPORT_KUNIT_NS();
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests of nexusfs");
