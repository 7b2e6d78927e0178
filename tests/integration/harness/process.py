# SPDX-License-Identifier: Apache-2.0
"""Child processes with bounded waits, free ports, and a look at what the sanitizers said."""

import os
import random
import signal
import socket
import subprocess
import time

SANITIZER_MARKS = (
    "AddressSanitizer",
    "LeakSanitizer",
    "ThreadSanitizer",
    "runtime error:",
    "UndefinedBehaviorSanitizer",
)
ASAN_OPTIONS = "detect_leaks=1:detect_stack_use_after_return=0:quarantine_size_mb=16"


def wait_until(condition, timeout=10.0, what="condition"):
    """Polls until condition() is true, and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(0.01)


_given_ports = set()


def free_port():
    """A port below the range from which the kernel takes ports of outgoing connections; never the same twice."""
    while True:
        port = random.SystemRandom().randint(10000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given_ports.add(port)
            return port


class Process:
    """A child whose standard error goes to a file, so that it can never block."""

    def __init__(self, arguments, stderr_path, env=None, pass_fds=()):
        self.arguments = [str(a) for a in arguments]
        self.stderr_path = stderr_path
        environment = dict(os.environ)
        environment.setdefault("ASAN_OPTIONS", ASAN_OPTIONS)
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        environment.update(env or {})
        with open(stderr_path, "ab") as err:
            self.child = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                env=environment,
                pass_fds=pass_fds,
            )

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def is_running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=20):
        return self.child.wait(timeout)

    def kill(self):
        """kill -9, and reaped."""
        if self.is_running():
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
        self.child.wait(10)

    def terminate(self, timeout=20):
        """SIGTERM; the exit status, killed when it hangs."""
        if self.is_running():
            self.child.terminate()
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"pid {self.pid} ignored SIGTERM for {timeout} s\n{self.log()[-4000:]}"
            ) from None

    def end_well(self, timeout=20):
        """SIGTERM, then status 0 and nothing from the sanitizers."""
        status = self.terminate(timeout)
        self.assert_no_sanitizer_report()
        assert status == 0, f"exit status {status}\n{self.log()[-6000:]}"

    def assert_no_sanitizer_report(self):
        log = self.log()
        assert not any(mark in log for mark in SANITIZER_MARKS), log[-12000:]
