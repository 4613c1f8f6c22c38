// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "frame.h"
#include "text.h"

/* NOLINTNEXTLINE(misc-no-recursion): as deep as messages are within messages */
int text_check(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t len,
	       const char **name)
{
	const ProtobufCFieldDescriptor *field;
	struct frame_span rest = { data, len };
	struct frame_field f;
	int ret;

	while (rest.len) {
		ret = frame_take_field(&rest, &f);
		if (ret)
			return ret;
		field = f.wire == FRAME_LEN ?
			protobuf_c_message_descriptor_get_field(desc, f.number) : NULL;
		if (!field)
			continue;
		if (field->type == PROTOBUF_C_TYPE_STRING &&
		    !frame_utf8(f.bytes.data, f.bytes.len)) {
			*name = field->name;
			return -EILSEQ;
		}
		if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
			ret = text_check(field->descriptor, f.bytes.data, f.bytes.len, name);
			if (ret)
				return ret;
		}
	}
	return 0;
}
