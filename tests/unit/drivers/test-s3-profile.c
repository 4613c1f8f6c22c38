// SPDX-License-Identifier: Apache-2.0
/* Where credentials are looked for, and in which order; the shared files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "creds-world.h"
#include "drivers/objectstore/s3/creds_impl.h"
#include "drivers/objectstore/s3/secret.h"

/* Opens, and says what came of it: "ERRNO words", or "SOURCE ACCESS SECRET TOKEN". */
static const char *try_profile(const char *profile)
{
	struct s3_creds_settings settings = world_settings;
	const struct s3_creds *creds = NULL;
	struct s3_provider *provider = NULL;
	struct s3_fault fault = { "" };
	static char line[1024];
	int ret;

	settings.profile = profile;
	ret = s3_creds_open(&settings, &provider, &fault);
	if (ret) {
		assert_null(provider);
		assert_null(strstr(fault.text, MARK));
		snprintf(line, sizeof(line), "%s %s", strerrorname_np(-ret), fault.text);
		return line;
	}
	assert_int_equal(s3_creds_get(provider, S3_CREDS_WAIT, &creds, &fault), 0);
	assert_int_equal(creds->expiry, INT64_MAX);
	snprintf(line, sizeof(line), "%s %s %s %s", creds->source, creds->access_key,
		 creds->secret_key, creds->token ? creds->token : "-");
	s3_creds_close(provider);
	s3_creds_put(creds);
	return line;
}

/* What is found first, without asking it: its kind. */
static int kind(struct creds_source *source)
{
	const struct s3_creds *creds;
	struct s3_fault fault;
	int ret = creds_find(&world_settings, source, &creds, &fault);

	s3_creds_put(creds);
	return ret ? ret : (int)source->kind;
}

/* Every place is set up; each is taken away in its turn. */
static void order(void **state)
{
	struct creds_source source;

	(void)state;
	set_env("AWS_ACCESS_KEY_ID", "AKENV");
	set_env("AWS_SECRET_ACCESS_KEY", MARK "env");
	set_env("AWS_SESSION_TOKEN", MARK "token");
	set_env("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token");
	set_env("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
	set_env("AWS_CONFIG_FILE", put_file("config", "[profile other]\nregion = x\n"));
	set_env("AWS_SHARED_CREDENTIALS_FILE",
		put_file("credentials",
			 "[default]\naws_access_key_id = AKDEF\naws_secret_access_key = " MARK "def\n"
			 "[other]\naws_access_key_id=AKOTHER\naws_secret_access_key=" MARK "other\n"));
	set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
	set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/y");
	set_env("AWS_EC2_METADATA_DISABLED", "false");

	assert_string_equal(try_profile("other"), "profile other AKOTHER " MARK "other -");
	assert_string_equal(try_profile(NULL), "environment AKENV " MARK "env " MARK "token");
	/* AWS_PROFILE does not go before keys in the environment. */
	set_env("AWS_PROFILE", "other");
	assert_string_equal(try_profile(NULL), "environment AKENV " MARK "env " MARK "token");

	set_env("AWS_ACCESS_KEY_ID", "");
	set_env("AWS_SECRET_ACCESS_KEY", "");
	assert_int_equal(kind(&source), SOURCE_WEB_IDENTITY);
	assert_string_equal(source.url, "https://sts.amazonaws.com/");
	assert_string_equal(source.role, "arn:aws:iam::1:role/r");
	assert_string_equal(source.session_name, "nexusfs");
	creds_source_free(&source);

	set_env("AWS_WEB_IDENTITY_TOKEN_FILE", "");
	assert_string_equal(try_profile(NULL), "profile other AKOTHER " MARK "other -");
	set_env("AWS_PROFILE", "");
	set_env("AWS_DEFAULT_PROFILE", "other");
	assert_string_equal(try_profile(NULL), "profile other AKOTHER " MARK "other -");
	set_env("AWS_DEFAULT_PROFILE", "");
	assert_string_equal(try_profile(NULL), "profile default AKDEF " MARK "def -");

	set_env("AWS_SHARED_CREDENTIALS_FILE", put_file("credentials", ""));
	assert_int_equal(kind(&source), SOURCE_CONTAINER);
	assert_string_equal(source.url, "http://169.254.170.2/v2/credentials/x");
	creds_source_free(&source);
	set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "");
	assert_int_equal(kind(&source), SOURCE_CONTAINER);
	assert_string_equal(source.url, "http://127.0.0.1:1/y");
	creds_source_free(&source);
	set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
	assert_int_equal(kind(&source), SOURCE_INSTANCE);
	assert_string_equal(source.url, "http://169.254.169.254");
	assert_int_equal(source.timeout_ms, 1000);
	creds_source_free(&source);
	set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
	assert_int_equal(kind(&source), SOURCE_INSTANCE);
	assert_string_equal(source.url, "http://[fd00:ec2::254]");
	creds_source_free(&source);
	set_env("AWS_EC2_METADATA_DISABLED", "TRUE");
	assert_int_equal(kind(&source), -ENOENT);
	creds_source_free(&source);
}

