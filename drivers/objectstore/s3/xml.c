// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <expat.h>

#include "xml.h"

#define NAME	48

struct s3_xml {
	XML_Parser parser;
	bool url_encoded;
	int error;
	size_t bytes;
	unsigned int depth;
	char names[S3_XML_DEPTH][NAME];
	char text[S3_XML_TEXT + 1];
	size_t text_len;
	struct s3_entry entry;	/* being read */
	size_t room;		/* of the list */
	struct s3_doc doc;
};

static void stop(struct s3_xml *xml, int error)
{
	if (!xml->error)
		xml->error = error;
	XML_StopParser(xml->parser, XML_FALSE);
}

static void entry_free(struct s3_entry *entry)
{
	free(entry->key);
	free(entry->tag);
	memset(entry, 0, sizeof(*entry));
}

void s3_list_free(struct s3_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		entry_free(&list->entries[i]);
	free(list->entries);
	free(list->next);
	memset(list, 0, sizeof(*list));
}

void s3_doc_free(struct s3_doc *doc)
{
	free(doc->upload_id);
	free(doc->etag);
	free(doc->marker);
	free(doc->upload_marker);
	s3_list_free(&doc->list);
	memset(doc, 0, sizeof(*doc));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place.  Spaces come as "+" from some and as "%20" from others. */
static int url_decode(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text == '+') {
			*out++ = ' ';
		} else if (*text == '%') {
			int high = hex_digit(text[1]);
			int low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0 || high + low == 0)
				return -EPROTO;
			*out++ = (char)(high << 4 | low);
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
	return 0;
}

/* Keeps the element's text in *@field; the last of several counts. */
static void keep(struct s3_xml *xml, char **field)
{
	char *copy = strdup(xml->text);

	if (!copy) {
		stop(xml, -ENOMEM);
		return;
	}
	free(*field);
	*field = copy;
}

static void keep_key(struct s3_xml *xml, char **field)
{
	if (xml->url_encoded && url_decode(xml->text))
		stop(xml, -EPROTO);
	else
		keep(xml, field);
}

static void keep_short(const struct s3_xml *xml, char *field, size_t size)
{
	snprintf(field, size, "%.*s", (int)size - 1, xml->text);
}

static void keep_size(struct s3_xml *xml)
{
	char *end;

	errno = 0;
	xml->entry.size = strtoull(xml->text, &end, 10);
	if (errno || end == xml->text || *end || xml->text[0] == '-')
		stop(xml, -EPROTO);
}

/* "2026-01-31T12:00:00.000Z"; a time nobody can read is none. */
static void keep_time(struct s3_xml *xml)
{
	struct tm tm = { 0 };

	if (strptime(xml->text, "%Y-%m-%dT%H:%M:%S", &tm))
		xml->entry.mtime = timegm(&tm);
}

static bool is_entry(const char *name)
{
	return !strcmp(name, "Contents") || !strcmp(name, "CommonPrefixes") ||
	       !strcmp(name, "Upload") || !strcmp(name, "Error");
}

static void add_entry(struct s3_xml *xml)
{
	struct s3_list *list = &xml->doc.list;

	if (!xml->entry.key || list->n >= S3_XML_ENTRIES) {
		stop(xml, -EPROTO);
		return;
	}
	if (list->n == xml->room) {
		size_t room = xml->room ? xml->room * 2 : 16;
		struct s3_entry *entries = reallocarray(list->entries, room, sizeof(*entries));

		if (!entries) {
			stop(xml, -ENOMEM);
			return;
		}
		list->entries = entries;
		xml->room = room;
	}
	list->entries[list->n++] = xml->entry;
	memset(&xml->entry, 0, sizeof(xml->entry));
}

