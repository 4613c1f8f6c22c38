// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <curl/curl.h>

#include "errors.h"

enum kind { CODE, STATUS, LIBCURL };

/*
 * The first row that fits counts: a code of S3 before the status it came with, and
 * libcurl's, which is no answer, alone.  Verdicts follow from the class, see below.
 */
static const struct row {
	enum kind kind;
	const char *code;
	int number;
	int error;
	enum s3_class class;
	const char *words;
} table[] = {
	{ CODE, "NoSuchKey", 0, -ENOENT, S3_DONE, NULL },
	{ CODE, "NoSuchUpload", 0, -ENOENT, S3_DONE, NULL },
	{ CODE, "NoSuchVersion", 0, -ENOENT, S3_DONE, NULL },
	{ CODE, "NoSuchBucket", 0, -ENODEV, S3_DONE, "the bucket does not exist" },
	{ CODE, "BucketAlreadyExists", 0, -EEXIST, S3_DONE, NULL },
	{ CODE, "BucketAlreadyOwnedByYou", 0, -EEXIST, S3_DONE, NULL },
	{ CODE, "BucketNotEmpty", 0, -ENOTEMPTY, S3_DONE, NULL },
	{ CODE, "PreconditionFailed", 0, -EEXIST, S3_DONE, NULL },
	{ CODE, "ConditionalRequestConflict", 0, -EEXIST, S3_AGAIN, NULL },
	{ CODE, "OperationAborted", 0, -EBUSY, S3_AGAIN, NULL },
	{ CODE, "ConcurrentModification", 0, -EBUSY, S3_AGAIN, NULL },
	{ CODE, "InvalidRange", 0, -ERANGE, S3_DONE, NULL },
	{ CODE, "EntityTooLarge", 0, -EFBIG, S3_DONE, NULL },
	{ CODE, "EntityTooSmall", 0, -EINVAL, S3_DONE, NULL },
	{ CODE, "KeyTooLongError", 0, -ENAMETOOLONG, S3_DONE, NULL },
	{ CODE, "QuotaExceeded", 0, -EDQUOT, S3_DONE, "the store's quota is used up" },
	{ CODE, "InvalidObjectState", 0, -ENODATA, S3_DONE, "the object is archived and has to be restored first" },
	{ CODE, "SignatureDoesNotMatch", 0, -EKEYREJECTED, S3_CREDS,
	  "the secret key is wrong, or a proxy changes requests" },
	{ CODE, "InvalidAccessKeyId", 0, -EKEYREJECTED, S3_CREDS, "the server does not know the access key" },
	{ CODE, "ExpiredToken", 0, -EKEYEXPIRED, S3_CREDS, "the credentials have expired" },
	{ CODE, "ExpiredTokenException", 0, -EKEYEXPIRED, S3_CREDS, "the credentials have expired" },
	{ CODE, "TokenRefreshRequired", 0, -EKEYEXPIRED, S3_CREDS, "the credentials have expired" },
	{ CODE, "InvalidToken", 0, -EKEYREJECTED, S3_CREDS, NULL },
	{ CODE, "RequestTimeTooSkewed", 0, -ETIME, S3_CLOCK, "the clock of this machine is wrong" },
	{ CODE, "RequestExpired", 0, -ETIME, S3_CLOCK, "the clock of this machine is wrong" },
	{ CODE, "AllAccessDisabled", 0, -EACCES, S3_DONE, NULL },
	{ CODE, "AccessDenied", 0, -EACCES, S3_DONE, NULL },
	{ CODE, "PermanentRedirect", 0, -EREMOTE, S3_DONE, "the bucket is in another region" },
	{ CODE, "TemporaryRedirect", 0, -EREMOTE, S3_AGAIN, "the bucket is being moved" },
	{ CODE, "AuthorizationHeaderMalformed", 0, -EREMOTE, S3_DONE, "the region is not the bucket's" },
	{ CODE, "IllegalLocationConstraintException", 0, -EREMOTE, S3_DONE, "the region is not the bucket's" },
	{ CODE, "BadDigest", 0, -EBADMSG, S3_AGAIN, "the server got other bytes than were sent" },
	{ CODE, "XAmzContentSHA256Mismatch", 0, -EBADMSG, S3_AGAIN, "the server got other bytes than were sent" },
	{ CODE, "XAmzContentChecksumMismatch", 0, -EBADMSG, S3_AGAIN, "the server got other bytes than were sent" },
	{ CODE, "InvalidDigest", 0, -EINVAL, S3_DONE, NULL },
	{ CODE, "IncompleteBody", 0, -EIO, S3_AGAIN, NULL },
	{ CODE, "RequestTimeout", 0, -ETIMEDOUT, S3_AGAIN, NULL },
	{ CODE, "SlowDown", 0, -EBUSY, S3_LESS, NULL },
	{ CODE, "ServiceUnavailable", 0, -EBUSY, S3_LESS, NULL },
	{ CODE, "RequestLimitExceeded", 0, -EBUSY, S3_LESS, NULL },
	{ CODE, "Throttling", 0, -EBUSY, S3_LESS, NULL },
	{ CODE, "ThrottlingException", 0, -EBUSY, S3_LESS, NULL },
	{ CODE, "TooManyRequests", 0, -EBUSY, S3_LESS, NULL },
	{ CODE, "InternalError", 0, -EIO, S3_AGAIN, NULL },
	{ CODE, "NotImplemented", 0, -EOPNOTSUPP, S3_DONE, NULL },
	{ CODE, "MethodNotAllowed", 0, -EOPNOTSUPP, S3_DONE, NULL },
	{ CODE, "InvalidStorageClass", 0, -EINVAL, S3_DONE, NULL },
	{ CODE, "InvalidBucketName", 0, -EINVAL, S3_DONE, NULL },
	{ CODE, "InvalidPart", 0, -ESTALE, S3_DONE, NULL },
	{ CODE, "InvalidPartOrder", 0, -EINVAL, S3_DONE, NULL },

	{ STATUS, NULL, 301, -EREMOTE, S3_DONE, "the bucket is in another region" },
	{ STATUS, NULL, 302, -EREMOTE, S3_DONE, NULL },
	{ STATUS, NULL, 307, -EREMOTE, S3_AGAIN, NULL },
	{ STATUS, NULL, 308, -EREMOTE, S3_DONE, NULL },
	{ STATUS, NULL, 304, -EEXIST, S3_DONE, NULL },
	{ STATUS, NULL, 400, -EINVAL, S3_DONE, NULL },
	{ STATUS, NULL, 401, -EACCES, S3_DONE, NULL },
	{ STATUS, NULL, 403, -EACCES, S3_DONE, NULL },
	{ STATUS, NULL, 404, -ENOENT, S3_DONE, NULL },
	{ STATUS, NULL, 405, -EOPNOTSUPP, S3_DONE, NULL },
	{ STATUS, NULL, 408, -ETIMEDOUT, S3_AGAIN, NULL },
	{ STATUS, NULL, 409, -EBUSY, S3_AGAIN, NULL },
	{ STATUS, NULL, 411, -EINVAL, S3_DONE, NULL },
	{ STATUS, NULL, 412, -EEXIST, S3_DONE, NULL },
	{ STATUS, NULL, 413, -EFBIG, S3_DONE, NULL },
	{ STATUS, NULL, 416, -ERANGE, S3_DONE, NULL },
	{ STATUS, NULL, 429, -EBUSY, S3_LESS, NULL },
	{ STATUS, NULL, 500, -EIO, S3_AGAIN, NULL },
	{ STATUS, NULL, 501, -EOPNOTSUPP, S3_DONE, NULL },
	{ STATUS, NULL, 502, -EIO, S3_AGAIN, NULL },
	{ STATUS, NULL, 503, -EBUSY, S3_LESS, NULL },
	{ STATUS, NULL, 504, -ETIMEDOUT, S3_AGAIN, NULL },
	{ STATUS, NULL, 509, -EBUSY, S3_LESS, NULL },

	{ LIBCURL, NULL, CURLE_OUT_OF_MEMORY, -ENOMEM, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_URL_MALFORMAT, -EINVAL, S3_DONE, NULL },
	{ LIBCURL, NULL, CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_COULDNT_CONNECT, -ECONNREFUSED, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_SSL_CONNECT_ERROR, -ECONNABORTED, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_PEER_FAILED_VERIFICATION, -EPERM, S3_DONE, "the server's certificate is not trusted" },
	{ LIBCURL, NULL, CURLE_SSL_CACERT_BADFILE, -EINVAL, S3_DONE, "the file of certificates cannot be read" },
	{ LIBCURL, NULL, CURLE_GOT_NOTHING, -ECONNRESET, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_SEND_ERROR, -ECONNRESET, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_RECV_ERROR, -ECONNRESET, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_PARTIAL_FILE, -ECONNRESET, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_HTTP2, -ECONNRESET, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_HTTP2_STREAM, -ECONNRESET, S3_AGAIN, NULL },
	{ LIBCURL, NULL, CURLE_WEIRD_SERVER_REPLY, -EPROTO, S3_AGAIN, NULL },
	/* An answer that is no HTTP; addresses were checked at the opening. */
	{ LIBCURL, NULL, CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, S3_AGAIN, NULL },
};

