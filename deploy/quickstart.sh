#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, starts a relay on SQLite and a device, sends a real encrypted push through both and
# shows it arriving. Leaves the relay and the device running; with --once everything ends after the demonstration.
set -euo pipefail
cd "$(dirname "$0")/.."

once=no
case "${1-}" in
"") ;;
--once) once=yes ;;
*)
	echo "usage: $0 [--once]" >&2
	exit 2
	;;
esac

port=${BELLWIRE_QUICKSTART_PORT:-8080}
base=http://127.0.0.1:$port
bin=build/release/bin
dir=$(mktemp -d "${TMPDIR:-/tmp}/bellwire-quickstart.XXXXXX")
pids=()

say() { printf '\n== %s\n' "$*"; }
finish() {
	if [ "$keep" = no ]; then
		for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
		wait 2>/dev/null || true
		rm -rf "$dir"
	fi
}
keep=no
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until a command holds, ten seconds at most.
wait_for() {
	local what=$1 tries
	shift
	for tries in $(seq 100); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	echo "$what did not happen; the logs are:" >&2
	cat "$dir"/*.log >&2
	exit 1
}

say "Installing what is missing"
./deploy/install-packages.sh build
say "Building (build/release)"
cmake --preset release >"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; exit 1; }
cmake --build --preset release

say "Starting a relay on $base, its queue in SQLite"
$bin/bellwire-relay --listen "127.0.0.1:$port" --public-url "$base" --store "sqlite:$dir/relay.db" \
	--state-dir "$dir" >"$dir/relay.log" 2>&1 &
pids+=($!)
wait_for "the relay's start" $bin/bellwire-relay health --listen "127.0.0.1:$port"

say "Starting a device that listens"
$bin/bellwire listen --relay "ws://127.0.0.1:$port/" --state "$dir/device.json" >"$dir/device.out" 2>"$dir/device.log" &
pids+=($!)
wait_for "the device's registration" grep -q endpoint "$dir/device.out"
head -n 1 "$dir/device.out"

say "Sending an encrypted push to it"
head -n 1 "$dir/device.out" | $bin/bellwire send - --ttl 60 --message "The bell rings."
wait_for "the push's arrival" grep -q "The bell rings" "$dir/device.out"

say "It arrived, decrypted on the device"
tail -n 1 "$dir/device.out"

endpoint=$(head -n 1 "$dir/device.out" | sed 's/.*"endpoint": *"\([^"]*\)".*/\1/')
if [ "$once" = yes ]; then
	say "Done"
	exit 0
fi
keep=yes
cat <<TEXT

The relay (pid ${pids[0]}) and the device (pid ${pids[1]}) go on. Send something yourself:

    curl -i -H 'TTL: 60' --data 'hello' '$endpoint'

and see it arrive:   tail -f $dir/device.out
To end them:         kill ${pids[*]}
TEXT