/* A field of an entry. */
static void end_inner(struct s3_xml *xml, const char *parent, const char *name)
{
	if (!strcmp(name, "Key") || (!strcmp(name, "Prefix") && !strcmp(parent, "CommonPrefixes"))) {
		xml->entry.is_prefix = name[0] == 'P';
		/* A batch delete knows no encoding. */
		if (!strcmp(parent, "Error"))
			keep(xml, &xml->entry.key);
		else
			keep_key(xml, &xml->entry.key);
	} else if (!strcmp(name, "ETag") || !strcmp(name, "UploadId") || !strcmp(name, "Code")) {
		keep(xml, &xml->entry.tag);
	} else if (!strcmp(name, "Size")) {
		keep_size(xml);
	} else if (!strcmp(name, "LastModified") || !strcmp(name, "Initiated")) {
		keep_time(xml);
	}
}

/* A field of the document. */
static void end_outer(struct s3_xml *xml, const char *name)
{
	struct s3_doc *doc = &xml->doc;

	if (!strcmp(doc->root, "Error")) {
		if (!strcmp(name, "Code"))
			keep_short(xml, doc->code, sizeof(doc->code));
		else if (!strcmp(name, "Message"))
			keep_short(xml, doc->message, sizeof(doc->message));
		else if (!strcmp(name, "Region"))
			keep_short(xml, doc->region, sizeof(doc->region));
	} else if (is_entry(name)) {
		add_entry(xml);
	} else if (!strcmp(name, "UploadId")) {
		keep(xml, &doc->upload_id);
	} else if (!strcmp(name, "ETag")) {
		keep(xml, &doc->etag);
	} else if (!strcmp(name, "IsTruncated")) {
		doc->truncated = !strcmp(xml->text, "true");
	} else if (!strcmp(name, "NextContinuationToken")) {
		keep(xml, &doc->list.next);
	} else if (!strcmp(name, "NextKeyMarker")) {
		keep_key(xml, &doc->marker);
	} else if (!strcmp(name, "NextUploadIdMarker")) {
		keep(xml, &doc->upload_marker);
	}
}

static void XMLCALL on_start(void *arg, const char *name, const char **attributes)
{
	struct s3_xml *xml = arg;
	const char *colon = strchr(name, ':');

	(void)attributes;
	/* Some calls may still come after the stop. */
	if (xml->error)
		return;
	if (colon)
		name = colon + 1;
	if (xml->depth >= S3_XML_DEPTH || strlen(name) >= NAME) {
		stop(xml, -EPROTO);
		return;
	}
	if (!xml->depth)
		snprintf(xml->doc.root, sizeof(xml->doc.root), "%s", name);
	else if (xml->depth == 1 && is_entry(name))
		entry_free(&xml->entry);
	snprintf(xml->names[xml->depth++], NAME, "%s", name);
	xml->text_len = 0;
}

static void XMLCALL on_end(void *arg, const char *name)
{
	struct s3_xml *xml = arg;

	(void)name;
	if (xml->error)
		return;
	xml->text[xml->text_len] = '\0';
	xml->depth--;
	if (xml->depth == 1)
		end_outer(xml, xml->names[1]);
	else if (xml->depth == 2 && is_entry(xml->names[1]))
		end_inner(xml, xml->names[1], xml->names[2]);
	xml->text_len = 0;
}

static void XMLCALL on_text(void *arg, const char *data, int len)
{
	struct s3_xml *xml = arg;

	if (xml->error)
		return;
	if ((size_t)len > S3_XML_TEXT - xml->text_len) {
		stop(xml, -EPROTO);
		return;
	}
	memcpy(xml->text + xml->text_len, data, (size_t)len);
	xml->text_len += (size_t)len;
}

static void XMLCALL on_doctype(void *arg, const char *name, const char *system_id, const char *public_id,
			       int internal)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)internal;
	stop(arg, -EPROTO);
}

