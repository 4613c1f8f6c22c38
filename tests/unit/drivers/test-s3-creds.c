// SPDX-License-Identifier: Apache-2.0
/* Credentials that are fetched: from whom, what may go wrong, and when anew. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "creds-server.h"
#include "creds-world.h"

#define OK		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define JSON(n, expiration)							\
	OK "{\"Code\":\"Success\",\"AccessKeyId\":\"AK" n "\",\"SecretAccessKey\":\"" MARK n "\"," \
	"\"Token\":\"" MARK "token" n "\",\"Expiration\":\"" expiration "\"}"
#define XML(n, expiration)							\
	OK "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
	"<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken>" \
	"<Credentials><SessionToken>" MARK "token&#43;" n "</SessionToken><SecretAccessKey>" MARK n \
	"</SecretAccessKey><Expiration>" expiration "</Expiration><AccessKeyId>AK" n "</AccessKeyId>" \
	"</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define IN_AN_HOUR	"2027-01-15T09:00:00Z"
#define ROLE_PATH	"/latest/meta-data/iam/security-credentials/"

static struct creds_server *server;

static int begin(void **state)
{
	if (world_begin(state))
		return -1;
	/* A fetch that is waited for and never made is a failure, not a long wait. */
	alarm(120);
	server = creds_server_start();
	return 0;
}

static int end(void **state)
{
	creds_server_stop(server);
	alarm(0);
	return world_end(state);
}

/* A variable with an address of the server. */
static void set_url(const char *name, const char *path)
{
	char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", creds_server_port(server), path);
	set_env(name, url);
}

static struct s3_provider *open_provider(unsigned int timeout_ms)
{
	struct s3_creds_settings settings = world_settings;
	struct s3_provider *provider;
	struct s3_fault fault = { "" };

	settings.timeout_ms = timeout_ms;
	if (s3_creds_open(&settings, &provider, &fault))
		fail_msg("%s", fault.text);
	return provider;
}

/* No secret in the words, whatever went wrong. */
static int get(struct s3_provider *provider, enum s3_creds_wait wait,
	       const struct s3_creds **creds, struct s3_fault *fault)
{
	int ret;

	fault->text[0] = '\0';
	ret = s3_creds_get(provider, wait, creds, fault);
	assert_null(strstr(fault->text, MARK));
	return ret;
}

/* One that fails: error and words; those after a last ": " are libcurl's own. */
static void check_failure(unsigned int timeout_ms, int error, const char *words)
{
	struct s3_provider *provider = open_provider(timeout_ms);
	const struct s3_creds *creds;
	struct s3_fault fault;

	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), error);
	if (words[strlen(words) - 1] == ' ')
		assert_int_equal(strncmp(fault.text, words, strlen(words)), 0);
	else
		assert_string_equal(fault.text, words);
	s3_creds_close(provider);
}

static void check_success(const char *access, const char *secret, const char *token, int64_t expiry)
{
	struct s3_provider *provider = open_provider(0);
	const struct s3_creds *creds;
	struct s3_fault fault;

	if (get(provider, S3_CREDS_WAIT, &creds, &fault))
		fail_msg("%s", fault.text);
	assert_string_equal(creds->access_key, access);
	assert_string_equal(creds->secret_key, secret);
	if (token)
		assert_string_equal(creds->token, token);
	else
		assert_null(creds->token);
	assert_int_equal(creds->expiry, expiry);
	s3_creds_put(creds);
	s3_creds_close(provider);
}

static void use_web_identity(void)
{
	set_env("AWS_WEB_IDENTITY_TOKEN_FILE", put_file("token", MARK "jwt+/=\n"));
	set_env("AWS_ROLE_ARN", "arn:aws:iam::1:role/a b");
	set_env("AWS_ROLE_SESSION_NAME", "me");
	set_url("AWS_ENDPOINT_URL_STS", "/");
}

