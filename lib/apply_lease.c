// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Apply: LEASE.  The rules are in lease.c. */
#include "apply_impl.h"
#include "lease.h"

static const char *why_not(int err)
{
	switch (err) {
	case -EAGAIN:
		return "lease is held by as many as may";
	case -EBUSY:
		return "lease is held with another number of holders";
	case -ESTALE:
		return "lease is not held by that one";
	default:
		return "no lease";
	}
}

/* The value of ap->key, for nexus_free(), or NULL: *@old.  0 or -errno. */
static int load(struct nexus_ap *ap, u64 ino, struct nexus_lease_val **old)
{
	size_t cap = nexus_lease_size(NEXUS_LEASE_HOLDERS_MAX) + NEXUS_AP_VAL_MAX;
	struct nexus_lease_val *v;
	int len;

	*old = NULL;
	len = nexus_ap_exists(ap, &ap->key);
	if (len <= 0)
		return len;
	v = nexus_alloc(cap);
	if (!v)
		return -ENOMEM;
	len = nexus_ap_get(ap, &ap->key, ino, sizeof(*v), v, cap);
	if (len >= 0 && !nexus_lease_val_ok(v, (size_t)len))
		len = nexus_ap_fail(ap, ino, "damaged value");
	if (len < 0) {
		nexus_free(v);
		return len;
	}
	*old = v;
	return 0;
}

static int change(struct nexus_ap *ap, u64 ino, const struct nexus_lease_val *old)
{
	const struct nexus_rec_lease *r = (const void *)ap->rec;
	struct nexus_lease_val *new;
	int len;

	new = nexus_ap_put(ap, &ap->key, nexus_lease_room(old));
	if (!new)
		return -ENOMEM;
	len = nexus_lease_step(r, old, new);
	if (len < 0)
		return nexus_ap_fail(ap, ino, why_not(len));
	nexus_ap_trim(ap, (size_t)len);
	return 0;
}

int nexus_ap_lease(struct nexus_ap *ap)
{
	const struct nexus_rec_lease *r = (const void *)ap->rec;
	struct nexus_lease_val *old;
	struct nexus_ap_inode *in;
	int ret;

	ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &in);
	if (ret)
		return ret;
	if (nexus_ap_fmt(in) != S_IFREG && !nexus_ap_isdir(in))
		return nexus_ap_fail(ap, in->ino, "lease on neither file nor directory");
	nexus_key_lease(&ap->key, in->ino);
	ret = load(ap, in->ino, &old);
	if (ret)
		return ret;
	ret = change(ap, in->ino, old);
	nexus_free(old);
	return ret;
}

int nexus_ap_forget_lease(struct nexus_ap *ap, u64 ino)
{
	int ret;

	nexus_key_lease(&ap->key, ino);
	ret = nexus_ap_exists(ap, &ap->key);
	return ret <= 0 ? ret : nexus_ap_del(ap, &ap->key);
}
