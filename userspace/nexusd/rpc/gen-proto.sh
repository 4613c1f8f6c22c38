#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Generate the C code of all messages as one source and one header, because a
# Meson target cannot have outputs in folders of their own.
# usage: gen-proto.sh PROTOC-C PROTO-ROOT OUT-DIR FILE.proto...
set -eu

protoc=$1
root=$(realpath "$2")
out=$3
shift 3

mkdir -p "$out"
: >"$out/nexus-proto.h.new"
: >"$out/nexus-proto.c.new"
for file in "$@"; do
	file=$(realpath "$file")
	rel=${file#"$root"/}
	"$protoc" "-I$root" "--c_out=$out" "$file"
	printf '#include "%s.pb-c.h"\n' "${rel%.proto}" >>"$out/nexus-proto.h.new"
	printf '#include "%s.pb-c.c"\n' "${rel%.proto}" >>"$out/nexus-proto.c.new"
done
mv "$out/nexus-proto.h.new" "$out/nexus-proto.h"
mv "$out/nexus-proto.c.new" "$out/nexus-proto.c"
