// SPDX-License-Identifier: Apache-2.0
/* Operations whose results are known, for the test of the harness (06-harness). */
#include "../px.h"

PX_OPERATION(fine)
{
	px_err(0, 0, "call");
	px_num(5, 5, "number");
	px_skip("no reason", "skipped");
}

PX_OPERATION(wrong)
{
	px_err(EPERM, 0, "call");
	px_num(5, 6, "number");
	px_str("a", "b", "text");
}

PX_OPERATION(twice)
{
	px_num(1, 1, "row");
	px_num(1, 1, "row");
}

PX_OPERATION(dies)
{
	px_num(1, 1, "before");
	abort();
}

PX_OPERATION(stops)
{
	errno = EIO;
	px_must(-1);
	px_num(1, 1, "behind");
}

PX_OPERATION(lacks)
{
	px_num(1, 1, "probe");
	px_skip_rest("not here");
}
