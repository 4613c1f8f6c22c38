#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# durability=origin: what fsync returned for is in the content store, so that another
# machine has it; stores that do not work, helpers that die, waiters that are killed.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/mnt/origin
sync_file() { python3 -c 'import os, sys
for name in sys.argv[1:]:
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)' "$@"; }

# settings LINE...: of the helper from now on.
settings() {
	printf '%s\n' "$@" > /etc/nexusfs/nexusd.yaml
	kill_helper
	until_true 60 nexusctl status
}

# need ZONE [TIMEOUT]: a new one each time, for what is taken over cannot be used again.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	mkdir -p /etc/nexusfs $mnt
	zone=$1
	away=/var/lib/nexusfs/origin/$zone
	control
	# Nothing gets there by itself in time.
	settings "content: test:$away" "checkpoint_interval: 3600" "log_upload_delay: 3600" "origin_timeout: ${2:-60}"
	nexusctl zone create "$zone" --option pack_size=4M
	mount -t nexusfs -o durability=origin "$zone" $mnt
}

tap_cleanup() {
	umount $mnt 2> /dev/null || true
	rm -f /etc/nexusfs/nexusd.yaml
}

control() {
	mkdir -p "$away"
	printf '%s\n' "$@" > "$away/control.new"
	mv "$away/control.new" "$away/control"
}

requests() { nexusctl stats | awk '$1 == "nexus_module_req_origin_total" { print $2 }'; }

# The helper has made the last checkpoint.
closed() { ! nexusctl zone info "$zone" | grep -q mounted; }

uuid() { nexusctl zone info --json "$zone" | python3 -c 'import json, sys; print(json.load(sys.stdin)["uuid"])'; }

# The machine is lost at this moment: what is in the store then is the zone at $mnt, and
# what was there is in $was.  Other zones of this machine are in the store, too.
lost() {
	mkdir -p "$away.lost"
	cp -a "$away/$(uuid | tr -d -)" "$away.lost"
	was=$tap_tmp/$zone
	cp -a $mnt "$was"
	umount $mnt
	nexusctl zone restore --take-over "test:$away.lost" "$zone-again"
	# Which waits for the one with the same uuid: until the helper has made its last checkpoint.
	mount -t nexusfs "$zone-again" $mnt
}

# After an unmount what was written is a sealed pack, as long as what is in it, and the
# checkpoint, which names it, has no content.
test_unmounted() {
	need ended
	local store
	head -c 300000 /dev/urandom > $mnt/f
	sync_file $mnt/f
	cp $mnt/f "$tap_tmp/f"
	store=$away/$(uuid | tr -d -)
	umount $mnt
	until_true 30 closed
	ls -l "$store"
	# Head, 8 blocks of table, 74 of the file.
	[ "$(find "$store" -type f -name '0*' -printf '%s\n')" = $((4096 * (1 + 8 + 74))) ]
	[ "$(find "$store" -name '@checkpoint*' -printf '%s\n' | awk '{ n += $1 } END { print n }')" -lt 50000 ]
	mkdir "$away.lost"
	cp -a "$store" "$away.lost"
	nexusctl zone restore "test:$away.lost" ended-again
	mount -t nexusfs ended-again $mnt
	cmp $mnt/f "$tap_tmp/f"
	umount $mnt
}