static void web_identity(void **state)
{
	(void)state;
	use_web_identity();
	creds_server_answer(server, "POST / ", XML("1", IN_AN_HOUR));
	check_success("AK1", MARK "1", MARK "token+1", 1800003600);
	assert_int_equal(creds_server_count(server,
					    "\r\n\r\nAction=AssumeRoleWithWebIdentity&Version=2011-06-15&"
					    "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b&RoleSessionName=me&"
					    "WebIdentityToken=" MARK "jwt%2B%2F%3D"), 1);
	assert_int_equal(creds_server_count(server, "Content-Type: application/x-www-form-urlencoded\r\n"), 1);

	creds_server_answer(server, "POST / ",
			    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<ErrorResponse><Error>"
			    "<Type>Sender</Type><Code>ExpiredTokenException</Code><Message>" MARK
			    "</Message></Error></ErrorResponse>");
	check_failure(0, -EACCES, "the token service answered 400 (ExpiredTokenException)");
	/* A code that does not look like one is not shown. */
	creds_server_answer(server, "POST / ",
			    "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n<ErrorResponse><Error>"
			    "<Code>" MARK " 1</Code></Error></ErrorResponse>");
	check_failure(0, -EACCES, "the token service answered 403 (no reason)");
	creds_server_answer(server, "POST / ", OK MARK);
	check_failure(0, -EPROTO, "the token service answered what is no XML of its kind");
	creds_server_answer(server, "POST / ", OK "<!DOCTYPE a [<!ENTITY b \"" MARK "\">]><a>&b;</a>");
	check_failure(0, -EPROTO, "the token service answered what is no XML of its kind");
	creds_server_answer(server, "POST / ", OK "<a><AccessKeyId>A</AccessKeyId><AccessKeyId>B</AccessKeyId></a>");
	check_failure(0, -EPROTO, "the token service answered what is no XML of its kind");
	creds_server_answer(server, "POST / ", OK "<a><AccessKeyId><b/></AccessKeyId></a>");
	check_failure(0, -EPROTO, "the token service answered what is no XML of its kind");
	creds_server_answer(server, "POST / ", OK "<a/>");
	check_failure(0, -EPROTO, "the token service answered without credentials (no reason)");
	creds_server_answer(server, "POST / ", XML("1", "tomorrow"));
	check_failure(0, -EPROTO, "the token service answered without credentials (no reason)");
	creds_server_answer(server, "POST / ", XML("1", "2027-01-15T08:00:00Z"));
	check_failure(0, -EPROTO, "the token service gave out credentials that have expired: is the clock right?");
	creds_server_answer(server, "POST / ", XML(" 1", IN_AN_HOUR));
	check_failure(0, -EPROTO,
		      "the token service: the access key is empty, or has a space or a control byte in it (web identity of the environment)");
}

/* The file with the token, which is read at every fetch. */
static void token_files(void **state)
{
	static const char *const bad[] = { "", "\n", MARK " x", MARK "\r\nx" };
	const struct s3_creds *creds;
	struct s3_provider *provider;
	struct s3_fault fault;
	char *big;
	size_t i;

	(void)state;
	use_web_identity();
	creds_server_answer(server, "POST / ", XML("1", IN_AN_HOUR));
	for (i = 0; i < COUNT(bad); i++) {
		put_file("token", bad[i]);
		provider = open_provider(0);
		assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), -EINVAL);
		assert_non_null(strstr(fault.text, "/token holds no token"));
		s3_creds_close(provider);
	}
	big = malloc(20002);
	memset(big, 'a', 20001);
	big[20001] = '\0';
	put_file("token", big);
	provider = open_provider(0);
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), -EFBIG);
	big[20000] = '\0';
	put_file("token", big);
	/* It is tried again, and the file of now is sent. */
	world.now += 60;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	assert_int_equal(creds_server_count(server, big), 1);
	s3_creds_put(creds);
	s3_creds_close(provider);
	free(big);
	/* A profile can name it too. */
	set_env("AWS_WEB_IDENTITY_TOKEN_FILE", "");
	set_env("AWS_ROLE_ARN", "");
	put_file("token", MARK "other");
	{
		char text[256];

		snprintf(text, sizeof(text), "[default]\nrole_arn = r2\nweb_identity_token_file = %s/token\n", world.dir);
		set_env("AWS_CONFIG_FILE", put_file("config", text));
	}
	check_success("AK1", MARK "1", MARK "token+1", 1800003600);
	assert_int_equal(creds_server_count(server, "&RoleArn=r2&RoleSessionName=nexusfs&WebIdentityToken=" MARK "other"), 1);
}

