/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the service manager that started us, if one did. */
#ifndef NEXUSD_NOTIFY_H
#define NEXUSD_NOTIFY_H

/* "READY=1", "STOPPING=1", "STATUS=...".  Without $NOTIFY_SOCKET: nothing. */
void notify(const char *state);

#endif /* NEXUSD_NOTIFY_H */
