#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nexusctl pipe: every action, what it prints, and what it says when it cannot.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/tool.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
work=$dir/pipes

need() {
	need_nexus
	umask 022
	rm -rf "$work"
	mkdir "$work"
	cd "$work"
}

# field NAME [RING]: of pipe stat --json.
field() {
	nexusctl --json pipe stat "${2:-ring}" | sed -n "s/,\$//; s/^ *\"$1\": //p"
}

has() { [ "$(field "$1")" = "$2" ]; }

test_create() {
	need
	nexusctl pipe create ring
	[ -p ring ]
	[ "$(stat -c %a ring)" = 644 ]
	has capacity 65536
	nexusctl pipe create --capacity 4096 --mode 622 b
	[ "$(field capacity b)" = 4096 ]
	[ "$(stat -c %a b)" = 622 ]
	nexusctl pipe create c --capacity=3K
	[ "$(field capacity c)" = 3072 ]
	nexusctl pipe create "$work/d" --capacity=2m
	[ "$(field capacity d)" = 2097152 ]
	nexusctl pipe create --mode 0 --capacity 1 e
	[ "$(field capacity e)" = 1 ]
	[ "$(stat -c %a e)" = 0 ]
}

test_create_refused() {
	need
	local word
	touch file
	mkdir there
	nexusctl pipe create ring
	ln -s nowhere link
	for word in file there ring link; do
		refused 1 "$word: File exists" nexusctl pipe create $word
	done
	for word in 0 -1 x '' 1G 4K2 17M 16777217 99999999999999999999 0x10 ' 5' 1.5K K; do
		refused 2 "--capacity" nexusctl pipe create --capacity "$word" new
	done
	for word in 8 -1 x '' 10000 rw; do
		refused 2 "--mode" nexusctl pipe create --mode "$word" new
	done
	refused 1 "none/new: No such file or directory" nexusctl pipe create none/new
	refused 1 "file/new: Not a directory" nexusctl pipe create file/new
	refused 1 "new/: this is no name" nexusctl pipe create new/
	refused 1 "..: this is no name" nexusctl pipe create ..
	refused 1 "File name too long" nexusctl pipe create "$(printf '%0256d' 1)"
	nexusctl pipe create "$(printf '%0255d' 1)"
	refused 1 "/run/new: not on a nexusfs" nexusctl pipe create /run/new
	refused 2 "missing argument" nexusctl pipe create
	refused 2 "--capacity is only for pipe create" nexusctl pipe stat ring --capacity 5
	refused 2 "--recursive is only for pipe list" nexusctl pipe stat ring -r
	refused 2 "unknown command" nexusctl pipe destroy ring
	refused 1 "new: Permission denied" "${nobody[@]}" nexusctl pipe create new
	chmod 777 .
	refused 1 "new: only an administrator" "${nobody[@]}" nexusctl pipe create --capacity 2M new
	[ ! -e new ]
}

test_read_only() {
	need
	nexusctl pipe create ring
	mkdir there
	mount --bind there there
	mount -o remount,bind,ro there
	refused 1 "there/new: Read-only file system" nexusctl pipe create there/new ||
		{ umount there; return 1; }
	umount there
	[ ! -e there/new ]
}

test_send_and_recv() {
	need
	nexusctl pipe create ring --capacity 100K
	# Waits for somebody to talk to, on either side.
	nexusctl pipe send ring "hello there" &
	[ "$(timeout 60 nexusctl pipe recv ring)" = "hello there" ]
	wait $!
	timeout 60 nexusctl pipe recv ring > "$tap_tmp/got" &
	nexusctl pipe send ring later
	wait $!
	[ "$(cat "$tap_tmp/got")" = later ]
	# Standard input is one message, of any bytes.
	head -c 100000 /dev/urandom > "$tap_tmp/bytes"
	nexusctl pipe send ring < "$tap_tmp/bytes" &
	timeout 60 nexusctl pipe recv ring | cmp - "$tap_tmp/bytes"
	wait $!
	# What was sent and not received does not need its sender.
	exec 9<> ring
	nexusctl pipe send ring one
	nexusctl pipe send ring "$(printf 'two\n2')"
	exec 9<&-
	has messages 2
	[ "$(timeout 60 nexusctl pipe recv ring)" = one ]
	timeout 60 nexusctl --json pipe recv ring | python3 -c '
import base64, json, sys
m = json.load(sys.stdin)
assert m == {"path": "ring", "bytes": 5, "base64": base64.b64encode(b"two\n2").decode()}, m'
	has messages 0
}

