#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A root of Debian in an overlay whose lower, upper and work directories are on the
# filesystem under test: packages come and go by dpkg, and what an overlay leaves in its
# upper directory (whiteouts, opaque directories, redirects) is read back, also after
# unmounting, fsck and mounting.  The same on the ext4 below (NEXUS_CONTROL_DIR) has to leave
# the same.  The root is fetched on the host by tests/kselftest/fetch.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
repo=$(cd "$here/../.." && pwd -P)
programs=$repo/build/programs
control=${NEXUS_CONTROL_DIR:-/var/lib/nexusfs}/overlay
options=redirect_dir=on,index=on,metacopy=on
[ "$(stat -f -c %t "$dir")" != 4e455853 ] || nexus=yes

# An upper directory takes both, or overlayfs does without them and says so in the log only.
fit() {
	touch "$1/probe"
	setfattr -n trusted.overlay.probe -v y "$1/probe" 2> /dev/null || { echo "no trusted extended attributes" && return; }
	python3 - "$1/probe" <<-'PYTHON' || echo "no RENAME_WHITEOUT"
		import ctypes, sys
		libc = ctypes.CDLL(None, use_errno=True)
		path = sys.argv[1].encode()
		sys.exit(libc.renameat2(-100, path, -100, path + b".new", 4) != 0)
	PYTHON
	rm -f "$1/probe" "$1/probe.new"
}

# begin TOP: a zone of its own on nexusfs; $top/lower is a root.
begin() {
	local why
	[ -e "$programs/root.tar" ] || skip "no $programs/root.tar: tests/kselftest/fetch"
	grep -qw overlay /proc/filesystems || modprobe overlay || skip "no overlayfs"
	rm -rf --one-file-system "$1"
	mkdir "$1"
	if [ -n "${nexus:-}" ] && [ "$1" != "$control" ]; then
		nexusctl zone create overlay
		mount -t nexusfs overlay "$1"
	fi
	why=$(fit "$1")
	[ -z "$why" ] || skip "$why"
	top=$1
	mkdir "$top/lower" "$top/upper" "$top/work" "$top/merged"
	tar -C "$top/lower" --numeric-owner --xattrs --xattrs-include='*' -xpf "$programs/root.tar"
	# What packages start is not started.
	printf '#!/bin/sh\nexit 101\n' > "$top/lower/usr/sbin/policy-rc.d"
	chmod 755 "$top/lower/usr/sbin/policy-rc.d"
	mkdir "$top/lower/debs" "$top/lower/old" "$top/lower/old/sub"
	cp "$programs"/debs/hello_*.deb "$top/lower/debs/hello.deb"
	cp "$programs"/debs/nano_*.deb "$top/lower/debs/nano.deb"
	echo old > "$top/lower/old/file"
	echo old > "$top/lower/old/sub/file"
	echo linked > "$top/lower/first"
	ln "$top/lower/first" "$top/lower/second"
	setfattr -n user.kept -v y "$top/lower/first"
	truncate -s 3M "$top/lower/sparse"
	printf x >> "$top/lower/sparse"
	overlay
}

overlay() {
	mount -t overlay -o "lowerdir=$top/lower,upperdir=$top/upper,workdir=$top/work,$options" overlay "$top/merged"
	mount -t proc proc "$top/merged/proc"
}

down() {
	umount "$1/merged/proc" 2> /dev/null || true
	umount "$1/merged" 2> /dev/null || true
}

