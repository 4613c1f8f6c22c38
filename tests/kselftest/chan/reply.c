// SPDX-License-Identifier: GPL-2.0-only
/* Right answers. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reply.h"

#define BASE_INO	1000	/* ino = BASE_INO + number * 8 + kind */

static const char kinds[] = "fxydlmqa";

static void fill_attr(struct nexus_attr *a, uint64_t ino, uint64_t parent)
{
	char kind = ino == 1 ? 'd' : kinds[ino % 8];

	memset(a, 0, sizeof(*a));
	a->ino = ino;
	a->data_id = ino;
	a->nlink = 1;
	a->generation = 1;
	a->version = 1;
	a->atime_s = a->mtime_s = a->ctime_s = a->btime_s = 1700000000;
	a->parent = parent;
	a->pos = ino;
	switch (kind) {
	case 'd':
		a->mode = S_IFDIR | 0755;
		a->nlink = 2;
		a->next_pos = 1 << 30;
		a->children = ino == 1 ? 1 << 20 : 3;
		if (ino == 1) {
			a->parent = 1;
			a->pos = 0;
		}
		break;
	case 'l':
	case 'm':
		a->mode = S_IFLNK | 0777;
		a->size = a->disk_size = 6;
		break;
	case 'f':
	case 'a':
		a->mode = S_IFREG | 0644;
		break;
	case 'q':
		a->flags = 1u << 5; /* NEXUS_IF_NODATACOW */
		/* fall through */
	default:
		a->mode = S_IFREG | 0644;
		a->size = a->disk_size = 16384;
		a->blocks = 2;
	}
}

/* Without checksums, and where the table of the pack is. */
static void fill_plain(struct nexus_extent *e)
{
	memset(e, 0, 2 * sizeof(*e));
	e[0].pack = 9;
	e[0].block = 300;
	e[0].nblocks = 1;
	e[0].flags = 1u << 2; /* NEXUS_EF_NOCRC */
	e[1] = e[0];
	e[1].offset = 8192;
	e[1].block = 3;
}

static void fill_extents(struct nexus_extent *e)
{
	memset(e, 0, 2 * sizeof(*e));
	e[0].offset = 0;
	e[0].pack = 9;
	e[0].block = 100;
	e[0].nblocks = 1;
	e[1].offset = 8192;
	e[1].pack = 9;
	e[1].block = 200;
	e[1].nblocks = 1;
}

/* Returns its length. */
static uint32_t entry(void *to, uint64_t ino, uint64_t parent, uint64_t pos)
{
	struct nexus_entry_reply *er = to;
	uint8_t *p = to + sizeof(*er);
	char kind = ino == 1 ? 'd' : kinds[ino % 8];

	memset(er, 0, sizeof(*er));
	fill_attr(&er->attr, ino, parent);
	er->pos = pos;
	if (kind != 'a')
		er->flags |= NEXUS_ER_NO_XATTRS;
	if (kind == 'x' || kind == 'q') {
		er->nextents = 2;
		er->flags |= NEXUS_ER_EXTENTS_ALL;
		if (kind == 'x')
			fill_extents((void *)p);
		else
			fill_plain((void *)p);
		p += 2 * sizeof(struct nexus_extent);
	}
	if (kind == 'm') {
		er->flags |= NEXUS_ER_CONTENT;
		er->content_len = 6;
		memcpy(p, "target", 6);
		p += 6;
	}
	return p - (uint8_t *)to;
}

static void list(struct nexus_reply *r, uint64_t dir)
{
	struct nexus_list_reply *lr = (void *)r->data;
	uint8_t *p = r->data + sizeof(*lr);
	int i;

	memset(lr, 0, sizeof(*lr));
	lr->flags = NEXUS_LR_END;
	if (dir != 1) {
		for (i = 0; i < 3; i++) {
			struct nexus_list_ent *e = (void *)p;
			struct nexus_entry_reply *er = (void *)(e->name + 8);

			memset(e, 0, sizeof(*e) + 8);
			e->ino = BASE_INO + (dir * 4 + i) * 8;
			e->pos = 10 + i;
			e->dtype = S_IFREG >> 12;
			e->namelen = 2;
			e->flags = NEXUS_DE_ENTRY;
			e->name[0] = 'f';
			e->name[1] = '0' + i;
			e->reclen = sizeof(*e) + 8 + entry(er, e->ino, dir, e->pos);
			er->attr.pos = e->pos;
			p += e->reclen;
		}
		lr->count = 3;
		lr->next_pos = 13;
	} else {
		lr->next_pos = 1 << 30;
	}
	r->len = p - r->data;
}

