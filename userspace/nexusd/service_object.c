// SPDX-License-Identifier: Apache-2.0
#include "service_object.h"
#include "service_rpc.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECT_MAX	(256ull << 20)

const struct object_kind object_service = {
	.noun = "service",
	.setting = "services_dir",
	.symbol = NEXUS_SERVICE_SYMBOL,
};

#ifndef MFD_EXEC
#define MFD_EXEC	0x0010U
#endif

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_part;
#define ELF_CLASS	ELFCLASS64
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_part;
#define ELF_CLASS	ELFCLASS32
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ELF_DATA	ELFDATA2LSB
#else
#define ELF_DATA	ELFDATA2MSB
#endif

bool service_name_ok(const char *name)
{
	size_t i;

	if (name[0] < 'a' || name[0] > 'z')
		return false;
	for (i = 1; name[i]; i++)
		if (i + 1 >= NEXUS_SERVICE_NAME_MAX ||
		    !strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", name[i]))
			return false;
	return true;
}

/* ---- the descriptor ------------------------------------------------------------ */

static bool protocol_name_ok(const char *name)
{
	size_t i;

	if (name[0] < 'a' || name[0] > 'z')
		return false;
	for (i = 1; name[i]; i++)
		if (i + 1 >= NEXUS_SERVICE_NAME_MAX ||
		    !strchr("abcdefghijklmnopqrstuvwxyz0123456789_-.", name[i]))
			return false;
	return true;
}

static int check_provides(const struct nexus_service_desc *d, struct errline *err)
{
	const struct nexus_protocol *p, *q;

	for (p = d->provides; p && p->name; p++) {
		if (p - d->provides >= (ptrdiff_t)NEXUS_SERVICE_PROTOCOLS_MAX)
			return err_set(err, -EPROTO, "service %s provides more than %u protocols",
				       d->name, NEXUS_SERVICE_PROTOCOLS_MAX);
		if (!protocol_name_ok(p->name) || !p->version || !p->ops || !p->size ||
		    p->size % sizeof(nexus_op))
			return err_set(err, -EPROTO,
				       "service %s: protocol %td has no good name, version or operations",
				       d->name, p - d->provides + 1);
		for (q = d->provides; q < p; q++)
			if (!strcmp(q->name, p->name))
				return err_set(err, -EPROTO, "service %s provides protocol %s twice",
					       d->name, p->name);
	}
	return 0;
}

static int check_needs(const struct nexus_service_desc *d, struct errline *err)
{
	const struct nexus_need *n, *m;

	for (n = d->needs; n && n->name; n++) {
		if (n - d->needs >= (ptrdiff_t)NEXUS_SERVICE_PROTOCOLS_MAX)
			return err_set(err, -EPROTO, "service %s needs more than %u protocols",
				       d->name, NEXUS_SERVICE_PROTOCOLS_MAX);
		if (!protocol_name_ok(n->name))
			return err_set(err, -EPROTO, "service %s: need %td has no good name",
				       d->name, n - d->needs + 1);
		for (m = d->needs; m < n; m++)
			if (!strcmp(m->name, n->name))
				return err_set(err, -EPROTO, "service %s needs protocol %s twice",
					       d->name, n->name);
	}
	return 0;
}

int desc_check(const struct nexus_service_desc *d, const char *name, struct errline *err)
{
	size_t len;
	int ret;

	if (d->abi != NEXUS_SERVICE_ABI)
		return err_set(err, -EPROTO, "service %s has ABI version %u, this helper has %u; build it anew",
			       name, d->abi, NEXUS_SERVICE_ABI);
	if (!d->name || strcmp(d->name, name))
		return err_set(err, -EPROTO, "%s.so holds service \"%.64s\", not \"%s\"", name,
			       d->name ? d->name : "", name);
	len = d->version ? strnlen(d->version, NEXUS_SERVICE_VERSION_MAX) : 0;
	if (!len || len == NEXUS_SERVICE_VERSION_MAX)
		return err_set(err, -EPROTO, "service %s: a version of 1 to %u characters is expected",
			       name, NEXUS_SERVICE_VERSION_MAX - 1);
	for (; len; len--)
		if (d->version[len - 1] <= ' ' || d->version[len - 1] > '~')
			return err_set(err, -EPROTO, "service %s: its version is no plain text", name);
	if (!d->service_init || !d->service_start || !d->service_stop || !d->service_cleanup)
		return err_set(err, -EPROTO, "service %s lacks service_%s", name,
			       !d->service_init ? "init" : !d->service_start ? "start" :
			       !d->service_stop ? "stop" : "cleanup");
	ret = check_provides(d, err);
	if (!ret)
		ret = check_needs(d, err);
	return ret ? ret : rpc_check(d, err);
}

/* ---- the file -------------------------------------------------------------------- */

/* Whoever can write there could have code of his own run as the helper. */
static int check_safe(const struct stat *st, uint32_t owner, const char *what, struct errline *err)
{
	if (st->st_uid != owner)
		return err_set(err, -EACCES, "%s belongs to uid %u; it must be uid %u's", what,
			       (unsigned int)st->st_uid, owner);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EACCES, "%s can be written by its %s; chmod go-w it", what,
			       st->st_mode & S_IWOTH ? "others" : "group");
	return 0;
}

