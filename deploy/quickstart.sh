#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, starts a relay on SQLite and a distributor on a session bus of its own, sends real
# encrypted pushes through both and shows them arriving: at an app on the bus, and at a hook that runs a command. Leaves
# both running; with --once everything ends after the demonstration.
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
./deploy/install-packages.sh build demo
say "Building (build/release)"
cmake --preset release >"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; exit 1; }
cmake --build --preset release

say "Starting a relay on $base, its queue in SQLite"
$bin/bellwire-relay --listen "127.0.0.1:$port" --public-url "$base" --store "sqlite:$dir/relay.db" \
	--state-dir "$dir" >"$dir/relay.log" 2>&1 &
pids+=($!)
wait_for "the relay's start" $bin/bellwire-relay health --listen "127.0.0.1:$port"

say "Starting a session bus of its own for the demonstration"
dbus-daemon --session --nopidfile --print-address=3 --nofork 3>"$dir/bus" 2>"$dir/bus.log" &
pids+=($!)
wait_for "the bus" test -s "$dir/bus"
DBUS_SESSION_BUS_ADDRESS=$(cat "$dir/bus")
export DBUS_SESSION_BUS_ADDRESS XDG_CONFIG_HOME=$dir/config XDG_STATE_HOME=$dir/state

say "Setting the relay, and a hook that runs a command"
$bin/bellwire login "ws://127.0.0.1:$port/" --no-start
cat >>"$XDG_CONFIG_HOME/bellwire/distributor.conf" <<CONF

[hook greet]
command = /bin/sh -c 'cat >>$dir/hook.out; echo >>$dir/hook.out'
CONF

say "Starting the distributor"
$bin/bellwire-distributor >"$dir/distributor.log" 2>&1 &
pids+=($!)
wait_for "the connection" $bin/bellwire status
$bin/bellwire status

say "A push to an app on the session bus: it registers (UnifiedPush), is sent an encrypted push, and gets it"
$bin/bellwire test

say "A push to the hook: decrypted, then given to its command"
wait_for "the hook's push URL" $bin/bellwire keys greet
$bin/bellwire keys greet | $bin/bellwire send - --ttl 60 --message "The bell rings."
wait_for "the hook's run" grep -q "The bell rings" "$dir/hook.out"
cat "$dir/hook.out"

say "A push URL of your own"
$bin/bellwire register demo | tee "$dir/demo.json"
if [ "$once" = yes ]; then
	say "Done"
	exit 0
fi
$bin/bellwire listen demo >"$dir/demo.out" 2>&1 &
pids+=($!)
endpoint=$(sed 's/.*"endpoint": *"\([^"]*\)".*/\1/' "$dir/demo.json")
keep=yes
cat <<TEXT

Relay (pid ${pids[0]}), bus (pid ${pids[1]}), distributor (pid ${pids[2]}) and a listener (pid ${pids[3]}) go on. Send something yourself:

    curl -i -H 'TTL: 60' --data 'hello' '$endpoint'

and see it arrive:   tail -f $dir/demo.out
Look at it:          export DBUS_SESSION_BUS_ADDRESS='$DBUS_SESSION_BUS_ADDRESS'; $bin/bellwire status
To end them:         kill ${pids[*]}
TEXT
