# SPDX-License-Identifier: Apache-2.0
"""Results of rows: as a table for people, as JSON for programs."""
import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass, field


@dataclass
class Result:
    row: str
    goal: str
    measured: str
    passed: object = None  # True, False, or None when there is no goal or it could not be measured
    server_us: float = None  # server CPU for one operation, store processes included
    generator: float = None  # share of one core that the load generator used
    runs: list = field(default_factory=list)


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def server_us(run):
    """CPU microseconds for one request, of all processes that took part."""
    requests = run.get("requests")
    return sum(run["server_cpu_s"]) / requests * 1e6 if requests else None


VERDICTS = {True: "pass", False: "MISS", None: ""}


def print_table(results):
    def text(value, form):
        return "" if value is None else format(value, form)

    lines = [("row", "goal", "measured", "", "CPU us/op", "generator")]
    lines += [(result.row, result.goal, result.measured, VERDICTS[result.passed],
               text(result.server_us, ".1f"), text(result.generator, ".0%")) for result in results]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print("\nCPU us/op: of the server and its store, for one request. generator: its share of one core; "
          "near 100 % it is the limit.")


def write_json(results, folder, bench):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%d-%H%M%S.json")
    document = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": platform.machine(),
                "kernel": platform.release(), "cores": os.cpu_count(), "rounds": bench.runs,
                "results": [asdict(result) for result in results]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
