#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A zone whose content is in a real S3 server outside of the guest: written, put by
# itself, evicted, read back; the helper killed meanwhile; and stores that cannot be used.
#
# $NEXUS_OUT/s3 says where it is: a line of endpoint, bucket, access key, secret key.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zone=s3zone
mnt=/mnt/s3zone
kinds="$here/presence.py"

need() {
	need_helper
	[ -s "${NEXUS_OUT:-/}/s3" ] || skip "needs a server"
	read -r endpoint bucket access secret < "$NEXUS_OUT/s3"
	store=s3://$bucket/zones
	if [ ! -e ~/.aws/credentials ]; then
		mkdir -p ~/.aws
		(umask 077; printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
			"$access" "$secret" > ~/.aws/credentials)
	fi
	mkdir -p $mnt
	[ -e /var/lib/nexusfs/zones/$zone ] ||
		nexusctl zone create $zone --store "$store" --endpoint "$endpoint" --option pack_size=4M
	mountpoint -q $mnt || mount -t nexusfs $zone $mnt
	rm -rf ${mnt:?}/*
}

tap_cleanup() { umount $mnt 2> /dev/null || true; }

packs_of() {
	nexusctl pack list --json $zone | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["state"] == "sealed" and p["live"]:
        print(p["pack"])'
}

elsewhere() { nexusctl pack verify --json $zone | python3 -c 'import json, sys
print(json.load(sys.stdin)["away"])'; }
counter() { nexusctl stats | awk -v n="nexus_helper_$1_total" '$1 == n { print $2 }'; }
left() { nexusctl upload status --json $zone | python3 -c 'import json, sys
u = json.load(sys.stdin)
print(u["packs"] + u["deletes"])'; }
nothing_left() { [ "$(left)" = 0 ] && [ "$(counter uploads)" -gt "$1" ]; }

evict_all() {
	local list
	mapfile -t list < <(packs_of)
	[ ${#list[@]} -gt 0 ]
	nexusctl pack evict $zone "${list[@]}"
	echo 3 > /proc/sys/vm/drop_caches
}

test_refused() {
	need
	fails nexusctl zone create no --store "s3://${bucket}-none/x" --endpoint "$endpoint" 2> "$tap_tmp/why"
	grep -q 'the bucket does not exist' "$tap_tmp/why"
	printf '[wrong]\naws_access_key_id = %s\naws_secret_access_key = wrong\n' "$access" >> ~/.aws/credentials
	fails nexusctl zone create no --store "$store" --endpoint "$endpoint" --profile wrong 2> "$tap_tmp/why"
	grep -q 'the secret key is wrong' "$tap_tmp/why"
	fails grep wrong$ "$tap_tmp/why"
	fails nexusctl zone create no --store "$store" --endpoint http://127.0.0.1:1 2> "$tap_tmp/why"
	fails nexusctl zone create no --store "$store" --option colour=red 2> "$tap_tmp/why"
	grep -q 'no setting "colour"' "$tap_tmp/why"
	[ ! -e /var/lib/nexusfs/zones/no ]
	nexusctl zone info $zone | grep -q "^store: *$store$"
}

# Without being asked; and all of it comes back.
test_put() {
	need
	local puts
	puts=$(counter uploads)
	python3 "$kinds" fill $mnt/file 14 1
	cp -r /usr/lib/python3/dist-packages/apt $mnt/tree
	sync -f $mnt
	until_true 120 nothing_left "$puts"
	nexusctl upload status $zone | grep -q '^circuit: *closed$'
	evict_all
	[ "$(elsewhere)" -gt 2500 ]
	python3 "$kinds" read $mnt/file 14 1
	diff -r /usr/lib/python3/dist-packages/apt $mnt/tree
}

# What it leaves is seen in what was put: what is compacted, and dies, goes on behind it.
test_flush() {
	need
	local bytes
	sync -f $mnt
	nexusctl flush $zone
	bytes=$(counter uploaded_bytes)
	python3 "$kinds" fill $mnt/file 9 2
	until_true 60 has_sealed $zone $mnt 1900
	nexusctl flush $zone
	[ "$(counter uploaded_bytes)" -ge $((bytes + (5 << 20))) ]
	until_true 60 nothing_left 0
	evict_all
	umount $mnt
	mount -t nexusfs $zone $mnt
	python3 "$kinds" read $mnt/file 9 2
}

# Whoever comes after it goes on, and the files are there meanwhile.
test_killed() {
	need
	python3 "$kinds" fill $mnt/file 20 3
	sync -f $mnt
	kill_helper
	until_true 60 nexusctl status
	python3 "$kinds" read $mnt/file 20 3
	nexusctl flush $zone &
	sleep 0.3
	kill_helper
	wait || true
	# It answers before it has taken the zone over.
	until_true 60 nexusctl flush $zone
	until_true 60 nothing_left -1
	evict_all
	python3 "$kinds" read $mnt/file 20 3
	nexusctl pack verify $zone
}

# In the middle of making room: what is gone here is there, and what is here is whole.
test_killed_while_evicting() {
	need
	local list wait
	python3 "$kinds" fill $mnt/file 24 6
	until_true 60 has_sealed $zone $mnt 5800
	for wait in 0 0.05 0.1 0.2 0.4; do
		until_true 60 nexusctl flush $zone
		mapfile -t list < <(packs_of)
		[ ${#list[@]} -gt 5 ]
		nexusctl pack evict $zone "${list[@]}" > "$tap_tmp/said" 2>&1 &
		sleep $wait
		kill_helper
		wait || true
		until_true 60 nexusctl status
		echo 3 > /proc/sys/vm/drop_caches
		python3 "$kinds" read $mnt/file 24 6
	done
	nexusctl pack verify $zone
}

keys_refused() { nexusctl upload status $zone | grep "the secret key is wrong"; }

# The keys are wrong for a while, then right: nobody has to tell the helper.
test_other_keys() {
	need
	local before
	until_true 60 nexusctl flush $zone
	sed 's/^aws_secret_access_key = .*/aws_secret_access_key = wrong/' ~/.aws/credentials > "$tap_tmp/wrong"
	cp ~/.aws/credentials "$tap_tmp/right"
	cp "$tap_tmp/wrong" ~/.aws/credentials
	kill_helper
	until_true 60 nexusctl status
	python3 "$kinds" fill $mnt/file 9 7
	until_true 60 has_sealed $zone $mnt 1900
	until_true 60 keys_refused
	python3 "$kinds" read $mnt/file 9 7
	before=$(counter uploads)
	cp "$tap_tmp/right" ~/.aws/credentials
	until_true 120 nothing_left "$before"
	fails keys_refused > "$tap_tmp/said"
	evict_all
	python3 "$kinds" read $mnt/file 9 7
}

