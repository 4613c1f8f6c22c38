#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nexusctl gc on a mounted zone: what nobody needs is found and goes, what is needed, young or
# somebody else's stays, what is missing is told; while files are written, and the store is down.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/mnt/gc
zone=gc
away=/var/lib/nexusfs/gcstore
kinds="$here/presence.py"
probe='probe-0123456789abcdef0123456789abcdef'

control() {
	mkdir -p $away
	printf '%s\n' "$@" > $away/control.new
	mv $away/control.new $away/control
}

need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	control
	mkdir -p /etc/nexusfs $mnt
	printf '%s\n' "content: test:$away" "upload_delay: 1" "gc_grace: $1" > /etc/nexusfs/nexusd.yaml
	kill_helper
	until_true 60 nexusctl status
	[ -e /var/lib/nexusfs/zones/$zone ] || nexusctl zone create $zone --option pack_size=4M
	mountpoint -q $mnt || mount -t nexusfs $zone $mnt
	rm -rf ${mnt:?}/*
	python3 "$kinds" fill $mnt/a 10 1
	until_true 60 has_sealed $zone $mnt 1900
	nexusctl flush $zone
	store=$away/$(nexusctl zone info --json $zone | python3 -c 'import json, sys; print(json.load(sys.stdin)["uuid"].replace("-", ""))')
	until_true 60 test -e "$store/@owner"
	until_true 60 quiet
}

tap_cleanup() {
	control
	umount $mnt 2> /dev/null || true
	rm -f /etc/nexusfs/nexusd.yaml
}

gc() {
	local status=0
	nexusctl gc "$@" $zone > "$tap_tmp/gc" 2> "$tap_tmp/why" || status=$?
	echo "gc $*: status $status"
	cat "$tap_tmp/why"
	return $status
}
says() {
	grep -q "$1" "$tap_tmp/gc" && return
	echo "nothing says $1:"
	cat "$tap_tmp/gc"
	return 1
}
# A checkpoint takes the parts of an older one away behind its back.
none_leaked() { gc --dry-run && says '^leaked: *0 objects'; }
one_young() { gc --run && says '^young: *1 objects'; }
# Whose the zone is is known, and nothing is in the way.
quiet() { gc --dry-run; }

test_leaked() {
	need 0
	touch -d '2 hours ago' "$store/@$probe"
	echo 123 > "$store/@other=thing"
	gc --dry-run
	says "^leaked $probe 0$"
	says '^foreign other/thing 4$'
	[ -e "$store/@$probe" ]
	gc --run
	says '^deleted: *[1-9]'
	[ ! -e "$store/@$probe" ]
	[ -e "$store/@other=thing" ]
	until_true 60 none_leaked
	nexusctl --json gc --dry-run $zone > "$tap_tmp/gc"
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(bool(d["foreign"]["objects"] != 1 or d["leaked"]["objects"] or not d["listed"]["objects"] or d["error"]))' "$tap_tmp/gc"
	# All that is needed is there still.
	mapfile -t list < <(nexusctl pack list --json $zone | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["state"] == "sealed" and p["live"]:
        print(p["pack"])')
	nexusctl pack evict $zone "${list[@]}"
	echo 3 > /proc/sys/vm/drop_caches
	python3 "$kinds" read $mnt/a 10 1
}

test_young() {
	need 3600
	touch -d '2 hours ago' "$store/@log=0000000000000001-0000000000000001=000000"
	touch "$store/@log=0000000000000001-0000000000000002=000000"
	until_true 60 one_young
	[ ! -e "$store/@log=0000000000000001-0000000000000001=000000" ]
	[ -e "$store/@log=0000000000000001-0000000000000002=000000" ]
}

# A pack that is away and that somebody took from the store.
test_missing() {
	need 0
	local list pack status=0
	mapfile -t list < <(nexusctl pack list --json $zone | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["state"] == "sealed" and p["live"]:
        print(p["pack"])')
	pack=$(printf '%016x' "${list[0]}")
	until_true 60 test -e "$store/$pack"
	mv "$store/$pack" $away/kept
	gc --run || status=$?
	[ $status = 3 ]
	says "^missing pack ${list[0]} 0$"
	says '^missing: *1 objects'
	mv $away/kept "$store/$pack"
	gc --run
}

# Nothing goes that comes meanwhile, and nothing at all if the listing fails.
test_busy() {
	need 0
	local pid status=0
	python3 "$kinds" fill $mnt/b 40 2 &
	pid=$!
	while kill -0 $pid 2> /dev/null; do
		gc --run
	done
	wait $pid
	sync -f $mnt
	nexusctl flush $zone
	gc --run
	says '^missing: *0 objects'
	nexusctl pack verify $zone
	touch -d '2 hours ago' "$store/@$probe"
	control "unlist 0"
	gc --run || status=$?
	[ $status = 1 ]
	grep -q 'not looked through to the end' "$tap_tmp/why"
	[ -e "$store/@$probe" ]
	control
	gc --run
	[ ! -e "$store/@$probe" ]
}

test_refused() {
	need 0
	fails nexusctl gc $zone
	fails nexusctl gc --run nope
	fails setpriv --reuid 65534 --regid 65534 --clear-groups nexusctl gc --dry-run $zone
	umount $mnt
	until_true 60 not_mounted
}

not_mounted() {
	! nexusctl gc --run $zone 2> "$tap_tmp/why" && grep -q 'not mounted' "$tap_tmp/why"
}

tap_main "$@"
