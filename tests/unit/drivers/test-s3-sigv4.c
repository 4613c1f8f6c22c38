// SPDX-License-Identifier: Apache-2.0
/*
 * Signature version 4 against published vectors, and what the rules of S3 ask of
 * an encoding.
 *
 * Sources of the values:
 *  [S3]	Amazon S3 API Reference, "Signature Calculations for the Authorization
 *	Header: Transferring Payload in a Single Chunk", its four examples
 *	(docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html)
 *  [suite]	the AWS Signature Version 4 test suite, as in
 *	github.com/awslabs/aws-c-auth, tests/aws-signing-test-suite/v4/NAME/
 *	header-signed-request.txt
 *
 * Of the suite are absent: the "-normalized" ones whose path changes by it, because
 * S3 signs a path as it is; duplicate and multi-line headers, which are refused
 * here; and what only presigned URLs have.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/objectstore/s3/creds.h"
#include "drivers/objectstore/s3/sigv4.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const struct s3_creds s3_example = {	/* [S3] */
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.expiry = INT64_MAX,
	.serial = 1,
};

static const struct s3_creds suite_creds = {	/* [suite], context.json */
	.access_key = "AKIDEXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.expiry = INT64_MAX,
	.serial = 2,
};

static const struct s3_creds suite_session = {
	.access_key = "AKIDEXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
	.expiry = INT64_MAX,
	.serial = 3,
};

#define S3_TIME		1369353600	/* 20130524T000000Z */
#define SUITE_TIME	1440938160	/* 20150830T123600Z */
#define UNRESERVED	"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

struct vector {
	const char *name;
	const char *method, *path;
	struct sigv4_pair query[3];
	struct sigv4_pair headers[4];
	const char *payload_hash;
	const char *target;		/* what is sent */
	const char *signed_headers;
	const char *canonical_hash;	/* NULL: not published in that file */
	const char *signature;
	const struct s3_creds *creds;
};

