// SPDX-License-Identifier: Apache-2.0
/* What this machine says about the module, without the helper. */
#include <stdlib.h>
#include <string.h>

#include "nexusctl.h"

void module_read(struct module_info *info)
{
	char line[512];
	FILE *file;

	memset(info, 0, sizeof(*info));
	file = fopen("/proc/modules", "re");
	while (file && fgets(line, sizeof(line), file)) {
		char *field[5], *rest = line;
		int n = 0;

		/* name size users dependants state address */
		while (n < 5 && (field[n] = strtok_r(rest, " \n", &rest)))
			n++;
		if (n < 5 || strcmp(field[0], "nexusfs"))
			continue;
		info->loaded = true;
		info->users = strtoul(field[2], NULL, 10);
		snprintf(info->state, sizeof(info->state), "%s", field[4]);
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