test_send_refused() {
	need
	mkfifo fifo
	touch file
	nexusctl pipe create ring --capacity 10
	exec 9<> ring
	refused 1 "ring: the message is larger than" nexusctl pipe send ring 12345678901
	nexusctl pipe send ring 1234567890
	refused 2 "nothing is no message" nexusctl pipe send ring ''
	refused 2 "nothing is no message" nexusctl pipe send ring < /dev/null
	nexusctl pipe close ring
	refused 1 "ring: nobody receives" nexusctl pipe send ring x
	exec 9<&-
	refused 1 "fifo: not a ring" nexusctl pipe send fifo x
	refused 1 "file: not a ring" nexusctl pipe send file x
	refused 1 "none: No such file" nexusctl pipe send none x
	refused 1 "/dev/null: not on a nexusfs" nexusctl pipe send /dev/null x
	chmod 444 ring
	refused 1 "ring: Permission denied" "${nobody[@]}" nexusctl pipe send ring x
	[ ! -s file ]
}

test_recv_refused() {
	need
	mkfifo fifo
	touch file
	nexusctl pipe create ring --mode 622
	refused 1 "fifo: not a ring" nexusctl pipe recv fifo
	refused 1 "file: not a ring" nexusctl pipe recv file
	refused 1 "none: No such file" nexusctl pipe recv none
	refused 1 "/dev/null: not on a nexusfs" nexusctl pipe recv /dev/null
	refused 1 "ring: Permission denied" "${nobody[@]}" nexusctl pipe recv ring
	# Closed, and empty.
	exec 9<> ring
	nexusctl pipe send ring last
	nexusctl pipe close ring
	[ "$(timeout 60 nexusctl pipe recv ring)" = last ]
	refused 1 "ring: no message, and nobody sends" nexusctl pipe recv ring
	exec 9<&-
}

test_stat() {
	need
	nexusctl pipe create ring --capacity 1000
	exec 9<> ring
	nexusctl pipe send ring 12345
	nexusctl pipe send ring 123
	[ "$(nexusctl pipe recv ring)" = 12345 ]
	nexusctl pipe stat ring > "$tap_tmp/stat"
	cat "$tap_tmp/stat"
	grep -q '^capacity: *1000 bytes$' "$tap_tmp/stat"
	grep -q '^waiting: *1 messages, 3 bytes, the next of 3$' "$tap_tmp/stat"
	grep -q '^open: *1 readers, 1 writers$' "$tap_tmp/stat"
	grep -q '^sent: *2 messages, 8 bytes, full 0 times$' "$tap_tmp/stat"
	grep -q '^received: *1 messages, 5 bytes, empty ' "$tap_tmp/stat"
	nexusctl --json pipe stat ring | python3 -c '
import json, sys
got = json.load(sys.stdin)
got.pop("empty")
want = {"path": "ring", "capacity": 1000, "bytes": 3, "messages": 1, "next": 3, "readers": 1, "writers": 1,
	"closed": False, "mapped_to_send": False, "mapped_to_receive": False, "sent": 2, "sent_bytes": 8, "received": 1, "received_bytes": 5, "full": 0}
assert got == want, got'
	nexusctl pipe close ring
	has closed true
	nexusctl pipe stat ring | grep -q '^open:.*, closed$'
	exec 9<&-
	has closed false
	# By a link, and from elsewhere.
	ln -s "$work/ring" link
	mkdir sub
	ln -s ../link sub/link
	[ "$(field capacity sub/link)" = 1000 ]
	mkfifo fifo
	refused 1 "fifo: not a ring" nexusctl pipe stat fifo
	refused 1 "sub: not a ring" nexusctl pipe stat sub
	refused 1 "none: No such file" nexusctl pipe stat none
	refused 1 "/run: not on a nexusfs" nexusctl pipe stat /run
	chmod 622 ring
	refused 1 "ring: Permission denied" "${nobody[@]}" nexusctl pipe stat ring
}