static void container(void **state)
{
	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/creds?x=y");
	creds_server_answer(server, "GET /creds?x=y ", JSON("1", "2027-01-15T09:00:00.123Z"));
	check_success("AK1", MARK "1", MARK "token1", 1800003600);
	assert_int_equal(creds_server_count(server, "Authorization:"), 0);

	set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", MARK "auth");
	check_success("AK1", MARK "1", MARK "token1", 1800003600);
	assert_int_equal(creds_server_count(server, "Authorization: " MARK "auth\r\n"), 1);
	/* The file goes before it. */
	set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", put_file("token", MARK "file\n"));
	check_success("AK1", MARK "1", MARK "token1", 1800003600);
	assert_int_equal(creds_server_count(server, "Authorization: " MARK "file\r\n"), 1);
	set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "");
	set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", MARK "\r\nX-A: b");
	check_failure(0, -EINVAL, "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line end in it");
	set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "");

	/* Neither token nor expiry has to be there. */
	creds_server_answer(server, "GET /creds?x=y ", OK "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"" MARK "\"}");
	check_success("AK", MARK, NULL, INT64_MAX);
	creds_server_answer(server, "GET /creds?x=y ", "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" MARK);
	check_failure(0, -ENOENT, "the container agent answered 404 (no reason)");
	/* Not followed: it could lead anywhere. */
	creds_server_answer(server, "GET /creds?x=y ",
			    "HTTP/1.1 302 Found\r\nLocation: /creds\r\nConnection: close\r\n\r\n");
	check_failure(0, -EPROTO, "the container agent answered 302 (no reason)");
	assert_int_equal(creds_server_count(server, "GET /creds "), 0);
	creds_server_answer(server, "GET /creds?x=y ", OK "[1, \"" MARK "\"]");
	check_failure(0, -EPROTO, "the container agent answered what is no JSON object");
	creds_server_answer(server, "GET /creds?x=y ", OK "{\"AccessKeyId\":\"" MARK);
	check_failure(0, -EPROTO, "the container agent answered what is no JSON object");
	creds_server_answer(server, "GET /creds?x=y ", OK "{\"AccessKeyId\":1,\"SecretAccessKey\":[\"" MARK "\"]}");
	check_failure(0, -EPROTO, "the container agent answered without credentials (no reason)");
	creds_server_answer(server, "GET /creds?x=y ", OK "{\"AccessKeyId\":\"A\",\"AccessKeyId\":\"B\"}");
	check_failure(0, -EPROTO, "the container agent answered what is no JSON object");
	creds_server_answer(server, "GET /creds?x=y ", OK "{\"AccessKeyId\":\"A\\u0000\",\"SecretAccessKey\":\"" MARK "\"}");
	check_failure(0, -EPROTO, "the container agent answered what is no JSON object");
	creds_server_answer(server, "GET /creds?x=y ", OK);
	check_failure(0, -EPROTO, "the container agent answered what is no JSON object");
}

static void instance(void **state)
{
	(void)state;
	set_env("AWS_EC2_METADATA_DISABLED", "false");
	set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
	/* Version 1 answers nobody, and is not asked. */
	check_failure(0, -ENOENT, "the instance metadata's token answered 404 (there is none)");
	assert_int_equal(creds_server_count(server, "GET "), 0);
	assert_int_equal(creds_server_count(server, "PUT /latest/api/token "), 1);
	assert_int_equal(creds_server_count(server, "\r\nX-aws-ec2-metadata-token-ttl-seconds: 300\r\n"), 1);

	creds_server_answer(server, "PUT /latest/api/token ", OK MARK "imds==");
	check_failure(0, -ENOENT, "the instance metadata's role answered 404 (there is none)");
	creds_server_answer(server, "GET " ROLE_PATH " ", OK "role-1\nrole-2\n");
	creds_server_answer(server, "GET " ROLE_PATH "role-1 ", JSON("1", IN_AN_HOUR));
	check_success("AK1", MARK "1", MARK "token1", 1800003600);
	/* Role, and the role's: each with the token. */
	assert_int_equal(creds_server_count(server, "\r\nX-aws-ec2-metadata-token: " MARK "imds==\r\n"), 3);

	/* The instance has always an expiry, and a code of its own in a good answer. */
	creds_server_answer(server, "GET " ROLE_PATH "role-1 ",
			    OK "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"" MARK "\"}");
	check_failure(0, -EPROTO, "the instance metadata answered without credentials (AssumeRoleUnauthorizedAccess)");
	creds_server_answer(server, "GET " ROLE_PATH "role-1 ",
			    OK "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"" MARK "\"}");
	check_failure(0, -EPROTO, "the instance metadata answered without credentials (no reason)");
	/* A role's name that would be another path. */
	creds_server_answer(server, "GET " ROLE_PATH " ", OK "<html>" MARK "</html>");
	check_failure(0, -EPROTO, "the instance metadata's role answered no name or token");
	creds_server_answer(server, "PUT /latest/api/token ", "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n");
	check_failure(0, -EACCES, "the instance metadata's token answered 403 (no reason)");
	creds_server_answer(server, "PUT /latest/api/token ", OK);
	check_failure(0, -EPROTO, "the instance metadata's token answered no name or token");
}

