#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A bucket in a real S3 server outside of the guest, mounted as it is: what another client
# puts, changes and deletes there, and a helper that is killed.  bucket.sh has the rest.
#
# $NEXUS_OUT/s3 says where it is: a line of endpoint, bucket of a zone (its name and -shown
# is ours), access key, secret key.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/mnt/s3bucket

need() {
	need_helper
	[ -s "${NEXUS_OUT:-/}/s3" ] || skip "needs a server"
	read -r endpoint bucket access secret < "$NEXUS_OUT/s3"
	bucket+=-shown
	command -v s3cmd > /dev/null || skip "needs s3cmd"
	mkdir -p ~/.aws $mnt
	(umask 077; printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n[wrong]\naws_access_key_id = %s\naws_secret_access_key = wrong\n' \
		"$access" "$secret" "$access" > ~/.aws/credentials
	printf '[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\n' \
		"$access" "$secret" "${endpoint#http://}" "${endpoint#http://}" > "$tap_tmp/s3cfg")
	source="s3://$bucket/tree;endpoint=$endpoint"
	[ -e "$tap_tmp/put" ] || {
		mkdir -p "$tap_tmp/local/d/e"
		head -c 20000000 /dev/urandom > "$tap_tmp/local/big"
		echo small > "$tap_tmp/local/d/small"
		cp /etc/services "$tap_tmp/local/d/e/a name with + and % and ä"
		: > "$tap_tmp/local/empty"
		other mb "s3://$bucket"
		other del -r --force "s3://$bucket/tree/"
		other put -r "$tap_tmp/local/" "s3://$bucket/tree/"
		touch "$tap_tmp/put"
	}
	mountpoint -q $mnt || mount -t nexusfs "$source" $mnt
}

other() { s3cmd -q --no-progress -c "$tap_tmp/s3cfg" "$@"; }

# refreshed PATH WORDS: what it has to say.
refreshed() {
	nexusctl refresh "$1" > "$tap_tmp/told"
	cat "$tap_tmp/told"
	grep -q "$2" "$tap_tmp/told"
}

tap_cleanup() { umount $mnt 2> /dev/null || true; }

test_same() {
	need
	diff -r "$tap_tmp/local" $mnt
	[ "$(stat -c %s $mnt/big)" = 20000000 ]
	[ $(($(date +%s) - $(stat -c %Y $mnt/d/small))) -lt 600 ]
	fails touch $mnt/new
}

test_changed() {
	need
	[ "$(cat $mnt/d/small)" = small ]
	echo another > "$tap_tmp/new"
	other put "$tap_tmp/new" "s3://$bucket/tree/d/small"
	other put "$tap_tmp/new" "s3://$bucket/tree/d/new"
	other del "s3://$bucket/tree/empty"
	refreshed $mnt/d 'added 1, changed 1, removed 0'
	[ "$(cat $mnt/d/small $mnt/d/new)" = "another
another" ]
	[ ! -e $mnt/empty ]
	other put "$tap_tmp/local/d/small" "s3://$bucket/tree/d/small"
	other put "$tap_tmp/local/empty" "s3://$bucket/tree/empty"
	other del "s3://$bucket/tree/d/new"
	refreshed $mnt 'added 1, changed 0, removed 0'
	refreshed $mnt/d 'added 0, changed 1, removed 1'
}

test_killed() {
	need
	head -c 1000000 $mnt/big | cmp - <(head -c 1000000 "$tap_tmp/local/big")
	kill_helper
	until_true 60 nexusctl status
	cmp "$tap_tmp/local/big" $mnt/big
}

test_refused() {
	need
	umount $mnt
	fails mount -t nexusfs "s3://$bucket-none;endpoint=$endpoint" $mnt 2> "$tap_tmp/why"
	grep -q 'the bucket does not exist' "$tap_tmp/why"
	fails mount -t nexusfs "$source;profile=wrong" $mnt 2> "$tap_tmp/why"
	grep -q 'the secret key is wrong' "$tap_tmp/why"
	fails grep wrong$ "$tap_tmp/why"
	fails mount -t nexusfs "$source;colour=red" $mnt 2> "$tap_tmp/why"
	grep -q 'no setting "colour"' "$tap_tmp/why"
	fails mount -t nexusfs "s3://$bucket;endpoint=http://127.0.0.1:1;attempts=1" $mnt 2> "$tap_tmp/why"
	grep -q 'connect' "$tap_tmp/why"
	# Keys that are empty, and none at all.
	mv ~/.aws/credentials ~/.aws/kept
	(umask 077; printf '[default]\naws_access_key_id =\naws_secret_access_key =\n' > ~/.aws/credentials)
	fails mount -t nexusfs "$source" $mnt 2> "$tap_tmp/why"
	grep -Eq 'aws_access_key_id|credentials' "$tap_tmp/why"
	rm ~/.aws/credentials
	fails mount -t nexusfs "$source" $mnt 2> "$tap_tmp/why"
	grep -q 'credentials' "$tap_tmp/why"
	mv ~/.aws/kept ~/.aws/credentials
	mount -t nexusfs "$source" $mnt
	[ -e $mnt/big ]
}

tap_main "$@"
