#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs on a bare Debian and lays them out under a folder: docker/build.sh OUT
# The build stage of the Dockerfile; tests/fresh-debian.sh runs it too.
set -eu
[ $# -eq 1 ] || { echo "usage: docker/build.sh OUT" >&2 && exit 2; }
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
deploy/install-packages.sh docker-build
cmake --preset release -B build/docker -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_SYSCONFDIR=/etc
cmake --build build/docker
for component in relay tool; do
	DESTDIR=$out cmake --install build/docker --strip --component "$component"
done