/* Servers that are none, or not well. */
static void broken_servers(void **state)
{
	static char huge[80000], nested[sizeof(OK) + 65536];
	char closed[64];

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	creds_server_answer(server, "GET / ", NULL);
	check_failure(50, -ETIMEDOUT, "the container agent did not answer in time");
	assert_int_equal(creds_server_count(server, "GET / "), 2);
	creds_server_answer(server, "GET / ", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
	check_failure(0, -EIO, "the container agent: ");
	creds_server_answer(server, "GET / ", "");
	check_failure(0, -EIO, "the container agent: ");
	creds_server_answer(server, "GET / ", MARK "\n\n\x01");
	check_failure(0, -EPROTO, "the container agent: ");
	strcpy(huge, OK);
	memset(huge + strlen(OK), '[', sizeof(huge) - strlen(OK) - 1);
	creds_server_answer(server, "GET / ", huge);
	check_failure(0, -EPROTO, "the container agent answered with more than 65536 bytes");
	/* Within the limit, but nested: memory for it is bounded too. */
	memcpy(nested, huge, sizeof(nested) - 1);
	creds_server_answer(server, "GET / ", nested);
	check_failure(0, -EPROTO, "the container agent answered what is no JSON object");
	creds_server_answer(server, "GET / ", "HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n" MARK);
	check_failure(0, -EIO, "the container agent answered 500 (no reason)");
	/* Nobody listens there. */
	{
		struct creds_server *gone = creds_server_start();

		snprintf(closed, sizeof(closed), "http://127.0.0.1:%d/", creds_server_port(gone));
		creds_server_stop(gone);
	}
	set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", closed);
	check_failure(0, -EIO, "the container agent: ");
}

/* Waits until @n fetches have ended. */
static void wait_fetches(unsigned int n)
{
	pthread_mutex_lock(&world.lock);
	while (world.fetches < n)
		pthread_cond_wait(&world.changed, &world.lock);
	pthread_mutex_unlock(&world.lock);
}

static unsigned int errors(void)
{
	unsigned int n;

	pthread_mutex_lock(&world.lock);
	n = world.errors;
	pthread_mutex_unlock(&world.lock);
	return n;
}

static void refreshed(void **state)
{
	const struct s3_creds *first, *creds;
	struct s3_provider *provider;
	struct s3_fault fault;

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	creds_server_answer(server, "GET / ", JSON("1", IN_AN_HOUR));
	provider = open_provider(0);
	/* Nothing is fetched for nobody. */
	assert_int_equal(creds_server_count(server, "GET "), 0);
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &first, &fault), -EAGAIN);
	wait_fetches(1);
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &first, &fault), 0);
	assert_string_equal(first->access_key, "AK1");

	/* Five minutes before the expiry, and not a second earlier. */
	creds_server_answer(server, "GET / ", JSON("2", "2027-01-15T10:00:00Z"));
	world.now = 1800003600 - 301;
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	assert_int_equal(creds_server_count(server, "GET "), 1);
	world.now += 1;
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), 0);
	/* The old ones meanwhile, or the new ones already. */
	s3_creds_put(creds);
	wait_fetches(2);
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), 0);
	assert_string_equal(creds->access_key, "AK2");
	/* Whoever has the old ones, has them. */
	assert_string_equal(first->secret_key, MARK "1");
	s3_creds_put(first);
	s3_creds_put(creds);

	/* It fails: what there is lasts until its expiry, tries are some time apart. */
	creds_server_answer(server, "GET / ", "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n");
	world.now = 1800007200 - 300;
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	wait_fetches(3);
	assert_int_equal(errors(), 1);
	assert_non_null(strstr(world.log, "answered 403 (no reason); those there are expire in 300 s\n"));
	world.now += 4;
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	assert_int_equal(creds_server_count(server, "GET "), 3);
	world.now += 4;
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	wait_fetches(4);
	/* Said once. */
	assert_int_equal(errors(), 1);
	world.now = 1800007200 - 1;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	assert_string_equal(creds->access_key, "AK2");
	s3_creds_put(creds);
	wait_fetches(5);
	/* The second of the expiry is one too late; soon after a failure it says so at once. */
	world.now = 1800007200;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), -EACCES);
	assert_string_equal(fault.text, "the container agent answered 403 (no reason)");
	assert_int_equal(creds_server_count(server, "GET "), 5);
	/* And when the next is due, it is made. */
	creds_server_answer(server, "GET / ", JSON("3", "2027-01-15T11:00:00Z"));
	world.now += 90;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	assert_string_equal(creds->access_key, "AK3");
	s3_creds_put(creds);
	wait_fetches(6);
	assert_non_null(strstr(world.log, "there are new ones from the container agent\n"));
	s3_creds_close(provider);
}

