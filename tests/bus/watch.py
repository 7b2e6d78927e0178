# SPDX-License-Identifier: Apache-2.0
"""Watches a daemon that is attacked: its memory, how soon it answers, and how much it says."""

import pathlib
import re
import threading
import time

from session import Caller

MODEST = {"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=1:malloc_context_size=4"}


def private_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)))


class Watch:
    """Bus calls meanwhile, and the memory at its highest."""

    def __init__(self, daemon, session):
        self.daemon, self.caller = daemon, Caller(session)
        self.before = self.most = private_kib(daemon.process.pid)
        self.latencies = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.is_over.wait(0.02):
            begin = time.monotonic()
            self.caller.introspect()
            self.latencies.append(time.monotonic() - begin)
            self.most = max(self.most, private_kib(self.daemon.process.pid))

    def finish(self, growth_kib):
        """Bounded memory, and calls that were answered at once."""
        self.is_over.set()
        self.thread.join()
        assert self.most - self.before < growth_kib, f"{self.before} grew to {self.most} KiB"
        latencies = sorted(self.latencies)
        assert latencies[len(latencies) // 2] < 0.1 and latencies[-1] < 5, latencies


def assert_few_lines(daemon, most=60):
    lines = daemon.process.log().splitlines()
    assert len(lines) < most, f"{len(lines)} lines\n" + "\n".join(lines[-40:])
