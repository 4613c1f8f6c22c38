# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For scripts that source tap.sh, which sets tap_tmp, and try a tool: what it refuses, and
# who may not.
# shellcheck disable=SC2154

# refused STATUS TEXT COMMAND...: that exit status, one line which says TEXT, nothing else.
refused() {
	local want=$1 text=$2 status=0
	shift 2
	timeout 60 "$@" > "$tap_tmp/out" 2> "$tap_tmp/err" || status=$?
	cat "$tap_tmp/err"
	[ $status = "$want" ]
	[ ! -s "$tap_tmp/out" ]
	[ "$(wc -l < "$tap_tmp/err")" = 1 ]
	grep -qF -- "$text" "$tap_tmp/err"
}

# shellcheck disable=SC2034
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --)
