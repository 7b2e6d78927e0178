#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and prints what the distributor costs a device: traffic, wake-ups, memory, latency.
#
#   tests/bench/device.sh [MINUTES]     how long it is watched idle (10)
#
# BENCH_NICE    the priority of all that takes part (0); -10 where the machine has other work
#
# Needs root, for the network namespaces that laptop and relay live in.
set -eu
cd "$(dirname "$0")/../.."
deploy/install-packages.sh build test
cmake --preset bench >/dev/null
cmake --build --preset bench -- --quiet
exec /usr/bin/python3 -B tests/bench/device/run.py "$@"
