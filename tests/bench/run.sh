#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and the benchmarks, runs every row and prints the table.
#
#   tests/bench/run.sh [ROW...]     rows: accept single deliver beside memory drain return growth workers
#
# BENCH_RUNS    rounds whose median counts (5); the long rows take fewer
# BENCH_GROWTH  devices of the growth row (100000, with ten messages each)
set -eu
cd "$(dirname "$0")/../.."
deploy/install-packages.sh build test
cmake --preset bench >/dev/null
cmake --build --preset bench -- --quiet
exec python3 tests/bench/run.py "$@"