restore_as() { nexusctl zone restore "$store" "$1" --endpoint "$endpoint" 2> "$tap_tmp/why"; }

# The machine that has it is lost: all there is of it is in the store.
test_restored() {
	need
	local new=s3again
	python3 "$kinds" fill $mnt/file 12 4
	ln $mnt/file $mnt/link
	umount $mnt
	fails restore_as $zone
	grep -q "zone $zone exists" "$tap_tmp/why"
	until_true 60 restore_as $new
	mv /var/lib/nexusfs/zones/$zone /var/lib/nexusfs/lost
	mkdir -p /mnt/$new
	mount -t nexusfs $new /mnt/$new
	python3 "$kinds" read /mnt/$new/file 12 4
	[ "$(stat -c %h /mnt/$new/link)" = 2 ]
	nexusctl pack verify $new
	# The one that was lost comes back, and is not the owner any more.
	umount /mnt/$new
	mount -t nexusfs $new /mnt/$new
	mv /var/lib/nexusfs/lost /var/lib/nexusfs/zones/$zone
	fails mount -t nexusfs $zone $mnt
	umount /mnt/$new
	rm -r /var/lib/nexusfs/zones/$zone
}

# What fsync returned for is there, although the machine is lost at that moment.
test_synced() {
	need
	local new=s3synced uuid
	uuid=$(nexusctl zone info --json $zone | python3 -c 'import json, sys; print(json.load(sys.stdin)["uuid"])')
	umount $mnt
	mount -t nexusfs -o durability=origin $zone $mnt
	python3 "$kinds" fill $mnt/file 6 5
	mkdir $mnt/d
	python3 -c 'import os, sys
for i in range(20):
    fd = os.open(f"{sys.argv[1]}/d/{i}", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"%d" % i)
    os.fsync(fd)
    os.close(fd)
fd = os.open(sys.argv[1] + "/file", os.O_RDONLY)
os.fsync(fd)' $mnt
	echo "not waited for" > $mnt/d/last
	nexusctl zone restore --take-over "$store" $new --endpoint "$endpoint" --option "zone=$uuid"
	umount $mnt
	mkdir -p /mnt/$new
	# Which waits for the one with the same uuid: until the helper has made its last checkpoint.
	mount -t nexusfs -o durability=origin $new /mnt/$new
	python3 "$kinds" read /mnt/$new/file 6 5
	for i in $(seq 0 19); do
		[ "$(cat "/mnt/$new/d/$i")" = "$i" ]
	done
	umount /mnt/$new
	rm -r /var/lib/nexusfs/zones/$zone
}

tap_main "$@"
