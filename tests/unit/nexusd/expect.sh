# SPDX-License-Identifier: Apache-2.0
# What the tests of programs share: how they ended, what they said, what is on disk.
# shellcheck shell=bash disable=SC2034,SC2119,SC2154
# Sourced with $build set; makes $dir.
nexusd=$build/userspace/nexusd/nexusd
ctl=$build/tools/nexusctl/nexusctl
fsck=$build/tools/fsck.nexusfs/fsck.nexusfs
dir=$(mktemp -d "${TEST_DIR:-/var/tmp}/nexusd-programs-XXXXXX")
pid=
n=0
export NEXUS_DEVICE=/nonexistent/nexusfs ASAN_OPTIONS=detect_leaks=1
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT

ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() { n=$((n + 1)); echo "not ok $n - $1"; sed 's/^/# /' "$dir/out"; }

# ended NAME STATUS WORDS COMMAND...: exits so, and says that in one line, or with status 0
# and no words says nothing.
ended() {
	local name=$1 status=$2 words=$3
	shift 3
	timeout 60 "$@" > "$dir/out" 2>&1
	local got=$?
	if [ $got != "$status" ]; then
		echo "exit $got, wanted $status" >> "$dir/out"
		return 1
	elif [ "$status$words" = 0 ]; then
		[ ! -s "$dir/out" ] || { echo "nothing was to be said" >> "$dir/out" && return 1; }
	# A check has a line for each problem and one for the sum.
	elif [[ $status != [034] && ! ($1 == "$fsck" && $status == [15]) ]] && [ "$(wc -l < "$dir/out")" != 1 ]; then
		echo "not one line" >> "$dir/out"
		return 1
	elif ! grep -qF -- "$words" "$dir/out"; then
		echo "wanted: $words" >> "$dir/out"
		return 1
	fi
}

# expect NAME STATUS WORDS COMMAND...: a test of its own.
expect() {
	if ended "$@"; then ok "$1"; else not_ok "$1"; fi
}

# What is on disk: names, sizes, contents, but for locks and the helper's note of what
# it applies.
state() {
	(cd "$dir/data" && find . -type f ! -name LOCK ! -name lock.mdb \
		! -name applying -exec sha256sum {} +
		find . ! -type f) | sort
}

# untouched NAME STATUS WORDS COMMAND...: like expect, and the data is as it was.
untouched() {
	local before
	before=$(state)
	expect "$@"
	[ "$(state)" = "$before" ] && ok "$1: nothing on disk is touched" && return
	diff <(printf '%s\n' "$before") <(state) > "$dir/out"
	not_ok "$1: nothing on disk is touched"
}

start() {
	"$nexusd" -d "$dir/data" -S "$dir/sock" --set segment_size=2M --set pack_size=1M \
		--set allow_any_host=yes "$@" > "$dir/log" 2>&1 &
	pid=$!
	for _ in $(seq 600); do
		[ -S "$dir/sock" ] && "$ctl" --socket "$dir/sock" status > /dev/null 2>&1 && return
		sleep 0.1
	done
}

# stop NAME: ends in order, and without a word from the sanitizers.
stop() {
	kill -TERM $pid
	kill -TERM $pid 2>/dev/null
	wait $pid
	local got=$?
	pid=
	cp "$dir/log" "$dir/out"
	if [ $got = 0 ] && ! grep -q 'Sanitizer' "$dir/log"; then
		ok "$1"
	else
		echo "exit $got" >> "$dir/out"
		not_ok "$1"
	fi
}
