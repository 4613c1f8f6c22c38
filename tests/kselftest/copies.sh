#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Programs that copy everything there is to a file, and editors: what arrives, and what an
# editor leaves of links, modes and inodes, compared with the ext4 below (NEXUS_CONTROL_DIR).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
control=${NEXUS_CONTROL_DIR:-/var/lib/nexusfs}/copies
work=$dir/copies
defaults=yes

need() {
	local program
	for program; do
		command -v "$program" > /dev/null || skip "no $program"
	done
	rm -rf "$work" "$control"
	mkdir "$work" "$control"
	cd "$work"
}

# able xattrs|acls: on the filesystem under test.
able() {
	touch "$work/probe"
	case $1 in
	xattrs) setfattr -n user.probe -v 1 "$work/probe" 2> /dev/null ;;
	acls) setfacl -m u:12:r "$work/probe" 2> /dev/null ;;
	esac
}

# Everything that has to arrive, in a text: also which names are one file, how many bytes of
# holes there are, extended attributes of every namespace, access lists.
picture() {
	(
		cd "$1"
		find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort
		find . -type d -printf '%p %y %m %U %G %T@\n' | sort
		find . -type f -links +1 -printf '%i %p\n' | sort -k 2 |
			awk '{ if (!($1 in first)) first[$1] = $2; print "same", $2, first[$1] }'
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum
		[ -z "${with_xattrs:-}" ] || find . -print0 | sort -z | xargs -0 getfattr -h -d -m '^(user|trusted|security\.cap)' -e hex
		[ -z "${with_acls:-}" ] || find . ! -type l -print0 | sort -z | xargs -0 getfacl -n -p
	)
}

# Holes: as large as those of the source, to the blocks of 4 KiB.
holes() {
	python3 - "$1" <<-'PYTHON'
		import os, sys
		for top, dirs, files in os.walk(sys.argv[1]):
		    dirs.sort()
		    for name in sorted(files):
		        path = os.path.join(top, name)
		        if not os.path.isfile(path) or os.path.islink(path):
		            continue
		        with open(path, "rb") as f:
		            size, at, data = os.fstat(f.fileno()).st_size, 0, 0
		            while at < size:
		                try:
		                    start = os.lseek(f.fileno(), at, os.SEEK_DATA)
		                except OSError:
		                    break
		                at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
		                data += at - start
		            if size >= 1 << 20:
		                print(os.path.relpath(path, sys.argv[1]), size, data)
	PYTHON
}

make_source() {
	mkdir -p "$1/d/e" "$1/empty" "$1/sticky"
	cp -a /usr/include/linux/netfilter "$1/tree"
	echo text > "$1/d/file"
	ln "$1/d/file" "$1/d/e/same"
	ln "$1/d/file" "$1/and this"
	ln -s ../d/file "$1/d/link"
	ln -s nowhere "$1/dangling"
	ln "$1/dangling" "$1/d/dangling too" 2> /dev/null || true
	mkfifo -m 620 "$1/fifo"
	mknod "$1/null" c 1 3
	mknod "$1/block" b 7 99
	chmod 1777 "$1/sticky"
	printf 'x' | dd of="$1/sparse" bs=1 seek=8M conv=notrunc status=none
	printf 'y' | dd of="$1/sparse" bs=1 seek=3M conv=notrunc status=none
	truncate -s 20M "$1/hole"
	head -c 2000000 /dev/urandom > "$1/dense"
	touch "$1"/$'odd \001\377\n name' "$1/-rf"
	install -m 6755 -o 12 -g 34 /bin/true "$1/d/setuid"
	chown -h 12:34 "$1/dangling"
	chmod 0 "$1/d/e/same"
	if [ -n "${with_xattrs:-}" ]; then
		setfattr -n user.short -v value "$1/d/file"
		setfattr -n user.long -v "$(head -c 1500 /dev/zero | tr '\0' v)" "$1/dense"
		setfattr -n user.empty "$1/d/file"
		setfattr -n trusted.hidden -v 0x00ff01 "$1/d"
		setfattr -h -n trusted.link -v on "$1/dangling"
		setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 "$1/dense"
		setfattr -n user.dir -v there "$1/empty"
	fi
	if [ -n "${with_acls:-}" ]; then
		setfacl -m u:12:rw,g:34:r,m::rw "$1/dense"
		setfacl -m u:13:rwx,g::rx "$1/sticky"
		[ -z "$defaults" ] || setfacl -m d:u:14:rwx,d:g::r,d:o::- "$1/sticky"
		touch "$1/sticky/inherits"
		mkdir "$1/sticky/inherits too"
	fi
	# One second more or less is all that rsync sees of what is no file.
	find "$1" -depth -exec touch -h -d '2010-11-12 13:14:15.161718' {} +
	touch -h -d '1999-12-31 23:59:59.123456789' "$1/dangling" "$1/d/file" "$1/sparse"
	touch -d '1960-01-02 03:04:05' "$1/hole"
	touch -d '2001-02-03 04:05:06.7' "$1/empty" "$1/d/e" "$1/d"
}

