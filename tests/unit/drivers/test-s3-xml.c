// SPDX-License-Identifier: Apache-2.0
/* The XML of S3, whole, in pieces and damaged; and the table of errors. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <curl/curl.h>

#include "drivers/objectstore/s3/errors.h"
#include "drivers/objectstore/s3/xml.h"

/* Reads @text in pieces of @step bytes. */
static int read_doc(const char *text, size_t len, size_t step, bool url, struct s3_doc *doc)
{
	struct s3_xml *xml;
	size_t at;
	int ret = 0;

	assert_int_equal(s3_xml_open(url, &xml), 0);
	memset(doc, 0, sizeof(*doc));
	for (at = 0; !ret && at < len; at += step)
		ret = s3_xml_feed(xml, text + at, len - at < step ? len - at : step);
	if (ret)
		assert_int_equal(s3_xml_feed(xml, "x", 1), ret);
	else
		ret = s3_xml_end(xml, doc);
	s3_xml_close(xml);
	return ret;
}

static const char listing[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>p%2F</Prefix>"
	"<IsTruncated>true</IsTruncated><NextContinuationToken>a+b&amp;c%20</NextContinuationToken>"
	"<Contents><Key>p/a%01+b%2Bc%20d</Key><LastModified>2026-01-31T12:00:05.000Z</LastModified>"
	"<ETag>&quot;abc&quot;</ETag><Size>5497558138880</Size><Owner><ID>Key</ID><Key>no</Key></Owner></Contents>"
	"<Contents><Size>0</Size><Key>p/%C3%A4</Key></Contents>"
	"<CommonPrefixes><Prefix>p/x/</Prefix></CommonPrefixes></ListBucketResult>";

static void a_page(void **state)
{
	size_t steps[] = { 1, 2, 7, 100000 }, i;
	struct s3_doc doc;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_int_equal(read_doc(listing, strlen(listing), steps[i], true, &doc), 0);
		assert_string_equal(doc.root, "ListBucketResult");
		assert_true(doc.truncated);
		assert_string_equal(doc.list.next, "a+b&c%20");
		assert_int_equal(doc.list.n, 3);
		assert_string_equal(doc.list.entries[0].key, "p/a\001 b+c d");
		assert_string_equal(doc.list.entries[0].tag, "\"abc\"");
		assert_true(doc.list.entries[0].size == 5497558138880u);
		assert_int_equal(doc.list.entries[0].mtime, 1769860805);
		assert_string_equal(doc.list.entries[1].key, "p/\303\244");
		assert_false(doc.list.entries[1].is_prefix);
		assert_string_equal(doc.list.entries[2].key, "p/x/");
		assert_true(doc.list.entries[2].is_prefix);
		s3_doc_free(&doc);
	}
}

/* Cut anywhere, it is refused; changed anywhere, it ends one way or the other. */
static void damaged_page(void **state)
{
	size_t len = strlen(listing), i;
	char *copy = malloc(len + 1);
	struct s3_doc doc;
	int bit;

	(void)state;
	for (i = 0; i < len; i++)
		assert_int_equal(read_doc(listing, i, 64, true, &doc), -EPROTO);
	for (i = 0; i < len; i++) {
		for (bit = 0; bit < 8; bit++) {
			int ret;

			memcpy(copy, listing, len + 1);
			copy[i] = (char)(copy[i] ^ 1 << bit);
			ret = read_doc(copy, len, 64, true, &doc);
			assert_true(!ret || ret == -EPROTO);
			s3_doc_free(&doc);
		}
	}
	free(copy);
}