/* [S3] */
static const struct vector s3_vectors[] = {
	{ "GET Object", "GET", "/test.txt", {}, { { "Range", "bytes=0-9" } },
	  SIGV4_EMPTY, "/test.txt", "host;range;x-amz-content-sha256;x-amz-date",
	  "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
	  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", &s3_example },
	{ "PUT Object", "PUT", "/test$file.text", {},
	  { { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
	    { "Date", "Fri, 24 May 2013 00:00:00 GMT" } },
	  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
	  "/test%24file.text",
	  "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	  "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
	  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", &s3_example },
	{ "GET Bucket Lifecycle", "GET", "/", { { "lifecycle", NULL } }, {},
	  SIGV4_EMPTY, "/?lifecycle=", "host;x-amz-content-sha256;x-amz-date",
	  "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
	  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", &s3_example },
	{ "Get Bucket (List Objects)", "GET", "/", { { "prefix", "J" }, { "max-keys", "2" } }, {},
	  SIGV4_EMPTY, "/?max-keys=2&prefix=J", "host;x-amz-content-sha256;x-amz-date",
	  "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
	  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", &s3_example },
};

/* [suite] */
static const struct vector suite_vectors[] = {
	{ "get-vanilla", "GET", "/", {}, {}, SIGV4_EMPTY, "/", "host;x-amz-date",
	  "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
	  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", &suite_creds },
	{ "post-vanilla", "POST", "/", {}, {}, SIGV4_EMPTY, "/", "host;x-amz-date", NULL,
	  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", &suite_creds },
	{ "get-unreserved", "GET", "/" UNRESERVED, {}, {}, SIGV4_EMPTY, "/" UNRESERVED,
	  "host;x-amz-date", NULL,
	  "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f", &suite_creds },
	{ "get-utf8", "GET", "/\u1234", {}, {}, SIGV4_EMPTY, "/%E1%88%B4",
	  "host;x-amz-date", NULL,
	  "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85", &suite_creds },
	{ "get-space-unnormalized", "GET", "/example space/", {}, {}, SIGV4_EMPTY,
	  "/example%20space/", "host;x-amz-date", NULL,
	  "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741", &suite_creds },
	{ "get-relative-unnormalized", "GET", "/example/..", {}, {}, SIGV4_EMPTY,
	  "/example/..", "host;x-amz-date", NULL,
	  "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282", &suite_creds },
	{ "get-relative-relative-unnormalized", "GET", "/example1/example2/../..", {}, {},
	  SIGV4_EMPTY, "/example1/example2/../..", "host;x-amz-date", NULL,
	  "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b", &suite_creds },
	{ "get-slash-dot-slash-unnormalized", "GET", "/./", {}, {}, SIGV4_EMPTY, "/./",
	  "host;x-amz-date", NULL,
	  "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145", &suite_creds },
	{ "get-slash-pointless-dot-unnormalized", "GET", "/./example", {}, {}, SIGV4_EMPTY,
	  "/./example", "host;x-amz-date", NULL,
	  "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff", &suite_creds },
	{ "get-slashes-unnormalized", "GET", "//example//", {}, {}, SIGV4_EMPTY, "//example//",
	  "host;x-amz-date", NULL,
	  "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5", &suite_creds },
	{ "get-vanilla-empty-query-key", "GET", "/", { { "Param1", "value1" } }, {}, SIGV4_EMPTY,
	  "/?Param1=value1", "host;x-amz-date", NULL,
	  "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb", &suite_creds },
	{ "get-vanilla-query-order-key-case", "GET", "/",
	  { { "Param2", "value2" }, { "Param1", "value1" } }, {}, SIGV4_EMPTY,
	  "/?Param1=value1&Param2=value2", "host;x-amz-date", NULL,
	  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", &suite_creds },
	{ "get-vanilla-query-order-encoded", "GET", "/",
	  { { "Param-3", "Value3" }, { "Param", "Value2" }, { "\u1234", "Value1" } }, {},
	  SIGV4_EMPTY, "/?%E1%88%B4=Value1&Param=Value2&Param-3=Value3",
	  "host;x-amz-date", NULL,
	  "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac", &suite_creds },
	{ "get-vanilla-query-unreserved", "GET", "/", { { UNRESERVED, UNRESERVED } }, {},
	  SIGV4_EMPTY, "/?" UNRESERVED "=" UNRESERVED, "host;x-amz-date", NULL,
	  "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197", &suite_creds },
	{ "get-vanilla-utf8-query", "GET", "/", { { "\u1234", "bar" } }, {}, SIGV4_EMPTY,
	  "/?%E1%88%B4=bar", "host;x-amz-date", NULL,
	  "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04", &suite_creds },
	{ "get-header-value-trim", "GET", "/", {},
	  { { "My-Header1", " value1" }, { "My-Header2", " \"a   b   c\"" } }, SIGV4_EMPTY, "/",
	  "host;my-header1;my-header2;x-amz-date", NULL,
	  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736", &suite_creds },
	{ "post-header-key-sort", "POST", "/", {}, { { "My-Header1", "value1" } }, SIGV4_EMPTY,
	  "/", "host;my-header1;x-amz-date", NULL,
	  "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c", &suite_creds },
	{ "post-x-www-form-urlencoded", "POST", "/", {},
	  { { "Content-Type", "application/x-www-form-urlencoded" },
	    { "Content-Length", "13" },
	    { "x-amz-content-sha256",
	      "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e" } },
	  "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e", "/",
	  "content-length;content-type;host;x-amz-content-sha256;x-amz-date", NULL,
	  "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b", &suite_creds },
	{ "get-vanilla-with-session-token", "GET", "/", {}, {}, SIGV4_EMPTY, "/",
	  "host;x-amz-date;x-amz-security-token", NULL,
	  "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8", &suite_session },
};

static size_t pairs(const struct sigv4_pair *pair, size_t most)
{
	size_t n = 0;

	while (n < most && pair[n].name)
		n++;
	return n;
}

static void check_vector(struct sigv4 *signer, const struct vector *v, const char *host,
			 int64_t now, const char *scope)
{
	const struct sigv4_request request = {
		.method = v->method, .host = host, .path = v->path,
		.query = v->query, .n_query = pairs(v->query, COUNT(v->query)),
		.headers = v->headers, .n_headers = pairs(v->headers, COUNT(v->headers)),
		.payload_hash = v->payload_hash, .time = now,
	};
	struct sigv4_signed out;
	char want[1024];

	print_message("%s\n", v->name);
	assert_int_equal(sigv4_sign(signer, v->creds, &request, &out), 0);
	assert_string_equal(out.target, v->target);
	assert_int_equal(out.path_len, strcspn(v->target, "?"));
	if (v->canonical_hash)
		assert_string_equal(out.canonical_hash, v->canonical_hash);
	snprintf(want, sizeof(want), "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		 v->creds->access_key, scope, v->signed_headers, v->signature);
	assert_string_equal(out.authorization, want);
	sigv4_signed_free(&out);
	assert_null(out.target);
}

static void s3_examples(void **state)
{
	struct sigv4 *signer;
	char hash[65];
	size_t i;

	(void)state;
	/* [S3]: the body of the PUT. */
	assert_int_equal(sigv4_hash("Welcome to Amazon S3.", 21, hash), 0);
	assert_string_equal(hash, s3_vectors[1].payload_hash);
	assert_int_equal(sigv4_hash("", 0, hash), 0);
	assert_string_equal(hash, SIGV4_EMPTY);

	assert_int_equal(sigv4_open("us-east-1", "s3", &signer), 0);
	for (i = 0; i < COUNT(s3_vectors); i++)
		check_vector(signer, &s3_vectors[i], "examplebucket.s3.amazonaws.com", S3_TIME,
			     "20130524/us-east-1/s3/aws4_request");
	sigv4_close(signer);
}

static void suite(void **state)
{
	struct sigv4 *signer;
	size_t i;

	(void)state;
	assert_int_equal(sigv4_open("us-east-1", "service", &signer), 0);
	for (i = 0; i < COUNT(suite_vectors); i++)
		check_vector(signer, &suite_vectors[i], "example.amazonaws.com", SUITE_TIME,
			     "20150830/us-east-1/service/aws4_request");
	sigv4_close(signer);
}

/* A GET of S3's example, to be changed. */
static struct sigv4_request plain_get(const char *path)
{
	return (struct sigv4_request) {
		.method = "GET", .host = "examplebucket.s3.amazonaws.com", .path = path,
		.payload_hash = SIGV4_EMPTY, .time = S3_TIME,
	};
}

/* Keys of S3 are any bytes, encoded once, never normalised. */
static void paths(void **state)
{
	static const struct { const char *path, *target; } cases[] = {
		{ "/", "/" },
		{ "//", "//" },
		{ "/bucket//a", "/bucket//a" },
		{ "/a/../b", "/a/../b" },
		{ "/a/./b/.", "/a/./b/." },
		{ "/..", "/.." },
		{ "/a/", "/a/" },
		{ "/a b", "/a%20b" },
		{ "/a+b", "/a%2Bb" },
		{ "/a%20b", "/a%2520b" },
		{ "/%", "/%25" },
		{ "/~a_b-c.d", "/~a_b-c.d" },
		{ "/a?b=c&d", "/a%3Fb%3Dc%26d" },
		{ "/a#b", "/a%23b" },
		{ "/a:b@c;d,e", "/a%3Ab%40c%3Bd%2Ce" },
		{ "/!*'()", "/%21%2A%27%28%29" },
		{ "/[]{}|\\^`\"<>", "/%5B%5D%7B%7D%7C%5C%5E%60%22%3C%3E" },
		{ "/a\nb\r\t\x01\x7f", "/a%0Ab%0D%09%01%7F" },
		{ "/\u00e4\u4e2d\U0001f600", "/%C3%A4%E4%B8%AD%F0%9F%98%80" },
		/* Not UTF-8: the byte, not a guess. */
		{ "/\xff\x80", "/%FF%80" },
	};
	struct sigv4_request request;
	struct sigv4_signed out;
	struct sigv4 *signer;
	size_t i;

	(void)state;
	assert_int_equal(sigv4_open("us-east-1", "s3", &signer), 0);
	for (i = 0; i < COUNT(cases); i++) {
		request = plain_get(cases[i].path);
		assert_int_equal(sigv4_sign(signer, &s3_example, &request, &out), 0);
		assert_string_equal(out.target, cases[i].target);
		sigv4_signed_free(&out);
	}
	sigv4_close(signer);
}

static void queries(void **state)
{
	static const struct {
		struct sigv4_pair pairs[5];
		const char *query;
	} cases[] = {
		/* By the name first, then by the value. */
		{ { { "a-b", "1" }, { "a", "2" }, { "a", "10" }, { "a", "1" }, { "a", NULL } },
		  "a=&a=1&a=10&a=2&a-b=1" },
		/* As it is encoded: "%7B" is before "B", '{' would be behind. */
		{ { { "B", "1" }, { "{", "1" } }, "%7B=1&B=1" },
		{ { { "k", "{" }, { "k", "Z" } }, "k=%7B&k=Z" },
		/* Upper case is before lower case. */
		{ { { "b", "" }, { "a", "" }, { "C", "" } }, "C=&a=&b=" },
		{ { { "prefix", "a/b c+d&e=f%" }, { "delimiter", "/" } },
		  "delimiter=%2F&prefix=a%2Fb%20c%2Bd%26e%3Df%25" },
		{ { { "continuation-token", "1/x==" }, { "list-type", "2" } },
		  "continuation-token=1%2Fx%3D%3D&list-type=2" },
	};
	struct sigv4_request request;
	struct sigv4_signed out;
	struct sigv4 *signer;
	size_t i;

	(void)state;
	assert_int_equal(sigv4_open("us-east-1", "s3", &signer), 0);
	for (i = 0; i < COUNT(cases); i++) {
		request = plain_get("/bucket");
		request.query = cases[i].pairs;
		request.n_query = pairs(cases[i].pairs, COUNT(cases[i].pairs));
		assert_int_equal(sigv4_sign(signer, &s3_example, &request, &out), 0);
		assert_string_equal(out.target + out.path_len + 1, cases[i].query);
		sigv4_signed_free(&out);
	}
	sigv4_close(signer);
}

/* The lines to be sent, and a token that is signed with them. */
static void lines(void **state)
{
	struct sigv4_request request = plain_get("/a");
	struct s3_creds creds = s3_example;
	struct sigv4_signed out;
	struct sigv4 *signer;

	(void)state;
	assert_int_equal(sigv4_open("us-east-1", "s3", &signer), 0);
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), 0);
	assert_int_equal(out.n_lines, 3);
	assert_string_equal(out.lines[0], "x-amz-date: 20130524T000000Z");
	assert_string_equal(out.lines[1], "x-amz-content-sha256: " SIGV4_EMPTY);
	assert_ptr_equal(out.authorization, out.lines[2] + strlen("Authorization: "));
	sigv4_signed_free(&out);

	creds.token = "a/token+of==a-session";
	request.payload_hash = SIGV4_UNSIGNED;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), 0);
	assert_int_equal(out.n_lines, 4);
	assert_string_equal(out.lines[1], "x-amz-content-sha256: " SIGV4_UNSIGNED);
	assert_string_equal(out.lines[2], "x-amz-security-token: a/token+of==a-session");
	assert_non_null(strstr(out.authorization,
			       "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
	sigv4_signed_free(&out);
	/* Twice is allowed, and of what was never filled. */
	sigv4_signed_free(&out);
	sigv4_close(signer);
	sigv4_close(NULL);
}

/* Signs @path at @now and returns the signature. */
static void signature(struct sigv4 *signer, const struct s3_creds *creds, int64_t now, char sig[65])
{
	struct sigv4_request request = plain_get("/a");
	struct sigv4_signed out;

	request.time = now;
	assert_int_equal(sigv4_sign(signer, creds, &request, &out), 0);
	snprintf(sig, 65, "%s", strstr(out.authorization, "Signature=") + 10);
	sigv4_signed_free(&out);
}

/*
 * The key of the day is kept: whatever was signed before, the same request gives
 * what a signer gives that never signed another.
 */
static void kept_key(void **state)
{
	struct s3_creds other = s3_example;
	struct { const struct s3_creds *creds; int64_t now; } order[] = {
		{ &s3_example, S3_TIME }, { &s3_example, S3_TIME + 1 }, { &other, S3_TIME },
		{ &s3_example, S3_TIME }, { &s3_example, S3_TIME + 86400 }, { &other, S3_TIME },
		{ &s3_example, S3_TIME - 1 },
	};
	struct sigv4 *used, *fresh;
	char a[65], b[65], last[65] = "";
	size_t i;

	(void)state;
	other.secret_key = "another/secret";
	other.serial = 99;
	assert_int_equal(sigv4_open("us-east-1", "s3", &used), 0);
	for (i = 0; i < COUNT(order); i++) {
		assert_int_equal(sigv4_open("us-east-1", "s3", &fresh), 0);
		signature(used, order[i].creds, order[i].now, a);
		signature(fresh, order[i].creds, order[i].now, b);
		assert_string_equal(a, b);
		assert_string_not_equal(a, last);
		strcpy(last, a);
		sigv4_close(fresh);
	}
	sigv4_close(used);
}

static void refused(void **state)
{
	static const struct sigv4_pair twice[] = { { "Range", "a" }, { "range", "b" } };
	static const struct sigv4_pair own[] = { { "HOST", "a" } };
	static const struct sigv4_pair date[] = { { "X-Amz-Date", "a" } };
	static const struct sigv4_pair broken[] = { { "x-a", "b\r\nx-c: d" } };
	static const struct sigv4_pair odd[] = { { "x a", "b" } };
	static const struct sigv4_pair colon[] = { { "x-a:", "b" } };
	static const struct sigv4_pair nameless[] = { { "", "b" } };
	static const struct sigv4_pair *const headers[] = {
		own, date, broken, odd, colon, nameless,
	};
	static const char *const hashes[] = {
		NULL, "", "UNSIGNED", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555",
	};
	static const char *const names[] = {
		"", "a/b", "a b", "a,b", "a\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct sigv4_pair many[65];
	struct s3_creds creds = s3_example;
	struct sigv4_request request;
	struct sigv4_signed out;
	struct sigv4 *signer;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		assert_int_equal(sigv4_open(names[i], "s3", &signer), -EINVAL);
		assert_int_equal(sigv4_open("us-east-1", names[i], &signer), -EINVAL);
	}
	assert_int_equal(sigv4_open("us-east-1", "s3", &signer), 0);
#define REFUSED(error, field, value)	do {					\
		request = plain_get("/a");					\
		request.field = (value);					\
		assert_int_equal(sigv4_sign(signer, &creds, &request, &out), error);	\
		assert_null(out.target);					\
		assert_int_equal(out.n_lines, 0);				\
	} while (0)
	REFUSED(-EINVAL, method, "");
	REFUSED(-EINVAL, method, "GET /");
	REFUSED(-EINVAL, host, "");
	REFUSED(-EINVAL, host, "a\r\nb");
	REFUSED(-EINVAL, path, NULL);
	REFUSED(-EINVAL, path, "");
	REFUSED(-EINVAL, path, "a");
	REFUSED(-EINVAL, time, -1);
	REFUSED(-EINVAL, time, 253402300800);
	for (i = 0; i < COUNT(hashes); i++)
		REFUSED(-EINVAL, payload_hash, hashes[i]);
	for (i = 0; i < COUNT(headers); i++) {
		request = plain_get("/a");
		request.headers = headers[i];
		request.n_headers = 1;
		assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);
	}
	request.headers = twice;
	request.n_headers = 2;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);

	for (i = 0; i < COUNT(many); i++)
		many[i] = (struct sigv4_pair) { "a", "b" };
	request = plain_get("/a");
	request.query = many;
	request.n_query = 64;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), 0);
	sigv4_signed_free(&out);
	request.n_query = 65;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -E2BIG);
	request = plain_get("/a");
	request.headers = many;
	request.n_headers = 65;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -E2BIG);
	many[3].name = "";
	request = plain_get("/a");
	request.query = many;
	request.n_query = 4;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);

	request = plain_get("/a");
	creds.access_key = "";
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);
	creds.access_key = "a\nb";
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);
	creds = s3_example;
	creds.secret_key = "a b";
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);
	creds = s3_example;
	creds.token = "a\r\nx-b: c";
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), -EINVAL);
	/* The last second there is. */
	creds = s3_example;
	request.time = 253402300799;
	assert_int_equal(sigv4_sign(signer, &creds, &request, &out), 0);
	assert_string_equal(out.lines[0], "x-amz-date: 99991231T235959Z");
	sigv4_signed_free(&out);
	sigv4_close(signer);
}

