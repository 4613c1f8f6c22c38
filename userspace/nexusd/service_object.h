/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of services, and of drivers: from a name to a descriptor, and away again. */
#ifndef NEXUSD_SERVICE_OBJECT_H
#define NEXUSD_SERVICE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include <nexus/service.h>

#include "log.h"

/*
 * An object.  What was read and checked is a sealed copy in memory, and that is
 * what is mapped: nobody can change it in between, nor later by writing over
 * the file, and two builds are never taken for one.
 */
struct object {
	int fd;				/* the copy, open as long as it is mapped; or -1 */
	void *dl;			/* or NULL */
	const void *symbol;		/* the one its kind has, when it is mapped */
	const struct nexus_service_desc *desc;
};

#define OBJECT_NONE	{ .fd = -1 }

/* What kind of object is looked for, and how errors call it. */
struct object_kind {
	const char *noun;
	const char *setting;		/* of its folder */
	const char *symbol;		/* it must have */
	uint32_t abi;			/* of a driver */
};

extern const struct object_kind object_service;

/* a-z, then a-z 0-9 _ -, shorter than NEXUS_SERVICE_NAME_MAX. */
bool service_name_ok(const char *name);

/*
 * Reads DIR/NAME.so, which must be a regular file of @owner that nobody else can
 * write, in such a folder, and made for this machine.
 */
int object_read(struct object *o, const struct object_kind *kind, const char *dir,
		const char *name, uint32_t owner, struct errline *err);
/* Maps it, which runs its constructors, and finds its symbol. */
int object_link(struct object *o, const struct object_kind *kind, const char *name,
		struct errline *err);
/*
 * Both, for a driver, whose symbol begins with the version of its ABI and a pointer to its
 * name, which are checked.  Nothing is left of it after an error.
 */
int object_driver(struct object *o, const struct object_kind *kind, const char *dir,
		  const char *name, uint32_t owner, struct errline *err);
/* object_link() for a service, and checks the descriptor. */
int object_map(struct object *o, const char *name, struct errline *err);
/* Unmaps and closes; false when something keeps it mapped. */
bool object_close(struct object *o);

/* Pure: whether a descriptor is one, and of @name. */
int desc_check(const struct nexus_service_desc *d, const char *name, struct errline *err);

/*
 * Loads it in a process of its own, and runs init and cleanup there.
 * @argv: of that program, to which words are added
 */
int service_trial(char *const *argv, const struct object *o, const char *name,
		  uint32_t timeout_ms, struct errline *err);

#endif /* NEXUSD_SERVICE_OBJECT_H */
