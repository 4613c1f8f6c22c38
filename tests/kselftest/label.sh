#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Labels of a security module: SELinux, with a policy of two types that says what new files
# are.  Needs a kernel started with security=selinux enforcing=0, and checkpolicy.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
d=$dir/label

initial="kernel security unlabeled fs file file_labels init any_socket port netif netmsg
	node igmp_packet icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel
	sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull"

# Whatever base_t makes in a directory of base_t is made_t, but for directories.
policy() {
	local class sid
	for class in process file dir filesystem lnk_file; do echo "class $class"; done
	for sid in $initial; do echo "sid $sid"; done
	cat <<- END
		class process { transition }
		class file { read }
		class dir { read }
		class filesystem { associate }
		class lnk_file { read }
		type base_t;
		type made_t;
		role base_r;
		role base_r types { base_t made_t };
		type_transition base_t base_t:file made_t;
		type_transition base_t base_t:lnk_file made_t;
		allow base_t base_t:process { transition };
		allow { base_t made_t } { base_t made_t }:filesystem { associate };
		user user_u roles { base_r };
	END
	for sid in $initial; do echo "sid $sid user_u:base_r:base_t"; done
	cat <<- END
		fs_use_xattr nexusfs user_u:base_r:base_t;
		fs_use_xattr ext4 user_u:base_r:base_t;
		genfscon proc / user_u:base_r:base_t
	END
}

need() {
	grep -q selinux /sys/kernel/security/lsm 2> /dev/null || skip "SELinux is not on"
	command -v checkpolicy > /dev/null || skip "needs checkpolicy"
	mountpoint -q /sys/fs/selinux || mount -t selinuxfs none /sys/fs/selinux
	policy > "$tap_tmp/policy.conf"
	checkpolicy -U allow -o "$tap_tmp/policy" "$tap_tmp/policy.conf" > /dev/null 2>&1
	cat "$tap_tmp/policy" > /sys/fs/selinux/load
}

# What the module says, which need not be what is stored.
label() {
	getfattr -h --only-values -n security.selinux "$1" | tr -d '\0'
}

labels() {
	local f
	for f in f f2 l tmp d e moved; do
		[ ! -L "$d/$f" ] && [ ! -e "$d/$f" ] || echo "$f $(label "$d/$f")"
	done
}

test_new_files() {
	need
	mkdir "$d"
	[ "$(label "$d")" = user_u:base_r:base_t ]
	echo text > "$d/f"
	ln -s f "$d/l"
	mkdir "$d/e"
	python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)
os.link("/proc/self/fd/%d" % fd, sys.argv[1] + "/tmp", follow_symlinks=True)' "$d"
	setfattr -n security.selinux -v user_u:base_r:made_t "$d/e"
	echo text > "$d/e/inner"
	labels > "$tap_tmp/before"
	[ "$(cat "$tap_tmp/before")" = "f user_u:base_r:made_t
l user_u:base_r:made_t
tmp user_u:base_r:made_t
e user_u:base_r:made_t" ]
	# Without what is in memory: the label is what is stored.
	sync
	echo 3 > /proc/sys/vm/drop_caches
	labels > "$tap_tmp/after"
	diff "$tap_tmp/before" "$tap_tmp/after"
	# One record makes a file, its label included.
	[ "$(stat -f -c %t "$dir")" = 4e455853 ] || return 0
	umount "$dir"
	until_true 20 nexusctl dump root /tmp/nexus-dump
	mount -t nexusfs root "$dir"
	labels > "$tap_tmp/after"
	diff "$tap_tmp/before" "$tap_tmp/after"
}

tap_cleanup() { rm -rf "$d"; }
tap_main "$@"