static uint32_t seed = 1;

static uint32_t random_number(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static void random_bytes(char *p, size_t least, size_t most)
{
	size_t n = least + random_number((uint32_t)(most - least + 1));

	while (n--)
		*p++ = (char)(1 + random_number(255));
	*p = '\0';
}

/* What is encoded, back; false when it has a byte it must not have. */
static bool decode(const char *p, size_t len, bool slash, char *out)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned int c;

		if (p[i] == '%') {
			if (i + 2 >= len || !strchr("0123456789ABCDEF", p[i + 1]) ||
			    !strchr("0123456789ABCDEF", p[i + 2]) ||
			    sscanf(p + i + 1, "%2x", &c) != 1)
				return false;
			/* Nothing is encoded that need not be. */
			if (strchr(UNRESERVED, (int)c) || (slash && c == '/'))
				return false;
			*out++ = (char)c;
			i += 2;
		} else if (strchr(UNRESERVED, p[i]) || (slash && p[i] == '/')) {
			*out++ = p[i];
		} else {
			return false;
		}
	}
	*out = '\0';
	return true;
}

/* Whatever the bytes: the target says the same again, and nothing overflows. */
static void any_bytes(void **state)
{
	char path[258], names[4][40], values[4][200], back[1024];
	struct sigv4_pair query[4], header;
	struct sigv4_request request;
	struct sigv4_signed out;
	struct sigv4 *signer;
	unsigned int round;
	size_t i, n;
	int ret;

	(void)state;
	assert_int_equal(sigv4_open("us-east-1", "s3", &signer), 0);
	for (round = 0; round < 3000; round++) {
		path[0] = '/';
		random_bytes(path + 1, 0, 255);
		request = plain_get(path);
		for (i = 0; i < COUNT(query); i++) {
			random_bytes(names[i], 1, 39);
			random_bytes(values[i], 0, 199);
			query[i] = (struct sigv4_pair) { names[i], values[i] };
		}
		request.query = query;
		request.n_query = random_number(5);
		header = (struct sigv4_pair) { "x-amz-meta-a", values[3] };
		request.headers = &header;
		request.n_headers = round & 1;
		ret = sigv4_sign(signer, &s3_example, &request, &out);
		if (ret) {
			/* A header with a control byte. */
			assert_int_equal(ret, -EINVAL);
			assert_int_equal(request.n_headers, 1);
			continue;
		}
		assert_true(decode(out.target, out.path_len, true, back));
		assert_string_equal(back, path);
		n = 0;
		if (out.target[out.path_len]) {
			char *p, *next = out.target + out.path_len + 1;

			while ((p = strsep(&next, "&"))) {
				char *value = strchr(p, '=');

				assert_non_null(value);
				assert_true(decode(p, (size_t)(value - p), false, back));
				assert_true(decode(value + 1, strlen(value + 1), false,
						   back + strlen(back) + 1));
				for (i = 0; i < request.n_query; i++) {
					if (!strcmp(back, names[i]) &&
					    !strcmp(back + strlen(back) + 1, values[i]))
						break;
				}
				assert_true(i < request.n_query);
				n++;
			}
		}
		assert_int_equal(n, request.n_query);
		sigv4_signed_free(&out);
	}
	sigv4_close(signer);
}

