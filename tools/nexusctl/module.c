// SPDX-License-Identifier: Apache-2.0
/* What this machine says about the module, without the helper. */
#include <string.h>

#include "nexusctl.h"

void module_read(struct module_info *info)
{
	char line[512], name[64], state[16];
	unsigned long users;
	FILE *file;

	memset(info, 0, sizeof(*info));
	file = fopen("/proc/modules", "re");
	while (file && fgets(line, sizeof(line), file)) {
		/* name size users dependants state address */
		if (sscanf(line, "%63s %*s %lu %*s %15s", name, &users,
			   state) != 3 || strcmp(name, "nexusfs"))
			continue;
		info->loaded = true;
		info->users = users;
		strcpy(info->state, state);
		break;
	}
	if (file)
		fclose(file);

	file = fopen("/sys/module/nexusfs/version", "re");
	if (!file)
		return;
	if (fgets(info->version, sizeof(info->version), file))
		info->version[strcspn(info->version, "\n")] = '\0';
	info->loaded = true;
	fclose(file);
}