/* Of the folder the file is opened in, not of one that has its path later. */
static int open_file(const struct object_kind *kind, const char *dir, const char *name,
		     uint32_t owner, struct errline *err)
{
	char file[NEXUS_SERVICE_NAME_MAX + 4];
	struct stat st;
	int dirfd, fd, ret;

	snprintf(file, sizeof(file), "%s.so", name);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(err, -errno, "%s %.200s: %s", kind->setting, dir, strerror(errno));
	ret = fstat(dirfd, &st) ? -errno : check_safe(&st, owner, dir, err);
	if (ret) {
		close(dirfd);
		return ret;
	}
	/* A FIFO or device must not hold us up; a link may lead anywhere. */
	fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ret = fd < 0 ? -errno : 0;
	close(dirfd);
	if (ret == -ENOENT)
		return err_set(err, ret, "there is no %s %s: no %s in %.200s", kind->noun, name,
			       file, dir);
	if (ret == -ELOOP)
		return err_set(err, -EACCES, "%s in %.200s is a symbolic link; a regular file is expected",
			       file, dir);
	if (ret)
		return err_set(err, ret, "%s: %s", file, strerror(-ret));
	return fd;
}

static int check_file(int fd, const char *file, uint32_t owner, uint64_t *size, struct errline *err)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EACCES, "%s is no regular file", file);
	ret = check_safe(&st, owner, file, err);
	if (ret)
		return ret;
	if ((uint64_t)st.st_size > OBJECT_MAX)
		return err_set(err, -EFBIG, "%s is larger than %llu bytes", file, OBJECT_MAX);
	*size = (uint64_t)st.st_size;
	return 0;
}

/* A part that is not there is a SIGBUS in the linker. */
static int check_parts(int fd, const elf_header *h, uint64_t size, const char *file,
		       struct errline *err)
{
	elf_part part;
	unsigned int i;
	off_t at;

	for (i = 0; i < h->e_phnum; i++) {
		at = (off_t)(h->e_phoff + i * sizeof(part));
		if (h->e_phentsize != sizeof(part) || h->e_phoff > size ||
		    pread(fd, &part, sizeof(part), at) != sizeof(part) ||
		    part.p_offset > size || part.p_filesz > size - part.p_offset)
			return err_set(err, -ENOEXEC, "%s is damaged: it has only %llu bytes", file,
				       (unsigned long long)size);
	}
	return 0;
}

/* glibc's own words for some of these are about files that are not there. */
static int check_header(int fd, uint64_t size, const char *file, struct errline *err)
{
	elf_header self, h;
	int me, ret = 0;

	me = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (me < 0 || pread(me, &self, sizeof(self), 0) != sizeof(self))
		ret = err_set(err, -EIO, "/proc/self/exe cannot be read");
	if (me >= 0)
		close(me);
	if (ret)
		return ret;
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG))
		return err_set(err, -ENOEXEC, "%s is no shared object", file);
	if (h.e_ident[EI_CLASS] != ELF_CLASS || h.e_ident[EI_DATA] != ELF_DATA ||
	    h.e_machine != self.e_machine)
		return err_set(err, -ENOEXEC,
			       "%s is made for another architecture (ELF machine %u, %s-bit); this helper has %u, %d-bit",
			       file, h.e_machine, h.e_ident[EI_CLASS] == ELFCLASS64 ? "64" : "32",
			       self.e_machine, __SIZEOF_POINTER__ * 8);
	if (h.e_type != ET_DYN)
		return err_set(err, -ENOEXEC, "%s is no shared object (ELF type %u)", file, h.e_type);
	return check_parts(fd, &h, size, file, err);
}

