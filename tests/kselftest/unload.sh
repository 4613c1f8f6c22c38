#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The module comes and goes, also under a helper; NEXUS_LOOPS times (5).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
supervise=$here/../../tools/vm/supervise
loops=${NEXUS_LOOPS:-5}
ko=$(find "/lib/modules/$(uname -r)/" -name nexusfs.ko 2> /dev/null | head -n 1)

need() {
	[ -d /sys/module/nexusfs ] || skip "needs the module"
	[ -n "$ko" ] || skip "needs nexusfs.ko"
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
}

test_refused_while_mounted() {
	need
	fails rmmod nexusfs 2> "$tap_tmp/why"
	cat "$tap_tmp/why"
	grep -q 'in use' "$tap_tmp/why"
	echo text > "$dir/unload"
	rm "$dir/unload"
}

test_refused_while_a_helper_is_attached() {
	need
	[ -s /run/nexusfs/nexusd.pid ] || skip "needs a helper"
	umount "$dir"
	fails rmmod nexusfs 2> "$tap_tmp/why"
	grep -q 'in use' "$tap_tmp/why"
	mount -t nexusfs root "$dir"
}

test_loaded_and_unloaded() {
	need
	local i
	umount "$dir" || true
	"$supervise" stop
	for i in $(seq "$loops"); do
		rmmod nexusfs
		[ ! -e /dev/nexusfs ]
		insmod "$ko"
		[ -c /dev/nexusfs ]
		mount -i -t nexusfs -o mem t "$dir"
		echo "$i" > "$dir/f"
		umount "$dir"
	done
	"$supervise" start
	mount -t nexusfs root "$dir"
	echo text > "$dir/f"
	rm "$dir/f"
}

# Somebody writes all the time and somebody tries to unload all the time.
test_under_io() {
	need
	local i pid
	( while echo x > "$dir/under-io"; do :; done ) 2> /dev/null &
	pid=$!
	for i in $(seq $((loops * 4))); do
		fails rmmod nexusfs 2> /dev/null
	done
	kill $pid
	wait $pid || true
	[ -d /sys/module/nexusfs ]
	rm -f "$dir/under-io"
}

tap_main "$@"