# Bytes of those objects of the zone.
bytes() { find "$away/$(uuid | tr -d -)" -type f -name "$1" -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

# An open pack that most of what is put is in goes as a pack, once; the next file goes elsewhere.
test_sealed_early() {
	need early
	echo begin > $mnt/small
	sync_file $mnt/small
	head -c 2097152 /dev/urandom > $mnt/half
	sync_file $mnt/half
	ls -l "$away/$(uuid | tr -d -)"
	# Head, table, the file, and perhaps the small one.
	[ $(($(bytes '0*') / 4096 - 1 - 8 - 512)) -le 1 ]
	[ "$(bytes '0*')" -gt 2097152 ]
	[ "$(bytes '@*')" -lt 300000 ]
	# Too little for a pack of its own.
	head -c 200000 /dev/urandom > $mnt/more
	sync_file $mnt/more
	[ "$(find "$away/$(uuid | tr -d -)" -type f -name '0*' | wc -l)" = 1 ]
	[ "$(bytes '@*')" -gt 200000 ]
	lost
	diff -r "$was" $mnt
}

# Content, names and attributes, of every kind.
# Scenario A35.
test_there() {
	need there
	local i
	mkdir $mnt/d
	head -c 9000000 /dev/urandom > $mnt/big
	echo small > $mnt/d/small
	ln -s target $mnt/d/link
	sync_file $mnt/big $mnt/d/small $mnt/d
	echo old > $mnt/file
	sync_file $mnt/file
	for i in 1 2 3; do
		echo "new $i" > $mnt/file.tmp
		sync_file $mnt/file.tmp
		mv $mnt/file.tmp $mnt/file
	done
	sync_file $mnt $mnt/file
	echo more >> $mnt/d/small
	sync -f $mnt
	lost
	cmp "$was/big" $mnt/big
	[ "$(cat $mnt/d/small)" = "small
more" ]
	[ "$(readlink $mnt/d/link)" = target ]
	[ "$(cat $mnt/file)" = "new 3" ]
	[ ! -e $mnt/file.tmp ]
}

# What a file without copy on write is overwritten with, too.
test_nodatacow() {
	need nocow
	touch $mnt/f
	chattr +C $mnt/f
	head -c 1000000 /dev/zero > $mnt/f
	sync_file $mnt/f
	echo over | dd of=$mnt/f bs=1 seek=500000 conv=notrunc status=none
	sync_file $mnt/f
	lost
	cmp "$was/f" $mnt/f
	[ "$(dd if=$mnt/f bs=1 skip=500000 count=4 status=none)" = over ]
}

# O_SYNC says the same, and a directory for which that is asked.
test_every_way() {
	need ways
	dd if=/dev/urandom of=$mnt/osync bs=4k count=3 oflag=sync status=none
	mkdir $mnt/s
	chattr +S $mnt/s 2> /dev/null || true
	dd if=/dev/urandom of=$mnt/direct bs=4k count=3 oflag=direct,dsync status=none
	lost
	cmp "$was/osync" $mnt/osync
	cmp "$was/direct" $mnt/direct
}

# Many at once; and what is there already is not asked for again.
test_shared() {
	need shared
	local before i
	echo > $mnt/0
	sync_file $mnt/0
	before=$(requests)
	for i in $(seq 24); do
		(echo "$i" > "$mnt/$i" && sync_file "$mnt/$i") &
	done
	wait
	[ $(($(requests) - before)) -ge 1 ]
	before=$(requests)
	sync_file $mnt/1 $mnt/2 $mnt/3
	[ "$(requests)" = "$before" ]
	lost
	for i in $(seq 24); do
		[ "$(cat "$mnt/$i")" = "$i" ]
	done
}

# It does not work: everybody is told in time, nothing else waits, and it goes on by itself.
test_down() {
	need down 5
	echo 1 > $mnt/f
	sync_file $mnt/f
	control refuse
	echo 2 > $mnt/f
	fails sync_file $mnt/f
	echo 3 > $mnt/g
	ls -l $mnt > /dev/null
	[ "$(cat $mnt/g)" = 3 ]
	grep -q 'could not be brought to the content store' <(dmesg)
	control
	sync_file $mnt/f $mnt/g
	lost
	[ "$(cat $mnt/f) $(cat $mnt/g)" = "2 3" ]
}

# Who waits can be killed; the next one asks anew.
test_killed() {
	need killed
	echo 1 > $mnt/f
	sync_file $mnt/f
	control refuse
	echo 2 > $mnt/f
	sync_file $mnt/f &
	local one=$! two
	sleep 0.5
	sync_file $mnt/f &
	two=$!
	sleep 0.5
	kill -9 $two
	until_true 60 dead $two
	kill -9 $one
	until_true 60 dead $one
	wait || true
	control
	sync_file $mnt/f
	lost
	[ "$(cat $mnt/f)" = 2 ]
}

# The helper dies while somebody waits: the next one is asked.
test_helper() {
	# It is not to end by itself before the helper has.
	need helper 60
	echo 1 > $mnt/f
	sync_file $mnt/f
	control refuse
	echo 2 > $mnt/f
	sync_file $mnt/f &
	local one=$!
	sleep 1
	kill_helper
	control
	until_true 60 nexusctl status
	wait $one
	lost
	[ "$(cat $mnt/f)" = 2 ]
}

test_refused() {
	need refused
	umount $mnt
	fails mount -t nexusfs -o durability=origin,mem m $mnt 2> "$tap_tmp/why"
	grep -q 'a mem zone has no content store' "$tap_tmp/why"
	settings "content: test:$away" "checkpoint_interval: 0"
	fails mount -t nexusfs -o durability=origin "$zone" $mnt 2> "$tap_tmp/why"
	grep -q 'checkpoint_interval is 0' "$tap_tmp/why"
	settings
	nexusctl zone create bare
	fails mount -t nexusfs -o durability=origin bare $mnt 2> "$tap_tmp/why"
	grep -q 'has no content store' "$tap_tmp/why"
	mount -t nexusfs bare $mnt
	fails mount -o remount,durability=origin $mnt 2> "$tap_tmp/why"
	grep -q 'durability cannot be changed' "$tap_tmp/why"
}

# A check has time for these; the long part 62-faults runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] ||
	set -- test_unmounted test_sealed_early test_there test_nodatacow test_down test_killed test_refused
tap_main "$@"
