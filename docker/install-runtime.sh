#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a bare Debian ready to run the programs: shared libraries, user, state folder. Run as root.
# The last stage of the Dockerfile; tests/fresh-debian.sh runs it too.
#   docker/install-runtime.sh [path of install-packages.sh]
set -eu
packages=${1:-$(dirname "$0")/../deploy/install-packages.sh}
"$packages" runtime
rm -rf /var/lib/apt/lists/*
if ! getent passwd bellwire >/dev/null; then
	useradd --system --uid 989 --user-group --home-dir /var/lib/bellwire --shell /usr/sbin/nologin bellwire
fi
install -d -m 0700 -o bellwire -g bellwire /var/lib/bellwire
