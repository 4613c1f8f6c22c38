/* SPDX-License-Identifier: Apache-2.0 */
/* A machine for run.c as a test builds it: programs that change a file. */
#ifndef SERVICES_MOUNT_MACHINE_H
#define SERVICES_MOUNT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes it in @folder, which is to be there. */
void machine_begin(const char *folder);
/* Its file is there; is made; is removed. */
bool machine_has(const char *name);
void machine_put(const char *name, const char *text);
void machine_drop(const char *name);
/* What is in it, with a NUL; "" when it is not there. */
void machine_text(const char *name, char *text, size_t room);
/* As the helper of a unit that has its own mounts. */
void machine_apart(void);

#endif /* SERVICES_MOUNT_MACHINE_H */
