#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# with_redis.sh PROGRAM: runs PROGRAM with the URL of a private redis-server, and ends that again.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
binary=$(command -v redis-server || command -v valkey-server)
"$binary" --port 0 --unixsocket "$dir/s" --dir "$dir" --logfile "$dir/log" \
	--save '' --appendonly yes --appendfsync everysec --daemonize no &
server=$!
# It logs this line when its socket is open; tail ends with the server.
timeout 15 tail --pid="$server" -n +1 -F "$dir/log" 2>/dev/null | grep -q -m 1 'eady to accept connections' || {
	cat "$dir/log" >&2
	exit 1
}
"$1" "unix://$dir/s"