static struct {
	struct sigv4 *signer;
	atomic_uint wrong;
	char want[2][65];
} shared;

static void *sign_many(void *arg)
{
	const struct s3_creds *const creds[] = { &s3_example, &suite_session };
	struct sigv4_request request = plain_get("/a");
	struct sigv4_signed out;
	unsigned int i;

	for (i = 0; i < 400; i++) {
		unsigned int which = (i / 7 + (unsigned int)(uintptr_t)arg) & 1;

		if (sigv4_sign(shared.signer, creds[which], &request, &out)) {
			shared.wrong++;
			continue;
		}
		if (strcmp(strstr(out.authorization, "Signature=") + 10, shared.want[which]))
			shared.wrong++;
		sigv4_signed_free(&out);
	}
	return NULL;
}

/* Two credentials by turns, so that the kept key is made anew all the time. */
static void threads(void **state)
{
	pthread_t thread[3];
	size_t i;

	(void)state;
	assert_int_equal(sigv4_open("us-east-1", "s3", &shared.signer), 0);
	signature(shared.signer, &s3_example, S3_TIME, shared.want[0]);
	signature(shared.signer, &suite_session, S3_TIME, shared.want[1]);
	for (i = 0; i < COUNT(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sign_many, (void *)i), 0);
	for (i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(shared.wrong, 0);
	sigv4_close(shared.signer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s3_examples),
		cmocka_unit_test(suite),
		cmocka_unit_test(paths),
		cmocka_unit_test(queries),
		cmocka_unit_test(lines),
		cmocka_unit_test(kept_key),
		cmocka_unit_test(refused),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
