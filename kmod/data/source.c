// SPDX-License-Identifier: GPL-2.0-only
/* The caller's memory of a direct write, page by page. */
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "../nexusfs.h"
#include "source.h"

#define NEXUS_SOURCE_PAGES	16	/* taken at once, on the stack */
/* A block of an iovec of single bytes. */
#define NEXUS_SOURCE_PIECES	NEXUS_BLOCK_SIZE

struct nexus_source {
	bool pinned;
	u32 nr;
	struct bio_vec bv[];		/* each in one page, in their order */
};

void nexus_source_put(struct nexus_source *s)
{
	u32 i;

	for (i = 0; s->pinned && i < s->nr; i++)
		unpin_user_page(s->bv[i].bv_page);
	kvfree(s);
}

struct nexus_source *nexus_source_take(struct iov_iter *from, u32 n, u32 *blocks)
{
	size_t want = (size_t)n << NEXUS_BLOCK_SHIFT, got = 0, offset;
	int max = iov_iter_npages(from, n + NEXUS_SOURCE_PIECES);
	struct page *pages[NEXUS_SOURCE_PAGES], **at;
	struct nexus_source *s;
	ssize_t ret;
	u32 i;

	s = kvmalloc(struct_size(s, bv, max), GFP_KERNEL);
	if (!s)
		return ERR_PTR(-ENOMEM);
	s->pinned = iov_iter_extract_will_pin(from);
	s->nr = 0;
	while (got < want && s->nr < max) {
		at = pages;
		ret = iov_iter_extract_pages(from, &at, want - got,
					     min_t(u32, max - s->nr,
						   NEXUS_SOURCE_PAGES),
					     0, &offset);
		if (ret <= 0)
			break;
		got += ret;
		for (i = 0; ret > 0; i++) {
			size_t len = min_t(size_t, ret, PAGE_SIZE - offset);

			bvec_set_page(&s->bv[s->nr++], pages[i], len, offset);
			ret -= len;
			offset = 0;
		}
	}
	iov_iter_revert(from, got & (NEXUS_BLOCK_SIZE - 1));
	*blocks = got >> NEXUS_BLOCK_SHIFT;
	if (*blocks)
		return s;
	nexus_source_put(s);
	return ERR_PTR(-EFAULT);
}

void nexus_source_copy(const struct nexus_source *s, u32 block, u32 nr,
		       struct page **pages, __le32 *crc)
{
	size_t skip = (size_t)block << NEXUS_BLOCK_SHIFT;
	const struct bio_vec *bv = s->bv;
	u32 i;

	for (; skip >= bv->bv_len; bv++)
		skip -= bv->bv_len;
	for (i = 0; i < nr; i++) {
		char *to = kmap_local_page(pages[i]);
		size_t at = 0, len;
		u32 sum = 0;

		while (at < PAGE_SIZE) {
			const char *p = kmap_local_page(bv->bv_page);

			len = min_t(size_t, bv->bv_len - skip, PAGE_SIZE - at);
			if (crc)
				sum = nexus_crc32c_copy(sum, to + at,
							p + bv->bv_offset + skip,
							len);
			else
				memcpy(to + at, p + bv->bv_offset + skip, len);
			kunmap_local(p);
			at += len;
			skip += len;
			if (skip == bv->bv_len) {
				bv++;
				skip = 0;
			}
		}
		kunmap_local(to);
		if (crc)
			crc[i] = cpu_to_le32(sum);
	}
}