uint32_t put_lease(void *p, uint64_t ino, uint32_t max, uint32_t count, uint64_t token)
{
	struct nexus_lease_ent *e = p;
	struct lease_val *v = (void *)e->val;
	uint32_t i;

	e->ino = ino;
	e->reclen = sizeof(*e) + sizeof(*v) + count * sizeof(v->holder[0]);
	e->reserved = 0;
	memset(v, 0, e->reclen - sizeof(*e));
	v->now = 1700000000000000000ull;
	v->max = max;
	v->count = count;
	for (i = 0; i < count; i++) {
		v->holder[i].id[0] = i + 1;
		v->holder[i].acquired = v->now;
		v->holder[i].expires = INT64_MAX;
		v->holder[i].token = token + i;
		memcpy(v->holder[i].name, "kept", 4);
	}
	return e->reclen;
}

static uint32_t leases(void *p, uint64_t from)
{
	uint64_t ino = BASE_INO + 5 * 8;
	uint32_t len;

	if (from > ino + 16)
		return 0;
	if (from > ino + 8)
		return put_lease(p, ino + 16, 1, 1, LEASE_TOKEN + 3);
	len = put_lease(p, ino, 1, 1, LEASE_TOKEN);
	return len + put_lease((char *)p + len, ino + 8, 3, 2, LEASE_TOKEN + 1);
}

void make_reply(const struct nexus_request *req, struct nexus_reply *r)
{
	char name[256];
	const char *kind;
	uint64_t ino;

	switch (req->op) {
	case NEXUS_OP_LOOKUP:
		memcpy(name, req->data, req->len);
		name[req->len] = '\0';
		kind = strchr(kinds, name[0]);
		if (!kind || name[1] < '0' || name[1] > '9') {
			r->status = -ENOENT;
			return;
		}
		ino = BASE_INO + strtoull(name + 1, NULL, 10) * 8 + (kind - kinds);
		r->len = entry(r->data, ino, req->ino, ino);
		break;
	case NEXUS_OP_GETATTR:
		r->len = entry(r->data, req->ino, 1, 0);
		break;
	case NEXUS_OP_LIST:
		list(r, req->ino);
		break;
	case NEXUS_OP_READLINK:
		memcpy(r->data, "target", 6);
		r->len = 6;
		break;
	case NEXUS_OP_EXTENTS: {
		struct nexus_extents_reply *x = (void *)r->data;

		memset(x, 0, sizeof(*x));
		x->flags = NEXUS_XR_END;
		x->count = 2;
		x->next_offset = 12288;
		fill_extents(x->extent);
		r->len = sizeof(*x) + 2 * sizeof(struct nexus_extent);
		break;
	}
	case NEXUS_OP_LISTXATTR:
		memcpy(r->data, "user.a\0user.b", 14);
		r->len = 14;
		break;
	case NEXUS_OP_GETXATTR: {
		struct nexus_xattr_reply *x = (void *)r->data;

		memset(x, 0, sizeof(*x));
		x->total = 8;
		memcpy(x->data, "a value.", 8);
		r->len = sizeof(*x) + 8;
		break;
	}
	case NEXUS_OP_LEASES:
		r->len = leases(r->data, req->ino);
		break;
	case NEXUS_OP_OPEN_PACK:
		r->status = -ENOENT;
		break;
	case NEXUS_OP_ORIGIN:
	case NEXUS_OP_ENSURE:
		/* Says that it is there, and is not to be believed. */
		break;
	case NEXUS_OP_STATFS:
		memset(r->data, 0, sizeof(struct nexus_statfs_reply));
		r->len = sizeof(struct nexus_statfs_reply);
		break;
	case NEXUS_OP_QUOTA: {
		struct nexus_quota_reply *q = (void *)r->data;

		memset(q, 0, sizeof(*q));
		q->id = req->arg1;
		q->inodes_grace = 604800;
		q->blocks_grace = 604800;
		r->len = sizeof(*q);
		break;
	}
	default:
		r->status = -ENOSYS;
	}
}
