/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers and the helper tell: levels of lines in the log, and what was wrong. */
#ifndef NEXUS_DRIVERS_ERRLINE_H
#define NEXUS_DRIVERS_ERRLINE_H

/* As in syslog(3); under systemd a line begins with <level>. */
enum log_level {
	LOG_L_ERROR	= 3,
	LOG_L_WARNING	= 4,
	LOG_L_INFO	= 6,
	LOG_L_DEBUG	= 7,
};

/*
 * One line for the user that says what was wrong, with which value, and what
 * to do.  Filled by whoever finds the error.
 */
struct errline {
	char msg[512];
};

#endif /* NEXUS_DRIVERS_ERRLINE_H */
