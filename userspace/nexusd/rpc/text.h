/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of messages, which protobuf-c takes for bytes up to a NUL. */
#ifndef NEXUSD_RPC_TEXT_H
#define NEXUSD_RPC_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/**
 * text_check() - are all strings of a message valid UTF-8 without a NUL
 * @desc: what it is; messages within messages must have an end
 * @data: the message as it came: of one that is unpacked, what was behind a NUL is lost
 * @len: its length
 * @name: set to the field that is none
 *
 * Strings in messages within it and in repeated fields are looked at, too.
 *
 * Return: 0; -EILSEQ; -EBADMSG: it is no such message, and *@name is not set.
 */
int text_check(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t len,
	       const char **name);

#endif /* NEXUSD_RPC_TEXT_H */
