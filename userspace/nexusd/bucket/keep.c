// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of a bucket, in a file beside its cache: so that the helper that comes after
 * this one knows which object the inodes are that the kernel has.  It is for a helper that
 * died, not for a machine that did: nothing is flushed, and the next mount begins anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/port.h"
#include "tree.h"

/* In the byte order of the machine that wrote it. */
struct record {
	u32 crc;		/* of what follows, names included */
	u16 taglen;
	u8 namelen;
	u8 flags;
	u64 ino, parent, pos, size, vblock, mtime;
};

#define R_GONE	1u
#define R_DIR	2u

void btree_keep(struct btree *t, u64 ino)
{
	const struct bnode *node = btree_node(t, ino);
	struct record r = {
		.ino = ino, .parent = node->parent, .pos = node->pos, .size = node->size,
		.vblock = node->vblock, .mtime = node->mtime, .namelen = node->namelen,
		.taglen = (u16)strlen(node->etag),
		.flags = (u8)((node->gone ? R_GONE : 0) | (node->dir ? R_DIR : 0)),
	};
	size_t len = sizeof(r) + r.namelen + r.taglen, cap;
	u8 *to;

	if (t->keep_fd < 0 || t->keep_error)
		return;
	if (t->nkept + len > t->kept_cap) {
		cap = NEXUS_MAX(t->kept_cap * 2, t->nkept + len + 4096);
		to = realloc(t->kept, cap);
		if (!to) {
			t->keep_error = -ENOMEM;
			return;
		}
		t->kept = to;
		t->kept_cap = cap;
	}
	to = t->kept + t->nkept;
	memcpy(to + sizeof(r), node->name, r.namelen);
	memcpy(to + sizeof(r) + r.namelen, node->etag, r.taglen);
	memcpy(to, &r, sizeof(r));
	r.crc = nexus_crc32c(0, to + sizeof(r.crc), len - sizeof(r.crc));
	memcpy(to, &r, sizeof(r));
	t->nkept += len;
}

void btree_keep_write(struct btree *t)
{
	size_t done = 0;
	ssize_t n;

	while (!t->keep_error && done < t->nkept) {
		n = write(t->keep_fd, t->kept + done, t->nkept - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			t->keep_error = n ? -errno : -ENOSPC;
		else
			done += (size_t)n;
	}
	t->nkept = 0;
}

static int read_one(struct btree *t, const u8 *buf, size_t left, size_t *len)
{
	char name[256], etag[BUCKET_ETAG_MAX];
	struct bnode like = { 0 };
	struct record r;

	if (left < sizeof(r))
		return -ENODATA;
	memcpy(&r, buf, sizeof(r));
	*len = sizeof(r) + r.namelen + r.taglen;
	if (left < *len)
		return -ENODATA;
	if (r.taglen >= sizeof(etag) ||
	    nexus_crc32c(0, buf + sizeof(r.crc), *len - sizeof(r.crc)) != r.crc)
		return -EUCLEAN;
	memcpy(name, buf + sizeof(r), r.namelen);
	name[r.namelen] = '\0';
	memcpy(etag, buf + sizeof(r) + r.namelen, r.taglen);
	etag[r.taglen] = '\0';
	if (strlen(name) != r.namelen || strlen(etag) != r.taglen)
		return -EUCLEAN;
	like.parent = r.parent;
	like.pos = r.pos;
	like.size = r.size;
	like.vblock = r.vblock;
	like.mtime = r.mtime;
	like.gone = r.flags & R_GONE;
	return btree_put(t, r.ino, &like, name, etag, r.flags & R_DIR);
}

int btree_keep_read(struct btree *t, int fd)
{
	off_t end = lseek(fd, 0, SEEK_END), done = 0;
	int keep_fd = t->keep_fd, ret = 0;
	size_t at = 0, len;
	u8 *buf;

	if (end < 0)
		return -errno;
	buf = malloc((size_t)end + 1);
	if (!buf)
		return -ENOMEM;
	while (done < end) {
		ssize_t n = pread(fd, buf + done, (size_t)(end - done), done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += n;
	}
	/* It is there already. */
	t->keep_fd = -1;
	while (!ret && at < (size_t)done) {
		ret = read_one(t, buf + at, (size_t)done - at, &len);
		at += ret ? 0 : len;
	}
	t->keep_fd = keep_fd;
	free(buf);
	/* The helper died when it wrote the last: what that says nobody was told. */
	if (ret == -ENODATA)
		ret = ftruncate(fd, (off_t)at) ? -errno : 0;
	return ret;
}
