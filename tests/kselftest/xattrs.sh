#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Attributes, ACLs and whiteouts through unmounting, the helper's end and dumps; and what
# user programs make of them.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
d=$dir/xattrs

need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
}

check() {
	command -v fsck.nexusfs > /dev/null || return 0
	fsck.nexusfs root
}

# Attributes and ACLs of a tree in one text, and what else says that a file is the same.
attributes() {
	(cd "$1" && find . -print0 | sort -z > "$tap_tmp/names" &&
		xargs -0 getfattr -h -d -m - -e hex < "$tap_tmp/names" &&
		xargs -0 getfacl -n < "$tap_tmp/names")
}

picture() {
	attributes "$1"
	(cd "$1" && find . -printf '%p %y %m %U %G %C@\n' | sort)
}

# rename with a whiteout: mv has no option for it.
white_out() {
	python3 -c '
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 4):
    sys.exit(os.strerror(ctypes.get_errno()))' "$1" "$2"
}

# In directories that were not there before, so that no helper is needed.
make_tree() {
	local i
	mkdir -p "$1/d/e"
	for i in 1 2 3 4 5 6; do echo "$i" > "$1/d/$i"; done
	setfattr -n user.small -v value "$1/d/1"
	setfattr -n user.empty "$1/d/1"
	setfattr -n user.large -v "$(printf 'x%.0s' {1..60000})" "$1/d/2"
	setfattr -n trusted.t -v "for root" "$1/d/2"
	setfattr -n user.gone -v 1 "$1/d/3"
	setfattr -x user.gone "$1/d/3"
	setfattr -n user.over -v 1 "$1/d/3"
	setfattr -n user.over -v 2 "$1/d/3"
	setfacl -m u:12:rw,g:34:r "$1/d/4"
	chmod 660 "$1/d/4"
	setfacl -m d:u:12:rwx "$1/d/e"
	echo inherits > "$1/d/e/f"
	mkdir "$1/d/e/sub"
	setfacl -m u:12:r "$1/d/5"
	setfacl -b "$1/d/5"
	chmod 600 "$1/d/5"
	white_out "$1/d/6" "$1/d/e/6"
}

same() {
	picture "$d" > "$tap_tmp/after"
	cmp "$tap_tmp/before" "$tap_tmp/after" || { diff "$tap_tmp/before" "$tap_tmp/after"; return 1; }
}

test_unmounted_and_mounted() {
	need
	make_tree "$d"
	picture "$d" > "$tap_tmp/before"
	[ "$(grep -c '^user\.\|^trusted\.' "$tap_tmp/before")" = 5 ]
	umount "$dir"
	"$supervise" stop
	check
	"$supervise" start
	mount -t nexusfs root "$dir"
	same
}

# What no helper has seen is in the log, for the next one.
test_helper_killed() {
	need
	mkdir "$d"
	hold
	kill -9 "$(cat $run/nexusd.pid)"
	make_tree "$d/new"
	picture "$d" > "$tap_tmp/before"
	timeout 60 umount "$dir"
	release
	until_true 60 nexusctl status
	"$supervise" stop
	check
	"$supervise" start
	mount -t nexusfs root "$dir"
	same
}

# The next helper takes the living zone over, in the middle of changes.
test_helper_killed_in_the_middle() {
	need
	local writer i
	mkdir "$d"
	echo text > "$d/f"
	python3 -c '
import os, struct, sys
path, progress, stop = sys.argv[1:]
def acl(uid):
    entries = [(1, 6, -1), (2, 6, uid), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)
i = 0
while not os.path.exists(stop):
    i += 1
    os.setxattr(path, "user.n%d" % (i % 50), str(i).encode())
    os.setxattr(path, "system.posix_acl_access", acl(1000 + i % 20))
    if i % 20 == 0:
        open(progress, "w").write(str(i))
open(progress, "w").write(str(i))
' "$d/f" "$tap_tmp/written" "$tap_tmp/stop" &
	writer=$!
	for i in 1 2 3; do
		rm -f "$tap_tmp/written"
		until_true 60 test -s "$tap_tmp/written"
		until_true 60 nexusctl status
		kill_helper
	done
	touch "$tap_tmp/stop"
	wait $writer
	i=$(cat "$tap_tmp/written")
	[ "$(getfattr --only-values -n user.n$((i % 50)) "$d/f")" = "$i" ]
	[ "$(getfattr --only-values -n user.n$(((i - 1) % 50)) "$d/f")" = $((i - 1)) ]
	getfacl -cn "$d/f" | grep -q "^user:$((1000 + i % 20)):rw-"
	picture "$d" > "$tap_tmp/before"
	until_true 60 nexusctl status
	umount "$dir"
	until_true 20 check
	mount -t nexusfs root "$dir"
	same
}

# Of files without packs, so that the index is all there is.
test_dumped_and_loaded() {
	need
	local zone=/tmp/nexus-zone
	mkdir -p $zone
	nexusctl zone create xattr-from
	nexusctl zone create xattr-to
	mount -t nexusfs xattr-from $zone
	make_tree $zone/tree
	picture $zone/tree > "$tap_tmp/before"
	umount $zone
	until_true 20 nexusctl dump xattr-from "$tap_tmp/dump"
	nexusctl load xattr-to "$tap_tmp/dump"
	mount -t nexusfs xattr-to $zone
	picture $zone/tree > "$tap_tmp/after"
	umount $zone
	cmp "$tap_tmp/before" "$tap_tmp/after" || { diff "$tap_tmp/before" "$tap_tmp/after"; return 1; }
	fsck.nexusfs xattr-to
}

# What cp and tar carry.
test_programs() {
	need
	local i
	make_tree "$d/from"
	cp -a "$d/from" "$d/cp"
	mkdir "$d/tar"
	tar -C "$d/from" --xattrs --xattrs-include='*' --acls -cf - . |
		tar -C "$d/tar" --xattrs --xattrs-include='*' --acls -xf -
	for i in cp tar; do
		attributes "$d/from" > "$tap_tmp/1"
		attributes "$d/$i" > "$tap_tmp/2"
		diff "$tap_tmp/1" "$tap_tmp/2"
	done
}

# Of a zone without the features: whiteouts are refused, and ACLs work.
test_older_zone() {
	need
	local zones=/var/lib/nexusfs/zones old=/tmp/nexus-older f=/tmp/nexus-older/acl
	mkdir -p $old
	tar -C $zones -xzf "$here/../data/zone-1.tar.gz"
	mount -t nexusfs golden $old
	echo text > $f
	fails white_out $f $old/away 2> /dev/null
	[ -f $f ]
	setfacl -m u:12:rwx $f
	chmod 640 $f
	setfacl -m m::rw $f
	[ "$(stat -c %a $f)" = 660 ]
	umount $old
	fsck.nexusfs golden
	until_true 20 nexusctl zone upgrade golden
	mount -t nexusfs golden $old
	getfacl -cn $f 2> /dev/null | grep -q '^user:12:rwx'
	[ "$(stat -c %a $f)" = 660 ]
	white_out $f $old/away
	[ "$(stat -c %F $f)" = "character special file" ]
	umount $old
	fsck.nexusfs golden
	rm -r $zones/golden
}

tap_cleanup() {
	release
	! mountpoint -q /tmp/nexus-zone || umount /tmp/nexus-zone
	! mountpoint -q /tmp/nexus-older || umount /tmp/nexus-older
	mountpoint -q "$dir" || mount -t nexusfs root "$dir" || true
	rm -rf "$d"
}
tap_main "$@"
