#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mail of a real JMAP server through relay and distributor to notices and a command, step by step.
#
#   tests/mail-interop.sh james              Apache James from Maven Central (Java 11 or later; installed when missing)
#   tests/mail-interop.sh stalwart PROGRAM   a Stalwart of 0.16 or later that was built or installed elsewhere
#
# BELLWIRE_JAMES_DIR   where James is kept (~/.cache/bellwire-james)
# Uses the programs of build/dev/bin; needs what tests/run.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
	echo "usage: tests/mail-interop.sh james | stalwart PROGRAM" >&2
	exit 2
}

bin=$PWD/build/dev/bin
[ -x "$bin/bellwire-distributor" ] || { echo "mail-interop: no programs in build/dev/bin; run tests/run.sh first" >&2 && exit 2; }
export BELLWIRE_RELAY=$bin/bellwire-relay BELLWIRE_DISTRIBUTOR=$bin/bellwire-distributor

case ${1:-} in
james)
	[ $# = 1 ] || usage
	if ! command -v java >/dev/null || ! command -v keytool >/dev/null || ! command -v mvn >/dev/null; then
		as_root=$([ "$(id -u)" = 0 ] || echo sudo)
		$as_root apt-get update -qq
		$as_root apt-get install -y -qq --no-install-recommends default-jre-headless maven
	fi
	exec /usr/bin/python3 -B tests/jmap/interop_mail.py james --cache "${BELLWIRE_JAMES_DIR:-$HOME/.cache/bellwire-james}"
	;;
stalwart)
	[ $# = 2 ] && [ -x "$2" ] || usage
	exec /usr/bin/python3 -B tests/jmap/interop_mail.py stalwart --program "$(realpath "$2")"
	;;
*) usage ;;
esac
