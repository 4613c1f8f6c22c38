#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nexusctl stream: every action, what it prints, and what it says when it cannot; and
# what is there after a remount, without a helper, and when one is killed.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/tool.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
work=$dir/streams

need() {
	need_nexus
	umask 022
	rm -rf "$work"
	mkdir "$work"
	cd "$work"
}

# field NAME [STREAM]: of stream stat --json.
field() {
	nexusctl --json stream stat "${2:-s}" | sed -n "s/,\$//; s/^ *\"$1\": //p"
}

test_create() {
	need
	nexusctl stream create s
	[ -f s ]
	[ "$(stat -c '%a %s' s)" = "644 0" ]
	[ "$(field max_bytes) $(field max_age) $(field persist)" = "1048576 0 false" ]
	nexusctl stream create --max-bytes 10000 --max-age 2h --mode 622 t
	[ "$(field max_bytes t) $(field max_age t)" = "12288 7200" ]
	[ "$(stat -c %a t)" = 622 ]
	nexusctl stream create --persist --max-bytes=2G --max-age=7d p
	[ "$(field max_bytes p) $(field max_age p) $(field persist p)" = "2147483648 604800 true" ]
}

test_refused() {
	need
	local word
	touch file
	nexusctl stream create s
	for word in file s; do
		refused 1 "$word: File exists" nexusctl stream create $word
	done
	for word in 8191 0 -1 x '' 2T 1P 1.5K; do
		refused 2 "--max-bytes" nexusctl stream create --max-bytes "$word" new
	done
	for word in 0 -1 x '' 1w 25000d; do
		refused 2 "--max-age" nexusctl stream create --max-age "$word" new
	done
	refused 2 "--mode" nexusctl stream create --mode 8 new
	refused 2 "only for stream create" nexusctl stream stat --persist s
	refused 2 "only for stream tail" nexusctl stream append -f s x
	refused 2 "--capacity is only for pipe create" nexusctl stream create --capacity 5 new
	refused 1 "none/new: No such file or directory" nexusctl stream create none/new
	refused 1 "..: this is no name" nexusctl stream create ..
	refused 1 "/run/new: not on a nexusfs" nexusctl stream create /run/new
	refused 1 "new: Permission denied" "${nobody[@]}" nexusctl stream create new
	chmod 777 .
	refused 1 "new: only an administrator" "${nobody[@]}" nexusctl stream create --max-bytes 1G new
	for word in stat tail "append x" "trim 0"; do
		# shellcheck disable=SC2086
		set -- $word
		refused 1 "file: not a stream" nexusctl stream "$1" file ${2:+"$2"}
		refused 1 "/dev/null: not on a nexusfs" nexusctl stream "$1" /dev/null ${2:+"$2"}
		refused 1 "none: No such file" nexusctl stream "$1" none ${2:+"$2"}
	done
	[ ! -s file ]
	refused 1 "s: Permission denied" "${nobody[@]}" nexusctl stream append s x
	refused 2 "nothing is no record" nexusctl stream append s ''
	refused 2 "nothing is no record" nexusctl stream append s < /dev/null
	refused 1 "longer than the stream takes" nexusctl stream append s < <(head -c 1048577 /dev/zero)
	refused 2 "a position" nexusctl stream trim s x
	refused 1 "no record begins there" nexusctl stream trim s 5
	refused 1 "no record begins there" nexusctl stream tail --from 5 s
	refused 2 "--from" nexusctl stream tail --from x s
}