int s3_xml_open(bool url_encoded, struct s3_xml **out)
{
	struct s3_xml *xml = calloc(1, sizeof(*xml));

	if (!xml)
		return -ENOMEM;
	xml->parser = XML_ParserCreate(NULL);
	if (!xml->parser) {
		free(xml);
		return -ENOMEM;
	}
	xml->url_encoded = url_encoded;
	XML_SetUserData(xml->parser, xml);
	XML_SetElementHandler(xml->parser, on_start, on_end);
	XML_SetCharacterDataHandler(xml->parser, on_text);
	XML_SetStartDoctypeDeclHandler(xml->parser, on_doctype);
	*out = xml;
	return 0;
}

void s3_xml_close(struct s3_xml *xml)
{
	if (!xml)
		return;
	XML_ParserFree(xml->parser);
	entry_free(&xml->entry);
	s3_doc_free(&xml->doc);
	free(xml);
}

static int parse(struct s3_xml *xml, const char *data, size_t len, int last)
{
	if (xml->error)
		return xml->error;
	if (len > S3_XML_BYTES - xml->bytes) {
		xml->error = -EPROTO;
		return xml->error;
	}
	xml->bytes += len;
	if (XML_Parse(xml->parser, data, (int)len, last) == XML_STATUS_ERROR && !xml->error)
		xml->error = XML_GetErrorCode(xml->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EPROTO;
	return xml->error;
}

int s3_xml_feed(struct s3_xml *xml, const char *data, size_t len)
{
	return parse(xml, data, len, 0);
}

int s3_xml_end(struct s3_xml *xml, struct s3_doc *doc)
{
	int ret = parse(xml, "", 0, 1);

	if (ret)
		return ret;
	*doc = xml->doc;
	memset(&xml->doc, 0, sizeof(xml->doc));
	return 0;
}

/* Bytes of the UTF-8 character at @text that XML 1.0 allows; 0: it is none. */
static size_t xml_char(const unsigned char *text)
{
	static const uint32_t least[] = { 0, 0x20, 0x80, 0x800, 0x10000 };
	uint32_t code = text[0];
	size_t len = 1, i;

	if (code >= 0xf0)
		len = code < 0xf8 ? 4 : 0;
	else if (code >= 0xe0)
		len = 3;
	else if (code >= 0x80)
		len = code >= 0xc0 ? 2 : 0;
	if (len == 1)
		return (code >= 0x20 && code != 0x7f) || code == '\t' || code == '\n' || code == '\r';
	if (!len)
		return 0;
	code &= 0xffu >> (len + 1);
	for (i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    code == 0xfffe || code == 0xffff)
		return 0;
	return len;
}

bool s3_xml_can(const char *key)
{
	const unsigned char *at = (const unsigned char *)key;
	size_t len;

	for (; *at; at += len) {
		len = xml_char(at);
		if (!len)
			return false;
	}
	return true;
}

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		/* As references also what a parser would normalise. */
		if (strchr("&<>\"'\t\n\r", *text))
			fprintf(out, "&#%d;", *text);
		else
			fputc(*text, out);
	}
}

/* Ends a document; NULL when memory ran out on the way. */
static char *finish(FILE *out, char **text)
{
	bool bad = ferror(out);

	if (fclose(out) || bad) {
		free(*text);
		return NULL;
	}
	return *text;
}

char *s3_xml_delete(const char *prefix, const char *const *keys, size_t n, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	size_t i;

	if (!out)
		return NULL;
	fputs("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>", out);
	for (i = 0; i < n; i++) {
		fputs("<Object><Key>", out);
		put_escaped(out, prefix);
		put_escaped(out, keys[i]);
		fputs("</Key></Object>", out);
	}
	fputs("</Delete>", out);
	return finish(out, &text);
}

char *s3_xml_complete(char *const *etags, unsigned int n, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	unsigned int i;

	if (!out)
		return NULL;
	fputs("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", out);
	for (i = 0; i < n; i++) {
		fprintf(out, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
		put_escaped(out, etags[i]);
		fputs("</ETag></Part>", out);
	}
	fputs("</CompleteMultipartUpload>", out);
	return finish(out, &text);
}
