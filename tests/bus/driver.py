# SPDX-License-Identifier: Apache-2.0
"""The program bus_driver: our side of the bus with a scripted core."""

import json
import os
import pathlib
import subprocess

from harness.process import SANITIZER_MARKS, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BELLWIRE_BUS_DRIVER") or str(REPOSITORY / "build/dev/bin/bus_driver")


class Driver:
    def __init__(self, session, *flags):
        self.session = session
        self.out = session.directory / "driver.out"
        self.err = session.directory / "driver.err"
        environment = {**os.environ, **session.env}
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.child = subprocess.Popen(
                [BINARY, *flags], stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment
            )
        self.is_ending = False
        self.told = 0
        self.wait("ready")

    def terminate(self):
        if not self.is_ending:
            self.is_ending = True
            self.child.terminate()

    def tell(self, *words):
        """Returns when it has been heard, so that it holds for all that the test does next."""
        self.told += 1
        self.child.stdin.write((" ".join(words) + "\n").encode())
        self.child.stdin.flush()
        self.wait("told", self.told)

    def push(self, token, text="hello"):
        self.tell("push", token, text)

    def events(self, *names):
        whole = self.out.read_text().rpartition("\n")[0]  # the last line may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if not names or line["event"] in names]

    def wait(self, name, count=1, timeout=20):
        def there():
            assert self.child.poll() is None or name == "bus lost", self.log()
            found = self.events(name)
            return found if len(found) >= count else None

        try:
            return wait_until(there, timeout, f"{count} times {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.events()}\n{self.log()[-3000:]}") from None

    def outcome(self, count=1, timeout=20):
        """The outcome of the count-th push."""
        return self.wait("delivered", count, timeout)[count - 1]["outcome"]

    def log(self):
        return self.err.read_text(errors="replace")

    def finish(self):
        if self.child.poll() is None:
            self.terminate()
        self.child.stdin.close()
        status = self.child.wait(20)
        assert status == 0, f"exit status {status}\n{self.log()[-6000:]}"
        assert not any(mark in self.log() for mark in SANITIZER_MARKS), self.log()[-12000:]
