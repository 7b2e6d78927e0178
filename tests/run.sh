#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds with sanitizers, runs every test, ends with ctest's summary. Arguments go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."

./deploy/install-packages.sh build
./deploy/install-packages.sh test
cmake --preset dev
cmake --build --preset dev
# Most tests wait more than they compute; those that measure time run alone.
exec ctest --preset dev -j "$((2 * $(nproc)))" --no-tests=error "$@"
