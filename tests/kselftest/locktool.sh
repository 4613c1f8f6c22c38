#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nexusctl lock, and libnexus by way of it: commands that run alone, what they print and
# end with, without a helper's part in it.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"

work=$dir/locktool.$$

tap_cleanup() { rm -rf "$work"; }

prepare() {
	need_nexus
	mkdir -p "$work/a/b"
	echo 0 > "$work/a/b/n"
}

status() {
	local status=0
	"$@" > "$tap_tmp/out" 2> "$tap_tmp/err" || status=$?
	echo $status
}

test_status() {
	prepare
	[ "$(status nexusctl lock "$work/a" -- true)" = 0 ]
	[ "$(status nexusctl lock --shared "$work/a/b/n" -- sh -c 'exit 7')" = 7 ]
	# shellcheck disable=SC2016
	[ "$(status nexusctl lock "$work" -- sh -c 'kill -9 $$')" = 137 ]
	[ "$(status nexusctl lock "$work" -- /no/such/command)" = 127 ]
	[ "$(status nexusctl lock "$work" -- "$work/a/b/n")" = 126 ]
	[ "$(status nexusctl lock "$work/none" -- true)" = 1 ]
	[ "$(status nexusctl lock /tmp -- true)" = 1 ]
	grep -q 'no file or directory on nexusfs' "$tap_tmp/err"
	[ "$(status nexusctl lock --shared --exclusive "$work" -- true)" = 2 ]
	[ "$(status nexusctl lock --timeout -1 "$work" -- true)" = 2 ]
	[ "$(status nexusctl lock --timeout 1e9 "$work" -- true)" = 2 ]
	[ "$(status nexusctl lock --timeout 2147484 "$work" -- true)" = 2 ]
	[ "$(status nexusctl lock)" = 2 ]
	[ "$(status nexusctl status --shared)" = 2 ]
}

test_in_the_way() {
	prepare
	[ "$(nexusctl lock "$work/a")" = free ]
	mkfifo "$work/go" "$work/on"
	nexusctl lock "$work/a/b" -- sh -c "echo > '$work/on'; read -r _ < '$work/go'" &
	read -r _ < "$work/on"
	[ "$(status nexusctl lock --shared --timeout 0 "$work/a/b/n" -- true)" = 1 ]
	grep -q 'is locked by others' "$tap_tmp/err"
	[ "$(status nexusctl lock --timeout 0.05 "$work" -- true)" = 1 ]
	nexusctl lock --shared "$work" | grep -q "^below: exclusive, process $!, inode $(stat -c %i "$work/a/b")\$"
	nexusctl lock --shared "$work/a/b/n" | grep -q '^above: exclusive'
	nexusctl lock --json "$work/a/b" | python3 -c "
import json, sys
assert json.load(sys.stdin) == {'place': 'here', 'mode': 'exclusive', 'pid': $!, 'inode': $(stat -c %i "$work/a/b")}"
	grep -q "^exclusive held $! [0-9]* .*/a/b\$" "$dir/__sys__/locks"
	echo > "$work/go"
	wait
	[ "$(nexusctl lock "$work")" = free ]
}

# Commands that read a number and write the next one.
test_alone() {
	prepare
	local i
	for i in 1 2 3 4 5 6 7 8; do
		# shellcheck disable=SC2016
		nexusctl lock "$work/a$([ $((i % 2)) = 0 ] || echo /b/n)" -- \
			sh -c 'read -r n < "$1"; sleep 0.05; echo $((n + 1)) > "$1"' sh "$work/a/b/n" &
	done
	wait
	[ "$(cat "$work/a/b/n")" = 8 ]
}

# What a command leaves running has the lock until it ends, too.
test_left_running() {
	prepare
	mkfifo "$work/go"
	nexusctl lock "$work/a" -- sh -c "(read -r _ < '$work/go') &"
	[ "$(status nexusctl lock --timeout 0 "$work/a" -- true)" = 1 ]
	echo > "$work/go"
	nexusctl lock "$work/a" -- true
}

tap_main "$@"
