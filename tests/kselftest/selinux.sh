#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Labels of a Linux security module: SELinux with the policy of selinux.cil, on ext4 and on
# nexusfs.  Takes a kernel that was started with security=selinux enforcing=0:
#
#	tools/vm/run --append 'security=selinux enforcing=0' -- 'bash tests/kselftest/selinux.sh'
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
at=/tmp/selinux
image=/var/lib/nexusfs/selinux.img
selinuxfs=/sys/fs/selinux

# The policy, once; what is mounted then gets its labels then.
policy() {
	[ -e $selinuxfs/policyvers ] || mount -t selinuxfs selinuxfs $selinuxfs 2> /dev/null || skip "no SELinux: security=selinux"
	command -v secilc > /dev/null || skip "no secilc"
	[ ! -e /run/selinux.loaded ] || return 0
	secilc -o "$tap_tmp/policy" -f /dev/null -c "$(cat $selinuxfs/policyvers)" "$here/selinux.cil" 2> /dev/null ||
		secilc -o "$tap_tmp/policy" -f /dev/null -c 33 "$here/selinux.cil"
	dd if="$tap_tmp/policy" of=$selinuxfs/load bs=4M status=none
	grep -aq '^system_u:system_r:kernel_t' /proc/self/attr/current
	touch /run/selinux.loaded
}

up() {
	case $fs in
	ext4) mount -o "loop${1:+,$1}" $image $at ;;
	nexusfs) mount -t nexusfs ${1:+-o "$1"} selinux $at ;;
	esac
}

# Where none are taken, a policy that wants them makes every mount fail.
takes_labels() {
	touch "$1/probe"
	setfattr -n security.selinux -v system_u:object_r:other_t "$1/probe"
}

# begin FS: mounted and empty at $at.
begin() {
	fs=$1
	policy
	mkdir -p $at
	case $fs in
	ext4)
		[ -e /dev/loop-control ] || modprobe loop
		truncate -s 64M $image
		mkfs.ext4 -q -F $image
		;;
	nexusfs)
		need_nexus
		takes_labels "$dir" || skip "nexusfs takes no labels"
		nexusctl zone create selinux
		;;
	esac
	up
	grep -E " $at $fs [^ ]*seclabel" /proc/mounts
}

again() {
	umount $at
	[ "$fs" != nexusfs ] || fsck.nexusfs selinux
	[ "$fs" != ext4 ] || e2fsck -f -n $image
	up "$@"
}

# is TYPE PATH...: both to the module and as the attribute.
is() {
	local type=$1 path seen
	shift
	for path; do
		seen=$(stat -c %C "$at/$path")
		[[ $seen =~ :object_r:$type$ ]] || { echo "$path: $seen, not $type" && return 1; }
		seen=$(getfattr -h --only-values -n security.selinux "$at/$path" | tr -d '\0')
		[[ $seen =~ :object_r:$type$ ]] || { echo "$path: attribute $seen, not $type" && return 1; }
	done
}

made() {
	is dir_t d d/sub d/sub/deeper
	is new_t d/file d/link d/fifo d/hard d/sub/file d/nameless
	is special_t d/special d/renamed
	is dir_t d/sub/socket
	is other_t d/asked d/moved
}

