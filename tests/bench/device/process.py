# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of a process: who woke it how often, its timers, its memory."""

import pathlib
import re
import threading
import time


def wakeups(pid):
    """Voluntary context switches, of each thread: each is a sleep that something ended."""
    result = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)
        result[f"{(task / 'comm').read_text().strip()} {task.name}"] = int(found[1])
    return result


def timers(pid):
    """Seconds that are left of each armed timerfd."""
    result = []
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        found = re.search(r"^it_value: \((\d+), (\d+)\)", info.read_text(), re.MULTILINE)
        if found and (int(found[1]) or int(found[2])):
            result.append(int(found[1]) + int(found[2]) / 1e9)
    return sorted(result)


def private_bytes(pid):
    """Of all that the process maps, what it shares with nobody."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))


class WakeupLog:
    """When the process woke, to the second."""

    def __init__(self, pid):
        self.pid = pid
        self.times_ns = []  # one entry a wake-up
        self.last = wakeups(pid)
        self.by_thread = {name: 0 for name in self.last}
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _look(self):
        now_ns = time.time_ns()
        current = wakeups(self.pid)
        for name, count in current.items():
            news = count - self.last.get(name, 0)
            self.times_ns += [now_ns] * news
            self.by_thread[name] = self.by_thread.get(name, 0) + news
        self.last = current

    def _watch(self):
        while not self.is_over.wait(1):
            self._look()

    def finish(self):
        self.is_over.set()
        self.thread.join()
        self._look()

    def beside(self, packet_times_ns, reach_ns=2 * 10**9):
        """How many were not near any packet."""
        return sum(all(abs(t - packet) > reach_ns for packet in packet_times_ns) for t in self.times_ns)
