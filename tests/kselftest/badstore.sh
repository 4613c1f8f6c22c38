#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Files of a zone that are removed, shortened, links, or another zone's: an error
# that names them, never other bytes, never zeros.  A damaged head is not that.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zones=/var/lib/nexusfs/zones
store=$zones/badstore
at=/tmp/badstore

# Two zones alike but for the letter their file is full of, not mounted.
begin() {
	need_helper
	mkdir -p $at
	local name
	for name in badstore otherstore; do
		[ -d $zones/$name ] || nexusctl zone create $name
		mount -t nexusfs $name $at
		head -c 2000000 /dev/zero | tr '\0' "${name:0:1}" > $at/f
		sync $at/f
		umount $at
	done
	rm -rf $zones/.kept
	cp -a $store $zones/.kept
}

tap_cleanup() {
	umount $at 2> /dev/null || true
	release
	rm -rf $zones/badstore $zones/otherstore $zones/.kept
}

put_right() {
	rm -rf $store
	cp -a $zones/.kept $store
}

# The pack that holds the file, and the other zone's.
pack_of() { find "$1/packs" -name '*.pack' -exec grep -lm 1 "$2$2$2$2" {} + | head -n 1; }

# The file cannot be read; everything else goes on.
unreadable() {
	mount -t nexusfs badstore $at
	fails cat $at/f > "$tap_tmp/read" 2> "$tap_tmp/why"
	cat "$tap_tmp/why"
	grep -q 'Input/output error' "$tap_tmp/why"
	# What came before the damage, and nothing else.
	[ "$(tr -d b < "$tap_tmp/read" | wc -c)" = 0 ]
	[ "$(stat -c %s $at/f)" = 2000000 ]
	echo new > $at/g
	sync $at/g
	[ "$(cat $at/g)" = new ]
	rm $at/f
	umount $at
}

said() { grep -qE "$1" "$tap_tmp/said" || { cat "$tap_tmp/said" && return 1; }; }

listen() { wc -l < $run/nexusd.log > "$tap_tmp/lines"; }
heard() {
	tail -n "+$(($(cat "$tap_tmp/lines") + 1))" $run/nexusd.log > "$tap_tmp/said"
	dmesg | tail -n 20 >> "$tap_tmp/said"
}

test_pack() {
	begin
	local pack other
	pack=$(pack_of $store b)
	other=$(pack_of $zones/otherstore o)

	echo removed
	listen
	rm "$pack"
	unreadable
	heard
	said 'pack [0-9]+ cannot be opened: No such file'

	echo shortened
	put_right
	listen
	truncate -s 400K "$pack"
	unreadable
	heard
	said 'under the name of pack [0-9]+ is another pack, or not as long'

	echo "a link to another zone's"
	put_right
	listen
	ln -sf "$other" "$pack"
	unreadable
	heard
	said 'pack [0-9]+ cannot be opened: Too many levels of symbolic links'

	echo "another zone's"
	put_right
	listen
	cp "$other" "$pack"
	unreadable
	heard
	said 'under the name of pack [0-9]+ is another pack, or not as long'

	echo "another pack of this zone"
	put_right
	listen
	find $store/packs -name '*.pack' ! -path "$pack" | head -n 1 | xargs -I{} cp {} "$pack"
	unreadable
	heard
	said 'under the name of pack [0-9]+ is another pack, or not as long'
}

# A head that is damaged says nothing about the content.
test_head() {
	begin
	local pack
	pack=$(pack_of $store b)
	printf damage | dd of="$pack" bs=1 seek=20 conv=notrunc,fsync 2> /dev/null
	listen
	mount -t nexusfs badstore $at
	[ "$(tr -dc b < $at/f | wc -c)" = 2000000 ]
	[ "$(stat -c %s $at/f)" = 2000000 ]
	heard
	said 'the head of pack [0-9]+ is damaged'
	nexusctl pack verify badstore > "$tap_tmp/verify" || true
	grep -q 'its head is damaged' "$tap_tmp/verify"
	umount $at
}

# Only in the log yet: written without a helper, then everything stops.
begin_unclean() {
	begin
	mount -t nexusfs badstore $at
	mkdir $at/d
	take_helper_away
	echo logged > $at/d/logged
	sync $at/d/logged
	umount $at
	rm -rf $zones/.kept
	cp -a $store $zones/.kept
	release
	until_true 60 nexusctl status
}

# Either it is not mounted, and says why, or nothing is missing.
refused() {
	local status=0
	listen
	mount -t nexusfs badstore $at 2> "$tap_tmp/why" || status=$?
	cat "$tap_tmp/why"
	[ $status = 32 ]
	grep -qE "$1" "$tap_tmp/why"
}

test_segment() {
	begin_unclean
	local seg
	seg=$(grep -l logged $store/log/*.seg | head -n 1)
	[ -n "$seg" ]

	echo removed
	rm "$seg"
	refused "only 2 of the log's 3 segment files"

	echo shortened
	put_right
	truncate -s 8192 "$seg"
	refused "only 2 of the log's 3 segment files"

	echo "a link to another zone's"
	put_right
	ln -sf "$zones/otherstore/log/${seg##*/}" "$seg"
	refused 'Too many levels of symbolic links'

	echo "another zone's"
	put_right
	cp "$zones/otherstore/log/${seg##*/}" "$seg"
	refused "only 2 of the log's 3 segment files"

	echo right
	put_right
	mount -t nexusfs badstore $at
	[ "$(cat $at/d/logged)" = logged ]
	[ "$(tr -d b < $at/f | wc -c)" = 0 ]
	umount $at
	fsck.nexusfs badstore
}

tap_main "$@"
