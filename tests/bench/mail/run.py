# SPDX-License-Identifier: Apache-2.0
"""Measures mail through the real relay and the real distributor, with the JMAP test server and TLS; see mail.sh."""

import json
import os
import pathlib
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "build/bench/bin"
for variable, program in (("RELAY", "bellwire-relay"), ("DISTRIBUTOR", "bellwire-distributor"), ("TOOL", "bellwire")):
    os.environ[f"BELLWIRE_{variable}"] = str(PROGRAMS / program)
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("integration", "bus", "jmap")]

import mail  # noqa: E402
from harness.process import wait_until  # noqa: E402
from table import explanation, markdown, rows  # noqa: E402

FLOOD_SEC = 60
# A change is looked at at once after 300 ms of quiet; others are gathered, for 3 s when it is never quiet.
QUIET_SEC, GATHER_SEC = 0.3, 3
BETWEEN_SEC = 0.7  # mails do not fall into the window of the last


class Screen:
    """The notification server's program, its lines read in a thread."""

    def __init__(self, session):
        self.shown = queue.Queue()  # (nanoseconds, text)
        self.process = subprocess.Popen(
            [sys.executable, "-B", pathlib.Path(__file__).with_name("screen.py")], env={**os.environ, **session.env},
            text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            when, text = line.split(" ", 1)
            self.shown.put((int(when), json.loads(text)))

    def wait(self, words):
        """When it was asked to show them."""
        while True:
            when, text = self.shown.get(timeout=30)
            if words in text:
                return when

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


class Person(mail.Person):
    """One whose desktop is Screen."""

    def start_desktop(self, capabilities):
        return Screen(self.session)


class Setup:
    def __init__(self, directory):
        self.person = Person(directory, is_secure=True)
        self.began = directory / "began"
        self.began.touch()
        self.jmap = self.person.server()
        self.person.login(on_change=f"{PROGRAMS}/bellwire-bench-began {self.began}")
        self.person.start(log_level="warn")
        self.ann = self.jmap.logins["ann@localhost"]
        self.wait_rest()

    def close(self):
        self.person.finish()

    def wait_rest(self):
        """Until nothing is asked any more: what the start led to is over."""

        def rests():
            before = len(self.jmap.requests)
            time.sleep(2)
            return len(self.jmap.requests) == before

        wait_until(rests, 60, "rest")

    def commands(self):
        return [int(line) for line in self.began.read_text().splitlines()]


def percentiles(values_ns):
    values = sorted(values_ns)
    return {
        "p50_ms": statistics.median(values) / 1e6, "p99_ms": values[len(values) * 99 // 100] / 1e6,
        "max_ms": values[-1] / 1e6,
    }  # fmt: skip


class Way:
    """Of one mail, in nanoseconds since the mail server's POST began."""

    def __init__(self, push, requests, shown_ns, began_ns):
        posted_ns = push.began * 1e9
        asked = [r for r in requests if posted_ns <= r.at * 1e9 < shown_ns]
        self.requests = len(asked)
        self.answers = sum(r.took for r in asked) * 1e9
        self.kept = push.took * 1e9
        self.asked = asked[0].at * 1e9 - posted_ns if asked else 0
        self.shown, self.began = shown_ns - posted_ns, began_ns - posted_ns

    def __str__(self):
        steps = ("kept", "asked", "answers", "shown", "began")
        return ", ".join(f"{step} {getattr(self, step) / 1e6:.1f}" for step in steps)


def measure_latency(setup, count):
    """One mail at a time; the clock starts with the mail server's POST to the relay."""
    jmap, ways = setup.jmap, []
    for number in range(count):
        runs, pushes = len(setup.commands()), len(jmap.pusher.done)
        jmap.deliver(setup.ann, f"mail number {number}.")
        shown_ns = setup.person.desktop.wait(f"mail number {number}.")
        wait_until(lambda: len(setup.commands()) > runs and len(jmap.pusher.done) > pushes, 30, "the command")
        ways.append(Way(jmap.pusher.done[pushes], jmap.asked(), shown_ns, setup.commands()[runs]))
        time.sleep(BETWEEN_SEC)
    for way in sorted(ways, key=lambda w: w.shown)[-5:]:
        print(f"-- slow, ms: {way}", file=sys.stderr)
    return {
        "kept": percentiles([w.kept for w in ways]),
        "shown": percentiles([w.shown for w in ways]),
        "shown_beyond": percentiles([w.shown - w.answers for w in ways]),
        "began": percentiles([w.began for w in ways]),
        "began_beyond": percentiles([w.began - w.answers for w in ways]),
        "requests_mail": statistics.mean(w.requests for w in ways),
    }


def cpu_sec(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_flood(setup, count):
    """Changes of one mail's flags, evenly over a minute; each is a StateChange of its own."""
    jmap, daemon, relay = setup.jmap, setup.person.daemon.process.pid, setup.person.relay.process.pid
    mail_id = jmap.deliver(setup.ann, "the touched one")
    setup.person.desktop.wait("the touched one")
    setup.wait_rest()
    runs, pushes, cpu = len(setup.commands()), len(jmap.pushes()), (cpu_sec(daemon), cpu_sec(relay))
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0, begin + number * FLOOD_SEC / count - time.monotonic()))
        jmap.change(setup.ann, mail_id, keywords={"$flagged": number % 2 == 0})
    wait_until(lambda: len(jmap.pushes()) - pushes >= count, 60, "the posts")
    setup.wait_rest()
    asked = [r for r in jmap.asked() if r.at >= begin]
    took = asked[-1].at - begin
    return {
        "changes": count, "flood_s": took, "requests": len(asked), "windows": took / (GATHER_SEC if FLOOD_SEC / count < QUIET_SEC else QUIET_SEC),
        "commands": len(setup.commands()) - runs,
        "cpu_ms": (cpu_sec(daemon) - cpu[0]) * 1000, "relay_cpu_ms": (cpu_sec(relay) - cpu[1]) * 1000,
    }  # fmt: skip


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    changes = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mail-", dir=ROOT / "build/bench"))
    setup = None
    try:
        setup = Setup(directory)
        print(f"-- latency of {count} mails", file=sys.stderr)
        found = {"mails": count, **measure_latency(setup, count)}
        print(f"-- {changes} changes in {FLOOD_SEC} s", file=sys.stderr)
        found |= measure_flood(setup, changes)
    finally:
        if setup:
            setup.close()
        shutil.rmtree(directory, ignore_errors=True)
    print(markdown(found))
    print()
    print(explanation(found))
    results = ROOT / "tests/bench/results"
    results.mkdir(parents=True, exist_ok=True)
    (results / time.strftime("mail-%Y%m%d-%H%M%S.json")).write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(1 if any(passed is False for *_, passed in rows(found)) else 0)


if __name__ == "__main__":
    main()
