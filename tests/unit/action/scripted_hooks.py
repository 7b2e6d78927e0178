# SPDX-License-Identifier: Apache-2.0
"""The program hooks_driver, spoken to line by line."""

import json
import os

from harness.process import wait_until
from harness.scripted import Scripted

BINARY = os.environ["HOOKS_DRIVER"]

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


class Hooks(Scripted):
    """@record in the config is a command that writes down its run; @DIR is the test's directory."""

    def __init__(self, directory, config, env):
        self.directory = directory
        self.records = directory / "runs"
        (directory / "record.py").write_text(RECORD)
        record = f"/usr/bin/python3 -S {directory}/record.py {self.records}"
        path = directory / "hooks.conf"
        path.write_text(config.replace("@record", record).replace("@DIR", str(directory)))
        self.ids = 0
        super().__init__([BINARY, path], directory / "driver.log", {"HOME": str(directory), **env})

    def push(self, name, body, topic="-", urgency="normal", how="plain"):
        """The message's id."""
        self.send(f"push {name} {topic} {urgency} {how} {body}")
        self.ids += 1
        return f"{self.ids:016x}"

    def outcome(self, message, timeout=20):
        """How dispatch was told that it went."""
        prefix = f"done {message} "
        return self.take(lambda line: line.startswith(prefix), f"answer to {message}", timeout)[len(prefix) :]

    def is_answered(self, message):
        """Without waiting."""
        return any(line.startswith(f"done {message} ") for line in self.take_all())

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
