#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A zone in a real S3 server outside of the guest, over https, encrypted there with a key the
# server does not keep: written, evicted, read back, made again; and with another key.
#
# $NEXUS_OUT/s3 says where it is, $NEXUS_OUT/s3tls at which address with https, and s3.crt is whom to trust.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zone=s3tls
mnt=/mnt/s3tls
kinds="$here/presence.py"
keys=/etc/nexusfs-test

new_key() { (umask 077; head -c 32 /dev/urandom | base64 > "$1"); }

need() {
	need_helper
	[ -s "${NEXUS_OUT:-/}/s3tls" ] || skip "needs a server"
	read -r _ bucket access secret < "$NEXUS_OUT/s3"
	read -r endpoint < "$NEXUS_OUT/s3tls"
	store=s3://$bucket-tls/zones
	mkdir -p ~/.aws $mnt $keys
	(umask 077; printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
		"$access" "$secret" > ~/.aws/credentials)
	install -m 644 "$NEXUS_OUT/s3.crt" $keys/ca.crt
	[ -e $keys/key ] || new_key $keys/key
	with=(--endpoint "$endpoint" --option "ca_file=$keys/ca.crt" --option sse=c --option "sse_key_file=$keys/key")
}

tap_cleanup() { umount $mnt 2> /dev/null || true; }

packs_of() {
	nexusctl pack list --json "$1" | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["state"] == "sealed" and p["live"]:
        print(p["pack"])'
}

# Nobody is believed whose certificate nobody vouches for, be it for a zone or for a bucket.
test_trust() {
	need
	fails nexusctl zone create no --store "$store" --endpoint "$endpoint" 2> "$tap_tmp/why"
	grep -q "the server's certificate is not trusted" "$tap_tmp/why"
	[ ! -e /var/lib/nexusfs/zones/no ]
	fails mount -t nexusfs "s3://$bucket-tls;endpoint=$endpoint" $mnt 2> "$tap_tmp/why"
	grep -q "the server's certificate is not trusted" "$tap_tmp/why"
	mount -t nexusfs "s3://$bucket-tls;endpoint=$endpoint;ca_file=$keys/ca.crt" $mnt
	umount $mnt
}

test_key() {
	need
	local list
	nexusctl zone create $zone --store "$store" "${with[@]}" --option pack_size=4M
	fails grep -r "$(cat $keys/key)" /var/lib/nexusfs/zones/$zone
	mount -t nexusfs $zone $mnt
	python3 "$kinds" fill $mnt/file 9 1
	echo small > $mnt/small
	until_true 60 has_sealed $zone $mnt 900
	nexusctl flush $zone
	mapfile -t list < <(packs_of $zone)
	[ ${#list[@]} -gt 0 ]
	nexusctl pack evict $zone "${list[@]}"
	echo 3 > /proc/sys/vm/drop_caches
	python3 "$kinds" read $mnt/file 9 1
	umount $mnt
}

# The machine is lost, and so is the zone for whoever does not have the key.
test_restored() {
	need
	[ -d /var/lib/nexusfs/zones/$zone ] || skip "needs what is there"
	until_true 60 nexusctl zone info $zone
	cp -p $keys/key $keys/right
	new_key $keys/key
	fails nexusctl zone restore "$store" s3other "${with[@]}" --take-over 2> "$tap_tmp/why"
	cat "$tap_tmp/why"
	grep -q 'the key of SSE-C may be another' "$tap_tmp/why"
	fails grep -f $keys/key "$tap_tmp/why"
	[ ! -e /var/lib/nexusfs/zones/s3other ]
	mv $keys/right $keys/key
	nexusctl zone restore "$store" s3other "${with[@]}" --take-over
	rm -r /var/lib/nexusfs/zones/$zone
	mount -t nexusfs s3other $mnt
	python3 "$kinds" read $mnt/file 9 1
	[ "$(cat $mnt/small)" = small ]
	nexusctl pack verify s3other
	umount $mnt
}

tap_main "$@"
