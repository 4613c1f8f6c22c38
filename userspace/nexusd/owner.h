/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may write to a zone's content store: one copy of the zone, by the object "owner",
 * which is only ever changed by conditional writes.  A copy is known by a token in a file
 * beside its index.  The epoch is raised by each new owner.
 */
#ifndef NEXUSD_OWNER_H
#define NEXUSD_OWNER_H

#include "content.h"
#include "origin_file.h"

#define OWNER_FILE	"owner"		/* in the zone's directory: the token */

struct owner {
	struct content *c;
	u8 zone[NEXUS_UUID_SIZE];
	u8 token[NEXUS_UUID_SIZE];
	bool unfenced;		/* the store has no conditions: written without */
	u64 epoch, turn;
	u64 seen_epoch, seen_number;	/* of the last manifest that this copy has all of; 0: not known */
	char etag[CONTENT_ETAG_SIZE];
};

/*
 * Reads @o's token in @dir, or makes one, durably: before the store is asked, for an answer may
 * be lost.  *known: the store had it as the owner's when it was last asked.  Also the manifest
 * that was seen last, which a copy of the directory has, too.
 */
int owner_token(const char *dir, struct owner *o, bool *known);
/*
 * What the store said, durably.  With an error the next mount has to ask, or, not @taken,
 * believes what was.
 */
int owner_keep(const char *dir, bool taken);
/* Durably: this copy has all that the manifest of @epoch and @number has. */
int owner_saw(const char *dir, struct owner *o, u64 epoch, u64 number);
/*
 * Whether conditions are kept, tried on an object that goes again.  0; -EOPNOTSUPP: they
 * are not; or the store's error.
 */
int owner_probe(struct owner *o);
/*
 * Becomes the owner: of what nobody owns, was released, is ours already, or with
 * @take_over of anything.  @floor: an epoch that was used, @number: of the manifest that has
 * it; 0: whatever there is, this copy has it.  -EBUSY: another holds it, who is named; -ESTALE:
 * another held it, and what it did is not in this copy; -EXDEV: it is another zone's; -EUCLEAN:
 * the object is damaged; each with a line.
 */
int owner_take(struct owner *o, u64 floor, u64 number, bool take_over, u64 now_s,
	       struct errline *err);
/* Still the owner, and says so.  -ESTALE: another is, who is named; or the store's error. */
int owner_renew(struct owner *o, u64 now_s, struct errline *err);
int owner_release(struct owner *o, u64 now_s, struct errline *err);

#endif /* NEXUSD_OWNER_H */
