#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# overlayfs with its upper and work directories here: what it makes of attributes,
# O_TMPFILE, whiteouts and types in listings.  On ext4 the same.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"

base=$dir/overlayfs
merged=/tmp/nexus-merged

# overlay OPTIONS: $base/lower under $base/upper; a message in the log is a failure.
overlay() {
	mkdir -p "$base/lower" "$base/upper" "$base/work" $merged
	dmesg > "$tap_tmp/dmesg.before"
	mount -t overlay -o "lowerdir=${lower:-$base/lower},upperdir=$base/upper,workdir=$base/work$1" \
		nexus-overlay $merged
	dmesg | grep -Fvxf "$tap_tmp/dmesg.before" | grep -i overlay > "$tap_tmp/said" || true
	# File handles are another matter.
	grep -Ev 'file handle|index=off' "$tap_tmp/said" > "$tap_tmp/complaints" || true
	[ ! -s "$tap_tmp/complaints" ] || { cat "$tap_tmp/complaints"; return 1; }
}

again() {
	umount $merged
	sync
	echo 3 > /proc/sys/vm/drop_caches
	overlay "$1"
}

whiteout() {
	[ "$(stat -c '%F %t %T' "$1")" = "character special file 0 0" ]
}

make_lower() {
	mkdir -p "$base/lower/d/e" "$base/lower/gone"
	echo lower > "$base/lower/f"
	echo lower > "$base/lower/d/f"
	echo lower > "$base/lower/d/e/f"
	echo lower > "$base/lower/gone/f"
	setfattr -n user.kept -v value "$base/lower/f"
	chmod 640 "$base/lower/d/f"
	ln "$base/lower/f" "$base/lower/hard"
	ln -s d/f "$base/lower/soft"
}

test_changes() {
	local round
	make_lower
	overlay ""
	echo upper > $merged/new
	echo more >> $merged/f
	rm $merged/d/f
	rm -r $merged/gone
	mv $merged/soft $merged/moved
	chmod 700 $merged/d/e/f
	for round in 1 2; do
		echo "round $round"
		[ "$(cat $merged/f)" = "lower
more" ]
		[ "$(getfattr --only-values -n user.kept $merged/f)" = value ]
		[ "$(cat "$base/lower/f")" = lower ]
		fails ls $merged/d/f 2> /dev/null
		fails ls $merged/gone 2> /dev/null
		whiteout "$base/upper/d/f"
		whiteout "$base/upper/gone"
		whiteout "$base/upper/soft"
		[ "$(readlink $merged/moved)" = d/f ]
		[ "$(stat -c %a $merged/d/e/f)" = 700 ]
		[ "$(ls $merged)" = "d
f
hard
moved
new" ]
		[ "$(ls $merged/d)" = e ]
		[ "$(ls "$base/lower/d")" = "e
f" ]
		again ""
	done
}

# A directory made over a deleted one shows nothing of it.
test_opaque() {
	make_lower
	overlay ""
	rm -r $merged/d
	mkdir $merged/d
	echo upper > $merged/d/only
	[ "$(ls $merged/d)" = only ]
	[ "$(getfattr --only-values -n trusted.overlay.opaque "$base/upper/d")" = y ]
	again ""
	[ "$(ls $merged/d)" = only ]
}

# A directory of the lower layer is renamed without its content being copied.
test_redirect() {
	make_lower
	overlay ,redirect_dir=on
	mv $merged/d $merged/renamed
	[ "$(cat $merged/renamed/e/f)" = lower ]
	whiteout "$base/upper/d"
	[ "$(getfattr --only-values -n trusted.overlay.redirect "$base/upper/renamed")" = d ]
	fails ls "$base/upper/renamed/e" 2> /dev/null
	again ,redirect_dir=on
	[ "$(cat $merged/renamed/e/f)" = lower ]
	fails ls $merged/d 2> /dev/null
}

test_metacopy() {
	make_lower
	overlay ,metacopy=on,redirect_dir=on
	chmod 600 $merged/f
	chown 12:34 $merged/f
	[ "$(cat $merged/f)" = lower ]
	getfattr -n trusted.overlay.metacopy "$base/upper/f"
	again ,metacopy=on,redirect_dir=on
	[ "$(cat $merged/f)" = lower ]
	[ "$(stat -c '%a %u %g' $merged/f)" = "600 12 34" ]
}

test_acls() {
	make_lower
	setfacl -m u:12:rwx "$base/lower/d"
	setfacl -d -m u:12:rwx "$base/lower/d"
	overlay ""
	echo upper > $merged/d/new
	getfacl -cn $merged/d/new
	getfacl -cn $merged/d/new | grep -q '^user:12:rwx.*#effective:rw-'
	setfacl -m u:34:r $merged/f
	again ""
	getfacl -cn $merged/f | grep -q '^user:34:r--'
	getfacl -cn $merged/d | grep -q '^user:12:rwx'
}

# A tree on it: copied, changed, deleted, compared.
test_tree() {
	lower=$here/.. overlay ""
	cp -a $merged/unit "$merged/copied"
	find $merged/kselftest -name '*.c' -exec sed -i 's/nexus/other/g' {} +
	find "$merged/copied" -type f -name '*.c' -delete
	rm -r $merged/unit
	mv "$merged/copied" $merged/unit
	rm -rf "$tap_tmp/plain"
	mkdir "$tap_tmp/plain"
	cp -a "$here/.." "$tap_tmp/plain/tests"
	(
		cd "$tap_tmp/plain/tests"
		find kselftest -name '*.c' -exec sed -i 's/nexus/other/g' {} +
		find unit -type f -name '*.c' -delete
	)
	diff -r "$tap_tmp/plain/tests" $merged
	lower=$here/.. again ""
	diff -r "$tap_tmp/plain/tests" $merged
}

tap_cleanup() {
	umount $merged 2> /dev/null || true
	rm -rf "$base"
}
tap_main "$@"
