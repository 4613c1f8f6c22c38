#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Debian packages it takes to build and test nexusfs, in one list.
#
#   scripts/deps.sh           install what is missing; not root: print the line
#   scripts/deps.sh --check   print what is missing, exit 1 when anything is
#   scripts/deps.sh --print   print the whole list
#
# With --long before these, also what only parts of make check-long take.
#
# Debian 12 and 13.  Nothing missing takes a tenth of a second.
set -euo pipefail

packages=(
	# Compilers and their checkers.
	gcc libc6-dev make git clang clang-tidy clang-format sparse shellcheck
	# The module and the kernels it is tested in.
	flex bison bc libelf-dev libssl-dev cpio kmod xz-utils zstd perl
	# The virtual machine.
	qemu-system-x86 busybox-static e2fsprogs python3 util-linux dmsetup
	# The helper, the tools and the library.
	meson ninja-build pkgconf liburing-dev liblmdb-dev libnl-3-dev libnl-genl-3-dev
	libcurl4-openssl-dev libjansson-dev libexpat1-dev
	libyaml-dev libsqlite3-dev libpq-dev libhiredis-dev libgrpc-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libsystemd-dev
	# Their tests.
	libcmocka-dev lmdb-utils golang-go golang-github-containerd-ttrpc-dev python3-yaml
	python3-jsonschema postgresql redis-server python3-grpcio python3-protobuf openssl
	# A real S3 server for them, and a client that others wrote.
	ceph-mon ceph-osd ceph-common radosgw s3cmd
	# What is run on the mounted filesystem, or to look into it.
	sqlite3 fio strace attr acl psmisc procps iproute2 fuse3 libfuse3-dev gnuplot-nox
	secilc policycoreutils
	# Packages.
	debhelper dh-dkms debootstrap fakeroot man-db
)

# A server that would run here, for kselftest's nfs.  s3fs and rclone for tools/bench/origin.  Databases and loads for 57-applications, programs for 52-realworld; tools/bench/events' Python is the system's.
long=(nfs-kernel-server nfs-common s3fs rclone postgresql-contrib rsync dbench postmark bonnie++ stress-ng vim-tiny)
python=$(readlink -f /usr/bin/python3 || true)
[ -z "$python" ] || long+=("lib${python##*/}-testsuite")

missing() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
		sed -n 's/^installed //p' | sort -u |
		comm -13 - <(printf '%s\n' "${packages[@]}" | sort -u)
}

if [ "${1:-}" = --long ]; then
	packages+=("${long[@]}")
	shift
fi
mapfile -t wanted < <(missing)
case ${1:-} in
--print)
	printf '%s\n' "${packages[@]}"
	exit 0
	;;
--check)
	[ ${#wanted[@]} = 0 ] && exit 0
	printf '%s\n' "${wanted[@]}"
	exit 1
	;;
'') ;;
*)
	echo "usage: scripts/deps.sh [--long] [--check|--print]" >&2
	exit 2
	;;
esac

[ ${#wanted[@]} != 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "Packages are missing. As root:" >&2
	echo "apt-get install --no-install-recommends -y ${wanted[*]}"
	exit 1
fi
echo "Installing ${#wanted[@]} packages: ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
# What comes with a service must not start it: tests start their own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
# The lists may be older than the archive, and another apt may be at work.
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -o DPkg::Lock::Timeout=300 install --no-install-recommends -y "${wanted[@]}"
