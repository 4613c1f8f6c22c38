#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run a client against the test server; the socket is its last argument.
# usage: with-server.sh TEST-SERVER COMMAND...
set -u

server=$1
shift
dir=$(mktemp -d)
mkfifo "$dir/ready"
"$server" "$dir/s" >"$dir/ready" &
pid=$!
read -r _ <"$dir/ready"
"$@" "$dir/s"
status=$?
kill "$pid"
wait "$pid" || status=1
rm -rf "$dir"
exit $status
