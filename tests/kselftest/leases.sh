#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Leases outlive whatever there is: helpers, mounts, the clock; and nexusctl lease.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
work=$dir/leases.$$
zones=/var/lib/nexusfs/zones old=/tmp/nexus-older

tap_cleanup() {
	[ ! -s "$tap_tmp/clock" ] || date -s "@$(($(date +%s) - $(cat "$tap_tmp/clock")))" > /dev/null
	rm -f "$tap_tmp/clock"
	release
	! mountpoint -q $old || umount $old
	mountpoint -q "$dir" || mount -t nexusfs root "$dir" || true
	rm -rf "$work" ${zones:?}/golden ${zones:?}/leased
}

need() {
	need_nexus
	umask 022
	rm -rf "$work"
	mkdir -p "$work/d"
	echo text > "$work/d/f"
}

lease() { nexusctl lease "$@"; }

status() {
	local status=0
	"$@" > "$tap_tmp/out" 2> "$tap_tmp/err" || status=$?
	echo $status
}

# take FILE NAME [OPTION...]: leaves $id and $token.
take() {
	local path=$1 name=$2
	shift 2
	read -r id token < <(lease acquire "$path" --name "$name" --timeout 0 "$@")
	[ -n "$token" ]
}

count() { lease list "$dir" | grep -c " $1 " || true; }

test_tool() {
	need
	local f=$work/d/f other=00000000000000000000000000000001
	[ "$(lease info "$f")" = free ]
	take "$f" 'one two' --ttl 1000
	[ "$(status lease acquire "$f" --name b --timeout 0)" = 1 ]
	grep -q 'others have the lease$' "$tap_tmp/err"
	[ "$(status lease acquire "$f" --name b --timeout 0.05)" = 1 ]
	[ "$(status lease acquire "$f" --name b --holders 2 --timeout 0)" = 1 ]
	grep -q 'another number of holders' "$tap_tmp/err"
	lease info "$f" | grep -q '^1 of 1, 0 waiting$'
	lease info "$f" | grep -q "^one two: id $id, token $token, [0-9]* seconds left\$"
	lease --json info "$f" | python3 -c "
import json, sys
m = json.load(sys.stdin)
h = m['holders'][0]
assert m['max_holders'] == 1 and m['waiting'] == 0 and len(m['holders']) == 1, m
assert h['name'] == 'one two' and h['id'] == '$id' and h['token'] == $token, m
assert h['expires'] - h['acquired'] == 1000, m"
	lease list "$dir" | grep -q "^mutex one\\\\040two $token [0-9]* $(stat -c %i "$f") .*/d/f\$"
	lease --json list "$dir" | python3 -c "
import json, sys
(h,) = [h for h in json.load(sys.stdin) if h['token'] == $token]
assert h['max_holders'] == 1 and h['name'] == 'one two' and h['path'].endswith('/d/f'), h
assert h['inode'] == $(stat -c %i "$f") and h['expires'] > 1000, h"
	lease check "$f" "$token"
	[ "$(status lease check "$f" $((token + 1)))" = 1 ]
	grep -q 'not held by that one' "$tap_tmp/err"
	[ "$(lease extend "$f" --id "$id" --ttl 5000)" = "$id $token" ]
	lease --json extend "$f" --id "$id" | python3 -c "
import json, sys
assert json.load(sys.stdin)['token'] == $token"
	[ "$(status lease extend "$f" --id $other)" = 1 ]
	[ "$(status lease release "$f" --id $other)" = 1 ]
	[ "$(lease acquire "$f" --name again --id "$id")" = "$id $token" ]
	[ -z "$(lease release "$f" --id "$id")" ]
	[ "$(status lease release "$f" --id "$id")" = 1 ]
	take "$f" b --id $other --holders 3
	[ "$id" = $other ]
	lease list "$dir" | grep -q '^semaphore:3 b '
	take "$f" c --holders 3
	[ -z "$(lease break "$f" --id $other)" ]
	lease info "$f" | grep -q '^1 of 3'
	lease break "$f"
	[ "$(status lease break "$f")" = 1 ]
	grep -q 'nobody has a lease' "$tap_tmp/err"
}