static bool fits(const struct row *row, int curl, int status, const char *code)
{
	switch (row->kind) {
	case CODE:
		return !curl && !strcmp(row->code, code);
	case STATUS:
		return !curl && row->number == status;
	case LIBCURL:
		return curl && row->number == curl;
	}
	return false;
}

/* What is in no row. */
static struct row other(int curl, int status)
{
	struct row row = { LIBCURL, NULL, 0, -EIO, S3_AGAIN, NULL };

	if (curl)
		return row;
	if (status >= 400 && status < 500)
		row = (struct row){ STATUS, NULL, status, -EINVAL, S3_DONE, NULL };
	else if (status < 500)
		row = (struct row){ STATUS, NULL, status, -EPROTO, S3_AGAIN, NULL };
	return row;
}

struct s3_meaning s3_error_of(int curl, int status, const char *code)
{
	struct row row = other(curl, status);
	struct s3_meaning meaning;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (fits(&table[i], curl, status, code)) {
			row = table[i];
			break;
		}
	}
	meaning.error = row.error;
	meaning.class = row.class;
	meaning.words = row.words;
	/* Whoever refuses is alive; 5xx, garbage and silence are not. */
	if (row.class == S3_LESS)
		meaning.verdict = S3_VERDICT_SLOW;
	else if (row.class == S3_AGAIN && (curl || status >= 500 || status < 300))
		meaning.verdict = S3_VERDICT_BAD;
	else
		meaning.verdict = curl ? S3_VERDICT_NONE : S3_VERDICT_GOOD;
	return meaning;
}
