#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The regular check of a mounted zone, and damage to a pack on the disk under it.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
zone=/var/lib/nexusfs/zones/root

need() {
	need_nexus
	[ -d "$zone/packs" ] || skip "needs a zone on the local disk"
}

# One value out of the answer as JSON.
asked() { nexusctl --json scrub status root | python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }

over() { [ "$(asked "['running']")" = False ]; }

run() {
	until_true 60 over
	nexusctl scrub start root
	until_true 120 over
}

# Pack and block of the first block of a file.
place() {
	python3 - "$1" "$zone/packs" <<-'E'
	import fcntl, struct, sys
	fiemap = bytearray(struct.pack("=QQIIII", 0, 4096, 0, 0, 1, 0) + bytes(56))
	with open(sys.argv[1], "rb") as f:
	    fcntl.ioctl(f, 0xC020660B, fiemap)
	physical = struct.unpack_from("=Q", fiemap, 40)[0]
	pack, offset = physical >> 32, physical & 0xffffffff
	print(f"{sys.argv[2]}/{pack & 0xff:02x}/{pack:016x}.pack", offset >> 12)
	E
}

# Damages that block; what holds little else may be moved meanwhile, then once more.
damage() {
	local pack block now
	for _ in $(seq 10); do
		read -r pack block < <(place "$1")
		if flip "$pack" "$block" 2> "$tap_tmp/flip"; then
			now=$(place "$1")
			[ "$now" != "$pack $block" ] || { echo "$now"; return 0; }
		fi
	done
	cat "$tap_tmp/flip"
	return 1
}

flip() {
	python3 - "$1" "$2" <<-'E'
	import os, sys
	fd = os.open(sys.argv[1], os.O_RDWR)
	at = int(sys.argv[2]) * 4096 + 100
	byte = os.pread(fd, 1, at)[0] ^ 1
	os.pwrite(fd, bytes([byte]), at)
	os.fsync(fd)
	E
}

test_all_right() {
	need
	head -c 3000000 /dev/urandom > "$dir/scrubbed"
	sync -f "$dir"
	run
	[ "$(asked "['last']['problems']")" = 0 ]
	# Open packs have lines that are only in the log yet; the rest is read.
	[ $(($(asked "['last']['blocks']") + $(asked "['last']['unchecked']"))) -ge 732 ]
	fails nexusctl scrub start nope
	rm "$dir/scrubbed"
}

# Until it is read, nobody else would notice.
test_damage() {
	need
	local pack block log=/run/nexusfs/nexusd.log
	head -c 4096 /dev/zero | tr '\0' K > "$dir/damaged"
	sync -f "$dir"
	# Tables are written when the log's segment is: an unmount does it.
	umount "$dir"
	mount -t nexusfs root "$dir"
	read -r pack block < <(damage "$dir/damaged")
	run
	[ "$(asked "['last']['problems']")" = 1 ]
	[ "$(nexusctl scrub status root > /dev/null; echo $?)" = 3 ]
	grep -q "scrub: inode $(stat -c %i "$dir/damaged") .*block $block of pack .* is damaged" "$log"
	flip "$pack" "$block"
	run
	[ "$(asked "['last']['problems']")" = 0 ]
	rm "$dir/damaged"
}

test_stopped() {
	need
	fails nexusctl scrub stop root
	umount "$dir"
	mount -t nexusfs -o ro root "$dir"
	fails nexusctl scrub start root 2> "$tap_tmp/why"
	grep -q 'mounted read-only' "$tap_tmp/why"
	umount "$dir"
	mount -t nexusfs root "$dir"
}

tap_main "$@"
