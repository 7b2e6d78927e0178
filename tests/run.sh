#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds with sanitizers, runs every test, ends with ctest's summary. Arguments go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."

./deploy/install-packages.sh build
./deploy/install-packages.sh test
cmake --preset dev
cmake --build --preset dev
exec ctest --preset dev -j "$(nproc)" --no-tests=error "$@"