paths() { lease --json list "$dir" "$@" | python3 -c '
import json, sys
print(*sorted(h["path"][h["path"].rindex("/"):] for h in json.load(sys.stdin)))'; }

test_list() {
	need
	mkdir "$work/e"
	echo text > "$work/e/a b"
	take "$work/d/f" listed --ttl 5000
	take "$work/e/a b" listed --ttl 5000
	local below=${work#"$dir"}
	[ "$(paths "$below/*")" = '/a b /f' ]
	[ "$(paths "$below/d/*")" = '/f' ]
	[ "$(paths '*/[a-z] b')" = '/a b' ]
	[ "$(lease list "$dir" "$below/d/f" | wc -l)" = 1 ]
	[ -z "$(lease list "$dir" "$below/d")" ]
	[ "$(lease --json list "$dir" "$below/none" | tr -d '[:space:]')" = '[]' ]
	[ "$(lease list "$dir" "$below/*" --limit 1 | wc -l)" = 1 ]
	[ "$(lease list "$dir" "$below/*" --limit 2 | wc -l)" = 2 ]
	[ "$(lease list "$dir" "$below/*" --limit 3 | wc -l)" = 2 ]
	lease list "$dir" "$below/e/*" | grep -q '/e/a\\040b$'
}

# ended PID STATUS: of a child of this shell.
ended() {
	local status=0
	wait "$1" || status=$?
	[ "$status" = "$2" ]
}

# shellcheck disable=SC2016
test_run() {
	need
	local f=$work/d/f runner command said
	said=$(lease run "$f" --name runs -- sh -c 'nexusctl lease info "$0" &&
		nexusctl lease check "$0" "$NEXUS_LEASE_TOKEN" && echo "$NEXUS_LEASE_ID"' "$f")
	[ "$(lease info "$f")" = free ]
	said=${said//$'\n'/ }
	[[ $said =~ ^"1 of 1, 0 waiting runs: id "([0-9a-f]{32})", token "[0-9]+", ".*" "([0-9a-f]{32})$ ]]
	[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
	# Its status is the command's, and nothing is held after any of them.
	[ "$(status lease run "$f" --name a -- sh -c 'exit 7')" = 7 ]
	[ "$(status lease run "$f" --name a -- sh -c 'kill -9 $$')" = 137 ]
	[ "$(status lease run "$f" --name a -- "$work/none")" = 127 ]
	[ "$(status lease run "$f" --name a -- "$f")" = 126 ]
	[ "$(lease info "$f")" = free ]
	# Held by another, nothing is run.
	take "$f" other
	[ "$(status lease run "$f" --name a --timeout 0 -- touch "$work/ran")" = 1 ]
	grep -q 'others have the lease$' "$tap_tmp/err"
	[ ! -e "$work/ran" ]
	lease release "$f" --id "$id"
	# It is extended.
	lease run "$f" --name a --ttl 15 -- sh -c '
		ends() { nexusctl lease --json info "$0" | tr -dc "[:alnum:]:," | sed "s/.*expires:\([0-9]*\).*/\1/"; }
		first=$(ends)
		[ -n "$first" ] || exit 1
		while [ "$(ends)" = "$first" ]; do sleep 0.1; done' "$f"
	# A signal is the command's to answer.
	nexusctl lease run "$f" --name a -- sh -c 'trap "exit 9" TERM; echo > "$0"; while :; do sleep 0.1; done' \
		"$work/up" &
	runner=$!
	until_true 20 test -e "$work/up"
	kill "$runner"
	ended "$runner" 9
	[ "$(lease info "$f")" = free ]
	# Killed, it leaves the lease to its end, and no command.
	nexusctl lease run "$f" --name a --ttl 5000 -- sh -c 'echo $$ > "$0"; exec sleep 1000' "$work/pid" &
	runner=$!
	until_true 20 test -s "$work/pid"
	command=$(cat "$work/pid")
	kill -9 "$runner"
	ended "$runner" 137
	until_true 20 test ! -e "/proc/$command"
	lease info "$f" | grep -q '^1 of 1'
}

# Whose lease is ended by others is told to end, then made to.
# shellcheck disable=SC2016
test_run_loses_it() {
	need
	local f=$work/d/f runner
	nexusctl lease run "$f" --name a --ttl 6 -- sh -c 'trap "echo told > \"$0\"; exit 0" TERM
		echo > "$0.up"; while :; do sleep 0.1; done' "$work/told" 2> "$tap_tmp/lost" &
	runner=$!
	until_true 20 test -e "$work/told.up"
	lease break "$f"
	ended "$runner" 3
	[ "$(cat "$work/told")" = told ]
	grep -q 'the lease was lost: others ended it' "$tap_tmp/lost"
	nexusctl lease run "$f" --name a --ttl 6 -- sh -c 'trap "" TERM; echo $$ > "$0"; while :; do sleep 1; done' \
		"$work/deaf" 2> "$tap_tmp/lost" &
	runner=$!
	until_true 20 test -s "$work/deaf"
	lease break "$f"
	ended "$runner" 3
	[ ! -e "/proc/$(cat "$work/deaf")" ]
	# Lost, and the command is done before that was seen.
	[ "$(status lease run "$f" --name a --ttl 5000 -- nexusctl lease break "$f")" = 3 ]
	grep -q 'not held by that one' "$tap_tmp/err"
}

test_wrong_usage() {
	need
	local f=$work/d/f args
	for args in "acquire $f" "acquire --name x" "acquire $f --name x --ttl 0" \
		"acquire $f --name x --ttl 86401" "acquire $f --name x --ttl -1" \
		"acquire $f --name x --ttl 1s" "acquire $f --name x --holders 0" \
		"acquire $f --name x --holders 129" "acquire $f --name x --timeout -1" \
		"acquire $f --name $(printf 'x%.0s' $(seq 65))" "acquire $f --name x --id 12" \
		"acquire $f --name x --id 00000000000000000000000000000000" \
		"acquire $f --name x --id 0000000000000000000000000000000g" \
		"extend $f" "release $f" "extend $f --id x" "info $f --id $f" "check $f" \
		"check $f x" "check $f 0" "break $f --ttl 1" "list" "acquire $f --shared" \
		"list $dir --limit 0" "list $dir --limit x" "list $dir a b" "info $f --limit 1" \
		"run $f --name x" "run $f -- true" "run --name x -- true" \
		"run $f --name x --ttl 0 -- true"; do
		# shellcheck disable=SC2086
		[ "$(status lease $args)" = 2 ] || { echo "$args"; return 1; }
		[ ! -s "$tap_tmp/out" ]
	done
	[ "$(status nexusctl status --ttl 1)" = 2 ]
	[ "$(status nexusctl status --name x)" = 2 ]
	[ "$(status lease acquire /tmp --name x)" = 1 ]
	grep -q 'no file or directory on nexusfs' "$tap_tmp/err"
	[ "$(status lease acquire "$work/none" --name x)" = 1 ]
	[ "$(status lease list /tmp)" = 1 ]
	grep -q 'not where a nexusfs is mounted' "$tap_tmp/err"
	[ "$(status lease acquire "$f" --name "$(printf 'a\tb')")" = 1 ]
}

# What a call says is on disk already.
test_durable() {
	need
	need_helper
	take "$work/d/f" durable
	[ "$(lsn root durable)" -gt "$token" ]
	local before
	before=$(lsn root tail)
	lease extend "$work/d/f" --id "$id" > /dev/null
	[ "$(lsn root durable)" -gt "$before" ]
	before=$(lsn root tail)
	lease release "$work/d/f" --id "$id"
	[ "$(lsn root durable)" -gt "$before" ]
}

test_remount() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	local f=$work/d/f first
	take "$f" kept --ttl 5000
	first=$token
	umount "$dir"
	mount -t nexusfs root "$dir"
	# Nobody has looked at the file.
	lease list "$dir" | grep -q "^mutex kept $token [0-9]* [0-9]* ${f#"$dir"}\$"
	lease check "$f" "$token"
	[ "$(status lease acquire "$f" --name b --timeout 0)" = 1 ]
	umount "$dir"
	"$supervise" stop
	fsck.nexusfs root
	"$supervise" start
	mount -t nexusfs root "$dir"
	lease check "$f" "$token"
	[ "$(lease extend "$f" --id "$id")" = "$id $token" ]
	lease release "$f" --id "$id"
	# The next token is higher, also when nothing was left of the one before.
	umount "$dir"
	mount -t nexusfs root "$dir"
	[ "$(lease info "$f")" = free ]
	take "$f" next
	[ "$token" -gt "$first" ]
}

test_no_helper() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	local f=$work/d/f d=$work/d first alone
	take "$f" kept --ttl 5000
	first=$id
	take_helper_away
	# All goes on, and what is done is what the next helper finds.
	lease check "$f" "$token"
	take "$d" alone --ttl 5000
	alone=$id
	lease extend "$d" --id "$alone" --ttl 6000 > /dev/null
	lease release "$f" --id "$first"
	take "$f" later --ttl 5000
	# The listing, too: the names are in memory.
	[ "$(count alone)" = 1 ]
	# It takes no helper to unmount.
	timeout 60 umount "$dir"
	bring_helper_back
	until_true 60 mount -t nexusfs root "$dir"
	[ "$(count kept)" = 0 ]
	[ "$(count alone)" = 1 ]
	lease check "$f" "$token"
	lease extend "$d" --id "$alone" > /dev/null
	# Killed while it is mounted, and back.
	kill_helper
	until_true 60 nexusctl status
	lease check "$f" "$token"
	take "$work" after
	[ "$(count after)" = 1 ]
}

# Who sets the clock neither ends a lease nor prolongs it, also over a remount.
test_clock() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	local f=$work/d/f
	take "$f" clock --ttl 1000
	echo 7200 > "$tap_tmp/clock"
	date -s "@$(($(date +%s) + 7200))" > /dev/null
	lease check "$f" "$token"
	[ "$(status lease acquire "$f" --name b --timeout 0)" = 1 ]
	echo -7200 > "$tap_tmp/clock"
	date -s "@$(($(date +%s) - 14400))" > /dev/null
	lease check "$f" "$token"
	# Two hours back, and it is not held for two hours more.
	umount "$dir"
	mount -t nexusfs root "$dir"
	lease check "$f" "$token"
	lease extend "$f" --id "$id" --ttl 1 > /dev/null
	lease acquire "$f" --name after > /dev/null
	[ "$(count after)" = 1 ]
	[ "$(count clock)" = 0 ]
}

test_read_only() {
	need
	local f=$work/d/f
	take "$f" held
	mount -o remount,ro "$dir"
	lease check "$f" "$token"
	[ "$(status lease acquire "$f" --name b --timeout 0)" = 1 ]
	grep -q 'Read-only' "$tap_tmp/err"
	[ "$(status lease extend "$f" --id "$id")" = 1 ]
	[ "$(status lease release "$f" --id "$id")" = 1 ]
	[ "$(status lease break "$f")" = 1 ]
	mount -o remount,rw "$dir"
	lease release "$f" --id "$id"
}

# An older zone has none, until it is upgraded.
test_older_zone() {
	need
	need_helper
	local f=$old/file
	mkdir -p $old
	tar -C $zones -xzf "$here/../data/zone-1.tar.gz"
	mount -t nexusfs golden $old
	echo text > $f
	[ "$(status lease acquire $f --name a)" = 1 ]
	grep -q 'no leases; see nexusctl zone upgrade' "$tap_tmp/err"
	[ "$(status lease list $old)" = 0 ]
	[ ! -s "$tap_tmp/out" ]
	umount $old
	until_true 20 nexusctl zone upgrade golden
	mount -t nexusfs golden $old
	take $f a --ttl 5000
	umount $old
	fsck.nexusfs golden
	rm -r $zones/golden
}

# With its place in the log, so that tokens go on from there.
test_dump() {
	need
	need_helper
	local f=$old/file first
	mkdir -p $old
	nexusctl zone create leased
	mount -t nexusfs leased $old
	echo text > $f
	take $f a --ttl 5000
	first=$token
	umount $old
	nexusctl dump leased "$tap_tmp/dump"
	[ "$(grep -c '^H' "$tap_tmp/dump")" = 1 ]
	mv $zones/leased "$tap_tmp/leased"
	nexusctl zone create leased
	cp -a "$tap_tmp/leased/packs/." $zones/leased/packs/
	nexusctl load leased "$tap_tmp/dump"
	fsck.nexusfs leased
	mount -t nexusfs leased $old
	lease check $f "$token"
	[ "$(status lease acquire $f --name b --timeout 0)" = 1 ]
	lease release $f --id "$id"
	take $f b
	[ "$token" -gt "$first" ]
	umount $old
}

test_permissions_of_the_list() {
	need
	take "$work/d/f" listed
	[ "$(count listed)" = 1 ]
	chmod 711 "$work"
	fails setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- \
		cat "$dir/__sys__/locks" 2> /dev/null
}

test_fsck() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	take "$work/d/f" a --ttl 5000
	take "$work/d" b --ttl 1
	rm "$work/d/f"
	[ "$(count a)" = 0 ]
	umount "$dir"
	"$supervise" stop
	# What is over is no damage.
	fsck.nexusfs root
	"$supervise" start
	mount -t nexusfs root "$dir"
	[ "$(count a)" = 0 ]
}

tap_main "$@"