# copied WHAT COMMAND: COMMAND copies $from to $to; from ext4, on this one, and back.
copied() {
	local command=$1 from to with_xattrs='' with_acls=''
	shift
	need setfattr setfacl python3 "$@"
	if able xattrs; then with_xattrs=1; else echo "no extended attributes here: not compared"; fi
	if able acls; then with_acls=1; else echo "no access lists here: not compared"; fi
	rm -f probe
	make_source "$control/source"
	from=$control/source
	for to in "$work/first" "$work/second" "$control/back"; do
		echo "$from to $to"
		$command
		picture "$from" > "$tap_tmp/from"
		echo 3 > /proc/sys/vm/drop_caches
		picture "$to" > "$tap_tmp/to"
		diff "$tap_tmp/from" "$tap_tmp/to"
		diff <(holes "$from") <(holes "$to")
		from=$to
	done
}

by_cp() { cp -a --sparse=always "$from" "$to"; }
test_cp() { copied by_cp cp; }

# --xattrs alone takes those of users, and tar stops at what it may not name.
by_tar() {
	local how=(--numeric-owner --sparse --format=posix)
	[ -z "$with_xattrs" ] || how+=(--xattrs --xattrs-include='*')
	[ -z "$with_acls" ] || how+=(--acls)
	mkdir "$to"
	tar -C "$from" "${how[@]}" -cf - . | tar -C "$to" "${how[@]}" --atime-preserve=system -xpf -
}
test_tar() { copied by_tar tar; }

by_rsync() {
	local letters=-aH changed
	[ -z "$with_xattrs" ] || letters+=X
	[ -z "$with_acls" ] || letters+=A
	rsync $letters --sparse --numeric-ids "$from/" "$to/"
	# And it finds nothing that is different.
	changed=$(rsync $letters --sparse --numeric-ids --delete --itemize-changes --dry-run "$from/" "$to/")
	echo "$changed"
	[ -z "$changed" ]
}
# Not default lists: what it makes of them is not the same, on ext4 either.
test_rsync() { defaults='' && copied by_rsync rsync; }

# --- editors -----------------------------------------------------------------

# What became of FILE and its other name: in words, without inode numbers.
left() {
	local now
	now=$(stat -c %i "$1")
	[ "$now" = "$inode" ] && echo "$1: the same inode" || echo "$1: another inode"
	stat -c '%n: %A %u:%g %h names, %s bytes' "$1"
	cat "$1"
	find . -mindepth 1 -maxdepth 1 -printf '%f %y %m %n\n' | sort
}

# fresh: a file, a second name of it and a symbolic link to it.
fresh() {
	rm -rf ./* .[!.]*
	printf 'one\ntwo\nthree\n' > file
	chmod 640 file
	chown 12:34 file
	[ -z "${1:-}" ] || ln file other
	ln -s file link
	inode=$(stat -c %i file)
}

vi() { vim.tiny -u NONE -N -i NONE -es "$@" < /dev/null; }

editors() {
	local mode linked
	for linked in '' linked; do
		for mode in yes no auto auto,breakhardlink auto,breaksymlink; do
			echo "== vim, backupcopy=$mode $linked"
			fresh $linked
			vi -c "set backup writebackup backupdir=. backupcopy=$mode" -c '%s/two/TWO/' -c wq file
			left file
			fresh $linked
			vi -c "set nobackup writebackup backupcopy=$mode" -c 2d -c wq link
			left file
		done
		echo "== vim, read only file, $linked"
		fresh $linked
		chmod 400 file
		vi -c 'set nobackup' -c '1d' -c wq! file
		left file
		echo "== sed -i $linked"
		fresh $linked
		sed -i s/two/TWO/ file
		left file
		echo "== sed -i.bak --follow-symlinks $linked"
		fresh $linked
		sed -i.bak --follow-symlinks s/two/TWO/ link
		left file
		echo "== sed -i of a link $linked"
		fresh $linked
		sed -i s/two/TWO/ link
		left file
		echo "== perl -pi $linked"
		fresh $linked
		perl -pi.orig -e 's/two/TWO/' file
		left file
		echo "== patch $linked"
		fresh $linked
		printf -- '--- file\n+++ file\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n' | patch -s -b
		left file
		echo "== sort -o, shuf -o, install, truncate, tee, cp over, mv over $linked"
		fresh $linked
		sort -o file file
		left file
		install -m 600 file file.new
		mv -f file.new file
		left file
		tee -a file <<< four > /dev/null
		cp --remove-destination file link
		stat -c '%n: %F %h' link
		cp -f /etc/hostname file 2> /dev/null || true
		: > file
		left file
	done
	echo "== a swap file left behind"
	fresh
	# Its shell is a child of it.
	# shellcheck disable=SC2016
	(vi -c 'set directory=. updatecount=1' -c '%s/two/TWO/' -c preserve -c 'silent !kill -9 $PPID' file || true) 2> /dev/null
	find . -name '.*.sw?' -printf '%f %m\n'
	vi -c 'set directory=.' -r file -c 'wq! recovered' || true
	cat recovered
}

test_editors() {
	need vim.tiny sed perl patch
	(cd "$control" && editors > "$tap_tmp/want" 2>&1)
	(cd "$work" && editors > "$tap_tmp/got" 2>&1)
	[ "$(grep -c 'another inode' "$tap_tmp/want")" -ge 10 ]
	[ "$(grep -c 'the same inode' "$tap_tmp/want")" -ge 10 ]
	diff "$tap_tmp/want" "$tap_tmp/got"
}

tap_cleanup() {
	cd /
	rm -rf "$work" "$control"
}
tap_main "$@"
