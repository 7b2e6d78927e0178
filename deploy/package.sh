#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages bellwire-relay, bellwire-distributor and bellwire for this release, into build/package.
set -eu
cd "$(dirname "$0")/.."
./deploy/install-packages.sh build package
cmake -G Ninja -B build/package -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX=/usr -DBELLWIRE_TESTS=OFF \
	-DBELLWIRE_HARDEN=ON >/dev/null
cmake --build build/package
(cd build/package && cpack -G DEB >/dev/null)
ls build/package/*.deb
