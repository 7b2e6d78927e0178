# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark's rows in turn and reports them; see run.sh."""
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import report
import rows
from servers import Bench

ROOT = Path(__file__).resolve().parents[2]


def main():
    chosen = sys.argv[1:] or list(rows.ROWS)
    unknown = [name for name in chosen if name not in rows.ROWS]
    if unknown:
        sys.exit(f"no row {' '.join(unknown)}; there are: {' '.join(rows.ROWS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # On the disk of the build folder, for a database on a RAM disk would measure nothing.
    work = Path(tempfile.mkdtemp(prefix="run-", dir=ROOT / "build" / "bench"))
    bench = Bench(ROOT / "build" / "bench" / "bin", work, runs=int(os.environ.get("BENCH_RUNS", "5")),
                  files=hard)
    results = []
    start = time.monotonic()
    try:
        for name in chosen:
            print(f"-- {name}", file=sys.stderr, flush=True)
            results += rows.run(name, bench)
    finally:
        bench.stop_all()
        shutil.rmtree(work, ignore_errors=True)
    report.print_table(results)
    path = report.write_json(results, ROOT / "tests" / "bench" / "results", bench)
    print(f"\n{time.monotonic() - start:.0f} s; all numbers in {path.relative_to(ROOT)}")
    sys.exit(1 if any(result.passed is False for result in results) else 0)


if __name__ == "__main__":
    main()