/* A place that is set up wrongly is not passed over. */
static void set_up_wrongly(void **state)
{
	static const struct { const char *name, *value, *want; } cases[] = {
		{ "AWS_ACCESS_KEY_ID", "AK",
		  "EINVAL AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not" },
		{ "AWS_SECRET_ACCESS_KEY", MARK,
		  "EINVAL AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not" },
		{ "AWS_WEB_IDENTITY_TOKEN_FILE", "/x",
		  "EINVAL the environment: a web identity token without a role" },
		{ "AWS_PROFILE", "none", NULL },
		{ "AWS_CONFIG_FILE", "/nonexistent/config",
		  "ENOENT config file /nonexistent/config: No such file or directory" },
		{ "AWS_SHARED_CREDENTIALS_FILE", "/dev/zero",
		  "EINVAL credentials file /dev/zero is no regular file" },
		{ "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "x",
		  "EINVAL AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x",
		  "EINVAL AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine" },
		{ "AWS_EC2_METADATA_DISABLED", "true",
		  "ENOENT no S3 credentials: not in the environment, not in the shared files, no container, and the instance metadata is disabled" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		world.n_env = 0;
		set_env("AWS_EC2_METADATA_DISABLED", "true");
		set_env("HOME", world.dir);
		set_env(cases[i].name, cases[i].value);
		if (cases[i].want)
			assert_string_equal(try_profile(NULL), cases[i].want);
		else
			assert_non_null(strstr(try_profile(NULL), "EINVAL there is no profile none in "));
	}
	world.n_env = 0;
	set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5");
	assert_non_null(strstr(try_profile(NULL), "is neither IPv4 nor IPv6"));
	set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv4");
	set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ftp://x");
	assert_non_null(strstr(try_profile(NULL), "is no http address"));
	/* A key with a line end would end a header. */
	set_env("AWS_ACCESS_KEY_ID", "AK\n");
	set_env("AWS_SECRET_ACCESS_KEY", MARK);
	assert_string_equal(try_profile(NULL),
			    "EINVAL the access key is empty, or has a space or a control byte in it (environment)");
	set_env("AWS_ACCESS_KEY_ID", "AK");
	set_env("AWS_SECRET_ACCESS_KEY", MARK " x");
	assert_non_null(strstr(try_profile(NULL), "EINVAL the secret key "));
	assert_string_equal(try_profile("none"),
			    "EINVAL there is no profile none in a config file or a credentials file");
}

static void regions(void **state)
{
	static const struct { const char *region, *url; } cases[] = {
		{ "eu-central-1", "https://sts.eu-central-1.amazonaws.com/" },
		{ "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/" },
		{ "evil.example/", NULL },
		{ "Eu", NULL },
	};
	struct s3_creds_settings settings = world_settings;
	struct creds_source source;
	const struct s3_creds *creds;
	struct s3_fault fault;
	size_t i;

	(void)state;
	set_env("AWS_WEB_IDENTITY_TOKEN_FILE", "/x");
	set_env("AWS_ROLE_ARN", "r");
	for (i = 0; i < COUNT(cases); i++) {
		set_env("AWS_DEFAULT_REGION", cases[i].region);
		assert_int_equal(creds_find(&settings, &source, &creds, &fault),
				 cases[i].url ? 0 : -EINVAL);
		if (cases[i].url)
			assert_string_equal(source.url, cases[i].url);
		creds_source_free(&source);
	}
	set_env("AWS_REGION", "us-west-2");
	assert_int_equal(creds_find(&settings, &source, &creds, &fault), 0);
	assert_string_equal(source.url, "https://sts.us-west-2.amazonaws.com/");
	creds_source_free(&source);
	settings.region = "us-east-2";
	assert_int_equal(creds_find(&settings, &source, &creds, &fault), 0);
	assert_string_equal(source.url, "https://sts.us-east-2.amazonaws.com/");
	creds_source_free(&source);
	set_env("AWS_ENDPOINT_URL_STS", "http://sts.example/");
	assert_int_equal(creds_find(&settings, &source, &creds, &fault), -EINVAL);
	creds_source_free(&source);
}

static void addresses(void **state)
{
	static const struct { const char *url; bool allowed; } cases[] = {
		{ "https://example.com/", true },
		{ "http://localhost:80/", true },
		{ "http://127.0.0.1/", true },
		{ "http://127.9.9.9:1234/x", true },
		{ "http://[::1]:80/", true },
		{ "http://169.254.170.2/x", true },
		{ "http://169.254.170.23/v1/credentials", true },
		{ "http://[fd00:ec2::23]/v1/credentials", true },
		{ "http://169.254.169.254/", false },
		{ "http://169.254.170.21/", false },
		{ "http://10.0.0.1/", false },
		{ "http://[::2]/", false },
		{ "http://127.0.0.1.example.com/", false },
		{ "http://localhost.example.com/", false },
		{ "http://127.0.0.1@example.com/", false },
		{ "http://example.com/#@127.0.0.1/", false },
		{ "ftp://127.0.0.1/", false },
		{ "file:///etc/passwd", false },
		{ "127.0.0.1", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		print_message("%s\n", cases[i].url);
		assert_int_equal(creds_url_allowed(cases[i].url), cases[i].allowed);
	}
}

/* What the files may look like. */
static void files(void **state)
{
	static const struct { const char *config, *credentials, *profile, *want; } cases[] = {
		/* Comments, spaces, line ends of others, a byte order mark. */
		{ "", "\xef\xbb\xbf# c\r\n; d\r\n\r\n[ p ] # e\r\n\taws_access_key_id = AK\r\n"
		      "aws_secret_access_key = " MARK "\r\n", "p", "EINVAL F:5: an indented line that belongs to nothing" },
		{ "", "# c\r\n; d\r\n\r\n[ p ] # e\r\naws_access_key_id = AK # f\r\n"
		      "aws_secret_access_key\t=\t" MARK "#;=+/ ; g\r\n", "p", "profile p AK " MARK "#;=+/ -" },
		/* No line end at the end. */
		{ "", "[p]\naws_access_key_id=AK\naws_secret_access_key=" MARK, "p", "profile p AK " MARK " -" },
		/* Names of properties in any case, names of sections not. */
		{ "", "[p]\nAWS_ACCESS_KEY_ID=AK\nAws_Secret_Access_Key=" MARK "\naws_session_token=" MARK "t",
		  "p", "profile p AK " MARK " " MARK "t" },
		{ "", "[P]\naws_access_key_id=AK\naws_secret_access_key=" MARK, "p", "EINVAL there is no profile p in C or F" },
		/* Only in the config file, which says "profile". */
		{ "[profile p]\naws_access_key_id=AK\naws_secret_access_key=" MARK, "", "p", "profile p AK " MARK " -" },
		{ "[p]\naws_access_key_id=AK\naws_secret_access_key=" MARK, "", "p", "EINVAL there is no profile p in C or F" },
		{ "[default]\naws_access_key_id=AK\naws_secret_access_key=" MARK, "", "default", "profile default AK " MARK " -" },
		{ "[sso-session default]\nx=y\n[services p]\ns3 =\n  endpoint_url = z\n[profile p]\ns3 =\n  max = 3\n\n  b = 4\n"
		  "aws_access_key_id=AK\naws_secret_access_key=" MARK, "", "p", "profile p AK " MARK " -" },
		/* The credentials file's are used, all of them. */
		{ "[profile p]\naws_access_key_id=AK1\naws_secret_access_key=" MARK "1\naws_session_token=" MARK "t\n",
		  "[p]\naws_access_key_id=AK2\naws_secret_access_key=" MARK "2\n", "p", "profile p AK2 " MARK "2 -" },
		{ "[profile p]\naws_secret_access_key=" MARK "1\n", "[p]\naws_access_key_id=AK2\n", "p",
		  "EINVAL F: profile p has no aws_secret_access_key" },
		{ "[profile p]\naws_secret_access_key=" MARK "1\n", "", "p", "EINVAL C: profile p has no aws_access_key_id" },
		{ "", "[p]\naws_session_token=" MARK, "p", "EINVAL F: profile p has no aws_access_key_id" },
		/* A section again, a property again: the last. */
		{ "", "[p]\naws_access_key_id=AK1\naws_secret_access_key=" MARK "\n[q]\n[p]\naws_access_key_id=AK2\n",
		  "p", "profile p AK2 " MARK " -" },
		/* Another profile's are not ours. */
		{ "", "[p]\naws_access_key_id=AK1\n[q]\naws_secret_access_key=" MARK "\n", "p",
		  "EINVAL F: profile p has no aws_secret_access_key" },
		{ "[profile p]\nregion=x\n", "", "p", "EINVAL profile p has no credentials" },
		/* What is wrong, and where; never the text, which may be a key. */
		{ "", "x=" MARK "\n", "p", "EINVAL F:1: a line before the first [section]" },
		{ "", "[p]\n\n" MARK "\n", "p", "EINVAL F:3: neither \"[section]\" nor \"name = value\"" },
		{ "", "[p\n", "p", "EINVAL F:1: a section without its ']'" },
		{ "", "[ ]\n", "p", "EINVAL F:1: a section without a name" },
		{ "", "[p] x\n", "p", "EINVAL F:1: something follows the ']' of a section" },
		{ "", "[p]\n= " MARK "\n", "p", "EINVAL F:2: a value without a name" },
		{ "", "[p]\naws_access_key_id = AK\naws_secret_access_key = " MARK "\n  " MARK "\n", "p",
		  "EINVAL F:4: the line above goes on here, which its value may not" },
		{ "", "[p]\naws_access_key_id = A K\naws_secret_access_key = " MARK "\n", "p",
		  "EINVAL F:2: the access key is empty, or has a space or a control byte in it (profile p)" },
		{ "", "[p]\naws_access_key_id = # x\naws_secret_access_key = " MARK "\n", "p",
		  "EINVAL F: profile p has no aws_access_key_id" },
		/* What is not supported says so. */
		{ "[profile p]\nrole_arn=r\nsource_profile=q\n", "", "p", "EOPNOTSUPP C:3: source_profile is not supported" },
		{ "[profile p]\nrole_arn=r\ncredential_source=Environment\n", "", "p", "EOPNOTSUPP C:3: credential_source is not supported" },
		{ "[profile p]\ncredential_process=/bin/x\n", "", "p", "EOPNOTSUPP C:2: credential_process is not supported" },
		{ "[profile p]\nsso_session=x\n", "", "p", "EOPNOTSUPP C:2: sso_session is not supported" },
		{ "[profile p]\nsso_start_url=x\n", "", "p", "EOPNOTSUPP C:2: sso_start_url is not supported" },
		{ "[profile p]\nweb_identity_token_file=/x\n", "", "p", "EINVAL C:2: a web identity token without a role" },
	};
	char config[128], credentials[128], want[512], *out;
	const char *in;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		strcpy(config, put_file("config", cases[i].config));
		strcpy(credentials, put_file("credentials", cases[i].credentials));
		set_env("AWS_CONFIG_FILE", config);
		set_env("AWS_SHARED_CREDENTIALS_FILE", credentials);
		/* C and F, as words, stand for the paths. */
		for (in = cases[i].want, out = want; *in; in++) {
			if ((*in == 'C' || *in == 'F') && in[-1] == ' ' && (in[1] == ':' || in[1] == ' ' || !in[1]))
				out = stpcpy(out, *in == 'C' ? config : credentials);
			else
				*out++ = *in;
		}
		*out = '\0';
		assert_string_equal(try_profile(cases[i].profile), want);
	}
}

static void odd_files(void **state)
{
	static char big[300000];
	char path[128];
	FILE *file;

	(void)state;
	set_env("HOME", world.dir);
	/* In the home directory, where neither needs to be. */
	assert_non_null(strstr(try_profile("p"), "EINVAL there is no profile p in "));
	snprintf(path, sizeof(path), "%s/.aws", world.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file(".aws/credentials", "[p]\naws_access_key_id=AK\naws_secret_access_key=" MARK "\n");
	assert_string_equal(try_profile("p"), "profile p AK " MARK " -");
	assert_int_equal(world.errors, 0);
	/* Others may read it: it is said. */
	snprintf(path, sizeof(path), "%s/.aws/credentials", world.dir);
	assert_int_equal(chmod(path, 0644), 0);
	assert_string_equal(try_profile("p"), "profile p AK " MARK " -");
	assert_int_equal(world.errors, 1);
	/* A line of any length; a file of more than 256 KiB. */
	memset(big, 'a', sizeof(big) - 1);
	memcpy(big, "[p]\na=", 6);
	big[200000] = '\0';
	put_file(".aws/credentials", big);
	assert_string_equal(try_profile("p"), "EINVAL profile p has no credentials");
	big[200000] = 'a';
	put_file(".aws/credentials", big);
	assert_non_null(strstr(try_profile("p"), " has more than 262144 bytes"));
	/* A NUL. */
	file = fopen(path, "w");
	fwrite("[p]\n\0x=y\n", 1, 9, file);
	fclose(file);
	assert_non_null(strstr(try_profile("p"), " has a NUL byte in it"));
	/* A FIFO is not waited for. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_non_null(strstr(try_profile("p"), " is no regular file"));
}

/* Keys of a file have no expiry; when they are refused, the file is read again. */
static void rotated(void **state)
{
	struct s3_creds_settings settings = world_settings;
	const struct s3_creds *first, *second;
	struct s3_provider *provider;
	struct s3_fault fault;

	(void)state;
	set_env("HOME", world.dir);
	set_env("AWS_SHARED_CREDENTIALS_FILE",
		put_file("credentials", "[default]\naws_access_key_id=AK1\naws_secret_access_key=" MARK "1\n"));
	assert_int_equal(s3_creds_open(&settings, &provider, &fault), 0);
	assert_int_equal(s3_creds_get(provider, S3_CREDS_NOWAIT, &first, &fault), 0);
	assert_false(s3_creds_refused(provider, first));
	/* Others now, but they were read a moment ago. */
	put_file("credentials", "[default]\naws_access_key_id=AK1\naws_secret_access_key=" MARK "2\n");
	world.now += 9;
	assert_false(s3_creds_refused(provider, first));
	world.now += 1;
	assert_true(s3_creds_refused(provider, first));
	assert_int_equal(s3_creds_get(provider, S3_CREDS_NOWAIT, &second, &fault), 0);
	assert_string_equal(second->secret_key, MARK "2");
	assert_string_equal(first->secret_key, MARK "1");
	assert_int_not_equal(first->serial, second->serial);
	/* The old ones are refused once more: there are newer ones already. */
	assert_true(s3_creds_refused(provider, first));
	s3_creds_put(first);
	/* Broken: those there are stay, and it is said. */
	put_file("credentials", "[default\n");
	world.now += 10;
	assert_false(s3_creds_refused(provider, second));
	assert_int_equal(world.errors, 1);
	assert_int_equal(s3_creds_get(provider, S3_CREDS_WAIT, &first, &fault), 0);
	assert_ptr_equal(first, second);
	s3_creds_put(first);
	s3_creds_put(second);
	s3_creds_close(provider);

	/* Nothing comes after keys of the environment. */
	set_env("AWS_ACCESS_KEY_ID", "AK");
	set_env("AWS_SECRET_ACCESS_KEY", MARK);
	assert_int_equal(s3_creds_open(&settings, &provider, &fault), 0);
	assert_int_equal(s3_creds_get(provider, S3_CREDS_WAIT, &first, &fault), 0);
	assert_false(s3_creds_refused(provider, first));
	s3_creds_put(first);
	s3_creds_close(provider);
	s3_creds_close(NULL);
	s3_creds_put(NULL);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(order),
		TEST(set_up_wrongly),
		TEST(regions),
		TEST(addresses),
		TEST(files),
		TEST(odd_files),
		TEST(rotated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