static void refused_xml(void **state)
{
	static const char *const bad[] = {
		"", "x", "<a>", "<a></b>", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<!DOCTYPE a><a/>", "<a>&unknown;</a>",
		"<a><Contents><Size>1</Size></Contents></a>", "<a><Contents><Key>k</Key><Size>-1</Size></Contents></a>",
		"<a><Contents><Key>k</Key><Size>99999999999999999999</Size></Contents></a>",
		"<a><Contents><Key>k</Key><Size>1x</Size></Contents></a>", "<a><Contents><Key>k%0</Key></Contents></a>",
		"<a><Contents><Key>k%00</Key></Contents></a>", "<a><Contents><Key>%zz</Key></Contents></a>",
		"<a/><a/>", "<a>\001</a>",
		"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>",
		"<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/>",
	};
	struct s3_doc doc;
	size_t i, len;
	char *text;
	FILE *out;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_doc(bad[i], strlen(bad[i]), 16, true, &doc), -EPROTO);
	/* Text that is too long; entries that are too many. */
	out = open_memstream(&text, &len);
	fprintf(out, "<a><b>%*s</b></a>", S3_XML_TEXT + 1, "x");
	fclose(out);
	assert_int_equal(read_doc(text, len, 1000, true, &doc), -EPROTO);
	free(text);
	out = open_memstream(&text, &len);
	fputs("<a>", out);
	for (i = 0; i <= S3_XML_ENTRIES; i++)
		fputs("<Contents><Key>k</Key></Contents>", out);
	fputs("</a>", out);
	fclose(out);
	assert_int_equal(read_doc(text, len, 1000, true, &doc), -EPROTO);
	free(text);
	/* A document without end. */
	text = malloc(S3_XML_BYTES + 100);
	memset(text, ' ', S3_XML_BYTES + 100);
	memcpy(text, "<a>", 3);
	assert_int_equal(read_doc(text, S3_XML_BYTES + 100, 65536, true, &doc), -EPROTO);
	free(text);
}

static void other_documents(void **state)
{
	static const char error[] = "<Error><Code>PermanentRedirect</Code><Message>go &lt;there&gt;</Message><Region>eu-west-1</Region></Error>";
	static const char started[] = "<x:InitiateMultipartUploadResult xmlns:x=\"u\"><x:UploadId>2~id</x:UploadId></x:InitiateMultipartUploadResult>";
	static const char uploads[] = "<ListMultipartUploadsResult><NextKeyMarker>a%20b</NextKeyMarker><NextUploadIdMarker>2~x</NextUploadIdMarker>"
		"<IsTruncated>true</IsTruncated><Upload><Key>k%2B</Key><UploadId>2~y</UploadId><Initiated>2026-01-31T12:00:05Z</Initiated></Upload></ListMultipartUploadsResult>";
	static const char deleted[] = "<DeleteResult><Error><Key>k%41</Key><Code>AccessDenied</Code></Error></DeleteResult>";
	struct s3_doc doc;

	(void)state;
	assert_int_equal(read_doc(error, strlen(error), 5, false, &doc), 0);
	assert_string_equal(doc.code, "PermanentRedirect");
	assert_string_equal(doc.message, "go <there>");
	assert_string_equal(doc.region, "eu-west-1");
	s3_doc_free(&doc);
	assert_int_equal(read_doc(started, strlen(started), 5, false, &doc), 0);
	assert_string_equal(doc.upload_id, "2~id");
	s3_doc_free(&doc);
	assert_int_equal(read_doc(uploads, strlen(uploads), 5, true, &doc), 0);
	assert_string_equal(doc.marker, "a b");
	assert_string_equal(doc.upload_marker, "2~x");
	assert_string_equal(doc.list.entries[0].key, "k+");
	assert_string_equal(doc.list.entries[0].tag, "2~y");
	assert_int_equal(doc.list.entries[0].mtime, 1769860805);
	s3_doc_free(&doc);
	assert_int_equal(read_doc(deleted, strlen(deleted), 5, true, &doc), 0);
	assert_string_equal(doc.list.entries[0].key, "k%41");
	assert_string_equal(doc.list.entries[0].tag, "AccessDenied");
	s3_doc_free(&doc);
}

static void requests(void **state)
{
	const char *keys[] = { "a<&>\"'\r\n\t", "\303\244" };
	char etag[] = "\"e\"", *etags[] = { etag, etag };
	char *text;
	size_t len;

	(void)state;
	text = s3_xml_delete("p&/", keys, 2, &len);
	assert_string_equal(text, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
			    "<Object><Key>p&#38;/a&#60;&#38;&#62;&#34;&#39;&#13;&#10;&#9;</Key></Object>"
			    "<Object><Key>p&#38;/\303\244</Key></Object></Delete>");
	assert_int_equal(len, strlen(text));
	free(text);
	text = s3_xml_complete(etags, 2, &len);
	assert_non_null(strstr(text, "<Part><PartNumber>2</PartNumber><ETag>&#34;e&#34;</ETag></Part>"));
	free(text);
}

