// SPDX-License-Identifier: Apache-2.0
/*
 * Where secrets lie: in no memory of which a core dump would have a copy, while
 * credentials are there and after they have gone.
 *
 * The secrets are made by a rule and never in one piece in this program's own
 * memory: servers and files are the work of another process.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "creds-server.h"
#include "creds-world.h"
#include "drivers/objectstore/s3/secret.h"
#include "drivers/objectstore/s3/sigv4.h"

#define LENGTH	40
#define CHUNK	(1u << 20)

enum kind {
	JWT, STS_SECRET, STS_TOKEN, AGENT_AUTH, AGENT_SECRET, AGENT_TOKEN, IMDS_AUTH,
	IMDS_SECRET, IMDS_TOKEN, FILE_SECRET, FILE_TOKEN, ENV_SECRET, ENV_TOKEN, CONTROL,
	KINDS,
};

static char letter(unsigned int kind, unsigned int i)
{
	return (char)('a' + (i * i * 3 + i * (kind + 5) + kind * 11 + (i >> 2)) % 26);
}

static char *make(enum kind kind)
{
	char *secret = calloc(1, LENGTH + 1);
	unsigned int i;

	for (i = 0; i < LENGTH; i++)
		secret[i] = letter(kind, i);
	return secret;
}

static bool is_secret(const char *p, unsigned int kind)
{
	unsigned int i;

	for (i = 0; i < LENGTH && p[i] == letter(kind, i); i++)
		;
	return i == LENGTH;
}

/* ---- the other process ------------------------------------------------------------- */

static char *answer(const char *format, enum kind secret, enum kind token)
{
	char *text = NULL;

	if (asprintf(&text, format, make(secret), make(token)) < 0)
		abort();
	return text;
}

/* Writes the files into @dir, prints the port, and serves until nobody needs it. */
static int other_process(const char *dir)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	struct creds_server *server = creds_server_start();
	char *text;
	char c;

	strcpy(world.dir, dir);
	put_file("jwt", make(JWT));
	put_file("auth", make(AGENT_AUTH));
	put_file("credentials", answer("[default]\naws_access_key_id=AK\naws_secret_access_key=%s\n"
				       "aws_session_token=%s\n", FILE_SECRET, FILE_TOKEN));
	creds_server_answer(server, "POST / ",
			    answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<a><SecretAccessKey>%s"
				   "</SecretAccessKey><SessionToken>%s</SessionToken><AccessKeyId>AK</AccessKeyId>"
				   "<Expiration>2027-01-15T09:00:00Z</Expiration></a>", STS_SECRET, STS_TOKEN));
	creds_server_answer(server, "GET /agent ",
			    answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"SecretAccessKey\":\"%s\","
				   "\"Token\":\"%s\",\"AccessKeyId\":\"AK\"}", AGENT_SECRET, AGENT_TOKEN));
	if (asprintf(&text, "%s%s", head, make(IMDS_AUTH)) < 0)
		abort();
	creds_server_answer(server, "PUT /latest/api/token ", text);
	creds_server_answer(server, "GET /latest/meta-data/iam/security-credentials/ ",
			    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrole");
	creds_server_answer(server, "GET /latest/meta-data/iam/security-credentials/role ",
			    answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"SecretAccessKey\":\"%s\","
				   "\"Token\":\"%s\",\"AccessKeyId\":\"AK\",\"Expiration\":\"2027-01-15T09:00:00Z\"}",
				   IMDS_SECRET, IMDS_TOKEN));
	printf("%d\n", creds_server_port(server));
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	/* Not freed: it ends. */
	_exit(0);
}

static struct {
	pid_t pid;
	int in;		/* its end ends it */
	int port;
} other;

