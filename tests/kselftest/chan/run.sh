#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/kselftest/chan/run.sh [PROGRAM...]
#
# In the guest, module loaded: the channel against a helper that misbehaves.
# Prints TAP; results of each program are left in $NEXUS_OUT/chan-NAME.tap.
# Exits 0 when every test passed.
set -u

here=$(cd "$(dirname "$0")" && pwd -P)
bin=$(cd "$here/../../.." && pwd -P)/build/kselftest/chan
out=${NEXUS_OUT:-/tmp}
status=0

[ $# != 0 ] || set -- device retire replies waits life control unload
for name; do
	tap=$out/chan-$name.tap
	begun=$SECONDS
	timeout -k 5 "${NEXUS_PROGRAM_LIMIT:-600}" "$bin/$name" > "$tap" 2>&1
	code=$?
	echo "# chan-$name: $((SECONDS - begun)) s"
	[ $code = 0 ] || status=1
	[ $code != 124 ] && [ $code != 137 ] || echo "Bail out! $name hangs" >> "$tap"
	sed -i -E "s/^((not )?ok [0-9]+ - )/\1chan-$name: /" "$tap"
	cat "$tap"
done
exit $status
