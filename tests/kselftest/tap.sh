#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Test Anything Protocol for the shell scripts here: source it, define
# functions test_NAME, end with tap_main.  A test fails when a command of it
# does; `skip REASON` ends it early.

dir=${NEXUS_TEST_DIR:-/mnt/nexus}

skip() {
	echo "$*" > "$tap_tmp/skip"
	exit 0
}

need_nexus() { [ "$(stat -f -c %t "$dir")" = 4e455853 ] || skip "needs nexusfs"; }

# A command that must fail.
fails() {
	if "$@"; then
		echo "succeeded: $*"
		return 1
	fi
}

# Gone, or a zombie that nobody has waited for.
dead() { ! grep -qsv '^State:.*[ZX]' <(grep -s ^State: "/proc/$1/status"); }

# What a script undoes after each of its tests.
tap_cleanup() { :; }

# until_true SECONDS COMMAND...: for hangs only, no test depends on how fast it is.
until_true() {
	local tries=$(($1 * 10))
	shift
	until "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || { echo "never: $*" && return 1; }
		sleep 0.1
	done
}

# Of a command that failed outside of a condition; the last one is what ended the test.
tap_where() { echo "${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]}: $BASH_COMMAND" >> "$tap_tmp/where"; }

tap_main() {
	local names n=0 name status
	tap_tmp=$(mktemp -d)
	trap 'rm -rf "$tap_tmp"' EXIT
	mapfile -t names < <(declare -F | sed -n 's/^declare -f \(test_.*\)/\1/p')
	[ $# = 0 ] || names=("$@")
	echo "TAP version 13"
	echo "1..${#names[@]}"
	for name in "${names[@]}"; do
		n=$((n + 1))
		rm -f "$tap_tmp/skip" "$tap_tmp/where"
		status=0
		# Not in a condition, or -e would not count inside.
		set +e
		( set -eEu; trap tap_where ERR; "$name" ) > "$tap_tmp/log" 2>&1
		status=$?
		set -e
		tap_cleanup
		if [ -e "$tap_tmp/skip" ]; then
			echo "ok $n ${name#test_} # SKIP $(cat "$tap_tmp/skip")"
		elif [ $status = 0 ]; then
			echo "ok $n ${name#test_}"
		else
			sed 's/^/#   /' "$tap_tmp/log" | tail -n 60
			echo "not ok $n ${name#test_} ($(tail -n 1 "$tap_tmp/where" 2> /dev/null))"
		fi
	done
}