static void what_xml_can(void **state)
{
	static const char *const can[] = { "a", "\t\n\r", "\303\244", "\357\277\275", "\360\237\230\200", "\364\217\277\277", "\356\200\200" };
	static const char *const cannot[] = { "\001", "a\037", "\177", "\200", "\300\200", "\340\200\200", "\355\240\200",
		"\357\277\276", "\357\277\277", "\364\220\200\200", "\370\210\200\200\200", "\303", "\303(", "\360\237\230" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(can) / sizeof(can[0]); i++)
		assert_true(s3_xml_can(can[i]));
	for (i = 0; i < sizeof(cannot) / sizeof(cannot[0]); i++)
		assert_false(s3_xml_can(cannot[i]));
}

static void meanings(void **state)
{
	static const struct {
		int curl, status;
		const char *code;
		int error;
		enum s3_class class;
		enum s3_verdict verdict;
	} rows[] = {
		{ 0, 404, "NoSuchKey", -ENOENT, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 404, "NoSuchBucket", -ENODEV, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 404, "", -ENOENT, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 403, "ExpiredToken", -EKEYEXPIRED, S3_CREDS, S3_VERDICT_GOOD },
		{ 0, 400, "ExpiredToken", -EKEYEXPIRED, S3_CREDS, S3_VERDICT_GOOD },
		{ 0, 403, "RequestTimeTooSkewed", -ETIME, S3_CLOCK, S3_VERDICT_GOOD },
		{ 0, 403, "Unheard", -EACCES, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 412, "PreconditionFailed", -EEXIST, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 409, "ConditionalRequestConflict", -EEXIST, S3_AGAIN, S3_VERDICT_GOOD },
		{ 0, 301, "PermanentRedirect", -EREMOTE, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 503, "SlowDown", -EBUSY, S3_LESS, S3_VERDICT_SLOW },
		{ 0, 503, "", -EBUSY, S3_LESS, S3_VERDICT_SLOW },
		{ 0, 429, "", -EBUSY, S3_LESS, S3_VERDICT_SLOW },
		{ 0, 500, "InternalError", -EIO, S3_AGAIN, S3_VERDICT_BAD },
		{ 0, 200, "InternalError", -EIO, S3_AGAIN, S3_VERDICT_BAD },
		{ 0, 200, "", -EPROTO, S3_AGAIN, S3_VERDICT_BAD },
		{ 0, 599, "", -EIO, S3_AGAIN, S3_VERDICT_BAD },
		{ 0, 418, "", -EINVAL, S3_DONE, S3_VERDICT_GOOD },
		{ 0, 501, "NotImplemented", -EOPNOTSUPP, S3_DONE, S3_VERDICT_GOOD },
		{ CURLE_COULDNT_CONNECT, 0, "", -ECONNREFUSED, S3_AGAIN, S3_VERDICT_BAD },
		{ CURLE_PARTIAL_FILE, 200, "NoSuchKey", -ECONNRESET, S3_AGAIN, S3_VERDICT_BAD },
		{ CURLE_PEER_FAILED_VERIFICATION, 0, "", -EPERM, S3_DONE, S3_VERDICT_NONE },
		{ CURLE_FTP_WEIRD_PASV_REPLY, 0, "", -EIO, S3_AGAIN, S3_VERDICT_BAD },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct s3_meaning meaning = s3_error_of(rows[i].curl, rows[i].status, rows[i].code);

		if (meaning.error != rows[i].error)
			fprintf(stderr, "# row %zu\n", i);
		assert_int_equal(meaning.error, rows[i].error);
		assert_int_equal(meaning.class, rows[i].class);
		assert_int_equal(meaning.verdict, rows[i].verdict);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page), cmocka_unit_test(damaged_page), cmocka_unit_test(refused_xml),
		cmocka_unit_test(other_documents), cmocka_unit_test(requests), cmocka_unit_test(what_xml_can),
		cmocka_unit_test(meanings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