test_peek() {
	need
	nexusctl pipe create ring
	refused 1 "ring: no message" nexusctl pipe peek ring
	exec 9<> ring
	refused 1 "ring: no message" nexusctl pipe peek ring
	nexusctl pipe send ring first
	nexusctl pipe send ring second
	nexusctl pipe peek ring > "$tap_tmp/got"
	[ "$(cat "$tap_tmp/got")" = first ]
	[ "$(stat -c %s "$tap_tmp/got")" = 5 ]
	nexusctl --json pipe peek ring | python3 -c '
import json, sys
m = json.load(sys.stdin)
assert m == {"path": "ring", "bytes": 5, "base64": "Zmlyc3Q="}, m'
	has messages 2
	# Every length at the end of base64.
	local text
	[ "$(nexusctl pipe recv ring)$(nexusctl pipe recv ring)" = firstsecond ]
	for text in 1 12 123 first; do
		nexusctl pipe send ring $text
		nexusctl --json pipe peek ring | grep -qF "\"$(printf %s $text | base64)\""
		[ $text = first ] || nexusctl pipe recv ring > "$tap_tmp/got"
	done
	has messages 1
	exec 9<&-
	# It is there while nobody has the ring open.
	[ "$(nexusctl pipe peek ring)" = first ]
	has readers 0
	refused 1 "/run: not on a nexusfs" nexusctl pipe peek /run
	chmod 622 ring
	refused 1 "ring: Permission denied" "${nobody[@]}" nexusctl pipe peek ring
}

# Who waits in open(2) is not let through by one who only looks.
test_looking_disturbs_nobody() {
	need
	nexusctl pipe create ring
	nexusctl pipe send ring waiting &
	until_true 60 has writers 1
	for _ in 1 2 3; do
		has readers 0
		fails nexusctl pipe peek ring
		nexusctl pipe list | grep -q ' 0  *1  ./ring$'
	done
	# Nor by commands that are for something else.
	refused 1 "ring: no file or directory on nexusfs" nexusctl lock ring
	refused 1 "ring: no file or directory on nexusfs" nexusctl lock --shared ring -- true
	refused 1 "ring: no file or directory on nexusfs" nexusctl lease info ring
	refused 1 "ring: not a stream" nexusctl stream stat ring
	refused 1 "ring: not a stream" nexusctl stream tail ring
	refused 1 "ring: not a stream" nexusctl stream append ring x
	has readers 0
	# Who was let through has found nobody, and sent nothing.
	has writers 1
	has messages 0
	[ "$(timeout 60 nexusctl pipe recv ring)" = waiting ]
	wait $!
}

test_close() {
	need
	nexusctl pipe create ring
	refused 1 "ring: nobody has it open" nexusctl pipe close ring
	# A sender that waits in open(2), and one for which there is no room.
	nexusctl pipe send ring waiting 2> "$tap_tmp/said" &
	until_true 60 has writers 1
	nexusctl pipe close ring
	fails wait $!
	grep -q 'nobody receives, or it was closed' "$tap_tmp/said"
	# Without readers and writers it is open again, and what is in it is drained.
	exec 9<> ring
	nexusctl pipe send ring rest
	nexusctl pipe close ring
	nexusctl pipe close ring
	[ "$(timeout 60 cat ring)" = rest ]
	exec 9<&-
	exec 9<> ring
	nexusctl pipe send ring again
	[ "$(nexusctl pipe recv ring)" = again ]
	exec 9<&-
	chmod 644 ring
	refused 1 "ring: Permission denied" "${nobody[@]}" nexusctl pipe close ring
	refused 1 "none: No such file" nexusctl pipe close none
	refused 1 "/run: not on a nexusfs" nexusctl pipe close /run
}

