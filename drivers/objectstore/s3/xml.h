/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XML of S3: answers read as they come in, with bounded sizes, and requests.
 *
 * Whatever the bytes, reading ends and takes no more than the bounds; a document
 * type declaration is refused, so that no entity expands.
 */
#ifndef NEXUS_S3_XML_H
#define NEXUS_S3_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "s3.h"

#define S3_XML_BYTES	(8u << 20)	/* of a document */
#define S3_XML_TEXT	4096u		/* of an element */
#define S3_XML_ENTRIES	1000u		/* of a page */
#define S3_XML_DEPTH	16u

/**
 * struct s3_doc - what was read; s3_doc_free()
 *
 * @root: name of the root element, without prefix
 * @code: of <Error>, when it is the root; otherwise ""
 * @list: <Contents>, <CommonPrefixes>, <Upload>; or the <Error>s of a batch delete,
 *	whose code is then the tag
 * @marker: <NextKeyMarker>, decoded; NULL: none
 * @upload_marker: <NextUploadIdMarker>; NULL: none
 */
struct s3_doc {
	char root[48];
	char code[64];
	char message[256];
	char region[64];
	char *upload_id;
	char *etag;
	char *marker;
	char *upload_marker;
	bool truncated;
	struct s3_list list;
};

struct s3_xml;

/**
 * s3_xml_open() - begin to read a document
 * @url_encoded: keys are, as encoding-type=url asked for
 */
int s3_xml_open(bool url_encoded, struct s3_xml **xml);
void s3_xml_close(struct s3_xml *xml);

/** s3_xml_feed() - more of it. 0; -EPROTO: not XML, or out of bounds; -ENOMEM; the same again then */
int s3_xml_feed(struct s3_xml *xml, const char *data, size_t len);

/**
 * s3_xml_end() - it is complete
 * @doc: on success what was read, the caller's then
 *
 * Return: 0; -EPROTO, -ENOMEM.
 */
int s3_xml_end(struct s3_xml *xml, struct s3_doc *doc);

void s3_doc_free(struct s3_doc *doc);

/** s3_xml_can() - whether XML 1.0 can carry the key: UTF-8 without most control characters */
bool s3_xml_can(const char *key);

/**
 * s3_xml_delete() - the body of a batch delete, for free()
 * @prefix: goes before each key
 */
char *s3_xml_delete(const char *prefix, const char *const *keys, size_t n, size_t *len);

/** s3_xml_complete() - the body that completes an upload; parts begin at 1 */
char *s3_xml_complete(char *const *etags, unsigned int n, size_t *len);

#endif /* NEXUS_S3_XML_H */