# What is made gets its label with its name, from the directory, a rule or the process.
labels() {
	begin "$1"
	mkdir $at/d
	chcon system_u:object_r:dir_t $at/d
	touch $at/d/file $at/d/special
	ln -s nowhere $at/d/link
	mkfifo $at/d/fifo
	ln $at/d/file $at/d/hard
	mkdir -p $at/d/sub/deeper
	touch $at/d/sub/file
	python3 - $at/d <<-'PYTHON'
		import os, socket, sys
		top = sys.argv[1]
		s = socket.socket(socket.AF_UNIX)
		os.chdir(top + "/sub")
		s.bind("socket")
		fd = os.open(top, os.O_TMPFILE | os.O_RDWR)
		os.link(f"/proc/self/fd/{fd}", top + "/nameless", src_dir_fd=fd, follow_symlinks=True)
		with open("/proc/thread-self/attr/fscreate", "w") as f:
		    f.write("system_u:object_r:other_t")
		os.close(os.open(top + "/asked", os.O_CREAT | os.O_RDWR))
	PYTHON
	# A label stays with the inode.
	touch $at/d/special.not
	mv $at/d/special $at/d/renamed
	touch $at/d/special
	mkdir $at/elsewhere
	chcon system_u:object_r:other_t $at/elsewhere
	touch $at/elsewhere/moved
	mv $at/elsewhere/moved $at/d/moved
	made
	echo 3 > /proc/sys/vm/drop_caches
	made
	again
	made
	# Copies with and without.
	cp --preserve=context $at/d/renamed $at/elsewhere/kept
	cp $at/d/renamed $at/elsewhere/fresh
	is special_t elsewhere/kept
	is other_t elsewhere/fresh
}
test_labels_on_ext4() { labels ext4; }
test_labels() { labels nexusfs; }

relabelled() {
	begin "$1"
	command -v setfiles > /dev/null || skip "no setfiles"
	mkdir -p $at/d/sub
	touch $at/d/one $at/d/sub/two
	ln -s one $at/d/link
	printf '%s\n' "/d(/.*)? system_u:object_r:dir_t" "/d/sub(/.*)? system_u:object_r:other_t" \
		"/d/link -l system_u:object_r:special_t" > "$tap_tmp/contexts"
	setfiles -F -r $at "$tap_tmp/contexts" $at/d
	is dir_t d d/one
	is other_t d/sub d/sub/two
	is special_t d/link
	again
	is dir_t d d/one
	is other_t d/sub d/sub/two
	is special_t d/link
	# A second run has nothing to change.
	[ -z "$(setfiles -v -F -r $at "$tap_tmp/contexts" $at/d)" ]
	# A label can be changed and not removed; one of no policy is refused to those who may not.
	fails setfattr -x security.selinux $at/d/one
	fails setpriv --reuid=12 --clear-groups chcon system_u:object_r:no_such_t $at/d/one
	is dir_t d/one
}
test_setfiles_on_ext4() { relabelled ext4; }
test_setfiles() { relabelled nexusfs; }

# Labels of the mount in the place of those of files.
options() {
	begin "$1"
	touch $at/file
	chcon system_u:object_r:other_t $at/file
	again context=system_u:object_r:mounted_t
	[[ $(stat -c %C $at/file) =~ :mounted_t ]]
	grep -E " $at .*context=" /proc/mounts
	touch $at/new
	[[ $(stat -c %C $at/new) =~ :mounted_t ]]
	fails chcon system_u:object_r:other_t $at/file
	again rootcontext=system_u:object_r:dir_t
	[[ $(stat -c %C $at) =~ :dir_t ]]
	is other_t file
	again
	is other_t file
}
test_mount_options_on_ext4() { options ext4; }
test_mount_options() { options nexusfs; }

# Enforced: a file of a type that nobody may open.
refused() {
	local bad=''
	begin "$1"
	echo hidden > $at/secret
	echo open > $at/file
	chcon system_u:object_r:secret_t $at/secret
	again
	echo 1 > $selinuxfs/enforce
	! cat $at/secret > /dev/null 2> "$tap_tmp/why" || bad+=" read"
	! (echo x >> $at/secret) 2> /dev/null || bad+=" written"
	cat $at/file > "$tap_tmp/open" || bad+=" others refused"
	echo 0 > $selinuxfs/enforce
	[ -z "$bad" ] || { echo "enforced:$bad" && return 1; }
	grep -i 'permission denied' "$tap_tmp/why"
	[ "$(cat $at/secret)" = hidden ]
	rm $at/secret
}
test_enforced_on_ext4() { refused ext4; }
test_enforced() { refused nexusfs; }

tap_cleanup() {
	echo 0 > $selinuxfs/enforce 2> /dev/null || true
	umount $at 2> /dev/null || true
	rm -rf /var/lib/nexusfs/zones/selinux $image "$dir/probe"
}
tap_main "$@"
