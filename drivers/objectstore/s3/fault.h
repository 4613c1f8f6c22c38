/* SPDX-License-Identifier: Apache-2.0 */
/* The words for an error, for the user: what was wrong, with which value. */
#ifndef NEXUS_S3_FAULT_H
#define NEXUS_S3_FAULT_H

/** struct s3_fault - one line of text, without a secret in it; set with an error */
struct s3_fault {
	char text[512];
};

/**
 * s3_fault_set() - write the line
 *
 * Bytes below 0x20 and 0x7f become '?'.  @fault may be NULL.
 *
 * Return: @error.
 */
int s3_fault_set(struct s3_fault *fault, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* NEXUS_S3_FAULT_H */
