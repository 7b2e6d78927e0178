#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target from its seeds: tests/fuzz.sh [SECONDS [AT-A-TIME]] (60, 2). A crash stays in build/fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
at_a_time=${2:-2}

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
mkdir -p build/fuzz/crashes build/fuzz/corpus
run_one() {
	local target=$1 seconds=$2
	mkdir -p "build/fuzz/corpus/$target"
	"build/fuzz/bin/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/crashes/$target-" "build/fuzz/corpus/$target" "tests/corpus/$target" \
		>"build/fuzz/$target.log" 2>&1 || {
		tail -n 40 "build/fuzz/$target.log"
		echo "fuzz $target: FAILED"
		return 255
	}
	echo "fuzz $target: $(grep -o 'number_of_executed_units: .*' "build/fuzz/$target.log")"
}
export -f run_one
find build/fuzz/bin -name '*_fuzz' -printf '%f\n' | sort | xargs -P "$at_a_time" -I '{}' bash -c 'run_one {} '"$seconds"
