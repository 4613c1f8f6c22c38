/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket can ask of the helper. */
#ifndef NEXUSD_CORE_H
#define NEXUSD_CORE_H

#include "control.h"

/* Context: struct helper. */
extern const struct control_ops core_ops;

#endif /* NEXUSD_CORE_H */
