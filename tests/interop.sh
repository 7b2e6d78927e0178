#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sends with npm's web-push, aes128gcm and aesgcm, signed with VAPID, through a relay to `bellwire listen`.
#
#   tests/interop.sh [BIN]    BIN holds bellwire-relay and bellwire: build/release/bin, else build/dev/bin
#
# Installs nodejs and npm when they are missing, and web-push into a temporary folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
web_push_version=3.6.7

bin=${1:-}
for folder in "$here/../build/release/bin" "$here/../build/dev/bin"; do
	if [ -z "$bin" ] && [ -x "$folder/bellwire-relay" ] && [ -x "$folder/bellwire" ]; then
		bin=$folder
	fi
done
if [ -z "$bin" ]; then
	echo "interop: no programs in build/release/bin or build/dev/bin; build them first" >&2
	exit 2
fi

work=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap finish EXIT

fail() {
	echo "interop: $*" >&2
	sed 's/^/  relay: /' "$work/relay.log" >&2 || true
	sed 's/^/  listen: /' "$work/listen.log" >&2 || true
	exit 1
}

# Waits until the condition holds, 20 seconds at most.
await() {
	local what=$1
	shift
	for _ in $(seq 200); do
		if "$@"; then
			return 0
		fi
		sleep 0.1
	done
	fail "$what did not happen"
}

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	as_root=$([ "$(id -u)" = 0 ] || echo sudo)
	$as_root apt-get update -qq
	$as_root apt-get install -y -qq --no-install-recommends nodejs npm
fi
(cd "$work" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund "web-push@$web_push_version" >/dev/null)
cp "$here/interop.js" "$work/"

read -r port vapid_public vapid_private < <(cd "$work" && node -e '
	const keys = require("web-push").generateVAPIDKeys();
	const server = require("net").createServer().listen(0, "127.0.0.1", () => {
		console.log(server.address().port, keys.publicKey, keys.privateKey);
		server.close();
	});')
base=http://127.0.0.1:$port

mkdir -m 700 "$work/state"
"$bin/bellwire-relay" --listen "127.0.0.1:$port" --public-url "$base" --store memory: \
	--state-dir "$work/state" --rate-limits off 2>"$work/relay.log" &
pids+=($!)

# It tries again until the relay is there.
"$bin/bellwire" listen --relay "ws://127.0.0.1:$port/" --no-state --vapid-key "$vapid_public" --count 6 \
	>"$work/lines" 2>"$work/listen.log" &
listener=$!
pids+=("$listener")
has_line() { [ -s "$work/lines" ]; }
await "the endpoint line" has_line

(cd "$work" && node interop.js "$(head -n 1 lines)" "$vapid_public" "$vapid_private") || fail "web-push's message was refused"
has_all() { [ "$(wc -l <"$work/lines")" -ge 7 ]; }
await "the arrival of six messages" has_all
wait "$listener" || fail "bellwire listen ended with status $?"

node - "$work/lines" <<'CHECK' || fail "the lines differ"
const assert = require('assert');
const lines = require('fs').readFileSync(process.argv[2], 'utf8').trim().split('\n').slice(1).map(JSON.parse);
const expected = [
	{encoding: 'aes128gcm', decrypted: true, data: 'interop aes128gcm'},
	{encoding: 'aesgcm', decrypted: true, data: 'interop aesgcm'},
	{encoding: 'aes128gcm', decrypted: true, data: 'interop urgent'},
	{encoding: 'aes128gcm', decrypted: true, data: 'x'.repeat(3993)},
	{encoding: 'aes128gcm', decrypted: true, data_base64: 'AAH-_w'},
	{encoding: null, decrypted: false, reason: 'not encrypted', data: ''},
];
assert.strictEqual(lines.length, expected.length);
lines.forEach((line, i) => {
	const {version, channel, ...rest} = line;
	assert.ok(version && channel);
	assert.deepStrictEqual(rest, expected[i]);
});
CHECK
echo "interop: web-push $web_push_version -> relay -> bellwire listen: 6 messages arrived, 1 foreign key refused"
