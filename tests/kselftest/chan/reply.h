/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tree the fake helper answers from.  A name says what it is: fN an empty
 * file, xN a file of two extents, yN one whose extents must be asked for, dN a
 * directory of three entries, lN a symlink whose target must be asked for, mN
 * one with its target, aN an empty file with extended attributes, which the others have
 * not; nothing else exists.
 */
#ifndef REPLY_H
#define REPLY_H

#include <linux/nexusfs.h>

/* Fills @r (status, len, data) with the right answer. */
void make_reply(const struct nexus_request *req, struct nexus_reply *r);

#endif /* REPLY_H */