static int begin(void **state)
{
	int in[2], out[2];
	FILE *file;

	if (world_begin(state) || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return -1;
	other.pid = fork();
	if (!other.pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl("/proc/self/exe", "test-s3-secrets", "server", world.dir, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	other.in = in[1];
	file = fdopen(out[0], "r");
	if (fscanf(file, "%d", &other.port) != 1)
		return -1;
	fclose(file);
	return 0;
}

static int end(void **state)
{
	int status;

	close(other.in);
	waitpid(other.pid, &status, 0);
	return world_end(state) || status;
}

/* ---- this process's memory --------------------------------------------------------- */

struct mapping {
	unsigned long start, end, rss;
	char perms[5], flags[256], line[256];
};

static bool has_flag(const struct mapping *m, const char *flag)
{
	return strstr(m->flags, flag);
}

/* Calls @fn for every mapping there is. */
static void each_mapping(void (*fn)(const struct mapping *m, void *arg), void *arg)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	static struct mapping m;
	static char line[512], perms[5];
	unsigned long start, stop;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &stop, perms) == 3) {
			m.start = start;
			m.end = stop;
			strcpy(m.perms, perms);
			snprintf(m.line, sizeof(m.line), "%.250s", line);
		} else if (sscanf(line, "Rss: %lu", &m.rss) == 1) {
			continue;
		} else if (!strncmp(line, "VmFlags:", 8)) {
			snprintf(m.flags, sizeof(m.flags), "%.250s", line + 8);
			fn(&m, arg);
		}
	}
	fclose(file);
}

struct scan {
	int mem;
	char *buf;	/* locked: what was read is in no dump either */
	uint32_t begins[256];	/* bit N: the secret of kind N begins with that byte */
	unsigned int found;
	unsigned long bytes;
};

static void scan_mapping(const struct mapping *m, void *arg)
{
	struct scan *s = arg;
	unsigned long at;
	unsigned int kind;
	ssize_t n, i;
	size_t size;

	/* What nobody can write to came out of a file. */
	if (strncmp(m->perms, "rw", 2) || !m->rss || has_flag(m, " dd") || has_flag(m, " io"))
		return;
	for (at = m->start; at < m->end; at += CHUNK) {
		size = m->end - at < CHUNK + LENGTH ? m->end - at : CHUNK + LENGTH;
		n = pread(s->mem, s->buf, size, (off_t)at);
		for (i = 0; i + LENGTH <= n; i++) {
			const uint32_t begins = s->begins[(unsigned char)s->buf[i]];

			for (kind = 0; begins >> kind; kind++) {
				if (!(begins >> kind & 1) || !is_secret(s->buf + i, kind))
					continue;
				print_message("secret %u at %lx of %s", kind, at + (unsigned long)i, m->line);
				s->found++;
			}
		}
		if (n > 0)
			s->bytes += (unsigned long)n;
	}
}

/* How many secrets a core dump would have. */
static unsigned int exposed(void)
{
	struct scan s = { .mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC) };
	unsigned int kind;

	for (kind = 0; kind < KINDS; kind++)
		s.begins[(unsigned char)letter(kind, 0)] |= 1u << kind;
	s.buf = secret_alloc(CHUNK + LENGTH);
	assert_non_null(s.buf);
	each_mapping(scan_mapping, &s);
	print_message("%lu bytes looked at\n", s.bytes);
	assert_true(s.bytes > 100000);
	secret_free(s.buf);
	close(s.mem);
	return s.found;
}

struct where {
	unsigned long p;
	bool hidden;
};

static void find_mapping(const struct mapping *m, void *arg)
{
	struct where *w = arg;

	if (w->p >= m->start && w->p < m->end)
		w->hidden = has_flag(m, " dd") && has_flag(m, " lo") && has_flag(m, " wf");
}

/* Is the memory of @p locked, in no dump, and empty in a child? */
static bool hidden(const void *p)
{
	struct where w = { (unsigned long)(uintptr_t)p, false };

	each_mapping(find_mapping, &w);
	return w.hidden;
}

/* The scan finds what there is: else it would say nothing. */
static void control(void **state)
{
	char *secret;

	(void)state;
	assert_int_equal(exposed(), 0);
	secret = make(CONTROL);
	assert_true(exposed() >= 1);
	assert_false(hidden(secret));
	explicit_bzero(secret, LENGTH);
	free(secret);
	assert_int_equal(exposed(), 0);
}

