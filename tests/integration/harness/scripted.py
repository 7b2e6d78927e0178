# SPDX-License-Identifier: Apache-2.0
"""A driver program that is spoken to line by line: commands on its standard input, what happened on its output."""

import os
import select
import subprocess
import time

from harness.process import SANITIZER_MARKS, wait_until

NO_BUS = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")


class Scripted:
    def __init__(self, arguments, stderr_path, env):
        """No session bus but the one that env names."""
        environment = {k: v for k, v in os.environ.items() if k not in NO_BUS}
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        environment.update(env)
        self.stderr = stderr_path
        with open(self.stderr, "ab") as err:
            self.child = subprocess.Popen(
                [str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=environment
            )
        self.rest = b""
        self.said = []
        self.expect("ready")

    def log(self):
        return self.stderr.read_text(errors="replace")

    def send(self, *lines):
        self.child.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.child.stdin.flush()

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

    def take(self, is_it, what, timeout=20):
        """Waits for a line that is_it; others before it are kept in .said."""
        while True:
            for line in self.said:
                if is_it(line):
                    self.said.remove(line)
                    return line
            got = self.read(timeout)
            assert got is not None, f"no {what}, but {self.said[-10:]}\n{self.log()[-4000:]}"
            self.said.append(got)

    def expect(self, line, timeout=20):
        self.take(lambda said: said == line, f'"{line}"', timeout)

    def take_all(self):
        """All that was said and is not taken yet, without waiting."""
        while (line := self.read(0)) is not None:
            self.said.append(line)
        return self.said

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
