# SPDX-License-Identifier: Apache-2.0
"""The program hooks_driver, spoken to line by line."""

import json
import os
import select
import subprocess
import time

from harness.process import SANITIZER_MARKS, wait_until

BINARY = os.environ["HOOKS_DRIVER"]
NO_BUS = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")

# Writes down what a run was given, as one line of JSON in the file of its first argument, then goes on
# with the rest as a shell script.
RECORD = """\
import json, os, sys
given = sys.stdin.buffer.read()
line = {"input": given.decode(errors="replace"), "pid": os.getpid(), "cwd": os.getcwd(),
        "fds": sorted(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)),
        "sid": os.getsid(0), "env": dict(os.environ)}
status = {l.split(":")[0]: l.split(":")[1].strip() for l in open("/proc/self/status")}
line["blocked"], line["ignored"] = status["SigBlk"], status["SigIgn"]
with open(sys.argv[1], "a") as out:
    out.write(json.dumps(line) + "\\n")
if len(sys.argv) > 2:
    os.execvp("sh", ["sh", "-c", " ".join(sys.argv[2:])])
"""


class Hooks:
    """@record in the config is a command that writes down its run; @DIR is the test's directory."""

    def __init__(self, directory, config, env):
        self.directory = directory
        self.records = directory / "runs"
        (directory / "record.py").write_text(RECORD)
        record = f"/usr/bin/python3 -S {directory}/record.py {self.records}"
        path = directory / "hooks.conf"
        path.write_text(config.replace("@record", record).replace("@DIR", str(directory)))
        environment = {k: v for k, v in os.environ.items() if k not in NO_BUS}
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        environment["HOME"] = str(directory)
        environment.update(env)
        self.stderr = directory / "driver.log"
        with open(self.stderr, "ab") as err:
            self.child = subprocess.Popen(
                [BINARY, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env=environment,
            )
        self.rest = b""
        self.said = []
        self.ids = 0
        self.expect("ready")

    def log(self):
        return self.stderr.read_text(errors="replace")

    def send(self, *lines):
        self.child.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.child.stdin.flush()

    def push(self, name, body, topic="-", urgency="normal", how="plain"):
        """The message's id."""
        self.send(f"push {name} {topic} {urgency} {how} {body}")
        self.ids += 1
        return f"{self.ids:016x}"

    def read(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.rest:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self.child.stdout], [], [], left)[0]:
                return None
            got = os.read(self.child.stdout.fileno(), 65536)
            assert got, f"the driver ended\n{self.log()[-6000:]}"
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def expect(self, line, timeout=20):
        """Waits for this line; others before it are kept in .said."""
        while line not in self.said:
            got = self.read(timeout)
            assert got is not None, f"no \"{line}\", but {self.said[-10:]}\n{self.log()[-4000:]}"
            self.said.append(got)
        self.said.remove(line)

    def outcome(self, message, timeout=20):
        """How dispatch was told that it went."""
        prefix = f"done {message} "
        while True:
            for line in self.said:
                if line.startswith(prefix):
                    self.said.remove(line)
                    return line[len(prefix) :]
            got = self.read(timeout)
            assert got is not None, f"{message} was not answered\n{self.log()[-4000:]}"
            self.said.append(got)

    def is_answered(self, message):
        """Without waiting."""
        while (line := self.read(0)) is not None:
            self.said.append(line)
        return any(line.startswith(f"done {message} ") for line in self.said)

    def runs(self, count=None, timeout=20):
        """What the runs wrote down, once there are so many."""

        def all_runs():
            if not self.records.exists():
                return []
            return [json.loads(line) for line in self.records.read_text().splitlines(keepends=True) if line[-1] == "\n"]

        if count:
            wait_until(lambda: len(all_runs()) >= count, timeout, f"{count} runs")
        found = all_runs()
        for run in found:
            run["facts"] = {k[9:]: v for k, v in run["env"].items() if k.startswith("BELLWIRE_")}
        return found

    def wait_log(self, text, timeout=20):
        wait_until(lambda: text in self.log(), timeout, f'"{text}" in the log')

    def finish(self):
        if self.child.stdin.closed:
            return
        self.child.stdin.close()
        try:
            while self.child.poll() is None and (line := self.read(20)) is not None:
                self.said.append(line)
        except AssertionError:
            pass
        status = self.child.wait(20)
        log = self.log()
        assert status == 0 and not any(mark in log for mark in SANITIZER_MARKS), f"{status}\n{log[-8000:]}"
