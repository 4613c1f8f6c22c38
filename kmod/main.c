// SPDX-License-Identifier: GPL-2.0-only
/* Module entry and exit: everything is set up in one order and undone in the other. */
#include <linux/module.h>

#include "nexusfs.h"

static int __init nexus_init(void)
{
	int err;

	nexus_crc32c_init();
	err = nexus_stats_init();
	if (err)
		return err;
	err = nexus_zone_init();
	if (err)
		goto out_stats;
	err = nexus_inode_cache_init();
	if (err)
		goto out_zone;
	err = nexus_data_init();
	if (err)
		goto out_inodes;
	err = nexus_genl_init();
	if (err)
		goto out_data;
	err = nexus_chan_init();
	if (err)
		goto out_genl;
	err = register_filesystem(&nexus_fs_type);
	if (err)
		goto out_chan;
	return 0;

out_chan:
	nexus_chan_exit();
out_genl:
	nexus_genl_exit();
out_data:
	nexus_data_exit();
out_inodes:
	nexus_inode_cache_exit();
out_zone:
	nexus_zone_exit();
out_stats:
	nexus_stats_exit();
	return err;
}

static void __exit nexus_exit(void)
{
	unregister_filesystem(&nexus_fs_type);
	nexus_zone_exit();
	nexus_chan_exit();
	nexus_genl_exit();
	nexus_data_exit();
	nexus_inode_cache_exit();
	nexus_stats_exit();
}

module_init(nexus_init);
module_exit(nexus_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("nexusfs: a filesystem many programs share");
MODULE_VERSION(NEXUS_VERSION);
MODULE_ALIAS_FS("nexusfs");