test_list() {
	need
	[ -z "$(nexusctl pipe list)" ]
	[ "$(nexusctl --json pipe list)" = "[]" ]
	mkdir -p a/b
	nexusctl pipe create ring
	nexusctl pipe create "a/an other" --capacity 5
	nexusctl pipe create a/b/'quo"te' --mode 600
	mkfifo fifo a/fifo
	touch file a/b/file
	exec 9<> ring
	nexusctl pipe send ring 12345
	nexusctl pipe list > "$tap_tmp/list"
	cat "$tap_tmp/list"
	[ "$(sed -E 's/ +/ /g' "$tap_tmp/list")" = " CAPACITY BYTES MESSAGES READERS WRITERS PATH
 65536 5 1 1 1 ./ring" ]
	nexusctl pipe list -r "$work" | awk 'NR > 1 { print $6, $7 }' > "$tap_tmp/list"
	[ "$(cat "$tap_tmp/list")" = "$work/a/an other
$work/a/b/quo\"te 
$work/ring " ]
	nexusctl --json pipe list --recursive a | python3 -c '
import json, sys
got = [(ring["path"], ring["capacity"], ring["messages"]) for ring in json.load(sys.stdin)]
assert got == [("a/an other", 5, 0), ("a/b/quo\"te", 65536, 0)], got'
	exec 9<&-
	# Any bytes, in valid UTF-8.
	mkdir bytes
	nexusctl pipe create bytes/"$(printf '\303\274\360\237\230\200\377\303(\355\240\200"')"
	nexusctl --json pipe list bytes | python3 -c '
import json, os, sys
(got,) = json.loads(sys.stdin.buffer.read().decode("utf-8"))
assert os.fsencode(got["path"]) == b"bytes/\xc3\xbc\xf0\x9f\x98\x80\xff\xc3(\xed\xa0\x80\"", got'
	refused 1 "none: No such file" nexusctl pipe list none
	refused 1 "file: Not a directory" nexusctl pipe list file
	refused 1 "/run: not on a nexusfs" nexusctl pipe list /run
	# What may not be looked at is named, the rest is there.
	"${nobody[@]}" nexusctl pipe list -r > "$tap_tmp/list" 2> "$tap_tmp/err" && return 1
	grep -q './ring$' "$tap_tmp/list"
	grep -q 'quo"te: Permission denied' "$tap_tmp/err"
	[ "$(wc -l < "$tap_tmp/err")" = 1 ]
}

# A ring is there after a remount, and what was in it is not.
test_remount() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	nexusctl pipe create ring --capacity 12345 --mode 640
	exec 9<> ring
	nexusctl pipe send ring gone
	exec 9<&-
	cd /
	umount "$dir"
	fsck.nexusfs root
	mount -t nexusfs root "$dir"
	cd "$work"
	has capacity 12345
	has messages 0
	[ "$(stat -c %a ring)" = 640 ]
	exec 9<> ring
	nexusctl pipe send ring there
	[ "$(nexusctl pipe recv ring)" = there ]
	exec 9<&-
}

# Made, used, moved and removed while nobody is there to ask.
test_without_helper() {
	need
	need_helper
	nexusctl pipe create ring
	take_helper_away
	nexusctl pipe create new || { release; return 1; }
	exec 9<> ring 8<> new
	timeout 60 nexusctl pipe send ring hello || { release; return 1; }
	timeout 60 nexusctl pipe send new "hello, too" || { release; return 1; }
	mv new other
	[ "$(timeout 60 nexusctl pipe recv ring)" = hello ] || { release; return 1; }
	[ "$(timeout 60 nexusctl pipe recv other)" = "hello, too" ] || { release; return 1; }
	exec 9<&- 8<&-
	timeout 60 nexusctl pipe list || { release; return 1; }
	rm ring
	release
	until_true 60 nexusctl status
	[ "$(field capacity other)" = 65536 ]
}

# The zone is read-only then: rings go on, as far as their names are known.
ring_goes_on() {
	refused 1 "new: Read-only file system" nexusctl pipe create new
	refused 1 "to 'other': Read-only file system" mv ring other
	exec 9<> ring
	timeout 60 nexusctl pipe send ring hello
	[ "$(timeout 60 nexusctl pipe recv ring)" = hello ]
	exec 9<&-
	has capacity 65536
	# One that was just used is passed over the first time.
	for _ in 1 2 3; do echo 2 > /proc/sys/vm/drop_caches; done
	refused 1 "ring: Transport endpoint is not connected" nexusctl pipe stat "$work/ring"
}

test_after_grace() {
	need
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	nexusctl pipe create ring
	after_grace ring_goes_on
}

# Without privileges, and by more than one at once.
test_by_nobody() {
	need
	chmod 777 .
	"${nobody[@]}" nexusctl pipe create ring --mode 600
	"${nobody[@]}" nexusctl pipe send ring hello &
	[ "$("${nobody[@]}" timeout 60 nexusctl pipe recv ring)" = hello ]
	wait $!
}

tap_cleanup() {
	cd /
	release
	if ! mountpoint -q "$dir"; then
		"$supervise" start 2> /dev/null || true
		mount -t nexusfs root "$dir" || true
	fi
	mountpoint -q "$work/there" && umount "$work/there"
	rm -rf "$work"
}
tap_main "$@"
