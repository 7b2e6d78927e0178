#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs what uses threads (ctest's label "threads": SQLite worker, Redis look-ups, the distributor's disk) under TSan.
# Arguments go to ctest. Reports stay in build/tsan/reports; any of them fails the run, whichever process wrote it.
set -euo pipefail
cd "$(dirname "$0")/.."
reports=$PWD/build/tsan/reports

cmake --preset tsan >/dev/null
cmake --build --preset tsan

# A sanitizer older than the kernel may find its addresses taken when these are random; then they must not be.
sane() {
	"$@" build/tsan/bin/test_backoff >build/tsan/probe.log 2>&1
}
fixed=()
if ! sane; then
	fixed=(setarch "$(uname -m)" -R)
	if ! sane "${fixed[@]}"; then
		cat build/tsan/probe.log >&2
		echo "tests/tsan.sh: the thread sanitizer does not start here; try: sysctl vm.mmap_rnd_bits=28" >&2
		exit 1
	fi
fi

rm -rf "$reports"
mkdir -p "$reports"
status=0
TSAN_OPTIONS="log_path=$reports/race second_deadlock_stack=1" ROUNDS=${ROUNDS:-4} \
	"${fixed[@]}" ctest --preset tsan -L threads -j "$(nproc)" --no-tests=error "$@" || status=$?
if [ -n "$(ls -A "$reports")" ]; then
	cat "$reports"/* >&2
	echo "tests/tsan.sh: the thread sanitizer complains; see $reports" >&2
	exit 1
fi
exit $status
