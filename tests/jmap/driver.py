# SPDX-License-Identifier: Apache-2.0
"""The program jmap_driver: one JSON object a line, each with the id of what it is about."""

import itertools
import json
import os
import select
import subprocess
import time

from harness.process import SANITIZER_MARKS, wait_until

BINARY = os.environ["JMAP_DRIVER"]
NO_BUS = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")


class Driver:
    def __init__(self, directory, session=None, prefix=(), clock=None, **env):
        self.directory = directory
        self.state_dir = directory / "state"
        environment = {k: v for k, v in os.environ.items() if k not in NO_BUS}
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        environment.update(session.env if session else {"HOME": str(directory)})
        environment.update(env)
        self.stderr = directory / "driver.log"
        shift, descriptors = clock.begin() if clock else ((), ())
        with open(self.stderr, "ab") as err:
            self.child = subprocess.Popen(
                [*prefix, *shift, BINARY, str(self.state_dir), *(["bus"] if session else [])],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=environment,
                pass_fds=descriptors,
            )  # fmt: skip
        if clock:
            clock.begun()
        self.ids = itertools.count(1)
        self.rest = b""
        self.news = []

    def log(self):
        return self.stderr.read_text(errors="replace")

    def wait_log(self, text, timeout=10):
        wait_until(lambda: text in self.log(), timeout, f"{text!r} in the log")

    def start(self, op, **wish):
        """Its id."""
        identifier = str(next(self.ids))
        self.child.stdin.write(json.dumps({"op": op, "id": identifier, **wish}).encode() + b"\n")
        self.child.stdin.flush()
        return identifier

    def read_line(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.rest:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self.child.stdout], [], [], left)[0]:
                raise AssertionError(f"nothing said within {timeout} s\n{self.log()[-6000:]}")
            got = os.read(self.child.stdout.fileno(), 65536)
            assert got, f"the driver ended\n{self.log()[-6000:]}"
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        self.news.append(json.loads(line))

    def wait(self, identifier, timeout=30, key=None):
        """The next news of it (that have this key); what is of others stays."""
        while True:
            for one in self.news:
                if one["id"] == identifier and ("step" not in one or key == "step") and (key is None or key in one):
                    self.news.remove(one)
                    return one
            self.read_line(timeout)

    def steps(self, identifier):
        return [one["step"] for one in self.news if one["id"] == identifier and "step" in one]

    def run(self, op, **wish):
        return self.wait(self.start(op, **wish))

    def finish(self):
        self.child.stdin.close()
        try:
            status = self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(10)
            raise
        log = self.log()
        assert not any(mark in log for mark in SANITIZER_MARKS), log[-12000:]
        assert status == 0, log[-6000:]