in_root() { chroot "$top/merged" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

# Names, modes, contents, what the overlay noted; not times, and not which inode it was.
picture() {
	(
		cd "$1"
		find . -xdev -path ./proc -prune -o -path ./work -prune -o -type c -printf '%p %y %m %U %G\n' -exec stat -c 'device %t %T' {} \; \
			-o ! -type d -printf '%p %y %m %U %G %s %l\n' -o -printf '%p %y %m %U %G\n' | sort
		find . -xdev -path ./proc -prune -o -path ./var/log -prune -o -path ./var/cache -prune -o -type f ! -size 0 -print0 | sort -z |
			xargs -0 -r sha256sum
		find . -xdev -path ./proc -prune -o -print0 | sort -z | xargs -0 -r getfattr -h -d -m '^(user|trusted)\.' 2> /dev/null |
			grep -vE '^trusted.overlay.(origin|nlink|impure|uuid)='
	)
}

# Everything an overlay does, in order; what there is then is in $tap_tmp/PICTURE.
changes() {
	in_root dpkg -i /debs/hello.deb
	[ "$(in_root hello)" = 'Hello, world!' ]
	in_root dpkg -i --force-depends /debs/nano.deb
	[ -z "$(in_root dpkg -V hello)" ]
	in_root dpkg -L nano > "$tap_tmp/files"
	[ -x "$top/merged/usr/bin/nano" ]
	[ ! -e "$top/lower/usr/bin/nano" ] && [ -e "$top/upper/usr/bin/nano" ]
	in_root dpkg -r nano
	[ -e "$top/merged/etc/nanorc" ] && [ ! -e "$top/merged/usr/bin/nano" ]
	in_root dpkg -P nano
	[ ! -e "$top/merged/etc/nanorc" ]
	in_root dpkg -i /debs/hello.deb
	in_root dpkg -P hello
	[ -z "$(in_root dpkg --audit)" ]
	# One of the lower directory: its files become whiteouts.
	in_root dpkg -P --force-all mount
	[ ! -e "$top/merged/usr/bin/mount" ] && [ -e "$top/lower/usr/bin/mount" ]
	fails in_root test -e /bin/mount
	rm -r "$top/merged/etc/apt"
	mkdir "$top/merged/etc/apt"
	echo new > "$top/merged/etc/apt/only"
	mv "$top/merged/old" "$top/merged/new"
	mv "$top/merged/new/sub" "$top/merged/elsewhere"
	echo more >> "$top/merged/new/file"
	chmod 600 "$top/merged/second"
	echo changed >> "$top/merged/first"
	mv "$top/merged/sparse" "$top/merged/moved"
	printf y | dd of="$top/merged/moved" bs=1 seek=100 conv=notrunc status=none
	rm "$top/merged/usr/bin/umount" 2> /dev/null || ln -s nothing "$top/merged/usr/bin/umount"
	ln -sfn here "$top/merged/usr/bin/umount"
}

# What has to be in the upper directory, whatever the filesystem.
expected() {
	[ "$(stat -c '%t %T' "$top/upper/usr/bin/mount" "$top/upper/old" "$top/upper/sparse" | sort -u)" = '0 0' ]
	[ "$(getfattr --only-values -n trusted.overlay.opaque "$top/upper/etc/apt")" = y ]
	[ "$(ls "$top/merged/etc/apt")" = only ]
	[ "$(getfattr --only-values -n trusted.overlay.redirect "$top/upper/new")" = old ]
	[ "$(getfattr --only-values -n trusted.overlay.redirect "$top/upper/elsewhere")" = /old/sub ]
	[ "$(cat "$top/merged/new/file")" = "old
more" ]
	[ "$(cat "$top/merged/elsewhere/file")" = old ]
	[ ! -e "$top/merged/old" ] && [ ! -e "$top/merged/new/sub" ] && [ ! -e "$top/merged/sparse" ]
	[ "$(cat "$top/merged/second")" = "linked
changed" ]
	[ "$(stat -c '%a %h' "$top/merged/first")" = '600 2' ]
	[ "$(getfattr --only-values -n user.kept "$top/merged/second")" = y ]
	[ "$(stat -c %s "$top/merged/moved")" = $((3 * 1048576 + 1)) ]
	[ "$(readlink "$top/merged/usr/bin/umount")" = here ]
}

again() {
	down "$top"
	if [ -n "${nexus:-}" ] && [ "$top" != "$control" ]; then
		umount "$top"
		fsck.nexusfs overlay
		mount -t nexusfs overlay "$top"
	else
		echo 3 > /proc/sys/vm/drop_caches
	fi
	overlay
}

all_of_it() {
	begin "$1"
	changes
	expected
	picture "$top/merged" > "$tap_tmp/before"
	picture "$top/upper" > "$tap_tmp/upper.$2"
	again
	expected
	picture "$top/merged" > "$tap_tmp/merged.$2"
	diff "$tap_tmp/before" "$tap_tmp/merged.$2"
	# It goes on from there, and all of it can be removed.
	in_root dpkg -i /debs/hello.deb
	[ "$(in_root hello)" = 'Hello, world!' ]
	rm -rf "$top/merged/usr/share" "$top/merged/new"
	[ ! -e "$top/merged/usr/share" ]
	down "$top"
	rm -rf "$top/upper" "$top/work"
}

test_dpkg_in_an_overlay() {
	all_of_it "$dir/overlay" here
	[ "$(grep -c '^device 0 0' "$tap_tmp/upper.here")" -ge 5 ]
	(all_of_it "$control" there)
	# Nothing but the log of dpkg, with its times, is otherwise.
	diff <(grep -v 'var/log\|var/cache\|/backups\|status-old\|diversions' "$tap_tmp/upper.there") \
		<(grep -v 'var/log\|var/cache\|/backups\|status-old\|diversions' "$tap_tmp/upper.here")
	diff <(grep -v 'var/log\|var/cache' "$tap_tmp/merged.there") <(grep -v 'var/log\|var/cache' "$tap_tmp/merged.here")
}

tap_cleanup() {
	down "$dir/overlay"
	down "$control"
	umount "$dir/overlay" 2> /dev/null || true
	rm -rf --one-file-system "$dir/overlay" "$control"
	[ -z "${nexus:-}" ] || rm -rf /var/lib/nexusfs/zones/overlay
}
tap_main "$@"