static int make_copy(const struct object_kind *kind, const char *name)
{
	char label[NEXUS_SERVICE_NAME_MAX + 32];
	int fd;

	snprintf(label, sizeof(label), "nexus-%.*s-%s", (int)strcspn(kind->noun, " "),
		 kind->noun, name);
	fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)	/* before Linux 6.3 */
		fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

static int copy_file(int from, int to, uint64_t size)
{
	char buf[65536];
	uint64_t done = 0;
	ssize_t n, w;

	while (done < size) {
		n = pread(from, buf, sizeof(buf), (off_t)done);
		if (n <= 0)
			return n ? -errno : -EIO;
		w = pwrite(to, buf, (size_t)n, (off_t)done);
		if (w != n)
			return w < 0 ? -errno : -ENOSPC;
		done += (uint64_t)n;
	}
	return fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ?
		-errno : 0;
}

int object_read(struct object *o, const struct object_kind *kind, const char *dir,
		const char *name, uint32_t owner, struct errline *err)
{
	char file[NEXUS_SERVICE_NAME_MAX + 4];
	uint64_t size = 0;
	int fd, ret;

	snprintf(file, sizeof(file), "%s.so", name);
	fd = open_file(kind, dir, name, owner, err);
	if (fd < 0)
		return fd;
	ret = check_file(fd, file, owner, &size, err);
	if (ret)
		goto out;
	o->fd = make_copy(kind, name);
	ret = o->fd < 0 ? o->fd : copy_file(fd, o->fd, size);
	ret = ret ? err_set(err, ret, "%s cannot be read into memory: %s", file, strerror(-ret)) :
		check_header(o->fd, size, file, err);
	if (ret && o->fd >= 0)
		close(o->fd);
	if (ret)
		o->fd = -1;
out:
	close(fd);
	return ret;
}

/* ---- mapped ------------------------------------------------------------------------ */

/* Without the name the file has for us only. */
static const char *linker_words(const char *path)
{
	const char *text = dlerror();
	size_t len = strlen(path);

	if (!text)
		return "no word from the linker";
	if (!strncmp(text, path, len) && text[len] == ':')
		text += len + 1 + strspn(text + len + 1, " ");
	return text;
}

int object_link(struct object *o, const struct object_kind *kind, const char *name,
		struct errline *err)
{
	char path[32];

	/*
	 * The linker knows objects by the name they were opened with, too: that no
	 * other has this one is why the copy stays open.
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	o->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!o->dl)
		return err_set(err, -ENOEXEC, "%s.so cannot be loaded: %.300s", name,
			       linker_words(path));
	o->symbol = dlsym(o->dl, kind->symbol);
	if (!o->symbol)
		return err_set(err, -ENOEXEC, "%s.so is no %s: it has no symbol %s", name,
			       kind->noun, kind->symbol);
	return 0;
}

int object_driver(struct object *o, const struct object_kind *kind, const char *dir,
		  const char *name, uint32_t owner, struct errline *err)
{
	const struct {
		uint32_t abi;
		const char *name;
	} *head;
	int ret = object_read(o, kind, dir, name, owner, err);

	if (!ret)
		ret = object_link(o, kind, name, err);
	head = o->symbol;
	if (!ret && (head->abi != kind->abi || strcmp(head->name, name)))
		ret = err_set(err, -EPROTO, "%s.so has ABI version %u, this helper has %u; build it anew",
			      name, head->abi, kind->abi);
	if (ret)
		object_close(o);
	return ret;
}

int object_map(struct object *o, const char *name, struct errline *err)
{
	int ret = object_link(o, &object_service, name, err);

	if (ret)
		return ret;
	o->desc = o->symbol;
	ret = desc_check(o->desc, name, err);
	if (ret)
		o->desc = NULL;
	return ret;
}

bool object_close(struct object *o)
{
	const void *symbol = o->symbol;
	Dl_info info;
	void *base;

	if (o->dl) {
		base = symbol && dladdr(symbol, &info) ? info.dli_fbase : NULL;
		dlclose(o->dl);
		o->dl = NULL;
		o->desc = NULL;
		o->symbol = NULL;
		/* Marked so by its linker, or by destructors that some thread still has. */
		if (base && dladdr(symbol, &info) && info.dli_fbase == base) {
			o->fd = -1;	/* open for good: its number is a name */
			return false;
		}
	}
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	return true;
}
