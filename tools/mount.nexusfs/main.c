// SPDX-License-Identifier: Apache-2.0
/*
 * mount.nexusfs SPEC DIR [-sfnv] [-o OPTIONS]: called by mount(8). Loads the
 * module, starts or finds the helper, mounts, and says in one line what went
 * wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount.h"

void complain(const char *fmt, ...)
{
	char line[2 * MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "mount.nexusfs: %s\n", line);
}

static int usage(void)
{
	fputs("usage: mount.nexusfs ZONE|SESSION:ZONE|s3://BUCKET/PREFIX DIRECTORY [-sfniv] [-N NAMESPACE] [-o OPTIONS]\n",
	      stderr);
	return EXIT_USAGE;
}

/*
 * mount(8) makes a path of every source that is also a file below its working
 * directory: zone "root", mounted from "/", arrives as "/root".  Takes it back:
 * what lies directly in our working directory was a bare name.
 */
static const char *bare_name(const char *spec)
{
	const char *base = strrchr(spec, '/') + 1;
	size_t len = base - spec - 1;
	char cwd[4096];

	if (!*base || !getcwd(cwd, sizeof(cwd)))
		return spec;
	if (!strcmp(cwd, "/"))
		cwd[0] = 0;
	return strlen(cwd) == len && !memcmp(cwd, spec, len) ? base : spec;
}

/* A zone's name or an address; the kernel looks at the rest. */
static int check_spec(const char *spec)
{
	const char *colon = strchr(spec, ':');

	if (!*spec || colon == spec || (colon && !colon[1])) {
		complain("\"%s\" names no zone; give ZONE or SESSION:ZONE",
			 spec);
		return EXIT_USAGE;
	}
	if (spec[0] == '/') {
		complain("%s is a path; nexusfs mounts a zone by its name, see: nexusctl zone list",
			 spec);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int check_dir(struct request *req)
{
	struct stat st;

	if (stat(req->dir, &st)) {
		req->error = errno;
		complain("mount point %s: %s", req->dir, strerror(errno));
		return EXIT_MOUNT;
	}
	if (!S_ISDIR(st.st_mode)) {
		req->error = ENOTDIR;
		complain("mount point %s is not a directory", req->dir);
		return EXIT_MOUNT;
	}
	return EXIT_OK;
}

/* Who asks looks for it in the table of mounts, which has the real names. */
static int check_real(struct request *req)
{
	char *real = realpath(req->dir, NULL);
	int ret = EXIT_OK;

	if (!real || strcmp(real, req->dir) != 0) {
		req->error = real ? ELOOP : errno;
		if (real)
			complain("mount point %s has a symbolic link in it: it is %s", req->dir, real);
		else
			complain("mount point %s: %s", req->dir, strerror(errno));
		ret = EXIT_MOUNT;
	}
	free(real);
	return ret;
}

/* Go into the mount namespace of a process, or of a file. */
static int enter_namespace(const char *name)
{
	char path[4096];
	int fd, ret = EXIT_OK;

	if (strspn(name, "0123456789") == strlen(name))
		snprintf(path, sizeof(path), "/proc/%s/ns/mnt", name);
	else
		snprintf(path, sizeof(path), "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS)) {
		complain("mount namespace %s: %s", name, strerror(errno));
		ret = EXIT_SYSTEM;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

int main(int argc, char **argv)
{
	struct request req = { .n_fs = 0 };
	const char *namespace = NULL;
	int c, ret = EXIT_OK;

	opterr = 0;	/* the usage line says it all */
	while (ret == EXIT_OK &&
	       (c = getopt(argc, argv, "sfnivN:t:o:")) >= 0) {
		switch (c) {
		case 's':
			req.sloppy = true;
			break;
		case 'f':
			req.fake = true;
			break;
		case 'n':	/* there is no mtab any more */
		case 't':	/* there is one type */
			break;
		case 'i':
			req.internal = true;
			break;
		case 'v':
			req.verbose = true;
			break;
		case 'N':
			namespace = optarg;
			break;
		case 'o':
			ret = options_parse(&req, optarg);
			break;
		default:
			return usage();
		}
	}
	if (ret != EXIT_OK)
		return ret;
	if (argc - optind != 2)
		return usage();
	req.spec = argv[optind];
	if (req.spec[0] == '/')
		req.spec = bare_name(req.spec);
	req.dir = argv[optind + 1];

	ret = check_spec(req.spec);
	if (ret == EXIT_OK && !namespace)
		ret = check_dir(&req);
	if (ret == EXIT_OK && req.internal)
		ret = check_real(&req);
	if (ret == EXIT_OK && req.fake)
		return ret;
	if (ret == EXIT_OK && !req.remount && !req.internal)
		ret = module_load();
	if (ret == EXIT_OK && !req.remount && !req.mem && !req.internal)
		ret = helper_start(&req);
	if (ret == EXIT_OK && namespace)
		ret = enter_namespace(namespace);
	if (ret == EXIT_OK)
		ret = kernel_mount(&req);
	if (ret == EXIT_OK && req.verbose)
		printf("mount.nexusfs: %s %smounted on %s\n", req.spec,
		       req.remount ? "re" : "", req.dir);
	/* For programs: the helper has it from there. */
	if (ret != EXIT_OK && req.internal && req.error)
		fprintf(stderr, "errno %d\n", req.error);
	return ret;
}
