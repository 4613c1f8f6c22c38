#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What CPython's own tests of files and directories say on the mounted filesystem, compared
# test by test with what they say on the ext4 below it: passed, failed and skipped alike.
# NEXUS_CONTROL_DIR: another directory to compare with.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
python=/usr/bin/python3
control=${NEXUS_CONTROL_DIR:-/var/lib/nexusfs}
# shellcheck disable=SC2034 # in the functions made below
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)

# By root, and some again by nobody, for whom modes mean something.
modules=(os shutil tempfile glob pathlib mmap fcntl posix mailbox zipfile tarfile dbm_dumb largefile
	fileio stat genericpath posixpath filecmp file shelve fileinput)
unprivileged=(os shutil tempfile pathlib posix tarfile)
[ -z "${NEXUS_SHORT:-}" ] || { modules=(os shutil glob posix) && unprivileged=(shutil); }

# results PLACE MODULE COMMAND...: "NAME OUTCOME" of each test, sorted.
results() {
	local place=$1 module=test_$2
	shift 2
	rm -rf "$place" "$tap_tmp/results.xml"
	mkdir "$place"
	[ $# = 0 ] || chown 65534:65534 "$place"
	touch "$tap_tmp/results.xml"
	chmod 666 "$tap_tmp/results.xml"
	chmod 711 "$tap_tmp"
	# Whether it runs depends on how much is free: 6 GB, and zones keep some.
	local left_out=(-i TestSocketSendfile)
	(cd "$place" && TMPDIR=$place PYTHONDONTWRITEBYTECODE=1 timeout -k 5 1000 "$@" $python -m test \
		--tempdir "$place" --junit-xml "$tap_tmp/results.xml" "${left_out[@]}" -v "$module") > "$tap_tmp/said" 2>&1 || true
	$python - "$tap_tmp/results.xml" <<-'PYTHON'
		import sys, xml.etree.ElementTree as tree
		for case in sorted(tree.parse(sys.argv[1]).iter("testcase"), key=lambda case: case.get("name")):
		    what = "+".join(sorted(child.tag for child in case if not child.tag.startswith("system-")))
		    print(case.get("name"), case.get("result"), what or "passed")
	PYTHON
	rm -rf "$place"
}

xattrs() {
	touch "$dir/python-xattr"
	setfattr -n user.it -v there "$dir/python-xattr" 2> /dev/null
}

# same MODULE COMMAND...
same() {
	local count
	$python -c 'import test.test_os' 2> /dev/null || skip "no libpython3-testsuite"
	[ -w "$control" ] || skip "no $control to compare with"
	results "$control/python-$1" "$@" > "$tap_tmp/want"
	cp "$tap_tmp/said" "$tap_tmp/said.control"
	results "$dir/python-$1" "$@" > "$tap_tmp/got"
	count=$(grep -c passed "$tap_tmp/want")
	[ "$count" -ge 5 ]
	if ! xattrs; then
		echo "no extended attributes here: their tests are not compared"
		sed -i -E '/[Xx]attr|ExtendedAttribute/d' "$tap_tmp/want" "$tap_tmp/got"
	fi
	if ! diff "$tap_tmp/want" "$tap_tmp/got"; then
		grep -E -A 30 '^(FAIL|ERROR): |^Traceback' "$tap_tmp/said" || true
		return 1
	fi
	echo "$count pass on both"
}

for name in "${modules[@]}"; do
	eval "test_$name() { same $name; }"
done
for name in "${unprivileged[@]}"; do
	eval "test_${name}_by_nobody() { same $name \"\${nobody[@]}\"; }"
done

tap_cleanup() { rm -f "$dir/python-xattr"; }
tap_main "$@"