/* A life of a minute is refreshed in its last quarter. */
static void short_lived(void **state)
{
	const struct s3_creds *creds;
	struct s3_provider *provider;
	struct s3_fault fault;

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	creds_server_answer(server, "GET / ", JSON("1", "2027-01-15T08:01:00Z"));
	provider = open_provider(0);
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	world.now += 44;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	assert_int_equal(creds_server_count(server, "GET "), 1);
	world.now += 1;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	s3_creds_put(creds);
	creds_server_wait(server, "GET ", 2);
	s3_creds_close(provider);
}

static void refused(void **state)
{
	const struct s3_creds *first, *second, *creds;
	struct s3_provider *provider;
	struct s3_fault fault;

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	creds_server_answer(server, "GET / ", JSON("1", IN_AN_HOUR));
	provider = open_provider(0);
	assert_int_equal(get(provider, S3_CREDS_WAIT, &first, &fault), 0);
	creds_server_answer(server, "GET / ", JSON("2", IN_AN_HOUR));
	assert_true(s3_creds_refused(provider, first));
	/* A second one who had them does not ask for another fetch. */
	assert_true(s3_creds_refused(provider, first));
	assert_int_equal(get(provider, S3_CREDS_WAIT, &second, &fault), 0);
	assert_string_equal(second->access_key, "AK2");
	assert_true(s3_creds_refused(provider, first));
	assert_int_equal(creds_server_count(server, "GET "), 2);
	/* New ones that are refused at once: no use in asking all the time. */
	assert_false(s3_creds_refused(provider, second));
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	assert_ptr_equal(creds, second);
	s3_creds_put(creds);
	world.now += 10;
	creds_server_answer(server, "GET / ", "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n");
	assert_true(s3_creds_refused(provider, second));
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), -EACCES);
	assert_int_equal(creds_server_count(server, "GET "), 3);
	creds_server_answer(server, "GET / ", JSON("3", IN_AN_HOUR));
	world.now += 10;
	assert_int_equal(get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	assert_string_equal(creds->access_key, "AK3");
	s3_creds_put(creds);
	s3_creds_put(second);
	s3_creds_close(provider);
	assert_string_equal(first->access_key, "AK1");
	s3_creds_put(first);
}

/* A close does not wait for a server that hangs, whatever the time it is given. */
static void closed_while_asking(void **state)
{
	struct s3_provider *provider;
	const struct s3_creds *creds;
	struct s3_fault fault;

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	creds_server_answer(server, "GET / ", NULL);
	provider = open_provider(3600 * 1000);
	assert_int_equal(get(provider, S3_CREDS_NOWAIT, &creds, &fault), -EAGAIN);
	creds_server_wait(server, "GET / ", 1);
	s3_creds_close(provider);
	assert_int_equal(errors(), 0);
	/* Opened and closed, with nobody who asked. */
	s3_creds_close(open_provider(0));
}

static struct {
	struct s3_provider *provider;
	atomic_uint wrong;
	atomic_uint rounds;
} many;

static void *ask_often(void *arg)
{
	const struct s3_creds *creds;
	struct s3_fault fault;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		if (s3_creds_get(many.provider, arg ? S3_CREDS_WAIT : S3_CREDS_NOWAIT, &creds, &fault)) {
			many.wrong += !!arg;
			continue;
		}
		if (strncmp(creds->access_key, "AK", 2) ||
		    strcmp(creds->access_key + 2, creds->secret_key + strlen(MARK)))
			many.wrong++;
		if (i % 50 == 49)
			s3_creds_refused(many.provider, creds);
		/* Time passes: they expire under way. */
		world.now += 2;
		s3_creds_put(creds);
		many.rounds++;
	}
	return NULL;
}

static void threads(void **state)
{
	pthread_t thread[4];
	size_t i;

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	creds_server_answer(server, "GET / ", JSON("1", "2027-01-16T08:00:00Z"));
	many.provider = open_provider(0);
	for (i = 0; i < COUNT(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, ask_often, (void *)(i & 1)), 0);
	for (i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(many.wrong, 0);
	assert_true(many.rounds >= 600);
	s3_creds_close(many.provider);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(web_identity),
		TEST(token_files),
		TEST(container),
		TEST(instance),
		TEST(broken_servers),
		TEST(refreshed),
		TEST(short_lived),
		TEST(refused),
		TEST(closed_while_asking),
		TEST(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