/* Opens what the environment says, gets, signs with it, closes; looks in between. */
static void check_source(const struct s3_creds_settings *settings, enum kind secret, enum kind token)
{
	const struct sigv4_request request = {
		.method = "GET", .host = "h", .path = "/", .payload_hash = SIGV4_EMPTY, .time = 1,
	};
	const struct s3_creds *creds;
	struct s3_provider *provider;
	struct sigv4_signed out;
	struct sigv4 *signer;
	struct s3_fault fault;
	int status;
	pid_t pid;

	if (s3_creds_open(settings, &provider, &fault) ||
	    s3_creds_get(provider, S3_CREDS_WAIT, &creds, &fault))
		fail_msg("%s", fault.text);
	assert_true(is_secret(creds->secret_key, secret));
	assert_true(is_secret(creds->token, token));
	assert_true(hidden(creds->secret_key));
	assert_true(hidden(creds->token));
	assert_int_equal(exposed(), 0);

	assert_int_equal(sigv4_open("r", "s3", &signer), 0);
	assert_int_equal(sigv4_sign(signer, creds, &request, &out), 0);
	/* The token is to be sent: as long as these lines live, it is there. */
	assert_true(is_secret(out.lines[2] + strlen("x-amz-security-token: "), token));
	sigv4_signed_free(&out);
	assert_int_equal(exposed(), 0);
	sigv4_close(signer);

	pid = fork();
	if (!pid)
		_exit(*(volatile const char *)creds == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);

	s3_creds_close(provider);
	s3_creds_put(creds);
	assert_int_equal(exposed(), 0);
}

static void set_url(const char *name, const char *path)
{
	char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", other.port, path);
	set_env(name, url);
}

static void set_path(const char *name, const char *file)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", world.dir, file);
	set_env(name, path);
}

static void web_identity(void **state)
{
	(void)state;
	set_path("AWS_WEB_IDENTITY_TOKEN_FILE", "jwt");
	set_env("AWS_ROLE_ARN", "r");
	set_url("AWS_ENDPOINT_URL_STS", "/");
	check_source(&world_settings, STS_SECRET, STS_TOKEN);
}

static void container(void **state)
{
	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/agent");
	set_path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "auth");
	check_source(&world_settings, AGENT_SECRET, AGENT_TOKEN);
}

static void instance(void **state)
{
	(void)state;
	set_env("AWS_EC2_METADATA_DISABLED", "false");
	set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
	check_source(&world_settings, IMDS_SECRET, IMDS_TOKEN);
}

static void file(void **state)
{
	(void)state;
	set_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	check_source(&world_settings, FILE_SECRET, FILE_TOKEN);
}

/* Run anew, with secrets in its environment. */
static int with_environment(void)
{
	static char environment[16384];
	struct s3_creds_settings settings = { 0 };
	struct s3_fault fault;
	ssize_t n, i;
	unsigned int kind;
	int fd;

	assert_true(exposed() >= 2);
	assert_int_equal(s3_creds_global_init(&fault), 0);
	assert_int_equal(exposed(), 0);
	fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	n = read(fd, environment, sizeof(environment));
	close(fd);
	assert_true(n > LENGTH);
	for (i = 0; i + LENGTH <= n; i++) {
		for (kind = 0; kind < KINDS; kind++)
			assert_false(is_secret(environment + i, kind));
	}
	check_source(&settings, ENV_SECRET, ENV_TOKEN);
	/* A second provider finds them too, and doing it twice takes nothing away. */
	assert_int_equal(s3_creds_global_init(&fault), 0);
	check_source(&settings, ENV_SECRET, ENV_TOKEN);
	s3_creds_global_exit();
	assert_int_equal(exposed(), 0);
	return 0;
}

static void environment(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		setenv("AWS_ACCESS_KEY_ID", "AK", 1);
		setenv("AWS_SECRET_ACCESS_KEY", make(ENV_SECRET), 1);
		setenv("AWS_SESSION_TOKEN", make(ENV_TOKEN), 1);
		execl("/proc/self/exe", "test-s3-secrets", "environment", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Freed is gone; sizes around a page; none that is too large. */
static void memory(void **state)
{
	static const size_t sizes[] = { 0, 1, 4079, 4080, 4081, 4096, 65537 };
	size_t i, j;
	char *p;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++) {
		p = secret_alloc(sizes[i]);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (j = 0; j < sizes[i]; j++)
			assert_int_equal(p[j], 0);
		memset(p, 'x', sizes[i]);
		assert_true(hidden(p));
		secret_free(p);
		assert_false(hidden(p));
	}
	assert_null(secret_alloc(SIZE_MAX));
	assert_null(secret_alloc(SIZE_MAX / 4));
	secret_free(NULL);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory),
		cmocka_unit_test(control),
		TEST(web_identity),
		TEST(container),
		TEST(instance),
		TEST(file),
		cmocka_unit_test(environment),
	};

	if (argc == 3 && !strcmp(argv[1], "server"))
		return other_process(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "environment"))
		return with_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