# Shells and their tools, where a stream is as good as a file.
test_as_a_file() {
	need
	nexusctl stream create s
	echo one >> s
	echo two >> s
	nexusctl stream append s three
	printf 'four\n' | nexusctl stream append s
	[ "$(cat s)" = "one
two
threefour" ]
	[ "$(nexusctl stream tail s)" = "one
two
three
four" ]
	[ "$(nexusctl stream tail --from 64 s)" = "three
four" ]
	[ -z "$(nexusctl stream tail --from end s)" ]
	[ "$(stat -c %s s)" = "$(field tail)" ]
	[ "$(field records)" = 4 ]
	grep -q two s
	cp s copy
	[ "$(cat copy)" = "$(cat s)" ]
	fails sh -c 'echo over > s'
	fails truncate -s 0 s
	nexusctl --json stream tail s | python3 -c '
import base64, json, sys
text, at, got = sys.stdin.read(), 0, []
while text[at:].strip():
    record, end = json.JSONDecoder().raw_decode(text[at:].lstrip())
    at = len(text) - len(text[at:].lstrip()) + end
    got.append(record)
assert [base64.b64decode(r["base64"]) for r in got] == [b"one\n", b"two\n", b"three", b"four\n"], got
assert [r["bytes"] for r in got] == [4, 4, 5, 5], got
assert got[0]["position"] == 0 and got[0]["time"] <= got[3]["time"], got'
	nexusctl stream trim s 64
	[ "$(cat s)" = threefour ]
	refused 1 "begins behind that already" nexusctl stream trim s 0
	nexusctl stream stat s > "$tap_tmp/stat"
	cat "$tap_tmp/stat"
	grep -q '^start: *64$' "$tap_tmp/stat"
	grep -q '^records: *2, in 4096 bytes of memory$' "$tap_tmp/stat"
	nexusctl stream trim s end
	[ -z "$(cat s)" ]
	mv s t
	rm t
}

test_tail_follows() {
	need
	nexusctl stream create s --max-bytes 64K
	echo before >> s
	nexusctl stream tail -f s > "$tap_tmp/got" 2> "$tap_tmp/err" &
	local pid=$! n
	until_true 60 grep -q before "$tap_tmp/got"
	echo after >> s
	until_true 60 grep -q after "$tap_tmp/got"
	# Overtaken, it says so and goes on.
	kill -STOP $pid
	for n in $(seq 100); do printf '%01000d\n' "$n" >> s; done
	kill -CONT $pid
	until_true 60 grep -q '0100$' "$tap_tmp/got"
	grep -q 'are gone' "$tap_tmp/err"
	kill $pid
	wait $pid || true
	# coreutils' own.
	tail -c +1 -f t > /dev/null 2>&1 && return 1
	nexusctl stream create t
	echo first >> t
	tail -c +1 -f t > "$tap_tmp/got" &
	pid=$!
	until_true 60 grep -q first "$tap_tmp/got"
	echo second >> t
	until_true 60 grep -q second "$tap_tmp/got"
	kill $pid
	wait $pid || true
}

# What is in memory is gone, what persists is there, the streams both are.
test_remount() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	local i old
	nexusctl stream create v --mode 640 --max-bytes 64K
	nexusctl stream create p --persist --max-bytes 32K --max-age 1h
	for i in $(seq 200); do printf '%0500d\n' "$i" >> p; done
	echo gone >> v
	old=$(field id v)
	nexusctl stream tail p > "$tap_tmp/before"
	nexusctl --json stream stat p | grep -v '"bytes"' > "$tap_tmp/stat"
	cd /
	umount "$dir"
	fsck.nexusfs root
	mount -t nexusfs root "$dir"
	cd "$work"
	[ "$(field records v) $(field start v) $(field tail v)" = "0 0 0" ]
	[ "$(field max_bytes v) $(stat -c '%a %s' v)" = "65536 640 0" ]
	# So that who kept a position elsewhere knows.
	[ "$(field id v)" != "$old" ]
	nexusctl --json stream stat p | grep -v '"bytes"' | diff "$tap_tmp/stat" -
	nexusctl stream tail p | cmp "$tap_tmp/before" -
	grep -q '00200$' "$tap_tmp/before"
	echo more >> p
	echo there >> v
	[ "$(nexusctl stream tail p | tail -n 1)" = more ]
	[ "$(cat v)" = there ]
}

without_helper() {
	timeout 60 nexusctl stream create new
	echo hello >> s
	echo hello >> new
	# Durable all the same: the kernel writes the log.
	timeout 60 sh -c 'echo hello >> p'
	[ "$(cat s new)" = "hello
hello" ]
	[ "$(timeout 60 cat p)" = hello ]
}

test_without_helper() {
	local status
	need
	need_helper
	nexusctl stream create s
	nexusctl stream create p --persist
	take_helper_away
	# Not in a condition, or -e would not count inside.
	set +e
	( set -eu; without_helper )
	status=$?
	set -e
	release
	[ $status = 0 ]
	until_true 60 nexusctl status
	[ "$(cat p)" = hello ]
}

# The zone is read-only then, also for what is only in memory.
stream_is_read_only() {
	refused 1 "s: Read-only file system" nexusctl stream append s x
	refused 1 "p: Read-only file system" nexusctl stream append p x
	refused 1 "s: Read-only file system" nexusctl stream trim s end
	refused 1 "new: Read-only file system" nexusctl stream create new
	# Whether the leases of it are known or not.
	fails timeout 60 nexusctl lease acquire s --name other --timeout 0 2> "$tap_tmp/err"
	grep -qE 'Read-only file system|endpoint is not connected' "$tap_tmp/err"
	[ "$(timeout 60 cat s)" = hello ]
	[ "$(timeout 60 cat p)" = hello ]
}

test_after_grace() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	nexusctl stream create s
	nexusctl stream create p --persist
	echo hello >> s
	echo hello >> p
	after_grace stream_is_read_only
}

# limited COMMAND...: as one who is not above limits.
limited() { setpriv --reuid 71078 --regid 71078 --clear-groups --inh-caps=-all -- "$@"; }

# The zone ends in the middle of what several append, while one follows.
test_no_room() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	local used tail i pids=() follower
	chmod 777 .
	limited nexusctl stream create --persist --max-bytes 64M p
	used=$(nexusctl --json quota get root --zone |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"]["used"] // 4096)')
	nexusctl quota set root --zone --blocks=$(((used + 40) * 4))K
	nexusctl stream tail -f p > "$tap_tmp/followed" &
	follower=$!
	for i in 1 2 3; do
		(
			n=0
			while limited nexusctl stream append p "$i $n $(printf '%02000d' 0)" 2> "$tap_tmp/err.$i"; do
				n=$((n + 1))
			done
			echo "$n" > "$tap_tmp/count.$i"
		) &
		pids+=($!)
	done
	wait "${pids[@]}"
	grep -h . "$tap_tmp"/err.*
	[ "$(grep -lE 'No space left|quota' "$tap_tmp"/err.[123] | wc -l)" = 3 ]
	# Whole records, those that were acknowledged and no others, for all who look.
	tail=$(field tail p)
	[ "$(stat -c %s p)" = "$tail" ]
	nexusctl stream tail p > "$tap_tmp/got"
	for i in 1 2 3; do
		[ "$(cat "$tap_tmp/count.$i")" -gt 0 ]
		seq 0 $(($(cat "$tap_tmp/count.$i") - 1)) |
			diff - <(sed -n "s/^$i \\([0-9]*\\) 0\\{2000\\}\$/\\1/p" "$tap_tmp/got")
	done
	[ "$(field records p)" = "$(wc -l < "$tap_tmp/got")" ]
	until_true 60 cmp -s "$tap_tmp/got" "$tap_tmp/followed"
	# Not for what was not there then, either.
	nexusctl quota clear root --zone
	limited nexusctl stream append p after
	[ "$(nexusctl stream tail --from "$tail" p)" = after ]
	until_true 60 grep -q '^after$' "$tap_tmp/followed"
	kill $follower
	wait $follower || true
	[ "$(field records p)" = $(($(wc -l < "$tap_tmp/got") + 1)) ]
}

# The zone as text and back: streams begin and end where they did.
test_dump() {
	need
	need_helper
	local zones=/var/lib/nexusfs/zones at=/tmp/nexus-streams name
	mkdir -p $at
	rm -rf ${zones:?}/streams
	nexusctl zone create streams
	mount -t nexusfs streams $at
	nexusctl stream create --persist --max-bytes 64K --max-age 30d $at/bounded
	nexusctl stream create --persist $at/trimmed
	nexusctl stream create --persist $at/empty
	nexusctl stream create --max-age 1h $at/memory
	python3 - $at <<- 'END'
		import os, sys
		for name, count in ("bounded", 200), ("trimmed", 40), ("memory", 5):
		    fd = os.open(sys.argv[1] + "/" + name, os.O_WRONLY)
		    for n in range(count):
		        os.write(fd, b"%d %s" % (n, b"x" * (n * 37 % 2000)))
	END
	# Somewhere inside of a block.
	nexusctl stream trim $at/trimmed "$(nexusctl --json stream tail $at/trimmed |
		sed -n 's/^ *"position": \([0-9]*\),*$/\1/p' | sed -n 18p)"
	setfattr -n user.kind -v log $at/bounded
	nexusctl lease acquire $at/bounded --name keeper --ttl 5000 > "$tap_tmp/lease"
	for name in bounded trimmed empty; do
		field start $at/$name > "$tap_tmp/$name.start"
		nexusctl --json stream stat $at/$name | grep -v '"bytes"' > "$tap_tmp/$name.stat"
		nexusctl --json stream tail $at/$name > "$tap_tmp/$name.records"
	done
	[ "$(cat "$tap_tmp/bounded.start")" -gt 0 ]
	[ $(($(cat "$tap_tmp/trimmed.start") % 4096)) != 0 ]
	umount $at
	nexusctl dump streams "$tap_tmp/dump"
	mv $zones/streams "$tap_tmp/zone"
	nexusctl zone create streams
	cp -a "$tap_tmp/zone/packs/." $zones/streams/packs/
	nexusctl load streams "$tap_tmp/dump"
	fsck.nexusfs streams
	mount -t nexusfs streams $at
	for name in bounded trimmed empty; do
		nexusctl --json stream stat $at/$name | grep -v '"bytes"' | diff "$tap_tmp/$name.stat" -
		nexusctl --json stream tail $at/$name | diff "$tap_tmp/$name.records" -
	done
	[ "$(field tail $at/memory) $(field max_age $at/memory)" = "0 3600" ]
	[ "$(getfattr --only-values -n user.kind $at/bounded)" = log ]
	nexusctl lease check $at/bounded "$(cut -d ' ' -f 2 "$tap_tmp/lease")"
	for name in bounded trimmed empty memory; do
		nexusctl stream append $at/$name next
		[ "$(nexusctl stream tail $at/$name | tail -n 1)" = next ]
	done
	umount $at
	fsck.nexusfs streams
	rm -r $zones/streams
}

# Whose lease it is goes with the stream, not with what it is called or who has it open.
test_lease() {
	need
	local id token
	nexusctl stream create --persist s
	read -r id token < <(nexusctl lease acquire s --name appender --ttl 1000)
	refused 1 "others have the lease" nexusctl lease acquire s --name other --timeout 0
	# It keeps nobody from appending.
	nexusctl stream append s one
	mv s t
	nexusctl lease check t "$token"
	nexusctl stream trim t end
	nexusctl lease release t --id "$id"
	[ "$(nexusctl lease info t)" = free ]
}

# Killed again and again, helper and appenders: whatever was acknowledged is there.
test_killed() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	local i pid
	nexusctl stream create p --persist --max-bytes 16M
	for i in 1 2 3; do
		(
			n=0
			while :; do
				n=$((n + 1))
				nexusctl stream append p "$i $n" && echo "$i $n" >> "$tap_tmp/acked.$i"
			done
		) &
		eval "pid$i=$!"
	done
	for i in 1 2; do
		sleep 2
		kill_helper
		until_true 60 nexusctl status
	done
	for i in 1 2 3; do
		pid=pid$i
		kill "${!pid}"
		wait "${!pid}" || true
	done
	cd /
	until_true 60 umount "$dir"
	mount -t nexusfs root "$dir"
	cd "$work"
	nexusctl stream tail p > "$tap_tmp/got"
	for i in 1 2 3; do
		[ -s "$tap_tmp/acked.$i" ]
		grep "^$i " "$tap_tmp/got" | head -n "$(wc -l < "$tap_tmp/acked.$i")" |
			cmp "$tap_tmp/acked.$i" -
	done
}

tap_cleanup() {
	cd /
	release
	! mountpoint -q /tmp/nexus-streams || umount /tmp/nexus-streams
	rm -rf /var/lib/nexusfs/zones/streams
	nexusctl quota clear root --zone 2> /dev/null || true
	[ "$(stat -f -c %t "$dir")" = 4e455853 ] || mount -t nexusfs root "$dir" || true
	rm -rf "$work"
}
tap_main "$@"
